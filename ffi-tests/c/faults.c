// What hostile callers, broken networks and damaged memory do: buffers between pages that do not
// exist, inputs that cannot be written, tables, states and samplers full of anything. Each call
// gives a status and leaves all memory as it was, or gives the right answer. abi.c has what is
// wrong with the arguments themselves.

#if !defined __unix__ && !defined __APPLE__

#include <stdio.h>

int main(void) {
    printf("skipped, because there is no mmap\n");
}

#else

// Anonymous memory, which -std=c99 hides.
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE

#include <float.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM 8300  // more than two blocks of a norm, and than eight of counter noise
#include "functions.h"

// ---- memory without neighbours ----

enum { MARGIN = 1024, SENTINEL = 0xa5, LEVELS = 3, MOST_BYTES = 6 * ROOM * sizeof(float) };

static int tries = 300000;
// an argument, for emulators: so many times fewer tries and, from some length on, fewer lengths
static int thinning = 1;

static int32_t levels[LEVELS];  // those of this machine
static int levels_len;

static void find_levels(void) {
    const int32_t kinds[] = {VESDE_SIMD_LEVEL_KIND_BASELINE, VESDE_SIMD_LEVEL_KIND_AVX2, VESDE_SIMD_LEVEL_KIND_AVX512};
    for (int i = 0; i < LEVELS; ++i) {
        OK(vesde_limit_simd_level(kinds[i]));
        int32_t level = vesde_simd_level();
        if (levels_len == 0 || level != levels[levels_len - 1]) {
            levels[levels_len++] = level;
        }
    }
    const int32_t unknown[] = {-1, LEVELS, INT32_MIN, INT32_MAX};
    for (int i = 0; i < 4; ++i) {
        STATUS(VESDE_ERROR_UNKNOWN_ENUM, vesde_limit_simd_level(unknown[i]));
        CHECK(vesde_simd_level() == levels[levels_len - 1]);
    }
    printf("levels up to %d\n", (int)levels[levels_len - 1]);
}

// At least `bytes` of memory between two pages that do not exist; sets `bytes` to how many there
// are.
static unsigned char *map(size_t *bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *bytes = (*bytes + page - 1) / page * page;
    unsigned char *all = mmap(NULL, *bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, *bytes, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        exit(1);
    }
    return all + page;
}

static void protect(void *slot, size_t bytes, int protection) {
    if (mprotect(slot, bytes, protection) != 0) {
        perror("mprotect");
        exit(1);
    }
}

// Names the call that has left its buffers.
static void outside(int signal) {
    (void)signal;
    const char *const parts[] = {"memory that is not for this call: ", context, "\n"};
    for (int i = 0; i < 3; ++i) {
        if (write(2, parts[i], strlen(parts[i])) < 0) {
            break;
        }
    }
    _exit(1);
}

static unsigned char *slots[PARAMETERS];
static size_t slot_size = MOST_BYTES;

// What of a slot is compared: its parameter, and a margin on the side where memory goes on.
struct span {
    unsigned char *from;
    size_t len;
};

static struct span around(int i, const void *p, size_t bytes) {
    unsigned char *from = (unsigned char *)p, *slot = slots[i];
    if (from == slot) {
        return (struct span){slot, bytes + MARGIN < slot_size ? bytes + MARGIN : slot_size};
    }
    size_t margin = (size_t)(from - slot) < MARGIN ? (size_t)(from - slot) : MARGIN;
    return (struct span){from - margin, margin + bytes};
}

// Each parameter directly behind a page that does not exist, or directly before one.
static void lay_out(const struct function *f, const size_t *n, int at_end, void **p) {
    for (int i = 0; i < parameters(f); ++i) {
        p[i] = slots[i] + (at_end ? slot_size - bytes_of(f, i, n) : 0);
    }
}

static unsigned char before[PARAMETERS][MOST_BYTES + MARGIN];

// Calls `f` on parameters in their slots, where inputs cannot be written. After an error the other
// parameters are as before; after success the memory around them is. Parameters that point
// elsewhere are not compared.
static vesde_status attempt(const struct function *f, void **p, const size_t *n) {
    struct span spans[PARAMETERS];
    int in_slot[PARAMETERS];
    for (int i = 0; i < parameters(f); ++i) {
        const struct parameter *x = &f->parameters[i];
        uintptr_t offset = (uintptr_t)p[i] - (uintptr_t)slots[i];
        in_slot[i] = p[i] != NULL && offset <= slot_size;
        if (in_slot[i]) {
            spans[i] = around(i, p[i], bytes_of(f, i, n));
            memset(spans[i].from, SENTINEL, spans[i].len);
            fill(f, i, p, n);
            memcpy(before[i], spans[i].from, spans[i].len);
            if (!is_written(x)) {
                protect(slots[i], slot_size, PROT_READ);
            }
        }
    }
    vesde_status status = f->call(p, n);
    for (int i = 0; i < parameters(f); ++i) {
        if (in_slot[i] && !is_written(&f->parameters[i])) {
            protect(slots[i], slot_size, PROT_READ | PROT_WRITE);
        } else if (in_slot[i]) {
            if (status == VESDE_OK) {
                memcpy(before[i] + ((unsigned char *)p[i] - spans[i].from), p[i], bytes_of(f, i, n));
            }
            CHECK(memcmp(before[i], spans[i].from, spans[i].len) == 0);
        }
    }
    return status;
}

static unsigned char wanted[PARAMETERS * MOST_BYTES], got[PARAMETERS * MOST_BYTES];

// The status of a call in ordinary memory, without vector instructions that are chosen at run time;
// its outputs go to `wanted`.
static vesde_status reference(const struct function *f, const size_t *n, int without) {
    static double memory[PARAMETERS][MOST_BYTES / sizeof(double)];
    void *p[PARAMETERS];
    for (int i = 0; i < parameters(f); ++i) {
        p[i] = i == without ? NULL : memory[i];
        memset(memory[i], SENTINEL, bytes_of(f, i, n));
    }
    for (int i = 0; i < parameters(f); ++i) {
        fill(f, i, p, n);
    }
    vesde_limit_simd_level(VESDE_SIMD_LEVEL_KIND_BASELINE);
    vesde_status status = f->call(p, n);
    collect(f, p, n, wanted);
    return status;
}

// Calls `f` on every level, at both ends of memory, with and without what may be NULL. Each time
// status and bits must be those of ordinary memory.
static vesde_status everywhere(const struct function *f, const size_t *n) {
    vesde_status status = VESDE_OK;
    for (int without = -1; without < parameters(f); ++without) {
        if (without >= 0 && f->parameters[without].null != VESDE_OK) {
            continue;
        }
        status = reference(f, n, without);
        for (int k = 0; k < 2 * levels_len; ++k) {
            void *p[PARAMETERS];
            vesde_limit_simd_level(levels[k / 2]);
            lay_out(f, n, k % 2, p);
            if (without >= 0) {
                p[without] = NULL;
            }
            CHECK(check_status(status, attempt(f, p, n), f->name, __FILE__, __LINE__) &&
                  (status != VESDE_OK || memcmp(wanted, got, collect(f, p, n, got)) == 0));
        }
    }
    return status;
}

static void usual(const struct function *f, size_t *n) {
    for (int i = 0; i < LENGTHS; ++i) {
        n[i] = f->lengths[i].value;
    }
}

static const struct function *find(const char *name) {
    EACH(f) {
        if (strcmp(f->name, name) == 0) {
            return f;
        }
    }
    fprintf(stderr, "no function %s\n", name);
    exit(1);
}

// Calls a function everywhere, with the table's parameters.
static vesde_status call(const char *name) {
    const struct function *f = find(name);
    size_t n[LENGTHS];
    usual(f, n);
    return everywhere(f, n);
}

// ---- samplers at every place of a job ----

enum { FIRST_PLACES = 9, PLACES = 12 };

static vesde_sampler places[PLACES];

// Four calls with either kind of noise, and the same in the last step.
static void make_places(void) {
    static float scratch[MOST];
    const vesde_buffers job = {.sample = scratch, .model_output = model_output, .len = MOST, .noise = noise};
    vesde_request request;
    size_t len = 0;
    for (int32_t kind = VESDE_SAMPLER_NOISE_COUNTER; kind <= VESDE_SAMPLER_NOISE_GIVEN; ++kind) {
        vesde_sampler_options here = options;
        vesde_sampler made;
        here.noise = kind;
        OK(vesde_sampler_init(&config, 1, &here, &made));
        for (int i = 0; i < (kind == VESDE_SAMPLER_NOISE_GIVEN ? 6 : 3); ++i) {
            made.norm = (int32_t)len & 1;
            made.averaging = (int32_t)len >> 1 & 1;
            places[len++] = made;
            OK(vesde_sampler_next(&made, &scheduler, &job, &request));
        }
    }
    // with the score: of counter noise, before and after noise is asked for
    const int at_predictor[] = {2, 7, 8};
    for (int i = 0; i < 3; ++i) {
        const uint64_t updates = ((uint64_t)config.correct_steps + 1) * MOST;
        places[len] = places[at_predictor[i]];
        places[len++].turn = i == 0 ? updates : 2 * updates + (uint64_t)i - 1;
    }
    CHECK(len == PLACES);
}

// The same for the ODE: before the first call; with noise; with the first derivative; with the
// first step's probe; with a step's second, sixth and last derivative. Then with a divergence: by a
// product, and by differences with the first and the second score of a step's last derivative.
enum { ODE_PLACES = 10, FIRST_DIVERGENCE = 7 };

static vesde_ode ode_places[ODE_PLACES];

static void make_ode_places(void) {
    vesde_ode_request request;
    vesde_ode_plan made;
    ode_places[0] = ode_at(VESDE_DIVERGENCE_NONE, 1, 0);
    ode_places[1] = ode_prior;
    ode_places[2] = ode_at(VESDE_DIVERGENCE_NONE, 1, 1);
    ode_places[3] = ode_places[2];
    OK(vesde_ode_next_plan(&ode_places[3], MOST, totals, NULL, 0, &made, &request));
    CHECK(request.stage == 0 && request.kind == VESDE_ODE_REQUEST_KIND_SCORE);
    ode_places[4] = ode_at(VESDE_DIVERGENCE_NONE, 2, 1);
    ode_places[5] = ode_at(VESDE_DIVERGENCE_NONE, 6, 1);
    ode_places[6] = ode;
    ode_places[7] = ode_product;
    ode_places[8] = ode_at(VESDE_DIVERGENCE_DIFFERENCES, 7, 1);
    ode_places[9] = ode_differences;
}

// How many values an enumeration of the options has.
static int32_t values_of(vesde_sampler_options *of, int32_t *value) {
    const int32_t kept = *value;
    vesde_sampler made;
    for (*value = 0; vesde_sampler_init(&config, 1, of, &made) == VESDE_OK;) {
        ++*value;
    }
    const int32_t count = *value;
    *value = kept;
    return count;
}

// The options of job `i`, of all predictors, correctors, conditions, results and kinds of noise.
// Returns 0 behind the last job.
static int job_of(int32_t i, vesde_sampler_options *made) {
    int32_t *const choices[] = {&made->predictor, &made->corrector, &made->conditions, &made->result, &made->noise};
    for (int k = 0; k < 5; ++k) {
        const int32_t count = values_of(made, choices[k]);
        *choices[k] = i % count;
        i /= count;
    }
    made->step_lr = 1e-5f;
    return i == 0;
}

