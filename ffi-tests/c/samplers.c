// Jobs along tables of sigmas: every method, every prediction, noise of either kind, with and
// without a clamp of the denoised sample. vesde_sampler_next must have the bits of
// vesde_sampler_plan and vesde_run_plan in parts, and those of scalar code. Where there is an exact
// solution, the samplers must come to it.

#include <math.h>
#include <stdlib.h>

#include "check.h"

enum { STEPS = 5, MOST_LEN = 1000, MOST_KEPT = 4, MOST_REQUESTS = 40, METHODS = 13, PREDICTIONS = 4, SENTINEL = 0xa5 };

static const uint64_t SEED = 42, STREAM = 100;

static float table[STEPS + 1];
static vesde_scheduler scheduler;

static void make_tables(void) {
    OK(vesde_config_default(&scheduler.config));
    OK(vesde_set_karras_sigmas(0.05, 10, 7, STEPS, table));
    scheduler.sigmas = table;
}

// The network's place, for data distributed as N(0.5, 0.01): the score, or what `prediction` says
// in place of it.
static void network(int32_t prediction, const float *sample, size_t len, float sigma, float *output) {
    const double s = sigma, variance = s * s + 1;
    for (size_t i = 0; i < len; ++i) {
        const double x = sample[i], score = (0.5 - x) / (s * s + 0.01), denoised = x + s * s * score;
        output[i] = (float)(prediction == VESDE_PREDICTION_SCORE     ? score
                            : prediction == VESDE_PREDICTION_EPSILON ? -s * score
                            : prediction == VESDE_PREDICTION_DENOISED
                                ? denoised
                                : (x / variance - denoised) * sqrt(variance) / s);
    }
}

// ---- memory of a job ----

struct memory {
    float sample[MOST_LEN + 4], output[MOST_LEN + 4], noise[MOST_LEN + 4], denoised[MOST_LEN + 4];
    float workspace[MOST_KEPT * MOST_LEN + 4];
};

// Every buffer `offset` floats behind its usual place; no history has been written yet.
static vesde_buffers buffers_of(struct memory *in, const vesde_sampler *sampler, size_t len, size_t offset) {
    size_t workspace_len = 0;
    OK(vesde_sampler_workspace_len(sampler, len, &workspace_len));
    CHECK(workspace_len <= MOST_KEPT * len);
    return (vesde_buffers){in->sample + offset, in->output + offset,    len,          in->noise + offset,
                           in->workspace + offset, workspace_len, in->denoised + offset};
}

static int is_sentinel(const float *x, size_t len) {
    const unsigned char *bytes = (const unsigned char *)x;
    for (size_t i = 0; i < len * sizeof *x; ++i) {
        if (bytes[i] != SENTINEL) {
            return 0;
        }
    }
    return 1;
}

// ---- a plan in scalar code ----

static float clamped(float x, float low, float high) {
    x = x < low ? low : x;
    return high < x ? high : x;
}

static float operand(const vesde_buffers *job, int32_t which, float denoised, size_t i) {
    return which == VESDE_OPERAND_SAMPLE         ? job->sample[i]
           : which == VESDE_OPERAND_MODEL_OUTPUT ? job->model_output[i]
           : which == VESDE_OPERAND_DENOISED
               ? denoised
               : job->workspace[(size_t)(which - VESDE_OPERAND_KEPT) * job->len + i];
}

static float sum_of(const vesde_plan_term *terms, size_t count, const vesde_buffers *job, float denoised, size_t i) {
    float sum = 0;
    for (size_t k = 0; k < count; ++k) {
        const float term = terms[k].factor * operand(job, terms[k].operand, denoised, i) * terms[k].second_factor;
        sum = k == 0 ? term : sum + term;
    }
    return sum;
}

