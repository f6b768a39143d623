/* Digits as a gray picture, one class a row or otherwise: tiles of upscaled pixels, written as a
 * PNG without compression. For C and C++; the Rust example has the same layout in picture.rs. A
 * program of larger pictures defines their SIDE and SCALE before it.
 */

#ifndef PICTURE_H
#define PICTURE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef SIDE
#define SIDE 8
#define SCALE 8
#endif

enum { PIXELS = SIDE * SIDE, CLASSES = 10, COLUMNS = 10, DIGITS = CLASSES * COLUMNS };
enum { GAP = 8, TILE = SIDE * SCALE + GAP, BACKGROUND = 64 };
enum { WIDTH = COLUMNS * TILE + GAP, HEIGHT = CLASSES * TILE + GAP, MOST_COLUMNS = COLUMNS + 2 };

/* Multiplies by a bit instead of using ?:, since GCC 12 at -O1 on ARM loses the upper half of the
 * constant in ?:. */
static uint32_t crc(uint32_t state, const unsigned char *bytes, size_t len) {
    int bit;
    while (len-- > 0)
        for (state ^= *bytes++, bit = 0; bit < 8; bit++)
            state = state >> 1 ^ 0xEDB88320u * (state & 1);
    return state;
}

static unsigned char *big_endian(unsigned char *to, uint32_t value) {
    int i;
    for (i = 3; i >= 0; i--, value >>= 8)
        to[i] = (unsigned char)value;
    return to + 4;
}

/* Where a picture goes, part by part, with the state of the current chunk's CRC. */
typedef struct png {
    void (*put)(void *to, const void *bytes, size_t len);
    void *to;
    uint32_t crc;
} png;

static void put_number(png *out, uint32_t value) {
    unsigned char bytes[4];
    big_endian(bytes, value);
    out->put(out->to, bytes, 4);
}

static void put_data(png *out, const void *data, size_t len) {
    out->crc = crc(out->crc, (const unsigned char *)data, len);
    out->put(out->to, data, len);
}

static void begin_chunk(png *out, const char *name, size_t len) {
    put_number(out, (uint32_t)len);
    out->crc = ~0u;
    put_data(out, name, 4);
}

static void end_chunk(png *out) { put_number(out, ~out->crc); }

/* The pixel at x, y of a picture of rows of `columns` digits. */
static unsigned char gray_of(const float *digits, size_t columns, size_t x, size_t y) {
    const size_t column = x / TILE, row = y / TILE, left = x % TILE, top = y % TILE;
    if (left < GAP || top < GAP)
        return BACKGROUND;
    digits += (row * columns + column) * PIXELS + (top - GAP) / SCALE * SIDE + (left - GAP) / SCALE;
    return (unsigned char)(*digits * 255.0f + 0.5f);
}

/* The same for a picture of all DIGITS. */
static inline unsigned char gray(const float *digits, size_t x, size_t y) { return gray_of(digits, COLUMNS, x, y); }

/* Writes rows of up to MOST_COLUMNS digits as an 8-bit PNG, one row of pixels at a time. A digit
 * has PIXELS values in 0 to 1. */
static inline void put_tiles(png *out, const float *digits, size_t columns, size_t rows) {
    /* Each row of pixels is a block of its own, and begins with its filter: none. */
    enum { MOST = 5 + 1 + MOST_COLUMNS * TILE + GAP };
    const size_t width = columns * TILE + GAP, height = rows * TILE + GAP, len = 1 + width;
    unsigned char header[13], row[MOST], tail[4];
    uint32_t a = 1, b = 0; /* Adler-32 */
    size_t y, x;
    out->put(out->to, "\x89PNG\r\n\x1a\n", 8);
    /* 8 bits, gray */
    memcpy(big_endian(big_endian(header, (uint32_t)width), (uint32_t)height), "\10\0\0\0\0", 5);
    begin_chunk(out, "IHDR", sizeof header);
    put_data(out, header, sizeof header);
    end_chunk(out);
    begin_chunk(out, "IDAT", 2 + height * (5 + len) + 4);
    put_data(out, "\x78\x01", 2);
    for (y = 0; y < height; y++) {
        unsigned char *to = row;
        *to++ = y + 1 == height;
        *to++ = len & 255;
        *to++ = (unsigned char)(len >> 8);
        *to++ = ~len & 255;
        *to++ = ~len >> 8 & 255;
        for (x = 0; x < len; x++) {
            *to = x == 0 ? 0 : gray_of(digits, columns, x - 1, y);
            a = (a + *to++) % 65521;
            b = (b + a) % 65521;
        }
        put_data(out, row, 5 + len);
    }
    big_endian(tail, b << 16 | a);
    put_data(out, tail, sizeof tail);
    end_chunk(out);
    begin_chunk(out, "IEND", 0);
    end_chunk(out);
}

/* The same for all DIGITS. */
static inline void put_picture(png *out, const float *digits) { put_tiles(out, digits, COLUMNS, CLASSES); }

static inline void put_in_file(void *to, const void *bytes, size_t len) { fwrite(bytes, 1, len, (FILE *)to); }

/* Writes a picture as a file; returns 1 if that fails, else 0. */
static inline int write_tiles(const char *path, const float *digits, size_t columns, size_t rows) {
    FILE *file = fopen(path, "wb");
    png out = {put_in_file, file, 0};
    int failed;
    if (file == NULL)
        return 1;
    put_tiles(&out, digits, columns, rows);
    failed = ferror(file) != 0;
    return fclose(file) != 0 || failed;
}

static inline int write_picture(const char *path, const float *digits) { return write_tiles(path, digits, COLUMNS, CLASSES); }

#endif
