//! Where standard normal noise comes from: counter noise, which is vesde's own and has no state,
//! and fillers for users who have a generator and a seed already. A draw of nothing succeeds, and
//! changes nothing. The arithmetic is in `kernels`.

mod any;
mod counter;
mod generator;
mod numpy;
mod rng;
mod torch_cpu;
mod torch_cuda;

pub use any::{AnyGenerator, GeneratorKind};
pub use counter::Counter;
pub(crate) use generator::check_draw;
pub use generator::{Generator, randn};
pub use numpy::Numpy;
pub use rng::{fill_from_rng, fill_from_words};
pub use torch_cpu::TorchCpu;
pub use torch_cuda::{CudaGrid, TorchCuda};

use crate::buf::In;
use crate::error::Error;
use crate::kernels::Source;

/// The noise of a step: none, the caller's, or counter noise.
#[derive(Clone, Copy, Debug)]
pub enum Noise<'a> {
    /// None: for a step without noise, whose `prev_sample` is its `prev_sample_mean`.
    None,
    /// One standard normal number for each element of the sample.
    Given(In<'a>),
    /// Counter noise: element i of the call takes element `index + i` of the stream. No buffer
    /// exists.
    Counter(Counter),
}

impl<'a, T: AsRef<[f32]> + ?Sized> From<&'a T> for Noise<'a> {
    fn from(noise: &'a T) -> Self {
        Self::Given(noise.into())
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
            Self::Given(noise) => Some(Source::Given(noise)),
            Self::Counter(noise) => Some(Source::Counter(noise.into())),
        }
    }

    /// The same for a factor, which must be 0 where there is none.
    pub(crate) fn source_for(self, factor: f32) -> Result<Option<Source<'a>>, Error> {
        let source = self.source();
        if source.is_some() || factor == 0.0 { Ok(source) } else { Err(Error::NullPointer) }
    }

    /// The memory, if it is one.
    pub(crate) fn given(self) -> Option<In<'a>> {
        self.source().and_then(Source::given)
    }

    /// Checks that it has `len` numbers, if there is any.
    pub(crate) fn check(self, len: usize) -> Result<(), Error> {
        self.source().map_or(Ok(()), |source| source.check(len))
    }
}
