//! The C ABI: `extern "C"` functions and `repr(C)` structs over the Rust ones. Pointers are checked
//! here and turned into views; no arithmetic lives here. The header is generated from these files.

// The documentation becomes the C header, where backticks around every name would be noise.
#![allow(clippy::too_many_arguments, clippy::doc_markdown)]

// In the header's order, which rustfmt keeps between blank lines.
mod config;

mod schedule;

mod args;

mod steps;

mod inverse;

mod noise;

mod sampler;

mod ode;

#[cfg(all(vesde_staticlib, not(test)))]
mod panic;

use core::ffi::{CStr, c_char};

use crate::buf::{In, Out};
use crate::error::{self, Error};
use crate::norms::{Averaging, Norm};
use crate::simd::{SimdLevel, float_environment_is_default, limit_simd_level, simd_level};

pub use args::*;
pub use config::*;
pub use inverse::*;
pub use noise::*;
pub use ode::*;
pub use sampler::*;
pub use schedule::*;
pub use steps::*;

/// What a function returns: `VESDE_OK`, or one of `enum vesde_error`, in which case nothing has
/// been written.
#[allow(non_camel_case_types)]
pub type vesde_status = i32;

/// Success.
pub const VESDE_OK: i32 = 0;

/// Major version of this header.
pub const VESDE_VERSION_MAJOR: u32 = 0;
/// Minor version of this header.
pub const VESDE_VERSION_MINOR: u32 = 1;
/// Patch version of this header.
pub const VESDE_VERSION_PATCH: u32 = 0;

const _: () = {
    const fn number(digits: &str) -> u32 {
        let (bytes, mut value, mut i) = (digits.as_bytes(), 0, 0);
        while i < bytes.len() {
            value = value * 10 + (bytes[i] - b'0') as u32;
            i += 1;
        }
        value
    }
    assert!(number(env!("CARGO_PKG_VERSION_MAJOR")) == VESDE_VERSION_MAJOR);
    assert!(number(env!("CARGO_PKG_VERSION_MINOR")) == VESDE_VERSION_MINOR);
    assert!(number(env!("CARGO_PKG_VERSION_PATCH")) == VESDE_VERSION_PATCH);
};

/// The library's version, as major·2¹⁶ + minor·2⁸ + patch: to be compared with the header's macros.
#[unsafe(no_mangle)]
pub extern "C" fn vesde_version() -> u32 {
    VESDE_VERSION_MAJOR << 16 | VESDE_VERSION_MINOR << 8 | VESDE_VERSION_PATCH
}

/// A sentence about a status, never NULL: static text in English, without a full stop.
#[unsafe(no_mangle)]
pub extern "C" fn vesde_status_message(status: vesde_status) -> *const c_char {
    let message: &'static CStr = match status {
        VESDE_OK => c"success",
        status => Error::ALL
            .iter()
            .find(|&&error| error as i32 == status)
            .map_or(c"unknown status", |error| error.c_message()),
    };
    message.as_ptr()
}

/// The status of a result.
fn status(result: impl FnOnce() -> Result<(), Error>) -> vesde_status {
    match result() {
        Ok(()) => VESDE_OK,
        Err(error) => error as i32,
    }
}

/// Checks a pointer to `len` objects that must exist.
fn check<T>(ptr: *const T, len: usize) -> Result<(), Error> {
    if ptr.is_null() {
        Err(Error::NullPointer)
    } else if !ptr.is_aligned() {
        Err(Error::Misaligned)
    } else if len == 0 {
        Err(Error::Empty)
    } else if len > isize::MAX as usize / size_of::<T>()
        || ptr.addr().checked_add(len * size_of::<T>()).is_none()
    {
        Err(Error::TooLarge)
    } else {
        Ok(())
    }
}

/// Where an output lies, as addresses.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

/// The addresses of `len` objects; none where [`check`] will refuse them.
fn span<T>(ptr: *const T, len: usize) -> Span {
    let bytes = if check(ptr, len).is_ok() { len * size_of::<T>() } else { 0 };
    Span { start: ptr.addr(), end: ptr.addr() + bytes }
}

/// Checks that no output lies on what is read by reference.
fn check_disjoint<T>(ptr: *const T, len: usize, outs: &[Span]) -> Result<(), Error> {
    let read = span(ptr, len);
    let overlaps = |out: &Span| out.start.max(read.start) < out.end.min(read.end);
    if outs.iter().any(overlaps) { Err(Error::Overlap) } else { Ok(()) }
}

/// An input of `len` floats.
///
/// # Safety
/// If `ptr` is not NULL it is readable for `len` floats as long as `'a`.
unsafe fn input<'a>(ptr: *const f32, len: usize) -> Result<In<'a>, Error> {
    check(ptr, len)?;
    // SAFETY: checked not to be NULL, misaligned or too long; the rest is this function's own
    // condition.
    Ok(unsafe { In::from_raw(ptr, len) })
}

