// The same bits on every machine: computes the jobs of ../levels.rs over the C ABI and compares
// their hashes with ../hashes.txt. All but one, rand_core: its function is generic over the
// generator, and Rust's alone. It is the program for targets without an operating system: no heap
// but the C library's, and 98 KB of buffers. Run from the repository's root.

#include "check.h"

enum { STEPS = 50, LONGEST = VESDE_NORM_BLOCK + 1, MAX_OFFSET = 7 };

static vesde_scheduler scheduler;
static float timesteps[STEPS], sigmas[STEPS], discrete_sigmas[STEPS];
static float sample[LONGEST + MAX_OFFSET], original[LONGEST + MAX_OFFSET], prev[LONGEST + MAX_OFFSET];
static float mean[LONGEST], score[LONGEST], z[LONGEST + MAX_OFFSET];

// ---- what a job computes becomes its hash: FNV-1a over little-endian bytes ----

static uint64_t hash;

static void hash_word(uint64_t word, int bytes) {
    for (; bytes > 0; --bytes, word >>= 8) {
        hash = (hash ^ (word & 255)) * 0x100000001b3;
    }
}

static void hash_floats(const float *x, size_t len) {
    for (size_t i = 0; i < len; ++i) {
        hash_word(bits(x[i]), 4);
    }
}

static void hash_double(double x) {
    uint64_t word;
    memcpy(&word, &x, sizeof word);
    hash_word(word, 8);
}

// Lengths about a register, a group, a block of counter noise and a block of a norm.
enum { EVERY = 3 * 64 + 1, LENGTHS = EVERY + 7 };

static size_t length(size_t i) {
    static const size_t longer[] = {1023, 1024, 1025, LONGEST - 2, LONGEST - 1, LONGEST, 3 * 1024 + 1};
    return i < EVERY ? i + 1 : longer[i - EVERY];
}

static float *draw(uint64_t seed, uint64_t stream, uint64_t index, size_t len, float *to) {
    OK(vesde_counter_fill((vesde_counter){seed, stream, index}, len, to));
    return to;
}

// ---- the jobs; some come in variants ----

static void schedule(int variant) {
    (void)variant;
    hash_floats(timesteps, STEPS);
    hash_floats(sigmas, STEPS);
    hash_floats(discrete_sigmas, STEPS);
}

static void counter_noise(int variant) {
    (void)variant;
    for (size_t k = 0; k < LENGTHS; ++k) {
        const size_t len = length(k);
        hash_floats(draw(1, len, 37 * len, len, z), len);
    }
}

static vesde_generator generator;

static void draws(size_t len) {
    OK(vesde_randn(&generator, 1, len, z));
    hash_floats(z, len);
}

static void draws_of_all_lengths(int32_t kind, const vesde_cuda_grid *grid) {
    OK(vesde_generator_seed(kind, 3, grid, &generator));
    for (size_t k = 0; k < LENGTHS; ++k) {
        draws(length(k));
    }
}

static void torch_cpu(int variant) {
    (void)variant;
    draws_of_all_lengths(VESDE_GENERATOR_KIND_TORCH_CPU, NULL);
}

static void torch_cuda(int variant) {
    (void)variant;
    static const vesde_cuda_grid grids[] = {{1, 256}, {2, 1024}, {UINT32_MAX, UINT32_MAX}};
    for (size_t i = 0; i < sizeof grids / sizeof *grids; ++i) {
        draws_of_all_lengths(VESDE_GENERATOR_KIND_TORCH_CUDA, &grids[i]);
    }
}

// 10,000 in ten calls, which give the numbers of one.
static void numpy(int variant) {
    (void)variant;
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_NUMPY, 3, NULL, &generator));
    for (int i = 0; i < 10; ++i) {
        draws(1000);
    }
}

enum { PRED = 0, EXACT = 1, TORCH = 2, STEP = 3, COUNTER = 4, EULER = 8 };

