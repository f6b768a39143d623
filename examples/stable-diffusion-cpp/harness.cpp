// stable-diffusion.cpp's generators and sampler loop as they are, and on vesde: numbers, paths and
// times. Usage: harness VECTORS, the folder of golden.txt and cuda.txt.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <malloc.h>

#include "side.hpp"
#include "stable-diffusion.h"

namespace {

constexpr float SIGMA_MIN = 0.0291675f, SIGMA_MAX = 14.614642f;  // Stable Diffusion's
constexpr double TOLERANCE = 1e-5;

bool failed = false;

void fail(const std::string &what) {
    std::printf("FAILED: %s\n", what.c_str());
    failed = true;
}

// ---- recorded numbers ----

struct Array {
    std::vector<uint64_t> words;
    std::vector<uint32_t> lengths() const { return {words.begin(), words.end()}; }
};
using Case = std::map<std::string, Array>;

// The cases whose names begin with `prefix`.
std::map<std::string, Case> read_cases(const std::string &path, const std::string &prefix) {
    std::ifstream file(path);
    std::map<std::string, Case> cases;
    for (std::string line; std::getline(file, line);) {
        if (line.compare(0, prefix.size(), prefix) != 0) {
            continue;
        }
        std::istringstream words(line);
        std::string name, array, type, word;
        size_t count = 0;
        words >> name >> array >> type >> count;
        Array &read = cases[name][array];
        while (words >> word) {
            read.words.push_back(std::strtoull(word.c_str(), nullptr, 16));
        }
        if (read.words.size() != count) {
            fail(path + " is cut off at " + name);
        }
    }
    if (cases.empty()) {
        fail(path + " has no " + prefix);
    }
    return cases;
}

float as_float(uint64_t word) {
    const auto bits = static_cast<uint32_t>(word);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// How far two lists of numbers lie apart.
struct Difference {
    size_t count = 0, same = 0;
    double greatest = 0;

    void add(float a, float b) {
        count += 1;
        same += std::memcmp(&a, &b, sizeof a) == 0;
        greatest = std::max(greatest, std::fabs(static_cast<double>(a) - b));
    }
    std::string text() const {
        char text[100];
        std::snprintf(text, sizeof text, "%.4g %% of the bits, greatest difference %.2g",
                      100.0 * static_cast<double>(same) / static_cast<double>(count), greatest);
        return text;
    }
};

size_t sum(const std::vector<uint32_t> &lengths) {
    size_t total = 0;
    for (const uint32_t length : lengths) {
        total += length;
    }
    return total;
}

void compare_torch_cpu(const std::string &vectors) {
    Difference ours, theirs, both;
    const auto cases = read_cases(vectors + "/golden.txt", "torch_randn/");
    for (const auto &[name, arrays] : cases) {
        const auto lengths = arrays.at("calls").lengths();
        const auto &torch = arrays.at("out").words;
        const uint64_t seed = arrays.at("seed").words.at(0);
        std::vector<float> a(sum(lengths)), b(a.size());
        original()->draw(Noise::mt19937, seed, lengths.data(), lengths.size(), a.data());
        patched()->draw(Noise::mt19937, seed, lengths.data(), lengths.size(), b.data());
        for (size_t i = 0; i < a.size(); ++i) {
            theirs.add(a[i], as_float(torch.at(i)));
            ours.add(b[i], as_float(torch.at(i)));
            both.add(a[i], b[i]);
        }
    }
    std::printf(
        "stable-diffusion-cpp, MT19937RNG ~ torch's recorded numbers on a CPU (%zu in %zu cases): "
        "original %s; on vesde %s\n",
        ours.count, cases.size(), theirs.text().c_str(), ours.text().c_str());
    std::printf("stable-diffusion-cpp, MT19937RNG, original ~ on vesde: %s\n", both.text().c_str());
    if (ours.same != ours.count) {
        fail("MT19937RNG on vesde is not torch's");
    }
    if (both.greatest > TOLERANCE) {
        fail("MT19937RNG makes other numbers");
    }
}

void compare_torch_cuda(const std::string &vectors) {
    Difference ours, fitting, beyond, both;
    size_t others = 0, cases = 0;
    for (const auto &[name, arrays] : read_cases(vectors + "/cuda.txt", "torch_cuda/")) {
        const auto lengths = arrays.at("calls").lengths();
        if (sum(lengths) > 4'000'000) {
            continue;  // the original would take seconds and gigabytes
        }
        cases += 1;
        const auto indices = arrays.at("indices").lengths(), grid = arrays.at("grid").lengths();
        const auto &torch = arrays.at("out").words;
        const uint64_t seed = arrays.at("seed").words.at(0);
        std::vector<float> a(sum(lengths)), b(a.size());
        original()->draw(Noise::philox, seed, lengths.data(), lengths.size(), a.data());
        patched()->set_gpu(grid.at(0), grid.at(1));
        patched()->draw(Noise::philox, seed, lengths.data(), lengths.size(), b.data());
        patched()->set_gpu(0, 0);
        const bool fits =
            *std::max_element(lengths.begin(), lengths.end()) <= uint64_t{grid[0]} * grid[1];
        for (size_t i = 0; i < indices.size(); ++i) {
            const float recorded = as_float(torch.at(i));
            (fits ? fitting : beyond).add(a.at(indices[i]), recorded);
            others += !fits && std::fabs(a[indices[i]] - recorded) > 1e-3f;
            ours.add(b.at(indices[i]), recorded);
        }
        patched()->draw(Noise::philox, seed, lengths.data(), lengths.size(), b.data());
        for (size_t i = 0; i < a.size(); ++i) {
            both.add(a[i], b[i]);
        }
    }
    std::printf(
        "stable-diffusion-cpp, PhiloxRNG ~ torch's recorded numbers on an H100 (%zu in %zu cases): "
        "on vesde, which is told the GPU, %s\n",
        ours.count, cases, ours.text().c_str());
    std::printf(
        "stable-diffusion-cpp, PhiloxRNG, original: %s where a draw has at most as many numbers as "
        "the "
        "GPU has threads; beyond %zu of %zu are other numbers\n",
        fitting.text().c_str(), others, beyond.count);
    std::printf(
        "stable-diffusion-cpp, PhiloxRNG, original ~ on vesde without a GPU (%zu numbers): %s\n",
        both.count, both.text().c_str());
    if (ours.same != ours.count) {
        fail("PhiloxRNG on vesde is not torch's");
    }
    if (both.greatest > TOLERANCE) {
        fail("PhiloxRNG makes other numbers");
    }
}

// ---- paths ----

struct Shape {
    const char *name;
    int64_t sizes[4];
    size_t len() const { return static_cast<size_t>(sizes[0] * sizes[1] * sizes[2] * sizes[3]); }
};

struct Sampler {
    const char *name;
    sample_method_t method;
    float eta;
    bool ends_otherwise = false;  // vesde's step to 0 gives the denoised sample
};

constexpr Sampler SAMPLERS[] = {
    {"Euler", EULER_SAMPLE_METHOD, 0},
    {"Euler a", EULER_A_SAMPLE_METHOD, 1},
    {"Heun", HEUN_SAMPLE_METHOD, 0},
    {"DPM2", DPM2_SAMPLE_METHOD, 0},
    {"DPM++ 2S a", DPMPP2S_A_SAMPLE_METHOD, 1},
    {"DPM++ 2M", DPMPP2M_SAMPLE_METHOD, 0},
    {"iPNDM", IPNDM_SAMPLE_METHOD, 0, true},
    {"DDIM", DDIM_TRAILING_SAMPLE_METHOD, 0},
    {"DDIM, eta 1/2", DDIM_TRAILING_SAMPLE_METHOD, 0.5f},
    {"LCM", LCM_SAMPLE_METHOD, 0},
    {"RES multistep", RES_MULTISTEP_SAMPLE_METHOD, 0},
};

bool takes_noise(const Sampler &sampler) {
    return sampler.eta > 0 || sampler.method == LCM_SAMPLE_METHOD;
}

// The inputs of a network along the way.
struct Path {
    std::vector<float> sigmas, samples;
    std::vector<int> steps;
};

// The exact denoised sample of a mixture of two normal distributions in each element. They overlap:
// between two that do not, rounding errors would grow.
void mixture(void *context, const float *sample, float sigma, int step, size_t len,
             float *denoised) {
    constexpr double weights[] = {0.6, 0.4}, means[] = {-0.4, 0.6}, variance = 0.36;
    auto &path = *static_cast<Path *>(context);
    path.sigmas.push_back(sigma);
    path.steps.push_back(step);
    path.samples.insert(path.samples.end(), sample, sample + len);
    const double noise = double{sigma} * sigma, total = variance + noise;
    for (size_t i = 0; i < len; ++i) {
        const double x = sample[i];
        double difference = 0, mean[2];
        for (int k = 0; k < 2; ++k) {
            mean[k] = (variance * x + noise * means[k]) / total;
            const double exponent =
                std::log(weights[k]) - 0.5 * (x - means[k]) * (x - means[k]) / total;
            difference += k == 0 ? exponent : -exponent;
        }
        denoised[i] =
            static_cast<float>(mean[1] + (mean[0] - mean[1]) / (1 + std::exp(-difference)));
    }
}

// Roughly normal numbers, of neither side's generator: sums of twelve uniform ones.
std::vector<float> normal(size_t len, uint64_t seed) {
    std::vector<float> out(len);
    for (float &x : out) {
        double sum = -6;
        for (int i = 0; i < 12; ++i) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            sum += static_cast<double>(seed >> 33) * 0x1p-31;
        }
        x = static_cast<float>(sum);
    }
    return out;
}

Path follow(const Side &side, const Sampler &sampler, const Shape &shape,
            const std::vector<float> &sigmas, Noise noise) {
    auto sample = normal(shape.len(), 1);
    const auto given = normal(shape.len() * sigmas.size(), 2);
    for (float &x : sample) {
        x *= sigmas.front();
    }
    Path path;
    std::vector<float> result(shape.len());
    Times times;
    const Job job = {sampler.method, sampler.eta, sigmas.data(),
                     sigmas.size(),  shape.sizes, shape.len(),
                     sample.data(),  noise,       42,
                     given.data(),   mixture,     &path,
                     result.data()};
    if (!side.run(job, &times)) {
        fail(std::string(sampler.name) + " makes no sample");
    }
    path.samples.insert(path.samples.end(), result.begin(), result.end());
    return path;
}

// The greatest |a − b|/max(1, |a|) of the samples on the way, the last `without` left out.
double distance(const Path &a, const Path &b, const char *name, size_t without) {
    if (a.steps != b.steps || a.samples.size() != b.samples.size()) {
        fail(std::string(name) + " calls the network otherwise");
        return INFINITY;
    }
    for (size_t i = 0; i < a.sigmas.size(); ++i) {
        if (!(std::fabs(a.sigmas[i] / b.sigmas[i] - 1) < TOLERANCE)) {
            fail(std::string(name) + " calls the network at other sigmas");
        }
    }
    double greatest = 0;
    for (size_t i = 0; i + without < a.samples.size(); ++i) {
        const double x = a.samples[i],
                     difference = std::fabs(x - b.samples[i]) / std::max(1.0, std::fabs(x));
        greatest = difference <= greatest ? greatest : difference;
    }
    return greatest;
}

void compare_paths() {
    constexpr uint32_t steps = 20;
    const Shape shape = {"", {64, 64, 4, 1}};
    std::vector<float> karras(steps + 1), geometric(karras), table(karras);
    double relative = 0;
    for (auto *theirs : {&karras, &geometric}) {
        original()->sigmas(theirs == &karras, steps, SIGMA_MIN, SIGMA_MAX, theirs->data());
        patched()->sigmas(theirs == &karras, steps, SIGMA_MIN, SIGMA_MAX, table.data());
        for (size_t i = 0; i < steps; ++i) {
            relative = std::max(relative, std::fabs(double{(*theirs)[i]} / table[i] - 1));
        }
    }
    std::printf(
        "stable-diffusion-cpp, tables of sigma ~ vesde's: greatest relative difference %.2g\n",
        relative);
    if (!(relative < TOLERANCE)) {
        fail("the tables differ");
    }
    // A part of the table, as in image to image, and without the 0 at its end.
    const std::vector<float> part(karras.begin() + 5, karras.end() - 1);
    for (const auto &sampler : SAMPLERS) {
        const auto between = [&](const std::vector<float> &sigmas, Noise noise) {
            const bool ends_otherwise = sampler.ends_otherwise && sigmas.back() == 0;
            return distance(follow(*original(), sampler, shape, sigmas, noise),
                            follow(*patched(), sampler, shape, sigmas, noise), sampler.name,
                            ends_otherwise ? shape.len() : 0);
        };
        const double differences[] = {between(karras, Noise::given),
                                      between(geometric, Noise::given),
                                      between(part, Noise::given)};
        std::printf(
            "stable-diffusion-cpp, %s%s, original ~ on vesde: Karras %.2g, exponential %.2g, "
            "Karras from "
            "step 5 without 0 %.2g",
            sampler.name, sampler.ends_otherwise ? " but for the step to 0" : "", differences[0],
            differences[1], differences[2]);
        if (takes_noise(sampler)) {
            std::printf("; each with its Philox %.2g, its MT19937 %.2g",
                        between(karras, Noise::philox), between(karras, Noise::mt19937));
        }
        std::printf("\n");
        if (!(*std::max_element(differences, differences + 3) <= TOLERANCE)) {
            fail(std::string(sampler.name) + " takes another path");
        }
    }
}

// ---- times ----

void linear(void *, const float *sample, float sigma, int, size_t len, float *denoised) {
    const float factor = 1 / (1 + sigma * sigma);
    for (size_t i = 0; i < len; ++i) {
        denoised[i] = factor * sample[i];
    }
}

struct Quartiles {
    std::vector<double> times;
    double lower() {
        auto place = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 4);
        std::nth_element(times.begin(), place, times.end());
        return *place;
    }
};

