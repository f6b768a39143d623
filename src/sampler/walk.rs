//! A job along a table of sigmas, from which the few-call methods take all their coefficients: what
//! they are, where a step lies, and what the network's output is.

use super::options::{Churn, Method, Prediction};
use super::plan::{Network, Operand, Plan, Sum};
use super::{multistep, single_step};
use crate::error::Error;
use crate::schedule::finite;

/// A method and its table.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) method: Method,
    pub(super) prediction: Prediction,
    /// Of Adams' methods, at least 1.
    pub(super) order: usize,
    pub(super) eta: f64,
    pub(super) s_noise: f64,
    pub(super) churn: Churn,
    pub(super) clamp: Option<(f32, f32)>,
    /// The step that the job begins with: there is no history before.
    pub(super) first_step: usize,
    pub(super) table: &'a [f32],
}

/// The requests of a step: noise and a change of the sample, one or two scores, noise.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) churns: bool,
    pub(super) has_trial: bool,
    pub(super) has_noise: bool,
}

impl Walk<'_> {
    /// The number of steps.
    pub(super) fn steps(&self) -> usize {
        self.table.len().saturating_sub(1)
    }

    /// Whether it is the last step.
    pub(super) fn is_last(&self, step: usize) -> bool {
        step.saturating_add(1) >= self.steps()
    }

    /// The sigma of a step and the next one.
    ///
    /// # Errors
    /// `InvalidSigma` where they are not finite, or do not fall.
    #[inline(never)] // so that it is in the library once
    pub(super) fn sigmas(&self, step: usize) -> Result<(f64, f64), Error> {
        let sigma = |step: usize| self.table.get(step).copied().map(f64::from).ok_or(Error::InvalidSampler);
        let (sigma, next) = (sigma(step)?, sigma(step.saturating_add(1))?);
        let falls = sigma > next && next >= 0.0 && sigma.is_finite();
        if falls { Ok((sigma, next)) } else { Err(Error::InvalidSigma) }
    }

    /// A sigma of the table, from which the network is asked or the sample comes.
    pub(super) fn sigma_at(&self, place: usize) -> Result<f32, Error> {
        finite(self.table.get(place).copied().ok_or(Error::InvalidSampler)?)
    }

    /// What the network's output at a sigma is.
    ///
    /// # Errors
    /// `InvalidSigma` where a factor is not finite.
    #[inline(never)] // so that it is in the library once
    pub(super) fn network(&self, sigma: f64) -> Result<Network, Error> {
        let (sample, model_output) = match self.prediction {
            Prediction::Score => (1.0, sigma * sigma),
            Prediction::Epsilon => (1.0, -sigma),
            Prediction::Denoised => (0.0, 1.0),
            Prediction::V => {
                let variance = sigma * sigma + 1.0;
                (1.0 / variance, -sigma / libm::sqrt(variance))
            }
        };
        Ok(Network { sample, model_output, clamp: self.clamp })
    }

    /// Buffers of history.
    pub(super) fn kept(&self) -> usize {
        if self.method.is_single_step() { single_step::kept(self) } else { multistep::kept(self) }
    }

    /// Whether a step that begins at this sigma raises it.
    pub(super) fn churns(&self, sigma: f64) -> bool {
        let Churn { s_churn, s_tmin, s_tmax } = self.churn;
        s_churn > 0.0 && sigma >= f64::from(s_tmin) && sigma <= f64::from(s_tmax)
    }

    /// The factor of a step's noise.
    fn noise(&self, step: usize) -> Result<f32, Error> {
        if self.eta == 0.0 {
            return Ok(0.0);
        }
        let noise = if self.method.is_single_step() {
            single_step::noise(self, step)
        } else {
            multistep::noise(self, step)
        };
        super::plan::rounded(noise?)
    }

    /// What a step asks for. It takes no roots where that can be: turns are counted by it.
    #[inline(never)] // so that it is in the library once
    pub(super) fn shape(&self, step: usize) -> Result<Shape, Error> {
        let (sigma, next) = self.sigmas(step)?;
        Ok(Shape {
            churns: self.churns(sigma) && self.s_noise > 0.0,
            has_trial: single_step::has_trial(self, step)?,
            has_noise: self.eta > 0.0 && next > 0.0 && self.s_noise > 0.0,
        })
    }

    /// The sigma at which the score of a step's prediction is taken.
    #[inline(never)] // so that it is in the library once
    pub(super) fn sigma(&self, step: usize, is_trial: bool) -> Result<f32, Error> {
        if is_trial || !single_step::has_trial(self, step)? {
            single_step::churn(self, step).map(|(sigma, _)| sigma)
        } else {
            single_step::second_sigma(self, step)
        }
    }

    /// The factor of the noise that a step begins with.
    pub(super) fn churn(&self, step: usize) -> Result<f32, Error> {
        single_step::churn(self, step).map(|(_, factor)| factor)
    }

    /// The update that adds it.
    pub(super) fn churning(&self, step: usize) -> Result<Plan, Error> {
        Ok(Plan { noise_factor: self.churn(step)?, ..Plan::of(&[(1.0, Operand::Sample)]) })
    }

    /// The first of two updates of a step.
    pub(super) fn trial(&self, step: usize) -> Result<Plan, Error> {
        single_step::trial(self, step)
    }

    /// The update that ends a step.
    #[inline(never)] // so that it is in the library once
    pub(super) fn prediction(&self, step: usize) -> Result<Plan, Error> {
        let plan = if self.method.is_single_step() {
            single_step::prediction(self, step)
        } else {
            multistep::prediction(self, step)
        };
        Ok(Plan { noise_factor: self.noise(step)?, ..plan? })
    }

    /// The update behind the last step: the denoised sample of the last sigma.
    pub(super) fn denoising(&self) -> Result<Plan, Error> {
        self.network(self.last_sigma())?.plan(&Sum::new(0.0, 1.0))
    }

    /// The last sigma.
    pub(super) fn last_sigma(&self) -> f64 {
        self.table.last().copied().map_or(0.0, f64::from)
    }
}
