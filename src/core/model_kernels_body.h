/*
 * model_kernels_body.h: the source of the kernels. A translation unit defines FRESHET_MODEL_KERNELS_NAME and
 * includes it; only the compiler's target differs between them.
 *
 * Vectors are as wide as the target's registers (GCC takes wider ones apart badly: comparisons lane by lane).
 * Sums over elements stand in 16 lanes whatever the width, as `lanes`.
 * Polynomials: Cephes (S. Moshier), expf and logf, as reduced-range minimax.
 */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/model_kernels.h"
#include "core/model_tree.h"

#include "core/intrinsics.h"

/* min and max: IEEE comparisons, the second operand where one is no number. */
#if defined(__AVX512F__)
typedef __m512 vec;
typedef __m512d wide_vec;
#define LOWER(a, b) _mm512_min_ps(a, b)
#define HIGHER(a, b) _mm512_max_ps(a, b)
#define SHUFFLE(a, b, lanes) _mm512_shuffle_ps(a, b, lanes)
#define ROOT(a) _mm512_sqrt_ps(a)
#define WIDE_ROOT(a) _mm512_sqrt_pd(a)
#elif defined(__AVX2__)
typedef __m256 vec;
typedef __m256d wide_vec;
#define LOWER(a, b) _mm256_min_ps(a, b)
#define HIGHER(a, b) _mm256_max_ps(a, b)
#define SHUFFLE(a, b, lanes) _mm256_shuffle_ps(a, b, lanes)
#define ROOT(a) _mm256_sqrt_ps(a)
#define WIDE_ROOT(a) _mm256_sqrt_pd(a)
#else
typedef __m128 vec;
typedef __m128d wide_vec;
#define LOWER(a, b) _mm_min_ps(a, b)
#define HIGHER(a, b) _mm_max_ps(a, b)
#define SHUFFLE(a, b, lanes) _mm_shuffle_ps(a, b, lanes)
#define ROOT(a) _mm_sqrt_ps(a)
#define WIDE_ROOT(a) _mm_sqrt_pd(a)
#endif
typedef int32_t int_vec __attribute__((vector_size(sizeof(vec)), may_alias));
typedef int64_t wide_int_vec __attribute__((vector_size(sizeof(vec)), may_alias));
typedef float half_vec __attribute__((vector_size(sizeof(vec) / 2), may_alias));

enum { WIDTH = sizeof(vec) / sizeof(float), WIDE_WIDTH = WIDTH / 2, PARTS = FRESHET_LANES / WIDTH };

typedef struct lanes {
  vec part[PARTS];
} lanes;

#define INLINE __attribute__((always_inline)) static inline

INLINE vec load(const float* x) {
  return *(const vec*)x;
}

INLINE vec splat(float x) {
  return x - (vec){0};
}

/* 16 lanes to 4: lane l + 8 to lane l, then l + 4. */
INLINE __m128 fold(lanes s) {
#if defined(__AVX512F__)
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(s.part[0]), _mm512_extractf32x8_ps(s.part[0], 1));
  return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#elif defined(__AVX2__)
  const __m256 eight = s.part[0] + s.part[1];
  return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#else
  return (s.part[0] + s.part[2]) + (s.part[1] + s.part[3]);
#endif
}

/* ... and 4 to 1: (0 + 2) + (1 + 3). */
INLINE float add_up(lanes s) {
  const __m128 four = fold(s);
  const __m128 two = four + _mm_movehl_ps(four, four);
  return _mm_cvtss_f32(two) + _mm_cvtss_f32(_mm_shuffle_ps(two, two, 1));
}

/* sums += a b, lane by lane */
INLINE void add_products(lanes* sums, const float* a, const float* b) {
  for (int p = 0; p < PARTS; p++) sums->part[p] += load(a + p * WIDTH) * load(b + p * WIDTH);
}

static float dot(const float* a, const float* b, size_t n16) {
  lanes sums = {0};
  for (size_t i = 0; i < n16; i += FRESHET_LANES) add_products(&sums, a + i, b + i);
  return add_up(sums);
}

/* Four rows at a time: their last additions share vectors. */
INLINE void dots_of_four(const float* const rows[4], const float* x, size_t n16, float* out) {
  lanes sums[4] = {0};
  for (size_t k = 0; k < n16; k += FRESHET_LANES) {
    for (int r = 0; r < 4; r++) add_products(&sums[r], rows[r] + k, x + k);
  }
  __m128 a = fold(sums[0]), b = fold(sums[1]), c = fold(sums[2]), d = fold(sums[3]);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(out, (a + c) + (b + d));
}

static void dots(const float* rows, const uint32_t* slots, size_t count, const float* x, size_t n16,
                 float* out) {
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const float* four[4];
    for (size_t r = 0; r < 4; r++) four[r] = rows + (slots == NULL ? i + r : slots[i + r]) * n16;
    dots_of_four(four, x, n16, out + i);
  }
  for (; i < count; i++) out[i] = dot(rows + (slots == NULL ? i : slots[i]) * n16, x, n16);
}

