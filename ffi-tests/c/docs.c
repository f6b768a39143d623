// The functions of docs/, which ffi-tests/c.rs has put together, on a Gaussian whose results are
// known.

#include "docs.generated.h"

#include <math.h>

#include "check.h"

// A batch of three pictures of three channels; the last block of norms is incomplete.
enum { BATCH = 3, PART = 3 * 1400, LEN = BATCH * PART, STEPS = 60, LEVELS = 100 };

static const float MU = 0.5f, VARIANCE = 0.01f;
static float timesteps[STEPS], sigmas[STEPS], discrete_sigmas[STEPS];
static float x[LEN], reference[LEN], data[LEN], input[LEN], score[LEN], other[LEN], mask[PART];
static float workspace[6 * LEN];

void network(const float *sample, float sigma, float *to) {
    for (size_t i = 0; i < LEN; ++i) {
        to[i] = (MU - sample[i]) / (sigma * sigma + VARIANCE);
    }
}

void network_and_product(const float *sample, float sigma, const float *probe, float *to,
                         float *product) {
    network(sample, sigma, to);
    for (size_t i = 0; i < LEN; ++i) {
        product[i] = -probe[i] / (sigma * sigma + VARIANCE);
    }
}

// A class whose mean is greater by 1.
void classifier(const float *sample, float sigma, float *gradient) {
    (void)sample;
    for (size_t i = 0; i < LEN; ++i) {
        gradient[i] = 1 / (sigma * sigma + VARIANCE);
    }
}

void network_with_class(const float *sample, float sigma, float *to) {
    for (size_t i = 0; i < LEN; ++i) {
        to[i] = (MU + 1 - sample[i]) / (sigma * sigma + VARIANCE);
    }
}

static float most_apart(const float *a, const float *b) {
    float most = 0;
    for (size_t i = 0; i < LEN; ++i) {
        most = fmaxf(most, isnan(a[i]) ? INFINITY : fabsf(a[i] - b[i]));
    }
    return most;
}

// Whether every `step`-th element is roughly a Gaussian's: the mean is right, and the deviation in
// the range.
static int is_gaussian(const float *a, size_t step, double low, double high) {
    double sum = 0, squares = 0, n = 0;
    for (size_t i = 0; i < LEN; i += step, ++n) {
        sum += a[i];
        squares += ((double)a[i] - MU) * ((double)a[i] - MU);
    }
    double deviation = sqrt(squares / n);
    return fabs(sum / n - MU) < 0.01 && deviation > low && deviation < high;
}

static void predictor_corrector(const vesde_scheduler *scheduler) {
    const vesde_sampler_options defaults = {.seed = 42};
    OK(sample(scheduler, &defaults, BATCH, x, score, LEN));
    CHECK(is_gaussian(x, 1, 0.08, 0.12));

    // A job, and its updates one by one.
    OK(sample(scheduler, &ancestral, BATCH, reference, score, LEN));
    CHECK(is_gaussian(reference, 1, 0.08, 0.12));
    vesde_counter noise = {.seed = 42};
    OK(vesde_counter_fill(noise, LEN, x));
    for (size_t i = 0; i < LEN; ++i) {
        x[i] *= (float)scheduler->config.sigma_max;
    }
    for (size_t step = 0; step < STEPS; ++step) {
        network(x, sigmas[step], score);
        ++noise.stream;
        OK(correct(scheduler->config.snr, sigmas[step], x, score, LEN, noise));
        network(x, sigmas[step], score);
        ++noise.stream;
        OK(predict(scheduler, VESDE_PREDICTOR_ANCESTRAL, timesteps[step], x, score, LEN, noise));
    }
    OK(denoise(&scheduler->config, x, score, LEN));
    for (size_t i = 0; i < LEN; ++i) {
        x[i] = fminf(fmaxf(x[i], 0), 1);
    }
    CHECK(most_apart(x, reference) == 0);
}

