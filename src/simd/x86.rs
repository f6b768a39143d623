//! `Lanes` on AVX2 with FMA, and on AVX-512, through `core::arch`. A token is the proof that the
//! machine has the instructions, and registers can be made only with a token: every `unsafe` here
//! rests on that.

#[cfg(target_arch = "x86")]
use core::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;
use core::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Sub};

use super::registers::{doubles, operations, register};
use super::{Job, Kernel, LANES, Lanes, Table};
use crate::buf::TileMut;

/// The proof of AVX2 and FMA, which came together (Haswell, Zen).
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// The proof of AVX-512 as Ice Lake and Zen 4 have it: F, CD, BW, DQ, VL, IFMA and VBMI. Earlier
/// machines lower their clock for it.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

cpufeatures::new!(has_avx2, "avx2", "fma");
cpufeatures::new!(
    has_avx512,
    "avx512f",
    "avx512cd",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512ifma",
    "avx512vbmi",
    "avx2",
    "fma"
);

impl Avx2 {
    /// The token, if this machine has the instructions and its system saves the registers.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        has_avx2::get().then_some(Self(()))
    }

    /// Runs a kernel in code that is compiled for these instructions.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: &mut K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn run<K: Kernel>(token: Avx2, kernel: &mut K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token is the proof of the features.
        unsafe { run(self, kernel) }
    }
}

impl Avx512 {
    /// The token, if this machine has the instructions and its system saves the registers.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        has_avx512::get().then_some(Self(()))
    }

    /// Runs a kernel in code that is compiled for these instructions.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: &mut K) -> K::Output {
        #[target_feature(
            enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi,avx2,fma"
        )]
        fn run<K: Kernel>(token: Avx512, kernel: &mut K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token is the proof of the features.
        unsafe { run(self, kernel) }
    }
}

register!(F8(__m256) Add add _mm256_add_ps Sub sub _mm256_sub_ps Mul mul _mm256_mul_ps);
register!(U8(__m256i) Add add _mm256_add_epi32 Sub sub _mm256_sub_epi32 Mul mul _mm256_mullo_epi32
    BitAnd bitand _mm256_and_si256 BitOr bitor _mm256_or_si256 BitXor bitxor _mm256_xor_si256);
register!(W4(__m256i) Add add _mm256_add_epi64
    BitAnd bitand _mm256_and_si256 BitOr bitor _mm256_or_si256 BitXor bitxor _mm256_xor_si256);
doubles!(D8(__m256d) Add add _mm256_add_pd Mul mul _mm256_mul_pd Div div _mm256_div_pd);
register!(F16(__m512) Add add _mm512_add_ps Sub sub _mm512_sub_ps Mul mul _mm512_mul_ps);
register!(U16(__m512i) Add add _mm512_add_epi32 Sub sub _mm512_sub_epi32 Mul mul _mm512_mullo_epi32
    BitAnd bitand _mm512_and_si512 BitOr bitor _mm512_or_si512 BitXor bitxor _mm512_xor_si512);
register!(W8(__m512i) Add add _mm512_add_epi64
    BitAnd bitand _mm512_and_si512 BitOr bitor _mm512_or_si512 BitXor bitxor _mm512_xor_si512);
doubles!(D16(__m512d) Add add _mm512_add_pd Mul mul _mm512_mul_pd Div div _mm512_div_pd);

impl Lanes for Avx2 {
    const N: usize = 8;

    type Floats = [f32; 8];
    type F = F8;
    type U = U8;
    type W = W4;
    type D = D8;

