//! The sampler in C.

use super::{
    CScheduler, Span, VESDE_MOST_TERMS, averaging, check_disjoint, input, known, norm, object, object_mut,
    output, produce, span, status, table_mut, vesde_status,
};
use crate::buf::Out;
use crate::config::Config;
use crate::error::Error;
use crate::noise::{AnyGenerator, Counter};
use crate::norms::{Averaging, Norm};
use crate::sampler::{
    Buffers, Churn, Conditions, Corrector, Denoised, Keep, MOST_KEEPS, Method, Operand, Plan, PlanNoise,
    PlanTerm, Prediction, Reduction, Request, Sampler, SamplerNoise, SamplerOptions, SamplerResult, Terms,
};
use crate::schedule::{Predictor, Schedule};

/// What a sampler needs to know besides the configuration. All zeros is diffusers' behaviour on
/// counter noise of seed 0.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CSamplerOptions {
    /// Seed of the counter noise.
    pub seed: u64,
    /// Stream of the first draw of counter noise; each further draw takes the next.
    pub stream: u64,
    /// The step to start at. 0 unless `start` is VESDE_SAMPLER_START_GIVEN.
    pub first_step: u64,
    /// Who makes the noise: one of enum vesde_sampler_noise.
    pub noise: i32,
    /// How the corrector averages its norms: one of enum vesde_averaging.
    pub averaging: i32,
    /// How the corrector computes its norms: one of enum vesde_norm.
    pub norm: i32,
    /// 0 to clamp the result to 0..=1, as diffusers' pipeline does; 1 to leave it as it is.
    pub unclamped: i32,
    /// The result of the job: one of enum vesde_sampler_result.
    pub result: i32,
    /// Where the job starts: one of enum vesde_sampler_start.
    pub start: i32,
    /// The predictor: one of enum vesde_predictor.
    pub predictor: i32,
    /// The corrector: one of enum vesde_corrector.
    pub corrector: i32,
    /// Whether the job stops for changes of the sample: one of enum vesde_conditions.
    pub conditions: i32,
    /// The step size of VESDE_CORRECTOR_NCSNV2 at the last sigma.
    pub step_lr: f32,
    /// The method: one of enum vesde_method.
    pub method: i32,
    /// The network's output: one of enum vesde_prediction. VESDE_METHOD_PREDICTOR_CORRECTOR takes
    /// the score.
    pub prediction: i32,
    /// The order of VESDE_METHOD_LMS and VESDE_METHOD_IPNDM, up to 4; 0 is 4.
    pub order: u32,
    /// How much noise a step adds, in methods that take it: 0 for none, 1 for as much as the
    /// reverse-time SDE has.
    pub eta: f32,
    /// The factor of the noise of steps and of churn (EDM's and k-diffusion's s_noise); 0 means 1.
    pub s_noise: f32,
    /// Churn (Karras et al. 2022, algorithm 2), for the methods that say so. Before a step whose
    /// sigma is in s_tmin..=s_tmax, noise raises it to sigma·(1 + gamma) with gamma =
    /// min(s_churn/steps, √2 − 1). 0 for none.
    pub s_churn: f32,
    /// The least sigma that is raised.
    pub s_tmin: f32,
    /// The greatest; 0 is no limit.
    pub s_tmax: f32,
    /// 1 to clamp the denoised sample in each step, in methods along sigmas, and 0 if not. It
    /// biases samples with many values at the ends of the range.
    pub denoised_clamped: i32,
    /// The least value of the denoised sample.
    pub denoised_low: f32,
    /// The greatest.
    pub denoised_high: f32,
}

/// Where a job starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum SamplerStart {
    /// From noise of the largest sigma.
    Noise = 0,
    /// From the sample that the first vesde_sampler_next is given, at `first_step`. Draws and
    /// streams are numbered as if the job had come so far by itself. For image to image the sample
    /// is the picture with noise of that step's sigma (vesde_add_noise). To resume a job, it is the
    /// sample that the job had before that step's first correction.
    Given = 1,
}

/// What the caller is to do before the next vesde_sampler_next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum RequestKind {
    /// Nothing: the sample is the result.
    Done = 0,
    /// Evaluate the score of `sample` at `sigma`, into `model_output`.
    Score = 1,
    /// Fill `noise` with as many standard normal numbers as the sample has elements.
    Noise = 2,
    /// Change `sample` as the job's condition demands, for example by vesde_impute. The known part
    /// of the sample then needs noise of `sigma`.
    Condition = 3,
}

