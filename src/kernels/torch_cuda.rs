//! torch's CUDA generator: Philox4x32-10 with a counter for each thread of the launch, and cuRAND's Box–Muller transform. A thread
//! makes four normals at a time, for elements that lie a whole launch apart.

use core::num::NonZeroU64;

use super::cephes::{UNFUSED, ln, sin_cos};
use super::philox::{self, philox4x32_10};
use crate::buf::{GROUP, Out, Pads, Tiles};
use crate::simd::{Kernel, Lanes};

/// Normals that a thread makes of one counter.
pub(crate) const UNROLL: u64 = 4;

/// One call of `randn` on a GPU.
#[derive(Clone, Copy)]
pub(crate) struct Draw {
    pub seed: u64,
    /// The counter of the first pass.
    pub counter: u64,
    /// Threads of the launch.
    pub threads: NonZeroU64,
}

/// The elements of a draw from `start` on.
pub(crate) struct CudaRandn<'a> {
    pub draw: Draw,
    pub start: u64,
    pub out: Out<'a>,
}

impl Kernel for CudaRandn<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { draw, mut start, out } = self;
        let mut done = 0;
        while done < out.len() {
            let rest = out.part(done, out.len());
            // Element `thread + threads·row` is the `row % 4`-th normal of its thread's pass `row / 4`.
            let (row, thread) = (start / draw.threads, start % draw.threads);
            let (pass, normal) = (row / UNROLL, row % UNROLL);
            let threads = usize::try_from(draw.threads.get()).unwrap_or(usize::MAX);
            let whole_pass = threads.checked_mul(UNROLL as usize).filter(|&all| all <= rest.len());
            let count = if let Some(all) = whole_pass.filter(|_| thread == 0 && normal == 0) {
                let rows = [0, 1, 2, 3].map(|row| rest.part(row * threads, threads));
                fill_rows(l, draw, pass, 0, 0, rows);
                all
            } else {
                let row = rest.part(0, usize::try_from(draw.threads.get() - thread).unwrap_or(usize::MAX));
                fill_rows(l, draw, pass, thread, normal, [row]);
                row.len()
            };
            done += count;
            start = start.wrapping_add(count as u64);
        }
    }
}

/// Fills rows of one pass, from a thread on: all four rows, or the `normal`-th by itself.
#[inline(always)]
fn fill_rows<L: Lanes, const ROWS: usize>(
    l: L,
    draw: Draw,
    pass: u64,
    mut thread: u64,
    normal: u64,
    rows: [Out<'_>; ROWS],
) {
    let counter = draw.counter.wrapping_add(pass);
    let mut pads = Pads::new();
    let mut tiles = Tiles::new([], rows, &mut pads);
    while let Some(([], mut outs)) = tiles.next() {
        let words = words(draw.seed, counter, thread);
        for at in (0..GROUP).step_by(L::N) {
            for pair in 0..2 {
                if ROWS == 1 && pair as u64 != normal / 2 {
                    continue;
                }
                let z = box_muller(l, l.load_u(&words[2 * pair], at), l.load_u(&words[2 * pair + 1], at));
                if ROWS == 1 {
                    let [sine, cosine] = z;
                    outs[0].put(at, l.store(if normal.is_multiple_of(2) { sine } else { cosine }));
                } else {
                    for (out, z) in outs.iter_mut().skip(2 * pair).zip(z) {
                        out.put(at, l.store(z));
                    }
                }
            }
        }
        thread = thread.wrapping_add(GROUP as u64);
    }
}

/// The four words of each of [`GROUP`] threads.
#[inline(always)]
fn words(seed: u64, counter: u64, thread: u64) -> [[u32; GROUP]; 4] {
    let mut all = [[0; GROUP]; 4];
    for first in (0..GROUP).step_by(philox::LANES) {
        let mut counters = [counter, counter >> 32, 0, 0].map(|half| [half & 0xffff_ffff; philox::LANES]);
        for lane in 0..philox::LANES {
            let thread = thread.wrapping_add((first + lane) as u64);
            counters[2][lane] = thread & 0xffff_ffff;
            counters[3][lane] = thread >> 32;
        }
        let words = philox4x32_10(counters, seed);
        for (all, words) in all.iter_mut().zip(&words) {
            for (to, &from) in all.iter_mut().skip(first).zip(words) {
                *to = from as u32;
            }
        }
    }
    all
}

/// cuRAND's `_curand_box_muller`: √(−2 ln u) times the sine and the cosine of v, with u in 0..=1 and v in 0..=2π.
#[inline(always)]
fn box_muller<L: Lanes>(l: L, a: L::U, b: L::U) -> [L::F; 2] {
    /// 2⁻³², and 2⁻³²·2π as a product of floats.
    const SCALE: f32 = 1.0 / (1_u64 << 32) as f32;
    const TURN: f32 = SCALE * (2.0 * core::f32::consts::PI);
    let u = to_f32(l, a) * l.splat(SCALE) + l.splat(SCALE / 2.0);
    let v = l.fma(to_f32(l, b), l.splat(TURN), l.splat(TURN / 2.0)); // as the GPU has it
    let radius = l.sqrt(l.splat(-2.0) * ln::<L, UNFUSED>(l, u));
    let (sin, cos) = sin_cos::<L, UNFUSED>(l, v);
    [radius * sin, radius * cos]
}

/// The nearest floats of unsigned integers: both halves are exact, and their sum rounds once.
#[inline(always)]
fn to_f32<L: Lanes>(l: L, x: L::U) -> L::F {
    let high = l.i32_to_f32(l.shr::<16>(x)) * l.splat(65536.0);
    high + l.i32_to_f32(x & l.splat_u(0xffff))
}
