//! Every function of vesde.h, one call an input, in memory of which every byte is compared and which AddressSanitizer, where it is
//! there, guards but for what the call was given. Pointers are NULL, misaligned, equal, partly overlapping or apart; lengths are zero, about
//! the edges of blocks, or beyond any memory; structs, enumerations and floats hold any bits.
//!
//! What a call must do is known twice over: which pointers it must refuse, from the header's rules (`Job::place` and `Kind`); and what else it
//! returns, from the Rust API or scalar code on copies of the inputs, on the baseline's vectors.

#![no_main]

use std::cell::RefCell;
use std::ffi::CStr;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use vesde::capi::*;
use vesde::{
    Config, CorrectorStep, Counter, CudaGrid, Error, Generator, NORM_BLOCK, Norm, Numpy, Plan, PredictorStep,
    Sampler, SamplerNoise, SamplerOptions, SamplerResult, Schedule, Scheduler, SimdLevel, TorchCpu,
    TorchCuda, Update, corrector_step, randn,
};
use vesde_fuzz::{
    Input, State, averaging, corrector_factors, noise_of, norm, patterns, request as request_of, same,
    same_double, scalar_update,
};

/// Each function of the header, by its name without `vesde_`.
macro_rules! functions {
    ($($name:ident)*) => {
        const FUNCTIONS: &[(&str, fn(&mut Job<'_>))] = &[$((concat!("vesde_", stringify!($name)), $name)),*];
        /// Calls that succeeded, and calls that were refused.
        static TALLY: [[AtomicU64; 2]; FUNCTIONS.len()] = [const { [const { AtomicU64::new(0) }; 2] }; FUNCTIONS.len()];
    };
}

functions! {
    version status_message simd_level limit_simd_level
    config_default config_validate config_from_json config_to_json init_noise_sigma
    set_timesteps set_sigmas get_timestep_index get_adjacent_sigma get_predictor_step
    step_pred step_pred_counter step_correct step_correct_counter add_noise add_noise_counter scale_model_input
    norm_blocks sum_squares sum_squares_counter sample_norm torch_norm torch_norm_counter mean_norm get_corrector_step
    update update_counter
    counter_fill torch_cpu_seed torch_cpu_fill
    cuda_grid_of_gpu torch_cuda_seed torch_cuda_fill torch_cuda_fill_part torch_cuda_skip
    numpy_seed numpy_fill
    sampler_init sampler_next sampler_plan
    float_environment_is_default
}

// ---- memory ----

/// Bytes that belong to nobody, before and behind the window in which buffers lie.
const MARGIN: usize = 256;
/// The window's bytes: as a rule, and for several blocks of norms and noise.
const SMALL: usize = 16 << 10;
const LARGE: usize = 192 << 10;
/// The longest buffer of floats in each.
const SHORT: usize = 400;
const LONG: usize = 8500;
/// The longest tables of a scheduler.
const MOST_STEPS: usize = 44;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

struct Arena {
    memory: *mut u8,
    before: Vec<u8>,
    patterns: Vec<Vec<f32>>,
    /// timesteps, sigmas and discrete_sigmas of every length.
    tables: Vec<[Vec<f32>; 3]>,
    torch_cpus: Vec<TorchCpu>,
    numpys: Vec<Numpy>,
}

const MEMORY: usize = LARGE + 2 * MARGIN;

thread_local! {
    static ARENA: RefCell<Arena> = RefCell::new(Arena::new());
}

impl Arena {
    fn new() -> Self {
        let memory = Box::leak(vec![Line([0; 64]); MEMORY / 64].into_boxed_slice());
        let tables = (0..=MOST_STEPS).map(|n| {
            let mut tables = [(); 3].map(|()| vec![0.0; n]);
            let [timesteps, sigmas, discrete_sigmas] = &mut tables;
            if n > 0 {
                vesde::set_timesteps(&Config::default(), timesteps).unwrap();
                vesde::set_sigmas(&Config::default(), timesteps, sigmas, discrete_sigmas).unwrap();
            }
            tables
        });
        // States before the first draw, with a cached normal, and anywhere among their words.
        let draws = [0, 1, 3, 15, 300];
        Self {
            memory: memory.as_mut_ptr().cast(),
            before: vec![0; MEMORY],
            patterns: patterns(MEMORY / 4 + 256),
            tables: tables.collect(),
            torch_cpus: draws.map(|n| advanced(TorchCpu::new(n), n)).to_vec(),
            numpys: draws.map(|n| advanced(Numpy::new(n as u32), n)).to_vec(),
        }
    }
}

fn advanced<G: Generator>(mut state: G, draws: u64) -> G {
    for _ in 0..draws {
        randn(std::slice::from_mut(&mut state), &mut [0.0]).unwrap();
    }
    state
}

/// What a pointer is for, and so what may lie on it.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A buffer that is read: an output may be the very same.
    In,
    /// A table or an object that is read: no output buffer may touch it.
    Apart,
    /// A scheduler or one of its tables: no output at all may touch it.
    Scheduler,
    /// A buffer that is not looked at in this call.
    Unused,
    /// A buffer that is written.
    Out,
    /// One object that is written last: it may lie on inputs.
    Last,
    /// A state that is changed: nothing may touch it.
    State,
}

#[derive(Clone, Copy)]
struct Region {
    kind: Kind,
    start: usize,
    bytes: usize,
}

impl Region {
    fn clashes(&self, other: &Self) -> bool {
        use Kind::*;
        if self.start >= other.start + other.bytes || other.start >= self.start + self.bytes {
            return false;
        }
        match (self.kind, other.kind) {
            (State, _) | (Out | Last, Out | Last) | (Out, Apart) | (Out | Last, Scheduler) => true,
            (Out, In) => self.start != other.start,
            (Out | Last, State) | (In | Apart | Scheduler | Unused, State | Out | Last) => {
                other.clashes(self)
            }
            _ => false,
        }
    }
}

/// `len` objects that a call is given.
struct Buffer<T> {
    ptr: *mut T,
    len: usize,
    start: usize,
    /// Whether there is memory at all.
    real: bool,
    holds: PhantomData<T>,
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Buffer<T> {}

impl<T: Copy> Buffer<T> {
    fn set(&self, i: usize, value: T) {
        if self.real && i < self.len {
            // SAFETY: a real buffer has memory in the arena for `len` objects.
            unsafe { self.ptr.add(i).write(value) }
        }
    }

    /// Copies of what it holds; of types for which any bits are valid.
    fn get(&self) -> Vec<T> {
        if !self.real {
            return Vec::new();
        }
        // SAFETY: as in `set`, and the arena is initialised.
        (0..self.len).map(|i| unsafe { self.ptr.add(i).read() }).collect()
    }

    fn one(&self) -> T {
        self.get()[0]
    }

    /// What it must hold after the call.
    fn becomes(&self, values: &[T]) -> Want {
        // SAFETY: the types that calls write have no padding.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        Want { start: self.start, bytes: bytes.to_vec(), float: 0 }
    }
}

impl Buffer<f32> {
    fn floats(&self, values: &[f32]) -> Want {
        Want { float: 4, ..self.becomes(values) }
    }

    fn floats_if_given(&self, values: &[f32]) -> Option<Want> {
        self.real.then(|| self.floats(values))
    }
}

impl Buffer<f64> {
    fn doubles(&self, values: &[f64]) -> Want {
        Want { float: 8, ..self.becomes(values) }
    }
}

/// Bytes of an output; `float` is the size of a number whose NaNs are all the same, or 0.
struct Want {
    start: usize,
    bytes: Vec<u8>,
    float: usize,
}

impl Want {
    fn is(&self, got: &[u8]) -> bool {
        let pairs = |size| self.bytes.chunks_exact(size).zip(got.chunks_exact(size));
        match self.float {
            0 => self.bytes == got,
            4 => pairs(4).all(|(a, b)| {
                same(f32::from_ne_bytes(a.try_into().unwrap()), f32::from_ne_bytes(b.try_into().unwrap()))
            }),
            _ => pairs(8).all(|(a, b)| {
                same_double(
                    f64::from_ne_bytes(a.try_into().unwrap()),
                    f64::from_ne_bytes(b.try_into().unwrap()),
                )
            }),
        }
    }
}

type Wants = Result<Vec<Want>, Error>;

// ---- one call ----

struct Job<'a> {
    input: Input<'a>,
    arena: &'a mut Arena,
    name: usize,
    /// By which of the patterns buffers are filled.
    pattern: usize,
    /// The window's bytes, and the longest buffer of floats in it.
    window: usize,
    most: usize,
    /// Where the next buffer lies if it lies apart, and the end of all that has been placed.
    next: usize,
    end: usize,
    regions: Vec<Region>,
    /// Statuses that pointers and lengths call for, a bit each.
    faults: u64,
}

/// Errors that nothing but pointers and room calls for.
const POINTER_ERRORS: [Error; 4] =
    [Error::NullPointer, Error::Misaligned, Error::Overlap, Error::BufferTooSmall];

impl<'a> Job<'a> {
    fn new(data: &'a [u8], arena: &'a mut Arena) -> Self {
        // The function's name and a new line come first; of a name that nobody has, the sum of its bytes says which.
        let (called, rest) = match data.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&data[..end], &data[end + 1..]),
            None => data.split_at(data.len().min(1)),
        };
        let is_called = |(name, _): &(&str, fn(&mut Job<'_>))| name["vesde_".len()..].as_bytes() == called;
        let sum = called.iter().map(|&byte| usize::from(byte)).sum::<usize>();
        let name = FUNCTIONS.iter().position(is_called).unwrap_or(sum % FUNCTIONS.len());
        let mut input = Input(rest);
        let shape = input.byte();
        let (window, most) = if shape < 248 { (SMALL, SHORT) } else { (LARGE, LONG) };
        let pattern = usize::from(shape) % arena.patterns.len();
        let regions = Vec::with_capacity(10);
        Self { input, arena, name, pattern, window, most, next: 0, end: 0, regions, faults: 0 }
    }

    fn fault(&mut self, error: Error) {
        self.faults |= 1 << -(error as i32);
    }

    /// A length of what has elements of `size` bytes at least: usual, about an edge, zero, or of more bytes than there can be.
    fn length(&mut self, size: usize, most: usize) -> usize {
        let len = match self.input.byte() {
            usual @ 0..160 => usize::from(usual) + 1,
            160..200 => self.input.pick(&[1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 192, 256, 320, 511, 512]),
            200..232 => {
                self.input.pick(&[1023, 1024, 1025, 2048, 4095, 4096, 4097, 8191, 8192, 8193, 10_000])
            }
            232..244 => 0,
            _ => {
                let more = usize::from(self.input.byte());
                return if more % 2 == 0 { isize::MAX as usize / size + 1 + more } else { usize::MAX - more };
            }
        };
        len.min(most)
    }

    /// A count of samples, or of what each has one of.
    fn count(&mut self, most: usize) -> usize {
        let count = match self.input.byte() {
            0..120 => 1,
            few @ 120..220 => usize::from(few % 8) + 1,
            220..236 => 100 + usize::from(self.input.byte()),
            236..246 => 0,
            _ => isize::MAX as usize + 1 + usize::from(self.input.byte()),
        };
        if count > isize::MAX as usize { count } else { count.min(most) }
    }

    /// The length of a buffer of floats, and a count that mostly divides it.
    fn batch(&mut self, most_samples: usize) -> (usize, usize) {
        let count = self.count(most_samples);
        let len = self.length(4, self.most);
        if count == 0 || count > isize::MAX as usize || len == 0 || len > self.most {
            return (len, count);
        }
        let len = (len / count).max(1) * count + usize::from(self.input.rarely(16));
        (if len <= self.most { len } else { count.min(self.most) }, count)
    }

    /// Room for `len` objects.
    fn place<T>(&mut self, kind: Kind, len: usize) -> Buffer<T> {
        self.place_or_null(kind, len, false)
    }

    /// The output of a draw. That of nothing may be anywhere, and is not looked at.
    fn place_drawn(&mut self, len: usize) -> Buffer<f32> {
        let (faults, regions) = (self.faults, self.regions.len());
        let at = self.place(Kind::Out, len);
        if len == 0 {
            self.faults = faults;
            self.regions.truncate(regions);
        }
        at
    }

    fn place_or_null<T>(&mut self, kind: Kind, len: usize, may_be_null: bool) -> Buffer<T> {
        let (size, align) = (size_of::<T>(), align_of::<T>());
        let huge = len > isize::MAX as usize / size;
        let bytes = if huge { 0 } else { len * size };
        assert!(bytes <= self.window);
        let last = (self.window - bytes) / align * align;
        let choice = self.input.byte();
        let fresh = self.next.next_multiple_of(align) + usize::from(choice % 8) * align;
        let other = if self.regions.is_empty() { 0 } else { self.input.0.len() % self.regions.len() };
        let mut start = match (choice, self.regions.get(other).copied()) {
            (160..190, Some(other)) => other.start,
            (190..236, Some(other)) => {
                let (own, its, one) = (bytes as isize, other.bytes as isize, align as isize);
                let far = isize::from(self.input.byte() as i8) * one;
                let shift =
                    self.input.pick(&[-own, one - own, -one, one, its - one, its, far, far, its - own]);
                other.start.saturating_add_signed(shift)
            }
            _ => fresh,
        };
        start = (start / align * align).min(last);
        let is_null = (236..246).contains(&choice);
        let misaligned = choice >= 246 && align > 1;
        if misaligned {
            start += 1 + usize::from(choice) % (align - 1);
        }
        if is_null && !may_be_null {
            self.fault(Error::NullPointer);
        }
        if misaligned {
            self.fault(Error::Misaligned);
        }
        if huge && !is_null {
            self.fault(Error::TooLarge);
        }
        if len == 0 && !(is_null && may_be_null) {
            self.fault(Error::Empty);
        }
        if is_null {
            return Buffer { ptr: std::ptr::null_mut(), len, start, real: false, holds: PhantomData };
        }
        self.next = if start + bytes < self.window { self.next.max(start + bytes) } else { 0 };
        self.end = self.end.max(start + bytes);
        self.regions.push(Region { kind, start, bytes });
        let pattern = self.arena.patterns[self.pattern][usize::from(choice)..].as_ptr().cast::<u8>();
        // SAFETY: the window and its margins are in the memory, and patterns are longer.
        let ptr = unsafe {
            let ptr = self.arena.memory.add(MARGIN + start);
            ptr.copy_from_nonoverlapping(pattern, bytes);
            ptr.cast()
        };
        Buffer { ptr, len, start, real: !misaligned && !huge, holds: PhantomData }
    }

    fn object<T: Copy>(&mut self, kind: Kind, value: T) -> Buffer<T> {
        let at = self.place(kind, 1);
        at.set(0, value);
        at
    }

    /// A buffer of bytes.
    fn text(&mut self, bytes: &[u8]) -> Buffer<u8> {
        let len = if self.input.rarely(10) { isize::MAX as usize + 1 } else { bytes.len() };
        let at = self.place(Kind::In, len);
        for (i, &byte) in bytes.iter().enumerate() {
            at.set(i, byte);
        }
        at
    }

    /// One of a few texts, with bytes of it changed now and then.
    fn mutated(&mut self, texts: &[&str]) -> Vec<u8> {
        let mut text = self.input.pick(texts).as_bytes().to_vec();
        while self.input.rarely(64) && !text.is_empty() {
            let at = self.input.below(text.len());
            text[at] = self.input.byte();
        }
        if self.input.rarely(40) {
            text.truncate(self.input.below(text.len() + 1));
        }
        text
    }

    fn timestep(&mut self) -> f32 {
        if self.input.rarely(64) { self.input.float() } else { f32::from(self.input.byte()) / 255.0 }
    }

    /// Changes up to three of a buffer's values.
    fn patch<T: Copy>(&mut self, at: &Buffer<T>, value: impl Fn(&mut Input<'a>) -> T) {
        for _ in 0..3 {
            if self.input.rarely(24) {
                let i = self.input.below(at.len.clamp(1, 256));
                at.set(i, value(&mut self.input));
            }
        }
    }

    fn table(&mut self, which: usize, len: usize) -> Buffer<f32> {
        let at = self.place_or_null(Kind::Scheduler, len, len == 0);
        if len <= MOST_STEPS {
            for i in 0..len {
                at.set(i, self.arena.tables[len][which][i]);
            }
            self.patch(&at, Input::float);
        }
        at
    }

    /// A scheduler and its tables. To be placed last: other content must not lie on its pointers.
    fn scheduler(&mut self) -> SchedulerAt {
        let steps = self.input.below(20) + 1;
        let mut lens = [steps; 3];
        if self.input.rarely(80) {
            lens[self.input.below(3)] = self.length(4, MOST_STEPS);
        }
        let [a, b, c] = lens;
        let tables = [self.table(0, a), self.table(1, b), self.table(2, c)];
        let [timesteps, sigmas, discrete_sigmas] = tables;
        let config = self.input.config();
        let object = CScheduler {
            config,
            timesteps: timesteps.ptr,
            timesteps_len: timesteps.len,
            sigmas: sigmas.ptr,
            sigmas_len: sigmas.len,
            discrete_sigmas: discrete_sigmas.ptr,
            discrete_sigmas_len: discrete_sigmas.len,
        };
        SchedulerAt { ptr: self.object(Kind::Scheduler, object).ptr, config, tables }
    }

    /// Makes the call, and checks all that it did. `reference` is asked first, unless pointers and lengths forbid the call.
    fn call(&mut self, reference: impl FnOnce() -> Wants, call: impl FnOnce() -> vesde_status) {
        let name = FUNCTIONS[self.name].0;
        let pairs = || (1..self.regions.len()).flat_map(|i| (0..i).map(move |k| (i, k)));
        if pairs().any(|(i, k)| self.regions[i].clashes(&self.regions[k])) {
            self.fault(Error::Overlap);
        }
        let active = self.end + 2 * MARGIN;
        // SAFETY: no reference to the memory is alive, and `active` ≤ MEMORY.
        let memory = || unsafe { std::slice::from_raw_parts(self.arena.memory, active) };
        self.arena.before[..active].copy_from_slice(memory());
        let want = (self.faults == 0).then(|| {
            vesde::limit_simd_level(SimdLevel::Baseline);
            reference()
        });
        vesde::limit_simd_level(SimdLevel::Avx512);
        guard(self.arena.memory, &self.regions);
        let status = call();
        unguard(self.arena.memory);
        TALLY[self.name][usize::from(status != VESDE_OK)].fetch_add(1, Ordering::Relaxed);
        let before = &mut self.arena.before[..active];
        let error = Error::ALL.iter().find(|&&error| error as i32 == status);
        match want {
            None => {
                let error =
                    error.unwrap_or_else(|| panic!("{name}: status {status}, faults {:b}", self.faults));
                let known = !POINTER_ERRORS.contains(error) || self.faults >> -(*error as i32) & 1 == 1;
                assert!(known, "{name}: {error:?}, faults {:b}", self.faults);
            }
            Some(Err(wanted)) => assert_eq!(error, Some(&wanted), "{name}"),
            Some(Ok(wants)) => {
                assert_eq!(status, VESDE_OK, "{name}: {error:?}");
                for want in wants {
                    let range = MARGIN + want.start..MARGIN + want.start + want.bytes.len();
                    let got = &memory()[range.clone()];
                    assert!(want.is(got), "{name}: wanted {:?}, got {got:?}", want.bytes);
                    before[range].copy_from_slice(got);
                }
            }
        }
        if *before != *memory() {
            let at = before.iter().zip(memory()).position(|(a, b)| a != b).unwrap_or_default();
            panic!("{name}: wrote at {} of {} ({error:?})", at as isize - MARGIN as isize, self.window);
        }
    }

    /// Checks a call that has neither pointers nor a status.
    fn plain<T: PartialEq + Debug>(&self, got: T, want: T) {
        assert_eq!(got, want, "{}", FUNCTIONS[self.name].0);
        TALLY[self.name][0].fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy)]
struct SchedulerAt {
    ptr: *const CScheduler,
    config: Config,
    tables: [Buffer<f32>; 3],
}

impl SchedulerAt {
    /// Calls `f` with the Rust object, on copies.
    fn with<R>(&self, f: impl FnOnce(&Scheduler<'_>) -> R) -> R {
        let [timesteps, sigmas, discrete_sigmas] = self.tables.map(|table| table.get());
        let schedule = Schedule { timesteps: &timesteps, sigmas: &sigmas, discrete_sigmas: &discrete_sigmas };
        f(&Scheduler { config: self.config, schedule })
    }
}

#[cfg(poison)]
unsafe extern "C" {
    fn __asan_poison_memory_region(at: *const u8, bytes: usize);
    fn __asan_unpoison_memory_region(at: *const u8, bytes: usize);
}

/// Lets AddressSanitizer report every access to the memory but the regions'.
#[cfg(poison)]
fn guard(memory: *mut u8, regions: &[Region]) {
    // SAFETY: the memory is MEMORY bytes, and regions lie in its window.
    unsafe {
        __asan_poison_memory_region(memory, MEMORY);
        for region in regions {
            __asan_unpoison_memory_region(memory.add(MARGIN + region.start), region.bytes);
        }
    }
}

#[cfg(poison)]
fn unguard(memory: *mut u8) {
    // SAFETY: as above.
    unsafe { __asan_unpoison_memory_region(memory, MEMORY) }
}

#[cfg(not(poison))]
fn guard(_: *mut u8, _: &[Region]) {}
#[cfg(not(poison))]
fn unguard(_: *mut u8) {}

// ---- the functions, in the header's order ----

fn version(job: &mut Job<'_>) {
    job.plain(vesde_version(), VESDE_VERSION_MAJOR << 16 | VESDE_VERSION_MINOR << 8 | VESDE_VERSION_PATCH);
}

fn status_message(job: &mut Job<'_>) {
    let status =
        if job.input.rarely(64) { job.input.u32() as i32 } else { -i32::from(job.input.byte() % 70) };
    // SAFETY: the message is a C string, as documented.
    let got = unsafe { CStr::from_ptr(vesde_status_message(status)) }.to_str().unwrap();
    let error = Error::ALL.iter().find(|&&error| error as i32 == status);
    let unknown = if status == VESDE_OK { "success" } else { "unknown status" };
    job.plain(got, error.map_or(unknown, |error| error.message()));
}

fn float_environment_is_default(job: &mut Job<'_>) {
    job.plain(vesde_float_environment_is_default(), 1);
}

fn simd_level(job: &mut Job<'_>) {
    job.plain(vesde_simd_level(), vesde::simd_level() as i32);
}

fn limit_simd_level(job: &mut Job<'_>) {
    let highest = job.input.enumeration();
    let known = (0..=SimdLevel::Avx512 as i32).contains(&highest);
    job.call(
        || if known { Ok(vec![]) } else { Err(Error::UnknownEnum) },
        || {
            let status = vesde_limit_simd_level(highest);
            assert!(!known || vesde_simd_level() <= highest);
            status
        },
    );
}

fn config_default(job: &mut Job<'_>) {
    let out = job.place(Kind::Last, 1);
    // SAFETY: `place` keeps the caller's promise, here and in all calls below.
    job.call(|| Ok(vec![out.becomes(&[Config::default()])]), || unsafe { vesde_config_default(out.ptr) });
}

fn config_validate(job: &mut Job<'_>) {
    let config = job.input.config();
    let config = job.object(Kind::Apart, config);
    // SAFETY: see config_default.
    job.call(|| config.one().validate().map(|()| vec![]), || unsafe { vesde_config_validate(config.ptr) });
}

fn config_from_json(job: &mut Job<'_>) {
    let json = job.mutated(&[
        "{}",
        r#"{"_class_name": "ScoreSdeVeScheduler", "snr": 0.25, "correct_steps": 2, "u": [1, {"a": null}]}"#,
        r#"{"sigma_min": 2e-2, "sigma_max": 50.5, "sampling_eps": 1E-05, "num_train_timesteps": 1000}"#,
    ]);
    let json = job.text(&json);
    let out = job.place(Kind::Last, 1);
    job.call(
        || Ok(vec![out.becomes(&[Config::from_json(&json.get())?])]),
        // SAFETY: see config_default.
        || unsafe { vesde_config_from_json(json.ptr.cast(), json.len, out.ptr) },
    );
}

fn config_to_json(job: &mut Job<'_>) {
    let config = job.input.config();
    let capacity = job.length(1, 600);
    let json = job.place::<u8>(Kind::Out, capacity);
    let json_len = job.place(Kind::Last, 1);
    let config = job.object(Kind::Apart, config);
    job.call(
        || {
            let mut text = [0; 512];
            let len = config.one().to_json(&mut text)?;
            if len > capacity {
                return Err(Error::BufferTooSmall);
            }
            Ok(vec![json.becomes(&text[..len]), json_len.becomes(&[len])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_config_to_json(config.ptr, json.ptr.cast(), capacity, json_len.ptr) },
    );
}

fn init_noise_sigma(job: &mut Job<'_>) {
    let config = job.input.config();
    let config = job.object(Kind::Apart, config);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let config = config.one();
            config.validate()?;
            Ok(vec![out.floats(&[config.sigma_max as f32])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_init_noise_sigma(config.ptr, out.ptr) },
    );
}

fn set_timesteps(job: &mut Job<'_>) {
    let len = job.length(4, job.most);
    let config = job.input.config();
    let out = job.place(Kind::Out, len);
    let config = job.object(Kind::Apart, config);
    job.call(
        || {
            let mut timesteps = vec![0.0; len];
            vesde::set_timesteps(&config.one(), &mut timesteps)?;
            Ok(vec![out.floats(&timesteps)])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_set_timesteps(config.ptr, len, out.ptr) },
    );
}

fn set_sigmas(job: &mut Job<'_>) {
    let [len, discrete_len] = [(); 2].map(|()| job.length(4, job.most / 4));
    let config = job.input.config();
    let timesteps = job.place(Kind::In, len);
    for i in 0..len.min(job.most) {
        timesteps.set(i, 1.0 - i as f32 / len as f32);
    }
    job.patch(&timesteps, Input::float);
    let sigmas = job.place(Kind::Out, len);
    let discrete_sigmas = job.place(Kind::Out, discrete_len);
    // An output may be the timesteps, but not discrete_sigmas.
    if let [timesteps, .., discrete_sigmas] = job.regions[..]
        && discrete_sigmas.start == timesteps.start
        && timesteps.bytes > 0
        && discrete_sigmas.bytes > 0
        && timesteps.kind == Kind::In
    {
        job.fault(Error::Overlap);
    }
    let config = job.object(Kind::Apart, config);
    job.call(
        || {
            let (mut a, mut b) = (vec![0.0; len], vec![0.0; discrete_len]);
            vesde::set_sigmas(&config.one(), &timesteps.get(), &mut a, &mut b)?;
            Ok(vec![sigmas.floats(&a), discrete_sigmas.floats(&b)])
        },
        // SAFETY: see config_default.
        || unsafe {
            vesde_set_sigmas(config.ptr, timesteps.ptr, len, discrete_len, sigmas.ptr, discrete_sigmas.ptr)
        },
    );
}

fn get_timestep_index(job: &mut Job<'_>) {
    let timestep = job.timestep();
    let out = job.place(Kind::Last, 1);
    let scheduler = job.scheduler();
    job.call(
        || Ok(vec![out.becomes(&[scheduler.with(|s| s.schedule.index(timestep))?])]),
        // SAFETY: see config_default.
        || unsafe { vesde_get_timestep_index(scheduler.ptr, timestep, out.ptr) },
    );
}

fn get_adjacent_sigma(job: &mut Job<'_>) {
    let index = if job.input.rarely(40) { job.input.u64() as usize } else { job.input.below(24) };
    let out = job.place(Kind::Last, 1);
    let scheduler = job.scheduler();
    job.call(
        || Ok(vec![out.floats(&[scheduler.with(|s| s.schedule.adjacent_sigma(index))?])]),
        // SAFETY: see config_default.
        || unsafe { vesde_get_adjacent_sigma(scheduler.ptr, index, out.ptr) },
    );
}

fn get_predictor_step(job: &mut Job<'_>) {
    let timestep = job.timestep();
    let out = job.place(Kind::Last, 1);
    let scheduler = job.scheduler();
    job.call(
        || {
            let step = scheduler.with(|s| s.schedule.predictor_step(timestep))?;
            assert!(step.diffusion >= 0.0 && step.drift.is_finite());
            Ok(vec![out.becomes(&[PredictorStep { ..step }])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_get_predictor_step(scheduler.ptr, timestep, out.ptr) },
    );
}

/// The noise of a step, given or made; where it is given and its pointer NULL, none.
#[derive(Clone, Copy)]
enum Noise {
    Given(Buffer<f32>),
    Made(Counter),
}

impl Noise {
    fn new(job: &mut Job<'_>, len: usize, is_given: bool, may_be_null: bool) -> Self {
        if is_given {
            Self::Given(job.place_or_null(Kind::In, len, may_be_null))
        } else {
            Self::Made(job.input.counter())
        }
    }

    fn get(&self, len: usize) -> Result<Option<Vec<f32>>, Error> {
        match self {
            Self::Given(noise) if noise.ptr.is_null() => Ok(None),
            Self::Given(noise) => Ok(Some(noise.get())),
            Self::Made(counter) => noise_of(*counter, len).map(Some),
        }
    }
}

/// Noise in memory, or none, for the Rust API.
fn given(noise: Option<&Vec<f32>>) -> vesde::Noise<'_> {
    noise.map_or(vesde::Noise::None, |noise| vesde::Noise::Given(noise))
}

/// The buffers of a step.
#[derive(Clone, Copy)]
struct Step {
    len: usize,
    model_output: Buffer<f32>,
    sample: Buffer<f32>,
    noise: Noise,
    prev_sample: Buffer<f32>,
    prev_sample_mean: Buffer<f32>,
}

impl Step {
    fn new(job: &mut Job<'_>, len: usize, is_given: bool, may_lack_noise: bool) -> Self {
        let [model_output, sample] = [(); 2].map(|()| job.place(Kind::In, len));
        let noise = Noise::new(job, len, is_given, may_lack_noise);
        let prev_sample = job.place(Kind::Out, len);
        let prev_sample_mean = job.place_or_null(Kind::Out, len, len != 0);
        Self { len, model_output, sample, noise, prev_sample, prev_sample_mean }
    }

    /// What the Rust API does with the same step on copies, and with noise from memory; and its factors' scalar arithmetic, per sample.
    fn reference(
        &self,
        run: impl FnOnce(&[f32], Update<'_>, vesde::Noise<'_>) -> Result<(), Error>,
        factors: impl FnOnce(&[f32], &[f32]) -> Result<Vec<(f32, f32)>, Error>,
    ) -> Wants {
        let (m, x, z) = (self.model_output.get(), self.sample.get(), self.noise.get(self.len)?);
        let [mut prev, mut mean] = [(); 2].map(|()| vec![0.0; self.len]);
        run(&m, Update::new(&x, &mut prev).with_mean(&mut mean), given(z.as_ref()))?;
        if z.is_none() {
            assert!(prev.iter().zip(&mean).all(|(&a, &b)| same(a, b)), "prev_sample is not its mean");
        }
        // Without noise its factors are 0, whose sign then counts for the sign of a zero.
        let z = z.unwrap_or_else(|| vec![0.0; self.len]);
        let factors = factors(&m, &z)?;
        let per_sample = self.len / factors.len();
        for (i, &(drift, diffusion)) in factors.iter().enumerate() {
            let part = i * per_sample..(i + 1) * per_sample;
            let [a, b] =
                scalar_update(&x[part.clone()], &m[part.clone()], &z[part.clone()], drift, diffusion);
            let equal = |(a, b): (&f32, &f32)| same(*a, *b) || (diffusion == 0.0 && a == b);
            assert!(a.iter().zip(&prev[part.clone()]).all(equal), "not the scalar prev_sample");
            assert!(b.iter().zip(&mean[part]).all(|(&a, &b)| same(a, b)), "not the scalar prev_sample_mean");
        }
        let wants = [Some(self.prev_sample.floats(&prev)), self.prev_sample_mean.floats_if_given(&mean)];
        Ok(wants.into_iter().flatten().collect())
    }
}

fn step_pred(job: &mut Job<'_>) {
    step_pred_with(job, true);
}

fn step_pred_counter(job: &mut Job<'_>) {
    step_pred_with(job, false);
}

fn step_pred_with(job: &mut Job<'_>, is_given: bool) {
    let (len, count) = job.batch(355);
    let timesteps = job.place(Kind::Apart, count);
    for i in 0..count.min(355) {
        timesteps.set(i, (i % 20) as f32 / 20.0);
    }
    job.patch(&timesteps, Input::float);
    let step = Step::new(job, len, is_given, true);
    let s = job.scheduler();
    let reference = || {
        s.with(|s| {
            let t = timesteps.get();
            let factors = |_: &[f32], _: &[f32]| {
                t.iter()
                    .map(|&t| s.schedule.predictor_step(t).map(|step| (step.drift, step.diffusion)))
                    .collect()
            };
            step.reference(|m, update, z| s.step_pred(m, &t, update, z), factors)
        })
    };
    let (m, t, x) = (step.model_output.ptr, timesteps.ptr, step.sample.ptr);
    let (prev, mean) = (step.prev_sample.ptr, step.prev_sample_mean.ptr);
    // SAFETY: see config_default.
    job.call(reference, || unsafe {
        match step.noise {
            Noise::Given(z) => vesde_step_pred(s.ptr, m, t, count, x, z.ptr, len, prev, mean),
            Noise::Made(z) => vesde_step_pred_counter(s.ptr, m, t, count, x, len, z, prev, mean),
        }
    });
}

fn step_correct(job: &mut Job<'_>) {
    step_correct_with(job, true);
}

fn step_correct_counter(job: &mut Job<'_>) {
    step_correct_with(job, false);
}

fn step_correct_with(job: &mut Job<'_>, is_given: bool) {
    let (len, batch) = job.batch(355);
    let (how, kind) = (job.input.enumeration(), job.input.enumeration());
    let step = Step::new(job, len, is_given, false);
    let s = job.scheduler();
    let reference = || {
        let (averaging, kind) = (averaging(how)?, norm(kind)?);
        let factors = |m: &[f32], z: &[f32]| corrector_factors(s.config.snr, m, z, batch, (averaging, kind));
        s.with(|s| {
            step.reference(|m, update, z| s.step_correct(m, batch, averaging, kind, update, z), factors)
        })
    };
    let (m, x) = (step.model_output.ptr, step.sample.ptr);
    let (prev, mean) = (step.prev_sample.ptr, step.prev_sample_mean.ptr);
    // SAFETY: see config_default.
    job.call(reference, || unsafe {
        match step.noise {
            Noise::Given(z) => vesde_step_correct(s.ptr, m, x, z.ptr, len, batch, how, kind, prev, mean),
            Noise::Made(z) => vesde_step_correct_counter(s.ptr, m, x, len, batch, how, kind, z, prev, mean),
        }
    });
}

fn add_noise(job: &mut Job<'_>) {
    add_noise_with(job, true);
}

fn add_noise_counter(job: &mut Job<'_>) {
    add_noise_with(job, false);
}

fn add_noise_with(job: &mut Job<'_>, is_given: bool) {
    let (len, count) = job.batch(355);
    let indices = job.place(Kind::Apart, count);
    let range = job.input.below(20) + 1;
    for i in 0..count.min(355) {
        indices.set(i, (i % range) as i64);
    }
    job.patch(&indices, |input| input.u64() as i64);
    let x = job.place(Kind::In, len);
    let noise = Noise::new(job, len, is_given, true);
    let out = job.place(Kind::Out, len);
    let s = job.scheduler();
    let reference = || {
        s.with(|s| {
            let (x, indices, z) = (x.get(), indices.get(), noise.get(len)?);
            let mut noisy = vec![0.0; len];
            s.add_noise(&x, &indices, given(z.as_ref()), &mut noisy)?;
            for (i, noisy) in noisy.iter().enumerate() {
                let sigma = s.schedule.discrete_sigmas[indices[i / (len / count)] as usize];
                let scalar = z.as_ref().map_or(x[i], |z| sigma * z[i] + x[i]);
                assert!(same(*noisy, scalar), "not the scalar noisy_samples");
            }
            Ok(vec![out.floats(&noisy)])
        })
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe {
        match noise {
            Noise::Given(z) => vesde_add_noise(s.ptr, x.ptr, indices.ptr, count, z.ptr, len, out.ptr),
            Noise::Made(z) => vesde_add_noise_counter(s.ptr, x.ptr, indices.ptr, count, len, z, out.ptr),
        }
    });
}

fn scale_model_input(job: &mut Job<'_>) {
    let len = job.length(4, job.most);
    let [x, out] = [Kind::In, Kind::Out].map(|kind| job.place::<f32>(kind, len));
    job.call(
        || {
            let mut scaled = vec![0.0; len];
            vesde::scale_model_input(&x.get(), &mut scaled)?;
            assert!(scaled.iter().zip(x.get()).all(|(&a, b)| same(a, b)));
            Ok(vec![out.floats(&scaled)])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_scale_model_input(x.ptr, len, out.ptr) },
    );
}

fn norm_blocks(job: &mut Job<'_>) {
    let len = if job.input.rarely(80) { job.input.u64() as usize } else { job.length(4, job.most) };
    job.plain(vesde_norm_blocks(len), len / VESDE_NORM_BLOCK + usize::from(len % VESDE_NORM_BLOCK != 0));
}

/// As many blocks as the floats have, or another number.
fn blocks(job: &mut Job<'_>, len: usize) -> (usize, Buffer<f64>) {
    let blocks_len = if job.input.rarely(32) { job.length(8, 8) } else { len.div_ceil(NORM_BLOCK) };
    let blocks_len = if blocks_len > isize::MAX as usize / 8 { blocks_len } else { blocks_len.min(8) };
    (blocks_len, job.place(Kind::Out, blocks_len))
}

/// The sums of squares in scalar code: element i of a block goes to lane i mod 32, and then the lanes are added.
fn scalar_sums(x: &[f32]) -> Vec<f64> {
    let sum = |block: &[f32]| {
        let mut lanes = [0.0; 32];
        for (i, &x) in block.iter().enumerate() {
            lanes[i % 32] += f64::from(x) * f64::from(x);
        }
        lanes.iter().fold(0.0, |total, lane| total + lane)
    };
    x.chunks(NORM_BLOCK).map(sum).collect()
}

fn sum_squares(job: &mut Job<'_>) {
    let len = job.length(4, job.most);
    let x = job.place::<f32>(Kind::Apart, len);
    let (blocks_len, blocks) = blocks(job, len);
    job.call(
        || {
            if blocks_len != len.div_ceil(NORM_BLOCK) {
                return Err(Error::LengthMismatch);
            }
            Ok(vec![blocks.doubles(&scalar_sums(&x.get()))])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_sum_squares(x.ptr, len, blocks_len, blocks.ptr) },
    );
}

/// A length that no buffer has: it must not be so long that a call takes forever.
fn length_of_nothing(job: &mut Job<'_>) -> usize {
    let len = job.length(4, job.most);
    if len == 0 {
        job.fault(Error::Empty);
    }
    if len > isize::MAX as usize / 4 {
        job.fault(Error::TooLarge);
    }
    len
}

fn sum_squares_counter(job: &mut Job<'_>) {
    let len = length_of_nothing(job);
    let x = job.input.counter();
    let (blocks_len, blocks) = blocks(job, len);
    job.call(
        || {
            let x = noise_of(x, len)?;
            if blocks_len != len.div_ceil(NORM_BLOCK) {
                return Err(Error::LengthMismatch);
            }
            Ok(vec![blocks.doubles(&scalar_sums(&x))])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_sum_squares_counter(x, len, blocks_len, blocks.ptr) },
    );
}

fn sample_norm(job: &mut Job<'_>) {
    let len = job.length(8, 64);
    let blocks = job.place::<f64>(Kind::In, len);
    let out = job.place(Kind::Last, 1);
    job.call(
        || Ok(vec![out.doubles(&[blocks.get().iter().fold(0.0, |total, x| total + x).sqrt()])]),
        // SAFETY: see config_default.
        || unsafe { vesde_sample_norm(blocks.ptr, len, out.ptr) },
    );
}

fn torch_norm(job: &mut Job<'_>) {
    let len = job.length(4, job.most);
    let x = job.place(Kind::In, len);
    let out = job.place(Kind::Last, 1);
    job.call(
        || Ok(vec![out.doubles(&[vesde::torch_norm(&x.get())?])]),
        // SAFETY: see config_default.
        || unsafe { vesde_torch_norm(x.ptr, len, out.ptr) },
    );
}

fn torch_norm_counter(job: &mut Job<'_>) {
    let len = length_of_nothing(job);
    let x = job.input.counter();
    let out = job.place(Kind::Last, 1);
    job.call(
        || Ok(vec![out.doubles(&[vesde::torch_norm(&noise_of(x, len)?)?])]),
        // SAFETY: see config_default.
        || unsafe { vesde_torch_norm_counter(x, len, out.ptr) },
    );
}

fn mean_norm(job: &mut Job<'_>) {
    let (len, kind) = (job.length(8, 300), job.input.enumeration());
    let norms = job.place(Kind::In, len);
    job.patch(&norms, Input::double);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let norms = norms.get();
            let mean = vesde::mean_norm(&norms, norm(kind)?)?;
            if kind == Norm::Exact as i32 {
                assert!(same_double(mean, norms.iter().fold(0.0, |a, b| a + b) / len as f64));
            }
            Ok(vec![out.doubles(&[mean])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_mean_norm(norms.ptr, len, kind, out.ptr) },
    );
}

fn get_corrector_step(job: &mut Job<'_>) {
    let [snr, grad, noise] = [(); 3]
        .map(|()| if job.input.rarely(60) { job.input.double() } else { f64::from(job.input.byte()) / 4.0 });
    let kind = job.input.enumeration();
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let step = corrector_step(snr, grad, noise, norm(kind)?)?;
            assert!(step.step_size.is_finite() && step.noise_factor.is_finite());
            Ok(vec![out.becomes(&[CorrectorStep { ..step }])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_get_corrector_step(snr, grad, noise, kind, out.ptr) },
    );
}

fn update(job: &mut Job<'_>) {
    update_with(job, true);
}

fn update_counter(job: &mut Job<'_>) {
    update_with(job, false);
}

fn update_with(job: &mut Job<'_>, is_given: bool) {
    let (drift, diffusion) = (job.input.float(), job.input.float());
    let len = job.length(4, job.most);
    let step = Step::new(job, len, is_given, true);
    let factors = |_: &[f32], _: &[f32]| Ok(vec![(drift, diffusion)]);
    let reference =
        || step.reference(|m, buffers, z| vesde::update(m, drift, diffusion, buffers, z), factors);
    let (m, x) = (step.model_output.ptr, step.sample.ptr);
    let (prev, mean) = (step.prev_sample.ptr, step.prev_sample_mean.ptr);
    // SAFETY: see config_default.
    job.call(reference, || unsafe {
        match step.noise {
            Noise::Given(z) => vesde_update(drift, diffusion, m, x, z.ptr, len, prev, mean),
            Noise::Made(z) => vesde_update_counter(drift, diffusion, m, x, len, z, prev, mean),
        }
    });
}

fn counter_fill(job: &mut Job<'_>) {
    let (noise, len) = (job.input.counter(), job.length(4, job.most));
    let out = job.place_drawn(len);
    job.call(
        || Ok(vec![out.floats(&noise_of(noise, len)?)]),
        // SAFETY: see config_default.
        || unsafe { vesde_counter_fill(noise, len, out.ptr) },
    );
}

fn torch_cpu_seed(job: &mut Job<'_>) {
    let seed = job.input.u64();
    let out = job.place(Kind::Last, 1);
    // torch takes the lower 32 bits.
    let wanted = TorchCpu::new(seed & 0xffff_ffff);
    // SAFETY: see config_default.
    job.call(|| Ok(vec![out.becomes(&[wanted])]), || unsafe { vesde_torch_cpu_seed(out.ptr, seed) });
}

fn torch_cpu_fill(job: &mut Job<'_>) {
    let fill = |states: &mut [TorchCpu], out: &mut [f32]| randn(states, out);
    fill_with(job, 6, |arena, i| arena.torch_cpus[i % arena.torch_cpus.len()], fill, vesde_torch_cpu_fill);
}

/// A fill function and its reference, with states made by `make` and changed anywhere now and then.
fn fill_with<G: Copy>(
    job: &mut Job<'_>,
    most_states: usize,
    make: impl Fn(&Arena, usize) -> G,
    fill: impl FnOnce(&mut [G], &mut [f32]) -> Result<(), Error>,
    call: unsafe extern "C" fn(*mut G, usize, usize, *mut f32) -> vesde_status,
) {
    let (len, count) = job.batch(most_states);
    let states = job.place::<G>(Kind::State, count);
    let first = job.input.below(16);
    for i in 0..count.min(most_states) {
        states.set(i, make(job.arena, first + i));
    }
    if job.input.rarely(64) && states.real && count > 0 {
        // What is not among the twister's words is in the last 16 bytes: taken, has_cached, cached.
        let back = if job.input.rarely(32) {
            job.input.u32() as usize % size_of::<G>()
        } else {
            job.input.below(16)
        };
        let at = count * size_of::<G>() - (back / 4 + 1) * 4;
        let word = if job.input.rarely(128) { job.input.u32() } else { job.input.below(3) as u32 };
        // SAFETY: `at` is a multiple of 4 within the states, whose fields may hold any bits.
        unsafe { states.ptr.cast::<u8>().add(at).cast::<u32>().write(word) };
    }
    let out = job.place_drawn(len);
    job.call(
        || {
            let (mut states_after, mut noise) = (states.get(), vec![0.0; len]);
            fill(&mut states_after, &mut noise)?;
            Ok(vec![states.becomes(&states_after), out.floats(&noise)])
        },
        // SAFETY: see config_default.
        || unsafe { call(states.ptr, count, len, out.ptr) },
    );
}

fn cuda_grid_of_gpu(job: &mut Job<'_>) {
    let name =
        job.mutated(&["NVIDIA H200", "T4", " nvidia geforce RTX 4090 ", "unlimited", "Tesla V100-SXM2-16GB"]);
    let name = job.text(&name);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let grid = std::str::from_utf8(&name.get()).ok().and_then(CudaGrid::of_gpu);
            Ok(vec![out.becomes(&[grid.ok_or(Error::UnknownGpu)?])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_cuda_grid_of_gpu(name.ptr.cast(), name.len, out.ptr) },
    );
}

fn grid(input: &mut Input<'_>) -> CudaGrid {
    let mut number = |usual: &[u32]| if input.rarely(40) { input.u32() } else { input.pick(usual) };
    let multiprocessors = number(&[1, 2, 132, u32::MAX]);
    CudaGrid { multiprocessors, threads_per_multiprocessor: number(&[256, 1024, 2048, u32::MAX]) }
}

/// Whether a state is one of torch's.
fn is_cuda_state(state: &TorchCuda) -> bool {
    state.grid.multiprocessors > 0
        && state.grid.threads_per_multiprocessor >= 256
        && state.offset.is_multiple_of(4)
}

fn torch_cuda_seed(job: &mut Job<'_>) {
    let (seed, grid) = (job.input.u64(), grid(&mut job.input));
    let out = job.place(Kind::Last, 1);
    let wanted = TorchCuda { seed, offset: 0, grid };
    job.call(
        || {
            if is_cuda_state(&wanted) {
                Ok(vec![out.becomes(&[wanted])])
            } else {
                Err(Error::InvalidRandomState)
            }
        },
        // SAFETY: see config_default.
        || unsafe { vesde_torch_cuda_seed(out.ptr, seed, grid) },
    );
}

fn torch_cuda_fill(job: &mut Job<'_>) {
    let (grid, offset) = (grid(&mut job.input), job.input.u64() & !3);
    // One generator's draw is that of its parts, and a step beyond.
    let fill = |states: &mut [TorchCuda], out: &mut [f32]| {
        let len = out.len();
        let ([state], true) = (&mut *states, len > 1) else { return randn(states, out) };
        let (first, rest) = out.split_at_mut(len / 2);
        state.fill_part(len as u64, first.len() as u64, rest)?;
        state.fill_part(len as u64, 0, first)?;
        state.skip(len as u64)
    };
    fill_with(job, 300, |_, i| TorchCuda { seed: i as u64, offset, grid }, fill, vesde_torch_cuda_fill);
}

/// A state of the GPU's generator, of any bits now and then.
fn cuda_state(input: &mut Input<'_>) -> TorchCuda {
    let offset = if input.rarely(64) { input.u64() } else { u64::from(input.byte()) * 4 };
    TorchCuda { seed: u64::from(input.u32()), offset, grid: grid(input) }
}

/// The longest draw of a GPU's.
const LONGEST_DRAW: u64 = (1 << 40) - 256;

/// The length of a draw: of one launch, short, of two to eight launches, or any.
fn draw_len(input: &mut Input<'_>) -> u64 {
    match input.byte() {
        0..100 => u64::from(input.u32() % (1 << 29)) + 1,
        100..160 => u64::from(input.byte()),
        160..230 => u64::from(input.u32()),
        230..243 => input.u64() % (LONGEST_DRAW + 2),
        _ => input.u64(),
    }
}

fn torch_cuda_fill_part(job: &mut Job<'_>) {
    let (state, draw_len, len) =
        (cuda_state(&mut job.input), draw_len(&mut job.input), job.length(4, job.most));
    let start =
        if job.input.rarely(40) { job.input.u64() } else { u64::from(job.input.u32()) % draw_len.max(1) };
    let out = job.place_drawn(len);
    let state = job.object(Kind::Apart, state);
    job.call(
        || {
            let mut noise = vec![0.0; len];
            state.one().fill_part(draw_len, start, &mut noise)?;
            Ok(vec![out.floats(&noise)])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_torch_cuda_fill_part(state.ptr, draw_len, start, len, out.ptr) },
    );
}

fn torch_cuda_skip(job: &mut Job<'_>) {
    let (state, draw_len) = (cuda_state(&mut job.input), draw_len(&mut job.input));
    let state = job.object(Kind::State, state);
    job.call(
        || {
            let mut after = state.one();
            after.skip(draw_len)?;
            assert!(is_cuda_state(&after) && draw_len <= LONGEST_DRAW);
            Ok(vec![state.becomes(&[after])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_torch_cuda_skip(state.ptr, draw_len) },
    );
}

fn numpy_seed(job: &mut Job<'_>) {
    let seed = job.input.u32();
    let out = job.place(Kind::Last, 1);
    // SAFETY: see config_default.
    job.call(|| Ok(vec![out.becomes(&[Numpy::new(seed)])]), || unsafe { vesde_numpy_seed(out.ptr, seed) });
}

fn numpy_fill(job: &mut Job<'_>) {
    // One generator's range is that of its parts.
    let fill = |states: &mut [Numpy], out: &mut [f32]| {
        let len = out.len();
        let ([state], true) = (&mut *states, len > 1) else { return randn(states, out) };
        let (first, rest) = out.split_at_mut(len / 2);
        state.fill(first)?;
        state.fill(rest)
    };
    fill_with(job, 6, |arena, i| arena.numpys[i % arena.numpys.len()], fill, vesde_numpy_fill);
}

fn sampler_init(job: &mut Job<'_>) {
    let config = job.input.config();
    let batch = if job.input.rarely(64) { job.input.u64() as usize } else { job.input.below(8) };
    let (seed, stream) = (job.input.u64(), job.input.u64());
    let [noise, averaging, norm, unclamped, result, start] = [(); 6].map(|()| job.input.enumeration());
    let first_step = if start == 1 { u64::from(job.input.u32()) } else { u64::from(job.input.rarely(16)) };
    let config = job.object(Kind::Apart, config);
    let options =
        CSamplerOptions { seed, stream, first_step, noise, averaging, norm, unclamped, result, start };
    let options = job.object(Kind::Apart, options);
    let out = job.place(Kind::Last, 1);
    // What lies on each other is read as it is now.
    job.call(
        || {
            let CSamplerOptions {
                seed,
                stream,
                first_step,
                noise,
                averaging,
                norm,
                unclamped,
                result,
                start,
            } = options.one();
            let options = SamplerOptions {
                seed,
                stream,
                noise: match noise {
                    0 => SamplerNoise::Counter,
                    1 => SamplerNoise::Given,
                    _ => return Err(Error::UnknownEnum),
                },
                averaging: vesde_fuzz::averaging(averaging)?,
                norm: vesde_fuzz::norm(norm)?,
                unclamped: match unclamped {
                    0 => false,
                    1 => true,
                    _ => return Err(Error::UnknownEnum),
                },
                result: match result {
                    0 => SamplerResult::Mean,
                    1 => SamplerResult::Noisy,
                    _ => return Err(Error::UnknownEnum),
                },
                start: match (start, first_step) {
                    (0, 0) => None,
                    (0, _) => return Err(Error::TimestepOutOfRange),
                    (1, step) => Some(step as usize),
                    _ => return Err(Error::UnknownEnum),
                },
            };
            Ok(vec![out.becomes(&[Sampler::new(&config.one(), batch, options)?])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_sampler_init(config.ptr, batch, options.ptr, out.ptr) },
    );
}

fn sampler_next(job: &mut Job<'_>) {
    let (len, batch) = job.batch(355);
    let state = State::of_input(&mut job.input, batch as u64);
    let sampler = job.object(Kind::State, state);
    let model_output = job.place(Kind::In, len);
    let noise: Buffer<f32> =
        job.place_or_null(if state.reads_noise() { Kind::In } else { Kind::Unused }, len, len != 0);
    let sample = job.place(Kind::Out, len);
    let request = job.place(Kind::Last, 1);
    let s = job.scheduler();
    job.call(
        || {
            let (m, z, mut x) = (model_output.get(), noise.get(), sample.get());
            let mut after = Sampler::from(sampler.one());
            let z = (!noise.ptr.is_null()).then_some(&z[..]);
            let (steps, next) =
                s.with(|s| (s.schedule.timesteps.len(), after.next(&s.schedule, &mut x, &m, z)));
            let wanted = request_of(next?, steps);
            Ok(vec![sampler.becomes(&[after.into()]), sample.floats(&x), request.becomes(&[wanted])])
        },
        // SAFETY: see config_default.
        || unsafe {
            let sampler = sampler.ptr.cast::<Sampler>();
            vesde_sampler_next(sampler, s.ptr, model_output.ptr, noise.ptr, len, sample.ptr, request.ptr)
        },
    );
}

fn sampler_plan(job: &mut Job<'_>) {
    let state = State::of_input(&mut job.input, 1);
    let sampler = job.object(Kind::State, state);
    let (plan, request) = (job.place(Kind::Last, 1), job.place(Kind::Last, 1));
    let s = job.scheduler();
    job.call(
        || {
            let (steps, next) = s.with(|s| (s.schedule.timesteps.len(), sampler.one().plan(&s.schedule)));
            let (next, wanted, after) = next?;
            let Plan { sample, output, noise, reduction, clamp, draw, counter } = next;
            let (clamp_low, clamp_high) = clamp;
            let reduction = reduction as i32;
            let next = CPlan { sample, output, noise, reduction, clamp_low, clamp_high, draw, counter };
            Ok(vec![
                sampler.becomes(&[after]),
                plan.becomes(&[next]),
                request.becomes(&[request_of(wanted, steps)]),
            ])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_sampler_plan(sampler.ptr.cast(), s.ptr, plan.ptr, request.ptr) },
    );
}

// ---- the target ----

/// Prints how often each function succeeded and was refused, where VESDE_TALLY asks for it: run.sh compares the names with the header's.
extern "C" fn print_tally() {
    for ((name, _), tally) in FUNCTIONS.iter().zip(&TALLY) {
        let [ok, refused] = tally.each_ref().map(|count| count.load(Ordering::Relaxed));
        eprintln!("tally {name} {ok} {refused}");
    }
}

unsafe extern "C" {
    fn atexit(call: extern "C" fn()) -> i32;
}

fuzz_target!(|data: &[u8]| {
    static TALLIED: Once = Once::new();
    TALLIED.call_once(|| {
        if std::env::var_os("VESDE_TALLY").is_some() {
            // SAFETY: the function may be called at any time.
            unsafe { atexit(print_tally) };
        }
    });
    ARENA.with_borrow_mut(|arena| {
        let mut job = Job::new(data, arena);
        FUNCTIONS[job.name].1(&mut job);
    });
});
