// Samples the digits with the network as a ggml graph and vesde's steps as custom ops in it: one
// graph is a whole step, on ggml's threads alone, and vesde adds no buffer to the graph but the
// sums of squares and norms of corrector steps.
//
//   digits-ggml MODEL.gguf OUTPUT THREADS [SEED [STEPS [loop]]]
//
// writes OUTPUT.png, and OUTPUT.f32 to be compared bit by bit. With `loop` a graph is the network
// alone, and vesde_sampler_next makes the steps between graphs.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "engine.hpp"
#include "host.h"
#include "picture.h"
#include "vesde.h"

namespace {

// -----------------------------------------------------------------------------------------------
// the network

struct Network {
    vesde_config config;
    Weights weights;

    Network(const char *path, const Engine &engine) : weights(path, engine) {
        const char *json = weights.text("scheduler_config");
        check(vesde_config_from_json(json, std::strlen(json), &config), "scheduler_config");
    }

    // Adds the score (denoised − x)/sigma² of a batch to the graph, with the denoiser
    // preconditioned as in Karras et al. 2022.
    ggml_tensor *score(ggml_context *graph, ggml_tensor *x, ggml_tensor *sigma, ggml_tensor *one_hot) const {
        const auto find = [&](const std::string &name) { return weights.find(name); };
        const auto dense = [&](int layer, ggml_tensor *input) {
            const std::string name = "dense" + std::to_string(layer);
            ggml_tensor *product = ggml_mul_mat(graph, find(name + ".weight"), input);
            return ggml_add(graph, product, find(name + ".bias"));
        };
        int last = 0;
        while (weights.has("dense" + std::to_string(last + 1) + ".bias"))
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

// -------------------------------------------------------------------------------------- vesde's
// steps as ops

// The common state of a graph's ops.
struct Ops {
    std::atomic<vesde_status> status{VESDE_OK};
    int64_t microseconds = 0; // spent in the step's ops by thread 0

    // An op cannot return an error: the first is kept, and ggml's abort callback asks for it after
    // each node.
    bool ok(vesde_status now) {
        vesde_status none = VESDE_OK;
        return now == VESDE_OK || (status.compare_exchange_strong(none, now), false);
    }
};

// One update of a step: what its ops are given. The plan is set between graphs.
struct Turn {
    Ops *ops;
    vesde_plan plan;

    // The noise from element `at` on, the same wherever the work is cut.
    vesde_noise noise(size_t at) const {
        return vesde_counter_noise({plan.counter.seed, plan.counter.stream, plan.counter.index + at});
    }
};

double *doubles(const ggml_tensor *tensor) { return static_cast<double *>(tensor->data); }

// Thread `ith`'s range of 0..len, cut at multiples of `unit`.
struct Part {
    size_t begin, end;

    Part(size_t len, size_t unit, int ith, int nth) {
        const size_t units = (len + unit - 1) / unit;
        const size_t i = static_cast<size_t>(ith), n = static_cast<size_t>(nth);
        begin = std::min(len, units * i / n * unit);
        end = std::min(len, units * (i + 1) / n * unit);
    }
};

// A reduction, phase 1: sums of squares, [block of a sample][sample][score, noise]. Noise is stored
// nowhere.
void sum_squares(const Turn &turn, ggml_tensor *sums, int ith, int nth) {
    const ggml_tensor *score = sums->src[0];
    const size_t pixels = static_cast<size_t>(score->ne[0]), blocks = static_cast<size_t>(sums->ne[0]);
    const size_t all = blocks * static_cast<size_t>(sums->ne[1]);
    for (Part part(all, 1, ith, nth); part.begin != part.end; part.begin++) {
        const size_t in_sample = part.begin % blocks * VESDE_NORM_BLOCK;
        const size_t at = part.begin / blocks * pixels + in_sample;
        const size_t len = std::min<size_t>(pixels - in_sample, VESDE_NORM_BLOCK);
        turn.ops->ok(vesde_sum_squares(vesde_given_noise(floats(score) + at), len, 1,
                                       doubles(sums) + part.begin));
        turn.ops->ok(vesde_sum_squares(turn.noise(at), len, 1, doubles(sums) + all + part.begin));
    }
}

// Phase 2, once every sum is there: the norms, [sample][score, noise].
void take_norms(const Turn &turn, ggml_tensor *norms, int ith, int nth) {
    const size_t blocks = static_cast<size_t>(norms->src[0]->ne[0]);
    for (Part part(static_cast<size_t>(ggml_nelements(norms)), 1, ith, nth); part.begin != part.end;
         part.begin++)
        turn.ops->ok(vesde_sample_norm(doubles(norms->src[0]) + part.begin * blocks, blocks,
                                       doubles(norms) + part.begin));
}

// Phase 3, once every norm is there: each thread finds the same factors.
bool complete(Ops &ops, const ggml_tensor *all, vesde_plan &plan) {
    const double *norms = doubles(all);
    const size_t batch = static_cast<size_t>(all->ne[0]);
    double score_norm, noise_norm;
    vesde_corrector_step step;
    if (!ops.ok(vesde_mean_norm(norms, batch, plan.norm, &score_norm))
        || !ops.ok(vesde_mean_norm(norms + batch, batch, plan.norm, &noise_norm))
        || !ops.ok(vesde_get_corrector_step(plan.snr, score_norm, noise_norm, plan.norm, &step)))
        return false;
    plan.terms[1].factor = step.step_size; // of the model output
    plan.noise_factor = step.noise_factor;
    return true;
}

// Runs the plan on a thread's part. This method has no history. Noise is seeded anew every 1024
// elements, so that parts which begin there cost least.
void update(const Turn &turn, ggml_tensor *x, int ith, int nth) {
    vesde_plan plan = turn.plan;
    if (plan.reduction == VESDE_REDUCTION_CORRECTOR_NORMS && !complete(*turn.ops, x->src[2], plan))
        return;
    const Part part(static_cast<size_t>(ggml_nelements(x)), 1024, ith, nth);
    if (part.begin == part.end)
        return;
    float *const out = floats(x) + part.begin;
    const ggml_tensor *const score = x->src[1];
    // As vesde_operand numbers them; the initial sample has no score.
    const float *const operands[] = {out, score ? floats(score) + part.begin : nullptr};
    const vesde_combination sum =
        vesde_plan_combination(&plan, operands, turn.noise(part.begin), part.end - part.begin, out);
    turn.ops->ok(vesde_linear(&sum));
}

// One of these functions as ggml calls it.
template <void (*run)(const Turn &, ggml_tensor *, int, int)>
void op(ggml_tensor *result, int ith, int nth, void *turn) {
    const int64_t start = ggml_time_us();
    run(*static_cast<const Turn *>(turn), result, ith, nth);
    if (ith == 0)
        static_cast<const Turn *>(turn)->ops->microseconds += ggml_time_us() - start;
}

// Adds the update to the graph, behind the reduction that its plan asks for.
ggml_tensor *add_update(ggml_context *graph, ggml_tensor *x, ggml_tensor *score, Turn *turn) {
    ggml_tensor *args[] = {score, nullptr};
    if (turn->plan.reduction == VESDE_REDUCTION_NONE)
        return ggml_custom_inplace(graph, x, args, 1, op<update>, GGML_N_TASKS_MAX, turn);
    const auto blocks = static_cast<int64_t>(vesde_norm_blocks(static_cast<size_t>(x->ne[0])));
    ggml_tensor *sums = ggml_custom_4d(graph, GGML_TYPE_F64, blocks, x->ne[1], 2, 1, &score, 1,
                                       op<sum_squares>, GGML_N_TASKS_MAX, turn);
    args[1] = ggml_custom_4d(graph, GGML_TYPE_F64, x->ne[1], 2, 1, 1, &sums, 1, op<take_norms>,
                             GGML_N_TASKS_MAX, turn);
    return ggml_custom_inplace(graph, x, args, 2, op<update>, GGML_N_TASKS_MAX, turn);
}

// ----------------------------------------------------------------------------------------------
// the sampling

// The state of a job, the graph, and the tensors that live as long as it does.
struct Job : Graph {
    vesde_sampler sampler;
    ggml_tensor *x, *sigma, *one_hot;

    explicit Job(const Engine &engine) : Graph(engine) {
        x = ggml_new_tensor_2d(inputs.get(), GGML_TYPE_F32, PIXELS, DIGITS);
        sigma = ggml_new_tensor_1d(inputs.get(), GGML_TYPE_F32, 1);
        one_hot = ggml_new_tensor_2d(inputs.get(), GGML_TYPE_F32, CLASSES, DIGITS);
        allocate_inputs();
        for (int i = 0; i < DIGITS; i++)
            for (int c = 0; c < CLASSES; c++)
                floats(one_hot)[i * CLASSES + c] = c == i / COLUMNS ? 1.0f : 0.0f;
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

// Each step is one graph, vesde's part included.
void sample_in_graphs(Job &job, const Network &network, const vesde_scheduler &scheduler) {
    Ops ops;
    Turn initial{&ops, {}};
    std::vector<Turn> turns(scheduler.config.correct_steps + 1, initial);
    vesde_request request;

    // A copy of the state looks ahead at the first step: every step has the same reductions.
    vesde_sampler ahead = job.sampler;
    check(vesde_sampler_plan(&ahead, &scheduler, &initial.plan, &request), "a plan");
    ggml_tensor *x = job.x;
    for (Turn &turn : turns) {
        check(vesde_sampler_plan(&ahead, &scheduler, &turn.plan, &request), "a plan");
        ggml_tensor *score = network.score(job.nodes.get(), x, job.sigma, job.one_hot);
        x = add_update(job.nodes.get(), x, score, &turn);
    }
    job.allocate(x);
    const auto failed = [](void *shared) { return static_cast<Ops *>(shared)->status.load() != VESDE_OK; };
    ggml_backend_cpu_set_abort_callback(job.engine.backend.get(), failed, &ops);

    check(vesde_sampler_plan(&job.sampler, &scheduler, &initial.plan, &request), "a plan");
    update(initial, job.x, 0, 1);
    std::vector<int64_t> whole, in_vesde; // microseconds a step
    while (request.kind != VESDE_REQUEST_KIND_DONE) {
        progress(request.step, request.steps);
        *floats(job.sigma) = request.sigma; // of all updates of the step
        for (Turn &turn : turns)
            check(vesde_sampler_plan(&job.sampler, &scheduler, &turn.plan, &request), "a plan");
        ops.microseconds = 0;
        const int64_t start = ggml_time_us();
        const bool computed = job.compute();
        whole.push_back(ggml_time_us() - start);
        in_vesde.push_back(ops.microseconds);
        check(ops.status, "a step");
        if (!computed)
            fail("ggml", "cannot compute the graph");
    }
    const int64_t step = median(whole), ours = median(in_vesde);
    std::printf("a step takes %.2f ms, of which vesde %.3f ms: %.2f %%\n", 1e-3 * step, 1e-3 * ours,
                100.0 * ours / step);
}

// The network alone is the graph; between two runs of it vesde works on one thread.
void sample_in_loop(Job &job, const Network &network, const vesde_scheduler &scheduler) {
    vesde_request request;
    ggml_tensor *score = network.score(job.nodes.get(), job.x, job.sigma, job.one_hot);
    job.allocate(score);
    vesde_buffers buffers = {};
    buffers.sample = floats(job.x);
    buffers.model_output = floats(score);
    buffers.len = DIGITS * PIXELS;
    for (;;) {
        check(vesde_sampler_next(&job.sampler, &scheduler, &buffers, &request), "a step");
        if (request.kind == VESDE_REQUEST_KIND_DONE)
            return;
        if (request.correction == 0)
            progress(request.step, request.steps);
        *floats(job.sigma) = request.sigma;
        if (!job.compute())
            fail("ggml", "cannot compute the graph");
    }
}

} // namespace

int main(int argc, char **argv) {
    const bool loop = argc == 7 && std::strcmp(argv[6], "loop") == 0;
    if (argc < 4 || argc > 7 || (argc == 7 && !loop))
        fail("usage", "digits-ggml MODEL.gguf OUTPUT THREADS [SEED [STEPS [loop]]]");
    const std::string output = argv[2];
    const uint64_t threads = number(argv[3], "THREADS");
    const uint64_t seed = number(argc > 4 ? argv[4] : "42", "SEED");
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
    vesde_sampler_options options = {};
    options.seed = seed;
    check(vesde_sampler_init(&network.config, DIGITS, &options, &job.sampler), "sampler");
    (loop ? sample_in_loop : sample_in_graphs)(job, network, scheduler);

    std::FILE *raw = std::fopen((output + ".f32").c_str(), "wb");
    if (!raw || std::fwrite(job.x->data, 1, ggml_nbytes(job.x), raw) != ggml_nbytes(job.x)
        || std::fclose(raw) != 0)
        fail((output + ".f32").c_str(), "cannot be written");
    if (write_picture((output + ".png").c_str(), floats(job.x)) != 0)
        fail((output + ".png").c_str(), "cannot be written");
    return 0;
}
