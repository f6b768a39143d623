//! Generators of torch and NumPy beyond what golden.rs replays: the numbers of real GPUs, grids,
//! splits, lists, states that are saved and restored, and the seams between calls.

use std::mem::MaybeUninit;

use vesde::noise::{AnyGenerator, CudaGrid, Generator, Numpy, TorchCpu, TorchCuda, fill_from_words, randn};
use vesde::{
    Averaging, Buffers, Config, Counter, Error, Norm, Request, Sampler, SamplerNoise, SamplerOptions,
    SamplerResult, Schedule, set_sigmas, set_timesteps,
};

fn gpu(name: &str) -> CudaGrid {
    CudaGrid::of_gpu(name).unwrap_or_else(|| panic!("no {name}"))
}

fn cuda(seed: u64, grid: CudaGrid, len: usize) -> Vec<f32> {
    let mut z = vec![f32::NAN; len];
    TorchCuda::new(seed, grid).fill(&mut z[..]).unwrap();
    z
}

/// Compares with what a user's terminal showed: four digits behind the point, rounded.
#[track_caller]
fn assert_printed(got: &[f32], printed: &[f32]) {
    assert_eq!(got.len(), printed.len());
    for (i, (got, want)) in got.iter().zip(printed).enumerate() {
        assert!((got - want).abs() <= 0.5e-4 + 1e-7, "{i}: {got} is not printed as {want}");
    }
}

#[test]
fn numbers_that_gpus_have_printed_come_out() {
    // torch.manual_seed(0), 8×8: the input that a public walk through fused kernels prints.
    let seed_0 = [
        -0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284, -1.0745, -0.3631, -1.6711,
        2.2655, 0.3117, -0.1842, 1.2866, 1.1820, -0.1271, 1.2169, 1.4353, 1.0605, -0.4941, -1.4244, -0.7244,
        -1.2973, 0.0697, -0.0074, 1.8969, 0.6878, -0.0779, -0.8373, 1.3506, -0.2879, -0.5965, -0.3283,
        -0.9086, -0.8059, -0.7407, -0.0504, 0.5435, 1.5150, 0.0141, 0.4532, 1.6349, 0.7124, -0.1806, 1.0252,
        -1.4622, -0.7554, -0.1836, 0.3824, 0.3918, -0.0830, 0.8971, -1.1123, 0.1116, 0.4863, -0.5499,
        -0.3231, -0.5469, 0.9049, 0.2837, 0.1210, 0.4730, -1.0823,
    ];
    for grid in [gpu("T4"), gpu("H200"), CudaGrid::UNLIMITED] {
        assert_printed(&cuda(0, grid, 64), &seed_0);
    }
    // The first twelve to eight digits, as a widely used imitation of the GPU's generator documents
    // them (rng_philox.py of stable-diffusion-webui, in f64).
    let exact = [
        -0.92466259,
        -0.42534415,
        -2.6438457,
        0.14518388,
        -0.12086647,
        -0.57972564,
        -0.62285122,
        -0.32838709,
        -1.07454231,
        -0.36314407,
        -1.67105067,
        2.26550497,
    ];
    for (got, want) in cuda(0, CudaGrid::UNLIMITED, 12).into_iter().zip(exact) {
        assert!((got - want).abs() < 1e-6, "{got} is not {want}");
    }
    // torch.manual_seed(42), from the documentation of FlashInfer's LogitsPipe.
    let seed_42 = [0.1940, 2.1614, -0.1721, 0.8491, -1.9244, 0.6530, -0.6494, -0.8175, 0.5280, -1.2753];
    assert_printed(&cuda(42, gpu("H100"), 10), &seed_42);

    // pytorch/pytorch#143086: a draw of 9,483,264 from seed 1 ends differently on an H100 (SXM) and
    // on an A100.
    let len = 49 * 12 * 112 * 144;
    for (name, last) in [("H100", [-0.6970, -0.7780, 0.3267]), ("A100", [0.1549, -0.6797, -0.1656])] {
        for (start, printed) in [(0, [-0.2963, 2.6764, -0.1408]), (len - 3, last)] {
            let mut z = [f32::NAN; 3];
            TorchCuda::new(1, gpu(name)).fill_part(len, start, &mut z).unwrap();
            assert_printed(&z, &printed);
        }
    }

    // pytorch/pytorch#97097: normal_(5, √5) of 1000×100 on an RTX A4000, seed 14: the corners of
    // the matrix.
    let rows = [
        (0, [2.8731, 5.2727, 2.9889, 1.6853, 9.6331, 6.6319]),
        (1, [3.9968, 3.8097, 5.7328, 4.4029, 3.9804, 7.4698]),
        (2, [6.5552, 4.0857, 4.2315, 2.7704, 3.5479, 3.3063]),
        (997, [8.6297, 2.3137, 6.2596, 7.9358, 4.4697, 2.7475]),
        (998, [7.0551, 7.8583, 3.9990, 4.1139, 8.9315, 4.2042]),
        (999, [2.7337, 2.2106, 7.7815, 8.2207, 6.5395, 4.2604]),
    ];
    let z = cuda(14, gpu("NVIDIA RTX A4000"), 100_000);
    let other = cuda(14, gpu("NVIDIA GeForce RTX 2070 SUPER"), 100_000);
    for (row, printed) in rows {
        let row: Vec<f32> =
            [0, 1, 2, 97, 98, 99].map(|column| 5.0 + 5_f32.sqrt() * z[100 * row + column]).to_vec();
        assert_printed(&row, &printed);
    }
    // On the other GPU of that thread, which holds 40,960 threads, the first rows were the same and
    // the last were not.
    assert_eq!(z[..40_960], other[..40_960]);
    assert_ne!(z[40_960..], other[40_960..]);
}

