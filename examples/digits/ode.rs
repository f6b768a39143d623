//! Digits and codes, by the probability-flow ODE: from one to the other, both ways, and with the
//! integral of the divergence that likelihoods need.

use vesde::ode::{Divergence, OdeDirection, OdeOptions, OdeStats};
use vesde::{Combination, Config, Error, linear};

use crate::network::{Network, PIXELS};
use crate::sampling::{Digits, Film};
use crate::solve::{Scores, Solved, solve};

/// An ODE to be solved.
pub struct OdeJob<'a> {
    pub config: Config,
    pub seed: u64,
    /// The relative and the absolute tolerance.
    pub tolerance: f64,
    /// The class of each digit.
    pub classes: &'a [usize],
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
        Digitwise { network, classes: self.classes }.score(&pixels, sigma, &mut score)?;
        // Tweedie's formula.
        linear(Combination::in_place(1.0, &mut pixels).plus(sigma * sigma, &score).clamped(0.0, 1.0))?;
        film.end(&pixels);
        let stats = OdeStats { evaluations: solved.stats.evaluations + 1, ..solved.stats };
        Ok((Digits { pixels, film }, stats))
    }

    fn solve(
        &self,
        options: OdeOptions,
        network: &Network,
        sample: &mut [f32],
        watch: impl FnMut(&[f32], f32, f32),
    ) -> Result<Solved, Error> {
        let mut scores = Digitwise { network, classes: self.classes };
        solve(&self.config, self.classes.len(), options, &mut scores, sample, watch)
    }
}

/// The network, which takes one digit at a time.
struct Digitwise<'a> {
    network: &'a Network,
    classes: &'a [usize],
}

impl Scores for Digitwise<'_> {
    type Error = Error;

    fn score(&mut self, x: &[f32], sigma: f32, score: &mut [f32]) -> Result<(), Error> {
        let digits = x.chunks_exact(PIXELS).zip(score.chunks_exact_mut(PIXELS));
        for ((x, score), &class) in digits.zip(self.classes) {
            self.network.score(x, sigma, class, score);
        }
        Ok(())
    }

    fn score_and_product(
        &mut self,
        x: &[f32],
        sigma: f32,
        probe: &[f32],
        score: &mut [f32],
        product: &mut [f32],
    ) -> Result<(), Error> {
        let scores = score.chunks_exact_mut(PIXELS).zip(product.chunks_exact_mut(PIXELS));
        let inputs = x.chunks_exact(PIXELS).zip(probe.chunks_exact(PIXELS));
        for (((x, probe), (score, product)), &class) in inputs.zip(scores).zip(self.classes) {
            self.network.score_and_product(x, sigma, class, probe, score, product);
        }
        Ok(())
    }
}
