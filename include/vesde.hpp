// vesde for C++17 and later: vesde.h with spans in place of pointers and lengths, enumerations that are types,
// and objects whose functions are members. Header-only, inline, without exceptions, RTTI or allocation; names
// are those of vesde.h without the prefix, and what a function does, computes and refuses is said there.
//
// - What can fail returns a status. Unless it is status::ok, nothing has been written; a member function that
//   makes an object (config::from_json, cuda_grid::of_gpu, sampler::init) writes it to *this.
// - Spans that belong together and differ in length are status::length_mismatch. An output may be the same span
//   as an input (in place). A prev_sample_mean that is not wanted is left out: an empty span.
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

// What a function returns: ok, or why it was refused.
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
    invalid_random_state = VESDE_ERROR_INVALID_RANDOM_STATE,
    unknown_gpu = VESDE_ERROR_UNKNOWN_GPU,
};

// Over what the corrector averages its norms.
enum class averaging : std::int32_t {
    batch = VESDE_AVERAGING_BATCH,
    per_sample = VESDE_AVERAGING_PER_SAMPLE,
};

// How the corrector computes norms and step size.
enum class norm : std::int32_t { exact = VESDE_NORM_EXACT, torch = VESDE_NORM_TORCH };

// Who makes the noise of a whole job.
enum class sampler_noise : std::int32_t {
    counter = VESDE_SAMPLER_NOISE_COUNTER,
    given = VESDE_SAMPLER_NOISE_GIVEN,
};

// Which of the last step's two results a job ends with.
enum class sampler_result : std::int32_t {
    mean = VESDE_SAMPLER_RESULT_MEAN,
    noisy = VESDE_SAMPLER_RESULT_NOISY,
};

// From what a job starts: noise of the largest sigma, or a given sample at first_step.
enum class sampler_start : std::int32_t {
    noise = VESDE_SAMPLER_START_NOISE,
    given = VESDE_SAMPLER_START_GIVEN,
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
};

// A set of vector instructions. Every level gives the same bits.
enum class simd_level_kind : std::int32_t {
    baseline = VESDE_SIMD_LEVEL_KIND_BASELINE,
    avx2 = VESDE_SIMD_LEVEL_KIND_AVX2,
    avx512 = VESDE_SIMD_LEVEL_KIND_AVX512,
};

// A sentence about a status, never null, without a full stop.
[[nodiscard]] inline const char *message(status code) noexcept {
    return vesde_status_message(static_cast<vesde_status>(code));
}

// Whether the library that was linked has this header's version.
[[nodiscard]] inline bool header_matches_library() noexcept {
    return vesde_version() == (VESDE_VERSION_MAJOR << 16 | VESDE_VERSION_MINOR << 8 | VESDE_VERSION_PATCH);
}

// Whether this thread rounds to the nearest and keeps subnormal numbers, as vesde assumes.
[[nodiscard]] inline bool float_environment_is_default() noexcept {
    return vesde_float_environment_is_default() != 0;
}

// The vector instructions in use.
[[nodiscard]] inline simd_level_kind simd_level() noexcept {
    return static_cast<simd_level_kind>(vesde_simd_level());
}

