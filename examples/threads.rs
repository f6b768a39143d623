//! A predictor step and a corrector step of one large tensor on several threads: `cargo run
//! --release --example threads [N [LEN]]`. vesde starts no threads: the caller splits a step into
//! ranges of the same buffers, and the bits do not depend on the split. Checks that the result is
//! that of one call, and prints the best time of a few on 1 to N threads.

use std::ops::Range;
use std::time::{Duration, Instant};
use std::{env, thread};

use vesde::norms::{NORM_BLOCK, corrector_step, mean_norm, norm_blocks, sample_norm, sum_squares};
use vesde::{
    Averaging, Combination, Config, Counter, Error, Norm, Schedule, Scheduler, Step, linear, set_sigmas,
    set_timesteps,
};

const REPEATS: usize = 5;
const STEPS: usize = 100;
const TIMESTEP: [f32; 1] = [0.5];
/// The predictor's noise; the corrector takes the next stream.
const NOISE: Counter = Counter { seed: 42, stream: 0, index: 0 };
const NEXT_NOISE: Counter = Counter { stream: 1, ..NOISE };

/// Calls `work` on `threads` threads, each with a range and that part of `out`. Ranges are whole
/// blocks of the norms: the corrector's sums need that, and it is where counter noise starts
/// fastest.
fn split(threads: usize, out: &mut [f32], work: impl Fn(Range<usize>, &mut [f32]) + Sync) {
    let part = norm_blocks(out.len()).div_ceil(threads) * NORM_BLOCK;
    thread::scope(|scope| {
        for (k, out) in out.chunks_mut(part).enumerate() {
            let work = &work;
            scope.spawn(move || work(k * part..k * part + out.len(), out));
        }
    });
}

/// A predictor step is elementwise: each thread makes the step of its range, with the noise that
/// belongs there.
fn predict(scheduler: &Scheduler, threads: usize, score: &[f32], sample: &mut [f32]) {
    split(threads, sample, |range, sample| {
        let noise = NOISE.at(range.start as u64);
        let step = Step::in_place(&score[range], sample).with_noise(noise);
        scheduler.step_pred(&TIMESTEP, step).expect("a step");
    });
}

/// A corrector step needs the norms of the whole score and of the whole noise first: it has three
/// phases.
fn correct(scheduler: &Scheduler, threads: usize, score: &[f32], sample: &mut [f32]) -> Result<(), Error> {
    // 1. On all threads, the sums of squares of each block: of the score, and of noise that is
    //    stored nowhere.
    let len = sample.len();
    let [mut grad, mut noise] = [(); 2].map(|()| vec![0.0; norm_blocks(len)]);
    let part = norm_blocks(len).div_ceil(threads);
    thread::scope(|scope| {
        for (k, (grad, noise)) in grad.chunks_mut(part).zip(noise.chunks_mut(part)).enumerate() {
            let start = k * part * NORM_BLOCK;
            let score = &score[start..len.min(start + part * NORM_BLOCK)];
            scope.spawn(move || {
                sum_squares(score, score.len(), grad).expect("a place a block");
                sum_squares(NEXT_NOISE.at(start as u64), score.len(), noise).expect("a place a block");
            });
        }
    });

    // 2. On one thread, the step size. The sums are added in order, whoever made them; the batch is
    //    one sample here.
    let [grad_norm, noise_norm] = [grad, noise].map(|sums| mean_norm(&[sample_norm(&sums)], Norm::Exact));
    let step = corrector_step(scheduler.config.snr, grad_norm?, noise_norm?, Norm::Exact)?;

    // 3. On all threads, the update, which makes the noise again.
    split(threads, sample, |range, sample| {
        let noise = NEXT_NOISE.at(range.start as u64);
        let mean = Combination::in_place(1.0, sample).plus(step.step_size, &score[range]);
        linear(mean.plus_noise(step.noise_factor, noise)).expect("an update");
    });
    Ok(())
}

fn main() -> Result<(), Error> {
    let mut arguments = env::args().skip(1).map(|word| word.parse().expect("a number"));
    let most = arguments.next().unwrap_or_else(|| thread::available_parallelism().map_or(2, usize::from));
    let len = arguments.next().unwrap_or(1 << 24);

    let config = Config::default();
    let [mut timesteps, mut sigmas, mut discrete_sigmas] = [[0.0; STEPS]; 3];
    set_timesteps(&config, &mut timesteps)?;
    set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
    let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
    let scheduler = Scheduler { config, schedule };

    let [mut sample, mut score] = [(); 2].map(|()| vec![0.0; len]);
    Counter::new(1, 0).fill(&mut sample[..])?;
    Counter::new(2, 0).fill(&mut score[..])?;

    let mut one_call = sample.clone();
    scheduler.step_pred(&TIMESTEP, Step::in_place(&score, &mut one_call).with_noise(NOISE))?;
    let step = Step::in_place(&score, &mut one_call).with_noise(NEXT_NOISE);
    scheduler.step_correct(Averaging::Batch, Norm::Exact, step)?;

    for threads in 1..=most {
        let mut best = [Duration::MAX; 2];
        for _ in 0..REPEATS {
            let mut split = sample.clone();
            let start = Instant::now();
            predict(&scheduler, threads, &score, &mut split);
            let predicted = start.elapsed();
            correct(&scheduler, threads, &score, &mut split)?;
            let corrected = start.elapsed() - predicted;
            best = [best[0].min(predicted), best[1].min(corrected)];
            let equal = split.iter().zip(&one_call).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(equal, "{threads} threads give other bits than one call");
        }
        let [predicted, corrected] = best;
        println!(
            "{threads} threads: predictor {predicted:.1?}, corrector {corrected:.1?}, the bits of one call"
        );
    }
    Ok(())
}
