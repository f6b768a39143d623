// vesde.hpp as an inference engine uses it, without exceptions and RTTI. Every function is compared
// with the one of vesde.h that it stands for, bit for bit, on vectors, arrays and pointers; then
// come whole jobs.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "check.h"
#include "vesde.hpp"

using vesde::span;
using floats = std::vector<float>;

constexpr std::size_t BATCH = 2, LEN = BATCH * 5003, STEPS = 40;

// STATUS and OK for a call of vesde.hpp: the status must have the value that vesde.h gives it.
static int check_status(vesde_status wanted, vesde::status got, const char *what, const char *file,
                        int line) {
    return check_status(wanted, static_cast<vesde_status>(got), what, file, line);
}

static bool same(span<const float> a, span<const float> b) {
    return a.size() == b.size() && differing(a.data(), b.data(), a.size()) == 0;
}

template <typename Struct>
static bool same_bytes(const Struct &a, const Struct &b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

// ---- what the compiler can say ----

template <typename... Types>
constexpr bool are_plain = ((std::is_trivially_copyable_v<Types> && std::is_standard_layout_v<Types>) && ...);

static_assert(are_plain<vesde_config, vesde_scheduler, vesde_predictor_step, vesde_corrector_step,
                        vesde_counter, vesde_noise, vesde_cuda_grid, vesde_generator, vesde_step,
                        vesde_combination, vesde_imputation, vesde_recolouring, vesde_sampler_options, vesde_sampler, vesde_buffers, vesde_plan,
                        vesde_keep, vesde_request>);
static_assert(are_plain<vesde::config, vesde::scheduler, vesde::counter, vesde::noise, vesde::cuda_grid,
                        vesde::generator, vesde::step, vesde::combination, vesde::imputation,
                        vesde::recolouring, vesde::sampler_options, vesde::sampler, vesde::buffers, vesde::plan,
                        vesde::keep, vesde::request, span<float>>);
static_assert(std::is_aggregate_v<vesde::step> && std::is_aggregate_v<vesde::combination> &&
              std::is_aggregate_v<vesde::buffers>);
static_assert(std::extent_v<decltype(vesde::combination::terms)> == VESDE_MOST_TERMS);

static_assert(std::is_convertible_v<floats &, span<float>> &&
              std::is_convertible_v<const floats &, span<const float>>);
static_assert(std::is_convertible_v<span<float>, span<const float>> &&
              std::is_convertible_v<float (&)[3], span<float>>);
static_assert(std::is_convertible_v<floats, span<const float>> &&
              std::is_convertible_v<span<float>, span<float>>);
static_assert(!std::is_convertible_v<const floats &, span<float>> &&
              !std::is_convertible_v<floats, span<float>>);
static_assert(!std::is_convertible_v<span<const float>, span<float>>);
static_assert(!std::is_convertible_v<std::vector<double> &, span<const float>>);
static_assert(!std::is_convertible_v<std::vector<vesde::generator> &, span<vesde_generator>>);
static_assert(!std::is_convertible_v<std::vector<bool> &, span<const bool>> &&
              !std::is_convertible_v<int, span<int>>);

// A tensor as libraries have it: numel() in place of size(), and signed. One library has
// size(dimension), too.
template <typename T>
class tensor {
public:
    explicit tensor(std::int64_t numel) : values_(static_cast<std::size_t>(numel)) {}

    T *data() { return values_.data(); }
    const T *data() const { return values_.data(); }
    std::int64_t numel() const { return static_cast<std::int64_t>(values_.size()); }

private:
    std::vector<T> values_;
};

struct shaped : tensor<float> {
    using tensor<float>::tensor;
    std::int64_t size(int) const { return 1; }
};

// Where there are both size() and numel(), size() counts.
struct padded : floats {
    using floats::floats;
    std::size_t numel() const { return 2 * size(); }
};

static_assert(std::is_convertible_v<tensor<float> &, span<float>> &&
              std::is_convertible_v<const tensor<float> &, span<const float>> &&
              std::is_convertible_v<tensor<float>, span<const float>> &&
              std::is_convertible_v<shaped &, span<float>>);
static_assert(!std::is_convertible_v<const tensor<float> &, span<float>> &&
              !std::is_convertible_v<tensor<float>, span<float>> &&
              !std::is_convertible_v<tensor<double> &, span<float>>);

static_assert(noexcept(std::declval<vesde::sampler &>().next({}, {}, std::declval<vesde::request &>())));
static_assert(noexcept(std::declval<vesde::sampler &>().next_drawing({}, {}, {}, {},
                                                                     std::declval<vesde::request &>())));
static_assert(noexcept(std::declval<vesde::ode &>().next({}, std::declval<vesde::ode_request &>())));
static_assert(are_plain<vesde_ode, vesde_ode_options, vesde_ode_buffers, vesde_ode_plan, vesde_ode_reduction,
                        vesde::ode, vesde::ode_options, vesde::ode_buffers, vesde::ode_plan,
                        vesde::ode_reduction, vesde::ode_request, vesde::ode_stats, vesde::log_likelihood>);
static_assert(noexcept(vesde::config()) && noexcept(vesde::generator::torch_cpu(1)));

// One generator, or many, but no temporary: it would draw the same again.
using for_batch = vesde::one_or_each<vesde::generator>;
static_assert(std::is_convertible_v<vesde::generator &, for_batch> &&
              std::is_convertible_v<std::vector<vesde::generator> &, for_batch> &&
              std::is_convertible_v<span<vesde::generator>, for_batch>);
static_assert(!std::is_convertible_v<const vesde::generator &, for_batch> &&
              !std::is_convertible_v<vesde::generator, for_batch>);

// Noise is what can be read as floats, a counter, or nothing.
template <typename... Types>
constexpr bool are_noise = (std::is_convertible_v<Types, vesde::noise> && ...);

static_assert(are_noise<floats, floats &, const floats &, float (&)[3], std::array<float, 3>, span<float>,
                        span<const float>, tensor<float> &, vesde::counter, const vesde::noise &>);
static_assert(!are_noise<std::vector<double> &> && !are_noise<float> && !are_noise<vesde::generator>);
static_assert(vesde::noise().kind == vesde::noise_kind::none && vesde::noise().fits(7));
static_assert(vesde::noise(vesde::counter{1, 2, 3}).counter.stream == 2);
static_assert(vesde::counter{1, 2, 3}.at(4).index == 7 && vesde::counter{1, 2, 3}.at(4).stream == 2);
static_assert(vesde::counter{1, 2, 3}.at(UINT64_MAX).index == UINT64_MAX);

// The compiler refuses a switch that lacks an enumerator of vesde.h.
static vesde::status translated(vesde_error error) {
    using vesde::status;
    switch (error) {
        case VESDE_ERROR_NULL_POINTER: return status::null_pointer;
        case VESDE_ERROR_MISALIGNED: return status::misaligned;
        case VESDE_ERROR_EMPTY: return status::empty;
        case VESDE_ERROR_LENGTH_MISMATCH: return status::length_mismatch;
        case VESDE_ERROR_TOO_LARGE: return status::too_large;
        case VESDE_ERROR_OVERLAP: return status::overlap;
        case VESDE_ERROR_BUFFER_TOO_SMALL: return status::buffer_too_small;
        case VESDE_ERROR_UNKNOWN_ENUM: return status::unknown_enum;
        case VESDE_ERROR_INVALID_NUM_TRAIN_TIMESTEPS: return status::invalid_num_train_timesteps;
        case VESDE_ERROR_INVALID_SNR: return status::invalid_snr;
        case VESDE_ERROR_INVALID_SIGMA_MIN: return status::invalid_sigma_min;
        case VESDE_ERROR_INVALID_SIGMA_MAX: return status::invalid_sigma_max;
        case VESDE_ERROR_INVALID_SAMPLING_EPS: return status::invalid_sampling_eps;
        case VESDE_ERROR_TIMESTEP_OUT_OF_RANGE: return status::timestep_out_of_range;
        case VESDE_ERROR_INVALID_SIGMA: return status::invalid_sigma;
        case VESDE_ERROR_ZERO_GRADIENT_NORM: return status::zero_gradient_norm;
        case VESDE_ERROR_NON_FINITE_GRADIENT_NORM: return status::non_finite_gradient_norm;
        case VESDE_ERROR_NON_FINITE_NOISE_NORM: return status::non_finite_noise_norm;
        case VESDE_ERROR_JSON_SYNTAX: return status::json_syntax;
        case VESDE_ERROR_JSON_TRUNCATED: return status::json_truncated;
        case VESDE_ERROR_JSON_TYPE: return status::json_type;
        case VESDE_ERROR_JSON_NUMBER: return status::json_number;
        case VESDE_ERROR_JSON_CLASS_NAME: return status::json_class_name;
        case VESDE_ERROR_JSON_DEPTH: return status::json_depth;
        case VESDE_ERROR_INVALID_SAMPLER: return status::invalid_sampler;
        case VESDE_ERROR_SAMPLER_DONE: return status::sampler_done;
        case VESDE_ERROR_INVALID_OPTION: return status::invalid_option;
        case VESDE_ERROR_INVALID_RANDOM_STATE: return status::invalid_random_state;
        case VESDE_ERROR_UNKNOWN_GPU: return status::unknown_gpu;
        case VESDE_ERROR_UNSPLITTABLE_DRAW: return status::unsplittable_draw;
        case VESDE_ERROR_NON_FINITE_SCORE: return status::non_finite_score;
        case VESDE_ERROR_STEP_TOO_SMALL: return status::step_too_small;
        case VESDE_ERROR_TOO_MANY_EVALUATIONS: return status::too_many_evaluations;
        case VESDE_ERROR_INVALID_TOLERANCE: return status::invalid_tolerance;
    }
    return status::ok;
}

static vesde::averaging translated(vesde_averaging averaging) {
    switch (averaging) {
        case VESDE_AVERAGING_BATCH: return vesde::averaging::batch;
        case VESDE_AVERAGING_PER_SAMPLE: return vesde::averaging::per_sample;
    }
    return {};
}

static vesde::norm translated(vesde_norm norm) {
    switch (norm) {
        case VESDE_NORM_EXACT: return vesde::norm::exact;
        case VESDE_NORM_TORCH: return vesde::norm::torch;
    }
    return {};
}

static vesde::noise_kind translated(vesde_noise_kind kind) {
    switch (kind) {
        case VESDE_NOISE_KIND_NONE: return vesde::noise_kind::none;
        case VESDE_NOISE_KIND_GIVEN: return vesde::noise_kind::given;
        case VESDE_NOISE_KIND_COUNTER: return vesde::noise_kind::counter;
    }
    return {};
}

static vesde::generator_kind translated(vesde_generator_kind kind) {
    switch (kind) {
        case VESDE_GENERATOR_KIND_COUNTER: return vesde::generator_kind::counter;
        case VESDE_GENERATOR_KIND_TORCH_CPU: return vesde::generator_kind::torch_cpu;
        case VESDE_GENERATOR_KIND_TORCH_CUDA: return vesde::generator_kind::torch_cuda;
        case VESDE_GENERATOR_KIND_NUMPY: return vesde::generator_kind::numpy;
    }
    return {};
}

static vesde::operand translated(vesde_operand operand) {
    switch (operand) {
        case VESDE_OPERAND_SAMPLE: return vesde::operand::sample;
        case VESDE_OPERAND_MODEL_OUTPUT: return vesde::operand::model_output;
        case VESDE_OPERAND_DENOISED: return vesde::operand::denoised;
        case VESDE_OPERAND_KEPT: return vesde::operand::kept;
    }
    return {};
}

static vesde::sampler_noise translated(vesde_sampler_noise noise) {
    switch (noise) {
        case VESDE_SAMPLER_NOISE_COUNTER: return vesde::sampler_noise::counter;
        case VESDE_SAMPLER_NOISE_GIVEN: return vesde::sampler_noise::given;
    }
    return {};
}

static vesde::sampler_result translated(vesde_sampler_result result) {
    switch (result) {
        case VESDE_SAMPLER_RESULT_MEAN: return vesde::sampler_result::mean;
        case VESDE_SAMPLER_RESULT_NOISY: return vesde::sampler_result::noisy;
        case VESDE_SAMPLER_RESULT_DENOISED: return vesde::sampler_result::denoised;
    }
    return {};
}

static vesde::predictor translated(vesde_predictor predictor) {
    switch (predictor) {
        case VESDE_PREDICTOR_REVERSE_DIFFUSION: return vesde::predictor::reverse_diffusion;
        case VESDE_PREDICTOR_REVERSE_DIFFUSION_FLOW: return vesde::predictor::reverse_diffusion_flow;
        case VESDE_PREDICTOR_ANCESTRAL: return vesde::predictor::ancestral;
        case VESDE_PREDICTOR_NONE: return vesde::predictor::none;
        case VESDE_PREDICTOR_EULER_MARUYAMA: return vesde::predictor::euler_maruyama;
        case VESDE_PREDICTOR_EULER_MARUYAMA_FLOW: return vesde::predictor::euler_maruyama_flow;
    }
    return {};
}

static vesde::corrector translated(vesde_corrector corrector) {
    switch (corrector) {
        case VESDE_CORRECTOR_LANGEVIN: return vesde::corrector::langevin;
        case VESDE_CORRECTOR_ANNEALED_LANGEVIN: return vesde::corrector::annealed_langevin;
        case VESDE_CORRECTOR_NCSNV2: return vesde::corrector::ncsnv2;
        case VESDE_CORRECTOR_NONE: return vesde::corrector::none;
    }
    return {};
}

static vesde::method translated(vesde_method method) {
    switch (method) {
        case VESDE_METHOD_PREDICTOR_CORRECTOR: return vesde::method::predictor_corrector;
        case VESDE_METHOD_EULER: return vesde::method::euler;
        case VESDE_METHOD_HEUN: return vesde::method::heun;
        case VESDE_METHOD_DPM2: return vesde::method::dpm2;
        case VESDE_METHOD_DPMPP2S: return vesde::method::dpmpp2s;
        case VESDE_METHOD_DPMPP2M: return vesde::method::dpmpp2m;
        case VESDE_METHOD_DPMPP2M_EXACT: return vesde::method::dpmpp2m_exact;
        case VESDE_METHOD_DPMPP3M_PUBLISHED: return vesde::method::dpmpp3m_published;
        case VESDE_METHOD_DPMPP3M: return vesde::method::dpmpp3m;
        case VESDE_METHOD_UNIPC2: return vesde::method::unipc2;
        case VESDE_METHOD_UNIPC3: return vesde::method::unipc3;
        case VESDE_METHOD_LMS: return vesde::method::lms;
        case VESDE_METHOD_IPNDM: return vesde::method::ipndm;
    }
    return {};
}

static vesde::prediction translated(vesde_prediction prediction) {
    switch (prediction) {
        case VESDE_PREDICTION_SCORE: return vesde::prediction::score;
        case VESDE_PREDICTION_EPSILON: return vesde::prediction::epsilon;
        case VESDE_PREDICTION_DENOISED: return vesde::prediction::denoised;
        case VESDE_PREDICTION_V: return vesde::prediction::v;
    }
    return {};
}

static vesde::conditions translated(vesde_conditions conditions) {
    switch (conditions) {
        case VESDE_CONDITIONS_NONE: return vesde::conditions::none;
        case VESDE_CONDITIONS_DRAWING: return vesde::conditions::drawing;
        case VESDE_CONDITIONS_QUIET: return vesde::conditions::quiet;
    }
    return {};
}

static vesde::after translated(vesde_after after) {
    switch (after) {
        case VESDE_AFTER_INITIAL: return vesde::after::initial;
        case VESDE_AFTER_CORRECTOR: return vesde::after::corrector;
        case VESDE_AFTER_PREDICTOR: return vesde::after::predictor;
    }
    return {};
}

static vesde::sampler_start translated(vesde_sampler_start start) {
    switch (start) {
        case VESDE_SAMPLER_START_NOISE: return vesde::sampler_start::noise;
        case VESDE_SAMPLER_START_GIVEN: return vesde::sampler_start::given;
    }
    return {};
}

static vesde::reduction translated(vesde_reduction reduction) {
    switch (reduction) {
        case VESDE_REDUCTION_NONE: return vesde::reduction::none;
        case VESDE_REDUCTION_CORRECTOR_NORMS: return vesde::reduction::corrector_norms;
    }
    return {};
}

static vesde::request_kind translated(vesde_request_kind kind) {
    switch (kind) {
        case VESDE_REQUEST_KIND_DONE: return vesde::request_kind::done;
        case VESDE_REQUEST_KIND_SCORE: return vesde::request_kind::score;
        case VESDE_REQUEST_KIND_NOISE: return vesde::request_kind::noise;
        case VESDE_REQUEST_KIND_CONDITION: return vesde::request_kind::condition;
    }
    return {};
}

static vesde::ode_variable translated(vesde_ode_variable variable) {
    switch (variable) {
        case VESDE_ODE_VARIABLE_TIME: return vesde::ode_variable::time;
        case VESDE_ODE_VARIABLE_SIGMA: return vesde::ode_variable::sigma;
    }
    return {};
}

static vesde::ode_direction translated(vesde_ode_direction direction) {
    switch (direction) {
        case VESDE_ODE_DIRECTION_SAMPLING: return vesde::ode_direction::sampling;
        case VESDE_ODE_DIRECTION_ENCODING: return vesde::ode_direction::encoding;
    }
    return {};
}

static vesde::divergence translated(vesde_divergence divergence) {
    switch (divergence) {
        case VESDE_DIVERGENCE_NONE: return vesde::divergence::none;
        case VESDE_DIVERGENCE_PRODUCT: return vesde::divergence::product;
        case VESDE_DIVERGENCE_DIFFERENCES: return vesde::divergence::differences;
        case VESDE_DIVERGENCE_UNIT_PRODUCTS: return vesde::divergence::unit_products;
        case VESDE_DIVERGENCE_UNIT_DIFFERENCES: return vesde::divergence::unit_differences;
    }
    return {};
}

static vesde::ode_request_kind translated(vesde_ode_request_kind request_kind) {
    switch (request_kind) {
        case VESDE_ODE_REQUEST_KIND_DONE: return vesde::ode_request_kind::done;
        case VESDE_ODE_REQUEST_KIND_SCORE: return vesde::ode_request_kind::score;
        case VESDE_ODE_REQUEST_KIND_NOISE: return vesde::ode_request_kind::noise;
        case VESDE_ODE_REQUEST_KIND_SCORE_AND_PRODUCT: return vesde::ode_request_kind::score_and_product;
        case VESDE_ODE_REQUEST_KIND_PRODUCT: return vesde::ode_request_kind::product;
    }
    return {};
}

static vesde::ode_score translated(vesde_ode_score score) {
    switch (score) {
        case VESDE_ODE_SCORE_MODEL_OUTPUT: return vesde::ode_score::model_output;
        case VESDE_ODE_SCORE_AVERAGE: return vesde::ode_score::average;
        case VESDE_ODE_SCORE_KEPT: return vesde::ode_score::kept;
    }
    return {};
}

static vesde::ode_sums_kind translated(vesde_ode_sums_kind sums_kind) {
    switch (sums_kind) {
        case VESDE_ODE_SUMS_KIND_NONE: return vesde::ode_sums_kind::none;
        case VESDE_ODE_SUMS_KIND_FIRST_NORMS: return vesde::ode_sums_kind::first_norms;
        case VESDE_ODE_SUMS_KIND_SECOND_NORM: return vesde::ode_sums_kind::second_norm;
        case VESDE_ODE_SUMS_KIND_ERROR: return vesde::ode_sums_kind::error;
    }
    return {};
}

static vesde::ode_dots_kind translated(vesde_ode_dots_kind dots_kind) {
    switch (dots_kind) {
        case VESDE_ODE_DOTS_KIND_NONE: return vesde::ode_dots_kind::none;
        case VESDE_ODE_DOTS_KIND_PRODUCT: return vesde::ode_dots_kind::product;
        case VESDE_ODE_DOTS_KIND_MODEL_OUTPUT: return vesde::ode_dots_kind::model_output;
        case VESDE_ODE_DOTS_KIND_PRODUCT_AT: return vesde::ode_dots_kind::product_at;
        case VESDE_ODE_DOTS_KIND_MODEL_OUTPUT_AT: return vesde::ode_dots_kind::model_output_at;
    }
    return {};
}

static vesde::ode_sample_kind translated(vesde_ode_sample_kind sample_kind) {
    switch (sample_kind) {
        case VESDE_ODE_SAMPLE_KIND_UNCHANGED: return vesde::ode_sample_kind::unchanged;
        case VESDE_ODE_SAMPLE_KIND_INPUT: return vesde::ode_sample_kind::input;
        case VESDE_ODE_SAMPLE_KIND_SUM: return vesde::ode_sample_kind::sum;
    }
    return {};
}

static vesde::ode_shift_kind translated(vesde_ode_shift_kind shift_kind) {
    switch (shift_kind) {
        case VESDE_ODE_SHIFT_KIND_NONE: return vesde::ode_shift_kind::none;
        case VESDE_ODE_SHIFT_KIND_PROBE: return vesde::ode_shift_kind::probe;
        case VESDE_ODE_SHIFT_KIND_UNIT: return vesde::ode_shift_kind::unit;
    }
    return {};
}

static vesde::simd_level_kind translated(vesde_simd_level_kind kind) {
    switch (kind) {
        case VESDE_SIMD_LEVEL_KIND_BASELINE: return vesde::simd_level_kind::baseline;
        case VESDE_SIMD_LEVEL_KIND_AVX2: return vesde::simd_level_kind::avx2;
        case VESDE_SIMD_LEVEL_KIND_AVX512: return vesde::simd_level_kind::avx512;
    }
    return {};
}

template <typename Theirs>
static void has_the_values_of(std::initializer_list<Theirs> all) {
    for (Theirs theirs : all) {
        CHECK(static_cast<int>(translated(theirs)) == static_cast<int>(theirs));
    }
}

// Every status with a message of its own has an enumerator; the other enumerations have the values
// of vesde.h.
static void enumerations() {
    // An error that vesde.hpp lacks does not compile: the switch of `translated` has no default.
    const std::string unknown = vesde_status_message(1);
    int known = 0;
    for (vesde_status code = -255; code < 0; ++code) {
        if (vesde_status_message(code) != unknown) {
            CHECK(translated(static_cast<vesde_error>(code)) == vesde::status(code));
            CHECK(vesde::message(vesde::status(code)) == std::string(vesde_status_message(code)));
            ++known;
        }
    }
    CHECK(known > 0 && vesde::message(vesde::status::ok) == std::string(vesde_status_message(VESDE_OK)));
    has_the_values_of({VESDE_AVERAGING_BATCH, VESDE_AVERAGING_PER_SAMPLE});
    has_the_values_of({VESDE_NORM_EXACT, VESDE_NORM_TORCH});
    has_the_values_of({VESDE_NOISE_KIND_NONE, VESDE_NOISE_KIND_GIVEN, VESDE_NOISE_KIND_COUNTER});
    has_the_values_of({VESDE_GENERATOR_KIND_COUNTER, VESDE_GENERATOR_KIND_TORCH_CPU,
                       VESDE_GENERATOR_KIND_TORCH_CUDA, VESDE_GENERATOR_KIND_NUMPY});
    has_the_values_of({VESDE_OPERAND_SAMPLE, VESDE_OPERAND_MODEL_OUTPUT, VESDE_OPERAND_DENOISED,
                       VESDE_OPERAND_KEPT});
    has_the_values_of({VESDE_SAMPLER_NOISE_COUNTER, VESDE_SAMPLER_NOISE_GIVEN});
    has_the_values_of({VESDE_SAMPLER_RESULT_MEAN, VESDE_SAMPLER_RESULT_NOISY,
                       VESDE_SAMPLER_RESULT_DENOISED});
    has_the_values_of({VESDE_PREDICTOR_REVERSE_DIFFUSION, VESDE_PREDICTOR_REVERSE_DIFFUSION_FLOW,
                       VESDE_PREDICTOR_ANCESTRAL, VESDE_PREDICTOR_NONE, VESDE_PREDICTOR_EULER_MARUYAMA,
                       VESDE_PREDICTOR_EULER_MARUYAMA_FLOW});
    has_the_values_of({VESDE_CORRECTOR_LANGEVIN, VESDE_CORRECTOR_ANNEALED_LANGEVIN, VESDE_CORRECTOR_NCSNV2,
                       VESDE_CORRECTOR_NONE});
    has_the_values_of({VESDE_METHOD_PREDICTOR_CORRECTOR, VESDE_METHOD_EULER, VESDE_METHOD_HEUN,
                       VESDE_METHOD_DPM2, VESDE_METHOD_DPMPP2S, VESDE_METHOD_DPMPP2M,
                       VESDE_METHOD_DPMPP2M_EXACT, VESDE_METHOD_DPMPP3M_PUBLISHED, VESDE_METHOD_DPMPP3M,
                       VESDE_METHOD_UNIPC2, VESDE_METHOD_UNIPC3, VESDE_METHOD_LMS, VESDE_METHOD_IPNDM});
    has_the_values_of({VESDE_PREDICTION_SCORE, VESDE_PREDICTION_EPSILON, VESDE_PREDICTION_DENOISED,
                       VESDE_PREDICTION_V});
    has_the_values_of({VESDE_CONDITIONS_NONE, VESDE_CONDITIONS_DRAWING, VESDE_CONDITIONS_QUIET});
    has_the_values_of({VESDE_AFTER_INITIAL, VESDE_AFTER_CORRECTOR, VESDE_AFTER_PREDICTOR});
    has_the_values_of({VESDE_SAMPLER_START_NOISE, VESDE_SAMPLER_START_GIVEN});
    has_the_values_of({VESDE_REDUCTION_NONE, VESDE_REDUCTION_CORRECTOR_NORMS});
    has_the_values_of({VESDE_REQUEST_KIND_DONE, VESDE_REQUEST_KIND_SCORE, VESDE_REQUEST_KIND_NOISE,
                       VESDE_REQUEST_KIND_CONDITION});
    has_the_values_of({VESDE_ODE_VARIABLE_TIME, VESDE_ODE_VARIABLE_SIGMA});
    has_the_values_of({VESDE_ODE_DIRECTION_SAMPLING, VESDE_ODE_DIRECTION_ENCODING});
    has_the_values_of({VESDE_DIVERGENCE_NONE, VESDE_DIVERGENCE_PRODUCT, VESDE_DIVERGENCE_DIFFERENCES,
                       VESDE_DIVERGENCE_UNIT_PRODUCTS, VESDE_DIVERGENCE_UNIT_DIFFERENCES});
    has_the_values_of({VESDE_ODE_REQUEST_KIND_DONE, VESDE_ODE_REQUEST_KIND_SCORE,
                       VESDE_ODE_REQUEST_KIND_NOISE, VESDE_ODE_REQUEST_KIND_SCORE_AND_PRODUCT,
                       VESDE_ODE_REQUEST_KIND_PRODUCT});
    has_the_values_of({VESDE_ODE_SCORE_MODEL_OUTPUT, VESDE_ODE_SCORE_AVERAGE, VESDE_ODE_SCORE_KEPT});
    has_the_values_of({VESDE_ODE_SUMS_KIND_NONE, VESDE_ODE_SUMS_KIND_FIRST_NORMS,
                       VESDE_ODE_SUMS_KIND_SECOND_NORM, VESDE_ODE_SUMS_KIND_ERROR});
    has_the_values_of({VESDE_ODE_DOTS_KIND_NONE, VESDE_ODE_DOTS_KIND_PRODUCT,
                       VESDE_ODE_DOTS_KIND_MODEL_OUTPUT, VESDE_ODE_DOTS_KIND_PRODUCT_AT,
                       VESDE_ODE_DOTS_KIND_MODEL_OUTPUT_AT});
    has_the_values_of({VESDE_ODE_SAMPLE_KIND_UNCHANGED, VESDE_ODE_SAMPLE_KIND_INPUT,
                       VESDE_ODE_SAMPLE_KIND_SUM});
    has_the_values_of({VESDE_ODE_SHIFT_KIND_NONE, VESDE_ODE_SHIFT_KIND_PROBE, VESDE_ODE_SHIFT_KIND_UNIT});
    has_the_values_of(
        {VESDE_SIMD_LEVEL_KIND_BASELINE, VESDE_SIMD_LEVEL_KIND_AVX2, VESDE_SIMD_LEVEL_KIND_AVX512});
}

static void the_library() {
    CHECK(vesde::header_matches_library());
    CHECK(vesde::float_environment_is_default());
    const vesde::simd_level_kind highest = vesde::simd_level();
    CHECK(translated(static_cast<vesde_simd_level_kind>(vesde_simd_level())) == highest);
    OK(vesde::limit_simd_level(vesde::simd_level_kind::baseline));
    CHECK(vesde::simd_level() == vesde::simd_level_kind::baseline);
    STATUS(VESDE_ERROR_UNKNOWN_ENUM, vesde::limit_simd_level(vesde::simd_level_kind(77)));
    OK(vesde::limit_simd_level(vesde::simd_level_kind::avx512));
    CHECK(vesde::simd_level() == highest);
}

// ---- configuration and schedule ----

struct tables {
    vesde::config config;
    floats timesteps, sigmas, discrete_sigmas;

    explicit tables(std::size_t steps) : timesteps(steps), sigmas(steps), discrete_sigmas(steps) {
        config.sigma_max = 10.0;
        OK(config.set_timesteps(timesteps));
        OK(config.set_sigmas(timesteps, sigmas, discrete_sigmas));
    }

    vesde::scheduler scheduler() const { return {config, timesteps, sigmas, discrete_sigmas}; }
};

static void configurations() {
    vesde_config theirs;
    vesde::config config;
    OK(vesde_config_default(&theirs));
    CHECK(same_bytes<vesde_config>(config, theirs) &&
          same_bytes<vesde_config>(vesde::config(theirs), theirs));
    OK(config.from_json(std::string("{\"snr\": 0.25}")));
    CHECK(config.snr == 0.25 && config.num_train_timesteps == 2000);
    STATUS(VESDE_ERROR_JSON_TRUNCATED, config.from_json("{\"snr\": 0.5"));
    CHECK(config.snr == 0.25);

    std::array<char, 512> json, their_json;
    std::size_t json_len = 0, their_len = 1;
    OK(config.to_json(json, json_len));
    OK(vesde_config_to_json(&config, their_json.data(), their_json.size(), &their_len));
    CHECK(std::string(json.data(), json_len) == std::string(their_json.data(), their_len));
    STATUS(VESDE_ERROR_BUFFER_TOO_SMALL, config.to_json({json.data(), 5}, json_len));
    CHECK(json_len == their_len);

    float sigma = 0;
    OK(config.init_noise_sigma(sigma));
    CHECK(sigma == 1348.0f);
    OK(config.validate());
    config.snr = -1;
    STATUS(VESDE_ERROR_INVALID_SNR, config.validate());
}

static void schedules() {
    const tables made(STEPS);
    const vesde::scheduler ours = made.scheduler();
    const vesde_scheduler theirs = ours;
    floats timesteps(STEPS), sigmas(STEPS), discrete_sigmas(STEPS);
    OK(vesde_set_timesteps(&made.config, STEPS, timesteps.data()));
    OK(vesde_set_sigmas(&made.config, timesteps.data(), STEPS, STEPS, sigmas.data(), discrete_sigmas.data()));
    CHECK(same(ours.timesteps, timesteps) && same(ours.sigmas, sigmas));
    CHECK(same(ours.discrete_sigmas, discrete_sigmas) && ours.sigmas[0] == sigmas[0]);

    // There may be another number of discrete sigmas than of timesteps, but not of sigmas.
    floats more(STEPS + 1, 7.0f), in_place = timesteps;
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, made.config.set_sigmas(timesteps, more, discrete_sigmas));
    CHECK(same(more, floats(STEPS + 1, 7.0f)));
    OK(made.config.set_sigmas(in_place, in_place, more));
    CHECK(same(in_place, sigmas) && more.front() == discrete_sigmas.front() &&
          more.back() == discrete_sigmas.back());

    OK(vesde_set_ncsnv2_sigmas(&made.config, STEPS, sigmas.data()));
    OK(made.config.set_ncsnv2_sigmas(in_place));
    CHECK(same(in_place, sigmas) && sigmas.front() == 10.0f && sigmas.back() == 0.01f);

    // The SDE in continuous time, and annealed Langevin dynamics.
    float sigma = 7, their_sigma = 0, diffusion = 7, their_diffusion = 0;
    double timestep = 7, their_timestep = 0;
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, made.config.get_sigma(1.5f, sigma));
    STATUS(VESDE_ERROR_INVALID_SIGMA, made.config.get_timestep(0, timestep));
    CHECK(sigma == 7 && timestep == 7);
    OK(made.config.get_sigma(0.5f, sigma));
    OK(vesde_get_sigma(&made.config, 0.5f, &their_sigma));
    OK(made.config.get_timestep(sigma, timestep));
    OK(vesde_get_timestep(&made.config, sigma, &their_timestep));
    OK(made.config.get_diffusion(sigma, diffusion));
    OK(vesde_get_diffusion(&made.config, sigma, &their_diffusion));
    CHECK(sigma == their_sigma && timestep == their_timestep && diffusion == their_diffusion);
    CHECK(std::abs(timestep - 0.5) < 1e-6 && diffusion > sigma);
    vesde::corrector_step annealed{}, their_annealed{};
    OK(vesde::get_annealed_step(0.5f, 2, annealed));
    OK(vesde_get_annealed_step(0.5f, 2, &their_annealed));
    CHECK(same_bytes(annealed, their_annealed) && annealed.step_size == 0.5f && annealed.noise_factor == 1);

    std::size_t index = 7, their_index = 0;
    float adjacent = 7, their_adjacent = 0;
    vesde::predictor_step step{}, their_step{};
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.get_timestep_index(1.5f, index));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.get_adjacent_sigma(STEPS, adjacent));
    const auto how = vesde::predictor::reverse_diffusion;
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.get_predictor_step(how, 1.5f, step));
    CHECK(index == 7 && adjacent == 7 && step.drift == 0);
    OK(ours.get_timestep_index(0.5f, index));
    OK(vesde_get_timestep_index(&theirs, 0.5f, &their_index));
    OK(ours.get_adjacent_sigma(index, adjacent));
    OK(vesde_get_adjacent_sigma(&theirs, index, &their_adjacent));
    OK(ours.get_predictor_step(how, 0.5f, step));
    OK(vesde_get_predictor_step(&theirs, VESDE_PREDICTOR_REVERSE_DIFFUSION, 0.5f, &their_step));
    CHECK(index == their_index && adjacent == their_adjacent && same_bytes(step, their_step) &&
          step.drift > 0);
    // Tables that are not needed may be missing.
    OK(vesde::scheduler{made.config, {}, {}, made.discrete_sigmas}.get_adjacent_sigma(5, adjacent));
}

