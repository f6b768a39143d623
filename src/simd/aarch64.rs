//! `Lanes` on NEON through `core::arch`. This file is compiled only for targets that always have
//! NEON: every `unsafe` here rests on that.

use core::arch::aarch64::*;
use core::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Sub};

use super::registers::{doubles, operations, register};
use super::{Job, LANES, Lanes, Table};
use crate::buf::TileMut;

/// NEON.
#[derive(Clone, Copy)]
pub(crate) struct Baseline;

register!(F4(float32x4_t) Add add vaddq_f32 Sub sub vsubq_f32 Mul mul vmulq_f32);
register!(U4(uint32x4_t) Add add vaddq_u32 Sub sub vsubq_u32 Mul mul vmulq_u32
    BitAnd bitand vandq_u32 BitOr bitor vorrq_u32 BitXor bitxor veorq_u32);
register!(W2(uint64x2_t) Add add vaddq_u64
    BitAnd bitand vandq_u64 BitOr bitor vorrq_u64 BitXor bitxor veorq_u64);
doubles!(D4(float64x2_t) Add add vaddq_f64 Mul mul vmulq_f64 Div div vdivq_f64);

impl Lanes for Baseline {
    const N: usize = 4;
    const ROOMY: bool = true;
    const PRODUCTS: bool = true;

    type Floats = [f32; 4];
    type F = F4;
    type U = U4;
    type W = W2;
    type D = D4;

