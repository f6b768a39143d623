// The promises of vesde.h, function by function: loops over the table of functions.h try every NULL, misalignment, wrong
// length and overlap, and compare all memory around the buffers. Then comes what only one function can get wrong: its
// result, and the statuses that its documentation names.

#include "functions.h"

// ---- one call, in memory of which every byte is compared ----

enum { SLOT = 16384, MARGIN = 2048, SENTINEL = 0xa5 };

static double memory[PARAMETERS * SLOT / sizeof(double) + 8];
static unsigned char before[PARAMETERS * SLOT];

// The first byte at a multiple of 64.
static unsigned char *arena(void) {
    return (unsigned char *)memory + (64 - (uintptr_t)memory % 64);
}

// Each parameter in a slot of its own, buffers of floats `offset` floats behind a multiple of 64 bytes; usual lengths.
static void lay_out(const struct function *f, size_t offset, void **p, size_t *n) {
    for (int i = 0; i < parameters(f); ++i) {
        int is_floats = f->parameters[i].size == sizeof(float) && f->parameters[i].length != ONE;
        p[i] = arena() + i * SLOT + MARGIN + (is_floats ? offset * sizeof(float) : 0);
    }
    for (int i = 0; i < LENGTHS; ++i) {
        n[i] = f->lengths[i].value;
    }
}

// Calls `f`. After an error all memory must be as before; after success all but the outputs.
static vesde_status attempt(const struct function *f, void **p, const size_t *n) {
    memset(arena(), SENTINEL, sizeof before);
    for (int i = 0; i < parameters(f); ++i) {
        if (p[i] != NULL && f->parameters[i].role != OUT) {
            memcpy(p[i], f->parameters[i].content, bytes_of(f, i, n));
        }
    }
    memcpy(before, arena(), sizeof before);
    vesde_status status = f->call(p, n);
    for (int i = 0; status == VESDE_OK && i < parameters(f); ++i) {
        if (p[i] != NULL && f->parameters[i].role >= OUT) {
            memcpy(before + ((unsigned char *)p[i] - arena()), p[i], bytes_of(f, i, n));
        }
    }
    CHECK(memcmp(before, arena(), sizeof before) == 0);
    return status;
}

static unsigned char wanted[PARAMETERS * SLOT], got[PARAMETERS * SLOT];

// Calls a function as the table has it. The statics that its content comes from may have been changed before.
static vesde_status call(const char *name) {
    vesde_status status = 1;  // no status, should there be no such function
    EACH(f) {
        if (strcmp(f->name, name) == 0) {
            void *p[PARAMETERS];
            size_t n[LENGTHS];
            lay_out(f, 0, p, n);
            at(f, "as in the table");
            status = attempt(f, p, n);
        }
    }
    return status;
}

// ---- what holds for all functions ----

static void every_call_succeeds_and_writes_all_of_its_outputs(void) {
    EACH(f) {
        void *p[PARAMETERS];
        size_t n[LENGTHS];
        lay_out(f, 0, p, n);
        at(f, "success");
        OK(attempt(f, p, n));
        for (int i = 0; i < parameters(f); ++i) {
            const struct parameter *x = &f->parameters[i];
            for (size_t k = 0; x->role == OUT && x->size > 1 && k < bytes_of(f, i, n); k += x->size) {
                unsigned char untouched[sizeof(vesde_torch_cpu)];
                memset(untouched, SENTINEL, x->size);
                CHECK(memcmp((char *)p[i] + k, untouched, x->size) != 0);
            }
        }
    }
}

static void every_pointer_is_checked(void) {
    EACH(f) {
        for (int i = 0; i < parameters(f); ++i) {
            void *p[PARAMETERS];
            size_t n[LENGTHS];
            lay_out(f, 0, p, n);
            char *there = p[i];
            at(f, "NULL for pointer %d", i);
            p[i] = NULL;
            STATUS(f->parameters[i].null, attempt(f, p, n));
            at(f, "misaligned pointer %d", i);
            p[i] = there + 1;
            STATUS(f->parameters[i].size == 1 ? VESDE_OK : VESDE_ERROR_MISALIGNED, attempt(f, p, n));
        }
    }
}

static void every_length_is_checked(void) {
    EACH(f) {
        for (int i = 0; i < LENGTHS && f->lengths[i].value != 0; ++i) {
            void *p[PARAMETERS];
            size_t n[LENGTHS], size = sizeof(double);  // of the smallest element that there are so many of
            lay_out(f, 0, p, n);
            at(f, "length %d", i);
            n[i] = 0;
            STATUS(f->lengths[i].empty, attempt(f, p, n));
            for (int k = 0; k < parameters(f); ++k) {
                const struct parameter *x = &f->parameters[k];
                size = x->length == i && x->size < size ? x->size : size;
            }
            const size_t huge[] = {SIZE_MAX, SIZE_MAX / size, PTRDIFF_MAX / size + 1};
            for (int k = 0; k < 3; ++k) {
                n[i] = huge[k];
                STATUS(f->lengths[i].huge, attempt(f, p, n));
            }
        }
    }
}

// Draws of nothing, whatever pointer their buffer has: NULL, one that is not aligned, one into the
// generators, one that is aligned. The generators, of which torch's and NumPy's hold the second
// normal of a pair, stay as they are.
static void draws_of_nothing_change_nothing(void) {
    int tried = 0;
    float three[3];
    vesde_torch_cpu kept = torch_cpus[0];
    vesde_numpy kept_numpy = numpys[0];
    OK(vesde_torch_cpu_fill(torch_cpus, 1, 3, three));
    OK(vesde_numpy_fill(numpys, 1, 3, three));
    CHECK(torch_cpus[0].state.has_cached == 1 && numpys[0].state.has_cached == 1);
    EACH(f) {
        for (int k = 0; f->lengths[0].value != 0 && f->lengths[0].empty == VESDE_OK && k < 4; ++k) {
            void *p[PARAMETERS];
            size_t n[LENGTHS];
            lay_out(f, 0, p, n);
            int out = parameters(f) - 1;
            char *places[] = {NULL, (char *)p[out] + 1, (char *)p[0] + 4, p[out]};
            at(f, "a draw of nothing to place %d", k);
            p[out] = places[k];
            n[0] = 0;
            OK(attempt(f, p, n));
            CHECK(out == 0 || memcmp(p[0], f->parameters[0].content, bytes_of(f, 0, n)) == 0);
            ++tried;
        }
    }
    torch_cpus[0] = kept;
    numpys[0] = kept_numpy;
    CHECK(tried == 4 * 5);
    vesde_torch_cuda state = torch_cudas[0];
    OK(vesde_torch_cuda_skip(&state, 0));
    CHECK(memcmp(&state, torch_cudas, sizeof state) == 0);
    // Generators of which there are none are no draw of nothing.
    STATUS(VESDE_ERROR_EMPTY, vesde_torch_cpu_fill(torch_cpus, 0, 0, NULL));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_torch_cpu_fill(NULL, 1, 0, NULL));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_torch_cpu_fill(torch_cpus, 1, 1, NULL));
}