// ---- steps ----

static floats draw(std::uint64_t stream) {
    floats out(LEN);
    OK(vesde::counter{1, stream}.fill(out));
    return out;
}

static const vesde::counter PLACE{42, 7, 100};

// A step by ours(step) against theirs(step) of C, with noise that is given and with counter noise.
template <typename Ours, typename Theirs>
static void a_step(Ours ours, Theirs theirs) {
    const floats score = draw(1), sample = draw(2), given = draw(3), before(LEN, 7.0f);
    for (const vesde_noise z : {vesde_given_noise(given.data()), vesde_counter_noise(PLACE)}) {
        const bool is_given = z.kind == VESDE_NOISE_KIND_GIVEN;
        const vesde::noise noise = is_given ? vesde::noise(given) : PLACE;
        floats wanted(LEN), wanted_mean(LEN), prev(LEN), mean(LEN);
        OK(theirs({score.data(), sample.data(), LEN, BATCH, z, wanted.data(), wanted_mean.data(), 0}));
        CHECK(!same(wanted, wanted_mean) && !same(wanted, prev));
        OK(ours({score, sample, BATCH, noise, prev, mean}));
        CHECK(same(prev, wanted) && same(mean, wanted_mean));
#if __cplusplus >= 202002L
        std::fill(prev.begin(), prev.end(), 7.0f);
        OK(ours({.model_output = score, .sample = sample, .batch = BATCH, .noise = noise,
                 .prev_sample = prev}));
        CHECK(same(prev, wanted));
#endif

        // In place, on an array and on a pointer, without the mean: an empty span stands for none,
        // wherever it points.
        mean = before;
        static std::array<float, LEN> array;
        static float raw[LEN];
        std::copy(sample.begin(), sample.end(), array.begin());
        std::copy(sample.begin(), sample.end(), raw);
        OK(ours({score, array, BATCH, noise, array, {mean.data(), 0}}));
        OK(ours({score, raw, BATCH, noise, raw}));
        CHECK(same(array, wanted) && same(raw, wanted) && same(mean, before));

        // Each span but one has the right length; then a partial overlap, which is for C to find.
        prev = before;
        for (int wrong = 0; wrong < (is_given ? 5 : 4); ++wrong) {
            const auto cut = [=](auto &all, int which) { return span(all.data(), LEN - (which == wrong)); };
            const vesde::noise cut_noise = is_given ? vesde::noise(cut(given, 4)) : noise;
            STATUS(VESDE_ERROR_LENGTH_MISMATCH,
                   ours({cut(score, 0), cut(sample, 1), BATCH, cut_noise, cut(prev, 2), cut(mean, 3)}));
        }
        floats both(LEN + 1, 7.0f);
        const span<const float> low(both.data(), LEN);
        STATUS(VESDE_ERROR_OVERLAP, ours({score, low, BATCH, noise, {both.data() + 1, LEN}, mean}));
        CHECK(same(prev, before) && same(mean, before) && same(both, floats(LEN + 1, 7.0f)));
    }
}

