//! Tiles of the caller's buffers, which kernels walk through.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use super::view::{In, Out};
use super::{GROUP, stream};

/// An array of as many floats as a register holds.
///
/// # Safety
/// `Self` must be `[f32; LEN]` itself: a type of that size and alignment for which any bits are
/// valid.
pub(crate) unsafe trait Floats: Copy {
    /// Its length.
    const LEN: usize;
    /// All zeros.
    const ZERO: Self;
}

// SAFETY: the type is [f32; N].
unsafe impl<const N: usize> Floats for [f32; N] {
    const LEN: usize = N;
    const ZERO: Self = [0.0; N];
}

/// [`GROUP`] readable floats.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'t> {
    ptr: *const f32,
    lives: PhantomData<&'t [f32]>,
}

impl<'t> From<&'t [f32; GROUP]> for Tile<'t> {
    #[inline(always)]
    fn from(floats: &'t [f32; GROUP]) -> Self {
        Self { ptr: floats.as_ptr(), lives: PhantomData }
    }
}

impl Tile<'_> {
    /// The floats from `at` on; zeros where that would leave the tile.
    #[inline(always)]
    pub(crate) fn get<A: Floats>(self, at: usize) -> A {
        if at > GROUP || A::LEN > GROUP - at {
            return A::ZERO;
        }
        // SAFETY: tiles are made of GROUP initialised floats only, at + LEN ≤ GROUP, and [f32; LEN]
        // is aligned where a float is.
        unsafe { self.ptr.add(at).cast::<A>().read() }
    }
}

/// [`GROUP`] writable floats.
pub(crate) struct TileMut<'t> {
    ptr: *mut f32,
    lives: PhantomData<&'t mut [f32]>,
}

impl TileMut<'_> {
    /// Stores floats from `at` on; nothing where that would leave the tile.
    #[inline(always)]
    pub(crate) fn put<A: Floats>(&mut self, at: usize, values: A) {
        if at <= GROUP && A::LEN <= GROUP - at {
            // SAFETY: tiles are made of GROUP writable floats only, at + LEN ≤ GROUP, and [f32;
            // LEN] is aligned where a float is.
            unsafe { self.ptr.add(at).cast::<A>().write(values) }
        }
    }

    /// Where [`put`](Self::put) would store the array, if it would and the place is aligned to all
    /// of it.
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    #[inline(always)]
    pub(crate) fn aligned<A: Floats>(&mut self, at: usize) -> Option<*mut f32> {
        let to = self.ptr.wrapping_add(at);
        let inside = at <= GROUP && A::LEN <= GROUP - at;
        (inside && to.addr().is_multiple_of(size_of::<A>())).then_some(to)
    }
}

/// Room for tiles that hang over an end of the buffers. Apart from [`Tiles`], which moves.
pub(crate) struct Pads<const I: usize, const O: usize> {
    ins: [Pad; I],
    outs: [Pad; O],
}

/// Room for a tile.
type Pad = MaybeUninit<[f32; GROUP]>;

impl<const I: usize, const O: usize> Pads<I, O> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { ins: [const { MaybeUninit::uninit() }; I], outs: [const { MaybeUninit::uninit() }; O] }
    }
}

/// Walks buffers of one length tile by tile, in runs. Tiles that hang over an end are copies on the
/// stack, with zeros where the buffers have nothing.
///
/// These are loops of the caller's and not a function that takes a closure: a closure does not
/// inherit the caller's target features, so intrinsics in it would be calls. Where the loop over a
/// run calls nothing, its constants stay in registers.
///
/// The views stay where they are: a copy made by wider registers than wrote them waits until all
/// that was stored before has reached the cache.
pub(crate) struct Tiles<'a, const I: usize, const O: usize> {
    ins: &'a [In<'a>; I],
    outs: &'a [Out<'a>; O],
    pads: &'a mut Pads<I, O>,
    len: usize,
    /// Where the next run begins: below zero if the first tile hangs over the beginning.
    next: isize,
    /// The first output that is stored non-temporally.
    non_temporal: usize,
    /// Whether outputs of the last run, one tile, are in their pads.
    padded: bool,
}

/// Some tiles of [`Tiles`], one behind the other: all pointers are valid for `end` floats. `at` and
/// `end` are multiples of [`GROUP`].
pub(crate) struct Run<'t, const I: usize, const O: usize> {
    ins: [*const f32; I],
    outs: [*mut f32; O],
    non_temporal: usize,
    at: usize,
    end: usize,
    lives: PhantomData<&'t mut [f32]>,
}