static int is_buffer(const struct function *f, int i) {
    return f->parameters[i].length != ONE && f->parameters[i].size > 1;
}

// An output that shares all but one element, or only one, with another buffer, or is another output; that touches an
// object or a table at all. To lie beside is fine.
static void every_partial_overlap_is_refused(void) {
    EACH(f) {
        for (int pair = 0; pair < PARAMETERS * PARAMETERS; ++pair) {
            int a = pair / PARAMETERS, b = pair % PARAMETERS;
            const struct parameter *out = &f->parameters[a], *other = &f->parameters[b];
            int is_object = other->length == ONE && other->size != 0;
            if (a == b || out->role < OUT || !is_buffer(f, a) || !(is_buffer(f, b) || is_object)) {
                continue;
            }
            void *p[PARAMETERS];
            size_t n[LENGTHS];
            lay_out(f, 0, p, n);
            int size = (int)out->size, len = (int)bytes_of(f, a, n), other_len = (int)bytes_of(f, b, n);
            const int shifts[] = {-len, size - len, -size, 0, size, other_len - size, other_len};
            for (int i = 0; i < 7; ++i) {
                at(f, "pointer %d at pointer %d, shifted by %d", a, b, shifts[i]);
                p[a] = (char *)p[b] + shifts[i];
                if (shifts[i] != 0 || other->role != IN || is_object) {
                    int beside = shifts[i] <= -len || shifts[i] >= other_len;
                    STATUS(beside ? VESDE_OK : VESDE_ERROR_OVERLAP, attempt(f, p, n));
                }
            }
        }
    }
}

// An input that is another one, or begins within it, gives the bits of a copy of its own.
static void inputs_may_overlap(void) {
    int tried = 0;
    EACH(f) {
        for (int pair = 0; pair < PARAMETERS * PARAMETERS; ++pair) {
            int a = pair / PARAMETERS, b = pair % PARAMETERS;
            const struct parameter *x = &f->parameters[a], *y = &f->parameters[b];
            if (a == b || x->role > IN_APART || y->role != IN || !is_buffer(f, a) || !is_buffer(f, b) ||
                x->size != y->size) {
                continue;
            }
            for (int shift = 0; shift < 2; ++shift) {
                void *p[PARAMETERS];
                size_t n[LENGTHS];
                lay_out(f, 0, p, n);
                at(f, "input %d at input %d, shifted by %d", b, a, shift);
                OK(attempt(f, p, n));
                char *inside = (char *)p[a] + (size_t)shift * x->size;
                memcpy(p[b], inside, bytes_of(f, b, n));
                for (int shared = 0; shared < 2; ++shared) {
                    for (int i = 0; i < parameters(f); ++i) {
                        if (f->parameters[i].role == IN_OUT) {
                            memcpy(p[i], f->parameters[i].content, bytes_of(f, i, n));
                        }
                    }
                    p[b] = shared ? inside : p[b];
                    OK(f->call(p, n));
                    size_t bytes = collect(f, p, n, shared ? got : wanted);
                    CHECK(!shared || memcmp(wanted, got, bytes) == 0);
                }
                ++tried;
            }
        }
    }
    CHECK(tried > 0);
}

// Of whatever kind outputs are, two never share memory, and none lies on a scheduler or its tables.
static void outputs_lie_apart(void) {
    EACH(f) {
        for (int pair = 0; pair < PARAMETERS * PARAMETERS; ++pair) {
            int a = pair / PARAMETERS, b = pair % PARAMETERS;
            int is_scheduler = f->parameters[b].content == &scheduler;
            if (a == b || f->parameters[a].role < OUT || !(f->parameters[b].role >= OUT || is_scheduler)) {
                continue;
            }
            void *p[PARAMETERS], *tables[] = {timesteps, sigmas, discrete_sigmas};
            size_t n[LENGTHS];
            lay_out(f, 0, p, n);
            at(f, "output %d at pointer %d", a, b);
            OK(attempt(f, p, n));
            p[a] = p[b];
            STATUS(VESDE_ERROR_OVERLAP, attempt(f, p, n));
            for (int i = 0; is_scheduler && i < 3; ++i) {
                at(f, "output %d at table %d", a, i);
                p[a] = tables[i];
                p[b] = &scheduler;
                STATUS(VESDE_ERROR_OVERLAP, f->call(p, n));
            }
        }
    }
}

// Every choice of input buffers of the same kind as places of the outputs.
static void in_place_gives_the_same_bits(void) {
    EACH(f) {
        int outs[PARAMETERS], outs_len = 0, choices = 1;
        for (int i = 0; i < parameters(f); ++i) {
            if (f->parameters[i].role == OUT && is_buffer(f, i)) {
                outs[outs_len++] = i;
                choices *= PARAMETERS + 1;
            }
        }
        for (int choice = 1; choice < choices; ++choice) {
            void *p[PARAMETERS];
            size_t n[LENGTHS];
            lay_out(f, 0, p, n);
            at(f, "in place, choice %d", choice);
            OK(attempt(f, p, n));
            collect(f, p, n, wanted);
            int possible = 1;
            for (int k = 0, digits = choice, taken = 0; k < outs_len; ++k, digits /= PARAMETERS + 1) {
                int to = digits % (PARAMETERS + 1);  // PARAMETERS: elsewhere
                if (to < PARAMETERS) {
                    const struct parameter *x = &f->parameters[to], *out = &f->parameters[outs[k]];
                    possible &= x->role == IN && x->size == out->size && x->length == out->length && !(taken >> to & 1);
                    taken |= 1 << to;
                    p[outs[k]] = p[to];
                }
            }
            if (possible) {
                OK(attempt(f, p, n));
                CHECK(memcmp(wanted, got, collect(f, p, n, got)) == 0);
            }
        }
    }
}

static void every_length_and_alignment_gives_the_same_bits(void) {
    EACH(f) {
        for (size_t len = 1; f->lengths[0].value == LEN && len <= MOST; ++len) {
            for (size_t offset = 0; offset < 4; ++offset) {
                void *p[PARAMETERS];
                size_t n[LENGTHS];
                lay_out(f, offset, p, n);
                n[0] = len;
                n[1] = 1;
                at(f, "length %d, offset %d", (int)len, (int)offset);
                OK(attempt(f, p, n));
                size_t bytes = collect(f, p, n, offset == 0 ? wanted : got);
                CHECK(offset == 0 || memcmp(wanted, got, bytes) == 0);
            }
        }
    }
}

