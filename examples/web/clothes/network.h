/* The clothes' denoiser, as examples/fashion/network.py has it: convolutions as products of
 * matrices, those of 3 × 3 after Winograd's transformation (Lavin & Gray 2016), on vectors of four
 * floats, which every compiler makes of clang's and GCC's vector types. It allocates nothing.
 */

#ifndef CLOTHES_NETWORK_H
#define CLOTHES_NETWORK_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 28
#define SCALE 3
#include "picture.h"

enum {
    HALF = SIDE / 2,
    QUARTER = SIDE / 4,
    CHANNELS = 64,
    WIDE = 2 * CHANNELS,
    EMBEDDING = 64,
    FEATURES = 32,
    GROUPS = 8,
    HEADS = 4,
    /* Pictures that are evaluated together, so that a weight is read once for all of them. */
    AT_ONCE = 5,
    /* Columns of a product of matrices that are computed together. */
    PANEL = 8,
    /* A side of the pixels that a tile of a 3 × 3 convolution has, and of those it is made of. */
    TILE_SIDE = 4,
    PATCH = TILE_SIDE + 2
};

static const float MEAN = 0.286f, SD = 0.353f;

/* Inlined although build.sh says -fno-inline-functions. */
#define SMALL static inline __attribute__((always_inline))

typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));

SMALL f4 load4(const float *from) {
    f4 v;
    memcpy(&v, from, sizeof v);
    return v;
}

SMALL void store4(float *to, f4 v) {
    memcpy(to, &v, sizeof v);
}

SMALL f4 all(float x) {
    return (f4){x, x, x, x};
}

#ifdef __wasm_relaxed_simd__
#define MULTIPLY_ADD(a, b, c) __builtin_wasm_relaxed_madd_f32x4(a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

/* ---- the file ---- */

