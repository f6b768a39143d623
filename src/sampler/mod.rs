//! Whole jobs by reverse communication: `next` tells the caller what to do, and the caller calls it
//! again afterwards. No callback, no buffer and no thread of its own, so it fits any engine.
//!
//! One machine walks through a job of steps. Its place is one number: how many requests it has
//! made. A method is a file of coefficients. The ODE, which finds its steps as it goes, has a
//! machine of its own.

mod likelihood;
mod multistep;
mod ode;
mod options;
mod pc;
mod plan;
mod rk45;
mod run;
mod single_step;
mod turns;
mod walk;

use self::run::run;
use self::turns::{Asked, Turns, Update};
use self::walk::Walk;
use crate::buf::{self, In, Out};
use crate::config::Config;
use crate::error::{self, Error};
use crate::noise::{Counter, Generator, Noise, check_draw, randn};
use crate::norms::{Averaging, Norm};
use crate::schedule::{Predictor, Schedule, finite, in_range};

pub use likelihood::{LogLikelihood, bits_per_dim, log_likelihood, prior_log_density};
pub use ode::{
    Divergence, Ode, OdeBuffers, OdeDirection, OdeDots, OdeKeep, OdeOptions, OdePlan, OdePrior, OdeReduction,
    OdeRequest, OdeSample, OdeScore, OdeShift, OdeStats, OdeSum, OdeSums, OdeTerm, OdeVariable,
};
pub use options::{
    After, Churn, Conditions, Corrector, Method, Prediction, SamplerNoise, SamplerOptions, SamplerResult,
};
pub use plan::{Denoised, Keep, Operand, Plan, PlanNoise, PlanTerm, Reduction};
#[cfg(feature = "capi")]
pub(crate) use plan::{MOST_KEEPS, Terms};

/// The buffers of a job, of one length.
#[derive(Debug)]
pub struct Buffers<'a> {
    pub(crate) sample: Out<'a>,
    pub(crate) model_output: In<'a>,
    pub(crate) noise: Option<In<'a>>,
    pub(crate) workspace: Out<'a>,
    pub(crate) denoised: Option<Out<'a>>,
}

impl<'a> Buffers<'a> {
    /// The sample, and the network's output for it.
    #[must_use]
    pub fn new(sample: &'a mut [f32], model_output: impl Into<In<'a>>) -> Self {
        let (sample, model_output) = (sample.into(), model_output.into());
        Self { sample, model_output, noise: None, workspace: Out::NONE, denoised: None }
    }

    /// With the noise that [`Request::Noise`] has asked for.
    #[must_use]
    pub fn with_noise(self, noise: impl Into<In<'a>>) -> Self {
        Self { noise: Some(noise.into()), ..self }
    }

    /// With the history of the job, [`Sampler::workspace_len`] floats, which the caller leaves
    /// alone between calls.
    #[must_use]
    pub fn with_workspace(self, workspace: &'a mut [f32]) -> Self {
        Self { workspace: workspace.into(), ..self }
    }

    /// With a buffer for previews, as long as the sample: a call that takes a score writes the
    /// denoised sample there, and other calls leave it as it is.
    #[must_use]
    pub fn with_denoised(self, denoised: impl Into<Out<'a>>) -> Self {
        Self { denoised: Some(denoised.into()), ..self }
    }

