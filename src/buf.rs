//! Raw views of the caller's buffers. An output may be uninitialised and may be the very memory of an input,
//! so no reference to a buffer's floats is ever made: values are copied in, and copied out. Everything unsafe
//! about that is here; kernels see tiles of [`GROUP`] floats and cannot leave them.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use crate::error::Error;

/// The unit of all elementwise work, in floats. A multiple of every register width, and of torch's 16.
pub(crate) const GROUP: usize = 64;

/// An input: `len` readable floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct In<'a> {
    ptr: *const f32,
    len: usize,
    lives: PhantomData<&'a [f32]>,
}

/// An output: `len` writable floats, which may be uninitialised.
#[derive(Clone, Copy, Debug)]
pub struct Out<'a> {
    ptr: *mut f32,
    len: usize,
    /// Whether nobody is waiting to read it.
    late: bool,
    lives: PhantomData<&'a mut [f32]>,
}

// SAFETY: an `In` is a shared borrow of floats and an `Out` an exclusive one; both may move between threads
// as the slices they stand for may.
unsafe impl Send for In<'_> {}
// SAFETY: as above.
unsafe impl Sync for In<'_> {}
// SAFETY: as above.
unsafe impl Send for Out<'_> {}

impl<'a> From<&'a [f32]> for In<'a> {
    fn from(slice: &'a [f32]) -> Self {
        Self { ptr: slice.as_ptr(), len: slice.len(), lives: PhantomData }
    }
}

impl<'a> From<&'a mut [f32]> for Out<'a> {
    fn from(slice: &'a mut [f32]) -> Self {
        Self { ptr: slice.as_mut_ptr(), len: slice.len(), late: false, lives: PhantomData }
    }
}

impl<'a> In<'a> {
    /// A view of raw memory.
    ///
    /// # Safety
    /// For all of `'a`, `ptr` must be aligned and readable for `len` floats, all initialised, and nothing but
    /// outputs of the same call may write there.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn from_raw(ptr: *const f32, len: usize) -> Self {
        Self { ptr, len, lives: PhantomData }
    }

    /// Number of floats.
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// The part that begins at `start` and has `len` floats, or as many as there are.
    pub(crate) fn part(self, start: usize, len: usize) -> Self {
        let start = start.min(self.len);
        // SAFETY: start ≤ self.len, so the pointer stays within the view or at its end.
        Self { ptr: unsafe { self.ptr.add(start) }, len: len.min(self.len - start), lives: PhantomData }
    }

    /// The floats, one by one.
    pub(crate) fn iter(self) -> impl Iterator<Item = f32> {
        // SAFETY: i < self.len, and a view's floats are readable and initialised.
        (0..self.len).map(move |i| unsafe { self.ptr.add(i).read() })
    }

    /// Copies the floats from `start` on into `to`, as many as there are.
    pub(crate) fn read(self, start: usize, to: &mut [f32]) {
        let rest = self.part(start, to.len());
        // SAFETY: both have rest.len floats, a view's are readable and initialised, and nothing else is where `to` is.
        unsafe { rest.ptr.copy_to_nonoverlapping(to.as_mut_ptr(), rest.len) }
    }

    /// The address range, as numbers.
    fn span(self) -> (usize, usize) {
        (self.ptr.addr(), self.ptr.addr().saturating_add(self.len.saturating_mul(size_of::<f32>())))
    }
}

impl<'a> Out<'a> {
    /// A view of raw memory.
    ///
    /// # Safety
    /// For all of `'a`, `ptr` must be aligned and writable for `len` floats, which nothing else accesses but
    /// inputs of the same call.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn from_raw(ptr: *mut f32, len: usize) -> Self {
        Self { ptr, len, late: false, lives: PhantomData }
    }

    /// Number of floats.
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// The part that begins at `start` and has `len` floats, or as many as there are.
    pub(crate) fn part(self, start: usize, len: usize) -> Self {
        let start = start.min(self.len);
        // SAFETY: start ≤ self.len, so the pointer stays within the view or at its end.
        let ptr = unsafe { self.ptr.add(start) };
        Self { ptr, len: len.min(self.len - start), ..self }
    }

    /// The same, as an output that is read late, if at all: it need not stay in a cache.
    pub(crate) fn late(self) -> Self {
        Self { late: true, ..self }
    }

    /// Writes the float at `i`, if there is one.
    pub(crate) fn set(self, i: usize, value: f32) {
        if i < self.len {
            // SAFETY: i < self.len, and a view's floats are writable.
            unsafe { self.ptr.add(i).write(value) }
        }
    }

    /// Writes `values` from `start` on, as many as there is room for.
    fn write(self, start: usize, values: &[f32]) {
        let room = self.part(start, values.len());
        // SAFETY: both have room.len floats, a view's are writable, and nobody else writes where `values` are.
        unsafe { room.ptr.copy_from_nonoverlapping(values.as_ptr(), room.len) }
    }

    /// Whether any float of it is one of `other`'s.
    pub(crate) fn overlaps(self, other: In<'_>) -> bool {
        let (a, b) = (self.as_in().span(), other.span());
        a.0 < b.1 && b.0 < a.1
    }

    /// The same memory as an input, for a step in place.
    pub(crate) fn as_in(self) -> In<'a> {
        In { ptr: self.ptr, len: self.len, lives: PhantomData }
    }
}

