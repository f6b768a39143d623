//! How likely pictures are for the network: bits per dimension, by the probability-flow ODE, as
//! score_sde counts them.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use vesde::Config;
use vesde::ode::{Divergence, OdeOptions, OdeStats, bits_per_dim, log_likelihood};

use crate::arguments::part_bar;
use crate::command::Output;
use crate::denoiser::Condition;
use crate::figures::Figures;
use crate::held_out::{self, LEVELS, PER_CLASS};
use crate::histogram;
use crate::network::{CLASSES, Network, PIXELS, SIZE};
use crate::ode::OdeJob;
use crate::random::Random;

/// Tell how likely held-out clothes are, in bits per dimension, beside other pictures
#[derive(Args)]
pub struct Likelihood {
    /// How many pictures of each class, ten at most
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=PER_CLASS as i64))]
    pictures: u32,
    /// The ODE's relative and absolute tolerance
    #[arg(long, default_value_t = 1e-3)]
    tolerance: f64,
    /// Seed of the probes, of the noise between gray levels and of the shuffling
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The histogram to write
    #[arg(long, default_value = "fashion-likelihood.png")]
    output: PathBuf,
}

impl Likelihood {
    pub fn run(&self, config: Config, network: &Network) -> Result<Figures, Box<dyn Error>> {
        let picture = Output::create(&self.output)?;
        let options =
            OdeOptions { seed: self.seed, divergence: Divergence::Product, ..OdeOptions::default() };
        let job = OdeJob { config, network, tolerance: self.tolerance, options };
        let start = Instant::now();
        let bar = part_bar("solving")?;
        let progress = |part| bar.set_position((part * 1e3) as u64);
        let kinds = bits_per_dimension(&job, self.pictures as usize, progress)?;
        bar.finish();
        let calls: u64 = kinds.iter().map(|kind| kind.stats.evaluations).sum();
        println!("{calls} calls of the network with products: {:.1} s", start.elapsed().as_secs_f32());

        let mut figures = Figures::new("likelihood");
        println!("bits per dimension      mean           least    most  calls");
        for kind in &kinds {
            let (mean, error) = (kind.mean(), kind.standard_error());
            let [least, most] = kind.extremes();
            let calls = kind.stats.evaluations;
            println!("{:18} {mean:9.3} ±{error:<6.3} {least:10.3} {most:7.3} {calls:6}", kind.name);
            figures.add(&format!("{}.mean", kind.name.replace(' ', "-")), mean, 2e-2);
        }
        let legend = |kind: &Kind| format!("{}: mean {:.2}", kind.name, kind.mean());
        let title = format!("How likely {} pictures of each kind are", kinds[0].bits.len());
        let named = kinds.each_ref().map(|kind| (legend(kind), &*kind.bits));
        histogram::draw(&title, "bits per dimension (less is likelier)", named).save(picture)?;
        Ok(figures)
    }
}

/// Pictures of a kind.
struct Kind {
    name: &'static str,
    /// Bits per dimension of each picture.
    bits: Vec<f64>,
    stats: OdeStats,
}

impl Kind {
    fn mean(&self) -> f64 {
        self.bits.iter().sum::<f64>() / self.bits.len() as f64
    }

    /// The least and the greatest.
    fn extremes(&self) -> [f64; 2] {
        let fold = |from, with: fn(f64, f64) -> f64| self.bits.iter().copied().fold(from, with);
        [fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max)]
    }

    /// Of the mean.
    fn standard_error(&self) -> f64 {
        let (mean, count) = (self.mean(), self.bits.len() as f64);
        let variance = self.bits.iter().map(|bits| (bits - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (variance / count).sqrt()
    }
}

/// The digits' held-out pictures, ten a class, in the clothes' gray levels: 8×8 pixels, enlarged
/// three times, with a border of two.
fn digits(per_class: usize) -> Vec<f32> {
    const DIGIT: usize = 8;
    const DIGIT_LEVELS: f32 = 16.0;
    let file = include_bytes!("../digits/held_out.pgm");
    let all = &file[file.len() - CLASSES * PER_CLASS * DIGIT * DIGIT..];
    let chosen = all
        .chunks_exact(PER_CLASS * DIGIT * DIGIT)
        .flat_map(|class| class.chunks_exact(DIGIT * DIGIT).take(per_class));
    let pixel = |digit: &[u8], i: usize| {
        let (y, x) = ((i / SIZE).wrapping_sub(2) / 3, (i % SIZE).wrapping_sub(2) / 3);
        let level = if x < DIGIT && y < DIGIT { digit[y * DIGIT + x] } else { 0 };
        (f32::from(level) / DIGIT_LEVELS * (LEVELS - 1) as f32).round()
    };
    chosen.flat_map(|digit| (0..PIXELS).map(move |i| pixel(digit, i))).collect()
}

/// Bits per dimension of held-out clothes, of the same with their pixels shuffled, and of digits,
/// `per_class` of each class. The network is told no class. `progress` is told how much is done,
/// in 0..=1.
fn bits_per_dimension(
    job: &OdeJob<'_>,
    per_class: usize,
    mut progress: impl FnMut(f32),
) -> Result<[Kind; 3], Box<dyn Error>> {
    let mut random = Random::new(job.options.seed);
    let clothes: Vec<f32> = held_out::levels()?
        .chunks_exact(PER_CLASS * PIXELS)
        .flat_map(|class| class[..per_class * PIXELS].to_vec())
        .collect();
    let shuffled = random.shuffled(&clothes, PIXELS)?;
    let kinds = [("clothes", clothes), ("shuffled pixels", shuffled), ("digits", digits(per_class))];
    let conditions = vec![Condition::NONE; CLASSES * per_class];

    let mut done = 0.0;
    let mut measure = |(name, levels): (&'static str, Vec<f32>)| -> Result<Kind, Box<dyn Error>> {
        let mut codes = random.dequantised(&levels, LEVELS)?;
        let solved = job.encode(&conditions, &mut codes, |part| progress((done + part) / 3.0))?;
        done += 1.0;
        let pictures = codes.chunks_exact(PIXELS).zip(&solved.divergences);
        let bits = pictures.map(|(code, &divergence)| {
            let density = log_likelihood(job.config.sigma_max, code, divergence)?.log_density;
            Ok(bits_per_dim(density, PIXELS, LEVELS as f64, 1.0))
        });
        Ok(Kind { name, bits: bits.collect::<Result<_, vesde::Error>>()?, stats: solved.stats })
    };
    let [clothes, shuffled, digits] = kinds;
    Ok([measure(clothes)?, measure(shuffled)?, measure(digits)?])
}
