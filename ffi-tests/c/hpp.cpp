// vesde.hpp as an inference engine has it, without exceptions and RTTI: every function beside the one of
// vesde.h that it stands for, bit for bit, on vectors, arrays and pointers; then whole jobs.

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
                        vesde_counter, vesde_torch_cpu, vesde_cuda_grid, vesde_torch_cuda, vesde_numpy,
                        vesde_sampler_options, vesde_sampler, vesde_request>);
static_assert(are_plain<vesde::config, vesde::scheduler, vesde::counter, vesde::torch_cpu, vesde::cuda_grid,
                        vesde::torch_cuda, vesde::numpy, vesde::sampler_options, vesde::sampler,
                        vesde::request, span<float>>);
static_assert(sizeof(vesde::torch_cpu) == 2512 && sizeof(vesde::torch_cuda) == 24 &&
              sizeof(vesde::numpy) == 2512);

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
static_assert(!std::is_convertible_v<std::vector<vesde::torch_cpu> &, span<vesde_torch_cpu>>);
static_assert(!std::is_convertible_v<std::vector<bool> &, span<const bool>> &&
              !std::is_convertible_v<int, span<int>>);

// What a tensor library has: numel() in place of size(), signed as theirs are. One has a size() of
// a dimension, too.
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

// Of a size() and a numel() the size() counts.
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

static_assert(noexcept(std::declval<vesde::sampler &>().next({}, {}, {}, {},
                                                             std::declval<vesde::request &>())));
static_assert(noexcept(vesde::config()) && noexcept(vesde::torch_cpu(1)));
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
        case VESDE_ERROR_INVALID_RANDOM_STATE: return status::invalid_random_state;
        case VESDE_ERROR_UNKNOWN_GPU: return status::unknown_gpu;
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

// Every status with a message of its own has an enumerator; the other enumerations have the values of
// vesde.h.
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
    has_the_values_of({VESDE_SAMPLER_NOISE_COUNTER, VESDE_SAMPLER_NOISE_GIVEN});
    has_the_values_of({VESDE_SAMPLER_RESULT_MEAN, VESDE_SAMPLER_RESULT_NOISY});
    has_the_values_of({VESDE_SAMPLER_START_NOISE, VESDE_SAMPLER_START_GIVEN});
    has_the_values_of({VESDE_REDUCTION_NONE, VESDE_REDUCTION_CORRECTOR_NORMS});
    has_the_values_of({VESDE_REQUEST_KIND_DONE, VESDE_REQUEST_KIND_SCORE, VESDE_REQUEST_KIND_NOISE});
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

    // The discrete sigmas may be another number, the sigmas not.
    floats more(STEPS + 1, 7.0f), in_place = timesteps;
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, made.config.set_sigmas(timesteps, more, discrete_sigmas));
    CHECK(same(more, floats(STEPS + 1, 7.0f)));
    OK(made.config.set_sigmas(in_place, in_place, more));
    CHECK(same(in_place, sigmas) && more.front() == discrete_sigmas.front() &&
          more.back() == discrete_sigmas.back());

    std::size_t index = 7, their_index = 0;
    float adjacent = 7, their_adjacent = 0;
    vesde::predictor_step step{}, their_step{};
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.get_timestep_index(1.5f, index));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.get_adjacent_sigma(STEPS, adjacent));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.get_predictor_step(1.5f, step));
    CHECK(index == 7 && adjacent == 7 && step.drift == 0);
    OK(ours.get_timestep_index(0.5f, index));
    OK(vesde_get_timestep_index(&theirs, 0.5f, &their_index));
    OK(ours.get_adjacent_sigma(index, adjacent));
    OK(vesde_get_adjacent_sigma(&theirs, index, &their_adjacent));
    OK(ours.get_predictor_step(0.5f, step));
    OK(vesde_get_predictor_step(&theirs, 0.5f, &their_step));
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

