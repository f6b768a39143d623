//! Replays what diffusers, torch and NumPy computed (vectors/golden.txt, made by vectors/make.py;
//! vectors/cuda.txt, made on a GPU by `vectors/torch_cuda.py`) through the Rust API. Floats are
//! compared bit for bit unless a test says why it cannot be.

mod vectors;

use vectors::{Case, Tables, assert_same_bits, cases, fnv1a, ulps};
use vesde::noise::{CudaGrid, Generator, Numpy, TorchCpu, TorchCuda, randn};
use vesde::norms::{corrector_step, mean_norm, torch_norm};
use vesde::{
    Averaging, Buffers, Combination, Config, Counter, Error, Norm, Predictor, Request, Sampler, SamplerNoise,
    SamplerOptions, Schedule, Scheduler, Step, linear,
};

fn config_of(case: &Case) -> Config {
    let [sigma_min, sigma_max, sampling_eps] = case.f64s("config")[..] else { panic!("config") };
    Config { sigma_min, sigma_max, sampling_eps, ..Config::default() }
}

#[test]
fn schedules_are_those_of_diffusers() {
    for (name, case) in cases("schedule") {
        let [timesteps, discrete_sigmas] = case.usizes("n")[..] else { panic!("{name}") };
        let tables = Tables::new(&config_of(case), timesteps, discrete_sigmas).unwrap();
        assert_same_bits(&tables.timesteps, &case.f32s("timesteps"), name);
        for (table, name, most) in
            [(&tables.sigmas, "sigmas", 2), (&tables.discrete_sigmas, "discrete_sigmas", 1)]
        {
            let torch = case.f32s(name);
            assert_eq!(table.len(), torch.len());
            assert!(table.iter().zip(torch).all(|(&a, b)| ulps(a, b) <= most), "{name}");
        }
    }
}

#[test]
fn predictor_steps_are_those_of_diffusers() {
    let (mut rounded, mut not) = (0, 0);
    for (name, case) in cases("pred") {
        let discrete_sigmas = case.f32s("discrete_sigmas");
        let timesteps = vec![0.0; case.usize("schedule")];
        let schedule = Schedule { timesteps: &timesteps, sigmas: &[], discrete_sigmas: &discrete_sigmas };
        let scheduler = Scheduler { config: Config::default(), schedule };
        let (sample, model_output) = (case.f32s("sample"), case.f32s("model_output"));
        let (noise, at) = (case.f32s("noise"), case.f32s("timestep"));
        let (mut prev, mut mean) = (vec![0.0; sample.len()], vec![0.0; sample.len()]);
        let step = Step::new(&model_output, &sample, &mut prev[..]).with_batch(at.len()).with_noise(&noise);
        scheduler.step_pred(&at, step.with_mean(&mut mean[..])).unwrap();

        let (want, want_mean) = (case.f32s("prev_sample"), case.f32s("prev_sample_mean"));
        let torch = case.f32s("diffusion");
        let len = sample.len() / torch.len();
        for (i, &torch_d) in torch.iter().enumerate() {
            let step =
                schedule.predictor_step(&Config::default(), Predictor::ReverseDiffusion, at[i % at.len()]);
            let d = step.unwrap().diffusion;
            let part = i * len..(i + 1) * len;
            if d.to_bits() == torch_d.to_bits() {
                rounded += 1;
            } else {
                // torch's square root is not the correctly rounded one here. With torch's, the step
                // is torch's.
                not += 1;
                assert_eq!(ulps(d, torch_d), 1, "{name}");
                let step = Combination::new(&mut prev[part.clone()])
                    .plus(1.0, &sample[part.clone()])
                    .plus(torch_d * torch_d, &model_output[part.clone()])
                    .plus_noise(torch_d, &noise[part.clone()]);
                linear(step.with_mean(&mut mean[part.clone()])).unwrap();
            }
            assert_same_bits(&prev[part.clone()], &want[part.clone()], name);
            assert_same_bits(&mean[part.clone()], &want_mean[part], name);
        }
    }
    assert!(rounded > 40 && not > 0, "{rounded} {not}");
}

