//! The sampler in C.

use super::{
    CScheduler, averaging, check_disjoint, input, norm, object, object_mut, output, produce, span, status,
    vesde_status,
};
use crate::config::Config;
use crate::error::Error;
use crate::noise::Counter;
use crate::sampler::{Plan, Request, Sampler, SamplerNoise, SamplerOptions, SamplerResult};

/// What a sampler needs to know besides the configuration. All zeros is diffusers' behaviour on counter noise of seed 0.
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
    /// Over what the corrector averages: one of enum vesde_averaging.
    pub averaging: i32,
    /// How the corrector computes its norms: one of enum vesde_norm.
    pub norm: i32,
    /// 0 to clamp the result to 0..=1, as diffusers' pipeline does; 1 to leave it as it is.
    pub unclamped: i32,
    /// Which of the last step's results is the job's: one of enum vesde_sampler_result.
    pub result: i32,
    /// From what the job starts: one of enum vesde_sampler_start.
    pub start: i32,
}

/// From what a job starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum SamplerStart {
    /// From noise of the largest sigma.
    Noise = 0,
    /// From the sample that the first vesde_sampler_next is given, at `first_step`, as if the job had come so far by itself: draws
    /// and streams are numbered accordingly. For image to image the sample is the picture with noise of that step's sigma
    /// (vesde_add_noise); to resume, it is the one that a job had before that step's first correction.
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
}

/// A sampler's request. `draw` is set for VESDE_REQUEST_KIND_NOISE, what else there is besides `kind` for VESDE_REQUEST_KIND_SCORE; the rest is
/// zero.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CRequest {
    /// What to do: one of enum vesde_request_kind.
    pub kind: i32,
    /// The corrector step within the step; equal to correct_steps for the predictor step.
    pub correction: u32,
    /// The step, from 0 to `steps` − 1: progress.
    pub step: usize,
    /// The number of steps.
    pub steps: usize,
    /// What a network of discrete noise levels is given: steps − 1 − the index of vesde_get_timestep_index, 0 for the largest sigma.
    /// It is score_sde's label, round((1 − t)·(steps − 1)), where sampling_eps is 1e-6 or more and times steps − 1 less than a half;
    /// elsewhere that may differ by 1, and this goes with the sigma that the step looks up.
    pub label: u64,
    /// Which draw of noise: 0 is the initial sample's, later ones are those of the steps in diffusers' order. They may come from
    /// different generators.
    pub draw: u64,
    /// The noise scale: what the network is given.
    pub sigma: f32,
    /// The continuous timestep.
    pub timestep: f32,
}

/// What a turn of the sampler does to the sample: sample·x + output·m + noise·z, with x the sample, m the model output and z the
/// noise, from left to right, then clamped. Where `noise` is 0 there is no third term; where `sample` is 0 there is the third alone;
/// where both are 0 the sample stays as it is.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CPlan {
    /// The factor of the sample.
    pub sample: f32,
    /// The factor of the model output, unless a reduction computes it.
    pub output: f32,
    /// The factor of the noise, unless a reduction computes it.
    pub noise: f32,
    /// What must be computed first: one of enum vesde_reduction.
    pub reduction: i32,
    /// The least value of the result: minus infinity where it is not clamped.
    pub clamp_low: f32,
    /// The greatest value of the result: infinity where it is not clamped.
    pub clamp_high: f32,
    /// Which draw the noise is: 0 is the initial sample's.
    pub draw: u64,
    /// The noise, if it is counter noise: element i of the batch takes element counter.index + i.
    pub counter: Counter,
}

/// Makes a sampler: the predictor–corrector loop of Song et al. 2021 (algorithm 1) for a batch of `batch` samples. It keeps a copy of
/// `config`, and takes nothing but the tables from the scheduler that vesde_sampler_next is given. A `first_step` without a given
/// sample is VESDE_ERROR_TIMESTEP_OUT_OF_RANGE.
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
            noise: [SamplerNoise::Counter, SamplerNoise::Given]
                .into_iter()
                .find(|&x| x as i32 == options.noise)
                .ok_or(Error::UnknownEnum)?,
            averaging: averaging(options.averaging)?,
            norm: norm(options.norm)?,
            unclamped: match options.unclamped {
                0 => false,
                1 => true,
                _ => return Err(Error::UnknownEnum),
            },
            result: [SamplerResult::Mean, SamplerResult::Noisy]
                .into_iter()
                .find(|&x| x as i32 == options.result)
                .ok_or(Error::UnknownEnum)?,
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
    let nothing =
        CRequest { kind: 0, correction: 0, step: 0, steps: 0, label: 0, draw: 0, sigma: 0.0, timestep: 0.0 };
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
        Request::Done => CRequest { kind: RequestKind::Done as i32, ..nothing },
    }
}