static void run_by_hand(const vesde_plan *plan, const vesde_buffers *job, int makes_noise) {
    static float made[MOST_LEN], churn[MOST_LEN];
    OK(vesde_counter_fill(plan->counter, job->len, made));
    OK(vesde_counter_fill(plan->churn_counter, job->len, churn));
    CHECK(plan->reduction == VESDE_REDUCTION_NONE);
    for (size_t i = 0; i < job->len; ++i) {
        const float x = job->sample[i], z = makes_noise ? made[i] : job->noise[i];
        float kept[VESDE_MOST_KEEPS], d = 0, sum = x;
        if (plan->has_denoised) {
            d = plan->denoised_model_output * job->model_output[i];
            d = plan->denoised_sample == 0 ? d : plan->denoised_sample * x + d;
            d = plan->denoised_clamped ? clamped(d, plan->denoised_low, plan->denoised_high) : d;
        }
        for (size_t k = 0; k < plan->keeps_len; ++k) {
            kept[k] = sum_of(plan->keeps[k].terms, plan->keeps[k].terms_len, job, d, i);
        }
        if (plan->terms_len > 0) {
            sum = sum_of(plan->terms, plan->terms_len, job, d, i);
        }
        if (plan->noise_factor != 0) {
            sum = plan->terms_len == 0 ? plan->noise_factor * z : sum + plan->noise_factor * z;
        }
        sum = plan->clamped ? clamped(sum, plan->clamp_low, plan->clamp_high) : sum;
        job->sample[i] = plan->churn_factor == 0 ? sum : sum + plan->churn_factor * churn[i];
        for (size_t k = 0; k < plan->keeps_len; ++k) {
            job->workspace[plan->keeps[k].slot * job->len + i] = kept[k];
        }
        if (plan->has_denoised) {
            job->denoised[i] = d;
        }
    }
}

// In parts of odd lengths, the last ones first.
static void run_in_parts(const vesde_plan *plan, const vesde_buffers *job) {
    size_t end = job->len;
    for (size_t part = 1; end > 0; part = part * 3 % 512 | 1) {
        const size_t len = part < end ? part : end;
        OK(vesde_run_plan(plan, job, end - len, len));
        end -= len;
    }
}

// ---- jobs ----

// A job as vesde_sampler_next has it.
static struct trace {
    vesde_sampler_options options;
    size_t len, asked_len;
    struct {
        vesde_request request;
        float sample[MOST_LEN];
    } asked[MOST_REQUESTS];
} trace;

// What is known is every second element, with noise of sigma if there is any.
static void impose(const vesde_buffers *job, const vesde_request *request) {
    static float z[MOST_LEN];
    OK(vesde_counter_fill((vesde_counter){SEED, STREAM + request->draw, 0}, job->len, z));
    for (size_t i = 0; i < job->len; i += 2) {
        job->sample[i] = request->draw == 0 ? 0.25f : 0.25f + z[i] * request->sigma;
    }
}

// Does what a request asks for.
static void answer(const vesde_buffers *job, const vesde_request *request, int32_t prediction) {
    if (request->kind == VESDE_REQUEST_KIND_SCORE) {
        network(prediction, job->sample, job->len, request->sigma, (float *)job->model_output);
    } else if (request->kind == VESDE_REQUEST_KIND_NOISE) {
        OK(vesde_counter_fill((vesde_counter){SEED, STREAM + request->draw, 0}, job->len, (float *)job->noise));
    } else if (request->kind == VESDE_REQUEST_KIND_CONDITION) {
        impose(job, request);
    }
}

// Checks what a call leaves in `denoised`: the denoised sample by the network, or nothing.
static void check_preview(const vesde_plan *plan, const vesde_buffers *before, const float *denoised, float sigma) {
    if (!plan->has_denoised) {
        CHECK(is_sentinel(denoised, before->len));
        return;
    }
    const double s = sigma, clamp = plan->denoised_clamped;
    for (size_t i = 0; i < before->len; ++i) {
        const double x = before->sample[i], d = x + s * s * (0.5 - x) / (s * s + 0.01);
        const double low = plan->denoised_low, high = plan->denoised_high;
        const double wanted = !clamp || (d >= low && d <= high) ? d : d < low ? low : high;
        CHECK(fabs(denoised[i] - wanted) < 1e-5 * (1 + fabs(x)));
    }
}

