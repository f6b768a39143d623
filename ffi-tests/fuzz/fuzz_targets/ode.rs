//! Jobs on the probability-flow ODE called as they should be and as they should not: with any
//! options, with scores that are no numbers, other lengths, states of any bits, without what was
//! asked for, with copies that go on from the middle. Each call must do what its reductions and its
//! plan do in parts, on the baseline's vectors, or leave everything as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vesde::capi::*;
use vesde::{Error, SimdLevel, limit_simd_level};
use vesde::norms::{NORM_BLOCK, norm_blocks};
use vesde::ode::{Ode, OdeBuffers, OdeDots, OdeRequest};
use vesde_fuzz::{Input, OdeState, patterns, same, same_double};

const MOST_CALLS: usize = 200;

/// A job's state and all that it keeps between calls.
#[derive(Clone)]
struct Slot {
    state: OdeState,
    sample: Vec<f32>,
    input: Vec<f32>,
    workspace: Vec<f32>,
    log_densities: Vec<f64>,
    /// The noise scale that was last asked for.
    sigma: f32,
    /// Which element of each sample is 1, where that was asked for.
    unit: Option<usize>,
}

/// What the caller has for a call.
#[derive(Clone, Copy)]
struct Answers<'a> {
    score: &'a [f32],
    noise: Option<&'a [f32]>,
    probe: Option<&'a [f32]>,
    product: Option<&'a [f32]>,
}

impl Slot {
    /// A job as vesde_ode_init makes it, with a sample of anything.
    fn of_input(input: &mut Input<'_>, buffer: &[f32]) -> Self {
        let mut config = input.config();
        if input.byte() < 200 {
            config.sigma_max = 10.0;
        }
        let batch = input.below(3) + 1;
        let options = input.ode_options();
        let per_sample = match input.byte() {
            few @ 0..230 => usize::from(few % 80) + 1,
            230..252 => 129,
            _ => NORM_BLOCK + 100,
        };
        let mut ode = std::mem::MaybeUninit::<Ode>::uninit();
        // SAFETY: the pointers are those of objects.
        let status = unsafe { vesde_ode_init(&config, batch, &options, ode.as_mut_ptr()) };
        let state = if status == VESDE_OK {
            // SAFETY: it was written.
            OdeState::from(unsafe { ode.assume_init() })
        } else {
            OdeState::of_input(input, batch as u64)
        };
        let len = batch * per_sample;
        let densities = Ode::from(state).log_densities_len().unwrap_or_default().min(9 * 8);
        Self {
            state,
            sample: buffer[..len].to_vec(),
            input: vec![0.25; len],
            workspace: vec![0.5; 6 * len],
            log_densities: vec![0.75; densities],
            sigma: 1.0,
            unit: None,
        }
    }

    fn len(&self) -> usize {
        self.sample.len()
    }

    /// The score of a Gaussian where it was asked for.
    fn score(&self) -> Vec<f32> {
        let variance = self.sigma * self.sigma + 0.04;
        self.input.iter().map(|x| (0.5 - x) / variance).collect()
    }

    /// Its Jacobian's product with a probe or a unit vector.
    fn product(&self, probe: &[f32]) -> Vec<f32> {
        let variance = self.sigma * self.sigma + 0.04;
        let sample_len = self.len() / (self.state.batch as usize).clamp(1, self.len());
        let of = |i: usize| match self.unit {
            None => probe[i],
            Some(unit) => f32::from(u8::from(i % sample_len == unit)),
        };
        (0..self.len()).map(|i| -of(i) / variance).collect()
    }

