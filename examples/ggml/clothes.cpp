// Samples clothes with the network as a ggml graph, and vesde between graphs: beside convolutions
// its updates take no time. All arithmetic is F32: ggml_conv_2d converts its input to the kernel's
// type, and F16 would cost precision.
//
//   clothes-ggml MODEL.gguf OUTPUT, and options of examples/fashion/clothes.hpp

#include <string>

#include "clothes.hpp"
#include "engine.hpp"

namespace {

// As examples/fashion/network.py has them.
constexpr int GROUPS = 8, HEADS = 4;
constexpr float MEAN = 0.286f, SD = 0.353f;

using Value = ggml_tensor *;
using Name = std::string;

// The network's parts, as network.py names them. A picture is [x, y, channel, number].
struct Denoiser {
    const Weights &weights;
    ggml_context *graph;

    Value linear(const Name &name, Value x) const {
        const Value product = ggml_mul_mat(graph, weights.find(name + ".weight"), x);
        return weights.has(name + ".bias") ? ggml_add(graph, product, weights.find(name + ".bias"))
                                           : product;
    }

    // A vector along the channels.
    Value by_channel(const Name &name) const {
        const Value vector = weights.find(name);
        return ggml_reshape_4d(graph, vector, 1, 1, vector->ne[0], 1);
    }

    Value conv(const Name &name, Value x, int stride = 1) const {
        const Value kernel = weights.find(name + ".weight");
        const int padding = static_cast<int>(kernel->ne[0] - 1) / 2;
        const Value sums = ggml_conv_2d(graph, kernel, x, stride, stride, padding, padding, 1, 1);
        return ggml_add(graph, sums, by_channel(name + ".bias"));
    }

    Value norm(const Name &name, Value x) const {
        const Value normal = ggml_group_norm(graph, x, GROUPS, 1e-5f);
        return ggml_add(graph, ggml_mul(graph, normal, by_channel(name + ".weight")),
                        by_channel(name + ".bias"));
    }

    Value silu(Value x) const { return ggml_silu(graph, x); }

    Value block(const Name &name, Value x, Value embedding) const {
        const Value told = linear(name + ".modulate", embedding);
        const auto half = [&](size_t which) {
            const int64_t channels = told->ne[0] / 2;
            const size_t one = sizeof(float), offset = which * static_cast<size_t>(channels) * one;
            return ggml_cont(graph, ggml_view_4d(graph, told, 1, 1, channels, told->ne[1], one, one,
                                                 told->nb[1], offset));
        };
        const Value scale = ggml_scale_bias(graph, half(0), 1.0f, 1.0f), shift = half(1);
        Value h = conv(name + ".conv1", silu(norm(name + ".norm1", x)));
        h = ggml_add(graph, ggml_mul(graph, norm(name + ".norm2", h), scale), shift);
        h = conv(name + ".conv2", silu(h));
        return ggml_add(graph, weights.has(name + ".skip.weight") ? conv(name + ".skip", x) : x, h);
    }

    Value attention(const Name &name, Value x) const {
        const int64_t width = x->ne[0], height = x->ne[1], channels = x->ne[2], count = x->ne[3];
        const int64_t each = channels / HEADS, places = width * height;
        const Value qkv = conv(name + ".qkv", norm(name + ".norm", x));
        // [place, channel, head, number]
        const auto part = [&](size_t which) {
            const size_t row = static_cast<size_t>(places) * sizeof(float),
                         head = static_cast<size_t>(each) * row;
            return ggml_view_4d(graph, qkv, places, each, HEADS, count, row, head, qkv->nb[3],
                                which * HEADS * head);
        };
        // ggml_mul_mat sums over the first dimension.
        const auto turned = [&](Value value) {
            return ggml_cont(graph, ggml_permute(graph, value, 1, 0, 2, 3));
        };
        const Value likeness = ggml_mul_mat(graph, turned(part(1)), turned(part(0)));
        const float factor = 1.0f / std::sqrt(static_cast<float>(each));
        const Value shares = ggml_soft_max_ext(graph, likeness, nullptr, factor, 0.0f);
        const Value seen = turned(ggml_mul_mat(graph, part(2), shares));
        return ggml_add(
            graph, x,
            conv(name + ".out", ggml_reshape_4d(graph, seen, width, height, channels, count)));
    }

