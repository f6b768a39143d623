//! Whole jobs by reverse communication: `next` says what the caller is to do, and is called again when it is done. No
//! callback, no buffer and no thread of its own, so it fits any engine.

mod pc;

pub use pc::{Request, Sampler, SamplerNoise, SamplerOptions, SamplerResult};
