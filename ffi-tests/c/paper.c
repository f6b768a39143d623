// Replays vectors/paper.txt, which the code of Song et al. 2021 has computed (vectors/paper.py),
// and the steps of scipy's RK45 in vectors/golden.txt, as ffi-tests/paper.rs does, but without the
// digits. Steps and loops differ in no bit, solutions of the ODE by no more than stated. Run from
// the repository's root.

#include <math.h>

#include "vectors.h"

enum { MOST = 9216, MOST_SAMPLES = 256, MOST_OF_A_SAMPLE = 256, MOST_COMPONENTS = 16, MOST_STEPS = 256 };

static float sample[MOST], input[MOST], score[MOST], noise[MOST], probe[MOST], product[MOST];
static float mean[MOST], known[MOST], workspace[6 * MOST];
static double log_densities[9 * MOST_SAMPLES], accepted[MOST_STEPS];

// ---- the scores ----

// The score of independent Gaussians, every operation in float, or of a mixture of Gaussians of one
// variance, in double.
struct network {
    size_t len, components;
    const float *mu, *s2, *mus, *logw;
    double variance;
};

// Whether the case's score is one of these.
static int network_of(const char *test, struct network *net) {
    *net = (struct network){0};
    if (find(test, "mu") != NULL) {
        net->mu = F32("mu", &net->len);
        net->s2 = F32("s2", NULL);
    } else if (find(test, "mus") != NULL) {
        net->mus = F32("mus", &net->len);
        net->logw = F32("logw", &net->components);
        net->len /= net->components;
        net->variance = *F64("s2");
        CHECK(net->len <= MOST_OF_A_SAMPLE && net->components <= MOST_COMPONENTS);
    }
    return net->len != 0;
}

// For one sample. With m the mean of the components by their posteriors w, the score is (m − x)/v,
// and the product (Σ w·μ·(μ·ν) − m·(m·ν))/v² − ν/v.
static void mixture(const struct network *net, const float *x, double sigma, float *out, const float *nu,
                    float *along) {
    static double m[MOST_OF_A_SAMPLE], second[MOST_OF_A_SAMPLE];
    double w[MOST_COMPONENTS], v = sigma * sigma + net->variance;
    double greatest = -HUGE_VAL, total = 0, m_nu = 0;
    for (size_t c = 0; c < net->components; ++c) {
        double square = 0;
        for (size_t i = 0; i < net->len; ++i) {
            double off = (double)x[i] - net->mus[c * net->len + i];
            square += off * off;
        }
        w[c] = net->logw[c] - square / (2 * v);
        greatest = w[c] > greatest ? w[c] : greatest;
    }
    for (size_t c = 0; c < net->components; ++c) {
        w[c] = exp(w[c] - greatest);
        total += w[c];
    }
    for (size_t i = 0; i < net->len; ++i) {
        m[i] = second[i] = 0;
    }
    for (size_t c = 0; c < net->components; ++c) {
        const float *mu = net->mus + c * net->len;
        double mu_nu = 0;
        for (size_t i = 0; nu != NULL && i < net->len; ++i) {
            mu_nu += (double)mu[i] * nu[i];
        }
        for (size_t i = 0; i < net->len; ++i) {
            m[i] += w[c] / total * mu[i];
            second[i] += w[c] / total * mu_nu * mu[i];
        }
    }
    for (size_t i = 0; i < net->len; ++i) {
        out[i] = (float)((m[i] - x[i]) / v);
        m_nu += nu == NULL ? 0 : m[i] * nu[i];
    }
    for (size_t i = 0; nu != NULL && i < net->len; ++i) {
        along[i] = (float)((second[i] - m[i] * m_nu) / (v * v) - nu[i] / v);
    }
}

// The score of a batch at a sigma. Unless `nu` is NULL, its Jacobian's product with `nu` goes to
// `product`.
static void evaluate(const struct network *net, const float *x, size_t len, float sigma, float *out,
                     const float *nu) {
    for (size_t at = 0; at < len; at += net->len) {
        if (net->mus != NULL) {
            mixture(net, x + at, sigma, out + at, nu == NULL ? NULL : nu + at, product + at);
            continue;
        }
        for (size_t i = 0; i < net->len; ++i) {
            float v = sigma * sigma + net->s2[i];
            out[at + i] = (net->mu[i] - x[at + i]) / v;
            if (nu != NULL) {
                product[at + i] = -nu[at + i] / v;
            }
        }
    }
}

