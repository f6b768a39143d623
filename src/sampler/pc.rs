//! The predictor–corrector loop of Song et al. 2021 (algorithm 1) in diffusers' order: for every timestep the corrector
//! steps, then the predictor step, the network evaluated anew before each.

use crate::buf::{self, In, Out, Update};
use crate::config::Config;
use crate::error::Error;
use crate::kernels::Source;
use crate::kernels::linear::linear;
use crate::kernels::normal::Fill;
use crate::noise::Counter;
use crate::norms::{Averaging, Norm};
use crate::schedule::{PredictorStep, Schedule, finite, in_range};
use crate::simd::dispatch;
use crate::steps::{self, Scheduler};

/// Who makes the noise of a whole job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum SamplerNoise {
    /// Counter noise, a stream for every draw: the initial sample takes the stream of the options, each later draw the
    /// next one. No noise is ever asked for.
    #[default]
    Counter = 0,
    /// The caller, who is asked for every draw by a request, in diffusers' order. The initial draw and those of the steps
    /// may come from different generators.
    Given = 1,
}

/// Which of the last step's two results a job ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum SamplerResult {
    /// `prev_sample_mean`, from which the last noise has been removed, as diffusers' pipeline has it.
    #[default]
    Mean = 0,
    /// `prev_sample`, with the last noise in it (`noise_removal=False` in `score_sde`).
    Noisy = 1,
}

/// What a sampler needs to know besides the configuration. The defaults are diffusers' behaviour on counter noise of
/// seed 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Whether the final sample is clamped to 0..=1, as diffusers' pipeline does.
    pub clamp: bool,
    /// `Some(k)` to start at step k from the sample that the first [`Sampler::next`] is given, as if the job had come so far by
    /// itself: draws and streams are numbered accordingly. For image to image the sample is the picture with noise of that step's
    /// sigma ([`Scheduler::add_noise`]); to resume, it is the one that a job had before that step's first correction.
    pub start: Option<usize>,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            stream: 0,
            noise: SamplerNoise::Counter,
            averaging: Averaging::Batch,
            norm: Norm::Exact,
            result: SamplerResult::Mean,
            clamp: true,
            start: None,
        }
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
        /// What a network of discrete noise levels is given: N − 1 − [`Schedule::index`], with N the number of timesteps (`score_sde`'s
        /// labels, 0 for the largest sigma).
        label: usize,
        /// The step, from 0 to the number of timesteps less one.
        step: usize,
        /// The corrector step within it; equal to `correct_steps` for the predictor step.
        correction: u32,
    },
    /// Fill `noise` with as many standard normal numbers as the sample has elements.
    Noise {
        /// Which draw: 0 is the initial sample's, later ones are those of the steps in diffusers' order. They may come from
        /// different generators.
        draw: u64,
    },
    /// Nothing: the sample is the result.
    Done,
}

/// What the caller was last asked for, as a sampler's `phase`.
mod phase {
    pub(super) const NOTHING: u32 = 0;
    pub(super) const INITIAL_NOISE: u32 = 1;
    pub(super) const SCORE: u32 = 2;
    pub(super) const NOISE: u32 = 3;
    pub(super) const DONE: u32 = 4;
    /// Nothing either, but the sample is there.
    pub(super) const STARTED: u32 = 5;
}

/// The initial sample's draw.
const INITIAL_DRAW: u64 = 0;

/// The state of a predictor–corrector loop. Plain data, owned by the caller: a copy, taken at any time together with a
/// copy of the sample, continues like the original.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sampler {
    config: Config,
    seed: u64,
    /// The stream of the first draw.
    stream: u64,
    batch: u64,
    /// The next update: which timestep, and which of its corrections.
    step: u64,
    correction: u64,
    phase: u32,
    noise: i32,
    averaging: i32,
    norm: i32,
    result: i32,
    clamp: i32,
}

