/* Samplers by name, and the tables that they go along: for any network. */

#ifndef SAMPLERS_H
#define SAMPLERS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vesde.h"

/* A method with its options, under the name that engines use. */
typedef struct named_sampler {
    const char *name;
    int32_t method;
    float eta, s_churn;
} named_sampler;

/* The first is the default: the best of 20 calls of the network, by study.py. */
static const named_sampler SAMPLERS[] = {
    {"2m-sde", VESDE_METHOD_DPMPP2M, 1.0f, 0.0f},
    {"2m", VESDE_METHOD_DPMPP2M, 0.0f, 0.0f},
    {"euler", VESDE_METHOD_EULER, 0.0f, 0.0f},
    {"euler-a", VESDE_METHOD_EULER, 1.0f, 0.0f},
    {"heun", VESDE_METHOD_HEUN, 0.0f, 0.0f},
    {"edm", VESDE_METHOD_HEUN, 0.0f, 40.0f},
    {"dpm2", VESDE_METHOD_DPM2, 0.0f, 0.0f},
    {"2s-a", VESDE_METHOD_DPMPP2S, 1.0f, 0.0f},
    {"3m", VESDE_METHOD_DPMPP3M, 0.0f, 0.0f},
    {"3m-sde", VESDE_METHOD_DPMPP3M, 1.0f, 0.0f},
    {"unipc2", VESDE_METHOD_UNIPC2, 0.0f, 0.0f},
    {"unipc3", VESDE_METHOD_UNIPC3, 0.0f, 0.0f},
    {"lms", VESDE_METHOD_LMS, 0.0f, 0.0f},
    {"ipndm", VESDE_METHOD_IPNDM, 0.0f, 0.0f},
    {"pc", VESDE_METHOD_PREDICTOR_CORRECTOR, 0.0f, 0.0f},
};

/* The sampler of a name; NULL if there is none. */
static inline const named_sampler *find_sampler(const char *name) {
    size_t i;
    for (i = 0; i < sizeof SAMPLERS / sizeof *SAMPLERS; i++)
        if (strcmp(SAMPLERS[i].name, name) == 0)
            return &SAMPLERS[i];
    return NULL;
}

/* The most steps that take no more than `evaluations` calls of the network. */
static inline size_t steps_of(const named_sampler *sampler, const vesde_config *config,
                              size_t evaluations) {
    size_t steps = evaluations;
    switch (sampler->method) {
    case VESDE_METHOD_PREDICTOR_CORRECTOR:
        steps /= 1 + (size_t)config->correct_steps;
        break;
    case VESDE_METHOD_HEUN:
    case VESDE_METHOD_DPM2:
    case VESDE_METHOD_DPMPP2S: /* one call in the last step */
        steps = steps / 2 + steps % 2;
        break;
    default:
        break;
    }
    return steps > 0 ? steps : 1;
}

/* How the sigmas lie between the greatest and the least. The predictor–corrector method takes the
 * SDE's own instead. */
typedef enum sigma_table { KARRAS, GEOMETRIC } sigma_table;

/* The sampler's options, for a network that gives the score. */
static inline vesde_sampler_options options_of(const named_sampler *sampler, uint64_t seed) {
    vesde_sampler_options options = {0}; /* the defaults */
    options.seed = seed;
    options.method = sampler->method;
    options.eta = sampler->eta;
    if (sampler->s_churn > 0.0f) { /* as in Karras et al. 2022, table 5, on ImageNet */
        options.s_churn = sampler->s_churn;
        options.s_tmin = 0.05f;
        options.s_tmax = 50.0f;
        options.s_noise = 1.003f;
    }
    return options;
}

/* Makes a scheduler whose tables lie in `tables`, 3·steps floats of the caller's. */
static inline vesde_status make_scheduler(const vesde_config *config, size_t steps, float *tables,
                                          vesde_scheduler *scheduler) {
    float *const timesteps = tables, *const sigmas = tables + steps, *const discrete_sigmas = tables + 2 * steps;
    const vesde_status status = vesde_set_timesteps(config, steps, timesteps);
    scheduler->config = *config;
    scheduler->timesteps = timesteps;
    scheduler->sigmas = sigmas;
    scheduler->discrete_sigmas = discrete_sigmas;
    scheduler->timesteps_len = scheduler->sigmas_len = scheduler->discrete_sigmas_len = steps;
    return status != VESDE_OK ? status : vesde_set_sigmas(config, timesteps, steps, steps, sigmas, discrete_sigmas);
}

/* The same for a table of sigmas alone, which ends with 0: steps + 1 floats. */
static inline vesde_status make_sigmas(const vesde_config *config, sigma_table table, size_t steps,
                                       float *sigmas, vesde_scheduler *scheduler) {
    const double least = config->sigma_min, greatest = config->sigma_max;
    const vesde_scheduler empty = {0};
    *scheduler = empty;
    scheduler->config = *config;
    scheduler->sigmas = sigmas;
    scheduler->sigmas_len = steps + 1;
    sigmas[steps] = 0.0f;
    return table == GEOMETRIC ? vesde_set_geometric_sigmas(least, greatest, steps, sigmas)
                              : vesde_set_karras_sigmas(least, greatest, 7.0, steps, sigmas);
}

#endif
