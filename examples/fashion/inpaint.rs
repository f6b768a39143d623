//! The job `inpaint`: the right halves of held-out clothes, from their left halves.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use vesde::Config;
use vesde::inverse::{Imputation, impute};

use crate::arguments::{Restoring, repeated, steps_bar};
use crate::command::Output;
use crate::denoiser::Denoiser;
use crate::figures::{Figures, rms};
use crate::held_out::NAMES;
use crate::inverse::{self, Measurement, Operator};
use crate::methods::Named;
use crate::network::{Network, PIXELS};
use crate::sampling::Known;
use crate::sheet::{Row, Sheet};

const COMPLETIONS: usize = 8;
/// The most that a known pixel may be off.
const KEPT: f32 = 1e-6;

/// Complete the right half of held-out clothes, eight times each
#[derive(Args)]
pub struct Inpaint {
    #[command(flatten)]
    restoring: Restoring,
    /// The picture to write
    #[arg(long, default_value = "fashion-inpaint.png")]
    output: PathBuf,
}

impl Inpaint {
    pub fn run(&self, config: Config, network: &Network) -> Result<Figures, Box<dyn Error>> {
        let picture = Output::create(&self.output)?;
        let (classes, real) = self.restoring.real()?;
        let sampling = &self.restoring.sampling;
        let known = repeated(&real, COMPLETIONS);
        let conditions = self.restoring.conditions(&classes, COMPLETIONS);
        let mut denoiser = Denoiser::new(network, &conditions);

        let mask = inverse::left_half();
        let operator = Operator::Pixels(mask.clone());
        let Restoring { consistency, iterations, .. } = self.restoring;
        let measured = operator.measure(&known, 0.0, sampling.noise(0))?;
        let measurement =
            Measurement { operator: &operator, measured: &measured, sd: 0.0, consistency, iterations };
        let mut job = sampling.job(config, 30);
        job.known = Some(Known { pixels: &known, mask: &mask });
        let by_conditions = job.sampler == Named::PC;
        let bar = steps_bar(job.steps)?;
        let start = Instant::now();
        let mut pixels = job.run(
            conditions.len(),
            |x, sigma, denoised| match by_conditions {
                true => denoiser.denoise(x, sigma, denoised),
                false => measurement.denoise(&mut denoiser, x, sigma, denoised),
            },
            |turn| bar.set_position(turn.step as u64),
        )?;
        impute(Imputation::in_place(&known, &mask, &mut pixels))?;
        bar.finish();
        let described = format!("{}: {}", sampling.described(), denoiser.cost());
        println!("{described}, {:.1} s", start.elapsed().as_secs_f32());

        let off = pixels.iter().zip(&known).zip(mask.iter().cycle());
        let off = off.map(|((x, known), m)| m * (x - known).abs()).fold(0.0, f32::max);
        println!("known pixels are at most {off:.0e} off");
        let (nearest, typical) = differences(&pixels);
        println!("completions of a picture differ by {typical:.3} rms, the nearest two by {nearest:.3}");

        let rows =
            classes.iter().zip(real.chunks_exact(PIXELS)).zip(pixels.chunks_exact(COMPLETIONS * PIXELS));
        let row = |((&class, real), completions): ((&usize, &[f32]), &[f32])| {
            let given = vec![real.to_vec(), operator.shown(real)];
            let completed = completions.chunks_exact(PIXELS).map(Vec::from);
            Row::new(NAMES[class], given.into_iter().chain(completed).collect())
        };
        let rows = rows.map(row).collect();
        let title = "Held-out clothes, completed from their left halves".into();
        let groups = &[("real", 1), ("known", 1), ("completions", COMPLETIONS)];
        Sheet { title, groups, rows, notes: vec![described] }.draw().save(picture)?;

        if off > KEPT {
            return Err(format!("more than {KEPT:.0e}").into());
        }
        if nearest <= f64::from(KEPT) {
            return Err("two completions are the same".into());
        }

        let mut figures = Figures::new("inpaint");
        figures.add("calls", denoiser.calls as f64, 0.0);
        figures.add("off", f64::from(off), f64::from(KEPT));
        figures.add("differences", typical, 2e-3);
        figures.add_pictures("pixels", &pixels, 1e-3);
        Ok(figures)
    }
}

/// The least and the mean of the root mean square differences between a picture's completions.
fn differences(completions: &[f32]) -> (f64, f64) {
    let mut all = Vec::new();
    for of_one in completions.chunks_exact(COMPLETIONS * PIXELS) {
        let of_one: Vec<&[f32]> = of_one.chunks_exact(PIXELS).collect();
        for (i, a) in of_one.iter().enumerate() {
            all.extend(of_one[..i].iter().map(|b| rms(a, b)));
        }
    }
    (all.iter().copied().fold(f64::INFINITY, f64::min), all.iter().sum::<f64>() / all.len() as f64)
}
