//! Where a job is: what each of its turns asks for, and the numbers of its draws. No state but the
//! number of the turn, from which the rest follows.

use super::options::{After, Conditions, Corrector, SamplerResult};
use super::walk::Walk;
use super::{INITIAL_DRAW, Modes};
use crate::error::Error;
use crate::schedule::Predictor;

/// One of the updates of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Update {
    /// The initial sample.
    Initial,
    /// A correction of a step, by its number within it.
    Correction(u64, u64),
    /// The noise that a step begins with.
    Churn(u64),
    /// The first of two updates of a step.
    Trial(u64),
    /// The prediction of a step, which ends it.
    Prediction(u64),
    /// The denoising behind the last step.
    Denoising,
}

/// What is asked for in a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The score for an update.
    Score(Update),
    /// The noise of an update.
    Noise(Update),
    /// A change of the sample, in a step.
    Condition(After, u64),
    /// Nothing more.
    Done,
    /// There is no such turn.
    Nothing,
}

/// The turns of a job.
#[derive(Clone, Copy)]
pub(super) struct Turns<'a> {
    pub(super) modes: Modes,
    pub(super) first_step: u64,
    pub(super) steps: u64,
    /// The configuration's number of corrector steps.
    pub(super) correct_steps: u32,
    /// The table of a method that goes along one.
    pub(super) walk: Option<Walk<'a>>,
}

