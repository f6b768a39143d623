//! Replays what the code of Song et al. 2021 computed (vectors/paper.txt, made by
//! vectors/paper.py; the file's head says what each array is) through the Rust API. With the
//! original's tables, noise and norm results are the same bit for bit, but where a test says
//! otherwise.

mod vectors;

use vectors::{Case, Tables, assert_same_bits, cases, fnv1a, ulps};
use vesde::{
    After, Averaging, Buffers, Combination, Conditions, Config, Corrector, Imputation, Norm, Predictor,
    Recolouring, Request, Sampler, SamplerNoise, SamplerOptions, SamplerResult, Schedule, Scheduler, Step,
    TorchCpu, annealed_step, couple, decouple, impute, linear, recolour, set_ncsnv2_sigmas,
};

/// Of the file's integers for predictors and correctors.
const PREDICTOR_NONE: usize = 3;
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

/// vesde's tables with the original's two discrete sigmas at the index of each t, and its sigma at
/// t itself.
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
        (tables.timesteps[i], tables.sigmas[i]) = (t, case.f32s("sigma")[i]);
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
            let predictor = Predictor::ReverseDiffusion;
            let step = tables.schedule().predictor_step(&config_of(case), predictor, t).unwrap();
            assert!(ulps(step.diffusion, want) <= 1, "{name} {t}");
        }
        for (sigma, want) in case.f32s("sigma").into_iter().zip(case.f32s("g")) {
            assert!(ulps(config_of(case).diffusion(sigma), want) <= 1, "{name} {sigma}");
        }
        for &t in &t {
            let sigma = config_of(case).sigma(t);
            assert!((config_of(case).timestep(sigma.into()) - f64::from(t)).abs() < 1e-6, "{name} {t}");
        }
    }
}

// The prior's log-density: `prior_z`, `prior_logp`.

// ---- steps: single updates, a t for each sample ----

/// The predictors of single steps, by the names of their arrays.
const STEPS: &[(&str, Predictor)] = &[
    ("rd", Predictor::ReverseDiffusion),
    ("rdpf", Predictor::ReverseDiffusionFlow),
    ("as", Predictor::Ancestral),
    ("em", Predictor::EulerMaruyama),
];

#[test]
fn euler_maruyama_steps_are_those_of_jax() {
    for (name, case) in cases("jaxem") {
        let (t, x, score, n) = (case.f32s("t"), case.f32s("x"), case.f32s("score"), case.usize("n"));
        let mut tables = Tables::new(&config_of(case), n, n).unwrap();
        tables.timesteps[..t.len()].copy_from_slice(&t);
        tables.sigmas[..t.len()].copy_from_slice(&case.f32s("sigma"));
        let scheduler = Scheduler { config: config_of(case), schedule: tables.schedule() };
        let step = |predictor, z: &[f32]| {
            let (mut prev, mut mean) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            let step = Step::new(&score, &x, &mut prev[..]).with_predictor(predictor).with_noise(z);
            scheduler.step_pred(&t, step.with_batch(t.len()).with_mean(&mut mean[..])).unwrap();
            (prev, mean)
        };
        let (prev, mean) = step(Predictor::EulerMaruyama, &case.f32s("z"));
        assert_same_bits(&mean, &case.f32s("mean"), name);
        // JAX multiplies the noise by √(1/N) first.
        let off = |(a, b): (&f32, &f32)| (a - b).abs() <= 3e-7 * b.abs().max(1.0);
        assert!(prev.iter().zip(&case.f32s("x_out")).all(off), "{name}");
        let (prev, _) = step(Predictor::EulerMaruyamaFlow, &case.f32s("z"));
        assert_same_bits(&prev, &case.f32s("pf_x_out"), name);
    }
}

#[test]
fn predictor_steps_are_those_of_the_paper() {
    for ((name, case), (prefix, predictor)) in
        cases("steps").flat_map(|case| STEPS.iter().map(move |p| (case, p)))
    {
        let (t, x) = (case.f32s("t"), case.f32s("x"));
        let (mut score, mut prev, mut mean) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; x.len()]);
        Gaussian::of(case).score(&x, &case.f32s("sigma"), &mut score);
        let tables = tables_of_indices(case, &t);
        let scheduler = Scheduler { config: config_of(case), schedule: tables.schedule() };
        let noise = case.get(&format!("{prefix}_z")).map(|_| case.f32s(&format!("{prefix}_z")));
        let step = Step::new(&score, &x, &mut prev[..]).with_batch(t.len()).with_predictor(*predictor);
        let step = if let Some(z) = &noise { step.with_noise(z) } else { step };
        scheduler.step_pred(&t, step.with_mean(&mut mean[..])).unwrap();
        assert_same_bits(&prev, &case.f32s(&format!("{prefix}_x")), name);
        let want_mean = if noise.is_some() { format!("{prefix}_mean") } else { format!("{prefix}_x") };
        assert_same_bits(&mean, &case.f32s(&want_mean), name);
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

