// Samples the digits with the network as a ggml graph and vesde's steps as custom ops in it: one graph is a
// whole step, on ggml's threads alone, and vesde adds no buffer to the graph but the sums of squares and
// norms of corrector steps.
//
//   digits-ggml MODEL.gguf OUTPUT THREADS [SEED [STEPS [loop]]]
//
// writes OUTPUT.png, and OUTPUT.f32 to be compared bit by bit. With `loop` a graph is the network alone, and
// vesde_sampler_next makes the steps between graphs.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "ggml-cpp.h"
#include "ggml-cpu.h"
#include "picture.h"
#include "vesde.h"

namespace {

[[noreturn]] void fail(const std::string &what, const char *why) {
    std::fprintf(stderr, "digits-ggml: %s: %s\n", what.c_str(), why);
    std::exit(1);
}

void check(vesde_status status, const char *what) {
    if (status != VESDE_OK)
        fail(what, vesde_status_message(status));
}

// ----------------------------------------------------------------------------------------------- the network

// The CPU backend with threads that outlive a graph.
struct Engine {
    struct FreeThreadpool {
        void operator()(ggml_threadpool *threadpool) { ggml_threadpool_free(threadpool); }
    };
    ggml_backend_ptr backend{ggml_backend_cpu_init()};
    std::unique_ptr<ggml_threadpool, FreeThreadpool> threads;

    explicit Engine(int count) {
        ggml_threadpool_params params = ggml_threadpool_params_default(count);
        threads.reset(ggml_threadpool_new(&params));
        if (!backend || !threads)
            fail("ggml", "cannot start");
        ggml_backend_cpu_set_n_threads(backend.get(), count);
        ggml_backend_cpu_set_threadpool(backend.get(), threads.get());
    }
};

struct Network {
    vesde_config config;
    ggml_context_ptr tensors;
    ggml_backend_buffer_ptr memory;

    Network(const char *path, const Engine &engine) {
        ggml_context *context = nullptr;
        gguf_context_ptr file(gguf_init_from_file(path, {/*no_alloc=*/true, &context}));
        tensors.reset(context);
        const int64_t key = file ? gguf_find_key(file.get(), "scheduler_config") : -1;
        if (key < 0 || gguf_get_kv_type(file.get(), key) != GGUF_TYPE_STRING)
            fail(path, "is not a GGUF file of the digits");
        const char *json = gguf_get_val_str(file.get(), key);
        check(vesde_config_from_json(json, std::strlen(json), &config), "scheduler_config");

        memory.reset(ggml_backend_alloc_ctx_tensors(context, engine.backend.get()));
        std::FILE *bytes = ggml_fopen(path, "rb");
        for (int64_t i = 0; i < gguf_get_n_tensors(file.get()); i++) {
            ggml_tensor *tensor = ggml_get_tensor(context, gguf_get_tensor_name(file.get(), i));
            const size_t at = gguf_get_data_offset(file.get()) + gguf_get_tensor_offset(file.get(), i);
            // The CPU backend's memory is the program's own.
            if (!bytes || std::fseek(bytes, static_cast<long>(at), SEEK_SET) != 0
                || std::fread(tensor->data, 1, ggml_nbytes(tensor), bytes) != ggml_nbytes(tensor))
                fail(path, "cannot be read");
        }
        std::fclose(bytes);
    }

    ggml_tensor *find(const std::string &name) const {
        ggml_tensor *tensor = ggml_get_tensor(tensors.get(), name.c_str());
        if (!tensor || tensor->type != GGML_TYPE_F32)
            fail(name, "is not in the file as F32");
        return tensor;
    }