/// A sampler's request. `draw` is set for VESDE_REQUEST_KIND_NOISE; `step`, `steps`, `sigma` and
/// `timestep` for VESDE_REQUEST_KIND_SCORE, with `correction` and `label`, and for
/// VESDE_REQUEST_KIND_CONDITION, with `draw`, `after` and `last`; the rest is zero.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CRequest {
    /// What to do: one of enum vesde_request_kind.
    pub kind: i32,
    /// The corrector step within the step, from 0. For the predictor step it is the number of
    /// corrector steps, and for the score of VESDE_SAMPLER_RESULT_DENOISED it is 0. Along a table
    /// of sigmas it is 0 for the first score of a step and 1 for the second.
    pub correction: u32,
    /// The step, from 0 to `steps` − 1: progress.
    pub step: usize,
    /// The number of steps.
    pub steps: usize,
    /// The label for a network of discrete noise levels: steps − 1 − the index of
    /// vesde_get_timestep_index, so 0 for the largest sigma. It is score_sde's label, round((1 −
    /// t)·(steps − 1)), where sampling_eps is at least 1e-6 and sampling_eps·(steps − 1) is less
    /// than a half. Elsewhere score_sde's may differ by 1; this one goes with the sigma that the
    /// step looks up. With VESDE_CORRECTOR_NCSNV2 it is the step, which is ncsnv2's index of the
    /// level. Along a table of sigmas it is the step, too.
    pub label: u64,
    /// Which draw of noise: 0 is the initial sample's, later ones are those of the steps in
    /// diffusers' order. They may come from different generators. A condition with a draw of its
    /// own takes counter noise of the options' stream plus this number, or the generator's next
    /// numbers; 0 if it has none.
    pub draw: u64,
    /// The noise scale, for the network. For a condition along a table of sigmas it is the one that
    /// the step has come to.
    pub sigma: f32,
    /// The continuous timestep; along a table of sigmas vesde_get_timestep of the sigma, which may
    /// lie outside 0..=1.
    pub timestep: f32,
    /// After what a condition comes: one of enum vesde_after.
    pub after: i32,
    /// 1 if the condition comes last: the sample as the caller leaves it is the result.
    pub last: i32,
}

/// What must be computed from the tensors before a plan's factors are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum ReductionKind {
    /// Nothing.
    None = 0,
    /// The norms of the model output and of the noise: of each sample, or their means over the
    /// batch. vesde_get_corrector_step makes two factors of them: `step_size` for the model output,
    /// which is the second term and 0 in the plan, and `noise_factor` for the noise.
    CorrectorNorms = 1,
}

/// A buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum OperandKind {
    /// The sample.
    Sample = 0,
    /// The model output.
    ModelOutput = 1,
    /// The denoised sample, in plans that clamp it.
    Denoised = 2,
    /// The history's first buffer; its next ones have the next numbers.
    Kept = 3,
}

/// A factor of a plan and its buffer.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CPlanTerm {
    /// The factor.
    pub factor: f32,
    /// What it multiplies: one of enum vesde_operand, or more than VESDE_OPERAND_KEPT for more
    /// history.
    pub operand: i32,
    /// A second factor of the product, which rounds again; 0 and 1 leave the product as it is.
    pub second_factor: f32,
}

/// A sum that becomes history, of what the buffers hold before the plan is run.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CKeep {
    /// The terms, in the order in which they are added.
    pub terms: [CPlanTerm; VESDE_MOST_TERMS],
    /// Their number.
    pub terms_len: usize,
    /// The buffer of the history that takes it: 0 for VESDE_OPERAND_KEPT.
    pub slot: usize,
}

/// The most sums that a plan keeps.
pub const VESDE_MOST_KEEPS: usize = 2;

const _: () = assert!(VESDE_MOST_KEEPS == MOST_KEEPS);

