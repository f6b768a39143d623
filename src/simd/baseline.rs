//! `Lanes` on the target's own baseline through `wide`: SSE2, NEON, simd128 or scalar code, four
//! floats a register. Only operations of `wide` that round exactly are used; its `mul_add`, `exp`,
//! `ln`, `sin_cos` and `reduce_add` are not, because their bits depend on the build.

#[cfg(all(target_arch = "x86", target_feature = "sse2"))]
use core::arch::x86::_mm_stream_ps;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use core::arch::x86_64::_mm_stream_ps;

use core::ops::{Add, Div, Mul};

use wide::bytemuck::cast;
use wide::{f32x4, f64x2, i32x4, u32x4, u64x2};

use super::{Job, LANES, Lanes, scalar};
use crate::buf::TileMut;

/// The target's baseline: every machine that runs the code has it.
#[derive(Clone, Copy)]
pub(crate) struct Baseline;

/// Four lanes of `f64`.
#[derive(Clone, Copy)]
pub(crate) struct D4([f64x2; 2]);

impl Add for D4 {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self([self.0[0] + other.0[0], self.0[1] + other.0[1]])
    }
}

impl Mul for D4 {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self([self.0[0] * other.0[0], self.0[1] * other.0[1]])
    }
}

impl Div for D4 {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self([self.0[0] / other.0[0], self.0[1] / other.0[1]])
    }
}

/// Lanes 0, 1 and lanes 2, 3, in `f64`.
#[inline(always)]
fn widen(x: f32x4) -> [f64x2; 2] {
    let [a, b, c, d] = x.to_array().map(f64::from);
    [f64x2::new([a, b]), f64x2::new([c, d])]
}

/// `x·y + z` with one rounding.
#[cfg(vesde_fma)]
#[inline(always)]
fn fma(x: f32x4, y: f32x4, z: f32x4) -> f32x4 {
    let ([x0, x1, x2, x3], [y0, y1, y2, y3]) = (x.to_array(), y.to_array());
    let [z0, z1, z2, z3] = z.to_array();
    let fma = scalar::fma;
    f32x4::new([fma(x0, y0, z0), fma(x1, y1, z1), fma(x2, y2, z2), fma(x3, y3, z3)])
}

/// `x·y + z` with one rounding, emulated.
#[cfg(not(vesde_fma))]
#[inline(always)]
fn fma(x: f32x4, y: f32x4, z: f32x4) -> f32x4 {
    let (x, y, z) = (widen(x), widen(y), widen(z));
    let sums = [x[0] * y[0] + z[0], x[1] * y[1] + z[1]];
    let sums = if round_once(sums) { sums } else { fma_to_odd(x, y, z) };
    let [a, b] = sums.map(f64x2::to_array);
    f32x4::new([a[0], a[1], b[0], b[1]].map(|lane| lane as f32))
}

/// Whether `f64` sums of a product and another `f32` may be rounded to `f32` as they are: a sum
/// that was inexact stands on the right side of the middle of two floats unless it is one, or among
/// subnormal numbers, where floats lie farther apart.
#[cfg(not(vesde_fma))]
#[inline(always)]
fn round_once(sums: [f64x2; 2]) -> bool {
    let [a, b] = sums.map(|sum| sum.to_array().map(f64::to_bits));
    let bits = [a[0], a[1], b[0], b[1]];
    let low = i32x4::new(bits.map(|bits| bits as i32)) & i32x4::splat((1 << 29) - 1);
    let high = i32x4::new(bits.map(|bits| (bits >> 32) as i32)) & i32x4::splat(i32::MAX);
    let smallest = (f64::from(f32::MIN_POSITIVE).to_bits() >> 32) as i32;
    !(low.simd_eq(i32x4::splat(1 << 28)) | high.simd_lt(i32x4::splat(smallest))).any()
}

/// `x·y + z` of `f32` values in `f64`, rounded to odd, so that rounding it on to `f32` is the only
/// rounding: what is inexact has its last bit set, after rounding towards zero.
#[cfg(not(vesde_fma))]
#[cold]
#[inline(never)]
fn fma_to_odd(x: [f64x2; 2], y: [f64x2; 2], z: [f64x2; 2]) -> [f64x2; 2] {
    core::array::from_fn(|i| {
        let product = x[i] * y[i]; // exact: 24 + 24 bits
        let sum = product + z[i];
        let z_part = sum - product;
        let error = (product - (sum - z_part)) + (z[i] - z_part); // exact (Knuth's two-sum)
        let inexact: u64x2 = cast(error.abs().simd_gt(f64x2::splat(0.0))); // false for NaN
        let (sum, error): (u64x2, u64x2) = (cast(sum), cast(error));
        let beyond = (sum ^ error) >> 63; // 1 where the sum was rounded away from zero
        cast((sum - (beyond & inexact)) | (u64x2::splat(1) & inexact))
    })
}

