/* Real digits whose lower half is completed, as held_out.rs and sampling.rs have it. */

#ifndef INPAINTING_H
#define INPAINTING_H

#include "sampling.h"

enum { INPAINTING_COLUMNS = 2 + COLUMNS };

/* What is known: DIGITS real digits, and one mask for all of them. */
typedef struct known_pixels {
    float digits[DIGITS * PIXELS], mask[PIXELS];
    uint64_t seed;
} known_pixels;

/* The upper halves of ten digits of a class, or of one of each class if `class_` is CLASSES, each
 * COLUMNS times. `levels` are the gray levels of DIGITS digits, COLUMNS of each class. */
static inline void know_upper_halves(const unsigned char *levels, size_t class_, uint64_t seed,
                                     known_pixels *known) {
    size_t i, pixel;
    known->seed = seed;
    for (pixel = 0; pixel < PIXELS; pixel++)
        known->mask[pixel] = pixel < PIXELS / 2 ? 1.0f : 0.0f;
    for (i = 0; i < DIGITS; i++) {
        const size_t row = i / COLUMNS;
        const size_t digit = class_ == CLASSES ? row * COLUMNS : class_ * COLUMNS + row;
        for (pixel = 0; pixel < PIXELS; pixel++)
            known->digits[i * PIXELS + pixel] = (float)levels[digit * PIXELS + pixel] / 16.0f;
    }
}

/* Puts what is known into the digits, with noise of `sigma` from the stream `draw`, or without if
 * sigma is 0. */
static inline vesde_status impute_known(const known_pixels *known, float sigma, uint64_t draw,
                                        float *digits) {
    vesde_imputation imputation = {0};
    imputation.data = known->digits;
    imputation.mask = known->mask;
    imputation.mask_len = PIXELS;
    imputation.sample = imputation.out = digits;
    imputation.len = (size_t)DIGITS * PIXELS;
    imputation.sigma = sigma;
    if (sigma != 0.0f) {
        imputation.noise.kind = VESDE_NOISE_KIND_COUNTER;
        imputation.noise.counter.seed = known->seed;
        imputation.noise.counter.stream = draw;
    }
    return vesde_impute(&imputation);
}

/* What is known gets as much noise as the sample has. */
static inline vesde_status keep_known(const void *known, const vesde_request *request,
                                      float *digits) {
    const float sigma = request->after == VESDE_AFTER_INITIAL ? 0.0f : request->sigma;
    return impute_known((const known_pixels *)known, sigma, request->draw, digits);
}

/* Completes all DIGITS as one batch by sample_digits, from the seed in `known`. */
static inline vesde_status complete_digits(digits_job job, const known_pixels *known) {
    vesde_status status;
    job.seed = known->seed;
    job.change = keep_known;
    job.known = known;
    status = sample_digits(&job);
    return status != VESDE_OK ? status : impute_known(known, 0.0f, 0, job.digits);
}

/* A picture of INPAINTING_COLUMNS digits a row: a real one, what is known of it, and its
 * completions. */
static inline void put_beside(const known_pixels *known, const float *digits, float *picture) {
    const float unknown = (float)BACKGROUND / 255.0f;
    size_t row, pixel;
    for (row = 0; row < CLASSES; row++, picture += INPAINTING_COLUMNS * PIXELS) {
        const float *const real = known->digits + row * COLUMNS * PIXELS;
        for (pixel = 0; pixel < PIXELS; pixel++) {
            picture[pixel] = real[pixel];
            picture[PIXELS + pixel] = known->mask[pixel] == 1.0f ? real[pixel] : unknown;
        }
        memcpy(picture + 2 * PIXELS, digits + row * COLUMNS * PIXELS,
               COLUMNS * PIXELS * sizeof *picture);
    }
}

#endif
