//! The job `sample`: ten clothes of each class, and one of them on its way from noise.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use vesde::Config;

use crate::arguments::{Sampling, class, steps_bar};
use crate::command::Output;
use crate::denoiser::{Condition, Denoiser};
use crate::figures::Figures;
use crate::film::Film;
use crate::held_out::NAMES;
use crate::network::{CLASSES, Network, PIXELS};
use crate::sheet::{Row, Sheet};

const COLUMNS: usize = 10;

/// Sample clothes from noise: ten rows of ten, and a strip of one on its way
#[derive(Args)]
pub struct Sample {
    #[command(flatten)]
    sampling: Sampling,
    /// Only clothes of this class, by name or by number [default: a class a row]
    #[arg(long, value_parser = class)]
    class: Option<usize>,
    /// Which of the hundred the strip shows, from 0
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(..(CLASSES * COLUMNS) as i64))]
    film: u32,
    /// The picture to write; the strip goes beside it, as NAME-strip.png
    #[arg(long, default_value = "fashion.png")]
    output: PathBuf,
    /// Write the pixels, too, as 32-bit floats of little-endian bytes
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
}

impl Sample {
    pub fn run(&self, config: Config, network: &Network) -> Result<Figures, Box<dyn Error>> {
        let picture = Output::create(&self.output)?;
        let stem = self.output.file_stem().unwrap_or_default().to_string_lossy();
        let strip = self.output.with_file_name(format!("{stem}-strip.png"));
        let strip = Output::create(&strip)?;
        let raw = self.raw.as_deref().map(Output::create).transpose()?;

        // Cleaner clothes, at about the Fréchet distance that 1 has: README.md.
        let sampling = self.sampling.with_default_guidance(1.5);
        let classes: Vec<usize> = (0..CLASSES * COLUMNS).map(|i| self.class.unwrap_or(i / COLUMNS)).collect();
        let conditions: Vec<_> =
            classes.iter().map(|&class| Condition::guided(class, sampling.guidance())).collect();
        let mut denoiser = Denoiser::new(network, &conditions);
        let job = sampling.job(config, 20);
        let bar = steps_bar(job.steps)?;
        let mut film = Film::new(self.film as usize, job.steps);
        let start = Instant::now();
        let pixels = job.run(
            classes.len(),
            |x, sigma, denoised| denoiser.denoise(x, sigma, denoised),
            |turn| {
                bar.set_position(turn.step as u64);
                film.shoot(&turn);
            },
        )?;
        bar.finish();
        let described = format!("{}: {}", sampling.described(), denoiser.cost());
        println!("{described}, {:.1} s", start.elapsed().as_secs_f32());

        let rows = classes.chunks_exact(COLUMNS).zip(pixels.chunks_exact(COLUMNS * PIXELS));
        let row = |(classes, pixels): (&[usize], &[f32])| {
            Row::new(NAMES[classes[0]], pixels.chunks_exact(PIXELS).map(Vec::from).collect())
        };
        let rows = rows.map(row).collect();
        let title = "Clothes that do not exist".into();
        Sheet { title, groups: &[("", COLUMNS)], rows, notes: vec![described] }.draw().save(picture)?;
        film.sheet(NAMES[classes[self.film as usize]], &pixels).draw().save(strip)?;
        if let Some(raw) = raw {
            std::fs::write(raw.path, pixels.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
        }

        let mut figures = Figures::new("sample");
        figures.add("calls", denoiser.calls as f64, 0.0);
        figures.add_pictures("pixels", &pixels, 1e-3);
        Ok(figures)
    }
}
