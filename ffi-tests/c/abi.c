// The promises of vesde.h, function by function: loops over the table of functions.h try every
// NULL, misalignment, wrong length and overlap, and compare all memory around the buffers. Then
// comes what only one function can get wrong: its result, and the statuses that its documentation
// names.

#include "functions.h"

// ---- one call, in memory of which every byte is compared ----

enum { SLOT = 3 * 8192, LEAST = 1024, SENTINEL = 0xa5 };  // a third holds a batch of generators

static double memory[PARAMETERS * SLOT / sizeof(double) + 8];
static unsigned char before[PARAMETERS * SLOT];
static size_t margin;  // of the function that is laid out: a third of its slots

// The first byte at a multiple of 64.
static unsigned char *arena(void) {
    return (unsigned char *)memory + (64 - (uintptr_t)memory % 64);
}

// Puts each parameter in a slot of its own, with usual lengths; buffers of floats begin `offset`
// floats behind a multiple of 64 bytes. A slot has room for the longest parameter before its own,
// and for two behind it: with more, emulators would take minutes.
static void lay_out(const struct function *f, size_t offset, void **p, size_t *n) {
    for (int i = 0; i < LENGTHS; ++i) {
        n[i] = f->lengths[i].value == LEN ? MOST : f->lengths[i].value;
    }
    margin = LEAST;
    for (int i = 0; i < parameters(f); ++i) {
        const size_t size = (bytes_of(f, i, n) + 2 * 64) / 64 * 64;
        margin = size > margin ? size : margin;
    }
    CHECK(3 * margin <= SLOT);
    for (int i = 0; i < parameters(f); ++i) {
        size_t size = f->parameters[i].size;
        int is_floats = (size == sizeof(float) || size == 3 * sizeof(float) || size == 6 * sizeof(float)) &&
                        f->parameters[i].length != ONE;
        p[i] = arena() + (3 * (size_t)i + 1) * margin + (is_floats ? offset * sizeof(float) : 0);
    }
    for (int i = 0; i < LENGTHS; ++i) {
        n[i] = f->lengths[i].value;
    }
}

// Calls `f`. After an error all memory must be as before; after success all but the outputs.
static vesde_status attempt(const struct function *f, void **p, const size_t *n) {
    const size_t size = (size_t)parameters(f) * 3 * margin;
    memset(arena(), SENTINEL, size);
    for (int i = 0; i < parameters(f); ++i) {
        fill(f, i, p, n);
    }
    memcpy(before, arena(), size);
    vesde_status status = f->call(p, n);
    for (int i = 0; status == VESDE_OK && i < parameters(f); ++i) {
        if (p[i] != NULL && is_written(&f->parameters[i])) {
            memcpy(before + ((unsigned char *)p[i] - arena()), p[i], bytes_of(f, i, n));
        }
    }
    CHECK(memcmp(before, arena(), size) == 0);
    return status;
}

// Calls `f` on parameters that are there already, with structs that point to them.
static vesde_status rebuild_and_call(const struct function *f, void **p, const size_t *n) {
    for (int i = 0; i < parameters(f); ++i) {
        if (f->parameters[i].role == BUILT) {
            fill(f, i, p, n);
        }
    }
    return f->call(p, n);
}

static unsigned char wanted[PARAMETERS * SLOT], got[PARAMETERS * SLOT];

// Calls a function with the table's parameters. Tests first change the statics that their content
// comes from.
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
            const int is_out = (x->role == OUT || x->role == OUT_APART) && x->size > 1;
            for (size_t k = 0; is_out && k < bytes_of(f, i, n); k += x->size) {
                unsigned char untouched[sizeof(vesde_generator)];
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
            // the smallest element that has this length
            size_t n[LENGTHS], size = sizeof(double);
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

// Draws of no numbers, whatever the buffer's pointer: NULL, misaligned, into the generators,
// aligned. The generators stay as they are; torch's and NumPy's hold the second normal of a pair.
static void draws_of_nothing_change_nothing(void) {
    int tried = 0;
    float three[3];
    const vesde_generator kept[] = {torch_cpus[0], numpys[0]};
    OK(vesde_randn(torch_cpus, 1, 3, three));
    OK(vesde_randn(numpys, 1, 3, three));
    CHECK(torch_cpus[0].paired.has_cached == 1 && numpys[0].paired.has_cached == 1);
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
    torch_cpus[0] = kept[0];
    numpys[0] = kept[1];
    CHECK(tried == 4 * 10);
    const vesde_generator *const split[] = {torch_cudas, counters};
    for (int i = 0; i < 2; ++i) {
        vesde_generator state = *split[i];
        OK(vesde_generator_skip(&state, 0));
        CHECK(is_same_generator(&state, split[i]));
    }
    // Refused all the same: no generators, no state, and no buffer for one number.
    STATUS(VESDE_ERROR_EMPTY, vesde_randn(torch_cpus, 0, 0, NULL));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_randn(NULL, 1, 0, NULL));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_randn(torch_cpus, 1, 1, NULL));
}

static int is_buffer(const struct function *f, int i) {
    return f->parameters[i].length != ONE && f->parameters[i].size > 1;
}

// Refused: an output that shares all but one element, or only one, with another buffer; that is
// another output; or that touches an object or a table at all. Allowed: to lie directly beside and,
// if it is only written, to lie in a struct of buffers.
static void every_partial_overlap_is_refused(void) {
    EACH(f) {
        for (int pair = 0; pair < PARAMETERS * PARAMETERS; ++pair) {
            int a = pair / PARAMETERS, b = pair % PARAMETERS;
            const struct parameter *out = &f->parameters[a], *other = &f->parameters[b];
            int is_object = other->length == ONE && other->size != 0, is_built = other->role == BUILT;
            int is_tried = is_built ? out->role != IN_OUT : is_buffer(f, a) && (is_buffer(f, b) || is_object);
            if (a == b || out->role < OUT || !is_tried) {
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
                // A struct of buffers is no multiple of 8 bytes where pointers have 4.
                if (is_built && (uintptr_t)p[a] % sizeof(double) != 0) {
                    continue;
                }
                const int is_apart = out->role == OUT_APART || out->role == IDLE;
                if (shifts[i] != 0 || other->role != IN || is_object || is_apart) {
                    int beside = shifts[i] <= -len || shifts[i] >= other_len;
                    STATUS(beside || is_built ? VESDE_OK : VESDE_ERROR_OVERLAP, attempt(f, p, n));
                }
            }
        }
    }
}

// An input may be another input, or begin within it: the bits are those with a copy.
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
                            fill(f, i, p, n);
                        }
                    }
                    p[b] = shared ? inside : p[b];
                    OK(rebuild_and_call(f, p, n));
                    size_t bytes = collect(f, p, n, shared ? got : wanted);
                    CHECK(!shared || memcmp(wanted, got, bytes) == 0);
                }
                ++tried;
            }
        }
    }
    CHECK(tried > 0);
}

// Two outputs of any kind never share memory, and none lies on a scheduler or its tables.
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
                // Aligned for any output, which a table need not be.
                p[a] = (float *)tables[i] + (uintptr_t)tables[i] / sizeof(float) % 2;
                p[b] = &scheduler;
                STATUS(VESDE_ERROR_OVERLAP, rebuild_and_call(f, p, n));
            }
        }
    }
}

// Every way to put the outputs on input buffers of the same kind.
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
            void *p[PARAMETERS], *in_place[PARAMETERS];
            size_t n[LENGTHS];
            lay_out(f, 0, p, n);
            memcpy(in_place, p, sizeof p);
            at(f, "in place, choice %d", choice);
            int possible = 1;
            for (int k = 0, digits = choice, taken = 0; k < outs_len; ++k, digits /= PARAMETERS + 1) {
                int to = digits % (PARAMETERS + 1);  // PARAMETERS: on no input
                if (to < PARAMETERS) {
                    const struct parameter *x = &f->parameters[to], *out = &f->parameters[outs[k]];
                    possible &= x->role == IN && x->size == out->size && x->length == out->length && !(taken >> to & 1);
                    taken |= 1 << to;
                    in_place[outs[k]] = p[to];
                }
            }
            if (possible) {
                OK(attempt(f, p, n));
                collect(f, p, n, wanted);
                OK(attempt(f, in_place, n));
                CHECK(memcmp(wanted, got, collect(f, in_place, n, got)) == 0);
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
                n[1] = n[2] = 1;
                at(f, "length %d, offset %d", (int)len, (int)offset);
                OK(attempt(f, p, n));
                size_t bytes = collect(f, p, n, offset == 0 ? wanted : got);
                CHECK(offset == 0 || memcmp(wanted, got, bytes) == 0);
            }
        }
    }
}

// ---- what a function computes ----

