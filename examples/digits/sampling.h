/* From noise to digits, as sampling.rs has it: vesde's sampler and the network, taking turns. */

#ifndef SAMPLING_H
#define SAMPLING_H

#include "network.h"
#include "samplers.h"

/* Changes the digits at a job's request. */
typedef vesde_status condition(const void *known, const vesde_request *request, float *digits);

/* The longest history that a job keeps: UniPC-3's. */
enum { MOST_HISTORY = 4 * DIGITS * PIXELS };

/* All DIGITS as one batch, of one class, or of one class a row if `class_` is CLASSES, under a
 * condition if it is not NULL. The memory is the caller's. */
typedef struct digits_job {
    const network *net;
    const vesde_config *config;
    const named_sampler *sampler;
    sigma_table table;
    uint64_t seed;
    size_t steps, class_;
    float *digits, *score; /* DIGITS·PIXELS floats each */
    float *tables;         /* steps + 1 floats; 3·steps for predictor and corrector */
    float *history;
    size_t history_len; /* at least vesde_sampler_workspace_len of all digits */
    condition *change;
    const void *known;
    void (*progress)(const vesde_request *request); /* called as each step begins */
} digits_job;

/* The scores of all DIGITS at a noise scale: of one class, or of one class a row if `class_` is
 * CLASSES. */
static inline void score_digits(const network *net, const float *digits, float sigma, size_t class_,
                                float *score) {
    size_t i;
    for (i = 0; i < DIGITS; i++)
        score_of(net, digits + i * PIXELS, sigma, class_ == CLASSES ? i / COLUMNS : class_,
                 score + i * PIXELS);
}

static inline vesde_status sample_digits(const digits_job *job) {
    const int is_pc = job->sampler->method == VESDE_METHOD_PREDICTOR_CORRECTOR;
    vesde_scheduler scheduler;
    vesde_sampler_options options = options_of(job->sampler, job->seed);
    vesde_buffers buffers = {0};
    vesde_sampler sampler;
    vesde_request request;
    vesde_status status;

    options.conditions = job->change == NULL ? VESDE_CONDITIONS_NONE : VESDE_CONDITIONS_DRAWING;
    buffers.sample = job->digits;
    buffers.model_output = job->score;
    buffers.len = (size_t)DIGITS * PIXELS;
    buffers.workspace = job->history;
    buffers.workspace_len = job->history_len;
    status = is_pc ? make_scheduler(job->config, job->steps, job->tables, &scheduler)
                   : make_sigmas(job->config, job->table, job->steps, job->tables, &scheduler);
    if (status == VESDE_OK)
        status = vesde_sampler_init(job->config, DIGITS, &options, &sampler);
    if (status != VESDE_OK)
        return status;
    for (;;) {
        status = vesde_sampler_next(&sampler, &scheduler, &buffers, &request);
        if (status != VESDE_OK || request.kind == VESDE_REQUEST_KIND_DONE)
            return status;
        if (request.kind == VESDE_REQUEST_KIND_CONDITION) {
            if (job->change != NULL)
                status = job->change(job->known, &request, job->digits);
            if (status != VESDE_OK)
                return status;
            continue;
        }
        if (request.correction == 0)
            job->progress(&request);
        score_digits(job->net, job->digits, request.sigma, job->class_, job->score);
    }
}

#endif
