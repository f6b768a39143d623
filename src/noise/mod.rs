//! Where standard normal noise comes from: counter noise, which is vesde's own and has no state, and fillers for
//! users who have a generator and a seed already. A draw of nothing succeeds, and changes nothing.
//! The arithmetic is in `kernels`.

mod counter;
mod generator;
mod numpy;
mod rng;
mod torch_cpu;
mod torch_cuda;

pub use counter::Counter;
#[cfg(feature = "capi")]
pub(crate) use generator::randn_out;
pub use generator::{Generator, randn};
pub use numpy::Numpy;
pub use rng::{fill_from_rng, fill_from_words};
pub use torch_cpu::TorchCpu;
pub use torch_cuda::{CudaGrid, TorchCuda};

use crate::kernels::Source;

/// The noise of a step: none, the caller's, or made on the way.
#[derive(Clone, Copy, Debug)]
pub enum Noise<'a> {
    /// None, for a step whose factor of the noise is 0: `prev_sample` is `prev_sample_mean`.
    None,
    /// One standard normal number for each element of the sample.
    Given(&'a [f32]),
    /// Counter noise: element i of the call takes element `index + i` of the stream. No buffer exists.
    Counter(Counter),
}

impl<'a> From<&'a [f32]> for Noise<'a> {
    fn from(noise: &'a [f32]) -> Self {
        Self::Given(noise)
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for Noise<'a> {
    fn from(noise: &'a [f32; N]) -> Self {
        Self::Given(noise)
    }
}

impl From<Counter> for Noise<'_> {
    fn from(noise: Counter) -> Self {
        Self::Counter(noise)
    }
}

impl<'a> Noise<'a> {
    /// Where a kernel has it from, if there is any.
    pub(crate) fn source(self) -> Option<Source<'a>> {
        match self {
            Self::None => None,
            Self::Given(noise) => Some(Source::Given(noise.into())),
            Self::Counter(noise) => Some(Source::Counter(noise.into())),
        }
    }
}
