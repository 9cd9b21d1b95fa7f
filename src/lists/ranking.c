/*
 * ranking.c: see ranking.h. Each thread makes up to GROUP lists in one call of the ranker, since it reads the rows of the
 * items once for all of them; then it selects and explains each list by itself.
 */
#include "lists/ranking.h"

#include <math.h>
#include <stdlib.h>

#include "lists/pool.h"

enum {
  GROUP = FRESHET_RANKING_SOME, /* lists that one thread makes in one call */
  RULES_CANDIDATES = 4          /* for each place of a list, where rules may leave some out */
};

/* Of one thread. */
struct freshet_ranking_scratch {
  freshet_model_scratch* queries[GROUP];
  freshet_rank_scratch* scratch;
  freshet_ranked* ranked;    /* [GROUP][FRESHET_RANK_K_MAX] */
  uint32_t* excluded[GROUP]; /* [excluded_capacity] */
  size_t excluded_capacity[GROUP];
  uint8_t* taken; /* [taken_size] by slot: what may not be shown to the user of this list; 0 between lists */
  size_t taken_size;
  uint64_t counted[FRESHET_RANK_K_MAX * FRESHET_CATEGORIES_MAX];
  freshet_place places[FRESHET_RANK_K_MAX];
  uint32_t pool[FRESHET_NEW_ITEMS_MAX];
  uint32_t pinned[FRESHET_RANK_K_MAX];
  freshet_variety variety[FRESHET_RANK_K_MAX];
  freshet_error error;
};

struct freshet_ranking {
  freshet_items* items;
  const freshet_model* model;
  const freshet_listing* listing;
  freshet_ranker* ranker;
  freshet_pool* pool;
  unsigned usual_threads;            /* of the pool; all of them work where lists may wait */
  freshet_ranking_scratch** threads; /* [pool threads] */
  freshet_ranking_task* tasks;       /* [task_count] of this run */
  size_t task_count;
  size_t group; /* 1 to GROUP: lists of this run that a thread makes in one call */
};

freshet_ranking_scratch* freshet_ranking_scratch_create(const freshet_ranking* ranking) {
  freshet_ranking_scratch* own = calloc(1, sizeof *own);
  FRESHET_ASSERT(own != NULL);
  own->scratch = freshet_rank_scratch_create(ranking->ranker);
  own->ranked = calloc((size_t)GROUP * FRESHET_RANK_K_MAX, sizeof *own->ranked);
  FRESHET_ASSERT(own->scratch != NULL && own->ranked != NULL);
  for (size_t i = 0; i < GROUP; i++) {
    own->queries[i] = i == 0 ? freshet_model_scratch_create(ranking->model)
                             : freshet_model_scratch_beside(ranking->model, own->queries[0]);
    FRESHET_ASSERT(own->queries[i] != NULL);
  }
  return own;
}

void freshet_ranking_scratch_destroy(freshet_ranking_scratch* own) {
  if (own == NULL) return;
  freshet_rank_scratch_destroy(own->scratch);
  free(own->ranked);
  free(own->taken);
  for (size_t i = 0; i < GROUP; i++) {
    freshet_model_scratch_destroy(own->queries[i]);
    free(own->excluded[i]);
  }
  free(own);
}

static void create_threads(freshet_ranking* ranking) {
  unsigned threads = freshet_pool_threads(ranking->pool);
  ranking->threads = calloc(threads, sizeof(freshet_ranking_scratch*));
  FRESHET_ASSERT(ranking->threads != NULL);
  for (unsigned t = 0; t < threads; t++) ranking->threads[t] = freshet_ranking_scratch_create(ranking);
}

freshet_ranking* freshet_ranking_create(freshet_items* items, uint32_t threads, uint32_t most,
                                        freshet_error* error) {
  freshet_ranking* ranking = calloc(1, sizeof *ranking);
  FRESHET_ASSERT(ranking != NULL);
  ranking->items = items;
  ranking->model = freshet_items_model(items);
  ranking->listing = freshet_items_listing(items);
  ranking->usual_threads = threads;
  ranking->pool = freshet_pool_create(most);
  if (ranking->pool == NULL) {
    freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "cannot start %u ranking threads", most);
  } else if (freshet_items_ranker(items, &ranking->ranker, error) == FRESHET_OK) {
    create_threads(ranking);
    return ranking;
  }
  freshet_ranking_destroy(ranking);
  return NULL;
}

