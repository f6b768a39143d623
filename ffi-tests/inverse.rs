//! Inverse problems and guidance against scalar loops: every length, split, alignment and level,
//! and every place that an output may have.

use std::sync::Mutex;

use vesde::inverse::{Imputation, Recolouring, couple, decouple, guide, impute, recolour, tweedie};
use vesde::noise::{AnyGenerator, CudaGrid, Numpy, TorchCpu, TorchCuda};
use vesde::{Counter, Error, Noise, SimdLevel, limit_simd_level};

/// Held by a test for as long as it sets levels.
static LEVEL: Mutex<()> = Mutex::new(());

/// Runs a test on each level that this machine has.
fn on_every_level(test: impl Fn()) {
    let _lock = LEVEL.lock();
    for level in [SimdLevel::Baseline, SimdLevel::Avx2, SimdLevel::Avx512] {
        if limit_simd_level(level) == level {
            test();
        }
    }
}

/// Lengths about a register, a group, a block of counter noise and a part.
fn lengths() -> impl Iterator<Item = usize> {
    (1..=2 * 64 + 1).chain([511, 512, 513, 1023, 1025, 4095, 4096, 4097, 5000])
}

/// Some floats of mixed size and sign.
fn floats(seed: u64, len: usize) -> Vec<f32> {
    let mut z = vec![0.0; len];
    Counter::new(seed, 77).fill(&mut z[..]).unwrap();
    z.iter().enumerate().map(|(i, z)| z * (1 + i % 5) as f32).collect()
}

/// A mask with ones, zeros and what is between.
fn mask(seed: u64, len: usize) -> Vec<f32> {
    floats(seed, len).iter().map(|x| x.clamp(0.0, 1.0)).collect()
}

fn counter(noise: Counter, len: usize) -> Vec<f32> {
    let mut z = vec![0.0; len];
    noise.fill(&mut z[..]).unwrap();
    z
}

#[track_caller]
fn assert_same(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let differing = got.iter().zip(want).position(|(a, b)| a.to_bits() != b.to_bits());
    assert_eq!(differing, None, "{what}");
}

const SIGMA: f32 = 2.75;

/// Floats that begin `offset` floats into a buffer.
fn shifted(x: &[f32], offset: usize) -> Vec<f32> {
    let mut all = vec![f32::NAN; offset];
    all.extend(x);
    all
}

// ---- imputation ----

fn scalar_impute(x: &[f32], d: &[f32], m: &[f32], z: Option<&[f32]>) -> Vec<f32> {
    let at = |(i, &x): (usize, &f32)| {
        let m = m[i % m.len()];
        let known = z.map_or(d[i], |z| d[i] + z[i] * SIGMA);
        x * (1.0 - m) + known * m
    };
    x.iter().enumerate().map(at).collect()
}

#[test]
fn imputation_is_the_scalar_loop() {
    on_every_level(|| {
        for len in lengths() {
            let noise = Counter { seed: 1, stream: 2, index: 37 * len as u64 };
            let (x, d, m, z) = (floats(1, len), floats(2, len), mask(3, len), counter(noise, len));
            for (kind, noise) in [Noise::None, Noise::from(&z), noise.into()].into_iter().enumerate() {
                let want = scalar_impute(&x, &d, &m, (kind > 0).then_some(&z));
                let sigma = if kind > 0 { SIGMA } else { 0.0 };
                let mut out = vec![f32::NAN; len];
                let elsewhere = Imputation::new(&d, &m, &x, &mut out[..]).with_noise(sigma, noise);
                impute(elsewhere).unwrap();
                assert_same(&out, &want, &format!("{len}, {kind}"));
                for offset in 1..4 {
                    let [x, d, m, z] =
                        [(&x, 1), (&d, 2), (&m, 3), (&z, 5)].map(|(x, k)| shifted(x, k * offset));
                    let noise = if kind == 1 { Noise::from(&z[5 * offset..]) } else { noise };
                    let mut sample = x;
                    let job = Imputation::in_place(&d[2 * offset..], &m[3 * offset..], &mut sample[offset..]);
                    impute(job.with_noise(sigma, noise)).unwrap();
                    assert_same(&sample[offset..], &want, &format!("{len}, {kind}, in place at {offset}"));
                }
            }
        }
    });
}

