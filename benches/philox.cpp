// torch's CUDA noise beside stable-diffusion.cpp's, in one process, on one core: nanoseconds an
// element, the best of 30 draws, for a draw that fits the GPU's grid. Needs rng_philox.hpp of
// stable-diffusion.cpp, which examples/ggml/run.sh leaves in target/ggml:
//
// other=$(dirname "$(find target/ggml -name rng_philox.hpp)") g++ -O3 -march=native -std=c++17
// -Iinclude -I"$other" benches/philox.cpp target/vesde.o -o target/philox target/philox
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <vector>

#include "rng_philox.hpp"
#include "vesde.h"

template <typename Draw> static double nanoseconds(std::size_t len, Draw draw) {
    using clock = std::chrono::steady_clock;
    double best = INFINITY;
    for (int i = 0; i < 30; ++i) {
        auto start = clock::now();
        draw();
        best = std::min(best, std::chrono::duration<double, std::nano>(clock::now() - start).count());
    }
    return best / static_cast<double>(len);
}

int main() {
    const std::uint64_t seed = 42;
    const std::size_t len = 4 * 64 * 64;
    vesde_cuda_grid grid;
    vesde_generator state;
    std::vector<float> ours(len), theirs;
    PhiloxRNG rng(seed);
    if (vesde_cuda_grid_of_gpu("H200", 4, &grid) != VESDE_OK
        || vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CUDA, seed, &grid, &state) != VESDE_OK)
        return 1;
    // The same numbers come first, or they are not the same work.
    theirs = rng.randn(static_cast<std::uint32_t>(len));
    if (vesde_randn(&state, 1, len, ours.data()) != VESDE_OK)
        return 1;
    for (std::size_t i = 0; i < len; ++i) {
        if (std::fabs(ours[i] - theirs[i]) > 1e-5f) {
            std::printf("element %zu is %g and %g\n", i, ours[i], theirs[i]);
            return 1;
        }
    }
    const char *levels[] = {"SSE2 or another baseline", "AVX2", "AVX-512"};
    const double other = nanoseconds(len, [&] { theirs = rng.randn(static_cast<std::uint32_t>(len)); });
    std::printf("stable-diffusion.cpp %.1f\n", other);
    for (int level = vesde_simd_level(); level >= 0; --level) {
        vesde_limit_simd_level(level);
        const double own = nanoseconds(len, [&] { vesde_randn(&state, 1, len, ours.data()); });
        std::printf("vesde, %s %.2f (%.0f times as fast)\n", levels[level], own, other / own);
    }
    return 0;
}