void freshet_ranking_destroy(freshet_ranking* ranking) {
  if (ranking == NULL) return;
  for (unsigned t = 0; ranking->threads != NULL && t < freshet_pool_threads(ranking->pool); t++)
    freshet_ranking_scratch_destroy(ranking->threads[t]);
  freshet_pool_destroy(ranking->pool);
  free(ranking->threads);
  free(ranking);
}

unsigned freshet_ranking_threads(const freshet_ranking* ranking) {
  return ranking->usual_threads;
}

/* What the rules hide of what the user has seen, the user's own items, and what the task excludes, in one array. */
static void exclude(const freshet_ranking* ranking, freshet_ranking_scratch* own, size_t i,
                    const freshet_ranking_task* task, freshet_rank_query* query) {
  const freshet_rules* rules = freshet_listing_rules(ranking->listing);
  size_t owned_count = 0;
  const uint32_t* owned = freshet_listing_owned(ranking->listing, task->owner, &owned_count);
  size_t count = task->user->seen_count + owned_count + task->excluded_count;
  query->excluded = task->user->seen;
  query->excluded_count = task->user->seen_count;
  if (task->excluded_count == 0 && owned_count == 0 && rules->hide == FRESHET_HIDE_SEEN) return;
  if (own->excluded_capacity[i] < count) {
    free(own->excluded[i]);
    own->excluded[i] = calloc(count, sizeof *own->excluded[i]);
    FRESHET_ASSERT(own->excluded[i] != NULL);
    own->excluded_capacity[i] = count;
  }
  count = freshet_rules_list_hidden(rules, freshet_model_repeats(ranking->model), task->user, task->time_ms,
                                    own->excluded[i]);
  if (owned_count > 0) memcpy(own->excluded[i] + count, owned, owned_count * sizeof *owned);
  count += owned_count;
  if (task->excluded_count > 0)
    memcpy(own->excluded[i] + count, task->excluded, task->excluded_count * sizeof *task->excluded);
  query->excluded = own->excluded[i];
  query->excluded_count = count + task->excluded_count;
}

static void make_scores(const freshet_ranking* ranking, freshet_ranking_scratch* own, size_t i,
                        const freshet_ranking_task* task, freshet_rank_query* query) {
  const freshet_model* model = ranking->model;
  freshet_model_scratch* scratch = own->queries[i];
  switch (task->kind) {
    case FRESHET_REQUEST_PERSONAL:
      freshet_model_query_text(model, task->user, task->text, task->time_ms, scratch, query);
      break;
    case FRESHET_REQUEST_SIMILAR:
      freshet_model_query_similar(model, task->like, task->like_count, task->text, scratch, query);
      break;
    case FRESHET_REQUEST_POPULAR:
    case FRESHET_REQUEST_NEWEST:
      freshet_model_query_impersonal(model, task->kind == FRESHET_REQUEST_POPULAR, scratch, query);
      query->bonus_items = task->bonus_items;
      query->bonus = task->bonus;
      query->bonus_count = task->bonus_count;
      break;
  }
}

static void make_query(const freshet_ranking* ranking, freshet_ranking_scratch* own, size_t i,
                       const freshet_ranking_task* task, freshet_rank_query* query) {
  make_scores(ranking, own, i, task, query);
  exclude(ranking, own, i, task, query);
  query->allowed = task->allowed;
  query->allowed_slots = task->allowed_slots;
  query->k = (uint32_t)freshet_select_candidates(task->k, task->diversity);
  if (freshet_rules_reorder(freshet_listing_rules(ranking->listing))) {
    uint32_t more = RULES_CANDIDATES * task->k;
    if (more > query->k) query->k = more < FRESHET_RANK_K_MAX ? more : FRESHET_RANK_K_MAX;
  }
}

/* ---- under rules that reorder ---- */

static bool may_show(const freshet_ranking* ranking, const freshet_ranking_scratch* own,
                     const freshet_rank_query* query, uint32_t slot) {
  bool is_allowed = query->allowed == NULL ||
                    (slot < query->allowed_slots && (query->allowed[slot / 64] >> (slot % 64) & 1) != 0);
  return is_allowed && freshet_model_is_listed(ranking->model, slot) && own->taken[slot] == 0;
}