// environment.c tests the answer in other environments, `-Ofast` included.
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
    OK(vesde_get_predictor_step(&tables, VESDE_PREDICTOR_REVERSE_DIFFUSION, t[4], &step));
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
        OK(vesde_get_predictor_step(&scheduler, predictor, t, &step));
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
        STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_get_predictor_step(&scheduler, predictor, out_of_range[i], &step));
    }
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_get_adjacent_sigma(&scheduler, MOST, &sigma));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_get_adjacent_sigma(&scheduler, SIZE_MAX, &sigma));
    uneven.discrete_sigmas_len = MOST / 2;
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_get_timestep_index(&uneven, 1.0f, &index));
    STATUS(VESDE_ERROR_EMPTY, vesde_get_timestep_index(&empty, 1.0f, &index));
    broken.timesteps_len = broken.discrete_sigmas_len = 2;
    broken.discrete_sigmas = falling;
    STATUS(VESDE_ERROR_INVALID_SIGMA, vesde_get_predictor_step(&broken, predictor, 1.0f, &step));
    broken.discrete_sigmas = infinite;
    STATUS(VESDE_ERROR_INVALID_SIGMA, vesde_get_predictor_step(&broken, predictor, 1.0f, &step));
    // A table is NULL with length 0, or neither.
    broken.discrete_sigmas = NULL;
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_get_predictor_step(&broken, predictor, 1.0f, &step));
    broken.discrete_sigmas = (const float *)((const char *)falling + 1);
    STATUS(VESDE_ERROR_MISALIGNED, vesde_get_predictor_step(&broken, predictor, 1.0f, &step));
    broken.discrete_sigmas = falling;
    broken.discrete_sigmas_len = 0;
    STATUS(VESDE_ERROR_EMPTY, vesde_get_predictor_step(&broken, predictor, 1.0f, &step));
    broken.discrete_sigmas_len = SIZE_MAX;
    STATUS(VESDE_ERROR_TOO_LARGE, vesde_get_predictor_step(&broken, predictor, 1.0f, &step));
}

// The last sample's timestep, index or sigma is wrong: then not even the first sample is written.
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
static const vesde_noise none;

// A step of four samples, from the inputs to `prev` and `mean`.
static vesde_step step_with(vesde_noise z) {
    vesde_step step = {model_output, sample, MOST, 4, z, prev, mean, 0};
    return step;
}

static vesde_combination update_with(float a, float b, vesde_noise z) {
    vesde_combination update = {.terms = {{1, sample}, {a, model_output}}, .terms_len = 2, .len = MOST};
    update.noise = z;
    update.noise_factor = b;
    update.out = prev;
    update.mean = mean;
    return update;
}

// To `prev`.
static vesde_status noisy(const vesde_scheduler *tables, const int64_t *index, size_t index_len, size_t batch,
                          vesde_noise z) {
    return vesde_add_noise(tables, sample, MOST, batch, index, index_len, z, prev);
}

// `prev` and `mean` are those of an update with factors a and b and noise z, one rounding an
// operation.
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
        const vesde_noise argument = made ? vesde_counter_noise(counter) : vesde_given_noise(noise);
        const vesde_combination update = update_with(factors[1], diffusion, argument);
        OK(vesde_linear(&update));
        is_update(factors[1], diffusion, z, 0, MOST);

        const float t[4] = {1.0f, 0.25f, 0.0f, 0.999f};
        const size_t part = MOST / 4;
        const vesde_step whole = step_with(argument);
        for (size_t each = 4; each > 0; each -= 3) {  // a timestep a sample, then one for all
            OK(vesde_step_pred(&scheduler, t, each, &whole));
            for (size_t i = 0; i < 4; ++i) {
                vesde_predictor_step step;
                OK(vesde_get_predictor_step(&scheduler, predictor, t[each == 4 ? i : 0], &step));
                is_update(step.drift, step.diffusion, z, i * part, (i + 1) * part);
            }

            const int64_t index[4] = {7, MOST - 1, 3, 3};
            OK(noisy(&scheduler, index, each, 4, argument));
            for (size_t i = 0; i < MOST; ++i) {
                float sigma = discrete_sigmas[index[each == 4 ? i / part : 0]];
                CHECK(bits(prev[i]) == bits(sigma * z[i] + sample[i]));
            }
            if (each == 1) {
                break;
            }
        }
    }
}

// Batches that do not fit, in all steps.
static void batches(void) {
    const struct {
        size_t batch, each;  // timesteps or indices
        vesde_status status, of_corrector;
    } rows[] = {
        {0, 1, VESDE_ERROR_EMPTY, VESDE_ERROR_EMPTY},
        {0, 0, VESDE_ERROR_EMPTY, VESDE_ERROR_EMPTY},
        {4, 0, VESDE_ERROR_EMPTY, VESDE_OK},
        {4, 2, VESDE_ERROR_LENGTH_MISMATCH, VESDE_OK},
        {4, 5, VESDE_ERROR_LENGTH_MISMATCH, VESDE_OK},
        {1, 2, VESDE_ERROR_LENGTH_MISMATCH, VESDE_OK},
        {3, 1, VESDE_ERROR_LENGTH_MISMATCH, VESDE_ERROR_LENGTH_MISMATCH},
        {3, 3, VESDE_ERROR_LENGTH_MISMATCH, VESDE_ERROR_LENGTH_MISMATCH},
        {2 * MOST, 1, VESDE_ERROR_LENGTH_MISMATCH, VESDE_ERROR_LENGTH_MISMATCH},
        {SIZE_MAX, 1, VESDE_ERROR_LENGTH_MISMATCH, VESDE_ERROR_LENGTH_MISMATCH},
        {MOST, 1, VESDE_OK, VESDE_OK},
        {MOST, MOST, VESDE_OK, VESDE_OK},
        {1, 1, VESDE_OK, VESDE_OK},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; ++i) {
        size_t batch = rows[i / 2].batch, each = rows[i / 2].each;
        const vesde_noise z = i % 2 ? vesde_counter_noise(counter) : vesde_given_noise(noise);
        vesde_step step = step_with(z);
        step.batch = batch;
        snprintf(context, sizeof context, "batch %zu, %zu timesteps", batch, each);
        memset(prev, SENTINEL, sizeof prev);
        memcpy(other, prev, sizeof other);
        STATUS(rows[i / 2].status, vesde_step_pred(&scheduler, timesteps, each, &step));
        STATUS(rows[i / 2].status, noisy(&scheduler, indices, each, batch, z));
        CHECK(rows[i / 2].status == VESDE_OK || memcmp(prev, other, sizeof prev) == 0);
        STATUS(rows[i / 2].of_corrector, vesde_step_correct(&scheduler, averaging, norm, &step));
        CHECK(rows[i / 2].of_corrector == VESDE_OK || memcmp(prev, other, sizeof prev) == 0);
    }
}

