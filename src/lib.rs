//! The variance-exploding SDE of score-based generative models (Song et al. 2021, "Score-based
//! generative modeling through stochastic differential equations"; diffusers'
//! `ScoreSdeVeScheduler`): all that happens on the caller's `f32` slices between two calls of the
//! caller's network.
//!
//! - [`Sampler`]: the predictor–corrector loop, with every [`Predictor`] and [`Corrector`] of the
//!   paper's code, and ncsnv2's annealed Langevin dynamics. [`Scheduler`] and [`Schedule`] have its
//!   steps and their coefficients.
//! - [`Ode`]: the probability-flow ODE with an adaptive step, for sampling, latent codes and
//!   [likelihoods](log_likelihood).
//! - [`impute`], [`recolour`] and [`guide`]: inpainting, colorization and guidance.
//!
//! The repository's docs/ has a page for each job. Of all of them:
//!
//! - No allocation, no panics, no state but the caller's: bad input is an [`Error`], and outputs
//!   are then untouched.
//! - The same inputs give the same bits on every machine, for every split of the work, in the
//!   floating-point environment that every program begins with: round to nearest, subnormals kept
//!   ([`float_environment_is_default`] tells whether it holds).
//! - With torch's or NumPy's noise ([`TorchCpu`], [`TorchCuda`], [`Numpy`]) it gives the pictures
//!   of diffusers from the same seed.
//!
//! ```
//! use vesde::{Buffers, Config, Request, Sampler, SamplerOptions, Schedule, set_sigmas, set_timesteps};
//!
//! const STEPS: usize = 20;
//! let config = Config { sigma_max: 10.0, ..Config::default() };
//! let (mut timesteps, mut sigmas, mut discrete_sigmas) = ([0.0; STEPS], [0.0; STEPS], [0.0; STEPS]);
//! set_timesteps(&config, &mut timesteps)?;
//! set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
//! let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
//!
//! let (mut sample, mut score) = ([0.0; 64], [0.0; 64]);
//! let options = SamplerOptions { seed: 42, ..SamplerOptions::default() };
//! let mut sampler = Sampler::new(&config, 1, options)?;
//! while let Request::Score { sigma, .. } = sampler.next(&schedule, Buffers::new(&mut sample, &score))? {
//!     for (s, x) in score.iter_mut().zip(&sample) {
//!         *s = (0.5 - x) / (sigma * sigma + 0.01); // the network's place: here a Gaussian about 0.5
//!     }
//! }
//! assert!(sample.iter().all(|x| (0.0..=1.0).contains(x)));
//! # Ok::<(), vesde::Error>(())
//! ```

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
mod inverse;
mod kernels;
mod noise;
mod norms;
mod sampler;
mod schedule;
#[allow(unsafe_code)]
mod simd;
mod steps;

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
pub use inverse::{Imputation, Recolouring, couple, decouple, guide, impute, recolour, tweedie};
pub use noise::{
    AnyGenerator, Counter, CudaGrid, Generator, GeneratorKind, Noise, Numpy, TorchCpu, TorchCuda,
    fill_from_rng, fill_from_words, randn,
};
pub use norms::{
    Averaging, CorrectorStep, NORM_BLOCK, Norm, annealed_step, corrector_step, mean_norm, norm_blocks,
    sample_norm, sum_squares, torch_norm,
};
pub use rand_core;
pub use sampler::{
    After, Buffers, Churn, Conditions, Corrector, Denoised, Divergence, Keep, LogLikelihood, Method, Ode,
    OdeBuffers, OdeDirection, OdeDots, OdeKeep, OdeOptions, OdePlan, OdePrior, OdeReduction, OdeRequest,
    OdeSample, OdeScore, OdeShift, OdeStats, OdeSum, OdeSums, OdeTerm, OdeVariable, Operand, Plan, PlanNoise,
    PlanTerm, Prediction, Reduction, Request, Sampler, SamplerNoise, SamplerOptions, SamplerResult,
    bits_per_dim, log_likelihood, prior_log_density,
};
pub use schedule::{
    Predictor, PredictorStep, Schedule, set_geometric_sigmas, set_karras_sigmas, set_ncsnv2_sigmas,
    set_sigmas, set_timesteps,
};
pub use simd::{SimdLevel, float_environment_is_default, limit_simd_level, simd_level};
pub use steps::{Combination, MOST_TERMS, Scheduler, Step, linear};
