//! From noise to digits: vesde's sampler and the network, taking turns.

use vesde::{
    After, Buffers, Churn, Conditions, Config, Corrector, Counter, Error, Imputation, Method, Predictor,
    Request, Sampler, SamplerOptions, SamplerResult, Schedule, impute, set_geometric_sigmas,
    set_karras_sigmas, set_sigmas, set_timesteps,
};

use crate::network::{Network, PIXELS};

/// Frames of the film of one digit, the initial noise and the result among them.
pub const FRAMES: usize = 12;

/// A method with its options, by the name that engines have for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named {
    pub name: &'static str,
    pub method: Method,
    eta: f32,
    s_churn: f32,
}

impl Named {
    const fn new(name: &'static str, method: Method) -> Self {
        Self { name, method, eta: 0.0, s_churn: 0.0 }
    }

    const fn with_noise(self, eta: f32) -> Self {
        Self { eta, ..self }
    }

    /// The best of 20 calls, by study.py.
    pub const DEFAULT: Self = Self::new("2m-sde", Method::Dpmpp2m).with_noise(1.0);
    /// Song et al. 2021, algorithm 1.
    pub const PC: Self = Self::new("pc", Method::PredictorCorrector);
    pub const ALL: &'static [Self] = &[
        Self::DEFAULT,
        Self::new("2m", Method::Dpmpp2m),
        Self::new("euler", Method::Euler),
        Self::new("euler-a", Method::Euler).with_noise(1.0),
        Self::new("heun", Method::Heun),
        Self { s_churn: 40.0, ..Self::new("edm", Method::Heun) },
        Self::new("dpm2", Method::Dpm2),
        Self::new("2s-a", Method::Dpmpp2s).with_noise(1.0),
        Self::new("3m", Method::Dpmpp3m),
        Self::new("3m-sde", Method::Dpmpp3m).with_noise(1.0),
        Self::new("unipc2", Method::Unipc2),
        Self::new("unipc3", Method::Unipc3),
        Self::new("lms", Method::Lms),
        Self::new("ipndm", Method::Ipndm),
        Self::PC,
    ];

    /// How many steps need no more calls of the network than these. The predictor–corrector method
    /// has `corrections` calls more in a step; others with two have one in the last.
    pub fn steps(&self, evaluations: usize, corrections: usize) -> usize {
        let steps = match self.method {
            Method::PredictorCorrector => evaluations / (1 + corrections),
            Method::Heun | Method::Dpm2 | Method::Dpmpp2s => evaluations.div_ceil(2),
            _ => evaluations,
        };
        steps.max(1)
    }
}

/// How the sigmas of methods along sigmas lie between the greatest and the least; the predictor–
/// corrector method has the SDE's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Table {
    Geometric,
    Karras,
}

impl Table {
    pub const ALL: &'static [Self] = &[Self::Geometric, Self::Karras];
}

/// Karras' exponent.
const RHO: f64 = 7.0;

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
    /// What is known of the digits, if they are to be completed.
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
            seed,
            method: sampler.method,
            eta: sampler.eta,
            // As in Karras et al. 2022, table 5, on ImageNet.
            churn: Churn { s_churn: sampler.s_churn, s_tmin: 0.05, s_tmax: 50.0 },
            s_noise: (sampler.s_churn > 0.0).then_some(1.003),
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
            ..SamplerOptions::default()
        }
    }

    /// Timesteps, sigmas and discrete sigmas; or sigmas alone, down to 0.
    fn tables(&self) -> Result<[Vec<f32>; 3], Error> {
        let Self { config, steps, table, .. } = self;
        let along = self.sampler.method != Method::PredictorCorrector;
        let empty = if along { 0 } else { *steps };
        let [mut timesteps, mut discrete_sigmas] = [(); 2].map(|()| vec![0.0; empty]);
        let mut sigmas = vec![0.0; steps + usize::from(along)];
        let falling = &mut sigmas[..*steps];
        match table {
            _ if !along => {
                set_timesteps(config, &mut timesteps[..])?;
                set_sigmas(config, &timesteps, falling, &mut discrete_sigmas[..])?;
            }
            Table::Geometric => set_geometric_sigmas(config.sigma_min, config.sigma_max, falling)?,
            Table::Karras => set_karras_sigmas(config.sigma_min, config.sigma_max, RHO, falling)?,
        }
        Ok([timesteps, sigmas, discrete_sigmas])
    }
}

/// Samples all digits of a job as one batch. `progress` is told each step as it begins.
pub fn sample(job: &Job<'_>, network: &Network, mut progress: impl FnMut(usize)) -> Result<Digits, Error> {
    let [timesteps, sigmas, discrete_sigmas] = job.tables()?;
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
                // What is known gets as much noise as the sample has.
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
