//! Every kernel and every source of noise, at every level of SIMD that the machine has and at three
//! sizes, each beside its two limits in the same run: a memcpy of the bytes that it moves, and a
//! bare loop that reads and writes the same streams. `cargo bench`; `cargo bench --
//! 'step_pred/avx512'` for some.
//!
//! Throughput is in elements: at 1 Gelem/s an element takes 1 ns. Compare ratios within one run;
//! machines drift.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use vesde::inverse::{Imputation, Recolouring, decouple, guide, impute, recolour};
use vesde::noise::{CudaGrid, Numpy, TorchCpu, TorchCuda, fill_from_rng};
use vesde::norms::{norm_blocks, sum_squares, torch_norm};
use vesde::ode::{Ode, OdeBuffers, OdeDots, OdeOptions};
use vesde::{
    Averaging, Buffers, Combination, Config, Counter, Method, Noise, Norm, Sampler, SamplerNoise,
    SamplerOptions, Schedule, Scheduler, SimdLevel, Step, limit_simd_level, linear, set_karras_sigmas,
    set_sigmas, set_timesteps,
};

/// Floats of a buffer, and how many sets of four buffers a benchmark takes in turn: one set for
/// caches, and for DRAM 768 MB, far beyond any of them.
const SIZES: [(&str, usize, usize); 3] =
    [("L1 4096", 4096, 1), ("L2 3x256x256", 3 * 256 * 256, 1), ("DRAM 3x1024x1024", 3 * 1024 * 1024, 16)];
/// Floats of all buffers at the largest size.
const MEMORY: usize = 3 * 1024 * 1024 * 4 * 16;
const TIMESTEP: f32 = 0.5;
const INDEX: i64 = 500;

/// The factors of the bare loops: any but 0 and 1, which could be left out.
const A: f32 = 0.01;
const B: f32 = 0.1;

/// A loop that does nothing but a kernel's loads, stores and arithmetic, compiled for each level:
/// the kernel's limit where it makes no noise. `LANES` are the level's.
macro_rules! bare_loop {
    ($name:ident$(<const $n:ident>)?($($arg:ident: $type:ty),*) $body:block) => {
        fn $name$(<const $n: usize>)?(level: SimdLevel $(, $arg: $type)*) {
            fn baseline$(<const $n: usize>)?($($arg: $type),*) {
                #[allow(dead_code)]
                const LANES: usize = 4;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2$(<const $n: usize>)?($($arg: $type),*) {
                #[allow(dead_code)]
                const LANES: usize = 8;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
            fn avx512$(<const $n: usize>)?($($arg: $type),*) {
                #[allow(dead_code)]
                const LANES: usize = 16;
                $body
            }
            match level {
                // SAFETY: `levels` gives levels that this machine has.
                #[cfg(target_arch = "x86_64")]
                SimdLevel::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                SimdLevel::Avx2 => unsafe { avx2($($arg),*) },
                _ => baseline($($arg),*),
            }
        }
    };
}

bare_loop!(read_1(x: &[f32]) {
    let mut sums = [0.0; 8 * LANES];
    for x in x.as_chunks::<{ 8 * LANES }>().0 {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x * x;
        }
    }
    black_box(sums);
});
bare_loop!(write_1(out: &mut [f32]) {
    for out in out {
        *out = A;
    }
});
bare_loop!(read_1_write_1(x: &[f32], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = B * x;
    }
});
bare_loop!(read_2_write_1_elsewhere(x: &[f32], z: &[f32], out: &mut [f32]) {
    for ((out, x), z) in out.iter_mut().zip(x).zip(z) {
        *out = B * z + x;
    }
});
bare_loop!(read_2_write_1(x: &mut [f32], m: &[f32]) {
    for (x, m) in x.iter_mut().zip(m) {
        *x += A * m;
    }
});
bare_loop!(read_2_write_2(x: &mut [f32], m: &[f32], mean: &mut [f32]) {
    for ((x, m), mean) in x.iter_mut().zip(m).zip(mean) {
        *mean = *x + A * m;
        *x = *mean + B;
    }
});
bare_loop!(read_3_write_1(x: &mut [f32], m: &[f32], z: &[f32]) {
    for ((x, m), z) in x.iter_mut().zip(m).zip(z) {
        *x = *x + A * m + B * z;
    }
});
bare_loop!(read_3_write_2_in_place(x: &mut [f32], m: &[f32], h: &mut [f32]) {
    for ((x, m), h) in x.iter_mut().zip(m).zip(h) {
        let (denoised, sum) = (*x + A * m, B * *x + A * *h);
        *x = sum + B * m;
        *h = denoised;
    }
});
bare_loop!(read_4_write_2_in_place(x: &mut [f32], m: &[f32], h: &mut [f32], z: &[f32]) {
    for (((x, m), h), z) in x.iter_mut().zip(m).zip(h).zip(z) {
        let (denoised, sum) = (*x + A * m, B * *x + A * *h);
        *x = sum + B * m + A * z;
        *h = denoised;
    }
});
bare_loop!(read_3_write_2(x: &mut [f32], m: &[f32], z: &[f32], mean: &mut [f32]) {
    for (((x, m), z), mean) in x.iter_mut().zip(m).zip(z).zip(mean) {
        *mean = *x + A * m;
        *x = *mean + B * z;
    }
});

