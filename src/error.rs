//! The one list of what can go wrong. In C the same names and numbers are `VESDE_ERROR_*`, and a
//! function that returns one of them has written nothing.

use core::fmt;

/// Why a call was refused. Nothing has been written when a function returns one of these.
///
/// The discriminants are the C ABI's status codes; `VESDE_OK` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(C)]
pub enum Error {
    /// A pointer that must not be NULL is NULL, or there is no noise where its factor is not 0.
    NullPointer = -1,
    /// A pointer is not aligned to its type.
    Misaligned = -2,
    /// A length or a batch is zero, or a combination has no terms.
    Empty = -3,
    /// Lengths that belong together differ, or a batch does not divide its length.
    LengthMismatch = -4,
    /// A length in bytes, an index of counter noise or a number of terms is too large.
    TooLarge = -5,
    /// An output partly overlaps an input, or overlaps another output. It may be exactly an input.
    Overlap = -6,
    /// The buffer is too small for what is to be written.
    BufferTooSmall = -7,
    /// An enumeration has a value that this version does not know.
    UnknownEnum = -8,

    /// `num_train_timesteps` must be at least 1.
    InvalidNumTrainTimesteps = -20,
    /// `snr` must be finite in `f32`, and not below 0.
    InvalidSnr = -21,
    /// `sigma_min` must be greater than 0, finite, and not vanish in `f32`.
    InvalidSigmaMin = -22,
    /// `sigma_max` must be greater than `sigma_min`, and finite in `f32`, as must be their ratio.
    InvalidSigmaMax = -23,
    /// `sampling_eps` must be at least 0 and less than 1.
    InvalidSamplingEps = -24,

    /// A timestep is not in 0..=1, or its index lies beyond the schedule's tables.
    TimestepOutOfRange = -30,
    /// A table of sigmas holds a value from which no step can be made: it is not finite, or the
    /// difference of squares of two neighbours is negative or not finite.
    InvalidSigma = -31,
    /// The norm of the model output is zero: the corrector's step size does not exist.
    ZeroGradientNorm = -32,
    /// The norm of the model output, or the step size from it, is infinite or not a number.
    NonFiniteGradientNorm = -33,
    /// The norm of the noise is infinite or not a number.
    NonFiniteNoiseNorm = -34,

    /// The text is not well-formed JSON, or not an object.
    JsonSyntax = -40,
    /// The text ends before the JSON object does.
    JsonTruncated = -41,
    /// A known key has a value of another type.
    JsonType = -42,
    /// A number has more than 19 digits and lies too close to the middle between two doubles, or is
    /// out of its type's range.
    JsonNumber = -43,
    /// `_class_name` names another scheduler.
    JsonClassName = -44,
    /// Values are nested deeper than 64 levels.
    JsonDepth = -45,

    /// The sampler's state is not one that its functions make.
    InvalidSampler = -50,
    /// The sampler is done; there is no next request.
    SamplerDone = -51,
    /// An option of the sampler is out of its range, or does not go with its method.
    InvalidOption = -52,

    /// A random state is not one that its seed function makes.
    InvalidRandomState = -60,
    /// No GPU of this name is known.
    UnknownGpu = -61,
    /// This kind of generator makes its numbers one after the other: a draw cannot be split.
    UnsplittableDraw = -62,

    /// A norm that an ODE step needs is infinite or not a number, because the score, its product
    /// with the probe, the sample or the square of a sigma is.
    NonFiniteScore = -70,
    /// An ODE step would have to be shorter than the spacing of doubles: its error exceeds the
    /// tolerance, or the longest step is that short.
    StepTooSmall = -71,
    /// The next ODE step would take more evaluations than the options allow.
    TooManyEvaluations = -72,
    /// `rtol` must be finite and greater than 0, `atol` finite and not below 0, and greater than 0
    /// with a divergence; `max_step` and a first step must be greater than 0, and the distance of
    /// differences finite and greater than 0.
    InvalidTolerance = -73,
}

