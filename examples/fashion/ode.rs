//! Clothes and codes, by the probability-flow ODE, and what lies between two of them.

use std::error::Error;

use vesde::ode::{OdeDirection, OdeOptions, OdeStats};
use vesde::{Combination, Config, linear};

use crate::denoiser::{Condition, Denoiser};
use crate::inverse::dot;
use crate::network::{Network, PIXELS};
use crate::solve::{Solved, solve};

/// An ODE to be solved.
#[derive(Clone, Copy)]
pub struct OdeJob<'a> {
    pub config: Config,
    pub network: &'a Network,
    /// The relative and the absolute tolerance.
    pub tolerance: f64,
    /// The rest of the options.
    pub options: OdeOptions,
}

impl OdeJob<'_> {
    /// Makes codes of pictures. `progress` is told how much of the way is done, in 0..=1.
    pub fn encode(
        &self,
        conditions: &[Condition],
        pictures: &mut [f32],
        progress: impl FnMut(f32),
    ) -> Result<Solved, Box<dyn Error>> {
        self.solve(OdeDirection::Encoding, conditions, pictures, progress)
    }

    /// Makes pictures of codes.
    pub fn decode(
        &self,
        conditions: &[Condition],
        codes: &mut [f32],
        mut progress: impl FnMut(f32),
    ) -> Result<OdeStats, Box<dyn Error>> {
        let solved = self.solve(OdeDirection::Sampling, conditions, codes, |t| progress(1.0 - t))?;
        Ok(solved.stats)
    }

    /// `progress` is told the timestep.
    fn solve(
        &self,
        direction: OdeDirection,
        conditions: &[Condition],
        sample: &mut [f32],
        mut progress: impl FnMut(f32),
    ) -> Result<Solved, Box<dyn Error>> {
        let (rtol, atol) = (self.tolerance, self.tolerance);
        let options = OdeOptions { direction, start: true, rtol, atol, ..self.options };
        let mut denoiser = Denoiser::new(self.network, conditions);
        let progress = |_: &[f32], _, timestep| progress(timestep);
        solve(&self.config, conditions.len(), options, &mut denoiser, sample, progress)
    }
}

/// So many codes on the great circle from one to another, both ends among them: the surface of a
/// sphere is where normal noise of many dimensions lies.
pub fn great_circle(from: &[f32], to: &[f32], count: usize) -> Result<Vec<f32>, vesde::Error> {
    let angle = (dot(from, to) / (dot(from, from) * dot(to, to)).sqrt()).acos();
    let mut codes = vec![0.0; count * PIXELS];
    for (i, code) in codes.chunks_exact_mut(PIXELS).enumerate() {
        let t = i as f64 / (count - 1) as f64;
        let factors = [1.0 - t, t].map(|t| ((t * angle).sin() / angle.sin()) as f32);
        linear(Combination::new(code).plus(factors[0], from).plus(factors[1], to))?;
    }
    Ok(codes)
}
