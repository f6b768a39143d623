/* The clothes' job in steps, so that several workers can share a call of the network. */

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

enum { CLOTHES = 20 };

/* A frame as a canvas takes it, before step `step` of `steps`: the bytes of a pixel are red, green,
 * blue and alpha. */
IMPORT("show") extern void show(const uint32_t *frame, size_t len, size_t step, size_t steps);
/* A part of the PNG. */
IMPORT("put") extern void put(void *to, const void *bytes, size_t len);

/* Prepares to sample twenty pictures of one class, or two of each class if that is 10; returns
 * NULL, or why it cannot. A NUL follows each file, and the weights must stay where they are. */
EXPORT("start") const char *start(const char *sampler, const void *weights, size_t weights_len,
                                  const char *json, size_t json_len, uint64_t seed,
                                  size_t evaluations, size_t class_);

/* Takes the answers to the last request, and returns the sigma at which all pictures are to be
 * evaluated next. At the end it writes the PNG by `put` and returns 0. Below 0 is a failure. */
EXPORT("next") float next(void);
EXPORT("failure") const char *failure(float next);

/* Evaluates the network at `count` pictures from number `first` on. */
EXPORT("evaluate") void evaluate(size_t first, size_t count, float sigma);

/* Where picture number `i`, and the network's answer to it, are. */
EXPORT("picture_at") float *picture_at(size_t i);
EXPORT("answer_at") float *answer_at(size_t i);

#endif