static void steps() {
    const tables made(STEPS);
    const vesde::scheduler ours = made.scheduler();
    const vesde_scheduler theirs = ours;

    // One timestep for the batch, or one a sample.
    const float one = 0.5f;
    const std::array<float, BATCH> each = {0.5f, 0.25f};
    for (const vesde::one_or_each<const float> at :
         {vesde::one_or_each(one), vesde::one_or_each<const float>(each)}) {
        a_step([=](const vesde::step &step) { return ours.step_pred(at, step); },
               [=](const vesde_step &step) { return vesde_step_pred(&theirs, at.data(), at.size(), &step); });
    }
    for (vesde::averaging over : {vesde::averaging::batch, vesde::averaging::per_sample}) {
        for (vesde::norm how : {vesde::norm::exact, vesde::norm::torch}) {
            const std::int32_t a = static_cast<std::int32_t>(over), n = static_cast<std::int32_t>(how);
            a_step([=](const vesde::step &step) { return ours.step_correct(over, how, step); },
                   [=](const vesde_step &step) { return vesde_step_correct(&theirs, a, n, &step); });
        }
    }

    const floats score = draw(1), sample = draw(2), noise = draw(3);
    floats by_value(LEN), by_span(LEN);
    vesde::step step{score, sample, BATCH, noise, by_value};
    OK(ours.step_pred(0.5f, step));
    step.prev_sample = by_span;
    step.batch = 1;
    OK(ours.step_pred({&one, 1}, step));
    CHECK(same(by_value, by_span));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.step_pred(each, step));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.step_pred(1.5f, step));
    const std::size_t batches[] = {0, 3};
    for (std::size_t batch : batches) {
        step.batch = batch;
        const vesde_status wanted = batch == 0 ? VESDE_ERROR_EMPTY : VESDE_ERROR_LENGTH_MISMATCH;
        STATUS(wanted, ours.step_pred(0.5f, step));
        STATUS(wanted, ours.step_correct(vesde::averaging::batch, vesde::norm::exact, step));
    }
    step.batch = BATCH;
    step.noise = {};
    STATUS(VESDE_ERROR_NULL_POINTER, ours.step_pred(0.5f, step));
    STATUS(VESDE_ERROR_NULL_POINTER, ours.step_correct(vesde::averaging::batch, vesde::norm::exact, step));
    STATUS(VESDE_ERROR_NULL_POINTER, ours.step_pred(0.5f, {}));
    CHECK(same(by_value, by_span));
}

