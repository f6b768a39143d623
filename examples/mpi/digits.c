/* Samples the digits with the batch sharded over MPI's ranks: each holds, evaluates and updates its
 * own samples. For each corrector step ranks send one another two norms a sample, however large a
 * sample is, and at the end the digits. The bits are those of one process.
 *
 *   mpicc -O2 -ffp-contract=off -Iinclude -Iexamples/digits examples/mpi/digits.c target/vesde.o \
 *     -lm -o digits-mpi
 *   mpirun -n 4 ./digits-mpi [OUTPUT.png [SEED [STEPS [SHEET]]]]
 *   mpirun -n 4 ./digits-mpi --ode TOLERANCE [OUTPUT.png [SEED [SHEET]]]
 *
 * A sample may be a sheet of SHEET digits of one class instead of one digit: that is 64·SHEET
 * pixels, and the picture shows the first hundred digits. An OUTPUT that ends in .f32 gets all
 * floats.
 *
 * With --ode the digits are solutions of the probability-flow ODE. Its error is a sum over the
 * whole batch, in blocks of VESDE_NORM_BLOCK elements: a rank has whole blocks of the batch, and
 * sends one double for each in every step. --ode-alone does the same by vesde_ode_next on rank 0,
 * for comparison.
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
    /* Column i of norms[2][DIGITS], so that columns arrive as two arrays in the order of the
     * samples. */
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

/* The scores of `count` digits, which begin with number `first` of all digits. */
static void evaluate(const network *net, size_t sheet, size_t first, size_t count, const float *x, float sigma,
                     float *score) {
    size_t i;
    for (i = 0; i < count; i++)
        score_of(net, x + i * PIXELS, sigma, (first + i) / sheet / COLUMNS, score + i * PIXELS);
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

/* Does what the plan says. No rank needs another's data. This method has no history. */
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
            evaluate(net, own->sheet, own->first * own->sheet, own->samples * own->sheet, own->x, request.sigma,
                     own->score);
    } while (request.kind != VESDE_REQUEST_KIND_DONE);
}

/* Samples by predictor and corrector. Rank 0 gets all digits, to be freed; the others get NULL. */
static float *sample_sheets(int rank, int ranks, const network *net, const vesde_config *config, uint64_t seed,
                            size_t steps, size_t sheet) {
    shard own = make_shard(rank, ranks, sheet);
    float *const tables = (float *)allocate(steps, 3 * sizeof *tables), *digits = NULL;
    vesde_scheduler scheduler;
    check(make_scheduler(config, steps, tables, &scheduler), "the schedule");
    sample(&own, net, &scheduler, seed);
    if (rank == 0)
        digits = (float *)allocate(DIGITS, own.pixels * sizeof *digits);
    MPI_Gatherv(own.x, own.counts[rank], own.pixels_of, digits, own.counts, own.firsts, own.pixels_of, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        int norms_len;
        MPI_Type_size(own.norms_of, &norms_len);
        printf("%lu pixels a sample, %d bytes of norms from rank 0 in each of %lu corrector steps\n",
               (unsigned long)own.pixels, norms_len * own.counts[0], (unsigned long)(steps * config->correct_steps));
    }
    free_shard(&own);
    free(tables);
    return digits;
}

/* A rank's blocks of the batch, and how all blocks lie over the ranks. A block has VESDE_NORM_BLOCK
 * elements; the batch's last one may have fewer. */
typedef struct part {
    size_t sheet, all, digits; /* elements of the batch; digits of the part */
    vesde_ode_buffers buffers;
    float *score;         /* the model output */
    double *blocks;       /* sums of all ranks' blocks */
    int *firsts, *counts; /* each rank's blocks */
    MPI_Datatype sums[2]; /* one double a block, or two */
} part;

