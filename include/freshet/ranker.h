/*
 * ranker.h: exact top-k by inner product, item bias and a sparse bonus.
 *
 * score(u, j) = query_u . row_j + bias_j + bonus_u(j), where bonus_u(j) = 0 unless it is given. The result is
 * the k best of all set slots that are allowed and not excluded, best first. Ties break by `compare`. The
 * result is exact: the same as if every score was computed in double precision from the float inputs.
 *
 * Process-wide effect: a ranker with the portable kernel sets OpenBLAS to one thread for the whole process
 * (openblas_set_num_threads(1)), because idle OpenBLAS threads spin. A program that uses OpenBLAS with
 * several threads itself has to set its number again. The other kernels do not use OpenBLAS.
 *
 * Thread rule: several threads may call freshet_rank at the same time, each with a scratch of its own. A call
 * of freshet_ranker_set, _remove or _destroy must not run at the same time as any other call on the ranker.
 */
#ifndef FRESHET_RANKER_H
#define FRESHET_RANKER_H

#include <stddef.h>
#include <stdint.h>

#include "freshet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FRESHET_RANK_K_MAX = 1000 };

/* Instruction sets. All kernels return the same items. */
typedef enum freshet_rank_kernel {
  FRESHET_KERNEL_AUTO = 0, /* the fastest that this CPU has */
  FRESHET_KERNEL_PORTABLE, /* OpenBLAS: works on every CPU */
  FRESHET_KERNEL_AVX2,
  FRESHET_KERNEL_AVX512,
} freshet_rank_kernel;

typedef struct freshet_ranker_config {
  uint32_t dim;      /* columns of a row: 1 .. 4,096 */
  uint32_t capacity; /* slots to expect, 0 when unknown; the ranker grows beyond it */
  freshet_rank_kernel kernel;
  /* The order of two slots with the same score: <0 when a goes first. NULL: the lower slot goes first. Called
   * from every thread that ranks. */
  int (*compare)(const void* context, uint32_t a, uint32_t b);
  const void* context; /* for compare; borrowed, must outlive the ranker */
  /* The caller may keep the first lent_dim values of each row, of slot s at *lent + s * lent_dim; *lent may change. The
   * ranker then takes no copy of them where it can do without, and the values must be those of the last
   * freshet_ranker_set whenever it ranks. NULL: the ranker keeps whole rows. */
  const float* const* lent; /* borrowed, must outlive the ranker */
  uint32_t lent_dim;        /* a multiple of 16, at most dim; 0 without lent */
} freshet_ranker_config;

typedef struct freshet_ranker freshet_ranker;

/* Creates an empty ranker; the caller destroys it. *ranker is NULL after an error. Errors: FRESHET_INVALID
 * for a dim or lent_dim out of range, FRESHET_UNAVAILABLE when this CPU lacks the kernel asked for, FRESHET_NO_MEMORY. */
freshet_status freshet_ranker_create(const freshet_ranker_config* config, freshet_ranker** ranker,
                                     freshet_error* error);
/* NULL is allowed. */
void freshet_ranker_destroy(freshet_ranker* ranker);
/* "portable", "avx2" or "avx512". Static. */
const char* freshet_ranker_kernel_name(const freshet_ranker* ranker);
/* Bytes held now, without scratches. */
size_t freshet_ranker_memory(const freshet_ranker* ranker);

/* Adds or replaces the row [dim] of a slot; it is copied, and the next ranking sees it. Slots should be small
 * numbers: memory grows with the largest. Errors: FRESHET_INVALID for a value of row or bias that is not
 * finite; nothing has changed then. */
freshet_status freshet_ranker_set(freshet_ranker* ranker, uint32_t slot, const float* row, float bias,
                                  freshet_error* error);
/* Many rows are set faster in the order of their places in memory. Puts slots [count] into about that order. It
 * changes no ranking. */
void freshet_ranker_sort(const freshet_ranker* ranker, uint32_t* slots, size_t count);
/* Has the memory of a row fetched that is to be set a little later. It changes nothing. */
void freshet_ranker_fetch(const freshet_ranker* ranker, uint32_t slot);
/* Takes a slot out. A slot that is not set is ignored. */
void freshet_ranker_remove(freshet_ranker* ranker, uint32_t slot);
/* How many slots are set. */
size_t freshet_ranker_count(const freshet_ranker* ranker);

/* All pointers are borrowed for the call. An array may be NULL when its count is 0. */
typedef struct freshet_rank_query {
  const float* vector;      /* [dim], finite */
  const uint32_t* excluded; /* [excluded_count] slots in any order; slots that are not set are ignored */
  size_t excluded_count;
  const uint32_t* bonus_items; /* [bonus_count] slots, each at most once */
  const float* bonus;          /* [bonus_count] finite, may be negative */
  size_t bonus_count;
  const uint64_t* allowed; /* [(allowed_slots + 63) / 64], bit slot % 64 of word slot / 64; NULL: all are */
  size_t allowed_slots;    /* bits in it; slots beyond are not allowed */
  uint32_t k;              /* 1 .. FRESHET_RANK_K_MAX */
} freshet_rank_query;

typedef struct freshet_ranked {
  uint32_t item; /* slot */
  float score;
} freshet_ranked;

/* Working memory of freshet_rank. It may be used with any ranker, by one thread at a time. NULL when memory
 * is out. */
typedef struct freshet_rank_scratch freshet_rank_scratch;
freshet_rank_scratch* freshet_rank_scratch_create(const freshet_ranker* ranker);
/* NULL is allowed. */
void freshet_rank_scratch_destroy(freshet_rank_scratch* scratch);

/* Ranks queries [query_count]. The results of query i go to out[i * stride], counts[i] <= k of them; stride
 * must not be less than any k. counts [query_count]. Errors: FRESHET_INVALID for a k out of range or a query
 * that is not finite. After an error nothing in out and counts may be used. */
freshet_status freshet_rank(const freshet_ranker* ranker, const freshet_rank_query* queries,
                            size_t query_count, freshet_ranked* out, size_t stride, size_t* counts,
                            freshet_rank_scratch* scratch, freshet_error* error);

#ifdef __cplusplus
}
#endif

#endif
