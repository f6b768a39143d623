//! Philox4x32-10, the counter-based generator of Salmon et al. 2011 ("Parallel random numbers: as
//! easy as 1, 2, 3"), on as many counters at once as a register has lanes of 64 bits.

use crate::simd::Lanes;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_INCREMENTS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The generator under one key: what is xored into the first and the third word in each round, in
/// both halves of each lane.
pub(crate) struct Philox4x32<L: Lanes>([[L::W; 2]; ROUNDS]);

impl<L: Lanes> Philox4x32<L> {
    #[inline(always)]
    pub(crate) fn new(l: L, key: u64) -> Self {
        let mut key = [key as u32, (key >> 32) as u32];
        let mut keys = [[l.splat_wide(0); 2]; ROUNDS];
        for round in &mut keys {
            *round = [twice(l, key[0]), twice(l, key[1])];
            key = [key[0].wrapping_add(KEY_INCREMENTS[0]), key[1].wrapping_add(KEY_INCREMENTS[1])];
        }
        Self(keys)
    }

    /// The four output words of each lane's counter, in several registers: word `i` of a counter in
    /// the low half of a lane of `words[i]`, and so for the output.
    ///
    /// A lane has the room of a product, so that a round is a multiplication, a shift and two
    /// exclusive ors on whole registers; what stands in upper halves is never looked at, and
    /// [`pack`] drops it. The registers go side by side, since each is one long chain, and the
    /// rounds stand one by one, so that what a caller's loop does not change is computed once.
    #[inline(always)]
    pub(crate) fn words<const COUNT: usize>(&self, l: L, words: [[L::W; 4]; COUNT]) -> [[L::W; 4]; COUNT] {
        let [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9] = self.0;
        let words = round(l, words, k0);
        let words = round(l, words, k1);
        let words = round(l, words, k2);
        let words = round(l, words, k3);
        let words = round(l, words, k4);
        let words = round(l, words, k5);
        let words = round(l, words, k6);
        let words = round(l, words, k7);
        let words = round(l, words, k8);
        round(l, words, k9)
    }

    /// The four output words of a counter in each lane: its third word is the lane's own, and the
    /// others, which are the same for all, are given in both halves of wide lanes.
    #[inline(always)]
    pub(crate) fn lanes(&self, l: L, [a, b, d]: [L::W; 3], third: L::U) -> [L::U; 4] {
        if L::PRODUCTS {
            let mut words = [l.halves(a), l.halves(b), third, l.halves(d)];
            for &[k0, k1] in &self.0 {
                let [a, b, c, d] = words;
                let ([low0, high0], [low1, high1]) =
                    (l.products(a, MULTIPLIERS[0]), l.products(c, MULTIPLIERS[1]));
                words = [high1 ^ (b ^ l.halves(k0)), low1, high0 ^ (d ^ l.halves(k1)), low0];
            }
            return words;
        }
        let even = l.pairs(third);
        let [mut words, odd] = self.words(l, [[a, b, even, d], [a, b, l.wide_shr::<32>(even), d]]);
        for (even, odd) in words.iter_mut().zip(odd) {
            *even = pack(l, *even, odd);
        }
        let [a, b, c, d] = words;
        [l.halves(a), l.halves(b), l.halves(c), l.halves(d)]
    }
}

/// A word in both halves of each lane.
#[inline(always)]
pub(crate) fn twice<L: Lanes>(l: L, word: u32) -> L::W {
    l.pairs(l.splat_u(word))
}

/// The low halves of `low`, and as high halves those of `high`.
#[inline(always)]
pub(crate) fn pack<L: Lanes>(l: L, low: L::W, high: L::W) -> L::W {
    low & l.splat_wide(u64::from(u32::MAX)) | l.wide_shl::<32>(high)
}

#[inline(always)]
fn round<L: Lanes, const COUNT: usize>(
    l: L,
    mut words: [[L::W; 4]; COUNT],
    [k0, k1]: [L::W; 2],
) -> [[L::W; 4]; COUNT] {
    for words in &mut words {
        let [a, b, c, d] = *words;
        let (p0, p1) = (l.wide_mul(a, MULTIPLIERS[0]), l.wide_mul(c, MULTIPLIERS[1]));
        *words = [l.wide_shr::<32>(p1) ^ (b ^ k0), p1, l.wide_shr::<32>(p0) ^ (d ^ k1), p0];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, dispatch, on_every_level};

    /// The output words of a counter, computed in every lane.
    struct Known([u32; 4], u64);

    impl Kernel for Known {
        type Output = [Vec<u32>; 4];
        fn run<L: Lanes>(&mut self, l: L) -> Self::Output {
            let counter = self.0.map(|word| l.splat_wide(u64::from(word) | 0xdead_beef << 32));
            let philox = Philox4x32::new(l, self.1);
            let [_, words] = philox.words(l, [[l.splat_wide(0); 4], counter]);
            let [a, b, c, d] = self.0;
            let lanes = philox.lanes(l, [twice(l, a), twice(l, b), twice(l, d)], l.splat_u(c));
            let mut i = 0;
            words.map(|word| {
                let both = [l.halves(pack(l, word, word)), lanes[i]];
                i += 1;
                both.into_iter()
                    .flat_map(|x| l.store(l.of_bits(x)).as_ref().to_vec())
                    .map(f32::to_bits)
                    .collect()
            })
        }
    }

    #[test]
    fn the_known_answers_of_random123_come_out() {
        // Random123's kat_vectors, philox4x32 10: counter, key, output.
        let cases = [
            ([0; 4], 0, [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
            ([u32::MAX; 4], u64::MAX, [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
            (
                [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
                0x299f31d0_a4093822,
                [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
            ),
        ];
        on_every_level(|level| {
            for (counter, key, output) in cases {
                for (words, want) in dispatch(Known(counter, key)).iter().zip(output) {
                    assert!(words.iter().all(|&word| word == want), "{level:?} {words:x?}");
                }
            }
        });
    }
}