static void record(void) {
    static struct memory memory, aliased;
    vesde_sampler sampler;
    vesde_request request = {.kind = VESDE_REQUEST_KIND_NOISE};
    float sigma = 0;
    OK(vesde_sampler_init(&scheduler.config, 1, &trace.options, &sampler));
    memset(&memory, 0xff, sizeof memory);  // not numbers
    const vesde_buffers job = buffers_of(&memory, &sampler, trace.len, 0);
    trace.asked_len = 0;
    do {
        vesde_sampler planner = sampler;
        vesde_request planned;
        vesde_plan plan;
        OK(vesde_sampler_plan(&planner, &scheduler, &plan, &planned));
        memset(memory.denoised, SENTINEL, sizeof memory.denoised);
        const struct memory before = memory;
        // The model output or the noise may be the sample itself.
        for (int which = 0; which < 2; ++which) {
            struct memory copied = before;
            vesde_sampler states[2] = {sampler, sampler};
            vesde_buffers apart = buffers_of(&copied, &sampler, trace.len, 0), same;
            aliased = before;
            same = buffers_of(&aliased, &sampler, trace.len, 0);
            memcpy(which ? copied.noise : copied.output, before.sample, sizeof before.sample);
            *(which ? &same.noise : &same.model_output) = same.sample;
            OK(vesde_sampler_next(&states[0], &scheduler, &apart, &planned));
            OK(vesde_sampler_next(&states[1], &scheduler, &same, &planned));
            CHECK(differing(copied.sample, aliased.sample, trace.len) == 0);
            CHECK(differing(copied.denoised, aliased.denoised, trace.len) == 0);
            CHECK(differing(copied.workspace, aliased.workspace, job.workspace_len) == 0);
        }
        OK(vesde_sampler_next(&sampler, &scheduler, &job, &request));
        CHECK(memcmp(&sampler, &planner, sizeof sampler) == 0);
        vesde_buffers there = job;
        struct memory kept = before;
        there.sample = kept.sample;
        check_preview(&plan, &there, memory.denoised, sigma);
        if (!CHECK(trace.asked_len < MOST_REQUESTS)) {
            return;
        }
        trace.asked[trace.asked_len].request = request;
        memcpy(trace.asked[trace.asked_len++].sample, memory.sample, trace.len * sizeof(float));
        sigma = request.kind == VESDE_REQUEST_KIND_SCORE ? request.sigma : sigma;
        answer(&job, &request, trace.options.prediction);
    } while (request.kind != VESDE_REQUEST_KIND_DONE);
    STATUS(VESDE_ERROR_SAMPLER_DONE, vesde_sampler_next(&sampler, &scheduler, &job, &request));
}

