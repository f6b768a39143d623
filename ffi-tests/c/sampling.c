// Whole jobs: the sampler's loop, the same loop made by hand from the steps, and the same steps
// split as an engine splits them over threads. All must give the same bits, also from a copy in the
// middle and after an error. Jobs of all options are compared with a plain loop.

#include <math.h>

#include "check.h"

#ifdef EMULATED  // where all would take minutes
enum { STEPS = 12, FEWEST_GENERATORS = 2, EACH_JOB = 7 };
#else
enum { STEPS = 25, FEWEST_GENERATORS = 1, EACH_JOB = 1 };
#endif

// A sample has two blocks of norms, the second incomplete.
enum { CORRECT_STEPS = 2, BATCH = 2, PART = 5003, LEN = BATCH * PART };

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
static void network_of(const float *sample, size_t len, float sigma, float *score) {
    for (size_t i = 0; i < len; ++i) {
        score[i] = (0.5f - sample[i]) / (sigma * sigma + 0.01f);
    }
}

static void network(const float *sample, float sigma, float *score) {
    network_of(sample, LEN, sigma, score);
}

// The factors that a plan's reduction leaves open, from the score and the noise of samples of
// `part` floats.
static void reduce(vesde_plan *plan, const float *score, const float *noise, size_t part) {
    vesde_corrector_step step;
    double norms[2][BATCH], means[2], blocks[2];
    const float *of[] = {score, noise};
    const size_t blocks_len = vesde_norm_blocks(part);
    for (int i = 0; i < 2; ++i) {
        for (size_t k = 0; k < BATCH; ++k) {
            OK(vesde_sum_squares(vesde_given_noise(of[i] + k * part), part, blocks_len, blocks));
            OK(vesde_sample_norm(blocks, blocks_len, &norms[i][k]));
        }
        OK(vesde_mean_norm(norms[i], BATCH, plan->norm, &means[i]));
    }
    CHECK(plan->averaging == VESDE_AVERAGING_BATCH && plan->norm == VESDE_NORM_EXACT);
    CHECK(plan->terms[1].operand == VESDE_OPERAND_MODEL_OUTPUT);
    CHECK(plan->terms[1].factor == 0 && plan->noise_factor == 0);
    OK(vesde_get_corrector_step(plan->snr, means[0], means[1], plan->norm, &step));
    plan->terms[1].factor = step.step_size;
    plan->noise_factor = step.noise_factor;
}

// ---- a job that the sampler leads ----

struct job {
    vesde_scheduler scheduler;
    vesde_sampler sampler;
    vesde_request request;
    uint64_t draws;  // of noise that was asked for
    vesde_generator generators[BATCH];
    size_t generators_len;  // 0 to be asked for noise
    float sample[LEN], score[LEN], noise[LEN];
};

static struct job job, copy;

static vesde_sampler_options make_options(int32_t noise) {
    return (vesde_sampler_options){.seed = SEED, .stream = STREAM, .noise = noise};
}

static void begin_with(struct job *job, vesde_sampler_options options) {
    job->scheduler = make_scheduler();
    job->draws = job->generators_len = 0;
    OK(vesde_sampler_init(&job->scheduler.config, BATCH, &options, &job->sampler));
}

static void begin(struct job *job, int32_t noise) {
    begin_with(job, make_options(noise));
}

static vesde_status next(struct job *job) {
    const vesde_buffers buffers = {.sample = job->sample, .model_output = job->score, .len = LEN, .noise = job->noise};
    return job->generators_len == 0
               ? vesde_sampler_next(&job->sampler, &job->scheduler, &buffers, &job->request)
               : vesde_sampler_next_drawing(&job->sampler, &job->scheduler, &buffers, job->generators,
                                            job->generators_len, job->noise, &job->request);
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

// The reference's counter noise, a stream for every draw, but drawn by a generator.
static void begin_with_counter(struct job *job) {
    begin(job, VESDE_SAMPLER_NOISE_GIVEN);
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_COUNTER, SEED, NULL, &job->generators[0]));
    job->generators[0].counter.stream = STREAM;
    job->generators_len = 1;
}

