//! Measurements y = A·x + noise of pictures, and how the denoised sample is made to agree with
//! them.
//!
//! A is a part of the pixels or the means of blocks, so A·Aᵀ = c·1, and P = Aᵀ·A/c is a projection.
//! A measurement is kept as the picture Y = Aᵀ·y/c: known pixels, or blocks of one gray.

use std::error::Error;

use vesde::{Combination, Counter, linear};

use crate::denoiser::Denoiser;
use crate::network::{PIXELS, SIZE};

/// Of all training pixels.
const SD: f32 = 0.353;
/// Of a block whose mean is measured.
pub const BLOCK: usize = 4;

/// The measurements of a picture.
#[derive(Clone)]
pub enum Operator {
    /// Pixels: 1 where one is, else 0.
    Pixels(Vec<f32>),
    /// Means of blocks.
    Means,
}

impl Operator {
    /// A random quarter of the pixels.
    pub fn random_quarter(noise: Counter) -> Result<Self, vesde::Error> {
        let mut keys = vec![0.0; PIXELS];
        linear(Combination::new(&mut keys[..]).plus_noise(1.0, noise))?;
        let mut order: Vec<usize> = (0..PIXELS).collect();
        order.sort_by(|&a, &b| f32::total_cmp(&keys[a], &keys[b]));
        let mut mask = vec![0.0; PIXELS];
        order[..PIXELS / 4].iter().for_each(|&i| mask[i] = 1.0);
        Ok(Self::Pixels(mask))
    }

    /// How many numbers are measured of a picture.
    pub fn numbers(&self) -> usize {
        match self {
            Self::Pixels(mask) => mask.iter().filter(|&&m| m == 1.0).count(),
            Self::Means => PIXELS / (BLOCK * BLOCK),
        }
    }

    /// How many pixels of Y have one measured number.
    fn copies(&self) -> usize {
        match self {
            Self::Pixels(_) => 1,
            Self::Means => BLOCK * BLOCK,
        }
    }

    /// P·x of each picture, in place.
    fn project(&self, x: &mut [f32]) {
        for picture in x.chunks_exact_mut(PIXELS) {
            match self {
                Self::Pixels(mask) => picture.iter_mut().zip(mask).for_each(|(x, m)| *x *= m),
                Self::Means => block_means(picture),
            }
        }
    }

    /// Measures pictures, with noise of standard deviation `sd` on each number.
    pub fn measure(&self, x: &[f32], sd: f32, noise: Counter) -> Result<Vec<f32>, vesde::Error> {
        let mut measured = vec![0.0; x.len()];
        // The mean of a block has a quarter of its pixels' noise.
        let sd = sd * (self.copies() as f32).sqrt();
        linear(Combination::new(&mut measured[..]).plus(1.0, x).plus_noise(sd, noise))?;
        self.project(&mut measured);
        Ok(measured)
    }

    /// The picture of a measurement: NaN where nothing is known.
    pub fn shown(&self, measured: &[f32]) -> Vec<f32> {
        match self {
            Self::Pixels(mask) => {
                measured.iter().zip(mask).map(|(&x, &m)| if m == 1.0 { x } else { f32::NAN }).collect()
            }
            Self::Means => measured.to_vec(),
        }
    }

    /// The root mean square of y − A·x, over all numbers of all pictures.
    pub fn residual(&self, measured: &[f32], x: &[f32]) -> Result<f64, vesde::Error> {
        let mut difference = self.missing(measured, x)?;
        let squares: f64 = difference.drain(..).map(|d| f64::from(d * d)).sum();
        let pictures = x.len() / PIXELS;
        Ok((squares / (pictures * self.numbers() * self.copies()) as f64).sqrt())
    }

    /// Y − P·x.
    fn missing(&self, measured: &[f32], x: &[f32]) -> Result<Vec<f32>, vesde::Error> {
        let mut missing = x.to_vec();
        self.project(&mut missing);
        linear(Combination::in_place(-1.0, &mut missing).plus(1.0, measured))?;
        Ok(missing)
    }
}

/// The mask of the left half.
pub fn left_half() -> Vec<f32> {
    (0..PIXELS).map(|i| f32::from(u8::from(i % SIZE < SIZE / 2))).collect()
}

fn block_means(picture: &mut [f32]) {
    let begins_block = |i: usize| i.is_multiple_of(BLOCK);
    for corner in (0..PIXELS).filter(|i| begins_block(i % SIZE) && begins_block(i / SIZE)) {
        let block = (0..BLOCK * BLOCK).map(|i| corner + i / BLOCK * SIZE + i % BLOCK);
        let mean = block.clone().map(|i| picture[i]).sum::<f32>() / (BLOCK * BLOCK) as f32;
        block.for_each(|i| picture[i] = mean);
    }
}

