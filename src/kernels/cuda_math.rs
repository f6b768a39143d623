//! CUDA's `logf` and fast sine and cosine, to the last bit.
//!
//! The logarithm is a polynomial that `cuobjdump` shows. The sine is the GPU's own instruction,
//! MUFU.SIN, of the kind that Oberman and Siu describe ("A high-performance area-efficient
//! multifunction interpolator", 2005): the quarter turn in 64 parts, in each of them a quadratic
//! polynomial whose square is made without its low partial products. The coefficients were solved
//! for from the results for all 2²³ arguments of a quarter turn on an H100: one solution in each
//! part gives them all.

use super::normal::signed;
use crate::simd::{Lanes, Table};

/// −2·ln u of u·2^K, for u up to 1 and from 2⁻³³ on.
#[inline(always)]
pub(crate) fn minus_2_logf<L: Lanes, const K: u32>(l: L, scaled: L::F) -> L::F {
    /// The bits of 2/3, about, from which mantissas are counted.
    const FROM: u32 = 0x3f2a_aaab;
    const COEFFICIENTS: [f32; 9] = [
        -0.13018857,
        0.1408461,
        -0.12148628,
        0.1398061,
        -0.16684236,
        0.200123,
        -0.24999669,
        0.33333182,
        -0.5,
    ];
    let bits = l.bits(scaled);
    let exponent = l.sar::<23>(bits - l.splat_u(FROM + (K << 23)));
    let f = l.of_bits(bits - l.shl::<23>(exponent + l.splat_u(K))) - l.splat(1.0);
    let mut coefficients = COEFFICIENTS.into_iter();
    let mut p = l.splat(coefficients.next().unwrap_or(0.0));
    for c in coefficients {
        p = l.fma(f, p, l.splat(c));
    }
    let p = l.fma(f * p, f, f);
    l.fma(l.i32_to_f32(exponent), l.splat(core::f32::consts::LN_2), p) * l.splat(-2.0)
}

/// Bits of the fraction of a turn that MUFU takes.
const TURN_BITS: u32 = 25;

/// An angle in 0..=2π as MUFU takes it: 2⁻²⁵ turns, rounded towards zero twice.
#[inline(always)]
pub(crate) fn turns<L: Lanes>(l: L, angle: L::F) -> L::U {
    let per_radian = l.splat(0.159_154_94 * (1 << TURN_BITS) as f32);
    l.f32_to_i32(l.mul_towards_zero(angle, per_radian))
}

/// Which function of an angle.
#[derive(Clone, Copy)]
pub(crate) enum Wave {
    Sine,
    Cosine,
}

/// MUFU.SIN or MUFU.COS.
#[inline(always)]
pub(crate) fn wave<L: Lanes>(l: L, turns: L::U, wave: Wave) -> L::F {
    const QUARTER: u32 = 1 << (TURN_BITS - 2);
    let (backwards, ahead) = match wave {
        Wave::Sine => (0, 0),
        Wave::Cosine => (u32::MAX, QUARTER),
    };
    // In every second quarter from the end: the complement, of which the rounding knows nothing.
    let odd = l.splat_u(0) - (l.shr::<{ TURN_BITS - 2 }>(turns) & l.splat_u(1));
    let at = (turns ^ odd ^ l.splat_u(backwards)) & l.splat_u(QUARTER - 1);
    signed(l, sine_of_quarter(l, at), l.shl::<{ 32 - TURN_BITS }>(turns + l.splat_u(ahead)))
}

/// MUFU's results in a quarter turn of 2²³: c0·2⁻²⁵ + (c1·x − c2·x²)·2⁻³⁷, with x²·2⁻¹⁹, cut to 24
/// bits.
#[inline(always)]
fn sine_of_quarter<L: Lanes>(l: L, at: L::U) -> L::F {
    let part = l.shr::<17>(at);
    let x = at & l.splat_u((1 << 17) - 1);
    let [c0, c12] = l.look_up(&COEFFICIENTS, part);
    let (c1, c2) = (c12 & l.splat_u(0xffff), l.shr::<16>(c12));
    let rest = c1 * x - c2 * square(l, x);
    // In the first part, where there is no c0, all of 32 bits are needed; behind it 2⁻³⁰ is fine
    // enough, of which there are 25 bits or more.
    let first = l.sar::<31>(at - l.splat_u(1 << 17));
    let sum = either(l, first, rest, l.shl::<5>(c0) + l.shr::<7>(rest));
    let unit = l.select(first, l.splat(1.0 / (1_u64 << 37) as f32), l.splat(1.0 / (1_u64 << 30) as f32));
    l.u32_to_f32_towards_zero(sum) * unit
}

/// The lanes of `yes` where `mask` is all ones, of `no` where it is zero.
#[inline(always)]
fn either<L: Lanes>(l: L, mask: L::U, yes: L::U, no: L::U) -> L::U {
    l.bits(l.select(mask, l.of_bits(yes), l.of_bits(no)))
}

