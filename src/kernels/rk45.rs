//! The arithmetic of an adaptive Runge–Kutta step: floats in memory, doubles in registers, one
//! rounding where something is stored. A stage's derivative K is `a·score` in `f32`; the newest one
//! is made of the score on the way.

use super::Place;
use super::norm::{NORM_BLOCK, Sums, TURNS, add_up};
use super::normal::{CounterGroups, SIGN};
use crate::buf::{GROUP, In, NON_TEMPORAL, Out, Pads, Tile, Tiles};
use crate::kernels::linear::{NONE, each_tile};
use crate::simd::{Kernel, Lanes, MAX_PARTS, SimdLevel, dispatch, each, each_stored};

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
    let Stage { y, slopes: [p, q, r, s], score, coefficients, h, a, x, k } = stage;
    let held = count.clamp(1, MOST_SLOPES) - 1;
    let newest = coefficients.get(held).copied().unwrap_or_default();
    // What is not looked at is y once more.
    let slopes = [(0, p), (1, q), (2, r), (3, s)].map(|(i, slope)| if i < held { slope } else { y });
    dispatch(StageOf { y, score, slopes, held, coefficients, newest, h, a, outs: [x, k.unread()] });
}

/// [`Stage`] of so many derivatives that are held, and the newest one. One kernel for all numbers:
/// one for each, with its loop unrolled, would take five times the room.
struct StageOf<'a> {
    y: In<'a>,
    score: In<'a>,
    slopes: [In<'a>; MOST_SLOPES - 1],
    held: usize,
    coefficients: [f64; MOST_SLOPES],
    newest: f64,
    h: f64,
    a: f32,
    outs: [Out<'a>; 2],
}

impl Kernel for StageOf<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (c, newest) = (self.coefficients.map(|c| l.splat_d(c)), l.splat_d(self.newest));
        let (h, a, held) = (l.splat_d(self.h), l.splat(self.a), self.held);
        let [p, q, r, s] = self.slopes;
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, [self.y, self.score, p, q, r, s], self.outs, &mut pads);
        each_tile!(L, non_temporal if false, tiles, |FIRST, [y, score, p, q, r, s], mut outs| each_stored!(l: L, outs, non_temporal FIRST, |at, _, _| {
            let k = a * l.load(score.get(at));
            let mut sum = newest * l.widen(k);
            if held > 0 {
                let mut before = c[0] * l.widen(l.load(p.get(at)));
                if held > 1 {
                    before = before + c[1] * l.widen(l.load(q.get(at)));
                }
                if held > 2 {
                    before = before + c[2] * l.widen(l.load(r.get(at)));
                }
                if held > 3 {
                    before = before + c[3] * l.widen(l.load(s.get(at)));
                }
                sum = before + sum;
            }
            [l.narrow(l.widen(l.load(y.get(at))) + h * sum), k]
        }));
    }
    // As the other kernels here: in memory, and in doubles, wider registers gain little.
    const HIGHEST: SimdLevel = SimdLevel::Avx2;
}

/// An accepted step and the next one's first stage: `y = x`, `k = a·score`, `x = y + h·(c·k)`.
pub(crate) struct Accept<'a> {
    pub score: In<'a>,
    pub c: f64,
    pub h: f64,
    pub a: f32,
    pub x: Out<'a>,
    pub y: Out<'a>,
    pub k: Out<'a>,
}

impl Kernel for Accept<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (c, h, a) = (l.splat_d(self.c), l.splat_d(self.h), l.splat(self.a));
        let ins = [self.x.as_in(), self.score];
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, ins, [self.x, self.y.unread(), self.k.unread()], &mut pads);
        each_tile!(L, non_temporal if false, tiles, |FIRST, [x, score], mut outs| each_stored!(l: L, outs, non_temporal FIRST, |at, _, _| {
            let y = l.load(x.get(at));
            let k = a * l.load(score.get(at));
            [l.narrow(l.widen(y) + h * (c * l.widen(k))), y, k]
        }));
    }
    const HIGHEST: SimdLevel = SimdLevel::Avx2;
}

/// How a reduction has the newest derivative: `a·score`, or `a·((held + score)·½)` where a score
/// is held. Half the sum of a score with itself is the score, unless it is beyond 1.7e38: where
/// time does not matter, once a job, that is how it is had without one.
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

/// The block sums of (y/scale)² and (K/scale)².
pub(crate) fn first_norms(
    y: In<'_>,
    newest: Newest<'_>,
    tolerance: Tolerance,
    sink: &mut dyn FnMut([f64; 2]),
) {
    let Newest { a, score, held } = newest;
    let (ins, values) = ([y, score, held.unwrap_or(score)], FirstNorms { a, tolerance });
    dispatch(BlockSums { ins, values, sink });
}