bare_loop!(read_3_write_1_masked(x: &mut [f32], d: &[f32], m: &[f32]) {
    for ((x, d), m) in x.iter_mut().zip(d).zip(m) {
        *x = *x * (1.0 - m) + d * m;
    }
});
bare_loop!(read_4_write_1_masked(x: &mut [f32], d: &[f32], m: &[f32], z: &[f32]) {
    for (((x, d), m), z) in x.iter_mut().zip(d).zip(m).zip(z) {
        *x = *x * (1.0 - m) + (d + z * A) * m;
    }
});
bare_loop!(read_3_write_3_mixed(x: &[f32], out: &mut [f32]) {
    let (pixels, fma) = (x.len() / 3, fused::<LANES>);
    let Ok([y0, y1, y2]) = out.get_disjoint_mut([0..pixels, pixels..2 * pixels, 2 * pixels..3 * pixels]) else {
        return;
    };
    let x = [0, 1, 2].map(|i| &x[i * pixels..][..pixels]);
    for i in 0..pixels {
        let (a, b, c) = (x[0][i], x[1][i], x[2][i]);
        y0[i] = fma(c, 0.1, fma(b, 0.2, a * 0.3));
        y1[i] = fma(c, 0.4, fma(b, 0.5, a * 0.6));
        y2[i] = fma(c, 0.7, fma(b, 0.8, a * 0.9));
    }
});
bare_loop!(read_7_write_3_mixed(x: &mut [f32], gray: &[f32], z: &[f32]) {
    let (pixels, fma) = (x.len() / 3, fused::<LANES>);
    let Ok([x0, x1, x2]) = x.get_disjoint_mut([0..pixels, pixels..2 * pixels, 2 * pixels..3 * pixels]) else {
        return;
    };
    let (g, z) = ([0, 1, 2].map(|i| &gray[i * pixels..][..pixels]), &z[..pixels]);
    for i in 0..pixels {
        let known = fma(g[2][i], 0.11, fma(g[1][i], 0.12, g[0][i] * 0.13)) + z[i] * A;
        let (a, b, c) = (x0[i], x1[i], x2[i]);
        let (b, c) = (fma(c, 0.4, fma(b, 0.5, a * 0.6)), fma(c, 0.7, fma(b, 0.8, a * 0.9)));
        x0[i] = fma(c, 0.21, fma(b, 0.22, known * 0.23));
        x1[i] = fma(c, 0.31, fma(b, 0.32, known * 0.33));
        x2[i] = fma(c, 0.41, fma(b, 0.42, known * 0.43));
    }
});

/// `x·y + z`, fused where the level has an instruction for it.
#[inline(always)]
fn fused<const LANES: usize>(x: f32, y: f32, z: f32) -> f32 {
    if LANES > 4 { x.mul_add(y, z) } else { x * y + z }
}

bare_loop!(read_many<const N>(ins: [&[f32]; N]) {
    let ins = ins.map(|x| x.as_chunks::<{ 8 * LANES }>().0);
    let mut sums = [0.0; 8 * LANES];
    for i in 0..ins[0].len() {
        for x in ins.iter().filter_map(|x| x.get(i)) {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum += x;
            }
        }
    }
    black_box(sums);
});
bare_loop!(read_many_write_2<const N>(ins: [&[f32]; N], out: &mut [f32], other: &mut [f32]) {
    let ins = ins.map(|x| x.as_chunks::<{ 2 * LANES }>().0);
    let outs = out.as_chunks_mut::<{ 2 * LANES }>().0.iter_mut().zip(other.as_chunks_mut().0);
    for (i, (out, other)) in outs.enumerate() {
        let mut sums = [0.0; 2 * LANES];
        for x in ins.iter().filter_map(|x| x.get(i)) {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum += A * x;
            }
        }
        *out = sums;
        *other = sums.map(|x| B * x);
    }
});
bare_loop!(read_2_write_3(x: &mut [f32], m: &[f32], y: &mut [f32], k: &mut [f32]) {
    for (((x, m), y), k) in x.iter_mut().zip(m).zip(y).zip(k) {
        *y = *x;
        *k = A * m;
        *x += B * *k;
    }
});
/// One benchmark's buffers for one call.
struct Set<'a> {
    sample: &'a mut [f32],
    score: &'a [f32],
    noise: &'a mut [f32],
    mean: &'a mut [f32],
}