#[test]
fn a_mask_repeats_and_work_may_be_split() {
    for mask_len in [1, 3, 63, 64, 65, 130, 1024] {
        for times in 1..4 {
            let len = mask_len * times;
            let (x, d, m) = (floats(1, len), floats(2, len), mask(3, mask_len));
            let noise = Counter { seed: 4, stream: 5, index: 77 };
            let z = counter(noise, len);
            let want = scalar_impute(&x, &d, &m, Some(&z));
            let [mut whole, mut given, mut parts] = [(); 3].map(|()| x.clone());
            impute(Imputation::in_place(&d, &m, &mut whole).with_noise(SIGMA, noise)).unwrap();
            assert_same(&whole, &want, "counter noise");
            impute(Imputation::in_place(&d, &m, &mut given).with_noise(SIGMA, &z)).unwrap();
            assert_same(&given, &want, "noise given");
            let repeated = m.repeat(times);
            let cut = len * 5 / 8;
            for range in [0..cut, cut..len].into_iter().filter(|range| !range.is_empty()) {
                let (d, m) = (&d[range.clone()], &repeated[range.clone()]);
                let noise = noise.at(range.start as u64);
                impute(Imputation::in_place(d, m, &mut parts[range]).with_noise(SIGMA, noise)).unwrap();
            }
            assert_same(&parts, &want, "in parts");
        }
    }
}

#[test]
fn imputation_refuses() {
    let (x, d, m) = ([1.0; 12], [2.0; 12], [1.0; 12]);
    let mut out = [5.0; 12];
    for (result, want) in [
        (impute(Imputation::new(&d, &m[..5], &x, &mut out)), Error::LengthMismatch),
        (impute(Imputation::new(&d, &m[..0], &x, &mut out)), Error::Empty),
        (impute(Imputation::new(&d[..6], &m, &x, &mut out)), Error::LengthMismatch),
        (impute(Imputation::new(&d, &m, &x[..6], &mut out)), Error::LengthMismatch),
        (impute(Imputation::new(&d[..6], &m, &x[..6], &mut out[..6])), Error::LengthMismatch),
        (impute(Imputation::new(&d[..0], &m, &x[..0], &mut out[..0])), Error::Empty),
        (impute(Imputation::new(&d, &m, &x, &mut out).with_noise(1.0, Noise::None)), Error::NullPointer),
        (impute(Imputation::new(&d, &m, &x, &mut out).with_noise(1.0, &d[..6])), Error::LengthMismatch),
        (
            impute(Imputation::new(&d, &m, &x, &mut out).with_noise(1.0, Counter::new(1, 1).at(u64::MAX))),
            Error::TooLarge,
        ),
    ] {
        assert_eq!(result, Err(want));
    }
    assert_eq!(out, [5.0; 12]);
}

// ---- colour ----

const M: [[f32; 3]; 3] = [
    [5.7735014e-1, -8.1649649e-1, 4.7008697e-8],
    [5.7735026e-1, 4.0824834e-1, 7.0710671e-1],
    [5.7735026e-1, 4.0824822e-1, -7.0710683e-1],
];

/// torch's inverse of M: mantissas of 24 bits and one, and exponents.
const W: [[(i32, i32); 3]; 3] = [
    [(0x1279a74, -25), (0x1279a78, -25), (0x1279a76, -25)],
    [(-0x1a20bd8, -25), (0x1a20bd8, -26), (0x1a20bd0, -26)],
    [(0x1279a76, -48), (0x16a09e6, -25), (-0x16a09e8, -25)],
];

fn inverse() -> [[f32; 3]; 3] {
    W.map(|row| row.map(|(mantissa, exponent)| (f64::from(mantissa) * f64::from(exponent).exp2()) as f32))
}

fn scalar_mix(x: [f32; 3], a: [[f32; 3]; 3]) -> [f32; 3] {
    std::array::from_fn(|j| x[2].mul_add(a[2][j], x[1].mul_add(a[1][j], x[0] * a[0][j])))
}