    /// Checks all that the sampler asks of its buffers.
    fn check(&self, batch: u64, workspace_len: usize) -> Result<(), Error> {
        let Self { sample, model_output, noise, workspace, denoised } = self;
        let ins = [*model_output, noise.unwrap_or(*model_output)];
        match denoised {
            // Written before the rest is read.
            Some(denoised) if ins.into_iter().any(|x| denoised.overlaps(x)) => return Err(Error::Overlap),
            Some(denoised) => buf::check(&ins, &[sample, denoised])?,
            None => buf::check(&ins, &[sample])?,
        }
        let batch = usize::try_from(batch).map_err(|_| Error::LengthMismatch)?;
        if sample.len().checked_rem(batch) != Some(0) {
            return Err(Error::LengthMismatch);
        }
        if workspace.len() < workspace_len {
            return Err(Error::BufferTooSmall);
        }
        let ins = [Some(sample.as_in()), Some(*model_output), *noise, denoised.as_ref().map(Out::as_in)];
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
        /// The noise scale, for the network: from `sigmas`, or the method's own.
        sigma: f32,
        /// The continuous timestep; along a table of sigmas [`Config::timestep`] of the sigma,
        /// which may lie outside 0..=1.
        timestep: f32,
        /// The label for a network of discrete noise levels: N − 1 − [`Schedule::index`], with N
        /// the number of timesteps, so 0 for the largest sigma. It is `score_sde`'s label, round((1
        /// − t)·(N − 1)), where `sampling_eps` is at least 1e-6 and `sampling_eps`·(N − 1) is less
        /// than ½. Elsewhere `score_sde`'s may differ by 1; this one goes with the sigma that the
        /// step looks up. With [`Corrector::Ncsnv2`] it is the step, which is ncsnv2's index of the
        /// level. Along a table of sigmas it is the step, too.
        label: usize,
        /// The step, from 0 to the number of steps less one.
        step: usize,
        /// The corrector step within the step, from 0. For the predictor step it is the number of
        /// corrector steps, and for the score of [`SamplerResult::Denoised`] it is 0. Along a table
        /// of sigmas it is 0 for the first score of a step and 1 for the second.
        correction: u32,
    },
    /// Fill `noise` with as many standard normal numbers as the sample has elements.
    Noise {
        /// Which draw: 0 is the initial sample's, later ones are those of the steps in diffusers'
        /// order. They may come from different generators.
        draw: u64,
    },
    /// Change `sample` as the job's condition demands, for example by
    /// [`impute`](crate::inverse::impute). The known part of the sample then needs noise of
    /// `sigma`.
    Condition {
        /// The noise scale that belongs to the timestep, from `sigmas`; along a table of sigmas the
        /// one that the step has come to.
        sigma: f32,
        /// The continuous timestep.
        timestep: f32,
        /// The step.
        step: usize,
        /// After what.
        after: After,
        /// Which draw its noise is, if it has one: counter noise of the options' stream plus this
        /// number, or the next numbers of the caller's generator. 0 for the initial sample, which
        /// has none of its own.
        draw: u64,
        /// Whether it comes last: the sample as the caller leaves it is the result.
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
    method: i32,
    prediction: i32,
    order: i32,
    eta: f32,
    s_noise: f32,
    s_churn: f32,
    s_tmin: f32,
    s_tmax: f32,
    /// The range of the denoised sample: NaN for none.
    denoised_low: f32,
    denoised_high: f32,
}

// Without padding: it is compared and copied byte by byte.
const _: () =
    assert!(size_of::<Sampler>() == size_of::<Config>() + 5 * size_of::<u64>() + 20 * size_of::<i32>());

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
    method: Method,
    prediction: Prediction,
}

