/* From noise to digits by the probability-flow ODE, as ode.rs has it. */

#ifndef ODE_H
#define ODE_H

#include "sampling.h"

enum { ODE_WORKSPACE = 6 * DIGITS * PIXELS };

/* Samples all DIGITS as sample_digits does, but by the ODE, and removes the noise that is left on
 * them. The memory is the caller's: `input` and `score` are as long as `digits`, and `workspace`
 * has ODE_WORKSPACE floats. `progress` is called as each step begins. */
static inline vesde_status sample_ode(const network *net, const vesde_config *config, uint64_t seed,
                                      double tolerance, size_t class_, float *input, float *score,
                                      float *workspace, float *digits, vesde_ode_stats *stats,
                                      void (*progress)(const vesde_ode_request *request)) {
    vesde_ode_options options = {0}; /* the defaults */
    vesde_ode_buffers buffers = {0};
    vesde_ode_request request;
    vesde_ode ode;
    vesde_combination denoised = {0};
    vesde_status status;
    float sigma;

    options.seed = seed;
    options.rtol = options.atol = tolerance;
    buffers.sample = digits;
    buffers.input = input;
    buffers.model_output = score;
    buffers.workspace = workspace;
    buffers.len = (size_t)DIGITS * PIXELS;
    if ((status = vesde_ode_init(config, DIGITS, &options, &ode)) != VESDE_OK)
        return status;
    for (;;) {
        status = vesde_ode_next(&ode, &buffers, &request);
        if (status != VESDE_OK || request.kind == VESDE_ODE_REQUEST_KIND_DONE)
            break;
        if (request.accepted || request.stage == 1)
            progress(&request);
        score_digits(net, input, request.sigma, class_, score);
    }
    if (status != VESDE_OK || (status = vesde_ode_get_stats(&ode, stats)) != VESDE_OK
        || (status = vesde_get_sigma(config, (float)config->sampling_eps, &sigma)) != VESDE_OK)
        return status;

    /* Tweedie's formula, at the price of one evaluation more. */
    score_digits(net, digits, sigma, class_, score);
    stats->evaluations++;
    denoised.terms[0].factor = 1.0f;
    denoised.terms[0].buffer = digits;
    denoised.terms[1].factor = sigma * sigma;
    denoised.terms[1].buffer = score;
    denoised.terms_len = 2;
    denoised.len = buffers.len;
    denoised.clamped = 1;
    denoised.clamp_high = 1.0f;
    denoised.out = digits;
    return vesde_linear(&denoised);
}

#endif
