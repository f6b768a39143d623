//! The steps: each checks its buffers once, computes its coefficients, and calls the kernels.
//! Nothing is written before everything that can fail has been checked.

use crate::buf::{self, In, Out};
use crate::config::Config;
use crate::error::Error;
use crate::kernels::Source;
use crate::kernels::linear::{self, Term};
use crate::noise::Noise;
use crate::norms::{Averaging, CorrectorStep, Norm, corrector_step, mean_of, norm_of};
use crate::schedule::{Predictor, PredictorStep, Schedule};

/// The buffers of a step, all of the same length: `batch` samples, one after the other.
///
/// ```
/// # use vesde::{Config, Counter, Schedule, Scheduler, Step, set_sigmas, set_timesteps};
/// # let config = Config::default();
/// # let (mut timesteps, mut sigmas, mut discrete_sigmas) = ([0.0; 9], [0.0; 9], [0.0; 9]);
/// # set_timesteps(&config, &mut timesteps)?;
/// # set_sigmas(&config, &timesteps, &mut sigmas, &mut discrete_sigmas)?;
/// # let schedule =
/// #     Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
/// # let (mut sample, score) = ([0.5; 64], [0.25; 64]);
/// let scheduler = Scheduler { config, schedule };
/// let step = Step::in_place(&score, &mut sample).with_noise(Counter::new(42, 7));
/// scheduler.step_pred(&timesteps[3..4], step)?;
/// # Ok::<(), vesde::Error>(())
/// ```
#[derive(Debug)]
pub struct Step<'a> {
    pub(crate) model_output: In<'a>,
    pub(crate) sample: In<'a>,
    pub(crate) batch: usize,
    pub(crate) noise: Noise<'a>,
    pub(crate) predictor: Predictor,
    pub(crate) prev_sample: Out<'a>,
    pub(crate) prev_sample_mean: Option<Out<'a>>,
}

impl<'a> Step<'a> {
    /// Reads `model_output`, the score, and one `sample`, and writes `prev_sample`, without noise.
    #[must_use]
    pub fn new(
        model_output: impl Into<In<'a>>,
        sample: impl Into<In<'a>>,
        prev_sample: impl Into<Out<'a>>,
    ) -> Self {
        Self {
            model_output: model_output.into(),
            sample: sample.into(),
            batch: 1,
            noise: Noise::None,
            predictor: Predictor::default(),
            prev_sample: prev_sample.into(),
            prev_sample_mean: None,
        }
    }

    /// Overwrites `sample` with `prev_sample`.
    #[must_use]
    pub fn in_place(model_output: impl Into<In<'a>>, sample: &'a mut [f32]) -> Self {
        Self::over(model_output.into(), &sample.into())
    }

    pub(crate) fn over(model_output: In<'a>, sample: &Out<'a>) -> Self {
        Self::new(model_output, sample.as_in(), sample.again())
    }

    /// The buffers hold `batch` samples instead of one.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// With noise: one number for each element of the sample, or counter noise, which is made while
    /// the step is computed.
    #[must_use]
    pub fn with_noise(self, noise: impl Into<Noise<'a>>) -> Self {
        Self { noise: noise.into(), ..self }
    }

    /// With this predictor, for a predictor step.
    #[must_use]
    pub fn with_predictor(self, predictor: Predictor) -> Self {
        Self { predictor, ..self }
    }

    /// Writes the `prev_sample_mean` as well: the update before the noise is added.
    #[must_use]
    pub fn with_mean(self, prev_sample_mean: impl Into<Out<'a>>) -> Self {
        Self { prev_sample_mean: Some(prev_sample_mean.into()), ..self }
    }

    /// Checks all that a step asks of its buffers, and returns how many floats a sample has.
    fn check(&self) -> Result<usize, Error> {
        let ins = [self.sample, self.model_output, self.noise.given().unwrap_or(self.sample)];
        match &self.prev_sample_mean {
            Some(mean) => buf::check(&ins, &[&self.prev_sample, mean])?,
            None => buf::check(&ins, &[&self.prev_sample])?,
        }
        self.noise.check(self.sample.len())?;
        per_sample(self.sample.len(), self.batch)
    }

