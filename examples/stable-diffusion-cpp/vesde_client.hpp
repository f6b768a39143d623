// vesde behind stable-diffusion.cpp's interfaces. The engine's headers include this file once
// patch.py has changed them. An author of the engine would write all of it.

#ifndef VESDE_CLIENT_HPP
#define VESDE_CLIENT_HPP

#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "rng.hpp"
#include "vesde.h"

namespace vesde_client {

inline void check(vesde_status status) {
    if (status != VESDE_OK) {
        throw std::runtime_error(vesde_status_message(status));
    }
}

// The GPU whose numbers the Philox generator gives. The engine imitates a GPU with a thread for
// every element, and cannot name another.
inline vesde_cuda_grid gpu = [] {
    vesde_cuda_grid grid = {};
    check(vesde_cuda_grid_of_gpu("unlimited", 9, &grid));
    return grid;
}();

template <int32_t kind>
class generator : public RNG {
    vesde_generator state;

public:
    explicit generator(uint64_t seed = 0) { manual_seed(seed); }

    void manual_seed(uint64_t seed) override {
        check(vesde_generator_seed(kind, seed, &gpu, &state));
    }

    std::vector<float> randn(uint32_t n) override {
        std::vector<float> out(n);
        check(vesde_randn(&state, 1, n, out.data()));
        return out;
    }
};

// The greatest eta.
constexpr float most = std::numeric_limits<float>::max();

// n sigmas and a 0.
template <typename Table>
std::vector<float> sigmas(uint32_t n, Table table) {
    std::vector<float> out(n + size_t{1});
    if (n > 0) {
        check(table(n, out.data()));
    }
    return out;
}

inline std::vector<float> karras_sigmas(uint32_t n, float sigma_min, float sigma_max) {
    return sigmas(n, [&](size_t len, float *out) {
        return vesde_set_karras_sigmas(sigma_min, sigma_max, 7, len, out);
    });
}

inline std::vector<float> geometric_sigmas(uint32_t n, float sigma_min, float sigma_max) {
    return sigmas(n, [&](size_t len, float *out) {
        return vesde_set_geometric_sigmas(sigma_min, sigma_max, len, out);
    });
}

// The engine's sampler loop for one of enum vesde_method. Its network gives the denoised sample, or
// an empty tensor where it failed. Steps are numbered from 1, and the number is negative in the
// first of a step's two calls.
template <typename Network, typename Tensor>
Tensor sample(int32_t method, float eta, const Network &network, Tensor x,
              const std::vector<float> &sigmas, const std::shared_ptr<RNG> &rng = nullptr) {
    vesde_config config;
    check(vesde_config_default(&config));  // none of its fields matters here
    vesde_sampler_options options = {};
    options.method = method;
    options.prediction = VESDE_PREDICTION_DENOISED;
    options.eta = eta;
    options.noise = VESDE_SAMPLER_NOISE_GIVEN;
    options.start = VESDE_SAMPLER_START_GIVEN;
    options.result = VESDE_SAMPLER_RESULT_NOISY;
    options.unclamped = 1;
    vesde_sampler sampler;
    check(vesde_sampler_init(&config, 1, &options, &sampler));

    vesde_scheduler scheduler = {};
    scheduler.sigmas = sigmas.data();
    scheduler.sigmas_len = sigmas.size();
    vesde_buffers buffers = {};
    buffers.sample = x.data();
    buffers.model_output = x.data();  // not read in the first call
    buffers.len = static_cast<size_t>(x.numel());
    check(vesde_sampler_workspace_len(&sampler, buffers.len, &buffers.workspace_len));
    const std::unique_ptr<float[]> workspace(new float[buffers.workspace_len]);
    buffers.workspace = workspace.get();

    const bool has_two_calls = method == VESDE_METHOD_HEUN || method == VESDE_METHOD_DPM2 ||
                               method == VESDE_METHOD_DPMPP2S;
    Tensor denoised;
    std::vector<float> noise;
    vesde_request request;
    for (;;) {
        const vesde_status status = vesde_sampler_next(&sampler, &scheduler, &buffers, &request);
        if (status != VESDE_OK) {
            std::fprintf(stderr, "sampling failed: %s\n", vesde_status_message(status));
            return {};
        }
        if (request.kind == VESDE_REQUEST_KIND_DONE) {
            return x;
        }
        if (request.kind == VESDE_REQUEST_KIND_NOISE) {
            noise = rng->randn(static_cast<uint32_t>(buffers.len));
            buffers.noise = noise.data();
        } else {
            const int step = static_cast<int>(request.step) + 1;
            denoised =
                network(x, request.sigma, has_two_calls && request.correction == 0 ? -step : step);
            if (denoised.empty()) {
                return {};
            }
            buffers.model_output = denoised.data();
        }
    }
}

}  // namespace vesde_client

#endif  // VESDE_CLIENT_HPP
