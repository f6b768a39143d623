//! What the targets share: choices and numbers read from the fuzzer's bytes, and comparison of
//! floats.

use vesde::capi::{COdeOptions, CRequest, RequestKind};
use vesde::{After, Averaging, Conditions, Config, Corrector, Counter, Error, Method, Norm, Prediction, Predictor, PredictorStep, Request, Sampler, SamplerNoise, SamplerResult, Schedule};
use vesde::noise::{AnyGenerator, CudaGrid, Numpy, TorchCpu, TorchCuda};
use vesde::norms::{NORM_BLOCK, annealed_step, corrector_step, mean_norm, sample_norm, sum_squares, torch_norm};
use vesde::ode::{Divergence, Ode};
use vesde::plan::{Operand, Plan, PlanTerm, Reduction};

/// The fuzzer's bytes, taken from the front. Behind the end there are zeros, which choose what is
/// usual.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (now, later) = self.0.split_at(self.0.len().min(N));
        self.0 = later;
        let mut bytes = [0; N];
        bytes[..now.len()].copy_from_slice(now);
        bytes
    }

    pub fn byte(&mut self) -> u8 {
        let [byte] = self.bytes();
        byte
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// One of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// One of a few.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True for `per_256` of 256 bytes, and not for 0.
    pub fn rarely(&mut self, per_256: u8) -> bool {
        u16::from(self.byte()) + u16::from(per_256) > 255
    }

    /// A number as C may pass it: a usual one, an edge, or any bits.
    pub fn float(&mut self) -> f32 {
        match self.byte() {
            usual @ 0..128 => f32::from(usual) / 16.0 - 2.0,
            edge @ 128..192 => EDGES[usize::from(edge) % EDGES.len()],
            _ => f32::from_bits(self.u32()),
        }
    }

    /// The same in double.
    pub fn double(&mut self) -> f64 {
        match self.byte() {
            0..128 => f64::from(self.float()),
            edge @ 128..192 => f64::from(EDGES[usize::from(edge) % EDGES.len()]),
            _ => f64::from_bits(self.u64()),
        }
    }

    /// One of an enumeration's values, or any.
    pub fn enumeration(&mut self) -> i32 {
        match self.byte() {
            usual @ 0..240 => i32::from(usual % 2),
            240..248 => 2,
            _ => self.u32() as i32,
        }
    }

    /// One of an enumeration of so many values, or any.
    pub fn value_of(&mut self, count: usize) -> i32 {
        match self.byte() {
            usual @ 0..244 => (usize::from(usual) % count) as i32,
            244..248 => count as i32,
            _ => self.u32() as i32,
        }
    }

    /// A place in counter noise, now and then close to the end of its stream.
    pub fn counter(&mut self) -> Counter {
        let seed = self.u32();
        let index = match self.byte() {
            usual @ 0..200 => u64::from(usual) * 37,
            200..240 => u64::from(self.u32()),
            near_end => u64::MAX - u64::from(near_end - 240) * 100,
        };
        Counter { seed: u64::from(seed) << 16, stream: u64::from(seed) << 24, index }
    }

    /// The size of a GPU, as torch knows it or of any bits.
    pub fn grid(&mut self) -> CudaGrid {
        let mut number = |usual: &[u32]| if self.rarely(40) { self.u32() } else { self.pick(usual) };
        let multiprocessors = number(&[1, 2, 132, u32::MAX]);
        CudaGrid { multiprocessors, threads_per_multiprocessor: number(&[256, 1024, 2048, u32::MAX]) }
    }

    /// A configuration: the default, with fields changed to anything now and then.
    pub fn config(&mut self) -> Config {
        let mut config = Config { correct_steps: self.below(3) as u32, ..Config::default() };
        if self.rarely(100) {
            match self.below(8) {
                0 => config.snr = self.double(),
                1 => config.sigma_min = self.double(),
                2 => config.sigma_max = self.double(),
                3 => config.sampling_eps = self.double(),
                4 => config.num_train_timesteps = self.u32(),
                5 => config.correct_steps = self.u32(),
                _ => {
                    [config.snr, config.sigma_min, config.sigma_max, config.sampling_eps] =
                        [(); 4].map(|()| f64::from_bits(self.u64()));
                    [config.num_train_timesteps, config.correct_steps] = [(); 2].map(|()| self.u32());
                }
            }
        }
        config
    }
}

/// Values at which arithmetic begins to behave otherwise.
pub const EDGES: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -1e-45,
    1e-45,
    1e-39,
    1e20,
    -3e38,
    0.99999994,
];

/// The same bits, or both not a number: the compiler chooses which operand a NaN's bits come from.
pub fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// [`same`] in double.
pub fn same_double(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// Floats of several kinds, by which buffers are filled.
pub fn patterns(len: usize) -> Vec<Vec<f32>> {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 32) as u32
    };
    let mut fill = |make: &mut dyn FnMut(u32) -> f32| (0..len).map(|_| make(random())).collect::<Vec<f32>>();
    let usual = |word: u32| word as i32 as f32 / (1_u32 << 30) as f32;
    vec![
        fill(&mut |word| usual(word)),
        // One edge in 64.
        fill(&mut |word| if word % 64 == 0 { EDGES[word as usize / 64 % EDGES.len()] } else { usual(word) }),
        fill(&mut |word| EDGES[word as usize / 64 % EDGES.len()]),
        fill(&mut |_| 0.0),
        fill(&mut f32::from_bits),
        fill(&mut |word| f32::from_bits(word & 0x807f_ffff)), // subnormal
        fill(&mut |word| f32::from_bits(word & 0x80ff_ffff | 0x7e00_0000)), // squares overflow
        fill(&mut |word| usual(word) * 1e-20),                // squares vanish
    ]
}

// ---- what vesde is compared with ----

