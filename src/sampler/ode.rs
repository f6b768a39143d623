//! The probability-flow ODE of a whole batch by reverse communication, with an adaptive step, in
//! both directions, and with the integral of its divergence, from which likelihoods follow.

mod plan;

use super::SamplerNoise;
use super::rk45::{self, ERROR, NODES, ROWS, STAGES, STEP};
use crate::config::Config;
use crate::error::Error;
use crate::noise::Counter;

pub use plan::{
    OdeBuffers, OdeDots, OdeKeep, OdePlan, OdePrior, OdeReduction, OdeSample, OdeScore, OdeShift, OdeSum,
    OdeSums, OdeTerm,
};

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

/// How the divergence of the score, the trace of its Jacobian J, is had, if it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum Divergence {
    /// Not at all.
    #[default]
    None = 0,
    /// Hutchinson's estimate ν·(J·ν) with a probe ν, from the caller's product J·ν or Jᵀ·ν.
    Product = 1,
    /// The same from two scores, ν·(s(x + h·ν) − s(x − h·ν))/2h, of which the mean is the drift: no
    /// product is needed, but twice as many scores.
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
    /// The first step, which is chosen if it is not given, at the price of one evaluation. One that
    /// is longer than the interval is cut, where scipy refuses it.
    pub first_step: Option<f64>,
    /// How many evaluations there may be; 0, the default, is no limit. No step is begun that
    /// would exceed it; the call that would begin it fails, and the step before it is not taken.
    pub max_evaluations: u64,
    /// The variable.
    pub variable: OdeVariable,
    /// The direction.
    pub direction: OdeDirection,
    /// How the divergence is had. It is meant for encoding, where its integral makes a
    /// log-density of the code's; in sampling the integral has the other sign.
    pub divergence: Divergence,
    /// Who makes the probe: by default it is ±1, the signs of counter noise ([`Ode::probe`]).
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

/// What the caller is to do before it calls [`Ode::next`] again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OdeRequest {
    /// Evaluate the score of `input` at this noise scale, into `model_output`.
    Score {
        /// The noise scale: what the network is given.
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

/// The state of a job: Dormand and Prince's pair of order five and four, with the steps of scipy's
/// `solve_ivp(method="RK45")`, on the probability-flow ODE (Song et al. 2021, equation 13 and
/// appendix D). Plain data, owned by the caller: a copy, taken at any time together with copies of
/// the buffers, continues like the original.
///
/// The batch has one step size, as in `score_sde`: what becomes of a sample depends a little on the
/// others. For results that do not, run a job for each.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ode {
    config: Config,
    seed: u64,
    stream: u64,
    batch: u64,
    max_evaluations: u64,
    evaluations: u64,
    accepted: u64,
    rejected: u64,
    /// How many answers there were in this evaluation.
    part: u64,
    rtol: f64,
    atol: f64,
    max_step: f64,
    /// The first step, or 0.
    first_step: f64,
    difference: f64,
    u: f64,
    /// Where the try ends, and its step.
    u_new: f64,
    h: f64,
    h_abs: f64,
    /// The first step's probe, and the norm of the derivative.
    h0: f64,
    d1: f64,
    noise: i32,
    start: i32,
    variable: i32,
    direction: i32,
    divergence: i32,
    probe: i32,
    state_only: i32,
    /// What was asked for.
    phase: i32,
    is_rejected: i32,
    /// Whether the first two derivatives' buffers have changed their roles.
    is_swapped: i32,
}

// Without padding: it is compared and copied byte by byte.
const _: () =
    assert!(size_of::<Ode>() == size_of::<Config>() + 19 * size_of::<u64>() + 10 * size_of::<i32>());

/// What a state's numbers mean.
#[derive(Clone, Copy)]
struct Modes {
    gives_noise: bool,
    is_started: bool,
    variable: OdeVariable,
    direction: OdeDirection,
    divergence: Divergence,
    gives_probe: bool,
    state_only: bool,
    phase: Phase,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing yet.
    Begin,
    /// The initial sample's noise.
    Noise,
    /// The derivative of this number, from 0; of the first step's probe; or nothing any more.
    Stage(usize),
    Probe,
    Done,
}

const PROBE: i32 = 9;
const DONE: i32 = 10;

