//! What a turn of the sampler does to the sample: factors, and where they come from. No buffer is touched here, so an engine may
//! run a plan wherever its tensors are.

use crate::noise::Counter;

/// What must be known of the tensors before a plan's factors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Reduction {
    /// Nothing.
    #[default]
    None = 0,
    /// The norms of the model output and of the noise. From them a corrector step's factors follow: its `step_size` is that of the
    /// model output, its `noise_factor` that of the noise.
    CorrectorNorms = 1,
}

/// An update of the sample: `sample·x + output·m + noise·z`, with x the sample, m the model output and z the noise, from left to
/// right, then clamped. Where `noise` is 0 there is no third term; where `sample` is 0 there is the third alone; where both are 0 the
/// sample stays as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The factor of the sample.
    pub sample: f32,
    /// The factor of the model output, unless a reduction computes it.
    pub output: f32,
    /// The factor of the noise, unless a reduction computes it.
    pub noise: f32,
    /// What must be computed first.
    pub reduction: Reduction,
    /// The range that the result is clamped to; infinite where it is not.
    pub clamp: (f32, f32),
    /// Which draw the noise is: 0 is the initial sample's.
    pub draw: u64,
    /// The noise, if it is counter noise: element i of the batch takes element `index + i`.
    pub counter: Counter,
}

impl Plan {
    /// Leaves the sample as it is.
    pub(super) const NOTHING: Self = Self {
        sample: 0.0,
        output: 0.0,
        noise: 0.0,
        reduction: Reduction::None,
        clamp: (f32::NEG_INFINITY, f32::INFINITY),
        draw: 0,
        counter: Counter { seed: 0, stream: 0, index: 0 },
    };

    /// Whether it leaves the sample as it is.
    pub(super) fn is_nothing(&self) -> bool {
        [self.sample, self.output, self.noise] == [0.0; 3] && self.reduction == Reduction::None
    }
}