static void add_scaled(float* y, float a, const float* x, size_t n16) {
  for (size_t i = 0; i < n16; i += WIDTH) *(vec*)(y + i) += a * load(x + i);
}

static void add_rows(const float* rows, const uint32_t* slots, size_t count, const float* weights, float* y,
                     size_t n16) {
  for (size_t k = 0; k < n16; k += FRESHET_LANES) {
    lanes sum;
    for (int p = 0; p < PARTS; p++) sum.part[p] = load(y + k + p * WIDTH);
    for (size_t i = 0; i < count; i++) {
      const float* row = rows + slots[i] * n16 + k;
      for (int p = 0; p < PARTS; p++) sum.part[p] += weights[i] * load(row + p * WIDTH);
    }
    for (int p = 0; p < PARTS; p++) *(vec*)(y + k + p * WIDTH) = sum.part[p];
  }
}

/* A factor on its grid. */
INLINE vec settle(vec y) {
  y = HIGHER(LOWER(y, splat(FRESHET_FACTOR_MAX)), splat(-FRESHET_FACTOR_MAX));
  return (y + FRESHET_FACTOR_ROUND) - FRESHET_FACTOR_ROUND;
}

static float descend(float* row, float a, const float* x, size_t n16) {
  lanes sums = {0};
  for (size_t i = 0; i < n16; i += FRESHET_LANES) {
    add_products(&sums, row + i, x + i);
    for (int p = 0; p < PARTS; p++) {
      vec* at = (vec*)(row + i + p * WIDTH);
      *at = settle(*at - a * load(x + i + p * WIDTH));
    }
  }
  return add_up(sums);
}

/* Columns k .. of all rows, `vecs` vectors wide: as many as leave the registers room. */
INLINE void descend_columns(float* rows, const uint32_t* slots, size_t count, const float* gradients,
                            const float* steps, const float* x, float* slope, size_t n16, size_t k,
                            const int vecs) {
  enum { VECS_MAX = 8 };
  vec sums[VECS_MAX];
  for (int p = 0; p < vecs; p++) sums[p] = load(slope + k + p * WIDTH);
  for (size_t i = 0; i < count; i++) {
    float* row = rows + slots[i] * n16 + k;
    const vec gradient = splat(gradients[i]), step = splat(steps[i]);
    for (int p = 0; p < vecs; p++) {
      const vec old = load(row + p * WIDTH);
      sums[p] += gradient * old;
      *(vec*)(row + p * WIDTH) = settle(old - step * load(x + k + p * WIDTH));
    }
  }
  for (int p = 0; p < vecs; p++) *(vec*)(slope + k + p * WIDTH) = sums[p];
}

static void descend_rows(float* rows, const uint32_t* slots, size_t count, const float* gradients,
                         const float* steps, const float* x, float* slope, size_t n16) {
  enum { VECS = WIDTH < 16 ? 8 : 4 };
  size_t k = 0;
  for (; k + VECS * WIDTH <= n16; k += VECS * WIDTH) {
    descend_columns(rows, slots, count, gradients, steps, x, slope, n16, k, VECS);
  }
  for (; k < n16; k += WIDTH) descend_columns(rows, slots, count, gradients, steps, x, slope, n16, k, 1);
}

/* Vectors that go through a polynomial together: one alone would wait for each of its products. As many as
 * the registers hold, about as many as the candidates of a step fill, and whole lanes. */
enum { TOGETHER = (WIDTH == 4 ? FRESHET_LANES : 3 * FRESHET_LANES) / WIDTH };

/* y = y x + add */
INLINE void next_term(vec* y, const vec* x, float add, const int count) {
  for (int v = 0; v < count; v++) y[v] = y[v] * x[v] + add;
}

/* exp of x [count], in place; count is a constant up to TOGETHER. */
INLINE void exps_of(vec* x, const int count) {
  vec n[TOGETHER], y[TOGETHER];
  for (int v = 0; v < count; v++) {
    x[v] = LOWER(HIGHER(x[v], splat(-87.0F)), splat(88.0F)); /* NaN counts as low */
    n[v] = (x[v] * 1.44269504F + 0x1.8p23F) - 0x1.8p23F;     /* nearest integer */
    x[v] = (x[v] - n[v] * 0.693359375F) - n[v] * -2.12194440e-4F;
    y[v] = splat(1.9875691500e-4F);
  }
  next_term(y, x, 1.3981999507e-3F, count);
  next_term(y, x, 8.3334519073e-3F, count);
  next_term(y, x, 4.1665795894e-2F, count);
  next_term(y, x, 1.6666665459e-1F, count);
  next_term(y, x, 5.0000001201e-1F, count);
  for (int v = 0; v < count; v++) {
    const int_vec power = (__builtin_convertvector(n[v], int_vec) + 127) << 23;
    x[v] = ((y[v] * (x[v] * x[v]) + x[v]) + 1.0F) * (vec)power;
  }
}

