//! The probability-flow ODE and likelihoods in C.

use super::{
    Span, check_disjoint, input, known, object, object_mut, output, produce, span, status, table_mut,
    vesde_status,
};
use crate::config::Config;
use crate::error::Error;
use crate::noise::Counter;
use crate::sampler::{
    Divergence, LogLikelihood, Ode, OdeBuffers, OdeDirection, OdeDots, OdeKeep, OdeOptions, OdePlan,
    OdePrior, OdeReduction, OdeRequest, OdeSample, OdeScore, OdeShift, OdeStats, OdeSum, OdeSums, OdeTerm,
    OdeVariable, SamplerNoise, bits_per_dim, log_likelihood,
};

/// What an ODE job needs to know besides the configuration. All zeros samples in time, on counter
/// noise of seed 0, with tolerances of 1e-5.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct COdeOptions {
    /// Seed of the counter noise.
    pub seed: u64,
    /// Stream of the initial sample's counter noise. A probe takes the one after it.
    pub stream: u64,
    /// How many evaluations there may be; 0 is no limit. A step that would exceed it is not begun:
    /// the call fails, and the step before it is not taken.
    pub max_evaluations: u64,
    /// The relative tolerance; 0 is 1e-5. Below 1e-7 nothing is gained, since the sample is float.
    pub rtol: f64,
    /// The absolute tolerance; 0 is 1e-5. For scipy's atol of 0 pass a tiny one, such as DBL_MIN.
    pub atol: f64,
    /// The longest step; 0 is no limit.
    pub max_step: f64,
    /// The first step; 0 to have it chosen, for one more evaluation.
    pub first_step: f64,
    /// The distance of differences over sigma; 0 is 0.01.
    pub difference: f64,
    /// Who makes the initial sample's noise: one of enum vesde_sampler_noise.
    pub noise: i32,
    /// Where the job starts: one of enum vesde_sampler_start. Encoding always starts from the given
    /// sample.
    pub start: i32,
    /// The variable: one of enum vesde_ode_variable.
    pub variable: i32,
    /// The direction: one of enum vesde_ode_direction.
    pub direction: i32,
    /// How the divergence is computed: one of enum vesde_divergence.
    pub divergence: i32,
    /// Who makes the probe: one of enum vesde_sampler_noise. With counter noise the probe is its
    /// signs.
    pub probe: i32,
    /// 1 if the log-densities do not count in the error, and 0 if they do, as in score_sde.
    pub state_only: i32,
    /// Ignored.
    pub reserved: i32,
}

/// What the caller is to do before the next vesde_ode_next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum OdeRequestKind {
    /// Nothing: the sample is the result.
    Done = 0,
    /// Evaluate the score of `input` at `sigma`, into `model_output`.
    Score = 1,
    /// Fill `noise` with as many standard normal numbers as the sample has elements.
    Noise = 2,
    /// Evaluate the score, and its Jacobian's product with the probe, into `product`.
    ScoreAndProduct = 3,
    /// The Jacobian's product with a unit vector of each sample, at the last score's input, into
    /// `product`; the model output is left as it is.
    Product = 4,
}

/// An ODE job's request. Fields that do not belong to its kind are zero.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct COdeRequest {
    /// What to do: one of enum vesde_ode_request_kind.
    pub kind: i32,
    /// Which derivative of a step, from 1 to 7; 0 for the one that helps to choose the first step.
    pub stage: u32,
    /// The noise scale, for the network.
    pub sigma: f32,
    /// The continuous timestep.
    pub timestep: f32,
    /// The ODE's variable.
    pub u: f64,
    /// For VESDE_ODE_REQUEST_KIND_PRODUCT, which element of each sample is 1.
    pub unit: u64,
    /// Which draw of noise.
    pub draw: u64,
    /// 1 if a step was accepted just before: the sample is a new one.
    pub accepted: i32,
    /// Zero.
    pub reserved: i32,
}