    /// A turn in parts: sums and dots of pieces of some blocks, and a plan that is run on pieces
    /// that begin anywhere.
    fn turn_in_parts(
        &mut self,
        answers: Answers<'_>,
        blocks: usize,
        cut: usize,
    ) -> Result<OdeRequest, Error> {
        let Self { state, sample, input, workspace, log_densities, .. } = self;
        let (len, batch) = (sample.len(), state.batch as usize);
        let mut ode = Ode::from(*state);
        let reduction = ode.reduction(len)?;
        let mut whole = OdeBuffers::new(sample, input, answers.score, workspace);
        if let Some(noise) = answers.noise {
            whole = whole.with_noise(noise);
        }
        if let Some(probe) = answers.probe {
            whole = whole.with_probe(probe);
        }
        if let Some(product) = answers.product {
            whole = whole.with_product(product);
        }
        let values = reduction.values();
        let mut sums = [0.0; 2];
        let mut rest = whole;
        let mut parts = vec![];
        for _ in 0..norm_blocks(len).div_ceil(blocks) - 1 {
            let (part, others) = rest.split_at(NORM_BLOCK * blocks);
            parts.push(part);
            rest = others;
        }
        parts.push(rest);
        for (i, part) in parts.iter().enumerate() {
            let part_len = (NORM_BLOCK * blocks).min(len - i * NORM_BLOCK * blocks);
            let mut stored = vec![0.0; values * norm_blocks(part_len)];
            reduction.sums(part, &mut stored)?;
            for block in stored.chunks(values.max(1)) {
                sums.iter_mut().zip(block).for_each(|(sum, x)| *sum += x);
            }
        }
        drop(parts);
        if reduction.dots != OdeDots::None {
            let sample_len = reduction.sample_len;
            let rows = log_densities.get_mut(batch..batch * 2).ok_or(Error::BufferTooSmall)?;
            for (i, row) in rows.iter_mut().enumerate() {
                let range = i * sample_len..(i + 1) * sample_len;
                let [mut a, mut b] = [(); 2].map(|()| vec![0.0; sample_len]);
                let mut c = vec![0.0; 6 * sample_len];
                let mut part = OdeBuffers::new(&mut a, &mut b, &answers.score[range.clone()], &mut c)
                    .starting_at(range.start);
                if let Some(probe) = answers.probe {
                    part = part.with_probe(&probe[range.clone()]);
                }
                if let Some(product) = answers.product {
                    part = part.with_product(&product[range.clone()]);
                }
                let mut stored = vec![0.0; norm_blocks(sample_len)];
                reduction.dots(&part, &mut stored)?;
                *row = stored.iter().fold(0.0, |sum, x| sum + x);
            }
        }
        let (plan, request) = ode.plan(len, sums, log_densities)?;
        let mut whole = OdeBuffers::new(sample, input, answers.score, workspace);
        if let Some(noise) = answers.noise {
            whole = whole.with_noise(noise);
        }
        if let Some(probe) = answers.probe {
            whole = whole.with_probe(probe);
        }
        if cut == 0 || cut >= len {
            plan.run(&mut whole)?;
        } else {
            let (mut first, mut second) = whole.split_at(cut);
            plan.run(&mut second)?;
            plan.run(&mut first)?;
        }
        *state = ode.into();
        Ok(request)
    }

    /// A call in C, whose buffers begin `shift` floats behind the start of a vector.
    fn next(&mut self, answers: Answers<'_>, shift: usize) -> (vesde_status, COdeRequest) {
        let len = self.len();
        let shifted = |x: &[f32]| [&vec![0.125; shift], x].concat();
        let or_null = |x: Option<&[f32]>| x.map(shifted);
        let ptr = |x: &Option<Vec<f32>>| x.as_ref().map_or(std::ptr::null(), |x| x[shift..].as_ptr());
        let [mut sample, mut input, mut workspace] =
            [&self.sample, &self.input, &self.workspace].map(|x| shifted(x));
        let score = shifted(answers.score);
        let (noise, probe) = (or_null(answers.noise), or_null(answers.probe));
        let product = or_null(answers.product);
        let buffers = COdeBuffers {
            sample: sample[shift..].as_mut_ptr(),
            input: input[shift..].as_mut_ptr(),
            model_output: score[shift..].as_ptr(),
            len,
            noise: ptr(&noise),
            probe: ptr(&probe),
            product: ptr(&product),
            workspace: workspace[shift..].as_mut_ptr(),
            workspace_stride: 0,
            log_densities: self.log_densities.as_mut_ptr(),
            log_densities_len: self.log_densities.len(),
            start: 0,
        };
        // SAFETY: any bits are valid.
        let mut request: COdeRequest = unsafe { std::mem::transmute(UNTOUCHED) };
        // SAFETY: the buffers have these lengths, and the state may have any bits.
        let status = unsafe { vesde_ode_next((&raw mut self.state).cast(), &buffers, &mut request) };
        for (to, from) in
            [(&mut self.sample, &sample), (&mut self.input, &input), (&mut self.workspace, &workspace)]
        {
            assert!(from[..shift].iter().all(|&x| x == 0.125), "wrote before a buffer");
            to.copy_from_slice(&from[shift..]);
        }
        (status, request)
    }

    /// Whether two jobs are the same, but for the dots that are kept.
    fn assert_same(&self, other: &Self, but_for_dots: bool) {
        assert_eq!(self.state.bytes(), other.state.bytes());
        for (a, b) in
            [(&self.sample, &other.sample), (&self.input, &other.input), (&self.workspace, &other.workspace)]
        {
            assert!(a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| same(a, b)), "a buffer differs");
        }
        let batch = self.state.batch as usize;
        for (i, (&a, &b)) in self.log_densities.iter().zip(&other.log_densities).enumerate() {
            let is_dot = i >= batch && i < batch.saturating_mul(2);
            assert!(but_for_dots && is_dot || same_double(a, b), "log-density {i}: {a} and {b}");
        }
    }
}

const UNTOUCHED: [u8; size_of::<COdeRequest>()] = [0xa5; size_of::<COdeRequest>()];

fn bytes_of(request: &COdeRequest) -> [u8; size_of::<COdeRequest>()] {
    // SAFETY: the struct has no padding.
    unsafe { std::mem::transmute(*request) }
}