impl Turns<'_> {
    /// How many corrections a step has.
    pub(super) fn corrections(&self) -> u64 {
        match self.modes.corrector {
            _ if self.walk.is_some() => 0,
            Corrector::None => 0,
            _ => u64::from(self.correct_steps),
        }
    }

    /// How many predictions.
    pub(super) fn predictions(&self) -> u64 {
        u64::from(self.walk.is_some() || self.modes.predictor != Predictor::None)
    }

    /// Whether a score more is asked for behind the last step. At a sigma of 0 nothing is left to
    /// be removed.
    fn denoises(&self) -> bool {
        let has_noise = self.walk.is_none_or(|walk| walk.last_sigma() > 0.0);
        self.modes.result == SamplerResult::Denoised && has_noise
    }

    /// The update that ends a job.
    pub(super) fn last_update(&self) -> Update {
        let last = self.steps.saturating_sub(1);
        match self.corrections().checked_sub(1) {
            _ if self.denoises() => Update::Denoising,
            Some(number) if self.predictions() == 0 => Update::Correction(last, number),
            _ => Update::Prediction(last),
        }
    }

    /// What is asked for in a turn.
    ///
    /// # Errors
    /// `InvalidSigma` where a table's sigmas up to there do not fall.
    #[inline(never)] // so that it is in the library once
    pub(super) fn asked(&self, turn: u64) -> Result<Asked, Error> {
        let Some(steps_left) = self.steps.checked_sub(self.first_step).filter(|&left| left > 0) else {
            return Ok(Asked::Nothing);
        };
        let mut turn = turn;
        let has_conditions = self.modes.conditions != Conditions::None;
        if !self.modes.is_started {
            let initial = [
                self.modes.gives_noise.then_some(Asked::Noise(Update::Initial)),
                has_conditions.then_some(Asked::Condition(After::Initial, self.first_step)),
            ];
            for asked in initial.into_iter().flatten() {
                let Some(rest) = turn.checked_sub(1) else { return Ok(asked) };
                turn = rest;
            }
        }
        let in_steps = match &self.walk {
            Some(walk) => self.asked_along(walk, turn)?,
            None => self.asked_in_equal_steps(turn, steps_left),
        };
        Ok(match in_steps {
            Ok(asked) => asked,
            Err(behind) => match behind.checked_sub(u64::from(self.denoises())) {
                None => Asked::Score(Update::Denoising),
                Some(0) => Asked::Done,
                Some(_) => Asked::Nothing,
            },
        })
    }

    /// The turn of predictor–corrector steps: for every update its score, and, where noise is
    /// given, its noise; the conditions behind. An error is how far behind the steps it is.
    fn asked_in_equal_steps(&self, turn: u64, steps_left: u64) -> Result<Asked, u64> {
        let has_conditions = u64::from(self.modes.conditions != Conditions::None);
        let turns = 1 + u64::from(self.modes.gives_noise); // of an update
        let (corrections, predictions) = (self.corrections(), self.predictions());
        let corrector_turns = corrections * turns + has_conditions;
        let turns_of_a_step = corrector_turns + predictions * turns + has_conditions;
        let turns_of_steps = steps_left.saturating_mul(turns_of_a_step);
        if let Some(behind) = turn.checked_sub(turns_of_steps) {
            return Err(behind);
        }
        let step = self.first_step + turn.checked_div(turns_of_a_step).unwrap_or(0);
        let turn = turn.checked_rem(turns_of_a_step).unwrap_or(0);
        let asked = |turn: u64, update| {
            if turn.is_multiple_of(turns) { Asked::Score(update) } else { Asked::Noise(update) }
        };
        Ok(match turn.checked_sub(corrector_turns) {
            None if turn < corrections * turns => asked(turn, Update::Correction(step, turn / turns)),
            None => Asked::Condition(After::Corrector, step),
            Some(turn) if turn < predictions * turns => asked(turn, Update::Prediction(step)),
            Some(_) => Asked::Condition(After::Predictor, step),
        })
    }

    /// The turn of steps along a table, of which some have less noise or one score less than
    /// others.
    fn asked_along(&self, walk: &Walk<'_>, turn: u64) -> Result<Result<Asked, u64>, Error> {
        let mut turn = turn;
        for step in self.first_step..self.steps {
            let shape = walk.shape(step as usize)?;
            let gives_noise = |noise: bool| noise && self.modes.gives_noise;
            let prediction = Update::Prediction(step);
            let noise = shape.has_noise && !self.drops_noise(prediction);
            let asked = [
                gives_noise(shape.churns).then_some(Asked::Noise(Update::Churn(step))),
                shape.has_trial.then_some(Asked::Score(Update::Trial(step))),
                Some(Asked::Score(prediction)),
                gives_noise(noise).then_some(Asked::Noise(prediction)),
                (self.modes.conditions != Conditions::None)
                    .then_some(Asked::Condition(After::Predictor, step)),
            ];
            for asked in asked.into_iter().flatten() {
                let Some(rest) = turn.checked_sub(1) else { return Ok(Ok(asked)) };
                turn = rest;
            }
        }
        Ok(Err(turn))
    }

    /// Whether an update, which ends the job, is made without its noise.
    pub(super) fn drops_noise(&self, update: Update) -> bool {
        let is_prediction = matches!(update, Update::Prediction(_));
        self.modes.result == SamplerResult::Mean && is_prediction && update == self.last_update()
    }

    /// The number of an update's draw, counted from the schedule's beginning.
    #[inline(never)] // so that it is in the library once
    pub(super) fn draw(&self, update: Update) -> u64 {
        let (corrections, of_conditions) = (self.corrections(), self.condition_draws());
        let draws_of_a_step = corrections + self.predictions() + of_conditions;
        let (step, before) = match update {
            Update::Initial | Update::Denoising => return INITIAL_DRAW,
            Update::Correction(step, number) => (step, number),
            // A step has one of the two.
            Update::Churn(step) | Update::Trial(step) | Update::Prediction(step) => {
                (step, corrections + of_conditions / 2)
            }
        };
        step.wrapping_mul(draws_of_a_step).wrapping_add(before).wrapping_add(1)
    }

    /// How many draws the conditions of a step have: along a table nothing is corrected.
    fn condition_draws(&self) -> u64 {
        match self.modes.conditions {
            Conditions::Drawing if self.walk.is_some() => 1,
            Conditions::Drawing => 2,
            Conditions::None | Conditions::Quiet => 0,
        }
    }

    /// The number of a condition's draw: it follows those of its updates.
    pub(super) fn condition_draw(&self, after: After, step: u64) -> u64 {
        match (self.modes.conditions, after) {
            (Conditions::Drawing, After::Predictor) => {
                self.draw(Update::Prediction(step)).wrapping_add(self.predictions())
            }
            (Conditions::Drawing, After::Corrector) => {
                self.draw(Update::Correction(step, self.corrections()))
            }
            _ => INITIAL_DRAW,
        }
    }
}
