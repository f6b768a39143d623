//! Inverse problems and guidance: known elements and known channels put into a sample, and two
//! scores combined. One rounding an operation, from left to right; fused where torch fuses.

use core::mem::MaybeUninit;

use super::linear::NoiseTerm;
use super::normal::{CounterGroups, Fill};
use super::{Place, Source};
use crate::buf::{In, Out, Pads, Tile, TileMut, Tiles};
use crate::simd::{Job, Kernel, Lanes, SimdLevel, dispatch, each, each_stored, widest_for_memory};

/// `out = x·(1 − m) + (d + z·σ)·m`, for the buffers x, m and d; without noise the known elements
/// are d.
pub(crate) fn impute(ins: [In<'_>; 3], noise: Option<NoiseTerm<'_>>, out: &Out<'_>) {
    let out = out.again();
    let [x, m, d] = ins;
    match noise {
        None => dispatch(Impute { ins, sigma: 0.0, out }),
        Some((sigma, Source::Given(z))) => dispatch(Impute { ins: [x, m, d, z], sigma, out }),
        Some((sigma, Source::Counter(place))) => dispatch(NoisyImpute { ins, noise: (sigma, place), out }),
    }
}

/// What is put together of x, m and d, and of z·σ if there is any.
#[inline(always)]
fn imputed<L: Lanes>(l: L, [x, m, d]: [L::F; 3], noise: Option<L::F>) -> L::F {
    let known = match noise {
        Some(noise) => d + noise,
        None => d,
    };
    x * (l.splat(1.0) - m) + known * m
}

/// [`impute`] of buffers x, m, d and, if there is a fourth, z.
struct Impute<'a, const N: usize> {
    ins: [In<'a>; N],
    sigma: f32,
    out: Out<'a>,
}

impl<const N: usize> Kernel for Impute<'_, N> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let sigma = l.splat(self.sigma);
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, self.ins, [self.out], &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some((ins, mut outs)) = run.next() {
                each_stored!(l: L, outs, non_temporal NONE, |at, _, _| {
                    let [x, m, d, z] = loaded(l, &ins, at);
                    let noise = if N > 3 { Some(z * sigma) } else { None };
                    [imputed(l, [x, m, d], noise)]
                });
            }
        }
    }
    fn widest(&self) -> SimdLevel {
        widest_for_memory(self.out.len())
    }
}

/// [`impute`] with counter noise.
struct NoisyImpute<'a> {
    ins: [In<'a>; 3],
    noise: (f32, Place),
    out: Out<'a>,
}

impl Kernel for NoisyImpute<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (sigma, place) = self.noise;
        let sigma = l.splat(sigma);
        let mut noise = CounterGroups::new(l, place);
        let mut pads = Pads::new();
        let mut tiles = Tiles::overhanging(place.offset_in_group(), self.ins, [self.out], &mut pads);
        while let Some(mut run) = tiles.run() {
            while !run.is_done() {
                let mut block = noise.block(l);
                while block.left > 0
                    && let Some((ins, mut outs)) = run.next_and_prefetch()
                {
                    let z = block.next(l);
                    each_stored!(l: L, outs, non_temporal NONE, |at, part, row| {
                        [imputed(l, loaded(l, &ins, at), Some(z[part][row] * sigma))]
                    });
                }
                noise.block = block;
            }
        }
    }
}

/// `out = u + w·(c − u)`.
pub(crate) struct Guide<'a> {
    /// u and c.
    pub ins: [In<'a>; 2],
    pub weight: f32,
    pub out: Out<'a>,
}

impl Kernel for Guide<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let weight = l.splat(self.weight);
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, self.ins, [self.out], &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some((ins, mut outs)) = run.next() {
                each_stored!(l: L, outs, non_temporal NONE, |at, _, _| {
                    let [u, c] = loaded(l, &ins, at);
                    [u + weight * (c - u)]
                });
            }
        }
    }
    fn widest(&self) -> SimdLevel {
        widest_for_memory(self.out.len())
    }
}

/// The channels of an image, one after the other in memory.
pub(crate) type Planes<T> = [T; 3];

/// Three columns of three numbers: each makes one channel of three.
pub(crate) type Matrix = [[f32; 3]; 3];

/// The columns of `score_sde`'s matrix M (`controllable_generation.get_pc_colorizer`): its first
/// makes gray of red, green and blue.
pub(crate) const DECOUPLE: Matrix = [
    [5.7735014e-1, 5.7735026e-1, 5.7735026e-1],
    [-8.1649649e-1, 4.0824834e-1, 4.0824822e-1],
    [4.7008697e-8, 7.0710671e-1, -7.0710683e-1],
];

/// The columns of torch's inverse of M, which is not M transposed.
pub(crate) const COUPLE: Matrix = [
    [f32::from_bits(0x3f13_cd3a), f32::from_bits(0xbf51_05ec), f32::from_bits(0x3393_cd3b)],
    [f32::from_bits(0x3f13_cd3c), f32::from_bits(0x3ed1_05ec), f32::from_bits(0x3f35_04f3)],
    [f32::from_bits(0x3f13_cd3b), f32::from_bits(0x3ed1_05e8), f32::from_bits(0xbf35_04f4)],
];

/// A number in every lane for each of a matrix.
#[inline(always)]
fn splat<L: Lanes>(l: L, matrix: Matrix) -> [[L::F; 3]; 3] {
    matrix.map(|column| column.map(|x| l.splat(x)))
}

