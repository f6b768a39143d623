//! Whole jobs by reverse communication: `next` says what the caller is to do, and is called again
//! when it is done. No callback, no buffer and no thread of its own, so it fits any engine.
//!
//! One machine walks through a job of steps: where it is is one number, how many requests it has
//! made. A method is a file of coefficients. The ODE, whose steps are found on the way, is another.

mod likelihood;
mod ode;
mod pc;
mod plan;
mod rk45;

use crate::buf::{self, In, Out};
use crate::config::Config;
use crate::error::{self, Error};
use crate::noise::{Counter, Generator, Noise, check_draw, randn};
use crate::norms::{Averaging, Norm};
use crate::schedule::{Predictor, Schedule, finite, in_range};
use crate::steps::{Combination, Scheduler, Step, linear};

pub use likelihood::{LogLikelihood, bits_per_dim, log_likelihood, prior_log_density};
pub use ode::{
    Divergence, Ode, OdeBuffers, OdeDirection, OdeDots, OdeKeep, OdeOptions, OdePlan, OdePrior, OdeReduction,
    OdeRequest, OdeSample, OdeScore, OdeShift, OdeStats, OdeSum, OdeSums, OdeTerm, OdeVariable,
};
pub use plan::{Keep, Operand, Plan, PlanTerm, Reduction};

/// Who makes the noise of a whole job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum SamplerNoise {
    /// Counter noise, a stream for every draw: the initial sample takes the stream of the options,
    /// each later draw the next one. No noise is ever asked for.
    #[default]
    Counter = 0,
    /// The caller, who is asked for every draw by a request, in diffusers' order, or whose
    /// generators draw (`next_drawing`).
    Given = 1,
}

/// Which of the last step's two results a job ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum SamplerResult {
    /// `prev_sample_mean`, from which the last noise has been removed, as diffusers' pipeline has
    /// it.
    #[default]
    Mean = 0,
    /// `prev_sample`, with the last noise in it (`noise_removal=False` in `score_sde`).
    Noisy = 1,
    /// `prev_sample`, denoised by one more score at the last sigma: x + σ²·score, Tweedie's formula
    /// (ncsnv2's `denoise`).
    Denoised = 2,
}

/// How a corrector step makes its step size ε; the noise's factor is √(2ε).
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
    /// No corrector: nothing is done, no score is asked for and nothing drawn.
    None = 3,
}

impl Corrector {
    /// Every corrector.
    ///
    /// cbindgen:ignore
    pub const ALL: &'static [Self] = &[Self::Langevin, Self::AnnealedLangevin, Self::Ncsnv2, Self::None];
}

/// Whether a job asks for the sample to be changed on the way: for inpainting and its like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Conditions {
    /// It does not.
    #[default]
    None = 0,
    /// It does, and each request but the initial sample's has a draw of noise, as `score_sde`'s
    /// inpainting and colorization have. A given sample is no initial one.
    Drawing = 1,
    /// It does, without noise.
    Quiet = 2,
}

/// Behind what a job asks for its sample to be changed.
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