// ---- what a function computes ----

// What another environment gives, examples of `-Ofast` included, is environment.c's subject.
static void the_environment_is_the_default_one(void) {
    CHECK(vesde_float_environment_is_default() == 1);
}

static void versions_and_messages(void) {
    CHECK(vesde_version() == (VESDE_VERSION_MAJOR << 16 | VESDE_VERSION_MINOR << 8 | VESDE_VERSION_PATCH));
    const char *unknown = vesde_status_message(1);
    const vesde_status unknowns[] = {1, -9, -1000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof unknowns / sizeof *unknowns; ++i) {
        CHECK(strcmp(vesde_status_message(unknowns[i]), unknown) == 0);
    }
    CHECK(strcmp(vesde_status_message(VESDE_OK), unknown) != 0);
}

static void configurations(void) {
    vesde_config made = {0}, read = {0};
    char text[512];
    size_t len = 0;
    float sigma;
    OK(vesde_config_default(&made));
    CHECK(made.snr == 0.15 && made.sigma_min == 0.01 && made.sigma_max == 1348.0 && made.sampling_eps == 1e-5);
    CHECK(made.num_train_timesteps == 2000 && made.correct_steps == 1);
    OK(vesde_init_noise_sigma(&made, &sigma));
    CHECK(sigma == 1348.0f);
    OK(vesde_config_from_json(json, sizeof json - 1, &read));
    made.snr = 0.25;
    CHECK(memcmp(&made, &read, sizeof made) == 0);
    const char python[] = "{\"_class_name\": \"FlaxScoreSdeVeScheduler\", \"x\": [NaN, {\"y\": -Infinity}], \"snr\": 0.25}";
    OK(vesde_config_from_json(python, sizeof python - 1, &read));
    CHECK(memcmp(&made, &read, sizeof made) == 0);
    made.sampling_eps = 1.0 / 3.0;
    OK(vesde_config_to_json(&made, text, sizeof text, &len));
    OK(vesde_config_from_json(text, len, &read));
    CHECK(memcmp(&made, &read, sizeof made) == 0);
    size_t written = len;
    OK(vesde_config_to_json(&made, text, len, &written));
    memset(text, SENTINEL, sizeof text);
    STATUS(VESDE_ERROR_BUFFER_TOO_SMALL, vesde_config_to_json(&made, text, len - 1, &written));
    CHECK(written == len && memchr(text, '{', sizeof text) == NULL && (unsigned char)text[0] == SENTINEL);

    const struct {
        const char *text;
        vesde_status status;
    } refused[] = {
        {"[]", VESDE_ERROR_JSON_SYNTAX},
        {"{\"snr\": 1", VESDE_ERROR_JSON_TRUNCATED},
        {"{\"snr\": \"1\"}", VESDE_ERROR_JSON_TYPE},
        {"{\"snr\": 1e999}", VESDE_ERROR_INVALID_SNR},
        {"{\"correct_steps\": 4294967296}", VESDE_ERROR_JSON_NUMBER},
        {"{\"_class_name\": \"DDPMScheduler\"}", VESDE_ERROR_JSON_CLASS_NAME},
        {"{\"snr\": -1}", VESDE_ERROR_INVALID_SNR},
        {"{\"snr\": NaN}", VESDE_ERROR_INVALID_SNR},
        {"{\"sigma_max\": Infinity}", VESDE_ERROR_INVALID_SIGMA_MAX},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
        snprintf(context, sizeof context, "%s", refused[i].text);
        STATUS(refused[i].status, vesde_config_from_json(refused[i].text, strlen(refused[i].text), &read));
    }
    char deep[100] = "{\"deep\":";
    memset(deep + strlen(deep), '[', 80);
    STATUS(VESDE_ERROR_JSON_DEPTH, vesde_config_from_json(deep, strlen(deep), &read));
    CHECK(memcmp(&made, &read, sizeof made) == 0);
}

// A configuration with one wrong field is refused by all that take one.
static void invalid_configurations(void) {
    vesde_config wrong[5];
    const vesde_status status[5] = {VESDE_ERROR_INVALID_NUM_TRAIN_TIMESTEPS, VESDE_ERROR_INVALID_SNR,
                                    VESDE_ERROR_INVALID_SIGMA_MIN, VESDE_ERROR_INVALID_SIGMA_MAX,
                                    VESDE_ERROR_INVALID_SAMPLING_EPS};
    for (int i = 0; i < 5; ++i) {
        wrong[i] = config;
    }
    wrong[0].num_train_timesteps = 0;
    wrong[1].snr = -0.15;
    wrong[2].sigma_min = -0.5;
    wrong[3].sigma_max = wrong[3].sigma_min;
    wrong[4].sampling_eps = 1.0;
    const char *takers[] = {"config_validate", "config_to_json", "init_noise_sigma", "set_timesteps", "set_sigmas",
                            "sampler_init"};
    for (int i = 0; i < 5; ++i) {
        vesde_config right = config;
        config = wrong[i];
        for (size_t k = 0; k < sizeof takers / sizeof *takers; ++k) {
            STATUS(status[i], call(takers[k]));
        }
        config = right;
    }
}

// Timesteps may run down to 0 itself: then the last sigma is sigma_min.
static void schedules_down_to_zero(void) {
    vesde_config down = config;
    float t[5], s[5], d[5];
    down.sampling_eps = 0;
    OK(vesde_set_timesteps(&down, 5, t));
    OK(vesde_set_sigmas(&down, t, 5, 5, s, d));
    CHECK(t[0] == 1 && t[3] == 0.25f && t[4] == 0 && s[4] == 0.01f);
    vesde_scheduler tables = {down, t, 5, s, 5, d, 5};
    vesde_predictor_step step;
    OK(vesde_get_predictor_step(&tables, t[4], &step));
    CHECK(step.diffusion == d[0]);
}