/// What a turn of the sampler does to the sample: the sum of its terms and of noise_factor·noise,
/// as vesde_linear computes it. Without terms and noise the sample stays as it is; where
/// noise_factor is 0 no noise is read. All sums, also those that are kept, read what the buffers
/// held before the plan.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CPlan {
    /// The terms, in the order in which they are added.
    pub terms: [CPlanTerm; VESDE_MOST_TERMS],
    /// Their number.
    pub terms_len: usize,
    /// The factor of the noise, unless a reduction computes it.
    pub noise_factor: f32,
    /// 1 if the result is clamped, and 0 if not.
    pub clamped: i32,
    /// The least value of the result.
    pub clamp_low: f32,
    /// The greatest value of the result.
    pub clamp_high: f32,
    /// What becomes history.
    pub keeps: [CKeep; VESDE_MOST_KEEPS],
    /// How many of them there are.
    pub keeps_len: usize,
    /// 1 if the plan takes a score, and 0 if not. The next five fields say what the denoised sample
    /// is.
    pub has_denoised: i32,
    /// The denoised sample's factor of the sample.
    pub denoised_sample: f32,
    /// Its factor of the model output.
    pub denoised_model_output: f32,
    /// 1 if it is clamped, and 0 if not.
    pub denoised_clamped: i32,
    /// Its least value.
    pub denoised_low: f32,
    /// Its greatest value.
    pub denoised_high: f32,
    /// What must be computed first: one of enum vesde_reduction.
    pub reduction: i32,
    /// Over what the norms of a reduction are averaged: one of enum vesde_averaging.
    pub averaging: i32,
    /// How they are computed: one of enum vesde_norm.
    pub norm: i32,
    /// The factor of further counter noise that is added to the result: after the initial sample,
    /// for a first step that begins with churn. 0 for none.
    pub churn_factor: f32,
    /// The signal-to-noise ratio that vesde_get_corrector_step takes.
    pub snr: f64,
    /// Which draw the noise is: 0 is the initial sample's.
    pub draw: u64,
    /// The noise, if it is counter noise: element i of the batch takes element counter.index + i.
    pub counter: Counter,
    /// Which draw the churn is.
    pub churn_draw: u64,
    /// Its noise.
    pub churn_counter: Counter,
}

// Without padding: plans are copied and compared byte by byte.
const _: () = assert!(
    size_of::<CPlan>()
        == (1 + VESDE_MOST_KEEPS) * VESDE_MOST_TERMS * size_of::<CPlanTerm>()
            + (2 + 2 * VESDE_MOST_KEEPS) * size_of::<usize>()
            + 14 * size_of::<i32>()
            + 3 * size_of::<u64>()
            + 2 * size_of::<Counter>()
);

/// Terms as C has them.
#[inline(never)] // so that it is in the library once
fn terms_of(terms: &[PlanTerm]) -> [CPlanTerm; VESDE_MOST_TERMS] {
    let mut all = [CPlanTerm { factor: 0.0, operand: 0, second_factor: 0.0 }; VESDE_MOST_TERMS];
    for (to, &PlanTerm { factor, second_factor, operand }) in all.iter_mut().zip(terms) {
        let operand = match operand {
            Operand::Sample => OperandKind::Sample as i32,
            Operand::ModelOutput => OperandKind::ModelOutput as i32,
            Operand::Denoised => OperandKind::Denoised as i32,
            Operand::Kept(slot) => OperandKind::Kept as i32 + slot as i32,
        };
        *to = CPlanTerm { factor, operand, second_factor };
    }
    all
}

/// Terms that C has.
#[inline(never)] // so that it is in the library once
fn terms_from(terms: &[CPlanTerm; VESDE_MOST_TERMS], len: usize) -> Result<Terms, Error> {
    let terms = terms.get(..len).ok_or(Error::TooLarge)?;
    let mut all = Terms::NONE;
    for &CPlanTerm { factor, operand, second_factor } in terms {
        let operand = match operand {
            x if x == OperandKind::Sample as i32 => Operand::Sample,
            x if x == OperandKind::ModelOutput as i32 => Operand::ModelOutput,
            x if x == OperandKind::Denoised as i32 => Operand::Denoised,
            x => {
                let slot = x.checked_sub(OperandKind::Kept as i32).ok_or(Error::UnknownEnum)?;
                Operand::Kept(usize::try_from(slot).map_err(|_| Error::UnknownEnum)?)
            }
        };
        // As in vesde_linear.
        let second_factor = if second_factor == 0.0 { 1.0 } else { second_factor };
        all.push(PlanTerm { factor, second_factor, operand });
    }
    Ok(all)
}