/// What a sampler needs to know besides the configuration. The defaults are diffusers' behaviour on
/// counter noise of seed 0.
///
/// Image to image, from step 6 of 9 on:
///
/// ```
/// # use vesde::{Buffers, Config, Counter, Request, Sampler, SamplerOptions, Schedule, Scheduler, set_sigmas, set_timesteps};
/// # let config = Config::default();
/// # let (mut timesteps, mut sigmas, mut discrete_sigmas) = ([0.0; 9], [0.0; 9], [0.0; 9]);
/// # set_timesteps(&config, &mut timesteps)?;
/// # set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
/// # let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
/// # let (picture, mut sample, mut score) = ([0.5; 64], [0.0; 64], [0.0; 64]);
/// let (seed, step) = (42, 6);
/// let index = schedule.index(timesteps[step])? as i64;
/// let scheduler = Scheduler { config, schedule };
/// scheduler.add_noise(&picture, 1, &[index], Counter::new(seed, 0), &mut sample)?;
///
/// let options = SamplerOptions { seed, start: Some(step), ..SamplerOptions::default() };
/// let mut sampler = Sampler::new(&config, 1, options)?;
/// while let Request::Score { sigma, .. } = sampler.next(&schedule, Buffers::new(&mut sample, &score))? {
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
    /// Over what the corrector averages.
    pub averaging: Averaging,
    /// How the corrector computes its norms.
    pub norm: Norm,
    /// How the predictor goes on.
    pub predictor: Predictor,
    /// How the corrector makes its steps, `correct_steps` of them for each timestep.
    pub corrector: Corrector,
    /// The step size of [`Corrector::Ncsnv2`] at the last sigma.
    pub step_lr: f32,
    /// Whether the sample is handed over on the way.
    pub conditions: Conditions,
    /// Which of the last step's results is the final sample. Where the last update is a
    /// correction, that is the sample with its noise.
    pub result: SamplerResult,
    /// Whether the final sample is left as it is, and not clamped to 0..=1 as diffusers' pipeline
    /// does.
    pub unclamped: bool,
    /// `Some(k)` to start at step k from the sample that the first [`Sampler::next`] is given, as
    /// if the job had come so far by itself: draws and streams are numbered accordingly. For image
    /// to image the sample is the picture with noise of that step's sigma
    /// ([`Scheduler::add_noise`]); to resume, it is the one that a job had before that step's first
    /// correction.
    pub start: Option<usize>,
}

/// The buffers of a job, of one length.
#[derive(Debug)]
pub struct Buffers<'a> {
    pub(crate) sample: Out<'a>,
    pub(crate) model_output: In<'a>,
    pub(crate) noise: Option<In<'a>>,
    pub(crate) workspace: Out<'a>,
}

impl<'a> Buffers<'a> {
    /// The sample, and what the network made of it.
    #[must_use]
    pub fn new(sample: &'a mut [f32], model_output: impl Into<In<'a>>) -> Self {
        let (sample, model_output) = (sample.into(), model_output.into());
        Self { sample, model_output, noise: None, workspace: Out::NONE }
    }

    /// With the noise that [`Request::Noise`] has asked for.
    #[must_use]
    pub fn with_noise(self, noise: impl Into<In<'a>>) -> Self {
        Self { noise: Some(noise.into()), ..self }
    }

    /// With the history of the job, [`Sampler::workspace_len`] floats, to be left alone between
    /// calls.
    #[must_use]
    pub fn with_workspace(self, workspace: &'a mut [f32]) -> Self {
        Self { workspace: workspace.into(), ..self }
    }

    /// Checks all that the sampler asks of its buffers.
    fn check(&self, batch: u64, workspace_len: usize) -> Result<(), Error> {
        let Self { sample, model_output, noise, workspace } = self;
        buf::check(&[*model_output, noise.unwrap_or(*model_output)], &[sample])?;
        let batch = usize::try_from(batch).map_err(|_| Error::LengthMismatch)?;
        if sample.len().checked_rem(batch) != Some(0) {
            return Err(Error::LengthMismatch);
        }
        if workspace.len() < workspace_len {
            return Err(Error::BufferTooSmall);
        }
        let ins = [Some(sample.as_in()), Some(*model_output), *noise];
        if ins.into_iter().flatten().any(|x| workspace.overlaps(x)) {
            return Err(Error::Overlap);
        }
        Ok(())
    }
}