/// Which update comes next, and what it works on.
#[derive(Clone, Copy)]
struct Place {
    step: usize,
    timestep: f32,
    sigma: f32,
    label: usize,
    last: bool,
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
            step: options.start.unwrap_or(0) as u64,
            correction: 0,
            phase: if options.start.is_some() { phase::STARTED } else { phase::NOTHING },
            noise: options.noise as i32,
            averaging: options.averaging as i32,
            norm: options.norm as i32,
            result: options.result as i32,
            clamp: i32::from(options.clamp),
        })
    }

    /// Takes what the last request asked for, advances the sample, and says what is needed next.
    ///
    /// The first call makes the initial sample, unless the options say that it is there; what `sample` and `model_output` held
    /// does not matter otherwise. After [`Request::Done`] `sample` holds the result, which the options choose: the last predictor
    /// step's `prev_sample_mean`, clamped, by default. `noise` is needed only where [`Request::Noise`] has asked for it. All buffers have the same length at every call.
    ///
    /// # Errors
    /// Those of [`Scheduler::step_pred`] and [`Scheduler::step_correct`], the former also where a timestep or a sigma that the network
    /// would be asked about is none, or the options start behind the last step; `LengthMismatch` where `sigmas` is shorter than `timesteps` or the batch does not divide the sample;
    /// `NullPointer` where noise was asked for and is missing; `SamplerDone` after `Done`; `InvalidSampler` where the state is not one
    /// that this type makes, or the schedule has lost the current step. A score that is not a number is noticed by corrector steps
    /// only. After an error state and sample are as before: the call can be repeated.
    pub fn next(
        &mut self,
        schedule: &Schedule<'_>,
        sample: &mut [f32],
        model_output: &[f32],
        noise: Option<&[f32]>,
    ) -> Result<Request, Error> {
        self.next_raw(schedule, sample.into(), model_output.into(), noise.map(In::from))
    }

    pub(crate) fn next_raw(
        &mut self,
        schedule: &Schedule<'_>,
        sample: Out<'_>,
        model_output: In<'_>,
        noise: Option<In<'_>>,
    ) -> Result<Request, Error> {
        let place = self.place(schedule, self.step)?;
        buf::check(&[model_output], &[sample])?;
        if (sample.len() as u64).checked_rem(self.batch) != Some(0) {
            return Err(Error::LengthMismatch);
        }
        match self.phase {
            phase::NOTHING if self.gives_noise()? => {
                self.phase = phase::INITIAL_NOISE;
                return Ok(Request::Noise { draw: INITIAL_DRAW });
            }
            phase::SCORE if self.gives_noise()? => {
                self.phase = phase::NOISE;
                return Ok(Request::Noise { draw: self.draw_of_update() });
            }
            phase::STARTED => {}
            phase::NOTHING | phase::INITIAL_NOISE => self.begin(sample, noise)?,
            phase::SCORE | phase::NOISE => {
                if self.advance(schedule, place, sample, model_output, noise)? {
                    self.phase = phase::DONE;
                    return Ok(Request::Done);
                }
            }
            _ => return Err(Error::InvalidSampler),
        }
        self.phase = phase::SCORE;
        let Place { sigma, timestep, label, step, .. } = self.place(schedule, self.step)?;
        Ok(Request::Score { sigma, timestep, label, step, correction: self.correction as u32 })
    }

    /// Checks the state against the schedule, and finds a step.
    fn place(&self, schedule: &Schedule<'_>, step: u64) -> Result<Place, Error> {
        self.config.validate().map_err(|_| Error::InvalidSampler)?;
        if self.phase == phase::DONE {
            return Err(Error::SamplerDone);
        }
        let gives_noise = self.gives_noise()?;
        self.modes()?;
        let begins = self.step == 0 && self.correction == 0;
        let in_phase = match self.phase {
            phase::NOTHING => begins,
            phase::INITIAL_NOISE => begins && gives_noise,
            phase::SCORE => true,
            phase::NOISE => gives_noise,
            phase::STARTED => self.correction == 0,
            _ => false,
        };
        let valid = in_phase
            && self.correction <= u64::from(self.config.correct_steps)
            && self.batch != 0
            && (0..=1).contains(&self.result)
            && (0..=1).contains(&self.clamp);
        let step = usize::try_from(step).ok().filter(|_| valid);
        let step = step.ok_or(Error::InvalidSampler)?;
        if schedule.timesteps.is_empty() {
            return Err(Error::Empty);
        }
        // Looked up now for all steps, so that nothing can fail once the sample has been written.
        if schedule.sigmas.len() < schedule.timesteps.len() {
            return Err(Error::LengthMismatch);
        }
        let beyond =
            if self.phase == phase::STARTED { Error::TimestepOutOfRange } else { Error::InvalidSampler };
        let find = |table: &[f32]| table.get(step).copied().ok_or(beyond);
        let timestep = in_range(find(schedule.timesteps)?)?;
        let sigma = finite(find(schedule.sigmas)?)?;
        let left = schedule.timesteps.len() - 1 - step;
        Ok(Place { step, timestep, sigma, label: schedule.label(timestep)?, last: left == 0 })
    }

    fn gives_noise(&self) -> Result<bool, Error> {
        match self.noise {
            x if x == SamplerNoise::Counter as i32 => Ok(false),
            x if x == SamplerNoise::Given as i32 => Ok(true),
            _ => Err(Error::InvalidSampler),
        }
    }

    /// The number of the draw for the next update.
    fn draw_of_update(&self) -> u64 {
        let updates = u64::from(self.config.correct_steps) + 1;
        let before = self.step.wrapping_mul(updates).wrapping_add(self.correction);
        before.wrapping_add(1)
    }

    /// The noise of a draw.
    fn noise<'a>(&self, draw: u64, given: Option<In<'a>>, sample: Out<'_>) -> Result<Source<'a>, Error> {
        let noise = if self.gives_noise()? {
            Source::Given(given.ok_or(Error::NullPointer)?)
        } else {
            Source::Counter(Counter::new(self.seed, self.stream.wrapping_add(draw)).into())
        };
        noise.check(sample.len())?;
        Ok(noise)
    }

    /// Makes the initial sample, noise times `init_noise_sigma`.
    fn begin(&self, sample: Out<'_>, given: Option<In<'_>>) -> Result<(), Error> {
        let x = match self.noise(INITIAL_DRAW, given, sample)? {
            Source::Given(noise) => {
                buf::check(&[noise], &[sample])?;
                noise
            }
            Source::Counter(place) => {
                dispatch(Fill { place, out: sample });
                sample.as_in()
            }
        };
        linear(&[(self.config.init_noise_sigma(), x)], None, sample, None, None);
        Ok(())
    }

    /// Makes one update; returns whether it was the last.
    fn advance(
        &mut self,
        schedule: &Schedule<'_>,
        place: Place,
        sample: Out<'_>,
        model_output: In<'_>,
        given: Option<In<'_>>,
    ) -> Result<bool, Error> {
        let noise = self.noise(self.draw_of_update(), given, sample)?;
        let update = Update::over(sample);
        let scheduler = Scheduler { config: self.config, schedule: *schedule };
        if self.correction < u64::from(self.config.correct_steps) {
            let batch = usize::try_from(self.batch).map_err(|_| Error::InvalidSampler)?;
            scheduler.step_correct_raw(model_output, batch, self.modes()?, &update, noise)?;
            self.correction += 1;
            return Ok(false);
        }
        if !place.last {
            self.place(schedule, self.step + 1)?; // what is asked for afterwards
            scheduler.step_pred_raw(model_output, &[place.timestep], &update, Some(noise))?;
            self.correction = 0;
            self.step += 1;
            return Ok(false);
        }
        update.check(model_output, noise.given())?;
        let PredictorStep { drift, diffusion } = schedule.predictor_step(place.timestep)?;
        let clamp = (self.clamp != 0).then_some((0.0, 1.0));
        // For the mean noise is drawn, for diffusers' order, but not used.
        let (diffusion, noise) = match self.result {
            x if x == SamplerResult::Noisy as i32 => (diffusion, Some(noise)),
            _ => (0.0, None),
        };
        steps::update_raw(model_output, (drift, diffusion), &update, noise, clamp)?;
        Ok(true)
    }

    fn modes(&self) -> Result<(Averaging, Norm), Error> {
        let averaging = match self.averaging {
            x if x == Averaging::Batch as i32 => Averaging::Batch,
            x if x == Averaging::PerSample as i32 => Averaging::PerSample,
            _ => return Err(Error::InvalidSampler),
        };
        let norm = match self.norm {
            x if x == Norm::Exact as i32 => Norm::Exact,
            x if x == Norm::Torch as i32 => Norm::Torch,
            _ => return Err(Error::InvalidSampler),
        };
        Ok((averaging, norm))
    }
}