/// Counter noise, from two calls for its parts.
pub fn noise_of(noise: Counter, len: usize) -> Result<Vec<f32>, Error> {
    let mut out = vec![0.0; len];
    let (first, rest) = out.split_at_mut(len / 3);
    noise.at(first.len() as u64).fill(rest)?;
    if !first.is_empty() {
        noise.fill(first)?;
    }
    Ok(out)
}

/// A factor, its buffer, and a second factor.
pub type Term<'a> = (f32, &'a [f32], f32);

/// A linear combination in scalar code, and the same without noise and clamp.
pub fn scalar_linear(
    terms: &[Term<'_>],
    noise: Option<(f32, &[f32])>,
    clamp: Option<(f32, f32)>,
) -> [Vec<f32>; 2] {
    let at = |i: usize| {
        let mean = terms.iter().map(|(a, x, b)| a * x[i] * b).reduce(|sum, x| sum + x);
        let noise = noise.map(|(s, z)| s * z[i]);
        let out = mean.zip(noise).map(|(mean, noise)| mean + noise).or(mean).or(noise).unwrap();
        let out = match clamp {
            Some((low, _)) if out < low => low,
            _ => out,
        };
        let out = match clamp {
            Some((_, high)) if high < out => high,
            _ => out,
        };
        (out, mean.unwrap_or_default())
    };
    let len = terms.first().map(|(_, x, _)| x.len()).or(noise.map(|(_, z)| z.len())).unwrap_or_default();
    let (out, mean) = (0..len).map(at).unzip();
    [out, mean]
}

/// A norm by the functions for work that is split.
fn norm_of(x: &[f32], norm: Norm) -> Result<f64, Error> {
    if norm == Norm::Torch {
        return torch_norm(x, x.len());
    }
    let mut blocks = vec![0.0; x.len().div_ceil(NORM_BLOCK)];
    for (x, block) in x.chunks(NORM_BLOCK).zip(blocks.chunks_mut(1)) {
        sum_squares(x, x.len(), block)?;
    }
    Ok(sample_norm(&blocks))
}

/// The factors of a corrector step, by the functions for work that is split: for the batch, or for
/// each sample.
pub fn corrector_factors(
    snr: f64,
    m: &[f32],
    z: &[f32],
    batch: usize,
    (averaging, norm): (Averaging, Norm),
) -> Result<Vec<(f32, f32)>, Error> {
    let per_sample = m.len() / batch;
    let norms =
        |x: &[f32]| x.chunks(per_sample).map(|x| norm_of(x, norm)).collect::<Result<Vec<f64>, Error>>();
    let (mut grad, mut noise) = (norms(m)?, norms(z)?);
    if averaging == Averaging::Batch {
        (grad, noise) = (vec![mean_norm(&grad, norm)?], vec![mean_norm(&noise, norm)?]);
    }
    let steps = grad.into_iter().zip(noise).map(|(grad, noise)| corrector_step(snr, grad, noise, norm));
    steps.map(|step| step.map(|step| (step.step_size, step.noise_factor))).collect()
}

/// An enumeration's value as C has it.
pub fn averaging(value: i32) -> Result<Averaging, Error> {
    match value {
        0 => Ok(Averaging::Batch),
        1 => Ok(Averaging::PerSample),
        _ => Err(Error::UnknownEnum),
    }
}

/// An enumeration's value as C has it.
pub fn norm(value: i32) -> Result<Norm, Error> {
    match value {
        0 => Ok(Norm::Exact),
        1 => Ok(Norm::Torch),
        _ => Err(Error::UnknownEnum),
    }
}

/// The values of an enumeration in the order of their numbers.
pub const CONDITIONS: [Conditions; 3] = [Conditions::None, Conditions::Drawing, Conditions::Quiet];
/// As above.
pub const RESULTS: [SamplerResult; 3] = [SamplerResult::Mean, SamplerResult::Noisy, SamplerResult::Denoised];

/// An enumeration's value as C has it, from those that there are.
pub fn known<T: Copy>(value: i32, values: &[T]) -> Result<T, Error> {
    let index = usize::try_from(value).map_err(|_| Error::UnknownEnum)?;
    values.get(index).copied().ok_or(Error::UnknownEnum)
}

/// vesde_sampler, as the header declares it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct State {
    pub config: Config,
    pub seed: u64,
    pub stream: u64,
    pub batch: u64,
    pub first_step: u64,
    pub turn: u64,
    pub noise: i32,
    pub averaging: i32,
    pub norm: i32,
    pub unclamped: i32,
    pub result: i32,
    pub start: i32,
    pub predictor: i32,
    pub corrector: i32,
    pub conditions: i32,
    pub step_lr: f32,
    pub method: i32,
    pub prediction: i32,
    pub order: i32,
    pub eta: f32,
    pub s_noise: f32,
    pub s_churn: f32,
    pub s_tmin: f32,
    pub s_tmax: f32,
    pub denoised_low: f32,
    pub denoised_high: f32,
}

const _: () = assert!(size_of::<State>() == size_of::<Sampler>());

/// A job along a table of sigmas: a method and, for most bytes, options that fit it.
pub struct FewCalls {
    pub method: i32,
    pub prediction: i32,
    pub order: i32,
    pub eta: f32,
    pub s_churn: f32,
    pub s_tmin: f32,
    pub clamp: Option<(f32, f32)>,
}

