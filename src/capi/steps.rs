//! The steps in C. Each has a form with the caller's noise, and one with counter noise (`_counter`).

use super::{
    CScheduler, averaging, check_disjoint, input, norm, output, produce, span, status, step_buffers, table,
    vesde_status,
};
use crate::error::Error;
use crate::kernels::Source;
use crate::noise::Counter;
use crate::norms::{self, CorrectorStep};
use crate::steps;

/// One predictor step: prev_sample_mean = sample + d²·model_output, prev_sample = prev_sample_mean + d·noise, with d = √(σ² − σ′²)
/// from the timestep (Song et al. 2021, equation 47; diffusers' step_pred).
///
/// All buffers have `len` floats. `timesteps` holds one timestep for the whole batch (`timesteps_len` 1), or one for each sample
/// of the batch; no output may overlap it. A timesteps_len that divides `len` and is not the batch goes unnoticed.
/// `prev_sample_mean` may be NULL, and `noise` where d is 0. A score that is not a number is passed on.
///
/// # Safety
/// `scheduler` is NULL or readable, and so are its tables. Every other pointer is NULL or valid for its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_step_pred(
    scheduler: *const CScheduler,
    model_output: *const f32,
    timesteps: *const f32,
    timesteps_len: usize,
    sample: *const f32,
    noise: *const f32,
    len: usize,
    prev_sample: *mut f32,
    prev_sample_mean: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let outs = [span(prev_sample, len), span(prev_sample_mean, len)];
        let scheduler = CScheduler::view(scheduler, &outs)?;
        let timesteps = table(timesteps, timesteps_len, &outs)?;
        let (model_output, noise) = (input(model_output, len)?, noise_if_any(noise, len)?);
        let update = step_buffers(sample, len, prev_sample, prev_sample_mean)?;
        scheduler.step_pred_raw(model_output, timesteps, &update, noise)
    })
}

/// vesde_step_pred with counter noise, made on the way: element i of the sample takes element noise.index + i.
///
/// # Safety
/// As vesde_step_pred.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_step_pred_counter(
    scheduler: *const CScheduler,
    model_output: *const f32,
    timesteps: *const f32,
    timesteps_len: usize,
    sample: *const f32,
    len: usize,
    noise: Counter,
    prev_sample: *mut f32,
    prev_sample_mean: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let outs = [span(prev_sample, len), span(prev_sample_mean, len)];
        let scheduler = CScheduler::view(scheduler, &outs)?;
        let timesteps = table(timesteps, timesteps_len, &outs)?;
        let model_output = input(model_output, len)?;
        let update = step_buffers(sample, len, prev_sample, prev_sample_mean)?;
        scheduler.step_pred_raw(model_output, timesteps, &update, Some(noise.into()))
    })
}

/// One corrector step of annealed Langevin dynamics: prev_sample_mean = sample + ε·model_output, prev_sample = prev_sample_mean +
/// √(2ε)·noise, with ε = 2·(snr·‖noise‖/‖model_output‖)² (Song et al. 2021, algorithm 4; diffusers' step_correct).
///
/// All buffers have `len` floats: `batch` samples of equal length, one after the other. `averaging` is one of enum
/// vesde_averaging, `norm` one of enum vesde_norm. `prev_sample_mean` may be NULL.
///
/// # Safety
/// As vesde_step_pred.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_step_correct(
    scheduler: *const CScheduler,
    model_output: *const f32,
    sample: *const f32,
    noise: *const f32,
    len: usize,
    batch: usize,
    averaging: i32,
    norm: i32,
    prev_sample: *mut f32,
    prev_sample_mean: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let scheduler = CScheduler::view(scheduler, &[span(prev_sample, len), span(prev_sample_mean, len)])?;
        let (model_output, noise) = (input(model_output, len)?, Source::Given(input(noise, len)?));
        let update = step_buffers(sample, len, prev_sample, prev_sample_mean)?;
        let modes = (self::averaging(averaging)?, self::norm(norm)?);
        scheduler.step_correct_raw(model_output, batch, modes, &update, noise)
    })
}

