//! The arithmetic of an adaptive Runge–Kutta step: floats in memory, doubles in registers, one
//! rounding where something is stored. A stage's derivative K is `a·score` in `f32`; the newest one
//! is made of the score as it is read.

use core::mem::MaybeUninit;

use super::Place;
use super::linear::{NONE, each_tile, linear};
use super::norm::{LaneSums, NORM_BLOCK, Sums, TURNS, in_order};
use super::normal::fill_signs;
use crate::buf::{In, NON_TEMPORAL, Out, Pads, Tile, Tiles};
use crate::simd::{Kernel, LANES, Lanes, MAX_PARTS, SimdLevel, dispatch, each, each_stored};

/// The most derivatives that a sum has: coefficients that are zero are left out.
pub(crate) const MOST_SLOPES: usize = 5;

/// The next evaluation's input, `x = y + h·(c₀·k₀ + c₁·k₁ + ...)`, in doubles. The last k is new,
/// `a·score`, and stored.
pub(crate) struct Stage<'a> {
    pub y: In<'a>,
    /// All derivatives but the last, and after them nothing.
    pub slopes: [In<'a>; MOST_SLOPES - 1],
    pub score: In<'a>,
    /// One for each derivative.
    pub coefficients: [f64; MOST_SLOPES],
    pub h: f64,
    pub a: f32,
    pub x: Out<'a>,
    pub k: Out<'a>,
}

/// Runs a stage of so many derivatives.
pub(crate) fn stage(stage: Stage<'_>, count: usize) {
    let Stage { y, slopes, score, coefficients, h, a, x, k } = stage;
    let others = count.saturating_sub(1).min(MOST_SLOPES - 1);
    // What is not there is not read, but it has a length.
    let mut ins = [y; MOST_SLOPES + 1];
    for (to, from) in ins.iter_mut().skip(2).zip(slopes).take(others) {
        *to = from;
    }
    ins[1] = score;
    let last = coefficients.get(others).copied().unwrap_or_default();
    dispatch(StageOf { ins, others, coefficients, last, h, a, outs: [x, k.unread()] });
}

/// [`Stage`]: y, the score and the derivatives in memory, of which so many are there; x and k.
struct StageOf<'a> {
    ins: [In<'a>; MOST_SLOPES + 1],
    others: usize,
    coefficients: [f64; MOST_SLOPES],
    /// The new derivative's.
    last: f64,
    h: f64,
    a: f32,
    outs: [Out<'a>; 2],
}

impl Kernel for StageOf<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let (last, h, a) = (l.splat_d(self.last), l.splat_d(self.h), l.splat(self.a));
        let coefficients = self.coefficients.get(..self.others).unwrap_or_default();
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, &self.ins, &self.outs, &mut pads);
        each_tile!(L, non_temporal if false, tiles, |FIRST, ins, mut outs| each_stored!(l: L, outs, non_temporal FIRST, |at, _, _| {
            let [y, score, slopes @ ..] = &ins;
            let k = a * l.load(score.get(at));
            // A loop, whose coefficients are not all in registers: a kernel for each number of them
            // is no faster beyond the nearest cache, and is five times as large. −0 changes no sum.
            let mut sum = l.splat_d(-0.0);
            for (&c, slope) in coefficients.iter().zip(slopes) {
                sum = sum + l.splat_d(c) * l.widen(l.load(slope.get(at)));
            }
            sum = sum + last * l.widen(k);
            [l.narrow(l.widen(l.load(y.get(at))) + h * sum), k]
        }));
    }
    // As the other kernels here: in memory, and in doubles, wider registers gain little.
    const HIGHEST: SimdLevel = SimdLevel::Avx2;
}

/// How a reduction has the newest derivative: `a·score`, or `a·((held + score)·½)` where a score
/// is held.
#[derive(Clone, Copy)]
pub(crate) struct Newest<'a> {
    pub a: f32,
    pub score: In<'a>,
    pub held: Option<In<'a>>,
}

/// Where the error of a component is measured: over `atol + rtol·max(|y|, ...)`.
#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    pub rtol: f64,
    pub atol: f64,
}

/// An embedded pair's error: the derivatives that count, the newest being the last, with their
/// factors in the error and, but for it, in the step.
#[derive(Clone, Copy)]
pub(crate) struct Errors<'a> {
    pub y: In<'a>,
    /// The step's result, which is read where no score is held, and else made anew.
    pub x: In<'a>,
    pub slopes: [In<'a>; MOST_SLOPES],
    pub error: [f64; MOST_SLOPES + 1],
    pub step: [f64; MOST_SLOPES],
    pub h: f64,
}

