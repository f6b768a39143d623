//! The scheduler's configuration: diffusers' six fields with their defaults, what is valid, and
//! `scheduler_config.json` in and out. No schedule is computed here.

mod json;

use crate::error::Error;
use json::{Object, Value, Written};

/// The class name that a `scheduler_config.json` of this scheduler carries.
const CLASS_NAME: &[u8] = b"ScoreSdeVeScheduler";

/// Its twin for JAX: the same fields, and diffusers loads its files.
const FLAX_CLASS_NAME: &[u8] = b"FlaxScoreSdeVeScheduler";

/// The configuration of the scheduler, as diffusers' `ScoreSdeVeScheduler` has it: the same fields,
/// the same defaults, `f64` as in Python.
///
/// In place of diffusers' keyword overrides of `set_timesteps` and `set_sigmas`, pass a changed
/// copy.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Config {
    /// Signal-to-noise ratio of the corrector's step size (Song et al. 2021, algorithm 4), default
    /// 0.15.
    pub snr: f64,
    /// Smallest noise scale, in units of the sample, default 0.01.
    pub sigma_min: f64,
    /// Largest noise scale, in units of the sample, default 1348.
    pub sigma_max: f64,
    /// The last of the continuous timesteps, which run from 1 down to it, default 1e-5.
    pub sampling_eps: f64,
    /// Number of discretisation steps the network was trained with, default 2000.
    pub num_train_timesteps: u32,
    /// Number of corrector steps before each predictor step, default 1; 0 means predictor only.
    pub correct_steps: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            snr: 0.15,
            sigma_min: 0.01,
            sigma_max: 1348.0,
            sampling_eps: 1e-5,
            num_train_timesteps: 2000,
            correct_steps: 1,
        }
    }
}

impl Config {
    /// Checks every field. All that people sample with in diffusers is valid, also a corrector that
    /// does nothing (`snr` 0) and timesteps down to 0. Values that nobody can mean are refused,
    /// though diffusers would compute with them: a negative `snr`, timesteps that stay at 1, equal
    /// sigmas. The error names the first field that is out of its range.
    ///
    /// # Errors
    /// `InvalidNumTrainTimesteps`, `InvalidSnr`, `InvalidSigmaMin`, `InvalidSigmaMax`,
    /// `InvalidSamplingEps`: the documentation of each has its condition.
    pub fn validate(&self) -> Result<(), Error> {
        // NaN fails every comparison, hence each condition says what is right, not what is wrong.
        if self.num_train_timesteps == 0 {
            return Err(Error::InvalidNumTrainTimesteps);
        }
        if !is_snr(self.snr) {
            return Err(Error::InvalidSnr);
        }
        if !(self.sigma_min.is_finite() && self.sigma_min as f32 >= f32::MIN_POSITIVE) {
            return Err(Error::InvalidSigmaMin);
        }
        if !(self.sigma_max > self.sigma_min
            && (self.sigma_max as f32).is_finite()
            && ((self.sigma_max / self.sigma_min) as f32).is_finite())
        {
            return Err(Error::InvalidSigmaMax);
        }
        if !(0.0..1.0).contains(&self.sampling_eps) {
            return Err(Error::InvalidSamplingEps);
        }
        Ok(())
    }

    /// The standard deviation of the initial sample: `sigma_max` of the configuration, in `f32`
    /// (diffusers' `init_noise_sigma`, which an override of `set_sigmas` does not change).
    #[must_use]
    pub fn init_noise_sigma(&self) -> f32 {
        self.sigma_max as f32
    }

    /// Reads a `scheduler_config.json` as Python does: missing keys take their defaults, unknown
    /// keys are ignored, of equal keys the last counts, and the result is validated. `NaN`,
    /// `Infinity` and `-Infinity` are numbers, which no field allows. `null`, `true` and `false`
    /// are no numbers (Python would take 1 and 0).
    ///
    /// # Errors
    /// `JsonSyntax`, `JsonTruncated`, `JsonType`, `JsonNumber`, `JsonDepth` for the text,
    /// `JsonClassName` where `_class_name` is another scheduler's, and those of
    /// [`validate`](Self::validate).
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let mut members: [(&[u8], Option<Value<'_>>); 7] = [
            (b"_class_name", None),
            (b"num_train_timesteps", None),
            (b"correct_steps", None),
            (b"snr", None),
            (b"sigma_min", None),
            (b"sigma_max", None),
            (b"sampling_eps", None),
        ];
        let mut object = Object::new(json)?;
        while let Some((key, value)) = object.next_member()? {
            if let Some((_, last)) = members.iter_mut().find(|(name, _)| key.is(name)) {
                *last = Some(value);
            }
        }
        let [class_name, num_train_timesteps, correct_steps, numbers @ ..] = members.map(|(_, value)| value);
        if let Some(name) = class_name {
            let name = name.string()?;
            if !(name.is(CLASS_NAME) || name.is(FLAX_CLASS_NAME)) {
                return Err(Error::JsonClassName);
            }
        }
        let mut config = Self::default();
        if let Some(value) = num_train_timesteps {
            config.num_train_timesteps = value.integer(Error::InvalidNumTrainTimesteps)?;
        }
        if let Some(value) = correct_steps {
            config.correct_steps = value.integer(Error::JsonType)?;
        }
        let Self { snr, sigma_min, sigma_max, sampling_eps, .. } = &mut config;
        for (field, value) in [snr, sigma_min, sigma_max, sampling_eps].into_iter().zip(numbers) {
            if let Some(value) = value {
                *field = value.number()?;
            }
        }
        config.validate()?;
        Ok(config)
    }

