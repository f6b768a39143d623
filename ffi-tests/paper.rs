//! Replays what the code of Song et al. 2021 computed (vectors/paper.txt, made by
//! vectors/paper.py; the file's head says what each array is) through the Rust API. With the
//! original's tables, noise and norm results are the same bit for bit, but where a test says
//! otherwise.

mod vectors;

use vectors::{Case, Tables, assert_same_bits, cases, fnv1a, ulps};
use vesde::{
    Averaging, Buffers, Combination, Config, Imputation, Norm, Recolouring, Request, Sampler, SamplerNoise,
    SamplerOptions, SamplerResult, Schedule, Scheduler, Step, TorchCpu, couple, decouple, impute, linear,
    recolour,
};

/// Of the file's integers for predictors and correctors.
const REVERSE_DIFFUSION: usize = 0;
const PREDICTOR_NONE: usize = 3;
const LANGEVIN: usize = 0;
const CORRECTOR_NONE: usize = 2;

fn config_of(case: &Case) -> Config {
    let or = |name, default| case.get(name).map_or(default, |_| case.f64(name));
    let default = Config::default();
    Config {
        sigma_min: case.f64("sigma_min"),
        sigma_max: case.f64("sigma_max"),
        sampling_eps: or("eps", 1e-5),
        snr: or("snr", default.snr),
        correct_steps: case.get("n_steps").map_or(1, |n| n[0] as u32),
        ..default
    }
}

/// vesde's tables with the original's two discrete sigmas at the index of each t.
fn tables_of_indices(case: &Case, t: &[f32]) -> Tables {
    let n = case.usize("n");
    let mut tables = Tables::new(&config_of(case), n, n).unwrap();
    let (sigma, adjacent) = (case.f32s("discrete_sigma"), case.f32s("adjacent_sigma"));
    for (i, &t) in t.iter().enumerate() {
        let index = tables.schedule().index(t).unwrap();
        tables.discrete_sigmas[index] = sigma[i];
        if index > 0 {
            tables.discrete_sigmas[index - 1] = adjacent[i];
        }
    }
    tables
}

/// The original's tables. It records no timesteps: they are vesde's bit for bit.
fn tables_of(case: &Case) -> Tables {
    let n = case.usize("n");
    let tables = Tables::new(&config_of(case), n, n).unwrap();
    Tables { sigmas: case.f32s("sigma"), discrete_sigmas: case.f32s("discrete_sigmas"), ..tables }
}

/// The score of independent Gaussians.
struct Gaussian {
    mu: Vec<f32>,
    s2: Vec<f32>,
}

impl Gaussian {
    fn of(case: &Case) -> Self {
        Self { mu: case.f32s("mu"), s2: case.f32s("s2") }
    }

    /// Into `score`, for the samples of `x`, at one sigma for all or one for each.
    fn score(&self, x: &[f32], sigmas: &[f32], score: &mut [f32]) {
        let len = self.mu.len();
        for (i, (x, score)) in x.chunks(len).zip(score.chunks_mut(len)).enumerate() {
            let sigma = sigmas[i % sigmas.len()];
            for (((score, x), mu), s2) in score.iter_mut().zip(x).zip(&self.mu).zip(&self.s2) {
                *score = (mu - x) / (sigma * sigma + s2);
            }
        }
    }
}

// ---- noise ----

/// How many draws a sampler of the paper makes for a batch, the prior's with them.
fn draws_of(case: &Case, conditions: usize) -> usize {
    let correctors = if case.usize("corrector") == CORRECTOR_NONE { 0 } else { case.usize("n_steps") };
    let predictors = usize::from(case.usize("predictor") != PREDICTOR_NONE);
    1 + case.usize("n") * (correctors + predictors + conditions)
}

/// The draws of a run from its seed, in order. Those of the colorizer lie in memory with the
/// channels last, where there is more than one sample, and torch then makes them one by one.
fn noise_of(case: &Case, draws: usize, channels_last: bool) -> Vec<Vec<f32>> {
    let [batch, channels, rows, columns] = case.usizes("shape")[..] else { panic!("shape") };
    let pixels = rows * columns;
    let mut generator = TorchCpu::new(case.bits("seed")[0]);
    let mut draw = |i: usize| {
        let mut z = vec![0.0; batch * channels * pixels];
        if i == 0 || !channels_last || batch == 1 {
            generator.fill(&mut z[..]).unwrap();
            return z;
        }
        for k in 0..z.len() {
            let (sample, pixel, channel) = (k / channels / pixels, k / channels % pixels, k % channels);
            let at = (sample * channels + channel) * pixels + pixel;
            generator.fill(&mut z[at..=at]).unwrap();
        }
        z
    };
    (0..draws).map(&mut draw).collect()
}