    // Adds the score (denoised − x)/sigma² of a batch to the graph, with the denoiser preconditioned as in
    // Karras et al. 2022.
    ggml_tensor *score(ggml_context *graph, ggml_tensor *x, ggml_tensor *sigma, ggml_tensor *one_hot) const {
        const auto dense = [&](int layer, ggml_tensor *input) {
            const std::string name = "dense" + std::to_string(layer);
            ggml_tensor *product = ggml_mul_mat(graph, find(name + ".weight"), input);
            return ggml_add(graph, product, find(name + ".bias"));
        };
        int last = 0;
        while (ggml_get_tensor(tensors.get(), ("dense" + std::to_string(last + 1) + ".bias").c_str()))
            last++;

        ggml_tensor *sd = find("sd"), *tau = find("tau");
        ggml_tensor *variance = ggml_sqr(graph, sigma);
        ggml_tensor *total = ggml_add(graph, variance, ggml_sqr(graph, sd));
        ggml_tensor *root = ggml_sqrt(graph, total), *centred = ggml_sub(graph, x, find("mean"));
        ggml_tensor *noise = ggml_div(graph, ggml_repeat(graph, variance, tau),
                                      ggml_add(graph, ggml_sqr(graph, tau), variance));
        ggml_tensor *input = ggml_concat(graph, ggml_div(graph, centred, root),
                                         ggml_repeat_4d(graph, noise, tau->ne[0], x->ne[1], 1, 1), 0);
        ggml_tensor *hidden = ggml_relu(graph, dense(0, ggml_concat(graph, input, one_hot, 0)));
        for (int layer = 1; layer < last; layer++)
            hidden = ggml_add(graph, hidden, ggml_relu(graph, dense(layer, hidden)));
        ggml_tensor *gain = ggml_div(graph, sd, ggml_mul(graph, sigma, root));
        return ggml_sub(graph, ggml_mul(graph, dense(last, hidden), gain), ggml_div(graph, centred, total));
    }
};

// -------------------------------------------------------------------------------------- vesde's steps as ops

// What the ops of a graph share; the step is set between graphs.
struct Steps {
    vesde_scheduler scheduler;
    float timestep = 0;
    bool last = false;
    std::atomic<vesde_status> status{VESDE_OK};
    int64_t microseconds = 0; // spent in the step's ops by thread 0

    // An op cannot return an error: the first is kept, and ggml's abort callback asks for it after each node.
    bool ok(vesde_status now) {
        vesde_status none = VESDE_OK;
        return now == VESDE_OK || (status.compare_exchange_strong(none, now), false);
    }
};

// One update of a step and its draw of noise: what the ops are given.
struct Draw {
    Steps *steps;
    vesde_counter noise;

    // The noise that belongs to element `at`, wherever the work is cut.
    vesde_counter from(size_t at) const { return {noise.seed, noise.stream, noise.index + at}; }
};

float *floats(const ggml_tensor *tensor) { return static_cast<float *>(tensor->data); }
double *doubles(const ggml_tensor *tensor) { return static_cast<double *>(tensor->data); }

// Of 0..len, the range of thread `ith`, cut at multiples of `unit`.
struct Part {
    size_t begin, end;

