//! Floats one by one, for machines without vectors. The square root, and `x·y + z` with one
//! rounding, are an instruction each, which Rust without std can reach in assembly only. Where
//! doubles are computed in software, sums of squares are made of integers here. build.rs knows what
//! a target has.

#[cfg(any(vesde_sqrt, vesde_fma))]
use core::arch::asm;

/// The square root.
#[cfg(vesde_sqrt)]
#[inline(always)]
pub(super) fn sqrt(x: f32) -> f32 {
    let root: f32;
    // SAFETY: build.rs sets `vesde_sqrt` where the target has the instruction: all arithmetic.
    unsafe {
        // Through a general register: to rustc the class sreg is that of FPUs with doubles.
        #[cfg(all(target_arch = "arm", vesde_fma))]
        asm!("vmov s0, {0}", "vsqrt.f32 s0, s0", "vmov {0}, s0",
            inlateout(reg) x => root, out("s0") _, options(pure, nomem, nostack));
        #[cfg(all(target_arch = "arm", not(vesde_fma)))]
        asm!("vsqrt.f32 {}, {}", lateout(sreg) root, in(sreg) x, options(pure, nomem, nostack));
        #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
        asm!("fsqrt.s {}, {}", lateout(freg) root, in(freg) x, options(pure, nomem, nostack));
        #[cfg(target_arch = "s390x")]
        asm!("sqebr {}, {}", lateout(freg) root, in(freg) x, options(pure, nomem, nostack));
    }
    root
}

/// The square root.
#[cfg(not(vesde_sqrt))]
pub(super) use libm::sqrtf as sqrt;

/// `x·y + z`.
#[cfg(vesde_fma)]
#[inline(always)]
pub(super) fn fma(x: f32, y: f32, z: f32) -> f32 {
    let sum: f32;
    // SAFETY: build.rs sets `vesde_fma` where the target has the instruction: all arithmetic.
    unsafe {
        // Through general registers, as above.
        #[cfg(target_arch = "arm")]
        asm!("vmov s0, s1, {}, {}", "vmov s2, {2}", "vfma.f32 s2, s0, s1", "vmov {2}, s2",
            in(reg) x, in(reg) y, inlateout(reg) z => sum,
            out("s0") _, out("s1") _, out("s2") _, options(pure, nomem, nostack));
        #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
        asm!("fmadd.s {}, {}, {}, {}", lateout(freg) sum, in(freg) x, in(freg) y, in(freg) z,
            options(pure, nomem, nostack));
        #[cfg(target_arch = "s390x")]
        asm!("maebr {}, {}, {}", inlateout(freg) z => sum, in(freg) x, in(freg) y,
            options(pure, nomem, nostack));
    }
    sum
}

/// `sum + x·x` in `f64` for such a sum, rounded once, in integers: on a Cortex-M4F 95 instructions
/// and not the 210 of any two doubles' product and sum in software.
#[cfg(any(vesde_soft_f64, test))]
#[inline]
pub(super) fn add_square(sum: f64, x: f32) -> f64 {
    const HIDDEN: u64 = 1 << 52;
    // How far mantissas are moved up, so that what is shifted out below keeps counting.
    const GUARD: u32 = 9;
    let (sum_bits, x_bits) = (sum.to_bits(), x.to_bits() & 0x7fff_ffff);
    let x_exponent = x_bits >> 23;
    if x_exponent.wrapping_sub(1) >= 254 || sum_bits >= 1e300_f64.to_bits() {
        return add_any_square(sum, x); // zero, subnormal, infinite or not a number
    }
    // The square is exact: 47 or 48 bits.
    let mantissa = u64::from(x_bits & 0x007f_ffff | 0x0080_0000);
    let mut square = (2 * x_exponent + 770, (mantissa * mantissa) << 5);
    if square.1 < HIDDEN {
        square = (square.0 - 1, square.1 << 1);
    }
    let sum = ((sum_bits >> 52) as u32, sum_bits & (HIDDEN - 1) | HIDDEN);
    let (large, small) = if sum.0 >= square.0 { (sum, square) } else { (square, sum) };
    let (mut exponent, large, shift) = (large.0, large.1, large.0 - small.0);
    let bits = |exponent: u32, mantissa: u64| f64::from_bits((u64::from(exponent - 1) << 52) + mantissa);
    // Less than half of the last place, or nothing at all: a sum of 0 has no hidden bit.
    if shift > 53 {
        return bits(exponent, large);
    }
    let small = small.1 << GUARD;
    let moved = small >> shift;
    let lost = u64::from(moved << shift != small);
    let mut total = ((large << GUARD) + moved) | lost;
    if total >> (53 + GUARD) > 0 {
        (exponent, total) = (exponent + 1, total >> 1 | total & 1);
    }
    // To nearest, and to even in the middle: what is added carries if more than a half is there.
    let odd = total >> GUARD & 1;
    bits(exponent, (total + (1 << (GUARD - 1)) - 1 + odd) >> GUARD)
}

/// [`add_square`] by the compiler's arithmetic.
#[cfg(any(vesde_soft_f64, test))]
#[cold]
#[inline(never)]
fn add_any_square(sum: f64, x: f32) -> f64 {
    sum + f64::from(x) * f64::from(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_added_as_doubles_are() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 32) as u32
        };
        for round in 0..20_000 {
            let mut sum = 0.0;
            for _ in 0..20 {
                // Of all magnitudes, or alike, with few bits, so that sums tie.
                let bits = match round % 3 {
                    0 => random(),
                    1 => random() & 0x83ff_ffff | 0x3c00_0000,
                    _ => random() & 0x8e3f_0000 | 0x3180_0000 | random() & 1,
                };
                let x = f32::from_bits(bits);
                let (got, want) = (add_square(sum, x), add_any_square(sum, x));
                assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{sum:e} {x:e}");
                sum = want;
            }
        }
        for special in [0.0, -0.0, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1)] {
            for sum in [0.0, f64::from(special).powi(2), 1.0, f64::INFINITY] {
                assert_eq!(add_square(sum, special), add_any_square(sum, special));
            }
        }
    }
}