impl FewCalls {
    pub fn of_input(input: &mut Input<'_>) -> Self {
        let method = input.value_of(Method::ALL.len());
        let order = if method >= Method::Lms as i32 { input.below(5) as i32 } else { 0 };
        let eta = if method < Method::Unipc2 as i32 { input.pick(&[0.0, 1.0, 0.5, 0.0, 2.0]) } else { 0.0 };
        let churns = method <= Method::Dpm2 as i32 && eta == 0.0;
        Self {
            method,
            prediction: input.value_of(Prediction::ALL.len()),
            order,
            eta,
            s_churn: if churns { input.pick(&[0.0, 1.0, 100.0]) } else { 0.0 },
            s_tmin: input.pick(&[0.0, 1.0]),
            clamp: input.pick(&[None, Some((-0.5, 0.75)), Some((1.0, 1.0))]),
        }
    }
}

/// A change of the sample, with its step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Update {
    Initial,
    Correction(usize),
    Churn(usize),
    Trial(usize),
    Prediction(usize),
    Denoising(usize),
}

/// What a job's turn does, with which draw, and what it asks for; sigma, timestep and label of the
/// request are zeros.
struct Turn {
    update: Option<(Update, u64)>,
    request: Request,
}

/// The longest job that is compared with [`State::job`].
const MOST_TURNS: u64 = 1 << 10;

impl State {
    /// A state in the middle of a job, with a field of any bits now and then.
    pub fn of_input(input: &mut Input<'_>, batch: u64) -> Self {
        let mut state = Self {
            config: input.config(),
            seed: input.u64(),
            stream: input.u64(),
            batch,
            first_step: if input.rarely(32) { input.below(4) as u64 } else { 0 },
            turn: input.below(16) as u64,
            noise: input.enumeration(),
            averaging: input.enumeration(),
            norm: input.enumeration(),
            unclamped: input.enumeration(),
            result: input.enumeration(),
            start: i32::from(input.rarely(32)),
            predictor: input.value_of(Predictor::ALL.len()),
            corrector: input.value_of(Corrector::ALL.len()),
            conditions: input.value_of(CONDITIONS.len()),
            step_lr: if input.rarely(64) { input.float() } else { 0.01 },
            method: 0,
            prediction: 0,
            order: 0,
            eta: 0.0,
            s_noise: 1.0,
            s_churn: 0.0,
            s_tmin: 0.0,
            s_tmax: f32::INFINITY,
            denoised_low: f32::NAN,
            denoised_high: f32::NAN,
        };
        if input.rarely(24) {
            state.result = SamplerResult::Denoised as i32;
        }
        if input.rarely(120) {
            let FewCalls { method, prediction, order, eta, s_churn, s_tmin, clamp } =
                FewCalls::of_input(input);
            let (denoised_low, denoised_high) = clamp.unwrap_or((f32::NAN, f32::NAN));
            state = Self {
                method,
                prediction,
                order,
                eta,
                s_churn,
                s_tmin,
                denoised_low,
                denoised_high,
                ..state
            };
        }
        if input.rarely(64) {
            state.spoil(input);
        }
        state
    }

    /// Writes anything to one of the fields.
    pub fn spoil(&mut self, input: &mut Input<'_>) {
        match input.below(26) {
            0 => self.batch = input.u64(),
            16 => self.method = input.value_of(Method::ALL.len()),
            17 => self.prediction = input.value_of(Prediction::ALL.len()),
            18 => self.order = input.value_of(5),
            19 => self.eta = input.float(),
            20 => self.s_noise = input.float(),
            21 => self.s_churn = input.float(),
            22 => self.s_tmin = input.float(),
            23 => self.s_tmax = input.float(),
            24 => self.denoised_low = input.float(),
            25 => self.denoised_high = input.float(),
            1 => self.first_step = input.u64(),
            2 => self.turn = input.u64(),
            3 => self.turn = input.below(32) as u64,
            4 => self.noise = input.enumeration(),
            5 => self.averaging = input.enumeration(),
            6 => self.norm = input.enumeration(),
            7 => self.unclamped = input.enumeration(),
            8 => self.stream = u64::MAX,
            9 => self.start = input.enumeration(),
            10 => self.config = input.config(),
            11 => self.predictor = input.value_of(Predictor::ALL.len()),
            12 => self.corrector = input.value_of(Corrector::ALL.len()),
            13 => self.conditions = input.value_of(CONDITIONS.len()),
            14 => self.step_lr = input.float(),
            _ => self.result = input.value_of(RESULTS.len()),
        }
    }

    /// What the next call does, and what it asks for then: by the sampler's own plan, which must be
    /// that of [`job`](Self::job).
    pub fn plan(&self, schedule: &Schedule<'_>) -> Result<(Plan, Request, Self), Error> {
        let mut sampler = Sampler::from(*self);
        let (plan, request) = sampler.plan(schedule)?;
        assert!(self.is_valid(), "{self:?}");
        let steps = sampler.steps(schedule);
        if self.method != 0 {
            let turns = self.job_along(schedule.sigmas);
            let turn = &turns[self.turn as usize];
            assert_eq!(without_tables(request), turn.request, "{self:?}");
            self.check_along(&plan, request, turn.update, &turns, schedule.sigmas);
            return Ok((plan, request, sampler.into()));
        }
        let updates = u64::from(self.config.correct_steps) + 2;
        if updates.saturating_mul(2 * steps as u64) < MOST_TURNS {
            let turns = self.job(steps);
            let turn = &turns[self.turn as usize];
            assert_eq!(without_tables(request), turn.request, "{self:?}");
            self.check_tables(request, schedule);
            self.check_plan(&plan, turn.update, &turns, schedule);
        }
        Ok((plan, request, sampler.into()))
    }

