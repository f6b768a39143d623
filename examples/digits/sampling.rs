//! From noise to digits: vesde's sampler and the network, taking turns.

use vesde::inverse::{Imputation, impute};
use vesde::{
    After, Buffers, Conditions, Config, Corrector, Counter, Error, Predictor, Request, Sampler,
    SamplerOptions, SamplerResult, Schedule,
};

use crate::methods::{Named, Table};
use crate::network::{Network, PIXELS};

/// Frames of the film of one digit, the initial noise and the result among them.
pub const FRAMES: usize = 12;

/// What to sample.
pub struct Job<'a> {
    pub config: Config,
    pub seed: u64,
    pub sampler: Named,
    pub steps: usize,
    pub table: Table,
    pub predictor: Predictor,
    pub corrector: Corrector,
    /// The class of each digit.
    pub classes: &'a [usize],
    /// The known pixels, if the digits are to be completed.
    pub known: Option<Known<'a>>,
    /// Which digit the film shows.
    pub filmed: usize,
}

/// Pixels of each digit that a job is given.
pub struct Known<'a> {
    pub pixels: &'a [f32],
    /// 1 where a pixel is known and 0 where it is not, for all digits alike.
    pub mask: &'a [f32],
}

/// The digits, 64 pixels each in 0..=1, and the film of one of them.
pub struct Digits {
    pub pixels: Vec<f32>,
    pub film: Film,
}

/// How a digit comes about, frame by frame.
pub struct Film {
    pub frames: Vec<f32>,
    filmed: usize,
}

impl Film {
    /// A film of the digit of this number.
    pub fn new(filmed: usize) -> Self {
        Self { frames: Vec::with_capacity(PIXELS * FRAMES), filmed }
    }

    /// Takes the frames that are due: all but the last are spread evenly over the steps.
    pub fn shoot(&mut self, digits: &[f32], sigma: f32, step: usize, steps: usize) {
        let due =
            (self.frames.len() / PIXELS..FRAMES - 1).take_while(|frame| frame * steps / (FRAMES - 1) <= step);
        for _ in due {
            // Noise is dimmed as it grows, or all would be black and white.
            let dimmed = self.digit(digits).iter().map(|x| 0.5 + (x - 0.5) / (1.0 + 3.0 * sigma));
            self.frames.extend(dimmed);
        }
    }

    /// Takes the last frame.
    pub fn end(&mut self, digits: &[f32]) {
        self.frames.extend_from_slice(self.digit(digits));
    }

    fn digit<'a>(&self, digits: &'a [f32]) -> &'a [f32] {
        &digits[PIXELS * self.filmed..][..PIXELS]
    }
}

impl Job<'_> {
    fn options(&self) -> SamplerOptions {
        let Self { config, seed, sampler, predictor, corrector, .. } = *self;
        SamplerOptions {
            predictor,
            corrector,
            // As large a step as the annealed corrector's at the last noise scale.
            step_lr: 2.0 * (config.snr * config.sigma_min).powi(2) as f32,
            conditions: if self.known.is_some() { Conditions::Drawing } else { Conditions::None },
            // Behind a correction there is noise that no predictor takes away.
            result: match predictor {
                Predictor::None => SamplerResult::Denoised,
                _ => SamplerResult::Mean,
            },
            ..sampler.options(seed)
        }
    }
}

/// Samples all digits of a job as one batch. `progress` is told each step as it begins.
pub fn sample(job: &Job<'_>, network: &Network, mut progress: impl FnMut(usize)) -> Result<Digits, Error> {
    let [timesteps, sigmas, discrete_sigmas] = job.sampler.tables(&job.config, job.steps, job.table)?;
    let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };

    let mut pixels = vec![0.0; PIXELS * job.classes.len()];
    let mut score = pixels.clone();
    let mut film = Film::new(job.filmed);
    let mut sampler = Sampler::new(&job.config, job.classes.len(), job.options())?;
    let mut history = vec![0.0; sampler.workspace_len(pixels.len())?];
    loop {
        let buffers = Buffers::new(&mut pixels, &score).with_workspace(&mut history);
        match (sampler.next(&schedule, buffers)?, &job.known) {
            (Request::Score { sigma, step, .. }, _) => {
                progress(step);
                film.shoot(&pixels, sigma, step, job.steps);
                let digits = pixels.chunks_exact(PIXELS).zip(score.chunks_exact_mut(PIXELS));
                for ((x, score), &class) in digits.zip(job.classes) {
                    network.score(x, sigma, class, score);
                }
            }
            (Request::Condition { sigma, after, draw, .. }, Some(known)) => {
                // Known pixels get as much noise as the sample has.
                let known = Imputation::in_place(known.pixels, known.mask, &mut pixels);
                impute(match after {
                    After::Initial => known,
                    _ => known.with_noise(sigma, Counter::new(job.seed, draw)),
                })?;
            }
            _ => break,
        }
    }
    if let Some(known) = &job.known {
        impute(Imputation::in_place(known.pixels, known.mask, &mut pixels))?;
    }
    film.end(&pixels);
    Ok(Digits { pixels, film })
}
