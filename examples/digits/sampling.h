/* From noise to digits, as sampling.rs has it: vesde's sampler and the network, taking turns. */

#ifndef SAMPLING_H
#define SAMPLING_H

#include "network.h"
#include "vesde.h"

/* Fills 3·steps floats, the caller's, with a scheduler's tables. */
static vesde_status make_scheduler(const vesde_config *config, size_t steps, float *tables, vesde_scheduler *scheduler) {
    float *const timesteps = tables, *const sigmas = tables + steps, *const discrete_sigmas = tables + 2 * steps;
    const vesde_status status = vesde_set_timesteps(config, steps, timesteps);
    scheduler->config = *config;
    scheduler->timesteps = timesteps;
    scheduler->sigmas = sigmas;
    scheduler->discrete_sigmas = discrete_sigmas;
    scheduler->timesteps_len = scheduler->sigmas_len = scheduler->discrete_sigmas_len = steps;
    return status != VESDE_OK ? status : vesde_set_sigmas(config, timesteps, steps, steps, sigmas, discrete_sigmas);
}

/* The scores of all DIGITS at a noise scale: of one class, or of one class a row if `class_` is
 * CLASSES. */
static inline void score_digits(const network *net, const float *digits, float sigma, size_t class_,
                                float *score) {
    size_t i;
    for (i = 0; i < DIGITS; i++)
        score_of(net, digits + i * PIXELS, sigma, class_ == CLASSES ? i / COLUMNS : class_,
                 score + i * PIXELS);
}

/* What changes the digits where a job is to. */
typedef vesde_status condition(const void *known, const vesde_request *request, float *digits);

/* Samples all DIGITS as one batch, of one class, or of one class a row if `class_` is CLASSES,
 * under a condition if it is not NULL. The memory is the caller's: 3·steps floats of tables, as many
 * of score as of digits. `progress` is told each step as it begins. */
static inline vesde_status sample_under(condition *change, const void *known, const network *net,
                                        const vesde_config *config, uint64_t seed, size_t steps,
                                        size_t class_, float *tables, float *score, float *digits,
                                        void (*progress)(const vesde_request *request)) {
    vesde_scheduler scheduler;
    vesde_sampler_options options = {0}; /* the defaults */
    vesde_buffers buffers = {0};
    vesde_sampler sampler;
    vesde_request request;
    vesde_status status;

    options.seed = seed;
    options.conditions = change == NULL ? VESDE_CONDITIONS_NONE : VESDE_CONDITIONS_DRAWING;
    buffers.sample = digits;
    buffers.model_output = score;
    buffers.len = (size_t)DIGITS * PIXELS;
    if ((status = make_scheduler(config, steps, tables, &scheduler)) != VESDE_OK
        || (status = vesde_sampler_init(config, DIGITS, &options, &sampler)) != VESDE_OK)
        return status;
    for (;;) {
        status = vesde_sampler_next(&sampler, &scheduler, &buffers, &request);
        if (status != VESDE_OK || request.kind == VESDE_REQUEST_KIND_DONE)
            return status;
        if (request.kind == VESDE_REQUEST_KIND_CONDITION) {
            if (change != NULL && (status = change(known, &request, digits)) != VESDE_OK)
                return status;
            continue;
        }
        if (request.correction == 0)
            progress(&request);
        score_digits(net, digits, request.sigma, class_, score);
    }
}

/* The same without a condition. */
static inline vesde_status sample_digits(const network *net, const vesde_config *config, uint64_t seed, size_t steps,
                                         size_t class_, float *tables, float *score, float *digits,
                                         void (*progress)(const vesde_request *request)) {
    return sample_under(NULL, NULL, net, config, seed, steps, class_, tables, score, digits, progress);
}

#endif
