//! What a turn of the sampler does to the sample: factors, and where they come from. No buffer is
//! touched here, so an engine may run a plan wherever its tensors are.

use crate::error::Error;
use crate::noise::Counter;
use crate::norms::{Averaging, Norm};
use crate::steps::MOST_TERMS;

/// What must be computed from the tensors before a plan's factors are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Reduction {
    /// Nothing.
    #[default]
    None,
    /// The norms of the model output and of the noise: of each sample, or their means over the
    /// batch. [`corrector_step`](crate::norms::corrector_step) makes two factors of them:
    /// `step_size` for the model output, which is 0 in the plan, and `noise_factor` for the noise.
    CorrectorNorms {
        /// The configuration's signal-to-noise ratio.
        snr: f64,
        /// How the norms are averaged.
        averaging: Averaging,
        /// How they are computed.
        norm: Norm,
    },
}

/// A buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The sample.
    Sample,
    /// The model output.
    ModelOutput,
    /// The denoised sample, [`Plan::denoised`]: in plans that clamp it.
    Denoised,
    /// The history's buffer of this number.
    Kept(usize),
}

/// A term of a plan: `(factor·x)·second_factor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanTerm {
    /// The factor.
    pub factor: f32,
    /// A second factor of the product, which rounds again; 1 leaves the product as it is.
    pub second_factor: f32,
    /// The buffer that they multiply.
    pub operand: Operand,
}

/// The terms of a sum, in the order in which they are added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    terms: [PlanTerm; MOST_TERMS],
    len: usize,
}

impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Terms {
    /// None.
    pub(crate) const NONE: Self = Self {
        terms: [PlanTerm { factor: 0.0, second_factor: 1.0, operand: Operand::Sample }; MOST_TERMS],
        len: 0,
    };

    /// These, [`MOST_TERMS`] at the most.
    fn of(terms: &[(f32, Operand)]) -> Self {
        let mut all = Self { len: terms.len().min(MOST_TERMS), ..Self::NONE };
        for (to, &(factor, operand)) in all.terms.iter_mut().zip(terms) {
            *to = PlanTerm { factor, second_factor: 1.0, operand };
        }
        all
    }

    /// One more, if there is room.
    #[cfg(feature = "capi")]
    pub(crate) fn push(&mut self, term: PlanTerm) {
        if let Some(to) = self.terms.get_mut(self.len) {
            *to = term;
            self.len += 1;
        }
    }

    /// Another factor for a term.
    pub(super) fn set_factor(&mut self, term: usize, factor: f32) {
        if let Some(to) = self.terms.get_mut(..self.len).and_then(|terms| terms.get_mut(term)) {
            to.factor = factor;
        }
    }

    fn as_slice(&self) -> &[PlanTerm] {
        self.terms.get(..self.len).unwrap_or_default()
    }
}

/// The denoised sample of a score: `sample·x + model_output·m`, with x the sample and m the model
/// output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denoised {
    /// The factor of the sample.
    pub sample: f32,
    /// The factor of the model output.
    pub model_output: f32,
    /// The range that it is clamped to.
    pub clamp: Option<(f32, f32)>,
}

/// A sum that becomes history, of what the buffers hold before the plan is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keep {
    /// The number of the buffer that takes it: for the next plans [`Operand::Kept`] of it.
    pub slot: usize,
    pub(crate) terms: Terms,
}

impl Keep {
    #[cfg(test)]
    pub(super) fn of(slot: usize, terms: &[(f32, Operand)]) -> Self {
        Self { slot, terms: Terms::of(terms) }
    }

    /// The terms, in the order in which they are added.
    #[must_use]
    pub fn terms(&self) -> &[PlanTerm] {
        self.terms.as_slice()
    }
}

/// A draw of noise and its factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanNoise {
    /// The factor.
    pub factor: f32,
    /// Which draw the noise is.
    pub draw: u64,
    /// The noise: element i of the batch takes element `index + i`.
    pub counter: Counter,
}

/// The most sums that a plan keeps.
pub(crate) const MOST_KEEPS: usize = 2;

