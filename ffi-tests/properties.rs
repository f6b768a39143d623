//! What must hold for every length, split, offset and seed: the same bits as a scalar reference, in
//! place or not, in one call or many, and errors that leave outputs alone.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Mutex;

use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rand_xoshiro::{Xoroshiro128Plus, Xoshiro256PlusPlus};
use vesde::noise::{fill_from_rng, fill_from_words};
use vesde::norms::{
    NORM_BLOCK, corrector_step, mean_norm, norm_blocks, sample_norm, sum_squares, torch_norm,
};
use vesde::{
    Averaging, Buffers, Combination, Config, Counter, Error, MOST_TERMS, Noise, Norm, Predictor, Request,
    Sampler, SamplerNoise, SamplerOptions, SamplerResult, Schedule, Scheduler, SimdLevel, Step,
    limit_simd_level, linear, set_sigmas, set_timesteps,
};

const MODES: [(Averaging, Norm); 4] = [
    (Averaging::Batch, Norm::Exact),
    (Averaging::PerSample, Norm::Exact),
    (Averaging::Batch, Norm::Torch),
    (Averaging::PerSample, Norm::Torch),
];

/// The documented definition of counter noise, in scalar code, with the generator of
/// `rand_xoshiro`.
mod reference {
    use super::{Rng, SeedableRng, Xoroshiro128Plus};

    fn philox4x32_10(mut x: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
        for _ in 0..10 {
            let p0 = 0xD251_1F53_u64 * u64::from(x[0]);
            let p1 = 0xCD9E_8D57_u64 * u64::from(x[2]);
            x = [(p1 >> 32) as u32 ^ x[1] ^ key[0], p1 as u32, (p0 >> 32) as u32 ^ x[3] ^ key[1], p0 as u32];
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        x
    }

    pub fn normals([a, b, c, d]: [u32; 4]) -> [f32; 4] {
        let horner = |x: f32, c: &[f32]| c.iter().rev().copied().reduce(|y, c| y * x + c).unwrap();
        let odd = |x: u32| (x | 1) as i32 as f32;
        let bits = (odd(a) * odd(b)).abs().to_bits() - 0.75_f32.to_bits();
        let x = f32::from_bits((bits & 0x7f_ffff) + 0.75_f32.to_bits()) - 1.0;
        let low = (-2.00000024 + 1.00000441 * x) + (-0.666599214 + 0.499533266 * x) * (x * x);
        let high = (-0.402084291 + 0.347411454 * x) + (-0.283105493 + 0.133531928 * x) * (x * x);
        let log = (low + high * (x * x * (x * x))) * x;
        let sum = (62.0 - (bits >> 23) as f32) * (2.0 * std::f32::consts::LN_2) + log;
        let k = (d << 15 ^ c << 7 ^ a) & 0x7f_ffff;
        let v = (2 * k + 1) as f32 / (1 << 24) as f32;
        let turn = |word: u32| {
            let x = word as i32 as f32 / (1_u32 << 31) as f32;
            let s = horner(x * x, &[1.11072075, -0.114191465, 0.00352174835, -5.10431673e-5]) * x;
            let c = horner(x * x, &[1.41421354, -0.43617779, 0.0224151202, -0.000450902531]);
            (s * c, 1.0 - s * s)
        };
        let sign = |x: f32, word: u32| if word >> 31 == 1 { -x } else { x };
        let (r1, r2) = ((v * sum).sqrt(), ((1.0 - v) * sum).sqrt());
        let ((s1, c1), (s2, c2)) = (turn(c), turn(d));
        [r1 * s1, r1 * sign(c1, a), r2 * s2, r2 * sign(c2, b)]
    }

    /// The 1024 elements of a block.
    pub fn block(seed: u64, stream: u64, block: u64) -> Vec<f32> {
        let mut lanes: Vec<Xoroshiro128Plus> = (0..8)
            .map(|lane| {
                let counter = block * 8 + lane;
                let words = philox4x32_10(
                    [counter as u32, (counter >> 32) as u32, stream as u32, (stream >> 32) as u32],
                    [seed as u32, (seed >> 32) as u32],
                );
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                Xoroshiro128Plus::from_seed(bytes.try_into().unwrap())
            })
            .collect();
        let mut all = vec![0.0; 1024];
        for group in all.chunks_mut(64) {
            let words: Vec<[u32; 16]> = (0..4)
                .map(|_| {
                    let halves: Vec<u32> = lanes
                        .iter_mut()
                        .flat_map(|lane| {
                            let word = lane.next_u64();
                            [word as u32, (word >> 32) as u32]
                        })
                        .collect();
                    halves.try_into().unwrap()
                })
                .collect();
            for i in 0..16 {
                for (k, z) in
                    normals([words[0][i], words[1][i], words[2][i], words[3][i]]).into_iter().enumerate()
                {
                    group[16 * k + i] = z;
                }
            }
        }
        all
    }
}

/// Whether two buffers are the same bit for bit.
fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn counter(noise: Counter, len: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; len];
    noise.fill(&mut out[..]).unwrap();
    out
}

/// Some floats of mixed size and sign.
fn floats(seed: u64, len: usize) -> Vec<f32> {
    counter(Counter::new(seed, 77), len).iter().enumerate().map(|(i, z)| z * (1 + i % 5) as f32).collect()
}

/// Held by a test for as long as it needs the level that it has set.
static LEVEL: Mutex<()> = Mutex::new(());

/// The levels that this machine has, each in use while it is the item.
fn levels<T>(_: &T) -> impl Iterator<Item = SimdLevel> {
    [SimdLevel::Baseline, SimdLevel::Avx2, SimdLevel::Avx512]
        .into_iter()
        .filter(|&level| limit_simd_level(level) == level)
}

struct Tables([Vec<f32>; 3]);

impl Tables {
    fn new(n: usize) -> Self {
        let [mut timesteps, mut sigmas, mut discrete_sigmas] = [(); 3].map(|()| vec![0.0; n]);
        let config = Config::default();
        set_timesteps(&config, &mut timesteps[..]).unwrap();
        set_sigmas(&config, &timesteps, &mut sigmas[..], &mut discrete_sigmas[..]).unwrap();
        Self([timesteps, sigmas, discrete_sigmas])
    }
    fn schedule(&self) -> Schedule<'_> {
        let [timesteps, sigmas, discrete_sigmas] = &self.0;
        Schedule { timesteps, sigmas, discrete_sigmas }
    }
    fn scheduler(&self) -> Scheduler<'_> {
        Scheduler { config: Config::default(), schedule: self.schedule() }
    }
}

#[test]
fn counter_noise_is_the_scalar_reference() {
    for (seed, stream) in [(0, 0), (42, 1), (u64::MAX, u64::MAX), (1 << 63 | 5, 1 << 40)] {
        for block in [0, 1, 2, 1 << 29, 1 << 40, (1 << 54) - 2] {
            let got = counter(Counter { seed, stream, index: block * 1024 }, 1024);
            assert!(same(&got, &reference::block(seed, stream, block)), "{seed} {stream} {block}");
        }
    }
}

#[test]
fn counter_noise_has_the_committed_bits() {
    // Changing these bits is a breaking change: the same seed would give another picture.
    let fnv1a = counter(Counter::new(42, 7), 100_000)
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(fnv1a, 0xb491_54fb_21c4_7800, "{fnv1a:#018x}");
}

#[test]
fn counter_noise_is_the_same_for_every_split() {
    let whole = counter(Counter::new(3, 4), 5000);
    for start in (0..200).chain([1000, 1023, 1024, 1025, 2047, 4000]) {
        for len in [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 999] {
            let part = counter(Counter::new(3, 4).at(start as u64), len);
            assert!(same(&part, &whole[start..start + len]), "{start} {len}");
        }
    }
}

