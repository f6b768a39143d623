//! The Box–Muller transform of torch's CPU generator, bit for bit: logarithm, sine and cosine are
//! the single-precision polynomials of Cephes (S. Moshier) with fused multiply-adds, as torch's
//! AVX2 code has them.

use super::mt19937::Mt19937;
use super::normal::signed;
use crate::buf::{GROUP, Out, Pads, TileMut, Tiles};
use crate::simd::{Job, Kernel, LANES, Lanes, MAX_PARTS};

/// Elements that torch transforms together: eight radii with eight angles.
pub(crate) const TORCH_BLOCK: usize = 16;

/// Radii and angles stand in alternating eights.
const EIGHT: usize = TORCH_BLOCK / 2;

/// `randn` for 16 elements and more: uniforms throughout, transformed in blocks of 16. Behind the
/// last whole block torch draws uniforms for the rest, and then sixteen new ones for the last
/// sixteen places.
pub(crate) struct Randn<'a> {
    pub mt: &'a mut Mt19937,
    pub out: Out<'a>,
}

impl Kernel for Randn<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let len = self.out.len();
        let mut rest = len - len % TORCH_BLOCK;
        let mut words = Words([0; GROUP]);
        let mut pads = Pads::new();
        let outs = [self.out.part(0, rest)];
        let mut tiles = Tiles::new(&[], &outs, &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some(([], [mut out])) = run.next() {
                self.mt.take(l, words.0.get_mut(..rest.min(GROUP)).unwrap_or_default());
                l.outlined(BoxMuller { words: &words, out: &mut out });
                rest = rest.saturating_sub(GROUP);
            }
        }
        let tail = len % TORCH_BLOCK;
        if let Some(start) = len.checked_sub(TORCH_BLOCK).filter(|_| tail > 0) {
            self.mt.take(l, words.0.get_mut(..tail).unwrap_or_default());
            self.mt.take(l, words.0.get_mut(..TORCH_BLOCK).unwrap_or_default());
            let mut pads = Pads::new();
            let outs = [self.out.part(start, TORCH_BLOCK)];
            let mut tiles = Tiles::new(&[], &outs, &mut pads);
            while let Some(mut run) = tiles.run() {
                while let Some(([], [mut out])) = run.next() {
                    l.outlined(BoxMuller { words: &words, out: &mut out });
                }
            }
        }
    }
}

/// Four blocks of 16 words. No register of them lies in two cache lines.
#[repr(align(64))]
struct Words([u32; GROUP]);

/// Runs a block for each register of radii and that of their angles: each eight of radii stands
/// before one of angles, and wider registers hold both.
macro_rules! each_pair {
    ($lanes:ty, |$i:ident, $at:ident, $behind:ident| $body:block) => {
        let half = if <$lanes>::N > EIGHT { <$lanes>::N } else { EIGHT };
        for first in (0..GROUP / 2).step_by(half) {
            for at in (first..first + half).step_by(<$lanes>::N) {
                let ($i, $at, $behind) = (at / <$lanes>::N, first + at, first + at + half);
                $body
            }
        }
    };
}

/// The normals of words.
struct BoxMuller<'a, 't> {
    words: &'a Words,
    out: &'a mut TileMut<'t>,
}

impl<L: Lanes> Job<L> for BoxMuller<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run(self, l: L) {
        let Self { words: Words(words), out } = self;
        // All radii first, then all angles, as in normal.rs.
        let mut polar = [[l.splat(0.0); 2]; GROUP / 2 / (LANES / MAX_PARTS)];
        each_pair!(L, |i, at, behind| {
            let (u1, u2) = l.eights(uniform(l, l.load_u(words, at)), uniform(l, l.load_u(words, behind)));
            let radius = l.sqrt(l.splat(-2.0) * ln(l, l.splat(1.0) - u1));
            polar[i] = [radius, l.splat(2.0 * core::f32::consts::PI) * u2];
        });
        each_pair!(L, |i, at, behind| {
            let [radius, angle] = polar[i];
            let (sin, cos) = sin_cos(l, angle);
            let (z1, z2) = l.eights(radius * cos, radius * sin);
            out.put(at, l.store(z1));
            out.put(behind, l.store(z2));
        });
    }
}

/// 24 bits of each word, in 0..1.
#[inline(always)]
fn uniform<L: Lanes>(l: L, word: L::U) -> L::F {
    l.i32_to_f32_over::<24>(word & l.splat_u(0x00ff_ffff))
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