static void combinations() {
    const auto theirs = [](const vesde_step &step) {
        vesde_combination sum{};
        sum.terms[0] = {1.0f, step.sample};
        sum.terms[1] = {0.75f, step.model_output};
        sum.terms_len = 2;
        sum.len = step.len;
        sum.noise = step.noise;
        sum.noise_factor = 1.25f;
        sum.out = step.prev_sample;
        sum.mean = step.prev_sample_mean;
        return vesde_linear(&sum);
    };
    const auto ours = [](const vesde::step &step) {
        return vesde::linear({{{1, step.sample}, {0.75f, step.model_output}},
                              step.noise,
                              1.25f,
                              step.prev_sample,
                              step.prev_sample_mean});
    };
    a_step(ours, theirs);

    // Without noise, where its factor is 0.
    const floats score = draw(1), sample = draw(2), before(LEN, 7.0f);
    floats alone(LEN), with_zeros(LEN);
    OK(vesde::linear({{{1, sample}, {0.75f, score}}, {}, 0, alone}));
    OK(vesde::linear({{{1, sample}, {0.75f, score}}, floats(LEN), 0, with_zeros}));
    CHECK(same(alone, with_zeros) && !same(alone, sample));
    with_zeros = before;
    STATUS(VESDE_ERROR_NULL_POINTER, vesde::linear({{{1, sample}}, {}, 1, with_zeros}));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde::linear({{{1, sample}}, span<const float>(), 1, with_zeros}));

    // Terms may be left out anywhere, but not the buffer of a term that has a factor.
    floats gaps(LEN);
    OK(vesde::linear({{{}, {1, sample}, {}, {0.75f, score}}, {}, 0, gaps}));
    CHECK(same(gaps, alone));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::linear({{{1, sample}, {0.75f, {}}}, {}, 0, with_zeros}));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH,
           vesde::linear({{{1, sample}, {0, {score.data(), 7}}}, {}, 0, with_zeros}));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde::linear(vesde::combination()));
    STATUS(VESDE_ERROR_EMPTY, vesde::linear({{}, {}, 0, with_zeros}));
    STATUS(VESDE_ERROR_EMPTY, vesde::linear({{}, PLACE, 1, with_zeros, gaps}));
    CHECK(same(with_zeros, before) && same(gaps, alone));

    // Noise alone; as many terms as there may be, clamped, with a mean in place.
    floats noise(LEN);
    OK(PLACE.fill(noise));
    OK(vesde::linear({{}, PLACE, 1, gaps}));
    CHECK(same(gaps, noise));
    vesde::combination sum;
    vesde_combination their_sum{};
    std::array<floats, vesde::most_terms> inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        inputs[i] = draw(10 + i);
        sum.terms[i] = {0.5f + static_cast<float>(i), inputs[i]};
        their_sum.terms[i] = {sum.terms[i].factor, inputs[i].data()};
    }
    floats out(LEN), their_out(LEN), their_mean(LEN);
    sum.noise = PLACE;
    sum.noise_factor = 3;
    sum.out = out;
    sum.mean = inputs[7];
    sum.clamped = true;
    sum.clamp_low = -1;
    sum.clamp_high = 2;
    their_sum.terms_len = inputs.size();
    their_sum.len = LEN;
    their_sum.noise = vesde_counter_noise(PLACE);
    their_sum.noise_factor = 3;
    their_sum.clamped = 1;
    their_sum.clamp_low = -1;
    their_sum.clamp_high = 2;
    their_sum.out = their_out.data();
    their_sum.mean = their_mean.data();
    OK(vesde_linear(&their_sum));
    OK(vesde::linear(sum));
    CHECK(same(out, their_out) && same(inputs[7], their_mean) && !same(inputs[7], draw(17)));
    CHECK(*std::min_element(out.begin(), out.end()) == -1 && *std::max_element(out.begin(), out.end()) == 2);
}

// Checks that a call is refused if one of its spans, any of them, is a float short.
template <typename Call>
static void wrong_lengths(std::size_t spans, const floats &out, Call call) {
    const floats before = out;
    for (std::size_t wrong = 0; wrong < spans; ++wrong) {
        STATUS(VESDE_ERROR_LENGTH_MISMATCH, call([=](auto &all, std::size_t which) {
                   return span(all.data(), all.size() - (which == wrong));
               }));
    }
    CHECK(same(out, before));
}

static void imputations() {
    const floats data = draw(1), mask = draw(2), sample = draw(3), given = draw(4);
    for (const vesde_noise z : {vesde_given_noise(given.data()), vesde_counter_noise(PLACE), vesde_noise{}}) {
        const bool is_given = z.kind == VESDE_NOISE_KIND_GIVEN, is_none = z.kind == VESDE_NOISE_KIND_NONE;
        const vesde::noise noise = is_given ? vesde::noise(given) : is_none ? vesde::noise() : PLACE;
        const float sigma = is_none ? 0 : 2.5f;
        // A mask of the batch, and of one sample.
        for (const std::size_t mask_len : {LEN, LEN / BATCH}) {
            const span<const float> known(mask.data(), mask_len);
            floats wanted(LEN), got(LEN), in_place = sample;
            const vesde_imputation theirs = {data.data(), mask.data(), mask_len, sample.data(), LEN, z, sigma,
                                             wanted.data()};
            OK(vesde_impute(&theirs));
            OK(vesde::impute({data, known, sample, noise, sigma, got}));
            OK(vesde::impute({data, known, in_place, noise, sigma, in_place}));
            CHECK(same(got, wanted) && same(in_place, wanted) && !same(wanted, sample));
            wrong_lengths(is_given ? 5 : 4, got, [&](const auto &cut) {
                const vesde::noise cut_noise = is_given ? vesde::noise(cut(given, 4)) : noise;
                const span<const float> all(known), one = cut(all, 1);
                return vesde::impute({cut(data, 0), one, cut(sample, 2), cut_noise, sigma, cut(got, 3)});
            });
        }
    }
    floats out(LEN);
    STATUS(VESDE_ERROR_NULL_POINTER, vesde::impute({data, mask, sample, {}, 1, out}));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde::impute({}));
}

static void colours() {
    // Each sample has three channels of as many pixels.
    constexpr std::size_t len = LEN / (3 * BATCH) * (3 * BATCH);
    const floats drawn[] = {draw(1), draw(2), draw(3)};
    const span<const float> gray(drawn[0].data(), len), sample(drawn[1].data(), len),
        given(drawn[2].data(), len);
    for (const vesde_noise z : {vesde_given_noise(given.data()), vesde_counter_noise(PLACE), vesde_noise{}}) {
        const bool is_given = z.kind == VESDE_NOISE_KIND_GIVEN, is_none = z.kind == VESDE_NOISE_KIND_NONE;
        const vesde::noise noise = is_given ? vesde::noise(given) : is_none ? vesde::noise() : PLACE;
        const float sigma = is_none ? 0 : 2.5f;
        floats wanted(len), got(len), in_place(sample.data(), sample.data() + len);
        const vesde_recolouring theirs = {gray.data(), sample.data(), len, BATCH, z, sigma, wanted.data()};
        OK(vesde_recolour(&theirs));
        OK(vesde::recolour({gray, sample, BATCH, noise, sigma, got}));
        OK(vesde::recolour({gray, in_place, BATCH, noise, sigma, in_place}));
        CHECK(same(got, wanted) && same(in_place, wanted) && !same(wanted, sample));
        wrong_lengths(is_given ? 4 : 3, got, [&](const auto &cut) {
            const vesde::noise cut_noise = is_given ? vesde::noise(cut(given, 3)) : noise;
            return vesde::recolour({cut(gray, 0), cut(sample, 1), BATCH, cut_noise, sigma, cut(got, 2)});
        });
    }
    floats wanted(len), got(len);
    OK(vesde_decouple(sample.data(), len, BATCH, wanted.data()));
    OK(vesde::decouple(sample, BATCH, got));
    CHECK(same(got, wanted));
    wrong_lengths(2, got, [&](const auto &cut) { return vesde::decouple(cut(sample, 0), BATCH, cut(got, 1)); });
    OK(vesde_couple(sample.data(), len, BATCH, wanted.data()));
    OK(vesde::couple(sample, BATCH, got));
    CHECK(same(got, wanted));
    wrong_lengths(2, got, [&](const auto &cut) { return vesde::couple(cut(sample, 0), BATCH, cut(got, 1)); });
    STATUS(VESDE_ERROR_EMPTY, vesde::couple(sample, 0, got));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde::recolour({gray, sample, BATCH, {}, 1, got}));
}

static void guidance() {
    const floats u = draw(1), c = draw(2);
    floats wanted(LEN), got(LEN);
    OK(vesde_guide(u.data(), c.data(), 1.5f, LEN, wanted.data()));
    OK(vesde::guide(u, c, 1.5f, got));
    CHECK(same(got, wanted) && !same(got, u));
    wrong_lengths(3, got, [&](const auto &cut) {
        return vesde::guide(cut(u, 0), cut(c, 1), 1.5f, cut(got, 2));
    });
    OK(vesde_tweedie(u.data(), c.data(), 1.5f, LEN, wanted.data()));
    OK(vesde::tweedie(u, c, 1.5f, got));
    CHECK(same(got, wanted) && !same(got, u));
    wrong_lengths(3, got, [&](const auto &cut) {
        return vesde::tweedie(cut(u, 0), cut(c, 1), 1.5f, cut(got, 2));
    });
}

