//! Samplers called as they should be and as they should not: with other lengths, tables and scores
//! between calls, without the noise that they asked for, with generators that draw it, with states
//! of any bits, with copies that go on from the middle. Each call must do what its plans say, in
//! scalar code.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vesde::capi::*;
use vesde::{Buffers, Config, Corrector, Error, Predictor, Request, Sampler, SamplerResult, Schedule, SimdLevel, limit_simd_level, set_ncsnv2_sigmas, set_sigmas, set_timesteps};
use vesde::noise::{Numpy, TorchCpu, TorchCuda};
use vesde::plan::{Operand, Plan, Reduction};
use vesde_fuzz::{
    CONDITIONS, FewCalls, GeneratorState, Input, State, corrector_factors, generators, is_drawn, noise_of,
    patterns, reads_noise, request, same, scalar_linear,
};

const MOST_CALLS: usize = 24;

/// A job's state, sample and history, and generators with the noise that they have drawn last.
#[derive(Clone)]
struct Slot {
    state: State,
    sample: Vec<f32>,
    /// Room for four buffers of history, and how many floats of it a call is given.
    workspace: Vec<f32>,
    room: usize,
    /// The denoised sample of a call.
    preview: Vec<f32>,
    generators: Vec<GeneratorState>,
    drawn: Vec<f32>,
}

/// The tables of a scheduler.
struct Tables([Vec<f32>; 3]);

