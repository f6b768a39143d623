/* A whole job on OpenMP's threads. vesde starts none; vesde_sampler_plan says what each turn does.
 * The bits are those of vesde_sampler_next on one thread; exits with 1 if one differs.
 *
 *   cc -O2 -fopenmp -Iinclude examples/openmp/openmp.c target/vesde.o -o openmp
 *   OMP_NUM_THREADS=4 ./openmp
 */

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vesde.h"

enum { BATCH = 2, SAMPLE = 3 * 161 * 91, LEN = BATCH * SAMPLE, STEPS = 20 };
enum { BLOCKS = (SAMPLE + VESDE_NORM_BLOCK - 1) / VESDE_NORM_BLOCK }; /* of a sample */

static float score[LEN], one_thread[LEN], threads[LEN];

static void check(vesde_status status) {
    if (status != VESDE_OK) {
        fprintf(stderr, "openmp: %s\n", vesde_status_message(status));
        exit(1);
    }
}

/* Where block k of sample i starts in the batch, and its length. Any thread may take it. */
static size_t block(int i, int k, size_t *len) {
    const size_t at = (size_t)k * VESDE_NORM_BLOCK;
    *len = SAMPLE - at < VESDE_NORM_BLOCK ? SAMPLE - at : VESDE_NORM_BLOCK;
    return (size_t)i * SAMPLE + at;
}

/* The network's place: the score of data distributed as N(0.5, 0.04). */
static void network(const float *x, float sigma, size_t len, float *out) {
    for (size_t i = 0; i < len; i++)
        out[i] = (0.5f - x[i]) / (sigma * sigma + 0.04f);
}

/* Completes a plan whose factors depend on the norms of whole samples. All threads sum squares by
 * blocks, and store the noise nowhere. One thread adds up, in order. */
static void reduce(double snr, vesde_plan *plan) {
    static double sums[2][BATCH][BLOCKS];
    double norms[2][BATCH], means[2];
    vesde_corrector_step step;
#pragma omp parallel for collapse(2)
    for (int i = 0; i < BATCH; i++)
        for (int k = 0; k < BLOCKS; k++) {
            size_t len, start = block(i, k, &len);
            const vesde_counter noise = {plan->counter.seed, plan->counter.stream, plan->counter.index + start};
            check(vesde_sum_squares(score + start, len, 1, &sums[0][i][k]));
            check(vesde_sum_squares_counter(noise, len, 1, &sums[1][i][k]));
        }
    for (int of = 0; of < 2; of++) {
        for (int i = 0; i < BATCH; i++)
            check(vesde_sample_norm(sums[of][i], BLOCKS, &norms[of][i]));
        check(vesde_mean_norm(norms[of], BATCH, VESDE_NORM_EXACT, &means[of]));
    }
    check(vesde_get_corrector_step(snr, means[0], means[1], VESDE_NORM_EXACT, &step));
    plan->output = step.step_size;
    plan->noise = step.noise_factor;
}

/* What the plan says, on `len` elements from `start` on. Without the sample it is noise alone. */
static void update(const vesde_plan *plan, size_t start, size_t len, float *x) {
    const vesde_counter noise = {plan->counter.seed, plan->counter.stream, plan->counter.index + start};
    if (plan->sample == 0) {
        check(vesde_counter_fill(noise, len, x));
        for (size_t i = 0; i < len; i++)
            x[i] *= plan->noise;
    } else {
        check(vesde_update_counter(plan->output, plan->noise, score + start, x, len, noise, x, NULL));
    }
    for (size_t i = 0; i < len; i++)
        x[i] = x[i] < plan->clamp_low ? plan->clamp_low : x[i] > plan->clamp_high ? plan->clamp_high : x[i];
}

int main(void) {
    float timesteps[STEPS], sigmas[STEPS], discrete_sigmas[STEPS];
    const vesde_sampler_options options = {0}; /* the defaults */
    vesde_config config;
    vesde_sampler sampler;
    vesde_request request;
    vesde_plan plan;

    check(vesde_config_default(&config));
    config.sigma_max = 10;
    check(vesde_set_timesteps(&config, STEPS, timesteps));
    check(vesde_set_sigmas(&config, timesteps, STEPS, STEPS, sigmas, discrete_sigmas));
    const vesde_scheduler scheduler = {config, timesteps, STEPS, sigmas, STEPS, discrete_sigmas, STEPS};

    check(vesde_sampler_init(&config, BATCH, &options, &sampler));
    do {
        check(vesde_sampler_next(&sampler, &scheduler, score, NULL, LEN, one_thread, &request));
        if (request.kind == VESDE_REQUEST_KIND_SCORE)
            network(one_thread, request.sigma, LEN, score);
    } while (request.kind != VESDE_REQUEST_KIND_DONE);

    check(vesde_sampler_init(&config, BATCH, &options, &sampler));
    do {
        check(vesde_sampler_plan(&sampler, &scheduler, &plan, &request));
        if (plan.reduction == VESDE_REDUCTION_CORRECTOR_NORMS)
            reduce(config.snr, &plan);
#pragma omp parallel for collapse(2)
        for (int i = 0; i < BATCH; i++)
            for (int k = 0; k < BLOCKS; k++) {
                size_t len, start = block(i, k, &len);
                update(&plan, start, len, threads + start);
                if (request.kind == VESDE_REQUEST_KIND_SCORE)
                    network(threads + start, request.sigma, len, score + start);
            }
    } while (request.kind != VESDE_REQUEST_KIND_DONE);

    const int equal = memcmp(one_thread, threads, sizeof threads) == 0;
    printf("%d steps on %d threads: %s\n", STEPS, omp_get_max_threads(), equal ? "the bits of one" : "OTHER BITS");
    return !equal;
}