#[test]
fn corrector_steps_with_the_torch_norm_are_those_of_diffusers() {
    for (name, case) in cases("correct") {
        let config = Config { snr: case.f64("snr"), ..Config::default() };
        let schedule = Schedule { timesteps: &[], sigmas: &[], discrete_sigmas: &[] };
        let scheduler = Scheduler { config, schedule };
        let (sample, model_output, noise) =
            (case.f32s("sample"), case.f32s("model_output"), case.f32s("noise"));
        let batch = case.usizes("shape")[0];
        let len = sample.len() / batch;

        let mut means = [0.0; 2];
        for (mean, (x, norms)) in
            means.iter_mut().zip([(&model_output, "grad_norms"), (&noise, "noise_norms")])
        {
            let got: Vec<f64> = x.chunks(len).map(|x| torch_norm(x, len).unwrap()).collect();
            assert_eq!(got, case.f32s(norms).into_iter().map(f64::from).collect::<Vec<_>>(), "{name}");
            *mean = mean_norm(&got, Norm::Torch).unwrap();
        }
        let step = corrector_step(config.snr, means[0], means[1], Norm::Torch).unwrap();
        assert_same_bits(&[step.step_size], &case.f32s("step_size"), name);
        assert_same_bits(&[step.noise_factor], &case.f32s("noise_factor"), name);

        let (mut prev, mut mean) = (vec![0.0; sample.len()], vec![0.0; sample.len()]);
        let step = Step::new(&model_output, &sample, &mut prev[..]).with_batch(batch).with_noise(&noise);
        scheduler.step_correct(Averaging::Batch, Norm::Torch, step.with_mean(&mut mean[..])).unwrap();
        assert_same_bits(&prev, &case.f32s("prev_sample"), name);
        assert_same_bits(&mean, &case.f32s("prev_sample_mean"), name);
    }
}

#[test]
fn means_over_batches_of_any_size_are_those_of_torch() {
    for (name, case) in cases("mean") {
        let (counts, means) = (case.usizes("n"), case.f32s("mean"));
        let most = counts.iter().copied().max().unwrap();
        let word = |i: usize| (i as u32).wrapping_mul(2654435761) >> 8;
        let norms: Vec<f64> = (0..most).map(|i| f64::from(word(i)) / f64::from(1 << 20)).collect();
        for (&n, mean) in counts.iter().zip(means) {
            let got = mean_norm(&norms[..n], Norm::Torch).unwrap();
            assert_same_bits(&[got as f32], &[mean], &format!("{name}, {n}"));
        }
        assert!(most >= 1 << 24);
    }
    let norms: Vec<f64> = (0..600).map(|i| f64::from(((i + 1) as f32).sqrt())).collect();
    assert_eq!(mean_norm(&norms, Norm::Torch), Ok(f64::from(16.3500004_f32)));
}

#[test]
fn the_norm_of_one_float_is_its_absolute_value_as_in_torch() {
    for (name, case) in cases("norm_of_one") {
        let floats = case.f32s("x");
        let got: Vec<f32> = floats.iter().map(|&x| torch_norm(&[x], 1).unwrap() as f32).collect();
        assert_same_bits(&got, &case.f32s("norm"), name);
        assert!(got.contains(&1e-30) && got.contains(&2e19));
    }
    let scheduler = Scheduler {
        config: Config::default(),
        schedule: Schedule { timesteps: &[], sigmas: &[], discrete_sigmas: &[] },
    };
    let (x, m, z) = ([1.0], [1e-30], [2.0]);
    let mut prev = [0.0];
    for averaging in [Averaging::Batch, Averaging::PerSample] {
        let step = Step::new(&m, &x, &mut prev).with_noise(&z);
        // No float holds the step size; that is another error than a score of norm 0.
        assert_eq!(scheduler.step_correct(averaging, Norm::Torch, step), Err(Error::NonFiniteGradientNorm));
    }
    assert_eq!(torch_norm(Counter::new(1, 2), 1).unwrap() as f32, {
        let mut z = [0.0];
        Counter::new(1, 2).fill(&mut z).unwrap();
        z[0].abs()
    });
}

