/*
 * rank_kernel.h: the scan: how the rows of an index are scored coarsely, and which survive.
 *
 * A scan never decides who is in a result. It lets through every row that might be, each with an interval
 * that holds its true score; the exact scores of the few survivors are computed in double precision
 * afterwards. So each kernel is free to score in whatever way its CPU likes best, provided that its intervals
 * are right:
 *
 *   portable   float products by OpenBLAS
 *   avx2       8-bit products (vpmaddubsw), 32 rows at a time
 *   avx512     8-bit products (VNNI), 32 rows by 12 queries at a time
 *
 * Rows lie in panels of 32. All arrays are raw, with shapes in the comments.
 *
 * The intervals. Let s = q.v + b be the true score of a row v with bias b for a query q, f what a kernel
 * computes for it in float, u = 2^-24 (one rounding is off by at most the factor 1 + u), |.| the Euclidean
 * norm.
 *
 * Portable: f = fl(fl(q.v) + b). In any order of summation, with or without fused multiply-add,
 * |fl(q.v) - q.v| <= g sum |q_i v_i| <= g |q| |v| with g = d u / (1 - d u) (Higham, Accuracy and Stability of
 * Numerical Algorithms, 2002, section 3.1, and the inequality of Cauchy and Schwarz). Hence
 *   |f - s| <= (g + 2u) |q| |v| + u |b|.
 * 8-bit: let q = Q + e with Q = scale_q * integers, v = V + r with V = scale_v * integers. q.v - Q.V = e.V +
 * q.r, and |V| <= |v| + |r|; Q.V is scale_q * scale_v * I with an integer I, exact in 32 bits. I is converted
 * to float and multiplied by two scales before b is added: four roundings of a value of at most (|q| +
 * |e|)(|v| + |r|). Hence
 *   |f - s| <= |e|(|v| + |r|) + |q||r| + 5u (|q| + |e|)(|v| + |r|) + u |b|.
 *
 * Both have the form
 *   |f - s| <= E(query, panel) = slope_norm * norm + slope_error * error + slack
 * where norm, error and slack belong to the panel: its largest |v|, its largest |r|, and 16 u times its
 * largest |b| (bounds, below). The slopes belong to the query:
 *
 *              slope_norm                           slope_error
 *   portable   1.001 (g + 16 u) |q|                 0: rows have no error
 *   8-bit      1.001 (|e| + 16 u (|q| + |e|))       slope_norm + 1.001 |q|
 *
 * The factor 1.001 covers the roundings in computing E itself. 16 u instead of 5 u covers the roundings of
 * f - E and f + E, which are at most u (|f| + E), with |f| at most (|q| + |e|)(|v| + |r|) + |b|.
 *
 * A bonus of the query for the row is added to b and rounded once, before all this. Then b is the sum of
 * both, and E has in addition 16 u times the query's largest bonus.
 *
 * Very small values: below 2^-126 floats lose precision, and each operation is off by at most 2^-149; slack
 * has another 2^-120 for that. Very large values, for which floats might overflow, never get here: ranker.c
 * gives them exact scores.
 */
#ifndef FRESHET_CORE_RANK_KERNEL_H
#define FRESHET_CORE_RANK_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "freshet/ranker.h"

enum {
  FRESHET_RANK_DIM_MAX = 4096,
  FRESHET_PANEL = 32,          /* rows of a panel */
  FRESHET_RANK_LANES = 16,     /* rows are padded with zeros to a multiple of this many floats */
  FRESHET_RANK_CODE_ZERO = 128 /* the code of 0 in a panel: codes are unsigned, 1 .. 255 */
};

/* Bounds for all rows of a panel, [panels] each. An unused row has bias -infinity, norm 0 and error 0. */
typedef struct freshet_rank_bounds {
  float* norms;  /* the largest |v| */
  float* errors; /* the largest |r|, distance of a row from its 8-bit codes */
  float* biases; /* the largest bias */
  float* slacks; /* the largest 16 u |b|, plus 2^-120 */
} freshet_rank_bounds;

/* A view of the rows of an index. */
typedef struct freshet_rank_panels {
  size_t stride;        /* floats of a row: the dimension, padded */
  size_t groups;        /* of 4 dimensions that have codes */
  const float* rows;    /* [panels][32][stride] */
  const uint8_t* codes; /* [panels][groups][32][4], NULL when the kernel wants none */
  const float* scales;  /* [panels][32] value of one code step */
  const float* biases;  /* [panels][32] */
  freshet_rank_bounds bounds;
} freshet_rank_panels;