static void samplers(const vesde_config *config) {
    static float preview[LEN];
    float geometric[CALLS + 1], karras[CALLS + 1];
    vesde_buffers buffers = {.sample = x, .model_output = score, .len = LEN, .workspace = workspace,
                             .workspace_len = LEN, .denoised = preview};
    OK(make_tables(config, geometric, karras));
    OK(sample_in_few(config, &few, geometric, BATCH, &buffers, score));
    CHECK(is_gaussian(x, 1, 0.08, 0.12));
    memcpy(reference, x, sizeof x);
    // The last step goes to what the network said, clamped.
    for (size_t i = 0; i < LEN; ++i) {
        preview[i] = fminf(fmaxf(preview[i], 0), 1);
    }
    CHECK(most_apart(preview, reference) == 0);

    const vesde_scheduler along = {.config = *config, .sigmas = geometric, .sigmas_len = CALLS + 1};
    for (size_t parts = 1; parts <= 3; ++parts) {
        vesde_sampler sampler;
        vesde_request request;
        OK(vesde_sampler_init(config, BATCH, &few, &sampler));
        do {
            if (!OK(next_on_threads(&sampler, &along, &buffers, parts, &request))) {
                return;
            }
            network(x, request.sigma, score);
        } while (request.kind != VESDE_REQUEST_KIND_DONE);
        CHECK(most_apart(x, reference) == 0);
    }

    OK(sample_in_few(config, &few, karras, BATCH, &buffers, score));
    CHECK(is_gaussian(x, 1, 0.08, 0.12));
    // A job that starts with little noise changes the picture only a little.
    OK(image_to_image(config, karras, CALLS - 1, reference, &buffers, score));
    CHECK(most_apart(x, reference) < 0.1f && most_apart(x, reference) > 0);
    buffers.workspace_len = 1;
    STATUS(VESDE_ERROR_BUFFER_TOO_SMALL, sample_in_few(config, &few, karras, BATCH, &buffers, score));
}

static void annealed(vesde_config config) {
    float levels[LEVELS], table[LEVELS];
    config.correct_steps = 5;
    OK(annealed_langevin(&config, LEVELS, 6.2e-6f, levels, table, x, score, LEN));
    CHECK(is_gaussian(x, 1, 0.07, 0.15));
}

static void ode(const vesde_config *config) {
    vesde_ode_stats stats;
    const float sigma_max = (float)config->sigma_max, end = (float)config->sigma_min;
    const float shrinkage = sqrtf((end * end + VARIANCE) / (sigma_max * sigma_max + VARIANCE));
    OK(solve(config, &sampling, BATCH, reference, input, score, workspace, LEN, &stats));
    CHECK(stats.evaluations == 2 + 6 * (stats.accepted + stats.rejected));
    CHECK(stats.t == config->sampling_eps);
    vesde_counter noise = {.seed = 42};
    OK(vesde_counter_fill(noise, LEN, x));
    for (size_t i = 0; i < LEN; ++i) {
        x[i] = MU + (sigma_max * x[i] - MU) * shrinkage;
    }
    CHECK(most_apart(x, reference) < 1e-3f);

    // In parts.
    vesde_ode_buffers buffers = {
        .sample = x, .input = input, .model_output = score, .len = LEN, .workspace = workspace};
    static double blocks[2 * (LEN / VESDE_NORM_BLOCK + 1)];
    for (size_t parts = 1; parts <= 3; ++parts) {
        vesde_ode job;
        vesde_ode_request request;
        OK(vesde_ode_init(config, BATCH, &sampling, &job));
        do {
            if (!OK(next_in_parts(&job, &buffers, parts, blocks, &request))) {
                return;
            }
            network(input, request.sigma, score);
        } while (request.kind != VESDE_ODE_REQUEST_KIND_DONE);
        CHECK(most_apart(x, reference) == 0);
    }

    // To the code and back.
    memcpy(data, reference, sizeof data);
    OK(solve(config, &encoding, BATCH, x, input, score, workspace, LEN, &stats));
    OK(solve(config, &decoding, BATCH, x, input, score, workspace, LEN, &stats));
    CHECK(most_apart(x, data) < 1e-3f);
    OK(denoise(config, x, score, LEN));
    for (size_t i = 0; i < LEN; ++i) {
        other[i] = (data[i] * VARIANCE + MU * end * end) / (end * end + VARIANCE);
    }
    CHECK(most_apart(x, other) < 1e-3f);
}