/// What the caller is to do before it calls [`Sampler::next`] again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    /// Evaluate the score of `sample` at this noise scale, into `model_output`.
    Score {
        /// The noise scale, from `sigmas`: what the network is given.
        sigma: f32,
        /// The continuous timestep.
        timestep: f32,
        /// What a network of discrete noise levels is given: N − 1 − [`Schedule::index`], with N
        /// the number of timesteps, 0 for the largest sigma. It is `score_sde`'s label, round((1 −
        /// t)·(N − 1)), where `sampling_eps` is 1e-6 or more and times N − 1 less than ½; elsewhere
        /// that may differ by 1, and this goes with the sigma that the step looks up. With
        /// [`Corrector::Ncsnv2`] it is the step, ncsnv2's index of the level.
        label: usize,
        /// The step, from 0 to the number of timesteps less one.
        step: usize,
        /// The corrector step within it; equal to their number for the predictor step, and 0 for
        /// the score that [`SamplerResult::Denoised`] takes.
        correction: u32,
    },
    /// Fill `noise` with as many standard normal numbers as the sample has elements.
    Noise {
        /// Which draw: 0 is the initial sample's, later ones are those of the steps in diffusers'
        /// order. They may come from different generators.
        draw: u64,
    },
    /// Change `sample` as the job's condition demands, for example by [`impute`](crate::impute).
    /// What is known of the sample is to have noise of `sigma`.
    Condition {
        /// The noise scale that belongs to the timestep, from `sigmas`.
        sigma: f32,
        /// The continuous timestep.
        timestep: f32,
        /// The step.
        step: usize,
        /// Behind what.
        after: After,
        /// Which draw its noise is, if it has one: counter noise of the options' stream plus this
        /// number, or the next numbers of the caller's generator. 0 for the initial sample, which
        /// has none of its own.
        draw: u64,
        /// Whether nothing comes after it: the result is the sample as it then is.
        last: bool,
    },
    /// Nothing: the sample is the result.
    Done,
}

/// The initial sample's draw.
const INITIAL_DRAW: u64 = 0;

/// The state of a job. Plain data, owned by the caller: a copy, taken at any time together with a
/// copy of the sample, continues like the original.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sampler {
    config: Config,
    seed: u64,
    /// The stream of the first draw.
    stream: u64,
    batch: u64,
    /// The step that the job starts at.
    first_step: u64,
    /// How many requests were made: where the job is.
    turn: u64,
    noise: i32,
    averaging: i32,
    norm: i32,
    unclamped: i32,
    result: i32,
    /// Whether the initial sample is the caller's.
    start: i32,
    predictor: i32,
    corrector: i32,
    conditions: i32,
    step_lr: f32,
}

// Without padding: it is compared and copied byte by byte.
const _: () =
    assert!(size_of::<Sampler>() == size_of::<Config>() + 5 * size_of::<u64>() + 10 * size_of::<i32>());

/// What a state's numbers mean.
#[derive(Clone, Copy)]
struct Modes {
    gives_noise: bool,
    averaging: Averaging,
    norm: Norm,
    unclamped: bool,
    result: SamplerResult,
    is_started: bool,
    predictor: Predictor,
    corrector: Corrector,
    conditions: Conditions,
    step_lr: f32,
}

/// One of the updates of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Update {
    /// The initial sample.
    Initial,
    /// A correction of a step, by its number within it.
    Correction(u64, u64),
    /// The prediction of a step.
    Prediction(u64),
    /// The denoising behind the last step.
    Denoising,
}

/// What is asked for in a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The score for an update.
    Score(Update),
    /// The noise of an update.
    Noise(Update),
    /// A change of the sample, in a step.
    Condition(After, u64),
    /// Nothing more.
    Done,
    /// There is no such turn.
    Nothing,
}

impl Sampler {
    /// A sampler for a batch of `batch` samples.
    ///
    /// # Errors
    /// Those of [`Config::validate`]; `Empty` where the batch is zero; `InvalidSnr` where `step_lr`
    /// is negative or not finite.
    pub fn new(config: &Config, batch: usize, options: SamplerOptions) -> Result<Self, Error> {
        config.validate()?;
        if batch == 0 {
            return Err(Error::Empty);
        }
        if !(options.step_lr >= 0.0 && options.step_lr.is_finite()) {
            return Err(Error::InvalidSnr);
        }
        Ok(Self {
            config: *config,
            seed: options.seed,
            stream: options.stream,
            batch: batch as u64,
            first_step: options.start.unwrap_or(0) as u64,
            turn: 0,
            noise: options.noise as i32,
            averaging: options.averaging as i32,
            norm: options.norm as i32,
            unclamped: i32::from(options.unclamped),
            result: options.result as i32,
            start: i32::from(options.start.is_some()),
            predictor: options.predictor as i32,
            corrector: options.corrector as i32,
            conditions: options.conditions as i32,
            step_lr: options.step_lr,
        })
    }