// One step, by ours(model_output, sample, noise, prev_sample, prev_sample_mean), with the noise that is given
// and with a counter, against theirs(noise, prev_sample, prev_sample_mean) of C.
template <typename Noise, typename Ours, typename Theirs>
static void a_step(const floats &model_output, const floats &sample, Noise noise, Ours ours, Theirs theirs) {
    constexpr bool given = !std::is_same_v<Noise, vesde::counter>;
    floats wanted(LEN), wanted_mean(LEN), prev(LEN), mean(LEN);
    OK(theirs(noise, wanted.data(), wanted_mean.data()));
    CHECK(!same(wanted, wanted_mean) && !same(wanted, prev));
    OK(ours(model_output, sample, noise, prev, mean));
    CHECK(same(prev, wanted) && same(mean, wanted_mean));

    // In place, on an array and on a pointer, without the mean: an empty span is none, wherever it points.
    const floats before(LEN, 7.0f);
    mean = before;
    static std::array<float, LEN> array;
    static float raw[LEN];
    std::copy(sample.begin(), sample.end(), array.begin());
    std::copy(sample.begin(), sample.end(), raw);
    OK(ours(model_output, array, noise, array, {mean.data(), 0}));
    OK(ours(model_output, raw, noise, span<float>(raw, LEN), span<float>()));
    CHECK(same(array, wanted) && same(raw, wanted) && same(mean, before));

    // Each span but one has the right length; then a partial overlap, which is for C to find.
    prev = before;
    for (int wrong = 0; wrong < (given ? 5 : 4); ++wrong) {
        const auto cut = [=](auto all, int which) {
            return decltype(all)(all.data(), LEN - (which == wrong));
        };
        const span<const float> score = cut(span(model_output.data(), LEN), 0),
                                x = cut(span(sample.data(), LEN), 1);
        const span<float> out = cut(span<float>(prev), 2), out_mean = cut(span<float>(mean), 3);
        if constexpr (given) {
            STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours(score, x, cut(noise, 4), out, out_mean));
        } else {
            STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours(score, x, noise, out, out_mean));
        }
    }
    floats both(LEN + 1, 7.0f);
    const span<const float> low(both.data(), LEN);
    STATUS(VESDE_ERROR_OVERLAP, ours(model_output, low, noise, span<float>(both.data() + 1, LEN), mean));
    CHECK(same(prev, before) && same(mean, before) && same(both, floats(LEN + 1, 7.0f)));
}

static void steps() {
    const tables made(STEPS);
    const vesde::scheduler ours = made.scheduler();
    const vesde_scheduler theirs = ours;
    const floats score = draw(1), sample = draw(2), noise = draw(3);
    const float *m = score.data(), *x = sample.data();
    const span<const float> given = noise;

    const auto update = [](span<const float> s, span<const float> from, auto z, span<float> prev,
                           span<float> mean) { return vesde::update(0.75f, 1.25f, s, from, z, prev, mean); };
    a_step(score, sample, given, update, [=](span<const float> z, float *prev, float *mean) {
        return vesde_update(0.75f, 1.25f, m, x, z.data(), LEN, prev, mean);
    });
    a_step(score, sample, PLACE, update, [=](vesde_counter z, float *prev, float *mean) {
        return vesde_update_counter(0.75f, 1.25f, m, x, LEN, z, prev, mean);
    });

    // Without noise, where its factor is 0.
    floats alone(LEN), with_zeros(LEN);
    OK(vesde::update(0.75f, 0, score, sample, vesde::no_noise, alone));
    OK(vesde::update(0.75f, 0, score, sample, floats(LEN), with_zeros));
    CHECK(same(alone, with_zeros));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde::update(0.75f, 1, score, sample, span<const float>(), alone));

    // One timestep for the batch, or one a sample.
    const float one = 0.5f;
    const std::array<float, BATCH> each = {0.5f, 0.25f};
    for (const vesde::one_or_each<float> at :
         {vesde::one_or_each<float>(one), vesde::one_or_each<float>(each)}) {
        const auto step = [=](span<const float> s, span<const float> from, auto z, span<float> prev,
                              span<float> mean) { return ours.step_pred(s, at, from, z, prev, mean); };
        a_step(score, sample, given, step, [=](span<const float> z, float *prev, float *mean) {
            return vesde_step_pred(&theirs, m, at.data(), at.size(), x, z.data(), LEN, prev, mean);
        });
        a_step(score, sample, PLACE, step, [=](vesde_counter z, float *prev, float *mean) {
            return vesde_step_pred_counter(&theirs, m, at.data(), at.size(), x, LEN, z, prev, mean);
        });
    }
    floats by_value(LEN), by_span(LEN);
    OK(ours.step_pred(score, 0.5f, sample, noise, by_value));
    OK(ours.step_pred(score, {&one, 1}, sample, noise, by_span));
    CHECK(same(by_value, by_span));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.step_pred(score, 1.5f, sample, PLACE, by_value));
    CHECK(same(by_value, by_span));

    for (vesde::averaging over : {vesde::averaging::batch, vesde::averaging::per_sample}) {
        for (vesde::norm how : {vesde::norm::exact, vesde::norm::torch}) {
            const auto step = [=](span<const float> s, span<const float> from, auto z, span<float> prev,
                                  span<float> mean) {
                return ours.step_correct(s, from, z, BATCH, over, how, prev, mean);
            };
            const std::int32_t a = static_cast<std::int32_t>(over), n = static_cast<std::int32_t>(how);
            a_step(score, sample, given, step, [=](span<const float> z, float *prev, float *mean) {
                return vesde_step_correct(&theirs, m, x, z.data(), LEN, BATCH, a, n, prev, mean);
            });
            a_step(score, sample, PLACE, step, [=](vesde_counter z, float *prev, float *mean) {
                return vesde_step_correct_counter(&theirs, m, x, LEN, BATCH, a, n, z, prev, mean);
            });
        }
    }
}

