//! Where standard normal noise comes from: counter noise, which is vesde's own and has no state, and fillers for
//! users who have a generator and a seed already. The updates themselves are in `kernels`.

mod counter;
mod mt19937;
mod rng;
mod torch_cpu;

pub use counter::Counter;
pub use rng::fill_from_rng;
pub use torch_cpu::TorchCpu;

use crate::buf::In;
use crate::error::Error;
use crate::kernels::update::Source;

/// The noise of a step: the caller's, or made on the way.
#[derive(Clone, Copy, Debug)]
pub enum Noise<'a> {
    /// One standard normal number for each element of the sample.
    Given(In<'a>),
    /// Counter noise: element i of the call takes element `index + i` of the stream. No buffer exists.
    Counter(Counter),
}

impl<'a> From<&'a [f32]> for Noise<'a> {
    fn from(noise: &'a [f32]) -> Self {
        Self::Given(noise.into())
    }
}

impl From<Counter> for Noise<'_> {
    fn from(noise: Counter) -> Self {
        Self::Counter(noise)
    }
}

impl<'a> Noise<'a> {
    /// The caller's buffer, if it is one.
    pub(crate) fn given(self) -> Option<In<'a>> {
        match self {
            Self::Given(noise) => Some(noise),
            Self::Counter(_) => None,
        }
    }

    /// Checks that `len` elements exist.
    pub(crate) fn check(self, len: usize) -> Result<(), Error> {
        match self {
            Self::Given(noise) if noise.len() != len => Err(Error::LengthMismatch),
            Self::Counter(noise) => noise.check(len),
            Self::Given(_) => Ok(()),
        }
    }

    /// The `len` elements from `start` on, for a kernel. To be asked for within checked lengths.
    pub(crate) fn part(self, start: usize, len: usize) -> Source<'a> {
        match self {
            Self::Given(noise) => Source::Given(noise.part(start, len)),
            Self::Counter(noise) => noise.at(start as u64).source(),
        }
    }
}