// Checks the order of requests along the table, without a plan.
static void check_order(void) {
    const vesde_sampler_options *const o = &trace.options;
    const int gives = o->noise == VESDE_SAMPLER_NOISE_GIVEN, has_conditions = o->conditions != VESDE_CONDITIONS_NONE;
    const int draws = o->conditions == VESDE_CONDITIONS_DRAWING;
    const int is_two_call = o->method >= VESDE_METHOD_HEUN && o->method <= VESDE_METHOD_DPMPP2S;
    const size_t steps = scheduler.sigmas_len - 1;
    const float last = scheduler.sigmas[steps];
    const int denoises = o->result == VESDE_SAMPLER_RESULT_DENOISED && last > 0;
    size_t at = 0;
#define ASKED(wanted_kind, wanted_step)                                                                       \
    do {                                                                                                      \
        const vesde_request *const r = &trace.asked[at].request;                                              \
        CHECK(at < trace.asked_len && r->kind == VESDE_REQUEST_KIND_##wanted_kind && r->step == (wanted_step)); \
        ++at;                                                                                                 \
    } while (0)
    if (gives) {
        CHECK(trace.asked[at].request.draw == 0);
        ASKED(NOISE, 0);
    }
    if (has_conditions) {
        CHECK(trace.asked[at].request.draw == 0 && trace.asked[at].request.sigma == table[0]);
        ASKED(CONDITION, 0);
    }
    for (size_t step = 0; step < steps; ++step) {
        const float sigma = scheduler.sigmas[step], next = scheduler.sigmas[step + 1];
        const uint64_t draw = 1 + step * (draws ? 2 : 1);
        const int is_last = step == steps - 1, is_raised = o->s_churn > 0 && sigma >= o->s_tmin;
        const int drops = is_last && o->result == VESDE_SAMPLER_RESULT_MEAN;
        if (gives && is_raised) {
            CHECK(trace.asked[at].request.draw == draw);
            ASKED(NOISE, 0);
        }
        CHECK(is_raised ? trace.asked[at].request.sigma > sigma : trace.asked[at].request.sigma == sigma);
        CHECK(trace.asked[at].request.steps == steps && trace.asked[at].request.correction == 0);
        CHECK(trace.asked[at].request.label == step);
        ASKED(SCORE, step);
        // With η 1 the second score of 2S would be at σ 0 if the step went there.
        if (is_two_call && next > 0) {
            const float there = trace.asked[at].request.sigma;
            CHECK(there < sigma * 1.5f && there > 0 && trace.asked[at].request.correction == 1);
            ASKED(SCORE, step);
        }
        if (gives && o->eta > 0 && next > 0 && !drops) {
            CHECK(trace.asked[at].request.draw == draw);
            ASKED(NOISE, 0);
        }
        if (has_conditions) {
            const vesde_request *const r = &trace.asked[at].request;
            CHECK(r->draw == (draws ? draw + 1 : 0) && r->sigma == next && r->last == (is_last && !denoises));
            CHECK(r->after == VESDE_AFTER_PREDICTOR);
            ASKED(CONDITION, step);
        }
    }
    if (denoises) {
        CHECK(trace.asked[at].request.sigma == last);
        ASKED(SCORE, steps - 1);
    }
    ASKED(DONE, 0);
    CHECK(at == trace.asked_len);
#undef ASKED
}

enum form { IN_PARTS, BY_HAND, MOVING };

// The same job in another form, with buffers elsewhere.
static void follow(enum form form, size_t offset) {
    static struct memory memories[2];
    vesde_sampler sampler;
    vesde_request request;
    OK(vesde_sampler_init(&scheduler.config, 1, &trace.options, &sampler));
    memset(memories, 0xff, sizeof memories);
    for (size_t at = 0; at < trace.asked_len; ++at) {
        struct memory *const memory = &memories[at % 2];
        vesde_buffers job = buffers_of(memory, &sampler, trace.len, offset);
        const int makes_noise = trace.options.noise == VESDE_SAMPLER_NOISE_COUNTER;
        vesde_plan plan;
        if (form == MOVING) {
            OK(vesde_sampler_next(&sampler, &scheduler, &job, &request));
        } else {
            OK(vesde_sampler_plan(&sampler, &scheduler, &plan, &request));
            job.noise = makes_noise ? NULL : job.noise;
            form == IN_PARTS ? run_in_parts(&plan, &job) : run_by_hand(&plan, &job, makes_noise);
            job.noise = memory->noise + offset;
        }
        CHECK(memcmp(&request, &trace.asked[at].request, sizeof request) == 0);
        // Before the first draw there is no sample.
        const int is_sample = at > 0 || request.kind != VESDE_REQUEST_KIND_NOISE;
        if (!CHECK(!is_sample || differing(job.sample, trace.asked[at].sample, trace.len) == 0)) {
            return;
        }
        answer(&job, &request, trace.options.prediction);
        // A copy goes on, and what was left behind is overwritten.
        const vesde_sampler copy = sampler;
        memset(&sampler, 0xff, sizeof sampler);
        sampler = copy;
        memcpy(&memories[(at + 1) % 2], memory, sizeof *memory);
        memset(memory, 0xff, sizeof *memory);
    }
    CHECK(request.kind == VESDE_REQUEST_KIND_DONE);
}

// A job from a step on, and one along the rest of the table: history begins anew in both.
static void start_at(size_t step) {
    static struct memory memories[2];
    static float there[MOST_LEN];
    const vesde_scheduler rest = {scheduler.config, NULL, 0, table + step, scheduler.sigmas_len - step, NULL, 0};
    const uint64_t draws_of_a_step = trace.options.conditions == VESDE_CONDITIONS_DRAWING ? 2 : 1;
    vesde_sampler_options from = trace.options, of_rest = trace.options;
    vesde_sampler samplers[2];
    vesde_request request, of_rest_request;
    from.start = of_rest.start = VESDE_SAMPLER_START_GIVEN;
    from.s_churn = of_rest.s_churn = 0;  // which depends on the number of steps
    from.first_step = step;
    of_rest.stream += step * draws_of_a_step;
    OK(vesde_sampler_init(&scheduler.config, 1, &from, &samplers[0]));
    OK(vesde_sampler_init(&scheduler.config, 1, &of_rest, &samplers[1]));
    OK(vesde_counter_fill((vesde_counter){1, 2, 3}, trace.len, there));
    memset(memories, 0xff, sizeof memories);
    memcpy(memories[0].sample, there, sizeof there);
    memcpy(memories[1].sample, there, sizeof there);
    int asked = 0, is_resumed = trace.options.s_churn == 0 && trace.options.conditions == VESDE_CONDITIONS_NONE;
    // A method without history goes on as if it had not been interrupted.
    is_resumed = is_resumed && trace.options.method <= VESDE_METHOD_DPMPP2S;
    size_t at = 0;
    while (at < trace.asked_len && (trace.asked[at].request.kind != VESDE_REQUEST_KIND_SCORE ||
                                    trace.asked[at].request.step < step)) {
        ++at;
    }
    if (is_resumed) {
        memcpy(memories[0].sample, trace.asked[at].sample, trace.len * sizeof(float));
        memcpy(memories[1].sample, trace.asked[at].sample, trace.len * sizeof(float));
    }
    do {
        const vesde_buffers job = buffers_of(&memories[0], &samplers[0], trace.len, 0);
        const vesde_buffers rest_job = buffers_of(&memories[1], &samplers[1], trace.len, 0);
        OK(vesde_sampler_next(&samplers[0], &scheduler, &job, &request));
        OK(vesde_sampler_next(&samplers[1], &rest, &rest_job, &of_rest_request));
        CHECK(request.kind == of_rest_request.kind && request.sigma == of_rest_request.sigma);
        CHECK(request.timestep == of_rest_request.timestep && request.correction == of_rest_request.correction);
        CHECK(asked > 0 || is_resumed || differing(job.sample, there, trace.len) == 0);
        if (request.kind == VESDE_REQUEST_KIND_SCORE || request.kind == VESDE_REQUEST_KIND_CONDITION) {
            CHECK(request.step == of_rest_request.step + step && request.steps == scheduler.sigmas_len - 1);
        }
        if (request.kind == VESDE_REQUEST_KIND_NOISE) {
            CHECK(request.draw == of_rest_request.draw + step * draws_of_a_step);
        }
        CHECK(differing(job.sample, rest_job.sample, trace.len) == 0);
        if (is_resumed && CHECK(at < trace.asked_len)) {
            CHECK(memcmp(&request, &trace.asked[at].request, sizeof request) == 0);
            CHECK(differing(job.sample, trace.asked[at].sample, trace.len) == 0);
            ++at;
        }
        answer(&job, &request, trace.options.prediction);
        answer(&rest_job, &request, trace.options.prediction);  // with the first job's draws
    } while (request.kind != VESDE_REQUEST_KIND_DONE && ++asked < MOST_REQUESTS);
    CHECK(request.kind == VESDE_REQUEST_KIND_DONE);
}

// A job that draws by itself is one whose noise vesde_randn makes where it is asked for.
static void draw_by_generators(void) {
    static struct memory memories[2];
    static float drawn[MOST_LEN];
    vesde_generator generators[2];
    vesde_sampler samplers[2];
    vesde_request asked, request;
    for (int i = 0; i < 2; ++i) {
        OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CPU, SEED, NULL, &generators[i]));
        OK(vesde_sampler_init(&scheduler.config, 1, &trace.options, &samplers[i]));
    }
    memset(memories, 0xff, sizeof memories);
    do {
        const vesde_buffers asking = buffers_of(&memories[0], &samplers[0], trace.len, 0);
        vesde_buffers drawing = buffers_of(&memories[1], &samplers[1], trace.len, 0);
        drawing.noise = NULL;
        do {
            OK(vesde_sampler_next(&samplers[0], &scheduler, &asking, &asked));
            if (asked.kind == VESDE_REQUEST_KIND_NOISE || (asked.kind == VESDE_REQUEST_KIND_CONDITION && asked.draw)) {
                OK(vesde_randn(&generators[0], 1, trace.len, memories[0].noise));
            }
        } while (asked.kind == VESDE_REQUEST_KIND_NOISE);
        OK(vesde_sampler_next_drawing(&samplers[1], &scheduler, &drawing, &generators[1], 1, drawn, &request));
        CHECK(memcmp(&asked, &request, sizeof asked) == 0 && memcmp(&samplers[0], &samplers[1], sizeof *samplers) == 0);
        CHECK(differing(asking.sample, drawing.sample, trace.len) == 0);
        CHECK(differing(asking.denoised, drawing.denoised, trace.len) == 0);
        CHECK(is_same_generator(&generators[0], &generators[1]));
        if (request.kind == VESDE_REQUEST_KIND_SCORE) {
            network(trace.options.prediction, asking.sample, trace.len, request.sigma, memories[0].output);
            network(trace.options.prediction, drawing.sample, trace.len, request.sigma, memories[1].output);
        } else if (request.kind == VESDE_REQUEST_KIND_CONDITION) {
            impose(&asking, &request);
            impose(&drawing, &request);
        }
    } while (request.kind != VESDE_REQUEST_KIND_DONE);
}