// Any number of terms, with noise of each kind and without, clamped or not, apart or in place: the
// mean on the first term, the output on the last one or on the noise.
static void combinations(void) {
    const float *const inputs[VESDE_MOST_TERMS] = {sample,     model_output, history[0], history[1],
                                                   history[2], history[3],   history[4], history[5]};
    const float low = -1.5f, high = 1.75f;
    static float copies[VESDE_MOST_TERMS + 1][MOST];
    OK(vesde_counter_fill(counter, MOST, drawn));
    for (int choice = 0; choice < (VESDE_MOST_TERMS + 1) * 3 * 2 * 2 * 2 * 2; ++choice) {
        int digits = choice, in_place = digits % 2, has_mean = (digits /= 2) % 2, is_clamped = (digits /= 2) % 2;
        int is_one = (digits /= 2) % 2;  // the first factor
        int32_t kind = (digits /= 2) % 3;
        size_t terms_len = (size_t)digits / 3;
        snprintf(context, sizeof context, "%d terms, noise %d, choice %d", (int)terms_len, (int)kind, choice);
        vesde_combination sum = {.terms_len = terms_len, .len = MOST, .clamped = is_clamped};
        const float *const pointless = (const float *)1;  // what is not looked at
        for (size_t i = 0; i < VESDE_MOST_TERMS; ++i) {
            memcpy(copies[i], inputs[i], sizeof copies[i]);
            sum.terms[i].factor = factors[i + !is_one];
            sum.terms[i].buffer = i < terms_len ? copies[i] : pointless;
        }
        float *z = copies[VESDE_MOST_TERMS];
        memcpy(z, kind == VESDE_NOISE_KIND_COUNTER ? drawn : noise, sizeof *copies);
        sum.noise.kind = kind;
        sum.noise.given = kind == VESDE_NOISE_KIND_GIVEN ? z : pointless;
        sum.noise.counter = counter;
        sum.noise_factor = kind == VESDE_NOISE_KIND_NONE ? 0 : diffusion;
        sum.clamp_low = low;
        sum.clamp_high = high;
        sum.out = !in_place ? prev : terms_len < 2 ? z : copies[terms_len - 1];
        sum.mean = !has_mean ? NULL : in_place ? copies[0] : mean;
        int is_empty = terms_len == 0 && (kind == VESDE_NOISE_KIND_NONE || has_mean);
        STATUS(is_empty ? VESDE_ERROR_EMPTY : VESDE_OK, vesde_linear(&sum));
        for (size_t i = 0; i < MOST && !is_empty; ++i) {
            float total = 0, n = kind == VESDE_NOISE_KIND_COUNTER ? drawn[i] : noise[i];
            for (size_t k = 0; k < terms_len; ++k) {
                float a = factors[k + !is_one], term = a * inputs[k][i];
                total = k == 0 ? term : total + term;
            }
            float all = kind == VESDE_NOISE_KIND_NONE ? total : terms_len == 0 ? diffusion * n : total + diffusion * n;
            all = !is_clamped ? all : all < low ? low : all > high ? high : all;
            CHECK(bits(sum.out[i]) == bits(all) && (!has_mean || bits(sum.mean[i]) == bits(total)));
        }
    }
    vesde_combination sum = update_with(1, 1, vesde_given_noise(noise));
    const size_t too_many[] = {VESDE_MOST_TERMS + 1, SIZE_MAX};
    for (int i = 0; i < 2; ++i) {
        memset(prev, SENTINEL, sizeof prev);
        memcpy(other, prev, sizeof other);
        sum.terms_len = too_many[i];
        STATUS(VESDE_ERROR_TOO_LARGE, vesde_linear(&sum));
        CHECK(memcmp(prev, other, sizeof prev) == 0);
    }
    // Ranges of one value, or of none, where the lower bound comes first. A NaN stays a NaN, and a
    // bound that is one is ignored.
    const struct {
        float x, low, high, clamped;
    } rows[] = {
        {0.5f, 0.25f, 0.25f, 0.25f},   {0.5f, 1, 0, 0},           {-0.5f, 1, 0, 0},         {INFINITY, 0, 1, 1},
        {-INFINITY, 0, 1, 0},          {0.5f, NAN, 0.25f, 0.25f}, {0.5f, 0.75f, NAN, 0.75f}, {0.5f, NAN, NAN, 0.5f},
        {0.5f, -INFINITY, INFINITY, 0.5f}, {NAN, 0, 1, NAN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        float x[3] = {rows[i].x, rows[i].x, rows[i].x};
        vesde_combination clamp = {.terms = {{1, x}}, .terms_len = 1, .len = 3, .clamped = 1, .out = x};
        clamp.clamp_low = rows[i].low;
        clamp.clamp_high = rows[i].high;
        snprintf(context, sizeof context, "clamp %d", (int)i);
        OK(vesde_linear(&clamp));
        for (int k = 0; k < 3; ++k) {
            CHECK(isnan(rows[i].clamped) ? isnan(x[k]) : bits(x[k]) == bits(rows[i].clamped));
        }
        clamp.clamped = 0;
        OK(vesde_linear(&clamp));
        for (int k = 0; k < 3; ++k) {
            CHECK(isnan(rows[i].clamped) ? isnan(x[k]) : bits(x[k]) == bits(rows[i].clamped));
        }
    }
}

static void steps_without_noise_where_its_factor_is_zero(void) {
    static float last[MOST];
    const float drift = factors[1];
    vesde_combination update = update_with(drift, 0, none);
    OK(vesde_linear(&update));
    for (size_t i = 0; i < MOST; ++i) {
        CHECK(bits(prev[i]) == bits(sample[i] + drift * model_output[i]) && bits(mean[i]) == bits(prev[i]));
    }
    update.noise_factor = -0.0f;
    update.terms[0].buffer = update.out = other;
    update.mean = NULL;
    memcpy(other, sample, sizeof other);
    OK(vesde_linear(&update));
    CHECK(differing(other, prev, MOST) == 0);
    memcpy(other, model_output, sizeof other);
    update = update_with(drift, 0, none);
    update.terms[1].buffer = update.mean = other;
    update.out = last;
    OK(vesde_linear(&update));
    CHECK(differing(other, prev, MOST) == 0 && differing(last, prev, MOST) == 0);
    const float factor_of_nothing[] = {1e-45f, NAN};
    for (int i = 0; i < 2; ++i) {
        update = update_with(drift, factor_of_nothing[i], none);
        STATUS(VESDE_ERROR_NULL_POINTER, vesde_linear(&update));
        update.terms_len = 0;
        update.mean = NULL;
        STATUS(VESDE_ERROR_NULL_POINTER, vesde_linear(&update));
    }

    const float level[] = {0, 0, 2, 2};
    const vesde_scheduler flat = {config, timesteps, 4, NULL, 0, level, 4};
    vesde_step step = step_with(none);
    OK(vesde_step_pred(&flat, timesteps, 1, &step));
    CHECK(differing(prev, sample, MOST) == 0 && differing(mean, sample, MOST) == 0);
    const int64_t first[] = {0};
    OK(noisy(&flat, first, 1, 4, none));
    CHECK(differing(prev, sample, MOST) == 0);
    const float two[] = {1, 0.7f};
    const int64_t of_two[] = {0, 2};
    memset(prev, SENTINEL, sizeof prev);
    memcpy(other, prev, sizeof other);
    step.batch = 2;
    step.prev_sample_mean = NULL;
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_step_pred(&flat, two, 2, &step));
    STATUS(VESDE_ERROR_NULL_POINTER, noisy(&flat, of_two, 2, 2, none));
    // A corrector step needs noise, whose norm gives the factor.
    double sum = 7;
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_step_correct(&scheduler, averaging, norm, &step));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_sum_squares(none, MOST, 1, &sum));
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_torch_norm(none, MOST, &sum));
    CHECK(memcmp(prev, other, sizeof prev) == 0 && sum == 7);
}

// The model output, the noise or counter noise, from element `from` on.
static vesde_noise numbers_of(int what, size_t from) {
    vesde_counter here = {counter.seed, counter.stream, counter.index + from};
    return what == 2 ? vesde_counter_noise(here) : vesde_given_noise((what == 0 ? model_output : noise) + from);
}

// The norm of elements `from` to `to`, as the corrector takes it.
static double norm_of(int what, int32_t kind, size_t from, size_t to) {
    const float *x[] = {model_output, noise, drawn};
    double sum = 0, block, result = 0;
    if (kind == VESDE_NORM_TORCH) {
        OK(vesde_torch_norm(numbers_of(what, from), to - from, &result));
    } else {
        OK(vesde_sum_squares(numbers_of(what, from), to - from, 1, &block));
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

// In every mode, the factors and the update that follow from the four samples' norms, averaged or
// not.
static void corrector_steps(void) {
    for (int mode = 0; mode < 8; ++mode) {
        int32_t average = mode & 1, kind = mode >> 1 & 1;
        int made = mode >> 2;
        const size_t part = MOST / 4;
        snprintf(context, sizeof context, "averaging %d, norm %d, counter noise %d", (int)average, (int)kind, made);
        vesde_step whole = step_with(numbers_of(1 + made, 0));
        OK(vesde_step_correct(&scheduler, average, kind, &whole));
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
    // With a step size for each sample, a sample has the bits of a batch of its own, however long
    // the batch is, and in place of the buffers that norms are taken of, too.
    const size_t part = MOST / 40;
    const int32_t alone = VESDE_AVERAGING_PER_SAMPLE, kind = VESDE_NORM_EXACT;
    vesde_step batch = step_with(vesde_given_noise(noise)), one = batch;
    memcpy(mean, model_output, sizeof mean);
    batch.batch = 40;
    batch.model_output = batch.prev_sample = mean;
    batch.prev_sample_mean = one.prev_sample_mean = NULL;
    OK(vesde_step_correct(&scheduler, alone, kind, &batch));
    one.batch = 1;
    one.len = part;
    for (size_t i = 0; i < MOST; i += part) {
        one.model_output = model_output + i;
        one.sample = sample + i;
        one.noise.given = noise + i;
        one.prev_sample = prev + i;
        OK(vesde_step_correct(&scheduler, alone, kind, &one));
    }
    CHECK(differing(prev, mean, MOST) == 0);
    // Counter noise may be kept in an output. `prev_sample`, which is the model output here, cannot
    // hold it; the second time the mean can.
    vesde_step wanted_step = step_with(vesde_given_noise(drawn)), made = step_with(vesde_counter_noise(counter));
    wanted_step.prev_sample_mean = NULL;
    OK(vesde_step_correct(&scheduler, alone, kind, &wanted_step));
    for (int i = 0; i < 2; ++i) {
        memcpy(mean, model_output, sizeof mean);
        made.model_output = made.prev_sample = mean;
        made.prev_sample_mean = i ? other : NULL;
        OK(vesde_step_correct(&scheduler, alone, kind, &made));
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
            // too small for a step size, for torch's norm and for other samples' norms
            *last = 1e-30f;
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

// Imputation with a mask of one sample, guidance and Tweedie's formula, element by element.
static void inverse_problems_and_guidance(void) {
    float out[LEN];
    const float *const data = history[0], *const mask = history[1], sigma = 1.75f, weight = 2.5f;
    const vesde_imputation known = {data, mask, LEN / BATCH, sample, LEN, vesde_given_noise(noise), sigma, out};
    OK(vesde_impute(&known));
    for (size_t i = 0; i < LEN; ++i) {
        const float m = mask[i % (LEN / BATCH)];
        CHECK(bits(out[i]) == bits(sample[i] * (1 - m) + (data[i] + noise[i] * sigma) * m));
    }
    const vesde_imputation alone = {.data = data, .mask = mask, .mask_len = LEN, .sample = sample, .len = LEN,
                                    .out = out};
    OK(vesde_impute(&alone));
    for (size_t i = 0; i < LEN; ++i) {
        CHECK(bits(out[i]) == bits(sample[i] * (1 - mask[i]) + data[i] * mask[i]));
    }
    const size_t wrong[] = {5, LEN + 1, 2 * LEN};
    for (size_t i = 0; i < 3; ++i) {
        vesde_imputation other = known;
        other.mask_len = wrong[i];
        STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_impute(&other));
    }
    OK(vesde_guide(sample, model_output, weight, LEN, out));
    for (size_t i = 0; i < LEN; ++i) {
        CHECK(bits(out[i]) == bits(sample[i] + weight * (model_output[i] - sample[i])));
    }
    OK(vesde_tweedie(sample, model_output, sigma, LEN, out));
    for (size_t i = 0; i < LEN; ++i) {
        CHECK(bits(out[i]) == bits(sample[i] + sigma * sigma * model_output[i]));
    }
    // Noise is needed where its factor is not 0, and three channels always.
    vesde_imputation silent = known;
    silent.noise = (vesde_noise){0};
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_impute(&silent));
    vesde_recolouring colours = {.gray = gray, .sample = image, .len = LEN, .batch = 1, .sigma = 1, .out = out};
    STATUS(VESDE_ERROR_NULL_POINTER, vesde_recolour(&colours));
    colours.sigma = 0;
    OK(vesde_recolour(&colours));
    colours.batch = BATCH;
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_recolour(&colours));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_decouple(image, LEN, BATCH, out));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_couple(image, LEN - 1, 1, out));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_couple(image, LEN, SIZE_MAX, out));
}

