//! Samples handwritten digits from pure noise: a 10×10 grid, one class a row, and a strip that
//! shows one digit on its way from noise. Other jobs of the paper: sampling by the ODE, completion,
//! latent codes and likelihoods of real digits. The score network is trained by train.py; vesde
//! does everything else. digits.c is the same program in C.

mod command;
mod held_out;
mod likelihood;
mod methods;
mod network;
mod ode;
mod picture;
mod random;
mod sampling;
mod solve;

use std::error::Error;
use std::io::BufWriter;
use std::ops::Range;
use std::path::PathBuf;

use clap::Parser;
use vesde::ode::{Divergence, OdeStats};
use vesde::{Config, Corrector, Predictor};

use command::{Output, bar, named, one_of};
use held_out::{LEVELS, PER_CLASS, UPPER_HALF};
use methods::{Named, Table};
use network::{CLASSES, Network};
use ode::OdeJob;
use picture::Picture;
use sampling::{Digits, FRAMES, Job, Known, sample};

/// Digits in a row of the grid.
const COLUMNS: usize = 10;
/// The digit that the strip shows: row 3 has digits that the eye recognises early.
const FILMED: usize = 3 * COLUMNS;

/// Sample handwritten digits with a score network and vesde's samplers, and do the other jobs of
/// Song et al. 2021 with them.
#[derive(Parser)]
struct Options {
    /// Seed of the noise: the same seed gives the same picture on every machine
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// How to sample [default: 2m-sde; pc to complete digits and where one of its options is given]
    #[arg(long, value_name = "NAME", value_parser = named(), conflicts_with = "ode")]
    sampler: Option<Named>,
    /// Calls of the network, at most [default: 20; of pc as --steps has it]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "ode")]
    evaluations: Option<u32>,
    /// The table of noise scales; pc has its own
    #[arg(long, default_value = "karras", value_parser = one_of(Table::ALL))]
    table: Table,
    /// pc: number of noise scales, from the largest to the smallest [default: 200]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "evaluations")]
    steps: Option<u32>,
    /// pc: the corrector's signal-to-noise ratio [default: the network's, or 0.3 without a
    /// predictor]
    #[arg(long)]
    snr: Option<f64>,
    /// pc: corrector steps before each predictor step [default: the network's]
    #[arg(long)]
    correct_steps: Option<u32>,
    /// pc: how to go on from one noise scale to the next [default: reverse-diffusion]
    #[arg(long, value_parser = one_of(Predictor::ALL))]
    predictor: Option<Predictor>,
    /// pc: how to make the corrector's steps [default: langevin]
    #[arg(long, value_parser = one_of(Corrector::ALL))]
    corrector: Option<Corrector>,
    /// Sample by the probability-flow ODE with this tolerance; or encode, or tell likelihoods, with
    /// it [default there: 1e-5]
    #[arg(long, value_name = "TOLERANCE", conflicts_with = "inpaint")]
    ode: Option<f64>,
    /// Complete the lower half of ten real digits, each ten times
    #[arg(long)]
    inpaint: bool,
    /// Make codes of ten real digits by the ODE, and digits of the codes
    #[arg(long, conflicts_with = "inpaint")]
    encode: bool,
    /// Tell how likely real digits are, in bits per pixel, beside shuffled pixels and noise
    #[arg(long, conflicts_with_all = ["inpaint", "encode", "class", "output"])]
    likelihood: bool,
    /// Only digits of this class, 0 to 9
    #[arg(long, value_parser = clap::value_parser!(u32).range(..CLASSES as i64))]
    class: Option<u32>,
    /// The picture to write; the strip goes beside it, as NAME-strip.png
    #[arg(long, default_value = "digits.png")]
    output: PathBuf,
}

/// Digits as a picture in its file.
fn write(output: Output<'_>, digits: &[f32], columns: usize) -> Result<(), Box<dyn Error>> {
    let picture = Picture::of_digits(digits, columns);
    picture.write_png(BufWriter::new(output.file))?;
    println!("{} ({}×{})", output.path.display(), picture.width, picture.height);
    Ok(())
}

fn print_evaluations(what: &str, stats: &OdeStats) {
    let OdeStats { evaluations, accepted, rejected, .. } = stats;
    println!("{what}: {evaluations} evaluations of the network, {accepted} steps, {rejected} rejected");
}

impl Options {
    fn class(&self) -> Option<usize> {
        self.class.map(|class| class as usize)
    }

    /// The classes of ten digits, each `times` times.
    fn classes(&self, times: usize) -> Vec<usize> {
        (0..CLASSES * times).map(|i| self.class().unwrap_or(i / times)).collect()
    }

    /// The sampler that is named, or the one that the other options need.
    fn sampler(&self) -> Result<Named, String> {
        let Self { steps, snr, correct_steps, predictor, corrector, .. } = *self;
        let chooses_pc = steps.is_some()
            || snr.is_some()
            || correct_steps.is_some()
            || predictor.is_some()
            || corrector.is_some();
        let default = if chooses_pc || self.inpaint { Named::PC } else { Named::DEFAULT };
        let sampler = self.sampler.unwrap_or(default);
        if chooses_pc && sampler != Named::PC {
            return Err(format!("{} has none of pc's options", sampler.name));
        }
        Ok(sampler)
    }

