//! Whether counter noise is independent standard normal noise, on samples too large for the default
//! suite: 29 billion numbers, about a minute. One line a figure, with the probability of a worse
//! one; a figure fails below that of five standard errors. `cargo test --release --test quality --
//! --ignored --nocapture`

use std::f64::consts::FRAC_1_SQRT_2;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use vesde::Counter;

/// Elements that a thread takes at a time, and how many times: 2³⁰ elements.
const CHUNK: usize = 1 << 14;
const CHUNKS: u64 = 1 << 16;

/// Elements that are made from the same four rows of words: z[i], z[16+i], z[32+i] and z[48+i]
/// share theirs.
const GROUP: usize = 64;
const LANES: usize = 16;

const LAGS: [usize; 7] = [1, 2, 16, 32, 48, 64, 1024];
const FURTHEST: usize = 1024;

/// In which order elements are examined. Where a stream or a seed gives 64 elements, lag 64 is from
/// each to its next.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// One stream from its beginning.
    OneStream,
    /// The first 64 elements of every stream of a seed.
    Streams,
    /// The first 64 elements of every seed.
    Seeds,
}

impl Order {
    /// Fills `out` from the `group`-th 64 elements on.
    fn fill(self, group: u64, out: &mut [f32]) {
        let first = |k| match self {
            Self::OneStream => Counter::new(0, 0).at(k * GROUP as u64),
            Self::Streams => Counter::new(0, k),
            Self::Seeds => Counter::new(k, 0),
        };
        let len = if let Self::OneStream = self { out.len() } else { GROUP };
        for (k, out) in (group..).zip(out.chunks_mut(len)) {
            first(k).fill(out).unwrap();
        }
    }
}

/// The probability that a normal number is below `x`.
fn cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// Fine bins, whose edges are floats: counts at edges are exact.
const BINS: usize = 20 << 15;

fn bin(z: f32) -> usize {
    ((f64::from(z) + 10.0) * 32768.0) as usize // no addition of an f64 rounds here
}

fn edge(bin: usize) -> f64 {
    bin as f64 / 32768.0 - 10.0
}

/// Bins joined into 64 classes of nearly equal, exactly known probability.
struct Classes {
    of_bin: Vec<u8>,
    probability: [f64; 64],
}

impl Classes {
    fn new() -> Self {
        let of_bin: Vec<u8> = (0..BINS).map(|bin| (64.0 * cdf(edge(bin))).min(63.0) as u8).collect();
        let mut probability = [0.0; 64];
        for (bin, &class) in of_bin.iter().enumerate() {
            probability[usize::from(class)] += cdf(edge(bin + 1)) - cdf(edge(bin));
        }
        Self { of_bin, probability }
    }
}

/// Rows of a group that share words, two by two; then neighbours in a row, and places in
/// neighbouring groups.
const PAIRS: [(usize, usize); 8] = [(0, 16), (0, 32), (0, 48), (16, 32), (16, 48), (32, 48), (0, 1), (0, 64)];

/// What is counted and summed over all chunks.
struct Tally {
    powers: [f64; 6],
    /// Of values, then of squares.
    products: [[f64; LAGS.len()]; 2],
    bins: Vec<u32>,
    pairs: [Vec<u32>; PAIRS.len()],
    /// Eighths of the four numbers of the same words.
    fours: Vec<u32>,
}

impl Tally {
    fn new() -> Self {
        let [bins, grid] = [BINS, 4096].map(|len| vec![0; len]);
        let (powers, products) = ([0.0; 6], [[0.0; LAGS.len()]; 2]);
        Self { powers, products, bins, pairs: PAIRS.map(|_| grid.clone()), fours: grid }
    }

