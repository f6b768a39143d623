//! Every function of vesde.h, one call an input. Every byte of the memory is compared. Where
//! AddressSanitizer is there, it guards all memory that the call was not given. Pointers are NULL,
//! misaligned, equal, partly overlapping or apart; lengths are zero, about the edges of blocks, or
//! beyond any memory; structs, enumerations and floats hold any bits.
//!
//! Two sources tell what a call must do. The header's rules (`Job::place` and `Kind`) tell which
//! pointers it must refuse. The Rust API or scalar code tells what else it returns: on copies of
//! the inputs, with the baseline's vectors.

#![no_main]

use std::cell::RefCell;
use std::ffi::CStr;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use vesde::capi::*;
use vesde::{Buffers, Churn, Combination, Config, Corrector, Counter, Error, MOST_TERMS, Method, Norm, Prediction, Predictor, PredictorStep, Sampler, SamplerNoise, SamplerOptions, Schedule, Scheduler, SimdLevel};
use vesde::noise::{AnyGenerator, CudaGrid, Generator, Numpy, TorchCpu, TorchCuda};
use vesde::norms::{CorrectorStep, NORM_BLOCK, corrector_step};
use vesde::ode::{Divergence, Ode, OdeBuffers, OdeDirection, OdeOptions, OdePlan, OdeVariable};
use vesde::plan::{Operand, PlanTerm, Reduction};
use vesde_fuzz::{
    CONDITIONS, FewCalls, GeneratorState, Input, OdeState, RESULTS, State, averaging, corrector_factors,
    generators, known, noise_of, norm, patterns, request as request_of, same, same_double, scalar_linear,
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
    set_ncsnv2_sigmas set_geometric_sigmas set_karras_sigmas get_sigma get_timestep get_diffusion
    step_pred step_correct add_noise linear
    impute recolour decouple couple guide tweedie
    norm_blocks sum_squares sample_norm torch_norm mean_norm get_corrector_step get_annealed_step
    counter_fill cuda_grid_of_gpu generator_seed randn rand rademacher generator_fill_part
    generator_skip
    sampler_init sampler_next sampler_next_drawing sampler_plan run_plan sampler_workspace_len
    ode_init ode_workspace_len ode_log_densities_len ode_get_probe ode_get_stats ode_next
    ode_get_reduction ode_sums_values ode_sums ode_dots ode_next_plan ode_run
    get_log_likelihood bits_per_dim
    float_environment_is_default
}

// ---- memory ----

/// Bytes that belong to nobody, before and behind the window in which buffers lie.
const MARGIN: usize = 256;
/// The window's bytes: as a rule, and for several blocks of norms and noise.
const SMALL: usize = 32 << 10;
const LARGE: usize = 256 << 10;
/// The longest buffer of floats in each.
const SHORT: usize = 400;
const LONG: usize = 8500;
/// Behind the window: room for a struct of pointers that would lie on other pointers.
const ROOM: usize = 256;
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
    /// torch's on the CPU and NumPy's: before the first draw, with a cached normal, and anywhere
    /// among their words.
    generators: Vec<[GeneratorState; 2]>,
}

const MEMORY: usize = LARGE + ROOM + 2 * MARGIN;

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
                vesde::set_timesteps(&Config::default(), &mut timesteps[..]).unwrap();
                vesde::set_sigmas(&Config::default(), &*timesteps, &mut sigmas[..], &mut discrete_sigmas[..])
                    .unwrap();
            }
            tables
        });
        let generators = [0, 1, 3, 15, 300]
            .map(|n| [advanced(TorchCpu::new(n), n).into(), advanced(Numpy::new(n as u32), n).into()]);
        Self {
            memory: memory.as_mut_ptr().cast(),
            before: vec![0; MEMORY],
            patterns: patterns(MEMORY / 4 + 256),
            tables: tables.collect(),
            generators: generators.to_vec(),
        }
    }
}

