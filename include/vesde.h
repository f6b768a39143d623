/*
 * vesde: the variance-exploding SDE scheduler of score-based generative models (Song et al. 2021), as diffusers'
 * ScoreSdeVeScheduler has it. Generated from src/ by cbindgen; do not edit.
 *
 * - Every function that can fail returns a vesde_status: VESDE_OK, or one of enum vesde_error, and then it has written
 *   nothing. Nothing allocates, unwinds or aborts, or keeps state (but what the CPU was found to have).
 * - NULL is VESDE_ERROR_NULL_POINTER wherever the documentation does not allow it.
 * - A length of 0 is VESDE_ERROR_EMPTY, except a draw's: vesde_*_fill, _fill_part and _skip of
 *   nothing are VESDE_OK and leave a generator as it is. The pointer of an empty buffer is not
 *   looked at there, and may be NULL.
 * - Structs are plain: allocate them anywhere and copy them with =. Their size does not change within a major version.
 * - An output buffer may be uninitialised, and may be exactly one of the inputs (in place). An overlap of any other kind
 *   is VESDE_ERROR_OVERLAP. Buffers need the alignment of float only.
 * - Inputs may be the same buffer, or overlap in any way: only outputs are checked.
 * - An output that is one number or struct is written last: it may lie in an input, but not in another output, a
 *   vesde_scheduler or its tables.
 * - All functions are reentrant. One state object (a generator, a vesde_sampler) belongs to one thread at a time.
 * - The same inputs give the same bits on every machine, for every split of the work and every alignment, in the
 *   floating-point environment that every program begins with: round to nearest, subnormals kept. A program linked by GCC
 *   with -Ofast has another one; vesde_float_environment_is_default tells.
 */

#ifndef VESDE_H
#define VESDE_H

#if !defined(__cplusplus) && !defined(_MSC_VER) && __STDC_VERSION__ < 199901L
#error "vesde.h is C99, and this compiler is older or was told to be (-std=c99)"
#endif

#include <stddef.h>
#include <stdint.h>

// Success.
#define VESDE_OK 0

// Major version of this header.
#define VESDE_VERSION_MAJOR 0

// Minor version of this header.
#define VESDE_VERSION_MINOR 1

// Patch version of this header.
#define VESDE_VERSION_PATCH 0

// Floats whose squares are summed on their own: where a sample may be split for the corrector's norms.
#define VESDE_NORM_BLOCK 4096

// Why a call was refused. Nothing has been written when a function returns one of these.
//
// The discriminants are the C ABI's status codes; `VESDE_OK` is 0.
typedef enum vesde_error {
    // A pointer that must not be NULL is NULL.
    VESDE_ERROR_NULL_POINTER = -1,
    // A pointer is not aligned to its type.
    VESDE_ERROR_MISALIGNED = -2,
    // A length or a batch is zero.
    VESDE_ERROR_EMPTY = -3,
    // Lengths that belong together differ, or a batch does not divide its length.
    VESDE_ERROR_LENGTH_MISMATCH = -4,
    // A length in bytes, or an index of counter noise, exceeds its type.
    VESDE_ERROR_TOO_LARGE = -5,
    // An output partly overlaps an input, or overlaps another output. Equal is allowed for an input.
    VESDE_ERROR_OVERLAP = -6,
    // The buffer is too small for what is to be written.
    VESDE_ERROR_BUFFER_TOO_SMALL = -7,
    // An enumeration has a value that this version does not know.
    VESDE_ERROR_UNKNOWN_ENUM = -8,
    // `num_train_timesteps` must be at least 1.
    VESDE_ERROR_INVALID_NUM_TRAIN_TIMESTEPS = -20,
    // `snr` must be finite in float, and not below 0.
    VESDE_ERROR_INVALID_SNR = -21,
    // `sigma_min` must be greater than 0, finite, and not vanish in float.
    VESDE_ERROR_INVALID_SIGMA_MIN = -22,
    // `sigma_max` must be greater than `sigma_min`, and finite in float, as must be their ratio.
    VESDE_ERROR_INVALID_SIGMA_MAX = -23,
    // `sampling_eps` must be at least 0 and less than 1.
    VESDE_ERROR_INVALID_SAMPLING_EPS = -24,
    // A timestep is not in 0 to 1, or its index lies beyond the schedule's tables.
    VESDE_ERROR_TIMESTEP_OUT_OF_RANGE = -30,
    // A table of sigmas holds a value from which no step can be made: it is not finite, or the difference of squares of
    // two neighbours is negative or not finite.
    VESDE_ERROR_INVALID_SIGMA = -31,
    // The norm of the model output is zero: the corrector's step size does not exist.
    VESDE_ERROR_ZERO_GRADIENT_NORM = -32,
    // The norm of the model output, or the step size from it, is infinite or not a number.
    VESDE_ERROR_NON_FINITE_GRADIENT_NORM = -33,
    // The norm of the noise is infinite or not a number.
    VESDE_ERROR_NON_FINITE_NOISE_NORM = -34,
    // The text is not well-formed JSON, or not an object.
    VESDE_ERROR_JSON_SYNTAX = -40,
    // The text ends before the JSON object does.
    VESDE_ERROR_JSON_TRUNCATED = -41,
    // A known key has a value of another type.
    VESDE_ERROR_JSON_TYPE = -42,
    // A number has more than 19 digits and lies too close to the middle between two doubles, or is out of its
    // type's range.
    VESDE_ERROR_JSON_NUMBER = -43,
    // `_class_name` names another scheduler.
    VESDE_ERROR_JSON_CLASS_NAME = -44,
    // Values are nested deeper than 64 levels.
    VESDE_ERROR_JSON_DEPTH = -45,
    // The sampler's state is not one that its functions make.
    VESDE_ERROR_INVALID_SAMPLER = -50,
    // The sampler is done; there is no next request.
    VESDE_ERROR_SAMPLER_DONE = -51,
    // A random state is not one that its seed function makes.
    VESDE_ERROR_INVALID_RANDOM_STATE = -60,
    // No GPU of this name is known.
    VESDE_ERROR_UNKNOWN_GPU = -61,
} vesde_error;

