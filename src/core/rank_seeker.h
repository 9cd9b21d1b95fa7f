/*
 * rank_seeker.h: one query on its way through the rows: begin, have its sieve scanned and tidied up, finish.
 *
 * Two kinds of rows are not scanned but given to the sieve with the interval (-infinity, infinity), which
 * sends them to the exact scores: all allowed rows when they are few, and all rows when values are so large
 * that floats might overflow.
 *
 * A bonus is added to the bias of its row as the scan judges it: it stands in an array by row, which is 0
 * between queries. That costs a load for eight rows; scoring each row with a bonus exactly, as there may be a
 * thousand, would cost more than the scan of ten thousand.
 *
 * Ownership: all memory that a seeker points at is the caller's. Thread rule: a seeker belongs to one thread.
 */
#ifndef FRESHET_CORE_RANK_SEEKER_H
#define FRESHET_CORE_RANK_SEEKER_H

#include "core/rank_index.h"
#include "core/rank_kernel.h"
#include "core/rank_select.h"

struct freshet_ranker {
  freshet_rank_index index;
  freshet_rank_order order;
  const freshet_rank_kernel_table* kernel;
};

/* Bytes of `memory` for each place of a sieve. */
enum { FRESHET_RANK_SEEKER_MEMORY = sizeof(freshet_rank_scored) + sizeof(double) + sizeof(float) };

typedef struct freshet_rank_seeker {
  freshet_rank_sieve sieve;
  freshet_rank_marks marks;
  const freshet_rank_query* query;
  float* vector;        /* [stride] */
  int8_t* codes;        /* [stride] */
  float* bonus;         /* [panels][32], all 0, or NULL when the query has none */
  float* panel_bonus;   /* [panels], all 0: becomes the largest of each panel, at least 0 */
  uint32_t* bonus_rows; /* [bonus_count] the row of each, or FRESHET_RANK_NO_ROW */
  void* memory;         /* for exact scores; used only during a call, so seekers may share it */
  float norm;
  uint32_t checked; /* rows of the sieve known to be eligible: allowed and not excluded */
  bool scanning;    /* false: all its rows have been given already */
} freshet_rank_seeker;

/* Before the scan: expects an empty sieve with memory, empty marks, query, vector, codes and memory. */
void freshet_rank_seeker_begin(const freshet_ranker* ranker, freshet_rank_seeker* seeker);
/* Drops rows that cannot be in the result, raises the floor, and leaves at least half of the sieve free. */
void freshet_rank_seeker_tidy(const freshet_ranker* ranker, freshet_rank_seeker* seeker);
/* After the scan: writes the result, best first; returns how many, at most k. */
size_t freshet_rank_seeker_finish(const freshet_ranker* ranker, freshet_rank_seeker* seeker,
                                  freshet_ranked* out);

#endif
