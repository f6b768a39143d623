//! Options that several jobs have.

use std::error::Error;

use clap::Args;
use indicatif::ProgressBar;
use vesde::{Config, Counter};

use crate::command::{bar, kebab_case, named, one_of};
use crate::denoiser::Condition;
use crate::held_out::{self, NAMES, PER_CLASS};
use crate::inverse::Consistency;
use crate::methods::{Named, Table};
use crate::network::{CLASSES, PIXELS};
use crate::sampling::Job;

/// How to sample.
#[derive(Args, Clone, Copy)]
pub struct Sampling {
    /// How to sample
    #[arg(long, value_name = "NAME", default_value = Named::DEFAULT.name, value_parser = named())]
    pub sampler: Named,
    /// Calls of the network, at most [default: 20, and 400 of pc]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub evaluations: Option<u32>,
    /// The table of noise scales; pc has its own
    #[arg(long, default_value = "karras", value_parser = one_of(Table::ALL))]
    pub table: Table,
    /// Weight of the class: 0 leaves it out, 1 is the class as it is, more exaggerates it and lets
    /// each call of the network have a batch twice as large [default: 1, and 1.5 of sample]
    #[arg(long, value_parser = finite)]
    guidance: Option<f32>,
    /// Seed of the noise
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
}

impl Sampling {
    /// Of a job that has this guidance unless another is named.
    pub fn with_default_guidance(&self, guidance: f32) -> Self {
        Self { guidance: self.guidance.or(Some(guidance)), ..*self }
    }

    /// The weight of the class.
    pub fn guidance(&self) -> f32 {
        self.guidance.unwrap_or(1.0)
    }

    /// The job, which calls the network `evaluations` times unless it is said.
    pub fn job(&self, config: Config, evaluations: u32) -> Job<'static> {
        let Self { seed, sampler, table, .. } = *self;
        let evaluations = if sampler == Named::PC { 400 } else { evaluations };
        let evaluations = self.evaluations.unwrap_or(evaluations) as usize;
        let steps = sampler.steps(evaluations, config.correct_steps as usize);
        Job { config, seed, sampler, steps, table, known: None }
    }

    /// In words.
    pub fn described(&self) -> String {
        let Self { seed, sampler, table, .. } = self;
        let guidance = self.guidance();
        let table = if *sampler == Named::PC { &Table::Geometric } else { table };
        format!(
            "{}, {} table, guidance {guidance}, seed {seed}",
            sampler.name,
            kebab_case(&format!("{table:?}"))
        )
    }

    /// Noise apart from the sampler's, whose draws are numbered from 0.
    pub fn noise(&self, draw: u64) -> Counter {
        Counter::new(self.seed, (1 << 32) + draw)
    }
}

/// Which held-out clothes are to be restored, and how.
#[derive(Args)]
pub struct Restoring {
    #[command(flatten)]
    pub sampling: Sampling,
    /// How the denoised sample is made to agree with what is known; inpaint's pc has its own way
    #[arg(long, default_value = "covariance", value_parser = one_of(Consistency::ALL))]
    pub consistency: Consistency,
    /// covariance: steps of conjugate gradients for each call
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub iterations: u32,
    /// Only clothes of this class, by name or by number [default: one of each]
    #[arg(long, value_parser = class)]
    class: Option<usize>,
    /// Which of the ten held-out clothes of a class, from 0
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..PER_CLASS as i64))]
    number: u32,
}

impl Restoring {
    /// The classes, and a picture of each.
    pub fn real(&self) -> Result<(Vec<usize>, Vec<f32>), Box<dyn Error>> {
        let classes = self.class.map_or((0..CLASSES).collect(), |class| vec![class]);
        let pictures = held_out::pictures(&classes, self.number as usize)?;
        Ok((classes, pictures))
    }

    /// The network's conditions where each picture is restored so many times.
    pub fn conditions(&self, classes: &[usize], times: usize) -> Vec<Condition> {
        let of_class = |&class| vec![Condition::guided(class, self.sampling.guidance()); times];
        classes.iter().flat_map(of_class).collect()
    }
}

/// Each picture so many times.
pub fn repeated(pictures: &[f32], times: usize) -> Vec<f32> {
    pictures.chunks_exact(PIXELS).flat_map(|x| x.repeat(times)).collect()
}

/// A bar of so many steps.
pub fn steps_bar(steps: usize) -> Result<ProgressBar, Box<dyn Error>> {
    bar(steps as u64, "sampling {bar:40} step {pos} of {len} ({eta} left)")
}

/// A bar of per mille.
pub fn part_bar(what: &str) -> Result<ProgressBar, Box<dyn Error>> {
    bar(1000, &format!("{what} {{bar:40}} {{percent}} % ({{eta}} left)"))
}

/// A class by its name or number.
pub fn class(text: &str) -> Result<usize, String> {
    let named = NAMES.iter().position(|name| *name == text.replace('-', " "));
    named.or(text.parse().ok().filter(|&class| class < NAMES.len())).ok_or_else(|| {
        format!("a class is 0 to 9, or one of {}", NAMES.map(|name| name.replace(' ', "-")).join(", "))
    })
}

/// A number that is one.
fn finite(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(|| "must be a number".into())
}

/// The same, and no less than 0.
pub fn deviation(text: &str) -> Result<f32, String> {
    finite(text).ok().filter(|number| *number >= 0.0).ok_or_else(|| "must be a number of at least 0".into())
}
