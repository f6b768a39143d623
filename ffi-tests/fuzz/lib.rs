//! What the targets share: choices and numbers read from the fuzzer's bytes, and comparison of
//! floats.

use vesde::capi::{CRequest, RequestKind};
use vesde::{
    AnyGenerator, Averaging, Config, Counter, CudaGrid, Error, NORM_BLOCK, Norm, Numpy, Plan, Reduction,
    Request, Sampler, Schedule, TorchCpu, TorchCuda, corrector_step, mean_norm, sample_norm, sum_squares,
    torch_norm,
};

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

/// Where arithmetic changes its ways.
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

/// The same bits, or both not a number: of which operand a NaN's bits come is the compiler's
/// choice.
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

/// A linear combination in scalar code, and the same without noise and clamp.
pub fn scalar_linear(
    terms: &[(f32, &[f32])],
    noise: Option<(f32, &[f32])>,
    clamp: Option<(f32, f32)>,
) -> [Vec<f32>; 2] {
    let at = |i: usize| {
        let mean = terms.iter().map(|(a, x)| a * x[i]).reduce(|sum, x| sum + x);
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
    let len = terms.first().copied().or(noise).map_or(0, |(_, x)| x.len());
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
}

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
        };
        if input.rarely(64) {
            state.spoil(input);
        }
        state
    }

    /// Writes anything to one of the fields.
    pub fn spoil(&mut self, input: &mut Input<'_>) {
        match input.below(12) {
            0 => self.batch = input.u64(),
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
            _ => self.result = input.enumeration(),
        }
    }

    /// What the next call does, and what it asks for then: by the sampler's own plan, which a job's
    /// tests compare with the steps.
    pub fn plan(&self, schedule: &Schedule<'_>) -> Result<(Plan, Request, Self), Error> {
        let mut sampler = Sampler::from(*self);
        let (plan, request) = sampler.plan(schedule)?;
        Ok((plan, request, sampler.into()))
    }

    /// Whether vesde_sampler_init could have made the fields that do not change.
    pub fn is_valid(&self) -> bool {
        let Self { noise, averaging, norm, unclamped, result, start, .. } = *self;
        let choices = [noise, averaging, norm, unclamped, result, start];
        self.config.validate().is_ok() && self.batch > 0 && choices.iter().all(|x| (0..2).contains(x))
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
    /// All zeros: of counter noise.
    pub fn zero() -> Self {
        // SAFETY: any bits are valid.
        unsafe { std::mem::zeroed() }
    }

    /// What a draw is, in calls of the kind's own type for parts where the kind's draws have parts.
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

    /// What a draw of uniform numbers is, in calls for parts.
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

    /// What a draw of signs is: of the words that make uniform numbers, or of counter noise.
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
    let nothing =
        CRequest { kind: 0, correction: 0, step: 0, steps: 0, label: 0, draw: 0, sigma: 0.0, timestep: 0.0 };
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
        Request::Done => nothing,
    }
}
