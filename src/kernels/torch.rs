//! The Box–Muller transform of torch's CPU generator, bit for bit: logarithm, sine and cosine are the
//! single-precision polynomials of Cephes (S. Moshier) with fused multiply-adds, as torch's AVX2 code has them.

use super::normal::signed;
use crate::buf::GROUP;
use crate::simd::{Kernel, Lanes};

/// Elements that torch transforms together: eight radii with eight angles.
pub(crate) const TORCH_BLOCK: usize = 16;

/// Half of a [`GROUP`]: as many radii, and as many angles.
const HALF: usize = GROUP / 2;

/// Transforms four blocks of 16 uniforms in 0..1 to normals, in place.
pub(crate) struct BoxMuller<'a>(pub &'a mut [f32; GROUP]);

impl Kernel for BoxMuller<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        // Radii and angles stand in alternating eights; vectors of any width want them apart.
        let (mut first, mut second) = ([0.0; HALF], [0.0; HALF]);
        let eights = self.0.as_chunks::<8>().0.chunks_exact(2);
        let halves = first.as_chunks_mut::<8>().0.iter_mut().zip(second.as_chunks_mut::<8>().0);
        for ((u1, u2), pair) in halves.zip(eights) {
            if let [a, b] = pair {
                (*u1, *u2) = (*a, *b);
            }
        }
        for at in (0..HALF).step_by(L::N) {
            let (u1, u2) = (l.load_at(&first, at), l.load_at(&second, at));
            let radius = l.sqrt(l.splat(-2.0) * ln(l, l.splat(1.0) - u1));
            let (sin, cos) = sin_cos(l, l.splat(2.0 * core::f32::consts::PI) * u2);
            l.store_at(&mut first, at, radius * cos);
            l.store_at(&mut second, at, radius * sin);
        }
        let eights = self.0.as_chunks_mut::<8>().0.chunks_exact_mut(2);
        let halves = first.as_chunks::<8>().0.iter().zip(second.as_chunks::<8>().0);
        for ((z1, z2), pair) in halves.zip(eights) {
            if let [a, b] = pair {
                (*a, *b) = (*z1, *z2);
            }
        }
    }
}

/// `y·x + c` for each coefficient in turn, fused, beginning with the first.
#[inline(always)]
fn horner<L: Lanes, const N: usize>(l: L, x: L::F, coefficients: [f32; N]) -> L::F {
    let mut coefficients = coefficients.into_iter();
    let mut y = l.splat(coefficients.next().unwrap_or(0.0));
    for c in coefficients {
        y = l.fma(y, x, l.splat(c));
    }
    y
}

/// Natural logarithm of a positive normal number.
#[inline(always)]
fn ln<L: Lanes>(l: L, x: L::F) -> L::F {
    // x = t·2^e with t in 0.5..1
    let bits = l.bits(x);
    let e = l.i32_to_f32(l.shr::<23>(bits)) - l.splat(126.0);
    let t = l.of_bits(bits & l.splat_u(0x007f_ffff) | l.splat_u(0x3f00_0000));
    let small = l.less(t, l.splat(core::f32::consts::FRAC_1_SQRT_2));
    let e = e - l.of_bits(l.bits(l.splat(1.0)) & small);
    let t = t - l.splat(1.0) + l.of_bits(l.bits(t) & small);
    let z = t * t;
    let y = horner(
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
    let y = l.fma(y * t, z, e * l.splat(-2.12194440e-4));
    let y = y - z * l.splat(0.5);
    l.fma(e, l.splat(0.693359375), t + y)
}

/// Sine and cosine of an angle in 0..2π.
#[inline(always)]
fn sin_cos<L: Lanes>(l: L, x: L::F) -> (L::F, L::F) {
    // j is the octant, rounded up to even; y that many eighths of a turn
    let octant = l.f32_to_i32(x * l.splat(1.27323954473516)) + l.splat_u(1);
    let j = octant & l.splat_u(!1);
    let y = l.i32_to_f32(j);
    let x = l.fma(y, l.splat(-0.78515625), x);
    let x = l.fma(y, l.splat(-2.4187564849853515625e-4), x);
    let x = l.fma(y, l.splat(-3.77489497744594108e-8), x);
    let z = x * x;

    let c = horner(l, z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]) * z;
    let cos = l.fma(c, z, l.splat(0.0) - z * l.splat(0.5)) + l.splat(1.0);
    let s = horner(l, z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]) * z;
    let sin = l.fma(s, x, x);

    let swap = l.splat_u(0) - (l.shr::<1>(j) & l.splat_u(1));
    let flipped_cos = (j - l.splat_u(2)) ^ l.splat_u(4);
    (
        signed(l, l.select(swap, cos, sin), l.shl::<29>(j)),
        signed(l, l.select(swap, sin, cos), l.shl::<29>(flipped_cos)),
    )
}
