// The same work without a library, for the compiler to vectorise. -O3 -ffp-contract=off: one
// rounding an operation, as in the library.

#include "plain.h"

#if __has_include(<random>)
#include <random>

const int plain_has_noise = 1;

static std::mt19937 generator(3);

void plain_noise(size_t len, float *out) {
    std::mt19937 generator(3);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < len; ++i) {
        out[i] = normal(generator);
    }
}
#else
const int plain_has_noise = 0;

void plain_noise(size_t, float *) {}
#endif

void plain_update(float drift, float diffusion, const float *score, const float *sample,
                  const float *noise, size_t len, float *prev) {
    for (size_t i = 0; i < len; ++i) {
        prev[i] = sample[i] + drift * score[i] + diffusion * noise[i];
    }
}

// In 32 sums, or the order of additions would let nothing be vectorised.
double plain_sum_squares(const float *x, size_t len) {
    constexpr size_t LANES = 32;
    double sums[LANES] = {}, sum = 0;
    for (size_t i = 0; i + LANES <= len; i += LANES) {
        for (size_t lane = 0; lane < LANES; ++lane) {
            sums[lane] += double(x[i + lane]) * double(x[i + lane]);
        }
    }
    for (size_t i = len / LANES * LANES; i < len; ++i) {
        sums[i % LANES] += double(x[i]) * double(x[i]);
    }
    for (double one : sums) {
        sum += one;
    }
    return sum;
}
