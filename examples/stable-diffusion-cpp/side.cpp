// The engine's headers behind side.hpp, compiled twice: SIDE is `original` or `patched`, and says
// whose denoiser.hpp, rng_mt19937.hpp and rng_philox.hpp come first.

#include "side.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <vector>

#include "denoiser.hpp"
#include "rng_mt19937.hpp"
#include "rng_philox.hpp"

namespace {

using Clock = std::chrono::steady_clock;

// Adds the time that passes to one of two times.
class Watch {
    Times times = {};
    Clock::time_point since = Clock::now();

public:
    void lap(double *into) {
        const auto now = Clock::now();
        if (into != nullptr) {
            *into += std::chrono::duration<double, std::nano>(now - since).count();
        }
        since = now;
    }
    void loop() { lap(&times.loop); }
    void generator() { lap(&times.generator); }
    void network() { lap(nullptr); }
    Times result() const { return times; }
};

class Given : public RNG {
    const float *next;

public:
    explicit Given(const float *numbers) : next(numbers) {}
    void manual_seed(uint64_t) override {}
    std::vector<float> randn(uint32_t n) override {
        const float *begin = next;
        next += n;
        return std::vector<float>(begin, next);
    }
};

class Timed : public RNG {
    std::shared_ptr<RNG> rng;
    Watch &watch;

public:
    Timed(std::shared_ptr<RNG> rng, Watch &watch) : rng(std::move(rng)), watch(watch) {}
    void manual_seed(uint64_t seed) override { rng->manual_seed(seed); }
    std::vector<float> randn(uint32_t n) override {
        watch.loop();
        std::vector<float> out = rng->randn(n);
        watch.generator();
        return out;
    }
};

std::shared_ptr<RNG> generator(Noise noise, uint64_t seed, const float *given) {
    std::shared_ptr<RNG> rng;
    switch (noise) {
        case Noise::given: return std::make_shared<Given>(given);
        case Noise::philox: rng = std::make_shared<PhiloxRNG>(); break;
        case Noise::mt19937: rng = std::make_shared<MT19937RNG>(); break;
    }
    rng->manual_seed(seed);
    return rng;
}

bool run(const Job &job, Times *times) {
    sd::Tensor<float> x({job.shape, job.shape + 4}, {job.sample, job.sample + job.len});
    const std::vector<float> sigmas(job.sigmas, job.sigmas + job.sigmas_len);
    Watch watch;
    auto rng = std::make_shared<Timed>(generator(job.noise, job.seed, job.given), watch);
    auto network = [&](const sd::Tensor<float> &sample, float sigma, int step) {
        watch.loop();
        sd::Tensor<float> denoised(sample.shape());
        job.network(job.context, sample.data(), sigma, step, job.len, denoised.data());
        watch.network();
        return denoised;
    };
    watch.network();
    const auto result = sample_k_diffusion(static_cast<sample_method_t>(job.method), network,
                                           std::move(x), sigmas, rng, job.eta, false);
    watch.loop();
    *times = watch.result();
    std::copy(result.data(), result.data() + result.numel(), job.result);
    return !result.empty();
}

void draw(Noise noise, uint64_t seed, const uint32_t *lengths, size_t draws, float *out) {
    const auto rng = generator(noise, seed, nullptr);
    for (size_t i = 0; i < draws; ++i) {
        const auto numbers = rng->randn(lengths[i]);
        out = std::copy(numbers.begin(), numbers.end(), out);
    }
}

void set_gpu(uint32_t multiprocessors, uint32_t threads) {
#ifdef VESDE_CLIENT_HPP
    if (multiprocessors == 0) {
        vesde_client::check(vesde_cuda_grid_of_gpu("unlimited", 9, &vesde_client::gpu));
    } else {
        vesde_client::gpu = {multiprocessors, threads};
    }
#else
    (void)multiprocessors, (void)threads;
#endif
}

void make_sigmas(bool is_karras, uint32_t n, float sigma_min, float sigma_max, float *out) {
    KarrasScheduler karras;
    ExponentialScheduler exponential;
    SigmaScheduler &scheduler = is_karras ? static_cast<SigmaScheduler &>(karras) : exponential;
    const auto made = scheduler.get_sigmas(n, sigma_min, sigma_max, {});
    std::copy(made.begin(), made.end(), out);
}

}  // namespace

extern "C" const Side *SIDE() {
    static const Side side = {run, draw, set_gpu, make_sigmas};
    return &side;
}