// The options of a method along a table, in one of many ways.
static vesde_sampler_options method_options(int32_t method, int32_t way) {
    vesde_sampler_options made = {.seed = 7, .method = method, .prediction = way % 4};
    made.noise = way % 2;
    made.order = method >= VESDE_METHOD_LMS ? (uint32_t)way % 5 : 0;
    made.eta = way % 3 == 1 && method < VESDE_METHOD_UNIPC2 ? 1 : 0;
    made.s_churn = way % 3 == 2 && method <= VESDE_METHOD_DPM2 ? 3 : 0;
    made.conditions = way / 2 % 3;
    made.result = way / 4 % 3;
    made.denoised_clamped = way % 5 == 0;
    made.denoised_high = 1;
    return made;
}

enum { METHODS = 13, MOST_KEPT = 4, MANNERS = 6 };  // buffers of history; ways to spoil

enum { MOST_STATES = 2000, MOST_PICKED = 4 };

static vesde_sampler states_of_jobs[MOST_STATES];  // those of `places`, and two of every job
static int states_len;
// of the predictor–corrector method; the others go along `short_table`
static int states_of_steps_len;
static float short_table[12];
static vesde_scheduler along;
static vesde_sampler picked[MOST_PICKED];  // with two factors at the score, and with clamps
static int picked_len;

// States early and late in every job.
static void make_states(void) {
    int kinds = 0;
    for (int i = 0; i < PLACES; ++i) {
        states_of_jobs[states_len++] = places[i];
    }
    vesde_sampler_options here = {0};
    for (int32_t i = 0; job_of(i, &here); ++i, here = (vesde_sampler_options){0}) {
        vesde_sampler made, walker;
        vesde_request request;
        vesde_plan plan;
        uint64_t turns = 0;
        snprintf(context, sizeof context, "job %d", (int)i);
        OK(vesde_sampler_init(&config, 1, &here, &made));
        walker = made;
        do {
            const vesde_sampler before_it = walker;
            OK(vesde_sampler_plan(&walker, &scheduler, &plan, &request));
            const int is_twice = plan.terms_len == 2 && plan.terms[1].second_factor != 1;
            const int kind = 1 << ((is_twice ? 0 : 2) + (here.noise == VESDE_SAMPLER_NOISE_GIVEN));
            if (!(kinds & kind) && (is_twice ? plan.noise_factor != 0 : plan.clamped && plan.reduction)) {
                kinds |= kind;
                picked[picked_len++] = before_it;
            }
            ++turns;
        } while (request.kind != VESDE_REQUEST_KIND_DONE && turns < 100000);
        for (int k = 0; k < 2; ++k, ++states_len) {
            if (!CHECK(states_len < MOST_STATES)) {
                return;
            }
            made.turn = (uint64_t)(i % 17) % turns;
            made.turn = k == 0 ? made.turn : turns - 1 - made.turn;
            states_of_jobs[states_len] = made;
        }
    }
    CHECK(picked_len == MOST_PICKED && states_len > PLACES + 2 * 400);
    states_of_steps_len = states_len;
    OK(vesde_set_karras_sigmas(0.02, 20, 7, 11, short_table));
    along = (vesde_scheduler){config, NULL, 0, short_table, 12, NULL, 0};
    for (int32_t i = 0; i < 8 * 12; ++i, ++states_len) {
        vesde_sampler_options of = method_options(1 + i / 8, i);
        snprintf(context, sizeof context, "method %d, %d", (int)of.method, (int)i);
        OK(vesde_sampler_init(&config, 1, &of, &states_of_jobs[states_len]));
        states_of_jobs[states_len].turn = (uint64_t)(i * 5 % 11);
    }
    CHECK(states_len < MOST_STATES);
}

// The state of a try. Those of all jobs come early, so that few tries reach them, too.
static int any_state(int i) {
    return (int)((uint32_t)(i / MANNERS) * 367U % (uint32_t)states_len);
}

// The scheduler of a state's job.
static const vesde_scheduler *tables_of(int state) {
    return state < states_of_steps_len ? &scheduler : &along;
}

// ---- every length between pages that do not exist ----

static size_t lengths[500];
static int lengths_len;

static void make_lengths(void) {
    for (size_t len = 0; len <= 4 * 64 + 1; ++len) {
        lengths[lengths_len++] = len;
    }
    for (size_t block = 1024; block <= 2 * VESDE_NORM_BLOCK; block += 1024) {
        const int around[] = {-65, -64, -1, 0, 1, 15, 65};
        for (int i = 0; i < 7; ++i) {
            lengths[lengths_len++] = (size_t)((int)block + around[i]);
        }
    }
    CHECK(lengths[lengths_len - 1] <= ROOM && lengths_len <= 500);
    const int all = lengths_len;
    lengths_len = 0;
    for (int i = 0; i < all; ++i) {
        if (i <= 64 || i % thinning == 0) {
            lengths[lengths_len++] = lengths[i];
        }
    }
}

static int is_text(const struct function *f) {
    int text = 0;
    for (int i = 0; i < parameters(f); ++i) {
        text |= f->parameters[i].size == 1;
    }
    return text;
}

static void every_length(const struct function *f) {
    int split = f->lengths[1].huge == VESDE_ERROR_LENGTH_MISMATCH, two = strcmp(f->name, "set_sigmas") == 0;
    for (int i = 0; i < lengths_len && f->lengths[0].value != 0; ++i) {
        size_t len = lengths[i], usual_second = f->lengths[1].value;
        if (is_text(f) && len > f->lengths[0].value) {
            break;
        }
        // The second length: none, the blocks of a norm, or a batch of one sample, of three, or of
        // samples of one float.
        const size_t seconds[] = {usual_second == 1 ? vesde_norm_blocks(len) : usual_second != 0, BATCH, len};
        int count = usual_second != BATCH ? 1 : len <= 4 * 64 && (split || two) ? 3 : 2;
        // With a third length: one timestep or index, or as many as samples.
        int has_third = f->lengths[2].value != 0;
        counter.index = 37 * (uint64_t)i;
        for (int choice = 0; choice < count << has_third; ++choice) {
            int k = choice >> has_third;
            size_t n[LENGTHS] = {len, seconds[k], choice & has_third ? 1 : seconds[k]};
            at(f, "length %d, %d, %d", (int)len, (int)n[1], (int)n[2]);
            vesde_status status = everywhere(f, n);
            if (is_text(f)) {
                CHECK(len < f->lengths[0].value || status == VESDE_OK);
            } else if (len == 0) {
                CHECK(status == f->lengths[n[1] == 0 && usual_second != 0].empty);
            } else {
                int divides = k == 0 || two || len % n[1] == 0;
                CHECK(status == (divides ? VESDE_OK : VESDE_ERROR_LENGTH_MISMATCH));
            }
        }
    }
}

static void every_length_between_pages_that_do_not_exist(void) {
    vesde_counter usual_counter = counter;
    const vesde_cuda_grid small = {1, 256};
    EACH(f) {
        if (strcmp(f->name, "sampler_next") == 0) {
            vesde_sampler kept = sampler;
            for (int i = 0; i < PLACES; ++i) {
                sampler = places[i];
                every_length(f);
            }
            for (int i = 0; i < picked_len; ++i) {
                sampler = picked[i];
                every_length(f);
            }
            sampler = kept;
        } else if (strcmp(f->name, "ode_next") == 0) {
            vesde_ode kept = ode;
            for (int i = 2; i < 6; ++i) {
                ode = ode_places[i];
                every_length(f);
            }
            ode = kept;
        } else if (strncmp(f->name, "step_correct", 12) == 0 || strcmp(f->name, "mean_norm") == 0) {
            for (int mode = 0; mode < 4; ++mode) {
                averaging = mode & 1;
                norm = mode >> 1;
                every_length(f);
            }
            averaging = VESDE_AVERAGING_BATCH;
            norm = VESDE_NORM_EXACT;
        } else if (strcmp(f->name, "randn_torch_cuda") == 0) {
            for (int i = 0; i < BATCH; ++i) {
                torch_cudas[i].torch_cuda.grid = small;  // whole passes of four rows
            }
            every_length(f);
            for (int i = 0; i < BATCH; ++i) {
                torch_cudas[i].torch_cuda.grid = grid;
            }
        }
        every_length(f);
        size_t n[LENGTHS];
        usual(f, n);
        at(f, "as in the table");
        OK(everywhere(f, n));
    }
    counter = usual_counter;
}

// ---- outputs that are stored non-temporally, and inputs that are asked for ahead ----

enum { FAR = 1 << 23, PIECE = 1 << 16 };

// Builds the struct that `f` takes, if it takes one, and calls `f`.
static vesde_status build_and_call(const struct function *f, void **p, const size_t *n) {
    for (int i = 0; i < parameters(f); ++i) {
        if (f->parameters[i].role == BUILT) {
            fill(f, i, p, n);
        }
    }
    return f->call(p, n);
}

// The same work in pieces, each too short for such stores: not one bit differs.
static void pieces(const struct function *f, void **p, size_t len) {
    static float piece[2][PIECE + 64];
    vesde_counter kept = counter;
    for (size_t done = 0, count; done < len; done += count) {
        vesde_combination built;
        void *q[PARAMETERS] = {0};
        float *outs[2];
        int outs_len = 0;
        // torch draws its last sixteen together
        count = len - done <= PIECE + 64 ? len - done : PIECE;
        for (int i = 0; i < parameters(f); ++i) {
            const struct parameter *x = &f->parameters[i];
            q[i] = x->role == BUILT                  ? (void *)&built
                   : x->length == 0 && x->role < OUT ? (float *)p[i] + done
                                                     : p[i];
            if (x->length == 0 && x->role == OUT) {
                outs[outs_len] = (float *)p[i] + done;
                q[i] = piece[outs_len++];
            }
        }
        counter.index = kept.index + done;
        OK(build_and_call(f, q, (size_t[]){count, 1, 1}));
        for (int i = 0; i < outs_len; ++i) {
            CHECK(memcmp(piece[i], outs[i], count * sizeof(float)) == 0);
        }
    }
    counter = kept;
}

static void far_stores_stay_inside(void) {
    if (thinning > 1) {
        printf("skipped far stores, which take long in an emulator\n");
        return;
    }
    const char *names[] = {"linear_update", "linear_update_counter", "linear_counter", "linear_copy", "linear_noise",
                           "linear_noise_counter", "add_noise", "add_noise_counter", "counter_fill", "randn"};
    vesde_counter kept = counter;
    unsigned char *far[5];
    size_t size = (FAR + BATCH + 64) * sizeof(float);
    for (int i = 0; i < 5; ++i) {
        far[i] = map(&size);
        OK(vesde_counter_fill((vesde_counter){3, (uint64_t)i, 0}, size / sizeof(float), (float *)far[i]));
    }
    counter.index = 37;
    for (size_t k = 0; k < sizeof names / sizeof *names; ++k) {
        const struct function *f = find(names[k]);
        for (int variant = 0; variant < 2 * levels_len; ++variant) {
            // Aligned for these stores, with a tail and without, at the end and at the beginning.
            size_t len = variant % 2 ? FAR + 36 : FAR + BATCH, n[] = {len, 1, 1};
            size_t offset = variant % 2 ? size - len * sizeof(float) : 0;
            vesde_generator state = torch_cpus[0];
            vesde_combination built;
            void *p[PARAMETERS];
            for (int i = 0, next = 0; i < parameters(f); ++i) {
                const struct parameter *x = &f->parameters[i];
                p[i] = x->length == 0      ? (void *)(far[next++] + offset)
                       : x->role == BUILT  ? (void *)&built
                       : x->role == IN_OUT ? (void *)&state
                                           : (void *)(uintptr_t)x->content;
            }
            at(f, "%d floats, level %d", (int)len, (int)levels[variant / 2]);
            vesde_limit_simd_level(levels[variant / 2]);
            OK(build_and_call(f, p, n));
            state = torch_cpus[0];
            pieces(f, p, len);
        }
    }
    counter = kept;
    for (int i = 0; i < 5; ++i) {
        munmap(far[i], size);
    }
}

