// The common part of the C++ programs of the clothes, whichever engine runs the network: the
// command line, the sampling and the picture.
//
//   PROGRAM MODEL OUTPUT [--seed N] [--evaluations N] [--guidance W] [--columns N] [--threads N]
//
// An OUTPUT that ends in .f32 gets the floats. The Rust example's `sample` with the same options
// makes the same pictures, up to the rounding of its network.

#ifndef CLOTHES_HPP
#define CLOTHES_HPP

#define SIDE 28
#define SCALE 3

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host.h"
#include "picture.h"
#include "timing.hpp"
#include "vesde.hpp"

namespace clothes {

inline void check(vesde::status status, const char *what) {
    ::check(static_cast<vesde_status>(status), what);
}

struct Options {
    const char *model = nullptr, *output = nullptr;
    std::uint64_t seed = 42;
    // Calls of the network.
    std::size_t evaluations = 20;
    // Weight of the class: 1 is the class as it is, more exaggerates it.
    float guidance = 1;
    // Pictures of each class.
    std::size_t columns = COLUMNS;
    std::size_t threads = 2;

    Options(int argc, char **argv) {
        if (argc < 3 || argc % 2 == 0)
            fail(argv[0], "MODEL OUTPUT [--seed N] [--evaluations N] [--guidance W] [--columns N] "
                          "[--threads N]");
        model = argv[1];
        output = argv[2];
        for (int i = 3; i < argc; i += 2) {
            const std::string_view name = argv[i];
            if (name == "--guidance") {
                char *end;
                guidance = std::strtof(argv[i + 1], &end);
                if (end == argv[i + 1] || *end != 0 || !std::isfinite(guidance))
                    fail(argv[i], "must be a number");
            } else {
                const std::uint64_t value = number(argv[i + 1], argv[i]);
                if (name == "--seed")
                    seed = value;
                else if (name == "--evaluations")
                    evaluations = at_most(1000, value, argv[i]);
                else if (name == "--columns")
                    columns = at_most(MOST_COLUMNS, value, argv[i]);
                else if (name == "--threads")
                    threads = at_most(256, value, argv[i]);
                else
                    fail(argv[i], "is no option");
            }
        }
    }

    std::size_t pictures() const { return CLASSES * columns; }

    // How many pictures the network gets in a call. With guidance it gets each of them twice: with
    // its class and without.
    std::size_t batch() const { return guidance == 1 ? pictures() : 2 * pictures(); }

private:
    static std::size_t at_most(std::size_t most, std::uint64_t value, const char *what) {
        if (value == 0 || value > most)
            fail(what, ("must be 1 to " + std::to_string(most)).c_str());
        return static_cast<std::size_t>(value);
    }
};

// What vesde and the engine share: the network's inputs and its output, for a batch.
struct Buffers {
    vesde::span<float> sample, sigma, classes, denoised;
};

// One-hot classes, and zeros for pictures without a class.
inline void set_classes(const Options &options, vesde::span<float> classes) {
    std::fill_n(classes.data(), classes.size(), 0.0f);
    for (std::size_t i = 0; i < options.pictures(); i++)
        classes.data()[i * CLASSES + i / options.columns] = 1.0f;
}

// Samples all pictures by DPM++ 2M SDE, and prints where the time went. `evaluate` makes the engine
// compute `denoised` from the other buffers.
template <typename Evaluate>
void sample(const Options &options, const Buffers &buffers, Evaluate evaluate) {
    vesde::config config;
    std::size_t json_len;
    const char *const json = "examples/fashion/scheduler_config.json";
    const std::unique_ptr<char, void (*)(void *)> text(read_file(json, &json_len), std::free);
    check(config.from_json({text.get(), json_len}), json);
    std::vector<float> sigmas(options.evaluations + 1); // the last is 0: the denoised pictures
    check(vesde::set_karras_sigmas(config.sigma_min, config.sigma_max, 7,
                                   {sigmas.data(), options.evaluations}),
          "the table");
    const vesde::scheduler along{config, {}, sigmas, {}};

    vesde::sampler_options how;
    how.seed = options.seed;
    how.method = vesde::method::dpmpp2m;
    how.eta = 1;
    how.prediction = vesde::prediction::denoised;
    vesde::sampler sampler;
    vesde::request request;
    const std::size_t len = options.pictures() * PIXELS;
    std::size_t history_len;
    check(sampler.init(config, options.pictures(), how), "the sampler");
    check(sampler.workspace_len(len, history_len), "the sampler");
    std::vector<float> history(history_len);

    const vesde::span<float> x(buffers.sample.data(), len), denoised(buffers.denoised.data(), len);
    const bool guided = options.batch() != options.pictures();
    set_classes(options, buffers.classes);
    Timing timing;
    for (;;) {
        timing.vesde([&] {
            check(sampler.next(along, {x, denoised, {}, history}, request), "a step");
            if (guided)
                std::copy_n(x.data(), len, x.data() + len);
        });
        if (request.kind == vesde::request_kind::done)
            break;
        std::fill_n(buffers.sigma.data(), buffers.sigma.size(), request.sigma);
        timing.network(evaluate);
        if (guided)
            check(vesde::guide({denoised.data() + len, len}, denoised, options.guidance, denoised),
                  "guidance");
    }
    timing.print();
}

inline void write(const Options &options, const float *pictures) {
    if (!write_floats(options.output, pictures, options.pictures() * PIXELS)
        && write_tiles(options.output, pictures, options.columns, CLASSES) != 0)
        fail(options.output, "cannot be written");
}

} // namespace clothes

#endif