    /// A whole job: the loop of Song et al. 2021 (algorithm 1), with conditions behind the initial
    /// sample, the corrections and the prediction.
    fn job(&self, steps: usize) -> Vec<Turn> {
        let gives = self.noise == SamplerNoise::Given as i32;
        let conditions = CONDITIONS[self.conditions as usize];
        let predicts = Predictor::ALL[self.predictor as usize] != Predictor::None;
        let corrects = Corrector::ALL[self.corrector as usize] != Corrector::None;
        let corrections = if corrects { self.config.correct_steps } else { 0 };
        let first = self.first_step as usize;
        let mut turns = vec![];
        let mut update = None;
        let mut ask = |update: &mut Option<(Update, u64)>, request| {
            turns.push(Turn { update: update.take(), request });
        };
        let score =
            |step, correction| Request::Score { sigma: 0.0, timestep: 0.0, label: 0, step, correction };
        let condition = |step, after, draw| Request::Condition {
            sigma: 0.0,
            timestep: 0.0,
            step,
            after,
            draw,
            last: false,
        };
        if self.start == 0 {
            if gives {
                ask(&mut update, Request::Noise { draw: 0 });
            }
            update = Some((Update::Initial, 0));
            if conditions != Conditions::None {
                ask(&mut update, condition(first, After::Initial, 0));
            }
        }
        let mut draws = 1; // of the initial sample, whoever made it
        for step in 0..steps {
            let is_there = step >= first;
            let parts = [(After::Corrector, corrections), (After::Predictor, u32::from(predicts))];
            for (after, count) in parts {
                for number in 0..count {
                    let draw = draws;
                    draws += 1;
                    if !is_there {
                        continue;
                    }
                    let is_prediction = after == After::Predictor;
                    ask(&mut update, score(step, if is_prediction { corrections } else { number }));
                    if gives {
                        ask(&mut update, Request::Noise { draw });
                    }
                    let what =
                        if is_prediction { Update::Prediction(step) } else { Update::Correction(step) };
                    update = Some((what, draw));
                }
                let draw = if conditions == Conditions::Drawing { draws } else { 0 };
                draws += u64::from(conditions == Conditions::Drawing);
                if conditions != Conditions::None && is_there {
                    ask(&mut update, condition(step, after, draw));
                }
            }
        }
        if self.result == SamplerResult::Denoised as i32 {
            ask(&mut update, score(steps - 1, 0));
            update = Some((Update::Denoising(steps - 1), 0));
        }
        ask(&mut update, Request::Done);
        if let [.., Turn { request: Request::Condition { last, .. }, .. }, _] = &mut turns[..] {
            *last = true;
        }
        turns
    }

    /// Whether a step that begins at this sigma raises it, even if the noise for it is rounded to
    /// 0.
    fn raises(&self, sigma: f32) -> bool {
        self.s_churn > 0.0 && (self.s_tmin..=self.s_tmax).contains(&sigma)
    }

    /// What a step along a table asks for: noise before it, a second score, noise behind it.
    fn shape(&self, sigma: f32, next: f32) -> [bool; 3] {
        let (sigma, next, eta) = (f64::from(sigma), f64::from(next), f64::from(self.eta));
        let churns = self.raises(sigma as f32) && self.s_noise > 0.0;
        let is_two_call =
            [Method::Heun, Method::Dpm2, Method::Dpmpp2s].iter().any(|&x| x as i32 == self.method);
        let has_noise = eta > 0.0 && next > 0.0 && self.s_noise > 0.0;
        // A step that is ancestral may go to 0.
        let up = eta * next * (1.0 - (next / sigma) * (next / sigma)).sqrt();
        let goes_to_zero = if eta == 0.0 { next == 0.0 } else { next * next - up * up <= 0.0 };
        [churns, is_two_call && !goes_to_zero, has_noise]
    }

    /// A whole job along a table: for each step noise, a score or two, noise, and a condition.
    fn job_along(&self, table: &[f32]) -> Vec<Turn> {
        let gives = self.noise == SamplerNoise::Given as i32;
        let conditions = CONDITIONS[self.conditions as usize];
        let draws = u64::from(conditions == Conditions::Drawing);
        let mut turns = vec![];
        let mut update = None;
        let mut ask = |update: &mut Option<(Update, u64)>, request| {
            turns.push(Turn { update: update.take(), request });
        };
        let score =
            |step, correction| Request::Score { sigma: 0.0, timestep: 0.0, label: 0, step, correction };
        let (sigma, timestep) = (0.0, 0.0);
        if self.start == 0 {
            if gives {
                ask(&mut update, Request::Noise { draw: 0 });
            }
            update = Some((Update::Initial, 0));
            if conditions != Conditions::None {
                let (step, after) = (self.first_step as usize, After::Initial);
                ask(&mut update, Request::Condition { sigma, timestep, step, after, draw: 0, last: false });
            }
        }
        let last = table.len() - 1;
        let denoises = self.result == SamplerResult::Denoised as i32 && table[last] > 0.0;
        for step in self.first_step as usize..last {
            let [churns, has_trial, has_noise] = self.shape(table[step], table[step + 1]);
            let draw = 1 + step as u64 * (1 + draws);
            if churns && gives {
                ask(&mut update, Request::Noise { draw });
                update = Some((Update::Churn(step), draw));
            }
            if has_trial {
                ask(&mut update, score(step, 0));
                update = Some((Update::Trial(step), draw));
            }
            ask(&mut update, score(step, u32::from(has_trial)));
            let is_mean = step + 1 == last && self.result == SamplerResult::Mean as i32;
            if has_noise && gives && !is_mean {
                ask(&mut update, Request::Noise { draw });
            }
            update = Some((Update::Prediction(step), draw));
            if conditions != Conditions::None {
                let (after, draw) = (After::Predictor, (draw + 1) * draws);
                ask(&mut update, Request::Condition { sigma, timestep, step, after, draw, last: false });
            }
        }
        if denoises {
            ask(&mut update, score(last - 1, 0));
            update = Some((Update::Denoising(last), 0));
        }
        ask(&mut update, Request::Done);
        if let [.., Turn { request: Request::Condition { last, .. }, .. }, _] = &mut turns[..] {
            *last = true;
        }
        turns
    }