// ---- lengths that no memory has, and the end of the address space ----

static void products_of_lengths_that_overflow(void) {
    // Of floats or more, these are all more bytes than an object can have, or none at all.
    const size_t values[] = {0, 1, BATCH, SIZE_MAX, SIZE_MAX - BATCH + 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1,
                             SIZE_MAX / 4, SIZE_MAX / 4 + 1, SIZE_MAX / 8 + 1};
    const int count = sizeof values / sizeof *values;
    EACH(f) {
        for (int pair = 0; pair < count * count && f->lengths[1].value != 0; ++pair) {
            void *p[PARAMETERS];
            size_t a = values[pair / count], b = values[pair % count];
            if (a <= BATCH && b <= BATCH) {
                continue;
            }
            const size_t choices[][LENGTHS] = {{a, b, b}, {a, b, 1}, {a, 1, b}};
            for (int i = 0; i < (f->lengths[2].value != 0 ? 3 : 1); ++i) {
                const size_t *n = choices[i];
                lay_out(f, n, 1, p);
                at(f, "lengths %zx, %zx and %zx", n[0], n[1], n[2]);
                vesde_status status = attempt(f, p, n);
                CHECK(status == VESDE_ERROR_TOO_LARGE || status == VESDE_ERROR_LENGTH_MISMATCH ||
                      (status == VESDE_ERROR_EMPTY && (n[0] == 0 || n[1] == 0 || n[2] == 0)));
            }
        }
    }
    // A batch of more samples than there are bytes, in states that a caller may have edited.
    vesde_sampler kept = sampler;
    for (int i = 3; i < count; ++i) {
        sampler.batch = values[i];
        STATUS(VESDE_ERROR_LENGTH_MISMATCH, call("sampler_next"));
    }
    sampler = kept;
    const struct {
        uint64_t draw_len, start;
        vesde_status status;  // of torch on a GPU: counter noise has all that fit an index
    } draws[] = {
        {0, 0, VESDE_ERROR_LENGTH_MISMATCH},
        {LEN, 0, VESDE_OK},
        {LEN, 1, VESDE_ERROR_LENGTH_MISMATCH},
        {LEN - 1, 0, VESDE_ERROR_LENGTH_MISMATCH},
        {LEN, UINT64_MAX, VESDE_ERROR_LENGTH_MISMATCH},
        {LEN, UINT64_MAX - LEN + 1, VESDE_ERROR_LENGTH_MISMATCH},
        {1ULL << 29, (1ULL << 29) - LEN, VESDE_OK},
        {(1ULL << 29) + 1, (1ULL << 28) - 1, VESDE_OK},  // over the seam of two launches
        {(1ULL << 32) + LEN, 1ULL << 32, VESDE_OK},
        {(1ULL << 32) + LEN, (1ULL << 32) + 1, VESDE_ERROR_LENGTH_MISMATCH},
        {(1ULL << 40) - 256, (1ULL << 40) - 256 - LEN, VESDE_OK},
        {(1ULL << 40) - 255, 0, VESDE_ERROR_TOO_LARGE},
        {UINT64_MAX, 0, VESDE_ERROR_TOO_LARGE},
    };
    uint64_t kept_draw[] = {draw_len, draw_start};
    for (size_t i = 0; i < sizeof draws / sizeof *draws; ++i) {
        draw_len = draws[i].draw_len;
        draw_start = draws[i].start;
        int is_part = draws[i].status != VESDE_ERROR_LENGTH_MISMATCH;
        STATUS(draws[i].status, call("generator_fill_part"));
        STATUS(is_part ? VESDE_OK : VESDE_ERROR_LENGTH_MISMATCH, call("generator_fill_part_counter"));
        STATUS(is_part ? draws[i].status : VESDE_OK, call("generator_skip"));
        OK(call("generator_skip_counter"));
    }
    draw_len = kept_draw[0];
    draw_start = kept_draw[1];
}

// Every pointer at addresses from which its parameter would reach the end of the address space, or
// go beyond.
static void pointers_at_the_end_of_the_address_space(void) {
    EACH(f) {
        for (int i = 0; i < parameters(f); ++i) {
            size_t n[LENGTHS], size = f->parameters[i].size;
            usual(f, n);
            const size_t back[] = {bytes_of(f, i, n), bytes_of(f, i, n) / 2 / size * size, size};
            for (int k = 0; k < 3; ++k) {
                void *p[PARAMETERS];
                lay_out(f, n, k % 2, p);
                size_t align = size % 8 == 0 ? 8 : size % 4 == 0 ? 4 : 1;
                p[i] = (void *)((UINTPTR_MAX - back[k] + 1) / align * align);
                at(f, "pointer %d, %d bytes before the end", i, (int)back[k]);
                if (p[i] != NULL) {
                    STATUS(VESDE_ERROR_TOO_LARGE, attempt(f, p, n));
                }
            }
        }
    }
}

// Outputs over what else a call writes or reads, where abi.c's loops do not reach: objects over
// buffers.
static void objects_over_buffers(void) {
    const struct {
        const char *name;
        int object, buffer;
    } pairs[] = {{"sampler_next", 8, 3}, {"sampler_next", 8, 6}, {"sampler_next", 8, 7}, {"sampler_next", 0, 3},
                 {"sampler_next", 0, 4}, {"sampler_next", 0, 5}, {"sampler_next", 0, 6}, {"sampler_next", 0, 7},
                 {"config_to_json", 2, 1},
                 {"ode_next_product", 0, 2}, {"ode_next_product", 0, 3}, {"ode_next_product", 0, 4},
                 {"ode_next_product", 0, 5}, {"ode_next_product", 0, 6}, {"ode_next_product", 0, 7},
                 {"ode_next_product", 0, 8}, {"ode_next_product", 0, 9}, {"ode_next_product", 10, 2},
                 {"ode_next_product", 10, 3}, {"ode_next_product", 10, 8}, {"ode_next_product", 10, 9},
                 {"ode_next_product", 9, 2}, {"ode_next_product", 9, 4}, {"ode_next_product", 9, 7},
                 {"ode_next_product", 9, 8}, {"ode_next_plan", 3, 2}, {"ode_next_plan", 4, 2},
                 {"ode_next_plan", 0, 2}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; ++i) {
        const struct function *f = find(pairs[i].name);
        size_t n[LENGTHS];
        usual(f, n);
        for (size_t offset = 0; offset < 16; offset += 8) {
            void *p[PARAMETERS];
            lay_out(f, n, 0, p);
            p[pairs[i].object] = (char *)p[pairs[i].buffer] + offset;
            at(f, "pointer %d at pointer %d", pairs[i].object, pairs[i].buffer);
            STATUS(VESDE_ERROR_OVERLAP, attempt(f, p, n));
        }
    }
}

// ---- tables and timesteps ----

static const float strange[] = {NAN,     -NAN,   INFINITY, -INFINITY, -1.0f,   0.0f,  -0.0f, 1e-45f,
                                FLT_MIN, FLT_MAX, -FLT_MAX, 1e30f,     1e-30f, 1.0f, 2.0f,  -2.0f};
enum { STRANGE = sizeof strange / sizeof *strange };

// Any values of the discrete sigmas at and below a step's index: a step is possible where the
// difference of their squares is.
static void edited_discrete_sigmas(void) {
    vesde_sampler kept = sampler;
    const size_t index = MOST - 1;
    float *at_index = &discrete_sigmas[index], *below = at_index - 1, kept_sigmas[2] = {*below, *at_index};
    float kept_timesteps[BATCH];
    memcpy(kept_timesteps, timesteps, sizeof kept_timesteps);
    for (int i = 1; i < BATCH; ++i) {
        timesteps[i] = 0.25f;  // the other samples' steps are sound
    }
    int64_t kept_index = indices[0];
    indices[0] = (int64_t)index;
    sampler = places[2];  // at a predictor step
    vesde_sampler_options any = {0};
    const int32_t predictors = values_of(&any, &any.predictor);
    for (int pair = 0; pair < STRANGE * STRANGE; ++pair) {
        float sigma = strange[pair / STRANGE], adjacent = strange[pair % STRANGE], found = -1;
        float variance = sigma * sigma - adjacent * adjacent;
        int finite = isfinite(sigma) && isfinite(adjacent);
        vesde_status status = variance >= 0 && isfinite(variance) && finite ? VESDE_OK : VESDE_ERROR_INVALID_SIGMA;
        *at_index = sigma;
        *below = adjacent;
        vesde_predictor_step step = {-1, -1, -1};
        snprintf(context, sizeof context, "sigma %g above %g", sigma, adjacent);
        STATUS(status, vesde_get_predictor_step(&scheduler, VESDE_PREDICTOR_REVERSE_DIFFUSION, 1.0f, &step));
        if (status == VESDE_OK) {
            CHECK(step.drift == step.diffusion * step.diffusion);
            CHECK(variance < FLT_MIN || ulps(step.drift, variance) <= 2);
        } else {
            CHECK(step.drift == -1 && step.dt == -1 && step.diffusion == -1);
        }
        const char *steps[] = {"step_pred", "step_pred_counter"};
        for (int i = 0; i < 2; ++i) {
            STATUS(status, call(steps[i]));
        }
        // Other predictors' factors may be infinite where these are finite.
        for (predictor = 1; predictor < predictors; ++predictor) {
            const vesde_predictor_step untouched = {-1, -1, -1};
            step = untouched;
            vesde_status of_it = vesde_get_predictor_step(&scheduler, predictor, 1.0f, &step);
            STATUS(status == VESDE_OK && of_it == VESDE_OK ? VESDE_OK : VESDE_ERROR_INVALID_SIGMA, of_it);
            CHECK(isfinite(step.drift) && isfinite(step.dt) && isfinite(step.diffusion));
            CHECK(of_it == VESDE_OK || memcmp(&step, &untouched, sizeof step) == 0);
            STATUS(of_it, call("step_pred"));
        }
        predictor = VESDE_PREDICTOR_REVERSE_DIFFUSION;
        STATUS(status, call("sampler_next"));
        STATUS(finite ? VESDE_OK : VESDE_ERROR_INVALID_SIGMA, vesde_get_adjacent_sigma(&scheduler, index, &found));
        CHECK(bits(found) == bits(finite ? adjacent : -1));
        const char *adders[] = {"add_noise", "add_noise_counter"};
        for (int i = 0; i < 2; ++i) {
            STATUS(isfinite(sigma) ? VESDE_OK : VESDE_ERROR_INVALID_SIGMA, call(adders[i]));
        }
    }
    *below = kept_sigmas[0];
    *at_index = kept_sigmas[1];
    memcpy(timesteps, kept_timesteps, sizeof kept_timesteps);
    indices[0] = kept_index;
    sampler = kept;
}

