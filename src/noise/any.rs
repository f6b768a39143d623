//! One type for all kinds of generators, so that an engine writes one wrapper and a sampler can
//! draw by itself.

use super::generator::{Generator, Paired, sealed};
use super::torch_cpu::{from_words, sign, unit};
use super::{Counter, CudaGrid, Numpy, TorchCpu, TorchCuda};
use crate::buf::Out;
use crate::error::Error;

/// The kind of a generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
#[non_exhaustive]
pub enum GeneratorKind {
    /// Counter noise, one stream for each draw, as in the sampler.
    #[default]
    Counter = 0,
    /// torch's on the CPU.
    TorchCpu = 1,
    /// torch's on a GPU.
    TorchCuda = 2,
    /// NumPy's `RandomState`.
    Numpy = 3,
}

/// A generator of any kind, with the state of that kind. Plain data, owned by the caller: a copy
/// continues like the original.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AnyGenerator {
    /// torch on the CPU, and NumPy. It comes first, where vector loads are most likely aligned.
    paired: Paired,
    /// Counter noise: where the next draw begins. Each draw takes the next stream.
    counter: Counter,
    /// torch on a GPU.
    torch_cuda: TorchCuda,
    /// Its kind: one of enum `vesde_generator_kind`.
    kind: i32,
    /// 0, so that no byte is padding.
    reserved: i32,
}

const _: () = assert!(
    size_of::<AnyGenerator>()
        == 2 * size_of::<i32>() + size_of::<Counter>() + size_of::<TorchCuda>() + size_of::<Paired>()
);

impl From<Counter> for AnyGenerator {
    fn from(counter: Counter) -> Self {
        Self { counter, ..Self::unseeded(GeneratorKind::Counter) }
    }
}

impl From<TorchCpu> for AnyGenerator {
    fn from(TorchCpu { state }: TorchCpu) -> Self {
        Self { paired: state, ..Self::unseeded(GeneratorKind::TorchCpu) }
    }
}

impl From<TorchCuda> for AnyGenerator {
    fn from(torch_cuda: TorchCuda) -> Self {
        Self { torch_cuda, ..Self::unseeded(GeneratorKind::TorchCuda) }
    }
}

impl From<Numpy> for AnyGenerator {
    fn from(Numpy { state }: Numpy) -> Self {
        Self { paired: state, ..Self::unseeded(GeneratorKind::Numpy) }
    }
}

impl AnyGenerator {
    /// Of a kind, without a seed. A function, since a constant would be 2.5 KB of the library.
    fn unseeded(kind: GeneratorKind) -> Self {
        Self {
            kind: kind as i32,
            reserved: 0,
            counter: Counter::default(),
            torch_cuda: TorchCuda::new(0, CudaGrid { multiprocessors: 0, threads_per_multiprocessor: 0 }),
            paired: Paired::unseeded(),
        }
    }

    /// Its kind.
    ///
    /// # Errors
    /// `UnknownEnum` where its memory holds no kind.
    pub fn kind(&self) -> Result<GeneratorKind, Error> {
        use GeneratorKind::{Counter, Numpy, TorchCpu, TorchCuda};
        let kinds = [Counter, TorchCpu, TorchCuda, Numpy];
        kinds.into_iter().find(|&kind| kind as i32 == self.kind).ok_or(Error::UnknownEnum)
    }

