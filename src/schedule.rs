//! Timesteps, sigmas, and the coefficients of a predictor step: scalar arithmetic on the caller's
//! tables.

use crate::buf::{self, In, Out};
use crate::config::Config;
use crate::error::Error;
use crate::simd::fma;

/// The tables that a scheduler works from, all owned by the caller.
///
/// `sigmas` goes with the timesteps that it was made for, `discrete_sigmas` with the n of
/// `set_sigmas`. As in diffusers, their lengths may differ from that of `timesteps`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    /// Continuous timesteps, from 1 down to `sampling_eps`: [`set_timesteps`].
    pub timesteps: &'a [f32],
    /// The noise scale at each timestep, for the network: [`set_sigmas`].
    pub sigmas: &'a [f32],
    /// The ascending noise scales that a step looks up: [`set_sigmas`].
    pub discrete_sigmas: &'a [f32],
}

/// The predictor: the step from one timestep to the next (Song et al. 2021, appendices E to G;
/// `score_sde`'s predictors). With σ the discrete sigma at the timestep and σ′ its adjacent one:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Predictor {
    /// Reverse diffusion, which is diffusers' step: d = √(σ² − σ′²), drift d², diffusion d.
    #[default]
    ReverseDiffusion = 0,
    /// Reverse diffusion along the probability flow: drift d²/2, no diffusion.
    ReverseDiffusionFlow = 1,
    /// Ancestral sampling: v = σ² − σ′², drift v, diffusion √(σ′²·v/σ²).
    Ancestral = 2,
    /// No predictor: no step, no score and no draw.
    None = 3,
    /// Euler–Maruyama: drift g², dt 1/N, diffusion g·√(1/N), with N timesteps and g = σ(t)·√(2·ln
    /// (`sigma_max`/`sigma_min`)). σ(t) is the one in `sigmas` at this timestep, if it is there.
    EulerMaruyama = 4,
    /// Euler's steps along the probability flow: drift g²/2, dt 1/N, no diffusion.
    EulerMaruyamaFlow = 5,
}

impl Predictor {
    /// Every predictor.
    ///
    /// cbindgen:ignore
    pub const ALL: &'static [Self] = &[
        Self::ReverseDiffusion,
        Self::ReverseDiffusionFlow,
        Self::Ancestral,
        Self::None,
        Self::EulerMaruyama,
        Self::EulerMaruyamaFlow,
    ];
}

/// The factors of a predictor step: `prev_sample_mean = sample + (drift·model_output)·dt` and
/// `prev_sample = prev_sample_mean + diffusion·noise`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct PredictorStep {
    /// The factor of the score.
    pub drift: f32,
    /// The second factor of the score: 1, except for predictors that multiply twice.
    pub dt: f32,
    /// The factor of the noise.
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
    for (i, t) in timesteps.iter().enumerate() {
        sigmas.set(i, config.sigma(t));
    }
    let (start, end) = (libm::log(config.sigma_min) as f32, libm::log(config.sigma_max) as f32);
    let n = discrete_sigmas.len();
    for i in 0..n {
        discrete_sigmas.set(i, libm::exp(f64::from(linspace(start, end, n, i))) as f32);
    }
    Ok(())
}

/// Writes the noise scales of annealed Langevin dynamics, from `sigma_max` down to `sigma_min` in
/// geometric progression (ncsnv2's `get_sigmas`), in `f64` and rounded once.
///
/// # Errors
/// Those of [`Config::validate`]; `Empty`.
pub fn set_ncsnv2_sigmas<'a>(config: &Config, sigmas: impl Into<Out<'a>>) -> Result<(), Error> {
    let sigmas = sigmas.into();
    config.validate()?;
    buf::check(&[], &[&sigmas])?;
    let (start, end) = (libm::log(config.sigma_max), libm::log(config.sigma_min));
    // NumPy's linspace: a multiple of the step, and the end as it is.
    let last = sigmas.len() - 1;
    let step = (end - start) / last.max(1) as f64;
    for i in 0..sigmas.len() {
        let at = if i == last && i > 0 { end } else { i as f64 * step + start };
        sigmas.set(i, libm::exp(at) as f32);
    }
    Ok(())
}