/// The buffers of a step: the sample it reads, the `prev_sample` it writes and, if asked for, the
/// `prev_sample_mean`. All have the same length; `prev_sample` may be the sample itself.
#[derive(Debug)]
pub struct Update<'a> {
    pub(crate) sample: In<'a>,
    pub(crate) prev_sample: Out<'a>,
    pub(crate) prev_sample_mean: Option<Out<'a>>,
}

impl<'a> Update<'a> {
    /// Reads `sample` and writes `prev_sample`.
    #[must_use]
    pub fn new(sample: &'a [f32], prev_sample: &'a mut [f32]) -> Self {
        Self { sample: sample.into(), prev_sample: prev_sample.into(), prev_sample_mean: None }
    }

    /// Reads `sample` and overwrites it with `prev_sample`.
    #[must_use]
    pub fn in_place(sample: &'a mut [f32]) -> Self {
        Self::over(Out::from(sample))
    }

    /// Reads and overwrites `sample`.
    pub(crate) fn over(sample: Out<'a>) -> Self {
        Self { sample: sample.as_in(), prev_sample: sample, prev_sample_mean: None }
    }

    /// Writes the `prev_sample_mean` as well: the update before the noise is added.
    #[must_use]
    pub fn with_mean(self, prev_sample_mean: &'a mut [f32]) -> Self {
        Self { prev_sample_mean: Some(prev_sample_mean.into()), ..self }
    }

    /// The part of all its buffers that begins at `start` and has `len` floats.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        Self {
            sample: self.sample.part(start, len),
            prev_sample: self.prev_sample.part(start, len),
            prev_sample_mean: self.prev_sample_mean.map(|mean| mean.part(start, len)),
        }
    }

    /// An output that is no input of the step: what it holds may be overwritten at once.
    pub(crate) fn spare(&self, model_output: In<'_>) -> Option<Out<'a>> {
        let is_input =
            |out: &Out<'_>| [self.sample.ptr, model_output.ptr].iter().any(|&x| core::ptr::eq(x, out.ptr));
        [Some(self.prev_sample), self.prev_sample_mean].into_iter().flatten().find(|out| !is_input(out))
    }

    /// Checks these buffers together with the further inputs of a step.
    pub(crate) fn check(&self, model_output: In<'_>, noise: Option<In<'_>>) -> Result<(), Error> {
        let ins = [self.sample, model_output, noise.unwrap_or(model_output)];
        match self.prev_sample_mean {
            Some(mean) => check(&ins, &[self.prev_sample, mean]),
            None => check(&ins, &[self.prev_sample]),
        }
    }
}

/// An array of as many floats as a register holds.
///
/// # Safety
/// `Self` must be `[f32; LEN]` itself: a type of that size and alignment for which any bits are valid.
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
            // SAFETY: tiles are made of GROUP writable floats only, at + LEN ≤ GROUP, and [f32; LEN]
            // is aligned where a float is.
            unsafe { self.ptr.add(at).cast::<A>().write(values) }
        }
    }

    /// Where [`put`](Self::put) would store the array, if it would and the place is aligned to all of it.
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

/// Walks buffers of one length tile by tile, in runs. Tiles that hang over an end are copies on the stack, with zeros where the buffers
/// have nothing.
///
/// These are loops of the caller's and not a function that takes a closure: a closure does not inherit the caller's target
/// features, so intrinsics in it would be calls. Where the loop over a run calls nothing, its constants stay in registers.
pub(crate) struct Tiles<'a, const I: usize, const O: usize> {
    ins: [In<'a>; I],
    outs: [Out<'a>; O],
    pads: &'a mut Pads<I, O>,
    len: usize,
    /// Where the next run begins: below zero if the first tile hangs over the beginning.
    next: isize,
    /// The first output that is stored past the caches.
    past: usize,
    /// Whether outputs of the last run, one tile, are in their pads.
    padded: bool,
}

/// Some tiles of [`Tiles`], one behind the other: all pointers are valid for `end` floats. `at` and `end` are multiples of [`GROUP`].
pub(crate) struct Run<'t, const I: usize, const O: usize> {
    ins: [*const f32; I],
    outs: [*mut f32; O],
    past: usize,
    at: usize,
    end: usize,
    lives: PhantomData<&'t mut [f32]>,
}

