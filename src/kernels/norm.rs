//! Sums of squares, in two ways: exact to `f64` and independent of how the work is split, and
//! torch's.

use core::array::from_ref;

use super::Source;
use super::normal::CounterGroups;
use crate::buf::{GROUP, Pads, Tile, Tiles};
use crate::simd::{Job, Kernel, LANES, Lanes, MAX_PARTS, SimdLevel, each, fma};

/// Floats whose squares are summed on their own: the unit in which a norm may be split.
pub(crate) const NORM_BLOCK: usize = 4096;

/// Sums that sixteen lanes take turns in, so that an addition need not wait for the one before it.
pub(super) const TURNS: usize = 2;

/// The sums of squares of each [`NORM_BLOCK`] floats, in `f64`, handed to `sink` in order.
///
/// Within a block, element i is added to lane i mod 32; then the lanes are added in order, from 0.
pub(crate) struct SumSquares<'a> {
    pub x: Source<'a>,
    pub len: usize,
    pub sink: &'a mut dyn FnMut(f64),
}

impl Kernel for SumSquares<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) {
        let zero = [[l.zero_d(); MAX_PARTS]; TURNS];
        match self.x {
            Source::Given(x) => {
                let mut sums = zero;
                let mut left = NORM_BLOCK / GROUP;
                let mut pads = Pads::new();
                let ins = [x.part(0, self.len)];
                let mut tiles = Tiles::new(&ins, &[], &mut pads);
                while let Some(mut run) = tiles.run() {
                    while !run.is_done() {
                        while left > 0
                            && let Some(([x], [])) = run.next()
                        {
                            add_tile(l, &mut sums, x);
                            left -= 1;
                        }
                        if left == 0 {
                            (self.sink)(add_up(l, &sums, 0));
                            (sums, left) = (zero, NORM_BLOCK / GROUP);
                        }
                    }
                }
                if left < NORM_BLOCK / GROUP {
                    (self.sink)(add_up(l, &sums, 0));
                }
            }
            Source::Counter(place) => {
                let offset = place.offset_in_group();
                let mut noise = CounterGroups::new(l, place);
                let mut start = 0;
                while start < self.len {
                    if start > 0 && offset > 0 {
                        // Back to the group that lies in the block before as well.
                        noise = CounterGroups::new(l, place.skip(start));
                    }
                    let mut sums = zero;
                    // Counted from the beginning of the first group.
                    let (mut at, end) = (0, offset + NORM_BLOCK.min(self.len - start));
                    while at < end {
                        let mut block = noise.block(l);
                        // Whole groups, in registers where there are enough.
                        while block.left > 0 && at >= offset && end - at >= GROUP {
                            let z = block.next(l);
                            each!(L, |_, part, row| add(l, &mut sums, part, row, z[part][row]));
                            at += GROUP;
                        }
                        noise.block = block;
                        if block.left > 0 && at < end {
                            let mut floats = noise.in_memory(l);
                            let kept = offset.saturating_sub(at)..GROUP.min(end - at);
                            if kept.len() < GROUP {
                                for (_, x) in floats.iter_mut().enumerate().filter(|(i, _)| !kept.contains(i))
                                {
                                    *x = 0.0;
                                }
                            }
                            // so that those of the loop above stay in registers
                            let mut elsewhere = sums;
                            l.outlined(AddTile { sums: &mut elsewhere, x: Tile::from(&floats) });
                            sums = elsewhere;
                            at += GROUP;
                        }
                    }
                    (self.sink)(add_up(l, &sums, offset));
                    start += NORM_BLOCK;
                }
            }
        }
    }
    fn widest(&self) -> SimdLevel {
        match self.x {
            // Wider conversions to f64 take a third longer on Zen 4. (On Emerald Rapids narrower
            // ones, in the L2 cache only, a seventh.)
            Source::Given(_) => SimdLevel::Avx2,
            Source::Counter(_) => SimdLevel::Avx512,
        }
    }
}

/// Sixteen lanes for each turn.
pub(super) type Sums<L> = [[<L as Lanes>::D; MAX_PARTS]; TURNS];

/// Adds the squares of a register of a group.
#[inline(always)]
fn add<L: Lanes>(l: L, sums: &mut Sums<L>, part: usize, row: usize, x: L::F) {
    let sum = &mut sums[row % TURNS][part];
    *sum = l.add_square(*sum, x);
}