/* The same for the logarithm. */
INLINE void logs_of(vec* x, const int count) {
  vec n[TOGETHER], y[TOGETHER];
  for (int v = 0; v < count; v++) {
    const int_vec bits = (int_vec)x[v];
    const int_vec exponent = (bits - 0x3f3504f3) >> 23; /* so that the mantissa lies in [.7071, 1.4142) */
    n[v] = __builtin_convertvector(exponent, vec);
    x[v] = (vec)(bits - (exponent << 23)) - 1.0F;
    y[v] = splat(7.0376836292e-2F);
  }
  next_term(y, x, -1.1514610310e-1F, count);
  next_term(y, x, 1.1676998740e-1F, count);
  next_term(y, x, -1.2420140846e-1F, count);
  next_term(y, x, 1.4249322787e-1F, count);
  next_term(y, x, -1.6668057665e-1F, count);
  next_term(y, x, 2.0000714765e-1F, count);
  next_term(y, x, -2.4999993993e-1F, count);
  next_term(y, x, 3.3333331174e-1F, count);
  for (int v = 0; v < count; v++) {
    const vec z = x[v] * x[v];
    y[v] = y[v] * x[v] * z;
    y[v] = (y[v] + n[v] * -2.12194440e-4F) - 0.5F * z;
    x[v] = (x[v] + y[v]) + n[v] * 0.693359375F;
  }
}

INLINE vec log_of(vec x) {
  logs_of(&x, 1);
  return x;
}

static void exp_array(float* x, size_t n16) {
  size_t i = 0;
  for (; i + TOGETHER * WIDTH <= n16; i += TOGETHER * WIDTH) exps_of((vec*)(x + i), TOGETHER);
  for (; i < n16; i += FRESHET_LANES) exps_of((vec*)(x + i), PARTS);
}

static void log_array(float* x, size_t n16) {
  size_t i = 0;
  for (; i + TOGETHER * WIDTH <= n16; i += TOGETHER * WIDTH) logs_of((vec*)(x + i), TOGETHER);
  for (; i < n16; i += FRESHET_LANES) logs_of((vec*)(x + i), PARTS);
}

/* a where `set` is all ones, else b */
INLINE vec choose(int_vec set, vec a, vec b) {
  return (vec)((set & (int_vec)a) | (~set & (int_vec)b));
}

INLINE wide_vec widen(const float* x) {
  return __builtin_convertvector(*(const half_vec*)x, wide_vec);
}

INLINE wide_vec choose_wide(wide_int_vec set, wide_vec a, wide_vec b) {
  return (wide_vec)((set & (wide_int_vec)a) | (~set & (wide_int_vec)b));
}

INLINE void blend_lanes(double* x, double* accumulators, const float* gradients, const float* rates) {
  const double round = 0x1.8p12; /* 52 - 12 = 40 bits behind the point, see FRESHET_BLEND_STEP */
  const wide_vec g = widen(gradients), old = *(wide_vec*)x, squares = *(wide_vec*)accumulators;
  const wide_vec zero = {0};
  wide_vec grown = ((.999 * squares + .001 * (g * g)) + round) - round;
  grown = choose_wide(grown > zero, grown, zero); /* after a fold of other workers' gains it may be below 0 */
  const wide_vec moved = ((old - widen(rates) * g / WIDE_ROOT(grown + 1e-6)) + round) - round;
  *(wide_vec*)accumulators = choose_wide(g != zero, grown, squares);
  *(wide_vec*)x = choose_wide(g != zero, moved, old);
}

/* Bit l of the result: lane l is set (all ones). */
INLINE unsigned mask_of(int_vec set) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)set);
#elif defined(__AVX2__)
  return (unsigned)_mm256_movemask_ps((__m256)set);
#else
  return (unsigned)_mm_movemask_ps((__m128)set);
#endif
}

/* Most weights are for users and items of other levels: vectors without a gradient are left out. */
static void blend(double* x, double* accumulators, float* gradients, const float* rates, size_t n16) {
  for (size_t i = 0; i < n16; i += WIDTH) {
    if (mask_of(load(gradients + i) != splat(0)) == 0) continue;
    for (size_t l = i; l < i + WIDTH; l += WIDE_WIDTH)
      blend_lanes(x + l, accumulators + l, gradients + l, rates + l);
    *(vec*)(gradients + i) = splat(0);
  }
}

/* so that a place is a byte, and one value is left for no place */
enum { SCAN_BLOCK = 7 * FRESHET_TAGS, NOT_HIT = 255 };

/* find_marked: the places i < count <= SCAN_BLOCK of entries whose item has a mark, in order, and perhaps
 * some others. hits has room for SCAN_BLOCK + 64. It has no branch per item, because that branch would be
 * predicted badly. */
#if defined(__AVX2__)

/* The tags of a set in the form that a byte shuffle takes: the low four bits and the highest bit select a
 * byte, the other three bits select the bit in it. */
typedef struct tag_set {
  __m256i low, high;
} tag_set;

typedef struct filter {
  tag_set low, mixed;
} filter;

INLINE tag_set load_set(const uint8_t tagged[256]) {
  tag_set set = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (int bit = 0; bit < 8; bit++) {
    const __m128i* low = (const __m128i*)tagged + bit;
    const __m256i mask = _mm256_set1_epi8((char)(1 << bit));
    set.low = _mm256_or_si256(set.low, _mm256_and_si256(mask, _mm256_broadcastsi128_si256(*low)));
    set.high = _mm256_or_si256(set.high, _mm256_and_si256(mask, _mm256_broadcastsi128_si256(*(low + 8))));
  }
  return set;
}