impl From<OdeRequest> for COdeRequest {
    fn from(request: OdeRequest) -> Self {
        let nothing = Self {
            kind: OdeRequestKind::Done as i32,
            stage: 0,
            sigma: 0.0,
            timestep: 0.0,
            u: 0.0,
            unit: 0,
            draw: 0,
            accepted: 0,
            reserved: 0,
        };
        let score = |kind: OdeRequestKind, sigma, timestep, u, stage, accepted| Self {
            kind: kind as i32,
            stage,
            sigma,
            timestep,
            u,
            accepted: i32::from(accepted),
            ..nothing
        };
        match request {
            OdeRequest::Score { sigma, timestep, u, stage, accepted } => {
                score(OdeRequestKind::Score, sigma, timestep, u, stage, accepted)
            }
            OdeRequest::ScoreAndProduct { sigma, timestep, u, stage, accepted } => {
                score(OdeRequestKind::ScoreAndProduct, sigma, timestep, u, stage, accepted)
            }
            OdeRequest::Product { sigma, timestep, unit } => {
                let kind = OdeRequestKind::Product as i32;
                Self { kind, sigma, timestep, unit: unit as u64, ..nothing }
            }
            OdeRequest::Noise { draw } => Self { kind: OdeRequestKind::Noise as i32, draw, ..nothing },
            OdeRequest::Done => nothing,
        }
    }
}

/// The buffers of an ODE job: the same at every call, or copies of them; or those of a part of one.
/// Fields that a job does not need are zero.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct COdeBuffers {
    /// The sample, which is the solution so far.
    pub sample: *mut f32,
    /// The network's input.
    pub input: *mut f32,
    /// The network's output for it.
    pub model_output: *const f32,
    /// Floats of the sample, and of each buffer but the workspace: those of the whole batch.
    pub len: usize,
    /// The noise that VESDE_ODE_REQUEST_KIND_NOISE has asked for; NULL where it never does.
    pub noise: *const f32,
    /// The caller's probe, the same in every call; NULL where it is counter noise's or there is
    /// none.
    pub probe: *const f32,
    /// The product that a request has asked for; NULL where none does.
    pub product: *const f32,
    /// The derivatives, vesde_ode_workspace_len floats, to be left alone between calls. For a part
    /// that begins at element k of the batch, pass the whole job's pointer plus k.
    pub workspace: *mut f32,
    /// From one derivative to the next, in floats; 0 is `len`. In a part it is the whole job's
    /// `len`.
    pub workspace_stride: usize,
    /// The log-densities, vesde_ode_log_densities_len doubles, to be left alone between calls: the
    /// first one a sample is the result. NULL without a divergence, and in a part.
    pub log_densities: *mut f64,
    /// Their number.
    pub log_densities_len: usize,
    /// The first element's place in the batch: 0, but in a part.
    pub start: usize,
}

impl COdeBuffers {
    /// A copy of the struct.
    ///
    /// # Safety
    /// If `buffers` is not NULL it is readable.
    unsafe fn copy(buffers: *const Self) -> Result<Self, Error> {
        super::check(buffers, 1)?;
        // SAFETY: checked not to be NULL or misaligned; the rest is this function's own condition.
        Ok(unsafe { buffers.read() })
    }

    /// From one derivative to the next, and how many floats the workspace has from its beginning.
    fn workspace(&self) -> Result<(usize, usize), Error> {
        let stride = if self.workspace_stride == 0 { self.len } else { self.workspace_stride };
        if stride < self.len {
            return Err(Error::BufferTooSmall);
        }
        let others = stride.checked_mul(OdeBuffers::SLOTS - 1);
        Ok((stride, others.and_then(|others| others.checked_add(self.len)).ok_or(Error::TooLarge)?))
    }

    /// Where the floats that a job writes, and its log-densities, lie.
    fn outs(&self) -> [Span; 4] {
        let workspace = self.workspace().map_or(0, |(_, len)| len);
        [
            span(self.sample, self.len),
            span(self.input, self.len),
            span(self.workspace, workspace),
            span(self.log_densities, self.log_densities_len),
        ]
    }

    /// Where what it only reads lies.
    fn ins(&self) -> [Span; 4] {
        [self.model_output, self.noise, self.probe, self.product].map(|x| span(x, self.len))
    }

    /// The Rust object.
    ///
    /// # Safety
    /// Each pointer is NULL or valid for its length as long as `'a`.
    unsafe fn view<'a>(&self) -> Result<OdeBuffers<'a>, Error> {
        let Self { len, .. } = *self;
        let optional = |x: *const f32| {
            if x.is_null() {
                return Ok(None);
            }
            // SAFETY: this function's own condition.
            unsafe { input(x, len).map(Some) }
        };
        let (stride, workspace_len) = self.workspace()?;
        // SAFETY: as above.
        let [sample, evaluated] = unsafe { [output(self.sample, len)?, output(self.input, len)?] };
        // SAFETY: as above.
        let workspace = unsafe { output(self.workspace, workspace_len)? };
        let ([a, b, c, _], [e, f, g, h]) = (self.outs(), self.ins());
        let log_densities: &mut [f64] = if self.log_densities_len == 0 {
            &mut []
        } else {
            // SAFETY: as above.
            unsafe { table_mut(self.log_densities, self.log_densities_len, &[a, b, c, e, f, g, h])? }
        };
        Ok(OdeBuffers {
            // SAFETY: as above.
            model_output: unsafe { input(self.model_output, len)? },
            slots: core::array::from_fn(|slot| workspace.part(slot.saturating_mul(stride), len)),
            sample,
            input: evaluated,
            noise: optional(self.noise)?,
            probe: optional(self.probe)?,
            product: optional(self.product)?,
            log_densities,
            start: self.start,
        })
    }
}

