//! Every level of vector instructions gives the same bits: for a list of jobs, the hash of what the
//! job computes is compared with the committed file, hashes.txt. Other targets run this file as it
//! is. `VESDE_BLESS=1 cargo test --test levels` writes it anew: a change there is a breaking
//! change.

use std::fmt::Write;

use vesde::inverse::{Imputation, Recolouring, guide, impute, recolour};
use vesde::noise::{CudaGrid, Numpy, TorchCpu, TorchCuda, fill_from_rng};
use vesde::norms::{NORM_BLOCK, norm_blocks, sum_squares, torch_norm};
use vesde::ode::{Divergence, Ode, OdeBuffers, OdeDirection, OdeOptions, OdeRequest, OdeVariable};
use vesde::{
    Averaging, Buffers, Churn, Config, Counter, Method, Noise, Norm, Prediction, Predictor, Request, Sampler,
    SamplerOptions, Schedule, Scheduler, SimdLevel, Step, limit_simd_level, set_karras_sigmas, set_sigmas,
    set_timesteps, simd_level,
};

/// FNV-1a over the little-endian bytes of floats.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fn floats(&mut self, floats: &[f32]) {
        for x in floats {
            self.bytes(&x.to_le_bytes());
        }
    }
}

/// Lengths about a register, a group, a block of counter noise and a block of a norm.
fn lengths() -> impl Iterator<Item = usize> {
    (1..=3 * 64 + 1).chain([1023, 1024, 1025, NORM_BLOCK - 1, NORM_BLOCK, NORM_BLOCK + 1, 3 * 1024 + 1])
}

fn counter(noise: Counter, len: usize) -> Vec<f32> {
    let mut out = vec![0.0; len];
    noise.fill(&mut out[..]).unwrap();
    out
}

/// A step of a length.
type Run<'r> = dyn Fn(usize, Step<'_>) + 'r;

