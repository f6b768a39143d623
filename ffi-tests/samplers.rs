//! Replays the few-call samplers of vectors/samplers.txt, made by vectors/samplers.py (the file's
//! head says what each array is), through the Rust API, and measures their orders of convergence.

#[allow(dead_code)]
mod mixture;
#[allow(dead_code)]
mod vectors;

use std::collections::BTreeMap;

use mixture::Mixture;
use vectors::{Case, assert_same_bits, cases};
use vesde::ode::{Ode, OdeBuffers, OdeOptions, OdeRequest, OdeVariable};
use vesde::{
    Buffers, Churn, Config, Method, Prediction, Request, Sampler, SamplerNoise, SamplerOptions,
    SamplerResult, Schedule, set_geometric_sigmas, set_karras_sigmas, set_sigmas, set_timesteps,
};

/// The README's loop is this one.
#[test]
fn the_readmes_rust() -> Result<(), vesde::Error> {
    fn network(x: &[f32], sigma: f32, score: &mut [f32]) {
        for (score, x) in score.iter_mut().zip(x) {
            *score = (0.5 - x) / (sigma * sigma + 0.01);
        }
    }
    let config = Config { sigma_max: 10.0, ..Config::default() };
    let (mut timesteps, mut sigmas, mut discrete_sigmas) = ([0.0; 50], [0.0; 50], [0.0; 50]);
    set_timesteps(&config, &mut timesteps)?;
    set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
    let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
    let (mut x, mut score) = ([0.0; 1000], [0.0; 1000]);

    let options = SamplerOptions { seed: 42, ..SamplerOptions::default() };
    let mut sampler = Sampler::new(&config, 1, options)?;
    while let Request::Score { sigma, .. } = sampler.next(&schedule, Buffers::new(&mut x, &score))? {
        network(&x, sigma, &mut score); // yours
    }

    assert!((x.iter().sum::<f32>() / 1000.0 - 0.5).abs() < 0.05);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, block) = include_str!("../README.md").split_once("```rust\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    assert!(words(include_str!("samplers.rs")).contains(&words(block)), "{block}");
    Ok(())
}

fn the_mixture() -> &'static Case {
    cases("mixture").next().unwrap().1
}

