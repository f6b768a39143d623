//! Standard normal noise from any generator of uniform words.

use rand_core::Rng;

use crate::buf::{GROUP, Out};
use crate::kernels::normal::FromWords;
use crate::simd::dispatch;

/// Fills `out` with standard normal numbers made of `rng`'s `u32` words, 64 words for every 64
/// elements and for the rest. The transform is that of counter noise, so its tails reach 9.27
/// sigma.
///
/// Element 16k + i of a group of 64 is the k-th normal of words i, 16+i, 32+i and 48+i. One call
/// for n elements is the same as two calls for its parts if the first part is a multiple of 64.
///
/// ```
/// use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};
///
/// let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
/// let mut noise = [0.0; 3 * 64 * 64];
/// vesde::noise::fill_from_rng(&mut rng, &mut noise);
/// ```
pub fn fill_from_rng<'a, R: Rng + ?Sized>(rng: &mut R, out: impl Into<Out<'a>>) {
    fill_from_words(|| rng.next_u32(), out);
}

/// [`fill_from_rng`] from anything that gives uniformly distributed words: a generator of another
/// version of `rand_core`, or of another library.
///
/// ```
/// let mut state = 42_u64; // SplitMix64
/// let next_word = || {
///     state = state.wrapping_add(0x9e3779b97f4a7c15);
///     let z = (state ^ state >> 30).wrapping_mul(0xbf58476d1ce4e5b9);
///     let z = (z ^ z >> 27).wrapping_mul(0x94d049bb133111eb);
///     ((z ^ z >> 31) >> 32) as u32
/// };
/// let mut noise = [0.0; 3 * 64 * 64];
/// vesde::noise::fill_from_words(next_word, &mut noise);
/// ```
pub fn fill_from_words<'a>(mut next_word: impl FnMut() -> u32, out: impl Into<Out<'a>>) {
    let out = out.into();
    for start in (0..out.len()).step_by(GROUP) {
        let mut words = [0; GROUP];
        for word in &mut words {
            *word = next_word();
        }
        let mut normals = [0.0; GROUP];
        dispatch(FromWords { words: &words, out: &mut normals });
        out.write(start, &normals);
    }
}