/// The specification in scalar code and `f64`, for element `i` of a draw. A GPU's numbers are up to
/// 5e-6 away from it, by the GPU's own sine; those of these tests up to 4e-6.
fn oracle(seed: u64, offset: u64, threads: u64, i: u64) -> f64 {
    let (row, thread) = (i / threads, i % threads);
    let counter = u128::from(offset / 4 + row / 4) | u128::from(thread) << 64;
    let mut x = [0, 32, 64, 96].map(|shift| (counter >> shift) as u32);
    let mut key = [seed as u32, (seed >> 32) as u32];
    for _ in 0..10 {
        let (p0, p1) = (0xD251_1F53_u64 * u64::from(x[0]), 0xCD9E_8D57_u64 * u64::from(x[2]));
        x = [(p1 >> 32) as u32 ^ x[1] ^ key[0], p1 as u32, (p0 >> 32) as u32 ^ x[3] ^ key[1], p0 as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    let pair = (row % 4 / 2 * 2) as usize;
    let u = x[pair] as f32 * 2.3283064e-10 + 1.1641532e-10;
    let scale = 2.3283064e-10_f32 * 6.2831855;
    let v = libm::fmaf(x[pair + 1] as f32, scale, scale / 2.0);
    let (u, v) = (f64::from(u), f64::from(v));
    let radius = (-2.0 * u.ln()).sqrt();
    if row % 2 == 0 { radius * v.sin() } else { radius * v.cos() }
}

#[test]
fn cuda_noise_is_its_specification() {
    let (mut worst, mut count) = (0.0_f64, 0);
    for (seed, offset) in [(0, 0), (42, 4), (u64::MAX, 1 << 40), (1 << 35 | 7, (u64::MAX / 4 - 1) * 4)] {
        for (sms, per_sm, len) in [
            (1, 256, 3000),
            (1, 511, 1024),
            (1, 1024, 1500),
            (3, 1024, 20_001),
            (2, 768, 12_288),
            (40, 1024, 5_000),
        ] {
            let grid = CudaGrid { multiprocessors: sms, threads_per_multiprocessor: per_sm };
            let threads = 256 * (len as u64).div_ceil(256).min(u64::from(sms * (per_sm / 256)));
            let mut state = TorchCuda { offset, ..TorchCuda::new(seed, grid) };
            let mut z = vec![f32::NAN; len];
            state.fill(&mut z[..]).unwrap();
            for (i, &z) in z.iter().enumerate() {
                worst = worst.max((f64::from(z) - oracle(seed, offset, threads, i as u64)).abs());
                count += 1;
            }
            assert_eq!(state.offset, offset.wrapping_add(4 * (len as u64).div_ceil(4 * threads)));
        }
    }
    assert!(count > 100_000 && worst < 4e-6, "{worst:e}");
}

#[test]
fn a_cuda_draw_is_the_same_in_parts() {
    let grid = CudaGrid { multiprocessors: 2, threads_per_multiprocessor: 512 };
    let state = TorchCuda { offset: 8, ..TorchCuda::new(5, grid) };
    let len = 11_000; // two whole passes of 4 × 1024 threads, and the rows of a third
    let mut whole = vec![0.0; len];
    state.clone().fill(&mut whole[..]).unwrap();
    for count in [1, 2, 3, 7, 100, len] {
        let mut parts = vec![f32::NAN; len];
        for (i, part) in parts.chunks_mut(len.div_ceil(count)).enumerate() {
            state.fill_part(len as u64, (i * len.div_ceil(count)) as u64, part).unwrap();
        }
        assert_eq!(parts, whole, "{count} parts");
    }
    let mut z = [7.0; 4];
    assert_eq!(state.fill_part(10, 7, &mut z), Err(Error::LengthMismatch));
    assert_eq!(state.fill_part(10, u64::MAX, &mut z), Err(Error::LengthMismatch));
    assert_eq!(state.fill_part(u64::MAX, 0, &mut z), Err(Error::TooLarge));
    assert_eq!(state.fill_part(0, 0, &mut z), Err(Error::LengthMismatch));
    assert_eq!(z, [7.0; 4]);
    let mut skipped = state;
    skipped.skip(len as u64).unwrap();
    let mut filled = state;
    filled.fill(&mut whole[..]).unwrap();
    assert_eq!(skipped, filled);
}

#[test]
fn the_longest_launch_is_its_specification() {
    let (len, start) = (1 << 29, (1 << 29) - 300);
    let mut z = [0.0; 300];
    for (grid, threads) in [(CudaGrid::UNLIMITED, len), (gpu("T4"), 40_960)] {
        TorchCuda::new(6, grid).fill_part(len, start, &mut z).unwrap();
        for (i, &z) in z.iter().enumerate() {
            assert!((f64::from(z) - oracle(6, 0, threads, start + i as u64)).abs() < 4e-6, "{i}");
        }
    }
}

/// What a GPU is asked for in one draw: the first element, the length and the offset of each
/// launch, and the offset afterwards. As torch does it: it reserves what one launch of all would
/// take, then works through a stack of ranges and halves the top one until its last byte's index
/// fits an `i32`.
fn launches(offset: u64, threads: impl Fn(u64) -> u64, len: u64) -> (Vec<(u64, u64, u64)>, u64) {
    let taken = |len: u64| 4 * ((len - 1) / (4 * threads(len)) + 1);
    let fits = |len: u64| (len - 1) * 4 < i32::MAX as u64;
    let (mut made, mut stack) = (Vec::new(), vec![(0, len)]);
    let mut next = if fits(len) { offset } else { offset.wrapping_add(taken(len)) };
    while let Some((start, len)) = stack.pop() {
        if fits(len) {
            made.push((start, len, next));
            next = next.wrapping_add(taken(len));
        } else {
            stack.extend([(start + len / 2, len - len / 2), (start, len / 2)]);
        }
    }
    (made, next)
}

#[test]
fn a_draw_beyond_32_bits_is_several_launches() {
    // By hand: of 2³¹ elements four launches of 2²⁹. A T4's 40,960 threads make 163,840 elements a
    // pass, so one launch would take 13,108 passes and each of the four takes 3277.
    let four = [13_108, 16_385, 19_662, 22_939].map(|passes| 8 + 4 * passes);
    let want: Vec<_> = (0..).zip(four).map(|(i, offset)| (i << 29, 1 << 29, offset)).collect();
    assert_eq!(launches(8, |_| 40_960, 1 << 31), (want, 8 + 4 * 26_216));

    let (small, longest) = (CudaGrid { multiprocessors: 3, threads_per_multiprocessor: 600 }, 1_u64 << 29);
    for (grid, most) in
        [(small, 1536), (gpu("T4"), 40_960), (gpu("H200"), 270_336), (CudaGrid::UNLIMITED, 1 << 50)]
    {
        for len in [
            longest - 1,
            longest,
            longest + 1, // halves of two lengths
            2 * longest,
            2 * longest + 1, // a half that fits, and one that is split
            2 * longest + 2,
            3 * longest + 5,
            4 * longest,
            7 * longest + 12_345,
            8 * longest + 7,
            (1 << 36) + 1_000_003,
            (1 << 40) - 256,
        ] {
            let threads = |len: u64| (256 * len.div_ceil(256)).min(most);
            for offset in [8, u64::MAX - 3] {
                let state = TorchCuda { offset, ..TorchCuda::new(11, grid) };
                let (launches, after) = launches(offset, threads, len);
                let mut skipped = state;
                skipped.skip(len).unwrap();
                assert_eq!(skipped, TorchCuda { offset: after, ..state }, "{len}");
                // Around the seams: the end of a launch and the beginning of the next, and some of
                // its middle.
                let count = launches.len();
                for pair in launches.windows(2).step_by(count.div_ceil(8)) {
                    let [mut want, mut got] = [[f32::NAN; 200]; 2];
                    for (&(_, len, offset), part, start) in
                        [(&pair[0], 0..70, pair[0].1 - 70), (&pair[1], 70..200, 0)]
                    {
                        let alone = TorchCuda { offset, ..state };
                        alone.fill_part(len, start, &mut want[part]).unwrap();
                    }
                    state.fill_part(len, pair[1].0 - 70, &mut got).unwrap();
                    assert_eq!(got, want, "{len} at {}", pair[1].0);
                    let (start, its_len, offset) = pair[1];
                    let alone = TorchCuda { offset, ..state };
                    alone.fill_part(its_len, its_len / 3, &mut want).unwrap();
                    state.fill_part(len, start + its_len / 3, &mut got).unwrap();
                    assert_eq!(got, want, "{len} behind {start}");
                }
            }
        }
    }
    // A part longer than a whole launch would be gigabytes. Beyond, torch cannot count the blocks.
    let (mut state, mut z) = (TorchCuda::new(1, small), [7.0; 3]);
    for len in [(1 << 40) - 255, 1 << 41, u64::MAX] {
        assert_eq!(state.fill_part(len, 0, &mut z), Err(Error::TooLarge));
        assert_eq!(state.skip(len), Err(Error::TooLarge));
    }
    assert_eq!((state, z), (TorchCuda::new(1, small), [7.0; 3]));
}

#[test]
fn gpus_that_users_name_have_the_grid_that_nvidia_published() {
    for (name, multiprocessors, threads_per_multiprocessor) in [
        ("NVIDIA GeForce RTX 3060", 28, 1536),
        ("NVIDIA GeForce RTX 4090 D", 114, 1536),
        ("NVIDIA A30", 56, 2048),
        ("NVIDIA A800-SXM4-80GB", 108, 2048),
        ("A800", 108, 2048),
        ("NVIDIA H800", 132, 2048),
        ("NVIDIA H800 PCIe", 114, 2048),
        ("NVIDIA H200 NVL", 132, 2048),
        ("A100-PCIE-80GB", 108, 2048),
        ("NVIDIA L20", 92, 1536),
        ("NVIDIA GH200 480GB", 132, 2048),
        ("GH200", 132, 2048),
        ("NVIDIA GB200", 152, 2048),
        ("NVIDIA TITAN RTX", 72, 1024),
        ("NVIDIA RTX A2000", 26, 1536),
        ("NVIDIA RTX A4500", 56, 1536),
        ("NVIDIA RTX 4000 Ada Generation", 48, 1536),
        ("RTX 4000 Ada", 48, 1536),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 188, 1536),
        ("Tesla P40", 30, 2048),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", 30, 1536),
        ("NVIDIA GeForce RTX 3080 Ti Laptop GPU", 58, 1536),
        ("NVIDIA GeForce RTX 4070 Laptop GPU", 36, 1536),
        ("nvidia geforce rtx 4090 laptop gpu", 76, 1536),
        ("NVIDIA GeForce RTX 5090 Laptop GPU", 82, 1536),
        ("NVIDIA GeForce RTX 2080 with Max-Q Design", 46, 1024),
    ] {
        assert_eq!(gpu(name), CudaGrid { multiprocessors, threads_per_multiprocessor }, "{name}");
    }
}

#[test]
fn a_draw_that_fits_the_grid_is_the_same_on_every_gpu() {
    let unlimited = cuda(9, CudaGrid::UNLIMITED, 40_961);
    for name in ["T4", "L4", "NVIDIA H100 80GB HBM3", "rtx 4090", "GeForce RTX 5090"] {
        assert_eq!(cuda(9, gpu(name), 40_960), unlimited[..40_960], "{name}");
    }
    assert_ne!(cuda(9, gpu("Tesla T4"), 40_961)[40_960], unlimited[40_960]);
    assert_eq!(cuda(9, gpu("L4"), 40_961), unlimited);
    assert_eq!(CudaGrid::of_gpu("Unlimited"), Some(CudaGrid::UNLIMITED));
    for unknown in [
        "",
        "NVIDIA",
        "GeForce ",
        "RTX 3080",
        "A100-SXM4-40GB MIG 1g.5gb",
        "AMD Instinct MI300X",
        "H300",
        "é",
    ] {
        assert_eq!(CudaGrid::of_gpu(unknown), None, "{unknown}");
    }
}

#[test]
fn cuda_seeds_have_64_bits_and_torch_cpu_seeds_32() {
    assert_ne!(cuda(5, gpu("T4"), 100), cuda(5 | 1 << 32, gpu("T4"), 100));
    let cpu = |seed| {
        let mut z = [0.0; 100];
        TorchCpu::new(seed).fill(&mut z).unwrap();
        z
    };
    assert_eq!(cpu(5), cpu(5 | 1 << 32));
    assert_ne!(cpu(5), cpu(6));
}

#[test]
fn a_state_without_a_grid_is_refused() {
    let mut z = [7.0; 5];
    for (sms, per_sm, offset) in [(0, 2048, 0), (10, 0, 0), (10, 255, 0), (10, 1024, 2)] {
        let grid = CudaGrid { multiprocessors: sms, threads_per_multiprocessor: per_sm };
        let mut state = TorchCuda { offset, ..TorchCuda::new(0, grid) };
        assert_eq!(state.fill(&mut z), Err(Error::InvalidRandomState));
        assert_eq!(state.skip(5), Err(Error::InvalidRandomState));
        assert_eq!(state.offset, offset);
    }
    assert_eq!(z, [7.0; 5]);
}

/// Draws of no numbers between others, from one generator and from lists, change no other draw.
/// `torch.randn(0)` and `RandomState.randn(0)` leave their states as they were, too.
fn check_nothing<G: Generator + Copy>(seeds: [G; 3]) {
    let [mut list, mut want] = [seeds; 2];
    for len in [1, 2, 20] {
        let [mut got, mut wanted] = [[0.0; 60]; 2];
        assert_eq!(randn(&mut list, &mut [0.0; 0]), Ok(()));
        assert_eq!(randn(&mut list[..1], &mut [0.0; 0]), Ok(()));
        assert_eq!(randn(&mut list[..0], &mut [0.0; 0]), Err(Error::Empty));
        randn(&mut list, &mut got[..3 * len]).unwrap();
        randn(&mut want, &mut wanted[..3 * len]).unwrap();
        assert_eq!(got, wanted, "{len}");
    }
}

#[test]
fn a_draw_of_nothing_changes_nothing() {
    check_nothing([4, 5, 6].map(TorchCpu::new));
    check_nothing([4, 5, 6].map(|seed| TorchCuda::new(seed, gpu("T4"))));
    check_nothing([4, 5, 6].map(Numpy::new));
    for generators in KINDS.iter().map(|kind| kind.generators()) {
        check_nothing(generators);
    }
    assert_eq!(TorchCpu::new(1).fill(&mut [0.0; 0]), Ok(()));
    assert_eq!(Numpy::new(1).fill(&mut [0.0; 0]), Ok(()));
    assert_eq!(Counter { index: u64::MAX, ..Counter::new(1, 2) }.fill(&mut [0.0; 0]), Ok(()));
    fill_from_words(|| panic!("a word for nothing"), &mut [0.0; 0]);

    let mut state = TorchCuda { offset: 12, ..TorchCuda::new(1, gpu("T4")) };
    let before = state;
    assert_eq!(state.fill(&mut [0.0; 0]), Ok(()));
    assert_eq!(state.skip(0), Ok(()));
    for (len, start) in [(0, 0), (10, 0), (10, 10), (1 << 31, 1 << 29)] {
        assert_eq!(state.fill_part(len, start, &mut [0.0; 0]), Ok(()));
    }
    assert_eq!(state.fill_part(10, 11, &mut [0.0; 0]), Err(Error::LengthMismatch));
    assert_eq!(state, before);
    // An invalid state is refused for no numbers, too.
    state.offset = 2;
    assert_eq!(state.fill(&mut [0.0; 0]), Err(Error::InvalidRandomState));
    assert_eq!(state.skip(0), Err(Error::InvalidRandomState));
    assert_eq!(randn(&mut [before, state], &mut [0.0; 0]), Err(Error::InvalidRandomState));
}

/// Draws of mixed lengths, one after the other.
const CALLS: [usize; 9] = [1, 5, 16, 3, 700, 15, 33, 2, 64];

/// Draws all [`CALLS`], and again from a copy of the state taken before each of them.
fn check_copies<G: Copy>(start: G, fill: impl Fn(&mut G, &mut [f32])) {
    let run = |mut state: G, calls: &[usize]| {
        let mut all = Vec::new();
        for &n in calls {
            let mut z = vec![0.0; n];
            fill(&mut state, &mut z);
            all.extend(z);
        }
        all
    };
    let whole = run(start, &CALLS);
    let mut state = start;
    for (i, &n) in CALLS.iter().enumerate() {
        let saved = state;
        let drawn: usize = CALLS[..i].iter().sum();
        assert_eq!(run(saved, &CALLS[i..]), whole[drawn..]);
        fill(&mut state, &mut vec![0.0; n]);
    }
}

#[test]
fn a_copy_of_a_state_continues_like_the_original() {
    check_copies(TorchCpu::new(3), |state, z| state.fill(z).unwrap());
    check_copies(TorchCuda::new(3, gpu("T4")), |state, z| state.fill(z).unwrap());
    check_copies(Numpy::new(3), |state, z| state.fill(z).unwrap());
    for [generator, ..] in KINDS.iter().map(|kind| kind.generators()) {
        check_copies(generator, |state, z| state.fill(z).unwrap());
    }
    assert_eq!([size_of::<TorchCpu>(), size_of::<TorchCuda>(), size_of::<Numpy>()], [2512, 24, 2512]);
}

#[test]
fn numpy_calls_for_parts_are_one_call_for_the_whole() {
    let mut whole = vec![0.0; CALLS.iter().sum()];
    Numpy::new(11).fill(&mut whole[..]).unwrap();
    let (mut state, mut at) = (Numpy::new(11), 0);
    for n in CALLS {
        state.fill(&mut whole.clone()[at..at + n]).unwrap();
        at += n;
    }
    let mut next = [0.0; 3];
    state.fill(&mut next).unwrap();
    let mut all = vec![0.0; at + 3];
    Numpy::new(11).fill(&mut all[..]).unwrap();
    assert_eq!((&all[..at], &all[at..]), (&whole[..], &next[..]));
}

#[test]
fn a_list_of_generators_is_one_call_a_sample() {
    const BATCH: usize = 3;
    for len in [1, 7, 16, 50] {
        let mut list = [4, 5, 6].map(TorchCpu::new);
        let mut z = vec![0.0; BATCH * len];
        for _ in 0..2 {
            randn(&mut list, &mut z[..]).unwrap();
        }
        for (seed, z) in [4, 5, 6].into_iter().zip(z.chunks(len)) {
            let (mut one, mut want) = (TorchCpu::new(seed), vec![0.0; len]);
            for _ in 0..2 {
                one.fill(&mut want[..]).unwrap();
            }
            assert_eq!(z, want);
        }
        let (mut one, mut whole) = (TorchCpu::new(4), vec![0.0; BATCH * len]);
        one.fill(&mut whole[..]).unwrap();
        randn(&mut [TorchCpu::new(4)], &mut z[..]).unwrap();
        assert_eq!(z, whole);
    }
    let mut z = [7.0; 6];
    let mut none: [Numpy; 0] = [];
    assert_eq!(randn(&mut none, &mut z), Err(Error::Empty));
    assert_eq!(randn(&mut [1, 2, 3, 4].map(Numpy::new), &mut z), Err(Error::LengthMismatch));
    let bad = TorchCuda::new(0, CudaGrid { multiprocessors: 0, threads_per_multiprocessor: 0 });
    let good = TorchCuda::new(0, gpu("T4"));
    let mut list = [good, bad];
    assert_eq!(randn(&mut list, &mut z), Err(Error::InvalidRandomState));
    assert_eq!((list[0], z), (good, [7.0; 6]));
}

/// The kinds that one type holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Counter,
    TorchCpu,
    TorchCuda,
    Numpy,
}

