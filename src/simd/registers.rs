//! The common parts of the `core::arch` files: registers with operators, and operations of
//! intrinsics.

/// A register, and the operators that are one instruction on it.
macro_rules! register {
    ($name:ident($raw:ty) $($trait:ident $method:ident $intrinsic:ident)*) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name($raw);
        $(impl $trait for $name {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: only operations of `Lanes` make registers: the machine has them.
                Self(unsafe { $intrinsic(self.0, other.0) })
            }
        })*
    };
}
pub(super) use register;

/// Two registers of doubles that stand for one of as many floats, and their operators.
macro_rules! doubles {
    ($name:ident($raw:ty) $($trait:ident $method:ident $intrinsic:ident)*) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name([$raw; 2]);
        $(impl $trait for $name {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let ([a, b], [c, d]) = (self.0, other.0);
                // SAFETY: only operations of `Lanes` make registers: the machine has them.
                Self(unsafe { [$intrinsic(a, c), $intrinsic(b, d)] })
            }
        })*
    };
}
pub(super) use doubles;

/// Defines operations of [`Lanes`], each one expression of intrinsics.
macro_rules! operations {
    ($($name:ident $(<const $k:ident>)? ($($arg:ident: $in:ty),*) -> $out:ty = $body:expr;)*) => {
        $(#[inline(always)]
        fn $name $(<const $k: u32>)? (self $(, $arg: $in)*) -> $out {
            // SAFETY: `self` proves the instructions; loads and stores are of whole arrays.
            unsafe { $body }
        })*
    };
}
pub(super) use operations;
