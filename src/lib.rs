//! Torch's and CUDA's noise, and exact samplers of score-based generative models: all that happens
//! on the caller's `f32` slices between two calls of the caller's network.
//!
//! It grew from the variance-exploding SDE (Song et al. 2021, "Score-based generative modeling
//! through stochastic differential equations"; diffusers' `ScoreSdeVeScheduler`). The network may
//! give a score, ε, v or the denoised sample.
//!
//! ```
//! use vesde::{Buffers, Config, Request, Sampler, SamplerOptions, Schedule};
//! use vesde::{set_sigmas, set_timesteps};
//!
//! const STEPS: usize = 20;
//! let config = Config { sigma_max: 10.0, ..Config::default() };
//! let (mut timesteps, mut sigmas) = ([0.0; STEPS], [0.0; STEPS]);
//! let mut discrete_sigmas = [0.0; STEPS];
//! set_timesteps(&config, &mut timesteps)?;
//! set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
//! let schedule =
//!     Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
//!
//! let (mut sample, mut score) = ([0.0; 64], [0.0; 64]);
//! let options = SamplerOptions { seed: 42, ..SamplerOptions::default() };
//! let mut sampler = Sampler::new(&config, 1, options)?;
//! loop {
//!     let buffers = Buffers::new(&mut sample, &score);
//!     let Request::Score { sigma, .. } = sampler.next(&schedule, buffers)? else { break };
//!     for (s, x) in score.iter_mut().zip(&sample) {
//!         *s = (0.5 - x) / (sigma * sigma + 0.01); // your network; here a Gaussian about 0.5
//!     }
//! }
//! assert!(sample.iter().all(|x| (0.0..=1.0).contains(x)));
//! # Ok::<(), vesde::Error>(())
//! ```
//!
//! # Which function for what
//!
//! | job | take |
//! |---|---|
//! | pictures in 5 to 50 calls of the network | [`Sampler`] with [`Method::Dpmpp2m`] |
//! | pictures by the paper's loop | [`Sampler`] with a [`Predictor`] and a [`Corrector`] |
//! | latent codes | [`Ode`] |
//! | likelihoods | [`Ode`] with a [`Divergence`], [`log_likelihood`], [`bits_per_dim`] |
//! | inpainting, colorization | [`impute`], [`recolour`] at each [`Request::Condition`] |
//! | guidance | [`guide`] |
//! | torch's or NumPy's noise | [`TorchCpu`], [`TorchCuda`], [`Numpy`], [`AnyGenerator`] |
//! | noise without a state, in any order | [`Counter`] |
//! | noise of a GPU, by its name | [`CudaGrid::of_gpu`] |
//! | noise from another generator | [`fill_from_rng`], [`fill_from_words`] |
//! | tables of sigmas | [`set_karras_sigmas`], [`set_geometric_sigmas`], [`set_sigmas`] |
//! | ncsnv2's table | [`set_ncsnv2_sigmas`], [`Corrector::Ncsnv2`] |
//! | a network that gives ε, v or the denoised sample | [`Prediction`] |
//! | a noisy sample, as training takes it | [`Scheduler::add_noise`] |
//! | the denoised sample of a score | [`tweedie`] |
//! | single steps | [`Scheduler`] |
//! | a solver of your own | [`linear`] of a [`Combination`] |
//! | your threads, your GPU | [`Sampler::plan`], [`Ode::plan`] |
//! | diffusers' `scheduler_config.json` | [`Config::from_json`] |
//!
//! The repository's docs/ has a page for each job: equation, loop, cost, when to use it.
//!
//! # Promises
//!
//! - **Bits.** The same inputs give the same bits on every machine, for every split of the work.
//!   This holds in the floating-point environment that every program begins with: round to
//!   nearest, subnormals kept ([`float_environment_is_default`]).
//! - **Parity.** With torch's or NumPy's noise you get diffusers' pictures of the same seed.
//! - **Errors.** Bad input is an [`Error`], and outputs are then untouched. Nothing panics.
//! - **State.** All state is the caller's: plain values, which copy and go on like the original.
//!   Nothing allocates, and nothing is global but the detected [`SimdLevel`].
//!
//! # Threads
//!
//! The library starts none. Steps and [`linear`] work on any part of the buffers: give each thread
//! its part, with counter noise from the part's offset on ([`Counter::at`]). Norms are sums over
//! blocks, which threads share as well ([`sum_squares`]). [`Sampler::plan`] and [`Plan::run`] do a
//! whole job in parts.
//!
//! # `no_std`
//!
//! The crate needs neither std nor alloc, and no feature for that. AVX2 and AVX-512 are detected at
//! run time, also without std; other targets use what they were compiled for.
//!
//! # Features
//!
//! - `capi`: the C ABI, module `capi`, for programs in C and C++. Its reference is
//!   [include/vesde.h](https://docs.rs/crate/vesde/latest/source/include/vesde.h).
//! - `header`: writes `include/vesde.h` anew; for maintainers.
//!
//! [`AnyGenerator`]: noise::AnyGenerator
//! [`CudaGrid::of_gpu`]: noise::CudaGrid::of_gpu
//! [`Divergence`]: ode::Divergence
//! [`Numpy`]: noise::Numpy
//! [`Ode`]: ode::Ode
//! [`Ode::plan`]: ode::Ode::plan
//! [`Plan::run`]: plan::Plan::run
//! [`TorchCpu`]: noise::TorchCpu
//! [`TorchCuda`]: noise::TorchCuda
//! [`bits_per_dim`]: ode::bits_per_dim
//! [`fill_from_rng`]: noise::fill_from_rng
//! [`fill_from_words`]: noise::fill_from_words
//! [`guide`]: inverse::guide
//! [`impute`]: inverse::impute
//! [`log_likelihood`]: ode::log_likelihood
//! [`recolour`]: inverse::recolour
//! [`sum_squares`]: norms::sum_squares
//! [`tweedie`]: inverse::tweedie

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

