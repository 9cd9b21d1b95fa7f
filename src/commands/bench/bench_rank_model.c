/*
 * bench_rank_model.c: one user at a time, ranked by a model that has learned from users with tastes: once by
 * the dense part alone, and once as it is served, with the query, its bonus and the merge of both. Which user
 * is next and which of the two comes first alternate, so that neither finds the caches warmed by the other.
 * The dense part has its vector ready, which favours it by about two microseconds; the whole reads the user's
 * lists from wherever they are, and then once more when they are at hand, as they are when the user's event
 * has just been learned.
 */
#include "commands/bench/bench_rank_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands/commands.h"
#include "commands/measure.h"
#include "freshet/model.h"
#include "freshet/ranker.h"

enum {
  USERS = 1000,
  EVENTS_PER_USER = 150,
  TASTES = 3,         /* groups of items that a user likes */
  GROUP = 100,        /* items of a group */
  TEXT_DIM = 64,      /* of texts that say something about the group */
  CHECKED_USERS = 32, /* against scores of all items */
};

typedef struct latencies {
  double* us;
  size_t count;
} latencies;

struct bench {
  freshet_bench_rank_model settings;
  freshet_model* model;
  freshet_ranker* ranker;
  freshet_user* users[USERS];
  int64_t now_ms;
  uint64_t random;
  freshet_model_scratch* query_scratch;
  freshet_rank_scratch* rank_scratch;
  freshet_ranked* list; /* [k] */
  latencies dense, full, again;
  size_t capacity; /* of the latencies */
  double bonus_rows;
};

static double uniform(struct bench* bench) {
  return freshet_next_uniform(&bench->random);
}

/* ---- a model ---- */

static freshet_status add_items(struct bench* bench, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; i < bench->settings.items && status == FRESHET_OK; i++) {
    char id[32];
    float text[TEXT_DIM];
    uint32_t slot;
    int size = snprintf(id, sizeof id, "item-%zu", i);
    for (size_t d = 0; d < TEXT_DIM; d++) text[d] = (float)uniform(bench) - .5F;
    text[i / GROUP % TEXT_DIM] += 2;
    text[i / GROUP / TEXT_DIM % TEXT_DIM] += 1;
    status = freshet_model_intern(bench->model, (freshet_slice){id, (size_t)size}, &slot, error);
    if (status == FRESHET_OK) status = freshet_model_set_text(bench->model, slot, text, NULL, error);
    if (status == FRESHET_OK) freshet_model_set_listed(bench->model, slot, true);
  }
  return status;
}

/* Users come in sessions of ten events. In a session a user follows one of the user's tastes, and of a group
 * of items the first ones are chosen far more often than the last. */
static freshet_status learn_events(struct bench* bench, freshet_error* error) {
  enum { SESSION = 10 };
  const size_t groups = (bench->settings.items + GROUP - 1) / GROUP;
  freshet_status status = FRESHET_OK;
  for (size_t e = 0; e < (size_t)USERS * EVENTS_PER_USER / SESSION && status == FRESHET_OK; e++) {
    const size_t user = freshet_next_random(&bench->random) % USERS;
    const size_t group = (user * 7919 + freshet_next_random(&bench->random) % TASTES * 104729) % groups;
    bench->now_ms += 60 * 1000;
    for (int i = 0; i < SESSION && status == FRESHET_OK; i++) {
      size_t item = group * GROUP + (size_t)(GROUP * pow(uniform(bench), 2));
      if (uniform(bench) < .1) item = (size_t)((double)bench->settings.items * pow(uniform(bench), 3));
      freshet_observation seen = {.item = (uint32_t)(item % bench->settings.items),
                                  .positive = true,
                                  .weight = 1,
                                  .time_ms = bench->now_ms + i * 2000};
      status = freshet_model_learn(bench->model, bench->users[user], &seen, error);
    }
  }
  return status;
}

