/*
 * ranker.c: how a batch of queries goes through the rows.
 *
 * A tile of queries at a time, each with its sieve: chunk after chunk of rows that fits into the second-level
 * cache is scanned for all queries that can still gain from it, a few queries at a time. Full sieves are
 * pruned on the way (rank_select.h); at the end the exact scores of what is left decide.
 *
 * Three kinds of rows are not scanned but given to the sieve with the interval (-infinity, infinity), which
 * sends them to the exact scores: those with a bonus (since it is never negative, the k best are among the k
 * best without bonus and the rows that have one), all allowed rows when they are few, and all rows when
 * values are so large that floats might overflow.
 */
#include "freshet/ranker.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#include "core/rank_index.h"
#include "core/rank_kernel.h"
#include "core/rank_select.h"

enum {
  DIM_MAX = 4096,
  TILE = 96,              /* queries that go through the rows together: their sieves fit into the cache */
  CHUNK_SIZE = 256 << 10, /* bytes of rows */
  SIEVE_ROOMS = 3,        /* a sieve holds that many times what a kernel adds at once, */
  SIEVE_KS = 4,           /* and that many times k besides */
  GROWTH = 4,             /* between the first stops of a scan */
  MANY_NEW = 48,          /* a sieve is tidied up when it has caught that many more than k */
  FEW_ALLOWED = 32,       /* with fewer than one allowed row in that many, each is scored by itself */
};

/* Beyond this, a float on the way might overflow: integers of 8-bit products reach 2^26, their scales divide
 * by 2^7. */
static const double LARGEST_PRODUCT = 0x1p100;
static const double UNIT_ROUNDOFF = 0x1p-24;

struct freshet_ranker {
  freshet_rank_index index;
  freshet_rank_order order;
  const freshet_rank_kernel_table* kernel;
};

/* One query on its way. */
struct seeker {
  freshet_rank_sieve sieve;
  freshet_rank_marks marks;
  const freshet_rank_query* query;
  float* vector; /* [stride] */
  int8_t* codes; /* [stride] */
  float norm;
  uint32_t checked; /* rows of the sieve known to be eligible */
  bool scanning;    /* false: all its rows have been given already */
};

/* A block of memory that grows between batches. */
struct block {
  void* data;
  size_t size;
};

struct freshet_rank_scratch {
  struct seeker seekers[TILE];
  freshet_rank_sieve* group[TILE]; /* the sieves of one scan */
  struct seeker* members[TILE];    /* whose they are */
  struct block vectors;            /* [TILE] vectors and codes */
  struct block sieves;             /* [TILE] lower, upper, rows */
  struct block marks;              /* [TILE] tables */
  struct block exact;              /* scores and entries of one sieve */
  struct block work;               /* of the kernel */
};

/* ---- create and change ---- */

freshet_status freshet_ranker_create(const freshet_ranker_config* config, freshet_ranker** ranker,
                                     freshet_error* error) {
  *ranker = NULL;
  if (config->dim == 0 || config->dim > DIM_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "ranker: dimension %u is not in 1 .. %d",
                             config->dim, DIM_MAX);
  }
  const freshet_rank_kernel_table* kernel = freshet_rank_kernel_find(config->kernel);
  if (kernel == NULL) {
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP,
                             "ranker: this CPU does not have the kernel asked for");
  }
  freshet_ranker* made = calloc(1, sizeof *made);
  if (made == NULL)
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "no memory for a ranker");
  made->kernel = kernel;
  made->order = (freshet_rank_order){config->compare, config->context};
  freshet_status status =
      freshet_rank_index_create(&made->index, config->dim, config->capacity, kernel->query_levels > 0, error);
  if (status != FRESHET_OK) {
    free(made);
    return status;
  }
  openblas_set_num_threads(1); /* batches run in parallel instead; its idle workers spin */
  *ranker = made;
  return FRESHET_OK;
}

void freshet_ranker_destroy(freshet_ranker* ranker) {
  if (ranker == NULL) return;
  freshet_rank_index_free(&ranker->index);
  free(ranker);
}

const char* freshet_ranker_kernel_name(const freshet_ranker* ranker) {
  return ranker->kernel->name;
}

size_t freshet_ranker_memory(const freshet_ranker* ranker) {
  return sizeof *ranker + freshet_rank_index_memory(&ranker->index);
}

size_t freshet_ranker_count(const freshet_ranker* ranker) {
  return ranker->index.count;
}