#[test]
fn what_is_left_out_of_the_file_follows_from_the_seed() {
    for (name, case) in cases("pc") {
        assert_eq!(draws_of(case, 0), case.usize("draws"), "{name}");
        assert_same_bits(&noise_of(case, 1, false)[0][..4], &case.f32s("first_noise"), name);
    }
    for (group, channels_last) in [("inp", false), ("col", true)] {
        for (name, case) in cases(group) {
            let noise = noise_of(case, draws_of(case, 2), channels_last).concat();
            assert_eq!(fnv1a(noise), case.bits("noise_fnv1a")[0], "{name}");
        }
    }
    for (name, case) in cases("ode") {
        let sigma_max = case.f64("sigma_max") as f32;
        let z = noise_of(case, 1, false).remove(0);
        assert_eq!(fnv1a(z.into_iter().map(|z| z * sigma_max)), case.bits("z_fnv1a")[0], "{name}");
    }
    for (name, case) in cases("lik").filter(|(_, case)| case.usize("probe_kind") == 1) {
        let probe = noise_of(case, 1, false).remove(0);
        assert_eq!(fnv1a(probe), case.bits("probe_fnv1a")[0], "{name}");
    }
}

// ---- cont: functions of continuous time ----

#[test]
fn timesteps_sigmas_and_indices_are_those_of_the_paper() {
    for (name, case) in cases("cont") {
        let (n, t) = (case.usize("n"), case.f32s("t"));
        let own = Tables::new(&config_of(case), n, n).unwrap();
        assert_eq!(fnv1a(own.timesteps.iter().copied()), case.bits("timesteps_fnv1a")[0], "{name}");

        let mut sigmas = vec![0.0; t.len()];
        vesde::set_sigmas(&config_of(case), &t, &mut sigmas[..], &mut [0.0; 2]).unwrap();
        assert!(sigmas.iter().zip(case.f32s("sigma")).all(|(&a, b)| ulps(a, b) <= 2), "{name}");

        let indices: Vec<usize> = t.iter().map(|&t| own.schedule().index(t).unwrap()).collect();
        assert_eq!(indices, case.usizes("index"), "{name}");

        let tables = tables_of_indices(case, &t);
        let off = own.discrete_sigmas.iter().zip(&tables.discrete_sigmas).map(|(&a, &b)| ulps(a, b));
        assert!(off.max() <= Some(1), "{name}");
        for (&t, want) in t.iter().zip(case.f32s("G")) {
            let step = tables.schedule().predictor_step(t).unwrap();
            assert!(ulps(step.diffusion, want) <= 1, "{name} {t}");
        }
    }
}

// The diffusion g(t) and the prior's log-density: `g`, `prior_z`, `prior_logp`.

// ---- steps: single updates, a t for each sample ----

#[test]
fn reverse_diffusion_steps_are_those_of_the_paper() {
    for (name, case) in cases("steps") {
        let (t, x) = (case.f32s("t"), case.f32s("x"));
        let (mut score, mut prev, mut mean) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; x.len()]);
        Gaussian::of(case).score(&x, &case.f32s("sigma"), &mut score);
        let tables = tables_of_indices(case, &t);
        let scheduler = Scheduler { config: config_of(case), schedule: tables.schedule() };
        let noise = case.f32s("rd_z");
        let step = Step::new(&score, &x, &mut prev[..]).with_batch(t.len()).with_noise(&noise);
        scheduler.step_pred(&t, step.with_mean(&mut mean[..])).unwrap();
        assert_same_bits(&prev, &case.f32s("rd_x"), name);
        assert_same_bits(&mean, &case.f32s("rd_mean"), name);
    }
}