/// The block sums of ((K − k)/scale)².
pub(crate) fn second_norm(
    y: In<'_>,
    k: In<'_>,
    newest: Newest<'_>,
    tolerance: Tolerance,
    sink: &mut dyn FnMut([f64; 2]),
) {
    let Newest { a, score, held } = newest;
    let (ins, values) = ([y, k, score, held.unwrap_or(score)], SecondNorm { a, tolerance });
    dispatch(BlockSums { ins, values, sink });
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

/// The block sums of (err/scale)².
pub(crate) fn error_norm(
    errors: &Errors<'_>,
    newest: Newest<'_>,
    tolerance: Tolerance,
    sink: &mut dyn FnMut([f64; 2]),
) {
    let &Errors { y, x, slopes: [p, q, r, s, t], error, step, h } = errors;
    let Newest { a, score, held } = newest;
    match held {
        None => {
            let values = ErrorNorm::<false> { a, tolerance, error, step, h };
            dispatch(BlockSums { ins: [y, x, score, p, q, r, s, t], values, sink });
        }
        Some(held) => {
            let values = ErrorNorm::<true> { a, tolerance, error, step, h };
            dispatch(BlockSums { ins: [y, held, score, p, q, r, s, t], values, sink });
        }
    }
}

/// The block sums of x·y, whose products are exact.
pub(crate) fn dot(x: In<'_>, y: In<'_>, sink: &mut dyn FnMut([f64; 2])) {
    dispatch(BlockSums { ins: [x, y], values: Dot, sink });
}

/// What a reduction adds up: one value an element, or two.
trait Values<const I: usize> {
    /// How many.
    const COUNT: usize;
    /// Beyond the baseline for what every step takes.
    const HIGHEST: SimdLevel = SimdLevel::Baseline;
    /// The values at a place of the tiles.
    fn at<L: Lanes>(&self, l: L, ins: &[Tile<'_>; I], at: usize) -> [L::D; 2];
}

/// The sums of some values over each [`NORM_BLOCK`] elements, handed to `sink` in order. The order
/// within a block is that of [`SumSquares`](super::norm::SumSquares).
struct BlockSums<'a, V: Values<I>, const I: usize> {
    ins: [In<'a>; I],
    values: V,
    sink: &'a mut dyn FnMut([f64; 2]),
}

impl<V: Values<I>, const I: usize> Kernel for BlockSums<'_, V, I> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let len = self.ins.first().map_or(0, |x| x.len());
        let zero: Sums<L> = [[l.zero_d(); MAX_PARTS]; TURNS];
        let mut start = 0;
        while start < len {
            let (mut first, mut second) = (zero, zero);
            let mut pads = Pads::new();
            let mut tiles = Tiles::new(self.ins.map(|x| x.part(start, NORM_BLOCK)), [], &mut pads);
            while let Some(mut run) = tiles.run() {
                while let Some((ins, [])) = run.next() {
                    each!(L, |at, part, row| {
                        let [x, y] = self.values.at(l, &ins, at);
                        let sum = &mut first[row % TURNS][part];
                        *sum = *sum + x;
                        if V::COUNT == 2 {
                            let sum = &mut second[row % TURNS][part];
                            *sum = *sum + y;
                        }
                    });
                }
            }
            let second = if V::COUNT == 2 { add_up(l, &second, 0) } else { 0.0 };
            (self.sink)([add_up(l, &first, 0), second]);
            start += NORM_BLOCK;
        }
    }
    const HIGHEST: SimdLevel = V::HIGHEST;
}

/// What a component's error may be: `atol + rtol·m`. Not 0, where an error of 0 would not be a
/// number, as behind the end of a buffer.
#[inline(always)]
fn scale<L: Lanes>(l: L, tolerance: Tolerance, m: L::D) -> L::D {
    let scale = l.splat_d(tolerance.atol) + l.splat_d(tolerance.rtol) * m;
    l.max_d(l.splat_d(f64::MIN_POSITIVE), scale)
}

/// (x/scale)², and NaN where the scale is not finite.
#[inline(always)]
fn square<L: Lanes>(l: L, x: L::D, scale: L::D) -> L::D {
    let x = x / scale + scale * l.splat_d(0.0);
    x * x
}

/// The newest derivative, from the score and the held one, if there is one.
#[inline(always)]
fn newest<L: Lanes>(l: L, a: f32, score: L::F, held: Option<L::F>) -> L::D {
    let score = match held {
        Some(held) => (held + score) * l.splat(0.5),
        None => score,
    };
    l.widen(l.splat(a) * score)
}

/// [`first_norms`] of y, the score and the held one.
struct FirstNorms {
    a: f32,
    tolerance: Tolerance,
}

impl Values<3> for FirstNorms {
    const COUNT: usize = 2;
    #[inline(always)]
    fn at<L: Lanes>(&self, l: L, ins: &[Tile<'_>; 3], at: usize) -> [L::D; 2] {
        let [y, score, held] = ins.map(|x| l.load(x.get(at)));
        let (y, k) = (l.widen(y), newest(l, self.a, score, Some(held)));
        let scale = scale(l, self.tolerance, l.abs_d(y));
        [square(l, y, scale), square(l, k, scale)]
    }
}

/// [`second_norm`] of y, k, the score and the held one.
struct SecondNorm {
    a: f32,
    tolerance: Tolerance,
}

impl Values<4> for SecondNorm {
    const COUNT: usize = 1;
    #[inline(always)]
    fn at<L: Lanes>(&self, l: L, ins: &[Tile<'_>; 4], at: usize) -> [L::D; 2] {
        let [y, k, score, held] = ins.map(|x| l.load(x.get(at)));
        // Subtracted in doubles: to change the sign is exact.
        let change = newest(l, self.a, score, Some(held)) + l.widen(k) * l.splat_d(-1.0);
        [square(l, change, scale(l, self.tolerance, l.abs_d(l.widen(y)))); 2]
    }
}

/// [`error_norm`] of y, x or a held score, the score, and the other derivatives.
struct ErrorNorm<const HELD: bool> {
    a: f32,
    tolerance: Tolerance,
    error: [f64; MOST_SLOPES + 1],
    step: [f64; MOST_SLOPES],
    h: f64,
}

impl<const HELD: bool> Values<8> for ErrorNorm<HELD> {
    const COUNT: usize = 1;
    const HIGHEST: SimdLevel = if HELD { SimdLevel::Baseline } else { SimdLevel::Avx2 };
    #[inline(always)]
    fn at<L: Lanes>(&self, l: L, ins: &[Tile<'_>; 8], at: usize) -> [L::D; 2] {
        let [y, x, score, slopes @ ..] = ins.map(|x| l.load(x.get(at)));
        let (y, slopes, h) = (l.widen(y), slopes.map(|k| l.widen(k)), l.splat_d(self.h));
        let k = newest(l, self.a, score, HELD.then_some(x));
        let [e0, e1, e2, e3, e4, e5] = self.error.map(|c| l.splat_d(c));
        let [k0, k1, k2, k3, k4] = slopes;
        let error = h * (((((e0 * k0 + e1 * k1) + e2 * k2) + e3 * k3) + e4 * k4) + e5 * k);
        let x = if HELD {
            let [c0, c1, c2, c3, c4] = self.step.map(|c| l.splat_d(c));
            let sum = (((c0 * k0 + c1 * k1) + c2 * k2) + c3 * k3) + c4 * k4;
            l.widen(l.narrow(y + h * sum))
        } else {
            l.widen(x)
        };
        [square(l, error, scale(l, self.tolerance, l.max_d(l.abs_d(y), l.abs_d(x)))); 2]
    }
}

/// [`dot`].
struct Dot;

impl Values<2> for Dot {
    const COUNT: usize = 1;
    const HIGHEST: SimdLevel = SimdLevel::Avx2;
    #[inline(always)]
    fn at<L: Lanes>(&self, l: L, ins: &[Tile<'_>; 2], at: usize) -> [L::D; 2] {
        let [x, y] = ins.map(|x| l.widen(l.load(x.get(at))));
        [x * y; 2]
    }
}

/// The block sums of x·s, with s = ±1 the signs of counter noise: as [`dot`] has them of the same
/// signs in memory.
pub(crate) struct DotSigns<'a> {
    pub x: In<'a>,
    pub place: Place,
    pub sink: &'a mut dyn FnMut([f64; 2]),
}

impl Kernel for DotSigns<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let sign = l.splat_u(SIGN);
        let mut start = 0;
        while start < self.x.len() {
            let (x, place) = (self.x.part(start, NORM_BLOCK), self.place.skip(start));
            let offset = place.offset_in_group();
            let mut sums: Sums<L> = [[l.zero_d(); MAX_PARTS]; TURNS];
            let mut noise = CounterGroups::new(l, place);
            let mut pads = Pads::new();
            let mut tiles = Tiles::overhanging(offset, [x], [], &mut pads);
            while let Some(mut run) = tiles.run() {
                while !run.is_done() {
                    let mut block = noise.block(l);
                    while block.left > 0
                        && let Some(([x], [])) = run.next()
                    {
                        let z = block.next(l);
                        each!(L, |at, part, row| {
                            let x = l.bits(l.load(x.get(at))) ^ (l.bits(z[part][row]) & sign);
                            let sum = &mut sums[row % TURNS][part];
                            *sum = *sum + l.widen(l.of_bits(x));
                        });
                    }
                    noise.block = block;
                }
            }
            (self.sink)([add_up(l, &sums, offset), 0.0]);
            start += NORM_BLOCK;
        }
    }
    const HIGHEST: SimdLevel = SimdLevel::Avx2;
}

const _: () = assert!(NORM_BLOCK.is_multiple_of(GROUP));

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
                    let [got, _] = collect(|sink| dispatch(DotSigns { x, place, sink }));
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
                let before = x.clone();
                let (mut y, out) = (vec![0.0; len], Out::from(&mut x[offset..]));
                let (score, k_out) = (In::from(&b[6]), Out::from(&mut k[..]));
                dispatch(Accept { score, c: 0.2, h: H, a: A, x: out, y: Out::from(&mut y[..]), k: k_out });
                for i in 0..len {
                    let (y_new, slope) = (before[offset + i], A * b[6][i]);
                    let want = [combine(y_new, H, &[(0.2, slope)]), y_new, slope];
                    assert_eq!([x[offset + i], y[i], k[i]], want, "{level:?} {len} {i}");
                }
            }
        });
    }
}
