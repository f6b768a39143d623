//! Logarithm, sine and cosine: the single-precision polynomials of Cephes (S. Moshier). With fused multiply-adds they are
//! what torch's AVX2 code computes; without, they are fast on machines that have no such instruction.

use super::normal::signed;
use crate::simd::Lanes;

/// Every multiply-add rounds once.
pub(crate) const FUSED: bool = true;
/// Every multiply-add rounds twice.
pub(crate) const UNFUSED: bool = false;

/// `x·y + z`, with one rounding or with two.
#[inline(always)]
fn multiply_add<L: Lanes, const FUSE: bool>(l: L, x: L::F, y: L::F, z: L::F) -> L::F {
    if FUSE { l.fma(x, y, z) } else { x * y + z }
}

/// `y·x + c` for each coefficient in turn, beginning with the first.
#[inline(always)]
fn horner<L: Lanes, const FUSE: bool, const N: usize>(l: L, x: L::F, coefficients: [f32; N]) -> L::F {
    let mut coefficients = coefficients.into_iter();
    let mut y = l.splat(coefficients.next().unwrap_or(0.0));
    for c in coefficients {
        y = multiply_add::<L, FUSE>(l, y, x, l.splat(c));
    }
    y
}

/// Natural logarithm of a positive normal number.
#[inline(always)]
pub(crate) fn ln<L: Lanes, const FUSE: bool>(l: L, x: L::F) -> L::F {
    // x = t·2^e with t in 0.5..1
    let bits = l.bits(x);
    let e = l.i32_to_f32(l.shr::<23>(bits)) - l.splat(126.0);
    let t = l.of_bits(bits & l.splat_u(0x007f_ffff) | l.splat_u(0x3f00_0000));
    let small = l.less(t, l.splat(core::f32::consts::FRAC_1_SQRT_2));
    let e = e - l.of_bits(l.bits(l.splat(1.0)) & small);
    let t = t - l.splat(1.0) + l.of_bits(l.bits(t) & small);
    let z = t * t;
    let y = horner::<L, FUSE, _>(
        l,
        t,
        [
            7.0376836292e-2,
            -1.1514610310e-1,
            1.1676998740e-1,
            -1.2420140846e-1,
            1.4249322787e-1,
            -1.6668057665e-1,
            2.0000714765e-1,
            -2.4999993993e-1,
            3.3333331174e-1,
        ],
    );
    let y = multiply_add::<L, FUSE>(l, y * t, z, e * l.splat(-2.12194440e-4));
    let y = y - z * l.splat(0.5);
    multiply_add::<L, FUSE>(l, e, l.splat(0.693359375), t + y)
}

/// Sine and cosine of an angle in 0..=2π.
#[inline(always)]
pub(crate) fn sin_cos<L: Lanes, const FUSE: bool>(l: L, x: L::F) -> (L::F, L::F) {
    // j is the octant, rounded up to even; y that many eighths of a turn
    let octant = l.f32_to_i32(x * l.splat(1.27323954473516)) + l.splat_u(1);
    let j = octant & l.splat_u(!1);
    let y = l.i32_to_f32(j);
    let x = multiply_add::<L, FUSE>(l, y, l.splat(-0.78515625), x);
    let x = multiply_add::<L, FUSE>(l, y, l.splat(-2.4187564849853515625e-4), x);
    let x = multiply_add::<L, FUSE>(l, y, l.splat(-3.77489497744594108e-8), x);
    let z = x * x;

    let c =
        horner::<L, FUSE, _>(l, z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]) * z;
    let cos = multiply_add::<L, FUSE>(l, c, z, l.splat(0.0) - z * l.splat(0.5)) + l.splat(1.0);
    let s = horner::<L, FUSE, _>(l, z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]) * z;
    let sin = multiply_add::<L, FUSE>(l, s, x, x);

    let swap = l.splat_u(0) - (l.shr::<1>(j) & l.splat_u(1));
    let flipped_cos = (j - l.splat_u(2)) ^ l.splat_u(4);
    (
        signed(l, l.select(swap, cos, sin), l.shl::<29>(j)),
        signed(l, l.select(swap, sin, cos), l.shl::<29>(flipped_cos)),
    )
}
