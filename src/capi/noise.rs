//! Noise in C.

use core::ffi::c_char;

use super::{Span, object, object_mut, output, produce, span, status, table, table_mut, vesde_status};
use crate::buf::Out;
use crate::error::Error;
use crate::noise::{Counter, CudaGrid, Generator, Numpy, TorchCpu, TorchCuda, randn_out};

/// The output of a draw, and where it lies. A draw of nothing has none: the pointer of an empty
/// buffer is not looked at.
///
/// # Safety
/// As [`output`].
unsafe fn draw_output<'a>(out: *mut f32, len: usize) -> Result<(Out<'a>, Span), Error> {
    if len == 0 {
        return Ok((<&mut [f32]>::default().into(), span::<f32>(core::ptr::null(), 0)));
    }
    // SAFETY: this function's own condition.
    Ok((unsafe { output(out, len)? }, span(out, len)))
}

/// Fills `out` with `len` elements of counter noise, from noise.index on.
///
/// # Safety
/// `out` is NULL or writable for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_counter_fill(noise: Counter, len: usize, out: *mut f32) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| noise.fill_out(unsafe { draw_output(out, len)? }.0))
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

/// Draws from one generator for the whole batch, or from one for each sample.
///
/// # Safety
/// `generators` is NULL or holds `generators_len` initialised states which nothing else uses now; `out` is NULL or writable for
/// `len` floats.
unsafe fn fill<G: Generator>(
    generators: *mut G,
    generators_len: usize,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: this function's own condition.
    status(|| unsafe {
        let (out, span) = draw_output(out, len)?;
        randn_out(table_mut(generators, generators_len, &[span])?, out)
    })
}

/// torch.randn(len) of torch's CPU generator, bit for bit, advancing the state. One call for n is not two calls for parts of n,
/// unless the parts are multiples of 16: the calls must be those that torch makes.
///
/// `generators_len` is 1, or the batch: then each generator makes one sample of it, in a call of its own, as diffusers does with a list
/// of generators.
///
/// # Safety
/// `generators` is NULL or holds `generators_len` states seeded by vesde_torch_cpu_seed, and nothing else uses them now; `out` is NULL or
/// writable for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_cpu_fill(
    generators: *mut TorchCpu,
    generators_len: usize,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { fill(generators, generators_len, len, out) }
}

/// Sets `grid` to that of the GPU called `name`, of `name_len` bytes (no terminating NUL needed), as torch.cuda.get_device_name has it or
/// without "NVIDIA", "Tesla" and "GeForce" in front: "NVIDIA H200", "T4", "rtx 4090". "unlimited" is a GPU on which every element has a
/// thread of its own, as runtimes that imitate torch assume.
///
/// # Safety
/// `name` is NULL or readable for `name_len` bytes; `grid` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_cuda_grid_of_gpu(
    name: *const c_char,
    name_len: usize,
    grid: *mut CudaGrid,
) -> vesde_status {
    let find = || {
        // SAFETY: the caller's promise.
        let name = unsafe { table(name.cast::<u8>(), name_len, &[])? };
        CudaGrid::of_gpu_bytes(name).ok_or(Error::UnknownGpu)
    };
    // SAFETY: the caller's promise.
    unsafe { produce(grid, find) }
}

/// Seeds `state` as manual_seed does on a GPU with this grid: all 64 bits of the seed count. VESDE_ERROR_INVALID_RANDOM_STATE where the grid has no
/// threads.
///
/// # Safety
/// `state` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_cuda_seed(
    state: *mut TorchCuda,
    seed: u64,
    grid: CudaGrid,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(state, || TorchCuda::new(seed, grid).checked()) }
}

/// torch.randn(len, device="cuda"), with the bits of an H100 and an H200, advancing the state. Of
/// more than 2²⁹ elements torch makes several launches; these follow its source, and were not
/// compared with a GPU's. Beyond 2⁴⁰ − 256 elements: VESDE_ERROR_TOO_LARGE. `generators_len` as for
/// vesde_torch_cpu_fill.
///
/// # Safety
/// As vesde_torch_cpu_fill.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_cuda_fill(
    generators: *mut TorchCuda,
    generators_len: usize,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { fill(generators, generators_len, len, out) }
}

/// Elements `start` to `start + len` − 1 of the next draw of `draw_len` elements, for work that is split over threads. The state stays as it
/// is until vesde_torch_cuda_skip. VESDE_ERROR_LENGTH_MISMATCH where the draw has no such elements.
///
/// # Safety
/// `state` is NULL or readable; `out` is NULL or writable for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_cuda_fill_part(
    state: *const TorchCuda,
    draw_len: u64,
    start: u64,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let (out, span) = draw_output(out, len)?;
        object(state, &[span])?.fill_part_out(draw_len, start, out)
    })
}

/// Goes past a draw of `draw_len` elements.
///
/// # Safety
/// `state` is NULL or was seeded by vesde_torch_cuda_seed, and nothing else uses it now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_torch_cuda_skip(state: *mut TorchCuda, draw_len: u64) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { object_mut(state, &[])? }.skip(draw_len))
}

/// Seeds `state` as numpy.random.RandomState(seed) and numpy.random.seed do.
///
/// # Safety
/// `state` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_numpy_seed(state: *mut Numpy, seed: u32) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(state, || Ok(Numpy::new(seed))) }
}

/// randn(len) of NumPy's RandomState, rounded to float, advancing the state. Two calls for the parts of a range are one call for the
/// whole. `generators_len` as for vesde_torch_cpu_fill.
///
/// # Safety
/// As vesde_torch_cpu_fill.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_numpy_fill(
    generators: *mut Numpy,
    generators_len: usize,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { fill(generators, generators_len, len, out) }
}
