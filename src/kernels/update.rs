//! The elementwise updates: one pass, each element `mean = x + a·m`, `prev = mean + b·z`, and `x + b·z` alone.

use super::Source;
use super::normal::CounterGroups;
use crate::buf::{In, Out, Pads, Tile, TileMut, Tiles, Update};
use crate::simd::{Group, Kernel, Lanes, SimdLevel, each_stored, widest_for_memory};

/// Runs a block for each of some tiles. A kernel that takes as long as memory does stores outputs past the caches where it pays, those
/// from `PAST` on.
macro_rules! each_tile {
    ($tiles:expr, |$past:ident, $ins:pat_param, $outs:pat_param| $body:expr) => {
        while let Some(mut run) = $tiles.run() {
            match run.past() {
                0 => {
                    const $past: usize = 0;
                    while let Some(($ins, $outs)) = run.next() {
                        $body
                    }
                }
                1 if run.outs() == 2 => {
                    const $past: usize = 1;
                    while let Some(($ins, $outs)) = run.next() {
                        $body
                    }
                }
                _ => {
                    const $past: usize = NONE;
                    while let Some(($ins, $outs)) = run.next() {
                        $body
                    }
                }
            }
        }
    };
}

/// `prev_sample_mean = sample + drift·model_output`, `prev_sample = prev_sample_mean + diffusion·noise`.
pub(crate) struct Step<'a> {
    pub update: Update<'a>,
    pub model_output: In<'a>,
    pub noise: Source<'a>,
    pub drift: f32,
    pub diffusion: f32,
}

/// No output goes past the caches: where noise is made there is time to read the lines that are overwritten, and elsewhere for short
/// buffers and their ends.
const NONE: usize = usize::MAX;

/// The noise of one tile.
#[derive(Clone, Copy)]
enum Noise<'t, 'g, L: Lanes> {
    Given(Tile<'t>),
    Made(&'g Group<L>),
}

impl<L: Lanes> Noise<'_, '_, L> {
    #[inline(always)]
    fn get(self, l: L, at: usize, part: usize, row: usize) -> L::F {
        match self {
            Self::Given(tile) => l.load(tile.get(at)),
            Self::Made(group) => group[part][row],
        }
    }
}

impl Step<'_> {
    #[inline(always)]
    fn run_with<L: Lanes, const O: usize>(self, l: L, outs: [Out<'_>; O]) {
        let (x, m) = (self.update.sample, self.model_output);
        let factors = (l.splat(self.drift), l.splat(self.diffusion));
        match self.noise {
            Source::Given(z) => {
                let mut pads = Pads::new();
                let mut tiles = Tiles::aligned(L::N, [x, m, z], outs, &mut pads);
                each_tile!(tiles, |PAST, [x, m, z], outs| step::<L, O, PAST>(
                    l,
                    factors,
                    x,
                    m,
                    Noise::Given(z),
                    outs
                ));
            }
            Source::Counter(place) => {
                let mut noise = CounterGroups::new(l, place);
                let mut pads = Pads::new();
                let mut tiles = Tiles::hanging_over(place.lead(), [x, m], outs, &mut pads);
                while let Some(mut run) = tiles.run() {
                    while !run.is_done() {
                        let mut block = noise.block(l);
                        while block.left > 0
                            && let Some(([x, m], outs)) = run.next_and_fetch()
                        {
                            step::<L, O, NONE>(l, factors, x, m, Noise::Made(&block.next(l)), outs);
                        }
                        noise.block = block;
                    }
                }
            }
        }
    }
}

impl Kernel for Step<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let prev_sample = self.update.prev_sample;
        match self.update.prev_sample_mean {
            None => self.run_with(l, [prev_sample]),
            Some(mean) => self.run_with(l, [prev_sample, mean.late()]),
        }
    }
    fn widest(&self) -> SimdLevel {
        self.noise.widest()
    }
}

/// One tile of a step; the mean is the second output, if there is one. Outputs from `PAST` on are stored past the caches.
#[inline(always)]
fn step<L: Lanes, const O: usize, const PAST: usize>(
    l: L,
    (a, b): (L::F, L::F),
    x: Tile<'_>,
    m: Tile<'_>,
    z: Noise<'_, '_, L>,
    mut outs: [TileMut<'_>; O],
) {
    // All inputs of these lanes are read before an output is written: the outputs may be the inputs.
    each_stored!(l: L, outs, past PAST, |at, part, row| {
        let mean = l.load(x.get(at)) + a * l.load(m.get(at));
        [mean + b * z.get(l, at, part, row), mean]
    });
}

/// `out = x + scale·noise`.
pub(crate) struct AddNoise<'a> {
    pub x: In<'a>,
    pub noise: Source<'a>,
    pub scale: f32,
    pub out: Out<'a>,
}

impl Kernel for AddNoise<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let b = l.splat(self.scale);
        match self.noise {
            Source::Given(z) => {
                let mut pads = Pads::new();
                let mut tiles = Tiles::aligned(L::N, [self.x, z], [self.out], &mut pads);
                each_tile!(tiles, |PAST, [x, z], outs| add::<L, PAST>(l, b, x, Noise::Given(z), outs));
            }
            Source::Counter(place) => {
                let mut noise = CounterGroups::new(l, place);
                let mut pads = Pads::new();
                let mut tiles = Tiles::hanging_over(place.lead(), [self.x], [self.out], &mut pads);
                while let Some(mut run) = tiles.run() {
                    while !run.is_done() {
                        let mut block = noise.block(l);
                        while block.left > 0
                            && let Some(([x], outs)) = run.next_and_fetch()
                        {
                            add::<L, NONE>(l, b, x, Noise::Made(&block.next(l)), outs);
                        }
                        noise.block = block;
                    }
                }
            }
        }
    }
    fn widest(&self) -> SimdLevel {
        self.noise.widest()
    }
}

/// One tile of [`AddNoise`].
#[inline(always)]
fn add<L: Lanes, const PAST: usize>(
    l: L,
    b: L::F,
    x: Tile<'_>,
    z: Noise<'_, '_, L>,
    mut out: [TileMut<'_>; 1],
) {
    each_stored!(l: L, out, past PAST, |at, part, row| [b * z.get(l, at, part, row) + l.load(x.get(at))]);
}

/// `out = scale·x`.
pub(crate) struct Scale<'a> {
    pub x: In<'a>,
    pub scale: f32,
    pub out: Out<'a>,
}

impl Kernel for Scale<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let b = l.splat(self.scale);
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, [self.x], [self.out], &mut pads);
        each_tile!(
            tiles,
            |PAST, [x], mut out| each_stored!(l: L, out, past PAST, |at, _, _| [b * l.load(x.get(at))])
        );
    }
    fn widest(&self) -> SimdLevel {
        widest_for_memory(self.out.len())
    }
}

/// `out` = `x` clamped to 0..=1, NaN left as it is.
pub(crate) struct ClampUnit<'a> {
    pub x: In<'a>,
    pub out: Out<'a>,
}

impl Kernel for ClampUnit<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (zero, one) = (l.splat(0.0), l.splat(1.0));
        let mut pads = Pads::new();
        let mut tiles = Tiles::aligned(L::N, [self.x], [self.out], &mut pads);
        each_tile!(tiles, |PAST, [x], mut out| each_stored!(l: L, out, past PAST, |at, _, _| {
            let x = l.load(x.get(at));
            let x = l.select(l.less(x, zero), zero, x);
            [l.select(l.less(one, x), one, x)]
        }));
    }
    fn widest(&self) -> SimdLevel {
        widest_for_memory(self.out.len())
    }
}