    // On the function inside rustc 1.95 leaves this attribute out.
    #[inline(never)]
    fn outlined<J: Job<Self>>(self, job: J) -> J::Output {
        #[target_feature(enable = "avx2,fma")]
        fn outlined<J: Job<Avx2>>(token: Avx2, job: J) -> J::Output {
            job.run(token)
        }
        // SAFETY: the token is the proof of the features.
        unsafe { outlined(self, job) }
    }
    #[inline(always)]
    fn halves(self, x: W4) -> U8 {
        U8(x.0)
    }
    #[inline(always)]
    fn pairs(self, x: U8) -> W4 {
        W4(x.0)
    }
    #[inline(always)]
    fn put_non_temporal(self, tile: &mut TileMut<'_>, at: usize, x: F8) {
        match tile.aligned::<[f32; 8]>(at) {
            // SAFETY: the token is the proof of the instruction; `aligned` has found eight writable
            // floats on 32 bytes.
            Some(to) => unsafe { _mm256_stream_ps(to, x.0) },
            None => tile.put(at, self.store(x)),
        }
    }
    operations! {
        load(floats: [f32; 8]) -> F8 = F8(_mm256_loadu_ps(floats.as_ptr()));
        store(x: F8) -> [f32; 8] = {
            let mut floats = [0.0; 8];
            _mm256_storeu_ps(floats.as_mut_ptr(), x.0);
            floats
        };
        splat(x: f32) -> F8 = F8(_mm256_set1_ps(x));
        splat_u(x: u32) -> U8 = U8(_mm256_set1_epi32(x as i32));
        sqrt(x: F8) -> F8 = F8(_mm256_sqrt_ps(x.0));
        fma(x: F8, y: F8, z: F8) -> F8 = F8(_mm256_fmadd_ps(x.0, y.0, z.0));
        bits(x: F8) -> U8 = U8(_mm256_castps_si256(x.0));
        of_bits(x: U8) -> F8 = F8(_mm256_castsi256_ps(x.0));
        i32_to_f32(x: U8) -> F8 = F8(_mm256_cvtepi32_ps(x.0));
        f32_to_i32(x: F8) -> U8 = U8(_mm256_cvttps_epi32(x.0));
        shl<const K>(x: U8) -> U8 = U8(_mm256_sll_epi32(x.0, _mm_cvtsi32_si128(K as i32)));
        shr<const K>(x: U8) -> U8 = U8(_mm256_srl_epi32(x.0, _mm_cvtsi32_si128(K as i32)));
        sar<const K>(x: U8) -> U8 = U8(_mm256_sra_epi32(x.0, _mm_cvtsi32_si128(K as i32)));
        less(x: F8, y: F8) -> U8 = U8(_mm256_castps_si256(_mm256_cmp_ps::<_CMP_LT_OQ>(x.0, y.0)));
        wide(x: &[u64; LANES / 2], part: usize) -> W4 = {
            let quads = x.as_chunks::<4>().0;
            let quad = quads.get(part).copied().unwrap_or_default();
            W4(_mm256_loadu_si256(quad.as_ptr().cast()))
        };
        splat_wide(x: u64) -> W4 = W4(_mm256_set1_epi64x(x as i64));
        wide_shr<const K>(x: W4) -> W4 = W4(_mm256_srl_epi64(x.0, _mm_cvtsi32_si128(K as i32)));
        wide_mul(x: W4, y: u32) -> W4 = W4(_mm256_mul_epu32(x.0, _mm256_set1_epi64x(i64::from(y))));
        wide_shl<const K>(x: W4) -> W4 = W4(_mm256_sll_epi64(x.0, _mm_cvtsi32_si128(K as i32)));
        wide_rotl<const K>(x: W4) -> W4 = W4(_mm256_or_si256(
            _mm256_sll_epi64(x.0, _mm_cvtsi32_si128(K as i32)),
            _mm256_srl_epi64(x.0, _mm_cvtsi32_si128(64 - K as i32)),
        ));
        zero_d() -> D8 = D8([_mm256_setzero_pd(); 2]);
        splat_d(x: f64) -> D8 = D8([_mm256_set1_pd(x); 2]);
        widen(x: F8) -> D8 = {
            D8([_mm256_cvtps_pd(_mm256_castps256_ps128(x.0)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x.0))])
        };
        narrow(x: D8) -> F8 = {
            let [a, b] = [_mm256_cvtpd_ps(x.0[0]), _mm256_cvtpd_ps(x.0[1])];
            F8(_mm256_set_m128(b, a))
        };
        abs_d(x: D8) -> D8 = {
            let sign = _mm256_set1_pd(-0.0);
            D8([_mm256_andnot_pd(sign, x.0[0]), _mm256_andnot_pd(sign, x.0[1])])
        };
        max_d(x: D8, y: D8) -> D8 = {
            D8([_mm256_max_pd(x.0[0], y.0[0]), _mm256_max_pd(x.0[1], y.0[1])])
        };
        add_square(sum: D8, x: F8) -> D8 = {
            let a = _mm256_cvtps_pd(_mm256_castps256_ps128(x.0));
            let b = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x.0));
            // Fused or not is the same: the product is exact.
            D8([_mm256_fmadd_pd(a, a, sum.0[0]), _mm256_fmadd_pd(b, b, sum.0[1])])
        };
        load_d(from: &[f64]) -> D8 = {
            let lanes: [f64; 8] = from.first_chunk().copied().unwrap_or_default();
            let (low, high) = (lanes.as_ptr(), lanes.as_ptr().add(4));
            D8([_mm256_loadu_pd(low), _mm256_loadu_pd(high)])
        };
        store_d(to: &mut [f64], x: D8) -> () = {
            let mut lanes = [[0.0; 4]; 2];
            _mm256_storeu_pd(lanes[0].as_mut_ptr(), x.0[0]);
            _mm256_storeu_pd(lanes[1].as_mut_ptr(), x.0[1]);
            for (to, lane) in to.iter_mut().zip(lanes.as_flattened()) {
                *to = *lane;
            }
        };
    }
}