static void mark_excluded(const freshet_ranking* ranking, freshet_ranking_scratch* own,
                          const freshet_rank_query* query, uint8_t mark) {
  size_t count = freshet_model_item_count(ranking->model);
  if (own->taken_size < count) {
    free(own->taken);
    own->taken = calloc(2 * count, 1);
    FRESHET_ASSERT(own->taken != NULL);
    own->taken_size = 2 * count;
  }
  for (size_t i = 0; i < query->excluded_count; i++) own->taken[query->excluded[i]] = mark;
}

/* The pinned items and the pool of this user. A task that explores has a pool of its own. */
static void gather(const freshet_ranking* ranking, freshet_ranking_scratch* own,
                   const freshet_ranking_task* task, const freshet_rank_query* query,
                   freshet_candidates* candidates) {
  const freshet_rules* rules = freshet_listing_rules(ranking->listing);
  size_t count = 0;
  const uint32_t* new_items = freshet_listing_new(ranking->listing, &count);
  mark_excluded(ranking, own, query, 1);
  for (size_t i = 0; i < rules->pin_count; i++) {
    uint32_t slot = freshet_model_find_key(ranking->model, rules->pins[i].item_key);
    bool shows = slot != FRESHET_NO_ITEM && may_show(ranking, own, query, slot);
    own->pinned[i] = shows ? slot : FRESHET_NO_ITEM;
  }
  candidates->pinned = own->pinned;
  candidates->pool = task->exploration > 0 ? task->pool : own->pool;
  candidates->pool_count = task->exploration > 0 ? task->pool_count : 0;
  for (size_t i = 0; task->exploration <= 0 && i < count; i++) {
    if (may_show(ranking, own, query, new_items[i])) own->pool[candidates->pool_count++] = new_items[i];
  }
  mark_excluded(ranking, own, query, 0);
}

/* With too few candidates under the rules, as many as there can be are asked for. */
static bool select_by_rules(const freshet_ranking* ranking, freshet_ranking_scratch* own,
                            freshet_ranking_task* task, freshet_rank_query* query, freshet_ranked* ranked,
                            size_t count) {
  freshet_rules rules = *freshet_listing_rules(ranking->listing);
  freshet_candidates candidates = {.ranked = ranked, .count = count, .seed = task->seed};
  bool ran_out;
  gather(ranking, own, task, query, &candidates);
  if (task->exploration > 0) rules.new_share = task->exploration;
  size_t filled = freshet_rules_select(&rules, freshet_listing_facets(ranking->listing), &candidates, task->k,
                                       own->places, own->counted, &ran_out);
  if (ran_out && count == query->k && query->k < FRESHET_RANK_K_MAX) {
    query->k = FRESHET_RANK_K_MAX;
    if (freshet_rank(ranking->ranker, query, 1, ranked, FRESHET_RANK_K_MAX, &count, own->scratch,
                     &own->error) != FRESHET_OK)
      return false;
    freshet_select_diverse(ranking->model, ranked, count, task->k, task->diversity, own->variety);
    candidates.count = count;
    gather(ranking, own, task, query, &candidates);
    filled = freshet_rules_select(&rules, freshet_listing_facets(ranking->listing), &candidates, task->k,
                                  own->places, own->counted, &ran_out);
  }
  task->count = filled;
  for (size_t r = 0; r < filled; r++) {
    const freshet_place* place = &own->places[r];
    task->picks[r] = (freshet_pick){place->item, place->score, place->propensity, place->propensity < 1};
  }
  return true;
}

/* The step between ranking and the list: who stands in it, and where. */
static bool select_picks(const freshet_ranking* ranking, freshet_ranking_scratch* own,
                         freshet_ranking_task* task, freshet_rank_query* query, freshet_ranked* ranked,
                         size_t count) {
  freshet_select_diverse(ranking->model, ranked, count, task->k, task->diversity, own->variety);
  if (freshet_rules_reorder(freshet_listing_rules(ranking->listing)))
    return select_by_rules(ranking, own, task, query, ranked, count);
  if (task->exploration > 0) {
    task->count = freshet_select_explore(ranked, count, task->pool, task->pool_count, task->exploration,
                                         task->seed, task->k, task->picks);
    return true;
  }
  task->count = count < task->k ? count : task->k;
  for (size_t r = 0; r < task->count; r++)
    task->picks[r] = (freshet_pick){ranked[r].item, ranked[r].score, 1, false};
  return true;
}