INLINE filter load_filter(const freshet_marks* marks) {
  return (filter){load_set(marks->tagged[0]), load_set(marks->tagged[1])};
}

/* Each byte is not 0 when its tag is in the set. */
INLINE __m256i in_set(__m256i tags, tag_set set) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i bits = _mm256_set1_epi64x((int64_t)0x8040201008040201);
  const __m256i at = _mm256_and_si256(tags, nibble);
  const __m256i bit = _mm256_and_si256(_mm256_srli_epi16(tags, 4), nibble);
  const __m256i byte =
      _mm256_blendv_epi8(_mm256_shuffle_epi8(set.low, at), _mm256_shuffle_epi8(set.high, at), tags);
  return _mm256_and_si256(byte, _mm256_shuffle_epi8(bits, bit));
}

INLINE size_t find_marked(const freshet_tags* tags, const freshet_neighbour* entries, size_t count,
                          const freshet_marks* marks, filter f, uint8_t* hits) {
  (void)entries;
  size_t found = 0;
  uint64_t firsts = 0; /* what goes before a byte's bits, eight times */
  uint32_t passed = 0;
  for (size_t i = 0; i < count; i += FRESHET_TAGS, tags++) {
    const __m256i both = _mm256_min_epu8(in_set(_mm256_load_si256((const __m256i*)tags->low), f.low),
                                         in_set(_mm256_load_si256((const __m256i*)tags->mixed), f.mixed));
    passed = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(both, _mm256_setzero_si256()));
    for (unsigned l = 0; l < FRESHET_TAGS; l += 8) {
      const uint32_t bits = passed >> l & 255;
      const uint64_t places = marks->places[bits] + firsts;
      memcpy(hits + found, &places, sizeof places);
      found += (size_t)__builtin_popcount(bits);
      firsts += 0x0808080808080808;
    }
  }
  /* Hits beyond the last entry were written last, so they are cut off. */
  return found - (size_t)__builtin_popcountll((uint64_t)passed >> ((count - 1) % FRESHET_TAGS + 1));
}

#else

typedef const uint8_t* filter;

INLINE filter load_filter(const freshet_marks* marks) {
  return marks->of;
}

INLINE size_t find_marked(const freshet_tags* tags, const freshet_neighbour* entries, size_t count,
                          const freshet_marks* marks, filter f, uint8_t* hits) {
  (void)tags, (void)marks;
  size_t found = 0;
  for (size_t i = 0; i < count; i++) {
    hits[found] = (uint8_t)i;
    found += f[entries[i].item] != 0;
  }
  return found;
}

#endif

/* freshet_doubt, in lanes {follows, together, together, follows}: `follows` is not doubted. */
typedef struct doubts {
  __m128 half, doubtful, expected;
} doubts;

INLINE doubts doubts_of(const freshet_doubt* d) {
  const float doubtful = d->half * d->doubt, expected = d->expected * d->chance;
  return (doubts){_mm_set1_ps(d->half), _mm_set_ps(0, doubtful, doubtful, 0),
                  _mm_set_ps(0, expected, expected, 0)};
}

/* {follows, together, together, follows} as counts. */
INLINE __m128 values_in(const freshet_neighbour* entry) {
  const __m128i both = _mm_loadu_si32(&entry->follows);
  const __m128i four = _mm_shufflelo_epi16(both, _MM_SHUFFLE(0, 1, 1, 0));
  const __m128i bits = _mm_slli_epi32(_mm_unpacklo_epi16(four, _mm_setzero_si128()), FRESHET_COUNT_SHIFT);
  return _mm_castsi128_ps(bits) * _mm_set1_ps(FRESHET_COUNT_SCALE);
}

/* The same, of `together` the evidence: see freshet_count_evidence. */
INLINE __m128 gain_of(__m128 value, float root, const doubts* d) {
  const __m128 rest = value + d->half, share = _mm_set1_ps(root * root);
  const __m128 taken = value * d->doubtful * share + d->expected * rest;
  return _mm_max_ps(value - taken / (rest * share), _mm_setzero_ps());
}

/* {what is doubtful, the same, what chance brings, the same}; 0 if there is no evidence, the second lane of gain. */
INLINE __m128 taken_of(__m128 value, float root, const freshet_doubt* d, __m128 gain) {
  const __m128 together = _mm_shuffle_ps(value, value, _MM_SHUFFLE(1, 1, 1, 1));
  const __m128 half = _mm_set1_ps(d->half), expected = _mm_set1_ps(d->expected);
  const __m128 over = _mm_shuffle_ps(together * half, expected, _MM_SHUFFLE(0, 0, 0, 0));
  const __m128 under = _mm_shuffle_ps(together + half, _mm_set1_ps(root * root), _MM_SHUFFLE(0, 0, 0, 0));
  const __m128 evidence = _mm_shuffle_ps(gain, gain, _MM_SHUFFLE(1, 1, 1, 1));
  return _mm_and_ps(over / under, _mm_cmpgt_ps(evidence, _mm_setzero_ps()));
}

