//! Digits and codes, by the probability-flow ODE: from one to the other, both ways, and with the
//! integral of the divergence that likelihoods need.

use vesde::{
    Combination, Config, Divergence, Error, Ode, OdeBuffers, OdeDirection, OdeOptions, OdeRequest, OdeStats,
    linear,
};

use crate::network::{Network, PIXELS};
use crate::sampling::{Digits, Film};

/// An ODE to be solved.
pub struct OdeJob<'a> {
    pub config: Config,
    pub seed: u64,
    /// The relative and the absolute tolerance.
    pub tolerance: f64,
    /// The class of each digit.
    pub classes: &'a [usize],
}

/// What there is besides the solution.
pub struct Solved {
    pub stats: OdeStats,
    /// For each digit, if it was asked for.
    pub divergences: Vec<f64>,
}

impl OdeJob<'_> {
    fn options(&self) -> OdeOptions {
        let Self { seed, tolerance, .. } = *self;
        OdeOptions { seed, rtol: tolerance, atol: tolerance, ..OdeOptions::default() }
    }

    /// Makes codes of digits, with the integral of a divergence.
    pub fn encode(
        &self,
        network: &Network,
        digits: &mut [f32],
        divergence: Divergence,
    ) -> Result<Solved, Error> {
        let options = OdeOptions { direction: OdeDirection::Encoding, divergence, ..self.options() };
        self.solve(options, network, digits, |_, _, _| ())
    }

    /// Makes digits of codes.
    pub fn decode(&self, network: &Network, codes: &mut [f32]) -> Result<Solved, Error> {
        self.solve(OdeOptions { start: true, ..self.options() }, network, codes, |_, _, _| ())
    }

    /// Samples digits from noise, and takes away what noise is left on them. `progress` is told
    /// how much of the way is left, in 0..=1.
    pub fn sample(
        &self,
        network: &Network,
        filmed: usize,
        mut progress: impl FnMut(f32),
    ) -> Result<(Digits, OdeStats), Error> {
        let mut pixels = vec![0.0; PIXELS * self.classes.len()];
        let mut film = Film::new(filmed);
        let solved = self.solve(self.options(), network, &mut pixels, |digits, sigma, timestep| {
            progress(timestep);
            film.shoot(digits, sigma, ((1.0 - timestep) * 1e6) as usize, 1_000_000);
        })?;
        let sigma = self.config.sigma(self.config.sampling_eps as f32);
        let mut score = pixels.clone();
        self.score(network, &pixels, sigma, &mut score);
        // Tweedie's formula.
        linear(Combination::in_place(1.0, &mut pixels).plus(sigma * sigma, &score).clamped(0.0, 1.0))?;
        film.end(&pixels);
        let stats = OdeStats { evaluations: solved.stats.evaluations + 1, ..solved.stats };
        Ok((Digits { pixels, film }, stats))
    }

    fn score(&self, network: &Network, x: &[f32], sigma: f32, score: &mut [f32]) {
        let digits = x.chunks_exact(PIXELS).zip(score.chunks_exact_mut(PIXELS));
        for ((x, score), &class) in digits.zip(self.classes) {
            network.score(x, sigma, class, score);
        }
    }

    /// Solves the ODE for all digits as one batch. `watch` is shown the solution where it begins
    /// and behind each step, with its sigma and timestep.
    fn solve(
        &self,
        options: OdeOptions,
        network: &Network,
        sample: &mut [f32],
        mut watch: impl FnMut(&[f32], f32, f32),
    ) -> Result<Solved, Error> {
        let mut ode = Ode::new(&self.config, self.classes.len(), options)?;
        let [mut input, mut score, mut product, mut probe] = [(); 4].map(|()| vec![0.0; sample.len()]);
        let mut workspace = vec![0.0; ode.workspace_len(sample.len())?];
        let mut log_densities = vec![0.0; ode.log_densities_len()?];
        ode.probe().rademacher(&mut probe[..])?;
        loop {
            let buffers = OdeBuffers::new(sample, &mut input, &score, &mut workspace)
                .with_product(&product)
                .with_log_densities(&mut log_densities);
            match ode.next(buffers)? {
                OdeRequest::Score { sigma, timestep, stage, accepted, .. } => {
                    if accepted || stage == 1 {
                        watch(sample, sigma, timestep);
                    }
                    self.score(network, &input, sigma, &mut score);
                }
                OdeRequest::ScoreAndProduct { sigma, .. } => {
                    let scores = score.chunks_exact_mut(PIXELS).zip(product.chunks_exact_mut(PIXELS));
                    let inputs = input.chunks_exact(PIXELS).zip(probe.chunks_exact(PIXELS));
                    for (((x, probe), (score, product)), &class) in inputs.zip(scores).zip(self.classes) {
                        network.score_and_product(x, sigma, class, probe, score, product);
                    }
                }
                _ => break,
            }
        }
        log_densities.truncate(self.classes.len());
        Ok(Solved { stats: ode.stats(), divergences: log_densities })
    }
}
