//! The methods that call the network once a step and keep its past outputs: the exponential family
//! (DPM-Solver++, its SDE forms, UniPC) and Adams' in σ (LMS, iPNDM). Coefficients only, from one
//! routine: weights that integrate the polynomial through the remembered values.
//!
//! With h = ln(σ/σ′), H = (1 + η)·h and D the denoised sample, an exponential step is
//!
//! x′ = e^(−H)·x + Σ wₖ·Dₖ + σ′·√(1 − e^(−2ηh))·z
//!
//! (Lu et al. 2022, DPM-Solver++; Zhao et al. 2023, UniPC). An Adams step is x′ = x + Σ wₖ·εₖ with
//! ε = (x − D)/σ.

use super::options::Method;
use super::plan::{Plan, Sum};
use super::walk::Walk;
use crate::error::Error;

/// The most values that weights are of.
const MOST_NODES: usize = 4;

/// How many values of the past, besides the present one, a method's prediction takes.
fn memory(walk: &Walk<'_>) -> usize {
    match walk.method {
        Method::Dpmpp2m | Method::Dpmpp2mExact | Method::Unipc2 => 1,
        Method::Dpmpp3m | Method::Dpmpp3mPublished | Method::Unipc3 => 2,
        Method::Lms | Method::Ipndm => walk.order.saturating_sub(1),
        _ => 0,
    }
}

/// Whether the sample is corrected by the score at its prediction.
fn corrects(walk: &Walk<'_>) -> bool {
    matches!(walk.method, Method::Unipc2 | Method::Unipc3)
}

/// Buffers of history that hold values of the past. A corrector takes one more of them.
fn values(walk: &Walk<'_>) -> usize {
    memory(walk) + usize::from(corrects(walk))
}

/// Buffers of history. That of the corrected sample is the last.
pub(super) fn kept(walk: &Walk<'_>) -> usize {
    values(walk) + usize::from(corrects(walk))
}

/// Where the value of a step is kept: in place of the oldest.
fn slot(walk: &Walk<'_>, step: usize) -> usize {
    step.checked_rem(values(walk)).unwrap_or(0)
}

/// The factor of a step's noise.
pub(super) fn noise(walk: &Walk<'_>, step: usize) -> Result<f64, Error> {
    let (sigma, next) = walk.sigmas(step)?;
    if next == 0.0 {
        return Ok(0.0);
    }
    Ok(next * libm::sqrt(-libm::expm1(-2.0 * walk.eta * libm::log(sigma / next))) * walk.s_noise)
}

/// The update of a step.
pub(super) fn prediction(walk: &Walk<'_>, step: usize) -> Result<Plan, Error> {
    let (sigma, next) = walk.sigmas(step)?;
    let network = walk.network(sigma)?;
    let denoised = Sum::new(0.0, 1.0);
    if next == 0.0 {
        return network.plan(&denoised);
    }
    let past = step.saturating_sub(walk.first_step).min(memory(walk));
    // What the step makes of a sample, here or of what is the corrected one.
    let (decay, rest) = if walk.method.takes_order() {
        (1.0, adams(walk, step, past)?)
    } else {
        let moments = match (walk.method, past) {
            (Method::Dpmpp2m | Method::Unipc2 | Method::Unipc3, 1) => Moments::Midpoint,
            (Method::Dpmpp3mPublished, 2) => Moments::HalfSecond,
            _ => Moments::Exact,
        };
        exponential(walk, step, past, walk.eta, None, moments)?
    };
    let sample = if corrects(walk) { corrected(walk, step)? } else { Sum::new(1.0, 0.0) };
    let mut plan = network.plan(&rest.and(decay, &sample))?;
    if kept(walk) > 0 && !walk.is_last(step) {
        let value = if walk.method.takes_order() { epsilon(sigma) } else { denoised };
        plan = plan.keeping(network.keep(slot(walk, step), &value)?);
        if corrects(walk) {
            plan = plan.keeping(network.keep(values(walk), &sample)?);
        }
    }
    Ok(plan)
}

/// ε = (x − D)/σ.
fn epsilon(sigma: f64) -> Sum {
    Sum::new(1.0 / sigma, -1.0 / sigma)
}

/// The sample of a step as the score at it corrects it (UniC): the step before once more, with one
/// value more.
fn corrected(walk: &Walk<'_>, step: usize) -> Result<Sum, Error> {
    let Some(before) = step.checked_sub(1).filter(|&before| before >= walk.first_step) else {
        return Ok(Sum::new(1.0, 0.0));
    };
    let past = (before - walk.first_step).min(memory(walk));
    let moments = if past == 0 { Moments::Midpoint } else { Moments::Exact };
    let (decay, sum) = exponential(walk, before, past, 0.0, Some(step), moments)?;
    Ok(sum.plus(decay, values(walk)))
}