static bool all_finite(const float* values, size_t count) {
  /* 0 * x is 0 for finite x and NaN otherwise; 16 lanes let it run as vectors. */
  float lanes[16] = {0};
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (size_t l = 0; l < 16; l++) lanes[l] += 0.0f * values[i + l];
  }
  for (; i < count; i++) lanes[0] += 0.0f * values[i];
  float sum = 0;
  for (size_t l = 0; l < 16; l++) sum += lanes[l];
  return sum == 0;
}

freshet_status freshet_ranker_set(freshet_ranker* ranker, uint32_t slot, const float* row, float bias,
                                  freshet_error* error) {
  if (!isfinite(bias) || !all_finite(row, ranker->index.dim)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "ranker: the row of slot %u is not finite",
                             slot);
  }
  return freshet_rank_index_set(&ranker->index, slot, row, bias, error);
}

void freshet_ranker_remove(freshet_ranker* ranker, uint32_t slot) {
  freshet_rank_index_remove(&ranker->index, slot);
}

freshet_rank_scratch* freshet_rank_scratch_create(const freshet_ranker* ranker) {
  (void)ranker;
  return calloc(1, sizeof(freshet_rank_scratch));
}

void freshet_rank_scratch_destroy(freshet_rank_scratch* scratch) {
  if (scratch == NULL) return;
  free(scratch->vectors.data);
  free(scratch->sieves.data);
  free(scratch->marks.data);
  free(scratch->exact.data);
  free(scratch->work.data);
  free(scratch);
}

/* ---- one query ---- */

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
static void drop_ineligible(const freshet_ranker* ranker, struct seeker* seeker,
                            freshet_rank_scratch* scratch) {
  freshet_rank_sieve* sieve = &seeker->sieve;
  if (seeker->query->allowed != NULL) {
    for (uint32_t i = sieve->count; i-- > seeker->checked;) {
      if (!is_allowed(seeker->query, ranker->index.slots[sieve->rows[i]])) drop(sieve, i);
    }
  }
  const freshet_rank_marks marks = seeker->marks;
  const uint32_t *rows = sieve->rows, count = sieve->count;
  uint32_t* suspects = scratch->exact.data;
  size_t suspect_count = 0;
  for (uint32_t i = seeker->checked; i < count; i++) {
    suspects[suspect_count] = i;
    suspect_count += freshet_rank_marks_maybe(&marks, rows[i]);
  }
  while (suspect_count-- > 0) { /* backwards: what takes a place has been looked at */
    const uint32_t i = suspects[suspect_count];
    if (marks.rows[freshet_rank_marks_find(&marks, rows[i])] == rows[i]) drop(sieve, i);
  }
  seeker->checked = sieve->count;
}

/* Exact scores of what the sieve holds. */
static void score_exactly(const freshet_ranker* ranker, const struct seeker* seeker, double* scores) {
  const freshet_rank_index* index = &ranker->index;
  const freshet_rank_sieve* sieve = &seeker->sieve;
  const freshet_rank_marks* marks = &seeker->marks;
  ranker->kernel->exact(index->rows, index->stride, seeker->vector, sieve->rows, sieve->count, scores);
  for (uint32_t i = 0; i < sieve->count; i++) scores[i] += (double)index->biases[sieve->rows[i]];
  if (seeker->query->bonus_count == 0) return;
  for (uint32_t i = 0; i < sieve->count; i++) {
    uint32_t place = freshet_rank_marks_find(marks, sieve->rows[i]);
    if (marks->rows[place] == sieve->rows[i]) scores[i] += (double)marks->bonus[place];
  }
}

