//! Pictures with text and lines, and the PNGs of them.

use std::convert::Infallible;
use std::error::Error;
use std::io::BufWriter;

use embedded_graphics::mono_font::iso_8859_1::FONT_9X15_BOLD;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Pixel, Point, RgbColor, Size};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

use crate::command::Output;

/// What all text is written in.
pub const FONT: &MonoFont<'_> = &FONT_9X15_BOLD;
pub const BACKGROUND: Rgb888 = Rgb888::new(40, 40, 40);
pub const INK: Rgb888 = Rgb888::new(225, 225, 225);
/// Of pixels that nobody knows.
const UNKNOWN: Rgb888 = Rgb888::new(60, 90, 130);

/// A picture of 8-bit colours, row by row.
pub struct Picture {
    size: Size,
    pixels: Vec<Rgb888>,
}

impl Picture {
    pub fn new(width: u32, height: u32) -> Self {
        Self { size: Size::new(width, height), pixels: vec![BACKGROUND; (width * height) as usize] }
    }

    /// Writes a line of text with its upper edge at `at.y`, and where `alignment` says at `at.x`.
    pub fn write(&mut self, text: &str, at: Point, alignment: Alignment) {
        let style = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Top).build();
        let Ok(_) = Text::with_text_style(text, at, MonoTextStyle::new(FONT, INK), style).draw(self);
    }

    /// Draws a square of gray pixels, each `scale` pixels wide; 0 is black, 1 is white, and NaN is
    /// not known.
    pub fn tile(&mut self, gray: &[f32], at: Point, scale: usize) {
        let side = gray.len().isqrt() * scale;
        let across = |i: usize| (i % side / scale) + i / side / scale * (side / scale);
        let pixels = (0..side * side).map(|i| {
            let value = gray[across(i)];
            let level = (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
            let color = if value.is_nan() { UNKNOWN } else { Rgb888::new(level, level, level) };
            Pixel(at + Point::new((i % side) as i32, (i / side) as i32), color)
        });
        let Ok(()) = self.draw_iter(pixels);
    }

    /// Writes a PNG: a gray one, if there are no colours.
    pub fn save(&self, output: Output<'_>) -> Result<(), Box<dyn Error>> {
        let Size { width, height } = self.size;
        let mut encoder = png::Encoder::new(BufWriter::new(output.file), width, height);
        encoder.set_compression(png::Compression::High);
        let is_gray = self.pixels.iter().all(|p| p.r() == p.g() && p.g() == p.b());
        let bytes: Vec<u8> = if is_gray {
            encoder.set_color(png::ColorType::Grayscale);
            self.pixels.iter().map(RgbColor::r).collect()
        } else {
            encoder.set_color(png::ColorType::Rgb);
            self.pixels.iter().flat_map(|p| [p.r(), p.g(), p.b()]).collect()
        };
        encoder.write_header()?.write_image_data(&bytes)?;
        println!("{} ({width}×{height})", output.path.display());
        Ok(())
    }
}

impl OriginDimensions for Picture {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Picture {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let Size { width, height } = self.size;
        for Pixel(Point { x, y }, color) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && x < width
                && y < height
            {
                self.pixels[(y * width + x) as usize] = color;
            }
        }
        Ok(())
    }
}