// The sigma and the timestep that a sampler's next request would name, at every place of a job.
static void edited_sigmas_and_timesteps(void) {
    vesde_sampler kept = sampler;
    for (int i = 0; i < PLACES; ++i) {
        for (int k = 0; k < STRANGE * 4; ++k) {
            int is_timestep = k & 1, next = k >> 1 & 1;
            float value = strange[k / 4], *table = is_timestep ? timesteps : sigmas;
            size_t step = (i < FIRST_PLACES ? 0 : MOST - 1) + (size_t)next;
            if (step >= MOST) {
                continue;
            }
            float right = table[step];
            // At a predictor step that has its noise, the request is the next step's, whose sigma
            // and timestep must be sound.
            int is_next_needed = i == 2 || i == 8;
            int is_sound = is_timestep ? value >= 0 && value <= 1 : isfinite(value);
            sampler = places[i];
            table[step] = value;
            vesde_status status = is_sound || (next && !is_next_needed) ? VESDE_OK
                                  : is_timestep                         ? VESDE_ERROR_TIMESTEP_OUT_OF_RANGE
                                                                        : VESDE_ERROR_INVALID_SIGMA;
            snprintf(context, sizeof context, "place %d, %s %g", i, is_timestep ? "timestep" : "sigma", value);
            STATUS(status, call("sampler_next"));
            table[step] = right;
        }
    }
    sampler = kept;
    const char *takers[] = {"step_pred", "step_pred_counter", "set_sigmas"};
    for (int i = 0; i < 3 * BATCH; ++i) {
        for (int k = 0; k < STRANGE; ++k) {
            float right = timesteps[i % BATCH];
            timesteps[i % BATCH] = strange[k];
            int is_sound = strange[k] >= 0 && strange[k] <= 1;
            STATUS(is_sound ? VESDE_OK : VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, call(takers[i / BATCH]));
            timesteps[i % BATCH] = right;
        }
    }
}

// ---- what the network and the noise may hold ----

// One sample of a batch has a wrong score or wrong noise: wherever it lies, the samples before it
// are not written. The step sizes of the first 128 samples are kept from the pass that checks to
// the pass that writes; later ones are computed twice.
static void one_wrong_float_in_a_batch(void) {
    enum { SAMPLES = 131, FLOATS = 2 * SAMPLES };
    const struct {
        float values[2];  // of a sample's two floats
        vesde_status averaged, alone, of_noise;
    } wrong[] = {
        {{NAN, 1}, VESDE_ERROR_NON_FINITE_GRADIENT_NORM, VESDE_ERROR_NON_FINITE_GRADIENT_NORM,
         VESDE_ERROR_NON_FINITE_NOISE_NORM},
        {{1, INFINITY}, VESDE_ERROR_NON_FINITE_GRADIENT_NORM, VESDE_ERROR_NON_FINITE_GRADIENT_NORM,
         VESDE_ERROR_NON_FINITE_NOISE_NORM},
        {{-INFINITY, INFINITY}, VESDE_ERROR_NON_FINITE_GRADIENT_NORM, VESDE_ERROR_NON_FINITE_GRADIENT_NORM,
         VESDE_ERROR_NON_FINITE_NOISE_NORM},
        {{0, -0.0f}, VESDE_OK, VESDE_ERROR_ZERO_GRADIENT_NORM, VESDE_OK},
    };
    const size_t positions[] = {0, 1, 63, 127, 128, 129, SAMPLES - 1};
    const char *names[] = {"step_correct", "step_correct_counter"};
    size_t n[] = {FLOATS, SAMPLES};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        // With thinning: the first sample, the last whose step size is kept, and the last.
        for (size_t k = 0; k < sizeof positions / sizeof *positions; k += thinning > 1 ? 3 : 1) {
            float *there[] = {model_output + 2 * positions[k], noise + 2 * positions[k]}, kept[2];
            for (int mode = 0; mode < 16; ++mode) {
                averaging = mode & 1;
                norm = mode >> 1 & 1;
                int in_noise = mode >> 2 & 1, made = mode >> 3;
                memcpy(kept, there[in_noise], sizeof kept);
                memcpy(there[in_noise], wrong[i].values, sizeof kept);
                const struct function *f = find(names[made]);
                at(f, "float %g of sample %d, mode %d", wrong[i].values[0], (int)positions[k], mode);
                vesde_status of_score = averaging == VESDE_AVERAGING_BATCH ? wrong[i].averaged : wrong[i].alone;
                STATUS(!in_noise ? of_score : made ? VESDE_OK : wrong[i].of_noise, everywhere(f, n));
                memcpy(there[in_noise], kept, sizeof kept);
            }
        }
    }
    averaging = VESDE_AVERAGING_BATCH;
    norm = VESDE_NORM_EXACT;
}

// Scores and noise of one value, whose norm fits a double but not a float.
static void norms_beyond_float(void) {
    const struct {
        float score, noise;
        vesde_status exact, torch;
    } rows[] = {
        {0, 1, VESDE_ERROR_ZERO_GRADIENT_NORM, VESDE_ERROR_ZERO_GRADIENT_NORM},
        {-0.0f, 0, VESDE_ERROR_ZERO_GRADIENT_NORM, VESDE_ERROR_ZERO_GRADIENT_NORM},
        {1e-30f, 1, VESDE_ERROR_NON_FINITE_GRADIENT_NORM, VESDE_ERROR_ZERO_GRADIENT_NORM},
        {1e-45f, 1, VESDE_ERROR_NON_FINITE_GRADIENT_NORM, VESDE_ERROR_ZERO_GRADIENT_NORM},
        {FLT_MAX, 1, VESDE_OK, VESDE_ERROR_NON_FINITE_GRADIENT_NORM},
        {-FLT_MAX, FLT_MAX, VESDE_OK, VESDE_ERROR_NON_FINITE_GRADIENT_NORM},
        // the step size overflows
        {1, FLT_MAX, VESDE_ERROR_NON_FINITE_GRADIENT_NORM, VESDE_ERROR_NON_FINITE_NOISE_NORM},
        {1, 0, VESDE_OK, VESDE_OK},
        {1, 1e-45f, VESDE_OK, VESDE_OK},
    };
    float *buffers[] = {model_output, noise}, kept[2][LEN];
    for (int i = 0; i < 2; ++i) {
        memcpy(kept[i], buffers[i], sizeof kept[i]);
    }
    vesde_sampler kept_sampler = sampler;
    sampler = places[6];  // at a corrector step, with its noise
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        for (size_t k = 0; k < LEN; ++k) {
            model_output[k] = rows[i].score;
            noise[k] = rows[i].noise;
        }
        for (int mode = 0; mode < 4; ++mode) {
            averaging = sampler.averaging = mode & 1;
            norm = sampler.norm = mode >> 1;
            STATUS(mode >> 1 ? rows[i].torch : rows[i].exact, call("step_correct"));
            STATUS(mode >> 1 ? rows[i].torch : rows[i].exact, call("sampler_next"));
        }
    }
    averaging = VESDE_AVERAGING_BATCH;
    norm = VESDE_NORM_EXACT;
    sampler = kept_sampler;
    for (int i = 0; i < 2; ++i) {
        memcpy(buffers[i], kept[i], sizeof kept[i]);
    }
}

// A predictor step passes on what is not a number, and to its own element only.
static void a_predictor_step_passes_on_what_is_not_a_number(void) {
    const char *names[] = {"step_pred",             "step_pred_counter", "linear_update",
                           "linear_update_counter", "linear",            "linear_counter"};
    static float usual_outputs[2 * MOST], outputs[2 * MOST];
    size_t n[] = {MOST, 1, 1};
    for (size_t k = 0; k < sizeof names / sizeof *names; ++k) {
        const struct function *f = find(names[k]);
        OK(reference(f, n, -1));
        memcpy(usual_outputs, wanted, sizeof usual_outputs);
        for (size_t i = 0; i < MOST; i += 7) {
            float right = model_output[i];
            model_output[i] = NAN;
            at(f, "a score that is not a number at %d", (int)i);
            OK(everywhere(f, n));
            OK(reference(f, n, -1));
            memcpy(outputs, wanted, sizeof outputs);
            CHECK(isnan(outputs[i]) && isnan(outputs[MOST + i]));
            outputs[i] = usual_outputs[i];
            outputs[MOST + i] = usual_outputs[MOST + i];
            CHECK(differing(outputs, usual_outputs, 2 * MOST) == 0);
            model_output[i] = right;
        }
    }
}

// ---- structs full of anything ----

// xorshift64* of Vigna 2016, so that every run tries the same.
static uint64_t random_state = 88172645463325252ULL;

static uint64_t random_word(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717ULL;
}

// Spoils an object in one of six ways: all zeros, all ones, anything; or of an object that was
// right a few bits, a few bytes, or a few bytes that become 0 or 255.
static void spoil(void *object, size_t size, int how) {
    unsigned char *bytes = object;
    if (how < 2) {
        memset(bytes, how ? 0xff : 0, size);
        return;
    }
    size_t count = how == 2 ? size : 1 + random_word() % 4;
    for (size_t i = 0; i < count; ++i) {
        size_t which = how == 2 ? i : random_word() % size;
        unsigned char value = (unsigned char)random_word();
        if (how == 3) {
            bytes[which] ^= (unsigned char)(1 << value % 8);
        } else {
            bytes[which] = how < 5 ? value : value & 1 ? 0xff : 0;
        }
    }
}

// Ways that change little must leave some objects right, and every way must make some wrong.
static void some_were_accepted(const int *accepted, const int *tried) {
    for (int how = 0; how < MANNERS; ++how) {
        snprintf(context, sizeof context, "manner %d: %d of %d accepted", how, accepted[how], tried[how]);
        CHECK(accepted[how] < tried[how] && (how < 3 || accepted[how] > 0));
    }
}

// A configuration is refused with a status of its own, or all that is made of it is sound.
static void configurations_of_anything(void) {
    int accepted[MANNERS] = {0}, tried[MANNERS] = {0};
    for (int i = 0; i < tries; ++i) {
        ++tried[i % MANNERS];
        vesde_config any = config, untouched;
        float t[3], s[3], d[3], initial;
        spoil(&any, sizeof any, i % MANNERS);
        snprintf(context, sizeof context, "configuration %d", i);
        untouched = any;
        vesde_status status = vesde_config_validate(&any);
        if (status == VESDE_OK) {
            ++accepted[i % MANNERS];
            OK(vesde_init_noise_sigma(&any, &initial));
            OK(vesde_set_timesteps(&any, 3, t));
            OK(vesde_set_sigmas(&any, t, 3, 3, s, d));
            CHECK(initial > 0 && isfinite(initial) && t[0] == 1 && t[1] <= 1 && t[2] >= 0 && t[2] <= t[1]);
            for (int k = 0; k < 3; ++k) {
                CHECK(s[k] > 0 && isfinite(s[k]) && d[k] > 0 && isfinite(d[k]));
            }
        } else {
            CHECK(status <= VESDE_ERROR_INVALID_NUM_TRAIN_TIMESTEPS && status >= VESDE_ERROR_INVALID_SAMPLING_EPS);
            STATUS(status, vesde_set_timesteps(&any, 3, t));
        }
        CHECK(memcmp(&any, &untouched, sizeof any) == 0);
    }
    some_were_accepted(accepted, tried);
}

// The status of a draw: an error if neither a seed function nor draws can make such a state.
static vesde_status status_of(const vesde_generator *state, uint64_t len) {
    const vesde_paired *paired = &state->paired;
    const vesde_cuda_grid *threads = &state->torch_cuda.grid;
    uint32_t words = paired->mt.words[0] & 0x80000000;
    for (int i = 1; i < 624; ++i) {
        words |= paired->mt.words[i];
    }
    int is_right = 0;
    switch (state->kind) {
    case VESDE_GENERATOR_KIND_COUNTER:
        return state->counter.index <= UINT64_MAX - len ? VESDE_OK : VESDE_ERROR_TOO_LARGE;
    case VESDE_GENERATOR_KIND_TORCH_CUDA:
        is_right = threads->multiprocessors != 0 && threads->threads_per_multiprocessor >= 256 &&
                   state->torch_cuda.offset % 4 == 0;
        break;
    case VESDE_GENERATOR_KIND_TORCH_CPU:
    case VESDE_GENERATOR_KIND_NUMPY:
        is_right = paired->mt.taken >= 1 && paired->mt.taken <= 624 && words != 0 && paired->has_cached <= 1 &&
                   fabs(paired->cached) <= 12.01;
        break;
    default:
        return VESDE_ERROR_UNKNOWN_ENUM;
    }
    return is_right ? VESDE_OK : VESDE_ERROR_INVALID_RANDOM_STATE;
}