static void every_job_is_its_plans(int thinning) {
    static const size_t lens[] = {1, 63, 64, 65, MOST_LEN};
    int32_t job = 0;
    for (int32_t method = 1; method < METHODS; ++method) {
        for (int32_t choice = 0; choice < PREDICTIONS * 2 * 2 * 3; ++choice, ++job) {
            vesde_sampler_options *const o = &trace.options;
            *o = (vesde_sampler_options){.seed = SEED, .stream = STREAM, .method = method};
            o->prediction = choice % PREDICTIONS;
            o->noise = choice / 4 % 2;
            o->denoised_clamped = choice / 8 % 2;
            o->denoised_low = 0.4f;
            o->denoised_high = 0.6f;
            o->eta = choice / 16 == 1 ? (float)(job % 2 ? 1 : 0.7) : 0;
            o->s_churn = choice / 16 == 2 ? 1 : 0;
            if ((o->eta > 0 && method >= VESDE_METHOD_UNIPC2) || (o->s_churn > 0 && method > VESDE_METHOD_DPM2)) {
                continue;  // not for this method
            }
            o->s_tmin = 0.2f;
            o->order = method >= VESDE_METHOD_LMS ? (uint32_t)job % 5 : 0;
            o->s_noise = job % 3 == 0 ? 0.9f : 0;
            o->conditions = job / 3 % 3;
            o->result = job / 5 % 3;
            o->unclamped = job % 2;
            scheduler.sigmas_len = STEPS + (size_t)(job % 4 != 0);  // to the least sigma, or to 0
            for (int i = 0; i < 5; ++i) {
                if ((job + i) % thinning != 0) {
                    continue;
                }
                trace.len = lens[i];
                snprintf(context, sizeof context, "method %d, choice %d, %d floats", (int)method, (int)choice,
                         (int)trace.len);
                record();
                check_order();
                follow(IN_PARTS, 0);
                follow(IN_PARTS, 1);
                follow(BY_HAND, 0);
                follow(MOVING, 1);
                start_at((size_t)job % (scheduler.sigmas_len - 1));
                if (o->noise == VESDE_SAMPLER_NOISE_GIVEN) {
                    draw_by_generators();
                }
            }
        }
    }
}

