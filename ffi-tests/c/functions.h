// All functions of vesde.h in a table that says what each parameter is, and what their inputs hold: for loops that try
// something with every function.

#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <math.h>
#include <stdarg.h>

#include "check.h"

enum { LEN = 24, BATCH = 3, MOST = 200 };

// How many elements the inputs' content has, for those who define it.
#ifndef ROOM
#define ROOM MOST
#endif

// ---- what the inputs hold ----

static vesde_config config;
static vesde_scheduler scheduler;
static float timesteps[ROOM], sigmas[MOST], discrete_sigmas[MOST];  // of the timesteps the schedule has MOST
static float model_output[ROOM], sample[ROOM], noise[ROOM];
static int64_t indices[BATCH] = {0, MOST - 1, 7};
static double norms[ROOM];
static const char json[] = "{\"_class_name\": \"ScoreSdeVeScheduler\", \"snr\": 0.25, \"unknown\": [null]}";
static vesde_torch_cpu torch_cpus[BATCH];
static vesde_torch_cuda torch_cudas[BATCH];
static vesde_numpy numpys[BATCH];
static const char gpu[] = "NVIDIA H200";
static vesde_cuda_grid grid = {132, 2048};
static uint64_t draw_len = 1000000, draw_start = 12345;
static vesde_sampler_options options;
static vesde_sampler sampler;  // at a step of the corrector, which has its score and now asks for noise

// Close to the end of its stream, so that a huge length is one too many.
static vesde_counter counter = {42, 7, UINT64_MAX - 1000};
static int32_t averaging = VESDE_AVERAGING_BATCH, norm = VESDE_NORM_EXACT;
static float timestep = 0.5f, drift = 0.75f, diffusion = 1.25f;

static inline void prepare(void) {
    vesde_counter content = {1, 0, 0};
    float *buffers[] = {model_output, sample, noise};
    for (size_t i = 0; i < 3; ++i, ++content.stream) {
        OK(vesde_counter_fill(content, ROOM, buffers[i]));
    }
    OK(vesde_config_default(&config));
    OK(vesde_set_timesteps(&config, MOST, timesteps));
    OK(vesde_set_sigmas(&config, timesteps, MOST, MOST, sigmas, discrete_sigmas));
    for (size_t i = 0; i < ROOM; ++i) {
        timesteps[i] = timesteps[i % MOST];
        norms[i] = 1.5 * (1 + (i + 1) % 3);
    }
    scheduler = (vesde_scheduler){config, timesteps, MOST, sigmas, MOST, discrete_sigmas, MOST};
    for (int i = 0; i < BATCH; ++i) {
        OK(vesde_torch_cpu_seed(&torch_cpus[i], 42));
        OK(vesde_torch_cuda_seed(&torch_cudas[i], 42, grid));
        OK(vesde_numpy_seed(&numpys[i], 42));
    }

    static float scratch[MOST];
    vesde_request request;
    options = (vesde_sampler_options){0};
    options.noise = VESDE_SAMPLER_NOISE_GIVEN;
    OK(vesde_sampler_init(&config, 1, &options, &sampler));
    for (int turn = 0; turn < 3; ++turn) {
        OK(vesde_sampler_next(&sampler, &scheduler, model_output, noise, MOST, scratch, &request));
        CHECK(request.kind == (turn == 1 ? VESDE_REQUEST_KIND_SCORE : VESDE_REQUEST_KIND_NOISE));
        CHECK(request.draw == (turn == 2));
    }
}

// ---- the table ----

// IN_APART is an input that no output may overlap, not even exactly.
enum role { IN, IN_APART, OUT, IN_OUT };

struct parameter {
    enum role role;
    size_t size;          // of one element
    int length;           // which of the lengths, or ONE
    vesde_status null;    // the status of NULL
    const void *content;  // of an input
};

enum { ONE = -1, PARAMETERS = 7, LENGTHS = 2 };

struct length {
    size_t value;
    vesde_status huge;   // the status of a length that no memory has
    vesde_status empty;  // the status of 0
};

struct function {
    const char *name;
    vesde_status (*call)(void **p, const size_t *n);
    struct length lengths[LENGTHS];
    struct parameter parameters[PARAMETERS];
};

#define CALL(name, ...)                                             \
    static vesde_status name(void **p, const size_t *n) {           \
        (void)n;                                                    \
        return vesde_##name(__VA_ARGS__);                           \
    }