    /// Writes a `scheduler_config.json` that diffusers' `from_pretrained` loads, and returns its
    /// length in bytes. Every number reads back as the same `f64`. 512 bytes always suffice.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate); `BufferTooSmall`.
    pub fn to_json(&self, json: &mut [u8]) -> Result<usize, Error> {
        let text = self.json_text()?;
        let text = text.as_bytes();
        let out = json.get_mut(..text.len()).ok_or(Error::BufferTooSmall)?;
        for (to, from) in out.iter_mut().zip(text) {
            *to = *from;
        }
        Ok(text.len())
    }

    pub(crate) fn json_text(&self) -> Result<Written<512>, Error> {
        self.validate()?;
        let mut text = Written::new();
        text.push(b"{\n  \"_class_name\": \"");
        text.push(CLASS_NAME);
        text.push(b"\"");
        text.member(b"correct_steps");
        text.integer(self.correct_steps);
        text.member(b"num_train_timesteps");
        text.integer(self.num_train_timesteps);
        text.member(b"sampling_eps");
        text.number(self.sampling_eps);
        text.member(b"sigma_max");
        text.number(self.sigma_max);
        text.member(b"sigma_min");
        text.number(self.sigma_min);
        text.member(b"snr");
        text.number(self.snr);
        text.push(b"\n}\n");
        Ok(text)
    }
}