static void schedules(void) {
    CHECK(timesteps[0] == 1.0f && timesteps[MOST - 1] == 1e-5f);
    CHECK(fabs(sigmas[0] - 1348) < 1e-3 && fabs(discrete_sigmas[MOST - 1] - 1348) < 1e-3);
    CHECK(fabs(sigmas[MOST - 1] - 0.01) < 1e-5 && fabs(discrete_sigmas[0] - 0.01) < 1e-8);
    for (size_t i = 1; i < MOST; ++i) {
        CHECK(timesteps[i] < timesteps[i - 1] && sigmas[i] < sigmas[i - 1]);
        CHECK(discrete_sigmas[i] > discrete_sigmas[i - 1]);
    }
    for (size_t i = 0; i < MOST; ++i) {
        float t = timesteps[i], adjacent;
        size_t index;
        vesde_predictor_step step;
        snprintf(context, sizeof context, "timestep %d", (int)i);
        OK(vesde_get_timestep_index(&scheduler, t, &index));
        OK(vesde_get_adjacent_sigma(&scheduler, index, &adjacent));
        OK(vesde_get_predictor_step(&scheduler, t, &step));
        CHECK(index == (size_t)(t * (float)(MOST - 1)));
        CHECK(adjacent == (index == 0 ? 0 : discrete_sigmas[index - 1]));
        float sigma = discrete_sigmas[index], variance = sigma * sigma - adjacent * adjacent;
        CHECK(step.drift == step.diffusion * step.diffusion && ulps(step.drift, variance) <= 2);
    }

    vesde_scheduler empty = {.config = config}, broken = scheduler, uneven = scheduler;
    float sigma = 0, falling[2] = {2, 1}, infinite[2] = {1, 1e30f};
    size_t index;
    vesde_predictor_step step;
    const float out_of_range[] = {-0.001f, 1.001f, NAN};
    for (int i = 0; i < 3; ++i) {
        snprintf(context, sizeof context, "timestep out of range, %d", i);
        STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_get_timestep_index(&scheduler, out_of_range[i], &index));
        STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_get_predictor_step(&scheduler, out_of_range[i], &step));
    }
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_get_adjacent_sigma(&scheduler, MOST, &sigma));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_get_adjacent_sigma(&scheduler, SIZE_MAX, &sigma));
    uneven.discrete_sigmas_len = MOST / 2;
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_get_timestep_index(&uneven, 1.0f, &index));
    STATUS(VESDE_ERROR_EMPTY, vesde_get_timestep_index(&empty, 1.0f, &index));
    broken.timesteps_len = broken.discrete_sigmas_len = 2;
    broken.discrete_sigmas = falling;
    STATUS(VESDE_ERROR_INVALID_SIGMA, vesde_get_predictor_step(&broken, 1.0f, &step));
    broken.discrete_sigmas = infinite;
    STATUS(VESDE_ERROR_INVALID_SIGMA, vesde_get_predictor_step(&broken, 1.0f, &step));
    // A table is NULL with length 0, or neither.
    broken.discrete_sigmas = NULL;
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_get_predictor_step(&broken, 1.0f, &step));
    broken.discrete_sigmas = (const float *)((const char *)falling + 1);
    STATUS(VESDE_ERROR_MISALIGNED, vesde_get_predictor_step(&broken, 1.0f, &step));
    broken.discrete_sigmas = falling;
    broken.discrete_sigmas_len = 0;
    STATUS(VESDE_ERROR_EMPTY, vesde_get_predictor_step(&broken, 1.0f, &step));
    broken.discrete_sigmas_len = SIZE_MAX;
    STATUS(VESDE_ERROR_TOO_LARGE, vesde_get_predictor_step(&broken, 1.0f, &step));
}

// Of a batch the last sample's timestep, index or sigma is wrong, and yet the first is not written.
static void wrong_elements(void) {
    float right = timesteps[BATCH - 1], sigma = discrete_sigmas[indices[BATCH - 1]];
    const float wrong[] = {-0.001f, 1.001f, NAN};
    for (int i = 0; i < 3; ++i) {
        timesteps[BATCH - 1] = wrong[i];
        STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, call("step_pred"));
        STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, call("step_pred_counter"));
        STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, call("set_sigmas"));
    }
    timesteps[BATCH - 1] = right;
    discrete_sigmas[indices[BATCH - 1]] = INFINITY;
    STATUS(VESDE_ERROR_INVALID_SIGMA, call("add_noise"));
    STATUS(VESDE_ERROR_INVALID_SIGMA, call("add_noise_counter"));
    discrete_sigmas[indices[BATCH - 1]] = sigma;
    int64_t index = indices[BATCH - 1];
    const int64_t beyond[] = {-1, MOST, INT64_MIN, INT64_MAX};
    for (int i = 0; i < 4; ++i) {
        indices[BATCH - 1] = beyond[i];
        STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, call("add_noise"));
        STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, call("add_noise_counter"));
    }
    indices[BATCH - 1] = index;
}

static float prev[MOST], mean[MOST], drawn[MOST], other[MOST];

// `prev` and `mean` are those of an update with factors a and b and noise z, one rounding an operation.
static void is_update(float a, float b, const float *z, size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
        float m = sample[i] + a * model_output[i];
        CHECK(bits(mean[i]) == bits(m) && bits(prev[i]) == bits(m + b * z[i]));
    }
}

static void updates_and_predictor_steps(void) {
    OK(vesde_counter_fill(counter, MOST, drawn));
    for (int made = 0; made < 2; ++made) {
        snprintf(context, sizeof context, "counter noise %d", made);
        const float *z = made ? drawn : noise;
        OK(made ? vesde_update_counter(drift, diffusion, model_output, sample, MOST, counter, prev, mean)
                : vesde_update(drift, diffusion, model_output, sample, noise, MOST, prev, mean));
        is_update(drift, diffusion, z, 0, MOST);

        const float t[4] = {1.0f, 0.25f, 0.0f, 0.999f};
        const size_t part = MOST / 4;
        OK(made ? vesde_step_pred_counter(&scheduler, model_output, t, 4, sample, MOST, counter, prev, mean)
                : vesde_step_pred(&scheduler, model_output, t, 4, sample, noise, MOST, prev, mean));
        for (size_t i = 0; i < 4; ++i) {
            vesde_predictor_step step;
            OK(vesde_get_predictor_step(&scheduler, t[i], &step));
            is_update(step.drift, step.diffusion, z, i * part, (i + 1) * part);
        }

        const int64_t index[4] = {0, MOST - 1, 3, 3};
        OK(made ? vesde_add_noise_counter(&scheduler, sample, index, 4, MOST, counter, prev)
                : vesde_add_noise(&scheduler, sample, index, 4, noise, MOST, prev));
        for (size_t i = 0; i < MOST; ++i) {
            CHECK(bits(prev[i]) == bits(discrete_sigmas[index[i / part]] * z[i] + sample[i]));
        }
    }
    OK(vesde_scale_model_input(sample, MOST, prev));
    CHECK(differing(prev, sample, MOST) == 0);

    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_add_noise(&scheduler, sample, indices, BATCH, noise, MOST, prev));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH,
           vesde_step_pred(&scheduler, model_output, timesteps, BATCH, sample, noise, MOST, prev, mean));
}

