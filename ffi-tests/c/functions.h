// A table of all functions of vesde.h: what each parameter is, and what the inputs hold. Loops over
// it try something with every function.

#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <math.h>
#include <stdarg.h>

#include "check.h"

enum { LEN = 24, BATCH = 3, MOST = 200 };

// How many elements the inputs' content has. A program may define it.
#ifndef ROOM
#define ROOM MOST
#endif

// ---- what the inputs hold ----

static vesde_config config;
static vesde_scheduler scheduler;
// the schedule has the first MOST timesteps
static float timesteps[ROOM], sigmas[MOST], discrete_sigmas[MOST];
static float model_output[ROOM], sample[ROOM], noise[ROOM], history[VESDE_MOST_TERMS - 2][ROOM];
static float image[3 * ROOM], gray[3 * ROOM], image_noise[3 * ROOM];  // as many pixels
static int64_t indices[ROOM];
static double norms[ROOM];
static const char json[] = "{\"_class_name\": \"ScoreSdeVeScheduler\", \"snr\": 0.25, \"unknown\": [null]}";
static vesde_generator counters[BATCH], torch_cpus[BATCH], torch_cudas[BATCH], numpys[BATCH];
static const char gpu[] = "NVIDIA H200";
static vesde_cuda_grid grid = {132, 2048};
static uint64_t draw_len = 1000000, draw_start = 12345;
static vesde_sampler_options options;
// at a corrector step, which has its score and now asks for noise
static vesde_sampler sampler;
static vesde_sampler started;  // a job from a given sample, at its beginning
static float table[MOST + 1];  // sigmas that fall to 0
// Plans of jobs along the table: of one kernel that keeps, of two sums that are kept, and of one
// that clamps the denoised sample.
static vesde_plan plan_keeping, plan_correcting, plan_clamping;
static vesde_ode_options ode_options;
// Jobs that have the score of a step's last derivative: without a divergence, and with one by a
// product or by differences, with the caller's noise and probe; and one that has its noise.
static vesde_ode ode, ode_product, ode_differences, ode_prior;
static float probe[ROOM], derivatives[6 * ROOM];
static double log_densities[9], totals[2];
static vesde_ode_reduction reduction, reduction_product;
static vesde_ode_plan plan, plan_differences;

// Close to the end of its stream, so that a huge length is one too many.
static vesde_counter counter = {42, 7, UINT64_MAX - 1000};
static int32_t averaging = VESDE_AVERAGING_BATCH, norm = VESDE_NORM_EXACT, clamped = 1;
static int32_t predictor = VESDE_PREDICTOR_REVERSE_DIFFUSION;
static int32_t given_kind = VESDE_NOISE_KIND_GIVEN, counter_kind = VESDE_NOISE_KIND_COUNTER;
static int32_t generator_kind = VESDE_GENERATOR_KIND_TORCH_CUDA;
static float timestep = 0.5f, diffusion = 1.25f;
static const float factors[VESDE_MOST_TERMS + 1] = {1, 0.75f, -1.25f, 0.5f, 1, -0.375f, 3, 0.0625f, -1};

// A job that has made `asked` requests of a stage, or for noise if `stage` is 0, and those before.
static inline vesde_ode ode_at(int32_t divergence, uint32_t stage, int asked) {
    static float x[MOST], input[MOST], workspace[6 * MOST];
    double densities[9];
    const vesde_ode_buffers job = {x, input, model_output, MOST, noise, probe, history[0], workspace, 0, densities, 9, 0};
    vesde_ode_options here = ode_options;
    vesde_ode made;
    vesde_ode_request request;
    here.divergence = divergence;
    OK(vesde_ode_init(&config, 1, &here, &made));
    for (int calls = 0; calls < 100 && asked > 0; ++calls) {
        OK(vesde_ode_next(&made, &job, &request));
        asked -= stage == 0 ? request.kind == VESDE_ODE_REQUEST_KIND_NOISE : request.stage == stage;
    }
    CHECK(asked == 0);
    return made;
}

static inline void prepare_odes(void) {
    vesde_ode_request request;
    double densities[9] = {0};
    vesde_ode next;
    const vesde_counter content = {2, 0, 0};
    OK(vesde_counter_fill(content, 6 * ROOM, derivatives));
    for (size_t i = 0; i < ROOM; ++i) {
        probe[i] = noise[i] < 0 ? -1.0f : 1.0f;
    }
    for (size_t i = 0; i < 9; ++i) {
        log_densities[i] = 0.25 * (double)i - 1;
    }
    totals[0] = 1e-3;
    ode_options = (vesde_ode_options){.seed = 5, .noise = VESDE_SAMPLER_NOISE_GIVEN, .probe = VESDE_SAMPLER_NOISE_GIVEN};
    ode = ode_at(VESDE_DIVERGENCE_NONE, 7, 1);
    ode_product = ode_at(VESDE_DIVERGENCE_PRODUCT, 7, 1);
    ode_differences = ode_at(VESDE_DIVERGENCE_DIFFERENCES, 7, 2);
    ode_prior = ode_at(VESDE_DIVERGENCE_NONE, 0, 1);
    OK(vesde_ode_get_reduction(&ode, MOST, &reduction));
    OK(vesde_ode_get_reduction(&ode_product, MOST, &reduction_product));
    CHECK(reduction.sums == VESDE_ODE_SUMS_KIND_ERROR && reduction_product.dots == VESDE_ODE_DOTS_KIND_PRODUCT);
    next = ode;
    OK(vesde_ode_next_plan(&next, MOST, totals, NULL, 0, &plan, &request));
    next = ode_differences;
    OK(vesde_ode_next_plan(&next, MOST, totals, densities, 9, &plan_differences, &request));
    CHECK(plan.sample == VESDE_ODE_SAMPLE_KIND_INPUT && plan_differences.sample == VESDE_ODE_SAMPLE_KIND_SUM);
    CHECK(plan_differences.shift == VESDE_ODE_SHIFT_KIND_PROBE);
}