impl Phase {
    fn of(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Begin,
            1 => Self::Noise,
            PROBE => Self::Probe,
            DONE => Self::Done,
            number => Self::Stage(usize::try_from(number - 2).ok().filter(|&stage| stage < STAGES)?),
        })
    }

    fn number(self) -> i32 {
        match self {
            Self::Begin => 0,
            Self::Noise => 1,
            Self::Stage(stage) => stage as i32 + 2,
            Self::Probe => PROBE,
            Self::Done => DONE,
        }
    }

    /// The derivative whose buffer the answer may go to.
    fn derivative(self) -> usize {
        match self {
            Self::Stage(stage) => stage,
            _ => 1,
        }
    }
}

/// The log-densities' rows: e, what a turn's dots are, and seven derivatives of e.
const ROWS_OF_DENSITIES: usize = 9;
const DOTS: usize = 1;

/// [`OdeBuffers::with_log_densities`], checked.
struct Densities<'a> {
    rows: &'a mut [f64],
    batch: usize,
}

impl<'a> Densities<'a> {
    fn new(rows: &'a mut [f64], batch: u64, divergence: Divergence) -> Result<Self, Error> {
        let batch = if divergence == Divergence::None { 0 } else { batch };
        let batch = usize::try_from(batch).map_err(|_| Error::TooLarge)?;
        let len = batch.checked_mul(ROWS_OF_DENSITIES).ok_or(Error::TooLarge)?;
        Ok(Self { rows: rows.get_mut(..len).ok_or(Error::BufferTooSmall)?, batch })
    }

    #[inline(never)] // so that it is in the library once
    fn at(&self, row: usize, i: usize) -> f64 {
        self.rows.get(row * self.batch + i).copied().unwrap_or(0.0)
    }

    #[inline(never)] // as above
    fn set(&mut self, row: usize, i: usize, value: f64) {
        if let Some(to) = self.rows.get_mut(row * self.batch + i) {
            *to = value;
        }
    }

    /// The row of a derivative.
    fn slope(derivative: usize) -> usize {
        DOTS + 1 + derivative
    }
}

impl Ode {
    /// A job for a batch of `batch` samples.
    ///
    /// ```
    /// use vesde::{Config, Ode, OdeBuffers, OdeOptions, OdeRequest};
    ///
    /// let config = Config { sigma_max: 10.0, ..Config::default() };
    /// let mut ode = Ode::new(&config, 1, OdeOptions { seed: 42, ..OdeOptions::default() })?;
    /// let (mut sample, mut input, mut score) = ([0.0; 64], [0.0; 64], [0.0; 64]);
    /// let mut workspace = [0.0; 6 * 64];
    /// loop {
    ///     let buffers = OdeBuffers::new(&mut sample, &mut input, &score, &mut workspace);
    ///     let OdeRequest::Score { sigma, .. } = ode.next(buffers)? else { break };
    ///     for (s, x) in score.iter_mut().zip(&input) {
    ///         *s = (0.5 - x) / (sigma * sigma + 0.01); // the network's place: here a Gaussian's score
    ///     }
    /// }
    /// assert_eq!(ode.stats().evaluations, 2 + 6 * (ode.stats().accepted + ode.stats().rejected));
    /// # Ok::<(), vesde::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Config::validate`]; `Empty` where the batch is zero; `InvalidTolerance` where a
    /// tolerance, a step, or the distance of differences is out of range.
    pub fn new(config: &Config, batch: usize, options: OdeOptions) -> Result<Self, Error> {
        config.validate()?;
        if batch == 0 {
            return Err(Error::Empty);
        }
        let ode = Self {
            config: *config,
            seed: options.seed,
            stream: options.stream,
            batch: batch as u64,
            max_evaluations: options.max_evaluations,
            evaluations: 0,
            accepted: 0,
            rejected: 0,
            part: 0,
            rtol: options.rtol,
            atol: options.atol,
            max_step: options.max_step,
            first_step: options.first_step.unwrap_or(0.0),
            difference: options.difference,
            u: 0.0,
            u_new: 0.0,
            h: 0.0,
            h_abs: 0.0,
            h0: 0.0,
            d1: 0.0,
            noise: options.noise as i32,
            start: i32::from(options.start),
            variable: options.variable as i32,
            direction: options.direction as i32,
            divergence: options.divergence as i32,
            probe: options.probe as i32,
            state_only: i32::from(options.state_only),
            phase: Phase::Begin.number(),
            is_rejected: 0,
            is_swapped: 0,
        };
        if !ode.is_tolerant() || options.first_step.is_some_and(|step| !(step > 0.0 && step.is_finite())) {
            return Err(Error::InvalidTolerance);
        }
        let [from, _] = ode.interval(ode.modes()?);
        Ok(Self { u: from, ..ode })
    }

