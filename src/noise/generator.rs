//! The trait of generators with a state, and diffusers' way to draw from one of them or from a
//! list.

use crate::buf::Out;
use crate::error::Error;
use crate::kernels::mt19937::Mt19937;

/// A generator of standard normal noise whose state its caller owns: `TorchCpu`, `TorchCuda`,
/// `Numpy`, `AnyGenerator`.
pub trait Generator: sealed::Generator {}

pub(crate) mod sealed {
    use super::{Error, Out};

    /// What a generator does; for this crate's own only.
    pub trait Generator {
        /// Checks what a caller's memory may have done to the state, and that it has a draw of
        /// `len` numbers.
        fn check(&self, len: u64) -> Result<(), Error>;
        /// One draw.
        fn draw(&mut self, out: Out<'_>) -> Result<(), Error>;
    }
}

/// Standard normal noise as diffusers draws it (`randn_tensor`): one generator makes the whole
/// batch in one call; with several, each makes one sample of the batch, in order. A draw of nothing
/// leaves them as they are.
///
/// # Errors
/// `Empty` without generators; `LengthMismatch` where the generators do not divide `out`;
/// `InvalidRandomState` where a state is not one that its type makes; `TooLarge` where a draw is
/// longer than its type has. Nothing has been drawn then.
pub fn randn<'a, G: Generator>(generators: &mut [G], out: impl Into<Out<'a>>) -> Result<(), Error> {
    let out = out.into();
    let len = check_draw(generators, out.len())?;
    for (i, generator) in generators.iter_mut().enumerate() {
        generator.draw(out.part(i * len, len))?;
    }
    Ok(())
}

/// What [`randn`] checks of a draw of `len` numbers, and how many of them each generator makes.
pub(crate) fn check_draw<G: Generator>(generators: &[G], len: usize) -> Result<usize, Error> {
    let each = match len.checked_rem(generators.len()) {
        None => return Err(Error::Empty),
        Some(0) => len.checked_div(generators.len()).unwrap_or_default(),
        Some(_) => return Err(Error::LengthMismatch),
    };
    for generator in generators {
        generator.check(each as u64)?;
    }
    Ok(each)
}

/// No normal of a pair lies farther out: √(2·104·ln 2) = 12.007, of the least square of two numbers
/// that are multiples of 2⁻⁵².
const FARTHEST: f64 = 12.01;

/// MT19937, and the second normal of a pair: generators that make pairs in `f64` keep it for the
/// next call.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Paired {
    pub(super) mt: Mt19937,
    has_cached: u32,
    cached: f64,
}

impl Paired {
    /// No state that a seed makes.
    pub(super) fn unseeded() -> Self {
        Self { mt: Mt19937::unseeded(), has_cached: 0, cached: 0.0 }
    }

    pub(super) fn new(seed: u32) -> Self {
        Self { mt: Mt19937::new(seed), has_cached: 0, cached: 0.0 }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.mt.check()?;
        let possible = self.has_cached <= 1 && self.cached.abs() <= FARTHEST;
        if possible { Ok(()) } else { Err(Error::InvalidRandomState) }
    }

    /// The cached normal, or the first of a new pair.
    pub(super) fn one(&mut self, make_pair: impl FnOnce(&mut Mt19937) -> (f64, f64)) -> f64 {
        if self.has_cached != 0 {
            self.has_cached = 0;
            return self.cached;
        }
        let (first, second) = make_pair(&mut self.mt);
        self.has_cached = 1;
        self.cached = second;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_normal_that_no_pair_has_is_refused() {
        let mut state = Paired::new(1);
        for (cached, result) in [
            (-12.0, Ok(())),
            (12.1, Err(Error::InvalidRandomState)),
            (f64::NAN, Err(Error::InvalidRandomState)),
        ] {
            state.cached = cached;
            assert_eq!(state.check(), result);
        }
    }
}
