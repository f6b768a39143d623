// Samples the digits with the network on OpenVINO's CPU plugin. vesde and the network work on the
// same memory: the sample is the network's input and the score its output, and nothing is copied
// between them, which the program asserts.
//
//   digits-openvino [OUTPUT.png [SEED [STEPS [THREADS]]]]
//
// An OUTPUT that ends in .f32 gets the floats.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include <openvino/openvino.hpp>
#include <openvino/opsets/opset8.hpp>

#include "picture.h"
#include "program.h"
#include "vesde.hpp"

namespace {

namespace op = ov::opset8;
using Value = ov::Output<ov::Node>;

void check(vesde::status status, const char *what) { ::check(static_cast<vesde_status>(status), what); }

// -----------------------------------------------------------------------------------------------
// the network

template <typename Op, typename... Arguments>
Value make(const Arguments &...arguments) {
    return Value(std::make_shared<Op>(arguments...));
}

Value constant(const float *values, const ov::Shape &shape) {
    return make<op::Constant>(ov::element::f32, shape, values);
}

// The score (denoised − x)/sigma² of the batch, with the denoiser preconditioned as in Karras et
// al. 2022.
Value score_of(const network &net, const Value &x, const Value &sigma) {
    const auto apply = [](const dense &layer, const Value &input) {
        const Value product = make<op::MatMul>(input, constant(layer.weight, {layer.in, layer.out}));
        return make<op::Add>(product, constant(layer.bias, {layer.out}));
    };
    const auto squared = [](const Value &value) { return make<op::Multiply>(value, value); };

    std::vector<float> classes(DIGITS * CLASSES);
    for (std::size_t i = 0; i < DIGITS; i++)
        classes[i * CLASSES + i / COLUMNS] = 1.0f;

    const Value sd = constant(&net.sd, {1}), tau = constant(net.tau, {net.features});
    const Value variance = squared(sigma), total = make<op::Add>(variance, squared(sd)), root = make<op::Sqrt>(total);
    const Value centred = make<op::Subtract>(x, constant(&net.mean, {1}));
    const Value noise = make<op::Divide>(variance, make<op::Add>(variance, squared(tau)));
    const Value each = make<op::Constant>(ov::element::i64, ov::Shape{2}, std::vector<std::size_t>{DIGITS, net.features});
    const ov::OutputVector input{make<op::Divide>(centred, root), make<op::Broadcast>(noise, each),
                                 constant(classes.data(), {DIGITS, CLASSES})};

    Value hidden = make<op::Relu>(apply(net.layer[0], make<op::Concat>(input, 1)));
    for (std::size_t layer = 1; layer + 1 < net.layers; layer++)
        hidden = make<op::Add>(hidden, make<op::Relu>(apply(net.layer[layer], hidden)));
    const Value gain = make<op::Divide>(sd, make<op::Multiply>(sigma, root));
    return make<op::Subtract>(make<op::Multiply>(apply(net.layer[net.layers - 1], hidden), gain),
                              make<op::Divide>(centred, total));
}

// Where the plugin's own graph has a value before and behind a Window.
struct Sides {
    const void *before = nullptr, *behind = nullptr;
};

// An identity that tells where its input and output lie when it is run. Next to the graph's input
// or output it sees whether the plugin works on the tensors that it was given or on copies of its
// own.
class Window : public ov::op::Op {
public:
    OPENVINO_OP("Window");

    Window(const Value &value, Sides *sides) : Op({value}), sides(sides) { constructor_validate_and_infer_types(); }

    void validate_and_infer_types() override { set_output_type(0, get_input_element_type(0), get_input_partial_shape(0)); }

    std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector &inputs) const override {
        return std::make_shared<Window>(inputs.at(0), sides);
    }

    bool has_evaluate() const override { return true; }

    bool evaluate(ov::TensorVector &outputs, const ov::TensorVector &inputs) const override {
        *sides = {inputs[0].data(), outputs[0].data()};
        inputs[0].copy_to(outputs[0]);
        return true;
    }

private:
    Sides *sides;
};

// ----------------------------------------------------------------------------------------------
// the sampling

// What vesde and the network share.
struct Buffers {
    std::vector<float> sample = std::vector<float>(DIGITS * PIXELS), score = sample;
    float sigma = 1.0f;
};