/// Makes an ODE job for a batch of `batch` samples: the probability-flow ODE (Song et al. 2021,
/// equation 13 and appendix D) by Dormand and Prince's pair of order five and four, with the steps
/// of scipy's solve_ivp(method="RK45"). It keeps a copy of `config`. The batch has one step size,
/// as in score_sde: for results that do not depend on the other samples, run a job for each.
///
/// A tolerance, a step or a distance that is out of range is VESDE_ERROR_INVALID_TOLERANCE.
///
/// # Safety
/// `config` and `options` are NULL or readable; `ode` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_init(
    config: *const Config,
    batch: usize,
    options: *const COdeOptions,
    ode: *mut Ode,
) -> vesde_status {
    let make = || {
        // SAFETY: the caller's promise.
        let (config, options) = unsafe { (object(config, &[])?, object(options, &[])?) };
        let or = |value: f64, default: f64| if value == 0.0 { default } else { value };
        let usual = OdeOptions::default();
        let noise = |kind| known(kind, &[SamplerNoise::Counter, SamplerNoise::Given]);
        let options = OdeOptions {
            seed: options.seed,
            stream: options.stream,
            max_evaluations: options.max_evaluations,
            rtol: or(options.rtol, usual.rtol),
            atol: or(options.atol, usual.atol),
            max_step: or(options.max_step, usual.max_step),
            first_step: (options.first_step != 0.0).then_some(options.first_step),
            difference: or(options.difference, usual.difference),
            noise: noise(options.noise)?,
            start: known(options.start, &[false, true])?,
            variable: known(options.variable, &[OdeVariable::Time, OdeVariable::Sigma])?,
            direction: known(options.direction, &[OdeDirection::Sampling, OdeDirection::Encoding])?,
            divergence: known(options.divergence, Divergence::ALL)?,
            probe: noise(options.probe)?,
            state_only: known(options.state_only, &[false, true])?,
        };
        Ode::new(config, batch, options)
    };
    // SAFETY: the caller's promise.
    unsafe { produce(ode, make) }
}

/// How many floats the derivatives of a job of `len` floats take: six times as many.
///
/// # Safety
/// `ode` is NULL or was made by vesde_ode_init; `workspace_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_workspace_len(
    ode: *const Ode,
    len: usize,
    workspace_len: *mut usize,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(workspace_len, || object(ode, &[])?.workspace_len(len)) }
}

/// How many doubles of log-densities a job keeps: nine a sample, or none without a divergence.
///
/// # Safety
/// `ode` is NULL or was made by vesde_ode_init; `log_densities_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_log_densities_len(
    ode: *const Ode,
    log_densities_len: *mut usize,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(log_densities_len, || object(ode, &[])?.log_densities_len()) }
}

/// The counter noise whose signs are the probe, unless the probe is the caller's. To fill a buffer
/// with the signs, call vesde_rademacher with a generator of this counter noise.
///
/// # Safety
/// `ode` is NULL or was made by vesde_ode_init; `probe` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_get_probe(ode: *const Ode, probe: *mut Counter) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(probe, || Ok(object(ode, &[])?.probe())) }
}

/// Where a job is: evaluations, accepted and rejected steps, the ODE's variable, time and step.
///
/// # Safety
/// `ode` is NULL or was made by vesde_ode_init; `stats` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_get_stats(ode: *const Ode, stats: *mut OdeStats) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(stats, || Ok(object(ode, &[])?.stats())) }
}

