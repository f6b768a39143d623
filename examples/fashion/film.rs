//! How a picture comes about, frame by frame.

use crate::network::PIXELS;
use crate::sampling::Turn;
use crate::sheet::{Row, Sheet};

/// The first noise and the result among them.
const FRAMES: usize = 12;

/// A film of one picture of a batch.
pub struct Film {
    filmed: usize,
    steps: usize,
    sigmas: Vec<f32>,
    noisy: Vec<Vec<f32>>,
    denoised: Vec<Vec<f32>>,
}

impl Film {
    pub fn new(filmed: usize, steps: usize) -> Self {
        Self { filmed, steps, sigmas: Vec::new(), noisy: Vec::new(), denoised: Vec::new() }
    }

    /// Takes the frame that is due, if one is: all but the last are spread evenly over the steps.
    pub fn shoot(&mut self, turn: &Turn<'_>) {
        let frames = (FRAMES - 1).min(self.steps);
        if self.sigmas.len() >= frames || turn.step < self.sigmas.len() * self.steps / frames {
            return;
        }
        let picture = |batch: &[f32]| batch[PIXELS * self.filmed..][..PIXELS].to_vec();
        // Noise is dimmed as it grows, or all would be black and white.
        let dimmed = |x: f32| 0.5 + (x - 0.5) / (1.0 + 3.0 * turn.sigma);
        self.noisy.push(picture(turn.sample).into_iter().map(dimmed).collect());
        self.denoised.push(picture(turn.denoised));
        self.sigmas.push(turn.sigma);
    }

    /// The film with the result as its last frame, from left to right.
    pub fn sheet(mut self, name: &str, result: &[f32]) -> Sheet<'static> {
        let result = &result[PIXELS * self.filmed..][..PIXELS];
        self.noisy.push(result.to_vec());
        self.denoised.push(result.to_vec());
        self.sigmas.push(0.0);
        let captions = self.sigmas.iter().map(|sigma| match sigma {
            _ if *sigma >= 10.0 => format!("{sigma:.1}"),
            _ if *sigma >= 1.0 => format!("{sigma:.2}"),
            _ if *sigma > 0.0 => format!("{sigma:.3}"),
            _ => "0".into(),
        });
        let captions = captions.collect();
        let noisy = Row { captions, ..Row::new("sample, sigma", self.noisy) };
        Sheet {
            title: format!("{name}: the sample at noise scale sigma, and what the network makes of it"),
            groups: &[("", FRAMES)],
            rows: vec![noisy, Row::new("denoised", self.denoised)],
            notes: Vec::new(),
        }
    }
}
