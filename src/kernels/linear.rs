//! The elementwise kernel of all steps: `sum = ((a₀·x₀ + a₁·x₁) + a₂·x₂) + ...` and `out = sum + s·z`, one rounding an operation, in
//! one pass; `out` clamped if asked to, and `sum` stored as well if asked to. A first factor of 1, and no more than three buffers, is
//! what most steps need: those have loops of their own, in which 1 is not multiplied.

use super::normal::CounterGroups;
use super::{Place, Source};
use crate::buf::{In, Out, Pads, Tile, TileMut, Tiles};
use crate::simd::{Group, Kernel, Lanes, SimdLevel, dispatch, each_stored, widest_for_memory};

/// The most terms of a sum, besides the noise.
pub(crate) const MAX_TERMS: usize = 8;

/// Terms and noise that is given, which is one more.
const MAX_INS: usize = MAX_TERMS + 1;

/// A buffer and its factor.
pub(crate) type Term<'a> = (f32, In<'a>);

/// The range that an output is clamped to; NaN stays.
pub(crate) type Range = (f32, f32);

/// Computes `terms` (1 to [`MAX_TERMS`], or nothing happens) and noise with its factor, into `out` and, without the noise, into `sum`.
pub(crate) fn linear(
    terms: &[Term<'_>],
    noise: Option<(f32, Source<'_>)>,
    out: Out<'_>,
    sum: Option<Out<'_>>,
    clamp: Option<Range>,
) {
    match (terms, noise, sum, clamp) {
        (&[(a, x)], None, None, _) => dispatch(Scale { a, x, out, clamp }),
        (&[(1.0, x)], Some((b, Source::Given(z))), None, None) | (&[(1.0, x), (b, z)], None, None, None) => {
            dispatch(Sum { ins: [x, z], factors: [b], outs: [out] });
        }
        (&[(1.0, x), (a, m)], Some((b, Source::Given(z))), None, None)
        | (&[(1.0, x), (a, m), (b, z)], None, None, None) => {
            dispatch(Sum { ins: [x, m, z], factors: [a, b], outs: [out] });
        }
        (&[(1.0, x), (a, m)], Some((b, Source::Given(z))), Some(sum), None) => {
            dispatch(Sum { ins: [x, m, z], factors: [a, b], outs: [out, sum.unread()] });
        }
        (&[(1.0, x)], Some((b, Source::Counter(place))), None, None) => {
            dispatch(NoisySum { ins: [x], factors: [], noise: (b, place), outs: [out] });
        }
        (&[(1.0, x), (a, m)], Some((b, Source::Counter(place))), None, None) => {
            dispatch(NoisySum { ins: [x, m], factors: [a], noise: (b, place), outs: [out] });
        }
        (&[(1.0, x), (a, m)], Some((b, Source::Counter(place))), Some(sum), None) => {
            dispatch(NoisySum { ins: [x, m], factors: [a], noise: (b, place), outs: [out, sum.unread()] });
        }
        _ => many(terms, noise, out, sum, clamp),
    }
}

/// [`linear`] for sums that have no loop of their own.
#[inline(never)]
fn many(
    terms: &[Term<'_>],
    noise: Option<(f32, Source<'_>)>,
    out: Out<'_>,
    sum: Option<Out<'_>>,
    clamp: Option<Range>,
) {
    let Some(&(_, first)) = terms.first() else { return };
    let given = noise.and_then(|(b, z)| Some((b, z.given()?)));
    let (mut ins, mut factors) = ([first; MAX_INS], [0.0; MAX_INS]);
    for ((to, factor), &(a, x)) in ins.iter_mut().zip(&mut factors).zip(terms.iter().chain(&given)) {
        (*to, *factor) = (x, a);
    }
    let made = match noise {
        Some((b, Source::Counter(place))) => Some((b, place)),
        _ => None,
    };
    let terms = terms.len().min(MAX_TERMS);
    match sum {
        None => dispatch(Many { ins, factors, terms, is_given: given.is_some(), made, outs: [out], clamp }),
        Some(sum) => {
            let outs = [out, sum.unread()];
            dispatch(Many { ins, factors, terms, is_given: given.is_some(), made, outs, clamp });
        }
    }
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

/// Any number of terms, any factors, any noise.
struct Many<'a, const O: usize> {
    /// The terms' buffers and given noise; the first one again where there are no more.
    ins: [In<'a>; MAX_INS],
    factors: [f32; MAX_INS],
    terms: usize,
    is_given: bool,
    made: Option<(f32, Place)>,
    outs: [Out<'a>; O],
    clamp: Option<Range>,
}

impl<const O: usize> Kernel for Many<'_, O> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let factors = self.factors.map(|a| l.splat(a));
        let range = self.clamp.map(|(low, high)| (l.splat(low), l.splat(high)));
        let mut pads = Pads::new();
        if let Some((scale, place)) = self.made {
            let scale = l.splat(scale);
            let mut tiles = Tiles::overhanging(place.offset_in_group(), self.ins, self.outs, &mut pads);
            each_noisy_tile!(l, place, tiles, |ins, group, mut outs| {
                each_stored!(l: L, outs, non_temporal NONE, |at, part, row| {
                    let sum = many_of(l, &ins, &factors, self.terms, at);
                    [clamped(l, sum + scale * group[part][row], range), sum]
                });
            });
        } else {
            let mut tiles = Tiles::aligned(L::N, self.ins, self.outs, &mut pads);
            while let Some(mut run) = tiles.run() {
                while let Some((ins, mut outs)) = run.next() {
                    each_stored!(l: L, outs, non_temporal NONE, |at, _, _| {
                        let sum = many_of(l, &ins, &factors, self.terms, at);
                        let mut noisy = sum;
                        if self.is_given && let (Some(z), Some(&s)) = (ins.get(self.terms), factors.get(self.terms))
                        {
                            noisy = sum + s * l.load(z.get(at));
                        }
                        [clamped(l, noisy, range), sum]
                    });
                }
            }
        }
    }
    fn widest(&self) -> SimdLevel {
        match (self.made, self.outs.first()) {
            (None, Some(out)) => widest_for_memory(out.len()),
            _ => SimdLevel::Avx512,
        }
    }
}

/// The sum of so many terms at a place of a tile.
#[inline(always)]
fn many_of<L: Lanes>(
    l: L,
    ins: &[Tile<'_>; MAX_INS],
    factors: &[L::F; MAX_INS],
    terms: usize,
    at: usize,
) -> L::F {
    let ([first, ins @ ..], [a, factors @ ..]) = (ins, factors);
    let mut sum = *a * l.load(first.get(at));
    for (x, &a) in ins.iter().zip(factors).take(terms.saturating_sub(1)) {
        sum = sum + a * l.load(x.get(at));
    }
    sum
}