// Options that are out of range, and options that exclude each other.
static void options_of_methods(void) {
    const vesde_sampler_options kept = options;
    const float wrong[] = {-1, NAN, -INFINITY, INFINITY};
    float *const numbers[] = {&options.eta, &options.s_noise, &options.s_churn, &options.s_tmin, &options.s_tmax};
    for (options.method = 0; options.method < 13; ++options.method) {
        const int32_t method = options.method;
        const int is_along_sigmas = method != VESDE_METHOD_PREDICTOR_CORRECTOR;
        const int takes_order = method == VESDE_METHOD_LMS || method == VESDE_METHOD_IPNDM;
        const int takes_eta = is_along_sigmas && method < VESDE_METHOD_UNIPC2;
        const int takes_churn = is_along_sigmas && method <= VESDE_METHOD_DPM2;
        OK(call("sampler_init"));
        for (int i = 0; i < 5 * 4; ++i) {
            // s_tmax may be infinite.
            const int is_no_limit = numbers[i / 4] == &options.s_tmax && wrong[i % 4] == INFINITY;
            *numbers[i / 4] = wrong[i % 4];
            STATUS(is_no_limit ? VESDE_OK : VESDE_ERROR_INVALID_OPTION, call("sampler_init"));
            *numbers[i / 4] = 0;
        }
        for (uint32_t order = 0; order < 7; ++order) {
            options.order = order < 6 ? order : UINT32_MAX;
            const int is_order = order == 0 || (takes_order && order <= 4);
            STATUS(is_order ? VESDE_OK : VESDE_ERROR_INVALID_OPTION, call("sampler_init"));
        }
        options.order = 0;
        for (options.prediction = 1; options.prediction < 4; ++options.prediction) {
            STATUS(is_along_sigmas ? VESDE_OK : VESDE_ERROR_INVALID_OPTION, call("sampler_init"));
        }
        options.prediction = VESDE_PREDICTION_SCORE;
        options.eta = 1;
        STATUS(takes_eta ? VESDE_OK : VESDE_ERROR_INVALID_OPTION, call("sampler_init"));
        options.s_churn = 1;
        STATUS(VESDE_ERROR_INVALID_OPTION, call("sampler_init"));
        options.eta = 0;
        STATUS(takes_churn ? VESDE_OK : VESDE_ERROR_INVALID_OPTION, call("sampler_init"));
        options.s_churn = 0;
        const struct {
            float low, high;
            int is_range;
        } ranges[] = {{0, 0, 1}, {-INFINITY, INFINITY, 1}, {1, 0, 0}, {NAN, 1, 0}, {0, NAN, 0}, {NAN, NAN, 0}};
        for (int i = 0; i < 6; ++i) {
            options.denoised_low = ranges[i].low;
            options.denoised_high = ranges[i].high;
            OK(call("sampler_init"));  // nothing is clamped
            options.denoised_clamped = 1;
            const int is_one = ranges[i].is_range && is_along_sigmas;
            STATUS(is_one ? VESDE_OK : VESDE_ERROR_INVALID_OPTION, call("sampler_init"));
            options.denoised_clamped = 0;
        }
        options = kept;
        options.method = method;
    }
    options = kept;
}

static void tables_of_sigmas(void) {
    float karras[MOST], untouched[1];
    memset(prev, SENTINEL, sizeof prev);
    memcpy(untouched, prev, sizeof untouched);
    const struct {
        double sigma_min, sigma_max;
        vesde_status status;
    } ends[] = {
        {0, 1, VESDE_ERROR_INVALID_SIGMA_MIN},        {-0.0, 1, VESDE_ERROR_INVALID_SIGMA_MIN},
        {-1, 1, VESDE_ERROR_INVALID_SIGMA_MIN},       {NAN, 1, VESDE_ERROR_INVALID_SIGMA_MIN},
        {1e-60, 1, VESDE_ERROR_INVALID_SIGMA_MIN},    {1, 0.999, VESDE_ERROR_INVALID_SIGMA_MAX},
        {1, NAN, VESDE_ERROR_INVALID_SIGMA_MAX},      {1, INFINITY, VESDE_ERROR_INVALID_SIGMA_MAX},
        {1, 1e39, VESDE_ERROR_INVALID_SIGMA_MAX},     {1, -INFINITY, VESDE_ERROR_INVALID_SIGMA_MAX},
        {INFINITY, INFINITY, VESDE_ERROR_INVALID_SIGMA_MAX}, {1, 1, VESDE_OK}, {1e-45, 3e38, VESDE_OK},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; ++i) {
        snprintf(context, sizeof context, "from %g to %g", ends[i].sigma_max, ends[i].sigma_min);
        prev[0] = *untouched;
        STATUS(ends[i].status, vesde_set_geometric_sigmas(ends[i].sigma_min, ends[i].sigma_max, 3, prev));
        CHECK((bits(*prev) == bits(*untouched)) == (ends[i].status != VESDE_OK));
        prev[0] = *untouched;
        STATUS(ends[i].status, vesde_set_karras_sigmas(ends[i].sigma_min, ends[i].sigma_max, 7, 3, prev));
        CHECK((bits(*prev) == bits(*untouched)) == (ends[i].status != VESDE_OK));
    }
    // With the last two, all roots of the sigmas are 0, or equal.
    const double wrong[] = {0, -0.0, -7, NAN, INFINITY, -INFINITY, 1e-3, 1e17};
    prev[0] = *untouched;
    for (int i = 0; i < 8; ++i) {
        STATUS(VESDE_ERROR_INVALID_OPTION, vesde_set_karras_sigmas(0.1, 1, wrong[i], 3, prev));
        CHECK(bits(*prev) == bits(*untouched));
    }
    for (size_t len = 1; len <= MOST; ++len) {
        snprintf(context, sizeof context, "%d sigmas", (int)len);
        OK(vesde_set_geometric_sigmas(0.01, 50, len, prev));
        OK(vesde_set_karras_sigmas(0.01, 50, 7, len, karras));
        CHECK(prev[0] == 50 && karras[0] == 50);
        CHECK(len == 1 || (prev[len - 1] == 0.01f && karras[len - 1] == 0.01f));
        for (size_t i = 1; i < len; ++i) {
            const float mean = i + 1 < len ? prev[i - 1] * prev[i + 1] : prev[i] * prev[i];
            CHECK(ulps(prev[i] * prev[i], mean) <= 4 && prev[i] < prev[i - 1]);
            CHECK(karras[i] < karras[i - 1] && (i + 1 == len || karras[i] > prev[i]));
        }
    }
    // Of order 1 they are equally spaced.
    OK(vesde_set_karras_sigmas(1, 5, 1, 5, karras));
    for (int i = 0; i < 5; ++i) {
        CHECK(karras[i] == 5 - (float)i);
    }
}

static void enumerations(void) {
    const struct {
        int32_t *value, known;
        const char *takers[10];
    } enums[] = {
        {&averaging, 2, {"step_correct", "step_correct_counter"}},
        {&norm, 2, {"step_correct", "step_correct_counter", "mean_norm", "get_corrector_step"}},
        {&given_kind, 3,
         {"step_pred", "step_correct", "add_noise", "linear", "linear_update", "linear_noise", "sum_squares",
          "torch_norm", "impute", "recolour"}},
        {&counter_kind, 3,
         {"step_pred_counter", "step_correct_counter", "add_noise_counter", "linear_counter", "linear_update_counter",
          "linear_noise_counter", "sum_squares_counter", "torch_norm_counter", "impute_counter",
          "recolour_counter"}},
        {&clamped, 2, {"linear", "linear_counter"}},
        {&generator_kind, 4, {"generator_seed"}},
        {&counters[BATCH - 1].kind, 4, {"randn_counter"}},
        {&torch_cpus[BATCH - 1].kind, 4, {"randn"}},
        {&torch_cpus[0].kind, 4, {"rand", "rademacher"}},
        {&counters[0].kind, 4, {"rademacher_counter"}},
        {&torch_cudas[0].kind, 4, {"randn_torch_cuda", "generator_fill_part", "generator_skip"}},
        {&options.noise, 2, {"sampler_init"}},
        {&options.averaging, 2, {"sampler_init"}},
        {&options.norm, 2, {"sampler_init"}},
        {&options.unclamped, 2, {"sampler_init"}},
        {&options.result, 3, {"sampler_init"}},
        {&options.start, 2, {"sampler_init"}},
        {&options.predictor, 6, {"sampler_init"}},
        {&options.corrector, 4, {"sampler_init"}},
        {&options.conditions, 3, {"sampler_init"}},
        {&options.method, 13, {"sampler_init"}},
        {&options.prediction, 4, {"sampler_init"}},
        {&options.denoised_clamped, 2, {"sampler_init"}},
        {&plan_keeping.clamped, 2, {"run_plan"}},
        {&plan_keeping.has_denoised, 2, {"run_plan"}},
        {&plan_clamping.denoised_clamped, 2, {"run_plan_clamping"}},
        {&predictor, 6, {"step_pred", "step_pred_counter", "get_predictor_step"}},
        {&ode_options.noise, 2, {"ode_init"}},
        {&ode_options.start, 2, {"ode_init"}},
        {&ode_options.variable, 2, {"ode_init"}},
        {&ode_options.direction, 2, {"ode_init"}},
        {&ode_options.divergence, 5, {"ode_init"}},
        {&ode_options.probe, 2, {"ode_init"}},
        {&ode_options.state_only, 2, {"ode_init"}},
        {&reduction.sums, 4, {"ode_sums", "ode_sums_values"}},
        {&reduction.dots, 5, {"ode_sums", "ode_sums_values"}},
        {&reduction.derivative.score, 3, {"ode_sums", "ode_sums_values"}},
        {&reduction.counts_probe, 2, {"ode_sums", "ode_sums_values"}},
        {&reduction_product.sums, 4, {"ode_dots"}},
        {&reduction_product.dots, 5, {"ode_dots"}},
        {&reduction_product.derivative.score, 3, {"ode_dots"}},
        {&reduction_product.counts_probe, 2, {"ode_dots"}},
        {&plan.sample, 3, {"ode_run"}},
        {&plan.input, 2, {"ode_run"}},
        {&plan.shift, 3, {"ode_run"}},
        {&plan.keep.score, 3, {"ode_run"}},
        {&plan.counts_prior, 2, {"ode_run"}},
        {&plan.counts_probe, 2, {"ode_run"}},
    };
    for (size_t i = 0; i < sizeof enums / sizeof *enums; ++i) {
        const int32_t right = *enums[i].value, wrong[] = {-1, enums[i].known, INT32_MIN, INT32_MAX};
        for (int k = 0; k < 4 * 10; ++k) {
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
                            "torch_norm_counter", "linear_counter", "linear_update_counter", "linear_noise_counter",
                            "impute_counter", "counter_fill"};
    vesde_counter right = counter;
    counter.index = UINT64_MAX - LEN + 1;
    for (size_t i = 0; i < sizeof takers / sizeof *takers; ++i) {
        STATUS(VESDE_ERROR_TOO_LARGE, call(takers[i]));
    }
    counter.index -= 1;
    for (size_t i = 0; i < sizeof takers / sizeof *takers; ++i) {
        OK(call(takers[i]));
    }
    // The whole draw must fit its stream, although two of three channels are not used.
    counter.index = UINT64_MAX - 3 * LEN + 1;
    STATUS(VESDE_ERROR_TOO_LARGE, call("recolour_counter"));
    counter.index -= 1;
    OK(call("recolour_counter"));
    counter = right;
    double blocks[2];
    CHECK(vesde_norm_blocks(0) == 0 && vesde_norm_blocks(1) == 1 && vesde_norm_blocks(VESDE_NORM_BLOCK) == 1);
    CHECK(vesde_norm_blocks(VESDE_NORM_BLOCK + 1) == 2);
    CHECK(vesde_norm_blocks(SIZE_MAX) == SIZE_MAX / VESDE_NORM_BLOCK + 1);
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_sum_squares(vesde_given_noise(sample), MOST, 2, blocks));
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_sum_squares(vesde_counter_noise(x), VESDE_NORM_BLOCK + 1, 1, blocks));
}

