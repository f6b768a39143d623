//! A machine's vector registers as a kernel sees them: [`Lanes`], and the loops over a tile's
//! registers. `mod.rs` chooses the machine.

use core::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Sub};

use crate::buf::{Floats, GROUP, TileMut};

/// Virtual lanes of `f32`: reductions and the layout of counter noise are defined on sixteen, and
/// the vectors of every machine divide them.
pub(crate) const LANES: usize = 16;

/// How many times sixteen lanes make a [`GROUP`].
pub(crate) const ROWS: usize = GROUP / LANES;

/// The registers that sixteen lanes take at the narrowest.
pub(crate) const MAX_PARTS: usize = 4;

/// A machine's vector registers. A value of the type is the proof that the machine has them.
///
/// Every operation is lane by lane, and rounds as IEEE 754 says, once.
pub(crate) trait Lanes: Copy {
    /// Number of `f32` lanes: at least `LANES / MAX_PARTS`, and a divisor of `LANES`.
    const N: usize;
    /// `LANES / N`: the registers that make sixteen lanes.
    const PARTS: usize = LANES / Self::N;
    /// Whether there are registers for noise, or for sixteen lanes of `D` twice, and for the kernel
    /// around.
    const ROOMY: bool = Self::PARTS < MAX_PARTS;
    /// Whether `products` takes less than `wide_mul` of both halves of [`pairs`](Self::pairs).
    const PRODUCTS: bool = false;

    /// `[f32; N]`.
    type Floats: Floats + AsRef<[f32]> + AsMut<[f32]>;
    /// Lanes of `f32`.
    type F: Copy + Add<Output = Self::F> + Sub<Output = Self::F> + Mul<Output = Self::F>;
    /// Lanes of `u32`; arithmetic wraps.
    type U: Copy
        + Add<Output = Self::U>
        + Sub<Output = Self::U>
        + Mul<Output = Self::U>
        + BitAnd<Output = Self::U>
        + BitOr<Output = Self::U>
        + BitXor<Output = Self::U>;
    /// Lanes of `u64`, half as many; arithmetic wraps.
    type W: Copy
        + Add<Output = Self::W>
        + BitAnd<Output = Self::W>
        + BitOr<Output = Self::W>
        + BitXor<Output = Self::W>;
    /// Lanes of `f64`, as many as `F` has, in two registers.
    type D: Copy + Add<Output = Self::D> + Mul<Output = Self::D> + Div<Output = Self::D>;

    /// Runs a job in a function of its own that is compiled for these registers. An ordinary
    /// function is not, even when its caller is: intrinsics in it would be calls.
    fn outlined<J: Job<Self>>(self, job: J) -> J::Output;