#[test]
fn counter_noise_is_normal() {
    // 4 million draws, fewer in an emulator: moments within five standard errors, and tail counts
    // within five roots of what a normal has.
    let n = if std::env::var_os("VESDE_RUNNER").is_some() { 1 << 18 } else { 1 << 22 };
    let z = counter(Counter::new(2026, 0), n);
    let moment = |k: i32| z.iter().map(|&z| f64::from(z).powi(k)).sum::<f64>() / n as f64;
    for (k, (want, variance)) in
        [(0.0, 1.0), (1.0, 2.0), (0.0, 15.0), (3.0, 96.0), (0.0, 945.0), (15.0, 10170.0)]
            .into_iter()
            .enumerate()
    {
        let got = moment(k as i32 + 1);
        assert!((got - want).abs() < 5.0 * (variance / n as f64).sqrt(), "moment {} is {got}", k + 1);
    }
    for (sigma, tail) in [(1.0, 0.317_310_5), (2.0, 0.045_500_26), (3.0, 2.699_796e-3), (4.0, 6.334_248e-5)] {
        let want = tail * n as f64;
        let got = z.iter().filter(|z| z.abs() > sigma).count() as f64;
        assert!((got - want).abs() < 5.0 * want.sqrt(), "{got} beyond {sigma} sigma, not {want}");
    }
    // Neighbours, other streams and other seeds are not correlated.
    for other in [
        Counter::new(2026, 0).at(1),
        Counter::new(2026, 0).at(16),
        Counter::new(2026, 1),
        Counter::new(2027, 0),
    ] {
        let other = counter(other, n);
        let sum: f64 = z.iter().zip(other).map(|(&a, b)| f64::from(a) * f64::from(b)).sum();
        assert!(sum.abs() < 5.0 * (n as f64).sqrt());
    }
}

#[test]
fn every_form_of_a_predictor_step_gives_the_same_bits() {
    let tables = Tables::new(50);
    let scheduler = tables.scheduler();
    for len in (1..200).chain([255, 256, 257, 1023, 1024, 1025, 4097]) {
        let (sample, score) = (floats(1, len), floats(2, len));
        let noise = Counter { seed: 9, stream: 1, index: len as u64 };
        let z = counter(noise, len);
        let t = [tables.0[0][len % 50]];
        let step =
            tables.schedule().predictor_step(&scheduler.config, Predictor::ReverseDiffusion, t[0]).unwrap();
        let want_mean: Vec<f32> = sample.iter().zip(&score).map(|(x, m)| x + step.drift * m).collect();
        let want: Vec<f32> = want_mean.iter().zip(&z).map(|(x, z)| x + step.diffusion * z).collect();
        for noise in [Noise::from(&z[..]), Noise::from(noise)] {
            let (mut prev, mut mean) = (vec![f32::NAN; len], vec![f32::NAN; len]);
            let step = Step::new(&score, &sample, &mut prev[..]).with_noise(noise);
            scheduler.step_pred(&t, step.with_mean(&mut mean[..])).unwrap();
            assert!(same(&prev, &want) && same(&mean, &want_mean), "{len}");
            let mut prev = vec![f32::NAN; len];
            scheduler.step_pred(&t, Step::new(&score, &sample, &mut prev[..]).with_noise(noise)).unwrap();
            assert!(same(&prev, &want), "{len}");
            let (mut prev, mut mean) = (sample.clone(), vec![f32::NAN; len]);
            let step = Step::in_place(&score, &mut prev).with_noise(noise);
            scheduler.step_pred(&t, step.with_mean(&mut mean[..])).unwrap();
            assert!(same(&prev, &want) && same(&mean, &want_mean), "{len}");
        }
    }
}

#[test]
fn norms_of_counter_noise_are_those_of_a_buffer_of_it() {
    for start in (0..=64).chain([1000, 1023, NORM_BLOCK as u64 - 1]) {
        for len in [1, 63, 64, 65, 1000, NORM_BLOCK - 1, NORM_BLOCK, NORM_BLOCK + 1, 2 * NORM_BLOCK + 100] {
            let noise = Counter { seed: 1, stream: start, index: start };
            let z = counter(noise, len);
            let [mut want, mut sums] = [(); 2].map(|()| vec![0.0; norm_blocks(len)]);
            sum_squares(&z, len, &mut want).unwrap();
            sum_squares(noise, len, &mut sums).unwrap();
            assert_eq!(sums, want, "{len} from {start}");
            assert_eq!(torch_norm(noise, len), torch_norm(&z, len), "{len} from {start}");
        }
    }
}

#[test]
fn nothing_depends_on_alignment() {
    let tables = Tables::new(10);
    let scheduler = tables.scheduler();
    // Of 4096 floats and more, vectors are aligned to the first output.
    for len in [150, 4096, 5000] {
        let (sample, score, z) = (floats(1, len), floats(2, len), floats(3, len));
        for noise in [Noise::from(&z[..]), Counter::new(1, 1).into()] {
            // A step in place, and two kernels out of place: inputs begin `offset` floats behind a
            // boundary, outputs 19 − offset.
            let all = |offset: usize| {
                let shifted = |floats: &[f32], offset: usize| [&vec![0.5; offset][..], floats].concat();
                let score = shifted(&score, offset);
                let mut prev = shifted(&sample, 19 - offset);
                let step = Step::in_place(&score[offset..], &mut prev[19 - offset..]);
                scheduler.step_pred(&[0.5], step.with_noise(noise)).unwrap();
                let mut noisy = shifted(&sample, 19 - offset);
                scheduler.add_noise(&score[offset..], 1, &[3], noise, &mut noisy[19 - offset..]).unwrap();
                let mut scaled = shifted(&sample, 19 - offset);
                linear(Combination::new(&mut scaled[19 - offset..]).plus(1.0, &score[offset..])).unwrap();
                [prev, noisy, scaled].map(|out| {
                    let (before, out) = out.split_at(19 - offset);
                    assert!(before.iter().all(|&x| x == 0.5));
                    out.to_vec()
                })
            };
            let want = all(0);
            for offset in 1..20 {
                assert!(all(offset).iter().zip(&want).all(|(a, b)| same(a, b)), "{len} floats at {offset}");
            }
        }
    }
}

#[test]
fn a_tensor_beyond_the_caches_has_the_bits_of_its_parts() {
    // From 2²³ floats on, and the mean from 2¹⁹, outputs whose tiles are aligned to 16 bytes are
    // stored non-temporally on x86; elsewhere no length is special.
    let large = if cfg!(any(target_arch = "x86", target_arch = "x86_64")) { 1 << 23 } else { 1 << 16 };
    let tables = Tables::new(10);
    let scheduler = tables.scheduler();
    let (room, noise) = (large + 200, Counter::new(1, 1));
    let (sample, score, z) = (floats(1, room), floats(2, room), counter(noise, room));
    let step = |range: Range<usize>, noise: Noise<'_>, prev: &mut [f32], mean: &mut [f32]| {
        let step = Step::new(&score[range.clone()], &sample[range], prev).with_noise(noise);
        scheduler.step_pred(&[0.5], step.with_mean(mean)).unwrap();
    };
    let [mut want, mut want_mean, mut prev, mut mean] = [(); 4].map(|()| vec![0.0; room + 1]);
    for start in (0..room).step_by(large / 32) {
        let part = start..room.min(start + large / 32);
        step(part.clone(), Noise::from(&z[part.clone()]), &mut want[part.clone()], &mut want_mean[part]);
    }
    let parts = [(64, large + 100), (0, large), (4, large + 1), (1, large), (7, room - 7)];
    let some = if std::env::var_os("VESDE_RUNNER").is_some() { 1 } else { parts.len() };
    for (start, len) in parts.into_iter().take(some) {
        let part = start..start + len;
        for noise in [Noise::from(&z[part.clone()]), noise.at(start as u64).into()] {
            for floats in [&mut prev, &mut mean] {
                floats.fill(f32::NAN);
            }
            step(part.clone(), noise, &mut prev[part.clone()], &mut mean[part.clone()]);
            assert!(same(&prev[part.clone()], &want[part.clone()]), "{part:?}");
            assert!(same(&mean[part.clone()], &want_mean[part.clone()]), "{part:?}");
            // Nothing beside the part is written.
            for floats in [&prev, &mean] {
                assert!(floats[..start].iter().chain(&floats[part.end..]).all(|x| x.is_nan()));
            }
        }
        for behind in [0, 1] {
            // A mean that lies otherwise than the sample, too.
            let mean = &mut mean[start + behind..][..len];
            mean.fill(f32::NAN);
            prev[part.clone()].copy_from_slice(&sample[part.clone()]);
            let step = Step::in_place(&score[part.clone()], &mut prev[part.clone()]);
            let step = step.with_noise(&z[part.clone()]).with_mean(&mut *mean);
            scheduler.step_pred(&[0.5], step).unwrap();
            assert!(same(&prev[part.clone()], &want[part.clone()]), "{part:?}");
            assert!(same(mean, &want_mean[part.clone()]), "{part:?}");
        }
    }
}

