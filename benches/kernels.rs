//! Every kernel and every source of noise, each beside a memcpy of the bytes that it moves, at three sizes: 4×64×64 and
//! 3×256×256, which fit caches, and 3×1024×1024, which does not fit most. `cargo bench`; `cargo bench -- pred` for some.
//!
//! Throughput is in elements: at 1 Gelem/s an element takes 1 ns. Compare ratios within one run; machines drift.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use vesde::{
    Averaging, Config, Counter, Norm, Schedule, Scheduler, TorchCpu, Update, fill_from_rng, norm_blocks,
    scale_model_input, set_sigmas, set_timesteps, sum_squares, torch_norm,
};

const SIZES: [usize; 3] = [4 * 64 * 64, 3 * 256 * 256, 3 * 1024 * 1024];
const TIMESTEP: f32 = 0.5;

struct Buffers {
    sample: Vec<f32>,
    score: Vec<f32>,
    noise: Vec<f32>,
    mean: Vec<f32>,
}

impl Buffers {
    fn new(len: usize) -> Self {
        let noise = |stream| {
            let mut out = vec![0.0; len];
            Counter::new(1, stream).fill(&mut out).expect("a length");
            out
        };
        Self { sample: noise(1), score: noise(2), noise: noise(3), mean: noise(4) }
    }
}

/// Copies as many floats as a kernel reads and writes, over two: memcpy's figure for the same traffic.
fn memcpy(group: &mut BenchmarkGroup<'_, WallTime>, len: usize, floats_moved: usize) {
    let from = vec![1.0_f32; len * floats_moved / 2];
    let mut to = vec![0.0_f32; from.len()];
    group.bench_function(format!("{len}/memcpy of {floats_moved} floats each"), |b| {
        b.iter(|| black_box(&mut to[..]).copy_from_slice(black_box(&from)));
    });
}

fn group<'a>(c: &'a mut Criterion, name: &str, len: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(len as u64));
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(900))
        .sample_size(20);
    group
}

fn steps(c: &mut Criterion) {
    let config = Config::default();
    let [mut timesteps, mut sigmas, mut discrete_sigmas] = [(); 3].map(|()| vec![0.0; 1000]);
    set_timesteps(&config, &mut timesteps).expect("a length");
    set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas).expect("lengths");
    let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
    let scheduler = Scheduler { config, schedule };
    let counter = Counter::new(42, 0);

    for len in SIZES {
        let Buffers { mut sample, score, noise, mut mean } = Buffers::new(len);

        let mut pred = group(c, "step_pred", len);
        memcpy(&mut pred, len, 3);
        pred.bench_function(format!("{len}/counter noise, in place"), |b| {
            b.iter(|| scheduler.step_pred(&score, &[TIMESTEP], Update::in_place(&mut sample), counter));
        });
        memcpy(&mut pred, len, 4);
        pred.bench_function(format!("{len}/noise given, in place"), |b| {
            b.iter(|| scheduler.step_pred(&score, &[TIMESTEP], Update::in_place(&mut sample), &noise[..]));
        });
        memcpy(&mut pred, len, 5);
        pred.bench_function(format!("{len}/noise given, with mean"), |b| {
            b.iter(|| {
                let update = Update::in_place(&mut sample).with_mean(&mut mean);
                scheduler.step_pred(&score, &[TIMESTEP], update, &noise[..])
            });
        });
        pred.finish();

        let mut correct = group(c, "step_correct", len);
        memcpy(&mut correct, len, 6);
        for (name, norm) in [("exact norm", Norm::Exact), ("torch norm", Norm::Torch)] {
            correct.bench_function(format!("{len}/noise given, {name}"), |b| {
                b.iter(|| {
                    scheduler.step_correct(
                        &score,
                        1,
                        Averaging::Batch,
                        norm,
                        Update::in_place(&mut sample),
                        &noise[..],
                    )
                });
            });
        }
        correct.bench_function(format!("{len}/counter noise, exact norm"), |b| {
            b.iter(|| {
                let update = Update::in_place(&mut sample);
                scheduler.step_correct(&score, 1, Averaging::Batch, Norm::Exact, update, counter)
            });
        });
        correct.bench_function(format!("{len}/noise given, exact norm, four samples by themselves"), |b| {
            b.iter(|| {
                let update = Update::in_place(&mut sample);
                scheduler.step_correct(&score, 4, Averaging::PerSample, Norm::Exact, update, &noise[..])
            });
        });
        correct.finish();

        let mut add = group(c, "add_noise", len);
        memcpy(&mut add, len, 3);
        add.bench_function(format!("{len}/noise given"), |b| {
            b.iter(|| scheduler.add_noise(&score, &[500], &noise[..], &mut sample));
        });
        memcpy(&mut add, len, 2);
        add.bench_function(format!("{len}/counter noise"), |b| {
            b.iter(|| scheduler.add_noise(&score, &[500], counter, &mut sample));
        });
        add.finish();

        let mut scale = group(c, "scale_model_input", len);
        memcpy(&mut scale, len, 2);
        scale.bench_function(format!("{len}/out of place"), |b| {
            b.iter(|| scale_model_input(&score, &mut sample));
        });
        scale.finish();

        let mut norm = group(c, "norm", len);
        memcpy(&mut norm, len, 1);
        let mut blocks = vec![0.0; norm_blocks(len)];
        norm.bench_function(format!("{len}/sum of squares"), |b| {
            b.iter(|| sum_squares(&score, black_box(&mut blocks)));
        });
        norm.bench_function(format!("{len}/torch norm"), |b| {
            b.iter(|| torch_norm(black_box(&score)));
        });
        norm.bench_function(format!("{len}/sum of squares, counter noise"), |b| {
            b.iter(|| counter.sum_squares(len, black_box(&mut blocks)));
        });
        norm.finish();
    }
}

fn noise(c: &mut Criterion) {
    for len in SIZES {
        let mut out = vec![0.0; len];
        let mut group = group(c, "noise", len);
        memcpy(&mut group, len, 1);
        group.bench_function(format!("{len}/counter"), |b| {
            b.iter(|| Counter::new(1, 2).fill(black_box(&mut out)));
        });
        group.bench_function(format!("{len}/torch cpu"), |b| {
            let mut state = TorchCpu::new(1);
            b.iter(|| state.fill(black_box(&mut out)));
        });
        group.bench_function(format!("{len}/xoshiro256++"), |b| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
            b.iter(|| fill_from_rng(&mut rng, black_box(&mut out)));
        });
        group.finish();
    }
}

fn schedule(c: &mut Criterion) {
    const N: usize = 2000;
    let mut group = group(c, "schedule", N);
    memcpy(&mut group, N, 3);
    let [mut timesteps, mut sigmas, mut discrete_sigmas] = [(); 3].map(|()| vec![0.0; N]);
    group.bench_function("2000/set_timesteps and set_sigmas", |b| {
        b.iter(|| {
            let config = black_box(Config::default());
            set_timesteps(&config, &mut timesteps)?;
            set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)
        });
    });
    group.finish();
}

criterion_group!(benches, steps, noise, schedule);
criterion_main!(benches);
