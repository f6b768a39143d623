/* A predictor step and a corrector step of a batch on OpenMP's threads, split by the caller: vesde starts no threads, and the bits do
 * not depend on the split. Compares with the one-call forms; exits with 1 if a bit differs.
 *
 *   cc -O2 -fopenmp -Iinclude examples/openmp/openmp.c target/vesde.o -o openmp
 *   OMP_NUM_THREADS=4 ./openmp
 */

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vesde.h"

enum { BATCH = 2, SAMPLE = 3 * 500 * 333, LEN = BATCH * SAMPLE, STEPS = 100 };
enum { BLOCKS = (SAMPLE + VESDE_NORM_BLOCK - 1) / VESDE_NORM_BLOCK }; /* of one sample: vesde_norm_blocks */

static float score[LEN], sample[LEN], one_call[LEN], split[LEN];

static void check(vesde_status status) {
    if (status != VESDE_OK) {
        fprintf(stderr, "openmp: %s\n", vesde_status_message(status));
        exit(1);
    }
}

/* The noise that belongs to element `at`, wherever the work is cut. */
static vesde_counter from(vesde_counter noise, size_t at) {
    noise.index += at;
    return noise;
}

/* Of 0..len, the range of the calling thread: from *start on, its length returned. */
static size_t my_range(size_t len, size_t *start) {
    const size_t thread = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
    *start = len * thread / threads;
    return len * (thread + 1) / threads - *start;
}

/* A predictor step is elementwise: each thread makes the step of its range. */
static void predict(const vesde_scheduler *scheduler, float timestep, vesde_counter noise, float *x) {
#pragma omp parallel
    {
        size_t start;
        const size_t len = my_range(LEN, &start);
        if (len != 0)
            check(vesde_step_pred_counter(scheduler, score + start, &timestep, 1, x + start, len, from(noise, start), x + start,
                                          NULL));
    }
}

/* A corrector step needs the norms of whole samples before it changes anything: three phases, with barriers between them. */
static void correct(const vesde_scheduler *scheduler, vesde_counter noise, float *x) {
    static double grad[BATCH][BLOCKS], drawn[BATCH][BLOCKS];
    vesde_corrector_step step;
#pragma omp parallel
    {
        /* Sums of squares, block by block, in any order: of the score, and of noise that is stored nowhere. */
#pragma omp for collapse(2)
        for (int i = 0; i < BATCH; ++i)
            for (int k = 0; k < BLOCKS; ++k) {
                const size_t at = (size_t)k * VESDE_NORM_BLOCK, start = (size_t)i * SAMPLE + at;
                const size_t len = SAMPLE - at < VESDE_NORM_BLOCK ? SAMPLE - at : VESDE_NORM_BLOCK;
                check(vesde_sum_squares(score + start, len, 1, &grad[i][k]));
                check(vesde_sum_squares_counter(from(noise, start), len, 1, &drawn[i][k]));
            }
        /* The barrier that ends the loop. Then the step size, on one thread, in order; and the barrier that ends `single`. */
#pragma omp single
        {
            double grad_norms[BATCH], noise_norms[BATCH], grad_norm, noise_norm;
            for (int i = 0; i < BATCH; ++i) {
                check(vesde_sample_norm(grad[i], BLOCKS, &grad_norms[i]));
                check(vesde_sample_norm(drawn[i], BLOCKS, &noise_norms[i]));
            }
            check(vesde_mean_norm(grad_norms, BATCH, VESDE_NORM_EXACT, &grad_norm));
            check(vesde_mean_norm(noise_norms, BATCH, VESDE_NORM_EXACT, &noise_norm));
            check(vesde_get_corrector_step(scheduler->config.snr, grad_norm, noise_norm, VESDE_NORM_EXACT, &step));
        }
        /* The update, which makes the noise again. */
        size_t start;
        const size_t len = my_range(LEN, &start);
        if (len != 0)
            check(vesde_update_counter(step.step_size, step.noise_factor, score + start, x + start, len, from(noise, start),
                                       x + start, NULL));
    }
}

static int compare(const char *step) {
    const int equal = memcmp(one_call, split, sizeof split) == 0;
    printf("%s on %d threads: %s\n", step, omp_get_max_threads(), equal ? "the bits of one call" : "OTHER BITS");
    return !equal;
}

int main(void) {
    const vesde_counter noise = {42, 0, 0}, next_noise = {42, 1, 0};
    const float timestep = 0.5f;
    float timesteps[STEPS], sigmas[STEPS], discrete_sigmas[STEPS];
    vesde_config config;
    int different;

    check(vesde_config_default(&config));
    check(vesde_set_timesteps(&config, STEPS, timesteps));
    check(vesde_set_sigmas(&config, timesteps, STEPS, STEPS, sigmas, discrete_sigmas));
    const vesde_scheduler scheduler = {config, timesteps, STEPS, sigmas, STEPS, discrete_sigmas, STEPS};
    const vesde_counter some = {1, 0, 0}, others = {2, 0, 0};
    check(vesde_counter_fill(some, LEN, sample));
    check(vesde_counter_fill(others, LEN, score));
    memcpy(split, sample, sizeof split);

    check(vesde_step_pred_counter(&scheduler, score, &timestep, 1, sample, LEN, noise, one_call, NULL));
    predict(&scheduler, timestep, noise, split);
    different = compare("predictor");

    check(vesde_step_correct_counter(&scheduler, score, one_call, LEN, BATCH, VESDE_AVERAGING_BATCH, VESDE_NORM_EXACT,
                                     next_noise, one_call, NULL));
    correct(&scheduler, next_noise, split);
    different |= compare("corrector");
    return different;
}