static void noisy_samples() {
    const tables made(STEPS);
    const vesde::scheduler ours = made.scheduler();
    const vesde_scheduler theirs = ours;
    const floats original = draw(1), noise = draw(2), before(LEN, 7.0f);
    const std::array<std::int64_t, BATCH> each = {5, 9};
    const std::int64_t one = 5;
    floats wanted(LEN), got(LEN);
    for (const vesde::one_or_each<const std::int64_t> at :
         {vesde::one_or_each(one), vesde::one_or_each<const std::int64_t>(each)}) {
        OK(vesde_add_noise(&theirs, original.data(), LEN, BATCH, at.data(), at.size(),
                           vesde_given_noise(noise.data()), wanted.data()));
        OK(ours.add_noise(original, BATCH, at, noise, got));
        CHECK(same(got, wanted) && !same(got, original));
        OK(vesde_add_noise(&theirs, original.data(), LEN, BATCH, at.data(), at.size(),
                           vesde_counter_noise(PLACE), wanted.data()));
        got = original;
        OK(ours.add_noise(got, BATCH, at, PLACE, got));
        CHECK(same(got, wanted));
    }
    got = before;
    const span<const float> less(original.data(), LEN - 1);
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(less, 1, 5, noise, got));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(original, 1, 5, less, got));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(original, 1, 5, noise, {got.data(), LEN - 1}));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(less, 1, 5, PLACE, got));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(original, 1, each, noise, got));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(original, 3, 5, noise, got));
    STATUS(VESDE_ERROR_EMPTY, ours.add_noise(original, 0, 5, noise, got));
    STATUS(VESDE_ERROR_NULL_POINTER, ours.add_noise(original, 1, 5, {}, got));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.add_noise(original, 1, STEPS, noise, got));
    CHECK(same(got, before));
}

// The phases give the bits of the whole step, and each phase gives those of C.
static void a_corrector_step_in_phases() {
    const tables made(STEPS);
    const floats score = draw(1), sample = draw(2);
    constexpr std::size_t part = LEN / BATCH;
    std::array<std::array<double, BATCH>, 2> norms;
    std::array<double, 2> means;
    CHECK(vesde::norm_blocks(part) == 2 && vesde::norm_block == 4096);
    for (std::size_t i = 0; i < BATCH; ++i) {
        double blocks[2], drawn[2], their_blocks[2];
        const span<const float> x(score.data() + i * part, part);
        const vesde::counter z = PLACE.at(i * part);
        OK(vesde::sum_squares(x, part, blocks));
        OK(vesde_sum_squares(vesde_given_noise(x.data()), part, 2, their_blocks));
        CHECK(std::equal(blocks, blocks + 2, their_blocks));
        OK(vesde::sum_squares(z, part, drawn));
        OK(vesde_sum_squares(vesde_counter_noise(z), part, 2, their_blocks));
        CHECK(std::equal(drawn, drawn + 2, their_blocks));
        OK(vesde::sample_norm(blocks, norms[0][i]));
        OK(vesde::sample_norm(drawn, norms[1][i]));
        double their_norm = 0;
        OK(vesde_sample_norm(drawn, 2, &their_norm));
        CHECK(norms[1][i] == their_norm);

        double norm = 7, drawn_norm = 7;
        OK(vesde::torch_norm(x, part, norm));
        OK(vesde_torch_norm(vesde_given_noise(x.data()), part, &their_norm));
        CHECK(norm == their_norm && norm != norms[0][i]);
        OK(vesde::torch_norm(z, part, drawn_norm));
        OK(vesde_torch_norm(vesde_counter_noise(z), part, &their_norm));
        CHECK(drawn_norm == their_norm);
        STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::sum_squares(x, part, {blocks, 1}));
        STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::sum_squares(x, part + 1, blocks));
        STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::torch_norm(x, part - 1, norm));
        STATUS(VESDE_ERROR_NULL_POINTER, vesde::torch_norm({}, part, norm));
        STATUS(VESDE_ERROR_EMPTY, vesde::torch_norm(z, 0, norm));
        CHECK(norm != 7);
    }
    for (std::size_t i = 0; i < 2; ++i) {
        double mean = 0, torch_mean = 0;
        OK(vesde_mean_norm(norms[i].data(), BATCH, VESDE_NORM_TORCH, &torch_mean));
        OK(vesde::mean_norm(norms[i], vesde::norm::torch, mean));
        CHECK(mean == torch_mean);
        OK(vesde::mean_norm(norms[i], vesde::norm::exact, means[i]));
        CHECK(means[i] != torch_mean);
    }
    vesde::corrector_step step{}, their_step{};
    STATUS(VESDE_ERROR_ZERO_GRADIENT_NORM, vesde::get_corrector_step(0.15, 0, 1, vesde::norm::exact, step));
    CHECK(step.step_size == 0);
    OK(vesde::get_corrector_step(made.config.snr, means[0], means[1], vesde::norm::torch, step));
    OK(vesde_get_corrector_step(made.config.snr, means[0], means[1], VESDE_NORM_TORCH, &their_step));
    CHECK(same_bytes(step, their_step));
    OK(vesde::get_corrector_step(made.config.snr, means[0], means[1], vesde::norm::exact, step));

    floats whole(LEN), parts = sample;
    OK(made.scheduler().step_correct(vesde::averaging::batch, vesde::norm::exact,
                                     {score, sample, BATCH, PLACE, whole}));
    const std::size_t cuts[] = {0, 1, 777, part + 13, LEN};
    for (std::size_t i = 4; i > 0; --i) {
        const std::size_t from = cuts[i - 1], n = cuts[i] - from;
        const span<float> x(parts.data() + from, n);
        OK(vesde::linear({{{1, x}, {step.step_size, {score.data() + from, n}}}, PLACE.at(from),
                          step.noise_factor, x}));
    }
    CHECK(same(parts, whole));
}

// ---- noise ----

static bool same_state(const vesde_generator &a, const vesde_generator &b) { return same_bytes(a, b); }

// Our generators and theirs: one call after the other, a copy, and a list.
static void a_generator(vesde::generator first, vesde::generator second, vesde_generator_kind kind,
                        vesde_cuda_grid grid) {
    vesde_generator theirs[2];
    for (std::uint32_t i = 0; i < 2; ++i) {
        OK(vesde_generator_seed(kind, 42 + i, &grid, &theirs[i]));
        vesde::generator seeded;
        OK(seeded.seed(translated(kind), 42 + i, {grid.multiprocessors, grid.threads_per_multiprocessor}));
        CHECK(same_state(seeded, theirs[i]) && same_state(i == 0 ? first : second, theirs[i]));
    }
    floats wanted(60), got(60), again(60);
    for (std::size_t n : {60u, 7u, 60u}) {
        vesde::generator copy = first;
        OK(vesde_randn(&theirs[0], 1, n, wanted.data()));
        OK(first.fill({got.data(), n}));
        CHECK(same(got, wanted) && same_state(first, theirs[0]));
        OK(copy.fill({again.data(), n}));
        CHECK(same(again, got) && same_state(first, copy));
    }
    std::vector<vesde::generator> list = {first, second};
    std::array<vesde::generator, 2> array = {first, second};
    OK(vesde_randn(theirs, 2, wanted.size(), wanted.data()));
    OK(vesde::randn(list, got));
    OK(vesde::randn(array, again));
    CHECK(same(got, wanted) && same(again, wanted) && !same({got.data(), 30}, {got.data() + 30, 30}));
    for (std::size_t i = 0; i < 2; ++i) {
        CHECK(same_state(list[i], theirs[i]) && same_state(array[i], theirs[i]));
    }
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::randn(list, {got.data(), 59}));
    OK(vesde::randn(list, {}));
    CHECK(same(got, wanted) && same_state(list[0], theirs[0]));
}

static void generators() {
    using vesde::generator;
    vesde_cuda_grid t4;
    OK(vesde_cuda_grid_of_gpu("T4", 2, &t4));
    vesde::cuda_grid grid;
    OK(grid.of_gpu("NVIDIA Tesla T4"));
    a_generator(vesde::counter{42}, vesde::counter{43}, VESDE_GENERATOR_KIND_COUNTER, t4);
    a_generator(generator::torch_cpu(42), generator::torch_cpu(43), VESDE_GENERATOR_KIND_TORCH_CPU, t4);
    a_generator(generator::torch_cuda(42, grid), generator::torch_cuda(43, grid),
                VESDE_GENERATOR_KIND_TORCH_CUDA, t4);
    a_generator(generator::numpy(42), generator::numpy(43), VESDE_GENERATOR_KIND_NUMPY, t4);

    const float golden[] = {1.92691529f, 1.48728406f, 0.900717199f, -2.10552096f};
    floats first(16);
    OK(generator::torch_cpu(42).fill(first));
    CHECK(same({first.data(), 4}, golden));

    // Words of torch's generator, and signs of counter noise; other kinds have none.
    vesde_generator torch;
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CPU, 5, nullptr, &torch));
    generator cpu = generator::torch_cpu(5), counted = PLACE, numpy = generator::numpy(5);
    floats words(40), ours(40);
    OK(vesde_rand(&torch, 40, words.data()));
    OK(cpu.uniform(ours));
    CHECK(same(ours, words) && same_state(cpu, torch));
    OK(vesde_rademacher(&torch, 40, words.data()));
    OK(cpu.rademacher(ours));
    CHECK(same(ours, words) && same_state(cpu, torch));
    OK(PLACE.fill(words));
    OK(counted.rademacher(ours));
    for (std::size_t i = 0; i < 40; ++i) {
        CHECK(ours[i] == std::copysign(1.0f, words[i]));
    }
    CHECK(counted.counter.stream == PLACE.stream + 1);
    STATUS(VESDE_ERROR_UNKNOWN_ENUM, counted.uniform(ours));
    STATUS(VESDE_ERROR_UNKNOWN_ENUM, numpy.uniform(ours));
    STATUS(VESDE_ERROR_UNKNOWN_ENUM, numpy.rademacher(ours));
    CHECK(same_state(numpy, generator::numpy(5)));

    // A list with a generator of every kind: each makes its part as it does alone.
    generator list[] = {PLACE, generator::torch_cpu(1), generator::torch_cuda(2, grid), generator::numpy(3)};
    std::vector<generator> alone(list, list + 4);
    floats all(80), part(20), place(100);
    OK(vesde::randn(list, all));
    for (std::size_t i = 0; i < 4; ++i) {
        OK(alone[i].fill(part));
        CHECK(same(part, {all.data() + 20 * i, 20}) && same_state(alone[i], list[i]));
    }

    // What is refused leaves a state as it is.
    generator state = PLACE;
    STATUS(VESDE_ERROR_TOO_LARGE, state.seed(vesde::generator_kind::numpy, 1ull << 32));
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, state.seed(vesde::generator_kind::torch_cuda, 1));
    STATUS(VESDE_ERROR_UNKNOWN_ENUM, state.seed(vesde::generator_kind(77), 1));
    STATUS(VESDE_ERROR_UNSPLITTABLE_DRAW, generator::torch_cpu(1).skip(7));
    STATUS(VESDE_ERROR_UNSPLITTABLE_DRAW, generator::numpy(1).fill_part(20, 0, part));
    CHECK(same_state(state, generator(PLACE)));
    OK(state.fill_part(100, 20, part));
    OK(PLACE.fill(place));
    CHECK(same(part, {place.data() + 20, 20}));
    OK(state.skip(100));
    CHECK(state.counter.stream == PLACE.stream + 1 && state.counter.index == PLACE.index);
}

static void tensors() {
    tensor<float> z(100), sum(100);
    const tensor<float> &fixed = z;
    shaped one(100);
    padded vector(100);
    floats wanted(100);
    OK(PLACE.fill(wanted));
    OK(PLACE.fill(z));
    OK(PLACE.fill(one));
    OK(PLACE.fill(vector));
    CHECK(same(fixed, wanted) && same(one, wanted) && same(vector, wanted));
    CHECK(span<float>(z).data() == z.data());
    OK(vesde::linear({{{1, z}, {0.5f, fixed}}, fixed, 2.0f, sum}));
    CHECK(bits(sum.data()[7]) == bits(z.data()[7] + 0.5f * z.data()[7] + 2.0f * z.data()[7]));
    tensor<float> none(0);
    OK(PLACE.fill(none));
}

static void gpus() {
    vesde::cuda_grid grid;
    floats whole(1000), part(300, 7.0f), next(300), skipped(300);
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, vesde::generator::torch_cuda(42, grid).fill(part));
    OK(grid.of_gpu(std::string("H200")));
    CHECK(grid.multiprocessors == 132 && grid.threads_per_multiprocessor == 2048);
    STATUS(VESDE_ERROR_UNKNOWN_GPU, grid.of_gpu("a cat"));
    CHECK(grid.multiprocessors == 132);
    vesde_cuda_grid unlimited;
    OK(vesde_cuda_grid_of_gpu("unlimited", 9, &unlimited));
    CHECK(same_bytes<vesde_cuda_grid>(vesde::cuda_grid::unlimited(), unlimited));

    auto state = vesde::generator::torch_cuda(42, grid), other = state;
    OK(state.fill(whole));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, other.fill_part(whole.size(), 701, part));
    CHECK(same(part, floats(300, 7.0f)));
    OK(other.fill_part(whole.size(), 700, part));
    CHECK(same(part, {whole.data() + 700, 300}));
    OK(other.skip(whole.size()));
    OK(state.fill(next));
    OK(other.fill(skipped));
    CHECK(same(next, skipped));
}

