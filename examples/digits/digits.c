/* Samples handwritten digits from pure noise, as the Rust example does: the same weights, the same seed, the same pixels.
 * Everything between two evaluations of the network is vesde; the network, the safetensors reader and the PNG writer
 * (picture.h) are as small as they can be.
 *
 *   cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c target/release/libvesde.a -lm -o digits
 *   ./digits [OUTPUT.png [SEED [STEPS]]]
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "vesde.h"

enum { MAX_LAYERS = 8, MAX_WIDTH = 512 };

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

/* ------------------------------------------------------------------------------------------------ the network */

typedef struct dense {
    const float *weight; /* [in][out] */
    const float *bias;
    size_t in, out;
} dense;

typedef struct network {
    float mean, sd;
    const float *tau;
    size_t features, layers;
    dense layer[MAX_LAYERS];
} network;

static uint64_t little_endian(const unsigned char *bytes, int count) {
    uint64_t value = 0;
    while (count-- > 0)
        value = value << 8 | bytes[count];
    return value;
}

/* A tensor of a safetensors file: eight bytes of header length, a JSON header, the data. NULL if there is no such tensor. */
static const float *tensor(const char *file, size_t len, const char *name, size_t *count) {
    const unsigned char *bytes = (const unsigned char *)file;
    uint64_t header = len < 8 ? 0 : little_endian(bytes, 8);
    unsigned long begin, end, i;
    char key[64];
    const char *entry, *offsets;
    float *values;
    if (header == 0 || header > len - 8)
        fail("weights", "not a safetensors file");
    snprintf(key, sizeof key, "\"%s\":", name);
    entry = strstr(file + 8, key);
    if (entry == NULL || entry >= file + 8 + header)
        return NULL;
    offsets = strstr(entry, "\"data_offsets\":[");
    if (offsets == NULL || sscanf(offsets, "\"data_offsets\":[%lu,%lu]", &begin, &end) != 2 || begin > end
        || end > len - 8 - header || (end - begin) % 4 != 0)
        fail(name, "has no valid place in the file");
    *count = (end - begin) / 4;
    values = allocate(*count + 1, sizeof *values);
    for (i = 0; i < *count; i++) {
        uint32_t bits = (uint32_t)little_endian(bytes + 8 + header + begin + 4 * i, 4);
        memcpy(&values[i], &bits, sizeof bits);
    }
    return values;
}

static network load_network(const char *path) {
    network net = {0};
    size_t len, count, in;
    char *file = read_file(path, &len);
    const float *mean = tensor(file, len, "mean", &count), *sd = tensor(file, len, "sd", &count);
    net.tau = tensor(file, len, "tau", &net.features);
    if (mean == NULL || sd == NULL || net.tau == NULL)
        fail(path, "lacks mean, sd or tau");
    net.mean = *mean;
    net.sd = *sd;
    for (in = PIXELS + net.features + CLASSES; net.layers < MAX_LAYERS; net.layers++) {
        dense *layer = &net.layer[net.layers];
        char name[32];
        snprintf(name, sizeof name, "dense%u.bias", (unsigned)net.layers);
        if ((layer->bias = tensor(file, len, name, &layer->out)) == NULL)
            break;
        snprintf(name, sizeof name, "dense%u.weight", (unsigned)net.layers);
        layer->weight = tensor(file, len, name, &count);
        layer->in = in;
        if (layer->weight == NULL || count != in * layer->out || in > MAX_WIDTH || layer->out > MAX_WIDTH)
            fail(name, "has an unexpected shape");
        in = layer->out;
    }
    if (net.layers < 2 || in != PIXELS)
        fail(path, "is not the digits network");
    free(file);
    return net;
}

static float relu(float x) { return x > 0.0f ? x : 0.0f; }

/* out[j] = bias[j] + sum of x[i]·weight[i][j] over ascending i, without fused operations */
static void apply(const dense *layer, const float *x, float *out) {
    size_t i, j;
    memcpy(out, layer->bias, layer->out * sizeof *out);
    for (i = 0; i < layer->in; i++) {
        const float *row = layer->weight + i * layer->out;
        if (x[i] != 0.0f) /* most inputs behind a ReLU are zero, and add nothing */
            for (j = 0; j < layer->out; j++)
                out[j] += x[i] * row[j];
    }
}

