//! scheduler_config.json in and out: any bytes into the reader, and any configuration into the
//! writer. The reader is compared with serde_json, which shares no code with it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vesde::capi::{vesde_config_from_json, vesde_config_to_json};
use vesde::{Config, Error};
use vesde_fuzz::Input;

const UNTOUCHED: u8 = 0xa5;

/// Reads a text by both APIs; on an error the C one has written nothing.
fn read(json: &[u8]) -> Result<Config, Error> {
    let read = Config::from_json(json);
    let mut config = [UNTOUCHED; size_of::<Config>() + 8];
    let at = config.as_ptr().align_offset(8);
    // SAFETY: the text is readable, and there is room for an aligned configuration.
    let status = unsafe {
        vesde_config_from_json(json.as_ptr().cast(), json.len(), config.as_mut_ptr().add(at).cast())
    };
    if json.is_empty() {
        assert_eq!((status, read), (Error::Empty as i32, Err(Error::JsonTruncated)));
    } else {
        assert_eq!(status, read.map_or_else(|error| error as i32, |_| 0));
    }
    match read {
        Err(_) => assert!(config.iter().all(|&byte| byte == UNTOUCHED)),
        Ok(read) => {
            // SAFETY: as above, and it was written.
            assert_eq!(read, unsafe { config.as_ptr().add(at).cast::<Config>().read() });
        }
    }
    read
}

/// Writes a configuration by both APIs, into the room that is promised to suffice, and into less.
fn write(config: &Config) -> Result<Vec<u8>, Error> {
    let mut room = [UNTOUCHED; 512];
    let mut len = usize::MAX;
    // SAFETY: the configuration is readable, and the room and the length are writable.
    let mut to = |room: &mut [u8]| unsafe {
        vesde_config_to_json(config, room.as_mut_ptr().cast(), room.len(), &mut len)
    };
    let status = to(&mut room);
    let mut same = [0; 512];
    match config.to_json(&mut same) {
        Err(error) => {
            assert_ne!(error, Error::BufferTooSmall);
            assert_eq!(status, error as i32);
            assert!(room == [UNTOUCHED; 512] && len == usize::MAX);
            Err(error)
        }
        Ok(same_len) => {
            let mut short = vec![UNTOUCHED; same_len - 1];
            assert_eq!(to(&mut short), Error::BufferTooSmall as i32);
            assert!(short.iter().all(|&byte| byte == UNTOUCHED));
            assert_eq!((status, len), (0, same_len));
            assert_eq!(room[..len], same[..len]);
            assert!(room[len..].iter().all(|&byte| byte == UNTOUCHED));
            Ok(room[..len].to_vec())
        }
    }
}

/// Whether serde_json reads the same.
fn check_against_serde(json: &[u8], read: Result<Config, Error>) {
    // Python reads lone surrogates, serde does not.
    let Ok(text) = std::str::from_utf8(json) else { return };
    if text.contains("\\u") {
        return;
    }
    // Nor does serde know Python's three words. Where they are valid, so is null.
    let text = text.replace("-Infinity", " null").replace("Infinity", " null").replace("NaN", " null");
    let value = serde_json::from_str::<Value>(&text);
    match (read, value) {
        (Err(Error::JsonSyntax | Error::JsonTruncated), Ok(value)) => assert!(!value.is_object(), "{value}"),
        // A number beyond double's range serde refuses as syntax; deep nesting as well.
        (Ok(_), Err(error)) => {
            assert!(error.to_string().starts_with("number out of range"), "{error}");
        }
        (Ok(config), Ok(value)) => {
            let number = |key: &str, default: f64| value.get(key).map_or(default, |x| x.as_f64().unwrap());
            let default = Config::default();
            let wanted = Config {
                snr: number("snr", default.snr),
                sigma_min: number("sigma_min", default.sigma_min),
                sigma_max: number("sigma_max", default.sigma_max),
                sampling_eps: number("sampling_eps", default.sampling_eps),
                num_train_timesteps: number("num_train_timesteps", 2000.0) as u32,
                correct_steps: number("correct_steps", 1.0) as u32,
            };
            assert_eq!(config, wanted);
            let name = value.get("_class_name").map(|name| name.as_str().unwrap());
            assert!(matches!(name, None | Some("ScoreSdeVeScheduler" | "FlaxScoreSdeVeScheduler")));
        }
        _ => {}
    }
}

fn check_text(json: &[u8], cut: usize) {
    let read = self::read(json);
    check_against_serde(json, read);
    let Ok(config) = read else { return };
    assert_eq!(config.validate(), Ok(()));
    check_config(&config);
    // Space behind the object changes nothing, anything else is an error, and so is every text that
    // ends before the object does.
    assert_eq!(Config::from_json(&[json, b" \n"].concat()), read);
    assert_eq!(Config::from_json(&[json, b"x"].concat()), Err(Error::JsonSyntax));
    let object = json.trim_ascii_end();
    assert_eq!(Config::from_json(&object[..cut % object.len()]), Err(Error::JsonTruncated));
}

fn check_config(config: &Config) {
    match write(config) {
        Ok(text) => {
            assert_eq!(config.validate(), Ok(()));
            let read = self::read(&text);
            assert_eq!(read, Ok(*config));
            check_against_serde(&text, read);
        }
        Err(error) => assert_eq!(config.validate(), Err(error)),
    }
}

/// A double of full precision, between two powers of two.
fn number(input: &mut Input<'_>, low: i32, high: i32) -> f64 {
    let mantissa = 1.0 + (input.u64() >> 12) as f64 * f64::EPSILON;
    mantissa * 2_f64.powi(low + i32::from(input.byte()) % (high - low))
}

/// A configuration that is valid as a rule.
fn valid_config(input: &mut Input<'_>) -> Config {
    let sigma_min = number(input, -110, 10);
    Config {
        snr: number(input, -110, 100),
        sigma_min,
        sigma_max: sigma_min * number(input, 0, 110),
        sampling_eps: number(input, -60, 0),
        num_train_timesteps: input.u32(),
        correct_steps: input.u32(),
    }
}

/// A text with a number of very many digits.
fn long_number(input: &mut Input<'_>) -> String {
    let key = input.pick(&["snr", "sigma_max", "sampling_eps"]);
    let (digits, more, power) = (input.u64(), input.byte(), i32::from(input.byte() % 80) - 58);
    match input.below(3) {
        0 => format!("{{\"{key}\": {digits}e{power}}}"),
        1 => format!("{{\"{key}\": 0.{digits}{more}}}"),
        _ => format!("{{\"{key}\": {more}.{digits:020}E{power}}}"),
    }
}

fuzz_target!(|data: &[u8]| {
    // A text begins with a brace or space. Other first bytes choose what is made from the rest.
    match data.split_first() {
        Some((0, data)) => check_config(&Input(data).config()),
        Some((1, data)) => check_config(&valid_config(&mut Input(data))),
        Some((2, data)) => check_text(long_number(&mut Input(data)).as_bytes(), data.len()),
        _ => check_text(data, data.iter().map(|&byte| usize::from(byte)).sum()),
    }
});