/// Each pixel of a batch, by what is made of its place.
fn each_pixel(batch: usize, pixels: usize, make: impl Fn([usize; 3]) -> [f32; 3]) -> Vec<f32> {
    let mut out = vec![f32::NAN; 3 * batch * pixels];
    for i in 0..batch * pixels {
        let first = i / pixels * 3 * pixels + i % pixels;
        let places = [first, first + pixels, first + 2 * pixels];
        for (at, value) in places.into_iter().zip(make(places)) {
            out[at] = value;
        }
    }
    out
}

fn scalar_recolour(x: &[f32], gray: &[f32], z: Option<&[f32]>, batch: usize, fused: bool) -> Vec<f32> {
    each_pixel(batch, x.len() / 3 / batch, |at| {
        let known = scalar_mix(at.map(|i| gray[i]), M);
        let mut y = scalar_mix(at.map(|i| x[i]), M);
        if fused {
            y[0] = z.map_or(known[0], |z| known[0] + z[at[0]] * SIGMA);
        } else {
            // As score_sde has it, with a mask.
            for (j, y) in y.iter_mut().enumerate() {
                let mask = if j == 0 { 1.0 } else { 0.0 };
                let known = z.map_or(known[j], |z| known[j] + z[at[j]] * SIGMA);
                *y = *y * (1.0 - mask) + known * mask;
            }
        }
        scalar_mix(y, inverse())
    })
}

#[test]
fn colours_are_those_of_the_scalar_loop() {
    on_every_level(|| {
        for (pixels, batch) in lengths().map(|pixels| (pixels, 1 + pixels % 3)) {
            let len = 3 * pixels * batch;
            let noise = Counter { seed: 1, stream: 2, index: 37 * len as u64 };
            let (x, gray, z) = (floats(1, len), floats(2, len), counter(noise, len));
            let mut out = vec![f32::NAN; len];
            decouple(&x, batch, &mut out[..]).unwrap();
            let want = each_pixel(batch, pixels, |at| scalar_mix(at.map(|i| x[i]), M));
            assert_same(&out, &want, "decoupled");
            couple(&x, batch, &mut out[..]).unwrap();
            let want = each_pixel(batch, pixels, |at| scalar_mix(at.map(|i| x[i]), inverse()));
            assert_same(&out, &want, "coupled");
            for (kind, noise) in [Noise::None, Noise::from(&z), noise.into()].into_iter().enumerate() {
                let want_z = (kind > 0).then_some(&z[..]);
                let want = scalar_recolour(&x, &gray, want_z, batch, true);
                assert_same(&want, &scalar_recolour(&x, &gray, want_z, batch, false), "score_sde's form");
                let sigma = if kind > 0 { SIGMA } else { 0.0 };
                let job = Recolouring::new(&gray, &x, &mut out[..]).with_batch(batch);
                recolour(job.with_noise(sigma, noise)).unwrap();
                assert_same(&out, &want, &format!("{pixels} of {batch}, {kind}"));
                for offset in 1..4 {
                    let [mut x, gray] = [(&x, 1), (&gray, 2)].map(|(x, k)| shifted(x, k * offset));
                    let job = Recolouring::in_place(&gray[2 * offset..], &mut x[offset..]);
                    recolour(job.with_batch(batch).with_noise(sigma, noise)).unwrap();
                    assert_same(&x[offset..], &want, &format!("{pixels} of {batch}, {kind}, in place"));
                }
            }
        }
    });
}

#[test]
fn colours_may_be_split_between_samples_and_come_back() {
    let (batch, pixels) = (3, 700);
    let len = 3 * batch * pixels;
    let (x, gray, noise) = (floats(1, len), floats(2, len), Counter { seed: 4, stream: 5, index: 77 });
    let mut whole = x.clone();
    let job = Recolouring::in_place(&gray, &mut whole).with_batch(batch);
    recolour(job.with_noise(SIGMA, noise)).unwrap();
    let mut parts = x.clone();
    for (i, part) in parts.chunks_mut(3 * pixels).enumerate() {
        let start = i * 3 * pixels;
        let job = Recolouring::in_place(&gray[start..start + 3 * pixels], part);
        recolour(job.with_noise(SIGMA, noise.at(start as u64))).unwrap();
    }
    assert_same(&parts, &whole, "in parts");

    // In place, there and back: M·W is 1 within 1.3e-7.
    let mut back = x.clone();
    decouple(&x, batch, &mut back[..]).unwrap();
    let copy = back.clone();
    couple(&copy, batch, &mut back[..]).unwrap();
    let farthest = x.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(farthest < 1e-5, "{farthest}");
}