static freshet_status prepare(struct bench* bench, freshet_error* error) {
  freshet_model_config config = freshet_model_defaults();
  config.dim = (uint32_t)bench->settings.dim;
  config.text_dim = TEXT_DIM;
  config.max_items = (uint32_t)bench->settings.items;
  freshet_status status = freshet_model_create(&config, &bench->model, error);
  if (status != FRESHET_OK) return status;
  freshet_ranker_config ranker = {.capacity = (uint32_t)bench->settings.items};
  freshet_model_lend_rows(bench->model, &ranker);
  status = freshet_ranker_create(&ranker, &bench->ranker, error);
  if (status != FRESHET_OK) return status;
  for (size_t u = 0; u < USERS; u++) bench->users[u] = freshet_user_create(bench->model);
  bench->query_scratch = freshet_model_scratch_create(bench->model);
  bench->rank_scratch = freshet_rank_scratch_create(bench->ranker);
  bench->list = calloc(bench->settings.k, sizeof *bench->list);
  status = add_items(bench, error);
  if (status == FRESHET_OK) status = learn_events(bench, error);
  if (status == FRESHET_OK) status = freshet_model_sync_ranker(bench->model, bench->ranker, error);
  return status;
}

static void release(struct bench* bench) {
  for (size_t u = 0; u < USERS; u++) freshet_user_destroy(bench->users[u]);
  freshet_model_scratch_destroy(bench->query_scratch);
  freshet_rank_scratch_destroy(bench->rank_scratch);
  freshet_ranker_destroy(bench->ranker);
  freshet_model_destroy(bench->model);
  free(bench->list);
  free(bench->dense.us);
  free(bench->full.us);
  free(bench->again.us);
}

/* ---- measuring ---- */

static double now_us(void) {
  return 1e6 * freshet_seconds(CLOCK_MONOTONIC);
}

static void note(struct bench* bench, latencies* l, double us) {
  if (l->count == bench->capacity) {
    bench->capacity = bench->capacity == 0 ? 1 << 16 : bench->capacity * 2;
    bench->dense.us = realloc(bench->dense.us, bench->capacity * sizeof(double));
    bench->full.us = realloc(bench->full.us, bench->capacity * sizeof(double));
    bench->again.us = realloc(bench->again.us, bench->capacity * sizeof(double));
    if (bench->dense.us == NULL || bench->full.us == NULL || bench->again.us == NULL) abort();
  }
  l->us[l->count++] = us;
}

static freshet_rank_query make_query(struct bench* bench, size_t user) {
  freshet_rank_query query = {.k = (uint32_t)bench->settings.k};
  freshet_model_query(bench->model, bench->users[user], bench->now_ms, bench->query_scratch, &query);
  return query;
}

static freshet_status rank(struct bench* bench, const freshet_rank_query* query, size_t* count,
                           freshet_error* error) {
  return freshet_rank(bench->ranker, query, 1, bench->list, bench->settings.k, count, bench->rank_scratch,
                      error);
}

static freshet_status time_dense(struct bench* bench, size_t user, freshet_error* error) {
  freshet_rank_query query = make_query(bench, user);
  size_t count;
  query.bonus_count = 0;
  double start = now_us();
  freshet_status status = rank(bench, &query, &count, error);
  note(bench, &bench->dense, now_us() - start);
  return status;
}

static freshet_status time_full(struct bench* bench, size_t user, latencies* times, freshet_error* error) {
  size_t count;
  double start = now_us();
  freshet_rank_query query = make_query(bench, user);
  freshet_status status = rank(bench, &query, &count, error);
  note(bench, times, now_us() - start);
  if (times == &bench->full) bench->bonus_rows += (double)query.bonus_count;
  return status;
}

static freshet_status time_both(struct bench* bench, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  double start = now_us();
  for (size_t u = 0; status == FRESHET_OK && now_us() - start < bench->settings.seconds * 1e6; u++) {
    size_t other = (u + USERS / 2) % USERS;
    if (u % 2 == 0) status = time_dense(bench, u % USERS, error);
    if (status == FRESHET_OK) status = time_full(bench, other, &bench->full, error);
    if (status == FRESHET_OK) status = time_full(bench, other, &bench->again, error);
    if (u % 2 == 1 && status == FRESHET_OK) status = time_dense(bench, u % USERS, error);
  }
  return status;
}