enum { DRAW = 40 };

// Uniform numbers and signs of a state whose draws have this status, where its kind has any.
static void draw_of_words(const vesde_generator *state, size_t len, vesde_status status) {
    const int is_torch = state->kind == VESDE_GENERATOR_KIND_TORCH_CPU;
    const int has_signs = is_torch || state->kind == VESDE_GENERATOR_KIND_COUNTER;
    vesde_generator uniform = *state, signs = *state;
    float u[DRAW + 1], s[DRAW + 1];
    memset(u, SENTINEL, sizeof u);
    memset(s, SENTINEL, sizeof s);
    const float untouched = u[DRAW];
    const vesde_status of_uniform = is_torch ? status : VESDE_ERROR_UNKNOWN_ENUM;
    const vesde_status of_signs = has_signs ? status : VESDE_ERROR_UNKNOWN_ENUM;
    STATUS(of_uniform, vesde_rand(&uniform, len, u));
    STATUS(of_signs, vesde_rademacher(&signs, len, s));
    for (size_t i = 0; i <= DRAW; ++i) {
        int is_drawn = i < len && of_uniform == VESDE_OK, is_sign = i < len && of_signs == VESDE_OK;
        CHECK(is_drawn ? u[i] >= 0 && u[i] < 1 : bits(u[i]) == bits(untouched));
        CHECK(is_sign ? fabsf(s[i]) == 1 : bits(s[i]) == bits(untouched));
    }
    CHECK(of_uniform == VESDE_OK || is_same_generator(&uniform, state));
    CHECK(of_signs == VESDE_OK || is_same_generator(&signs, state));
    CHECK(!is_torch || is_same_generator(&uniform, &signs));
}

// One draw of a state that may be anything, whole and, where it can be split, in one part. Returns
// its status.
static vesde_status draw_of_anything(vesde_generator *state, size_t len) {
    static float draws[2][DRAW];
    const vesde_generator kept = *state;
    vesde_generator skipped = *state;
    const vesde_status status = status_of(state, len);
    const int is_paired = kept.kind == VESDE_GENERATOR_KIND_TORCH_CPU || kept.kind == VESDE_GENERATOR_KIND_NUMPY;
    const vesde_status of_part = is_paired ? VESDE_ERROR_UNSPLITTABLE_DRAW : status;
    unsigned char untouched[sizeof(float)];
    memset(untouched, SENTINEL, sizeof untouched);
    memset(draws, SENTINEL, sizeof draws);
    STATUS(of_part, vesde_generator_fill_part(state, len, 0, len, draws[0]));
    CHECK(is_same_generator(state, &kept));
    STATUS(status, vesde_randn(state, 1, len, draws[1]));
    draw_of_words(&kept, len, status);
    STATUS(of_part, vesde_generator_skip(&skipped, len));
    for (size_t i = 0; i < 2 * DRAW; ++i) {
        float *x = &draws[i / DRAW][i % DRAW];
        int is_drawn = i % DRAW < len && (i < DRAW ? of_part : status) == VESDE_OK;
        CHECK(is_drawn ? fabsf(*x) <= (is_paired ? 12.01f : 10) : memcmp(x, untouched, sizeof untouched) == 0);
    }
    if (of_part == VESDE_OK) {
        CHECK(memcmp(draws[0], draws[1], sizeof draws[0]) == 0);
    }
    if (status == VESDE_OK) {
        STATUS(VESDE_OK, status_of(state, 0));
    }
    CHECK(is_same_generator(&skipped, of_part == VESDE_OK ? state : &kept));
    CHECK(status == VESDE_OK || is_same_generator(state, &kept));
    return status;
}

static void generators_of_anything(void) {
    const vesde_generator *const kinds[] = {counters, torch_cpus, torch_cudas, numpys};
    int accepted[5][MANNERS] = {{0}}, tried[MANNERS] = {0};
    for (int i = 0; i < tries / 3; ++i) {
        int how = i / 2 % MANNERS;
        ++tried[how];
        size_t len = i % 2 ? 5 : DRAW;  // torch makes fewer than 16 in another way
        snprintf(context, sizeof context, "generator %d", i);
        vesde_limit_simd_level(levels[i % levels_len]);

        vesde_generator torch = torch_cpus[0];
        torch.paired.mt.taken = 1 + (uint32_t)(random_word() % 624);
        // The words are nearly all of the state: half of the time what is behind them is spoiled.
        vesde_paired *state = &torch.paired;
        size_t words = sizeof state->mt.words, behind = sizeof *state - words;
        if (how > 1 && random_word() % 2) {
            spoil((char *)state + words, behind, how);
        } else {
            spoil(state, random_word() % 2 ? words : sizeof *state, how);
        }
        vesde_generator numpy = torch, cuda = torch_cudas[0], counted = counters[0];
        numpy.kind = VESDE_GENERATOR_KIND_NUMPY;
        spoil(&cuda.torch_cuda, sizeof cuda.torch_cuda, how);
        spoil(&counted.counter, sizeof counted.counter, how);
        // All of a generator, its kind included, or what is behind the words of a twister.
        vesde_generator any = kinds[random_word() % 4][0];
        size_t from = random_word() % 2 ? offsetof(vesde_generator, counter) : 0;
        spoil((char *)&any + from, sizeof any - from, how);
        vesde_generator *const each[] = {&torch, &numpy, &cuda, &counted, &any};
        for (int k = 0; k < 5; ++k) {
            accepted[k][how] += draw_of_anything(each[k], len) == VESDE_OK;
        }
    }
    for (int k = 0; k < 3; ++k) {
        some_were_accepted(accepted[k], tried);
    }

    // States with a single bit take long to become random; one without bits never would.
    static float draws[DRAW];
    for (int bit = 0; bit < 624 * 32; bit += 61) {
        vesde_generator numpy = {.kind = VESDE_GENERATOR_KIND_NUMPY};
        numpy.paired.mt.taken = 624;
        numpy.paired.mt.words[bit / 32] = 1U << bit % 32;
        snprintf(context, sizeof context, "NumPy, bit %d", bit);
        STATUS(bit < 31 ? VESDE_ERROR_INVALID_RANDOM_STATE : VESDE_OK, vesde_randn(&numpy, 1, DRAW, draws));
    }
}

// What vesde_sampler_next must do to the sampler, its buffers and the request: what its plan says,
// run by vesde_run_plan in parts or by the functions for steps.
static vesde_status next_by_plan(vesde_sampler *state, const vesde_scheduler *with, vesde_buffers job,
                                 vesde_request *request) {
    vesde_plan made;
    float *const x = job.sample, by_linear[LEN];
    const size_t batch = (size_t)state->batch;
    const int makes_noise = state->noise == VESDE_SAMPLER_NOISE_COUNTER;
    vesde_status status = vesde_sampler_plan(state, with, &made, request);
    if (status != VESDE_OK) {
        return status;
    }
    const vesde_noise z = makes_noise ? vesde_counter_noise(made.counter) : vesde_given_noise(noise);
    if (made.reduction == VESDE_REDUCTION_CORRECTOR_NORMS) {
        const vesde_scheduler tables = {.config.snr = made.snr};
        const vesde_step step = {model_output, x, LEN, batch, z, x, NULL, 0};
        CHECK(made.terms_len == 2 && made.terms[0].factor == 1 && made.terms[0].operand == VESDE_OPERAND_SAMPLE);
        CHECK(made.terms[1].factor == 0 && made.terms[1].operand == VESDE_OPERAND_MODEL_OUTPUT);
        CHECK(made.noise_factor == 0 && made.terms[1].second_factor == 1);
        CHECK(made.snr == state->config.snr && made.averaging == state->averaging && made.norm == state->norm);
        CHECK(made.keeps_len == 0 && made.churn_factor == 0 && made.has_denoised && !made.denoised_clamped);
        const vesde_combination preview = {
            .terms = {{made.denoised_sample, x}, {made.denoised_model_output, model_output}}, .terms_len = 2,
            .len = LEN, .out = job.denoised};
        const vesde_combination clamp = {.terms = {{1, x}}, .terms_len = 1, .len = LEN, .clamped = made.clamped,
                                         .clamp_low = made.clamp_low, .clamp_high = made.clamp_high, .out = x};
        STATUS(VESDE_ERROR_INVALID_SAMPLER, vesde_run_plan(&made, &job, 0, LEN));
        OK(vesde_linear(&preview));
        status = vesde_step_correct(&tables, made.averaging, made.norm, &step);
        return status != VESDE_OK ? status : vesde_linear(&clamp);
    }
    CHECK(made.reduction == VESDE_REDUCTION_NONE && made.snr == 0 && made.averaging == 0 && made.norm == 0);
    const float *const operands[] = {x, model_output, NULL, job.workspace, job.workspace + LEN,
                                     job.workspace + 2 * LEN, job.workspace + 3 * LEN};
    const int is_linear = !made.denoised_clamped && made.churn_factor == 0;
    if (is_linear) {
        const vesde_combination sum = vesde_plan_combination(&made, operands, z, LEN, by_linear);
        OK(vesde_linear(&sum));
    }
    job.noise = makes_noise ? NULL : noise;
    OK(vesde_run_plan(&made, &job, 13, LEN - 13));
    OK(vesde_run_plan(&made, &job, 0, 13));
    CHECK(!is_linear || memcmp(by_linear, x, sizeof by_linear) == 0);
    return VESDE_OK;
}

// The buffers of a job that another one's are compared with.
struct memory_of_job {
    float sample[LEN], workspace[MOST_KEPT * LEN], denoised[LEN];
};

static vesde_buffers fresh_buffers(struct memory_of_job *of) {
    memset(of, SENTINEL, sizeof *of);
    memcpy(of->sample, sample, sizeof of->sample);
    memcpy(of->workspace, derivatives, sizeof of->workspace);
    return (vesde_buffers){of->sample, model_output, LEN, noise, of->workspace, MOST_KEPT * LEN, of->denoised};
}