// Over what the corrector averages its norms.
typedef enum vesde_averaging {
    // Over the batch: one step size for all samples, as diffusers has it.
    VESDE_AVERAGING_BATCH = 0,
    // Not at all: each sample has its own step size, whatever its neighbours in the batch.
    VESDE_AVERAGING_PER_SAMPLE = 1,
} vesde_averaging;

// How the corrector computes norms and step size.
typedef enum vesde_norm {
    // In double, rounded to float once at the end: right to 1e-7 at every length, and splittable.
    VESDE_NORM_EXACT = 0,
    // In float in torch's order, bit for bit. Its error grows with the length: 6e-5 at 3 million elements.
    VESDE_NORM_TORCH = 1,
} vesde_norm;

// Who makes the noise of a whole job.
typedef enum vesde_sampler_noise {
    // Counter noise, a stream for every draw: the initial sample takes the stream of the options, each later draw the
    // next one. No noise is ever asked for.
    VESDE_SAMPLER_NOISE_COUNTER = 0,
    // The caller, who is asked for every draw by a request, in diffusers' order. The initial draw and those of the steps
    // may come from different generators.
    VESDE_SAMPLER_NOISE_GIVEN = 1,
} vesde_sampler_noise;

// Which of the last step's two results a job ends with.
typedef enum vesde_sampler_result {
    // `prev_sample_mean`, from which the last noise has been removed, as diffusers' pipeline has it.
    VESDE_SAMPLER_RESULT_MEAN = 0,
    // `prev_sample`, with the last noise in it (`noise_removal=False` in `score_sde`).
    VESDE_SAMPLER_RESULT_NOISY = 1,
} vesde_sampler_result;

// From what a job starts.
typedef enum vesde_sampler_start {
    // From noise of the largest sigma.
    VESDE_SAMPLER_START_NOISE = 0,
    // From the sample that the first vesde_sampler_next is given, at `first_step`, as if the job had come so far by itself: draws
    // and streams are numbered accordingly. For image to image the sample is the picture with noise of that step's sigma
    // (vesde_add_noise); to resume, it is the one that a job had before that step's first correction.
    VESDE_SAMPLER_START_GIVEN = 1,
} vesde_sampler_start;

// What must be known of the tensors before a plan's factors are.
typedef enum vesde_reduction {
    // Nothing.
    VESDE_REDUCTION_NONE = 0,
    // The norms of the model output and of the noise. From them a corrector step's factors follow: its `step_size` is that of the
    // model output, its `noise_factor` that of the noise.
    VESDE_REDUCTION_CORRECTOR_NORMS = 1,
} vesde_reduction;

// What the caller is to do before the next vesde_sampler_next.
typedef enum vesde_request_kind {
    // Nothing: the sample is the result.
    VESDE_REQUEST_KIND_DONE = 0,
    // Evaluate the score of `sample` at `sigma`, into `model_output`.
    VESDE_REQUEST_KIND_SCORE = 1,
    // Fill `noise` with as many standard normal numbers as the sample has elements.
    VESDE_REQUEST_KIND_NOISE = 2,
} vesde_request_kind;

// A set of vector instructions that kernels can run on. Every level gives the same bits.
typedef enum vesde_simd_level_kind {
    // What the library was compiled for: SSE2, NEON, simd128 or scalar code.
    VESDE_SIMD_LEVEL_KIND_BASELINE = 0,
    // AVX2 with FMA, detected at run time.
    VESDE_SIMD_LEVEL_KIND_AVX2 = 1,
    // AVX-512 as Ice Lake and Zen 4 have it, detected at run time.
    VESDE_SIMD_LEVEL_KIND_AVX512 = 2,
} vesde_simd_level_kind;

// What a function returns: `VESDE_OK`, or one of `enum vesde_error`, in which case nothing has been written.
typedef int32_t vesde_status;

