// vesde for C++17 and later: vesde.h with spans in place of pointers and lengths, enumerations that
// are types, and objects whose functions are members. Header-only, inline, without exceptions, RTTI
// or allocation; names are those of vesde.h without the prefix. vesde.h says what a function
// computes and refuses.
//
// - A function that can fail returns a status. Unless it is status::ok, nothing has been written. A
//   member function that makes an object (config::from_json, generator::seed, ...) writes it to
//   *this.
// - Spans that belong together and differ in length are status::length_mismatch. An output may be
//   the same span as an input (in place). A span that is not needed is left out, or empty.
// - Functions of many arguments take a struct: {.model_output = score, .sample = x, ...} in C++20,
//   {score, x, ...} in the order of its fields before that.
// - Every type is trivially copyable: a copy of a state continues like the original.

#ifndef VESDE_HPP
#define VESDE_HPP

// Microsoft's compiler says 199711 in __cplusplus unless it is asked not to.
#if defined(_MSVC_LANG) ? _MSVC_LANG < 201703L : __cplusplus < 201703L
#error "vesde.hpp is C++17, and this compiler is older or was told to be (-std=c++17)"
#endif

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "vesde.h"

namespace vesde {

// ---- enumerations ----

// The result of a call: ok, or why it was refused.
enum class [[nodiscard]] status : std::int32_t {
    ok = VESDE_OK,
    null_pointer = VESDE_ERROR_NULL_POINTER,
    misaligned = VESDE_ERROR_MISALIGNED,
    empty = VESDE_ERROR_EMPTY,
    length_mismatch = VESDE_ERROR_LENGTH_MISMATCH,
    too_large = VESDE_ERROR_TOO_LARGE,
    overlap = VESDE_ERROR_OVERLAP,
    buffer_too_small = VESDE_ERROR_BUFFER_TOO_SMALL,
    unknown_enum = VESDE_ERROR_UNKNOWN_ENUM,
    invalid_num_train_timesteps = VESDE_ERROR_INVALID_NUM_TRAIN_TIMESTEPS,
    invalid_snr = VESDE_ERROR_INVALID_SNR,
    invalid_sigma_min = VESDE_ERROR_INVALID_SIGMA_MIN,
    invalid_sigma_max = VESDE_ERROR_INVALID_SIGMA_MAX,
    invalid_sampling_eps = VESDE_ERROR_INVALID_SAMPLING_EPS,
    timestep_out_of_range = VESDE_ERROR_TIMESTEP_OUT_OF_RANGE,
    invalid_sigma = VESDE_ERROR_INVALID_SIGMA,
    zero_gradient_norm = VESDE_ERROR_ZERO_GRADIENT_NORM,
    non_finite_gradient_norm = VESDE_ERROR_NON_FINITE_GRADIENT_NORM,
    non_finite_noise_norm = VESDE_ERROR_NON_FINITE_NOISE_NORM,
    json_syntax = VESDE_ERROR_JSON_SYNTAX,
    json_truncated = VESDE_ERROR_JSON_TRUNCATED,
    json_type = VESDE_ERROR_JSON_TYPE,
    json_number = VESDE_ERROR_JSON_NUMBER,
    json_class_name = VESDE_ERROR_JSON_CLASS_NAME,
    json_depth = VESDE_ERROR_JSON_DEPTH,
    invalid_sampler = VESDE_ERROR_INVALID_SAMPLER,
    sampler_done = VESDE_ERROR_SAMPLER_DONE,
    invalid_option = VESDE_ERROR_INVALID_OPTION,
    invalid_random_state = VESDE_ERROR_INVALID_RANDOM_STATE,
    unknown_gpu = VESDE_ERROR_UNKNOWN_GPU,
    unsplittable_draw = VESDE_ERROR_UNSPLITTABLE_DRAW,
    invalid_tolerance = VESDE_ERROR_INVALID_TOLERANCE,
    step_too_small = VESDE_ERROR_STEP_TOO_SMALL,
    too_many_evaluations = VESDE_ERROR_TOO_MANY_EVALUATIONS,
    non_finite_score = VESDE_ERROR_NON_FINITE_SCORE,
};

// How the corrector averages its norms.
enum class averaging : std::int32_t {
    batch = VESDE_AVERAGING_BATCH,
    per_sample = VESDE_AVERAGING_PER_SAMPLE,
};

// How the corrector computes norms and step size.
enum class norm : std::int32_t { exact = VESDE_NORM_EXACT, torch = VESDE_NORM_TORCH };

// Where the noise of a step comes from.
enum class noise_kind : std::int32_t {
    none = VESDE_NOISE_KIND_NONE,
    given = VESDE_NOISE_KIND_GIVEN,
    counter = VESDE_NOISE_KIND_COUNTER,
};

// The kind of a generator: whose numbers it makes.
enum class generator_kind : std::int32_t {
    counter = VESDE_GENERATOR_KIND_COUNTER,
    torch_cpu = VESDE_GENERATOR_KIND_TORCH_CPU,
    torch_cuda = VESDE_GENERATOR_KIND_TORCH_CUDA,
    numpy = VESDE_GENERATOR_KIND_NUMPY,
};

// Who makes the noise of a whole job.
enum class sampler_noise : std::int32_t {
    counter = VESDE_SAMPLER_NOISE_COUNTER,
    given = VESDE_SAMPLER_NOISE_GIVEN,
};

// The result of a job.
enum class sampler_result : std::int32_t {
    mean = VESDE_SAMPLER_RESULT_MEAN,
    noisy = VESDE_SAMPLER_RESULT_NOISY,
    denoised = VESDE_SAMPLER_RESULT_DENOISED,
};

// The predictor: the step from one timestep to the next.
enum class predictor : std::int32_t {
    reverse_diffusion = VESDE_PREDICTOR_REVERSE_DIFFUSION,
    reverse_diffusion_flow = VESDE_PREDICTOR_REVERSE_DIFFUSION_FLOW,
    ancestral = VESDE_PREDICTOR_ANCESTRAL,
    none = VESDE_PREDICTOR_NONE,
    euler_maruyama = VESDE_PREDICTOR_EULER_MARUYAMA,
    euler_maruyama_flow = VESDE_PREDICTOR_EULER_MARUYAMA_FLOW,
};

// The corrector: how the step size of its steps is made.
enum class corrector : std::int32_t {
    langevin = VESDE_CORRECTOR_LANGEVIN,
    annealed_langevin = VESDE_CORRECTOR_ANNEALED_LANGEVIN,
    ncsnv2 = VESDE_CORRECTOR_NCSNV2,
    none = VESDE_CORRECTOR_NONE,
};

// The method of a job: by predictor and corrector, or along a table of sigmas.
enum class method : std::int32_t {
    predictor_corrector = VESDE_METHOD_PREDICTOR_CORRECTOR,
    euler = VESDE_METHOD_EULER,
    heun = VESDE_METHOD_HEUN,
    dpm2 = VESDE_METHOD_DPM2,
    dpmpp2s = VESDE_METHOD_DPMPP2S,
    dpmpp2m = VESDE_METHOD_DPMPP2M,
    dpmpp2m_exact = VESDE_METHOD_DPMPP2M_EXACT,
    dpmpp3m_published = VESDE_METHOD_DPMPP3M_PUBLISHED,
    dpmpp3m = VESDE_METHOD_DPMPP3M,
    unipc2 = VESDE_METHOD_UNIPC2,
    unipc3 = VESDE_METHOD_UNIPC3,
    lms = VESDE_METHOD_LMS,
    ipndm = VESDE_METHOD_IPNDM,
};

// The output of the network.
enum class prediction : std::int32_t {
    score = VESDE_PREDICTION_SCORE,
    epsilon = VESDE_PREDICTION_EPSILON,
    denoised = VESDE_PREDICTION_DENOISED,
    v = VESDE_PREDICTION_V,
};

// Whether a job stops for changes of its sample, with noise or without.
enum class conditions : std::int32_t {
    none = VESDE_CONDITIONS_NONE,
    drawing = VESDE_CONDITIONS_DRAWING,
    quiet = VESDE_CONDITIONS_QUIET,
};

// After what it stops.
enum class after : std::int32_t {
    initial = VESDE_AFTER_INITIAL,
    corrector = VESDE_AFTER_CORRECTOR,
    predictor = VESDE_AFTER_PREDICTOR,
};

// Where a job starts: noise of the largest sigma, or a given sample at first_step.
enum class sampler_start : std::int32_t {
    noise = VESDE_SAMPLER_START_NOISE,
    given = VESDE_SAMPLER_START_GIVEN,
};

// A buffer of a plan: the sample, the model output, the denoised sample, where the plan clamps it,
// or the history's first; the history's next ones have the next numbers.
enum class operand : std::int32_t {
    sample = VESDE_OPERAND_SAMPLE,
    model_output = VESDE_OPERAND_MODEL_OUTPUT,
    denoised = VESDE_OPERAND_DENOISED,
    kept = VESDE_OPERAND_KEPT,
};

// What must be computed before a plan's factors are known.
enum class reduction : std::int32_t {
    none = VESDE_REDUCTION_NONE,
    corrector_norms = VESDE_REDUCTION_CORRECTOR_NORMS,
};

// What is to be done before the next sampler::next.
enum class request_kind : std::int32_t {
    done = VESDE_REQUEST_KIND_DONE,
    score = VESDE_REQUEST_KIND_SCORE,
    noise = VESDE_REQUEST_KIND_NOISE,
    condition = VESDE_REQUEST_KIND_CONDITION,
};

// The variable in which an ODE is solved.
enum class ode_variable : std::int32_t {
    time = VESDE_ODE_VARIABLE_TIME,
    sigma = VESDE_ODE_VARIABLE_SIGMA,
};

// From noise to data, or from data to their code.
enum class ode_direction : std::int32_t {
    sampling = VESDE_ODE_DIRECTION_SAMPLING,
    encoding = VESDE_ODE_DIRECTION_ENCODING,
};

// How the divergence of the score is computed.
enum class divergence : std::int32_t {
    none = VESDE_DIVERGENCE_NONE,
    product = VESDE_DIVERGENCE_PRODUCT,
    differences = VESDE_DIVERGENCE_DIFFERENCES,
    unit_products = VESDE_DIVERGENCE_UNIT_PRODUCTS,
    unit_differences = VESDE_DIVERGENCE_UNIT_DIFFERENCES,
};

// What is to be done before the next ode::next.
enum class ode_request_kind : std::int32_t {
    done = VESDE_ODE_REQUEST_KIND_DONE,
    score = VESDE_ODE_REQUEST_KIND_SCORE,
    noise = VESDE_ODE_REQUEST_KIND_NOISE,
    score_and_product = VESDE_ODE_REQUEST_KIND_SCORE_AND_PRODUCT,
    product = VESDE_ODE_REQUEST_KIND_PRODUCT,
};

// What a derivative of an ODE job is made of.
enum class ode_score : std::int32_t {
    model_output = VESDE_ODE_SCORE_MODEL_OUTPUT,
    average = VESDE_ODE_SCORE_AVERAGE,
    kept = VESDE_ODE_SCORE_KEPT,
};

// What is to be summed over all elements before an ODE job's plan is known.
enum class ode_sums_kind : std::int32_t {
    none = VESDE_ODE_SUMS_KIND_NONE,
    first_norms = VESDE_ODE_SUMS_KIND_FIRST_NORMS,
    second_norm = VESDE_ODE_SUMS_KIND_SECOND_NORM,
    error = VESDE_ODE_SUMS_KIND_ERROR,
};

// What is to be summed over each sample before it is known.
enum class ode_dots_kind : std::int32_t {
    none = VESDE_ODE_DOTS_KIND_NONE,
    product = VESDE_ODE_DOTS_KIND_PRODUCT,
    model_output = VESDE_ODE_DOTS_KIND_MODEL_OUTPUT,
    product_at = VESDE_ODE_DOTS_KIND_PRODUCT_AT,
    model_output_at = VESDE_ODE_DOTS_KIND_MODEL_OUTPUT_AT,
};

// What becomes of the sample of an ODE job.
enum class ode_sample_kind : std::int32_t {
    unchanged = VESDE_ODE_SAMPLE_KIND_UNCHANGED,
    input = VESDE_ODE_SAMPLE_KIND_INPUT,
    sum = VESDE_ODE_SAMPLE_KIND_SUM,
};

// What is added to its input in the end.
enum class ode_shift_kind : std::int32_t {
    none = VESDE_ODE_SHIFT_KIND_NONE,
    probe = VESDE_ODE_SHIFT_KIND_PROBE,
    unit = VESDE_ODE_SHIFT_KIND_UNIT,
};

// A set of vector instructions. Every level gives the same bits.
enum class simd_level_kind : std::int32_t {
    baseline = VESDE_SIMD_LEVEL_KIND_BASELINE,
    avx2 = VESDE_SIMD_LEVEL_KIND_AVX2,
    avx512 = VESDE_SIMD_LEVEL_KIND_AVX512,
};

// A sentence about a status, never null, without a full stop.
[[nodiscard]] inline const char *message(status code) noexcept {
    return vesde_status_message(vesde_status(code));
}

// Whether the library that was linked has this header's version.
[[nodiscard]] inline bool header_matches_library() noexcept {
    return vesde_version() ==
           (VESDE_VERSION_MAJOR << 16 | VESDE_VERSION_MINOR << 8 | VESDE_VERSION_PATCH);
}

// Whether this thread rounds to the nearest and keeps subnormal numbers, as vesde assumes.
[[nodiscard]] inline bool float_environment_is_default() noexcept {
    return vesde_float_environment_is_default() != 0;
}

// The vector instructions in use.
[[nodiscard]] inline simd_level_kind simd_level() noexcept {
    return simd_level_kind(vesde_simd_level());
}

// Limits the process to vector instructions of `highest` and below; the highest lifts the limit.
inline status limit_simd_level(simd_level_kind highest) noexcept {
    return status(vesde_limit_simd_level(std::int32_t(highest)));
}

// ---- spans ----

namespace detail {

template <typename Length>
using if_length = std::enable_if_t<std::is_convertible_v<Length, std::size_t>, std::size_t>;

// The size() of a range, or the numel() of a tensor that has none.
template <typename Range>
constexpr auto length(Range &range, int) noexcept -> if_length<decltype(range.size())> {
    return static_cast<std::size_t>(range.size());
}
template <typename Range>
constexpr auto length(Range &range, long) noexcept -> if_length<decltype(range.numel())> {
    return static_cast<std::size_t>(range.numel());
}

}  // namespace detail

// A pointer and a length that somebody else owns. Arrays, and whatever has data() and size() or
// numel(), convert to it.
template <typename T>
class span {
    // Only qualifiers may change on the way from a range's elements to T.
    template <typename Range>
    using if_range = std::enable_if_t<
        std::is_convertible_v<std::remove_pointer_t<decltype(std::declval<Range &>().data())> (*)[],
                              T (*)[]> &&
        std::is_same_v<decltype(detail::length(std::declval<Range &>(), 0)), std::size_t>>;

public:
    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}

