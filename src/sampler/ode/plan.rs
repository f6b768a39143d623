//! What a turn of the ODE does to the buffers: numbers, and how the CPU runs them. An engine may
//! run them wherever its tensors are, and threads may share them out.

use core::mem::MaybeUninit;

use crate::buf::{self, In, Out};
use crate::error::Error;
use crate::kernels::linear::linear;
use crate::kernels::rk45::{
    Errors, MOST_SLOPES, Newest, Stage, Tolerance, dot, dot_signs, error_norm, first_norms, second_norm,
    stage,
};
use crate::noise::{Counter, Noise};
use crate::norms::{NORM_BLOCK, norm_blocks, store};

/// Derivatives that are kept: two of a step's seven share a place.
pub(crate) const SLOTS: usize = 6;

/// The buffers of an ODE job, or of a part of one: all of one length, except the workspace, which
/// has six times as many floats, and the log-densities.
#[derive(Debug)]
pub struct OdeBuffers<'a> {
    pub(crate) sample: Out<'a>,
    pub(crate) input: Out<'a>,
    pub(crate) model_output: In<'a>,
    pub(crate) slots: [Out<'a>; SLOTS],
    pub(crate) noise: Option<In<'a>>,
    pub(crate) probe: Option<In<'a>>,
    pub(crate) product: Option<In<'a>>,
    pub(crate) log_densities: &'a mut [f64],
    pub(crate) start: usize,
}

impl<'a> OdeBuffers<'a> {
    #[cfg(feature = "capi")]
    pub(crate) const SLOTS: usize = SLOTS;

    /// The sample, which is the solution so far; the network's input and its output for it; and the
    /// derivatives ([`Ode::workspace_len`](super::Ode::workspace_len) floats). The caller leaves
    /// all but the model output alone between calls.
    #[must_use]
    pub fn new(
        sample: &'a mut [f32],
        input: &'a mut [f32],
        model_output: impl Into<In<'a>>,
        workspace: &'a mut [f32],
    ) -> Self {
        Self::of(sample.into(), input.into(), model_output.into(), &workspace.into())
    }

    pub(crate) fn of(sample: Out<'a>, input: Out<'a>, model_output: In<'a>, workspace: &Out<'a>) -> Self {
        let len = sample.len();
        Self {
            slots: core::array::from_fn(|slot| workspace.part(slot.saturating_mul(len), len)),
            sample,
            input,
            model_output,
            noise: None,
            probe: None,
            product: None,
            log_densities: &mut [],
            start: 0,
        }
    }

    /// With the noise that [`OdeRequest::Noise`](super::OdeRequest::Noise) has asked for.
    #[must_use]
    pub fn with_noise(self, noise: impl Into<In<'a>>) -> Self {
        Self { noise: Some(noise.into()), ..self }
    }

    /// With the caller's probe, the same in every call.
    #[must_use]
    pub fn with_probe(self, probe: impl Into<In<'a>>) -> Self {
        Self { probe: Some(probe.into()), ..self }
    }

    /// With the product that a request has asked for.
    #[must_use]
    pub fn with_product(self, product: impl Into<In<'a>>) -> Self {
        Self { product: Some(product.into()), ..self }
    }

    /// With the log-densities, [`Ode::log_densities_len`](super::Ode::log_densities_len) doubles,
    /// which the caller leaves alone between calls: the first one a sample is the result.
    #[must_use]
    pub fn with_log_densities(self, log_densities: &'a mut [f64]) -> Self {
        Self { log_densities, ..self }
    }

    /// A part of a job whose first element is this one of the batch.
    #[must_use]
    pub fn starting_at(self, start: usize) -> Self {
        Self { start, ..self }
    }

    /// The first `mid` elements and the others, to be worked on apart, unless empty. The
    /// log-densities, which are not elements, go to neither.
    #[must_use]
    pub fn split_at(self, mid: usize) -> (Self, Self) {
        let rest = self.sample.len().saturating_sub(mid);
        (self.part(0, mid), self.part(mid, rest))
    }

    /// Some elements, once more.
    #[inline(never)] // so that it is in the library once
    fn part(&self, start: usize, len: usize) -> Self {
        let of = |x: Option<In<'a>>| x.map(|x| x.part(start, len));
        Self {
            sample: self.sample.part(start, len),
            input: self.input.part(start, len),
            model_output: self.model_output.part(start, len),
            slots: self.slots.each_ref().map(|slot| slot.part(start, len)),
            noise: of(self.noise),
            probe: of(self.probe),
            product: of(self.product),
            log_densities: &mut [],
            start: self.start.saturating_add(start),
        }
    }

