//! Clothes from a score network of 28×28 pixels: samples them from noise, completes, interpolates
//! and restores pictures, tells how likely they are. The network is trained by train.py and runs on
//! rten; vesde does everything between its calls.

mod arguments;
#[path = "../digits/command.rs"]
mod command;
mod denoiser;
mod figures;
mod film;
mod held_out;
mod histogram;
mod inpaint;
mod interpolate;
mod inverse;
mod likelihood;
#[path = "../digits/methods.rs"]
mod methods;
mod network;
mod ode;
mod picture;
#[path = "../digits/random.rs"]
mod random;
mod restore;
mod sample;
mod sampling;
mod sheet;
#[path = "../digits/solve.rs"]
mod solve;

use std::error::Error;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use vesde::Config;

use network::Network;

/// Clothes from a score network, by vesde's samplers and its ODE.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    job: Job,
    /// Fail unless the job's figures are those of this file
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "bless")]
    check: Option<PathBuf>,
    /// Write the job's figures into this file
    #[arg(long, global = true, value_name = "FILE")]
    bless: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Job {
    Sample(sample::Sample),
    Inpaint(inpaint::Inpaint),
    Interpolate(interpolate::Interpolate),
    Likelihood(likelihood::Likelihood),
    Restore(restore::Restore),
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let config = Config::from_json(include_bytes!("scheduler_config.json"))?;
    let network = Network::load(include_bytes!("clothes.onnx"))?;
    let figures = match &options.job {
        Job::Sample(job) => job.run(config, &network)?,
        Job::Inpaint(job) => job.run(config, &network)?,
        Job::Interpolate(job) => job.run(config, &network)?,
        Job::Likelihood(job) => job.run(config, &network)?,
        Job::Restore(job) => job.run(config, &network)?,
    };
    if let Some(path) = &options.check {
        figures.check(path)?;
    }
    if let Some(path) = &options.bless {
        figures.bless(path)?;
    }
    Ok(())
}
