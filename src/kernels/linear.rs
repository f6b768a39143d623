//! The elementwise kernels of all steps: `sum = x + a·m` and `out = sum + s·z`, one rounding an operation, in one pass; `sum` stored
//! as well if asked to. All are sums of buffers with factors, the first of which is 1 and is not multiplied.

use super::normal::CounterGroups;
use super::{Place, Source};
use crate::buf::{In, Out, Pads, Tile, TileMut, Tiles};
use crate::simd::{Group, Kernel, Lanes, SimdLevel, dispatch, each_stored, widest_for_memory};

/// A buffer and its factor.
pub(crate) type Term<'a> = (f32, In<'a>);

/// The range that an output is clamped to; NaN stays.
pub(crate) type Range = (f32, f32);

/// `out = x + a·m + s·z`, the last term being optional; `sum` has it without the noise.
pub(crate) fn step(
    x: In<'_>,
    (a, m): Term<'_>,
    noise: Option<(f32, Source<'_>)>,
    out: Out<'_>,
    sum: Option<Out<'_>>,
) {
    match (noise, sum) {
        (None, None) => dispatch(Sum { ins: [x, m], factors: [a], outs: [out] }),
        (None, Some(sum)) => {
            dispatch(Sum { ins: [x, m], factors: [a], outs: [out] });
            scale(1.0, out.as_in(), sum, None);
        }
        (Some((s, Source::Given(z))), None) => {
            dispatch(Sum { ins: [x, m, z], factors: [a, s], outs: [out] });
        }
        (Some((s, Source::Given(z))), Some(sum)) => {
            dispatch(Sum { ins: [x, m, z], factors: [a, s], outs: [out, sum.unread()] });
        }
        (Some((s, Source::Counter(place))), None) => {
            dispatch(NoisySum { ins: [x, m], factors: [a], noise: (s, place), outs: [out] });
        }
        (Some((s, Source::Counter(place))), Some(sum)) => {
            dispatch(NoisySum { ins: [x, m], factors: [a], noise: (s, place), outs: [out, sum.unread()] });
        }
    }
}

/// `out = x + s·z`, or `x` without noise.
pub(crate) fn add(x: In<'_>, noise: Option<(f32, Source<'_>)>, out: Out<'_>) {
    match noise {
        None => scale(1.0, x, out, None),
        Some((s, Source::Given(z))) => dispatch(Sum { ins: [x, z], factors: [s], outs: [out] }),
        Some((s, Source::Counter(place))) => {
            dispatch(NoisySum { ins: [x], factors: [], noise: (s, place), outs: [out] });
        }
    }
}

/// `out = a·x`, clamped if asked to.
pub(crate) fn scale(a: f32, x: In<'_>, out: Out<'_>, clamp: Option<Range>) {
    dispatch(Scale { a, x, out, clamp });
}

/// Runs a block for each of some tiles. A kernel that takes as long as memory does stores outputs non-temporally where it pays, those
/// from `FIRST` on.
macro_rules! each_tile {
    ($tiles:expr, |$first:ident, $ins:pat_param, $outs:pat_param| $body:expr) => {
        while let Some(mut run) = $tiles.run() {
            match run.non_temporal() {
                0 => {
                    const $first: usize = 0;
                    while let Some(($ins, $outs)) = run.next() {
                        $body
                    }
                }
                1 if run.outs() == 2 => {
                    const $first: usize = 1;
                    while let Some(($ins, $outs)) = run.next() {
                        $body
                    }
                }
                _ => {
                    const $first: usize = NONE;
                    while let Some(($ins, $outs)) = run.next() {
                        $body
                    }
                }
            }
        }
    };
}

/// Runs a block for each of some tiles and the group of noise that lies on it.
macro_rules! each_noisy_tile {
    ($l:expr, $place:expr, $tiles:expr, |$ins:pat_param, $group:pat_param, $outs:pat_param| $body:expr) => {
        let mut noise = CounterGroups::new($l, $place);
        while let Some(mut run) = $tiles.run() {
            while !run.is_done() {
                let mut block = noise.block($l);
                while block.left > 0
                    && let Some(($ins, $outs)) = run.next_and_prefetch()
                {
                    let $group = &block.next($l);
                    $body
                }
                noise.block = block;
            }
        }
    };
}