    /// How many buffers of history a job has.
    pub fn kept(&self) -> usize {
        match Method::ALL[self.method as usize] {
            Method::Heun | Method::Dpm2 | Method::Dpmpp2s | Method::Dpmpp2m | Method::Dpmpp2mExact => 1,
            Method::Dpmpp3m | Method::Dpmpp3mPublished => 2,
            Method::Unipc2 => 3,
            Method::Unipc3 => 4,
            Method::Lms | Method::Ipndm => [3, 0, 1, 2, 3][self.order as usize],
            _ => 0,
        }
    }

    /// The same for a state that may be invalid.
    pub fn kept_or_none(&self) -> usize {
        if self.is_valid() { self.kept() } else { 0 }
    }

    /// Checks what a request along a table says, and what holds for each plan.
    fn check_along(
        &self,
        plan: &Plan,
        request: Request,
        update: Option<(Update, u64)>,
        turns: &[Turn],
        table: &[f32],
    ) {
        let place = match request {
            Request::Score { step, correction: 0, .. } => Some((step, self.raises(table[step]))),
            Request::Condition { step, after, .. } => {
                Some((step + usize::from(after != After::Initial), false))
            }
            _ => None,
        };
        if let Request::Score { label, step, .. } = request {
            assert_eq!(label, step);
        }
        if let Request::Score { sigma, timestep, .. } | Request::Condition { sigma, timestep, .. } = request {
            let is_denoising = matches!(
                turns.get(self.turn as usize + 1),
                Some(Turn { update: Some((Update::Denoising(_), _)), .. })
            );
            let place = if is_denoising { Some((table.len() - 1, false)) } else { place };
            if let Some((place, is_raised)) = place {
                assert!(
                    if is_raised { sigma >= table[place] } else { same(sigma, table[place]) },
                    "{self:?}"
                );
            }
            let wanted = if sigma > 0.0 { self.config.timestep(f64::from(sigma)) as f32 } else { 0.0 };
            assert!(same(timestep, wanted));
        }
        let last = turns.iter().rev().find_map(|turn| turn.update);
        let is_last = update == last && !matches!(update, None | Some((Update::Initial, _)));
        assert_eq!(plan.clamp, (is_last && self.unclamped == 0).then_some((0.0, 1.0)), "{self:?}");
        assert_eq!(plan.reduction, Reduction::None);
        let takes_score =
            matches!(update, Some((Update::Trial(_) | Update::Prediction(_) | Update::Denoising(_), _)));
        assert_eq!(plan.denoised.is_some(), takes_score, "{self:?}");
        let kept = self.kept();
        let sums = [plan.terms()].into_iter().chain(plan.keeps().iter().map(|keep| keep.terms()));
        for term in sums.flatten() {
            assert!(term.factor.is_finite() && term.second_factor == 1.0);
            match term.operand {
                Operand::Kept(slot) => assert!(slot < kept, "{self:?}"),
                // Where it is clamped no sum takes the network's output itself.
                Operand::Denoised => assert!(plan.denoised.is_some_and(|x| x.clamp.is_some())),
                Operand::ModelOutput => assert!(plan.denoised.is_some_and(|x| x.clamp.is_none())),
                Operand::Sample => {}
            }
        }
        assert!(plan.keeps().iter().all(|keep| keep.slot < kept && !keep.terms().is_empty()));
        assert!(plan.churn.is_none() || self.noise == 0);
        if let (Some((_, draw)), 1) = (update, self.noise) {
            assert_eq!(plan.draw, draw, "{self:?}");
        }
        for (draw, counter) in
            [(plan.draw, plan.counter)].into_iter().chain(plan.churn.map(|churn| (churn.draw, churn.counter)))
        {
            let place = Counter { seed: self.seed, stream: self.stream.wrapping_add(draw), index: 0 };
            assert!(counter == place || !reads_noise(plan), "{self:?}");
        }
    }

    /// Checks what a request says of the tables.
    fn check_tables(&self, request: Request, schedule: &Schedule<'_>) {
        let (step, sigma, timestep) = match request {
            Request::Score { step, sigma, timestep, .. }
            | Request::Condition { step, sigma, timestep, .. } => (step, sigma, timestep),
            _ => return,
        };
        assert!(same(sigma, schedule.sigmas[step]) && same(timestep, schedule.timesteps[step]));
        let last = schedule.timesteps.len() - 1;
        if let Request::Score { label, .. } = request {
            let is_ncsnv2 = self.corrector == Corrector::Ncsnv2 as i32;
            let index = (timestep * last as f32) as usize;
            assert_eq!(label, if is_ncsnv2 { step } else { last - index });
        }
    }

