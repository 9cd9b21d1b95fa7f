/*
 * kernels.c: see kernels.h. Compiled once for each instruction set (CMakeLists.txt) with FRESHET_KERNELS set
 * to the name of the table that it defines; vector width, tile size and which multiplication follow from the
 * compiler's target.
 *
 * Multiplication: the right-hand matrix is packed into panels of WIDTH columns, [n / WIDTH][k][WIDTH]. A tile
 * of up to TILE_ROWS rows and one panel keeps all its sums in registers, while a panel streams by: the scheme
 * of Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), without its outer
 * blocking, since the matrices here fit the caches well enough.
 */
#include "text/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "text/kernels_vectors.h"

#if !defined(__AVX2__)
#include <cblas.h>
#endif

#ifndef FRESHET_KERNELS
#define FRESHET_KERNELS freshet_kernels_portable
#endif

/* ---- functions ---- */

/* exp(x) for x <= 0 as 2^n * e^r, |r| <= ln(2)/2, e^r by its Taylor polynomial; error below 1e-6 of the
 * result, 0 below -87. */
INLINE vfloat exp_negative(vfloat x) {
  const vfloat shifter = splat(0x1.8p23F); /* adding it rounds to an integer, left in the low bits */
  x = larger(x, splat(-87.3F));
  vfloat shifted = fused(x, splat(1.44269504F), shifter);
  vfloat n = shifted - shifter;
  vfloat r = fused(n, splat(-0.693145752F), x);
  r = fused(n, splat(-1.42860677e-6F), r);
  vfloat p = splat(1.0F / 720);
  p = fused(p, r, splat(1.0F / 120));
  p = fused(p, r, splat(1.0F / 24));
  p = fused(p, r, splat(1.0F / 6));
  p = fused(p, r, splat(0.5F));
  p = fused(p, r, splat(1));
  p = fused(p, r, splat(1));
  return (vfloat)((vint)p + ((vint)shifted << 23));
}

/* x * Phi(x). Phi(x) = 1/2 + x * q(x^2) for |x| <= 5, where q is a minimax polynomial in 2 x^2 / 25 - 1;
 * beyond, Phi is as good as 0 or 1. Error below 1.3e-6. */
INLINE vfloat gelu(vfloat x) {
  static const float q[] = {0.141363788F,   -0.0702962807F,  0.0515205235F,  -0.0404426045F, 0.0314421566F,
                            -0.0232686709F, 0.0164022476F,   -0.0111642925F, 0.00641035778F, -0.00268562699F,
                            0.00172294534F, -0.00161324439F, 0.000608675246F};
  enum { DEGREE = sizeof q / sizeof *q - 1 };
  vfloat bounded = smaller(larger(x, splat(-5)), splat(5));
  vfloat t = fused(bounded * bounded, splat(0.08F), splat(-1));
  vfloat p = splat(q[DEGREE]);
  UNROLL for (int i = DEGREE - 1; i >= 0; i--) p = fused(p, t, splat(q[i]));
  return x * fused(bounded, p, splat(0.5F));
}

static void softmax_row(float* x, size_t padded, size_t n, float scale) {
  for (size_t i = n; i < padded; i++) x[i] = -INFINITY;
  vfloat most = load(x), total = {0};
  for (size_t i = LANES; i < padded; i += LANES) most = larger(most, load(x + i));
  vfloat base = splat(largest_of(most));
  for (size_t i = 0; i < padded; i += LANES) {
    vfloat e = exp_negative((load(x + i) - base) * scale);
    store(x + i, e);
    total += e;
  }
  for (size_t i = n; i < padded; i++)
    x[i] = 0; /* exp_negative(-inf) is tiny, not zero, and no part of the sum */
  vfloat factor = splat(1 / sum_of(total));
  for (size_t i = 0; i < padded; i += LANES) store(x + i, load(x + i) * factor);
}