impl From<&Plan> for CPlan {
    fn from(plan: &Plan) -> Self {
        let (clamp_low, clamp_high) = plan.clamp.unwrap_or_default();
        let none = CKeep { terms: terms_of(&[]), terms_len: 0, slot: 0 };
        let mut keeps = [none; VESDE_MOST_KEEPS];
        for (to, keep) in keeps.iter_mut().zip(plan.keeps()) {
            let terms = keep.terms();
            *to = CKeep { terms: terms_of(terms), terms_len: terms.len(), slot: keep.slot };
        }
        let nothing = Denoised { sample: 0.0, model_output: 0.0, clamp: None };
        let denoised = plan.denoised.unwrap_or(nothing);
        let (denoised_low, denoised_high) = denoised.clamp.unwrap_or_default();
        let no_churn = PlanNoise { factor: 0.0, draw: 0, counter: Counter::default() };
        let churn = plan.churn.unwrap_or(no_churn);
        let (reduction, snr, averaging, norm) = match plan.reduction {
            Reduction::None => (ReductionKind::None, 0.0, Averaging::Batch, Norm::Exact),
            Reduction::CorrectorNorms { snr, averaging, norm } => {
                (ReductionKind::CorrectorNorms, snr, averaging, norm)
            }
        };
        Self {
            terms: terms_of(plan.terms()),
            terms_len: plan.terms().len(),
            noise_factor: plan.noise_factor,
            clamped: i32::from(plan.clamp.is_some()),
            clamp_low,
            clamp_high,
            keeps,
            keeps_len: plan.keeps().len(),
            has_denoised: i32::from(plan.denoised.is_some()),
            denoised_sample: denoised.sample,
            denoised_model_output: denoised.model_output,
            denoised_clamped: i32::from(denoised.clamp.is_some()),
            denoised_low,
            denoised_high,
            reduction: reduction as i32,
            averaging: averaging as i32,
            norm: norm as i32,
            snr,
            draw: plan.draw,
            counter: plan.counter,
            churn_factor: churn.factor,
            churn_draw: churn.draw,
            churn_counter: churn.counter,
        }
    }
}

impl CPlan {
    /// The Rust object. Reductions are not run from it.
    fn view(&self) -> Result<Plan, Error> {
        if self.reduction != ReductionKind::None as i32 {
            return Err(Error::InvalidSampler);
        }
        let range =
            |is_clamped: i32, low, high| Ok(known(is_clamped, &[false, true])?.then_some((low, high)));
        let has_denoised = known(self.has_denoised, &[false, true])?;
        let denoised = Denoised {
            sample: self.denoised_sample,
            model_output: self.denoised_model_output,
            clamp: range(self.denoised_clamped, self.denoised_low, self.denoised_high)?,
        };
        let churn =
            PlanNoise { factor: self.churn_factor, draw: self.churn_draw, counter: self.churn_counter };
        let mut plan = Plan {
            terms: terms_from(&self.terms, self.terms_len)?,
            noise_factor: self.noise_factor,
            clamp: range(self.clamped, self.clamp_low, self.clamp_high)?,
            denoised: has_denoised.then_some(denoised),
            draw: self.draw,
            counter: self.counter,
            churn: (churn.factor != 0.0).then_some(churn),
            ..Plan::NOTHING
        };
        for keep in self.keeps.get(..self.keeps_len).ok_or(Error::TooLarge)? {
            if keep.terms_len == 0 {
                return Err(Error::Empty);
            }
            plan = plan.keeping(Keep { slot: keep.slot, terms: terms_from(&keep.terms, keep.terms_len)? });
        }
        Ok(plan)
    }
}

/// The buffers of a job: the same at every call, or copies of them. Fields that a job does not need
/// are zero.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CBuffers {
    /// The sample, which is updated in place.
    pub sample: *mut f32,
    /// The network's output for the sample.
    pub model_output: *const f32,
    /// Floats of the sample, of the model output and of the noise: those of the whole batch.
    pub len: usize,
    /// The noise that VESDE_REQUEST_KIND_NOISE has asked for; NULL where it never does.
    pub noise: *const f32,
    /// The history of the job, to be left alone between calls; NULL where
    /// vesde_sampler_workspace_len is 0.
    pub workspace: *mut f32,
    /// Floats of the workspace.
    pub workspace_len: usize,
    /// For previews, `len` floats: a call that takes a score writes the denoised sample here, and
    /// other calls leave it as it is. NULL if it is not wanted.
    pub denoised: *mut f32,
}

impl CBuffers {
    /// Where a job writes: the sample, the history and the denoised sample.
    fn outs(&self) -> [Span; 3] {
        let Self { sample, len, workspace, workspace_len, denoised, .. } = *self;
        [span(sample, len), span(workspace, workspace_len), span(denoised, len)]
    }

