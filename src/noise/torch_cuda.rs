//! `torch.randn` of torch's CUDA generator, on the CPU.

use core::num::NonZeroU32;

use super::generator::{Generator, sealed};
use crate::buf::Out;
use crate::error::Error;
use crate::kernels::torch_cuda::{CudaRandn, Draw, LONGEST, UNROLL};
use crate::simd::dispatch;

/// Threads of a block of torch's launches.
const BLOCK: u64 = 256;

/// The longest draw, 4 TB: of a longer one torch cannot count the blocks, which it does in 32 bits.
const MOST: u64 = (1 << 40) - BLOCK;

/// How many threads a GPU runs at once. torch cuts its launches to it, so a draw of more elements
/// depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct CudaGrid {
    /// Streaming multiprocessors (`multi_processor_count` in torch).
    pub multiprocessors: u32,
    /// Threads that one of them holds (`max_threads_per_multi_processor` in torch), at least 256.
    pub threads_per_multiprocessor: u32,
}

impl CudaGrid {
    /// A GPU on which every element has a thread of its own: what runtimes that imitate torch
    /// assume. It is right for draws that fit the real GPU's grid. In C it is the GPU "unlimited".
    ///
    /// cbindgen:ignore
    pub const UNLIMITED: Self = Self { multiprocessors: u32::MAX, threads_per_multiprocessor: u32::MAX };

    /// The grid of a GPU by its name, as `torch.cuda.get_device_name` has it or without "NVIDIA",
    /// "Tesla" and "GeForce" in front, whatever the case: "NVIDIA H200", "T4", "rtx 4090"; "H100"
    /// alone is the SXM module, and "unlimited" is [`UNLIMITED`](Self::UNLIMITED). The sizes are
    /// those that NVIDIA has published. Where torch is at hand, `torch.cuda.get_device_properties`
    /// is more exact, and knows MIG slices, too.
    #[must_use]
    pub fn of_gpu(name: &str) -> Option<Self> {
        Self::of_gpu_bytes(name.as_bytes())
    }

    pub(crate) fn of_gpu_bytes(name: &[u8]) -> Option<Self> {
        let mut name = name.trim_ascii();
        for prefix in ["NVIDIA ", "Tesla ", "GeForce "] {
            if let Some((first, rest)) = name.split_at_checked(prefix.len())
                && first.eq_ignore_ascii_case(prefix.as_bytes())
            {
                name = rest;
            }
        }
        if name.eq_ignore_ascii_case(b"unlimited") {
            return Some(Self::UNLIMITED);
        }
        let mut names = NAMES.as_bytes().split(|&byte| byte == b'\n');
        let &(multiprocessors, threads_per_multiprocessor) =
            GRIDS.get(names.position(|gpu| gpu.eq_ignore_ascii_case(name))?)?;
        Some(Self {
            multiprocessors: multiprocessors.into(),
            threads_per_multiprocessor: threads_per_multiprocessor.into(),
        })
    }

    /// The threads of a launch for `len` elements, [`MOST`] at the most; none where the GPU can
    /// launch none.
    fn threads(self, len: u64) -> u64 {
        let per_multiprocessor = u64::from(self.threads_per_multiprocessor) / BLOCK;
        BLOCK * len.div_ceil(BLOCK).min(u64::from(self.multiprocessors) * per_multiprocessor)
    }
}

/// The GPUs' grids, and their names, a line each: pointers to the names would be more than all of
/// that.
macro_rules! gpus {
    ($($name:literal, $multiprocessors:literal, $threads_per_multiprocessor:literal;)*) => {
        const GRIDS: &[(u16, u16)] = &[$(($multiprocessors, $threads_per_multiprocessor)),*];
        const NAMES: &str = concat!($($name, "\n"),*);
    };
}

