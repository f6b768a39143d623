/* Samples handwritten digits from pure noise, as the Rust example does: the same weights, the same seed, the same pixels.
 * Everything between two evaluations of the network is vesde; the network with its safetensors reader (network.h), the loop
 * (sampling.h) and the PNG writer (picture.h) are as small as they can be, and examples/firmware has them too.
 *
 *   cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c target/vesde.o -lm -o digits
 *   ./digits [OUTPUT.png [SEED [STEPS [CLASS]]]]
 *
 * An OUTPUT that ends in .f32 gets the floats instead, to be compared bit by bit.
 */

#include "picture.h"
#include "program.h"
#include "sampling.h"

static void print_step(const vesde_request *request) {
    fprintf(stderr, "\rstep %lu of %lu", (unsigned long)request->step + 1, (unsigned long)request->steps);
}

int main(int argc, char **argv) {
    const char *output = argc > 1 ? argv[1] : "digits.png";
    const uint64_t seed = number(argc > 2 ? argv[2] : "42", "SEED");
    const size_t steps = (size_t)number(argc > 3 ? argv[3] : "200", "STEPS");
    const size_t class_ = argc > 4 ? (size_t)number(argv[4], "CLASS") : CLASSES;
    static float digits[DIGITS * PIXELS], score[DIGITS * PIXELS];
    vesde_config config;
    network net;
    char *const file = read_digits(&net, &config);
    float *tables;

    if (steps == 0)
        fail("STEPS", "must be at least 1");
    if (argc > 4 && class_ >= CLASSES)
        fail("CLASS", "must be 0 to 9");
    tables = (float *)allocate(steps, 3 * sizeof *tables);
    check(sample_digits(&net, &config, seed, steps, class_, tables, score, digits, print_step), "sampling");
    fprintf(stderr, "\n");

    write_digits(output, digits, DIGITS * PIXELS);
    printf("%s\n", output);
    free(file);
    free(tables);
    return 0;
}
