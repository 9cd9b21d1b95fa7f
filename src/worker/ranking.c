#include "worker/ranking.h"

#include <math.h>
#include <stdlib.h>

#include "worker/pool.h"

enum { GROUP = 16 /* lists that one thread makes in one call */ };

/* Scratch of one thread. */
typedef struct rank_thread {
  freshet_model_scratch* queries[GROUP];
  freshet_rank_scratch* scratch;
  freshet_ranked* ranked;    /* [GROUP][FRESHET_RANK_K_MAX] */
  uint32_t* excluded[GROUP]; /* [excluded_capacity] */
  size_t excluded_capacity[GROUP];
  float relevance[FRESHET_RANK_K_MAX], likeness[FRESHET_RANK_K_MAX];
  freshet_error error;
} rank_thread;

struct freshet_ranking {
  freshet_items* items;
  const freshet_model* model;
  freshet_ranker* ranker;
  freshet_pool* pool;
  rank_thread* threads; /* [pool threads] */
  freshet_wish* wishes; /* [wish_count] of this run */
  size_t wish_count;
};

static freshet_status create_threads(freshet_ranking* ranking, freshet_error* error) {
  unsigned threads = freshet_pool_threads(ranking->pool);
  ranking->threads = calloc(threads, sizeof *ranking->threads);
  FRESHET_ASSERT(ranking->threads != NULL);
  for (unsigned t = 0; t < threads; t++) {
    rank_thread* own = &ranking->threads[t];
    bool complete = (own->scratch = freshet_rank_scratch_create(ranking->ranker)) != NULL;
    own->ranked = calloc((size_t)GROUP * FRESHET_RANK_K_MAX, sizeof *own->ranked);
    complete = complete && own->ranked != NULL;
    for (int i = 0; i < GROUP; i++) {
      own->queries[i] = freshet_model_scratch_create(ranking->model);
      complete = complete && own->queries[i] != NULL;
    }
    if (!complete)
      return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "no memory for ranking threads");
  }
  return FRESHET_OK;
}

freshet_ranking* freshet_ranking_create(freshet_items* items, uint32_t threads, freshet_error* error) {
  freshet_ranking* ranking = calloc(1, sizeof *ranking);
  FRESHET_ASSERT(ranking != NULL);
  ranking->items = items;
  ranking->model = freshet_items_model(items);
  ranking->pool = freshet_pool_create(threads);
  if (ranking->pool == NULL) {
    freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "cannot start %u ranking threads", threads);
  } else if (freshet_items_ranker(items, &ranking->ranker, error) == FRESHET_OK &&
             create_threads(ranking, error) == FRESHET_OK) {
    return ranking;
  }
  freshet_ranking_destroy(ranking);
  return NULL;
}

void freshet_ranking_destroy(freshet_ranking* ranking) {
  if (ranking == NULL) return;
  for (unsigned t = 0; ranking->threads != NULL && t < freshet_pool_threads(ranking->pool); t++) {
    rank_thread* own = &ranking->threads[t];
    freshet_rank_scratch_destroy(own->scratch);
    free(own->ranked);
    for (int i = 0; i < GROUP; i++) {
      freshet_model_scratch_destroy(own->queries[i]);
      free(own->excluded[i]);
    }
  }
  freshet_pool_destroy(ranking->pool);
  free(ranking->threads);
  free(ranking);
}

unsigned freshet_ranking_threads(const freshet_ranking* ranking) {
  return freshet_pool_threads(ranking->pool);
}

/* What the user has seen and what the wish excludes, in one array. */
static void exclude(rank_thread* own, size_t i, const freshet_wish* wish, freshet_rank_query* query) {
  size_t count = query->excluded_count + wish->excluded_count;
  if (wish->excluded_count == 0) return;
  if (own->excluded_capacity[i] < count) {
    free(own->excluded[i]);
    own->excluded[i] = calloc(count, sizeof *own->excluded[i]);
    FRESHET_ASSERT(own->excluded[i] != NULL);
    own->excluded_capacity[i] = count;
  }
  if (query->excluded_count > 0)
    memcpy(own->excluded[i], query->excluded, query->excluded_count * sizeof *query->excluded);
  memcpy(own->excluded[i] + query->excluded_count, wish->excluded,
         wish->excluded_count * sizeof *wish->excluded);
  query->excluded = own->excluded[i];
  query->excluded_count = count;
}

