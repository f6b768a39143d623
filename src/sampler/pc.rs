//! The predictor–corrector method of Song et al. 2021 (algorithm 1) in diffusers' order: for every
//! timestep the corrector steps, then the predictor step, the network evaluated anew before each.
//! Coefficients only.

use super::Corrector;
use super::Modes;
use super::plan::{Denoised, Plan, Reduction};
use crate::config::Config;
use crate::error::Error;
use crate::norms::annealed_step;
use crate::schedule::{PredictorStep, Schedule, finite};

/// Buffers of history.
pub(super) const KEPT: usize = 0;

/// The initial sample: noise of the largest sigma.
pub(super) fn initial(config: &Config) -> Plan {
    Plan { noise_factor: config.init_noise_sigma(), ..Plan::NOTHING }
}

/// A correction at a noise scale.
pub(super) fn correction(
    config: &Config,
    modes: Modes,
    schedule: &Schedule<'_>,
    sigma: f32,
) -> Result<Plan, Error> {
    let step = match modes.corrector {
        Corrector::Langevin | Corrector::None => {
            let Modes { averaging, norm, .. } = modes;
            let reduction = Reduction::CorrectorNorms { snr: config.snr, averaging, norm };
            return Ok(Plan { reduction, ..Plan::step(0.0, 1.0, 0.0) });
        }
        Corrector::AnnealedLangevin => annealed_step(config.snr as f32 * sigma, 2.0)?,
        Corrector::Ncsnv2 => {
            let last = finite(
                schedule.sigmas.get(schedule.timesteps.len().wrapping_sub(1)).copied().unwrap_or(0.0),
            )?;
            annealed_step(sigma / last, modes.step_lr)?
        }
    };
    Ok(Plan::step(step.step_size, 1.0, step.noise_factor))
}

/// The prediction at a timestep.
pub(super) fn prediction(
    config: &Config,
    modes: Modes,
    schedule: &Schedule<'_>,
    timestep: f32,
) -> Result<Plan, Error> {
    let PredictorStep { drift, dt, diffusion } =
        schedule.predictor_step(config, modes.predictor, timestep)?;
    Ok(Plan::step(drift, dt, diffusion))
}

/// What a score at a noise scale says of the denoised sample.
pub(super) fn denoised(sigma: f32) -> Denoised {
    Denoised { sample: 1.0, model_output: sigma * sigma, clamp: None }
}

/// The denoised sample of a noise scale (Tweedie's formula): x + σ²·m.
pub(super) fn denoising(sigma: f32) -> Plan {
    Plan::step(sigma * sigma, 1.0, 0.0)
}