// Times both in turns: the lower quartiles, in ns an element and step. The generator's time counts
// where it makes the noise.
void time(const Sampler &sampler, const Shape &shape, Noise noise, double seconds, int asked) {
    const bool makes_noise = noise != Noise::given;
    const uint32_t steps = makes_noise ? 5 : 20;
    std::vector<float> sigmas(steps + 1), result(shape.len());
    original()->sigmas(true, steps, SIGMA_MIN, SIGMA_MAX, sigmas.data());
    const auto sample = normal(shape.len(), 1);
    static const auto given = normal(20 * 262144, 2);
    const Job job = {sampler.method, sampler.eta, sigmas.data(),
                     sigmas.size(),  shape.sizes, shape.len(),
                     sample.data(),  noise,       42,
                     given.data(),   linear,      nullptr,
                     result.data()};
    Quartiles quartiles[2];
    double spent = 0;
    for (int round = 0; round < (makes_noise ? 5 : 9) || spent < seconds * 1e9; ++round) {
        for (int side = 0; side < 2; ++side) {
            Times times;
            if (!(side == 0 ? original() : patched())->run(job, &times)) {
                fail(std::string(sampler.name) + " makes no sample");
            }
            const double total = times.loop + (makes_noise ? times.generator : 0);
            spent += total;
            quartiles[side].times.push_back(total / static_cast<double>(shape.len() * steps));
        }
    }
    const double theirs = quartiles[0].lower(), ours = quartiles[1].lower();
    std::printf("stable-diffusion-cpp, %s, %s%s: %.3g / %.3g = %.1f times%s\n", sampler.name,
                shape.name,
                noise == Noise::philox ? ", with Philox"
                : makes_noise          ? ", with MT19937"
                                       : "",
                theirs, ours, theirs / ours, theirs / ours < asked ? " (below what is asked)" : "");
}