#[test]
fn colours_refuse() {
    let x = [1.0; 18];
    let mut out = [5.0; 18];
    for (len, batch, want) in [
        (18, 4, Error::LengthMismatch),
        (18, 0, Error::Empty),
        (18, usize::MAX, Error::LengthMismatch),
        (18, usize::MAX / 3, Error::LengthMismatch),
        (17, 1, Error::LengthMismatch),
        (0, 1, Error::Empty),
    ] {
        assert_eq!(decouple(&x[..len], batch, &mut out[..len]), Err(want));
        assert_eq!(couple(&x[..len], batch, &mut out[..len]), Err(want));
        let job = Recolouring::new(&x[..len], &x[..len], &mut out[..len]).with_batch(batch);
        assert_eq!(recolour(job), Err(want));
    }
    let other = recolour(Recolouring::new(&x[..9], &x, &mut out));
    assert_eq!(other, Err(Error::LengthMismatch));
    let no_noise = recolour(Recolouring::new(&x, &x, &mut out).with_noise(1.0, Noise::None));
    assert_eq!(no_noise, Err(Error::NullPointer));
    assert_eq!(out, [5.0; 18]);
}

// ---- guidance ----

#[test]
fn guidance_and_tweedie_are_scalar_loops() {
    on_every_level(|| {
        for len in lengths() {
            let (u, c) = (floats(1, len), floats(2, len));
            for weight in [0.0, 1.0, 1.5, 7.5, -0.25] {
                let want: Vec<f32> = u.iter().zip(&c).map(|(u, c)| u + weight * (c - u)).collect();
                let mut out = vec![f32::NAN; len];
                guide(&u, &c, weight, &mut out[..]).unwrap();
                assert_same(&out, &want, &format!("{len}, {weight}"));
                let (mut cut, half) = (vec![f32::NAN; len], len / 2);
                guide(&u[half..], &c[half..], weight, &mut cut[half..]).unwrap();
                if half > 0 {
                    guide(&u[..half], &c[..half], weight, &mut cut[..half]).unwrap();
                }
                assert_same(&cut, &want, &format!("{len}, {weight}, in parts"));
                let square = weight * weight;
                let want: Vec<f32> = u.iter().zip(&c).map(|(x, s)| x + square * s).collect();
                tweedie(&u, &c, weight, &mut out[..]).unwrap();
                assert_same(&out, &want, &format!("{len}, tweedie {weight}"));
            }
        }
    });
    let (x, mut out) = ([1.0; 4], [5.0; 4]);
    assert_eq!(guide(&x, &x[..3], 1.0, &mut out), Err(Error::LengthMismatch));
    assert_eq!(tweedie(&x[..0], &x[..0], 1.0, &mut out[..0]), Err(Error::Empty));
    assert_eq!(out, [5.0; 4]);
}

// ---- uniform numbers and signs ----