#[test]
fn a_mean_beyond_the_caches_has_the_bits_of_its_parts_on_every_level() {
    let tables = Tables::new(10);
    let scheduler = tables.scheduler();
    let room = (1 << 19) + 200;
    let (sample, score, z) = (floats(1, room), floats(2, room), floats(3, room));
    let [mut want, mut want_mean] = [(); 2].map(|()| vec![0.0; room]);
    for start in (0..room).step_by(1 << 16) {
        let part = start..room.min(start + (1 << 16));
        let step = Step::new(&score[part.clone()], &sample[part.clone()], &mut want[part.clone()]);
        let step = step.with_noise(&z[part.clone()]).with_mean(&mut want_mean[part]);
        scheduler.step_pred(&[0.5], step).unwrap();
    }
    for level in levels(&LEVEL.lock()) {
        for (len, offset, further) in
            [(1 << 19, 0, 0), (1 << 19, 16, 16), ((1 << 19) + 77, 4, 0), ((1 << 19) + 131, 1, 4)]
        {
            let mut mean = vec![f32::NAN; room];
            let mut prev = sample.clone();
            // Where its tiles are aligned as those of the sample are, and so many floats further.
            let [to, from] = [&prev, &mean].map(|floats| floats.as_ptr().addr() / 4);
            let behind = (to + offset).wrapping_sub(from) % 16 + further;
            let (part, mean_part) = (offset..offset + len, behind..behind + len);
            let step = Step::in_place(&score[part.clone()], &mut prev[part.clone()]);
            let step = step.with_noise(&z[part.clone()]).with_mean(&mut mean[mean_part.clone()]);
            scheduler.step_pred(&[0.5], step).unwrap();
            assert!(same(&prev[part.clone()], &want[part.clone()]), "{level:?} {part:?}");
            assert!(same(&mean[mean_part.clone()], &want_mean[part]), "{level:?} {mean_part:?}");
            assert!(mean[..behind].iter().chain(&mean[mean_part.end..]).all(|x| x.is_nan()));
        }
    }
}

#[test]
fn a_timestep_for_each_sample_is_each_sample_by_itself() {
    let tables = Tables::new(30);
    let scheduler = tables.scheduler();
    for (batch, len) in [(1, 5), (2, 64), (3, 100), (7, 33)] {
        let (sample, score) = (floats(1, batch * len), floats(2, batch * len));
        let t: Vec<f32> = (0..batch).map(|i| tables.0[0][i * 4]).collect();
        let indices: Vec<i64> = (0..batch as i64).map(|i| 29 - 3 * i).collect();
        let noise = Counter::new(8, 8);
        let mut prev = sample.clone();
        let step = Step::in_place(&score, &mut prev).with_batch(batch).with_noise(noise);
        scheduler.step_pred(&t, step).unwrap();
        let mut noisy = vec![0.0; batch * len];
        scheduler.add_noise(&sample, batch, &indices, noise, &mut noisy[..]).unwrap();
        for i in 0..batch {
            let part = i * len..(i + 1) * len;
            let noise = noise.at(part.start as u64);
            let mut one = sample[part.clone()].to_vec();
            let step = Step::in_place(&score[part.clone()], &mut one).with_noise(noise);
            scheduler.step_pred(&t[i..=i], step).unwrap();
            assert!(same(&prev[part.clone()], &one));
            let z = counter(noise, len);
            let sigma = tables.0[2][indices[i] as usize];
            let want: Vec<f32> = sample[part.clone()].iter().zip(&z).map(|(x, z)| sigma * z + x).collect();
            assert!(same(&noisy[part], &want));
        }
    }
}

#[test]
fn every_form_of_a_corrector_step_gives_the_same_bits() {
    let tables = Tables::new(10);
    let scheduler = tables.scheduler();
    for (batch, len) in [(1, 1), (1, 64), (2, 147), (3, 4096), (5, 4097), (9, 8200), (70, 12)] {
        let (sample, score) = (floats(1, batch * len), floats(2, batch * len));
        let noise = Counter { seed: 9, stream: 1, index: 128 };
        let z = counter(noise, batch * len);
        for modes in MODES {
            let (mut want, mut want_mean) = (vec![0.0; batch * len], vec![0.0; batch * len]);
            let step = Step::new(&score, &sample, &mut want[..]).with_batch(batch).with_noise(&z);
            scheduler.step_correct(modes.0, modes.1, step.with_mean(&mut want_mean[..])).unwrap();
            for (in_place, with_mean) in [(true, true), (true, false), (false, true), (false, false)] {
                let (mut prev, mut mean) = (sample.clone(), want_mean.clone());
                let mut step = if in_place {
                    Step::in_place(&score, &mut prev)
                } else {
                    prev.fill(f32::NAN);
                    Step::new(&score, &sample, &mut prev[..])
                };
                if with_mean {
                    mean.fill(f32::NAN);
                    step = step.with_mean(&mut mean[..]);
                }
                let step = step.with_batch(batch).with_noise(noise);
                scheduler.step_correct(modes.0, modes.1, step).unwrap();
                assert!(same(&prev, &want) && same(&mean, &want_mean), "{batch} {len} {modes:?} {in_place}");
            }
        }
        // Each sample by itself is what PerSample says.
        let mut all = sample.clone();
        let step = Step::in_place(&score, &mut all).with_batch(batch).with_noise(noise);
        scheduler.step_correct(MODES[1].0, MODES[1].1, step).unwrap();
        for start in (0..batch * len).step_by(len) {
            let mut one = sample[start..start + len].to_vec();
            let step = Step::in_place(&score[start..start + len], &mut one);
            let step = step.with_noise(noise.at(start as u64));
            scheduler.step_correct(MODES[0].0, MODES[0].1, step).unwrap();
            assert!(same(&all[start..start + len], &one));
        }
    }
}

#[test]
fn a_corrector_step_that_could_fail_with_larger_noise_does_not() {
    let tables = Tables::new(10);
    let scheduler = tables.scheduler();
    let (sample, noise, batch, len) = (floats(1, 64), Counter::new(3, 0), 2, 32);
    let z = counter(noise, batch * len);
    let score: Vec<f32> = floats(2, 64).iter().map(|x| x * 2e-20).collect();
    for modes in MODES {
        let (mut want, mut prev) = (vec![0.0; 64], vec![f32::NAN; 64]);
        for (out, noise) in [(&mut want, Noise::from(&z)), (&mut prev, noise.into())] {
            let step = Step::new(&score, &sample, &mut out[..]).with_batch(batch).with_noise(noise);
            scheduler.step_correct(modes.0, modes.1, step).unwrap();
        }
        assert!(same(&prev, &want));
        // With the noise that there is, there is a step size; with the largest there would be none.
        let [grad, noise] =
            [&score, &z].map(|x| x[..len].iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt());
        corrector_step(scheduler.config.snr, grad, noise, Norm::Exact).unwrap();
        let most = corrector_step(scheduler.config.snr, grad, 10.0 * f64::sqrt(32.0), Norm::Exact);
        assert_eq!(most, Err(Error::NonFiniteGradientNorm));
    }
}