    fn add(mut self, other: Self) -> Self {
        let sums = self.powers.iter_mut().chain(self.products.as_flattened_mut());
        let other_sums = other.powers.iter().chain(other.products.as_flattened());
        sums.zip(other_sums).for_each(|(a, b)| *a += b);
        let counts = [&mut self.bins, &mut self.fours].into_iter().chain(&mut self.pairs).flatten();
        let other_counts = [&other.bins, &other.fours].into_iter().chain(&other.pairs).flatten();
        counts.zip(other_counts).for_each(|(a, b)| *a += b);
        self
    }

    /// Takes in `CHUNK` elements, of the `FURTHEST` more that `z` has.
    fn examine(&mut self, z: &[f32], classes: &Classes) {
        let squares: Vec<f32> = z.iter().map(|z| z * z - 1.0).collect();
        for (products, x) in self.products.iter_mut().zip([z, &squares]) {
            for (sum, lag) in products.iter_mut().zip(LAGS) {
                *sum += dot(&x[..CHUNK], &x[lag..]);
            }
        }
        for &z in &z[..CHUNK] {
            let mut power = 1.0;
            for sum in &mut self.powers {
                power *= f64::from(z);
                *sum += power;
            }
        }
        let bins: Vec<usize> = z[..CHUNK + GROUP].iter().map(|&z| bin(z)).collect();
        bins[..CHUNK].iter().for_each(|&bin| self.bins[bin] += 1);
        let class: Vec<usize> = bins.iter().map(|&bin| usize::from(classes.of_bin[bin])).collect();
        for group in (0..CHUNK).step_by(GROUP) {
            for i in group..group + LANES {
                for (counts, (a, b)) in self.pairs.iter_mut().zip(PAIRS) {
                    counts[class[i + a] * 64 + class[i + b]] += 1;
                }
                let eighths = [0, 1, 2, 3].map(|row| class[i + row * LANES] / 8);
                self.fours[eighths.iter().fold(0, |all, eighth| all * 8 + eighth)] += 1;
            }
        }
    }
}

/// The sum of products, in `f32` on 16 lanes for a while and in `f64` for good.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let short = |a: &[f32], b: &[f32]| {
        let mut lanes = [0.0; 16];
        for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
            for lane in 0..16 {
                lanes[lane] += a[lane] * b[lane];
            }
        }
        lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>()
    };
    a.chunks(1024).zip(b.chunks(1024)).map(|(a, b)| short(a, b)).sum()
}

