//! A plan run on the CPU.

use core::mem::MaybeUninit;

use super::Buffers;
use super::plan::{MOST_KEEPS, Operand, Plan, PlanNoise, PlanTerm, Reduction};
use crate::buf::{In, Out};
use crate::config::Config;
use crate::error::Error;
use crate::kernels::linear::{MOST_TERMS, NoiseTerm, Term, linear, linear_and_keep, linear_twice};
use crate::kernels::{Place, Source};
use crate::noise::Noise;
use crate::norms::CorrectorStep;
use crate::schedule::Schedule;
use crate::steps::{Combination, Scheduler, Step};

impl Plan {
    /// The same with the factors that its reduction stands for.
    #[must_use]
    pub fn with_corrector_step(mut self, step: CorrectorStep) -> Self {
        self.terms.set_factor(1, step.step_size);
        Self { noise_factor: step.noise_factor, reduction: Reduction::None, ..self }
    }

    /// Runs the plan, as [`Sampler::next`](super::Sampler::next) does, on `len` elements of a job's
    /// buffers from `start` on: on the engine's threads, in any split. Noise is that of the
    /// buffers, or, if they have none, the plan's counter noise.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` and `BufferTooSmall` for the buffers;
    /// `LengthMismatch` where the part is not within them; `InvalidSampler` where the plan has a
    /// reduction, which is to be made first ([`with_corrector_step`](Self::with_corrector_step)),
    /// or its terms have a denoised sample that it lacks.
    pub fn run(&self, buffers: Buffers<'_>, start: usize, len: usize) -> Result<(), Error> {
        let whole = buffers.sample.len();
        let slots = self.all_terms().map(|term| match term.operand {
            Operand::Kept(slot) => slot.saturating_add(1),
            _ => 0,
        });
        let kept = self.keeps().iter().map(|keep| keep.slot.saturating_add(1));
        let history = slots.chain(kept).max().unwrap_or(0).checked_mul(whole).ok_or(Error::TooLarge)?;
        buffers.check(1, history)?;
        if len == 0 {
            return Err(Error::Empty);
        }
        if start.checked_add(len).is_none_or(|end| end > whole) {
            return Err(Error::LengthMismatch);
        }
        let lacks_denoised = self.denoised.is_none() && self.clamps_denoised();
        if self.reduction != Reduction::None || lacks_denoised {
            return Err(Error::InvalidSampler);
        }
        let counters = [Some(self.counter), self.churn.map(|churn| churn.counter)];
        for counter in counters.into_iter().flatten() {
            Noise::Counter(counter).check(whole)?;
        }
        let noise = buffers.noise.map_or(self.counter.into(), Noise::Given);
        run_part(self, &buffers, noise, start, len);
        Ok(())
    }
}

/// Runs a plan on buffers that were checked.
pub(super) fn run(plan: &Plan, buffers: &Buffers<'_>, batch: u64, noise: Noise<'_>) -> Result<(), Error> {
    let Buffers { sample, model_output, .. } = buffers;
    noise.check(sample.len())?;
    let Reduction::CorrectorNorms { snr, averaging, norm } = plan.reduction else {
        run_part(plan, buffers, noise, 0, sample.len());
        return Ok(());
    };
    let config = Config { snr, ..Config::default() };
    let schedule = Schedule { timesteps: &[], sigmas: &[], discrete_sigmas: &[] };
    let batch = usize::try_from(batch).map_err(|_| Error::LengthMismatch)?;
    let step = Step::over(*model_output, sample).with_batch(batch).with_noise(noise);
    let preview = || preview(plan, buffers, 0, sample.len());
    Scheduler { config, schedule }.step_correct_after(averaging, norm, step, &preview)?;
    let Some((low, high)) = plan.clamp else { return Ok(()) };
    crate::steps::linear(Combination::new(sample.again()).plus(1.0, sample.as_in()).clamped(low, high))
}

/// Writes the denoised sample where it is asked for.
fn preview(plan: &Plan, buffers: &Buffers<'_>, start: usize, len: usize) {
    if let (Some(out), Some(denoised)) = (&buffers.denoised, plan.denoised) {
        let (x, m) = (buffers.sample.as_in(), buffers.model_output);
        let terms = [(denoised.sample, x.part(start, len)), (denoised.model_output, m.part(start, len))];
        let rest = if denoised.sample == 0.0 { 1 } else { 0 };
        let terms = terms.get(rest..).unwrap_or_default();
        linear(terms, None, &out.part(start, len), None, denoised.clamp);
    }
}

/// Floats of a part whose sums wait on the stack.
const PART: usize = 256;

/// Floats of a part of which nothing waits: 16 KiB, which stay in the nearest cache.
const LONG_PART: usize = 4096;

