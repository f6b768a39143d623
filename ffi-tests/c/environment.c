// Whether the library notices a floating-point environment that is not the one it assumes: those
// that C99 can set and, where this program knows how, subnormals that are flushed to zero.
// ffi-tests/c.rs also links it as `gcc -Ofast` does, which flushes them.
//
//   environment [0]     with 0, the environment is another one from the beginning

#include <fenv.h>

#include "check.h"

// Returns 0 where it does not know how to.
static int flush_subnormals(int flush) {
#if defined(__SSE__)
    unsigned int mxcsr = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(flush ? mxcsr | 0x8040 : mxcsr & ~0x8040U);
    return 1;
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    fpcr = flush ? fpcr | (1 << 24) : fpcr & ~(uint64_t)(1 << 24);
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
    return 1;
#else
    return flush & 0;
#endif
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "0") == 0) {
        CHECK(vesde_float_environment_is_default() == 0);
        flush_subnormals(0);
    }
    CHECK(vesde_float_environment_is_default() == 1);

    const int roundings[] = {
#ifdef FE_UPWARD
        FE_UPWARD,
#endif
#ifdef FE_DOWNWARD
        FE_DOWNWARD,
#endif
#ifdef FE_TOWARDZERO
        FE_TOWARDZERO,
#endif
        FE_TONEAREST,
    };
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; ++i) {
        snprintf(context, sizeof context, "rounding %d", (int)i);
        CHECK(fesetround(roundings[i]) == 0);
        int32_t found = vesde_float_environment_is_default();
        fesetround(FE_TONEAREST);
        CHECK(found == (roundings[i] == FE_TONEAREST));
    }
    *context = '\0';
    if (flush_subnormals(1)) {
        // What flushing loses: the norm of a small score.
        const float score[] = {1e-40f, 1e-40f};
        double block = 7, norm = 7;
        int32_t found = vesde_float_environment_is_default();
        OK(vesde_sum_squares(vesde_given_noise(score), 2, 1, &block));
        flush_subnormals(0);
        OK(vesde_sample_norm(&block, 1, &norm));
        CHECK(found == 0 && norm == 0);
        OK(vesde_sum_squares(vesde_given_noise(score), 2, 1, &block));
        OK(vesde_sample_norm(&block, 1, &norm));
        CHECK(norm > 1.41e-40 && norm < 1.42e-40);
    }
    CHECK(vesde_float_environment_is_default() == 1);
    return report();
}
