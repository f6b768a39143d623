// Whole jobs: the sampler's loop, the same loop made by hand from the steps, and the same steps split as an engine
// splits them over threads. All must give the same bits, also from a copy in the middle and after an error.

#include <math.h>

#include "check.h"

// A sample has two blocks of norms, the second incomplete.
enum { STEPS = 25, CORRECT_STEPS = 2, BATCH = 2, PART = 5003, LEN = BATCH * PART };

static const uint64_t SEED = 42, STREAM = 100;

static float timesteps[STEPS], sigmas[STEPS], discrete_sigmas[STEPS];
static float reference[LEN];  // the result that all others are compared with

static vesde_scheduler make_scheduler(void) {
    vesde_scheduler scheduler = {.timesteps = timesteps, .timesteps_len = STEPS, .sigmas = sigmas, .sigmas_len = STEPS,
                                 .discrete_sigmas = discrete_sigmas, .discrete_sigmas_len = STEPS};
    OK(vesde_config_default(&scheduler.config));
    scheduler.config.sigma_max = 10;
    scheduler.config.correct_steps = CORRECT_STEPS;
    OK(vesde_set_timesteps(&scheduler.config, STEPS, timesteps));
    OK(vesde_set_sigmas(&scheduler.config, timesteps, STEPS, STEPS, sigmas, discrete_sigmas));
    return scheduler;
}

// The network's place: the score of data distributed as N(0.5, 0.01).
static void network(const float *sample, float sigma, float *score) {
    for (size_t i = 0; i < LEN; ++i) {
        score[i] = (0.5f - sample[i]) / (sigma * sigma + 0.01f);
    }
}

// ---- a job that the sampler leads ----

struct job {
    vesde_scheduler scheduler;
    vesde_sampler sampler;
    vesde_request request;
    uint64_t draws;  // of noise that was asked for
    float sample[LEN], score[LEN], noise[LEN];
};

static struct job job, copy;

static vesde_sampler_options make_options(int32_t noise) {
    return (vesde_sampler_options){.seed = SEED, .stream = STREAM, .noise = noise};
}

static void begin_with(struct job *job, vesde_sampler_options options) {
    job->scheduler = make_scheduler();
    job->draws = 0;
    OK(vesde_sampler_init(&job->scheduler.config, BATCH, &options, &job->sampler));
}

static void begin(struct job *job, int32_t noise) {
    begin_with(job, make_options(noise));
}

static vesde_status next(struct job *job) {
    return vesde_sampler_next(&job->sampler, &job->scheduler, job->score, job->noise, LEN, job->sample, &job->request);
}

// Does what the last request asks for; false if that is nothing.
static int answer(struct job *job) {
    if (job->request.kind == VESDE_REQUEST_KIND_SCORE) {
        network(job->sample, job->request.sigma, job->score);
    } else if (job->request.kind == VESDE_REQUEST_KIND_NOISE) {
        CHECK(job->draws == 0 || job->request.draw == job->draws);
        job->draws = job->request.draw + 1;
        vesde_counter draw = {SEED, STREAM + job->request.draw, 0};
        OK(vesde_counter_fill(draw, LEN, job->noise));
    }
    return job->request.kind != VESDE_REQUEST_KIND_DONE;
}

static void finish(struct job *job) {
    while (OK(next(job)) && answer(job)) {
    }
}

static void a_job_ends_and_tells_its_progress(void) {
    begin(&job, VESDE_SAMPLER_NOISE_COUNTER);
    for (uint32_t i = 0; OK(next(&job)) && answer(&job); ++i) {
        const vesde_request *request = &job.request;
        CHECK(request->kind == VESDE_REQUEST_KIND_SCORE && request->steps == STEPS);
        CHECK(request->step == i / (CORRECT_STEPS + 1) && request->correction == i % (CORRECT_STEPS + 1));
        CHECK(request->sigma == sigmas[request->step] && request->timestep == timesteps[request->step]);
        size_t index;
        OK(vesde_get_timestep_index(&job.scheduler, request->timestep, &index));
        CHECK(request->label == STEPS - 1 - index);
        if (!CHECK(i < STEPS * (CORRECT_STEPS + 1))) {
            break;
        }
    }
    CHECK(job.sampler.turn == 1 + STEPS * (CORRECT_STEPS + 1) && job.request.steps == 0 && job.request.sigma == 0);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < LEN; ++i) {
        double off = job.sample[i] - 0.5;
        CHECK(job.sample[i] >= 0 && job.sample[i] <= 1);
        sum += off;
        squares += off * off;
    }
    CHECK(fabs(sum / LEN) < 0.01 && squares / LEN > 0.005 && squares / LEN < 0.02);
    memcpy(reference, job.sample, sizeof reference);

    copy = job;
    STATUS(VESDE_ERROR_SAMPLER_DONE, next(&job));
    CHECK(memcmp(&job, &copy, sizeof job) == 0);
}