/// Takes what the last request asked for, advances the solution, and says what is needed next. A
/// whole job is:
///
/// ```c
/// do {
///     status = vesde_ode_next(&ode, &buffers, &request);
///     if (status == VESDE_OK && request.kind == VESDE_ODE_REQUEST_KIND_SCORE)
///         network(input, request.sigma, score);
/// } while (status == VESDE_OK && request.kind != VESDE_ODE_REQUEST_KIND_DONE);
/// ```
///
/// with vesde_ode_buffers buffers = {.sample = sample, .input = input, .model_output = score,
/// .len = len, .workspace = workspace}.
///
/// The first call makes the initial sample, unless the options say that the caller gives it. After
/// VESDE_ODE_REQUEST_KIND_DONE the sample is the solution at the interval's end: data with noise of
/// σ(sampling_eps) on it, or a code of standard deviation sigma_max. With a divergence the first
/// log-density of each sample is then the integral that vesde_get_log_likelihood takes.
///
/// Errors are VESDE_ERROR_NON_FINITE_SCORE, where the sample or a derivative is not finite (a
/// step's second derivative is in no sum, and noticed where the network passes it on),
/// VESDE_ERROR_STEP_TOO_SMALL and VESDE_ERROR_TOO_MANY_EVALUATIONS. After an error the call can be
/// repeated: everything is as before, except the place of the dots, `log_densities[batch]` to
/// `log_densities[2*batch - 1]`. No output may overlap another or an input.
///
/// # Safety
/// `ode` is NULL or was made by vesde_ode_init, and nothing else uses it now; `buffers` is
/// NULL or readable; every buffer is NULL or valid for its length, and initialised except in the
/// first call; `request` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_next(
    ode: *mut Ode,
    buffers: *const COdeBuffers,
    request: *mut COdeRequest,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        super::check(request, 1)?;
        let buffers = COdeBuffers::copy(buffers)?;
        let ([a, b, c, d], [e, f, g, h]) = (buffers.outs(), buffers.ins());
        let ode = object_mut(ode, &[a, b, c, d, e, f, g, h, span(request, 1)])?;
        check_disjoint(request, 1, &[a, b, c, d])?;
        let wanted = ode.next(buffers.view()?)?;
        request.write(wanted.into());
        Ok(())
    })
}

/// The most terms of a sum of an ODE job.
pub const VESDE_ODE_MOST_TERMS: usize = 5;

const _: () = assert!(VESDE_ODE_MOST_TERMS == OdeSum::MOST_TERMS);

/// A factor and the number of the derivative that it multiplies.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct COdeTerm {
    /// The factor.
    pub factor: f64,
    /// The derivative: which one of the workspace.
    pub slot: i32,
    /// Zero.
    pub reserved: i32,
}

/// sample + h·(c₀·k₀ + c₁·k₁ + ...): in double, one rounding an operation, from left to right, and
/// rounded to float once at the end. Without terms it is the sample.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct COdeSum {
    /// The terms.
    pub terms: [COdeTerm; VESDE_ODE_MOST_TERMS],
    /// Their number.
    pub terms_len: u64,
    /// The step.
    pub h: f64,
}

const NO_SUM: COdeSum = COdeSum {
    terms: [COdeTerm { factor: 0.0, slot: 0, reserved: 0 }; VESDE_ODE_MOST_TERMS],
    terms_len: 0,
    h: 0.0,
};

impl From<OdeSum> for COdeSum {
    fn from(sum: OdeSum) -> Self {
        let mut made = Self { terms_len: sum.terms().len() as u64, h: sum.h, ..NO_SUM };
        for (to, term) in made.terms.iter_mut().zip(sum.terms()) {
            *to = COdeTerm { factor: term.factor, slot: term.slot as i32, reserved: 0 };
        }
        made
    }
}

impl COdeSum {
    fn view(&self) -> Result<OdeSum, Error> {
        let terms = usize::try_from(self.terms_len).ok().and_then(|len| self.terms.get(..len));
        let terms = terms.ok_or(Error::TooLarge)?.iter();
        // A buffer that there is not is refused where it is used.
        let slot = |slot: i32| usize::try_from(slot).unwrap_or(usize::MAX);
        Ok(OdeSum::new(self.h, terms.map(|term| OdeTerm { factor: term.factor, slot: slot(term.slot) })))
    }
}

/// What a derivative is made of, times a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum OdeScoreKind {
    /// The model output.
    ModelOutput = 0,
    /// Half the sum of a buffer of the workspace and the model output: the sum is rounded, then the
    /// product with the factor.
    Average = 1,
    /// A buffer of the workspace.
    Kept = 2,
}

/// A derivative: factor·score, in float.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct COdeDerivative {
    /// The factor.
    pub factor: f32,
    /// What it multiplies: one of enum vesde_ode_score.
    pub score: i32,
    /// The buffer of the workspace that this needs.
    pub score_slot: i32,
    /// The buffer of the workspace that takes it, in a plan; −1 if none does.
    pub slot: i32,
}

