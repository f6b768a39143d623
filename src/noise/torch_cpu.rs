//! `torch.randn` of torch's CPU generator, bit for bit.

use crate::buf::{self, Out};
use crate::error::Error;
use crate::kernels::mt19937::Mt19937;
use crate::kernels::torch::{Randn, TORCH_BLOCK};
use crate::simd::dispatch;

/// The state of torch's CPU generator: what `torch.Generator().manual_seed(seed)` makes and `torch.randn` advances.
///
/// It gives the bits that torch gives on an x86 CPU with AVX2, on every machine. Owned by the caller, fixed in size
/// (2,512 bytes), copyable: a copy continues like the original.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TorchCpu {
    mt: Mt19937,
    /// Whether `cached` holds the second normal of a pair, drawn by a call for fewer than 16.
    has_cached: u32,
    cached: f64,
}

impl TorchCpu {
    /// `manual_seed(seed)`: the generator uses the lower 32 bits only, as torch does.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { mt: Mt19937::new(seed as u32), has_cached: 0, cached: 0.0 }
    }

    /// `torch.randn(out.len())`. One call for n is not two calls for parts of n, unless the parts are multiples
    /// of 16: the calls must be those that torch makes.
    ///
    /// # Errors
    /// `Empty`; `InvalidRandomState` where the state is not one that [`new`](Self::new) makes.
    pub fn fill(&mut self, out: &mut [f32]) -> Result<(), Error> {
        self.fill_out(out.into())
    }

    pub(crate) fn fill_out(&mut self, out: Out<'_>) -> Result<(), Error> {
        buf::check(&[], &[out])?;
        self.mt.check()?;
        if self.has_cached > 1 || !self.cached.is_finite() {
            return Err(Error::InvalidRandomState);
        }
        if out.len() < TORCH_BLOCK {
            for i in 0..out.len() {
                out.write(i, &[self.one()]);
            }
        } else {
            dispatch(Randn { mt: &mut self.mt, out });
        }
        Ok(())
    }

    /// One normal in `f64` arithmetic, as torch makes fewer than 16.
    fn one(&mut self) -> f32 {
        if self.has_cached != 0 {
            self.has_cached = 0;
            return self.cached as f32;
        }
        let (u1, u2) = (self.uniform_f64(), self.uniform_f64());
        let radius = libm::sqrt(-2.0 * libm::log1p(-u2));
        let angle = 2.0 * core::f64::consts::PI * u1;
        self.cached = radius * libm::sin(angle);
        self.has_cached = 1;
        (radius * libm::cos(angle)) as f32
    }

    /// 53 bits in 0..1.
    fn uniform_f64(&mut self) -> f64 {
        let word = u64::from(self.mt.next_u32()) << 32 | u64::from(self.mt.next_u32());
        (word & ((1 << 53) - 1)) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
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