#[test]
fn a_corrector_step_in_three_phases_has_the_bits_of_one_call() {
    let tables = Tables::new(10);
    let scheduler = tables.scheduler();
    let (batch, len) = (3, 2 * NORM_BLOCK + 100);
    let (sample, score) = (floats(1, batch * len), floats(2, batch * len));
    let noise = Counter { seed: 5, stream: 6, index: 7 };
    let mut want = sample.clone();
    let step = Step::in_place(&score, &mut want).with_batch(batch).with_noise(noise);
    scheduler.step_correct(MODES[0].0, MODES[0].1, step).unwrap();

    let mut norms = [vec![], vec![]];
    for start in (0..batch * len).step_by(len) {
        let mut blocks = [vec![0.0; norm_blocks(len)], vec![0.0; norm_blocks(len)]];
        for k in (0..norm_blocks(len)).rev() {
            let at = start + k * NORM_BLOCK;
            let count = NORM_BLOCK.min(start + len - at);
            sum_squares(&score[at..at + count], count, &mut blocks[0][k..=k]).unwrap();
            sum_squares(noise.at(at as u64), count, &mut blocks[1][k..=k]).unwrap();
        }
        for (norms, blocks) in norms.iter_mut().zip(&blocks) {
            norms.push(sample_norm(blocks));
        }
    }
    let [grad_norm, noise_norm] = norms.map(|norms| mean_norm(&norms, Norm::Exact).unwrap());
    let step = corrector_step(Config::default().snr, grad_norm, noise_norm, Norm::Exact).unwrap();
    let mut prev = sample;
    for (i, (x, score)) in prev.chunks_mut(1234).zip(score.chunks(1234)).enumerate() {
        let noise = noise.at(1234 * i as u64);
        let update = Combination::in_place(1.0, x).plus(step.step_size, score);
        linear(update.plus_noise(step.noise_factor, noise)).unwrap();
    }
    assert!(same(&prev, &want));
}

#[test]
fn exact_norms_are_right_at_every_length() {
    for len in (1..300).chain([4095, 4096, 4097, 100_000]) {
        let x = floats(3, len);
        let mut blocks = vec![0.0; norm_blocks(len)];
        sum_squares(&x, len, &mut blocks).unwrap();
        let want = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        assert!((sample_norm(&blocks) / want - 1.0).abs() < 1e-13);
        assert!((torch_norm(&x, len).unwrap() / want - 1.0).abs() < 1e-5);
    }
}

#[test]
fn any_rand_core_generator_fills_a_buffer() {
    let mut want = vec![];
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    for _ in 0..5 {
        let words: Vec<u32> = (0..64).map(|_| rng.next_u32()).collect();
        let mut group = [0.0; 64];
        for i in 0..16 {
            let z = reference::normals([words[i], words[16 + i], words[32 + i], words[48 + i]]);
            for (k, z) in z.into_iter().enumerate() {
                group[16 * k + i] = z;
            }
        }
        want.extend(group);
    }
    for len in [0, 1, 63, 64, 65, 200, 320] {
        let mut out = vec![0.0; len];
        fill_from_rng(&mut Xoshiro256PlusPlus::seed_from_u64(1), &mut out[..]);
        assert!(same(&out, &want[..len]));
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut words = 0;
        let mut out = vec![0.0; len];
        let next_word = || {
            words += 1;
            rng.next_u32()
        };
        fill_from_words(next_word, &mut out[..]);
        assert!(same(&out, &want[..len]));
        assert_eq!(words, len.next_multiple_of(64));
    }
}

#[test]
fn a_step_without_noise_is_its_mean_where_the_factor_of_the_noise_is_0() {
    for len in [1, 63, 64, 65, 1000] {
        let [x, m] = [1, 2].map(|stream| noise_from(stream, len));
        let want: Vec<f32> = x.iter().zip(&m).map(|(x, m)| x + 0.75 * m).collect();
        let (mut prev, mut mean) = (vec![f32::NAN; len], vec![f32::NAN; len]);
        let update = Combination::new(&mut prev[..]).plus(1.0, &x).plus(0.75, &m);
        linear(update.plus_noise(0.0, Noise::None).with_mean(&mut mean[..])).unwrap();
        assert!(same(&prev, &want) && same(&mean, &want));
        let mut in_place = x.clone();
        let mut update = |diffusion| {
            let update = Combination::in_place(1.0, &mut in_place).plus(0.75, &m);
            linear(update.plus_noise(diffusion, Noise::None))
        };
        assert_eq!(update(-0.0), Ok(()));
        for diffusion in [1e-45, -1.0, f32::NAN] {
            assert_eq!(update(diffusion), Err(Error::NullPointer));
        }
        assert!(same(&in_place, &want));

        // A predictor step adds no noise where neighbouring sigmas are equal, or where a sigma is
        // 0.
        let schedule =
            Schedule { timesteps: &[1.0, 0.5, 0.0], sigmas: &[], discrete_sigmas: &[0.0, 2.0, 2.0] };
        let scheduler = Scheduler { config: Config::default(), schedule };
        scheduler.step_pred(&[1.0], Step::new(&m, &x, &mut prev[..])).unwrap();
        assert!(same(&prev, &x));
        scheduler.add_noise(&x, 1, &[0], Noise::None, &mut mean[..]).unwrap();
        assert!(same(&mean, &x));
        let predicted = scheduler.step_pred(&[0.5], Step::new(&m, &x, &mut prev[..]));
        assert_eq!(predicted, Err(Error::NullPointer));
        let noisy = scheduler.add_noise(&x, 1, &[1], Noise::None, &mut mean[..]);
        assert_eq!(noisy, Err(Error::NullPointer));
        for (averaging, norm) in MODES {
            let corrected = scheduler.step_correct(averaging, norm, Step::new(&m, &x, &mut prev[..]));
            assert_eq!(corrected, Err(Error::NullPointer));
        }
        assert!(same(&prev, &x) && same(&mean, &x));
    }
}

#[test]
fn at_a_signal_to_noise_ratio_of_0_the_corrector_does_nothing() {
    let tables = Tables::new(10);
    let config = Config { snr: 0.0, ..Config::default() };
    let scheduler = Scheduler { config, ..tables.scheduler() };
    let [x, m] = [1, 2].map(|stream| noise_from(stream, 12));
    for (averaging, norm) in MODES {
        let mut prev = vec![f32::NAN; 12];
        let step = Step::new(&m, &x, &mut prev[..]).with_batch(3).with_noise(Counter::new(1, 3));
        scheduler.step_correct(averaging, norm, step).unwrap();
        assert!(same(&prev, &x));
    }
}

/// Counter noise of seed 9, for buffers of any content.
fn noise_from(stream: u64, len: usize) -> Vec<f32> {
    counter(Counter::new(9, stream), len)
}