/// Adds the squares of a tile.
#[inline(always)]
fn add_tile<L: Lanes>(l: L, sums: &mut Sums<L>, x: Tile<'_>) {
    // As with noise: where there is no room, the sums are in memory anyhow.
    if L::ROOMY {
        each!(L, |at, part, row| add(l, sums, part, row, l.load(x.get(at))));
    } else {
        l.outlined(AddTile { sums, x });
    }
}

/// [`add_tile`] in a function of its own.
struct AddTile<'a, 't, L: Lanes> {
    sums: &'a mut Sums<L>,
    x: Tile<'t>,
}

impl<L: Lanes> Job<L> for AddTile<'_, '_, L> {
    type Output = ();
    #[inline(always)]
    fn run(self, l: L) {
        let Self { sums, x } = self;
        each!(L, |at, part, row| add(l, sums, part, row, l.load(x.get(at))));
    }
}

/// The sum of the lanes in order, from lane `first` on.
#[inline(always)]
fn add_up<L: Lanes>(l: L, sums: &Sums<L>, first: usize) -> f64 {
    let mut lanes: LaneSums = [0.0; TURNS * LANES];
    for (lanes, sums) in lanes.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
        for (lanes, &sum) in lanes.chunks_mut(L::N).zip(sums) {
            l.store_d(lanes, sum);
        }
    }
    in_order(&lanes, first)
}

/// The lanes' sums in memory.
pub(super) type LaneSums = [f64; TURNS * LANES];

/// [`add_up`] of lanes in memory.
#[inline(never)]
pub(super) fn in_order(lanes: &LaneSums, first: usize) -> f64 {
    (first..first + lanes.len()).fold(0.0, |total, i| total + lanes[i % (TURNS * LANES)])
}

/// torch's 2-norm of contiguous `f32` on an x86 CPU, bit for bit (checked on torch 2.15 with AVX2
/// and AVX-512): eight `f32` sums without FMA, added in order; then the elements behind the last
/// whole eight, four at a time without FMA and the last up to three with it; then the root. The
/// norm of one element is its absolute value, without a square.
pub(crate) struct TorchNorm<'a> {
    pub x: Source<'a>,
    pub len: usize,
}

/// Lanes of torch's sum, on every machine.
const TORCH_LANES: usize = 8;

impl Kernel for TorchNorm<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<L: Lanes>(&mut self, l: L) -> f32 {
        let mut sums = [0.0_f32; TORCH_LANES];
        let mut tail = [0.0_f32; TORCH_LANES];
        let mut rest = self.len;
        let mut add = |tile: Tile<'_>| {
            for at in (0..GROUP).step_by(TORCH_LANES) {
                let eight: [f32; TORCH_LANES] = tile.get(at);
                if rest >= TORCH_LANES {
                    for (sum, x) in sums.iter_mut().zip(eight) {
                        *sum += x * x;
                    }
                    rest -= TORCH_LANES;
                } else if rest > 0 {
                    tail = eight;
                    rest = 0;
                }
            }
        };
        match self.x {
            Source::Given(x) => {
                let mut pads = Pads::new();
                let mut tiles = Tiles::new(from_ref(&x), &[], &mut pads);
                while let Some(mut run) = tiles.run() {
                    while let Some(([x], [])) = run.next() {
                        add(x);
                    }
                }
            }
            Source::Counter(place) => {
                let mut noise = CounterGroups::new(l, place);
                let (offset, mut groups) = (place.offset_in_group(), [[0.0; GROUP]; 2]);
                let count = (offset + self.len).div_ceil(GROUP);
                for i in 0..=count {
                    // What is added lies across two groups, the one before and this one; behind the
                    // last one it ends.
                    let next = if i < count { noise.in_memory(l) } else { [0.0; GROUP] };
                    groups = [groups[1], next];
                    if i > 0
                        && let Some(tile) = groups.as_flattened().get(offset..).and_then(<[f32]>::first_chunk)
                    {
                        add(Tile::from(tile));
                    }
                }
            }
        }
        let [mut total, rest @ ..] = sums;
        for sum in rest {
            total += sum;
        }
        let unfused = self.len % TORCH_LANES / 4 * 4;
        for (i, &x) in tail.iter().enumerate().take(self.len % TORCH_LANES) {
            total = if i < unfused { total + x * x } else { fma(x, x, total) };
        }
        if self.len == 1 { tail[0].abs() } else { libm::sqrtf(total) }
    }
}