const KINDS: [Kind; 4] = [Kind::Counter, Kind::TorchCpu, Kind::TorchCuda, Kind::Numpy];

/// A grid that draws of these tests exceed.
const GRID: CudaGrid = CudaGrid { multiprocessors: 2, threads_per_multiprocessor: 256 };

impl Kind {
    /// Generators of three seeds, the first of them 4.
    fn generators(self) -> [AnyGenerator; 3] {
        [4, 5, 6].map(|seed| match self {
            Self::Counter => Counter { seed, stream: u64::MAX - 1, index: 70 }.into(),
            Self::TorchCpu => TorchCpu::new(seed).into(),
            Self::TorchCuda => TorchCuda::new(seed, GRID).into(),
            Self::Numpy => Numpy::new(seed as u32).into(),
        })
    }
}

/// A generator of any kind draws what the one draws that it was made from, alone and in lists.
fn check_any<G: Generator + Copy + Into<AnyGenerator>>(seeds: [G; 3]) {
    for count in 1..=3 {
        let (mut typed, mut any) = (seeds, seeds.map(Into::into));
        for len in CALLS.map(|len| count * len) {
            let [mut want, mut got] = [(); 2].map(|()| vec![f32::NAN; len]);
            randn(&mut typed[..count], &mut want[..]).unwrap();
            if count == 1 {
                any[0].fill(&mut got[..]).unwrap();
            } else {
                randn(&mut any[..count], &mut got[..]).unwrap();
            }
            assert_eq!(got, want, "{count} of {len}");
        }
    }
}