impl<'a, const I: usize, const O: usize> Tiles<'a, I, O> {
    /// All views must have the same length, or there are no tiles.
    pub(crate) fn new(ins: &'a [In<'a>; I], outs: &'a [Out<'a>; O], pads: &'a mut Pads<I, O>) -> Self {
        Self::overhanging(0, ins, outs, pads)
    }

    /// Tiles that begin at multiples of `unit` floats in memory, as far as the first output is
    /// concerned: for a kernel that takes as long as memory does. To it, it does not matter where
    /// they begin, its registers would lie in two cache lines, and outputs may be stored
    /// non-temporally. Short buffers are left as they are, since one more tile that hangs over
    /// would cost more.
    pub(crate) fn aligned(
        unit: usize,
        ins: &'a [In<'a>; I],
        outs: &'a [Out<'a>; O],
        pads: &'a mut Pads<I, O>,
    ) -> Self {
        let out = outs.first().filter(|out| out.len >= ALIGN_FROM);
        let overhang = out.and_then(|out| (out.ptr.addr() / size_of::<f32>()).checked_rem(unit)).unwrap_or(0);
        let mut tiles = Self::overhanging(overhang, ins, outs, pads);
        if tiles.len >= NON_TEMPORAL_FROM_IF_UNREAD {
            tiles.non_temporal = first_non_temporal(ins, outs, overhang, unit);
        }
        tiles
    }

    /// Tiles of which the first begins `overhang` floats, less than [`GROUP`], before the buffers.
    pub(crate) fn overhanging(
        overhang: usize,
        ins: &'a [In<'a>; I],
        outs: &'a [Out<'a>; O],
        pads: &'a mut Pads<I, O>,
    ) -> Self {
        let len = common_len(ins, outs);
        let next = if len > 0 { -overhang.cast_signed() } else { 0 };
        Self { ins, outs, pads, len, next, non_temporal: O, padded: false }
    }

    /// The next tiles. To be called until there are none: what was stored before is in its place by
    /// then, for everybody.
    #[inline(always)]
    pub(crate) fn run(&mut self) -> Option<Run<'_, I, O>> {
        if self.next >= self.len.cast_signed() { self.end() } else { self.next_run() }
    }

    /// What is left to do behind the last tile.
    #[inline(always)]
    fn end<T>(&mut self) -> Option<T> {
        if self.padded {
            self.write_back();
        }
        if self.non_temporal < O {
            stream::fence();
        }
        None
    }

    #[inline(never)]
    fn next_run(&mut self) -> Option<Run<'_, I, O>> {
        if self.padded {
            self.write_back();
        }
        let start = self.next;
        let (at, lives) = (0, PhantomData);
        if is_whole(start, self.len) {
            let end = self.len.saturating_sub(start.unsigned_abs()) / GROUP * GROUP;
            self.next = start + end.cast_signed();
            let ins = self.ins.each_ref().map(|x| x.ptr.wrapping_offset(start));
            let outs = self.outs.each_ref().map(|x| x.ptr.wrapping_offset(start));
            return Some(Run { ins, outs, non_temporal: self.non_temporal, at, end, lives });
        }
        (self.padded, self.next) = (true, start + TILE);
        pad_ins(self.ins, &mut self.pads.ins, start);
        let ins = self.pads.ins.each_ref().map(|pad| pad.as_ptr().cast());
        let outs = self.pads.outs.each_mut().map(|pad| pad.write([0.0; GROUP]).as_mut_ptr());
        Some(Run { ins, outs, non_temporal: O, at, end: GROUP, lives })
    }

    /// Copies the pads of the tile before to the outputs.
    fn write_back(&mut self) {
        self.padded = false;
        // SAFETY: `padded` means that the tile before was handed out by `next_run`, which has
        // initialised these pads.
        unsafe { write_back(self.outs, &self.pads.outs, self.next - TILE) };
    }
}

/// The length of all views, or 0 if there is none.
#[inline(never)]
fn common_len(ins: &[In<'_>], outs: &[Out<'_>]) -> usize {
    let len = ins.first().map(|x| x.len).or(outs.first().map(|out| out.len)).unwrap_or(0);
    let is_common = ins.iter().all(|x| x.len == len) && outs.iter().all(|out| out.len == len);
    if is_common { len } else { 0 }
}