static vesde_status step(int variant, size_t offset, size_t len, const float *x, float *to, float *to_mean) {
    const int32_t norm = (variant & STEP) == EXACT ? VESDE_NORM_EXACT : VESDE_NORM_TORCH;
    const float timestep = 0.75f;
    const vesde_counter place = {2, 5, offset};
    const vesde_step step = {
        .model_output = score, .sample = x, .len = len, .batch = len % 3 == 0 ? 3 : 1,
        .noise = variant & COUNTER ? vesde_counter_noise(place) : vesde_given_noise(z + offset),
        .prev_sample = to, .prev_sample_mean = to_mean,
        .predictor = variant & EULER ? VESDE_PREDICTOR_EULER_MARUYAMA : VESDE_PREDICTOR_REVERSE_DIFFUSION};
    return (variant & STEP) == PRED ? vesde_step_pred(&scheduler, &timestep, 1, &step)
                                    : vesde_step_correct(&scheduler, VESDE_AVERAGING_PER_SAMPLE, norm, &step);
}

// At several alignments, in place and not, with the mean and without. Counter noise from a later
// index is the rest of the noise from an earlier one, so that it is drawn once.
static void steps(int variant) {
    static const size_t offsets[] = {0, 1, 3, MAX_OFFSET};
    draw(2, 5, 0, LONGEST + MAX_OFFSET, z);
    draw(6, 7, 0, LONGEST, score);
    draw(8, 9, 0, LONGEST + MAX_OFFSET, original);
    for (size_t k = 0; k < LENGTHS; ++k) {
        const size_t len = length(k);
        for (size_t i = 0; i < sizeof offsets / sizeof *offsets; ++i) {
            const size_t offset = offsets[i];
            float *x = sample + offset, *to = prev + offset;
            memcpy(x, original + offset, len * sizeof *x);
            OK(step(variant, offset, len, x, to, mean));
            OK(step(variant, offset, len, x, x, NULL));
            CHECK(differing(x, to, len) == 0);
            hash_floats(to, len);
            hash_floats(mean, len);
        }
    }
}

static vesde_noise noise_of(int variant, size_t len) {
    return variant & COUNTER ? vesde_counter_noise((vesde_counter){3, len, 0})
                             : vesde_given_noise(draw(3, len, 0, len, z));
}

static void add_noise(int variant) {
    const int64_t index = 20;
    for (size_t k = 0; k < LENGTHS; ++k) {
        const size_t len = length(k);
        const vesde_noise noise = noise_of(variant, len);
        draw(1, 1, 0, len, sample);
        OK(vesde_add_noise(&scheduler, sample, len, 1, &index, 1, noise, prev));
        hash_floats(prev, len);
    }
}

// Data, or their code and log-densities: by the probability-flow ODE.
static void ode(int32_t direction, int32_t variable, int32_t divergence) {
    enum { BATCH = 2, LEN = BATCH * 77 };
    static float workspace[6 * LEN];
    double log_densities[9 * BATCH] = {0};
    const vesde_ode_options options = {
        .seed = 12, .rtol = 1e-4, .direction = direction, .variable = variable, .divergence = divergence};
    const vesde_ode_buffers buffers = {
        .sample = draw(1, 1, 0, LEN, sample), .input = prev, .model_output = score, .len = LEN,
        .workspace = workspace, .log_densities = log_densities, .log_densities_len = 9 * BATCH};
    vesde_ode job;
    vesde_ode_request request;
    vesde_ode_stats stats;
    OK(vesde_ode_init(&scheduler.config, BATCH, &options, &job));
    while (OK(vesde_ode_next(&job, &buffers, &request)) && request.kind != VESDE_ODE_REQUEST_KIND_DONE) {
        for (size_t i = 0; i < LEN; ++i) {
            score[i] = (0.5f - prev[i]) / (request.sigma * request.sigma + 0.04f);
        }
    }
    hash_floats(sample, LEN);
    hash_double(log_densities[0]);
    hash_double(log_densities[1]);
    OK(vesde_ode_get_stats(&job, &stats));
    hash_word(stats.evaluations, 8);
}

static void sampling_by_ode(int variant) {
    (void)variant;
    ode(VESDE_ODE_DIRECTION_SAMPLING, VESDE_ODE_VARIABLE_TIME, VESDE_DIVERGENCE_NONE);
}

static void likelihood(int variant) {
    (void)variant;
    ode(VESDE_ODE_DIRECTION_ENCODING, VESDE_ODE_VARIABLE_SIGMA, VESDE_DIVERGENCE_DIFFERENCES);
}

static void norms(int variant) {
    (void)variant;
    for (size_t k = 0; k < LENGTHS; ++k) {
        const size_t len = length(k);
        double values[3];
        size_t blocks = vesde_norm_blocks(len);
        const vesde_noise x = vesde_given_noise(draw(1, 2, len, len, z));
        OK(vesde_sum_squares(x, len, blocks, values));
        OK(vesde_torch_norm(x, len, &values[blocks]));
        for (size_t i = 0; i <= blocks; ++i) {
            hash_double(values[i]);
        }
    }
}