static void torch_noise(void) {
    const float golden[] = {1.92691529f, 1.48728406f, 0.900717199f, -2.10552096f};
    vesde_generator state, copy;
    // The upper half of a seed is ignored, and so is the grid.
    const vesde_cuda_grid *const misaligned = (const vesde_cuda_grid *)((const char *)&grid + 1);
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CPU, (1ULL << 32) + 42, misaligned, &state));
    OK(vesde_randn(&state, 1, 16, prev));
    CHECK(differing(prev, golden, 4) == 0);
    copy = state;
    OK(vesde_randn(&state, 1, 7, prev));
    OK(vesde_randn(&copy, 1, 7, mean));
    CHECK(differing(prev, mean, 7) == 0 && is_same_generator(&state, &copy));

    uint32_t right = torch_cpus[1].paired.mt.taken;
    const uint32_t wrong[] = {625, UINT32_MAX};
    for (int i = 0; i < 2; ++i) {
        torch_cpus[1].paired.mt.taken = wrong[i];
        STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("randn"));
    }
    torch_cpus[1].paired.mt.taken = right;
}

static void cuda_noise(void) {
    const float documented[] = {-0.92466259f, -0.42534415f, -2.6438457f, 0.14518388f, -0.12086647f};
    const int32_t kind = VESDE_GENERATOR_KIND_TORCH_CUDA;
    vesde_cuda_grid unlimited, one = {1, 256};
    vesde_generator state, copy;
    OK(vesde_cuda_grid_of_gpu("unlimited", 9, &unlimited));
    OK(vesde_generator_seed(kind, 0, &unlimited, &state));
    OK(vesde_randn(&state, 1, MOST, prev));
    for (int i = 0; i < 5; ++i) {
        CHECK(fabsf(prev[i] - documented[i]) < 2e-6f);
    }
    CHECK(state.torch_cuda.offset == 4);
    // A draw of two and a half rows of 256 threads, in parts.
    float whole[640], parts[640];
    OK(vesde_generator_seed(kind, 1ULL << 40, &one, &state));
    copy = state;
    OK(vesde_randn(&state, 1, 640, whole));
    OK(vesde_generator_fill_part(&copy, 640, 300, 340, parts + 300));
    OK(vesde_generator_fill_part(&copy, 640, 0, 300, parts));
    CHECK(differing(whole, parts, 640) == 0);
    STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_generator_fill_part(&copy, 640, 301, 340, parts));
    OK(vesde_generator_skip(&copy, 640));
    CHECK(is_same_generator(&state, &copy));

    const vesde_cuda_grid without[] = {{0, 2048}, {132, 255}, {132, 0}};
    for (int i = 0; i < 3; ++i) {
        STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, vesde_generator_seed(kind, 0, &without[i], &copy));
    }
    CHECK(is_same_generator(&state, &copy));

    OK(vesde_cuda_grid_of_gpu("tesla t4", 8, &one));
    CHECK(one.multiprocessors == 40 && one.threads_per_multiprocessor == 1024);
    STATUS(VESDE_ERROR_UNKNOWN_GPU, vesde_cuda_grid_of_gpu("T4", 1, &one));
    CHECK(one.multiprocessors == 40);
    torch_cudas[2].torch_cuda.grid.multiprocessors = 0;
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("randn_torch_cuda"));
    torch_cudas[2].torch_cuda.grid.multiprocessors = 132;
    torch_cudas[0].torch_cuda.offset = 2;
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("generator_fill_part"));
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("generator_skip"));
    torch_cudas[0].torch_cuda.offset = 0;
}

static void numpy_noise(void) {
    const double golden[] = {1.764052345967664, 0.4001572083672233, 0.9787379841057392};
    const int32_t kind = VESDE_GENERATOR_KIND_NUMPY;
    vesde_generator state, copy;
    OK(vesde_generator_seed(kind, 0, NULL, &state));
    OK(vesde_randn(&state, 1, 3, prev));
    for (int i = 0; i < 3; ++i) {
        CHECK(bits(prev[i]) == bits((float)golden[i]));
    }
    copy = state;
    OK(vesde_randn(&state, 1, 8, prev));
    OK(vesde_randn(&copy, 1, 5, mean));
    OK(vesde_randn(&copy, 1, 3, mean + 5));
    CHECK(differing(prev, mean, 8) == 0 && is_same_generator(&state, &copy));
    STATUS(VESDE_ERROR_TOO_LARGE, vesde_generator_seed(kind, 1ULL << 32, NULL, &copy));
    CHECK(is_same_generator(&state, &copy));
    OK(vesde_generator_seed(kind, UINT32_MAX, NULL, &copy));

    double right = numpys[2].paired.cached;
    numpys[2].paired.cached = NAN;
    STATUS(VESDE_ERROR_INVALID_RANDOM_STATE, call("randn_numpy"));
    numpys[2].paired.cached = right;
}

// A generator of counter noise: a stream a draw, each from the same index on.
static void counter_generators(void) {
    vesde_generator state, copy;
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_COUNTER, 42, NULL, &state));
    CHECK(state.counter.seed == 42 && state.counter.stream == 0 && state.counter.index == 0);
    state.counter.index = 3;
    copy = state;
    for (uint64_t draw = 0; draw < 3; ++draw) {
        OK(vesde_randn(&state, 1, MOST, prev));
        OK(vesde_counter_fill((vesde_counter){42, draw, 3}, MOST, mean));
        CHECK(differing(prev, mean, MOST) == 0);
        OK(vesde_generator_fill_part(&copy, MOST, 7, MOST - 7, mean + 7));
        OK(vesde_generator_fill_part(&copy, MOST, 0, 7, mean));
        CHECK(differing(prev, mean, MOST) == 0);
        STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_generator_fill_part(&copy, MOST, 8, MOST - 7, mean));
        OK(vesde_generator_skip(&copy, MOST));
        CHECK(is_same_generator(&state, &copy));
    }
    // Behind the last stream comes the first, and behind the last index nothing.
    state.counter.stream = UINT64_MAX;
    OK(vesde_randn(&state, 1, 1, prev));
    CHECK(state.counter.stream == 0);
    state.counter.index = UINT64_MAX - LEN + 1;
    copy = state;
    STATUS(VESDE_ERROR_TOO_LARGE, vesde_randn(&state, 1, LEN, prev));
    STATUS(VESDE_ERROR_TOO_LARGE, vesde_generator_fill_part(&state, LEN, 0, 1, prev));
    STATUS(VESDE_ERROR_TOO_LARGE, vesde_generator_skip(&state, LEN));
    CHECK(is_same_generator(&state, &copy));
    OK(vesde_randn(&state, 1, LEN - 1, prev));
}

