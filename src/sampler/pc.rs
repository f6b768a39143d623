//! The predictor–corrector method of Song et al. 2021 (algorithm 1) in diffusers' order: for every
//! timestep the corrector steps, then the predictor step, the network evaluated anew before each.
//! Coefficients only.

use super::Modes;
use super::SamplerResult;
use super::plan::{Operand, Plan, Reduction};
use crate::config::Config;
use crate::error::Error;
use crate::schedule::{PredictorStep, Schedule};

/// Buffers of history.
pub(super) const KEPT: usize = 0;

/// How many updates a step of the schedule has.
pub(super) fn updates_of_a_step(config: &Config) -> u64 {
    u64::from(config.correct_steps) + 1
}

/// The initial sample: noise of the largest sigma.
pub(super) fn initial(config: &Config) -> Plan {
    Plan { noise_factor: config.init_noise_sigma(), ..Plan::NOTHING }
}

/// The update of a step with this number: its corrections come first.
pub(super) fn update(
    config: &Config,
    modes: Modes,
    schedule: &Schedule<'_>,
    timestep: f32,
    number: u64,
    is_last: bool,
) -> Result<Plan, Error> {
    if number < u64::from(config.correct_steps) {
        let Modes { averaging, norm, .. } = modes;
        let reduction = Reduction::CorrectorNorms { snr: config.snr, averaging, norm };
        let plan = Plan::of(&[(1.0, Operand::Sample), (0.0, Operand::ModelOutput)]);
        return Ok(Plan { reduction, ..plan });
    }
    let PredictorStep { drift, diffusion } = schedule.predictor_step(timestep)?;
    let plan = Plan::of(&[(1.0, Operand::Sample), (drift, Operand::ModelOutput)]);
    Ok(Plan {
        noise_factor: if is_last && modes.result == SamplerResult::Mean { 0.0 } else { diffusion },
        clamp: (is_last && !modes.unclamped).then_some((0.0, 1.0)),
        ..plan
    })
}