/// What is done with noise, three buffers of a length and an output.
type RunOn = dyn Fn(usize, Noise<'_>, &[&[f32]; 3], &mut [f32]);

/// Jobs along a table of sigmas.
fn few_call_jobs() -> [(&'static str, SamplerOptions); 6] {
    let options = |method, prediction, eta| SamplerOptions {
        seed: 12,
        method,
        prediction,
        eta,
        unclamped: true,
        ..Default::default()
    };
    let churn = Churn { s_churn: 2.0, s_tmin: 0.1, ..Default::default() };
    [
        ("dpmpp2m_sde", options(Method::Dpmpp2m, Prediction::Score, 1.0)),
        ("dpmpp3m", options(Method::Dpmpp3m, Prediction::Denoised, 0.0)),
        ("unipc3", options(Method::Unipc3, Prediction::Epsilon, 0.0)),
        ("heun_churn", SamplerOptions { churn, ..options(Method::Heun, Prediction::Score, 0.0) }),
        ("dpmpp2s_ancestral_v", options(Method::Dpmpp2s, Prediction::V, 1.0)),
        (
            "lms_clamped",
            SamplerOptions {
                clamp_denoised: Some((-0.5, 0.75)),
                ..options(Method::Lms, Prediction::Score, 0.0)
            },
        ),
    ]
}

/// What a job makes of `len` floats, and its last preview. Its network is of no use, but has the
/// same bits everywhere.
fn few_calls(config: &Config, options: SamplerOptions, len: usize) -> Vec<f32> {
    const CALLS: usize = 6;
    let mut sigmas = [0.0; CALLS + 1];
    set_karras_sigmas(0.02, 10.0, 7.0, &mut sigmas[..CALLS]).unwrap();
    let schedule = Schedule { timesteps: &[], sigmas: &sigmas, discrete_sigmas: &[] };
    let mut sampler = Sampler::new(config, 1, options).unwrap();
    let (mut x, mut output) = (vec![0.0; 2 * len], vec![0.0; len]);
    let mut workspace = vec![0.0; sampler.workspace_len(len).unwrap()];
    let (sample, denoised) = x.split_at_mut(len);
    loop {
        let buffers = Buffers::new(sample, &output).with_workspace(&mut workspace);
        let request = sampler.next(&schedule, buffers.with_denoised(&mut *denoised)).unwrap();
        let Request::Score { sigma, .. } = request else { break };
        for (output, x) in output.iter_mut().zip(&*sample) {
            *output = (0.5 - x) / (sigma * sigma + 0.04);
        }
    }
    x
}

/// One line a job: its name and the hash of all that it computes.
fn hashes() -> String {
    let config = Config::default();
    let [mut timesteps, mut sigmas, mut discrete_sigmas] = [(); 3].map(|()| vec![0.0; 50]);
    set_timesteps(&config, &mut timesteps[..]).unwrap();
    set_sigmas(&config, &timesteps, &mut sigmas[..], &mut discrete_sigmas[..]).unwrap();
    let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
    let scheduler = Scheduler { config, schedule };
    let mut lines = String::new();
    let mut job = |name: &str, run: &dyn Fn(&mut Hash)| {
        let mut hash = Hash::new();
        run(&mut hash);
        writeln!(lines, "{name} {:016x}", hash.0).unwrap();
    };

    job("schedule", &|hash| {
        for table in [&timesteps, &sigmas, &discrete_sigmas] {
            hash.floats(table);
        }
    });
    job("counter_noise", &|hash| {
        for len in lengths() {
            hash.floats(&counter(Counter { seed: 1, stream: len as u64, index: 37 * len as u64 }, len));
        }
    });
    job("torch_cpu", &|hash| {
        let mut state = TorchCpu::new(3);
        for len in lengths() {
            let mut z = vec![0.0; len];
            state.fill(&mut z[..]).unwrap();
            hash.floats(&z);
        }
    });
    job("torch_cuda", &|hash| {
        for (multiprocessors, threads_per_multiprocessor) in [(1, 256), (2, 1024), (u32::MAX, u32::MAX)] {
            let mut state = TorchCuda::new(3, CudaGrid { multiprocessors, threads_per_multiprocessor });
            for len in lengths() {
                let mut z = vec![0.0; len];
                state.fill(&mut z[..]).unwrap();
                hash.floats(&z);
            }
        }
    });
    job("numpy", &|hash| {
        let mut z = vec![0.0; 10_000];
        Numpy::new(3).fill(&mut z[..]).unwrap();
        hash.floats(&z);
    });
    job("rand_core", &|hash| {
        use rand_xoshiro::rand_core::SeedableRng;
        let mut z = vec![0.0; 1000];
        fill_from_rng(&mut rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(4), &mut z[..]);
        hash.floats(&z);
    });
    for (name, given) in [("given", true), ("counter", false)] {
        let each = |hash: &mut Hash, run: &Run| {
            for len in lengths() {
                for offset in [0, 1, 3, 7] {
                    let noise = Counter { seed: 2, stream: 5, index: offset as u64 };
                    let (z, score) = (counter(noise, len), counter(Counter::new(6, 7), len));
                    let noise = if given { Noise::from(&z[..]) } else { noise.into() };
                    // At several alignments, in place and not, with the mean and without.
                    let mut sample = counter(Counter::new(8, 9), len + offset);
                    let (mut prev, mut mean) = (vec![0.0; len + offset], vec![0.0; len]);
                    let step = Step::new(&score, &sample[offset..], &mut prev[offset..]);
                    run(len, step.with_noise(noise).with_mean(&mut mean[..]));
                    run(len, Step::in_place(&score, &mut sample[offset..]).with_noise(noise));
                    assert!(prev == sample || offset > 0 && prev[offset..] == sample[offset..]);
                    hash.floats(&prev[offset..]);
                    hash.floats(&mean);
                }
            }
        };
        job(&format!("step_pred_{name}"), &|hash| {
            each(hash, &|_, step| scheduler.step_pred(&[0.75], step).unwrap());
        });
        for (norm, kind) in [("exact", Norm::Exact), ("torch", Norm::Torch)] {
            job(&format!("step_correct_{norm}_{name}"), &|hash| {
                each(hash, &|len, step| {
                    let step = step.with_batch(if len % 3 == 0 { 3 } else { 1 });
                    scheduler.step_correct(Averaging::PerSample, kind, step).unwrap();
                });
            });
        }
        job(&format!("euler_maruyama_{name}"), &|hash| {
            each(hash, &|_, step| {
                scheduler.step_pred(&[0.75], step.with_predictor(Predictor::EulerMaruyama)).unwrap();
            });
        });
        job(&format!("add_noise_{name}"), &|hash| {
            for len in lengths() {
                let noise = Counter::new(3, len as u64);
                let (x, z) = (counter(Counter::new(1, 1), len), counter(noise, len));
                let noise = if given { Noise::from(&z[..]) } else { noise.into() };
                let mut noisy = vec![0.0; len];
                scheduler.add_noise(&x, 1, &[20], noise, &mut noisy[..]).unwrap();
                hash.floats(&noisy);
            }
        });
    }
    job("norms", &|hash| {
        for len in lengths() {
            let noise = Counter { seed: 1, stream: 2, index: len as u64 };
            let x = counter(noise, len);
            let mut blocks = vec![0.0; norm_blocks(len)];
            sum_squares(&x, len, &mut blocks).unwrap();
            blocks.push(torch_norm(&x, len).unwrap());
            for block in blocks {
                hash.bytes(&block.to_le_bytes());
            }
        }
    });
    // Data and their code, and log-densities: by the probability-flow ODE in both variables.
    for (name, direction, variable, divergence) in [
        ("ode", OdeDirection::Sampling, OdeVariable::Time, Divergence::None),
        ("likelihood", OdeDirection::Encoding, OdeVariable::Sigma, Divergence::Differences),
    ] {
        job(name, &|hash| {
            const LEN: usize = 2 * 77;
            let options =
                OdeOptions { seed: 12, rtol: 1e-4, direction, variable, divergence, ..Default::default() };
            let mut ode = Ode::new(&config, 2, options).unwrap();
            let mut x = counter(Counter::new(1, 1), LEN);
            let (mut input, mut score, mut workspace) = ([0.0; LEN], [0.0; LEN], [0.0; 6 * LEN]);
            let mut log_densities = [0.0; 2 * 9];
            loop {
                let buffers = OdeBuffers::new(&mut x, &mut input, &score, &mut workspace);
                let request = ode.next(buffers.with_log_densities(&mut log_densities)).unwrap();
                let OdeRequest::Score { sigma, .. } = request else { break };
                for (score, x) in score.iter_mut().zip(&input) {
                    *score = (0.5 - x) / (sigma * sigma + 0.04);
                }
            }
            hash.floats(&x);
            for density in &log_densities[..2] {
                hash.bytes(&density.to_le_bytes());
            }
            hash.bytes(&ode.stats().evaluations.to_le_bytes());
        });
    }
    job("sampler", &|hash| {
        let (mut x, mut score) = (vec![0.0; 2 * 77], vec![0.0; 2 * 77]);
        let mut sampler =
            Sampler::new(&config, 2, SamplerOptions { seed: 12, ..Default::default() }).unwrap();
        while let Request::Score { sigma, .. } =
            sampler.next(&schedule, Buffers::new(&mut x, &score)).unwrap()
        {
            for (score, x) in score.iter_mut().zip(&x) {
                *score = (0.5 - x) / (sigma * sigma + 0.04);
            }
        }
        hash.floats(&x);
    });
    // One job a kind of method along sigmas: kernels that keep, sums that are kept, trials.
    for (name, options) in few_call_jobs() {
        job(name, &|hash| {
            for len in [1, 63, 64, 65, 1025] {
                hash.floats(&few_calls(&config, options, len));
            }
        });
    }
    for (name, given) in [("given", true), ("counter", false)] {
        let each = |hash: &mut Hash, step: usize, run: &RunOn| {
            for len in lengths().map(|len| len / step * step).filter(|&len| len > 0) {
                for offset in [0, 7] {
                    let place = Counter { seed: 2, stream: 5, index: offset as u64 };
                    let [data, sample, mask] = [(6, 7), (8, 9), (10, 11)]
                        .map(|(seed, stream)| counter(Counter::new(seed, stream), len));
                    let (z, mut out) = (counter(place, len), vec![0.0; len + offset]);
                    let noise = if given { Noise::from(&z[..]) } else { place.into() };
                    run(len, noise, &[&data, &sample, &mask], &mut out[offset..]);
                    hash.floats(&out[offset..]);
                }
            }
        };
        job(&format!("impute_{name}"), &|hash| {
            each(hash, 1, &|_, noise, [data, sample, mask], out| {
                impute(Imputation::new(data, mask, sample, out).with_noise(1.5, noise)).unwrap();
            });
        });
        job(&format!("recolour_{name}"), &|hash| {
            each(hash, 3, &|len, noise, [gray, sample, _], out| {
                let job = Recolouring::new(gray, sample, out).with_batch(if len % 2 == 0 { 2 } else { 1 });
                recolour(job.with_noise(1.5, noise)).unwrap();
            });
        });
    }
    job("guide", &|hash| {
        for len in lengths() {
            let [u, c] = [(6, 7), (8, 9)].map(|(seed, stream)| counter(Counter::new(seed, stream), len));
            let mut out = vec![0.0; len];
            guide(&u, &c, 1.5, &mut out[..]).unwrap();
            hash.floats(&out);
        }
    });
    job("words", &|hash| {
        let mut state = TorchCpu::new(3);
        for len in lengths() {
            let mut out = vec![0.0; len];
            state.uniform(&mut out[..]).unwrap();
            hash.floats(&out);
            state.rademacher(&mut out[..]).unwrap();
            hash.floats(&out);
            Counter { seed: 1, stream: len as u64, index: 0 }.rademacher(&mut out[..]).unwrap();
            hash.floats(&out);
        }
    });
    lines
}

#[test]
fn every_level_gives_the_committed_bits() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/ffi-tests/hashes.txt");
    if std::env::var_os("VESDE_BLESS").is_some() {
        limit_simd_level(SimdLevel::Baseline);
        std::fs::write(file, hashes()).unwrap();
    }
    let committed = include_str!("hashes.txt");
    let mut levels = vec![];
    for highest in [SimdLevel::Baseline, SimdLevel::Avx2, SimdLevel::Avx512] {
        let level = limit_simd_level(highest);
        assert!(level <= highest && level == simd_level());
        if !levels.contains(&level) {
            levels.push(level);
            assert_eq!(hashes(), committed, "{level:?}");
        }
    }
    println!("the same bits on {levels:?}");
}