static void steps_without_noise_where_its_factor_is_zero(void) {
    static float last[MOST];
    OK(vesde_update(drift, 0, model_output, sample, NULL, MOST, prev, mean));
    for (size_t i = 0; i < MOST; ++i) {
        CHECK(bits(prev[i]) == bits(sample[i] + drift * model_output[i]) && bits(mean[i]) == bits(prev[i]));
    }
    memcpy(other, sample, sizeof other);
    OK(vesde_update(drift, -0.0f, model_output, other, NULL, MOST, other, NULL));
    CHECK(differing(other, prev, MOST) == 0);
    memcpy(other, model_output, sizeof other);
    OK(vesde_update(drift, 0, other, sample, NULL, MOST, last, other));
    CHECK(differing(other, prev, MOST) == 0 && differing(last, prev, MOST) == 0);
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_update(drift, 1e-45f, model_output, sample, NULL, MOST, prev, mean));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_update(drift, NAN, model_output, sample, NULL, MOST, prev, mean));
    const float level[] = {0, 0, 2, 2};
    const vesde_scheduler flat = {config, timesteps, 4, NULL, 0, level, 4};
    OK(vesde_step_pred(&flat, model_output, timesteps, 1, sample, NULL, MOST, prev, mean));
    CHECK(differing(prev, sample, MOST) == 0 && differing(mean, sample, MOST) == 0);
    OK(vesde_add_noise(&flat, sample, indices, 1, NULL, MOST, prev));
    CHECK(differing(prev, sample, MOST) == 0);
    const float two[] = {1, 0.7f};
    const int64_t of_two[] = {0, 2};
    memset(prev, SENTINEL, sizeof prev);
    memcpy(other, prev, sizeof other);
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_step_pred(&flat, model_output, two, 2, sample, NULL, MOST, prev, NULL));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_add_noise(&flat, sample, of_two, 2, NULL, MOST, prev));
    CHECK(memcmp(prev, other, sizeof prev) == 0);
}

// The norm of elements `from` to `to` of the model output, the noise or counter noise, as the corrector takes it.
static double norm_of(int what, int32_t kind, size_t from, size_t to) {
    const float *x[] = {model_output, noise, drawn};
    vesde_counter here = {counter.seed, counter.stream, counter.index + from};
    double sum = 0, block, result = 0;
    if (kind == VESDE_NORM_TORCH) {
        OK(what == 2 ? vesde_torch_norm_counter(here, to - from, &result)
                     : vesde_torch_norm(x[what] + from, to - from, &result));
    } else {
        OK(what == 2 ? vesde_sum_squares_counter(here, to - from, 1, &block)
                     : vesde_sum_squares(x[what] + from, to - from, 1, &block));
        OK(vesde_sample_norm(&block, 1, &result));
    }
    for (size_t i = from; i < to; ++i) {
        sum += (double)x[what][i] * x[what][i];
    }
    CHECK(fabs(result * result / sum - 1) < (kind == VESDE_NORM_TORCH ? 1e-5 : 1e-14));
    return result;
}

static vesde_corrector_step corrector_step(double grad_norm, double noise_norm, int32_t kind) {
    vesde_corrector_step step = {0};
    double ratio = config.snr * noise_norm / grad_norm;
    OK(vesde_get_corrector_step(config.snr, grad_norm, noise_norm, kind, &step));
    CHECK(fabs(step.step_size / (2 * ratio * ratio) - 1) < 1e-6);
    CHECK(fabs(step.noise_factor * step.noise_factor / (4 * ratio * ratio) - 1) < 1e-6);
    return step;
}

// In every mode: from the norms of each of four samples, their mean or not, the step's factors and the update.
static void corrector_steps(void) {
    for (int mode = 0; mode < 8; ++mode) {
        int32_t average = mode & 1, kind = mode >> 1 & 1;
        int made = mode >> 2;
        const size_t part = MOST / 4;
        snprintf(context, sizeof context, "averaging %d, norm %d, counter noise %d", (int)average, (int)kind, made);
        const float *m = model_output;
        OK(made ? vesde_step_correct_counter(&scheduler, m, sample, MOST, 4, average, kind, counter, prev, mean)
                : vesde_step_correct(&scheduler, m, sample, noise, MOST, 4, average, kind, prev, mean));
        double each[2][4], means[2];
        for (int k = 0; k < 2; ++k) {
            for (size_t i = 0; i < 4; ++i) {
                each[k][i] = norm_of(k == 0 ? 0 : 1 + made, kind, i * part, (i + 1) * part);
            }
            OK(vesde_mean_norm(each[k], 4, kind, &means[k]));
            CHECK(fabs(4 * means[k] / (each[k][0] + each[k][1] + each[k][2] + each[k][3]) - 1) < 1e-6);
        }
        for (size_t i = 0; i < 4; ++i) {
            vesde_corrector_step step = average == VESDE_AVERAGING_BATCH
                                            ? corrector_step(means[0], means[1], kind)
                                            : corrector_step(each[0][i], each[1][i], kind);
            is_update(step.step_size, step.noise_factor, made ? drawn : noise, i * part, (i + 1) * part);
        }
    }
    // With its own step size a sample is alone, in a batch of any length, and in place of what its norm is taken of.
    const size_t part = MOST / 40;
    const int32_t alone = VESDE_AVERAGING_PER_SAMPLE, kind = VESDE_NORM_EXACT;
    memcpy(mean, model_output, sizeof mean);
    OK(vesde_step_correct(&scheduler, mean, sample, noise, MOST, 40, alone, kind, mean, NULL));
    for (size_t i = 0; i < MOST; i += part) {
        const float *m = model_output + i, *x = sample + i, *z = noise + i;
        OK(vesde_step_correct(&scheduler, m, x, z, part, 1, alone, kind, prev + i, NULL));
    }
    CHECK(differing(prev, mean, MOST) == 0);
    // Counter noise may wait in an output: not in this one, and in the other that there is the second time.
    for (int i = 0; i < 2; ++i) {
        OK(vesde_step_correct(&scheduler, model_output, sample, drawn, MOST, 4, alone, kind, prev, NULL));
        memcpy(mean, model_output, sizeof mean);
        OK(vesde_step_correct_counter(&scheduler, mean, sample, MOST, 4, alone, kind, counter, mean, i ? other : NULL));
        CHECK(differing(prev, mean, MOST) == 0);
    }
}

