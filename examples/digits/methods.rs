//! The methods that a program offers by name, and the tables of sigmas that they go along.

use vesde::{
    Churn, Config, Error, Method, SamplerOptions, set_geometric_sigmas, set_karras_sigmas, set_sigmas,
    set_timesteps,
};

/// A method with its options, by the name that engines have for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named {
    pub name: &'static str,
    pub method: Method,
    eta: f32,
    s_churn: f32,
}

impl Named {
    const fn new(name: &'static str, method: Method) -> Self {
        Self { name, method, eta: 0.0, s_churn: 0.0 }
    }

    const fn with_noise(self, eta: f32) -> Self {
        Self { eta, ..self }
    }

    /// The best of 20 calls, by study.py.
    pub const DEFAULT: Self = Self::new("2m-sde", Method::Dpmpp2m).with_noise(1.0);
    /// Song et al. 2021, algorithm 1.
    pub const PC: Self = Self::new("pc", Method::PredictorCorrector);
    pub const ALL: &'static [Self] = &[
        Self::DEFAULT,
        Self::new("2m", Method::Dpmpp2m),
        Self::new("euler", Method::Euler),
        Self::new("euler-a", Method::Euler).with_noise(1.0),
        Self::new("heun", Method::Heun),
        Self { s_churn: 40.0, ..Self::new("edm", Method::Heun) },
        Self::new("dpm2", Method::Dpm2),
        Self::new("2s-a", Method::Dpmpp2s).with_noise(1.0),
        Self::new("3m", Method::Dpmpp3m),
        Self::new("3m-sde", Method::Dpmpp3m).with_noise(1.0),
        Self::new("unipc2", Method::Unipc2),
        Self::new("unipc3", Method::Unipc3),
        Self::new("lms", Method::Lms),
        Self::new("ipndm", Method::Ipndm),
        Self::PC,
    ];

    /// The options that the name stands for.
    pub fn options(&self, seed: u64) -> SamplerOptions {
        SamplerOptions {
            seed,
            method: self.method,
            eta: self.eta,
            // As in Karras et al. 2022, table 5, on ImageNet.
            churn: Churn { s_churn: self.s_churn, s_tmin: 0.05, s_tmax: 50.0 },
            s_noise: (self.s_churn > 0.0).then_some(1.003),
            ..SamplerOptions::default()
        }
    }

    /// Timesteps, sigmas and discrete sigmas of so many steps; or sigmas alone, down to 0.
    pub fn tables(&self, config: &Config, steps: usize, table: Table) -> Result<[Vec<f32>; 3], Error> {
        let along = self.method != Method::PredictorCorrector;
        let empty = if along { 0 } else { steps };
        let [mut timesteps, mut discrete_sigmas] = [(); 2].map(|()| vec![0.0; empty]);
        let mut sigmas = vec![0.0; steps + usize::from(along)];
        let falling = &mut sigmas[..steps];
        match table {
            _ if !along => {
                set_timesteps(config, &mut timesteps[..])?;
                set_sigmas(config, &timesteps, falling, &mut discrete_sigmas[..])?;
            }
            Table::Geometric => set_geometric_sigmas(config.sigma_min, config.sigma_max, falling)?,
            Table::Karras => set_karras_sigmas(config.sigma_min, config.sigma_max, RHO, falling)?,
        }
        Ok([timesteps, sigmas, discrete_sigmas])
    }

    /// How many steps need no more calls of the network than these. The predictor–corrector method
    /// has `corrections` calls more in a step; others with two have one in the last.
    pub fn steps(&self, evaluations: usize, corrections: usize) -> usize {
        let steps = match self.method {
            Method::PredictorCorrector => evaluations / (1 + corrections),
            Method::Heun | Method::Dpm2 | Method::Dpmpp2s => evaluations.div_ceil(2),
            _ => evaluations,
        };
        steps.max(1)
    }
}

/// How the sigmas of methods along sigmas lie between the greatest and the least; the predictor–
/// corrector method has the SDE's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Table {
    Geometric,
    Karras,
}

impl Table {
    pub const ALL: &'static [Self] = &[Self::Geometric, Self::Karras];
}

/// Karras' exponent.
const RHO: f64 = 7.0;
