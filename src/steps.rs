//! The steps: each checks its buffers once, computes its coefficients, and calls the kernels. Nothing is written
//! before everything that can fail has been checked.

use crate::buf::{self, In, Out};
use crate::config::Config;
use crate::error::Error;
use crate::kernels::Source;
use crate::kernels::linear::{self, Range};
use crate::noise::Noise;
use crate::norms::{Averaging, CorrectorStep, Norm, corrector_step, mean_of, norm_of};
use crate::schedule::Schedule;

/// The buffers of a step: the sample it reads, the `prev_sample` it writes and, if asked for, the
/// `prev_sample_mean`. All have the same length; `prev_sample` may be the sample itself.
#[derive(Debug)]
pub struct Update<'a> {
    pub(crate) sample: In<'a>,
    pub(crate) prev_sample: Out<'a>,
    pub(crate) prev_sample_mean: Option<Out<'a>>,
}

impl<'a> Update<'a> {
    /// Reads `sample` and writes `prev_sample`.
    #[must_use]
    pub fn new(sample: &'a [f32], prev_sample: &'a mut [f32]) -> Self {
        Self { sample: sample.into(), prev_sample: prev_sample.into(), prev_sample_mean: None }
    }

    /// Reads `sample` and overwrites it with `prev_sample`.
    #[must_use]
    pub fn in_place(sample: &'a mut [f32]) -> Self {
        Self::over(Out::from(sample))
    }

    /// Reads and overwrites `sample`.
    pub(crate) fn over(sample: Out<'a>) -> Self {
        Self { sample: sample.as_in(), prev_sample: sample, prev_sample_mean: None }
    }

    /// Writes the `prev_sample_mean` as well: the update before the noise is added.
    #[must_use]
    pub fn with_mean(self, prev_sample_mean: &'a mut [f32]) -> Self {
        Self { prev_sample_mean: Some(prev_sample_mean.into()), ..self }
    }

    /// The part of all its buffers that begins at `start` and has `len` floats.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        Self {
            sample: self.sample.part(start, len),
            prev_sample: self.prev_sample.part(start, len),
            prev_sample_mean: self.prev_sample_mean.map(|mean| mean.part(start, len)),
        }
    }

    /// An output that is no input of the step: what it holds may be overwritten at once.
    pub(crate) fn scratch(&self, model_output: In<'_>) -> Option<Out<'a>> {
        let is_input = |out: &Out<'_>| out.is(self.sample) || out.is(model_output);
        [Some(self.prev_sample), self.prev_sample_mean].into_iter().flatten().find(|out| !is_input(out))
    }

    /// Checks these buffers together with the further inputs of a step.
    pub(crate) fn check(&self, model_output: In<'_>, noise: Option<In<'_>>) -> Result<(), Error> {
        let ins = [self.sample, model_output, noise.unwrap_or(model_output)];
        match self.prev_sample_mean {
            Some(mean) => buf::check(&ins, &[self.prev_sample, mean]),
            None => buf::check(&ins, &[self.prev_sample]),
        }
    }
}

/// No normal of counter noise is as far from zero.
const LARGEST_NORMAL: f64 = 10.0;

/// Step sizes that are kept between the pass that checks them and the pass that uses them.
const KEPT_STEPS: usize = 128;

/// A configuration and its tables: diffusers' `ScoreSdeVeScheduler`.
#[derive(Clone, Copy, Debug)]
pub struct Scheduler<'a> {
    /// The configuration.
    pub config: Config,
    /// The tables, owned by the caller.
    pub schedule: Schedule<'a>,
}