static void whole_loop(int variant) {
    (void)variant;
    enum { BATCH = 2, LEN = BATCH * 77 };
    const vesde_sampler_options options = {.seed = 12};
    const vesde_buffers buffers = {.sample = sample, .model_output = score, .len = LEN};
    vesde_sampler sampler;
    vesde_request request;
    OK(vesde_sampler_init(&scheduler.config, BATCH, &options, &sampler));
    while (OK(vesde_sampler_next(&sampler, &scheduler, &buffers, &request))
           && request.kind != VESDE_REQUEST_KIND_DONE) {
        for (size_t i = 0; i < LEN; ++i) {
            score[i] = (0.5f - sample[i]) / (request.sigma * request.sigma + 0.04f);
        }
    }
    hash_floats(sample, LEN);
}

// Jobs along a table of sigmas, and their last previews.
static void few_calls(int variant) {
    enum { CALLS = 6 };
    static const size_t lens[] = {1, 63, 64, 65, 1025};
    static float table[CALLS + 1];
    const vesde_scheduler along = {scheduler.config, NULL, 0, table, CALLS + 1, NULL, 0};
    vesde_sampler_options options = {.seed = 12, .unclamped = 1, .method = variant};
    switch (variant) {
    case VESDE_METHOD_DPMPP2M:
        options.eta = 1;
        break;
    case VESDE_METHOD_DPMPP3M:
        options.prediction = VESDE_PREDICTION_DENOISED;
        break;
    case VESDE_METHOD_UNIPC3:
        options.prediction = VESDE_PREDICTION_EPSILON;
        break;
    case VESDE_METHOD_HEUN:
        options.s_churn = 2;
        options.s_tmin = 0.1f;
        break;
    case VESDE_METHOD_DPMPP2S:
        options.eta = 1;
        options.prediction = VESDE_PREDICTION_V;
        break;
    default:
        options.denoised_clamped = 1;
        options.denoised_low = -0.5f;
        options.denoised_high = 0.75f;
    }
    OK(vesde_set_karras_sigmas(0.02, 10, 7, CALLS, table));
    for (size_t k = 0; k < sizeof lens / sizeof *lens; ++k) {
        const size_t len = lens[k];
        vesde_buffers buffers = {.sample = sample, .model_output = score, .len = len, .workspace = original,
                                 .denoised = prev};
        vesde_sampler sampler;
        vesde_request request;
        OK(vesde_sampler_init(&scheduler.config, 1, &options, &sampler));
        OK(vesde_sampler_workspace_len(&sampler, len, &buffers.workspace_len));
        while (OK(vesde_sampler_next(&sampler, &along, &buffers, &request))
               && request.kind != VESDE_REQUEST_KIND_DONE) {
            for (size_t i = 0; i < len; ++i) {
                score[i] = (0.5f - sample[i]) / (request.sigma * request.sigma + 0.04f);
            }
        }
        hash_floats(sample, len);
        hash_floats(prev, len);
    }
}

enum { IMPUTE = 0, RECOLOUR = 1 };

static void inverse_problems(int variant) {
    const size_t step = variant & RECOLOUR ? 3 : 1;
    const float sigma = 1.5f;
    draw(2, 5, 0, LONGEST + MAX_OFFSET, z);
    draw(6, 7, 0, LONGEST, score);
    draw(8, 9, 0, LONGEST, sample);
    draw(10, 11, 0, LONGEST, mean);
    for (size_t k = 0; k < LENGTHS; ++k) {
        const size_t len = length(k) / step * step, batch = len % 2 == 0 ? 2 : 1;
        for (size_t offset = 0; len > 0 && offset <= MAX_OFFSET; offset += MAX_OFFSET) {
            float *to = prev + offset;
            const vesde_counter place = {2, 5, offset};
            const vesde_noise noise = variant & COUNTER ? vesde_counter_noise(place) : vesde_given_noise(z + offset);
            const vesde_imputation known = {score, mean, len, sample, len, noise, sigma, to};
            const vesde_recolouring colours = {score, sample, len, batch, noise, sigma, to};
            OK(variant & RECOLOUR ? vesde_recolour(&colours) : vesde_impute(&known));
            hash_floats(to, len);
        }
    }
}