/* Hits of a block of a list, which are on their way from memory. */
typedef struct scan_block {
  freshet_scan_list* list; /* NULL: there is no such block */
  const freshet_neighbour* entries;
  size_t found;
  uint8_t hits[SCAN_BLOCK + 64];
} scan_block;

INLINE void find_hits(freshet_scan_list* list, size_t at, const freshet_marks* marks, filter f,
                      scan_block* block) {
  const size_t left = list->count - at, count = left < SCAN_BLOCK ? left : SCAN_BLOCK;
  block->list = list;
  block->entries = list->entries + at;
  block->found = find_marked(list->tags + at / FRESHET_TAGS, block->entries, count, marks, f, block->hits);
  for (size_t h = 0; h < block->found; h++) __builtin_prefetch(&block->entries[block->hits[h]]);
}

INLINE void add_hits(const scan_block* block, const uint8_t* mark_of, const float* roots,
                     float (*sums)[FRESHET_SUMS], float* agreed, float (*taken)[FRESHET_SUMS]) {
  uint8_t places[256]; /* by mark: cheaper than a branch for mark 1 */
  freshet_scan_list* list = block->list;
  const freshet_neighbour* entries = block->entries;
  const __m128 weight = _mm_load_ps(list->weights);
  const __m128 of_taken = _mm_shuffle_ps(weight, weight, _MM_SHUFFLE(2, 1, 2, 1));
  const doubts doubted = doubts_of(&list->doubt);
  const float root_weight = list->agreed;
  places[1] = NOT_HIT;
  for (size_t h = 0; h < block->found; h++) {
    const size_t place = block->hits[h], mark = mark_of[entries[place].item];
    const float root = roots[entries[place].item];
    const __m128 value = values_in(&entries[place]), gain = gain_of(value, root, &doubted);
    places[mark] = (uint8_t)place;
    *(__m128*)sums[mark] += weight * gain;
    *(__m128*)taken[mark] += of_taken * taken_of(value, root, &list->doubt, gain);
    agreed[mark] += root_weight * freshet_root_about(freshet_count_value(entries[place].together));
  }
  if (places[1] != NOT_HIT) list->place = (size_t)(entries - list->entries) + places[1];
}

/* The hits of a block are added after those of the next one have been found: by then their entries have come. */
static void scan(freshet_scan_list* lists, size_t count, const freshet_marks* marks, const float* roots,
                 float (*sums)[FRESHET_SUMS], float* agreed, float (*taken)[FRESHET_SUMS]) {
  const filter f = load_filter(marks);
  scan_block blocks[2];
  size_t turn = 0;
  blocks[1].list = NULL;
  for (size_t l = 0; l < count; l++) {
    lists[l].place = lists[l].count;
    for (size_t at = 0; at < lists[l].count; at += SCAN_BLOCK, turn ^= 1) {
      find_hits(&lists[l], at, marks, f, &blocks[turn]);
      if (blocks[turn ^ 1].list != NULL) add_hits(&blocks[turn ^ 1], marks->of, roots, sums, agreed, taken);
    }
  }
  if (blocks[turn ^ 1].list != NULL) add_hits(&blocks[turn ^ 1], marks->of, roots, sums, agreed, taken);
}

static void locate(const freshet_tags* tags, const freshet_neighbour* entries, size_t count,
                   const freshet_marks* marks, size_t places[256]) {
  const filter f = load_filter(marks);
  uint8_t hits[SCAN_BLOCK + 64];
  for (size_t at = 0; at < count; at += SCAN_BLOCK) {
    const size_t block = count - at < SCAN_BLOCK ? count - at : SCAN_BLOCK;
    const size_t found = find_marked(tags + at / FRESHET_TAGS, entries + at, block, marks, f, hits);
    for (size_t h = 0; h < found; h++) places[marks->of[entries[at + hits[h]].item]] = at + hits[h];
  }
}

/* The place of an item; an item without one gets the next place. It has no branch, because the outcome cannot
 * be predicted. */
INLINE uint32_t meet(freshet_gathered* gathered, uint32_t item) {
  const uint32_t known = gathered->places[item] - gathered->base, count = gathered->count;
  const uint32_t place = known < count ? known : count;
  gathered->items[count] = item;
  gathered->count = count + (known >= count);
  gathered->places[item] = gathered->base + place;
  return place;
}

/* Four lanes for each of the entries whose gains are computed together, with the operations of gain_of. Twice as many lanes
 * would not be faster: what is left is the search for places. */
#if defined(__AVX2__)

typedef __m256 fours;

INLINE fours repeat_four(__m128 four) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(four), four, 1);
}

/* values_in, of each of the entries. */
INLINE fours values_of_fours(const freshet_neighbour* e) {
  const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)(const void*)e));
  const __m256i order = _mm256_setr_epi8(4, 5, -1, -1, 6, 7, -1, -1, 6, 7, -1, -1, 4, 5, -1, -1, /* entry 0 */
                                         12, 13, -1, -1, 14, 15, -1, -1, 14, 15, -1, -1, 12, 13, -1, -1);
  const __m256i bits = _mm256_slli_epi32(_mm256_shuffle_epi8(both, order), FRESHET_COUNT_SHIFT);
  return _mm256_castsi256_ps(bits) * _mm256_set1_ps(FRESHET_COUNT_SCALE);
}