    /// Checks all that is asked of the buffers that are there.
    #[inline(never)] // so that it is in the library once
    pub(super) fn check(&self) -> Result<(), Error> {
        let Self { sample, input, model_output, slots, noise, probe, product, .. } = self;
        let [a, b, c, d, e, f] = slots;
        if slots.iter().any(|slot| slot.len() < sample.len()) {
            return Err(Error::BufferTooSmall);
        }
        let ins = [*model_output, noise.unwrap_or(*model_output), probe.unwrap_or(*model_output)];
        let ins = [ins[0], ins[1], ins[2], product.unwrap_or(*model_output)];
        let outs = [sample, input, a, b, c, d, e, f];
        buf::check(&ins, &outs)?;
        if outs.iter().any(|out| ins.iter().any(|&x| out.overlaps(x))) {
            return Err(Error::Overlap);
        }
        self.start.checked_add(sample.len()).map(drop).ok_or(Error::TooLarge)
    }

    fn slot(&self, slot: usize) -> Result<&Out<'a>, Error> {
        self.slots.get(slot).ok_or(Error::InvalidSampler)
    }

    /// Where counter noise of the whole job is for these elements.
    fn place(&self, counter: Counter) -> Result<Counter, Error> {
        let end = self.start.checked_add(self.sample.len()).ok_or(Error::TooLarge)?;
        counter.index.checked_add(end as u64).ok_or(Error::TooLarge)?;
        Ok(counter.at(self.start as u64))
    }

    /// Where a probe is: counter noise's signs, or the caller's memory.
    fn signs(&self, counter: Option<Counter>) -> Result<Signs<'a>, Error> {
        match counter {
            Some(counter) => Ok(Signs::Counter(self.place(counter)?)),
            None => self.probe.map(Signs::Given).ok_or(Error::NullPointer),
        }
    }
}

/// A probe.
enum Signs<'a> {
    Given(In<'a>),
    Counter(Counter),
}

/// A factor and the number of the derivative that it multiplies: which of the workspace's buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct OdeTerm {
    /// The factor.
    pub factor: f64,
    /// The derivative's buffer.
    pub slot: usize,
}

/// `y + h·(c₀·k₀ + c₁·k₁ + ...)`, y being the sample: computed in `f64`, one rounding an operation,
/// from left to right, and rounded to `f32` once at the end. Without terms it is y.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OdeSum {
    pub(super) terms: [OdeTerm; MOST_SLOPES],
    pub(super) terms_len: usize,
    /// The step.
    pub h: f64,
}

impl OdeSum {
    /// The terms, in the order in which they are added.
    #[must_use]
    pub fn terms(&self) -> &[OdeTerm] {
        self.terms.get(..self.terms_len).unwrap_or_default()
    }

    /// The most terms.
    #[cfg(feature = "capi")]
    pub(crate) const MOST_TERMS: usize = MOST_SLOPES;

    pub(crate) fn new(h: f64, terms: impl Iterator<Item = OdeTerm>) -> Self {
        let mut sum = Self { h, ..Self::default() };
        for (to, term) in sum.terms.iter_mut().zip(terms) {
            *to = term;
            sum.terms_len += 1;
        }
        sum
    }

    fn factors(&self) -> [f64; MOST_SLOPES] {
        self.terms.map(|term| term.factor)
    }
}

/// What a derivative is made of, times a factor, in `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OdeScore {
    /// The model output.
    #[default]
    ModelOutput,
    /// Half the sum of what this buffer of the workspace holds and the model output: the sum is
    /// rounded, then the product with the factor.
    Average(usize),
    /// What this buffer of the workspace holds.
    Kept(usize),
}

/// What is to be summed over all elements before an [`OdePlan`] is known. K is the newest
/// derivative, [`OdeReduction::factor`] times [`OdeReduction::score`]; y is the sample; everything
/// else is in `f64`. The scale is `atol + rtol·m`, but at least the smallest normal double.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum OdeSums {
    /// Nothing.
    #[default]
    None,
    /// Two sums, of (y/scale)² and of (K/scale)², with m = |y|.
    FirstNorms,
    /// The sum of ((K − k)/scale)² with m = |y|, k being in this buffer of the workspace.
    SecondNorm(usize),
    /// The sum of (err/scale)².
    Error {
        /// `h` and the terms of err = h·(e₀·k₀ + ... + e·K), but for the last.
        error: OdeSum,
        /// The factor e of the newest derivative.
        newest: f64,
        /// The result of the step, y′, from which m = max(|y|, |y′|). Without differences of scores
        /// it is in the input, too.
        step: OdeSum,
    },
}