    /// The Rust object.
    ///
    /// # Safety
    /// Each pointer is NULL or valid for its length as long as `'a`.
    unsafe fn view<'a>(self) -> Result<Buffers<'a>, Error> {
        let Self { sample, model_output, len, noise, workspace, workspace_len, denoised } = self;
        // SAFETY: this function's own condition.
        unsafe {
            Ok(Buffers {
                sample: output(sample, len)?,
                model_output: input(model_output, len)?,
                noise: if noise.is_null() { None } else { Some(input(noise, len)?) },
                workspace: if workspace_len == 0 { Out::NONE } else { output(workspace, workspace_len)? },
                denoised: if denoised.is_null() { None } else { Some(output(denoised, len)?) },
            })
        }
    }
}

/// Makes a sampler: a job of `options->method` for a batch of `batch` samples. It keeps a copy of
/// `config`; later calls read only the tables of their scheduler. A method along a table of sigmas
/// reads `sigmas` alone, n + 1 of them for n steps, and the other tables may be NULL. A
/// `first_step` without a given sample is VESDE_ERROR_TIMESTEP_OUT_OF_RANGE.
///
/// # Safety
/// `config` and `options` are NULL or readable; `sampler` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sampler_init(
    config: *const Config,
    batch: usize,
    options: *const CSamplerOptions,
    sampler: *mut Sampler,
) -> vesde_status {
    let make = || {
        // SAFETY: the caller's promise.
        let (config, options) = unsafe { (object(config, &[])?, object(options, &[])?) };
        let options = SamplerOptions {
            seed: options.seed,
            stream: options.stream,
            noise: known(options.noise, &[SamplerNoise::Counter, SamplerNoise::Given])?,
            averaging: averaging(options.averaging)?,
            norm: norm(options.norm)?,
            unclamped: known(options.unclamped, &[false, true])?,
            predictor: known(options.predictor, Predictor::ALL)?,
            corrector: known(options.corrector, Corrector::ALL)?,
            conditions: known(
                options.conditions,
                &[Conditions::None, Conditions::Drawing, Conditions::Quiet],
            )?,
            step_lr: options.step_lr,
            method: known(options.method, Method::ALL)?,
            prediction: known(options.prediction, Prediction::ALL)?,
            order: options.order,
            eta: options.eta,
            s_noise: Some(options.s_noise).filter(|&s_noise| s_noise != 0.0),
            churn: Churn {
                s_churn: options.s_churn,
                s_tmin: options.s_tmin,
                s_tmax: if options.s_tmax == 0.0 { f32::INFINITY } else { options.s_tmax },
            },
            clamp_denoised: known(options.denoised_clamped, &[false, true])?
                .then_some((options.denoised_low, options.denoised_high)),
            result: known(
                options.result,
                &[SamplerResult::Mean, SamplerResult::Noisy, SamplerResult::Denoised],
            )?,
            start: match options.start {
                x if x == SamplerStart::Given as i32 => {
                    Some(usize::try_from(options.first_step).map_err(|_| Error::TimestepOutOfRange)?)
                }
                x if x != SamplerStart::Noise as i32 => return Err(Error::UnknownEnum),
                _ if options.first_step != 0 => return Err(Error::TimestepOutOfRange),
                _ => None,
            },
        };
        Sampler::new(config, batch, options)
    };
    // SAFETY: the caller's promise.
    unsafe { produce(sampler, make) }
}

/// A request as C has it.
fn request_of(request: Request, steps: usize) -> CRequest {
    let nothing = CRequest {
        kind: 0,
        correction: 0,
        step: 0,
        steps: 0,
        label: 0,
        draw: 0,
        sigma: 0.0,
        timestep: 0.0,
        after: 0,
        last: 0,
    };
    match request {
        Request::Score { sigma, timestep, label, step, correction } => CRequest {
            kind: RequestKind::Score as i32,
            correction,
            step,
            steps,
            label: label as u64,
            sigma,
            timestep,
            ..nothing
        },
        Request::Noise { draw } => CRequest { kind: RequestKind::Noise as i32, draw, ..nothing },
        Request::Condition { sigma, timestep, step, after, draw, last } => CRequest {
            kind: RequestKind::Condition as i32,
            step,
            steps,
            draw,
            sigma,
            timestep,
            after: after as i32,
            last: i32::from(last),
            ..nothing
        },
        Request::Done => CRequest { kind: RequestKind::Done as i32, ..nothing },
    }
}