/// Runs `work` on the numbers below `count`, on every core, each with a tally of its own.
fn on_all_cores<T: Send>(count: u64, new: fn() -> T, work: impl Fn(u64, &mut T) + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut tally = new();
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                k if k < count => work(k, &mut tally),
                _ => return tally,
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

/// Prints figures, and keeps those that fail.
struct Report {
    name: String,
    failures: Vec<String>,
}

impl Report {
    fn new(name: &str) -> Self {
        Self { name: name.into(), failures: vec![] }
    }

    fn figure(&mut self, what: &str, value: &str, probability: f64) {
        let line = format!("{:<10} {what:<34} {value:<28} p = {probability:.2e}", self.name);
        println!("{line}");
        if probability.is_nan() || probability < 5.7e-7 {
            self.failures.push(line);
        }
    }

    /// A number of standard errors.
    fn score(&mut self, what: &str, score: f64) {
        self.figure(what, &format!("{score:+.2} standard errors"), libm::erfc(score.abs() * FRAC_1_SQRT_2));
    }

    /// A chi-square, too small or too large. Fisher's approximation.
    fn chi_square(&mut self, what: &str, chi2: f64, freedom: f64) {
        let score = (2.0 * chi2).sqrt() - (2.0 * freedom - 1.0).sqrt();
        let value = format!("chi2 {chi2:.1} of {freedom}");
        self.figure(what, &value, libm::erfc(score.abs() * FRAC_1_SQRT_2));
    }

    /// Counts against what is expected.
    fn counts(&mut self, what: &str, counts: &[u32], probability: impl Fn(usize) -> f64) {
        let total = counts.iter().map(|&count| f64::from(count)).sum::<f64>();
        let term = |(cell, &count): (usize, &u32)| {
            let want = total * probability(cell);
            (f64::from(count) - want).powi(2) / want
        };
        let chi2 = counts.iter().enumerate().map(term).sum();
        self.chi_square(what, chi2, counts.len() as f64 - 1.0);
    }

    /// How many numbers of `total` are beyond so many sigma, on both sides: a Poisson count.
    fn tail(&mut self, sigma: f64, count: u64, total: f64) {
        let want = total * libm::erfc(sigma * FRAC_1_SQRT_2);
        let got = count as f64;
        // The terms from the count outwards, away from the mean.
        let mut term = (got * want.ln() - want - libm::lgamma(got + 1.0)).exp();
        let (mut sum, mut k) = (0.0, got);
        while term > sum * 1e-12 {
            sum += term;
            if got > want {
                k += 1.0;
                term *= want / k;
            } else {
                term *= k / want;
                k -= 1.0;
            }
        }
        self.figure(&format!("beyond {sigma} sigma"), &format!("{count} of {want:.1}"), (2.0 * sum).min(1.0));
    }

    fn finish(self) {
        assert!(self.failures.is_empty(), "{:#?}", self.failures);
    }
}

/// Everything about 2³⁰ elements in an order.
fn examine(order: Order) {
    let classes = Classes::new();
    let tallies = on_all_cores(CHUNKS, Tally::new, |chunk, tally| {
        let mut z = vec![0.0; CHUNK + FURTHEST];
        order.fill(chunk * (CHUNK / GROUP) as u64, &mut z);
        tally.examine(&z, &classes);
    });
    let tally = tallies.into_iter().reduce(Tally::add).unwrap();
    let n = CHUNKS as f64 * CHUNK as f64;
    let mut report = Report::new(&format!("{order:?}"));

    let moments = [(0.0, 1.0), (1.0, 2.0), (0.0, 15.0), (3.0, 96.0), (0.0, 945.0), (15.0, 10170.0)];
    for (k, (sum, (mean, variance))) in tally.powers.iter().zip(moments).enumerate() {
        report.score(&format!("moment {}", k + 1), (sum / n - mean) / f64::sqrt(variance / n));
    }

    let (mut below, mut distance) = (0.0, 0.0_f64);
    for (bin, &count) in tally.bins.iter().enumerate() {
        distance = distance.max((below / n - cdf(edge(bin))).abs());
        below += f64::from(count);
    }
    let t = distance * n.sqrt();
    let kolmogorov =
        (1..100).map(|k| 2.0 * f64::powi(-1.0, k + 1) * (-2.0 * (f64::from(k) * t).powi(2)).exp()).sum();
    report.figure("Kolmogorov-Smirnov", &format!("D {distance:.2e}, sqrt(n) D {t:.2}"), kolmogorov);

    for sigma in [3.0_f32, 4.0, 5.0, 5.5, 6.0] {
        let counts = tally.bins[..bin(-sigma)].iter().chain(&tally.bins[bin(sigma)..]);
        report.tail(f64::from(sigma), counts.map(|&count| u64::from(count)).sum(), n);
    }

    for (of, (products, deviation)) in ["values", "squares"].iter().zip(tally.products.iter().zip([1.0, 2.0]))
    {
        for (lag, sum) in LAGS.iter().zip(products) {
            report.score(&format!("correlation of {of}, lag {lag}"), sum / deviation / n.sqrt());
        }
    }

    for (counts, (a, b)) in tally.pairs.iter().zip(PAIRS) {
        let probability = |cell: usize| classes.probability[cell / 64] * classes.probability[cell % 64];
        report.counts(&format!("64x64 grid of (z[i+{a}], z[i+{b}])"), counts, probability);
    }
    let eighth = |k: usize| classes.probability[8 * k..8 * k + 8].iter().sum::<f64>();
    let probability = |cell: usize| (0..4).map(|k| eighth(cell >> (3 * k) & 7)).product();
    report.counts("8x8x8x8 grid of a word's four", &tally.fours, probability);
    report.finish();
}

#[test]
#[ignore = "a billion numbers: half a minute in release mode"]
fn one_stream() {
    examine(Order::OneStream);
}

#[test]
#[ignore = "a billion numbers: half a minute in release mode"]
fn the_first_elements_of_streams() {
    examine(Order::Streams);
}

#[test]
#[ignore = "a billion numbers: half a minute in release mode"]
fn the_first_elements_of_seeds() {
    examine(Order::Seeds);
}

#[test]
#[ignore = "seventeen billion numbers: half a minute in release mode"]
fn seeds_and_streams_that_differ_in_a_bit() {
    const LEN: usize = 1 << 26;
    let base = Counter::new(0x0123_4567_89ab_cdef, 0);
    for of in ["seed", "stream"] {
        let change = |bit| match of {
            "seed" => Counter { seed: base.seed ^ bit, ..base },
            _ => Counter { stream: base.stream ^ bit, ..base },
        };
        let all = on_all_cores(64, Vec::new, |bit, scores: &mut Vec<[f64; 2]>| {
            let mut sums = [0.0; 2];
            for start in (0..LEN).step_by(CHUNK) {
                let [mut a, mut b] = [base, change(1 << bit)].map(|place| {
                    let mut z = vec![0.0; CHUNK];
                    place.at(start as u64).fill(&mut z[..]).unwrap();
                    z
                });
                sums[0] += dot(&a, &b);
                a.iter_mut().chain(&mut b).for_each(|z| *z = *z * *z - 1.0);
                sums[1] += dot(&a, &b) / 2.0;
            }
            scores.push(sums.map(|sum| sum / f64::sqrt(LEN as f64)));
        });
        let scores = all.concat();
        let mut report = Report::new(of);
        for (k, of) in ["values", "squares"].iter().enumerate() {
            let scores = scores.iter().map(|score| score[k]);
            let worst = scores.clone().fold(0.0, |worst: f64, score| worst.max(score.abs()));
            report.chi_square(
                &format!("correlations of {of}, all bits"),
                scores.map(|score| score * score).sum(),
                64.0,
            );
            let one = libm::erfc(worst * FRAC_1_SQRT_2);
            let value = format!("{worst:.2} standard errors");
            report.figure(&format!("correlation of {of}, worst bit"), &value, 1.0 - (1.0 - one).powi(64));
        }
        report.finish();
    }
}

#[test]
#[ignore = "nine billion numbers: half a minute in release mode"]
fn tails() {
    const SIGMAS: [f32; 6] = [3.0, 4.0, 5.0, 5.5, 6.0, 6.5];
    const TIMES: u64 = 8;
    let tallies = on_all_cores(
        TIMES * CHUNKS,
        || [0; 6],
        |chunk, counts: &mut [u64; 6]| {
            let mut z = [0.0; CHUNK];
            Counter::new(1, 1).at(chunk * CHUNK as u64).fill(&mut z).unwrap();
            for group in z.chunks_exact(GROUP) {
                // Few groups have a large element.
                if group.iter().fold(false, |any, z| any | (z.abs() > SIGMAS[0])) {
                    for (count, sigma) in counts.iter_mut().zip(SIGMAS) {
                        *count += group.iter().filter(|z| z.abs() > sigma).count() as u64;
                    }
                }
            }
        },
    );
    let mut report = Report::new("Tails");
    for (k, sigma) in SIGMAS.into_iter().enumerate() {
        let count = tallies.iter().map(|counts| counts[k]).sum();
        report.tail(f64::from(sigma), count, (TIMES * CHUNKS) as f64 * CHUNK as f64);
    }
    report.finish();
}