/// One channel made of three, fused as torch does: x₂·a₂ + (x₁·a₁ + x₀·a₀). Where there are few
/// registers fused operations are most likely emulated, and one copy of the code is enough.
#[inline(always)]
fn mixed<L: Lanes>(l: L, x: [L::F; 3], a: [L::F; 3]) -> L::F {
    if L::ROOMY { Mixed { x, a }.run(l) } else { l.outlined(Mixed { x, a }) }
}

/// [`mixed`].
struct Mixed<L: Lanes> {
    x: [L::F; 3],
    a: [L::F; 3],
}

impl<L: Lanes> Job<L> for Mixed<L> {
    type Output = L::F;
    #[inline(always)]
    fn run(self, l: L) -> L::F {
        let ([x0, x1, x2], [a0, a1, a2]) = (self.x, self.a);
        l.fma(x2, a2, l.fma(x1, a1, x0 * a0))
    }
}

/// Stores the three channels made of three.
#[inline(always)]
fn store_mixed<L: Lanes>(
    l: L,
    x: [L::F; 3],
    columns: [[L::F; 3]; 3],
    outs: &mut Planes<TileMut<'_>>,
    at: usize,
) {
    for (out, column) in outs.iter_mut().zip(columns) {
        out.put(at, l.store(mixed(l, x, column)));
    }
}

/// Each pixel times a matrix.
pub(crate) struct Mix<'a> {
    pub ins: Planes<In<'a>>,
    pub matrix: &'a Matrix,
    pub outs: Planes<Out<'a>>,
}

impl Kernel for Mix<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let columns = splat(l, *self.matrix);
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, self.ins, self.outs, &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some((ins, mut outs)) = run.next() {
                each!(L, |at, _, _| {
                    store_mixed(l, loaded(l, &ins, at), columns, &mut outs, at);
                });
            }
        }
    }
}

/// One sample's channels x with the first one, decoupled, replaced by that of `gray` and z·σ.
/// Noise is that of the first channel.
pub(crate) fn recolour(
    [x0, x1, x2]: Planes<In<'_>>,
    [g0, g1, g2]: Planes<In<'_>>,
    noise: Option<NoiseTerm<'_>>,
    outs: &Planes<Out<'_>>,
) {
    // Where there is no noise something that is read anyway is in its place.
    let ins = [x0, x1, x2, g0, g1, g2, g0];
    match noise {
        None => dispatch(Recolour { ins, sigma: None, outs: outs.each_ref().map(Out::again) }),
        Some((sigma, Source::Given(z))) => {
            let (ins, outs) = ([x0, x1, x2, g0, g1, g2, z], outs.each_ref().map(Out::again));
            dispatch(Recolour { ins, sigma: Some(sigma), outs });
        }
        Some((sigma, Source::Counter(place))) => recolour_by_parts(ins, sigma, place, outs),
    }
}

/// Pixels of a part whose noise is on the stack.
const PART: usize = 512;

/// [`recolour`] with counter noise, which waits on the stack: a kernel that makes it in registers
/// would have none left.
#[inline(never)]
fn recolour_by_parts(ins: [In<'_>; 7], sigma: f32, place: Place, outs: &Planes<Out<'_>>) {
    let mut on_stack = [const { MaybeUninit::uninit() }; PART];
    let on_stack = Out::from(&mut on_stack);
    let [first, ..] = outs;
    let mut start = 0;
    while start < first.len() {
        // A part ends where a group of counter noise does.
        let len = (PART - place.offset(start, PART)).min(first.len() - start);
        let z = on_stack.part(0, len);
        dispatch(Fill { place: place.skip(start), out: z.again() });
        let mut ins = ins.map(|x| x.part(start, len));
        let [.., last] = &mut ins;
        *last = z.as_in();
        let outs = outs.each_ref().map(|out| out.part(start, len));
        dispatch(Recolour { ins, sigma: Some(sigma), outs });
        start += len;
    }
}

/// [`recolour`] of a sample's channels, those of the gray image, and z, which counts if there is a σ.
struct Recolour<'a> {
    ins: [In<'a>; 7],
    sigma: Option<f32>,
    outs: Planes<Out<'a>>,
}

impl Kernel for Recolour<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        // One kernel for both, which differ by less than a tenth in time.
        let is_noisy = l.splat_u(if self.sigma.is_some() { u32::MAX } else { 0 });
        let sigma = l.splat(self.sigma.unwrap_or(0.0));
        let (decouple, couple) = (splat(l, DECOUPLE), splat(l, COUPLE));
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, self.ins, self.outs, &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some((ins, mut outs)) = run.next() {
                each!(L, |at, _, _| {
                    let [x0, x1, x2, g0, g1, g2, z] = loaded(l, &ins, at);
                    let gray = mixed(l, [g0, g1, g2], decouple[0]);
                    let known = l.select(is_noisy, gray + z * sigma, gray);
                    let x = [x0, x1, x2];
                    let y = [known, mixed(l, x, decouple[1]), mixed(l, x, decouple[2])];
                    store_mixed(l, y, couple, &mut outs, at);
                });
            }
        }
    }
}

/// The first of the lanes of some tiles at a place; zeros where there are no more.
#[inline(always)]
fn loaded<L: Lanes, const N: usize>(l: L, ins: &[Tile<'_>], at: usize) -> [L::F; N] {
    let mut lanes = [l.splat(0.0); N];
    for (to, x) in lanes.iter_mut().zip(ins) {
        *to = l.load(x.get(at));
    }
    lanes
}

/// No output is stored non-temporally: samples are changed in place.
const NONE: usize = usize::MAX;