// ---- what cases have in common ----

static vesde_config config_of(const char *test) {
    vesde_config config;
    OK(vesde_config_default(&config));
    config.sigma_min = *F64("sigma_min");
    config.sigma_max = *F64("sigma_max");
    config.sampling_eps = find(test, "eps") == NULL ? 1e-5 : *F64("eps");
    config.snr = find(test, "snr") == NULL ? config.snr : *F64("snr");
    config.correct_steps = find(test, "n_steps") == NULL ? 1 : *U32("n_steps", NULL);
    return config;
}

// vesde's tables, with the original's two discrete sigmas at the index of each t where they are
// recorded, and its sigma at t.
static vesde_scheduler scheduler_of_indices(const char *test, const float *t, size_t batch) {
    vesde_config config = config_of(test);
    vesde_scheduler scheduler = tables_of(&config, *U32("n", NULL), *U32("n", NULL));
    for (size_t i = 0; i < batch && find(test, "discrete_sigma") != NULL; ++i) {
        size_t index = 0;
        OK(vesde_get_timestep_index(&scheduler, t[i], &index));
        discrete_sigmas[index] = F32("discrete_sigma", NULL)[i];
        if (index > 0) {
            discrete_sigmas[index - 1] = F32("adjacent_sigma", NULL)[i];
        }
    }
    memcpy(timesteps, t, batch * sizeof *t);
    memcpy(sigmas, F32("sigma", NULL), batch * sizeof *sigmas);
    return scheduler;
}

// Floats of the batch, and how many samples it has.
static size_t shape_of(const char *test, size_t *batch) {
    size_t dims, len = 1;
    const uint32_t *shape = U32("shape", &dims);
    for (size_t i = 0; i < dims; ++i) {
        len *= shape[i];
    }
    *batch = shape[0];
    CHECK(len <= MOST && *batch <= MOST_SAMPLES);
    return len;
}

static vesde_generator generator_of(const char *test) {
    vesde_generator generator;
    OK(vesde_generator_seed(VESDE_GENERATOR_KIND_TORCH_CPU, *U64("seed"), NULL, &generator));
    return generator;
}

// One draw into `noise`. The colorizer's draws have their channels last in memory, and torch then
// makes the numbers one by one. Its first draw, and batches of one sample, are as usual.
static void draw(const char *test, vesde_generator *generator, uint64_t number, int channels_last) {
    const uint32_t *shape = U32("shape", NULL);
    size_t batch, len = shape_of(test, &batch), channels = shape[1], pixels = len / batch / channels;
    if (number == 0 || !channels_last || batch == 1) {
        OK(vesde_randn(generator, 1, len, noise));
        return;
    }
    for (size_t k = 0; k < len; ++k) {
        size_t of_sample = k / channels / pixels, pixel = k / channels % pixels;
        OK(vesde_randn(generator, 1, 1, &noise[(of_sample * channels + k % channels) * pixels + pixel]));
    }
}

// The largest difference of a group's values, in the units of each.
struct distance {
    size_t cases, values;
    double most;
};

static void measure(struct distance *distance, double off, double most) {
    ++distance->values;
    distance->most = off > distance->most ? off : distance->most;
    CHECK(off <= most);
}

static void measure_all(struct distance *distance, const float *ours, const float *theirs, size_t len,
                        double unit, double most) {
    for (size_t i = 0; i < len; ++i) {
        measure(distance, fabs((double)ours[i] - theirs[i]) / unit, most);
    }
}

static void line_of_distances(const char *what, struct distance distance) {
    printf("%-24s %4lu cases %8lu values %8.1e apart\n", what, (unsigned long)distance.cases,
           (unsigned long)distance.values, distance.most);
    CHECK(distance.cases > 0 && distance.values > 0);
}

// ---- continuous time, single steps, probes ----