#[test]
fn langevin_steps_are_those_of_the_paper() {
    for (name, case) in cases("steps") {
        let (gaussian, sigma, mut x) = (Gaussian::of(case), case.f32s("sigma"), case.f32s("x"));
        let (mut score, mut mean) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let schedule = Schedule { timesteps: &[], sigmas: &[], discrete_sigmas: &[] };
        let scheduler = Scheduler { config: config_of(case), schedule };
        let noise = case.f32s("lang_z");
        assert_eq!(noise.len(), case.usize("n_steps") * x.len(), "{name}");
        for z in noise.chunks(x.len()) {
            gaussian.score(&x, &sigma, &mut score);
            let step = Step::in_place(&score, &mut x).with_batch(sigma.len()).with_noise(z);
            scheduler.step_correct(Averaging::Batch, Norm::Torch, step.with_mean(&mut mean[..])).unwrap();
        }
        assert_same_bits(&x, &case.f32s("lang_x"), name);
        assert_same_bits(&mean, &case.f32s("lang_mean"), name);
    }
}

// Euler–Maruyama `em_`, reverse diffusion with probability flow `rdpf_`, ancestral sampling `as_`,
// annealed Langevin `ald_`. JAX's Euler–Maruyama: jaxem.

// ---- pc: whole predictor–corrector loops from a torch seed ----

/// The sampler's options for a case, if it has them.
fn options_of(case: &Case) -> Option<SamplerOptions> {
    let known = (case.usize("predictor"), case.usize("corrector"), case.usize("probability_flow"))
        == (REVERSE_DIFFUSION, LANGEVIN, 0);
    let options = SamplerOptions { noise: SamplerNoise::Given, unclamped: true, ..SamplerOptions::default() };
    known.then_some(options)
}

/// Runs a job and returns the sample and the number of its evaluations.
fn run(case: &Case, tables: &Tables, options: SamplerOptions) -> (Vec<f32>, usize) {
    let gaussian = Gaussian::of(case);
    let shape = case.usizes("shape");
    let len = shape.iter().product();
    let (mut sample, mut score, mut noise) = (vec![0.0; len], vec![0.0; len], vec![0.0; len]);
    let mut generators = [TorchCpu::new(case.bits("seed")[0])];
    let mut sampler = Sampler::new(&config_of(case), shape[0], options).unwrap();
    let mut evaluations = 0;
    loop {
        let buffers = Buffers::new(&mut sample, &score);
        match sampler.next_drawing(&tables.schedule(), buffers, &mut generators, &mut noise).unwrap() {
            Request::Score { sigma, .. } => gaussian.score(&sample, &[sigma], &mut score),
            request => {
                assert_eq!(request, Request::Done);
                return (sample, evaluations);
            }
        }
        evaluations += 1;
    }
}

#[test]
fn predictor_corrector_loops_are_those_of_the_paper() {
    let mut compared = 0;
    for (name, case) in cases("pc") {
        let Some(options) = options_of(case) else {
            continue;
        };
        let out = case.f32s("out");
        // Where the last step adds no noise only one of them is recorded.
        let noisy = case.get("out_noisy").map_or(out.clone(), |_| case.f32s("out_noisy"));
        let results = [(SamplerResult::Mean, out), (SamplerResult::Noisy, noisy)];
        let (theirs, n) = (tables_of(case), case.usize("n"));
        let ours = Tables::new(&config_of(case), n, n).unwrap();
        for (result, want) in results {
            let options = SamplerOptions { norm: Norm::Torch, result, ..options };
            let (got, evaluations) = run(case, &theirs, options);
            assert_same_bits(&got, &want, name);
            assert_eq!(evaluations, case.usize("nfe"), "{name}");

            for norm in [Norm::Torch, Norm::Exact] {
                let (got, _) = run(case, &ours, SamplerOptions { norm, ..options });
                let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
                let worst = off.fold(0.0, f32::max);
                assert!(worst <= 1e-6, "{name} {norm:?}: {worst:e}");
                println!("{name} {result:?}, own tables, {norm:?} norm: largest difference {worst:e}");
            }
        }
        compared += 1;
    }
    assert!(compared > 0);
}

// The other predictors and correctors: an arm of `options_of` for each. pc/digits: the score of
// the digits network.

// ---- ncsn: annealed Langevin dynamics over a table of sigmas ----

// ---- inp, col: inpainting and colorization ----