static void counter_noise() {
    floats wanted(LEN), got(LEN);
    OK(vesde_counter_fill(PLACE, LEN, wanted.data()));
    OK(PLACE.at(5000).fill({got.data() + 5000, LEN - 5000}));
    OK(PLACE.fill({got.data(), 5000}));
    CHECK(same(got, wanted));
    STATUS(VESDE_ERROR_TOO_LARGE, PLACE.at(UINT64_MAX - 50).fill(got));
    OK(PLACE.fill({}));
    OK(PLACE.fill({got.data(), 0}));
    STATUS(VESDE_ERROR_NULL_POINTER, PLACE.fill({nullptr, 7}));
    CHECK(same(got, wanted));
}

// ---- whole jobs ----

// Every request is answered on copies of the state and the sample, which then take the originals'
// place. `draw` fills a buffer with the noise of a draw. Without it there is counter noise, or
// those generators draw that `who` names for a request.
template <typename Draw, typename Who>
static floats run(const vesde::scheduler &scheduler, std::size_t batch, std::size_t len,
                  const vesde::sampler_options &options, Draw draw, Who who) {
    vesde::sampler sampler;
    vesde::request request;
    OK(sampler.init(scheduler.config, batch, options));
    floats sample(len), score(len), noise;
    do {
        vesde::sampler copy = sampler;
        floats moved = sample;
        const span<vesde::generator> drawing = who(request);
        if (drawing.size() != 0) {
            noise.resize(len);
            OK(copy.next_drawing(scheduler, {moved, score}, drawing, noise, request));
        } else {
            OK(copy.next(scheduler, {moved, score, noise}, request));
        }
        sampler = copy;
        sample.swap(moved);
        if (request.kind == vesde::request_kind::noise) {
            noise.resize(len);
            draw(request.draw, noise);
        }
        if (request.kind == vesde::request_kind::score) {
            const float variance = request.sigma * request.sigma + 0.01f;
            std::transform(sample.begin(), sample.end(), score.begin(),
                           [=](float x) { return (0.5f - x) / variance; });
        }
    } while (failures == 0 && request.kind != vesde::request_kind::done);
    return sample;
}

static void never(std::uint64_t, floats &) { CHECK(false); }

static span<vesde::generator> nobody(const vesde::request &) { return {}; }

static void a_job_on_vectors() {
    constexpr std::size_t len = 1000;
    const tables made(STEPS);
    const vesde::scheduler scheduler = made.scheduler();
    const floats sample = run(scheduler, 1, len, {}, never, nobody);
    float sum = 0;
    for (float x : sample) {
        CHECK(x >= 0 && x <= 1);
        sum += x;
    }
    CHECK(std::fabs(sum / len - 0.5f) < 0.02f);
    CHECK(same(sample, run(scheduler, 1, len, {}, never, nobody)));

    // Its draws, given.
    vesde::sampler_options options;
    options.noise = vesde::sampler_noise::given;
    const auto give = [](std::uint64_t draw, floats &noise) { OK(vesde::counter{0, draw}.fill(noise)); };
    CHECK(same(sample, run(scheduler, 1, len, options, give, nobody)));

    // The same draws by a generator, without requests.
    vesde::generator counting;
    const auto all = [&](const vesde::request &) { return span<vesde::generator>(&counting, 1); };
    CHECK(same(sample, run(scheduler, 1, len, options, never, all)));
}

// The initial noise is NumPy's, and each sample of the batch has a generator of torch's for its
// steps. Asked for or not, the numbers are the same.
static void a_job_on_mixed_generators() {
    constexpr std::size_t steps = 5, len = 60;
    const tables made(steps);
    vesde::sampler_options options;
    options.noise = vesde::sampler_noise::given;
    const auto job = [&](bool asked) {
        auto initial = vesde::generator::numpy(1);
        std::vector<vesde::generator> list = {vesde::generator::torch_cpu(2), vesde::generator::torch_cpu(3)};
        std::uint64_t draws = 0;
        const auto draw = [&](std::uint64_t number, floats &noise) {
            CHECK(asked && number == draws++);
            OK(number == 0 ? initial.fill(noise) : vesde::randn(list, noise));
        };
        const auto who = [&](const vesde::request &last) -> span<vesde::generator> {
            if (asked) {
                return {};
            }
            // Before the first request `last` is done: the initial noise is drawn.
            return last.kind == vesde::request_kind::done ? span<vesde::generator>(&initial, 1) : list;
        };
        const floats sample = run(made.scheduler(), BATCH, len, options, draw, who);
        // A corrector step and a predictor step for each timestep.
        CHECK(draws == (asked ? 1 + 2 * steps : 0));
        return sample;
    };
    const floats sample = job(true);
    CHECK(std::all_of(sample.begin(), sample.end(), [](float x) { return x >= 0 && x <= 1; }));
    CHECK(same(sample, job(true)) && same(sample, job(false)));
}

// All but what lies behind the last field.
static bool same_options(const vesde_sampler_options &a, const vesde_sampler_options &b) {
    return std::memcmp(&a, &b, offsetof(vesde_sampler_options, denoised_high) + sizeof(float)) == 0;
}

static bool same_counter(const vesde::counter &ours, const vesde_counter &theirs) {
    return ours.seed == theirs.seed && ours.stream == theirs.stream && ours.index == theirs.index;
}

static void same_terms(const vesde::plan_term (&ours)[vesde::most_terms],
                       const vesde_plan_term (&theirs)[vesde::most_terms], std::size_t len) {
    for (std::size_t i = 0; i < len; ++i) {
        const std::int32_t which = theirs[i].operand;
        CHECK(ours[i].factor == theirs[i].factor && ours[i].second_factor == theirs[i].second_factor);
        // Further history has the numbers behind VESDE_OPERAND_KEPT.
        const bool is_more = which > VESDE_OPERAND_KEPT;
        CHECK(ours[i].operand == (is_more ? vesde::operand(which)
                                          : translated(static_cast<vesde_operand>(which))));
    }
}

// Every field of a plan, and of the plan that it becomes in C again.
static void same_plan(const vesde::plan &ours, const vesde_plan &theirs) {
    same_terms(ours.terms, theirs.terms, theirs.terms_len);
    CHECK(ours.terms_len == theirs.terms_len && ours.noise_factor == theirs.noise_factor);
    CHECK(ours.clamped == (theirs.clamped != 0));
    CHECK(ours.clamp_low == theirs.clamp_low && ours.clamp_high == theirs.clamp_high);
    CHECK(ours.keeps_len == theirs.keeps_len);
    for (std::size_t i = 0; i < theirs.keeps_len; ++i) {
        same_terms(ours.keeps[i].terms, theirs.keeps[i].terms, theirs.keeps[i].terms_len);
        CHECK(ours.keeps[i].terms_len == theirs.keeps[i].terms_len);
        CHECK(ours.keeps[i].slot == theirs.keeps[i].slot);
    }
    CHECK(ours.has_denoised == (theirs.has_denoised != 0));
    CHECK(ours.denoised_sample == theirs.denoised_sample);
    CHECK(ours.denoised_model_output == theirs.denoised_model_output);
    CHECK(ours.denoised_clamped == (theirs.denoised_clamped != 0));
    CHECK(ours.denoised_low == theirs.denoised_low && ours.denoised_high == theirs.denoised_high);
    CHECK(ours.reduction == translated(static_cast<vesde_reduction>(theirs.reduction)));
    CHECK(ours.averaging == translated(static_cast<vesde_averaging>(theirs.averaging)));
    CHECK(ours.norm == translated(static_cast<vesde_norm>(theirs.norm)));
    CHECK(ours.snr == theirs.snr && ours.draw == theirs.draw && same_counter(ours.counter, theirs.counter));
    CHECK(ours.churn_factor == theirs.churn_factor && ours.churn_draw == theirs.churn_draw);
    CHECK(same_counter(ours.churn_counter, theirs.churn_counter));
    const vesde_plan again = ours;
    const vesde::plan once_more(again);
    CHECK(again.terms_len == theirs.terms_len && again.keeps_len == theirs.keeps_len);
    CHECK(once_more.churn_factor == theirs.churn_factor && once_more.snr == theirs.snr);
    CHECK(same_counter(once_more.churn_counter, theirs.churn_counter));
}