/// vesde_step_correct with counter noise, made on the way: element i of the batch takes element noise.index + i. Of up to 4 Mi
/// floats it is made once where prev_sample is neither sample nor model_output, or where there is a prev_sample_mean, and else
/// twice: then a step takes about 1.5 times as long.
///
/// # Safety
/// As vesde_step_pred.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_step_correct_counter(
    scheduler: *const CScheduler,
    model_output: *const f32,
    sample: *const f32,
    len: usize,
    batch: usize,
    averaging: i32,
    norm: i32,
    noise: Counter,
    prev_sample: *mut f32,
    prev_sample_mean: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let scheduler = CScheduler::view(scheduler, &[span(prev_sample, len), span(prev_sample_mean, len)])?;
        let model_output = input(model_output, len)?;
        let update = step_buffers(sample, len, prev_sample, prev_sample_mean)?;
        let modes = (self::averaging(averaging)?, self::norm(norm)?);
        scheduler.step_correct_raw(model_output, batch, modes, &update, noise.into())
    })
}

/// The forward process: noisy_samples = σ·noise + original_samples, with σ the discrete sigma at the index (diffusers' add_noise).
///
/// All buffers have `len` floats. `indices` holds one index for the whole batch (`indices_len` 1), or one for each sample; the
/// output may not overlap it. An indices_len that divides `len` and is not the batch goes unnoticed. `noise` may be NULL where
/// the sigma is 0.
///
/// # Safety
/// As vesde_step_pred.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_add_noise(
    scheduler: *const CScheduler,
    original_samples: *const f32,
    indices: *const i64,
    indices_len: usize,
    noise: *const f32,
    len: usize,
    noisy_samples: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let outs = [span(noisy_samples, len)];
        let scheduler = CScheduler::view(scheduler, &outs)?;
        let (original, indices) = (input(original_samples, len)?, table(indices, indices_len, &outs)?);
        let (noise, out) = (noise_if_any(noise, len)?, output(noisy_samples, len)?);
        scheduler.add_noise_raw(original, indices, noise, out)
    })
}

/// vesde_add_noise with counter noise, made on the way.
///
/// # Safety
/// As vesde_step_pred.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_add_noise_counter(
    scheduler: *const CScheduler,
    original_samples: *const f32,
    indices: *const i64,
    indices_len: usize,
    len: usize,
    noise: Counter,
    noisy_samples: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let outs = [span(noisy_samples, len)];
        let scheduler = CScheduler::view(scheduler, &outs)?;
        let (original, indices) = (input(original_samples, len)?, table(indices, indices_len, &outs)?);
        let out = output(noisy_samples, len)?;
        scheduler.add_noise_raw(original, indices, Some(noise.into()), out)
    })
}

/// Scales a network's input as diffusers' scale_model_input does for this SDE: not at all. `out` may be `sample`.
///
/// # Safety
/// Each pointer is NULL or valid for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_scale_model_input(
    sample: *const f32,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { steps::scale_model_input_raw(input(sample, len)?, output(out, len)?) })
}

/// The noise of a step that may do without.
///
/// # Safety
/// If `noise` is not NULL it is readable for `len` floats as long as `'a`.
unsafe fn noise_if_any<'a>(noise: *const f32, len: usize) -> Result<Option<Source<'a>>, Error> {
    if noise.is_null() {
        return Ok(None);
    }
    // SAFETY: this function's own condition.
    Ok(Some(Source::Given(unsafe { input(noise, len)? })))
}

/// Floats whose squares are summed on their own: where a sample may be split for the corrector's norms.
pub const VESDE_NORM_BLOCK: usize = 4096;

const _: () = assert!(VESDE_NORM_BLOCK == norms::NORM_BLOCK);

/// How many sums of squares a sample of `len` floats has: one for each VESDE_NORM_BLOCK of them.
#[unsafe(no_mangle)]
pub extern "C" fn vesde_norm_blocks(len: usize) -> usize {
    norms::norm_blocks(len)
}