/// What is to be summed over each sample before an [`OdePlan`] is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OdeDots {
    /// Nothing.
    #[default]
    None,
    /// The products of the probe and the product.
    Product,
    /// The products of the probe and the model output.
    ModelOutput,
    /// Nothing: this element of the product is the sum.
    ProductAt(usize),
    /// Nothing: this element of the model output is the sum.
    ModelOutputAt(usize),
}

/// The reductions of a turn, with all numbers that they need, as
/// [`Ode::reduction`](super::Ode::reduction) makes them. They write no buffer. The plan finds NaN
/// and infinities.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct OdeReduction {
    /// Sums over the batch.
    pub sums: OdeSums,
    /// Sums over each sample.
    pub dots: OdeDots,
    /// The factor of the newest derivative.
    pub factor: f32,
    /// Its score.
    pub score: OdeScore,
    /// The relative tolerance.
    pub rtol: f64,
    /// The absolute tolerance.
    pub atol: f64,
    /// Elements of a sample.
    pub sample_len: usize,
    /// The probe, where it is the signs of counter noise: [`Counter::rademacher`].
    pub probe: Option<Counter>,
}

impl OdeReduction {
    /// How many doubles [`sums`](Self::sums) stores for each [`NORM_BLOCK`] of elements: 0 where
    /// there is nothing to sum, 1 or 2.
    #[must_use]
    pub fn values(&self) -> usize {
        match self.sums {
            OdeSums::None => 0,
            OdeSums::FirstNorms => 2,
            OdeSums::SecondNorm(_) | OdeSums::Error { .. } => 1,
        }
    }

    /// The sums over each [`NORM_BLOCK`] elements of a part that begins at a multiple of it:
    /// [`values`](Self::values) doubles for the first block, then those of the second, and so on.
    /// The totals that [`Ode::plan`](super::Ode::plan) takes are those of all blocks of the batch,
    /// added in order, whoever computed them.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `BufferTooSmall`, `Overlap`, `TooLarge` for the buffers and the
    /// number of blocks; `InvalidSampler` for a buffer that the workspace does not have.
    pub fn sums(&self, buffers: &OdeBuffers<'_>, blocks: &mut [f64]) -> Result<(), Error> {
        let places = blocks.len();
        self.sums_into(buffers, places, &mut store(blocks))
    }

    /// What [`sums`](Self::sums) stores, handed to a sink of `places` places.
    pub(crate) fn sums_into(
        &self,
        buffers: &OdeBuffers<'_>,
        places: usize,
        sink: &mut dyn FnMut(f64),
    ) -> Result<(), Error> {
        buffers.check()?;
        let values = self.values();
        if places != values * norm_blocks(buffers.sample.len()) {
            return Err(Error::LengthMismatch);
        }
        self.each_sum(buffers, &mut |sums| sums.into_iter().take(values).for_each(&mut *sink))
    }

    /// The totals.
    pub(super) fn totals(&self, buffers: &OdeBuffers<'_>) -> Result<[f64; 2], Error> {
        let mut totals = [0.0; 2];
        self.each_sum(buffers, &mut |[x, y]| totals = [totals[0] + x, totals[1] + y])?;
        Ok(totals)
    }

    #[inline(never)] // as above
    fn each_sum(&self, buffers: &OdeBuffers<'_>, sink: &mut dyn FnMut([f64; 2])) -> Result<(), Error> {
        let (y, model_output) = (buffers.sample.as_in(), buffers.model_output);
        let tolerance = Tolerance { rtol: self.rtol, atol: self.atol };
        let kept = |slot| Ok(buffers.slot(slot)?.as_in());
        let (score, held) = match self.score {
            OdeScore::ModelOutput => (model_output, None),
            OdeScore::Average(slot) => (model_output, Some(kept(slot)?)),
            // Half of its sum with itself.
            OdeScore::Kept(slot) => (kept(slot)?, Some(kept(slot)?)),
        };
        let newest = Newest { a: self.factor, score, held };
        match self.sums {
            OdeSums::None => {}
            OdeSums::FirstNorms => first_norms(y, newest, tolerance, sink),
            OdeSums::SecondNorm(slot) => second_norm(y, kept(slot)?, newest, tolerance, sink),
            OdeSums::Error { error, newest: last, step } => {
                let mut slopes = [In::NONE; MOST_SLOPES];
                for (to, term) in slopes.iter_mut().zip(&error.terms) {
                    *to = kept(term.slot)?;
                }
                let [a, b, c, d, e] = error.factors();
                let error = [a, b, c, d, e, last];
                let errors =
                    Errors { y, x: buffers.input.as_in(), slopes, error, step: step.factors(), h: step.h };
                error_norm(&errors, newest, tolerance, sink);
            }
        }
        Ok(())
    }