/// Which moments an exponential step integrates its polynomial with.
#[derive(Clone, Copy)]
enum Moments {
    /// The exact ones.
    Exact,
    /// The first one is that of a midpoint: half the zeroth (k-diffusion's and diffusers' 2M, and
    /// UniPC's `bh2`).
    Midpoint,
    /// Half the second one, as the third order was published (dpm-solver, diffusers, k-diffusion).
    HalfSecond,
}

/// The decay of the sample and the sum of values in a step, `past` values of the past being there.
/// The present value is the denoised sample, or, for a corrector, that is the value at `ahead`, the
/// step's end, and the present one is in the past, too.
#[inline(never)] // so that it is in the library once
fn exponential(
    walk: &Walk<'_>,
    step: usize,
    past: usize,
    eta: f64,
    ahead: Option<usize>,
    moments: Moments,
) -> Result<(f64, Sum), Error> {
    let (sigma, next) = walk.sigmas(step)?;
    let h = libm::log(sigma / next);
    let exponent = (1.0 + eta) * h;
    let mut integrals = exponential_moments(exponent);
    match moments {
        Moments::Exact => {}
        Moments::Midpoint => integrals[1] = integrals[0] * 0.5,
        Moments::HalfSecond => integrals[2] *= 0.5,
    }
    let nodes = Nodes::new(ahead.map(|_| 1.0), past, |k| {
        let (then, _) = walk.sigmas(step - k)?;
        Ok(libm::log(sigma / then) / h)
    })?;
    Ok((libm::exp(-exponent), nodes.sum(walk, step, &integrals, Sum::new(0.0, 1.0), ahead.is_some())))
}

/// M₀ = 1 − e^(−H) and Mⱼ = 1 − (j/H)·Mⱼ₋₁: the integrals of powers of time over a step, weighted
/// by the decay behind them. The recursion cancels where H is small; there they are series.
fn exponential_moments(h: f64) -> [f64; MOST_NODES] {
    let mut moments = [0.0; MOST_NODES];
    if h < 0.5 {
        for (j, moment) in moments.iter_mut().enumerate() {
            let mut term = h / (j + 1) as f64;
            for i in 2..20 {
                *moment += term;
                term *= -h / (j + i) as f64;
            }
        }
        return moments;
    }
    let mut last = -libm::expm1(-h);
    for (j, moment) in moments.iter_mut().enumerate() {
        if j > 0 {
            last = 1.0 - j as f64 / h * last;
        }
        *moment = last;
    }
    moments
}

/// The sum of an Adams step, of ε.
fn adams(walk: &Walk<'_>, step: usize, past: usize) -> Result<Sum, Error> {
    let (sigma, next) = walk.sigmas(step)?;
    let length = next - sigma;
    let mut integrals = [0.0; MOST_NODES];
    for (j, integral) in integrals.iter_mut().enumerate() {
        *integral = length / (j + 1) as f64;
    }
    let equal_steps = walk.method == Method::Ipndm;
    let nodes = Nodes::new(None, past, |k| {
        let (then, _) = walk.sigmas(step - k)?;
        Ok(if equal_steps { -(k as f64) } else { (then - sigma) / length })
    })?;
    Ok(nodes.sum(walk, step, &integrals, epsilon(sigma), false))
}

/// Where in a step, of length 1, the values are that it is made of: the newest first.
struct Nodes {
    at: [f64; MOST_NODES],
    len: usize,
}

impl Nodes {
    /// A value ahead, if there is one, the one at the beginning of the step, and those of the past.
    fn new(ahead: Option<f64>, past: usize, at: impl Fn(usize) -> Result<f64, Error>) -> Result<Self, Error> {
        let mut nodes = Self { at: [0.0; MOST_NODES], len: 0 };
        for node in ahead.into_iter().map(Ok).chain((0..=past).map(at)) {
            if let Some(to) = nodes.at.get_mut(nodes.len) {
                *to = node?;
                nodes.len += 1;
            }
        }
        Ok(nodes)
    }

    /// The weighted sum of the values: the newest is `value`, the others are history.
    fn sum(
        &self,
        walk: &Walk<'_>,
        step: usize,
        integrals: &[f64; MOST_NODES],
        value: Sum,
        is_ahead: bool,
    ) -> Sum {
        let mut sum = Sum::new(0.0, 0.0);
        for k in 0..self.len {
            let weight = self.weight(k, integrals);
            sum = match k {
                0 => sum.and(weight, &value),
                _ => sum.plus(weight, slot(walk, step + usize::from(is_ahead) - k)),
            };
        }
        sum
    }