/// Copies of the inputs' tiles at `start`, which hang over an end, with zeros around.
#[inline(never)]
fn pad_ins(ins: &[In<'_>], pads: &mut [Pad], start: isize) {
    let (missing, from) = hang(start);
    for (x, pad) in ins.iter().zip(pads) {
        let floats = pad.write([0.0; GROUP]);
        x.read(from, floats.get_mut(missing..).unwrap_or_default());
    }
}

/// Copies the outputs' pads to where they belong, the tile at `start`.
///
/// # Safety
/// The pads are initialised.
#[inline(never)]
unsafe fn write_back(outs: &[Out<'_>], pads: &[Pad], start: isize) {
    let (missing, from) = hang(start);
    for (out, pad) in outs.iter().zip(pads) {
        // SAFETY: this function's own condition.
        let floats = unsafe { pad.assume_init_ref() };
        out.write(from, floats.get(missing..).unwrap_or_default());
    }
}

impl<const I: usize, const O: usize> Run<'_, I, O> {
    /// The outputs from this one on are worth storing non-temporally, with
    /// `Lanes::put_non_temporal`; [`Tiles`] sees to it that such stores are in their place when
    /// there are no more runs.
    #[inline(always)]
    pub(crate) fn non_temporal(&self) -> usize {
        self.non_temporal
    }

    /// How many outputs there are.
    #[inline(always)]
    pub(crate) fn outs(&self) -> usize {
        O
    }

    /// Whether there are no more tiles.
    #[inline(always)]
    pub(crate) fn is_done(&self) -> bool {
        self.at == self.end
    }

    /// The next tiles of the run.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<([Tile<'_>; I], [TileMut<'_>; O])> {
        if self.is_done() {
            return None;
        }
        let at = self.at;
        self.at += GROUP;
        Some((
            self.ins.map(|ptr| Tile { ptr: ptr.wrapping_add(at), lives: PhantomData }),
            self.outs.map(|ptr| TileMut { ptr: ptr.wrapping_add(at), lives: PhantomData }),
        ))
    }

    /// The next tiles; asks for the inputs of those [`AHEAD`] of them. It pays where a tile takes
    /// long enough that the hardware's own prefetch falls asleep, which is where noise is made.
    #[inline(always)]
    pub(crate) fn next_and_prefetch(&mut self) -> Option<([Tile<'_>; I], [TileMut<'_>; O])> {
        for ptr in self.ins {
            stream::prefetch(ptr.wrapping_add(self.at.wrapping_add(AHEAD)));
        }
        self.next()
    }
}

/// In floats, 2 KiB: best beyond the caches of Zen 3 and Zen 4 where memory is slow; where it is
/// fast it matters little.
const AHEAD: usize = 8 * GROUP;

/// [`GROUP`], for positions.
const TILE: isize = GROUP as isize;

/// Whether a tile that begins at `start` lies within `len` floats.
fn is_whole(start: isize, len: usize) -> bool {
    (0..=len.cast_signed() - TILE).contains(&start)
}

/// The floats of a tile that hangs over an end: how many there are none for, and where the others
/// begin.
fn hang(start: isize) -> (usize, usize) {
    (start.min(0).unsigned_abs(), start.max(0).unsigned_abs())
}

/// Outputs of this many floats are worth aligning to.
const ALIGN_FROM: usize = 4096;

/// Outputs of [`Tiles::aligned`] with this many floats, 32 MiB, are stored non-temporally, which
/// would read every line before it is overwritten and lose what is needed next.
const NON_TEMPORAL_FROM: usize = 1 << 23;

/// The same for outputs that nobody is waiting to read, 2 MiB.
const NON_TEMPORAL_FROM_IF_UNREAD: usize = 1 << 19;

/// The first output of those, up to the last one, that are worth storing non-temporally and can be:
/// tiles aligned to `unit` floats, and not read as well.
#[inline(never)]
fn first_non_temporal(ins: &[In<'_>], outs: &[Out<'_>], overhang: usize, unit: usize) -> usize {
    let is_worth_it = |out: &&Out<'_>| {
        let from = if out.unread { NON_TEMPORAL_FROM_IF_UNREAD } else { NON_TEMPORAL_FROM };
        let aligned = out.ptr.wrapping_sub(overhang).addr().is_multiple_of(unit * size_of::<f32>());
        stream::NON_TEMPORAL
            && out.len >= from
            && aligned
            && !ins.iter().any(|x| core::ptr::eq(x.ptr, out.ptr))
    };
    outs.len() - outs.iter().rev().take_while(is_worth_it).count()
}
