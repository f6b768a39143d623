//! Raw views of the caller's buffers. An output may be uninitialised and may be the very memory of
//! an input, so no reference to a buffer's floats is ever made: values are copied in, and copied
//! out. All unsafe code for that is here: view.rs has the views; tiles.rs hands tiles of [`GROUP`]
//! floats to kernels, which cannot leave them; stream.rs has prefetches and fences.

mod stream;
mod tiles;
mod view;

pub(crate) use stream::NON_TEMPORAL;
pub(crate) use tiles::{Floats, Pads, Tile, TileMut, Tiles};
pub(crate) use view::check;
pub use view::{In, Out};

/// The unit of all elementwise work, in floats. A multiple of every register width, and of torch's
/// 16.
pub(crate) const GROUP: usize = 64;