fn advanced<G: Generator>(mut state: G, draws: u64) -> G {
    for _ in 0..draws {
        vesde::noise::randn(std::slice::from_mut(&mut state), &mut [0.0]).unwrap();
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
    /// A buffer that is written.
    Out,
    /// One object that is written last: it may lie on inputs.
    Last,
    /// A buffer that is kept between calls: not even an input may be the very same.
    Workspace,
    /// A state that is changed: nothing may touch it.
    State,
    /// A struct of pointers, which is read before anything is written.
    Copied,
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
        let end = (self.start + self.bytes).min(other.start + other.bytes);
        if self.start.max(other.start) >= end {
            return false;
        }
        let forbidden = |a, b| match (a, b) {
            (Copied, _) | (_, Copied) => false,
            (State, _) | (Out | Last | Workspace, Out | Last | Workspace | Scheduler) => true,
            (Out, Apart) | (Workspace, In) => true,
            (Out, In) => self.start != other.start,
            _ => false,
        };
        forbidden(self.kind, other.kind) || forbidden(other.kind, self.kind)
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

/// A pointer without memory.
fn nowhere<T>(address: usize, len: usize) -> Buffer<T> {
    Buffer { ptr: std::ptr::without_provenance_mut(address), len, start: 0, real: false, holds: PhantomData }
}

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
    /// The pattern that buffers are filled by.
    pattern: usize,
    /// The window's bytes, and the longest buffer of floats in it.
    window: usize,
    most: usize,
    /// Where the next buffer lies if it lies apart, and the end of all that has been placed.
    next: usize,
    end: usize,
    regions: Vec<Region>,
    /// Statuses that pointers and lengths call for, a bit each.
    faults: u128,
    /// Statuses that may come instead: what causes them only counts for some values.
    excuses: u128,
    /// Where the scheduler's pointers lie.
    pointers: Range<usize>,
}

/// Errors that nothing but pointers and room calls for.
const POINTER_ERRORS: [Error; 4] =
    [Error::NullPointer, Error::Misaligned, Error::Overlap, Error::BufferTooSmall];

impl<'a> Job<'a> {
    fn new(data: &'a [u8], arena: &'a mut Arena) -> Self {
        // The function's name and a new line come first; if no function has the name, the sum of
        // its bytes says which is called.
        let (called, rest) = match data.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&data[..end], &data[end + 1..]),
            None => data.split_at(data.len().min(1)),
        };
        let is_called = |(name, _): &(&str, fn(&mut Job<'_>))| name.as_bytes()["vesde_".len()..] == *called;
        let sum = called.iter().map(|&byte| usize::from(byte)).sum::<usize>();
        let name = FUNCTIONS.iter().position(is_called).unwrap_or(sum % FUNCTIONS.len());
        let mut input = Input(rest);
        let shape = input.byte();
        let (window, most) = if shape < 248 { (SMALL, SHORT) } else { (LARGE, LONG) };
        let pattern = usize::from(shape) % arena.patterns.len();
        let regions = Vec::with_capacity(10);
        Self {
            input,
            arena,
            name,
            pattern,
            window,
            most,
            next: 0,
            end: 0,
            regions,
            faults: 0,
            excuses: 0,
            pointers: 0..0,
        }
    }

    fn fault(&mut self, error: Error) {
        self.faults |= 1 << -(error as i32);
    }

    fn excuse(&mut self, error: Error) {
        self.excuses |= 1 << -(error as i32);
    }

    /// A length for elements of at least `size` bytes: usual, about an edge, zero, or of more bytes
    /// than there can be.
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

    /// A buffer that is not looked at, and may be anywhere, if it is empty.
    fn place_unless_empty<T>(&mut self, kind: Kind, len: usize) -> Buffer<T> {
        let faults = self.faults;
        let at = self.place(kind, len);
        if len == 0 {
            self.faults = faults;
        }
        at
    }

    /// A buffer that may be missing.
    fn place_if_any<T>(&mut self, kind: Kind, len: usize) -> Buffer<T> {
        let missing = self.input.rarely(90);
        if missing { nowhere(0, len) } else { self.place_or_null(kind, len, true) }
    }

    /// A pointer that nobody may look at.
    fn wild<T>(&mut self, len: usize) -> Buffer<T> {
        nowhere(self.input.pick(&[0, 1, 4, 4096, usize::MAX, usize::MAX - 3]), len)
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
        if kind == Kind::Copied && start < self.pointers.end && self.pointers.start < start + bytes + align {
            start = self.window;
        }
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
            return nowhere(0, len);
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

    /// A scheduler and its tables. Place it after all others, or other content could lie on its
    /// pointers; only a `Kind::Copied` comes later, which keeps off them.
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
        let at = self.object(Kind::Scheduler, object);
        if at.real {
            self.pointers = at.start..at.start + size_of::<CScheduler>();
        }
        SchedulerAt { ptr: at.ptr, config, tables }
    }

    /// Makes the call, and checks all that it did. `reference` is asked first, unless pointers and
    /// lengths forbid the call.
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
                let called_for = (self.faults | self.excuses) >> -(*error as i32) & 1 == 1;
                let known = !POINTER_ERRORS.contains(error) || called_for;
                assert!(known, "{name}: {error:?}, faults {:b}", self.faults);
            }
            Some(wanted) => {
                assert_eq!((error, status == VESDE_OK), (wanted.as_ref().err(), wanted.is_ok()), "{name}");
                for want in wanted.unwrap_or_default() {
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
        if job.input.rarely(64) { job.input.u32() as i32 } else { -i32::from(job.input.byte() % 80) };
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
            vesde::set_timesteps(&config.one(), &mut timesteps[..])?;
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
            vesde::set_sigmas(&config.one(), &timesteps.get(), &mut a[..], &mut b[..])?;
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
    let predictor = job.input.value_of(Predictor::ALL.len());
    job.call(
        || {
            let predictor = known(predictor, Predictor::ALL)?;
            let step = scheduler.with(|s| s.schedule.predictor_step(&s.config, predictor, timestep))?;
            let PredictorStep { drift, dt, diffusion } = step;
            assert!(drift >= 0.0 && [drift, dt, diffusion].iter().all(|factor| factor.is_finite()));
            Ok(vec![out.becomes(&[step])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_get_predictor_step(scheduler.ptr, predictor, timestep, out.ptr) },
    );
}

fn set_ncsnv2_sigmas(job: &mut Job<'_>) {
    let len = job.length(4, job.most);
    let config = job.input.config();
    let out = job.place(Kind::Out, len);
    let config = job.object(Kind::Apart, config);
    job.call(
        || {
            let mut sigmas = vec![0.0; len];
            vesde::set_ncsnv2_sigmas(&config.one(), &mut sigmas[..])?;
            assert!(sigmas.is_sorted_by(|a, b| a >= b), "not in descending order");
            Ok(vec![out.floats(&sigmas)])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_set_ncsnv2_sigmas(config.ptr, len, out.ptr) },
    );
}

/// A table of `make`, which is given the least and the greatest sigma.
fn spaced(job: &mut Job<'_>, make: impl FnOnce(f64, f64, &mut [f32]) -> Result<(), Error>, call: Spaced<'_>) {
    let len = job.length(4, job.most);
    let mut sigma = |usual: f64| if job.input.rarely(64) { job.input.double() } else { usual };
    let (sigma_min, sigma_max) = (sigma(0.01), sigma(50.0));
    let out = job.place::<f32>(Kind::Out, len);
    job.call(
        || {
            let mut sigmas = vec![0.0; len];
            make(sigma_min, sigma_max, &mut sigmas)?;
            assert!(sigmas.is_sorted_by(|a, b| a >= b), "not in descending order");
            assert!(sigmas[0] == sigma_max as f32 && (len == 1 || sigmas[len - 1] == sigma_min as f32));
            Ok(vec![out.floats(&sigmas)])
        },
        || call(sigma_min, sigma_max, len, out.ptr),
    );
}

type Spaced<'a> = &'a dyn Fn(f64, f64, usize, *mut f32) -> vesde_status;

fn set_geometric_sigmas(job: &mut Job<'_>) {
    let make = |a, b, sigmas: &mut [f32]| vesde::set_geometric_sigmas(a, b, sigmas);
    // SAFETY: see config_default.
    spaced(job, make, &|a, b, len, out| unsafe { vesde_set_geometric_sigmas(a, b, len, out) });
}

fn set_karras_sigmas(job: &mut Job<'_>) {
    let rho = if job.input.rarely(64) { job.input.double() } else { 7.0 };
    let make = |a, b, sigmas: &mut [f32]| vesde::set_karras_sigmas(a, b, rho, sigmas);
    // SAFETY: see config_default.
    spaced(job, make, &|a, b, len, out| unsafe { vesde_set_karras_sigmas(a, b, rho, len, out) });
}

fn get_sigma(job: &mut Job<'_>) {
    let timestep = job.timestep();
    let config = job.input.config();
    let config = job.object(Kind::Apart, config);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let config = config.one();
            config.validate()?;
            // What the table has at this timestep.
            let [mut sigma, mut discrete] = [[0.0]; 2];
            vesde::set_sigmas(&config, &[timestep], &mut sigma[..], &mut discrete[..])?;
            Ok(vec![out.floats(&sigma)])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_get_sigma(config.ptr, timestep, out.ptr) },
    );
}

fn get_timestep(job: &mut Job<'_>) {
    let sigma = job.input.double();
    let config = job.input.config();
    let config = job.object(Kind::Apart, config);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let config = config.one();
            config.validate()?;
            if !(sigma > 0.0 && sigma < f64::INFINITY) {
                return Err(Error::InvalidSigma);
            }
            Ok(vec![out.doubles(&[config.timestep(sigma)])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_get_timestep(config.ptr, sigma, out.ptr) },
    );
}

fn get_diffusion(job: &mut Job<'_>) {
    let sigma = job.input.float();
    let config = job.input.config();
    let config = job.object(Kind::Apart, config);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let config = config.one();
            config.validate()?;
            if !sigma.is_finite() {
                return Err(Error::InvalidSigma);
            }
            Ok(vec![out.floats(&[sigma * config.diffusion(1.0)])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_get_diffusion(config.ptr, sigma, out.ptr) },
    );
}

/// Noise of any kind; what other kinds need holds what nobody may look at.
#[derive(Clone, Copy)]
struct Noise {
    kind: i32,
    given: Buffer<f32>,
    counter: Counter,
    len: usize,
}

impl Noise {
    /// Given noise has a region of this kind.
    fn new(job: &mut Job<'_>, region: Kind, len: usize) -> Self {
        let kind = match job.input.byte() {
            0..100 => NoiseKind::Given as i32,
            100..200 => NoiseKind::Counter as i32,
            200..246 => NoiseKind::None as i32,
            _ => job.input.u32() as i32,
        };
        let is_given = kind == NoiseKind::Given as i32;
        let counter =
            if is_given { Counter { index: u64::MAX, ..Counter::default() } } else { job.input.counter() };
        let given = if is_given { job.place(region, len) } else { job.wild(len) };
        if kind == NoiseKind::None as i32 {
            job.excuse(Error::NullPointer);
        }
        Self { kind, given, counter, len }
    }

    fn c(&self) -> CNoise {
        CNoise { kind: self.kind, given: self.given.ptr, counter: self.counter }
    }

    /// Its numbers, if there are any.
    fn get(&self) -> Result<Option<Vec<f32>>, Error> {
        match self.kind {
            0 => Ok(None),
            1 => Ok(Some(self.given.get())),
            2 => noise_of(self.counter, self.len).map(Some),
            _ => Err(Error::UnknownEnum),
        }
    }

    /// Noise whose length no other buffer has: it must not be so long that a call takes forever.
    fn alone(job: &mut Job<'_>, region: Kind, len: usize) -> Self {
        let noise = Self::new(job, region, len);
        if noise.kind == NoiseKind::Counter as i32 {
            if len == 0 {
                job.fault(Error::Empty);
            }
            if len > isize::MAX as usize / 4 {
                job.fault(Error::TooLarge);
            }
        }
        noise
    }
}

/// Noise in memory, or none, for the Rust API.
fn given(noise: Option<&Vec<f32>>) -> vesde::Noise<'_> {
    noise.map_or(vesde::Noise::None, vesde::Noise::from)
}

/// The buffers of a step.
#[derive(Clone, Copy)]
struct Step {
    len: usize,
    batch: usize,
    model_output: Buffer<f32>,
    sample: Buffer<f32>,
    noise: Noise,
    prev_sample: Buffer<f32>,
    prev_sample_mean: Buffer<f32>,
    predictor: i32,
}

impl Step {
    fn new(job: &mut Job<'_>, len: usize, batch: usize) -> Self {
        let [model_output, sample] = [(); 2].map(|()| job.place(Kind::In, len));
        let noise = Noise::new(job, Kind::In, len);
        let prev_sample = job.place(Kind::Out, len);
        let prev_sample_mean = job.place_if_any(Kind::Out, len);
        let predictor = 0;
        Self { len, batch, model_output, sample, noise, prev_sample, prev_sample_mean, predictor }
    }

    /// The struct in memory, behind everything else.
    fn place(&self, job: &mut Job<'_>) -> *const CStep {
        let step = CStep {
            model_output: self.model_output.ptr,
            sample: self.sample.ptr,
            len: self.len,
            batch: self.batch,
            noise: self.noise.c(),
            prev_sample: self.prev_sample.ptr,
            prev_sample_mean: self.prev_sample_mean.ptr,
            predictor: self.predictor,
        };
        job.object(Kind::Copied, step).ptr
    }

    /// What the Rust API does with the same step on copies, and with noise from memory; and its
    /// factors' scalar arithmetic, per sample. No predictor copies the sample.
    fn reference(
        &self,
        run: impl FnOnce(vesde::Step<'_>) -> Result<(), Error>,
        factors: impl FnOnce(&[f32], &[f32]) -> Result<Vec<PredictorStep>, Error>,
    ) -> Wants {
        let predictor = known(self.predictor, Predictor::ALL)?;
        let (m, x, z) = (self.model_output.get(), self.sample.get(), self.noise.get()?);
        let [mut prev, mut mean] = [(); 2].map(|()| vec![0.0; self.len]);
        let step = vesde::Step::new(&m, &x, &mut prev[..]).with_mean(&mut mean[..]);
        run(step.with_batch(self.batch).with_noise(given(z.as_ref())).with_predictor(predictor))?;
        assert!(self.len.is_multiple_of(self.batch), "samples of different lengths");
        let factors = factors(&m, z.as_deref().unwrap_or_default())?;
        assert!([1, self.batch].contains(&factors.len()), "factors neither for all nor for each sample");
        let per_sample = self.len / factors.len();
        for (i, &PredictorStep { drift, dt, diffusion }) in factors.iter().enumerate() {
            let part = i * per_sample..(i + 1) * per_sample;
            let terms = [(1.0, &x[part.clone()], 1.0), (drift, &m[part.clone()], dt)];
            let z = z.as_ref().map(|z| (diffusion, &z[part.clone()]));
            let [a, b] = match predictor {
                Predictor::None => scalar_linear(&terms[..1], None, None),
                _ => scalar_linear(&terms, z, None),
            };
            assert!(all_same(&a, &prev[part.clone()]), "not the scalar prev_sample");
            assert!(all_same(&b, &mean[part]), "not the scalar prev_sample_mean");
        }
        let wants = [Some(self.prev_sample.floats(&prev)), self.prev_sample_mean.floats_if_given(&mean)];
        Ok(wants.into_iter().flatten().collect())
    }
}

fn all_same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| same(a, b))
}

