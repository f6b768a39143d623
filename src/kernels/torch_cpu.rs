//! The Box–Muller transform of torch's CPU generator, bit for bit: logarithm, sine and cosine are those of Cephes with fused
//! multiply-adds, as torch's AVX2 code has them.

use super::cephes::{FUSED, ln, sin_cos};
use super::mt19937::{Mt19937, temper};
use crate::buf::{GROUP, Out, Pads, TileMut, Tiles};
use crate::simd::{Kernel, Lanes};

/// Elements that torch transforms together: eight radii with eight angles.
pub(crate) const TORCH_BLOCK: usize = 16;

/// Radii and angles stand in alternating eights.
const EIGHT: usize = TORCH_BLOCK / 2;

/// `randn` for 16 elements and more: uniforms throughout, transformed in blocks of 16. Behind the last whole block torch draws
/// uniforms for the rest, and then sixteen new ones for the last sixteen places.
pub(crate) struct Randn<'a> {
    pub mt: &'a mut Mt19937,
    pub out: Out<'a>,
}

impl Kernel for Randn<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let len = self.out.len();
        let mut rest = len - len % TORCH_BLOCK;
        let mut pads = Pads::new();
        let mut tiles = Tiles::new([], [self.out.part(0, rest)], &mut pads);
        while let Some(([], [mut out])) = tiles.next() {
            let mut words = [0; GROUP];
            self.mt.take(l, words.get_mut(..rest.min(GROUP)).unwrap_or_default());
            temper(&mut words);
            box_muller(l, &words, &mut out);
            rest = rest.saturating_sub(GROUP);
        }
        let tail = len % TORCH_BLOCK;
        if let Some(start) = len.checked_sub(TORCH_BLOCK).filter(|_| tail > 0) {
            let mut words = [0; GROUP];
            self.mt.take(l, words.get_mut(..tail).unwrap_or_default());
            self.mt.take(l, words.get_mut(..TORCH_BLOCK).unwrap_or_default());
            temper(&mut words);
            let mut pads = Pads::new();
            let mut tiles = Tiles::new([], [self.out.part(start, TORCH_BLOCK)], &mut pads);
            while let Some(([], [mut out])) = tiles.next() {
                box_muller(l, &words, &mut out);
            }
        }
    }
}

/// The normals of four blocks of 16 words.
#[inline(always)]
fn box_muller<L: Lanes>(l: L, words: &[u32; GROUP], out: &mut TileMut<'_>) {
    let mut uniforms = [0.0; GROUP]; // 24 bits of each word, in 0..1
    for (to, word) in uniforms.iter_mut().zip(words) {
        *to = (word & 0x00ff_ffff) as i32 as f32 * (1.0 / (1 << 24) as f32);
    }
    for first in (0..GROUP / 2).step_by(L::N) {
        // Radii `first..` stand in eights, each before the eight of its angles.
        let at = first / EIGHT * TORCH_BLOCK + first % EIGHT;
        let behind = at + if L::N > EIGHT { L::N } else { EIGHT };
        let (u1, u2) = l.eights(l.load_at(&uniforms, at), l.load_at(&uniforms, behind));
        let radius = l.sqrt(l.splat(-2.0) * ln::<L, FUSED>(l, l.splat(1.0) - u1));
        let (sin, cos) = sin_cos::<L, FUSED>(l, l.splat(2.0 * core::f32::consts::PI) * u2);
        let (z1, z2) = l.eights(radius * cos, radius * sin);
        out.put(at, l.store(z1));
        out.put(behind, l.store(z2));
    }
}
