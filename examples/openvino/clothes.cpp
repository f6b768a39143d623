// Samples clothes with clothes.onnx, of examples/fashion/export.py, on OpenVINO's CPU plugin. vesde
// and the network work on the same memory: the sample is the network's input and the denoised
// pictures its output, and nothing is copied between them, which the program asserts.
//
//   clothes-openvino clothes.onnx OUTPUT, and options of examples/fashion/clothes.hpp

#include <exception>
#include <map>
#include <string>

#include "clothes.hpp"
#include "engine.hpp"

static void run(const clothes::Options &options) {
    const std::size_t batch = options.batch();
    std::vector<float> sample(batch * PIXELS), sigma(batch, 1.0f), classes(batch * CLASSES),
        denoised(sample);
    clothes::set_classes(options, classes);

    const std::shared_ptr<ov::Model> model = ov::Core().read_model(options.model);
    // In the order of the parameters.
    const Shared shared{{{ov::element::f32, {batch, 1, SIDE, SIDE}, sample.data()},
                         {ov::element::f32, {batch}, sigma.data()},
                         {ov::element::f32, {batch, CLASSES}, classes.data()}},
                        {ov::element::f32, {batch, 1, SIDE, SIDE}, denoised.data()}};
    std::map<std::string, ov::PartialShape> shapes;
    for (std::size_t i = 0; i < shared.inputs.size(); i++)
        shapes[model->input(i).get_any_name()] = shared.inputs[i].get_shape();
    model->reshape(shapes); // from any batch to this one

    Engine engine(model, shared, options.threads);
    clothes::check(vesde::counter{}.fill(sample), "a sample");
    assert_no_copies(*model, shared, options.threads, engine);
    clothes::sample(options, {sample, sigma, classes, denoised}, [&] { engine.evaluate(); });
    engine.assert_shared();
    clothes::write(options, sample.data());
}

int main(int argc, char **argv) {
    const clothes::Options options(argc, argv);
    try {
        run(options);
    } catch (const std::exception &error) { // OpenVINO's
        fail("OpenVINO", error.what());
    }
    return 0;
}