    /// How many floats of history a job of `len` floats keeps in its workspace: none in the
    /// predictor–corrector method.
    ///
    /// # Errors
    /// `InvalidSampler` where the state is not one that this type makes; `TooLarge`.
    pub fn workspace_len(&self, len: usize) -> Result<usize, Error> {
        self.modes()?;
        pc::KEPT.checked_mul(len).ok_or(Error::TooLarge)
    }

    /// Takes what the last request asked for, advances the sample, and says what is needed next.
    ///
    /// The first call makes the initial sample, unless the options say that it is there; what the
    /// buffers held does not matter otherwise. After [`Request::Done`] the sample is the result,
    /// which the options choose: the last predictor step's `prev_sample_mean`, clamped, by default.
    /// Noise is needed only where [`Request::Noise`] has asked for it. All buffers have the same
    /// length at every call.
    ///
    /// # Errors
    /// Those of [`Scheduler::step_pred`] and [`Scheduler::step_correct`], the former also where a
    /// timestep or a sigma that the network would be asked about is none, or the options start
    /// behind the last step; `LengthMismatch` where `sigmas` is shorter than `timesteps` or the
    /// batch does not divide the sample; `NullPointer` where noise was asked for and is missing;
    /// `BufferTooSmall` for the workspace; `SamplerDone` after `Done`; `InvalidSampler` where the
    /// state is not one that this type makes, or the schedule has lost the current step. A score
    /// that is not a number is noticed by corrector steps only. After an error state and sample are
    /// as before: the call can be repeated.
    pub fn next(&mut self, schedule: &Schedule<'_>, buffers: Buffers<'_>) -> Result<Request, Error> {
        self.next_if(schedule, buffers, &|_| Ok(()))
    }

    /// The same, unless the request is one that cannot be answered.
    fn next_if(
        &mut self,
        schedule: &Schedule<'_>,
        buffers: Buffers<'_>,
        check: &dyn Fn(Request) -> Result<(), Error>, // not generic: once in the library
    ) -> Result<Request, Error> {
        let modes = self.modes()?;
        let (plan, request) = self.turn(schedule, modes)?;
        buffers.check(self.batch, self.workspace_len(buffers.sample.len())?)?;
        let noise = match buffers.noise {
            _ if !modes.gives_noise => plan.counter.into(),
            Some(noise) => Noise::Given(noise),
            None if !plan.reads_noise() => Noise::None,
            None => return Err(Error::NullPointer),
        };
        check(request)?;
        run(&plan, &buffers, self.batch, noise)?;
        self.turn += 1;
        Ok(request)
    }

    /// [`next`](Self::next) that draws by itself where noise is asked for: [`randn`] of
    /// `generators`, one or one for each sample of the batch, into `noise`, which is to be left
    /// alone between calls. [`Request::Noise`] does not come. A job whose initial sample is another
    /// generator's passes that one until the first [`Request::Score`]. What a
    /// [`Request::Condition`] draws is drawn, too, also in a job that makes its own noise.
    ///
    /// # Errors
    /// Those of [`next`](Self::next) and [`randn`]. A draw that was made stays made: the call can
    /// be repeated.
    pub fn next_drawing<G: Generator>(
        &mut self,
        schedule: &Schedule<'_>,
        buffers: Buffers<'_>,
        generators: &mut [G],
        noise: &mut [f32],
    ) -> Result<Request, Error> {
        self.next_drawn(schedule, buffers, generators, noise.into())
    }