/// vesde_sampler_next without buffers, for an engine that computes on its own threads or devices.
/// `plan` says what to do with the answer to the last request, and `request` what is needed next.
/// The caller checks the buffers, and computes the factors of a reduction. The state goes on by one
/// turn, even if the plan is not run: to repeat a turn, keep a copy of the state. A whole job is:
///
/// ```c
/// do {
///     status = vesde_sampler_plan(&sampler, &scheduler, &plan, &request);
///     if (status != VESDE_OK)
///         break;
///     run(&plan, x, score, z); // what is kept, the reduction, then vesde_plan_combination
///     if (request.kind == VESDE_REQUEST_KIND_SCORE)
///         network(x, request.sigma, score);
///     else if (request.kind == VESDE_REQUEST_KIND_NOISE)
///         draw(request.draw, z);
/// } while (request.kind != VESDE_REQUEST_KIND_DONE);
/// ```
///
/// # Safety
/// `sampler` is NULL or was made by vesde_sampler_init, and nothing else uses it now; `scheduler`
/// is NULL or readable, and so are its tables; `plan` and `request` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sampler_plan(
    sampler: *mut Sampler,
    scheduler: *const CScheduler,
    plan: *mut CPlan,
    request: *mut CRequest,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        super::check(plan, 1)?;
        super::check(request, 1)?;
        let outs = [span(plan, 1), span(request, 1), span(sampler, 1)];
        let schedule = CScheduler::view(scheduler, &outs)?.schedule;
        let sampler = object_mut(sampler, &outs[..2])?;
        check_disjoint(request, 1, &outs[..1])?;
        let (next, wanted) = sampler.plan(&schedule)?;
        plan.write(CPlan::from(&next));
        request.write(request_of(wanted, sampler.steps(&schedule)));
        Ok(())
    })
}

/// Runs a plan, as vesde_sampler_next does, on `len` elements of a job's buffers from `start` on:
/// on the engine's threads, in any split. Noise is buffers->noise, or, where that is NULL, the
/// plan's counter noise. A plan with a reduction is VESDE_ERROR_INVALID_SAMPLER: compute its
/// factors and set `reduction` to VESDE_REDUCTION_NONE first. A part that is not within the buffers
/// is VESDE_ERROR_LENGTH_MISMATCH.
///
/// # Safety
/// `plan` and `buffers` are NULL or readable; every buffer is NULL or valid for its length,
/// initialised where the plan reads it, and nothing else accesses these elements meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_run_plan(
    plan: *const CPlan,
    buffers: *const CBuffers,
    start: usize,
    len: usize,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        super::check(buffers, 1)?;
        let buffers = buffers.read();
        let plan = object(plan, &buffers.outs())?.view()?;
        plan.run(buffers.view()?, start, len)
    })
}

/// Takes what the last request asked for, advances `sample` in place, and says what is needed next.
/// A whole job is:
///
/// ```c
/// do {
///     status = vesde_sampler_next(&sampler, &scheduler, &buffers, &request);
///     if (status == VESDE_OK && request.kind == VESDE_REQUEST_KIND_SCORE)
///         network(sample, request.sigma, score);
/// } while (status == VESDE_OK && request.kind != VESDE_REQUEST_KIND_DONE);
/// ```
///
/// with vesde_buffers buffers = {.sample = sample, .model_output = score, .len = len}.
///
/// The first call makes the initial sample, whatever the buffers hold, unless the options say that
/// the caller gives it. After VESDE_REQUEST_KIND_DONE the sample is the result, which the options
/// choose: the last predictor step's prev_sample_mean, clamped, by default. Only corrector steps
/// notice a NaN in the score. After an error everything is as before: the call can be repeated.
/// vesde_sampler_next_drawing draws by itself.
///
/// # Safety
/// `sampler` is NULL or was made by vesde_sampler_init, and nothing else uses it now;
/// `scheduler` and `buffers` are NULL or readable, and so are the scheduler's tables; every buffer
/// is NULL or valid for its length, and initialised except in the first call; `request` is NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sampler_next(
    sampler: *mut Sampler,
    scheduler: *const CScheduler,
    buffers: *const CBuffers,
    request: *mut CRequest,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        super::check(buffers, 1)?;
        let nothing = span::<f32>(core::ptr::null(), 0);
        next(sampler, scheduler, buffers.read(), request, [nothing; 2], &mut Sampler::next)
    })
}