static void softmax(float* x, size_t stride, size_t rows, size_t n, float scale) {
  size_t padded = (n + LANES - 1) / LANES * LANES;
  for (size_t i = 0; i < rows; i++) softmax_row(x + i * stride, padded, n, scale);
}

static void layer_norm_row(float* x, const float* residual, size_t n, const float* gain, const float* bias,
                           float epsilon) {
  vfloat sum = {0}, squares = {0};
  for (size_t i = 0; i < n; i += LANES) {
    vfloat v = load(x + i);
    if (residual != NULL) v += load(residual + i);
    store(x + i, v);
    sum += v;
  }
  vfloat mean = splat(sum_of(sum) / (float)n);
  for (size_t i = 0; i < n; i += LANES) {
    vfloat v = load(x + i) - mean;
    squares = fused(v, v, squares);
  }
  vfloat factor = splat(1 / sqrtf(sum_of(squares) / (float)n + epsilon));
  for (size_t i = 0; i < n; i += LANES) {
    store(x + i, fused((load(x + i) - mean) * factor, load(gain + i), load(bias + i)));
  }
}

static void layer_norm(float* x, const float* residual, size_t rows, size_t n, const float* gain,
                       const float* bias, float epsilon) {
  for (size_t i = 0; i < rows; i++) {
    layer_norm_row(x + i * n, residual == NULL ? NULL : residual + i * n, n, gain, bias, epsilon);
  }
}

/* ---- quantisation ---- */

INLINE void store_inputs(input_value* to, vint values) {
#if defined(__AVX2__) && !defined(__AVX512VNNI__) /* where compilers narrow value by value */
  __m256i doubled = _mm256_packus_epi32((__m256i)values, (__m256i)values);
  _mm_storeu_si128((__m128i*)to, _mm256_castsi256_si128(_mm256_permute4x64_epi64(doubled, 0x08)));
#else
  *(vinput*)to = __builtin_convertvector(values, vinput);
#endif
}

static void quantize_row(const float* a, size_t k, input_value* q, freshet_row_range* range) {
  vfloat low = load(a), high = low;
  for (size_t i = LANES; i < k; i += LANES) {
    low = smaller(low, load(a + i));
    high = larger(high, load(a + i));
  }
  range->minimum = -largest_of(-low);
  range->scale = (largest_of(high) - range->minimum) / 255;
  float inverse = range->scale > 0 ? 1 / range->scale : 0;
  vfloat offset = splat(0.5F - range->minimum * inverse);
  for (size_t i = 0; i < k; i += LANES) {
    vint rounded = __builtin_convertvector(fused(load(a + i), splat(inverse), offset), vint);
    store_inputs(q + i, rounded);
  }
}

static void quantize(const float* a, size_t a_stride, size_t rows, size_t k, void* q,
                     freshet_row_range* ranges) {
  input_value* to = q;
  for (size_t i = 0; i < rows; i++) quantize_row(a + i * a_stride, k, to + i * k, &ranges[i]);
}

/* The place of value (column j, row i) of the right-hand matrix in the 8-bit panels. VNNI takes rows four at
 * a time, [n / WIDTH][k / 4][WIDTH][4], AVX2 two. */
INLINE size_t int8_place(size_t j, size_t i, size_t k) {
#if defined(__AVX2__)
  return j / WIDTH * (WIDTH * k) + i / STEP * (STEP * WIDTH) + j % WIDTH * STEP + i % STEP;
#else
  return j * k + i;
#endif
}

static void pack_int8(const float* b, size_t n, size_t k, int8_t* panels, float* scales, float* sums) {
  for (size_t j = 0; j < n; j++) {
    float most = 0;
    int32_t sum = 0;
    for (size_t i = 0; i < k; i++) most = fmaxf(most, fabsf(b[j * k + i]));
    scales[j] = most / 127;
    float inverse = most > 0 ? 127 / most : 0;
    for (size_t i = 0; i < k; i++) {
      int8_t q = (int8_t)lrintf(b[j * k + i] * inverse);
      panels[int8_place(j, i, k)] = q;
      sum += q;
    }
    sums[j] = (float)sum;
  }
}

