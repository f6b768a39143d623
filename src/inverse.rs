//! Inverse problems and guidance (Song et al. 2021, section 5 and appendix I): known parts of a
//! picture put into a sample after each update, and scores combined before it. As in `steps`, each
//! function checks its buffers once, and calls the kernels.

use crate::buf::{self, In, Out};
use crate::error::Error;
use crate::kernels::inverse::{self, COUPLE, DECOUPLE, Guide, Matrix, Mix, Planes};
use crate::kernels::linear;
use crate::noise::Noise;
use crate::simd::dispatch;

/// The buffers of [`impute`].
///
/// ```
/// # use vesde::Counter;
/// # use vesde::inverse::{Imputation, impute};
/// # let (data, mask, sigma, mut sample) = ([0.5; 9], [1.0; 9], 2.0, [0.25; 9]);
/// // After each update of a sample, with a draw of its own:
/// let noise = Counter::new(42, 7);
/// impute(Imputation::in_place(&data, &mask, &mut sample).with_noise(sigma, noise))?;
/// # Ok::<(), vesde::Error>(())
/// ```
#[derive(Debug)]
pub struct Imputation<'a> {
    pub(crate) data: In<'a>,
    pub(crate) mask: In<'a>,
    pub(crate) sample: In<'a>,
    pub(crate) sigma: f32,
    pub(crate) noise: Noise<'a>,
    pub(crate) out: Out<'a>,
}

impl<'a> Imputation<'a> {
    /// The known `data` where `mask` is 1, the `sample` where it is 0, and a mixture between, to
    /// `out`. `data`, `sample` and `out` have one length, which the mask's divides: a mask of one
    /// sample is that of each sample of a batch, and a mask of one channel that of each channel.
    #[must_use]
    pub fn new(
        data: impl Into<In<'a>>,
        mask: impl Into<In<'a>>,
        sample: impl Into<In<'a>>,
        out: impl Into<Out<'a>>,
    ) -> Self {
        let (data, mask, sample, out) = (data.into(), mask.into(), sample.into(), out.into());
        Self { data, mask, sample, sigma: 0.0, noise: Noise::None, out }
    }

    /// Overwrites `sample`.
    #[must_use]
    pub fn in_place(data: impl Into<In<'a>>, mask: impl Into<In<'a>>, sample: &'a mut [f32]) -> Self {
        let out = Out::from(sample);
        Self::new(data, mask, out.as_in(), out)
    }

    /// With noise of standard deviation `sigma` at the data: that of the sample.
    #[must_use]
    pub fn with_noise(self, sigma: f32, noise: impl Into<Noise<'a>>) -> Self {
        Self { sigma, noise: noise.into(), ..self }
    }
}

/// Imputation, the step of inpainting: `out = x·(1 − m) + (d + z·σ)·m` for the sample x, the mask
/// m, the known data d and noise z; without noise, `x·(1 − m) + d·m` (Song et al. 2021, appendix
/// I.2; `score_sde`'s `get_pc_inpainter`, bit for bit). One rounding an operation, from left to
/// right. So unknown data must be numbers, too: a NaN in `data` stays, whatever the mask.
///
/// `score_sde` imputes after the corrector and after the predictor of each step, with the σ of the
/// step's timestep and a draw of its own. Its first sample is the prior's, imputed without noise:
/// it adds the two products in the other order, which makes no difference. Its result, `x_mean`, is
/// the imputed sample, imputed once more without noise. Impute the predictor's mean instead, and
/// the noise of unknown elements is removed as well.
///
/// To split the work, pass parts of all buffers, with [`Counter::at`](crate::Counter::at) for
/// counter noise; a part of a mask that repeats is a whole mask, or a part of one.
///
/// # Errors
/// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers, and `Overlap` where the output
/// touches a mask that repeats; `NullPointer` without noise where σ is not 0.
pub fn impute(imputation: Imputation<'_>) -> Result<(), Error> {
    let Imputation { data, mask, sample, sigma, noise, out } = imputation;
    let source = noise.source_for(sigma)?;
    buf::check(&[sample, data, noise.given().unwrap_or(sample)], &[&out])?;
    noise.check(out.len())?;
    match out.len().checked_rem(mask.len()) {
        None => return Err(Error::Empty),
        Some(0) if mask.len() == out.len() => buf::check(&[mask], &[&out])?,
        Some(0) if out.overlaps(mask) => return Err(Error::Overlap),
        Some(0) => {}
        Some(_) => return Err(Error::LengthMismatch),
    }
    let (mut start, len) = (0, mask.len());
    while start < out.len() {
        let ins = [sample.part(start, len), mask, data.part(start, len)];
        let noise = source.map(|noise| (sigma, noise.part(start, len)));
        inverse::impute(ins, noise, &out.part(start, len));
        start += len;
    }
    Ok(())
}