    Part(size_t len, size_t unit, int ith, int nth) {
        const size_t units = (len + unit - 1) / unit;
        const size_t i = static_cast<size_t>(ith), n = static_cast<size_t>(nth);
        begin = std::min(len, units * i / n * unit);
        end = std::min(len, units * (i + 1) / n * unit);
    }
};

// x ← x + drift·score + diffusion·noise on a thread's part. Noise is seeded anew every 1024 elements, where a
// part begins best.
void update(const Draw &draw, float drift, float diffusion, const ggml_tensor *score, ggml_tensor *x, int ith,
            int nth) {
    const Part part(static_cast<size_t>(ggml_nelements(x)), 1024, ith, nth);
    float *begin = floats(x) + part.begin;
    if (part.begin != part.end)
        draw.steps->ok(vesde_update_counter(drift, diffusion, floats(score) + part.begin, begin,
                                            part.end - part.begin, draw.from(part.begin), begin, nullptr));
}

// Corrector, phase 1: sums of squares of score and noise, [block of a sample][sample][score, noise]. Noise is
// stored nowhere.
void sum_squares(const Draw &draw, ggml_tensor *sums, int ith, int nth) {
    const ggml_tensor *score = sums->src[0];
    const size_t pixels = static_cast<size_t>(score->ne[0]), blocks = static_cast<size_t>(sums->ne[0]);
    const size_t all = blocks * static_cast<size_t>(sums->ne[1]);
    for (Part part(all, 1, ith, nth); part.begin != part.end; part.begin++) {
        const size_t in_sample = part.begin % blocks * VESDE_NORM_BLOCK;
        const size_t at = part.begin / blocks * pixels + in_sample;
        const size_t len = std::min<size_t>(pixels - in_sample, VESDE_NORM_BLOCK);
        draw.steps->ok(vesde_sum_squares(floats(score) + at, len, 1, doubles(sums) + part.begin));
        draw.steps->ok(vesde_sum_squares_counter(draw.from(at), len, 1, doubles(sums) + all + part.begin));
    }
}

// Phase 2, once every sum is there: the norms, [sample][score, noise].
void take_norms(const Draw &draw, ggml_tensor *norms, int ith, int nth) {
    const size_t blocks = static_cast<size_t>(norms->src[0]->ne[0]);
    for (Part part(static_cast<size_t>(ggml_nelements(norms)), 1, ith, nth); part.begin != part.end;
         part.begin++)
        draw.steps->ok(vesde_sample_norm(doubles(norms->src[0]) + part.begin * blocks, blocks,
                                         doubles(norms) + part.begin));
}

// Phase 3, once every norm is there: each thread finds the same step size, and updates its part.
void correct(const Draw &draw, ggml_tensor *x, int ith, int nth) {
    const double *norms = doubles(x->src[2]);
    const size_t batch = static_cast<size_t>(x->src[2]->ne[0]);
    double score_norm, noise_norm;
    vesde_corrector_step step;
    if (draw.steps->ok(vesde_mean_norm(norms, batch, VESDE_NORM_EXACT, &score_norm))
        && draw.steps->ok(vesde_mean_norm(norms + batch, batch, VESDE_NORM_EXACT, &noise_norm))
        && draw.steps->ok(vesde_get_corrector_step(draw.steps->scheduler.config.snr, score_norm, noise_norm,
                                                   VESDE_NORM_EXACT, &step)))
        update(draw, step.step_size, step.noise_factor, x->src[1], x, ith, nth);
}

void predict(const Draw &draw, ggml_tensor *x, int ith, int nth) {
    const Steps &steps = *draw.steps;
    vesde_predictor_step step;
    if (!draw.steps->ok(vesde_get_predictor_step(&steps.scheduler, steps.timestep, &step)))
        return;
    // The result is the last mean, without noise, clamped.
    update(draw, step.drift, steps.last ? 0.0f : step.diffusion, x->src[1], x, ith, nth);
    const Part part(static_cast<size_t>(ggml_nelements(x)), 1024, ith, nth);
    if (steps.last)
        std::for_each(floats(x) + part.begin, floats(x) + part.end,
                      [](float &value) { value = std::clamp(value, 0.0f, 1.0f); });
}

// One of these functions as ggml calls it.
template <void (*run)(const Draw &, ggml_tensor *, int, int)>
void op(ggml_tensor *result, int ith, int nth, void *draw) {
    const int64_t start = ggml_time_us();
    run(*static_cast<const Draw *>(draw), result, ith, nth);
    if (ith == 0)
        static_cast<const Draw *>(draw)->steps->microseconds += ggml_time_us() - start;
}

ggml_tensor *add_corrector(ggml_context *graph, ggml_tensor *x, ggml_tensor *score, Draw *draw) {
    const auto blocks = static_cast<int64_t>(vesde_norm_blocks(static_cast<size_t>(x->ne[0])));
    ggml_tensor *sums = ggml_custom_4d(graph, GGML_TYPE_F64, blocks, x->ne[1], 2, 1, &score, 1,
                                       op<sum_squares>, GGML_N_TASKS_MAX, draw);
    ggml_tensor *norms = ggml_custom_4d(graph, GGML_TYPE_F64, x->ne[1], 2, 1, 1, &sums, 1, op<take_norms>,
                                        GGML_N_TASKS_MAX, draw);
    ggml_tensor *args[] = {score, norms};
    return ggml_custom_inplace(graph, x, args, 2, op<correct>, GGML_N_TASKS_MAX, draw);
}

ggml_tensor *add_predictor(ggml_context *graph, ggml_tensor *x, ggml_tensor *score, Draw *draw) {
    return ggml_custom_inplace(graph, x, &score, 1, op<predict>, GGML_N_TASKS_MAX, draw);
}

// ---------------------------------------------------------------------------------------------- the sampling

// The tensors that live as long as the job, and the graph over them.
struct Job {
    const Engine &engine;
    ggml_context_ptr inputs{ggml_init({3 * ggml_tensor_overhead(), nullptr, /*no_alloc=*/true})};
    ggml_context_ptr nodes;
    ggml_backend_buffer_ptr memory;
    ggml_gallocr_ptr allocator;
    ggml_tensor *x, *sigma, *one_hot;
    ggml_cgraph *graph;