/// The block sums of (y/scale)² and (K/scale)².
pub(crate) fn first_norms(
    y: In<'_>,
    newest: Newest<'_>,
    tolerance: Tolerance,
    sink: &mut dyn FnMut([f64; 2]),
) {
    let of = |newest| Sum { y, x: Some(y), slopes: [y; MOST_SLOPES], factors: LAST, newest, ..NO_SUM };
    let sums = [of(Newest { a: 1.0, score: y, held: None }), of(newest)];
    each_block(y.len(), &mut |start| sink(sums.map(|sum| sum.of_block(start, tolerance))));
}

/// The block sums of ((K − k)/scale)².
pub(crate) fn second_norm(
    y: In<'_>,
    k: In<'_>,
    newest: Newest<'_>,
    tolerance: Tolerance,
    sink: &mut dyn FnMut([f64; 2]),
) {
    let mut factors = LAST;
    factors[0] = -1.0;
    let sum = Sum { y, x: Some(y), slopes: [k, y, y, y, y], factors, newest, ..NO_SUM };
    each_block(y.len(), &mut |start| sink([sum.of_block(start, tolerance), 0.0]));
}

/// The block sums of (err/scale)².
pub(crate) fn error_norm(
    errors: &Errors<'_>,
    newest: Newest<'_>,
    tolerance: Tolerance,
    sink: &mut dyn FnMut([f64; 2]),
) {
    let &Errors { y, x, slopes, error: factors, step, h } = errors;
    let x = newest.held.is_none().then_some(x);
    let sum = Sum { y, x, slopes, factors, newest, step, h };
    each_block(y.len(), &mut |start| sink([sum.of_block(start, tolerance), 0.0]));
}

/// The block sums of x·y, whose products are exact.
pub(crate) fn dot(x: In<'_>, y: In<'_>, sink: &mut dyn FnMut([f64; 2])) {
    each_block(x.len(), &mut |start| {
        let mut lanes = LANE_SUMS;
        let ins = [x, y].map(|x| x.part(start, NORM_BLOCK));
        dispatch(BlockSum { ins, values: Dot, lanes: &mut lanes });
        sink([in_order(&lanes, 0), 0.0]);
    });
}

/// The block sums of x·s, with s = ±1 the signs of counter noise: as [`dot`] has them of the same
/// signs in memory.
pub(crate) fn dot_signs(x: In<'_>, place: Place, sink: &mut dyn FnMut([f64; 2])) {
    let mut signs = [const { MaybeUninit::uninit() }; PART];
    let signs = Out::from(&mut signs);
    each_block(x.len(), &mut |start| {
        let mut lanes = LANE_SUMS;
        let block = x.part(start, NORM_BLOCK);
        for at in (0..block.len()).step_by(PART) {
            let x = block.part(at, PART);
            let signs = signs.part(0, x.len());
            fill_signs(place.skip(start).skip(at), &signs);
            dispatch(BlockSum { ins: [x, signs.as_in()], values: Dot, lanes: &mut lanes });
        }
        sink([in_order(&lanes, 0), 0.0]);
    });
}

/// Tells where each [`NORM_BLOCK`] of so many elements begins.
fn each_block(len: usize, block: &mut dyn FnMut(usize)) {
    (0..len).step_by(NORM_BLOCK).for_each(block);
}

/// Floats of a part of a block for which something waits on the stack: a multiple of the lanes.
const PART: usize = 512;

const LANE_SUMS: LaneSums = [0.0; TURNS * LANES];

/// The newest derivative alone.
const LAST: [f64; MOST_SLOPES + 1] = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

/// What is squared and summed: h·(f₀·k₀ + ... + f₅·K) over a scale, with m = max(|y|, |x|). A
/// factor of 0 changes at most the sign of a zero, which a square has not.
#[derive(Clone, Copy)]
struct Sum<'a> {
    y: In<'a>,
    /// If there is none, it is y + h·(c₀·k₀ + ...), rounded.
    x: Option<In<'a>>,
    slopes: [In<'a>; MOST_SLOPES],
    factors: [f64; MOST_SLOPES + 1],
    newest: Newest<'a>,
    step: [f64; MOST_SLOPES],
    h: f64,
}

const NO_SUM: Sum<'static> = Sum {
    y: In::NONE,
    x: None,
    slopes: [In::NONE; MOST_SLOPES],
    factors: LAST,
    newest: Newest { a: 1.0, score: In::NONE, held: None },
    step: [0.0; MOST_SLOPES],
    h: 1.0,
};