    /// The same with noise that C promises to be initialised where a call before drew it.
    pub(crate) fn next_drawn<G: Generator>(
        &mut self,
        schedule: &Schedule<'_>,
        buffers: Buffers<'_>,
        generators: &mut [G],
        noise: Out<'_>,
    ) -> Result<Request, Error> {
        if ![1, self.batch].contains(&(generators.len() as u64)) {
            return Err(Error::LengthMismatch);
        }
        let draws = |request| match request {
            Request::Noise { .. } => true,
            Request::Condition { draw, .. } => draw != INITIAL_DRAW,
            _ => false,
        };
        loop {
            let buffers = Buffers {
                sample: buffers.sample.again(),
                model_output: buffers.model_output,
                noise: Some(noise.as_in()),
                workspace: buffers.workspace.again(),
            };
            // The sample goes on only if the draw behind it can be made.
            let request = self.next_if(schedule, buffers, &|request| {
                if draws(request) { check_draw(generators, noise.len()).map(drop) } else { Ok(()) }
            })?;
            if draws(request) {
                randn(generators, noise.again())?;
            }
            if !matches!(request, Request::Noise { .. }) {
                return Ok(request);
            }
        }
    }

    /// [`next`](Self::next) without buffers, for an engine that runs the plan where its tensors
    /// are: what is to be done with the answer to the last request, and what is needed then. What
    /// [`next`](Self::next) checks of buffers is left to the caller, and the factors of a
    /// [`Reduction`]. The state goes on by one turn, whatever becomes of the plan: to repeat one,
    /// keep a copy.
    ///
    /// ```
    /// # use vesde::{Config, Request, Sampler, SamplerOptions, Schedule, set_sigmas, set_timesteps};
    /// # let config = Config::default();
    /// # let (mut timesteps, mut sigmas, mut discrete_sigmas) = ([0.0; 9], [0.0; 9], [0.0; 9]);
    /// # set_timesteps(&config, &mut timesteps)?;
    /// # set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
    /// # let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
    /// let mut sampler = Sampler::new(&config, 1, SamplerOptions::default())?;
    /// loop {
    ///     let (plan, request) = sampler.plan(&schedule)?;
    ///     // x = the sum of plan.terms() + plan.noise_factor·z, on a GPU or on threads
    ///     let Request::Score { sigma, .. } = request else { break };
    ///     // m = network(x, sigma)
    /// }
    /// # Ok::<(), vesde::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`next`](Self::next) that come from schedule and state.
    pub fn plan(&mut self, schedule: &Schedule<'_>) -> Result<(Plan, Request), Error> {
        let turn = self.turn(schedule, self.modes()?)?;
        self.turn += 1;
        Ok(turn)
    }