#[cfg(all(target_arch = "x86", not(target_feature = "sse2")))]
compile_error!("the x87 unit rounds twice: vesde needs SSE2 to give the same bits");

#[allow(unsafe_code)]
mod buf;
#[cfg(feature = "capi")]
#[allow(unsafe_code)]
pub mod capi;
mod config;
mod error;
pub mod inverse;
mod kernels;
pub mod noise;
pub mod norms;
mod sampler;
mod schedule;
#[allow(unsafe_code)]
mod simd;
mod steps;

/// The probability-flow ODE: sampling, latent codes and likelihoods by [`Ode`](ode::Ode), whole or
/// in parts.
pub mod ode {
    pub use crate::sampler::{
        Divergence, LogLikelihood, Ode, OdeBuffers, OdeDirection, OdeDots, OdeKeep, OdeOptions, OdePlan,
        OdePrior, OdeReduction, OdeRequest, OdeSample, OdeScore, OdeShift, OdeStats, OdeSum, OdeSums,
        OdeTerm, OdeVariable, bits_per_dim, log_likelihood, prior_log_density,
    };
}

/// What a turn of the [`Sampler`] does, as terms and factors, for whoever does it on threads of
/// their own, in a graph or on a GPU.
pub mod plan {
    pub use crate::sampler::{Denoised, Keep, Operand, Plan, PlanNoise, PlanTerm, Reduction};
}

/// The pages whose Rust is compiled.
#[cfg(doctest)]
mod docs {
    #[doc = include_str!("../docs/inverse-problems.md")]
    mod inverse_problems {}
    #[doc = include_str!("../docs/likelihood.md")]
    mod likelihood {}
    #[doc = include_str!("../docs/samplers.md")]
    mod samplers {}
}

pub use buf::{In, Out};
pub use config::Config;
pub use error::Error;
pub use noise::{Counter, Noise};
pub use norms::{Averaging, Norm};
pub use rand_core;
pub use sampler::{
    After, Buffers, Churn, Conditions, Corrector, Method, Prediction, Request, Sampler, SamplerNoise,
    SamplerOptions, SamplerResult,
};
pub use schedule::{
    Predictor, PredictorStep, Schedule, set_geometric_sigmas, set_karras_sigmas, set_ncsnv2_sigmas,
    set_sigmas, set_timesteps,
};
pub use simd::{SimdLevel, float_environment_is_default, limit_simd_level, simd_level};
pub use steps::{Combination, MOST_TERMS, Scheduler, Step, linear};
