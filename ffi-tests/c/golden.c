// Replays vectors/golden.txt, what diffusers and torch have computed (vectors/make.py), and
// vectors/cuda.txt, what torch has computed on a GPU (vectors/torch_cuda.py), and counts the values
// whose bits differ: none may, but where torch itself rounds incorrectly. Run from the repository's
// root.

#include "vectors.h"

// the longest call of torch_randn_hash, and of any step
enum { MOST = 500000, MOST_OF_A_STEP = 1000 };

// ---- buffers, and a scheduler on tables of its own ----

static float out[MOST], mean[MOST_OF_A_STEP], noise[MOST_OF_A_STEP];

static vesde_scheduler scheduler_of(const double *limits, size_t n, size_t discrete_n) {
    vesde_config config;
    OK(vesde_config_default(&config));
    if (limits != NULL) {
        config.sigma_min = limits[0];
        config.sigma_max = limits[1];
        config.sampling_eps = limits[2];
    }
    return tables_of(&config, n, discrete_n);
}

// ---- the groups ----

static void schedules(void) {
    struct tally t = {0}, s = {0}, d = {0};
    for (const char *test = NULL; (test = next_case("schedule/", test)) != NULL;) {
        const uint32_t *n = U32("n", NULL);
        const float *their_sigmas = F32("sigmas", NULL), *their_discrete_sigmas = F32("discrete_sigmas", NULL);
        scheduler_of(F64("config"), n[0], n[1]);
        count(&t, timesteps, F32("timesteps", NULL), n[0]);
        count(&s, sigmas, their_sigmas, n[0]);
        count(&d, discrete_sigmas, their_discrete_sigmas, n[1]);
        // Here torch's own powers and exponentials are not all correctly rounded.
        CHECK(furthest(sigmas, their_sigmas, n[0]) <= 2);
        CHECK(furthest(discrete_sigmas, their_discrete_sigmas, n[1]) <= 1);
        t.cases = s.cases = ++d.cases;
    }
    line_of_equals("timesteps", t);
    line("sigmas", s);
    line("discrete_sigmas", d);
}

static void preds(void) {
    struct tally exact = {0}, rounded = {0};
    for (const char *test = NULL; (test = next_case("pred/", test)) != NULL;) {
        size_t len, batch, timestep_len, discrete_len;
        const float *sample = F32("sample", &len), *model_output = F32("model_output", NULL);
        const float *given = F32("noise", NULL), *diffusion = F32("diffusion", &batch);
        const float *prev_sample = F32("prev_sample", NULL), *prev_mean = F32("prev_sample_mean", NULL);
        const float *timestep = F32("timestep", &timestep_len);
        vesde_scheduler scheduler = scheduler_of(NULL, U32("schedule", NULL)[0], 1);
        scheduler.discrete_sigmas = F32("discrete_sigmas", &discrete_len);
        scheduler.discrete_sigmas_len = discrete_len;
        const vesde_step all = {model_output, sample, len, batch, vesde_given_noise(given), out, mean, 0};
        OK(vesde_step_pred(&scheduler, timestep, timestep_len, &all));
        for (size_t i = 0; i < batch; ++i) {
            size_t per_sample = len / batch, at = i * per_sample;
            vesde_predictor_step step;
            OK(vesde_get_predictor_step(&scheduler, VESDE_PREDICTOR_REVERSE_DIFFUSION, timestep[timestep_len == 1 ? 0 : i], &step));
            struct tally *tally = step.diffusion == diffusion[i] ? &exact : &rounded;
            if (tally == &rounded) {
                // torch's root is off; from there on all must be equal.
                float d = diffusion[i];
                CHECK(ulps(step.diffusion, d) == 1);
                const vesde_combination sum = {
                    .terms = {{1, sample + at}, {d * d, model_output + at}}, .terms_len = 2, .len = per_sample,
                    .noise = vesde_given_noise(given + at), .noise_factor = d, .out = out + at, .mean = mean + at};
                OK(vesde_linear(&sum));
            }
            ++tally->cases;
            count(tally, out + at, prev_sample + at, per_sample);
            count(tally, mean + at, prev_mean + at, per_sample);
        }
    }
    line_of_equals("pred, samples", exact);
    line_of_equals("pred, with torch's root", rounded);
}