static void samplers_of_anything(void) {
    int accepted[2][MANNERS] = {{0}}, tried[2][MANNERS] = {{0}};
    for (int i = 0; i < tries; ++i) {
        const int which = any_state(i), is_method = which >= states_of_steps_len;
        vesde_sampler any = states_of_jobs[which], any_before, by_plan;
        vesde_request request, request_before, by_plan_request;
        struct memory_of_job memory, memory_before;
        const vesde_buffers job = fresh_buffers(&memory), job_before = fresh_buffers(&memory_before);
        ++tried[is_method][i % MANNERS];
        snprintf(context, sizeof context, "sampler %d", i);
        spoil(&any, sizeof any, i % MANNERS);
        vesde_limit_simd_level(levels[i % levels_len]);
        memset(&request, SENTINEL, sizeof request);
        memcpy(&request_before, &request, sizeof request);
        any_before = by_plan = any;
        vesde_status status = vesde_sampler_next(&any, tables_of(which), &job, &request);
        if (status == VESDE_OK) {
            ++accepted[is_method][i % MANNERS];
            OK(next_by_plan(&by_plan, tables_of(which), job_before, &by_plan_request));
            CHECK(memcmp(&any, &by_plan, sizeof any) == 0 && memcmp(&memory, &memory_before, sizeof memory) == 0);
            CHECK(memcmp(&request, &by_plan_request, sizeof request) == 0);
        } else {
            // The plan's status, or the batch's, or that of a step size which overflows by the
            // configuration.
            vesde_plan made;
            vesde_status of_plan = vesde_sampler_plan(&by_plan, tables_of(which), &made, &by_plan_request);
            STATUS(of_plan != VESDE_OK            ? of_plan
                   : LEN % any_before.batch != 0 ? VESDE_ERROR_LENGTH_MISMATCH
                                                 : VESDE_ERROR_NON_FINITE_GRADIENT_NORM,
                   status);
            CHECK(memcmp(&any, &any_before, sizeof any) == 0 && memcmp(&memory, &memory_before, sizeof memory) == 0);
            CHECK(memcmp(&request, &request_before, sizeof request) == 0);
        }
    }
    some_were_accepted(accepted[0], tried[0]);
    some_were_accepted(accepted[1], tried[1]);
}

// Plans of any bits: a status, and nothing but outputs is written. Zeros are a plan that does
// nothing.
static void plans_of_anything(void) {
    const struct {
        const char *name;
        vesde_plan *plan;
    } kinds[] = {{"run_plan", &plan_keeping}, {"run_plan_correcting", &plan_correcting},
                 {"run_plan_clamping", &plan_clamping}};
    int accepted[MANNERS] = {0}, tried[MANNERS] = {0};
    for (int i = 0; i < tries / 3; ++i) {
        const int how = i % MANNERS, kind = i / MANNERS % 3;
        const struct function *f = find(kinds[kind].name);
        const vesde_plan right = *kinds[kind].plan;
        void *p[PARAMETERS];
        size_t n[LENGTHS];
        usual(f, n);
        lay_out(f, n, i / 18 % 2, p);
        spoil(kinds[kind].plan, sizeof right, how);
        at(f, "plan %d", i);
        vesde_limit_simd_level(levels[i % levels_len]);
        ++tried[how];
        accepted[how] += attempt(f, p, n) == VESDE_OK;
        *kinds[kind].plan = right;
    }
    CHECK(accepted[0] == tried[0]);
    accepted[0] = 0;
    some_were_accepted(accepted, tried);
}

// What is wrong with a plan, a part or the buffers of one.
static void damaged_plans(void) {
    const vesde_plan right = plan_correcting;
    vesde_plan *const it = &plan_correcting;
    const char *const name = "run_plan_correcting";
#define DAMAGED(status, change)     \
    do {                            \
        change;                     \
        STATUS(status, call(name)); \
        *it = right;                \
    } while (0)
    DAMAGED(VESDE_OK, it->keeps_len = 0);
    DAMAGED(VESDE_ERROR_TOO_LARGE, it->terms_len = VESDE_MOST_TERMS + 1);
    DAMAGED(VESDE_ERROR_TOO_LARGE, it->terms_len = SIZE_MAX);
    DAMAGED(VESDE_ERROR_TOO_LARGE, it->keeps_len = VESDE_MOST_KEEPS + 1);
    DAMAGED(VESDE_ERROR_TOO_LARGE, it->keeps_len = SIZE_MAX);
    DAMAGED(VESDE_ERROR_TOO_LARGE, it->keeps[1].terms_len = VESDE_MOST_TERMS + 1);
    DAMAGED(VESDE_ERROR_EMPTY, it->keeps[0].terms_len = 0);
    DAMAGED(VESDE_ERROR_UNKNOWN_ENUM, it->terms[0].operand = -1);
    DAMAGED(VESDE_ERROR_UNKNOWN_ENUM, it->keeps[1].terms[0].operand = INT32_MIN);
    DAMAGED(VESDE_ERROR_BUFFER_TOO_SMALL, it->terms[0].operand = VESDE_OPERAND_KEPT + 3);
    const vesde_status far = SIZE_MAX > UINT32_MAX ? VESDE_ERROR_BUFFER_TOO_SMALL : VESDE_ERROR_TOO_LARGE;
    DAMAGED(far, it->keeps[0].terms[0].operand = INT32_MAX);
    DAMAGED(VESDE_ERROR_BUFFER_TOO_SMALL, it->keeps[0].slot = 3);
    DAMAGED(VESDE_ERROR_TOO_LARGE, it->keeps[0].slot = SIZE_MAX);
    DAMAGED(VESDE_ERROR_TOO_LARGE, it->keeps[1].slot = SIZE_MAX / LEN);
    DAMAGED(VESDE_ERROR_INVALID_SAMPLER, it->reduction = VESDE_REDUCTION_CORRECTOR_NORMS);
    DAMAGED(VESDE_ERROR_INVALID_SAMPLER, it->reduction = -7);
    DAMAGED(VESDE_ERROR_TOO_LARGE, it->counter.index = UINT64_MAX);
    DAMAGED(VESDE_ERROR_TOO_LARGE, (it->churn_factor = 1, it->churn_counter.index = UINT64_MAX));
    DAMAGED(VESDE_OK, it->churn_factor = 1);
    // A denoised sample that is not clamped may be a term, too; one that is not there may not.
    DAMAGED(VESDE_OK, it->terms[1].operand = VESDE_OPERAND_DENOISED);
    DAMAGED(VESDE_ERROR_INVALID_SAMPLER, (it->terms[1].operand = VESDE_OPERAND_DENOISED, it->has_denoised = 0));
    DAMAGED(VESDE_ERROR_INVALID_SAMPLER,
            (it->keeps[1].terms[0].operand = VESDE_OPERAND_DENOISED, it->has_denoised = 0));
    DAMAGED(VESDE_OK, (it->clamped = 1, it->clamp_low = NAN, it->clamp_high = NAN));
    DAMAGED(VESDE_OK, (it->clamped = 1, it->clamp_low = 2, it->clamp_high = 1));
#undef DAMAGED

    struct memory_of_job memory, before_it;
    const vesde_buffers job = fresh_buffers(&memory);
    fresh_buffers(&before_it);
    const struct {
        size_t start, len;
        vesde_status status;
    } parts[] = {
        {0, 0, VESDE_ERROR_EMPTY},           {LEN, 0, VESDE_ERROR_EMPTY},
        {LEN, 1, VESDE_ERROR_LENGTH_MISMATCH}, {LEN - 1, 2, VESDE_ERROR_LENGTH_MISMATCH},
        {1, LEN, VESDE_ERROR_LENGTH_MISMATCH}, {SIZE_MAX, 2, VESDE_ERROR_LENGTH_MISMATCH},
        {2, SIZE_MAX, VESDE_ERROR_LENGTH_MISMATCH}, {SIZE_MAX, SIZE_MAX, VESDE_ERROR_LENGTH_MISMATCH},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) {
        snprintf(context, sizeof context, "part %d", (int)i);
        STATUS(parts[i].status, vesde_run_plan(it, &job, parts[i].start, parts[i].len));
    }
    // A workspace without its last float; a second factor of 0, which is none as in vesde_linear; a
    // second factor in a sum that is kept.
    vesde_buffers less = job;
    less.workspace_len = 3 * LEN - 1;
    STATUS(VESDE_ERROR_BUFFER_TOO_SMALL, vesde_run_plan(it, &less, 0, LEN));
    CHECK(memcmp(&memory, &before_it, sizeof memory) == 0);
    OK(vesde_run_plan(it, &job, 0, LEN));
    const struct memory_of_job run = memory;
    fresh_buffers(&memory);
    it->keeps[1].terms[0].second_factor = 0;
    OK(vesde_run_plan(it, &job, 0, LEN));
    CHECK(memcmp(&memory, &run, sizeof memory) == 0);
    fresh_buffers(&memory);
    it->keeps[1].terms_len = 1;
    it->keeps[1].terms[0].second_factor = 2;
    OK(vesde_run_plan(it, &job, 0, LEN));
    const vesde_plan_term *const term = &it->keeps[1].terms[0];
    const float *const x = term->operand == VESDE_OPERAND_SAMPLE ? sample : model_output;
    for (size_t i = 0; i < LEN && CHECK(term->operand <= VESDE_OPERAND_MODEL_OUTPUT); ++i) {
        CHECK(bits(memory.workspace[it->keeps[1].slot * LEN + i]) == bits(term->factor * x[i] * 2));
    }
    *it = right;
}

// Jobs along tables whose sigmas do not fall, are no sigmas, or are too few; jobs that begin behind
// the end; jobs without room for their history. Nothing changes.
static void tables_of_anything(void) {
    for (int32_t method = 1; method < METHODS; ++method) {
        for (int k = 0; k < 5 * STRANGE * 2; ++k) {
            float edited[5] = {8, 4, 2, 1, 0.5f};
            const int where = k / 2 % 5;
            const float value = strange[k / 10];
            edited[where] = value;
            const vesde_scheduler tables = {config, NULL, 0, edited, 5, NULL, 0};
            int falls = isfinite(edited[0]) && edited[4] >= 0;
            for (int i = 0; i < 4; ++i) {
                falls &= edited[i] > edited[i + 1];
            }
            snprintf(context, sizeof context, "method %d, sigma %d is %g", (int)method, where, value);
            vesde_sampler_options here = method_options(method, k);
            here.conditions = VESDE_CONDITIONS_NONE;
            vesde_sampler state, state_before;
            OK(vesde_sampler_init(&config, 1, &here, &state));
            vesde_status status = VESDE_OK;
            vesde_request request = {.kind = VESDE_REQUEST_KIND_SCORE};
            for (int turn = 0; status == VESDE_OK && request.kind != VESDE_REQUEST_KIND_DONE && turn < 50; ++turn) {
                struct memory_of_job memory, before_it;
                const vesde_buffers job = fresh_buffers(&memory);
                fresh_buffers(&before_it);
                state_before = state;
                status = vesde_sampler_next(&state, &tables, &job, &request);
                CHECK(status == VESDE_OK || (memcmp(&memory, &before_it, sizeof memory) == 0 &&
                                             memcmp(&state, &state_before, sizeof state) == 0));
            }
            // Numbers so large or so small make factors that are not finite.
            const int is_usual = value == 0 || (fabsf(value) > 1e-3f && fabsf(value) < 1e3f);
            CHECK(status == (falls ? VESDE_OK : VESDE_ERROR_INVALID_SIGMA) ||
                  (!is_usual && status == VESDE_ERROR_INVALID_SIGMA));
        }
        vesde_sampler_options here = method_options(method, 0);
        vesde_sampler state;
        vesde_request request;
        vesde_plan made;
        size_t history = 77;
        snprintf(context, sizeof context, "method %d", (int)method);
        OK(vesde_sampler_init(&config, 1, &here, &state));
        OK(vesde_sampler_workspace_len(&state, LEN, &history));
        CHECK(history % LEN == 0 && history <= MOST_KEPT * LEN);
        size_t much = 77;
        STATUS(history > LEN ? VESDE_ERROR_TOO_LARGE : VESDE_OK,
               vesde_sampler_workspace_len(&state, SIZE_MAX, &much));
        CHECK(history > LEN ? much == 77 : much == (history == 0 ? 0 : SIZE_MAX));
        const vesde_sampler begun = state;
        vesde_scheduler tables = along;
        tables.sigmas_len = 1;
        STATUS(VESDE_ERROR_EMPTY, vesde_sampler_plan(&state, &tables, &made, &request));
        tables.sigmas_len = 0;
        STATUS(VESDE_ERROR_EMPTY, vesde_sampler_plan(&state, &tables, &made, &request));
        tables.sigmas = NULL;
        STATUS(VESDE_ERROR_EMPTY, vesde_sampler_plan(&state, &tables, &made, &request));
        tables.sigmas_len = 12;
        STATUS(VESDE_ERROR_NULL_POINTER, vesde_sampler_plan(&state, &tables, &made, &request));
        struct memory_of_job memory, before_it;
        vesde_buffers job = fresh_buffers(&memory);
        fresh_buffers(&before_it);
        for (int k = 0; k < 2 && history > 0; ++k) {
            job.workspace_len = k == 0 ? history - 1 : 0;
            STATUS(VESDE_ERROR_BUFFER_TOO_SMALL, vesde_sampler_next(&state, &along, &job, &request));
        }
        CHECK(memcmp(&state, &begun, sizeof state) == 0 && memcmp(&memory, &before_it, sizeof memory) == 0);
        const uint64_t behind[] = {11, 12, UINT32_MAX, UINT64_MAX};
        here.start = VESDE_SAMPLER_START_GIVEN;
        for (int k = 0; k < 4; ++k) {
            here.first_step = behind[k];
            STATUS(behind[k] > SIZE_MAX ? VESDE_ERROR_TIMESTEP_OUT_OF_RANGE : VESDE_OK,
                   vesde_sampler_init(&config, 1, &here, &state));
            STATUS(VESDE_ERROR_TIMESTEP_OUT_OF_RANGE, vesde_sampler_plan(&state, &along, &made, &request));
        }
    }
}