/// When what is kept can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Before the plan's sum, which does not read it.
    Before,
    /// Behind it: the sample is not read.
    Behind,
    /// It must wait on the stack.
    Waiting,
}

/// When a plan's sums that are kept can be written. The model output may be the sample.
fn when_kept(plan: &Plan, buffers: &Buffers<'_>) -> When {
    let [keep] = plan.keeps() else { return When::Waiting };
    let reads = |terms: &[PlanTerm], operand| terms.iter().any(|term| term.operand == operand);
    if !reads(plan.terms(), Operand::Kept(keep.slot)) {
        When::Before
    } else if !reads(keep.terms(), Operand::Sample) && !buffers.sample.overlaps(buffers.model_output) {
        When::Behind
    } else {
        When::Waiting
    }
}

/// Runs elements of a plan that has no reduction.
#[inline(never)] // so that it is in the library once
fn run_part(plan: &Plan, buffers: &Buffers<'_>, noise: Noise<'_>, start: usize, len: usize) {
    preview(plan, buffers, start, len);
    if plan.is_nothing() {
        return;
    }
    let source = if plan.noise_factor == 0.0 { None } else { noise.source() };
    let all = Part { buffers, start, len, denoised: In::NONE };
    if plan.keeps().is_empty() && !plan.clamps_denoised() {
        all.sum(plan, source);
    } else if plan.clamps_denoised() || !all.sum_and_keep(plan, source) {
        all.by_parts(plan, source);
    }
    if let Some(PlanNoise { factor, counter, .. }) = plan.churn {
        let (x, noise) = (buffers.sample.part(start, len), Source::Counter(Place::from(counter).skip(start)));
        linear(&[(1.0, x.as_in())], Some((factor, noise)), &x, None, None);
    }
}

/// Whether something multiplies a term's product once more.
fn has_second_factor(terms: &[PlanTerm]) -> bool {
    terms.iter().any(|term| term.second_factor != 1.0)
}

/// Some elements of a job's buffers, and of the denoised sample, if it is on the stack.
#[derive(Clone, Copy)]
struct Part<'a> {
    buffers: &'a Buffers<'a>,
    start: usize,
    len: usize,
    denoised: In<'a>,
}

