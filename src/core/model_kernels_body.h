/*
 * model_kernels_body.h: the source of the kernels. A translation unit defines FRESHET_MODEL_KERNELS_NAME and
 * includes it; only the compiler's target differs between them.
 *
 * GCC's vector extension spells out 16 lanes; the compiler cuts them to the width that the target has.
 * Polynomials: Cephes (S. Moshier), expf and logf, as reduced-range minimax.
 */
#include <math.h>
#include <string.h>

#include "core/model_kernels.h"

#include <immintrin.h>

/* may_alias, since they look at arrays of float and int. */
typedef float lanes __attribute__((vector_size(64), may_alias));
typedef int32_t int_lanes __attribute__((vector_size(64), may_alias));
typedef float quad __attribute__((vector_size(16), may_alias));

/* Pointers instead of values: passing 64-byte vectors by value has no stable ABI below AVX-512. */
static inline float add_up(const lanes* sums) {
  float s[FRESHET_LANES];
  memcpy(s, sums, sizeof s);
  for (int i = 0; i < 8; i++) s[i] += s[i + 8];
  for (int i = 0; i < 4; i++) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}

static float dot(const float* a, const float* b, size_t n16) {
  lanes sums = {0};
  for (size_t i = 0; i < n16; i += FRESHET_LANES) sums += *(const lanes*)(a + i) * *(const lanes*)(b + i);
  return add_up(&sums);
}

static void dots(const float* rows, const uint32_t* slots, size_t count, const float* x, size_t n16,
                 float* out) {
  for (size_t i = 0; i < count; i++) out[i] = dot(rows + (slots == NULL ? i : slots[i]) * n16, x, n16);
}

static void add_scaled(float* y, float a, const float* x, size_t n16) {
  for (size_t i = 0; i < n16; i += FRESHET_LANES) *(lanes*)(y + i) += a * *(const lanes*)(x + i);
}

static void descend_block(lanes* row, const lanes* step) {
  const lanes zero = {0};
  const lanes top = zero + FRESHET_FACTOR_MAX, bottom = -top;
  lanes y = *row - *step;
  int_lanes over = y > top, under = y < bottom;
  y = (lanes)((over & (int_lanes)top) | (under & (int_lanes)bottom) | (~(over | under) & (int_lanes)y));
  *row = (y + FRESHET_FACTOR_ROUND) - FRESHET_FACTOR_ROUND;
}

static void descend(float* row, float a, const float* x, size_t n16) {
  for (size_t i = 0; i < n16; i += FRESHET_LANES) {
    lanes step = a * *(const lanes*)(x + i);
    descend_block((lanes*)(row + i), &step);
  }
}

static void descend_rows(float* rows, const uint32_t* slots, size_t count, const float* gradients,
                         const float* steps, const float* x, float* slope, size_t n16) {
  for (size_t k = 0; k < n16; k += FRESHET_LANES) {
    lanes sum = *(lanes*)(slope + k);
    const lanes along = *(const lanes*)(x + k);
    for (size_t i = 0; i < count; i++) {
      lanes* row = (lanes*)(rows + slots[i] * n16 + k);
      lanes step = steps[i] * along;
      sum += gradients[i] * *row;
      descend_block(row, &step);
    }
    *(lanes*)(slope + k) = sum;
  }
}

static void exp_block(lanes* block) {
  const lanes zero = {0};
  const lanes top = zero + 88.0F, bottom = zero - 87.0F;
  lanes x = *block;
  int_lanes over = x > top, under = ~(x >= bottom); /* NaN counts as under */
  x = (lanes)((over & (int_lanes)top) | (under & (int_lanes)bottom) | (~(over | under) & (int_lanes)x));
  lanes n = (x * 1.44269504F + 0x1.8p23F) - 0x1.8p23F; /* nearest integer */
  lanes r = (x - n * 0.693359375F) - n * -2.12194440e-4F;
  lanes y = zero + 1.9875691500e-4F;
  y = y * r + 1.3981999507e-3F;
  y = y * r + 8.3334519073e-3F;
  y = y * r + 4.1665795894e-2F;
  y = y * r + 1.6666665459e-1F;
  y = y * r + 5.0000001201e-1F;
  y = (y * (r * r) + r) + 1.0F;
  int_lanes power = (__builtin_convertvector(n, int_lanes) + 127) << 23;
  *block = y * (lanes)power;
}