// Names that stand for one GPU only (not so RTX 2060, RTX 3050 and RTX 3080), multiprocessors,
// threads of one: 1024 on compute capability 7.5, 1536 on 8.6, 8.7, 8.9 and 12.0, else 2048. MIG
// slices have other grids, and names of their own.
gpus! {
    "A10", 72, 1536;
    "A100", 108, 2048;
    "A100 80GB PCIe", 108, 2048;
    "A100-PCIE-40GB", 108, 2048;
    "A100-PCIE-80GB", 108, 2048;
    "A100-SXM4-40GB", 108, 2048;
    "A100-SXM4-80GB", 108, 2048;
    "A10G", 80, 1536;
    "A2", 10, 1536;
    "A30", 56, 2048;
    "A40", 84, 1536;
    "A800", 108, 2048;
    "A800 40GB Active", 108, 2048;
    "A800 80GB PCIe", 108, 2048;
    "A800-SXM4-80GB", 108, 2048;
    "B200", 148, 2048;
    "GB200", 152, 2048;
    "GH200", 132, 2048;
    "GH200 120GB", 132, 2048;
    "GH200 144G HBM3e", 132, 2048;
    "GH200 480GB", 132, 2048;
    "GTX 1070 Ti", 19, 2048;
    "GTX 1080", 20, 2048;
    "GTX 1080 Ti", 28, 2048;
    "GTX 1660", 22, 1024;
    "GTX 1660 SUPER", 22, 1024;
    "GTX 1660 Ti", 24, 1024;
    "H100", 132, 2048;
    "H100 80GB HBM3", 132, 2048;
    "H100 NVL", 132, 2048;
    "H100 PCIe", 114, 2048;
    "H20", 78, 2048;
    "H200", 132, 2048;
    "H200 NVL", 132, 2048;
    "H800", 132, 2048;
    "H800 PCIe", 114, 2048;
    "L20", 92, 1536;
    "L4", 58, 1536;
    "L40", 142, 1536;
    "L40S", 142, 1536;
    "P100-PCIE-12GB", 56, 2048;
    "P100-PCIE-16GB", 56, 2048;
    "P100-SXM2-16GB", 56, 2048;
    "P4", 20, 2048;
    "P40", 30, 2048;
    "Quadro RTX 5000", 48, 1024;
    "Quadro RTX 6000", 72, 1024;
    "Quadro RTX 8000", 72, 1024;
    "RTX 2000 Ada Generation", 22, 1536;
    "RTX 2000 Ada Generation Laptop GPU", 24, 1536;
    "RTX 2060 SUPER", 34, 1024;
    "RTX 2060 with Max-Q Design", 30, 1024;
    "RTX 2070", 36, 1024;
    "RTX 2070 SUPER", 40, 1024;
    "RTX 2070 Super with Max-Q Design", 40, 1024;
    "RTX 2070 with Max-Q Design", 36, 1024;
    "RTX 2080", 46, 1024;
    "RTX 2080 SUPER", 48, 1024;
    "RTX 2080 Super with Max-Q Design", 48, 1024;
    "RTX 2080 Ti", 68, 1024;
    "RTX 2080 with Max-Q Design", 46, 1024;
    "RTX 3000 Ada Generation Laptop GPU", 36, 1536;
    "RTX 3050 Ti Laptop GPU", 20, 1536;
    "RTX 3060", 28, 1536;
    "RTX 3060 Laptop GPU", 30, 1536;
    "RTX 3060 Ti", 38, 1536;
    "RTX 3070", 46, 1536;
    "RTX 3070 Laptop GPU", 40, 1536;
    "RTX 3070 Ti", 48, 1536;
    "RTX 3070 Ti Laptop GPU", 46, 1536;
    "RTX 3080 Laptop GPU", 48, 1536;
    "RTX 3080 Ti", 80, 1536;
    "RTX 3080 Ti Laptop GPU", 58, 1536;
    "RTX 3090", 82, 1536;
    "RTX 3090 Ti", 84, 1536;
    "RTX 3500 Ada Generation Laptop GPU", 40, 1536;
    "RTX 4000 Ada", 48, 1536;
    "RTX 4000 Ada Generation", 48, 1536;
    "RTX 4000 Ada Generation Laptop GPU", 58, 1536;
    "RTX 4000 SFF Ada Generation", 48, 1536;
    "RTX 4050 Laptop GPU", 20, 1536;
    "RTX 4060", 24, 1536;
    "RTX 4060 Laptop GPU", 24, 1536;
    "RTX 4060 Ti", 34, 1536;
    "RTX 4070", 46, 1536;
    "RTX 4070 Laptop GPU", 36, 1536;
    "RTX 4070 SUPER", 56, 1536;
    "RTX 4070 Ti", 60, 1536;
    "RTX 4070 Ti SUPER", 66, 1536;
    "RTX 4080", 76, 1536;
    "RTX 4080 Laptop GPU", 58, 1536;
    "RTX 4080 SUPER", 80, 1536;
    "RTX 4090", 128, 1536;
    "RTX 4090 D", 114, 1536;
    "RTX 4090 Laptop GPU", 76, 1536;
    "RTX 4500 Ada Generation", 60, 1536;
    "RTX 5000 Ada Generation", 100, 1536;
    "RTX 5000 Ada Generation Laptop GPU", 76, 1536;
    "RTX 5050", 20, 1536;
    "RTX 5060", 30, 1536;
    "RTX 5060 Laptop GPU", 26, 1536;
    "RTX 5060 Ti", 36, 1536;
    "RTX 5070", 48, 1536;
    "RTX 5070 Laptop GPU", 36, 1536;
    "RTX 5070 Ti", 70, 1536;
    "RTX 5070 Ti Laptop GPU", 46, 1536;
    "RTX 5080", 84, 1536;
    "RTX 5080 Laptop GPU", 60, 1536;
    "RTX 5090", 170, 1536;
    "RTX 5090 D", 170, 1536;
    "RTX 5090 Laptop GPU", 82, 1536;
    "RTX 6000 Ada", 142, 1536;
    "RTX 6000 Ada Generation", 142, 1536;
    "RTX A2000", 26, 1536;
    "RTX A2000 12GB", 26, 1536;
    "RTX A2000 Laptop GPU", 20, 1536;
    "RTX A3000 Laptop GPU", 32, 1536;
    "RTX A4000", 48, 1536;
    "RTX A4000 Laptop GPU", 40, 1536;
    "RTX A4500", 56, 1536;
    "RTX A4500 Laptop GPU", 46, 1536;
    "RTX A5000", 64, 1536;
    "RTX A5000 Laptop GPU", 48, 1536;
    "RTX A5500", 80, 1536;
    "RTX A5500 Laptop GPU", 58, 1536;
    "RTX A6000", 84, 1536;
    "RTX PRO 4000 Blackwell", 70, 1536;
    "RTX PRO 4500 Blackwell", 82, 1536;
    "RTX PRO 5000 Blackwell", 110, 1536;
    "RTX PRO 6000 Blackwell", 188, 1536;
    "RTX PRO 6000 Blackwell Max-Q Workstation Edition", 188, 1536;
    "RTX PRO 6000 Blackwell Server Edition", 188, 1536;
    "RTX PRO 6000 Blackwell Workstation Edition", 188, 1536;
    "T4", 40, 1024;
    "TITAN RTX", 72, 1024;
    "TITAN V", 80, 2048;
    "TITAN Xp", 30, 2048;
    "V100-PCIE-16GB", 80, 2048;
    "V100-PCIE-32GB", 80, 2048;
    "V100-SXM2-16GB", 80, 2048;
    "V100-SXM2-32GB", 80, 2048;
    "V100-SXM3-32GB", 80, 2048;
    "V100S-PCIE-32GB", 80, 2048;
}