/// The buffers of [`recolour`].
///
/// ```
/// # use vesde::Counter;
/// # use vesde::inverse::{Recolouring, recolour};
/// # let (gray, sigma, mut sample) = ([0.5; 27], 2.0, [0.25; 27]);
/// // After each update of a sample, with a draw of its own:
/// let noise = Counter::new(42, 7);
/// recolour(Recolouring::in_place(&gray, &mut sample).with_noise(sigma, noise))?;
/// # Ok::<(), vesde::Error>(())
/// ```
#[derive(Debug)]
pub struct Recolouring<'a> {
    pub(crate) gray: In<'a>,
    pub(crate) sample: In<'a>,
    pub(crate) batch: usize,
    pub(crate) sigma: f32,
    pub(crate) noise: Noise<'a>,
    pub(crate) out: Out<'a>,
}

impl<'a> Recolouring<'a> {
    /// The brightness of `gray` and the colours of one `sample`, to `out`. All are of one length:
    /// red, green and blue of an image, one after the other; a gray image has three that are equal.
    #[must_use]
    pub fn new(gray: impl Into<In<'a>>, sample: impl Into<In<'a>>, out: impl Into<Out<'a>>) -> Self {
        let (gray, sample, out) = (gray.into(), sample.into(), out.into());
        Self { gray, sample, batch: 1, sigma: 0.0, noise: Noise::None, out }
    }

    /// Overwrites `sample`.
    #[must_use]
    pub fn in_place(gray: impl Into<In<'a>>, sample: &'a mut [f32]) -> Self {
        let out = Out::from(sample);
        Self::new(gray, out.as_in(), out)
    }

    /// The buffers hold `batch` samples instead of one, one after the other.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// With noise of standard deviation `sigma` at the brightness: that of the sample. One number
    /// for each element of the sample, of which those of the first channel are used.
    #[must_use]
    pub fn with_noise(self, sigma: f32, noise: impl Into<Noise<'a>>) -> Self {
        Self { sigma, noise: noise.into(), ..self }
    }
}

/// The step of colourisation: the sample is [decoupled](decouple), its first channel, the
/// brightness, is replaced by that of the gray image plus z·σ, and it is [coupled](couple) again
/// (Song et al. 2021, appendix I.3; `score_sde`'s `get_pc_colorizer`, bit for bit, except for the
/// sign of a zero and for images of fewer than 45 pixels in a batch, where torch does not fuse). In
/// one pass.
///
/// `score_sde` recolours after the corrector and after the predictor of each step, with the σ of
/// the step's timestep and a draw of its own, of which it uses the first channel. Its result,
/// `x_mean`, is the recoloured sample, recoloured once more without noise. With more than one
/// sample torch draws that noise in the order of pixels, not of channels, after the first step.
///
/// Its first sample is made in another way: it sets the red channel of the prior's sample to zero,
/// decouples that, and adds the brightness of the gray image:
///
/// ```
/// # use vesde::inverse::{couple, decouple};
/// # use vesde::{Combination, linear};
/// const PIXELS: usize = 9;
/// # let (gray, mut sample) = ([0.5; 3 * PIXELS], [0.25; 3 * PIXELS]);
/// // `sample` holds one of the prior.
/// let (mut decoupled, mut brightness) = ([0.0; 3 * PIXELS], [0.0; 3 * PIXELS]);
/// sample[..PIXELS].fill(0.0);
/// decouple(&sample, 1, &mut decoupled)?;
/// decouple(&gray, 1, &mut brightness)?;
/// let first = Combination::in_place(1.0, &mut decoupled[..PIXELS]);
/// linear(first.plus(1.0, &brightness[..PIXELS]))?;
/// couple(&decoupled, 1, &mut sample)?;
/// # Ok::<(), vesde::Error>(())
/// ```
///
/// To split the work, pass whole samples, with [`Counter::at`](crate::Counter::at) for counter
/// noise.
///
/// # Errors
/// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers, and `LengthMismatch` where a
/// sample has no three channels; `NullPointer` without noise where σ is not 0.
pub fn recolour(recolouring: Recolouring<'_>) -> Result<(), Error> {
    let Recolouring { gray, sample, batch, sigma, noise, out } = recolouring;
    let source = noise.source_for(sigma)?;
    buf::check(&[sample, gray, noise.given().unwrap_or(sample)], &[&out])?;
    noise.check(out.len())?;
    let pixels = pixels(out.len(), batch)?;
    let mut start = 0;
    while start < out.len() {
        // All of a draw has a place in the stream, what is used and what is not.
        let noise = source.map(|noise| (sigma, noise.part(start, pixels)));
        let [sample, gray] = [sample, gray].map(|x| planes(|at| x.part(start + at, pixels), pixels));
        inverse::recolour(sample, gray, noise, &planes(|at| out.part(start + at, pixels), pixels));
        start += 3 * pixels;
    }
    Ok(())
}