#[test]
fn a_generator_of_any_kind_is_the_one_that_it_was_made_of() {
    check_any([4, 5, 6].map(TorchCpu::new));
    check_any([4, 5, 6].map(|seed| TorchCuda::new(seed, GRID)));
    check_any([4, 5, 6].map(Numpy::new));

    // Counter noise has no state: each draw is the next stream, from the same index on.
    let mut any = Kind::Counter.generators();
    for (draw, len) in (0..).zip(CALLS) {
        let mut got = vec![f32::NAN; 3 * len];
        randn(&mut any, &mut got[..]).unwrap();
        for (seed, got) in (4..).zip(got.chunks(len)) {
            let mut want = vec![f32::NAN; len];
            let stream = (u64::MAX - 1).wrapping_add(draw);
            Counter { seed, stream, index: 70 }.fill(&mut want[..]).unwrap();
            assert_eq!(got, want, "draw {draw}");
        }
    }
    let mut late = AnyGenerator::from(Counter { index: u64::MAX - 5, ..Counter::new(1, 2) });
    let (mut z, mut again) = ([7.0; 6], [8.0; 5]);
    assert_eq!(late.fill(&mut z), Err(Error::TooLarge));
    assert_eq!(randn(&mut [any[0], late], &mut [0.0; 12]), Err(Error::TooLarge));
    assert_eq!(late.skip(6), Err(Error::TooLarge));
    assert_eq!(late.fill_part(6, 5, &mut z[..1]), Err(Error::TooLarge));
    assert_eq!(z, [7.0; 6]);
    late.fill(&mut z[..5]).unwrap();
    Counter { index: u64::MAX - 5, ..Counter::new(1, 2) }.fill(&mut again).unwrap();
    assert_eq!(z[..5], again);
    for (sms, offset) in [(0, 0), (2, 2)] {
        let grid = CudaGrid { multiprocessors: sms, ..GRID };
        let mut bad = AnyGenerator::from(TorchCuda { offset, ..TorchCuda::new(1, grid) });
        assert_eq!(bad.fill(&mut z), Err(Error::InvalidRandomState));
        assert_eq!(bad.skip(1), Err(Error::InvalidRandomState));
        assert_eq!(bad.fill_part(9, 0, &mut z), Err(Error::InvalidRandomState));
    }
}