    /// Room for counter noise that is needed twice, for its norm and for the update: an output that
    /// is no input of the step, if it is `safe` to write.
    fn scratch(&self, safe: impl Fn() -> bool) -> Option<Out<'a>> {
        let is_input = |out: &&Out<'_>| out.is(self.sample) || out.is(self.model_output);
        let small = matches!(self.noise, Noise::Counter(_)) && self.sample.len() <= SCRATCH_UP_TO;
        let outs = [Some(&self.prev_sample), self.prev_sample_mean.as_ref()];
        let scratch = outs.into_iter().flatten().find(|out| !is_input(out));
        scratch.filter(|_| small && safe()).map(Out::again)
    }

    /// Updates `len` elements from `start` on: those of `sample + (drift·model_output)·dt`.
    fn run(&self, noise: Option<Source<'_>>, start: usize, len: usize, factors: PredictorStep) {
        let PredictorStep { drift, dt, diffusion } = factors;
        let terms = [(1.0, self.sample.part(start, len)), (drift, self.model_output.part(start, len))];
        let noise = noise.map(|noise| (diffusion, noise.part(start, len)));
        let (out, mean) = (self.prev_sample.part(start, len), self.prev_sample_mean.as_ref());
        let mean = mean.map(|mean| mean.part(start, len));
        if dt == 1.0 {
            linear::linear(&terms, noise, &out, mean.as_ref(), None);
        } else {
            linear::linear_twice(&terms, &[1.0, dt], noise, &out, mean.as_ref(), None);
        }
    }
}

/// The most terms of a [`Combination`].
///
/// cbindgen:ignore
pub const MOST_TERMS: usize = linear::MOST_TERMS;

/// A linear combination of buffers of one length, which [`linear`] computes: an explicit solver's
/// step.
///
/// ```
/// # use vesde::{Combination, linear};
/// // DPM++ 2M (Lu et al. 2022): x = a·x + b·denoised + c·old_denoised.
/// # let (a, b, c) = (0.5, 0.75, -0.25);
/// # let (mut sample, denoised, old_denoised) = ([1.0; 9], [2.0; 9], [4.0; 9]);
/// linear(Combination::in_place(a, &mut sample).plus(b, &denoised).plus(c, &old_denoised))?;
/// # assert_eq!(sample, [1.0; 9]);
/// # Ok::<(), vesde::Error>(())
/// ```
#[derive(Debug)]
pub struct Combination<'a> {
    pub(crate) terms: [Term<'a>; MOST_TERMS],
    pub(crate) terms_len: usize,
    pub(crate) second_factors: [f32; MOST_TERMS],
    pub(crate) noise_factor: f32,
    pub(crate) noise: Noise<'a>,
    pub(crate) clamp: Option<(f32, f32)>,
    pub(crate) out: Out<'a>,
    pub(crate) mean: Option<Out<'a>>,
}

impl<'a> Combination<'a> {
    /// Nothing yet, into `out`.
    #[must_use]
    pub fn new(out: impl Into<Out<'a>>) -> Self {
        Self {
            terms: [(0.0, In::NONE); MOST_TERMS],
            terms_len: 0,
            second_factors: [1.0; MOST_TERMS],
            noise_factor: 0.0,
            noise: Noise::None,
            clamp: None,
            out: out.into(),
            mean: None,
        }
    }

    /// `factor·sample`, into the sample itself.
    #[must_use]
    pub fn in_place(factor: f32, sample: &'a mut [f32]) -> Self {
        let out = Out::from(sample);
        let sample = out.as_in();
        Self::new(out).plus(factor, sample)
    }

