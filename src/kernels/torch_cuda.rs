//! torch's CUDA generator: Philox4x32-10 with a counter for each thread of the launch, and cuRAND's Box–Muller transform. A thread
//! makes four normals at a time, for elements that lie a whole launch apart.

use core::f32::consts::PI;
use core::num::NonZeroU32;

use super::normal::{SIGN, minus_2_ln, signed};
use super::philox::{Philox4x32, pack};
use crate::buf::{Out, Pads, Tiles};
use crate::simd::{Kernel, LANES, Lanes, each};

/// Normals that a thread makes of one counter.
pub(crate) const UNROLL: u32 = 4;

/// The longest draw: of a longer one torch makes several, with other counters, since its kernels index bytes in 32 bits.
pub(crate) const LONGEST: u64 = 1 << 29;

/// One call of `randn` on a GPU.
#[derive(Clone, Copy)]
pub(crate) struct Draw {
    pub seed: u64,
    /// The counter of the first pass.
    pub counter: u64,
    /// Threads of the launch: as many as [`LONGEST`] at the most.
    pub threads: NonZeroU32,
}

/// The elements of a draw from `start` on.
pub(crate) struct CudaRandn<'a> {
    pub draw: Draw,
    pub start: u32,
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
            let threads = draw.threads.get() as usize;
            let count = if normal == 0 && thread == 0 && threads.saturating_mul(4) <= rest.len() {
                let rows = [0, 1, 2, 3].map(|row| rest.part(row * threads, threads));
                fill_rows::<L, 0, 2, 4>(l, draw, pass, 0, Wave::Sine, rows);
                4 * threads
            } else {
                let row = rest.part(0, threads - thread as usize);
                let single = if normal.is_multiple_of(2) { Wave::Sine } else { Wave::Cosine };
                if normal < 2 {
                    fill_rows::<L, 0, 1, 1>(l, draw, pass, thread, single, [row]);
                } else {
                    fill_rows::<L, 2, 1, 1>(l, draw, pass, thread, single, [row]);
                }
                row.len()
            };
            done += count;
            start = start.wrapping_add(count as u32);
        }
    }
}

/// Fills rows of one pass, from a thread on: all four, or one, which is the sine or the cosine of words `FIRST` and `FIRST + 1`.
#[inline(always)]
fn fill_rows<L: Lanes, const FIRST: usize, const PAIRS: usize, const OUTS: usize>(
    l: L,
    draw: Draw,
    pass: u32,
    mut thread: u32,
    single: Wave,
    rows: [Out<'_>; OUTS],
) {
    let philox = Philox4x32::new(l, draw.seed);
    let counter = draw.counter.wrapping_add(u64::from(pass));
    // All words of the counters but the third are the same for all threads, which saves much of the first rounds.
    let [low, high] = [l.splat_wide(counter), l.splat_wide(counter >> 32)];
    let counter = [low, high, low, l.splat_wide(0)];
    let mut next = words(l, &philox, counter, thread);
    let mut pads = Pads::new();
    let mut tiles = Tiles::new([], rows, &mut pads);
    while let Some(([], mut outs)) = tiles.next() {
        each!(L, |at, _, _| {
            // The words of the next register are on their way while these become normals: both are long chains.
            let words_now = next;
            thread = thread.wrapping_add(L::N as u32);
            next = words(l, &philox, counter, thread);
            for pair in 0..PAIRS {
                let (r, v) =
                    (radius(l, words_now[FIRST + 2 * pair]), angle(l, words_now[FIRST + 2 * pair + 1]));
                if let [out] = &mut outs[..] {
                    out.put(at, l.store(r * wave(l, v, single)));
                } else {
                    let both = [wave(l, v, Wave::Sine), wave(l, v, Wave::Cosine)];
                    for (out, turned) in outs.iter_mut().skip(2 * pair).zip(both) {
                        out.put(at, l.store(r * turned));
                    }
                }
            }
        });
    }
}

/// The four words of each thread from one on, a lane each.
#[inline(always)]
fn words<L: Lanes>(l: L, philox: &Philox4x32<L>, counter: [L::W; 4], thread: u32) -> [L::U; 4] {
    /// The words of these threads become the low halves of lanes, those of the threads behind them the high halves.
    const EVEN: [u64; LANES / 2] = [0, 2, 4, 6, 8, 10, 12, 14];
    let mut counters = [counter; 2];
    let even = l.splat_wide(u64::from(thread)) + l.wide(&EVEN, 0);
    counters[0][2] = even;
    counters[1][2] = even + l.splat_wide(1);
    let [even, odd] = philox.words(l, counters);
    let mut all = [l.splat_u(0); 4];
    for ((to, even), odd) in all.iter_mut().zip(even).zip(odd) {
        *to = l.halves(pack(l, even, odd));
    }
    all
}

// cuRAND's `_curand_box_muller` makes √(−2 ln u)·sin v and √(−2 ln u)·cos v of two words.

/// √(−2 ln u) of a word, with u = (word + ½)·2⁻³².
#[inline(always)]
fn radius<L: Lanes>(l: L, word: L::U) -> L::F {
    l.sqrt(minus_2_ln(l, l.u32_to_f32(word) * l.splat(2.0) + l.splat(1.0), 33.0))
}

/// The angle v = (word + ½)·2⁻³²·2π of a word, rounded once as on the GPU.
#[inline(always)]
fn angle<L: Lanes>(l: L, word: L::U) -> L::F {
    const TURN: f32 = 2.0 * PI / (1_u64 << 32) as f32;
    l.fma(l.u32_to_f32(word), l.splat(TURN), l.splat(TURN / 2.0))
}

/// π in two parts: 21 bits, of which small multiples are exact, and the rest.
const PI_PARTS: [f32; 2] = [3.14159203, 6.27832947e-07];

/// (sin x − x)/x³ in x², for |x| ≤ π/2 (sollya's fpminimax; the sine is off by 2.3e-8 at most).
const SIN: [f32; 4] = [-0.16666666, 0.0083332295, -0.00019821446, 2.631148e-6];

/// Which function of an angle.
#[derive(Clone, Copy)]
enum Wave {
    Sine,
    Cosine,
}

/// The sine or the cosine of an angle in 0..=2π: up to its sign, the sine of what the angle is from the nearest zero, which lie at k·π or
/// at (k + ½)·π.
#[inline(always)]
fn wave<L: Lanes>(l: L, v: L::F, wave: Wave) -> L::F {
    let (shift, sign) = match wave {
        Wave::Sine => (0.0, 0),
        Wave::Cosine => (0.5, SIGN),
    };
    let k = l.f32_to_i32(v * l.splat(1.0 / PI) + l.splat(0.5 - shift));
    let zero = l.i32_to_f32(k) + l.splat(shift);
    let [a, b] = PI_PARTS;
    signed(l, sin_near_zero(l, v - zero * l.splat(a) - zero * l.splat(b)), l.shl::<31>(k) ^ l.splat_u(sign))
}

/// The sine of an angle within a quarter turn of zero, or a little more.
#[inline(always)]
fn sin_near_zero<L: Lanes>(l: L, x: L::F) -> L::F {
    let z = x * x;
    let [c0, c1, c2, c3] = SIN;
    let p = (l.splat(c0) + l.splat(c1) * z) + (l.splat(c2) + l.splat(c3) * z) * (z * z);
    x + x * z * p
}
