//! Inverse problems and guidance in C.

use super::{CNoise, input, output, status, vesde_status};
use crate::error::Error;
use crate::inverse::{self, Imputation, Recolouring};

/// The buffers of vesde_impute, of `len` floats each but for the mask. All zeros has no noise.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CImputation {
    /// What is known.
    pub data: *const f32,
    /// 1 where `data` is known, 0 where it is not, or anything between.
    pub mask: *const f32,
    /// Floats of the mask. They must divide `len`: a mask of one sample serves each sample of a
    /// batch, a mask of one channel each channel.
    pub mask_len: usize,
    /// The sample.
    pub sample: *const f32,
    /// Floats of a buffer.
    pub len: usize,
    /// The noise at the data.
    pub noise: CNoise,
    /// Its standard deviation: the sample's sigma.
    pub sigma: f32,
    /// The sample with the data in it.
    pub out: *mut f32,
}

impl CImputation {
    /// The Rust object, of which this is a copy.
    ///
    /// # Safety
    /// Each pointer is NULL or valid for its length as long as `'a`.
    unsafe fn view<'a>(self) -> Result<Imputation<'a>, Error> {
        let Self { data, mask, mask_len, sample, len, noise, sigma, out } = self;
        // SAFETY: this function's own condition, here and below.
        let (data, mask, sample) =
            unsafe { (input(data, len)?, input(mask, mask_len)?, input(sample, len)?) };
        // SAFETY: as above.
        let (noise, out) = unsafe { (noise.view(len)?, output(out, len)?) };
        Ok(Imputation { data, mask, sample, sigma, noise, out })
    }
}

/// The buffers of vesde_recolour, of `len` floats each: `batch` samples one after the other, each
/// of three channels one after the other, red, green and blue. All zeros has no noise.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CRecolouring {
    /// The gray images: three equal channels each.
    pub gray: *const f32,
    /// The sample.
    pub sample: *const f32,
    /// Floats of a buffer: those of the whole batch.
    pub len: usize,
    /// Samples of the batch, at least 1.
    pub batch: usize,
    /// The noise at the brightness: a number for each float, of which those of first channels are
    /// used.
    pub noise: CNoise,
    /// Its standard deviation: the sample's sigma.
    pub sigma: f32,
    /// The sample with the brightness of the gray images.
    pub out: *mut f32,
}

impl CRecolouring {
    /// The Rust object, of which this is a copy.
    ///
    /// # Safety
    /// Each pointer is NULL or valid for `len` floats as long as `'a`.
    unsafe fn view<'a>(self) -> Result<Recolouring<'a>, Error> {
        let Self { gray, sample, len, batch, noise, sigma, out } = self;
        // SAFETY: this function's own condition, here and below.
        let (gray, sample) = unsafe { (input(gray, len)?, input(sample, len)?) };
        // SAFETY: as above.
        let (noise, out) = unsafe { (noise.view(len)?, output(out, len)?) };
        Ok(Recolouring { gray, sample, batch, sigma, noise, out })
    }
}

/// A copy of a struct, so that outputs may lie in it.
///
/// # Safety
/// If `ptr` is not NULL it is readable.
unsafe fn copy<T>(ptr: *const T) -> Result<T, Error> {
    super::check(ptr, 1)?;
    // SAFETY: checked not to be NULL or misaligned; the rest is this function's own condition.
    Ok(unsafe { ptr.read() })
}

/// Imputation, the step of inpainting: out = x·(1 − m) + (d + z·σ)·m for the sample x, the mask m,
/// the known data d and noise z; without noise x·(1 − m) + d·m (Song et al. 2021, appendix I.2;
/// score_sde's get_pc_inpainter, bit for bit).
///
/// score_sde imputes after the corrector and after the predictor of each step, with the sigma of
/// the step's timestep and a draw of its own. Its first sample is the prior's, imputed without
/// noise. Its result is the imputed sample, imputed once more without noise. Impute the predictor's
/// mean instead, and the noise of unknown elements is removed as well.
///
/// Where its sigma is 0, no noise is needed. The output may not overlap a mask that is shorter than
/// it. To split the work, pass parts of all buffers, and counter.index plus the part's offset.
///
/// # Safety
/// `imputation` is NULL or readable, and every pointer in it is NULL or valid for its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_impute(imputation: *const CImputation) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { inverse::impute(copy(imputation)?.view()?) })
}

/// The step of colourisation: the sample is decoupled (vesde_decouple), its first channel, the
/// brightness, is replaced by that of the gray image plus σ·noise, and it is coupled again
/// (vesde_couple), in one pass (Song et al. 2021, appendix I.3; score_sde's get_pc_colorizer, bit
/// for bit except for the sign of a zero and for batches of fewer than 45 pixels).
///
/// score_sde recolours after the corrector and after the predictor of each step, with the sigma of
/// the step's timestep and a draw of its own. Its result is the recoloured sample, recoloured once
/// more without noise. For its first sample it sets the red channel of the prior's sample to zero,
/// and adds the brightness of the gray image after decoupling: vesde_decouple of both, vesde_linear
/// of the two first channels, vesde_couple.
///
/// Where its sigma is 0, no noise is needed. To split the work, pass whole samples, and
/// counter.index plus the part's offset.
///
/// # Safety
/// `recolouring` is NULL or readable, and every pointer in it is NULL or valid for its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_recolour(recolouring: *const CRecolouring) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { inverse::recolour(copy(recolouring)?.view()?) })
}

/// Brightness and two channels of colour from red, green and blue: each pixel of `batch` images,
/// one after the other and each of three channels one after the other, times score_sde's matrix M
/// (get_pc_colorizer's decouple, bit for bit). `x` and `out` have `len` floats, a multiple of 3
/// times the batch.
///
/// # Safety
/// `x` is NULL or readable and `out` is NULL or writable for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_decouple(
    x: *const f32,
    len: usize,
    batch: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { inverse::decouple(input(x, len)?, batch, output(out, len)?) })
}

/// Red, green and blue from what vesde_decouple makes: times torch's inverse of M
/// (get_pc_colorizer's couple, bit for bit).
///
/// # Safety
/// As vesde_decouple.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_couple(
    x: *const f32,
    len: usize,
    batch: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { inverse::couple(input(x, len)?, batch, output(out, len)?) })
}

/// Classifier-free guidance (Ho and Salimans 2022): out = u + weight·(c − u) for the scores of a
/// network without and with the condition. A weight of 0 gives `unconditional`, 1 `conditional`,
/// and more a stronger condition. The paper's weight is less by 1. Denoised samples and noise
/// predictions combine in the same way. All buffers have `len` floats; `out` may be either.
///
/// With a classifier's gradient the score is vesde_linear of the score, with factor 1, and of the
/// gradient. To split the work, pass parts of all buffers.
///
/// # Safety
/// Each pointer is NULL or valid for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_guide(
    unconditional: *const f32,
    conditional: *const f32,
    weight: f32,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let (unconditional, conditional) = (input(unconditional, len)?, input(conditional, len)?);
        inverse::guide(unconditional, conditional, weight, output(out, len)?)
    })
}

/// Tweedie's formula: the posterior mean of the clean data, out = sample + σ²·score for the score
/// at the sample and `sigma`, with σ² rounded first. All buffers have `len` floats; `out` may be
/// either. To split the work, pass parts of all buffers.
///
/// # Safety
/// Each pointer is NULL or valid for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_tweedie(
    sample: *const f32,
    score: *const f32,
    sigma: f32,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { inverse::tweedie(input(sample, len)?, input(score, len)?, sigma, output(out, len)?) })
}
