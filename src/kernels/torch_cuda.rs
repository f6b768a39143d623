//! torch's CUDA generator: Philox4x32-10 with a counter for each thread of the launch, and cuRAND's
//! Box–Muller transform with CUDA's own functions. A thread makes four normals at a time, for
//! elements that lie a whole launch apart.

use core::f32::consts::PI;
use core::num::NonZeroU32;

use super::cuda_math::{Wave, minus_2_logf, turns, wave};
use super::philox::{Philox4x32, twice};
use crate::buf::{GROUP, Out, Pads, TileMut, Tiles};
use crate::simd::{Job, Kernel, LANES, Lanes, MAX_PARTS, ROWS, each};

/// Normals that a thread makes of one counter.
pub(crate) const UNROLL: u32 = 4;

/// The longest launch: torch splits a longer draw, since its kernels index bytes in 32 bits.
pub(crate) const LONGEST: u64 = 1 << 29;

/// One launch of `randn` on a GPU.
#[derive(Clone, Copy)]
pub(crate) struct Draw {
    pub seed: u64,
    /// The counter of the first pass.
    pub counter: u64,
    /// Threads of the launch: as many as [`LONGEST`] at the most.
    pub threads: NonZeroU32,
}

/// The elements of a launch from `start` on.
pub(crate) struct CudaRandn<'a> {
    pub draw: Draw,
    pub start: u32,
    pub out: Out<'a>,
}

impl Kernel for CudaRandn<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let Self { draw, start, out } = self;
        let stride = draw.threads.get() as usize;
        let mut launch = Launch::new(l, draw.seed);
        let mut done = 0;
        while done < out.len() {
            let out = out.part(done, out.len());
            // Element `thread + stride·row` is the `row % 4`-th normal of its thread's pass `row /
            // 4`.
            let (row, thread) = (*start / draw.threads, *start % draw.threads);
            let (pass, first) = (u64::from(row / UNROLL), row % UNROLL);
            launch.start(l, draw.counter.wrapping_add(pass), first);
            let count = if first == 0 && thread == 0 {
                // The threads before the last element make a normal more than those behind it.
                let rows = (out.len() / stride).min(UNROLL as usize);
                let more = if rows == UNROLL as usize { 0 } else { out.len() % stride };
                for (rows, from, to) in [(rows + 1, 0, more), (rows, more, stride)] {
                    launch.threads.next = from as u32;
                    launch.fill(l, rows, out.part(from, out.len()), stride, to - from);
                }
                stride * rows + more
            } else {
                let count = out.len().min(stride - thread as usize);
                launch.threads.next = thread;
                launch.fill(l, 1, out, stride, count);
                count
            };
            done += count;
            *start = start.wrapping_add(count as u32);
        }
    }
}

/// Lanes for 64 threads, as [`Group`](crate::simd::Group) has them.
type Tile<T> = [[T; ROWS]; MAX_PARTS];

fn tile<T: Copy>(x: T) -> Tile<T> {
    [[x; ROWS]; MAX_PARTS]
}

/// The threads from one on, in one of their passes.
struct Threads<L: Lanes> {
    philox: Philox4x32<L>,
    /// The words of the counters but for the third. They are the same for all threads, which saves
    /// much of the first rounds.
    counter: [L::W; 3],
    next: u32,
}

/// What is made of threads, 64 of them at a time.
///
/// Words, radii and waves are a loop each over the registers of a tile: a register of any is one
/// long chain of operations, and a machine that sees a few hundred instructions at a time is kept
/// busy by the chains of several.
struct Launch<L: Lanes> {
    threads: Threads<L>,
    /// Which of a thread's normals is the first to be asked for.
    first: u32,
    words: [Tile<L::U>; 4],
}

impl<L: Lanes> Launch<L> {
    #[inline(always)]
    fn new(l: L, seed: u64) -> Self {
        Self {
            threads: Threads { philox: Philox4x32::new(l, seed), counter: [l.splat_wide(0); 3], next: 0 },
            first: 0,
            words: [tile(l.splat_u(0)); 4],
        }
    }

    /// Goes to the pass with this counter.
    #[inline(always)]
    fn start(&mut self, l: L, counter: u64, first: u32) {
        let (low, high) = (twice(l, counter as u32), twice(l, (counter >> 32) as u32));
        self.threads.counter = [low, high, l.splat_wide(0)];
        self.first = first;
    }

