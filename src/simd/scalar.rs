//! The square root of one float, and `x·y + z` with one rounding, as one instruction each: where no
//! vector has them, and Rust without std can name them in assembly only. build.rs knows where.

#[cfg(any(vesde_sqrt, vesde_fma))]
use core::arch::asm;

/// The square root.
#[cfg(vesde_sqrt)]
#[inline(always)]
pub(super) fn sqrt(x: f32) -> f32 {
    let root: f32;
    // SAFETY: build.rs sets `vesde_sqrt` where the target has the instruction, which is all arithmetic.
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
    // SAFETY: build.rs sets `vesde_fma` where the target has the instruction, which is all arithmetic.
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
