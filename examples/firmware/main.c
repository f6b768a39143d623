/* The digits on a Cortex-M: the program of examples/digits/digits.c, with the files in flash, all
 * memory static, no heap and no stdio. It samples the same hundred digits, prints them as text, and
 * writes the same PNG through the debug probe.
 *
 *   [OUTPUT.png [SEED [EVALUATIONS]]] on semihosting's command line, behind the program's name
 */

#include "sampling.h"
#include "startup.h"

/* The default sampler calls the network once a step and keeps one sample of history. */
enum { MAX_EVALUATIONS = 1000 };

extern const float weights[]; /* files.S */
extern const char weights_end[], scheduler_config[], scheduler_config_end[];

static float digits[DIGITS * PIXELS], score[DIGITS * PIXELS], history[DIGITS * PIXELS];
static float sigmas[MAX_EVALUATIONS + 1];

static void print(const char *text) { semihost(SYS_WRITE0, text); }

static void print_number(const char *before, size_t number, const char *after) {
    char text[24], *to = text + sizeof text;
    *--to = 0;
    do
        *--to = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    print(before);
    print(to);
    print(after);
}

static _Noreturn void fail(const char *what, const char *why) {
    print(what);
    print(": ");
    print(why);
    print("\n");
    semihost_exit(1);
}

static void check(vesde_status status, const char *what) {
    if (status != VESDE_OK)
        fail(what, vesde_status_message(status));
}

static void print_step(const vesde_request *request) {
    if (request->step % 5 == 0)
        print(".");
}

/* A line of text shows two rows of pixels. */
static void print_digits(void) {
    static const char *const halves[2][2] = {{" ", "▄"}, {"▀", "█"}};
    size_t y, x;
    for (y = 0; y < CLASSES * SIDE; y += 2) {
        for (x = 0; x < COLUMNS * SIDE; x++) {
            const float *upper = digits + (y / SIDE * COLUMNS + x / SIDE) * PIXELS + y % SIDE * SIDE + x % SIDE;
            print(halves[upper[0] >= 0.5f][upper[SIDE] >= 0.5f]);
        }
        print("\n");
    }
}

static void put(void *to, const void *bytes, size_t len) {
    intptr_t *const handle = to;
    const uintptr_t request[3] = {(uintptr_t)*handle, (uintptr_t)bytes, len};
    if (semihost(SYS_WRITE, request) != 0)
        fail("the picture", "cannot be written");
}

static void write_png(const char *path) {
    const uintptr_t request[3] = {(uintptr_t)path, OPEN_WB, strlen(path)};
    intptr_t handle = semihost(SYS_OPEN, request);
    png out = {put, &handle, 0};
    if (handle == -1)
        fail(path, "cannot be written");
    put_picture(&out, digits);
    semihost(SYS_CLOSE, &handle);
}

int main(int argc, char **argv) {
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 42;
    const size_t evaluations = argc > 3 ? strtoul(argv[3], NULL, 10) : 20;
    const size_t len = (size_t)(weights_end - (const char *)weights);
    network net;
    vesde_config config;
    const digits_job job = {.net = &net, .config = &config, .sampler = SAMPLERS, .seed = seed,
                            .steps = evaluations, .class_ = CLASSES, .digits = digits, .score = score,
                            .tables = sigmas, .history = history,
                            .history_len = sizeof history / sizeof *history, .progress = print_step};

    if (evaluations == 0 || evaluations > MAX_EVALUATIONS)
        fail("EVALUATIONS", "must be 1 to 1000");
    check(vesde_config_from_json(scheduler_config, (size_t)(scheduler_config_end - scheduler_config), &config),
          "scheduler_config.json");
    if (load_network(weights, len, &net) != 0)
        fail("weights.safetensors", "is not the digits network");
    check(sample_digits(&job), "sampling");
    print("\n");
    print_digits();
    if (argc > 1)
        write_png(argv[1]);
    print_number("stack ", stack_used(), "");
    print_number(" of ", stack_size(), " bytes\n");
    return 0;
}
