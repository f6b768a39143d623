/* The clothes in a browser: their denoiser and vesde's sampler for clothes.js. native.c makes a
 * program of the same code, which the page is compared with.
 */

#include "clothes.h"
#include "network.h"
#include "samplers.h"

enum { LEN = CLOTHES * PIXELS, MAX_EVALUATIONS = 2000 };

/* Pictures are saved as other programs save them with `--columns 2`, and shown in a shape that is
 * nearer to a screen's. */
enum { SAVED_COLUMNS = 2, SEEN_COLUMNS = 4, SEEN_ROWS = CLOTHES / SEEN_COLUMNS };
enum { SEEN_TILE = SIDE + 1 };
enum { SEEN_WIDTH = SEEN_COLUMNS * SEEN_TILE + 1, SEEN_HEIGHT = SEEN_ROWS * SEEN_TILE + 1 };

static float pictures[LEN], answers[LEN], history[4 * LEN]; /* UniPC-3 keeps most */
static float tables[3 * MAX_EVALUATIONS + 1];
static network net;
static int classes[CLOTHES];
static vesde_scheduler scheduler;
static vesde_sampler sampler;
static vesde_buffers buffers;
static vesde_request request;
static size_t steps;
static int is_pc;

/* The more noise there is, the more it is dimmed, as in ../digits.c: otherwise all would be black
 * and white. At sigma 0 the grays are the file's. */
static uint32_t gray_seen(float value, float sigma) {
    if (sigma > 0.0f)
        value = 0.5f + (value - 0.5f) / (1.0f + 3.0f * sigma);
    return (uint32_t)((value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value) * 255.0f + 0.5f);
}

static void draw(float sigma, size_t step) {
    static uint32_t frame[SEEN_WIDTH * SEEN_HEIGHT];
    size_t x, y;
    for (y = 0; y < SEEN_HEIGHT; y++)
        for (x = 0; x < SEEN_WIDTH; x++) {
            const size_t left = x % SEEN_TILE, top = y % SEEN_TILE;
            uint32_t level = BACKGROUND;
            if (left > 0 && top > 0) {
                const size_t picture = y / SEEN_TILE * SEEN_COLUMNS + x / SEEN_TILE;
                level = gray_seen(pictures[picture * PIXELS + (top - 1) * SIDE + left - 1], sigma);
            }
            frame[y * SEEN_WIDTH + x] = 0xFF000000u | level * 0x010101u;
        }
    show(frame, sizeof frame, step, steps);
}

const char *start(const char *name, const void *weights, size_t weights_len, const char *json,
                  size_t json_len, uint64_t seed, size_t evaluations, size_t class_) {
    const named_sampler *const named = find_sampler(name);
    vesde_sampler_options options;
    vesde_config config;
    vesde_status status;
    size_t i;
    if (evaluations > MAX_EVALUATIONS)
        return "more calls than there is memory for";
    if (named == NULL)
        return "no sampler has this name";
    if (load_network(weights, weights_len, &net) != 0)
        return "weights.safetensors is not the clothes network";
    if ((status = vesde_config_from_json(json, json_len, &config)) != VESDE_OK)
        return vesde_status_message(status);
    for (i = 0; i < CLOTHES; i++)
        classes[i] = (int)(class_ < CLASSES ? class_ : i / (CLOTHES / CLASSES));
    is_pc = named->method == VESDE_METHOD_PREDICTOR_CORRECTOR;
    steps = steps_of(named, &config, evaluations);
    options = options_of(named, seed);
    if (!is_pc)
        options.prediction = VESDE_PREDICTION_DENOISED;
    buffers.sample = pictures;
    buffers.model_output = answers;
    buffers.len = LEN;
    buffers.workspace = history;
    buffers.workspace_len = sizeof history / sizeof *history;
    status = is_pc ? make_scheduler(&config, steps, tables, &scheduler)
                   : make_sigmas(&config, KARRAS, steps, tables, &scheduler);
    if (status == VESDE_OK)
        status = vesde_sampler_init(&config, CLOTHES, &options, &sampler);
    return status == VESDE_OK ? NULL : vesde_status_message(status);
}

float next(void) {
    png out = {put, NULL, 0};
    vesde_status status;
    size_t i;
    if (is_pc && request.sigma > 0.0f) /* it takes the score */
        for (i = 0; i < LEN; i++)
            answers[i] = (answers[i] - pictures[i]) / (request.sigma * request.sigma);
    status = vesde_sampler_next(&sampler, &scheduler, &buffers, &request);
    if (status != VESDE_OK)
        return -(float)status;
    if (request.kind == VESDE_REQUEST_KIND_DONE) {
        draw(0.0f, steps);
        put_tiles(&out, pictures, SAVED_COLUMNS, CLOTHES / SAVED_COLUMNS);
        return 0.0f;
    }
    if (request.correction == 0)
        draw(request.sigma, request.step);
    return request.sigma;
}

const char *failure(float next) { return vesde_status_message((vesde_status)-next); }

void evaluate(size_t first, size_t count, float sigma) {
    denoise(&net, picture_at(first), sigma, classes + first, count, answer_at(first));
}

float *picture_at(size_t i) { return pictures + i * PIXELS; }

float *answer_at(size_t i) { return answers + i * PIXELS; }