static void conts(void) {
    struct tally tally = {0};
    struct distance priors = {0};
    for (const char *test = NULL; (test = next_case("cont/", test)) != NULL; priors.cases = ++tally.cases) {
        size_t len, z_len, z_batch;
        const float *t = F32("t", &len);
        const float *z = F32("prior_z", &z_len), *log_density = F32("prior_logp", &z_batch);
        const vesde_scheduler scheduler = scheduler_of_indices(test, t, len);
        for (size_t i = 0; i < len; ++i) {
            float sigma = 0, g = 0, their_sigma = F32("sigma", NULL)[i];
            size_t index = 0;
            double time = 0;
            vesde_predictor_step step = {0};
            OK(vesde_get_sigma(&scheduler.config, t[i], &sigma));
            OK(vesde_get_diffusion(&scheduler.config, their_sigma, &g));
            OK(vesde_get_timestep_index(&scheduler, t[i], &index));
            OK(vesde_get_timestep(&scheduler.config, sigma, &time));
            OK(vesde_get_predictor_step(&scheduler, VESDE_PREDICTOR_REVERSE_DIFFUSION, t[i], &step));
            CHECK(furthest(&sigma, &their_sigma, 1) <= 2);
            CHECK(furthest(&g, &F32("g", NULL)[i], 1) <= 1);
            CHECK(furthest(&step.diffusion, &F32("G", NULL)[i], 1) <= 1);
            CHECK(index == U32("index", NULL)[i] && fabs(time - t[i]) < 1e-6);
            count(&tally, &sigma, &their_sigma, 1);
        }
        for (size_t i = 0, per_sample = z_len / z_batch; i < z_batch; ++i) {
            vesde_log_likelihood likelihood = {0};
            const float *code = z + i * per_sample;
            OK(vesde_get_log_likelihood(scheduler.config.sigma_max, code, per_sample, 0, &likelihood));
            measure(&priors, fabs(likelihood.prior - log_density[i]), 1e-4);
        }
    }
    line("sigma(t)", tally);
    line_of_distances("prior's log-density", priors);
}

// The arrays of every predictor.
static const struct predictor_arrays {
    const char *group, *noise, *prev, *mean;
    int32_t predictor;
} predictors[] = {
    {"steps/", "rd_z", "rd_x", "rd_mean", VESDE_PREDICTOR_REVERSE_DIFFUSION},
    {"steps/", NULL, "rdpf_x", "rdpf_x", VESDE_PREDICTOR_REVERSE_DIFFUSION_FLOW},
    {"steps/", "as_z", "as_x", "as_mean", VESDE_PREDICTOR_ANCESTRAL},
    {"steps/", "em_z", "em_x", "em_mean", VESDE_PREDICTOR_EULER_MARUYAMA},
    {"jaxem/", NULL, "pf_x_out", "pf_x_out", VESDE_PREDICTOR_EULER_MARUYAMA_FLOW},
};

// The scores of `x`, each sample at a sigma of its own.
static void evaluate_each(const struct network *net, const float *x, const float *at, size_t batch) {
    for (size_t i = 0; i < batch; ++i) {
        evaluate(net, x + i * net->len, net->len, at[i], score + i * net->len, NULL);
    }
}

static void preds(void) {
    struct tally tally = {0};
    const struct predictor_arrays *end = predictors + sizeof predictors / sizeof *predictors;
    for (const struct predictor_arrays *p = predictors; p < end; ++p) {
        for (const char *test = NULL; (test = next_case(p->group, test)) != NULL; ++tally.cases) {
            size_t len, batch;
            const float *x = F32("x", &len), *t = F32("t", &batch);
            struct network net;
            CHECK(len <= MOST);
            if (network_of(test, &net)) {
                evaluate_each(&net, x, F32("sigma", NULL), batch);
            } else {
                memcpy(score, F32("score", NULL), len * sizeof *score);
            }
            const vesde_scheduler scheduler = scheduler_of_indices(test, t, batch);
            vesde_step step = {.model_output = score, .sample = x, .len = len, .batch = batch,
                               .prev_sample = sample, .prev_sample_mean = mean, .predictor = p->predictor};
            if (p->noise != NULL) {
                step.noise = vesde_given_noise(F32(p->noise, NULL));
            }
            OK(vesde_step_pred(&scheduler, t, batch, &step));
            count(&tally, sample, F32(p->prev, NULL), len);
            count(&tally, mean, F32(p->mean, NULL), len);
        }
    }
    line_of_equals("predictors", tally);
}