#[test]
fn a_draw_of_any_kind_that_has_parts_is_the_same_in_parts() {
    let len = 2500; // more than a pass of the grid's threads
    for kind in KINDS {
        let [mut state, ..] = kind.generators();
        let mut z = [7.0; 3];
        if matches!(kind, Kind::TorchCpu | Kind::Numpy) {
            assert_eq!(state.fill_part(10, 0, &mut z), Err(Error::UnsplittableDraw));
            assert_eq!(state.skip(10), Err(Error::UnsplittableDraw));
            assert_eq!(z, [7.0; 3]);
            continue;
        }
        let mut filled = state;
        for _ in 0..3 {
            let mut whole = vec![f32::NAN; len];
            filled.fill(&mut whole[..]).unwrap();
            for part in [1, 37, 1000, len] {
                let mut parts = vec![f32::NAN; len];
                for (i, part_of_it) in parts.chunks_mut(part).enumerate() {
                    state.fill_part(len as u64, (i * part) as u64, part_of_it).unwrap();
                }
                assert_eq!(parts, whole, "{kind:?} by {part}");
            }
            for start in [len as u64 - 2, u64::MAX] {
                let beyond = state.fill_part(len as u64, start, &mut z);
                assert_eq!(beyond, Err(Error::LengthMismatch));
            }
            assert_eq!(state.fill_part(len as u64, len as u64, &mut [0.0; 0]), Ok(()));
            assert_eq!(z, [7.0; 3]);
            // A draw of no numbers does not count as one.
            state.skip(0).unwrap();
            state.skip(len as u64).unwrap();
        }
    }
}