impl COdeDerivative {
    fn new(factor: f32, score: OdeScore, slot: i32) -> Self {
        let (score, score_slot) = match score {
            OdeScore::ModelOutput => (OdeScoreKind::ModelOutput, 0),
            OdeScore::Average(slot) => (OdeScoreKind::Average, slot as i32),
            OdeScore::Kept(slot) => (OdeScoreKind::Kept, slot as i32),
        };
        Self { factor, score: score as i32, score_slot, slot }
    }

    fn score(&self) -> Result<OdeScore, Error> {
        let slot = usize::try_from(self.score_slot).unwrap_or(usize::MAX);
        known(self.score, &[OdeScore::ModelOutput, OdeScore::Average(slot), OdeScore::Kept(slot)])
    }
}

/// What is to be summed over all elements before a plan is known. K is the newest derivative, and
/// scale = atol + rtol·m.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum OdeSumsKind {
    /// Nothing.
    None = 0,
    /// Two sums, of (sample/scale)² and of (K/scale)², with m = |sample|.
    FirstNorms = 1,
    /// The sum of ((K − k)/scale)² with m = |sample|, k being the derivative `k`.
    SecondNorm = 2,
    /// The sum of (err/scale)², with err = h·(e₀·k₀ + ... + e·K) of `error` and `newest`, and m the
    /// greater of |sample| and |`step`|.
    Error = 3,
}

/// What is to be summed over each sample before a plan is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum OdeDotsKind {
    /// Nothing.
    None = 0,
    /// The products of the probe and the product.
    Product = 1,
    /// The products of the probe and the model output.
    ModelOutput = 2,
    /// Nothing: element `unit` of the product is the sum.
    ProductAt = 3,
    /// Nothing: element `unit` of the model output is the sum.
    ModelOutputAt = 4,
}

/// The reductions of a turn, with all numbers that they need. They write no buffer.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct COdeReduction {
    /// The relative tolerance.
    pub rtol: f64,
    /// The absolute tolerance.
    pub atol: f64,
    /// The error's terms but for the last.
    pub error: COdeSum,
    /// The result of the step. Without differences of scores the input has it, too.
    pub step: COdeSum,
    /// The error's factor of the newest derivative.
    pub newest: f64,
    /// The newest derivative.
    pub derivative: COdeDerivative,
    /// Elements of a sample.
    pub sample_len: u64,
    /// The element that `dots` may be about.
    pub unit: u64,
    /// The probe, where it is the signs of counter noise.
    pub probe: Counter,
    /// 1 if it is, and 0 if it is the caller's.
    pub counts_probe: i32,
    /// Sums over the batch: one of enum vesde_ode_sums_kind.
    pub sums: i32,
    /// Sums over each sample: one of enum vesde_ode_dots_kind.
    pub dots: i32,
    /// The buffer of the workspace that VESDE_ODE_SUMS_KIND_SECOND_NORM takes.
    pub k: i32,
}

impl From<OdeReduction> for COdeReduction {
    fn from(reduction: OdeReduction) -> Self {
        let (sums, k, error, newest, step) = match reduction.sums {
            OdeSums::None => (OdeSumsKind::None, 0, NO_SUM, 0.0, NO_SUM),
            OdeSums::FirstNorms => (OdeSumsKind::FirstNorms, 0, NO_SUM, 0.0, NO_SUM),
            OdeSums::SecondNorm(k) => (OdeSumsKind::SecondNorm, k as i32, NO_SUM, 0.0, NO_SUM),
            OdeSums::Error { error, newest, step } => {
                (OdeSumsKind::Error, 0, error.into(), newest, step.into())
            }
        };
        let (dots, unit) = match reduction.dots {
            OdeDots::None => (OdeDotsKind::None, 0),
            OdeDots::Product => (OdeDotsKind::Product, 0),
            OdeDots::ModelOutput => (OdeDotsKind::ModelOutput, 0),
            OdeDots::ProductAt(unit) => (OdeDotsKind::ProductAt, unit),
            OdeDots::ModelOutputAt(unit) => (OdeDotsKind::ModelOutputAt, unit),
        };
        Self {
            rtol: reduction.rtol,
            atol: reduction.atol,
            error,
            step,
            newest,
            derivative: COdeDerivative::new(reduction.factor, reduction.score, -1),
            sample_len: reduction.sample_len as u64,
            unit: unit as u64,
            probe: reduction.probe.unwrap_or_default(),
            counts_probe: i32::from(reduction.probe.is_some()),
            sums: sums as i32,
            dots: dots as i32,
            k,
        }
    }
}