INLINE fours roots_of_fours(const freshet_neighbour* e, const float* roots) {
  return _mm256_insertf128_ps(_mm256_broadcast_ss(&roots[e[0].item]), _mm_broadcast_ss(&roots[e[1].item]), 1);
}

INLINE fours at_least_0(fours x) {
  return _mm256_max_ps(x, _mm256_setzero_ps());
}

#else

typedef __m128 fours;

INLINE fours repeat_four(__m128 four) {
  return four;
}

INLINE fours values_of_fours(const freshet_neighbour* e) {
  return values_in(e);
}

INLINE fours roots_of_fours(const freshet_neighbour* e, const float* roots) {
  return _mm_set1_ps(roots[e->item]);
}

INLINE fours at_least_0(fours x) {
  return _mm_max_ps(x, _mm_setzero_ps());
}

#endif

enum { FOURS = sizeof(fours) / sizeof(__m128) };

INLINE void bring(const freshet_neighbour* entry, __m128 gain, float agreed, freshet_gathered* met) {
  const uint32_t place = meet(met, entry->item);
  *(__m128*)met->sums[place] += gain;
  met->agreed[place] += agreed * freshet_root_about(freshet_count_value(entry->together));
}

static void spread(const freshet_neighbour* entries, size_t count, const float weights[FRESHET_SUMS],
                   float agreed, const freshet_doubt* doubt, const float* roots, freshet_gathered* gathered) {
  const doubts one = doubts_of(doubt);
  const __m128 weight = _mm_loadu_ps(weights);
  const fours half = repeat_four(one.half), doubtful = repeat_four(one.doubtful);
  const fours expected = repeat_four(one.expected), each_weight = repeat_four(weight);
  freshet_gathered met = *gathered; /* in registers */
  size_t i = 0;
  for (; i + FOURS <= count; i += FOURS) {
    const fours value = values_of_fours(entries + i), root = roots_of_fours(entries + i, roots);
    const fours rest = value + half, share = root * root;
    const fours taken = value * doubtful * share + expected * rest;
    const fours gains = each_weight * at_least_0(value - taken / (rest * share));
    for (size_t e = 0; e < FOURS; e++)
      bring(&entries[i + e], _mm_load_ps((const float*)&gains + 4 * e), agreed, &met);
  }
  for (; i < count; i++) {
    const __m128 gain = gain_of(values_in(&entries[i]), roots[entries[i].item], &one);
    bring(&entries[i], weight * gain, agreed, &met);
  }
  gathered->count = met.count;
}

static size_t find(const uint32_t* items, size_t count, uint32_t item) {
  const int_vec wanted = (int32_t)item - (int_vec){0};
  for (size_t i = 0; i < count; i += FRESHET_LANES) {
    unsigned mask = 0;
    for (int p = 0; p < PARTS; p++) {
      mask |= mask_of(*(const int_vec*)(items + i + p * WIDTH) == wanted) << (p * WIDTH);
    }
    if (mask == 0) continue;
    size_t at = i + (size_t)__builtin_ctz(mask);
    return at < count ? at : count;
  }
  return count;
}

/* Bit i: tag i of 32 is `tag`. */
INLINE uint32_t equal_tags(const uint8_t tags[FRESHET_TAGS], uint8_t tag) {
#if defined(__AVX2__)
  const __m256i equal =
      _mm256_cmpeq_epi8(_mm256_load_si256((const __m256i*)tags), _mm256_set1_epi8((char)tag));
  return (uint32_t)_mm256_movemask_epi8(equal);
#else
  const __m128i wanted = _mm_set1_epi8((char)tag), *halves = (const __m128i*)tags;
  return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128(halves), wanted)) |
         (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128(halves + 1), wanted)) << 16;
#endif
}

static size_t find_entry(const freshet_tags* tags, const freshet_neighbour* entries, size_t count,
                         uint32_t item) {
  const uint8_t low = freshet_tag_low(item), mixed = freshet_tag_mixed(item);
  for (size_t i = 0; i < count; i += FRESHET_TAGS, tags++) {
    uint32_t alike = equal_tags(tags->low, low) & equal_tags(tags->mixed, mixed);
    for (; alike != 0; alike &= alike - 1) {
      const size_t at = i + (size_t)__builtin_ctz(alike);
      if (at < count && entries[at].item == item) return at;
    }
  }
  return count;
}

/* A vector of fours: at x, and as far apart as that. */
INLINE vec load_apart(const float* x, size_t apart) {
#if defined(__AVX512F__)
  vec all = _mm512_castps128_ps512(_mm_loadu_ps(x));
  all = _mm512_insertf32x4(all, _mm_loadu_ps(x + apart), 1);
  all = _mm512_insertf32x4(all, _mm_loadu_ps(x + 2 * apart), 2);
  return _mm512_insertf32x4(all, _mm_loadu_ps(x + 3 * apart), 3);
#elif defined(__AVX2__)
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x)), _mm_loadu_ps(x + apart), 1);
#else
  (void)apart;
  return _mm_loadu_ps(x);
