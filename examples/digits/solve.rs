//! The probability-flow ODE of a batch, solved with whatever network there is.

use vesde::ode::{Ode, OdeBuffers, OdeOptions, OdeRequest, OdeStats};
use vesde::{Config, Error};

/// The results besides the solution.
pub struct Solved {
    pub stats: OdeStats,
    /// For each digit, if it was asked for.
    pub divergences: Vec<f64>,
}

/// A network for the ODE.
pub trait Scores {
    /// What may go wrong.
    type Error: From<Error>;

    /// The score at `x`.
    fn score(&mut self, x: &[f32], sigma: f32, score: &mut [f32]) -> Result<(), Self::Error>;

    /// And its Jacobian's product with the probe, J·ν or Jᵀ·ν.
    fn score_and_product(
        &mut self,
        x: &[f32],
        sigma: f32,
        probe: &[f32],
        score: &mut [f32],
        product: &mut [f32],
    ) -> Result<(), Self::Error>;
}

/// Solves the ODE for `batch` samples with one step size. `watch` is shown the solution where it
/// begins and behind each step, with its sigma and timestep.
pub fn solve<S: Scores>(
    config: &Config,
    batch: usize,
    options: OdeOptions,
    scores: &mut S,
    sample: &mut [f32],
    mut watch: impl FnMut(&[f32], f32, f32),
) -> Result<Solved, S::Error> {
    let mut ode = Ode::new(config, batch, options)?;
    let [mut input, mut score, mut product, mut probe] = [(); 4].map(|()| vec![0.0; sample.len()]);
    let mut workspace = vec![0.0; ode.workspace_len(sample.len())?];
    let mut log_densities = vec![0.0; ode.log_densities_len()?];
    ode.probe().rademacher(&mut probe[..])?;
    loop {
        let buffers = OdeBuffers::new(sample, &mut input, &score, &mut workspace)
            .with_product(&product)
            .with_log_densities(&mut log_densities);
        let request = ode.next(buffers)?;
        if let OdeRequest::Score { sigma, timestep, stage, accepted, .. }
        | OdeRequest::ScoreAndProduct { sigma, timestep, stage, accepted, .. } = request
            && (accepted || stage == 1)
        {
            watch(sample, sigma, timestep);
        }
        match request {
            OdeRequest::Score { sigma, .. } => scores.score(&input, sigma, &mut score)?,
            OdeRequest::ScoreAndProduct { sigma, .. } => {
                scores.score_and_product(&input, sigma, &probe, &mut score, &mut product)?;
            }
            _ => break,
        }
    }
    log_densities.truncate(batch);
    Ok(Solved { stats: ode.stats(), divergences: log_densities })
}
