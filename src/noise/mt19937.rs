//! The Mersenne Twister MT19937 of Matsumoto and Nishimura 1998, as torch and NumPy seed it: 32-bit words in
//! sequence. What they are made into is the business of its users.

use crate::error::Error;

const N: usize = 624;
const M: usize = 397;

/// The twister's state: 624 words, and how many of them have been taken.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Mt19937 {
    // A literal, which the C header needs: N.
    words: [u32; 624],
    taken: u32,
}

impl Mt19937 {
    /// Seeds it with Knuth's generator, as `init_genrand` of the reference code does.
    pub(crate) fn new(seed: u32) -> Self {
        let mut words = [0; N];
        let mut word = seed;
        for (i, to) in words.iter_mut().enumerate() {
            if i > 0 {
                word = (word ^ word >> 30).wrapping_mul(1812433253).wrapping_add(i as u32);
            }
            *to = word;
        }
        Self { words, taken: N as u32 }
    }

    /// Checks what a caller's memory may have done to the state.
    pub(crate) fn check(&self) -> Result<(), Error> {
        // Never 0: the words are twisted when they are all taken, and the first is taken at once.
        if (1..=N).contains(&(self.taken as usize)) { Ok(()) } else { Err(Error::InvalidRandomState) }
    }

    /// The next word.
    #[inline]
    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.taken as usize >= N {
            self.twist();
        }
        let mut word = self.words.get(self.taken as usize).copied().unwrap_or_default();
        self.taken += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    #[inline(never)]
    fn twist(&mut self) {
        let mix = |upper: u32, lower: u32| {
            let y = upper & 0x8000_0000 | lower & 0x7fff_ffff;
            y >> 1 ^ if lower & 1 == 1 { 0x9908_b0df } else { 0 }
        };
        let words = &mut self.words;
        for i in 0..N - M {
            words[i] = words[i + M] ^ mix(words[i], words[i + 1]);
        }
        for i in N - M..N - 1 {
            words[i] = words[i + M - N] ^ mix(words[i], words[i + 1]);
        }
        words[N - 1] = words[M - 1] ^ mix(words[N - 1], words[0]);
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_check_value_comes_out() {
        // C++ [rand.predef]: the 10000th word of mt19937 seeded with 5489 is 4123659995.
        let mut mt = Mt19937::new(5489);
        let word = (0..10_000).map(|_| mt.next_u32()).last();
        assert_eq!(word, Some(4123659995));
    }

    #[test]
    fn a_state_out_of_its_range_is_refused() {
        let mut mt = Mt19937::new(1);
        assert_eq!(mt.check(), Ok(()));
        for taken in [0, N as u32 + 1, u32::MAX] {
            mt.taken = taken;
            assert_eq!(mt.check(), Err(Error::InvalidRandomState));
        }
    }
}