// The same with generators, one of which is spoiled where the sampler is not. All is as if
// vesde_randn answered requests for noise. After an error draws stay made, and the sample is as
// before.
static void samplers_of_anything_that_draw(void) {
    vesde_generator *const kinds[] = {counters, torch_cpus, torch_cudas, numpys};
    int ended[MANNERS] = {0}, drew[MANNERS] = {0}, tried[MANNERS] = {0};
    for (int i = 0; i < tries / 3; ++i) {
        const int how = i % MANNERS;
        ++tried[how];
        const int which = any_state(i);
        vesde_sampler any = states_of_jobs[which];
        any.batch = i % 5 ? BATCH : 1;
        const size_t count = any.batch == BATCH && i % 3 ? BATCH : 1;
        vesde_generator states[2][BATCH];
        vesde_request requests[2];
        float x[2][LEN], z[2][LEN], workspaces[2][MOST_KEPT * LEN];
        snprintf(context, sizeof context, "sampler %d that draws", i);
        memcpy(states[0], kinds[random_word() % 4], sizeof states[0]);
        if (random_word() % 2) {
            spoil(&any, sizeof any, how);
        } else {
            char *state = (char *)&states[0][random_word() % count];
            size_t from = random_word() % 2 ? offsetof(vesde_generator, counter) : 0;
            spoil(state + from, sizeof **states - from, how);
        }
        memcpy(states[1], states[0], sizeof states[0]);
        for (int k = 0; k < 2; ++k) {
            memcpy(x[k], sample, sizeof x[k]);
            memcpy(z[k], noise, sizeof z[k]);
            memcpy(workspaces[k], derivatives, sizeof workspaces[k]);
            memset(&requests[k], SENTINEL, sizeof requests[k]);
        }
        vesde_sampler by_requests = any;
        vesde_limit_simd_level(levels[i % levels_len]);
        const vesde_buffers job = {.sample = x[0], .model_output = model_output, .len = LEN,
                                   .workspace = workspaces[0], .workspace_len = MOST_KEPT * LEN};
        const vesde_buffers asking = {.sample = x[1], .model_output = model_output, .len = LEN, .noise = z[1],
                                      .workspace = workspaces[1], .workspace_len = MOST_KEPT * LEN};
        const int is_batch = count == 1 || count == any.batch;
        vesde_status wanted_status = VESDE_ERROR_LENGTH_MISMATCH;
        const vesde_status status =
            vesde_sampler_next_drawing(&any, tables_of(which), &job, states[0], count, z[0], &requests[0]);
        vesde_request asked;
        while (is_batch) {
            const vesde_sampler turn = by_requests;
            float x_before[LEN], workspace_before[MOST_KEPT * LEN];
            memcpy(x_before, x[1], sizeof x_before);
            memcpy(workspace_before, workspaces[1], sizeof workspace_before);
            wanted_status = vesde_sampler_next(&by_requests, tables_of(which), &asking, &asked);
            if (wanted_status != VESDE_OK) {
                break;
            }
            // A condition that has a draw is requested after the draw.
            if (asked.kind == VESDE_REQUEST_KIND_NOISE || (asked.kind == VESDE_REQUEST_KIND_CONDITION && asked.draw)) {
                wanted_status = vesde_randn(states[1], count, LEN, z[1]);
                if (wanted_status != VESDE_OK) {
                    by_requests = turn;
                    memcpy(x[1], x_before, sizeof x_before);
                    memcpy(workspaces[1], workspace_before, sizeof workspace_before);
                    break;
                }
                ++drew[how];
            }
            if (asked.kind != VESDE_REQUEST_KIND_NOISE) {
                requests[1] = asked;
                ++ended[how];
                break;
            }
        }
        STATUS(wanted_status, status);
        CHECK(memcmp(&any, &by_requests, sizeof any) == 0 && memcmp(&requests[0], &requests[1], sizeof asked) == 0);
        CHECK(memcmp(x[0], x[1], sizeof x[0]) == 0 && memcmp(z[0], z[1], sizeof z[0]) == 0);
        CHECK(memcmp(states[0], states[1], sizeof states[0]) == 0);
        CHECK(memcmp(workspaces[0], workspaces[1], sizeof workspaces[0]) == 0);
    }
    some_were_accepted(ended, tried);
    some_were_accepted(drew, tried);
}

// ---- the ODE ----

// A job's buffers, each of which ends before a page that does not exist, with the margin before it.
enum { X, INPUT_OF_IT, SCORE, NOISE_OF_IT, PROBE_OF_IT, PRODUCT, WORKSPACE_OF_IT, DENSITIES, ODE_BUFFERS };

static const size_t ode_bytes[ODE_BUFFERS] = {
    LEN * sizeof(float), LEN * sizeof(float),     LEN * sizeof(float), LEN * sizeof(float), LEN * sizeof(float),
    LEN * sizeof(float), 6 * LEN * sizeof(float), 9 * sizeof(double),
};

static void *ode_buffer(int i) {
    return slots[i] + slot_size - ode_bytes[i];
}

// Fills the buffers with the table's content, as between two calls of a job.
static vesde_ode_buffers fresh_ode_buffers(void) {
    const void *const content[ODE_BUFFERS] = {sample, history[1],  model_output, noise,
                                              probe,  history[0], derivatives,  log_densities};
    for (int i = 0; i < ODE_BUFFERS; ++i) {
        memset((unsigned char *)ode_buffer(i) - MARGIN, SENTINEL, MARGIN);
        memcpy(ode_buffer(i), content[i], ode_bytes[i]);
    }
    return (vesde_ode_buffers){ode_buffer(X),           ode_buffer(INPUT_OF_IT), ode_buffer(SCORE), LEN,
                               ode_buffer(NOISE_OF_IT), ode_buffer(PROBE_OF_IT), ode_buffer(PRODUCT),
                               ode_buffer(WORKSPACE_OF_IT), 0, ode_buffer(DENSITIES), 9, 0};
}

static unsigned char ode_before[ODE_BUFFERS][MARGIN + 6 * LEN * sizeof(float)];

static void remember_ode_buffers(void) {
    for (int i = 0; i < ODE_BUFFERS; ++i) {
        memcpy(ode_before[i], (unsigned char *)ode_buffer(i) - MARGIN, MARGIN + ode_bytes[i]);
    }
}

// Whether a buffer with its margin, or only the margin, is as it was.
static int is_untouched(int i, int margin_alone) {
    size_t len = MARGIN + (margin_alone ? 0 : ode_bytes[i]);
    return memcmp(ode_before[i], (unsigned char *)ode_buffer(i) - MARGIN, len) == 0;
}

// After a call only its outputs have changed; after an error nothing but the dots that are kept.
static void only_outputs_have_changed(vesde_status status) {
    for (int i = 0; i < ODE_BUFFERS; ++i) {
        int is_out = i == X || i == INPUT_OF_IT || i == WORKSPACE_OF_IT;
        if (i == DENSITIES) {
            const size_t row = sizeof(double), before_dots = MARGIN + row;
            unsigned char *now = (unsigned char *)ode_buffer(i) - MARGIN;
            CHECK(is_untouched(i, 1));
            if (status != VESDE_OK) {
                CHECK(memcmp(ode_before[i], now, before_dots) == 0);
                CHECK(memcmp(ode_before[i] + before_dots + row, now + before_dots + row, 7 * row) == 0);
            }
        } else {
            CHECK(is_untouched(i, status == VESDE_OK && is_out));
        }
    }
}

// What vesde_ode_next must do, in parts: the reductions, the plan, and its run.
static vesde_status ode_next_in_parts(vesde_ode *state, const vesde_ode_buffers *job, vesde_ode_request *request) {
    vesde_ode_reduction made;
    vesde_ode_plan turn;
    double sums[2] = {0, 0}, dot;
    size_t values;
    vesde_ode_buffers whole = vesde_ode_part(job, 0, LEN);
    vesde_status status = vesde_ode_get_reduction(state, LEN, &made);
    if (status != VESDE_OK) {
        return status;
    }
    OK(vesde_ode_sums_values(&made, &values));
    OK(vesde_ode_sums(&made, &whole, values, sums));
    if (made.dots != VESDE_ODE_DOTS_KIND_NONE) {
        OK(vesde_ode_dots(&made, &whole, 1, &dot));
        job->log_densities[1] = dot;
    }
    status = vesde_ode_next_plan(state, LEN, sums, job->log_densities, job->log_densities_len, &turn, request);
    for (size_t from = 0; status == VESDE_OK && from < LEN; from += 7) {
        const vesde_ode_buffers part = vesde_ode_part(&whole, from, from + 7 < LEN ? 7 : LEN - from);
        OK(vesde_ode_run(&turn, &part));
    }
    return status;
}

static void odes_of_anything(void) {
    static unsigned char results[2][ODE_BUFFERS][6 * LEN * sizeof(float)];
    int accepted[MANNERS] = {0}, tried[MANNERS] = {0};
    for (int i = 0; i < tries / 3; ++i) {
        const int how = i % MANNERS;
        ++tried[how];
        vesde_ode any = ode_places[i / MANNERS % ODE_PLACES], kept, by_parts;
        vesde_ode_request request, untouched, by_parts_request;
        vesde_ode_stats stats;
        vesde_counter place;
        size_t len;
        snprintf(context, sizeof context, "ODE %d", i);
        spoil(&any, sizeof any, how);
        kept = by_parts = any;
        vesde_limit_simd_level(levels[i % levels_len]);
        const vesde_ode_buffers job = fresh_ode_buffers();
        remember_ode_buffers();
        memset(&request, SENTINEL, sizeof request);
        memset(&untouched, SENTINEL, sizeof untouched);
        OK(vesde_ode_get_stats(&any, &stats));
        OK(vesde_ode_get_probe(&any, &place));
        OK(vesde_ode_workspace_len(&any, LEN, &len));
        (void)vesde_ode_log_densities_len(&any, &len);
        const vesde_status status = vesde_ode_next(&any, &job, &request);
        only_outputs_have_changed(status);
        if (status != VESDE_OK) {
            CHECK(memcmp(&any, &kept, sizeof any) == 0 && memcmp(&request, &untouched, sizeof request) == 0);
            continue;
        }
        ++accepted[how];
        for (int k = 0; k < ODE_BUFFERS; ++k) {
            memcpy(results[0][k], ode_buffer(k), ode_bytes[k]);
        }
        const vesde_ode_buffers again = fresh_ode_buffers();
        OK(ode_next_in_parts(&by_parts, &again, &by_parts_request));
        CHECK(memcmp(&any, &by_parts, sizeof any) == 0);
        CHECK(memcmp(&request, &by_parts_request, sizeof request) == 0);
        for (int k = 0; k < ODE_BUFFERS; ++k) {
            CHECK(memcmp(results[0][k], ode_buffer(k), ode_bytes[k]) == 0);
        }
    }
    some_were_accepted(accepted, tried);
}

