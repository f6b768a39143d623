//! The one elementwise kernel of all steps, a linear combination: `mean = a₀·x₀ + a₁·x₁ + ...` and
//! `out = mean + s·z`, one rounding an operation, from left to right, memory passed once.

use core::array::from_ref;
use core::mem::MaybeUninit;

use super::normal::{CounterGroups, Fill};
use super::{Place, Source};
use crate::buf::{In, NON_TEMPORAL, Out, Pads, Tile, Tiles};
use crate::simd::{Kernel, Lanes, SimdLevel, dispatch, each_stored, widest_for_memory};

/// The most terms of a combination.
pub(crate) const MOST_TERMS: usize = 8;

/// A factor and its buffer.
pub(crate) type Term<'a> = (f32, In<'a>);

/// Noise and its factor.
pub(crate) type NoiseTerm<'a> = (f32, Source<'a>);

/// The range that an output is clamped to; NaN stays.
pub(crate) type Range = (f32, f32);

/// `out = a₀·x₀ + a₁·x₁ + ... + s·z`, clamped if asked to; `mean` has it without the noise, not
/// clamped. A first factor of 1 is not multiplied. Without terms there must be noise, and no mean.
pub(crate) fn linear(
    terms: &[Term<'_>],
    noise: Option<NoiseTerm<'_>>,
    out: &Out<'_>,
    mean: Option<&Out<'_>>,
    clamp: Option<Range>,
) {
    match (terms, mean, clamp) {
        (&[(1.0, x)], None, None) => add(x, noise, out),
        (&[(a, x)], None, None) if noise.is_none() => scale(a, x, out, None),
        (&[(1.0, x), term], _, None) => step(x, term, noise, out, mean),
        (&[x, y], None, None) => two(x, y, noise, out),
        (&[x, y, z], None, None) if noise.is_none() => three(x, y, z, out),
        _ => by_parts(terms, noise, out, mean, clamp),
    }
}

/// [`linear`] of terms that have a second factor each, of which those other than 1 multiply the
/// product: `(aᵢ·xᵢ)·bᵢ`. Such products wait on the stack, part by part.
#[inline(never)]
pub(crate) fn linear_twice(
    terms: &[Term<'_>],
    second_factors: &[f32],
    noise: Option<NoiseTerm<'_>>,
    out: &Out<'_>,
    mean: Option<&Out<'_>>,
    clamp: Option<Range>,
) {
    let mut on_stack = [const { MaybeUninit::uninit() }; PART_ON_STACK];
    let on_stack = Out::from(&mut on_stack);
    let products = second_factors.iter().filter(|&&b| b != 1.0).count();
    let unit = PART_ON_STACK / products.max(1);
    let mut start = 0;
    while start < out.len() {
        let len = unit.min(out.len() - start);
        let mut parts = [(0.0, In::NONE); MOST_TERMS];
        let mut product_at = 0;
        for ((to, &(a, x)), &b) in parts.iter_mut().zip(terms).zip(second_factors) {
            *to = (a, x.part(start, len));
            if b != 1.0 {
                let product = on_stack.part(product_at, len);
                scale(a, to.1, &product, None);
                *to = (b, product.as_in());
                product_at += len;
            }
        }
        let mean = mean.map(|mean| mean.part(start, len));
        let noise = noise.map(|(s, noise)| (s, noise.part(start, len)));
        let terms = parts.get(..terms.len()).unwrap_or_default();
        linear(terms, noise, &out.part(start, len), mean.as_ref(), clamp);
        start += len;
    }
}

/// `out = a·x + b·m + c·h₁ (+ d·h₂) + s·z` and `kept = e·x + f·m` in one pass; `kept` may be one of
/// the inputs. False, and nothing written, where there is no kernel for it.
pub(crate) fn linear_and_keep(
    terms: &[Term<'_>],
    noise: Option<NoiseTerm<'_>>,
    out: &Out<'_>,
    keep: [f32; 2],
    kept: &Out<'_>,
) -> bool {
    let outs = [out.again(), kept.again()];
    match (terms, noise) {
        (&[(a, x), (b, m), (c, h)], None) => {
            dispatch(SumAndKeep { ins: [x, m, h], factors: [a, b, c], keep, outs });
        }
        (&[(a, x), (b, m), (c, h)], Some((d, Source::Given(z))))
        | (&[(a, x), (b, m), (c, h), (d, z)], None) => {
            dispatch(SumAndKeep { ins: [x, m, h, z], factors: [a, b, c, d], keep, outs });
        }
        (&[(a, x), (b, m), (c, h)], Some((s, Source::Counter(place)))) => {
            dispatch(NoisySumAndKeep { ins: [x, m, h], factors: [a, b, c], noise: (s, place), keep, outs });
        }
        _ => return false,
    }
    true
}

/// `out = x + a·m + s·z`, the last term being optional; `mean` has it without the noise.
fn step(x: In<'_>, (a, m): Term<'_>, noise: Option<NoiseTerm<'_>>, out: &Out<'_>, mean: Option<&Out<'_>>) {
    match (noise, mean) {
        (None, None) => dispatch(Sum { ins: [x, m], factors: [a], outs: [out.again()] }),
        (None, Some(mean)) => {
            dispatch(Sum { ins: [x, m], factors: [a], outs: [out.again()] });
            scale(1.0, out.as_in(), mean, None);
        }
        (Some((s, Source::Given(z))), None) => {
            dispatch(Sum { ins: [x, m, z], factors: [a, s], outs: [out.again()] });
        }
        (Some((s, Source::Given(z))), Some(mean)) => {
            dispatch(Sum { ins: [x, m, z], factors: [a, s], outs: [out.again(), mean.unread()] });
        }
        (Some((s, Source::Counter(place))), None) => {
            dispatch(NoisySum { ins: [x, m], factors: [a], noise: (s, place), outs: [out.again()] });
        }
        (Some((s, Source::Counter(place))), Some(mean)) => {
            let outs = [out.again(), mean.unread()];
            dispatch(NoisySum { ins: [x, m], factors: [a], noise: (s, place), outs });
        }
    }
}

/// `out = x + s·z`, or `x` without noise.
fn add(x: In<'_>, noise: Option<NoiseTerm<'_>>, out: &Out<'_>) {
    match noise {
        None => scale(1.0, x, out, None),
        Some((s, Source::Given(z))) => dispatch(Sum { ins: [x, z], factors: [s], outs: [out.again()] }),
        Some((s, Source::Counter(place))) => {
            dispatch(NoisySum { ins: [x], factors: [], noise: (s, place), outs: [out.again()] });
        }
    }
}

/// `out = a·x + b·y + s·z`, the last term being optional.
fn two(x: Term<'_>, y: Term<'_>, noise: Option<NoiseTerm<'_>>, out: &Out<'_>) {
    let ((a, x_in), (b, y_in)) = (x, y);
    let (ins, factors, outs) = ([x_in, y_in], [a, b], [out.again()]);
    match noise {
        None => dispatch(Sum { ins, factors, outs }),
        Some((s, Source::Given(z))) => three(x, y, (s, z), out),
        // A kernel of its own takes four fifths of what parts do, and room: on three levels of x86
        // 9 KB.
        #[cfg(not(target_arch = "aarch64"))]
        Some((_, Source::Counter(_))) => by_parts(&[x, y], noise, out, None, None),
        #[cfg(target_arch = "aarch64")]
        Some((s, Source::Counter(place))) => dispatch(NoisySum { ins, factors, noise: (s, place), outs }),
    }
}

/// `out = a·x + b·y + c·z`.
fn three(x: Term<'_>, y: Term<'_>, z: Term<'_>, out: &Out<'_>) {
    let ((a, x), (b, y), (c, z)) = (x, y, z);
    let (ins, outs) = ([x, y, z], [out.again()]);
    if a == 1.0 {
        dispatch(Sum { ins, factors: [b, c], outs });
    } else {
        dispatch(Sum { ins, factors: [a, b, c], outs });
    }
}

/// `out = a·x`, clamped if asked to.
fn scale(a: f32, x: In<'_>, out: &Out<'_>, clamp: Option<Range>) {
    dispatch(Scale { a, x, out: out.again(), clamp });
}

/// Floats of a part: 16 KiB, which stay in the nearest cache, and whole blocks of counter noise.
const PART: usize = 4096;

/// Floats of a part whose sum waits on the stack.
const PART_ON_STACK: usize = 512;

/// Any combination, made of the shorter ones part by part, so that memory is passed once. The sum
/// without the noise is in the output, or, where that may still be read, on the stack.
#[inline(never)]
fn by_parts(
    terms: &[Term<'_>],
    noise: Option<NoiseTerm<'_>>,
    out: &Out<'_>,
    mean: Option<&Out<'_>>,
    clamp: Option<Range>,
) {
    let is_read = terms.len() > 3 || matches!(noise, Some((_, Source::Given(_))));
    let unit = if mean.is_some() || is_read { PART_ON_STACK } else { PART };
    let mut on_stack = [const { MaybeUninit::uninit() }; PART_ON_STACK];
    let on_stack = Out::from(&mut on_stack);
    let mut start = 0;
    while start < out.len() {
        // A part ends where a group of counter noise does.
        let offset = noise.and_then(|(_, noise)| noise.place()).map_or(0, |place| place.offset(start, unit));
        let len = (unit - offset).min(out.len() - start);
        let part = |(a, x)| (a, In::part(x, start, len));
        let out = out.part(start, len);
        let sum = if unit == PART { out.again() } else { on_stack.part(0, len) };
        let mut noise = noise.map(|(s, noise)| (s, noise.part(start, len)));
        let rest = match *terms {
            [] => {
                // The noise takes the place of the sum.
                if let Some((s, noise)) = noise.take() {
                    if let Some(place) = noise.place() {
                        dispatch(Fill { place, out: sum.again() });
                    }
                    scale(s, noise.given().unwrap_or(sum.as_in()), &sum, None);
                }
                &[]
            }
            [x] => {
                let (a, x) = part(x);
                scale(a, x, &sum, None);
                &[]
            }
            [x, y] => {
                two(part(x), part(y), None, &sum);
                &[]
            }
            [x, y, z, ref rest @ ..] => {
                three(part(x), part(y), part(z), &sum);
                rest
            }
        };
        for &term in rest {
            let (a, x) = part(term);
            dispatch(Sum { ins: [sum.as_in(), x], factors: [a], outs: [sum.again()] });
        }
        if noise.is_some() || unit != PART {
            add(sum.as_in(), noise, &out);
        }
        if clamp.is_some() {
            scale(1.0, out.as_in(), &out, clamp);
        }
        // Last, since it may be one of the inputs.
        if let Some(mean) = mean {
            scale(1.0, sum.as_in(), &mean.part(start, len), None);
        }
        start += len;
    }
}

/// Runs a block for each of some tiles. A kernel that takes as long as memory does stores outputs
/// non-temporally where it pays and it is worth the room, those from `FIRST` on. On sixteen lanes
/// buffers are so short ([`widest_for_memory`]) that it does not pay for the first.
macro_rules! each_tile {
    ($l:ty, non_temporal if $worth_it:expr, $tiles:expr, |$first:ident, $ins:pat_param, $outs:pat_param| $body:expr) => {
        while let Some(mut run) = $tiles.run() {
            match run.non_temporal() {
                0 if NON_TEMPORAL && $worth_it && <$l as Lanes>::N < 16 => {
                    const $first: usize = 0;
                    while let Some(($ins, $outs)) = run.next() {
                        $body
                    }
                }
                0 | 1 if NON_TEMPORAL && run.outs() >= 2 => {
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
pub(super) use each_tile;

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

/// No output is stored non-temporally: where noise is made there is time to read the lines that are
/// overwritten, and elsewhere for short buffers and their ends.
pub(super) const NONE: usize = usize::MAX;

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
    fn run<L: Lanes>(&mut self, l: L) {
        let (a, range) = (l.splat(self.a), self.clamp.map(|(low, high)| (l.splat(low), l.splat(high))));
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, from_ref(&self.x), from_ref(&self.out), &mut pads);
        each_tile!(L, non_temporal if true, tiles, |FIRST, [x], mut out| each_stored!(l: L, out, non_temporal FIRST, |at, _, _| {
            [clamped(l, a * l.load(x.get(at)), range)]
        }));
    }
    // Wider registers gain nothing but in the nearest cache.
    const HIGHEST: SimdLevel = SimdLevel::Avx2;
}

/// The sum of `ins` with their factors, or, with one factor less, the first without; a second
/// output has it without the last term.
struct Sum<'a, const N: usize, const A: usize, const O: usize> {
    ins: [In<'a>; N],
    factors: [f32; A],
    outs: [Out<'a>; O],
}

impl<const N: usize, const A: usize, const O: usize> Kernel for Sum<'_, N, A, O> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let factors = self.factors.map(|a| l.splat(a));
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, &self.ins, &self.outs, &mut pads);
        // All inputs of these lanes are read before an output is written: the outputs may be the
        // inputs.
        each_tile!(L, non_temporal if A < N, tiles, |FIRST, ins, mut outs| each_stored!(l: L, outs, non_temporal FIRST, |at, _, _| {
            sum_of(l, &ins, &factors, at)
        }));
    }
    // With all factors wider registers gain nothing but in the nearest cache.
    const HIGHEST: SimdLevel = if A == N { SimdLevel::Avx2 } else { SimdLevel::Avx512 };
    fn widest(&self) -> SimdLevel {
        self.outs.first().map_or(SimdLevel::Avx512, |out| widest_for_memory(out.len()))
    }
}

/// The whole sum at a place of a tile, and the sum without its last term.
#[inline(always)]
fn sum_of<L: Lanes>(l: L, ins: &[Tile<'_>], factors: &[L::F], at: usize) -> [L::F; 2] {
    let mut values = ins.iter().map(|x| l.load(x.get(at)));
    let mut factors = factors.iter();
    let mut first = values.next().unwrap_or_else(|| l.splat(0.0));
    if ins.len() == factors.len()
        && let Some(&a) = factors.next()
    {
        first = a * first;
    }
    let (mut whole, mut before) = (first, first);
    for (x, &a) in values.zip(factors) {
        before = whole;
        whole = whole + a * x;
    }
    [whole, before]
}

/// A [`Sum`] and `s·z`, z being counter noise; a second output has it without the noise.
struct NoisySum<'a, const N: usize, const A: usize, const O: usize> {
    ins: [In<'a>; N],
    factors: [f32; A],
    noise: (f32, Place),
    outs: [Out<'a>; O],
}

impl<const N: usize, const A: usize, const O: usize> Kernel for NoisySum<'_, N, A, O> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let (factors, (scale, place)) = (self.factors.map(|a| l.splat(a)), self.noise);
        let scale = l.splat(scale);
        let mut pads = Pads::new();
        let mut tiles = Tiles::overhanging(place.offset_in_group(), &self.ins, &self.outs, &mut pads);
        each_noisy_tile!(l, place, tiles, |ins, group, mut outs| {
            each_stored!(l: L, outs, non_temporal NONE, |at, part, row| {
                let [sum, _] = sum_of(l, &ins, &factors, at);
                [sum + scale * group[part][row], sum]
            });
        });
    }
}

/// The sum of `ins` with their factors, and that of the first two with others.
struct SumAndKeep<'a, const N: usize> {
    ins: [In<'a>; N],
    factors: [f32; N],
    keep: [f32; 2],
    outs: [Out<'a>; 2],
}

impl<const N: usize> Kernel for SumAndKeep<'_, N> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let (factors, keep) = (self.factors.map(|a| l.splat(a)), self.keep.map(|a| l.splat(a)));
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, &self.ins, &self.outs, &mut pads);
        each_tile!(L, non_temporal if false, tiles, |FIRST, ins, mut outs| each_stored!(l: L, outs, non_temporal FIRST, |at, _, _| {
            [sum_of(l, &ins, &factors, at)[0], sum_of(l, &ins[..2], &keep, at)[0]]
        }));
    }
    // Wider registers gain nothing but in the nearest cache.
    const HIGHEST: SimdLevel = SimdLevel::Avx2;
}

/// The same with `s·z`, z being counter noise, behind the sum.
struct NoisySumAndKeep<'a, const N: usize> {
    ins: [In<'a>; N],
    factors: [f32; N],
    noise: (f32, Place),
    keep: [f32; 2],
    outs: [Out<'a>; 2],
}

impl<const N: usize> Kernel for NoisySumAndKeep<'_, N> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let (factors, keep) = (self.factors.map(|a| l.splat(a)), self.keep.map(|a| l.splat(a)));
        let (scale, place) = self.noise;
        let scale = l.splat(scale);
        let mut pads = Pads::new();
        let mut tiles = Tiles::overhanging(place.offset_in_group(), &self.ins, &self.outs, &mut pads);
        each_noisy_tile!(l, place, tiles, |ins, group, mut outs| {
            each_stored!(l: L, outs, non_temporal NONE, |at, part, row| {
                let [sum, _] = sum_of(l, &ins, &factors, at);
                [sum + scale * group[part][row], sum_of(l, &ins[..2], &keep, at)[0]]
            });
        });
    }
}
