//! The probability-flow ODE and likelihoods against closed forms, and against themselves: in parts,
//! on every level, from copies, after errors.

use vesde::norms::{NORM_BLOCK, norm_blocks};
use vesde::ode::{
    Divergence, Ode, OdeBuffers, OdeDirection, OdeDots, OdeOptions, OdeRequest, OdeStats, OdeVariable,
    bits_per_dim, log_likelihood,
};
use vesde::{Config, Counter, Error, SamplerNoise, SimdLevel, limit_simd_level};

const MU: f32 = 0.5;

/// Variances of the data, one an element.
fn variance(i: usize) -> f32 {
    0.01 + 0.02 * (i % 7) as f32
}

fn config() -> Config {
    Config { sigma_max: 50.0, ..Config::default() }
}

/// All that a job has.
#[derive(Clone)]
struct Job {
    ode: Ode,
    batch: usize,
    sample: Vec<f32>,
    input: Vec<f32>,
    score: Vec<f32>,
    workspace: Vec<f32>,
    noise: Vec<f32>,
    probe: Vec<f32>,
    product: Vec<f32>,
    log_densities: Vec<f64>,
    /// Scores that the network was asked for.
    scores: u64,
}

impl Job {
    fn new(sample: &[f32], batch: usize, options: OdeOptions) -> Self {
        let ode = Ode::new(&config(), batch, options).unwrap();
        let len = sample.len();
        let mut probe = vec![0.0; len];
        ode.probe().rademacher(&mut probe[..]).unwrap();
        Self {
            ode,
            batch,
            sample: sample.to_vec(),
            input: vec![f32::NAN; len],
            score: vec![f32::NAN; len],
            workspace: vec![f32::NAN; ode.workspace_len(len).unwrap()],
            noise: vec![0.0; len],
            probe,
            product: vec![f32::NAN; len],
            log_densities: vec![f64::NAN; ode.log_densities_len().unwrap()],
            scores: 0,
        }
    }

    fn next(&mut self) -> Result<OdeRequest, Error> {
        let buffers = OdeBuffers::new(&mut self.sample, &mut self.input, &self.score, &mut self.workspace);
        let buffers = buffers.with_noise(&self.noise).with_probe(&self.probe).with_product(&self.product);
        self.ode.next(buffers.with_log_densities(&mut self.log_densities))
    }

    /// The same by parts of so many blocks.
    fn next_in_parts(&mut self, blocks_of_a_part: usize) -> Result<OdeRequest, Error> {
        let len = self.sample.len();
        let reduction = self.ode.reduction(len)?;
        let buffers = OdeBuffers::new(&mut self.sample, &mut self.input, &self.score, &mut self.workspace);
        let mut rest = buffers.with_noise(&self.noise).with_probe(&self.probe).with_product(&self.product);
        let mut parts = vec![];
        for _ in 0..len.div_ceil(NORM_BLOCK * blocks_of_a_part) - 1 {
            let (part, others) = rest.split_at(NORM_BLOCK * blocks_of_a_part);
            parts.push(part);
            rest = others;
        }
        parts.push(rest);
        let values = reduction.values();
        let mut blocks = vec![0.0; values * norm_blocks(len)];
        for (part, blocks) in parts.iter().zip(blocks.chunks_mut((values * blocks_of_a_part).max(1))) {
            reduction.sums(part, blocks)?;
        }
        let mut sums = [0.0; 2];
        for block in blocks.chunks(values.max(1)) {
            sums.iter_mut().zip(block).for_each(|(sum, x)| *sum += x);
        }
        if reduction.dots != OdeDots::None {
            let sample_len = reduction.sample_len;
            for i in 0..self.batch {
                let mut dots = vec![];
                for at in (0..sample_len).step_by(NORM_BLOCK * blocks_of_a_part) {
                    // Here each part is a rank's own memory, of which the dots need little.
                    let part_len = (NORM_BLOCK * blocks_of_a_part).min(sample_len - at);
                    let range = i * sample_len + at..i * sample_len + at + part_len;
                    let (mut a, mut b, mut c) =
                        (vec![0.0; part_len], vec![0.0; part_len], vec![0.0; 6 * part_len]);
                    let part = OdeBuffers::new(&mut a, &mut b, &self.score[range.clone()], &mut c)
                        .with_probe(&self.probe[range.clone()])
                        .with_product(&self.product[range.clone()])
                        .starting_at(range.start);
                    let mut blocks = vec![0.0; norm_blocks(part_len)];
                    reduction.dots(&part, &mut blocks)?;
                    dots.extend(blocks);
                }
                self.log_densities[self.batch + i] = dots.iter().fold(0.0, |sum, x| sum + x);
            }
        }
        let (plan, request) = self.ode.plan(len, sums, &mut self.log_densities)?;
        for part in &mut parts {
            plan.run(part)?;
        }
        Ok(request)
    }

