// The same work as plain C++ (plain.cpp), for comparison.

#ifndef PLAIN_H
#define PLAIN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const int plain_has_noise;  // 0 where the compiler has no C++ library
void plain_noise(size_t len, float *out);
void plain_update(float drift, float diffusion, const float *score, const float *sample,
                  const float *noise, size_t len, float *prev);
double plain_sum_squares(const float *x, size_t len);

#ifdef __cplusplus
}
#endif
#endif