    /// Checks a plan against its update, whose factors come from the functions for steps.
    fn check_plan(
        &self,
        plan: &Plan,
        update: Option<(Update, u64)>,
        turns: &[Turn],
        schedule: &Schedule<'_>,
    ) {
        let config = &self.config;
        // The job's last change: it clamps, and for the mean it goes without noise.
        let last = turns.iter().rev().find_map(|turn| turn.update);
        let is_last = update == last && !matches!(update, None | Some((Update::Initial, _)));
        let (mut reduction, mut noise_factor) = (Reduction::None, 0.0);
        let mut factors = Some((0.0, 1.0));
        match update {
            None => factors = None,
            Some((Update::Initial, _)) => {
                (factors, noise_factor) = (None, config.sigma_max as f32);
            }
            Some((Update::Correction(step), _)) => {
                let sigma = schedule.sigmas[step];
                let made = match Corrector::ALL[self.corrector as usize] {
                    Corrector::Langevin => {
                        let averaging = averaging(self.averaging).unwrap();
                        let norm = norm(self.norm).unwrap();
                        reduction = Reduction::CorrectorNorms { snr: config.snr, averaging, norm };
                        None
                    }
                    Corrector::AnnealedLangevin => Some(annealed_step(config.snr as f32 * sigma, 2.0)),
                    _ => {
                        let last = schedule.sigmas[schedule.timesteps.len() - 1];
                        Some(annealed_step(sigma / last, self.step_lr))
                    }
                };
                if let Some(made) = made {
                    let step = made.unwrap();
                    (factors, noise_factor) = (Some((step.step_size, 1.0)), step.noise_factor);
                }
            }
            Some((Update::Prediction(step), _)) => {
                let predictor = Predictor::ALL[self.predictor as usize];
                let PredictorStep { drift, dt, diffusion } =
                    schedule.predictor_step(config, predictor, schedule.timesteps[step]).unwrap();
                (factors, noise_factor) = (Some((drift, dt)), diffusion);
                if self.result == SamplerResult::Mean as i32 && is_last {
                    noise_factor = 0.0;
                }
            }
            Some((Update::Denoising(step), _)) => {
                factors = Some((schedule.sigmas[step] * schedule.sigmas[step], 1.0));
            }
            Some((Update::Churn(_) | Update::Trial(_), _)) => unreachable!("a predictor step has neither"),
        }
        let terms = factors.map_or(vec![], |(factor, second_factor)| {
            let x = PlanTerm { factor: 1.0, second_factor: 1.0, operand: Operand::Sample };
            vec![x, PlanTerm { factor, second_factor, operand: Operand::ModelOutput }]
        });
        assert_eq!(plan.terms(), terms, "{self:?}");
        assert_eq!((plan.noise_factor, plan.reduction), (noise_factor, reduction), "{self:?}");
        assert_eq!(plan.clamp, (is_last && self.unclamped == 0).then_some((0.0, 1.0)), "{self:?}");
        assert!(
            plan.keeps().is_empty() && plan.churn.is_none(),
            "the predictor-corrector method has no history"
        );
        let takes_score = !matches!(update, None | Some((Update::Initial, _)));
        assert_eq!(plan.denoised.is_some(), takes_score, "{self:?}");
        if let Some((_, draw)) = update {
            let counter = Counter { seed: self.seed, stream: self.stream.wrapping_add(draw), index: 0 };
            assert_eq!((plan.draw, plan.counter), (draw, counter), "{self:?}");
        }
    }

    /// Whether vesde_sampler_init could have made the fields that do not change.
    pub fn is_valid(&self) -> bool {
        let Self { noise, averaging, norm, unclamped, start, .. } = *self;
        self.config.validate().is_ok()
            && self.batch > 0
            && [noise, averaging, norm, unclamped, start].iter().all(|x| (0..2).contains(x))
            && known(self.result, &RESULTS).is_ok()
            && known(self.predictor, Predictor::ALL).is_ok()
            && known(self.corrector, Corrector::ALL).is_ok()
            && known(self.conditions, &CONDITIONS).is_ok()
            && known(self.method, Method::ALL).is_ok()
            && known(self.prediction, Prediction::ALL).is_ok()
            && (self.method == 0 || (0..=4).contains(&self.order))
    }

    /// Whether the next call reads the noise that it is given.
    pub fn reads_noise(&self, schedule: &Schedule<'_>) -> bool {
        self.noise == 1 && self.plan(schedule).is_ok_and(|(plan, ..)| reads_noise(&plan))
    }

    pub fn bytes(&self) -> [u8; size_of::<Self>()] {
        // SAFETY: the struct has no padding.
        unsafe { std::mem::transmute(*self) }
    }
}

impl From<State> for Sampler {
    fn from(state: State) -> Self {
        // SAFETY: the same fields in the same order, of which any bits are valid.
        unsafe { std::mem::transmute(state) }
    }
}

impl From<Sampler> for State {
    fn from(sampler: Sampler) -> Self {
        // SAFETY: as above.
        unsafe { std::mem::transmute(sampler) }
    }
}

/// A request without what comes from the tables.
fn without_tables(mut request: Request) -> Request {
    match &mut request {
        Request::Score { sigma, timestep, label, .. } => {
            (*sigma, *timestep, *label) = (0.0, 0.0, 0);
        }
        Request::Condition { sigma, timestep, .. } => (*sigma, *timestep) = (0.0, 0.0),
        _ => {}
    }
    request
}

/// Whether a generator draws for a request: for noise, and for a condition that has a draw.
pub fn is_drawn(request: Request) -> bool {
    match request {
        Request::Noise { .. } => true,
        Request::Condition { draw, .. } => draw != 0,
        _ => false,
    }
}

/// Whether a plan reads noise.
pub fn reads_noise(plan: &Plan) -> bool {
    plan.noise_factor != 0.0 || plan.reduction != Reduction::None
}

/// vesde_generator, as the header declares it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GeneratorState {
    /// The words of torch's generator on the CPU, or of NumPy's.
    paired: TorchCpu,
    pub counter: Counter,
    pub torch_cuda: TorchCuda,
    pub kind: i32,
    reserved: i32,
}

const _: () = assert!(size_of::<GeneratorState>() == size_of::<AnyGenerator>());
const _: () = assert!(size_of::<TorchCpu>() == size_of::<Numpy>());

impl GeneratorState {
    /// All zeros, which is a generator of counter noise.
    pub fn zero() -> Self {
        // SAFETY: any bits are valid.
        unsafe { std::mem::zeroed() }
    }