#[test]
fn a_sampler_that_starts_at_a_step_is_the_rest_of_a_job() {
    let (tables, len, steps) = (Tables::new(8), 3 * 70, 8);
    let score_of = |x: &[f32], sigma: f32, score: &mut [f32]| {
        for (score, x) in score.iter_mut().zip(x) {
            *score = (0.5 - x) / (sigma * sigma + 0.01);
        }
    };
    // Runs a job; of its samples before each step, and the draws that it asked for.
    let run = |config: &Config, options: SamplerOptions, x: &mut [f32]| {
        let mut sampler = Sampler::new(config, 3, options).unwrap();
        let (mut score, mut z) = (vec![0.0; len], vec![0.0; len]);
        let (mut before, mut draws, mut labels) = (vec![], vec![], vec![]);
        loop {
            match sampler.next(&tables.schedule(), Buffers::new(x, &score).with_noise(&z)).unwrap() {
                Request::Score { sigma, step, label, correction, .. } => {
                    if correction == 0 {
                        before.push((step, x.to_vec()));
                        labels.push(label);
                    }
                    score_of(x, sigma, &mut score);
                }
                Request::Noise { draw } => {
                    draws.push(draw);
                    Counter::new(options.seed, options.stream + draw).fill(&mut z[..]).unwrap();
                }
                Request::Condition { .. } | Request::Done => return (before, draws, labels),
            }
        }
    };
    for correct_steps in [0, 2] {
        let config = Config { correct_steps, ..Config::default() };
        for noise in [SamplerNoise::Counter, SamplerNoise::Given] {
            for result in [SamplerResult::Mean, SamplerResult::Noisy] {
                let whole = SamplerOptions {
                    seed: 3,
                    stream: 5,
                    noise,
                    result,
                    unclamped: true,
                    ..Default::default()
                };
                let mut want = vec![f32::NAN; len];
                let (before, all_draws, labels) = run(&config, whole, &mut want);
                assert_eq!(labels, (0..steps).collect::<Vec<_>>());
                for (step, sample) in before {
                    let mut x = sample.clone();
                    let rest = SamplerOptions { start: Some(step), ..whole };
                    let (again, draws, _) = run(&config, rest, &mut x);
                    assert!(same(&x, &want), "from step {step}");
                    assert!(again[0].0 == step && same(&again[0].1, &sample));
                    // Draw 0 is the initial sample's; those of the steps that were left out are
                    // counted.
                    let first = 1 + step * (1 + correct_steps as usize);
                    assert_eq!(draws, all_draws.get(first..).unwrap_or_default());
                }
                let late = SamplerOptions { start: Some(steps), ..whole };
                let mut sampler = Sampler::new(&config, 3, late).unwrap();
                let next = sampler.next(&tables.schedule(), Buffers::new(&mut want, &[0.0; 210]));
                assert_eq!(next, Err(Error::TimestepOutOfRange));
            }
        }
    }
}

#[test]
fn a_noisy_result_is_the_mean_and_the_last_noise() {
    let config = Config::default();
    let options = SamplerOptions { seed: 4, unclamped: true, ..SamplerOptions::default() };
    let steps = 10;
    let (mean, evaluations) = sample(options, &config, steps);
    let (noisy, _) = sample(SamplerOptions { result: SamplerResult::Noisy, ..options }, &config, steps);
    let tables = Tables::new(steps);
    let schedule = tables.schedule();
    let step = schedule.predictor_step(&config, Predictor::ReverseDiffusion, tables.0[0][steps - 1]).unwrap();
    let z = counter(Counter::new(4, evaluations as u64), mean.len());
    let want: Vec<f32> = mean.iter().zip(&z).map(|(mean, z)| mean + step.diffusion * z).collect();
    assert!(same(&noisy, &want) && !same(&noisy, &mean));
}

/// Runs a sampler with a Gaussian's score, and a copy of its state at every request.
fn sample(options: SamplerOptions, config: &Config, steps: usize) -> (Vec<f32>, usize) {
    let tables = Tables::new(steps);
    let len = 3 * 70;
    let (mut x, mut score, mut z) = (vec![f32::NAN; len], vec![f32::NAN; len], vec![0.0; len]);
    let mut sampler = Sampler::new(config, 3, options).unwrap();
    let mut draws = 0;
    let mut evaluations = 0;
    loop {
        let (mut copy, mut copy_x) = (sampler, x.clone());
        let [request, again] = [(&mut sampler, &mut x), (&mut copy, &mut copy_x)]
            .map(|(sampler, x)| sampler.next(&tables.schedule(), Buffers::new(x, &score).with_noise(&z)));
        let request = request.unwrap();
        assert_eq!(again, Ok(request));
        assert!(same(&copy_x, &x));
        match request {
            Request::Noise { .. } => {
                Counter::new(options.seed, options.stream + draws).fill(&mut z[..]).unwrap();
                draws += 1;
            }
            Request::Score { sigma, step, timestep, label, correction } => {
                assert_eq!(label, steps - 1 - tables.schedule().index(timestep).unwrap());
                assert_eq!(step, evaluations / (1 + config.correct_steps as usize));
                assert_eq!(correction as usize, evaluations % (1 + config.correct_steps as usize));
                assert_eq!((sigma, timestep), (tables.0[1][step], tables.0[0][step]));
                evaluations += 1;
                for (score, x) in score.iter_mut().zip(&x) {
                    *score = (0.5 - x) / (sigma * sigma + 0.01);
                }
            }
            Request::Condition { .. } | Request::Done => break,
        }
    }
    let after = sampler.next(&tables.schedule(), Buffers::new(&mut x, &score));
    assert_eq!(after, Err(Error::SamplerDone));
    (x, evaluations)
}

#[test]
fn a_sampler_gives_the_same_bits_whoever_makes_the_noise() {
    for correct_steps in [0, 1, 2] {
        for (averaging, norm) in MODES {
            let config = Config { correct_steps, ..Config::default() };
            let counter =
                SamplerOptions { seed: 4, stream: 10, averaging, norm, ..SamplerOptions::default() };
            let given = SamplerOptions { noise: SamplerNoise::Given, ..counter };
            let (a, evaluations) = sample(counter, &config, 20);
            let (b, _) = sample(given, &config, 20);
            assert!(same(&a, &b));
            assert_eq!(evaluations, 20 * (1 + correct_steps as usize));
            assert!(a.iter().all(|x| (0.0..=1.0).contains(x)));
        }
    }
}

#[test]
fn an_unclamped_result_may_leave_the_unit_interval() {
    let options = SamplerOptions { unclamped: true, ..SamplerOptions::default() };
    let (free, _) = sample(options, &Config::default(), 3);
    let (clamped, _) = sample(SamplerOptions { unclamped: false, ..options }, &Config::default(), 3);
    assert!(free.iter().any(|x| !(0.0..=1.0).contains(x)));
    assert!(same(&free.iter().map(|x| x.clamp(0.0, 1.0)).collect::<Vec<_>>(), &clamped));
}

