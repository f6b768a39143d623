//! The machine's vectors. A kernel is written once, generic over [`Lanes`], and [`dispatch`]
//! chooses whose registers it runs on. Operations here are exactly rounded, so every choice gives
//! the same bits.
//!
//! Every target has its baseline, through `wide` but for aarch64.rs. On x86 the tiers of x86.rs are
//! detected at run time.

#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
#[path = "aarch64.rs"]
mod baseline;
#[cfg(not(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")))]
mod baseline;
mod environment;
mod lanes;
#[cfg(any(
    target_arch = "x86",
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")
))]
mod registers;
#[cfg(not(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")))]
mod scalar;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86;

use core::sync::atomic::{AtomicU8, Ordering};

pub use environment::float_environment_is_default;
pub(crate) use lanes::{Group, Job, LANES, Lanes, MAX_PARTS, ROWS, Table, each, each_stored};

/// A kernel with its arguments, waiting for registers to run on.
pub(crate) trait Kernel {
    /// What it returns.
    type Output;
    /// Runs it.
    fn run<L: Lanes>(&mut self, lanes: L) -> Self::Output;
    /// The highest level that it is compiled for.
    const HIGHEST: SimdLevel = SimdLevel::Avx512;
    /// The level above which it gains nothing.
    fn widest(&self) -> SimdLevel {
        Self::HIGHEST
    }
}

/// A set of vector instructions that kernels can run on. Every level gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(C)]
pub enum SimdLevel {
    /// What the library was compiled for: SSE2, NEON, simd128 or scalar code.
    Baseline = 0,
    /// AVX2 with FMA, detected at run time.
    Avx2 = 1,
    /// AVX-512 as Ice Lake and Zen 4 have it, detected at run time.
    Avx512 = 2,
}

/// The highest level that may be used; a hook for tests and benches.
static HIGHEST: AtomicU8 = AtomicU8::new(SimdLevel::Avx512 as u8);

/// Limits kernels to `highest` and the levels below it, in the whole process: for tests and
/// benches, since the bits are the same. Returns the level that is now the highest.
pub fn limit_simd_level(highest: SimdLevel) -> SimdLevel {
    HIGHEST.store(highest as u8, Ordering::Relaxed);
    simd_level()
}

/// The highest level that kernels run on. What takes as long as memory does may run on a narrower
/// one.
#[must_use]
pub fn simd_level() -> SimdLevel {
    struct Which;
    impl Kernel for Which {
        type Output = SimdLevel;
        fn run<L: Lanes>(&mut self, _: L) -> SimdLevel {
            match L::N {
                16 => SimdLevel::Avx512,
                8 => SimdLevel::Avx2,
                _ => SimdLevel::Baseline,
            }
        }
    }
    dispatch(Which)
}

/// Runs a kernel on the best registers of this machine. Not inlined, nor is what it runs: it goes
/// there without a stack frame, and the kernel stays where it is.
#[inline(never)]
pub(crate) fn dispatch<K: Kernel>(mut kernel: K) -> K::Output {
    let highest = HIGHEST.load(Ordering::Relaxed).min(kernel.widest() as u8);
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    let _ = highest;
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if const { K::HIGHEST as u8 >= SimdLevel::Avx512 as u8 }
            && highest >= SimdLevel::Avx512 as u8
            && let Some(token) = x86::Avx512::detect()
        {
            return token.run(&mut kernel);
        }
        if highest >= SimdLevel::Avx2 as u8
            && let Some(token) = x86::Avx2::detect()
        {
            return token.run(&mut kernel);
        }
    }
    run_on_baseline(&mut kernel)
}

/// Runs a kernel on what the library was compiled for.
#[cfg_attr(any(target_arch = "x86", target_arch = "x86_64"), inline(never))]
fn run_on_baseline<K: Kernel>(kernel: &mut K) -> K::Output {
    kernel.run(baseline::Baseline)
}

/// [`Kernel::widest`] of a kernel that takes as long as memory does on this many floats. Far beyond
/// the L2 cache Zen 4 is up to a sixth faster where a line is loaded in halves, and an Intel of
/// 2023 (Emerald Rapids) as fast (2026-11).
pub(crate) fn widest_for_memory(len: usize) -> SimdLevel {
    if len < 1 << 20 { SimdLevel::Avx512 } else { SimdLevel::Avx2 }
}

/// `x·y + z` with one rounding, for scalar code.
pub(crate) fn fma(x: f32, y: f32, z: f32) -> f32 {
    let l = baseline::Baseline;
    let [result, ..] = l.store(l.fma(l.splat(x), l.splat(y), l.splat(z)));
    result
}

