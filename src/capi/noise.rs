//! Noise in C.

use super::{object_mut, output, produce, span, status, vesde_status};
use crate::noise::{Counter, TorchCpu};

/// Fills `out` with `len` elements of counter noise, from noise.index on.
///
/// # Safety
/// `out` is NULL or writable for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_counter_fill(noise: Counter, len: usize, out: *mut f32) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| noise.fill_out(unsafe { output(out, len)? }))
}

/// Seeds `state` as torch's manual_seed does: the lower 32 bits of the seed count.
///
/// # Safety
/// `state` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_cpu_seed(state: *mut TorchCpu, seed: u64) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(state, || Ok(TorchCpu::new(seed))) }
}

/// torch.randn(len) of torch's CPU generator, bit for bit, advancing `state`. One call for n is not two calls for parts of n,
/// unless the parts are multiples of 16: the calls must be those that torch makes.
///
/// # Safety
/// `state` is NULL or was seeded by vesde_torch_cpu_seed, and nothing else uses it now; `out` is NULL or writable for `len`
/// floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_cpu_fill(
    state: *mut TorchCpu,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { object_mut(state, &[span(out, len)])?.fill_out(output(out, len)?) })
}