/// An update of the sample: the sum of [`terms`](Self::terms) and `noise_factor·z`, z being the
/// noise, as [`linear`](crate::linear) computes it. Without terms and noise the sample stays as it
/// is; where `noise_factor` is 0, and no reduction computes it, no noise is read. All sums, also
/// those of [`keeps`](Self::keeps), read what the buffers held before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub(crate) terms: Terms,
    /// The factor of the noise, unless a reduction computes it.
    pub noise_factor: f32,
    /// The range that the result is clamped to.
    pub clamp: Option<(f32, f32)>,
    pub(crate) keeps: [Keep; MOST_KEEPS],
    pub(crate) keeps_len: usize,
    /// The denoised sample, where the plan takes a score.
    pub denoised: Option<Denoised>,
    /// What must be computed first.
    pub reduction: Reduction,
    /// Which draw the noise is: 0 is the initial sample's.
    pub draw: u64,
    /// The noise, if it is counter noise: element i of the batch takes element `index + i`.
    pub counter: Counter,
    /// Counter noise that is added to the result: after the initial sample, for a first step that
    /// begins with churn.
    pub churn: Option<PlanNoise>,
}

impl Plan {
    /// Leaves the sample as it is.
    pub(crate) const NOTHING: Self = Self {
        terms: Terms::NONE,
        noise_factor: 0.0,
        clamp: None,
        keeps: [Keep { slot: 0, terms: Terms::NONE }; MOST_KEEPS],
        keeps_len: 0,
        denoised: None,
        reduction: Reduction::None,
        draw: 0,
        counter: Counter { seed: 0, stream: 0, index: 0 },
        churn: None,
    };

    /// Of these terms, [`MOST_TERMS`] at the most.
    pub(super) fn of(terms: &[(f32, Operand)]) -> Self {
        Self { terms: Terms::of(terms), ..Self::NOTHING }
    }

    /// `sample + (factor·model_output)·second_factor + noise_factor·z`.
    pub(super) fn step(factor: f32, second_factor: f32, noise_factor: f32) -> Self {
        let mut plan = Self::of(&[(1.0, Operand::Sample), (factor, Operand::ModelOutput)]);
        plan.terms.terms[1].second_factor = second_factor;
        Self { noise_factor, ..plan }
    }

    /// The same, and what it keeps, [`MOST_KEEPS`] at the most.
    pub(crate) fn keeping(mut self, keep: Keep) -> Self {
        if let Some(to) = self.keeps.get_mut(self.keeps_len) {
            *to = keep;
            self.keeps_len += 1;
        }
        self
    }

    /// The terms, except the noise's, in the order in which they are added.
    #[must_use]
    pub fn terms(&self) -> &[PlanTerm] {
        self.terms.as_slice()
    }

    /// What becomes history.
    #[must_use]
    pub fn keeps(&self) -> &[Keep] {
        self.keeps.get(..self.keeps_len).unwrap_or_default()
    }

    /// With the noise of a churn behind it: as its own noise, where it has none.
    pub(super) fn churned(self, churn: PlanNoise) -> Self {
        if self.reads_noise() || self.clamp.is_some() {
            return Self { churn: Some(churn), ..self };
        }
        let PlanNoise { factor, draw, counter } = churn;
        let terms = if self.terms.len == 0 { Terms::of(&[(1.0, Operand::Sample)]) } else { self.terms };
        Self { terms, noise_factor: factor, draw, counter, ..self }
    }

    /// The terms of all sums.
    pub(super) fn all_terms(&self) -> impl Iterator<Item = &PlanTerm> {
        [self.terms()].into_iter().chain(self.keeps().iter().map(Keep::terms)).flatten()
    }

    /// Whether a sum reads the denoised sample.
    pub(super) fn clamps_denoised(&self) -> bool {
        self.all_terms().any(|term| term.operand == Operand::Denoised)
    }

    /// Whether the noise matters to it.
    pub(super) fn reads_noise(&self) -> bool {
        self.noise_factor != 0.0 || self.reduction != Reduction::None
    }

    /// Whether it leaves the sample as it is.
    pub(super) fn is_nothing(&self) -> bool {
        self.terms.len == 0 && self.noise_factor == 0.0
    }
}

