//! The recorded vectors (vectors/*.txt), for the tests that replay them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use vesde::{Config, Error, Schedule, set_sigmas, set_timesteps};

/// The arrays of one case, by name, as bits.
pub struct Case(BTreeMap<String, Vec<u64>>);

impl Case {
    pub fn get(&self, name: &str) -> Option<&[u64]> {
        self.0.get(name).map(Vec::as_slice)
    }
    pub fn bits(&self, name: &str) -> &[u64] {
        self.get(name).unwrap_or_else(|| panic!("no array {name}"))
    }
    pub fn f32s(&self, name: &str) -> Vec<f32> {
        self.bits(name).iter().map(|&bits| f32::from_bits(bits as u32)).collect()
    }
    pub fn f64s(&self, name: &str) -> Vec<f64> {
        self.bits(name).iter().map(|&bits| f64::from_bits(bits)).collect()
    }
    pub fn f64(&self, name: &str) -> f64 {
        self.f64s(name)[0]
    }
    pub fn usizes(&self, name: &str) -> Vec<usize> {
        self.bits(name).iter().map(|&n| n as usize).collect()
    }
    pub fn usize(&self, name: &str) -> usize {
        self.usizes(name)[0]
    }
}

/// The cases of a group, in order; a group that is missing fails.
pub fn cases(group: &str) -> impl Iterator<Item = (&'static str, &'static Case)> {
    static ALL: OnceLock<BTreeMap<String, Case>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let texts = [
            include_str!("vectors/golden.txt"),
            include_str!("vectors/cuda.txt"),
            include_str!("vectors/paper.txt"),
            include_str!("vectors/samplers.txt"),
        ];
        let mut all = BTreeMap::new();
        for line in texts.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace();
            let [case, name, _type, count] = [(); 4].map(|()| words.next().expect("a header"));
            let bits: Vec<u64> = words.map(|word| u64::from_str_radix(word, 16).expect("hex")).collect();
            assert_eq!(bits.len(), count.parse::<usize>().expect("a count"), "{case} {name}");
            all.entry(case.to_owned())
                .or_insert_with(|| Case(BTreeMap::new()))
                .0
                .insert(name.to_owned(), bits);
        }
        all
    });
    let prefix = format!("{group}/");
    let mut cases = all.iter().filter(move |(name, _)| name.starts_with(&prefix)).peekable();
    assert!(cases.peek().is_some(), "no case of {group}");
    cases.map(|(name, case)| (name.as_str(), case))
}

/// How many units in the last place two positive floats are apart.
pub fn ulps(a: f32, b: f32) -> u32 {
    a.to_bits().abs_diff(b.to_bits())
}

/// The 64-bit FNV-1a hash of the floats' bytes.
pub fn fnv1a(floats: impl IntoIterator<Item = f32>) -> u64 {
    floats.into_iter().flat_map(f32::to_le_bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[track_caller]
pub fn assert_same_bits(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let differ = got.iter().zip(want).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    assert_eq!(differ, 0, "{what}: {differ} of {} differ", got.len());
}

/// A scheduler with tables of its own.
pub struct Tables {
    pub timesteps: Vec<f32>,
    pub sigmas: Vec<f32>,
    pub discrete_sigmas: Vec<f32>,
}

impl Tables {
    pub fn new(config: &Config, timesteps: usize, discrete_sigmas: usize) -> Result<Self, Error> {
        let mut tables = Self {
            timesteps: vec![0.0; timesteps],
            sigmas: vec![0.0; timesteps],
            discrete_sigmas: vec![0.0; discrete_sigmas],
        };
        set_timesteps(config, &mut tables.timesteps[..])?;
        set_sigmas(config, &tables.timesteps, &mut tables.sigmas[..], &mut tables.discrete_sigmas[..])?;
        Ok(tables)
    }
    pub fn schedule(&self) -> Schedule<'_> {
        Schedule { timesteps: &self.timesteps, sigmas: &self.sigmas, discrete_sigmas: &self.discrete_sigmas }
    }
}
