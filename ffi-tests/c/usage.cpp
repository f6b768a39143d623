// vesde from C++17 without exceptions and RTTI, as an inference engine has it: the structs as values, whole jobs on
// std::vector, and the noise of torch and NumPy.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "check.h"

template <typename... Structs>
constexpr bool are_plain = ((std::is_trivially_copyable_v<Structs> && std::is_standard_layout_v<Structs>) && ...);

static_assert(are_plain<vesde_config, vesde_scheduler, vesde_predictor_step, vesde_corrector_step, vesde_counter,
                        vesde_mt19937, vesde_torch_cpu, vesde_cuda_grid, vesde_torch_cuda, vesde_numpy, vesde_sampler_options, vesde_sampler, vesde_request>);
static_assert(std::is_same_v<vesde_status, std::int32_t>);
static_assert(sizeof(vesde_torch_cpu) == 2512 && sizeof(vesde_torch_cuda) == 24 && sizeof(vesde_numpy) == 2512);

struct tables {
    vesde_config config;
    std::vector<float> timesteps, sigmas, discrete_sigmas;

    explicit tables(std::size_t steps) : timesteps(steps), sigmas(steps), discrete_sigmas(steps) {
        OK(vesde_config_default(&config));
        config.sigma_max = 10.0;
        OK(vesde_set_timesteps(&config, steps, timesteps.data()));
        OK(vesde_set_sigmas(&config, timesteps.data(), steps, steps, sigmas.data(), discrete_sigmas.data()));
    }

    vesde_scheduler scheduler() const {
        const std::size_t steps = timesteps.size();
        return {config, timesteps.data(), steps, sigmas.data(), steps, discrete_sigmas.data(), steps};
    }
};

// Every request is answered on copies of the state and the sample, which then take the originals' place. `draw` fills a buffer with the
// noise of a draw; without it, counter noise is made on the way.
template <typename Draw>
static std::vector<float> run(const vesde_scheduler &scheduler, std::size_t batch, std::size_t len, bool given, Draw draw) {
    vesde_sampler_options options;
    vesde_sampler sampler;
    vesde_request request{};
    OK(vesde_sampler_options_default(&options));
    options.noise = given ? VESDE_SAMPLER_NOISE_GIVEN : VESDE_SAMPLER_NOISE_COUNTER;
    OK(vesde_sampler_init(&scheduler.config, batch, &options, &sampler));
    std::vector<float> sample(len), score(len), noise(len);
    do {
        vesde_sampler copy = sampler;
        std::vector<float> moved = sample;
        if (!OK(vesde_sampler_next(&copy, &scheduler, score.data(), noise.data(), len, moved.data(), &request))) {
            break;
        }
        sampler = copy;
        sample.swap(moved);
        if (request.kind == VESDE_REQUEST_KIND_NOISE) {
            draw(request.draw, noise);
        }
        if (request.kind == VESDE_REQUEST_KIND_SCORE) {
            const float variance = request.sigma * request.sigma + 0.01f;
            std::transform(sample.begin(), sample.end(), score.begin(), [=](float x) { return (0.5f - x) / variance; });
        }
    } while (request.kind != VESDE_REQUEST_KIND_DONE);
    return sample;
}

static void a_job_on_vectors() {
    constexpr std::size_t len = 1000;
    const tables made(40);
    const vesde_scheduler scheduler = made.scheduler();
    const auto none = [](std::uint64_t, std::vector<float> &) { CHECK(false); };
    const std::vector<float> sample = run(scheduler, 1, len, false, none);
    float sum = 0;
    for (float x : sample) {
        CHECK(x >= 0 && x <= 1);
        sum += x;
    }
    CHECK(std::fabs(sum / len - 0.5f) < 0.02f);
    CHECK(sample == run(scheduler, 1, len, false, none));
}

// The initial noise is NumPy's, and each sample of the batch has a generator of torch's for its steps.
static void a_job_on_mixed_generators() {
    constexpr std::size_t steps = 5, batch = 2, len = 60;
    const tables made(steps);
    const auto job = [&] {
        vesde_numpy initial;
        vesde_torch_cpu list[batch];
        std::uint64_t draws = 0;
        OK(vesde_numpy_seed(&initial, 1));
        OK(vesde_torch_cpu_seed(&list[0], 2));
        OK(vesde_torch_cpu_seed(&list[1], 3));
        const std::vector<float> sample =
            run(made.scheduler(), batch, len, true, [&](std::uint64_t draw, std::vector<float> &noise) {
                CHECK(draw == draws++);
                OK(draw == 0 ? vesde_numpy_fill(&initial, 1, len, noise.data())
                             : vesde_torch_cpu_fill(list, batch, len, noise.data()));
            });
        CHECK(draws == 1 + 2 * steps);  // a corrector step and a predictor step for each timestep
        return sample;
    };
    const std::vector<float> sample = job();
    CHECK(std::all_of(sample.begin(), sample.end(), [](float x) { return x >= 0 && x <= 1; }));
    CHECK(sample == job());
}

static void noise_of_torch() {
    const float golden[] = {1.92691529f, 1.48728406f, 0.900717199f, -2.10552096f};
    vesde_torch_cpu state;
    OK(vesde_torch_cpu_seed(&state, 42));
    std::vector<float> first(16), next(7), again(7);
    OK(vesde_torch_cpu_fill(&state, 1, first.size(), first.data()));
    CHECK(std::equal(std::begin(golden), std::end(golden), first.begin()));
    vesde_torch_cpu copy = state;
    OK(vesde_torch_cpu_fill(&state, 1, next.size(), next.data()));
    OK(vesde_torch_cpu_fill(&copy, 1, again.size(), again.data()));
    CHECK(next == again);
    // Seeding a used state, with a cached normal, is a fresh start.
    OK(vesde_torch_cpu_seed(&state, 42));
    OK(vesde_torch_cpu_fill(&state, 1, again.size(), again.data()));
    vesde_torch_cpu fresh;
    OK(vesde_torch_cpu_seed(&fresh, 42));
    OK(vesde_torch_cpu_fill(&fresh, 1, next.size(), next.data()));
    CHECK(next == again);
}

int main() {
    a_job_on_vectors();
    a_job_on_mixed_generators();
    noise_of_torch();
    return report();
}