impl Error {
    /// Every error.
    ///
    /// cbindgen:ignore
    pub const ALL: &'static [Self] = &[
        Self::NullPointer,
        Self::Misaligned,
        Self::Empty,
        Self::LengthMismatch,
        Self::TooLarge,
        Self::Overlap,
        Self::BufferTooSmall,
        Self::UnknownEnum,
        Self::InvalidNumTrainTimesteps,
        Self::InvalidSnr,
        Self::InvalidSigmaMin,
        Self::InvalidSigmaMax,
        Self::InvalidSamplingEps,
        Self::TimestepOutOfRange,
        Self::InvalidSigma,
        Self::ZeroGradientNorm,
        Self::NonFiniteGradientNorm,
        Self::NonFiniteNoiseNorm,
        Self::JsonSyntax,
        Self::JsonTruncated,
        Self::JsonType,
        Self::JsonNumber,
        Self::JsonClassName,
        Self::JsonDepth,
        Self::InvalidSampler,
        Self::SamplerDone,
        Self::InvalidOption,
        Self::InvalidRandomState,
        Self::UnknownGpu,
        Self::UnsplittableDraw,
        Self::NonFiniteScore,
        Self::StepTooSmall,
        Self::TooManyEvaluations,
        Self::InvalidTolerance,
    ];

    /// The message of this error: one sentence without a full stop.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self.c_message().to_str() {
            Ok(text) => text,
            Err(_) => "",
        }
    }

    /// The same message, as a C string with static lifetime.
    #[must_use]
    pub const fn c_message(self) -> &'static core::ffi::CStr {
        match self {
            Self::NullPointer => c"a pointer that must not be NULL is NULL, or noise is missing",
            Self::Misaligned => c"a pointer is not aligned to its type",
            Self::Empty => c"a length or a batch is zero, or there are no terms",
            Self::LengthMismatch => {
                c"lengths that belong together differ, or a batch does not divide its length"
            }
            Self::TooLarge => c"a length, a noise index or a number of terms is too large",
            Self::Overlap => c"an output partly overlaps an input, or overlaps another output",
            Self::BufferTooSmall => c"the buffer is too small for what is to be written",
            Self::UnknownEnum => c"an enumeration has an unknown value",
            Self::InvalidNumTrainTimesteps => c"num_train_timesteps must be at least 1",
            Self::InvalidSnr => c"snr must be finite and not below 0",
            Self::InvalidSigmaMin => c"sigma_min must be finite and greater than 0",
            Self::InvalidSigmaMax => c"sigma_max must be finite and greater than sigma_min",
            Self::InvalidSamplingEps => c"sampling_eps must be at least 0 and less than 1",
            Self::TimestepOutOfRange => {
                c"a timestep is not between 0 and 1, or its index is beyond the tables"
            }
            Self::InvalidSigma => c"a table of sigmas holds a value from which no step can be made",
            Self::ZeroGradientNorm => c"the norm of the model output is zero",
            Self::NonFiniteGradientNorm => {
                c"the norm of the model output, or the step size from it, is not finite"
            }
            Self::NonFiniteNoiseNorm => c"the norm of the noise is not finite",
            Self::JsonSyntax => c"the text is not a well-formed JSON object",
            Self::JsonTruncated => c"the text ends before the JSON object does",
            Self::JsonType => c"a known key has a value of another type",
            Self::JsonNumber => c"a number cannot be read exactly or is out of range",
            Self::JsonClassName => c"_class_name names another scheduler",
            Self::JsonDepth => c"JSON values are nested deeper than 64 levels",
            Self::InvalidSampler => c"the sampler's state is not a valid one",
            Self::SamplerDone => c"the sampler is done",
            Self::InvalidOption => c"an option of the sampler is out of range or not for its method",
            Self::InvalidRandomState => c"the random state is not a valid one",
            Self::UnknownGpu => c"no GPU of this name is known",
            Self::UnsplittableDraw => c"a draw of this kind of generator cannot be split",
            Self::NonFiniteScore => c"the score or the sample of an ODE step is not finite",
            Self::StepTooSmall => c"the step size of the ODE falls below the spacing of doubles",
            Self::TooManyEvaluations => c"the ODE needs more evaluations than are allowed",
            Self::InvalidTolerance => c"a tolerance or a step size of the ODE is out of range",
        }
    }
}

/// The value of an enumeration's number: `values` are in the order of their numbers, from 0.
pub(crate) fn known<T: Copy>(number: i32, values: &[T], otherwise: Error) -> Result<T, Error> {
    let index = usize::try_from(number).map_err(|_| otherwise)?;
    values.get(index).copied().ok_or(otherwise)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for Error {}