static void corrects(void) {
    struct tally steps = {0}, factors = {0};
    for (const char *test = NULL; (test = next_case("correct/", test)) != NULL; ++steps.cases, ++factors.cases) {
        size_t len, batch;
        const float *sample = F32("sample", &len), *model_output = F32("model_output", NULL);
        const float *given = F32("noise", NULL);
        const float *their_norms[2] = {F32("grad_norms", &batch), F32("noise_norms", NULL)};
        // the corrector needs no table
        vesde_scheduler scheduler = {.config = {.snr = *F64("snr")}};
        const vesde_step all = {model_output, sample, len, batch, vesde_given_noise(given), out, mean, 0};
        OK(vesde_step_correct(&scheduler, VESDE_AVERAGING_BATCH, VESDE_NORM_TORCH, &all));
        count(&steps, out, F32("prev_sample", NULL), len);
        count(&steps, mean, F32("prev_sample_mean", NULL), len);

        double means[2];
        for (int i = 0; i < 2; ++i) {
            const float *x = i == 0 ? model_output : given;
            double norms[16];
            for (size_t k = 0; k < batch; ++k) {
                OK(vesde_torch_norm(vesde_given_noise(x + k * (len / batch)), len / batch, &norms[k]));
                float norm = (float)norms[k];
                CHECK(norm == norms[k]);
                count(&factors, &norm, &their_norms[i][k], 1);
            }
            OK(vesde_mean_norm(norms, batch, VESDE_NORM_TORCH, &means[i]));
        }
        vesde_corrector_step step;
        OK(vesde_get_corrector_step(*F64("snr"), means[0], means[1], VESDE_NORM_TORCH, &step));
        count(&factors, &step.step_size, F32("step_size", NULL), 1);
        count(&factors, &step.noise_factor, F32("noise_factor", NULL), 1);
    }
    line_of_equals("correct", steps);
    line_of_equals("correct, norms, factors", factors);
}

static void means(void) {
    struct tally tally = {0}, ones = {0};
    static double norms[70000];
    for (size_t i = 0; i < sizeof norms / sizeof *norms; ++i) {
        norms[i] = (uint32_t)((uint32_t)i * 2654435761U) >> 8;
        norms[i] /= 1 << 20;
    }
    for (const char *test = NULL; (test = next_case("mean/", test)) != NULL; ++tally.cases) {
        size_t count;
        const uint32_t *n = U32("n", &count);
        const float *theirs = F32("mean", NULL);
        for (size_t i = 0; i < count; ++i) {
            double mean;
            if (n[i] <= sizeof norms / sizeof *norms) {
                OK(vesde_mean_norm(norms, n[i], VESDE_NORM_TORCH, &mean));
                float ours = (float)mean;
                ++tally.values;
                tally.differing += differing(&ours, &theirs[i], 1);
            }
        }
    }
    for (const char *test = NULL; (test = next_case("norm_of_one/", test)) != NULL; ++ones.cases) {
        size_t count;
        const float *x = F32("x", &count), *theirs = F32("norm", NULL);
        for (size_t i = 0; i < count; ++i) {
            double norm;
            OK(vesde_torch_norm(vesde_given_noise(&x[i]), 1, &norm));
            float ours = (float)norm;
            ++ones.values;
            ones.differing += differing(&ours, &theirs[i], 1);
        }
    }
    line_of_equals("mean norms", tally);
    line_of_equals("norms of one float", ones);
}