/* ---- multiplication ---- */

static size_t pad(size_t n) {
  return (n + FRESHET_KERNEL_ALIGNMENT - 1) / FRESHET_KERNEL_ALIGNMENT * FRESHET_KERNEL_ALIGNMENT;
}

/* What is done to a block of sums right after it was written, while it is in the nearest cache. */
INLINE void finish(float* c, size_t c_stride, size_t rows, size_t n, const float* bias,
                   freshet_activation activation) {
  if (bias == NULL && activation == FRESHET_ACTIVATION_NONE) return;
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < n; j += LANES) {
      vfloat v = load(c + i * c_stride + j);
      if (bias != NULL) v += load(bias + j);
      store(c + i * c_stride + j, activation == FRESHET_ACTIVATION_GELU ? gelu(v) : v);
    }
  }
}

#if defined(__AVX2__)

static void pack_columns(const float* b, size_t stride, size_t n, size_t k, float* panels) {
  size_t padded = pad(n);
  for (size_t j = 0; j < padded; j++) {
    float* to = panels + j / WIDTH * (WIDTH * k) + j % WIDTH;
    for (size_t i = 0; i < k; i++) to[i * WIDTH] = j < n ? b[j * stride + i] : 0;
  }
}

static void pack_rows(const float* b, size_t stride, size_t n, size_t k, float* panels) {
  for (size_t j = 0; j < pad(n); j += WIDTH) {
    size_t used = n <= j ? 0 : n - j < WIDTH ? n - j : WIDTH;
    for (size_t i = 0; i < k; i++) {
      float* to = panels + j * k + i * WIDTH;
      for (size_t l = 0; l < used; l++) to[l] = b[i * stride + j + l];
      for (size_t l = used; l < WIDTH; l++) to[l] = 0;
    }
  }
}

/* The address of row r of a tile, from one pointer for three rows. Addressing modes can do that; twelve
 * pointers would not fit into the registers. */
enum { BASES = TILE_ROWS / 3 };