#[test]
fn annealed_langevin_steps_are_those_of_the_paper() {
    for (name, case) in cases("steps") {
        let (gaussian, sigma, mut x) = (Gaussian::of(case), case.f32s("sigma"), case.f32s("x"));
        let (mut score, mut mean, per_sample) = (vec![0.0; x.len()], vec![0.0; x.len()], gaussian.mu.len());
        for z in case.f32s("ald_z").chunks(x.len()) {
            gaussian.score(&x, &sigma, &mut score);
            for (i, sigma) in sigma.iter().enumerate() {
                let part = i * per_sample..(i + 1) * per_sample;
                let step = annealed_step(case.f64("snr") as f32 * sigma, 2.0).unwrap();
                let sum = Combination::in_place(1.0, &mut x[part.clone()])
                    .plus(step.step_size, &score[part.clone()]);
                linear(sum.plus_noise(step.noise_factor, &z[part.clone()]).with_mean(&mut mean[part]))
                    .unwrap();
            }
        }
        assert_same_bits(&x, &case.f32s("ald_x"), name);
        assert_same_bits(&mean, &case.f32s("ald_mean"), name);
    }
}

// ---- pc: whole predictor–corrector loops from a torch seed ----

/// The sampler's options for a case, if it has them.
fn options_of(case: &Case) -> Option<SamplerOptions> {
    let flows = case.get("probability_flow").map_or(0, |flows| flows[0]);
    let predictor = match (case.usize("predictor"), flows) {
        (0, 0) => Predictor::ReverseDiffusion,
        (0, 1) => Predictor::ReverseDiffusionFlow,
        (1, 0) => Predictor::EulerMaruyama,
        (2, 0) => Predictor::Ancestral,
        (PREDICTOR_NONE, _) => Predictor::None,
        _ => return None,
    };
    let corrector = match case.usize("corrector") {
        0 => Corrector::Langevin,
        1 => Corrector::AnnealedLangevin,
        _ => Corrector::None,
    };
    let noise = SamplerNoise::Given;
    Some(SamplerOptions { noise, predictor, corrector, unclamped: true, ..SamplerOptions::default() })
}

/// Runs a job and returns the sample and the number of its evaluations.
fn run(case: &Case, tables: &Tables, options: SamplerOptions) -> (Vec<f32>, usize) {
    let gaussian = Gaussian::of(case);
    run_with(case, tables, options, &mut |x, sigma, score| gaussian.score(x, &[sigma], score))
}

