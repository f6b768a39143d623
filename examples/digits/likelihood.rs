//! How likely pictures are for the network: bits per pixel, by the probability-flow ODE.

use vesde::ode::{Divergence, OdeStats, bits_per_dim, log_likelihood};
use vesde::{Config, Error};

use crate::held_out::{LEVELS, PER_CLASS, levels};
use crate::network::{CLASSES, Network, PIXELS};
use crate::ode::OdeJob;
use crate::random::Random;

/// A hundred pictures of a kind, ten a class.
#[derive(Default)]
pub struct Kind {
    /// Bits per pixel of each.
    pub bits: Vec<f64>,
    pub stats: OdeStats,
}

/// Bits per pixel of held-out digits, of the same with their pixels shuffled, and of noise.
/// `progress` is told each kind as it begins.
pub fn bits_per_pixel(
    config: Config,
    seed: u64,
    tolerance: f64,
    network: &Network,
    mut progress: impl FnMut(usize),
) -> Result<[Kind; 3], Error> {
    let mut random = Random::new(seed);
    let digits: Vec<f32> = levels().iter().map(|&level| f32::from(level)).collect();
    let shuffled = random.shuffled(&digits, PIXELS)?;
    // Each pixel of any gray level.
    let noise = random.uniform(digits.len())?.into_iter().map(|u| (u * LEVELS as f32).floor()).collect();
    let pictures = [digits, shuffled, noise];
    let classes: Vec<usize> = (0..CLASSES * PER_CLASS).map(|i| i / PER_CLASS).collect();
    let job = OdeJob { config, seed, tolerance, classes: &classes };

    let mut kinds = [(); 3].map(|()| Kind::default());
    for (i, (levels, kind)) in pictures.iter().zip(&mut kinds).enumerate() {
        progress(i);
        let mut codes = random.dequantised(levels, LEVELS)?;
        let solved = job.encode(network, &mut codes, Divergence::Product)?;
        for (z, divergence) in codes.chunks_exact(PIXELS).zip(solved.divergences) {
            let density = log_likelihood(config.sigma_max, z, divergence)?.log_density;
            kind.bits.push(bits_per_dim(density, PIXELS, LEVELS as f64, 1.0));
        }
        kind.stats = solved.stats;
    }
    Ok(kinds)
}
