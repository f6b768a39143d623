//! The Mersenne Twister MT19937 of Matsumoto and Nishimura 1998, as torch and NumPy seed it: 32-bit
//! words in sequence. Its users turn them into floats.

use crate::error::Error;
use crate::simd::{Job, Kernel, Lanes, dispatch};

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
    /// No state that a seed makes: `check` refuses it.
    pub(crate) fn unseeded() -> Self {
        Self { words: [0; N], taken: 0 }
    }

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
        let in_range = (1..=N).contains(&(self.taken as usize));
        // Zeros would stay zeros for ever, and whoever rejects them would never return. Of the
        // first word one bit counts.
        let [first, rest @ ..] = &self.words;
        let alive = first & UPPER != 0 || rest.iter().any(|&word| word != 0);
        if in_range && alive { Ok(()) } else { Err(Error::InvalidRandomState) }
    }

    /// The next word.
    #[inline]
    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.taken as usize >= N {
            self.refill();
        }
        let word = self.words.get(self.taken as usize).copied().unwrap_or_default();
        self.taken += 1;
        temper(word)
    }

    /// The twist for scalar code: out of the way, or its callers would not be inlined.
    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        dispatch(Twist(self));
    }

    /// The next words, as many as `out` has room for.
    #[inline(always)]
    pub(crate) fn take<L: Lanes>(&mut self, l: L, out: &mut [u32]) {
        let mut rest = out;
        while !rest.is_empty() {
            if self.taken as usize >= N {
                l.outlined(Twist(self));
            }
            let left = self.words.get(self.taken as usize..).unwrap_or_default();
            let count = left.len().min(rest.len());
            let left = left.get(..count).unwrap_or_default();
            let (now, later) = rest.split_at_mut_checked(count).unwrap_or_default();
            // By registers, since the memcpy of a bare-metal archive is slow to start.
            let mut registers = now.chunks_exact_mut(L::N);
            let mut words = left.chunks_exact(L::N);
            for (to, from) in registers.by_ref().zip(words.by_ref()) {
                l.store_u(to, 0, temper_lanes(l, l.load_u(from, 0)));
            }
            for (to, &from) in registers.into_remainder().iter_mut().zip(words.remainder()) {
                *to = temper(from);
            }
            self.taken += count as u32;
            rest = later;
        }
    }

    /// Makes the next 624 words.
    #[inline(always)]
    fn twist<L: Lanes>(&mut self, l: L) {
        let words = &mut self.words;
        advance(l, words, 0, N - M, M);
        advance(l, words, N - M, N - 1, M.wrapping_sub(N));
        words[N - 1] = words[M - 1] ^ mix(words[N - 1], words[0]);
        self.taken = 0;
    }
}

/// The twist, compiled once for each level.
struct Twist<'a>(&'a mut Mt19937);

impl<L: Lanes> Job<L> for Twist<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self, l: L) {
        self.0.twist(l);
    }
}

impl Kernel for Twist<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        l.outlined(Twist(self.0));
    }
}

const UPPER: u32 = 0x8000_0000;
const MATRIX: u32 = 0x9908_b0df;

/// Makes words `from..to`, each of its neighbour and the word `offset` further (modulo 2ʷ: it may
/// lie behind). None depends on one of the sixteen before it, so they are made a register at a
/// time.
#[inline(always)]
fn advance<L: Lanes>(l: L, words: &mut [u32; N], from: usize, to: usize, offset: usize) {
    let mut i = from;
    while i + L::N <= to {
        let (a, b) = (l.load_u(words, i), l.load_u(words, i + 1));
        let y = (a & l.splat_u(UPPER)) | (b & l.splat_u(!UPPER));
        let odd = (l.splat_u(0) - (b & l.splat_u(1))) & l.splat_u(MATRIX);
        let made = l.load_u(words, i.wrapping_add(offset)) ^ l.shr::<1>(y) ^ odd;
        l.store_u(words, i, made);
        i += L::N;
    }
    for i in i..to {
        let [far, a, b] =
            [i.wrapping_add(offset), i, i + 1].map(|i| words.get(i).copied().unwrap_or_default());
        if let Some(to) = words.get_mut(i) {
            *to = far ^ mix(a, b);
        }
    }
}

#[inline(always)]
fn mix(upper: u32, lower: u32) -> u32 {
    let y = upper & UPPER | lower & !UPPER;
    y >> 1 ^ 0_u32.wrapping_sub(lower & 1) & MATRIX
}

const TEMPER: [u32; 2] = [0x9d2c_5680, 0xefc6_0000];

/// What makes a word of the state into output.
fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= word << 7 & TEMPER[0];
    word ^= word << 15 & TEMPER[1];
    word ^ word >> 18
}

/// The same for lanes of words.
#[inline(always)]
fn temper_lanes<L: Lanes>(l: L, words: L::U) -> L::U {
    let words = words ^ l.shr::<11>(words);
    let words = words ^ (l.shl::<7>(words) & l.splat_u(TEMPER[0]));
    let words = words ^ (l.shl::<15>(words) & l.splat_u(TEMPER[1]));
    words ^ l.shr::<18>(words)
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

    #[test]
    fn a_state_of_zeros_is_refused() {
        let mut mt = Mt19937::new(1);
        mt.words = [0; N];
        mt.words[0] = !UPPER; // which no twist reads
        assert_eq!(mt.check(), Err(Error::InvalidRandomState));
        mt.words[N - 1] = 1;
        assert_eq!(mt.check(), Ok(()));
    }
}
