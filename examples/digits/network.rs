//! The digits' score network: a residual ReLU perceptron, as train.py has it. Its sums run in a
//! fixed order without fused operations, where a matrix library would choose both by the CPU: so
//! that a seed gives one picture, on every machine, and the C program's too.

use safetensors::{Dtype, SafeTensors};

/// Pixels of a digit.
pub const PIXELS: usize = 64;
/// Classes of digits.
pub const CLASSES: usize = 10;

/// `out[j] = bias[j] + Σᵢ x[i]·weight[i][j]`, summed over ascending i.
struct Dense {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// The network's tensors.
pub struct Network {
    mean: f32,
    sd: f32,
    /// The noise scales about which the noise features turn from 0 to 1.
    tau: Vec<f32>,
    first: Dense,
    hidden: Vec<Dense>,
    last: Dense,
}

fn relu(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

/// A derivative behind a ReLU of `x`.
fn gated(slope: Vec<f32>, x: &[f32]) -> Vec<f32> {
    slope.into_iter().zip(x).map(|(slope, &x)| if x > 0.0 { slope } else { 0.0 }).collect()
}

impl Dense {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        self.add(x, self.bias.clone())
    }

    /// The derivative in the direction `x`: the same without the bias.
    fn along(&self, x: &[f32]) -> Vec<f32> {
        self.add(x, vec![0.0; self.bias.len()])
    }

    fn add(&self, x: &[f32], mut out: Vec<f32>) -> Vec<f32> {
        for (&x, row) in x.iter().zip(self.weight.chunks_exact(out.len())) {
            // Most inputs behind a ReLU are zero, and add nothing.
            if x != 0.0 {
                for (out, w) in out.iter_mut().zip(row) {
                    *out += x * w;
                }
            }
        }
        out
    }
}

impl Network {
    /// Reads the tensors of a safetensors file.
    pub fn load(file: &[u8]) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(file).map_err(|error| error.to_string())?;
        let read = |name: &str| -> Result<Vec<f32>, String> {
            let tensor = tensors.tensor(name).map_err(|error| format!("{name}: {error}"))?;
            if tensor.dtype() != Dtype::F32 {
                return Err(format!("{name} is not f32"));
            }
            Ok(tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
        };
        let scalar = |name: &str| read(name)?.first().copied().ok_or(format!("{name} is empty"));
        let dense = |layer: usize| -> Result<Dense, String> {
            Ok(Dense {
                weight: read(&format!("dense{layer}.weight"))?,
                bias: read(&format!("dense{layer}.bias"))?,
            })
        };
        let layers = (0..).take_while(|layer| tensors.tensor(&format!("dense{layer}.bias")).is_ok()).count();
        let last = layers.checked_sub(1).filter(|&last| last > 0).ok_or("too few layers")?;
        Ok(Self {
            mean: scalar("mean")?,
            sd: scalar("sd")?,
            tau: read("tau")?,
            first: dense(0)?,
            hidden: (1..last).map(dense).collect::<Result<_, _>>()?,
            last: dense(last)?,
        })
    }

    /// Writes the score of one noisy digit of a class at noise scale `sigma`: (denoised − x)/σ²,
    /// with the denoiser preconditioned as in Karras et al. 2022 and rearranged so that nothing
    /// cancels.
    pub fn score(&self, x: &[f32], sigma: f32, class: usize, score: &mut [f32]) {
        self.evaluate(x, sigma, class, score, None);
    }

    /// The same, and the product of the score's Jacobian with a direction: its derivative, exactly,
    /// carried forward with the values.
    pub fn score_and_product(
        &self,
        x: &[f32],
        sigma: f32,
        class: usize,
        direction: &[f32],
        score: &mut [f32],
        product: &mut [f32],
    ) {
        self.evaluate(x, sigma, class, score, Some((direction, product)));
    }

    fn evaluate(
        &self,
        x: &[f32],
        sigma: f32,
        class: usize,
        score: &mut [f32],
        product: Option<(&[f32], &mut [f32])>,
    ) {
        let variance = sigma * sigma;
        let total = variance + self.sd * self.sd;
        let root = total.sqrt();
        let centred: Vec<f32> = x.iter().map(|x| x - self.mean).collect();
        let mut input: Vec<f32> = centred.iter().map(|y| y / root).collect();
        input.extend(self.tau.iter().map(|tau| variance / (variance + tau * tau)));
        input.extend((0..CLASSES).map(|c| f32::from(c == class)));

        let first = self.first.apply(&input);
        let mut slope = product.as_ref().map(|(direction, _)| {
            let slope: Vec<f32> = direction.iter().map(|v| v / root).collect();
            gated(self.first.along(&slope), &first)
        });
        let mut hidden: Vec<f32> = first.into_iter().map(relu).collect();
        for layer in &self.hidden {
            let update = layer.apply(&hidden);
            if let Some(slope) = &mut slope {
                let change = gated(layer.along(slope), &update);
                slope.iter_mut().zip(change).for_each(|(h, u)| *h += u);
            }
            for (h, u) in hidden.iter_mut().zip(update) {
                *h += relu(u);
            }
        }
        let gain = self.sd / (sigma * root);
        for ((score, f), y) in score.iter_mut().zip(self.last.apply(&hidden)).zip(&centred) {
            *score = f * gain - y / total;
        }
        if let (Some((direction, product)), Some(slope)) = (product, slope) {
            for ((product, f), v) in product.iter_mut().zip(self.last.along(&slope)).zip(direction) {
                *product = f * gain - v / total;
            }
        }
    }
}