/// Brightness and two channels of colour from red, green and blue, of `batch` images one after the
/// other: the row (red, green, blue) of each pixel times `score_sde`'s matrix M, whose columns are
/// orthogonal (`get_pc_colorizer`'s `decouple`, bit for bit).
///
/// # Errors
/// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers, and `LengthMismatch` where an
/// image has no three channels.
pub fn decouple<'a>(x: impl Into<In<'a>>, batch: usize, out: impl Into<Out<'a>>) -> Result<(), Error> {
    mix(x.into(), batch, &DECOUPLE, &out.into())
}

/// Red, green and blue from what [`decouple`] makes: times torch's inverse of M
/// (`get_pc_colorizer`'s `couple`, bit for bit).
///
/// # Errors
/// Those of [`decouple`].
pub fn couple<'a>(x: impl Into<In<'a>>, batch: usize, out: impl Into<Out<'a>>) -> Result<(), Error> {
    mix(x.into(), batch, &COUPLE, &out.into())
}

/// Each pixel times a matrix.
fn mix(x: In<'_>, batch: usize, matrix: &Matrix, out: &Out<'_>) -> Result<(), Error> {
    buf::check(&[x], &[out])?;
    let pixels = pixels(out.len(), batch)?;
    let mut start = 0;
    while start < out.len() {
        let ins = planes(|at| x.part(start + at, pixels), pixels);
        dispatch(Mix { ins, matrix, outs: planes(|at| out.part(start + at, pixels), pixels) });
        start += 3 * pixels;
    }
    Ok(())
}

/// How many pixels a channel has; at least one, of a buffer that is not empty.
fn pixels(len: usize, batch: usize) -> Result<usize, Error> {
    let channels = batch.checked_mul(3).ok_or(Error::LengthMismatch)?;
    match len.checked_rem(channels) {
        None => Err(Error::Empty),
        Some(0) => Ok(len.checked_div(channels).unwrap_or_default()),
        Some(_) => Err(Error::LengthMismatch),
    }
}

/// The channels of an image, each from where it begins.
fn planes<T>(plane: impl Fn(usize) -> T, pixels: usize) -> Planes<T> {
    [plane(0), plane(pixels), plane(2 * pixels)]
}

/// Classifier-free guidance (Ho and Salimans 2022): `out = u + w·(c − u)` for the scores of a
/// network without and with the condition: w = 0 gives `unconditional`, 1 `conditional`, and more a
/// stronger condition. The paper's weight is w − 1. Denoised samples and noise predictions combine
/// in the same way. One rounding an operation: difference, product, sum.
///
/// With a classifier's gradient the score is `score + w·∇ₓ log p(y | x, σ)`, which is
/// [`linear`](crate::linear) of the two (Song et al. 2021, appendix I.1; `score_sde`'s
/// `get_pc_conditional_sampler` with w = 1).
///
/// To split the work, pass parts of all buffers.
///
/// # Errors
/// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers.
pub fn guide<'a>(
    unconditional: impl Into<In<'a>>,
    conditional: impl Into<In<'a>>,
    weight: f32,
    out: impl Into<Out<'a>>,
) -> Result<(), Error> {
    let (ins, out) = ([unconditional.into(), conditional.into()], out.into());
    buf::check(&ins, &[&out])?;
    dispatch(Guide { ins, weight, out });
    Ok(())
}

