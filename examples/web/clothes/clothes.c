/* The clothes in a browser: their denoiser and vesde's sampler for worker.js, as ../digits.c has the
 * digits. native.c makes a program of the same code, which the page is compared with.
 */

#include "clothes.h"
#include "network.h"
#include "samplers.h"

enum { COUNT = 2 * CLASSES, LEN = COUNT * PIXELS, MAX_EVALUATIONS = 2000 };

/* The pictures are saved as other programs of the clothes do with `--columns 2`, and seen in a shape
 * that is nearer a screen's. */
enum { SAVED_COLUMNS = 2, SEEN_COLUMNS = 4, SEEN_ROWS = COUNT / SEEN_COLUMNS };
enum { SEEN_TILE = SIDE + 1 };
enum { SEEN_WIDTH = SEEN_COLUMNS * SEEN_TILE + 1, SEEN_HEIGHT = SEEN_ROWS * SEEN_TILE + 1 };

static float pictures[LEN], answer[LEN], history[4 * LEN]; /* UniPC-3's, the most */
static float tables[3 * MAX_EVALUATIONS + 1];

/* Noise is dimmed as it grows, or all would be black and white: as the digits are. At sigma 0 a
 * gray is the file's. */
static uint32_t gray_seen(float value, float sigma) {
    if (sigma > 0.0f)
        value = 0.5f + (value - 0.5f) / (1.0f + 3.0f * sigma);
    return (uint32_t)((value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value) * 255.0f + 0.5f);
}

static void draw(float sigma, size_t step, size_t steps) {
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

static vesde_status run(const network *net, const vesde_config *config, const named_sampler *named,
                        uint64_t seed, size_t steps, const int *classes) {
    const int is_pc = named->method == VESDE_METHOD_PREDICTOR_CORRECTOR;
    vesde_sampler_options options = options_of(named, seed);
    vesde_buffers buffers = {0};
    vesde_scheduler scheduler;
    vesde_sampler sampler;
    vesde_request request;
    vesde_status status;
    size_t i;
    if (!is_pc)
        options.prediction = VESDE_PREDICTION_DENOISED;
    buffers.sample = pictures;
    buffers.model_output = answer;
    buffers.len = LEN;
    buffers.workspace = history;
    buffers.workspace_len = sizeof history / sizeof *history;
    status = is_pc ? make_scheduler(config, steps, tables, &scheduler)
                   : make_sigmas(config, KARRAS, steps, tables, &scheduler);
    if (status == VESDE_OK)
        status = vesde_sampler_init(config, COUNT, &options, &sampler);
    if (status != VESDE_OK)
        return status;
    for (;;) {
        status = vesde_sampler_next(&sampler, &scheduler, &buffers, &request);
        if (status != VESDE_OK)
            return status;
        if (request.kind == VESDE_REQUEST_KIND_DONE)
            break;
        if (request.correction == 0)
            draw(request.sigma, request.step, steps);
        denoise(net, pictures, request.sigma, classes, COUNT, answer);
        if (is_pc) /* which takes the score */
            for (i = 0; i < LEN; i++)
                answer[i] = (answer[i] - pictures[i]) / (request.sigma * request.sigma);
    }
    draw(0.0f, steps, steps);
    return VESDE_OK;
}

const char *sample(const char *sampler, const void *weights, size_t weights_len, const char *json,
                   size_t json_len, uint64_t seed, size_t evaluations, size_t class_) {
    static network net;
    const named_sampler *const named = find_sampler(sampler);
    png out = {put, NULL, 0};
    int classes[COUNT];
    vesde_config config;
    vesde_status status;
    size_t steps, i;
    if (evaluations > MAX_EVALUATIONS)
        return "more calls than there is memory for";
    if (named == NULL)
        return "no sampler has this name";
    if (load_network(weights, weights_len, &net) != 0)
        return "weights.safetensors is not the clothes network";
    if ((status = vesde_config_from_json(json, json_len, &config)) != VESDE_OK)
        return vesde_status_message(status);
    for (i = 0; i < COUNT; i++)
        classes[i] = (int)(class_ < CLASSES ? class_ : i / (COUNT / CLASSES));
    steps = steps_of(named, &config, evaluations);
    if ((status = run(&net, &config, named, seed, steps, classes)) != VESDE_OK)
        return vesde_status_message(status);
    put_tiles(&out, pictures, SAVED_COLUMNS, COUNT / SAVED_COLUMNS);
    return NULL;
}