impl<'a, const I: usize, const O: usize> Tiles<'a, I, O> {
    /// All views must have the same length, or there are no tiles.
    pub(crate) fn new(ins: [In<'a>; I], outs: [Out<'a>; O], pads: &'a mut Pads<I, O>) -> Self {
        Self::hanging_over(0, ins, outs, pads)
    }

    /// Tiles that begin at multiples of `unit` floats in memory, as far as the first output is concerned: for a kernel that takes as long
    /// as memory does. To it, it does not matter where they begin, its registers would lie in two cache lines, and outputs may be stored
    /// past the caches. Short buffers are left as they are, since one more tile that hangs over would cost more.
    pub(crate) fn aligned(
        unit: usize,
        ins: [In<'a>; I],
        outs: [Out<'a>; O],
        pads: &'a mut Pads<I, O>,
    ) -> Self {
        let out = outs.first().filter(|out| out.len >= ALIGN_FROM);
        let lead = out.and_then(|out| (out.ptr.addr() / size_of::<f32>()).checked_rem(unit)).unwrap_or(0);
        let mut tiles = Self::hanging_over(lead, ins, outs, pads);
        if tiles.len >= PAST_FROM_IF_LATE {
            tiles.past = first_past(&ins, &outs, lead, unit);
        }
        tiles
    }

    /// Tiles of which the first begins `lead` floats, less than [`GROUP`], before the buffers.
    pub(crate) fn hanging_over(
        lead: usize,
        ins: [In<'a>; I],
        outs: [Out<'a>; O],
        pads: &'a mut Pads<I, O>,
    ) -> Self {
        let mut lens = ins.iter().map(|x| x.len).chain(outs.iter().map(|x| x.len));
        let len = lens.next().unwrap_or(0);
        let len = if lens.all(|other| other == len) { len } else { 0 };
        let next = if len > 0 { -lead.cast_signed() } else { 0 };
        Self { ins, outs, pads, len, next, past: O, padded: false }
    }

    /// The next tiles. To be called until there are none: what was stored before is in its place by then, for everybody.
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
        if self.past < O {
            far::fence();
        }
        None
    }

    #[inline(never)]
    fn next_run(&mut self) -> Option<Run<'_, I, O>> {
        if self.padded {
            self.write_back();
        }
        let start = self.next;
        let mut run = Run {
            ins: self.ins.map(|x| x.ptr.wrapping_offset(start)),
            outs: self.outs.map(|x| x.ptr.wrapping_offset(start)),
            past: self.past,
            at: 0,
            end: GROUP,
            lives: PhantomData,
        };
        if is_whole(start, self.len) {
            run.end = self.len.saturating_sub(start.unsigned_abs()) / GROUP * GROUP;
        } else {
            self.padded = true;
            run.past = O;
            pad_ins(&self.ins, &mut self.pads.ins, start, &mut run.ins);
            for (pad, ptr) in self.pads.outs.iter_mut().zip(&mut run.outs) {
                *ptr = pad.write([0.0; GROUP]).as_mut_ptr();
            }
        }
        self.next = start + run.end.cast_signed();
        Some(run)
    }

    /// Copies the pads of the tile before to the outputs.
    fn write_back(&mut self) {
        self.padded = false;
        // SAFETY: `padded` means that the tile before was handed out by `next_run`, which has initialised these pads.
        unsafe { write_back(&self.outs, &self.pads.outs, self.next - TILE) };
    }
}

/// Copies of the inputs' tiles at `start`, which hang over an end, with zeros around; and where they are.
#[inline(never)]
fn pad_ins(ins: &[In<'_>], pads: &mut [Pad], start: isize, tiles: &mut [*const f32]) {
    let (missing, from) = hang(start);
    for ((x, pad), tile) in ins.iter().zip(pads).zip(tiles) {
        let floats = pad.write([0.0; GROUP]);
        x.read(from, floats.get_mut(missing..).unwrap_or_default());
        *tile = floats.as_ptr();
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
    /// The outputs from this one on are worth storing past the caches, with `Lanes::put_past`; [`Tiles`] sees to it that such stores are
    /// in their place when there are no more runs.
    #[inline(always)]
    pub(crate) fn past(&self) -> usize {
        self.past
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

    /// The next tiles; asks for the inputs of those [`AHEAD`] of them. It pays where a tile takes long enough that the hardware's own
    /// prefetch falls asleep, which is where noise is made.
    #[inline(always)]
    pub(crate) fn next_and_fetch(&mut self) -> Option<([Tile<'_>; I], [TileMut<'_>; O])> {
        for ptr in self.ins {
            far::fetch(ptr.wrapping_add(self.at.wrapping_add(AHEAD)));
        }
        self.next()
    }
}

/// In floats, 2 KiB: best beyond the caches of Zen 3 and Zen 4 where memory is slow; where it is fast it matters little.
const AHEAD: usize = 8 * GROUP;

/// [`GROUP`], for positions.
const TILE: isize = GROUP as isize;

/// Whether a tile that begins at `start` lies within `len` floats.
fn is_whole(start: isize, len: usize) -> bool {
    (0..=len.cast_signed() - TILE).contains(&start)
}

/// The floats of a tile that hangs over an end: how many there are none for, and where the others begin.
fn hang(start: isize) -> (usize, usize) {
    (start.min(0).unsigned_abs(), start.max(0).unsigned_abs())
}

/// Outputs of this many floats are worth aligning to.
const ALIGN_FROM: usize = 4096;

/// Outputs of [`Tiles::aligned`] with this many floats, 32 MiB, are stored past the caches, which would read every line before it is
/// overwritten and lose what is needed next.
const PAST_FROM: usize = 1 << 23;

/// The same for outputs that nobody is waiting to read, 2 MiB.
const PAST_FROM_IF_LATE: usize = 1 << 19;

/// The first output of those, up to the last one, that are worth storing past the caches and can be: tiles aligned to `unit` floats, and
/// not read as well.
#[inline(never)]
fn first_past(ins: &[In<'_>], outs: &[Out<'_>], lead: usize, unit: usize) -> usize {
    let is_past = |out: &&Out<'_>| {
        let from = if out.late { PAST_FROM_IF_LATE } else { PAST_FROM };
        let aligned = out.ptr.wrapping_sub(lead).addr().is_multiple_of(unit * size_of::<f32>());
        far::STREAMS && out.len >= from && aligned && !ins.iter().any(|x| core::ptr::eq(x.ptr, out.ptr))
    };
    outs.len() - outs.iter().rev().take_while(is_past).count()
}

/// What x86 offers for memory beyond the caches.
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
mod far {
    #[cfg(target_arch = "x86")]
    use core::arch::x86::{_MM_HINT_T0, _mm_prefetch, _mm_sfence};
    #[cfg(target_arch = "x86_64")]
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _mm_sfence};

    use super::GROUP;

    /// Whether there are stores past the caches.
    pub(super) const STREAMS: bool = true;
    /// Floats of a cache line.
    const LINE: usize = 16;

    /// Asks for [`GROUP`] floats, which need not exist.
    #[inline(always)]
    pub(super) fn fetch(floats: *const f32) {
        for line in (0..GROUP).step_by(LINE) {
            // SAFETY: a prefetch accesses nothing, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(floats.wrapping_add(line).cast()) };
        }
    }

    /// Orders stores past the caches before all later ones.
    pub(super) fn fence() {
        // SAFETY: every machine with these stores has it.
        unsafe { _mm_sfence() };
    }
}

/// Elsewhere it is left to the hardware.
#[cfg(not(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2")))]
mod far {
    pub(super) const STREAMS: bool = false;

    #[inline(always)]
    pub(super) fn fetch(_: *const f32) {}

    pub(super) fn fence() {}
}

/// Checks what every operation asks of its buffers: inputs and outputs of the same length, at least one float,
/// and outputs that are disjoint from each other and equal to or disjoint from each input.
pub(crate) fn check(ins: &[In<'_>], outs: &[Out<'_>]) -> Result<(), Error> {
    let mut lens = ins.iter().map(|x| x.len).chain(outs.iter().map(|x| x.len));
    let len = lens.next().unwrap_or(0);
    if len == 0 {
        return Err(Error::Empty);
    }
    if lens.any(|other| other != len) {
        return Err(Error::LengthMismatch);
    }
    if len > isize::MAX as usize / size_of::<f32>() {
        return Err(Error::TooLarge);
    }
    for (i, out) in outs.iter().enumerate() {
        let clash = |&other: &In<'_>| !core::ptr::eq(other.ptr, out.ptr) && out.overlaps(other);
        if ins.iter().any(clash) || outs.iter().skip(i + 1).any(|x| out.overlaps(x.as_in())) {
            return Err(Error::Overlap);
        }
    }
    Ok(())
}