static void noisy_samples() {
    const tables made(STEPS);
    const vesde::scheduler ours = made.scheduler();
    const vesde_scheduler theirs = ours;
    const floats original = draw(1), noise = draw(2), before(LEN, 7.0f);
    const std::array<std::int64_t, BATCH> each = {5, 9};
    const std::int64_t one = 5;
    floats wanted(LEN), got(LEN);
    for (const vesde::one_or_each<std::int64_t> at :
         {vesde::one_or_each(one), vesde::one_or_each<std::int64_t>(each)}) {
        OK(vesde_add_noise(&theirs, original.data(), at.data(), at.size(), noise.data(), LEN, wanted.data()));
        OK(ours.add_noise(original, at, noise, got));
        CHECK(same(got, wanted) && !same(got, original));
        OK(vesde_add_noise_counter(&theirs, original.data(), at.data(), at.size(), LEN, PLACE,
                                   wanted.data()));
        got = original;
        OK(ours.add_noise(got, at, PLACE, got));
        CHECK(same(got, wanted));
    }
    got = before;
    const span<const float> less(original.data(), LEN - 1);
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(less, 5, noise, got));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(original, 5, less, got));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(original, 5, noise, {got.data(), LEN - 1}));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, ours.add_noise(less, 5, PLACE, got));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, ours.add_noise(original, STEPS, noise, got));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::scale_model_input(less, got));
    CHECK(same(got, before));
    OK(vesde::scale_model_input(original, got));
    CHECK(same(got, original));
}

// The phases give the bits of the whole step, and each those of C.
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
        OK(vesde::sum_squares(x, blocks));
        OK(vesde_sum_squares(x.data(), part, 2, their_blocks));
        CHECK(std::equal(blocks, blocks + 2, their_blocks));
        OK(vesde::sum_squares(z, part, drawn));
        OK(vesde_sum_squares_counter(z, part, 2, their_blocks));
        CHECK(std::equal(drawn, drawn + 2, their_blocks));
        OK(vesde::sample_norm(blocks, norms[0][i]));
        OK(vesde::sample_norm(drawn, norms[1][i]));
        double their_norm = 0;
        OK(vesde_sample_norm(drawn, 2, &their_norm));
        CHECK(norms[1][i] == their_norm);

        double norm = 7, drawn_norm = 7;
        OK(vesde::torch_norm(x, norm));
        OK(vesde_torch_norm(x.data(), part, &their_norm));
        CHECK(norm == their_norm && norm != norms[0][i]);
        OK(vesde::torch_norm(z, part, drawn_norm));
        OK(vesde_torch_norm_counter(z, part, &their_norm));
        CHECK(drawn_norm == their_norm);
        STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::sum_squares(x, {blocks, 1}));
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
    OK(made.scheduler().step_correct(score, sample, PLACE, BATCH, vesde::averaging::batch, vesde::norm::exact,
                                     whole));
    const std::size_t cuts[] = {0, 1, 777, part + 13, LEN};
    for (std::size_t i = 4; i > 0; --i) {
        const std::size_t from = cuts[i - 1], n = cuts[i] - from;
        const span<float> x(parts.data() + from, n);
        OK(vesde::update(step.step_size, step.noise_factor, {score.data() + from, n}, x, PLACE.at(from), x));
    }
    CHECK(same(parts, whole));
}

