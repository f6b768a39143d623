/* Samples the digits with the batch sharded over MPI's ranks: each holds, evaluates and updates its own samples. What the
 * ranks send one another is two norms a sample for each corrector step, however large a sample is, and at the end the
 * digits; the bits are those of one process.
 *
 *   mpicc -O2 -ffp-contract=off -Iinclude -Iexamples/digits examples/mpi/digits.c target/vesde.o -lm \
 *     -o digits-mpi
 *   mpirun -n 4 ./digits-mpi [OUTPUT.png [SEED [STEPS [SHEET]]]]
 *
 * A sample may be a sheet of SHEET digits of one class instead of one digit: that is 64·SHEET pixels, and the picture
 * shows the first hundred digits. An OUTPUT that ends in .f32 gets all floats.
 */

#include <mpi.h>

#include "picture.h"
#include "program.h"
#include "sampling.h"

enum { SCORE, NOISE };

/* A rank's samples, and how the batch lies over the ranks. */
typedef struct shard {
    size_t first, samples, sheet, pixels, len; /* `pixels` of a sample, `len` of all */
    float *x, *score;
    double *sums;                       /* of squares, of one sample */
    int firsts[DIGITS], counts[DIGITS]; /* each rank's samples */
    MPI_Datatype norms_of, pixels_of;   /* a sample */
} shard;

/* DIGITS need not be a multiple of `ranks`. */
static shard make_shard(int rank, int ranks, size_t sheet) {
    shard own = {0};
    MPI_Datatype column;
    int i;
    for (i = 0; i < ranks; i++) {
        own.firsts[i] = DIGITS * i / ranks;
        own.counts[i] = DIGITS * (i + 1) / ranks - own.firsts[i];
    }
    own.first = (size_t)own.firsts[rank];
    own.samples = (size_t)own.counts[rank];
    own.sheet = sheet;
    own.pixels = sheet * PIXELS;
    own.len = own.samples * own.pixels;
    own.x = (float *)allocate(own.len, sizeof *own.x);
    own.score = (float *)allocate(own.len, sizeof *own.score);
    own.sums = (double *)allocate(vesde_norm_blocks(own.pixels), sizeof *own.sums);
    /* Column i of norms[2][DIGITS], so that columns arrive as two arrays in the order of the samples. */
    MPI_Type_vector(2, 1, DIGITS, MPI_DOUBLE, &column);
    MPI_Type_create_resized(column, 0, sizeof(double), &own.norms_of);
    MPI_Type_commit(&own.norms_of);
    MPI_Type_free(&column);
    MPI_Type_contiguous((int)own.pixels, MPI_FLOAT, &own.pixels_of);
    MPI_Type_commit(&own.pixels_of);
    return own;
}

static void free_shard(shard *own) {
    MPI_Type_free(&own->norms_of);
    MPI_Type_free(&own->pixels_of);
    free(own->x);
    free(own->score);
    free(own->sums);
}

static void evaluate(const shard *own, const network *net, float sigma) {
    size_t i;
    for (i = 0; i < own->samples * own->sheet; i++)
        score_of(net, own->x + i * PIXELS, sigma, (own->first + i / own->sheet) / COLUMNS, own->score + i * PIXELS);
}

/* Completes a plan whose factors depend on the norms of the whole batch. Every rank computes them
 * from all norms, in one order. */
