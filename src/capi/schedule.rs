//! The schedule in C, and the object that the steps take.

use super::{Span, input, known, object, output, produce, span, status, table, vesde_status};
use crate::config::Config;
use crate::error::Error;
use crate::schedule::{self, Predictor, PredictorStep, Schedule};
use crate::steps::Scheduler;

/// A configuration and its tables, all of them the caller's. No function's output may overlap a
/// table or this struct. A table that a function does not need may be NULL with length 0. Of the
/// configuration, steps read `snr` only.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CScheduler {
    /// The configuration.
    pub config: Config,
    /// Continuous timesteps from 1 down to sampling_eps: vesde_set_timesteps.
    pub timesteps: *const f32,
    /// Their number.
    pub timesteps_len: usize,
    /// The noise scale at each timestep, for the network: vesde_set_sigmas. Only the sampler needs
    /// it.
    pub sigmas: *const f32,
    /// Their number.
    pub sigmas_len: usize,
    /// The ascending noise scales that a step looks up: vesde_set_sigmas.
    pub discrete_sigmas: *const f32,
    /// Their number.
    pub discrete_sigmas_len: usize,
}

impl CScheduler {
    /// The Rust object, which no output may overlap.
    ///
    /// # Safety
    /// Each table is readable for its length as long as `'a`, or NULL; nothing but `outs` is
    /// written meanwhile.
    pub(super) unsafe fn view<'a>(this: *const Self, outs: &[Span]) -> Result<Scheduler<'a>, Error> {
        /// # Safety
        /// As [`CScheduler::view`].
        unsafe fn optional<'a>(ptr: *const f32, len: usize, outs: &[Span]) -> Result<&'a [f32], Error> {
            if ptr.is_null() && len == 0 {
                return Ok(&[]);
            }
            // SAFETY: this function's own condition.
            unsafe { table(ptr, len, outs) }
        }
        // SAFETY: this function's own condition, here and below.
        let this = unsafe { object(this, outs)? };
        Ok(Scheduler {
            config: this.config,
            schedule: Schedule {
                // SAFETY: as above.
                timesteps: unsafe { optional(this.timesteps, this.timesteps_len, outs)? },
                // SAFETY: as above.
                sigmas: unsafe { optional(this.sigmas, this.sigmas_len, outs)? },
                // SAFETY: as above.
                discrete_sigmas: unsafe { optional(this.discrete_sigmas, this.discrete_sigmas_len, outs)? },
            },
        })
    }
}

/// Writes `timesteps_len` continuous timesteps, from 1 down to sampling_eps: diffusers'
/// set_timesteps, bit for bit. In place of diffusers' keyword overrides, pass a changed copy of the
/// configuration.
///
/// # Safety
/// `config` is NULL or readable; `timesteps` is NULL or writable for `timesteps_len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_set_timesteps(
    config: *const Config,
    timesteps_len: usize,
    timesteps: *mut f32,
) -> vesde_status {
    status(|| {
        // SAFETY: the caller's promise.
        let (config, out) = unsafe {
            (object(config, &[span(timesteps, timesteps_len)])?, output(timesteps, timesteps_len)?)
        };
        schedule::set_timesteps(config, out)
    })
}

/// Writes `timesteps_len` sigmas, sigma_min·(sigma_max/sigma_min)^t at each timestep t, and
/// `discrete_sigmas_len` discrete sigmas, from sigma_min to sigma_max in geometric progression:
/// diffusers' set_sigmas. Powers and exponentials are double ones rounded to float; torch's own, in
/// float, differ by up to 2 and 1 units in the last place. `sigmas` may be `timesteps`;
/// `discrete_sigmas` may be neither.
///
/// # Safety
/// `config` is NULL or readable; `timesteps` is NULL or readable, and `sigmas` NULL or writable,
/// for `timesteps_len` floats; `discrete_sigmas` is NULL or writable for `discrete_sigmas_len`
/// floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_set_sigmas(
    config: *const Config,
    timesteps: *const f32,
    timesteps_len: usize,
    discrete_sigmas_len: usize,
    sigmas: *mut f32,
    discrete_sigmas: *mut f32,
) -> vesde_status {
    status(|| {
        let outs = [span(sigmas, timesteps_len), span(discrete_sigmas, discrete_sigmas_len)];
        // SAFETY: the caller's promise, for each pointer.
        let (config, timesteps) = unsafe { (object(config, &outs)?, input(timesteps, timesteps_len)?) };
        // SAFETY: as above.
        let sigmas = unsafe { output(sigmas, timesteps_len)? };
        // SAFETY: as above.
        let discrete_sigmas = unsafe { output(discrete_sigmas, discrete_sigmas_len)? };
        schedule::set_sigmas(config, timesteps, sigmas, discrete_sigmas)
    })
}

/// The index into discrete_sigmas at a continuous timestep: trunc(timestep·(timesteps_len − 1)), in
/// float.
///
/// # Safety
/// `scheduler` is NULL or readable, and so are its tables; `index` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_get_timestep_index(
    scheduler: *const CScheduler,
    timestep: f32,
    index: *mut usize,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(index, || CScheduler::view(scheduler, &[span(index, 1)])?.schedule.index(timestep)) }
}

