//! The network as jobs see it: what it makes of a batch, each picture under its own condition.

use std::error::Error;

use vesde::inverse::guide;
use vesde::{Combination, linear};

use crate::network::{Network, PIXELS};
use crate::solve::Scores;

/// D = D(from) + w·(D(to) − D(from)): guidance if `from` is unconditional, a mixture of two classes
/// between w = 0 and 1. Where w is 0 or 1 the network is asked once, and else twice.
#[derive(Clone, Copy)]
pub struct Condition {
    pub from: Option<usize>,
    pub to: Option<usize>,
    pub weight: f32,
}

impl Condition {
    /// A class with a weight of guidance; 1 is the class alone.
    pub const fn guided(class: usize, weight: f32) -> Self {
        Self { from: None, to: Some(class), weight }
    }

    pub const NONE: Self = Self { from: None, to: None, weight: 0.0 };

    fn is_mixed(&self) -> bool {
        self.weight != 0.0 && self.weight != 1.0
    }
}

/// The denoiser of a batch.
pub struct Denoiser<'a> {
    network: &'a Network,
    conditions: &'a [Condition],
    /// Of all pictures whose condition is mixed the second class comes behind the batch.
    classes: Vec<Option<usize>>,
    /// How often D was asked for, without and with its Jacobian's product.
    pub calls: usize,
    products: usize,
}

impl<'a> Denoiser<'a> {
    pub fn new(network: &'a Network, conditions: &'a [Condition]) -> Self {
        let first = conditions.iter().map(|c| if c.weight == 1.0 { c.to } else { c.from });
        let second = conditions.iter().filter(|c| c.is_mixed()).map(|c| c.to);
        Self { network, conditions, classes: first.chain(second).collect(), calls: 0, products: 0 }
    }

    /// Its cost, in words.
    pub fn cost(&self) -> String {
        let Self { calls, products, .. } = self;
        let products = if *products > 0 { format!(" and {products} with products") } else { String::new() };
        format!("{calls} calls of the network{products}, {} pictures each", self.classes.len())
    }

    /// D of `x`.
    pub fn denoise(&mut self, x: &[f32], sigma: f32, denoised: &mut [f32]) -> Result<(), Box<dyn Error>> {
        self.calls += 1;
        let batch = self.batch(x);
        let mut out = vec![0.0; batch.len()];
        self.network.denoise(&batch, sigma, &self.classes, &mut out)?;
        self.mix(&out, denoised)
    }

    /// The same, and its Jacobian's product with a probe: J·ν or Jᵀ·ν, which should be the same.
    pub fn denoise_and_product(
        &mut self,
        x: &[f32],
        sigma: f32,
        probe: &[f32],
        denoised: &mut [f32],
        product: &mut [f32],
    ) -> Result<(), Box<dyn Error>> {
        self.products += 1;
        let (batch, probes) = (self.batch(x), self.batch(probe));
        let [mut out, mut products] = [(); 2].map(|()| vec![0.0; batch.len()]);
        self.network.denoise_and_product(&batch, sigma, &self.classes, &probes, &mut out, &mut products)?;
        self.mix(&out, denoised)?;
        self.mix(&products, product)
    }

    /// Pictures for all classes that are asked for.
    fn batch(&self, x: &[f32]) -> Vec<f32> {
        let mut batch = x.to_vec();
        for (x, _) in x.chunks_exact(PIXELS).zip(self.conditions).filter(|(_, c)| c.is_mixed()) {
            batch.extend_from_slice(x);
        }
        batch
    }

    fn mix(&self, of_batch: &[f32], out: &mut [f32]) -> Result<(), Box<dyn Error>> {
        let (first, second) = of_batch.split_at(out.len());
        let mut second = second.chunks_exact(PIXELS);
        let pictures = first.chunks_exact(PIXELS).zip(out.chunks_exact_mut(PIXELS));
        for ((first, out), condition) in pictures.zip(self.conditions) {
            match condition.is_mixed().then(|| second.next()).flatten() {
                Some(second) => guide(first, second, condition.weight, out)?,
                None => out.copy_from_slice(first),
            }
        }
        Ok(())
    }
}

/// The score (D − x)/σ², in place of D.
pub fn score_of(x: &[f32], sigma: f32, denoised: &mut [f32]) -> Result<(), vesde::Error> {
    let factor = 1.0 / (sigma * sigma);
    linear(Combination::in_place(factor, denoised).plus(-factor, x))
}

impl Scores for Denoiser<'_> {
    type Error = Box<dyn Error>;

    fn score(&mut self, x: &[f32], sigma: f32, score: &mut [f32]) -> Result<(), Box<dyn Error>> {
        self.denoise(x, sigma, score)?;
        Ok(score_of(x, sigma, score)?)
    }

    fn score_and_product(
        &mut self,
        x: &[f32],
        sigma: f32,
        probe: &[f32],
        score: &mut [f32],
        product: &mut [f32],
    ) -> Result<(), Box<dyn Error>> {
        self.denoise_and_product(x, sigma, probe, score, product)?;
        score_of(x, sigma, score)?;
        // The Jacobian of the score is (J − 1)/σ².
        Ok(score_of(probe, sigma, product)?)
    }
}