static void corrects(void) {
    struct tally tally = {0};
    for (const char *test = NULL; (test = next_case("steps/", test)) != NULL; ++tally.cases) {
        for (int annealed = 0; annealed < 2; ++annealed) {
            size_t len, batch, noise_len;
            const float *x = F32("x", &len), *sigma = F32("sigma", &batch);
            const float *z = F32(annealed ? "ald_z" : "lang_z", &noise_len);
            const vesde_scheduler scheduler = {.config = config_of(test)};
            struct network net;
            network_of(test, &net);
            memcpy(sample, x, len * sizeof *x);
            for (const float *end = z + noise_len; z < end; z += len) {
                evaluate_each(&net, sample, sigma, batch);
                if (!annealed) {
                    const vesde_step step = {
                        .model_output = score, .sample = sample, .len = len, .batch = batch,
                        .noise = vesde_given_noise(z), .prev_sample = sample, .prev_sample_mean = mean};
                    OK(vesde_step_correct(&scheduler, VESDE_AVERAGING_BATCH, VESDE_NORM_TORCH, &step));
                    continue;
                }
                for (size_t i = 0; i < batch; ++i) {
                    size_t at = i * net.len;
                    vesde_corrector_step step = {0};
                    OK(vesde_get_annealed_step((float)scheduler.config.snr * sigma[i], 2, &step));
                    const vesde_combination sum = {
                        .terms = {{1, sample + at}, {step.step_size, score + at}}, .terms_len = 2,
                        .len = net.len, .noise = vesde_given_noise(z + at), .noise_factor = step.noise_factor,
                        .out = sample + at, .mean = mean + at};
                    OK(vesde_linear(&sum));
                }
            }
            count(&tally, sample, F32(annealed ? "ald_x" : "lang_x", NULL), len);
            count(&tally, mean, F32(annealed ? "ald_mean" : "lang_mean", NULL), len);
        }
    }
    line_of_equals("correctors", tally);
}

static void probes(void) {
    struct tally tally = {0};
    for (const char *test = NULL; (test = next_case("probes/", test)) != NULL; ++tally.cases) {
        size_t len;
        const float *uniform = F32("uniform", &len), *signs = F32("rademacher", NULL);
        vesde_generator first = generator_of(test), second = first;
        OK(vesde_rand(&first, len, sample));
        count(&tally, sample, uniform, len);
        OK(vesde_rademacher(&second, len, sample));
        count(&tally, sample, signs, len);
    }
    line_of_equals("uniform numbers, signs", tally);
}

// ---- whole loops ----

// Changes `sample` on a request: the initial sample, or an updated one, for which there is noise in
// `noise`. Without a request it changes the result.
typedef void condition(const char *test, const vesde_request *request);

static void inpaint(const char *test, const vesde_request *request) {
    size_t batch, len = shape_of(test, &batch), mask_len;
    const float *mask = F32("mask", &mask_len);
    vesde_imputation step = {.data = F32("data", NULL), .mask = mask, .mask_len = mask_len,
                             .sample = sample, .len = len, .out = sample};
    if (request != NULL && request->after != VESDE_AFTER_INITIAL) {
        step.noise = vesde_given_noise(noise);
        step.sigma = request->sigma;
    }
    OK(vesde_impute(&step));
}

static void color(const char *test, const vesde_request *request) {
    size_t batch, len = shape_of(test, &batch), gray_len;
    const float *gray = F32("gray", &gray_len);
    size_t pixels = gray_len / batch, channels = len / gray_len;
    for (size_t i = 0; i < len; ++i) {
        known[i] = gray[i / pixels / channels * pixels + i % pixels];
    }
    if (request != NULL && request->after == VESDE_AFTER_INITIAL) {
        // The prior's first channel is set to zero before it is decoupled.
        static float decoupled[MOST];
        for (size_t i = 0; i < len; ++i) {
            sample[i] = i / pixels % channels == 0 ? 0 : sample[i];
        }
        OK(vesde_decouple(known, len, batch, decoupled));
        OK(vesde_decouple(sample, len, batch, mean));
        for (size_t at = 0; at < len; at += channels * pixels) {
            const vesde_combination sum = {.terms = {{1, mean + at}, {1, decoupled + at}}, .terms_len = 2,
                                           .len = pixels, .out = mean + at};
            OK(vesde_linear(&sum));
        }
        OK(vesde_couple(mean, len, batch, sample));
        return;
    }
    vesde_recolouring step = {.gray = known, .sample = sample, .len = len, .batch = batch, .out = sample};
    if (request != NULL) {
        step.noise = vesde_given_noise(noise);
        step.sigma = request->sigma;
    }
    OK(vesde_recolour(&step));
}