/* The k best of the sieve by exact score, best first, in scratch memory. Returns how many. */
static size_t settle(const freshet_ranker* ranker, struct seeker* seeker, freshet_rank_scratch* scratch,
                     freshet_rank_scored** best) {
  const freshet_rank_sieve* sieve = &seeker->sieve;
  const size_t k = seeker->query->k;
  freshet_rank_scored* entries = scratch->exact.data;
  double* scores = (double*)(entries + sieve->capacity);
  float* lower = (float*)(scores + sieve->capacity);
  score_exactly(ranker, seeker, scores);
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
static void sharpen(const freshet_ranker* ranker, struct seeker* seeker, freshet_rank_scratch* scratch) {
  freshet_rank_sieve* sieve = &seeker->sieve;
  freshet_rank_scored* best;
  sieve->count = (uint32_t)settle(ranker, seeker, scratch, &best);
  for (uint32_t i = 0; i < sieve->count; i++) {
    sieve->lower[i] = freshet_rank_round_down(best[i].score);
    sieve->upper[i] = freshet_rank_round_up(best[i].score);
    sieve->rows[i] = best[i].row;
  }
  freshet_rank_prune(sieve, seeker->query->k, ranker->kernel->reached);
  seeker->checked = sieve->count;
}

/* Makes room in a sieve. Where intervals cannot tell rows apart (many ties), exact scores do. */
static void make_room(const freshet_ranker* ranker, struct seeker* seeker, freshet_rank_scratch* scratch) {
  drop_ineligible(ranker, seeker, scratch);
  freshet_rank_prune(&seeker->sieve, seeker->query->k, ranker->kernel->reached);
  seeker->checked = seeker->sieve.count;
  if (seeker->sieve.count > seeker->sieve.capacity / 2) sharpen(ranker, seeker, scratch);
}

/* Gives a row to the sieve without looking at it. */
static void give(const freshet_ranker* ranker, struct seeker* seeker, uint32_t row,
                 freshet_rank_scratch* scratch) {
  freshet_rank_sieve* sieve = &seeker->sieve;
  if (sieve->count == sieve->capacity) make_room(ranker, seeker, scratch);
  sieve->lower[sieve->count] = -INFINITY;
  sieve->upper[sieve->count] = INFINITY;
  sieve->rows[sieve->count] = row;
  sieve->count++;
}

static void give_bonus_rows(const freshet_ranker* ranker, struct seeker* seeker,
                            freshet_rank_scratch* scratch) {
  const freshet_rank_query* query = seeker->query;
  for (size_t i = 0; i < query->bonus_count; i++) {
    uint32_t slot = query->bonus_items[i];
    uint32_t row = freshet_rank_index_row(&ranker->index, slot);
    if (row == FRESHET_RANK_NO_ROW || !is_allowed(query, slot)) continue;
    if (freshet_rank_marks_add(&seeker->marks, row, query->bonus[i])) {
      give(ranker, seeker, row, scratch);
      seeker->checked = seeker->sieve.count; /* marked, and eligible all the same */
    }
  }
  if (seeker->sieve.count > 0) sharpen(ranker, seeker, scratch);
}

static size_t count_allowed(const freshet_rank_query* query) {
  size_t count = 0;
  for (size_t w = 0; w < query->allowed_slots / 64; w++)
    count += (size_t)__builtin_popcountll(query->allowed[w]);
  return count + query->allowed_slots % 64;
}

static void give_allowed_rows(const freshet_ranker* ranker, struct seeker* seeker,
                              freshet_rank_scratch* scratch) {
  const freshet_rank_query* query = seeker->query;
  for (size_t w = 0; w * 64 < query->allowed_slots; w++) {
    for (uint64_t left = query->allowed[w]; left != 0; left &= left - 1) {
      size_t slot = w * 64 + (size_t)__builtin_ctzll(left);
      if (slot >= query->allowed_slots) break;
      uint32_t row = freshet_rank_index_row(&ranker->index, (uint32_t)slot);
      if (row != FRESHET_RANK_NO_ROW) give(ranker, seeker, row, scratch);
    }
  }
}

/* How the query looks to the kernel: rank_kernel.h, "The intervals". */
static void shape_query(const freshet_ranker* ranker, struct seeker* seeker) {
  const freshet_rank_index* index = &ranker->index;
  const freshet_rank_query* query = seeker->query;
  memcpy(seeker->vector, query->vector, index->dim * sizeof(float));
  memset(seeker->vector + index->dim, 0, (index->stride - index->dim) * sizeof(float));
  seeker->norm = freshet_rank_norm(query->vector, index->dim);
  freshet_rank_sieve* sieve = &seeker->sieve;
  sieve->vector = seeker->vector;
  double norm = seeker->norm;
  if (ranker->kernel->query_levels > 0) {
    double error = freshet_rank_encode(query->vector, index->dim, (int)ranker->kernel->query_levels,
                                       seeker->codes, &sieve->scale);
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

static void begin(const freshet_ranker* ranker, struct seeker* seeker, freshet_rank_scratch* scratch) {
  const freshet_rank_index* index = &ranker->index;
  const freshet_rank_query* query = seeker->query;
  seeker->sieve.count = seeker->checked = 0;
  seeker->sieve.floor = -FLT_MAX;
  shape_query(ranker, seeker);
  for (size_t i = 0; i < query->excluded_count; i++) {
    uint32_t row = freshet_rank_index_row(index, query->excluded[i]);
    if (row != FRESHET_RANK_NO_ROW) freshet_rank_marks_add(&seeker->marks, row, FRESHET_RANK_EXCLUDED);
  }
  give_bonus_rows(ranker, seeker, scratch);
  double largest = ((double)seeker->norm + 1) * (double)index->largest * FRESHET_RANK_CODE_ZERO;
  bool few = query->allowed != NULL && count_allowed(query) < index->count / FEW_ALLOWED;
  seeker->scanning = !few && largest < LARGEST_PRODUCT;
  if (few) {
    give_allowed_rows(ranker, seeker, scratch);
  } else if (!seeker->scanning) {
    for (uint32_t row = 0; row < index->count; row++) give(ranker, seeker, row, scratch);
  }
}

static size_t finish(const freshet_ranker* ranker, struct seeker* seeker, freshet_rank_scratch* scratch,
                     freshet_ranked* out) {
  drop_ineligible(ranker, seeker, scratch);
  freshet_rank_prune(&seeker->sieve, seeker->query->k, ranker->kernel->reached);
  freshet_rank_scored* best;
  size_t count = settle(ranker, seeker, scratch, &best);
  for (size_t i = 0; i < count; i++) {
    double score = best[i].score;
    float rounded = score > FLT_MAX ? FLT_MAX : score < -FLT_MAX ? -FLT_MAX : (float)score;
    out[i] = (freshet_ranked){.item = best[i].slot, .score = rounded};
  }
  return count;
}

/* ---- a tile of queries ---- */

static bool grow(struct block* block, size_t size) {
  if (size <= block->size) return true;
  size_t rounded = (size + 63) / 64 * 64;
  void* data = aligned_alloc(64, rounded);
  if (data == NULL) return false;
  free(block->data);
  *block = (struct block){data, rounded};
  return true;
}

/* Deals the scratch memory out to the queries of a tile. */
static bool prepare(const freshet_ranker* ranker, const freshet_rank_query* queries, size_t count,
                    freshet_rank_scratch* scratch) {
  const size_t stride = ranker->index.stride;
  size_t k = 0, marks = 0;
  for (size_t i = 0; i < count; i++) {
    k = queries[i].k > k ? queries[i].k : k;
    marks += freshet_rank_marks_memory(
        freshet_rank_marks_size(queries[i].excluded_count + queries[i].bonus_count));
  }
  const uint32_t room = ranker->kernel->room;
  size_t capacity = SIEVE_KS * k + SIEVE_ROOMS * room;
  size_t padded = capacity + FRESHET_PANEL; /* kernels write whole vectors */
  freshet_rank_panels view = freshet_rank_index_view(&ranker->index);
  if (!grow(&scratch->vectors, count * stride * (sizeof(float) + 1)) ||
      !grow(&scratch->sieves, count * padded * 3 * sizeof(float)) || !grow(&scratch->marks, marks) ||
      !grow(&scratch->exact, padded * (sizeof(freshet_rank_scored) + sizeof(double) + sizeof(float))) ||
      !grow(&scratch->work, freshet_rank_work_size(ranker->kernel, &view)))
    return false;
  float* vectors = scratch->vectors.data;
  int8_t* codes = (int8_t*)(vectors + count * stride);
  float* sieves = scratch->sieves.data;
  char* tables = scratch->marks.data;
  for (size_t i = 0; i < count; i++) {
    size_t size = freshet_rank_marks_size(queries[i].excluded_count + queries[i].bonus_count);
    scratch->seekers[i] = (struct seeker){.query = &queries[i],
                                          .vector = vectors + i * stride,
                                          .codes = codes + i * stride,
                                          .marks = freshet_rank_marks_make(tables, size),
                                          .sieve = {.capacity = (uint32_t)capacity,
                                                    .lower = sieves,
                                                    .upper = sieves + padded,
                                                    .rows = (uint32_t*)(sieves + 2 * padded)}};
    tables += freshet_rank_marks_memory(size);
    sieves += 3 * padded;
  }
  return true;
}

/* Scans the panels from .. to-1 for one group of queries. */
static void scan_chunk(const freshet_ranker* ranker, const freshet_rank_panels* panels, size_t from,
                       size_t to, size_t first, size_t count, freshet_rank_scratch* scratch) {
  const freshet_rank_kernel_table* kernel = ranker->kernel;
  while (from < to) {
    from = kernel->scan(panels, from, to, scratch->group + first, count, scratch->work.data);
    for (size_t i = first; from < to && i < first + count; i++) {
      freshet_rank_sieve* sieve = scratch->group[i];
      if (sieve->count + kernel->room > sieve->capacity) make_room(ranker, scratch->members[i], scratch);
    }
  }
}

static size_t scan_size(const freshet_ranker* ranker) {
  const freshet_rank_index* index = &ranker->index;
  size_t row_size = ranker->kernel->query_levels > 0 ? index->groups * 4 : index->stride * sizeof(float);
  size_t panels = CHUNK_SIZE / (row_size * FRESHET_PANEL);
  return panels < 4 ? 4 : panels;
}

/* Where to stop and tidy up. At first the floor rises quickly: stopping each time the rows seen have become
 * three times as many keeps what is caught in vain to about 2 k rows a stop. */
static size_t next_stop(size_t from, size_t chunk, size_t total) {
  size_t next = from * GROWTH + GROWTH;
  next = next < from + chunk ? next : from + chunk;
  return next < total ? next : total;
}

static float largest(const float* values, size_t count) {
  float most = values[0];
  for (size_t i = 1; i < count; i++) most = values[i] > most ? values[i] : most;
  return most;
}

static void scan_rows(const freshet_ranker* ranker, size_t count, freshet_rank_scratch* scratch) {
  const freshet_rank_panels panels = freshet_rank_index_view(&ranker->index);
  const size_t total = freshet_rank_index_panels(&ranker->index);
  const size_t chunk = scan_size(ranker);
  for (size_t from = 0, to; from < total; from = to) {
    to = next_stop(from, chunk, total);
    const float norm = largest(panels.bounds.norms + from, to - from);
    const float bias = largest(panels.bounds.biases + from, to - from);
    size_t active = 0;
    for (size_t i = 0; i < count; i++) {
      struct seeker* seeker = &scratch->seekers[i];
      /* Cauchy and Schwarz: no row of the chunk scores more than this. Exact in double, but for one rounding.
       */
      double most = ((double)seeker->norm * (double)norm + (double)bias);
      if (!seeker->scanning || most < (double)seeker->sieve.floor) continue;
      scratch->members[active] = seeker;
      scratch->group[active++] = &seeker->sieve;
    }
    for (size_t i = 0; i < active; i += ranker->kernel->group) {
      size_t group = active - i < ranker->kernel->group ? active - i : ranker->kernel->group;
      scan_chunk(ranker, &panels, from, to, i, group, scratch);
    }
    for (size_t i = 0; i < active; i++) {
      struct seeker* seeker = scratch->members[i];
      if (seeker->sieve.count > seeker->checked + seeker->query->k + MANY_NEW)
        make_room(ranker, seeker, scratch);
    }
  }
}

static freshet_status check(const freshet_ranker* ranker, const freshet_rank_query* query,
                            freshet_error* error) {
  if (query->k == 0 || query->k > FRESHET_RANK_K_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "ranking: k %u is not in 1 .. %d",
                             query->k, FRESHET_RANK_K_MAX);
  }
  bool good = all_finite(query->vector, ranker->index.dim) && all_finite(query->bonus, query->bonus_count);
  for (size_t i = 0; good && i < query->bonus_count; i++) good = query->bonus[i] >= 0;
  if (good) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                           "ranking: the query is not finite or has a negative bonus");
}

freshet_status freshet_rank(const freshet_ranker* ranker, const freshet_rank_query* queries,
                            size_t query_count, freshet_ranked* out, size_t stride, size_t* counts,
                            freshet_rank_scratch* scratch, freshet_error* error) {
  for (size_t i = 0; i < query_count; i++) {
    freshet_status status = check(ranker, &queries[i], error);
    if (status != FRESHET_OK) return status;
  }
  for (size_t first = 0; first < query_count; first += TILE) {
    size_t count = query_count - first < TILE ? query_count - first : TILE;
    if (!prepare(ranker, queries + first, count, scratch)) {
      return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "no memory for a ranking");
    }
    for (size_t i = 0; i < count; i++) begin(ranker, &scratch->seekers[i], scratch);
    scan_rows(ranker, count, scratch);
    for (size_t i = 0; i < count; i++) {
      counts[first + i] = finish(ranker, &scratch->seekers[i], scratch, out + (first + i) * stride);
    }
  }
  return FRESHET_OK;
}
