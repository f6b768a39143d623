//! Whole jobs by reverse communication: `next` says what the caller is to do, and is called again when it is done. No
//! callback, no buffer and no thread of its own, so it fits any engine.
//!
//! One machine walks through a job: where it is is one number, how many requests it has made. A method is a file of coefficients.

mod pc;
mod plan;

use crate::buf::{self, In, Out};
use crate::config::Config;
use crate::error::Error;
use crate::kernels::Source;
use crate::kernels::linear;
use crate::kernels::normal::Fill;
use crate::noise::Counter;
use crate::norms::{Averaging, Norm};
use crate::schedule::{Schedule, finite, in_range};
use crate::simd::dispatch;
use crate::steps::{self, Scheduler, Update};

pub use plan::{Plan, Reduction};

/// Who makes the noise of a whole job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum SamplerNoise {
    /// Counter noise, a stream for every draw: the initial sample takes the stream of the options, each later draw the
    /// next one. No noise is ever asked for.
    #[default]
    Counter = 0,
    /// The caller, who is asked for every draw by a request, in diffusers' order. The initial draw and those of the steps
    /// may come from different generators.
    Given = 1,
}

/// Which of the last step's two results a job ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum SamplerResult {
    /// `prev_sample_mean`, from which the last noise has been removed, as diffusers' pipeline has it.
    #[default]
    Mean = 0,
    /// `prev_sample`, with the last noise in it (`noise_removal=False` in `score_sde`).
    Noisy = 1,
}

/// What a sampler needs to know besides the configuration. The defaults are diffusers' behaviour on counter noise of
/// seed 0.
///
/// Image to image, from step 6 of 9 on:
///
/// ```
/// # use vesde::{Config, Counter, Request, Sampler, SamplerOptions, Schedule, Scheduler, set_sigmas, set_timesteps};
/// # let config = Config::default();
/// # let (mut timesteps, mut sigmas, mut discrete_sigmas) = ([0.0; 9], [0.0; 9], [0.0; 9]);
/// # set_timesteps(&config, &mut timesteps)?;
/// # set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
/// # let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
/// # let (picture, mut sample, mut score) = ([0.5; 64], [0.0; 64], [0.0; 64]);
/// let (seed, step) = (42, 6);
/// let index = schedule.index(timesteps[step])? as i64;
/// let scheduler = Scheduler { config, schedule };
/// scheduler.add_noise(&picture, &[index], Counter::new(seed, 0), &mut sample)?;
///
/// let options = SamplerOptions { seed, start: Some(step), ..SamplerOptions::default() };
/// let mut sampler = Sampler::new(&config, 1, options)?;
/// while let Request::Score { sigma, .. } = sampler.next(&schedule, &mut sample, &score, None)? {
///     // network(&sample, sigma, &mut score)
/// #   for (s, x) in score.iter_mut().zip(&sample) { *s = (0.5 - x) / (sigma * sigma + 0.01); }
/// }
/// # Ok::<(), vesde::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
    /// Which of the last step's results is the final sample.
    pub result: SamplerResult,
    /// Whether the final sample is left as it is, and not clamped to 0..=1 as diffusers' pipeline does.
    pub unclamped: bool,
    /// `Some(k)` to start at step k from the sample that the first [`Sampler::next`] is given, as if the job had come so far by
    /// itself: draws and streams are numbered accordingly. For image to image the sample is the picture with noise of that step's
    /// sigma ([`Scheduler::add_noise`]); to resume, it is the one that a job had before that step's first correction.
    pub start: Option<usize>,
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
        /// What a network of discrete noise levels is given: N − 1 − [`Schedule::index`], with N the number of timesteps, 0 for the
        /// largest sigma. It is `score_sde`'s label, round((1 − t)·(N − 1)), where `sampling_eps` is 1e-6 or more and times
        /// N − 1 less than ½; elsewhere that may differ by 1, and this goes with the sigma that the step looks up.
        label: usize,
        /// The step, from 0 to the number of timesteps less one.
        step: usize,
        /// The corrector step within it; equal to `correct_steps` for the predictor step.
        correction: u32,
    },
    /// Fill `noise` with as many standard normal numbers as the sample has elements.
    Noise {
        /// Which draw: 0 is the initial sample's, later ones are those of the steps in diffusers' order. They may come from
        /// different generators.
        draw: u64,
    },
    /// Nothing: the sample is the result.
    Done,
}

/// The initial sample's draw.
const INITIAL_DRAW: u64 = 0;

/// The state of a job. Plain data, owned by the caller: a copy, taken at any time together with a copy of the sample, continues
/// like the original.
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
}

/// What a state's numbers mean.
#[derive(Clone, Copy)]
struct Modes {
    gives_noise: bool,
    averaging: Averaging,
    norm: Norm,
    unclamped: bool,
    result: SamplerResult,
    is_started: bool,
}

/// One of the updates of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Position {
    step: u64,
    /// Its number within the step.
    update: u64,
}