    #[inline(never)]
    fn outlined<J: Job<Self>>(self, job: J) -> J::Output {
        job.run(self)
    }
    #[inline(always)]
    fn put_non_temporal(self, tile: &mut TileMut<'_>, at: usize, x: F4) {
        tile.put(at, self.store(x));
    }
    #[inline(always)]
    fn load_u(self, words: &[u32], at: usize) -> U4 {
        let four = words.get(at..).and_then(|words| words.first_chunk::<4>());
        self.bits(self.load(four.copied().unwrap_or_default().map(f32::from_bits)))
    }
    #[inline(always)]
    fn store_u(self, words: &mut [u32], at: usize, x: U4) {
        if let Some(four) = words.get_mut(at..).and_then(|words| words.first_chunk_mut::<4>()) {
            *four = self.store(self.of_bits(x)).map(f32::to_bits);
        }
    }
    operations! {
        load(floats: [f32; 4]) -> F4 = F4(vld1q_f32(floats.as_ptr()));
        store(x: F4) -> [f32; 4] = {
            let mut floats = [0.0; 4];
            vst1q_f32(floats.as_mut_ptr(), x.0);
            floats
        };
        splat(x: f32) -> F4 = F4(vdupq_n_f32(x));
        splat_u(x: u32) -> U4 = U4(vdupq_n_u32(x));
        sqrt(x: F4) -> F4 = F4(vsqrtq_f32(x.0));
        fma(x: F4, y: F4, z: F4) -> F4 = F4(vfmaq_f32(z.0, x.0, y.0));
        bits(x: F4) -> U4 = U4(vreinterpretq_u32_f32(x.0));
        of_bits(x: U4) -> F4 = F4(vreinterpretq_f32_u32(x.0));
        i32_to_f32(x: U4) -> F4 = F4(vcvtq_f32_s32(vreinterpretq_s32_u32(x.0)));
        i32_to_f32_over<const K>(x: U4) -> F4 = {
            let x = vreinterpretq_s32_u32(x.0);
            F4(match K {
                24 => vcvtq_n_f32_s32::<24>(x),
                31 => vcvtq_n_f32_s32::<31>(x),
                _ => vmulq_n_f32(vcvtq_f32_s32(x), 1.0 / (1_u64 << K) as f32),
            })
        };
        u32_to_f32(x: U4) -> F4 = F4(vcvtq_f32_u32(x.0));
        u32_to_f32_towards_zero(x: U4) -> F4 = {
            // The first 24 bits from the first that is set.
            let zeros = vreinterpretq_s32_u32(vclzq_u32(x.0));
            let first = vshlq_u32(vdupq_n_u32(0xffff_ff00), vnegq_s32(zeros));
            F4(vcvtq_f32_u32(vandq_u32(x.0, first)))
        };
        f32_to_i32(x: F4) -> U4 = U4(vcvtq_u32_f32(x.0));
        shl<const K>(x: U4) -> U4 = U4(vshlq_u32(x.0, vdupq_n_s32(K as i32)));
        shr<const K>(x: U4) -> U4 = U4(vshlq_u32(x.0, vdupq_n_s32(-(K as i32))));
        sar<const K>(x: U4) -> U4 = {
            U4(vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(x.0), vdupq_n_s32(-(K as i32)))))
        };
        less(x: F4, y: F4) -> U4 = U4(vcltq_f32(x.0, y.0));
        select(mask: U4, yes: F4, no: F4) -> F4 = F4(vbslq_f32(mask.0, yes.0, no.0));

        look_up(table: &Table, at: U4) -> [U4; 2] = {
            let pair = |i: u32| vld1_u32(table.pairs[i as usize % 64].as_ptr());
            let low = vcombine_u32(pair(vgetq_lane_u32::<0>(at.0)), pair(vgetq_lane_u32::<1>(at.0)));
            let high = vcombine_u32(pair(vgetq_lane_u32::<2>(at.0)), pair(vgetq_lane_u32::<3>(at.0)));
            [U4(vuzp1q_u32(low, high)), U4(vuzp2q_u32(low, high))]
        };

        wide(x: &[u64; LANES / 2], part: usize) -> W2 = {
            let (pairs, _) = x.as_chunks::<2>();
            W2(vld1q_u64(pairs.get(part).copied().unwrap_or_default().as_ptr()))
        };
        splat_wide(x: u64) -> W2 = W2(vdupq_n_u64(x));
        wide_shl<const K>(x: W2) -> W2 = W2(vshlq_u64(x.0, vdupq_n_s64(i64::from(K))));
        wide_shr<const K>(x: W2) -> W2 = W2(vshlq_u64(x.0, vdupq_n_s64(-i64::from(K))));
        wide_mul(x: W2, y: u32) -> W2 = W2(vmull_u32(vmovn_u64(x.0), vdup_n_u32(y)));
        wide_rotl<const K>(x: W2) -> W2 = W2(match K {
            // Three bytes.
            24 => {
                const BYTES: [u8; 16] = [5, 6, 7, 0, 1, 2, 3, 4, 13, 14, 15, 8, 9, 10, 11, 12];
                vreinterpretq_u64_u8(vqtbl1q_u8(vreinterpretq_u8_u64(x.0), vld1q_u8(BYTES.as_ptr())))
            }
            37 => vsriq_n_u64::<27>(vshlq_n_u64::<37>(x.0), x.0),
            _ => vorrq_u64(
                vshlq_u64(x.0, vdupq_n_s64(i64::from(K))),
                vshlq_u64(x.0, vdupq_n_s64(i64::from(K) - 64)),
            ),
        });
        halves(x: W2) -> U4 = U4(vreinterpretq_u32_u64(x.0));
        pairs(x: U4) -> W2 = W2(vreinterpretq_u64_u32(x.0));
        products(x: U4, y: u32) -> [U4; 2] = {
            let low = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(x.0), vdup_n_u32(y)));
            let high = vreinterpretq_u32_u64(vmull_high_u32(x.0, vdupq_n_u32(y)));
            [U4(vuzp1q_u32(low, high)), U4(vuzp2q_u32(low, high))]
        };

        zero_d() -> D4 = D4([vdupq_n_f64(0.0); 2]);
        splat_d(x: f64) -> D4 = D4([vdupq_n_f64(x); 2]);
        widen(x: F4) -> D4 = D4([vcvt_f64_f32(vget_low_f32(x.0)), vcvt_high_f64_f32(x.0)]);
        narrow(x: D4) -> F4 = F4(vcvt_high_f32_f64(vcvt_f32_f64(x.0[0]), x.0[1]));
        abs_d(x: D4) -> D4 = D4([vabsq_f64(x.0[0]), vabsq_f64(x.0[1])]);
        max_d(x: D4, y: D4) -> D4 = {
            let ([a, b], [c, d]) = (x.0, y.0);
            D4([vbslq_f64(vcgtq_f64(a, c), a, c), vbslq_f64(vcgtq_f64(b, d), b, d)])
        };
        add_square(sum: D4, x: F4) -> D4 = {
            let a = vcvt_f64_f32(vget_low_f32(x.0));
            let b = vcvt_high_f64_f32(x.0);
            // Fused or not is the same: the product is exact.
            D4([vfmaq_f64(sum.0[0], a, a), vfmaq_f64(sum.0[1], b, b)])
        };
        load_d(from: &[f64]) -> D4 = {
            let lanes: [f64; 4] = from.first_chunk().copied().unwrap_or_default();
            let (low, high) = (lanes.as_ptr(), lanes.as_ptr().add(2));
            D4([vld1q_f64(low), vld1q_f64(high)])
        };
        store_d(to: &mut [f64], x: D4) -> () = {
            let mut lanes = [[0.0; 2]; 2];
            vst1q_f64(lanes[0].as_mut_ptr(), x.0[0]);
            vst1q_f64(lanes[1].as_mut_ptr(), x.0[1]);
            for (to, lane) in to.iter_mut().zip(lanes.as_flattened()) {
                *to = *lane;
            }
        };
    }
}
