//! The options, requests and statistics of an ODE job.

use crate::sampler::SamplerNoise;

/// The variable in which the ODE is solved. The solution is the same, the steps are not: an
/// adaptive solver needs fewer where the solution is smooth.
///
/// Network evaluations at tolerances of 1e-5, in time and in sigma: sampling from a smooth score
/// 110 to 170 and 182 to 290, encoding 122 to 176 and 86 to 122.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum OdeVariable {
    /// Time, dx/dt = −½·g(t)²·s, as in `score_sde`: best for sampling.
    #[default]
    Time = 0,
    /// Sigma, dx/dσ = −σ·s: best for encoding where the score is smooth.
    Sigma = 1,
}

/// Which way the ODE is solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum OdeDirection {
    /// From noise to data: t from 1 to `sampling_eps`.
    #[default]
    Sampling = 0,
    /// From data to noise: t from `sampling_eps` to 1. The result is the code of the data, which is
    /// of standard deviation `sigma_max`, and from which sampling gives the data again.
    Encoding = 1,
}

/// How the divergence of the score, the trace of its Jacobian J, is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Divergence {
    /// Not at all.
    #[default]
    None = 0,
    /// Hutchinson's estimate ν·(J·ν) with a probe ν, from the caller's product J·ν or Jᵀ·ν.
    Product = 1,
    /// The same from two scores, ν·(s(x + h·ν) − s(x − h·ν))/2h, whose mean is the drift. It needs
    /// no product, but twice as many scores.
    Differences = 2,
    /// Exactly, from the products of all unit vectors: for tests, and for small samples.
    UnitProducts = 3,
    /// The same from scores at x ± h·(each unit vector), and one at x.
    UnitDifferences = 4,
}

impl Divergence {
    /// Every way.
    ///
    /// cbindgen:ignore
    pub const ALL: &'static [Self] =
        &[Self::None, Self::Product, Self::Differences, Self::UnitProducts, Self::UnitDifferences];
}

/// What an ODE job needs to know besides the configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OdeOptions {
    /// Seed of the counter noise.
    pub seed: u64,
    /// Stream of the initial sample's counter noise. A probe takes the one after it.
    pub stream: u64,
    /// Who makes the initial sample's noise.
    pub noise: SamplerNoise,
    /// Whether the initial sample is the caller's, as it always is in encoding: a code.
    pub start: bool,
    /// The relative tolerance, default 1e-5. Below 1e-7 nothing is gained, since the sample is
    /// `f32`.
    pub rtol: f64,
    /// The absolute tolerance, default 1e-5. With 0, an element that is 0 where its derivative is
    /// not is `NonFiniteScore`: nothing measures its error.
    pub atol: f64,
    /// The longest step, default ∞.
    pub max_step: f64,
    /// The first step. If it is not given, it is chosen, for one more evaluation. A first step
    /// longer than the interval is cut, where scipy refuses it.
    pub first_step: Option<f64>,
    /// How many evaluations there may be; 0, the default, is no limit. A step that would exceed it
    /// is not begun: the call fails, and the step before it is not taken.
    pub max_evaluations: u64,
    /// The variable.
    pub variable: OdeVariable,
    /// The direction.
    pub direction: OdeDirection,
    /// How the divergence is computed. It is meant for encoding, where its integral makes a
    /// log-density of the code's; in sampling the integral has the other sign.
    pub divergence: Divergence,
    /// Who makes the probe: by default it is ±1, the signs of counter noise
    /// ([`Ode::probe`](super::Ode::probe)).
    pub probe: SamplerNoise,
    /// Whether the log-densities do not count in the error: then steps and sample are those of a
    /// job without a divergence. In `score_sde` they count.
    pub state_only: bool,
    /// The distance of differences over sigma, default 0.01.
    pub difference: f64,
}

impl Default for OdeOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            stream: 0,
            noise: SamplerNoise::Counter,
            start: false,
            rtol: 1e-5,
            atol: 1e-5,
            max_step: f64::INFINITY,
            first_step: None,
            max_evaluations: 0,
            variable: OdeVariable::Time,
            direction: OdeDirection::Sampling,
            divergence: Divergence::None,
            probe: SamplerNoise::Counter,
            state_only: false,
            difference: 0.01,
        }
    }
}

/// What the caller is to do before it calls [`Ode::next`](super::Ode::next) again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OdeRequest {
    /// Evaluate the score of `input` at this noise scale, into `model_output`.
    Score {
        /// The noise scale, for the network.
        sigma: f32,
        /// The continuous timestep.
        timestep: f32,
        /// The ODE's variable.
        u: f64,
        /// Which derivative of a step, from 1 to 7; 0 for the one that helps to choose the first
        /// step.
        stage: u32,
        /// Whether a step was accepted just before: the sample is a new one.
        accepted: bool,
    },
    /// The same, and its Jacobian's product with the probe, into `product`.
    ScoreAndProduct {
        /// As in [`Score`](Self::Score).
        sigma: f32,
        /// As in [`Score`](Self::Score).
        timestep: f32,
        /// As in [`Score`](Self::Score).
        u: f64,
        /// As in [`Score`](Self::Score).
        stage: u32,
        /// As in [`Score`](Self::Score).
        accepted: bool,
    },
    /// The Jacobian's product with a unit vector of each sample, at the last score's input, into
    /// `product`; the model output is left as it is.
    Product {
        /// The noise scale.
        sigma: f32,
        /// The continuous timestep.
        timestep: f32,
        /// Which element of each sample is 1.
        unit: usize,
    },
    /// Fill `noise` with as many standard normal numbers as the sample has elements.
    Noise {
        /// Which draw: 0, the initial sample's.
        draw: u64,
    },
    /// Nothing: the sample is the result.
    Done,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct OdeStats {
    /// Evaluations of the ODE's right side so far, scipy's `nfev`. Each is a score; for
    /// a divergence a score and a product, or two scores, or those of all unit vectors.
    pub evaluations: u64,
    /// Accepted steps.
    pub accepted: u64,
    /// Rejected tries.
    pub rejected: u64,
    /// The ODE's variable where the sample is.
    pub u: f64,
    /// The continuous time there.
    pub t: f64,
    /// The magnitude of the step that is tried.
    pub h: f64,
}
