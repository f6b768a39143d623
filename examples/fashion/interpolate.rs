//! The job `interpolate`: what lies between two held-out pictures, by their codes.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use vesde::Config;
use vesde::ode::{Divergence, OdeOptions, OdeVariable};

use crate::arguments::part_bar;
use crate::command::Output;
use crate::denoiser::Condition;
use crate::figures::{Figures, rms};
use crate::held_out::{self, NAMES};
use crate::network::{Network, PIXELS};
use crate::ode::{OdeJob, great_circle};
use crate::sheet::{Row, Sheet};

const FRAMES: usize = 10;
/// Classes, and which of their held-out pictures.
const PAIRS: [[(usize, usize); 2]; 6] = [
    [(7, 0), (9, 0)],
    [(5, 1), (7, 1)],
    [(0, 1), (3, 0)],
    [(2, 0), (4, 0)],
    [(1, 0), (3, 2)],
    [(8, 0), (6, 0)],
];
/// The most that the ends may be off, as a root mean square.
const KEPT: f64 = 1e-2;

/// Go from one held-out picture to another: encode both by the ODE, decode codes between
#[derive(Args)]
pub struct Interpolate {
    /// The class of the frames: none, or a mixture of both pictures' classes that changes along the
    /// way
    #[arg(long, default_value = "mixture")]
    condition: Told,
    /// The ODE's relative and absolute tolerance
    #[arg(long, default_value_t = 1e-4)]
    tolerance: f64,
    /// How many pairs
    #[arg(long, default_value_t = PAIRS.len() as u32, value_parser = clap::value_parser!(u32).range(1..=PAIRS.len() as i64))]
    pairs: u32,
    /// The picture to write
    #[arg(long, default_value = "fashion-interpolate.png")]
    output: PathBuf,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Told {
    Nothing,
    Mixture,
}

impl Told {
    /// Part `weight` of the way from one class to another.
    fn condition(self, from: usize, to: usize, weight: f32) -> Condition {
        match self {
            Self::Nothing => Condition::NONE,
            Self::Mixture => Condition { from: Some(from), to: Some(to), weight },
        }
    }
}

impl Interpolate {
    pub fn run(&self, config: Config, network: &Network) -> Result<Figures, Box<dyn Error>> {
        let picture = Output::create(&self.output)?;
        let pairs = &PAIRS[..self.pairs as usize];
        let mut ends = Vec::new();
        let (mut of_ends, mut of_frames) = (Vec::new(), Vec::new());
        for &[(from, first), (to, second)] in pairs {
            ends.extend(held_out::pictures(&[from], first)?);
            ends.extend(held_out::pictures(&[to], second)?);
            of_ends.extend([0.0, 1.0].map(|weight| self.condition.condition(from, to, weight)));
            let weights = (0..FRAMES).map(|i| i as f32 / (FRAMES - 1) as f32);
            of_frames.extend(weights.map(|weight| self.condition.condition(from, to, weight)));
        }

        let start = Instant::now();
        let options = OdeOptions { divergence: Divergence::None, ..OdeOptions::default() };
        let job = OdeJob { config, network, tolerance: self.tolerance, options };
        // In sigma encoding takes fewer steps, and in time sampling does.
        let in_sigma = OdeJob { options: OdeOptions { variable: OdeVariable::Sigma, ..options }, ..job };
        let bar = part_bar("encoding")?;
        let mut codes = ends.clone();
        let encoded = in_sigma.encode(&of_ends, &mut codes, |part| bar.set_position((part * 1e3) as u64))?;
        bar.finish();
        let mut frames = Vec::new();
        for pair in codes.chunks_exact(2 * PIXELS) {
            frames.extend(great_circle(&pair[..PIXELS], &pair[PIXELS..], FRAMES)?);
        }
        let bar = part_bar("decoding")?;
        let decoded = job.decode(&of_frames, &mut frames, |part| bar.set_position((part * 1e3) as u64))?;
        bar.finish();
        let (encoding, decoding) = (encoded.stats.evaluations, decoded.evaluations);
        let described = format!("{encoding} calls of the network to encode, {decoding} to decode");
        println!("{described}: {:.1} s", start.elapsed().as_secs_f32());

        let rows = frames.chunks_exact(FRAMES * PIXELS);
        let is_end = |i: &usize| [0, FRAMES - 1].contains(&(i % FRAMES));
        let decoded_ends: Vec<&[f32]> =
            (0..frames.len() / PIXELS).filter(is_end).map(|i| &frames[i * PIXELS..][..PIXELS]).collect();
        let off = ends.chunks_exact(PIXELS).zip(&decoded_ends).map(|(a, b)| rms(a, b)).fold(0.0, f64::max);
        println!("the ends are at most {off:.1e} rms from their pictures");
        let row = |[(from, _), (to, _)]: [(usize, usize); 2], ends: &[f32], frames: &[f32]| {
            let real = ends.chunks_exact(PIXELS).map(Vec::from).collect::<Vec<_>>();
            let between = frames.chunks_exact(PIXELS).map(Vec::from);
            let pictures = [real[0].clone()].into_iter().chain(between).chain([real[1].clone()]);
            Row::new(format!("{} to {}", NAMES[from], NAMES[to]), pictures.collect())
        };
        let rows = pairs.iter().zip(ends.chunks_exact(2 * PIXELS)).zip(rows);
        let rows = rows.map(|((&pair, ends), frames)| row(pair, ends, frames)).collect();
        let title = "Held-out clothes, and what is decoded on the great circle between their codes".into();
        let groups = &[("real", 1), ("decoded", FRAMES), ("real", 1)];
        Sheet { title, groups, rows, notes: vec![described] }.draw().save(picture)?;

        if off > KEPT {
            return Err(format!("more than {KEPT:.0e}").into());
        }

        let mut figures = Figures::new("interpolate");
        figures.add("encoding", encoding as f64, 12.0);
        figures.add("decoding", decoding as f64, 12.0);
        figures.add("off", off, 2e-3);
        figures.add_pictures("frames", &frames, 2e-3);
        Ok(figures)
    }
}