/// Tweedie's formula: the posterior mean of the clean data, `out = sample + σ²·score` for the score
/// at the sample and σ, with σ² rounded first. The denoised sample that ends ncsnv2's loop, and
/// `score_sde`'s where its last timestep has index 0.
///
/// To split the work, pass parts of all buffers.
///
/// # Errors
/// `Empty`, `LengthMismatch`, `Overlap`, `TooLarge` for the buffers.
pub fn tweedie<'a>(
    sample: impl Into<In<'a>>,
    score: impl Into<In<'a>>,
    sigma: f32,
    out: impl Into<Out<'a>>,
) -> Result<(), Error> {
    let (sample, score, out) = (sample.into(), score.into(), out.into());
    buf::check(&[sample, score], &[&out])?;
    linear::linear(&[(1.0, sample), (sigma * sigma, score)], None, &out, None, None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Counter;

    const LEN: usize = 3 * 1300;

    /// What a function does with views of its inputs and an output.
    type Run<'r> = dyn Fn(&[In<'_>], Out<'_>) + 'r;

    /// Runs it with an output of its own, and with each input as the output, as C may.
    fn into_each_input(inputs: usize, run: &Run<'_>) {
        let value = |which: usize, i: usize| ((which * 7919 + i * 104_729) % 1009) as f32 / 512.0 - 1.0;
        let result = |out_at: usize| -> Vec<u32> {
            let mut buffers: Vec<[f32; LEN]> =
                (0..=inputs).map(|which| core::array::from_fn(|i| value(which, i))).collect();
            let views: Vec<Out<'_>> = buffers.iter_mut().map(Out::from).collect();
            let ins: Vec<In<'_>> = views.iter().map(Out::as_in).collect();
            run(&ins[..inputs], views[out_at].again());
            ins[out_at].iter().map(f32::to_bits).collect()
        };
        let want = result(inputs);
        for at in 0..inputs {
            assert_eq!(result(at), want, "input {at}");
        }
    }

    fn noise(kind: usize, given: In<'_>) -> Noise<'_> {
        let counter = Counter { seed: 1, stream: 2, index: 77 };
        [Noise::None, Noise::Given(given), Noise::Counter(counter)][kind]
    }

    #[test]
    fn outputs_may_be_any_of_the_inputs() {
        for kind in 0..3 {
            let sigma = if kind == 0 { 0.0 } else { 0.75 };
            into_each_input(4, &|ins, out| {
                let job = Imputation::new(ins[0], ins[1], ins[2], out);
                impute(job.with_noise(sigma, noise(kind, ins[3]))).unwrap();
            });
            for batch in [1, 2] {
                into_each_input(3, &|ins, out| {
                    let job = Recolouring::new(ins[0], ins[1], out).with_batch(batch);
                    recolour(job.with_noise(sigma, noise(kind, ins[2]))).unwrap();
                });
            }
        }
        into_each_input(1, &|ins, out| decouple(ins[0], 2, out).unwrap());
        into_each_input(1, &|ins, out| couple(ins[0], 1, out).unwrap());
        into_each_input(2, &|ins, out| guide(ins[0], ins[1], 1.5, out).unwrap());
        into_each_input(2, &|ins, out| tweedie(ins[0], ins[1], 1.5, out).unwrap());
    }

    #[test]
    fn a_mask_that_repeats_is_no_output() {
        let mut buffer = [0.5; 12];
        let out = Out::from(&mut buffer);
        let x = out.as_in();
        let mask = x.part(0, 6);
        assert_eq!(impute(Imputation::new(x, mask, x, out.again())), Err(Error::Overlap));
        assert_eq!(impute(Imputation::new(x, x, x, out.again())), Ok(()));
    }
}