/// The state of torch's CUDA generator: what `torch.Generator("cuda").manual_seed(seed)` makes and
/// `torch.randn` on the GPU advances.
///
/// It gives the GPU's bits, on every machine. The logarithm is CUDA's. Sine and cosine are the
/// GPU's own, and so numbers differ by up to 5e-6 from exact ones. On an H100 and on an H200 (torch
/// 2.11, CUDA 13) not one of 1.6 billion elements differs; of other kinds of GPU only numbers that
/// users have printed were at hand: four digits of an A100 and of an RTX A4000, 36 numbers of an
/// RTX 3060. torch rounds the same numbers for `float16` and `bfloat16`.
///
/// torch splits a draw of more than 2²⁹ elements into several launches, which take the generator
/// further than one launch would. This does the same, by the source of torch 2.15; such draws were
/// not compared with a GPU's. torch splits `float16` and `bfloat16` beyond 2³⁰ only, and there such
/// draws have other numbers.
///
/// Owned by the caller, fixed in size (24 bytes), copyable: a copy continues like the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TorchCuda {
    /// The seed, all 64 bits of it.
    pub seed: u64,
    /// torch's Philox offset: 0 from `manual_seed`, and a multiple of 4.
    pub offset: u64,
    /// The GPU.
    pub grid: CudaGrid,
}

impl TorchCuda {
    /// `manual_seed(seed)` on a GPU.
    #[must_use]
    pub fn new(seed: u64, grid: CudaGrid) -> Self {
        Self { seed, offset: 0, grid }
    }