#[test]
fn an_error_leaves_outputs_and_state_alone() {
    let tables = Tables::new(10);
    let scheduler = tables.scheduler();
    let (sample, score, z) = (vec![1.0; 12], vec![1.0; 12], vec![1.0; 12]);
    let (zero, nan, inf) = (vec![0.0; 12], vec![f32::NAN; 12], vec![f32::INFINITY; 12]);
    let one_bad = [&[1.0; 8][..], &[0.0; 4]].concat();
    let per_sample = MODES[1];
    let correct = |score: &[f32], batch, modes: (Averaging, Norm), z: &[f32]| {
        let mut prev = [7.0; 12];
        let step = Step::new(score, &sample, &mut prev).with_batch(batch).with_noise(z);
        let result = scheduler.step_correct(modes.0, modes.1, step);
        assert_eq!(prev, [7.0; 12]);
        // Counter noise waits in an output, but not where the step fails.
        if z.len() == 12 && z[0].is_finite() {
            for mut x in [vec![7.0; 12], sample.clone()] {
                let (mut mean, before) = (vec![7.0; 12], x.clone());
                let step = if x == sample {
                    Step::in_place(score, &mut x).with_mean(&mut mean[..])
                } else {
                    Step::new(score, &sample, &mut x[..])
                };
                let step = step.with_batch(batch).with_noise(Counter::new(1, 2));
                assert_eq!(scheduler.step_correct(modes.0, modes.1, step), result);
                assert_eq!((x, mean), (before, vec![7.0; 12]));
            }
        }
        result
    };
    assert_eq!(correct(&score, 5, MODES[0], &z), Err(Error::LengthMismatch));
    assert_eq!(correct(&score, 0, MODES[0], &z), Err(Error::Empty));
    assert_eq!(correct(&score[..11], 1, MODES[0], &z), Err(Error::LengthMismatch));
    assert_eq!(correct(&score, 1, MODES[0], &z[..11]), Err(Error::LengthMismatch));
    for modes in MODES {
        assert_eq!(correct(&zero, 3, modes, &z), Err(Error::ZeroGradientNorm));
        assert_eq!(correct(&nan, 3, modes, &z), Err(Error::NonFiniteGradientNorm));
        assert_eq!(correct(&inf, 3, modes, &z), Err(Error::NonFiniteGradientNorm));
        assert_eq!(correct(&score, 3, modes, &nan), Err(Error::NonFiniteNoiseNorm));
    }
    assert_eq!(correct(&one_bad, 3, per_sample, &z), Err(Error::ZeroGradientNorm));
    assert_eq!(correct(&[1e-30; 12], 3, MODES[0], &z), Err(Error::NonFiniteGradientNorm));

    let predict = |timesteps: &[f32], batch, schedule| {
        let scheduler = Scheduler { schedule, ..scheduler };
        let mut prev = [7.0; 12];
        let step = Step::new(&score, &sample, &mut prev).with_batch(batch).with_noise(&z);
        let result = scheduler.step_pred(timesteps, step);
        assert_eq!(prev, [7.0; 12]);
        result
    };
    let good = tables.schedule();
    for t in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
        assert_eq!(predict(&[0.5, t], 2, good), Err(Error::TimestepOutOfRange));
    }
    assert_eq!(predict(&[], 1, good), Err(Error::Empty));
    assert_eq!(predict(&[0.5], 0, good), Err(Error::Empty));
    // A batch that does not divide the buffers, timesteps that are neither one nor one a sample.
    for (timesteps, batch) in [(5, 5), (1, 5), (2, 1), (2, 3), (3, 2), (12, 1)] {
        assert_eq!(predict(&[0.5; 12][..timesteps], batch, good), Err(Error::LengthMismatch));
    }
    let short = Schedule { discrete_sigmas: &good.discrete_sigmas[..3], ..good };
    assert_eq!(predict(&[0.9], 1, short), Err(Error::TimestepOutOfRange));
    let edited_tables = [[2.0, 1.0], [1.0, f32::NAN], [f32::MAX, f32::MAX], [1.0, f32::INFINITY]];
    for edited in &edited_tables {
        let edited = Schedule { timesteps: &[1.0, 0.5], discrete_sigmas: edited, ..good };
        assert_eq!(predict(&[1.0], 1, edited), Err(Error::InvalidSigma));
    }

    let mut noisy = [7.0; 12];
    for index in [-1, 10, i64::MAX, i64::MIN] {
        let result = scheduler.add_noise(&sample, 2, &[0, index], &z, &mut noisy);
        assert_eq!(result, Err(Error::TimestepOutOfRange));
    }
    for (indices, batch, error) in [
        (0, 1, Error::Empty),
        (1, 0, Error::Empty),
        (1, 5, Error::LengthMismatch),
        (2, 1, Error::LengthMismatch),
        (2, 3, Error::LengthMismatch),
    ] {
        let result = scheduler.add_noise(&sample, batch, &[0; 2][..indices], &z, &mut noisy);
        assert_eq!(result, Err(error));
    }
    let late = Counter { seed: 0, stream: 0, index: u64::MAX - 5 };
    assert_eq!(late.fill(&mut noisy), Err(Error::TooLarge));
    assert_eq!(noisy, [7.0; 12]);

    // A table that is too short is noticed before anything is written.
    let options = SamplerOptions::default();
    let predictor_only = Config { correct_steps: 0, ..Config::default() };
    let mut sampler = Sampler::new(&predictor_only, 1, options).unwrap();
    let mut x = vec![7.0; 12];
    let short = Schedule { sigmas: &good.sigmas[..9], ..good };
    assert_eq!(sampler.next(&short, Buffers::new(&mut x, &score)), Err(Error::LengthMismatch));
    assert_eq!(x, [7.0; 12]);

    // So is a value that the network must not be asked about, in the first step and in the next.
    for step in 0..2 {
        for (table, wrong, error) in [
            (0, f32::NAN, Error::TimestepOutOfRange),
            (0, 1.5, Error::TimestepOutOfRange),
            (1, f32::NAN, Error::InvalidSigma),
            (1, f32::INFINITY, Error::InvalidSigma),
        ] {
            let mut edited = Tables::new(10);
            edited.0[table][step] = wrong;
            let mut sampler = Sampler::new(&predictor_only, 1, options).unwrap();
            let mut x = vec![7.0; 12];
            if step > 0 {
                sampler.next(&edited.schedule(), Buffers::new(&mut x, &score)).unwrap();
            }
            let before = (x.clone(), format!("{sampler:?}"));
            assert_eq!(sampler.next(&edited.schedule(), Buffers::new(&mut x, &score)), Err(error));
            assert_eq!((x, format!("{sampler:?}")), before);
        }
    }
    for wrong in [f32::NAN, f32::NEG_INFINITY] {
        let edited = Schedule { discrete_sigmas: &[1.0, wrong, 2.0], ..good };
        assert_eq!(edited.adjacent_sigma(2), Err(Error::InvalidSigma));
        assert_eq!(edited.discrete_sigma(1), Err(Error::InvalidSigma));
    }

    // A network that answers NaN can be asked again: the sampler stands where it stood.
    let mut sampler = Sampler::new(&Config::default(), 1, SamplerOptions::default()).unwrap();
    let mut x = vec![0.0; 12];
    sampler.next(&good, Buffers::new(&mut x, &score)).unwrap();
    let before = (x.clone(), format!("{sampler:?}"));
    assert_eq!(sampler.next(&good, Buffers::new(&mut x, &nan)), Err(Error::NonFiniteGradientNorm));
    assert_eq!((x.clone(), format!("{sampler:?}")), before);
    assert!(sampler.next(&good, Buffers::new(&mut x, &score)).is_ok());
}

/// Whether two floats are the same bit for bit, or neither is a number: which NaN comes out of an
/// operation is the machine's choice.
fn alike(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
}

/// [`floats`] with numbers among them that arithmetic treats in a way of their own.
fn odd_floats(seed: usize, len: usize) -> Vec<f32> {
    const ODD: [f32; 7] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 1e-40, f32::MAX];
    let mut floats = floats(seed as u64, len);
    for (i, x) in floats.iter_mut().enumerate().filter(|(i, _)| (i + 3 * seed).is_multiple_of(17)) {
        *x = ODD[(i / 17 + seed) % ODD.len()];
    }
    floats
}

/// Bounds of all kinds: reversed, equal, infinite, zeros of both signs, and none.
const BOUNDS: [(f32, f32); 8] = [
    (-1.0, 1.0),
    (1.0, -1.0),
    (0.25, 0.25),
    (f32::NEG_INFINITY, f32::INFINITY),
    (f32::INFINITY, f32::NEG_INFINITY),
    (f32::NAN, 0.5),
    (-0.5, f32::NAN),
    (0.0, -0.0),
];

/// The noise of a combination.
#[derive(Clone, Copy, Debug)]
enum Kind {
    None,
    Given,
    Counter(u64),
}

/// With counter noise that begins at a block, at a group, and anywhere.
const KINDS: [Kind; 7] = [
    Kind::None,
    Kind::Given,
    Kind::Counter(0),
    Kind::Counter(64),
    Kind::Counter(1),
    Kind::Counter(1023),
    Kind::Counter(777_777),
];

/// A linear combination.
struct Sum {
    terms: Vec<(f32, Vec<f32>)>,
    /// The terms' second factors.
    seconds: Vec<f32>,
    kind: Kind,
    factor: f32,
    z: Vec<f32>,
    clamp: Option<(f32, f32)>,
}

