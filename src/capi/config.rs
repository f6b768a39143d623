//! The configuration in C.

use core::ffi::c_char;

use super::{object, produce, status, table, vesde_status};
use crate::config::Config;
use crate::error::Error;

/// Sets `config` to diffusers' defaults: snr 0.15, sigma_min 0.01, sigma_max 1348, sampling_eps
/// 1e-5, 2000 training timesteps, 1 corrector step.
///
/// # Safety
/// `config` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_config_default(config: *mut Config) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(config, || Ok(Config::default())) }
}

/// Checks every field of `config`; the status names the first that is out of its range.
///
/// # Safety
/// `config` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_config_validate(config: *const Config) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe { object(config, &[])? }.validate())
}

/// Reads a scheduler_config.json of `json_len` bytes (no terminating NUL needed). Missing keys take
/// their defaults, unknown keys are ignored, another `_class_name` is refused, and the result is
/// validated.
///
/// # Safety
/// `json` is NULL or readable for `json_len` bytes; `config` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_config_from_json(
    json: *const c_char,
    json_len: usize,
    config: *mut Config,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(config, || Config::from_json(table(json.cast::<u8>(), json_len, &[])?)) }
}

/// Writes a scheduler_config.json that diffusers loads, without a terminating NUL, and its length
/// in bytes to `json_len`. 512 bytes of capacity always suffice.
///
/// # Safety
/// `config` is NULL or readable; `json` is NULL or writable for `capacity` bytes; `json_len` is
/// NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_config_to_json(
    config: *const Config,
    json: *mut c_char,
    capacity: usize,
    json_len: *mut usize,
) -> vesde_status {
    let write = || {
        super::check(json, capacity)?;
        super::check_disjoint(json_len, 1, &[super::span(json, capacity)])?;
        // SAFETY: the caller's promise.
        let text = unsafe { object(config, &[super::span(json, capacity)])? }.json_text()?;
        let text = text.as_bytes();
        if text.len() > capacity {
            return Err(Error::BufferTooSmall);
        }
        // SAFETY: the text is a local buffer, and `json` is writable for at least its length.
        unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), json.cast(), text.len()) };
        Ok(text.len())
    };
    // SAFETY: the caller's promise.
    unsafe { produce(json_len, write) }
}

/// The standard deviation of the initial sample: the configuration's sigma_max. Multiply the
/// initial noise by it.
///
/// # Safety
/// `config` is NULL or readable; `init_noise_sigma` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_init_noise_sigma(
    config: *const Config,
    init_noise_sigma: *mut f32,
) -> vesde_status {
    let make = || {
        // SAFETY: the caller's promise.
        let config = unsafe { object(config, &[])? };
        config.validate()?;
        Ok(config.init_noise_sigma())
    };
    // SAFETY: the caller's promise.
    unsafe { produce(init_noise_sigma, make) }
}