void compare_times(double seconds, const std::string &only) {
    const Shape shapes[] = {{"4x64x64", {64, 64, 4, 1}},
                            {"4x128x128", {128, 128, 4, 1}},
                            {"16x128x128", {128, 128, 16, 1}}};
    // malloc keeps its memory: otherwise page faults of the original's temporaries cost most of its
    // time on a busy machine.
    mallopt(M_MMAP_THRESHOLD, 1 << 25);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    std::printf(
        "stable-diffusion-cpp, ns an element and step without the network, original / on vesde\n");
    for (const auto noise : {Noise::given, Noise::philox, Noise::mt19937}) {
        for (const auto &sampler : SAMPLERS) {
            const bool is_timed =
                (only.empty() || only == sampler.name) &&
                (noise == Noise::given || sampler.method == EULER_A_SAMPLE_METHOD ||
                 sampler.method == DPMPP2S_A_SAMPLE_METHOD);
            for (const auto &shape : shapes) {
                if (is_timed) {
                    time(sampler, shape, noise, seconds,
                         noise == Noise::given    ? 8
                         : noise == Noise::philox ? 40
                                                  : 0);
                }
            }
        }
    }
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 2 || argc > 4) {
        std::fprintf(stderr,
                     "usage: harness VECTORS [SECONDS [SAMPLER]], of which times are to be had\n");
        return 2;
    }
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    if (argc < 4) {
        compare_torch_cpu(argv[1]);
        compare_torch_cuda(argv[1]);
        compare_paths();
    }
    compare_times(argc > 2 ? std::atof(argv[2]) : 0.3, argc > 3 ? argv[3] : "");
    return failed ? 1 : 0;
}
