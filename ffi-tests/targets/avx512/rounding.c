// Whether the emulator rounds the conversion of unsigned integers as Intel's manual says: once.
// Bochs 2.7 drops the lowest bit before it rounds, so that 0x80000081 becomes a tie. `TorchCuda` is
// made of such conversions.

#include <immintrin.h>
#include <stdint.h>

__attribute__((target("avx512f"))) int main(void) {
    volatile uint32_t number = 0x80000081; // or the compiler converts it
    return _mm_cvtss_f32(_mm512_castps512_ps128(_mm512_cvtepu32_ps(_mm512_set1_epi32((int)number)))) != 0x1.000002p31f;
}
