//! The predictor–corrector loop of Song et al. 2021 (algorithm 1) in diffusers' order: for every timestep the corrector
//! steps, then the predictor step, the network evaluated anew before each.

use crate::buf::{self, In, Out, Update};
use crate::config::Config;
use crate::error::Error;
use crate::kernels::Source;
use crate::kernels::normal::Fill;
use crate::kernels::update::{AddNoise, ClampUnit, Scale};
use crate::noise::Counter;
use crate::schedule::Schedule;
use crate::scheduler::{Averaging, Norm, Scheduler};
use crate::simd::dispatch;

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
    /// Whether the final sample is clamped to 0..=1, as diffusers' pipeline does.
    pub clamp: bool,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            stream: 0,
            noise: SamplerNoise::Counter,
            averaging: Averaging::Batch,
            norm: Norm::Exact,
            clamp: true,
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
}

/// The state of a predictor–corrector loop. Plain data, owned by the caller: a copy, taken at any time together with a
/// copy of the sample, continues like the original.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sampler {
    config: Config,
    seed: u64,
    /// The stream of the next draw.
    stream: u64,
    batch: u64,
    /// The next update: which timestep, and which of its corrections.
    step: u64,
    correction: u32,
    phase: u32,
    noise: i32,
    averaging: i32,
    norm: i32,
    clamp: i32,
}

/// Which update comes next, and what it works on.
#[derive(Clone, Copy)]
struct Place {
    step: usize,
    timestep: f32,
    sigma: f32,
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
            step: 0,
            correction: 0,
            phase: phase::NOTHING,
            noise: options.noise as i32,
            averaging: options.averaging as i32,
            norm: options.norm as i32,
            clamp: i32::from(options.clamp),
        })
    }

    /// Takes what the last request asked for, advances the sample, and says what is needed next.
    ///
    /// The first call makes the initial sample; what `sample` and `model_output` held does not matter then. After
    /// [`Request::Done`] `sample` holds the result: the last predictor step's `prev_sample_mean`, clamped if the options
    /// say so. `noise` is needed only where [`Request::Noise`] has asked for it. All buffers have the same length at every call.
    ///
    /// # Errors
    /// Those of [`Scheduler::step_pred`] and [`Scheduler::step_correct`]; `LengthMismatch` where `sigmas` is shorter than `timesteps`
    /// or the batch does not divide the sample; `NullPointer` where noise was asked for and is missing; `SamplerDone` after `Done`;
    /// `InvalidSampler` where the state is not one that this type makes, or the schedule has lost the current step. A score that is
    /// not a number is noticed by corrector steps only. After an error state and sample are as before: the call can be repeated.
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
        let place = self.place(schedule)?;
        buf::check(&[model_output], &[sample])?;
        if (sample.len() as u64).checked_rem(self.batch) != Some(0) {
            return Err(Error::LengthMismatch);
        }
        match self.phase {
            phase::NOTHING if self.gives_noise()? => {
                self.phase = phase::INITIAL_NOISE;
                return Ok(Request::Noise { draw: 0 });
            }
            phase::SCORE if self.gives_noise()? => {
                self.phase = phase::NOISE;
                let updates = u64::from(self.config.correct_steps) + 1;
                let before = self.step.wrapping_mul(updates).wrapping_add(u64::from(self.correction));
                return Ok(Request::Noise { draw: before.wrapping_add(1) });
            }
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
        let Place { sigma, timestep, step, .. } = self.place(schedule)?;
        Ok(Request::Score { sigma, timestep, step, correction: self.correction })
    }

    /// Checks the state against the schedule, and finds the current step.
    fn place(&self, schedule: &Schedule<'_>) -> Result<Place, Error> {
        self.config.validate().map_err(|_| Error::InvalidSampler)?;
        if self.phase == phase::DONE {
            return Err(Error::SamplerDone);
        }
        let in_range = self.phase <= phase::DONE
            && self.correction <= self.config.correct_steps
            && self.batch != 0
            && (0..=1).contains(&self.clamp)
            && self.gives_noise().is_ok()
            && self.modes().is_ok();
        let step = usize::try_from(self.step).ok().filter(|_| in_range);
        let step = step.ok_or(Error::InvalidSampler)?;
        if schedule.timesteps.is_empty() {
            return Err(Error::Empty);
        }
        // Looked up now for all steps, so that nothing can fail once the sample has been written.
        if schedule.sigmas.len() < schedule.timesteps.len() {
            return Err(Error::LengthMismatch);
        }
        let find = |table: &[f32]| table.get(step).copied().ok_or(Error::InvalidSampler);
        let timestep = find(schedule.timesteps)?;
        let sigma = find(schedule.sigmas)?;
        Ok(Place { step, timestep, sigma, last: step + 1 == schedule.timesteps.len() })
    }

    fn gives_noise(&self) -> Result<bool, Error> {
        match self.noise {
            x if x == SamplerNoise::Counter as i32 => Ok(false),
            x if x == SamplerNoise::Given as i32 => Ok(true),
            _ => Err(Error::InvalidSampler),
        }
    }

    /// The noise of the current draw.
    fn draw<'a>(&self, given: Option<In<'a>>, sample: Out<'_>) -> Result<Source<'a>, Error> {
        let noise = if self.gives_noise()? {
            Source::Given(given.ok_or(Error::NullPointer)?)
        } else {
            Source::Counter(Counter::new(self.seed, self.stream).into())
        };
        noise.check(sample.len())?;
        Ok(noise)
    }

    /// Makes the initial sample, noise times `init_noise_sigma`.
    fn begin(&mut self, sample: Out<'_>, given: Option<In<'_>>) -> Result<(), Error> {
        let x = match self.draw(given, sample)? {
            Source::Given(noise) => {
                buf::check(&[noise], &[sample])?;
                noise
            }
            Source::Counter(place) => {
                dispatch(Fill { place, out: sample });
                sample.as_in()
            }
        };
        dispatch(Scale { x, scale: self.config.init_noise_sigma(), out: sample });
        self.stream = self.stream.wrapping_add(1);
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
        let noise = self.draw(given, sample)?;
        let update = Update::over(sample);
        let scheduler = Scheduler { config: self.config, schedule: *schedule };
        let predict = self.correction == self.config.correct_steps;
        if !predict {
            let batch = usize::try_from(self.batch).map_err(|_| Error::InvalidSampler)?;
            scheduler.step_correct_raw(model_output, batch, self.modes()?, &update, noise)?;
            self.correction += 1;
        } else if place.last {
            // The result is the mean: noise is drawn, for diffusers' order, but not used.
            update.check(model_output, noise.given())?;
            let drift = schedule.predictor_step(place.timestep)?.drift;
            let x = sample.as_in();
            dispatch(AddNoise { x, noise: Source::Given(model_output), scale: drift, out: sample });
            if self.clamp != 0 {
                dispatch(ClampUnit { x, out: sample });
            }
        } else {
            scheduler.step_pred_raw(model_output, &[place.timestep], &update, noise)?;
            self.correction = 0;
            self.step += 1;
        }
        self.stream = self.stream.wrapping_add(1);
        Ok(predict && place.last)
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
