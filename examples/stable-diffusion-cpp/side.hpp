// What harness.cpp asks of stable-diffusion.cpp's headers, as they are and patched: each is a
// shared object of its own, since both have the same names.

#ifndef SIDE_HPP
#define SIDE_HPP

#include <cstddef>
#include <cstdint>

// Who makes the noise.
enum class Noise { given, philox, mt19937 };

// A job of the engine's sampler loop.
struct Job {
    int method;  // of enum sample_method_t
    float eta;
    const float *sigmas;
    size_t sigmas_len;
    const int64_t *shape;  // four, the fastest first
    size_t len;
    const float *sample;
    Noise noise;
    uint64_t seed;
    const float *given;  // one draw after the other
    void (*network)(void *context, const float *sample, float sigma, int step, size_t len,
                    float *denoised);
    void *context;
    float *result;
};

// Nanoseconds: of the loop without network and generator, and of the generator.
struct Times {
    double loop;
    double generator;
};

struct Side {
    bool (*run)(const Job &job, Times *times);
    void (*draw)(Noise noise, uint64_t seed, const uint32_t *lengths, size_t draws, float *out);
    void (*set_gpu)(uint32_t multiprocessors, uint32_t threads);  // 0, 0: unlimited
    void (*sigmas)(bool is_karras, uint32_t n, float sigma_min, float sigma_max, float *out);
};

extern "C" __attribute__((visibility("default"))) const Side *original();
extern "C" __attribute__((visibility("default"))) const Side *patched();

#endif