// Runs a job from the case's seed, into `sample`. A colorizer's draws are made here, others by the
// sampler.
static void run(const char *test, const struct network *net, const vesde_scheduler *scheduler,
                const vesde_sampler_options *options, condition *change) {
    vesde_generator generator = generator_of(test);
    vesde_sampler sampler;
    vesde_request request = {0};
    size_t batch, len = shape_of(test, &batch);
    int draws_here = change == color;
    const vesde_buffers buffers = {
        .sample = sample, .model_output = score, .len = len, .noise = draws_here ? noise : NULL};
    OK(vesde_sampler_init(&scheduler->config, batch, options, &sampler));
    for (;;) {
        if (!OK(draws_here ? vesde_sampler_next(&sampler, scheduler, &buffers, &request)
                           : vesde_sampler_next_drawing(&sampler, scheduler, &buffers, &generator, 1, noise,
                                                        &request))
            || request.kind == VESDE_REQUEST_KIND_DONE) {
            return;
        }
        if (request.kind == VESDE_REQUEST_KIND_SCORE) {
            evaluate(net, sample, len, request.sigma, score, NULL);
        } else if (draws_here && (request.kind == VESDE_REQUEST_KIND_NOISE || request.draw > 0)) {
            draw(test, &generator, request.draw, 1);
        }
        if (request.kind == VESDE_REQUEST_KIND_CONDITION && CHECK(change != NULL)) {
            change(test, &request);
        }
    }
}

// The file's numbers of predictors and correctors.
static const int32_t predictor_of[] = {VESDE_PREDICTOR_REVERSE_DIFFUSION, VESDE_PREDICTOR_EULER_MARUYAMA,
                                       VESDE_PREDICTOR_ANCESTRAL, VESDE_PREDICTOR_NONE};
static const int32_t corrector_of[] = {VESDE_CORRECTOR_LANGEVIN, VESDE_CORRECTOR_ANNEALED_LANGEVIN,
                                       VESDE_CORRECTOR_NONE};

// The loops of a group. Each runs once for either result, or only once if the condition makes the
// other result.
static void loops(const char *group, condition *change) {
    struct tally tally = {0};
    for (const char *test = NULL; (test = next_case(group, test)) != NULL;) {
        struct network net;
        if (!network_of(test, &net)) {
            continue;
        }
        const struct array *flow = find(test, "probability_flow");
        int is_flow = flow != NULL && *(const uint32_t *)flow->data != 0;
        size_t n = *U32("n", NULL), batch, len = shape_of(test, &batch);
        int32_t predictor = predictor_of[*U32("predictor", NULL)];
        const vesde_config config = config_of(test);
        vesde_scheduler scheduler = tables_of(&config, n, n);
        scheduler.sigmas = F32("sigma", NULL);
        scheduler.discrete_sigmas = F32("discrete_sigmas", NULL);
        vesde_sampler_options options = {
            .noise = VESDE_SAMPLER_NOISE_GIVEN, .norm = VESDE_NORM_TORCH, .unclamped = 1,
            .result = VESDE_SAMPLER_RESULT_NOISY,
            .predictor = is_flow ? VESDE_PREDICTOR_REVERSE_DIFFUSION_FLOW : predictor,
            .corrector = corrector_of[*U32("corrector", NULL)],
            .conditions = change == NULL ? VESDE_CONDITIONS_NONE : VESDE_CONDITIONS_DRAWING};
        run(test, &net, &scheduler, &options, change);
        // Where the last step adds no noise, one of the results is recorded.
        count(&tally, sample, F32(find(test, "out_noisy") == NULL ? "out" : "out_noisy", NULL), len);
        if (change == NULL) {
            options.result = VESDE_SAMPLER_RESULT_MEAN;
            run(test, &net, &scheduler, &options, NULL);
        } else {
            change(test, NULL);
        }
        count(&tally, sample, F32("out", NULL), len);
        ++tally.cases;
    }
    line_of_equals(group, tally);
}