/// A call that must do what its parts do.
fn call(slot: &mut Slot, answers: Answers<'_>, how: u8) {
    let before = slot.clone();
    limit_simd_level(SimdLevel::Avx512);
    let (status, request) = slot.next(answers, usize::from(how % 4));
    limit_simd_level(SimdLevel::Baseline);
    let mut parts = before.clone();
    let (blocks, cut) = (usize::from(how / 4 % 2) + 1, usize::from(how) * slot.len() / 256);
    let wanted = parts.turn_in_parts(answers, blocks, cut);
    if status == VESDE_OK {
        let wanted = wanted.expect("a call whose parts fail");
        assert_eq!(bytes_of(&request), bytes_of(&wanted.into()), "{wanted:?}");
        slot.assert_same(&parts, false);
        // The bits of NaNs may differ: both go on from the same ones.
        *slot = parts;
        match wanted {
            OdeRequest::Score { sigma, .. } | OdeRequest::ScoreAndProduct { sigma, .. } => {
                (slot.sigma, slot.unit) = (sigma, None);
            }
            OdeRequest::Product { sigma, unit, .. } => (slot.sigma, slot.unit) = (sigma, Some(unit)),
            _ => {}
        }
    } else {
        // What is missing may be refused before it is needed.
        let is_missing = [answers.noise, answers.probe, answers.product].iter().any(Option::is_none);
        let is_early = is_missing && status == Error::NullPointer as i32;
        let error = wanted.err().map(|error| error as i32);
        assert!(is_early || error == Some(status), "{status}, and in parts {error:?}");
        assert_eq!(bytes_of(&request), UNTOUCHED);
        slot.assert_same(&before, true);
        *slot = before;
    }
    let stats = Ode::from(slot.state).stats();
    assert_eq!([stats.evaluations, stats.accepted, stats.rejected], {
        let OdeState { evaluations, accepted, rejected, .. } = slot.state;
        [evaluations, accepted, rejected]
    });
}

fuzz_target!(|data: &[u8]| {
    thread_local!(static PATTERNS: Vec<Vec<f32>> = patterns(4 * NORM_BLOCK));
    PATTERNS.with(|patterns| {
        let mut input = Input(data);
        let calls = input.below(MOST_CALLS) + 1;
        let mut slots = [Slot::of_input(&mut input, &patterns[0]), Slot::of_input(&mut input, &patterns[1])];
        for _ in 0..calls {
            // Behind the input's end, where bytes are 0, a job goes on as it should.
            let what = input.byte();
            let slot = &mut slots[usize::from(what % 2)];
            let len = slot.len();
            let noise = &patterns[0][64..][..len];
            let probe: Vec<f32> = noise.iter().map(|z| 1.0_f32.copysign(*z)).collect();
            let (mut score, mut product) = (slot.score(), slot.product(&probe));
            let mut answers =
                Answers { score: &score, noise: Some(noise), probe: Some(&probe), product: None };
            match what {
                0..170 => {
                    let answers = Answers { product: Some(&product), ..answers };
                    let how = if what < 2 { 0 } else { input.byte() };
                    call(slot, answers, how);
                }
                170..190 => {
                    // One element of anything, or all.
                    let kind = input.below(patterns.len());
                    let at = input.below(len);
                    if what < 180 {
                        score[at] = input.float();
                        product[len - 1 - at] = input.float();
                    } else {
                        score.copy_from_slice(&patterns[kind][at..][..len]);
                        product.copy_from_slice(&patterns[kind][1..][..len]);
                    }
                    let answers = Answers {
                        score: &score,
                        product: Some(&product),
                        noise: Some(noise),
                        probe: Some(&probe),
                    };
                    call(slot, answers, what);
                }
                190..200 => {
                    let missing = input.below(8);
                    answers.product = Some(&product);
                    answers.noise = answers.noise.filter(|_| missing & 1 == 0);
                    answers.probe = answers.probe.filter(|_| missing & 2 == 0);
                    answers.product = answers.product.filter(|_| missing & 4 == 0);
                    call(slot, answers, what);
                }
                200..208 => {
                    // Another length, and as many log-densities or others.
                    let len = (len + input.below(3)).saturating_sub(1).max(1);
                    let mut other = slot.clone();
                    other.sample.resize(len, 0.25);
                    other.input.resize(len, 0.25);
                    other.workspace.resize(6 * len, 0.25);
                    other.log_densities.truncate(input.below(40));
                    let ones = vec![1.0; len];
                    let answers = Answers {
                        score: &ones,
                        noise: Some(&ones),
                        probe: Some(&ones),
                        product: Some(&ones),
                    };
                    call(&mut other, answers, what);
                }
                208..226 => slots[1 - usize::from(what % 2)] = slot.clone(),
                226..246 => {
                    slot.state.spoil(&mut input);
                    if input.rarely(128) {
                        let densities = Ode::from(slot.state).log_densities_len().unwrap_or_default();
                        slot.log_densities.resize(densities.min(9 * 8), 0.5);
                    }
                }
                _ => *slot = Slot::of_input(&mut input, &patterns[0]),
            }
        }
    });
});