/// Sets of buffers that are used in turn.
struct Sets<'a> {
    sets: Vec<Set<'a>>,
    next: usize,
}

impl<'a> Sets<'a> {
    fn new(memory: &'a mut [f32], len: usize, count: usize) -> Self {
        let mut buffers = memory.chunks_exact_mut(len);
        let mut buffer = || buffers.next().expect("memory for all sets");
        let set = |_| Set { sample: buffer(), score: buffer(), noise: buffer(), mean: buffer() };
        Self { sets: (0..count).map(set).collect(), next: 0 }
    }

    fn next(&mut self) -> &mut Set<'a> {
        self.next = if self.next + 1 < self.sets.len() { self.next + 1 } else { 0 };
        &mut self.sets[self.next]
    }

    /// Copies as many floats as a kernel reads and writes, over two.
    fn memcpy(&mut self, floats_moved: usize) {
        for copy in 0..floats_moved.div_ceil(2) {
            let Set { sample, score, noise, mean } = self.next();
            let (from, to) = if copy % 2 == 0 { (*score, sample) } else { (&**noise, mean) };
            let len = if 2 * copy + 1 == floats_moved { from.len() / 2 } else { from.len() };
            black_box(&mut to[..len]).copy_from_slice(black_box(&from[..len]));
        }
    }
}

/// Standard normal floats, aligned to cache lines as tensors are.
struct Memory {
    floats: Vec<f32>,
    start: usize,
}

impl Memory {
    fn new() -> Self {
        let mut floats = vec![0.0; MEMORY + 16];
        let start = floats.as_ptr().align_offset(64);
        Counter::new(1, 0).fill(&mut floats[..]).expect("a length");
        Self { floats, start }
    }

    fn get(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..self.start + MEMORY]
    }
}

/// The levels that this machine has, each in use while it is the item.
fn levels() -> impl Iterator<Item = (SimdLevel, &'static str)> {
    [(SimdLevel::Baseline, "baseline"), (SimdLevel::Avx2, "avx2"), (SimdLevel::Avx512, "avx512")]
        .into_iter()
        .filter(|&(level, _)| limit_simd_level(level) == level)
}

fn group<'a>(c: &'a mut Criterion, name: &str, len: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(len as u64));
    group
}

/// Tables of 1000 steps.
struct Tables {
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    discrete_sigmas: Vec<f32>,
}

impl Tables {
    fn new() -> Self {
        let config = Config::default();
        let [mut timesteps, mut sigmas, mut discrete_sigmas] = [(); 3].map(|()| vec![0.0; 1000]);
        set_timesteps(&config, &mut timesteps[..]).expect("a length");
        set_sigmas(&config, &timesteps, &mut sigmas[..], &mut discrete_sigmas[..]).expect("lengths");
        Self { timesteps, sigmas, discrete_sigmas }
    }

    fn scheduler(&self) -> Scheduler<'_> {
        let Self { timesteps, sigmas, discrete_sigmas } = self;
        Scheduler { config: Config::default(), schedule: Schedule { timesteps, sigmas, discrete_sigmas } }
    }
}

/// Declares a benchmark: its name, and what it does with the next set of buffers.
macro_rules! bench {
    ($group:expr, $sets:expr, $name:expr, |$set:ident| $body:expr) => {
        $group.bench_function($name, |b| {
            b.iter(|| {
                let $set = $sets.next();
                $body
            });
        });
    };
}

