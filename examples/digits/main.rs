//! Samples handwritten digits from pure noise: a 10×10 grid, one class a row, and a strip that
//! shows one digit on its way from noise. The score network is trained by train.py; vesde does
//! everything else. digits.c is the same program in C.

mod network;
mod picture;
mod sampling;

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use vesde::Config;

use network::{CLASSES, Network};
use picture::Picture;
use sampling::{FRAMES, Job, sample};

/// Digits in a row of the grid.
const COLUMNS: usize = 10;

/// Sample handwritten digits with a score network and vesde's predictor–corrector sampler.
#[derive(Parser)]
struct Options {
    /// Seed of the noise: the same seed gives the same picture on every machine
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Number of noise scales, from the largest to the smallest
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// The corrector's signal-to-noise ratio [default: the network's]
    #[arg(long)]
    snr: Option<f64>,
    /// Corrector steps before each predictor step [default: the network's]
    #[arg(long)]
    correct_steps: Option<u32>,
    /// Fill the grid with this digit only, 0 to 9
    #[arg(long, value_parser = clap::value_parser!(u32).range(..CLASSES as i64))]
    class: Option<u32>,
    /// The picture to write; the strip goes beside it, as NAME-strip.png
    #[arg(long, default_value = "digits.png")]
    output: PathBuf,
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(picture: &Picture, file: File, path: &Path) -> Result<(), Box<dyn Error>> {
    picture.write_png(BufWriter::new(file))?;
    println!("{} ({}×{})", path.display(), picture.width, picture.height);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut config = Config::from_json(include_bytes!("scheduler_config.json"))?;
    config.snr = options.snr.unwrap_or(config.snr);
    config.correct_steps = options.correct_steps.unwrap_or(config.correct_steps);
    config.validate()?;
    let network = Network::load(include_bytes!("weights.safetensors"))?;

    // Before the work, so that a bad path does not waste it.
    let stem = options.output.file_stem().unwrap_or_default().to_string_lossy();
    let strip = options.output.with_file_name(format!("{stem}-strip.png"));
    let (grid_file, strip_file) = (create(&options.output)?, create(&strip)?);

    let class = options.class.map(|class| class as usize);
    let classes: Vec<usize> = (0..CLASSES * COLUMNS).map(|i| class.unwrap_or(i / COLUMNS)).collect();
    let steps = options.steps as usize;
    let bar = ProgressBar::new(steps as u64)
        .with_style(ProgressStyle::with_template("sampling {bar:40} step {pos} of {len} ({eta} left)")?);
    // Row 3 has digits that the eye recognises early.
    let job = Job { config, seed: options.seed, steps, classes: &classes, filmed: 3 * COLUMNS };
    let digits = sample(&job, &network, |step| bar.set_position(step as u64))?;
    bar.finish();

    write(&Picture::of_digits(&digits.pixels, COLUMNS), grid_file, &options.output)?;
    write(&Picture::of_digits(&digits.film, FRAMES), strip_file, &strip)
}
