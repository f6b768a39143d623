/* Samples handwritten digits from pure noise, as the Rust example does: the same weights, the same
 * seed, the same pixels. Everything between two evaluations of the network is vesde; the network
 * with its safetensors reader (network.h), the loop (sampling.h) and the PNG writer (picture.h) are
 * as small as they can be, and examples/firmware uses them too. Like the Rust example, it also
 * samples by the probability-flow ODE (ode.h), and completes the lower half of real digits
 * (inpainting.h).
 *
 *   cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c target/vesde.o -lm -o digits
 *   ./digits [--ode TOLERANCE | --inpaint] [--sampler NAME] [--table NAME]
 *            [OUTPUT.png [SEED [EVALUATIONS [CLASS]]]]
 *
 * EVALUATIONS is how often the network may be called: 20, and 400 by the sampler pc, which
 * --inpaint takes if none is named. An OUTPUT that ends in .f32 gets the floats instead, to be
 * compared bit by bit.
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

static void complete(digits_job job, const char *output) {
    static const char *const path = "examples/digits/held_out.pgm";
    static float picture[INPAINTING_COLUMNS * CLASSES * PIXELS];
    static known_pixels known;
    size_t len;
    char *const file = read_file(path, &len);
    if (len < sizeof digits / sizeof *digits)
        fail(path, "has no hundred digits");
    know_upper_halves((const unsigned char *)file + len - sizeof digits / sizeof *digits, job.class_,
                      job.seed, &known);
    free(file);
    check(complete_digits(job, &known), "sampling");
    fprintf(stderr, "\n");
    put_beside(&known, digits, picture);
    if (!write_floats(output, digits, DIGITS * PIXELS) && write_tiles(output, picture, INPAINTING_COLUMNS, CLASSES) != 0)
        fail(output, "cannot be written");
}

/* If the next argument is the flag `name`, moves `*args` past it and its value, and returns the
 * value; else returns NULL. */
static const char *flag(char ***args, const char *name) {
    const char *value = NULL;
    if (**args != NULL && strcmp(**args, name) == 0) {
        value = (*args)[1] == NULL ? "" : (*args)[1];
        *args += (*args)[1] == NULL ? 1 : 2;
    }
    return value;
}

int main(int argc, char **argv) {
    char **args = argv + (argc > 0);
    const char *const tolerance = flag(&args, "--ode");
    const int inpaints =
        tolerance == NULL && *args != NULL && strcmp(*args, "--inpaint") == 0 && args++;
    const char *const sampler = flag(&args, "--sampler"), *const table = flag(&args, "--table");
    const int count = argc - (int)(args - argv);
    const char *output = count > 0 ? args[0] : "digits.png";
    vesde_config config;
    network net;
    char *const file = read_digits(&net, &config);
    digits_job job = {0};
    size_t evaluations;

    job.net = &net;
    job.config = &config;
    job.digits = digits;
    job.score = score;
    job.progress = print_step;
    job.sampler = find_sampler(sampler != NULL ? sampler : inpaints ? "pc" : SAMPLERS[0].name);
    if (job.sampler == NULL)
        fail("--sampler", "must be one of SAMPLERS in samplers.h");
    if (table != NULL && strcmp(table, "karras") != 0 && strcmp(table, "geometric") != 0)
        fail("--table", "must be geometric or karras");
    job.table = table != NULL && strcmp(table, "geometric") == 0 ? GEOMETRIC : KARRAS;
    job.seed = number(count > 1 ? args[1] : "42", "SEED");
    evaluations = job.sampler->method == VESDE_METHOD_PREDICTOR_CORRECTOR ? 400 : 20;
    if (count > 2 && (evaluations = (size_t)number(args[2], "EVALUATIONS")) == 0)
        fail("EVALUATIONS", "must be at least 1");
    job.steps = steps_of(job.sampler, &config, evaluations);
    job.class_ = count > 3 ? (size_t)number(args[3], "CLASS") : CLASSES;
    if (count > 3 && job.class_ >= CLASSES)
        fail("CLASS", "must be 0 to 9");
    job.tables = (float *)allocate(job.steps + 1, 3 * sizeof *job.tables);
    job.history_len = MOST_HISTORY;
    job.history = (float *)allocate(job.history_len, sizeof *job.history);
    if (inpaints) {
        complete(job, output);
    } else {
        if (tolerance != NULL) {
            solve(&net, &config, tolerance, job.seed, job.class_);
        } else {
            check(sample_digits(&job), "sampling");
            fprintf(stderr, "\n");
        }
        write_digits(output, digits, DIGITS * PIXELS);
    }
    printf("%s\n", output);
    free(file);
    free(job.tables);
    free(job.history);
    return 0;
}