// ---- noise ----

// Fills `got` and `wanted` by our generators and theirs: one call after the other, a copy, and a list.
template <typename Ours, typename Theirs>
static void a_generator(Ours first, Ours second, Theirs their_first, Theirs their_second,
                        vesde_status (*fill)(Theirs *, std::size_t, std::size_t, float *)) {
    CHECK(same_bytes<Theirs>(first, their_first));
    floats wanted(60), got(60), again(60);
    for (std::size_t n : {60u, 7u, 60u}) {
        const Ours copy = first;
        OK(fill(&their_first, 1, n, wanted.data()));
        OK(first.fill({got.data(), n}));
        CHECK(same(got, wanted) && same_bytes<Theirs>(first, their_first));
        Ours other = copy;
        OK(other.fill({again.data(), n}));
        CHECK(same(again, got) && same_bytes<Theirs>(first, other));
    }
    std::vector<Ours> list = {first, second};
    std::array<Ours, 2> array = {first, second};
    Theirs theirs[] = {their_first, their_second};
    OK(fill(theirs, 2, wanted.size(), wanted.data()));
    OK(vesde::randn(list, got));
    OK(vesde::randn(array, again));
    CHECK(same(got, wanted) && same(again, wanted) && !same({got.data(), 30}, {got.data() + 30, 30}));
    for (std::size_t i = 0; i < 2; ++i) {
        CHECK(same_bytes<Theirs>(list[i], theirs[i]) && same_bytes<Theirs>(array[i], theirs[i]));
    }
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde::randn(list, {got.data(), 59}));
    OK(vesde::randn(list, {}));
    CHECK(same(got, wanted) && same_bytes<Theirs>(list[0], theirs[0]));
}

static void generators() {
    vesde_torch_cpu cpus[2];
    vesde_torch_cuda cudas[2];
    vesde_numpy numpys[2];
    vesde_cuda_grid t4;
    OK(vesde_cuda_grid_of_gpu("T4", 2, &t4));
    for (std::uint32_t i = 0; i < 2; ++i) {
        OK(vesde_torch_cpu_seed(&cpus[i], 42 + i));
        OK(vesde_torch_cuda_seed(&cudas[i], 42 + i, t4));
        OK(vesde_numpy_seed(&numpys[i], 42 + i));
    }
    vesde::cuda_grid grid;
    OK(grid.of_gpu("NVIDIA Tesla T4"));
    a_generator(vesde::torch_cpu(42), vesde::torch_cpu(43), cpus[0], cpus[1], vesde_torch_cpu_fill);
    a_generator(vesde::torch_cuda(42, grid), vesde::torch_cuda(43, grid), cudas[0], cudas[1],
                vesde_torch_cuda_fill);
    a_generator(vesde::numpy(42), vesde::numpy(43), numpys[0], numpys[1], vesde_numpy_fill);

    const float golden[] = {1.92691529f, 1.48728406f, 0.900717199f, -2.10552096f};
    floats first(16);
    OK(vesde::torch_cpu(42).fill(first));
    CHECK(same({first.data(), 4}, golden));
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
    CHECK(same(fixed, wanted) && same(one, wanted) && same(vector, wanted) && span<float>(z).data() == z.data());
    OK(vesde::update(0.5f, 2.0f, fixed, z, fixed, sum));
    CHECK(bits(sum.data()[7]) == bits(z.data()[7] + 0.5f * z.data()[7] + 2.0f * z.data()[7]));
    tensor<float> none(0);
    OK(PLACE.fill(none));
}