impl Scheduler<'_> {
    /// One predictor step, the reverse-time SDE from one noise scale to the next below (Song et al. 2021, equation 47;
    /// diffusers' `step_pred`): `prev_sample_mean = sample + d²·model_output`, `prev_sample = prev_sample_mean + d·noise`
    /// with d = √(σ² − σ′²).
    ///
    /// `model_output` is the score, of the sample's length. `timesteps` holds one continuous timestep for the whole
    /// batch, or one for each of its samples. With the same noise and tables the results are diffusers' bit for bit
    /// wherever torch's square root of d² is the correctly rounded one (and but for the sign of a zero: where the sample
    /// is −0 and the score 0, diffusers keeps −0).
    ///
    /// A score that is not a number is passed on, as by arithmetic. A step without a batch cannot see how many samples
    /// there are: a number of timesteps that divides the length and is not the batch's goes unnoticed.
    ///
    /// To split the work, pass parts of all buffers, with [`Counter::at`](crate::Counter::at) for the noise: anywhere if there is one timestep, between
    /// samples if each has its own.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers; `TimestepOutOfRange`, `InvalidSigma` from
    /// the schedule; `NullPointer` without noise where d is not 0.
    pub fn step_pred<'b>(
        &self,
        model_output: &'b [f32],
        timesteps: &[f32],
        update: Update<'b>,
        noise: impl Into<Noise<'b>>,
    ) -> Result<(), Error> {
        self.step_pred_raw(model_output.into(), timesteps, &update, noise.into().source())
    }

    pub(crate) fn step_pred_raw(
        &self,
        model_output: In<'_>,
        timesteps: &[f32],
        update: &Update<'_>,
        noise: Option<Source<'_>>,
    ) -> Result<(), Error> {
        let per_sample = check_batch(update, model_output, noise, timesteps.len())?;
        for &t in timesteps {
            check_noise(noise, self.schedule.predictor_step(t)?.diffusion)?;
        }
        for (i, &t) in timesteps.iter().enumerate() {
            let step = self.schedule.predictor_step(t)?;
            run(update, model_output, noise, i * per_sample, per_sample, step.drift, step.diffusion);
        }
        Ok(())
    }

    /// One corrector step of annealed Langevin dynamics (Song et al. 2021, algorithm 4; diffusers' `step_correct`):
    /// `prev_sample_mean = sample + ε·model_output`, `prev_sample = prev_sample_mean + √(2ε)·noise` with
    /// ε = 2·(snr·‖noise‖/‖score‖)².
    ///
    /// The sample is a batch of `batch` samples of equal length, one after the other, and norms are taken over each.
    ///
    /// Counter noise is needed twice, for its norm and for the update. It is made once where it can wait in an output, and twice where the
    /// step is in place and no mean is asked for: that takes 1.5 times as long with AVX-512, 1.7 times with AVX2 or SSE2, for 3×256×256
    /// floats. Beyond 4 Mi floats it is always made twice.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers; `InvalidSnr`; `ZeroGradientNorm`,
    /// `NonFiniteGradientNorm` and `NonFiniteNoiseNorm` where there is no step size; `NullPointer` without noise, on whose norm it
    /// depends.
    pub fn step_correct<'b>(
        &self,
        model_output: &'b [f32],
        batch: usize,
        averaging: Averaging,
        norm: Norm,
        update: Update<'b>,
        noise: impl Into<Noise<'b>>,
    ) -> Result<(), Error> {
        let noise = noise.into().source().ok_or(Error::NullPointer)?;
        self.step_correct_raw(model_output.into(), batch, (averaging, norm), &update, noise)
    }

    pub(crate) fn step_correct_raw(
        &self,
        model_output: In<'_>,
        batch: usize,
        (averaging, norm): (Averaging, Norm),
        update: &Update<'_>,
        noise: Source<'_>,
    ) -> Result<(), Error> {
        let per_sample = check_batch(update, model_output, Some(noise), batch)?;
        let norm_of = |x, scratch, i: usize| norm_of(x, scratch, i * per_sample, per_sample, norm);
        let grad_norm = |i| norm_of(Source::Given(model_output), None, i);
        let step = |grad_norm, noise_norm| corrector_step(self.config.snr, grad_norm, noise_norm, norm);
        // Nothing is written before it is certain that there is a step size, whatever the noise is.
        let most = LARGEST_NORMAL * libm::sqrt(per_sample as f64);
        if averaging == Averaging::Batch {
            let grad_norm = mean_of(batch, norm, grad_norm);
            let scratch = scratch_for(noise, update, model_output, || step(grad_norm, most).is_ok());
            let noise_norm = mean_of(batch, norm, |i| norm_of(noise, scratch, i));
            let step = step(grad_norm, noise_norm)?;
            let len = batch * per_sample;
            run(update, model_output, Some(kept(noise, scratch)), 0, len, step.step_size, step.noise_factor);
            return Ok(());
        }
        let all_safe = || (0..batch).all(|i| step(grad_norm(i), most).is_ok());
        let scratch = scratch_for(noise, update, model_output, all_safe);
        let step_of = |i| step(grad_norm(i), norm_of(noise, scratch, i));
        let mut steps = [CorrectorStep::default(); KEPT_STEPS];
        for i in 0..batch {
            let step = step_of(i)?;
            if let Some(to) = steps.get_mut(i) {
                *to = step;
            }
        }
        for i in 0..batch {
            let step = steps.get(i).map_or_else(|| step_of(i), |&step| Ok(step))?;
            let start = i * per_sample;
            run(
                update,
                model_output,
                Some(kept(noise, scratch)),
                start,
                per_sample,
                step.step_size,
                step.noise_factor,
            );
        }
        Ok(())
    }

    /// The forward process at given noise levels (diffusers' `add_noise`): `noisy = σ·noise + original`, with
    /// σ = `discrete_sigmas[index]`.
    ///
    /// `indices` holds one index for the whole batch, or one for each of its samples. Dimensions do not matter:
    /// a sample is its floats. As in [`step_pred`](Self::step_pred), a number of indices that divides the length goes unnoticed.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers; `TimestepOutOfRange` where an index is not in the
    /// table, `InvalidSigma` where the sigma is not finite; `NullPointer` without noise where the sigma is not 0.
    pub fn add_noise<'b>(
        &self,
        original_samples: &'b [f32],
        indices: &[i64],
        noise: impl Into<Noise<'b>>,
        noisy_samples: &'b mut [f32],
    ) -> Result<(), Error> {
        self.add_noise_raw(original_samples.into(), indices, noise.into().source(), noisy_samples.into())
    }

    pub(crate) fn add_noise_raw(
        &self,
        x: In<'_>,
        indices: &[i64],
        noise: Option<Source<'_>>,
        out: Out<'_>,
    ) -> Result<(), Error> {
        buf::check(&[x, noise.and_then(Source::given).unwrap_or(x)], &[out])?;
        if let Some(noise) = noise {
            noise.check(x.len())?;
        }
        let len = per_sample(x.len(), indices.len())?;
        let sigma = |index: i64| {
            let index = usize::try_from(index).map_err(|_| Error::TimestepOutOfRange)?;
            self.schedule.discrete_sigma(index)
        };
        for &index in indices {
            check_noise(noise, sigma(index)?)?;
        }
        for (i, &index) in indices.iter().enumerate() {
            let start = i * len;
            let (x, out) = (x.part(start, len), out.part(start, len));
            let noise = noise.map(|noise| noise.part(start, len));
            linear::add(x, scaled(sigma(index)?, noise), out);
        }
        Ok(())
    }
}