    /// What a draw must be: by the kind's own type, and in parts if the kind's draws have parts.
    pub fn draw(&mut self, out: &mut [f32]) -> Result<(), Error> {
        let len = out.len();
        match self.kind {
            0 => {
                out.copy_from_slice(&noise_of(self.counter, len)?);
                self.counter.stream = self.counter.stream.wrapping_add(u64::from(len > 0));
                Ok(())
            }
            1 => {
                let (first, rest) = out.split_at_mut(if len.is_multiple_of(16) { len / 32 * 16 } else { 0 });
                self.paired.fill(first)?;
                self.paired.fill(rest)
            }
            2 => {
                let (first, rest) = out.split_at_mut(len / 2);
                self.torch_cuda.fill_part(len as u64, first.len() as u64, rest)?;
                self.torch_cuda.fill_part(len as u64, 0, first)?;
                self.torch_cuda.skip(len as u64)
            }
            3 => {
                let (first, rest) = out.split_at_mut(len / 2);
                // SAFETY: both hold the same struct alone, of which any bits are valid.
                let mut numpy: Numpy = unsafe { std::mem::transmute(self.paired) };
                numpy.fill(first)?;
                numpy.fill(rest)?;
                self.paired = Self::from(numpy).paired;
                Ok(())
            }
            _ => Err(Error::UnknownEnum),
        }
    }

    /// What a draw of uniform numbers must be: made in parts.
    pub fn uniform(&mut self, out: &mut [f32]) -> Result<(), Error> {
        match self.kind {
            1 => {
                let (first, rest) = out.split_at_mut(out.len() / 3);
                self.paired.uniform(first)?;
                self.paired.uniform(rest)
            }
            _ => Err(Error::UnknownEnum),
        }
    }

    /// What a draw of signs must be: from the words that make uniform numbers, or from counter
    /// noise.
    pub fn rademacher(&mut self, out: &mut [f32]) -> Result<(), Error> {
        match self.kind {
            0 => {
                let noise = noise_of(self.counter, out.len())?;
                out.iter_mut().zip(noise).for_each(|(out, z)| *out = 1.0_f32.copysign(z));
                self.counter.stream = self.counter.stream.wrapping_add(u64::from(!out.is_empty()));
                Ok(())
            }
            _ => {
                self.uniform(out)?;
                for x in out {
                    let word = (*x * (1 << 24) as f32) as u32;
                    *x = if word % 2 == 1 { 1.0 } else { -1.0 };
                }
                Ok(())
            }
        }
    }

    /// Writes anything to one of the fields.
    pub fn spoil(&mut self, input: &mut Input<'_>) {
        match input.below(8) {
            0 => self.kind = input.byte() as i8 as i32 / 25,
            1 => self.counter.index = u64::MAX - u64::from(input.byte()),
            2 => self.torch_cuda.offset = input.u64(),
            3 => self.torch_cuda.grid = input.grid(),
            // What is not among the twister's words is in the last 16 bytes: taken, has_cached,
            // cached.
            what => {
                // SAFETY: the struct has no padding, and any bits are valid.
                let words = unsafe {
                    &mut *(&raw mut *self).cast::<[u32; size_of::<GeneratorState>() / size_of::<u32>()]>()
                };
                let back = if what == 4 { input.u32() as usize % words.len() } else { input.below(4) };
                let at = words.len() - 1 - back;
                words[at] = if input.rarely(128) { input.u32() } else { input.below(3) as u32 };
            }
        }
    }

    pub fn bytes(&self) -> [u8; size_of::<Self>()] {
        // SAFETY: the struct has no padding.
        unsafe { std::mem::transmute(*self) }
    }
}

impl From<Counter> for GeneratorState {
    fn from(counter: Counter) -> Self {
        Self { counter, ..Self::zero() }
    }
}

impl From<TorchCpu> for GeneratorState {
    fn from(paired: TorchCpu) -> Self {
        Self { kind: 1, paired, ..Self::zero() }
    }
}

impl From<TorchCuda> for GeneratorState {
    fn from(torch_cuda: TorchCuda) -> Self {
        Self { kind: 2, torch_cuda, ..Self::zero() }
    }
}

impl From<Numpy> for GeneratorState {
    fn from(numpy: Numpy) -> Self {
        // SAFETY: both hold the same struct alone, of which any bits are valid.
        Self { kind: 3, paired: unsafe { std::mem::transmute::<Numpy, TorchCpu>(numpy) }, ..Self::zero() }
    }
}

/// The generators themselves.
pub fn generators(states: &mut [GeneratorState]) -> &mut [AnyGenerator] {
    // SAFETY: the same fields in the same order, of which any bits are valid.
    unsafe { std::slice::from_raw_parts_mut(states.as_mut_ptr().cast(), states.len()) }
}

/// A request as C has it.
pub fn request(request: Request, steps: usize) -> CRequest {
    let nothing = CRequest {
        kind: RequestKind::Done as i32,
        correction: 0,
        step: 0,
        steps: 0,
        label: 0,
        draw: 0,
        sigma: 0.0,
        timestep: 0.0,
        after: 0,
        last: 0,
    };
    match request {
        Request::Score { sigma, timestep, label, step, correction } => CRequest {
            kind: RequestKind::Score as i32,
            correction,
            step,
            steps,
            label: label as u64,
            sigma,
            timestep,
            ..nothing
        },
        Request::Noise { draw } => CRequest { kind: RequestKind::Noise as i32, draw, ..nothing },
        Request::Condition { sigma, timestep, step, after, draw, last } => CRequest {
            kind: RequestKind::Condition as i32,
            step,
            steps,
            draw,
            sigma,
            timestep,
            after: after as i32,
            last: i32::from(last),
            ..nothing
        },
        Request::Done => nothing,
    }
}