static void add_noises(void) {
    struct tally tally = {0};
    for (const char *test = NULL; (test = next_case("add_noise/", test)) != NULL; ++tally.cases) {
        size_t len, indices_len, discrete_len;
        const float *original = F32("original_samples", &len), *table = F32("discrete_sigmas", &discrete_len);
        const uint32_t *given = U32("indices", &indices_len);
        int64_t indices[16];
        for (size_t i = 0; i < indices_len; ++i) {
            indices[i] = given[i];
        }
        vesde_scheduler scheduler = {.discrete_sigmas = table, .discrete_sigmas_len = discrete_len};
        OK(vesde_add_noise(&scheduler, original, len, indices_len, indices, indices_len,
                           vesde_given_noise(F32("noise", NULL)), out));
        count(&tally, out, F32("noisy_samples", NULL), len);
    }
    line_of_equals("add_noise", tally);
}

// `name` is that of a generator's cases.
static void randns(const char *name, int32_t kind) {
    static vesde_generator generator;
    char group[32];
    snprintf(group, sizeof group, "%s/", name);
    struct tally tally = {0};
    for (const char *test = NULL; (test = next_case(group, test)) != NULL; ++tally.cases) {
        size_t calls_len, len, at = 0;
        const uint32_t *calls = U32("calls", &calls_len);
        const float *theirs = F32("out", &len);
        OK(vesde_generator_seed(kind, *U64("seed"), NULL, &generator));
        for (size_t i = 0; i < calls_len; at += calls[i++]) {
            OK(vesde_randn(&generator, 1, calls[i], out + at));
        }
        CHECK(at == len);
        count(&tally, out, theirs, len);
    }
    line_of_equals(name, tally);

    snprintf(group, sizeof group, "%s_hash/", name);
    tally = (struct tally){0};
    for (const char *test = NULL; (test = next_case(group, test)) != NULL; ++tally.cases) {
        size_t calls_len, len = 0;
        const uint32_t *calls = U32("calls", &calls_len);
        uint64_t hash = 0xcbf29ce484222325;
        OK(vesde_generator_seed(kind, *U64("seed"), NULL, &generator));
        for (size_t i = 0; i < calls_len; len += calls[i++]) {
            OK(vesde_randn(&generator, 1, calls[i], out));
            for (size_t k = 0; k < 4 * (size_t)calls[i]; ++k) {
                // little-endian everywhere
                hash = (hash ^ (bits(out[k / 4]) >> k % 4 * 8 & 255)) * 0x100000001b3;
            }
        }
        CHECK(len == *U64("count"));
        tally.values += len;
        tally.differing += hash == *U64("fnv1a") ? 0 : len;
    }
    group[strlen(group) - 1] = '\0';
    line_of_equals(group, tally);
}

// The elements that were recorded of each draw, one by one.
static void cuda_randns(void) {
    struct tally tally = {0};
    for (const char *test = NULL; (test = next_case("torch_cuda/", test)) != NULL; ++tally.cases) {
        size_t calls_len, len, next = 0;
        uint64_t start = 0;
        const uint32_t *grid = U32("grid", NULL), *calls = U32("calls", &calls_len), *indices = U32("indices", &len);
        const vesde_cuda_grid gpu = {grid[0], grid[1]};
        vesde_generator state;
        OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CUDA, *U64("seed"), &gpu, &state));
        for (size_t i = 0; i < calls_len; start += calls[i++]) {
            for (; next < len && indices[next] - start < calls[i]; ++next) {
                OK(vesde_generator_fill_part(&state, calls[i], indices[next] - start, 1, out + next));
            }
            OK(vesde_generator_skip(&state, calls[i]));
        }
        CHECK(next == len);
        count(&tally, out, F32("out", NULL), len);
    }
    line_of_equals("torch_cuda", tally);
}