static void corrector_statuses(void) {
    const char *correctors[] = {"step_correct", "step_correct_counter", "sampler_next"};
    for (int mode = 0; mode < 4; ++mode) {
        averaging = sampler.averaging = mode & 1;
        norm = sampler.norm = mode >> 1;
        for (int i = 0; i < 3; ++i) {
            float kept[MOST], *last = &model_output[LEN - 1];
            memcpy(kept, model_output, sizeof kept);
            *last = NAN;
            STATUS(VESDE_ERROR_NON_FINITE_GRADIENT_NORM, call(correctors[i]));
            *last = -INFINITY;
            STATUS(VESDE_ERROR_NON_FINITE_GRADIENT_NORM, call(correctors[i]));
            memset(model_output, 0, sizeof model_output);
            STATUS(VESDE_ERROR_ZERO_GRADIENT_NORM, call(correctors[i]));
            *last = 1e-30f;  // too small for a step size, for torch's norm and for other samples' norms
            STATUS(mode == 0 ? VESDE_ERROR_NON_FINITE_GRADIENT_NORM : VESDE_ERROR_ZERO_GRADIENT_NORM,
                   call("step_correct"));
            memcpy(model_output, kept, sizeof kept);
            float given = noise[0];
            noise[0] = INFINITY;
            STATUS(i == 1 ? VESDE_OK : VESDE_ERROR_NON_FINITE_NOISE_NORM, call(correctors[i]));
            noise[0] = given;
            scheduler.config.snr = sampler.config.snr = -1;
            STATUS(i == 2 ? VESDE_ERROR_INVALID_SAMPLER : VESDE_ERROR_INVALID_SNR, call(correctors[i]));
            scheduler.config.snr = sampler.config.snr = config.snr;
        }
    }
    averaging = sampler.averaging = VESDE_AVERAGING_BATCH;
    norm = sampler.norm = VESDE_NORM_EXACT;

    const struct {
        double snr, grad_norm, noise_norm;
        vesde_status status;
    } refused[] = {
        {-0.15, 1, 1, VESDE_ERROR_INVALID_SNR},
        {NAN, 1, 1, VESDE_ERROR_INVALID_SNR},
        {INFINITY, 1, 1, VESDE_ERROR_INVALID_SNR},
        {1, 0, 1, VESDE_ERROR_ZERO_GRADIENT_NORM},
        {1, -1, 1, VESDE_ERROR_NON_FINITE_GRADIENT_NORM},
        {1, NAN, 1, VESDE_ERROR_NON_FINITE_GRADIENT_NORM},
        {1, INFINITY, 1, VESDE_ERROR_NON_FINITE_GRADIENT_NORM},
        {1, 1e-30, 1, VESDE_ERROR_NON_FINITE_GRADIENT_NORM},
        {1, 1, NAN, VESDE_ERROR_NON_FINITE_NOISE_NORM},
        {1, 1, INFINITY, VESDE_ERROR_NON_FINITE_NOISE_NORM},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
        for (int32_t kind = VESDE_NORM_EXACT; kind <= VESDE_NORM_TORCH; ++kind) {
            vesde_corrector_step step;
            snprintf(context, sizeof context, "corrector step %d, norm %d", (int)i, (int)kind);
            STATUS(refused[i].status, vesde_get_corrector_step(refused[i].snr, refused[i].grad_norm,
                                                               refused[i].noise_norm, kind, &step));
        }
    }
}

static void enumerations(void) {
    const struct {
        int32_t *value;
        const char *takers[4];
    } enums[] = {
        {&averaging, {"step_correct", "step_correct_counter"}},
        {&norm, {"step_correct", "step_correct_counter", "mean_norm", "get_corrector_step"}},
        {&options.noise, {"sampler_init"}},
        {&options.averaging, {"sampler_init"}},
        {&options.norm, {"sampler_init"}},
        {&options.unclamped, {"sampler_init"}},
        {&options.result, {"sampler_init"}},
        {&options.start, {"sampler_init"}},
    };
    const int32_t wrong[] = {-1, 2, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof enums / sizeof *enums; ++i) {
        int32_t right = *enums[i].value;
        for (int k = 0; k < 16; ++k) {
            const char *taker = enums[i].takers[k / 4];
            *enums[i].value = wrong[k % 4];
            if (taker != NULL) {
                STATUS(VESDE_ERROR_UNKNOWN_ENUM, call(taker));
            }
        }
        *enums[i].value = right;
    }
}

static void counter_noise(void) {
    static float a[1 << 16], b[1 << 16];
    const size_t len = sizeof a / sizeof *a;
    vesde_counter x = {1, 2, 3};
    double sum = 0, squares = 0, products = 0;
    OK(vesde_counter_fill(x, len, a));
    for (size_t from = 0, part = 1; from < len; from += part, part = part * 3 + 1) {
        part = part < len - from ? part : len - from;
        OK(vesde_counter_fill((vesde_counter){1, 2, 3 + from}, part, b + from));
    }
    CHECK(differing(a, b, len) == 0);
    for (int other = 0; other < 2; ++other) {
        OK(vesde_counter_fill((vesde_counter){1 + !other, 2 + other, 3}, len, b));
        CHECK(differing(a, b, len) > len - 10);
    }
    for (size_t i = 0; i < len; ++i) {
        sum += a[i];
        squares += a[i] * a[i];
        products += a[i] * b[i];
    }
    CHECK(fabs(sum / len) < 0.02 && fabs(squares / len - 1) < 0.02 && fabs(products / len) < 0.02);

    const char *takers[] = {"step_pred_counter", "step_correct_counter", "add_noise_counter", "sum_squares_counter",
                            "torch_norm_counter", "update_counter", "counter_fill"};
    vesde_counter right = counter;
    counter.index = UINT64_MAX - LEN + 1;
    for (size_t i = 0; i < sizeof takers / sizeof *takers; ++i) {
        STATUS(VESDE_ERROR_TOO_LARGE, call(takers[i]));
    }
    counter.index -= 1;
    for (size_t i = 0; i < sizeof takers / sizeof *takers; ++i) {
        OK(call(takers[i]));
    }
    counter = right;
    double blocks[2];
    CHECK(vesde_norm_blocks(0) == 0 && vesde_norm_blocks(1) == 1 && vesde_norm_blocks(VESDE_NORM_BLOCK) == 1);
    CHECK(vesde_norm_blocks(VESDE_NORM_BLOCK + 1) == 2);
    CHECK(vesde_norm_blocks(SIZE_MAX) == SIZE_MAX / VESDE_NORM_BLOCK + 1);
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_sum_squares(sample, MOST, 2, blocks));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_sum_squares_counter(x, VESDE_NORM_BLOCK + 1, 1, blocks));
}