const TOWARDS_ZERO: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;

impl Lanes for Avx512 {
    const N: usize = 16;

    type Floats = [f32; 16];
    type F = F16;
    type U = U16;
    type W = W8;
    type D = D16;

    // On the function inside rustc 1.95 leaves this attribute out.
    #[inline(never)]
    fn outlined<J: Job<Self>>(self, job: J) -> J::Output {
        #[target_feature(
            enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,avx512ifma,avx512vbmi,avx2,fma"
        )]
        fn outlined<J: Job<Avx512>>(token: Avx512, job: J) -> J::Output {
            job.run(token)
        }
        // SAFETY: the token is the proof of the features.
        unsafe { outlined(self, job) }
    }
    #[inline(always)]
    fn eights(self, x: F16, y: F16) -> (F16, F16) {
        // SAFETY: the token is the proof of the instructions.
        unsafe {
            (
                F16(_mm512_shuffle_f32x4::<0b01_00_01_00>(x.0, y.0)),
                F16(_mm512_shuffle_f32x4::<0b11_10_11_10>(x.0, y.0)),
            )
        }
    }
    #[inline(always)]
    fn halves(self, x: W8) -> U16 {
        U16(x.0)
    }
    #[inline(always)]
    fn pairs(self, x: U16) -> W8 {
        W8(x.0)
    }
    #[inline(always)]
    fn put_non_temporal(self, tile: &mut TileMut<'_>, at: usize, x: F16) {
        match tile.aligned::<[f32; 16]>(at) {
            // SAFETY: the token is the proof of the instruction; `aligned` has found sixteen
            // writable floats on 64 bytes.
            Some(to) => unsafe { _mm512_stream_ps(to, x.0) },
            None => tile.put(at, self.store(x)),
        }
    }
    operations! {
        load(floats: [f32; 16]) -> F16 = F16(_mm512_loadu_ps(floats.as_ptr()));
        store(x: F16) -> [f32; 16] = {
            let mut floats = [0.0; 16];
            _mm512_storeu_ps(floats.as_mut_ptr(), x.0);
            floats
        };
        splat(x: f32) -> F16 = F16(_mm512_set1_ps(x));
        splat_u(x: u32) -> U16 = U16(_mm512_set1_epi32(x as i32));
        sqrt(x: F16) -> F16 = F16(_mm512_sqrt_ps(x.0));
        fma(x: F16, y: F16, z: F16) -> F16 = F16(_mm512_fmadd_ps(x.0, y.0, z.0));
        bits(x: F16) -> U16 = U16(_mm512_castps_si512(x.0));
        of_bits(x: U16) -> F16 = F16(_mm512_castsi512_ps(x.0));
        i32_to_f32(x: U16) -> F16 = F16(_mm512_cvtepi32_ps(x.0));
        u32_to_f32(x: U16) -> F16 = F16(_mm512_cvtepu32_ps(x.0));
        u32_to_f32_towards_zero(x: U16) -> F16 = F16(_mm512_cvt_roundepu32_ps::<TOWARDS_ZERO>(x.0));
        mul_towards_zero(x: F16, y: F16) -> F16 = F16(_mm512_mul_round_ps::<TOWARDS_ZERO>(x.0, y.0));
        split<const K>(x: F16) -> (F16, F16) = {
            // Times 4/3 rounded up, and rounded to nearest, all of [1.5, 2) is at least 2, and
            // nothing below it.
            let scale = f32::from_bits(1.33333337_f32.to_bits() - (K << 23));
            let exponent = _mm512_getexp_ps(_mm512_mul_ps(x.0, _mm512_set1_ps(scale)));
            (F16(_mm512_getmant_ps::<_MM_MANT_NORM_P75_1P5, _MM_MANT_SIGN_ZERO>(x.0)), F16(exponent))
        };
        f32_to_i32(x: F16) -> U16 = U16(_mm512_cvttps_epi32(x.0));
        shl<const K>(x: U16) -> U16 = U16(_mm512_slli_epi32::<K>(x.0));
        shr<const K>(x: U16) -> U16 = U16(_mm512_srli_epi32::<K>(x.0));
        sar<const K>(x: U16) -> U16 = U16(_mm512_srai_epi32::<K>(x.0));
        look_up(table: &Table, at: U16) -> [U16; 2] = {
            let mut words = [at; 2];
            for (to, table) in words.iter_mut().zip(&table.apart) {
                let a = _mm512_loadu_si512(table.as_ptr().cast());
                let b = _mm512_loadu_si512(table.as_ptr().add(16).cast());
                let c = _mm512_loadu_si512(table.as_ptr().add(32).cast());
                let d = _mm512_loadu_si512(table.as_ptr().add(48).cast());
                let low = _mm512_permutex2var_epi32(a, at.0, b);
                let high = _mm512_permutex2var_epi32(c, at.0, d);
                let above = _mm512_test_epi32_mask(at.0, _mm512_set1_epi32(32));
                *to = U16(_mm512_mask_blend_epi32(above, low, high));
            }
            words
        };
        less(x: F16, y: F16) -> U16 = U16(_mm512_movm_epi32(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(x.0, y.0)));
        wide(x: &[u64; LANES / 2], part: usize) -> W8 = {
            debug_assert!(part == 0);
            W8(_mm512_loadu_si512(x.as_ptr().cast()))
        };
        splat_wide(x: u64) -> W8 = W8(_mm512_set1_epi64(x as i64));
        wide_shr<const K>(x: W8) -> W8 = W8(_mm512_srli_epi64::<K>(x.0));
        wide_mul(x: W8, y: u32) -> W8 = W8(_mm512_mul_epu32(x.0, _mm512_set1_epi64(i64::from(y))));
        wide_shl<const K>(x: W8) -> W8 = W8(_mm512_slli_epi64::<K>(x.0));
        wide_rotl<const K>(x: W8) -> W8 = W8(_mm512_rolv_epi64(x.0, _mm512_set1_epi64(i64::from(K))));
        zero_d() -> D16 = D16([_mm512_setzero_pd(); 2]);
        splat_d(x: f64) -> D16 = D16([_mm512_set1_pd(x); 2]);
        widen(x: F16) -> D16 = {
            D16([_mm512_cvtps_pd(_mm512_castps512_ps256(x.0)), _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(x.0))])
        };
        narrow(x: D16) -> F16 = {
            let [a, b] = [_mm512_cvtpd_ps(x.0[0]), _mm512_cvtpd_ps(x.0[1])];
            F16(_mm512_insertf32x8::<1>(_mm512_castps256_ps512(a), b))
        };
        abs_d(x: D16) -> D16 = D16([_mm512_abs_pd(x.0[0]), _mm512_abs_pd(x.0[1])]);
        max_d(x: D16, y: D16) -> D16 = {
            D16([_mm512_max_pd(x.0[0], y.0[0]), _mm512_max_pd(x.0[1], y.0[1])])
        };
        add_square(sum: D16, x: F16) -> D16 = {
            let a = _mm512_cvtps_pd(_mm512_castps512_ps256(x.0));
            let b = _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(x.0));
            // Fused or not is the same: the product is exact.
            D16([_mm512_fmadd_pd(a, a, sum.0[0]), _mm512_fmadd_pd(b, b, sum.0[1])])
        };
        load_d(from: &[f64]) -> D16 = {
            let lanes: [f64; 16] = from.first_chunk().copied().unwrap_or_default();
            let (low, high) = (lanes.as_ptr(), lanes.as_ptr().add(8));
            D16([_mm512_loadu_pd(low), _mm512_loadu_pd(high)])
        };
        store_d(to: &mut [f64], x: D16) -> () = {
            let mut lanes = [[0.0; 8]; 2];
            _mm512_storeu_pd(lanes[0].as_mut_ptr(), x.0[0]);
            _mm512_storeu_pd(lanes[1].as_mut_ptr(), x.0[1]);
            for (to, lane) in to.iter_mut().zip(lanes.as_flattened()) {
                *to = *lane;
            }
        };
    }
}