impl Sum {
    fn new(terms: usize, one: bool, twice: bool, kind: Kind, clamp: Option<(f32, f32)>, len: usize) -> Self {
        let factors = [if one { 1.0 } else { 0.75 }, -1.5, 1.0, 0.3, -0.0, 2.0, 1e-3, -7.0];
        let second = [if one { 1.0 } else { 0.9 }, 0.3, 1.0, -1.7, 1e-3, -0.6, 1.0, 5.0];
        let seconds = second.map(|second| if twice { second } else { 1.0 })[..terms].to_vec();
        let terms = (1..=terms).zip(factors).map(|(k, a)| (a, odd_floats(k, len))).collect();
        let z = match kind {
            Kind::Counter(index) => counter(Self::counter(index), len),
            _ => odd_floats(9, len),
        };
        Self { terms, seconds, kind, factor: if one { -0.6 } else { 1.0 }, z, clamp }
    }

    fn counter(index: u64) -> Counter {
        Counter { seed: 6, stream: 2, index }
    }

    /// The output and the mean, in scalar code.
    fn want(&self) -> (Vec<f32>, Vec<f32>) {
        let sum = |i: usize| {
            let terms = self.terms.iter().zip(&self.seconds).map(|((a, x), b)| a * x[i] * b);
            let mean = terms.reduce(|sum, term| sum + term);
            let noise = (!matches!(self.kind, Kind::None)).then(|| self.factor * self.z[i]);
            let out = match (mean, noise) {
                (Some(mean), Some(noise)) => mean + noise,
                (mean, noise) => mean.or(noise).unwrap(),
            };
            let out = match self.clamp {
                Some((low, _)) if out < low => low,
                _ => out,
            };
            let out = match self.clamp {
                Some((_, high)) if high < out => high,
                _ => out,
            };
            (out, mean.unwrap_or(f32::NAN))
        };
        (0..self.z.len()).map(sum).unzip()
    }

    /// All but its output and the first `done` terms: a range of it.
    fn onto<'a>(&'a self, mut to: Combination<'a>, done: usize, range: Range<usize>) -> Combination<'a> {
        for ((a, x), &b) in self.terms.iter().zip(&self.seconds).skip(done) {
            let x = &x[range.clone()];
            to = if b == 1.0 { to.plus(*a, x) } else { to.plus_twice(*a, b, x) };
        }
        let to = match self.kind {
            Kind::None => to,
            Kind::Given => to.plus_noise(self.factor, &self.z[range]),
            Kind::Counter(index) => to.plus_noise(self.factor, Self::counter(index).at(range.start as u64)),
        };
        match self.clamp {
            None => to,
            Some((low, high)) => to.clamped(low, high),
        }
    }

    fn name(&self) -> String {
        let factors: Vec<f32> = self.terms.iter().map(|&(a, _)| a).collect();
        let Self { seconds, kind, clamp, z, .. } = self;
        format!("{factors:?} {seconds:?} {kind:?} {clamp:?}, {} floats", z.len())
    }
}

/// Combinations of 0 to 8 terms at some lengths, with bounds and without, with second factors and
/// without: in an emulator a part.
fn sums(lengths: &[usize]) -> impl Iterator<Item = Sum> {
    let some = if std::env::var_os("VESDE_RUNNER").is_some() { 19 } else { 1 };
    let terms = (0..=MOST_TERMS).flat_map(|terms| [(terms, true), (terms, false)]);
    let kinds = terms.flat_map(|(terms, one)| KINDS.map(|kind| (terms, one, kind)));
    let kinds = kinds.filter(|(terms, _, kind)| *terms > 0 || !matches!(kind, Kind::None));
    let all = kinds.flat_map(|kind| lengths.iter().map(move |&len| (kind, len)));
    all.enumerate().step_by(some).flat_map(move |(i, ((terms, one, kind), len))| {
        let bounds = BOUNDS[i / some % BOUNDS.len()];
        let clamps = [None, Some(bounds)].into_iter().flat_map(|clamp| [(clamp, false), (clamp, true)]);
        let possible = clamps.filter(move |&(_, twice)| terms > 0 || !twice);
        possible.map(move |(clamp, twice)| Sum::new(terms, one, twice, kind, clamp, len))
    })
}

#[test]
fn a_combination_is_scalar_code() {
    let guard = LEVEL.lock();
    for sum in sums(&[1, 63, 64, 65, 1023, 1024, 1025, 2047, 2048, 2049, 4097, 5000]) {
        let (len, (want, want_mean), name) = (sum.z.len(), sum.want(), sum.name());
        for level in levels(&guard) {
            for with_mean in [false, true] {
                // There is no mean without terms, and nothing to overwrite.
                if with_mean && sum.terms.is_empty() {
                    continue;
                }
                let may_be_in_place = sum.seconds.first() == Some(&1.0);
                for in_place in [false, may_be_in_place] {
                    let (mut out, mut mean) = (vec![f32::NAN; len], vec![f32::NAN; len]);
                    let mut to = if in_place {
                        out.copy_from_slice(&sum.terms[0].1);
                        sum.onto(Combination::in_place(sum.terms[0].0, &mut out), 1, 0..len)
                    } else {
                        sum.onto(Combination::new(&mut out[..]), 0, 0..len)
                    };
                    if with_mean {
                        to = to.with_mean(&mut mean[..]);
                    }
                    linear(to).unwrap();
                    assert!(alike(&out, &want), "{name}, {level:?} {with_mean} {in_place}");
                    assert!(!with_mean || alike(&mean, &want_mean), "{name}, {level:?} {in_place}");
                }
            }
        }
    }
}

/// In Rust no output but that of [`Combination::in_place`] can be an input. In C each can be any.
#[cfg(feature = "capi")]
#[test]
fn a_combination_may_overwrite_any_of_its_inputs() {
    use std::ptr;
    use vesde::capi::{CCombination, CNoise, CTerm, VESDE_OK, vesde_linear};

    let guard = LEVEL.lock();
    for sum in sums(&[65, 1030]) {
        let (len, (want, want_mean), name) = (sum.z.len(), sum.want(), sum.name());
        // The terms, given noise, and one buffer more for each output.
        let mut inputs: Vec<Vec<f32>> = sum.terms.iter().map(|(_, x)| x.clone()).collect();
        if let Kind::Given = sum.kind {
            inputs.push(sum.z.clone());
        }
        let (spare_out, spare_mean) = (inputs.len(), inputs.len() + 1);
        inputs.resize(inputs.len() + 2, vec![f32::NAN; len]);
        let means: Vec<Option<usize>> = match sum.terms.len() {
            0 => vec![None],
            _ => (0..spare_out).chain([spare_mean]).map(Some).chain([None]).collect(),
        };
        for level in levels(&guard) {
            let places = (0..=spare_out).flat_map(|out| means.iter().map(move |&mean| (out, mean)));
            for (out, mean) in places.filter(|&(out, mean)| mean != Some(out)) {
                let mut buffers = inputs.clone();
                let pointers: Vec<*mut f32> = buffers.iter_mut().map(Vec::as_mut_ptr).collect();
                let mut terms = [CTerm { factor: f32::NAN, buffer: ptr::null() }; MOST_TERMS];
                for (term, (&(factor, _), &buffer)) in terms.iter_mut().zip(sum.terms.iter().zip(&pointers)) {
                    *term = CTerm { factor, buffer };
                }
                let (kind, given, index) = match sum.kind {
                    Kind::None => (0, ptr::null(), 0),
                    Kind::Given => (1, pointers[spare_out - 1].cast_const(), 0),
                    Kind::Counter(index) => (2, ptr::null(), index),
                };
                let (clamp_low, clamp_high) = sum.clamp.unwrap_or((f32::NAN, f32::NAN));
                let combination = CCombination {
                    terms,
                    terms_len: sum.terms.len(),
                    // Second factors that are all 1 may be zeros instead.
                    second_factors: std::array::from_fn(|i| match sum.seconds.get(i) {
                        Some(&second) if sum.seconds.iter().any(|&second| second != 1.0) => second,
                        _ => 0.0,
                    }),
                    len,
                    noise: CNoise { kind, given, counter: Sum::counter(index) },
                    noise_factor: if kind == 0 { 0.0 } else { sum.factor },
                    clamped: i32::from(sum.clamp.is_some()),
                    clamp_low,
                    clamp_high,
                    out: pointers[out],
                    mean: mean.map_or(ptr::null_mut(), |mean| pointers[mean]),
                };
                // SAFETY: all pointers are to `len` floats, which nothing else accesses meanwhile.
                let status = unsafe { vesde_linear(&combination) };
                assert_eq!(status, VESDE_OK, "{name}");
                for (i, (floats, before)) in buffers.iter().zip(&inputs).enumerate() {
                    let want = match i {
                        _ if i == out => &want,
                        _ if Some(i) == mean => &want_mean,
                        _ => before,
                    };
                    assert!(alike(floats, want), "{name}, {level:?} {out} {mean:?}, buffer {i}");
                }
            }
        }
    }
}

