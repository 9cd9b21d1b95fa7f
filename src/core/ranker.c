/*
 * ranker.c: how a batch of queries goes through the rows.
 *
 * A tile of queries at a time, each with its sieve: chunk after chunk of rows that fits into the second-level
 * cache is scanned for all queries that can still gain from it, a few queries at a time. Full sieves are
 * pruned on the way (rank_select.h); at the end the exact scores of what is left decide.
 */
#include "freshet/ranker.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#include "core/rank_index.h"
#include "core/rank_kernel.h"
#include "core/rank_seeker.h"
#include "core/rank_select.h"

enum {
  TILE = 96,               /* queries that go through the rows together: their sieves fit into the cache */
  CHUNK_SIZE = 256 << 10,  /* bytes of rows */
  BONUSES_SIZE = 32 << 20, /* bytes of bonuses by row, while that leaves a kernel a whole group of queries */
  SIEVE_ROOMS = 3,         /* a sieve holds this many times the number of rows that a kernel adds at once, */
  SIEVE_KS = 4,            /* and this many times k in addition */
  GROWTH = 4,              /* between the first stops of a scan */
  MANY_NEW = 48,           /* a sieve is tidied up when it has caught that many more than k */
};

/* A block of memory that grows between batches. */
struct block {
  void* data;
  size_t size;
};

struct freshet_rank_scratch {
  freshet_rank_seeker seekers[TILE];
  freshet_rank_sieve* group[TILE];    /* the sieves of one scan */
  freshet_rank_seeker* members[TILE]; /* the seekers that own these sieves */
  struct block vectors;               /* [TILE] vectors and codes */
  struct block sieves;                /* [TILE] lower, upper, rows */
  struct block marks;                 /* [TILE] tables */
  struct block bonuses;               /* [tile] by row, then by panel; 0 between queries */
  struct block bonus_rows;            /* [tile] rows that have a bonus */
  struct block exact;                 /* shared by all: for the exact scores of one sieve */
  struct block work;                  /* of the kernel */
};

/* ---- create and change ---- */

freshet_status freshet_ranker_create(const freshet_ranker_config* config, freshet_ranker** ranker,
                                     freshet_error* error) {
  *ranker = NULL;
  if (config->dim == 0 || config->dim > FRESHET_RANK_DIM_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "ranker: dimension %u is not in 1 .. %d",
                             config->dim, FRESHET_RANK_DIM_MAX);
  }
  if (config->lent_dim > config->dim || config->lent_dim % FRESHET_RANK_LANES != 0) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "ranker: %u values of a row cannot be lent: a multiple of %d, at most %u",
                             config->lent_dim, FRESHET_RANK_LANES, config->dim);
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
  freshet_status status = freshet_rank_index_create(&made->index, config, kernel, error);
  if (status != FRESHET_OK) {
    free(made);
    return status;
  }
  /* Batches run in parallel instead; OpenBLAS' idle workers would spin. */
  if (kernel == &freshet_rank_portable) openblas_set_num_threads(1);
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
  return freshet_rank_index_set(&ranker->index, slot, row, bias, error);
}

void freshet_ranker_sort(const freshet_ranker* ranker, uint32_t* slots, size_t count) {
  freshet_rank_index_sort(&ranker->index, slots, count);
}

void freshet_ranker_fetch(const freshet_ranker* ranker, uint32_t slot) {
  freshet_rank_index_fetch(&ranker->index, slot);
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
  free(scratch->bonuses.data);
  free(scratch->bonus_rows.data);
  free(scratch->exact.data);
  free(scratch->work.data);
  free(scratch);
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

static bool grow_zeros(struct block* block, size_t size) {
  if (size <= block->size) return true;
  if (!grow(block, size)) return false;
  memset(block->data, 0, block->size);
  return true;
}

/* Deals the scratch memory out to the queries of a tile. */
static bool prepare(const freshet_ranker* ranker, const freshet_rank_query* queries, size_t count,
                    freshet_rank_scratch* scratch) {
  const size_t stride = ranker->index.stride;
  const size_t panel_count = freshet_rank_index_panels(&ranker->index);
  const size_t bonus_size = panel_count * FRESHET_PANEL +
                            (panel_count + FRESHET_RANK_LANES - 1) / FRESHET_RANK_LANES * FRESHET_RANK_LANES;
  size_t k = 0, marks = 0, bonuses = 0, bonus_rows = 0;
  for (size_t i = 0; i < count; i++) {
    k = queries[i].k > k ? queries[i].k : k;
    marks += freshet_rank_marks_memory(freshet_rank_marks_size(queries[i].excluded_count));
    bonuses += queries[i].bonus_count > 0;
    bonus_rows += queries[i].bonus_count;
  }
  const uint32_t room = ranker->kernel->room;
  size_t capacity = SIEVE_KS * k + SIEVE_ROOMS * room;
  size_t padded = capacity + FRESHET_PANEL; /* kernels write whole vectors */
  freshet_rank_panels view = freshet_rank_index_view(&ranker->index);
  if (!grow(&scratch->vectors, count * stride * (sizeof(float) + 1)) ||
      !grow(&scratch->sieves, count * padded * 3 * sizeof(float)) || !grow(&scratch->marks, marks) ||
      !grow_zeros(&scratch->bonuses, bonuses * bonus_size * sizeof(float)) ||
      !grow(&scratch->bonus_rows, bonus_rows * sizeof(uint32_t)) ||
      !grow(&scratch->exact, padded * FRESHET_RANK_SEEKER_MEMORY) ||
      !grow(&scratch->work, freshet_rank_work_size(ranker->kernel, &view)))
    return false;
  float* vectors = scratch->vectors.data;
  int8_t* codes = (int8_t*)(vectors + count * stride);
  float* sieves = scratch->sieves.data;
  float* bonus = scratch->bonuses.data;
  uint32_t* rows = scratch->bonus_rows.data;
  char* tables = scratch->marks.data;
  for (size_t i = 0; i < count; i++) {
    const size_t size = freshet_rank_marks_size(queries[i].excluded_count);
    const bool has_bonus = queries[i].bonus_count > 0;
    scratch->seekers[i] = (freshet_rank_seeker){.query = &queries[i],
                                                .vector = vectors + i * stride,
                                                .codes = codes + i * stride,
                                                .bonus = has_bonus ? bonus : NULL,
                                                .panel_bonus = bonus + panel_count * FRESHET_PANEL,
                                                .bonus_rows = rows,
                                                .memory = scratch->exact.data,
                                                .marks = freshet_rank_marks_make(tables, size),
                                                .sieve = {.capacity = (uint32_t)capacity,
                                                          .lower = sieves,
                                                          .upper = sieves + padded,
                                                          .rows = (uint32_t*)(sieves + 2 * padded)}};
    if (has_bonus) bonus += bonus_size;
    rows += queries[i].bonus_count;
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
      if (sieve->count + kernel->room > sieve->capacity)
        freshet_rank_seeker_tidy(ranker, scratch->members[i]);
    }
  }
}