// The plan of a job along the table at the score of step `step`.
static inline vesde_plan plan_at(vesde_sampler_options how, size_t step) {
    const vesde_scheduler along = {config, NULL, 0, table, MOST + 1, NULL, 0};
    vesde_sampler made;
    vesde_plan last = {.terms_len = 0};
    vesde_request request = {.kind = VESDE_REQUEST_KIND_NOISE};
    OK(vesde_sampler_init(&config, 1, &how, &made));
    for (int turn = 0; turn < 100; ++turn) {
        const int is_there = request.kind == VESDE_REQUEST_KIND_SCORE && request.step == step;
        OK(vesde_sampler_plan(&made, &along, &last, &request));
        if (is_there) {
            return last;
        }
    }
    CHECK(!"no such step");
    return last;
}

static inline void prepare(void) {
    vesde_counter content = {1, 0, 0};
    float *buffers[] = {model_output, sample, noise};
    for (size_t i = 0; i < VESDE_MOST_TERMS + 1; ++i, ++content.stream) {
        OK(vesde_counter_fill(content, ROOM, i < 3 ? buffers[i] : history[i - 3]));
    }
    float *images[] = {image, gray, image_noise};
    for (size_t i = 0; i < 3; ++i, ++content.stream) {
        OK(vesde_counter_fill(content, 3 * ROOM, images[i]));
    }
    OK(vesde_config_default(&config));
    OK(vesde_set_timesteps(&config, MOST, timesteps));
    OK(vesde_set_sigmas(&config, timesteps, MOST, MOST, sigmas, discrete_sigmas));
    for (size_t i = 0; i < ROOM; ++i) {
        timesteps[i] = timesteps[i % MOST];
        norms[i] = 1.5 * (1 + (i + 1) % 3);
        indices[i] = (int64_t[]){0, MOST - 1, 7}[i % 3];
    }
    scheduler = (vesde_scheduler){config, timesteps, MOST, sigmas, MOST, discrete_sigmas, MOST};
    vesde_generator *const kinds[] = {counters, torch_cpus, torch_cudas, numpys};
    for (int32_t kind = 0; kind < 4; ++kind) {
        for (uint64_t i = 0; i < BATCH; ++i) {
            OK(vesde_generator_seed(kind, 42 + i, &grid, &kinds[kind][i]));
        }
    }

    static float scratch[MOST];
    const vesde_buffers job = {.sample = scratch, .model_output = model_output, .len = MOST, .noise = noise};
    vesde_request request;
    options = (vesde_sampler_options){0};
    options.noise = VESDE_SAMPLER_NOISE_GIVEN;
    OK(vesde_sampler_init(&config, 1, &options, &sampler));
    options.start = VESDE_SAMPLER_START_GIVEN;
    OK(vesde_sampler_init(&config, 1, &options, &started));
    options.start = VESDE_SAMPLER_START_NOISE;
    for (int turn = 0; turn < 3; ++turn) {
        OK(vesde_sampler_next(&sampler, &scheduler, &job, &request));
        CHECK(request.kind == (turn == 1 ? VESDE_REQUEST_KIND_SCORE : VESDE_REQUEST_KIND_NOISE));
        CHECK(request.draw == (turn == 2));
    }
    OK(vesde_set_karras_sigmas(config.sigma_min, 10, 7, MOST, table));
    plan_keeping = plan_at((vesde_sampler_options){.seed = 3, .method = VESDE_METHOD_DPMPP2M, .eta = 1}, 3);
    plan_correcting = plan_at((vesde_sampler_options){.method = VESDE_METHOD_UNIPC2}, 2);
    plan_clamping = plan_at((vesde_sampler_options){.seed = 4, .method = VESDE_METHOD_DPMPP2M, .eta = 1,
                                                    .prediction = VESDE_PREDICTION_V, .denoised_clamped = 1,
                                                    .denoised_low = -1, .denoised_high = 1}, 2);
    CHECK(plan_keeping.keeps_len == 1 && plan_keeping.terms_len == 3 && plan_keeping.noise_factor != 0);
    CHECK(plan_correcting.keeps_len == 2 && plan_correcting.has_denoised && plan_clamping.denoised_clamped);
    prepare_odes();
}

// ---- the table ----

// IN_APART is an input that no output may overlap, not even exactly. IDLE is an output that may be
// no input; for now it is neither read nor written. BUILT is a struct of buffers and lengths. A
// call takes a copy of it, so that what the call only writes may lie there. OUT_APART is an output
// that may be no input, since it is written before inputs are read.
enum role { IN, IN_APART, BUILT, OUT, OUT_APART, IDLE, IN_OUT };

struct parameter {
    enum role role;
    size_t size;          // of one element
    int length;           // which of the lengths, or ONE
    vesde_status null;    // the status of NULL
    const void *content;  // of an input
    // Makes a struct of the parameters behind it, which are what its pointers point to.
    void (*build)(void **p, const size_t *n, void *to);
};

enum { ONE = -1, PARAMETERS = VESDE_MOST_TERMS + 4, LENGTHS = 3 };

struct length {
    size_t value;
    vesde_status huge;   // the status of a length that no memory has
    vesde_status empty;  // the status of 0
};

// A function has a row for each kind of its noise, or of its generators.
struct function {
    const char *name;
    vesde_status (*call)(void **p, const size_t *n);
    struct length lengths[LENGTHS];
    struct parameter parameters[PARAMETERS];
};

