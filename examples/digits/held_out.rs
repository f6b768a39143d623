//! Real digits that the network never saw: `held_out.py` wrote them.

use crate::network::{CLASSES, PIXELS};

/// Digits of each class.
pub const PER_CLASS: usize = 10;
/// Columns of a picture of completions: the digit, what is known of it, and the completions.
pub const COLUMNS: usize = 2 + PER_CLASS;
/// 1 in the upper half of a digit and 0 in the lower.
pub const UPPER_HALF: [f32; PIXELS] = {
    let mut mask = [0.0; PIXELS];
    let mut pixel = 0;
    while pixel < PIXELS / 2 {
        mask[pixel] = 1.0;
        pixel += 1;
    }
    mask
};
/// The gray levels of a pixel.
pub const LEVELS: usize = 17;
/// The gray of pixels that are not known: that between digits.
const UNKNOWN: f32 = 64.0 / 255.0;

/// All of them, by class, in gray levels.
pub fn levels() -> &'static [u8] {
    let file = include_bytes!("held_out.pgm");
    &file[file.len() - CLASSES * PER_CLASS * PIXELS..]
}

/// Ten digits of a class, or one of each, in 0..=1, as those that the network was trained on: 1 is
/// the highest level.
pub fn ten(class: Option<usize>) -> Vec<f32> {
    let digits: Vec<&[u8]> = levels().chunks_exact(PIXELS).collect();
    let indices = (0..PER_CLASS).map(|i| class.map_or(i * PER_CLASS, |class| class * PER_CLASS + i));
    indices.flat_map(|i| digits[i]).map(|&level| f32::from(level) / (LEVELS - 1) as f32).collect()
}

/// Each digit as often as it is to be completed.
pub fn repeated(digits: &[f32]) -> Vec<f32> {
    digits.chunks_exact(PIXELS).flat_map(|digit| digit.repeat(PER_CLASS)).collect()
}

/// A picture's digits, a row for each digit: it, what is known of it, and its completions.
pub fn beside(digits: &[f32], completions: &[f32]) -> Vec<f32> {
    let rows = digits.chunks_exact(PIXELS).zip(completions.chunks_exact(PER_CLASS * PIXELS));
    rows.flat_map(|(digit, completions)| {
        let masked = digit.iter().zip(UPPER_HALF).map(|(&x, known)| if known == 1.0 { x } else { UNKNOWN });
        [digit.to_vec(), masked.collect(), completions.to_vec()].concat()
    })
    .collect()
}