    /// Answers a request; false where there is none.
    fn answer(&mut self, request: OdeRequest) -> bool {
        let sample_len = self.sample.len() / self.batch;
        let variance_at = |i: usize, sigma: f32| sigma * sigma + variance(i % sample_len);
        match request {
            OdeRequest::Done => return false,
            OdeRequest::Noise { draw } => Counter::new(7, draw).fill(&mut self.noise[..]).unwrap(),
            OdeRequest::Score { sigma, .. } | OdeRequest::ScoreAndProduct { sigma, .. } => {
                self.scores += 1;
                for (i, (score, x)) in self.score.iter_mut().zip(&self.input).enumerate() {
                    *score = (MU - x) / variance_at(i, sigma);
                }
                if let OdeRequest::ScoreAndProduct { .. } = request {
                    for (i, (product, v)) in self.product.iter_mut().zip(&self.probe).enumerate() {
                        *product = -v / variance_at(i, sigma);
                    }
                }
            }
            OdeRequest::Product { sigma, unit, .. } => {
                for (i, product) in self.product.iter_mut().enumerate() {
                    *product = if i % sample_len == unit { -1.0 / variance_at(i, sigma) } else { 0.0 };
                }
            }
        }
        true
    }

    fn run(mut self) -> Self {
        loop {
            let request = self.next().unwrap();
            if !self.answer(request) {
                return self;
            }
        }
    }

    fn stats(&self) -> OdeStats {
        self.ode.stats()
    }

    /// All bits of a result.
    fn bits(&self) -> (Vec<u32>, Vec<u64>, u64) {
        let densities = self.log_densities.iter().take(self.batch).map(|x| x.to_bits()).collect();
        (self.sample.iter().map(|x| x.to_bits()).collect(), densities, self.stats().evaluations)
    }
}

fn noise(len: usize) -> Vec<f32> {
    let mut z = vec![0.0; len];
    Counter::new(3, 3).fill(&mut z[..]).unwrap();
    z
}

/// Data of the Gaussian.
fn data(sample_len: usize, batch: usize) -> Vec<f32> {
    let z = noise(sample_len * batch);
    z.iter().enumerate().map(|(i, z)| MU + z * variance(i % sample_len).sqrt()).collect()
}

/// σ(t), in f64.
fn sigma(t: f64) -> f64 {
    config().sigma_min * (config().sigma_max / config().sigma_min).powf(t)
}

/// Where the ODE takes an element from sigma to sigma.
fn exact(x: f32, i: usize, from: f64, to: f64) -> f64 {
    let (mu, v) = (f64::from(MU), f64::from(variance(i)));
    mu + (f64::from(x) - mu) * ((to * to + v) / (from * from + v)).sqrt()
}

fn tight(tolerance: f64) -> OdeOptions {
    OdeOptions { rtol: tolerance, atol: tolerance, ..OdeOptions::default() }
}

const DIMS: usize = 48;

