//! The methods that remember nothing between steps: Euler's (DDIM), Heun's, DPM-Solver-2 and
//! DPM-Solver++(2S), each with churn (Karras et al. 2022, algorithm 2) or, with η, ancestral: a
//! step goes to `sigma_down` and adds noise of `sigma_up` (k-diffusion's `get_ancestral_step`).
//! Coefficients only.
//!
//! A step with two calls of the network has a trial, which goes to the place of the second call.

use super::options::Method;
use super::plan::{Plan, Sum, rounded};
use super::walk::Walk;
use crate::error::Error;

/// Where a trial keeps what the step goes on from.
const SLOT: usize = 0;

/// Buffers of history.
pub(super) fn kept(walk: &Walk<'_>) -> usize {
    usize::from(is_two_call(walk.method))
}

fn is_two_call(method: Method) -> bool {
    matches!(method, Method::Heun | Method::Dpm2 | Method::Dpmpp2s)
}

/// The sigma that a step begins at, raised by churn, and the factor of the noise that raises it: σ̂
/// = σ·(1 + γ) and √(σ̂² − σ²)·`s_noise`.
#[inline(never)] // so that it is in the library once
pub(super) fn churn(walk: &Walk<'_>, step: usize) -> Result<(f32, f32), Error> {
    let (sigma, _) = walk.sigmas(step)?;
    if !walk.churns(sigma) {
        return Ok((sigma as f32, 0.0));
    }
    let most = core::f64::consts::SQRT_2 - 1.0;
    let gamma = libm::fmin(f64::from(walk.churn.s_churn) / walk.steps() as f64, most);
    let raised = rounded(sigma * (1.0 + gamma))?;
    let variance = f64::from(raised) * f64::from(raised) - sigma * sigma;
    Ok((raised, rounded(libm::sqrt(variance) * walk.s_noise)?))
}

/// The sigma at which a step begins, `sigma_down`, to which it goes, and `sigma_up`.
#[inline(never)] // so that it is in the library once
fn sigmas(walk: &Walk<'_>, step: usize) -> Result<(f64, f64, f64), Error> {
    let (_, next) = walk.sigmas(step)?;
    let (sigma, _) = churn(walk, step)?;
    let sigma = f64::from(sigma);
    let ratio = next / sigma;
    let up = libm::fmin(next, walk.eta * next * libm::sqrt(1.0 - ratio * ratio));
    Ok((sigma, libm::sqrt(next * next - up * up), up))
}

/// The factor of a step's noise.
pub(super) fn noise(walk: &Walk<'_>, step: usize) -> Result<f64, Error> {
    let (_, _, up) = sigmas(walk, step)?;
    Ok(up * walk.s_noise)
}

/// Whether a step has two scores.
#[inline(never)] // so that it is in the library once
pub(super) fn has_trial(walk: &Walk<'_>, step: usize) -> Result<bool, Error> {
    let (sigma, next) = walk.sigmas(step)?;
    if next == 0.0 || !is_two_call(walk.method) {
        return Ok(false);
    }
    // Without roots where that can be, since every turn asks for all steps before it: up to η = 1
    // `sigma_down` is at least next²/σ.
    if walk.eta <= 1.0 && next > 1e-3 * sigma {
        return Ok(true);
    }
    let (_, down, _) = sigmas(walk, step)?;
    Ok(down > 0.0)
}

/// The sigma of the second score.
#[inline(never)] // so that it is in the library once
pub(super) fn second_sigma(walk: &Walk<'_>, step: usize) -> Result<f32, Error> {
    let (sigma, down, _) = sigmas(walk, step)?;
    rounded(if walk.method == Method::Heun { down } else { libm::sqrt(sigma * down) })
}

/// `x + length·ε`, with ε = (x − D)/σ.
fn euler(sigma: f64, length: f64) -> Sum {
    let ratio = length / sigma;
    Sum::new(1.0 + ratio, -ratio)
}

/// The first of two updates: to where the second score is, with what the step goes on from kept.
pub(super) fn trial(walk: &Walk<'_>, step: usize) -> Result<Plan, Error> {
    let (sigma, down, _) = sigmas(walk, step)?;
    let second = f64::from(second_sigma(walk, step)?);
    let network = walk.network(sigma)?;
    let keep = match walk.method {
        Method::Heun => euler(sigma, 0.5 * (down - sigma)),
        _ => Sum::new(1.0, 0.0),
    };
    Ok(network.plan(&euler(sigma, second - sigma))?.keeping(network.keep(SLOT, &keep)?))
}

/// The update that ends a step.
pub(super) fn prediction(walk: &Walk<'_>, step: usize) -> Result<Plan, Error> {
    let (sigma, down, _) = sigmas(walk, step)?;
    if !has_trial(walk, step)? {
        let network = walk.network(sigma)?;
        let sum = if down == 0.0 { Sum::new(0.0, 1.0) } else { euler(sigma, down - sigma) };
        return network.plan(&sum);
    }
    let second = f64::from(second_sigma(walk, step)?);
    let (kept, length) = match walk.method {
        Method::Heun => (1.0, 0.5 * (down - sigma)),
        Method::Dpm2 => (1.0, down - sigma),
        // x′ = (down/σ)·x + (1 − down/σ)·D.
        _ => {
            return walk
                .network(second)?
                .plan(&Sum::new(0.0, (sigma - down) / sigma).plus(down / sigma, SLOT));
        }
    };
    let ratio = length / second;
    walk.network(second)?.plan(&Sum::new(ratio, -ratio).plus(kept, SLOT))
}