static void likelihood(const vesde_config *config) {
    static float probe[LEN], product[LEN];
    static double e[9 * BATCH];
    vesde_log_likelihood results[BATCH];
    vesde_ode_buffers buffers = {
        .sample = x, .input = input, .model_output = score, .len = LEN, .product = product,
        .workspace = workspace, .log_densities = e, .log_densities_len = 9 * BATCH};
    memcpy(x, data, sizeof x);
    OK(log_densities(config, 7, BATCH, &buffers, score, probe, product, results));
    const double variance = VARIANCE + config->sigma_min * config->sigma_min;
    for (size_t i = 0; i < BATCH; ++i) {
        double want = 0;
        for (size_t k = 0; k < PART; ++k) {
            double d = (double)data[i * PART + k] - MU;
            want -= d * d / (2 * variance) + log(2 * acos(-1) * variance) / 2;
        }
        double bits[2] = {vesde_bits_per_dim(results[i].log_density, PART, 256, 1),
                          vesde_bits_per_dim(want, PART, 256, 1)};
        // The prior's mismatch is at most ½·0.5²/σ_max² nats.
        CHECK(fabs(bits[0] - bits[1]) < 3e-3);
    }
}

static void inverse_problems(const vesde_scheduler *scheduler) {
    for (size_t i = 0; i < PART; ++i) {
        mask[i] = i % 2 == 0;
    }
    OK(inpaint(scheduler, data, mask, 42, BATCH, x, score, LEN));
    for (size_t i = 0; i < LEN; i += 2) {
        CHECK(x[i] == data[i]);
    }
    CHECK(is_gaussian(x + 1, 2, 0.08, 0.12));

    vesde_request request = {.draw = 3, .sigma = 0.5f, .last = 1};
    for (size_t i = 0; i < LEN; ++i) {
        other[i] = (float)(i % (PART / 3)) / PART; // gray
    }
    OK(recolour(other, &request, 42, BATCH, x, LEN));
    OK(vesde_decouple(other, LEN, BATCH, reference));
    OK(vesde_decouple(x, LEN, BATCH, input));
    for (size_t i = 0; i < LEN; ++i) {
        CHECK(i % PART >= PART / 3 || fabsf(input[i] - reference[i]) < 1e-5f);
    }

    // Both are the score of the class.
    network_with_class(x, 0.5f, reference);
    OK(guided_by_classifier(x, 0.5f, 1, score, other, LEN));
    CHECK(most_apart(score, reference) < 1e-4f);
    OK(guided(x, 0.5f, 1, score, other, LEN));
    CHECK(most_apart(score, reference) < 1e-4f);
}

static void own_solver(const vesde_config *config) {
    static float denoised[2][LEN];
    float table[41] = {0};
    const vesde_counter noise = {.seed = 42};
    OK(vesde_set_karras_sigmas(config->sigma_min, config->sigma_max, 7, 40, table));
    OK(begin(x, LEN, table[0], noise));
    for (size_t k = 0; k < 40; ++k) {
        network(x, table[k], score);
        vesde_counter next = {.seed = 42, .stream = k + 1};
        OK(euler_ancestral(x, score, LEN, table[k], table[k + 1], next));
    }
    CHECK(is_gaussian(x, 1, 0.07, 0.12));

    // The sampler's 2M is the same except for its rounding.
    const vesde_sampler_options options = {
        .seed = 42, .method = VESDE_METHOD_DPMPP2M, .unclamped = 1};
    const vesde_scheduler along = {.config = *config, .sigmas = table, .sigmas_len = 41};
    vesde_buffers buffers = {.sample = reference, .model_output = score, .len = LEN,
                             .workspace = workspace, .workspace_len = LEN};
    vesde_sampler sampler;
    vesde_request request;
    OK(vesde_sampler_init(config, 1, &options, &sampler));
    do {
        if (!OK(vesde_sampler_next(&sampler, &along, &buffers, &request))) {
            return;
        }
        network(reference, request.sigma, score);
    } while (request.kind != VESDE_REQUEST_KIND_DONE);
    OK(begin(x, LEN, table[0], noise));
    for (size_t k = 0; k < 40; ++k) {
        network(x, table[k], score);
        OK(dpmpp_2m(x, score, denoised[k % 2], k > 0 ? denoised[(k + 1) % 2] : NULL, LEN,
                    k > 0 ? table[k - 1] : 0, table[k], table[k + 1]));
    }
    CHECK(most_apart(x, reference) < 1e-4f);
    CHECK(is_gaussian(x, 1, 0.08, 0.12));
}