#[test]
fn sampling_follows_the_closed_form() {
    for variable in [OdeVariable::Time, OdeVariable::Sigma] {
        for given in [SamplerNoise::Counter, SamplerNoise::Given] {
            let options = OdeOptions { seed: 7, variable, noise: given, ..tight(1e-6) };
            let job = Job::new(&[f32::NAN; 2 * DIMS], 2, options).run();
            let mut prior = vec![0.0; 2 * DIMS];
            Counter::new(7, 0).fill(&mut prior[..]).unwrap();
            let eps = sigma(config().sampling_eps);
            for (i, (x, z)) in job.sample.iter().zip(&prior).enumerate() {
                let want = exact(50.0 * z, i % DIMS, 50.0, eps);
                assert!((f64::from(*x) - want).abs() < 2e-5, "{variable:?} {x} {want}");
            }
            let stats = job.stats();
            assert_eq!(stats.evaluations, 2 + 6 * (stats.accepted + stats.rejected));
            assert_eq!(stats.evaluations, job.scores);
            assert!((stats.t - config().sampling_eps).abs() < 1e-12);
            // From the same codes of the caller's.
            let codes: Vec<f32> = prior.iter().map(|z| 50.0 * z).collect();
            let started = Job::new(&codes, 2, OdeOptions { start: true, ..options }).run();
            assert_eq!(started.bits(), job.bits());
        }
    }
}

#[test]
fn encoding_and_sampling_come_back() {
    let x = data(DIMS, 2);
    for variable in [OdeVariable::Time, OdeVariable::Sigma] {
        let options = OdeOptions { variable, direction: OdeDirection::Encoding, ..tight(1e-6) };
        let code = Job::new(&x, 2, options).run().sample;
        for (i, (code, &x)) in code.iter().zip(&x).enumerate() {
            let want = exact(x, i % DIMS, sigma(config().sampling_eps), 50.0);
            assert!((f64::from(*code) - want).abs() / 50.0 < 2e-5, "{variable:?} {code} {want}");
        }
        let options = OdeOptions { variable, start: true, ..tight(1e-6) };
        let back = Job::new(&code, 2, options).run().sample;
        for (x, back) in x.iter().zip(&back) {
            assert!((x - back).abs() < 1e-4, "{variable:?} {x} {back}");
        }
    }
}

#[test]
fn time_and_sigma_agree() {
    let in_variable = |variable| {
        let options = OdeOptions { variable, ..tight(1e-6) };
        Job::new(&[0.0; DIMS], 1, options).run().sample
    };
    let (time, sigma) = (in_variable(OdeVariable::Time), in_variable(OdeVariable::Sigma));
    for (a, b) in time.iter().zip(&sigma) {
        assert!((a - b).abs() < 3e-5, "{a} {b}");
    }
}

/// The log-density of data with the noise of σ(ε) on them, in nats.
fn analytic(x: &[f32]) -> f64 {
    let eps = sigma(config().sampling_eps);
    let element = |(i, x): (usize, &f32)| {
        let v = eps * eps + f64::from(variance(i));
        let d = f64::from(*x) - f64::from(MU);
        -0.5 * ((std::f64::consts::TAU * v).ln() + d * d / v)
    };
    x.iter().enumerate().map(element).sum()
}

fn likelihoods(x: &[f32], batch: usize, options: OdeOptions) -> (Job, Vec<f64>) {
    let job = Job::new(x, batch, OdeOptions { direction: OdeDirection::Encoding, ..options }).run();
    let codes = job.sample.chunks(x.len() / batch).zip(&job.log_densities);
    let bits = codes.map(|(z, &e)| {
        let log = log_likelihood(config().sigma_max, z, e).unwrap();
        assert_eq!(log.log_density, log.prior + log.divergence);
        bits_per_dim(log.log_density, z.len(), 256.0, 1.0)
    });
    let bits = bits.collect();
    (job, bits)
}