#[test]
fn a_combination_is_the_same_for_every_split() {
    let len = 2100;
    for (i, sum) in sums(&[len]).enumerate() {
        let (want, want_mean) = sum.want();
        // At each of the first places by some of the combinations.
        for split in (i % 10..150).step_by(10).chain([1000, 1023, 1024, 1025, 2047, 2048, len - 1]) {
            let (mut out, mut mean) = (vec![f32::NAN; len], vec![f32::NAN; len]);
            for part in [0..split, split..len].into_iter().filter(|part| !part.is_empty()) {
                let to = sum.onto(Combination::new(&mut out[part.clone()]), 0, part.clone());
                linear(if sum.terms.is_empty() { to } else { to.with_mean(&mut mean[part]) }).unwrap();
            }
            assert!(alike(&out, &want), "{} at {split}", sum.name());
            assert!(sum.terms.is_empty() || alike(&mean, &want_mean), "{} at {split}", sum.name());
        }
    }
}

#[test]
fn a_combination_that_is_refused_writes_nothing() {
    fn of<'a>(terms: usize, x: &'a [f32], out: &'a mut [f32]) -> Combination<'a> {
        (0..terms).fold(Combination::new(out), |sum, _| sum.plus(1.0, x))
    }
    let (x, noise) = ([1.0; 12], Counter::new(1, 2));
    let (mut out, mut mean) = ([7.0; 12], [7.0; 12]);
    assert_eq!(linear(of(0, &x, &mut out)), Err(Error::Empty));
    assert_eq!(linear(of(0, &x, &mut out).plus_noise(0.0, Noise::None)), Err(Error::Empty));
    let noise_alone = of(0, &x, &mut out).plus_noise(1.0, noise);
    assert_eq!(linear(noise_alone.with_mean(&mut mean)), Err(Error::Empty));
    for terms in [MOST_TERMS + 1, 100] {
        assert_eq!(linear(of(terms, &x, &mut out)), Err(Error::TooLarge));
    }
    for terms in 1..=MOST_TERMS {
        for factor in [1e-45, f32::NAN] {
            let missing = of(terms, &x, &mut out).plus_noise(factor, Noise::None);
            assert_eq!(linear(missing), Err(Error::NullPointer));
        }
        let late = noise.at(u64::MAX - 5);
        assert_eq!(linear(of(terms, &x, &mut out).plus_noise(0.0, late)), Err(Error::TooLarge));
        let short = of(terms, &x, &mut out).plus_noise(0.0, &x[1..]);
        assert_eq!(linear(short), Err(Error::LengthMismatch));
        let short = of(terms, &x, &mut out).with_mean(&mut mean[1..]);
        assert_eq!(linear(short), Err(Error::LengthMismatch));
        let short = of(terms - 1, &x, &mut out).plus(1.0, &x[1..]);
        assert_eq!(linear(short), Err(Error::LengthMismatch));
        assert_eq!(linear(of(terms, &[], &mut []).plus_noise(1.0, noise)), Err(Error::Empty));
    }
    assert_eq!((out, mean), ([7.0; 12], [7.0; 12]));
    assert_eq!(linear(of(MOST_TERMS, &x, &mut out)), Ok(()));
    assert_eq!(out, [8.0; 12]);
}

/// What `write` makes of memory that need not be initialised. All of it is initialised here, so
/// that elements which are left out are found.
fn of_uninitialised(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut out = vec![MaybeUninit::new(f32::NAN); len];
    write(&mut out);
    // SAFETY: all were initialised above.
    out.into_iter().map(|x| unsafe { x.assume_init() }).collect()
}

#[test]
fn every_output_may_be_uninitialised() {
    let tables = Tables::new(10);
    let scheduler = tables.scheduler();
    let [timesteps, sigmas, discrete_sigmas] = &tables.0;
    assert!(same(timesteps, &of_uninitialised(10, |out| set_timesteps(&scheduler.config, out).unwrap())));
    let mut other = [0.0; 10];
    let out = of_uninitialised(10, |out| {
        set_sigmas(&scheduler.config, timesteps, out, &mut other).unwrap();
    });
    assert!(same(sigmas, &out) && same(discrete_sigmas, &other));
    let out = of_uninitialised(10, |out| {
        set_sigmas(&scheduler.config, timesteps, &mut other, out).unwrap();
    });
    assert!(same(sigmas, &other) && same(discrete_sigmas, &out));

    let noise = Counter::new(1, 2);
    for len in [1, 64, 1000] {
        let (x, score) = (floats(1, len), floats(2, len));
        let both = |step: &dyn Fn(Step<'_>)| {
            let (mut want, mut want_mean) = (vec![0.0; len], vec![0.0; len]);
            step(Step::new(&score, &x, &mut want[..]).with_noise(noise).with_mean(&mut want_mean[..]));
            let mut out = vec![];
            let mean = of_uninitialised(len, |mean| {
                out = of_uninitialised(len, |out| {
                    step(Step::new(&score, &x, out).with_noise(noise).with_mean(mean));
                });
            });
            assert!(same(&out, &want) && same(&mean, &want_mean));
        };
        both(&|step| scheduler.step_pred(&[0.5], step).unwrap());
        for (averaging, norm) in MODES {
            both(&|step| scheduler.step_correct(averaging, norm, step).unwrap());
        }
        let mut want = vec![0.0; len];
        scheduler.add_noise(&x, 1, &[3], noise, &mut want[..]).unwrap();
        let out = of_uninitialised(len, |out| scheduler.add_noise(&x, 1, &[3], noise, out).unwrap());
        assert!(same(&out, &want));

        let z = counter(noise, len);
        assert!(same(&z, &of_uninitialised(len, |out| noise.fill(out).unwrap())));
        let words = || Xoshiro256PlusPlus::seed_from_u64(1);
        let mut want = vec![0.0; len];
        fill_from_rng(&mut words(), &mut want[..]);
        assert!(same(&want, &of_uninitialised(len, |out| fill_from_rng(&mut words(), out))));
        let mut rng = words();
        assert!(same(&want, &of_uninitialised(len, |out| fill_from_words(|| rng.next_u32(), out))));
    }
    for sum in sums(&[1, 64, 1025]) {
        let (len, (want, want_mean)) = (sum.z.len(), sum.want());
        let mut mean = vec![f32::NAN; len];
        let out = of_uninitialised(len, |out| {
            let to = sum.onto(Combination::new(out), 0, 0..len);
            if sum.terms.is_empty() {
                linear(to).unwrap();
            } else {
                mean = of_uninitialised(len, |mean| linear(to.with_mean(mean)).unwrap());
            }
        });
        assert!(alike(&out, &want) && alike(&mean, &want_mean), "{}", sum.name());
    }
}