/* One query on its way through the rows, and what it has caught. */
typedef struct freshet_rank_sieve {
  const float* vector; /* [stride], zeros at the end */
  const int8_t* codes; /* [groups][4] */
  float scale;         /* value of one code step */
  int32_t offset;      /* -FRESHET_RANK_CODE_ZERO * sum of codes: the panel's codes have that origin */
  float slope_norm;    /* see the intervals above */
  float slope_error;
  float slack;        /* of the bonus: see the intervals above; 0 without */
  const float* bonus; /* [panels][32] by row, 0 where there is none, or NULL: none at all */
  float floor;        /* only rows whose interval reaches up to here matter */
  uint32_t count;
  uint32_t capacity;
  float* lower;   /* [capacity] the true score is at least this, */
  float* upper;   /* [capacity] at most this */
  uint32_t* rows; /* [capacity] */
} freshet_rank_sieve;

/* Scores the panels from .. to-1 for `count` queries (at most the kernel's `group`) and appends to each sieve
 * the rows whose upper end is at least its floor. Stops early, before the first panel for which some sieve
 * has no room; returns the panel to go on with. work: scratch of freshet_rank_work_size bytes, 64-byte
 * aligned. */
typedef size_t freshet_rank_scan(const freshet_rank_panels* panels, size_t from, size_t to,
                                 freshet_rank_sieve* const* sieves, size_t count, void* work);

/* scores[i] = query . rows[ids[i]] in double precision, summed in 16 lanes (element i in lane i mod 16) which
 * are then added in halves: lane l to lane l + 8, l + 4, l + 2, l + 1. A product of two floats is exact in
 * double, so the result is the same to the bit with and without fused multiply-add, on every CPU. */
typedef void freshet_rank_exact(const float* rows, size_t stride, const float* query, const uint32_t* ids,
                                size_t count, double* scores);

/* A value that at least k of values [count] reach, and few more than k when such a value is found quickly; 1
 * <= k <= count. The array has room for a multiple of FRESHET_RANK_LANES; elements after count are
 * overwritten. */
typedef float freshet_rank_reached(float* values, size_t count, size_t k);

/* How large the values of a vector are. */
typedef struct freshet_rank_size {
  double squares; /* their sum, in any order; not finite when a value is not */
  float largest;  /* magnitude, where all are finite */
} freshet_rank_size;

/* values: [n], n a multiple of FRESHET_RANK_LANES. */
typedef freshet_rank_size freshet_rank_measure(const float* values, size_t n);

/* codes[i] = values[i] * inverse, rounded to the nearest integer; the caller knows that it is at most 127.
 * Returns the sum of the squares of values[i] - codes[i] * scale, as above. */
typedef double freshet_rank_round(const float* values, size_t n, float inverse, float scale, int8_t* codes);

typedef struct freshet_rank_kernel_table {
  const char* name;
  uint32_t query_levels; /* largest code of a query; 0: the kernel reads rows, not codes */
  uint32_t group;        /* queries at a time */
  uint32_t room;         /* free places that a sieve needs for the scan to go on */
  freshet_rank_scan* scan;
  freshet_rank_exact* exact;
  freshet_rank_reached* reached;
  freshet_rank_measure* measure;
  freshet_rank_round* round; /* NULL when the kernel reads rows, not codes */
} freshet_rank_kernel_table;

extern const freshet_rank_kernel_table freshet_rank_portable;
#if defined(__x86_64__)
extern const freshet_rank_kernel_table freshet_rank_avx2;
extern const freshet_rank_kernel_table freshet_rank_avx512;
freshet_rank_measure freshet_rank_measure_avx2; /* for both */
freshet_rank_round freshet_rank_round_avx2;
#endif

/* The kernel for a choice, or NULL when this CPU does not have it. Auto: the fastest it has. */
const freshet_rank_kernel_table* freshet_rank_kernel_find(freshet_rank_kernel choice);

/* Bytes of scratch that any kernel needs for one scan. */
size_t freshet_rank_work_size(const freshet_rank_kernel_table* kernel, const freshet_rank_panels* panels);

#endif
