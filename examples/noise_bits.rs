//! Counter noise as random bits on standard output, for a battery of tests that wants bits: `cargo
//! run --release --example noise_bits | dieharder -a -g 200 -k 2`. Each normal is turned back into
//! the uniform that it stands for, u = Φ(z) in `f64`. The top 16 bits of u are written: the 24 bits
//! of an `f32` resolve no more. An argument `streams` or `seeds` takes the first 64 elements of
//! each stream or each seed instead of one long stream.

use std::env;
use std::f64::consts::FRAC_1_SQRT_2;
use std::io::{self, ErrorKind, Write};

use vesde::Counter;

const GROUP: usize = 64;

/// The top 16 bits of Φ(z).
fn bits(z: f32) -> [u8; 2] {
    // Φ(−|z|) is the tail that erfc resolves; the other half mirrors it, as !bits.
    let tail = (libm::erfc(f64::from(z.abs()) * FRAC_1_SQRT_2) * 0.5 * 65536.0) as u16;
    let tail = tail.min(0x7fff); // z = ±0, whose tail is one half exactly
    if z.is_sign_negative() { tail } else { !tail }.to_le_bytes()
}

/// The `chunk`-th 64 elements of the sequence.
fn place(mode: Option<&str>, chunk: u64) -> Counter {
    match mode {
        None => Counter::new(1, 0).at(chunk * GROUP as u64),
        Some("streams") => Counter::new(1, chunk),
        Some("seeds") => Counter::new(chunk, 0),
        Some(_) => panic!("the argument is `streams`, `seeds`, or none"),
    }
}

fn main() -> io::Result<()> {
    let mode = env::args().nth(1);
    let mode = mode.as_deref();
    // One long stream comes faster in long pieces.
    let groups = if mode.is_none() { 1024 } else { 1 };
    let mut z = vec![0.0; groups * GROUP];
    let mut bytes = vec![];
    let mut out = io::stdout().lock();
    for chunk in (0..).step_by(groups) {
        place(mode, chunk).fill(&mut z[..]).expect("a stream that does not end");
        bytes.extend(z.iter().flat_map(|&z| bits(z)));
        if bytes.len() < 1 << 16 {
            continue;
        }
        match out.write_all(&bytes) {
            // the reader has enough
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        bytes.clear();
    }
    Ok(())
}