#endif
}

/* The counts of WIDTH entries, in their order: together in the upper half of each number. */
INLINE int_vec counts_of(const freshet_neighbour* e) {
#if defined(__AVX512F__)
  const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  return (int_vec)_mm512_permutex2var_epi32(_mm512_loadu_si512(e), odd, _mm512_loadu_si512(e + 8));
#elif defined(__AVX2__)
  const vec both = SHUFFLE(_mm256_loadu_ps((const float*)(const void*)e),
                           _mm256_loadu_ps((const float*)(const void*)(e + 4)), _MM_SHUFFLE(3, 1, 3, 1));
  return (int_vec)_mm256_permute4x64_epi64((__m256i)both, _MM_SHUFFLE(3, 1, 2, 0));
#else
  return (int_vec)SHUFFLE(_mm_loadu_ps((const float*)(const void*)e),
                          _mm_loadu_ps((const float*)(const void*)(e + 2)), _MM_SHUFFLE(3, 1, 3, 1));
#endif
}

INLINE vec values_of(int_vec counts) {
  return (vec)(counts << FRESHET_COUNT_SHIFT) * splat(FRESHET_COUNT_SCALE);
}

/* follows + together of WIDTH entries. */
INLINE vec weights_of(const freshet_neighbour* e) {
  const int_vec both = counts_of(e);
  return values_of(both & 0xffff) + values_of(both >> 16 & 0xffff);
}

INLINE float highest(vec x) {
  float most = x[0];
  for (int l = 1; l < WIDTH; l++) most = x[l] > most ? x[l] : most;
  return most;
}

INLINE float lowest(vec x) {
  float least = x[0];
  for (int l = 1; l < WIDTH; l++) least = x[l] < least ? x[l] : least;
  return least;
}

/* The place of the smallest cannot be predicted. So each lane keeps the place of its own smallest, without a
 * branch. */
static size_t smallest(const freshet_neighbour* entries, size_t count, float* next) {
  const size_t whole = count / WIDTH * WIDTH;
  vec lows = splat(INFINITY), seconds = splat(INFINITY);
  int_vec place, places = {0};
  for (int l = 0; l < WIDTH; l++) place[l] = l;
  for (size_t i = 0; i < whole; i += WIDTH) {
    const vec sum = weights_of(entries + i);
    places = (int_vec)choose(sum < lows, (vec)place, (vec)places);
    seconds = LOWER(HIGHER(sum, lows), seconds);
    lows = LOWER(sum, lows);
    place += WIDTH;
  }
  float least = lowest(lows);
  int_vec at_least = (int_vec)choose(lows == splat(least), (vec)places, (vec)(INT32_MAX - (int_vec){0}));
  int32_t at = INT32_MAX;
  for (int l = 0; l < WIDTH; l++) at = at_least[l] < at ? at_least[l] : at;
  float second = lowest(LOWER(choose(places == at, splat(INFINITY), lows), seconds));
  for (size_t i = whole; i < count; i++) {
    const float sum = freshet_neighbour_weight(&entries[i]);
    const float loser = sum < least ? least : sum;
    second = loser < second ? loser : second;
    at = sum < least ? (int32_t)i : at;
    least = sum < least ? sum : least;
  }
  *next = second;
  return (size_t)at;
}

/* The last child that starts at or before the target. */
INLINE int64_t child_of(const int64_t* node, int64_t target) {
#if defined(__AVX512F__)
  const __m512i starts = _mm512_loadu_si512(node);
  return __builtin_popcount(_mm512_cmple_epi64_mask(starts, _mm512_set1_epi64(target))) - 1;
#elif defined(__AVX2__)
  const __m256i wanted = _mm256_set1_epi64x(target);
  const __m256i low = _mm256_cmpgt_epi64(_mm256_loadu_si256((const __m256i*)node), wanted);
  const __m256i high = _mm256_cmpgt_epi64(_mm256_loadu_si256((const __m256i*)node + 1), wanted);
  const int after = _mm256_movemask_ps((__m256)_mm256_packs_epi32(low, high)); /* in no order */
  return FRESHET_TREE_CHILDREN - 1 - __builtin_popcount((unsigned)after);
#else
  int64_t before = 0;
  for (int i = 0; i < FRESHET_TREE_CHILDREN; i++) before += node[i] <= target;
  return before - 1;
#endif
}

/* Goes level by level for all targets together, so that their loads overlap. It has no branches, because most
 * would be predicted wrongly. */
static void descend_tree(const int64_t* tree, unsigned bits, int64_t* targets, int64_t* places,
                         size_t count) {
  for (size_t i = 0; i < count; i++) places[i] = 0;
  for (unsigned below = freshet_tree_depth(bits) + 1; below-- > 0;) {
    for (size_t i = 0; i < count; i++) {
      const int64_t* node = tree + places[i] * FRESHET_TREE_CHILDREN;
      const int64_t child = child_of(node, targets[i]);
      places[i] = places[i] * FRESHET_TREE_CHILDREN + child;
      targets[i] -= node[child];
    }
    tree += freshet_tree_entries(bits, below);
  }
}