static void given_noise_is_asked_for_in_the_order_of_the_streams(void) {
    begin(&job, VESDE_SAMPLER_NOISE_GIVEN);
    finish(&job);
    CHECK(job.draws == 1 + STEPS * (CORRECT_STEPS + 1));
    CHECK(differing(job.sample, reference, LEN) == 0);
}

static void a_copy_continues_like_the_original(void) {
    for (int32_t noise = VESDE_SAMPLER_NOISE_COUNTER; noise <= VESDE_SAMPLER_NOISE_GIVEN; ++noise) {
        begin(&job, noise);
        for (int i = 0; i < 31; ++i) {
            OK(next(&job));
            CHECK(answer(&job));
        }
        copy = job;
        finish(&job);
        finish(&copy);
        CHECK(differing(job.sample, reference, LEN) == 0 && differing(copy.sample, reference, LEN) == 0);
    }
}

// A job that starts at step k from the sample that another one had there is the rest of that one.
static void a_job_starts_at_any_step(void) {
    static float there[LEN];
    const size_t steps[] = {0, 1, 7, STEPS - 1};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; ++i) {
        for (int32_t noise = VESDE_SAMPLER_NOISE_COUNTER; noise <= VESDE_SAMPLER_NOISE_GIVEN; ++noise) {
            vesde_sampler_options options = make_options(noise);
            snprintf(context, sizeof context, "step %d, noise %d", (int)steps[i], (int)noise);
            begin(&job, noise);
            do {
                OK(next(&job));
            } while (answer(&job) &&
                     (job.request.kind != VESDE_REQUEST_KIND_SCORE || job.request.step < steps[i]));
            memcpy(there, job.sample, sizeof there);
            options.start = VESDE_SAMPLER_START_GIVEN;
            options.first_step = steps[i];
            begin_with(&copy, options);
            memcpy(copy.sample, there, sizeof there);
            OK(next(&copy));
            CHECK(copy.request.kind == VESDE_REQUEST_KIND_SCORE && copy.request.step == steps[i]);
            CHECK(copy.request.correction == 0 && differing(copy.sample, there, LEN) == 0);
            CHECK(answer(&copy));
            finish(&copy);
            CHECK(differing(copy.sample, reference, LEN) == 0);
        }
    }
}

// The noisy result is the mean's with the last noise, which is drawn for both.
static void a_result_may_keep_its_last_noise(void) {
    static float noise[LEN];
    vesde_sampler_options options = make_options(VESDE_SAMPLER_NOISE_COUNTER);
    vesde_predictor_step step;
    options.unclamped = 1;
    begin_with(&job, options);
    finish(&job);
    options.result = VESDE_SAMPLER_RESULT_NOISY;
    begin_with(&copy, options);
    finish(&copy);
    OK(vesde_get_predictor_step(&job.scheduler, timesteps[STEPS - 1], &step));
    OK(vesde_counter_fill((vesde_counter){SEED, STREAM + STEPS * (CORRECT_STEPS + 1), 0}, LEN, noise));
    for (size_t i = 0; i < LEN; ++i) {
        CHECK(copy.sample[i] == job.sample[i] + step.diffusion * noise[i]);
    }
    options.unclamped = 0;
    begin_with(&job, options);
    finish(&job);
    for (size_t i = 0; i < LEN; ++i) {
        CHECK(job.sample[i] == (copy.sample[i] < 0 ? 0 : copy.sample[i] > 1 ? 1 : copy.sample[i]));
    }
}