    /// The next term, `factor·x`. After [`MOST_TERMS`] of them it makes [`linear`] fail.
    #[must_use]
    pub fn plus(mut self, factor: f32, x: impl Into<In<'a>>) -> Self {
        if let Some(term) = self.terms.get_mut(self.terms_len) {
            *term = (factor, x.into());
        }
        self.terms_len = self.terms_len.saturating_add(1);
        self
    }

    /// The next term, `(factor·x)·second_factor`, rounded twice.
    #[must_use]
    pub fn plus_twice(mut self, factor: f32, second_factor: f32, x: impl Into<In<'a>>) -> Self {
        if let Some(second) = self.second_factors.get_mut(self.terms_len) {
            *second = second_factor;
        }
        self.plus(factor, x)
    }

    /// The last term, `factor·noise`.
    #[must_use]
    pub fn plus_noise(self, factor: f32, noise: impl Into<Noise<'a>>) -> Self {
        Self { noise_factor: factor, noise: noise.into(), ..self }
    }

    /// The output clamped, to at least `low` and then to at most `high`; a NaN stays, and a NaN as
    /// a bound is no bound.
    #[must_use]
    pub fn clamped(self, low: f32, high: f32) -> Self {
        Self { clamp: Some((low, high)), ..self }
    }

    /// Writes the sum without the noise as well, which is not clamped.
    #[must_use]
    pub fn with_mean(self, mean: impl Into<Out<'a>>) -> Self {
        Self { mean: Some(mean.into()), ..self }
    }
}

/// `mean = ((a₀·x₀ + a₁·x₁) + a₂·x₂) + ...`, `out = mean + s·z`, one rounding an operation, from
/// left to right; a first factor of 1 is not multiplied, and where a term has a second factor that
/// multiplies the product. With the factors of [`corrector_step`] it is the last phase of a
/// corrector step that is split over threads; with those of [`Schedule::predictor_step`] it is a
/// predictor step. x₀ + σ·z adds noise of any σ to a sample.
///
/// Without noise `out` is `mean`; without terms it is s·z.
///
/// To split the work, pass parts of all buffers, with [`Counter::at`](crate::Counter::at) for
/// counter noise.
///
/// # Errors
/// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers; `TooLarge` beyond
/// [`MOST_TERMS`]; `Empty` without terms and noise, and for a mean without terms; `NullPointer`
/// without noise where its factor is not 0.
pub fn linear(combination: Combination<'_>) -> Result<(), Error> {
    // Not taken apart: to move the terms would copy them.
    let Combination { terms, terms_len, second_factors, noise_factor, noise, clamp, out, mean } =
        &combination;
    let terms = terms.get(..*terms_len).ok_or(Error::TooLarge)?;
    let second_factors = second_factors.get(..*terms_len).unwrap_or_default();
    let source = noise.source_for(*noise_factor)?;
    if terms.is_empty() && (source.is_none() || mean.is_some()) {
        return Err(Error::Empty);
    }
    let mut ins = [noise.given().unwrap_or(out.as_in()); MOST_TERMS + 1];
    for (to, &(_, x)) in ins.iter_mut().zip(terms) {
        *to = x;
    }
    let ins = ins.get(..=terms.len()).unwrap_or_default();
    match mean {
        Some(mean) => buf::check(ins, &[out, mean])?,
        None => buf::check(ins, &[out])?,
    }
    noise.check(out.len())?;
    let noise = source.map(|z| (*noise_factor, z));
    if second_factors.iter().all(|&b| b == 1.0) {
        linear::linear(terms, noise, out, mean.as_ref(), *clamp);
    } else {
        linear::linear_twice(terms, second_factors, noise, out, mean.as_ref(), *clamp);
    }
    Ok(())
}

/// No normal of counter noise is as far from zero.
const LARGEST_NORMAL: f64 = 10.0;

/// Step sizes that are kept between the pass that checks them and the pass that uses them.
const STORED_STEPS: usize = 128;