// Along the ODE every method comes to the exact solution, whatever the network gives; a noisy one
// to the distribution of the data.
static void samplers_come_to_the_data(void) {
    enum { MANY = 40 };
    static struct memory memory;
    static float many[MANY + 1];
    const vesde_scheduler along = {scheduler.config, NULL, 0, many, MANY + 1, NULL, 0};
    OK(vesde_set_karras_sigmas(0.01, 10, 7, MANY, many));
    for (int32_t method = 1; method < METHODS; ++method) {
        const int takes_eta = method < VESDE_METHOD_UNIPC2;
        for (int32_t choice = 0; choice < (1 + takes_eta) * PREDICTIONS; ++choice) {
            static float first[MOST_LEN];
            const int is_noisy = choice / PREDICTIONS;
            vesde_sampler_options o = {.seed = SEED, .method = method, .unclamped = 1, .eta = (float)is_noisy};
            vesde_sampler sampler;
            vesde_request request;
            o.prediction = choice % PREDICTIONS;
            snprintf(context, sizeof context, "method %d, prediction %d", (int)method, (int)o.prediction);
            OK(vesde_sampler_init(&along.config, 1, &o, &sampler));
            const vesde_buffers job = buffers_of(&memory, &sampler, MOST_LEN, 0);
            memset(&memory, 0xff, sizeof memory);
            OK(vesde_sampler_next(&sampler, &along, &job, &request));
            memcpy(first, job.sample, sizeof first);
            int calls = 0;
            for (; request.kind == VESDE_REQUEST_KIND_SCORE; ++calls) {
                answer(&job, &request, o.prediction);
                OK(vesde_sampler_next(&sampler, &along, &job, &request));
            }
            CHECK(request.kind == VESDE_REQUEST_KIND_DONE);
            CHECK(calls == (method >= VESDE_METHOD_HEUN && method <= VESDE_METHOD_DPMPP2S ? 2 * MANY - 1 : MANY));
            double sum = 0, squares = 0, worst = 0;
            for (size_t i = 0; i < MOST_LEN; ++i) {
                const double exact = 0.5 + (first[i] - 0.5) * sqrt(0.01 / (100 + 0.01)), off = job.sample[i] - 0.5;
                worst = fmax(worst, fabs(job.sample[i] - exact));
                sum += off;
                squares += off * off;
            }
            CHECK(fabs(sum / MOST_LEN) < 0.02 && sqrt(squares / MOST_LEN) > 0.08 && sqrt(squares / MOST_LEN) < 0.12);
            CHECK(is_noisy ? worst > 0.05 : worst < (method == VESDE_METHOD_EULER ? 0.05 : 0.005));
        }
    }
}

int main(int argc, char **argv) {
    const int thinning = argc > 1 ? atoi(argv[1]) : 1;  // so many times fewer jobs, for emulators
    make_tables();
    every_job_is_its_plans(thinning > 0 ? thinning : 1);
    *context = '\0';
    samplers_come_to_the_data();
    return report();
}