static void ncsns(void) {
    struct tally tally = {0};
    for (const char *test = NULL; (test = next_case("ncsn/", test)) != NULL; ++tally.cases) {
        struct network net;
        vesde_config config;
        size_t levels = *U32("levels", NULL), batch, len = shape_of(test, &batch);
        network_of(test, &net);
        OK(vesde_config_default(&config));
        config.sigma_min = *F64("sigma_end");
        config.sigma_max = *F64("sigma_begin");
        config.correct_steps = *U32("n_steps_each", NULL);
        const vesde_scheduler scheduler = tables_of(&config, levels, levels);
        OK(vesde_set_ncsnv2_sigmas(&config, levels, sigmas));
        count(&tally, sigmas, F32("sigmas", NULL), levels);
        vesde_sampler_options options = {
            .noise = VESDE_SAMPLER_NOISE_GIVEN, .unclamped = 1, .result = VESDE_SAMPLER_RESULT_DENOISED,
            .start = VESDE_SAMPLER_START_GIVEN, .predictor = VESDE_PREDICTOR_NONE,
            .corrector = VESDE_CORRECTOR_NCSNV2, .step_lr = (float)*F64("step_lr")};
        memcpy(sample, F32("x0", NULL), len * sizeof *sample);
        run(test, &net, &scheduler, &options, NULL);
        count(&tally, sample, F32("out", NULL), len);
        options.result = VESDE_SAMPLER_RESULT_NOISY;
        memcpy(sample, F32("x0", NULL), len * sizeof *sample);
        run(test, &net, &scheduler, &options, NULL);
        count(&tally, sample, F32("out_noisy", NULL), len);
    }
    line_of_equals("ncsn/", tally);
}

// ---- the probability-flow ODE, and likelihoods ----

// Solves from `sample`, or from the prior's noise in `noise`, with the probe in `probe`. The
// results go to `sample`, `log_densities` and `accepted`: the ODE's variable at the beginning and
// after every accepted step.
static vesde_ode_stats solve(const vesde_config *config, size_t len, size_t batch,
                             vesde_ode_options options, const struct network *net) {
    vesde_ode ode;
    vesde_ode_stats stats = {0};
    vesde_ode_request request = {0};
    vesde_ode_buffers buffers = {.sample = sample, .input = input, .model_output = score, .len = len,
                                 .noise = noise, .probe = probe, .product = product, .workspace = workspace};
    options.noise = options.probe = VESDE_SAMPLER_NOISE_GIVEN;
    OK(vesde_ode_init(config, batch, &options, &ode));
    OK(vesde_ode_log_densities_len(&ode, &buffers.log_densities_len));
    buffers.log_densities = buffers.log_densities_len == 0 ? NULL : log_densities;
    OK(vesde_ode_get_stats(&ode, &stats));
    accepted[0] = stats.u;
    do {
        if (!OK(vesde_ode_next(&ode, &buffers, &request)) || !OK(vesde_ode_get_stats(&ode, &stats))
            || !CHECK(stats.accepted < MOST_STEPS)) {
            break;
        }
        accepted[stats.accepted] = stats.u;
        if (request.kind == VESDE_ODE_REQUEST_KIND_SCORE) {
            evaluate(net, input, len, request.sigma, score, NULL);
        } else if (request.kind == VESDE_ODE_REQUEST_KIND_SCORE_AND_PRODUCT) {
            evaluate(net, input, len, request.sigma, score, probe);
        }
    } while (request.kind != VESDE_ODE_REQUEST_KIND_DONE);
    return stats;
}

// An array of the i-th tolerance.
static const char *of_tolerance(const char *name, size_t i) {
    static char names[4][24];
    static size_t next;
    next = (next + 1) % 4;
    snprintf(names[next], sizeof *names, "%s_%lu", name, (unsigned long)i);
    return names[next];
}

