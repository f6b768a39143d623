/* Digits as a gray picture, one class a row: tiles of upscaled pixels, written as a PNG without compression.
 * For C and C++; the Rust example has the same layout in picture.rs.
 */

#ifndef PICTURE_H
#define PICTURE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10, COLUMNS = 10, DIGITS = CLASSES * COLUMNS };
enum { SCALE = 8, GAP = 8, TILE = SIDE * SCALE + GAP, BACKGROUND = 64 };
enum { WIDTH = COLUMNS * TILE + GAP, HEIGHT = CLASSES * TILE + GAP };

/* A product and not a choice: of a choice's constant GCC 12 loses the upper half at -O1 on ARM. */
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

static void write_chunk(FILE *file, const char *name, const unsigned char *data, size_t len) {
    unsigned char head[8], tail[4];
    memcpy(big_endian(head, (uint32_t)len), name, 4);
    big_endian(tail, ~crc(crc(~0u, head + 4, 4), data, len));
    fwrite(head, 1, 8, file);
    fwrite(data, 1, len, file);
    fwrite(tail, 1, 4, file);
}

/* The picture's pixel at x, y. */
static unsigned char gray(const float *digits, size_t x, size_t y) {
    const size_t column = x / TILE, row = y / TILE, left = x % TILE, top = y % TILE;
    if (left < GAP || top < GAP)
        return BACKGROUND;
    digits += (row * COLUMNS + column) * PIXELS + (top - GAP) / SCALE * SIDE + (left - GAP) / SCALE;
    return (unsigned char)(*digits * 255.0f + 0.5f);
}

/* Writes all DIGITS, of PIXELS values in 0 to 1 each, as an 8-bit PNG; returns 1 if that fails, else 0. */
static int write_picture(const char *path, const float *digits) {
    enum { ROW = 1 + WIDTH }; /* each row begins with its filter: none */
    static unsigned char data[2 + HEIGHT * (ROW + 5) + 4];
    unsigned char header[13], *to = data;
    uint32_t a = 1, b = 0; /* Adler-32 */
    size_t y, x;
    int failed;
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return 1;
    /* 8 bits, gray */
    memcpy(big_endian(big_endian(header, WIDTH), HEIGHT), "\10\0\0\0\0", 5);
    *to++ = 0x78;
    *to++ = 0x01;
    for (y = 0; y < HEIGHT; y++) {
        *to++ = y + 1 == HEIGHT;
        *to++ = ROW & 255;
        *to++ = ROW >> 8;
        *to++ = ~ROW & 255;
        *to++ = ~ROW >> 8 & 255;
        for (x = 0; x < ROW; x++) {
            *to = x == 0 ? 0 : gray(digits, x - 1, y);
            a = (a + *to++) % 65521;
            b = (b + a) % 65521;
        }
    }
    to = big_endian(to, b << 16 | a);
    fwrite("\x89PNG\r\n\x1a\n", 1, 8, file);
    write_chunk(file, "IHDR", header, sizeof header);
    write_chunk(file, "IDAT", data, (size_t)(to - data));
    write_chunk(file, "IEND", header, 0);
    failed = ferror(file) != 0;
    return fclose(file) != 0 || failed;
}

#endif