/// The most history that a sum reads.
const MOST_KEPT: usize = 4;

/// A sum in f64 of the sample, the denoised sample and the history, before the denoised sample is
/// written in terms of the network's output.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    sample: f64,
    denoised: f64,
    kept: [(f64, usize); MOST_KEPT],
    kept_len: usize,
}

impl Sum {
    /// `sample·x + denoised·D`.
    pub(super) fn new(sample: f64, denoised: f64) -> Self {
        Self { sample, denoised, ..Self::default() }
    }

    /// And `factor` times history.
    pub(super) fn plus(mut self, factor: f64, slot: usize) -> Self {
        if let Some(to) = self.kept.get_mut(self.kept_len) {
            *to = (factor, slot);
            self.kept_len += 1;
        }
        self
    }

    /// This sum and `factor` times another.
    #[inline(never)] // so that it is in the library once
    pub(super) fn and(self, factor: f64, other: &Self) -> Self {
        let (sample, denoised) =
            (self.sample + factor * other.sample, self.denoised + factor * other.denoised);
        let mut sum = Self { sample, denoised, ..self };
        for &(a, slot) in other.kept.iter().take(other.kept_len) {
            let there = sum.kept.iter_mut().take(sum.kept_len).find(|(_, at)| *at == slot);
            match there {
                Some((b, _)) => *b += factor * a,
                None => sum = sum.plus(factor * a, slot),
            }
        }
        sum
    }
}

/// D of a network, `sample·x + model_output·m`, in f64, and the range that it is clamped to.
#[derive(Clone, Copy)]
pub(super) struct Network {
    pub(super) sample: f64,
    pub(super) model_output: f64,
    pub(super) clamp: Option<(f32, f32)>,
}

impl Network {
    /// The plan of an update that takes this network's score.
    ///
    /// # Errors
    /// `InvalidSigma` where a factor is not finite.
    #[inline(never)] // so that it is in the library once
    pub(super) fn plan(&self, sum: &Sum) -> Result<Plan, Error> {
        let terms = self.terms(sum)?;
        let denoised = Denoised {
            sample: rounded(self.sample)?,
            model_output: rounded(self.model_output)?,
            clamp: self.clamp,
        };
        Ok(Plan { terms, denoised: Some(denoised), ..Plan::NOTHING })
    }

    /// What becomes history in such an update.
    pub(super) fn keep(&self, slot: usize, sum: &Sum) -> Result<Keep, Error> {
        Ok(Keep { slot, terms: self.terms(sum)? })
    }

    /// The sum as terms, those with a factor of 0 left out.
    #[inline(never)] // so that it is in the library once
    fn terms(&self, sum: &Sum) -> Result<Terms, Error> {
        let (sample, second) = match self.clamp {
            None => (
                sum.sample + sum.denoised * self.sample,
                (sum.denoised * self.model_output, Operand::ModelOutput),
            ),
            Some(_) => (sum.sample, (sum.denoised, Operand::Denoised)),
        };
        let mut all = [(0.0, Operand::Sample); 2 + MOST_KEPT];
        let kept = sum.kept.iter().take(sum.kept_len).map(|&(a, slot)| (a, Operand::Kept(slot)));
        let wanted = [(sample, Operand::Sample), second].into_iter().chain(kept);
        let mut len = 0;
        for (factor, operand) in wanted {
            let factor = rounded(factor)?;
            if factor != 0.0
                && let Some(to) = all.get_mut(len)
            {
                *to = (factor, operand);
                len += 1;
            }
        }
        // A factor of 1 comes first where the order does not matter, since there it costs nothing.
        if let [(a, _), (1.0, _)] = all[..len.min(2)]
            && a != 1.0
            && len == 2
        {
            all.swap(0, 1);
        }
        Ok(Terms::of(all.get(..len).unwrap_or_default()))
    }
}

/// A factor, rounded once.
pub(super) fn rounded(factor: f64) -> Result<f32, Error> {
    let factor = factor as f32;
    if factor.is_finite() { Ok(factor) } else { Err(Error::InvalidSigma) }
}
