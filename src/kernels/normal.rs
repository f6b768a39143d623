//! Standard normal numbers from random words, in registers: the transform that turns four words
//! into four normals with one logarithm, and counter noise, which feeds it.
//!
//! # The transform
//! Box and Muller's radius is √(−2 ln u) for a uniform u. The sum of two such −2 ln u is −2
//! ln(u₁u₂), one logarithm, and a uniform v splits it into two that are again independent and
//! exponential: v and 1−v times the sum. Each half goes with an angle of its own. Of the words a,
//! b, c, d:
//! - u₁ and u₂ are the magnitudes of a and b as signed numbers, made odd, over 2³¹; the signs of a
//!   and b are those of the two cosines, so that angles need to cover a half circle only;
//! - c and d, as signed fractions s of a half circle, are the angles πs/2;
//! - v is 23 bits that rounding drops elsewhere: low bits of d, then of c, then of a.
//!
//! The largest magnitude is √(−2 ln 2⁻⁶²) ≈ 9.27. Every operation is one IEEE 754 operation in
//! `f32`: fused ones would make counter noise 1.15 times faster (measured on Zen 3 with AVX2 and on
//! Zen 4 with AVX-512), and other bits or an emulation elsewhere.
//!
//! # Counter noise
//! The stream is cut into blocks of [`BLOCK`] elements. Each block runs eight xoroshiro128+
//! generators (Blackman and Vigna) side by side, for 64 steps, from 8 × 128 bits of state that
//! Philox4x32-10 makes of (seed, stream, block). Four steps make a group of 64 elements: step k of
//! lane l gives words 2l (its low half) and 2l+1 (its high half) of a, b, c, d for k = 0, 1, 2, 3,
//! and the results of word i are elements i, 16+i, 32+i and 48+i.

use core::array::from_ref;

use super::Place;
use super::philox::{Philox4x32, pack};
use crate::buf::{GROUP, Out, Pads, Tiles};
use crate::simd::{Group, Job, Kernel, LANES, Lanes, MAX_PARTS, ROWS, dispatch, each};

/// Elements of counter noise that come from one seeding.
pub(crate) const BLOCK: u64 = 1024;

/// Groups in a block.
const GROUPS: u64 = BLOCK / GROUP as u64;

/// −2 ln(1−x)/x on (−0.5, 0.25], lowest power first: minimax in relative error (1.9e-7), rounded to
/// `f32` coefficients by sollya's fpminimax.
const LOG: [f32; 8] =
    [2.00000024, 1.00000441, 0.666599214, 0.499533266, 0.402084291, 0.347411454, 0.283105493, 0.133531928];
/// √2·sin(πx/4)/x in x², for |x| ≤ 1 (fpminimax, relative error 1.7e-8).
const SIN: [f32; 4] = [1.11072075, -0.114191465, 0.00352174835, -5.10431673e-5];
/// √2·cos(πx/4) in x², for |x| ≤ 1 (fpminimax, relative error 3.6e-8).
const COS: [f32; 4] = [1.41421354, -0.43617779, 0.0224151202, -0.000450902531];

/// The sign bit of a float, and of an `i32`.
pub(super) const SIGN: u32 = 1 << 31;

/// The exponent of (2³¹)², the largest product of two odd 31-bit integers as rounded.
const TOP: u32 = 62;

/// A polynomial in `x`, lowest power first, by Horner's rule.
#[inline(always)]
fn horner<L: Lanes, const N: usize>(l: L, x: L::F, coefficients: &[f32; N]) -> L::F {
    let mut coefficients = coefficients.iter().rev();
    let mut y = l.splat(coefficients.next().copied().unwrap_or(0.0));
    for &c in coefficients {
        y = y * x + l.splat(c);
    }
    y
}

/// Sine and cosine of π/2 times the `i32` in `word` over 2³¹: an angle of the right half circle.
#[inline(always)]
fn half_circle<L: Lanes>(l: L, word: L::U) -> (L::F, L::F) {
    let x = l.i32_to_f32_over::<31>(word);
    let x2 = x * x;
    let sin = horner(l, x2, &SIN) * x; // √2·sin and √2·cos of half the angle
    let cos = horner(l, x2, &COS);
    (sin * cos, l.splat(1.0) - sin * sin)
}