// Limits the whole process to vector instructions of `highest` and below; the highest kind lifts the limit.
inline status limit_simd_level(simd_level_kind highest) noexcept {
    return static_cast<status>(vesde_limit_simd_level(static_cast<std::int32_t>(highest)));
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
    constexpr span(const Range &range) noexcept : data_(range.data()), size_(detail::length(range, 0)) {}

    [[nodiscard]] constexpr T *data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr T &operator[](std::size_t i) const noexcept { return data_[i]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

// One value for the whole batch, or a span of one for each sample.
template <typename T>
class one_or_each : public span<const T> {
public:
    using span<const T>::span;
    // The value must outlive this: as an argument it does.
    constexpr one_or_each(const T &one) noexcept : span<const T>(&one, 1) {}
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

}  // namespace detail

// ---- noise ----

// A place in counter noise: element `index` of stream `stream` of seed `seed`.
struct counter {
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    std::uint64_t index = 0;

    // The place `offset` elements on, for work that is split. Beyond the end of the stream it is a place that
    // every call refuses with too_large.
    [[nodiscard]] constexpr counter at(std::uint64_t offset) const noexcept {
        return {seed, stream, offset > UINT64_MAX - index ? UINT64_MAX : index + offset};
    }

    status fill(span<float> out) const noexcept {
        return static_cast<status>(vesde_counter_fill(*this, out.size(), out.data()));
    }

    constexpr operator vesde_counter() const noexcept { return {seed, stream, index}; }
};

// torch's CPU generator after manual_seed(seed).
struct torch_cpu : vesde_torch_cpu {
    explicit torch_cpu(std::uint64_t seed) noexcept { static_cast<void>(vesde_torch_cpu_seed(this, seed)); }

    // torch.randn of out's size.
    status fill(span<float> out) noexcept {
        return static_cast<status>(vesde_torch_cpu_fill(this, 1, out.size(), out.data()));
    }
};

// How many threads a GPU runs at once. The numbers of no GPU are 0 and 0, which a generator's fill refuses.
struct cuda_grid {
    std::uint32_t multiprocessors = 0;
    std::uint32_t threads_per_multiprocessor = 0;

    // A GPU on which every element has a thread of its own.
    [[nodiscard]] static constexpr cuda_grid unlimited() noexcept { return {UINT32_MAX, UINT32_MAX}; }

    // The grid of a GPU by its name, such as "NVIDIA H200" or "T4".
    status of_gpu(std::string_view name) noexcept {
        vesde_cuda_grid grid;
        const status code = static_cast<status>(vesde_cuda_grid_of_gpu(name.data(), name.size(), &grid));
        if (code == status::ok) {
            *this = {grid.multiprocessors, grid.threads_per_multiprocessor};
        }
        return code;
    }

    constexpr operator vesde_cuda_grid() const noexcept {
        return {multiprocessors, threads_per_multiprocessor};
    }
};

// torch's CUDA generator after manual_seed on a GPU with this grid. A grid of no GPU leaves zeros, which fill refuses.
struct torch_cuda : vesde_torch_cuda {
    torch_cuda(std::uint64_t manual_seed, cuda_grid gpu) noexcept : vesde_torch_cuda{} {
        static_cast<void>(vesde_torch_cuda_seed(this, manual_seed, gpu));
    }

    // torch.randn(out's size, device="cuda").
    status fill(span<float> out) noexcept {
        return static_cast<status>(vesde_torch_cuda_fill(this, 1, out.size(), out.data()));
    }

    // Elements from `start` on of the next draw of `draw_len`. The state stays as it is until skip.
    status fill_part(std::uint64_t draw_len, std::uint64_t start, span<float> out) const noexcept {
        return static_cast<status>(vesde_torch_cuda_fill_part(this, draw_len, start, out.size(), out.data()));
    }

    // Goes past a draw of `draw_len` elements.
    status skip(std::uint64_t draw_len) noexcept {
        return static_cast<status>(vesde_torch_cuda_skip(this, draw_len));
    }
};

// numpy.random.RandomState(seed).
struct numpy : vesde_numpy {
    explicit numpy(std::uint32_t seed) noexcept { static_cast<void>(vesde_numpy_seed(this, seed)); }

    // randn of out's size, rounded to float.
    status fill(span<float> out) noexcept {
        return static_cast<status>(vesde_numpy_fill(this, 1, out.size(), out.data()));
    }
};

// A list of generators, as diffusers takes it: each makes one sample of the batch, in a draw of its own.
inline status randn(span<torch_cpu> generators, span<float> out) noexcept {
    return static_cast<status>(
        vesde_torch_cpu_fill(generators.data(), generators.size(), out.size(), out.data()));
}

inline status randn(span<torch_cuda> generators, span<float> out) noexcept {
    return static_cast<status>(
        vesde_torch_cuda_fill(generators.data(), generators.size(), out.size(), out.data()));
}

inline status randn(span<numpy> generators, span<float> out) noexcept {
    return static_cast<status>(
        vesde_numpy_fill(generators.data(), generators.size(), out.size(), out.data()));
}

// ---- the corrector in phases, for work that is split over threads ----

using predictor_step = vesde_predictor_step;
using corrector_step = vesde_corrector_step;

// Floats whose squares are summed on their own: where a sample may be split.
inline constexpr std::size_t norm_block = VESDE_NORM_BLOCK;

// How many sums of squares a sample of `len` floats has.
[[nodiscard]] inline std::size_t norm_blocks(std::size_t len) noexcept { return vesde_norm_blocks(len); }

// The sums of squares of each norm_block floats of x: norm_blocks(x.size()) of them.
inline status sum_squares(span<const float> x, span<double> blocks) noexcept {
    return static_cast<status>(vesde_sum_squares(x.data(), x.size(), blocks.size(), blocks.data()));
}

inline status sum_squares(counter x, std::size_t len, span<double> blocks) noexcept {
    return static_cast<status>(vesde_sum_squares_counter(x, len, blocks.size(), blocks.data()));
}

// The norm of one sample from all its sums of squares.
inline status sample_norm(span<const double> blocks, double &result) noexcept {
    return static_cast<status>(vesde_sample_norm(blocks.data(), blocks.size(), &result));
}

// torch's norm of one sample, which cannot be split.
inline status torch_norm(span<const float> x, double &result) noexcept {
    return static_cast<status>(vesde_torch_norm(x.data(), x.size(), &result));
}

inline status torch_norm(counter x, std::size_t len, double &result) noexcept {
    return static_cast<status>(vesde_torch_norm_counter(x, len, &result));
}

// The mean over the batch of one norm a sample.
inline status mean_norm(span<const double> norms, norm how, double &mean) noexcept {
    return static_cast<status>(
        vesde_mean_norm(norms.data(), norms.size(), static_cast<std::int32_t>(how), &mean));
}

// The factors of a corrector step from its two norms.
inline status get_corrector_step(double snr, double grad_norm, double noise_norm, norm how,
                                 corrector_step &step) noexcept {
    return static_cast<status>(
        vesde_get_corrector_step(snr, grad_norm, noise_norm, static_cast<std::int32_t>(how), &step));
}

// The elementwise part of a step, of any range: part k takes noise.at(its offset).
inline status update(float drift, float diffusion, span<const float> model_output, span<const float> sample,
                     span<const float> noise, span<float> prev_sample,
                     span<float> prev_sample_mean = {}) noexcept {
    if (!detail::fit(prev_sample_mean, model_output, sample, prev_sample) || !detail::fit(noise, sample)) {
        return status::length_mismatch;
    }
    return static_cast<status>(vesde_update(drift, diffusion, model_output.data(), sample.data(),
                                            detail::or_null(noise), sample.size(), prev_sample.data(),
                                            detail::or_null(prev_sample_mean)));
}

inline status update(float drift, float diffusion, span<const float> model_output, span<const float> sample,
                     counter noise, span<float> prev_sample, span<float> prev_sample_mean = {}) noexcept {
    if (!detail::fit(prev_sample_mean, model_output, sample, prev_sample)) {
        return status::length_mismatch;
    }
    return static_cast<status>(vesde_update_counter(drift, diffusion, model_output.data(), sample.data(),
                                                    sample.size(), noise, prev_sample.data(),
                                                    detail::or_null(prev_sample_mean)));
}

// Scales a network's input as diffusers does for this SDE: not at all.
inline status scale_model_input(span<const float> sample, span<float> out) noexcept {
    if (sample.size() != out.size()) {
        return status::length_mismatch;
    }
    return static_cast<status>(vesde_scale_model_input(sample.data(), sample.size(), out.data()));
}

// For a step whose noise is multiplied by 0.
inline constexpr span<const float> no_noise{};

// ---- configuration and schedule ----

// The configuration of the scheduler; diffusers' defaults unless its fields are set.
struct config : vesde_config {
    config() noexcept { static_cast<void>(vesde_config_default(this)); }
    config(const vesde_config &fields) noexcept : vesde_config(fields) {}

    status validate() const noexcept { return static_cast<status>(vesde_config_validate(this)); }

    // Reads a scheduler_config.json.
    status from_json(std::string_view json) noexcept {
        return static_cast<status>(vesde_config_from_json(json.data(), json.size(), this));
    }

    // Writes a scheduler_config.json, without a terminating NUL, and its length. 512 bytes always suffice.
    status to_json(span<char> json, std::size_t &json_len) const noexcept {
        return static_cast<status>(vesde_config_to_json(this, json.data(), json.size(), &json_len));
    }

    // The standard deviation of the initial sample.
    status init_noise_sigma(float &sigma) const noexcept {
        return static_cast<status>(vesde_init_noise_sigma(this, &sigma));
    }

    status set_timesteps(span<float> timesteps) const noexcept {
        return static_cast<status>(vesde_set_timesteps(this, timesteps.size(), timesteps.data()));
    }

    // As many sigmas as timesteps; the discrete ones may be another number.
    status set_sigmas(span<const float> timesteps, span<float> sigmas,
                      span<float> discrete_sigmas) const noexcept {
        if (timesteps.size() != sigmas.size()) {
            return status::length_mismatch;
        }
        return static_cast<status>(vesde_set_sigmas(this, timesteps.data(), timesteps.size(),
                                                    discrete_sigmas.size(), sigmas.data(),
                                                    discrete_sigmas.data()));
    }
};

// A configuration and its tables, which somebody else owns: scheduler{config, timesteps, sigmas,
// discrete_sigmas}. A table that a function does not need may be left empty.
struct scheduler {
    vesde::config config;
    span<const float> timesteps;
    span<const float> sigmas;
    span<const float> discrete_sigmas;

    // The index into discrete_sigmas at a continuous timestep.
    status get_timestep_index(float timestep, std::size_t &index) const noexcept {
        const vesde_scheduler tables = *this;
        return static_cast<status>(vesde_get_timestep_index(&tables, timestep, &index));
    }

    // The discrete sigma one index below, or 0 at index 0.
    status get_adjacent_sigma(std::size_t index, float &adjacent_sigma) const noexcept {
        const vesde_scheduler tables = *this;
        return static_cast<status>(vesde_get_adjacent_sigma(&tables, index, &adjacent_sigma));
    }

    // The factors of a predictor step, for update.
    status get_predictor_step(float timestep, predictor_step &step) const noexcept {
        const vesde_scheduler tables = *this;
        return static_cast<status>(vesde_get_predictor_step(&tables, timestep, &step));
    }

    // One predictor step, with noise given or made on the way; without, where d is 0.
    status step_pred(span<const float> model_output, one_or_each<float> timestep, span<const float> sample,
                     span<const float> noise, span<float> prev_sample,
                     span<float> prev_sample_mean = {}) const noexcept {
        if (!detail::fit(prev_sample_mean, model_output, sample, prev_sample) || !detail::fit(noise, sample)) {
            return status::length_mismatch;
        }
        const vesde_scheduler tables = *this;
        return static_cast<status>(vesde_step_pred(
            &tables, model_output.data(), timestep.data(), timestep.size(), sample.data(),
            detail::or_null(noise), sample.size(), prev_sample.data(), detail::or_null(prev_sample_mean)));
    }

    status step_pred(span<const float> model_output, one_or_each<float> timestep, span<const float> sample,
                     counter noise, span<float> prev_sample,
                     span<float> prev_sample_mean = {}) const noexcept {
        if (!detail::fit(prev_sample_mean, model_output, sample, prev_sample)) {
            return status::length_mismatch;
        }
        const vesde_scheduler tables = *this;
        return static_cast<status>(vesde_step_pred_counter(
            &tables, model_output.data(), timestep.data(), timestep.size(), sample.data(), sample.size(),
            noise, prev_sample.data(), detail::or_null(prev_sample_mean)));
    }

    // One corrector step for a batch of `batch` samples, with noise given or made on the way.
    status step_correct(span<const float> model_output, span<const float> sample, span<const float> noise,
                        std::size_t batch, averaging over, norm how, span<float> prev_sample,
                        span<float> prev_sample_mean = {}) const noexcept {
        if (!detail::fit(prev_sample_mean, model_output, sample, noise, prev_sample)) {
            return status::length_mismatch;
        }
        const vesde_scheduler tables = *this;
        return static_cast<status>(
            vesde_step_correct(&tables, model_output.data(), sample.data(), noise.data(), sample.size(),
                               batch, static_cast<std::int32_t>(over), static_cast<std::int32_t>(how),
                               prev_sample.data(), detail::or_null(prev_sample_mean)));
    }

    status step_correct(span<const float> model_output, span<const float> sample, counter noise,
                        std::size_t batch, averaging over, norm how, span<float> prev_sample,
                        span<float> prev_sample_mean = {}) const noexcept {
        if (!detail::fit(prev_sample_mean, model_output, sample, prev_sample)) {
            return status::length_mismatch;
        }
        const vesde_scheduler tables = *this;
        return static_cast<status>(
            vesde_step_correct_counter(&tables, model_output.data(), sample.data(), sample.size(), batch,
                                       static_cast<std::int32_t>(over), static_cast<std::int32_t>(how), noise,
                                       prev_sample.data(), detail::or_null(prev_sample_mean)));
    }

    // The forward process, with noise given or made on the way; without, where the sigma is 0.
    status add_noise(span<const float> original_samples, one_or_each<std::int64_t> index,
                     span<const float> noise, span<float> noisy_samples) const noexcept {
        if (!detail::fit(noise, original_samples, noisy_samples)) {
            return status::length_mismatch;
        }
        const vesde_scheduler tables = *this;
        return static_cast<status>(vesde_add_noise(&tables, original_samples.data(), index.data(),
                                                   index.size(), detail::or_null(noise),
                                                   original_samples.size(), noisy_samples.data()));
    }

    status add_noise(span<const float> original_samples, one_or_each<std::int64_t> index, counter noise,
                     span<float> noisy_samples) const noexcept {
        if (original_samples.size() != noisy_samples.size()) {
            return status::length_mismatch;
        }
        const vesde_scheduler tables = *this;
        return static_cast<status>(vesde_add_noise_counter(&tables, original_samples.data(), index.data(),
                                                           index.size(), original_samples.size(), noise,
                                                           noisy_samples.data()));
    }

    operator vesde_scheduler() const noexcept {
        return {config,        timesteps.data(),       timesteps.size(),      sigmas.data(),
                sigmas.size(), discrete_sigmas.data(), discrete_sigmas.size()};
    }
};

// ---- whole jobs ----

// What a sampler needs to know besides the configuration: diffusers' behaviour on counter noise, unless set.
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

    constexpr operator vesde_sampler_options() const noexcept {
        return {seed,
                stream,
                first_step,
                static_cast<std::int32_t>(noise),
                static_cast<std::int32_t>(averaging),
                static_cast<std::int32_t>(norm),
                unclamped,
                static_cast<std::int32_t>(result),
                static_cast<std::int32_t>(start)};
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
};

// What a turn does to the sample, with the fields of vesde_plan: sample·x + output·m + noise·z, then clamped.
struct plan {
    float sample = 0;
    float output = 0;
    float noise = 0;
    vesde::reduction reduction = vesde::reduction::none;
    float clamp_low = 0;
    float clamp_high = 0;
    std::uint64_t draw = 0;
    vesde::counter counter;
};

// A predictor–corrector loop, to be made by init; before that, next refuses it with invalid_sampler.
class sampler {
public:
    status init(const config &settings, std::size_t batch, const sampler_options &options = {}) noexcept {
        const vesde_sampler_options wanted = options;
        return static_cast<status>(vesde_sampler_init(&settings, batch, &wanted, &state_));
    }

    // Takes what the last request asked for, advances `sample` in place, and says what is needed next.
    // `noise` may be empty unless it was asked for.
    status next(const scheduler &schedule, span<const float> model_output, span<const float> noise,
                span<float> sample, request &wanted) noexcept {
        if (!detail::fit(noise, sample, model_output)) {
            return status::length_mismatch;
        }
        const vesde_scheduler tables = schedule;
        vesde_request made;
        const status code = static_cast<status>(vesde_sampler_next(&state_, &tables, model_output.data(),
                                                                   detail::or_null(noise), sample.size(),
                                                                   sample.data(), &made));
        if (code == status::ok) {
            wanted = translated(made);
        }
        return code;
    }

    // next without buffers, for an engine that runs the plan where its tensors are, or on its threads.
    status plan(const scheduler &schedule, vesde::plan &update, request &wanted) noexcept {
        const vesde_scheduler tables = schedule;
        vesde_plan planned;
        vesde_request made;
        const status code = static_cast<status>(vesde_sampler_plan(&state_, &tables, &planned, &made));
        if (code == status::ok) {
            const vesde_counter &from = planned.counter;
            update = {planned.sample,
                      planned.output,
                      planned.noise,
                      static_cast<vesde::reduction>(planned.reduction),
                      planned.clamp_low,
                      planned.clamp_high,
                      planned.draw,
                      {from.seed, from.stream, from.index}};
            wanted = translated(made);
        }
        return code;
    }

private:
    static request translated(const vesde_request &made) noexcept {
        return {static_cast<request_kind>(made.kind),
                made.correction,
                made.step,
                made.steps,
                made.label,
                made.draw,
                made.sigma,
                made.timestep};
    }

    vesde_sampler state_{};
};

// ---- what all this rests on ----

namespace detail {

// Lists of generators are handed to C as they are; of what is copied field by field, no field may have been
// forgotten.
template <typename Ours, typename Theirs>
constexpr bool same_layout = sizeof(Ours) == sizeof(Theirs) && alignof(Ours) == alignof(Theirs) &&
                             std::is_standard_layout_v<Ours> && std::is_trivially_copyable_v<Ours>;

static_assert(same_layout<config, vesde_config> && same_layout<scheduler, vesde_scheduler>);
static_assert(same_layout<counter, vesde_counter> && same_layout<cuda_grid, vesde_cuda_grid>);
static_assert(same_layout<torch_cpu, vesde_torch_cpu> && same_layout<torch_cuda, vesde_torch_cuda>);
static_assert(same_layout<numpy, vesde_numpy> && same_layout<sampler, vesde_sampler>);
static_assert(same_layout<sampler_options, vesde_sampler_options> && same_layout<request, vesde_request>);
static_assert(same_layout<plan, vesde_plan>);
static_assert(std::is_same_v<std::underlying_type_t<status>, vesde_status>);

}  // namespace detail

}  // namespace vesde

#endif  // VESDE_HPP
