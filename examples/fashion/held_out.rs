//! Clothes that the network never saw: `held_out.py` wrote them, ten of each class.

use std::error::Error;

use crate::network::{CLASSES, PIXELS, SIZE};

pub const PER_CLASS: usize = 10;
/// The gray levels of a pixel.
pub const LEVELS: usize = 256;
pub const NAMES: [&str; CLASSES] =
    ["t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// All of them by class, in gray levels.
pub fn levels() -> Result<Vec<f32>, Box<dyn Error>> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(include_bytes!("held_out.png"))).read_info()?;
    let mut grid = vec![0; PER_CLASS * CLASSES * PIXELS];
    let info = reader.next_frame(&mut grid)?;
    if (info.width as usize, info.height as usize) != (PER_CLASS * SIZE, CLASSES * SIZE)
        || info.buffer_size() != grid.len()
    {
        return Err("held_out.png is no 8-bit gray picture of ten rows of ten".into());
    }
    let row = PER_CLASS * SIZE;
    let pixel = |i: usize| {
        let (picture, y, x) = (i / PIXELS, i % PIXELS / SIZE, i % SIZE);
        grid[(picture / PER_CLASS * SIZE + y) * row + picture % PER_CLASS * SIZE + x]
    };
    Ok((0..grid.len()).map(|i| f32::from(pixel(i))).collect())
}

/// The picture of this number of each of these classes, in 0..=1, one after the other.
pub fn pictures(classes: &[usize], number: usize) -> Result<Vec<f32>, Box<dyn Error>> {
    let levels = levels()?;
    let of_class = |&class: &usize| levels[(class * PER_CLASS + number) * PIXELS..][..PIXELS].iter();
    Ok(classes.iter().flat_map(of_class).map(|level| level / (LEVELS - 1) as f32).collect())
}