static void make_query(const freshet_ranking* ranking, rank_thread* own, size_t i, const freshet_wish* wish,
                       freshet_rank_query* query) {
  freshet_model_query_text(ranking->model, wish->user, wish->text, wish->time_ms, own->queries[i], query);
  exclude(own, i, wish, query);
  query->allowed = wish->allowed;
  query->allowed_slots = wish->allowed_slots;
  query->k = (uint32_t)freshet_select_candidates(wish->k, wish->diversity);
}

/* The step between ranking and the list: who stands in it, and where. */
static void select_picks(const freshet_ranking* ranking, rank_thread* own, freshet_wish* wish,
                         freshet_ranked* ranked, size_t count) {
  freshet_select_diverse(ranking->model, ranked, count, wish->k, wish->diversity, own->relevance,
                         own->likeness);
  if (wish->exploration > 0) {
    wish->count = freshet_select_explore(ranked, count, wish->pool, wish->pool_count, wish->exploration,
                                         wish->seed, wish->k, wish->picks);
    return;
  }
  wish->count = count < wish->k ? count : wish->k;
  for (size_t r = 0; r < wish->count; r++)
    wish->picks[r] = (freshet_pick){ranked[r].item, ranked[r].score, 1, false};
}

/* The parts of each score; and the scores of items that no ranking has brought, which are the sums of theirs.
 */
static void explain(const freshet_ranking* ranking, rank_thread* own, size_t i, freshet_wish* wish) {
  freshet_parts scratch;
  for (size_t r = 0; r < wish->count; r++) {
    freshet_pick* pick = &wish->picks[r];
    bool has_score = !isnan(pick->score);
    if (wish->parts == NULL && has_score) continue;
    freshet_parts* parts = wish->parts == NULL ? &scratch : &wish->parts[r];
    parts->count =
        freshet_model_explain_query(ranking->model, wish->text, pick->item, own->queries[i], parts->parts);
    if (has_score) continue;
    double sum = 0;
    for (size_t p = 0; p < parts->count; p++) sum += (double)parts->parts[p].score;
    pick->score = (float)sum;
  }
}

/* Makes lists GROUP * task .. ; runs on a pool thread. */
static void make_lists(void* context, size_t task, unsigned thread) {
  freshet_ranking* ranking = context;
  rank_thread* own = &ranking->threads[thread];
  size_t first = task * GROUP;
  size_t count = ranking->wish_count - first < GROUP ? ranking->wish_count - first : GROUP;
  freshet_wish* wishes = ranking->wishes + first;
  freshet_rank_query queries[GROUP] = {0};
  size_t counts[GROUP];
  for (size_t i = 0; i < count; i++) make_query(ranking, own, i, &wishes[i], &queries[i]);
  if (freshet_rank(ranking->ranker, queries, count, own->ranked, FRESHET_RANK_K_MAX, counts, own->scratch,
                   &own->error) != FRESHET_OK)
    return;
  for (size_t i = 0; i < count; i++) {
    select_picks(ranking, own, &wishes[i], own->ranked + i * FRESHET_RANK_K_MAX, counts[i]);
    explain(ranking, own, i, &wishes[i]);
  }
}

freshet_status freshet_ranking_run(freshet_ranking* ranking, freshet_wish* wishes, size_t count,
                                   freshet_error* error) {
  freshet_status status = freshet_items_ranker(ranking->items, &ranking->ranker, error);
  if (status != FRESHET_OK) return status;
  ranking->wishes = wishes;
  ranking->wish_count = count;
  freshet_pool_run(ranking->pool, make_lists, ranking, (count + GROUP - 1) / GROUP);
  for (unsigned t = 0; t < freshet_pool_threads(ranking->pool); t++) {
    const freshet_error* failed = &ranking->threads[t].error;
    if (failed->status != FRESHET_OK)
      return freshet_error_set(error, failed->status, FRESHET_STOP, "ranking: %s", failed->message);
  }
  return FRESHET_OK;
}