static void log_block(lanes* block) {
  const lanes zero = {0};
  int_lanes bits = (int_lanes)*block;
  int_lanes exponent = ((bits - 0x3f3504f3) >> 23); /* so that the mantissa lies around 1: [.7071, 1.4142) */
  lanes x = (lanes)(bits - (exponent << 23)) - 1.0F;
  lanes n = __builtin_convertvector(exponent, lanes);
  lanes z = x * x;
  lanes y = zero + 7.0376836292e-2F;
  y = y * x - 1.1514610310e-1F;
  y = y * x + 1.1676998740e-1F;
  y = y * x - 1.2420140846e-1F;
  y = y * x + 1.4249322787e-1F;
  y = y * x - 1.6668057665e-1F;
  y = y * x + 2.0000714765e-1F;
  y = y * x - 2.4999993993e-1F;
  y = y * x + 3.3333331174e-1F;
  y = y * x * z;
  y = (y + n * -2.12194440e-4F) - 0.5F * z;
  *block = (x + y) + n * 0.693359375F;
}

static void exp_array(float* x, size_t n16) {
  for (size_t i = 0; i < n16; i += FRESHET_LANES) exp_block((lanes*)(x + i));
}

static void log_array(float* x, size_t n16) {
  for (size_t i = 0; i < n16; i += FRESHET_LANES) log_block((lanes*)(x + i));
}

static void blend(double* restrict x, double* restrict accumulators, const float* restrict gradients,
                  const float* restrict rates, size_t n16) {
  const double round = 0x1.8p12; /* 52 - 12 = 40 bits behind the point, see FRESHET_BLEND_STEP */
  for (size_t i = 0; i < n16; i++) {
    double g = gradients[i];
    double grown = ((.999 * accumulators[i] + .001 * (g * g)) + round) - round;
    grown = grown > 0 ? grown : 0; /* it forgets: folded gains of others may take it below */
    double moved = ((x[i] - rates[i] * g / sqrt(grown + 1e-6)) + round) - round;
    accumulators[i] = g != 0 ? grown : accumulators[i];
    x[i] = g != 0 ? moved : x[i];
  }
}

enum { SCAN_BLOCK = 256 };

/* Indices i < count with a mark, in order, without a branch per item. hits [SCAN_BLOCK + 16] */
static size_t find_marked(const uint32_t* items, size_t count, const uint8_t* marks, uint32_t* hits) {
  size_t found = 0, i = 0;
#ifdef __AVX512F__
  const __m512i low_byte = _mm512_set1_epi32(0xff);
  __m512i index = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (; i + FRESHET_LANES <= count; i += FRESHET_LANES) {
    __m512i mark = _mm512_i32gather_epi32(_mm512_loadu_si512(items + i), marks, 1);
    __mmask16 hit = _mm512_test_epi32_mask(mark, low_byte);
    _mm512_storeu_si512(hits + found, _mm512_maskz_compress_epi32(hit, index));
    found += (size_t)__builtin_popcount(hit);
    index = _mm512_add_epi32(index, _mm512_set1_epi32(FRESHET_LANES));
  }
#endif
  for (; i < count; i++) {
    hits[found] = (uint32_t)i;
    found += marks[items[i]] != 0;
  }
  return found;
}

static size_t scan(const uint32_t* items, const float* a, const float* b, size_t count, const uint8_t* marks,
                   const float weights[FRESHET_SUMS], float (*sums)[FRESHET_SUMS]) {
  uint32_t hits[SCAN_BLOCK + FRESHET_LANES];
  const quad weight = {weights[0], weights[1], weights[2], weights[3]};
  size_t first = count;
  for (size_t at = 0; at < count; at += SCAN_BLOCK) {
    size_t block = count - at < SCAN_BLOCK ? count - at : SCAN_BLOCK;
    size_t found = find_marked(items + at, block, marks, hits);
    for (size_t h = 0; h < found; h++) {
      size_t i = at + hits[h];
      uint32_t mark = marks[items[i]];
      const quad gain = {a[i], b[i], b[i], 0};
      first = mark == 1 ? i : first;
      *(quad*)sums[mark - 1] += weight * gain;
    }
  }
  return first;
}

