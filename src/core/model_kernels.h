/*
 * model_kernels.h: the vector arithmetic of the learner, compiled for several x86-64 levels with equal bits.
 *
 * Every kernel works on blocks of 16 lanes, adds them up in one fixed order, uses only operations that IEEE
 * 754 defines to the last bit (+ - * / sqrt, comparisons) and no libm. So the width of the machine's vectors
 * shows in the time and never in the result. model_kernels_body.h is the one source; model_kernels_*.c
 * compile it.
 *
 * Float arrays are 64-byte aligned; lengths called `n16` are multiples of 16.
 */
#ifndef FRESHET_CORE_MODEL_KERNELS_H
#define FRESHET_CORE_MODEL_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/model_counts.h"
#include "core/model_marks.h"
#include "freshet/model.h"

enum { FRESHET_LANES = 16 };

enum { FRESHET_SPEEDS = 3 }; /* popularities: see features */
enum { FRESHET_SUMS = 4 };   /* columns of a row of sums: see scan */

/* A few items out of many, in the order in which they were met, with the sums of each. The item at place p
 * has places[item] = base + p. For an item that was not met, places[item] - base is at least count, in
 * unsigned arithmetic. So all items are forgotten by raising base above all places. */
typedef struct freshet_gathered {
  uint32_t* places;            /* [all items] */
  uint32_t* items;             /* [room + 1] */
  float (*sums)[FRESHET_SUMS]; /* [room, padded] 0 from count on */
  float* agreed;               /* [room, padded] the same */
  uint32_t base, count;
} freshet_gathered;

/* An entry of a list of neighbours. */
typedef struct freshet_neighbour {
  uint32_t item;
  uint16_t follows, together; /* cf and cs, as counts (model_counts.h) */
} freshet_neighbour;

/* By this an entry is larger or smaller than another one. */
static inline float freshet_neighbour_weight(const freshet_neighbour* entry) {
  return freshet_count_value(entry->follows) + freshet_count_value(entry->together);
}

/* A list to be scanned: see scan. Items at most once each. */
typedef struct freshet_scan_list {
  _Alignas(16) float weights[FRESHET_SUMS];
  float agreed;        /* the weight of roots */
  freshet_doubt doubt; /* of counts of together: see freshet_count_evidence */
  const freshet_tags* tags;
  const freshet_neighbour* entries;
  size_t count;
  size_t place; /* out: the place of the item that is marked 1, or count */
} freshet_scan_list;

/* About the root of x, at least 0: less than 4 % off, and 7e-20 for 0. Its exponent and mantissa are halved. Rising. */
static inline float freshet_root_about(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits >> 1) + 0x1fbb4f2e;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* What is known of all gains of a row, in units of FRESHET_FACTOR_STEP: the lowest and the highest, or 0, and the bits
 * that are set in any of them. */
typedef struct freshet_row_look {
  int32_t low, high;
  uint32_t bits;
} freshet_row_look;

/* How the scalars of an item's row learn: see adapt. */
typedef struct freshet_row_rates {
  float factor, factor_first; /* rate of v, and what its accumulator starts from */
  float bias;
  double bias_memory, bias_limit;
} freshet_row_rates;

/* The nearest items by text of an item. Two cache lines, so that a list is cheap to keep for a million items, and to
 * fetch: a cosine takes two bytes. */
typedef struct freshet_text_list {
  _Alignas(64) uint32_t items[FRESHET_TEXT_NEIGHBOURS]; /* [count] */
  uint16_t cosines[FRESHET_TEXT_NEIGHBOURS];            /* [count] in units of 2^-16 */
  uint8_t count;
  bool is_known;  /* the item has, or had, a text */
  bool has_start; /* text_starts holds where its factors start */
  /* the list was full and has lost an entry, so that an item may be missing in it; the slot is in `holed` */
  bool has_hole;
} freshet_text_list;

/* The largest cosine of a list. */
#define FRESHET_COSINE_MAX (65535 * 0x1p-16F)

/* How much a neighbour by text counts: the likeness cosine^4. */
static inline float freshet_text_likeness(const freshet_text_list* list, size_t entry) {
  const float cosine = 0x1p-16F * list->cosines[entry];
  return cosine * cosine * cosine * cosine;
}

/* How negatives are drawn: the share that is drawn like all events, like recent ones, and uniformly. */
typedef struct freshet_draw_shares {
  float frequent, recent, uniform;
  float per_count; /* times N: an item's share of all events times the number of items */
} freshet_draw_shares;

