//! The options of a job.

use crate::norms::{Averaging, Norm};
use crate::schedule::Predictor;

/// Who makes the noise of a whole job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum SamplerNoise {
    /// Counter noise, a stream for every draw: the initial sample takes the stream of the options,
    /// each later draw the next one. The job never asks for noise.
    #[default]
    Counter = 0,
    /// The caller. A request asks for each draw, in diffusers' order; with `next_drawing` the
    /// caller's generators draw.
    Given = 1,
}

/// The result of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum SamplerResult {
    /// `prev_sample_mean`: the last step without its noise, as in diffusers' pipeline.
    #[default]
    Mean = 0,
    /// `prev_sample`, with the last noise in it (`noise_removal=False` in `score_sde`).
    Noisy = 1,
    /// `prev_sample`, denoised by one more score at the last sigma: x + σ²·score, Tweedie's formula
    /// (ncsnv2's `denoise`).
    Denoised = 2,
}

/// The corrector: how the step size ε of its steps is made. The factor of the noise is √(2ε).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Corrector {
    /// From the norms of score and noise, as diffusers has it (Song et al. 2021, algorithm 4): ε =
    /// 2·(snr·‖noise‖/‖score‖)².
    #[default]
    Langevin = 0,
    /// From the noise scale (`score_sde`'s `ald`): ε = 2·(snr·σ)².
    AnnealedLangevin = 1,
    /// From the noise scale and the last one: ε = `step_lr`·(σ/last σ)². With no predictor,
    /// `set_ncsnv2_sigmas` and a denoised result it is the annealed Langevin dynamics of ncsnv2
    /// (Song and Ermon 2020), which starts from uniform noise that the caller gives.
    Ncsnv2 = 2,
    /// No corrector: no step, no score and no draw.
    None = 3,
}

impl Corrector {
    /// Every corrector.
    ///
    /// cbindgen:ignore
    pub const ALL: &'static [Self] = &[Self::Langevin, Self::AnnealedLangevin, Self::Ncsnv2, Self::None];
}

/// Whether a job stops for the caller to change its sample: for inpainting and other conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Conditions {
    /// It does not.
    #[default]
    None = 0,
    /// It does, and each such request has a draw of noise, except the one for the initial sample,
    /// as in `score_sde`'s inpainting and colorization. For a sample that the caller gives there is
    /// no such first request.
    Drawing = 1,
    /// It does, without noise.
    Quiet = 2,
}

/// The point at which a job asks for a change of its sample: after which of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum After {
    /// The initial sample.
    Initial = 0,
    /// All corrections of a step.
    Corrector = 1,
    /// The prediction of a step.
    Predictor = 2,
}

