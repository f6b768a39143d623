// Writes what CUDA's __sinf gives for every argument of a quarter turn that it tells apart, 2^23 of
// them, as bits. Exits 1 where an assumption of src/kernels/cuda_math.rs does not hold: that these
// 2^-25 turns are all it looks at, that the other quarters and __cosf have the same results
// forwards or backwards, and that logf is the polynomial which stands there.
//
//     nvcc -arch=native -o mufu ffi-tests/vectors/mufu.cu && ./mufu mufu.bin &&
//       python ffi-tests/vectors/mufu.py mufu.bin

#include <cstdint>
#include <cstdio>
#include <vector>

const uint32_t QUARTER = 1u << 23, UNSEEN = 0xffffffffu;

// All angles from 2^-34 to 2 pi, by turns. Where one of them has several results, `differ` counts
// it.
__global__ void waves(uint32_t *sines, uint32_t *cosines, unsigned long long *differ) {
    uint32_t first = 0x2e800000u, last = 0x40c90fdbu;
    for (uint32_t bits = first + blockIdx.x * blockDim.x + threadIdx.x; bits <= last; bits += gridDim.x * blockDim.x) {
        float angle = __uint_as_float(bits);
        uint32_t turns = (uint32_t)(__fmul_rz(angle, 0.15915494f) * (1 << 25));
        uint32_t sine = __float_as_uint(__sinf(angle)), cosine = __float_as_uint(__cosf(angle));
        if (turns >= 4 * QUARTER) {
            atomicAdd(differ, 1ull);
            continue;
        }
        uint32_t before = atomicExch(&sines[turns], sine), before_cosine = atomicExch(&cosines[turns], cosine);
        if ((before != UNSEEN && before != sine) || (before_cosine != UNSEEN && before_cosine != cosine)) {
            atomicAdd(differ, 1ull);
        }
    }
}

__device__ float polynomial(float x) {
    uint32_t bits = __float_as_uint(x), exponent = (bits - 0x3f2aaaabu) & 0xff800000u;
    const float c[] = {-0.13018857f, 0.1408461f,  -0.12148628f, 0.1398061f, -0.16684236f,
                       0.200123f,    -0.24999669f, 0.33333182f, -0.5f};
    float f = __uint_as_float(bits - exponent) - 1.0f, p = c[0];
    for (int i = 1; i < 9; ++i) {
        p = __fmaf_rn(f, p, c[i]);
    }
    p = __fmaf_rn(__fmul_rn(f, p), f, f);
    return __fmaf_rn((float)((int32_t)exponent >> 23), 0.69314718f, p);
}

// From 2^-33 to 1.
__global__ void logarithms(unsigned long long *differ) {
    for (uint32_t bits = 0x2f000000u + blockIdx.x * blockDim.x + threadIdx.x; bits <= 0x3f800000u;
         bits += gridDim.x * blockDim.x) {
        float x = __uint_as_float(bits);
        if (__float_as_uint(logf(x)) != __float_as_uint(polynomial(x))) {
            atomicAdd(differ, 1ull);
        }
    }
}

static void check(cudaError_t error) {
    if (error != cudaSuccess) {
        fprintf(stderr, "%s\n", cudaGetErrorString(error));
        exit(2);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: mufu FILE\n");
        return 2;
    }
    size_t bytes = 4 * (size_t)QUARTER * sizeof(uint32_t);
    uint32_t *device[2];
    unsigned long long *differ, count;
    std::vector<uint32_t> waves_of[2];
    check(cudaMalloc(&differ, sizeof *differ));
    check(cudaMemset(differ, 0, sizeof *differ));
    for (uint32_t *&wave : device) {
        check(cudaMalloc(&wave, bytes));
        check(cudaMemset(wave, 0xff, bytes));
    }
    waves<<<2048, 256>>>(device[0], device[1], differ);
    logarithms<<<2048, 256>>>(differ);
    check(cudaMemcpy(&count, differ, sizeof count, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 2; ++i) {
        waves_of[i].resize(4 * (size_t)QUARTER);
        check(cudaMemcpy(waves_of[i].data(), device[i], bytes, cudaMemcpyDeviceToHost));
    }
    const std::vector<uint32_t> &sines = waves_of[0], &cosines = waves_of[1];
    unsigned long long seen = 0;
    for (uint32_t at = 0; at < 4 * QUARTER; ++at) {
        uint32_t quarter = at / QUARTER, there = at % QUARTER, back = QUARTER - 1 - there;
        uint32_t sine = sines[quarter % 2 ? back : there] | (quarter >= 2 ? 0x80000000u : 0);
        uint32_t cosine = sines[quarter % 2 ? there : back] | (quarter == 1 || quarter == 2 ? 0x80000000u : 0);
        if (sines[at] != UNSEEN || quarter == 0) {
            seen += 1;
            count += sines[at] != sine || cosines[at] != cosine;
        }
    }
    printf("%llu arguments, %llu results are not as assumed\n", seen, count);
    FILE *file = fopen(argv[1], "wb");
    if (file == NULL || fwrite(sines.data(), sizeof(uint32_t), QUARTER, file) != QUARTER || fclose(file) != 0) {
        perror(argv[1]);
        return 2;
    }
    return count != 0;
}