static part make_part(int rank, int ranks, size_t sheet) {
    part own = {0};
    const size_t all = DIGITS * sheet * PIXELS, blocks = vesde_norm_blocks(all);
    size_t first, end, len;
    int i;
    own.firsts = (int *)allocate((size_t)ranks, sizeof *own.firsts);
    own.counts = (int *)allocate((size_t)ranks, sizeof *own.counts);
    for (i = 0; i < ranks; i++) {
        own.firsts[i] = (int)(blocks * (size_t)i / (size_t)ranks);
        own.counts[i] = (int)(blocks * (size_t)(i + 1) / (size_t)ranks) - own.firsts[i];
    }
    first = (size_t)own.firsts[rank] * VESDE_NORM_BLOCK;
    end = first + (size_t)own.counts[rank] * VESDE_NORM_BLOCK;
    len = (end < all ? end : all) - (first < all ? first : all);
    own.sheet = sheet;
    own.all = all;
    own.digits = len / PIXELS; /* a full block is whole digits */
    own.blocks = (double *)allocate(blocks, 2 * sizeof *own.blocks);
    own.score = (float *)allocate(len + 1, sizeof *own.score);
    own.buffers.sample = (float *)allocate(len + 1, sizeof *own.buffers.sample);
    own.buffers.input = (float *)allocate(len + 1, sizeof *own.buffers.input);
    own.buffers.model_output = own.score;
    own.buffers.len = len;
    own.buffers.start = first;
    for (i = 0; i < 2; i++) {
        MPI_Type_contiguous(i + 1, MPI_DOUBLE, &own.sums[i]);
        MPI_Type_commit(&own.sums[i]);
    }
    return own;
}

static void free_part(part *own) {
    MPI_Type_free(&own->sums[0]);
    MPI_Type_free(&own->sums[1]);
    free(own->firsts);
    free(own->counts);
    free(own->blocks);
    free(own->score);
    free(own->buffers.sample);
    free(own->buffers.input);
    free(own->buffers.workspace);
}

static void evaluate_part(const part *own, const network *net, const float *x, float sigma) {
    evaluate(net, own->sheet, own->buffers.start / PIXELS, own->digits, x, sigma, own->score);
}

/* The totals of a reduction over the batch. Every rank adds up all blocks in the same order.
 * Returns how many bytes of sums the rank itself sends. */
static size_t total(const part *own, int rank, const vesde_ode_reduction *reduction, double sums[2]) {
    const size_t blocks = vesde_norm_blocks(own->all);
    size_t values, count, i;
    check(vesde_ode_sums_values(reduction, &values), "the sums");
    count = (size_t)own->counts[rank] * values;
    sums[0] = sums[1] = 0.0;
    if (values == 0)
        return 0;
    if (count > 0)
        check(vesde_ode_sums(reduction, &own->buffers, count, own->blocks + (size_t)own->firsts[rank] * values),
              "an error");
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, own->blocks, own->counts, own->firsts, own->sums[values - 1],
                   MPI_COMM_WORLD);
    for (i = 0; i < blocks * values; i++)
        sums[i % values] += own->blocks[i];
    return count * sizeof(double);
}

/* A turn of the job: on all ranks, or by vesde_ode_next on one rank that has the whole batch. */
static size_t advance(const part *own, int rank, int alone, vesde_ode *ode, vesde_ode_request *request) {
    vesde_ode_reduction reduction;
    vesde_ode_plan plan;
    double sums[2];
    size_t sent;
    if (alone) {
        check(vesde_ode_next(ode, &own->buffers, request), "the ODE");
        return 0;
    }
    check(vesde_ode_get_reduction(ode, own->all, &reduction), "a reduction");
    sent = total(own, rank, &reduction, sums);
    check(vesde_ode_next_plan(ode, own->all, sums, NULL, 0, &plan, request), "a plan");
    if (own->buffers.len > 0)
        check(vesde_ode_run(&plan, &own->buffers), "a stage");
    return sent;
}

/* Removes the noise that is left on the solution, by Tweedie's formula. */
static void denoise(const part *own, const network *net, const vesde_config *config) {
    vesde_combination sum = {0};
    float sigma;
    if (own->buffers.len == 0)
        return;
    check(vesde_get_sigma(config, (float)config->sampling_eps, &sigma), "the last sigma");
    evaluate_part(own, net, own->buffers.sample, sigma);
    sum.terms[0].factor = 1.0f;
    sum.terms[0].buffer = own->buffers.sample;
    sum.terms[1].factor = sigma * sigma;
    sum.terms[1].buffer = own->score;
    sum.terms_len = 2;
    sum.len = own->buffers.len;
    sum.clamped = 1;
    sum.clamp_high = 1.0f;
    sum.out = own->buffers.sample;
    check(vesde_linear(&sum), "denoising");
}