impl Sum<'_> {
    /// The sum of the block that begins there.
    fn of_block(&self, start: usize, tolerance: Tolerance) -> f64 {
        let mut lanes = LANE_SUMS;
        match (self.x, self.newest) {
            (Some(x), Newest { a, score, held: None }) => {
                self.add(
                    start,
                    NORM_BLOCK,
                    [x, score].map(|x| x.part(start, NORM_BLOCK)),
                    a,
                    tolerance,
                    &mut lanes,
                );
            }
            _ => self.add_parts(start, tolerance, &mut lanes),
        }
        in_order(&lanes, 0)
    }

    /// The same where something of it is not in memory.
    #[inline(never)]
    fn add_parts(&self, start: usize, tolerance: Tolerance, lanes: &mut LaneSums) {
        let Self { y, x, slopes, newest: Newest { a, score, held }, step, h, .. } = *self;
        let mut memory = [const { [const { MaybeUninit::uninit() }; PART] }; 2];
        let [x_made, k] = memory.each_mut().map(Out::from);
        let block = y.part(start, NORM_BLOCK).len();
        for start in (start..start + block).step_by(PART) {
            let len = PART.min(y.len() - start);
            let (x_made, k) = (x_made.part(0, len), k.part(0, len));
            let x = match x {
                Some(x) => x.part(start, len),
                None => {
                    let [others @ .., last] = slopes.map(|k| k.part(start, len));
                    let (x, k) = (x_made.again(), k.again());
                    stage(
                        Stage {
                            y: y.part(start, len),
                            slopes: others,
                            score: last,
                            coefficients: step,
                            h,
                            a: 1.0,
                            x,
                            k,
                        },
                        MOST_SLOPES,
                    );
                    x_made.as_in()
                }
            };
            if let Some(held) = held {
                linear(&[(1.0, held.part(start, len)), (1.0, score.part(start, len))], None, &k, None, None);
                linear(&[(0.5, k.as_in())], None, &k, None, None);
            } else {
                linear(&[(1.0, score.part(start, len))], None, &k, None, None);
            }
            self.add(start, len, [x, k.as_in()], a, tolerance, lanes);
        }
    }

    /// Adds the squares of a part, of which x and the score are given.
    fn add(
        &self,
        start: usize,
        len: usize,
        [x, score]: [In<'_>; 2],
        a: f32,
        tolerance: Tolerance,
        lanes: &mut LaneSums,
    ) {
        let [p, q, r, s, t] = self.slopes.map(|k| k.part(start, len));
        let ins = [self.y.part(start, len), x, score, p, q, r, s, t];
        let values = Squares { a, tolerance, factors: self.factors, h: self.h };
        dispatch(BlockSum { ins, values, lanes });
    }
}