/// Longer tensors lie so far beyond the caches that to store noise and to read it again takes no
/// less than to make it again.
const SCRATCH_UP_TO: usize = 1 << 22;

/// A configuration and its tables: diffusers' `ScoreSdeVeScheduler`.
#[derive(Clone, Copy, Debug)]
pub struct Scheduler<'a> {
    /// The configuration.
    pub config: Config,
    /// The tables, owned by the caller.
    pub schedule: Schedule<'a>,
}

impl Scheduler<'_> {
    /// One predictor step, the reverse-time SDE from one noise scale to the next below:
    /// `prev_sample_mean = sample + (drift·model_output)·dt`, `prev_sample = prev_sample_mean +
    /// diffusion·noise`, with the factors of [`Schedule::predictor_step`]. By default it is
    /// diffusers' `step_pred` (Song et al. 2021, equation 47): drift d² and diffusion d with d =
    /// √(σ² − σ′²).
    ///
    /// `timesteps` holds one continuous timestep for the whole batch, or one for each of its
    /// samples. With the same noise and tables the results are diffusers' bit for bit wherever
    /// torch's square root of d² is the correctly rounded one (except the sign of a zero: where the
    /// sample is −0 and the score 0, diffusers keeps −0). A NaN in the score is passed on.
    ///
    /// To split the work, pass parts of all buffers, with [`Counter::at`](crate::Counter::at) for
    /// the noise. With one timestep split anywhere, each part as one sample; with one for each
    /// sample split between samples.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers; `TimestepOutOfRange`,
    /// `InvalidSigma` from the schedule; `NullPointer` without noise where its factor is not 0.
    pub fn step_pred(&self, timesteps: &[f32], step: Step<'_>) -> Result<(), Error> {
        let len = step.check()?;
        let len = per_timestep(len, step.batch, timesteps.len())?;
        let factors = |t| self.schedule.predictor_step(&self.config, step.predictor, t);
        let mut last = PredictorStep::default();
        for &t in timesteps {
            last = factors(t)?;
            step.noise.source_for(last.diffusion)?;
        }
        if step.predictor == Predictor::None {
            let mean = step.prev_sample_mean.as_ref();
            linear::linear(&[(1.0, step.sample)], None, &step.prev_sample, mean, None);
            return Ok(());
        }
        if let [_] = timesteps {
            step.run(step.noise.source(), 0, len, last);
            return Ok(());
        }
        for (i, &t) in timesteps.iter().enumerate() {
            step.run(step.noise.source(), i * len, len, factors(t)?);
        }
        Ok(())
    }

    /// One corrector step of annealed Langevin dynamics (Song et al. 2021, algorithm 4; diffusers'
    /// `step_correct`): `prev_sample_mean = sample + ε·model_output`, `prev_sample =
    /// prev_sample_mean + √(2ε)·noise` with ε = 2·(snr·‖noise‖/‖score‖)². Norms are taken over each
    /// sample of the batch.
    ///
    /// Counter noise is needed twice, for its norm and for the update. It is made once if an output
    /// can keep it. It is made twice if the step is in place and no mean is asked for, which takes
    /// 1.5 times as long with AVX-512, 1.7 times with AVX2 or SSE2, for 3×256×256 floats. Beyond 4
    /// Mi floats it is always made twice.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers; `InvalidSnr`;
    /// `ZeroGradientNorm`, `NonFiniteGradientNorm` and `NonFiniteNoiseNorm` where there is no step
    /// size; `NullPointer` without noise, on whose norm it depends.
    pub fn step_correct(&self, averaging: Averaging, norm: Norm, step: Step<'_>) -> Result<(), Error> {
        self.step_correct_after(averaging, norm, step, &|| ())
    }

    /// The same, and `before` as soon as nothing can fail.
    pub(crate) fn step_correct_after(
        &self,
        averaging: Averaging,
        norm: Norm,
        step: Step<'_>,
        before: &dyn Fn(), // not generic: once in the library
    ) -> Result<(), Error> {
        let noise = step.noise.source().ok_or(Error::NullPointer)?;
        let (per_sample, batch) = (step.check()?, step.batch);
        let norm_of =
            |x, scratch: Option<&Out<'_>>, i: usize| norm_of(x, scratch, i * per_sample, per_sample, norm);
        let grad_norm = |i| norm_of(Source::Given(step.model_output), None, i);
        let factors = |grad_norm, noise_norm| corrector_step(self.config.snr, grad_norm, noise_norm, norm);
        // Nothing is written before it is certain that there is a step size, whatever the noise is.
        let most = LARGEST_NORMAL * libm::sqrt(per_sample as f64);
        if averaging == Averaging::Batch {
            let grad_norm = mean_of(batch, norm, grad_norm);
            let scratch = step.scratch(|| factors(grad_norm, most).is_ok());
            let noise_norm = mean_of(batch, norm, |i| norm_of(noise, scratch.as_ref(), i));
            let factors = factors(grad_norm, noise_norm)?.into();
            before();
            step.run(Some(after_norm(noise, scratch.as_ref())), 0, batch * per_sample, factors);
            return Ok(());
        }
        let scratch = step.scratch(|| (0..batch).all(|i| factors(grad_norm(i), most).is_ok()));
        let scratch = scratch.as_ref();
        let factors_of = |i| factors(grad_norm(i), norm_of(noise, scratch, i));
        let mut first = [CorrectorStep::default(); STORED_STEPS];
        for i in 0..batch {
            let factors = factors_of(i)?;
            if let Some(to) = first.get_mut(i) {
                *to = factors;
            }
        }
        before();
        for i in 0..batch {
            let factors = first.get(i).map_or_else(|| factors_of(i), |&factors| Ok(factors))?;
            step.run(Some(after_norm(noise, scratch)), i * per_sample, per_sample, factors.into());
        }
        Ok(())
    }

    /// The forward process at given noise levels (diffusers' `add_noise`): `noisy = σ·noise +
    /// original`, with σ = `discrete_sigmas[index]`. For a σ that is in no table, take [`linear`].
    ///
    /// The buffers hold `batch` samples of equal length, one after the other; `indices` has one
    /// index for the whole batch, or one for each of them.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers; `TimestepOutOfRange` where
    /// an index is not in the table, `InvalidSigma` where the sigma is not finite; `NullPointer`
    /// without noise where the sigma is not 0.
    pub fn add_noise<'b>(
        &self,
        original_samples: impl Into<In<'b>>,
        batch: usize,
        indices: &[i64],
        noise: impl Into<Noise<'b>>,
        noisy_samples: impl Into<Out<'b>>,
    ) -> Result<(), Error> {
        let (x, noise, out) = (original_samples.into(), noise.into(), noisy_samples.into());
        buf::check(&[x, noise.given().unwrap_or(x)], &[&out])?;
        noise.check(x.len())?;
        let len = per_timestep(per_sample(x.len(), batch)?, batch, indices.len())?;
        let sigma = |index: i64| {
            let index = usize::try_from(index).map_err(|_| Error::TimestepOutOfRange)?;
            self.schedule.discrete_sigma(index)
        };
        for &index in indices {
            noise.source_for(sigma(index)?)?;
        }
        for (i, &index) in indices.iter().enumerate() {
            let (start, sigma) = (i * len, sigma(index)?);
            let noise = noise.source().map(|noise| (sigma, noise.part(start, len)));
            linear::linear(&[(1.0, x.part(start, len))], noise, &out.part(start, len), None, None);
        }
        Ok(())
    }
}