/// vesde_sampler_next that draws from generators: one, or one for each sample of the batch. They
/// draw into `noise`, of buffers->len floats, which the caller leaves alone between calls.
/// VESDE_REQUEST_KIND_NOISE does not come, and buffers->noise is not read. To take the initial
/// sample from another generator, pass that one until the first VESDE_REQUEST_KIND_SCORE. The noise
/// of conditions is drawn, too, even in a job on counter noise. After an error the call can be
/// repeated; a draw that was made stays made. A number of generators that is neither 1 nor the
/// batch is VESDE_ERROR_LENGTH_MISMATCH, whether or not they draw.
///
/// # Safety
/// As vesde_sampler_next; `generators` is NULL or holds `generators_len` states, and
/// nothing else uses them now; `noise` is NULL or writable for buffers->len floats, and initialised
/// except in the first call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sampler_next_drawing(
    sampler: *mut Sampler,
    scheduler: *const CScheduler,
    buffers: *const CBuffers,
    generators: *mut AnyGenerator,
    generators_len: usize,
    noise: *mut f32,
    request: *mut CRequest,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        super::check(buffers, 1)?;
        let buffers = CBuffers { noise: core::ptr::null(), ..buffers.read() };
        let (len, [a, b, c]) = (buffers.len, buffers.outs());
        let out = output(noise, len)?;
        let [d, e, f, noise_span] =
            [span(buffers.model_output, len), span(request, 1), span(sampler, 1), span(noise, len)];
        check_disjoint(noise, len, &[a, b, c, d, e, f])?;
        let drawn = [noise_span, span(generators, generators_len)];
        let generators = table_mut(generators, generators_len, &[a, b, c, d, e, f, noise_span])?;
        next(sampler, scheduler, buffers, request, drawn, &mut |sampler, schedule, job| {
            sampler.next_drawn(schedule, job, generators, out.again())
        })
    })
}

/// Runs the sampler on buffers as C has them; the scheduler does not lie in what is `drawn` either.
///
/// # Safety
/// As vesde_sampler_next.
unsafe fn next(
    sampler: *mut Sampler,
    scheduler: *const CScheduler,
    buffers: CBuffers,
    request: *mut CRequest,
    drawn: [Span; 2],
    next: &mut dyn FnMut(&mut Sampler, &Schedule<'_>, Buffers<'_>) -> Result<Request, Error>,
) -> Result<(), Error> {
    super::check(request, 1)?;
    let CBuffers { model_output, len, noise: given, .. } = buffers;
    let outs = buffers.outs();
    let [sample_span, workspace_span, denoised_span] = outs;
    let (request_span, sampler_span) = (span(request, 1), span(sampler, 1));
    let [noise, generators] = drawn;
    let written = [sample_span, workspace_span, denoised_span, request_span, sampler_span, noise, generators];
    // SAFETY: this function's own condition, here and below.
    let schedule = unsafe { CScheduler::view(scheduler, &written)?.schedule };
    let [a, b, c] = outs;
    let others = [a, b, c, request_span, span(model_output, len), span(given, len)];
    // SAFETY: as above.
    let sampler = unsafe { object_mut(sampler, &others)? };
    check_disjoint(request, 1, &outs)?;
    // SAFETY: as above.
    let job = unsafe { buffers.view()? };
    let wanted = next(sampler, &schedule, job)?;
    let wanted = request_of(wanted, sampler.steps(&schedule));
    // SAFETY: checked not to be NULL, misaligned or in what is written; the rest is as above.
    unsafe { request.write(wanted) };
    Ok(())
}

/// How many floats of history a job of `len` floats keeps in its workspace: none in the
/// predictor–corrector method and Euler's, those of a sample for Heun, DPM-Solver-2, 2S and 2M, of
/// two for 3M, three for UniPC-2, four for UniPC-3, and one less than the order for Adams' methods.
///
/// # Safety
/// `sampler` is NULL or was made by vesde_sampler_init; `workspace_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sampler_workspace_len(
    sampler: *const Sampler,
    len: usize,
    workspace_len: *mut usize,
) -> vesde_status {
    // SAFETY: the caller's promise.
    unsafe { produce(workspace_len, || object(sampler, &[])?.workspace_len(len)) }
}
