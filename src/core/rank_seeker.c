/*
 * rank_seeker.c: one query on its way through the rows: what is given to the sieve without a scan, how the
 * sieve is tidied up, and the exact scores at the end. All memory is the caller's. How rows are scanned is
 * the kernels' matter.
 */
#include "core/rank_seeker.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* When fewer than one row in this many is allowed, each allowed row is scored by itself. */
enum { FEW_ALLOWED = 32 };

/* Beyond this, a float on the way might overflow: integers of 8-bit products reach 2^26, their scales divide
 * by 2^7. */
static const double LARGEST_PRODUCT = 0x1p100;
static const double UNIT_ROUNDOFF = 0x1p-24;

static bool is_allowed(const freshet_rank_query* query, uint32_t slot) {
  if (query->allowed == NULL) return true;
  return slot < query->allowed_slots && (query->allowed[slot / 64] >> (slot % 64) & 1) != 0;
}

/* Takes out entry i; the last one takes its place. */
static void drop(freshet_rank_sieve* sieve, uint32_t i) {
  const uint32_t last = --sieve->count;
  sieve->lower[i] = sieve->lower[last];
  sieve->upper[i] = sieve->upper[last];
  sieve->rows[i] = sieve->rows[last];
}

/* Drops what the sieve has caught since the last time and may not be in the result. */
static void drop_ineligible(const freshet_ranker* ranker, freshet_rank_seeker* seeker) {
  freshet_rank_sieve* sieve = &seeker->sieve;
  if (seeker->query->allowed != NULL) {
    for (uint32_t i = sieve->count; i-- > seeker->checked;) {
      if (!is_allowed(seeker->query, ranker->index.slots[sieve->rows[i]])) drop(sieve, i);
    }
  }
  const freshet_rank_marks marks = seeker->marks;
  const uint32_t *rows = sieve->rows, count = sieve->count;
  uint32_t* suspects = seeker->memory;
  size_t suspect_count = 0;
  for (uint32_t i = seeker->checked; i < count; i++) {
    suspects[suspect_count] = i;
    suspect_count += freshet_rank_marks_maybe(&marks, rows[i]);
  }
  while (suspect_count-- > 0) { /* backwards: the entry that takes the place was checked before */
    const uint32_t i = suspects[suspect_count];
    if (freshet_rank_marks_has(&marks, rows[i])) drop(sieve, i);
  }
  seeker->checked = sieve->count;
}

/* Adds what the lent part of the rows contributes. `memory` holds a double and a slot for each place of the sieve. */
static void add_lent(const freshet_ranker* ranker, const freshet_rank_seeker* seeker, void* memory,
                     double* scores) {
  const freshet_rank_index* index = &ranker->index;
  const freshet_rank_sieve* sieve = &seeker->sieve;
  double* parts = memory;
  uint32_t* slots = (uint32_t*)(parts + sieve->capacity);
  for (uint32_t i = 0; i < sieve->count; i++) slots[i] = index->slots[sieve->rows[i]];
  ranker->kernel->exact(*index->lent, index->lent_dim, seeker->vector, slots, sieve->count, parts);
  for (uint32_t i = 0; i < sieve->count; i++) scores[i] += parts[i];
}

/* Exact scores of what the sieve holds. memory: see add_lent. */
static void score_exactly(const freshet_ranker* ranker, const freshet_rank_seeker* seeker, void* memory,
                          double* scores) {
  const freshet_rank_index* index = &ranker->index;
  const freshet_rank_sieve* sieve = &seeker->sieve;
  ranker->kernel->exact(index->rows, index->stride - index->lent_dim, seeker->vector + index->lent_dim,
                        sieve->rows, sieve->count, scores);
  if (index->lent_dim > 0) add_lent(ranker, seeker, memory, scores);
  for (uint32_t i = 0; i < sieve->count; i++) scores[i] += (double)index->biases[sieve->rows[i]];
  if (sieve->bonus == NULL) return;
  for (uint32_t i = 0; i < sieve->count; i++) scores[i] += (double)sieve->bonus[sieve->rows[i]];
}

