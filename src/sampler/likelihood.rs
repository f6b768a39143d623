//! Log-densities and bits per dimension (Song et al. 2021, section 4.3 and appendix D.2): scalar
//! formulas.

use crate::buf::In;
use crate::error::Error;
use crate::norms::{block_sums, norm_blocks};

/// The log-density of a sample of data, in nats, and its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct LogLikelihood {
    /// log p(x), the sum of the two.
    pub log_density: f64,
    /// That of the code under the prior.
    pub prior: f64,
    /// The integral of the drift's divergence on the way from the data to the code.
    pub divergence: f64,
}

/// The log-density of one sample of data from its code z and the integral of the divergence: the
/// results of an [`Ode`](crate::ode::Ode) job that encodes, with a divergence.
///
/// It is the density of data with noise of σ(`sampling_eps`), about `sigma_min`, on them.
///
/// # Errors
/// Those of [`prior_log_density`].
pub fn log_likelihood<'a>(
    sigma_max: f64,
    z: impl Into<In<'a>>,
    divergence: f64,
) -> Result<LogLikelihood, Error> {
    let prior = prior_log_density(sigma_max, z)?;
    Ok(LogLikelihood { log_density: prior + divergence, prior, divergence })
}

/// The log-density of one sample z under the prior N(0, σ²), in nats: −D/2·ln(2πσ²) − Σz²/(2σ²)
/// with σ = `sigma_max` and D the length of z (`score_sde`'s `prior_logp`). The sum is that of
/// [`sum_squares`](crate::norms::sum_squares).
///
/// # Errors
/// `Empty`, `TooLarge`; `InvalidSigmaMax` where `sigma_max` is not finite and greater than 0.
pub fn prior_log_density<'a>(sigma_max: f64, z: impl Into<In<'a>>) -> Result<f64, Error> {
    let z = z.into();
    if !(sigma_max > 0.0 && sigma_max.is_finite()) {
        return Err(Error::InvalidSigmaMax);
    }
    let mut sum = 0.0;
    block_sums(crate::noise::Noise::Given(z), z.len(), norm_blocks(z.len()), &mut |block| sum += block)?;
    let variance = sigma_max * sigma_max;
    Ok(-(z.len() as f64) / 2.0 * libm::log(core::f64::consts::TAU * variance) - sum / (2.0 * variance))
}

/// Bits per dimension of data of so many levels, 256 for 8-bit pixels: `−log p/(D·ln 2) +
/// log₂(levels·slope)`. D is the dimensions of a sample, and `slope` how far data in 0..=1 move
/// with what the network sees: 1 for data in 0..=1, ½ for data in −1..=1 (`score_sde`'s version
/// for JAX; the one for torch agrees for these two).
#[must_use]
pub fn bits_per_dim(log_density: f64, dims: usize, levels: f64, slope: f64) -> f64 {
    -log_density / (dims as f64 * core::f64::consts::LN_2) + libm::log2(levels * slope)
}
