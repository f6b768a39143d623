//! The embedded Runge–Kutta pair of Dormand and Prince (1980), and how its step size is chosen:
//! both as scipy's `solve_ivp(method="RK45")` has them, operation by operation. Functions of
//! doubles only.

// Those of `core` call C's library on some ARMs.
use libm::{fmax, fmin};

/// Stages of a step: the last one is the first of the next step.
pub(super) const STAGES: usize = 7;

/// Where the stages are evaluated, in steps.
pub(super) const NODES: [f64; STAGES] = [0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];

/// A factor and the number of its derivative.
pub(super) type Slope = (f64, usize);

/// The input of each stage, as factors of the derivatives before it; zeros are left out. The last
/// row is the step's result.
pub(super) const ROWS: [&[Slope]; STAGES] = [
    &[],
    &[(1.0 / 5.0, 0)],
    &[(3.0 / 40.0, 0), (9.0 / 40.0, 1)],
    &[(44.0 / 45.0, 0), (-56.0 / 15.0, 1), (32.0 / 9.0, 2)],
    &[(19372.0 / 6561.0, 0), (-25360.0 / 2187.0, 1), (64448.0 / 6561.0, 2), (-212.0 / 729.0, 3)],
    &[
        (9017.0 / 3168.0, 0),
        (-355.0 / 33.0, 1),
        (46732.0 / 5247.0, 2),
        (49.0 / 176.0, 3),
        (-5103.0 / 18656.0, 4),
    ],
    &STEP,
];

/// The step's result.
pub(super) const STEP: [Slope; 5] =
    [(35.0 / 384.0, 0), (500.0 / 1113.0, 2), (125.0 / 192.0, 3), (-2187.0 / 6784.0, 4), (11.0 / 84.0, 5)];

/// Its error: the difference from the result of order four.
pub(super) const ERROR: [Slope; 6] = [
    (-71.0 / 57600.0, 0),
    (71.0 / 16695.0, 2),
    (-71.0 / 1920.0, 3),
    (17253.0 / 339200.0, 4),
    (-22.0 / 525.0, 5),
    (1.0 / 40.0, 6),
];

/// The exponent of an error in a step size: −1 over the order of the error and one.
const EXPONENT: f64 = 1.0 / 5.0;
const SAFETY: f64 = 0.9;
const MIN_FACTOR: f64 = 0.2;
const MAX_FACTOR: f64 = 10.0;

/// How far the first step's probe goes, from the norms of y and its derivative.
pub(super) fn probe_step(d0: f64, d1: f64, interval: f64) -> f64 {
    let h0 = if d0 < 1e-5 || d1 < 1e-5 { 1e-6 } else { 0.01 * d0 / d1 };
    fmin(h0, interval)
}

/// The first step, from the norms of the derivative and of its change over the probe.
pub(super) fn first_step(h0: f64, d1: f64, change: f64, interval: f64, max_step: f64) -> f64 {
    let d2 = change / h0;
    let h1 = if d1 <= 1e-15 && d2 <= 1e-15 {
        fmax(h0 * 1e-3, 1e-6)
    } else {
        libm::pow(0.01 / fmax(d1, d2), EXPONENT)
    };
    fmin(fmin(fmin(100.0 * h0, h1), interval), max_step)
}

/// The shortest step from u that is one, in a direction, ±1: ten units in the last place.
pub(super) fn min_step(u: f64, direction: f64) -> f64 {
    let next = if direction > 0.0 { u.next_up() } else { u.next_down() };
    10.0 * (next - u).abs()
}

/// The factor of the step size after a step with this error, less than 1. Where a try was rejected
/// it may not grow.
pub(super) fn growth(error: f64, is_rejected: bool) -> f64 {
    let factor =
        if error == 0.0 { MAX_FACTOR } else { fmin(MAX_FACTOR, SAFETY * libm::pow(error, -EXPONENT)) };
    if is_rejected { fmin(factor, 1.0) } else { factor }
}

/// The factor of the step size after a try with this error, at least 1.
pub(super) fn shrinkage(error: f64) -> f64 {
    fmax(MIN_FACTOR, SAFETY * libm::pow(error, -EXPONENT))
}

/// The sum of some derivatives with their factors.
pub(super) fn sum(slopes: &[Slope], k: impl Fn(usize) -> f64) -> f64 {
    let mut terms = slopes.iter().map(|&(c, m)| c * k(m));
    let first = terms.next().unwrap_or(0.0);
    terms.fold(first, |sum, term| sum + term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_is_of_order_five_and_four() {
        for (row, node) in ROWS.into_iter().zip(NODES) {
            let sum: f64 = row.iter().map(|(c, _)| c).sum();
            assert!((sum - node).abs() < 1e-14);
        }
        // Quadrature: the integral of u^(p − 1), which the error has too up to order four.
        for p in 1..=5 {
            let power = |&(c, m): &Slope| c * NODES[m].powi(p - 1);
            assert!((STEP.iter().map(power).sum::<f64>() - 1.0 / f64::from(p)).abs() < 1e-14);
            let error = ERROR.iter().map(power).sum::<f64>();
            assert_eq!(error.abs() < 1e-15, p < 5);
        }
    }

    #[test]
    fn step_sizes_are_those_of_scipy() {
        assert_eq!(min_step(1.0, 1.0), 10.0 * f64::EPSILON);
        assert_eq!(min_step(1.0, -1.0), 5.0 * f64::EPSILON);
        assert_eq!(growth(0.0, false), 10.0);
        assert_eq!(growth(1e-9, false), 10.0);
        assert_eq!(growth(1e-9, true), 1.0);
        assert_eq!(shrinkage(1e9), 0.2);
        assert_eq!(probe_step(1.0, 0.0, 1.0), 1e-6);
        assert_eq!(probe_step(1.0, 2.0, 1e-3), 1e-3);
        assert_eq!(first_step(1e-6, 0.0, 0.0, 1.0, 1.0), 1e-6);
        assert_eq!(first_step(0.5, 1e-9, 1e-9, 0.25, 0.125), 0.125);
    }
}