// The noise of a call: the numbers, or counter noise, which looks at no pointer.
static inline vesde_noise noise_given(const void *numbers) {
    vesde_noise made = vesde_given_noise(numbers);
    made.kind = given_kind;
    return made;
}

static inline vesde_noise noise_counter(void) {
    vesde_noise made = vesde_counter_noise(counter);
    made.kind = counter_kind;
    return made;
}

// The same, set field by field in a struct of zeros: all of its bytes are compared, those between
// fields included.
static inline void set_noise(vesde_noise *to, int32_t kind, const float *given) {
    to->kind = kind == VESDE_NOISE_KIND_GIVEN ? given_kind : counter_kind;
    to->given = given;
    to->counter = counter;
}

static inline void build_step(void **p, const size_t *n, int32_t kind, void *to) {
    vesde_step step;
    memset(&step, 0, sizeof step);
    step.model_output = *p++;
    step.sample = *p++;
    step.len = n[0];
    step.batch = n[1];
    set_noise(&step.noise, kind, kind == VESDE_NOISE_KIND_GIVEN ? *p++ : NULL);
    step.prev_sample = p[0];
    step.prev_sample_mean = p[1];
    step.predictor = predictor;
    memcpy(to, &step, sizeof step);
}

static void step_given(void **p, const size_t *n, void *to) {
    build_step(p, n, VESDE_NOISE_KIND_GIVEN, to);
}

static void step_counter(void **p, const size_t *n, void *to) {
    build_step(p, n, VESDE_NOISE_KIND_COUNTER, to);
}

// Two terms and noise are an update. One term is copied; it and noise alone have no mean.
static inline void build_combination(void **p, const size_t *n, size_t terms_len, int32_t kind, void *to) {
    vesde_combination sum;
    memset(&sum, 0, sizeof sum);
    for (size_t i = 0; i < terms_len; ++i) {
        sum.terms[i].factor = factors[i + (terms_len > 2)];
        sum.terms[i].buffer = *p++;
    }
    sum.terms_len = terms_len;
    sum.len = n[0];
    if (kind != VESDE_NOISE_KIND_NONE) {
        set_noise(&sum.noise, kind, kind == VESDE_NOISE_KIND_GIVEN ? *p++ : NULL);
        sum.noise_factor = diffusion;
    }
    if (terms_len > 2) {
        sum.clamped = clamped;
        sum.clamp_low = -1.5f;
        sum.clamp_high = 1.75f;
    }
    sum.out = p[0];
    sum.mean = terms_len > 1 ? p[1] : NULL;
    memcpy(to, &sum, sizeof sum);
}

#define COMBINATION(name, terms_len, kind)                                     \
    static void linear_##name(void **p, const size_t *n, void *to) {           \
        build_combination(p, n, terms_len, VESDE_NOISE_KIND_##kind, to);       \
    }

COMBINATION(given, VESDE_MOST_TERMS, GIVEN)
COMBINATION(counter, 3, COUNTER)
COMBINATION(update, 2, GIVEN)
COMBINATION(update_counter, 2, COUNTER)
COMBINATION(copy, 1, NONE)
COMBINATION(noise, 0, GIVEN)
COMBINATION(noise_counter, 0, COUNTER)

// A mask of n[1] floats, if there are two lengths, or of as many as the sample has.
static inline void build_imputation(void **p, const size_t *n, size_t mask_len, int32_t kind, void *to) {
    vesde_imputation made;
    memset(&made, 0, sizeof made);
    made.data = *p++;
    made.mask = *p++;
    made.mask_len = mask_len;
    made.sample = *p++;
    made.len = n[0];
    if (kind != VESDE_NOISE_KIND_NONE) {
        set_noise(&made.noise, kind, kind == VESDE_NOISE_KIND_GIVEN ? *p++ : NULL);
        made.sigma = diffusion;
    }
    made.out = *p;
    memcpy(to, &made, sizeof made);
}

static void impute_given(void **p, const size_t *n, void *to) {
    build_imputation(p, n, n[1], VESDE_NOISE_KIND_GIVEN, to);
}

static void impute_counter(void **p, const size_t *n, void *to) {
    build_imputation(p, n, n[0], VESDE_NOISE_KIND_COUNTER, to);
}

static void impute_alone(void **p, const size_t *n, void *to) {
    build_imputation(p, n, n[0], VESDE_NOISE_KIND_NONE, to);
}

// The lengths of images are in pixels of the whole batch.
static inline void build_recolouring(void **p, const size_t *n, int32_t kind, void *to) {
    vesde_recolouring made;
    memset(&made, 0, sizeof made);
    made.gray = *p++;
    made.sample = *p++;
    made.len = 3 * n[0];
    made.batch = n[1];
    if (kind != VESDE_NOISE_KIND_NONE) {
        set_noise(&made.noise, kind, kind == VESDE_NOISE_KIND_GIVEN ? *p++ : NULL);
        made.sigma = diffusion;
    }
    made.out = *p;
    memcpy(to, &made, sizeof made);
}

static void recolour_given(void **p, const size_t *n, void *to) {
    build_recolouring(p, n, VESDE_NOISE_KIND_GIVEN, to);
}

static void recolour_counter(void **p, const size_t *n, void *to) {
    build_recolouring(p, n, VESDE_NOISE_KIND_COUNTER, to);
}

static void recolour_alone(void **p, const size_t *n, void *to) {
    build_recolouring(p, n, VESDE_NOISE_KIND_NONE, to);
}

