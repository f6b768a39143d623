//! Samplers called as they should be and as they should not: with other lengths, tables and scores between calls, without the noise that
//! they asked for, with states of any bits, with copies that go on from the middle. Each call must do what its plan says, in scalar code.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vesde::capi::*;
use vesde::{
    Config, Error, Reduction, Request, Sampler, Schedule, SimdLevel, limit_simd_level, set_sigmas,
    set_timesteps,
};
use vesde_fuzz::{Input, State, averaging, corrector_factors, noise_of, norm, patterns, request, same};

const MOST_CALLS: usize = 24;

/// A job's state and sample.
#[derive(Clone)]
struct Slot {
    state: State,
    sample: Vec<f32>,
}

/// The tables of a scheduler.
struct Tables([Vec<f32>; 3]);

impl Tables {
    fn of_input(input: &mut Input<'_>) -> Self {
        let steps = input.below(5) + 1;
        let mut tables = [(); 3].map(|()| vec![0.0; steps]);
        let [timesteps, sigmas, discrete_sigmas] = &mut tables;
        set_timesteps(&Config::default(), timesteps).unwrap();
        set_sigmas(&Config::default(), timesteps, sigmas, discrete_sigmas).unwrap();
        if input.rarely(48) {
            let table = &mut tables[input.below(3)];
            let (at, value) = (input.below(steps), input.float());
            table[at] = value;
        }
        if input.rarely(32) {
            let table = input.below(3);
            tables[table].truncate(input.below(steps + 1));
        }
        Self(tables)
    }

    fn schedule(&self) -> Schedule<'_> {
        let [timesteps, sigmas, discrete_sigmas] = &self.0;
        Schedule { timesteps, sigmas, discrete_sigmas }
    }

    fn scheduler(&self) -> CScheduler {
        let [timesteps, sigmas, discrete_sigmas] = &self.0;
        // NULL goes with a length of 0.
        let ptr = |table: &[f32]| if table.is_empty() { std::ptr::null() } else { table.as_ptr() };
        CScheduler {
            config: Config::default(),
            timesteps: ptr(timesteps),
            timesteps_len: timesteps.len(),
            sigmas: ptr(sigmas),
            sigmas_len: sigmas.len(),
            discrete_sigmas: ptr(discrete_sigmas),
            discrete_sigmas_len: discrete_sigmas.len(),
        }
    }
}

/// What a call must return: a request, with what becomes of the slot; or one of some errors, with nothing changed.
type Outcome = Result<(Slot, Request), Vec<Error>>;