typedef struct freshet_model_kernels {
  const char* name;
  float (*dot)(const float* a, const float* b, size_t n16);
  /* out[i] = rows[slots[i]] . x, rows [..][n16]; slots NULL: rows 0 .. count-1 */
  void (*dots)(const float* rows, const uint32_t* slots, size_t count, const float* x, size_t n16,
               float* out);
  void (*add_scaled)(float* y, float a, const float* x, size_t n16); /* y += a x */
  /* y += sum of weights[i] * rows[slots[i]] */
  void (*add_rows)(const float* rows, const uint32_t* slots, size_t count, const float* weights, float* y,
                   size_t n16);
  /* row = grid(clamp(row - a x)): see FRESHET_FACTOR_* below. Returns row . x as the row was. */
  float (*descend)(float* row, float a, const float* x, size_t n16);
  /* slope += sum of gradients[i] * rows[slots[i]], then each of these rows descends by steps[i] along x. */
  void (*descend_rows)(float* rows, const uint32_t* slots, size_t count, const float* gradients,
                       const float* steps, const float* x, float* slope, size_t n16);
  /* Looks at the gains now - before, which are less than 2^11. */
  freshet_row_look (*look)(const float* now, const float* before, size_t n16);
  /* x [n16] += step * (number - 8) * FRESHET_FACTOR_STEP, within +-FRESHET_FOLDED_MAX. numbers [n16 / 2]: two in a byte, of
   * the first half of x in the lower bits. */
  void (*add_steps)(float* x, const uint8_t* numbers, int32_t step, size_t n16);
  void (*exp)(float* x, size_t n16); /* in place; inputs are clamped to [-87, 88]; relative error 2e-7 */
  void (*log)(float* x, size_t n16); /* in place; positive normal inputs; absolute error 2e-7 near 1 */
  /* x -= rate * gradient / sqrt(G + 1e-6) on the grid of blend weights, G = .999 G + .001 gradient^2; where
   * the gradient is 0 nothing changes. Gradients become 0. */
  void (*blend)(double* x, double* accumulators, float* gradients, const float* rates, size_t n16);
  /* List by list, for each entry whose item has the mark c > 0: sums[c] += weights * {follows, together,
   * together, follows}, of together its evidence, agreed[c] += the list's weight of roots * freshet_root_about(together), and
   * if there is evidence, taken[c] += {weights[1], weights[2]} * what is doubtful, {the same} * what chance brings. What has
   * the number 0 takes the entries without a mark, and is not used. roots [all items]: 1 / sqrt(N + 1). */
  void (*scan)(freshet_scan_list* lists, size_t count, const freshet_marks* marks, const float* roots,
               float (*sums)[FRESHET_SUMS], float* agreed, float (*taken)[FRESHET_SUMS]);
  /* The same for lists of neighbours by text: for each entry whose item has the mark c > 0, sums[c][3] += weights[l] *
   * its likeness. */
  void (*scan_texts)(const freshet_text_list* const* lists, const float* weights, size_t count,
                     const freshet_marks* marks, float (*sums)[FRESHET_SUMS]);
  /* places[c] = i for each entry i whose item has the mark c. places[0] takes the entries without a mark, and
   * is not used. */
  void (*locate)(const freshet_tags* tags, const freshet_neighbour* entries, size_t count,
                 const freshet_marks* marks, size_t places[256]);
  /* For every entry of a list: the sums of its item += weights * {follows, together, together, follows},
   * of together its evidence, and its `agreed` += agreed * freshet_root_about(together). */
  void (*spread)(const freshet_neighbour* entries, size_t count, const float weights[FRESHET_SUMS],
                 float agreed, const freshet_doubt* doubt, const float* roots, freshet_gathered* gathered);
  /* For every entry of a list of neighbours by text: sum 3 of its item += weight * its likeness. */
  void (*spread_texts)(const freshet_text_list* list, float weight, freshet_gathered* gathered);
  /* Index of item in items [count], or count. Reads up to the next multiple of 16. */
  size_t (*find)(const uint32_t* items, size_t count, uint32_t item);
  /* As find, in a list of neighbours. */
  size_t (*find_entry)(const freshet_tags* tags, const freshet_neighbour* entries, size_t count,
                       uint32_t item);
  /* Index of the first smallest follows + together, count > 0. *next: the smallest of the other entries;
   * INFINITY when there is no other. */
  size_t (*smallest)(const freshet_neighbour* entries, size_t count, float* next);
  /* For each target, at least 0 and below the total: the place at which the running sum of a tree
   * (model_tree.h) passes it; the target becomes the rest within that place. */
  void (*descend_tree)(const int64_t* tree, unsigned bits, int64_t* targets, int64_t* places, size_t count);
  /* The features of the candidates of a step. rows [.. FRESHET_SUMS + FRESHET_SPEEDS][n16]; the last
   * FRESHET_SPEEDS rows hold popularities as they were ages[i] events ago. Row f of the first rows becomes
   * log(1 + sums[i][f] s), s = 1 / sqrt(counts[i] + 1) for f = 1, 2, else 1; sums are at least 0. The row of
   * popularity s becomes log(.5 + share), share = exp(ages[i] * rates[s]) * row[i] * scales[s]. log_q[i] =
   * log(frequent * (counts[i] per_count) + recent * share of the first + uniform + chances[i]). */
  void (*features)(const float (*sums)[FRESHET_SUMS], const float* counts, const float* ages,
                   const float* rates, const float* scales, const freshet_draw_shares* draws,
                   const float* chances, float* rows, float* log_q, size_t n16);
  /* out[i] = starts[i] + last_thetas[i] * row 3 [i] - log_q[i] + sum over the other rows of thetas[f] * row f
   * [i], in their order; rows [count][n16] */
  void (*logits)(const float* rows, size_t count, const float* thetas, const float* starts,
                 const float* last_thetas, const float* log_q, float* out, size_t n16);
  /* Each of the rows logits [2][n16] becomes weight * softmax, each entry with its odds [n16]; where the odds
   * are 0 it becomes 0. */
  void (*softmaxes)(float* logits, const float* odds, float weight, size_t n16);
  /* out[i] = sum over f of thetas[f] log(1 + sums[i][f] * s), s = roots[i] for f = 1, 2, else 1; in place of
   * thetas[3] stands last_thetas[i]. */
  void (*bonuses)(const float (*sums)[FRESHET_SUMS], const float* roots, const float thetas[FRESHET_SUMS],
                  const float* last_thetas, float* out, size_t n16);
  /* Adagrad of scalars along the items of a step, whose gradients are g: the accumulators of v and of the
   * bias grow by g^2 norm and g^2 (the latter forgets), the bias moves by -bias_steps; steps are those of v.
   * All on their grids (maths.h). */
  void (*adapt)(const float* g, float norm, const freshet_row_rates* rates, double* factor_squares,
                double* bias_squares, double* bias, float* steps, float* bias_steps, size_t n16);
  /* out[i] = rows[i] . x, exact, rows [count][n64], n64 at most FRESHET_TEXT_PADDED_MAX */
  void (*dots_i8)(const int8_t* rows, size_t count, const int8_t* x, size_t n64, int32_t* out);
  /* out [FRESHET_DOTS_TOGETHER][count]: the same with that many x, [n64] each: each row is read once */
  void (*dots_i8_together)(const int8_t* rows, size_t count, const int8_t* const* x, size_t n64,
                           int32_t* out);
  /* a . b, exact, [n64] each: one product costs less without a widened copy of a vector */
  int32_t (*dot_i8)(const int8_t* a, const int8_t* b, size_t n64);
} freshet_model_kernels;

enum { FRESHET_TEXT_PADDED_MAX = 4096, FRESHET_DOTS_TOGETHER = 4 };

/* Put under every root of an accumulator. */
#define FRESHET_SQUARES_LEAST 1e-8F

/* Factors are multiples of 2^-20 within +-4: adding FRESHET_FACTOR_ROUND puts them in [8, 16], where that is
 * the spacing of floats. */
#define FRESHET_FACTOR_STEP 0x1p-20F
#define FRESHET_FOLDED_MAX 7.5F /* of a factor after a fold: sums are exact up to 8 */
#define FRESHET_FACTOR_ROUND 12.0F
#define FRESHET_FACTOR_MAX 3.96875F

/* The fastest that this CPU runs; resolved once per call site, so keep the pointer. */
const freshet_model_kernels* freshet_model_kernels_best(void);
/* All that this CPU runs, ended by NULL: for tests, which compare them. */
const freshet_model_kernels* const* freshet_model_kernels_all(void);

/* One per translation unit of model_kernels_body.h. */
extern const freshet_model_kernels freshet_model_kernels_portable;
extern const freshet_model_kernels freshet_model_kernels_avx2;
extern const freshet_model_kernels freshet_model_kernels_avx512;

#endif