// The sample, the model output, noise or none, a workspace of n[1] floats, and the denoised sample.
static inline void build_job(void **p, size_t len, int has_noise, size_t workspace_len, void *to) {
    vesde_buffers job;
    memset(&job, 0, sizeof job);
    job.sample = *p++;
    job.model_output = *p++;
    job.len = len;
    job.noise = has_noise ? *p++ : NULL;
    job.workspace = *p++;
    job.workspace_len = workspace_len;
    job.denoised = *p;
    memcpy(to, &job, sizeof job);
}

static void job_buffers(void **p, const size_t *n, void *to) {
    build_job(p, n[0], 1, n[1], to);
}

// The parameters are the buffers, then what is drawn, then the generators.
static void job_drawing(void **p, const size_t *n, void *to) {
    const vesde_buffers job = {p[0], p[1], n[0], NULL, p[5], n[1], p[2]};
    memcpy(to, &job, sizeof job);
}

// As much history as a plan has.
static void job_of_plan(void **p, const size_t *n, void *to) {
    build_job(p, n[0], 0, n[0], to);
}

static void job_of_plan_given(void **p, const size_t *n, void *to) {
    build_job(p, n[0], 1, n[0], to);
}

static void job_of_plan_correcting(void **p, const size_t *n, void *to) {
    build_job(p, n[0], 0, n[0] > ROOM ? n[0] : 3 * n[0], to);
}

// What an ODE job has besides the buffers that all have.
enum { HAS_NOISE = 1, HAS_PROBE = 2, HAS_PRODUCT = 4, HAS_DENSITIES = 8 };

static inline void build_ode(void **p, const size_t *n, int has, void *to) {
    vesde_ode_buffers job;
    memset(&job, 0, sizeof job);
    job.sample = *p++;
    job.input = *p++;
    job.model_output = *p++;
    job.len = n[0];
    job.noise = has & HAS_NOISE ? *p++ : NULL;
    job.probe = has & HAS_PROBE ? *p++ : NULL;
    job.product = has & HAS_PRODUCT ? *p++ : NULL;
    job.workspace = *p++;
    job.log_densities = has & HAS_DENSITIES ? *p : NULL;
    job.log_densities_len = has & HAS_DENSITIES ? 9 : 0;
    memcpy(to, &job, sizeof job);
}

#define ODE_JOB(name, has)                                          \
    static void job_##name(void **p, const size_t *n, void *to) {   \
        build_ode(p, n, has, to);                                   \
    }

ODE_JOB(ode, 0)
ODE_JOB(prior, HAS_NOISE)
ODE_JOB(shift, HAS_PROBE)
ODE_JOB(dots, HAS_PROBE | HAS_PRODUCT)
ODE_JOB(differences, HAS_PROBE | HAS_DENSITIES)
ODE_JOB(product, HAS_NOISE | HAS_PROBE | HAS_PRODUCT | HAS_DENSITIES)

// Structs of which a call takes a copy.
#define COPIED(object)                                              \
    static void copied_##object(void **p, const size_t *n, void *to) { \
        (void)p;                                                    \
        (void)n;                                                    \
        memcpy(to, &object, sizeof object);                         \
    }

COPIED(reduction)
COPIED(reduction_product)
COPIED(plan)
COPIED(plan_differences)
COPIED(totals)

#define CALL_AS(row, name, ...)                                     \
    static vesde_status row(void **p, const size_t *n) {            \
        (void)n;                                                    \
        return vesde_##name(__VA_ARGS__);                           \
    }
#define CALL(name, ...) CALL_AS(name, name, __VA_ARGS__)