/// What a call must do: what its plan says, in scalar code.
fn model(slot: &Slot, schedule: &Schedule<'_>, m: &[f32], z: Option<&[f32]>) -> Outcome {
    let Slot { state, mut sample } = slot.clone();
    let len = sample.len();
    let mut errors = vec![];
    let mut unless = |condition: bool, error| {
        if !condition {
            errors.push(error);
        }
    };
    unless(len > 0 && !m.is_empty(), Error::Empty);
    let fits = state.batch > 0 && (len as u64).is_multiple_of(state.batch);
    unless(m.len() == len && fits, Error::LengthMismatch);
    let (plan, request, state) = match state.plan(schedule) {
        Ok(planned) => planned,
        Err(error) => return Err([errors, vec![error]].concat()),
    };
    let corrects = plan.reduction == Reduction::CorrectorNorms;
    let does_nothing = [plan.sample, plan.output, plan.noise] == [0.0; 3] && !corrects;
    if state.noise == 1 && !does_nothing {
        unless(z.is_some(), Error::NullPointer);
        unless(z.is_none_or(|z| z.len() == len), Error::LengthMismatch);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if does_nothing {
        return Ok((Slot { state, sample }, request));
    }
    let z = match z {
        Some(z) if state.noise == 1 => z.to_vec(),
        _ => noise_of(plan.counter, len).unwrap(),
    };
    let factors = if corrects {
        let modes = (averaging(state.averaging).unwrap(), norm(state.norm).unwrap());
        corrector_factors(state.config.snr, m, &z, state.batch as usize, modes)
            .map_err(|error| vec![error])?
    } else {
        vec![(plan.output, plan.noise)]
    };
    let per_sample = len / factors.len();
    for (i, x) in sample.iter_mut().enumerate() {
        let (drift, diffusion) = factors[i / per_sample];
        let sum = if plan.sample == 0.0 { -0.0 } else { plan.sample * *x + drift * m[i] };
        let out = if diffusion == 0.0 && !corrects { sum } else { sum + diffusion * z[i] };
        *x = if out < plan.clamp.0 {
            plan.clamp.0
        } else if out > plan.clamp.1 {
            plan.clamp.1
        } else {
            out
        };
    }
    Ok((Slot { state, sample }, request))
}

fn bytes_of(request: &CRequest) -> [u8; size_of::<CRequest>()] {
    // SAFETY: the struct has no padding.
    unsafe { std::mem::transmute(*request) }
}

/// A call that must do what the model does.
fn next(slot: &mut Slot, tables: &Tables, m: &[f32], z: Option<&[f32]>) {
    let before = slot.clone();
    limit_simd_level(SimdLevel::Baseline);
    let mut outcome = model(slot, &tables.schedule(), m, z);
    limit_simd_level(SimdLevel::Avx512);
    if z.is_some_and(|z| z.len() != slot.sample.len()) || m.len() != slot.sample.len() {
        // In C there is one length, so that the Rust API alone can be given another.
        let mut sampler = Sampler::from(slot.state);
        let got = sampler.next(&tables.schedule(), &mut slot.sample, m, z);
        slot.state = sampler.into();
        match (&outcome, got) {
            (Ok((_, wanted)), Ok(got)) => {
                assert_eq!(bytes_of(&request(*wanted, 0)), bytes_of(&request(got, 0)), "{wanted:?}");
            }
            (Err(wanted), Err(got)) => assert!(wanted.contains(&got), "{got:?} of {wanted:?}"),
            (wanted, got) => panic!("{got:?}, not {:?}", wanted.as_ref().map(|(_, request)| request)),
        }
    } else {
        let scheduler = tables.scheduler();
        let (z, untouched) = (z.map_or(std::ptr::null(), <[f32]>::as_ptr), [0xa5_u8; size_of::<CRequest>()]);
        // SAFETY: any bits are valid.
        let mut request: CRequest = unsafe { std::mem::transmute(untouched) };
        let state = (&raw mut slot.state).cast();
        // SAFETY: the buffers have the sample's length, and the state any bits.
        let status = unsafe {
            let (m, sample, len) = (m.as_ptr(), slot.sample.as_mut_ptr(), slot.sample.len());
            vesde_sampler_next(state, &scheduler, m, z, len, sample, &mut request)
        };
        if slot.sample.is_empty()
            && let Err(errors) = &mut outcome
        {
            errors.push(Error::Empty);
        }
        match &outcome {
            Ok((_, wanted)) => {
                assert_eq!(status, VESDE_OK, "{before:?}", before = before.state);
                let wanted = self::request(*wanted, tables.0[0].len());
                assert_eq!(bytes_of(&request), bytes_of(&wanted));
            }
            Err(errors) => {
                assert!(errors.iter().any(|&error| error as i32 == status), "{status} of {errors:?}");
                assert_eq!(bytes_of(&request), untouched);
            }
        }
    }
    let wanted = outcome.map_or(before, |(slot, _)| slot);
    assert_eq!(slot.state.bytes(), wanted.state.bytes());
    assert!(slot.sample.iter().zip(&wanted.sample).all(|(&a, &b)| same(a, b)), "the sample differs");
    assert_eq!(slot.sample.len(), wanted.sample.len());
    // Of NaNs the bits may differ: both go on from the same ones.
    *slot = wanted;
}

/// A sampler as vesde_sampler_init makes it, with a sample of anything.
fn start(input: &mut Input<'_>, buffer: &[f32]) -> Slot {
    let config = input.config();
    let batch = input.below(3) + 1;
    let options = CSamplerOptions {
        seed: input.u64(),
        stream: u64::from(input.byte()),
        first_step: if input.rarely(8) { input.u64() } else { 0 },
        noise: input.enumeration(),
        averaging: input.enumeration(),
        norm: input.enumeration(),
        unclamped: input.enumeration(),
        result: input.enumeration(),
        start: i32::from(input.rarely(64)),
    };
    let per_sample = match input.byte() {
        few @ 0..220 => usize::from(few % 80) + 1,
        220..250 => 129,
        _ => 1500,
    };
    let sample = buffer[..batch * per_sample].to_vec();
    let mut sampler = std::mem::MaybeUninit::<Sampler>::uninit();
    // SAFETY: the pointers are those of objects.
    let status = unsafe { vesde_sampler_init(&config, batch, &options, sampler.as_mut_ptr()) };
    if status != VESDE_OK {
        let state = State::of_input(input, batch as u64);
        return Slot { state, sample };
    }
    // SAFETY: it was written.
    let state = State::from(unsafe { sampler.assume_init() });
    assert_eq!((state.first_step, state.turn, state.start), (options.first_step, 0, options.start));
    Slot { state, sample }
}

fuzz_target!(|data: &[u8]| {
    thread_local!(static PATTERNS: Vec<Vec<f32>> = patterns(8192));
    PATTERNS.with(|patterns| {
        let mut input = Input(data);
        let calls = input.below(MOST_CALLS) + 1;
        let mut tables = [Tables::of_input(&mut input), Tables::of_input(&mut input)];
        let mut slots = [start(&mut input, &patterns[0]), start(&mut input, &patterns[1])];
        for _ in 0..calls {
            let slot = input.below(2);
            let len = slots[slot].sample.len();
            let what = input.byte();
            // A score and noise, usual ones for half of the calls.
            let [mut m, mut z] = [0, 1].map(|i| {
                let word = input.byte();
                let kind = if word < 128 { 0 } else { usize::from(word) % patterns.len() };
                &patterns[kind][usize::from(word) + 256 * i..][..len]
            });
            match what {
                0..160 => next(&mut slots[slot], &tables[0], m, Some(z)),
                160..176 => next(&mut slots[slot], &tables[0], m, None),
                176..192 => next(&mut slots[slot], &tables[1], m, Some(z)),
                192..204 => {
                    m = if what % 2 == 0 { &m[..len / 2] } else { m };
                    z = if what % 3 == 0 { &z[..len - 1] } else { z };
                    next(&mut slots[slot], &tables[0], m, Some(z));
                }
                204..210 => {
                    // Another sample, of another length.
                    let mut other = slots[slot].clone();
                    other.sample = patterns[0][..len + input.below(3) - 1].to_vec();
                    let m = &patterns[0][..other.sample.len()];
                    next(&mut other, &tables[0], m, None);
                    slots[slot].state = other.state;
                }
                210..228 => slots[1 - slot] = slots[slot].clone(),
                228..240 => slots[slot].state.spoil(&mut input),
                240..248 => tables.swap(0, 1),
                _ => slots[slot] = start(&mut input, &patterns[0]),
            }
        }
    });
});