/// The part of a step that is elementwise: `prev_sample_mean = sample + drift·model_output`,
/// `prev_sample = prev_sample_mean + diffusion·noise`. With [`corrector_step`]'s factors this is the last phase of a
/// corrector step that is split over threads; with [`Schedule::predictor_step`]'s a predictor step.
///
/// # Errors
/// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers; `NullPointer` without noise where `diffusion` is not 0.
pub fn update<'b>(
    model_output: &'b [f32],
    drift: f32,
    diffusion: f32,
    update: Update<'b>,
    noise: impl Into<Noise<'b>>,
) -> Result<(), Error> {
    update_raw(model_output.into(), (drift, diffusion), &update, noise.into().source(), None)
}

pub(crate) fn update_raw(
    model_output: In<'_>,
    (drift, diffusion): (f32, f32),
    update: &Update<'_>,
    noise: Option<Source<'_>>,
    clamp: Option<Range>,
) -> Result<(), Error> {
    check_batch(update, model_output, noise, 1)?;
    check_noise(noise, diffusion)?;
    let Update { sample, prev_sample, prev_sample_mean } = *update;
    linear::step(sample, (drift, model_output), scaled(diffusion, noise), prev_sample, prev_sample_mean);
    if clamp.is_some() {
        linear::scale(1.0, prev_sample.as_in(), prev_sample, clamp);
    }
    Ok(())
}