    /// Fills so many rows of `count` elements, which begin `stride` elements apart.
    #[inline(always)]
    fn fill(&mut self, l: L, rows: usize, out: Out<'_>, stride: usize, count: usize) {
        let row = |row| out.part(row * stride, count);
        match rows {
            0 => {}
            1 => l.outlined(Rows { launch: self, rows: [row(0)] }),
            2 => l.outlined(Rows { launch: self, rows: [row(0), row(1)] }),
            3 => l.outlined(Rows { launch: self, rows: [row(0), row(1), row(2)] }),
            _ => l.outlined(Rows { launch: self, rows: [row(0), row(1), row(2), row(3)] }),
        }
    }
}

/// Rows from the next thread on, each with a normal of the thread.
struct Rows<'a, L: Lanes, const OUTS: usize> {
    launch: &'a mut Launch<L>,
    rows: [Out<'a>; OUTS],
}

impl<L: Lanes, const OUTS: usize> Job<L> for Rows<'_, L, OUTS> {
    type Output = ();
    #[inline(always)]
    fn run(self, l: L) {
        let Self { launch: Launch { threads, first, words }, rows } = self;
        let mut pads = Pads::new();
        let mut tiles = Tiles::new(&[], &rows, &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some(([], mut outs)) = run.next() {
                // What is made of words that nobody reads is not computed.
                match (*first, OUTS) {
                    (0, 1 | 2) => l.outlined(Words::<L, true, false> { threads, words }),
                    (2.., _) => l.outlined(Words::<L, false, true> { threads, words }),
                    _ => l.outlined(Words::<L, true, true> { threads, words }),
                }
                for (pair, outs) in (*first / 2..).zip(outs.chunks_mut(2)) {
                    let [a, b, c, d] = &*words;
                    let words = if pair == 0 { [a, b] } else { [c, d] };
                    l.outlined(Pair { words, first: *first % 2, outs });
                }
            }
        }
    }
}

/// The words of each of the next 64 threads: the first two, the second two, or all.
struct Words<'a, L: Lanes, const AB: bool, const CD: bool> {
    threads: &'a mut Threads<L>,
    words: &'a mut [Tile<L::U>; 4],
}

impl<L: Lanes, const AB: bool, const CD: bool> Job<L> for Words<'_, L, AB, CD> {
    type Output = ();
    #[inline(always)]
    fn run(self, l: L) {
        const THREADS: [u32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let Self { threads: Threads { philox, counter, next }, words } = self;
        each!(L, |at, part, row| {
            let thread = l.splat_u(next.wrapping_add(at as u32)) + l.load_u(&THREADS, 0);
            for (i, (to, word)) in words.iter_mut().zip(philox.lanes(l, *counter, thread)).enumerate() {
                if [AB, AB, CD, CD][i] {
                    to[part][row] = word;
                }
            }
        });
        *next = next.wrapping_add(GROUP as u32);
    }
}

/// What each two words become: a normal with the sine of their angle, one with the cosine, or both,
/// from the `first` on.
struct Pair<'a, 't, L: Lanes> {
    words: [&'a Tile<L::U>; 2],
    first: u32,
    outs: &'a mut [TileMut<'t>],
}

impl<L: Lanes> Job<L> for Pair<'_, '_, L> {
    type Output = ();
    #[inline(always)]
    fn run(self, l: L) {
        let [a, b] = self.words;
        let (mut radii, mut angles) = (tile(l.splat(0.0)), tile(l.splat_u(0)));
        each!(L, |_, part, row| {
            radii[part][row] = radius(l, a[part][row]);
            angles[part][row] = turns(l, angle(l, b[part][row]));
        });
        for (normal, out) in (self.first..).zip(self.outs) {
            let which = if normal == 0 { Wave::Sine } else { Wave::Cosine };
            each!(L, |at, part, row| {
                // torch adds a mean of zero, which makes −0 a 0.
                out.put(at, l.store(radii[part][row] * wave(l, angles[part][row], which) + l.splat(0.0)));
            });
        }
    }
}

// cuRAND's `_curand_box_muller` makes √(−2 ln u)·sin v and √(−2 ln u)·cos v of two words.

/// √(−2 ln u) of a word, with u = (word + ½)·2⁻³².
#[inline(always)]
fn radius<L: Lanes>(l: L, word: L::U) -> L::F {
    l.sqrt(minus_2_logf::<L, 33>(l, l.u32_to_f32(word) * l.splat(2.0) + l.splat(1.0)))
}

/// The angle v = (word + ½)·2⁻³²·2π of a word, rounded once.
#[inline(always)]
fn angle<L: Lanes>(l: L, word: L::U) -> L::F {
    const TURN: f32 = 2.0 * PI / (1_u64 << 32) as f32;
    l.fma(l.u32_to_f32(word), l.splat(TURN), l.splat(TURN / 2.0))
}
