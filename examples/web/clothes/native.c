/* The clothes of the page as a program, to be run from the repository's root:
 *
 *   cc -O2 -ffp-contract=off -Iinclude -Iexamples/digits examples/web/clothes/{clothes,native}.c \
 *     target/ffi/vesde.o -lm -o clothes
 *   ./clothes OUTPUT.png [SAMPLER [SEED [EVALUATIONS [CLASS]]]]
 */

#include "clothes.h"
#include "host.h"

static FILE *output;

void show(const uint32_t *frame, size_t len, size_t step, size_t steps) {
    (void)frame, (void)len;
    fprintf(stderr, "\rstep %lu of %lu", (unsigned long)step, (unsigned long)steps);
}

void put(void *to, const void *bytes, size_t len) {
    (void)to;
    if (fwrite(bytes, 1, len, output) != len)
        fail("OUTPUT", "cannot be written");
}

int main(int argc, char **argv) {
    size_t weights_len, json_len;
    char *const weights = read_file("examples/fashion/weights.safetensors", &weights_len);
    char *const json = read_file("examples/fashion/scheduler_config.json", &json_len);
    const char *why;
    float sigma;
    if (argc < 2 || (output = fopen(argv[1], "wb")) == NULL)
        fail("OUTPUT", "cannot be written");
    why = start(argc > 2 ? argv[2] : "2m-sde", weights, weights_len, json, json_len,
                number(argc > 3 ? argv[3] : "42", "SEED"),
                (size_t)number(argc > 4 ? argv[4] : "10", "EVALUATIONS"),
                (size_t)number(argc > 5 ? argv[5] : "10", "CLASS"));
    if (why != NULL)
        fail("sampling", why);
    while ((sigma = next()) > 0.0f)
        evaluate(0, CLOTHES, sigma);
    fprintf(stderr, "\n");
    if (sigma < 0.0f)
        fail("sampling", failure(sigma));
    if (fclose(output) != 0)
        fail(argv[1], "cannot be written");
    free(weights);
    free(json);
    return 0;
}
