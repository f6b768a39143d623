// Samples the digits with the network on OpenVINO's CPU plugin. vesde and the network work on the
// same memory: the sample is the network's input and the score its output, and nothing is copied
// between them, which the program asserts.
//
//   digits-openvino [OUTPUT.png [SEED [STEPS [THREADS]]]]
//
// An OUTPUT that ends in .f32 gets the floats.

#include <cstdlib>
#include <memory>
#include <vector>

#include <openvino/openvino.hpp>
#include <openvino/opsets/opset8.hpp>

#include "engine.hpp"
#include "picture.h"
#include "program.h"
#include "timing.hpp"
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

// The network as a graph of x and sigma.
std::shared_ptr<ov::Model> model_of(const network &net) {
    const auto x = std::make_shared<op::Parameter>(ov::element::f32, ov::Shape{DIGITS, PIXELS});
    const auto sigma = std::make_shared<op::Parameter>(ov::element::f32, ov::Shape{1});
    const ov::OutputVector score{score_of(net, x, sigma)};
    return std::make_shared<ov::Model>(score, ov::ParameterVector{x, sigma});
}

// ----------------------------------------------------------------------------------------------
// the sampling

// What vesde and the network share.
struct Buffers {
    std::vector<float> sample = std::vector<float>(DIGITS * PIXELS), score = sample;
    float sigma = 1.0f;
};

void sample(const vesde::scheduler &scheduler, std::uint64_t seed, Engine &engine, Buffers &buffers) {
    vesde::sampler_options options;
    vesde::sampler sampler;
    vesde::request request;
    Timing timing;
    options.seed = seed;
    check(sampler.init(scheduler.config, DIGITS, options), "the sampler");
    for (;;) {
        timing.vesde([&] {
            check(sampler.next(scheduler, {buffers.sample, buffers.score}, request), "a step");
        });
        if (request.kind == vesde::request_kind::done)
            break;
        buffers.sigma = request.sigma;
        timing.network([&] { engine.evaluate(); });
    }
    timing.print();
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
    const std::shared_ptr<ov::Model> model = model_of(net);
    const Shared shared{{{ov::element::f32, {DIGITS, PIXELS}, buffers.sample.data()},
                         {ov::element::f32, {1}, &buffers.sigma}},
                        {ov::element::f32, {DIGITS, PIXELS}, buffers.score.data()}};
    Engine engine(model, shared, threads);
    engine.assert_shared();
    check(vesde::counter{}.fill(buffers.sample), "a sample");
    assert_no_copies(*model, shared, threads, engine);
    sample({config, timesteps, sigmas, discrete_sigmas}, seed, engine, buffers);
    engine.assert_shared();
    write_digits(output, buffers.sample.data(), buffers.sample.size());
    return 0;
}