/* Samples by the ODE. Rank 0 gets all digits, to be freed; the others get NULL. */
static float *solve_sheets(int rank, int ranks, int alone, const network *net, const vesde_config *config,
                           uint64_t seed, double tolerance, size_t sheet) {
    part own = make_part(rank, ranks, sheet);
    float *digits = NULL;
    vesde_ode_options options = {0}; /* the defaults */
    vesde_ode_request request;
    vesde_ode_stats stats;
    vesde_ode ode;
    MPI_Datatype block;
    size_t workspace_len, sent = 0;
    options.seed = seed;
    options.rtol = options.atol = tolerance;
    check(vesde_ode_init(config, DIGITS, &options, &ode), "the job");
    check(vesde_ode_workspace_len(&ode, own.buffers.len, &workspace_len), "the workspace");
    own.buffers.workspace = (float *)allocate(workspace_len + 1, sizeof *own.buffers.workspace);
    for (;;) {
        sent += advance(&own, rank, alone, &ode, &request);
        if (request.kind == VESDE_ODE_REQUEST_KIND_DONE)
            break;
        evaluate_part(&own, net, own.buffers.input, request.sigma);
    }
    denoise(&own, net, config);

    /* Whole blocks are received. The last one sent may be short; there is room for a full one. */
    MPI_Type_contiguous(VESDE_NORM_BLOCK, MPI_FLOAT, &block);
    MPI_Type_commit(&block);
    if (rank == 0) {
        size_t i, at;
        digits = (float *)allocate(vesde_norm_blocks(own.all), VESDE_NORM_BLOCK * sizeof *digits);
        memcpy(digits, own.buffers.sample, own.buffers.len * sizeof *digits);
        for (i = 1; i < (size_t)ranks; i++) {
            at = (size_t)own.firsts[i] * VESDE_NORM_BLOCK;
            MPI_Recv(digits + at, own.counts[i], block, (int)i, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        }
        check(vesde_ode_get_stats(&ode, &stats), "the statistics");
        printf("%lu evaluations, %lu steps accepted and %lu not, %lu bytes of sums from rank 0\n",
               (unsigned long)stats.evaluations + 1, (unsigned long)stats.accepted, (unsigned long)stats.rejected,
               (unsigned long)sent);
    } else {
        MPI_Send(own.buffers.sample, (int)own.buffers.len, MPI_FLOAT, 0, 0, MPI_COMM_WORLD);
    }
    MPI_Type_free(&block);
    free_part(&own);
    return digits;
}

int main(int argc, char **argv) {
    const char *output;
    uint64_t seed, sheet, steps = 0;
    double tolerance = 0.0;
    int rank, ranks, alone, ode;
    float *digits;
    vesde_config config;
    network net;
    char *file;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    alone = argc > 1 && strcmp(argv[1], "--ode-alone") == 0;
    ode = alone || (argc > 1 && strcmp(argv[1], "--ode") == 0);
    if (ode) {
        tolerance = argc > 2 ? strtod(argv[2], NULL) : 0.0;
        if (!(tolerance > 0.0) || (alone && ranks > 1))
            fail("--ode", "needs a TOLERANCE, and --ode-alone one rank");
        argv += 2;
        argc -= 2;
    }
    output = argc > 1 ? argv[1] : "digits.png";
    seed = number(argc > 2 ? argv[2] : "42", "SEED");
    if (!ode) {
        steps = number(argc > 3 ? argv[3] : "200", "STEPS");
        argv++;
        argc--;
    }
    sheet = number(argc > 3 ? argv[3] : "1", "SHEET");
    if ((!ode && steps == 0) || sheet == 0 || sheet > 1 << 20)
        fail("STEPS and SHEET", "must be at least 1, and SHEET at most 2^20");
    if (!ode && ranks > DIGITS)
        fail("the ranks", "are more than the samples");

    file = read_digits(&net, &config);
    digits = ode ? solve_sheets(rank, ranks, alone, &net, &config, seed, tolerance, (size_t)sheet)
                 : sample_sheets(rank, ranks, &net, &config, seed, (size_t)steps, (size_t)sheet);
    if (rank == 0)
        write_digits(output, digits, DIGITS * (size_t)sheet * PIXELS);
    free(digits);
    free(file);
    MPI_Finalize();
    return 0;
}
