/*
 * kernels.h: the arithmetic under the BERT encoder, once for each instruction set.
 *
 * kernels.c is compiled three times, for AVX-512 with VNNI, for AVX2 with FMA, and for any x86-64, where
 * OpenBLAS multiplies; freshet_kernels_best picks at run time. OpenBLAS everywhere would do, but packs the
 * weights anew on each call, does not know which kernel a newer CPU wants, and multiplies no integers.
 *
 * Pure functions; any thread. Matrices are row-major floats. Strides are in elements and, like the columns n
 * of every product, multiples of FRESHET_KERNEL_ALIGNMENT; so are all lengths of rows unless said otherwise.
 */
#ifndef FRESHET_TEXT_KERNELS_H
#define FRESHET_TEXT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { FRESHET_KERNEL_ALIGNMENT = 32 };

typedef enum freshet_activation {
  FRESHET_ACTIVATION_NONE = 0,
  FRESHET_ACTIVATION_GELU, /* x * Phi(x), the erf form: Hendrycks and Gimpel (2016) */
} freshet_activation;

/* A row of 8-bit values: x[i] is about scale * q[i] + minimum. */
typedef struct freshet_row_range {
  float scale, minimum;
} freshet_row_range;

typedef struct freshet_kernels {
  const char* name; /* "avx512", "avx2", "portable" */

  /* Packs b for multiply: pack_columns takes the columns of the right-hand matrix, b [n][k] (PyTorch's layout
   * of a linear layer's weights), pack_rows its rows, b [k][n]. `panels` has room for padded n * k floats and
   * is aligned to 64 bytes. The real n may be anything; columns up to the padded n become zero. */
  void (*pack_columns)(const float* b, size_t stride, size_t n, size_t k, float* panels);
  void (*pack_rows)(const float* b, size_t stride, size_t n, size_t k, float* panels);
  /* c [rows][n] = activation(a [rows][k] * b + bias [n]); bias NULL is zero. k may be anything. */
  void (*multiply)(const float* a, size_t a_stride, size_t rows, size_t k, const float* panels, size_t n,
                   const float* bias, freshet_activation activation, float* c, size_t c_stride);

  /* The same in 8 bits with 32-bit sums, exact on every CPU: weights b [n][k] as one symmetric scale for each
   * column, inputs as one range for each row. `panels` has room for n * k bytes; sums [n] become the columns'
   * sums of quantised weights. q [rows][k] holds values of input_size bytes, aligned to that. */
  size_t input_size;
  void (*pack_int8)(const float* b, size_t n, size_t k, int8_t* panels, float* scales, float* sums);
  void (*quantize)(const float* a, size_t a_stride, size_t rows, size_t k, void* q,
                   freshet_row_range* ranges);
  void (*multiply_int8)(const void* q, const freshet_row_range* ranges, size_t rows, size_t k,
                        const int8_t* panels, const float* scales, const float* sums, size_t n,
                        const float* bias, freshet_activation activation, float* c, size_t c_stride);

  /* x [rows][n] = layer_norm(x + residual) * gain + bias, with rows of stride n: Ba et al. (2016). residual
   * NULL is zero. */
  void (*layer_norm)(float* x, const float* residual, size_t rows, size_t n, const float* gain,
                     const float* bias, float epsilon);
  /* Each row of x [rows][stride] becomes softmax(scale * x) over its first n values, zero behind them. */
  void (*softmax)(float* x, size_t stride, size_t rows, size_t n, float scale);
} freshet_kernels;

/* The fastest that this CPU runs. */
const freshet_kernels* freshet_kernels_best(void);
/* By name; NULL when unknown or not for this CPU. */
const freshet_kernels* freshet_kernels_find(const char* name);

#endif