/* The k best of the sieve by exact score, best first, in scratch memory. Returns how many. */
static size_t settle(const freshet_ranker* ranker, freshet_rank_seeker* seeker, freshet_rank_scored** best) {
  const freshet_rank_sieve* sieve = &seeker->sieve;
  const size_t k = seeker->query->k;
  freshet_rank_scored* entries = seeker->memory;
  double* scores = (double*)(entries + sieve->capacity);
  float* lower = (float*)(scores + sieve->capacity);
  score_exactly(ranker, seeker, entries, scores);
  for (uint32_t i = 0; i < sieve->count; i++) lower[i] = freshet_rank_round_down(scores[i]);
  const float reached = sieve->count < k ? -INFINITY : ranker->kernel->reached(lower, sieve->count, k);
  size_t count = 0;
  for (uint32_t i = 0; i < sieve->count; i++) {
    entries[count] = (freshet_rank_scored){scores[i], ranker->index.slots[sieve->rows[i]], sieve->rows[i]};
    count += scores[i] >= (double)reached;
  }
  *best = entries;
  return freshet_rank_best(entries, count, k, &ranker->order);
}

/* Leaves the k best of the sieve, with their exact scores as intervals. */
static void sharpen(const freshet_ranker* ranker, freshet_rank_seeker* seeker) {
  freshet_rank_sieve* sieve = &seeker->sieve;
  freshet_rank_scored* best;
  sieve->count = (uint32_t)settle(ranker, seeker, &best);
  for (uint32_t i = 0; i < sieve->count; i++) {
    sieve->lower[i] = freshet_rank_round_down(best[i].score);
    sieve->upper[i] = freshet_rank_round_up(best[i].score);
    sieve->rows[i] = best[i].row;
  }
  freshet_rank_prune(sieve, seeker->query->k, ranker->kernel->reached);
  seeker->checked = sieve->count;
}

/* Where intervals cannot tell rows apart (many ties), exact scores do. */
void freshet_rank_seeker_tidy(const freshet_ranker* ranker, freshet_rank_seeker* seeker) {
  drop_ineligible(ranker, seeker);
  freshet_rank_prune(&seeker->sieve, seeker->query->k, ranker->kernel->reached);
  seeker->checked = seeker->sieve.count;
  if (seeker->sieve.count > seeker->sieve.capacity / 2) sharpen(ranker, seeker);
}

/* Gives a row to the sieve without scoring it. */
static void give(const freshet_ranker* ranker, freshet_rank_seeker* seeker, uint32_t row) {
  freshet_rank_sieve* sieve = &seeker->sieve;
  if (sieve->count == sieve->capacity) freshet_rank_seeker_tidy(ranker, seeker);
  sieve->lower[sieve->count] = -INFINITY;
  sieve->upper[sieve->count] = INFINITY;
  sieve->rows[sieve->count] = row;
  sieve->count++;
}

/* Writes the bonuses to their rows and returns the largest magnitude. Rows are far apart in memory, so all are looked
 * up first: their memory arrives meanwhile. */
static float spread_bonus(const freshet_ranker* ranker, freshet_rank_seeker* seeker) {
  const freshet_rank_query* query = seeker->query;
  float most = 0;
  for (size_t i = 0; i < query->bonus_count; i++) {
    const uint32_t row = freshet_rank_index_row(&ranker->index, query->bonus_items[i]);
    seeker->bonus_rows[i] = row;
    if (row != FRESHET_RANK_NO_ROW) __builtin_prefetch(&seeker->bonus[row], 1);
  }
  for (size_t i = 0; i < query->bonus_count; i++) {
    const uint32_t row = seeker->bonus_rows[i];
    const float bonus = query->bonus[i];
    if (row == FRESHET_RANK_NO_ROW) continue;
    float* panel = &seeker->panel_bonus[row / FRESHET_PANEL];
    seeker->bonus[row] = bonus;
    *panel = bonus > *panel ? bonus : *panel;
    most = fmaxf(most, fabsf(bonus));
  }
  return most;
}

static void clear_bonus(freshet_rank_seeker* seeker) {
  for (size_t i = 0; i < seeker->query->bonus_count; i++) {
    const uint32_t row = seeker->bonus_rows[i];
    if (row == FRESHET_RANK_NO_ROW) continue;
    seeker->bonus[row] = seeker->panel_bonus[row / FRESHET_PANEL] = 0;
  }
}

static size_t count_allowed(const freshet_rank_query* query) {
  size_t count = 0;
  for (size_t w = 0; w < query->allowed_slots / 64; w++)
    count += (size_t)__builtin_popcountll(query->allowed[w]);
  return count + query->allowed_slots % 64;
}