impl COdeReduction {
    /// The Rust object.
    ///
    /// # Safety
    /// If `reduction` is not NULL it is readable.
    unsafe fn view(reduction: *const Self) -> Result<OdeReduction, Error> {
        super::check(reduction, 1)?;
        // SAFETY: checked not to be NULL or misaligned; the rest is this function's own condition.
        let this = unsafe { reduction.read() };
        let unit = usize::try_from(this.unit).map_err(|_| Error::TooLarge)?;
        let slot = usize::try_from(this.k).unwrap_or(usize::MAX);
        let error =
            OdeSums::Error { error: this.error.view()?, newest: this.newest, step: this.step.view()? };
        let dots = [
            OdeDots::None,
            OdeDots::Product,
            OdeDots::ModelOutput,
            OdeDots::ProductAt(unit),
            OdeDots::ModelOutputAt(unit),
        ];
        Ok(OdeReduction {
            sums: known(this.sums, &[OdeSums::None, OdeSums::FirstNorms, OdeSums::SecondNorm(slot), error])?,
            dots: known(this.dots, &dots)?,
            factor: this.derivative.factor,
            score: this.derivative.score()?,
            rtol: this.rtol,
            atol: this.atol,
            sample_len: usize::try_from(this.sample_len).map_err(|_| Error::TooLarge)?,
            probe: known(this.counts_probe, &[None, Some(this.probe)])?,
        })
    }
}

/// What must be summed over a batch of `len` floats before vesde_ode_next_plan. With the sums and
/// the plan that follows, vesde_ode_next is done in parts: on threads, on ranks or on a GPU. It
/// changes nothing.
///
/// # Safety
/// `ode` is NULL or was made by vesde_ode_init; `reduction` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_get_reduction(
    ode: *const Ode,
    len: usize,
    reduction: *mut COdeReduction,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(reduction, || object(ode, &[])?.reduction(len).map(Into::into)) }
}

/// How many doubles vesde_ode_sums stores for each VESDE_NORM_BLOCK elements: 0 where there is
/// nothing to sum, 1 or 2.
///
/// # Safety
/// `reduction` is NULL or readable; `values` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_sums_values(
    reduction: *const COdeReduction,
    values: *mut usize,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(values, || Ok(COdeReduction::view(reduction)?.values())) }
}

/// The sums over each VESDE_NORM_BLOCK elements of a part that begins at a multiple of it:
/// vesde_ode_sums_values doubles for the first block, then those of the second, and so on. The
/// totals that vesde_ode_next_plan takes are those of all blocks of the batch, added in order,
/// whoever computed them.
///
/// # Safety
/// `reduction` and `buffers` are NULL or readable; every buffer is NULL or valid for its length;
/// `blocks` is NULL or writable for `blocks_len` doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_sums(
    reduction: *const COdeReduction,
    buffers: *const COdeBuffers,
    blocks_len: usize,
    blocks: *mut f64,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { reduce(reduction, buffers, blocks_len, blocks, OdeReduction::values, OdeReduction::sums_into) }
}

/// The sums of one sample over each VESDE_NORM_BLOCK of its elements, for a part of it that begins
/// at a multiple of that: one double a block. vesde_ode_next_plan takes the sum of all blocks of a
/// sample, in order. Zeros where `dots` asks for nothing.
///
/// # Safety
/// As vesde_ode_sums.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_dots(
    reduction: *const COdeReduction,
    buffers: *const COdeBuffers,
    blocks_len: usize,
    blocks: *mut f64,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { reduce(reduction, buffers, blocks_len, blocks, |_| 1, OdeReduction::dots_into) }
}