// The options and the requests are those of C, field by field, in the first requests of a job.
static void samplers() {
    constexpr std::size_t len = 60;
    const tables made(STEPS);
    const vesde::scheduler scheduler = made.scheduler();
    const vesde_scheduler their_scheduler = scheduler;
    CHECK(same_options(vesde::sampler_options(), vesde_sampler_options{}));

    vesde::sampler_options options;
    options.seed = 5;
    options.stream = 6;
    options.noise = vesde::sampler_noise::given;
    options.averaging = vesde::averaging::per_sample;
    options.norm = vesde::norm::torch;
    options.unclamped = true;
    options.result = vesde::sampler_result::noisy;
    options.predictor = vesde::predictor::ancestral;
    options.step_lr = 0.5f;
    options.s_noise = 0.9f;
    options.s_tmin = 0.01f;
    options.s_tmax = 5;
    options.denoised_low = -1;
    options.denoised_high = 2;
    vesde_sampler_options their_options = {5,
                                           6,
                                           0,
                                           VESDE_SAMPLER_NOISE_GIVEN,
                                           VESDE_AVERAGING_PER_SAMPLE,
                                           VESDE_NORM_TORCH,
                                           1,
                                           VESDE_SAMPLER_RESULT_NOISY,
                                           VESDE_SAMPLER_START_NOISE,
                                           VESDE_PREDICTOR_ANCESTRAL,
                                           VESDE_CORRECTOR_LANGEVIN,
                                           VESDE_CONDITIONS_NONE,
                                           0.5f,
                                           VESDE_METHOD_PREDICTOR_CORRECTOR,
                                           VESDE_PREDICTION_SCORE,
                                           0,
                                           0,
                                           0.9f,
                                           0,
                                           0.01f,
                                           5,
                                           0,
                                           -1,
                                           2};
    CHECK(same_options(options, their_options));
    floats sample(len), score(len, 0.5f), noise(len, 0.25f), their_sample(len), workspace(7);
    vesde::sampler sampler;
    vesde::request request;
    request.step = 77;
    STATUS(VESDE_ERROR_INVALID_SAMPLER, sampler.next(scheduler, {sample, score, noise}, request));
    CHECK(request.step == 77 && same(sample, floats(len)));
    std::size_t workspace_len = 7;
    vesde_sampler theirs;
    vesde_request wanted;
    vesde_buffers their_buffers{};
    their_buffers.sample = their_sample.data();
    their_buffers.model_output = score.data();
    their_buffers.len = len;
    their_buffers.noise = noise.data();
    vesde::sampler_options others = options;
    vesde_sampler_options their_others = their_options;
    others.corrector = vesde::corrector::ncsnv2;
    their_others.corrector = VESDE_CORRECTOR_NCSNV2;
    others.conditions = vesde::conditions::quiet;
    their_others.conditions = VESDE_CONDITIONS_QUIET;
    others.method = vesde::method::lms;
    their_others.method = VESDE_METHOD_LMS;
    others.prediction = vesde::prediction::v;
    their_others.prediction = VESDE_PREDICTION_V;
    others.order = their_others.order = 3;
    others.denoised_clamped = true;
    their_others.denoised_clamped = 1;
    CHECK(same_options(others, their_others));
    vesde::sampler_options stochastic = others;
    vesde_sampler_options their_stochastic = their_others;
    stochastic.method = vesde::method::heun;
    their_stochastic.method = VESDE_METHOD_HEUN;
    stochastic.s_churn = their_stochastic.s_churn = 3;
    stochastic.eta = their_stochastic.eta = 0.25f;
    CHECK(same_options(stochastic, their_stochastic));
    // Options that do not go with each other.
    STATUS(VESDE_ERROR_INVALID_OPTION, sampler.init(made.config, BATCH, stochastic));
    OK(sampler.init(made.config, BATCH, others));
    OK(vesde_sampler_init(&made.config, BATCH, &their_others, &theirs));
    CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);

    OK(sampler.init(made.config, BATCH, options));
    STATUS(VESDE_ERROR_EMPTY, sampler.init(made.config, 0, options));
    OK(vesde_sampler_init(&made.config, BATCH, &their_options, &theirs));
    CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);

    OK(sampler.workspace_len(len, workspace_len));
    CHECK(workspace_len == 0);

    // The first request is for noise; without it the call is refused and can be repeated.
    for (int turn = 0; turn < 7; ++turn) {
        const vesde::request before = request;
        STATUS(VESDE_ERROR_LENGTH_MISMATCH,
               sampler.next(scheduler, {sample, {score.data(), 59}, noise}, request));
        STATUS(VESDE_ERROR_LENGTH_MISMATCH,
               sampler.next(scheduler, {sample, score, {noise.data(), 59}}, request));
        STATUS(VESDE_ERROR_LENGTH_MISMATCH,
               sampler.next(scheduler, {{sample.data(), 59}, score, noise}, request));
        if (turn > 0 && before.kind == vesde::request_kind::noise) {
            STATUS(VESDE_ERROR_NULL_POINTER,
                   sampler.next(scheduler, {sample, score, {noise.data(), 0}}, request));
        }
        CHECK(same_bytes(before, request) && std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
        OK(sampler.next(scheduler, {sample, score, noise, workspace}, request));
        OK(vesde_sampler_next(&theirs, &their_scheduler, &their_buffers, &wanted));
        CHECK(request.kind == translated(static_cast<vesde_request_kind>(wanted.kind)));
        CHECK(request.step == wanted.step && request.steps == wanted.steps && request.draw == wanted.draw);
        CHECK(request.correction == wanted.correction && request.sigma == wanted.sigma);
        CHECK(request.timestep == wanted.timestep && same(sample, their_sample));
        CHECK(request.label == wanted.label);
        CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
    }
    CHECK(request.draw > 0 || request.step > 0);

    // Generators need a buffer of their own for what they draw, as long as the sample, and there
    // must be one, or one for each sample. What is refused changes nothing.
    vesde::generator one, seven[7];
    OK(sampler.init(made.config, BATCH, options));
    OK(vesde_sampler_init(&made.config, BATCH, &their_options, &theirs));
    const vesde::request before_drawing = request;
    const auto drawing = [&](const vesde::buffers &job, vesde::one_or_each<vesde::generator> generators,
                             span<float> z) {
        return sampler.next_drawing(scheduler, job, generators, z, request);
    };
    STATUS(VESDE_ERROR_NULL_POINTER, drawing({sample, score}, one, {}));
    STATUS(VESDE_ERROR_NULL_POINTER, drawing({sample, score}, one, {noise.data(), 0}));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, drawing({sample, score}, seven, noise));
    STATUS(VESDE_ERROR_NULL_POINTER, drawing({sample, score}, {}, noise));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, drawing({sample, score}, one, {noise.data(), 59}));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, drawing({sample, {score.data(), 59}}, one, noise));
    STATUS(VESDE_ERROR_OVERLAP, drawing({sample, score}, one, sample));
    STATUS(VESDE_ERROR_OVERLAP, drawing({sample, score}, one, score));
    CHECK(same(sample, their_sample) && same(noise, floats(len, 0.25f)));
    CHECK(same_bytes(before_drawing, request) && same_state(one, vesde::generator()));
    CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);

    // Draws are those of C. The buffers' noise is ignored.
    vesde::generator their_one = one;
    floats their_noise(len);
    their_buffers.noise = nullptr;
    for (int turn = 0; turn < 5; ++turn) {
        OK(drawing({sample, score, {noise.data(), 7}}, one, noise));
        OK(vesde_sampler_next_drawing(&theirs, &their_scheduler, &their_buffers, &their_one, 1,
                                      their_noise.data(), &wanted));
        CHECK(request.kind == vesde::request_kind::score && request.sigma == wanted.sigma);
        CHECK(same(sample, their_sample) && same(noise, their_noise));
        CHECK(same_state(one, their_one) && one.counter.stream > 0);
        CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
    }

    // After an error in the middle of a turn, a draw that was made stays made: the call goes on.
    STATUS(VESDE_ERROR_ZERO_GRADIENT_NORM, drawing({sample, floats(len)}, one, noise));
    OK(drawing({sample, score}, one, noise));
    OK(vesde_sampler_next_drawing(&theirs, &their_scheduler, &their_buffers, &their_one, 1,
                                  their_noise.data(), &wanted));
    CHECK(same(sample, their_sample) && same_state(one, their_one));

    // A start at a step from the sample as it is.
    options.start = vesde::sampler_start::given;
    options.first_step = their_options.first_step = 3;
    their_options.start = VESDE_SAMPLER_START_GIVEN;
    OK(sampler.init(made.config, BATCH, options));
    OK(vesde_sampler_init(&made.config, BATCH, &their_options, &theirs));
    CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
    const floats before = sample;
    OK(sampler.next(scheduler, {sample, score}, request));
    CHECK(request.kind == vesde::request_kind::score && request.step == 3 && request.label == 3);
    CHECK(same(sample, before));

    // Plans, field by field.
    options.noise = vesde::sampler_noise::counter;
    options.start = vesde::sampler_start::noise;
    options.first_step = 0;
    OK(sampler.init(made.config, BATCH, options));
    std::memcpy(&theirs, &sampler, sizeof theirs);
    for (int turn = 0; turn < 5; ++turn) {
        vesde::plan plan;
        vesde_plan their_plan;
        OK(sampler.plan(scheduler, plan, request));
        OK(vesde_sampler_plan(&theirs, &their_scheduler, &their_plan, &wanted));
        same_plan(plan, their_plan);
        CHECK(plan.counter.seed == 5);
        CHECK(request.step == wanted.step && request.sigma == wanted.sigma);
        CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
    }
    CHECK(request.step > 0);
}

// The combination of a plan is that of C, whatever the plan says.
static void combinations_of_plans() {
    constexpr std::size_t len = 60;
    const floats sample = draw(1), score = draw(2), kept = draw(3), noise = draw(4);
    const floats denoised = draw(5);
    const float *const theirs[] = {sample.data(), score.data(), denoised.data(), kept.data()};
    const span<const float> ours[] = {
        {sample.data(), len}, {score.data(), len}, {denoised.data(), len}, {kept.data(), len}};
    floats wanted(len), got(len);
    for (std::size_t terms_len : {0u, 1u, 3u, 8u}) {
        for (float noise_factor : {0.0f, 1.5f}) {
            for (bool clamped : {false, true}) {
                vesde_plan their_plan{};
                vesde::plan plan;
                for (std::size_t i = 0; i < terms_len; ++i) {
                    // The last term has the factor 0, and is a term all the same.
                    const float factor = i == 7 ? 0.0f : 0.75f + static_cast<float>(i);
                    const int which = static_cast<int>((i + terms_len) % 4);
                    const float second_factor = i == 1 ? 0.3f : 1.0f;
                    their_plan.terms[i] = {factor, which, second_factor};
                    plan.terms[i] = {factor, vesde::operand(which), second_factor};
                }
                plan.terms_len = their_plan.terms_len = terms_len;
                plan.noise_factor = their_plan.noise_factor = noise_factor;
                their_plan.clamped = clamped;
                plan.clamped = clamped;
                plan.clamp_high = their_plan.clamp_high = 2;
                const vesde_noise z = vesde_given_noise(noise.data());
                const auto their_sum = vesde_plan_combination(&their_plan, theirs, z, len, wanted.data());
                OK(vesde_linear(&their_sum));
                OK(vesde::linear(plan.combination(ours, span(noise.data(), len), got)));
                CHECK(same(got, wanted));
                // A plan that leaves the sample as it is copies it, and clamps nothing.
                CHECK(same(got, {sample.data(), len}) == (terms_len == 0 && noise_factor == 0));
            }
        }
    }

    // Refused: an operand that is missing or of another length, and a noise factor without noise.
    vesde::plan plan;
    plan.terms[0] = {1, vesde::operand::kept, 1};
    plan.terms_len = 1;
    const floats before = got;
    const span<const float> three[] = {ours[0], ours[1], ours[2]};
    const span<const float> cut[] = {ours[0], ours[1], ours[2], {kept.data(), 59}};
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::linear(plan.combination(three, {}, got)));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::linear(plan.combination(cut, {}, got)));
    plan.noise_factor = 1;
    STATUS(VESDE_ERROR_NULL_POINTER, vesde::linear(plan.combination(ours, {}, got)));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::linear(vesde::plan().combination({}, {}, got)));
    CHECK(same(got, before));
}

// A job whose plans are run by linear, part by part, has the bits of next.
static void a_job_by_plans() {
    constexpr std::size_t part = 30, len = BATCH * part;
    const tables made(STEPS);
    const vesde::scheduler scheduler = made.scheduler();
    vesde::sampler sampler, planner;
    vesde::request request, planned;
    OK(sampler.init(made.config, BATCH));
    OK(planner.init(made.config, BATCH));
    floats sample(len), score(len), x(len);
    do {
        vesde::plan plan;
        OK(sampler.next(scheduler, {sample, score}, request));
        OK(planner.plan(scheduler, plan, planned));
        if (plan.reduction == vesde::reduction::corrector_norms) {
            double grad[BATCH], noise[BATCH], block[1], grad_norm = 0, noise_norm = 0;
            for (std::size_t i = 0; i < BATCH; ++i) {
                OK(vesde::sum_squares(span(score.data() + i * part, part), part, block));
                OK(vesde::sample_norm(block, grad[i]));
                OK(vesde::sum_squares(plan.counter.at(i * part), part, block));
                OK(vesde::sample_norm(block, noise[i]));
            }
            vesde::corrector_step step{};
            OK(vesde::mean_norm(grad, plan.norm, grad_norm));
            OK(vesde::mean_norm(noise, plan.norm, noise_norm));
            OK(vesde::get_corrector_step(plan.snr, grad_norm, noise_norm, plan.norm, step));
            plan.terms[1].factor = step.step_size;
            plan.noise_factor = step.noise_factor;
        }
        const std::size_t cuts[] = {0, 13, len};
        for (std::size_t i = 0; i < 2; ++i) {
            const std::size_t from = cuts[i], n = cuts[i + 1] - from;
            const span<float> out(x.data() + from, n);
            const span<const float> operands[] = {out, {score.data() + from, n}};
            OK(vesde::linear(plan.combination(operands, plan.counter.at(from), out)));
        }
        CHECK(same(x, sample) && same_bytes(request, planned));
        std::transform(x.begin(), x.end(), score.begin(), [](float value) { return 0.5f - value; });
    } while (failures == 0 && request.kind != vesde::request_kind::done);
}

// Jobs of every method along a table, beside C's: by next, and by plans that are run in parts.
static void jobs_along_a_table() {
    constexpr std::size_t len = 60, calls = 6;
    float karras[calls + 1] = {0}, geometric[calls + 1] = {0}, wanted[calls + 1] = {0};
    OK(vesde::set_karras_sigmas(0.01, 10, 7, span<float>(karras, calls)));
    OK(vesde_set_karras_sigmas(0.01, 10, 7, calls, wanted));
    CHECK(same(karras, wanted) && karras[0] == 10 && karras[calls] == 0);
    OK(vesde::set_geometric_sigmas(0.01, 10, span<float>(geometric, calls)));
    OK(vesde_set_geometric_sigmas(0.01, 10, calls, wanted));
    CHECK(same(geometric, wanted) && !same(geometric, karras));
    STATUS(VESDE_ERROR_INVALID_SIGMA_MIN, vesde::set_geometric_sigmas(0, 10, geometric));
    STATUS(VESDE_ERROR_INVALID_SIGMA_MAX, vesde::set_karras_sigmas(1, 0.5, 7, geometric));
    STATUS(VESDE_ERROR_INVALID_OPTION, vesde::set_karras_sigmas(0.1, 0.5, -1, geometric));

    const vesde::scheduler scheduler{{}, {}, karras, {}};
    for (int which = 1; which <= static_cast<int>(vesde::method::ipndm); ++which) {
        vesde::sampler_options options;
        options.seed = 9;
        options.method = vesde::method(which);
        options.prediction = vesde::prediction(which % 4);
        options.order = options.method == vesde::method::lms ? 2 : 0;
        options.eta = which > 2 && options.method < vesde::method::unipc2 ? 0.5f : 0;
        options.s_churn = which <= 2 ? 1.0f : 0;
        options.denoised_clamped = which % 2 == 1;
        options.denoised_high = 1;
        vesde_sampler_options their_options = options;
        vesde::sampler sampler, planner;
        vesde_sampler theirs;
        OK(sampler.init(scheduler.config, BATCH, options));
        OK(planner.init(scheduler.config, BATCH, options));
        OK(vesde_sampler_init(&scheduler.config, BATCH, &their_options, &theirs));
        std::size_t history = 77;
        OK(sampler.workspace_len(len, history));
        floats sample(len), score(len), x(len), y(len), workspaces[3], previews[3];
        for (int i = 0; i < 3; ++i) {
            workspaces[i].resize(history);
            previews[i].resize(len);
        }
        vesde::request request, planned;
        vesde_request their_request;
        const vesde_scheduler their_scheduler = scheduler;
        do {
            vesde::plan plan;
            vesde_plan their_plan;
            vesde_sampler copy = theirs;
            const span<float> cut(previews[0].data(), 59);
            STATUS(VESDE_ERROR_LENGTH_MISMATCH,
                   sampler.next(scheduler, {sample, score, {}, workspaces[0], cut}, request));
            OK(sampler.next(scheduler, {sample, score, {}, workspaces[0], previews[0]}, request));
            const vesde_buffers theirs_of_it{x.data(), score.data(), len, nullptr, workspaces[1].data(),
                                             history, previews[1].data()};
            OK(vesde_sampler_next(&theirs, &their_scheduler, &theirs_of_it, &their_request));
            OK(planner.plan(scheduler, plan, planned));
            OK(vesde_sampler_plan(&copy, &their_scheduler, &their_plan, &their_request));
            same_plan(plan, their_plan);
            const vesde::buffers job{y, score, {}, workspaces[2], previews[2]};
            OK(plan.run(job, 31, len - 31));
            OK(plan.run(job, 0, 31));
            STATUS(VESDE_ERROR_LENGTH_MISMATCH, plan.run({y, score, {}, workspaces[2], cut}, 0, 31));
            CHECK(same(sample, x) && same(sample, y) && same_bytes(request, planned));
            for (int i = 1; i < 3; ++i) {
                CHECK(same(workspaces[0], workspaces[i]) && same(previews[0], previews[i]));
            }
            CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
            CHECK(std::memcmp(&planner, &theirs, sizeof theirs) == 0);
            std::transform(sample.begin(), sample.end(), score.begin(),
                           [](float value) { return 0.5f - value; });
        } while (failures == 0 && request.kind != vesde::request_kind::done);
    }
}

