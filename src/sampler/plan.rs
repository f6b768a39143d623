//! What a turn of the sampler does to the sample: factors, and where they come from. No buffer is
//! touched here, so an engine may run a plan wherever its tensors are.

use crate::noise::Counter;
use crate::norms::{Averaging, Norm};
use crate::steps::MOST_TERMS;

/// What must be known of the tensors before a plan's factors are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Reduction {
    /// Nothing.
    #[default]
    None,
    /// The norms of the model output and of the noise, of each sample or their means over the
    /// batch. With [`corrector_step`](crate::corrector_step) two factors follow from them:
    /// `step_size` is that of the model output, which is 0 in the plan, and `noise_factor` that of
    /// the noise.
    CorrectorNorms {
        /// The configuration's signal-to-noise ratio.
        snr: f64,
        /// Over what the norms are averaged.
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
    /// The history's buffer of this number.
    Kept(usize),
}

/// A term of a plan: `(factor·x)·second_factor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanTerm {
    /// The factor.
    pub factor: f32,
    /// What multiplies the product once more, rounded again; 1 if nothing does.
    pub second_factor: f32,
    /// What they multiply.
    pub operand: Operand,
}

/// What becomes history before the sample is updated: `sample·x + model_output·m`, with x the
/// sample and m the model output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keep {
    /// The number of the buffer that takes it: from now on [`Operand::Kept`] of it.
    pub slot: usize,
    /// The factor of the sample.
    pub sample: f32,
    /// The factor of the model output.
    pub model_output: f32,
}

/// An update of the sample: the sum of [`terms`](Self::terms) and `noise_factor·z`, z being the
/// noise, as [`linear`](crate::linear) computes it. Without terms and noise the sample stays as it
/// is; where `noise_factor` is 0, and no reduction computes it, no noise is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub(super) terms: [PlanTerm; MOST_TERMS],
    pub(super) terms_len: usize,
    /// The factor of the noise, unless a reduction computes it.
    pub noise_factor: f32,
    /// The range that the result is clamped to.
    pub clamp: Option<(f32, f32)>,
    /// What is kept before.
    pub keep: Option<Keep>,
    /// What must be computed first.
    pub reduction: Reduction,
    /// Which draw the noise is: 0 is the initial sample's.
    pub draw: u64,
    /// The noise, if it is counter noise: element i of the batch takes element `index + i`.
    pub counter: Counter,
}

impl Plan {
    /// Leaves the sample as it is.
    pub(super) const NOTHING: Self = Self {
        terms: [PlanTerm { factor: 0.0, second_factor: 1.0, operand: Operand::Sample }; MOST_TERMS],
        terms_len: 0,
        noise_factor: 0.0,
        clamp: None,
        keep: None,
        reduction: Reduction::None,
        draw: 0,
        counter: Counter { seed: 0, stream: 0, index: 0 },
    };

    /// Of these terms, [`MOST_TERMS`] at the most.
    pub(super) fn of(terms: &[(f32, Operand)]) -> Self {
        let mut plan = Self { terms_len: terms.len().min(MOST_TERMS), ..Self::NOTHING };
        for (to, &(factor, operand)) in plan.terms.iter_mut().zip(terms) {
            *to = PlanTerm { factor, second_factor: 1.0, operand };
        }
        plan
    }

    /// `sample + (factor·model_output)·second_factor + noise_factor·z`.
    pub(super) fn step(factor: f32, second_factor: f32, noise_factor: f32) -> Self {
        let mut plan = Self::of(&[(1.0, Operand::Sample), (factor, Operand::ModelOutput)]);
        plan.terms[1].second_factor = second_factor;
        Self { noise_factor, ..plan }
    }

    /// The terms but that of the noise, in the order in which they are added.
    #[must_use]
    pub fn terms(&self) -> &[PlanTerm] {
        self.terms.get(..self.terms_len).unwrap_or_default()
    }

    /// Whether the noise matters to it.
    pub(super) fn reads_noise(&self) -> bool {
        self.noise_factor != 0.0 || self.reduction != Reduction::None
    }

    /// Whether it leaves the sample as it is.
    pub(super) fn is_nothing(&self) -> bool {
        self.terms_len == 0 && self.noise_factor == 0.0
    }
}