CALL(config_default, p[0])
CALL(config_validate, p[0])
CALL(config_from_json, p[0], n[0], p[1])
CALL(config_to_json, p[0], p[1], n[0], p[2])
CALL(init_noise_sigma, p[0], p[1])
CALL(set_timesteps, p[0], n[0], p[1])
CALL(set_sigmas, p[0], p[1], n[0], n[1], p[2], p[3])
CALL(get_timestep_index, p[0], timestep, p[1])
CALL(get_adjacent_sigma, p[0], 5, p[1])
CALL(get_predictor_step, p[0], predictor, timestep, p[1])
CALL(set_ncsnv2_sigmas, p[0], n[0], p[1])
CALL(set_geometric_sigmas, 0.01, 50.0, n[0], p[0])
CALL(set_karras_sigmas, 0.01, 50.0, 7.0, n[0], p[0])
CALL(get_sigma, p[0], timestep, p[1])
CALL(get_timestep, p[0], 2.5, p[1])
CALL(get_diffusion, p[0], 2.5f, p[1])
CALL(step_pred, p[0], p[1], n[2], p[2])
CALL(step_correct, p[0], averaging, norm, p[1])
CALL(add_noise, p[0], p[1], n[0], n[1], p[2], n[2], noise_given(p[3]), p[4])
CALL_AS(add_noise_counter, add_noise, p[0], p[1], n[0], n[1], p[2], n[2], noise_counter(), p[3])
CALL(linear, p[0])
CALL(impute, p[0])
CALL(recolour, p[0])
CALL(decouple, p[0], 3 * n[0], n[1], p[1])
CALL(couple, p[0], 3 * n[0], n[1], p[1])
CALL(guide, p[0], p[1], 1.5f, n[0], p[2])
CALL(tweedie, p[0], p[1], 2.5f, n[0], p[2])
CALL(sum_squares, noise_given(p[0]), n[0], n[1], p[1])
CALL_AS(sum_squares_counter, sum_squares, noise_counter(), n[0], n[1], p[0])
CALL(sample_norm, p[0], n[0], p[1])
CALL(torch_norm, noise_given(p[0]), n[0], p[1])
CALL_AS(torch_norm_counter, torch_norm, noise_counter(), n[0], p[0])
CALL(mean_norm, p[0], n[0], norm, p[1])
CALL(get_corrector_step, 0.15, 3.0, 4.0, norm, p[0])
CALL(get_annealed_step, 0.5f, 2.0f, p[0])
CALL(counter_fill, counter, n[0], p[0])
CALL(cuda_grid_of_gpu, p[0], n[0], p[1])
CALL(generator_seed, generator_kind, 42, p[0], p[1])
CALL(randn, p[0], n[1], n[0], p[1])
CALL_AS(call_rand, rand, p[0], n[0], p[1])
CALL(rademacher, p[0], n[0], p[1])
CALL(generator_fill_part, p[0], draw_len, draw_start, n[0], p[1])
CALL(generator_skip, p[0], draw_len)
CALL(sampler_init, p[0], n[0], p[1], p[2])
CALL(sampler_plan, p[0], p[1], p[2], p[3])
CALL(run_plan, p[0], p[1], 0, n[0])
CALL(sampler_next, p[0], p[1], p[2], p[8])
CALL(sampler_next_drawing, p[0], p[1], p[2], p[7], 1, p[6], p[9])
CALL(sampler_workspace_len, p[0], LEN, p[1])
CALL(ode_init, p[0], n[0], p[1], p[2])
CALL(ode_workspace_len, p[0], LEN, p[1])
CALL(ode_log_densities_len, p[0], p[1])
CALL(ode_get_probe, p[0], p[1])
CALL(ode_get_stats, p[0], p[1])
CALL(ode_next, p[0], p[1], p[6])
CALL_AS(ode_next_prior, ode_next, p[0], p[1], p[7])
CALL_AS(ode_next_product, ode_next, p[0], p[1], p[10])
CALL_AS(ode_next_differences, ode_next, p[0], p[1], p[8])
CALL(ode_get_reduction, p[0], n[0], p[1])
CALL(ode_sums_values, p[0], p[1])
CALL(ode_sums, p[0], p[1], n[1], p[6])
CALL(ode_dots, p[0], p[1], n[1], p[8])
CALL(ode_next_plan, p[0], n[0], p[1], p[2], 9, p[3], p[4])
CALL(ode_run, p[0], p[1])
CALL(get_log_likelihood, 50.0, p[0], n[0], -2.5, p[1])

#define NULL_IS VESDE_ERROR_NULL_POINTER
#define GET(object) {IN, sizeof(object), ONE, NULL_IS, &(object), NULL}
#define MAKE(type) {OUT, sizeof(type), ONE, NULL_IS, NULL, NULL}
#define CHANGE(object) {IN_OUT, sizeof(object), ONE, NULL_IS, &(object), NULL}
#define CHANGE_ALL(array, length) {IN_OUT, sizeof *(array), length, NULL_IS, array, NULL}
#define READ(array, length) {IN, sizeof *(array), length, NULL_IS, array, NULL}
#define PIXELS(array, length) {IN, 3 * sizeof *(array), length, NULL_IS, array, NULL}
#define READ_APART(array, length) {IN_APART, sizeof *(array), length, NULL_IS, array, NULL}
#define WRITE(type, length) {OUT, sizeof(type), length, NULL_IS, NULL, NULL}
#define BUILD(type, build) {BUILT, sizeof(type), ONE, NULL_IS, NULL, build}
#define PREV {OUT, sizeof(float), 0, NULL_IS, NULL, NULL}
#define MEAN {OUT, sizeof(float), 0, VESDE_OK, NULL, NULL}
#define SAMPLE {IN_OUT, sizeof(float), 0, NULL_IS, sample, NULL}
#define WORKSPACE(length) {IDLE, sizeof(float), length, NULL_IS, NULL, NULL}
#define HISTORY(count) {IN_OUT, (count) * sizeof(float), 0, NULL_IS, derivatives, NULL}
#define DENOISED {OUT_APART, sizeof(float), 0, VESDE_OK, NULL, NULL}
#define NO_DENOISED {IDLE, sizeof(float), 0, VESDE_OK, NULL, NULL}
#define INPUT {IN_OUT, sizeof(float), 0, NULL_IS, history[1], NULL}
#define DERIVATIVES {IN_OUT, 6 * sizeof(float), 0, NULL_IS, derivatives, NULL}
#define READ_SIX(array, length) {IN_APART, 6 * sizeof *(array), length, NULL_IS, array, NULL}
#define READ_IF_ANY(array, length) {IN_APART, sizeof *(array), length, VESDE_OK, array, NULL}

#define LENS {LEN, VESDE_ERROR_TOO_LARGE, VESDE_ERROR_EMPTY}
#define DRAWN {LEN, VESDE_ERROR_TOO_LARGE, VESDE_OK}
#define TABLE {BATCH, VESDE_ERROR_TOO_LARGE, VESDE_ERROR_EMPTY}
// A batch, with no buffer of that length.
#define SPLIT {BATCH, VESDE_ERROR_LENGTH_MISMATCH, VESDE_ERROR_EMPTY}
// Lengths that no buffer has.
#define ANY_BATCH {BATCH, VESDE_OK, VESDE_ERROR_EMPTY}
#define ANY_LENGTH {LEN, VESDE_OK, VESDE_ERROR_EMPTY}
#define BLOCKS {1, VESDE_ERROR_TOO_LARGE, VESDE_ERROR_EMPTY}
#define TEXT(size) {size, VESDE_ERROR_TOO_LARGE, VESDE_ERROR_EMPTY}
#define NONE {0, VESDE_OK, VESDE_OK}

