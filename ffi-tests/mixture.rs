//! The score of a mixture of Gaussians of one variance, in f64.

use crate::vectors::Case;

/// Means one after the other, their log weights (not normalised), and the variance s2. The score is
/// s = (m − x)/v with v = σ² + s2, where m is the mean of the means, weighted by their posteriors
/// w.
pub struct Mixture {
    pub mus: Vec<f64>,
    pub logw: Vec<f64>,
    pub s2: f64,
}

impl Mixture {
    pub fn of(case: &Case) -> Self {
        let f64s = |name| case.f32s(name).into_iter().map(f64::from).collect();
        Self { mus: f64s("mus"), logw: f64s("logw"), s2: case.f64("s2") }
    }

    /// Of a sample.
    pub fn len(&self) -> usize {
        self.mus.len() / self.logw.len()
    }

    /// The posteriors of the means, given one sample.
    fn weights(&self, x: &[f64], v: f64) -> Vec<f64> {
        let components = self.logw.iter().zip(self.mus.chunks(self.len()));
        let log = |(logw, mu): (&f64, &[f64])| {
            let square: f64 = x.iter().zip(mu).map(|(x, mu)| (x - mu).powi(2)).sum();
            logw - square / (2.0 * v)
        };
        let logs: Vec<f64> = components.map(log).collect();
        let greatest = logs.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = logs.iter().map(|log| (log - greatest).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| w / total).collect()
    }

    /// The sum over the components of `weights[c]·mus[c]`, element by element.
    fn mean(&self, weights: &[f64]) -> Vec<f64> {
        let mut mean = vec![0.0; self.len()];
        for (w, mu) in weights.iter().zip(self.mus.chunks(self.len())) {
            mean.iter_mut().zip(mu).for_each(|(mean, mu)| *mean += w * mu);
        }
        mean
    }

    /// (m − x)/v.
    fn between(mean: &[f64], x: &[f64], v: f64) -> Vec<f64> {
        mean.iter().zip(x).map(|(mean, x)| (mean - x) / v).collect()
    }

    /// Of one sample.
    pub fn score(&self, x: &[f64], sigma: f64) -> Vec<f64> {
        let v = sigma.powi(2) + self.s2;
        Self::between(&self.mean(&self.weights(x, v)), x, v)
    }

    /// Of one sample the score and its Jacobian times a direction ν: (Σ w·μ·(μ·ν) − m·(m·ν))/v² −
    /// ν/v.
    pub fn score_and_product(&self, x: &[f64], sigma: f64, direction: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let v = sigma.powi(2) + self.s2;
        let weights = self.weights(x, v);
        let mean = self.mean(&weights);
        let along = |mu: &[f64]| mu.iter().zip(direction).map(|(mu, d)| mu * d).sum::<f64>();
        let weights: Vec<f64> =
            weights.iter().zip(self.mus.chunks(self.len())).map(|(w, mu)| w * along(mu)).collect();
        let mean_along = along(&mean);
        let terms = self.mean(&weights).into_iter().zip(&mean).zip(direction);
        let product =
            terms.map(|((second, mean), d)| (second - mean * mean_along) / (v * v) - d / v).collect();
        (Self::between(&mean, x, v), product)
    }
}