/// As many as the batch has samples, one for all of them, or another number.
fn of_batch(job: &mut Job<'_>, batch: usize) -> usize {
    match job.input.byte() {
        0..170 => batch,
        170..240 => 1,
        _ => job.count(355),
    }
}

fn step_pred(job: &mut Job<'_>) {
    let (len, batch) = job.batch(355);
    let count = of_batch(job, batch);
    let timesteps = job.place(Kind::Apart, count);
    for i in 0..count.min(355) {
        timesteps.set(i, (i % 20) as f32 / 20.0);
    }
    job.patch(&timesteps, Input::float);
    let mut step = Step::new(job, len, batch);
    let s = job.scheduler();
    step.predictor = job.input.value_of(Predictor::ALL.len());
    let at = step.place(job);
    let reference = || {
        s.with(|s| {
            let t = timesteps.get();
            let predictor = known(step.predictor, Predictor::ALL)?;
            let factors = |_: &[f32], _: &[f32]| {
                t.iter().map(|&t| s.schedule.predictor_step(&s.config, predictor, t)).collect()
            };
            step.reference(|step| s.step_pred(&t, step), factors)
        })
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe { vesde_step_pred(s.ptr, timesteps.ptr, count, at) });
}

fn step_correct(job: &mut Job<'_>) {
    let (len, batch) = job.batch(355);
    let (how, kind) = (job.input.enumeration(), job.input.enumeration());
    let step = Step::new(job, len, batch);
    let s = job.scheduler();
    let at = step.place(job);
    let reference = || {
        let (averaging, kind) = (averaging(how)?, norm(kind)?);
        let factors = |m: &[f32], z: &[f32]| {
            let factors = corrector_factors(s.config.snr, m, z, batch, (averaging, kind))?;
            let step = |(drift, diffusion)| PredictorStep { drift, dt: 1.0, diffusion };
            Ok(factors.into_iter().map(step).collect())
        };
        s.with(|s| step.reference(|step| s.step_correct(averaging, kind, step), factors))
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe { vesde_step_correct(s.ptr, how, kind, at) });
}

fn add_noise(job: &mut Job<'_>) {
    let (len, batch) = job.batch(355);
    let count = of_batch(job, batch);
    let indices = job.place(Kind::Apart, count);
    let range = job.input.below(20) + 1;
    for i in 0..count.min(355) {
        indices.set(i, (i % range) as i64);
    }
    job.patch(&indices, |input| input.u64() as i64);
    let x = job.place(Kind::In, len);
    let noise = Noise::new(job, Kind::In, len);
    let out = job.place(Kind::Out, len);
    let s = job.scheduler();
    let reference = || {
        s.with(|s| {
            let (x, indices, z) = (x.get(), indices.get(), noise.get()?);
            let mut noisy = vec![0.0; len];
            s.add_noise(&x, batch, &indices, given(z.as_ref()), &mut noisy[..])?;
            for (i, noisy) in noisy.iter().enumerate() {
                let index = if count == 1 { 0 } else { i / (len / batch) };
                let sigma = s.schedule.discrete_sigmas[indices[index] as usize];
                let scalar = z.as_ref().map_or(x[i], |z| sigma * z[i] + x[i]);
                assert!(same(*noisy, scalar), "not the scalar noisy_samples");
            }
            Ok(vec![out.floats(&noisy)])
        })
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe {
        vesde_add_noise(s.ptr, x.ptr, len, batch, indices.ptr, count, noise.c(), out.ptr)
    });
}

fn linear(job: &mut Job<'_>) {
    let terms_len = match job.input.byte() {
        few @ 0..250 => (usize::from(few) + 2) % (MOST_TERMS + 2),
        many => usize::MAX - usize::from(many - 250),
    };
    let len = job.length(4, job.most);
    let terms: [(f32, Buffer<f32>); MOST_TERMS] = std::array::from_fn(|i| {
        if i < terms_len && terms_len <= MOST_TERMS {
            let factor = if job.input.rarely(170) { job.input.float() } else { 1.0 };
            (factor, job.place(Kind::In, len))
        } else {
            (f32::NAN, nowhere(i, len))
        }
    });
    let noise = Noise::new(job, Kind::In, len);
    let (noise_factor, clamped) = (job.input.float(), job.input.enumeration());
    let (clamp_low, clamp_high) =
        if job.input.rarely(60) { (job.input.float(), job.input.float()) } else { (-0.5, 0.75) };
    let out = job.place(Kind::Out, len);
    let mean = job.place_if_any(Kind::Out, len);
    let mut second_factors = [0.0; MOST_TERMS];
    if job.input.rarely(128) {
        second_factors =
            [(); MOST_TERMS].map(|()| if job.input.rarely(128) { job.input.float() } else { 1.0 });
    }
    let combination = CCombination {
        terms: terms.map(|(factor, x)| CTerm { factor, buffer: x.ptr }),
        terms_len,
        second_factors,
        len,
        noise: noise.c(),
        noise_factor,
        clamped,
        clamp_low,
        clamp_high,
        out: out.ptr,
        mean: mean.ptr,
    };
    let combination = job.object(Kind::Copied, combination);
    let reference = || {
        if terms_len > MOST_TERMS {
            return Err(Error::TooLarge);
        }
        let clamp = match (noise.kind, clamped) {
            (0..=2, 0) => None,
            (0..=2, 1) => Some((clamp_low, clamp_high)),
            _ => return Err(Error::UnknownEnum),
        };
        if noise.kind == 0 && noise_factor != 0.0 {
            return Err(Error::NullPointer);
        }
        if terms_len == 0 && (noise.kind == 0 || mean.real) {
            return Err(Error::Empty);
        }
        // A second factor of 0 counts as none.
        let second_factors = second_factors.map(|factor| if factor == 0.0 { 1.0 } else { factor });
        let terms: Vec<_> = terms[..terms_len].iter().map(|(factor, x)| (*factor, x.get())).collect();
        let z = noise.get()?;
        let slices: Vec<_> =
            terms.iter().zip(second_factors).map(|((factor, x), second)| (*factor, &x[..], second)).collect();
        let wanted = scalar_linear(&slices, z.as_ref().map(|z| (noise_factor, &z[..])), clamp);
        // The Rust API, in two calls for parts.
        let [mut a, mut b] = [(); 2].map(|()| vec![0.0; len]);
        for part in [0..len / 3, len / 3..len].into_iter().filter(|part| !part.is_empty()) {
            let noise = match &z {
                None => vesde::Noise::None,
                Some(_) if noise.kind == 2 => noise.counter.at(part.start as u64).into(),
                Some(z) => (&z[part.clone()]).into(),
            };
            let mut sum = Combination::new(&mut a[part.clone()]).plus_noise(noise_factor, noise);
            for &(factor, x, second) in &slices {
                let x = &x[part.clone()];
                sum = if second == 1.0 { sum.plus(factor, x) } else { sum.plus_twice(factor, second, x) };
            }
            if let Some((low, high)) = clamp {
                sum = sum.clamped(low, high);
            }
            vesde::linear(if terms_len > 0 { sum.with_mean(&mut b[part]) } else { sum })?;
        }
        assert!(all_same(&a, &wanted[0]) && all_same(&b, &wanted[1]), "not the scalar combination");
        Ok([Some(out.floats(&a)), mean.floats_if_given(&b)].into_iter().flatten().collect())
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe { vesde_linear(combination.ptr) });
}

/// A mask's length: mostly a divisor of the sample's.
fn mask_len(job: &mut Job<'_>, len: usize) -> usize {
    let count = match job.input.byte() {
        0..120 => 1,
        few @ 120..230 => usize::from(few % 6) + 1,
        _ => return job.length(4, job.most),
    };
    if len <= job.most && len.is_multiple_of(count) { len / count } else { len }
}

fn impute(job: &mut Job<'_>) {
    let len = job.length(4, job.most);
    let mask_len = mask_len(job, len);
    let data = job.place::<f32>(Kind::In, len);
    // If its length is not the output's, no output may touch it at all.
    let repeats = mask_len != len;
    let mask = job.place::<f32>(if repeats { Kind::Apart } else { Kind::In }, mask_len);
    let sample = job.place::<f32>(Kind::In, len);
    let noise = Noise::new(job, Kind::In, len);
    let sigma = job.input.float();
    let out = job.place(Kind::Out, len);
    let object = CImputation {
        data: data.ptr,
        mask: mask.ptr,
        mask_len,
        sample: sample.ptr,
        len,
        noise: noise.c(),
        sigma,
        out: out.ptr,
    };
    let object = job.object(Kind::Copied, object);
    let reference = || {
        let z = noise.get()?;
        if z.is_none() && sigma != 0.0 {
            return Err(Error::NullPointer);
        }
        if !len.is_multiple_of(mask_len) {
            return Err(Error::LengthMismatch);
        }
        let (x, d, m) = (sample.get(), data.get(), mask.get());
        let at = |i: usize| {
            let m = m[i % mask_len];
            let known = z.as_ref().map_or(d[i], |z| d[i] + z[i] * sigma);
            x[i] * (1.0 - m) + known * m
        };
        Ok(vec![out.floats(&(0..len).map(at).collect::<Vec<f32>>())])
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe { vesde_impute(object.ptr) });
}

/// A batch of images: floats, samples, and whether each has three channels.
fn images(job: &mut Job<'_>) -> (usize, usize) {
    let (len, batch) = job.batch(40);
    let usual = len > 0 && len <= job.most && batch > 0 && batch <= 40;
    if usual && !job.input.rarely(32) {
        // Mostly three channels each.
        let pixels = len.div_ceil(3 * batch).min(job.most / (3 * batch)).max(1);
        return (3 * batch * pixels, batch);
    }
    (len, batch)
}