    /// One draw: what a generator of its kind makes in one call.
    ///
    /// # Errors
    /// `InvalidRandomState` where the state is not one of its kind; `TooLarge` where the draw is
    /// longer than its kind has.
    pub fn fill<'a>(&mut self, out: impl Into<Out<'a>>) -> Result<(), Error> {
        sealed::Generator::draw(self, out.into())
    }

    /// One draw of uniform numbers in 0..1: [`TorchCpu::uniform`], which no other kind has.
    ///
    /// # Errors
    /// `UnknownEnum` of another kind; those of [`fill`](Self::fill).
    pub fn uniform<'a>(&mut self, out: impl Into<Out<'a>>) -> Result<(), Error> {
        match self.kind()? {
            GeneratorKind::TorchCpu => from_words(&mut self.paired, &out.into(), unit),
            _ => Err(Error::UnknownEnum),
        }
    }

    /// One draw of Rademacher's signs, 1 or −1: [`TorchCpu::rademacher`], or
    /// [`Counter::rademacher`] of the next stream. Other kinds have none.
    ///
    /// # Errors
    /// `UnknownEnum` of another kind; those of [`fill`](Self::fill).
    pub fn rademacher<'a>(&mut self, out: impl Into<Out<'a>>) -> Result<(), Error> {
        let out = out.into();
        match self.kind()? {
            GeneratorKind::Counter => {
                let len = out.len() as u64;
                self.counter.rademacher(out)?;
                self.next_stream(len);
                Ok(())
            }
            GeneratorKind::TorchCpu => from_words(&mut self.paired, &out, sign),
            _ => Err(Error::UnknownEnum),
        }
    }

    /// The elements from `start` on of the draw of `len` elements that comes next, for work that is
    /// split; the state stays as it is until [`skip`](Self::skip).
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill); `LengthMismatch` where the draw has no such elements;
    /// `UnsplittableDraw` for torch on the CPU and NumPy.
    pub fn fill_part<'a>(&self, len: u64, start: u64, out: impl Into<Out<'a>>) -> Result<(), Error> {
        let out = out.into();
        match self.kind()? {
            GeneratorKind::Counter => {
                if start.checked_add(out.len() as u64).is_none_or(|end| end > len) {
                    return Err(Error::LengthMismatch);
                }
                sealed::Generator::check(self, len)?;
                self.counter.at(start).fill(out)
            }
            GeneratorKind::TorchCuda => self.torch_cuda.fill_part(len, start, out),
            GeneratorKind::TorchCpu | GeneratorKind::Numpy if len == 0 && out.len() == 0 => Ok(()),
            GeneratorKind::TorchCpu | GeneratorKind::Numpy => Err(Error::UnsplittableDraw),
        }
    }

    /// Skips a draw of `len` elements.
    ///
    /// # Errors
    /// Those of [`fill_part`](Self::fill_part).
    pub fn skip(&mut self, len: u64) -> Result<(), Error> {
        match self.kind()? {
            GeneratorKind::Counter => {
                sealed::Generator::check(self, len)?;
                self.next_stream(len);
                Ok(())
            }
            GeneratorKind::TorchCuda => self.torch_cuda.skip(len),
            GeneratorKind::TorchCpu | GeneratorKind::Numpy if len == 0 => Ok(()),
            GeneratorKind::TorchCpu | GeneratorKind::Numpy => Err(Error::UnsplittableDraw),
        }
    }

    /// Skips a draw of counter noise; a draw of nothing changes nothing.
    fn next_stream(&mut self, len: u64) {
        if len > 0 {
            self.counter.stream = self.counter.stream.wrapping_add(1);
        }
    }
}

impl Generator for AnyGenerator {}

impl sealed::Generator for AnyGenerator {
    fn check(&self, len: u64) -> Result<(), Error> {
        match self.kind()? {
            GeneratorKind::Counter => self.counter.index.checked_add(len).map(drop).ok_or(Error::TooLarge),
            GeneratorKind::TorchCuda => self.torch_cuda.check(len),
            GeneratorKind::TorchCpu | GeneratorKind::Numpy => self.paired.check(),
        }
    }

    #[inline(never)] // so that it is in the library once
    fn draw(&mut self, out: Out<'_>) -> Result<(), Error> {
        match self.kind()? {
            GeneratorKind::Counter => {
                let len = out.len() as u64;
                self.counter.fill(out)?;
                self.next_stream(len);
                Ok(())
            }
            GeneratorKind::TorchCuda => self.torch_cuda.draw(out),
            GeneratorKind::TorchCpu => super::torch_cpu::draw(&mut self.paired, out),
            GeneratorKind::Numpy => super::numpy::draw(&mut self.paired, out),
        }
    }
}