static void gpus() {
    vesde::cuda_grid grid;
    floats whole(1000), part(300, 7.0f), next(300), skipped(300);
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, vesde::torch_cuda(42, grid).fill(part));
    OK(grid.of_gpu(std::string("H200")));
    CHECK(grid.multiprocessors == 132 && grid.threads_per_multiprocessor == 2048);
    STATUS(VESDE_ERROR_UNKNOWN_GPU, grid.of_gpu("a cat"));
    CHECK(grid.multiprocessors == 132);
    vesde_cuda_grid unlimited;
    OK(vesde_cuda_grid_of_gpu("unlimited", 9, &unlimited));
    CHECK(same_bytes<vesde_cuda_grid>(vesde::cuda_grid::unlimited(), unlimited));

    vesde::torch_cuda state(42, grid), other = state;
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

// Every request is answered on copies of the state and the sample, which then take the originals' place.
// `draw` fills a buffer with the noise of a draw; without it, counter noise is made on the way.
template <typename Draw>
static floats run(const vesde::scheduler &scheduler, std::size_t batch, std::size_t len,
                  const vesde::sampler_options &options, Draw draw) {
    vesde::sampler sampler;
    vesde::request request;
    OK(sampler.init(scheduler.config, batch, options));
    floats sample(len), score(len), noise;
    do {
        vesde::sampler copy = sampler;
        floats moved = sample;
        if (!OK(copy.next(scheduler, score, noise, moved, request))) {
            break;
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
    } while (request.kind != vesde::request_kind::done);
    return sample;
}

static void a_job_on_vectors() {
    constexpr std::size_t len = 1000;
    const tables made(STEPS);
    const vesde::scheduler scheduler = made.scheduler();
    const auto none = [](std::uint64_t, floats &) { CHECK(false); };
    const floats sample = run(scheduler, 1, len, {}, none);
    float sum = 0;
    for (float x : sample) {
        CHECK(x >= 0 && x <= 1);
        sum += x;
    }
    CHECK(std::fabs(sum / len - 0.5f) < 0.02f);
    CHECK(same(sample, run(scheduler, 1, len, {}, none)));

    // Its draws, given.
    vesde::sampler_options options;
    options.noise = vesde::sampler_noise::given;
    const auto give = [](std::uint64_t draw, floats &noise) { OK(vesde::counter{0, draw}.fill(noise)); };
    CHECK(same(sample, run(scheduler, 1, len, options, give)));
}

// The initial noise is NumPy's, and each sample of the batch has a generator of torch's for its steps.
static void a_job_on_mixed_generators() {
    constexpr std::size_t steps = 5, len = 60;
    const tables made(steps);
    vesde::sampler_options options;
    options.noise = vesde::sampler_noise::given;
    const auto job = [&] {
        vesde::numpy initial(1);
        std::vector<vesde::torch_cpu> list = {vesde::torch_cpu(2), vesde::torch_cpu(3)};
        std::uint64_t draws = 0;
        const floats sample =
            run(made.scheduler(), BATCH, len, options, [&](std::uint64_t draw, floats &noise) {
                CHECK(draw == draws++);
                OK(draw == 0 ? initial.fill(noise) : vesde::randn(list, noise));
            });
        CHECK(draws == 1 + 2 * steps);  // a corrector step and a predictor step for each timestep
        return sample;
    };
    const floats sample = job();
    CHECK(std::all_of(sample.begin(), sample.end(), [](float x) { return x >= 0 && x <= 1; }));
    CHECK(same(sample, job()));
}

// The options and the requests are those of C, field by field, in the first requests of a job.
static void samplers() {
    constexpr std::size_t len = 60;
    const tables made(STEPS);
    const vesde::scheduler scheduler = made.scheduler();
    const vesde_scheduler their_scheduler = scheduler;
    CHECK(same_bytes<vesde_sampler_options>(vesde::sampler_options(), vesde_sampler_options{}));

    vesde::sampler_options options;
    options.seed = 5;
    options.stream = 6;
    options.noise = vesde::sampler_noise::given;
    options.averaging = vesde::averaging::per_sample;
    options.norm = vesde::norm::torch;
    options.unclamped = true;
    options.result = vesde::sampler_result::noisy;
    vesde_sampler_options their_options = {5,
                                           6,
                                           0,
                                           VESDE_SAMPLER_NOISE_GIVEN,
                                           VESDE_AVERAGING_PER_SAMPLE,
                                           VESDE_NORM_TORCH,
                                           1,
                                           VESDE_SAMPLER_RESULT_NOISY,
                                           VESDE_SAMPLER_START_NOISE};
    floats sample(len), score(len, 0.5f), noise(len, 0.25f), their_sample(len);
    vesde::sampler sampler;
    vesde::request request;
    request.step = 77;
    STATUS(VESDE_ERROR_INVALID_SAMPLER, sampler.next(scheduler, score, noise, sample, request));
    CHECK(request.step == 77 && same(sample, floats(len)));
    vesde_sampler theirs;
    vesde_request wanted;
    OK(sampler.init(made.config, BATCH, options));
    STATUS(VESDE_ERROR_EMPTY, sampler.init(made.config, 0, options));
    OK(vesde_sampler_init(&made.config, BATCH, &their_options, &theirs));
    CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);

    // The first request is for noise; without it the call is refused and can be repeated.
    for (int turn = 0; turn < 7; ++turn) {
        const vesde::request before = request;
        STATUS(VESDE_ERROR_LENGTH_MISMATCH,
               sampler.next(scheduler, {score.data(), 59}, noise, sample, request));
        STATUS(VESDE_ERROR_LENGTH_MISMATCH,
               sampler.next(scheduler, score, {noise.data(), 59}, sample, request));
        STATUS(VESDE_ERROR_LENGTH_MISMATCH,
               sampler.next(scheduler, score, noise, {sample.data(), 59}, request));
        if (turn > 0 && before.kind == vesde::request_kind::noise) {
            STATUS(VESDE_ERROR_NULL_POINTER,
                   sampler.next(scheduler, score, {noise.data(), 0}, sample, request));
        }
        CHECK(same_bytes(before, request) && std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
        OK(sampler.next(scheduler, score, noise, sample, request));
        OK(vesde_sampler_next(&theirs, &their_scheduler, score.data(), noise.data(), len, their_sample.data(),
                              &wanted));
        CHECK(request.kind == translated(static_cast<vesde_request_kind>(wanted.kind)));
        CHECK(request.step == wanted.step && request.steps == wanted.steps && request.draw == wanted.draw);
        CHECK(request.correction == wanted.correction && request.sigma == wanted.sigma);
        CHECK(request.timestep == wanted.timestep && same(sample, their_sample));
        CHECK(request.label == wanted.label);
        CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
    }
    CHECK(request.draw > 0 || request.step > 0);

    // A start at a step from the sample as it is.
    options.start = vesde::sampler_start::given;
    options.first_step = their_options.first_step = 3;
    their_options.start = VESDE_SAMPLER_START_GIVEN;
    OK(sampler.init(made.config, BATCH, options));
    OK(vesde_sampler_init(&made.config, BATCH, &their_options, &theirs));
    CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
    const floats before = sample;
    OK(sampler.next(scheduler, score, {}, sample, request));
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
        CHECK(plan.sample == their_plan.sample && plan.output == their_plan.output);
        CHECK(plan.noise == their_plan.noise && plan.draw == their_plan.draw);
        CHECK(plan.reduction == translated(static_cast<vesde_reduction>(their_plan.reduction)));
        CHECK(plan.clamp_low == their_plan.clamp_low && plan.clamp_high == their_plan.clamp_high);
        CHECK(plan.counter.stream == their_plan.counter.stream && plan.counter.seed == 5);
        CHECK(request.step == wanted.step && request.sigma == wanted.sigma);
        CHECK(std::memcmp(&sampler, &theirs, sizeof theirs) == 0);
    }
    CHECK(request.step > 0);
}

int main() {
    enumerations();
    the_library();
    configurations();
    schedules();
    steps();
    noisy_samples();
    a_corrector_step_in_phases();
    generators();
    tensors();
    gpus();
    counter_noise();
    a_job_on_vectors();
    a_job_on_mixed_generators();
    samplers();
    return report();
}
