// What the test programs share: checks that name the place and count failures instead of stopping
// at the first one, a record of the statuses seen, and comparison by bits. Valid as C99 and as
// C++17.

#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vesde.h"

enum { MOST_PRINTED = 20 };

static int failures;
static char context[128];        // what a loop is at; printed with a failure
static unsigned char seen[256];  // statuses that calls have returned, by their negative

static inline int check(int ok, const char *what, const char *file, int line) {
    if (!ok && failures++ < MOST_PRINTED) {
        fprintf(stderr, "%s:%d: failed: %s (%s)\n", file, line, what, context);
    }
    return ok;
}

static inline int check_status(vesde_status wanted, vesde_status got, const char *what, const char *file, int line) {
    if (got <= 0 && got > -256) {
        seen[-got] = 1;
    }
    if (got != wanted && failures < MOST_PRINTED) {
        fprintf(stderr, "wanted \"%s\", got \"%s\":\n", vesde_status_message(wanted), vesde_status_message(got));
    }
    return check(got == wanted, what, file, line);
}

#define CHECK(condition) check(!!(condition), #condition, __FILE__, __LINE__)
// Variadic, because the braces of C++ do not protect commas from the preprocessor.
#define STATUS(wanted, ...) check_status(wanted, __VA_ARGS__, #__VA_ARGS__, __FILE__, __LINE__)
#define OK(...) STATUS(VESDE_OK, __VA_ARGS__)

// How a program ends: the number of failures, the level they were looked for on, and the exit
// status.
static inline int report(void) {
    printf("%d failures, simd level %d\n", failures, (int)vesde_simd_level());
    return failures != 0;
}

static inline uint32_t bits(float x) {
    uint32_t word;
    memcpy(&word, &x, sizeof word);
    return word;
}

// How many of `len` floats differ in a bit.
static inline size_t differing(const float *a, const float *b, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; ++i) {
        count += bits(a[i]) != bits(b[i]);
    }
    return count;
}

static inline int is_same_generator(const vesde_generator *a, const vesde_generator *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

// How many floats `a` and `b`, which have the same sign, lie apart.
static inline uint32_t ulps(float a, float b) {
    return bits(a) > bits(b) ? bits(a) - bits(b) : bits(b) - bits(a);
}

#endif