// The draws of torch on the CPU and of NumPy cannot be split.
static void draws_that_cannot_be_split(void) {
    vesde_generator states[] = {torch_cpus[0], numpys[0]}, copies[] = {torch_cpus[0], numpys[0]};
    memset(prev, SENTINEL, sizeof prev);
    memcpy(other, prev, sizeof other);
    for (int i = 0; i < 4; ++i) {
        STATUS(VESDE_ERROR_UNSPLITTABLE_DRAW,
               vesde_generator_fill_part(&states[i % 2], LEN, 0, i < 2 ? LEN : 0, prev));
        STATUS(VESDE_ERROR_UNSPLITTABLE_DRAW, vesde_generator_skip(&states[i % 2], LEN));
        // No numbers can be drawn, too.
        OK(vesde_generator_fill_part(&states[i % 2], 0, 0, 0, NULL));
        OK(vesde_generator_skip(&states[i % 2], 0));
        CHECK(is_same_generator(&states[i % 2], &copies[i % 2]));
    }
    CHECK(memcmp(prev, other, sizeof prev) == 0);
}

// One generator for the whole batch, or one for each sample, of one kind or of several. The structs
// have no padding, so that bytes can be compared.
static void lists_of_generators(void) {
    const vesde_generator *const kinds[] = {counters, torch_cpus, torch_cudas, numpys};
    for (int kind = 0; kind <= 4; ++kind) {
        vesde_generator list[BATCH], one;
        snprintf(context, sizeof context, "kind %d", kind);
        for (int i = 0; i < BATCH; ++i) {
            list[i] = kinds[kind < 4 ? kind : i + 1][i];
        }
        OK(vesde_randn(list, BATCH, BATCH * 20, prev));
        for (int i = 0; i < BATCH; ++i) {
            one = kinds[kind < 4 ? kind : i + 1][i];
            OK(vesde_randn(&one, 1, 20, mean));
            CHECK(differing(prev + 20 * i, mean, 20) == 0);
            CHECK(is_same_generator(&one, &list[i]) && one.reserved == 0);
            CHECK(sizeof one == 8 + sizeof one.counter + sizeof one.torch_cuda + sizeof one.paired);
        }
        // The last one's state is damaged, or a draw does not divide: the first one has not drawn.
        const vesde_generator kept = list[0];
        STATUS(VESDE_ERROR_LENGTH_MISMATCH, vesde_randn(list, BATCH, 20, prev));
        list[BATCH - 1].kind = -1;
        STATUS(VESDE_ERROR_UNKNOWN_ENUM, vesde_randn(list, BATCH, BATCH * 20, prev));
        CHECK(is_same_generator(&kept, &list[0]));
    }
}

// Damages a state; returns the status of its next draw.
static vesde_status damage(vesde_generator *state) {
    switch (state->kind) {
    case VESDE_GENERATOR_KIND_COUNTER:
        state->counter.index = UINT64_MAX;
        return VESDE_ERROR_TOO_LARGE;
    case VESDE_GENERATOR_KIND_TORCH_CUDA:
        state->torch_cuda.offset = 2;
        return VESDE_ERROR_INVALID_RANDOM_STATE;
    default:
        state->paired.mt.taken = 625;
        return VESDE_ERROR_INVALID_RANDOM_STATE;
    }
}

// A sampler that draws has the bits of one that asks for noise and gets it from vesde_randn: with
// generators of each kind and of three kinds at once, one for the batch and one for each sample.
// Failures change nothing, but draws stay made.
static void samplers_that_draw(void) {
    enum { STEPS = 3 };
    const vesde_generator *const kinds[] = {counters, torch_cpus, torch_cudas, numpys};
    vesde_scheduler tables = scheduler;
    tables.timesteps_len = tables.sigmas_len = tables.discrete_sigmas_len = STEPS;
    vesde_sampler_options given = {.noise = VESDE_SAMPLER_NOISE_GIVEN, .unclamped = 1};
    vesde_sampler_options streams = {.seed = 42, .unclamped = 1};
    streams.result = given.result = VESDE_SAMPLER_RESULT_NOISY;
    for (int choice = 0; choice < 9; ++choice) {
        const int kind = choice / 2;
        const size_t count = choice % 2 || kind == 4 ? BATCH : 1;
        float x[2][LEN] = {{0}}, z[2][LEN], by_streams[LEN], zeros[LEN] = {0};
        vesde_generator states[2][BATCH];
        vesde_sampler asks, draws, counts;
        vesde_request asked, request, counted = {0};
        for (int i = 0; i < BATCH; ++i) {
            states[0][i] = states[1][i] = kinds[kind < 4 ? kind : i + 1][i];
        }
        OK(vesde_sampler_init(&config, BATCH, &given, &asks));
        OK(vesde_sampler_init(&config, BATCH, &given, &draws));
        OK(vesde_sampler_init(&config, BATCH, &streams, &counts));
        const vesde_buffers asking = {.sample = x[0], .model_output = model_output, .len = LEN, .noise = z[0]};
        // The noise of the buffers is not looked at.
        const vesde_buffers job = {.sample = x[1], .model_output = model_output, .len = LEN, .noise = x[1] + 1};
        const vesde_buffers counting = {.sample = by_streams, .model_output = model_output, .len = LEN};
        vesde_buffers shorter = job, empty = job, broken = job;
        shorter.len = LEN - 1;
        empty.len = 0;
        broken.model_output = zeros;
        float *const misaligned_noise = (float *)((char *)z[1] + 1);
        static vesde_generator more[BATCH + 1];
        vesde_generator *const g = states[1], *const misaligned = (vesde_generator *)((char *)g + 1);
        const struct {
            vesde_status status;
            vesde_sampler *sampler;
            const vesde_scheduler *scheduler;
            const vesde_buffers *buffers;
            vesde_generator *generators;
            size_t count;
            float *noise;
            vesde_request *request;
        } wrong[] = {
            {VESDE_ERROR_NULL_POINTER, NULL, &tables, &job, g, count, z[1], &request},
            {VESDE_ERROR_NULL_POINTER, &draws, NULL, &job, g, count, z[1], &request},
            {VESDE_ERROR_NULL_POINTER, &draws, &tables, NULL, g, count, z[1], &request},
            {VESDE_ERROR_NULL_POINTER, &draws, &tables, &job, NULL, count, z[1], &request},
            {VESDE_ERROR_NULL_POINTER, &draws, &tables, &job, g, count, NULL, &request},
            {VESDE_ERROR_NULL_POINTER, &draws, &tables, &job, g, count, z[1], NULL},
            {VESDE_ERROR_MISALIGNED, &draws, &tables, &job, misaligned, count, z[1], &request},
            {VESDE_ERROR_MISALIGNED, &draws, &tables, &job, g, count, misaligned_noise, &request},
            {VESDE_ERROR_OVERLAP, &draws, &tables, &job, g, count, x[1], &request},
            {VESDE_ERROR_OVERLAP, &draws, &tables, &job, g, count, x[1] + 1, &request},
            {VESDE_ERROR_OVERLAP, &draws, &tables, &job, g, count, model_output, &request},
            {VESDE_ERROR_OVERLAP, &draws, &tables, &job, g, count, (float *)g, &request},
            // BATCH − 1 generators are refused although they might divide the sample's length.
            {VESDE_ERROR_EMPTY, &draws, &tables, &job, g, 0, z[1], &request},
            {VESDE_ERROR_LENGTH_MISMATCH, &draws, &tables, &job, g, BATCH - 1, z[1], &request},
            {VESDE_ERROR_LENGTH_MISMATCH, &draws, &tables, &job, more, BATCH + 1, z[1], &request},
            {VESDE_ERROR_LENGTH_MISMATCH, &draws, &tables, &shorter, g, count, z[1], &request},
            {VESDE_ERROR_EMPTY, &draws, &tables, &empty, g, count, z[1], &request},
        };
        int turn = 0;
        do {
            for (asked.kind = VESDE_REQUEST_KIND_NOISE; asked.kind == VESDE_REQUEST_KIND_NOISE;) {
                OK(vesde_sampler_next(&asks, &tables, &asking, &asked));
                if (asked.kind == VESDE_REQUEST_KIND_NOISE) {
                    OK(vesde_randn(states[0], count, LEN, z[0]));
                }
            }
            // Refused before anything is drawn, whether the turn asks for a draw or not.
            const vesde_sampler sampler_before = draws;
            vesde_request request_before;
            vesde_generator kept[BATCH];
            float x_before[LEN], z_before[LEN];
            memcpy(kept, g, sizeof kept);
            memcpy(x_before, x[1], sizeof x_before);
            memset(z[1], SENTINEL, sizeof z[1]);
            memcpy(z_before, z[1], sizeof z_before);
            memset(&request, SENTINEL, sizeof request);
            memcpy(&request_before, &request, sizeof request);
            for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
                snprintf(context, sizeof context, "kind %d, %d generators, turn %d, wrong %d", kind, (int)count, turn,
                         (int)i);
                STATUS(wrong[i].status,
                       vesde_sampler_next_drawing(wrong[i].sampler, wrong[i].scheduler, wrong[i].buffers,
                                                  wrong[i].generators, wrong[i].count, wrong[i].noise,
                                                  wrong[i].request));
            }
            for (int i = 0; i < 2; ++i) {
                vesde_generator *const last = &g[count - 1], right = *last;
                const vesde_status status = i == 0 ? (last->kind = 4, VESDE_ERROR_UNKNOWN_ENUM) : damage(last);
                snprintf(context, sizeof context, "kind %d, %d generators, turn %d, damage %d", kind, (int)count, turn,
                         i);
                STATUS(status, vesde_sampler_next_drawing(&draws, &tables, &job, g, count, z[1], &request));
                *last = right;
            }
            CHECK(memcmp(&draws, &sampler_before, sizeof draws) == 0 && differing(x[1], x_before, LEN) == 0);
            CHECK(differing(z[1], z_before, LEN) == 0 && memcmp(g, kept, sizeof kept) == 0);
            // A score without a norm is noticed after the draw, which is not repeated.
            for (int again = 0; turn % 2 == 1 && again < 2; ++again) {
                STATUS(VESDE_ERROR_ZERO_GRADIENT_NORM,
                       vesde_sampler_next_drawing(&draws, &tables, &broken, g, count, z[1], &request));
                CHECK(differing(x[1], x_before, LEN) == 0 && draws.turn == sampler_before.turn + 1);
                CHECK(differing(z[0], z[1], LEN) == 0 && memcmp(states[0], g, sizeof kept) == 0);
            }
            CHECK(memcmp(&request, &request_before, sizeof request) == 0);
            OK(vesde_sampler_next_drawing(&draws, &tables, &job, g, count, z[1], &request));
            CHECK(memcmp(&asked, &request, sizeof asked) == 0 && memcmp(&asks, &draws, sizeof asks) == 0);
            CHECK(differing(x[0], x[1], LEN) == 0 && differing(z[0], z[1], LEN) == 0);
            CHECK(memcmp(states[0], g, sizeof kept) == 0);
            // A generator of counter noise becomes the sampler's own counter noise: nothing is
            // drawn.
            OK(vesde_sampler_next_drawing(&counts, &tables, &counting, more, 1, zeros, &counted));
            CHECK(choice != 0 || (differing(x[0], by_streams, LEN) == 0 && counted.kind == asked.kind));
            ++turn;
        } while (asked.kind == VESDE_REQUEST_KIND_SCORE);
        CHECK(turn == 2 * STEPS + 1 && asked.kind == VESDE_REQUEST_KIND_DONE);
        STATUS(VESDE_ERROR_SAMPLER_DONE,
               vesde_sampler_next_drawing(&draws, &tables, &job, g, count, z[1], &request));
    }
}

