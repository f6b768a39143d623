//! Rows of small pictures with labels around them.

use embedded_graphics::prelude::Point;
use embedded_graphics::text::Alignment;

use crate::network::SIZE;
use crate::picture::{FONT, Picture};

/// Pixels along a pixel of a picture.
const SCALE: usize = 2;
const TILE: i32 = (SIZE * SCALE) as i32;
/// Between pictures, and between groups of columns.
const GAP: i32 = 4;
const WIDE_GAP: i32 = 16;
const LINE: i32 = 18;

/// The contents of a sheet.
pub struct Sheet<'a> {
    /// The line above all.
    pub title: String,
    /// The columns' names: each begins a group of so many.
    pub groups: &'a [(&'a str, usize)],
    pub rows: Vec<Row>,
    /// The lines below all.
    pub notes: Vec<String>,
}

/// A label and as many pictures as there are columns: squares of pixels in 0..=1, and NaN where
/// nobody knows.
pub struct Row {
    pub label: String,
    pub pictures: Vec<Vec<f32>>,
    /// What stands below each picture, if anything.
    pub captions: Vec<String>,
}

impl Row {
    pub fn new(label: impl Into<String>, pictures: Vec<Vec<f32>>) -> Self {
        Self { label: label.into(), pictures, captions: Vec::new() }
    }
}

impl Sheet<'_> {
    pub fn draw(&self) -> Picture {
        let letter = (FONT.character_size.width + FONT.character_spacing) as i32;
        let longest = self.rows.iter().map(|row| row.label.chars().count() as i32).max().unwrap_or(0);
        let left = WIDE_GAP + longest * letter + if longest > 0 { WIDE_GAP } else { 0 };
        let mut columns = Vec::new();
        let mut x = left;
        for &(_, count) in self.groups {
            columns.extend((0..count as i32).map(|i| x + i * (TILE + GAP)));
            x += count as i32 * (TILE + GAP) - GAP + WIDE_GAP;
        }
        let row_heights = self.rows.iter().map(|row| {
            let caption = if row.captions.is_empty() { 0 } else { LINE };
            TILE + GAP + caption
        });
        let has_names = self.groups.iter().any(|(name, _)| !name.is_empty());
        let top = GAP + LINE + GAP + if has_names { LINE } else { 0 };
        let bottom = top + row_heights.clone().sum::<i32>();
        let lines = [&self.title].into_iter().chain(&self.notes).map(|line| line.chars().count() as i32);
        let width = x.max(lines.max().unwrap_or(0) * letter + 2 * WIDE_GAP);
        let height = bottom + self.notes.len() as i32 * LINE + GAP;

        let mut picture = Picture::new(width as u32, height as u32);
        picture.write(&self.title, Point::new(WIDE_GAP, GAP + 1), Alignment::Left);
        let mut first = 0;
        for &(name, count) in self.groups {
            picture.write(name, Point::new(columns[first], top - LINE), Alignment::Left);
            first += count;
        }
        let mut y = top;
        for (row, height) in self.rows.iter().zip(row_heights) {
            let middle = y + (TILE - LINE) / 2;
            picture.write(&row.label, Point::new(left - WIDE_GAP, middle), Alignment::Right);
            for (&x, pixels) in columns.iter().zip(&row.pictures) {
                picture.tile(pixels, Point::new(x, y), SIZE * SCALE / pixels.len().isqrt());
            }
            for (&x, caption) in columns.iter().zip(&row.captions) {
                picture.write(caption, Point::new(x + TILE / 2, y + TILE + 1), Alignment::Center);
            }
            y += height;
        }
        for (i, note) in self.notes.iter().enumerate() {
            picture.write(note, Point::new(WIDE_GAP, bottom + i as i32 * LINE), Alignment::Left);
        }
        picture
    }
}