    /// The sums of a sample over each [`NORM_BLOCK`] of its elements, for a part of the sample that
    /// begins at a multiple of it; one double a block. [`Ode::plan`](super::Ode::plan) takes the
    /// sum of all blocks of a sample, in order. Zeros where nothing is asked for.
    ///
    /// # Errors
    /// Those of [`sums`](Self::sums); `NullPointer` where the product or the probe is missing.
    pub fn dots(&self, buffers: &OdeBuffers<'_>, blocks: &mut [f64]) -> Result<(), Error> {
        let places = blocks.len();
        self.dots_into(buffers, places, &mut store(blocks))
    }

    /// What [`dots`](Self::dots) stores, handed to a sink of `places` places.
    pub(crate) fn dots_into(
        &self,
        buffers: &OdeBuffers<'_>,
        places: usize,
        sink: &mut dyn FnMut(f64),
    ) -> Result<(), Error> {
        buffers.check()?;
        if places != norm_blocks(buffers.sample.len()) {
            return Err(Error::LengthMismatch);
        }
        if self.dots == OdeDots::None {
            (0..places).for_each(|_| sink(0.0));
        }
        self.each_dot(buffers, sink)
    }

    /// The whole sum of sample `i`, of buffers that are a whole job's.
    pub(super) fn dot_of(&self, buffers: &OdeBuffers<'_>, i: usize) -> Result<f64, Error> {
        let mut total = 0.0;
        let sample = buffers.part(i.saturating_mul(self.sample_len), self.sample_len);
        self.each_dot(&sample, &mut |sum| total += sum)?;
        Ok(total)
    }

    #[inline(never)] // as above
    fn each_dot(&self, buffers: &OdeBuffers<'_>, sink: &mut dyn FnMut(f64)) -> Result<(), Error> {
        let product = buffers.product.ok_or(Error::NullPointer);
        let (x, unit) = match self.dots {
            OdeDots::None => return Ok(()),
            OdeDots::Product => (product?, None),
            OdeDots::ModelOutput => (buffers.model_output, None),
            OdeDots::ProductAt(unit) => (product?, Some(unit)),
            OdeDots::ModelOutputAt(unit) => (buffers.model_output, Some(unit)),
        };
        if let Some(unit) = unit {
            let start = buffers.start.checked_rem(self.sample_len).unwrap_or(0);
            for at in (0..x.len()).step_by(NORM_BLOCK) {
                let block = unit.checked_sub(start.saturating_add(at)).filter(|&unit| unit < NORM_BLOCK);
                let element = block.and_then(|unit| x.part(at, NORM_BLOCK).part(unit, 1).iter().next());
                sink(element.map_or(0.0, f64::from));
            }
            return Ok(());
        }
        let mut sink = |[sum, _]: [f64; 2]| sink(sum);
        match buffers.signs(self.probe)? {
            Signs::Given(probe) => dot(x, probe, &mut sink),
            Signs::Counter(counter) => dot_signs(x, counter.into(), &mut sink),
        }
        Ok(())
    }
}

/// The initial sample: `factor·z`, z being noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OdePrior {
    /// The factor: `sigma_max`.
    pub factor: f32,
    /// The noise, if it is counter noise; else it is the caller's.
    pub counter: Option<Counter>,
}

/// What a buffer of the workspace takes: `factor·score`, in `f32`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OdeKeep {
    /// The number of the buffer.
    pub slot: usize,
    /// The factor.
    pub factor: f32,
    /// What it multiplies.
    pub score: OdeScore,
}

/// What becomes of the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OdeSample {
    /// Nothing.
    #[default]
    Unchanged,
    /// It is what the input was.
    Input,
    /// It is a sum.
    Sum(OdeSum),
}

