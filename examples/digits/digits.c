/* Samples handwritten digits from pure noise, as the Rust example does: the same weights, the same seed, the same pixels.
 * Everything between two evaluations of the network is vesde; the network with its safetensors reader (network.h), the loop
 * (sampling.h) and the PNG writer (picture.h) are as small as they can be, and examples/firmware has them too.
 *
 *   cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c target/release/libvesde.a -lm -o digits
 *   ./digits [OUTPUT.png [SEED [STEPS [CLASS]]]]
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "sampling.h"

static void fail(const char *what, const char *why) {
    fprintf(stderr, "digits: %s: %s\n", what, why);
    exit(1);
}

static void check(vesde_status status, const char *what) {
    if (status != VESDE_OK)
        fail(what, vesde_status_message(status));
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL)
        fail("memory", "there is not enough");
    return memory;
}

/* The whole file, with a NUL behind its end. */
static char *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    long size;
    char *bytes;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
        fail(path, "cannot be read (run from the repository's root)");
    rewind(file);
    bytes = allocate((size_t)size + 1, 1);
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size)
        fail(path, "cannot be read");
    fclose(file);
    *len = (size_t)size;
    return bytes;
}

/* The floats of a safetensors file are little-endian: makes them the machine's. */
static void to_native(char *file, size_t len) {
    size_t at = data_of(file, len);
    for (; at != 0 && at + 4 <= len; at += 4) {
        const uint32_t bits = (uint32_t)little_endian((unsigned char *)file + at, 4);
        memcpy(file + at, &bits, sizeof bits);
    }
}

static void print_step(const vesde_request *request) {
    fprintf(stderr, "\rstep %lu of %lu", (unsigned long)request->step + 1, (unsigned long)request->steps);
}

static uint64_t number(const char *text, const char *what) {
    char *end;
    const uint64_t value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0)
        fail(what, "must be a number");
    return value;
}

int main(int argc, char **argv) {
    const char *output = argc > 1 ? argv[1] : "digits.png";
    const uint64_t seed = number(argc > 2 ? argv[2] : "42", "SEED");
    const size_t steps = (size_t)number(argc > 3 ? argv[3] : "200", "STEPS");
    const size_t class_ = argc > 4 ? (size_t)number(argv[4], "CLASS") : CLASSES;
    const char *weights = "examples/digits/weights.safetensors";
    static float digits[DIGITS * PIXELS], score[DIGITS * PIXELS];
    size_t json_len, file_len;
    char *json = read_file("examples/digits/scheduler_config.json", &json_len);
    char *file = read_file(weights, &file_len);
    float *tables;
    network net;
    vesde_config config;

    if (steps == 0)
        fail("STEPS", "must be at least 1");
    if (argc > 4 && class_ >= CLASSES)
        fail("CLASS", "must be 0 to 9");
    tables = allocate(steps, 3 * sizeof *tables);
    check(vesde_config_from_json(json, json_len, &config), "scheduler_config.json");
    to_native(file, file_len);
    if (load_network(file, file_len, &net) != 0)
        fail(weights, "is not the digits network");
    check(sample_class(&net, &config, seed, steps, class_, tables, score, digits, print_step), "sampling");
    fprintf(stderr, "\n");

    if (write_picture(output, digits) != 0)
        fail(output, "cannot be written");
    printf("%s (%dx%d)\n", output, WIDTH, HEIGHT);
    free(json);
    free(file);
    free(tables);
    return 0;
}
