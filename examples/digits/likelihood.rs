//! What the network takes for likely: bits per pixel, by the probability-flow ODE.

use vesde::{Config, Divergence, Error, OdeStats, TorchCpu, bits_per_dim, log_likelihood};

use crate::held_out::{LEVELS, PER_CLASS, levels};
use crate::network::{CLASSES, Network, PIXELS};
use crate::ode::OdeJob;

/// Three kinds of pictures, each a hundred of them, and what they took.
pub struct Table {
    /// Of each class: of held-out digits, of the same with their pixels shuffled, and of noise.
    pub bits: [[f64; CLASSES]; 3],
    pub stats: [OdeStats; 3],
}

/// Random numbers that torch would draw.
struct Random(TorchCpu);

impl Random {
    fn uniform(&mut self, count: usize) -> Result<Vec<f32>, Error> {
        let mut numbers = vec![0.0; count];
        self.0.uniform(&mut numbers[..])?;
        Ok(numbers)
    }

    /// Pictures of as many pixels, each of any gray level.
    fn noise(&mut self, count: usize) -> Result<Vec<f32>, Error> {
        Ok(self.uniform(count)?.into_iter().map(|u| (u * LEVELS as f32).floor()).collect())
    }

    /// The pixels of each digit in another order.
    fn shuffled(&mut self, digits: &[f32]) -> Result<Vec<f32>, Error> {
        let mut shuffled = digits.to_vec();
        for digit in shuffled.chunks_exact_mut(PIXELS) {
            for (i, u) in self.uniform(PIXELS)?.into_iter().enumerate().rev() {
                digit.swap(i, (u * (i + 1) as f32) as usize);
            }
        }
        Ok(shuffled)
    }

    /// What the network is given of gray levels: a level is a cell about its place in 0..=1, in
    /// which its pixels lie anywhere.
    fn dequantised(&mut self, levels: &[f32]) -> Result<Vec<f32>, Error> {
        let u = self.uniform(levels.len())?;
        Ok(levels.iter().zip(u).map(|(level, u)| (level + u - 0.5) / (LEVELS - 1) as f32).collect())
    }
}

/// Bits per pixel, the means over the digits of a class. `progress` is told each kind as it begins.
pub fn bits_per_pixel(
    config: Config,
    seed: u64,
    tolerance: f64,
    network: &Network,
    mut progress: impl FnMut(usize),
) -> Result<Table, Error> {
    let mut random = Random(TorchCpu::new(seed));
    let digits: Vec<f32> = levels().iter().map(|&level| f32::from(level)).collect();
    let kinds = [digits.clone(), random.shuffled(&digits)?, random.noise(digits.len())?];
    let classes: Vec<usize> = (0..CLASSES * PER_CLASS).map(|i| i / PER_CLASS).collect();
    let job = OdeJob { config, seed, tolerance, classes: &classes };

    let mut table = Table { bits: [[0.0; CLASSES]; 3], stats: [OdeStats::default(); 3] };
    for (kind, levels) in kinds.iter().enumerate() {
        progress(kind);
        let mut codes = random.dequantised(levels)?;
        let solved = job.encode(network, &mut codes, Divergence::Product)?;
        for ((z, divergence), class) in codes.chunks_exact(PIXELS).zip(solved.divergences).zip(&classes) {
            let density = log_likelihood(config.sigma_max, z, divergence)?.log_density;
            // A level is as wide as what a pixel is given: (LEVELS − 1)/LEVELS of LEVELS.
            let slope = (LEVELS - 1) as f64 / LEVELS as f64;
            let bits = bits_per_dim(density, PIXELS, LEVELS as f64, slope);
            table.bits[kind][*class] += bits / PER_CLASS as f64;
        }
        table.stats[kind] = solved.stats;
    }
    Ok(table)
}