    explicit Job(const Engine &engine) : engine(engine) {
        x = ggml_new_tensor_2d(inputs.get(), GGML_TYPE_F32, PIXELS, DIGITS);
        sigma = ggml_new_tensor_1d(inputs.get(), GGML_TYPE_F32, 1);
        one_hot = ggml_new_tensor_2d(inputs.get(), GGML_TYPE_F32, CLASSES, DIGITS);
        memory.reset(ggml_backend_alloc_ctx_tensors(inputs.get(), engine.backend.get()));
        for (int i = 0; i < DIGITS; i++)
            for (int c = 0; c < CLASSES; c++)
                floats(one_hot)[i * CLASSES + c] = c == i / COLUMNS ? 1.0f : 0.0f;
        const size_t room = GGML_DEFAULT_GRAPH_SIZE * ggml_tensor_overhead() + ggml_graph_overhead();
        nodes.reset(ggml_init({room, nullptr, /*no_alloc=*/true}));
        graph = ggml_new_graph(nodes.get());
        allocator.reset(ggml_gallocr_new(ggml_backend_get_default_buffer_type(engine.backend.get())));
    }

    void allocate(ggml_tensor *result) {
        ggml_set_output(result);
        ggml_build_forward_expand(graph, result);
        if (!ggml_gallocr_alloc_graph(allocator.get(), graph))
            fail("memory", "there is not enough");
    }

