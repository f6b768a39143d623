//! The job `restore`: held-out clothes from few and noisy numbers.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use vesde::{Combination, Config, linear};

use crate::arguments::{Restoring, deviation, repeated, steps_bar};
use crate::command::Output;
use crate::denoiser::Denoiser;
use crate::figures::{Figures, rms};
use crate::held_out::NAMES;
use crate::inverse::{Measurement, Operator};
use crate::network::{Network, PIXELS};
use crate::sheet::{Row, Sheet};

const RESTORATIONS: usize = 4;

/// Restore held-out clothes from pictures shrunk four times, and from a quarter of the pixels
#[derive(Args)]
pub struct Restore {
    #[command(flatten)]
    restoring: Restoring,
    /// Standard deviation of the noise on what is measured
    #[arg(long, default_value_t = 0.05, value_parser = deviation)]
    noise: f32,
    /// The picture to write
    #[arg(long, default_value = "fashion-restore.png")]
    output: PathBuf,
}

/// Restorations of all pictures, one after the other, and what was measured of them.
struct Restored {
    measured: Vec<f32>,
    pixels: Vec<f32>,
    means: Vec<f32>,
}

impl Restore {
    pub fn run(&self, config: Config, network: &Network) -> Result<Figures, Box<dyn Error>> {
        let picture = Output::create(&self.output)?;
        let (classes, real) = self.restoring.real()?;
        let sampling = &self.restoring.sampling;
        let operators =
            [("shrunk", Operator::Means), ("quarter", Operator::random_quarter(sampling.noise(0))?)];

        let mut figures = Figures::new("restore");
        let mut restored = Vec::new();
        let mut notes = Vec::new();
        for (draw, (name, operator)) in (1..).zip(&operators) {
            let measured = operator.measure(&real, self.noise, sampling.noise(draw))?;
            let start = Instant::now();
            let (job, cost) = self.restore(config, network, &classes, operator, measured)?;
            println!(
                "{name}, {} numbers: {cost}, {:.1} s",
                operator.numbers(),
                start.elapsed().as_secs_f32()
            );

            let reals = repeated(&real, RESTORATIONS);
            let targets = repeated(&job.measured, RESTORATIONS);
            let (error, of_means) = (rms(&reals, &job.pixels), rms(&real, &job.means));
            let residual = operator.residual(&targets, &job.pixels)?;
            let noise = operator.residual(&job.measured, &real)?;
            let before = rms(&real, &job.measured);
            println!(
                "  rms error {error:.3}, of the means of {RESTORATIONS} {of_means:.3} (as measured: {before:.3})"
            );
            println!("  rms of A x - y {residual:.4}, of the noise {noise:.4}");
            notes.push(format!(
                "{name}: {} numbers, rms error {error:.3}, of the means {of_means:.3}; A x - y {residual:.3}, noise {noise:.3}",
                operator.numbers(),
            ));
            figures.add(&format!("{name}.error"), error, 2e-3);
            figures.add(&format!("{name}.residual"), residual, 1e-3);
            figures.add(&format!("{name}.noise"), noise, 1e-6);
            figures.add_pictures(&format!("{name}.pixels"), &job.pixels, 1e-3);
            restored.push(job);
        }
        notes.push(sampling.described());

        let row = |(i, (&class, real)): (usize, (&usize, &[f32]))| {
            let mut pictures = vec![real.to_vec()];
            for (restored, (_, operator)) in restored.iter().zip(&operators) {
                pictures.push(operator.shown(&restored.measured[i * PIXELS..][..PIXELS]));
                let all = &restored.pixels[i * RESTORATIONS * PIXELS..][..RESTORATIONS * PIXELS];
                pictures.extend(all.chunks_exact(PIXELS).take(3).map(Vec::from));
                pictures.push(restored.means[i * PIXELS..][..PIXELS].to_vec());
            }
            Row::new(NAMES[class], pictures)
        };
        let rows = classes.iter().zip(real.chunks_exact(PIXELS)).enumerate().map(row).collect();
        let title = "Held-out clothes, restored from few numbers with noise".into();
        let groups = &[
            ("real", 1),
            ("shrunk", 1),
            ("restored", 3),
            ("mean", 1),
            ("quarter", 1),
            ("restored", 3),
            ("mean", 1),
        ];
        Sheet { title, groups, rows, notes }.draw().save(picture)?;
        Ok(figures)
    }

    /// Restores pictures from what was measured, and says what it took.
    fn restore(
        &self,
        config: Config,
        network: &Network,
        classes: &[usize],
        operator: &Operator,
        measured: Vec<f32>,
    ) -> Result<(Restored, String), Box<dyn Error>> {
        let targets = repeated(&measured, RESTORATIONS);
        let conditions = self.restoring.conditions(classes, RESTORATIONS);
        let mut denoiser = Denoiser::new(network, &conditions);
        let Restoring { sampling, consistency, iterations, .. } = &self.restoring;
        let measurement = Measurement {
            operator,
            measured: &targets,
            sd: self.noise,
            consistency: *consistency,
            iterations: *iterations,
        };
        let job = sampling.job(config, 30);
        let bar = steps_bar(job.steps)?;
        let pixels = job.run(
            conditions.len(),
            |x, sigma, denoised| measurement.denoise(&mut denoiser, x, sigma, denoised),
            |turn| bar.set_position(turn.step as u64),
        )?;
        bar.finish();
        let mut means = vec![0.0; measured.len()];
        for (mean, all) in means.chunks_exact_mut(PIXELS).zip(pixels.chunks_exact(RESTORATIONS * PIXELS)) {
            let each = all.chunks_exact(PIXELS);
            linear(each.fold(Combination::new(mean), |sum, x| sum.plus(1.0 / RESTORATIONS as f32, x)))?;
        }
        Ok((Restored { measured, pixels, means }, denoiser.cost()))
    }
}