/// What a reduction adds up.
trait Values<const I: usize> {
    /// The values at a place of the tiles.
    fn at<L: Lanes>(&self, l: L, ins: &[Tile<'_>; I], at: usize) -> L::D;
}

/// Adds some values, at most [`NORM_BLOCK`] of them, to lanes, in the order of
/// [`SumSquares`](super::norm::SumSquares).
struct BlockSum<'a, 's, V: Values<I>, const I: usize> {
    ins: [In<'a>; I],
    values: V,
    lanes: &'s mut LaneSums,
}

impl<V: Values<I>, const I: usize> Kernel for BlockSum<'_, '_, V, I> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let mut sums: Sums<L> = [[l.zero_d(); MAX_PARTS]; TURNS];
        for (sums, lanes) in sums.iter_mut().zip(self.lanes.as_chunks::<LANES>().0) {
            for (sum, lanes) in sums.iter_mut().zip(lanes.chunks(L::N)) {
                *sum = l.load_d(lanes);
            }
        }
        let mut pads = Pads::new();
        let mut tiles = Tiles::new(&self.ins, &[], &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some((ins, [])) = run.next() {
                each!(L, |at, part, row| {
                    let sum = &mut sums[row % TURNS][part];
                    *sum = *sum + self.values.at(l, &ins, at);
                });
            }
        }
        for (sums, lanes) in sums.iter().zip(self.lanes.as_chunks_mut::<LANES>().0) {
            for (&sum, lanes) in sums.iter().zip(lanes.chunks_mut(L::N)) {
                l.store_d(lanes, sum);
            }
        }
    }
    const HIGHEST: SimdLevel = SimdLevel::Avx2;
}

/// [`Sum`] of y, x, the score and the other derivatives.
struct Squares {
    a: f32,
    tolerance: Tolerance,
    factors: [f64; MOST_SLOPES + 1],
    h: f64,
}

impl Values<8> for Squares {
    #[inline(always)]
    fn at<L: Lanes>(&self, l: L, ins: &[Tile<'_>; 8], at: usize) -> L::D {
        let [y, x, score, slopes @ ..] = ins.map(|x| l.load(x.get(at)));
        let [k0, k1, k2, k3, k4] = slopes.map(|k| l.widen(k));
        let k = l.widen(l.splat(self.a) * score);
        let [f0, f1, f2, f3, f4, f5] = self.factors.map(|f| l.splat_d(f));
        let sum = ((((f0 * k0 + f1 * k1) + f2 * k2) + f3 * k3) + f4 * k4) + f5 * k;
        let m = l.max_d(l.abs_d(l.widen(y)), l.abs_d(l.widen(x)));
        // Not 0, where an error of 0 would not be a number, as behind the end of a buffer.
        let Tolerance { rtol, atol } = self.tolerance;
        let scale = l.max_d(l.splat_d(f64::MIN_POSITIVE), l.splat_d(atol) + l.splat_d(rtol) * m);
        // NaN where the scale is not finite.
        let x = (l.splat_d(self.h) * sum) / scale + scale * l.splat_d(0.0);
        x * x
    }
}

/// [`dot`].
struct Dot;

impl Values<2> for Dot {
    #[inline(always)]
    fn at<L: Lanes>(&self, l: L, ins: &[Tile<'_>; 2], at: usize) -> L::D {
        let [x, y] = ins.map(|x| l.widen(l.load(x.get(at))));
        x * y
    }
}

const _: () = assert!(NORM_BLOCK.is_multiple_of(PART) && PART.is_multiple_of(TURNS * LANES));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::on_every_level;

    const TOLERANCE: Tolerance = Tolerance { rtol: 1e-3, atol: 1e-5 };
    const A: f32 = -1.7;
    const H: f64 = -0.37;
    const ERROR: [f64; 6] = [0.1, -0.2, 0.3, -0.4, 0.5, 0.6];
    const STEP: [f64; 5] = [0.7, -0.3, 0.9, 1.1, -0.6];

    /// Floats of all magnitudes from 2⁻¹⁶ to 2¹⁶, so that every sum rounds.
    fn floats(which: u32, len: usize) -> Vec<f32> {
        let mut state = which.wrapping_mul(0x9e37_79b9) | 1;
        let next = || {
            state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x1234_5677);
            let bits = state ^ (state >> 15);
            f32::from_bits((bits & 0x807f_ffff) | (0x6f + (bits >> 24 & 31)) << 23)
        };
        core::iter::repeat_with(next).take(len).collect()
    }

    /// The block sums as they are defined: lane i mod 32, then the lanes in order.
    fn blocks(len: usize, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let block = |start: usize| {
            let mut lanes = [0.0; 32];
            for i in start..len.min(start + NORM_BLOCK) {
                lanes[i % 32] += value(i);
            }
            lanes.iter().fold(0.0, |sum, lane| sum + lane)
        };
        (0..len).step_by(NORM_BLOCK).map(block).collect()
    }

    fn collect(run: impl FnOnce(&mut dyn FnMut([f64; 2]))) -> [Vec<f64>; 2] {
        let (mut first, mut second) = (vec![], vec![]);
        run(&mut |[x, y]| {
            first.push(x);
            second.push(y);
        });
        [first, second]
    }

    fn lengths() -> impl Iterator<Item = usize> {
        [1, 31, 63, 64, 65, 1000, NORM_BLOCK - 1, NORM_BLOCK, NORM_BLOCK + 1, 2 * NORM_BLOCK + 77].into_iter()
    }

    /// (x/scale)².
    fn square(x: f64, m: f32) -> f64 {
        let x = x / (TOLERANCE.atol + TOLERANCE.rtol * f64::from(m));
        x * x
    }

    /// `y + h·Σ c·k` of scalars.
    fn combine(y: f32, h: f64, terms: &[(f64, f32)]) -> f32 {
        let sum = terms.iter().map(|&(c, k)| c * f64::from(k)).reduce(|sum, term| sum + term);
        (f64::from(y) + h * sum.unwrap()) as f32
    }

