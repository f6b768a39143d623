//! Standard normal noise from any generator of the `rand_core` family.

use rand_core::Rng;

use crate::buf::GROUP;
use crate::kernels::normal::FromWords;
use crate::simd::dispatch;

/// Fills `out` with standard normal numbers made of `rng`'s `u32` words, 64 words for every 64 elements and for
/// the rest: the transform is that of counter noise, so its tails reach 9.27 sigma.
///
/// Element 16k + i of a group of 64 is the k-th normal of words i, 16+i, 32+i and 48+i. One call for n elements is two
/// calls for its parts if the first part is a multiple of 64.
///
/// ```
/// use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};
///
/// let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
/// let mut noise = [0.0; 3 * 64 * 64];
/// vesde::fill_from_rng(&mut rng, &mut noise);
/// ```
pub fn fill_from_rng<R: Rng + ?Sized>(rng: &mut R, out: &mut [f32]) {
    for part in out.chunks_mut(GROUP) {
        let mut words = [0; GROUP];
        for word in &mut words {
            *word = rng.next_u32();
        }
        let mut normals = [0.0; GROUP];
        dispatch(FromWords { words: &words, out: &mut normals });
        for (to, from) in part.iter_mut().zip(normals) {
            *to = from;
        }
    }
}
