//! The floating-point environment that the library's bits rest on, and a test whether it holds.

use core::hint::black_box;

/// Whether this thread computes as vesde assumes: results are rounded to the nearest, ties to even,
/// and subnormal numbers are kept, as operands and as results.
///
/// That is what programs begin with. It is lost where a program changes it (`fesetround`,
/// `_MM_SET_FLUSH_ZERO_MODE`), or is linked by GCC with `-Ofast` or `-ffast-math`, which flushes
/// subnormals on x86 and ARM: then other bits come out, and the norm of a score of 1e-40 is 0. The
/// environment is a thread's own, so ask in the thread that computes. It is found out by computing,
/// which traps where the program has asked for traps of underflow or of inexact results.
#[must_use]
pub fn float_environment_is_default() -> bool {
    // Opaque, or the compiler would compute all of it, in its own environment.
    let (one, tiny) = (black_box(1.0_f32), black_box(f32::MIN_POSITIVE));
    let (one_f64, tiny_f64) = (black_box(1.0_f64), black_box(f64::MIN_POSITIVE));
    let subnormal = black_box(f32::from_bits(1));
    let subnormal_f64 = black_box(f64::from_bits(1));
    // A quarter, a half and three quarters of the distance from 1 to the next number, up and down.
    let nearest = |part: f32, up: f32| {
        let (part, up) = (black_box(part * f32::EPSILON), up * f32::EPSILON);
        one + part == 1.0 + up && -one - part == -1.0 - up
    };
    let nearest_f64 = |part: f64, up: f64| {
        let (part, up) = (black_box(part * f64::EPSILON), up * f64::EPSILON);
        one_f64 + part == 1.0 + up && -one_f64 - part == -1.0 - up
    };
    [(0.25, 0.0), (0.5, 0.0), (0.75, 1.0)].iter().all(|&(part, up)| nearest(part, up))
        && [(0.25, 0.0), (0.5, 0.0), (0.75, 1.0)].iter().all(|&(part, up)| nearest_f64(part, up))
        && (tiny * black_box(0.5)).to_bits() == 1 << 22
        && (tiny_f64 * black_box(0.5)).to_bits() == 1 << 51
        && subnormal * black_box(8388608.0) == f32::MIN_POSITIVE
        && subnormal_f64 * black_box(4503599627370496.0) == f64::MIN_POSITIVE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_a_test_is_the_default_one() {
        assert!(float_environment_is_default());
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_other_environment_is_noticed() {
        // MXCSR: rounding down, up and to zero; subnormal results, and operands, are zero.
        for bits in [1 << 13, 2 << 13, 3 << 13, 1 << 15, 1 << 6] {
            let mut saved = 0_u32;
            // SAFETY: the register is as before when the block ends, and the function in between
            // computes with floats only.
            let found = unsafe {
                core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut saved);
                let changed = saved | bits;
                core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const changed);
                let found = float_environment_is_default();
                core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const saved);
                found
            };
            assert!(!found, "MXCSR with {bits:#x}");
        }
        assert!(float_environment_is_default());
    }
}
