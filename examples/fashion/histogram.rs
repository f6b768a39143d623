//! A histogram of numbers of several kinds, with axes and their labels.

use embedded_graphics::Drawable;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{Point, Primitive, Size};
use embedded_graphics::primitives::{Line, PrimitiveStyle, Rectangle};
use embedded_graphics::text::Alignment;

use crate::picture::{INK, Picture};

const WIDTH: i32 = 720;
const HEIGHT: i32 = 360;
/// Of the axes.
const LEFT: i32 = 60;
const RIGHT: i32 = WIDTH - 20;
const TOP: i32 = 50;
const BOTTOM: i32 = HEIGHT - 50;
/// Okabe and Ito's, which the colour-blind can tell apart.
const COLORS: [Rgb888; 3] = [Rgb888::new(86, 180, 233), Rgb888::new(230, 159, 0), Rgb888::new(204, 121, 167)];
/// Bins between two labels.
const BINS: usize = 4;

/// The least of 1, 2, 5, 10, ... that is not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&step| step >= least).unwrap_or(least)
}

/// Draws how many of each kind's numbers are in each bin. Kinds are named by their legend.
pub fn draw(title: &str, axis: &str, kinds: [(String, &[f64]); 3]) -> Picture {
    let all = || kinds.iter().flat_map(|(_, numbers)| numbers.iter().copied());
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let step = round_step((high - low).max(1e-6) / 12.0);
    let first = (low / step).floor();
    let labels = ((high / step).floor() - first) as usize + 1;
    let counts = kinds.each_ref().map(|(_, numbers)| {
        let mut counts = vec![0; labels * BINS];
        for number in *numbers {
            let bin = ((number / step - first) * BINS as f64) as usize;
            counts[bin.min(labels * BINS - 1)] += 1;
        }
        counts
    });
    let most = counts.iter().flatten().copied().max().unwrap_or(0).max(1);

    let mut picture = Picture::new(WIDTH as u32, HEIGHT as u32);
    let ink = PrimitiveStyle::with_stroke(INK, 1);
    let x = |bin: f64| LEFT + (bin / (labels * BINS) as f64 * f64::from(RIGHT - LEFT)) as i32;
    let y = |count: i32| BOTTOM - (BOTTOM - TOP) * count / most;
    let mut line = |from: Point, to: Point| {
        let Ok(()) = Line::new(from, to).into_styled(ink).draw(&mut picture);
    };
    line(Point::new(LEFT, TOP), Point::new(LEFT, BOTTOM));
    line(Point::new(LEFT, BOTTOM), Point::new(RIGHT, BOTTOM));
    for label in 0..=labels {
        let x = x((label * BINS) as f64);
        line(Point::new(x, BOTTOM), Point::new(x, BOTTOM + 5));
    }
    let counted = (round_step(f64::from(most) / 5.0).max(1.0) as usize).max(1);
    for count in (0..=most).step_by(counted) {
        line(Point::new(LEFT - 5, y(count)), Point::new(LEFT, y(count)));
    }
    let digits = usize::from(step < 1.0);
    for label in 0..=labels {
        let text = format!("{:.digits$}", (first + label as f64) * step);
        picture.write(&text, Point::new(x((label * BINS) as f64), BOTTOM + 8), Alignment::Center);
    }
    for count in (0..=most).step_by(counted) {
        picture.write(&count.to_string(), Point::new(LEFT - 10, y(count) - 7), Alignment::Right);
    }
    picture.write(axis, Point::new((LEFT + RIGHT) / 2, BOTTOM + 28), Alignment::Center);
    picture.write(title, Point::new(LEFT, 4), Alignment::Left);
    picture.write("pictures", Point::new(LEFT - 45, TOP - 24), Alignment::Left);

    // Bars of kinds stand beside each other in a bin.
    for (kind, counts) in counts.iter().enumerate() {
        let style = PrimitiveStyle::with_fill(COLORS[kind]);
        for (bin, &count) in counts.iter().enumerate() {
            let [from, to] = [kind, kind + 1].map(|k| x(bin as f64 + k as f64 / COLORS.len() as f64));
            let corner = Point::new(from + 1, y(count));
            let size = Size::new((to - from).max(1) as u32, (BOTTOM - y(count)) as u32);
            let Ok(()) = Rectangle::new(corner, size).into_styled(style).draw(&mut picture);
        }
    }
    for (kind, (legend, _)) in kinds.iter().enumerate() {
        let at = Point::new(RIGHT - 340, TOP + 20 * kind as i32);
        let mark = Rectangle::new(at, Size::new(12, 12)).into_styled(PrimitiveStyle::with_fill(COLORS[kind]));
        let Ok(()) = mark.draw(&mut picture);
        picture.write(legend, at + Point::new(20, -1), Alignment::Left);
    }
    picture
}