#[test]
fn corrector_steps_with_the_exact_norm_are_within_1e_7_of_a_float64_evaluation() {
    for (name, case) in cases("correct") {
        let snr = case.f64("snr");
        let (model_output, noise) = (case.f32s("model_output"), case.f32s("noise"));
        let batch = case.usizes("shape")[0];
        let len = noise.len() / batch;
        let norms = |x: &[f32]| -> Vec<f64> {
            x.chunks(len)
                .map(|x| x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt())
                .collect()
        };
        let [grad, z] = [&model_output, &noise].map(|x| norms(x).iter().sum::<f64>() / batch as f64);
        let want = 2.0 * (snr * z / grad).powi(2);

        // A sample of 0 and a score of 1 shows the step size; a score of 0 with noise of 1 would
        // show the factor.
        let sums = |x: &[f32]| -> f64 {
            let norms: Vec<f64> = x
                .chunks(len)
                .map(|x| {
                    let mut blocks = vec![0.0; vesde::norms::norm_blocks(len)];
                    vesde::norms::sum_squares(x, len, &mut blocks).unwrap();
                    vesde::norms::sample_norm(&blocks)
                })
                .collect();
            mean_norm(&norms, Norm::Exact).unwrap()
        };
        let step = corrector_step(snr, sums(&model_output), sums(&noise), Norm::Exact).unwrap();
        let off = |got: f32, want: f64| (f64::from(got) / want - 1.0).abs();
        assert!(off(step.step_size, want) < 1e-7, "{name}");
        assert!(off(step.noise_factor, (2.0 * want).sqrt()) < 1e-7, "{name}");
    }
}

#[test]
fn added_noise_is_that_of_diffusers() {
    for (name, case) in cases("add_noise") {
        let discrete_sigmas = case.f32s("discrete_sigmas");
        let schedule = Schedule { timesteps: &[], sigmas: &[], discrete_sigmas: &discrete_sigmas };
        let scheduler = Scheduler { config: Config::default(), schedule };
        let (original, noise) = (case.f32s("original_samples"), case.f32s("noise"));
        let indices: Vec<i64> = case.bits("indices").iter().map(|&i| i as i64).collect();
        let mut noisy = vec![0.0; original.len()];
        scheduler.add_noise(&original, indices.len(), &indices, &noise, &mut noisy[..]).unwrap();
        assert_same_bits(&noisy, &case.f32s("noisy_samples"), name);
    }
}

/// Successive calls of one generator, one after the other.
fn stream<G: Generator>(state: G, calls: &[usize]) -> Vec<f32> {
    let mut state = [state];
    let mut all = Vec::new();
    for &n in calls {
        let mut z = vec![0.0; n];
        randn(&mut state, &mut z[..]).unwrap();
        all.extend(z);
    }
    all
}

/// Replays the streams of a group: those that are recorded as numbers, and those as a hash.
fn check_streams<G: Generator>(group: &str, seeded: impl Fn(u64) -> G) {
    for (name, case) in cases(group) {
        let got = stream(seeded(case.bits("seed")[0]), &case.usizes("calls"));
        assert_same_bits(&got, &case.f32s("out"), name);
    }
    let mut total = 0;
    for (name, case) in cases(&format!("{group}_hash")) {
        let got = stream(seeded(case.bits("seed")[0]), &case.usizes("calls"));
        assert_eq!(got.len() as u64, case.bits("count")[0]);
        total += got.len();
        assert_eq!(fnv1a(got), case.bits("fnv1a")[0], "{name}");
    }
    assert!(total >= 1_000_000);
}

#[test]
fn torch_randn_is_torchs() {
    check_streams("torch_randn", TorchCpu::new);
}

#[test]
fn numpy_randn_is_numpys() {
    check_streams("numpy_randn", |seed| Numpy::new(u32::try_from(seed).unwrap()));
}

#[test]
fn torch_cuda_randn_is_that_of_a_gpu() {
    let mut compared = 0;
    for (name, case) in cases("torch_cuda") {
        let [multiprocessors, threads_per_multiprocessor] =
            case.bits("grid").iter().map(|&n| n as u32).collect::<Vec<_>>()[..]
        else {
            panic!("{name}")
        };
        let grid = CudaGrid { multiprocessors, threads_per_multiprocessor };
        assert_eq!(CudaGrid::of_gpu("NVIDIA H100 80GB HBM3"), Some(grid));
        let mut state = TorchCuda::new(case.bits("seed")[0], grid);
        let mut indices = case.bits("indices").iter().peekable();
        let (mut got, mut start) = (Vec::new(), 0);
        for &len in case.bits("calls") {
            // Short draws whole, long ones an element at a time, where one was recorded.
            let mut z = vec![0.0; if len < 1 << 21 { len as usize } else { 0 }];
            if !z.is_empty() {
                state.clone().fill(&mut z[..]).unwrap();
            }
            while let Some(i) = indices.next_if(|&&i| i < start + len) {
                let at = i - start;
                let mut one = [f32::NAN];
                state.fill_part(len, at, &mut one).unwrap();
                if let Some(z) = z.get(at as usize) {
                    assert_eq!(one[0].to_bits(), z.to_bits(), "{name} {i}");
                }
                got.push(one[0]);
            }
            state.skip(len).unwrap();
            start += len;
        }
        assert_same_bits(&got, &case.f32s("out"), name);
        compared += got.len();
    }
    assert!(compared > 5_000, "{compared}");
}