static const struct function functions[] = {
    {"config_default", config_default, {NONE}, {MAKE(vesde_config)}},
    {"config_validate", config_validate, {NONE}, {GET(config)}},
    {"config_from_json", config_from_json, {TEXT(sizeof json - 1)},
     {READ(json, 0), MAKE(vesde_config)}},
    {"config_to_json", config_to_json, {TEXT(512)}, {GET(config), WRITE(char, 0), MAKE(size_t)}},
    {"init_noise_sigma", init_noise_sigma, {NONE}, {GET(config), MAKE(float)}},
    {"set_timesteps", set_timesteps, {LENS}, {GET(config), WRITE(float, 0)}},
    {"set_sigmas", set_sigmas, {LENS, TABLE}, {GET(config), READ(timesteps, 0), WRITE(float, 0), WRITE(float, 1)}},
    {"get_timestep_index", get_timestep_index, {NONE}, {GET(scheduler), MAKE(size_t)}},
    {"get_adjacent_sigma", get_adjacent_sigma, {NONE}, {GET(scheduler), MAKE(float)}},
    {"get_predictor_step", get_predictor_step, {NONE}, {GET(scheduler), MAKE(vesde_predictor_step)}},
    {"set_ncsnv2_sigmas", set_ncsnv2_sigmas, {LENS}, {GET(config), WRITE(float, 0)}},
    {"set_geometric_sigmas", set_geometric_sigmas, {LENS}, {WRITE(float, 0)}},
    {"set_karras_sigmas", set_karras_sigmas, {LENS}, {WRITE(float, 0)}},
    {"get_sigma", get_sigma, {NONE}, {GET(config), MAKE(float)}},
    {"get_timestep", get_timestep, {NONE}, {GET(config), MAKE(double)}},
    {"get_diffusion", get_diffusion, {NONE}, {GET(config), MAKE(float)}},
    {"step_pred", step_pred, {LENS, SPLIT, TABLE},
     {GET(scheduler), READ_APART(timesteps, 2), BUILD(vesde_step, step_given), READ(model_output, 0), READ(sample, 0),
      READ(noise, 0), PREV, MEAN}},
    {"step_pred_counter", step_pred, {LENS, SPLIT, TABLE},
     {GET(scheduler), READ_APART(timesteps, 2), BUILD(vesde_step, step_counter), READ(model_output, 0), READ(sample, 0),
      PREV, MEAN}},
    {"step_correct", step_correct, {LENS, SPLIT},
     {GET(scheduler), BUILD(vesde_step, step_given), READ(model_output, 0), READ(sample, 0), READ(noise, 0), PREV,
      MEAN}},
    {"step_correct_counter", step_correct, {LENS, SPLIT},
     {GET(scheduler), BUILD(vesde_step, step_counter), READ(model_output, 0), READ(sample, 0), PREV, MEAN}},
    {"add_noise", add_noise, {LENS, SPLIT, TABLE},
     {GET(scheduler), READ(sample, 0), READ_APART(indices, 2), READ(noise, 0), WRITE(float, 0)}},
    {"add_noise_counter", add_noise_counter, {LENS, SPLIT, TABLE},
     {GET(scheduler), READ(sample, 0), READ_APART(indices, 2), WRITE(float, 0)}},
    {"linear", linear, {LENS},
     {BUILD(vesde_combination, linear_given), READ(sample, 0), READ(model_output, 0), READ(history[0], 0),
      READ(history[1], 0), READ(history[2], 0), READ(history[3], 0), READ(history[4], 0), READ(history[5], 0),
      READ(noise, 0), PREV, MEAN}},
    {"linear_counter", linear, {LENS},
     {BUILD(vesde_combination, linear_counter), READ(sample, 0), READ(model_output, 0), READ(history[0], 0), PREV,
      MEAN}},
    {"linear_update", linear, {LENS},
     {BUILD(vesde_combination, linear_update), READ(sample, 0), READ(model_output, 0), READ(noise, 0), PREV, MEAN}},
    {"linear_update_counter", linear, {LENS},
     {BUILD(vesde_combination, linear_update_counter), READ(sample, 0), READ(model_output, 0), PREV, MEAN}},
    {"linear_copy", linear, {LENS}, {BUILD(vesde_combination, linear_copy), READ(sample, 0), WRITE(float, 0)}},
    {"linear_noise", linear, {LENS}, {BUILD(vesde_combination, linear_noise), READ(noise, 0), WRITE(float, 0)}},
    {"linear_noise_counter", linear, {LENS}, {BUILD(vesde_combination, linear_noise_counter), WRITE(float, 0)}},
    {"impute", impute, {LENS, TABLE},
     {BUILD(vesde_imputation, impute_given), READ(history[0], 0), READ_APART(history[1], 1), READ(sample, 0),
      READ(noise, 0), WRITE(float, 0)}},
    {"impute_counter", impute, {LENS},
     {BUILD(vesde_imputation, impute_counter), READ(history[0], 0), READ(history[1], 0), READ(sample, 0),
      WRITE(float, 0)}},
    {"impute_alone", impute, {LENS},
     {BUILD(vesde_imputation, impute_alone), READ(history[0], 0), READ(history[1], 0), READ(sample, 0),
      WRITE(float, 0)}},
    {"recolour", recolour, {LENS, SPLIT},
     {BUILD(vesde_recolouring, recolour_given), PIXELS(gray, 0), PIXELS(image, 0), PIXELS(image_noise, 0),
      WRITE(float[3], 0)}},
    {"recolour_counter", recolour, {LENS, SPLIT},
     {BUILD(vesde_recolouring, recolour_counter), PIXELS(gray, 0), PIXELS(image, 0), WRITE(float[3], 0)}},
    {"recolour_alone", recolour, {LENS, SPLIT},
     {BUILD(vesde_recolouring, recolour_alone), PIXELS(gray, 0), PIXELS(image, 0), WRITE(float[3], 0)}},
    {"decouple", decouple, {LENS, SPLIT}, {PIXELS(image, 0), WRITE(float[3], 0)}},
    {"couple", couple, {LENS, SPLIT}, {PIXELS(image, 0), WRITE(float[3], 0)}},
    {"guide", guide, {LENS}, {READ(model_output, 0), READ(history[0], 0), WRITE(float, 0)}},
    {"tweedie", tweedie, {LENS}, {READ(sample, 0), READ(model_output, 0), WRITE(float, 0)}},
    {"sum_squares", sum_squares, {LENS, BLOCKS}, {READ_APART(sample, 0), WRITE(double, 1)}},
    {"sum_squares_counter", sum_squares_counter, {LENS, BLOCKS}, {WRITE(double, 1)}},
    {"sample_norm", sample_norm, {TABLE}, {READ(norms, 0), MAKE(double)}},
    {"torch_norm", torch_norm, {LENS}, {READ(sample, 0), MAKE(double)}},
    {"torch_norm_counter", torch_norm_counter, {LENS}, {MAKE(double)}},
    {"mean_norm", mean_norm, {TABLE}, {READ(norms, 0), MAKE(double)}},
    {"get_corrector_step", get_corrector_step, {NONE}, {MAKE(vesde_corrector_step)}},
    {"get_annealed_step", get_annealed_step, {NONE}, {MAKE(vesde_corrector_step)}},
    {"counter_fill", counter_fill, {DRAWN}, {WRITE(float, 0)}},
    {"cuda_grid_of_gpu", cuda_grid_of_gpu, {TEXT(sizeof gpu - 1)},
     {READ(gpu, 0), MAKE(vesde_cuda_grid)}},
    {"generator_seed", generator_seed, {NONE}, {GET(grid), MAKE(vesde_generator)}},
    {"randn", randn, {DRAWN, TABLE}, {CHANGE_ALL(torch_cpus, 1), WRITE(float, 0)}},
    {"randn_torch_cuda", randn, {DRAWN, TABLE}, {CHANGE_ALL(torch_cudas, 1), WRITE(float, 0)}},
    {"randn_numpy", randn, {DRAWN, TABLE}, {CHANGE_ALL(numpys, 1), WRITE(float, 0)}},
    {"randn_counter", randn, {DRAWN, TABLE}, {CHANGE_ALL(counters, 1), WRITE(float, 0)}},
    {"rand", call_rand, {DRAWN}, {CHANGE(torch_cpus[0]), WRITE(float, 0)}},
    {"rademacher", rademacher, {DRAWN}, {CHANGE(torch_cpus[0]), WRITE(float, 0)}},
    {"rademacher_counter", rademacher, {DRAWN}, {CHANGE(counters[0]), WRITE(float, 0)}},
    {"generator_fill_part", generator_fill_part, {DRAWN}, {GET(torch_cudas[0]), WRITE(float, 0)}},
    {"generator_fill_part_counter", generator_fill_part, {DRAWN}, {GET(counters[0]), WRITE(float, 0)}},
    {"generator_skip", generator_skip, {NONE}, {CHANGE(torch_cudas[0])}},
    {"generator_skip_counter", generator_skip, {NONE}, {CHANGE(counters[0])}},
    {"sampler_init", sampler_init, {ANY_BATCH},
     {GET(config), GET(options), MAKE(vesde_sampler)}},
    {"sampler_plan", sampler_plan, {NONE}, {CHANGE(sampler), GET(scheduler), MAKE(vesde_plan), MAKE(vesde_request)}},
    {"sampler_next", sampler_next, {LENS, DRAWN},
     {CHANGE(sampler), GET(scheduler), BUILD(vesde_buffers, job_buffers), SAMPLE, READ(model_output, 0), READ(noise, 0),
      WORKSPACE(1), DENOISED, MAKE(vesde_request)}},
    // From a given sample, for which nothing is drawn.
    {"sampler_next_drawing", sampler_next_drawing, {LENS, DRAWN},
     {CHANGE(started), GET(scheduler), BUILD(vesde_buffers, job_drawing), SAMPLE, READ(model_output, 0), NO_DENOISED,
      WORKSPACE(0), CHANGE(torch_cpus[0]), WORKSPACE(1), MAKE(vesde_request)}},
    {"run_plan", run_plan, {LENS},
     {GET(plan_keeping), BUILD(vesde_buffers, job_of_plan), SAMPLE, READ(model_output, 0), HISTORY(1), DENOISED}},
    {"run_plan_correcting", run_plan, {LENS},
     {GET(plan_correcting), BUILD(vesde_buffers, job_of_plan_correcting), SAMPLE, READ(model_output, 0), HISTORY(3),
      DENOISED}},
    // If the noise is NULL, it is the plan's own.
    {"run_plan_clamping", run_plan, {LENS},
     {GET(plan_clamping), BUILD(vesde_buffers, job_of_plan_given), SAMPLE, READ(model_output, 0),
      {IN, sizeof(float), 0, VESDE_OK, noise, NULL}, HISTORY(1), DENOISED}},
    {"sampler_workspace_len", sampler_workspace_len, {NONE}, {GET(sampler), MAKE(size_t)}},
    {"ode_init", ode_init, {ANY_BATCH}, {GET(config), GET(ode_options), MAKE(vesde_ode)}},
    {"ode_workspace_len", ode_workspace_len, {NONE}, {GET(ode), MAKE(size_t)}},
    {"ode_log_densities_len", ode_log_densities_len, {NONE}, {GET(ode_product), MAKE(size_t)}},
    {"ode_get_probe", ode_get_probe, {NONE}, {GET(ode), MAKE(vesde_counter)}},
    {"ode_get_stats", ode_get_stats, {NONE}, {GET(ode), MAKE(vesde_ode_stats)}},
    {"ode_next", ode_next, {LENS},
     {CHANGE(ode), BUILD(vesde_ode_buffers, job_ode), SAMPLE, INPUT, READ_APART(model_output, 0), DERIVATIVES,
      MAKE(vesde_ode_request)}},
    {"ode_next_prior", ode_next_prior, {LENS},
     {CHANGE(ode_prior), BUILD(vesde_ode_buffers, job_prior), SAMPLE, INPUT, READ_APART(model_output, 0),
      READ_APART(noise, 0), DERIVATIVES, MAKE(vesde_ode_request)}},
    {"ode_next_product", ode_next_product, {LENS},
     {CHANGE(ode_product), BUILD(vesde_ode_buffers, job_product), SAMPLE, INPUT, READ_APART(model_output, 0),
      READ_IF_ANY(noise, 0), READ_APART(probe, 0), READ_APART(history[0], 0), DERIVATIVES, CHANGE(log_densities),
      MAKE(vesde_ode_request)}},
    {"ode_next_differences", ode_next_differences, {LENS},
     {CHANGE(ode_differences), BUILD(vesde_ode_buffers, job_differences), SAMPLE, INPUT, READ_APART(model_output, 0),
      READ_APART(probe, 0), DERIVATIVES, CHANGE(log_densities), MAKE(vesde_ode_request)}},
    {"ode_get_reduction", ode_get_reduction, {ANY_LENGTH}, {GET(ode), MAKE(vesde_ode_reduction)}},
    {"ode_sums_values", ode_sums_values, {NONE}, {GET(reduction), MAKE(size_t)}},
    {"ode_sums", ode_sums, {LENS, BLOCKS},
     {BUILD(vesde_ode_reduction, copied_reduction), BUILD(vesde_ode_buffers, job_ode), READ_APART(sample, 0),
      READ_APART(history[1], 0), READ_APART(model_output, 0), READ_SIX(derivatives, 0), WRITE(double, 1)}},
    {"ode_dots", ode_dots, {LENS, BLOCKS},
     {BUILD(vesde_ode_reduction, copied_reduction_product), BUILD(vesde_ode_buffers, job_dots), READ_APART(sample, 0),
      READ_APART(history[1], 0), READ_APART(model_output, 0), READ_APART(probe, 0), READ_APART(history[0], 0),
      READ_SIX(derivatives, 0), WRITE(double, 1)}},
    {"ode_next_plan", ode_next_plan, {ANY_LENGTH},
     {CHANGE(ode_product), BUILD(double[2], copied_totals), CHANGE(log_densities), MAKE(vesde_ode_plan),
      MAKE(vesde_ode_request)}},
    {"ode_run", ode_run, {LENS},
     {BUILD(vesde_ode_plan, copied_plan), BUILD(vesde_ode_buffers, job_ode), SAMPLE, INPUT,
      READ_APART(model_output, 0), DERIVATIVES}},
    {"ode_run_differences", ode_run, {LENS},
     {BUILD(vesde_ode_plan, copied_plan_differences), BUILD(vesde_ode_buffers, job_shift), SAMPLE, INPUT,
      READ_APART(model_output, 0), READ_APART(probe, 0), DERIVATIVES}},
    {"get_log_likelihood", get_log_likelihood, {LENS}, {READ(sample, 0), MAKE(vesde_log_likelihood)}},
};

