//! Inverse problems and guidance: known elements and known channels put into a sample, and two
//! scores combined. One rounding an operation, from left to right; fused where torch fuses.

use core::array::from_ref;
use core::mem::MaybeUninit;

use super::Source;
use super::linear::{NoiseTerm, Term};
use super::normal::Fill;
use crate::buf::{In, Out, Pads, Tile, TileMut, Tiles};
use crate::simd::{Job, Kernel, Lanes, SimdLevel, dispatch, each, each_stored, widest_for_memory};

/// `out = x·(1 − m) + (d + z·σ)·m`, for the buffers x, m and d; without noise the known elements
/// are d.
pub(crate) fn impute(ins: [In<'_>; 3], noise: Option<NoiseTerm<'_>>, out: &Out<'_>) {
    by_parts(out.len(), noise, &mut |start, len, noise| {
        let [x, m, d] = ins.map(|x| x.part(start, len));
        dispatch(Impute {
            ins: [x, m, d, noise.map_or(d, |(_, z)| z)],
            noise: sigma(noise),
            out: out.part(start, len),
        });
    });
}

/// Floats of a part whose noise is on the stack.
const PART: usize = 1024;

/// What is done from a place on with so many elements, and their noise.
type PartJob<'a> = dyn FnMut(usize, usize, Option<Term<'_>>) + 'a;

/// Runs a job with noise that is in memory: counter noise, part by part, on the stack. A kernel
/// that makes it in registers takes 9 KB on three levels of x86.
fn by_parts(len: usize, noise: Option<NoiseTerm<'_>>, job: &mut PartJob<'_>) {
    let (sigma, place) = match noise {
        None => return job(0, len, None),
        Some((sigma, Source::Given(z))) => return job(0, len, Some((sigma, z))),
        Some((sigma, Source::Counter(place))) => (sigma, place),
    };
    let mut on_stack = [const { MaybeUninit::uninit() }; PART];
    let on_stack = Out::from(&mut on_stack);
    let mut start = 0;
    while start < len {
        // A part ends where a group of counter noise does.
        let part = (PART - place.offset(start, PART)).min(len - start);
        let z = on_stack.part(0, part);
        dispatch(Fill { place: place.skip(start), out: z.again() });
        job(start, part, Some((sigma, z.as_in())));
        start += part;
    }
}

/// The factor of noise, if there is any.
fn sigma(noise: Option<Term<'_>>) -> Option<f32> {
    noise.map(|(sigma, _)| sigma)
}

/// `x + z·σ`, or x where there is no noise: a branch, which is foreseen, and not a second kernel.
#[inline(always)]
fn noisy<L: Lanes>(l: L, x: L::F, z: Tile<'_>, at: usize, sigma: Option<L::F>) -> L::F {
    match sigma {
        Some(sigma) => x + l.load(z.get(at)) * sigma,
        None => x,
    }
}

/// [`impute`] of buffers x, m, d and z, which is not read if there is no noise.
struct Impute<'a> {
    ins: [In<'a>; 4],
    noise: Option<f32>,
    out: Out<'a>,
}

impl Kernel for Impute<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let sigma = self.noise.map(|sigma| l.splat(sigma));
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, &self.ins, from_ref(&self.out), &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some((ins, mut outs)) = run.next() {
                each_stored!(l: L, outs, non_temporal NONE, |at, _, _| {
                    let [x, m, d, z] = ins;
                    let [x, m, d] = [x, m, d].map(|x| l.load(x.get(at)));
                    [x * (l.splat(1.0) - m) + noisy(l, d, z, at, sigma) * m]
                });
            }
        }
    }
    const HIGHEST: SimdLevel = HIGHEST;
}

/// These take as long as memory does: wider registers gain nothing but in the nearest cache.
const HIGHEST: SimdLevel = SimdLevel::Avx2;

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
    fn run<L: Lanes>(&mut self, l: L) {
        let weight = l.splat(self.weight);
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, &self.ins, from_ref(&self.out), &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some((ins, mut outs)) = run.next() {
                each_stored!(l: L, outs, non_temporal NONE, |at, _, _| {
                    let [u, c] = ins.map(|x| l.load(x.get(at)));
                    [u + weight * (c - u)]
                });
            }
        }
    }
    const HIGHEST: SimdLevel = HIGHEST;
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
    fn run<L: Lanes>(&mut self, l: L) {
        let columns = splat(l, *self.matrix);
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, &self.ins, &self.outs, &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some((ins, mut outs)) = run.next() {
                each!(L, |at, _, _| {
                    store_mixed(l, ins.map(|x| l.load(x.get(at))), columns, &mut outs, at);
                });
            }
        }
    }
    const HIGHEST: SimdLevel = HIGHEST;
}

/// One sample's channels x with the first one, decoupled, replaced by that of `gray` and z·σ.
/// Noise is that of the first channel.
pub(crate) fn recolour(
    x: Planes<In<'_>>,
    gray: Planes<In<'_>>,
    noise: Option<NoiseTerm<'_>>,
    outs: &Planes<Out<'_>>,
) {
    let [first, ..] = outs;
    by_parts(first.len(), noise, &mut |start, len, noise| {
        let [x0, x1, x2] = x.map(|x| x.part(start, len));
        let [g0, g1, g2] = gray.map(|x| x.part(start, len));
        let z = noise.map_or(g0, |(_, z)| z);
        let outs = outs.each_ref().map(|out| out.part(start, len));
        dispatch(Recolour { ins: [x0, x1, x2, g0, g1, g2, z], noise: sigma(noise), outs });
    });
}

/// [`recolour`] of a sample's channels, those of the gray image and z, which is not read if there
/// is no noise.
struct Recolour<'a> {
    ins: [In<'a>; 7],
    noise: Option<f32>,
    outs: Planes<Out<'a>>,
}

impl Kernel for Recolour<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let (decouple, couple) = (splat(l, DECOUPLE), splat(l, COUPLE));
        let sigma = self.noise.map(|sigma| l.splat(sigma));
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, &self.ins, &self.outs, &mut pads);
        while let Some(mut run) = tiles.run() {
            while let Some((ins, mut outs)) = run.next() {
                each!(L, |at, _, _| {
                    let [x0, x1, x2, g0, g1, g2, z] = ins;
                    let [x, g] = [[x0, x1, x2], [g0, g1, g2]].map(|x| x.map(|x| l.load(x.get(at))));
                    let known = noisy(l, mixed(l, g, decouple[0]), z, at, sigma);
                    let y = [known, mixed(l, x, decouple[1]), mixed(l, x, decouple[2])];
                    store_mixed(l, y, couple, &mut outs, at);
                });
            }
        }
    }
    fn widest(&self) -> SimdLevel {
        self.outs.first().map_or(SimdLevel::Avx512, |out| widest_for_memory(out.len()))
    }
}

/// No output is stored non-temporally: samples are changed in place.
const NONE: usize = usize::MAX;
