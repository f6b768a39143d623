//! What likelihoods are compared on: pictures in gray levels, and random changes of them.

use vesde::Error;
use vesde::noise::TorchCpu;

/// Random numbers that torch would draw.
pub struct Random(TorchCpu);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(TorchCpu::new(seed))
    }

    /// Evenly between 0 and 1.
    pub fn uniform(&mut self, count: usize) -> Result<Vec<f32>, Error> {
        let mut numbers = vec![0.0; count];
        self.0.uniform(&mut numbers[..])?;
        Ok(numbers)
    }

    /// The pixels of each picture in another order.
    pub fn shuffled(&mut self, pictures: &[f32], pixels: usize) -> Result<Vec<f32>, Error> {
        let mut shuffled = pictures.to_vec();
        for picture in shuffled.chunks_exact_mut(pixels) {
            for (i, u) in self.uniform(pixels)?.into_iter().enumerate().rev() {
                picture.swap(i, (u * (i + 1) as f32) as usize);
            }
        }
        Ok(shuffled)
    }

    /// In 0..=1, with the steps between gray levels filled evenly.
    pub fn dequantised(&mut self, pictures: &[f32], levels: usize) -> Result<Vec<f32>, Error> {
        let u = self.uniform(pictures.len())?;
        Ok(pictures.iter().zip(u).map(|(level, u)| (level + u) / levels as f32).collect())
    }
}
