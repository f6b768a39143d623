// vesde from C++17 without exceptions and RTTI, as an inference engine has it: the structs as values, a whole job on
// std::vector, and torch's noise.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "check.h"

template <typename... Structs>
constexpr bool are_plain = ((std::is_trivially_copyable_v<Structs> && std::is_standard_layout_v<Structs>) && ...);

static_assert(are_plain<vesde_config, vesde_scheduler, vesde_predictor_step, vesde_corrector_step, vesde_counter,
                        vesde_mt19937, vesde_torch_cpu, vesde_sampler_options, vesde_sampler, vesde_request>);
static_assert(std::is_same_v<vesde_status, std::int32_t>);
static_assert(sizeof(vesde_torch_cpu) == 2512);

// Every request is answered on copies of the state and the sample, which then take the originals' place.
static std::vector<float> run(const vesde_scheduler &scheduler, std::size_t len) {
    vesde_sampler_options options;
    vesde_sampler sampler;
    vesde_request request{};
    OK(vesde_sampler_options_default(&options));
    OK(vesde_sampler_init(&scheduler.config, 1, &options, &sampler));
    std::vector<float> sample(len), score(len);
    do {
        vesde_sampler copy = sampler;
        std::vector<float> moved = sample;
        if (!OK(vesde_sampler_next(&copy, &scheduler, score.data(), nullptr, len, moved.data(), &request))) {
            break;
        }
        sampler = copy;
        sample.swap(moved);
        const float variance = request.sigma * request.sigma + 0.01f;
        std::transform(sample.begin(), sample.end(), score.begin(), [=](float x) { return (0.5f - x) / variance; });
    } while (request.kind != VESDE_REQUEST_KIND_DONE);
    return sample;
}

static void a_job_on_vectors() {
    constexpr std::size_t steps = 40, len = 1000;
    vesde_config config;
    OK(vesde_config_default(&config));
    config.sigma_max = 10.0;
    std::vector<float> timesteps(steps), sigmas(steps), discrete_sigmas(steps);
    OK(vesde_set_timesteps(&config, steps, timesteps.data()));
    OK(vesde_set_sigmas(&config, timesteps.data(), steps, steps, sigmas.data(), discrete_sigmas.data()));
    const vesde_scheduler scheduler{config, timesteps.data(), steps, sigmas.data(), steps,
                                    discrete_sigmas.data(), steps};

    const std::vector<float> sample = run(scheduler, len);
    float sum = 0;
    for (float x : sample) {
        CHECK(x >= 0 && x <= 1);
        sum += x;
    }
    CHECK(std::fabs(sum / len - 0.5f) < 0.02f);
    CHECK(sample == run(scheduler, len));
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
}

int main() {
    a_job_on_vectors();
    noise_of_torch();
    return report();
}
