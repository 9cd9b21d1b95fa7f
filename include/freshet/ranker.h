/*
 * ranker.h: exact top-k by inner product, item bias and a sparse non-negative bonus.
 *
 * score(u, j) = query_u . row_j + bias_j + bonus_u(j), bonus_u(j) = 0 where not given. The result is the k
 * best of all set slots that are allowed and not excluded, best first, ties by `compare`, exact as if
 * computed in double precision from the float inputs.
 *
 * Thread rule: freshet_rank may run in several threads, each with its own scratch; set and remove need
 * exclusive access.
 */
#ifndef FRESHET_RANKER_H
#define FRESHET_RANKER_H

#include <stddef.h>
#include <stdint.h>

#include "freshet/status.h"

enum { FRESHET_RANK_K_MAX = 1000 };

typedef enum freshet_rank_kernel {
  FRESHET_KERNEL_AUTO = 0,
  FRESHET_KERNEL_PORTABLE, /* OpenBLAS: right everywhere */
  FRESHET_KERNEL_AVX2,
  FRESHET_KERNEL_AVX512,
} freshet_rank_kernel;

typedef struct freshet_ranker_config {
  uint32_t dim;
  uint32_t capacity; /* slots to expect; grows beyond */
  freshet_rank_kernel kernel;
  int (*compare)(const void* context, uint32_t a, uint32_t b); /* order of ids for ties; NULL: by slot */
  const void* context;
} freshet_ranker_config;

typedef struct freshet_ranker freshet_ranker;

/* Errors: FRESHET_INVALID for dim 0 or over 4,096, FRESHET_UNAVAILABLE when this CPU lacks a forced kernel.
 */
freshet_status freshet_ranker_create(const freshet_ranker_config* config, freshet_ranker** ranker,
                                     freshet_error* error);
void freshet_ranker_destroy(freshet_ranker* ranker);
const char* freshet_ranker_kernel_name(const freshet_ranker* ranker);
size_t freshet_ranker_memory(const freshet_ranker* ranker);

/* Adds or replaces a row [dim] (copied); the next ranking sees it. Errors: FRESHET_INVALID for a value that
 * is not finite. */
freshet_status freshet_ranker_set(freshet_ranker* ranker, uint32_t slot, const float* row, float bias,
                                  freshet_error* error);
/* Takes a slot out; unknown slots are ignored. */
void freshet_ranker_remove(freshet_ranker* ranker, uint32_t slot);
size_t freshet_ranker_count(const freshet_ranker* ranker);

typedef struct freshet_rank_query {
  const float* vector;      /* [dim], finite */
  const uint32_t* excluded; /* [excluded_count] slots in any order, unknown ones ignored */
  size_t excluded_count;
  const uint32_t* bonus_items; /* [bonus_count] slots, each at most once */
  const float* bonus;          /* [bonus_count] finite, >= 0 */
  size_t bonus_count;
  const uint64_t* allowed; /* bitmap by slot, or NULL: all are allowed */
  size_t allowed_slots;    /* bits in it; slots beyond are not allowed */
  uint32_t k;              /* 1 .. FRESHET_RANK_K_MAX */
} freshet_rank_query;

typedef struct freshet_ranked {
  uint32_t item; /* slot */
  float score;
} freshet_ranked;

typedef struct freshet_rank_scratch freshet_rank_scratch;
freshet_rank_scratch* freshet_rank_scratch_create(const freshet_ranker* ranker);
void freshet_rank_scratch_destroy(freshet_rank_scratch* scratch);

/* Ranks a batch: results of query i go to out[i * stride], counts[i] <= k of them. stride >= every k. Errors:
 * FRESHET_INVALID for k out of range or a query that is not finite (nothing is written for the batch). */
freshet_status freshet_rank(const freshet_ranker* ranker, const freshet_rank_query* queries,
                            size_t query_count, freshet_ranked* out, size_t stride, size_t* counts,
                            freshet_rank_scratch* scratch, freshet_error* error);

#endif