/// An update of `x` by the corrector or the predictor of step `i`, without a condition: those that
/// the library has as steps by these, the others in scalar code. Noise is taken from the front.
fn update(case: &Case, i: usize, is_corrector: bool, x: &mut [f32], noise: &mut &[Vec<f32>]) {
    const EULER_MARUYAMA: usize = 1;
    const ALD: usize = 1;
    let which = case.usize(if is_corrector { "corrector" } else { "predictor" });
    if is_corrector && which == CORRECTOR_NONE {
        return;
    }
    let (config, tables) = (config_of(case), tables_of(case));
    let (n, batch, sigma) = (case.usize("n"), case.usizes("shape")[0], tables.sigmas[i]);
    let scheduler = Scheduler { config, schedule: tables.schedule() };
    let mut score = vec![0.0; x.len()];
    for _ in 0..if is_corrector { case.usize("n_steps") } else { 1 } {
        let (z, rest) = noise.split_first().unwrap();
        *noise = rest;
        Gaussian::of(case).score(x, &[sigma], &mut score);
        let step = Step::in_place(&score, x).with_batch(batch).with_noise(z);
        match (is_corrector, which) {
            (true, LANGEVIN) => scheduler.step_correct(Averaging::Batch, Norm::Torch, step).unwrap(),
            (false, REVERSE_DIFFUSION) => scheduler.step_pred(&tables.timesteps[i..=i], step).unwrap(),
            (true, ALD) => {
                let r = config.snr as f32 * sigma;
                let step_size = r * r * 2.0;
                for ((x, s), z) in x.iter_mut().zip(&score).zip(z) {
                    *x = (*x + step_size * s) + (step_size * 2.0).sqrt() * z;
                }
            }
            (false, EULER_MARUYAMA) => {
                let c = (2.0 * (config.sigma_max.ln() - config.sigma_min.ln())).sqrt() as f32;
                let (g, dt) = (sigma * c, 1.0 / n as f64);
                for ((x, s), z) in x.iter_mut().zip(&score).zip(z) {
                    *x = (*x + (g * g * s) * dt as f32) + g * dt.sqrt() as f32 * z;
                }
            }
            _ => panic!("an update that is not known"),
        }
    }
}

/// The updates of all steps, each with its condition and that one's draw.
fn run_with_condition(
    case: &Case,
    x: &mut [f32],
    mut noise: &[Vec<f32>],
    condition: impl Fn(&mut [f32], f32, &[f32]),
) {
    for (i, sigma) in case.f32s("sigma").into_iter().enumerate() {
        for is_corrector in [true, false] {
            update(case, i, is_corrector, x, &mut noise);
            let (z, rest) = noise.split_first().unwrap();
            condition(x, sigma, z);
            noise = rest;
        }
    }
    assert!(noise.is_empty(), "draws are left");
}

/// The sample of the prior.
fn prior_of(case: &Case, noise: &[Vec<f32>]) -> Vec<f32> {
    let sigma_max = case.f64("sigma_max") as f32;
    noise[0].iter().map(|z| z * sigma_max).collect()
}

#[test]
fn inpainting_is_that_of_the_paper() {
    let gaussian = cases("inp").filter(|(_, case)| case.get("mu").is_some());
    for (name, case) in gaussian {
        let noise = noise_of(case, draws_of(case, 2), false);
        let (data, mask) = (case.f32s("data"), case.f32s("mask"));
        let mut x = prior_of(case, &noise);
        impute(Imputation::in_place(&data, &mask, &mut x)).unwrap();
        run_with_condition(case, &mut x, &noise[1..], |x, sigma, z| {
            impute(Imputation::in_place(&data, &mask, x).with_noise(sigma, z)).unwrap();
        });
        assert_same_bits(&x, &case.f32s("out_noisy"), name);
        impute(Imputation::in_place(&data, &mask, &mut x)).unwrap();
        assert_same_bits(&x, &case.f32s("out"), name);
    }
}