impl Lanes for Baseline {
    const N: usize = 4;

    type Floats = [f32; 4];
    type F = f32x4;
    type U = u32x4;
    type W = u64x2;
    type D = D4;

    #[inline(never)]
    fn outlined<J: Job<Self>>(self, job: J) -> J::Output {
        job.run(self)
    }
    #[inline(always)]
    fn load(self, floats: [f32; 4]) -> f32x4 {
        f32x4::new(floats)
    }
    #[inline(always)]
    fn store(self, x: f32x4) -> [f32; 4] {
        x.to_array()
    }
    #[inline(always)]
    fn put_non_temporal(self, tile: &mut TileMut<'_>, at: usize, x: f32x4) {
        #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
        if let Some(to) = tile.aligned::<[f32; 4]>(at) {
            // SAFETY: the target has the instruction; `aligned` has found four writable floats on
            // 16 bytes.
            return unsafe { _mm_stream_ps(to, cast(x)) };
        }
        tile.put(at, self.store(x));
    }
    #[inline(always)]
    fn splat(self, x: f32) -> f32x4 {
        f32x4::splat(x)
    }
    #[inline(always)]
    fn splat_u(self, x: u32) -> u32x4 {
        u32x4::splat(x)
    }
    #[inline(always)]
    fn sqrt(self, x: f32x4) -> f32x4 {
        // Where `wide` has no vectors it makes roots bit by bit, unless it has std.
        if cfg!(any(
            target_feature = "sse",
            target_feature = "simd128",
            all(target_arch = "aarch64", target_feature = "neon")
        )) {
            return x.sqrt();
        }
        f32x4::new(x.to_array().map(scalar::sqrt))
    }
    #[inline(always)]
    fn fma(self, x: f32x4, y: f32x4, z: f32x4) -> f32x4 {
        if cfg!(any(target_feature = "fma", all(target_arch = "aarch64", target_feature = "neon"))) {
            return x.mul_add(y, z); // one instruction there
        }
        fma(x, y, z)
    }
    #[inline(always)]
    fn bits(self, x: f32x4) -> u32x4 {
        cast(x)
    }
    #[inline(always)]
    fn of_bits(self, x: u32x4) -> f32x4 {
        cast(x)
    }
    #[inline(always)]
    fn i32_to_f32(self, x: u32x4) -> f32x4 {
        f32x4::from_i32x4(cast::<u32x4, i32x4>(x))
    }
    #[inline(always)]
    fn f32_to_i32(self, x: f32x4) -> u32x4 {
        cast(x.fast_trunc_int())
    }
    #[inline(always)]
    fn shl<const K: u32>(self, x: u32x4) -> u32x4 {
        x << K
    }
    #[inline(always)]
    fn shr<const K: u32>(self, x: u32x4) -> u32x4 {
        x >> K
    }
    #[inline(always)]
    fn sar<const K: u32>(self, x: u32x4) -> u32x4 {
        cast(cast::<u32x4, i32x4>(x) >> K)
    }
    #[inline(always)]
    fn less(self, x: f32x4, y: f32x4) -> u32x4 {
        cast(x.simd_lt(y))
    }

    #[inline(always)]
    fn wide(self, x: &[u64; LANES / 2], part: usize) -> u64x2 {
        let (pairs, _) = x.as_chunks::<2>();
        pairs.get(part).copied().unwrap_or_default().into()
    }
    #[inline(always)]
    fn splat_wide(self, x: u64) -> u64x2 {
        u64x2::splat(x)
    }
    #[inline(always)]
    fn wide_shl<const K: u32>(self, x: u64x2) -> u64x2 {
        x << K
    }
    #[inline(always)]
    fn wide_shr<const K: u32>(self, x: u64x2) -> u64x2 {
        x >> K
    }
    #[inline(always)]
    fn wide_mul(self, x: u64x2, y: u32) -> u64x2 {
        let [a, b] = x.to_array();
        u64x2::new([u64::from(a as u32) * u64::from(y), u64::from(b as u32) * u64::from(y)])
    }
    #[inline(always)]
    fn wide_rotl<const K: u32>(self, x: u64x2) -> u64x2 {
        x << K | x >> (64 - K)
    }
    #[inline(always)]
    fn halves(self, x: u64x2) -> u32x4 {
        if cfg!(target_endian = "little") {
            return cast(x);
        }
        let [a, b] = x.to_array();
        u32x4::new([a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32])
    }
    #[inline(always)]
    fn pairs(self, x: u32x4) -> u64x2 {
        if cfg!(target_endian = "little") {
            return cast(x);
        }
        let [a, b, c, d] = x.to_array().map(u64::from);
        u64x2::new([a | b << 32, c | d << 32])
    }

