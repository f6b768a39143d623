//! What steps take in C: tagged noise, and buffers in structs with named fields.

use super::{Span, input, known, output, span};
use crate::buf::Out;
use crate::error::Error;
use crate::noise::{Counter, Noise};
use crate::schedule::Predictor;
use crate::steps::{Combination, Step};

/// Where the noise of a step comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum NoiseKind {
    /// None: for a step without noise, whose prev_sample is its prev_sample_mean.
    None = 0,
    /// The caller's.
    Given = 1,
    /// Counter noise, made while the step is computed.
    Counter = 2,
}

/// The noise of a step, one standard normal number for each element: vesde_given_noise or
/// vesde_counter_noise. All zeros is none.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CNoise {
    /// One of enum vesde_noise_kind.
    pub kind: i32,
    /// The numbers, for VESDE_NOISE_KIND_GIVEN.
    pub given: *const f32,
    /// For VESDE_NOISE_KIND_COUNTER: element i of the call takes element counter.index + i.
    pub counter: Counter,
}

impl CNoise {
    /// The Rust object, for a call of `len` floats.
    ///
    /// # Safety
    /// Given noise is NULL or readable for `len` floats as long as `'a`.
    pub(super) unsafe fn view<'a>(self, len: usize) -> Result<Noise<'a>, Error> {
        match self.kind {
            kind if kind == NoiseKind::None as i32 => Ok(Noise::None),
            // SAFETY: this function's own condition.
            kind if kind == NoiseKind::Given as i32 => Ok(Noise::Given(unsafe { input(self.given, len)? })),
            kind if kind == NoiseKind::Counter as i32 => Ok(Noise::Counter(self.counter)),
            _ => Err(Error::UnknownEnum),
        }
    }
}

/// The buffers of a step, of `len` floats each: `batch` samples of equal length, one after the
/// other.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CStep {
    /// The score.
    pub model_output: *const f32,
    /// The sample.
    pub sample: *const f32,
    /// Floats of a buffer: those of the whole batch.
    pub len: usize,
    /// Samples of the batch, at least 1.
    pub batch: usize,
    /// The noise.
    pub noise: CNoise,
    /// The updated sample.
    pub prev_sample: *mut f32,
    /// The same without the noise, or NULL.
    pub prev_sample_mean: *mut f32,
    /// The predictor: one of enum vesde_predictor.
    pub predictor: i32,
}

impl CStep {
    /// A copy of the struct, so that outputs may lie in it.
    ///
    /// # Safety
    /// If `step` is not NULL it is readable.
    pub(super) unsafe fn copy(step: *const Self) -> Result<Self, Error> {
        super::check(step, 1)?;
        // SAFETY: checked not to be NULL or misaligned; the rest is this function's own condition.
        Ok(unsafe { step.read() })
    }

    /// Where the outputs lie.
    pub(super) fn outs(&self) -> [Span; 2] {
        [span(self.prev_sample, self.len), span(self.prev_sample_mean, self.len)]
    }

    /// The Rust object.
    ///
    /// # Safety
    /// Each pointer is NULL or valid for `len` floats as long as `'a`.
    pub(super) unsafe fn view<'a>(self) -> Result<Step<'a>, Error> {
        let Self {
            model_output, sample, len, batch, noise, predictor, prev_sample, prev_sample_mean, ..
        } = self;
        // SAFETY: this function's own condition, here and below.
        let (model_output, sample) = unsafe { (input(model_output, len)?, input(sample, len)?) };
        // SAFETY: as above.
        let (noise, prev_sample) = unsafe { (noise.view(len)?, output(prev_sample, len)?) };
        // SAFETY: as above.
        let prev_sample_mean = unsafe { optional(prev_sample_mean, len)? };
        let predictor = known(predictor, Predictor::ALL)?;
        Ok(Step { model_output, sample, batch, noise, predictor, prev_sample, prev_sample_mean })
    }
}

/// An output that may be missing.
///
/// # Safety
/// As [`output`].
unsafe fn optional<'a>(ptr: *mut f32, len: usize) -> Result<Option<Out<'a>>, Error> {
    // SAFETY: this function's own condition.
    if ptr.is_null() { Ok(None) } else { unsafe { output(ptr, len).map(Some) } }
}

/// The most terms of a linear combination.
pub const VESDE_MOST_TERMS: usize = 8;

const _: () = assert!(VESDE_MOST_TERMS == crate::steps::MOST_TERMS);

/// A factor and its buffer.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CTerm {
    /// The factor.
    pub factor: f32,
    /// As many floats as the combination has.
    pub buffer: *const f32,
}

/// A linear combination of buffers of `len` floats: mean = ((a₀·x₀ + a₁·x₁) + a₂·x₂) + ..., out =
/// mean + noise_factor·noise. All zeros has no terms, no noise and no clamp.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CCombination {
    /// The terms, in the order in which they are added. A first factor of 1 is not multiplied.
    pub terms: [CTerm; VESDE_MOST_TERMS],
    /// Their number.
    pub terms_len: usize,
    /// Second factors: each multiplies its term's product, as in (a₀·x₀)·b₀, and rounds again. 0
    /// and 1 leave the product as it is.
    pub second_factors: [f32; VESDE_MOST_TERMS],
    /// Floats of a buffer.
    pub len: usize,
    /// The noise: the last term.
    pub noise: CNoise,
    /// Its factor.
    pub noise_factor: f32,
    /// 1 if `out` is clamped, and 0 if not; others are VESDE_ERROR_UNKNOWN_ENUM.
    pub clamped: i32,
    /// The least value of `out`. A NaN in `out` stays; a NaN as a bound is no bound.
    pub clamp_low: f32,
    /// The greatest value of `out`. It wins over the least.
    pub clamp_high: f32,
    /// The combination.
    pub out: *mut f32,
    /// The same without the noise, and not clamped; or NULL.
    pub mean: *mut f32,
}

impl CCombination {
    /// The Rust object, of which this is a copy.
    ///
    /// # Safety
    /// Each pointer is NULL or valid for `len` floats as long as `'a`.
    pub(super) unsafe fn view<'a>(&self) -> Result<Combination<'a>, Error> {
        let Self { terms_len, len, noise_factor, .. } = *self;
        // SAFETY: this function's own condition, here and below.
        let mut made = Combination::new(unsafe { output(self.out, len)? });
        let terms = made.terms.get_mut(..terms_len).ok_or(Error::TooLarge)?;
        for (to, &CTerm { factor, buffer }) in terms.iter_mut().zip(&self.terms) {
            // SAFETY: as above.
            *to = (factor, unsafe { input(buffer, len)? });
        }
        for (to, &second_factor) in made.second_factors.iter_mut().zip(&self.second_factors) {
            *to = if second_factor == 0.0 { 1.0 } else { second_factor };
        }
        made.clamp = match self.clamped {
            0 => None,
            1 => Some((self.clamp_low, self.clamp_high)),
            _ => return Err(Error::UnknownEnum),
        };
        // SAFETY: as above.
        let (noise, mean) = unsafe { (self.noise.view(len)?, optional(self.mean, len)?) };
        Ok(Combination { terms_len, noise_factor, noise, mean, ..made })
    }
}