/// Writes sigmas in geometric progression from `sigma_max` down to `sigma_min`: equal steps of log
/// σ, which are the VE SDE's own and EDM's "VE" row (Karras et al. 2022, table 1). One sigma alone
/// is `sigma_max`. In `f64`, rounded once. For a step to 0, append a 0.
///
/// # Errors
/// `Empty`; `InvalidSigmaMin` where `sigma_min` is not greater than 0; `InvalidSigmaMax` where
/// `sigma_max` is less than `sigma_min` or not finite.
pub fn set_geometric_sigmas<'a>(
    sigma_min: f64,
    sigma_max: f64,
    sigmas: impl Into<Out<'a>>,
) -> Result<(), Error> {
    spaced(sigma_min, sigma_max, sigmas.into(), &|a, b, t| a * libm::pow(b / a, t))
}

/// Writes sigmas whose ρ-th roots are equally spaced (Karras et al. 2022, equation 5, with ρ 7;
/// k-diffusion's `get_sigmas_karras`), from `sigma_max` down to `sigma_min`. One sigma alone is
/// `sigma_max`. In `f64`, rounded once. For a step to 0, append a 0.
///
/// # Errors
/// Those of [`set_geometric_sigmas`], and `InvalidOption` where `rho` is not finite and greater
/// than 0, or so small or so large that the roots are infinite, 0 or the same.
pub fn set_karras_sigmas<'a>(
    sigma_min: f64,
    sigma_max: f64,
    rho: f64,
    sigmas: impl Into<Out<'a>>,
) -> Result<(), Error> {
    let root = |sigma| libm::pow(sigma, 1.0 / rho);
    let (start, end) = (root(sigma_max), root(sigma_min));
    let has_roots = start > end && end > 0.0 && start.is_finite();
    let needs_roots = sigma_max > sigma_min && sigma_min > 0.0 && sigma_max.is_finite();
    if !(rho > 0.0 && rho.is_finite() && (has_roots || !needs_roots)) {
        return Err(Error::InvalidOption);
    }
    spaced(sigma_min, sigma_max, sigmas.into(), &|_, _, t| libm::pow(start + t * (end - start), rho))
}

/// Writes what `at` makes of the greatest and the least sigma and of times from 0 to 1.
fn spaced(
    sigma_min: f64,
    sigma_max: f64,
    sigmas: Out<'_>,
    at: &dyn Fn(f64, f64, f64) -> f64, // not generic: once in the library
) -> Result<(), Error> {
    if !(sigma_min > 0.0 && sigma_min as f32 > 0.0) {
        return Err(Error::InvalidSigmaMin);
    }
    if !(sigma_max >= sigma_min && (sigma_max as f32).is_finite()) {
        return Err(Error::InvalidSigmaMax);
    }
    buf::check(&[], &[&sigmas])?;
    let last = sigmas.len() - 1;
    for i in 0..sigmas.len() {
        let sigma = match i {
            0 => sigma_max,
            _ if i == last => sigma_min,
            // The last bits of powers of great exponents may be wrong.
            _ => {
                libm::fmin(libm::fmax(at(sigma_max, sigma_min, i as f64 / last as f64), sigma_min), sigma_max)
            }
        };
        sigmas.set(i, sigma as f32);
    }
    Ok(())
}