INLINE void multiply_tile(size_t rows, const float* a, size_t a_stride, size_t k, const float* panel,
                          float* c, size_t c_stride) {
  vfloat sums[TILE_ROWS][VECTORS] = {{{0}}};
  const float* bases[BASES];
  UNROLL for (size_t i = 0; 3 * i < rows; i++) bases[i] = a + 3 * i * a_stride;
  for (size_t i = 0; i < k; i++) {
    vfloat left = load(panel + i * WIDTH), right = load(panel + i * WIDTH + LANES);
    UNROLL for (size_t r = 0; r < rows; r++) {
      vfloat value = splat(bases[r / 3][r % 3 * a_stride + i]);
      sums[r][0] = fused(value, left, sums[r][0]);
      sums[r][1] = fused(value, right, sums[r][1]);
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    store(c + r * c_stride, sums[r][0]);
    store(c + r * c_stride + LANES, sums[r][1]);
  }
}

/* Calls `call` with the number of rows as a constant, so that each number has its own unrolled loop. */
#if defined(__AVX512F__)
#define FOR_CONSTANT_ROWS(rows, call) \
  switch (rows) {                     \
    case 1:                           \
      call(1);                        \
      break;                          \
    case 2:                           \
      call(2);                        \
      break;                          \
    case 3:                           \
      call(3);                        \
      break;                          \
    case 4:                           \
      call(4);                        \
      break;                          \
    case 5:                           \
      call(5);                        \
      break;                          \
    case 6:                           \
      call(6);                        \
      break;                          \
    case 7:                           \
      call(7);                        \
      break;                          \
    case 8:                           \
      call(8);                        \
      break;                          \
    case 9:                           \
      call(9);                        \
      break;                          \
    case 10:                          \
      call(10);                       \
      break;                          \
    case 11:                          \
      call(11);                       \
      break;                          \
    default:                          \
      call(12);                       \
      break;                          \
  }
#else
#define FOR_CONSTANT_ROWS(rows, call) \
  switch (rows) {                     \
    case 1:                           \
      call(1);                        \
      break;                          \
    case 2:                           \
      call(2);                        \
      break;                          \
    case 3:                           \
      call(3);                        \
      break;                          \
    case 4:                           \
      call(4);                        \
      break;                          \
    case 5:                           \
      call(5);                        \
      break;                          \
    default:                          \
      call(6);                        \
      break;                          \
  }
#endif

/* Rows are spread evenly over the tiles: a last tile of one row would run at a twelfth of the speed. */
INLINE size_t tile_rows(size_t left) {
  size_t tiles = (left + TILE_ROWS - 1) / TILE_ROWS;
  return (left + tiles - 1) / tiles;
}

static void multiply(const float* a, size_t a_stride, size_t rows, size_t k, const float* panels, size_t n,
                     const float* bias, freshet_activation activation, float* c, size_t c_stride) {
  for (size_t j = 0; j < n; j += WIDTH) {
    const float* panel = panels + j * k;
    for (size_t i = 0, count; i < rows; i += count) {
      float* block = c + i * c_stride + j;
      count = tile_rows(rows - i);
#define CALL(constant) multiply_tile(constant, a + i * a_stride, a_stride, k, panel, block, c_stride)
      FOR_CONSTANT_ROWS(count, CALL)
#undef CALL
      finish(block, c_stride, count, WIDTH, bias == NULL ? NULL : bias + j, activation);
    }
  }
}

#else /* any x86-64: OpenBLAS over [n][k], one thread for one call */

static void pack_columns(const float* b, size_t stride, size_t n, size_t k, float* panels) {
  size_t padded = pad(n);
  for (size_t j = 0; j < padded; j++) {
    for (size_t i = 0; i < k; i++) panels[j * k + i] = j < n ? b[j * stride + i] : 0;
  }
}

static void pack_rows(const float* b, size_t stride, size_t n, size_t k, float* panels) {
  size_t padded = pad(n);
  for (size_t j = 0; j < padded; j++) {
    for (size_t i = 0; i < k; i++) panels[j * k + i] = j < n ? b[i * stride + j] : 0;
  }
}

static void multiply(const float* a, size_t a_stride, size_t rows, size_t k, const float* panels, size_t n,
                     const float* bias, freshet_activation activation, float* c, size_t c_stride) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)n, (blasint)k, 1, a,
              (blasint)a_stride, panels, (blasint)k, 0, c, (blasint)c_stride);
  finish(c, c_stride, rows, n, bias, activation);
}

#endif

#if defined(__AVX2__)

#if defined(__AVX512VNNI__)

INLINE void add_int8(size_t rows, const input_value* q, size_t k, const int8_t* panel,
                     vint totals[TILE_ROWS][VECTORS]) {
  const input_value* bases[BASES];
  UNROLL for (size_t i = 0; 3 * i < rows; i++) bases[i] = q + 3 * i * k;
  for (size_t i = 0; i < k; i += STEP) {
    __m512i left = _mm512_loadu_si512(panel + i * WIDTH);
    __m512i right = _mm512_loadu_si512(panel + i * WIDTH + STEP * LANES);
    UNROLL for (size_t r = 0; r < rows; r++) {
      int32_t four;
      memcpy(&four, bases[r / 3] + r % 3 * k + i, sizeof four);
      __m512i values = _mm512_set1_epi32(four);
      totals[r][0] = (vint)_mm512_dpbusd_epi32((__m512i)totals[r][0], values, left);
      totals[r][1] = (vint)_mm512_dpbusd_epi32((__m512i)totals[r][1], values, right);
    }
  }
}

#else

/* Without VNNI no instruction adds products of 8-bit values up without clipping them. So inputs are kept as
 * 16 bits from the start, and weights widened on their way from memory. */
