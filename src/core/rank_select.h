/*
 * rank_select.h: from what a scan has caught to the k best.
 *
 * While scanning, a sieve is pruned whenever it is full: the k-th largest lower end among eligible rows is a
 * score that k rows reach for certain, so a row whose upper end is below it can be in no result. That score
 * becomes the sieve's floor. Only rows that may be in a result count for it (not excluded, allowed), so
 * however many of a user's best items are excluded, the floor sinks to where k others are.
 *
 * All functions work on the caller's memory. Thread rule: none shared.
 */
#ifndef FRESHET_CORE_RANK_SELECT_H
#define FRESHET_CORE_RANK_SELECT_H

#include <stdbool.h>

#include "core/rank_index.h"
#include "core/rank_kernel.h"

/* Rows that one query excludes. A hash table, behind a filter that is small enough to stay in the first-level
 * cache and lets few other rows through to it. */
typedef struct freshet_rank_marks {
  uint32_t* filter; /* [(mask + 1) / 4] 8 bits for each place of the table */
  uint32_t* rows;   /* [mask + 1] FRESHET_RANK_NO_ROW where free */
  uint32_t mask;    /* size of the table - 1, a power of two - 1 */
} freshet_rank_marks;

/* Places of a table for up to `count` rows: a power of two, at least four times as many. */
size_t freshet_rank_marks_size(size_t count);
/* Bytes of memory for that many places. */
size_t freshet_rank_marks_memory(size_t size);
/* An empty table of that many places in the caller's memory. */
freshet_rank_marks freshet_rank_marks_make(void* memory, size_t size);
void freshet_rank_marks_add(freshet_rank_marks* marks, uint32_t row);
bool freshet_rank_marks_has(const freshet_rank_marks* marks, uint32_t row);

static inline uint32_t freshet_rank_marks_hash(uint32_t row) {
  uint32_t hash = row * 0x9e3779b1u; /* Fibonacci hashing: the upper bits are well mixed */
  return hash ^ hash >> 15;
}

/* False: certainly no entry. */
static inline bool freshet_rank_marks_maybe(const freshet_rank_marks* marks, uint32_t row) {
  const uint32_t hash = freshet_rank_marks_hash(row);
  return marks->filter[hash & (marks->mask >> 2)] >> (hash >> 27) & 1;
}

/* Raises the floor to what k rows reach, and drops the rows that do not. Nothing happens below k rows. */
void freshet_rank_prune(freshet_rank_sieve* sieve, size_t k, freshet_rank_reached* find_reached);

/* A row with its exact score. */
typedef struct freshet_rank_scored {
  double score;
  uint32_t slot;
  uint32_t row;
} freshet_rank_scored;

typedef struct freshet_rank_order {
  int (*compare)(const void* context, uint32_t a, uint32_t b); /* of slots with one score; NULL: by number */
  const void* context;
} freshet_rank_order;

/* Moves the k best of entries [count] to its front, best first; returns how many there are. */
size_t freshet_rank_best(freshet_rank_scored* entries, size_t count, size_t k,
                         const freshet_rank_order* order);

#endif