// The configuration of the scheduler, as diffusers' `ScoreSdeVeScheduler` has it: the same fields,
// the same defaults, double as in Python.
//
// What diffusers takes as keyword overrides of `set_timesteps` and `set_sigmas` is here a changed copy.
typedef struct vesde_config {
    // Signal-to-noise ratio of the corrector's step size (Song et al. 2021, algorithm 4), default 0.15.
    double snr;
    // Smallest noise scale, in units of the sample, default 0.01.
    double sigma_min;
    // Largest noise scale, in units of the sample, default 1348.
    double sigma_max;
    // The last of the continuous timesteps, which run from 1 down to it, default 1e-5.
    double sampling_eps;
    // Number of discretisation steps the network was trained with, default 2000.
    uint32_t num_train_timesteps;
    // Number of corrector steps before each predictor step, default 1; 0 means predictor only.
    uint32_t correct_steps;
} vesde_config;

// A configuration and its tables, all of them the caller's. No function's output may overlap a table or this struct. A
// function that needs no table accepts one that is NULL with length 0; of the configuration the steps read `snr` only.
typedef struct vesde_scheduler {
    // The configuration.
    struct vesde_config config;
    // Continuous timesteps from 1 down to sampling_eps: vesde_set_timesteps.
    const float *timesteps;
    // Their number.
    size_t timesteps_len;
    // The noise scale at each timestep, which the network is given: vesde_set_sigmas. Only the sampler needs it.
    const float *sigmas;
    // Their number.
    size_t sigmas_len;
    // The ascending noise scales that a step looks up: vesde_set_sigmas.
    const float *discrete_sigmas;
    // Their number.
    size_t discrete_sigmas_len;
} vesde_scheduler;

// The factors of a predictor step: `prev_sample_mean = sample + drift·model_output` and
// `prev_sample = prev_sample_mean + diffusion·noise`.
typedef struct vesde_predictor_step {
    // `diffusion²`, rounded.
    float drift;
    // √(σ² − σ′²), with σ the sigma at the timestep and σ′ its adjacent one.
    float diffusion;
} vesde_predictor_step;

// A place in counter noise: element `index` of stream `stream` of seed `seed`.
//
// Element i is the same whoever computes it and however the work is split: two calls for the halves of a
// range give the bits of one call for the whole. A call changes nothing; to go on, ask for another stream or a later index.
//
// The numbers come from xoroshiro128+ (Blackman and Vigna 2018), seeded anew every 1024 elements by Philox4x32-10
// (Salmon et al. 2011), through a Box–Muller transform whose tails reach 9.27 sigma; src/kernels/normal.rs says exactly how. A
// range that begins at a multiple of 64 is the fastest, a short one at a multiple of 1024.
typedef struct vesde_counter {
    // The seed: which family of streams.
    uint64_t seed;
    // The stream: independent noise for each. The sampler counts its draws here.
    uint64_t stream;
    // The index of the first element.
    uint64_t index;
} vesde_counter;

// The factors of a corrector step: `prev_sample_mean = sample + step_size·model_output` and
// `prev_sample = prev_sample_mean + noise_factor·noise`.
typedef struct vesde_corrector_step {
    // ε = 2·(snr·‖noise‖/‖score‖)².
    float step_size;
    // √(2ε).
    float noise_factor;
} vesde_corrector_step;

// The twister's state: 624 words, and how many of them have been taken.
typedef struct vesde_mt19937 {
    uint32_t words[624];
    uint32_t taken;
} vesde_mt19937;

// MT19937, and the second normal of a pair, which those who make pairs in double keep for the next call.
typedef struct vesde_paired {
    struct vesde_mt19937 mt;
    uint32_t has_cached;
    double cached;
} vesde_paired;

// The state of torch's CPU generator: what `torch.Generator().manual_seed(seed)` makes and `torch.randn` advances.
//
// It gives the bits that torch gives on an x86 CPU with AVX2, on every machine. Owned by the caller, fixed in size
// (2,512 bytes), copyable: a copy continues like the original.
typedef struct vesde_torch_cpu {
    // The pairs are those of calls for fewer than 16.
    struct vesde_paired state;
} vesde_torch_cpu;

// How many threads a GPU runs at once, which torch's launches are cut to: a draw of more elements depends on it.
typedef struct vesde_cuda_grid {
    // Streaming multiprocessors (`multi_processor_count` in torch).
    uint32_t multiprocessors;
    // Threads that one of them holds (`max_threads_per_multi_processor` in torch), at least 256.
    uint32_t threads_per_multiprocessor;
} vesde_cuda_grid;

// The state of torch's CUDA generator: what `torch.Generator("cuda").manual_seed(seed)` makes and `torch.randn` on the GPU
// advances.
//
// It gives the GPU's bits, on every machine: the logarithm is CUDA's, and the sine and cosine, which make numbers differ by up to 5e-6 from
// exact ones, are the GPU's own. On an H100 and on an H200 (torch 2.11, CUDA 13) not one of 1.6 billion elements differs; other kinds of GPU have not been at
// hand, but for what users have printed: four digits of an A100 and of an RTX A4000, 36 numbers of an RTX 3060. torch rounds the same numbers for `float16` and
// `bfloat16`.
//
// torch splits a draw of more than 2²⁹ elements into several launches, which take the generator
// further than one would. So does this, by the source of torch 2.15: draws beyond 2²⁹ were not
// compared with a GPU's. In `float16` and `bfloat16`, which torch splits beyond 2³⁰ only, they
// have other numbers.
//
// Owned by the caller, fixed in size (24 bytes), copyable: a copy continues like the original.
typedef struct vesde_torch_cuda {
    // The seed, all 64 bits of it.
    uint64_t seed;
    // torch's Philox offset: 0 from `manual_seed`, and a multiple of 4.
    uint64_t offset;
    // The GPU.
    struct vesde_cuda_grid grid;
} vesde_torch_cuda;