/// The SDE in continuous time: x(t) = x(0) + σ(t)·z and dx = g(t)·dw.
impl Config {
    /// σ(t) = `sigma_min·(sigma_max/sigma_min)^t`, as [`set_sigmas`] has it (`score_sde`'s
    /// `marginal_prob`).
    #[must_use]
    #[inline(never)] // so that it is in the library once
    pub fn sigma(&self, timestep: f32) -> f32 {
        let ratio = f64::from((self.sigma_max / self.sigma_min) as f32);
        // A power in f64 is right to under 1 ulp: but for about one in 10⁸, its rounding to f32 is
        // the correct one.
        self.sigma_min as f32 * libm::pow(ratio, f64::from(timestep)) as f32
    }

    /// The time at which σ(t) is `sigma`: ln(σ/`sigma_min`)/ln(`sigma_max`/`sigma_min`).
    #[must_use]
    #[inline(never)] // so that it is in the library once
    pub fn timestep(&self, sigma: f64) -> f64 {
        libm::log(sigma / self.sigma_min) / libm::log(self.sigma_max / self.sigma_min)
    }

    /// g = σ·√(2·ln(`sigma_max`/`sigma_min`)) where σ(t) is `sigma`: g² = dσ²/dt (Song et al. 2021,
    /// equation 30; `score_sde`'s `sde`). Infinite where that overflows.
    #[must_use]
    #[inline(never)] // so that it is in the library once
    pub fn diffusion(&self, sigma: f32) -> f32 {
        sigma * libm::sqrt(2.0 * (libm::log(self.sigma_max) - libm::log(self.sigma_min))) as f32
    }
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

    /// σ(t), for the network: the table's, if the timestep is in it.
    fn continuous_sigma(&self, config: &Config, timestep: f32) -> Result<f32, Error> {
        let mut table = self.timesteps.iter().zip(self.sigmas);
        finite(
            table.find(|&(&t, _)| t == timestep).map_or_else(|| config.sigma(timestep), |(_, &sigma)| sigma),
        )
    }

    /// The factors of a predictor step at a timestep.
    ///
    /// # Errors
    /// `Empty` and `TimestepOutOfRange` as [`index`](Self::index); `InvalidSigma` where σ² − σ′² is
    /// negative, or a factor is not finite.
    #[inline(never)] // so that it is in the library once
    pub fn predictor_step(
        &self,
        config: &Config,
        predictor: Predictor,
        timestep: f32,
    ) -> Result<PredictorStep, Error> {
        let nothing = PredictorStep { drift: 0.0, dt: 1.0, diffusion: 0.0 };
        let index = self.index(timestep)?;
        let (sigma, adjacent) = (self.discrete_sigma(index)?, self.adjacent_sigma(index)?);
        let variance = sigma * sigma - adjacent * adjacent;
        if !(variance >= 0.0 && variance.is_finite()) {
            return Err(Error::InvalidSigma);
        }
        let diffusion = libm::sqrtf(variance);
        let drift = diffusion * diffusion;
        let g_and_dt = || {
            let g = config.diffusion(self.continuous_sigma(config, timestep)?);
            Ok((g, 1.0 / self.timesteps.len() as f64))
        };
        let step = match predictor {
            Predictor::ReverseDiffusion => PredictorStep { drift, diffusion, ..nothing },
            Predictor::ReverseDiffusionFlow => PredictorStep { drift: drift * 0.5, ..nothing },
            Predictor::Ancestral => {
                let diffusion = libm::sqrtf(adjacent * adjacent * variance / (sigma * sigma));
                PredictorStep { drift: variance, diffusion, ..nothing }
            }
            Predictor::None => nothing,
            Predictor::EulerMaruyama => {
                let (g, dt) = g_and_dt()?;
                PredictorStep { drift: g * g, dt: dt as f32, diffusion: g * libm::sqrt(dt) as f32 }
            }
            Predictor::EulerMaruyamaFlow => {
                let (g, dt) = g_and_dt()?;
                PredictorStep { drift: g * g * 0.5, dt: dt as f32, diffusion: 0.0 }
            }
        };
        if step.drift.is_finite() && step.diffusion.is_finite() { Ok(step) } else { Err(Error::InvalidSigma) }
    }
}
