// Runs one kernel a number of times, for its instructions to be counted: ../count.sh.
//
//   kernels list                 prints the kernels' names; a dash follows one that is not here
//   kernels KERNEL TIMES LEVEL   on the level LEVEL of vesde_simd_level_kind, and no other

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plain.h"
#include "vesde.h"

#ifndef ELEMENTS
#error "-DELEMENTS: how many a kernel works on"
#endif

enum { SIGMAS = 50, BLOCKS = (ELEMENTS + VESDE_NORM_BLOCK - 1) / VESDE_NORM_BLOCK };

// Aligned, or the counts would depend on where the linker puts them.
#define BUFFER _Alignas(64) static float
BUFFER sample[ELEMENTS], score[ELEMENTS], z[ELEMENTS], prev[ELEMENTS], mean[ELEMENTS];
static double sums[BLOCKS], norm;
static float timesteps[SIGMAS], sigmas[SIGMAS], discrete_sigmas[SIGMAS];
static vesde_scheduler scheduler;
static vesde_generator cpu_state, cuda_state, numpy_state;

static const vesde_counter noise = {1, 2, 0};
static const int64_t sigma = 20;
static const float drift = 0.25f, diffusion = 0.5f;

static vesde_status counter(void) { return vesde_counter_fill(noise, ELEMENTS, prev); }
static vesde_status update_with(vesde_noise of, float *to_mean) {
    const vesde_combination sum = {
        .terms = {{1, sample}, {drift, score}}, .terms_len = 2, .len = ELEMENTS,
        .noise = of, .noise_factor = diffusion, .out = prev, .mean = to_mean};
    return vesde_linear(&sum);
}
static vesde_status update_counter(void) { return update_with(vesde_counter_noise(noise), NULL); }
static vesde_status update(void) { return update_with(vesde_given_noise(z), NULL); }
static vesde_status update_mean(void) { return update_with(vesde_given_noise(z), mean); }
static vesde_status add_noise_of(vesde_noise of) {
    return vesde_add_noise(&scheduler, sample, ELEMENTS, 1, &sigma, 1, of, prev);
}
static vesde_status add_noise_counter(void) { return add_noise_of(vesde_counter_noise(noise)); }
static vesde_status add_noise(void) { return add_noise_of(vesde_given_noise(z)); }
static vesde_status sum_squares_counter(void) {
    return vesde_sum_squares(vesde_counter_noise(noise), ELEMENTS, BLOCKS, sums);
}
static vesde_status sum_squares(void) {
    return vesde_sum_squares(vesde_given_noise(z), ELEMENTS, BLOCKS, sums);
}
static vesde_status torch_norm(void) {
    return vesde_torch_norm(vesde_given_noise(z), ELEMENTS, &norm);
}
static vesde_status torch_cpu(void) { return vesde_randn(&cpu_state, 1, ELEMENTS, prev); }
static vesde_status torch_cuda(void) { return vesde_randn(&cuda_state, 1, ELEMENTS, prev); }
static vesde_status numpy(void) { return vesde_randn(&numpy_state, 1, ELEMENTS, prev); }

static vesde_status cpp_noise(void) {
    plain_noise(ELEMENTS, prev);
    return plain_has_noise ? VESDE_OK : VESDE_ERROR_EMPTY;
}
static vesde_status cpp_update(void) {
    plain_update(drift, diffusion, score, sample, z, ELEMENTS, prev);
    return VESDE_OK;
}
static vesde_status cpp_sum_squares(void) {
    norm = plain_sum_squares(z, ELEMENTS);
    return VESDE_OK;
}

static const struct kernel {
    const char *name;
    vesde_status (*run)(void);
} kernels[] = {
    {"counter", counter},
    {"cpp_noise", cpp_noise},
    {"update_counter", update_counter},
    {"update", update},
    {"update_mean", update_mean},
    {"cpp_update", cpp_update},
    {"add_noise_counter", add_noise_counter},
    {"add_noise", add_noise},
    {"sum_squares_counter", sum_squares_counter},
    {"sum_squares", sum_squares},
    {"cpp_sum_squares", cpp_sum_squares},
    {"torch_norm", torch_norm},
    {"torch_cpu", torch_cpu},
    {"torch_cuda", torch_cuda},
    {"numpy", numpy},
};

enum { KERNELS = sizeof kernels / sizeof *kernels };

static void must(vesde_status status) {
    if (status != VESDE_OK) {
        fprintf(stderr, "%s\n", vesde_status_message(status));
        exit(1);
    }
}

// Cheap, since it is emulated anew for each count: numbers in -1 to 1, none of them 0 or subnormal.
static void fill(uint32_t state, float *x) {
    for (size_t i = 0; i < ELEMENTS; ++i) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)((int32_t)state | 256) * 0x1p-31f;
    }
}

int main(int argc, char **argv) {
    static const char gpu[] = "H100";
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (int i = 0; i < KERNELS; ++i) {
            const int missing = kernels[i].run == cpp_noise && !plain_has_noise;
            printf("%s%s\n", kernels[i].name, missing ? " -" : "");
        }
        return 0;
    }
    if (argc != 4) {
        fputs("kernels list, or kernels KERNEL TIMES LEVEL\n", stderr);
        return 1;
    }
    const int level = atoi(argv[3]);
    must(vesde_limit_simd_level(level));
    if (vesde_simd_level() != level) {
        fprintf(stderr, "level %d is not here\n", level);
        return 1;
    }

    vesde_cuda_grid grid;
    must(vesde_config_default(&scheduler.config));
    must(vesde_set_timesteps(&scheduler.config, SIGMAS, timesteps));
    must(vesde_set_sigmas(&scheduler.config, timesteps, SIGMAS, SIGMAS, sigmas, discrete_sigmas));
    scheduler.discrete_sigmas = discrete_sigmas;
    scheduler.discrete_sigmas_len = SIGMAS;
    must(vesde_cuda_grid_of_gpu(gpu, sizeof gpu - 1, &grid));
    must(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CPU, 3, NULL, &cpu_state));
    must(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CUDA, 3, &grid, &cuda_state));
    must(vesde_generator_seed(VESDE_GENERATOR_KIND_NUMPY, 3, NULL, &numpy_state));
    fill(1, sample);
    fill(2, score);
    fill(3, z);

    for (int i = 0; i < KERNELS; ++i) {
        if (strcmp(argv[1], kernels[i].name) == 0) {
            for (int times = atoi(argv[2]); times > 0; --times) {
                must(kernels[i].run());
            }
            return 0;
        }
    }
    fprintf(stderr, "no kernel is called %s\n", argv[1]);
    return 1;
}