    // From [x, y, 4, number] to [2x, 2y, 1, number]: a place's four channels become a square.
    Value pixel_shuffle(Value h) const {
        const int64_t width = h->ne[0], height = h->ne[1], count = h->ne[3];
        const Value columns =
            ggml_permute(graph, ggml_reshape_4d(graph, h, width, height, 2, 2 * count), 1, 2, 0, 3);
        const Value wide =
            ggml_reshape_4d(graph, ggml_cont(graph, columns), 2 * width, height, 2, count);
        const Value rows = ggml_cont(graph, ggml_permute(graph, wide, 0, 2, 1, 3));
        return ggml_reshape_4d(graph, rows, 2 * width, 2 * height, 1, count);
    }

    Value concat(Value a, Value b) const { return ggml_concat(graph, a, b, 2); }

    Value network(Value x, Value noise, Value classes) const {
        const Value frequencies = weights.find("frequencies");
        const Value angles =
            ggml_mul_mat(graph, ggml_reshape_2d(graph, frequencies, 1, frequencies->ne[0]), noise);
        const Value features =
            ggml_concat(graph, ggml_cos(graph, angles), ggml_sin(graph, angles), 0);
        Value e =
            silu(ggml_add(graph, linear("embed_sigma", features), linear("embed_class", classes)));
        e = silu(linear("embed", e));

        const Value first = conv("first", x, 2);
        const Value down1 = block("down1", first, e);
        const Value down2 = block("down2", conv("shrink", down1, 2), e);
        Value h = block("middle", attention("attention", down2), e);
        h = block("up1", concat(h, down2), e);
        h = ggml_upscale(graph, block("up2", h, e), 2, GGML_SCALE_MODE_NEAREST);
        h = block("up3", concat(h, down1), e);
        h = block("up4", concat(h, first), e);
        return pixel_shuffle(conv("last", silu(norm("norm", h))));
    }

    // D, preconditioned as in Karras et al. 2022.
    Value denoised(Value x, Value sigma, Value classes) const {
        const Value each = ggml_reshape_4d(graph, sigma, 1, 1, 1, sigma->ne[0]);
        const Value total = ggml_scale_bias(graph, ggml_sqr(graph, each), 1.0f, SD * SD);
        const Value root = ggml_sqrt(graph, total),
                    centred = ggml_scale_bias(graph, x, 1.0f, -MEAN);
        const Value noise = ggml_scale(
            graph, ggml_log(graph, ggml_reshape_2d(graph, sigma, 1, sigma->ne[0])), 0.25f);
        const Value told = network(ggml_div(graph, centred, root), noise, classes);
        const Value kept = ggml_scale(graph, ggml_div(graph, centred, total), SD * SD);
        const Value learned =
            ggml_mul(graph, told, ggml_div(graph, ggml_scale(graph, each, SD), root));
        return ggml_scale_bias(graph, ggml_add(graph, kept, learned), 1.0f, MEAN);
    }
};

vesde::span<float> all(const ggml_tensor *tensor) {
    return {floats(tensor), static_cast<size_t>(ggml_nelements(tensor))};
}

} // namespace

int main(int argc, char **argv) {
    const clothes::Options options(argc, argv);
    const auto batch = static_cast<int64_t>(options.batch());
    ggml_time_init();
    const Engine engine(static_cast<int>(options.threads));
    const Weights weights(options.model, engine);
    Graph graph(engine);
    const Value x = ggml_new_tensor_4d(graph.inputs.get(), GGML_TYPE_F32, SIDE, SIDE, 1, batch);
    const Value sigma = ggml_new_tensor_1d(graph.inputs.get(), GGML_TYPE_F32, batch);
    const Value classes = ggml_new_tensor_2d(graph.inputs.get(), GGML_TYPE_F32, CLASSES, batch);
    graph.allocate_inputs();
    const Value denoised = Denoiser{weights, graph.nodes.get()}.denoised(x, sigma, classes);
    graph.allocate(denoised);

    // The CPU backend's tensors lie in the program's own memory.
    clothes::sample(options, {all(x), all(sigma), all(classes), all(denoised)}, [&] {
        if (!graph.compute())
            fail("ggml", "cannot compute the graph");
    });
    clothes::write(options, floats(x));
    return 0;
}