/// A draw into memory that need not be initialised, and into floats. All of it is initialised here,
/// so that elements which are left out are found.
macro_rules! check_uninitialised {
    ($state:expr, |$copy:ident, $out:ident| $draw:expr) => {{
        let (mut want, mut got) = ([f32::NAN; 30], [MaybeUninit::new(f32::NAN); 30]);
        let ($copy, $out) = (&mut { $state }, &mut want);
        $draw.unwrap();
        let ($copy, $out) = (&mut { $state }, &mut got);
        $draw.unwrap();
        // SAFETY: all were initialised above.
        assert_eq!(got.map(|x| unsafe { x.assume_init() }), want);
    }};
}

#[test]
fn what_generators_fill_may_be_uninitialised() {
    check_uninitialised!(TorchCpu::new(1), |state, out| state.fill(out));
    check_uninitialised!(TorchCuda::new(1, GRID), |state, out| state.fill(out));
    check_uninitialised!(TorchCuda::new(1, GRID), |state, out| state.fill_part(2000, 1009, out));
    check_uninitialised!(Numpy::new(1), |state, out| state.fill(out));
    for kind in KINDS {
        check_uninitialised!(kind.generators()[0], |state, out| state.fill(out));
        check_uninitialised!(kind.generators(), |states, out| randn(states, out));
        if matches!(kind, Kind::Counter | Kind::TorchCuda) {
            check_uninitialised!(kind.generators()[0], |state, out| state.fill_part(2000, 1009, out));
        }
    }
}

