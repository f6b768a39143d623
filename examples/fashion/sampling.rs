//! From noise to clothes: vesde's sampler and the network, taking turns.

use std::error::Error;

use vesde::inverse::{Imputation, impute};
use vesde::{
    After, Buffers, Conditions, Config, Counter, Method, Prediction, Request, Sampler, SamplerOptions,
    Schedule,
};

use crate::denoiser::score_of;
use crate::methods::{Named, Table};
use crate::network::PIXELS;

/// How to sample.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub config: Config,
    pub seed: u64,
    pub sampler: Named,
    pub steps: usize,
    pub table: Table,
    /// The known pixels, for the predictor–corrector method, which puts them into the sample after
    /// each update, with noise. With other methods they go into the denoised sample.
    pub known: Option<Known<'a>>,
}

/// Pixels that are given.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub pixels: &'a [f32],
    /// 1 where a pixel is known and 0 where it is not, for all pictures alike.
    pub mask: &'a [f32],
}

/// The state of the sampler before an update.
pub struct Turn<'a> {
    pub step: usize,
    pub sigma: f32,
    pub sample: &'a [f32],
    pub denoised: &'a [f32],
}

impl Job<'_> {
    /// Samples `count` pictures as one batch. `denoise` makes the denoised pictures of a noisy
    /// batch at a sigma; `watch` is told of each of its results.
    pub fn run(
        &self,
        count: usize,
        mut denoise: impl FnMut(&[f32], f32, &mut [f32]) -> Result<(), Box<dyn Error>>,
        mut watch: impl FnMut(Turn<'_>),
    ) -> Result<Vec<f32>, Box<dyn Error>> {
        let Self { config, seed, sampler, steps, table, known } = self;
        let [timesteps, sigmas, discrete_sigmas] = sampler.tables(config, *steps, *table)?;
        let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
        let takes_score = sampler.method == Method::PredictorCorrector;
        let known = known.filter(|_| takes_score);
        let options = SamplerOptions {
            prediction: if takes_score { Prediction::Score } else { Prediction::Denoised },
            conditions: if known.is_some() { Conditions::Drawing } else { Conditions::None },
            ..sampler.options(*seed)
        };
        let mut sampler = Sampler::new(config, count, options)?;
        let mut pixels = vec![0.0; count * PIXELS];
        let mut output = pixels.clone();
        let mut history = vec![0.0; sampler.workspace_len(pixels.len())?];
        loop {
            let buffers = Buffers::new(&mut pixels, &output).with_workspace(&mut history);
            match (sampler.next(&schedule, buffers)?, known) {
                (Request::Score { sigma, step, .. }, _) => {
                    denoise(&pixels, sigma, &mut output)?;
                    watch(Turn { step, sigma, sample: &pixels, denoised: &output });
                    if takes_score {
                        score_of(&pixels, sigma, &mut output)?;
                    }
                }
                (Request::Condition { sigma, after, last, draw, .. }, Some(known)) => {
                    let sigma = if after == After::Initial || last { 0.0 } else { sigma };
                    let known = Imputation::in_place(known.pixels, known.mask, &mut pixels);
                    impute(known.with_noise(sigma, Counter::new(*seed, draw)))?;
                }
                _ => return Ok(pixels),
            }
        }
    }
}