fn kernels(c: &mut Criterion) {
    let tables = Tables::new();
    let scheduler = tables.scheduler();
    let counter = Counter::new(42, 0);
    let (mut torch, mut numpy) = (TorchCpu::new(42), Numpy::new(42));
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
    let mut memory = Memory::new();

    for (size, len, count) in SIZES {
        let mut blocks = vec![0.0; norm_blocks(len)];
        for (level, name) in levels() {
            let mut sets = Sets::new(memory.get(), len, count);
            let name = |kernel: &str| format!("{kernel}/{name}/{size}");

            let mut g = group(c, &name("step_pred"), len);
            let pred = |step: Step<'_>| scheduler.step_pred(&[TIMESTEP], step).expect("a step");
            g.bench_function("memcpy of 3", |b| b.iter(|| sets.memcpy(3)));
            bench!(g, sets, "bare loop, read 2 write 1", |s| read_2_write_1(level, s.sample, s.score));
            bench!(g, sets, "counter noise", |s| {
                pred(Step::in_place(s.score, s.sample).with_noise(counter));
            });
            bench!(g, sets, "torch noise", |s| {
                torch.fill(&mut *s.noise).expect("a length");
                pred(Step::in_place(s.score, s.sample).with_noise(&*s.noise));
            });
            g.bench_function("memcpy of 4", |b| b.iter(|| sets.memcpy(4)));
            bench!(g, sets, "bare loop, read 3 write 1", |s| {
                read_3_write_1(level, s.sample, s.score, s.noise);
            });
            bench!(g, sets, "noise given", |s| {
                pred(Step::in_place(s.score, s.sample).with_noise(&*s.noise));
            });
            bench!(g, sets, "bare loop, read 2 write 2", |s| {
                read_2_write_2(level, s.sample, s.score, s.mean);
            });
            bench!(g, sets, "counter noise, with mean", |s| {
                pred(Step::in_place(s.score, s.sample).with_noise(counter).with_mean(&mut *s.mean));
            });
            g.bench_function("memcpy of 5", |b| b.iter(|| sets.memcpy(5)));
            bench!(g, sets, "bare loop, read 3 write 2", |s| {
                read_3_write_2(level, s.sample, s.score, s.noise, s.mean);
            });
            bench!(g, sets, "noise given, with mean", |s| {
                pred(Step::in_place(s.score, s.sample).with_noise(&*s.noise).with_mean(&mut *s.mean));
            });
            g.finish();

            let mut g = group(c, &name("step_correct"), len);
            let correct = |s: &mut Set<'_>, (batch, averaging), norm| {
                let step = Step::in_place(s.score, s.sample).with_batch(batch).with_noise(&*s.noise);
                scheduler.step_correct(averaging, norm, step).expect("a step");
            };
            let whole = (1, Averaging::Batch);
            g.bench_function("memcpy of 4", |b| b.iter(|| sets.memcpy(4)));
            bench!(g, sets, "bare loops, read 1, read 2 write 1", |s| {
                read_1(level, s.score);
                read_2_write_1(level, s.sample, s.score);
            });
            bench!(g, sets, "counter noise, exact norm", |s| {
                let step = Step::in_place(s.score, s.sample).with_noise(counter);
                scheduler.step_correct(Averaging::Batch, Norm::Exact, step).expect("a step");
            });
            bench!(g, sets, "torch noise, torch norm", |s| {
                torch.fill(&mut *s.noise).expect("a length");
                correct(s, whole, Norm::Torch);
            });
            g.bench_function("memcpy of 6", |b| b.iter(|| sets.memcpy(6)));
            bench!(g, sets, "bare loops, read 2, read 3 write 1", |s| {
                read_1(level, s.score);
                read_1(level, s.noise);
                read_3_write_1(level, s.sample, s.score, s.noise);
            });
            bench!(g, sets, "noise given, exact norm", |s| correct(s, whole, Norm::Exact));
            bench!(g, sets, "noise given, exact norm, four samples", |s| {
                correct(s, (4, Averaging::Batch), Norm::Exact);
            });
            bench!(g, sets, "noise given, exact norm, four samples by themselves", |s| {
                correct(s, (4, Averaging::PerSample), Norm::Exact);
            });
            bench!(g, sets, "noise given, torch norm", |s| correct(s, whole, Norm::Torch));
            g.finish();

            let mut g = group(c, &name("add_noise"), len);
            g.bench_function("memcpy of 2", |b| b.iter(|| sets.memcpy(2)));
            bench!(g, sets, "bare loop, read 1 write 1", |s| read_1_write_1(level, s.score, s.sample));
            let add = |x: &[f32], noise: Noise<'_>, noisy: &mut [f32]| {
                scheduler.add_noise(x, 1, &[INDEX], noise, noisy).expect("a step");
            };
            bench!(g, sets, "counter noise", |s| add(s.score, counter.into(), s.sample));
            bench!(g, sets, "torch noise", |s| {
                torch.fill(&mut *s.noise).expect("a length");
                add(s.score, Noise::from(&*s.noise), s.sample);
            });
            g.bench_function("memcpy of 3", |b| b.iter(|| sets.memcpy(3)));
            bench!(g, sets, "bare loop, read 2 write 1 elsewhere", |s| {
                read_2_write_1_elsewhere(level, s.score, s.noise, s.sample);
            });
            bench!(g, sets, "noise given", |s| add(s.score, Noise::from(&*s.noise), s.sample));
            g.finish();

            // What explicit solvers do, with a factor at the sample.
            let mut g = group(c, &name("linear"), len);
            g.bench_function("memcpy of 2", |b| b.iter(|| sets.memcpy(2)));
            bench!(g, sets, "bare loop, read 1 write 1", |s| read_1_write_1(level, s.score, s.sample));
            bench!(g, sets, "1 term, out of place", |s| {
                linear(Combination::new(&mut *s.sample).plus(B, s.score)).expect("lengths");
            });
            g.bench_function("memcpy of 3", |b| b.iter(|| sets.memcpy(3)));
            bench!(g, sets, "bare loop, read 2 write 1", |s| read_2_write_1(level, s.sample, s.score));
            bench!(g, sets, "2 terms and counter noise, Euler ancestral", |s| {
                let denoised = Combination::in_place(B, s.sample).plus(A, s.score);
                linear(denoised.plus_noise(B, counter)).expect("lengths");
            });
            g.bench_function("memcpy of 4", |b| b.iter(|| sets.memcpy(4)));
            bench!(g, sets, "bare loop, read 3 write 1", |s| {
                read_3_write_1(level, s.sample, s.score, s.noise);
            });
            bench!(g, sets, "3 terms, DPM++ 2M", |s| {
                let denoised = Combination::in_place(B, s.sample).plus(A, s.score);
                linear(denoised.plus(-A, &*s.noise)).expect("lengths");
            });
            g.finish();

            // Data and gray images are in place of the score, and masks of the mean.
            let mut g = group(c, &name("inverse"), len);
            bench!(g, sets, "bare loop, read 3 write 1, masked", |s| {
                read_3_write_1_masked(level, s.sample, s.score, s.mean);
            });
            bench!(g, sets, "impute", |s| {
                impute(Imputation::in_place(s.score, &*s.mean, s.sample)).expect("lengths");
            });
            bench!(g, sets, "bare loop, read 4 write 1, masked", |s| {
                read_4_write_1_masked(level, s.sample, s.score, s.mean, s.noise);
            });
            bench!(g, sets, "impute, noise given", |s| {
                let job = Imputation::in_place(s.score, &*s.mean, s.sample);
                impute(job.with_noise(A, &*s.noise)).expect("lengths");
            });
            bench!(g, sets, "impute, counter noise", |s| {
                let job = Imputation::in_place(s.score, &*s.mean, s.sample);
                impute(job.with_noise(A, counter)).expect("lengths");
            });
            let image = len / 3 * 3;
            bench!(g, sets, "bare loop, read 7 write 3, mixed", |s| {
                read_7_write_3_mixed(level, &mut s.sample[..image], s.score, s.noise);
            });
            bench!(g, sets, "recolour, noise given", |s| {
                let job = Recolouring::in_place(&s.score[..image], &mut s.sample[..image]);
                recolour(job.with_noise(A, &s.noise[..image])).expect("lengths");
            });
            bench!(g, sets, "recolour, counter noise", |s| {
                let job = Recolouring::in_place(&s.score[..image], &mut s.sample[..image]);
                recolour(job.with_noise(A, counter)).expect("lengths");
            });
            bench!(g, sets, "bare loop, read 3 write 3, mixed", |s| {
                read_3_write_3_mixed(level, &s.score[..image], &mut s.sample[..image]);
            });
            bench!(g, sets, "decouple, elsewhere", |s| {
                decouple(&s.score[..image], 1, &mut s.sample[..image]).expect("lengths");
            });
            bench!(g, sets, "bare loop, read 2 write 1 elsewhere", |s| {
                read_2_write_1_elsewhere(level, s.score, s.noise, s.sample);
            });
            bench!(g, sets, "guide", |s| {
                guide(s.score, &*s.noise, B, &mut *s.sample).expect("lengths");
            });
            g.finish();

            let mut g = group(c, &name("norm"), len);
            g.bench_function("memcpy of 1", |b| b.iter(|| sets.memcpy(1)));
            bench!(g, sets, "bare loop, read 1", |s| read_1(level, s.score));
            bench!(g, sets, "sum of squares", |s| sum_squares(s.score, len, &mut blocks).expect("lengths"));
            bench!(g, sets, "torch norm", |s| torch_norm(s.score, len).expect("a length"));
            g.bench_function("sum of squares, counter noise", |b| {
                b.iter(|| sum_squares(counter, len, &mut blocks).expect("lengths"));
            });
            g.finish();

            let mut g = group(c, &name("noise"), len);
            g.bench_function("memcpy of 1", |b| b.iter(|| sets.memcpy(1)));
            bench!(g, sets, "bare loop, write 1", |s| write_1(level, s.noise));
            bench!(g, sets, "counter", |s| counter.fill(&mut *s.noise).expect("a length"));
            bench!(g, sets, "counter, from the middle of a group", |s| {
                counter.at(1).fill(&mut *s.noise).expect("a length");
            });
            bench!(g, sets, "torch cpu", |s| torch.fill(&mut *s.noise).expect("a length"));
            for gpu in ["T4", "H200"] {
                let grid = CudaGrid::of_gpu(gpu).expect("a GPU");
                let mut cuda = TorchCuda::new(42, grid);
                bench!(g, sets, format!("torch cuda, {gpu}"), |s| cuda
                    .fill(&mut *s.noise)
                    .expect("a length"));
            }
            bench!(g, sets, "numpy", |s| numpy.fill(&mut *s.noise).expect("a length"));
            bench!(g, sets, "xoshiro256++", |s| fill_from_rng(&mut rng, &mut *s.noise));
            g.finish();
        }
        limit_simd_level(SimdLevel::Avx512);
    }
}

