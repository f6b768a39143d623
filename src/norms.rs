//! The corrector's norms, their means over the batch, and the step size that follows from them:
//! reductions, which may be split over threads and processes. No sample is written here.

use crate::buf::Out;
use crate::config::is_snr;
use crate::error::Error;
use crate::kernels::Source;
use crate::kernels::norm::{SumSquares, TorchNorm, TorchSum};
use crate::kernels::normal::Fill;
use crate::noise::Noise;
use crate::simd::dispatch;

/// Floats in a block of a sum of squares. For the corrector's norms a sample may be split at
/// multiples of it.
pub const NORM_BLOCK: usize = crate::kernels::norm::NORM_BLOCK;

/// How the corrector averages its norms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Averaging {
    /// Over the batch: one step size for all samples, as in diffusers.
    #[default]
    Batch = 0,
    /// Not at all: each sample has its own step size, whatever its neighbours in the batch.
    PerSample = 1,
}

/// How the corrector computes norms and step size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Norm {
    /// In `f64`, rounded to `f32` once at the end: right to 1e-7 at every length, and splittable.
    #[default]
    Exact = 0,
    /// In `f32` in torch's order, bit for bit. Its error grows with the length: 6e-5 at 3 million
    /// elements.
    Torch = 1,
}

/// The factors of a corrector step: `prev_sample_mean = sample + step_size·model_output` and
/// `prev_sample = prev_sample_mean + noise_factor·noise`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct CorrectorStep {
    /// ε = 2·(snr·‖noise‖/‖score‖)².
    pub step_size: f32,
    /// √(2ε).
    pub noise_factor: f32,
}

/// How many sums of squares a sample of `len` floats has: one for each [`NORM_BLOCK`] of them.
#[must_use]
pub fn norm_blocks(len: usize) -> usize {
    len.div_ceil(NORM_BLOCK)
}

/// The sums of squares of each [`NORM_BLOCK`] of the `len` floats of `x`, or of so much counter
/// noise: the first phase of a corrector step that is split. Parts of a sample that begin at a
/// multiple of [`NORM_BLOCK`] may be summed anywhere, in any order.
///
/// `blocks` has [`norm_blocks`]`(len)` places.
///
/// # Errors
/// `Empty`, `LengthMismatch`, `TooLarge`; `NullPointer` for [`Noise::None`].
pub fn sum_squares<'a>(x: impl Into<Noise<'a>>, len: usize, blocks: &mut [f64]) -> Result<(), Error> {
    block_sums(x.into(), len, blocks.len(), &mut store(blocks))
}

/// A sink that stores what it is handed, one after the other.
pub(crate) fn store(to: &mut [f64]) -> impl FnMut(f64) {
    let mut places = to.iter_mut();
    move |sum| {
        if let Some(place) = places.next() {
            *place = sum;
        }
    }
}

/// What [`sum_squares`] stores, handed to a sink of `places` places.
pub(crate) fn block_sums(
    x: Noise<'_>,
    len: usize,
    places: usize,
    sink: &mut dyn FnMut(f64),
) -> Result<(), Error> {
    let x = x.source().ok_or(Error::NullPointer)?;
    x.check(len)?;
    if places != norm_blocks(len) {
        return Err(Error::LengthMismatch);
    }
    dispatch(SumSquares { x, len, sink });
    Ok(())
}

/// The norm of one sample from all its sums of squares, in order.
#[must_use]
pub fn sample_norm(blocks: &[f64]) -> f64 {
    libm::sqrt(blocks.iter().fold(0.0, |total, block| total + block))
}

/// torch's norm of one sample of `len` floats, or of so much counter noise, bit for bit: an `f32`
/// value ([`Norm::Torch`]). It cannot be split.
///
/// # Errors
/// `Empty`, `LengthMismatch`, `TooLarge`; `NullPointer` for [`Noise::None`].
pub fn torch_norm<'a>(x: impl Into<Noise<'a>>, len: usize) -> Result<f64, Error> {
    let x = x.into().source().ok_or(Error::NullPointer)?;
    x.check(len)?;
    Ok(f64::from(dispatch(TorchNorm { x, len })))
}

/// The mean of one norm a sample, over the batch. With [`Norm::Torch`] in `f32` and torch's order,
/// bit for bit for any number of samples, as one thread of torch has it (beyond 32,768 its threads
/// share the sum); otherwise in order, in `f64`.
///
/// # Errors
/// `Empty`.
pub fn mean_norm(norms: &[f64], norm: Norm) -> Result<f64, Error> {
    if norms.is_empty() {
        return Err(Error::Empty);
    }
    let mut mean = Mean::new(norm, norms.len());
    for &x in norms {
        mean.push(x);
    }
    Ok(mean.finish())
}