static void torch_noise(void) {
    const float golden[] = {1.92691529f, 1.48728406f, 0.900717199f, -2.10552096f};
    vesde_torch_cpu state, copy;
    OK(vesde_torch_cpu_seed(&state, (1ULL << 32) + 42));  // the upper half of a seed does not count
    OK(vesde_torch_cpu_fill(&state, 1, 16, prev));
    CHECK(differing(prev, golden, 4) == 0);
    copy = state;
    OK(vesde_torch_cpu_fill(&state, 1, 7, prev));
    OK(vesde_torch_cpu_fill(&copy, 1, 7, mean));
    CHECK(differing(prev, mean, 7) == 0 && memcmp(&state, &copy, sizeof state) == 0);

    uint32_t right = torch_cpus[1].state.mt.taken;
    const uint32_t wrong[] = {625, UINT32_MAX};
    for (int i = 0; i < 2; ++i) {
        torch_cpus[1].state.mt.taken = wrong[i];
        STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("torch_cpu_fill"));
    }
    torch_cpus[1].state.mt.taken = right;
}

static void cuda_noise(void) {
    const float documented[] = {-0.92466259f, -0.42534415f, -2.6438457f, 0.14518388f, -0.12086647f};
    vesde_cuda_grid unlimited, one = {1, 256};
    vesde_torch_cuda state, copy;
    OK(vesde_cuda_grid_of_gpu("unlimited", 9, &unlimited));
    OK(vesde_torch_cuda_seed(&state, 0, unlimited));
    OK(vesde_torch_cuda_fill(&state, 1, MOST, prev));
    for (int i = 0; i < 5; ++i) {
        CHECK(fabsf(prev[i] - documented[i]) < 2e-6f);
    }
    CHECK(state.offset == 4);
    // A draw of two and a half rows of 256 threads, in parts.
    float whole[640], parts[640];
    OK(vesde_torch_cuda_seed(&state, 1ULL << 40, one));
    copy = state;
    OK(vesde_torch_cuda_fill(&state, 1, 640, whole));
    OK(vesde_torch_cuda_fill_part(&copy, 640, 300, 340, parts + 300));
    OK(vesde_torch_cuda_fill_part(&copy, 640, 0, 300, parts));
    CHECK(differing(whole, parts, 640) == 0);
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_torch_cuda_fill_part(&copy, 640, 301, 340, parts));
    OK(vesde_torch_cuda_skip(&copy, 640));
    CHECK(memcmp(&state, &copy, sizeof state) == 0);

    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, vesde_torch_cuda_seed(&copy, 0, (vesde_cuda_grid){0, 2048}));
    CHECK(memcmp(&state, &copy, sizeof state) == 0);

    OK(vesde_cuda_grid_of_gpu("tesla t4", 8, &one));
    CHECK(one.multiprocessors == 40 && one.threads_per_multiprocessor == 1024);
    STATUS(VESDE_ERROR_UNKNOWN_GPU, vesde_cuda_grid_of_gpu("T4", 1, &one));
    CHECK(one.multiprocessors == 40);
    torch_cudas[2].grid.multiprocessors = 0;
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("torch_cuda_fill"));
    torch_cudas[2].grid.multiprocessors = 132;
    torch_cudas[0].offset = 2;
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("torch_cuda_fill_part"));
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("torch_cuda_skip"));
    torch_cudas[0].offset = 0;
}

static void numpy_noise(void) {
    const double golden[] = {1.764052345967664, 0.4001572083672233, 0.9787379841057392};
    vesde_numpy state, copy;
    OK(vesde_numpy_seed(&state, 0));
    OK(vesde_numpy_fill(&state, 1, 3, prev));
    for (int i = 0; i < 3; ++i) {
        CHECK(bits(prev[i]) == bits((float)golden[i]));
    }
    copy = state;
    OK(vesde_numpy_fill(&state, 1, 8, prev));
    OK(vesde_numpy_fill(&copy, 1, 5, mean));
    OK(vesde_numpy_fill(&copy, 1, 3, mean + 5));
    CHECK(differing(prev, mean, 8) == 0 && memcmp(&state, &copy, sizeof state) == 0);

    double right = numpys[2].state.cached;
    numpys[2].state.cached = NAN;
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("numpy_fill"));
    numpys[2].state.cached = right;
}

// One generator for the whole batch, or one for each sample.
static void lists_of_generators(void) {
    vesde_torch_cpu list[BATCH], one;
    for (uint64_t i = 0; i < BATCH; ++i) {
        OK(vesde_torch_cpu_seed(&list[i], i));
    }
    OK(vesde_torch_cpu_fill(list, BATCH, BATCH * 20, prev));
    for (uint64_t i = 0; i < BATCH; ++i) {
        OK(vesde_torch_cpu_seed(&one, i));
        OK(vesde_torch_cpu_fill(&one, 1, 20, mean));
        CHECK(differing(prev + 20 * i, mean, 20) == 0);
        CHECK(memcmp(&one, &list[i], sizeof one) == 0);
    }
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_torch_cpu_fill(list, BATCH, 20, prev));
    CHECK(memcmp(&one, &list[BATCH - 1], sizeof one) == 0);
}