// The state of NumPy's `RandomState`, which `numpy.random.seed` seeds and `numpy.random.randn` draws from: MT19937 and the polar method
// of Marsaglia.
//
// NumPy computes in double; these are its numbers rounded to float, on every machine. Owned by the caller, fixed in size (2,512
// bytes), copyable: a copy continues like the original.
typedef struct vesde_numpy {
    struct vesde_paired state;
} vesde_numpy;

// What a sampler needs to know besides the configuration. All zeros is diffusers' behaviour on counter noise of seed 0.
typedef struct vesde_sampler_options {
    // Seed of the counter noise.
    uint64_t seed;
    // Stream of the first draw of counter noise; each further draw takes the next.
    uint64_t stream;
    // The step to start at. 0 unless `start` is VESDE_SAMPLER_START_GIVEN.
    uint64_t first_step;
    // Who makes the noise: one of enum vesde_sampler_noise.
    int32_t noise;
    // Over what the corrector averages: one of enum vesde_averaging.
    int32_t averaging;
    // How the corrector computes its norms: one of enum vesde_norm.
    int32_t norm;
    // 0 to clamp the result to 0 to 1, as diffusers' pipeline does; 1 to leave it as it is.
    int32_t unclamped;
    // Which of the last step's results is the job's: one of enum vesde_sampler_result.
    int32_t result;
    // From what the job starts: one of enum vesde_sampler_start.
    int32_t start;
} vesde_sampler_options;

// The state of a job. Plain data, owned by the caller: a copy, taken at any time together with a copy of the sample, continues
// like the original.
typedef struct vesde_sampler {
    struct vesde_config config;
    uint64_t seed;
    // The stream of the first draw.
    uint64_t stream;
    uint64_t batch;
    // The step that the job starts at.
    uint64_t first_step;
    // How many requests were made: where the job is.
    uint64_t turn;
    int32_t noise;
    int32_t averaging;
    int32_t norm;
    int32_t unclamped;
    int32_t result;
    // Whether the initial sample is the caller's.
    int32_t start;
} vesde_sampler;

// What a turn of the sampler does to the sample: sample·x + output·m + noise·z, with x the sample, m the model output and z the
// noise, from left to right, then clamped. Where `noise` is 0 there is no third term; where `sample` is 0 there is the third alone;
// where both are 0 the sample stays as it is.
typedef struct vesde_plan {
    // The factor of the sample.
    float sample;
    // The factor of the model output, unless a reduction computes it.
    float output;
    // The factor of the noise, unless a reduction computes it.
    float noise;
    // What must be computed first: one of enum vesde_reduction.
    int32_t reduction;
    // The least value of the result: minus infinity where it is not clamped.
    float clamp_low;
    // The greatest value of the result: infinity where it is not clamped.
    float clamp_high;
    // Which draw the noise is: 0 is the initial sample's.
    uint64_t draw;
    // The noise, if it is counter noise: element i of the batch takes element counter.index + i.
    struct vesde_counter counter;
} vesde_plan;

// A sampler's request. `draw` is set for VESDE_REQUEST_KIND_NOISE, what else there is besides `kind` for VESDE_REQUEST_KIND_SCORE; the rest is
// zero.
typedef struct vesde_request {
    // What to do: one of enum vesde_request_kind.
    int32_t kind;
    // The corrector step within the step; equal to correct_steps for the predictor step.
    uint32_t correction;
    // The step, from 0 to `steps` − 1: progress.
    size_t step;
    // The number of steps.
    size_t steps;
    // What a network of discrete noise levels is given: steps − 1 − the index of vesde_get_timestep_index, 0 for the largest sigma.
    // It is score_sde's label, round((1 − t)·(steps − 1)), where sampling_eps is 1e-6 or more and times steps − 1 less than a half;
    // elsewhere that may differ by 1, and this goes with the sigma that the step looks up.
    uint64_t label;
    // Which draw of noise: 0 is the initial sample's, later ones are those of the steps in diffusers' order. They may come from
    // different generators.
    uint64_t draw;
    // The noise scale: what the network is given.
    float sigma;
    // The continuous timestep.
    float timestep;
} vesde_request;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The library's version, as major·2¹⁶ + minor·2⁸ + patch: to be compared with the header's macros.
uint32_t vesde_version(void);

// A sentence about a status, never NULL: static text in English, without a full stop.
const char *vesde_status_message(vesde_status status);