// diffusers' own test, with its two tables of different lengths.
static void full_loop(void) {
    const char *test = next_case("full_loop/", NULL);
    size_t len, n;
    const float *initial = F32("sample", &len), *their_sigmas = F32("sigmas", &n);
    scheduler_of(NULL, 2000, 1);
    CHECK(furthest(sigmas, their_sigmas, n) <= 2);  // along the constructor's 2000 timesteps
    vesde_scheduler scheduler = scheduler_of(NULL, n, n);
    CHECK(differing(timesteps, F32("timesteps", NULL), n) == 0);

    static float sample[1024], score[1024];
    memcpy(sample, initial, len * sizeof *sample);
    vesde_generator state;
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CPU, 0, NULL, &state));
    const vesde_step step = {.model_output = score, .sample = sample, .len = len, .batch = 4,
                             .noise = vesde_given_noise(noise), .prev_sample = sample};
    for (size_t i = 0; i < n; ++i) {
        for (int predict = 0; predict < 2; ++predict) {
            for (size_t k = 0; k < len; ++k) {
                score[k] = sample[k] * their_sigmas[i] / (their_sigmas[i] + 1);
            }
            OK(vesde_randn(&state, 1, len, noise));
            OK(predict ? vesde_step_pred(&scheduler, &timesteps[i], 1, &step)
                       : vesde_step_correct(&scheduler, VESDE_AVERAGING_BATCH, VESDE_NORM_TORCH, &step));
        }
    }
    struct tally tally = {1, 0, 0};
    count(&tally, sample, F32("final", NULL), len);
    line_of_equals("full_loop", tally);
}

// Halves go to the even neighbour.
static uint32_t rounded(float x) {
    uint32_t below = (uint32_t)x;
    float rest = x - (float)below;
    return below + (rest > 0.5f || (rest == 0.5f && below % 2 == 1));
}

// The whole of diffusers' pipeline: one generator for the initial sample and every step.
static void loops(void) {
    struct tally finals = {0}, pictures = {0};
    for (const char *test = NULL; (test = next_case("loop/", test)) != NULL; ++finals.cases, ++pictures.cases) {
        size_t len, n = U32("steps", NULL)[0];
        const float *mu = F32("mu", &len), *final = F32("final", NULL), s2 = *F32("s2", NULL);
        const uint32_t *picture = U32("picture", NULL);
        static float sample[1024], score[1024];
        vesde_scheduler scheduler = scheduler_of(NULL, n, n);
        vesde_generator generator;
        vesde_sampler sampler;
        vesde_request request = {0};
        OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CPU, *U64("seed"), NULL, &generator));
        const vesde_buffers buffers = {.sample = sample, .model_output = score, .len = len};
        vesde_sampler_options options = {.noise = VESDE_SAMPLER_NOISE_GIVEN, .norm = VESDE_NORM_TORCH};
        OK(vesde_sampler_init(&scheduler.config, U32("shape", NULL)[0], &options, &sampler));
        while (OK(vesde_sampler_next_drawing(&sampler, &scheduler, &buffers, &generator, 1, noise, &request))
               && request.kind != VESDE_REQUEST_KIND_DONE) {
            float denom = request.sigma * request.sigma + s2;
            for (size_t k = 0; k < len && CHECK(request.kind == VESDE_REQUEST_KIND_SCORE); ++k) {
                score[k] = (mu[k] - sample[k]) / denom;
            }
        }
        for (size_t k = 0; k < len; ++k) {
            CHECK(sample[k] - final[k] <= 1e-6f && final[k] - sample[k] <= 1e-6f);
            pictures.differing += rounded(sample[k] * 255) != picture[k];
        }
        pictures.values += len;
        count(&finals, sample, final, len);
    }
    line("loop, floats", finals);
    line_of_equals("loop, pictures", pictures);
}

int main(void) {
    read_vectors("ffi-tests/vectors/golden.txt");
    read_vectors("ffi-tests/vectors/cuda.txt");
    schedules();
    preds();
    corrects();
    means();
    add_noises();
    randns("torch_randn", VESDE_GENERATOR_KIND_TORCH_CPU);
    randns("numpy_randn", VESDE_GENERATOR_KIND_NUMPY);
    cuda_randns();
    full_loop();
    loops();
    return report();
}
