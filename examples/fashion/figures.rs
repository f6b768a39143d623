//! The results of a job, as figures that a file keeps for comparison.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use crate::network::PIXELS;

/// The root mean square difference.
pub fn rms(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>();
    (squares / a.len() as f64).sqrt()
}

/// Figures of a job, each with how far it may be from the file's.
pub struct Figures {
    job: &'static str,
    values: Vec<(String, f64, f64)>,
}

impl Figures {
    pub fn new(job: &'static str) -> Self {
        Self { job, values: Vec::new() }
    }

    /// A figure, which another engine, or the same on another CPU, may have off by `tolerance`.
    pub fn add(&mut self, name: &str, value: f64, tolerance: f64) {
        self.values.push((format!("{}.{name}", self.job), value, tolerance));
    }

    /// The mean of pictures, their standard deviation, and the means of the first and the last.
    pub fn add_pictures(&mut self, name: &str, pixels: &[f32], tolerance: f64) {
        let mean = |x: &[f32]| x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
        let all = mean(pixels);
        let variance =
            pixels.iter().map(|&x| (f64::from(x) - all).powi(2)).sum::<f64>() / pixels.len() as f64;
        self.add(&format!("{name}.mean"), all, tolerance);
        self.add(&format!("{name}.sd"), variance.sqrt(), tolerance);
        self.add(&format!("{name}.first"), mean(&pixels[..PIXELS]), tolerance);
        self.add(&format!("{name}.last"), mean(&pixels[pixels.len() - PIXELS..]), tolerance);
    }

    fn read(path: &Path) -> Result<BTreeMap<String, f64>, Box<dyn Error>> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let figure = |line: &str| -> Result<(String, f64), Box<dyn Error>> {
            let (name, value) = line.split_once(' ').ok_or_else(|| format!("no figure: {line}"))?;
            Ok((name.into(), value.parse()?))
        };
        text.lines().map(figure).collect()
    }

    /// Fails where a figure is not the file's, or where either has one that the other lacks.
    pub fn check(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let mut expected = Self::read(path)?;
        let prefix = format!("{}.", self.job);
        expected.retain(|name, _| name.starts_with(&prefix));
        let mut wrong = Vec::new();
        for (name, value, tolerance) in &self.values {
            match expected.remove(name) {
                Some(expected) if (value - expected).abs() <= *tolerance => {}
                Some(expected) => wrong.push(format!("{name}: {value}, not {expected} ±{tolerance}")),
                None => wrong.push(format!("{name}: not in {}", path.display())),
            }
        }
        wrong.extend(expected.keys().map(|name| format!("{name}: nothing is to compare")));
        if wrong.is_empty() {
            println!("{} figures are as in {}", self.values.len(), path.display());
            return Ok(());
        }
        Err(wrong.join("; ").into())
    }

    /// Puts the figures into the file, in place of this job's.
    pub fn bless(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let mut all = if path.exists() { Self::read(path)? } else { BTreeMap::new() };
        let prefix = format!("{}.", self.job);
        all.retain(|name, _| !name.starts_with(&prefix));
        all.extend(self.values.iter().map(|(name, value, _)| (name.clone(), *value)));
        let text: String = all.iter().map(|(name, value)| format!("{name} {value:.6}\n")).collect();
        Ok(std::fs::write(path, text)?)
    }
}