    #[inline(always)]
    fn zero_d(self) -> D4 {
        D4([f64x2::splat(0.0); 2])
    }
    #[inline(always)]
    fn splat_d(self, x: f64) -> D4 {
        D4([f64x2::splat(x); 2])
    }
    #[inline(always)]
    fn widen(self, x: f32x4) -> D4 {
        D4(widen(x))
    }
    #[inline(always)]
    fn narrow(self, x: D4) -> f32x4 {
        let [a, b] = x.0.map(f64x2::to_array);
        f32x4::new([a[0] as f32, a[1] as f32, b[0] as f32, b[1] as f32])
    }
    #[inline(always)]
    fn abs_d(self, x: D4) -> D4 {
        D4(x.0.map(f64x2::abs))
    }
    #[inline(always)]
    fn max_d(self, x: D4, y: D4) -> D4 {
        let greater = |x: f64, y: f64| if x > y { x } else { y };
        let ([a, b], [c, d]) = (x.0.map(f64x2::to_array), y.0.map(f64x2::to_array));
        D4([
            f64x2::new([greater(a[0], c[0]), greater(a[1], c[1])]),
            f64x2::new([greater(b[0], d[0]), greater(b[1], d[1])]),
        ])
    }
    #[inline(always)]
    fn add_square(self, sum: D4, x: f32x4) -> D4 {
        #[cfg(vesde_soft_f64)]
        {
            let ([a, b], [w, x, y, z]) = (sum.0.map(f64x2::to_array), x.to_array());
            let add = scalar::add_square;
            D4([f64x2::new([add(a[0], w), add(a[1], x)]), f64x2::new([add(b[0], y), add(b[1], z)])])
        }
        #[cfg(not(vesde_soft_f64))]
        {
            let x = self.widen(x);
            sum + x * x
        }
    }
    #[inline(always)]
    fn store_d(self, to: &mut [f64], x: D4) {
        for (to, lane) in to.iter_mut().zip(x.0.map(f64x2::to_array).as_flattened()) {
            *to = *lane;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit patterns of all kinds, from a multiplicative generator.
    fn floats(seed: u32) -> impl Iterator<Item = f32> {
        let mut state = seed;
        core::iter::repeat_with(move || {
            state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x1234_5677);
            let bits = state ^ (state >> 15);
            // Half of them near 1, so that sums cancel and products tie.
            f32::from_bits(if bits & 64 == 0 { bits } else { 0x3f80_0000 ^ (bits & 0x80ff_f81f) })
        })
    }

    #[test]
    fn fma_rounds_once() {
        let mut checked = 0;
        for ((x, y), z) in floats(1).zip(floats(99)).zip(floats(7)).take(2_000_000) {
            let [got, ..] = Baseline.fma(f32x4::splat(x), f32x4::splat(y), f32x4::splat(z)).to_array();
            let want = libm::fmaf(x, y, z);
            assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "{x:e} {y:e} {z:e}");
            checked += u32::from(want.is_finite());
        }
        assert!(checked > 1_000_000);
    }

    #[test]
    fn fma_rounds_once_among_subnormal_numbers() {
        // Half of the smallest of them, and 2⁻³⁶ of that half more, for which no f64 has room
        // behind such a z. (libm::fmaf drops it where it has no instruction.)
        let smallest = f32::from_bits(1);
        let (e, scale) = (1.0 / 4096.0, f32::from_bits((127 - 75) << 23));
        let (x, y) = (scale * (1.0 + e), scale * (1.0 - e + e * e));
        for z in (1 << 17..1 << 18).map(f32::from_bits).flat_map(|z| [z, -z]) {
            for (y, want) in [(y, z + smallest), (-y, z - smallest)] {
                let [got, ..] = Baseline.fma(f32x4::splat(x), f32x4::splat(y), f32x4::splat(z)).to_array();
                assert_eq!(got.to_bits(), want.to_bits(), "{y:e} {z:e}");
            }
        }
    }

    #[test]
    fn halves_are_low_then_high_on_every_machine() {
        let x = u64x2::new([0x1111_1111_2222_2222, 0x3333_3333_4444_4444]);
        assert_eq!(Baseline.halves(x).to_array(), [0x2222_2222, 0x1111_1111, 0x4444_4444, 0x3333_3333]);
    }
}
