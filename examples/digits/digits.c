/* Samples handwritten digits from pure noise, as the Rust example does: the same weights, the same seed, the same pixels.
 * Everything between two evaluations of the network is vesde; the network with its safetensors reader (network.h), the loop
 * (sampling.h) and the PNG writer (picture.h) are as small as they can be, and examples/firmware has them too. So does the Rust
 * example sample by the probability-flow ODE (ode.h), and complete the lower half of real digits (inpainting.h).
 *
 *   cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c target/vesde.o -lm -o digits
 *   ./digits [--ode TOLERANCE | --inpaint] [OUTPUT.png [SEED [STEPS [CLASS]]]]
 *
 * An OUTPUT that ends in .f32 gets the floats instead, to be compared bit by bit.
 */

#include "inpainting.h"
#include "ode.h"
#include "picture.h"
#include "program.h"
#include "sampling.h"

static float digits[DIGITS * PIXELS], score[DIGITS * PIXELS];

static void print_step(const vesde_request *request) {
    fprintf(stderr, "\rstep %lu of %lu", (unsigned long)request->step + 1, (unsigned long)request->steps);
}

static void print_time(const vesde_ode_request *request) { fprintf(stderr, "\rtime %.5f", (double)request->timestep); }

static void solve(const network *net, const vesde_config *config, const char *tolerance, uint64_t seed, size_t class_) {
    static float input[DIGITS * PIXELS], workspace[ODE_WORKSPACE];
    vesde_ode_stats stats;
    char *end;
    const double value = strtod(tolerance, &end);
    if (end == tolerance || *end != 0 || !(value > 0))
        fail("TOLERANCE", "must be a number greater than 0");
    check(sample_ode(net, config, seed, value, class_, input, score, workspace, digits, &stats, print_time), "sampling");
    fprintf(stderr, "\n");
    printf("%lu evaluations of the network, %lu steps, %lu rejected\n", (unsigned long)stats.evaluations,
           (unsigned long)stats.accepted, (unsigned long)stats.rejected);
}

static void complete(const network *net, const vesde_config *config, uint64_t seed, size_t steps, size_t class_, float *tables,
                     const char *output) {
    static const char *const path = "examples/digits/held_out.pgm";
    static float picture[INPAINTING_COLUMNS * CLASSES * PIXELS];
    static known_pixels known;
    size_t len;
    char *const file = read_file(path, &len);
    if (len < sizeof digits / sizeof *digits)
        fail(path, "has no hundred digits");
    know_upper_halves((const unsigned char *)file + len - sizeof digits / sizeof *digits, class_, seed, &known);
    free(file);
    check(complete_digits(net, config, &known, steps, class_, tables, score, digits, print_step), "sampling");
    fprintf(stderr, "\n");
    put_beside(&known, digits, picture);
    if (!write_floats(output, digits, DIGITS * PIXELS) && write_tiles(output, picture, INPAINTING_COLUMNS, CLASSES) != 0)
        fail(output, "cannot be written");
}

int main(int argc, char **argv) {
    const int has_ode = argc > 1 && strcmp(argv[1], "--ode") == 0, inpaints = argc > 1 && strcmp(argv[1], "--inpaint") == 0;
    const char *const tolerance = has_ode && argc > 2 ? argv[2] : "";
    const int flags = has_ode && argc > 2 ? 2 : has_ode || inpaints;
    char **const names = argv + flags;
    const int count = argc - flags;
    const char *output = count > 1 ? names[1] : "digits.png";
    const uint64_t seed = number(count > 2 ? names[2] : "42", "SEED");
    const size_t steps = (size_t)number(count > 3 ? names[3] : "200", "STEPS");
    const size_t class_ = count > 4 ? (size_t)number(names[4], "CLASS") : CLASSES;
    vesde_config config;
    network net;
    char *const file = read_digits(&net, &config);
    float *tables;

    if (steps == 0)
        fail("STEPS", "must be at least 1");
    if (count > 4 && class_ >= CLASSES)
        fail("CLASS", "must be 0 to 9");
    tables = (float *)allocate(steps, 3 * sizeof *tables);
    if (inpaints) {
        complete(&net, &config, seed, steps, class_, tables, output);
    } else {
        if (has_ode) {
            solve(&net, &config, tolerance, seed, class_);
        } else {
            check(sample_digits(&net, &config, seed, steps, class_, tables, score, digits, print_step), "sampling");
            fprintf(stderr, "\n");
        }
        write_digits(output, digits, DIGITS * PIXELS);
    }
    printf("%s\n", output);
    free(file);
    free(tables);
    return 0;
}