/// Pixels of a channel, where a batch has three of them a sample.
fn pixels(len: usize, batch: usize) -> Result<usize, Error> {
    match batch.checked_mul(3) {
        Some(0) => Err(Error::Empty),
        Some(channels) if len.is_multiple_of(channels) => Ok(len / channels),
        _ => Err(Error::LengthMismatch),
    }
}

/// Each pixel of a batch, from the places of its three channels.
fn each_pixel(len: usize, batch: usize, make: impl Fn([usize; 3]) -> [f32; 3]) -> Result<Vec<f32>, Error> {
    let pixels = pixels(len, batch)?;
    let mut out = vec![0.0; len];
    for i in 0..batch * pixels {
        let first = i / pixels * 3 * pixels + i % pixels;
        let at = [first, first + pixels, first + 2 * pixels];
        for (at, value) in at.into_iter().zip(make(at)) {
            out[at] = value;
        }
    }
    Ok(out)
}

/// The row of a pixel times the matrix of one of the two functions. Unit rows give the matrix.
fn mixed(x: [f32; 3], mix: fn(&[f32], &mut [f32])) -> [f32; 3] {
    let rows = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|unit: [f32; 3]| {
        let mut row = [0.0; 3];
        mix(&unit, &mut row);
        row
    });
    std::array::from_fn(|j| x[2].mul_add(rows[2][j], x[1].mul_add(rows[1][j], x[0] * rows[0][j])))
}

fn decoupled(x: [f32; 3]) -> [f32; 3] {
    mixed(x, |x, out| vesde::inverse::decouple(x, 1, out).unwrap())
}

fn coupled(x: [f32; 3]) -> [f32; 3] {
    mixed(x, |x, out| vesde::inverse::couple(x, 1, out).unwrap())
}

fn recolour(job: &mut Job<'_>) {
    let (len, batch) = images(job);
    let [gray, sample] = [(); 2].map(|()| job.place::<f32>(Kind::In, len));
    let noise = Noise::new(job, Kind::In, len);
    let sigma = job.input.float();
    let out = job.place(Kind::Out, len);
    let object = CRecolouring {
        gray: gray.ptr,
        sample: sample.ptr,
        len,
        batch,
        noise: noise.c(),
        sigma,
        out: out.ptr,
    };
    let object = job.object(Kind::Copied, object);
    let reference = || {
        let z = noise.get()?;
        if z.is_none() && sigma != 0.0 {
            return Err(Error::NullPointer);
        }
        let (x, gray) = (sample.get(), gray.get());
        let made = each_pixel(len, batch, |at| {
            let [mut known, ..] = decoupled(at.map(|i| gray[i]));
            if let Some(z) = &z {
                known += z[at[0]] * sigma;
            }
            let [_, b, c] = decoupled(at.map(|i| x[i]));
            coupled([known, b, c])
        });
        Ok(vec![out.floats(&made?)])
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe { vesde_recolour(object.ptr) });
}

fn decouple(job: &mut Job<'_>) {
    let (len, batch) = images(job);
    let x = job.place::<f32>(Kind::In, len);
    let out = job.place(Kind::Out, len);
    let reference = || {
        let x = x.get();
        Ok(vec![out.floats(&each_pixel(len, batch, |at| decoupled(at.map(|i| x[i])))?)])
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe { vesde_decouple(x.ptr, len, batch, out.ptr) });
}

fn couple(job: &mut Job<'_>) {
    let (len, batch) = images(job);
    let x = job.place::<f32>(Kind::In, len);
    let out = job.place(Kind::Out, len);
    let reference = || {
        let x = x.get();
        Ok(vec![out.floats(&each_pixel(len, batch, |at| coupled(at.map(|i| x[i])))?)])
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe { vesde_couple(x.ptr, len, batch, out.ptr) });
}

fn guide(job: &mut Job<'_>) {
    let (len, weight) = (job.length(4, job.most), job.input.float());
    let [u, c] = [(); 2].map(|()| job.place::<f32>(Kind::In, len));
    let out = job.place(Kind::Out, len);
    let reference = || {
        let made = u.get().iter().zip(c.get()).map(|(u, c)| u + weight * (c - u)).collect::<Vec<f32>>();
        Ok(vec![out.floats(&made)])
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe { vesde_guide(u.ptr, c.ptr, weight, len, out.ptr) });
}