CALL(config_default, p[0])
CALL(config_validate, p[0])
CALL(config_from_json, p[0], n[0], p[1])
CALL(config_to_json, p[0], p[1], n[0], p[2])
CALL(init_noise_sigma, p[0], p[1])
CALL(set_timesteps, p[0], n[0], p[1])
CALL(set_sigmas, p[0], p[1], n[0], n[1], p[2], p[3])
CALL(get_timestep_index, p[0], timestep, p[1])
CALL(get_adjacent_sigma, p[0], 5, p[1])
CALL(get_predictor_step, p[0], timestep, p[1])
CALL(step_pred, p[0], p[1], p[2], n[1], p[3], p[4], n[0], p[5], p[6])
CALL(step_pred_counter, p[0], p[1], p[2], n[1], p[3], n[0], counter, p[4], p[5])
CALL(step_correct, p[0], p[1], p[2], p[3], n[0], n[1], averaging, norm, p[4], p[5])
CALL(step_correct_counter, p[0], p[1], p[2], n[0], n[1], averaging, norm, counter, p[3], p[4])
CALL(add_noise, p[0], p[1], p[2], n[1], p[3], n[0], p[4])
CALL(add_noise_counter, p[0], p[1], p[2], n[1], n[0], counter, p[3])
CALL(scale_model_input, p[0], n[0], p[1])
CALL(sum_squares, p[0], n[0], n[1], p[1])
CALL(sum_squares_counter, counter, n[0], n[1], p[0])
CALL(sample_norm, p[0], n[0], p[1])
CALL(torch_norm, p[0], n[0], p[1])
CALL(torch_norm_counter, counter, n[0], p[0])
CALL(mean_norm, p[0], n[0], norm, p[1])
CALL(get_corrector_step, 0.15, 3.0, 4.0, norm, p[0])
CALL(update, drift, diffusion, p[0], p[1], p[2], n[0], p[3], p[4])
CALL(update_counter, drift, diffusion, p[0], p[1], n[0], counter, p[2], p[3])
CALL(counter_fill, counter, n[0], p[0])
CALL(torch_cpu_seed, p[0], 42)
CALL(torch_cpu_fill, p[0], n[1], n[0], p[1])
CALL(cuda_grid_of_gpu, p[0], n[0], p[1])
CALL(torch_cuda_seed, p[0], 42, grid)
CALL(torch_cuda_fill, p[0], n[1], n[0], p[1])
CALL(torch_cuda_fill_part, p[0], draw_len, draw_start, n[0], p[1])
CALL(torch_cuda_skip, p[0], draw_len)
CALL(numpy_seed, p[0], 42)
CALL(numpy_fill, p[0], n[1], n[0], p[1])
CALL(sampler_init, p[0], n[0], p[1], p[2])
CALL(sampler_next, p[0], p[1], p[2], p[3], n[0], p[4], p[5])
CALL(sampler_plan, p[0], p[1], p[2], p[3])

#define NULL_IS VESDE_ERROR_NULL_POINTER
#define GET(object) {IN, sizeof(object), ONE, NULL_IS, &(object)}
#define MAKE(type) {OUT, sizeof(type), ONE, NULL_IS, NULL}
#define CHANGE(object) {IN_OUT, sizeof(object), ONE, NULL_IS, &(object)}
#define CHANGE_ALL(array, length) {IN_OUT, sizeof *(array), length, NULL_IS, array}
#define READ(array, length) {IN, sizeof *(array), length, NULL_IS, array}
#define READ_APART(array, length) {IN_APART, sizeof *(array), length, NULL_IS, array}
#define WRITE(type, length) {OUT, sizeof(type), length, NULL_IS, NULL}
#define PREV {OUT, sizeof(float), 0, NULL_IS, NULL}
#define MEAN {OUT, sizeof(float), 0, VESDE_OK, NULL}
#define SAMPLE {IN_OUT, sizeof(float), 0, NULL_IS, sample}

