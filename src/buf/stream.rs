//! Prefetches, and the fence after non-temporal stores, which are an operation of `Lanes`: x86
//! only. Other machines leave this to the hardware.

pub(crate) use machine::NON_TEMPORAL;
pub(super) use machine::{fence, prefetch};

#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
mod machine {
    #[cfg(target_arch = "x86")]
    use core::arch::x86::{_MM_HINT_T0, _mm_prefetch, _mm_sfence};
    #[cfg(target_arch = "x86_64")]
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _mm_sfence};

    use crate::buf::GROUP;

    /// Whether there are non-temporal stores.
    pub(crate) const NON_TEMPORAL: bool = true;
    /// Floats of a cache line.
    const LINE: usize = 16;

    /// Asks for [`GROUP`] floats, which need not exist.
    #[inline(always)]
    pub(in crate::buf) fn prefetch(floats: *const f32) {
        for line in (0..GROUP).step_by(LINE) {
            // SAFETY: a prefetch accesses nothing, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(floats.wrapping_add(line).cast()) };
        }
    }

    /// Orders non-temporal stores before all later ones.
    pub(in crate::buf) fn fence() {
        // SAFETY: every machine with these stores has it.
        unsafe { _mm_sfence() };
    }
}

#[cfg(not(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2")))]
mod machine {
    pub(crate) const NON_TEMPORAL: bool = false;

    #[inline(always)]
    pub(in crate::buf) fn prefetch(_: *const f32) {}

    pub(in crate::buf) fn fence() {}
}