/// The method of a job: how it goes from noise to a sample.
///
/// All methods but the first go along a table of sigmas, [`Schedule::sigmas`], and use nothing else
/// of the schedule. A table of n + 1 sigmas, each less than the one before, has n steps. The last
/// sigma may be 0: that step gives the denoised sample, whatever the method.
/// [`set_geometric_sigmas`] and [`set_karras_sigmas`] make such tables.
///
/// With [`eta`](SamplerOptions::eta) 0 they follow the probability-flow ODE. With an η above 0 the
/// methods that say so add noise.
///
/// Measured on examples/digits (study.py): [`Dpmpp2m`](Self::Dpmpp2m) is the one to take: with η 1
/// or ½ for the best pictures from 5 to 20 calls of the network, with η 0 for a result that depends
/// on the initial noise alone.
///
/// [`Schedule::sigmas`]: crate::Schedule::sigmas
/// [`set_geometric_sigmas`]: crate::set_geometric_sigmas
/// [`set_karras_sigmas`]: crate::set_karras_sigmas
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Method {
    /// Song et al. 2021, algorithm 1, as diffusers has it, with the options' predictor and
    /// corrector.
    #[default]
    PredictorCorrector = 0,
    /// Euler's method in σ, which is DDIM and DPM-Solver-1; of order 1. With η it is Euler
    /// ancestral, with churn k-diffusion's Euler.
    Euler = 1,
    /// Heun's method in σ (Karras et al. 2022, algorithm 1; with churn algorithm 2); of order 2,
    /// with two calls a step, except the step to 0.
    Heun = 2,
    /// DPM-Solver-2 (Lu et al. 2022), the midpoint in log σ; of order 2, with two calls a step,
    /// except the step to 0. With η it is k-diffusion's DPM2 ancestral.
    Dpm2 = 3,
    /// DPM-Solver++(2S); of order 2, with two calls a step, except the step to 0. With η it is
    /// DPM++ 2S a.
    Dpmpp2s = 4,
    /// DPM-Solver++(2M) with midpoint weights, k-diffusion's and diffusers' default; of order 2.
    /// With η it is DPM++ 2M SDE.
    Dpmpp2m = 5,
    /// The same with exact weights (`solver_type` "heun").
    Dpmpp2mExact = 6,
    /// The third-order multistep method as it was published and as dpm-solver, diffusers and
    /// k-diffusion (3M SDE) have it, with half the second difference. It is of order 2, and is here
    /// for comparison with them.
    Dpmpp3mPublished = 7,
    /// The same with the second difference at full weight: of order 3, on tables whose first sigma
    /// is so large that Euler's first step does no harm. With η it is stochastic.
    Dpmpp3m = 8,
    /// UniPC-2 (Zhao et al. 2023, `bh2`): of order 3.
    Unipc2 = 9,
    /// UniPC-3.
    Unipc3 = 10,
    /// Linear multistep in σ (Adams), of the options' order.
    Lms = 11,
    /// The same with the weights of equal steps whatever the table (iPNDM): of order 2 at most,
    /// with small errors.
    Ipndm = 12,
}

impl Method {
    /// Every method.
    ///
    /// cbindgen:ignore
    pub const ALL: &'static [Self] = &[
        Self::PredictorCorrector,
        Self::Euler,
        Self::Heun,
        Self::Dpm2,
        Self::Dpmpp2s,
        Self::Dpmpp2m,
        Self::Dpmpp2mExact,
        Self::Dpmpp3mPublished,
        Self::Dpmpp3m,
        Self::Unipc2,
        Self::Unipc3,
        Self::Lms,
        Self::Ipndm,
    ];

    /// Whether η adds noise to its steps.
    pub(super) fn takes_eta(self) -> bool {
        let deterministic = [Self::PredictorCorrector, Self::Unipc2, Self::Unipc3, Self::Lms, Self::Ipndm];
        !deterministic.contains(&self)
    }

    /// Whether its steps may begin with churn.
    pub(super) fn takes_churn(self) -> bool {
        matches!(self, Self::Euler | Self::Heun | Self::Dpm2)
    }

    /// Whether its order is an option.
    pub(super) fn takes_order(self) -> bool {
        matches!(self, Self::Lms | Self::Ipndm)
    }

    /// Whether it remembers nothing between steps.
    pub(super) fn is_single_step(self) -> bool {
        matches!(self, Self::Euler | Self::Heun | Self::Dpm2 | Self::Dpmpp2s)
    }
}

/// The output of the network, and the denoised sample D that follows from it; x is the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Prediction {
    /// The score s: D = x + σ²·s.
    #[default]
    Score = 0,
    /// The noise ε: D = x − σ·ε.
    Epsilon = 1,
    /// D itself.
    Denoised = 2,
    /// The velocity v of a variance-preserving network (Salimans and Ho 2022), for the sample and
    /// the noise scale σ = √((1 − ᾱ)/ᾱ) of this library: D = x/(σ² + 1) − σ/√(σ² + 1)·v. The
    /// network's own sample is x/√(σ² + 1).
    V = 3,
}

impl Prediction {
    /// Every kind of output.
    ///
    /// cbindgen:ignore
    pub const ALL: &'static [Self] = &[Self::Score, Self::Epsilon, Self::Denoised, Self::V];
}

/// Churn (Karras et al. 2022, algorithm 2), for the methods that say so. Before a step whose σ is
/// in `s_tmin..=s_tmax`, noise raises it to σ·(1 + γ) with γ = min(`s_churn`/steps, √2 − 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// How much; 0 for none.
    pub s_churn: f32,
    /// The least sigma that is raised.
    pub s_tmin: f32,
    /// The greatest.
    pub s_tmax: f32,
}