/// No output is stored non-temporally: where noise is made there is time to read the lines that are overwritten, and elsewhere for short
/// buffers and their ends.
const NONE: usize = usize::MAX;

/// A register clamped to a range, where there is one.
#[inline(always)]
fn clamped<L: Lanes>(l: L, x: L::F, range: Option<(L::F, L::F)>) -> L::F {
    let Some((low, high)) = range else { return x };
    let x = l.select(l.less(x, low), low, x);
    l.select(l.less(high, x), high, x)
}

/// `out = a·x`.
struct Scale<'a> {
    a: f32,
    x: In<'a>,
    out: Out<'a>,
    clamp: Option<Range>,
}

impl Kernel for Scale<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (a, range) = (l.splat(self.a), self.clamp.map(|(low, high)| (l.splat(low), l.splat(high))));
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, [self.x], [self.out], &mut pads);
        each_tile!(tiles, |FIRST, [x], mut out| each_stored!(l: L, out, non_temporal FIRST, |at, _, _| {
            [clamped(l, a * l.load(x.get(at)), range)]
        }));
    }
    fn widest(&self) -> SimdLevel {
        widest_for_memory(self.out.len())
    }
}

/// `x₀ + a₁·x₁ + ...`; a second output has it without the last term.
struct Sum<'a, const N: usize, const A: usize, const O: usize> {
    ins: [In<'a>; N],
    factors: [f32; A],
    outs: [Out<'a>; O],
}

impl<const N: usize, const A: usize, const O: usize> Kernel for Sum<'_, N, A, O> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let factors = self.factors.map(|a| l.splat(a));
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, self.ins, self.outs, &mut pads);
        // All inputs of these lanes are read before an output is written: the outputs may be the inputs.
        each_tile!(tiles, |FIRST, ins, mut outs| each_stored!(l: L, outs, non_temporal FIRST, |at, _, _| {
            sum_of(l, &ins, &factors, at)
        }));
    }
    fn widest(&self) -> SimdLevel {
        self.outs.first().map_or(SimdLevel::Avx512, |out| widest_for_memory(out.len()))
    }
}

/// The whole sum at a place of a tile, and the sum without its last term.
#[inline(always)]
fn sum_of<L: Lanes>(l: L, ins: &[Tile<'_>], factors: &[L::F], at: usize) -> [L::F; 2] {
    let mut values = ins.iter().map(|x| l.load(x.get(at)));
    let first = values.next().unwrap_or_else(|| l.splat(0.0));
    let (mut whole, mut before) = (first, first);
    for (x, &a) in values.zip(factors) {
        before = whole;
        whole = whole + a * x;
    }
    [whole, before]
}

/// `x₀ + a₁·x₁ + s·z`, z being counter noise; a second output has it without the noise.
struct NoisySum<'a, const N: usize, const A: usize, const O: usize> {
    ins: [In<'a>; N],
    factors: [f32; A],
    noise: (f32, Place),
    outs: [Out<'a>; O],
}

impl<const N: usize, const A: usize, const O: usize> Kernel for NoisySum<'_, N, A, O> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (factors, (scale, place)) = (self.factors.map(|a| l.splat(a)), self.noise);
        let scale = l.splat(scale);
        let mut pads = Pads::new();
        let mut tiles = Tiles::overhanging(place.offset_in_group(), self.ins, self.outs, &mut pads);
        each_noisy_tile!(l, place, tiles, |ins, group, outs| {
            noisy_sum::<L, O>(l, &ins, &factors, scale, group, outs);
        });
    }
}

/// One tile of a [`NoisySum`].
#[inline(always)]
fn noisy_sum<L: Lanes, const O: usize>(
    l: L,
    ins: &[Tile<'_>],
    factors: &[L::F],
    scale: L::F,
    group: &Group<L>,
    mut outs: [TileMut<'_>; O],
) {
    each_stored!(l: L, outs, non_temporal NONE, |at, part, row| {
        let [sum, _] = sum_of(l, ins, factors, at);
        [sum + scale * group[part][row], sum]
    });
}