static void guide(int variant) {
    (void)variant;
    for (size_t k = 0; k < LENGTHS; ++k) {
        const size_t len = length(k);
        OK(vesde_guide(draw(6, 7, 0, len, score), draw(8, 9, 0, len, sample), 1.5f, len, prev));
        hash_floats(prev, len);
    }
}

// Uniform numbers and signs.
static void words(int variant) {
    (void)variant;
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CPU, 3, NULL, &generator));
    for (size_t k = 0; k < LENGTHS; ++k) {
        const size_t len = length(k);
        vesde_generator counted = {.counter = {1, len, 0}};
        OK(vesde_rand(&generator, len, z));
        hash_floats(z, len);
        OK(vesde_rademacher(&generator, len, z));
        hash_floats(z, len);
        OK(vesde_rademacher(&counted, len, z));
        hash_floats(z, len);
    }
}

static const struct job {
    const char *name;
    void (*run)(int variant);
    int variant;
} jobs[] = {
    {"schedule", schedule, 0},
    {"counter_noise", counter_noise, 0},
    {"torch_cpu", torch_cpu, 0},
    {"torch_cuda", torch_cuda, 0},
    {"numpy", numpy, 0},
    {"step_pred_given", steps, PRED},
    {"step_correct_exact_given", steps, EXACT},
    {"step_correct_torch_given", steps, TORCH},
    {"euler_maruyama_given", steps, PRED | EULER},
    {"add_noise_given", add_noise, 0},
    {"step_pred_counter", steps, PRED | COUNTER},
    {"step_correct_exact_counter", steps, EXACT | COUNTER},
    {"step_correct_torch_counter", steps, TORCH | COUNTER},
    {"euler_maruyama_counter", steps, PRED | EULER | COUNTER},
    {"add_noise_counter", add_noise, COUNTER},
    {"norms", norms, 0},
    {"ode", sampling_by_ode, 0},
    {"likelihood", likelihood, 0},
    {"sampler", whole_loop, 0},
    {"dpmpp2m_sde", few_calls, VESDE_METHOD_DPMPP2M},
    {"dpmpp3m", few_calls, VESDE_METHOD_DPMPP3M},
    {"unipc3", few_calls, VESDE_METHOD_UNIPC3},
    {"heun_churn", few_calls, VESDE_METHOD_HEUN},
    {"dpmpp2s_ancestral_v", few_calls, VESDE_METHOD_DPMPP2S},
    {"lms_clamped", few_calls, VESDE_METHOD_LMS},
    {"impute_given", inverse_problems, IMPUTE},
    {"recolour_given", inverse_problems, RECOLOUR},
    {"impute_counter", inverse_problems, IMPUTE | COUNTER},
    {"recolour_counter", inverse_problems, RECOLOUR | COUNTER},
    {"guide", guide, 0},
    {"words", words, 0},
};

enum { JOBS = sizeof jobs / sizeof *jobs };

int main(void) {
    const char *path = "ffi-tests/hashes.txt";
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return 2;
    }
    OK(vesde_config_default(&scheduler.config));
    OK(vesde_set_timesteps(&scheduler.config, STEPS, timesteps));
    OK(vesde_set_sigmas(&scheduler.config, timesteps, STEPS, STEPS, sigmas, discrete_sigmas));
    scheduler = (vesde_scheduler){scheduler.config, timesteps, STEPS, sigmas, STEPS, discrete_sigmas, STEPS};

    size_t done = 0;
    unsigned long long committed;  // newlib may lack SCNx64, and %zu
    // A job that the file lacks, or that has another name there, is one too few at the end.
    while (fscanf(file, "%63s %llx", context, &committed) == 2) {
        const struct job *job = done < JOBS && strcmp(context, jobs[done].name) == 0 ? &jobs[done++] : NULL;
        if (job == NULL) {
            CHECK(strcmp(context, "rand_core") == 0);
            continue;
        }
        hash = 0xcbf29ce484222325;
        job->run(job->variant);
        if (!CHECK(hash == committed)) {
            fprintf(stderr, "%s: %016llx, not %016llx\n", job->name, (unsigned long long)hash, committed);
        }
    }
    CHECK(feof(file) && done == JOBS);
    printf("%d of %d jobs, ", (int)done, (int)JOBS);
    return report();
}
