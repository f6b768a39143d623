//! The steps in C, and the corrector in phases.

use super::{
    CCombination, CNoise, CScheduler, CStep, averaging, check_disjoint, input, norm, output, produce, span,
    status, table, vesde_status,
};
use crate::noise::Noise;
use crate::norms::{self, CorrectorStep};
use crate::steps;

/// One predictor step: prev_sample_mean = sample + (drift·model_output)·dt,
/// prev_sample = prev_sample_mean + diffusion·noise, with the factors of vesde_get_predictor_step.
/// By default it is diffusers' step_pred (Song et al. 2021, equation 47): drift d² and diffusion d
/// with d = √(σ² − σ′²).
///
/// `timesteps` holds one timestep for the whole batch (`timesteps_len` 1), or one for each sample
/// of the batch; no output may overlap it. Where the factor of the noise is 0, none is needed. A
/// NaN in the score is passed on.
///
/// To split the work, pass parts of all buffers, and counter.index plus the part's offset. With one
/// timestep split anywhere, each part a batch of 1; with one for each sample split between samples.
///
/// # Safety
/// `scheduler` and `step` are NULL or readable, and so are the scheduler's tables. Every other
/// pointer is NULL or valid for its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_step_pred(
    scheduler: *const CScheduler,
    timesteps: *const f32,
    timesteps_len: usize,
    step: *const CStep,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let step = CStep::copy(step)?;
        let outs = step.outs();
        let scheduler = CScheduler::view(scheduler, &outs)?;
        scheduler.step_pred(table(timesteps, timesteps_len, &outs)?, step.view()?)
    })
}

/// One corrector step of annealed Langevin dynamics: prev_sample_mean = sample + ε·model_output,
/// prev_sample = prev_sample_mean + √(2ε)·noise, with ε = 2·(snr·‖noise‖/‖model_output‖)² (Song et
/// al. 2021, algorithm 4; diffusers' step_correct).
///
/// `averaging` is one of enum vesde_averaging, `norm` one of enum vesde_norm. There must be noise.
/// Counter noise of up to 4 Mi floats is made once if prev_sample is neither sample nor
/// model_output, or if there is a prev_sample_mean. Otherwise it is made twice, and a step takes
/// about 1.5 times as long.
///
/// # Safety
/// As vesde_step_pred.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_step_correct(
    scheduler: *const CScheduler,
    averaging: i32,
    norm: i32,
    step: *const CStep,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let step = CStep::copy(step)?;
        let scheduler = CScheduler::view(scheduler, &step.outs())?;
        scheduler.step_correct(self::averaging(averaging)?, self::norm(norm)?, step.view()?)
    })
}

/// The forward process: noisy_samples = σ·noise + original_samples, with σ the discrete sigma at
/// the index (diffusers' add_noise). For a σ that is in no table, take vesde_linear.
///
/// All buffers have `len` floats: `batch` samples of equal length, one after the other. `indices`
/// holds one index for the whole batch (`indices_len` 1), or one for each sample; the output may
/// not overlap it. Where the sigma is 0, no noise is needed.
///
/// # Safety
/// As vesde_step_pred.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_add_noise(
    scheduler: *const CScheduler,
    original_samples: *const f32,
    len: usize,
    batch: usize,
    indices: *const i64,
    indices_len: usize,
    noise: CNoise,
    noisy_samples: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let outs = [span(noisy_samples, len)];
        let scheduler = CScheduler::view(scheduler, &outs)?;
        let (original, indices) = (input(original_samples, len)?, table(indices, indices_len, &outs)?);
        let (noise, out) = (noise.view(len)?, output(noisy_samples, len)?);
        scheduler.add_noise(original, batch, indices, noise, out)
    })
}

/// A linear combination of up to VESDE_MOST_TERMS buffers, in one pass over memory: with it an
/// engine writes any explicit solver's step. One operation is one rounding, from left to right.
///
/// With the factors of vesde_corrector_step it is the last phase of a corrector step that is split
/// over threads; with those of vesde_predictor_step it is a predictor step. x₀ + σ·noise adds noise
/// of any σ to a sample, and a₀·x₀ scales. Without terms `out` is noise_factor·noise, and there is
/// no mean. Without terms and noise it is VESDE_ERROR_EMPTY. Where the factor of the noise is 0,
/// none is needed. More terms are VESDE_ERROR_TOO_LARGE.
///
/// To split the work, pass parts of all buffers, and counter.index plus the part's offset.
///
/// # Safety
/// `combination` is NULL or readable, and every pointer in it that its lengths do not leave out is
/// NULL or valid for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_linear(combination: *const CCombination) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        super::check(combination, 1)?;
        steps::linear(combination.read().view()?)
    })
}