// Generators of every kind, one for the batch or one for each sample: the bits of a job that asks
// for each draw and gets it from vesde_randn.
static void generators_draw_where_noise_would_be_asked_for(void) {
    begin_with_counter(&job);
    for (uint32_t i = 0; OK(next(&job)) && answer(&job); ++i) {
        CHECK(job.request.kind == VESDE_REQUEST_KIND_SCORE && job.request.step == i / (CORRECT_STEPS + 1));
    }
    CHECK(differing(job.sample, reference, LEN) == 0);
    CHECK(job.generators[0].counter.stream == STREAM + 1 + STEPS * (CORRECT_STEPS + 1));

    const vesde_cuda_grid grid = {2, 1024};
    for (int32_t kind = VESDE_GENERATOR_KIND_COUNTER; kind <= VESDE_GENERATOR_KIND_NUMPY; ++kind) {
        for (size_t len = FEWEST_GENERATORS; len <= BATCH; ++len) {
            snprintf(context, sizeof context, "%d generators of kind %d", (int)len, (int)kind);
            begin(&job, VESDE_SAMPLER_NOISE_GIVEN);
            for (size_t i = 0; i < len; ++i) {
                OK(vesde_generator_seed(kind, SEED + i, &grid, &job.generators[i]));
            }
            copy = job;
            job.generators_len = len;
            finish(&job);
            while (OK(next(&copy)) && copy.request.kind != VESDE_REQUEST_KIND_DONE) {
                if (copy.request.kind == VESDE_REQUEST_KIND_NOISE) {
                    OK(vesde_randn(copy.generators, len, LEN, copy.noise));
                } else {
                    network(copy.sample, copy.request.sigma, copy.score);
                }
            }
            CHECK(differing(job.sample, copy.sample, LEN) == 0 && differing(job.sample, reference, LEN) > 0);
            for (size_t i = 0; i < len; ++i) {
                CHECK(is_same_generator(&job.generators[i], &copy.generators[i]));
            }
        }
    }
}

// One generator draws the initial sample, and another one the rest: the bits of a job that asks for
// each draw.
static void the_initial_sample_may_be_of_another_generator(void) {
    begin(&job, VESDE_SAMPLER_NOISE_GIVEN);
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CPU, SEED, NULL, &job.generators[0]));
    copy = job;
    job.generators_len = 1;
    OK(next(&job));
    CHECK(job.request.kind == VESDE_REQUEST_KIND_SCORE);
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_NUMPY, SEED, NULL, &job.generators[0]));
    CHECK(answer(&job));
    finish(&job);
    while (OK(next(&copy)) && copy.request.kind != VESDE_REQUEST_KIND_DONE) {
        if (copy.request.kind == VESDE_REQUEST_KIND_SCORE) {
            network(copy.sample, copy.request.sigma, copy.score);
            continue;
        }
        if (copy.request.draw == 1) {
            OK(vesde_generator_seed(VESDE_GENERATOR_KIND_NUMPY, SEED, NULL, &copy.generators[0]));
        }
        OK(vesde_randn(copy.generators, 1, LEN, copy.noise));
    }
    CHECK(differing(job.sample, copy.sample, LEN) == 0);
    CHECK(is_same_generator(&job.generators[0], &copy.generators[0]));
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

// A job that starts at step k, from the sample that another job had there, is the rest of that job.
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

// The noisy result is the mean with the last noise added. That noise is drawn for both results.
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
    OK(vesde_get_predictor_step(&job.scheduler, VESDE_PREDICTOR_REVERSE_DIFFUSION, timesteps[STEPS - 1], &step));
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