static void reduce(const shard *own, vesde_plan *plan) {
    const size_t blocks = vesde_norm_blocks(own->pixels);
    double norms[2][DIGITS], grad_norm, noise_norm;
    vesde_counter noise = plan->counter;
    vesde_corrector_step step;
    size_t i;
    for (i = 0; i < own->samples; i++, noise.index += own->pixels) {
        const size_t at = i * own->pixels;
        double *const norm = norms[0] + own->first + i;
        check(vesde_sum_squares(vesde_given_noise(own->score + at), own->pixels, blocks, own->sums),
              "the score's squares");
        check(vesde_sample_norm(own->sums, blocks, norm + SCORE * DIGITS), "a score's norm");
        check(vesde_sum_squares(vesde_counter_noise(noise), own->pixels, blocks, own->sums), "the noise's squares");
        check(vesde_sample_norm(own->sums, blocks, norm + NOISE * DIGITS), "a noise's norm");
    }
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, norms, own->counts, own->firsts, own->norms_of, MPI_COMM_WORLD);
    check(vesde_mean_norm(norms[SCORE], DIGITS, plan->norm, &grad_norm), "the mean of the scores' norms");
    check(vesde_mean_norm(norms[NOISE], DIGITS, plan->norm, &noise_norm), "the mean of the noise's norms");
    check(vesde_get_corrector_step(plan->snr, grad_norm, noise_norm, plan->norm, &step), "the step size");
    plan->terms[1].factor = step.step_size; /* of the model output */
    plan->noise_factor = step.noise_factor;
}

/* What the plan says. No rank needs another. This method has no history. */
static void update(const shard *own, const vesde_plan *plan) {
    const float *const buffers[] = {own->x, own->score}; /* as vesde_operand numbers them */
    const vesde_noise noise = vesde_counter_noise(plan->counter);
    const vesde_combination sum = vesde_plan_combination(plan, buffers, noise, own->len, own->x);
    check(vesde_linear(&sum), "an update");
}

static void sample(const shard *own, const network *net, const vesde_scheduler *scheduler, uint64_t seed) {
    vesde_sampler_options options = {0}; /* the defaults */
    vesde_sampler sampler;
    vesde_request request;
    vesde_plan plan;
    options.seed = seed;
    check(vesde_sampler_init(&scheduler->config, DIGITS, &options, &sampler), "the sampler");
    do {
        check(vesde_sampler_plan(&sampler, scheduler, &plan, &request), "a plan");
        plan.counter.index += own->first * own->pixels; /* where the shard's noise begins */
        if (plan.reduction == VESDE_REDUCTION_CORRECTOR_NORMS)
            reduce(own, &plan);
        update(own, &plan);
        if (request.kind == VESDE_REQUEST_KIND_SCORE)
            evaluate(own, net, request.sigma);
    } while (request.kind != VESDE_REQUEST_KIND_DONE);
}

int main(int argc, char **argv) {
    const char *output;
    uint64_t seed, sheet;
    size_t steps;
    int rank, ranks, norms_len;
    float *tables, *digits = NULL;
    vesde_config config;
    vesde_scheduler scheduler;
    network net;
    char *file;
    shard own;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    output = argc > 1 ? argv[1] : "digits.png";
    seed = number(argc > 2 ? argv[2] : "42", "SEED");
    steps = (size_t)number(argc > 3 ? argv[3] : "200", "STEPS");
    sheet = number(argc > 4 ? argv[4] : "1", "SHEET");
    if (steps == 0 || sheet == 0 || sheet > 1 << 20)
        fail("STEPS and SHEET", "must be at least 1, and SHEET at most 2^20");
    if (ranks > DIGITS)
        fail("the ranks", "are more than the samples");

    file = read_digits(&net, &config);
    tables = (float *)allocate(steps, 3 * sizeof *tables);
    check(make_scheduler(&config, steps, tables, &scheduler), "the schedule");
    own = make_shard(rank, ranks, (size_t)sheet);
    sample(&own, &net, &scheduler, seed);

    if (rank == 0)
        digits = (float *)allocate(DIGITS, own.pixels * sizeof *digits);
    MPI_Gatherv(own.x, own.counts[rank], own.pixels_of, digits, own.counts, own.firsts, own.pixels_of, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        write_digits(output, digits, DIGITS * own.pixels);
        MPI_Type_size(own.norms_of, &norms_len);
        printf("%s: %lu pixels a sample, %d bytes of norms from rank 0 in each of %lu corrector steps\n", output,
               (unsigned long)own.pixels, norms_len * own.counts[0], (unsigned long)(steps * config.correct_steps));
    }
    free_shard(&own);
    free(digits);
    free(tables);
    free(file);
    MPI_Finalize();
    return 0;
}