impl Default for Churn {
    fn default() -> Self {
        Self { s_churn: 0.0, s_tmin: 0.0, s_tmax: f32::INFINITY }
    }
}

/// What a sampler needs to know besides the configuration. The defaults are diffusers' behaviour on
/// counter noise of seed 0.
///
/// Image to image, from step 6 of 9 on:
///
/// ```
/// # use vesde::{Buffers, Config, Counter, Request, Sampler, SamplerOptions, Schedule, Scheduler};
/// # use vesde::{set_sigmas, set_timesteps};
/// # let config = Config::default();
/// # let (mut timesteps, mut sigmas, mut discrete_sigmas) = ([0.0; 9], [0.0; 9], [0.0; 9]);
/// # set_timesteps(&config, &mut timesteps)?;
/// # set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
/// # let schedule =
/// #     Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
/// # let (picture, mut sample, mut score) = ([0.5; 64], [0.0; 64], [0.0; 64]);
/// let (seed, step) = (42, 6);
/// let index = schedule.index(timesteps[step])? as i64;
/// let scheduler = Scheduler { config, schedule };
/// scheduler.add_noise(&picture, 1, &[index], Counter::new(seed, 0), &mut sample)?;
///
/// let options = SamplerOptions { seed, start: Some(step), ..SamplerOptions::default() };
/// let mut sampler = Sampler::new(&config, 1, options)?;
/// loop {
///     let buffers = Buffers::new(&mut sample, &score);
///     let Request::Score { sigma, .. } = sampler.next(&schedule, buffers)? else { break };
///     // network(&sample, sigma, &mut score)
/// #   for (s, x) in score.iter_mut().zip(&sample) { *s = (0.5 - x) / (sigma * sigma + 0.01); }
/// }
/// # Ok::<(), vesde::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SamplerOptions {
    /// Seed of the counter noise.
    pub seed: u64,
    /// Stream of the first draw of counter noise.
    pub stream: u64,
    /// Who makes the noise.
    pub noise: SamplerNoise,
    /// The method.
    pub method: Method,
    /// The output of the network. The predictor–corrector method takes the score.
    pub prediction: Prediction,
    /// The order of [`Method::Lms`] and [`Method::Ipndm`], up to 4; 0 is 4.
    pub order: u32,
    /// How much noise a step adds, in methods that take it: 0 for none, 1 for as much as the
    /// reverse-time SDE has.
    pub eta: f32,
    /// The factor of the noise of steps and of churn (EDM's and k-diffusion's `s_noise`): `None`
    /// for 1.
    pub s_noise: Option<f32>,
    /// The noise before a step.
    pub churn: Churn,
    /// The range that the denoised sample is clamped to in each step, in methods that go along
    /// sigmas. It biases samples with many values at the ends of the range: for those rather clamp
    /// the result.
    pub clamp_denoised: Option<(f32, f32)>,
    /// How the corrector averages its norms.
    pub averaging: Averaging,
    /// How the corrector computes its norms.
    pub norm: Norm,
    /// The predictor.
    pub predictor: Predictor,
    /// The corrector, which makes `correct_steps` steps for each timestep.
    pub corrector: Corrector,
    /// The step size of [`Corrector::Ncsnv2`] at the last sigma.
    pub step_lr: f32,
    /// Whether the job stops for changes of the sample.
    pub conditions: Conditions,
    /// The result of the job. Where the last update is a correction, it is the sample with its
    /// noise.
    pub result: SamplerResult,
    /// Whether the result is left as it is, and not clamped to 0..=1 as in diffusers' pipeline.
    pub unclamped: bool,
    /// `Some(k)` to start at step k, from the sample that the first
    /// [`Sampler::next`](crate::Sampler::next) is given. Draws and streams are numbered as if the
    /// job had come so far by itself. For image to image the sample is the picture with noise of
    /// that step's sigma ([`Scheduler::add_noise`](crate::Scheduler::add_noise), or
    /// [`linear`](crate::linear) of it and noise along a table); To resume a job, it is the sample
    /// that the job had before that step's first request; methods with history begin anew.
    pub start: Option<usize>,
}