/// Sample, input, score and derivatives.
type OdeParts<'a> = (&'a mut [f32], &'a mut [f32], &'a [f32], [&'a mut [f32]; 6]);

/// An ODE job's buffers for one call.
struct OdeSet<'a> {
    sample: &'a mut [f32],
    input: &'a mut [f32],
    score: &'a [f32],
    workspace: &'a mut [f32],
}

impl<'a> OdeSet<'a> {
    /// Floats of a set over those of a sample.
    const BUFFERS: usize = 9;

    fn new(memory: &'a mut [f32], len: usize) -> Self {
        let (sample, rest) = memory.split_at_mut(len);
        let (input, rest) = rest.split_at_mut(len);
        let (score, workspace) = rest.split_at_mut(len);
        Self { sample, input, score, workspace }
    }

    fn buffers(&mut self) -> OdeBuffers<'_> {
        let Self { sample, input, score, workspace } = self;
        OdeBuffers::new(sample, input, &**score, workspace).with_product(&**score)
    }

    /// Sample, input and score, and the derivatives.
    fn parts(&mut self) -> OdeParts<'_> {
        let mut slots = self.workspace.chunks_exact_mut(self.sample.len());
        (self.sample, self.input, self.score, std::array::from_fn(|_| slots.next().expect("six")))
    }
}