// Compares the times of accepted steps, which may be `most` apart.
static void measure_times(struct distance *times, const vesde_config *config, int32_t variable,
                          const float *theirs, size_t len, double most) {
    for (size_t i = 0; i < len; ++i) {
        double t = accepted[i], their_t = theirs[i];
        if (variable == VESDE_ODE_VARIABLE_SIGMA) {
            OK(vesde_get_timestep(config, t, &t));
            OK(vesde_get_timestep(config, their_t, &their_t));
        }
        measure(times, fabs(t - their_t), most);
    }
}

static void odes(void) {
    struct distance times = {0}, results = {0};
    for (const char *test = NULL; (test = next_case("ode/", test)) != NULL;) {
        struct network net;
        size_t tolerances, batch, len = shape_of(test, &batch), n = *U32("n", NULL);
        const vesde_config config = config_of(test);
        const double *tols = get(test, "tols", "f64", &tolerances);
        if (!network_of(test, &net)) {
            continue;
        }
        for (size_t k = 0; k < tolerances; ++k) {
            for (int encodes = 0; encodes < 2; ++encodes) {
                const vesde_ode_options options = {
                    .rtol = tols[k], .atol = tols[k],
                    .direction = encodes ? VESDE_ODE_DIRECTION_ENCODING : VESDE_ODE_DIRECTION_SAMPLING};
                const float *x = F32(of_tolerance("x", k), NULL), *code = F32(of_tolerance("code", k), NULL);
                size_t t_len;
                const float *t = F32(of_tolerance(encodes ? "code_t" : "t", k), &t_len);
                vesde_generator generator = generator_of(test);
                draw(test, &generator, 0, 0);
                memcpy(sample, x, len * sizeof *x);
                const vesde_ode_stats stats = solve(&config, len, batch, options, &net);
                CHECK(stats.evaluations == *U32(of_tolerance(encodes ? "code_nfe" : "nfe", k), NULL));
                if (CHECK(stats.accepted + 1 == t_len)) {
                    measure_times(&times, &config, options.variable, t, t_len, 2e-4);
                }
                double unit = encodes ? config.sigma_max : 1, most = encodes ? 2e-5 : 5e-6;
                measure_all(&results, sample, encodes ? code : x, len, unit, most);
                if (encodes || k > 0) {
                    continue;
                }
                // Denoised: the last predictor step, and Tweedie's formula, which it is at index 0.
                const vesde_scheduler scheduler = tables_of(&config, n, n);
                float sigma = 0;
                const vesde_step step = {
                    .model_output = score, .sample = sample, .len = len, .batch = batch,
                    .noise = vesde_given_noise(noise), .prev_sample = known, .prev_sample_mean = mean};
                OK(vesde_get_sigma(&config, (float)config.sampling_eps, &sigma));
                evaluate(&net, sample, len, sigma, score, NULL);
                OK(vesde_step_pred(&scheduler, &timesteps[n - 1], 1, &step));
                measure_all(&results, mean, F32("x_denoised_0", NULL), len, 1, 5e-6);
                OK(vesde_tweedie(sample, score, discrete_sigmas[0], len, mean));
                measure_all(&results, mean, F32("x_denoised_0", NULL), len, 1, 5e-6);
            }
        }
        times.cases = ++results.cases;
    }
    line_of_distances("ode/, times", times);
    line_of_distances("ode/, results", results);
}