    /// The lanes of an array.
    fn load(self, floats: Self::Floats) -> Self::F;
    /// The array of the lanes.
    fn store(self, x: Self::F) -> Self::Floats;
    /// Stores the lanes in a tile, non-temporally where the machine can and the tile is aligned to
    /// a register: for the outputs that `Run::past` names.
    fn put_non_temporal(self, tile: &mut TileMut<'_>, at: usize, x: Self::F);
    /// The same float in every lane.
    fn splat(self, x: f32) -> Self::F;
    /// The same integer in every lane.
    fn splat_u(self, x: u32) -> Self::U;
    /// The square root.
    fn sqrt(self, x: Self::F) -> Self::F;
    /// `x·y + z` with one rounding, emulated where the machine has no such instruction.
    fn fma(self, x: Self::F, y: Self::F, z: Self::F) -> Self::F;
    /// The floats' bits.
    fn bits(self, x: Self::F) -> Self::U;
    /// The floats that have these bits.
    fn of_bits(self, x: Self::U) -> Self::F;
    /// The nearest floats of the lanes as `i32`.
    fn i32_to_f32(self, x: Self::U) -> Self::F;
    /// The nearest floats of the lanes as `i32`, over 2ᴷ.
    #[inline(always)]
    fn i32_to_f32_over<const K: u32>(self, x: Self::U) -> Self::F {
        self.i32_to_f32(x) * self.splat(1.0 / (1_u64 << K) as f32)
    }
    /// The nearest floats of the lanes.
    #[inline(always)]
    fn u32_to_f32(self, x: Self::U) -> Self::F {
        // Both halves are exact, and their sum rounds once.
        let high = self.i32_to_f32(self.shr::<16>(x)) * self.splat(65536.0);
        high + self.i32_to_f32(x & self.splat_u(0xffff))
    }
    /// The lanes' nearest floats towards zero.
    #[inline(always)]
    fn u32_to_f32_towards_zero(self, x: Self::U) -> Self::F {
        // As many bits below the first 24 are dropped as there are above the last 24.
        let above = self.shr::<24>(x);
        let above = above | self.shr::<1>(above);
        let above = above | self.shr::<2>(above);
        let above = above | self.shr::<4>(above);
        self.u32_to_f32(x ^ (x & above))
    }
    /// `x·y`, at least 2⁻¹⁰⁰, rounded towards zero.
    #[inline(always)]
    fn mul_towards_zero(self, x: Self::F, y: Self::F) -> Self::F {
        let nearest = x * y;
        let error = self.fma(x, y, self.splat(0.0) - nearest);
        // One unit in the last place less where the product is below what it was rounded to.
        self.of_bits(self.bits(nearest) + self.sar::<31>(self.bits(error)))
    }
    /// m in [0.75, 1.5) and e such that m·2^(K + e) is the magnitude, which is at least 0.75 and
    /// less than 2¹²⁶.
    #[inline(always)]
    fn split<const K: u32>(self, x: Self::F) -> (Self::F, Self::F) {
        // The bits of 0.75: mantissas are counted from there.
        const FROM: u32 = 0x3f40_0000;
        let bits = (self.bits(x) & self.splat_u(0x7fff_ffff)) - self.splat_u(FROM + (K << 23));
        let m = self.of_bits((bits & self.splat_u(0x007f_ffff)) + self.splat_u(FROM));
        (m, self.i32_to_f32(self.sar::<23>(bits)))
    }
    /// The lanes, at least 0 and less than 2³¹, as `i32`, rounded towards zero.
    fn f32_to_i32(self, x: Self::F) -> Self::U;
    /// `x << K`.
    fn shl<const K: u32>(self, x: Self::U) -> Self::U;
    /// `x >> K`, zeros shifted in.
    fn shr<const K: u32>(self, x: Self::U) -> Self::U;
    /// `x >> K`, the sign bit shifted in.
    fn sar<const K: u32>(self, x: Self::U) -> Self::U;
    /// All ones where the lanes of `x < y`, zeros elsewhere.
    fn less(self, x: Self::F, y: Self::F) -> Self::U;
    /// The lanes of `yes` where `mask` is all ones, of `no` where it is zero.
    #[inline(always)]
    fn select(self, mask: Self::U, yes: Self::F, no: Self::F) -> Self::F {
        self.of_bits(self.bits(no) ^ ((self.bits(yes) ^ self.bits(no)) & mask))
    }
    /// The table's two words at the lanes, of which six bits count.
    #[inline(always)]
    fn look_up(self, table: &Table, at: Self::U) -> [Self::U; 2] {
        let mut words = [[0; LANES]; 2];
        for (words, table) in words.iter_mut().zip(&table.apart) {
            self.store_u(words, 0, at);
            for word in words.iter_mut().take(Self::N) {
                *word = table[*word as usize % 64];
            }
        }
        [self.load_u(&words[0], 0), self.load_u(&words[1], 0)]
    }
    /// Writes the lanes from `at` on, as many as there is room for.
    #[inline(always)]
    fn store_at(self, floats: &mut [f32], at: usize, x: Self::F) {
        for (to, &from) in floats.iter_mut().skip(at).zip(self.store(x).as_ref()) {
            *to = from;
        }
    }

    /// The `N` words from `at` on; zeros if there are fewer.
    #[inline(always)]
    fn load_u(self, words: &[u32], at: usize) -> Self::U {
        let mut lanes = Self::Floats::ZERO;
        if let Some(words) = words.get(at..).and_then(|words| words.get(..Self::N)) {
            for (to, &from) in lanes.as_mut().iter_mut().zip(words) {
                *to = f32::from_bits(from);
            }
        }
        self.bits(self.load(lanes))
    }
    /// Writes the lanes from `at` on, if there is room for all.
    #[inline(always)]
    fn store_u(self, words: &mut [u32], at: usize, x: Self::U) {
        if let Some(words) = words.get_mut(at..).and_then(|words| words.get_mut(..Self::N)) {
            for (to, from) in words.iter_mut().zip(self.store(self.of_bits(x)).as_ref()) {
                *to = from.to_bits();
            }
        }
    }
    /// Of two registers that hold sixteen lanes each: the first eights, and the second eights.
    /// Narrower ones are left as they are. Twice is not at all.
    #[inline(always)]
    fn eights(self, x: Self::F, y: Self::F) -> (Self::F, Self::F) {
        (x, y)
    }

    /// The lanes `N/2·part ..` of eight.
    fn wide(self, x: &[u64; LANES / 2], part: usize) -> Self::W;
    /// The same integer in every lane.
    fn splat_wide(self, x: u64) -> Self::W;
    /// `x << K`.
    fn wide_shl<const K: u32>(self, x: Self::W) -> Self::W;
    /// `x >> K`, zeros shifted in.
    fn wide_shr<const K: u32>(self, x: Self::W) -> Self::W;
    /// The low half of each lane, times `y`.
    fn wide_mul(self, x: Self::W, y: u32) -> Self::W;
    /// `x` rotated left by `K`.
    fn wide_rotl<const K: u32>(self, x: Self::W) -> Self::W;
    /// Each `u64` as two lanes: its low half, then its high half.
    fn halves(self, x: Self::W) -> Self::U;
    /// The inverse of `halves`.
    fn pairs(self, x: Self::U) -> Self::W;
    /// The low and the high halves of the lanes times `y`.
    #[inline(always)]
    fn products(self, x: Self::U, y: u32) -> [Self::U; 2] {
        let pairs = self.pairs(x);
        let (even, odd) = (self.wide_mul(pairs, y), self.wide_mul(self.wide_shr::<32>(pairs), y));
        let low = self.splat_wide(u64::from(u32::MAX));
        let high = self.wide_shl::<32>(low);
        [
            self.halves((even & low) | self.wide_shl::<32>(odd)),
            self.halves(self.wide_shr::<32>(even) | (odd & high)),
        ]
    }

    /// Zeros.
    fn zero_d(self) -> Self::D;
    /// The same double in every lane.
    fn splat_d(self, x: f64) -> Self::D;
    /// The lanes as doubles.
    fn widen(self, x: Self::F) -> Self::D;
    /// The nearest floats of the lanes.
    fn narrow(self, x: Self::D) -> Self::F;
    /// The magnitude.
    fn abs_d(self, x: Self::D) -> Self::D;
    /// The lanes of `x` where they are greater than those of `y`, else of `y`: a NaN in `y` stays.
    fn max_d(self, x: Self::D, y: Self::D) -> Self::D;
    /// `sum + x·x` in `f64`; the product is exact there.
    fn add_square(self, sum: Self::D, x: Self::F) -> Self::D;
    /// The lanes of `from`; zeros if there are fewer.
    fn load_d(self, from: &[f64]) -> Self::D;
    /// Writes the lanes to `to`, as many as there is room for.
    fn store_d(self, to: &mut [f64], x: Self::D);
}

/// Two words for each of 64 numbers, for [`Lanes::look_up`]: side by side, and apart.
pub(crate) struct Table {
    pub pairs: [[u32; 2]; 64],
    pub apart: [[u32; 64]; 2],
}

/// [`GROUP`] floats in registers: element `16·row + N·part + lane` is lane `lane` of
/// `group[part][row]`, for `part < PARTS`.
pub(crate) type Group<L> = [[<L as Lanes>::F; ROWS]; MAX_PARTS];

/// A part of a kernel that runs [`outlined`](Lanes::outlined).
pub(crate) trait Job<L: Lanes> {
    /// What it returns.
    type Output;
    /// Runs it.
    fn run(self, lanes: L) -> Self::Output;
}

/// Runs a block for each register of a group, in the order of the elements, with its offset, part
/// and row. A loop and not a closure, as [`Tiles`](crate::buf::Tiles) says.
macro_rules! each {
    ($lanes:ty, |$at:pat_param, $part:pat_param, $row:pat_param| $body:expr) => {
        for row in 0..$crate::simd::ROWS {
            for part in 0..<$lanes as $crate::simd::Lanes>::PARTS {
                let ($at, $part, $row) =
                    ($crate::simd::LANES * row + <$lanes as $crate::simd::Lanes>::N * part, part, row);
                $body;
            }
        }
    };
}
pub(crate) use each;

/// Runs a block for each register of a group, as [`each`] does, and stores what it gives, a
/// register for each output; outputs from `$first` on non-temporally.
///
/// Four registers are loaded before one is stored, since a load waits for a store before it that
/// agrees with it in the last 12 bits of the address; and one output after the other, since lines
/// that are stored so should be whole before the next one begins.
macro_rules! each_stored {
    ($l:ident: $lanes:ty, $outs:expr, non_temporal $first:expr, |$at:pat_param, $part:pat_param, $row:pat_param| $values:expr) => {
        for four in 0..<$lanes as $crate::simd::Lanes>::PARTS {
            let mut fours = [None; $crate::simd::ROWS];
            for (i, values) in ($crate::simd::ROWS * four..).zip(&mut fours) {
                let parts = <$lanes as $crate::simd::Lanes>::PARTS;
                let ($at, $part, $row) = (<$lanes as $crate::simd::Lanes>::N * i, i % parts, i / parts);
                *values = Some($values);
            }
            for (which, out) in $outs.iter_mut().enumerate() {
                for (i, values) in ($crate::simd::ROWS * four..).zip(fours) {
                    if let Some(&value) = values.as_ref().and_then(|values| values.get(which)) {
                        let at = <$lanes as $crate::simd::Lanes>::N * i;
                        if which < $first {
                            out.put(at, $l.store(value));
                        } else {
                            $l.put_non_temporal(out, at, value);
                        }
                    }
                }
            }
        }
    };
}
pub(crate) use each_stored;