/// What a turn of the ODE's job does: its name, how many answers came before it, and a bare loop on
/// the same streams.
type OdeTurn = (&'static str, usize, fn(SimdLevel, &mut OdeSet<'_>));

/// Of plans.
const PLANS: [OdeTurn; 7] = [
    ("stage, 1 term", 1, |level, s| {
        let (y, x, m, [k0, ..]) = s.parts();
        read_many_write_2(level, [y, m], x, k0);
    }),
    ("stage, 2 terms", 2, |level, s| {
        let (y, x, m, [k0, k1, ..]) = s.parts();
        read_many_write_2(level, [y, k0, m], x, k1);
    }),
    ("stage, 3 terms", 3, |level, s| {
        let (y, x, m, [k0, k1, k2, ..]) = s.parts();
        read_many_write_2(level, [y, k0, k1, m], x, k2);
    }),
    ("stage, 4 terms", 4, |level, s| {
        let (y, x, m, [k0, k1, k2, k3, ..]) = s.parts();
        read_many_write_2(level, [y, k0, k1, k2, m], x, k3);
    }),
    ("stage, 5 terms", 5, |level, s| {
        let (y, x, m, [k0, k1, k2, k3, k4, _]) = s.parts();
        read_many_write_2(level, [y, k0, k1, k2, k3, m], x, k4);
    }),
    ("result, 5 terms", 6, |level, s| {
        let (y, x, m, [k0, _, k2, k3, k4, k5]) = s.parts();
        read_many_write_2(level, [y, k0, k2, k3, k4, m], x, k5);
    }),
    ("acceptance", 7, |level, s| {
        let (y, x, m, [_, k1, ..]) = s.parts();
        read_2_write_3(level, x, m, y, k1);
    }),
];

/// Of reductions.
const SUMS: [OdeTurn; 2] = [
    ("first norms", 1, |level, s| {
        let (y, _, m, _) = s.parts();
        read_many(level, [y, m]);
    }),
    ("error", 7, |level, s| {
        let (y, x, m, [k0, _, k2, k3, k4, k5]) = s.parts();
        read_many(level, [y, x, m, k0, k2, k3, k4, k5]);
    }),
];