static void rk45s(void) {
    struct distance times = {0}, results = {0};
    for (const char *test = NULL; (test = next_case("rk45/", test)) != NULL; times.cases = ++results.cases) {
        const double *limits = F64("config"), *ends = F64("ends"), *tolerances = F64("tolerances");
        int is_time = *U32("variable", NULL) == 0, encodes = ends[0] < ends[1];
        const uint32_t *steps = U32("steps", NULL);
        size_t copies = *U32("copies", NULL), t_len, len;
        const float *y = F32("y", &len), *t = F32("at", &t_len);
        struct network net;
        vesde_config config;
        OK(vesde_config_default(&config));
        config.sigma_min = limits[0];
        config.sigma_max = limits[1];
        config.sampling_eps = limits[2];
        network_of(test, &net);
        // 0 is a default in C, and scipy's atol may be that.
        const vesde_ode_options options = {
            .rtol = tolerances[0], .atol = tolerances[1] == 0 ? 1e-300 : tolerances[1],
            .max_step = *F64("max_step"), .first_step = *F64("first_step"),
            .start = VESDE_SAMPLER_START_GIVEN,
            .variable = is_time ? VESDE_ODE_VARIABLE_TIME : VESDE_ODE_VARIABLE_SIGMA,
            .direction = encodes ? VESDE_ODE_DIRECTION_ENCODING : VESDE_ODE_DIRECTION_SAMPLING};
        CHECK(copies * len <= MOST && copies <= MOST_SAMPLES);
        for (size_t i = 0; i < copies; ++i) {
            memcpy(sample + i * len, y, len * sizeof *y);
        }
        const vesde_ode_stats stats = solve(&config, copies * len, copies, options, &net);
        // Here rounding changes which tries are rejected: paper.rs.
        if (strcmp(test, "rk45/13") == 0) {
            CHECK(stats.evaluations == 212 && *U32("nfev", NULL) == 206);
        } else if (CHECK(stats.evaluations == *U32("nfev", NULL) && stats.accepted == steps[0]
                         && stats.rejected == steps[1])) {
            double most = strcmp(test, "rk45/31") == 0 ? 1e-3 : is_time ? 2e-4 : 2e-2;
            measure_times(&times, &config, options.variable, t, t_len, most);
        }
        CHECK(differing(sample, sample + (copies - 1) * len, len) == 0);
        double unit = encodes ? config.sigma_max : 1, most = is_time ? 5e-6 : 2e-5;
        measure_all(&results, sample, F32("result", NULL), len, unit, most);
    }
    line_of_distances("rk45/, times", times);
    line_of_distances("rk45/, results", results);
}

static void likelihoods(void) {
    struct distance bpd = {0};
    for (const char *test = NULL; (test = next_case("lik/", test)) != NULL;) {
        struct network net;
        size_t tolerances, batch, len = shape_of(test, &batch);
        const vesde_config config = config_of(test);
        const double *tols = get(test, "tols", "f64", &tolerances);
        if (!network_of(test, &net)) {
            continue;
        }
        vesde_generator generator = generator_of(test);
        OK(*U32("probe_kind", NULL) == 0 ? vesde_rademacher(&generator, len, probe)
                                         : vesde_randn(&generator, 1, len, probe));
        for (size_t k = 0; k < tolerances; ++k) {
            for (int by_product = 0; by_product < 2; ++by_product) {
                const vesde_ode_options options = {
                    .rtol = tols[k], .atol = tols[k], .direction = VESDE_ODE_DIRECTION_ENCODING,
                    .divergence = by_product ? VESDE_DIVERGENCE_PRODUCT : VESDE_DIVERGENCE_DIFFERENCES};
                double most = tols[k] < 1e-4 ? by_product ? 1e-5 : 2e-4 : by_product ? 2e-4 : 2e-2;
                memcpy(sample, F32("data", NULL), len * sizeof *sample);
                const vesde_ode_stats stats = solve(&config, len, batch, options, &net);
                double off = (double)stats.evaluations - *U32(of_tolerance("nfe", k), NULL);
                CHECK(fabs(off) <= (by_product ? 6 : 12));
                for (size_t i = 0; i < batch; ++i) {
                    vesde_log_likelihood likelihood = {0};
                    OK(vesde_get_log_likelihood(config.sigma_max, sample + i * net.len, net.len,
                                                log_densities[i], &likelihood));
                    double ours = vesde_bits_per_dim(likelihood.log_density, net.len, 256, 1);
                    measure(&bpd, fabs(ours - F32(of_tolerance("bpd", k), NULL)[i]), most);
                }
            }
        }
        ++bpd.cases;
    }
    line_of_distances("lik/, bits/dim", bpd);
}

int main(void) {
    read_vectors("ffi-tests/vectors/paper.txt");
    read_vectors("ffi-tests/vectors/golden.txt");
    conts();
    preds();
    corrects();
    probes();
    loops("pc/", NULL);
    loops("inp/", inpaint);
    loops("col/", color);
    ncsns();
    odes();
    rk45s();
    likelihoods();
    return report();
}