/// Floats in a block of a sum of squares. For the corrector's norms a sample may be split at
/// multiples of it.
pub const VESDE_NORM_BLOCK: usize = 4096;

const _: () = assert!(VESDE_NORM_BLOCK == norms::NORM_BLOCK);

/// How many sums of squares a sample of `len` floats has: one for each VESDE_NORM_BLOCK of them.
#[unsafe(no_mangle)]
pub extern "C" fn vesde_norm_blocks(len: usize) -> usize {
    norms::norm_blocks(len)
}

/// The sums of squares of each VESDE_NORM_BLOCK floats of `x`, the model output (vesde_given_noise)
/// or the noise, which has `len` of them: the first phase of a corrector step that is split over
/// threads. Parts of a sample that begin at a multiple of VESDE_NORM_BLOCK may be summed by any
/// thread, in any order. `blocks_len` is vesde_norm_blocks(len).
///
/// # Safety
/// `x` holds none, or is NULL or readable for `len` floats; `blocks` is NULL or writable for
/// `blocks_len` doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sum_squares(
    x: CNoise,
    len: usize,
    blocks_len: usize,
    blocks: *mut f64,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let floats = x.view(len)?;
        if let Noise::Given(_) = floats {
            check_disjoint(x.given, len, &[span(blocks, blocks_len)])?;
        }
        super::check(blocks, blocks_len)?;
        let mut next = 0;
        norms::block_sums(floats, len, blocks_len, &mut |sum| {
            if next < blocks_len {
                // SAFETY: next < blocks_len, and the rest is the caller's promise.
                blocks.add(next).write(sum);
                next += 1;
            }
        })
    })
}

/// The norm of one sample from all its sums of squares.
///
/// # Safety
/// `blocks` is NULL or readable for `blocks_len` doubles; `norm` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sample_norm(
    blocks: *const f64,
    blocks_len: usize,
    norm: *mut f64,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(norm, || Ok(norms::sample_norm(table(blocks, blocks_len, &[])?))) }
}

/// torch's norm of one sample of `len` floats, the model output (vesde_given_noise) or the noise,
/// bit for bit: a float value (VESDE_NORM_TORCH). It cannot be split.
///
/// # Safety
/// `x` holds none, or is NULL or readable for `len` floats; `norm` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_norm(x: CNoise, len: usize, norm: *mut f64) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(norm, || norms::torch_norm(x.view(len)?, len)) }
}

/// The factors of annealed Langevin dynamics, in which no norm is taken, for vesde_linear:
/// step_size ε = factor·ratio² and noise_factor √(2ε), in float. With `factor` 2 and `ratio` snr·σ
/// it is score_sde's corrector ald; with step_lr and σ over the last sigma ncsnv2's (Song and Ermon
/// 2020, algorithm 1).
///
/// # Safety
/// `step` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_get_annealed_step(
    ratio: f32,
    factor: f32,
    step: *mut CorrectorStep,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(step, || norms::annealed_step(ratio, factor)) }
}

/// The mean over the batch of one norm a sample: what VESDE_AVERAGING_BATCH takes. `norm` is one of
/// enum vesde_norm: with VESDE_NORM_TORCH it is torch's bit for bit for any batch, as one thread of
/// torch has it (beyond 32,768 its threads share the sum).
///
/// # Safety
/// `norms` is NULL or readable for `batch` doubles; `mean` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_mean_norm(
    norms: *const f64,
    batch: usize,
    norm: i32,
    mean: *mut f64,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(mean, || norms::mean_norm(table(norms, batch, &[])?, self::norm(norm)?)) }
}

/// The factors of a corrector step from its two norms, for vesde_linear: the middle phase of a step
/// that is split. `snr` is the configuration's; `norm` is one of enum vesde_norm.
///
/// # Safety
/// `step` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_get_corrector_step(
    snr: f64,
    grad_norm: f64,
    noise_norm: f64,
    norm: i32,
    step: *mut CorrectorStep,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(step, || norms::corrector_step(snr, grad_norm, noise_norm, self::norm(norm)?)) }
}