/// A step of the ODE's job but for the network, in its parts and as a whole, and the dots of
/// likelihoods. The job accepts every step.
fn ode(c: &mut Criterion) {
    let mut memory = Memory::new();
    for (size, len, count) in SIZES {
        for (level, name) in levels() {
            let chunks = memory.get().chunks_exact_mut(OdeSet::BUFFERS * len).take(count);
            let mut sets: Vec<_> = chunks.map(|memory| OdeSet::new(memory, len)).collect();
            let options =
                OdeOptions { start: true, atol: 1e30, first_step: Some(1e-7), ..OdeOptions::default() };
            let mut job = Ode::new(&Config::default(), 1, options).expect("options");
            let states: [Ode; 8] = std::array::from_fn(|_| {
                let state = job;
                job.next(sets[0].buffers()).expect("a turn");
                state
            });
            let mut blocks = vec![0.0; norm_blocks(len)];
            let mut both = vec![0.0; 2 * norm_blocks(len)];
            let signs: Vec<f32> = (0..len).map(|i| if i % 3 == 0 { 1.0 } else { -1.0 }).collect();

            let mut g = group(c, &format!("ode/{name}/{size}"), len);
            let mut turn = 0;
            let mut bench = |what: &str, run: &mut dyn FnMut(&mut OdeSet<'_>)| {
                g.bench_function(what, |b| {
                    b.iter(|| {
                        turn = if turn + 1 < sets.len() { turn + 1 } else { 0 };
                        run(&mut sets[turn]);
                    });
                });
            };
            for (what, answers, bare) in PLANS {
                let (plan, _) = { states[answers] }.plan(len, [0.0; 2], &mut []).expect("a plan");
                bench(&format!("bare loop, {what}"), &mut |s| bare(level, s));
                bench(what, &mut |s| plan.run(&mut s.buffers()).expect("a plan"));
            }
            for (what, answers, bare) in SUMS {
                let reduction = states[answers].reduction(len).expect("a reduction");
                let blocks = if reduction.values() == 2 { &mut both } else { &mut blocks };
                bench(&format!("bare loop, {what}"), &mut |s| bare(level, s));
                bench(what, &mut |s| reduction.sums(&s.buffers(), blocks).expect("sums"));
            }
            bench("bare loops, step", &mut |s| {
                PLANS.iter().skip(1).chain(&SUMS[1..]).for_each(|(_, _, bare)| bare(level, s));
            });
            bench("step", &mut |s| {
                let mut job = states[2];
                for _ in 0..6 {
                    black_box(job.next(s.buffers()).expect("a turn"));
                }
            });
            let mut dots = states[1].reduction(len).expect("a reduction");
            dots.dots = OdeDots::Product;
            dots.probe = Some(Counter::new(42, 1));
            bench("bare loop, read 1", &mut |s| read_1(level, s.score));
            bench("dot with counter signs", &mut |s| dots.dots(&s.buffers(), &mut blocks).expect("dots"));
            dots.probe = None;
            bench("bare loop, read 2", &mut |s| read_many(level, [s.score, &signs]));
            bench("dot with a given probe", &mut |s| {
                dots.dots(&s.buffers().with_probe(&signs), &mut blocks).expect("dots");
            });
            g.finish();
        }
        limit_simd_level(SimdLevel::Avx512);
    }
}

/// A step along a table of sigmas, as a job makes it, coefficients included.
fn multistep(c: &mut Criterion) {
    let mut memory = Memory::new();
    let mut table = [0.0; 21];
    set_karras_sigmas(0.03, 15.0, 7.0, &mut table[..20]).expect("sigmas");
    let schedule = Schedule { timesteps: &[], sigmas: &table, discrete_sigmas: &[] };
    for (size, len, count) in SIZES {
        for (level, name) in levels() {
            let mut sets = Sets::new(memory.get(), len, count);
            let mut g = group(c, &format!("multistep/{name}/{size}"), len);
            // The state of a job whose next call is the whole update of a step in its middle.
            let middle = |method, eta, noise, requests| {
                let options = SamplerOptions { method, eta, noise, ..SamplerOptions::default() };
                let mut job = Sampler::new(&Config::default(), 1, options).expect("options");
                for _ in 0..requests {
                    job.plan(&schedule).expect("a plan");
                }
                job
            };
            bench!(g, sets, "bare loop, read 3 write 2 in place", |s| {
                read_3_write_2_in_place(level, s.sample, s.score, s.mean);
            });
            for (what, eta) in [("2M", 0.0), ("2M SDE, counter noise", 1.0)] {
                let job = middle(Method::Dpmpp2m, eta, SamplerNoise::Counter, 8);
                bench!(g, sets, what, |s| {
                    let buffers = Buffers::new(s.sample, s.score).with_workspace(s.mean);
                    black_box({ job }.next(&schedule, buffers).expect("a step"));
                });
            }
            bench!(g, sets, "bare loop, read 4 write 2 in place", |s| {
                read_4_write_2_in_place(level, s.sample, s.score, s.mean, s.noise);
            });
            let job = middle(Method::Dpmpp2m, 1.0, SamplerNoise::Given, 17);
            bench!(g, sets, "2M SDE, given noise", |s| {
                let buffers = Buffers::new(s.sample, s.score).with_workspace(s.mean);
                black_box({ job }.next(&schedule, buffers.with_noise(&*s.noise)).expect("a step"));
            });
            g.finish();
        }
        limit_simd_level(SimdLevel::Avx512);
    }
}