impl From<CorrectorStep> for PredictorStep {
    fn from(CorrectorStep { step_size, noise_factor }: CorrectorStep) -> Self {
        Self { drift: step_size, dt: 1.0, diffusion: noise_factor }
    }
}

/// The noise after its norm has been taken: from the scratch where it was kept, if there is one.
fn after_norm<'a>(noise: Source<'a>, scratch: Option<&Out<'a>>) -> Source<'a> {
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

/// How many floats have one timestep: all of them, or those of a sample.
fn per_timestep(per_sample: usize, batch: usize, timesteps: usize) -> Result<usize, Error> {
    match timesteps {
        0 => Err(Error::Empty),
        1 => Ok(batch * per_sample),
        n if n == batch => Ok(per_sample),
        _ => Err(Error::LengthMismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Counter;

    const LEN: usize = 1300;

    /// Combinations whose output or mean is any of the inputs, as C may have it, against those into
    /// other buffers.
    #[test]
    fn outputs_may_be_any_of_the_inputs() {
        let value = |which: usize, i: usize| ((which * 7919 + i * 104_729) % 1009) as f32 / 512.0 - 1.0;
        let buffers =
            || -> [[f32; LEN]; 6] { core::array::from_fn(|which| core::array::from_fn(|i| value(which, i))) };
        let factors = [0.75, -0.5, 1.25, 0.375, 2.0];
        for (count, first, kind, clamp) in (0..=5)
            .flat_map(|count| [1.0, 0.75].map(|first| (count, first)))
            .flat_map(|(count, first)| [0, 1, 2].map(|kind| (count, first, kind)))
            .flat_map(|(count, first, kind)| {
                [None, Some((-0.5, 0.5))].map(|clamp| (count, first, kind, clamp))
            })
        {
            if count == 0 && kind == 0 {
                continue;
            }
            // Input 5 is the noise; outputs beyond the inputs are buffers of their own.
            let run = |out_at: usize, mean_at: Option<usize>| -> [Vec<u32>; 2] {
                let mut inputs = buffers();
                let mut others = [[0.0_f32; LEN]; 2];
                let mut views: Vec<Out<'_>> = inputs.iter_mut().chain(&mut others).map(Out::from).collect();
                let ins: Vec<In<'_>> = views.iter().map(Out::as_in).collect();
                let noise = match kind {
                    0 => Noise::None,
                    1 => Noise::Given(ins[5]),
                    _ => Noise::Counter(Counter { seed: 1, stream: 2, index: 77 }),
                };
                let mut sum = Combination::new(views[out_at].again());
                for (i, &factor) in factors.iter().enumerate().take(count) {
                    sum = sum.plus(if i == 0 { first } else { factor }, ins[i]);
                }
                if let Some((low, high)) = clamp {
                    sum = sum.clamped(low, high);
                }
                if let Some(mean) = mean_at {
                    sum = sum.with_mean(views[mean].again());
                }
                linear(sum.plus_noise(if kind == 0 { 0.0 } else { 0.25 }, noise)).unwrap();
                let mut bits = |at: usize| views.swap_remove(at).as_in().iter().map(f32::to_bits).collect();
                let (low, high) =
                    (mean_at.unwrap_or(out_at).min(out_at), mean_at.unwrap_or(out_at).max(out_at));
                let [high_bits, low_bits]: [Vec<u32>; 2] =
                    if low == high { [bits(high), vec![]] } else { [bits(high), bits(low)] };
                if out_at == high { [high_bits, low_bits] } else { [low_bits, high_bits] }
            };
            let means: &[Option<usize>] = if count == 0 { &[None] } else { &[None, Some(7)] };
            for &mean in means {
                let want = run(6, mean);
                for out_at in 0..6 {
                    assert_eq!(run(out_at, mean), want, "{count} {first} {kind} {clamp:?} out {out_at}");
                }
                for mean_at in (0..6).filter(|_| mean.is_some()) {
                    assert_eq!(
                        run(6, Some(mean_at)),
                        want,
                        "{count} {first} {kind} {clamp:?} mean {mean_at}"
                    );
                }
            }
        }
    }
}