/// A reduction that hands what it stores to a sink of so many places.
type Reduce = fn(&OdeReduction, &OdeBuffers<'_>, usize, &mut dyn FnMut(f64)) -> Result<(), Error>;

/// Runs a reduction of a part, which stores so many values a block.
///
/// # Safety
/// As vesde_ode_sums.
unsafe fn reduce(
    reduction: *const COdeReduction,
    buffers: *const COdeBuffers,
    blocks_len: usize,
    blocks: *mut f64,
    values: fn(&OdeReduction) -> usize,
    run: Reduce,
) -> vesde_status {
    // SAFETY: this function's own condition.
    status(|| unsafe {
        let reduction = COdeReduction::view(reduction)?;
        let buffers = COdeBuffers { log_densities_len: 0, ..COdeBuffers::copy(buffers)? };
        let ([a, b, c, _], [e, f, g, h]) = (buffers.outs(), buffers.ins());
        // Of nothing there may be no blocks.
        if blocks_len != 0 || values(&reduction) != 0 {
            super::check(blocks, blocks_len)?;
        }
        check_disjoint(blocks, blocks_len, &[a, b, c, e, f, g, h])?;
        let mut next = 0;
        run(&reduction, &buffers.view()?, blocks_len, &mut |sum| {
            if next < blocks_len {
                // SAFETY: next < blocks_len, and the rest is the caller's promise.
                blocks.add(next).write(sum);
                next += 1;
            }
        })
    })
}

/// What becomes of the sample of an ODE job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum OdeSampleKind {
    /// Nothing.
    Unchanged = 0,
    /// It is what the input was.
    Input = 1,
    /// It is a sum.
    Sum = 2,
}

/// What is added to the input of an ODE job in the end, in float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum OdeShiftKind {
    /// Nothing.
    None = 0,
    /// shift_factor·probe, rounded.
    Probe = 1,
    /// shift_factor to one element of each sample.
    Unit = 2,
}

/// What a turn of an ODE job does to the buffers, in this order; each may be nothing. Elementwise:
/// any part of the buffers may be worked on by itself.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct COdePlan {
    /// A derivative that is kept, if its slot is not −1.
    pub keep: COdeDerivative,
    /// The sample's change, where that is a sum.
    pub sample_sum: COdeSum,
    /// The input of the next evaluation, made from the sample as it is then.
    pub input_sum: COdeSum,
    /// The initial sample's noise, where it is counter noise.
    pub prior: Counter,
    /// The probe, where it is the signs of counter noise.
    pub probe: Counter,
    /// The element that the shift is about.
    pub shift_unit: u64,
    /// Elements of a sample.
    pub sample_len: u64,
    /// The factor of the initial sample's noise, σ_max, before all else; 0 if there is none.
    pub prior_factor: f32,
    /// The factor of the shift.
    pub shift_factor: f32,
    /// 1 if the initial sample's noise is counter noise, and 0 if it is the caller's.
    pub counts_prior: i32,
    /// 1 if the probe is counter noise's signs, and 0 if it is the caller's.
    pub counts_probe: i32,
    /// What becomes of the sample: one of enum vesde_ode_sample_kind.
    pub sample: i32,
    /// 1 if there is a new input, and 0 if not.
    pub input: i32,
    /// What is added to it: one of enum vesde_ode_shift_kind.
    pub shift: i32,
    /// Zero.
    pub reserved: i32,
}

impl From<OdePlan> for COdePlan {
    fn from(plan: OdePlan) -> Self {
        let keep = plan.keep.map_or_else(
            || COdeDerivative::new(0.0, OdeScore::ModelOutput, -1),
            |OdeKeep { slot, factor, score }| COdeDerivative::new(factor, score, slot as i32),
        );
        let (sample, sample_sum) = match plan.sample {
            OdeSample::Unchanged => (OdeSampleKind::Unchanged, NO_SUM),
            OdeSample::Input => (OdeSampleKind::Input, NO_SUM),
            OdeSample::Sum(sum) => (OdeSampleKind::Sum, sum.into()),
        };
        let (shift, shift_factor, probe, unit, sample_len) = match plan.shift {
            OdeShift::None => (OdeShiftKind::None, 0.0, None, 0, 0),
            OdeShift::Probe { factor, counter } => (OdeShiftKind::Probe, factor, counter, 0, 0),
            OdeShift::Unit { factor, unit, sample_len } => {
                (OdeShiftKind::Unit, factor, None, unit, sample_len)
            }
        };
        let prior = plan.prior.and_then(|prior| prior.counter);
        Self {
            keep,
            sample_sum,
            input_sum: plan.input.map_or(NO_SUM, Into::into),
            prior: prior.unwrap_or_default(),
            probe: probe.unwrap_or_default(),
            shift_unit: unit as u64,
            sample_len: sample_len as u64,
            prior_factor: plan.prior.map_or(0.0, |prior| prior.factor),
            shift_factor,
            counts_prior: i32::from(prior.is_some()),
            counts_probe: i32::from(probe.is_some()),
            sample: sample as i32,
            input: i32::from(plan.input.is_some()),
            shift: shift as i32,
            reserved: 0,
        }
    }
}