/// Floats of a batch of two, and steps.
const LEN: usize = 40;
const STEPS: usize = 4;

/// Timesteps, sigmas and discrete sigmas.
type Tables = [[f32; STEPS]; 3];

fn tables(config: &Config) -> Tables {
    let [mut timesteps, mut sigmas, mut discrete_sigmas] = [[0.0; STEPS]; 3];
    set_timesteps(config, &mut timesteps).unwrap();
    set_sigmas(config, &timesteps, &mut sigmas, &mut discrete_sigmas).unwrap();
    [timesteps, sigmas, discrete_sigmas]
}

fn schedule([timesteps, sigmas, discrete_sigmas]: &Tables) -> Schedule<'_> {
    Schedule { timesteps, sigmas, discrete_sigmas }
}

/// A Gaussian's score.
fn score_of(x: [f32; LEN], sigma: f32) -> [f32; LEN] {
    x.map(|x| (0.5 - x) / (sigma * sigma + 0.01))
}

/// Calls `run` with configurations and options of jobs with given noise, and with generators of
/// every kind: one, or one a sample.
fn each_job(run: impl Fn(&Config, SamplerOptions, Kind, &[AnyGenerator])) {
    for kind in KINDS {
        for count in [1, 2] {
            for correct_steps in [0, 1, 2] {
                for (start, result) in [(None, SamplerResult::Mean), (Some(1), SamplerResult::Noisy)] {
                    let config = Config { sigma_max: 10.0, correct_steps, ..Config::default() };
                    let (noise, norm) = (SamplerNoise::Given, Norm::Torch);
                    let averaging = if count == 1 { Averaging::Batch } else { Averaging::PerSample };
                    let options = SamplerOptions {
                        noise,
                        norm,
                        averaging,
                        start,
                        result,
                        unclamped: true,
                        ..SamplerOptions::default()
                    };
                    run(&config, options, kind, &kind.generators()[..count]);
                }
            }
        }
    }
}

/// The samples of a job at every score that it asks for, the result, and what its generators draw
/// next. They draw by request, or the sampler does.
fn job(
    config: &Config,
    options: SamplerOptions,
    generators: &[AnyGenerator],
    by_request: bool,
) -> Vec<[u32; LEN]> {
    let tables = tables(config);
    let mut generators = generators.to_vec();
    let mut sampler = Sampler::new(config, 2, options).unwrap();
    let (mut sample, mut score, mut noise) = ([0.25; LEN], [0.0; LEN], [f32::NAN; LEN]);
    let mut seen = vec![];
    loop {
        let (schedule, buffers) = (schedule(&tables), Buffers::new(&mut sample, &score));
        let request = if by_request {
            sampler.next(&schedule, buffers.with_noise(&noise)).unwrap()
        } else {
            sampler.next_drawing(&schedule, buffers, &mut generators, &mut noise).unwrap()
        };
        if let Request::Noise { .. } = request {
            assert!(by_request);
            randn(&mut generators, &mut noise).unwrap();
            continue;
        }
        seen.push(sample.map(f32::to_bits));
        let Request::Score { sigma, .. } = request else { break };
        score = score_of(sample, sigma);
    }
    randn(&mut generators, &mut noise).unwrap();
    seen.push(noise.map(f32::to_bits));
    seen
}

#[test]
fn a_sampler_that_draws_is_one_that_is_given_the_same_noise() {
    each_job(|config, options, kind, generators| {
        let want = job(config, options, generators, true);
        assert_eq!(job(config, options, generators, false), want, "{kind:?} {options:?}");
        // A counter generator for the whole batch makes what the sampler makes without one. A job
        // that begins late counts the draws before.
        if let (Kind::Counter, 1) = (kind, generators.len()) {
            let before =
                options.start.map_or(0, |step| 1 + step as u64 * (1 + u64::from(config.correct_steps)));
            let stream = (u64::MAX - 1).wrapping_sub(before);
            let counter = SamplerOptions { seed: 4, stream, noise: SamplerNoise::Counter, ..options };
            let generator = [Counter { seed: 4, stream: u64::MAX - 1, index: 0 }.into()];
            let [drawn, made] = [options, counter].map(|options| job(config, options, &generator, false));
            assert_eq!(drawn[..drawn.len() - 1], made[..made.len() - 1], "{options:?}");
        }
    });
}

