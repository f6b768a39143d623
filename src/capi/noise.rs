//! Noise in C.

use core::ffi::c_char;

use super::{Span, object, object_mut, output, produce, span, status, table, table_mut, vesde_status};
use crate::buf::Out;
use crate::error::Error;
use crate::noise::{AnyGenerator, Counter, CudaGrid, GeneratorKind, Numpy, TorchCpu, TorchCuda, randn};

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
    status(|| noise.fill(unsafe { draw_output(out, len)? }.0))
}

/// Sets `grid` to that of the GPU called `name`, of `name_len` bytes (no terminating NUL needed),
/// as torch.cuda.get_device_name has it or without "NVIDIA", "Tesla" and "GeForce" in front:
/// "NVIDIA H200", "T4", "rtx 4090". "unlimited" is a GPU on which every element has a thread of its
/// own, as runtimes that imitate torch assume.
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

/// Seeds `generator` the way its kind is seeded: VESDE_GENERATOR_KIND_TORCH_CPU as torch's
/// manual_seed on the CPU, which takes the lower 32 bits, _TORCH_CUDA as manual_seed on the GPU
/// with this grid, _NUMPY as numpy.random.RandomState, _COUNTER as counter noise from stream 0 on.
/// `grid` is read for a GPU only, and may be NULL elsewhere. One without threads is
/// VESDE_ERROR_INVALID_RANDOM_STATE. NumPy's seeds have 32 bits: others are VESDE_ERROR_TOO_LARGE.
///
/// # Safety
/// `grid` is NULL or readable; `generator` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_generator_seed(
    kind: i32,
    seed: u64,
    grid: *const CudaGrid,
    generator: *mut AnyGenerator,
) -> vesde_status {
    let make = || {
        Ok(match kind {
            kind if kind == GeneratorKind::Counter as i32 => Counter::new(seed, 0).into(),
            kind if kind == GeneratorKind::TorchCpu as i32 => TorchCpu::new(seed).into(),
            kind if kind == GeneratorKind::TorchCuda as i32 => {
                // SAFETY: the caller's promise.
                TorchCuda::new(seed, unsafe { *object(grid, &[])? }).checked()?.into()
            }
            kind if kind == GeneratorKind::Numpy as i32 => {
                Numpy::new(u32::try_from(seed).map_err(|_| Error::TooLarge)?).into()
            }
            _ => return Err(Error::UnknownEnum),
        })
    };
    // SAFETY: the caller's promise.
    unsafe { produce(generator, make) }
}

/// One draw of `len` standard normal numbers, advancing the state: torch.randn(len),
/// torch.randn(len, device="cuda") and numpy.random.randn(len) bit for bit, the last rounded to
/// float, or a stream of counter noise.
///
/// `generators_len` is 1, or the batch: then each generator makes one sample of it, in a draw of
/// its own, as diffusers does with a list of generators. Make the same calls as torch: with its
/// generators one draw of n is not the same as two draws of parts of n, except on the CPU where the
/// parts are multiples of 16. With NumPy's it is the same.
///
/// torch's bits on the CPU are those of an x86 CPU with AVX2.
/// A GPU's bits are those of an H100 and an H200. Of more than 2²⁹ elements torch makes several
/// launches; these follow its source, and were not compared with a GPU's. Beyond 2⁴⁰ − 256
/// elements: VESDE_ERROR_TOO_LARGE.
///
/// # Safety
/// `generators` is NULL or holds `generators_len` states, and nothing else uses them now; `out` is
/// NULL or writable for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_randn(
    generators: *mut AnyGenerator,
    generators_len: usize,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let (out, span) = draw_output(out, len)?;
        randn(table_mut(generators, generators_len, &[span])?, out)
    })
}

/// One draw of `len` uniform numbers, at least 0 and less than 1, advancing the state:
/// torch.rand(len) on the CPU, bit for bit, of VESDE_GENERATOR_KIND_TORCH_CPU. One draw of n is the
/// same as two draws of its parts. Other kinds are VESDE_ERROR_UNKNOWN_ENUM.
///
/// # Safety
/// `generator` is NULL or a state that nothing else uses now; `out` is NULL or writable for `len`
/// floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_rand(generator: *mut AnyGenerator, len: usize, out: *mut f32) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let (out, span) = draw_output(out, len)?;
        object_mut(generator, &[span])?.uniform(out)
    })
}

/// One draw of `len` signs, 1 or -1 with equal probability, advancing the state: the probe of a
/// divergence. Of VESDE_GENERATOR_KIND_TORCH_CPU it is 2*torch.randint(0, 2, (len,)) - 1 bit for
/// bit, as score_sde's likelihood draws it, and one draw of n is the same as two draws of its
/// parts. Of _COUNTER it is the signs of what vesde_randn draws. Other kinds are
/// VESDE_ERROR_UNKNOWN_ENUM.
///
/// # Safety
/// As vesde_rand.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_rademacher(
    generator: *mut AnyGenerator,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let (out, span) = draw_output(out, len)?;
        object_mut(generator, &[span])?.rademacher(out)
    })
}

/// Elements `start` to `start + len` − 1 of the next draw of `draw_len` elements, for work that is
/// split over threads. The state stays as it is until vesde_generator_skip.
/// VESDE_ERROR_LENGTH_MISMATCH where the draw has no such elements; VESDE_ERROR_UNSPLITTABLE_DRAW
/// for torch on the CPU and NumPy.
///
/// # Safety
/// `generator` is NULL or readable; `out` is NULL or writable for `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_generator_fill_part(
    generator: *const AnyGenerator,
    draw_len: u64,
    start: u64,
    len: usize,
    out: *mut f32,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        let (out, span) = draw_output(out, len)?;
        object(generator, &[span])?.fill_part(draw_len, start, out)
    })
}

/// Skips a draw of `draw_len` elements, for the kinds that vesde_generator_fill_part knows.
///
/// # Safety
/// `generator` is NULL or readable and writable, and nothing else uses it now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_generator_skip(generator: *mut AnyGenerator, draw_len: u64) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { object_mut(generator, &[])? }.skip(draw_len))
}