/// What is added to the input at last, in `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OdeShift {
    /// Nothing.
    #[default]
    None,
    /// `factor·probe`, rounded.
    Probe {
        /// The factor.
        factor: f32,
        /// The probe, where it is the signs of counter noise; else it is the caller's.
        counter: Option<Counter>,
    },
    /// The factor to one element of each sample.
    Unit {
        /// The factor.
        factor: f32,
        /// The element.
        unit: usize,
        /// Elements of a sample.
        sample_len: usize,
    },
}

/// What a turn does to the buffers, in this order; each may be nothing. Elementwise: any part of
/// the buffers may be worked on by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct OdePlan {
    /// The initial sample.
    pub prior: Option<OdePrior>,
    /// A derivative that is kept.
    pub keep: Option<OdeKeep>,
    /// The sample's change: a step is accepted.
    pub sample: OdeSample,
    /// The input of the next evaluation, made from the sample as it is then.
    pub input: Option<OdeSum>,
    /// What is added to it.
    pub shift: OdeShift,
}

impl OdePlan {
    /// Runs the plan on all buffers or a part of them, which may begin anywhere.
    ///
    /// # Errors
    /// `Empty`, `LengthMismatch`, `BufferTooSmall`, `Overlap`, `TooLarge` for the buffers;
    /// `NullPointer` where noise or the probe is missing; `InvalidSampler` for a buffer that the
    /// workspace does not have.
    pub fn run(&self, buffers: &mut OdeBuffers<'_>) -> Result<(), Error> {
        buffers.check()?;
        self.check(buffers)?;
        self.run_checked(buffers)
    }

    /// Checks that all is there which the plan takes: it is run as a whole or not at all.
    fn check(&self, buffers: &OdeBuffers<'_>) -> Result<(), Error> {
        let sample = if let OdeSample::Sum(sum) = &self.sample { Some(sum) } else { None };
        for term in sample.into_iter().chain(&self.input).flat_map(OdeSum::terms) {
            buffers.slot(term.slot)?;
        }
        if let Some(OdeKeep { slot, score, .. }) = self.keep {
            buffers.slot(slot)?;
            if let OdeScore::Average(slot) | OdeScore::Kept(slot) = score {
                buffers.slot(slot)?;
            }
        }
        match self.prior {
            Some(OdePrior { counter: Some(counter), .. }) => drop(buffers.place(counter)?),
            Some(_) if buffers.noise.is_none() => return Err(Error::NullPointer),
            _ => {}
        }
        if let OdeShift::Probe { counter, .. } = self.shift {
            buffers.signs(counter)?;
        }
        Ok(())
    }

    pub(super) fn run_checked(&self, buffers: &OdeBuffers<'_>) -> Result<(), Error> {
        let Self { prior, keep, sample, input, shift } = self;
        let OdeBuffers { sample: y, input: x, model_output: score, .. } = buffers;
        match (prior, keep, sample, input, shift) {
            // A stage in one pass, or, where a step is accepted, the next one's first stage behind
            // a copy of what is in the nearest cache then.
            (
                None,
                &Some(OdeKeep { slot, factor: a, score: OdeScore::ModelOutput }),
                OdeSample::Unchanged | OdeSample::Input,
                Some(sum),
                OdeShift::None,
            ) if sum.terms().last().is_some_and(|last| last.slot == slot) => {
                if *sample == OdeSample::Unchanged {
                    return combine(buffers, sum, Some((a, *score)), x);
                }
                buffers.slot(slot)?;
                for at in (0..y.len()).step_by(PART) {
                    let part = buffers.part(at, PART);
                    copy(part.input.as_in(), &part.sample);
                    combine(&part, sum, Some((a, part.model_output)), &part.input)?;
                }
                Ok(())
            }
            (None, None, OdeSample::Unchanged, None, OdeShift::None) => Ok(()),
            (None, None, OdeSample::Unchanged, Some(sum), OdeShift::None) => combine(buffers, sum, None, x),
            (None, None, OdeSample::Input, None, OdeShift::None) => {
                copy(x.as_in(), y);
                Ok(())
            }
            _ => self.run_by_parts(buffers),
        }
    }

    /// Any plan, one thing after the other on parts that stay in the nearest caches.
    #[inline(never)]
    fn run_by_parts(&self, buffers: &OdeBuffers<'_>) -> Result<(), Error> {
        for at in (0..buffers.sample.len()).step_by(PART) {
            self.run_part(&buffers.part(at, PART))?;
        }
        Ok(())
    }