    /// Whether tolerances and steps are in range.
    fn is_tolerant(&self) -> bool {
        let differs = self.difference > 0.0 && self.difference.is_finite();
        let needs_atol = self.divergence != Divergence::None as i32 && self.state_only == 0;
        self.rtol > 0.0
            && self.rtol.is_finite()
            && self.atol >= 0.0
            && self.atol.is_finite()
            && !(needs_atol && self.atol == 0.0)
            && self.max_step > 0.0
            && self.first_step >= 0.0
            && differs
    }

    /// How many floats a job of `len` floats keeps in its workspace: the derivatives, six times as
    /// many.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn workspace_len(&self, len: usize) -> Result<usize, Error> {
        plan::SLOTS.checked_mul(len).ok_or(Error::TooLarge)
    }

    /// How many doubles of log-densities a job keeps: nine a sample, or none without a divergence.
    ///
    /// # Errors
    /// `InvalidSampler` where the state is not one that this type makes; `TooLarge`.
    pub fn log_densities_len(&self) -> Result<usize, Error> {
        if self.modes()?.divergence == Divergence::None {
            return Ok(0);
        }
        usize::try_from(self.batch)
            .ok()
            .and_then(|batch| batch.checked_mul(ROWS_OF_DENSITIES))
            .ok_or(Error::TooLarge)
    }

    /// Where the probe's counter noise begins, whose signs it is ([`Counter::rademacher`]).
    #[must_use]
    pub fn probe(&self) -> Counter {
        Counter::new(self.seed, self.stream.wrapping_add(1))
    }

    /// Where the job is.
    #[must_use]
    pub fn stats(&self) -> OdeStats {
        let &Self { evaluations, accepted, rejected, u, h_abs: h, .. } = self;
        let is_time = self.variable == OdeVariable::Time as i32;
        OdeStats { evaluations, accepted, rejected, u, t: if is_time { u } else { self.time_of(u) }, h }
    }

    /// Takes what the last request asked for, advances the solution, and says what is needed next.
    ///
    /// The first call makes the initial sample, unless the options say that it is there; what the
    /// other buffers held does not matter. After [`OdeRequest::Done`] the sample is the solution at
    /// the interval's end: data with noise of σ(`sampling_eps`) on it, or a code. With a divergence
    /// the first log-density of each sample is then the integral of the drift's divergence, from
    /// which [`log_likelihood`](crate::log_likelihood) makes a log-density.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `BufferTooSmall`, `Overlap`, `TooLarge` for the buffers;
    /// `NullPointer` where noise, the probe or the product is missing; `NonFiniteScore` where the
    /// sample or a derivative of the step is not finite (of the second one, which no sum has, where
    /// the network passes it on), `StepTooSmall`, `TooManyEvaluations`;
    /// `SamplerDone` after `Done`; `InvalidSampler` where the state is not one that this type
    /// makes. After an error state and buffers are as before, but for the log-densities from the
    /// batch's number on, as many, where dots are kept: the call can be repeated.
    pub fn next(&mut self, mut buffers: OdeBuffers<'_>) -> Result<OdeRequest, Error> {
        let modes = self.modes()?;
        buffers.check()?;
        let len = buffers.sample.len();
        let reduction = self.reduction(len)?;
        let needs_probe =
            modes.gives_probe && matches!(modes.divergence, Divergence::Product | Divergence::Differences);
        if needs_probe && buffers.probe.is_none()
            || modes.phase == Phase::Noise && buffers.noise.is_none()
            || matches!(reduction.dots, OdeDots::Product | OdeDots::ProductAt(_)) && buffers.product.is_none()
        {
            return Err(Error::NullPointer);
        }
        let sums = reduction.totals(&buffers)?;
        let rows = core::mem::take(&mut buffers.log_densities);
        let mut densities = Densities::new(rows, self.batch, modes.divergence)?;
        if reduction.dots != OdeDots::None {
            for i in 0..densities.batch {
                densities.set(DOTS, i, reduction.dot_of(&buffers, i)?);
            }
        }
        let (next, plan, request) = self.turn(modes, len, sums, &mut densities)?;
        plan.run_checked(&buffers)?;
        *self = next;
        Ok(request)
    }

    /// What is to be summed over a batch of `len` elements before [`plan`](Self::plan): with it,
    /// and with the plan that follows, [`next`](Self::next) is done in parts, on threads, on ranks,
    /// or on a GPU. Nothing is changed.
    ///
    /// ```
    /// # use vesde::{Config, NORM_BLOCK, Ode, OdeBuffers, OdeOptions, OdeRequest, norm_blocks};
    /// # const LEN: usize = 5000;
    /// # let config = Config { sigma_max: 10.0, ..Config::default() };
    /// # let mut ode = Ode::new(&config, 1, OdeOptions { rtol: 1e-2, ..OdeOptions::default() })?;
    /// # let (mut sample, mut input, mut score) = (vec![0.0; LEN], vec![0.0; LEN], vec![0.0; LEN]);
    /// # let mut workspace = vec![0.0; 6 * LEN];
    /// loop {
    ///     let reduction = ode.reduction(LEN)?;
    ///     let buffers = OdeBuffers::new(&mut sample, &mut input, &score, &mut workspace);
    ///     let (mut a, mut b) = buffers.split_at(NORM_BLOCK); // for two threads
    ///     let values = reduction.values();
    ///     let mut blocks = vec![0.0; values * norm_blocks(LEN)];
    ///     let (in_a, in_b) = blocks.split_at_mut(values);
    ///     reduction.sums(&a, in_a)?;
    ///     reduction.sums(&b, in_b)?;
    ///     let mut sums = [0.0; 2];
    ///     for block in blocks.chunks(values.max(1)) {
    ///         sums.iter_mut().zip(block).for_each(|(sum, x)| *sum += x);
    ///     }
    ///     let (plan, request) = ode.plan(LEN, sums, &mut [])?;
    ///     plan.run(&mut a)?;
    ///     plan.run(&mut b)?;
    ///     let OdeRequest::Score { sigma, .. } = request else { break };
    ///     // network(&input, sigma, &mut score)
    /// #   for (s, x) in score.iter_mut().zip(&input) { *s = (0.5 - x) / (sigma * sigma + 0.01); }
    /// }
    /// # Ok::<(), vesde::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch` for the length; `InvalidSampler` where the state is not one that
    /// this type makes.
    #[inline(never)] // so that it is in the library once
    pub fn reduction(&self, len: usize) -> Result<OdeReduction, Error> {
        let modes = self.modes()?;
        let sample_len = self.sample_len(len)?;
        let phase = modes.phase;
        if !matches!(phase, Phase::Stage(_) | Phase::Probe) {
            return Ok(OdeReduction::default());
        }
        let unit = (self.part.saturating_sub(1)) as usize;
        let dots = match modes.divergence {
            Divergence::None => OdeDots::None,
            Divergence::Product => OdeDots::Product,
            Divergence::Differences => OdeDots::ModelOutput,
            _ if self.part == 0 => OdeDots::None,
            Divergence::UnitProducts => OdeDots::ProductAt(unit),
            Divergence::UnitDifferences => OdeDots::ModelOutputAt(unit / 2),
        };
        let sums = match phase {
            _ if !self.is_whole(modes, sample_len)? => OdeSums::None,
            Phase::Stage(0) => OdeSums::FirstNorms,
            Phase::Probe => OdeSums::SecondNorm(self.slot(0)),
            Phase::Stage(stage) if stage + 1 == STAGES => {
                let term = |&(factor, m): &_| OdeTerm { factor, slot: self.slot(m) };
                let [others @ .., (newest, _)] = &ERROR;
                OdeSums::Error {
                    error: OdeSum::new(self.h, others.iter().map(term)),
                    newest: *newest,
                    step: self.sum(&STEP, self.h),
                }
            }
            _ => OdeSums::None,
        };
        let &Self { rtol, atol, .. } = self;
        Ok(OdeReduction {
            sums,
            dots,
            factor: self.rate(modes, phase).factor,
            score: self.score(modes),
            rtol,
            atol,
            sample_len,
            probe: (!modes.gives_probe).then(|| self.probe()),
        })
    }

    /// Goes on by one turn: what is to be done with the buffers, and what is needed then, from the
    /// totals of the [`reduction`](Self::reduction) (zeros where nothing was to be summed). With a
    /// divergence the sums over each sample that the reduction asks for are in the log-densities
    /// from the batch's number on, as many. What [`next`](Self::next) checks of the buffers is left
    /// to the plan. To repeat a plan, keep a copy.
    ///
    /// # Errors
    /// Those of [`next`](Self::next) that come from state, length, log-densities and sums. After
    /// an error everything is as before.
    pub fn plan(
        &mut self,
        len: usize,
        sums: [f64; 2],
        log_densities: &mut [f64],
    ) -> Result<(OdePlan, OdeRequest), Error> {
        let modes = self.modes()?;
        let mut densities = Densities::new(log_densities, self.batch, modes.divergence)?;
        let (next, plan, request) = self.turn(modes, len, sums, &mut densities)?;
        *self = next;
        Ok((plan, request))
    }

    /// The state after a turn, and what it does; the log-densities go with the state.
    fn turn(
        &self,
        modes: Modes,
        len: usize,
        sums: [f64; 2],
        densities: &mut Densities<'_>,
    ) -> Result<(Self, OdePlan, OdeRequest), Error> {
        let sample_len = self.sample_len(len)?;
        let (mut next, mut plan) = (*self, OdePlan::default());
        match modes.phase {
            Phase::Done => Err(Error::SamplerDone),
            Phase::Begin if modes.gives_noise && !modes.is_started => {
                next.phase = Phase::Noise.number();
                Ok((next, plan, OdeRequest::Noise { draw: 0 }))
            }
            Phase::Begin | Phase::Noise => {
                self.allow(1)?;
                if !modes.is_started {
                    let counter = (!modes.gives_noise).then(|| Counter::new(self.seed, self.stream));
                    plan.prior = Some(OdePrior { factor: self.config.init_noise_sigma(), counter });
                }
                for i in 0..densities.batch {
                    densities.set(0, i, 0.0);
                }
                next.phase = Phase::Stage(0).number();
                Ok(next.ask(modes, Phase::Stage(0), sample_len, plan, false))
            }
            phase if !self.is_whole(modes, sample_len)? => {
                let of = |densities: &Densities<'_>, i| self.dots(modes, densities, i);
                if (0..densities.batch).any(|i| !of(densities, i).is_finite()) {
                    return Err(Error::NonFiniteScore);
                }
                for i in 0..densities.batch {
                    let value = of(densities, i);
                    densities.set(Densities::slope(phase.derivative()), i, value);
                }
                if self.part == 0 && modes.shifts() {
                    let (slot, score) = (self.slot(phase.derivative()), OdeScore::ModelOutput);
                    plan.keep = Some(OdeKeep { slot, factor: 1.0, score });
                }
                next.part += 1;
                Ok(next.ask(modes, phase, sample_len, plan, false))
            }
            phase => self.evaluated(modes, phase, len, sums, densities),
        }
    }

    /// A turn after a derivative is known.
    #[inline(never)] // as above
    fn evaluated(
        &self,
        modes: Modes,
        phase: Phase,
        len: usize,
        sums: [f64; 2],
        densities: &mut Densities<'_>,
    ) -> Result<(Self, OdePlan, OdeRequest), Error> {
        let sample_len = self.sample_len(len)?;
        let rate = self.rate(modes, phase);
        let slope = |densities: &Densities<'_>, i| self.slope(modes, &rate, densities, i);
        if (0..densities.batch).any(|i| !slope(densities, i).is_finite()) {
            return Err(Error::NonFiniteScore);
        }
        let counted = if modes.state_only { 0 } else { densities.batch };
        let norm = |sum: f64| {
            let norm = libm::sqrt(sum) / libm::sqrt(len as f64 + counted as f64);
            if norm.is_finite() { Ok(norm) } else { Err(Error::NonFiniteScore) }
        };
        // The log-densities' part of a sum, from their values and what their scale is made of.
        let add = |sum: f64, values: &dyn Fn(usize) -> [f64; 2]| {
            (0..counted).fold(sum, |sum, i| {
                let [value, m] = values(i);
                let value = value / (self.atol + m * self.rtol);
                sum + value * value
            })
        };
        let [from, to] = self.interval(modes);
        let keep = |derivative| {
            let (slot, factor, score) = (self.slot(derivative), rate.factor, self.score(modes));
            Some(OdeKeep { slot, factor, score })
        };
        let (mut next, mut plan) = (*self, OdePlan::default());
        next.part = 0;
        next.evaluations = self.evaluations.saturating_add(1);
        let mut accepted = false;
        let next_phase = match phase {
            Phase::Probe => {
                let sum = add(sums[0], &|i| {
                    let change = slope(densities, i) - densities.at(Densities::slope(0), i);
                    [change, densities.at(0, i).abs()]
                });
                let interval = (to - from).abs();
                next.h_abs = rk45::first_step(self.h0, self.d1, norm(sum)?, interval, self.max_step);
                next.begin_step(modes)?
            }
            Phase::Stage(0) => {
                let e = |i| densities.at(0, i);
                let d0 = norm(add(sums[0], &|i| [e(i), e(i).abs()]))?;
                next.d1 = norm(add(sums[1], &|i| [slope(densities, i), e(i).abs()]))?;
                plan.keep = keep(0);
                if self.first_step > 0.0 {
                    next.h_abs = self.first_step;
                    next.begin_step(modes)?
                } else {
                    next.allow(1)?;
                    next.h0 = rk45::probe_step(d0, next.d1, (to - from).abs());
                    Phase::Probe
                }
            }
            Phase::Stage(stage) if stage + 1 == STAGES => {
                let k = |densities: &Densities<'_>, i: usize, m: usize| {
                    if m == stage { slope(densities, i) } else { densities.at(Densities::slope(m), i) }
                };
                let e_new = |densities: &Densities<'_>, i: usize| {
                    densities.at(0, i) + self.h * rk45::sum(&STEP, |m| k(densities, i, m))
                };
                let sum = add(sums[0], &|i| {
                    let error = self.h * rk45::sum(&ERROR, |m| k(densities, i, m));
                    [error, libm::fmax(densities.at(0, i).abs(), e_new(densities, i).abs())]
                });
                let error = norm(sum)?;
                accepted = error < 1.0;
                if accepted {
                    next.h_abs *= rk45::growth(error, self.is_rejected != 0);
                    next.accepted = self.accepted.saturating_add(1);
                    next.u = self.u_new;
                    plan.sample = match modes.shifts() {
                        true => OdeSample::Sum(self.sum(&STEP, self.h)),
                        false => OdeSample::Input,
                    };
                    let is_done = self.direction(modes) * (next.u - to) >= 0.0;
                    let phase = if is_done {
                        Phase::Done
                    } else {
                        plan.keep = keep(stage);
                        next.is_swapped = i32::from(self.is_swapped == 0);
                        next.begin_step(modes)?
                    };
                    for i in 0..densities.batch {
                        let (e, slope) = (e_new(densities, i), slope(densities, i));
                        densities.set(0, i, e);
                        densities.set(Densities::slope(0), i, slope);
                    }
                    phase
                } else {
                    next.h_abs *= rk45::shrinkage(error);
                    next.is_rejected = 1;
                    next.rejected = self.rejected.saturating_add(1);
                    next.begin_try(modes)?
                }
            }
            Phase::Stage(stage) => {
                plan.keep = keep(stage);
                Phase::Stage(stage + 1)
            }
            _ => return Err(Error::InvalidSampler),
        };
        if let Phase::Stage(stage) = phase
            && stage + 1 < STAGES
        {
            for i in 0..densities.batch {
                let slope = slope(densities, i);
                densities.set(Densities::slope(stage), i, slope);
            }
        }
        next.phase = next_phase.number();
        if next_phase == Phase::Done {
            return Ok((next, plan, OdeRequest::Done));
        }
        Ok(next.ask(modes, next_phase, sample_len, plan, accepted))
    }

    /// Begins a step with the size that is there.
    #[inline(never)] // as above
    fn begin_step(&mut self, modes: Modes) -> Result<Phase, Error> {
        let min_step = rk45::min_step(self.u, self.direction(modes));
        self.h_abs = libm::fmin(libm::fmax(self.h_abs, min_step), self.max_step);
        self.is_rejected = 0;
        self.begin_try(modes)
    }

    /// Begins a try of a step.
    #[inline(never)] // as above
    fn begin_try(&mut self, modes: Modes) -> Result<Phase, Error> {
        self.allow(STAGES as u64 - 1)?;
        let (direction, [_, to]) = (self.direction(modes), self.interval(modes));
        if self.h_abs.is_nan() || self.h_abs < rk45::min_step(self.u, direction) {
            return Err(Error::StepTooSmall);
        }
        let end = self.u + self.h_abs * direction;
        self.u_new = if direction * (end - to) > 0.0 { to } else { end };
        self.h = self.u_new - self.u;
        self.h_abs = self.h.abs();
        Ok(Phase::Stage(1))
    }

    /// Whether so many evaluations more are allowed.
    fn allow(&self, evaluations: u64) -> Result<(), Error> {
        match self.max_evaluations {
            0 => Ok(()),
            most if self.evaluations.saturating_add(evaluations) <= most => Ok(()),
            _ => Err(Error::TooManyEvaluations),
        }
    }

    /// The request of a phase and its part, and the plan with the input that it is about.
    #[inline(never)] // as above
    fn ask(
        self,
        modes: Modes,
        phase: Phase,
        sample_len: usize,
        plan: OdePlan,
        accepted: bool,
    ) -> (Self, OdePlan, OdeRequest) {
        let Rate { sigma, timestep, .. } = self.rate(modes, phase);
        let part = self.part as usize;
        let (distance, unit) = (self.distance(sigma), part.saturating_sub(1));
        // Of the score at x + h·ν, and at x − h·ν.
        let signed = |is_second: bool| if is_second { -distance } else { distance };
        let shift = match modes.divergence {
            Divergence::Differences => {
                let counter = (!modes.gives_probe).then(|| self.probe());
                OdeShift::Probe { factor: signed(part == 1), counter }
            }
            Divergence::UnitDifferences if part > 0 => {
                OdeShift::Unit { factor: signed(unit % 2 == 1), unit: unit / 2, sample_len }
            }
            _ => OdeShift::None,
        };
        let is_product = modes.divergence == Divergence::UnitProducts && part > 0;
        let input = (!is_product).then(|| match phase {
            Phase::Probe => self.sum(&[(1.0, 0)], self.h0 * self.direction(modes)),
            Phase::Stage(stage) => self.sum(ROWS.get(stage).copied().unwrap_or_default(), self.h),
            _ => OdeSum::default(),
        });
        let u = self.u_of(modes, phase);
        let stage = if let Phase::Stage(stage) = phase { stage as u32 + 1 } else { 0 };
        let request = match modes.divergence {
            _ if is_product => OdeRequest::Product { sigma, timestep, unit },
            Divergence::Product => OdeRequest::ScoreAndProduct { sigma, timestep, u, stage, accepted },
            _ => OdeRequest::Score { sigma, timestep, u, stage, accepted },
        };
        (self, OdePlan { input, shift, ..plan }, request)
    }

    /// Whether the answer that is there completes its evaluation.
    fn is_whole(&self, modes: Modes, sample_len: usize) -> Result<bool, Error> {
        let units = sample_len as u64;
        let parts = match modes.divergence {
            Divergence::None | Divergence::Product => 1,
            Divergence::Differences => 2,
            Divergence::UnitProducts => units.saturating_add(1),
            Divergence::UnitDifferences => units.saturating_mul(2).saturating_add(1),
        };
        match parts.checked_sub(self.part) {
            None | Some(0) => Err(Error::InvalidSampler),
            Some(left) => Ok(left == 1),
        }
    }

    /// What has come together of a sample's divergence with this turn's dots.
    #[inline(never)] // as above
    fn dots(&self, modes: Modes, densities: &Densities<'_>, i: usize) -> f64 {
        let before = densities.at(Densities::slope(modes.phase.derivative()), i);
        let dot = densities.at(DOTS, i);
        match (modes.divergence, self.part) {
            (Divergence::None, _) => 0.0,
            (Divergence::Product, _) | (Divergence::Differences, 0) => dot,
            (Divergence::UnitProducts | Divergence::UnitDifferences, 0) => 0.0,
            (Divergence::UnitProducts, _) => before + dot,
            (Divergence::UnitDifferences, part) if part % 2 == 1 => before + dot,
            (Divergence::Differences | Divergence::UnitDifferences, _) => before - dot,
        }
    }

    /// The derivative of a sample's log-density.
    #[inline(never)] // as above
    fn slope(&self, modes: Modes, rate: &Rate, densities: &Densities<'_>, i: usize) -> f64 {
        let divergence = self.dots(modes, densities, i);
        let over = if modes.shifts() { 2.0 * f64::from(self.distance(rate.sigma)) } else { 1.0 };
        f64::from(rate.factor) * (divergence / over)
    }

    /// What the newest derivative is made of.
    fn score(&self, modes: Modes) -> OdeScore {
        let slot = self.slot(modes.phase.derivative());
        match modes.divergence {
            Divergence::Differences => OdeScore::Average(slot),
            Divergence::UnitDifferences => OdeScore::Kept(slot),
            _ => OdeScore::ModelOutput,
        }
    }

    /// The buffer of a derivative: the second one's is the last one's, too, which becomes the first
    /// of the next step.
    fn slot(&self, derivative: usize) -> usize {
        let is_swapped = usize::from(self.is_swapped != 0);
        match derivative {
            0 => is_swapped,
            1 | 6 => 1 - is_swapped,
            other => other,
        }
    }

    #[inline(never)] // as above
    fn sum(&self, slopes: &[rk45::Slope], h: f64) -> OdeSum {
        OdeSum::new(h, slopes.iter().map(|&(factor, m)| OdeTerm { factor, slot: self.slot(m) }))
    }

    /// The distance of differences at a sigma.
    fn distance(&self, sigma: f32) -> f32 {
        (self.difference * f64::from(sigma)) as f32
    }

    fn sample_len(&self, len: usize) -> Result<usize, Error> {
        let batch = usize::try_from(self.batch).map_err(|_| Error::LengthMismatch)?;
        match (len.checked_rem(batch), len.checked_div(batch)) {
            (Some(0), Some(sample_len)) if sample_len > 0 => Ok(sample_len),
            _ if len == 0 => Err(Error::Empty),
            _ => Err(Error::LengthMismatch),
        }
    }

    /// From where to where u goes.
    #[inline(never)] // as above
    fn interval(&self, modes: Modes) -> [f64; 2] {
        let Config { sigma_min, sigma_max, sampling_eps, .. } = self.config;
        let (noise, data) = match modes.variable {
            OdeVariable::Time => (1.0, sampling_eps),
            OdeVariable::Sigma => (sigma_max, sigma_min * libm::pow(sigma_max / sigma_min, sampling_eps)),
        };
        match modes.direction {
            OdeDirection::Sampling => [noise, data],
            OdeDirection::Encoding => [data, noise],
        }
    }

    fn direction(&self, modes: Modes) -> f64 {
        let [from, to] = self.interval(modes);
        if to > from { 1.0 } else { -1.0 }
    }

    /// Where a phase's evaluation is.
    fn u_of(&self, modes: Modes, phase: Phase) -> f64 {
        match phase {
            Phase::Probe => self.u + self.h0 * self.direction(modes),
            Phase::Stage(stage) if stage + 1 == STAGES => self.u_new,
            Phase::Stage(stage) if stage > 0 => {
                self.u + NODES.get(stage).copied().unwrap_or_default() * self.h
            }
            _ => self.u,
        }
    }

    /// The ODE's right side there: σ, and K = `factor`·score.
    #[inline(never)] // as above
    fn rate(&self, modes: Modes, phase: Phase) -> Rate {
        let u = self.u_of(modes, phase);
        match modes.variable {
            OdeVariable::Time => {
                let timestep = u as f32;
                let sigma = self.config.sigma(timestep);
                let g = self.config.diffusion(sigma);
                Rate { sigma, timestep, factor: -(g * g) * 0.5 }
            }
            OdeVariable::Sigma => {
                Rate { sigma: u as f32, timestep: self.time_of(u) as f32, factor: -u as f32 }
            }
        }
    }

    /// The continuous time of a sigma.
    fn time_of(&self, sigma: f64) -> f64 {
        self.config.timestep(sigma).clamp(0.0, 1.0)
    }

    /// Checks the state's configuration, tolerances and enumerations.
    #[inline(never)] // as above
    fn modes(&self) -> Result<Modes, Error> {
        use super::known;
        self.config.validate().map_err(|_| Error::InvalidSampler)?;
        if self.batch == 0 {
            return Err(Error::InvalidSampler);
        }
        // In the order of their numbers.
        let direction = known(self.direction, &[OdeDirection::Sampling, OdeDirection::Encoding])?;
        known(self.is_rejected, &[false, true])?;
        known(self.is_swapped, &[false, true])?;
        Ok(Modes {
            gives_noise: known(self.noise, &[false, true])?,
            is_started: known(self.start, &[false, true])? || direction == OdeDirection::Encoding,
            variable: known(self.variable, &[OdeVariable::Time, OdeVariable::Sigma])?,
            direction,
            divergence: known(self.divergence, Divergence::ALL)?,
            gives_probe: known(self.probe, &[false, true])?,
            state_only: known(self.state_only, &[false, true])?,
            phase: Phase::of(self.phase).ok_or(Error::InvalidSampler)?,
        })
    }
}

/// The right side of the ODE but for the score.
struct Rate {
    sigma: f32,
    timestep: f32,
    factor: f32,
}

impl Modes {
    /// Whether scores are taken beside the point.
    fn shifts(self) -> bool {
        matches!(self.divergence, Divergence::Differences | Divergence::UnitDifferences)
    }
}