impl Tables {
    fn of_input(input: &mut Input<'_>) -> Self {
        let steps = input.below(5) + 1;
        let mut tables = [(); 3].map(|()| vec![0.0; steps]);
        let [timesteps, sigmas, discrete_sigmas] = &mut tables;
        set_timesteps(&Config::default(), &mut timesteps[..]).unwrap();
        set_sigmas(&Config::default(), &*timesteps, &mut sigmas[..], &mut discrete_sigmas[..]).unwrap();
        if input.rarely(32) {
            set_ncsnv2_sigmas(&Config::default(), &mut sigmas[..]).unwrap();
        }
        if input.rarely(48) {
            sigmas[steps - 1] = 0.0;
        }
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

/// Where the noise comes from that a job needs.
#[derive(Clone, Copy)]
enum Drawn<'a> {
    /// The caller, if it is there.
    Given(Option<&'a [f32]>),
    /// The slot's generators.
    ByGenerators,
}

/// What becomes of the slot, and what a call must return: a request, or one of some errors, which
/// leave everything as it was but for draws and the turns that asked for them.
type Outcome = (Slot, Result<Request, Vec<Error>>);

/// What a call must do: what its plans say, in scalar code.
fn model(slot: &Slot, schedule: &Schedule<'_>, m: &[f32], noise: Drawn<'_>) -> Outcome {
    let mut slot = slot.clone();
    loop {
        match turn(&mut slot, schedule, m, noise) {
            Ok(Request::Noise { .. }) if matches!(noise, Drawn::ByGenerators) => {}
            result => return (slot, result),
        }
    }
}

/// One turn of it.
fn turn(
    slot: &mut Slot,
    schedule: &Schedule<'_>,
    m: &[f32],
    noise: Drawn<'_>,
) -> Result<Request, Vec<Error>> {
    let len = slot.sample.len();
    let mut errors = vec![];
    let mut unless = |condition: bool, error| {
        if !condition {
            errors.push(error);
        }
    };
    unless(len > 0 && !m.is_empty(), Error::Empty);
    let fits = slot.state.batch > 0 && (len as u64).is_multiple_of(slot.state.batch);
    unless(m.len() == len && fits, Error::LengthMismatch);
    let z = match noise {
        Drawn::Given(z) => z,
        Drawn::ByGenerators => {
            let count = slot.generators.len() as u64;
            unless(slot.drawn.len() == len && [1, slot.state.batch].contains(&count), Error::LengthMismatch);
            Some(&slot.drawn[..])
        }
    };
    let (plan, request, state) = match slot.state.plan(schedule) {
        Ok(planned) => planned,
        Err(error) => return Err([errors, vec![error]].concat()),
    };
    unless(z.is_some() || !slot.state.reads_noise(schedule), Error::NullPointer);
    unless(z.is_none_or(|z| z.len() == len), Error::LengthMismatch);
    unless(slot.room >= slot.state.kept() * len, Error::BufferTooSmall);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut after = slot.clone();
    let sample = run(&plan, slot, m, z, &mut after);
    let draws = is_drawn(request) && matches!(noise, Drawn::ByGenerators);
    let drawn = if draws { draw(&mut after) } else { Ok(()) };
    match (sample, drawn) {
        (Ok(sample), Ok(())) => *slot = Slot { state, sample, ..after },
        (sample, drawn) => return Err([sample.err(), drawn.err()].into_iter().flatten().collect()),
    }
    Ok(request)
}

/// Floats that a call is given of the workspace: now and then one too few.
fn workspace_len(slot: &Slot) -> usize {
    let kept = slot.state.kept_or_none() * slot.sample.len();
    if slot.state.turn % 16 == 7 { kept.saturating_sub(1) } else { kept.max(slot.sample.len() % 4) }
}

/// The sample that a plan makes. What the plan keeps, and its preview, go to `after`.
fn run(plan: &Plan, slot: &Slot, m: &[f32], z: Option<&[f32]>, after: &mut Slot) -> Result<Vec<f32>, Error> {
    let Slot { state, sample, workspace, .. } = slot;
    let len = sample.len();
    let denoised = plan.denoised.map(|denoised| {
        let terms = [(denoised.sample, &sample[..], 1.0), (denoised.model_output, m, 1.0)];
        let rest = usize::from(denoised.sample == 0.0);
        let [out, _] = scalar_linear(&terms[rest..], None, denoised.clamp);
        out
    });
    let history = |slot: usize| &workspace[slot * len..][..len];
    for keep in plan.keeps() {
        let terms = keep.terms().iter().map(|term| match term.operand {
            Operand::Sample => (term.factor, &sample[..], term.second_factor),
            Operand::ModelOutput => (term.factor, m, term.second_factor),
            Operand::Denoised => (term.factor, &denoised.as_ref().unwrap()[..], term.second_factor),
            Operand::Kept(slot) => (term.factor, history(slot), term.second_factor),
        });
        let [out, _] = scalar_linear(&terms.collect::<Vec<_>>(), None, None);
        after.workspace[keep.slot * len..][..len].copy_from_slice(&out);
    }
    if let Some(denoised) = &denoised {
        after.preview.clone_from(denoised);
    }
    if plan.terms().is_empty() && !reads_noise(plan) {
        return Ok(sample.clone());
    }
    let made = noise_of(plan.counter, sample.len())?;
    let z = z.filter(|_| state.noise == 1).unwrap_or(&made);
    // What the terms' factors are, for each sample where they differ.
    let factors = match plan.reduction {
        Reduction::CorrectorNorms { snr, averaging, norm } => {
            assert!(plan.noise_factor == 0.0 && plan.terms().iter().map(|term| term.factor).eq([1.0, 0.0]));
            assert!(plan.terms().iter().all(|term| term.second_factor == 1.0));
            assert_eq!(snr, state.config.snr);
            assert_eq!([averaging as i32, norm as i32], [state.averaging, state.norm]);
            corrector_factors(snr, m, z, state.batch as usize, (averaging, norm))?
                .into_iter()
                .map(|(step_size, noise_factor)| (Some(step_size), noise_factor))
                .collect()
        }
        _ => vec![(None, plan.noise_factor)],
    };
    let per_sample = sample.len() / factors.len();
    let parts = factors.into_iter().enumerate().flat_map(|(i, (step_size, noise_factor))| {
        let part = i * per_sample..(i + 1) * per_sample;
        let terms = plan.terms().iter().map(|term| match term.operand {
            Operand::Sample => (term.factor, &sample[part.clone()], term.second_factor),
            Operand::ModelOutput => (step_size.unwrap_or(term.factor), &m[part.clone()], term.second_factor),
            Operand::Denoised => (term.factor, &denoised.as_ref().unwrap()[part.clone()], term.second_factor),
            Operand::Kept(slot) => (term.factor, &history(slot)[part.clone()], term.second_factor),
        });
        let noise = reads_noise(plan).then(|| (noise_factor, &z[part.clone()]));
        let [out, _] = scalar_linear(&terms.collect::<Vec<_>>(), noise, plan.clamp);
        out
    });
    let mut sample: Vec<f32> = parts.collect();
    if let Some(churn) = plan.churn {
        let z = noise_of(churn.counter, len)?;
        [sample, _] = scalar_linear(&[(1.0, &sample, 1.0)], Some((churn.factor, &z)), None);
    }
    Ok(sample)
}

/// A draw of the slot's generators. If one of them cannot draw, none does.
fn draw(slot: &mut Slot) -> Result<(), Error> {
    let (len, count) = (slot.drawn.len(), slot.generators.len());
    let (mut after, mut drawn) = (slot.generators.clone(), vec![0.0; len]);
    for (state, part) in after.iter_mut().zip(drawn.chunks_mut(len / count)) {
        state.draw(part)?;
    }
    (slot.generators, slot.drawn) = (after, drawn);
    Ok(())
}

fn bytes_of(request: &CRequest) -> [u8; size_of::<CRequest>()] {
    // SAFETY: the struct has no padding.
    unsafe { std::mem::transmute(*request) }
}

/// A call that must do what the model does.
fn next(slot: &mut Slot, tables: &Tables, m: &[f32], noise: Drawn<'_>) {
    slot.room = workspace_len(slot);
    limit_simd_level(SimdLevel::Baseline);
    let (wanted, mut outcome) = model(slot, &tables.schedule(), m, noise);
    limit_simd_level(SimdLevel::Avx512);
    let Slot { state, sample, workspace, room, preview, generators: states, drawn } = &mut *slot;
    let len = sample.len();
    if let Drawn::Given(z) = noise
        && m.len() == len
        && z.is_none_or(|z| z.len() == len)
    {
        let scheduler = tables.scheduler();
        let buffers = CBuffers {
            sample: sample.as_mut_ptr(),
            model_output: m.as_ptr(),
            len,
            noise: z.map_or(std::ptr::null(), <[f32]>::as_ptr),
            workspace: workspace.as_mut_ptr(),
            workspace_len: *room,
            denoised: if len == 0 { std::ptr::null_mut() } else { preview.as_mut_ptr() },
        };
        let untouched = [0xa5_u8; size_of::<CRequest>()];
        // SAFETY: any bits are valid.
        let mut request: CRequest = unsafe { std::mem::transmute(untouched) };
        // SAFETY: the buffers have the sample's length, and the states any bits.
        let status =
            unsafe { vesde_sampler_next((&raw mut *state).cast(), &scheduler, &buffers, &mut request) };
        if len == 0
            && let Err(errors) = &mut outcome
        {
            errors.push(Error::Empty);
        }
        match &outcome {
            Ok(wanted) => {
                assert_eq!(status, VESDE_OK);
                let steps = Sampler::from(*state).steps(&tables.schedule());
                let wanted = self::request(*wanted, steps);
                assert_eq!(bytes_of(&request), bytes_of(&wanted));
            }
            Err(errors) => {
                assert!(errors.iter().any(|&error| error as i32 == status), "{status} of {errors:?}");
                assert_eq!(bytes_of(&request), untouched);
            }
        }
    } else {
        // C has one length for all buffers, so that only Rust is called where they differ, and it
        // alone draws.
        let mut sampler = Sampler::from(*state);
        let buffers = Buffers::new(sample, m).with_workspace(&mut workspace[..*room]);
        let buffers = buffers.with_denoised(preview.as_mut_slice());
        let schedule = tables.schedule();
        let got = match noise {
            Drawn::Given(None) => sampler.next(&schedule, buffers),
            Drawn::Given(Some(z)) => sampler.next(&schedule, buffers.with_noise(z)),
            Drawn::ByGenerators => sampler.next_drawing(&schedule, buffers, generators(states), drawn),
        };
        *state = sampler.into();
        match (&outcome, got) {
            (Ok(wanted), Ok(got)) => {
                assert_eq!(bytes_of(&request(*wanted, 0)), bytes_of(&request(got, 0)), "{wanted:?}");
            }
            (Err(wanted), Err(got)) => assert!(wanted.contains(&got), "{got:?} of {wanted:?}"),
            (wanted, got) => panic!("{got:?}, not {wanted:?}"),
        }
    }
    assert_eq!(slot.state.bytes(), wanted.state.bytes());
    assert!(slot.generators.iter().zip(&wanted.generators).all(|(a, b)| a.bytes() == b.bytes()));
    for (got, wanted) in [
        (&slot.sample, &wanted.sample),
        (&slot.drawn, &wanted.drawn),
        (&slot.workspace, &wanted.workspace),
        (&slot.preview, &wanted.preview),
    ] {
        assert_eq!(got.len(), wanted.len());
        assert!(got.iter().zip(wanted).all(|(&a, &b)| same(a, b)), "a buffer differs");
    }
    // The bits of NaNs may differ: both go on from the same ones.
    *slot = wanted;
}

/// A sampler as vesde_sampler_init makes it, with a sample of anything.
fn start(input: &mut Input<'_>, buffer: &[f32]) -> Slot {
    let config = input.config();
    let batch = input.below(3) + 1;
    let mut options = CSamplerOptions {
        seed: input.u64(),
        stream: u64::from(input.byte()),
        first_step: if input.rarely(8) { input.u64() } else { 0 },
        noise: input.enumeration(),
        averaging: input.enumeration(),
        norm: input.enumeration(),
        unclamped: input.enumeration(),
        result: input.enumeration(),
        start: i32::from(input.rarely(64)),
        predictor: input.value_of(Predictor::ALL.len()),
        corrector: input.value_of(Corrector::ALL.len()),
        conditions: input.value_of(CONDITIONS.len()),
        step_lr: if input.rarely(32) { input.float() } else { 0.01 },
        method: 0,
        prediction: 0,
        order: 0,
        eta: 0.0,
        s_noise: 0.0,
        s_churn: 0.0,
        s_tmin: 0.0,
        s_tmax: 0.0,
        denoised_clamped: 0,
        denoised_low: 0.0,
        denoised_high: 0.0,
    };
    if input.rarely(64) {
        options.result = SamplerResult::Denoised as i32;
    }
    if input.rarely(128) {
        let FewCalls { method, prediction, order, eta, s_churn, s_tmin, clamp } = FewCalls::of_input(input);
        let (denoised_low, denoised_high) = clamp.unwrap_or_default();
        options = CSamplerOptions {
            method,
            prediction,
            order: order as u32,
            eta,
            s_noise: if input.rarely(32) { input.float() } else { 0.0 },
            s_churn,
            s_tmin,
            denoised_clamped: i32::from(clamp.is_some()),
            denoised_low,
            denoised_high,
            ..options
        };
    }
    let per_sample = match input.byte() {
        few @ 0..220 => usize::from(few % 80) + 1,
        220..250 => 129,
        _ => 1500,
    };
    let sample = buffer[..batch * per_sample].to_vec();
    let drawn = buffer[1..][..sample.len()].to_vec();
    let count = input.pick(&[1, batch, batch, 2]);
    let generators = (0..count).map(|_| generator(input)).collect();
    let mut sampler = std::mem::MaybeUninit::<Sampler>::uninit();
    // SAFETY: the pointers are those of objects.
    let status = unsafe { vesde_sampler_init(&config, batch, &options, sampler.as_mut_ptr()) };
    if status != VESDE_OK {
        let state = State::of_input(input, batch as u64);
        return slot_of(state, sample, generators, drawn);
    }
    // SAFETY: it was written.
    let state = State::from(unsafe { sampler.assume_init() });
    assert_eq!((state.first_step, state.turn, state.start), (options.first_step, 0, options.start));
    slot_of(state, sample, generators, drawn)
}

fn slot_of(state: State, sample: Vec<f32>, generators: Vec<GeneratorState>, drawn: Vec<f32>) -> Slot {
    let (workspace, preview) = (vec![0.5; 4 * sample.len() + 8], vec![0.25; sample.len()]);
    Slot { state, sample, workspace, room: 0, preview, generators, drawn }
}

/// A generator of any kind as vesde_generator_seed makes it, and now and then another.
fn generator(input: &mut Input<'_>) -> GeneratorState {
    let seed = input.byte();
    let mut state: GeneratorState = match input.below(4) {
        0 => input.counter().into(),
        1 => TorchCpu::new(seed.into()).into(),
        2 => TorchCuda::new(seed.into(), input.grid()).into(),
        _ => Numpy::new(seed.into()).into(),
    };
    if input.rarely(16) {
        state.spoil(input);
    }
    state
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
                0..100 => next(&mut slots[slot], &tables[0], m, Drawn::Given(Some(z))),
                100..160 => next(&mut slots[slot], &tables[0], m, Drawn::ByGenerators),
                160..176 => next(&mut slots[slot], &tables[0], m, Drawn::Given(None)),
                176..192 => next(&mut slots[slot], &tables[1], m, Drawn::Given(Some(z))),
                192..204 => {
                    m = if what % 2 == 0 { &m[..len / 2] } else { m };
                    z = if what % 3 == 0 { &z[..len - 1] } else { z };
                    next(&mut slots[slot], &tables[0], m, Drawn::Given(Some(z)));
                }
                204..210 => {
                    // Another sample, of another length, and now and then as much noise.
                    let mut other = slots[slot].clone();
                    other.sample = patterns[0][..len + input.below(3) - 1].to_vec();
                    other.preview.resize(other.sample.len(), 0.25);
                    let m = &patterns[0][..other.sample.len()];
                    match what % 3 {
                        0 => next(&mut other, &tables[0], m, Drawn::Given(None)),
                        kind => {
                            let drawn = if kind == 1 { m.len() } else { len };
                            other.drawn.resize(drawn, 0.0);
                            next(&mut other, &tables[0], m, Drawn::ByGenerators);
                            slots[slot].generators = other.generators;
                        }
                    }
                    slots[slot].state = other.state;
                }
                210..228 => slots[1 - slot] = slots[slot].clone(),
                228..236 => slots[slot].state.spoil(&mut input),
                236..240 => slots[slot].generators[0].spoil(&mut input),
                240..248 => tables.swap(0, 1),
                _ => slots[slot] = start(&mut input, &patterns[0]),
            }
        }
    });
});