// 1 if this thread computes as vesde assumes, and 0 if not: results are rounded to the nearest, ties to even, and subnormal
// numbers are kept.
//
// That is what programs begin with. It is lost where a program changes it (fesetround, _MM_SET_FLUSH_ZERO_MODE), or is linked by
// GCC with -Ofast or -ffast-math, which flushes subnormals on x86 and ARM: then other bits come out, and the norm of a score of
// 1e-40 is 0. The environment is a thread's own, so ask in the thread that computes. It is found out by computing, which traps
// where the program has asked for traps of underflow or of inexact results.
int32_t vesde_float_environment_is_default(void);

// The widest vector instructions in use: one of enum vesde_simd_level_kind. Every level gives the same bits.
int32_t vesde_simd_level(void);

// Limits the whole process to vector instructions of `highest` and below: for tests and benches. The highest kind lifts the limit.
vesde_status vesde_limit_simd_level(int32_t highest);

// Sets `config` to diffusers' defaults: snr 0.15, sigma_min 0.01, sigma_max 1348, sampling_eps 1e-5, 2000 training
// timesteps, 1 corrector step.
//
// Pointers:
// `config` is NULL or writable.
vesde_status vesde_config_default(struct vesde_config *config);

// Checks every field of `config`; the status names the first that is out of its range.
//
// Pointers:
// `config` is NULL or readable.
vesde_status vesde_config_validate(const struct vesde_config *config);

// Reads a scheduler_config.json of `json_len` bytes (no terminating NUL needed). Missing keys take their defaults, unknown
// keys are ignored, another `_class_name` is refused, and the result is validated.
//
// Pointers:
// `json` is NULL or readable for `json_len` bytes; `config` is NULL or writable.
vesde_status vesde_config_from_json(const char *json,
                                    size_t json_len,
                                    struct vesde_config *config);

// Writes a scheduler_config.json that diffusers loads, without a terminating NUL, and its length in bytes to `json_len`. 512
// bytes of capacity always suffice.
//
// Pointers:
// `config` is NULL or readable; `json` is NULL or writable for `capacity` bytes; `json_len` is NULL or writable.
vesde_status vesde_config_to_json(const struct vesde_config *config,
                                  char *json,
                                  size_t capacity,
                                  size_t *json_len);

// The standard deviation of the initial sample: the configuration's sigma_max. Multiply the initial noise by it.
//
// Pointers:
// `config` is NULL or readable; `init_noise_sigma` is NULL or writable.
vesde_status vesde_init_noise_sigma(const struct vesde_config *config,
                                    float *init_noise_sigma);

// Writes `timesteps_len` continuous timesteps, from 1 down to sampling_eps: diffusers' set_timesteps, bit for bit. What diffusers
// takes as keyword overrides is here a changed copy of the configuration.
//
// Pointers:
// `config` is NULL or readable; `timesteps` is NULL or writable for `timesteps_len` floats.
vesde_status vesde_set_timesteps(const struct vesde_config *config,
                                 size_t timesteps_len,
                                 float *timesteps);

// Writes `timesteps_len` sigmas, sigma_min·(sigma_max/sigma_min)^t at each timestep t, and `discrete_sigmas_len` discrete sigmas, from
// sigma_min to sigma_max in geometric progression: diffusers' set_sigmas. Powers and exponentials are double ones
// rounded to float; torch's own, in float, differ by up to 2 and 1 units in the last place. `sigmas` may be
// `timesteps`; `discrete_sigmas` may be neither.
//
// Pointers:
// `config` is NULL or readable; `timesteps` is NULL or readable, and `sigmas` NULL or writable, for `timesteps_len` floats;
// `discrete_sigmas` is NULL or writable for `discrete_sigmas_len` floats.
vesde_status vesde_set_sigmas(const struct vesde_config *config,
                              const float *timesteps,
                              size_t timesteps_len,
                              size_t discrete_sigmas_len,
                              float *sigmas,
                              float *discrete_sigmas);

// The index into discrete_sigmas at a continuous timestep: trunc(timestep·(timesteps_len − 1)), in float.
//
// Pointers:
// `scheduler` is NULL or readable, and so are its tables; `index` is NULL or writable.
vesde_status vesde_get_timestep_index(const struct vesde_scheduler *scheduler,
                                      float timestep,
                                      size_t *index);

// The discrete sigma one index below, or 0 at index 0: diffusers' get_adjacent_sigma.
//
// Pointers:
// `scheduler` is NULL or readable, and so are its tables; `adjacent_sigma` is NULL or writable.
vesde_status vesde_get_adjacent_sigma(const struct vesde_scheduler *scheduler,
                                      size_t index,
                                      float *adjacent_sigma);

// The factors of a predictor step at a timestep, for vesde_update.
//
// Pointers:
// `scheduler` is NULL or readable, and so are its tables; `step` is NULL or writable.
vesde_status vesde_get_predictor_step(const struct vesde_scheduler *scheduler,
                                      float timestep,
                                      struct vesde_predictor_step *step);

