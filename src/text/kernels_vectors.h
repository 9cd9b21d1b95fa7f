/*
 * kernels_vectors.h: vectors of the compiler and the few operations on them that the encoder's kernels need, at the
 * width of the instruction set that the including file is compiled for. Only kernels.c includes it, several times
 * over as files of their own; no linkage leaves it.
 */
#ifndef FRESHET_TEXT_KERNELS_VECTORS_H
#define FRESHET_TEXT_KERNELS_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "core/intrinsics.h"

#if defined(__AVX512F__)
enum { LANES = 16, TILE_ROWS = 12, STEP = 4 /* 8-bit values of a column that an instruction adds up */ };
#elif defined(__AVX2__)
enum { LANES = 8, TILE_ROWS = 6, STEP = 2 };
#else
enum { LANES = 4 };
#endif
enum { VECTORS = 2, WIDTH = VECTORS * LANES };

/* A quantised input, 0 to 255. */
#if defined(__AVX2__) && !defined(__AVX512VNNI__)
typedef uint16_t input_value;
#else
typedef uint8_t input_value;
#endif

/* Vectors of the compiler, not of one instruction set; loads and stores need no alignment. */
typedef float vfloat __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef int32_t vint __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(4), may_alias));
typedef input_value vinput __attribute__((vector_size(LANES * sizeof(input_value)), aligned(1), may_alias));

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

INLINE vfloat load(const float* from) {
  return *(const vfloat*)from;
}

INLINE void store(float* to, vfloat value) {
  *(vfloat*)to = value;
}

INLINE vfloat splat(float value) {
  return value - (vfloat){0};
}

#if defined(__AVX512F__)
#define fused(a, b, c) ((vfloat)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define larger(a, b) ((vfloat)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define smaller(a, b) ((vfloat)_mm512_min_ps((__m512)(a), (__m512)(b)))
#elif defined(__AVX2__)
#define fused(a, b, c) ((vfloat)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define larger(a, b) ((vfloat)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define smaller(a, b) ((vfloat)_mm256_min_ps((__m256)(a), (__m256)(b)))
#else
#define fused(a, b, c) ((a) * (b) + (c))
#define larger(a, b) ((vfloat)_mm_max_ps((__m128)(a), (__m128)(b)))
#define smaller(a, b) ((vfloat)_mm_min_ps((__m128)(a), (__m128)(b)))
#endif

#if defined(__AVX512F__)
#define sum_of(v) _mm512_reduce_add_ps((__m512)(v))
#define largest_of(v) _mm512_reduce_max_ps((__m512)(v))
#else
INLINE float sum_of(vfloat v) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) sum += v[i];
  return sum;
}

INLINE float largest_of(vfloat v) {
  float most = v[0];
  for (int i = 1; i < LANES; i++) most = v[i] > most ? v[i] : most;
  return most;
}
#endif

#endif