    /// What this turn does, and what it asks for. Everything that can fail for the schedule's or
    /// the state's sake fails here.
    fn turn(&self, schedule: &Schedule<'_>, modes: Modes) -> Result<(Plan, Request), Error> {
        if schedule.timesteps.is_empty() {
            return Err(Error::Empty);
        }
        if schedule.sigmas.len() < schedule.timesteps.len() {
            return Err(Error::LengthMismatch);
        }
        let steps = schedule.timesteps.len() as u64;
        let asked = self.asked(self.turn, modes, steps);
        let before = self.turn.checked_sub(1).map(|turn| self.asked(turn, modes, steps));
        if before == Some(Asked::Done) {
            return Err(Error::SamplerDone);
        }
        if asked == Asked::Nothing {
            return Err(if before.is_none() { Error::TimestepOutOfRange } else { Error::InvalidSampler });
        }
        // With noise to come the score waits for it.
        let update = match before {
            Some(Asked::Noise(update)) => Some(update),
            Some(Asked::Score(update)) if asked != Asked::Noise(update) => Some(update),
            None if !(modes.is_started || modes.gives_noise) => Some(Update::Initial),
            _ => None,
        };
        let plan = update.map_or(Ok(Plan::NOTHING), |update| self.update(update, schedule, modes))?;
        let request = match asked {
            Asked::Noise(update) => {
                self.place(update, schedule)?;
                Request::Noise { draw: self.draw(update, modes) }
            }
            Asked::Score(update) => {
                let (step, timestep, sigma) = self.place(update, schedule)?;
                let label = match modes.corrector {
                    Corrector::Ncsnv2 => step,
                    _ => schedule.label(timestep)?,
                };
                let correction = match update {
                    Update::Correction(_, number) => number as u32,
                    Update::Prediction(_) => pc::corrections(&self.config, modes) as u32,
                    Update::Initial | Update::Denoising => 0,
                };
                Request::Score { sigma, timestep, label, step, correction }
            }
            Asked::Condition(after, at) => {
                let (step, timestep, sigma) = at_step(schedule, at)?;
                let draw = match (modes.conditions, after) {
                    (Conditions::Drawing, After::Corrector | After::Predictor) => {
                        self.condition_draw(after, at, modes)
                    }
                    _ => INITIAL_DRAW,
                };
                let next = self.turn.wrapping_add(1);
                let last = self.asked(next, modes, steps) == Asked::Done;
                Request::Condition { sigma, timestep, step, after, draw, last }
            }
            Asked::Done | Asked::Nothing => Request::Done,
        };
        Ok((plan, request))
    }

    /// The step, the timestep and the sigma of an update.
    fn place(&self, update: Update, schedule: &Schedule<'_>) -> Result<(usize, f32, f32), Error> {
        let step = match update {
            Update::Initial => self.first_step,
            Update::Correction(step, _) | Update::Prediction(step) => step,
            Update::Denoising => (schedule.timesteps.len() as u64).saturating_sub(1),
        };
        at_step(schedule, step)
    }

    /// What an update does.
    fn update(&self, update: Update, schedule: &Schedule<'_>, modes: Modes) -> Result<Plan, Error> {
        let (config, last) = (&self.config, (schedule.timesteps.len() as u64).saturating_sub(1));
        if update == Update::Initial {
            return Ok(self.with_noise(pc::initial(config), INITIAL_DRAW));
        }
        let (_, timestep, sigma) = self.place(update, schedule)?;
        let corrections = pc::corrections(config, modes);
        let mut plan = match update {
            Update::Correction(..) => pc::correction(config, modes, schedule, sigma)?,
            Update::Denoising => pc::denoising(sigma),
            _ => pc::prediction(config, modes, schedule, timestep)?,
        };
        let is_last = match update {
            _ if modes.result == SamplerResult::Denoised => update == Update::Denoising,
            Update::Correction(step, number) => {
                step == last && number + 1 == corrections && pc::predictions(modes) == 0
            }
            _ => update == Update::Prediction(last),
        };
        if is_last {
            plan.clamp = (!modes.unclamped).then_some((0.0, 1.0));
            if modes.result == SamplerResult::Mean && update == Update::Prediction(last) {
                plan.noise_factor = 0.0;
            }
        }
        Ok(self.with_noise(plan, self.draw(update, modes)))
    }