    /// The state, if its grid has threads and its offset is one of torch's.
    #[cfg(feature = "capi")]
    pub(crate) fn checked(self) -> Result<Self, Error> {
        sealed::Generator::check(&self, 0).map(|()| self)
    }

    /// `torch.randn(out.len(), device="cuda")`.
    ///
    /// # Errors
    /// `TooLarge` beyond 2⁴⁰ − 256 elements, of which torch cannot count the blocks;
    /// `InvalidRandomState` where the grid has no threads or the offset is not a multiple of 4.
    pub fn fill<'a>(&mut self, out: impl Into<Out<'a>>) -> Result<(), Error> {
        sealed::Generator::draw(self, out.into())
    }

    /// The elements from `start` on of the draw of `len` elements that comes next, for work that is
    /// split; the state stays as it is until [`skip`](Self::skip).
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill); `LengthMismatch` where the draw has no such elements.
    pub fn fill_part<'a>(&self, len: u64, start: u64, out: impl Into<Out<'a>>) -> Result<(), Error> {
        let out = out.into();
        sealed::Generator::check(self, len)?;
        if start.checked_add(out.len() as u64).is_none_or(|end| end > len) {
            return Err(Error::LengthMismatch);
        }
        let mut done = 0;
        while done < out.len() {
            let at = start + done as u64;
            let launch = self.launch(len, at);
            let threads = u32::try_from(self.grid.threads(launch.len)).ok().and_then(NonZeroU32::new);
            let threads = threads.ok_or(Error::InvalidRandomState)?;
            let draw = Draw { seed: self.seed, counter: launch.offset / u64::from(UNROLL), threads };
            let before = at - launch.start;
            let part = out.part(done, (launch.len - before) as usize);
            done += part.len();
            dispatch(CudaRandn { draw, start: before as u32, out: part });
        }
        Ok(())
    }

    /// Skips a draw of `len` elements.
    ///
    /// # Errors
    /// Those of [`fill`](Self::fill).
    pub fn skip(&mut self, len: u64) -> Result<(), Error> {
        sealed::Generator::check(self, len)?;
        self.offset = self.before_launches(len).wrapping_add(self.taken_by_launches(len));
        Ok(())
    }

    /// The launch that makes element `at` of a draw of `len`. torch halves what is longer than
    /// [`LONGEST`] until it is not; the first half, which is the shorter of two, comes first.
    fn launch(&self, len: u64, at: u64) -> Launch {
        let mut launch = Launch { start: 0, len, offset: self.before_launches(len) };
        while launch.len > LONGEST {
            let half = launch.len / 2;
            if at - launch.start < half {
                launch.len = half;
            } else {
                launch.start += half;
                launch.len -= half;
                launch.offset = launch.offset.wrapping_add(self.taken_by_launches(half));
            }
        }
        launch
    }

    /// The offset of a draw's first launch. torch takes what one launch would need before it looks
    /// whether one will do.
    fn before_launches(&self, len: u64) -> u64 {
        let taken = if len > LONGEST { self.taken_by_launch(len) } else { 0 };
        self.offset.wrapping_add(taken)
    }

    /// How far the launches of `len` elements take the offset.
    fn taken_by_launches(&self, len: u64) -> u64 {
        if len > LONGEST {
            let half = len / 2;
            return self.taken_by_launches(half).wrapping_add(self.taken_by_launches(len - half));
        }
        self.taken_by_launch(len)
    }

    /// How far one launch of `len` elements takes it.
    fn taken_by_launch(&self, len: u64) -> u64 {
        let unroll = u64::from(UNROLL);
        len.div_ceil(self.grid.threads(len).max(1) * unroll) * unroll
    }
}

/// A launch of a draw.
struct Launch {
    /// Its first element.
    start: u64,
    /// Its elements, [`LONGEST`] at the most.
    len: u64,
    /// torch's Philox offset.
    offset: u64,
}

impl Generator for TorchCuda {}

impl sealed::Generator for TorchCuda {
    fn check(&self, len: u64) -> Result<(), Error> {
        if len > MOST {
            return Err(Error::TooLarge);
        }
        let possible = self.grid.threads(1) > 0 && self.offset.is_multiple_of(u64::from(UNROLL));
        if possible { Ok(()) } else { Err(Error::InvalidRandomState) }
    }

    fn draw(&mut self, out: Out<'_>) -> Result<(), Error> {
        let len = out.len() as u64;
        self.fill_part(len, 0, out)?;
        self.skip(len)
    }
}