/* What a NEWEST list adds: it is no matter of the model. */
static void add_newness(const freshet_ranking_task* task, uint32_t slot, freshet_parts* parts) {
  for (size_t b = 0; b < task->bonus_count; b++) {
    if (task->bonus_items[b] != slot) continue;
    size_t at = parts->count++;
    for (; at > 0 && parts->parts[at - 1].score < task->bonus[b]; at--)
      parts->parts[at] = parts->parts[at - 1];
    parts->parts[at] =
        (freshet_part){.kind = FRESHET_REASON_NEW, .item = FRESHET_NO_ITEM, .score = task->bonus[b]};
    return;
  }
}

/* The parts of each score; and the scores of items that no ranking has brought, which are the sums of theirs.
 */
static void explain(const freshet_ranking* ranking, freshet_ranking_scratch* own, size_t i,
                    freshet_ranking_task* task) {
  freshet_parts scratch;
  for (size_t r = 0; r < task->count; r++) {
    freshet_pick* pick = &task->picks[r];
    bool has_score = !isnan(pick->score);
    if (task->parts == NULL && has_score) continue;
    freshet_parts* parts = task->parts == NULL ? &scratch : &task->parts[r];
    parts->count =
        freshet_model_explain_query(ranking->model, task->text, pick->item, own->queries[i], parts->parts);
    add_newness(task, pick->item, parts);
    if (has_score) continue;
    double sum = 0;
    for (size_t p = 0; p < parts->count; p++) sum += (double)parts->parts[p].score;
    pick->score = (float)sum;
  }
}

/* At most GROUP of them. After a failure own->error says why. */
static void make_lists(const freshet_ranking* ranking, freshet_ranking_scratch* own,
                       freshet_ranking_task* tasks, size_t count) {
  freshet_rank_query queries[GROUP] = {0};
  size_t counts[GROUP];
  for (size_t i = 0; i < count; i++) make_query(ranking, own, i, &tasks[i], &queries[i]);
  if (freshet_rank(ranking->ranker, queries, count, own->ranked, FRESHET_RANK_K_MAX, counts, own->scratch,
                   &own->error) != FRESHET_OK)
    return;
  for (size_t i = 0; i < count; i++) {
    if (!select_picks(ranking, own, &tasks[i], &queries[i], own->ranked + i * FRESHET_RANK_K_MAX, counts[i]))
      return;
    explain(ranking, own, i, &tasks[i]);
  }
}

/* Makes a group of the lists; runs on a pool thread. */
static void make_group(void* context, size_t group, unsigned thread) {
  const freshet_ranking* ranking = context;
  const size_t first = group * ranking->group, left = ranking->task_count - first;
  const size_t count = left < ranking->group ? left : ranking->group;
  make_lists(ranking, ranking->threads[thread], ranking->tasks + first, count);
}

static freshet_status result_of(const freshet_ranking_scratch* own, freshet_error* error) {
  if (own->error.status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(error, own->error.status, FRESHET_STOP, "ranking: %s", own->error.message);
}

freshet_status freshet_ranking_sync(freshet_ranking* ranking, freshet_error* error) {
  return freshet_items_ranker(ranking->items, &ranking->ranker, error);
}

freshet_status freshet_ranking_run(freshet_ranking* ranking, freshet_ranking_task* tasks, size_t count,
                                   bool may_wait, freshet_error* error) {
  const unsigned threads = may_wait ? freshet_pool_threads(ranking->pool) : ranking->usual_threads;
  freshet_status status = freshet_ranking_sync(ranking, error);
  if (status != FRESHET_OK) return status;
  ranking->tasks = tasks;
  ranking->task_count = count;
  ranking->group = count >= (size_t)GROUP * threads ? GROUP : (count + threads - 1) / threads;
  if (count > 0)
    freshet_pool_run(ranking->pool, threads, make_group, ranking,
                     (count + ranking->group - 1) / ranking->group);
  for (unsigned t = 0; status == FRESHET_OK && t < freshet_pool_threads(ranking->pool); t++)
    status = result_of(ranking->threads[t], error);
  return status;
}

freshet_status freshet_ranking_some(const freshet_ranking* ranking, freshet_ranking_scratch* own,
                                    freshet_ranking_task* tasks, size_t count, freshet_error* error) {
  FRESHET_ASSERT(count <= GROUP);
  make_lists(ranking, own, tasks, count);
  return result_of(own, error);
}