static float of_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, fraction = half & 1023;
    uint32_t bits;
    float value;
    if (exponent == 0) {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = sign | (exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Everything that is made from the weights lies here. */
static float arena[7200000];
static size_t arena_len;

static float *take(size_t len) {
    float *const at = arena + arena_len;
    if (len > sizeof arena / sizeof *arena - arena_len)
        return NULL;
    arena_len += (len + 3) / 4 * 4;
    return at;
}

typedef struct file {
    const char *text;
    size_t len, data;
} file;

/* The f16 tensor whose name is `name` and `part` joined, widened; NULL if there is none of `count`
 * elements. */
static float *tensor(const file *file, const char *name, const char *part, size_t count) {
    char key[64];
    const char *entry, *offsets;
    unsigned long begin, end;
    char *rest;
    float *values;
    size_t i;
    key[0] = '"';
    strcpy(key + 1, name);
    strcat(key, part);
    strcat(key, "\":");
    entry = strstr(file->text + 8, key);
    offsets = entry == NULL ? NULL : strstr(entry, "\"data_offsets\":[");
    if (offsets == NULL || offsets >= file->text + file->data)
        return NULL;
    begin = strtoul(offsets + 16, &rest, 10);
    end = *rest == ',' ? strtoul(rest + 1, &rest, 10) : 0;
    if (*rest != ']' || begin >= end || end > file->len - file->data || end - begin != 2 * count)
        return NULL;
    if ((values = take(count)) == NULL)
        return NULL;
    for (i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, file->text + file->data + begin + 2 * i, 2);
        values[i] = of_half(half);
    }
    return values;
}

/* ---- products of matrices ---- */

/* Puts PANEL columns of b, all k rows of them, next to each other. */
static void pack(const float *b, size_t k, size_t n, float *packed) {
    size_t column, row, i;
    for (column = 0; column < n; column += PANEL)
        for (row = 0; row < k; row++)
            for (i = 0; i < PANEL; i++)
                *packed++ = column + i < n ? b[row * n + column + i] : 0.0f;
}

static size_t whole(size_t n) {
    return (n + PANEL - 1) / PANEL * PANEL;
}

#define ROWS 4

/* c[rows][n] = a[rows][k]·b + bias, n a multiple of PANEL, `rows` any number. */
static void multiply(const float *a, size_t rows, size_t k, const float *packed, size_t n, const float *bias, float *c) {
    size_t column, row, i;
    for (column = 0; column < n; column += PANEL, packed += k * PANEL) {
        const f4 bias0 = bias == NULL ? all(0.0f) : load4(bias + column);
        const f4 bias1 = bias == NULL ? all(0.0f) : load4(bias + column + 4);
        for (row = 0; row + ROWS <= rows; row += ROWS) {
            const float *const a0 = a + row * k, *const a1 = a0 + k, *const a2 = a1 + k, *const a3 = a2 + k;
            const float *b = packed;
            f4 c00 = bias0, c01 = bias1, c10 = bias0, c11 = bias1, c20 = bias0, c21 = bias1, c30 = bias0, c31 = bias1;
            float *const to = c + row * n + column;
            for (i = 0; i < k; i++, b += PANEL) {
                const f4 b0 = load4(b), b1 = load4(b + 4);
                f4 factor = all(a0[i]);
                c00 = MULTIPLY_ADD(factor, b0, c00);
                c01 = MULTIPLY_ADD(factor, b1, c01);
                factor = all(a1[i]);
                c10 = MULTIPLY_ADD(factor, b0, c10);
                c11 = MULTIPLY_ADD(factor, b1, c11);
                factor = all(a2[i]);
                c20 = MULTIPLY_ADD(factor, b0, c20);
                c21 = MULTIPLY_ADD(factor, b1, c21);
                factor = all(a3[i]);
                c30 = MULTIPLY_ADD(factor, b0, c30);
                c31 = MULTIPLY_ADD(factor, b1, c31);
            }
            store4(to, c00);
            store4(to + 4, c01);
            store4(to + n, c10);
            store4(to + n + 4, c11);
            store4(to + 2 * n, c20);
            store4(to + 2 * n + 4, c21);
            store4(to + 3 * n, c30);
            store4(to + 3 * n + 4, c31);
        }
        for (; row < rows; row++) {
            const float *b = packed;
            f4 c0 = bias0, c1 = bias1;
            for (i = 0; i < k; i++, b += PANEL) {
                const f4 factor = all(a[row * k + i]);
                c0 = MULTIPLY_ADD(factor, load4(b), c0);
                c1 = MULTIPLY_ADD(factor, load4(b + 4), c1);
            }
            store4(c + row * n + column, c0);
            store4(c + row * n + column + 4, c1);
        }
    }
}

/* ---- convolutions; channels lie last ---- */

typedef struct convolution {
    /* Packed. A 3 × 3 kernel with stride 1 is 36 matrices in Winograd's domain. */
    float *kernel;
    const float *bias;
    size_t inputs, outputs, size, stride;
} convolution;

static int winograd(const convolution *layer) {
    return layer->size == 3 && layer->stride == 1;
}

/* G·g, `apart` places from each other. */
static void of_kernel(double g0, double g1, double g2, double *to, size_t apart) {
    to[0] = g0 / 4.0;
    to[apart] = -(g0 + g1 + g2) / 6.0;
    to[2 * apart] = -(g0 - g1 + g2) / 6.0;
    to[3 * apart] = (g0 + 2.0 * g1 + 4.0 * g2) / 24.0;
    to[4 * apart] = (g0 - 2.0 * g1 + 4.0 * g2) / 24.0;
    to[5 * apart] = g2;
}

/* G·g·Gᵀ of each kernel, its values `apart` places from each other, as `pack` has matrices. */
static void pack_winograd(const float *weight, size_t inputs, size_t outputs, size_t apart, float *packed) {
    size_t in, out, i;
    if (outputs % PANEL != 0) /* what is beside the last outputs is computed, too */
        memset(packed, 0, PATCH * PATCH * apart * sizeof *packed);
    for (out = 0; out < outputs; out++)
        for (in = 0; in < inputs; in++, weight += 9) {
            float *const to = packed + (out / PANEL * inputs + in) * PANEL + out % PANEL;
            double rows[3 * PATCH], columns[PATCH * PATCH];
            for (i = 0; i < 3; i++)
                of_kernel(weight[3 * i], weight[3 * i + 1], weight[3 * i + 2], rows + i * PATCH, 1);
            for (i = 0; i < PATCH; i++)
                of_kernel(rows[i], rows[PATCH + i], rows[2 * PATCH + i], columns + i, PATCH);
            for (i = 0; i < PATCH * PATCH; i++)
                to[i * apart] = (float)columns[i];
        }
}

/* Scratch of load_convolution, as large as the largest kernel. */
static float matrix[WIDE * 2 * WIDE * 9];

static int load_convolution(const file *file, const char *name, size_t inputs, size_t outputs, size_t size, size_t stride,
                            convolution *layer) {
    const size_t patch = size * size, n = whole(outputs);
    const float *weight, *bias;
    float *packed_bias;
    size_t in, out, at;
    layer->inputs = inputs;
    layer->outputs = n;
    layer->size = size;
    layer->stride = stride;
    if ((layer->kernel = take((winograd(layer) ? PATCH * PATCH : patch) * inputs * n)) == NULL || (packed_bias = take(n)) == NULL)
        return 1;
    bias = tensor(file, name, ".bias", outputs);
    weight = tensor(file, name, ".weight", inputs * outputs * patch);
    if (bias == NULL || weight == NULL)
        return 1;
    for (out = 0; out < n; out++)
        packed_bias[out] = out < outputs ? bias[out] : 0.0f;
    layer->bias = packed_bias;
    if (winograd(layer)) {
        pack_winograd(weight, inputs, outputs, inputs * n, layer->kernel);
    } else {
        for (at = 0; at < patch; at++)
            for (in = 0; in < inputs; in++)
                for (out = 0; out < outputs; out++)
                    matrix[(at * inputs + in) * outputs + out] = weight[(out * inputs + in) * patch + at];
        pack(matrix, patch * inputs, outputs, layer->kernel);
    }
    /* The kernel as the file has it is needed no more: its memory is used again. */
    arena_len = (size_t)(packed_bias - arena) + n;
    return 0;
}

enum { TILES = (HALF + TILE_SIDE - 1) / TILE_SIDE * ((HALF + TILE_SIDE - 1) / TILE_SIDE) };

static float transformed[PATCH * PATCH * AT_ONCE * TILES * 3 * CHANNELS];
static float products[PATCH * PATCH * AT_ONCE * TILES * CHANNELS];

/* How many tiles a picture's side has. */
static size_t tiles_of(size_t side) {
    return (side + TILE_SIDE - 1) / TILE_SIDE;
}

/* Bᵀ·d */
SMALL void of_patch(const f4 d[PATCH], f4 to[PATCH]) {
    const f4 a = d[4] - all(4.0f) * d[2], b = d[3] - all(4.0f) * d[1];
    const f4 c = d[4] - d[2], e = all(2.0f) * (d[3] - d[1]);
    to[0] = all(4.0f) * (d[0] - d[2]) - d[2] + d[4];
    to[1] = a + b;
    to[2] = a - b;
    to[3] = c + e;
    to[4] = c - e;
    to[5] = all(4.0f) * (d[1] - d[3]) - d[3] + d[5];
}

/* Bᵀ·d·B of each patch d, the tile's pixels and one more on each side. */
static void to_winograd(const float *x, size_t count, size_t side, size_t channels) {
    const size_t tiles = tiles_of(side), plane = count * tiles * tiles * channels;
    float *to = transformed;
    size_t picture, ty, tx, c, i, j;
    for (picture = 0; picture < count; picture++)
        for (ty = 0; ty < tiles; ty++)
            for (tx = 0; tx < tiles; tx++, to += channels) {
                const float *from[PATCH][PATCH];
                for (i = 0; i < PATCH; i++)
                    for (j = 0; j < PATCH; j++) {
                        const size_t y = TILE_SIDE * ty + i - 1, column = TILE_SIDE * tx + j - 1;
                        from[i][j] = y < side && column < side ? x + ((picture * side + y) * side + column) * channels : NULL;
                    }
                for (c = 0; c < channels; c += 4) {
                    f4 rows[PATCH][PATCH], patch[PATCH], column[PATCH];
                    for (i = 0; i < PATCH; i++) {
                        for (j = 0; j < PATCH; j++)
                            patch[j] = from[i][j] == NULL ? all(0.0f) : load4(from[i][j] + c);
                        of_patch(patch, rows[i]);
                    }
                    for (j = 0; j < PATCH; j++) {
                        for (i = 0; i < PATCH; i++)
                            patch[i] = rows[i][j];
                        of_patch(patch, column);
                        for (i = 0; i < PATCH; i++)
                            store4(to + (i * PATCH + j) * plane + c, column[i]);
                    }
                }
            }
}

/* Aᵀ·m */
SMALL void of_products(const f4 m[PATCH], f4 to[TILE_SIDE]) {
    const f4 sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    to[0] = m[0] + sum1 + sum2;
    to[1] = difference1 + all(2.0f) * difference2;
    to[2] = sum1 + all(4.0f) * sum2;
    to[3] = difference1 + all(8.0f) * difference2 + m[5];
}

/* Aᵀ·m·A, and the bias, of each tile, of which some pixels may lie outside. */
static void from_winograd(const float *bias, size_t count, size_t side, size_t channels, float *out) {
    const size_t tiles = tiles_of(side), plane = count * tiles * tiles * channels;
    const float *from = products;
    size_t picture, ty, tx, c, i, j;
    for (picture = 0; picture < count; picture++)
        for (ty = 0; ty < tiles; ty++)
            for (tx = 0; tx < tiles; tx++, from += channels)
                for (c = 0; c < channels; c += 4) {
                    f4 columns[PATCH][TILE_SIDE], m[PATCH], row[TILE_SIDE];
                    for (j = 0; j < PATCH; j++) {
                        for (i = 0; i < PATCH; i++)
                            m[i] = load4(from + (i * PATCH + j) * plane + c);
                        of_products(m, columns[j]);
                    }
                    for (i = 0; i < TILE_SIDE && TILE_SIDE * ty + i < side; i++) {
                        const size_t place = (picture * side + TILE_SIDE * ty + i) * side + TILE_SIDE * tx;
                        float *const to = out + place * channels + c;
                        for (j = 0; j < PATCH; j++)
                            m[j] = columns[j][i];
                        of_products(m, row);
                        for (j = 0; j < TILE_SIDE && TILE_SIDE * tx + j < side; j++)
                            store4(to + j * channels, row[j] + load4(bias + c));
                    }
                }
}

/* The patches that a convolution with a stride sees, a row each. */
static void unfold(const convolution *layer, const float *x, size_t count, size_t side, float *patches) {
    const size_t size = layer->size, padding = (size - 1) / 2, stride = layer->stride, channels = layer->inputs;
    size_t picture, y, x0, i, j;
    for (picture = 0; picture < count; picture++)
        for (y = 0; y < side; y += stride)
            for (x0 = 0; x0 < side; x0 += stride)
                for (i = 0; i < size; i++)
                    for (j = 0; j < size; j++, patches += channels) {
                        const size_t row = y + i - padding, column = x0 + j - padding;
                        if (row < side && column < side)
                            memcpy(patches, x + ((picture * side + row) * side + column) * channels, channels * sizeof *x);
                        else
                            memset(patches, 0, channels * sizeof *x);
                    }
}

/* `x` is count pictures of side × side places; `out` has side/stride of them. */
static void convolve(const convolution *layer, const float *x, size_t count, size_t side, float *out) {
    const size_t inputs = layer->inputs, outputs = layer->outputs;
    const size_t places = count * (side / layer->stride) * (side / layer->stride);
    if (layer->size == 1) {
        multiply(x, places, inputs, layer->kernel, outputs, layer->bias, out);
    } else if (winograd(layer)) {
        const size_t tiles = count * tiles_of(side) * tiles_of(side);
        size_t at;
        to_winograd(x, count, side, inputs);
        for (at = 0; at < PATCH * PATCH; at++)
            multiply(transformed + at * tiles * inputs, tiles, inputs, layer->kernel + at * inputs * outputs, outputs, NULL,
                     products + at * tiles * outputs);
        from_winograd(layer->bias, count, side, outputs, out);
    } else {
        const size_t patch = layer->size * layer->size * inputs;
        unfold(layer, x, count, side, transformed);
        multiply(transformed, places, patch, layer->kernel, outputs, layer->bias, out);
    }
}

/* ---- normalisation, activation, attention ---- */

/* exp, to 2 ulp or so, for x from −87 to 88: 2ⁿ·eʳ with |r| at most half of ln 2. */
SMALL f4 exp4(f4 x) {
    const f4 magic = all(0x1.8p23f);
    const f4 shifted = x * all(0x1.715476p+0f) + magic, n = shifted - magic;
    const f4 r = x - n * all(0x1.62e4p-1f) - n * all(0x1.7f7d1cp-20f);
    f4 p = all(1.0f / 5040.0f);
    i4 bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23;
    p = p * r + all(1.0f / 720.0f);
    p = p * r + all(1.0f / 120.0f);
    p = p * r + all(1.0f / 24.0f);
    p = p * r + all(1.0f / 6.0f);
    p = p * r + all(0.5f);
    p = p * r + all(1.0f);
    p = p * r + all(1.0f);
    memcpy(&x, &bits, sizeof x);
    return p * x;
}

SMALL f4 silu4(f4 x) {
    /* Farther out SiLU is x or 0 in all bits of a float. */
    f4 limited = -x;
    const i4 high = limited > all(80.0f), low = limited < all(-80.0f);
    i4 bits, top, bottom;
    const f4 most = all(80.0f), least = all(-80.0f);
    memcpy(&bits, &limited, sizeof bits);
    memcpy(&top, &most, sizeof top);
    memcpy(&bottom, &least, sizeof bottom);
    bits = (high & top) | (low & bottom) | (~(high | low) & bits);
    memcpy(&limited, &bits, sizeof limited);
    return x / (all(1.0f) + exp4(limited));
}

/* Computed in double and then rounded, so that all C libraries give the same float. */
static float silu(float x) {
    return (float)(x / (1.0 + exp(-x)));
}

typedef struct affine {
    const float *weight, *bias;
} affine;

/* Group normalisation, a factor and an addend for each channel of a picture, and SiLU if
 * `activate`. The next picture's factors and addends lie `apart` floats further. */
static void normalise(const float *x, size_t count, size_t places, size_t channels, const float *factor, const float *addend,
                      size_t apart, int activate, float *out) {
    static float a[4 * CHANNELS], b[4 * CHANNELS];
    const size_t width = channels / GROUPS;
    size_t picture, place, group, c, i;
    for (picture = 0; picture < count; picture++, x += places * channels, out += places * channels) {
        for (group = 0; group < GROUPS; group++) {
            double sum = 0, squares = 0, mean, root;
            for (place = 0; place < places; place++) {
                const float *const from = x + place * channels + group * width;
                f4 s = all(0.0f), q = all(0.0f);
                for (i = 0; i < width; i += 4) {
                    const f4 v = load4(from + i);
                    s += v;
                    q += v * v;
                }
                sum += (double)(s[0] + s[1] + (s[2] + s[3]));
                squares += (double)(q[0] + q[1] + (q[2] + q[3]));
            }
            mean = sum / (double)(places * width);
            root = 1 / sqrt(squares / (double)(places * width) - mean * mean + 1e-5);
            for (c = group * width; c < (group + 1) * width; c++) {
                a[c] = factor[picture * apart + c] * (float)root;
                b[c] = addend[picture * apart + c] - (float)mean * a[c];
            }
        }
        for (place = 0; place < places; place++)
            for (c = 0; c < channels; c += 4) {
                const f4 v = load4(x + place * channels + c) * load4(a + c) + load4(b + c);
                store4(out + place * channels + c, activate ? silu4(v) : v);
            }
    }
}

typedef struct linear {
    const float *weight, *bias;
    size_t inputs, outputs;
} linear;

static float dot(const float *a, const float *b, size_t len) {
    f4 sum = all(0.0f);
    size_t i;
    for (i = 0; i < len; i += 4)
        sum += load4(a + i) * load4(b + i);
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

static void apply_linear(const linear *layer, const float *x, float *out) {
    size_t i;
    for (i = 0; i < layer->outputs; i++)
        out[i] = layer->bias[i] + dot(layer->weight + i * layer->inputs, x, layer->inputs);
}

typedef struct block {
    affine norm1, norm2;
    convolution conv1, conv2, skip;
    linear modulate;
    size_t inputs, outputs;
} block;

typedef struct network {
    const float *frequencies, *embed_class;
    linear embed_sigma, embed;
    convolution first, shrink, qkv, out, last;
    block down1, down2, middle, up1, up2, up3, up4;
    affine attention_norm, norm;
} network;

static int load_affine(const file *file, const char *name, size_t channels, affine *layer) {
    layer->weight = tensor(file, name, ".weight", channels);
    layer->bias = tensor(file, name, ".bias", channels);
    return layer->weight == NULL || layer->bias == NULL;
}

static int load_linear(const file *file, const char *name, size_t inputs, size_t outputs, linear *layer) {
    layer->inputs = inputs;
    layer->outputs = outputs;
    layer->weight = tensor(file, name, ".weight", inputs * outputs);
    layer->bias = tensor(file, name, ".bias", outputs);
    return layer->weight == NULL || layer->bias == NULL;
}

static const char *part(const char *name, const char *of) {
    static char both[40];
    strcpy(both, name);
    return strcat(both, of);
}

static int load_block(const file *file, const char *name, size_t inputs, size_t outputs, block *block) {
    block->inputs = inputs;
    block->outputs = outputs;
    return load_affine(file, part(name, ".norm1"), inputs, &block->norm1) ||
           load_convolution(file, part(name, ".conv1"), inputs, outputs, 3, 1, &block->conv1) ||
           load_linear(file, part(name, ".modulate"), EMBEDDING, 2 * outputs, &block->modulate) ||
           load_affine(file, part(name, ".norm2"), outputs, &block->norm2) ||
           load_convolution(file, part(name, ".conv2"), outputs, outputs, 3, 1, &block->conv2) ||
           (inputs != outputs && load_convolution(file, part(name, ".skip"), inputs, outputs, 1, 1, &block->skip));
}

/* Reads a safetensors file with a NUL behind its end; 1 if it is not the clothes' network, else
 * 0. */
static int load_network(const void *bytes, size_t len, network *net) {
    file file = {bytes, len, 0};
    uint64_t header = 0;
    size_t i;
    for (i = 8; len >= 8 && i-- > 0;)
        header = header << 8 | ((const unsigned char *)bytes)[i];
    if (header == 0 || header > len - 8)
        return 1;
    file.data = 8 + (size_t)header;
    arena_len = 0;
    net->frequencies = tensor(&file, "frequencies", "", FEATURES / 2);
    net->embed_class = tensor(&file, "embed_class", ".weight", EMBEDDING * CLASSES);
    return net->frequencies == NULL || net->embed_class == NULL ||
           load_linear(&file, "embed_sigma", FEATURES, EMBEDDING, &net->embed_sigma) ||
           load_linear(&file, "embed", EMBEDDING, EMBEDDING, &net->embed) ||
           load_convolution(&file, "first", 1, CHANNELS, 6, 2, &net->first) ||
           load_block(&file, "down1", CHANNELS, CHANNELS, &net->down1) ||
           load_convolution(&file, "shrink", CHANNELS, WIDE, 3, 2, &net->shrink) ||
           load_block(&file, "down2", WIDE, WIDE, &net->down2) ||
           load_affine(&file, "attention.norm", WIDE, &net->attention_norm) ||
           load_convolution(&file, "attention.qkv", WIDE, 3 * WIDE, 1, 1, &net->qkv) ||
           load_convolution(&file, "attention.out", WIDE, WIDE, 1, 1, &net->out) ||
           load_block(&file, "middle", WIDE, WIDE, &net->middle) || load_block(&file, "up1", 2 * WIDE, WIDE, &net->up1) ||
           load_block(&file, "up2", WIDE, WIDE, &net->up2) ||
           load_block(&file, "up3", WIDE + CHANNELS, CHANNELS, &net->up3) ||
           load_block(&file, "up4", 2 * CHANNELS, CHANNELS, &net->up4) ||
           load_affine(&file, "norm", CHANNELS, &net->norm) ||
           load_convolution(&file, "last", CHANNELS, 4, 3, 1, &net->last);
}

/* ---- the network ---- */

enum { MOST = AT_ONCE * HALF * HALF * 3 * CHANNELS };

static float first[MOST], down1[MOST], down2[MOST], joined[MOST], h[MOST], normal[MOST], between[MOST];
static float embeddings[AT_ONCE * EMBEDDING];

/* The block's second norm is modulated: its factor and addend become one with the embedding's. */
static void apply_block(const block *block, const float *x, size_t count, size_t side, float *out) {
    static float modulation[AT_ONCE * 4 * CHANNELS * 2];
    const size_t places = side * side, inputs = block->inputs, outputs = block->outputs;
    size_t picture, c, i;
    for (picture = 0; picture < count; picture++) {
        float *const factor = modulation + picture * 2 * outputs, *const addend = factor + outputs;
        apply_linear(&block->modulate, embeddings + picture * EMBEDDING, factor);
        for (c = 0; c < outputs; c++) {
            addend[c] += block->norm2.bias[c] * (1.0f + factor[c]);
            factor[c] = block->norm2.weight[c] * (1.0f + factor[c]);
        }
    }
    normalise(x, count, places, inputs, block->norm1.weight, block->norm1.bias, 0, 1, normal);
    convolve(&block->conv1, normal, count, side, between);
    normalise(between, count, places, outputs, modulation, modulation + outputs, 2 * outputs, 1, normal);
    convolve(&block->conv2, normal, count, side, between);
    if (inputs != outputs) {
        convolve(&block->skip, x, count, side, normal);
        x = normal;
    }
    for (i = 0; i < count * places * outputs; i += 4)
        store4(out + i, load4(x + i) + load4(between + i));
}

/* Adds self-attention between x's places to x. */
static void attend(const network *net, size_t count, float *x) {
    enum { PLACES = QUARTER * QUARTER, DEPTH = WIDE / HEADS };
    static float qkv[AT_ONCE * PLACES * 3 * WIDE], weights[(PLACES + 3) / 4 * 4];
    size_t picture, head, from, to, i;
    normalise(x, count, PLACES, WIDE, net->attention_norm.weight, net->attention_norm.bias, 0, 0, normal);
    convolve(&net->qkv, normal, count, QUARTER, qkv);
    for (picture = 0; picture < count; picture++)
        for (head = 0; head < HEADS; head++) {
            const float *const q = qkv + picture * PLACES * 3 * WIDE + head * DEPTH, *const k = q + WIDE, *const v = k + WIDE;
            for (from = 0; from < PLACES; from++) {
                float *const out = between + (picture * PLACES + from) * WIDE + head * DEPTH;
                f4 sum[DEPTH / 4] = {{0}};
                float most = -INFINITY, total = 0;
                for (to = 0; to < PLACES; to++) {
                    weights[to] = dot(q + from * 3 * WIDE, k + to * 3 * WIDE, DEPTH) / sqrtf(DEPTH);
                    most = weights[to] > most ? weights[to] : most;
                }
                for (to = 0; to < sizeof weights / sizeof *weights; to += 4)
                    store4(weights + to, exp4(load4(weights + to) - all(most)));
                for (to = 0; to < PLACES; to++) {
                    total += weights[to];
                    for (i = 0; i < DEPTH / 4; i++)
                        sum[i] += all(weights[to]) * load4(v + to * 3 * WIDE + 4 * i);
                }
                for (i = 0; i < DEPTH / 4; i++)
                    store4(out + 4 * i, sum[i] / all(total));
            }
        }
    convolve(&net->out, between, count, QUARTER, normal);
    for (i = 0; i < count * PLACES * WIDE; i += 4)
        store4(x + i, load4(x + i) + load4(normal + i));
}

/* The channels of a, and behind them those of b, for each place. */
static void join(const float *a, size_t a_channels, const float *b, size_t b_channels, size_t places, float *out) {
    size_t place;
    for (place = 0; place < places; place++, out += a_channels + b_channels) {
        memcpy(out, a + place * a_channels, a_channels * sizeof *a);
        memcpy(out + a_channels, b + place * b_channels, b_channels * sizeof *b);
    }
}

static void embed(const network *net, float sigma, const int *classes, size_t count) {
    float features[FEATURES], of_sigma[EMBEDDING], e[EMBEDDING];
    const double noise = log(sigma) / 4.0;
    size_t picture, i;
    for (i = 0; i < FEATURES / 2; i++) {
        features[i] = (float)cos(noise * net->frequencies[i]);
        features[FEATURES / 2 + i] = (float)sin(noise * net->frequencies[i]);
    }
    apply_linear(&net->embed_sigma, features, of_sigma);
    for (picture = 0; picture < count; picture++) {
        float *const out = embeddings + picture * EMBEDDING;
        for (i = 0; i < EMBEDDING; i++)
            e[i] = silu(of_sigma[i] +
                        (classes[picture] < 0 ? 0.0f : net->embed_class[i * CLASSES + (size_t)classes[picture]]));
        apply_linear(&net->embed, e, out);
        for (i = 0; i < EMBEDDING; i++)
            out[i] = silu(out[i]);
    }
}

static void denoise_some(const network *net, const float *x, float sigma, const int *classes, size_t count, float *denoised) {
    const float total = sigma * sigma + SD * SD, root = sqrtf(total);
    const float kept = SD * SD / total, learned = SD * sigma / root;
    const size_t half = count * HALF * HALF;
    size_t picture, y, column, i;
    embed(net, sigma, classes, count);
    for (i = 0; i < count * PIXELS; i++)
        joined[i] = (x[i] - MEAN) / root;
    convolve(&net->first, joined, count, SIDE, first);
    apply_block(&net->down1, first, count, HALF, down1);
    convolve(&net->shrink, down1, count, HALF, joined);
    apply_block(&net->down2, joined, count, QUARTER, down2);
    memcpy(joined, down2, count * QUARTER * QUARTER * WIDE * sizeof *joined);
    attend(net, count, joined);
    apply_block(&net->middle, joined, count, QUARTER, h);
    join(h, WIDE, down2, WIDE, count * QUARTER * QUARTER, joined);
    apply_block(&net->up1, joined, count, QUARTER, h);
    apply_block(&net->up2, h, count, QUARTER, down2);
    /* Twice as high and wide. */
    for (picture = 0; picture < count; picture++)
        for (y = 0; y < HALF; y++)
            for (column = 0; column < HALF; column++)
                memcpy(h + ((picture * HALF + y) * HALF + column) * WIDE,
                       down2 + ((picture * QUARTER + y / 2) * QUARTER + column / 2) * WIDE, WIDE * sizeof *h);
    join(h, WIDE, down1, CHANNELS, half, joined);
    apply_block(&net->up3, joined, count, HALF, h);
    join(h, CHANNELS, first, CHANNELS, half, joined);
    apply_block(&net->up4, joined, count, HALF, h);
    normalise(h, count, HALF * HALF, CHANNELS, net->norm.weight, net->norm.bias, 0, 1, normal);
    convolve(&net->last, normal, count, HALF, between);
    /* A place's four channels are four pixels. */
    for (picture = 0; picture < count; picture++)
        for (y = 0; y < SIDE; y++)
            for (column = 0; column < SIDE; column++) {
                const size_t at = (picture * SIDE + y) * SIDE + column;
                const float *const place = between + ((picture * HALF + y / 2) * HALF + column / 2) * PANEL;
                denoised[at] = MEAN + (x[at] - MEAN) * kept + place[y % 2 * 2 + column % 2] * learned;
            }
}

/* Denoises the pictures; a class below 0 means no class. */
static void denoise(const network *net, const float *x, float sigma, const int *classes, size_t count, float *denoised) {
    size_t begin, some;
    for (begin = 0; begin < count; begin += some) {
        some = count - begin < AT_ONCE ? count - begin : AT_ONCE;
        denoise_some(net, x + begin * PIXELS, sigma, classes + begin, some, denoised + begin * PIXELS);
    }
}

#endif