fn tweedie(job: &mut Job<'_>) {
    let (len, sigma) = (job.length(4, job.most), job.input.float());
    let [x, score] = [(); 2].map(|()| job.place::<f32>(Kind::In, len));
    let out = job.place(Kind::Out, len);
    let reference = || {
        let made = x.get().into_iter().zip(score.get()).map(|(x, s)| x + sigma * sigma * s);
        Ok(vec![out.floats(&made.collect::<Vec<f32>>())])
    };
    // SAFETY: see config_default.
    job.call(reference, || unsafe { vesde_tweedie(x.ptr, score.ptr, sigma, len, out.ptr) });
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

/// The sums of squares in scalar code: element i of a block goes to lane i mod 32, and then the
/// lanes are added.
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
    let x = Noise::alone(job, Kind::Apart, len);
    let (blocks_len, blocks) = blocks(job, len);
    job.call(
        || {
            let x = x.get()?.ok_or(Error::NullPointer)?;
            if blocks_len != len.div_ceil(NORM_BLOCK) {
                return Err(Error::LengthMismatch);
            }
            Ok(vec![blocks.doubles(&scalar_sums(&x))])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_sum_squares(x.c(), len, blocks_len, blocks.ptr) },
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
    let x = Noise::alone(job, Kind::In, len);
    let out = job.place(Kind::Last, 1);
    job.call(
        || Ok(vec![out.doubles(&[vesde::norms::torch_norm(&x.get()?.ok_or(Error::NullPointer)?, len)?])]),
        // SAFETY: see config_default.
        || unsafe { vesde_torch_norm(x.c(), len, out.ptr) },
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
            let mean = vesde::norms::mean_norm(&norms, norm(kind)?)?;
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

fn get_annealed_step(job: &mut Job<'_>) {
    let [ratio, factor] = [(); 2].map(|()| job.input.float());
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let step_size = factor * (ratio * ratio);
            let noise_factor = (step_size * 2.0).sqrt();
            if !(step_size.is_finite() && noise_factor.is_finite()) {
                return Err(Error::InvalidSnr);
            }
            Ok(vec![out.becomes(&[CorrectorStep { step_size, noise_factor }])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_get_annealed_step(ratio, factor, out.ptr) },
    );
}

fn counter_fill(job: &mut Job<'_>) {
    let (noise, len) = (job.input.counter(), job.length(4, job.most));
    let out = job.place_unless_empty(Kind::Out, len);
    job.call(
        || Ok(vec![out.floats(&noise_of(noise, len)?)]),
        // SAFETY: see config_default.
        || unsafe { vesde_counter_fill(noise, len, out.ptr) },
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

/// Whether a state is one of torch's.
fn is_cuda_state(state: &TorchCuda) -> bool {
    state.grid.multiprocessors > 0
        && state.grid.threads_per_multiprocessor >= 256
        && state.offset.is_multiple_of(4)
}

fn generator_seed(job: &mut Job<'_>) {
    let kind = if job.input.rarely(16) { job.input.u32() as i32 } else { job.input.below(4) as i32 };
    let seed = if job.input.rarely(128) { job.input.u64() } else { u64::from(job.input.u32()) };
    let grid = if kind == 2 {
        let grid = job.input.grid();
        job.object(Kind::Apart, grid)
    } else {
        job.wild(1)
    };
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let wanted: GeneratorState = match kind {
                0 => Counter { seed, ..Counter::default() }.into(),
                // torch takes the lower 32 bits.
                1 => TorchCpu::new(seed & 0xffff_ffff).into(),
                2 => {
                    let state = TorchCuda { seed, offset: 0, grid: grid.one() };
                    if !is_cuda_state(&state) {
                        return Err(Error::InvalidRandomState);
                    }
                    state.into()
                }
                3 => Numpy::new(seed.try_into().map_err(|_| Error::TooLarge)?).into(),
                _ => return Err(Error::UnknownEnum),
            };
            Ok(vec![out.becomes(&[wanted])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_generator_seed(kind, seed, grid.ptr, out.ptr.cast()) },
    );
}

/// The state of a generator of any kind, with a field of any bits now and then.
fn generator(job: &mut Job<'_>) -> GeneratorState {
    let mut state = match job.input.below(4) {
        0 => job.input.counter().into(),
        2 => {
            let offset = if job.input.rarely(64) { job.input.u64() } else { u64::from(job.input.byte()) * 4 };
            TorchCuda { seed: u64::from(job.input.u32()), offset, grid: job.input.grid() }.into()
        }
        kind => job.arena.generators[job.input.below(5)][kind / 2],
    };
    if job.input.rarely(40) {
        state.spoil(&mut job.input);
    }
    state
}

/// The most generators of a call.
const MOST_GENERATORS: usize = 4;

fn randn(job: &mut Job<'_>) {
    let (len, count) = job.batch(MOST_GENERATORS);
    let states = job.place::<GeneratorState>(Kind::State, count);
    for i in 0..count.min(MOST_GENERATORS) {
        states.set(i, generator(job));
    }
    let out = job.place_unless_empty(Kind::Out, len);
    job.call(
        || {
            let (mut after, mut noise) = (states.get(), vec![0.0; len]);
            vesde::noise::randn(generators(&mut after), &mut noise[..])?;
            for (i, mut state) in states.get().into_iter().enumerate() {
                let mut own = vec![0.0; len / count];
                state.draw(&mut own)?;
                let part = &noise[i * own.len()..][..own.len()];
                assert!(all_same(&own, part) && state.bytes() == after[i].bytes(), "not what its kind draws");
            }
            Ok(vec![states.becomes(&after), out.floats(&noise)])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_randn(states.ptr.cast(), count, len, out.ptr) },
    );
}

/// A draw of one word an element, of the kinds that have it.
fn draw_of_words(
    job: &mut Job<'_>,
    draw: fn(&mut GeneratorState, &mut [f32]) -> Result<(), Error>,
    call: unsafe extern "C" fn(*mut AnyGenerator, usize, *mut f32) -> vesde_status,
) {
    let (state, len) = (generator(job), job.length(4, job.most));
    let state = job.object(Kind::State, state);
    let out = job.place_unless_empty(Kind::Out, len);
    job.call(
        || {
            let (mut after, mut made) = (state.one(), vec![0.0; len]);
            draw(&mut after, &mut made)?;
            Ok(vec![state.becomes(&[after]), out.floats(&made)])
        },
        // SAFETY: see config_default.
        || unsafe { call(state.ptr.cast(), len, out.ptr) },
    );
}

fn rand(job: &mut Job<'_>) {
    draw_of_words(job, GeneratorState::uniform, vesde_rand);
}

fn rademacher(job: &mut Job<'_>) {
    draw_of_words(job, GeneratorState::rademacher, vesde_rademacher);
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

fn generator_fill_part(job: &mut Job<'_>) {
    let (state, draw_len, len) = (generator(job), draw_len(&mut job.input), job.length(4, job.most));
    let start =
        if job.input.rarely(40) { job.input.u64() } else { u64::from(job.input.u32()) % draw_len.max(1) };
    let out = job.place_unless_empty(Kind::Out, len);
    let state = job.object(Kind::Apart, state);
    job.call(
        || {
            let (state, mut noise) = (state.one(), vec![0.0; len]);
            match state.kind {
                0 if start.checked_add(len as u64).is_none_or(|end| end > draw_len) => {
                    return Err(Error::LengthMismatch);
                }
                0 if state.counter.index.checked_add(draw_len).is_none() => return Err(Error::TooLarge),
                0 => noise = noise_of(state.counter.at(start), len)?,
                2 => state.torch_cuda.fill_part(draw_len, start, &mut noise[..])?,
                1 | 3 if draw_len == 0 && len == 0 => {}
                1 | 3 => return Err(Error::UnsplittableDraw),
                _ => return Err(Error::UnknownEnum),
            }
            Ok(vec![out.floats(&noise)])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_generator_fill_part(state.ptr.cast(), draw_len, start, len, out.ptr) },
    );
}

fn generator_skip(job: &mut Job<'_>) {
    let (state, draw_len) = (generator(job), draw_len(&mut job.input));
    let state = job.object(Kind::State, state);
    job.call(
        || {
            let mut after = state.one();
            match after.kind {
                0 if after.counter.index.checked_add(draw_len).is_none() => return Err(Error::TooLarge),
                0 => after.counter.stream = after.counter.stream.wrapping_add(u64::from(draw_len > 0)),
                2 => {
                    after.torch_cuda.skip(draw_len)?;
                    assert!(is_cuda_state(&after.torch_cuda) && draw_len <= LONGEST_DRAW);
                }
                1 | 3 if draw_len == 0 => {}
                1 | 3 => return Err(Error::UnsplittableDraw),
                _ => return Err(Error::UnknownEnum),
            }
            Ok(vec![state.becomes(&[after])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_generator_skip(state.ptr.cast(), draw_len) },
    );
}

fn sampler_init(job: &mut Job<'_>) {
    let config = job.input.config();
    let batch = if job.input.rarely(64) { job.input.u64() as usize } else { job.input.below(8) };
    let (seed, stream) = (job.input.u64(), job.input.u64());
    let [noise, averaging, norm, unclamped, result, start] = [(); 6].map(|()| job.input.enumeration());
    let first_step = if start == 1 { u64::from(job.input.u32()) } else { u64::from(job.input.rarely(16)) };
    let predictor = job.input.value_of(Predictor::ALL.len());
    let corrector = job.input.value_of(Corrector::ALL.len());
    let conditions = job.input.value_of(CONDITIONS.len());
    let step_lr = if job.input.rarely(64) { job.input.float() } else { 0.01 };
    let few = job.input.rarely(128).then(|| FewCalls::of_input(&mut job.input));
    let mut number = |usual: f32| if job.input.rarely(32) { job.input.float() } else { usual };
    let few = few.as_ref();
    let eta = number(few.map_or(0.0, |x| x.eta));
    let s_churn = number(few.map_or(0.0, |x| x.s_churn));
    let s_tmin = number(few.map_or(0.0, |x| x.s_tmin));
    let [s_noise, s_tmax] = [(); 2].map(|()| number(0.0));
    let clamp = few.and_then(|x| x.clamp);
    let [denoised_low, denoised_high] =
        [clamp.map_or(0.0, |x| number(x.0)), clamp.map_or(0.0, |x| number(x.1))];
    let order = if job.input.rarely(16) { job.input.u32() } else { few.map_or(0, |x| x.order as u32) };
    let is_clamped = if job.input.rarely(16) { job.input.u32() as i32 } else { i32::from(clamp.is_some()) };
    let config = job.object(Kind::Apart, config);
    let options = CSamplerOptions {
        seed,
        stream,
        first_step,
        noise,
        averaging,
        norm,
        unclamped,
        result,
        start,
        predictor,
        corrector,
        conditions,
        step_lr,
        method: few.map_or(0, |x| x.method),
        prediction: few.map_or(0, |x| x.prediction),
        order,
        eta,
        s_noise,
        s_churn,
        s_tmin,
        s_tmax,
        denoised_clamped: is_clamped,
        denoised_low,
        denoised_high,
    };
    let options = job.object(Kind::Apart, options);
    let out = job.place(Kind::Last, 1);
    // Buffers that overlap are read as they are now.
    job.call(
        || {
            let options = options.one();
            let options = SamplerOptions {
                seed: options.seed,
                stream: options.stream,
                noise: known(options.noise, &[SamplerNoise::Counter, SamplerNoise::Given])?,
                averaging: vesde_fuzz::averaging(options.averaging)?,
                norm: vesde_fuzz::norm(options.norm)?,
                unclamped: known(options.unclamped, &[false, true])?,
                predictor: known(options.predictor, Predictor::ALL)?,
                corrector: known(options.corrector, Corrector::ALL)?,
                conditions: known(options.conditions, &CONDITIONS)?,
                step_lr: options.step_lr,
                method: known(options.method, Method::ALL)?,
                prediction: known(options.prediction, Prediction::ALL)?,
                order: options.order,
                eta: options.eta,
                s_noise: if options.s_noise == 0.0 { None } else { Some(options.s_noise) },
                churn: Churn {
                    s_churn: options.s_churn,
                    s_tmin: options.s_tmin,
                    s_tmax: if options.s_tmax == 0.0 { f32::INFINITY } else { options.s_tmax },
                },
                clamp_denoised: known(options.denoised_clamped, &[false, true])?
                    .then_some((options.denoised_low, options.denoised_high)),
                result: known(options.result, &RESULTS)?,
                start: match (options.start, options.first_step) {
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
    let noise: Buffer<f32> = job.place_if_any(Kind::In, len);
    if noise.ptr.is_null() {
        job.excuse(Error::NullPointer);
    }
    let sample = job.place(Kind::Out, len);
    let request = job.place(Kind::Last, 1);
    let usual = if state.method == 0 || len > job.most { 0 } else { 4 * len };
    let workspace_len = if job.input.rarely(60) { job.length(4, 64) } else { usual };
    let workspace = job.place_unless_empty(Kind::Workspace, workspace_len);
    job.excuse(Error::BufferTooSmall);
    let denoised: Buffer<f32> = job.place_if_any(Kind::Workspace, len);
    let s = job.scheduler();
    let buffers = job.object(
        Kind::Copied,
        CBuffers {
            denoised: denoised.ptr,
            sample: sample.ptr,
            model_output: model_output.ptr,
            len,
            noise: noise.ptr,
            workspace: workspace.ptr,
            workspace_len,
        },
    );
    job.call(
        || {
            let (m, z, mut x, mut history) = (model_output.get(), noise.get(), sample.get(), workspace.get());
            let mut preview = denoised.get();
            let mut after = Sampler::from(sampler.one());
            let buffers = Buffers::new(&mut x, &m).with_workspace(&mut history);
            let buffers = if noise.real { buffers.with_noise(&z) } else { buffers };
            let buffers = if denoised.real { buffers.with_denoised(preview.as_mut_slice()) } else { buffers };
            let (steps, next) = s.with(|s| (after.steps(&s.schedule), after.next(&s.schedule, buffers)));
            let request = request.becomes(&[request_of(next?, steps)]);
            let buffers = [sample.floats(&x), workspace.floats(&history), denoised.floats(&preview)];
            Ok([sampler.becomes(&[after.into()]), request].into_iter().chain(buffers).collect())
        },
        // SAFETY: see config_default.
        || unsafe { vesde_sampler_next(sampler.ptr.cast(), s.ptr, buffers.ptr, request.ptr) },
    );
}

/// The first turn of a job from a given sample. Nothing is drawn for it, except for a condition
/// that comes at once: the target `sampler` is there for draws.
fn sampler_next_drawing(job: &mut Job<'_>) {
    let (len, batch) = job.batch(355);
    let mut state = State::of_input(&mut job.input, batch as u64);
    (state.turn, state.start) = (0, 1);
    let sampler = job.object(Kind::State, state);
    let model_output = job.place(Kind::In, len);
    let sample = job.place(Kind::Out, len);
    let request = job.place(Kind::Last, 1);
    let noise = job.place(Kind::Workspace, len);
    job.excuse(Error::BufferTooSmall); // there is no history
    let count = if job.input.rarely(60) { job.length(4, MOST_GENERATORS) } else { 1 };
    let states = job.place::<GeneratorState>(Kind::State, count);
    for i in 0..count.min(MOST_GENERATORS) {
        states.set(i, generator(job));
    }
    let s = job.scheduler();
    let buffers = job.object(
        Kind::Copied,
        CBuffers {
            sample: sample.ptr,
            model_output: model_output.ptr,
            len,
            noise: model_output.ptr, // not looked at
            workspace: std::ptr::null_mut(),
            workspace_len: 0,
            denoised: std::ptr::null_mut(),
        },
    );
    job.call(
        || {
            let (m, mut z, mut x, mut list) = (model_output.get(), noise.get(), sample.get(), states.get());
            let mut after = Sampler::from(sampler.one());
            let buffers = Buffers::new(&mut x, &m);
            let (steps, next) = s.with(|s| {
                let next = after.next_drawing(&s.schedule, buffers, generators(&mut list), &mut z);
                (after.steps(&s.schedule), next)
            });
            let request = request.becomes(&[request_of(next?, steps)]);
            let drawn = [states.becomes(&list), noise.floats(&z)];
            Ok([sampler.becomes(&[after.into()]), sample.floats(&x), request]
                .into_iter()
                .chain(drawn)
                .collect())
        },
        // SAFETY: see config_default.
        || unsafe {
            let (sampler, generators) = (sampler.ptr.cast(), states.ptr.cast());
            vesde_sampler_next_drawing(sampler, s.ptr, buffers.ptr, generators, count, noise.ptr, request.ptr)
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
            let before = Sampler::from(sampler.one());
            let (steps, next) = s.with(|s| (before.steps(&s.schedule), sampler.one().plan(&s.schedule)));
            let (next, wanted, after) = next?;
            let operand = |operand| match operand {
                Operand::Sample => 0,
                Operand::ModelOutput => 1,
                Operand::Denoised => 2,
                Operand::Kept(slot) => 3 + slot as i32,
            };
            let terms = |terms: &[PlanTerm]| {
                std::array::from_fn(|i| {
                    let nothing = CPlanTerm { factor: 0.0, operand: 0, second_factor: 0.0 };
                    terms.get(i).map_or(nothing, |term| CPlanTerm {
                        factor: term.factor,
                        operand: operand(term.operand),
                        second_factor: term.second_factor,
                    })
                })
            };
            let keeps = std::array::from_fn(|i| {
                let nothing = CKeep { terms: terms(&[]), terms_len: 0, slot: 0 };
                next.keeps().get(i).map_or(nothing, |keep| CKeep {
                    terms: terms(keep.terms()),
                    terms_len: keep.terms().len(),
                    slot: keep.slot,
                })
            });
            let (denoised_low, denoised_high) =
                next.denoised.and_then(|denoised| denoised.clamp).unwrap_or_default();
            let no_counter = Counter { seed: 0, stream: 0, index: 0 };
            let (clamp_low, clamp_high) = next.clamp.unwrap_or_default();
            let (reduction, snr, averaging, norm) = match next.reduction {
                Reduction::CorrectorNorms { snr, averaging, norm } => (1, snr, averaging as i32, norm as i32),
                _ => (0, 0.0, 0, 0),
            };
            let wanted_plan = CPlan {
                terms: terms(next.terms()),
                terms_len: next.terms().len(),
                noise_factor: next.noise_factor,
                clamped: i32::from(next.clamp.is_some()),
                clamp_low,
                clamp_high,
                keeps,
                keeps_len: next.keeps().len(),
                has_denoised: i32::from(next.denoised.is_some()),
                denoised_sample: next.denoised.map_or(0.0, |denoised| denoised.sample),
                denoised_model_output: next.denoised.map_or(0.0, |denoised| denoised.model_output),
                denoised_clamped: i32::from(next.denoised.is_some_and(|denoised| denoised.clamp.is_some())),
                denoised_low,
                denoised_high,
                churn_factor: next.churn.map_or(0.0, |churn| churn.factor),
                churn_draw: next.churn.map_or(0, |churn| churn.draw),
                churn_counter: next.churn.map_or(no_counter, |churn| churn.counter),
                reduction,
                averaging,
                norm,
                snr,
                draw: next.draw,
                counter: next.counter,
            };
            Ok(vec![
                sampler.becomes(&[after]),
                plan.becomes(&[wanted_plan]),
                request.becomes(&[request_of(wanted, steps)]),
            ])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_sampler_plan(sampler.ptr.cast(), s.ptr, plan.ptr, request.ptr) },
    );
}

/// A plan of a turn along a table, with words of any bits now and then.
fn plan_along_a_table(job: &mut Job<'_>) -> CPlan {
    let FewCalls { method, prediction, order, eta, s_churn, s_tmin, clamp } =
        FewCalls::of_input(&mut job.input);
    let options = SamplerOptions {
        seed: 5,
        method: known(method, Method::ALL).unwrap_or(Method::Dpmpp2m),
        prediction: known(prediction, Prediction::ALL).unwrap_or_default(),
        order: order as u32,
        eta,
        churn: Churn { s_churn, s_tmin, s_tmax: f32::INFINITY },
        clamp_denoised: clamp,
        ..SamplerOptions::default()
    };
    let schedule = Schedule { timesteps: &[], sigmas: &[8.0, 4.0, 2.0, 1.0, 0.5, 0.0], discrete_sigmas: &[] };
    let turns = job.input.below(12) + 1;
    let mut made = None;
    // The method that takes no table has no such plan.
    if let Ok(mut sampler) = Sampler::new(&Config::default(), 1, options) {
        for _ in 0..turns {
            made = sampler.plan(&schedule).ok().map(|(plan, _)| plan).or(made);
        }
    }
    let zero = CPlanTerm { factor: 0.0, operand: 0, second_factor: 0.0 };
    let made = made.map_or_else(
        || CPlan {
            terms: [CPlanTerm { factor: 0.5, ..zero }; MOST_TERMS],
            terms_len: 1,
            noise_factor: 1.0,
            clamped: 0,
            clamp_low: 0.0,
            clamp_high: 0.0,
            keeps: [CKeep { terms: [zero; MOST_TERMS], terms_len: 0, slot: 0 }; 2],
            keeps_len: 0,
            has_denoised: 0,
            denoised_sample: 0.0,
            denoised_model_output: 0.0,
            denoised_clamped: 0,
            denoised_low: 0.0,
            denoised_high: 0.0,
            reduction: 0,
            averaging: 0,
            norm: 0,
            churn_factor: 0.0,
            snr: 0.0,
            draw: 0,
            counter: Counter::new(1, 2),
            churn_draw: 0,
            churn_counter: Counter::new(3, 4),
        },
        |made| CPlan::from(&made),
    );
    spoil_words(&mut job.input, made)
}

fn run_plan(job: &mut Job<'_>) {
    let len = job.length(4, job.most);
    let made = plan_along_a_table(job);
    let model_output = job.place::<f32>(Kind::In, len);
    let noise: Buffer<f32> = job.place_if_any(Kind::In, len);
    let sample = job.place::<f32>(Kind::Out, len);
    let usual = if len > job.most { 0 } else { 4 * len };
    let workspace_len = if job.input.rarely(60) { job.length(4, 64) } else { usual };
    let workspace = job.place_unless_empty::<f32>(Kind::Workspace, workspace_len);
    job.excuse(Error::BufferTooSmall);
    let denoised: Buffer<f32> = job.place_if_any(Kind::Workspace, len);
    let (start, part) = match job.input.byte() {
        0..128 => (0, len),
        128..220 => {
            let start = usize::from(job.input.byte()).min(len);
            (start, usize::from(job.input.byte()).min(len - start))
        }
        _ => (job.input.u64() as usize, job.input.u64() as usize),
    };
    let plan = job.object(Kind::Scheduler, made);
    let c = |sample, model_output, noise, workspace, denoised| CBuffers {
        sample,
        model_output,
        len,
        noise,
        workspace,
        workspace_len,
        denoised,
    };
    let buffers = c(sample.ptr, model_output.ptr, noise.ptr, workspace.ptr, denoised.ptr);
    let buffers = job.object(Kind::Copied, buffers);
    job.call(
        || {
            let (mut x, m, z) = (sample.get(), model_output.get(), noise.get());
            let (mut history, mut preview) = (workspace.get(), denoised.get());
            let z = if noise.real { z.as_ptr() } else { std::ptr::null() };
            let d = if denoised.real { preview.as_mut_ptr() } else { std::ptr::null_mut() };
            let buffers = c(x.as_mut_ptr(), m.as_ptr(), z, history.as_mut_ptr(), d);
            // SAFETY: these are copies, of their length.
            let status = unsafe { vesde_run_plan(&plan.one(), &buffers, start, part) };
            match Error::ALL.iter().find(|&&error| error as i32 == status) {
                Some(&error) => Err(error),
                None => Ok(vec![sample.floats(&x), workspace.floats(&history), denoised.floats(&preview)]),
            }
        },
        // SAFETY: see config_default.
        || unsafe { vesde_run_plan(plan.ptr, buffers.ptr, start, part) },
    );
}

fn sampler_workspace_len(job: &mut Job<'_>) {
    let state = State::of_input(&mut job.input, 1);
    let len = job.length(4, job.most);
    let sampler = job.object(Kind::Apart, state);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let state = sampler.one();
            if !state.is_valid() {
                return Err(Error::InvalidSampler);
            }
            Ok(vec![out.becomes(&[len.checked_mul(state.kept()).ok_or(Error::TooLarge)?])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_sampler_workspace_len(sampler.ptr.cast(), len, out.ptr) },
    );
}

// ---- the ODE ----

/// The longest buffer of a job that has twelve of them.
const MOST_OF_ODE: usize = 4200;

/// A job's buffers, as they were before the call.
struct OdeAt {
    len: usize,
    stride: usize,
    sample: Buffer<f32>,
    input: Buffer<f32>,
    model_output: Buffer<f32>,
    noise: Buffer<f32>,
    probe: Buffer<f32>,
    product: Buffer<f32>,
    workspace: Buffer<f32>,
    densities: Buffer<f64>,
    start: usize,
}

impl OdeAt {
    /// Of `len` floats, with log-densities of so many doubles, or without.
    fn new(job: &mut Job<'_>, len: usize, densities_len: usize) -> Self {
        let model_output = job.place(Kind::In, len);
        let [noise, probe, product] = [(); 3].map(|()| job.place_if_any::<f32>(Kind::In, len));
        if [noise, probe, product].iter().any(|x| x.ptr.is_null()) {
            job.excuse(Error::NullPointer);
        }
        let [sample, input] = [(); 2].map(|()| job.place(Kind::Workspace, len));
        let stride = match job.input.byte() {
            0..200 => 0,
            200..240 => len,
            240..248 => len.saturating_sub(1),
            _ => usize::MAX / 5 - 1,
        };
        let distance = if stride == 0 { len } else { stride };
        if distance < len {
            job.fault(Error::BufferTooSmall);
        }
        let workspace_len = distance.saturating_mul(5).saturating_add(len);
        let workspace_len = if distance < len { len } else { workspace_len };
        let workspace = job.place(Kind::Workspace, workspace_len);
        let densities = job.place_unless_empty(Kind::State, densities_len);
        let start = if job.input.rarely(40) { job.input.u64() as usize } else { 0 };
        Self { len, stride, sample, input, model_output, noise, probe, product, workspace, densities, start }
    }

    fn c(&self) -> COdeBuffers {
        COdeBuffers {
            sample: self.sample.ptr,
            input: self.input.ptr,
            model_output: self.model_output.ptr,
            len: self.len,
            noise: self.noise.ptr,
            probe: self.probe.ptr,
            product: self.product.ptr,
            workspace: self.workspace.ptr,
            workspace_stride: self.stride,
            log_densities: self.densities.ptr,
            log_densities_len: self.densities.len,
            start: self.start,
        }
    }

    /// Makes a call with aligned copies of these buffers, and with doubles of its own, on the
    /// baseline's vectors. Returns what the buffers must hold then, or the error.
    fn on_copies(
        &self,
        doubles: &mut [f64],
        call: impl FnOnce(&COdeBuffers, &mut [f64]) -> vesde_status,
    ) -> Wants {
        let [mut x, mut input, mut workspace] = [self.sample, self.input, self.workspace].map(|x| x.get());
        let mut densities = self.densities.get();
        let ins = [self.model_output, self.noise, self.probe, self.product].map(|x| x.get());
        let [m, z, v, p] = ins.each_ref().map(|x| x.as_ptr());
        let or_null = |there: &Buffer<f32>, ptr| if there.real { ptr } else { std::ptr::null() };
        let buffers = COdeBuffers {
            sample: x.as_mut_ptr(),
            input: input.as_mut_ptr(),
            model_output: m,
            noise: or_null(&self.noise, z),
            probe: or_null(&self.probe, v),
            product: or_null(&self.product, p),
            workspace: workspace.as_mut_ptr(),
            log_densities: densities.as_mut_ptr(),
            ..self.c()
        };
        let status = call(&buffers, doubles);
        match Error::ALL.iter().find(|&&error| error as i32 == status) {
            Some(&error) => Err(error),
            None => Ok([(self.sample, x), (self.input, input), (self.workspace, workspace)]
                .iter()
                .map(|(at, floats)| at.floats(floats))
                .chain([self.densities.doubles(&densities)])
                .collect()),
        }
    }
}

/// The length of a batch, and its samples, of a job of the ODE.
fn ode_batch(job: &mut Job<'_>) -> (usize, usize) {
    let most = job.most;
    job.most = most.min(MOST_OF_ODE);
    let batch = job.batch(355);
    job.most = most;
    batch
}

fn ode_init(job: &mut Job<'_>) {
    let config = job.input.config();
    let batch =
        if job.input.rarely(64) { job.input.u64() as usize } else { job.input.pick(&[1, 2, 3, 0, 7]) };
    let mut options = job.input.ode_options();
    if job.input.rarely(64) {
        let unknown = job.input.enumeration();
        match job.input.below(8) {
            0 => options.noise = unknown,
            1 => options.start = unknown,
            2 => options.variable = unknown,
            3 => options.direction = unknown,
            4 => options.divergence = job.input.value_of(5),
            5 => options.probe = unknown,
            6 => options.state_only = unknown,
            _ => options.reserved = unknown,
        }
    }
    let config = job.object(Kind::Apart, config);
    let options = job.object(Kind::Apart, options);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let with = options.one();
            let usual = OdeOptions::default();
            let or = |value: f64, usual| if value == 0.0 { usual } else { value };
            let noises = [SamplerNoise::Counter, SamplerNoise::Given];
            let options = OdeOptions {
                seed: with.seed,
                stream: with.stream,
                max_evaluations: with.max_evaluations,
                rtol: or(with.rtol, usual.rtol),
                atol: or(with.atol, usual.atol),
                max_step: or(with.max_step, usual.max_step),
                first_step: if with.first_step == 0.0 { None } else { Some(with.first_step) },
                difference: or(with.difference, usual.difference),
                noise: known(with.noise, &noises)?,
                start: known(with.start, &[false, true])?,
                variable: known(with.variable, &[OdeVariable::Time, OdeVariable::Sigma])?,
                direction: known(with.direction, &[OdeDirection::Sampling, OdeDirection::Encoding])?,
                divergence: known(with.divergence, Divergence::ALL)?,
                probe: known(with.probe, &noises)?,
                state_only: known(with.state_only, &[false, true])?,
            };
            Ok(vec![out.becomes(&[OdeState::from(Ode::new(&config.one(), batch, options)?)])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_ode_init(config.ptr, batch, options.ptr, out.ptr.cast()) },
    );
}

/// A function of a state that makes one object.
fn of_ode<T: Copy>(
    job: &mut Job<'_>,
    batch: u64,
    reference: impl FnOnce(&Ode) -> Result<T, Error>,
    call: impl FnOnce(*const Ode, *mut T) -> vesde_status,
) {
    let state = OdeState::of_input(&mut job.input, batch);
    let ode = job.object(Kind::Apart, state);
    let out = job.place(Kind::Last, 1);
    job.call(|| Ok(vec![out.becomes(&[reference(&ode.one().into())?])]), || call(ode.ptr.cast(), out.ptr));
}

fn ode_workspace_len(job: &mut Job<'_>) {
    let len = if job.input.rarely(64) { job.input.u64() as usize } else { job.length(4, job.most) };
    let reference = |_: &Ode| len.checked_mul(6).ok_or(Error::TooLarge);
    // SAFETY: see config_default.
    of_ode(job, 1, reference, |ode, out| unsafe { vesde_ode_workspace_len(ode, len, out) });
}

fn ode_log_densities_len(job: &mut Job<'_>) {
    let batch = u64::from(job.input.byte() ^ 1);
    // SAFETY: see config_default.
    of_ode(job, batch, Ode::log_densities_len, |ode, out| unsafe { vesde_ode_log_densities_len(ode, out) });
}

fn ode_get_probe(job: &mut Job<'_>) {
    let state = OdeState::of_input(&mut job.input, 1);
    let ode = job.object(Kind::Apart, state);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let OdeState { seed, stream, .. } = ode.one();
            Ok(vec![out.becomes(&[Counter { seed, stream: stream.wrapping_add(1), index: 0 }])])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_ode_get_probe(ode.ptr.cast(), out.ptr) },
    );
}

fn ode_get_stats(job: &mut Job<'_>) {
    // SAFETY: see config_default.
    of_ode(job, 1, |ode| Ok(ode.stats()), |ode, out| unsafe { vesde_ode_get_stats(ode, out) });
}

/// As many log-densities as a state keeps, or another number.
fn densities_len(job: &mut Job<'_>, state: &OdeState) -> usize {
    let len = if state.divergence == 0 { 0 } else { state.batch.min(400) as usize * 9 };
    if job.input.rarely(24) { job.length(8, 64) } else { len }
}

fn ode_next(job: &mut Job<'_>) {
    let (len, batch) = ode_batch(job);
    let state = OdeState::of_input(&mut job.input, batch as u64);
    let densities_len = densities_len(job, &state);
    let ode = job.object(Kind::State, state);
    let at = OdeAt::new(job, len, densities_len);
    let request = job.place(Kind::Last, 1);
    let buffers = job.object(Kind::Copied, at.c());
    job.call(
        || {
            let mut after = Ode::from(ode.one());
            let (mut x, mut input, mut workspace) = (at.sample.get(), at.input.get(), vec![0.0; 6 * len]);
            let stride = if at.stride == 0 { len } else { at.stride };
            let mut theirs = at.workspace.get();
            for (slot, floats) in workspace.chunks_mut(len).enumerate() {
                floats.copy_from_slice(&theirs[slot * stride..][..len]);
            }
            let mut densities = at.densities.get();
            let (m, z, v, p) = (at.model_output.get(), at.noise.get(), at.probe.get(), at.product.get());
            let mut all = OdeBuffers::new(&mut x, &mut input, &m, &mut workspace).starting_at(at.start);
            all = if at.noise.real { all.with_noise(&z) } else { all };
            all = if at.probe.real { all.with_probe(&v) } else { all };
            all = if at.product.real { all.with_product(&p) } else { all };
            let wanted = after.next(all.with_log_densities(&mut densities))?;
            for (slot, floats) in workspace.chunks(len).enumerate() {
                theirs[slot * stride..][..len].copy_from_slice(floats);
            }
            Ok(vec![
                ode.becomes(&[after.into()]),
                at.sample.floats(&x),
                at.input.floats(&input),
                at.workspace.floats(&theirs),
                at.densities.doubles(&densities),
                request.becomes(&[COdeRequest::from(wanted)]),
            ])
        },
        // SAFETY: see config_default.
        || unsafe {
            let kept = at.densities.get();
            let status = vesde_ode_next(ode.ptr.cast(), buffers.ptr, request.ptr);
            // After an error the dots may have changed, and nothing else: they are put back.
            let batch = ode.get().first().map_or(0, |state| state.batch) as usize;
            if status != VESDE_OK {
                for i in batch..batch.saturating_mul(2).min(kept.len()) {
                    at.densities.set(i, kept[i]);
                }
            }
            status
        },
    );
}

fn ode_get_reduction(job: &mut Job<'_>) {
    let (len, batch) = ode_batch(job);
    let reference = |ode: &Ode| ode.reduction(len).map(COdeReduction::from);
    // SAFETY: see config_default.
    of_ode(job, batch as u64, reference, |ode, out| unsafe { vesde_ode_get_reduction(ode, len, out) });
}

/// Changes some of the 32-bit words of a struct to anything.
fn spoil_words<T: Copy>(input: &mut Input<'_>, made: T) -> T {
    let mut made = made;
    while input.rarely(64) {
        let at = input.below(size_of::<T>() / 4);
        let word = match input.byte() {
            0..64 => input.byte() as i8 as i32 as u32,
            64..128 => input.u32(),
            _ => input.float().to_bits(),
        };
        // SAFETY: the words of structs without padding, of which any bits are valid.
        unsafe { (&raw mut made).cast::<u32>().add(at).write(word) };
    }
    made
}

/// A reduction of some state, with words of any bits now and then.
fn reduction(job: &mut Job<'_>, len: usize, batch: usize) -> COdeReduction {
    let state = OdeState::of_input(&mut job.input, batch as u64);
    let made = Ode::from(state).reduction(len).unwrap_or_default();
    spoil_words(&mut job.input, made.into())
}

fn ode_sums_values(job: &mut Job<'_>) {
    let made = reduction(job, 12, 3);
    let made = job.object(Kind::Apart, made);
    let out = job.place(Kind::Last, 1);
    job.call(
        || {
            let made = made.one();
            let most = |value: i32, count: i32| (0..count).contains(&value);
            let is_known = most(made.sums, 4)
                && most(made.dots, 5)
                && most(made.derivative.score, 3)
                && most(made.counts_probe, 2);
            if made.error.terms_len > 5 || made.step.terms_len > 5 {
                Err(Error::TooLarge)
            } else if is_known {
                Ok(vec![out.becomes(&[[0_usize, 2, 1, 1][made.sums as usize]])])
            } else {
                Err(Error::UnknownEnum)
            }
        },
        // SAFETY: see config_default.
        || unsafe { vesde_ode_sums_values(made.ptr, out.ptr) },
    );
}

type Reduce = unsafe extern "C" fn(*const COdeReduction, *const COdeBuffers, usize, *mut f64) -> vesde_status;

/// A reduction that stores so many values a block.
fn reduce(job: &mut Job<'_>, values: fn(&COdeReduction) -> usize, call: Reduce) {
    let (len, batch) = ode_batch(job);
    let made = reduction(job, len, batch);
    let at = OdeAt::new(job, len, 0);
    let usual = values(&made) * len.min(MOST_OF_ODE).div_ceil(NORM_BLOCK);
    let blocks_len = if job.input.rarely(32) { job.length(8, 8) } else { usual };
    // Where nothing is stored there may be no blocks.
    let blocks: Buffer<f64> = if values(&made) == 0 {
        job.place_unless_empty(Kind::Workspace, blocks_len)
    } else {
        job.place(Kind::Workspace, blocks_len)
    };
    let made = job.object(Kind::Copied, made);
    let buffers = job.object(Kind::Copied, at.c());
    job.call(
        || {
            let mut sums = blocks.get();
            // SAFETY: these are copies, of their length.
            let on_copies = |buffers: &COdeBuffers, sums: &mut [f64]| unsafe {
                call(&made.one(), buffers, blocks_len, sums.as_mut_ptr())
            };
            let mut wanted = at.on_copies(&mut sums, on_copies)?;
            wanted.push(blocks.doubles(&sums));
            Ok(wanted)
        },
        // SAFETY: see config_default.
        || unsafe { call(made.ptr, buffers.ptr, blocks_len, blocks.ptr) },
    );
}

fn ode_sums(job: &mut Job<'_>) {
    let values = |made: &COdeReduction| usize::try_from(made.sums).map_or(1, |kind| [0, 2, 1, 1][kind % 4]);
    reduce(job, values, vesde_ode_sums);
}

fn ode_dots(job: &mut Job<'_>) {
    reduce(job, |_| 1, vesde_ode_dots);
}

fn ode_next_plan(job: &mut Job<'_>) {
    let (len, batch) = ode_batch(job);
    let state = OdeState::of_input(&mut job.input, batch as u64);
    let densities_len = densities_len(job, &state);
    let sums = job.place::<[f64; 2]>(Kind::Copied, 1);
    let numbers = [(); 2].map(|()| if job.input.rarely(64) { job.input.double() } else { 0.001 });
    sums.set(0, numbers);
    let ode = job.object(Kind::State, state);
    let densities = job.place_unless_empty(Kind::State, densities_len);
    let (plan, request) = (job.place(Kind::Last, 1), job.place(Kind::Last, 1));
    job.call(
        || {
            let (mut after, mut rows) = (Ode::from(ode.one()), densities.get());
            let (wanted, asked) = after.plan(len, sums.one(), &mut rows)?;
            Ok(vec![
                ode.becomes(&[after.into()]),
                densities.doubles(&rows),
                plan.becomes(&[COdePlan::from(wanted)]),
                request.becomes(&[COdeRequest::from(asked)]),
            ])
        },
        // SAFETY: see config_default.
        || unsafe {
            let (sums, densities) = (sums.ptr.cast(), densities.ptr);
            vesde_ode_next_plan(ode.ptr.cast(), len, sums, densities, densities_len, plan.ptr, request.ptr)
        },
    );
}

fn ode_run(job: &mut Job<'_>) {
    let (len, batch) = ode_batch(job);
    let state = OdeState::of_input(&mut job.input, batch as u64);
    let mut rows = vec![0.5; if state.divergence == 0 { 0 } else { state.batch.min(400) as usize * 9 }];
    let made = Ode::from(state).plan(len, [0.001; 2], &mut rows).map_or_else(|_| OdePlan::default(), |x| x.0);
    let made = spoil_words(&mut job.input, COdePlan::from(made));
    let at = OdeAt::new(job, len, 0);
    let plan = job.object(Kind::Copied, made);
    let buffers = job.object(Kind::Copied, at.c());
    job.call(
        // SAFETY: these are copies, of their length.
        || at.on_copies(&mut [], |buffers, _| unsafe { vesde_ode_run(&plan.one(), buffers) }),
        // SAFETY: see config_default.
        || unsafe { vesde_ode_run(plan.ptr, buffers.ptr) },
    );
}

fn get_log_likelihood(job: &mut Job<'_>) {
    let len = job.length(4, job.most);
    let sigma_max = if job.input.rarely(32) { job.input.double() } else { 50.0 };
    let divergence = job.input.double();
    let z = job.place::<f32>(Kind::In, len);
    let out = job.place::<[f64; 3]>(Kind::Last, 1);
    job.call(
        || {
            if !(sigma_max > 0.0 && sigma_max.is_finite()) {
                return Err(Error::InvalidSigmaMax);
            }
            let sum = scalar_sums(&z.get()).iter().fold(0.0, |total, sum| total + sum);
            let prior = -(len as f64) / 2.0 * libm_log(std::f64::consts::TAU * (sigma_max * sigma_max))
                - sum / (2.0 * (sigma_max * sigma_max));
            let wanted = vesde::ode::log_likelihood(sigma_max, &z.get(), divergence)?;
            assert!(near(wanted.prior, prior), "{} and {prior}", wanted.prior);
            let values = [wanted.log_density, wanted.prior, wanted.divergence];
            assert!(same_double(values[0], values[1] + values[2]) && same_double(values[2], divergence));
            Ok(vec![Want { float: 8, ..out.becomes(&[values]) }])
        },
        // SAFETY: see config_default.
        || unsafe { vesde_get_log_likelihood(sigma_max, z.ptr, len, divergence, out.ptr.cast()) },
    );
}

/// The logarithm, by a library that may not be vesde's.
fn libm_log(x: f64) -> f64 {
    x.ln()
}

fn near(a: f64, b: f64) -> bool {
    same_double(a, b) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

fn bits_per_dim(job: &mut Job<'_>) {
    let [log_density, levels, slope] = [(); 3].map(|()| job.input.double());
    let dims = job.input.u64() as usize;
    let got = vesde_bits_per_dim(log_density, dims, levels, slope);
    let wanted = vesde::ode::bits_per_dim(log_density, dims, levels, slope);
    job.plain(same_double(got, wanted), true);
}

// ---- the target ----

/// Prints how often each function succeeded and was refused, where VESDE_TALLY asks for it: run.sh
/// compares the names with the header's.
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