/// The `i32` in `word`, made odd: never zero.
#[inline(always)]
fn odd<L: Lanes>(l: L, word: L::U) -> L::F {
    l.i32_to_f32(word | l.splat_u(1))
}

/// −2 ln(|x|/2^TOP) of numbers |x| in 1..=2^TOP. The polynomial goes by Estrin's scheme, which is
/// half as deep as Horner's: here a register waits longest.
#[inline(always)]
fn minus_2_ln<L: Lanes>(l: L, x: L::F) -> L::F {
    // |x|/2^TOP = (1−y)·2^e: −2 ln(1−y) − e·2 ln 2
    let (m, e) = l.split::<TOP>(x);
    let y = l.splat(1.0) - m;
    let y2 = y * y;
    let mut pairs = [y; LOG.len() / 2];
    for (pair, &[a, b]) in pairs.iter_mut().zip(LOG.as_chunks().0) {
        *pair = l.splat(a) + l.splat(b) * y;
    }
    let [p01, p23, p45, p67] = pairs;
    let log = ((p01 + p23 * y2) + (p45 + p67 * y2) * (y2 * y2)) * y;
    log - e * l.splat(2.0 * core::f32::consts::LN_2)
}

/// `x` with its sign changed where the top bit of `sign` is set.
#[inline(always)]
pub(crate) fn signed<L: Lanes>(l: L, x: L::F, sign: L::U) -> L::F {
    l.of_bits(l.bits(x) ^ (sign & l.splat_u(SIGN)))
}

/// The two radii of four words a lane.
#[inline(always)]
fn radii<L: Lanes>(l: L, [a, b, c, d]: [L::U; 4]) -> [L::F; 2] {
    let sum = minus_2_ln(l, odd(l, a) * odd(l, b));

    // v is (2k+1)·2⁻²⁴ for a 23-bit k; it and 1−v are exact.
    let k = (l.shl::<15>(d) ^ l.shl::<7>(c) ^ a) & l.splat_u(0x007f_ffff);
    let v = l.of_bits(k | l.splat_u(0x3f80_0000)) - l.splat(1.0 - f32::EPSILON / 2.0);
    [l.sqrt(v * sum), l.sqrt((l.splat(1.0) - v) * sum)]
}

/// Sines and cosines of four words a lane, times their radii.
#[inline(always)]
fn turn<L: Lanes>(l: L, [radius1, radius2]: [L::F; 2], [a, b, c, d]: [L::U; 4]) -> [L::F; ROWS] {
    let (sin1, cos1) = half_circle(l, c);
    let (sin2, cos2) = half_circle(l, d);
    [radius1 * sin1, radius1 * signed(l, cos1, a), radius2 * sin2, radius2 * signed(l, cos2, b)]
}

/// Whether the parts of a group are made side by side where they take four registers or more: not
/// on machines without vectors, which would keep what waits in memory, and clear it first.
const SIDE_BY_SIDE: bool = cfg!(any(target_arch = "x86", target_arch = "x86_64", target_feature = "simd128"));

/// A group of normals from the words a, b, c, d of each part.
///
/// All radii first, then all angles: a radius is one long chain of operations, and the chains of
/// several registers side by side keep a machine busy that sees a few hundred instructions at a
/// time.
#[inline(always)]
fn normals<L: Lanes>(l: L, words: &[[L::U; 4]; MAX_PARTS]) -> Group<L> {
    let mut radius = [[l.splat(0.0); 2]; MAX_PARTS];
    for part in 0..L::PARTS {
        radius[part] = radii(l, words[part]);
    }
    let mut group = [[l.splat(0.0); ROWS]; MAX_PARTS];
    for part in 0..L::PARTS {
        group[part] = turn(l, radius[part], words[part]);
    }
    group
}