    #[test]
    fn reductions_are_in_order() {
        on_every_level(|level| {
            for len in lengths() {
                let b: Vec<Vec<f32>> = (0..9).map(|which| floats(which, len)).collect();
                let view = |which: usize| In::from(&b[which]);
                let (y, x, score, held) = (&b[0], &b[1], &b[2], &b[8]);
                for is_held in [false, true] {
                    let newest = Newest { a: A, score: view(2), held: is_held.then(|| view(8)) };
                    let k = |i: usize| A * if is_held { (held[i] + score[i]) * 0.5 } else { score[i] };
                    let got = collect(|sink| first_norms(view(0), newest, TOLERANCE, sink));
                    let of_y = blocks(len, |i| square(y[i].into(), y[i].abs()));
                    let of_k = blocks(len, |i| square(k(i).into(), y[i].abs()));
                    assert_eq!(got, [of_y, of_k], "{level:?} {len}");

                    let [got, _] = collect(|sink| second_norm(view(0), view(3), newest, TOLERANCE, sink));
                    let change = |i: usize| f64::from(k(i)) - f64::from(b[3][i]);
                    assert_eq!(got, blocks(len, |i| square(change(i), y[i].abs())), "{level:?} {len}");

                    let slopes = [3, 4, 5, 6, 7].map(view);
                    let errors = Errors { y: view(0), x: view(1), slopes, error: ERROR, step: STEP, h: H };
                    let [got, _] = collect(|sink| error_norm(&errors, newest, TOLERANCE, sink));
                    let want = blocks(len, |i| {
                        let ks = [3, 4, 5, 6, 7].map(|which| b[which][i]);
                        let error = ERROR.iter().zip(ks.into_iter().chain([k(i)]));
                        let error = error.map(|(e, k)| e * f64::from(k)).reduce(|sum, term| sum + term);
                        let terms = core::array::from_fn::<_, 5, _>(|m| (STEP[m], ks[m]));
                        let x = if is_held { combine(y[i], H, &terms) } else { x[i] };
                        square(H * error.unwrap(), y[i].abs().max(x.abs()))
                    });
                    assert_eq!(got, want, "{level:?} {len} {is_held}");
                }
            }
        });
    }

    #[test]
    fn dots_with_signs_are_those_with_the_same_in_memory() {
        on_every_level(|level| {
            for len in lengths() {
                for index in [0, 1, 50, 63, 1000, 1024] {
                    let place = Place { seed: 1, stream: 2, index };
                    let (x, mut z, mut signs) = (floats(1, len), vec![0.0; len], vec![0.0; len]);
                    let out = Out::from(&mut z[..]);
                    dispatch(crate::kernels::normal::Fill { place, out });
                    signs.iter_mut().zip(&z).for_each(|(sign, z)| *sign = 1_f32.copysign(*z));
                    let [want, _] = collect(|sink| dot(In::from(&x), In::from(&signs), sink));
                    assert_eq!(want, blocks(len, |i| f64::from(x[i]) * f64::from(signs[i])));
                    let x = In::from(&x);
                    let [got, _] = collect(|sink| dot_signs(x, place, sink));
                    assert_eq!(got, want, "{level:?} {len} {index}");
                }
            }
        });
    }

    #[test]
    fn stages_round_where_they_store() {
        on_every_level(|level| {
            for (len, count, offset) in lengths()
                .flat_map(|len| (1..=MOST_SLOPES).map(move |count| (len, count)))
                .flat_map(|(len, count)| [0, 3].map(|offset| (len, count, offset)))
            {
                let b: Vec<Vec<f32>> = (0..7).map(|which| floats(which, len)).collect();
                let (mut x, mut k) = (vec![0.0; len + offset], vec![0.0; len]);
                stage(
                    Stage {
                        y: In::from(&b[0]),
                        slopes: [1, 2, 3, 4].map(|which| In::from(&b[which])),
                        score: In::from(&b[5]),
                        coefficients: STEP,
                        h: H,
                        a: A,
                        x: Out::from(&mut x[offset..]),
                        k: Out::from(&mut k[..]),
                    },
                    count,
                );
                for i in 0..len {
                    let slope = |m: usize| if m + 1 == count { A * b[5][i] } else { b[m + 1][i] };
                    let terms: Vec<_> = (0..count).map(|m| (STEP[m], slope(m))).collect();
                    let want = [combine(b[0][i], H, &terms), A * b[5][i]];
                    assert_eq!([x[offset + i], k[i]], want, "{level:?} {len} {count} {i}");
                }
            }
        });
    }
}
