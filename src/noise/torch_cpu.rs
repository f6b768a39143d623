//! `torch.randn` of torch's CPU generator, bit for bit.

use super::generator::{Generator, Paired, sealed};
use crate::buf::Out;
use crate::error::Error;
use crate::kernels::mt19937::Mt19937;
use crate::kernels::torch_cpu::{Randn, TORCH_BLOCK};
use crate::simd::dispatch;

/// The state of torch's CPU generator: what `torch.Generator().manual_seed(seed)` makes and
/// `torch.randn` advances.
///
/// It gives the bits that torch gives on an x86 CPU with AVX2, on every machine. Owned by the
/// caller, fixed in size (2,512 bytes), copyable: a copy continues like the original.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TorchCpu {
    /// The pairs are those of calls for fewer than 16.
    pub(super) state: Paired,
}

impl TorchCpu {
    /// `manual_seed(seed)`: the generator uses the lower 32 bits only, as torch does.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Paired::new(seed as u32) }
    }

    /// `torch.randn(out.len())`. Make the same calls as torch: one call for n is not the same as
    /// two calls for parts of n, unless the parts are multiples of 16.
    ///
    /// # Errors
    /// `InvalidRandomState` where the state is not one that [`new`](Self::new) makes.
    pub fn fill<'a>(&mut self, out: impl Into<Out<'a>>) -> Result<(), Error> {
        sealed::Generator::draw(self, out.into())
    }

    /// `torch.rand(out.len())`: uniform numbers in 0..1, one word of the generator for each. Two
    /// calls for the parts of a range are the same as one call for the whole.
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill).
    pub fn uniform<'a>(&mut self, out: impl Into<Out<'a>>) -> Result<(), Error> {
        from_words(&mut self.state, &out.into(), unit)
    }

    /// `2·torch.randint(0, 2, ...) − 1`: 1 or −1, one word of the generator for each. That is
    /// `score_sde`'s probe of a divergence (`likelihood.py`, "Rademacher"). Two calls for the parts
    /// of a range are the same as one call for the whole.
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill).
    pub fn rademacher<'a>(&mut self, out: impl Into<Out<'a>>) -> Result<(), Error> {
        from_words(&mut self.state, &out.into(), sign)
    }
}

/// One element for each word. The second normal of a pair waits for the next `randn`, as torch's.
pub(super) fn from_words(state: &mut Paired, out: &Out<'_>, make: fn(u32) -> f32) -> Result<(), Error> {
    state.check()?;
    for i in 0..out.len() {
        out.set(i, make(state.mt.next_u32()));
    }
    Ok(())
}

/// 24 bits of a word, in 0..1: `torch.rand`.
pub(super) fn unit(word: u32) -> f32 {
    (word & 0x00ff_ffff) as f32 * (1.0 / (1 << 24) as f32)
}

/// 1 if the last bit of a word is set, and −1 if not: `2·torch.randint(0, 2) − 1`.
pub(super) fn sign(word: u32) -> f32 {
    if word & 1 == 1 { 1.0 } else { -1.0 }
}

/// Two normals in `f64` arithmetic, as torch makes fewer than 16.
fn pair(mt: &mut Mt19937) -> (f64, f64) {
    let (u1, u2) = (uniform(mt), uniform(mt));
    let radius = libm::sqrt(-2.0 * libm::log1p(-u2));
    let angle = 2.0 * core::f64::consts::PI * u1;
    (radius * libm::cos(angle), radius * libm::sin(angle))
}

/// 53 bits in 0..1.
fn uniform(mt: &mut Mt19937) -> f64 {
    let word = u64::from(mt.next_u32()) << 32 | u64::from(mt.next_u32());
    (word & ((1 << 53) - 1)) as f64 * (1.0 / (1_u64 << 53) as f64)
}

impl Generator for TorchCpu {}

impl sealed::Generator for TorchCpu {
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
    if out.len() < TORCH_BLOCK {
        for i in 0..out.len() {
            out.set(i, state.one(pair) as f32);
        }
    } else {
        dispatch(Randn { mt: &mut state.mt, out });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_42_begins_as_in_torch() {
        let mut z = [0.0; 16];
        TorchCpu::new(42).fill(&mut z).unwrap();
        assert_eq!(z[..4], [1.92691529, 1.48728406, 0.900717199, -2.10552096]);
    }

    #[test]
    fn the_documented_size_is_the_size() {
        assert_eq!(size_of::<TorchCpu>(), 2512);
    }
}
