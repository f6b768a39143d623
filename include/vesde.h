/*
 * vesde: torch's and CUDA's noise, and samplers of score-based generative models: the
 * variance-exploding SDE (Song et al. 2021; diffusers' ScoreSdeVeScheduler) and few-call methods
 * along sigmas. Generated from src/ by cbindgen; do not edit.
 *
 * Which function for what; docs/ has a page for each job:
 * - pictures from a network: vesde_sampler_init, vesde_sampler_next;
 * - the same by an ODE, latent codes, likelihoods: vesde_ode_init, vesde_ode_next;
 * - on your own threads or GPU: vesde_sampler_plan, vesde_run_plan, vesde_ode_next_plan;
 * - noise of torch, CUDA and NumPy: vesde_generator_seed, vesde_randn;
 * - tables: vesde_set_karras_sigmas, vesde_set_timesteps, vesde_set_sigmas;
 * - single steps: vesde_step_pred, vesde_step_correct, vesde_add_noise; your own: vesde_linear;
 * - inpainting, colorization, guidance: vesde_impute, vesde_recolour, vesde_guide.
 *
 * Of all functions:
 * - A function that can fail returns a vesde_status: VESDE_OK, or a code of enum vesde_error. After
 *   an error it has written nothing. No function allocates, unwinds or aborts. The library keeps no
 *   state, except which instructions the CPU has.
 * - NULL is VESDE_ERROR_NULL_POINTER wherever the documentation does not allow it.
 * - A length of 0 is VESDE_ERROR_EMPTY, except in a draw: vesde_counter_fill, vesde_randn,
 *   vesde_rand, vesde_rademacher, vesde_generator_fill_part and _skip of a draw of nothing are
 *   VESDE_OK and leave a generator as it is. They do not look at the pointer of an empty buffer,
 *   which may be NULL.
 * - Structs are plain: allocate them anywhere and copy them with =. Their size does not change
 *   within a minor version. In a struct of buffers or options set what you need, and leave zeros in
 *   the rest: {.sample = x, ...}.
 * - An output buffer may be uninitialised, and may be exactly one of the inputs (in place). An
 *   overlap of any other kind is VESDE_ERROR_OVERLAP. Buffers need the alignment of float only. A
 *   struct of buffers is read before anything is written: outputs may lie in it.
 * - Inputs may be the same buffer, or overlap in any way: only outputs are checked.
 * - An output that is one number or struct is written last: it may lie in an input, but not in
 *   another output, a vesde_scheduler or its tables.
 * - All functions are reentrant. One state object (a generator, a vesde_sampler) belongs to one
 *   thread at a time.
 * - The same inputs give the same bits on every machine, for every split of the work and every
 *   alignment, in the floating-point environment that every program begins with: round to nearest,
 *   subnormals kept. A program that GCC links with -Ofast has another one:
 *   vesde_float_environment_is_default returns 0 there.
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

// The most terms of a linear combination.
#define VESDE_MOST_TERMS 8

// Floats in a block of a sum of squares. For the corrector's norms a sample may be split at
// multiples of it.
#define VESDE_NORM_BLOCK 4096

// The most sums that a plan keeps.
#define VESDE_MOST_KEEPS 2

// The most terms of a sum of an ODE job.
#define VESDE_ODE_MOST_TERMS 5

// Why a call was refused. Nothing has been written when a function returns one of these.
//
// The discriminants are the C ABI's status codes; `VESDE_OK` is 0.
typedef enum vesde_error {
    // A pointer that must not be NULL is NULL, or there is no noise where its factor is not 0.
    VESDE_ERROR_NULL_POINTER = -1,
    // A pointer is not aligned to its type.
    VESDE_ERROR_MISALIGNED = -2,
    // A length or a batch is zero, or a combination has no terms.
    VESDE_ERROR_EMPTY = -3,
    // Lengths that belong together differ, or a batch does not divide its length.
    VESDE_ERROR_LENGTH_MISMATCH = -4,
    // A length in bytes, an index of counter noise or a number of terms is too large.
    VESDE_ERROR_TOO_LARGE = -5,
    // An output partly overlaps an input, or overlaps another output. It may be exactly an input.
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
    // A table of sigmas holds a value from which no step can be made: it is not finite, or the
    // difference of squares of two neighbours is negative or not finite.
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
    // A number has more than 19 digits and lies too close to the middle between two doubles, or is
    // out of its type's range.
    VESDE_ERROR_JSON_NUMBER = -43,
    // `_class_name` names another scheduler.
    VESDE_ERROR_JSON_CLASS_NAME = -44,
    // Values are nested deeper than 64 levels.
    VESDE_ERROR_JSON_DEPTH = -45,
    // The sampler's state is not one that its functions make.
    VESDE_ERROR_INVALID_SAMPLER = -50,
    // The sampler is done; there is no next request.
    VESDE_ERROR_SAMPLER_DONE = -51,
    // An option of the sampler is out of its range, or does not go with its method.
    VESDE_ERROR_INVALID_OPTION = -52,
    // A random state is not one that its seed function makes.
    VESDE_ERROR_INVALID_RANDOM_STATE = -60,
    // No GPU of this name is known.
    VESDE_ERROR_UNKNOWN_GPU = -61,
    // This kind of generator makes its numbers one after the other: a draw cannot be split.
    VESDE_ERROR_UNSPLITTABLE_DRAW = -62,
    // A norm that an ODE step needs is infinite or not a number, because the score, its product
    // with the probe, the sample or the square of a sigma is.
    VESDE_ERROR_NON_FINITE_SCORE = -70,
    // An ODE step would have to be shorter than the spacing of doubles: its error exceeds the
    // tolerance, or the longest step is that short.
    VESDE_ERROR_STEP_TOO_SMALL = -71,
    // The next ODE step would take more evaluations than the options allow.
    VESDE_ERROR_TOO_MANY_EVALUATIONS = -72,
    // `rtol` must be finite and greater than 0, `atol` finite and not below 0, and greater than 0
    // with a divergence; `max_step` and a first step must be greater than 0, and the distance of
    // differences finite and greater than 0.
    VESDE_ERROR_INVALID_TOLERANCE = -73,
} vesde_error;

// How the corrector averages its norms.
typedef enum vesde_averaging {
    // Over the batch: one step size for all samples, as in diffusers.
    VESDE_AVERAGING_BATCH = 0,
    // Not at all: each sample has its own step size, whatever its neighbours in the batch.
    VESDE_AVERAGING_PER_SAMPLE = 1,
} vesde_averaging;

// How the corrector computes norms and step size.
typedef enum vesde_norm {
    // In double, rounded to float once at the end: right to 1e-7 at every length, and splittable.
    VESDE_NORM_EXACT = 0,
    // In float in torch's order, bit for bit. Its error grows with the length: 6e-5 at 3 million
    // elements.
    VESDE_NORM_TORCH = 1,
} vesde_norm;

// Where the noise of a step comes from.
typedef enum vesde_noise_kind {
    // None: for a step without noise, whose prev_sample is its prev_sample_mean.
    VESDE_NOISE_KIND_NONE = 0,
    // The caller's.
    VESDE_NOISE_KIND_GIVEN = 1,
    // Counter noise, made while the step is computed.
    VESDE_NOISE_KIND_COUNTER = 2,
} vesde_noise_kind;

// The kind of a generator.
typedef enum vesde_generator_kind {
    // Counter noise, one stream for each draw, as in the sampler.
    VESDE_GENERATOR_KIND_COUNTER = 0,
    // torch's on the CPU.
    VESDE_GENERATOR_KIND_TORCH_CPU = 1,
    // torch's on a GPU.
    VESDE_GENERATOR_KIND_TORCH_CUDA = 2,
    // NumPy's `RandomState`.
    VESDE_GENERATOR_KIND_NUMPY = 3,
} vesde_generator_kind;

// Who makes the noise of a whole job.
typedef enum vesde_sampler_noise {
    // Counter noise, a stream for every draw: the initial sample takes the stream of the options,
    // each later draw the next one. The job never asks for noise.
    VESDE_SAMPLER_NOISE_COUNTER = 0,
    // The caller. A request asks for each draw, in diffusers' order; with `next_drawing` the
    // caller's generators draw.
    VESDE_SAMPLER_NOISE_GIVEN = 1,
} vesde_sampler_noise;

// The result of a job.
typedef enum vesde_sampler_result {
    // `prev_sample_mean`: the last step without its noise, as in diffusers' pipeline.
    VESDE_SAMPLER_RESULT_MEAN = 0,
    // `prev_sample`, with the last noise in it (`noise_removal=False` in `score_sde`).
    VESDE_SAMPLER_RESULT_NOISY = 1,
    // `prev_sample`, denoised by one more score at the last sigma: x + σ²·score, Tweedie's formula
    // (ncsnv2's `denoise`).
    VESDE_SAMPLER_RESULT_DENOISED = 2,
} vesde_sampler_result;

// Where a job starts.
typedef enum vesde_sampler_start {
    // From noise of the largest sigma.
    VESDE_SAMPLER_START_NOISE = 0,
    // From the sample that the first vesde_sampler_next is given, at `first_step`. Draws and
    // streams are numbered as if the job had come so far by itself. For image to image the sample
    // is the picture with noise of that step's sigma (vesde_add_noise). To resume a job, it is the
    // sample that the job had before that step's first correction.
    VESDE_SAMPLER_START_GIVEN = 1,
} vesde_sampler_start;

// The predictor: the step from one timestep to the next (Song et al. 2021, appendices E to G;
// `score_sde`'s predictors). With σ the discrete sigma at the timestep and σ′ its adjacent one:
typedef enum vesde_predictor {
    // Reverse diffusion, which is diffusers' step: d = √(σ² − σ′²), drift d², diffusion d.
    VESDE_PREDICTOR_REVERSE_DIFFUSION = 0,
    // Reverse diffusion along the probability flow: drift d²/2, no diffusion.
    VESDE_PREDICTOR_REVERSE_DIFFUSION_FLOW = 1,
    // Ancestral sampling: v = σ² − σ′², drift v, diffusion √(σ′²·v/σ²).
    VESDE_PREDICTOR_ANCESTRAL = 2,
    // No predictor: no step, no score and no draw.
    VESDE_PREDICTOR_NONE = 3,
    // Euler–Maruyama: drift g², dt 1/N, diffusion g·√(1/N), with N timesteps and g = σ(t)·√(2·ln
    // (`sigma_max`/`sigma_min`)). σ(t) is the one in `sigmas` at this timestep, if it is there.
    VESDE_PREDICTOR_EULER_MARUYAMA = 4,
    // Euler's steps along the probability flow: drift g²/2, dt 1/N, no diffusion.
    VESDE_PREDICTOR_EULER_MARUYAMA_FLOW = 5,
} vesde_predictor;

// The corrector: how the step size ε of its steps is made. The factor of the noise is √(2ε).
typedef enum vesde_corrector {
    // From the norms of score and noise, as diffusers has it (Song et al. 2021, algorithm 4): ε =
    // 2·(snr·‖noise‖/‖score‖)².
    VESDE_CORRECTOR_LANGEVIN = 0,
    // From the noise scale (`score_sde`'s `ald`): ε = 2·(snr·σ)².
    VESDE_CORRECTOR_ANNEALED_LANGEVIN = 1,
    // From the noise scale and the last one: ε = `step_lr`·(σ/last σ)². With no predictor,
    // `set_ncsnv2_sigmas` and a denoised result it is the annealed Langevin dynamics of ncsnv2
    // (Song and Ermon 2020), which starts from uniform noise that the caller gives.
    VESDE_CORRECTOR_NCSNV2 = 2,
    // No corrector: no step, no score and no draw.
    VESDE_CORRECTOR_NONE = 3,
} vesde_corrector;

// The method of a job: how it goes from noise to a sample.
//
// All methods but the first go along a table of sigmas, [`Schedule::sigmas`], and use nothing else
// of the schedule. A table of n + 1 sigmas, each less than the one before, has n steps. The last
// sigma may be 0: that step gives the denoised sample, whatever the method.
// [`set_geometric_sigmas`] and [`set_karras_sigmas`] make such tables.
//
// With [`eta`](SamplerOptions::eta) 0 they follow the probability-flow ODE. With an η above 0 the
// methods that say so add noise.
//
// Measured on examples/digits (study.py): [`Dpmpp2m`](Self::Dpmpp2m) is the one to take: with η 1
// or ½ for the best pictures from 5 to 20 calls of the network, with η 0 for a result that depends
// on the initial noise alone.
//
// [`Schedule::sigmas`]: crate::Schedule::sigmas
// [`set_geometric_sigmas`]: crate::set_geometric_sigmas
// [`set_karras_sigmas`]: crate::set_karras_sigmas
typedef enum vesde_method {
    // Song et al. 2021, algorithm 1, as diffusers has it, with the options' predictor and
    // corrector.
    VESDE_METHOD_PREDICTOR_CORRECTOR = 0,
    // Euler's method in σ, which is DDIM and DPM-Solver-1; of order 1. With η it is Euler
    // ancestral, with churn k-diffusion's Euler.
    VESDE_METHOD_EULER = 1,
    // Heun's method in σ (Karras et al. 2022, algorithm 1; with churn algorithm 2); of order 2,
    // with two calls a step, except the step to 0.
    VESDE_METHOD_HEUN = 2,
    // DPM-Solver-2 (Lu et al. 2022), the midpoint in log σ; of order 2, with two calls a step,
    // except the step to 0. With η it is k-diffusion's DPM2 ancestral.
    VESDE_METHOD_DPM2 = 3,
    // DPM-Solver++(2S); of order 2, with two calls a step, except the step to 0. With η it is
    // DPM++ 2S a.
    VESDE_METHOD_DPMPP2S = 4,
    // DPM-Solver++(2M) with midpoint weights, k-diffusion's and diffusers' default; of order 2.
    // With η it is DPM++ 2M SDE.
    VESDE_METHOD_DPMPP2M = 5,
    // The same with exact weights (`solver_type` "heun").
    VESDE_METHOD_DPMPP2M_EXACT = 6,
    // The third-order multistep method as it was published and as dpm-solver, diffusers and
    // k-diffusion (3M SDE) have it, with half the second difference. It is of order 2, and is here
    // for comparison with them.
    VESDE_METHOD_DPMPP3M_PUBLISHED = 7,
    // The same with the second difference at full weight: of order 3, on tables whose first sigma
    // is so large that Euler's first step does no harm. With η it is stochastic.
    VESDE_METHOD_DPMPP3M = 8,
    // UniPC-2 (Zhao et al. 2023, `bh2`): of order 3.
    VESDE_METHOD_UNIPC2 = 9,
    // UniPC-3.
    VESDE_METHOD_UNIPC3 = 10,
    // Linear multistep in σ (Adams), of the options' order.
    VESDE_METHOD_LMS = 11,
    // The same with the weights of equal steps whatever the table (iPNDM): of order 2 at most,
    // with small errors.
    VESDE_METHOD_IPNDM = 12,
} vesde_method;

// The output of the network, and the denoised sample D that follows from it; x is the sample.
typedef enum vesde_prediction {
    // The score s: D = x + σ²·s.
    VESDE_PREDICTION_SCORE = 0,
    // The noise ε: D = x − σ·ε.
    VESDE_PREDICTION_EPSILON = 1,
    // D itself.
    VESDE_PREDICTION_DENOISED = 2,
    // The velocity v of a variance-preserving network (Salimans and Ho 2022), for the sample and
    // the noise scale σ = √((1 − ᾱ)/ᾱ) of this library: D = x/(σ² + 1) − σ/√(σ² + 1)·v. The
    // network's own sample is x/√(σ² + 1).
    VESDE_PREDICTION_V = 3,
} vesde_prediction;

// Whether a job stops for the caller to change its sample: for inpainting and other conditions.
typedef enum vesde_conditions {
    // It does not.
    VESDE_CONDITIONS_NONE = 0,
    // It does, and each such request has a draw of noise, except the one for the initial sample,
    // as in `score_sde`'s inpainting and colorization. For a sample that the caller gives there is
    // no such first request.
    VESDE_CONDITIONS_DRAWING = 1,
    // It does, without noise.
    VESDE_CONDITIONS_QUIET = 2,
} vesde_conditions;

// The point at which a job asks for a change of its sample: after which of these.
typedef enum vesde_after {
    // The initial sample.
    VESDE_AFTER_INITIAL = 0,
    // All corrections of a step.
    VESDE_AFTER_CORRECTOR = 1,
    // The prediction of a step.
    VESDE_AFTER_PREDICTOR = 2,
} vesde_after;

// A buffer of a plan.
typedef enum vesde_operand {
    // The sample.
    VESDE_OPERAND_SAMPLE = 0,
    // The model output.
    VESDE_OPERAND_MODEL_OUTPUT = 1,
    // The denoised sample, in plans that clamp it.
    VESDE_OPERAND_DENOISED = 2,
    // The history's first buffer; its next ones have the next numbers.
    VESDE_OPERAND_KEPT = 3,
} vesde_operand;

// What must be computed from the tensors before a plan's factors are known.
typedef enum vesde_reduction {
    // Nothing.
    VESDE_REDUCTION_NONE = 0,
    // The norms of the model output and of the noise: of each sample, or their means over the
    // batch. vesde_get_corrector_step makes two factors of them: `step_size` for the model output,
    // which is the second term and 0 in the plan, and `noise_factor` for the noise.
    VESDE_REDUCTION_CORRECTOR_NORMS = 1,
} vesde_reduction;

// The variable in which the ODE is solved. The solution is the same, the steps are not: an
// adaptive solver needs fewer where the solution is smooth.
//
// Network evaluations at tolerances of 1e-5, in time and in sigma: sampling from a smooth score
// 110 to 170 and 182 to 290, encoding 122 to 176 and 86 to 122.
typedef enum vesde_ode_variable {
    // Time, dx/dt = −½·g(t)²·s, as in `score_sde`: best for sampling.
    VESDE_ODE_VARIABLE_TIME = 0,
    // Sigma, dx/dσ = −σ·s: best for encoding where the score is smooth.
    VESDE_ODE_VARIABLE_SIGMA = 1,
} vesde_ode_variable;

// Which way the ODE is solved.
typedef enum vesde_ode_direction {
    // From noise to data: t from 1 to `sampling_eps`.
    VESDE_ODE_DIRECTION_SAMPLING = 0,
    // From data to noise: t from `sampling_eps` to 1. The result is the code of the data, which is
    // of standard deviation `sigma_max`, and from which sampling gives the data again.
    VESDE_ODE_DIRECTION_ENCODING = 1,
} vesde_ode_direction;

// How the divergence of the score, the trace of its Jacobian J, is computed.
typedef enum vesde_divergence {
    // Not at all.
    VESDE_DIVERGENCE_NONE = 0,
    // Hutchinson's estimate ν·(J·ν) with a probe ν, from the caller's product J·ν or Jᵀ·ν.
    VESDE_DIVERGENCE_PRODUCT = 1,
    // The same from two scores, ν·(s(x + h·ν) − s(x − h·ν))/2h, whose mean is the drift. It needs
    // no product, but twice as many scores.
    VESDE_DIVERGENCE_DIFFERENCES = 2,
    // Exactly, from the products of all unit vectors: for tests, and for small samples.
    VESDE_DIVERGENCE_UNIT_PRODUCTS = 3,
    // The same from scores at x ± h·(each unit vector), and one at x.
    VESDE_DIVERGENCE_UNIT_DIFFERENCES = 4,
} vesde_divergence;

// What the caller is to do before the next vesde_ode_next.
typedef enum vesde_ode_request_kind {
    // Nothing: the sample is the result.
    VESDE_ODE_REQUEST_KIND_DONE = 0,
    // Evaluate the score of `input` at `sigma`, into `model_output`.
    VESDE_ODE_REQUEST_KIND_SCORE = 1,
    // Fill `noise` with as many standard normal numbers as the sample has elements.
    VESDE_ODE_REQUEST_KIND_NOISE = 2,
    // Evaluate the score, and its Jacobian's product with the probe, into `product`.
    VESDE_ODE_REQUEST_KIND_SCORE_AND_PRODUCT = 3,
    // The Jacobian's product with a unit vector of each sample, at the last score's input, into
    // `product`; the model output is left as it is.
    VESDE_ODE_REQUEST_KIND_PRODUCT = 4,
} vesde_ode_request_kind;

// What a derivative is made of, times a factor.
typedef enum vesde_ode_score {
    // The model output.
    VESDE_ODE_SCORE_MODEL_OUTPUT = 0,
    // Half the sum of a buffer of the workspace and the model output: the sum is rounded, then the
    // product with the factor.
    VESDE_ODE_SCORE_AVERAGE = 1,
    // A buffer of the workspace.
    VESDE_ODE_SCORE_KEPT = 2,
} vesde_ode_score;

// What is to be summed over all elements before a plan is known. K is the newest derivative, and
// scale = atol + rtol·m.
typedef enum vesde_ode_sums_kind {
    // Nothing.
    VESDE_ODE_SUMS_KIND_NONE = 0,
    // Two sums, of (sample/scale)² and of (K/scale)², with m = |sample|.
    VESDE_ODE_SUMS_KIND_FIRST_NORMS = 1,
    // The sum of ((K − k)/scale)² with m = |sample|, k being the derivative `k`.
    VESDE_ODE_SUMS_KIND_SECOND_NORM = 2,
    // The sum of (err/scale)², with err = h·(e₀·k₀ + ... + e·K) of `error` and `newest`, and m the
    // greater of |sample| and |`step`|.
    VESDE_ODE_SUMS_KIND_ERROR = 3,
} vesde_ode_sums_kind;

// What is to be summed over each sample before a plan is known.
typedef enum vesde_ode_dots_kind {
    // Nothing.
    VESDE_ODE_DOTS_KIND_NONE = 0,
    // The products of the probe and the product.
    VESDE_ODE_DOTS_KIND_PRODUCT = 1,
    // The products of the probe and the model output.
    VESDE_ODE_DOTS_KIND_MODEL_OUTPUT = 2,
    // Nothing: element `unit` of the product is the sum.
    VESDE_ODE_DOTS_KIND_PRODUCT_AT = 3,
    // Nothing: element `unit` of the model output is the sum.
    VESDE_ODE_DOTS_KIND_MODEL_OUTPUT_AT = 4,
} vesde_ode_dots_kind;

// What becomes of the sample of an ODE job.
typedef enum vesde_ode_sample_kind {
    // Nothing.
    VESDE_ODE_SAMPLE_KIND_UNCHANGED = 0,
    // It is what the input was.
    VESDE_ODE_SAMPLE_KIND_INPUT = 1,
    // It is a sum.
    VESDE_ODE_SAMPLE_KIND_SUM = 2,
} vesde_ode_sample_kind;

// What is added to the input of an ODE job in the end, in float.
typedef enum vesde_ode_shift_kind {
    // Nothing.
    VESDE_ODE_SHIFT_KIND_NONE = 0,
    // shift_factor·probe, rounded.
    VESDE_ODE_SHIFT_KIND_PROBE = 1,
    // shift_factor to one element of each sample.
    VESDE_ODE_SHIFT_KIND_UNIT = 2,
} vesde_ode_shift_kind;

// What the caller is to do before the next vesde_sampler_next.
typedef enum vesde_request_kind {
    // Nothing: the sample is the result.
    VESDE_REQUEST_KIND_DONE = 0,
    // Evaluate the score of `sample` at `sigma`, into `model_output`.
    VESDE_REQUEST_KIND_SCORE = 1,
    // Fill `noise` with as many standard normal numbers as the sample has elements.
    VESDE_REQUEST_KIND_NOISE = 2,
    // Change `sample` as the job's condition demands, for example by vesde_impute. The known part
    // of the sample then needs noise of `sigma`.
    VESDE_REQUEST_KIND_CONDITION = 3,
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

// What a function returns: `VESDE_OK`, or one of `enum vesde_error`, in which case nothing has
// been written.
typedef int32_t vesde_status;

// The configuration of the scheduler, as diffusers' `ScoreSdeVeScheduler` has it: the same fields,
// the same defaults, double as in Python.
//
// In place of diffusers' keyword overrides of `set_timesteps` and `set_sigmas`, pass a changed
// copy.
typedef struct vesde_config {
    // Signal-to-noise ratio of the corrector's step size (Song et al. 2021, algorithm 4), default
    // 0.15.
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

// A configuration and its tables, all of them the caller's. No function's output may overlap a
// table or this struct. A table that a function does not need may be NULL with length 0. Of the
// configuration, steps read `snr` only.
typedef struct vesde_scheduler {
    // The configuration.
    struct vesde_config config;
    // Continuous timesteps from 1 down to sampling_eps: vesde_set_timesteps.
    const float *timesteps;
    // Their number.
    size_t timesteps_len;
    // The noise scale at each timestep, for the network: vesde_set_sigmas. Only the sampler needs
    // it.
    const float *sigmas;
    // Their number.
    size_t sigmas_len;
    // The ascending noise scales that a step looks up: vesde_set_sigmas.
    const float *discrete_sigmas;
    // Their number.
    size_t discrete_sigmas_len;
} vesde_scheduler;

// The factors of a predictor step: `prev_sample_mean = sample + (drift·model_output)·dt` and
// `prev_sample = prev_sample_mean + diffusion·noise`.
typedef struct vesde_predictor_step {
    // The factor of the score.
    float drift;
    // The second factor of the score: 1, except for predictors that multiply twice.
    float dt;
    // The factor of the noise.
    float diffusion;
} vesde_predictor_step;

// A place in counter noise: element `index` of stream `stream` of seed `seed`.
//
// Element i is the same whoever computes it and however the work is split: two calls for the
// halves of a range give the bits of one call for the whole. There is no state: to go on, take
// another stream or a later index.
//
// The numbers come from xoroshiro128+ (Blackman and Vigna 2018), seeded anew every 1024 elements
// by Philox4x32-10 (Salmon et al. 2011), through a Box–Muller transform whose tails reach 9.27
// sigma; src/kernels/normal.rs says exactly how. A range that begins at a multiple of 64 is the
// fastest, a short one at a multiple of 1024.
typedef struct vesde_counter {
    // The seed: which family of streams.
    uint64_t seed;
    // The stream: independent noise for each. The sampler counts its draws here.
    uint64_t stream;
    // The index of the first element.
    uint64_t index;
} vesde_counter;

// The noise of a step, one standard normal number for each element: vesde_given_noise or
// vesde_counter_noise. All zeros is none.
typedef struct vesde_noise {
    // One of enum vesde_noise_kind.
    int32_t kind;
    // The numbers, for VESDE_NOISE_KIND_GIVEN.
    const float *given;
    // For VESDE_NOISE_KIND_COUNTER: element i of the call takes element counter.index + i.
    struct vesde_counter counter;
} vesde_noise;

// The buffers of a step, of `len` floats each: `batch` samples of equal length, one after the
// other.
typedef struct vesde_step {
    // The score.
    const float *model_output;
    // The sample.
    const float *sample;
    // Floats of a buffer: those of the whole batch.
    size_t len;
    // Samples of the batch, at least 1.
    size_t batch;
    // The noise.
    struct vesde_noise noise;
    // The updated sample.
    float *prev_sample;
    // The same without the noise, or NULL.
    float *prev_sample_mean;
    // The predictor: one of enum vesde_predictor.
    int32_t predictor;
} vesde_step;

// A factor and its buffer.
typedef struct vesde_term {
    // The factor.
    float factor;
    // As many floats as the combination has.
    const float *buffer;
} vesde_term;

// A linear combination of buffers of `len` floats: mean = ((a₀·x₀ + a₁·x₁) + a₂·x₂) + ..., out =
// mean + noise_factor·noise. All zeros has no terms, no noise and no clamp.
typedef struct vesde_combination {
    // The terms, in the order in which they are added. A first factor of 1 is not multiplied.
    struct vesde_term terms[VESDE_MOST_TERMS];
    // Their number.
    size_t terms_len;
    // Second factors: each multiplies its term's product, as in (a₀·x₀)·b₀, and rounds again. 0
    // and 1 leave the product as it is.
    float second_factors[VESDE_MOST_TERMS];
    // Floats of a buffer.
    size_t len;
    // The noise: the last term.
    struct vesde_noise noise;
    // Its factor.
    float noise_factor;
    // 1 if `out` is clamped, and 0 if not; others are VESDE_ERROR_UNKNOWN_ENUM.
    int32_t clamped;
    // The least value of `out`. A NaN in `out` stays; a NaN as a bound is no bound.
    float clamp_low;
    // The greatest value of `out`. It wins over the least.
    float clamp_high;
    // The combination.
    float *out;
    // The same without the noise, and not clamped; or NULL.
    float *mean;
} vesde_combination;

// The factors of a corrector step: `prev_sample_mean = sample + step_size·model_output` and
// `prev_sample = prev_sample_mean + noise_factor·noise`.
typedef struct vesde_corrector_step {
    // ε = 2·(snr·‖noise‖/‖score‖)².
    float step_size;
    // √(2ε).
    float noise_factor;
} vesde_corrector_step;

// The buffers of vesde_impute, of `len` floats each but for the mask. All zeros has no noise.
typedef struct vesde_imputation {
    // What is known.
    const float *data;
    // 1 where `data` is known, 0 where it is not, or anything between.
    const float *mask;
    // Floats of the mask. They must divide `len`: a mask of one sample serves each sample of a
    // batch, a mask of one channel each channel.
    size_t mask_len;
    // The sample.
    const float *sample;
    // Floats of a buffer.
    size_t len;
    // The noise at the data.
    struct vesde_noise noise;
    // Its standard deviation: the sample's sigma.
    float sigma;
    // The sample with the data in it.
    float *out;
} vesde_imputation;

// The buffers of vesde_recolour, of `len` floats each: `batch` samples one after the other, each
// of three channels one after the other, red, green and blue. All zeros has no noise.
typedef struct vesde_recolouring {
    // The gray images: three equal channels each.
    const float *gray;
    // The sample.
    const float *sample;
    // Floats of a buffer: those of the whole batch.
    size_t len;
    // Samples of the batch, at least 1.
    size_t batch;
    // The noise at the brightness: a number for each float, of which those of first channels are
    // used.
    struct vesde_noise noise;
    // Its standard deviation: the sample's sigma.
    float sigma;
    // The sample with the brightness of the gray images.
    float *out;
} vesde_recolouring;

// How many threads a GPU runs at once. torch cuts its launches to it, so a draw of more elements
// depends on it.
typedef struct vesde_cuda_grid {
    // Streaming multiprocessors (`multi_processor_count` in torch).
    uint32_t multiprocessors;
    // Threads that one of them holds (`max_threads_per_multi_processor` in torch), at least 256.
    uint32_t threads_per_multiprocessor;
} vesde_cuda_grid;

// The twister's state: 624 words, and how many of them have been taken.
typedef struct vesde_mt19937 {
    uint32_t words[624];
    uint32_t taken;
} vesde_mt19937;

// MT19937, and the second normal of a pair: generators that make pairs in double keep it for the
// next call.
typedef struct vesde_paired {
    struct vesde_mt19937 mt;
    uint32_t has_cached;
    double cached;
} vesde_paired;

// The state of torch's CUDA generator: what `torch.Generator("cuda").manual_seed(seed)` makes and
// `torch.randn` on the GPU advances.
//
// It gives the GPU's bits, on every machine. The logarithm is CUDA's. Sine and cosine are the
// GPU's own, and so numbers differ by up to 5e-6 from exact ones. On an H100 and on an H200 (torch
// 2.11, CUDA 13) not one of 1.6 billion elements differs; of other kinds of GPU only numbers that
// users have printed were at hand: four digits of an A100 and of an RTX A4000, 36 numbers of an
// RTX 3060. torch rounds the same numbers for `float16` and `bfloat16`.
//
// torch splits a draw of more than 2²⁹ elements into several launches, which take the generator
// further than one launch would. This does the same, by the source of torch 2.15; such draws were
// not compared with a GPU's. torch splits `float16` and `bfloat16` beyond 2³⁰ only, and there such
// draws have other numbers.
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

// A generator of any kind, with the state of that kind. Plain data, owned by the caller: a copy
// continues like the original.
typedef struct vesde_generator {
    // torch on the CPU, and NumPy. It comes first, where vector loads are most likely aligned.
    struct vesde_paired paired;
    // Counter noise: where the next draw begins. Each draw takes the next stream.
    struct vesde_counter counter;
    // torch on a GPU.
    struct vesde_torch_cuda torch_cuda;
    // Its kind: one of enum `vesde_generator_kind`.
    int32_t kind;
    // 0, so that no byte is padding.
    int32_t reserved;
} vesde_generator;

// What a sampler needs to know besides the configuration. All zeros is diffusers' behaviour on
// counter noise of seed 0.
typedef struct vesde_sampler_options {
    // Seed of the counter noise.
    uint64_t seed;
    // Stream of the first draw of counter noise; each further draw takes the next.
    uint64_t stream;
    // The step to start at. 0 unless `start` is VESDE_SAMPLER_START_GIVEN.
    uint64_t first_step;
    // Who makes the noise: one of enum vesde_sampler_noise.
    int32_t noise;
    // How the corrector averages its norms: one of enum vesde_averaging.
    int32_t averaging;
    // How the corrector computes its norms: one of enum vesde_norm.
    int32_t norm;
    // 0 to clamp the result to 0 to 1, as diffusers' pipeline does; 1 to leave it as it is.
    int32_t unclamped;
    // The result of the job: one of enum vesde_sampler_result.
    int32_t result;
    // Where the job starts: one of enum vesde_sampler_start.
    int32_t start;
    // The predictor: one of enum vesde_predictor.
    int32_t predictor;
    // The corrector: one of enum vesde_corrector.
    int32_t corrector;
    // Whether the job stops for changes of the sample: one of enum vesde_conditions.
    int32_t conditions;
    // The step size of VESDE_CORRECTOR_NCSNV2 at the last sigma.
    float step_lr;
    // The method: one of enum vesde_method.
    int32_t method;
    // The network's output: one of enum vesde_prediction. VESDE_METHOD_PREDICTOR_CORRECTOR takes
    // the score.
    int32_t prediction;
    // The order of VESDE_METHOD_LMS and VESDE_METHOD_IPNDM, up to 4; 0 is 4.
    uint32_t order;
    // How much noise a step adds, in methods that take it: 0 for none, 1 for as much as the
    // reverse-time SDE has.
    float eta;
    // The factor of the noise of steps and of churn (EDM's and k-diffusion's s_noise); 0 means 1.
    float s_noise;
    // Churn (Karras et al. 2022, algorithm 2), for the methods that say so. Before a step whose
    // sigma is in s_tmin..=s_tmax, noise raises it to sigma·(1 + gamma) with gamma =
    // min(s_churn/steps, √2 − 1). 0 for none.
    float s_churn;
    // The least sigma that is raised.
    float s_tmin;
    // The greatest; 0 is no limit.
    float s_tmax;
    // 1 to clamp the denoised sample in each step, in methods along sigmas, and 0 if not. It
    // biases samples with many values at the ends of the range.
    int32_t denoised_clamped;
    // The least value of the denoised sample.
    float denoised_low;
    // The greatest.
    float denoised_high;
} vesde_sampler_options;

// The state of a job. Plain data, owned by the caller: a copy, taken at any time together with a
// copy of the sample, continues like the original.
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
    int32_t predictor;
    int32_t corrector;
    int32_t conditions;
    float step_lr;
    int32_t method;
    int32_t prediction;
    int32_t order;
    float eta;
    float s_noise;
    float s_churn;
    float s_tmin;
    float s_tmax;
    // The range of the denoised sample: NaN for none.
    float denoised_low;
    float denoised_high;
} vesde_sampler;

// A factor of a plan and its buffer.
typedef struct vesde_plan_term {
    // The factor.
    float factor;
    // What it multiplies: one of enum vesde_operand, or more than VESDE_OPERAND_KEPT for more
    // history.
    int32_t operand;
    // A second factor of the product, which rounds again; 0 and 1 leave the product as it is.
    float second_factor;
} vesde_plan_term;

// A sum that becomes history, of what the buffers hold before the plan is run.
typedef struct vesde_keep {
    // The terms, in the order in which they are added.
    struct vesde_plan_term terms[VESDE_MOST_TERMS];
    // Their number.
    size_t terms_len;
    // The buffer of the history that takes it: 0 for VESDE_OPERAND_KEPT.
    size_t slot;
} vesde_keep;

// What a turn of the sampler does to the sample: the sum of its terms and of noise_factor·noise,
// as vesde_linear computes it. Without terms and noise the sample stays as it is; where
// noise_factor is 0 no noise is read. All sums, also those that are kept, read what the buffers
// held before the plan.
typedef struct vesde_plan {
    // The terms, in the order in which they are added.
    struct vesde_plan_term terms[VESDE_MOST_TERMS];
    // Their number.
    size_t terms_len;
    // The factor of the noise, unless a reduction computes it.
    float noise_factor;
    // 1 if the result is clamped, and 0 if not.
    int32_t clamped;
    // The least value of the result.
    float clamp_low;
    // The greatest value of the result.
    float clamp_high;
    // What becomes history.
    struct vesde_keep keeps[VESDE_MOST_KEEPS];
    // How many of them there are.
    size_t keeps_len;
    // 1 if the plan takes a score, and 0 if not. The next five fields say what the denoised sample
    // is.
    int32_t has_denoised;
    // The denoised sample's factor of the sample.
    float denoised_sample;
    // Its factor of the model output.
    float denoised_model_output;
    // 1 if it is clamped, and 0 if not.
    int32_t denoised_clamped;
    // Its least value.
    float denoised_low;
    // Its greatest value.
    float denoised_high;
    // What must be computed first: one of enum vesde_reduction.
    int32_t reduction;
    // Over what the norms of a reduction are averaged: one of enum vesde_averaging.
    int32_t averaging;
    // How they are computed: one of enum vesde_norm.
    int32_t norm;
    // The factor of further counter noise that is added to the result: after the initial sample,
    // for a first step that begins with churn. 0 for none.
    float churn_factor;
    // The signal-to-noise ratio that vesde_get_corrector_step takes.
    double snr;
    // Which draw the noise is: 0 is the initial sample's.
    uint64_t draw;
    // The noise, if it is counter noise: element i of the batch takes element counter.index + i.
    struct vesde_counter counter;
    // Which draw the churn is.
    uint64_t churn_draw;
    // Its noise.
    struct vesde_counter churn_counter;
} vesde_plan;

// A sampler's request. `draw` is set for VESDE_REQUEST_KIND_NOISE; `step`, `steps`, `sigma` and
// `timestep` for VESDE_REQUEST_KIND_SCORE, with `correction` and `label`, and for
// VESDE_REQUEST_KIND_CONDITION, with `draw`, `after` and `last`; the rest is zero.
typedef struct vesde_request {
    // What to do: one of enum vesde_request_kind.
    int32_t kind;
    // The corrector step within the step, from 0. For the predictor step it is the number of
    // corrector steps, and for the score of VESDE_SAMPLER_RESULT_DENOISED it is 0. Along a table
    // of sigmas it is 0 for the first score of a step and 1 for the second.
    uint32_t correction;
    // The step, from 0 to `steps` − 1: progress.
    size_t step;
    // The number of steps.
    size_t steps;
    // The label for a network of discrete noise levels: steps − 1 − the index of
    // vesde_get_timestep_index, so 0 for the largest sigma. It is score_sde's label, round((1 −
    // t)·(steps − 1)), where sampling_eps is at least 1e-6 and sampling_eps·(steps − 1) is less
    // than a half. Elsewhere score_sde's may differ by 1; this one goes with the sigma that the
    // step looks up. With VESDE_CORRECTOR_NCSNV2 it is the step, which is ncsnv2's index of the
    // level. Along a table of sigmas it is the step, too.
    uint64_t label;
    // Which draw of noise: 0 is the initial sample's, later ones are those of the steps in
    // diffusers' order. They may come from different generators. A condition with a draw of its
    // own takes counter noise of the options' stream plus this number, or the generator's next
    // numbers; 0 if it has none.
    uint64_t draw;
    // The noise scale, for the network. For a condition along a table of sigmas it is the one that
    // the step has come to.
    float sigma;
    // The continuous timestep; along a table of sigmas vesde_get_timestep of the sigma, which may
    // lie outside 0 to 1.
    float timestep;
    // After what a condition comes: one of enum vesde_after.
    int32_t after;
    // 1 if the condition comes last: the sample as the caller leaves it is the result.
    int32_t last;
} vesde_request;

// The buffers of a job: the same at every call, or copies of them. Fields that a job does not need
// are zero.
typedef struct vesde_buffers {
    // The sample, which is updated in place.
    float *sample;
    // The network's output for the sample.
    const float *model_output;
    // Floats of the sample, of the model output and of the noise: those of the whole batch.
    size_t len;
    // The noise that VESDE_REQUEST_KIND_NOISE has asked for; NULL where it never does.
    const float *noise;
    // The history of the job, to be left alone between calls; NULL where
    // vesde_sampler_workspace_len is 0.
    float *workspace;
    // Floats of the workspace.
    size_t workspace_len;
    // For previews, `len` floats: a call that takes a score writes the denoised sample here, and
    // other calls leave it as it is. NULL if it is not wanted.
    float *denoised;
} vesde_buffers;

// What an ODE job needs to know besides the configuration. All zeros samples in time, on counter
// noise of seed 0, with tolerances of 1e-5.
typedef struct vesde_ode_options {
    // Seed of the counter noise.
    uint64_t seed;
    // Stream of the initial sample's counter noise. A probe takes the one after it.
    uint64_t stream;
    // How many evaluations there may be; 0 is no limit. A step that would exceed it is not begun:
    // the call fails, and the step before it is not taken.
    uint64_t max_evaluations;
    // The relative tolerance; 0 is 1e-5. Below 1e-7 nothing is gained, since the sample is float.
    double rtol;
    // The absolute tolerance; 0 is 1e-5. For scipy's atol of 0 pass a tiny one, such as DBL_MIN.
    double atol;
    // The longest step; 0 is no limit.
    double max_step;
    // The first step; 0 to have it chosen, for one more evaluation.
    double first_step;
    // The distance of differences over sigma; 0 is 0.01.
    double difference;
    // Who makes the initial sample's noise: one of enum vesde_sampler_noise.
    int32_t noise;
    // Where the job starts: one of enum vesde_sampler_start. Encoding always starts from the given
    // sample.
    int32_t start;
    // The variable: one of enum vesde_ode_variable.
    int32_t variable;
    // The direction: one of enum vesde_ode_direction.
    int32_t direction;
    // How the divergence is computed: one of enum vesde_divergence.
    int32_t divergence;
    // Who makes the probe: one of enum vesde_sampler_noise. With counter noise the probe is its
    // signs.
    int32_t probe;
    // 1 if the log-densities do not count in the error, and 0 if they do, as in score_sde.
    int32_t state_only;
    // Ignored.
    int32_t reserved;
} vesde_ode_options;

// The state of a job: Dormand and Prince's pair of order five and four, with the steps of scipy's
// `solve_ivp(method="RK45")`, on the probability-flow ODE (Song et al. 2021, equation 13 and
// appendix D). Plain data, owned by the caller: a copy, taken at any time together with copies of
// the buffers, continues like the original.
//
// The batch has one step size, as in `score_sde`: the result of a sample depends a little on the
// others. To avoid that, run a job for each sample.
typedef struct vesde_ode {
    struct vesde_config config;
    uint64_t seed;
    uint64_t stream;
    uint64_t batch;
    uint64_t max_evaluations;
    uint64_t evaluations;
    uint64_t accepted;
    uint64_t rejected;
    // How many answers there were in this evaluation.
    uint64_t part;
    double rtol;
    double atol;
    double max_step;
    // The first step, or 0.
    double first_step;
    double difference;
    double u;
    // Where the try ends, and its step.
    double u_new;
    double h;
    double h_abs;
    // The first step's probe, and the norm of the derivative.
    double h0;
    double d1;
    int32_t noise;
    int32_t start;
    int32_t variable;
    int32_t direction;
    int32_t divergence;
    int32_t probe;
    int32_t state_only;
    // What was asked for.
    int32_t phase;
    int32_t is_rejected;
    // Whether the first two derivatives' buffers have changed their roles.
    int32_t is_swapped;
} vesde_ode;

// Where a job is.
typedef struct vesde_ode_stats {
    // Evaluations of the ODE's right side so far, scipy's `nfev`. Each is a score; for
    // a divergence a score and a product, or two scores, or those of all unit vectors.
    uint64_t evaluations;
    // Accepted steps.
    uint64_t accepted;
    // Rejected tries.
    uint64_t rejected;
    // The ODE's variable where the sample is.
    double u;
    // The continuous time there.
    double t;
    // The magnitude of the step that is tried.
    double h;
} vesde_ode_stats;

// The buffers of an ODE job: the same at every call, or copies of them; or those of a part of one.
// Fields that a job does not need are zero.
typedef struct vesde_ode_buffers {
    // The sample, which is the solution so far.
    float *sample;
    // The network's input.
    float *input;
    // The network's output for it.
    const float *model_output;
    // Floats of the sample, and of each buffer but the workspace: those of the whole batch.
    size_t len;
    // The noise that VESDE_ODE_REQUEST_KIND_NOISE has asked for; NULL where it never does.
    const float *noise;
    // The caller's probe, the same in every call; NULL where it is counter noise's or there is
    // none.
    const float *probe;
    // The product that a request has asked for; NULL where none does.
    const float *product;
    // The derivatives, vesde_ode_workspace_len floats, to be left alone between calls. For a part
    // that begins at element k of the batch, pass the whole job's pointer plus k.
    float *workspace;
    // From one derivative to the next, in floats; 0 is `len`. In a part it is the whole job's
    // `len`.
    size_t workspace_stride;
    // The log-densities, vesde_ode_log_densities_len doubles, to be left alone between calls: the
    // first one a sample is the result. NULL without a divergence, and in a part.
    double *log_densities;
    // Their number.
    size_t log_densities_len;
    // The first element's place in the batch: 0, but in a part.
    size_t start;
} vesde_ode_buffers;

// An ODE job's request. Fields that do not belong to its kind are zero.
typedef struct vesde_ode_request {
    // What to do: one of enum vesde_ode_request_kind.
    int32_t kind;
    // Which derivative of a step, from 1 to 7; 0 for the one that helps to choose the first step.
    uint32_t stage;
    // The noise scale, for the network.
    float sigma;
    // The continuous timestep.
    float timestep;
    // The ODE's variable.
    double u;
    // For VESDE_ODE_REQUEST_KIND_PRODUCT, which element of each sample is 1.
    uint64_t unit;
    // Which draw of noise.
    uint64_t draw;
    // 1 if a step was accepted just before: the sample is a new one.
    int32_t accepted;
    // Zero.
    int32_t reserved;
} vesde_ode_request;

// A factor and the number of the derivative that it multiplies.
typedef struct vesde_ode_term {
    // The factor.
    double factor;
    // The derivative: which one of the workspace.
    int32_t slot;
    // Zero.
    int32_t reserved;
} vesde_ode_term;

// sample + h·(c₀·k₀ + c₁·k₁ + ...): in double, one rounding an operation, from left to right, and
// rounded to float once at the end. Without terms it is the sample.
typedef struct vesde_ode_sum {
    // The terms.
    struct vesde_ode_term terms[VESDE_ODE_MOST_TERMS];
    // Their number.
    uint64_t terms_len;
    // The step.
    double h;
} vesde_ode_sum;

// A derivative: factor·score, in float.
typedef struct vesde_ode_derivative {
    // The factor.
    float factor;
    // What it multiplies: one of enum vesde_ode_score.
    int32_t score;
    // The buffer of the workspace that this needs.
    int32_t score_slot;
    // The buffer of the workspace that takes it, in a plan; −1 if none does.
    int32_t slot;
} vesde_ode_derivative;

// The reductions of a turn, with all numbers that they need. They write no buffer.
typedef struct vesde_ode_reduction {
    // The relative tolerance.
    double rtol;
    // The absolute tolerance.
    double atol;
    // The error's terms but for the last.
    struct vesde_ode_sum error;
    // The result of the step. Without differences of scores the input has it, too.
    struct vesde_ode_sum step;
    // The error's factor of the newest derivative.
    double newest;
    // The newest derivative.
    struct vesde_ode_derivative derivative;
    // Elements of a sample.
    uint64_t sample_len;
    // The element that `dots` may be about.
    uint64_t unit;
    // The probe, where it is the signs of counter noise.
    struct vesde_counter probe;
    // 1 if it is, and 0 if it is the caller's.
    int32_t counts_probe;
    // Sums over the batch: one of enum vesde_ode_sums_kind.
    int32_t sums;
    // Sums over each sample: one of enum vesde_ode_dots_kind.
    int32_t dots;
    // The buffer of the workspace that VESDE_ODE_SUMS_KIND_SECOND_NORM takes.
    int32_t k;
} vesde_ode_reduction;

// What a turn of an ODE job does to the buffers, in this order; each may be nothing. Elementwise:
// any part of the buffers may be worked on by itself.
typedef struct vesde_ode_plan {
    // A derivative that is kept, if its slot is not −1.
    struct vesde_ode_derivative keep;
    // The sample's change, where that is a sum.
    struct vesde_ode_sum sample_sum;
    // The input of the next evaluation, made from the sample as it is then.
    struct vesde_ode_sum input_sum;
    // The initial sample's noise, where it is counter noise.
    struct vesde_counter prior;
    // The probe, where it is the signs of counter noise.
    struct vesde_counter probe;
    // The element that the shift is about.
    uint64_t shift_unit;
    // Elements of a sample.
    uint64_t sample_len;
    // The factor of the initial sample's noise, σ_max, before all else; 0 if there is none.
    float prior_factor;
    // The factor of the shift.
    float shift_factor;
    // 1 if the initial sample's noise is counter noise, and 0 if it is the caller's.
    int32_t counts_prior;
    // 1 if the probe is counter noise's signs, and 0 if it is the caller's.
    int32_t counts_probe;
    // What becomes of the sample: one of enum vesde_ode_sample_kind.
    int32_t sample;
    // 1 if there is a new input, and 0 if not.
    int32_t input;
    // What is added to it: one of enum vesde_ode_shift_kind.
    int32_t shift;
    // Zero.
    int32_t reserved;
} vesde_ode_plan;

// The log-density of a sample of data, in nats, and its parts.
typedef struct vesde_log_likelihood {
    // log p(x), the sum of the two.
    double log_density;
    // That of the code under the prior.
    double prior;
    // The integral of the drift's divergence on the way from the data to the code.
    double divergence;
} vesde_log_likelihood;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The library's version, as major·2¹⁶ + minor·2⁸ + patch: to be compared with the header's macros.
uint32_t vesde_version(void);

// A sentence about a status, never NULL: static text in English, without a full stop.
const char *vesde_status_message(vesde_status status);

// 1 if this thread computes as vesde assumes, and 0 if not: results are rounded to the nearest,
// ties to even, and subnormal numbers are kept.
//
// Programs begin with this environment. A program loses it where it changes it (fesetround,
// _MM_SET_FLUSH_ZERO_MODE), or where GCC links it with -Ofast or -ffast-math, which flushes
// subnormals on x86 and ARM. Then other bits come out, and the norm of a score of 1e-40 is 0. Each
// thread has its own environment: call this in the thread that computes. The function finds out by
// computing, which traps where the program has enabled traps of underflow or of inexact results.
int32_t vesde_float_environment_is_default(void);

// The widest vector instructions in use: one of enum vesde_simd_level_kind. Every level gives the
// same bits.
int32_t vesde_simd_level(void);

// Limits the whole process to vector instructions of `highest` and below: for tests and benches.
// The highest kind lifts the limit.
vesde_status vesde_limit_simd_level(int32_t highest);

// Sets `config` to diffusers' defaults: snr 0.15, sigma_min 0.01, sigma_max 1348, sampling_eps
// 1e-5, 2000 training timesteps, 1 corrector step.
//
// Pointers:
// `config` is NULL or writable.
vesde_status vesde_config_default(struct vesde_config *config);

// Checks every field of `config`; the status names the first that is out of its range.
//
// Pointers:
// `config` is NULL or readable.
vesde_status vesde_config_validate(const struct vesde_config *config);

// Reads a scheduler_config.json of `json_len` bytes (no terminating NUL needed). Missing keys take
// their defaults, unknown keys are ignored, another `_class_name` is refused, and the result is
// validated.
//
// Pointers:
// `json` is NULL or readable for `json_len` bytes; `config` is NULL or writable.
vesde_status vesde_config_from_json(const char *json, size_t json_len, struct vesde_config *config);

// Writes a scheduler_config.json that diffusers loads, without a terminating NUL, and its length
// in bytes to `json_len`. 512 bytes of capacity always suffice.
//
// Pointers:
// `config` is NULL or readable; `json` is NULL or writable for `capacity` bytes; `json_len` is
// NULL or writable.
vesde_status vesde_config_to_json(const struct vesde_config *config,
                                  char *json,
                                  size_t capacity,
                                  size_t *json_len);

// The standard deviation of the initial sample: the configuration's sigma_max. Multiply the
// initial noise by it.
//
// Pointers:
// `config` is NULL or readable; `init_noise_sigma` is NULL or writable.
vesde_status vesde_init_noise_sigma(const struct vesde_config *config, float *init_noise_sigma);

// Writes `timesteps_len` continuous timesteps, from 1 down to sampling_eps: diffusers'
// set_timesteps, bit for bit. In place of diffusers' keyword overrides, pass a changed copy of the
// configuration.
//
// Pointers:
// `config` is NULL or readable; `timesteps` is NULL or writable for `timesteps_len` floats.
vesde_status vesde_set_timesteps(const struct vesde_config *config,
                                 size_t timesteps_len,
                                 float *timesteps);

// Writes `timesteps_len` sigmas, sigma_min·(sigma_max/sigma_min)^t at each timestep t, and
// `discrete_sigmas_len` discrete sigmas, from sigma_min to sigma_max in geometric progression:
// diffusers' set_sigmas. Powers and exponentials are double ones rounded to float; torch's own, in
// float, differ by up to 2 and 1 units in the last place. `sigmas` may be `timesteps`;
// `discrete_sigmas` may be neither.
//
// Pointers:
// `config` is NULL or readable; `timesteps` is NULL or readable, and `sigmas` NULL or writable,
// for `timesteps_len` floats; `discrete_sigmas` is NULL or writable for `discrete_sigmas_len`
// floats.
vesde_status vesde_set_sigmas(const struct vesde_config *config,
                              const float *timesteps,
                              size_t timesteps_len,
                              size_t discrete_sigmas_len,
                              float *sigmas,
                              float *discrete_sigmas);

// The index into discrete_sigmas at a continuous timestep: trunc(timestep·(timesteps_len − 1)), in
// float.
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

// The factors of a predictor step at a timestep, for vesde_linear. `predictor` is one of enum
// vesde_predictor.
//
// Pointers:
// `scheduler` is NULL or readable, and so are its tables; `step` is NULL or writable.
vesde_status vesde_get_predictor_step(const struct vesde_scheduler *scheduler,
                                      int32_t predictor,
                                      float timestep,
                                      struct vesde_predictor_step *step);

// Writes `sigmas_len` noise scales of annealed Langevin dynamics, from sigma_max down to sigma_min
// in geometric progression: ncsnv2's get_sigmas, in double and rounded once.
//
// Pointers:
// `config` is NULL or readable; `sigmas` is NULL or writable for `sigmas_len` floats.
vesde_status vesde_set_ncsnv2_sigmas(const struct vesde_config *config,
                                     size_t sigmas_len,
                                     float *sigmas);

// Writes sigmas in geometric progression from sigma_max down to sigma_min: equal steps of log σ,
// which are the VE SDE's own and EDM's "VE" row (Karras et al. 2022, table 1). One sigma alone is
// sigma_max. They are made in double and rounded once. For a step to 0, append a 0.
//
// Pointers:
// `sigmas` is NULL or writable for `sigmas_len` floats.
vesde_status vesde_set_geometric_sigmas(double sigma_min,
                                        double sigma_max,
                                        size_t sigmas_len,
                                        float *sigmas);

// Writes sigmas whose rho-th roots are equally spaced (Karras et al. 2022, equation 5, with rho 7;
// k-diffusion's get_sigmas_karras), from sigma_max down to sigma_min. One sigma alone is
// sigma_max. They are made in double and rounded once. For a step to 0, append a 0. A rho that is
// not greater than 0, or so small or so large that the roots are infinite, 0 or the same, is
// VESDE_ERROR_INVALID_OPTION.
//
// Pointers:
// `sigmas` is NULL or writable for `sigmas_len` floats.
vesde_status vesde_set_karras_sigmas(double sigma_min,
                                     double sigma_max,
                                     double rho,
                                     size_t sigmas_len,
                                     float *sigmas);

// σ(t) = sigma_min·(sigma_max/sigma_min)^t, as vesde_set_sigmas has it.
//
// Pointers:
// `config` is NULL or readable; `sigma` is NULL or writable.
vesde_status vesde_get_sigma(const struct vesde_config *config, float timestep, float *sigma);

// The time at which σ(t) is `sigma`: ln(sigma/sigma_min)/ln(sigma_max/sigma_min).
//
// Pointers:
// `config` is NULL or readable; `timestep` is NULL or writable.
vesde_status vesde_get_timestep(const struct vesde_config *config, double sigma, double *timestep);

// g = σ·√(2·ln(sigma_max/sigma_min)), the diffusion of dx = g·dw where σ(t) is `sigma`. Infinite
// where that overflows.
//
// Pointers:
// `config` is NULL or readable; `diffusion` is NULL or writable.
vesde_status vesde_get_diffusion(const struct vesde_config *config,
                                 float sigma,
                                 float *diffusion);

// One predictor step: prev_sample_mean = sample + (drift·model_output)·dt,
// prev_sample = prev_sample_mean + diffusion·noise, with the factors of vesde_get_predictor_step.
// By default it is diffusers' step_pred (Song et al. 2021, equation 47): drift d² and diffusion d
// with d = √(σ² − σ′²).
//
// `timesteps` holds one timestep for the whole batch (`timesteps_len` 1), or one for each sample
// of the batch; no output may overlap it. Where the factor of the noise is 0, none is needed. A
// NaN in the score is passed on.
//
// To split the work, pass parts of all buffers, and counter.index plus the part's offset. With one
// timestep split anywhere, each part a batch of 1; with one for each sample split between samples.
//
// Pointers:
// `scheduler` and `step` are NULL or readable, and so are the scheduler's tables. Every other
// pointer is NULL or valid for its length.
vesde_status vesde_step_pred(const struct vesde_scheduler *scheduler,
                             const float *timesteps,
                             size_t timesteps_len,
                             const struct vesde_step *step);

// One corrector step of annealed Langevin dynamics: prev_sample_mean = sample + ε·model_output,
// prev_sample = prev_sample_mean + √(2ε)·noise, with ε = 2·(snr·‖noise‖/‖model_output‖)² (Song et
// al. 2021, algorithm 4; diffusers' step_correct).
//
// `averaging` is one of enum vesde_averaging, `norm` one of enum vesde_norm. There must be noise.
// Counter noise of up to 4 Mi floats is made once if prev_sample is neither sample nor
// model_output, or if there is a prev_sample_mean. Otherwise it is made twice, and a step takes
// about 1.5 times as long.
//
// Pointers:
// As vesde_step_pred.
vesde_status vesde_step_correct(const struct vesde_scheduler *scheduler,
                                int32_t averaging,
                                int32_t norm,
                                const struct vesde_step *step);

// The forward process: noisy_samples = σ·noise + original_samples, with σ the discrete sigma at
// the index (diffusers' add_noise). For a σ that is in no table, take vesde_linear.
//
// All buffers have `len` floats: `batch` samples of equal length, one after the other. `indices`
// holds one index for the whole batch (`indices_len` 1), or one for each sample; the output may
// not overlap it. Where the sigma is 0, no noise is needed.
//
// Pointers:
// As vesde_step_pred.
vesde_status vesde_add_noise(const struct vesde_scheduler *scheduler,
                             const float *original_samples,
                             size_t len,
                             size_t batch,
                             const int64_t *indices,
                             size_t indices_len,
                             struct vesde_noise noise,
                             float *noisy_samples);

// A linear combination of up to VESDE_MOST_TERMS buffers, in one pass over memory: with it an
// engine writes any explicit solver's step. One operation is one rounding, from left to right.
//
// With the factors of vesde_corrector_step it is the last phase of a corrector step that is split
// over threads; with those of vesde_predictor_step it is a predictor step. x₀ + σ·noise adds noise
// of any σ to a sample, and a₀·x₀ scales. Without terms `out` is noise_factor·noise, and there is
// no mean. Without terms and noise it is VESDE_ERROR_EMPTY. Where the factor of the noise is 0,
// none is needed. More terms are VESDE_ERROR_TOO_LARGE.
//
// To split the work, pass parts of all buffers, and counter.index plus the part's offset.
//
// Pointers:
// `combination` is NULL or readable, and every pointer in it that its lengths do not leave out is
// NULL or valid for `len` floats.
vesde_status vesde_linear(const struct vesde_combination *combination);

// How many sums of squares a sample of `len` floats has: one for each VESDE_NORM_BLOCK of them.
size_t vesde_norm_blocks(size_t len);

// The sums of squares of each VESDE_NORM_BLOCK floats of `x`, the model output (vesde_given_noise)
// or the noise, which has `len` of them: the first phase of a corrector step that is split over
// threads. Parts of a sample that begin at a multiple of VESDE_NORM_BLOCK may be summed by any
// thread, in any order. `blocks_len` is vesde_norm_blocks(len).
//
// Pointers:
// `x` holds none, or is NULL or readable for `len` floats; `blocks` is NULL or writable for
// `blocks_len` doubles.
vesde_status vesde_sum_squares(struct vesde_noise x, size_t len, size_t blocks_len, double *blocks);

// The norm of one sample from all its sums of squares.
//
// Pointers:
// `blocks` is NULL or readable for `blocks_len` doubles; `norm` is NULL or writable.
vesde_status vesde_sample_norm(const double *blocks, size_t blocks_len, double *norm);

// torch's norm of one sample of `len` floats, the model output (vesde_given_noise) or the noise,
// bit for bit: a float value (VESDE_NORM_TORCH). It cannot be split.
//
// Pointers:
// `x` holds none, or is NULL or readable for `len` floats; `norm` is NULL or writable.
vesde_status vesde_torch_norm(struct vesde_noise x, size_t len, double *norm);

// The factors of annealed Langevin dynamics, in which no norm is taken, for vesde_linear:
// step_size ε = factor·ratio² and noise_factor √(2ε), in float. With `factor` 2 and `ratio` snr·σ
// it is score_sde's corrector ald; with step_lr and σ over the last sigma ncsnv2's (Song and Ermon
// 2020, algorithm 1).
//
// Pointers:
// `step` is NULL or writable.
vesde_status vesde_get_annealed_step(float ratio,
                                     float factor,
                                     struct vesde_corrector_step *step);

// The mean over the batch of one norm a sample: what VESDE_AVERAGING_BATCH takes. `norm` is one of
// enum vesde_norm: with VESDE_NORM_TORCH it is torch's bit for bit for any batch, as one thread of
// torch has it (beyond 32,768 its threads share the sum).
//
// Pointers:
// `norms` is NULL or readable for `batch` doubles; `mean` is NULL or writable.
vesde_status vesde_mean_norm(const double *norms, size_t batch, int32_t norm, double *mean);

// The factors of a corrector step from its two norms, for vesde_linear: the middle phase of a step
// that is split. `snr` is the configuration's; `norm` is one of enum vesde_norm.
//
// Pointers:
// `step` is NULL or writable.
vesde_status vesde_get_corrector_step(double snr,
                                      double grad_norm,
                                      double noise_norm,
                                      int32_t norm,
                                      struct vesde_corrector_step *step);

// Imputation, the step of inpainting: out = x·(1 − m) + (d + z·σ)·m for the sample x, the mask m,
// the known data d and noise z; without noise x·(1 − m) + d·m (Song et al. 2021, appendix I.2;
// score_sde's get_pc_inpainter, bit for bit).
//
// score_sde imputes after the corrector and after the predictor of each step, with the sigma of
// the step's timestep and a draw of its own. Its first sample is the prior's, imputed without
// noise. Its result is the imputed sample, imputed once more without noise. Impute the predictor's
// mean instead, and the noise of unknown elements is removed as well.
//
// Where its sigma is 0, no noise is needed. The output may not overlap a mask that is shorter than
// it. To split the work, pass parts of all buffers, and counter.index plus the part's offset.
//
// Pointers:
// `imputation` is NULL or readable, and every pointer in it is NULL or valid for its length.
vesde_status vesde_impute(const struct vesde_imputation *imputation);

// The step of colourisation: the sample is decoupled (vesde_decouple), its first channel, the
// brightness, is replaced by that of the gray image plus σ·noise, and it is coupled again
// (vesde_couple), in one pass (Song et al. 2021, appendix I.3; score_sde's get_pc_colorizer, bit
// for bit except for the sign of a zero and for batches of fewer than 45 pixels).
//
// score_sde recolours after the corrector and after the predictor of each step, with the sigma of
// the step's timestep and a draw of its own. Its result is the recoloured sample, recoloured once
// more without noise. For its first sample it sets the red channel of the prior's sample to zero,
// and adds the brightness of the gray image after decoupling: vesde_decouple of both, vesde_linear
// of the two first channels, vesde_couple.
//
// Where its sigma is 0, no noise is needed. To split the work, pass whole samples, and
// counter.index plus the part's offset.
//
// Pointers:
// `recolouring` is NULL or readable, and every pointer in it is NULL or valid for its length.
vesde_status vesde_recolour(const struct vesde_recolouring *recolouring);

// Brightness and two channels of colour from red, green and blue: each pixel of `batch` images,
// one after the other and each of three channels one after the other, times score_sde's matrix M
// (get_pc_colorizer's decouple, bit for bit). `x` and `out` have `len` floats, a multiple of 3
// times the batch.
//
// Pointers:
// `x` is NULL or readable and `out` is NULL or writable for `len` floats.
vesde_status vesde_decouple(const float *x, size_t len, size_t batch, float *out);

// Red, green and blue from what vesde_decouple makes: times torch's inverse of M
// (get_pc_colorizer's couple, bit for bit).
//
// Pointers:
// As vesde_decouple.
vesde_status vesde_couple(const float *x, size_t len, size_t batch, float *out);

// Classifier-free guidance (Ho and Salimans 2022): out = u + weight·(c − u) for the scores of a
// network without and with the condition. A weight of 0 gives `unconditional`, 1 `conditional`,
// and more a stronger condition. The paper's weight is less by 1. Denoised samples and noise
// predictions combine in the same way. All buffers have `len` floats; `out` may be either.
//
// With a classifier's gradient the score is vesde_linear of the score, with factor 1, and of the
// gradient. To split the work, pass parts of all buffers.
//
// Pointers:
// Each pointer is NULL or valid for `len` floats.
vesde_status vesde_guide(const float *unconditional,
                         const float *conditional,
                         float weight,
                         size_t len,
                         float *out);

// Tweedie's formula: the posterior mean of the clean data, out = sample + σ²·score for the score
// at the sample and `sigma`, with σ² rounded first. All buffers have `len` floats; `out` may be
// either. To split the work, pass parts of all buffers.
//
// Pointers:
// Each pointer is NULL or valid for `len` floats.
vesde_status vesde_tweedie(const float *sample,
                           const float *score,
                           float sigma,
                           size_t len,
                           float *out);

// Fills `out` with `len` elements of counter noise, from noise.index on.
//
// Pointers:
// `out` is NULL or writable for `len` floats.
vesde_status vesde_counter_fill(struct vesde_counter noise, size_t len, float *out);

// Sets `grid` to that of the GPU called `name`, of `name_len` bytes (no terminating NUL needed),
// as torch.cuda.get_device_name has it or without "NVIDIA", "Tesla" and "GeForce" in front:
// "NVIDIA H200", "T4", "rtx 4090". "unlimited" is a GPU on which every element has a thread of its
// own, as runtimes that imitate torch assume.
//
// Pointers:
// `name` is NULL or readable for `name_len` bytes; `grid` is NULL or writable.
vesde_status vesde_cuda_grid_of_gpu(const char *name,
                                    size_t name_len,
                                    struct vesde_cuda_grid *grid);

// Seeds `generator` the way its kind is seeded: VESDE_GENERATOR_KIND_TORCH_CPU as torch's
// manual_seed on the CPU, which takes the lower 32 bits, _TORCH_CUDA as manual_seed on the GPU
// with this grid, _NUMPY as numpy.random.RandomState, _COUNTER as counter noise from stream 0 on.
// `grid` is read for a GPU only, and may be NULL elsewhere. One without threads is
// VESDE_ERROR_INVALID_RANDOM_STATE. NumPy's seeds have 32 bits: others are VESDE_ERROR_TOO_LARGE.
//
// Pointers:
// `grid` is NULL or readable; `generator` is NULL or writable.
vesde_status vesde_generator_seed(int32_t kind,
                                  uint64_t seed,
                                  const struct vesde_cuda_grid *grid,
                                  struct vesde_generator *generator);

// One draw of `len` standard normal numbers, advancing the state: torch.randn(len),
// torch.randn(len, device="cuda") and numpy.random.randn(len) bit for bit, the last rounded to
// float, or a stream of counter noise.
//
// `generators_len` is 1, or the batch: then each generator makes one sample of it, in a draw of
// its own, as diffusers does with a list of generators. Make the same calls as torch: with its
// generators one draw of n is not the same as two draws of parts of n, except on the CPU where the
// parts are multiples of 16. With NumPy's it is the same.
//
// torch's bits on the CPU are those of an x86 CPU with AVX2.
// A GPU's bits are those of an H100 and an H200. Of more than 2²⁹ elements torch makes several
// launches; these follow its source, and were not compared with a GPU's. Beyond 2⁴⁰ − 256
// elements: VESDE_ERROR_TOO_LARGE.
//
// Pointers:
// `generators` is NULL or holds `generators_len` states, and nothing else uses them now; `out` is
// NULL or writable for `len` floats.
vesde_status vesde_randn(struct vesde_generator *generators,
                         size_t generators_len,
                         size_t len,
                         float *out);

// One draw of `len` uniform numbers, at least 0 and less than 1, advancing the state:
// torch.rand(len) on the CPU, bit for bit, of VESDE_GENERATOR_KIND_TORCH_CPU. One draw of n is the
// same as two draws of its parts. Other kinds are VESDE_ERROR_UNKNOWN_ENUM.
//
// Pointers:
// `generator` is NULL or a state that nothing else uses now; `out` is NULL or writable for `len`
// floats.
vesde_status vesde_rand(struct vesde_generator *generator, size_t len, float *out);

// One draw of `len` signs, 1 or -1 with equal probability, advancing the state: the probe of a
// divergence. Of VESDE_GENERATOR_KIND_TORCH_CPU it is 2*torch.randint(0, 2, (len,)) - 1 bit for
// bit, as score_sde's likelihood draws it, and one draw of n is the same as two draws of its
// parts. Of _COUNTER it is the signs of what vesde_randn draws. Other kinds are
// VESDE_ERROR_UNKNOWN_ENUM.
//
// Pointers:
// As vesde_rand.
vesde_status vesde_rademacher(struct vesde_generator *generator, size_t len, float *out);

// Elements `start` to `start + len` − 1 of the next draw of `draw_len` elements, for work that is
// split over threads. The state stays as it is until vesde_generator_skip.
// VESDE_ERROR_LENGTH_MISMATCH where the draw has no such elements; VESDE_ERROR_UNSPLITTABLE_DRAW
// for torch on the CPU and NumPy.
//
// Pointers:
// `generator` is NULL or readable; `out` is NULL or writable for `len` floats.
vesde_status vesde_generator_fill_part(const struct vesde_generator *generator,
                                       uint64_t draw_len,
                                       uint64_t start,
                                       size_t len,
                                       float *out);

// Skips a draw of `draw_len` elements, for the kinds that vesde_generator_fill_part knows.
//
// Pointers:
// `generator` is NULL or readable and writable, and nothing else uses it now.
vesde_status vesde_generator_skip(struct vesde_generator *generator, uint64_t draw_len);

// Makes a sampler: a job of `options->method` for a batch of `batch` samples. It keeps a copy of
// `config`; later calls read only the tables of their scheduler. A method along a table of sigmas
// reads `sigmas` alone, n + 1 of them for n steps, and the other tables may be NULL. A
// `first_step` without a given sample is VESDE_ERROR_TIMESTEP_OUT_OF_RANGE.
//
// Pointers:
// `config` and `options` are NULL or readable; `sampler` is NULL or writable.
vesde_status vesde_sampler_init(const struct vesde_config *config,
                                size_t batch,
                                const struct vesde_sampler_options *options,
                                struct vesde_sampler *sampler);

// vesde_sampler_next without buffers, for an engine that computes on its own threads or devices.
// `plan` says what to do with the answer to the last request, and `request` what is needed next.
// The caller checks the buffers, and computes the factors of a reduction. The state goes on by one
// turn, even if the plan is not run: to repeat a turn, keep a copy of the state. A whole job is:
//
// do {
//     status = vesde_sampler_plan(&sampler, &scheduler, &plan, &request);
//     if (status != VESDE_OK)
//         break;
//     run(&plan, x, score, z); // what is kept, the reduction, then vesde_plan_combination
//     if (request.kind == VESDE_REQUEST_KIND_SCORE)
//         network(x, request.sigma, score);
//     else if (request.kind == VESDE_REQUEST_KIND_NOISE)
//         draw(request.draw, z);
// } while (request.kind != VESDE_REQUEST_KIND_DONE);
//
// Pointers:
// `sampler` is NULL or was made by vesde_sampler_init, and nothing else uses it now; `scheduler`
// is NULL or readable, and so are its tables; `plan` and `request` are NULL or writable.
vesde_status vesde_sampler_plan(struct vesde_sampler *sampler,
                                const struct vesde_scheduler *scheduler,
                                struct vesde_plan *plan,
                                struct vesde_request *request);

// Runs a plan, as vesde_sampler_next does, on `len` elements of a job's buffers from `start` on:
// on the engine's threads, in any split. Noise is buffers->noise, or, where that is NULL, the
// plan's counter noise. A plan with a reduction is VESDE_ERROR_INVALID_SAMPLER: compute its
// factors and set `reduction` to VESDE_REDUCTION_NONE first. A part that is not within the buffers
// is VESDE_ERROR_LENGTH_MISMATCH.
//
// Pointers:
// `plan` and `buffers` are NULL or readable; every buffer is NULL or valid for its length,
// initialised where the plan reads it, and nothing else accesses these elements meanwhile.
vesde_status vesde_run_plan(const struct vesde_plan *plan,
                            const struct vesde_buffers *buffers,
                            size_t start,
                            size_t len);

// Takes what the last request asked for, advances `sample` in place, and says what is needed next.
// A whole job is:
//
// do {
//     status = vesde_sampler_next(&sampler, &scheduler, &buffers, &request);
//     if (status == VESDE_OK && request.kind == VESDE_REQUEST_KIND_SCORE)
//         network(sample, request.sigma, score);
// } while (status == VESDE_OK && request.kind != VESDE_REQUEST_KIND_DONE);
//
// with vesde_buffers buffers = {.sample = sample, .model_output = score, .len = len}.
//
// The first call makes the initial sample, whatever the buffers hold, unless the options say that
// the caller gives it. After VESDE_REQUEST_KIND_DONE the sample is the result, which the options
// choose: the last predictor step's prev_sample_mean, clamped, by default. Only corrector steps
// notice a NaN in the score. After an error everything is as before: the call can be repeated.
// vesde_sampler_next_drawing draws by itself.
//
// Pointers:
// `sampler` is NULL or was made by vesde_sampler_init, and nothing else uses it now;
// `scheduler` and `buffers` are NULL or readable, and so are the scheduler's tables; every buffer
// is NULL or valid for its length, and initialised except in the first call; `request` is NULL or
// writable.
vesde_status vesde_sampler_next(struct vesde_sampler *sampler,
                                const struct vesde_scheduler *scheduler,
                                const struct vesde_buffers *buffers,
                                struct vesde_request *request);

// vesde_sampler_next that draws from generators: one, or one for each sample of the batch. They
// draw into `noise`, of buffers->len floats, which the caller leaves alone between calls.
// VESDE_REQUEST_KIND_NOISE does not come, and buffers->noise is not read. To take the initial
// sample from another generator, pass that one until the first VESDE_REQUEST_KIND_SCORE. The noise
// of conditions is drawn, too, even in a job on counter noise. After an error the call can be
// repeated; a draw that was made stays made. A number of generators that is neither 1 nor the
// batch is VESDE_ERROR_LENGTH_MISMATCH, whether or not they draw.
//
// Pointers:
// As vesde_sampler_next; `generators` is NULL or holds `generators_len` states, and
// nothing else uses them now; `noise` is NULL or writable for buffers->len floats, and initialised
// except in the first call.
vesde_status vesde_sampler_next_drawing(struct vesde_sampler *sampler,
                                        const struct vesde_scheduler *scheduler,
                                        const struct vesde_buffers *buffers,
                                        struct vesde_generator *generators,
                                        size_t generators_len,
                                        float *noise,
                                        struct vesde_request *request);

// How many floats of history a job of `len` floats keeps in its workspace: none in the
// predictor–corrector method and Euler's, those of a sample for Heun, DPM-Solver-2, 2S and 2M, of
// two for 3M, three for UniPC-2, four for UniPC-3, and one less than the order for Adams' methods.
//
// Pointers:
// `sampler` is NULL or was made by vesde_sampler_init; `workspace_len` is NULL or writable.
vesde_status vesde_sampler_workspace_len(const struct vesde_sampler *sampler,
                                         size_t len,
                                         size_t *workspace_len);

// Makes an ODE job for a batch of `batch` samples: the probability-flow ODE (Song et al. 2021,
// equation 13 and appendix D) by Dormand and Prince's pair of order five and four, with the steps
// of scipy's solve_ivp(method="RK45"). It keeps a copy of `config`. The batch has one step size,
// as in score_sde: for results that do not depend on the other samples, run a job for each.
//
// A tolerance, a step or a distance that is out of range is VESDE_ERROR_INVALID_TOLERANCE.
//
// Pointers:
// `config` and `options` are NULL or readable; `ode` is NULL or writable.
vesde_status vesde_ode_init(const struct vesde_config *config,
                            size_t batch,
                            const struct vesde_ode_options *options,
                            struct vesde_ode *ode);

// How many floats the derivatives of a job of `len` floats take: six times as many.
//
// Pointers:
// `ode` is NULL or was made by vesde_ode_init; `workspace_len` is NULL or writable.
vesde_status vesde_ode_workspace_len(const struct vesde_ode *ode,
                                     size_t len,
                                     size_t *workspace_len);

// How many doubles of log-densities a job keeps: nine a sample, or none without a divergence.
//
// Pointers:
// `ode` is NULL or was made by vesde_ode_init; `log_densities_len` is NULL or writable.
vesde_status vesde_ode_log_densities_len(const struct vesde_ode *ode, size_t *log_densities_len);

// The counter noise whose signs are the probe, unless the probe is the caller's. To fill a buffer
// with the signs, call vesde_rademacher with a generator of this counter noise.
//
// Pointers:
// `ode` is NULL or was made by vesde_ode_init; `probe` is NULL or writable.
vesde_status vesde_ode_get_probe(const struct vesde_ode *ode, struct vesde_counter *probe);

// Where a job is: evaluations, accepted and rejected steps, the ODE's variable, time and step.
//
// Pointers:
// `ode` is NULL or was made by vesde_ode_init; `stats` is NULL or writable.
vesde_status vesde_ode_get_stats(const struct vesde_ode *ode, struct vesde_ode_stats *stats);

// Takes what the last request asked for, advances the solution, and says what is needed next. A
// whole job is:
//
// do {
//     status = vesde_ode_next(&ode, &buffers, &request);
//     if (status == VESDE_OK && request.kind == VESDE_ODE_REQUEST_KIND_SCORE)
//         network(input, request.sigma, score);
// } while (status == VESDE_OK && request.kind != VESDE_ODE_REQUEST_KIND_DONE);
//
// with vesde_ode_buffers buffers = {.sample = sample, .input = input, .model_output = score,
// .len = len, .workspace = workspace}.
//
// The first call makes the initial sample, unless the options say that the caller gives it. After
// VESDE_ODE_REQUEST_KIND_DONE the sample is the solution at the interval's end: data with noise of
// σ(sampling_eps) on it, or a code of standard deviation sigma_max. With a divergence the first
// log-density of each sample is then the integral that vesde_get_log_likelihood takes.
//
// Errors are VESDE_ERROR_NON_FINITE_SCORE, where the sample or a derivative is not finite (a
// step's second derivative is in no sum, and noticed where the network passes it on),
// VESDE_ERROR_STEP_TOO_SMALL and VESDE_ERROR_TOO_MANY_EVALUATIONS. After an error the call can be
// repeated: everything is as before, except the place of the dots, `log_densities[batch]` to
// `log_densities[2*batch - 1]`. No output may overlap another or an input.
//
// Pointers:
// `ode` is NULL or was made by vesde_ode_init, and nothing else uses it now; `buffers` is
// NULL or readable; every buffer is NULL or valid for its length, and initialised except in the
// first call; `request` is NULL or writable.
vesde_status vesde_ode_next(struct vesde_ode *ode,
                            const struct vesde_ode_buffers *buffers,
                            struct vesde_ode_request *request);

// What must be summed over a batch of `len` floats before vesde_ode_next_plan. With the sums and
// the plan that follows, vesde_ode_next is done in parts: on threads, on ranks or on a GPU. It
// changes nothing.
//
// Pointers:
// `ode` is NULL or was made by vesde_ode_init; `reduction` is NULL or writable.
vesde_status vesde_ode_get_reduction(const struct vesde_ode *ode,
                                     size_t len,
                                     struct vesde_ode_reduction *reduction);

// How many doubles vesde_ode_sums stores for each VESDE_NORM_BLOCK elements: 0 where there is
// nothing to sum, 1 or 2.
//
// Pointers:
// `reduction` is NULL or readable; `values` is NULL or writable.
vesde_status vesde_ode_sums_values(const struct vesde_ode_reduction *reduction, size_t *values);

// The sums over each VESDE_NORM_BLOCK elements of a part that begins at a multiple of it:
// vesde_ode_sums_values doubles for the first block, then those of the second, and so on. The
// totals that vesde_ode_next_plan takes are those of all blocks of the batch, added in order,
// whoever computed them.
//
// Pointers:
// `reduction` and `buffers` are NULL or readable; every buffer is NULL or valid for its length;
// `blocks` is NULL or writable for `blocks_len` doubles.
vesde_status vesde_ode_sums(const struct vesde_ode_reduction *reduction,
                            const struct vesde_ode_buffers *buffers,
                            size_t blocks_len,
                            double *blocks);

// The sums of one sample over each VESDE_NORM_BLOCK of its elements, for a part of it that begins
// at a multiple of that: one double a block. vesde_ode_next_plan takes the sum of all blocks of a
// sample, in order. Zeros where `dots` asks for nothing.
//
// Pointers:
// As vesde_ode_sums.
vesde_status vesde_ode_dots(const struct vesde_ode_reduction *reduction,
                            const struct vesde_ode_buffers *buffers,
                            size_t blocks_len,
                            double *blocks);

// Goes on by one turn, from the two totals of the reduction (zeros where nothing was to be
// summed). `plan` says what to do with the buffers, and `request` what is needed next. With a
// divergence, `log_densities[batch]` to `log_densities[2*batch - 1]` are the sums over each sample
// that the reduction asks for. To repeat a plan, keep a copy of the state and of the
// log-densities.
//
// Pointers:
// `ode` is NULL or was made by vesde_ode_init, and nothing else uses it now; `sums` is NULL or
// readable for two doubles; `log_densities` holds `log_densities_len` doubles; `plan` and
// `request` are NULL or writable.
vesde_status vesde_ode_next_plan(struct vesde_ode *ode,
                                 size_t len,
                                 const double *sums,
                                 double *log_densities,
                                 size_t log_densities_len,
                                 struct vesde_ode_plan *plan,
                                 struct vesde_ode_request *request);

// Runs a plan on all buffers or a part of them, which may begin anywhere.
//
// Pointers:
// `plan` and `buffers` are NULL or readable; every buffer is NULL or valid for its length.
vesde_status vesde_ode_run(const struct vesde_ode_plan *plan,
                           const struct vesde_ode_buffers *buffers);

// The log-density of one sample of data in nats, and its parts, from its code z of `len` floats
// and the integral of the divergence: the results of an ODE job that encodes, with a divergence.
// It is the density of data with noise of σ(sampling_eps), about sigma_min, on them. `sigma_max`
// is the configuration's.
//
// Pointers:
// `z` is NULL or readable for `len` floats; `result` is NULL or writable.
vesde_status vesde_get_log_likelihood(double sigma_max,
                                      const float *z,
                                      size_t len,
                                      double divergence,
                                      struct vesde_log_likelihood *result);

// Bits per dimension: −log_density/(dims·ln 2) + log₂(levels·slope). 8-bit data have 256 levels;
// `slope` is 1 where the network sees data in 0 to 1, and ½ where it sees −1..=1.
double vesde_bits_per_dim(double log_density,
                          size_t dims,
                          double levels,
                          double slope);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

// The caller's noise, for a step; `given` has as many floats as the step.
static inline vesde_noise vesde_given_noise(const float *given) {
    vesde_noise noise = {VESDE_NOISE_KIND_GIVEN, given, {0, 0, 0}};
    return noise;
}

// Counter noise from a place on, for a step.
static inline vesde_noise vesde_counter_noise(vesde_counter counter) {
    vesde_noise noise = {VESDE_NOISE_KIND_COUNTER, NULL, counter};
    return noise;
}

// A plan with known factors as a combination, for vesde_linear of any part of the buffers. Enum
// vesde_operand numbers `operands`: the sample, the model output, the denoised sample (where the
// plan clamps it) and the history. A plan that leaves the sample as it is becomes a copy of it. The
// buffers that a plan keeps are not in the combination; vesde_run_plan does the whole plan.
static inline vesde_combination vesde_plan_combination(const vesde_plan *plan,
                                                       const float *const *operands,
                                                       vesde_noise noise, size_t len, float *out) {
    vesde_combination combination = {
        {{1.0f, NULL}}, 1, {0}, 0, {VESDE_NOISE_KIND_NONE, NULL, {0, 0, 0}},
        0, 0, 0, 0, NULL, NULL};
    size_t i;
    combination.terms[0].buffer = operands[VESDE_OPERAND_SAMPLE];
    if (plan->terms_len != 0 || plan->noise_factor != 0) {
        for (i = 0; i < plan->terms_len && i < VESDE_MOST_TERMS; ++i) {
            combination.terms[i].factor = plan->terms[i].factor;
            combination.second_factors[i] = plan->terms[i].second_factor;
            combination.terms[i].buffer = operands[plan->terms[i].operand];
        }
        combination.terms_len = plan->terms_len;
        combination.clamped = plan->clamped;
        combination.clamp_low = plan->clamp_low;
        combination.clamp_high = plan->clamp_high;
    }
    if (plan->noise_factor != 0 || plan->reduction != VESDE_REDUCTION_NONE) {
        combination.noise = noise;
        combination.noise_factor = plan->noise_factor;
    }
    combination.len = len;
    combination.out = out;
    return combination;
}

// The part of an ODE job's buffers that begins at `start` and has `len` elements, without
// log-densities: for vesde_ode_sums, vesde_ode_dots and vesde_ode_run on threads.
static inline vesde_ode_buffers vesde_ode_part(const vesde_ode_buffers *whole, size_t start,
                                               size_t len) {
    vesde_ode_buffers part = *whole;
    part.sample += start;
    part.input += start;
    part.model_output += start;
    part.noise = whole->noise == NULL ? NULL : whole->noise + start;
    part.probe = whole->probe == NULL ? NULL : whole->probe + start;
    part.product = whole->product == NULL ? NULL : whole->product + start;
    part.workspace += start;
    part.workspace_stride = whole->workspace_stride == 0 ? whole->len : whole->workspace_stride;
    part.log_densities = NULL;
    part.log_densities_len = 0;
    part.start += start;
    part.len = len;
    return part;
}

#endif // VESDE_H