/// vesde_sampler_next without buffers, for an engine that runs the plan where its tensors are, or on its threads: what is to be done
/// with the answer to the last request, and what is needed then. What vesde_sampler_next checks of buffers is left to the caller, and
/// so are the factors of a reduction. The state goes on by one turn, whatever becomes of the plan: to repeat one, keep a copy. A
/// whole job is:
///
/// ```c
/// do {
///     status = vesde_sampler_plan(&sampler, &scheduler, &plan, &request);
///     if (status != VESDE_OK)
///         break;
///     run(&plan, x, score, z); // x = clamp(plan.sample * x + plan.output * score + plan.noise * z)
///     if (request.kind == VESDE_REQUEST_KIND_SCORE)
///         network(x, request.sigma, score);
///     else if (request.kind == VESDE_REQUEST_KIND_NOISE)
///         draw(request.draw, z);
/// } while (request.kind != VESDE_REQUEST_KIND_DONE);
/// ```
///
/// # Safety
/// `sampler` is NULL or was made by vesde_sampler_init, and nothing else uses it now; `scheduler` is NULL or readable, and so
/// are its tables; `plan` and `request` are NULL or writable.
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
        let Plan { sample, output, noise, reduction, clamp, draw, counter } = next;
        let (clamp_low, clamp_high) = clamp;
        let reduction = reduction as i32;
        plan.write(CPlan { sample, output, noise, reduction, clamp_low, clamp_high, draw, counter });
        request.write(request_of(wanted, schedule.timesteps.len()));
        Ok(())
    })
}

/// Takes what the last request asked for, advances `sample` in place, and says what is needed next. A whole job is:
///
/// ```c
/// do {
///     status = vesde_sampler_next(&sampler, &scheduler, score, NULL, len, sample, &request);
///     if (status == VESDE_OK && request.kind == VESDE_REQUEST_KIND_SCORE)
///         network(sample, request.sigma, score);
/// } while (status == VESDE_OK && request.kind != VESDE_REQUEST_KIND_DONE);
/// ```
///
/// The first call makes the initial sample, whatever the buffers hold, unless the options say that it is there. After
/// VESDE_REQUEST_KIND_DONE `sample` holds the result, which the options choose: the last predictor step's prev_sample_mean,
/// clamped, by default. `noise` may be NULL unless
/// VESDE_REQUEST_KIND_NOISE has asked for it. A score that is not a number is noticed by corrector steps only. After an
/// error everything is as before: the call can be repeated.
///
/// # Safety
/// `sampler` is NULL or was made by vesde_sampler_init, and nothing else uses it now; `scheduler` is NULL or readable, and so
/// are its tables; every buffer is NULL or valid for `len` floats, initialised but for the first call's; `request` is NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vesde_sampler_next(
    sampler: *mut Sampler,
    scheduler: *const CScheduler,
    model_output: *const f32,
    noise: *const f32,
    len: usize,
    sample: *mut f32,
    request: *mut CRequest,
) -> vesde_status {
    // SAFETY: the caller's promise.
    status(|| unsafe {
        super::check(request, 1)?;
        let outs = [span(sample, len), span(request, 1), span(sampler, 1)];
        let [sample_span, request_span, _] = outs;
        let schedule = CScheduler::view(scheduler, &outs)?.schedule;
        let sampler =
            object_mut(sampler, &[request_span, sample_span, span(model_output, len), span(noise, len)])?;
        check_disjoint(request, 1, &[sample_span])?;
        let (model_output, sample) = (input(model_output, len)?, output(sample, len)?);
        let noise = if noise.is_null() { None } else { Some(input(noise, len)?) };
        let next = sampler.next_raw(&schedule, sample, model_output, noise)?;
        request.write(request_of(next, schedule.timesteps.len()));
        Ok(())
    })
}