/// Runs a test on each level that the machine has, while no other test changes it.
#[cfg(test)]
pub(crate) fn on_every_level(test: impl Fn(SimdLevel)) {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _lock = LOCK.lock();
    for level in [SimdLevel::Baseline, SimdLevel::Avx2, SimdLevel::Avx512] {
        if limit_simd_level(level) == level {
            test(level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a float, as every lane has them.
    struct Split(f32);

    impl Kernel for Split {
        type Output = (f32, f32);
        fn run<L: Lanes>(&mut self, l: L) -> (f32, f32) {
            let (m, e) = l.split::<3>(l.splat(self.0));
            let [m, e] = [m, e].map(|x| l.store(x));
            assert!([m, e].iter().all(|x| x.as_ref().iter().all(|lane| *lane == x.as_ref()[0])));
            (m.as_ref()[0], e.as_ref()[0])
        }
    }

    /// Products of some words with another, and what `pairs` and `halves` make of them.
    struct Products(u32, u32);

    impl Kernel for Products {
        type Output = [Vec<u32>; 3];
        fn run<L: Lanes>(&mut self, l: L) -> Self::Output {
            let mut words = [0; LANES];
            words.iter_mut().zip(self.0..).for_each(|(to, word)| *to = word);
            let x = l.load_u(&words, 0);
            let [low, high] = l.products(x, self.1);
            [low, high, l.halves(l.pairs(x))].map(|x| {
                let mut words = vec![0; LANES];
                l.store_u(&mut words, 0, x);
                words.truncate(L::N);
                words
            })
        }
    }

    /// What the operations on doubles make of floats: sums, products, quotients, maxima, magnitudes
    /// and what is left of them as floats.
    struct Doubles([f32; LANES], [f32; LANES]);

    impl Kernel for Doubles {
        type Output = Vec<u64>;
        fn run<L: Lanes>(&mut self, l: L) -> Vec<u64> {
            let mut all = vec![];
            for part in 0..L::PARTS {
                let load = |from: &[f32; LANES]| {
                    let mut floats = <L::Floats as crate::buf::Floats>::ZERO;
                    floats.as_mut().copy_from_slice(&from[L::N * part..][..L::N]);
                    l.widen(l.load(floats))
                };
                let (x, y, third) = (load(&self.0), load(&self.1), l.splat_d(1.0 / 3.0));
                for d in [x + third, x * third, x / y, l.max_d(x, y), l.abs_d(x), x * x + y * y] {
                    let mut lanes = vec![f64::NAN; L::N];
                    l.store_d(&mut lanes, d);
                    all.extend(lanes.into_iter().enumerate().map(|(i, lane)| (part, i, lane.to_bits())));
                    let floats = l.store(l.narrow(d));
                    let bits = floats.as_ref().iter().map(|x| u64::from(x.to_bits()));
                    all.extend(bits.enumerate().map(|(i, bits)| (part, i, bits)));
                }
            }
            // Lane by lane, so that levels compare.
            all.sort_by_key(|&(part, i, _)| L::N * part + i);
            all.into_iter().map(|(.., bits)| bits).collect()
        }
    }

    #[test]
    fn doubles_are_exactly_rounded() {
        let x: [f32; LANES] = core::array::from_fn(|i| (i as f32 - 7.3) * 1.1e-3);
        let y: [f32; LANES] = core::array::from_fn(|i| (5.1 - i as f32) * 0.7e-3);
        let third = 1.0 / 3.0;
        let mut want = vec![];
        for (x, y) in x.into_iter().zip(y).map(|(x, y)| (f64::from(x), f64::from(y))) {
            for d in [x + third, x * third, x / y, if x > y { x } else { y }, x.abs(), x * x + y * y] {
                want.extend([d.to_bits(), u64::from((d as f32).to_bits())]);
            }
        }
        on_every_level(|level| assert_eq!(dispatch(Doubles(x, y)), want, "{level:?}"));
    }

    #[test]
    fn products_have_all_their_bits() {
        on_every_level(|level| {
            for (first, y) in [(0, 1), (u32::MAX - LANES as u32, u32::MAX), (0x89ab_cdef, 0xd251_1f53)] {
                let [low, high, same] = dispatch(Products(first, y));
                for (i, ((low, high), same)) in low.into_iter().zip(high).zip(same).enumerate() {
                    let x = first + i as u32;
                    let product = u64::from(x) * u64::from(y);
                    assert_eq!((low, high, same), (product as u32, (product >> 32) as u32, x), "{level:?}");
                }
            }
        });
    }

    #[test]
    fn floats_are_split_at_one_and_a_half() {
        on_every_level(|level| {
            for exponent in 0..126_i16 {
                let scale = f32::exp2(exponent.into());
                let e = f32::from(exponent - 3);
                for m in [0.75, 1.0, 1.25, 1.5_f32.next_down()] {
                    assert_eq!(dispatch(Split(m * scale)), (m, e), "{level:?}");
                    assert_eq!(dispatch(Split(-m * scale)), (m, e), "{level:?}");
                }
            }
        });
    }
}