static void in_c(const vesde_config *config) {
    static tables made;
    vesde_scheduler scheduler;
    OK(make_scheduler(config, &made, &scheduler));
    OK(begin(x, LEN, made.sigmas[0], (vesde_counter){.seed = 1}));
    memcpy(reference, x, sizeof x);
    network(x, made.discrete_sigmas[0], score);
    OK(correct_and_predict(&scheduler, 0, x, score, LEN));
    CHECK(most_apart(x, reference) > 0);
    OK(sample_in_ten(x, score, workspace, LEN));
    CHECK(is_gaussian(x, 1, 0.08, 0.12));
    OK(sample_with_torch(&scheduler, 42, x, score, other, LEN));
    CHECK(is_gaussian(x, 1, 0.08, 0.12));
}

// In tiles, the bits are those of one conversion of everything.
static void half(const vesde_scheduler *scheduler) {
    static uint16_t halves[LEN], halved_score[LEN];
    const vesde_counter noise = {.seed = 42, .stream = 3, .index = 5};
    const float timestep = timesteps[STEPS / 2];
    OK(begin(x, LEN, 1, noise));
    network(x, sigmas[STEPS / 2], score);
    for (size_t i = 0; i < LEN; ++i) {
        halves[i] = to_bfloat16(x[i]);
        halved_score[i] = to_bfloat16(score[i]);
        x[i] = of_bfloat16(halves[i]);
        score[i] = of_bfloat16(halved_score[i]);
        CHECK(to_bfloat16(x[i]) == halves[i]);
    }
    const vesde_step step = {.model_output = score, .sample = x, .len = LEN, .batch = 1,
                             .noise = vesde_counter_noise(noise), .prev_sample = x};
    OK(vesde_step_pred(scheduler, &timestep, 1, &step));
    OK(predict_in_bfloat16(scheduler, timestep, halves, halved_score, LEN, noise));
    for (size_t i = 0; i < LEN; ++i) {
        CHECK(halves[i] == to_bfloat16(x[i]));
    }
    // A tie goes to the even neighbour, and a NaN stays a NaN.
    CHECK(to_bfloat16(1.00390625f) == 0x3F80 && to_bfloat16(1.01171875f) == 0x3F82);
    CHECK(isnan(of_bfloat16(to_bfloat16(NAN))));
}

int main(void) {
    vesde_scheduler scheduler = {{0}, timesteps, STEPS, sigmas, STEPS, discrete_sigmas, STEPS};
    OK(vesde_config_default(&scheduler.config));
    scheduler.config.sigma_max = 10;
    OK(vesde_set_timesteps(&scheduler.config, STEPS, timesteps));
    OK(vesde_set_sigmas(&scheduler.config, timesteps, STEPS, STEPS, sigmas, discrete_sigmas));
    predictor_corrector(&scheduler);
    samplers(&scheduler.config);
    annealed(scheduler.config);
    ode(&scheduler.config);
    likelihood(&scheduler.config);
    inverse_problems(&scheduler);
    own_solver(&scheduler.config);
    in_c(&scheduler.config);
    half(&scheduler);
    return failures != 0;
}