/// x²·2⁻¹⁹ as MUFU makes it: of the products of two of the 17 bits of x, those of 2¹⁹ and more.
#[inline(always)]
fn square<L: Lanes>(l: L, x: L::U) -> L::U {
    // Of the upper eight bits among themselves that is all but the square of the last.
    let upper = l.shr::<9>(x);
    let lower = x & l.splat_u((1 << 9) - 1);
    // And each upper bit but the last has products with some of the lower ones.
    (l.shr::<1>(upper * upper) + row::<L, 15, 2>(l, x, lower))
        + (row::<L, 16, 3>(l, x, lower) + row::<L, 17, 4>(l, x, lower))
        + (row::<L, 18, 5>(l, x, lower) + row::<L, 19, 6>(l, x, lower))
        + (row::<L, 20, 7>(l, x, lower) + row::<L, 21, 8>(l, x, lower))
}

/// The products of one bit, 31 − `UP`, with the lower ones from `FROM` on.
#[inline(always)]
fn row<L: Lanes, const UP: u32, const FROM: u32>(l: L, x: L::U, lower: L::U) -> L::U {
    l.sar::<31>(l.shl::<UP>(x)) & l.shr::<FROM>(lower)
}

/// The coefficients of the parts: c0, and c1 with c2 above it.
static COEFFICIENTS: Table = {
    let mut table = Table { pairs: [[0; 2]; 64], apart: [[0; 64]; 2] };
    let mut i = 0;
    while i < 64 {
        let (a, b, c) = PARTS[i];
        table.pairs[i] = [a, b | c << 16];
        [table.apart[0][i], table.apart[1][i]] = table.pairs[i];
        i += 1;
    }
    table
};

/// c0, c1 and c2 of each part.
#[rustfmt::skip]
const PARTS: [(u32, u32, u32); 64] = [
    (0, 25737, 14), (823463, 25730, 48), (1646436, 25706, 76), (2468414, 25668, 110),
    (3288906, 25613, 137), (4107418, 25544, 171), (4923453, 25459, 201), (5736526, 25358, 229),
    (6546141, 25243, 262), (7351816, 25112, 292), (8153060, 24966, 322), (8949394, 24805, 352),
    (9740335, 24629, 381), (10525413, 24438, 410), (11304145, 24233, 441), (12076070, 24013, 470),
    (12840725, 23778, 497), (13597643, 23529, 525), (14346367, 23266, 553), (15086452, 22989, 581),
    (15817450, 22698, 608), (16538916, 22394, 637), (17250422, 22076, 664), (17951542, 21744, 688),
    (18641840, 21400, 715), (19320916, 21042, 738), (19988350, 20672, 763), (20643746, 20290, 790),
    (21286703, 19895, 812), (21916841, 19489, 839), (22533776, 19070, 859), (23137138, 18640, 881),
    (23726565, 18199, 904), (24301698, 17747, 926), (24862194, 17284, 946), (25407711, 16811, 967),
    (25937924, 16328, 988), (26452518, 15834, 1004), (26951170, 15332, 1025), (27433593, 14820, 1043),
    (27899488, 14299, 1059), (28348583, 13769, 1074), (28780594, 13232, 1093), (29195273, 12686, 1107),
    (29592364, 12133, 1123), (29971632, 11572, 1136), (30332846, 11004, 1148), (30675788, 10430, 1162),
    (31000253, 9849, 1172), (31306042, 9263, 1185), (31592974, 8671, 1196), (31860879, 8073, 1203),
    (32109590, 7471, 1213), (32338961, 6864, 1220), (32548845, 6254, 1230), (32739132, 5639, 1236),
    (32909694, 5021, 1242), (33060432, 4400, 1247), (33191257, 3776, 1250), (33302087, 3151, 1258),
    (33392857, 2523, 1260), (33463517, 1893, 1260), (33514014, 1263, 1263), (33544326, 632, 1265),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, dispatch, on_every_level};

    /// The hash of MUFU's results in a quarter turn.
    struct Hash;

    impl Kernel for Hash {
        type Output = u64;
        fn run<L: Lanes>(&mut self, l: L) -> u64 {
            let mut hash = 0xcbf2_9ce4_8422_2325_u64;
            let mut lanes = [0; 16];
            for start in (0..1 << 23).step_by(L::N) {
                for (lane, at) in lanes.iter_mut().zip(start..) {
                    *lane = at;
                }
                let sines = l.store(sine_of_quarter(l, l.load_u(&lanes, 0)));
                for byte in sines.as_ref().iter().flat_map(|sine| sine.to_le_bytes()) {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
            }
            hash
        }
    }

    #[test]
    fn all_sines_of_a_quarter_turn_are_those_of_an_h100() {
        // From vectors/mufu.py.
        on_every_level(|level| assert_eq!(dispatch(Hash), 0x648b_c46a_2481_70de, "{level:?}"));
    }
}
