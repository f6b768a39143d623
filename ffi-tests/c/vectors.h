// The recorded vectors (../vectors/*.txt), for the programs that replay them, and what these share.

#ifndef VECTORS_H
#define VECTORS_H

#include <stdlib.h>

#include "check.h"

// ---- the file: arrays, one a line, those of a case one after the other ----

struct array {
    char test[24], name[24], type[4];
    size_t count;
    void *data;
};

static struct array arrays[2048];
static size_t arrays_len;

static int read_array(FILE *file, struct array *array) {
    unsigned long count;  // newlib may lack %zu, and SCNx64
    if (fscanf(file, "%23s %23s %3s %lu", array->test, array->name, array->type, &count) != 4) {
        return 0;
    }
    array->count = count;
    int wide = strcmp(array->type + 1, "64") == 0;
    array->data = calloc(array->count, 8);
    for (size_t i = 0; array->data != NULL && i < array->count; ++i) {
        unsigned long long number;
        if (fscanf(file, "%llx", &number) != 1) {
            return 0;
        }
        uint64_t word = number;
        uint32_t half = (uint32_t)word;
        memcpy((char *)array->data + i * (wide ? 8 : 4), wide ? (void *)&word : (void *)&half, wide ? 8 : 4);
    }
    return array->data != NULL;
}

static void read_vectors(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    int first;
    while ((first = fgetc(file)) == '#') {
        while (first != '\n' && first != EOF) {
            first = fgetc(file);
        }
    }
    ungetc(first, file);
    while (arrays_len < sizeof arrays / sizeof *arrays && read_array(file, &arrays[arrays_len])) {
        ++arrays_len;
    }
    CHECK(feof(file));
    fclose(file);
}

// The case after `test`, or the first if that is NULL, among those whose names begin with `group`;
// NULL after the last.
static const char *next_case(const char *group, const char *test) {
    int found = test == NULL;
    for (size_t i = 0; i < arrays_len; ++i) {
        int same = test != NULL && strcmp(arrays[i].test, test) == 0;
        if (found && !same && strncmp(arrays[i].test, group, strlen(group)) == 0) {
            memcpy(context, arrays[i].test, sizeof arrays[i].test);
            return arrays[i].test;
        }
        found |= same;
    }
    return NULL;
}

// An array of a case, of any type; NULL if there is none.
static const struct array *find(const char *test, const char *name) {
    for (size_t i = 0; i < arrays_len; ++i) {
        if (!strcmp(arrays[i].test, test) && !strcmp(arrays[i].name, name)) {
            return &arrays[i];
        }
    }
    return NULL;
}

static const void *get(const char *test, const char *name, const char *type, size_t *count) {
    const struct array *array = find(test, name);
    if (array == NULL || strcmp(array->type, type) != 0) {
        printf("no array %s %s %s\n", test, name, type);
        exit(2);
    }
    if (count != NULL) {
        *count = array->count;
    }
    return array->data;
}

#define F32(name, count) ((const float *)get(test, name, "f32", count))
#define F64(name) ((const double *)get(test, name, "f64", NULL))
#define U32(name, count) ((const uint32_t *)get(test, name, "u32", count))
#define U64(name) ((const uint64_t *)get(test, name, "u64", NULL))

// ---- a line of the report for each group ----

struct tally {
    size_t cases, values, differing;
};

static void count(struct tally *tally, const float *ours, const float *theirs, size_t len) {
    tally->values += len;
    tally->differing += differing(ours, theirs, len);
}

static void line(const char *what, struct tally tally) {
    printf("%-24s %4lu cases %8lu values %4lu differ\n", what, (unsigned long)tally.cases,
           (unsigned long)tally.values, (unsigned long)tally.differing);
    CHECK(tally.cases > 0 && tally.values > 0);
}

static void line_of_equals(const char *what, struct tally tally) {
    line(what, tally);
    CHECK(tally.differing == 0);
}

static uint32_t furthest(const float *ours, const float *theirs, size_t len) {
    uint32_t most = 0;
    for (size_t i = 0; i < len; ++i) {
        uint32_t distance = ulps(ours[i], theirs[i]);
        most = distance > most ? distance : most;
    }
    return most;
}

// ---- a scheduler on tables of its own ----

static float timesteps[2000], sigmas[2000], discrete_sigmas[2000];

static vesde_scheduler tables_of(const vesde_config *config, size_t n, size_t discrete_n) {
    OK(vesde_set_timesteps(config, n, timesteps));
    OK(vesde_set_sigmas(config, timesteps, n, discrete_n, sigmas, discrete_sigmas));
    const vesde_scheduler scheduler = {
        .config = *config, .timesteps = timesteps, .timesteps_len = n, .sigmas = sigmas, .sigmas_len = n,
        .discrete_sigmas = discrete_sigmas, .discrete_sigmas_len = discrete_n};
    return scheduler;
}

#endif