// One predictor step: prev_sample_mean = sample + d²·model_output, prev_sample = prev_sample_mean + d·noise, with d = √(σ² − σ′²)
// from the timestep (Song et al. 2021, equation 47; diffusers' step_pred).
//
// All buffers have `len` floats. `timesteps` holds one timestep for the whole batch (`timesteps_len` 1), or one for each sample
// of the batch; no output may overlap it. A timesteps_len that divides `len` and is not the batch goes unnoticed.
// `prev_sample_mean` may be NULL, and `noise` where d is 0. A score that is not a number is passed on.
//
// Pointers:
// `scheduler` is NULL or readable, and so are its tables. Every other pointer is NULL or valid for its length.
vesde_status vesde_step_pred(const struct vesde_scheduler *scheduler,
                             const float *model_output,
                             const float *timesteps,
                             size_t timesteps_len,
                             const float *sample,
                             const float *noise,
                             size_t len,
                             float *prev_sample,
                             float *prev_sample_mean);

// vesde_step_pred with counter noise, made on the way: element i of the sample takes element noise.index + i.
//
// Pointers:
// As vesde_step_pred.
vesde_status vesde_step_pred_counter(const struct vesde_scheduler *scheduler,
                                     const float *model_output,
                                     const float *timesteps,
                                     size_t timesteps_len,
                                     const float *sample,
                                     size_t len,
                                     struct vesde_counter noise,
                                     float *prev_sample,
                                     float *prev_sample_mean);

// One corrector step of annealed Langevin dynamics: prev_sample_mean = sample + ε·model_output, prev_sample = prev_sample_mean +
// √(2ε)·noise, with ε = 2·(snr·‖noise‖/‖model_output‖)² (Song et al. 2021, algorithm 4; diffusers' step_correct).
//
// All buffers have `len` floats: `batch` samples of equal length, one after the other. `averaging` is one of enum
// vesde_averaging, `norm` one of enum vesde_norm. `prev_sample_mean` may be NULL.
//
// Pointers:
// As vesde_step_pred.
vesde_status vesde_step_correct(const struct vesde_scheduler *scheduler,
                                const float *model_output,
                                const float *sample,
                                const float *noise,
                                size_t len,
                                size_t batch,
                                int32_t averaging,
                                int32_t norm,
                                float *prev_sample,
                                float *prev_sample_mean);

// vesde_step_correct with counter noise, made on the way: element i of the batch takes element noise.index + i. Of up to 4 Mi
// floats it is made once where prev_sample is neither sample nor model_output, or where there is a prev_sample_mean, and else
// twice: then a step takes about 1.5 times as long.
//
// Pointers:
// As vesde_step_pred.
vesde_status vesde_step_correct_counter(const struct vesde_scheduler *scheduler,
                                        const float *model_output,
                                        const float *sample,
                                        size_t len,
                                        size_t batch,
                                        int32_t averaging,
                                        int32_t norm,
                                        struct vesde_counter noise,
                                        float *prev_sample,
                                        float *prev_sample_mean);

// The forward process: noisy_samples = σ·noise + original_samples, with σ the discrete sigma at the index (diffusers' add_noise).
//
// All buffers have `len` floats. `indices` holds one index for the whole batch (`indices_len` 1), or one for each sample; the
// output may not overlap it. An indices_len that divides `len` and is not the batch goes unnoticed. `noise` may be NULL where
// the sigma is 0.
//
// Pointers:
// As vesde_step_pred.
vesde_status vesde_add_noise(const struct vesde_scheduler *scheduler,
                             const float *original_samples,
                             const int64_t *indices,
                             size_t indices_len,
                             const float *noise,
                             size_t len,
                             float *noisy_samples);

// vesde_add_noise with counter noise, made on the way.
//
// Pointers:
// As vesde_step_pred.
vesde_status vesde_add_noise_counter(const struct vesde_scheduler *scheduler,
                                     const float *original_samples,
                                     const int64_t *indices,
                                     size_t indices_len,
                                     size_t len,
                                     struct vesde_counter noise,
                                     float *noisy_samples);

// Scales a network's input as diffusers' scale_model_input does for this SDE: not at all. `out` may be `sample`.
//
// Pointers:
// Each pointer is NULL or valid for `len` floats.
vesde_status vesde_scale_model_input(const float *sample,
                                     size_t len,
                                     float *out);

// How many sums of squares a sample of `len` floats has: one for each VESDE_NORM_BLOCK of them.
size_t vesde_norm_blocks(size_t len);

// The sums of squares of each VESDE_NORM_BLOCK floats of `x`: the first phase of a corrector step that is split over threads.
// Parts of a sample that begin at a multiple of VESDE_NORM_BLOCK may be summed by any thread, in any order.
//
// Pointers:
// `x` is NULL or readable for `len` floats; `blocks` is NULL or writable for `blocks_len` doubles.
vesde_status vesde_sum_squares(const float *x,
                               size_t len,
                               size_t blocks_len,
                               double *blocks);

// vesde_sum_squares of `len` elements of counter noise.
//
// Pointers:
// `blocks` is NULL or writable for `blocks_len` doubles.
vesde_status vesde_sum_squares_counter(struct vesde_counter x,
                                       size_t len,
                                       size_t blocks_len,
                                       double *blocks);