/// One group of elements: what a call costs beyond its kernel.
fn call_overhead(c: &mut Criterion) {
    const LEN: usize = 64;
    let tables = Tables::new();
    let scheduler = tables.scheduler();
    let counter = Counter::new(42, 0);
    let level = limit_simd_level(SimdLevel::Avx512);
    let mut memory = vec![1.0; 4 * LEN];
    let mut sets = Sets::new(&mut memory, LEN, 1);
    let pred = |step: Step<'_>| scheduler.step_pred(&[TIMESTEP], step).expect("a step");
    let mut g = group(c, "call overhead/64", LEN);
    g.bench_function("memcpy of 4", |b| b.iter(|| sets.memcpy(4)));
    bench!(g, sets, "bare loop, read 3 write 1", |s| read_3_write_1(level, s.sample, s.score, s.noise));
    bench!(g, sets, "step_pred, noise given", |s| {
        pred(Step::in_place(s.score, s.sample).with_noise(&*s.noise));
    });
    bench!(g, sets, "noise alone, counter", |s| counter.fill(&mut *s.noise).expect("a length"));
    bench!(g, sets, "step_pred, counter noise", |s| {
        pred(Step::in_place(s.score, s.sample).with_noise(counter));
    });
    g.finish();
}

/// What a thread does: from the offset of its part on, to sample, score and noise.
type Work<'a> = dyn Fn(u64, &mut [f32], &[f32], &[f32]) + Sync + 'a;

/// A tensor of 64 M elements on one and two threads, started anew for every call.
fn threads(c: &mut Criterion) {
    const LEN: usize = MEMORY / 3;
    let tables = Tables::new();
    let scheduler = tables.scheduler();
    let counter = Counter::new(42, 0);
    let level = limit_simd_level(SimdLevel::Avx512);
    let mut memory = Memory::new();
    let [sample, score, noise] =
        memory.get().get_disjoint_mut([0..LEN, LEN..2 * LEN, 2 * LEN..MEMORY]).expect("three");

    let pred = |step: Step<'_>| scheduler.step_pred(&[TIMESTEP], step).expect("a step");
    let mut g = group(c, "threads/64M", LEN);
    g.sample_size(10);
    for count in [1, 2] {
        let mut bench = |name: &str, work: &Work<'_>| {
            g.bench_function(format!("{count}/{name}"), |b| {
                b.iter(|| {
                    thread::scope(|scope| {
                        let part = LEN / count;
                        let parts = sample.chunks_mut(part).zip(score.chunks(part)).zip(noise.chunks(part));
                        for (i, ((x, m), z)) in parts.enumerate() {
                            scope.spawn(move || work((i * part) as u64, x, m, z));
                        }
                    });
                });
            });
        };
        bench("memcpy of 2", &|_, x, m, _| x.copy_from_slice(m));
        bench("bare loop, read 2 write 1", &|_, x, m, _| read_2_write_1(level, x, m));
        bench("step_pred, counter noise", &|at, x, m, _| {
            pred(Step::in_place(m, x).with_noise(counter.at(at)));
        });
        bench("bare loop, read 3 write 1", &|_, x, m, z| read_3_write_1(level, x, m, z));
        bench("step_pred, noise given", &|_, x, m, z| {
            pred(Step::in_place(m, x).with_noise(z));
        });
    }
    g.finish();
}

fn schedule(c: &mut Criterion) {
    const N: usize = 2000;
    let mut g = group(c, "schedule/2000", N);
    let [mut timesteps, mut sigmas, mut discrete_sigmas] = [(); 3].map(|()| vec![0.0; N]);
    g.bench_function("set_timesteps and set_sigmas", |b| {
        b.iter(|| {
            let config = black_box(Config::default());
            set_timesteps(&config, &mut timesteps[..]).expect("a length");
            set_sigmas(&config, &timesteps, &mut sigmas[..], &mut discrete_sigmas[..]).expect("lengths");
        });
    });
    g.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .without_plots()
        .nresamples(1000)
        .sample_size(15)
        .warm_up_time(Duration::from_millis(60))
        .measurement_time(Duration::from_millis(250));
    targets = kernels, ode, multistep, call_overhead, threads, schedule
}
criterion_main!(benches);