/// How the denoised sample D is made to agree with a measurement of noise τ². Both add to it what
/// the score of p(y | x) adds to the score (Song et al. 2021, equation 14), with a normal p(y | x)
/// of mean A·D and covariance A·C·Aᵀ + τ²: D + C·Aᵀ·(A·C·Aᵀ + τ²)⁻¹·(y − A·D). C is that of the
/// data given the sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Consistency {
    /// C = r²·1, as it is where pixels are independent of each other: in closed form. Without noise
    /// that is D with the data in it (DDNM, Wang et al. 2023).
    Projection,
    /// C = σ²·J, with J the Jacobian of D (Tweedie's formula for the covariance), in a few steps of
    /// conjugate gradients (Rozet et al. 2024): of each pixel all others learn. A product
    /// of the network's Jacobian for each step.
    Covariance,
}

impl Consistency {
    pub const ALL: &'static [Self] = &[Self::Projection, Self::Covariance];
}

/// Pictures measured, and how they are to be restored.
pub struct Measurement<'a> {
    pub operator: &'a Operator,
    pub measured: &'a [f32],
    /// The noise's standard deviation.
    pub sd: f32,
    pub consistency: Consistency,
    /// Of conjugate gradients.
    pub iterations: u32,
}

impl Measurement<'_> {
    /// D of `x` that agrees with the measurement as far as x's noise lets it.
    pub fn denoise(
        &self,
        denoiser: &mut Denoiser<'_>,
        x: &[f32],
        sigma: f32,
        denoised: &mut [f32],
    ) -> Result<(), Box<dyn Error>> {
        denoiser.denoise(x, sigma, denoised)?;
        if self.consistency == Consistency::Covariance {
            self.solve(denoiser, x, sigma, denoised)?;
        }
        let factor = match self.consistency {
            Consistency::Projection => variance_given(sigma) / (variance_given(sigma) + self.variance()),
            // Without noise, what a few steps left over is known exactly.
            Consistency::Covariance if self.sd == 0.0 => 1.0,
            Consistency::Covariance => return Ok(()),
        };
        let missing = self.operator.missing(self.measured, denoised)?;
        Ok(linear(Combination::in_place(1.0, denoised).plus(factor, &missing))?)
    }

    /// Of the noise in Y: τ²/c.
    fn variance(&self) -> f32 {
        self.sd.powi(2) * self.operator.copies() as f32
    }

    /// Adds C·v to D, where (P·C·P + τ²/c)·v = Y − P·D, for each picture.
    fn solve(
        &self,
        denoiser: &mut Denoiser<'_>,
        x: &[f32],
        sigma: f32,
        denoised: &mut [f32],
    ) -> Result<(), Box<dyn Error>> {
        let mut residual = self.operator.missing(self.measured, denoised)?;
        let mut direction = residual.clone();
        let [mut again, mut of_direction] = [(); 2].map(|()| vec![0.0; x.len()]);
        for _ in 0..self.iterations {
            denoiser.denoise_and_product(x, sigma, &direction, &mut again, &mut of_direction)?;
            linear(Combination::in_place(sigma * sigma, &mut of_direction))?;
            let mut product = of_direction.clone();
            self.operator.project(&mut product);
            linear(Combination::in_place(1.0, &mut product).plus(self.variance(), &direction))?;
            for at in (0..x.len()).step_by(PIXELS).map(|at| at..at + PIXELS) {
                let [residual, direction] = [&mut residual, &mut direction].map(|x| &mut x[at.clone()]);
                let (before, curvature) = (dot(residual, residual), dot(direction, &product[at.clone()]));
                // Where the network's J is no covariance, the picture keeps what it has.
                let step = if curvature > 0.0 { (before / curvature) as f32 } else { 0.0 };
                let denoised = &mut denoised[at.clone()];
                linear(Combination::in_place(1.0, denoised).plus(step, &of_direction[at.clone()]))?;
                linear(Combination::in_place(1.0, residual).plus(-step, &product[at]))?;
                let again = if before > 0.0 { (dot(residual, residual) / before) as f32 } else { 0.0 };
                linear(Combination::in_place(again, direction).plus(1.0, &*residual))?;
            }
        }
        Ok(())
    }
}

/// r², the variance of data that are normal, given one with noise.
fn variance_given(sigma: f32) -> f32 {
    (sigma * SD).powi(2) / (sigma * sigma + SD * SD)
}

/// The scalar product.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
