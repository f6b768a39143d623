//! `RandomState.randn` of NumPy.

use super::generator::{Generator, Paired, sealed};
use crate::buf::Out;
use crate::error::Error;
use crate::kernels::mt19937::Mt19937;

/// The state of NumPy's `RandomState`, which `numpy.random.seed` seeds and `numpy.random.randn`
/// draws from: MT19937 and the polar method of Marsaglia.
///
/// NumPy computes in `f64`; these are its numbers rounded to `f32`, on every machine. Owned by the
/// caller, fixed in size (2,512 bytes), copyable: a copy continues like the original.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Numpy {
    pub(super) state: Paired,
}

impl Numpy {
    /// `RandomState(seed)`.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self { state: Paired::new(seed) }
    }

    /// `randn(out.len())`. Two calls for the parts of a range are the same as one call for the
    /// whole.
    ///
    /// # Errors
    /// `InvalidRandomState` where the state is not one that [`new`](Self::new) makes.
    pub fn fill<'a>(&mut self, out: impl Into<Out<'a>>) -> Result<(), Error> {
        sealed::Generator::draw(self, out.into())
    }
}

/// Two normals, in the order in which they are given out.
fn pair(mt: &mut Mt19937) -> (f64, f64) {
    loop {
        let (x1, x2) = (2.0 * uniform(mt) - 1.0, 2.0 * uniform(mt) - 1.0);
        let square = x1 * x1 + x2 * x2;
        if square < 1.0 && square != 0.0 {
            let scale = libm::sqrt(-2.0 * libm::log(square) / square);
            return (scale * x2, scale * x1);
        }
    }
}

/// 53 bits in 0..1.
#[inline(always)]
fn uniform(mt: &mut Mt19937) -> f64 {
    let (high, low) = (mt.next_u32() >> 5, mt.next_u32() >> 6);
    // high + low·2⁻²⁶ through the bits of 2⁵² + high and 2²⁶ + low·2⁻²⁶, exact at every step: x86's
    // instruction that converts an integer waits for what its register held before, which is the
    // last logarithm.
    let whole = f64::from_bits(0x4330 << 48 | u64::from(high)) - f64::from_bits(0x4330 << 48);
    let fraction = f64::from_bits(0x4190 << 48 | u64::from(low)) - f64::from_bits(0x4190 << 48);
    (whole + fraction) / f64::from(1 << 27)
}

impl Generator for Numpy {}

impl sealed::Generator for Numpy {
    fn check(&self, _: u64) -> Result<(), Error> {
        self.state.check()
    }

    fn draw(&mut self, out: Out<'_>) -> Result<(), Error> {
        draw(&mut self.state, out)
    }
}

/// One draw.
pub(super) fn draw(state: &mut Paired, out: Out<'_>) -> Result<(), Error> {
    state.check()?;
    for i in 0..out.len() {
        out.set(i, state.one(pair) as f32);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_0_begins_as_in_numpy() {
        let mut z = [0.0; 3];
        Numpy::new(0).fill(&mut z).unwrap();
        assert_eq!(z, [1.764052345967664_f64, 0.4001572083672233, 0.9787379841057392].map(|x| x as f32));
    }

    #[test]
    fn the_documented_size_is_the_size() {
        assert_eq!(size_of::<Numpy>(), 2512);
    }
}