#if defined(__AVX2__) && !defined(__AVX512BW__)
INLINE int32_t add_up_ints(__m256i sums) {
  const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  const __m128i pair = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
  return _mm_cvtsi128_si32(pair) + _mm_extract_epi32(pair, 1);
}
#endif

/* out[q * stride]: a row with `together` vectors, which lie n64 apart, widened so that a pair of products is
 * one instruction (PMADDWD). */
INLINE void dots_of_row(const int8_t* row, const int16_t* wide, size_t n64, size_t together, int32_t* out,
                        size_t stride) {
#if defined(__AVX512BW__)
  __m512i sums[FRESHET_DOTS_TOGETHER] = {0};
  for (size_t k = 0; k < n64; k += 32) {
    const __m512i r = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)(row + k)));
    for (size_t q = 0; q < together; q++)
      sums[q] = _mm512_add_epi32(sums[q], _mm512_madd_epi16(r, _mm512_loadu_si512(wide + q * n64 + k)));
  }
  for (size_t q = 0; q < together; q++) out[q * stride] = _mm512_reduce_add_epi32(sums[q]);
#elif defined(__AVX2__)
  __m256i sums[FRESHET_DOTS_TOGETHER] = {0};
#pragma GCC unroll 4
  for (size_t k = 0; k < n64; k += 16) {
    const __m256i r = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)(row + k)));
    for (size_t q = 0; q < together; q++) {
      const __m256i x = _mm256_loadu_si256((const __m256i*)(wide + q * n64 + k));
      sums[q] = _mm256_add_epi32(sums[q], _mm256_madd_epi16(r, x));
    }
  }
  for (size_t q = 0; q < together; q++) out[q * stride] = add_up_ints(sums[q]);
#else
  for (size_t q = 0; q < together; q++) {
    int32_t sum = 0;
    for (size_t k = 0; k < n64; k++) sum += row[k] * wide[q * n64 + k];
    out[q * stride] = sum;
  }
#endif
}

static void dots_i8_together(const int8_t* rows, size_t count, const int8_t* const* x, size_t n64,
                             int32_t* out) {
  int16_t wide[FRESHET_DOTS_TOGETHER * FRESHET_TEXT_PADDED_MAX] __attribute__((aligned(64)));
  for (size_t q = 0; q < FRESHET_DOTS_TOGETHER; q++) {
    for (size_t k = 0; k < n64; k++) wide[q * n64 + k] = x[q][k];
  }
  for (size_t i = 0; i < count; i++)
    dots_of_row(rows + i * n64, wide, n64, FRESHET_DOTS_TOGETHER, out + i, count);
}

static void dots_i8(const int8_t* rows, size_t count, const int8_t* x, size_t n64, int32_t* out) {
  int16_t wide[FRESHET_TEXT_PADDED_MAX] __attribute__((aligned(64)));
  for (size_t k = 0; k < n64; k++) wide[k] = x[k];
  for (size_t i = 0; i < count; i++) dots_of_row(rows + i * n64, wide, n64, 1, out + i, count);
}

static int32_t dot_i8(const int8_t* a, const int8_t* b, size_t n64) {
#if defined(__AVX512BW__)
  __m512i sums = _mm512_setzero_si512();
  for (size_t k = 0; k < n64; k += 32)
    sums = _mm512_add_epi32(
        sums, _mm512_madd_epi16(_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)(a + k))),
                                _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)(b + k)))));
  return _mm512_reduce_add_epi32(sums);
#elif defined(__AVX2__)
  __m256i sums = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (size_t k = 0; k < n64; k += 16)
    sums = _mm256_add_epi32(
        sums, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)(a + k))),
                                _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)(b + k)))));
  return add_up_ints(sums);
#else
  int32_t sum = 0;
  for (size_t k = 0; k < n64; k++) sum += a[k] * b[k];
  return sum;
#endif
}

#include "core/model_kernels_step_body.h"
#include "core/model_kernels_texts_body.h"

const freshet_model_kernels FRESHET_MODEL_KERNELS_NAME = {
    .name = FRESHET_MODEL_KERNELS_LABEL,
    .dot = dot,
    .dots = dots,
    .add_scaled = add_scaled,
    .add_rows = add_rows,
    .descend = descend,
    .descend_rows = descend_rows,
    .look = look,
    .add_steps = add_steps,
    .exp = exp_array,
    .log = log_array,
    .blend = blend,
    .scan = scan,
    .scan_texts = scan_texts,
    .locate = locate,
    .spread = spread,
    .spread_texts = spread_texts,
    .find = find,
    .find_entry = find_entry,
    .smallest = smallest,
    .descend_tree = descend_tree,
    .softmaxes = softmaxes,
    .features = features,
    .logits = logits,
    .bonuses = bonuses,
    .adapt = adapt,
    .dots_i8 = dots_i8,
    .dots_i8_together = dots_i8_together,
    .dot_i8 = dot_i8,
};