#[test]
fn likelihoods_are_those_of_the_gaussian() {
    let x = data(DIMS, 2);
    for variable in [OdeVariable::Time, OdeVariable::Sigma] {
        let options = |divergence| OdeOptions { variable, divergence, ..tight(1e-6) };
        let (exact, bits) = likelihoods(&x, 2, options(Divergence::UnitProducts));
        for ((x, code), bits) in x.chunks(DIMS).zip(exact.sample.chunks(DIMS)).zip(&bits) {
            // The codes are distributed as N(μ, σ_max² + v), while the prior is N(0, σ_max²): the
            // difference is the model's, and no error of the solver's.
            let mut want = analytic(x);
            for (i, z) in code.iter().enumerate() {
                let z = f64::from(*z);
                let v = 2500.0 + f64::from(variance(i));
                let d = z - f64::from(MU);
                want += 0.5 * ((v / 2500.0).ln() + d * d / v - z * z / 2500.0);
            }
            let want = bits_per_dim(want, DIMS, 256.0, 1.0);
            assert!((bits - want).abs() < 1e-4, "{variable:?} {bits} {want}");
        }
        // A diagonal Jacobian and a probe of ±1: every estimate is exact.
        for divergence in [Divergence::Product, Divergence::Differences, Divergence::UnitDifferences] {
            let (job, others) = likelihoods(&x, 2, options(divergence));
            for (a, b) in bits.iter().zip(&others) {
                assert!((a - b).abs() < 2e-4, "{variable:?} {divergence:?} {a} {b}");
            }
            let evaluations = job.stats().evaluations;
            let scores = match divergence {
                Divergence::Product => 1,
                Divergence::Differences => 2,
                _ => 2 * DIMS as u64 + 1,
            };
            assert_eq!(job.scores, scores * evaluations);
            // The same probe from memory.
            let (given, _) =
                likelihoods(&x, 2, OdeOptions { probe: SamplerNoise::Given, ..options(divergence) });
            assert_eq!(given.bits(), job.bits());
        }
        // Without the log-densities in the error, the steps are those without a divergence.
        let encoding = OdeOptions { direction: OdeDirection::Encoding, ..options(Divergence::None) };
        let plain = Job::new(&x, 2, encoding).run();
        let (apart, _) = likelihoods(&x, 2, OdeOptions { state_only: true, ..options(Divergence::Product) });
        assert_eq!(apart.bits().0, plain.bits().0);
        assert_ne!(exact.bits().0, plain.bits().0);
    }
    assert_eq!(bits_per_dim(0.0, 1, 256.0, 0.5), 7.0);
}

/// Jobs of all kinds, with samples that end within a block and within a group of noise.
fn jobs() -> impl Iterator<Item = Job> {
    const LEN: usize = 2 * NORM_BLOCK + 100;
    let divergences = [Divergence::None, Divergence::Product, Divergence::Differences];
    let each = divergences.into_iter().flat_map(|divergence| {
        [OdeDirection::Sampling, OdeDirection::Encoding].map(|direction| (divergence, direction))
    });
    each.flat_map(|(divergence, direction)| {
        [SamplerNoise::Counter, SamplerNoise::Given].map(|kind| {
            let options =
                OdeOptions { seed: 5, noise: kind, probe: kind, divergence, direction, ..tight(1e-3) };
            Job::new(&data(LEN, 2), 2, options)
        })
    })
    .chain([Divergence::UnitProducts, Divergence::UnitDifferences].map(|divergence| {
        let options = OdeOptions { divergence, direction: OdeDirection::Encoding, ..tight(1e-2) };
        Job::new(&data(5, 3), 3, options)
    }))
}

/// So many, or a few in an emulator, which would take minutes for all.
fn some(all: usize, few: usize) -> usize {
    if std::env::var_os("VESDE_RUNNER").is_some() { few } else { all }
}

fn some_jobs() -> impl Iterator<Item = Job> {
    let numbered = jobs().enumerate();
    numbered.filter(|(i, job)| i % some(1, 5) == 0 || job.sample.len() < 100).map(|(_, job)| job)
}

#[test]
fn parts_give_the_bits_of_the_whole() {
    for job in some_jobs() {
        let whole = job.clone().run();
        for blocks in [2, 1, 3].into_iter().take(some(3, 1)) {
            let mut split = job.clone();
            loop {
                let request = split.next_in_parts(blocks).unwrap();
                if !split.answer(request) {
                    break;
                }
            }
            assert_eq!(split.bits(), whole.bits());
        }
    }
}

