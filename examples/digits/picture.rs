//! Digits as a gray picture: tiles in rows, each pixel upscaled, and the PNG of it.

use std::io::Write;

/// Pixels along a digit's side.
pub const SIDE: usize = 8;
/// Picture pixels along a digit's pixel.
const SCALE: usize = 8;
/// Picture pixels between digits, and around them.
const GAP: usize = 8;
/// The gray between digits.
const BACKGROUND: u8 = 64;

/// An 8-bit gray picture, row by row.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

impl Picture {
    /// Lays digits of 64 values out in rows of `columns`; 0 is black, 1 is white.
    pub fn of_digits(digits: &[f32], columns: usize) -> Self {
        let tile = SIDE * SCALE + GAP;
        let rows = digits.len() / (SIDE * SIDE) / columns;
        let (width, height) = (columns * tile + GAP, rows * tile + GAP);
        let mut pixels = vec![BACKGROUND; width * height];
        for (i, digit) in digits.chunks_exact(SIDE * SIDE).enumerate() {
            let (left, top) = (GAP + i % columns * tile, GAP + i / columns * tile);
            for y in 0..SIDE * SCALE {
                for x in 0..SIDE * SCALE {
                    let value = digit[y / SCALE * SIDE + x / SCALE].clamp(0.0, 1.0);
                    pixels[(top + y) * width + left + x] = (value * 255.0 + 0.5) as u8;
                }
            }
        }
        Self { width, height, pixels }
    }

    /// Writes a PNG.
    pub fn write_png(&self, to: impl Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(to, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(&self.pixels)
    }
}