    bool compute() const {
        return ggml_backend_graph_compute(engine.backend.get(), graph) == GGML_STATUS_SUCCESS;
    }
};

void progress(size_t step, size_t steps) {
    if ((step + 1) % 50 == 0 || step + 1 == steps)
        std::fprintf(stderr, "step %zu of %zu\n", step + 1, steps);
}

int64_t median(std::vector<int64_t> values) {
    const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// Every step a graph, vesde's part of it included.
void sample_in_graphs(Job &job, const Network &network, const vesde_scheduler &scheduler, uint64_t seed) {
    Steps steps;
    steps.scheduler = scheduler;
    std::vector<Draw> draws(scheduler.config.correct_steps + 1, Draw{&steps, {seed, 0, 0}});
    ggml_tensor *x = job.x;
    for (Draw &draw : draws) {
        ggml_tensor *score = network.score(job.nodes.get(), x, job.sigma, job.one_hot);
        x = (&draw == &draws.back() ? add_predictor : add_corrector)(job.nodes.get(), x, score, &draw);
    }
    job.allocate(x);
    const auto failed = [](void *shared) { return static_cast<Steps *>(shared)->status.load() != VESDE_OK; };
    ggml_backend_cpu_set_abort_callback(job.engine.backend.get(), failed, &steps);

    // Stream 0 is the initial sample's, each later draw takes the next: the sampler's order.
    vesde_counter noise = {seed, 0, 0};
    float init_noise_sigma;
    check(vesde_init_noise_sigma(&scheduler.config, &init_noise_sigma), "init_noise_sigma");
    check(vesde_counter_fill(noise, DIGITS * PIXELS, floats(job.x)), "initial sample");
    std::for_each(floats(job.x), floats(job.x) + DIGITS * PIXELS,
                  [=](float &value) { value *= init_noise_sigma; });

    std::vector<int64_t> whole, in_vesde; // microseconds a step
    for (size_t step = 0; step < scheduler.timesteps_len; step++) {
        progress(step, scheduler.timesteps_len);
        steps.timestep = scheduler.timesteps[step];
        steps.last = step + 1 == scheduler.timesteps_len;
        *floats(job.sigma) = scheduler.sigmas[step];
        for (Draw &draw : draws)
            draw.noise.stream = ++noise.stream;
        steps.microseconds = 0;
        const int64_t start = ggml_time_us();
        const bool computed = job.compute();
        whole.push_back(ggml_time_us() - start);
        in_vesde.push_back(steps.microseconds);
        check(steps.status, "a step");
        if (!computed)
            fail("ggml", "cannot compute the graph");
    }
    const int64_t step = median(whole), ours = median(in_vesde);
    std::printf("a step takes %.2f ms, of which vesde %.3f ms: %.2f %%\n", 1e-3 * step, 1e-3 * ours,
                100.0 * ours / step);
}

// The network a graph, vesde on one thread between two of them.
void sample_in_loop(Job &job, const Network &network, const vesde_scheduler &scheduler, uint64_t seed) {
    vesde_sampler_options options = {};
    vesde_sampler sampler;
    vesde_request request;
    ggml_tensor *score = network.score(job.nodes.get(), job.x, job.sigma, job.one_hot);
    job.allocate(score);
    options.seed = seed;
    check(vesde_sampler_init(&scheduler.config, DIGITS, &options, &sampler), "sampler");
    for (;;) {
        const vesde_status status = vesde_sampler_next(&sampler, &scheduler, floats(score), nullptr,
                                                       DIGITS * PIXELS, floats(job.x), &request);
        check(status, "a step");
        if (request.kind == VESDE_REQUEST_KIND_DONE)
            return;
        if (request.correction == 0)
            progress(request.step, request.steps);
        *floats(job.sigma) = request.sigma;
        if (!job.compute())
            fail("ggml", "cannot compute the graph");
    }
}

unsigned long number(const char *text, const char *what) {
    char *end;
    const unsigned long value = std::strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0)
        fail(what, "must be a number");
    return value;
}

} // namespace

int main(int argc, char **argv) {
    const bool loop = argc == 7 && std::strcmp(argv[6], "loop") == 0;
    if (argc < 4 || argc > 7 || (argc == 7 && !loop))
        fail("usage", "digits-ggml MODEL.gguf OUTPUT THREADS [SEED [STEPS [loop]]]");
    const std::string output = argv[2];
    const unsigned long threads = number(argv[3], "THREADS");
    const unsigned long seed = number(argc > 4 ? argv[4] : "42", "SEED");
    const size_t steps = number(argc > 5 ? argv[5] : "200", "STEPS");
    if (threads == 0 || threads > GGML_MAX_N_THREADS || steps == 0)
        fail("THREADS and STEPS", "must be at least 1");

    ggml_time_init();
    const Engine engine(static_cast<int>(threads));
    const Network network(argv[1], engine);
    std::vector<float> timesteps(steps), sigmas(steps), discrete_sigmas(steps);
    float *t = timesteps.data(), *s = sigmas.data(), *d = discrete_sigmas.data();
    check(vesde_set_timesteps(&network.config, steps, t), "timesteps");
    check(vesde_set_sigmas(&network.config, t, steps, steps, s, d), "sigmas");
    const vesde_scheduler scheduler = {network.config, t, steps, s, steps, d, steps};

    Job job(engine);
    (loop ? sample_in_loop : sample_in_graphs)(job, network, scheduler, seed);

    std::FILE *raw = std::fopen((output + ".f32").c_str(), "wb");
    if (!raw || std::fwrite(job.x->data, 1, ggml_nbytes(job.x), raw) != ggml_nbytes(job.x)
        || std::fclose(raw) != 0)
        fail(output + ".f32", "cannot be written");
    if (write_picture((output + ".png").c_str(), floats(job.x)) != 0)
        fail(output + ".png", "cannot be written");
    return 0;
}