    /// The weight of a value: the integral of the polynomial that is 1 at its node and 0 at the
    /// others.
    #[inline(never)] // so that it is in the library once
    fn weight(&self, k: usize, integrals: &[f64; MOST_NODES]) -> f64 {
        let nodes = self.at.get(..self.len).unwrap_or_default();
        let at = nodes.get(k).copied().unwrap_or(0.0);
        let mut polynomial = [1.0, 0.0, 0.0, 0.0];
        for (_, &node) in nodes.iter().enumerate().filter(|&(other, _)| other != k) {
            // Times (t − node)/(at − node).
            let scale = 1.0 / (at - node);
            let mut below = 0.0;
            for coefficient in &mut polynomial {
                let here = *coefficient;
                *coefficient = (below - node * here) * scale;
                below = here;
            }
        }
        polynomial.iter().zip(integrals).map(|(a, b)| a * b).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The integral of H·e^(−H·(1 − t))·tʲ over a step, by Simpson's rule.
    fn by_quadrature(h: f64, j: i32) -> f64 {
        const PARTS: i32 = 2000;
        let value = |i: i32| {
            let t = f64::from(i) / f64::from(PARTS);
            h * (-h * (1.0 - t)).exp() * t.powi(j)
        };
        let weighted = |i: i32| value(i) * if i % 2 == 1 { 4.0 } else { 2.0 };
        let inside: f64 = (1..PARTS).map(weighted).sum();
        (value(0) + inside + value(PARTS)) / (3.0 * f64::from(PARTS))
    }

    #[test]
    fn moments_are_integrals_of_powers() {
        for h in [1e-9, 1e-3, 0.1, 0.499999, 0.5, 0.7, 2.0, 9.0] {
            for (j, moment) in exponential_moments(h).into_iter().enumerate() {
                let wanted = by_quadrature(h, j as i32);
                assert!((moment - wanted).abs() <= 1e-9 * wanted, "M{j}({h}): {moment}, not {wanted}");
            }
        }
    }

    /// The weights for values at these nodes.
    fn weights(at: &[f64], integrals: &[f64; MOST_NODES]) -> Vec<f64> {
        let node = |k: usize| Ok(at[k]);
        let nodes = Nodes::new(None, at.len() - 1, node).unwrap();
        (0..at.len()).map(|k| nodes.weight(k, integrals)).collect()
    }

    #[test]
    fn weights_of_unequal_and_equal_adams_steps() {
        let integrals = [1.0, 1.0 / 2.0, 1.0 / 3.0, 1.0 / 4.0];
        // A step of 0.5 after ones of 0.8 and 1.3.
        let unequal = weights(&[0.0, -1.6, -4.2], &integrals);
        for (weight, wanted) in unequal.into_iter().zip([1.4812, -0.5849, 0.1038]) {
            assert!((weight - wanted).abs() < 5e-5, "{weight}, not {wanted}");
        }
        let equal = weights(&[0.0, -1.0, -2.0, -3.0], &integrals);
        for (weight, wanted) in equal.into_iter().zip([55.0, -59.0, 37.0, -9.0]) {
            assert!((weight - wanted / 24.0).abs() < 1e-14, "{weight}, not {wanted}/24");
        }
    }

    /// Against the formula in differences, which is how the third order is published.
    #[test]
    fn weights_of_the_third_order_are_differences() {
        for (h, r0, r1) in [(0.3, 1.1, 0.9), (0.9, 0.6, 0.5), (2.5, 0.2, 3.0)] {
            let moments = exponential_moments(h);
            let ours = weights(&[0.0, -r0, -(r0 + r1)], &moments);
            let phi_2 = 1.0 - (1.0 - (-h).exp()) / h;
            let phi_3 = phi_2 / h - 0.5;
            let of = |values: [f64; 3]| {
                let (first, second) = ((values[0] - values[1]) / r0, (values[1] - values[2]) / r1);
                let difference = (first - second) / (r0 + r1);
                let slope = first + r0 * difference;
                (1.0 - (-h).exp()) * values[0] + phi_2 * slope - 2.0 * phi_3 * difference
            };
            let wanted = [of([1.0, 0.0, 0.0]), of([0.0, 1.0, 0.0]), of([0.0, 0.0, 1.0])];
            for (weight, wanted) in ours.iter().zip(wanted) {
                assert!((weight - wanted).abs() < 1e-12, "{weight}, not {wanted}, at {h}");
            }
            // Constants are kept.
            assert!((ours.iter().sum::<f64>() - moments[0]).abs() < 1e-14);
        }
    }
}
