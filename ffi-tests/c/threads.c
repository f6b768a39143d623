// All functions are reentrant: threads that begin at once, while the library does not yet know the
// CPU, make their parts of one sample, and one changes the limit of the vector instructions
// meanwhile. The bits are those of one call. To be run under ThreadSanitizer.

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>

#include "check.h"

enum { THREADS = 4, PART = 3 * VESDE_NORM_BLOCK, LEN = THREADS * PART, STEPS = 20, ROUNDS = 4 };

static const vesde_counter counter = {42, 7, 0};
static vesde_scheduler scheduler;
static float timesteps[STEPS], sigmas[STEPS], discrete_sigmas[STEPS];
static float sample[LEN], score[LEN], noise[LEN], prev[LEN], mean[LEN];
static double blocks[LEN / VESDE_NORM_BLOCK];
static vesde_generator state;
static pthread_barrier_t barrier;

// What a thread got. It counts no failures, since all threads share the counter.
struct part {
    size_t start;
    vesde_status worst;
};

static void *run(void *argument) {
    struct part *part = argument;
    size_t start = part->start;
    vesde_counter from = {counter.seed, counter.stream, counter.index + start};
    float t = 0.5f;
    const vesde_noise given = vesde_given_noise(noise + start), made = vesde_counter_noise(from);
    const vesde_step first = {score + start, sample + start, PART, 1, given, prev + start, mean + start, 0};
    const vesde_step second = {score + start, prev + start, PART, 1, made, prev + start, NULL, 0};
    pthread_barrier_wait(&barrier);
    for (int round = 0; round < ROUNDS; ++round) {
        vesde_status statuses[] = {
            vesde_limit_simd_level(start == 0 ? round % 2 : VESDE_SIMD_LEVEL_KIND_AVX512),
            vesde_counter_fill(from, PART, score + start),
            vesde_generator_fill_part(&state, LEN, start, PART, noise + start),
            vesde_sum_squares(vesde_given_noise(score + start), PART, PART / VESDE_NORM_BLOCK,
                              blocks + start / VESDE_NORM_BLOCK),
            vesde_step_pred(&scheduler, &t, 1, &first),
            vesde_step_pred(&scheduler, &t, 1, &second),
        };
        for (size_t i = 0; i < sizeof statuses / sizeof *statuses; ++i) {
            part->worst = statuses[i] < part->worst ? statuses[i] : part->worst;
        }
    }
    return NULL;
}

int main(void) {
    // Nothing before the threads asks what the CPU has: the tables are scalar code.
    vesde_cuda_grid grid = {2, 1024};
    OK(vesde_config_default(&scheduler.config));
    OK(vesde_set_timesteps(&scheduler.config, STEPS, timesteps));
    OK(vesde_set_sigmas(&scheduler.config, timesteps, STEPS, STEPS, sigmas, discrete_sigmas));
    scheduler = (vesde_scheduler){scheduler.config, timesteps, STEPS, sigmas, STEPS, discrete_sigmas, STEPS};
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CUDA, 42, &grid, &state));

    pthread_t threads[THREADS];
    struct part parts[THREADS];
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (size_t i = 0; i < THREADS; ++i) {
        parts[i] = (struct part){i * PART, VESDE_OK};
        CHECK(pthread_create(&threads[i], NULL, run, &parts[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; ++i) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        OK(parts[i].worst);
    }

    static float want[LEN], want_noise[LEN];
    static double want_blocks[LEN / VESDE_NORM_BLOCK];
    float t = 0.5f;
    OK(vesde_limit_simd_level(VESDE_SIMD_LEVEL_KIND_AVX512));
    OK(vesde_counter_fill(counter, LEN, want));
    CHECK(differing(want, score, LEN) == 0);
    OK(vesde_sum_squares(vesde_given_noise(want), LEN, LEN / VESDE_NORM_BLOCK, want_blocks));
    CHECK(memcmp(want_blocks, blocks, sizeof blocks) == 0);
    OK(vesde_randn(&state, 1, LEN, want_noise));
    CHECK(differing(want_noise, noise, LEN) == 0);
    const vesde_step first = {score, sample, LEN, 1, vesde_given_noise(noise), want, NULL, 0};
    const vesde_step second = {score, want, LEN, 1, vesde_counter_noise(counter), want, NULL, 0};
    OK(vesde_step_pred(&scheduler, &t, 1, &first));
    OK(vesde_step_pred(&scheduler, &t, 1, &second));
    CHECK(differing(want, prev, LEN) == 0);
    return report();
}