/// Stores sums of squares one by one.
///
/// # Safety
/// If `blocks` is not NULL it is writable for `blocks_len` doubles.
unsafe fn sum_squares(x: Source<'_>, len: usize, blocks: *mut f64, blocks_len: usize) -> Result<(), Error> {
    super::check(blocks, blocks_len)?;
    let mut next = 0;
    norms::sum_squares_raw(x, len, blocks_len, &mut |sum| {
        if next < blocks_len {
            // SAFETY: next < blocks_len, and the rest is this function's own condition.
            unsafe { blocks.add(next).write(sum) };
            next += 1;
        }
    })
}

/// The sums of squares of each VESDE_NORM_BLOCK floats of `x`: the first phase of a corrector step that is split over threads.
/// Parts of a sample that begin at a multiple of VESDE_NORM_BLOCK may be summed by any thread, in any order.
///
/// # Safety
/// `x` is NULL or readable for `len` floats; `blocks` is NULL or writable for `blocks_len` doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sum_squares(
    x: *const f32,
    len: usize,
    blocks_len: usize,
    blocks: *mut f64,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let x_in = input(x, len)?;
        check_disjoint(x, len, &[span(blocks, blocks_len)])?;
        sum_squares(Source::Given(x_in), len, blocks, blocks_len)
    })
}

/// vesde_sum_squares of `len` elements of counter noise.
///
/// # Safety
/// `blocks` is NULL or writable for `blocks_len` doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sum_squares_counter(
    x: Counter,
    len: usize,
    blocks_len: usize,
    blocks: *mut f64,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { sum_squares(Source::Counter(x.into()), len, blocks, blocks_len) })
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

/// torch's norm of one sample, bit for bit: a float value (VESDE_NORM_TORCH). It cannot be split.
///
/// # Safety
/// `x` is NULL or readable for `len` floats; `norm` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_norm(x: *const f32, len: usize, norm: *mut f64) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(norm, || norms::torch_norm_raw(Source::Given(input(x, len)?), len)) }
}

/// vesde_torch_norm of `len` elements of counter noise.
///
/// # Safety
/// `norm` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_norm_counter(x: Counter, len: usize, norm: *mut f64) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(norm, || x.torch_norm(len)) }
}

/// The mean over the batch of one norm a sample: what VESDE_AVERAGING_BATCH takes. `norm` is one of enum vesde_norm: with
/// VESDE_NORM_TORCH it is torch's bit for bit for any batch, as one thread of torch has it (beyond 32,768 its threads share the
/// sum).
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

/// The factors of a corrector step from its two norms, for vesde_update: the middle phase of a step that is split. `snr` is the
/// configuration's; `norm` is one of enum vesde_norm.
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

/// The elementwise part of a step: prev_sample_mean = sample + drift·model_output, prev_sample = prev_sample_mean +
/// diffusion·noise. For the last phase of a corrector step drift is step_size and diffusion is noise_factor. `noise` may be NULL
/// where `diffusion` is 0: then prev_sample is prev_sample_mean.
///
/// # Safety
/// As vesde_step_pred.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_update(
    drift: f32,
    diffusion: f32,
    model_output: *const f32,
    sample: *const f32,
    noise: *const f32,
    len: usize,
    prev_sample: *mut f32,
    prev_sample_mean: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let (model_output, noise) = (input(model_output, len)?, noise_if_any(noise, len)?);
        let update = step_buffers(sample, len, prev_sample, prev_sample_mean)?;
        steps::update_raw(model_output, (drift, diffusion), &update, noise, None)
    })
}

/// vesde_update with counter noise, made on the way. Split, part k passes noise.index plus the part's offset.
///
/// # Safety
/// As vesde_step_pred.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_update_counter(
    drift: f32,
    diffusion: f32,
    model_output: *const f32,
    sample: *const f32,
    len: usize,
    noise: Counter,
    prev_sample: *mut f32,
    prev_sample_mean: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let model_output = input(model_output, len)?;
        let update = step_buffers(sample, len, prev_sample, prev_sample_mean)?;
        steps::update_raw(model_output, (drift, diffusion), &update, Some(noise.into()), None)
    })
}