/// An output of `len` floats.
///
/// # Safety
/// If `ptr` is not NULL it is writable for `len` floats as long as `'a`.
unsafe fn output<'a>(ptr: *mut f32, len: usize) -> Result<Out<'a>, Error> {
    check(ptr, len)?;
    // SAFETY: checked not to be NULL, misaligned or too long; the rest is this function's own
    // condition.
    Ok(unsafe { Out::from_raw(ptr, len) })
}

/// A table that is only read: shared by reference, so no output may overlap it.
///
/// # Safety
/// If `ptr` is not NULL it is readable for `len` objects as long as `'a`, and nothing but `outs` is
/// written meanwhile.
unsafe fn table<'a, T>(ptr: *const T, len: usize, outs: &[Span]) -> Result<&'a [T], Error> {
    check(ptr, len)?;
    check_disjoint(ptr, len, outs)?;
    // SAFETY: checked not to be NULL, misaligned, too long or written to; the rest is this
    // function's own condition.
    Ok(unsafe { core::slice::from_raw_parts(ptr, len) })
}

/// An object that is only read.
///
/// # Safety
/// As [`table`], for one object.
unsafe fn object<'a, T>(ptr: *const T, outs: &[Span]) -> Result<&'a T, Error> {
    check(ptr, 1)?;
    check_disjoint(ptr, 1, outs)?;
    // SAFETY: checked not to be NULL, misaligned or written to; the rest is this function's own
    // condition.
    Ok(unsafe { &*ptr })
}

/// Objects that are changed.
///
/// # Safety
/// If `ptr` is not NULL its `len` objects are initialised, and nothing but `buffers` is accessed as
/// long as `'a`.
unsafe fn table_mut<'a, T>(ptr: *mut T, len: usize, buffers: &[Span]) -> Result<&'a mut [T], Error> {
    check(ptr, len)?;
    check_disjoint(ptr, len, buffers)?;
    // SAFETY: checked not to be NULL, misaligned, too long or in a buffer; the rest is this
    // function's own condition.
    Ok(unsafe { core::slice::from_raw_parts_mut(ptr, len) })
}

/// An object that is changed.
///
/// # Safety
/// As [`table_mut`], for one object.
unsafe fn object_mut<'a, T>(ptr: *mut T, buffers: &[Span]) -> Result<&'a mut T, Error> {
    check(ptr, 1)?;
    check_disjoint(ptr, 1, buffers)?;
    // SAFETY: checked not to be NULL, misaligned or in a buffer; the rest is this function's own
    // condition.
    Ok(unsafe { &mut *ptr })
}

/// Runs `make` and stores what it returns, on success only.
///
/// # Safety
/// If `out` is not NULL it is writable for one object.
unsafe fn produce<T>(out: *mut T, make: impl FnOnce() -> Result<T, Error>) -> vesde_status {
    status(|| {
        check(out, 1)?;
        let value = make()?;
        // SAFETY: checked not to be NULL or misaligned; the rest is this function's own condition.
        unsafe { out.write(value) };
        Ok(())
    })
}

/// The value of an enumeration's number.
fn known<T: Copy>(number: i32, values: &[T]) -> Result<T, Error> {
    error::known(number, values, Error::UnknownEnum)
}

fn averaging(value: i32) -> Result<Averaging, Error> {
    known(value, &[Averaging::Batch, Averaging::PerSample])
}

fn norm(value: i32) -> Result<Norm, Error> {
    known(value, &[Norm::Exact, Norm::Torch])
}

/// 1 if this thread computes as vesde assumes, and 0 if not: results are rounded to the nearest,
/// ties to even, and subnormal numbers are kept.
///
/// Programs begin with this environment. A program loses it where it changes it (fesetround,
/// _MM_SET_FLUSH_ZERO_MODE), or where GCC links it with -Ofast or -ffast-math, which flushes
/// subnormals on x86 and ARM. Then other bits come out, and the norm of a score of 1e-40 is 0. Each
/// thread has its own environment: call this in the thread that computes. The function finds out by
/// computing, which traps where the program has enabled traps of underflow or of inexact results.
#[unsafe(no_mangle)]
pub extern "C" fn vesde_float_environment_is_default() -> i32 {
    i32::from(float_environment_is_default())
}

/// The widest vector instructions in use: one of enum vesde_simd_level_kind. Every level gives the
/// same bits.
#[unsafe(no_mangle)]
pub extern "C" fn vesde_simd_level() -> i32 {
    simd_level() as i32
}

/// Limits the whole process to vector instructions of `highest` and below: for tests and benches.
/// The highest kind lifts the limit.
#[unsafe(no_mangle)]
pub extern "C" fn vesde_limit_simd_level(highest: i32) -> vesde_status {
    status(|| {
        limit_simd_level(known(highest, &[SimdLevel::Baseline, SimdLevel::Avx2, SimdLevel::Avx512])?);
        Ok(())
    })
}