#[test]
fn a_sampler_that_draws_can_be_asked_again_after_an_error() {
    each_job(|config, options, kind, generators| {
        let want = job(config, options, generators, false);
        let tables = tables(config);
        let mut generators = generators.to_vec();
        let mut sampler = Sampler::new(config, 2, options).unwrap();
        let (mut sample, mut score, mut noise) = ([0.25; LEN], [0.0; LEN], [f32::NAN; LEN]);
        let mut seen = vec![];
        let mut last = None;
        loop {
            let before = (sample, format!("{sampler:?}"));
            // Before anything is drawn: noise of another length, generators that are neither one
            // nor one a sample, and one without a state, which is not noticed where nothing is
            // drawn.
            let draws = last.is_some() || options.start.is_none();
            let buffers = Buffers::new(&mut sample, &score);
            let short = sampler.next_drawing(&schedule(&tables), buffers, &mut generators, &mut noise[1..]);
            assert_eq!(short, Err(Error::LengthMismatch));
            let bad = TorchCuda { offset: 1, ..TorchCuda::new(1, GRID) }.into();
            let wrong: [(&mut [AnyGenerator], Error, bool); 4] = [
                (&mut [], Error::LengthMismatch, true),
                (&mut [generators[0]; 3], Error::LengthMismatch, true),
                (&mut [generators[0]; 4], Error::LengthMismatch, true),
                (&mut [generators[0], bad], Error::InvalidRandomState, draws),
            ];
            for (generators, error, _) in wrong.into_iter().filter(|&(.., fails)| fails) {
                let buffers = Buffers::new(&mut sample, &score);
                let drawn = sampler.next_drawing(&schedule(&tables), buffers, generators, &mut noise);
                assert_eq!(drawn, Err(error), "{kind:?} {last:?}");
            }
            assert_eq!((sample, format!("{sampler:?}")), before);
            // Behind the draw: a score without a norm, or a sigma that the network cannot be asked
            // about.
            let (mut edited, mut wrong) = (tables, score);
            let error = match last {
                Some((_, correction)) if correction < config.correct_steps => {
                    wrong = [f32::NAN; LEN];
                    Some(Error::NonFiniteGradientNorm)
                }
                Some((step, _)) if step + 1 < STEPS => {
                    edited[1][step + 1] = f32::NAN;
                    Some(Error::InvalidSigma)
                }
                _ => None,
            };
            for error in error.into_iter().chain(error) {
                let buffers = Buffers::new(&mut sample, &wrong);
                let drawn = sampler.next_drawing(&schedule(&edited), buffers, &mut generators, &mut noise);
                assert_eq!(drawn, Err(error));
                assert_eq!(sample, before.0);
            }
            let buffers = Buffers::new(&mut sample, &score);
            let request =
                sampler.next_drawing(&schedule(&tables), buffers, &mut generators, &mut noise).unwrap();
            seen.push(sample.map(f32::to_bits));
            let Request::Score { sigma, step, correction, .. } = request else { break };
            score = score_of(sample, sigma);
            last = Some((step, correction));
        }
        randn(&mut generators, &mut noise).unwrap();
        seen.push(noise.map(f32::to_bits));
        assert_eq!(seen, want, "{kind:?} {options:?}");
    });
}

#[test]
fn initial_noise_and_step_noise_may_come_from_different_generators() {
    let config = Config { sigma_max: 10.0, correct_steps: 2, ..Config::default() };
    let tables = tables(&config);
    let options =
        SamplerOptions { noise: SamplerNoise::Given, norm: Norm::Torch, ..SamplerOptions::default() };
    let results = [true, false].map(|by_request| {
        let mut sampler = Sampler::new(&config, 2, options).unwrap();
        let mut initial = [Numpy::new(1).into()];
        let mut steps = [TorchCpu::new(2), TorchCpu::new(3)].map(AnyGenerator::from);
        let (mut sample, mut score, mut noise) = ([0.0; LEN], [0.0; LEN], [0.0; LEN]);
        let (mut draws, mut is_first) = (vec![], true);
        loop {
            let buffers = Buffers::new(&mut sample, &score);
            let generators = if is_first { &mut initial[..] } else { &mut steps };
            let request = if by_request {
                sampler.next(&schedule(&tables), buffers.with_noise(&noise))
            } else {
                sampler.next_drawing(&schedule(&tables), buffers, generators, &mut noise)
            };
            match request.unwrap() {
                Request::Noise { draw } => {
                    draws.push(draw);
                    randn(if draw == 0 { &mut initial[..] } else { &mut steps }, &mut noise).unwrap();
                }
                Request::Score { sigma, step, correction, .. } => {
                    is_first = false;
                    if (step, correction) == (0, 0) {
                        let mut z = [0.0; LEN];
                        Numpy::new(1).fill(&mut z).unwrap();
                        assert_eq!(sample, z.map(|z| z * 10.0));
                    }
                    score = score_of(sample, sigma);
                }
                Request::Condition { .. } | Request::Done => break,
            }
        }
        // The initial draw, and for each of four timesteps two corrector steps and the predictor
        // step.
        assert_eq!(draws, if by_request { Vec::from_iter(0..=12) } else { vec![] });
        sample
    });
    assert_eq!(results[0], results[1]);
}
