//! The predictor–corrector method of Song et al. 2021 (algorithm 1) in diffusers' order: for every timestep the corrector steps, then
//! the predictor step, the network evaluated anew before each. Coefficients only.

use super::SamplerResult;
use super::plan::{Plan, Reduction};
use crate::config::Config;
use crate::error::Error;
use crate::schedule::{PredictorStep, Schedule};

/// How many updates a step of the schedule has.
pub(super) fn updates_of_a_step(config: &Config) -> u64 {
    u64::from(config.correct_steps) + 1
}

/// The initial sample: noise of the largest sigma.
pub(super) fn initial(config: &Config) -> Plan {
    Plan { noise: config.init_noise_sigma(), ..Plan::NOTHING }
}

/// The update of a step with this number: its corrections come first.
pub(super) fn update(
    config: &Config,
    schedule: &Schedule<'_>,
    timestep: f32,
    number: u64,
    last: Option<SamplerResult>,
    clamp: bool,
) -> Result<Plan, Error> {
    if number < u64::from(config.correct_steps) {
        return Ok(Plan { sample: 1.0, reduction: Reduction::CorrectorNorms, ..Plan::NOTHING });
    }
    let PredictorStep { drift, diffusion } = schedule.predictor_step(timestep)?;
    let step = Plan { sample: 1.0, output: drift, noise: diffusion, ..Plan::NOTHING };
    Ok(match last {
        None => step,
        Some(result) => Plan {
            noise: if result == SamplerResult::Noisy { diffusion } else { 0.0 },
            clamp: if clamp { (0.0, 1.0) } else { step.clamp },
            ..step
        },
    })
}