impl Sampler {
    /// A sampler for a batch of `batch` samples.
    ///
    /// # Errors
    /// Those of [`Config::validate`]; `Empty` where the batch is zero; `InvalidSnr` where `step_lr`
    /// is negative or not finite; `InvalidOption` where one of the options of methods along sigmas
    /// is negative, not a number or (but for `s_tmax`) infinite, where `order` is above 4, where a
    /// range is empty, where there are both η and churn, and where an option is not for the method:
    /// the predictor–corrector method takes scores, and clamps no denoised sample.
    pub fn new(config: &Config, batch: usize, options: SamplerOptions) -> Result<Self, Error> {
        config.validate()?;
        if batch == 0 {
            return Err(Error::Empty);
        }
        if !(options.step_lr >= 0.0 && options.step_lr.is_finite()) {
            return Err(Error::InvalidSnr);
        }
        let Churn { s_churn, s_tmin, s_tmax } = options.churn;
        let s_noise = options.s_noise.unwrap_or(1.0);
        let range = options.clamp_denoised;
        let method = options.method;
        let is_in_range = [options.eta, s_noise, s_churn, s_tmin].iter().all(|x| *x >= 0.0 && x.is_finite())
            && s_tmax >= 0.0
            && options.order <= 4
            && range.is_none_or(|(low, high)| low <= high);
        let is_for_method = (options.eta == 0.0 || method.takes_eta())
            && (s_churn == 0.0 || method.takes_churn() && options.eta == 0.0)
            && (options.order == 0 || method.takes_order())
            && (options.prediction == Prediction::Score || method != Method::PredictorCorrector)
            && (range.is_none() || method != Method::PredictorCorrector);
        if !(is_in_range && is_for_method) {
            return Err(Error::InvalidOption);
        }
        let (denoised_low, denoised_high) = range.unwrap_or((f32::NAN, f32::NAN));
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
            method: options.method as i32,
            prediction: options.prediction as i32,
            order: options.order as i32,
            eta: options.eta,
            s_noise,
            s_churn,
            s_tmin,
            s_tmax,
            denoised_low,
            denoised_high,
        })
    }

    /// How many floats of history a job of `len` floats keeps in its workspace: none in the
    /// predictor–corrector method and Euler's, those of a sample for Heun, DPM-Solver-2, 2S and 2M,
    /// of two for 3M, three for UniPC-2, four for UniPC-3, and one less than the order for Adams'
    /// methods.
    ///
    /// # Errors
    /// `InvalidSampler` where the state is not one that this type makes; `TooLarge`.
    pub fn workspace_len(&self, len: usize) -> Result<usize, Error> {
        let modes = self.modes()?;
        let kept = self.walk(modes, &[])?.map_or(pc::KEPT, |walk| walk.kept());
        kept.checked_mul(len).ok_or(Error::TooLarge)
    }

    /// The number of steps that a job along a schedule has.
    #[must_use]
    pub fn steps(&self, schedule: &Schedule<'_>) -> usize {
        match self.method {
            0 => schedule.timesteps.len(),
            _ => schedule.sigmas.len().saturating_sub(1),
        }
    }

    /// Takes what the last request asked for, advances the sample, and says what is needed next.
    ///
    /// The first call makes the initial sample, unless the options say that the caller gives it.
    /// What the buffers held does not matter then. After [`Request::Done`] the sample is the
    /// result, which the options choose: the last predictor step's `prev_sample_mean`, clamped, by
    /// default. Noise is needed only where [`Request::Noise`] has asked for it. All buffers have
    /// the same length at every call.
    ///
    /// # Errors
    /// Those of [`Scheduler::step_pred`](crate::Scheduler::step_pred) and
    /// [`Scheduler::step_correct`](crate::Scheduler::step_correct), the former also where a
    /// timestep or a sigma of the network's next call is not valid, or the options start behind the
    /// last step; `LengthMismatch` where `sigmas` is shorter than `timesteps` or the batch does not
    /// divide the sample; `NullPointer` where noise was asked for and is missing; `BufferTooSmall`
    /// for the workspace; `SamplerDone` after `Done`; `InvalidSampler` where the state is not one
    /// that this type makes, or the schedule has lost the current step. Only corrector steps notice
    /// a NaN in the score. After an error state and sample are as before: the call can be repeated.
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

    /// [`next`](Self::next) that draws from `generators`, one or one for each sample of the batch:
    /// [`randn`] into `noise`, which the caller leaves alone between calls. [`Request::Noise`] does
    /// not come. To take the initial sample from another generator, pass that one until the first
    /// [`Request::Score`]. The noise of a [`Request::Condition`] is drawn, too, even in a job on
    /// counter noise.
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
                denoised: buffers.denoised.as_ref().map(Out::again),
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

    /// [`next`](Self::next) without buffers, for an engine that computes on its own threads or
    /// devices. The plan says what to do with the answer to the last request, and the request what
    /// is needed next. The caller checks the buffers, and computes the factors of a [`Reduction`].
    /// The state goes on by one turn, even if the plan is not run: to repeat a turn, keep a copy of
    /// the state.
    ///
    /// ```
    /// # use vesde::{Config, Request, Sampler, SamplerOptions, Schedule};
    /// # use vesde::{set_sigmas, set_timesteps};
    /// # let config = Config::default();
    /// # let (mut timesteps, mut sigmas, mut discrete_sigmas) = ([0.0; 9], [0.0; 9], [0.0; 9]);
    /// # set_timesteps(&config, &mut timesteps)?;
    /// # set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
    /// # let schedule =
    /// #   Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
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
        let turns = self.turns(schedule, modes)?;
        let asked = turns.asked(self.turn)?;
        let before = self.turn.checked_sub(1).map(|turn| turns.asked(turn)).transpose()?;
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
        let mut plan = match update {
            Some(update) => self.update(update, schedule, &turns)?,
            None => Plan::NOTHING,
        };
        let request = match asked {
            Asked::Noise(update) => {
                self.place(update, schedule, &turns)?;
                Request::Noise { draw: turns.draw(update) }
            }
            Asked::Score(update) => {
                let (step, timestep, sigma) = self.place(update, schedule, &turns)?;
                let label = match modes.corrector {
                    _ if turns.walk.is_some() => step,
                    Corrector::Ncsnv2 => step,
                    _ => schedule.label(timestep)?,
                };
                let correction = match update {
                    Update::Correction(_, number) => number as u32,
                    Update::Prediction(step) => match &turns.walk {
                        None => turns.corrections() as u32,
                        Some(walk) => u32::from(walk.shape(step as usize)?.has_trial),
                    },
                    _ => 0,
                };
                if let Some(churn) = self.churn_before(update, &turns)? {
                    plan = plan.churned(churn);
                }
                Request::Score { sigma, timestep, label, step, correction }
            }
            Asked::Condition(after, at) => {
                let (step, timestep, sigma) = match &turns.walk {
                    None => at_step(schedule, at)?,
                    Some(walk) => {
                        let to = at as usize + usize::from(after != After::Initial);
                        let sigma = walk.sigma_at(to)?;
                        (at as usize, self.timestep(sigma), sigma)
                    }
                };
                let draw = turns.condition_draw(after, at);
                let last = turns.asked(self.turn.wrapping_add(1))? == Asked::Done;
                Request::Condition { sigma, timestep, step, after, draw, last }
            }
            Asked::Done | Asked::Nothing => Request::Done,
        };
        Ok((plan, request))
    }

    /// The turns of a job along a schedule.
    fn turns<'a>(&self, schedule: &Schedule<'a>, modes: Modes) -> Result<Turns<'a>, Error> {
        let walk = self.walk(modes, schedule.sigmas)?;
        let steps = self.steps(schedule);
        if steps == 0 {
            return Err(Error::Empty);
        }
        if walk.is_none() && schedule.sigmas.len() < steps {
            return Err(Error::LengthMismatch);
        }
        let (first_step, correct_steps) = (self.first_step, self.config.correct_steps);
        Ok(Turns { modes, first_step, steps: steps as u64, correct_steps, walk })
    }

    /// The job along a table, if its method goes along one.
    fn walk<'a>(&self, modes: Modes, table: &'a [f32]) -> Result<Option<Walk<'a>>, Error> {
        if modes.method == Method::PredictorCorrector {
            return Ok(None);
        }
        let clamps = !(self.denoised_low.is_nan() || self.denoised_high.is_nan());
        Ok(Some(Walk {
            method: modes.method,
            prediction: modes.prediction,
            order: known(self.order, &[4, 1, 2, 3, 4])?,
            eta: f64::from(self.eta),
            s_noise: f64::from(self.s_noise),
            churn: Churn { s_churn: self.s_churn, s_tmin: self.s_tmin, s_tmax: self.s_tmax },
            clamp: clamps.then_some((self.denoised_low, self.denoised_high)),
            first_step: usize::try_from(self.first_step).map_err(|_| Error::TimestepOutOfRange)?,
            table,
        }))
    }

    /// The continuous time of a sigma; 0 for a sigma of 0.
    fn timestep(&self, sigma: f32) -> f32 {
        if sigma > 0.0 { self.config.timestep(f64::from(sigma)) as f32 } else { 0.0 }
    }

    /// The step, the timestep and the sigma of an update.
    fn place(
        &self,
        update: Update,
        schedule: &Schedule<'_>,
        turns: &Turns<'_>,
    ) -> Result<(usize, f32, f32), Error> {
        let step = match update {
            Update::Initial => self.first_step,
            Update::Correction(step, _)
            | Update::Churn(step)
            | Update::Trial(step)
            | Update::Prediction(step) => step,
            Update::Denoising => turns.steps.saturating_sub(1),
        };
        let Some(walk) = &turns.walk else { return at_step(schedule, step) };
        let step = step as usize;
        let sigma = match update {
            Update::Denoising => walk.last_sigma() as f32,
            Update::Initial => walk.sigma_at(step)?,
            _ => walk.sigma(step, matches!(update, Update::Trial(_)))?,
        };
        Ok((step, self.timestep(sigma), sigma))
    }

    /// The counter noise with which the step of this score begins.
    fn churn_before(&self, update: Update, turns: &Turns<'_>) -> Result<Option<PlanNoise>, Error> {
        let (Some(walk), false) = (&turns.walk, turns.modes.gives_noise) else { return Ok(None) };
        let step = match update {
            Update::Trial(step) => step,
            Update::Prediction(step) if !walk.shape(step as usize)?.has_trial => step,
            _ => return Ok(None),
        };
        let (factor, draw) = (walk.churn(step as usize)?, turns.draw(Update::Churn(step)));
        Ok((factor != 0.0).then_some(PlanNoise { factor, draw, counter: self.counter(draw) }))
    }

    /// What an update does.
    fn update(&self, update: Update, schedule: &Schedule<'_>, turns: &Turns<'_>) -> Result<Plan, Error> {
        let (config, modes) = (&self.config, turns.modes);
        let mut plan = match &turns.walk {
            Some(walk) => match update {
                Update::Initial => Plan { noise_factor: walk.sigma_at(0)?, ..Plan::NOTHING },
                Update::Churn(step) => walk.churning(step as usize)?,
                Update::Trial(step) => walk.trial(step as usize)?,
                Update::Denoising => walk.denoising()?,
                Update::Correction(step, _) | Update::Prediction(step) => walk.prediction(step as usize)?,
            },
            None if update == Update::Initial => pc::initial(config),
            None => {
                let (_, timestep, sigma) = self.place(update, schedule, turns)?;
                let plan = match update {
                    Update::Correction(..) => pc::correction(config, modes, schedule, sigma)?,
                    Update::Denoising => pc::denoising(sigma),
                    _ => pc::prediction(config, modes, schedule, timestep)?,
                };
                Plan { denoised: Some(pc::denoised(sigma)), ..plan }
            }
        };
        if update != Update::Initial && update == turns.last_update() {
            plan.clamp = (!modes.unclamped).then_some((0.0, 1.0));
            if turns.drops_noise(update) {
                plan.noise_factor = 0.0;
            }
        }
        let draw = turns.draw(update);
        Ok(Plan { draw, counter: self.counter(draw), ..plan })
    }

    /// The counter noise of a draw.
    fn counter(&self, draw: u64) -> Counter {
        Counter::new(self.seed, self.stream.wrapping_add(draw))
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
            method: known(self.method, Method::ALL)?,
            prediction: known(self.prediction, Prediction::ALL)?,
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