fn widened(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

/// What a network gives, rounded to f32, for a batch.
fn output(mixture: &Mixture, prediction: Prediction, x: &[f32], sigma: f32, out: &mut [f32]) {
    let (len, sigma) = (mixture.len(), f64::from(sigma));
    for (x, out) in x.chunks(len).zip(out.chunks_mut(len)) {
        let x = widened(x);
        for ((out, score), x) in out.iter_mut().zip(mixture.score(&x, sigma)).zip(x) {
            let denoised = x + sigma * sigma * score;
            let variance = sigma * sigma + 1.0;
            *out = match prediction {
                Prediction::Score => score,
                Prediction::Epsilon => -sigma * score,
                Prediction::Denoised => denoised,
                Prediction::V => (x / variance - denoised) * variance.sqrt() / sigma,
                _ => panic!("a prediction that is new"),
            } as f32;
        }
    }
}

/// The samples before each step that was made, by its number, and at the end; and how many scores
/// were asked for.
struct Run {
    states: BTreeMap<usize, Vec<f32>>,
    calls: usize,
}

/// A job with noise of `draw`; it ends with all its noise.
fn run(
    mixture: &Mixture,
    sigmas: &[f32],
    start: &[f32],
    draw: impl Fn(u64) -> Vec<f32>,
    options: SamplerOptions,
) -> Run {
    let schedule = Schedule { timesteps: &[], sigmas, discrete_sigmas: &[] };
    let options = SamplerOptions {
        noise: SamplerNoise::Given,
        start: Some(options.start.unwrap_or(0)),
        result: SamplerResult::Noisy,
        unclamped: true,
        ..options
    };
    let mut sampler = Sampler::new(&Config::default(), start.len() / mixture.len(), options).unwrap();
    let mut sample = start.to_vec();
    let [mut model_output, mut noise] = [(); 2].map(|()| vec![f32::NAN; start.len()]);
    let mut workspace = vec![f32::NAN; sampler.workspace_len(start.len()).unwrap()];
    let mut run = Run { states: BTreeMap::new(), calls: 0 };
    loop {
        let buffers = Buffers::new(&mut sample, &model_output).with_noise(&noise);
        let request = sampler.next(&schedule, buffers.with_workspace(&mut workspace)).unwrap();
        let step = match request {
            Request::Score { step, .. } => step,
            Request::Noise { draw } => draw as usize - 1,
            Request::Done => sigmas.len() - 1,
            Request::Condition { .. } => panic!("nothing is conditioned"),
        };
        // A step's first request comes before the sample is on its way.
        run.states.entry(step).or_insert_with(|| sample.clone());
        match request {
            Request::Score { sigma, .. } => {
                run.calls += 1;
                output(mixture, options.prediction, &sample, sigma, &mut model_output);
            }
            Request::Noise { draw: number } => noise = draw(number),
            _ => return run,
        }
    }
}

/// The largest difference, in units of max(1, sigma, |x|).
fn furthest(got: &[f32], want: &[f32], sigma: f32) -> f32 {
    assert_eq!(got.len(), want.len());
    let off = got.iter().zip(want).map(|(got, want)| (got - want).abs() / want.abs().max(sigma).max(1.0));
    off.fold(0.0, |most, off| if off <= most { most } else { off })
}

fn method_of(number: usize) -> Method {
    *Method::ALL.iter().find(|&&method| method as usize == number).unwrap()
}

#[test]
fn trajectories_are_those_of_the_formulas() {
    let (mixture, noise) = (Mixture::of(the_mixture()), the_mixture().f32s("noise"));
    let mut worst = BTreeMap::new();
    for (name, case) in cases("sampler") {
        let [method, order, first, calls] = case.usizes("job")[..] else { panic!("job") };
        let [eta, s_churn, s_tmin, s_tmax, s_noise, low, high] = case.f32s("options")[..] else {
            panic!("options")
        };
        let (start, sigmas) = (case.f32s("sample"), case.f32s("sigmas"));
        for &prediction in Prediction::ALL {
            let options = SamplerOptions {
                method: method_of(method),
                order: order as u32,
                prediction,
                eta,
                churn: Churn { s_churn, s_tmin, s_tmax },
                s_noise: Some(s_noise),
                clamp_denoised: (low.is_finite() || high.is_finite()).then_some((low, high)),
                start: Some(first),
                ..SamplerOptions::default()
            };
            let draw = |number: u64| noise.chunks(start.len()).nth(number as usize).unwrap().to_vec();
            let run = run(&mixture, &sigmas, &start, draw, options);
            let what = format!("{name} {prediction:?}");
            assert_eq!(run.calls, calls, "{what}");
            assert_same_bits(&run.states[&first], &start, &what);
            let mut close = |got: &[f32], want: &[f32], sigma: f32, what: &str| {
                let off = furthest(got, want, sigma);
                assert!(off <= 1e-5, "{what}: {off:e}");
                let most = worst.entry(format!("{prediction:?}")).or_insert((0.0, String::new()));
                if off > most.0 {
                    *most = (off, what.to_owned());
                }
            };
            let after = case.usizes("after");
            for (k, x) in after.iter().zip(case.f32s("x").chunks(start.len())) {
                close(&run.states[k], x, sigmas[*k], &format!("{what} after {k}"));
            }
            for scheduler in SCHEDULERS.iter().filter(|scheduler| case.get(scheduler).is_some()) {
                let what = format!("{what} {scheduler}");
                close(&run.states[after.last().unwrap()], &case.f32s(scheduler), 0.0, &what);
            }
        }
    }
    for (prediction, (off, what)) in worst {
        println!("{prediction}: {off:.1e} {what}");
    }
}

/// diffusers' classes whose results the file has.
const SCHEDULERS: [&str; 12] = [
    "EDMEuler",
    "EulerDiscrete",
    "EulerAncestralDiscrete",
    "HeunDiscrete",
    "KDPM2Discrete",
    "KDPM2AncestralDiscrete",
    "DPMSolverSinglestep",
    "EDMDPMSolverMultistep",
    "DPMSolverMultistep",
    "UniPCMultistep",
    "LMSDiscrete",
    "IPNDM",
];

#[test]
fn every_method_and_scheduler_is_in_the_file() {
    for &method in Method::ALL.iter().filter(|&&method| method != Method::PredictorCorrector) {
        assert!(cases("sampler").any(|(_, case)| case.usizes("job")[0] == method as usize), "{method:?}");
    }
    for name in SCHEDULERS {
        assert!(cases("sampler").any(|(_, case)| case.get(name).is_some()), "{name}");
    }
}

#[test]
fn tables_are_those_of_the_formulas() {
    let table = |name: &str| cases("sampler").find(|(case, _)| *case == name).unwrap().1.f32s("sigmas");
    for (name, low, high, n) in [("g10", 0.02, 50.0, 10), ("g20", 0.01, 50.0, 20), ("g50", 0.01, 1348.0, 50)]
    {
        let mut sigmas = vec![0.0; n + 1];
        set_geometric_sigmas(low, high, &mut sigmas[..n]).unwrap();
        assert_same_bits(&sigmas, &table(&format!("sampler/2m_{name}")), name);
    }
    for (name, low, high, n) in [("k18", 0.002, 80.0, 18), ("k25n", 0.02, 80.0, 26)] {
        let want = table(&format!("sampler/2m_{name}"));
        let mut sigmas = vec![0.0; want.len()];
        set_karras_sigmas(low, high, 7.0, &mut sigmas[..n]).unwrap();
        assert_same_bits(&sigmas, &want, name);
    }
}

// ---- orders of convergence ----

/// From here to there in Karras' tables, in fifty samples of the file's mixture with a greater
/// variance. A few of them lie near where two modes part and converge late: medians are of the
/// rest.
const SIGMA_MAX: f64 = 80.0;
const SIGMA_MIN: f64 = 0.2;
const SAMPLES: usize = 50;

struct Problem {
    mixture: Mixture,
    start: Vec<f32>,
    end: Vec<f64>,
}

impl Problem {
    fn new() -> Self {
        let mixture = Mixture { s2: 0.15, ..Mixture::of(the_mixture()) };
        let noise = the_mixture().f32s("noise");
        let start: Vec<f32> =
            noise.iter().take(SAMPLES * mixture.len()).map(|z| z * SIGMA_MAX as f32).collect();
        let end = start.chunks(mixture.len()).flat_map(|x| solution(&mixture, x)).collect();
        Self { mixture, start, end }
    }

    /// The median over the samples of their root mean square error.
    fn error(&self, end: &[f32]) -> f64 {
        let len = self.mixture.len();
        let of = |(got, want): (&[f32], &[f64])| {
            let squares = got.iter().zip(want).map(|(&got, want)| (f64::from(got) - want).powi(2));
            (squares.sum::<f64>() / len as f64).sqrt()
        };
        let mut errors: Vec<f64> = end.chunks(len).zip(self.end.chunks(len)).map(of).collect();
        errors.sort_by(f64::total_cmp);
        (errors[SAMPLES / 2 - 1] + errors[SAMPLES / 2]) / 2.0
    }

    /// That of a method in so many steps.
    fn error_of(&self, method: Method, order: u32, steps: usize) -> f64 {
        let mut sigmas = vec![0.0; steps + 1];
        set_karras_sigmas(SIGMA_MIN, SIGMA_MAX, 7.0, &mut sigmas[..]).unwrap();
        let options = SamplerOptions { method, order, ..SamplerOptions::default() };
        let run = run(&self.mixture, &sigmas, &self.start, |_| panic!("no noise"), options);
        self.error(&run.states[&steps])
    }
}

/// dx/dlnσ = x − D = −σ²·score from one end to the other, by the classical Runge-Kutta method.
fn solution(mixture: &Mixture, start: &[f32]) -> Vec<f64> {
    const STEPS: usize = 1000;
    // The table's sigmas are f32.
    let [from, to] = [SIGMA_MAX, SIGMA_MIN].map(|sigma| f64::from(sigma as f32).ln());
    let h = (to - from) / STEPS as f64;
    let slope = |x: &[f64], u: f64| -> Vec<f64> {
        let sigma = u.exp();
        mixture.score(x, sigma).into_iter().map(|score| -sigma * sigma * score).collect()
    };
    let plus =
        |x: &[f64], h: f64, k: &[f64]| -> Vec<f64> { x.iter().zip(k).map(|(x, k)| x + h * k).collect() };
    let mut x = widened(start);
    for i in 0..STEPS {
        let u = from + h * i as f64;
        let k1 = slope(&x, u);
        let k2 = slope(&plus(&x, h / 2.0, &k1), u + h / 2.0);
        let k3 = slope(&plus(&x, h / 2.0, &k2), u + h / 2.0);
        let k4 = slope(&plus(&x, h, &k3), u + h);
        for (i, x) in x.iter_mut().enumerate() {
            *x += h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
        }
    }
    x
}

/// Deterministic methods with the order of [`Method::Lms`] and [`Method::Ipndm`] and that of their
/// convergence.
const ORDERS: [(Method, u32, u32); 14] = [
    (Method::Euler, 0, 1),
    (Method::Lms, 1, 1),
    (Method::Heun, 0, 2),
    (Method::Dpm2, 0, 2),
    (Method::Dpmpp2s, 0, 2),
    (Method::Dpmpp2m, 0, 2),
    (Method::Dpmpp2mExact, 0, 2),
    (Method::Dpmpp3mPublished, 0, 2),
    (Method::Lms, 2, 2),
    (Method::Ipndm, 2, 2),
    (Method::Ipndm, 4, 2),
    (Method::Dpmpp3m, 0, 3),
    (Method::Unipc2, 0, 3),
    (Method::Lms, 3, 3),
];

/// Whether to skip what is true of the formulas, and so of every machine.
fn is_emulated() -> bool {
    let emulated = std::env::var_os("VESDE_RUNNER").is_some();
    if emulated {
        println!("skipped, because it would take an emulator minutes");
    }
    emulated
}

#[test]
fn methods_converge_as_fast_as_they_should() {
    if is_emulated() {
        return;
    }
    let problem = Problem::new();
    for (method, order, convergence) in ORDERS {
        // At 400 steps the third order is at what f32 resolves.
        let steps: &[usize] = if convergence < 3 { &[100, 200, 400] } else { &[100, 200] };
        let errors: Vec<f64> = steps.iter().map(|&steps| problem.error_of(method, order, steps)).collect();
        let range = [0.9..1.2, 1.9..2.2, 2.8..3.2][convergence as usize - 1].clone();
        for pair in errors.windows(2) {
            let slope = (pair[0] / pair[1]).log2();
            println!("{method:?} {order}: {:.1e} {:.1e}, order {slope:.2}", pair[0], pair[1]);
            assert!(range.contains(&slope), "{method:?} {order}: {slope}");
        }
    }
    // Of more than 3, and sooner at what f32 resolves.
    for (method, order) in [(Method::Unipc3, 0), (Method::Lms, 4)] {
        let errors = [50, 100].map(|steps| problem.error_of(method, order, steps));
        let slope = (errors[0] / errors[1]).log2();
        println!("{method:?} {order}: {:.1e} {:.1e}, order {slope:.2}", errors[0], errors[1]);
        assert!(slope > 3.2, "{method:?} {order}: {slope}");
    }
}

#[test]
fn deterministic_methods_end_at_the_solution_of_the_ode() {
    if is_emulated() {
        return;
    }
    let problem = Problem::new();
    let len = problem.start.len();
    // The ODE ends at the last timestep: so small an eps is sigma_min.
    let config =
        Config { sigma_min: SIGMA_MIN, sigma_max: SIGMA_MAX, sampling_eps: 1e-12, ..Config::default() };
    let options = OdeOptions {
        rtol: 1e-7,
        atol: 1e-7,
        start: true,
        variable: OdeVariable::Sigma,
        ..OdeOptions::default()
    };
    let mut ode = Ode::new(&config, SAMPLES, options).unwrap();
    let (mut sample, mut input) = (problem.start.clone(), problem.start.clone());
    let mut score = vec![0.0; len];
    let mut workspace = vec![0.0; ode.workspace_len(len).unwrap()];
    loop {
        let buffers = OdeBuffers::new(&mut sample, &mut input, &score, &mut workspace);
        match ode.next(buffers).unwrap() {
            OdeRequest::Score { sigma, .. } => {
                output(&problem.mixture, Prediction::Score, &input, sigma, &mut score);
            }
            OdeRequest::Done => break,
            request => panic!("{request:?}"),
        }
    }
    let error = problem.error(&sample);
    println!("ODE: {error:.1e}");
    assert!(error <= 1e-6, "{error:e}");
    let problem = Problem { end: widened(&sample), ..problem };
    for (method, order, convergence) in ORDERS {
        let error = problem.error_of(method, order, 400);
        let most = [5e-3, 1e-4, 5e-6][convergence as usize - 1];
        println!("{method:?} {order}: {error:.1e}");
        assert!(error <= most, "{method:?} {order}: {error:e}");
    }
}
