/*
 * rank_index.h: the rows of a ranker, in the order in which they are scanned.
 *
 * Long rows come first, since by |q.v| <= |q||v| they are the ones that can score highest: a scan may end
 * when what is left is too short. A full sort would be expensive to keep under updates, so rows are sorted
 * into bands of norm, eight to an octave, and within a band lie in any order:
 *
 *   | band 0 (longest) | band 1 |  ...  | band 255 |   rows 0 .. count-1, without gaps
 *
 * A row that changes its band leaves a hole. The hole wanders to the new band through the bands between, one
 * row moving per band: the last row of a band takes the hole's place when the hole goes down, the first when
 * it goes up. So an update in place costs one row, a change to the neighbouring band one or two more, and an
 * insertion at most as many as there are bands in use. Nothing is ever sorted, and no update is ever slow.
 *
 * Ownership: the index owns all its arrays. Thread rule: as for a ranker.
 */
#ifndef FRESHET_CORE_RANK_INDEX_H
#define FRESHET_CORE_RANK_INDEX_H

#include <float.h>
#include <math.h>

#include "core/rank_kernel.h"
#include "freshet/ranker.h"
#include "freshet/status.h"

enum {
  FRESHET_RANK_BANDS = 256,
  FRESHET_RANK_NO_ROW = 0xffffffff /* not a row */
};

typedef struct freshet_rank_index {
  const freshet_rank_kernel_table* kernel;
  uint32_t dim;
  size_t stride; /* dim, padded to FRESHET_RANK_LANES */
  size_t groups; /* of 4 dimensions with codes; 0: no codes */
  uint32_t count;
  uint32_t capacity; /* rows, a multiple of FRESHET_PANEL */
  uint32_t slots_capacity;

  /* The caller keeps the first lent_dim values of the row of slot s, at *lent + s * lent_dim; 0: none */
  const float* const* lent;
  size_t lent_dim;
  float* rows;                           /* [capacity][stride - lent_dim] */
  uint8_t* codes;                        /* [capacity / 32][groups][32][4] */
  float* scales;                         /* [capacity] */
  float* biases;                         /* [capacity], -infinity where unused */
  float* norms;                          /* [capacity], rounded up */
  float* errors;                         /* [capacity], rounded up */
  uint32_t* slots;                       /* [capacity] slot of a row */
  freshet_rank_bounds bounds;            /* [capacity / 32] each */
  uint32_t* row_of;                      /* [slots_capacity] row of a slot or FRESHET_RANK_NO_ROW */
  uint32_t band_end[FRESHET_RANK_BANDS]; /* row after the last of each band */
  float largest;                         /* at least every |v| and |b| ever set */
} freshet_rank_index;

/* Creates an empty index; it keeps 8-bit codes if the kernel reads them. A kernel without codes reads whole rows, so
 * nothing is taken as lent then. config: dim, capacity, lent and lent_dim count. Errors: FRESHET_NO_MEMORY. */
freshet_status freshet_rank_index_create(freshet_rank_index* index, const freshet_ranker_config* config,
                                         const freshet_rank_kernel_table* kernel, freshet_error* error);
void freshet_rank_index_free(freshet_rank_index* index);
size_t freshet_rank_index_memory(const freshet_rank_index* index);

/* Adds or replaces the row of a slot. Errors: FRESHET_INVALID for a value that is not finite,
 * FRESHET_NO_MEMORY; nothing has changed then. */
freshet_status freshet_rank_index_set(freshet_rank_index* index, uint32_t slot, const float* row, float bias,
                                      freshet_error* error);
void freshet_rank_index_remove(freshet_rank_index* index, uint32_t slot);
/* See freshet_ranker_sort and freshet_ranker_fetch. */
void freshet_rank_index_sort(const freshet_rank_index* index, uint32_t* slots, size_t count);
void freshet_rank_index_fetch(const freshet_rank_index* index, uint32_t slot);

/* The row of a slot; FRESHET_RANK_NO_ROW when the slot is not set. */
static inline uint32_t freshet_rank_index_row(const freshet_rank_index* index, uint32_t slot) {
  return slot < index->slots_capacity ? index->row_of[slot] : FRESHET_RANK_NO_ROW;
}

static inline size_t freshet_rank_index_panels(const freshet_rank_index* index) {
  return ((size_t)index->count + FRESHET_PANEL - 1) / FRESHET_PANEL;
}

freshet_rank_panels freshet_rank_index_view(const freshet_rank_index* index);

/* The band of a norm: 0 for the longest. */
uint32_t freshet_rank_band(float norm);

/* 8-bit codes [n] of a vector [n], n a multiple of FRESHET_RANK_LANES, whose largest magnitude is given:
 * values[i] = about codes[i] * *scale, codes -levels .. levels. Returns an upper bound of the Euclidean
 * distance between the two. For kernels that read codes. */
float freshet_rank_encode(const freshet_rank_kernel_table* kernel, const float* values, size_t n,
                          float largest, int levels, int8_t* codes, float* scale);

/* A float that is at least, and one that is at most, as large as a value, and close to it; infinite beyond
 * the range of float. */
static inline float freshet_rank_round_up(double value) {
  value += 0x1p-23 * (value < 0 ? -value : value) + 0x1p-149; /* more than rounding to float may take away */
  return value >= FLT_MAX ? INFINITY : value <= -FLT_MAX ? -FLT_MAX : (float)value;
}

static inline float freshet_rank_round_down(double value) {
  return -freshet_rank_round_up(-value);
}

/* An upper bound of the Euclidean norm. */
float freshet_rank_norm(freshet_rank_size size);

#endif