static size_t scan_size(const freshet_ranker* ranker) {
  const freshet_rank_index* index = &ranker->index;
  size_t row_size = ranker->kernel->query_levels > 0 ? index->groups * 4 : index->stride * sizeof(float);
  size_t panels = CHUNK_SIZE / (row_size * FRESHET_PANEL);
  return panels < 4 ? 4 : panels;
}

/* Decides where to stop and tidy up. The floor rises quickly at first. A stop each time when four times as
 * many rows have been seen keeps the useless catches to about 3 k rows a stop. */
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
      freshet_rank_seeker* seeker = &scratch->seekers[i];
      /* Cauchy and Schwarz: no row of the chunk scores more than this. One rounding in double is covered by
       * what the floor was lowered by. */
      const double bonus = seeker->bonus == NULL ? 0 : (double)largest(seeker->panel_bonus + from, to - from);
      const double most = (double)seeker->norm * (double)norm + (double)bias + bonus;
      if (!seeker->scanning || most < (double)seeker->sieve.floor) continue;
      scratch->members[active] = seeker;
      scratch->group[active++] = &seeker->sieve;
    }
    for (size_t i = 0; i < active; i += ranker->kernel->group) {
      size_t group = active - i < ranker->kernel->group ? active - i : ranker->kernel->group;
      scan_chunk(ranker, &panels, from, to, i, group, scratch);
    }
    for (size_t i = 0; i < active; i++) {
      freshet_rank_seeker* seeker = scratch->members[i];
      if (seeker->sieve.count > seeker->checked + seeker->query->k + MANY_NEW)
        freshet_rank_seeker_tidy(ranker, seeker);
    }
  }
}

static freshet_status check(const freshet_ranker* ranker, const freshet_rank_query* query,
                            freshet_error* error) {
  if (query->k == 0 || query->k > FRESHET_RANK_K_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "ranking: k %u is not in 1 .. %d",
                             query->k, FRESHET_RANK_K_MAX);
  }
  unsigned bad = 0; /* without an early end, so that it runs as vectors */
  for (size_t i = 0; i < query->bonus_count; i++)
    bad |= !((query->bonus[i] >= -FLT_MAX) & (query->bonus[i] <= FLT_MAX));
  if (bad == 0 && all_finite(query->vector, ranker->index.dim)) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "ranking: the query is not finite");
}

/* Number of queries that go through the rows together: fewer when bonuses by row take much memory. */
static size_t tile_size(const freshet_ranker* ranker) {
  size_t size = BONUSES_SIZE / (((size_t)ranker->index.count + 1) * sizeof(float));
  size = size < ranker->kernel->group ? ranker->kernel->group : size;
  return size < TILE ? size : TILE;
}

freshet_status freshet_rank(const freshet_ranker* ranker, const freshet_rank_query* queries,
                            size_t query_count, freshet_ranked* out, size_t stride, size_t* counts,
                            freshet_rank_scratch* scratch, freshet_error* error) {
  for (size_t i = 0; i < query_count; i++) {
    freshet_status status = check(ranker, &queries[i], error);
    if (status != FRESHET_OK) return status;
  }
  const size_t tile = tile_size(ranker);
  for (size_t first = 0; first < query_count; first += tile) {
    size_t count = query_count - first < tile ? query_count - first : tile;
    if (!prepare(ranker, queries + first, count, scratch)) {
      return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "no memory for a ranking");
    }
    for (size_t i = 0; i < count; i++) freshet_rank_seeker_begin(ranker, &scratch->seekers[i]);
    scan_rows(ranker, count, scratch);
    for (size_t i = 0; i < count; i++) {
      counts[first + i] =
          freshet_rank_seeker_finish(ranker, &scratch->seekers[i], out + (first + i) * stride);
    }
  }
  return FRESHET_OK;
}
