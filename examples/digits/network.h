/* The digits' score network, as network.rs has it: tensors in place in the bytes of a safetensors
 * file, sums in a fixed order without fused operations. It allocates nothing and calls no stdio, so
 * that it runs on a microcontroller.
 */

#ifndef NETWORK_H
#define NETWORK_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"

enum { MAX_LAYERS = 8, MAX_WIDTH = 256 };

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

/* Where the data of a safetensors file begins, behind eight bytes of header length and a JSON
 * header; 0 if it is not one. */
static size_t data_of(const void *file, size_t len) {
    const uint64_t header = len < 8 ? 0 : little_endian((const unsigned char *)file, 8);
    return header == 0 || header > len - 8 ? 0 : 8 + (size_t)header;
}

/* The tensor whose entry in the header begins with `key`, its name in quotes and a colon; NULL if
 * there is none. */
static const float *tensor(const void *file, size_t len, const char *key, size_t *count) {
    const char *const text = (const char *)file;
    const size_t data = data_of(file, len);
    const char *const entry = strstr(text + 8, key);
    const char *const offsets = entry == NULL ? NULL : strstr(entry, "\"data_offsets\":[");
    unsigned long begin, end;
    char *rest;
    if (offsets == NULL || offsets >= text + data)
        return NULL;
    begin = strtoul(offsets + 16, &rest, 10);
    end = *rest == ',' ? strtoul(rest + 1, &rest, 10) : 0;
    if (*rest != ']' || begin >= end || end > len - data || (data + begin) % 4 != 0 || (end - begin) % 4 != 0)
        return NULL;
    *count = (end - begin) / 4;
    return (const float *)(const void *)(text + data + begin);
}

/* Finds the network's tensors in a file with a NUL behind its end, aligned as floats are and in the
 * machine's order of bytes; 1 if it is not the digits' network, else 0. */
static int load_network(const void *file, size_t len, network *net) {
    size_t count, in;
    const float *mean, *sd;
    if (data_of(file, len) == 0)
        return 1;
    mean = tensor(file, len, "\"mean\":", &count);
    sd = tensor(file, len, "\"sd\":", &count);
    net->tau = tensor(file, len, "\"tau\":", &net->features);
    if (mean == NULL || sd == NULL || net->tau == NULL)
        return 1;
    net->mean = *mean;
    net->sd = *sd;
    in = PIXELS + net->features + CLASSES;
    for (net->layers = 0; net->layers < MAX_LAYERS; net->layers++) {
        dense *layer = &net->layer[net->layers];
        char bias[] = "\"dense0.bias\":", weight[] = "\"dense0.weight\":";
        bias[6] = weight[6] = (char)('0' + net->layers);
        if ((layer->bias = tensor(file, len, bias, &layer->out)) == NULL)
            break;
        layer->weight = tensor(file, len, weight, &count);
        layer->in = in;
        if (layer->weight == NULL || count != in * layer->out || in > MAX_WIDTH || layer->out > MAX_WIDTH)
            return 1;
        in = layer->out;
    }
    return net->layers < 2 || in != PIXELS;
}

static inline float relu(float x) { return x > 0.0f ? x : 0.0f; }

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
static inline void score_of(const network *net, const float *x, float sigma, size_t class_, float *score) {
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

#endif