// ---- the probability-flow ODE ----

// The buffers of an ODE job and, beside them, those of the same job in C.
struct ode_memory {
    floats sample, input, score, workspace, noise, product, probe;
    std::vector<double> densities;

    ode_memory(std::size_t len, std::size_t workspace_len, std::size_t densities_len)
        : sample(len, 0.25f), input(len), score(len), workspace(workspace_len), noise(len), product(len),
          probe(len), densities(densities_len) {
        for (std::size_t i = 0; i < len; ++i) {
            noise[i] = std::sin(static_cast<float>(i) * 12.9898f) * 1.7f;
            probe[i] = noise[i] < 0 ? -1.0f : 1.0f;
        }
    }

    vesde::ode_buffers ours() {
        return {sample, input, score, workspace, noise, product, probe, densities, 0, 0};
    }

    vesde_ode_buffers theirs() {
        return {sample.data(),    input.data(), score.data(),     sample.size(), noise.data(),
                probe.data(),     product.data(), workspace.data(), 0,
                densities.empty() ? nullptr : densities.data(), densities.size(), 0};
    }

    // A Gaussian's score and its product with the probe.
    void evaluate(float sigma) {
        const float variance = sigma * sigma + 0.04f;
        for (std::size_t i = 0; i < sample.size(); ++i) {
            score[i] = -input[i] / variance;
            product[i] = -probe[i] / variance;
        }
    }

    bool operator==(const ode_memory &other) const {
        return same(sample, other.sample) && same(input, other.input) && same(workspace, other.workspace) &&
               densities.size() == other.densities.size() &&
               (densities.empty() ||
                std::memcmp(densities.data(), other.densities.data(), densities.size() * sizeof(double)) == 0);
    }
};

static bool is_same_request(const vesde::ode_request &ours, const vesde_ode_request &theirs) {
    return ours.kind == translated(static_cast<vesde_ode_request_kind>(theirs.kind)) &&
           ours.stage == theirs.stage && ours.sigma == theirs.sigma && ours.timestep == theirs.timestep &&
           ours.u == theirs.u && ours.unit == theirs.unit && ours.draw == theirs.draw &&
           ours.accepted == (theirs.accepted != 0);
}

// A turn in parts: reductions and plan of three parts each.
static void turn_in_parts(vesde::ode &ode, ode_memory &memory, vesde::ode_request &request) {
    const std::size_t len = memory.sample.size(), per_sample = len / BATCH;
    vesde::ode_reduction reduction;
    vesde::ode_buffers whole = memory.ours();
    whole.log_densities = {};
    OK(ode.get_reduction(len, reduction));
    std::size_t values = 7;
    OK(reduction.sums_values(values));
    CHECK(values == (reduction.which_sums() == vesde::ode_sums_kind::none          ? 0U
                     : reduction.which_sums() == vesde::ode_sums_kind::first_norms ? 2U
                                                                                   : 1U));
    std::vector<double> blocks(values * vesde::norm_blocks(len));
    for (std::size_t from = 0; from < len; from += vesde::norm_block) {
        const std::size_t n = std::min(vesde::norm_block, len - from);
        OK(reduction.sum(whole.part(from, n),
                         {blocks.data() + values * (from / vesde::norm_block), values}));
    }
    double sums[2] = {0, 0};
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        sums[i % values] += blocks[i];
    }
    if (reduction.which_dots() != vesde::ode_dots_kind::none) {
        std::vector<double> dots(vesde::norm_blocks(per_sample));
        for (std::size_t i = 0; i < BATCH; ++i) {
            OK(reduction.dot(whole.part(i * per_sample, per_sample), dots));
            double &total = memory.densities[BATCH + i] = 0;
            for (double dot : dots) {
                total += dot;
            }
        }
    }
    vesde::ode_plan plan;
    OK(ode.next_plan(len, sums, memory.densities, plan, request));
    CHECK(plan.which_score() != vesde::ode_score::kept);
    CHECK(plan.which_shift() != vesde::ode_shift_kind::unit);
    const std::size_t cuts[] = {0, 13, len / 2 + 1, len};
    for (std::size_t i = 0; i < 3; ++i) {
        OK(plan.run(whole.part(cuts[i], cuts[i + 1] - cuts[i])));
    }
}

// A job in C++, in C, and in parts in C++: the same bits.
static void a_job_on_the_ode(const vesde::ode_options &options, const vesde_ode_options &their_options) {
    constexpr std::size_t len = LEN;
    vesde::config config;
    config.sigma_max = 10;
    vesde::ode ode;
    vesde_ode theirs;
    OK(ode.init(config, BATCH, options));
    STATUS(VESDE_ERROR_EMPTY, ode.init(config, 0, options));
    OK(vesde_ode_init(&config, BATCH, &their_options, &theirs));
    CHECK(std::memcmp(&ode, &theirs, sizeof theirs) == 0);
    std::size_t workspace_len = 0, densities_len = 7;
    OK(ode.workspace_len(len, workspace_len));
    OK(ode.log_densities_len(densities_len));
    CHECK(workspace_len == 6 * len);
    CHECK(densities_len == (options.divergence == vesde::divergence::none ? 0 : 9 * BATCH));
    ode_memory ours(len, workspace_len, densities_len), their_memory = ours, parts = ours;
    vesde::counter probe;
    OK(ode.get_probe(probe));
    CHECK(probe.seed == options.seed && probe.stream == options.stream + 1 && probe.index == 0);

    vesde::ode in_parts = ode;
    vesde::ode_request request, of_parts;
    request.unit = 77;
    const vesde::ode_buffers job = ours.ours();
    vesde::ode_buffers wrong = job;
    wrong.input = {ours.input.data(), len - 1};
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ode.next(wrong, request));
    wrong = job;
    wrong.probe = {ours.probe.data(), len - 1};
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ode.next(wrong, request));
    wrong = job;
    wrong.workspace = {ours.workspace.data(), workspace_len - 1};
    STATUS(VESDE_ERROR_BUFFER_TOO_SMALL, ode.next(wrong, request));
    wrong = job;
    wrong.workspace_stride = SIZE_MAX;
    STATUS(VESDE_ERROR_BUFFER_TOO_SMALL, ode.next(wrong, request));
    CHECK(request.unit == 77 && std::memcmp(&ode, &theirs, sizeof theirs) == 0);
    const vesde_ode_buffers their_job = their_memory.theirs();
    vesde_ode_request wanted;
    int turns = 0;
    do {
        OK(ode.next(job, request));
        OK(vesde_ode_next(&theirs, &their_job, &wanted));
        turn_in_parts(in_parts, parts, of_parts);
        CHECK(is_same_request(request, wanted) && is_same_request(of_parts, wanted));
        CHECK(std::memcmp(&ode, &theirs, sizeof theirs) == 0);
        CHECK(std::memcmp(&in_parts, &theirs, sizeof theirs) == 0);
        CHECK(ours == their_memory && parts == their_memory);
        for (ode_memory *memory : {&ours, &their_memory, &parts}) {
            memory->evaluate(request.sigma);
        }
        ++turns;
    } while (failures == 0 && request.kind != vesde::ode_request_kind::done && turns < 1000);
    CHECK(turns > 10 && turns < 1000);

    vesde::ode_stats stats;
    vesde_ode_stats their_stats;
    OK(ode.get_stats(stats));
    OK(vesde_ode_get_stats(&theirs, &their_stats));
    CHECK(same_bytes(stats, their_stats) && stats.accepted > 0);
    if (options.divergence == vesde::divergence::none) {
        return;
    }
    // The density of a Gaussian whose standard deviation is 0.2.
    constexpr std::size_t per_sample = len / BATCH;
    const span<const float> code(ours.sample.data(), per_sample);
    vesde::log_likelihood result;
    vesde_log_likelihood their_result;
    OK(vesde::get_log_likelihood(config.sigma_max, code, ours.densities[0], result));
    OK(vesde_get_log_likelihood(config.sigma_max, code.data(), per_sample, ours.densities[0], &their_result));
    CHECK(same_bytes(result, their_result) && result.log_density == result.prior + result.divergence);
    const double bits = vesde::bits_per_dim(result.log_density, per_sample);
    CHECK(bits == vesde_bits_per_dim(result.log_density, per_sample, 256, 1));
    const double density = std::log(0.2 * std::sqrt(2 * std::acos(-1.0))) + 0.0625 / (2 * 0.04);
    CHECK(std::fabs(bits - (density / std::log(2.0) + 8)) < 0.02);
}

static void odes() {
    CHECK(same_bytes<vesde_ode_options>(vesde::ode_options(), vesde_ode_options{}));
    vesde::ode_options options;
    vesde_ode_options theirs{};
    vesde::ode empty;
    vesde::ode_request request;
    ode_memory memory(4, 24, 0);
    STATUS(VESDE_ERROR_INVALID_SAMPLER, empty.next(memory.ours(), request));
    a_job_on_the_ode(options, theirs);

    // Every field. Given samples have no noise.
    options = {1, 2, 500, 1e-3, 1e-4, 0.5, 1e-3, 0.02, vesde::sampler_noise::given,
               vesde::sampler_start::noise, vesde::ode_variable::sigma, vesde::ode_direction::sampling,
               vesde::divergence::differences, vesde::sampler_noise::given, true};
    theirs = {1, 2, 500, 1e-3, 1e-4, 0.5, 1e-3, 0.02, VESDE_SAMPLER_NOISE_GIVEN, VESDE_SAMPLER_START_NOISE,
              VESDE_ODE_VARIABLE_SIGMA, VESDE_ODE_DIRECTION_SAMPLING, VESDE_DIVERGENCE_DIFFERENCES,
              VESDE_SAMPLER_NOISE_GIVEN, 1, 0};
    CHECK(same_bytes<vesde_ode_options>(options, theirs));
    options.direction = vesde::ode_direction::encoding;
    theirs.direction = VESDE_ODE_DIRECTION_ENCODING;
    options.start = vesde::sampler_start::given;
    theirs.start = VESDE_SAMPLER_START_GIVEN;
    options.divergence = vesde::divergence::product;
    theirs.divergence = VESDE_DIVERGENCE_PRODUCT;
    a_job_on_the_ode(options, theirs);
    options.divergence = vesde::divergence::differences;
    theirs.divergence = VESDE_DIVERGENCE_DIFFERENCES;
    a_job_on_the_ode(options, theirs);
    vesde::config config;
    options.rtol = -1;
    STATUS(VESDE_ERROR_INVALID_TOLERANCE, empty.init(config, 1, options));
}

int main() {
    enumerations();
    the_library();
    configurations();
    schedules();
    steps();
    combinations();
    imputations();
    colours();
    guidance();
    noisy_samples();
    a_corrector_step_in_phases();
    generators();
    tensors();
    gpus();
    counter_noise();
    a_job_on_vectors();
    a_job_on_mixed_generators();
    samplers();
    combinations_of_plans();
    a_job_by_plans();
    jobs_along_a_table();
    odes();
    return report();
}