impl<'a> Part<'a> {
    /// A buffer of the history.
    fn kept(&self, slot: usize) -> Out<'a> {
        let start = slot.saturating_mul(self.buffers.sample.len()).saturating_add(self.start);
        self.buffers.workspace.part(start, self.len)
    }

    /// The terms of a sum.
    #[inline(never)] // so that it is in the library once
    fn terms(&self, terms: &[PlanTerm]) -> [Term<'a>; MOST_TERMS] {
        let mut all = [(0.0, In::NONE); MOST_TERMS];
        for (to, term) in all.iter_mut().zip(terms) {
            let buffer = match term.operand {
                Operand::Sample => self.buffers.sample.as_in().part(self.start, self.len),
                Operand::ModelOutput => self.buffers.model_output.part(self.start, self.len),
                Operand::Denoised => self.denoised,
                Operand::Kept(slot) => self.kept(slot).as_in(),
            };
            *to = (term.factor, buffer);
        }
        all
    }

    /// The sum of a plan, in place.
    #[inline(never)] // so that it is in the library once
    fn sum(&self, plan: &Plan, source: Option<Source<'_>>) {
        let noise = source.map(|source| (plan.noise_factor, source.part(self.start, self.len)));
        let out = self.buffers.sample.part(self.start, self.len);
        self.sum_of(plan.terms(), noise, &out, plan.clamp);
    }

    /// The sum of some terms and noise.
    fn sum_of(
        &self,
        summed: &[PlanTerm],
        noise: Option<NoiseTerm<'_>>,
        out: &Out<'_>,
        clamp: Option<(f32, f32)>,
    ) {
        let all = self.terms(summed);
        let terms = all.get(..summed.len()).unwrap_or_default();
        if !has_second_factor(summed) {
            return linear(terms, noise, out, None, clamp);
        }
        let mut second_factors = [1.0; MOST_TERMS];
        for (to, term) in second_factors.iter_mut().zip(summed) {
            *to = term.second_factor;
        }
        let second_factors = second_factors.get(..terms.len()).unwrap_or_default();
        linear_twice(terms, second_factors, noise, out, None, clamp);
    }

    /// The same and what is kept in one pass, where there is a kernel for it.
    fn sum_and_keep(&self, plan: &Plan, source: Option<Source<'_>>) -> bool {
        let ([keep], None) = (plan.keeps(), plan.clamp) else { return false };
        if has_second_factor(plan.terms()) || has_second_factor(keep.terms()) {
            return false;
        }
        let factors = match *keep.terms() {
            [
                PlanTerm { factor: a, operand: Operand::Sample, .. },
                PlanTerm { factor: b, operand: Operand::ModelOutput, .. },
            ] => [a, b],
            _ => return false,
        };
        let in_order = matches!(
            *plan.terms(),
            [PlanTerm { operand: Operand::Sample, .. }, PlanTerm { operand: Operand::ModelOutput, .. }, ..,]
        );
        let all = self.terms(plan.terms());
        let terms = all.get(..plan.terms().len()).unwrap_or_default();
        let noise = source.map(|source| (plan.noise_factor, source.part(self.start, self.len)));
        let out = self.buffers.sample.part(self.start, self.len);
        in_order && linear_and_keep(terms, noise, &out, factors, &self.kept(keep.slot))
    }

    /// The same of any plan, part by part: what is kept waits on the stack until all is read, if it
    /// must.
    #[inline(never)] // its stack is for plans that need it
    fn by_parts(&self, plan: &Plan, source: Option<Source<'_>>) {
        let mut on_stack = [const { MaybeUninit::uninit() }; PART * (MOST_KEEPS + 1)];
        let on_stack = Out::from(&mut on_stack);
        let when = when_kept(plan, self.buffers);
        let waiting = if when == When::Waiting { plan.keeps().len() } else { 0 };
        let unit = match waiting + usize::from(plan.clamps_denoised()) {
            0 => LONG_PART,
            1 => PART * 2,
            _ => PART,
        };
        let end = self.start + self.len;
        let mut start = self.start;
        while start < end {
            // A part ends where a group of counter noise does.
            let place = source.and_then(Source::place);
            let offset = place.map_or(0, |place| place.offset(start, unit));
            let len = (unit - offset).min(end - start);
            let mut part = Part { start, len, ..*self };
            if let Some(how) = plan.denoised.filter(|_| plan.clamps_denoised()) {
                let denoised = on_stack.part(unit * waiting, len);
                let (x, m) = (self.buffers.sample.as_in(), self.buffers.model_output);
                let terms = [(how.sample, x.part(start, len)), (how.model_output, m.part(start, len))];
                let rest = usize::from(how.sample == 0.0);
                linear(terms.get(rest..).unwrap_or_default(), None, &denoised, None, how.clamp);
                part.denoised = denoised.as_in();
            }
            let kept = |i: usize, slot| {
                if when == When::Waiting { on_stack.part(unit * i, len) } else { part.kept(slot) }
            };
            if when == When::Behind {
                part.sum(plan, source);
            }
            for (i, keep) in plan.keeps().iter().enumerate() {
                part.sum_of(keep.terms(), None, &kept(i, keep.slot), None);
            }
            if when != When::Behind {
                part.sum(plan, source);
            }
            if when == When::Waiting {
                for (i, keep) in plan.keeps().iter().enumerate() {
                    let sum = kept(i, keep.slot);
                    linear(&[(1.0, sum.as_in())], None, &part.kept(keep.slot), None, None);
                }
            }
            start += len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Keep;
    use super::*;

    /// A multistep method of order two with slots in turn, as a plan has it.
    #[test]
    fn a_plan_keeps_and_reads_history() {
        let (mut sample, score, mut workspace) = ([1.0_f32, 2.0], [0.5_f32, -0.25], [f32::NAN; 4]);
        workspace[2..].copy_from_slice(&[8.0, 16.0]);
        let first = Plan::of(&[(0.5, Operand::Sample), (0.25, Operand::Kept(1))])
            .keeping(Keep::of(1, &[(1.0, Operand::Sample), (4.0, Operand::ModelOutput)]));
        let second = Plan::of(&[(1.0, Operand::Sample), (-0.5, Operand::Kept(1))])
            .keeping(Keep::of(0, &[(2.0, Operand::ModelOutput)]));
        // What is kept takes the place of what is read, and is not of the sample.
        let third = Plan::of(&[(1.0, Operand::Sample), (2.0, Operand::Kept(1))])
            .keeping(Keep::of(1, &[(1.0, Operand::ModelOutput)]));
        let all = [first, second, third];
        for (plan, when) in all.into_iter().zip([When::Waiting, When::Before, When::Behind]) {
            let buffers = Buffers::new(&mut sample, &score).with_workspace(&mut workspace);
            assert_eq!(when_kept(&plan, &buffers), when);
            run(&plan, &buffers, 1, Noise::None).unwrap();
        }
        assert_eq!(workspace, [1.0, -0.5, 0.5, -0.25]);
        assert_eq!(sample, [0.5 + 2.0 - 1.5 + 6.0, 1.0 + 4.0 - 0.5 + 2.0]);
        // Two samples do not fit a workspace of three floats.
        let buffers = Buffers::new(&mut sample, &score).with_workspace(&mut workspace[..3]);
        assert_eq!(buffers.check(1, 4), Err(Error::BufferTooSmall));
    }
}