INLINE void add_int8(size_t rows, const input_value* q, size_t k, const int8_t* panel,
                     vint totals[TILE_ROWS][VECTORS]) {
  const input_value* bases[BASES];
  UNROLL for (size_t i = 0; 3 * i < rows; i++) bases[i] = q + 3 * i * k;
  for (size_t i = 0; i < k; i += STEP) {
    const __m128i* at = (const __m128i*)(panel + i * WIDTH);
    __m256i left = _mm256_cvtepi8_epi16(_mm_loadu_si128(at));
    __m256i right = _mm256_cvtepi8_epi16(_mm_loadu_si128(at + 1));
    UNROLL for (size_t r = 0; r < rows; r++) {
      int32_t two;
      memcpy(&two, bases[r / 3] + r % 3 * k + i, sizeof two);
      __m256i values = _mm256_set1_epi32(two);
      totals[r][0] += (vint)_mm256_madd_epi16(values, left);
      totals[r][1] += (vint)_mm256_madd_epi16(values, right);
    }
  }
}

#endif

INLINE void multiply_tile_int8(size_t rows, const input_value* q, const freshet_row_range* ranges, size_t k,
                               const int8_t* panel, const float* scales, const float* sums, float* c,
                               size_t c_stride) {
  vint totals[TILE_ROWS][VECTORS] = {{{0}}};
  add_int8(rows, q, k, panel, totals);
  UNROLL for (size_t r = 0; r < rows; r++) {
    for (size_t v = 0; v < VECTORS; v++) {
      vfloat total = __builtin_convertvector(totals[r][v], vfloat);
      vfloat offset = load(sums + v * LANES) * ranges[r].minimum;
      store(c + r * c_stride + v * LANES,
            fused(total, splat(ranges[r].scale), offset) * load(scales + v * LANES));
    }
  }
}

static void multiply_int8(const void* inputs, const freshet_row_range* ranges, size_t rows, size_t k,
                          const int8_t* panels, const float* scales, const float* sums, size_t n,
                          const float* bias, freshet_activation activation, float* c, size_t c_stride) {
  const input_value* q = inputs;
  for (size_t j = 0; j < n; j += WIDTH) {
    const int8_t* panel = panels + j * k;
    for (size_t i = 0, count; i < rows; i += count) {
      float* block = c + i * c_stride + j;
      count = tile_rows(rows - i);
#define CALL(constant) \
  multiply_tile_int8(constant, q + i * k, ranges + i, k, panel, scales + j, sums + j, block, c_stride)
      FOR_CONSTANT_ROWS(count, CALL)
#undef CALL
      finish(block, c_stride, count, WIDTH, bias + j, activation);
    }
  }
}

#else

static void multiply_int8(const void* inputs, const freshet_row_range* ranges, size_t rows, size_t k,
                          const int8_t* panels, const float* scales, const float* sums, size_t n,
                          const float* bias, freshet_activation activation, float* c, size_t c_stride) {
  const input_value* q = inputs;
  for (size_t j = 0; j < n; j++) {
    const int8_t* column = panels + j * k;
    for (size_t i = 0; i < rows; i++) {
      const input_value* row = q + i * k;
      int32_t total = 0;
      for (size_t l = 0; l < k; l++) total += (int16_t)row[l] * (int16_t)column[l];
      c[i * c_stride + j] = ((float)total * ranges[i].scale + sums[j] * ranges[i].minimum) * scales[j];
    }
  }
  finish(c, c_stride, rows, n, bias, activation);
}

#endif

extern const freshet_kernels FRESHET_KERNELS;
const freshet_kernels FRESHET_KERNELS = {
#if defined(__AVX512F__)
    .name = "avx512",
#elif defined(__AVX2__)
    .name = "avx2",
#else
    .name = "portable",
#endif
    .pack_columns = pack_columns,
    .pack_rows = pack_rows,
    .multiply = multiply,
    .pack_int8 = pack_int8,
    .input_size = sizeof(input_value),
    .quantize = quantize,
    .multiply_int8 = multiply_int8,
    .layer_norm = layer_norm,
    .softmax = softmax,
};
