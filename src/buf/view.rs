//! Inputs and outputs of one call, and what every operation asks of them.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use crate::error::Error;

/// An input: floats that somebody owns. Slices, arrays and vectors convert to it.
#[derive(Clone, Copy, Debug)]
pub struct In<'a> {
    pub(super) ptr: *const f32,
    pub(super) len: usize,
    lives: PhantomData<&'a [f32]>,
}

/// An output: floats that somebody owns, which may be uninitialised. Slices and arrays of `f32` and
/// of `MaybeUninit<f32>` convert to it; after a call that succeeds all are initialised.
// Not Copy, or safe code could write from two threads.
#[derive(Debug)]
pub struct Out<'a> {
    pub(super) ptr: *mut f32,
    pub(super) len: usize,
    /// Whether nobody is waiting to read it.
    pub(super) unread: bool,
    lives: PhantomData<&'a mut [f32]>,
}

// SAFETY: an `In` is a shared borrow of floats and an `Out` an exclusive one; both may move between
// threads as the slices they stand for may.
unsafe impl Send for In<'_> {}
// SAFETY: as above.
unsafe impl Sync for In<'_> {}
// SAFETY: as above.
unsafe impl Send for Out<'_> {}

impl<'a, T: AsRef<[f32]> + ?Sized> From<&'a T> for In<'a> {
    fn from(floats: &'a T) -> Self {
        let floats = floats.as_ref();
        Self { ptr: floats.as_ptr(), len: floats.len(), lives: PhantomData }
    }
}

impl<'a> From<&'a mut [MaybeUninit<f32>]> for Out<'a> {
    fn from(floats: &'a mut [MaybeUninit<f32>]) -> Self {
        Self { ptr: floats.as_mut_ptr().cast(), len: floats.len(), unread: false, lives: PhantomData }
    }
}

impl<'a> From<&'a mut [f32]> for Out<'a> {
    fn from(floats: &'a mut [f32]) -> Self {
        Self { ptr: floats.as_mut_ptr(), len: floats.len(), unread: false, lives: PhantomData }
    }
}

impl<'a, const N: usize> From<&'a mut [MaybeUninit<f32>; N]> for Out<'a> {
    fn from(floats: &'a mut [MaybeUninit<f32>; N]) -> Self {
        floats.as_mut_slice().into()
    }
}

impl<'a, const N: usize> From<&'a mut [f32; N]> for Out<'a> {
    fn from(floats: &'a mut [f32; N]) -> Self {
        floats.as_mut_slice().into()
    }
}

impl<'a> In<'a> {
    /// No floats.
    pub(crate) const NONE: Self = Self { ptr: core::ptr::dangling(), len: 0, lives: PhantomData };

    /// A view of raw memory.
    ///
    /// # Safety
    /// For all of `'a`, `ptr` must be aligned and readable for `len` floats, all initialised, and
    /// nothing but outputs of the same call may write there.
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
        // SAFETY: both have rest.len floats, a view's are readable and initialised, and nothing
        // else is where `to` is.
        unsafe { rest.ptr.copy_to_nonoverlapping(to.as_mut_ptr(), rest.len) }
    }

    /// The address range, as numbers.
    fn span(self) -> (usize, usize) {
        (self.ptr.addr(), self.ptr.addr().saturating_add(self.len.saturating_mul(size_of::<f32>())))
    }
}

impl<'a> Out<'a> {
    /// No floats.
    pub(crate) const NONE: Self =
        Self { ptr: core::ptr::dangling_mut(), len: 0, unread: false, lives: PhantomData };

    /// A view of raw memory.
    ///
    /// # Safety
    /// For all of `'a`, `ptr` must be aligned and writable for `len` floats, which nothing else
    /// accesses but inputs of the same call.
    #[cfg(feature = "capi")]
    pub(crate) unsafe fn from_raw(ptr: *mut f32, len: usize) -> Self {
        Self { ptr, len, unread: false, lives: PhantomData }
    }

    /// Number of floats.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The part that begins at `start` and has `len` floats, or as many as there are.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        let start = start.min(self.len);
        // SAFETY: start ≤ self.len, so the pointer stays within the view or at its end.
        let ptr = unsafe { self.ptr.add(start) };
        Self { ptr, len: len.min(self.len - start), unread: self.unread, lives: PhantomData }
    }

    /// The same memory once more, for the passes of one call.
    pub(crate) fn again(&self) -> Self {
        self.part(0, self.len)
    }

    /// The same, as an output that is read late, if at all: it need not stay in a cache.
    pub(crate) fn unread(&self) -> Self {
        Self { unread: true, ..self.again() }
    }

    /// Writes the float at `i`, if there is one.
    pub(crate) fn set(&self, i: usize, value: f32) {
        if i < self.len {
            // SAFETY: i < self.len, and a view's floats are writable.
            unsafe { self.ptr.add(i).write(value) }
        }
    }

    /// Writes `values` from `start` on, as many as there is room for.
    pub(crate) fn write(&self, start: usize, values: &[f32]) {
        let room = self.part(start, values.len());
        // SAFETY: both have room.len floats, a view's are writable, and nobody else writes where
        // `values` are.
        unsafe { room.ptr.copy_from_nonoverlapping(values.as_ptr(), room.len) }
    }

    /// Whether any float of it is one of `other`'s.
    pub(crate) fn overlaps(&self, other: In<'_>) -> bool {
        let (a, b) = (self.as_in().span(), other.span());
        a.0.max(b.0) < a.1.min(b.1)
    }

    /// Whether it is the very memory of an input.
    pub(crate) fn is(&self, other: In<'_>) -> bool {
        core::ptr::eq(self.ptr, other.ptr)
    }

    /// The same memory as an input, for a step in place.
    pub(crate) fn as_in(&self) -> In<'a> {
        In { ptr: self.ptr, len: self.len, lives: PhantomData }
    }
}

/// Checks what every operation asks of its buffers: inputs and outputs of the same length, at least
/// one float, and outputs that are disjoint from each other and equal to or disjoint from each
/// input.
#[inline(never)] // so that it is in the library once
pub(crate) fn check(ins: &[In<'_>], outs: &[&Out<'_>]) -> Result<(), Error> {
    let len = ins.first().map_or_else(|| outs.first().map_or(0, |out| out.len), |x| x.len);
    if len == 0 {
        return Err(Error::Empty);
    }
    if ins.iter().any(|x| x.len != len) || outs.iter().any(|out| out.len != len) {
        return Err(Error::LengthMismatch);
    }
    let bytes = len.checked_mul(size_of::<f32>()).filter(|&bytes| bytes <= isize::MAX as usize);
    let bytes = bytes.ok_or(Error::TooLarge)?;
    for (i, out) in outs.iter().enumerate() {
        let apart = |ptr: *const f32| ptr.addr().abs_diff(out.ptr.addr());
        let clash = |x: &In<'_>| (1..bytes).contains(&apart(x.ptr));
        if ins.iter().any(clash) || outs.iter().skip(i + 1).any(|other| apart(other.ptr) < bytes) {
            return Err(Error::Overlap);
        }
    }
    Ok(())
}