#define EACH(f) \
    for (const struct function *f = functions; f < functions + sizeof functions / sizeof *functions; ++f)

static inline int parameters(const struct function *f) {
    int count = 0;
    while (count < PARAMETERS && f->parameters[count].size != 0) {
        ++count;
    }
    return count;
}

static inline int is_written(const struct parameter *x) {
    return x->role == OUT || x->role == OUT_APART || x->role == IN_OUT;
}

// The bytes of parameter `i`; where a length is more than ROOM, those of the usual length.
static inline size_t bytes_of(const struct function *f, int i, const size_t *n) {
    const struct parameter *x = &f->parameters[i];
    size_t usual = x->length == ONE ? 1 : f->lengths[x->length].value;
    return x->size * (x->length == ONE || n[x->length] > ROOM ? usual : n[x->length]);
}

// Fills the memory of parameter `i` with what a call is to find there.
static inline void fill(const struct function *f, int i, void **p, const size_t *n) {
    const struct parameter *x = &f->parameters[i];
    if (p[i] != NULL && x->role == BUILT) {
        x->build(p + i + 1, n, p[i]);
    } else if (p[i] != NULL && (x->role < OUT || x->role == IN_OUT)) {
        memcpy(p[i], x->content, bytes_of(f, i, n));
    }
}

// Copies the outputs of a call, one after the other, to `to`; returns how many bytes they have.
static inline size_t collect(const struct function *f, void **p, const size_t *n, unsigned char *to) {
    size_t len = 0;
    for (int i = 0; i < parameters(f); ++i) {
        if (p[i] != NULL && is_written(&f->parameters[i])) {
            memcpy(to + len, p[i], bytes_of(f, i, n));
            len += bytes_of(f, i, n);
        }
    }
    return len;
}

static inline void at(const struct function *f, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int len = snprintf(context, sizeof context, "%s: ", f->name);
    vsnprintf(context + len, sizeof context - (size_t)len, format, values);
    va_end(values);
}

#endif
