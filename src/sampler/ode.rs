//! The probability-flow ODE of a whole batch by reverse communication, with an adaptive step, in
//! both directions, and with the integral of its divergence, from which likelihoods follow.

mod machine;
mod options;
mod plan;

use super::rk45::{ERROR, STAGES, STEP};
use crate::config::Config;
use crate::error::Error;
use crate::noise::Counter;
use machine::{DOTS, Densities, Phase, ROWS_OF_DENSITIES};

pub use options::{Divergence, OdeDirection, OdeOptions, OdeRequest, OdeStats, OdeVariable};
pub use plan::{
    OdeBuffers, OdeDots, OdeKeep, OdePlan, OdePrior, OdeReduction, OdeSample, OdeScore, OdeShift, OdeSum,
    OdeSums, OdeTerm,
};

/// The state of a job: Dormand and Prince's pair of order five and four, with the steps of scipy's
/// `solve_ivp(method="RK45")`, on the probability-flow ODE (Song et al. 2021, equation 13 and
/// appendix D). Plain data, owned by the caller: a copy, taken at any time together with copies of
/// the buffers, continues like the original.
///
/// The batch has one step size, as in `score_sde`: the result of a sample depends a little on the
/// others. To avoid that, run a job for each sample.
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

impl Ode {
    /// A job for a batch of `batch` samples.
    ///
    /// ```
    /// use vesde::Config;
    /// use vesde::ode::{Ode, OdeBuffers, OdeOptions, OdeRequest};
    ///
    /// let config = Config { sigma_max: 10.0, ..Config::default() };
    /// let mut ode = Ode::new(&config, 1, OdeOptions { seed: 42, ..OdeOptions::default() })?;
    /// let (mut sample, mut input, mut score) = ([0.0; 64], [0.0; 64], [0.0; 64]);
    /// let mut workspace = [0.0; 6 * 64];
    /// loop {
    ///     let buffers = OdeBuffers::new(&mut sample, &mut input, &score, &mut workspace);
    ///     let OdeRequest::Score { sigma, .. } = ode.next(buffers)? else { break };
    ///     for (s, x) in score.iter_mut().zip(&input) {
    ///         *s = (0.5 - x) / (sigma * sigma + 0.01); // the network; here a Gaussian's score
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

    /// The counter noise whose signs are the probe ([`Counter::rademacher`]).
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
    /// The first call makes the initial sample, unless the options say that the caller gives it.
    /// What the other buffers held does not matter. After [`OdeRequest::Done`] the sample is the
    /// solution at the interval's end: data with noise of σ(`sampling_eps`) on it, or a code. With
    /// a divergence the first log-density of each sample is then the integral of the drift's
    /// divergence, from which [`log_likelihood`](crate::ode::log_likelihood) makes a log-density.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `BufferTooSmall`, `Overlap`, `TooLarge` for the buffers;
    /// `NullPointer` where noise, the probe or the product is missing; `NonFiniteScore` where the
    /// sample or a derivative of the step is not finite (the second one is in no sum, and noticed
    /// where the network passes it on); `StepTooSmall`; `TooManyEvaluations`; `SamplerDone` after
    /// `Done`; `InvalidSampler` where the state is not one that this type makes. After an error the
    /// call can be repeated: state and buffers are as before, except the log-densities `batch` to
    /// `2·batch − 1`, where dots are kept.
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

    /// What must be summed over a batch of `len` elements before [`plan`](Self::plan). With the
    /// sums and the plan that follows, [`next`](Self::next) is done in parts: on threads, on ranks
    /// or on a GPU. It changes nothing.
    ///
    /// ```
    /// # use vesde::Config;
    /// # use vesde::norms::{NORM_BLOCK, norm_blocks};
    /// # use vesde::ode::{Ode, OdeBuffers, OdeOptions, OdeRequest};
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

    /// Goes on by one turn, from the totals of the [`reduction`](Self::reduction) (zeros where
    /// nothing was to be summed). The plan says what to do with the buffers, and the request what
    /// is needed next. With a divergence, the log-densities `batch` to `2·batch − 1` are the sums
    /// over each sample that the reduction asks for. The plan checks the buffers. To repeat a plan,
    /// keep a copy of the state.
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
}