/// torch's sum of `count` contiguous `f32`, taken one after the other: bit for bit, for any count,
/// as one thread of torch makes it on a CPU with AVX2 (`cascade_sum` of its `SumKernel.cpp`;
/// checked on torch 2.15).
///
/// Four partial sums take the values in turn, and the values behind the last whole four go to the
/// first; then the four are added in order. Each is a cascade: after `step` values its sum moves up
/// a level, after `step²` two levels, and so on; in the end the levels above are added to the
/// lowest, in order. From eight values on all this is done on vectors of eight, whose lanes are
/// then added, in order, to the sum of the values behind the last whole vector.
pub(crate) struct TorchSum {
    levels: [Partial; LEVELS],
    /// The sum of the values behind the last whole vector.
    rest: f32,
    /// Values of a vector: 1 or eight.
    width: usize,
    /// Whole vectors that are still to come, from the last of the fours on.
    fours_left: usize,
    vectors_left: usize,
    /// Which of the four is next, and which lane of it.
    turn: usize,
    lane: usize,
    /// Whole fours so far, and the logarithm of `step`.
    fours: usize,
    log_step: u32,
}

/// Levels of torch's cascade.
const LEVELS: usize = 4;

/// Four partial sums of a vector.
type Partial = [[f32; TORCH_LANES]; 4];

impl TorchSum {
    pub(crate) fn new(count: usize) -> Self {
        let width = if count < TORCH_LANES { 1 } else { TORCH_LANES };
        let vectors = count / width;
        let fours = vectors / 4;
        // ⌈log₂ fours⌉.
        let log = usize::BITS - fours.saturating_sub(1).leading_zeros();
        Self {
            levels: [[[0.0; TORCH_LANES]; 4]; LEVELS],
            rest: 0.0,
            width,
            fours_left: fours,
            vectors_left: vectors % 4,
            turn: 0,
            lane: 0,
            fours: 0,
            log_step: (log / LEVELS as u32).max(4),
        }
    }

    pub(crate) fn push(&mut self, x: f32) {
        let [lowest, ..] = &mut self.levels;
        if self.fours_left == 0 && self.vectors_left == 0 {
            self.rest += x;
        } else if let Some(sum) = lowest.get_mut(self.turn).and_then(|sums| sums.get_mut(self.lane)) {
            *sum += x;
            self.lane += 1;
            if self.lane == self.width {
                self.lane = 0;
                self.end_vector();
            }
        }
    }

    fn end_vector(&mut self) {
        if self.fours_left == 0 {
            self.vectors_left -= 1;
            return;
        }
        self.turn += 1;
        if self.turn == 4 {
            self.turn = 0;
            self.fours += 1;
            self.fours_left -= 1;
            self.cascade();
        }
    }

    /// Moves sums up where a level is full, and all of them down when the fours have ended.
    fn cascade(&mut self) {
        for level in 1..LEVELS {
            let below = self.fours & ((1 << (level as u32 * self.log_step)) - 1);
            if below != 0 {
                break;
            }
            self.add(level - 1, level);
        }
        if self.fours_left == 0 {
            for level in 1..LEVELS {
                self.add(level, 0);
            }
        }
    }

    /// Adds the sums of a level to another's, and clears them.
    fn add(&mut self, from: usize, to: usize) {
        let Some(sums) = self.levels.get_mut(from) else { return };
        let sums = core::mem::take(sums);
        let Some(totals) = self.levels.get_mut(to) else { return };
        for (total, sum) in totals.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
            *total += sum;
        }
    }

    pub(crate) fn total(self) -> f32 {
        let [[a, b, c, d], ..] = self.levels;
        let mut total = self.rest;
        for (((a, b), c), d) in a.into_iter().zip(b).zip(c).zip(d) {
            total += a + b + c + d;
        }
        total
    }
}

const _: () = assert!(NORM_BLOCK.is_multiple_of(GROUP));