/// Counter noise group by group.
pub(crate) struct CounterGroups<L: Lanes> {
    philox: Philox4x32<L>,
    stream: u64,
    /// The block that is seeded next.
    next: u64,
    /// Generators of the blocks before it, of which so many have been used.
    seeded: [States<L>; SEEDED],
    used: usize,
    /// What is left of the current block. A loop takes a copy, which can stay in registers, and
    /// puts it back.
    pub block: Block<L>,
}

/// How many blocks are seeded at once, but for the first. Philox is one long chain for each
/// register: where a block may take one or two, which on x86 it may, a machine has room for more
/// chains.
const SEEDED: usize = if cfg!(any(target_arch = "x86", target_arch = "x86_64")) { 4 } else { 1 };

/// The two words of eight generators.
type States<L> = [[<L as Lanes>::W; 2]; MAX_PARTS];

/// A block's generators, on their way through it.
#[derive(Clone, Copy)]
pub(crate) struct Block<L: Lanes> {
    states: States<L>,
    /// How many groups are left.
    pub left: u64,
}

impl<L: Lanes> CounterGroups<L> {
    /// Begins with the group in which `place` lies.
    #[inline(always)]
    pub(crate) fn new(l: L, place: Place) -> Self {
        let states = [[l.splat_wide(0); 2]; MAX_PARTS];
        let mut groups = Self {
            philox: Philox4x32::new(l, place.seed),
            stream: place.stream,
            next: place.index / BLOCK,
            seeded: [states; SEEDED],
            used: SEEDED - 1,
            block: Block { states, left: 0 },
        };
        l.outlined(Begin { groups: &mut groups, skipped: place.index % BLOCK / GROUP as u64 });
        groups
    }

    /// The block of the next group.
    #[inline(always)]
    pub(crate) fn block(&mut self, l: L) -> Block<L> {
        if self.block.left == 0 {
            if self.used == SEEDED {
                self.used = 0;
                l.outlined(Seed(self));
            }
            if let Some(states) = self.seeded.get(self.used) {
                for (to, from) in self.block.states.iter_mut().zip(states).take(L::PARTS) {
                    *to = *from;
                }
            }
            self.block.left = GROUPS;
            self.used += 1;
        }
        self.block
    }

    /// The next group, in memory: for those who are no faster with registers.
    pub(crate) fn in_memory(&mut self, l: L) -> [f32; GROUP] {
        l.outlined(InMemory(self))
    }
}

impl<L: Lanes> Block<L> {
    /// The next 64 elements, of which there must be some left.
    #[inline(always)]
    pub(crate) fn next(&mut self, l: L) -> Group<L> {
        // Where no register is left for the kernel around, one copy of the code is enough.
        if L::ROOMY { self.make(l) } else { l.outlined(Next(self)) }
    }

    #[inline(always)]
    fn make(&mut self, l: L) -> Group<L> {
        self.left = self.left.wrapping_sub(1);
        if L::PARTS == MAX_PARTS && (L::ROOMY || !SIDE_BY_SIDE) {
            // One part after the other: the constants take most registers, and stay in them.
            let mut group = [[l.splat(0.0); ROWS]; MAX_PARTS];
            for part in 0..L::PARTS {
                let words = self.words(l, part);
                group[part] = turn(l, radii(l, words), words);
            }
            return group;
        }
        let mut words = [[l.splat_u(0); 4]; MAX_PARTS];
        for part in 0..L::PARTS {
            words[part] = self.words(l, part);
        }
        normals(l, &words)
    }

    /// The next words of a part.
    #[inline(always)]
    fn words(&mut self, l: L, part: usize) -> [L::U; 4] {
        let state = &mut self.states[part];
        [step(l, state), step(l, state), step(l, state), step(l, state)]
    }
}

/// One step of xoroshiro128+ (the 2018 constants 24, 16, 37).
#[inline(always)]
fn step<L: Lanes>(l: L, state: &mut [L::W; 2]) -> L::U {
    let [s0, s1] = *state;
    let x = s1 ^ s0;
    *state = [l.wide_rotl::<24>(s0) ^ x ^ l.wide_shl::<16>(x), l.wide_rotl::<37>(x)];
    l.halves(s0 + s1)
}