impl COdePlan {
    fn view(&self) -> Result<OdePlan, Error> {
        let size = |number: u64| usize::try_from(number).map_err(|_| Error::TooLarge);
        let (unit, sample_len) = (size(self.shift_unit)?, size(self.sample_len)?);
        let counter = known(self.counts_probe, &[None, Some(self.probe)])?;
        let prior_counter = known(self.counts_prior, &[None, Some(self.prior)])?;
        let factor = self.shift_factor;
        let shifts = [
            OdeShift::None,
            OdeShift::Probe { factor, counter },
            OdeShift::Unit { factor, unit, sample_len },
        ];
        let samples = [OdeSample::Unchanged, OdeSample::Input, OdeSample::Sum(self.sample_sum.view()?)];
        Ok(OdePlan {
            prior: (self.prior_factor != 0.0)
                .then_some(OdePrior { factor: self.prior_factor, counter: prior_counter }),
            keep: match usize::try_from(self.keep.slot) {
                Ok(slot) => Some(OdeKeep { slot, factor: self.keep.factor, score: self.keep.score()? }),
                Err(_) => None,
            },
            sample: known(self.sample, &samples)?,
            input: known(self.input, &[None, Some(self.input_sum.view()?)])?,
            shift: known(self.shift, &shifts)?,
        })
    }
}

/// Goes on by one turn, from the two totals of the reduction (zeros where nothing was to be
/// summed). `plan` says what to do with the buffers, and `request` what is needed next. With a
/// divergence, `log_densities[batch]` to `log_densities[2*batch - 1]` are the sums over each sample
/// that the reduction asks for. To repeat a plan, keep a copy of the state and of the
/// log-densities.
///
/// # Safety
/// `ode` is NULL or was made by vesde_ode_init, and nothing else uses it now; `sums` is NULL or
/// readable for two doubles; `log_densities` holds `log_densities_len` doubles; `plan` and
/// `request` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_next_plan(
    ode: *mut Ode,
    len: usize,
    sums: *const f64,
    log_densities: *mut f64,
    log_densities_len: usize,
    plan: *mut COdePlan,
    request: *mut COdeRequest,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        super::check(plan, 1)?;
        super::check(request, 1)?;
        super::check(sums, 2)?;
        let sums = sums.cast::<[f64; 2]>().read();
        let densities = span(log_densities, log_densities_len);
        let ode = object_mut(ode, &[span(plan, 1), span(request, 1), densities])?;
        check_disjoint(request, 1, &[span(plan, 1), densities])?;
        check_disjoint(plan, 1, &[densities])?;
        let log_densities: &mut [f64] = match log_densities_len {
            0 => &mut [],
            len => table_mut(log_densities, len, &[])?,
        };
        let (next, wanted) = ode.plan(len, sums, log_densities)?;
        plan.write(next.into());
        request.write(wanted.into());
        Ok(())
    })
}

/// Runs a plan on all buffers or a part of them, which may begin anywhere.
///
/// # Safety
/// `plan` and `buffers` are NULL or readable; every buffer is NULL or valid for its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_ode_run(plan: *const COdePlan, buffers: *const COdeBuffers) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        super::check(plan, 1)?;
        let plan = plan.read().view()?;
        let buffers = COdeBuffers { log_densities_len: 0, ..COdeBuffers::copy(buffers)? };
        plan.run(&mut buffers.view()?)
    })
}

/// The log-density of one sample of data in nats, and its parts, from its code z of `len` floats
/// and the integral of the divergence: the results of an ODE job that encodes, with a divergence.
/// It is the density of data with noise of σ(sampling_eps), about sigma_min, on them. `sigma_max`
/// is the configuration's.
///
/// # Safety
/// `z` is NULL or readable for `len` floats; `result` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_get_log_likelihood(
    sigma_max: f64,
    z: *const f32,
    len: usize,
    divergence: f64,
    result: *mut LogLikelihood,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(result, || log_likelihood(sigma_max, input(z, len)?, divergence)) }
}

/// Bits per dimension: −log_density/(dims·ln 2) + log₂(levels·slope). 8-bit data have 256 levels;
/// `slope` is 1 where the network sees data in 0..=1, and ½ where it sees −1..=1.
#[unsafe(no_mangle)]
pub extern "C" fn vesde_bits_per_dim(log_density: f64, dims: usize, levels: f64, slope: f64) -> f64 {
    bits_per_dim(log_density, dims, levels, slope)
}
