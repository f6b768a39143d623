//! The arithmetic over whole buffers, each kernel written once over `Lanes`. Kernels trust their caller to have
//! checked lengths and overlaps; given unequal lengths they do nothing. No status is made here, and no unsafe.

#![forbid(unsafe_code)]

pub(crate) mod norm;
pub(crate) mod normal;
pub(crate) mod philox;
pub(crate) mod torch;
pub(crate) mod update;
