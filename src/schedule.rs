//! Timesteps, sigmas, and the coefficients of a predictor step: scalar arithmetic on the caller's
//! tables.

use crate::buf::{self, In, Out};
use crate::config::Config;
use crate::error::Error;
use crate::simd::fma;

/// The tables that a scheduler works from, all owned by the caller.
///
/// `sigmas` runs along the timesteps it was made for, `discrete_sigmas` along the n of
/// `set_sigmas`: as in diffusers, their lengths may differ from that of `timesteps`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    /// Continuous timesteps, from 1 down to `sampling_eps`: [`set_timesteps`].
    pub timesteps: &'a [f32],
    /// The noise scale at each timestep, which the network is given: [`set_sigmas`].
    pub sigmas: &'a [f32],
    /// The ascending noise scales that a step looks up: [`set_sigmas`].
    pub discrete_sigmas: &'a [f32],
}

/// The factors of a predictor step: `prev_sample_mean = sample + drift·model_output` and
/// `prev_sample = prev_sample_mean + diffusion·noise`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct PredictorStep {
    /// `diffusion²`, rounded.
    pub drift: f32,
    /// √(σ² − σ′²), with σ the sigma at the timestep and σ′ its adjacent one.
    pub diffusion: f32,
}

/// torch's `linspace(start, end, n)` in `f32`, element `i`: from the nearer end, fused.
fn linspace(start: f32, end: f32, n: usize, i: usize) -> f32 {
    if n < 2 {
        return start;
    }
    let step = (end - start) / (n - 1) as f32;
    if i < n / 2 { fma(step, i as f32, start) } else { fma(-step, (n - 1 - i) as f32, end) }
}

/// Writes the continuous timesteps, from 1 down to `sampling_eps` (diffusers' `set_timesteps`, bit
/// for bit).
///
/// # Errors
/// Those of [`Config::validate`]; `Empty`.
pub fn set_timesteps<'a>(config: &Config, timesteps: impl Into<Out<'a>>) -> Result<(), Error> {
    let timesteps = timesteps.into();
    config.validate()?;
    buf::check(&[], &[&timesteps])?;
    let n = timesteps.len();
    for i in 0..n {
        timesteps.set(i, linspace(1.0, config.sampling_eps as f32, n, i));
    }
    Ok(())
}

/// Writes `sigmas`, `sigma_min·(sigma_max/sigma_min)^t` at each of `timesteps`, and
/// `discrete_sigmas`, as many as there is room for, from `sigma_min` to `sigma_max` in geometric
/// progression (diffusers' `set_sigmas`; Song et al. 2021, appendix C).
///
/// Powers and exponentials are `f64` ones rounded to `f32`; torch's own, in `f32`, differ by up to
/// 2 and 1 ulp.
///
/// # Errors
/// Those of [`Config::validate`]; `Empty`; `LengthMismatch` where `sigmas` and `timesteps` differ
/// in length; `TimestepOutOfRange` where a timestep is not in 0..=1.
pub fn set_sigmas<'a>(
    config: &Config,
    timesteps: impl Into<In<'a>>,
    sigmas: impl Into<Out<'a>>,
    discrete_sigmas: impl Into<Out<'a>>,
) -> Result<(), Error> {
    let (timesteps, sigmas, discrete_sigmas) = (timesteps.into(), sigmas.into(), discrete_sigmas.into());
    config.validate()?;
    buf::check(&[timesteps], &[&sigmas])?;
    buf::check(&[], &[&discrete_sigmas])?;
    if discrete_sigmas.overlaps(timesteps) || discrete_sigmas.overlaps(sigmas.as_in()) {
        return Err(Error::Overlap);
    }
    for t in timesteps.iter() {
        in_range(t)?;
    }
    let sigma_min = config.sigma_min as f32;
    let ratio = f64::from((config.sigma_max / config.sigma_min) as f32);
    for (i, t) in timesteps.iter().enumerate() {
        // A power in f64 is right to under 1 ulp: but for about one in 10⁸, its rounding to f32 is
        // the correct one.
        sigmas.set(i, sigma_min * libm::pow(ratio, f64::from(t)) as f32);
    }
    let (start, end) = (libm::log(config.sigma_min) as f32, libm::log(config.sigma_max) as f32);
    let n = discrete_sigmas.len();
    for i in 0..n {
        discrete_sigmas.set(i, libm::exp(f64::from(linspace(start, end, n, i))) as f32);
    }
    Ok(())
}

