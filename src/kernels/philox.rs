//! Philox4x32-10, the counter-based generator of Salmon et al. 2011 ("Parallel random numbers: as easy as 1, 2,
//! 3"), on eight counters at once: plain loops over eight lanes, which compilers turn into vectors.

/// Counters that are advanced side by side.
pub(crate) const LANES: usize = 8;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_INCREMENTS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: u32 = 10;

/// The four output words of eight counters under one key. `words[i][lane]` is word `i` of a lane's counter on the
/// way in, and word `i` of its output on the way out.
///
/// Words have the room of a product, so that a round is a multiplication, a shift and two exclusive ors on whole registers; what
/// stands in a word's upper half meanwhile is never looked at.
#[inline(always)]
pub(crate) fn philox4x32_10(mut words: [[u64; LANES]; 4], key: u64) -> [[u64; LANES]; 4] {
    const LOW: u64 = u32::MAX as u64;
    let mut key = [key as u32, (key >> 32) as u32];
    for _ in 0..ROUNDS {
        let [a, b, c, d] = words;
        for lane in 0..LANES {
            let p0 = u64::from(MULTIPLIERS[0]) * (a[lane] & LOW);
            let p1 = u64::from(MULTIPLIERS[1]) * (c[lane] & LOW);
            words[0][lane] = p1 >> 32 ^ b[lane] ^ u64::from(key[0]);
            words[1][lane] = p1;
            words[2][lane] = p0 >> 32 ^ d[lane] ^ u64::from(key[1]);
            words[3][lane] = p0;
        }
        key = [key[0].wrapping_add(KEY_INCREMENTS[0]), key[1].wrapping_add(KEY_INCREMENTS[1])];
    }
    for word in words.as_flattened_mut() {
        *word &= LOW;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (counter, key, output) in cases {
            let words = philox4x32_10(counter.map(|word: u32| [u64::from(word); LANES]), key);
            assert_eq!(words, output.map(|word| [word; LANES]));
        }
    }
}