static void samplers(void) {
    // Zeros are the defaults.
    vesde_sampler_options standard = {0};
    CHECK(standard.noise == VESDE_SAMPLER_NOISE_COUNTER);
    CHECK(standard.averaging == VESDE_AVERAGING_BATCH && standard.norm == VESDE_NORM_EXACT);
    CHECK(standard.result == VESDE_SAMPLER_RESULT_MEAN && standard.start == VESDE_SAMPLER_START_NOISE);

    // The shortest job: one step of the predictor, whose mean is the result.
    vesde_scheduler one = {.config = config, .timesteps_len = 1, .sigmas_len = 1, .discrete_sigmas_len = 1};
    one.config.correct_steps = 0;
    one.timesteps = timesteps;
    one.sigmas = sigmas;
    one.discrete_sigmas = discrete_sigmas;
    vesde_sampler shortest;
    vesde_request request;
    vesde_predictor_step step;
    OK(vesde_sampler_init(&one.config, 1, &standard, &shortest));
    OK(vesde_sampler_next(&shortest, &one, model_output, NULL, MOST, prev, &request));
    CHECK(request.kind == VESDE_REQUEST_KIND_SCORE && request.correction == 0);
    CHECK(request.step == 0 && request.steps == 1 && request.label == 0);
    CHECK(request.sigma == sigmas[0] && request.timestep == 1.0f);
    OK(vesde_counter_fill((vesde_counter){0, 0, 0}, MOST, mean));
    for (size_t i = 0; i < MOST; ++i) {
        CHECK(bits(prev[i]) == bits(mean[i] * 1348.0f));
    }
    memcpy(mean, prev, sizeof mean);
    OK(vesde_get_predictor_step(&one, 1.0f, &step));
    OK(vesde_sampler_next(&shortest, &one, model_output, NULL, MOST, prev, &request));
    CHECK(request.kind == VESDE_REQUEST_KIND_DONE && request.steps == 0 && request.sigma == 0);
    for (size_t i = 0; i < MOST; ++i) {
        float m = mean[i] + step.drift * model_output[i];
        CHECK(prev[i] == (m < 0 ? 0 : m > 1 ? 1 : m));
    }
    STATUS(VESDE_ERROR_SAMPLER_DONE, vesde_sampler_next(&shortest, &one, model_output, NULL, MOST, prev, &request));
    // The same with its last noise, from a given sample; a start behind the last step is refused, and without a sample.
    standard.start = VESDE_SAMPLER_START_GIVEN;
    standard.result = VESDE_SAMPLER_RESULT_NOISY;
    standard.unclamped = 1;
    OK(vesde_sampler_init(&one.config, 1, &standard, &shortest));
    memcpy(prev, mean, sizeof prev);
    OK(vesde_sampler_next(&shortest, &one, model_output, NULL, MOST, prev, &request));
    CHECK(request.kind == VESDE_REQUEST_KIND_SCORE && request.step == 0 && differing(prev, mean, MOST) == 0);
    OK(vesde_sampler_next(&shortest, &one, model_output, NULL, MOST, prev, &request));
    CHECK(request.kind == VESDE_REQUEST_KIND_DONE);
    OK(vesde_counter_fill((vesde_counter){0, 1, 0}, MOST, other));
    for (size_t i = 0; i < MOST; ++i) {
        CHECK(bits(prev[i]) == bits(mean[i] + step.drift * model_output[i] + step.diffusion * other[i]));
    }
    standard.first_step = 1;
    OK(vesde_sampler_init(&one.config, 1, &standard, &shortest));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE,
           vesde_sampler_next(&shortest, &one, model_output, NULL, MOST, prev, &request));
    standard.start = VESDE_SAMPLER_START_NOISE;
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_sampler_init(&one.config, 1, &standard, &shortest));

    // What no function makes.
    vesde_sampler right = sampler;
    STATUS(VESDE_ERROR_INVALID_SAMPLER, (sampler.turn = 10000, call("sampler_next")));
    sampler = right;
    STATUS(VESDE_ERROR_INVALID_SAMPLER, (sampler.batch = 0, call("sampler_next")));
    sampler = right;
    STATUS(VESDE_ERROR_INVALID_SAMPLER, (sampler.norm = 2, call("sampler_next")));
    sampler = right;
    STATUS(VESDE_ERROR_INVALID_SAMPLER, (sampler.averaging = 2, sampler.turn = 0, call("sampler_next")));
    for (int byte = 0; byte <= 0xff; byte += 0xff) {
        memset(&sampler, byte, sizeof sampler);
        CHECK(call("sampler_next") < VESDE_OK);
        for (size_t i = 0; i < sizeof sampler; ++i) {
            sampler = right;
            ((unsigned char *)&sampler)[i] = (unsigned char)byte;
            CHECK(strcmp(vesde_status_message(call("sampler_next")), vesde_status_message(1)) != 0);
        }
    }
    sampler = right;
}

// Every status of the header has come from some call above, and has a message of its own.
static void every_status_was_seen(void) {
    const vesde_status all[] = {
        VESDE_OK, VESDE_ERROR_NULL_POINTER, VESDE_ERROR_MISALIGNED, VESDE_ERROR_EMPTY, VESDE_ERROR_LENGTH_MISMATCH,
        VESDE_ERROR_TOO_LARGE, VESDE_ERROR_OVERLAP, VESDE_ERROR_BUFFER_TOO_SMALL, VESDE_ERROR_UNKNOWN_ENUM,
        VESDE_ERROR_INVALID_NUM_TRAIN_TIMESTEPS, VESDE_ERROR_INVALID_SNR, VESDE_ERROR_INVALID_SIGMA_MIN,
        VESDE_ERROR_INVALID_SIGMA_MAX, VESDE_ERROR_INVALID_SAMPLING_EPS, VESDE_ERROR_TIMESTEP_OUT_OF_RANGE,
        VESDE_ERROR_INVALID_SIGMA, VESDE_ERROR_ZERO_GRADIENT_NORM, VESDE_ERROR_NON_FINITE_GRADIENT_NORM,
        VESDE_ERROR_NON_FINITE_NOISE_NORM, VESDE_ERROR_JSON_SYNTAX, VESDE_ERROR_JSON_TRUNCATED, VESDE_ERROR_JSON_TYPE,
        VESDE_ERROR_JSON_NUMBER, VESDE_ERROR_JSON_CLASS_NAME, VESDE_ERROR_JSON_DEPTH, VESDE_ERROR_INVALID_SAMPLER,
        VESDE_ERROR_SAMPLER_DONE, VESDE_ERROR_INVALID_RANDOM_STATE, VESDE_ERROR_UNKNOWN_GPU,
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
        const char *message = vesde_status_message(all[i]);
        snprintf(context, sizeof context, "%s", message);
        CHECK(seen[-all[i]]);
        seen[-all[i]] = 0;
        CHECK(strlen(message) > 0 && message[strlen(message) - 1] != '.');
        CHECK(strcmp(message, vesde_status_message(1)) != 0);
        for (size_t k = 0; k < i; ++k) {
            CHECK(strcmp(message, vesde_status_message(all[k])) != 0);
        }
    }
    for (size_t i = 0; i < sizeof seen; ++i) {
        CHECK(!seen[i]);  // a status that the list above lacks
    }
}

int main(void) {
    void (*const tests[])(void) = {
        prepare,
        every_call_succeeds_and_writes_all_of_its_outputs,
        every_pointer_is_checked,
        every_length_is_checked,
        draws_of_nothing_change_nothing,
        every_partial_overlap_is_refused,
        inputs_may_overlap,
        outputs_lie_apart,
        in_place_gives_the_same_bits,
        every_length_and_alignment_gives_the_same_bits,
        the_environment_is_the_default_one,
        versions_and_messages,
        configurations,
        invalid_configurations,
        schedules,
        schedules_down_to_zero,
        wrong_elements,
        updates_and_predictor_steps,
        steps_without_noise_where_its_factor_is_zero,
        corrector_steps,
        corrector_statuses,
        enumerations,
        counter_noise,
        torch_noise,
        cuda_noise,
        numpy_noise,
        lists_of_generators,
        samplers,
        every_status_was_seen,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; ++i) {
        *context = '\0';
        tests[i]();
    }
    return report();
}
