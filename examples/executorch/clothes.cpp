// Samples clothes with an ExecuTorch program, which export.py makes. vesde and the network work on
// the same memory: the sample is the network's input and the denoised pictures its output, and
// nothing is copied between them. The program asserts the addresses. It sets the inputs only once:
// if that copied them, the network would see the first sample ten times.
//
//   clothes-executorch clothes.pte OUTPUT, and options of examples/fashion/clothes.hpp
//
// The batch is the one that the program was made for.

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include "clothes.hpp"

namespace {

using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;

void check(Error error, const char *what) {
    if (error != Error::Ok)
        fail(what, executorch::runtime::to_string(error));
}

TensorPtr over(std::vector<float> &values, std::vector<executorch::aten::SizesType> shape) {
    return executorch::extension::from_blob(values.data(), std::move(shape));
}

// The program's method "forward" over the caller's memory.
class Engine {
public:
    Engine(const char *path, const std::vector<TensorPtr> &inputs, const TensorPtr &output)
        : module(path), inputs(inputs), output(output) {
        check(module.load_forward(), path);
        for (std::size_t i = 0; i < inputs.size(); i++)
            check(module.set_input(inputs[i], i), "an input");
        check(module.set_output(output), "the output");
    }

    void evaluate() {
        check(module.forward().error(), "ExecuTorch");
        assert_shared();
    }

private:
    Module module;
    std::vector<TensorPtr> inputs;
    TensorPtr output;

// Deprecated, but nothing else tells where inputs lie.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    void assert_shared() {
        const auto method = module.method("forward");
        check(method.error(), "the method");
        const auto same = [](const executorch::runtime::EValue &value, const TensorPtr &given) {
            return value.toTensor().const_data_ptr() == given->const_data_ptr();
        };
        bool all = same((*method)->get_output(0), output);
        for (std::size_t i = 0; i < inputs.size(); i++)
            all = all && same((*method)->get_input(i), inputs[i]);
        if (!all)
            fail("ExecuTorch", "has other tensors than those it was given");
    }
#pragma GCC diagnostic warning "-Wdeprecated-declarations"
};

} // namespace

int main(int argc, char **argv) {
    const clothes::Options options(argc, argv);
    const std::size_t batch = options.batch();
    std::vector<float> sample(batch * PIXELS), sigma(batch), classes(batch * CLASSES),
        denoised(sample);
    const int n = static_cast<int>(batch);
    Engine engine(options.model,
                  {over(sample, {n, 1, SIDE, SIDE}), over(sigma, {n}), over(classes, {n, CLASSES})},
                  over(denoised, {n, 1, SIDE, SIDE}));
    clothes::sample(options, {sample, sigma, classes, denoised}, [&] { engine.evaluate(); });
    clothes::write(options, sample.data());
    return 0;
}