// The same job by its plans. They are run by scalar code here and by vesde_linear, at once and in
// two parts in place.
static void plans_say_what_a_turn_does(void) {
    for (int32_t given = VESDE_SAMPLER_NOISE_COUNTER; given <= VESDE_SAMPLER_NOISE_GIVEN; ++given) {
        static float noise[LEN], result[LEN], parts[LEN];
        const float *const buffers[] = {job.sample, job.score};  // as vesde_operand numbers them
        vesde_plan plan;
        begin(&job, given);
        uint64_t draws = 0, draw = 0;
        do {
            OK(vesde_sampler_plan(&job.sampler, &job.scheduler, &plan, &job.request));
            CHECK(plan.keeps_len == 0 && plan.churn_factor == 0 && plan.terms_len <= 2);
            if (given == VESDE_SAMPLER_NOISE_COUNTER) {
                OK(vesde_counter_fill(plan.counter, LEN, noise));
            } else if (job.request.kind == VESDE_REQUEST_KIND_NOISE) {
                draw = job.request.draw;
                CHECK(draw == draws++);
                OK(vesde_counter_fill((vesde_counter){SEED, STREAM + draw, 0}, LEN, noise));
                CHECK(plan.terms_len == 0 && plan.noise_factor == 0 && plan.reduction == VESDE_REDUCTION_NONE);
                const vesde_combination copied =
                    vesde_plan_combination(&plan, buffers, vesde_given_noise(noise), LEN, result);
                OK(vesde_linear(&copied));
                CHECK(differing(result, job.sample, LEN) == 0);
                continue;
            }
            CHECK(given == VESDE_SAMPLER_NOISE_COUNTER || plan.draw == draw);
            if (plan.reduction == VESDE_REDUCTION_CORRECTOR_NORMS) {
                CHECK(plan.snr == job.scheduler.config.snr);
                reduce(&plan, job.score, noise, PART);
            }
            vesde_combination sum = vesde_plan_combination(&plan, buffers, vesde_given_noise(noise), LEN, result);
            OK(vesde_linear(&sum));
            memcpy(parts, job.sample, sizeof parts);
            for (size_t from = 0; from < LEN; from += PART) {
                const float *const there[] = {parts + from, job.score + from};
                sum = vesde_plan_combination(&plan, there, vesde_given_noise(noise + from), PART, parts + from);
                OK(vesde_linear(&sum));
            }
            for (size_t i = 0; i < LEN; ++i) {
                float x = 0;
                for (size_t k = 0; k < plan.terms_len; ++k) {
                    float term = plan.terms[k].factor * buffers[plan.terms[k].operand][i];
                    x = k == 0 ? term : x + term;
                }
                if (plan.noise_factor != 0) {
                    x = plan.terms_len == 0 ? plan.noise_factor * noise[i] : x + plan.noise_factor * noise[i];
                }
                if (plan.clamped) {
                    x = x < plan.clamp_low ? plan.clamp_low : x > plan.clamp_high ? plan.clamp_high : x;
                }
                job.sample[i] = x;
            }
            CHECK(differing(result, job.sample, LEN) == 0 && differing(parts, job.sample, LEN) == 0);
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
    for (int draws = 0; draws < 2; ++draws) {
        draws ? begin_with_counter(&job) : begin(&job, VESDE_SAMPLER_NOISE_COUNTER);
        for (int i = 0; i < 31; ++i) {
            OK(next(&job));
            CHECK(answer(&job));
        }
        CHECK(job.request.correction < CORRECT_STEPS);
        float right = job.score[LEN - 1];
        job.score[LEN - 1] = NAN;
        if (draws) {
            // A damaged state does not draw. Once it is mended it draws, and only once.
            vesde_generator *const state = &job.generators[0];
            state->counter.index = UINT64_MAX;
            copy = job;
            STATUS(VESDE_ERROR_TOO_LARGE, next(&job));
            CHECK(memcmp(&job, &copy, sizeof job) == 0);
            state->counter.index = 0;
            copy = job;
            STATUS(VESDE_ERROR_NON_FINITE_GRADIENT_NORM, next(&job));
            CHECK(state->counter.stream == copy.generators[0].counter.stream + 1);
            CHECK(differing(job.sample, copy.sample, LEN) == 0);
        }
        copy = job;
        STATUS(VESDE_ERROR_NON_FINITE_GRADIENT_NORM, next(&job));
        STATUS(VESDE_ERROR_NON_FINITE_GRADIENT_NORM, next(&job));
        CHECK(memcmp(&job, &copy, sizeof job) == 0);
        job.score[LEN - 1] = right;
        finish(&job);
        CHECK(differing(job.sample, reference, LEN) == 0);
    }
}

// ---- the same by hand ----

static float sample[LEN], score[LEN], mean[LEN];

// The order of a job; `correct` and `predict` make one step in place, from one stream of noise.
static void by_hand(void (*correct)(const vesde_scheduler *, vesde_counter),
                    void (*predict)(const vesde_scheduler *, float, vesde_counter)) {
    vesde_scheduler scheduler = make_scheduler();
    vesde_counter noise = {SEED, STREAM, 0};
    vesde_combination initial = {.len = LEN, .noise = vesde_counter_noise(noise), .out = sample};
    OK(vesde_init_noise_sigma(&scheduler.config, &initial.noise_factor));
    OK(vesde_linear(&initial));
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
    const vesde_combination clamp = {
        .terms = {{1, mean}}, .terms_len = 1, .len = LEN, .clamped = 1, .clamp_low = 0, .clamp_high = 1, .out = mean};
    OK(vesde_linear(&clamp));
    CHECK(differing(mean, reference, LEN) == 0);
}

// A step in place on a range of the batch.
static vesde_step in_place(size_t from, size_t len, size_t batch, vesde_counter noise) {
    float *const x = sample + from;
    return (vesde_step){score + from, x, len, batch, vesde_counter_noise(noise), x, mean + from, 0};
}

static void correct_at_once(const vesde_scheduler *scheduler, vesde_counter noise) {
    const vesde_step step = in_place(0, LEN, BATCH, noise);
    OK(vesde_step_correct(scheduler, VESDE_AVERAGING_BATCH, VESDE_NORM_EXACT, &step));
}

static void predict_at_once(const vesde_scheduler *scheduler, float timestep, vesde_counter noise) {
    const vesde_step step = in_place(0, LEN, BATCH, noise);
    OK(vesde_step_pred(scheduler, &timestep, 1, &step));
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
    const vesde_combination sum = {
        .terms = {{1, sample + from}, {step->step_size, score + from}}, .terms_len = 2, .len = len,
        .noise = vesde_counter_noise(noise), .noise_factor = step->noise_factor, .out = sample + from,
        .mean = mean + from};
    OK(vesde_linear(&sum));
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
            const vesde_counter place = {noise.seed, noise.stream, at};
            OK(vesde_sum_squares(vesde_given_noise(score + at), len, 1, &grad[k]));
            OK(vesde_sum_squares(vesde_counter_noise(place), len, 1, &drawn[k]));
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
    const vesde_step step = in_place(from, len, 1, noise);
    OK(vesde_step_pred(it->scheduler, &it->timestep, 1, &step));
}

static void predict_in_parts(const vesde_scheduler *scheduler, float timestep, vesde_counter noise) {
    in_ranges(predict_range, &(struct prediction){scheduler, timestep}, noise);
}

// ---- every job against a plain loop ----

enum { FEW_STEPS = 5, FEW_PART = 67, FEW = BATCH * FEW_PART, MOST_REQUESTS = 64 };

// A job as the loop has it: what it must ask for, and the sample at each request.
static struct plain {
    vesde_scheduler scheduler;
    vesde_sampler_options options;
    float timesteps[FEW_STEPS], sigmas[FEW_STEPS], discrete_sigmas[FEW_STEPS];
    struct {
        vesde_request request;
        float sample[FEW];
    } asked[MOST_REQUESTS];
    size_t asked_len;
    uint64_t draws, scores;
    size_t first_of[FEW_STEPS];     // the first request of each step
    uint64_t draws_of[FEW_STEPS];  // draws before it
    float x[FEW], score[FEW], noise[FEW];
} plain;

// The square root of a float, or of an exact double, rounded to float: by Heron's method, in
// double.
static float root(double x) {
    double y = x > 1 ? x : 1;
    for (int i = 0; i < 2000 && x > 0; ++i) {
        double next = (y + x / y) / 2;
        if (next >= y) {
            break;
        }
        y = next;
    }
    return x > 0 ? (float)y : 0;
}

static void ask(vesde_request request) {
    if (CHECK(plain.asked_len < MOST_REQUESTS)) {
        plain.asked[plain.asked_len].request = request;
        memcpy(plain.asked[plain.asked_len++].sample, plain.x, sizeof plain.x);
    }
}

// The next draw, asked for if its noise is given and not a condition's.
static uint64_t draw(int is_asked) {
    const uint64_t number = plain.draws++;
    OK(vesde_counter_fill((vesde_counter){SEED, STREAM + number, 0}, FEW, plain.noise));
    if (is_asked && plain.options.noise == VESDE_SAMPLER_NOISE_GIVEN) {
        ask((vesde_request){.kind = VESDE_REQUEST_KIND_NOISE, .draw = number});
    }
    return number;
}

static void score_of(size_t step, uint32_t correction) {
    vesde_request request = {.kind = VESDE_REQUEST_KIND_SCORE, .correction = correction, .step = step,
                             .steps = FEW_STEPS, .sigma = plain.sigmas[step], .timestep = plain.timesteps[step]};
    const size_t index = (size_t)(plain.timesteps[step] * (FEW_STEPS - 1));
    request.label = plain.options.corrector == VESDE_CORRECTOR_NCSNV2 ? step : FEW_STEPS - 1 - index;
    ask(request);
    network_of(plain.x, FEW, plain.sigmas[step], plain.score);
    ++plain.scores;
}

// What is known is every second element, with noise of sigma if there is any.
static void impose(float *x, float sigma, const float *z) {
    for (size_t i = 0; i < FEW; i += 2) {
        x[i] = z == NULL ? 0.25f : 0.25f + z[i] * sigma;
    }
}

static void condition(size_t step, int32_t after) {
    if (plain.options.conditions == VESDE_CONDITIONS_NONE) {
        return;
    }
    const int draws = plain.options.conditions == VESDE_CONDITIONS_DRAWING && after != VESDE_AFTER_INITIAL;
    vesde_request request = {.kind = VESDE_REQUEST_KIND_CONDITION, .step = step, .steps = FEW_STEPS, .after = after,
                             .sigma = plain.sigmas[step], .timestep = plain.timesteps[step]};
    request.draw = draws ? draw(0) : 0;
    request.last = after == VESDE_AFTER_PREDICTOR && step == FEW_STEPS - 1 &&
                   plain.options.result != VESDE_SAMPLER_RESULT_DENOISED;
    ask(request);
    impose(plain.x, request.sigma, draws ? plain.noise : NULL);
}

// The last update of a job clamps.
static void clamp(int is_last) {
    for (size_t i = 0; i < FEW && is_last && !plain.options.unclamped; ++i) {
        plain.x[i] = plain.x[i] < 0 ? 0 : plain.x[i] > 1 ? 1 : plain.x[i];
    }
}

// mean = x + (a·s)·h, x = mean + b·z.
static void update(float a, float h, float b, int is_last) {
    for (size_t i = 0; i < FEW; ++i) {
        const float x = plain.x[i] + a * plain.score[i] * h;
        plain.x[i] = b == 0 ? x : x + b * plain.noise[i];
    }
    clamp(is_last);
}

static void correct(size_t step, int is_last) {
    const float sigma = plain.sigmas[step], snr = (float)plain.scheduler.config.snr;
    float ratio = snr * sigma, factor = 2;
    if (plain.options.corrector == VESDE_CORRECTOR_LANGEVIN) {
        const vesde_step norms = {.model_output = plain.score, .sample = plain.x, .len = FEW, .batch = BATCH,
                                  .noise = vesde_given_noise(plain.noise), .prev_sample = plain.x};
        OK(vesde_step_correct(&plain.scheduler, VESDE_AVERAGING_BATCH, VESDE_NORM_EXACT, &norms));
        clamp(is_last);
        return;
    }
    if (plain.options.corrector == VESDE_CORRECTOR_NCSNV2) {
        ratio = sigma / plain.sigmas[FEW_STEPS - 1];
        factor = plain.options.step_lr;
    }
    const float step_size = ratio * ratio * factor;
    update(step_size, 1, root(step_size * 2), is_last);
}

static void predict(size_t step, int is_last) {
    const size_t index = (size_t)(plain.timesteps[step] * (FEW_STEPS - 1));
    const float sigma = plain.discrete_sigmas[index], below = index == 0 ? 0 : plain.discrete_sigmas[index - 1];
    const float variance = sigma * sigma - below * below, d = root(variance);
    const double dt = 1.0 / FEW_STEPS;
    float g, a = 0, h = 1, b = 0;
    OK(vesde_get_diffusion(&plain.scheduler.config, plain.sigmas[step], &g));
    switch (plain.options.predictor) {
    case VESDE_PREDICTOR_REVERSE_DIFFUSION:
        a = d * d;
        b = d;
        break;
    case VESDE_PREDICTOR_REVERSE_DIFFUSION_FLOW:
        a = d * d * 0.5f;
        break;
    case VESDE_PREDICTOR_ANCESTRAL:
        a = variance;
        b = root(below * below * variance / (sigma * sigma));
        break;
    case VESDE_PREDICTOR_EULER_MARUYAMA:
        a = g * g;
        h = (float)dt;
        b = g * root(dt);
        break;
    case VESDE_PREDICTOR_EULER_MARUYAMA_FLOW:
        a = g * g * 0.5f;
        h = (float)dt;
        break;
    default:
        CHECK(!"a predictor without a loop");
    }
    update(a, h, is_last && plain.options.result == VESDE_SAMPLER_RESULT_MEAN ? 0 : b, is_last);
}

static void plain_loop(void) {
    const int corrects = plain.options.corrector != VESDE_CORRECTOR_NONE;
    const int predicts = plain.options.predictor != VESDE_PREDICTOR_NONE;
    const int denoises = plain.options.result == VESDE_SAMPLER_RESULT_DENOISED;
    const uint32_t corrections = corrects ? CORRECT_STEPS : 0;
    float sigma_max;
    plain.draws = plain.scores = plain.asked_len = 0;
    OK(vesde_init_noise_sigma(&plain.scheduler.config, &sigma_max));
    draw(1);
    for (size_t i = 0; i < FEW; ++i) {
        plain.x[i] = plain.noise[i] * sigma_max;
    }
    condition(0, VESDE_AFTER_INITIAL);
    for (size_t step = 0; step < FEW_STEPS; ++step) {
        const int is_last = step == FEW_STEPS - 1 && !denoises;
        plain.first_of[step] = plain.asked_len;
        plain.draws_of[step] = plain.draws;
        for (uint32_t i = 0; i < corrections; ++i) {
            score_of(step, i);
            draw(1);
            correct(step, is_last && !predicts && i == corrections - 1);
        }
        condition(step, VESDE_AFTER_CORRECTOR);
        if (predicts) {
            score_of(step, corrections);
            draw(1);
            predict(step, is_last);
        }
        condition(step, VESDE_AFTER_PREDICTOR);
    }
    if (denoises) {
        const float sigma = plain.sigmas[FEW_STEPS - 1];
        score_of(FEW_STEPS - 1, 0);
        update(sigma * sigma, 1, 0, 1);
    }
    ask((vesde_request){.kind = VESDE_REQUEST_KIND_DONE});
    const uint64_t of_conditions = plain.options.conditions == VESDE_CONDITIONS_DRAWING ? 2 : 0;
    CHECK(plain.scores == FEW_STEPS * (corrections + (uint64_t)predicts) + (uint64_t)denoises);
    CHECK(plain.draws == 1 + FEW_STEPS * (corrections + (uint64_t)predicts + of_conditions));
}

enum form { BY_NEXT, BY_PLAN, BY_DRAWING };

// The sampler's job from a step on, or from its noise, must be where the loop is at every request.
static void follow(enum form form, const size_t *step) {
    static float x[FEW], score[FEW], z[FEW];
    const vesde_buffers buffers = {.sample = x, .model_output = score, .len = FEW, .noise = z};
    vesde_sampler_options options = plain.options;
    vesde_generator generator;
    vesde_sampler sampler;
    vesde_request request;
    vesde_plan plan;
    size_t at = 0;
    memset(x, 0xff, sizeof x);
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_COUNTER, SEED, NULL, &generator));
    generator.counter.stream = STREAM;
    if (step != NULL) {
        options.start = VESDE_SAMPLER_START_GIVEN;
        options.first_step = *step;
        at = plain.first_of[*step];
        generator.counter.stream += plain.draws_of[*step];
        memcpy(x, plain.asked[at].sample, sizeof x);
    }
    OK(vesde_sampler_init(&plain.scheduler.config, BATCH, &options, &sampler));
    do {
        if (form == BY_NEXT) {
            OK(vesde_sampler_next(&sampler, &plain.scheduler, &buffers, &request));
        } else if (form == BY_DRAWING) {
            OK(vesde_sampler_next_drawing(&sampler, &plain.scheduler, &buffers, &generator, 1, z, &request));
        } else {
            const float *const operands[] = {x, score};
            OK(vesde_sampler_plan(&sampler, &plain.scheduler, &plan, &request));
            const int makes = options.noise == VESDE_SAMPLER_NOISE_COUNTER;
            if (plan.reduction == VESDE_REDUCTION_CORRECTOR_NORMS) {
                if (makes) {
                    OK(vesde_counter_fill(plan.counter, FEW, z));
                }
                reduce(&plan, score, z, FEW_PART);
            }
            const vesde_noise noise = makes ? vesde_counter_noise(plan.counter) : vesde_given_noise(z);
            const vesde_combination sum = vesde_plan_combination(&plan, operands, noise, FEW, x);
            OK(vesde_linear(&sum));
        }
        while (form == BY_DRAWING && plain.asked[at].request.kind == VESDE_REQUEST_KIND_NOISE) {
            ++at;
        }
        if (!CHECK(at < plain.asked_len) || !CHECK(memcmp(&request, &plain.asked[at].request, sizeof request) == 0)) {
            return;
        }
        // Before the first draw there is no sample.
        const int is_sample = at > 0 || request.kind != VESDE_REQUEST_KIND_NOISE;
        CHECK(!is_sample || differing(x, plain.asked[at].sample, FEW) == 0);
        ++at;
        const int has_draw = request.kind == VESDE_REQUEST_KIND_CONDITION && request.draw != 0;
        if (form != BY_DRAWING && (request.kind == VESDE_REQUEST_KIND_NOISE || has_draw)) {
            OK(vesde_counter_fill((vesde_counter){SEED, STREAM + request.draw, 0}, FEW, z));
        }
        if (request.kind == VESDE_REQUEST_KIND_SCORE) {
            network_of(x, FEW, request.sigma, score);
        } else if (request.kind == VESDE_REQUEST_KIND_CONDITION) {
            impose(x, request.sigma, has_draw ? z : NULL);
        }
    } while (request.kind != VESDE_REQUEST_KIND_DONE);
    CHECK(at == plain.asked_len);
    CHECK(form != BY_DRAWING || generator.counter.stream == STREAM + plain.draws);
    STATUS(VESDE_ERROR_SAMPLER_DONE, vesde_sampler_plan(&sampler, &plain.scheduler, &plan, &request));
}

