//! Whole jobs by reverse communication: `next` says what the caller is to do, and is called again
//! when it is done. No callback, no buffer and no thread of its own, so it fits any engine.
//!
//! One machine walks through a job: where it is is one number, how many requests it has made. A
//! method is a file of coefficients.

mod likelihood;
mod ode;
mod pc;
mod plan;
mod rk45;

use crate::buf::{self, In, Out};
use crate::config::Config;
use crate::error::Error;
use crate::noise::{Counter, Generator, Noise, randn};
use crate::norms::{Averaging, Norm};
use crate::schedule::{Schedule, finite, in_range};
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
        /// that may differ by 1, and this goes with the sigma that the step looks up.
        label: usize,
        /// The step, from 0 to the number of timesteps less one.
        step: usize,
        /// The corrector step within it; equal to `correct_steps` for the predictor step.
        correction: u32,
    },
    /// Fill `noise` with as many standard normal numbers as the sample has elements.
    Noise {
        /// Which draw: 0 is the initial sample's, later ones are those of the steps in diffusers'
        /// order. They may come from different generators.
        draw: u64,
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
}

// Without padding: it is compared and copied byte by byte.
const _: () =
    assert!(size_of::<Sampler>() == size_of::<Config>() + 5 * size_of::<u64>() + 6 * size_of::<i32>());

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
        let modes = self.modes()?;
        let (plan, request) = self.turn(schedule, modes)?;
        buffers.check(self.batch, self.workspace_len(buffers.sample.len())?)?;
        let noise = match buffers.noise {
            _ if !modes.gives_noise => plan.counter.into(),
            Some(noise) => Noise::Given(noise),
            None if plan.is_nothing() => Noise::None,
            None => return Err(Error::NullPointer),
        };
        run(&plan, &buffers, self.batch, noise)?;
        self.turn += 1;
        Ok(request)
    }

    /// [`next`](Self::next) that draws by itself where noise is asked for: [`randn`] of
    /// `generators`, one or one for each sample of the batch, into `noise`, which is to be left
    /// alone between calls. [`Request::Noise`] does not come. A job whose initial sample is another
    /// generator's passes that one until the first [`Request::Score`].
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
        loop {
            let before = *self;
            let request = self.next(
                schedule,
                Buffers {
                    sample: buffers.sample.again(),
                    model_output: buffers.model_output,
                    noise: Some(noise.as_in()),
                    workspace: buffers.workspace.again(),
                },
            )?;
            if !matches!(request, Request::Noise { .. }) {
                return Ok(request);
            }
            if let Err(error) = randn(generators, noise.again()) {
                *self = before;
                return Err(error);
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
            let (timestep, ..) = at_step(schedule, done.step)?;
            let plan = pc::update(&self.config, modes, schedule, timestep, done.update, next == end)?;
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

    /// What is asked for in a turn. Where noise is given a draw comes before the initial sample,
    /// and one before every update, behind its score.
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

    /// Checks the state's configuration and enumerations.
    fn modes(&self) -> Result<Modes, Error> {
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

/// The value of an enumeration's number in a state.
fn known<T: Copy, const N: usize>(value: i32, values: [T; N]) -> Result<T, Error> {
    let index = usize::try_from(value).map_err(|_| Error::InvalidSampler)?;
    values.get(index).copied().ok_or(Error::InvalidSampler)
}

/// The timestep, the sigma and the label of a step.
fn at_step(schedule: &Schedule<'_>, step: u64) -> Result<(f32, f32, usize), Error> {
    let step = usize::try_from(step).map_err(|_| Error::InvalidSampler)?;
    let find = |table: &[f32]| table.get(step).copied().ok_or(Error::InvalidSampler);
    let timestep = in_range(find(schedule.timesteps)?)?;
    Ok((timestep, finite(find(schedule.sigmas)?)?, schedule.label(timestep)?))
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
        return Scheduler { config, schedule }.step_correct(averaging, norm, step);
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