#[test]
fn the_full_loop_test_of_diffusers_passes() {
    let (_, case) = cases("full_loop").next().unwrap();
    let config = Config::default();
    // diffusers' test calls set_sigmas(3) before set_timesteps(3): its sigmas still run along the
    // constructor's 2000.
    let old = Tables::new(&config, 2000, 3).unwrap();
    let new = Tables::new(&config, 3, 3).unwrap();
    let schedule = Schedule {
        timesteps: &new.timesteps,
        sigmas: &old.sigmas[..3],
        discrete_sigmas: &old.discrete_sigmas,
    };
    assert_same_bits(schedule.sigmas, &case.f32s("sigmas"), "sigmas");
    let scheduler = Scheduler { config, schedule };
    let mut sample = case.f32s("sample");
    let mut noise = vec![0.0; sample.len()];
    let mut generator = TorchCpu::new(0);
    let model = |sample: &[f32], sigma: f32| -> Vec<f32> {
        sample.iter().map(|x| x * sigma / (sigma + 1.0)).collect()
    };
    for (&t, &sigma) in schedule.timesteps.iter().zip(schedule.sigmas) {
        for _ in 0..config.correct_steps {
            let score = model(&sample, sigma);
            generator.fill(&mut noise[..]).unwrap();
            let step = Step::in_place(&score, &mut sample).with_batch(4).with_noise(&noise);
            scheduler.step_correct(Averaging::Batch, Norm::Torch, step).unwrap();
        }
        let score = model(&sample, sigma);
        generator.fill(&mut noise[..]).unwrap();
        scheduler.step_pred(&[t], Step::in_place(&score, &mut sample).with_noise(&noise)).unwrap();
    }
    let sum: f64 = sample.iter().map(|x| f64::from(x.abs())).sum();
    // numpy.isclose, as diffusers' test has it
    let close = |got: f64, want: f64| (got / want - 1.0).abs() < 1e-5;
    assert!(close(sum, 14372758528.0), "{sum}");
    assert!(close(sum / sample.len() as f64, 18714530.0));
    assert_same_bits(&sample, &case.f32s("final"), "final");
}

#[test]
fn whole_loops_from_a_torch_seed_are_those_of_diffusers() {
    for (name, case) in cases("loop") {
        let steps = case.usize("steps");
        let config = Config::default();
        let tables = Tables::new(&config, steps, steps).unwrap();
        let (mu, s2) = (case.f32s("mu"), case.f32s("s2")[0]);
        let mut generators = [TorchCpu::new(case.bits("seed")[0])];
        let (mut sample, mut score, mut noise) =
            (vec![0.0; mu.len()], vec![0.0; mu.len()], vec![0.0; mu.len()]);
        let options =
            SamplerOptions { noise: SamplerNoise::Given, norm: Norm::Torch, ..SamplerOptions::default() };
        let mut sampler = Sampler::new(&config, case.usizes("shape")[0], options).unwrap();
        loop {
            let buffers = Buffers::new(&mut sample, &score);
            let request = sampler.next_drawing(&tables.schedule(), buffers, &mut generators, &mut noise);
            let Request::Score { sigma, .. } = request.unwrap() else {
                break;
            };
            let denominator = sigma * sigma + s2;
            for ((score, x), mu) in score.iter_mut().zip(&sample).zip(&mu) {
                *score = (mu - x) / denominator;
            }
        }
        let want = case.f32s("final");
        let worst = sample.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-6, "{name}: {worst:e}");
        let picture: Vec<u64> = sample.iter().map(|x| (x * 255.0).round_ties_even() as u64).collect();
        assert_eq!(picture, case.bits("picture"), "{name}");
        println!("{name}: largest difference {worst:e}");
    }
}