/// What is asked for in a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The noise of the initial sample.
    InitialNoise,
    /// The noise of an update.
    Noise(Position),
    /// The score for an update.
    Score(Position),
}

impl Sampler {
    /// A sampler for a batch of `batch` samples.
    ///
    /// # Errors
    /// Those of [`Config::validate`]; `Empty` where the batch is zero.
    pub fn new(config: &Config, batch: usize, options: SamplerOptions) -> Result<Self, Error> {
        config.validate()?;
        if batch == 0 {
            return Err(Error::Empty);
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
        })
    }

    /// Takes what the last request asked for, advances the sample, and says what is needed next.
    ///
    /// The first call makes the initial sample, unless the options say that it is there; what `sample` and `model_output` held
    /// does not matter otherwise. After [`Request::Done`] `sample` holds the result, which the options choose: the last predictor
    /// step's `prev_sample_mean`, clamped, by default. `noise` is needed only where [`Request::Noise`] has asked for it. All buffers
    /// have the same length at every call.
    ///
    /// # Errors
    /// Those of [`Scheduler::step_pred`] and [`Scheduler::step_correct`], the former also where a timestep or a sigma that the network
    /// would be asked about is none, or the options start behind the last step; `LengthMismatch` where `sigmas` is shorter than
    /// `timesteps` or the batch does not divide the sample; `NullPointer` where noise was asked for and is missing; `SamplerDone` after
    /// `Done`; `InvalidSampler` where the state is not one that this type makes, or the schedule has lost the current step. A score that
    /// is not a number is noticed by corrector steps only. After an error state and sample are as before: the call can be repeated.
    pub fn next(
        &mut self,
        schedule: &Schedule<'_>,
        sample: &mut [f32],
        model_output: &[f32],
        noise: Option<&[f32]>,
    ) -> Result<Request, Error> {
        self.next_raw(schedule, sample.into(), model_output.into(), noise.map(In::from))
    }

    pub(crate) fn next_raw(
        &mut self,
        schedule: &Schedule<'_>,
        sample: Out<'_>,
        model_output: In<'_>,
        noise: Option<In<'_>>,
    ) -> Result<Request, Error> {
        let modes = self.modes()?;
        let (plan, request) = self.turn(schedule, modes)?;
        buf::check(&[model_output], &[sample])?;
        let batch =
            usize::try_from(self.batch).ok().filter(|&batch| sample.len().checked_rem(batch) == Some(0));
        let batch = batch.ok_or(Error::LengthMismatch)?;
        if !plan.is_nothing() {
            let noise = if modes.gives_noise {
                Source::Given(noise.ok_or(Error::NullPointer)?)
            } else {
                plan.counter.into()
            };
            self.run(&plan, modes, sample, model_output, noise, batch)?;
        }
        self.turn += 1;
        Ok(request)
    }

    /// [`next`](Self::next) without buffers, for an engine that runs the plan where its tensors are: what is to be done with the
    /// answer to the last request, and what is needed then. What [`next`](Self::next) checks of buffers is left to the caller, and the
    /// factors of a [`Reduction`]. The state goes on by one turn, whatever becomes of the plan: to repeat one, keep a copy.
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
    ///     // x = clamp(plan.sample·x + plan.output·m + plan.noise·z), on a GPU or on threads
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

    /// What this turn does, and what it asks for. Everything that can fail for the schedule's or the state's sake fails here.
    fn turn(&self, schedule: &Schedule<'_>, modes: Modes) -> Result<(Plan, Request), Error> {
        if schedule.timesteps.is_empty() {
            return Err(Error::Empty);
        }
        if schedule.sigmas.len() < schedule.timesteps.len() {
            return Err(Error::LengthMismatch);
        }
        let steps = schedule.timesteps.len() as u64;
        let end = Position { step: steps, update: 0 };
        let first = Position { step: self.first_step, update: 0 };
        if let Some(before) = self.turn.checked_sub(1)
            && self.asked(before, modes) == Asked::Score(end)
        {
            return Err(Error::SamplerDone);
        }
        let next = match self.asked(self.turn, modes) {
            Asked::InitialNoise => {
                at_step(schedule, first.step)?;
                return Ok((Plan::NOTHING, Request::Noise { draw: INITIAL_DRAW }));
            }
            Asked::Noise(update) => {
                at_step(schedule, update.step)?;
                return Ok((Plan::NOTHING, Request::Noise { draw: self.draw(update) }));
            }
            Asked::Score(next) if next.step < steps || next == end && next != first => next,
            Asked::Score(_) if self.turn == 0 => return Err(Error::TimestepOutOfRange),
            Asked::Score(_) => return Err(Error::InvalidSampler),
        };
        let plan = if next != first {
            let done = self.before(next);
            let last = (next == end).then_some(modes.result);
            let (timestep, ..) = at_step(schedule, done.step)?;
            let plan = pc::update(&self.config, schedule, timestep, done.update, last, !modes.unclamped)?;
            self.with_noise(plan, self.draw(done))
        } else if modes.is_started {
            Plan::NOTHING
        } else {
            self.with_noise(pc::initial(&self.config), INITIAL_DRAW)
        };
        if next == end {
            return Ok((plan, Request::Done));
        }
        let (timestep, sigma, label) = at_step(schedule, next.step)?;
        let (step, correction) = (next.step as usize, next.update as u32);
        Ok((plan, Request::Score { sigma, timestep, label, step, correction }))
    }

    /// What is asked for in a turn. Where noise is given a draw comes before the initial sample, and one before every update, behind its
    /// score.
    fn asked(&self, turn: u64, modes: Modes) -> Asked {
        let updates = pc::updates_of_a_step(&self.config);
        let score = |number: u64| Position {
            step: self.first_step.saturating_add(number.checked_div(updates).unwrap_or(0)),
            update: number.checked_rem(updates).unwrap_or(0),
        };
        if !modes.gives_noise {
            return Asked::Score(score(turn));
        }
        let turn = if modes.is_started { Some(turn) } else { turn.checked_sub(1) };
        match turn {
            None => Asked::InitialNoise,
            Some(turn) if turn % 2 == 0 => Asked::Score(score(turn / 2)),
            Some(turn) => Asked::Noise(score(turn / 2)),
        }
    }

    /// The update before one that is not the job's first.
    fn before(&self, Position { step, update }: Position) -> Position {
        match update.checked_sub(1) {
            Some(update) => Position { step, update },
            None => {
                Position { step: step.saturating_sub(1), update: pc::updates_of_a_step(&self.config) - 1 }
            }
        }
    }

    /// The number of an update's draw, counted from the schedule's beginning.
    fn draw(&self, Position { step, update }: Position) -> u64 {
        let before = step.wrapping_mul(pc::updates_of_a_step(&self.config)).wrapping_add(update);
        before.wrapping_add(1)
    }

    fn with_noise(&self, plan: Plan, draw: u64) -> Plan {
        Plan { draw, counter: Counter::new(self.seed, self.stream.wrapping_add(draw)), ..plan }
    }

    /// Runs a plan on the sample.
    fn run(
        &self,
        plan: &Plan,
        modes: Modes,
        sample: Out<'_>,
        model_output: In<'_>,
        noise: Source<'_>,
        batch: usize,
    ) -> Result<(), Error> {
        noise.check(sample.len())?;
        let update = Update::over(sample);
        update.check(model_output, noise.given())?;
        if plan.reduction == Reduction::CorrectorNorms {
            let schedule = Schedule { timesteps: &[], sigmas: &[], discrete_sigmas: &[] };
            let scheduler = Scheduler { config: self.config, schedule };
            return scheduler.step_correct_raw(
                model_output,
                batch,
                (modes.averaging, modes.norm),
                &update,
                noise,
            );
        }
        if plan.sample != 0.0 {
            let clamp = (plan.clamp != Plan::NOTHING.clamp).then_some(plan.clamp);
            let noise = (plan.noise != 0.0).then_some(noise);
            return steps::update_raw(model_output, (plan.output, plan.noise), &update, noise, clamp);
        }
        // The initial sample: noise alone.
        let z = match noise {
            Source::Given(noise) => noise,
            Source::Counter(place) => {
                dispatch(Fill { place, out: sample });
                sample.as_in()
            }
        };
        linear::scale(plan.noise, z, sample, None);
        Ok(())
    }

    /// Checks the state's configuration and enumerations.
    fn modes(&self) -> Result<Modes, Error> {
        fn known<T: Copy, const N: usize>(value: i32, values: [T; N]) -> Result<T, Error> {
            let index = usize::try_from(value).map_err(|_| Error::InvalidSampler)?;
            values.get(index).copied().ok_or(Error::InvalidSampler)
        }
        self.config.validate().map_err(|_| Error::InvalidSampler)?;
        if self.batch == 0 {
            return Err(Error::InvalidSampler);
        }
        // In the order of their numbers.
        Ok(Modes {
            gives_noise: known(self.noise, [false, true])?,
            averaging: known(self.averaging, [Averaging::Batch, Averaging::PerSample])?,
            norm: known(self.norm, [Norm::Exact, Norm::Torch])?,
            unclamped: known(self.unclamped, [false, true])?,
            result: known(self.result, [SamplerResult::Mean, SamplerResult::Noisy])?,
            is_started: known(self.start, [false, true])?,
        })
    }
}

/// The timestep, the sigma and the label of a step.
fn at_step(schedule: &Schedule<'_>, step: u64) -> Result<(f32, f32, usize), Error> {
    let step = usize::try_from(step).map_err(|_| Error::InvalidSampler)?;
    let find = |table: &[f32]| table.get(step).copied().ok_or(Error::InvalidSampler);
    let timestep = in_range(find(schedule.timesteps)?)?;
    Ok((timestep, finite(find(schedule.sigmas)?)?, schedule.label(timestep)?))
}