/* Bit l of the result: lane l is set (all ones). */
static unsigned mask_of(const int_lanes* set) {
#ifdef __AVX512F__
  return _mm512_movepi32_mask((__m512i)*set);
#else
  __m128i four[4];
  memcpy(four, set, sizeof four);
  __m128i low = _mm_packs_epi32(four[0], four[1]), high = _mm_packs_epi32(four[2], four[3]);
  return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(low, high));
#endif
}

static size_t find(const uint32_t* items, size_t count, uint32_t item) {
  const int_lanes zero = {0};
  const int_lanes wanted = zero + (int32_t)item;
  for (size_t i = 0; i < count; i += FRESHET_LANES) {
    int_lanes equal = *(const int_lanes*)(items + i) == wanted;
    unsigned mask = mask_of(&equal);
    if (mask == 0) continue;
    size_t at = i + (size_t)__builtin_ctz(mask);
    return at < count ? at : count;
  }
  return count;
}

static size_t smallest(const float* a, const float* b, size_t count) {
  const lanes zero = {0};
  lanes lows = zero + (a[0] + b[0]);
  float least = a[0] + b[0];
  size_t i = 0;
  for (; i + FRESHET_LANES <= count; i += FRESHET_LANES) {
    lanes sum = *(const lanes*)(a + i) + *(const lanes*)(b + i);
    int_lanes lower = sum < lows;
    lows = (lanes)((lower & (int_lanes)sum) | (~lower & (int_lanes)lows));
  }
  for (int l = 0; l < FRESHET_LANES; l++) least = lows[l] < least ? lows[l] : least;
  for (; i < count; i++) least = a[i] + b[i] < least ? a[i] + b[i] : least;
  for (i = 0; i + FRESHET_LANES <= count; i += FRESHET_LANES) {
    int_lanes equal = *(const lanes*)(a + i) + *(const lanes*)(b + i) == zero + least;
    unsigned mask = mask_of(&equal);
    if (mask != 0) return i + (size_t)__builtin_ctz(mask);
  }
  while (i + 1 < count && a[i] + b[i] != least) i++;
  return i;
}

/* Step by step for all targets together, so that their loads overlap, and without branches: half of them
 * would be guessed wrong. */
static void descend_tree(const int64_t* tree, unsigned bits, int64_t* targets, int64_t* places,
                         size_t count) {
  for (size_t i = 0; i < count; i++) places[i] = 0;
  for (int64_t step = (int64_t)1 << bits >> 1; step > 0; step >>= 1) {
    for (size_t i = 0; i < count; i++) {
      int64_t sum = tree[places[i] + step];
      int64_t take = -(int64_t)(sum <= targets[i]);
      places[i] += step & take;
      targets[i] -= sum & take;
    }
  }
}

static void dots_i8(const int8_t* rows, size_t count, const int8_t* x, size_t n64, int32_t* out) {
  for (size_t i = 0; i < count; i++) {
    const int8_t* row = rows + i * n64;
    int32_t sum = 0;
    for (size_t k = 0; k < n64; k++) sum += (int16_t)row[k] * (int16_t)x[k];
    out[i] = sum;
  }
}

const freshet_model_kernels FRESHET_MODEL_KERNELS_NAME = {
    .name = FRESHET_MODEL_KERNELS_LABEL,
    .dot = dot,
    .dots = dots,
    .add_scaled = add_scaled,
    .descend = descend,
    .descend_rows = descend_rows,
    .exp = exp_array,
    .log = log_array,
    .blend = blend,
    .scan = scan,
    .find = find,
    .smallest = smallest,
    .descend_tree = descend_tree,
    .dots_i8 = dots_i8,
};
