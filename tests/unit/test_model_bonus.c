/* The sparse part of scores in random models: against explanations, which are worked out item by item, and
 * through the ranker against all items sorted. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/maths.h"
#include "freshet/model.h"

enum { TEXT_DIM = 16, USERS = 24, ITEMS_MAX = 400, EVENTS = 1500, K = 12, MODELS = 6 };

typedef struct world {
  uint64_t seed, drawn;
  uint32_t items;
  freshet_model* model;
  freshet_ranker* ranker;
  freshet_model_scratch* scratch;
  freshet_rank_scratch* rank_scratch;
  freshet_user* users[USERS];
  int64_t now_ms;
} world;

static uint32_t below(world* w, uint32_t bound) {
  return (uint32_t)freshet_below(freshet_random(w->seed, w->drawn++), bound);
}

/* Texts come in ten groups; the last item of ten has none, nor has anybody when the seed is a multiple of 3.
 * Two thirds of the events are of the first fifth of the items, so that the others stay new. */
static void make_world(world* w, uint64_t seed) {
  freshet_model_config config = freshet_model_defaults();
  *w = (world){.seed = seed, .items = seed % 2 == 0 ? ITEMS_MAX : 70};
  printf("seed %llu\n", (unsigned long long)seed);
  config.text_dim = seed % 3 == 0 ? 0 : TEXT_DIM;
  config.dim = 16;
  config.neighbours = seed % 2 == 0 ? 128 : 20;
  assert_int_equal(freshet_model_create(&config, &w->model, NULL), FRESHET_OK);
  for (uint32_t i = 0; i < w->items; i++) {
    char id[16];
    float text[TEXT_DIM];
    uint32_t slot;
    snprintf(id, sizeof id, "i%u", i);
    assert_int_equal(freshet_model_intern(w->model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
    freshet_model_set_listed(w->model, slot, i % 17 != 0);
    if (i % 13 == 0) freshet_model_set_adjustment(w->model, slot, -50); /* a dense part below 0 */
    for (int d = 0; d < TEXT_DIM; d++) text[d] = (float)below(w, 1000) * .0005F;
    text[i % 10] += 1;
    if (config.text_dim == 0 || i % 10 == 9) continue;
    assert_int_equal(freshet_model_set_text(w->model, slot, text, NULL, NULL), FRESHET_OK);
  }
  for (int u = 0; u < USERS; u++) w->users[u] = freshet_user_create(w->model);
  const freshet_ranker_config ranker = {.dim = freshet_model_row_dim(w->model)};
  assert_int_equal(freshet_ranker_create(&ranker, &w->ranker, NULL), FRESHET_OK);
  w->scratch = freshet_model_scratch_create(w->model);
  w->rank_scratch = freshet_rank_scratch_create(w->ranker);
}

static void free_world(world* w) {
  for (int u = 0; u < USERS; u++) freshet_user_destroy(w->users[u]);
  freshet_rank_scratch_destroy(w->rank_scratch);
  freshet_model_scratch_destroy(w->scratch);
  freshet_ranker_destroy(w->ranker);
  freshet_model_destroy(w->model);
}

static void learn(world* w, int events) {
  for (int e = 0; e < events; e++) {
    const uint32_t bound = below(w, 3) == 0 ? w->items : w->items / 5;
    freshet_observation seen = {
        .item = below(w, bound), .positive = below(w, 10) > 0, .weight = 1, .time_ms = w->now_ms};
    w->now_ms += below(w, 20) == 0 ? 3600 * 1000 : 5000;
    if (e % 3 == 0)
      freshet_model_show(w->model, w->users[e % USERS], (uint32_t)e * 7 % w->items, e % 20, w->now_ms);
    assert_int_equal(freshet_model_learn(w->model, w->users[below(w, USERS)], &seen, NULL), FRESHET_OK);
  }
  assert_int_equal(freshet_model_sync_ranker(w->model, w->ranker, NULL), FRESHET_OK);
}

/* What explanations say the neighbours, habits and showings bring to `slot`. */
static double explained(world* w, const freshet_user* user, uint32_t slot) {
  freshet_part parts[FRESHET_PARTS_MAX];
  double sum = 0;
  const size_t count = freshet_model_explain(w->model, user, w->now_ms, slot, w->scratch, parts);
  for (size_t p = 0; p < count; p++) {
    if (parts[p].item != FRESHET_NO_ITEM || parts[p].kind == FRESHET_REASON_AGAIN ||
        parts[p].kind == FRESHET_REASON_SHOWN)
      sum += (double)parts[p].score;
  }
  return sum;
}

/* Returns how many new items have something of what others are chosen with. */
static size_t check_bonuses(world* w, const freshet_user* user) {
  float bonus[ITEMS_MAX] = {0};
  bool listed[ITEMS_MAX] = {false};
  freshet_rank_query query = {0};
  size_t lent = 0;
  freshet_model_query(w->model, user, w->now_ms, w->scratch, &query);
  for (size_t i = 0; i < query.bonus_count; i++) {
    assert_false(listed[query.bonus_items[i]]);
    listed[query.bonus_items[i]] = true;
    bonus[query.bonus_items[i]] = query.bonus[i];
  }
  for (uint32_t slot = 0; slot < w->items; slot++) {
    const double want = explained(w, user, slot);
    assert_true(fabs((double)bonus[slot] - want) <= 1e-4 * (1 + fabs(want)));
    lent += freshet_model_item_weight(w->model, slot) == 0 && want > 0;
  }
  return lent;
}

static void bonuses_are_what_explanations_say(void** state) {
  (void)state;
  size_t lent = 0;
  for (uint64_t seed = 0; seed < MODELS; seed++) {
    world w;
    make_world(&w, seed);
    for (int turn = 0; turn < 3; turn++) {
      learn(&w, EVENTS / 3);
      for (int u = 0; u < USERS; u++) lent += check_bonuses(&w, w.users[u]);
    }
    free_world(&w);
  }
  assert_true(lent > 100);
}

static void expect_same_query(const freshet_rank_query* a, const freshet_rank_query* b, uint32_t dim) {
  assert_memory_equal(a->vector, b->vector, dim * sizeof *a->vector);
  assert_int_equal(a->bonus_count, b->bonus_count);
  assert_memory_equal(a->bonus_items, b->bonus_items, a->bonus_count * sizeof *a->bonus_items);
  assert_memory_equal(a->bonus, b->bonus, a->bonus_count * sizeof *a->bonus);
}

/* What scratches share is used only while a query is made: each query stays as it is while others are made. */
static void queries_beside_each_other_are_those_alone(void** state) {
  (void)state;
  size_t bonus_rows = 0;
  for (uint64_t seed = 0; seed < MODELS; seed++) {
    world w;
    make_world(&w, seed);
    freshet_model_scratch* first = freshet_model_scratch_create(w.model);
    freshet_model_scratch* second = freshet_model_scratch_beside(w.model, first);
    freshet_model_scratch* third = freshet_model_scratch_beside(w.model, second);
    freshet_model_scratch* scratches[] = {third, first, second};
    for (int turn = 0; turn < 3; turn++) {
      learn(&w, EVENTS / 3);
      for (int u = 0; u < USERS; u++) {
        freshet_rank_query queries[3] = {0}, alone = {0};
        for (int i = 0; i < 3; i++)
          freshet_model_query(w.model, w.users[(u + i) % USERS], w.now_ms, scratches[i], &queries[i]);
        for (int i = 0; i < 3; i++) {
          freshet_model_query(w.model, w.users[(u + i) % USERS], w.now_ms, w.scratch, &alone);
          expect_same_query(&queries[i], &alone, freshet_model_row_dim(w.model));
          bonus_rows += alone.bonus_count;
        }
      }
    }
    freshet_model_scratch_destroy(third);
    freshet_model_scratch_destroy(second);
    freshet_model_scratch_destroy(first);
    free_world(&w);
  }
  assert_true(bonus_rows > 1000);
}

typedef struct scored {
  double score;
  uint32_t slot;
} scored;

static int best_first(const void* a, const void* b) {
  const scored *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  return x->slot < y->slot ? -1 : 1;
}

/* The list is that of all items by the query's own vector and bonus; with `flat`, of nothing but bonuses,
 * most of which are 0, so that ties decide. */
static void check_list(world* w, const freshet_user* user, bool flat) {
  freshet_rank_query query = {.k = K};
  freshet_ranked list[K];
  scored all[ITEMS_MAX];
  float scores[ITEMS_MAX], zeros[256] = {0};
  size_t count, allowed = 0;
  freshet_model_query(w->model, user, w->now_ms, w->scratch, &query);
  freshet_model_score_all(w->model, &query, scores);
  if (flat) query.vector = zeros;
  assert_int_equal(freshet_rank(w->ranker, &query, 1, list, K, &count, w->rank_scratch, NULL), FRESHET_OK);
  for (uint32_t slot = 0; slot < w->items; slot++) {
    bool excluded = !freshet_model_is_listed(w->model, slot);
    for (size_t i = 0; i < query.excluded_count; i++) excluded = excluded || query.excluded[i] == slot;
    if (excluded) continue;
    all[allowed] = (scored){flat ? (slot % 13 == 0 ? -50 : 0) : (double)scores[slot], slot};
    for (size_t i = 0; flat && i < query.bonus_count; i++) {
      if (query.bonus_items[i] == slot) all[allowed].score += (double)query.bonus[i];
    }
    allowed++;
  }
  qsort(all, allowed, sizeof *all, best_first);
  assert_int_equal(count, allowed < K ? allowed : K);
  for (size_t i = 0; i < count; i++) {
    assert_true(fabs((double)list[i].score - all[i].score) <= 1e-4);
    if (flat) assert_int_equal(list[i].item, all[i].slot);
  }
}

static void lists_are_those_of_all_items_sorted(void** state) {
  (void)state;
  for (uint64_t seed = 0; seed < MODELS; seed++) {
    world w;
    make_world(&w, seed);
    for (int turn = 0; turn < 3; turn++) {
      learn(&w, EVENTS / 3);
      for (int u = 0; u < USERS; u++) {
        check_list(&w, w.users[u], false);
        check_list(&w, w.users[u], true);
      }
    }
    free_world(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bonuses_are_what_explanations_say),
      cmocka_unit_test(queries_beside_each_other_are_those_alone),
      cmocka_unit_test(lists_are_those_of_all_items_sorted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