/* Checks a list: no item outside it that the user may get scores more than its last item, and its items have
 * the scores that it says. Fewer than k items are right when there are no more. */
static bool is_right(struct bench* bench, size_t user, float* scores) {
  const float margin = 1e-4F;
  size_t count = 0, better = 0, allowed = 0;
  freshet_rank_query query = make_query(bench, user);
  if (rank(bench, &query, &count, NULL) != FRESHET_OK) return false;
  const float last = count == 0 ? -INFINITY : bench->list[count - 1].score;
  freshet_model_score_all(bench->model, &query, scores);
  for (size_t i = 0; i < query.excluded_count; i++) scores[query.excluded[i]] = -INFINITY;
  for (size_t i = 0; i < count; i++) {
    if (fabsf(scores[bench->list[i].item] - bench->list[i].score) > margin) return false;
  }
  for (size_t i = 0; i < bench->settings.items; i++) {
    better += scores[i] > last + margin;
    allowed += scores[i] > -INFINITY;
  }
  return count == (allowed < query.k ? allowed : query.k) && better <= count;
}

static size_t check_users(struct bench* bench) {
  float* scores = malloc(bench->settings.items * sizeof *scores);
  size_t right = 0;
  if (scores == NULL) return 0;
  for (size_t i = 0; i < CHECKED_USERS; i++) right += is_right(bench, i * (USERS / CHECKED_USERS), scores);
  free(scores);
  return right;
}

static double percentile(latencies* l, double share) {
  freshet_sort_values(l->us, l->count);
  return freshet_quantile(l->us, l->count, share);
}

static int print(struct bench* bench) {
  const freshet_bench_rank_model* s = &bench->settings;
  const bool correct = check_users(bench) == CHECKED_USERS;
  const double dense = percentile(&bench->dense, .5), full = percentile(&bench->full, .5);
  const char* format =
      s->json ? "{\"items\": %zu, \"dim\": %zu, \"k\": %zu, \"data\": \"model\", \"kernel\": \"%s\", "
                "\"bonus_rows\": %.0f, \"dense_p50_us\": %.2f, \"dense_p99_us\": %.2f, \"full_p50_us\": "
                "%.2f, \"full_p99_us\": %.2f, \"again_p50_us\": %.2f, \"ratio_p50\": %.3f, \"correct\": %s}\n"
              : "freshet rank N=%zu d=%zu k=%zu model, kernel %s, %.0f bonus rows: dense alone p50 %.1f p99 "
                "%.1f us, query + dense + bonus + merge p50 %.1f p99 %.1f us (again at once p50 %.1f): %.2f "
                "times, "
                "correct: %s\n";
  printf(format, s->items, s->dim, s->k, freshet_ranker_kernel_name(bench->ranker),
         bench->bonus_rows / (double)bench->full.count, dense, percentile(&bench->dense, .99), full,
         percentile(&bench->full, .99), percentile(&bench->again, .5), full / dense,
         correct ? "true" : "false");
  return correct ? FRESHET_EXIT_OK : FRESHET_EXIT_FAILED;
}

int freshet_bench_rank_model_run(const freshet_bench_rank_model* settings) {
  freshet_error error = {0};
  int code = FRESHET_EXIT_FAILED;
  struct bench* bench = calloc(1, sizeof *bench);
  if (bench == NULL) return code;
  bench->settings = *settings;
  bench->random = settings->seed;
  freshet_status status = prepare(bench, &error);
  if (status == FRESHET_OK) status = time_both(bench, &error);
  if (status == FRESHET_OK) {
    code = print(bench);
  } else {
    fprintf(stderr, "freshet bench rank: %s\n", error.message);
  }
  release(bench);
  free(bench);
  return code;
}
