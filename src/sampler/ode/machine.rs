//! The machine of an ODE job: the phases of a step, and what each turn does.

use super::plan::{OdeKeep, OdePlan, OdePrior, OdeSample, OdeScore, OdeShift, OdeSum, OdeTerm};
use super::{Divergence, Ode, OdeDirection, OdeRequest, OdeVariable};
use crate::config::Config;
use crate::error::Error;
use crate::noise::Counter;
use crate::sampler::known;
use crate::sampler::rk45::{self, ERROR, NODES, ROWS, STAGES, STEP};

/// What a state's numbers mean.
#[derive(Clone, Copy)]
pub(super) struct Modes {
    pub(super) gives_noise: bool,
    is_started: bool,
    variable: OdeVariable,
    direction: OdeDirection,
    pub(super) divergence: Divergence,
    pub(super) gives_probe: bool,
    state_only: bool,
    pub(super) phase: Phase,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
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

    pub(super) fn number(self) -> i32 {
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
pub(super) const ROWS_OF_DENSITIES: usize = 9;
pub(super) const DOTS: usize = 1;

/// [`OdeBuffers::with_log_densities`](super::OdeBuffers::with_log_densities), checked.
pub(super) struct Densities<'a> {
    rows: &'a mut [f64],
    pub(super) batch: usize,
}

impl<'a> Densities<'a> {
    pub(super) fn new(rows: &'a mut [f64], batch: u64, divergence: Divergence) -> Result<Self, Error> {
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
    pub(super) fn set(&mut self, row: usize, i: usize, value: f64) {
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
    /// The state after a turn, and what it does; the log-densities go with the state.
    pub(super) fn turn(
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
    pub(super) fn is_whole(&self, modes: Modes, sample_len: usize) -> Result<bool, Error> {
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
    pub(super) fn score(&self, modes: Modes) -> OdeScore {
        let slot = self.slot(modes.phase.derivative());
        match modes.divergence {
            Divergence::Differences => OdeScore::Average(slot),
            Divergence::UnitDifferences => OdeScore::Kept(slot),
            _ => OdeScore::ModelOutput,
        }
    }

    /// The buffer of a derivative: the second one's is the last one's, too, which becomes the first
    /// of the next step.
    pub(super) fn slot(&self, derivative: usize) -> usize {
        let is_swapped = usize::from(self.is_swapped != 0);
        match derivative {
            0 => is_swapped,
            1 | 6 => 1 - is_swapped,
            other => other,
        }
    }

    #[inline(never)] // as above
    pub(super) fn sum(&self, slopes: &[rk45::Slope], h: f64) -> OdeSum {
        OdeSum::new(h, slopes.iter().map(|&(factor, m)| OdeTerm { factor, slot: self.slot(m) }))
    }

    /// The distance of differences at a sigma.
    fn distance(&self, sigma: f32) -> f32 {
        (self.difference * f64::from(sigma)) as f32
    }

    pub(super) fn sample_len(&self, len: usize) -> Result<usize, Error> {
        let batch = usize::try_from(self.batch).map_err(|_| Error::LengthMismatch)?;
        match (len.checked_rem(batch), len.checked_div(batch)) {
            (Some(0), Some(sample_len)) if sample_len > 0 => Ok(sample_len),
            _ if len == 0 => Err(Error::Empty),
            _ => Err(Error::LengthMismatch),
        }
    }

    /// From where to where u goes.
    #[inline(never)] // as above
    pub(super) fn interval(&self, modes: Modes) -> [f64; 2] {
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
    pub(super) fn rate(&self, modes: Modes, phase: Phase) -> Rate {
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
    pub(super) fn time_of(&self, sigma: f64) -> f64 {
        self.config.timestep(sigma).clamp(0.0, 1.0)
    }

    /// Checks the state's configuration, tolerances and enumerations.
    #[inline(never)] // as above
    pub(super) fn modes(&self) -> Result<Modes, Error> {
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
pub(super) struct Rate {
    sigma: f32,
    timestep: f32,
    pub(super) factor: f32,
}

impl Modes {
    /// Whether scores are taken beside the point.
    fn shifts(self) -> bool {
        matches!(self.divergence, Divergence::Differences | Divergence::UnitDifferences)
    }
}