#[test]
fn one_word_makes_one_uniform_number_or_sign() {
    on_every_level(|| {
        let (mut uniform, mut signs, mut kept) = (TorchCpu::new(9), TorchCpu::new(9), TorchCpu::new(9));
        for len in lengths() {
            let [mut u, mut s] = [(); 2].map(|()| vec![f32::NAN; len]);
            uniform.uniform(&mut u[..]).unwrap();
            signs.rademacher(&mut s[..]).unwrap();
            // The sign is that of the last bit, which the uniform number has as 2⁻²⁴.
            for (u, s) in u.iter().zip(&s) {
                let word = u * (1 << 24) as f32;
                assert!((0.0..1.0).contains(u) && word.fract() == 0.0);
                assert_eq!(*s, if word as u32 & 1 == 1 { 1.0 } else { -1.0 });
            }
            // Two calls for parts are one.
            let mut parts = vec![f32::NAN; len];
            let (a, b) = parts.split_at_mut(len / 3);
            kept.uniform(a).unwrap();
            kept.uniform(b).unwrap();
            assert_same(&parts, &u, "in parts");
        }
        let mean = |x: &[f32]| x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
        let mut many = vec![0.0; 1 << 16];
        uniform.uniform(&mut many[..]).unwrap();
        assert!((mean(&many) - 0.5).abs() < 0.01, "{}", mean(&many));
        signs.rademacher(&mut many[..]).unwrap();
        assert!(mean(&many).abs() < 0.02, "{}", mean(&many));
    });
}

#[test]
fn the_cached_normal_waits_and_the_generator_goes_on() {
    // Of three normals the fourth waits; words that are taken meanwhile are not its.
    let (mut a, mut b) = (TorchCpu::new(3), TorchCpu::new(3));
    let ([mut x, mut y], mut all) = ([[0.0; 3]; 2], [0.0; 4]);
    a.fill(&mut x).unwrap();
    a.uniform(&mut y).unwrap();
    b.fill(&mut all).unwrap();
    let mut fourth = [0.0];
    a.fill(&mut fourth).unwrap();
    assert_same(&fourth, &all[3..], "the fourth");
    // Both have taken 3 words more, or none: the next numbers are apart by these.
    b.uniform(&mut x).unwrap();
    assert_same(&x, &y, "uniform");
    let [mut p, mut q] = [[0.0; 16]; 2];
    a.fill(&mut p).unwrap();
    b.fill(&mut q).unwrap();
    assert_same(&p, &q, "what follows");
}

#[test]
fn signs_of_counter_noise_are_those_of_its_numbers() {
    on_every_level(|| {
        for len in lengths() {
            let noise = Counter { seed: 3, stream: 4, index: 11 * len as u64 };
            let want: Vec<f32> = counter(noise, len).iter().map(|z| 1.0_f32.copysign(*z)).collect();
            let mut signs = vec![f32::NAN; len];
            noise.rademacher(&mut signs[..]).unwrap();
            assert_same(&signs, &want, &format!("{len}"));
            let mut any = AnyGenerator::from(noise);
            any.rademacher(&mut signs[..]).unwrap();
            assert_same(&signs, &want, &format!("{len}, of any generator"));
            any.rademacher(&mut signs[..]).unwrap();
            let next = Counter { stream: 5, ..noise };
            let want: Vec<f32> = counter(next, len).iter().map(|z| 1.0_f32.copysign(*z)).collect();
            assert_same(&signs, &want, &format!("{len}, of the next stream"));
        }
    });
    assert_eq!(Counter::new(1, 1).at(u64::MAX).rademacher(&mut [0.0]), Err(Error::TooLarge));
}

#[test]
fn other_generators_have_no_uniform_numbers_or_signs() {
    let mut out = [5.0; 9];
    let cuda = TorchCuda::new(1, CudaGrid { multiprocessors: 2, threads_per_multiprocessor: 1024 });
    for (mut any, signs) in [
        (AnyGenerator::from(Counter::new(1, 1)), Ok(())),
        (AnyGenerator::from(cuda), Err(Error::UnknownEnum)),
        (AnyGenerator::from(Numpy::new(1)), Err(Error::UnknownEnum)),
    ] {
        assert_eq!(any.uniform(&mut out), Err(Error::UnknownEnum));
        assert_eq!(out, [5.0; 9]);
        assert_eq!(any.rademacher(&mut out[..5]), signs);
        out = [5.0; 9];
    }
    let (mut any, mut torch) = (AnyGenerator::from(TorchCpu::new(7)), TorchCpu::new(7));
    let mut want = [0.0; 9];
    any.uniform(&mut out).unwrap();
    torch.uniform(&mut want).unwrap();
    assert_same(&out, &want, "uniform");
    any.rademacher(&mut out).unwrap();
    torch.rademacher(&mut want).unwrap();
    assert_same(&out, &want, "signs");
}