// How many values an enumeration of the options has.
static int32_t values_of(int32_t *value) {
    vesde_sampler sampler;
    for (*value = 0; vesde_sampler_init(&plain.scheduler.config, 1, &plain.options, &sampler) == VESDE_OK;) {
        ++*value;
    }
    const int32_t count = *value;
    *value = 0;
    return count;
}

static void every_job_is_the_plain_loop(void) {
    memset(&plain, 0, sizeof plain);
    plain.scheduler = (vesde_scheduler){make_scheduler().config, plain.timesteps, FEW_STEPS, plain.sigmas, FEW_STEPS,
                                        plain.discrete_sigmas, FEW_STEPS};
    OK(vesde_set_timesteps(&plain.scheduler.config, FEW_STEPS, plain.timesteps));
    vesde_sampler_options *const options = &plain.options;
    *options = make_options(VESDE_SAMPLER_NOISE_COUNTER);
    options->step_lr = 1e-5f;
    int32_t *const choices[] = {&options->predictor, &options->corrector, &options->conditions, &options->result,
                                &options->noise, &options->unclamped};
    int32_t counts[6], jobs = 1;
    for (int i = 0; i < 6; ++i) {
        counts[i] = values_of(choices[i]);
        jobs *= counts[i];
    }
    CHECK(jobs >= 6 * 4 * 3 * 3 * 2 * 2);
    for (int32_t job = 0; job < jobs; job += EACH_JOB) {  // all values of each option
        for (int32_t i = 0, digits = job; i < 6; digits /= counts[i++]) {
            *choices[i] = digits % counts[i];
        }
        OK(vesde_set_sigmas(&plain.scheduler.config, plain.timesteps, FEW_STEPS, FEW_STEPS, plain.sigmas,
                            plain.discrete_sigmas));
        if (options->corrector == VESDE_CORRECTOR_NCSNV2) {
            OK(vesde_set_ncsnv2_sigmas(&plain.scheduler.config, FEW_STEPS, plain.sigmas));
        }
        snprintf(context, sizeof context,
                 "predictor %d, corrector %d, conditions %d, result %d, noise %d, unclamped %d",
                 (int)options->predictor, (int)options->corrector, (int)options->conditions,
                 (int)options->result, (int)options->noise, (int)options->unclamped);
        plain_loop();
        const size_t steps[] = {1, FEW_STEPS - 1};
        const int gives = options->noise == VESDE_SAMPLER_NOISE_GIVEN;
        for (int form = BY_NEXT; form <= (gives ? BY_DRAWING : BY_PLAN); ++form) {
            follow((enum form)form, NULL);
            follow((enum form)form, &steps[job % 2]);
        }
    }
}

int main(void) {
    a_job_ends_and_tells_its_progress();
    given_noise_is_asked_for_in_the_order_of_the_streams();
    generators_draw_where_noise_would_be_asked_for();
    the_initial_sample_may_be_of_another_generator();
    a_copy_continues_like_the_original();
    a_job_starts_at_any_step();
    plans_say_what_a_turn_does();
    a_result_may_keep_its_last_noise();
    an_error_in_the_middle_can_be_mended();
    every_job_is_the_plain_loop();
    *context = '\0';
    by_hand(correct_at_once, predict_at_once);
    by_hand(correct_in_parts, predict_in_parts);
    return report();
}