static void give_allowed_rows(const freshet_ranker* ranker, freshet_rank_seeker* seeker) {
  const freshet_rank_query* query = seeker->query;
  for (size_t w = 0; w * 64 < query->allowed_slots; w++) {
    for (uint64_t left = query->allowed[w]; left != 0; left &= left - 1) {
      size_t slot = w * 64 + (size_t)__builtin_ctzll(left);
      if (slot >= query->allowed_slots) break;
      uint32_t row = freshet_rank_index_row(&ranker->index, (uint32_t)slot);
      if (row != FRESHET_RANK_NO_ROW) give(ranker, seeker, row);
    }
  }
}

/* Prepares the query for the kernel: rank_kernel.h, "The intervals". */
static void shape_query(const freshet_ranker* ranker, freshet_rank_seeker* seeker) {
  const freshet_rank_index* index = &ranker->index;
  const freshet_rank_query* query = seeker->query;
  memcpy(seeker->vector, query->vector, index->dim * sizeof(float));
  memset(seeker->vector + index->dim, 0, (index->stride - index->dim) * sizeof(float));
  const freshet_rank_size size = ranker->kernel->measure(seeker->vector, index->stride);
  seeker->norm = freshet_rank_norm(size);
  freshet_rank_sieve* sieve = &seeker->sieve;
  sieve->vector = seeker->vector;
  double norm = seeker->norm;
  if (ranker->kernel->query_levels > 0) {
    double error = freshet_rank_encode(ranker->kernel, seeker->vector, index->stride, size.largest,
                                       (int)ranker->kernel->query_levels, seeker->codes, &sieve->scale);
    int32_t sum = 0;
    for (size_t i = 0; i < index->groups * 4; i++) sum += seeker->codes[i];
    sieve->codes = seeker->codes;
    sieve->offset = -FRESHET_RANK_CODE_ZERO * sum;
    double slope = 1.001 * (error + 16 * UNIT_ROUNDOFF * (norm + error));
    sieve->slope_norm = freshet_rank_round_up(slope);
    sieve->slope_error = freshet_rank_round_up(slope + 1.001 * norm);
  } else {
    double gamma = (double)index->stride * UNIT_ROUNDOFF / (1 - (double)index->stride * UNIT_ROUNDOFF);
    sieve->slope_norm = freshet_rank_round_up(1.001 * (gamma + 16 * UNIT_ROUNDOFF) * norm);
    sieve->slope_error = 0;
  }
}

void freshet_rank_seeker_begin(const freshet_ranker* ranker, freshet_rank_seeker* seeker) {
  const freshet_rank_index* index = &ranker->index;
  const freshet_rank_query* query = seeker->query;
  seeker->sieve.count = seeker->checked = 0;
  seeker->sieve.floor = -FLT_MAX;
  shape_query(ranker, seeker);
  for (size_t i = 0; i < query->excluded_count; i++) {
    uint32_t row = freshet_rank_index_row(index, query->excluded[i]);
    if (row != FRESHET_RANK_NO_ROW) freshet_rank_marks_add(&seeker->marks, row);
  }
  const float bonus = seeker->bonus == NULL ? 0 : spread_bonus(ranker, seeker);
  seeker->sieve.bonus = seeker->bonus;
  seeker->sieve.slack = freshet_rank_round_up(16 * UNIT_ROUNDOFF * (double)bonus);
  double largest =
      ((double)seeker->norm + 1) * (double)index->largest * FRESHET_RANK_CODE_ZERO + (double)bonus;
  bool few = query->allowed != NULL && count_allowed(query) < index->count / FEW_ALLOWED;
  seeker->scanning = !few && largest < LARGEST_PRODUCT;
  if (few) {
    give_allowed_rows(ranker, seeker);
  } else if (!seeker->scanning) {
    for (uint32_t row = 0; row < index->count; row++) give(ranker, seeker, row);
  }
}

size_t freshet_rank_seeker_finish(const freshet_ranker* ranker, freshet_rank_seeker* seeker,
                                  freshet_ranked* out) {
  drop_ineligible(ranker, seeker);
  freshet_rank_prune(&seeker->sieve, seeker->query->k, ranker->kernel->reached);
  freshet_rank_scored* best;
  size_t count = settle(ranker, seeker, &best);
  if (seeker->bonus != NULL) clear_bonus(seeker);
  for (size_t i = 0; i < count; i++) {
    double score = best[i].score;
    float rounded = score > FLT_MAX ? FLT_MAX : score < -FLT_MAX ? -FLT_MAX : (float)score;
    out[i] = (freshet_ranked){.item = best[i].slot, .score = rounded};
  }
  return count;
}
