/* The digits in a browser: the network and the loop of examples/digits. worker.js calls `sample`,
 * and is called back for each frame and each part of the PNG.
 */

#include "sampling.h"

#define IMPORT(name) __attribute__((import_module("worker"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

enum { MAX_EVALUATIONS = 2000, FRAME_WIDTH = WIDTH / SCALE, FRAME_HEIGHT = HEIGHT / SCALE };

_Static_assert(GAP == SCALE, "a frame has one pixel for each SCALE × SCALE of the picture");

/* A frame as a canvas takes it, before step `step` of `steps`: the bytes of a pixel are red, green,
 * blue and alpha. */
IMPORT("show") extern void show(const uint32_t *frame, size_t len, size_t step, size_t steps);
IMPORT("put") extern void put(void *to, const void *bytes, size_t len);

static float digits[DIGITS * PIXELS], score[DIGITS * PIXELS], dimmed[DIGITS * PIXELS];
static float tables[3 * MAX_EVALUATIONS + 1], history[MOST_HISTORY];

static void draw(const float *from, size_t step, size_t steps) {
    static uint32_t frame[FRAME_WIDTH * FRAME_HEIGHT];
    size_t x, y;
    for (y = 0; y < FRAME_HEIGHT; y++)
        for (x = 0; x < FRAME_WIDTH; x++)
            frame[y * FRAME_WIDTH + x] = 0xFF000000u | gray(from, x * SCALE, y * SCALE) * 0x010101u;
    show(frame, sizeof frame, step, steps);
}

/* The more noise there is, the more it is dimmed, as in the strip of the Rust example: otherwise
 * all would be black and white. */
static void draw_noisy(const vesde_request *request) {
    size_t i;
    for (i = 0; i < sizeof digits / sizeof *digits; i++) {
        const float x = 0.5f + (digits[i] - 0.5f) / (1.0f + 3.0f * request->sigma);
        dimmed[i] = x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
    }
    draw(dimmed, request->step, request->steps);
}

/* Samples digits of one class, or of one class a row if that is 10, and writes their picture by
 * `put`; returns NULL, or why it failed. */
EXPORT("sample") const char *sample(const char *sampler, const void *weights, size_t weights_len,
                                    const char *json, size_t json_len, uint64_t seed,
                                    size_t evaluations, size_t class_) {
    png out = {put, NULL, 0};
    network net;
    vesde_config config;
    vesde_status status;
    digits_job job = {0};
    if (evaluations > MAX_EVALUATIONS)
        return "more calls than there is memory for";
    if ((job.sampler = find_sampler(sampler)) == NULL)
        return "no sampler has this name";
    if (load_network(weights, weights_len, &net) != 0)
        return "weights.safetensors is not the digits network";
    if ((status = vesde_config_from_json(json, json_len, &config)) != VESDE_OK)
        return vesde_status_message(status);
    job.net = &net;
    job.config = &config;
    job.seed = seed;
    job.steps = steps_of(job.sampler, &config, evaluations);
    job.class_ = class_;
    job.digits = digits;
    job.score = score;
    job.tables = tables;
    job.history = history;
    job.history_len = MOST_HISTORY;
    job.progress = draw_noisy;
    if ((status = sample_digits(&job)) != VESDE_OK)
        return vesde_status_message(status);
    draw(digits, job.steps, job.steps);
    put_picture(&out, digits);
    return NULL;
}