    /// What is asked for in a turn of a job of so many steps: for every update its score, and,
    /// where noise is given, its noise; the conditions behind.
    fn asked(&self, turn: u64, modes: Modes, steps: u64) -> Asked {
        let has_conditions = u64::from(modes.conditions != Conditions::None);
        let turns = 1 + u64::from(modes.gives_noise); // of an update
        let (corrections, predictions) = (pc::corrections(&self.config, modes), pc::predictions(modes));
        let Some(steps_left) = steps.checked_sub(self.first_step).filter(|&left| left > 0) else {
            return Asked::Nothing;
        };
        let mut turn = turn;
        if !modes.is_started {
            let initial = [
                modes.gives_noise.then_some(Asked::Noise(Update::Initial)),
                (has_conditions == 1).then_some(Asked::Condition(After::Initial, self.first_step)),
            ];
            for asked in initial.into_iter().flatten() {
                let Some(rest) = turn.checked_sub(1) else { return asked };
                turn = rest;
            }
        }
        let corrector_turns = corrections * turns + has_conditions;
        let turns_of_a_step = corrector_turns + predictions * turns + has_conditions;
        let turns_of_steps = steps_left.saturating_mul(turns_of_a_step);
        if let Some(behind) = turn.checked_sub(turns_of_steps) {
            let denoises = u64::from(modes.result == SamplerResult::Denoised);
            return match behind.checked_sub(denoises) {
                None => Asked::Score(Update::Denoising),
                Some(0) => Asked::Done,
                Some(_) => Asked::Nothing,
            };
        }
        let step = self.first_step + turn.checked_div(turns_of_a_step).unwrap_or(0);
        let turn = turn.checked_rem(turns_of_a_step).unwrap_or(0);
        let asked = |turn: u64, update| {
            if turn.is_multiple_of(turns) { Asked::Score(update) } else { Asked::Noise(update) }
        };
        match turn.checked_sub(corrector_turns) {
            None if turn < corrections * turns => asked(turn, Update::Correction(step, turn / turns)),
            None => Asked::Condition(After::Corrector, step),
            Some(turn) if turn < predictions * turns => asked(turn, Update::Prediction(step)),
            Some(_) => Asked::Condition(After::Predictor, step),
        }
    }

    /// The number of an update's draw, counted from the schedule's beginning.
    fn draw(&self, update: Update, modes: Modes) -> u64 {
        let draws = u64::from(modes.conditions == Conditions::Drawing); // of a condition
        let corrections = pc::corrections(&self.config, modes);
        let draws_of_a_step = corrections + pc::predictions(modes) + 2 * draws;
        let (step, before) = match update {
            Update::Initial | Update::Denoising => return INITIAL_DRAW,
            Update::Correction(step, number) => (step, number),
            Update::Prediction(step) => (step, corrections + draws),
        };
        step.wrapping_mul(draws_of_a_step).wrapping_add(before).wrapping_add(1)
    }

    /// The number of a condition's draw: it follows those of its updates.
    fn condition_draw(&self, after: After, step: u64, modes: Modes) -> u64 {
        let updates = match after {
            After::Predictor => pc::predictions(modes),
            After::Initial | After::Corrector => 0,
        };
        match (after, updates) {
            (After::Predictor, _) => self.draw(Update::Prediction(step), modes).wrapping_add(updates),
            _ => self.draw(Update::Correction(step, pc::corrections(&self.config, modes)), modes),
        }
    }

    fn with_noise(&self, plan: Plan, draw: u64) -> Plan {
        Plan { draw, counter: Counter::new(self.seed, self.stream.wrapping_add(draw)), ..plan }
    }

    /// Checks the state's configuration and enumerations.
    fn modes(&self) -> Result<Modes, Error> {
        self.config.validate().map_err(|_| Error::InvalidSampler)?;
        if self.batch == 0 {
            return Err(Error::InvalidSampler);
        }
        // In the order of their numbers.
        Ok(Modes {
            gives_noise: known(self.noise, &[false, true])?,
            averaging: known(self.averaging, &[Averaging::Batch, Averaging::PerSample])?,
            norm: known(self.norm, &[Norm::Exact, Norm::Torch])?,
            unclamped: known(self.unclamped, &[false, true])?,
            result: known(
                self.result,
                &[SamplerResult::Mean, SamplerResult::Noisy, SamplerResult::Denoised],
            )?,
            is_started: known(self.start, &[false, true])?,
            predictor: known(self.predictor, Predictor::ALL)?,
            corrector: known(self.corrector, Corrector::ALL)?,
            conditions: known(self.conditions, &[Conditions::None, Conditions::Drawing, Conditions::Quiet])?,
            step_lr: self.step_lr,
        })
    }
}

/// The value of an enumeration's number in a state.
fn known<T: Copy>(value: i32, values: &[T]) -> Result<T, Error> {
    error::known(value, values, Error::InvalidSampler)
}