// The combination of a plan with any number of terms, clamped or not, and noise of each kind. Terms
// behind the last one are ignored, and so is noise without a factor.
static void combinations_of_plans(void) {
    const float *const operands[VESDE_MOST_TERMS] = {sample,     model_output, history[0], history[1],
                                                     history[2], history[3],   history[4], history[5]};
    const vesde_noise noises[] = {none, vesde_given_noise(noise), vesde_counter_noise(counter)};
    // 0 and 1 mean that there is none.
    static const float second_factors[VESDE_MOST_TERMS] = {1, 1, 0.3f, 1, -1.7f, 1, 1, 0.11f};
    const vesde_noise pointless = vesde_given_noise((const float *)1);
    OK(vesde_counter_fill(counter, MOST, drawn));
    for (int choice = 0; choice < (VESDE_MOST_TERMS + 1) * 3 * 2 * 2; ++choice) {
        int has_noise = choice % 2, is_clamped = choice / 2 % 2, kind = choice / 4 % 3;
        vesde_plan plan;
        memset(&plan, SENTINEL, sizeof plan);
        plan.terms_len = (size_t)choice / 12;
        for (size_t i = 0; i < plan.terms_len; ++i) {
            plan.terms[i].factor = factors[i];
            plan.terms[i].operand = VESDE_MOST_TERMS - 1 - (int32_t)i;
            plan.terms[i].second_factor = second_factors[i];
        }
        plan.noise_factor = has_noise ? diffusion : kind % 2 ? 0 : -0.0f;
        plan.reduction = VESDE_REDUCTION_NONE;
        plan.clamped = is_clamped;
        plan.clamp_low = -1.5f;
        plan.clamp_high = 1.75f;
        snprintf(context, sizeof context, "plan of %d terms, choice %d", (int)plan.terms_len, choice);
        const vesde_combination sum =
            vesde_plan_combination(&plan, operands, has_noise ? noises[kind] : pointless, MOST, prev);
        CHECK(sum.len == MOST && sum.out == prev && sum.mean == NULL);
        // A factor of 0 counts as a factor if a reduction has found it, as in vesde_step_correct.
        plan.reduction = VESDE_REDUCTION_CORRECTOR_NORMS;
        CHECK(vesde_plan_combination(&plan, operands, noises[1], MOST, prev).noise.given == noise ||
              (plan.terms_len == 0 && !has_noise));
        const int is_possible = !has_noise || kind != VESDE_NOISE_KIND_NONE;
        STATUS(is_possible ? VESDE_OK : VESDE_ERROR_NULL_POINTER, vesde_linear(&sum));
        for (size_t i = 0; i < MOST && is_possible; ++i) {
            float x = 0, n = diffusion * (kind == VESDE_NOISE_KIND_COUNTER ? drawn[i] : noise[i]);
            for (size_t k = 0; k < plan.terms_len; ++k) {
                float term = factors[k] * operands[VESDE_MOST_TERMS - 1 - k][i];
                term = second_factors[k] * term;
                x = k == 0 ? term : x + term;
            }
            x = !has_noise ? x : plan.terms_len == 0 ? n : x + n;
            x = !is_clamped ? x : x < -1.5f ? -1.5f : x > 1.75f ? 1.75f : x;
            CHECK(bits(prev[i]) == bits(plan.terms_len == 0 && !has_noise ? sample[i] : x));
        }
    }
}

// The predictor–corrector method keeps no history: a workspace may be there, and is left alone. At
// every place of a job, no output, state, table or input may lie in it, and given noise may not
// overlap a part of the sample.
static void workspaces(void) {
    size_t len = 7;
    OK(vesde_sampler_workspace_len(&sampler, SIZE_MAX, &len));
    CHECK(len == 0);
    for (int32_t kind = VESDE_SAMPLER_NOISE_COUNTER; kind <= VESDE_SAMPLER_NOISE_GIVEN; ++kind) {
        const vesde_sampler_options here = {.noise = kind};
        vesde_scheduler tables = scheduler;
        vesde_sampler state;
        vesde_request request = {.kind = VESDE_REQUEST_KIND_SCORE};
        float x[LEN + 1], score[LEN], z[LEN], history_of_it[LEN];
        tables.timesteps_len = tables.sigmas_len = tables.discrete_sigmas_len = 2;
        memcpy(x, sample, sizeof x);
        memcpy(score, model_output, sizeof score);
        memcpy(z, noise, sizeof z);
        memcpy(history_of_it, history[0], sizeof history_of_it);
        OK(vesde_sampler_init(&config, BATCH, &here, &state));
        const vesde_buffers right = {x, score, LEN, z, history_of_it, LEN, NULL};
        void *const places[] = {&state, &request, &tables, timesteps, x + LEN - 1, score + LEN - 1, z + LEN - 1};
        for (int turn = 0; request.kind != VESDE_REQUEST_KIND_DONE && turn < 20; ++turn) {
            vesde_buffers job = right;
            snprintf(context, sizeof context, "noise %d, turn %d", (int)kind, turn);
            job.noise = x + 1;
            STATUS(VESDE_ERROR_OVERLAP, vesde_sampler_next(&state, &tables, &job, &request));
            for (int i = 0; i < 7; ++i) {
                const vesde_sampler state_before = state;
                float x_before[LEN];
                memcpy(x_before, x, sizeof x_before);
                snprintf(context, sizeof context, "noise %d, turn %d, workspace %d", (int)kind, turn, i);
                job = right;
                job.workspace = places[i];
                job.workspace_len = 1;
                STATUS(VESDE_ERROR_OVERLAP, vesde_sampler_next(&state, &tables, &job, &request));
                CHECK(memcmp(&state, &state_before, sizeof state) == 0 && memcmp(x, x_before, sizeof x_before) == 0);
                job.workspace_len = 0;  // nowhere
                OK(vesde_sampler_next(&state, &tables, &job, &request));
                state = state_before;
                memcpy(x, x_before, sizeof x_before);
            }
            OK(vesde_sampler_next(&state, &tables, &right, &request));
            CHECK(memcmp(history_of_it, history[0], sizeof history_of_it) == 0);
        }
        CHECK(request.kind == VESDE_REQUEST_KIND_DONE);
    }
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
    const vesde_buffers job = {.sample = prev, .model_output = model_output, .len = MOST};
    vesde_sampler shortest;
    vesde_request request;
    vesde_predictor_step step;
    OK(vesde_sampler_init(&one.config, 1, &standard, &shortest));
    OK(vesde_sampler_next(&shortest, &one, &job, &request));
    CHECK(request.kind == VESDE_REQUEST_KIND_SCORE && request.correction == 0);
    CHECK(request.step == 0 && request.steps == 1 && request.label == 0);
    CHECK(request.sigma == sigmas[0] && request.timestep == 1.0f);
    OK(vesde_counter_fill((vesde_counter){0, 0, 0}, MOST, mean));
    for (size_t i = 0; i < MOST; ++i) {
        CHECK(bits(prev[i]) == bits(mean[i] * 1348.0f));
    }
    memcpy(mean, prev, sizeof mean);
    OK(vesde_get_predictor_step(&one, VESDE_PREDICTOR_REVERSE_DIFFUSION, 1.0f, &step));
    OK(vesde_sampler_next(&shortest, &one, &job, &request));
    CHECK(request.kind == VESDE_REQUEST_KIND_DONE && request.steps == 0 && request.sigma == 0);
    for (size_t i = 0; i < MOST; ++i) {
        float m = mean[i] + step.drift * model_output[i];
        CHECK(prev[i] == (m < 0 ? 0 : m > 1 ? 1 : m));
    }
    STATUS(VESDE_ERROR_SAMPLER_DONE, vesde_sampler_next(&shortest, &one, &job, &request));
    // The same with its last noise, from a given sample. A start behind the last step is refused,
    // from noise already by vesde_sampler_init.
    standard.start = VESDE_SAMPLER_START_GIVEN;
    standard.result = VESDE_SAMPLER_RESULT_NOISY;
    standard.unclamped = 1;
    OK(vesde_sampler_init(&one.config, 1, &standard, &shortest));
    memcpy(prev, mean, sizeof prev);
    OK(vesde_sampler_next(&shortest, &one, &job, &request));
    CHECK(request.kind == VESDE_REQUEST_KIND_SCORE && request.step == 0 && differing(prev, mean, MOST) == 0);
    OK(vesde_sampler_next(&shortest, &one, &job, &request));
    CHECK(request.kind == VESDE_REQUEST_KIND_DONE);
    OK(vesde_counter_fill((vesde_counter){0, 1, 0}, MOST, other));
    for (size_t i = 0; i < MOST; ++i) {
        CHECK(bits(prev[i]) == bits(mean[i] + step.drift * model_output[i] + step.diffusion * other[i]));
    }
    standard.first_step = 1;
    OK(vesde_sampler_init(&one.config, 1, &standard, &shortest));
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE,
           vesde_sampler_next(&shortest, &one, &job, &request));
    standard.start = VESDE_SAMPLER_START_NOISE;
    STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_sampler_init(&one.config, 1, &standard, &shortest));

    // States that no function makes.
    const char *const takers[] = {"sampler_next", "sampler_plan", "sampler_workspace_len"};
    vesde_sampler right = sampler;
    for (int i = 0; i < 3; ++i) {
        STATUS(i < 2 ? VESDE_ERROR_INVALID_SAMPLER : VESDE_OK, (sampler.turn = 10000, call(takers[i])));
        sampler = right;
        STATUS(VESDE_ERROR_INVALID_SAMPLER, (sampler.batch = 0, call(takers[i])));
        sampler = right;
        STATUS(VESDE_ERROR_INVALID_SAMPLER, (sampler.norm = 2, call(takers[i])));
        sampler = right;
        STATUS(VESDE_ERROR_INVALID_SAMPLER, (sampler.averaging = 2, sampler.turn = 0, call(takers[i])));
        for (int byte = 0; byte <= 0xff; byte += 0xff) {
            memset(&sampler, byte, sizeof sampler);
            CHECK(call(takers[i]) < VESDE_OK);
            for (size_t k = 0; k < sizeof sampler; ++k) {
                sampler = right;
                ((unsigned char *)&sampler)[k] = (unsigned char)byte;
                CHECK(strcmp(vesde_status_message(call(takers[i])), vesde_status_message(1)) != 0);
            }
        }
        sampler = right;
    }
}

