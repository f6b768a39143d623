//! The clothes' denoiser: export.py's ONNX file, run by rten.

use std::error::Error;

use rten::{Model, ModelOptions, NodeId, op_registry};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

/// Pixels of a side and of a picture.
pub const SIZE: usize = 28;
pub const PIXELS: usize = SIZE * SIZE;
/// Classes of clothes.
pub const CLASSES: usize = 10;
/// The distance of a product's two pictures from x, rms over sigma: so near that the denoiser is
/// straight between them, and far enough for the roundings of what it gives.
const DISTANCE: f32 = 0.02;

/// The network, ready to be run.
pub struct Network {
    model: Model,
    x: NodeId,
    sigma: NodeId,
    classes: NodeId,
    denoised: NodeId,
}

impl Network {
    /// Reads an ONNX file.
    pub fn load(file: &[u8]) -> Result<Self, Box<dyn Error>> {
        // Those that the file has; others are not linked.
        let operators = op_registry! {
            Add, Cast, Concat, Conv, Cos, DepthToSpace, Div, Gemm, InstanceNormalization, Log, MatMul, Mul,
            Reshape, Resize, Sigmoid, Sin, Softmax, Split, Sqrt, Sub, Transpose
        };
        let model = ModelOptions::with_ops(operators).prepack_weights(true).load(file.to_vec())?;
        let [x, sigma, classes] = ["x", "sigma", "classes"].map(|name| model.node_id(name));
        let (x, sigma, classes, denoised) = (x?, sigma?, classes?, model.node_id("denoised")?);
        Ok(Self { model, x, sigma, classes, denoised })
    }

    /// Writes the denoised pictures of a batch at noise scale `sigma`. A picture without a class
    /// may be of any.
    pub fn denoise(
        &self,
        x: &[f32],
        sigma: f32,
        classes: &[Option<usize>],
        denoised: &mut [f32],
    ) -> Result<(), Box<dyn Error>> {
        let count = classes.len();
        if x.len() != count * PIXELS || denoised.len() != x.len() {
            return Err(format!("{} and {} floats for {count} pictures", x.len(), denoised.len()).into());
        }
        let mut one_hot = NdTensor::<f32, 2>::zeros([count, CLASSES]);
        for (picture, class) in classes.iter().enumerate() {
            if let &Some(class) = class {
                *one_hot.get_mut([picture, class]).ok_or_else(|| format!("there is no class {class}"))? = 1.0;
            }
        }
        let inputs = vec![
            (self.x, NdTensorView::from_data([count, 1, SIZE, SIZE], x).into()),
            (self.sigma, NdTensor::full([count], sigma).into()),
            (self.classes, one_hot.into()),
        ];
        let [out] = self.model.run_n(inputs, [self.denoised], None)?;
        let out: NdTensor<f32, 4> = out.try_into()?;
        denoised.copy_from_slice(&out.to_vec());
        Ok(())
    }

    /// The same, and the product of the denoiser's Jacobian with a probe for each picture, from two
    /// differences: an engine that only runs networks has no derivatives.
    pub fn denoise_and_product(
        &self,
        x: &[f32],
        sigma: f32,
        classes: &[Option<usize>],
        probe: &[f32],
        denoised: &mut [f32],
        product: &mut [f32],
    ) -> Result<(), Box<dyn Error>> {
        self.denoise(x, sigma, classes, denoised)?;
        if probe.len() != x.len() || product.len() != x.len() {
            return Err(format!("{} and {} floats for {} of x", probe.len(), product.len(), x.len()).into());
        }
        let step = |probe: &[f32]| {
            let squares: f64 = probe.iter().map(|&v| f64::from(v).powi(2)).sum();
            let rms = (squares / PIXELS as f64).sqrt() as f32;
            if rms > 0.0 { DISTANCE * sigma / rms } else { 0.0 }
        };
        let steps: Vec<f32> = probe.chunks(PIXELS).map(step).collect();
        let moved = |sign: f32| -> Vec<f32> {
            let pictures = x.chunks(PIXELS).zip(probe.chunks(PIXELS)).zip(&steps);
            pictures.flat_map(|((x, v), h)| x.iter().zip(v).map(move |(x, v)| x + sign * h * v)).collect()
        };
        let (ahead, behind) = (moved(1.0), moved(-1.0));
        let mut denoised_behind = vec![0.0; x.len()];
        self.denoise(&ahead, sigma, classes, product)?;
        self.denoise(&behind, sigma, classes, &mut denoised_behind)?;
        let pictures = product.chunks_mut(PIXELS).zip(denoised_behind.chunks(PIXELS)).zip(&steps);
        for ((ahead, behind), h) in pictures {
            let factor = if *h > 0.0 { 1.0 / (2.0 * h) } else { 0.0 };
            ahead.iter_mut().zip(behind).for_each(|(ahead, behind)| *ahead = (*ahead - behind) * factor);
        }
        Ok(())
    }
}
