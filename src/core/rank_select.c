/*
 * rank_select.c: from the rows that a scan has caught to the k best: the set of excluded rows, the pruning
 * of a sieve, and the final order. Works on the caller's memory and knows neither rows nor kernels.
 */
#include "core/rank_select.h"

#include <math.h>
#include <string.h>

enum { MIN_MARKS = 16 };

/* ---- marks ---- */

size_t freshet_rank_marks_size(size_t count) {
  size_t size = MIN_MARKS;
  while (size < 4 * count) size *= 2;
  return size;
}

size_t freshet_rank_marks_memory(size_t size) {
  return (size / 4 + size) * sizeof(uint32_t);
}

freshet_rank_marks freshet_rank_marks_make(void* memory, size_t size) {
  uint32_t* filter = memory;
  freshet_rank_marks marks = {.filter = filter, .rows = filter + size / 4, .mask = (uint32_t)size - 1};
  memset(marks.filter, 0, size / 4 * sizeof *marks.filter);
  memset(marks.rows, 0xff, size * sizeof *marks.rows);
  return marks;
}

/* The place of a row in the table, or the place where it would be. */
static uint32_t find_place(const freshet_rank_marks* marks, uint32_t row) {
  uint32_t place = freshet_rank_marks_hash(row) & marks->mask;
  while (marks->rows[place] != row && marks->rows[place] != FRESHET_RANK_NO_ROW)
    place = (place + 1) & marks->mask;
  return place;
}

bool freshet_rank_marks_has(const freshet_rank_marks* marks, uint32_t row) {
  return marks->rows[find_place(marks, row)] == row;
}

void freshet_rank_marks_add(freshet_rank_marks* marks, uint32_t row) {
  const uint32_t hash = freshet_rank_marks_hash(row);
  marks->filter[hash & (marks->mask >> 2)] |= 1u << (hash >> 27);
  marks->rows[find_place(marks, row)] = row;
}

/* ---- pruning ---- */

void freshet_rank_prune(freshet_rank_sieve* sieve, size_t k, freshet_rank_reached* find_reached) {
  if (sieve->count < k) return;
  float reached = find_reached(sieve->lower, sieve->count, k);
  /* A kernel computes floor - E in float: lowering the floor by more than its rounding keeps that safe. */
  reached -= 0x1p-22f * fabsf(reached) + 0x1p-120f;
  if (reached > sieve->floor) sieve->floor = reached;
  const float floor = sieve->floor;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < sieve->count; i++) {
    const float upper = sieve->upper[i];
    sieve->lower[kept] = sieve->lower[i];
    sieve->rows[kept] = sieve->rows[i];
    sieve->upper[kept] = upper;
    kept += upper >= floor;
  }
  sieve->count = kept;
}

/* ---- the k best ---- */

static bool better(const freshet_rank_scored* a, const freshet_rank_scored* b,
                   const freshet_rank_order* order) {
  if (a->score != b->score) return a->score > b->score;
  if (order->compare == NULL) return a->slot < b->slot;
  return order->compare(order->context, a->slot, b->slot) < 0;
}

/* Puts entry into the heap [count] whose root, free now, is the worst. */
static void sift(freshet_rank_scored* heap, size_t count, size_t hole, freshet_rank_scored entry,
                 const freshet_rank_order* order) {
  for (;;) {
    size_t child = 2 * hole + 1;
    if (child >= count) break;
    if (child + 1 < count && better(&heap[child], &heap[child + 1], order)) child++;
    if (!better(&entry, &heap[child], order)) break;
    heap[hole] = heap[child];
    hole = child;
  }
  heap[hole] = entry;
}

size_t freshet_rank_best(freshet_rank_scored* entries, size_t count, size_t k,
                         const freshet_rank_order* order) {
  const size_t size = count < k ? count : k;
  for (size_t i = size / 2; i-- > 0;) sift(entries, size, i, entries[i], order);
  for (size_t i = size; i < count; i++) {
    if (better(&entries[i], &entries[0], order)) sift(entries, size, 0, entries[i], order);
  }
  for (size_t left = size; left > 1; left--) {
    freshet_rank_scored worst = entries[0];
    sift(entries, left - 1, 0, entries[left - 1], order);
    entries[left - 1] = worst;
  }
  return size;
}
