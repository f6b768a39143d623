//! What is split over threads has the bits of one call: steps, noising and noise itself, in 1, 2, 3
//! and 7 ranges, one thread each. Ranges are uneven and begin anywhere, but for the norms' first
//! phase, whose ranges begin at whole blocks.

use std::ops::Range;
use std::thread;

use vesde::norms::{NORM_BLOCK, corrector_step, mean_norm, norm_blocks, sample_norm, sum_squares};
use vesde::{
    Averaging, Combination, Config, Counter, Noise, Norm, Schedule, Scheduler, Step, linear, set_sigmas,
    set_timesteps,
};

const RANGES: [usize; 4] = [1, 2, 3, 7];
/// A sample of two, in floats: whole blocks of the norms and a rest.
const SAMPLE: usize = 30 * NORM_BLOCK + 1001;
const LEN: usize = 2 * SAMPLE;
/// Begins in the middle of a group of 64.
const NOISE: Counter = Counter { seed: 11, stream: 3, index: 1_000_005 };

/// Splits 0..`len` into `count` ranges, each longer than the one before.
fn split(len: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let end = move |k: usize| len * k * (k + 1) / (count * (count + 1));
    (0..count).map(move |k| end(k)..end(k + 1))
}

/// Calls `work` with each range and its part of `out`, each on a thread of its own.
fn on_threads(out: &mut [f32], count: usize, work: impl Fn(Range<usize>, &mut [f32]) + Sync) {
    let mut rest = out;
    thread::scope(|scope| {
        for range in split(LEN, count) {
            let (part, after) = rest.split_at_mut(range.len());
            rest = after;
            let work = &work;
            scope.spawn(move || work(range, part));
        }
    });
}

/// The sums of squares of one sample's blocks, by `count` threads.
fn blocks(count: usize, sum: impl Fn(Range<usize>, &mut [f64]) + Sync) -> Vec<f64> {
    let mut blocks = vec![0.0; norm_blocks(SAMPLE)];
    let mut rest = &mut blocks[..];
    thread::scope(|scope| {
        for range in split(norm_blocks(SAMPLE), count) {
            let (part, after) = rest.split_at_mut(range.len());
            rest = after;
            let sum = &sum;
            scope.spawn(move || sum(range.start * NORM_BLOCK..SAMPLE.min(range.end * NORM_BLOCK), part));
        }
    });
    blocks
}

fn floats(stream: u64) -> Vec<f32> {
    let mut out = vec![0.0; LEN];
    Counter::new(5, stream).fill(&mut out[..]).unwrap();
    out
}

/// Computes in one call, then in ranges, and compares.
fn check(one_call: impl Fn(&mut [f32]), in_ranges: impl Fn(usize, &mut [f32])) {
    let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let mut want = vec![f32::NAN; LEN];
    one_call(&mut want);
    let want = bits(want);
    for count in RANGES {
        let mut got = vec![f32::NAN; LEN];
        in_ranges(count, &mut got);
        assert!(bits(got) == want, "{count} ranges");
    }
}

fn with_scheduler(test: impl FnOnce(&Scheduler)) {
    let config = Config::default();
    let [mut timesteps, mut sigmas, mut discrete_sigmas] = [[0.0; 20]; 3];
    set_timesteps(&config, &mut timesteps).unwrap();
    set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas).unwrap();
    let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
    test(&Scheduler { config, schedule });
}

#[test]
fn ranges_are_uneven_and_not_multiples_of_a_group() {
    for count in RANGES {
        let ranges: Vec<_> = split(LEN, count).collect();
        assert_eq!((ranges[0].start, ranges[count - 1].end), (0, LEN));
        assert!(ranges.windows(2).all(|pair| pair[0].len() < pair[1].len() && pair[1].start % 64 != 0));
    }
}

#[test]
fn fill() {
    let part = |range: Range<usize>, out: &mut [f32]| NOISE.at(range.start as u64).fill(out).unwrap();
    check(|out| NOISE.fill(out).unwrap(), |count, out| on_threads(out, count, part));
}

#[test]
fn add_noise() {
    let x = floats(0);
    with_scheduler(|scheduler| {
        let add = |range: Range<usize>, out: &mut [f32]| {
            let noise = NOISE.at(range.start as u64);
            scheduler.add_noise(&x[range], 1, &[13], noise, out).unwrap();
        };
        check(|out| add(0..LEN, out), |count, out| on_threads(out, count, add));
    });
}

#[test]
fn predictor() {
    let (x, score) = (floats(0), floats(1));
    with_scheduler(|scheduler| {
        let step = |range: Range<usize>, out: &mut [f32]| {
            let noise = NOISE.at(range.start as u64);
            let step = Step::new(&score[range.clone()], &x[range], out).with_noise(noise);
            scheduler.step_pred(&[0.7], step).unwrap();
        };
        check(|out| step(0..LEN, out), |count, out| on_threads(out, count, step));
    });
}

#[test]
fn corrector() {
    let (x, score) = (floats(0), floats(1));
    with_scheduler(|scheduler| {
        let one_call = |out: &mut [f32]| {
            let step = Step::new(&score, &x, out).with_batch(2).with_noise(NOISE);
            scheduler.step_correct(Averaging::Batch, Norm::Exact, step).unwrap();
        };
        let in_phases = |count: usize, out: &mut [f32]| {
            let [grad_norm, noise_norm] = [true, false].map(|grad| {
                let norms = [0, SAMPLE].map(|sample| {
                    sample_norm(&blocks(count, |range, sums| {
                        let range = sample + range.start..sample + range.end;
                        let (len, noise) = (range.len(), NOISE.at(range.start as u64));
                        let x = if grad { Noise::from(&score[range]) } else { noise.into() };
                        sum_squares(x, len, sums).unwrap();
                    }))
                });
                mean_norm(&norms, Norm::Exact).unwrap()
            });
            let step = corrector_step(scheduler.config.snr, grad_norm, noise_norm, Norm::Exact).unwrap();
            on_threads(out, count, |range, out| {
                let noise = NOISE.at(range.start as u64);
                let mean =
                    Combination::new(out).plus(1.0, &x[range.clone()]).plus(step.step_size, &score[range]);
                linear(mean.plus_noise(step.noise_factor, noise)).unwrap();
            });
        };
        check(one_call, in_phases);
    });
}