/* (denoised − x)/sigma² of one digit, the denoiser preconditioned as in Karras et al. 2022 */
static void score_of(const network *net, const float *x, float sigma, size_t class_, float *score) {
    float hidden[MAX_WIDTH], update[MAX_WIDTH], centred[PIXELS];
    const float variance = sigma * sigma, total = variance + net->sd * net->sd, root = sqrtf(total);
    const float gain = net->sd / (sigma * root);
    size_t i, layer;
    for (i = 0; i < PIXELS; i++) {
        centred[i] = x[i] - net->mean;
        update[i] = centred[i] / root;
    }
    for (i = 0; i < net->features; i++)
        update[PIXELS + i] = variance / (variance + net->tau[i] * net->tau[i]);
    for (i = 0; i < CLASSES; i++)
        update[PIXELS + net->features + i] = i == class_ ? 1.0f : 0.0f;
    apply(&net->layer[0], update, hidden);
    for (i = 0; i < net->layer[0].out; i++)
        hidden[i] = relu(hidden[i]);
    for (layer = 1; layer + 1 < net->layers; layer++) {
        apply(&net->layer[layer], hidden, update);
        for (i = 0; i < net->layer[layer].out; i++)
            hidden[i] += relu(update[i]);
    }
    apply(&net->layer[layer], hidden, update);
    for (i = 0; i < PIXELS; i++)
        score[i] = update[i] * gain - centred[i] / total;
}

/* ------------------------------------------------------------------------------------------------ the sampling */

static void sample_digits(const network *net, const vesde_config *config, uint64_t seed, size_t steps, float *digits) {
    const size_t len = (size_t)DIGITS * PIXELS;
    float *timesteps = allocate(steps, sizeof *timesteps), *sigmas = allocate(steps, sizeof *sigmas);
    float *discrete_sigmas = allocate(steps, sizeof *discrete_sigmas), *score = allocate(len, sizeof *score);
    vesde_scheduler scheduler = {0};
    vesde_sampler_options options;
    vesde_sampler sampler;
    vesde_request request;
    size_t i;

    check(vesde_set_timesteps(config, steps, timesteps), "timesteps");
    check(vesde_set_sigmas(config, timesteps, steps, steps, sigmas, discrete_sigmas), "sigmas");
    scheduler.config = *config;
    scheduler.timesteps = timesteps;
    scheduler.sigmas = sigmas;
    scheduler.discrete_sigmas = discrete_sigmas;
    scheduler.timesteps_len = scheduler.sigmas_len = scheduler.discrete_sigmas_len = steps;

    check(vesde_sampler_options_default(&options), "options");
    options.seed = seed;
    check(vesde_sampler_init(config, DIGITS, &options, &sampler), "sampler");
    for (;;) {
        check(vesde_sampler_next(&sampler, &scheduler, score, NULL, len, digits, &request), "step");
        if (request.kind == VESDE_REQUEST_KIND_DONE)
            break;
        if (request.correction == 0)
            fprintf(stderr, "\rstep %lu of %lu", (unsigned long)request.step + 1, (unsigned long)request.steps);
        for (i = 0; i < DIGITS; i++)
            score_of(net, digits + i * PIXELS, request.sigma, i / COLUMNS, score + i * PIXELS);
    }
    fprintf(stderr, "\n");
    free(timesteps);
    free(sigmas);
    free(discrete_sigmas);
    free(score);
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
    static float digits[DIGITS * PIXELS];
    size_t json_len;
    char *json = read_file("examples/digits/scheduler_config.json", &json_len);
    network net = load_network("examples/digits/weights.safetensors");
    vesde_config config;

    if (steps == 0)
        fail("STEPS", "must be at least 1");
    check(vesde_config_from_json(json, json_len, &config), "scheduler_config.json");
    sample_digits(&net, &config, seed, steps, digits);

    if (write_picture(output, digits) != 0)
        fail(output, "cannot be written");
    printf("%s (%dx%d)\n", output, WIDTH, HEIGHT);
    free(json);
    return 0;
}