/// The same with another score, of a sample at a sigma into the last buffer.
fn run_with(
    case: &Case,
    tables: &Tables,
    options: SamplerOptions,
    network: &mut dyn FnMut(&[f32], f32, &mut [f32]),
) -> (Vec<f32>, usize) {
    let shape = case.usizes("shape");
    let len = shape.iter().product();
    let (mut sample, mut score, mut noise) = (vec![0.0; len], vec![0.0; len], vec![0.0; len]);
    let mut generators = [TorchCpu::new(case.bits("seed")[0])];
    let mut sampler = Sampler::new(&config_of(case), shape[0], options).unwrap();
    let mut evaluations = 0;
    loop {
        let buffers = Buffers::new(&mut sample, &score);
        match sampler.next_drawing(&tables.schedule(), buffers, &mut generators, &mut noise).unwrap() {
            Request::Score { sigma, .. } => network(&sample, sigma, &mut score),
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
        // The digits' network is another's business.
        let (Some(options), true) = (options_of(case), case.get("mu").is_some()) else {
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
            // The original counts those of a predictor or corrector that is none, too.
            assert_eq!(evaluations, draws_of(case, 0) - 1, "{name}");

            for norm in [Norm::Torch, Norm::Exact] {
                let (got, _) = run(case, &ours, SamplerOptions { norm, ..options });
                let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
                let worst = off.fold(0.0, f32::max);
                // Loops of the corrector alone stay at large sigmas.
                let most = if options.predictor == Predictor::None { 3e-5 } else { 1e-6 };
                assert!(worst <= most, "{name} {norm:?}: {worst:e}");
                println!("{name} {result:?}, own tables, {norm:?} norm: largest difference {worst:e}");
            }
        }
        compared += 1;
    }
    assert!(compared > 0);
}

// pc/digits: the score of the digits network.

// ---- ncsn: annealed Langevin dynamics over a table of sigmas ----

#[test]
fn annealed_langevin_dynamics_is_that_of_ncsnv2() {
    for (name, case) in cases("ncsn") {
        let gaussian = Gaussian::of(case);
        let config = Config {
            sigma_min: case.f64("sigma_end"),
            sigma_max: case.f64("sigma_begin"),
            correct_steps: case.usize("n_steps_each") as u32,
            ..Config::default()
        };
        let levels = case.usize("levels");
        let mut tables = Tables::new(&config, levels, levels).unwrap();
        set_ncsnv2_sigmas(&config, &mut tables.sigmas[..]).unwrap();
        assert_same_bits(&tables.sigmas, &case.f32s("sigmas"), name);
        let mut options = SamplerOptions {
            noise: SamplerNoise::Given,
            predictor: Predictor::None,
            corrector: Corrector::Ncsnv2,
            step_lr: case.f64("step_lr") as f32,
            unclamped: true,
            start: Some(0),
            ..SamplerOptions::default()
        };
        for (result, want) in [(SamplerResult::Denoised, "out"), (SamplerResult::Noisy, "out_noisy")] {
            options.result = result;
            let (mut x, mut score, mut noise) = (case.f32s("x0"), case.f32s("x0"), case.f32s("x0"));
            let mut generators = [TorchCpu::new(case.bits("seed")[0])];
            let mut sampler = Sampler::new(&config, case.usizes("shape")[0], options).unwrap();
            let mut labels = vec![];
            while let Request::Score { sigma, label, .. } = sampler
                .next_drawing(&tables.schedule(), Buffers::new(&mut x, &score), &mut generators, &mut noise)
                .unwrap()
            {
                labels.push(label);
                gaussian.score(&x, &[sigma], &mut score);
            }
            assert_same_bits(&x, &case.f32s(want), name);
            let steps = levels * config.correct_steps as usize;
            let last = labels.len() - 1;
            assert_eq!(labels.len(), steps + usize::from(result == SamplerResult::Denoised), "{name}");
            assert_eq!((labels[0], labels[last]), (0, levels - 1), "{name}");
        }
    }
}

// ---- inp, col: inpainting and colorization ----

/// Runs a job that hands its sample to `initial` once and then to `condition`, with sigma and the
/// condition's noise, after every corrector and predictor; to the noisy result.
fn run_with_condition(
    case: &Case,
    noise: &[Vec<f32>],
    initial: impl Fn(&mut [f32]),
    condition: impl Fn(&mut [f32], f32, &[f32]),
) -> Vec<f32> {
    let (gaussian, tables, batch) = (Gaussian::of(case), tables_of(case), case.usizes("shape")[0]);
    let options = SamplerOptions {
        conditions: Conditions::Drawing,
        result: SamplerResult::Noisy,
        norm: Norm::Torch,
        ..options_of(case).expect("a known job")
    };
    let mut sampler = Sampler::new(&config_of(case), batch, options).unwrap();
    let (mut x, mut score, mut z) = (noise[0].clone(), noise[0].clone(), &noise[0]);
    loop {
        let buffers = Buffers::new(&mut x, &score).with_noise(z);
        match sampler.next(&tables.schedule(), buffers).unwrap() {
            Request::Score { sigma, .. } => gaussian.score(&x, &[sigma], &mut score),
            Request::Noise { draw } => z = &noise[draw as usize],
            Request::Condition { after: After::Initial, draw, .. } => {
                assert_eq!(draw, 0);
                initial(&mut x);
            }
            Request::Condition { sigma, draw, last, .. } => {
                assert_eq!(last, draw as usize == noise.len() - 1);
                condition(&mut x, sigma, &noise[draw as usize]);
            }
            Request::Done => return x,
        }
    }
}

#[test]
fn inpainting_is_that_of_the_paper() {
    let gaussian = cases("inp").filter(|(_, case)| case.get("mu").is_some());
    for (name, case) in gaussian {
        let noise = noise_of(case, draws_of(case, 2), false);
        let (data, mask) = (case.f32s("data"), case.f32s("mask"));
        let replace = |x: &mut [f32]| impute(Imputation::in_place(&data, &mask, x)).unwrap();
        let mut x = run_with_condition(case, &noise, replace, |x, sigma, z| {
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
        // The prior's first channel is set to zero before it is decoupled.
        let initial = |x: &mut [f32]| {
            let [mut known, mut first] = [(); 2].map(|()| vec![0.0; x.len()]);
            for sample in x.chunks_mut(channels * pixels) {
                sample[..pixels].fill(0.0);
            }
            decouple(&gray, batch, &mut known[..]).unwrap();
            decouple(&*x, batch, &mut first[..]).unwrap();
            let samples = first.chunks_mut(channels * pixels).zip(known.chunks(channels * pixels));
            for (first, known) in samples {
                linear(Combination::in_place(1.0, &mut first[..pixels]).plus(1.0, &known[..pixels])).unwrap();
            }
            couple(&first, batch, x).unwrap();
        };
        let mut x = run_with_condition(case, &noise, initial, |x, sigma, z| {
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