#[test]
fn colorization_is_that_of_the_paper() {
    for (name, case) in cases("col") {
        let [batch, channels, rows, columns] = case.usizes("shape")[..] else { panic!("shape") };
        let pixels = rows * columns;
        let noise = noise_of(case, draws_of(case, 2), true);
        let gray: Vec<f32> =
            case.f32s("gray").chunks(pixels).flat_map(|plane| plane.repeat(channels)).collect();
        let mut x = prior_of(case, &noise);
        let [mut known, mut first] = [(); 2].map(|()| vec![0.0; x.len()]);
        for sample in x.chunks_mut(channels * pixels) {
            sample[..pixels].fill(0.0);
        }
        decouple(&gray, batch, &mut known[..]).unwrap();
        decouple(&x, batch, &mut first[..]).unwrap();
        let samples = first.chunks_mut(channels * pixels).zip(known.chunks(channels * pixels));
        for (first, known) in samples {
            linear(Combination::in_place(1.0, &mut first[..pixels]).plus(1.0, &known[..pixels])).unwrap();
        }
        couple(&first, batch, &mut x[..]).unwrap();
        run_with_condition(case, &mut x, &noise[1..], |x, sigma, z| {
            let job = Recolouring::in_place(&gray, x).with_batch(batch);
            recolour(job.with_noise(sigma, z)).unwrap();
        });
        assert_same_bits(&x, &case.f32s("out_noisy"), name);
        recolour(Recolouring::in_place(&gray, &mut x).with_batch(batch)).unwrap();
        assert_same_bits(&x, &case.f32s("out"), name);

        let v = case.f32s("v");
        let mut mixed = vec![0.0; v.len()];
        decouple(&v, v.len() / (3 * 9 * 7), &mut mixed[..]).unwrap();
        assert_same_bits(&mixed, &case.f32s("decoupled"), name);
        couple(&v, v.len() / (3 * 9 * 7), &mut mixed[..]).unwrap();
        assert_same_bits(&mixed, &case.f32s("coupled"), name);
        // The matrices themselves, by their rows.
        for (row, (m, w)) in case.f32s("matrix").chunks(3).zip(case.f32s("inverse").chunks(3)).enumerate() {
            let unit: [f32; 3] = std::array::from_fn(|i| if i == row { 1.0 } else { 0.0 });
            let mut out = [0.0; 3];
            decouple(&unit, 1, &mut out).unwrap();
            assert_same_bits(&out, m, name);
            couple(&unit, 1, &mut out).unwrap();
            assert_same_bits(&out, w, name);
        }
    }
}

// inp/digits: the score of the digits network.

// ---- jaxcond: guidance by a classifier ----

#[test]
fn updates_guided_by_a_classifier_are_those_of_the_paper() {
    let case = cases("jaxcond").next().unwrap().1;
    let [timesteps, sigmas, discrete_sigmas] =
        ["timesteps", "sigma", "discrete_sigmas"].map(|name| case.f32s(name));
    let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
    let scheduler = Scheduler { config: config_of(case), schedule };
    let updates = case.usizes("update");
    let len = case.f32s("x").len() / updates.len();
    for (i, &number) in updates.iter().enumerate() {
        let [mut x, mut score, gradient, noise, want] = ["x", "score", "gradient", "noise", "x_out"]
            .map(|name| case.f32s(name)[i * len..][..len].to_vec());
        linear(Combination::in_place(1.0, &mut score).plus(1.0, &gradient)).unwrap();
        let mut mean = vec![0.0; len];
        let step = Step::in_place(&score, &mut x).with_batch(2).with_noise(&noise).with_mean(&mut mean[..]);
        if number % 2 == 0 {
            scheduler.step_correct(Averaging::Batch, Norm::Exact, step).unwrap();
        } else {
            scheduler.step_pred(&timesteps[number / 2..][..1], step).unwrap();
        }
        let got = if i + 1 == updates.len() { &mean } else { &x };
        let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
        let worst = off.fold(0.0, f32::max);
        assert!(worst <= 1e-6, "update {number}: {worst:e}");
    }
}

// ---- ode, and rk45 of golden.txt: the probability-flow ODE ----

// ---- lik, the prior of cont: likelihood ----

// ---- probes ----

#[test]
fn uniform_numbers_and_signs_are_those_of_torch() {
    for (name, case) in cases("probes") {
        let seed = case.bits("seed")[0];
        let [uniform, signs] = ["uniform", "rademacher"].map(|name| case.f32s(name));
        let mut out = vec![0.0; uniform.len()];
        TorchCpu::new(seed).uniform(&mut out[..]).unwrap();
        assert_same_bits(&out, &uniform, name);
        TorchCpu::new(seed).rademacher(&mut out[..]).unwrap();
        assert_same_bits(&out, &signs, name);
    }
}