/// A step of the schedule, its timestep and its sigma.
fn at_step(schedule: &Schedule<'_>, step: u64) -> Result<(usize, f32, f32), Error> {
    let step = usize::try_from(step).map_err(|_| Error::InvalidSampler)?;
    let find = |table: &[f32]| table.get(step).copied().ok_or(Error::InvalidSampler);
    Ok((step, in_range(find(schedule.timesteps)?)?, finite(find(schedule.sigmas)?)?))
}

/// Runs a plan on the buffers.
fn run(plan: &Plan, buffers: &Buffers<'_>, batch: u64, noise: Noise<'_>) -> Result<(), Error> {
    let Buffers { sample, model_output, workspace, .. } = buffers;
    let (x, len) = (sample.as_in(), sample.len());
    let kept = |slot: usize| workspace.part(slot.saturating_mul(len), len);
    if let Some(Keep { slot, sample, model_output: factor }) = plan.keep {
        linear(Combination::new(kept(slot)).plus(sample, x).plus(factor, *model_output))?;
    }
    if let Reduction::CorrectorNorms { snr, averaging, norm } = plan.reduction {
        let config = Config { snr, ..Config::default() };
        let schedule = Schedule { timesteps: &[], sigmas: &[], discrete_sigmas: &[] };
        let batch = usize::try_from(batch).map_err(|_| Error::LengthMismatch)?;
        let step = Step::over(*model_output, sample).with_batch(batch).with_noise(noise);
        Scheduler { config, schedule }.step_correct(averaging, norm, step)?;
        let Some((low, high)) = plan.clamp else { return Ok(()) };
        return linear(Combination::new(sample.again()).plus(1.0, x).clamped(low, high));
    }
    if plan.is_nothing() {
        return Ok(());
    }
    let mut sum = Combination::new(sample.again());
    for (to, term) in sum.terms.iter_mut().zip(plan.terms()) {
        let operand = match term.operand {
            Operand::Sample => x,
            Operand::ModelOutput => *model_output,
            Operand::Kept(slot) => kept(slot).as_in(),
        };
        *to = (term.factor, operand);
    }
    for (to, term) in sum.second_factors.iter_mut().zip(plan.terms()) {
        *to = term.second_factor;
    }
    let noise = if plan.noise_factor == 0.0 { Noise::None } else { noise };
    let (terms_len, noise_factor, clamp) = (plan.terms().len(), plan.noise_factor, plan.clamp);
    linear(Combination { terms_len, noise_factor, noise, clamp, ..sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A multistep method of order two with slots in turn, as a plan has it.
    #[test]
    fn a_plan_keeps_and_reads_history() {
        let (mut sample, score, mut workspace) = ([1.0_f32, 2.0], [0.5_f32, -0.25], [f32::NAN; 4]);
        let first = Plan {
            keep: Some(Keep { slot: 1, sample: 1.0, model_output: 4.0 }),
            ..Plan::of(&[(0.5, Operand::Sample), (0.25, Operand::Kept(1))])
        };
        let second = Plan {
            keep: Some(Keep { slot: 0, sample: 0.0, model_output: 2.0 }),
            ..Plan::of(&[(1.0, Operand::Sample), (2.0, Operand::Kept(0)), (-0.5, Operand::Kept(1))])
        };
        for plan in [first, second] {
            let buffers = Buffers::new(&mut sample, &score).with_workspace(&mut workspace);
            run(&plan, &buffers, 1, Noise::None).unwrap();
        }
        assert_eq!(workspace, [1.0, -0.5, 3.0, 1.0]);
        assert_eq!(sample, [1.25 + 2.0 - 1.5, 1.25 - 1.0 - 0.5]);
        // Two samples do not fit a workspace of three floats.
        let buffers = Buffers::new(&mut sample, &score).with_workspace(&mut workspace[..3]);
        assert_eq!(buffers.check(1, 4), Err(Error::BufferTooSmall));
    }
}