    template <std::size_t N>
    constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}

    template <typename Range, typename = if_range<Range>>
    constexpr span(Range &range) noexcept : data_(range.data()), size_(detail::length(range, 0)) {}

    // Temporaries, which must outlive the span: as arguments they do.
    template <typename Range, typename = if_range<const Range>>
    constexpr span(const Range &range) noexcept
        : data_(range.data()), size_(detail::length(range, 0)) {}

    [[nodiscard]] constexpr T *data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr T &operator[](std::size_t i) const noexcept { return data_[i]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

// One for the whole batch, or a span of one for each sample.
template <typename T>
class one_or_each : public span<T> {
public:
    using span<T>::span;
    constexpr one_or_each(span<T> each) noexcept : span<T>(each) {}
    // A single one must outlive this: as an argument it does.
    constexpr one_or_each(T &one) noexcept : span<T>(&one, 1) {}
};

namespace detail {

// Whether all spans have one length, the optional one too unless it is empty.
template <typename T, typename First, typename... Rest>
constexpr bool fit(span<T> optional, First first, Rest... rest) noexcept {
    return ((first.size() == rest.size()) && ...) &&
           (optional.size() == 0 || optional.size() == first.size());
}

// An empty vector may have a pointer, where C needs NULL.
template <typename T>
constexpr T *or_null(span<T> optional) noexcept {
    return optional.size() == 0 ? nullptr : optional.data();
}

// The address of an object as C's struct: for an argument, until the call has returned.
template <typename Theirs>
constexpr const Theirs *as(const Theirs &made) noexcept {
    return &made;
}

}  // namespace detail

// ---- noise ----

// A place in counter noise: element `index` of stream `stream` of seed `seed`.
struct counter {
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    std::uint64_t index = 0;

    // The place `offset` elements on, for work that is split. Beyond the end of the stream it is a
    // place that every call refuses with too_large.
    [[nodiscard]] constexpr counter at(std::uint64_t offset) const noexcept {
        return {seed, stream, offset > UINT64_MAX - index ? UINT64_MAX : index + offset};
    }

    status fill(span<float> out) const noexcept {
        return status(vesde_counter_fill(*this, out.size(), out.data()));
    }

    constexpr operator vesde_counter() const noexcept { return {seed, stream, index}; }
};

// The noise of a step: none, where its factor is 0, the caller's numbers, or counter noise from a
// place on, made while the step is computed. Counters, and whatever converts to a span, convert to
// it; empty is no noise.
struct noise {
    noise_kind kind = noise_kind::none;
    span<const float> given;
    vesde::counter counter;

    constexpr noise() noexcept = default;
    constexpr noise(vesde::counter from) noexcept : kind(noise_kind::counter), counter(from) {}

    template <typename Given,
              typename = std::enable_if_t<std::is_convertible_v<Given, span<const float>>>>
    constexpr noise(Given &&numbers) noexcept : given(numbers) {
        kind = given.size() == 0 ? noise_kind::none : noise_kind::given;
    }

    // Whether it has enough for a call of `len` elements.
    [[nodiscard]] constexpr bool fits(std::size_t len) const noexcept {
        return kind != noise_kind::given || given.size() == len;
    }

    constexpr operator vesde_noise() const noexcept {
        return {std::int32_t(kind), given.data(), counter};
    }
};

// How many threads a GPU runs at once. The numbers of no GPU are 0 and 0, which a generator's fill
// refuses.
struct cuda_grid {
    std::uint32_t multiprocessors = 0;
    std::uint32_t threads_per_multiprocessor = 0;

    // A GPU on which every element has a thread of its own.
    [[nodiscard]] static constexpr cuda_grid unlimited() noexcept {
        return {UINT32_MAX, UINT32_MAX};
    }

    // The grid of a GPU by its name, such as "NVIDIA H200" or "T4".
    status of_gpu(std::string_view name) noexcept {
        vesde_cuda_grid grid;
        const status code{vesde_cuda_grid_of_gpu(name.data(), name.size(), &grid)};
        if (code == status::ok) {
            *this = {grid.multiprocessors, grid.threads_per_multiprocessor};
        }
        return code;
    }

    constexpr operator vesde_cuda_grid() const noexcept {
        return {multiprocessors, threads_per_multiprocessor};
    }
};

// A generator of any kind; unless seeded, counter noise of seed 0.
struct generator : vesde_generator {
    // Counter noise from a place on; each draw takes the next stream.
    constexpr generator(vesde::counter from = {}) noexcept : vesde_generator{} { counter = from; }

    // torch's CPU generator after manual_seed.
    [[nodiscard]] static generator torch_cpu(std::uint64_t manual_seed) noexcept {
        return seeded(generator_kind::torch_cpu, manual_seed, {});
    }

    // torch's CUDA generator after manual_seed on a GPU of this grid; without a GPU's, fill fails.
    [[nodiscard]] static generator torch_cuda(std::uint64_t manual_seed, cuda_grid gpu) noexcept {
        return seeded(generator_kind::torch_cuda, manual_seed, gpu);
    }

    // numpy.random.RandomState.
    [[nodiscard]] static generator numpy(std::uint32_t manual_seed) noexcept {
        return seeded(generator_kind::numpy, manual_seed, {});
    }

    // Of a kind that is known at run time; only torch's on a GPU needs a grid.
    status seed(generator_kind whose, std::uint64_t manual_seed, cuda_grid gpu = {}) noexcept {
        const vesde_cuda_grid grid = gpu;
        return status(vesde_generator_seed(std::int32_t(whose), manual_seed, &grid, this));
    }

    // One draw of out's size: torch.randn, numpy.random.randn or a stream of counter noise.
    status fill(span<float> out) noexcept {
        return status(vesde_randn(this, 1, out.size(), out.data()));
    }

    // One draw of torch.rand, which torch's CPU generator has.
    status uniform(span<float> out) noexcept {
        return status(vesde_rand(this, out.size(), out.data()));
    }

    // One draw of signs, 1 or -1, of torch's CPU generator or of counter noise.
    status rademacher(span<float> out) noexcept {
        return status(vesde_rademacher(this, out.size(), out.data()));
    }

    // Elements from `start` on of the next draw of `draw_len`. The state stays as it is until skip.
    status fill_part(std::uint64_t draw_len, std::uint64_t start, span<float> out) const noexcept {
        return status(vesde_generator_fill_part(this, draw_len, start, out.size(), out.data()));
    }

    // Skips a draw of `draw_len` elements.
    status skip(std::uint64_t draw_len) noexcept {
        return status(vesde_generator_skip(this, draw_len));
    }

private:
    // A generator that cannot be seeded has the kind and no state.
    static generator seeded(generator_kind whose, std::uint64_t manual_seed,
                            cuda_grid gpu) noexcept {
        generator made;
        made.kind = std::int32_t(whose);
        static_cast<void>(made.seed(whose, manual_seed, gpu));
        return made;
    }
};

// A list of generators, as diffusers takes it: each makes one sample of the batch, in a draw of its
// own.
inline status randn(span<generator> generators, span<float> out) noexcept {
    return status(vesde_randn(generators.data(), generators.size(), out.size(), out.data()));
}

// ---- linear combinations ----

// The most terms of a linear combination.
inline constexpr std::size_t most_terms = VESDE_MOST_TERMS;

// A factor and its buffer; another factor that is not 0 multiplies their product.
struct term {
    float factor = 0;
    span<const float> buffer{};
    float second_factor = 0;
};

// mean = the sum of the terms, out = mean + noise_factor·noise: {{{1, x}, {drift, score}}, z,
// diffusion, out}. A term with factor 0 and without a buffer is left out.
struct combination {
    term terms[most_terms]{};
    vesde::noise noise{};
    float noise_factor = 0;
    span<float> out{};
    span<float> mean{};
    // Whether `out` is clamped.
    bool clamped = false;
    float clamp_low = 0;
    float clamp_high = 0;
};

// One rounding an operation, from left to right, of any range: part k takes counter.at(its offset).
inline status linear(const combination &sum) noexcept {
    const std::size_t len = sum.out.size();
    vesde_combination made{{}, 0, {}, len, sum.noise, sum.noise_factor, sum.clamped, sum.clamp_low,
                           sum.clamp_high, sum.out.data(), detail::or_null(sum.mean)};
    bool fits = detail::fit(sum.mean, sum.out) && sum.noise.fits(len);
    for (const auto &[factor, buffer, second_factor] : sum.terms) {
        if (factor != 0 || buffer.size() != 0) {
            fits = fits && buffer.size() == len;
            made.second_factors[made.terms_len] = second_factor;
            made.terms[made.terms_len++] = {factor, buffer.data()};
        }
    }
    return fits ? status(vesde_linear(&made)) : status::length_mismatch;
}

// ---- inverse problems and guidance ----

// The buffers of impute: {data, mask, x, noise, sigma, x}. A mask may be that of one sample of the
// batch, or of one channel.
struct imputation {
    span<const float> data{};
    span<const float> mask{};
    span<const float> sample{};
    vesde::noise noise{};
    // The standard deviation of the noise.
    float sigma = 0;
    span<float> out{};
};

// Known data put into a sample: out = x·(1 − m) + (d + z·σ)·m; without noise, where σ is 0.
inline status impute(const imputation &with) noexcept {
    const std::size_t len = with.out.size();
    if (with.data.size() != len || with.sample.size() != len || !with.noise.fits(len)) {
        return status::length_mismatch;
    }
    const vesde_imputation made{with.data.data(), with.mask.data(), with.mask.size(),
                                with.sample.data(), len, with.noise, with.sigma, with.out.data()};
    return status(vesde_impute(&made));
}

// The buffers of recolour: {gray, x, batch, noise, sigma, x}, each with three channels a sample,
// one after the other.
struct recolouring {
    span<const float> gray{};
    span<const float> sample{};
    std::size_t batch = 1;
    vesde::noise noise{};
    // The standard deviation of the noise.
    float sigma = 0;
    span<float> out{};
};

// The brightness of gray images, with noise where σ is not 0, and the colours of samples.
inline status recolour(const recolouring &with) noexcept {
    const std::size_t len = with.out.size();
    if (with.gray.size() != len || with.sample.size() != len || !with.noise.fits(len)) {
        return status::length_mismatch;
    }
    const vesde_recolouring made{with.gray.data(), with.sample.data(), len, with.batch, with.noise,
                                 with.sigma, with.out.data()};
    return status(vesde_recolour(&made));
}

// Brightness and two channels of colour from red, green and blue, of `batch` images.
inline status decouple(span<const float> x, std::size_t batch, span<float> out) noexcept {
    return x.size() == out.size() ? status(vesde_decouple(x.data(), x.size(), batch, out.data()))
                                  : status::length_mismatch;
}

// Red, green and blue from what decouple makes.
inline status couple(span<const float> x, std::size_t batch, span<float> out) noexcept {
    return x.size() == out.size() ? status(vesde_couple(x.data(), x.size(), batch, out.data()))
                                  : status::length_mismatch;
}

// Classifier-free guidance: out = u + weight·(c − u).
inline status guide(span<const float> unconditional, span<const float> conditional, float weight,
                    span<float> out) noexcept {
    if (unconditional.size() != out.size() || conditional.size() != out.size()) {
        return status::length_mismatch;
    }
    return status(
        vesde_guide(unconditional.data(), conditional.data(), weight, out.size(), out.data()));
}

// The posterior mean of the clean data: out = sample + σ²·score.
inline status tweedie(span<const float> sample, span<const float> score, float sigma,
                      span<float> out) noexcept {
    if (sample.size() != out.size() || score.size() != out.size()) {
        return status::length_mismatch;
    }
    return status(vesde_tweedie(sample.data(), score.data(), sigma, out.size(), out.data()));
}

// ---- the corrector in phases, for work that is split over threads ----

using predictor_step = vesde_predictor_step;
using corrector_step = vesde_corrector_step;

// Floats in a block of a sum of squares: a sample may be split at multiples of it.
inline constexpr std::size_t norm_block = VESDE_NORM_BLOCK;

// How many sums of squares a sample of `len` floats has.
[[nodiscard]] inline std::size_t norm_blocks(std::size_t len) noexcept {
    return vesde_norm_blocks(len);
}

// The sums of squares of each norm_block floats of `len`, the model output's or the noise's:
// norm_blocks(len) of them.
inline status sum_squares(const noise &x, std::size_t len, span<double> blocks) noexcept {
    return x.fits(len) ? status(vesde_sum_squares(x, len, blocks.size(), blocks.data()))
                       : status::length_mismatch;
}

// The norm of one sample from all its sums of squares.
inline status sample_norm(span<const double> blocks, double &result) noexcept {
    return status(vesde_sample_norm(blocks.data(), blocks.size(), &result));
}

// torch's norm of one sample of `len` floats, which cannot be split.
inline status torch_norm(const noise &x, std::size_t len, double &result) noexcept {
    return x.fits(len) ? status(vesde_torch_norm(x, len, &result)) : status::length_mismatch;
}

// The mean over the batch of one norm a sample.
inline status mean_norm(span<const double> norms, norm how, double &mean) noexcept {
    return status(vesde_mean_norm(norms.data(), norms.size(), std::int32_t(how), &mean));
}

// The factors of a corrector step from its two norms, for linear.
inline status get_corrector_step(double snr, double grad_norm, double noise_norm, norm how,
                                 corrector_step &factors) noexcept {
    return status(
        vesde_get_corrector_step(snr, grad_norm, noise_norm, std::int32_t(how), &factors));
}

// The factors of annealed Langevin dynamics, in which no norm is taken: factor·ratio² and its root.
inline status get_annealed_step(float ratio, float factor, corrector_step &factors) noexcept {
    return status(vesde_get_annealed_step(ratio, factor, &factors));
}

// ---- configuration and schedule ----

// The configuration of the scheduler; diffusers' defaults unless its fields are set.
struct config : vesde_config {
    config() noexcept { static_cast<void>(vesde_config_default(this)); }
    config(const vesde_config &fields) noexcept : vesde_config(fields) {}

    status validate() const noexcept { return status(vesde_config_validate(this)); }

    // Reads a scheduler_config.json.
    status from_json(std::string_view json) noexcept {
        return status(vesde_config_from_json(json.data(), json.size(), this));
    }

    // Writes a scheduler_config.json, without a terminating NUL, and its length. 512 bytes suffice.
    status to_json(span<char> json, std::size_t &json_len) const noexcept {
        return status(vesde_config_to_json(this, json.data(), json.size(), &json_len));
    }

    // The standard deviation of the initial sample.
    status init_noise_sigma(float &sigma) const noexcept {
        return status(vesde_init_noise_sigma(this, &sigma));
    }

    status set_timesteps(span<float> timesteps) const noexcept {
        return status(vesde_set_timesteps(this, timesteps.size(), timesteps.data()));
    }

    // As many sigmas as timesteps; the discrete ones may be another number.
    status set_sigmas(span<const float> timesteps, span<float> sigmas,
                      span<float> discrete_sigmas) const noexcept {
        if (timesteps.size() != sigmas.size()) {
            return status::length_mismatch;
        }
        return status(vesde_set_sigmas(this, timesteps.data(), timesteps.size(),
                                       discrete_sigmas.size(), sigmas.data(),
                                       discrete_sigmas.data()));
    }

    // The noise scales of annealed Langevin dynamics, the largest first.
    status set_ncsnv2_sigmas(span<float> sigmas) const noexcept {
        return status(vesde_set_ncsnv2_sigmas(this, sigmas.size(), sigmas.data()));
    }

    // σ at a continuous timestep.
    status get_sigma(float timestep, float &sigma) const noexcept {
        return status(vesde_get_sigma(this, timestep, &sigma));
    }

    // The continuous timestep at which σ is `sigma`.
    status get_timestep(double sigma, double &timestep) const noexcept {
        return status(vesde_get_timestep(this, sigma, &timestep));
    }

    // The diffusion g where σ is `sigma`.
    status get_diffusion(float sigma, float &diffusion) const noexcept {
        return status(vesde_get_diffusion(this, sigma, &diffusion));
    }
};

// Sigmas in geometric progression, from sigma_max down to sigma_min. For a step to 0, append a 0.
inline status set_geometric_sigmas(double sigma_min, double sigma_max,
                                   span<float> sigmas) noexcept {
    return status(vesde_set_geometric_sigmas(sigma_min, sigma_max, sigmas.size(), sigmas.data()));
}

// Sigmas whose rho-th roots are equally spaced, from sigma_max down to sigma_min. For a step to 0,
// append a 0.
inline status set_karras_sigmas(double sigma_min, double sigma_max, double rho,
                                span<float> sigmas) noexcept {
    return status(vesde_set_karras_sigmas(sigma_min, sigma_max, rho, sigmas.size(), sigmas.data()));
}

// The buffers of a step: `batch` samples of equal length, one after the other. A prev_sample_mean
// that is not wanted is left out.
struct step {
    span<const float> model_output{};
    span<const float> sample{};
    std::size_t batch = 1;
    vesde::noise noise{};
    span<float> prev_sample{};
    span<float> prev_sample_mean{};
    // Of a predictor step.
    vesde::predictor predictor = vesde::predictor::reverse_diffusion;

    // Whether all have one length.
    [[nodiscard]] constexpr bool fits() const noexcept {
        return detail::fit(prev_sample_mean, model_output, sample, prev_sample) &&
               noise.fits(sample.size());
    }

    constexpr operator vesde_step() const noexcept {
        return {model_output.data(), sample.data(), sample.size(), batch, noise, prev_sample.data(),
                detail::or_null(prev_sample_mean), std::int32_t(predictor)};
    }
};

// A configuration and its tables, which somebody else owns: scheduler{config, timesteps, sigmas,
// discrete_sigmas}. A table that a function does not need may be left out.
struct scheduler {
    vesde::config config{};
    span<const float> timesteps{};
    span<const float> sigmas{};
    span<const float> discrete_sigmas{};

    // The index into discrete_sigmas at a continuous timestep.
    status get_timestep_index(float timestep, std::size_t &index) const noexcept {
        return status(
            vesde_get_timestep_index(detail::as<vesde_scheduler>(*this), timestep, &index));
    }

    // The discrete sigma one index below, or 0 at index 0.
    status get_adjacent_sigma(std::size_t index, float &adjacent_sigma) const noexcept {
        return status(
            vesde_get_adjacent_sigma(detail::as<vesde_scheduler>(*this), index, &adjacent_sigma));
    }

    // The factors of a predictor step, for linear.
    status get_predictor_step(predictor how, float timestep,
                              predictor_step &factors) const noexcept {
        return status(vesde_get_predictor_step(detail::as<vesde_scheduler>(*this),
                                               std::int32_t(how), timestep, &factors));
    }

    // One predictor step; without noise, where its factor is 0.
    status step_pred(one_or_each<const float> at, const step &buffers) const noexcept {
        if (!buffers.fits()) {
            return status::length_mismatch;
        }
        return status(vesde_step_pred(detail::as<vesde_scheduler>(*this), at.data(), at.size(),
                                      detail::as<vesde_step>(buffers)));
    }

    // One corrector step.
    status step_correct(averaging over, norm how, const step &buffers) const noexcept {
        if (!buffers.fits()) {
            return status::length_mismatch;
        }
        return status(vesde_step_correct(detail::as<vesde_scheduler>(*this), std::int32_t(over),
                                         std::int32_t(how), detail::as<vesde_step>(buffers)));
    }

    // The forward process for `batch` samples; without noise, where the sigma is 0.
    status add_noise(span<const float> original_samples, std::size_t batch,
                     one_or_each<const std::int64_t> indices, const noise &with,
                     span<float> noisy_samples) const noexcept {
        if (original_samples.size() != noisy_samples.size() || !with.fits(noisy_samples.size())) {
            return status::length_mismatch;
        }
        return status(vesde_add_noise(detail::as<vesde_scheduler>(*this), original_samples.data(),
                                      original_samples.size(), batch, indices.data(),
                                      indices.size(), with, noisy_samples.data()));
    }

    operator vesde_scheduler() const noexcept {
        return {config,        timesteps.data(),       timesteps.size(),      sigmas.data(),
                sigmas.size(), discrete_sigmas.data(), discrete_sigmas.size()};
    }
};

// ---- whole jobs ----

// What a sampler needs to know besides the configuration: diffusers' behaviour on counter noise,
// unless set.
struct sampler_options {
    // Seed of the counter noise, and stream of its first draw.
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    // The step to start at, with sampler_start::given.
    std::uint64_t first_step = 0;
    sampler_noise noise = sampler_noise::counter;
    vesde::averaging averaging = vesde::averaging::batch;
    vesde::norm norm = vesde::norm::exact;
    // Whether the result is left as it is, and not clamped to 0 to 1.
    bool unclamped = false;
    sampler_result result = sampler_result::mean;
    sampler_start start = sampler_start::noise;
    vesde::predictor predictor = vesde::predictor::reverse_diffusion;
    vesde::corrector corrector = vesde::corrector::langevin;
    vesde::conditions conditions = vesde::conditions::none;
    // The step size of corrector::ncsnv2 at the last sigma.
    float step_lr = 0;
    // The method, and the output of the network.
    vesde::method method = vesde::method::predictor_corrector;
    vesde::prediction prediction = vesde::prediction::score;
    // The order of method::lms and method::ipndm, up to 4; 0 is 4.
    std::uint32_t order = 0;
    // How much noise a step adds: 0 for none, 1 for as much as the reverse-time SDE has.
    float eta = 0;
    // The factor of the noise of steps and of churn; 0 means 1.
    float s_noise = 0;
    // Churn of sigmas from s_tmin to s_tmax; an s_tmax of 0 is no limit.
    float s_churn = 0;
    float s_tmin = 0;
    float s_tmax = 0;
    // Whether the denoised sample is clamped in each step, and its range.
    bool denoised_clamped = false;
    float denoised_low = 0;
    float denoised_high = 0;

    constexpr operator vesde_sampler_options() const noexcept {
        return {seed,
                stream,
                first_step,
                std::int32_t(noise),
                std::int32_t(averaging),
                std::int32_t(norm),
                unclamped,
                std::int32_t(result),
                std::int32_t(start),
                std::int32_t(predictor),
                std::int32_t(corrector),
                std::int32_t(conditions),
                step_lr,
                std::int32_t(method),
                std::int32_t(prediction),
                order,
                eta,
                s_noise,
                s_churn,
                s_tmin,
                s_tmax,
                denoised_clamped,
                denoised_low,
                denoised_high};
    }
};

// The buffers of a job. `noise` is the noise that a request asked for; `denoised` takes previews.
struct buffers {
    span<float> sample{};
    span<const float> model_output{};
    span<const float> noise{};
    span<float> workspace{};
    span<float> denoised{};

    // Whether all that must have the sample's length have it.
    [[nodiscard]] constexpr bool fits() const noexcept {
        return detail::fit(noise, model_output, sample) && detail::fit(denoised, sample);
    }

    constexpr operator vesde_buffers() const noexcept {
        return {sample.data(),          model_output.data(), sample.size(),
                detail::or_null(noise), detail::or_null(workspace), workspace.size(),
                detail::or_null(denoised)};
    }
};

// A sampler's request, with the fields of vesde_request.
struct request {
    request_kind kind = request_kind::done;
    std::uint32_t correction = 0;
    std::size_t step = 0;
    std::size_t steps = 0;
    std::uint64_t label = 0;
    std::uint64_t draw = 0;
    float sigma = 0;
    float timestep = 0;
    vesde::after after = vesde::after::initial;
    // Whether the condition comes last.
    std::int32_t last = 0;
};

// A factor of a plan, its buffer, and a second factor; 0 and 1 leave the product as it is.
struct plan_term {
    float factor = 0;
    vesde::operand operand = vesde::operand::sample;
    float second_factor = 1;

    constexpr plan_term() noexcept = default;
    constexpr plan_term(float of, vesde::operand buffer, float second = 1) noexcept
        : factor(of), operand(buffer), second_factor(second) {}
    constexpr plan_term(const vesde_plan_term &made) noexcept
        : plan_term(made.factor, vesde::operand(made.operand), made.second_factor) {}

    constexpr operator vesde_plan_term() const noexcept {
        return {factor, std::int32_t(operand), second_factor};
    }
};

// A sum that becomes history, of what the buffers hold before the plan is run.
struct keep {
    plan_term terms[most_terms]{};
    std::size_t terms_len = 0;
    // The buffer of the history that takes it.
    std::size_t slot = 0;
};

// The most sums that a plan keeps.
inline constexpr std::size_t most_keeps = VESDE_MOST_KEEPS;

// What a turn does to the sample, with the fields of vesde_plan.
struct plan {
    plan_term terms[most_terms]{};
    std::size_t terms_len = 0;
    float noise_factor = 0;
    bool clamped = false;
    float clamp_low = 0;
    float clamp_high = 0;
    keep keeps[most_keeps]{};
    std::size_t keeps_len = 0;
    // Whether the plan takes a score. The next five fields then say what the denoised sample is.
    bool has_denoised = false;
    float denoised_sample = 0;
    float denoised_model_output = 0;
    bool denoised_clamped = false;
    float denoised_low = 0;
    float denoised_high = 0;
    vesde::reduction reduction = vesde::reduction::none;
    vesde::averaging averaging = vesde::averaging::batch;
    vesde::norm norm = vesde::norm::exact;
    // The factor of further counter noise that is added to the result; 0 for none.
    float churn_factor = 0;
    double snr = 0;
    std::uint64_t draw = 0;
    vesde::counter counter{};
    // The draw of that noise, and the noise.
    std::uint64_t churn_draw = 0;
    vesde::counter churn_counter{};

    constexpr plan() noexcept = default;
    constexpr plan(const vesde_plan &made) noexcept
        : terms_len(made.terms_len),
          noise_factor(made.noise_factor),
          clamped(made.clamped != 0),
          clamp_low(made.clamp_low),
          clamp_high(made.clamp_high),
          keeps_len(made.keeps_len),
          has_denoised(made.has_denoised != 0),
          denoised_sample(made.denoised_sample),
          denoised_model_output(made.denoised_model_output),
          denoised_clamped(made.denoised_clamped != 0),
          denoised_low(made.denoised_low),
          denoised_high(made.denoised_high),
          reduction(vesde::reduction(made.reduction)),
          averaging(vesde::averaging(made.averaging)),
          norm(vesde::norm(made.norm)),
          churn_factor(made.churn_factor),
          snr(made.snr),
          draw(made.draw),
          counter{made.counter.seed, made.counter.stream, made.counter.index},
          churn_draw(made.churn_draw),
          churn_counter{made.churn_counter.seed, made.churn_counter.stream,
                        made.churn_counter.index} {
        copy(made.terms, terms);
        for (std::size_t i = 0; i < most_keeps; ++i) {
            copy(made.keeps[i].terms, keeps[i].terms);
            keeps[i].terms_len = made.keeps[i].terms_len;
            keeps[i].slot = made.keeps[i].slot;
        }
    }

    constexpr operator vesde_plan() const noexcept {
        vesde_plan made{{},
                        terms_len,
                        noise_factor,
                        clamped,
                        clamp_low,
                        clamp_high,
                        {},
                        keeps_len,
                        has_denoised,
                        denoised_sample,
                        denoised_model_output,
                        denoised_clamped,
                        denoised_low,
                        denoised_high,
                        std::int32_t(reduction),
                        std::int32_t(averaging),
                        std::int32_t(norm),
                        churn_factor,
                        snr,
                        draw,
                        counter,
                        churn_draw,
                        churn_counter};
        copy(terms, made.terms);
        for (std::size_t i = 0; i < most_keeps; ++i) {
            copy(keeps[i].terms, made.keeps[i].terms);
            made.keeps[i].terms_len = keeps[i].terms_len;
            made.keeps[i].slot = keeps[i].slot;
        }
        return made;
    }

    // Runs it, as sampler::next does, on `len` elements from `start` on: on an engine's threads, in
    // any split. Noise is the job's, or, where it has none, counter noise.
    status run(const buffers &job, std::size_t start, std::size_t len) const noexcept {
        if (!job.fits()) {
            return status::length_mismatch;
        }
        return status(vesde_run_plan(detail::as<vesde_plan>(*this), detail::as<vesde_buffers>(job),
                                     start, len));
    }

    // A plan with known factors as a combination, for linear of any part of the buffers. Enum
    // operand numbers `operands`: the sample, the model output, the denoised sample (where the plan
    // clamps it) and the history. A plan that leaves the sample as it is becomes a copy of it. The
    // buffers that a plan keeps are not in the combination; run does the whole plan.
    [[nodiscard]] constexpr vesde::combination combination(span<const span<const float>> operands,
                                                           const noise &with,
                                                           span<float> out) const noexcept {
        // If an operand is missing, linear refuses its length or its pointer.
        const auto buffer = [=](vesde::operand which) {
            const auto i = static_cast<std::size_t>(which);
            return i < operands.size() ? operands[i] : span<const float>(nullptr, 1);
        };
        vesde::combination sum{};
        sum.out = out;
        if (terms_len == 0 && noise_factor == 0) {
            sum.terms[0] = {1, buffer(operand::sample)};
            return sum;
        }
        for (std::size_t i = 0; i < terms_len && i < most_terms; ++i) {
            sum.terms[i] = {terms[i].factor, buffer(terms[i].operand), terms[i].second_factor};
        }
        if (noise_factor != 0 || reduction != vesde::reduction::none) {
            sum.noise = with;
            sum.noise_factor = noise_factor;
        }
        sum.clamped = clamped;
        sum.clamp_low = clamp_low;
        sum.clamp_high = clamp_high;
        return sum;
    }

private:
    template <typename From, typename To>
    static constexpr void copy(const From (&from)[most_terms], To (&to)[most_terms]) noexcept {
        for (std::size_t i = 0; i < most_terms; ++i) {
            to[i] = from[i];
        }
    }
};

// A whole job. init makes it; before that next returns invalid_sampler.
class sampler {
public:
    status init(const config &settings, std::size_t batch,
                const sampler_options &options = {}) noexcept {
        return status(vesde_sampler_init(&settings, batch,
                                         detail::as<vesde_sampler_options>(options), &state_));
    }

    // How many floats of history a job of `len` floats keeps in its workspace.
    status workspace_len(std::size_t len, std::size_t &floats) const noexcept {
        return status(vesde_sampler_workspace_len(&state_, len, &floats));
    }

    // Takes what the last request asked for, advances the sample in place, and says what is needed.
    status next(const scheduler &schedule, const buffers &job, request &wanted) noexcept {
        if (!job.fits()) {
            return status::length_mismatch;
        }
        vesde_request made;
        const status code{vesde_sampler_next(&state_, detail::as<vesde_scheduler>(schedule),
                                             detail::as<vesde_buffers>(job), &made)};
        if (code == status::ok) {
            wanted = translated(made);
        }
        return code;
    }

    // next that draws by itself, into `noise`, which the caller leaves alone between calls.
    status next_drawing(const scheduler &schedule, const buffers &job,
                        one_or_each<generator> generators, span<float> noise,
                        request &wanted) noexcept {
        if (!detail::fit(noise, job.model_output, job.sample)) {
            return status::length_mismatch;
        }
        vesde_request made;
        const status code{vesde_sampler_next_drawing(
            &state_, detail::as<vesde_scheduler>(schedule), detail::as<vesde_buffers>(job),
            generators.data(), generators.size(), detail::or_null(noise), &made)};
        if (code == status::ok) {
            wanted = translated(made);
        }
        return code;
    }

    // next without buffers, for an engine that computes on its own threads or devices.
    status plan(const scheduler &schedule, vesde::plan &update, request &wanted) noexcept {
        vesde_plan planned;
        vesde_request made;
        const status code{
            vesde_sampler_plan(&state_, detail::as<vesde_scheduler>(schedule), &planned, &made)};
        if (code == status::ok) {
            update = planned;
            wanted = translated(made);
        }
        return code;
    }

private:
    static request translated(const vesde_request &made) noexcept {
        return {request_kind(made.kind), made.correction, made.step, made.steps, made.label,
                made.draw, made.sigma, made.timestep, vesde::after(made.after), made.last};
    }

    vesde_sampler state_{};
};

// ---- the probability-flow ODE, and likelihoods ----

// What an ODE job needs to know besides the configuration: sampling in time on counter noise, with
// tolerances of 1e-5, unless set. 0 means the usual number, or no limit.
struct ode_options {
    // Seed of the counter noise, and stream of the initial sample's; a probe takes the next one.
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    // How many evaluations there may be.
    std::uint64_t max_evaluations = 0;
    double rtol = 0;
    double atol = 0;
    double max_step = 0;
    // The first step, which is chosen unless it is set.
    double first_step = 0;
    // The distance of differences over sigma.
    double difference = 0;
    sampler_noise noise = sampler_noise::counter;
    sampler_start start = sampler_start::noise;
    ode_variable variable = ode_variable::time;
    ode_direction direction = ode_direction::sampling;
    vesde::divergence divergence = vesde::divergence::none;
    // Who makes the probe.
    sampler_noise probe = sampler_noise::counter;
    // Whether the log-densities do not count in the error.
    bool state_only = false;

    constexpr operator vesde_ode_options() const noexcept {
        return {seed,
                stream,
                max_evaluations,
                rtol,
                atol,
                max_step,
                first_step,
                difference,
                std::int32_t(noise),
                std::int32_t(start),
                std::int32_t(variable),
                std::int32_t(direction),
                std::int32_t(divergence),
                std::int32_t(probe),
                state_only,
                0};
    }
};

// The buffers of an ODE job, the same in every call, or of a part of one. Leave out what a job does
// not need.
struct ode_buffers {
    span<float> sample{};
    // The network's input, and its output for it.
    span<float> input{};
    span<const float> model_output{};
    // ode::workspace_len floats.
    span<float> workspace{};
    // The noise and the product that requests asked for, and the caller's probe.
    span<const float> noise{};
    span<const float> product{};
    span<const float> probe{};
    // ode::log_densities_len doubles: the first one a sample is the result.
    span<double> log_densities{};
    // For a part: its first element's place in the batch, and the whole job's length.
    std::size_t start = 0;
    std::size_t workspace_stride = 0;

    // `len` elements from `from` on, both in the buffers; without the log-densities.
    [[nodiscard]] constexpr ode_buffers part(std::size_t from, std::size_t len) const noexcept {
        const auto of = [=](auto x) {
            return x.size() == 0 ? x : decltype(x)(x.data() + from, len);
        };
        const span<float> behind{workspace.data() + from, workspace.size() - from};
        return {of(sample), of(input), of(model_output), behind, of(noise), of(product), of(probe),
                {}, start + from, workspace_stride == 0 ? sample.size() : workspace_stride};
    }

    // Whether all that must have the sample's length have it, and the workspace has room.
    [[nodiscard]] constexpr status fits() const noexcept {
        if (!detail::fit(noise, model_output, sample, input) || !detail::fit(product, sample) ||
            !detail::fit(probe, sample)) {
            return status::length_mismatch;
        }
        const std::size_t len = sample.size();
        const std::size_t stride = workspace_stride == 0 ? len : workspace_stride;
        const std::size_t behind = workspace.size() < len ? 0 : workspace.size() - len;
        return workspace.size() < len || behind / 5 < stride ? status::buffer_too_small
                                                             : status::ok;
    }

    constexpr operator vesde_ode_buffers() const noexcept {
        return {sample.data(),
                input.data(),
                model_output.data(),
                sample.size(),
                detail::or_null(noise),
                detail::or_null(probe),
                detail::or_null(product),
                workspace.data(),
                workspace_stride,
                detail::or_null(log_densities),
                log_densities.size(),
                start};
    }
};

// An ODE job's request, with the fields of vesde_ode_request.
struct ode_request {
    ode_request_kind kind = ode_request_kind::done;
    std::uint32_t stage = 0;
    float sigma = 0;
    float timestep = 0;
    double u = 0;
    std::uint64_t unit = 0;
    std::uint64_t draw = 0;
    // Whether a step was accepted just before.
    bool accepted = false;
};

using ode_stats = vesde_ode_stats;

// What is to be summed before an ODE job's plan is known, with the fields of vesde_ode_reduction.
struct ode_reduction : vesde_ode_reduction {
    constexpr ode_reduction() noexcept : vesde_ode_reduction{} {}

    [[nodiscard]] constexpr ode_sums_kind which_sums() const noexcept {
        return ode_sums_kind(sums);
    }
    [[nodiscard]] constexpr ode_dots_kind which_dots() const noexcept {
        return ode_dots_kind(dots);
    }
    [[nodiscard]] constexpr ode_score which_score() const noexcept {
        return ode_score(derivative.score);
    }

    // How many doubles sum stores for each norm_block elements.
    status sums_values(std::size_t &values) const noexcept {
        return status(vesde_ode_sums_values(this, &values));
    }

    // The sums of each norm_block elements of a part that begins at a multiple of that.
    status sum(const ode_buffers &part, span<double> blocks) const noexcept {
        const status code = part.fits();
        return code != status::ok ? code
                                  : status(vesde_ode_sums(this, detail::as<vesde_ode_buffers>(part),
                                                          blocks.size(), blocks.data()));
    }

    // The sums of each norm_block elements of a part of one sample.
    status dot(const ode_buffers &part, span<double> blocks) const noexcept {
        const status code = part.fits();
        return code != status::ok ? code
                                  : status(vesde_ode_dots(this, detail::as<vesde_ode_buffers>(part),
                                                          blocks.size(), blocks.data()));
    }
};

// What a turn of an ODE job does to its buffers, with the fields of vesde_ode_plan.
struct ode_plan : vesde_ode_plan {
    constexpr ode_plan() noexcept : vesde_ode_plan{} {}

    [[nodiscard]] constexpr ode_sample_kind which_sample() const noexcept {
        return ode_sample_kind(sample);
    }
    [[nodiscard]] constexpr ode_shift_kind which_shift() const noexcept {
        return ode_shift_kind(shift);
    }
    [[nodiscard]] constexpr ode_score which_score() const noexcept { return ode_score(keep.score); }

    // Runs it on all buffers or any part of them.
    status run(const ode_buffers &part) const noexcept {
        const status code = part.fits();
        return code != status::ok
                   ? code
                   : status(vesde_ode_run(this, detail::as<vesde_ode_buffers>(part)));
    }
};

// A job on the probability-flow ODE. init makes it; before that next returns invalid_sampler.
class ode {
public:
    status init(const config &settings, std::size_t batch,
                const ode_options &options = {}) noexcept {
        return status(
            vesde_ode_init(&settings, batch, detail::as<vesde_ode_options>(options), &state_));
    }

    // How many floats of derivatives a job of `len` floats keeps in its workspace.
    status workspace_len(std::size_t len, std::size_t &floats) const noexcept {
        return status(vesde_ode_workspace_len(&state_, len, &floats));
    }

    // How many doubles of log-densities a job keeps.
    status log_densities_len(std::size_t &doubles) const noexcept {
        return status(vesde_ode_log_densities_len(&state_, &doubles));
    }

    // The counter noise whose signs are the probe, unless the probe is the caller's.
    status get_probe(counter &probe) const noexcept {
        vesde_counter made;
        const status code{vesde_ode_get_probe(&state_, &made)};
        if (code == status::ok) {
            probe = {made.seed, made.stream, made.index};
        }
        return code;
    }

    // Evaluations, accepted and rejected steps, and where the sample is.
    status get_stats(ode_stats &stats) const noexcept {
        return status(vesde_ode_get_stats(&state_, &stats));
    }

    // Takes what the last request asked for, advances the solution, and says what is needed.
    status next(const ode_buffers &job, ode_request &wanted) noexcept {
        vesde_ode_request made;
        status code = job.fits();
        if (code == status::ok) {
            code = status(vesde_ode_next(&state_, detail::as<vesde_ode_buffers>(job), &made));
        }
        if (code == status::ok) {
            wanted = translated(made);
        }
        return code;
    }

    // What is to be summed over `len` floats before next_plan.
    status get_reduction(std::size_t len, ode_reduction &reduction) const noexcept {
        return status(vesde_ode_get_reduction(&state_, len, &reduction));
    }

    // next without buffers, from the two totals of the reduction.
    status next_plan(std::size_t len, const double (&sums)[2], span<double> log_densities,
                     ode_plan &plan, ode_request &wanted) noexcept {
        vesde_ode_request made;
        const status code{vesde_ode_next_plan(&state_, len, sums, detail::or_null(log_densities),
                                              log_densities.size(), &plan, &made)};
        if (code == status::ok) {
            wanted = translated(made);
        }
        return code;
    }

private:
    static ode_request translated(const vesde_ode_request &made) noexcept {
        return {ode_request_kind(made.kind), made.stage, made.sigma, made.timestep, made.u,
                made.unit, made.draw, made.accepted != 0};
    }

    vesde_ode state_{};
};

using log_likelihood = vesde_log_likelihood;

// The log-density of one sample of data and its parts, from its code and the integral of the
// divergence.
inline status get_log_likelihood(double sigma_max, span<const float> z, double divergence,
                                 log_likelihood &result) noexcept {
    return status(vesde_get_log_likelihood(sigma_max, z.data(), z.size(), divergence, &result));
}

// Bits per dimension of a log-density.
[[nodiscard]] inline double bits_per_dim(double log_density, std::size_t dims, double levels = 256,
                                         double slope = 1) noexcept {
    return vesde_bits_per_dim(log_density, dims, levels, slope);
}

// ---- what all this rests on ----

namespace detail {

// Lists of generators are handed to C as they are. Of structs that are copied field by field, no
// field may be missing.
template <typename Ours, typename Theirs>
constexpr bool same_layout = sizeof(Ours) == sizeof(Theirs) && alignof(Ours) == alignof(Theirs) &&
                             std::is_standard_layout_v<Ours> && std::is_trivially_copyable_v<Ours>;

static_assert(same_layout<config, vesde_config> && same_layout<scheduler, vesde_scheduler>);
static_assert(same_layout<counter, vesde_counter> && same_layout<cuda_grid, vesde_cuda_grid>);
static_assert(same_layout<generator, vesde_generator> && same_layout<sampler, vesde_sampler>);
static_assert(same_layout<sampler_options, vesde_sampler_options> &&
              same_layout<request, vesde_request>);
static_assert(same_layout<plan, vesde_plan> && same_layout<plan_term, vesde_plan_term>);
static_assert(same_layout<keep, vesde_keep>);
static_assert(same_layout<ode_options, vesde_ode_options> && same_layout<ode, vesde_ode>);
static_assert(same_layout<ode_request, vesde_ode_request>);
static_assert(same_layout<ode_reduction, vesde_ode_reduction> &&
              same_layout<ode_plan, vesde_ode_plan>);
static_assert(std::is_same_v<std::underlying_type_t<status>, vesde_status>);

}  // namespace detail

}  // namespace vesde

#endif  // VESDE_HPP