/// FNV-1a over the bits of the jobs' results.
fn hash() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for job in some_jobs() {
        let (sample, densities, evaluations) = job.run().bits();
        let samples = sample.into_iter().map(u64::from);
        for word in samples.chain(densities).chain([evaluations]) {
            for byte in word.to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    hash
}

#[test]
fn every_level_and_every_target_gives_the_same_bits() {
    for level in [SimdLevel::Baseline, SimdLevel::Avx2, SimdLevel::Avx512] {
        if limit_simd_level(level) == level {
            let committed = [0x883f7b74d3995eb0, 0x087c1c12c63c50a3][some(0, 1)];
            assert_eq!(hash(), committed, "{level:?}");
        }
    }
}

#[test]
fn a_copy_continues_as_the_original_does() {
    for (i, job) in some_jobs().enumerate() {
        let whole = job.clone().run();
        // Each job in some places, all jobs together in all.
        for at in [9, 0, 1, 2, 3, 7, 8, 15, 40].into_iter().skip(i % 3 * some(1, 0)).step_by(some(3, 9)) {
            let mut job = job.clone();
            for _ in 0..at {
                let request = job.next().unwrap();
                job.answer(request);
            }
            assert_eq!(job.clone().run().bits(), whole.bits());
        }
    }
}

#[test]
fn accepted_steps_are_announced() {
    let mut job = Job::new(&[0.0; DIMS], 1, OdeOptions::default());
    let (mut announced, mut before) = (0, job.stats());
    loop {
        let request = job.next().unwrap();
        if let OdeRequest::Score { accepted, u, stage, .. } = request {
            announced += u64::from(accepted);
            assert_eq!(accepted, job.stats().accepted > before.accepted);
            assert!(!accepted || stage == 2);
            assert!((config().sampling_eps..=1.0).contains(&u));
        }
        before = job.stats();
        if !job.answer(request) {
            break;
        }
    }
    assert_eq!(announced + 1, job.stats().accepted);
    assert_eq!(job.next(), Err(Error::SamplerDone));
}

/// The bytes of a state.
fn bytes(ode: &Ode) -> Vec<u8> {
    let at = std::ptr::from_ref(ode).cast::<u8>();
    // SAFETY: `Ode` has no padding.
    unsafe { std::slice::from_raw_parts(at, size_of::<Ode>()) }.to_vec()
}

#[test]
fn what_is_not_finite_is_an_error_before_anything_is_written() {
    for job in jobs().take(some(usize::MAX, 1)) {
        let whole = job.clone().run();
        let mut job = job;
        let mut noticed = 0;
        loop {
            // An element of the answer is lost, and comes again.
            for lost in [f32::NAN, f32::INFINITY] {
                let mut broken = job.clone();
                let last = broken.score.len() - 1;
                broken.score[last] = lost;
                let state = bytes(&broken.ode);
                let dots = broken.batch..2 * broken.batch;
                let before = broken.clone();
                match broken.next() {
                    Err(error) => {
                        assert_eq!(error, Error::NonFiniteScore);
                        noticed += 1;
                        assert_eq!(bytes(&broken.ode), state);
                        assert_eq!(broken.bits(), before.bits());
                        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                        assert_eq!(bits(&broken.workspace), bits(&before.workspace));
                        assert_eq!(bits(&broken.input), bits(&before.input));
                        for (i, (a, b)) in broken.log_densities.iter().zip(&before.log_densities).enumerate()
                        {
                            assert!(dots.contains(&i) || a.to_bits() == b.to_bits());
                        }
                        broken.score[last] = job.score[last];
                        broken.next().unwrap();
                    }
                    Ok(_) => continue,
                }
            }
            let request = job.next().unwrap();
            if !job.answer(request) {
                break;
            }
        }
        assert!(noticed >= 2 * (2 + job.stats().accepted + job.stats().rejected));
        assert_eq!(job.bits(), whole.bits());
    }
    // A derivative is lost, and the network hides that later: it answers NaNs with numbers.
    let mut job =
        Job::new(&data(DIMS, 1), 1, OdeOptions { direction: OdeDirection::Encoding, ..tight(1e-3) });
    let error = loop {
        match job.next() {
            Ok(request) => assert!(job.answer(request)),
            Err(error) => break error,
        }
        if job.stats().evaluations == 5 {
            job.score[3] = f32::NAN;
        }
        for x in job.score.iter_mut().filter(|_| job.ode.stats().evaluations != 5) {
            *x = if x.is_nan() { 0.0 } else { *x };
        }
    };
    assert_eq!(error, Error::NonFiniteScore);
    // A step goes beyond the largest float, although its derivatives do not.
    let options = OdeOptions { start: true, max_step: 0.01, ..tight(1e-1) };
    let mut job = Job::new(&[3.3e38; DIMS], 1, options);
    let error = loop {
        match job.next() {
            Ok(request) => assert!(job.answer(request)),
            Err(error) => break error,
        }
        job.score.fill(1.5e34);
    };
    assert_eq!(error, Error::NonFiniteScore);
    assert!(job.stats().accepted > 0 && job.sample.iter().all(|x| x.is_finite()));
}

#[test]
fn limits_are_kept() {
    // So many evaluations, and no step is begun that needs more.
    for most in [1, 2, 7, 8, 13, 14, 40] {
        let mut job =
            Job::new(&[0.0; DIMS], 1, OdeOptions { max_evaluations: most, ..OdeOptions::default() });
        let error = loop {
            match job.next() {
                Ok(request) => assert!(job.answer(request)),
                Err(error) => break error,
            }
        };
        assert_eq!(error, Error::TooManyEvaluations);
        assert_eq!(job.next(), Err(error));
        assert!(job.scores <= most && most < job.scores + 6, "{most} {}", job.scores);
    }
    // A score that jumps about has no solution.
    let mut job = Job::new(&[0.0; DIMS], 1, OdeOptions::default());
    let mut seed = 1_u32;
    let error = loop {
        match job.next() {
            Ok(request) => assert!(job.answer(request)),
            Err(error) => break error,
        }
        for score in &mut job.score {
            seed = seed.wrapping_mul(0x915f_77f5).wrapping_add(1);
            *score = if seed >> 31 == 0 { 1e9 } else { -1e9 };
        }
    };
    assert_eq!(error, Error::StepTooSmall);
    assert_eq!(job.next(), Err(Error::StepTooSmall));
    // The longest step, and a first one of the caller's.
    let options = OdeOptions { max_step: 0.01, first_step: Some(1e-3), ..tight(1e-1) };
    let job = Job::new(&[0.0; DIMS], 1, options).run();
    let stats = job.stats();
    assert!(stats.accepted >= 100);
    assert_eq!(stats.evaluations, 1 + 6 * (stats.accepted + stats.rejected));
}

#[test]
fn options_are_checked() {
    let default = OdeOptions::default();
    for (options, divergence) in [
        (OdeOptions { rtol: 0.0, ..default }, Divergence::None),
        (OdeOptions { rtol: f64::NAN, ..default }, Divergence::None),
        (OdeOptions { rtol: f64::INFINITY, ..default }, Divergence::None),
        (OdeOptions { atol: -1e-9, ..default }, Divergence::None),
        (OdeOptions { atol: f64::NAN, ..default }, Divergence::None),
        (OdeOptions { atol: 0.0, ..default }, Divergence::Product),
        (OdeOptions { max_step: 0.0, ..default }, Divergence::None),
        (OdeOptions { max_step: f64::NAN, ..default }, Divergence::None),
        (OdeOptions { first_step: Some(0.0), ..default }, Divergence::None),
        (OdeOptions { first_step: Some(f64::NAN), ..default }, Divergence::None),
        (OdeOptions { difference: 0.0, ..default }, Divergence::Differences),
        (OdeOptions { difference: f64::NAN, ..default }, Divergence::None),
    ] {
        let options = OdeOptions { divergence, ..options };
        assert_eq!(Ode::new(&config(), 1, options).err(), Some(Error::InvalidTolerance), "{options:?}");
    }
    assert_eq!(Ode::new(&config(), 0, default).err(), Some(Error::Empty));
    let bad = Config { sigma_min: 0.0, ..config() };
    assert_eq!(Ode::new(&bad, 1, default).err(), Some(Error::InvalidSigmaMin));
    // An error of 0 counts as none where the scale is 0, too: a dead pixel.
    let mut job = Job::new(&[0.5; DIMS], 1, OdeOptions { atol: 0.0, start: true, ..default });
    job.sample[7] = 0.0;
    let result = loop {
        match job.next() {
            Ok(request) if job.answer(request) => job.score[7] = 0.0,
            other => break other,
        }
    };
    assert_eq!(result, Ok(OdeRequest::Done));
    assert_eq!(job.sample[7], 0.0);
}

#[test]
fn buffers_are_checked() {
    let options = OdeOptions { divergence: Divergence::Product, probe: SamplerNoise::Given, ..tight(1e-3) };
    let options = OdeOptions { noise: SamplerNoise::Given, ..options };
    let ode = Ode::new(&config(), 2, options).unwrap();
    let (mut y, mut x, score, mut k) = (vec![0.0; 12], vec![0.0; 12], vec![1.0; 12], vec![0.0; 72]);
    let mut e = vec![0.0; ode.log_densities_len().unwrap()];
    let mut next = |sample: usize, input: usize, output: usize, workspace: usize, densities: usize| {
        let buffers =
            OdeBuffers::new(&mut y[..sample], &mut x[..input], &score[..output], &mut k[..workspace]);
        let buffers = buffers.with_probe(&score[..sample]);
        { ode }.next(buffers.with_log_densities(&mut e[..densities]))
    };
    assert_eq!(next(12, 12, 12, 72, 18), Ok(OdeRequest::Noise { draw: 0 }));
    assert_eq!(next(0, 0, 0, 0, 18), Err(Error::Empty));
    assert_eq!(next(11, 11, 11, 72, 18), Err(Error::LengthMismatch));
    assert_eq!(next(12, 11, 12, 72, 18), Err(Error::LengthMismatch));
    assert_eq!(next(12, 12, 11, 72, 18), Err(Error::LengthMismatch));
    assert_eq!(next(12, 12, 12, 71, 18), Err(Error::BufferTooSmall));
    assert_eq!(next(12, 12, 12, 72, 17), Err(Error::BufferTooSmall));
    // The probe, the noise and the product where they are needed.
    let (mut ode, mut e) = (ode, e);
    let mut next = |probe: bool, noise: bool, product: bool| {
        let mut buffers = OdeBuffers::new(&mut y, &mut x, &score, &mut k).with_log_densities(&mut e);
        if probe {
            buffers = buffers.with_probe(&score);
        }
        if noise {
            buffers = buffers.with_noise(&score);
        }
        if product {
            buffers = buffers.with_product(&score);
        }
        ode.next(buffers)
    };
    assert_eq!(next(false, true, true), Err(Error::NullPointer));
    assert!(next(true, false, false).is_ok());
    assert_eq!(next(true, false, true), Err(Error::NullPointer));
    assert!(next(true, true, false).is_ok());
    assert_eq!(next(true, true, false), Err(Error::NullPointer));
    assert!(next(true, false, true).is_ok());
}

#[test]
fn damaged_states_are_refused_or_go_on() {
    let mut seed = 9_u64;
    let mut random = || {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (seed >> 33) as usize
    };
    let (mut refused, mut went_on) = (0, 0);
    for job in jobs().filter(|job| job.sample.len() < 100).chain([Job::new(
        &data(6, 2),
        2,
        OdeOptions { divergence: Divergence::Differences, ..tight(1e-2) },
    )]) {
        for _ in 0..some(3000, 200) {
            let mut job = job.clone();
            for _ in 0..random() % 60 {
                let Ok(request) = job.next() else { break };
                if !job.answer(request) {
                    break;
                }
            }
            let mut bytes = bytes(&job.ode);
            for _ in 0..1 + random() % 3 {
                let at = random() % bytes.len();
                bytes[at] = [0, 1, 0x7f, 0xff, random() as u8][random() % 5];
            }
            // SAFETY: any bytes are a state.
            job.ode = unsafe { bytes.as_ptr().cast::<Ode>().read_unaligned() };
            job.log_densities.resize(9 * job.batch, 0.0);
            for _ in 0..40 {
                match job.next() {
                    Ok(request) => {
                        went_on += 1;
                        if !job.answer(request) {
                            break;
                        }
                    }
                    Err(_) => {
                        refused += 1;
                        break;
                    }
                }
            }
            let _ = (job.stats(), job.ode.log_densities_len(), job.ode.reduction(12));
        }
    }
    assert!(refused > some(100, 10) && went_on > some(1000, 100), "{refused} {went_on}");
}