// The same job by its plans, which are run here.
static void plans_say_what_a_turn_does(void) {
    for (int32_t given = VESDE_SAMPLER_NOISE_COUNTER; given <= VESDE_SAMPLER_NOISE_GIVEN; ++given) {
        static float noise[LEN];
        vesde_plan plan;
        begin(&job, given);
        uint64_t draws = 0, draw = 0;
        do {
            OK(vesde_sampler_plan(&job.sampler, &job.scheduler, &plan, &job.request));
            float output = plan.output, scale = plan.noise;
            if (given == VESDE_SAMPLER_NOISE_COUNTER) {
                OK(vesde_counter_fill(plan.counter, LEN, noise));
            } else if (job.request.kind == VESDE_REQUEST_KIND_NOISE) {
                draw = job.request.draw;
                CHECK(draw == draws++);
                OK(vesde_counter_fill((vesde_counter){SEED, STREAM + draw, 0}, LEN, noise));
                CHECK(plan.sample == 0 && plan.output == 0 && plan.noise == 0 && plan.reduction == VESDE_REDUCTION_NONE);
                continue;
            }
            CHECK(given == VESDE_SAMPLER_NOISE_COUNTER || plan.draw == draw);
            if (plan.reduction == VESDE_REDUCTION_CORRECTOR_NORMS) {
                vesde_corrector_step step;
                double norms[2][BATCH], means[2], blocks[2];
                const float *of[] = {job.score, noise};
                for (int i = 0; i < 2; ++i) {
                    for (int k = 0; k < BATCH; ++k) {
                        OK(vesde_sum_squares(of[i] + k * PART, PART, 2, blocks));
                        OK(vesde_sample_norm(blocks, 2, &norms[i][k]));
                    }
                    OK(vesde_mean_norm(norms[i], BATCH, VESDE_NORM_EXACT, &means[i]));
                }
                OK(vesde_get_corrector_step(job.scheduler.config.snr, means[0], means[1], VESDE_NORM_EXACT, &step));
                output = step.step_size;
                scale = step.noise_factor;
            }
            for (size_t i = 0; i < LEN; ++i) {
                float x = plan.sample == 0 ? 0 : plan.sample * job.sample[i] + output * job.score[i];
                x = scale == 0 ? x : plan.sample == 0 ? scale * noise[i] : x + scale * noise[i];
                job.sample[i] = x < plan.clamp_low ? plan.clamp_low : x > plan.clamp_high ? plan.clamp_high : x;
            }
            if (job.request.kind == VESDE_REQUEST_KIND_SCORE) {
                network(job.sample, job.request.sigma, job.score);
            }
        } while (job.request.kind != VESDE_REQUEST_KIND_DONE);
        CHECK(differing(job.sample, reference, LEN) == 0);
        STATUS(VESDE_ERROR_SAMPLER_DONE, vesde_sampler_plan(&job.sampler, &job.scheduler, &plan, &job.request));
    }
}

// After a score that is not a number everything is as before, and the right one goes on.
static void an_error_in_the_middle_can_be_mended(void) {
    begin(&job, VESDE_SAMPLER_NOISE_COUNTER);
    for (int i = 0; i < 31; ++i) {
        OK(next(&job));
        CHECK(answer(&job));
    }
    CHECK(job.request.correction < CORRECT_STEPS);
    float right = job.score[LEN - 1];
    job.score[LEN - 1] = NAN;
    copy = job;
    STATUS(VESDE_ERROR_NON_FINITE_GRADIENT_NORM, next(&job));
    STATUS(VESDE_ERROR_NON_FINITE_GRADIENT_NORM, next(&job));
    CHECK(memcmp(&job, &copy, sizeof job) == 0);
    job.score[LEN - 1] = right;
    finish(&job);
    CHECK(differing(job.sample, reference, LEN) == 0);
}

// ---- the same by hand ----

static float sample[LEN], score[LEN], mean[LEN];

// The order of a job; `correct` and `predict` make one step in place, from one stream of noise.
static void by_hand(void (*correct)(const vesde_scheduler *, vesde_counter),
                    void (*predict)(const vesde_scheduler *, float, vesde_counter)) {
    vesde_scheduler scheduler = make_scheduler();
    vesde_counter noise = {SEED, STREAM, 0};
    float init_noise_sigma;
    OK(vesde_counter_fill(noise, LEN, sample));
    OK(vesde_init_noise_sigma(&scheduler.config, &init_noise_sigma));
    for (size_t i = 0; i < LEN; ++i) {
        sample[i] *= init_noise_sigma;
    }
    for (size_t step = 0; step < STEPS; ++step) {
        for (int i = 0; i < CORRECT_STEPS; ++i) {
            network(sample, sigmas[step], score);
            ++noise.stream;
            correct(&scheduler, noise);
        }
        network(sample, sigmas[step], score);
        ++noise.stream;
        predict(&scheduler, timesteps[step], noise);
    }
    for (size_t i = 0; i < LEN; ++i) {
        mean[i] = mean[i] < 0 ? 0 : mean[i] > 1 ? 1 : mean[i];
    }
    CHECK(differing(mean, reference, LEN) == 0);
}

