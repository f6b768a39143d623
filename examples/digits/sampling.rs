//! From noise to digits: vesde's sampler and the network, taking turns.

use vesde::{Buffers, Config, Error, Request, Sampler, SamplerOptions, Schedule, set_sigmas, set_timesteps};

use crate::network::{Network, PIXELS};

/// Frames of the film of one digit, the initial noise and the result among them.
pub const FRAMES: usize = 12;

/// What to sample.
pub struct Job<'a> {
    pub config: Config,
    pub seed: u64,
    pub steps: usize,
    /// The class of each digit.
    pub classes: &'a [usize],
    /// Which digit the film shows.
    pub filmed: usize,
}

/// The digits, 64 pixels each in 0..=1, and the film of one of them.
pub struct Digits {
    pub pixels: Vec<f32>,
    pub film: Vec<f32>,
}

/// Samples all digits of a job as one batch. `progress` is told each step as it begins.
pub fn sample(job: &Job<'_>, network: &Network, mut progress: impl FnMut(usize)) -> Result<Digits, Error> {
    let [mut timesteps, mut sigmas, mut discrete_sigmas] = [(); 3].map(|()| vec![0.0; job.steps]);
    set_timesteps(&job.config, &mut timesteps[..])?;
    set_sigmas(&job.config, &timesteps, &mut sigmas[..], &mut discrete_sigmas[..])?;
    let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };

    let mut pixels = vec![0.0; PIXELS * job.classes.len()];
    let mut score = pixels.clone();
    let mut film = Vec::with_capacity(PIXELS * FRAMES);
    let options = SamplerOptions { seed: job.seed, ..SamplerOptions::default() };
    let mut sampler = Sampler::new(&job.config, job.classes.len(), options)?;
    while let Request::Score { sigma, step, correction, .. } =
        sampler.next(&schedule, Buffers::new(&mut pixels, &score))?
    {
        if correction == 0 {
            progress(step);
            // All frames but the last are spread evenly over the steps.
            let frames = (film.len() / PIXELS..FRAMES - 1)
                .take_while(|frame| frame * job.steps / (FRAMES - 1) <= step);
            for _ in frames {
                let digit = &pixels[PIXELS * job.filmed..][..PIXELS];
                // Noise is dimmed as it grows, or all would be black and white.
                film.extend(digit.iter().map(|x| 0.5 + (x - 0.5) / (1.0 + 3.0 * sigma)));
            }
        }
        let digits = pixels.chunks_exact(PIXELS).zip(score.chunks_exact_mut(PIXELS));
        for ((x, score), &class) in digits.zip(job.classes) {
            network.score(x, sigma, class, score);
        }
    }
    film.extend_from_slice(&pixels[PIXELS * job.filmed..][..PIXELS]);
    Ok(Digits { pixels, film })
}