/// [`Block::make`] in a function of its own.
struct Next<'a, L: Lanes>(&'a mut Block<L>);

impl<L: Lanes> Job<L> for Next<'_, L> {
    type Output = Group<L>;
    #[inline(always)]
    fn run(self, l: L) -> Group<L> {
        self.0.make(l)
    }
}

/// [`CounterGroups::in_memory`].
struct InMemory<'a, L: Lanes>(&'a mut CounterGroups<L>);

impl<L: Lanes> Job<L> for InMemory<'_, L> {
    type Output = [f32; GROUP];
    #[inline(always)]
    fn run(self, l: L) -> [f32; GROUP] {
        self.0.block(l);
        let group = self.0.block.next(l);
        let mut floats = [0.0; GROUP];
        scatter(l, &group, &mut floats);
        floats
    }
}

/// Seeds the generators of all blocks from `used` on: 16 words of Philox a block, two for each of
/// eight.
struct Seed<'a, L: Lanes>(&'a mut CounterGroups<L>);

impl<L: Lanes> Job<L> for Seed<'_, L> {
    type Output = ();
    #[inline(always)]
    fn run(self, l: L) {
        const GENERATORS: [u64; LANES / 2] = [0, 1, 2, 3, 4, 5, 6, 7];
        let Self(CounterGroups { philox, stream, next, seeded, used, .. }) = self;
        let stream = l.splat_wide(*stream);
        for states in seeded.iter_mut().skip(*used) {
            let first = l.splat_wide(next.wrapping_mul(LANES as u64 / 2));
            let high = [l.wide_shr::<32>(first), l.wide_shr::<32>(stream)];
            for part in 0..L::PARTS {
                let counter = [first + l.wide(&GENERATORS, part), high[0], stream, high[1]];
                let [[a, b, c, d]] = philox.words(l, [counter]);
                states[part] = [pack(l, a, b), pack(l, c, d)];
            }
            *next = next.wrapping_add(1);
        }
    }
}

/// Seeds the first block, and goes to a group within it.
struct Begin<'a, L: Lanes> {
    groups: &'a mut CounterGroups<L>,
    skipped: u64,
}

impl<L: Lanes> Job<L> for Begin<'_, L> {
    type Output = ();
    #[inline(always)]
    fn run(self, l: L) {
        let Self { groups, skipped } = self;
        l.outlined(Seed(groups));
        groups.block(l);
        for state in groups.block.states.iter_mut().take(L::PARTS) {
            for _ in 0..4 * skipped {
                step(l, state);
            }
        }
        groups.block.left -= skipped;
    }
}

/// Writes a group's elements in order.
#[inline(always)]
fn scatter<L: Lanes>(l: L, group: &Group<L>, floats: &mut [f32; GROUP]) {
    each!(L, |at, part, row| l.store_at(floats, at, group[part][row]));
}

/// Fills `out` with counter noise.
pub(crate) struct Fill<'a> {
    pub place: Place,
    pub out: Out<'a>,
}

impl Kernel for Fill<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let mut noise = CounterGroups::new(l, self.place);
        let mut pads = Pads::new();
        let mut tiles = Tiles::overhanging(self.place.offset_in_group(), &[], from_ref(&self.out), &mut pads);
        while let Some(mut run) = tiles.run() {
            while !run.is_done() {
                let mut block = noise.block(l);
                while block.left > 0
                    && let Some(([], [mut out])) = run.next()
                {
                    let z = block.next(l);
                    each!(L, |at, part, row| out.put(at, l.store(z[part][row])));
                }
                noise.block = block;
            }
        }
    }
}

/// Fills `out` with the signs of counter noise, 1 or −1.
pub(crate) fn fill_signs(place: Place, out: &Out<'_>) {
    dispatch(Fill { place, out: out.again() });
    for (i, z) in out.as_in().iter().enumerate() {
        out.set(i, 1.0_f32.copysign(z));
    }
}

/// The normals of one group of 64 random words: word 16k + i is the i-th of a, b, c, d for k = 0,
/// 1, 2, 3.
pub(crate) struct FromWords<'a> {
    pub words: &'a [u32; GROUP],
    pub out: &'a mut [f32; GROUP],
}