    fn ode_job<'a>(&self, config: Config, classes: &'a [usize]) -> OdeJob<'a> {
        OdeJob { config, seed: self.seed, tolerance: self.ode.unwrap_or(1e-5), classes }
    }

    fn sample(
        &self,
        config: Config,
        network: &Network,
        known: Option<Known<'_>>,
    ) -> Result<Digits, Box<dyn Error>> {
        let classes = self.classes(COLUMNS);
        if self.ode.is_some() {
            let bar = bar(1000, "solving {bar:40} {percent} % ({eta} left)")?;
            let progress = |left: f32| bar.set_position(((1.0 - left) * 1000.0) as u64);
            let (digits, stats) = self.ode_job(config, &classes).sample(network, FILMED, progress)?;
            bar.finish();
            print_evaluations("sampling", &stats);
            return Ok(digits);
        }
        let Self { seed, table, .. } = *self;
        let (predictor, corrector) = (self.predictor.unwrap_or_default(), self.corrector.unwrap_or_default());
        if (predictor, corrector) == (Predictor::None, Corrector::None) {
            return Err("without a predictor and a corrector nothing would be done".into());
        }
        let sampler = self.sampler()?;
        let corrections = if corrector == Corrector::None { 0 } else { config.correct_steps as usize };
        let steps = match (self.evaluations, sampler) {
            (Some(evaluations), _) => sampler.steps(evaluations as usize, corrections),
            (None, Named::PC) => self.steps.unwrap_or(200) as usize,
            (None, _) => sampler.steps(20, 0),
        };
        let bar = bar(steps as u64, "sampling {bar:40} step {pos} of {len} ({eta} left)")?;
        let classes = &classes;
        let filmed = FILMED;
        let job = Job { config, seed, sampler, steps, table, predictor, corrector, classes, known, filmed };
        let digits = sample(&job, network, |step| bar.set_position(step as u64))?;
        bar.finish();
        Ok(digits)
    }

    /// Real digits, their codes, and what becomes of the codes.
    fn encode(&self, config: Config, network: &Network) -> Result<Vec<f32>, Box<dyn Error>> {
        let classes = self.classes(1);
        let job = self.ode_job(config, &classes);
        let digits = held_out::ten(self.class());
        let mut codes = digits.clone();
        print_evaluations("encoding", &job.encode(network, &mut codes, Divergence::None)?.stats);
        let mut decoded = codes.clone();
        print_evaluations("decoding", &job.decode(network, &mut decoded)?.stats);
        let difference = digits.iter().zip(&decoded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("maximal difference of a pixel in 0 to 1: {difference:.1e}");
        // A normal number in gray: black and white are three standard deviations away.
        let scale = 6.0 * config.sigma_max as f32;
        Ok([digits, codes.iter().map(|z| 0.5 + z / scale).collect(), decoded].concat())
    }

    fn print_likelihoods(&self, config: Config, network: &Network) -> Result<(), Box<dyn Error>> {
        const NAMES: [&str; 3] = ["digits", "shuffled", "noise"];
        let bar = bar(NAMES.len() as u64, "solving {bar:40} {pos} of {len} ({eta} left)")?;
        let tolerance = self.ode.unwrap_or(1e-5);
        let progress = |kind: usize| bar.set_position(kind as u64);
        let kinds = likelihood::bits_per_pixel(config, self.seed, tolerance, network, progress)?;
        bar.finish();

        let print = |name: &str, cells: [String; 3]| {
            let [digits, shuffled, noise] = cells;
            println!("{name:<28} {digits:>10} {shuffled:>10} {noise:>10}");
        };
        let medians = |of: Range<usize>| kinds.each_ref().map(|kind| short(median(&kind.bits[of.clone()])));
        print("bits per pixel, medians", NAMES.map(String::from));
        for class in 0..CLASSES {
            print(&format!("  class {class}"), medians(class * PER_CLASS..(class + 1) * PER_CLASS));
        }
        print("  all", medians(0..CLASSES * PER_CLASS));
        // The bits of a pixel where all gray levels are equally likely.
        let plain = (LEVELS as f64).log2();
        let below = kinds.each_ref().map(|kind| kind.bits.iter().filter(|&&bits| bits < plain).count());
        print(&format!("of 100 below log2 {LEVELS} = {plain:.2}"), below.map(|count| count.to_string()));
        for (name, kind) in NAMES.iter().zip(&kinds) {
            print_evaluations(name, &kind.stats);
        }
        Ok(())
    }
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    (sorted[half - 1] + sorted[half]) / 2.0
}

fn short(bits: f64) -> String {
    if bits < 1e4 { format!("{bits:.2}") } else { format!("{bits:.1e}") }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut config = Config::from_json(include_bytes!("scheduler_config.json"))?;
    // The corrector alone has to go as far as the predictor would.
    let snr = if options.predictor == Some(Predictor::None) { 0.3 } else { config.snr };
    config.snr = options.snr.unwrap_or(snr);
    config.correct_steps = options.correct_steps.unwrap_or(config.correct_steps);
    config.validate()?;
    let network = Network::load(include_bytes!("weights.safetensors"))?;

    if options.likelihood {
        return options.print_likelihoods(config, &network);
    }
    let picture = Output::create(&options.output)?;
    if options.encode {
        return write(picture, &options.encode(config, &network)?, COLUMNS);
    }
    let stem = options.output.file_stem().unwrap_or_default().to_string_lossy();
    let strip = options.output.with_file_name(format!("{stem}-strip.png"));
    let strip = Output::create(&strip)?;
    if options.inpaint {
        let real = held_out::ten(options.class());
        let known = Known { pixels: &held_out::repeated(&real), mask: &UPPER_HALF };
        let digits = options.sample(config, &network, Some(known))?;
        write(picture, &held_out::beside(&real, &digits.pixels), held_out::COLUMNS)?;
        return write(strip, &digits.film.frames, FRAMES);
    }
    let digits = options.sample(config, &network, None)?;
    write(picture, &digits.pixels, COLUMNS)?;
    write(strip, &digits.film.frames, FRAMES)
}