// The network in a compiled graph over the buffers.
class Engine {
public:
    Engine(const network &net, Buffers &buffers, std::size_t threads, Sides *in = nullptr, Sides *out = nullptr)
        : buffers(buffers) {
        const auto x = std::make_shared<op::Parameter>(ov::element::f32, ov::Shape{DIGITS, PIXELS});
        const auto sigma = std::make_shared<op::Parameter>(ov::element::f32, ov::Shape{1});
        Value score = score_of(net, in ? make<Window>(Value(x), in) : Value(x), sigma);
        if (out)
            score = make<Window>(score, out);
        const auto model = std::make_shared<ov::Model>(ov::OutputVector{score}, ov::ParameterVector{x, sigma});
        // Where a CPU has bfloat16, the plugin would compute in it.
        ov::AnyMap options{ov::hint::inference_precision(ov::element::f32)};
        if (threads != 0)
            options.insert(ov::inference_num_threads(static_cast<int>(threads)));
        request = ov::Core().compile_model(model, "CPU", options).create_infer_request();
        request.set_input_tensor(0, ov::Tensor(ov::element::f32, {DIGITS, PIXELS}, buffers.sample.data()));
        request.set_input_tensor(1, ov::Tensor(ov::element::f32, {1}, &buffers.sigma));
        request.set_output_tensor(ov::Tensor(ov::element::f32, {DIGITS, PIXELS}, buffers.score.data()));
    }

    void evaluate() { request.infer(); }

    // Whether the tensors are still those of the buffers.
    void assert_shared() {
        if (request.get_input_tensor(0).data() != buffers.sample.data()
            || request.get_input_tensor(1).data() != &buffers.sigma
            || request.get_output_tensor().data() != buffers.score.data())
            fail("OpenVINO", "has other tensors than those it was given");
    }

private:
    Buffers &buffers;
    ov::InferRequest request;
};

// The same network with windows on both ends sees the buffers, and gives the same bits.
void assert_no_copies(const network &net, Buffers &buffers, std::size_t threads, Engine &engine) {
    Sides in, out;
    Engine watched(net, buffers, threads, &in, &out);
    check(vesde::counter{}.fill(buffers.sample), "a sample");
    watched.evaluate();
    const std::vector<float> score = buffers.score;
    std::fill(buffers.score.begin(), buffers.score.end(), 0.0f);
    engine.evaluate();
    if (score != buffers.score)
        fail("the network", "is another with windows");
    if (in.before != buffers.sample.data() || out.behind != buffers.score.data())
        fail("OpenVINO", "copies what it was given");
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

void sample(const vesde::scheduler &scheduler, std::uint64_t seed, Engine &engine, Buffers &buffers) {
    using clock = std::chrono::steady_clock;
    using milliseconds = std::chrono::duration<double, std::milli>;
    std::vector<double> in_vesde, in_network; // an update, and an evaluation
    vesde::sampler_options options;
    vesde::sampler sampler;
    vesde::request request;
    options.seed = seed;
    check(sampler.init(scheduler.config, DIGITS, options), "the sampler");
    for (;;) {
        const auto start = clock::now();
        check(sampler.next(scheduler, {buffers.sample, buffers.score}, request), "a step");
        const auto next = clock::now();
        if (request.kind == vesde::request_kind::done)
            break;
        buffers.sigma = request.sigma;
        engine.evaluate();
        in_vesde.push_back(milliseconds(next - start).count());
        in_network.push_back(milliseconds(clock::now() - next).count());
    }
    const double ours = median(in_vesde), theirs = median(in_network);
    std::printf("the network takes %.3f ms, vesde %.3f ms: %.2f %%\n", theirs, ours, 100.0 * ours / (ours + theirs));
}

} // namespace

int main(int argc, char **argv) {
    const char *output = argc > 1 ? argv[1] : "digits.png";
    const std::uint64_t seed = number(argc > 2 ? argv[2] : "42", "SEED");
    const std::size_t steps = number(argc > 3 ? argv[3] : "200", "STEPS");
    const std::size_t threads = number(argc > 4 ? argv[4] : "0", "THREADS");
    if (steps == 0)
        fail("STEPS", "must be at least 1");

    network net;
    vesde::config config;
    const std::unique_ptr<char, void (*)(void *)> file(read_digits(&net, &config), std::free);
    std::vector<float> timesteps(steps), sigmas(steps), discrete_sigmas(steps);
    check(config.set_timesteps(timesteps), "the timesteps");
    check(config.set_sigmas(timesteps, sigmas, discrete_sigmas), "the sigmas");

    Buffers buffers;
    Engine engine(net, buffers, threads);
    engine.assert_shared();
    assert_no_copies(net, buffers, threads, engine);
    sample({config, timesteps, sigmas, discrete_sigmas}, seed, engine, buffers);
    engine.assert_shared();
    write_digits(output, buffers.sample.data(), buffers.sample.size());
    return 0;
}
