//! The arithmetic over whole buffers, each kernel written once over `Lanes`. Kernels trust their
//! caller to have checked lengths and overlaps; given unequal lengths they do nothing. No unsafe
//! code is here.

#![forbid(unsafe_code)]

use crate::buf::{GROUP, In};
use crate::error::Error;

/// A place in counter noise: element `index` of stream `stream` of seed `seed`.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub seed: u64,
    pub stream: u64,
    pub index: u64,
}

/// Floats that a kernel reads: from memory, or counter noise made in registers.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Given(In<'a>),
    Counter(Place),
}

impl Place {
    /// How many floats of the group in which it lies come before it.
    pub(crate) fn offset_in_group(self) -> usize {
        self.offset(0, GROUP)
    }

    /// How far behind a multiple of `unit` the place `start` elements on lies.
    pub(crate) fn offset(self, start: usize, unit: usize) -> usize {
        (self.skip(start).index % unit as u64) as usize
    }

    /// The place so many elements behind it.
    pub(crate) fn skip(self, count: usize) -> Self {
        Self { index: self.index.wrapping_add(count as u64), ..self }
    }

    /// Checks that the stream has `len` elements from here, and that a buffer could have them.
    pub(crate) fn check(self, len: usize) -> Result<(), Error> {
        let in_memory = len <= isize::MAX as usize / size_of::<f32>();
        self.index.checked_add(len as u64).filter(|_| in_memory).map(drop).ok_or(Error::TooLarge)
    }
}

impl<'a> Source<'a> {
    /// Checks that it has `len` floats.
    pub(crate) fn check(self, len: usize) -> Result<(), Error> {
        match self {
            _ if len == 0 => Err(Error::Empty),
            Self::Given(floats) if floats.len() != len => Err(Error::LengthMismatch),
            Self::Given(_) => Ok(()),
            Self::Counter(place) => place.check(len),
        }
    }

    /// The memory, if it is one.
    pub(crate) fn given(self) -> Option<In<'a>> {
        match self {
            Self::Given(floats) => Some(floats),
            Self::Counter(_) => None,
        }
    }

    /// The place in counter noise, if it is that.
    pub(crate) fn place(self) -> Option<Place> {
        match self {
            Self::Given(_) => None,
            Self::Counter(place) => Some(place),
        }
    }

    /// The `len` floats from `start` on.
    pub(crate) fn part(self, start: usize, len: usize) -> Self {
        match self {
            Self::Given(floats) => Self::Given(floats.part(start, len)),
            Self::Counter(place) => Self::Counter(place.skip(start)),
        }
    }
}

pub(crate) mod cuda_math;
pub(crate) mod inverse;
pub(crate) mod linear;
pub(crate) mod mt19937;
pub(crate) mod norm;
pub(crate) mod normal;
pub(crate) mod philox;
pub(crate) mod rk45;
pub(crate) mod torch_cpu;
pub(crate) mod torch_cuda;
