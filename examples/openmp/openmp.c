/* A whole job on OpenMP's threads. vesde starts none; vesde_sampler_plan says what each turn does.
 * The bits are those of vesde_sampler_next on one thread; exits with 1 if one differs.
 *
 *   cc -O2 -fopenmp -Iinclude examples/openmp/openmp.c target/vesde.o -o openmp
 *   OMP_NUM_THREADS=4 ./openmp [OUTPUT.svg]
 *
 * OUTPUT.svg gets a picture of the last turn: each sample's blocks, and which thread took them.
 */

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vesde.h"

enum { BATCH = 2, SAMPLE = 3 * 161 * 91, LEN = BATCH * SAMPLE, STEPS = 20 };
enum { BLOCKS = (SAMPLE + VESDE_NORM_BLOCK - 1) / VESDE_NORM_BLOCK }; /* of a sample */

static float score[LEN], one_thread[LEN], threads[LEN];
static int thread_of[BATCH][BLOCKS];

static void check(vesde_status status) {
    if (status != VESDE_OK) {
        fprintf(stderr, "openmp: %s\n", vesde_status_message(status));
        exit(1);
    }
}

/* The noise of a plan from an element on. */
static vesde_noise noise_at(const vesde_plan *plan, size_t start) {
    vesde_counter place = plan->counter;
    place.index += start;
    return vesde_counter_noise(place);
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
static void reduce(vesde_plan *plan) {
    static double sums[2][BATCH][BLOCKS];
    double norms[2][BATCH], means[2];
    vesde_corrector_step step;
#pragma omp parallel for collapse(2)
    for (int i = 0; i < BATCH; i++)
        for (int k = 0; k < BLOCKS; k++) {
            size_t len, start = block(i, k, &len);
            check(vesde_sum_squares(vesde_given_noise(score + start), len, 1, &sums[0][i][k]));
            check(vesde_sum_squares(noise_at(plan, start), len, 1, &sums[1][i][k]));
        }
    for (int of = 0; of < 2; of++) {
        for (int i = 0; i < BATCH; i++)
            check(vesde_sample_norm(sums[of][i], BLOCKS, &norms[of][i]));
        check(vesde_mean_norm(norms[of], BATCH, plan->norm, &means[of]));
    }
    check(vesde_get_corrector_step(plan->snr, means[0], means[1], plan->norm, &step));
    plan->terms[1].factor = step.step_size; /* of the model output */
    plan->noise_factor = step.noise_factor;
}

/* Does what the plan says on `len` elements from `start` on. This method has no history. */
static void update(const vesde_plan *plan, size_t start, size_t len, float *x) {
    const float *const buffers[] = {x, score + start}; /* as vesde_operand numbers them */
    const vesde_combination sum = vesde_plan_combination(plan, buffers, noise_at(plan, start), len, x);
    check(vesde_linear(&sum));
}

/* A row a sample, a box a block, as long as the block is, with its thread's number and colour. */
static void draw(const char *path) {
    enum { ROW = 40, SCALE = 100 }; /* floats a pixel */
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "openmp: %s cannot be written\n", path);
        exit(1);
    }
    fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\">\n",
            SAMPLE / SCALE + 1, BATCH * ROW);
    for (int i = 0; i < BATCH; i++)
        for (int k = 0; k < BLOCKS; k++) {
            size_t len, start = block(i, k, &len);
            const int x = (int)(start - (size_t)i * SAMPLE) / SCALE, width = (int)len / SCALE - 1;
            fprintf(file, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"hsl(%d 70%% 75%%)\"/>", x,
                    i * ROW, width, ROW - 2, thread_of[i][k] * 360 / omp_get_max_threads());
            fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", x + width / 2,
                    i * ROW + ROW / 2 + 5, thread_of[i][k]);
        }
    fputs("</svg>\n", file);
    fclose(file);
}

int main(int argc, char **argv) {
    float timesteps[STEPS], sigmas[STEPS], discrete_sigmas[STEPS];
    const vesde_sampler_options options = {0}; /* the defaults */
    const vesde_buffers buffers = {.sample = one_thread, .model_output = score, .len = LEN};
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
        check(vesde_sampler_next(&sampler, &scheduler, &buffers, &request));
        if (request.kind == VESDE_REQUEST_KIND_SCORE)
            network(one_thread, request.sigma, LEN, score);
    } while (request.kind != VESDE_REQUEST_KIND_DONE);

    check(vesde_sampler_init(&config, BATCH, &options, &sampler));
    do {
        check(vesde_sampler_plan(&sampler, &scheduler, &plan, &request));
        if (plan.reduction == VESDE_REDUCTION_CORRECTOR_NORMS)
            reduce(&plan);
#pragma omp parallel for collapse(2)
        for (int i = 0; i < BATCH; i++)
            for (int k = 0; k < BLOCKS; k++) {
                size_t len, start = block(i, k, &len);
                thread_of[i][k] = omp_get_thread_num();
                update(&plan, start, len, threads + start);
                if (request.kind == VESDE_REQUEST_KIND_SCORE)
                    network(threads + start, request.sigma, len, score + start);
            }
    } while (request.kind != VESDE_REQUEST_KIND_DONE);

    const int equal = memcmp(one_thread, threads, sizeof threads) == 0;
    printf("%d steps on %d threads: %s\n", STEPS, omp_get_max_threads(), equal ? "the bits of one" : "OTHER BITS");
    if (argc > 1)
        draw(argv[1]);
    return !equal;
}