/// A sigma from a table, which its owner may have edited.
pub(crate) fn finite(sigma: f32) -> Result<f32, Error> {
    if sigma.is_finite() { Ok(sigma) } else { Err(Error::InvalidSigma) }
}

/// Checks a timestep.
pub(crate) fn in_range(timestep: f32) -> Result<f32, Error> {
    if (0.0..=1.0).contains(&timestep) { Ok(timestep) } else { Err(Error::TimestepOutOfRange) }
}

impl Schedule<'_> {
    /// The index into `discrete_sigmas` at a continuous timestep: `trunc(t·(len − 1))` in `f32`,
    /// with the length of `timesteps`.
    ///
    /// # Errors
    /// `Empty` without timesteps; `TimestepOutOfRange` where `timestep` is not in 0..=1 or the
    /// index is not in the table.
    pub fn index(&self, timestep: f32) -> Result<usize, Error> {
        let (index, _) = self.index_and_last(timestep)?;
        if index < self.discrete_sigmas.len() { Ok(index) } else { Err(Error::TimestepOutOfRange) }
    }

    /// The index at a timestep, whether or not there is a sigma, and the last one.
    fn index_and_last(&self, timestep: f32) -> Result<(usize, usize), Error> {
        let last = self.timesteps.len().checked_sub(1).ok_or(Error::Empty)?;
        let index = (in_range(timestep)? * last as f32) as usize;
        // Beyond 2²⁴ timesteps their number may be rounded up.
        Ok((index.min(last), last))
    }

    /// The label that a network of discrete noise levels is given at a continuous timestep: N − 1 −
    /// [`index`](Self::index), with N the number of timesteps.
    ///
    /// # Errors
    /// Those of [`index`](Self::index), but that discrete sigmas are not needed.
    pub(crate) fn label(&self, timestep: f32) -> Result<usize, Error> {
        let (index, last) = self.index_and_last(timestep)?;
        Ok(last - index)
    }

    /// `discrete_sigmas[index]`.
    ///
    /// # Errors
    /// `TimestepOutOfRange` where there is none; `InvalidSigma` where it is not finite.
    pub fn discrete_sigma(&self, index: usize) -> Result<f32, Error> {
        finite(self.discrete_sigmas.get(index).copied().ok_or(Error::TimestepOutOfRange)?)
    }

    /// The sigma one index below: `discrete_sigmas[index − 1]`, or 0 at index 0 (diffusers'
    /// `get_adjacent_sigma`).
    ///
    /// # Errors
    /// `TimestepOutOfRange` where `index` is beyond the table; `InvalidSigma` where one of the two
    /// is not finite.
    pub fn adjacent_sigma(&self, index: usize) -> Result<f32, Error> {
        self.discrete_sigma(index)?;
        index.checked_sub(1).map_or(Ok(0.0), |below| self.discrete_sigma(below))
    }

    /// The factors of a predictor step at a timestep (Song et al. 2021, equation 47).
    ///
    /// # Errors
    /// `Empty` and `TimestepOutOfRange` as [`index`](Self::index); `InvalidSigma` where σ² − σ′² is
    /// negative or not finite.
    #[inline(never)] // so that it is in the library once
    pub fn predictor_step(&self, timestep: f32) -> Result<PredictorStep, Error> {
        let index = self.index(timestep)?;
        let (sigma, adjacent) = (self.discrete_sigma(index)?, self.adjacent_sigma(index)?);
        let variance = sigma * sigma - adjacent * adjacent;
        if !(variance >= 0.0 && variance.is_finite()) {
            return Err(Error::InvalidSigma);
        }
        let diffusion = libm::sqrtf(variance);
        Ok(PredictorStep { drift: diffusion * diffusion, diffusion })
    }
}