/// Scales a network's input as diffusers' `scale_model_input` does for this SDE: not at all.
///
/// # Errors
/// `Empty`, `LengthMismatch`.
pub fn scale_model_input(sample: &[f32], out: &mut [f32]) -> Result<(), Error> {
    scale_model_input_raw(sample.into(), out.into())
}

pub(crate) fn scale_model_input_raw(x: In<'_>, out: Out<'_>) -> Result<(), Error> {
    buf::check(&[x], &[out])?;
    linear::add(x, None, out);
    Ok(())
}

/// Longer tensors lie so far beyond the caches that to store noise and to read it again takes no less than to make it again.
const KEPT_UP_TO: usize = 1 << 22;

/// Room for counter noise that is needed twice, for its norm and for the update: an output that is no input, if it is `safe` to write.
fn scratch_for<'a>(
    noise: Source<'_>,
    update: &Update<'a>,
    model_output: In<'_>,
    safe: impl Fn() -> bool,
) -> Option<Out<'a>> {
    let small = matches!(noise, Source::Counter(_)) && model_output.len() <= KEPT_UP_TO;
    update.scratch(model_output).filter(|_| small && safe())
}

/// The noise after its norm has been taken: from the scratch where it was kept, if there is one.
fn kept<'a>(noise: Source<'a>, scratch: Option<Out<'a>>) -> Source<'a> {
    scratch.map_or(noise, |scratch| Source::Given(scratch.as_in()))
}

/// How many floats a sample of the batch has.
fn per_sample(len: usize, batch: usize) -> Result<usize, Error> {
    match len.checked_rem(batch) {
        None => Err(Error::Empty),
        Some(0) => Ok(len.checked_div(batch).unwrap_or_default()),
        Some(_) => Err(Error::LengthMismatch),
    }
}

/// Checks all that a step asks of its buffers, and returns how many floats a sample of the batch has.
fn check_batch(
    update: &Update<'_>,
    model_output: In<'_>,
    noise: Option<Source<'_>>,
    batch: usize,
) -> Result<usize, Error> {
    update.check(model_output, noise.and_then(Source::given))?;
    if let Some(noise) = noise {
        noise.check(model_output.len())?;
    }
    per_sample(model_output.len(), batch)
}

/// Checks that there is noise, or that it is multiplied by 0.
fn check_noise(noise: Option<Source<'_>>, factor: f32) -> Result<(), Error> {
    if noise.is_some() || factor == 0.0 { Ok(()) } else { Err(Error::NullPointer) }
}

/// Updates `len` elements from `start` on.
fn run(
    update: &Update<'_>,
    model_output: In<'_>,
    noise: Option<Source<'_>>,
    start: usize,
    len: usize,
    drift: f32,
    diffusion: f32,
) {
    let Update { sample, prev_sample, prev_sample_mean } = update.part(start, len);
    let noise = scaled(diffusion, noise.map(|noise| noise.part(start, len)));
    linear::step(sample, (drift, model_output.part(start, len)), noise, prev_sample, prev_sample_mean);
}

/// Noise with its factor, if there is any.
fn scaled(scale: f32, noise: Option<Source<'_>>) -> Option<(f32, Source<'_>)> {
    noise.map(|noise| (scale, noise))
}
