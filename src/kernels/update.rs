//! The elementwise updates: one pass, each element `mean = x + a·m`, `prev = mean + b·z`, and `x + b·z` alone.

use super::Source;
use super::normal::CounterGroups;
use crate::buf::{In, Out, Tile, TileMut, Update, for_each_tile};
use crate::simd::{Kernel, Lanes, each};

/// `prev_sample_mean = sample + drift·model_output`, `prev_sample = prev_sample_mean + diffusion·noise`.
pub(crate) struct Step<'a> {
    pub update: Update<'a>,
    pub model_output: In<'a>,
    pub noise: Source<'a>,
    pub drift: f32,
    pub diffusion: f32,
}

impl Kernel for Step<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Update { sample: x, prev_sample, prev_sample_mean } = self.update;
        let m = self.model_output;
        let (a, b) = (l.splat(self.drift), l.splat(self.diffusion));
        match (self.noise, prev_sample_mean) {
            (Source::Given(z), None) => for_each_tile([x, m, z], [prev_sample], |[x, m, z], outs| {
                step(l, a, b, x, m, |at, _, _| l.load(z.get(at)), outs);
            }),
            (Source::Given(z), Some(mean)) => {
                for_each_tile([x, m, z], [prev_sample, mean], |[x, m, z], outs| {
                    step(l, a, b, x, m, |at, _, _| l.load(z.get(at)), outs);
                });
            }
            (Source::Counter(place), mean) => {
                let mut noise = CounterGroups::new(l, place);
                match mean {
                    None => for_each_tile([x, m], [prev_sample], |[x, m], outs| {
                        let z = noise.next(l);
                        step(l, a, b, x, m, |_, part, row| z[part][row], outs);
                    }),
                    Some(mean) => for_each_tile([x, m], [prev_sample, mean], |[x, m], outs| {
                        let z = noise.next(l);
                        step(l, a, b, x, m, |_, part, row| z[part][row], outs);
                    }),
                }
            }
        }
    }
}

/// One tile of a step; the mean is the second output, if there is one.
#[inline(always)]
fn step<L: Lanes, const O: usize>(
    l: L,
    a: L::F,
    b: L::F,
    x: Tile<'_>,
    m: Tile<'_>,
    z: impl Fn(usize, usize, usize) -> L::F,
    mut outs: [TileMut<'_>; O],
) {
    each::<L>(|at, part, row| {
        // All inputs of these lanes are read before an output is written: the outputs may be the inputs.
        let mean = l.load(x.get(at)) + a * l.load(m.get(at));
        let prev = mean + b * z(at, part, row);
        for (out, values) in outs.iter_mut().zip([prev, mean]) {
            out.put(at, l.store(values));
        }
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
            Source::Given(z) => for_each_tile([self.x, z], [self.out], |[x, z], [mut out]| {
                each::<L>(|at, _, _| out.put(at, l.store(b * l.load(z.get(at)) + l.load(x.get(at)))));
            }),
            Source::Counter(place) => {
                let mut noise = CounterGroups::new(l, place);
                for_each_tile([self.x], [self.out], |[x], [mut out]| {
                    let z = noise.next(l);
                    each::<L>(|at, part, row| {
                        out.put(at, l.store(b * z[part][row] + l.load(x.get(at))));
                    });
                });
            }
        }
    }
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
        for_each_tile([self.x], [self.out], |[x], [mut out]| {
            each::<L>(|at, _, _| out.put(at, l.store(b * l.load(x.get(at)))));
        });
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
        for_each_tile([self.x], [self.out], |[x], [mut out]| {
            each::<L>(|at, _, _| {
                let x = l.load(x.get(at));
                let x = l.select(l.less(x, zero), zero, x);
                out.put(at, l.store(l.select(l.less(one, x), one, x)));
            });
        });
    }
}