impl Kernel for FromWords<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let mut words = [[l.splat_u(0); 4]; MAX_PARTS];
        each!(L, |at, part, row| words[part][row] = l.load_u(self.words, at));
        scatter(l, &normals(l, &words), self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::dispatch;

    /// The transform as its documentation says it, in `f64` and with the library's functions; and
    /// how far off `f32` may be: a relative part, and the rounding of u₁u₂ to 24 bits, which counts
    /// where the logarithm is small.
    fn oracle([a, b, c, d]: [u32; 4]) -> ([f64; 4], f64) {
        let unit = f64::from(1 << 30) * 2.0;
        let magnitude = |x: u32| f64::from((x | 1) as i32).abs() / unit;
        let sum = -2.0 * (magnitude(a) * magnitude(b)).ln();
        let v = (f64::from((d << 15 ^ c << 7 ^ a) & 0x7f_ffff) * 2.0 + 1.0) / f64::from(1 << 24);
        let angle = |x: u32| core::f64::consts::FRAC_PI_2 * f64::from(x as i32) / unit;
        let sign = |x: u32| if x >> 31 == 1 { -1.0 } else { 1.0 };
        let (r1, r2) = ((v * sum).sqrt(), ((1.0 - v) * sum).sqrt());
        let z = [
            r1 * angle(c).sin(),
            r1 * angle(c).cos() * sign(a),
            r2 * angle(d).sin(),
            r2 * angle(d).cos() * sign(b),
        ];
        (z, 3e-7 * sum.sqrt() + 2e-7 / sum.sqrt())
    }

    fn words(mut seed: u64) -> impl Iterator<Item = u32> {
        core::iter::repeat_with(move || {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (seed >> 32) as u32
        })
    }

    #[test]
    fn normals_are_those_of_the_formula() {
        let (mut worst, mut sum_sq, mut count) = (0.0_f64, 0.0, 0.0);
        let mut source = words(5);
        for round in 0..20_000 {
            let mut block = [0; GROUP];
            block.fill_with(|| source.next().unwrap());
            if round % 4 == 0 {
                // Extremes: tiny and huge uniforms, angles at the ends and at zero.
                for word in &mut block {
                    let edges = [0, 1, 2, !0, !0 >> 1, 1 << 31, (1 << 31) + 1, !1, 1 << 30];
                    if *word & 1 == 0 {
                        *word = edges[(*word >> 8) as usize % edges.len()];
                    }
                }
            }
            let mut out = [0.0; GROUP];
            dispatch(FromWords { words: &block, out: &mut out });
            for i in 0..LANES {
                let (want, tolerance) = oracle([0, 1, 2, 3].map(|k| block[LANES * k + i]));
                for (k, want) in want.into_iter().enumerate() {
                    let error = f64::from(out[LANES * k + i]) - want;
                    assert!(error.abs() < tolerance, "{error} of {want}");
                    if round % 4 == 0 {
                        continue;
                    }
                    worst = worst.max(error.abs());
                    sum_sq += error * error;
                    count += 1.0;
                }
            }
        }
        let rms = f64::sqrt(sum_sq / count);
        assert!(rms < 1e-7 && worst < 1.5e-6, "rms {rms:e}, worst {worst:e}");
    }

    #[test]
    fn the_largest_magnitude_is_nine_sigma_and_nothing_is_nan() {
        for (a, b) in [(0, 0), (!0, !0), (0, !0), (1 << 31, 1 << 31)] {
            for c in [0, 1, !0, 1 << 31, !0 >> 1] {
                for d in [0, 255, !0, 1 << 31] {
                    let mut block = [0; GROUP];
                    for (k, word) in [a, b, c, d].into_iter().enumerate() {
                        block[LANES * k..][..LANES].fill(word);
                    }
                    let mut out = [0.0; GROUP];
                    dispatch(FromWords { words: &block, out: &mut out });
                    assert!(out.iter().all(|z| z.abs() <= 9.2711), "{a:x} {b:x} {c:x} {d:x} {out:?}");
                }
            }
        }
    }
}