#define LENS {LEN, VESDE_ERROR_TOO_LARGE, VESDE_ERROR_EMPTY}
#define DRAWN {LEN, VESDE_ERROR_TOO_LARGE, VESDE_OK}
#define TABLE {BATCH, VESDE_ERROR_TOO_LARGE, VESDE_ERROR_EMPTY}
// A batch, with no buffer of that length.
#define SPLIT {BATCH, VESDE_ERROR_LENGTH_MISMATCH, VESDE_ERROR_EMPTY}
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
    {"step_pred", step_pred, {LENS, TABLE},
     {GET(scheduler), READ(model_output, 0), READ_APART(timesteps, 1), READ(sample, 0), READ(noise, 0), PREV, MEAN}},
    {"step_pred_counter", step_pred_counter, {LENS, TABLE},
     {GET(scheduler), READ(model_output, 0), READ_APART(timesteps, 1), READ(sample, 0), PREV, MEAN}},
    {"step_correct", step_correct, {LENS, SPLIT},
     {GET(scheduler), READ(model_output, 0), READ(sample, 0), READ(noise, 0), PREV, MEAN}},
    {"step_correct_counter", step_correct_counter, {LENS, SPLIT},
     {GET(scheduler), READ(model_output, 0), READ(sample, 0), PREV, MEAN}},
    {"add_noise", add_noise, {LENS, TABLE},
     {GET(scheduler), READ(sample, 0), READ_APART(indices, 1), READ(noise, 0), WRITE(float, 0)}},
    {"add_noise_counter", add_noise_counter, {LENS, TABLE},
     {GET(scheduler), READ(sample, 0), READ_APART(indices, 1), WRITE(float, 0)}},
    {"scale_model_input", scale_model_input, {LENS}, {READ(sample, 0), WRITE(float, 0)}},
    {"sum_squares", sum_squares, {LENS, BLOCKS}, {READ_APART(sample, 0), WRITE(double, 1)}},
    {"sum_squares_counter", sum_squares_counter, {LENS, BLOCKS}, {WRITE(double, 1)}},
    {"sample_norm", sample_norm, {TABLE}, {READ(norms, 0), MAKE(double)}},
    {"torch_norm", torch_norm, {LENS}, {READ(sample, 0), MAKE(double)}},
    {"torch_norm_counter", torch_norm_counter, {LENS}, {MAKE(double)}},
    {"mean_norm", mean_norm, {TABLE}, {READ(norms, 0), MAKE(double)}},
    {"get_corrector_step", get_corrector_step, {NONE}, {MAKE(vesde_corrector_step)}},
    {"update", update, {LENS}, {READ(model_output, 0), READ(sample, 0), READ(noise, 0), PREV, MEAN}},
    {"update_counter", update_counter, {LENS}, {READ(model_output, 0), READ(sample, 0), PREV, MEAN}},
    {"counter_fill", counter_fill, {DRAWN}, {WRITE(float, 0)}},
    {"torch_cpu_seed", torch_cpu_seed, {NONE}, {MAKE(vesde_torch_cpu)}},
    {"torch_cpu_fill", torch_cpu_fill, {DRAWN, TABLE}, {CHANGE_ALL(torch_cpus, 1), WRITE(float, 0)}},
    {"cuda_grid_of_gpu", cuda_grid_of_gpu, {TEXT(sizeof gpu - 1)},
     {READ(gpu, 0), MAKE(vesde_cuda_grid)}},
    {"torch_cuda_seed", torch_cuda_seed, {NONE}, {MAKE(vesde_torch_cuda)}},
    {"torch_cuda_fill", torch_cuda_fill, {DRAWN, TABLE}, {CHANGE_ALL(torch_cudas, 1), WRITE(float, 0)}},
    {"torch_cuda_fill_part", torch_cuda_fill_part, {DRAWN}, {GET(torch_cudas[0]), WRITE(float, 0)}},
    {"torch_cuda_skip", torch_cuda_skip, {NONE}, {CHANGE(torch_cudas[0])}},
    {"numpy_seed", numpy_seed, {NONE}, {MAKE(vesde_numpy)}},
    {"numpy_fill", numpy_fill, {DRAWN, TABLE}, {CHANGE_ALL(numpys, 1), WRITE(float, 0)}},
    {"sampler_init", sampler_init, {{BATCH, VESDE_OK, VESDE_ERROR_EMPTY}},
     {GET(config), GET(options), MAKE(vesde_sampler)}},
    {"sampler_next", sampler_next, {LENS},
     {CHANGE(sampler), GET(scheduler), READ(model_output, 0), READ(noise, 0), SAMPLE, MAKE(vesde_request)}},
    {"sampler_plan", sampler_plan, {NONE}, {CHANGE(sampler), GET(scheduler), MAKE(vesde_plan), MAKE(vesde_request)}},
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

// The bytes of parameter `i` for lengths that memory has.
static inline size_t bytes_of(const struct function *f, int i, const size_t *n) {
    const struct parameter *x = &f->parameters[i];
    size_t usual = x->length == ONE ? 1 : f->lengths[x->length].value;
    return x->size * (x->length == ONE || n[x->length] > ROOM ? usual : n[x->length]);
}

// Copies the outputs of a call, one after the other, to `to`; returns how many bytes they have.
static inline size_t collect(const struct function *f, void **p, const size_t *n, unsigned char *to) {
    size_t len = 0;
    for (int i = 0; i < parameters(f); ++i) {
        if (p[i] != NULL && f->parameters[i].role >= OUT) {
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