    fn run_part(&self, buffers: &OdeBuffers<'_>) -> Result<(), Error> {
        let OdeBuffers { sample: y, input: x, model_output, noise, start, .. } = buffers;
        if let Some(OdePrior { factor, counter }) = self.prior {
            let noise = match (counter, noise) {
                (Some(counter), _) => Noise::Counter(counter.at(*start as u64)),
                (None, Some(noise)) => Noise::Given(*noise),
                (None, None) => return Err(Error::NullPointer),
            };
            linear(&[], noise.source().map(|z| (factor, z)), y, None, None);
        }
        if let Some(OdeKeep { slot, factor, score }) = self.keep {
            let k = buffers.slot(slot)?;
            let score = match score {
                OdeScore::ModelOutput => *model_output,
                OdeScore::Kept(slot) => buffers.slot(slot)?.as_in(),
                OdeScore::Average(slot) => {
                    let held = buffers.slot(slot)?.as_in();
                    linear(&[(1.0, held), (1.0, *model_output)], None, k, None, None);
                    linear(&[(0.5, k.as_in())], None, k, None, None);
                    k.as_in()
                }
            };
            linear(&[(factor, score)], None, k, None, None);
        }
        match &self.sample {
            OdeSample::Unchanged => {}
            OdeSample::Input => copy(x.as_in(), y),
            OdeSample::Sum(sum) => {
                combine(buffers, sum, None, x)?;
                copy(x.as_in(), y);
            }
        }
        if let Some(sum) = &self.input {
            combine(buffers, sum, None, x)?;
        }
        match self.shift {
            OdeShift::None => {}
            OdeShift::Probe { factor, counter } => match buffers.signs(counter)? {
                Signs::Given(probe) => shift(x, factor, probe),
                Signs::Counter(counter) => {
                    let mut signs = [const { MaybeUninit::uninit() }; PART_ON_STACK];
                    let signs = Out::from(&mut signs);
                    for at in (0..x.len()).step_by(PART_ON_STACK) {
                        let x = x.part(at, PART_ON_STACK);
                        let out = signs.part(0, x.len());
                        counter.at(at as u64).rademacher(out.again())?;
                        shift(&x, factor, out.as_in());
                    }
                }
            },
            OdeShift::Unit { factor, unit, sample_len } => {
                let end = start.saturating_add(x.len());
                let sample = |at: usize| at.checked_div(sample_len);
                let (Some(first), Some(last)) = (sample(*start), sample(end)) else { return Ok(()) };
                for sample in first..=last {
                    let at = sample.saturating_mul(sample_len).saturating_add(unit);
                    if let Some(at) = at.checked_sub(*start)
                        && let Some(element) = x.as_in().part(at, 1).iter().next()
                    {
                        x.set(at, element + factor);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Floats of a part: 16 KiB a buffer.
const PART: usize = NORM_BLOCK;

/// Floats of a probe that waits on the stack.
const PART_ON_STACK: usize = 512;

#[inline(never)] // as above
fn copy(from: In<'_>, to: &Out<'_>) {
    linear(&[(1.0, from)], None, to, None, None);
}

/// `x + factor·probe`.
#[inline(never)] // as above
fn shift(x: &Out<'_>, factor: f32, probe: In<'_>) {
    linear(&[(1.0, x.as_in()), (factor, probe)], None, x, None, None);
}

/// A sum into `x`, the last derivative of which is made of a score, or is there.
fn combine(
    buffers: &OdeBuffers<'_>,
    sum: &OdeSum,
    newest: Option<(f32, In<'_>)>,
    x: &Out<'_>,
) -> Result<(), Error> {
    let y = buffers.sample.as_in();
    let Some((last, others)) = sum.terms().split_last() else {
        copy(y, x);
        return Ok(());
    };
    let k = buffers.slot(last.slot)?;
    let mut slopes = [In::NONE; MOST_SLOPES - 1];
    for (to, term) in slopes.iter_mut().zip(others) {
        *to = buffers.slot(term.slot)?.as_in();
    }
    // One that is there is stored as it is, once more.
    let (a, score) = newest.unwrap_or((1.0, k.as_in()));
    let (coefficients, h) = (sum.factors(), sum.h);
    stage(Stage { y, slopes, score, coefficients, h, a, x: x.again(), k: k.again() }, sum.terms_len);
    Ok(())
}
