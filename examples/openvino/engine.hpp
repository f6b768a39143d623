// A network on OpenVINO's CPU plugin, whose inputs and output are memory of the program's, and the
// proof that nothing copies them.

#ifndef ENGINE_HPP
#define ENGINE_HPP

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include <openvino/openvino.hpp>

#include "host.h"

// Tensors over the program's memory: the network's inputs (the sample is the first) and its output.
struct Shared {
    std::vector<ov::Tensor> inputs;
    ov::Tensor output;
};

// Where a value lies before and behind a Window, in the plugin's own graph.
struct Sides {
    const void *before = nullptr, *behind = nullptr;
};

// An identity that tells where its input and output lie when it is run. Next to the graph's input
// or output it sees whether the plugin works on the tensors that it was given or on copies of its
// own.
class Window : public ov::op::Op {
public:
    OPENVINO_OP("Window");

    Window(const ov::Output<ov::Node> &value, Sides *sides) : Op({value}), sides(sides) {
        constructor_validate_and_infer_types();
    }

    void validate_and_infer_types() override {
        set_output_type(0, get_input_element_type(0), get_input_partial_shape(0));
    }

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

// A copy of the network with two windows: everything reads its first input through one, and the
// value that becomes its output through the other.
inline std::shared_ptr<ov::Model> with_windows(const ov::Model &model, Sides *in, Sides *out) {
    const auto insert = [](const ov::Output<ov::Node> &value, Sides *sides) {
        const auto readers = value.get_target_inputs();
        const auto window = std::make_shared<Window>(value, sides);
        for (auto reader : readers)
            reader.replace_source_output(window->output(0));
    };
    const std::shared_ptr<ov::Model> watched = model.clone();
    insert(watched->get_parameters().at(0)->output(0), in);
    insert(watched->get_results().at(0)->input_value(0), out);
    return watched;
}

// The network, compiled, over the tensors.
class Engine {
public:
    Engine(const std::shared_ptr<const ov::Model> &model, const Shared &shared, std::size_t threads)
        : shared(shared) {
        // Where a CPU has bfloat16, the plugin would compute in it.
        ov::AnyMap options{ov::hint::inference_precision(ov::element::f32)};
        if (threads != 0)
            options.insert(ov::inference_num_threads(static_cast<int>(threads)));
        request = ov::Core().compile_model(model, "CPU", options).create_infer_request();
        for (std::size_t i = 0; i < shared.inputs.size(); i++)
            request.set_input_tensor(i, shared.inputs[i]);
        request.set_output_tensor(shared.output);
    }

    void evaluate() { request.infer(); }

    // Whether the tensors are still those that it was given.
    void assert_shared() {
        bool same = request.get_output_tensor().data() == shared.output.data();
        for (std::size_t i = 0; i < shared.inputs.size(); i++)
            same = same && request.get_input_tensor(i).data() == shared.inputs[i].data();
        if (!same)
            fail("OpenVINO", "has other tensors than those it was given");
    }

private:
    const Shared &shared;
    ov::InferRequest request;
};

// The same network with windows on both ends sees the shared memory, and gives the same bits.
inline void assert_no_copies(const ov::Model &model, const Shared &shared, std::size_t threads,
                             Engine &engine) {
    Sides in, out;
    Engine watched(with_windows(model, &in, &out), shared, threads);
    watched.evaluate();
    ov::Tensor output = shared.output; // over the same memory
    float *const values = output.data<float>();
    const std::size_t count = output.get_size();
    const std::vector<float> expected(values, values + count);
    std::fill_n(values, count, 0.0f);
    engine.evaluate();
    if (!std::equal(expected.begin(), expected.end(), values))
        fail("the network", "is another with windows");
    if (in.before != shared.inputs[0].data() || out.behind != values)
        fail("OpenVINO", "copies what it was given");
}

#endif
