/* The common part of the digits' programs on a computer: their files. For C and C++. */

#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "network.h"
#include "vesde.h"

/* Converts the floats of a safetensors file from little-endian to the machine's order. */
static inline void to_native(char *file, size_t len) {
    size_t at = data_of(file, len);
    for (; at != 0 && at + 4 <= len; at += 4) {
        const uint32_t bits = (uint32_t)little_endian((unsigned char *)file + at, 4);
        memcpy(file + at, &bits, sizeof bits);
    }
}

/* Reads the network and its scheduler's configuration. Returns the memory that the network lies in,
 * to be freed after it. */
static inline char *read_digits(network *net, vesde_config *config) {
    const char *const json = "examples/digits/scheduler_config.json", *const weights = "examples/digits/weights.safetensors";
    size_t len;
    char *bytes = read_file(json, &len);
    check(vesde_config_from_json(bytes, len, config), json);
    free(bytes);
    bytes = read_file(weights, &len);
    to_native(bytes, len);
    if (load_network(bytes, len, net) != 0)
        fail(weights, "is not the digits' network");
    return bytes;
}

/* Writes the digits' `count` floats if the path ends in .f32, else their picture. */
static inline void write_digits(const char *path, const float *digits, size_t count) {
    if (!write_floats(path, digits, count) && write_picture(path, digits) != 0)
        fail(path, "cannot be written");
}

#endif