/// The discrete sigma one index below, or 0 at index 0: diffusers' get_adjacent_sigma.
///
/// # Safety
/// `scheduler` is NULL or readable, and so are its tables; `adjacent_sigma` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_get_adjacent_sigma(
    scheduler: *const CScheduler,
    index: usize,
    adjacent_sigma: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe {
        produce(adjacent_sigma, || {
            CScheduler::view(scheduler, &[span(adjacent_sigma, 1)])?.schedule.adjacent_sigma(index)
        })
    }
}

/// The factors of a predictor step at a timestep, for vesde_linear. `predictor` is one of enum
/// vesde_predictor.
///
/// # Safety
/// `scheduler` is NULL or readable, and so are its tables; `step` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_get_predictor_step(
    scheduler: *const CScheduler,
    predictor: i32,
    timestep: f32,
    step: *mut PredictorStep,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe {
        produce(step, || {
            let Scheduler { config, schedule } = CScheduler::view(scheduler, &[span(step, 1)])?;
            schedule.predictor_step(&config, known(predictor, Predictor::ALL)?, timestep)
        })
    }
}

/// Writes `sigmas_len` noise scales of annealed Langevin dynamics, from sigma_max down to sigma_min
/// in geometric progression: ncsnv2's get_sigmas, in double and rounded once.
///
/// # Safety
/// `config` is NULL or readable; `sigmas` is NULL or writable for `sigmas_len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_set_ncsnv2_sigmas(
    config: *const Config,
    sigmas_len: usize,
    sigmas: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let config = object(config, &[span(sigmas, sigmas_len)])?;
        schedule::set_ncsnv2_sigmas(config, output(sigmas, sigmas_len)?)
    })
}

/// Writes sigmas in geometric progression from sigma_max down to sigma_min: equal steps of log σ,
/// which are the VE SDE's own and EDM's "VE" row (Karras et al. 2022, table 1). One sigma alone is
/// sigma_max. They are made in double and rounded once. For a step to 0, append a 0.
///
/// # Safety
/// `sigmas` is NULL or writable for `sigmas_len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_set_geometric_sigmas(
    sigma_min: f64,
    sigma_max: f64,
    sigmas_len: usize,
    sigmas: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| schedule::set_geometric_sigmas(sigma_min, sigma_max, unsafe { output(sigmas, sigmas_len)? }))
}

/// Writes sigmas whose rho-th roots are equally spaced (Karras et al. 2022, equation 5, with rho 7;
/// k-diffusion's get_sigmas_karras), from sigma_max down to sigma_min. One sigma alone is
/// sigma_max. They are made in double and rounded once. For a step to 0, append a 0. A rho that is
/// not greater than 0, or so small or so large that the roots are infinite, 0 or the same, is
/// VESDE_ERROR_INVALID_OPTION.
///
/// # Safety
/// `sigmas` is NULL or writable for `sigmas_len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_set_karras_sigmas(
    sigma_min: f64,
    sigma_max: f64,
    rho: f64,
    sigmas_len: usize,
    sigmas: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| schedule::set_karras_sigmas(sigma_min, sigma_max, rho, unsafe { output(sigmas, sigmas_len)? }))
}

/// σ(t) = sigma_min·(sigma_max/sigma_min)^t, as vesde_set_sigmas has it.
///
/// # Safety
/// `config` is NULL or readable; `sigma` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_get_sigma(
    config: *const Config,
    timestep: f32,
    sigma: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(sigma, || Ok(valid(config)?.sigma(schedule::in_range(timestep)?))) }
}

/// The time at which σ(t) is `sigma`: ln(sigma/sigma_min)/ln(sigma_max/sigma_min).
///
/// # Safety
/// `config` is NULL or readable; `timestep` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_get_timestep(
    config: *const Config,
    sigma: f64,
    timestep: *mut f64,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe {
        produce(timestep, || {
            let config = valid(config)?;
            if sigma > 0.0 && sigma.is_finite() {
                Ok(config.timestep(sigma))
            } else {
                Err(Error::InvalidSigma)
            }
        })
    }
}

/// g = σ·√(2·ln(sigma_max/sigma_min)), the diffusion of dx = g·dw where σ(t) is `sigma`. Infinite
/// where that overflows.
///
/// # Safety
/// `config` is NULL or readable; `diffusion` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_get_diffusion(
    config: *const Config,
    sigma: f32,
    diffusion: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(diffusion, || Ok(valid(config)?.diffusion(schedule::finite(sigma)?))) }
}

/// A copy of a configuration that is valid.
///
/// # Safety
/// `config` is NULL or readable.
unsafe fn valid(config: *const Config) -> Result<Config, Error> {
    // SAFETY: this function's own condition.
    let config = unsafe { object(config, &[])? };
    config.validate()?;
    Ok(*config)
}