// The norm of one sample from all its sums of squares.
//
// Pointers:
// `blocks` is NULL or readable for `blocks_len` doubles; `norm` is NULL or writable.
vesde_status vesde_sample_norm(const double *blocks, size_t blocks_len, double *norm);

// torch's norm of one sample, bit for bit: a float value (VESDE_NORM_TORCH). It cannot be split.
//
// Pointers:
// `x` is NULL or readable for `len` floats; `norm` is NULL or writable.
vesde_status vesde_torch_norm(const float *x, size_t len, double *norm);

// vesde_torch_norm of `len` elements of counter noise.
//
// Pointers:
// `norm` is NULL or writable.
vesde_status vesde_torch_norm_counter(struct vesde_counter x, size_t len, double *norm);

// The mean over the batch of one norm a sample: what VESDE_AVERAGING_BATCH takes. `norm` is one of enum vesde_norm: with
// VESDE_NORM_TORCH it is torch's bit for bit for any batch, as one thread of torch has it (beyond 32,768 its threads share the
// sum).
//
// Pointers:
// `norms` is NULL or readable for `batch` doubles; `mean` is NULL or writable.
vesde_status vesde_mean_norm(const double *norms,
                             size_t batch,
                             int32_t norm,
                             double *mean);

// The factors of a corrector step from its two norms, for vesde_update: the middle phase of a step that is split. `snr` is the
// configuration's; `norm` is one of enum vesde_norm.
//
// Pointers:
// `step` is NULL or writable.
vesde_status vesde_get_corrector_step(double snr,
                                      double grad_norm,
                                      double noise_norm,
                                      int32_t norm,
                                      struct vesde_corrector_step *step);

// The elementwise part of a step: prev_sample_mean = sample + drift·model_output, prev_sample = prev_sample_mean +
// diffusion·noise. For the last phase of a corrector step drift is step_size and diffusion is noise_factor. `noise` may be NULL
// where `diffusion` is 0: then prev_sample is prev_sample_mean.
//
// Pointers:
// As vesde_step_pred.
vesde_status vesde_update(float drift,
                          float diffusion,
                          const float *model_output,
                          const float *sample,
                          const float *noise,
                          size_t len,
                          float *prev_sample,
                          float *prev_sample_mean);

// vesde_update with counter noise, made on the way. Split, part k passes noise.index plus the part's offset.
//
// Pointers:
// As vesde_step_pred.
vesde_status vesde_update_counter(float drift,
                                  float diffusion,
                                  const float *model_output,
                                  const float *sample,
                                  size_t len,
                                  struct vesde_counter noise,
                                  float *prev_sample,
                                  float *prev_sample_mean);

// Fills `out` with `len` elements of counter noise, from noise.index on.
//
// Pointers:
// `out` is NULL or writable for `len` floats.
vesde_status vesde_counter_fill(struct vesde_counter noise, size_t len, float *out);

// Seeds `state` as torch's manual_seed does: the lower 32 bits of the seed count.
//
// Pointers:
// `state` is NULL or writable.
vesde_status vesde_torch_cpu_seed(struct vesde_torch_cpu *state, uint64_t seed);

// torch.randn(len) of torch's CPU generator, bit for bit, advancing the state. One call for n is not two calls for parts of n,
// unless the parts are multiples of 16: the calls must be those that torch makes.
//
// `generators_len` is 1, or the batch: then each generator makes one sample of it, in a call of its own, as diffusers does with a list
// of generators.
//
// Pointers:
// `generators` is NULL or holds `generators_len` states seeded by vesde_torch_cpu_seed, and nothing else uses them now; `out` is NULL or
// writable for `len` floats.
vesde_status vesde_torch_cpu_fill(struct vesde_torch_cpu *generators,
                                  size_t generators_len,
                                  size_t len,
                                  float *out);

// Sets `grid` to that of the GPU called `name`, of `name_len` bytes (no terminating NUL needed), as torch.cuda.get_device_name has it or
// without "NVIDIA", "Tesla" and "GeForce" in front: "NVIDIA H200", "T4", "rtx 4090". "unlimited" is a GPU on which every element has a
// thread of its own, as runtimes that imitate torch assume.
//
// Pointers:
// `name` is NULL or readable for `name_len` bytes; `grid` is NULL or writable.
vesde_status vesde_cuda_grid_of_gpu(const char *name,
                                    size_t name_len,
                                    struct vesde_cuda_grid *grid);

// Seeds `state` as manual_seed does on a GPU with this grid: all 64 bits of the seed count. VESDE_ERROR_INVALID_RANDOM_STATE where the grid has no
// threads.
//
// Pointers:
// `state` is NULL or writable.
vesde_status vesde_torch_cuda_seed(struct vesde_torch_cuda *state,
                                   uint64_t seed,
                                   struct vesde_cuda_grid grid);