/// The factors of a corrector step from its two norms: the middle phase of a step that is split.
///
/// # Errors
/// `InvalidSnr`; `ZeroGradientNorm`; `NonFiniteGradientNorm` also where the step size overflows;
/// `NonFiniteNoiseNorm`.
#[inline(never)] // so that it is in the library once
pub fn corrector_step(snr: f64, grad_norm: f64, noise_norm: f64, norm: Norm) -> Result<CorrectorStep, Error> {
    if !is_snr(snr) {
        return Err(Error::InvalidSnr);
    }
    // The norms as the arithmetic below sees them.
    let [grad_norm, noise_norm] = match norm {
        Norm::Exact => [grad_norm, noise_norm],
        Norm::Torch => [grad_norm, noise_norm].map(|x| f64::from(x as f32)),
    };
    if grad_norm == 0.0 {
        return Err(Error::ZeroGradientNorm);
    }
    if !(grad_norm > 0.0 && grad_norm.is_finite()) {
        return Err(Error::NonFiniteGradientNorm);
    }
    if !(noise_norm >= 0.0 && noise_norm.is_finite()) {
        return Err(Error::NonFiniteNoiseNorm);
    }
    let step = match norm {
        Norm::Exact => {
            let ratio = snr * noise_norm / grad_norm;
            let step_size = ratio * ratio * 2.0;
            let noise_factor = libm::sqrt(step_size * 2.0) as f32;
            CorrectorStep { step_size: step_size as f32, noise_factor }
        }
        Norm::Torch => {
            let ratio = snr as f32 * noise_norm as f32 / grad_norm as f32;
            let step_size = ratio * ratio * 2.0;
            CorrectorStep { step_size, noise_factor: libm::sqrtf(step_size * 2.0) }
        }
    };
    if step.step_size.is_finite() && step.noise_factor.is_finite() {
        Ok(step)
    } else {
        Err(Error::NonFiniteGradientNorm)
    }
}

/// The factors of annealed Langevin dynamics, in which no norm is taken: ε = `factor`·ratio² and
/// √(2ε), in `f32`. With `factor` 2 and ratio snr·σ it is `score_sde`'s corrector `ald`; with
/// `step_lr` and σ over the last sigma ncsnv2's (Song and Ermon 2020, algorithm 1).
///
/// # Errors
/// `InvalidSnr` where a result is not finite.
pub fn annealed_step(ratio: f32, factor: f32) -> Result<CorrectorStep, Error> {
    let step_size = factor * (ratio * ratio);
    let noise_factor = libm::sqrtf(step_size * 2.0);
    if step_size.is_finite() && noise_factor.is_finite() {
        Ok(CorrectorStep { step_size, noise_factor })
    } else {
        Err(Error::InvalidSnr)
    }
}

/// A mean of norms that come one after the other.
struct Mean {
    sum: f64,
    /// torch's, instead.
    torch: Option<TorchSum>,
    count: usize,
}

impl Mean {
    fn new(norm: Norm, count: usize) -> Self {
        Self { sum: 0.0, torch: (norm == Norm::Torch).then(|| TorchSum::new(count)), count }
    }

    fn push(&mut self, x: f64) {
        match &mut self.torch {
            None => self.sum += x,
            Some(sum) => sum.push(x as f32),
        }
    }

    fn finish(self) -> f64 {
        match self.torch {
            None => self.sum / self.count as f64,
            Some(sum) => f64::from(sum.total() / self.count as f32),
        }
    }
}

/// The mean of each sample's norm.
pub(crate) fn mean_of(batch: usize, norm: Norm, norm_of: impl Fn(usize) -> f64) -> f64 {
    if batch == 1 {
        return norm_of(0); // to the bit, and torch's sum is half a kilobyte
    }
    let mut mean = Mean::new(norm, batch);
    for i in 0..batch {
        mean.push(norm_of(i));
    }
    mean.finish()
}

/// The norm of `len` elements of `x` from `start` on. Counter noise is kept in `scratch`, if there
/// is one, which is as long as the batch.
#[inline(never)] // as above
pub(crate) fn norm_of(x: Source<'_>, scratch: Option<&Out<'_>>, start: usize, len: usize, norm: Norm) -> f64 {
    let x = |at: usize, len: usize| match (x.part(start + at, len), scratch) {
        (Source::Counter(place), Some(scratch)) => {
            let out = scratch.part(start + at, len);
            let kept = out.as_in();
            dispatch(Fill { place, out });
            Source::Given(kept)
        }
        (x, _) => x,
    };
    match norm {
        Norm::Exact => {
            let mut total = 0.0;
            for at in (0..len).step_by(SCRATCH_PART) {
                let len = SCRATCH_PART.min(len - at);
                dispatch(SumSquares { x: x(at, len), len, sink: &mut |sum| total += sum });
            }
            libm::sqrt(total)
        }
        Norm::Torch => f64::from(dispatch(TorchNorm { x: x(0, len), len })),
    }
}

/// Noise that is kept is made and squared a part at a time: 128 KiB, which stay in a cache.
const SCRATCH_PART: usize = 8 * NORM_BLOCK;