// A Gaussian's score at `input`, of data of standard deviation 0.2 about 0.5.
static void gaussian(const float *input, float sigma, float *score) {
    for (size_t i = 0; i < LEN; ++i) {
        score[i] = (0.5f - input[i]) / (sigma * sigma + 0.04f);
    }
}

// Tolerances and steps out of range; jobs that end, end early, or find no step that is short
// enough. Whole jobs and jobs in parts have the same bits, and vesde_ode_part makes the parts.
static void odes(void) {
    double *const numbers[] = {&ode_options.rtol, &ode_options.atol, &ode_options.max_step, &ode_options.first_step,
                               &ode_options.difference};
    const double wrong[] = {-1, NAN, -INFINITY, INFINITY};
    for (int i = 0; i < 5; ++i) {
        // Zero is the usual value, and a step may be as long as it likes.
        for (int k = 0; k < (i == 2 ? 3 : 4); ++k) {
            *numbers[i] = wrong[k];
            STATUS(VESDE_ERROR_INVALID_TOLERANCE, call("ode_init"));
        }
        *numbers[i] = 0;
    }
    vesde_config mild = config;
    mild.sigma_max = 10;
    float x[2][LEN], input[2][LEN], score[LEN], workspace[2][6 * LEN];
    vesde_ode_options usual_options = {.seed = 3};
    vesde_ode job, parts;
    vesde_ode_request request, of_parts;
    vesde_ode_stats stats;
    vesde_counter place;
    size_t len = 7;
    OK(vesde_ode_init(&mild, BATCH, &usual_options, &job));
    OK(vesde_ode_workspace_len(&job, LEN, &len));
    CHECK(len == 6 * LEN);
    STATUS(VESDE_ERROR_TOO_LARGE, vesde_ode_workspace_len(&job, SIZE_MAX, &len));
    OK(vesde_ode_log_densities_len(&job, &len));
    CHECK(len == 0);
    OK(vesde_ode_get_probe(&job, &place));
    CHECK(place.seed == 3 && place.stream == 1 && place.index == 0);
    memset(x, SENTINEL, sizeof x);
    memset(input, SENTINEL, sizeof input);
    memset(workspace, SENTINEL, sizeof workspace);
    parts = job;
    const vesde_ode_buffers buffers = {.sample = x[0], .input = input[0], .model_output = score, .len = LEN,
                                       .workspace = workspace[0]};
    const vesde_ode_buffers other_buffers = {.sample = x[1], .input = input[1], .model_output = score, .len = LEN,
                                             .workspace = workspace[1]};
    int turns = 0;
    do {
        vesde_ode_reduction sums_of;
        vesde_ode_plan turn;
        double sums[2] = {0, 0};
        OK(vesde_ode_next(&job, &buffers, &request));
        OK(vesde_ode_get_reduction(&parts, LEN, &sums_of));
        OK(vesde_ode_sums_values(&sums_of, &len));
        OK(vesde_ode_sums(&sums_of, &other_buffers, len, sums));
        OK(vesde_ode_next_plan(&parts, LEN, sums, NULL, 0, &turn, &of_parts));
        for (size_t from = 0; from < LEN; from += 5) {
            const vesde_ode_buffers part = vesde_ode_part(&other_buffers, from, from + 5 < LEN ? 5 : LEN - from);
            CHECK(part.workspace_stride == LEN && part.start == from && part.noise == NULL);
            OK(vesde_ode_run(&turn, &part));
        }
        CHECK(memcmp(&job, &parts, sizeof job) == 0 && memcmp(&request, &of_parts, sizeof request) == 0);
        CHECK(differing(x[0], x[1], LEN) == 0 && differing(input[0], input[1], LEN) == 0);
        CHECK(differing(workspace[0], workspace[1], 6 * LEN) == 0);
        gaussian(input[0], request.sigma, score);
    } while (request.kind == VESDE_ODE_REQUEST_KIND_SCORE && ++turns < 1000);
    CHECK(request.kind == VESDE_ODE_REQUEST_KIND_DONE && turns > 20);
    OK(vesde_ode_get_stats(&job, &stats));
    CHECK(stats.evaluations == 2 + 6 * (stats.accepted + stats.rejected) && stats.t == mild.sampling_eps);
    CHECK((uint64_t)turns == stats.evaluations);
    STATUS(VESDE_ERROR_SAMPLER_DONE, vesde_ode_next(&job, &buffers, &request));

    // The limit of evaluations is kept.
    usual_options.max_evaluations = 20;
    OK(vesde_ode_init(&mild, BATCH, &usual_options, &job));
    vesde_status status;
    for (turns = 0; (status = vesde_ode_next(&job, &buffers, &request)) == VESDE_OK && turns < 1000; ++turns) {
        gaussian(input[0], request.sigma, score);
    }
    STATUS(VESDE_ERROR_TOO_MANY_EVALUATIONS, status);
    CHECK(turns <= 20);
    // Scores that no step can follow.
    usual_options.max_evaluations = 0;
    OK(vesde_ode_init(&mild, BATCH, &usual_options, &job));
    for (turns = 0; (status = vesde_ode_next(&job, &buffers, &request)) == VESDE_OK && turns < 1000; ++turns) {
        for (size_t i = 0; i < LEN; ++i) {
            score[i] = turns % 2 ? 1e12f : -1e12f;
        }
    }
    STATUS(VESDE_ERROR_STEP_TOO_SMALL, status);
    score[LEN - 1] = NAN;
    OK(vesde_ode_init(&mild, BATCH, &usual_options, &job));
    OK(vesde_ode_next(&job, &buffers, &request));
    STATUS(VESDE_ERROR_NON_FINITE_SCORE, vesde_ode_next(&job, &buffers, &request));

    // The prior's log-density at zeros, and the bits of a uniform density.
    vesde_log_likelihood result;
    const float zeros[2] = {0, 0};
    OK(vesde_get_log_likelihood(1, zeros, 2, 0.5, &result));
    CHECK(fabs(result.prior + 1.8378770664093454) < 1e-15 && result.divergence == 0.5);
    CHECK(result.log_density == result.prior + 0.5);
    STATUS(VESDE_ERROR_INVALID_SIGMA_MAX, vesde_get_log_likelihood(-1, zeros, 2, 0.5, &result));
    CHECK(vesde_bits_per_dim(0, 7, 256, 1) == 8 && vesde_bits_per_dim(0, 7, 256, 0.5) == 7);
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
        VESDE_ERROR_UNSPLITTABLE_DRAW, VESDE_ERROR_NON_FINITE_SCORE, VESDE_ERROR_STEP_TOO_SMALL,
        VESDE_ERROR_TOO_MANY_EVALUATIONS, VESDE_ERROR_INVALID_TOLERANCE, VESDE_ERROR_INVALID_OPTION,
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
        batches,
        combinations,
        steps_without_noise_where_its_factor_is_zero,
        corrector_steps,
        corrector_statuses,
        inverse_problems_and_guidance,
        options_of_methods,
        tables_of_sigmas,
        enumerations,
        counter_noise,
        torch_noise,
        cuda_noise,
        numpy_noise,
        counter_generators,
        draws_that_cannot_be_split,
        lists_of_generators,
        samplers_that_draw,
        combinations_of_plans,
        workspaces,
        samplers,
        odes,
        every_status_was_seen,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; ++i) {
        *context = '\0';
        tests[i]();
    }
    return report();
}