// torch.randn(len, device="cuda"), with the bits of an H100 and an H200, advancing the state. Of
// more than 2²⁹ elements torch makes several launches; these follow its source, and were not
// compared with a GPU's. Beyond 2⁴⁰ − 256 elements: VESDE_ERROR_TOO_LARGE. `generators_len` as for
// vesde_torch_cpu_fill.
//
// Pointers:
// As vesde_torch_cpu_fill.
vesde_status vesde_torch_cuda_fill(struct vesde_torch_cuda *generators,
                                   size_t generators_len,
                                   size_t len,
                                   float *out);

// Elements `start` to `start + len` − 1 of the next draw of `draw_len` elements, for work that is split over threads. The state stays as it
// is until vesde_torch_cuda_skip. VESDE_ERROR_LENGTH_MISMATCH where the draw has no such elements.
//
// Pointers:
// `state` is NULL or readable; `out` is NULL or writable for `len` floats.
vesde_status vesde_torch_cuda_fill_part(const struct vesde_torch_cuda *state,
                                        uint64_t draw_len,
                                        uint64_t start,
                                        size_t len,
                                        float *out);

// Goes past a draw of `draw_len` elements.
//
// Pointers:
// `state` is NULL or was seeded by vesde_torch_cuda_seed, and nothing else uses it now.
vesde_status vesde_torch_cuda_skip(struct vesde_torch_cuda *state, uint64_t draw_len);

// Seeds `state` as numpy.random.RandomState(seed) and numpy.random.seed do.
//
// Pointers:
// `state` is NULL or writable.
vesde_status vesde_numpy_seed(struct vesde_numpy *state, uint32_t seed);

// randn(len) of NumPy's RandomState, rounded to float, advancing the state. Two calls for the parts of a range are one call for the
// whole. `generators_len` as for vesde_torch_cpu_fill.
//
// Pointers:
// As vesde_torch_cpu_fill.
vesde_status vesde_numpy_fill(struct vesde_numpy *generators,
                              size_t generators_len,
                              size_t len,
                              float *out);

// Makes a sampler: the predictor–corrector loop of Song et al. 2021 (algorithm 1) for a batch of `batch` samples. It keeps a copy of
// `config`, and takes nothing but the tables from the scheduler that vesde_sampler_next is given. A `first_step` without a given
// sample is VESDE_ERROR_TIMESTEP_OUT_OF_RANGE.
//
// Pointers:
// `config` and `options` are NULL or readable; `sampler` is NULL or writable.
vesde_status vesde_sampler_init(const struct vesde_config *config,
                                size_t batch,
                                const struct vesde_sampler_options *options,
                                struct vesde_sampler *sampler);

// vesde_sampler_next without buffers, for an engine that runs the plan where its tensors are, or on its threads: what is to be done
// with the answer to the last request, and what is needed then. What vesde_sampler_next checks of buffers is left to the caller, and
// so are the factors of a reduction. The state goes on by one turn, whatever becomes of the plan: to repeat one, keep a copy. A
// whole job is:
//
// do {
//     status = vesde_sampler_plan(&sampler, &scheduler, &plan, &request);
//     if (status != VESDE_OK)
//         break;
//     run(&plan, x, score, z); // x = clamp(plan.sample * x + plan.output * score + plan.noise * z)
//     if (request.kind == VESDE_REQUEST_KIND_SCORE)
//         network(x, request.sigma, score);
//     else if (request.kind == VESDE_REQUEST_KIND_NOISE)
//         draw(request.draw, z);
// } while (request.kind != VESDE_REQUEST_KIND_DONE);
//
// Pointers:
// `sampler` is NULL or was made by vesde_sampler_init, and nothing else uses it now; `scheduler` is NULL or readable, and so
// are its tables; `plan` and `request` are NULL or writable.
vesde_status vesde_sampler_plan(struct vesde_sampler *sampler,
                                const struct vesde_scheduler *scheduler,
                                struct vesde_plan *plan,
                                struct vesde_request *request);

// Takes what the last request asked for, advances `sample` in place, and says what is needed next. A whole job is:
//
// do {
//     status = vesde_sampler_next(&sampler, &scheduler, score, NULL, len, sample, &request);
//     if (status == VESDE_OK && request.kind == VESDE_REQUEST_KIND_SCORE)
//         network(sample, request.sigma, score);
// } while (status == VESDE_OK && request.kind != VESDE_REQUEST_KIND_DONE);
//
// The first call makes the initial sample, whatever the buffers hold, unless the options say that it is there. After
// VESDE_REQUEST_KIND_DONE `sample` holds the result, which the options choose: the last predictor step's prev_sample_mean,
// clamped, by default. `noise` may be NULL unless
// VESDE_REQUEST_KIND_NOISE has asked for it. A score that is not a number is noticed by corrector steps only. After an
// error everything is as before: the call can be repeated.
//
// Pointers:
// `sampler` is NULL or was made by vesde_sampler_init, and nothing else uses it now; `scheduler` is NULL or readable, and so
// are its tables; every buffer is NULL or valid for `len` floats, initialised but for the first call's; `request` is NULL or
// writable.
vesde_status vesde_sampler_next(struct vesde_sampler *sampler,
                                const struct vesde_scheduler *scheduler,
                                const float *model_output,
                                const float *noise,
                                size_t len,
                                float *sample,
                                struct vesde_request *request);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VESDE_H */