static void correct_at_once(const vesde_scheduler *scheduler, vesde_counter noise) {
    OK(vesde_step_correct_counter(scheduler, score, sample, LEN, BATCH, VESDE_AVERAGING_BATCH, VESDE_NORM_EXACT, noise,
                                  sample, mean));
}

static void predict_at_once(const vesde_scheduler *scheduler, float timestep, vesde_counter noise) {
    OK(vesde_step_pred_counter(scheduler, score, &timestep, 1, sample, LEN, noise, sample, mean));
}

// Calls `part` for uneven ranges of the batch, the last first, as threads might.
static void in_ranges(void (*part)(const void *, size_t, size_t, vesde_counter), const void *data,
                      vesde_counter noise) {
    const size_t cuts[] = {0, 1, 64, 777, 4096, 4097, PART, PART + 13, 9999, LEN};
    for (size_t i = sizeof cuts / sizeof *cuts - 1; i > 0; --i) {
        part(data, cuts[i - 1], cuts[i] - cuts[i - 1], (vesde_counter){noise.seed, noise.stream, cuts[i - 1]});
    }
}

static void update_range(const void *data, size_t from, size_t len, vesde_counter noise) {
    const vesde_corrector_step *step = data;
    OK(vesde_update_counter(step->step_size, step->noise_factor, score + from, sample + from, len, noise, sample + from,
                            mean + from));
}

// The three phases: sums of squares by blocks, factors, update by ranges.
static void correct_in_parts(const vesde_scheduler *scheduler, vesde_counter noise) {
    enum { BLOCKS = (PART + VESDE_NORM_BLOCK - 1) / VESDE_NORM_BLOCK };
    double norms[2][BATCH], means[2];
    CHECK(vesde_norm_blocks(PART) == BLOCKS);
    for (size_t i = 0; i < BATCH; ++i) {
        double grad[BLOCKS], drawn[BLOCKS];
        for (size_t k = BLOCKS; k-- > 0;) {
            size_t from = k * VESDE_NORM_BLOCK, at = i * PART + from;
            size_t len = PART - from < VESDE_NORM_BLOCK ? PART - from : VESDE_NORM_BLOCK;
            OK(vesde_sum_squares(score + at, len, 1, &grad[k]));
            OK(vesde_sum_squares_counter((vesde_counter){noise.seed, noise.stream, at}, len, 1, &drawn[k]));
        }
        OK(vesde_sample_norm(grad, BLOCKS, &norms[0][i]));
        OK(vesde_sample_norm(drawn, BLOCKS, &norms[1][i]));
    }
    for (int i = 0; i < 2; ++i) {
        OK(vesde_mean_norm(norms[i], BATCH, VESDE_NORM_EXACT, &means[i]));
    }
    vesde_corrector_step step;
    OK(vesde_get_corrector_step(scheduler->config.snr, means[0], means[1], VESDE_NORM_EXACT, &step));
    in_ranges(update_range, &step, noise);
}

struct prediction {
    const vesde_scheduler *scheduler;
    float timestep;
};

static void predict_range(const void *data, size_t from, size_t len, vesde_counter noise) {
    const struct prediction *it = data;
    OK(vesde_step_pred_counter(it->scheduler, score + from, &it->timestep, 1, sample + from, len, noise, sample + from,
                               mean + from));
}

static void predict_in_parts(const vesde_scheduler *scheduler, float timestep, vesde_counter noise) {
    in_ranges(predict_range, &(struct prediction){scheduler, timestep}, noise);
}

int main(void) {
    a_job_ends_and_tells_its_progress();
    given_noise_is_asked_for_in_the_order_of_the_streams();
    a_copy_continues_like_the_original();
    a_job_starts_at_any_step();
    plans_say_what_a_turn_does();
    a_result_may_keep_its_last_noise();
    an_error_in_the_middle_can_be_mended();
    by_hand(correct_at_once, predict_at_once);
    by_hand(correct_in_parts, predict_in_parts);
    return report();
}
