/* What clothes.c is asked for, and whom it tells. */

#ifndef CLOTHES_H
#define CLOTHES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __wasm__
#define IMPORT(name) __attribute__((import_module("worker"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
#else
#define IMPORT(name)
#define EXPORT(name)
#endif

/* A frame as a canvas takes it, before step `step` of `steps`: the bytes of a pixel are red, green,
 * blue and alpha. */
IMPORT("show") extern void show(const uint32_t *frame, size_t len, size_t step, size_t steps);
/* A part of the PNG. */
IMPORT("put") extern void put(void *to, const void *bytes, size_t len);

/* Samples twenty pictures of one class, or two of each class if that is 10, and puts them as a PNG;
 * returns NULL, or why it could not. There is a NUL behind each file. */
EXPORT("sample") const char *sample(const char *sampler, const void *weights, size_t weights_len,
                                    const char *json, size_t json_len, uint64_t seed,
                                    size_t evaluations, size_t class_);

#endif