/// Whether a signal-to-noise ratio is one. At 0 the corrector does nothing.
pub(crate) fn is_snr(snr: f64) -> bool {
    snr >= 0.0 && (snr as f32).is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Config, Error> {
        Config::from_json(json.as_bytes())
    }

    #[test]
    fn an_empty_object_is_the_default() {
        assert_eq!(read(" { } \n"), Ok(Config::default()));
    }

    #[test]
    fn a_file_as_diffusers_writes_it_is_read() {
        let json = r#"{
  "_class_name": "ScoreSdeVeScheduler",
  "_diffusers_version": "0.42.1",
  "correct_steps": 2,
  "num_train_timesteps": 1000,
  "sampling_eps": 1e-05,
  "sigma_max": 50.5,
  "sigma_min": 0.02,
  "snr": 0.17,
  "trained_betas": null,
  "unknown": {"a": [1, -2.5E+3, "x\"]}", {"b": [true, false]}], "c": {}}
}"#;
        assert_eq!(
            read(json),
            Ok(Config {
                snr: 0.17,
                sigma_min: 0.02,
                sigma_max: 50.5,
                sampling_eps: 1e-5,
                num_train_timesteps: 1000,
                correct_steps: 2,
            })
        );
    }

    #[test]
    fn every_prefix_of_a_file_is_an_error() {
        let json = r#"{"_class_name": "ScoreSdeVeScheduler", "u": [1, {"a": null}], "snr": 0.25}"#;
        assert!(read(json).is_ok());
        for end in 0..json.len() {
            assert_eq!(Config::from_json(&json.as_bytes()[..end]), Err(Error::JsonTruncated), "{end}");
        }
    }

    #[test]
    fn malformed_text_is_named() {
        for (json, error) in [
            ("[]", Error::JsonSyntax),
            ("{} x", Error::JsonSyntax),
            ("{,}", Error::JsonSyntax),
            (r#"{"snr": 0.1,}"#, Error::JsonSyntax),
            (r#"{"snr" 0.1}"#, Error::JsonSyntax),
            (r#"{snr: 0.1}"#, Error::JsonSyntax),
            (r#"{"snr": 01}"#, Error::JsonSyntax),
            (r#"{"snr": .5}"#, Error::JsonSyntax),
            (r#"{"snr": 5.}"#, Error::JsonSyntax),
            (r#"{"snr": 5e}"#, Error::JsonSyntax),
            (r#"{"snr": +5}"#, Error::JsonSyntax),
            (r#"{"u": [1, 2}}"#, Error::JsonSyntax),
            (r#"{"u": [1 2]}"#, Error::JsonSyntax),
            (r#"{"u": {"a"}}"#, Error::JsonSyntax),
            ("{\"u\": \"a\nb\"}", Error::JsonSyntax),
            (r#"{"u": "\q"}"#, Error::JsonSyntax),
            (r#"{"u": trve}"#, Error::JsonSyntax),
            (r#"{"snr": "0.1"}"#, Error::JsonType),
            (r#"{"snr": null}"#, Error::JsonType),
            (r#"{"correct_steps": [1]}"#, Error::JsonType),
            (r#"{"correct_steps": 1.5}"#, Error::JsonType),
            (r#"{"correct_steps": -1}"#, Error::JsonNumber),
            (r#"{"correct_steps": 4294967296}"#, Error::JsonNumber),
            (r#"{"snr": 1e400}"#, Error::InvalidSnr),
            (r#"{"correct_steps": 1e400}"#, Error::JsonType),
            (r#"{"correct_steps": true}"#, Error::JsonType),
            (r#"{"snr": false}"#, Error::JsonType),
            (r#"{"_class_name": "DDPMScheduler"}"#, Error::JsonClassName),
            (r#"{"_class_name": 3}"#, Error::JsonType),
            (r#"{"sigma_min": -0.5}"#, Error::InvalidSigmaMin),
            (r#"{"sigma_min": 2, "sigma_max": 1}"#, Error::InvalidSigmaMax),
        ] {
            assert_eq!(read(json), Err(error), "{json}");
        }
        let deep = [&b"{\"u\":"[..], &[b'['; 100_000]].concat();
        assert_eq!(Config::from_json(&deep), Err(Error::JsonDepth));
    }

    #[test]
    fn what_python_writes_beyond_rfc_8259_is_read() {
        let ok = |json: &str, snr: f64| {
            assert_eq!(read(json), Ok(Config { snr, ..Config::default() }), "{json}");
        };
        ok(r#"{"_class_name":"ScoreSdeVeScheduler","x":[NaN,{"y":Infinity}],"snr":0.2}"#, 0.2);
        ok(r#"{"x":-Infinity,"y":{"NaN":NaN},"z":[Infinity , -Infinity],"snr":0.2}"#, 0.2);
        ok(r#"{"_class_name":"FlaxScoreSdeVeScheduler","snr":0.2}"#, 0.2);
        ok(r#"{"snr":"no number","snr":NaN,"snr":0.2}"#, 0.2);
        ok(r#"{"_class_name":"DDPMScheduler","_class_name":"\u0053coreSdeVeScheduler"}"#, 0.15);
        ok(r#"{"s\u006Er":0.2,"\ud800":"\udc00\/\b"}"#, 0.2);
        ok(r#"{"sn\r":0.2,"snr\u0000":0.3,"snr ":0.4,"\u0173nr":0.5,"":0.6}"#, 0.15);
        for (json, error) in [
            (r#"{"snr": NaN}"#, Error::InvalidSnr),
            (r#"{"snr": 0.2, "snr": Infinity}"#, Error::InvalidSnr),
            (r#"{"sigma_min": -Infinity}"#, Error::InvalidSigmaMin),
            (r#"{"sigma_max": Infinity}"#, Error::InvalidSigmaMax),
            (r#"{"sampling_eps": NaN}"#, Error::InvalidSamplingEps),
            (r#"{"num_train_timesteps": NaN}"#, Error::InvalidNumTrainTimesteps),
            (r#"{"correct_steps": Infinity}"#, Error::JsonType),
            (r#"{"_class_name": NaN}"#, Error::JsonType),
            // Python refuses these too.
            (r#"{"x": -NaN}"#, Error::JsonSyntax),
            (r#"{"x": +Infinity}"#, Error::JsonSyntax),
            (r#"{"x": nan}"#, Error::JsonSyntax),
            (r#"{"x": Inf}"#, Error::JsonSyntax),
            (r#"{"x": InfinityNaN}"#, Error::JsonSyntax),
            (r#"{NaN: 1}"#, Error::JsonSyntax),
            ("\u{feff}{}", Error::JsonSyntax),
            ("{} // none", Error::JsonSyntax),
            ("{\u{a0}}", Error::JsonSyntax),
            ("{'snr': 1}", Error::JsonSyntax),
            (r#"{"x": 0x1}"#, Error::JsonSyntax),
            (r#"{"x": 1_0}"#, Error::JsonSyntax),
        ] {
            assert_eq!(read(json), Err(error), "{json}");
        }
        let json = r#"{"x":[NaN,-Infinity],"y":Infinity}"#;
        for end in 0..json.len() {
            assert_eq!(read(&json[..end]), Err(Error::JsonTruncated), "{end}");
        }
    }

    #[test]
    fn what_people_sample_with_in_diffusers_is_valid() {
        let ok = Config::default();
        for config in [
            Config { sampling_eps: 0.0, ..ok },
            Config { sampling_eps: 1e-300, ..ok },
            Config { snr: 0.0, ..ok },
            Config { snr: 1e-50, ..ok },
        ] {
            assert_eq!(config.validate(), Ok(()), "{config:?}");
        }
    }

    #[test]
    fn each_invalid_field_has_its_own_error() {
        let ok = Config::default();
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        for bad in [-1.0, nan, inf, -inf] {
            assert_eq!(Config { snr: bad, ..ok }.validate(), Err(Error::InvalidSnr));
            assert_eq!(Config { sigma_min: bad, ..ok }.validate(), Err(Error::InvalidSigmaMin));
            assert_eq!(Config { sigma_max: bad, ..ok }.validate(), Err(Error::InvalidSigmaMax));
            assert_eq!(Config { sampling_eps: bad, ..ok }.validate(), Err(Error::InvalidSamplingEps));
        }
        assert_eq!(Config { snr: 1e39, ..ok }.validate(), Err(Error::InvalidSnr));
        assert_eq!(Config { sigma_min: 0.0, ..ok }.validate(), Err(Error::InvalidSigmaMin));
        assert_eq!(Config { sigma_max: 0.0, ..ok }.validate(), Err(Error::InvalidSigmaMax));
        assert_eq!(Config { sampling_eps: 1.0, ..ok }.validate(), Err(Error::InvalidSamplingEps));
        assert_eq!(Config { sigma_min: 3.0, sigma_max: 3.0, ..ok }.validate(), Err(Error::InvalidSigmaMax));
        assert_eq!(Config { sigma_max: 1e39, ..ok }.validate(), Err(Error::InvalidSigmaMax));
        assert_eq!(Config { sigma_min: 1e-46, ..ok }.validate(), Err(Error::InvalidSigmaMin));
        assert_eq!(Config { num_train_timesteps: 0, ..ok }.validate(), Err(Error::InvalidNumTrainTimesteps));
        assert_eq!(Config { correct_steps: 0, ..ok }.validate(), Ok(()));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let mut x = 0.1_f64;
        for i in 0..1000 {
            x = (x * 1.618).fract() + 1e-3;
            let config = Config {
                snr: x,
                sigma_min: x * 1e-3,
                sigma_max: 10.0 / x,
                sampling_eps: x * 1e-6,
                num_train_timesteps: u32::MAX - i,
                correct_steps: i,
            };
            let mut json = [0; 512];
            let len = config.to_json(&mut json).unwrap();
            assert_eq!(Config::from_json(&json[..len]), Ok(config));
            let mut short = vec![7; len - 1];
            assert_eq!(config.to_json(&mut short), Err(Error::BufferTooSmall));
            assert!(short.iter().all(|&b| b == 7));
        }
    }

    #[test]
    fn every_valid_configuration_is_written_and_read() {
        for x in [1.2345678901234567e-25, 5e-324, 2.2250738585072014e-308, 1e-38, 0.0, 0.9999999999999999] {
            let config = Config { sampling_eps: x, snr: x, ..Config::default() };
            let mut json = [0; 512];
            let len = config.to_json(&mut json).unwrap();
            assert_eq!(Config::from_json(&json[..len]), Ok(config));
        }
        assert_eq!(read(r#"{"snr": 1e-400}"#), Ok(Config { snr: 0.0, ..Config::default() }));
    }

    #[test]
    fn numbers_are_read_as_rust_reads_them() {
        for text in [
            "0",
            "-0.0",
            "0.15",
            "1e-05",
            "1348.0",
            "1348",
            "1E2",
            "123456789.123456789",
            "9007199254740993",
            "0.1000000000000000055511151231257827",
            "9223372036854775807.5",
            "4.35",
            "1.7976931348623157e18",
            "5e-19",
            "0.000001",
            "100000000000000000000000e-20",
            "179769313486231580793728971405301e-30",
            "1.6280000000000003e-7",
            "3.3e38",
            "1.0000000000000002e-20",
            "123456789012345678e-37",
        ] {
            let json = format!("{{\"snr\":{text}}}");
            let mut object = Object::new(json.as_bytes()).unwrap();
            let (_, value) = object.next_member().unwrap().unwrap();
            assert_eq!(value.number().unwrap().to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
    }
}