/// vesde_ode, as the header declares it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct OdeState {
    pub config: Config,
    pub seed: u64,
    pub stream: u64,
    pub batch: u64,
    pub max_evaluations: u64,
    pub evaluations: u64,
    pub accepted: u64,
    pub rejected: u64,
    pub part: u64,
    pub rtol: f64,
    pub atol: f64,
    pub max_step: f64,
    pub first_step: f64,
    pub difference: f64,
    pub u: f64,
    pub u_new: f64,
    pub h: f64,
    pub h_abs: f64,
    pub h0: f64,
    pub d1: f64,
    pub noise: i32,
    pub start: i32,
    pub variable: i32,
    pub direction: i32,
    pub divergence: i32,
    pub probe: i32,
    pub state_only: i32,
    pub phase: i32,
    pub is_rejected: i32,
    pub is_swapped: i32,
}

const _: () = assert!(size_of::<OdeState>() == size_of::<Ode>());

/// Phases of a job: begin, noise, seven derivatives, the first step's probe, done.
const PHASES: usize = 11;

impl OdeState {
    /// A state in the middle of a job, with a field of any bits now and then.
    pub fn of_input(input: &mut Input<'_>, batch: u64) -> Self {
        let mut config = input.config();
        if input.rarely(128) {
            config.sigma_max = 10.0;
        }
        let mut state = Self {
            config,
            seed: u64::from(input.u32()),
            stream: u64::from(input.byte()),
            batch,
            max_evaluations: if input.rarely(32) { u64::from(input.byte()) } else { 0 },
            evaluations: u64::from(input.byte()),
            accepted: 0,
            rejected: 0,
            part: if input.rarely(128) { input.below(3) as u64 } else { 0 },
            rtol: 1e-2,
            atol: 1e-2,
            max_step: f64::INFINITY,
            first_step: 0.0,
            difference: 0.01,
            u: 0.5,
            u_new: 0.45,
            h: -0.05,
            h_abs: 0.05,
            h0: 1e-3,
            d1: 1.0,
            noise: input.enumeration(),
            start: i32::from(input.rarely(32)),
            variable: input.value_of(2),
            direction: i32::from(input.rarely(64)),
            divergence: if input.rarely(128) { input.value_of(Divergence::ALL.len()) } else { 0 },
            probe: input.enumeration(),
            state_only: input.enumeration(),
            phase: input.value_of(PHASES),
            is_rejected: input.enumeration(),
            is_swapped: input.enumeration(),
        };
        if state.direction == 1 {
            (state.u_new, state.h) = (0.55, 0.05);
        }
        if input.rarely(64) {
            state.spoil(input);
        }
        state
    }

    /// Writes anything to one of the fields.
    pub fn spoil(&mut self, input: &mut Input<'_>) {
        match input.below(32) {
            0 => self.config = input.config(),
            1 => self.batch = u64::from(input.byte()),
            2 => self.batch = input.u64(),
            3 => self.max_evaluations = input.u64(),
            4 => self.evaluations = input.u64(),
            5 => self.part = input.u64(),
            6 => self.part = u64::from(input.byte() % 8),
            7 => self.rtol = input.double(),
            8 => self.atol = input.double(),
            9 => self.max_step = input.double(),
            10 => self.first_step = input.double(),
            11 => self.difference = input.double(),
            12 => self.u = input.double(),
            13 => self.u_new = input.double(),
            14 => self.h = input.double(),
            15 => self.h_abs = input.double(),
            16 => self.h0 = input.double(),
            17 => self.d1 = input.double(),
            18 => self.noise = input.enumeration(),
            19 => self.start = input.enumeration(),
            20 => self.variable = input.enumeration(),
            21 => self.direction = input.enumeration(),
            22 => self.divergence = input.value_of(Divergence::ALL.len()),
            23 => self.probe = input.enumeration(),
            24 => self.state_only = input.enumeration(),
            25 => self.is_rejected = input.enumeration(),
            26 => self.is_swapped = input.enumeration(),
            27 => self.accepted = u64::MAX,
            28 => self.rejected = u64::MAX,
            29 => (self.seed, self.stream) = (u64::MAX, u64::MAX),
            _ => self.phase = input.value_of(PHASES),
        }
    }

    pub fn bytes(&self) -> [u8; size_of::<Self>()] {
        // SAFETY: the struct has no padding.
        unsafe { std::mem::transmute(*self) }
    }
}

impl From<OdeState> for Ode {
    fn from(state: OdeState) -> Self {
        // SAFETY: the same fields in the same order, of which any bits are valid.
        unsafe { std::mem::transmute(state) }
    }
}

impl From<Ode> for OdeState {
    fn from(ode: Ode) -> Self {
        // SAFETY: as above.
        unsafe { std::mem::transmute(ode) }
    }
}

impl Input<'_> {
    /// Options of an ODE job, most of which have usual values.
    pub fn ode_options(&mut self) -> COdeOptions {
        let mut or_usual = |usual: &[f64]| if self.rarely(8) { self.double() } else { self.pick(usual) };
        let [rtol, atol] = [(); 2].map(|()| or_usual(&[0.1, 1e-2, 1e-3, 0.0]));
        let max_step = or_usual(&[0.0, 0.0, 0.3]);
        let [first_step, difference] = [or_usual(&[0.0, 0.0, 0.01]), or_usual(&[0.0])];
        COdeOptions {
            seed: u64::from(self.byte()),
            stream: if self.rarely(8) { u64::MAX } else { u64::from(self.byte()) },
            max_evaluations: if self.rarely(16) { u64::from(self.byte()) } else { 0 },
            rtol,
            atol,
            max_step,
            first_step,
            difference,
            noise: i32::from(self.rarely(100)),
            start: i32::from(self.rarely(32)),
            variable: i32::from(self.rarely(100)),
            direction: i32::from(self.rarely(100)),
            divergence: if self.rarely(160) { self.value_of(Divergence::ALL.len()) } else { 0 },
            probe: if self.rarely(100) { self.enumeration() } else { 0 },
            state_only: i32::from(self.rarely(100)),
            reserved: 0,
        }
    }
}