// Reductions and plans of any bits, on any part of any batch: a status, and nothing but outputs is
// written.
static void plans_and_reductions_of_anything(void) {
    int accepted[2][MANNERS] = {{0}}, tried[MANNERS] = {0};
    for (int i = 0; i < tries / 3; ++i) {
        const int how = i % MANNERS;
        ++tried[how];
        vesde_ode_reduction sums_of = i / MANNERS % 2 ? reduction : reduction_product;
        vesde_ode_plan turn = i / MANNERS % 2 ? plan : plan_differences;
        double sums[2], untouched[2];
        size_t values = 0;
        snprintf(context, sizeof context, "plan or reduction %d", i);
        spoil(&sums_of, sizeof sums_of, how);
        spoil(&turn, sizeof turn, how);
        vesde_limit_simd_level(levels[i % levels_len]);
        vesde_ode_buffers job = fresh_ode_buffers();
        const size_t starts[] = {0, 0, 0, 5, SIZE_MAX, SIZE_MAX - LEN, SIZE_MAX / 2};
        job.start = starts[random_word() % 7];
        remember_ode_buffers();
        memset(sums, SENTINEL, sizeof sums);
        memset(untouched, SENTINEL, sizeof untouched);
        const vesde_status of_values = vesde_ode_sums_values(&sums_of, &values);
        CHECK(values <= 2);
        const vesde_status of_sums = vesde_ode_sums(&sums_of, &job, values, sums);
        STATUS(of_values == VESDE_OK ? of_sums : of_values, of_sums);
        CHECK(of_sums == VESDE_OK || memcmp(sums, untouched, sizeof sums) == 0);
        memset(sums, SENTINEL, sizeof sums);
        const vesde_status of_dots = vesde_ode_dots(&sums_of, &job, 1, sums);
        CHECK(memcmp(&sums[of_dots == VESDE_OK], untouched, sizeof *sums) == 0);
        for (int k = 0; k < ODE_BUFFERS; ++k) {
            CHECK(is_untouched(k, 0));
        }
        const vesde_status of_plan = vesde_ode_run(&turn, &job);
        only_outputs_have_changed(of_plan);
        CHECK(is_untouched(DENSITIES, 0));
        accepted[0][how] += of_sums == VESDE_OK && of_dots == VESDE_OK;
        accepted[1][how] += of_plan == VESDE_OK;
    }
    some_were_accepted(accepted[0], tried);
    some_were_accepted(accepted[1], tried);
}

// A score or product that is not finite, at every place of a job: it is noticed there or at the end
// of the step, and the call can be repeated.
static void scores_that_are_not_finite(void) {
    const float wrong[] = {NAN, INFINITY, -INFINITY};
    for (int i = 2; i < ODE_PLACES; ++i) {
        for (int k = 0; k < 3 * LEN * 2; ++k) {
            const size_t at_element = (size_t)k % LEN;
            const int in_product = k / LEN % 2;
            vesde_ode state = ode_places[i], kept;
            vesde_ode_request request, untouched;
            vesde_ode_buffers job = fresh_ode_buffers();
            float *there = (float *)ode_buffer(in_product ? PRODUCT : SCORE) + at_element, right = *there;
            snprintf(context, sizeof context, "place %d, %g at element %d", i, wrong[k / LEN / 2], (int)at_element);
            *there = wrong[k / LEN / 2];
            memset(&request, SENTINEL, sizeof request);
            memset(&untouched, SENTINEL, sizeof untouched);
            vesde_status status = VESDE_OK;
            for (int calls = 0; status == VESDE_OK && calls < 8; ++calls) {
                kept = state;
                remember_ode_buffers();
                memset(&request, SENTINEL, sizeof request);
                status = vesde_ode_next(&state, &job, &request);
                only_outputs_have_changed(status);
            }
            if (in_product && i != 7) {
                OK(status);  // it is not looked at
                continue;
            }
            STATUS(VESDE_ERROR_NON_FINITE_SCORE, status);
            CHECK(memcmp(&state, &kept, sizeof state) == 0 && memcmp(&request, &untouched, sizeof request) == 0);
            const int is_noticed_at_once = i == 2 || i == 3 || i >= 6;
            if (is_noticed_at_once) {
                *there = right;
                OK(vesde_ode_next(&state, &job, &request));
            }
        }
    }
}

// Buffers of an ODE job that are too short, or too long for memory, as only its struct can say.
static void odes_without_room(void) {
    for (int i = 0; i < ODE_PLACES; ++i) {
        vesde_ode state = ode_places[i];
        vesde_ode_request request;
        vesde_ode_buffers job = fresh_ode_buffers();
        remember_ode_buffers();
        snprintf(context, sizeof context, "place %d", i);
        const size_t too_few[] = {0, 1, 8};
        for (int k = 0; k < 3; ++k) {
            vesde_ode_buffers less = job;
            vesde_ode copy = state;
            less.log_densities_len = too_few[k];
            less.log_densities += 9 - too_few[k];
            vesde_status wanted_status = i < FIRST_DIVERGENCE ? VESDE_OK : VESDE_ERROR_BUFFER_TOO_SMALL;
            STATUS(wanted_status, vesde_ode_next(&copy, &less, &request));
            only_outputs_have_changed(wanted_status);
            job = fresh_ode_buffers();
        }
        const struct {
            size_t stride, start;
            vesde_status status;
        } wrong[] = {
            {1, 0, VESDE_ERROR_BUFFER_TOO_SMALL},   {LEN - 1, 0, VESDE_ERROR_BUFFER_TOO_SMALL},
            {SIZE_MAX, 0, VESDE_ERROR_TOO_LARGE},   {SIZE_MAX / 5, 0, VESDE_ERROR_TOO_LARGE},
            {SIZE_MAX / 20, 0, VESDE_ERROR_TOO_LARGE}, {0, SIZE_MAX, VESDE_ERROR_TOO_LARGE},
        };
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; ++k) {
            vesde_ode_buffers bad = job;
            double sum[2];
            bad.workspace_stride = wrong[k].stride;
            bad.start = wrong[k].start;
            STATUS(wrong[k].status, vesde_ode_next(&state, &bad, &request));
            STATUS(wrong[k].status, vesde_ode_run(&plan, &bad));
            STATUS(wrong[k].status, vesde_ode_sums(&reduction, &bad, 1, sum));
            only_outputs_have_changed(wrong[k].status);
        }
        CHECK(memcmp(&state, &ode_places[i], sizeof state) == 0);
        // Batches that do not divide the length, or have no sample.
        const uint64_t batches[] = {LEN - 1, LEN + 1, UINT64_MAX, 0};
        for (int k = 0; k < 4; ++k) {
            state.batch = batches[k];
            vesde_status status = vesde_ode_next(&state, &job, &request);
            CHECK(status == (batches[k] == 0 ? VESDE_ERROR_INVALID_SAMPLER : VESDE_ERROR_LENGTH_MISMATCH));
        }
    }
}

// Jobs that are moved at every request: the state, the sample and a generator are copied to other
// memory and another level, and what was left behind is overwritten. They ask for noise or draw it.
static void jobs_that_move_at_every_request(void) {
    static struct job {
        vesde_sampler sampler;
        vesde_generator generator;
        float sample[LEN], noise[LEN];
    } jobs[2], still;
    vesde_scheduler tables = scheduler;
    vesde_sampler_options here = options;
    tables.timesteps_len = tables.sigmas_len = tables.discrete_sigmas_len = BATCH;
    for (int32_t number = 0; job_of(number / 2, &here); ++number, here = options) {
        const int draws = number % 2;
        vesde_buffers job = {.model_output = model_output, .len = LEN, .noise = noise};
        vesde_request request = {0}, still_request = {0};
        snprintf(context, sizeof context, "job %d", (int)number);
        OK(vesde_sampler_init(&config, 1, &here, &still.sampler));
        still.generator = torch_cpus[0];
        jobs[0] = still;
        still_request.kind = VESDE_REQUEST_KIND_NOISE;
        for (int i = 0; i < 100 && still_request.kind != VESDE_REQUEST_KIND_DONE; ++i) {
            struct job *const places_of_it[] = {&jobs[i % 2], &still};
            vesde_request *const requests[] = {&request, &still_request};
            for (int k = 0; k < 2; ++k) {
                vesde_limit_simd_level(k == 0 ? levels[i % levels_len] : VESDE_SIMD_LEVEL_KIND_BASELINE);
                struct job *const it = places_of_it[k];
                job.sample = it->sample;
                OK(draws ? vesde_sampler_next_drawing(&it->sampler, &tables, &job, &it->generator, 1, it->noise,
                                                      requests[k])
                         : vesde_sampler_next(&it->sampler, &tables, &job, requests[k]));
                CHECK(!draws || requests[k]->kind != VESDE_REQUEST_KIND_NOISE);
            }
            memcpy(&jobs[1 - i % 2], &jobs[i % 2], sizeof still);
            memset(&jobs[i % 2], 0xff, sizeof still);
            CHECK(memcmp(&jobs[1 - i % 2], &still, sizeof still) == 0);
            CHECK(memcmp(&request, &still_request, sizeof request) == 0);
        }
        CHECK(still_request.kind == VESDE_REQUEST_KIND_DONE);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && (thinning = atoi(argv[1])) < 1) {
        fprintf(stderr, "faults [THINNING, at least 1]\n");
        return 2;
    }
    tries /= thinning;
    for (int i = 0; i < PARAMETERS; ++i) {
        slots[i] = map(&slot_size);
    }
    signal(SIGSEGV, outside);
    signal(SIGBUS, outside);
    alarm(600);  // a call that never returns is a failure
    void (*const tests[])(void) = {
        find_levels,
        prepare,
        make_places,
        make_ode_places,
        make_states,
        make_lengths,
        every_length_between_pages_that_do_not_exist,
        far_stores_stay_inside,
        products_of_lengths_that_overflow,
        pointers_at_the_end_of_the_address_space,
        objects_over_buffers,
        edited_discrete_sigmas,
        edited_sigmas_and_timesteps,
        one_wrong_float_in_a_batch,
        norms_beyond_float,
        a_predictor_step_passes_on_what_is_not_a_number,
        configurations_of_anything,
        generators_of_anything,
        samplers_of_anything,
        plans_of_anything,
        damaged_plans,
        tables_of_anything,
        samplers_of_anything_that_draw,
        odes_of_anything,
        plans_and_reductions_of_anything,
        scores_that_are_not_finite,
        odes_without_room,
        jobs_that_move_at_every_request,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; ++i) {
        *context = '\0';
        tests[i]();
    }
    vesde_limit_simd_level(VESDE_SIMD_LEVEL_KIND_AVX512);  // the highest again
    return report();
}

#endif
