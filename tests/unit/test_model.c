/* The learner: the delta log, stored state, bounds, explanations and the kernels, against what they
 * promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/maths.h"
#include "freshet/model.h"

enum { ITEMS = 300, USERS = 40, EVENTS = 3000, TEXT_DIM = 40 };

typedef struct world {
  freshet_model* model;
  freshet_user* users[USERS];
  uint32_t slots[ITEMS];
} world;

static freshet_slice name_of(int item, char text[16]) {
  snprintf(text, 16, "item-%d", item);
  return freshet_slice_of(text);
}

static world make_world(freshet_model_config config, bool texts) {
  world w = {0};
  freshet_error error = {0};
  config.text_dim = texts ? TEXT_DIM : 0;
  assert_int_equal(freshet_model_create(&config, &w.model, &error), FRESHET_OK);
  for (int i = 0; i < ITEMS; i++) {
    char text[16];
    float vector[TEXT_DIM];
    assert_int_equal(freshet_model_intern(w.model, name_of(i, text), &w.slots[i], &error), FRESHET_OK);
    freshet_model_set_listed(w.model, w.slots[i], true);
    for (int k = 0; k < TEXT_DIM; k++)
      vector[k] = freshet_gauss(freshet_random(9, (uint64_t)(i / 10 * TEXT_DIM + k)));
    vector[i % TEXT_DIM] += 1;
    if (texts)
      assert_int_equal(freshet_model_set_text(w.model, w.slots[i], vector, NULL, &error), FRESHET_OK);
  }
  for (int u = 0; u < USERS; u++) w.users[u] = freshet_user_create(w.model);
  return w;
}

static void free_world(world* w) {
  for (int u = 0; u < USERS; u++) freshet_user_destroy(w->users[u]);
  freshet_model_destroy(w->model);
}

/* Event i of a stream in which users keep to neighbouring items; the same for every world. A dislike that repeats one is an
 * eighth stronger, or it would not count. */
static void learn_event(world* w, int i) {
  uint64_t random = freshet_random(42, (uint64_t)i);
  int user = (int)(random % USERS);
  int item = (int)((uint64_t)user * 7 + (random >> 20) % 30) % ITEMS;
  float dislike = .25F;
  for (uint32_t k = 0; k < w->users[user]->recent_count; k++) {
    const freshet_interaction* past = &w->users[user]->recent[k];
    if (past->item == w->slots[item] && past->weight < 0) dislike = .125F - past->weight;
  }
  freshet_observation seen = {w->slots[item],
                              (random >> 40) % 10 != 0,
                              dislike,
                              1 + (float)(random >> 50 & 1),
                              1000000LL + i * 1000LL,
                              0,
                              false};
  freshet_error error = {0};
  assert_int_equal(freshet_model_learn(w->model, w->users[user], &seen, &error), FRESHET_OK);
}

/* A copy of a delta that outlives the model's buffers. */
typedef struct kept {
  freshet_model_delta delta;
  char* bytes[4];
} kept;

static kept keep(const freshet_model_delta* delta) {
  kept k = {*delta, {0}};
  freshet_slice* slices[4] = {&k.delta.items, &k.delta.values, &k.delta.trace, &k.delta.globals};
  for (int i = 0; i < 4; i++) {
    k.bytes[i] = malloc(slices[i]->size + 1);
    if (slices[i]->size > 0) memcpy(k.bytes[i], slices[i]->data, slices[i]->size);
    slices[i]->data = k.bytes[i];
  }
  return k;
}

static void drop(kept* k) {
  for (int i = 0; i < 4; i++) free(k->bytes[i]);
}

static void deltas_do_not_change_what_is_learned_and_carry_all_of_it(void** state) {
  (void)state;
  for (int texts = 0; texts < 2; texts++) {
    world plain = make_world(freshet_model_defaults(), texts);
    world cut = make_world(freshet_model_defaults(), texts);
    world folded = make_world(freshet_model_defaults(), texts);
    freshet_model_delta delta;
    for (int i = 0; i < EVENTS; i++) {
      learn_event(&plain, i);
      learn_event(&cut, i);
      if (freshet_random(3, (uint64_t)i) % 100 == 0 || i == EVENTS - 1) {
        freshet_model_take_delta(cut.model, &delta);
        assert_int_equal(freshet_model_fold(folded.model, &delta, i, NULL), FRESHET_OK);
      }
    }
    assert_true(freshet_model_hash(plain.model) == freshet_model_hash(cut.model));
    assert_true(freshet_model_hash(plain.model) == freshet_model_hash(folded.model));
    freshet_model_take_delta(cut.model, &delta);
    assert_true(delta.events == 0 && delta.items.size == 0);
    free_world(&plain);
    free_world(&cut);
    free_world(&folded);
  }
}

typedef struct delta_parts {
  freshet_model* into;
  int64_t offset;
  size_t count, largest; /* largest: bytes */
  uint64_t events;
} delta_parts;

/* The rest of the take under way, or a whole one. */
static void fold_parts(freshet_model* from, size_t most, delta_parts* p) {
  freshet_model_delta delta;
  freshet_model_start_take(from);
  while (freshet_model_take_part(from, most, &delta)) {
    size_t size = delta.items.size + delta.values.size + delta.trace.size;
    p->count++;
    p->events += delta.events;
    if (size > p->largest) p->largest = size;
    assert_int_equal(freshet_model_fold(p->into, &delta, p->offset++, NULL), FRESHET_OK);
  }
}

static void the_parts_of_a_delta_give_what_the_whole_gives(void** state) {
  (void)state;
  enum { MOST = 20000, EVENT_BYTES = 12000 };
  world cut = make_world(freshet_model_defaults(), true);
  world folded = make_world(freshet_model_defaults(), true);
  delta_parts p = {.into = folded.model};
  for (int i = 0; i < EVENTS; i++) {
    learn_event(&cut, i);
    if (i % (EVENTS / 4) != EVENTS / 4 - 1) continue;
    size_t count = p.count;
    fold_parts(cut.model, MOST, &p);
    assert_true(p.count >= count + 3);
  }
  assert_int_equal(p.events, EVENTS);
  assert_true(p.largest < MOST + EVENT_BYTES);
  assert_true(freshet_model_hash(cut.model) == freshet_model_hash(folded.model));
  /* A part for each event, and one for each item that no event names. */
  for (int i = 0; i < 50; i++) learn_event(&cut, EVENTS + i);
  p.count = p.events = 0;
  fold_parts(cut.model, 1, &p);
  assert_true(p.count >= 50);
  assert_true(freshet_model_hash(cut.model) == freshet_model_hash(folded.model));
  freshet_model_delta nothing;
  freshet_model_take_delta(cut.model, &nothing);
  assert_int_equal(nothing.items.size, 0);
  free_world(&cut);
  free_world(&folded);
}

/* Items are written at different places of the log; what is in them already is skipped when the tail
 * comes. */
static void stored_items_and_the_tail_of_the_log_give_the_same_model(void** state) {
  (void)state;
  enum { DELTAS = 30 };
  world live = make_world(freshet_model_defaults(), true);
  world restored = make_world(freshet_model_defaults(), true);
  kept log[DELTAS];
  freshet_buffer items[ITEMS] = {{0}}, globals = {0};
  for (int d = 0; d < DELTAS; d++) {
    freshet_model_delta delta;
    for (int i = 0; i < EVENTS / DELTAS; i++) learn_event(&live, d * (EVENTS / DELTAS) + i);
    freshet_model_take_delta(live.model, &delta);
    log[d] = keep(&delta);
    for (int i = 0; i < ITEMS; i++) {
      if (freshet_random(5, (uint64_t)i) % (DELTAS / 2) + 10 != (uint64_t)d) continue;
      freshet_model_write_item(live.model, live.slots[i], d + 1, &items[i]);
    }
    if (d == 14) freshet_model_write_globals(live.model, d + 1, &globals);
  }
  for (int i = ITEMS - 1; i >= 0; i--) {
    assert_int_equal(
        freshet_model_read_item(restored.model, restored.slots[i], freshet_buffer_slice(&items[i]), NULL),
        FRESHET_OK);
    freshet_buffer_free(&items[i]);
  }
  assert_int_equal(freshet_model_read_globals(restored.model, freshet_buffer_slice(&globals), NULL),
                   FRESHET_OK);
  freshet_buffer_free(&globals);
  for (int d = 0; d < DELTAS; d++) {
    assert_int_equal(freshet_model_fold(restored.model, &log[d].delta, d, NULL), FRESHET_OK);
    drop(&log[d]);
  }
  assert_true(freshet_model_events(live.model) == freshet_model_events(restored.model));
  assert_true(freshet_model_hash(live.model) == freshet_model_hash(restored.model));
  /* ... and goes on learning the same, although its slots were filled in another order. */
  for (int u = 0; u < USERS; u++) {
    freshet_user_destroy(live.users[u]);
    freshet_user_destroy(restored.users[u]);
    live.users[u] = freshet_user_create(live.model);
    restored.users[u] = freshet_user_create(restored.model);
  }
  for (int i = 0; i < 500; i++) {
    learn_event(&live, EVENTS + i);
    learn_event(&restored, EVENTS + i);
  }
  assert_true(freshet_model_hash(live.model) == freshet_model_hash(restored.model));
  free_world(&live);
  free_world(&restored);
}

/* A row that reflects more than the log has is one of another log, unless it has been renumbered. */
static void rows_may_count_by_another_log(void** state) {
  (void)state;
  for (int renumbers = 0; renumbers < 2; renumbers++) {
    world w = make_world(freshet_model_defaults(), true);
    freshet_buffer row = {0};
    learn_event(&w, 0);
    freshet_model_write_item(w.model, w.slots[0], 1000, &row);
    if (renumbers == 1) freshet_model_renumber_row(&row);
    world restored = make_world(freshet_model_defaults(), true);
    assert_int_equal(
        freshet_model_read_item(restored.model, restored.slots[0], freshet_buffer_slice(&row), NULL),
        FRESHET_OK);
    assert_true(freshet_model_fit_log(restored.model, 500) == (renumbers == 0));
    assert_false(freshet_model_fit_log(restored.model, 500)); /* it counts by this log now */
    freshet_buffer_free(&row);
    free_world(&w);
    free_world(&restored);
  }
}

/* The bias and accumulators of an item, from its stored bytes. */
static void read_additive(const world* w, int item, char out[64]) {
  freshet_buffer bytes = {0};
  freshet_model_write_item(w->model, w->slots[item], 0, &bytes);
  memcpy(out, bytes.data + 1 + 8 + 4 + 4 + 8 + 12, 32); /* f64 [4]: see model_delta.c */
  freshet_buffer_free(&bytes);
}

/* Learning goes on while a take is under way: item by item it is prepared, or because an item is about to change. */
static void what_is_learned_during_a_take_is_in_the_next_one(void** state) {
  (void)state;
  enum { TAKE = 100, PREPARED = 3 };
  world plain = make_world(freshet_model_defaults(), true);
  world taken = make_world(freshet_model_defaults(), true);
  world folded = make_world(freshet_model_defaults(), true);
  delta_parts p = {.into = folded.model};
  for (int i = 0; i < EVENTS; i++) {
    learn_event(&plain, i);
    learn_event(&taken, i);
    if (i % TAKE == TAKE / 2) freshet_model_start_take(taken.model);
    if (i % TAKE > TAKE / 2 && i % 3 == 0) freshet_model_prepare_take(taken.model, PREPARED);
    if (i % TAKE != TAKE - 1) continue;
    p.events = 0;
    fold_parts(taken.model, 20000, &p);
    assert_int_equal(p.events, i < TAKE ? TAKE / 2 + 1 : TAKE);
  }
  fold_parts(taken.model, SIZE_MAX, &p);
  assert_true(freshet_model_hash(plain.model) == freshet_model_hash(taken.model));
  assert_true(freshet_model_hash(plain.model) == freshet_model_hash(folded.model));
  free_world(&plain);
  free_world(&taken);
  free_world(&folded);
}

static void a_take_under_way_does_not_hold_what_others_have_learned(void** state) {
  (void)state;
  enum { TAKE = 100 };
  world own = make_world(freshet_model_defaults(), false);
  world other = make_world(freshet_model_defaults(), false);
  world folded = make_world(freshet_model_defaults(), false);
  delta_parts p = {.into = folded.model};
  freshet_model_expect_fleet(own.model, 100000, 200000); /* so that its rows are rounded */
  for (int i = 0; i < EVENTS; i++) {
    learn_event(i % 2 == 0 ? &own : &other, i);
    if (i % TAKE == TAKE / 4) freshet_model_start_take(own.model);
    if (i % TAKE == TAKE / 2) {
      freshet_model_delta delta;
      freshet_model_prepare_take(own.model, 20);
      freshet_model_take_delta(other.model, &delta);
      assert_int_equal(freshet_model_fold(own.model, &delta, i, NULL), FRESHET_OK);
      assert_int_equal(freshet_model_fold(folded.model, &delta, p.offset++, NULL), FRESHET_OK);
    }
    if (i % TAKE == TAKE - 1) fold_parts(own.model, SIZE_MAX, &p);
  }
  fold_parts(own.model, SIZE_MAX, &p);
  for (int i = 0; i < ITEMS; i++) {
    char x[64] = {0}, y[64] = {0};
    read_additive(&own, i, x);
    read_additive(&folded, i, y);
    assert_memory_equal(x, y, 32);
  }
  free_world(&own);
  free_world(&other);
  free_world(&folded);
}

static void workers_that_exchange_deltas_agree_on_what_adds_up(void** state) {
  (void)state;
  world a = make_world(freshet_model_defaults(), false);
  world b = make_world(freshet_model_defaults(), false);
  for (int i = 0; i < EVENTS; i++) {
    freshet_model_delta from_a, from_b;
    learn_event(freshet_random(42, (uint64_t)i) % USERS % 2 == 0 ? &a : &b, i);
    if (i % 500 != 499) continue;
    freshet_model_take_delta(a.model, &from_a);
    freshet_model_take_delta(b.model, &from_b);
    assert_int_equal(freshet_model_fold(b.model, &from_a, i, NULL), FRESHET_OK);
    assert_int_equal(freshet_model_fold(a.model, &from_b, i, NULL), FRESHET_OK);
  }
  assert_true(freshet_model_events(a.model) == freshet_model_events(b.model));
  for (int i = 0; i < ITEMS; i++) {
    char x[64] = {0}, y[64] = {0};
    read_additive(&a, i, x);
    read_additive(&b, i, y);
    assert_memory_equal(x, y, 32);
  }
  free_world(&a);
  free_world(&b);
}

static void slots_in_another_order_learn_the_same(void** state) {
  (void)state;
  world forward = make_world(freshet_model_defaults(), false);
  world backward = {0};
  freshet_model_config config = freshet_model_defaults();
  assert_int_equal(freshet_model_create(&config, &backward.model, NULL), FRESHET_OK);
  for (int i = ITEMS - 1; i >= 0; i--) {
    char text[16];
    assert_int_equal(freshet_model_intern(backward.model, name_of(i, text), &backward.slots[i], NULL),
                     FRESHET_OK);
  }
  for (int u = 0; u < USERS; u++) backward.users[u] = freshet_user_create(backward.model);
  for (int i = 0; i < 1000; i++) {
    learn_event(&forward, i);
    learn_event(&backward, i);
  }
  assert_true(freshet_model_hash(forward.model) == freshet_model_hash(backward.model));
  free_world(&forward);
  free_world(&backward);
}

static void parts_sum_to_the_score_and_the_score_to_the_rows(void** state) {
  (void)state;
  world w = make_world(freshet_model_defaults(), true);
  float scores[ITEMS];
  for (int i = 0; i < EVENTS; i++) learn_event(&w, i);
  assert_int_equal(freshet_model_sync_ranker(w.model, NULL, NULL), FRESHET_OK);
  freshet_model_scratch* scratch = freshet_model_scratch_create(w.model);
  for (int u = 0; u < USERS; u++) {
    freshet_rank_query query = {0};
    freshet_part parts[FRESHET_PARTS_MAX];
    freshet_model_query(w.model, w.users[u], 2000000000, scratch, &query);
    freshet_model_score_all(w.model, &query, scores);
    for (size_t i = 0; i < query.bonus_count; i++) assert_true(query.bonus[i] >= 0);
    for (int i = 0; i < ITEMS; i++) {
      size_t count = freshet_model_explain(w.model, w.users[u], 2000000000, w.slots[i], scratch, parts);
      double sum = 0;
      for (size_t p = 0; p < count; p++) {
        sum += parts[p].score;
        if (p > 0) assert_true(parts[p].score <= parts[p - 1].score);
      }
      assert_true(fabs(sum - scores[w.slots[i]]) < 1e-4);
    }
  }
  freshet_model_scratch_destroy(scratch);
  free_world(&w);
}

static int by_slot(const void* context, uint32_t a, uint32_t b) {
  (void)context;
  return (a > b) - (a < b);
}

/* What an event has taught is in the very next list, and marked for the store, wherever deltas are cut. */
static void rows_follow_every_event(void** state) {
  (void)state;
  world w = make_world(freshet_model_defaults(), true);
  freshet_ranker_config config = {.capacity = ITEMS, .compare = by_slot};
  freshet_model_lend_rows(w.model, &config);
  freshet_ranker* ranker = NULL;
  assert_int_equal(freshet_ranker_create(&config, &ranker, NULL), FRESHET_OK);
  freshet_model_scratch* scratch = freshet_model_scratch_create(w.model);
  freshet_rank_scratch* rank_scratch = freshet_rank_scratch_create(ranker);
  for (int i = 0; i < 200; i++) {
    const uint32_t* changed;
    freshet_model_delta delta;
    freshet_rank_query query = {0};
    freshet_ranked ranked[ITEMS];
    float scores[ITEMS];
    size_t count;
    learn_event(&w, i); /* a choice or a dislike: either changes something */
    assert_true(freshet_model_drain_changed(w.model, &changed) > 0);
    if (i % 10 == 9) freshet_model_take_delta(w.model, &delta);
    assert_int_equal(freshet_model_sync_ranker(w.model, ranker, NULL), FRESHET_OK);
    freshet_model_query(w.model, w.users[i % USERS], 2000000000, scratch, &query);
    freshet_model_score_all(w.model, &query, scores);
    query.k = ITEMS;
    assert_int_equal(freshet_rank(ranker, &query, 1, ranked, ITEMS, &count, rank_scratch, NULL), FRESHET_OK);
    assert_int_equal(count, ITEMS - query.excluded_count);
    for (size_t r = 0; r < count; r++) assert_true(fabsf(ranked[r].score - scores[ranked[r].item]) < 1e-4f);
  }
  freshet_rank_scratch_destroy(rank_scratch);
  freshet_model_scratch_destroy(scratch);
  freshet_ranker_destroy(ranker);
  free_world(&w);
}

static void assert_finite(world* w) {
  float scores[ITEMS];
  freshet_rank_query query = {0};
  freshet_model_sync_ranker(w->model, NULL, NULL);
  freshet_model_scratch* scratch = freshet_model_scratch_create(w->model);
  freshet_model_query(w->model, w->users[0], INT64_MAX, scratch, &query);
  freshet_model_score_all(w->model, &query, scores);
  for (int i = 0; i < ITEMS; i++) assert_true(isfinite(scores[i]));
  freshet_model_scratch_destroy(scratch);
}

static void stays_finite_on_hostile_streams(void** state) {
  (void)state;
  static const float weights[] = {1, 16, 1e30F, 1e-30F, INFINITY};
  for (int stream = 0; stream < 5; stream++) {
    freshet_model_config config = freshet_model_defaults();
    config.dim = 16;
    config.neighbours = 4;
    config.negatives = 5;
    world w = make_world(config, stream == 3);
    for (int i = 0; i < 50000; i++) {
      uint64_t random = freshet_random((uint64_t)stream, (uint64_t)i);
      int item = stream == 0 ? 0 : stream == 1 ? i % 2 : (int)(random % ITEMS);
      int64_t time_ms = stream == 2 ? INT64_MAX - i : stream == 4 ? (int64_t)random : i;
      freshet_observation seen = {w.slots[item], true, 0, weights[stream], time_ms, 0, false};
      freshet_model_learn(w.model, w.users[stream == 1 ? i % USERS : 0], &seen, NULL);
      freshet_model_delta delta;
      if (i % 1000 == 0) freshet_model_take_delta(w.model, &delta);
    }
    assert_finite(&w);
    free_world(&w);
  }
}

static void a_broken_user_is_refused_and_harms_nothing(void** state) {
  (void)state;
  world w = make_world(freshet_model_defaults(), false);
  for (int i = 0; i < 200; i++) learn_event(&w, i);
  uint64_t before = freshet_model_hash(w.model);
  w.users[0]->vector[3] = NAN;
  freshet_observation seen = {w.slots[5], true, 0, 1, 2000000000, 0, false};
  freshet_error error = {0};
  assert_int_equal(freshet_model_learn(w.model, w.users[0], &seen, &error), FRESHET_INVALID);
  assert_true(before == freshet_model_hash(w.model));
  assert_int_equal(w.users[0]->recent[0].item, w.slots[5]);
  free_world(&w);
}

static void history_keeps_time_order_and_one_place_per_item(void** state) {
  (void)state;
  freshet_model_config config = freshet_model_defaults();
  config.seen_limit = 30;
  world w = make_world(config, false);
  freshet_user* user = w.users[0];
  for (int i = 0; i < 2000; i++) {
    uint64_t random = freshet_random(77, (uint64_t)i);
    freshet_observation seen = {
        w.slots[random % 50], random % 3 != 0, .5F, 1, (int64_t)(random >> 20 & 0xffff) + i * 100, 0, false};
    assert_int_equal(freshet_model_learn(w.model, user, &seen, NULL), FRESHET_OK);
    assert_true(user->recent_count <= FRESHET_HISTORY && user->seen_count <= 30);
    for (uint32_t k = 0; k < user->recent_count; k++) {
      if (k > 0) assert_true(user->recent[k - 1].time_ms >= user->recent[k].time_ms);
      for (uint32_t l = 0; l < k; l++) assert_true(user->recent[k].item != user->recent[l].item);
    }
    for (uint32_t k = 0; k < user->seen_count; k++) {
      for (uint32_t l = 0; l < k; l++) assert_true(user->seen[k] != user->seen[l]);
    }
    assert_int_equal(user->seen[user->seen_count - 1], seen.item);
  }
  free_world(&w);
}

static void malformed_deltas_change_nothing(void** state) {
  (void)state;
  world from = make_world(freshet_model_defaults(), false);
  world to = make_world(freshet_model_defaults(), false);
  for (int i = 0; i < 300; i++) learn_event(&from, i);
  freshet_model_delta delta;
  freshet_model_take_delta(from.model, &delta);
  kept k = keep(&delta);
  uint64_t before = freshet_model_hash(to.model);
  freshet_slice* slices[4] = {&k.delta.items, &k.delta.values, &k.delta.trace, &k.delta.globals};
  for (int s = 0; s < 4; s++) {
    size_t size = slices[s]->size;
    for (int turn = 0; turn < 20; turn++) {
      slices[s]->size = freshet_random(8, (uint64_t)turn) % size;
      if (s == 0 && slices[s]->size == 0) continue;
      assert_int_equal(freshet_model_fold(to.model, &k.delta, 0, NULL), FRESHET_INVALID);
      assert_true(before == freshet_model_hash(to.model));
    }
    slices[s]->size = size;
  }
  assert_int_equal(freshet_model_fold(to.model, &k.delta, 0, NULL), FRESHET_OK);
  assert_true(freshet_model_hash(from.model) == freshet_model_hash(to.model));
  drop(&k);
  free_world(&from);
  free_world(&to);
}

/* More items than a list holds are equally alike: who is in it is not for the order to say in which they
 * came. */
static void like_texts_are_neighbours_in_any_order(void** state) {
  (void)state;
  freshet_model_config config = freshet_model_defaults();
  config.text_dim = TEXT_DIM;
  enum { ALIKE = 3 * FRESHET_TEXT_NEIGHBOURS };
  freshet_model* models[2];
  for (int m = 0; m < 2; m++) {
    freshet_error error = {0};
    assert_int_equal(freshet_model_create(&config, &models[m], &error), FRESHET_OK);
    for (int i = 0; i < ALIKE; i++) {
      char text[16];
      uint32_t slot;
      float vector[TEXT_DIM] = {[3] = 1};
      freshet_slice name = name_of(m == 0 ? i : ALIKE - 1 - i, text);
      assert_int_equal(freshet_model_intern(models[m], name, &slot, &error), FRESHET_OK);
      assert_int_equal(freshet_model_set_text(models[m], slot, vector, NULL, &error), FRESHET_OK);
    }
  }
  for (int i = 0; i < ALIKE; i++) {
    char text[16];
    uint32_t near[2][FRESHET_TEXT_NEIGHBOURS];
    uint64_t sums[2] = {0, 0};
    for (int m = 0; m < 2; m++) {
      uint32_t slot = freshet_model_find(models[m], name_of(i, text));
      assert_int_equal(freshet_model_text_neighbours(models[m], slot, near[m]), FRESHET_TEXT_NEIGHBOURS);
      for (int e = 0; e < FRESHET_TEXT_NEIGHBOURS; e++)
        sums[m] += freshet_model_item_key(models[m], near[m][e]);
    }
    assert_true(sums[0] == sums[1]);
  }
  for (int m = 0; m < 2; m++) freshet_model_destroy(models[m]);
}

/* Another encoder makes vectors of another dimension; with the old start, what was learned stays whole. */
static void a_kept_start_carries_items_to_other_vectors(void** state) {
  (void)state;
  enum { DIM = 64 };
  world old = make_world(freshet_model_defaults(), true);
  freshet_model_config config = freshet_model_defaults();
  config.text_dim = 2 * TEXT_DIM;
  freshet_model* model;
  freshet_error error = {0};
  for (int i = 0; i < EVENTS; i++) learn_event(&old, i);
  assert_int_equal(freshet_model_create(&config, &model, &error), FRESHET_OK);
  for (int i = 0; i < ITEMS; i++) {
    char text[16];
    uint32_t slot;
    float vector[2 * TEXT_DIM] = {[7] = 1}, start[DIM];
    freshet_buffer bytes = {0};
    assert_int_equal(freshet_model_intern(model, name_of(i, text), &slot, &error), FRESHET_OK);
    assert_null(freshet_model_start(model, slot, (float[DIM]){0}));
    memcpy(start, freshet_model_start(old.model, old.slots[i], (float[DIM]){0}), sizeof start);
    assert_int_equal(freshet_model_set_text(model, slot, vector, NULL, &error), FRESHET_OK);
    assert_memory_not_equal(freshet_model_start(model, slot, (float[DIM]){0}), start, sizeof start);
    assert_int_equal(freshet_model_set_text(model, slot, vector, start, &error), FRESHET_OK);
    assert_memory_equal(freshet_model_start(model, slot, (float[DIM]){0}), start, sizeof start);
    freshet_model_write_item(old.model, old.slots[i], 0, &bytes);
    assert_int_equal(freshet_model_read_item(model, slot, freshet_buffer_slice(&bytes), &error), FRESHET_OK);
    freshet_buffer_free(&bytes);
    const float* factors = freshet_model_learned_factors(old.model, old.slots[i]);
    assert_true((factors == NULL) == (freshet_model_learned_factors(model, slot) == NULL));
    if (factors != NULL) {
      assert_memory_equal(freshet_model_learned_factors(model, slot), factors, sizeof start);
    }
    start[3] = NAN;
    assert_int_equal(freshet_model_set_text(model, slot, vector, start, &error), FRESHET_INVALID);
    start[3] = FRESHET_START_MAX + 1;
    assert_int_equal(freshet_model_set_text(model, slot, vector, start, &error), FRESHET_INVALID);
    assert_int_equal(freshet_model_set_text(model, slot, NULL, NULL, &error), FRESHET_OK);
    assert_null(freshet_model_start(model, slot, (float[DIM]){0}));
  }
  freshet_model_destroy(model);
  free_world(&old);
}

/* What others have learned is taken whatever the limit is: they admitted the items, and all have to agree. */
static void a_lower_limit_takes_the_state_of_others(void** state) {
  (void)state;
  enum { KNOWN = 2000 };
  freshet_model_config config = freshet_model_defaults();
  freshet_model *large = NULL, *small = NULL;
  config.dim = 16;
  assert_int_equal(freshet_model_create(&config, &large, NULL), FRESHET_OK);
  config.max_items = 3;
  assert_int_equal(freshet_model_create(&config, &small, NULL), FRESHET_OK);
  freshet_user* user = freshet_user_create(large);
  for (int i = 0; i < KNOWN; i++) {
    char text[16];
    freshet_observation observation = {.positive = true, .weight = 1, .time_ms = i};
    assert_int_equal(freshet_model_intern(large, name_of(i, text), &observation.item, NULL), FRESHET_OK);
    assert_int_equal(freshet_model_learn(large, user, &observation, NULL), FRESHET_OK);
  }
  freshet_model_delta delta;
  freshet_model_take_delta(large, &delta);
  assert_int_equal(freshet_model_fold(small, &delta, 0, NULL), FRESHET_OK);
  assert_int_equal(freshet_model_item_count(small), KNOWN);
  assert_int_equal(freshet_model_hash(small), freshet_model_hash(large));
  uint32_t slot;
  assert_int_equal(freshet_model_intern(small, freshet_slice_of("another"), &slot, NULL), FRESHET_NO_MEMORY);
  char text[16];
  assert_int_equal(freshet_model_intern(small, name_of(KNOWN - 1, text), &slot, NULL), FRESHET_OK);
  freshet_user_destroy(user);
  freshet_model_destroy(large);
  freshet_model_destroy(small);
}

static void bounds_are_kept(void** state) {
  (void)state;
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model = NULL;
  freshet_error error = {0};
  config.dim = 20;
  assert_int_equal(freshet_model_create(&config, &model, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "model.dim"));
  config = freshet_model_defaults();
  config.max_items = 3;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  uint32_t slot;
  for (int i = 0; i < 4; i++) {
    char text[16];
    assert_int_equal(freshet_model_intern(model, name_of(i, text), &slot, NULL),
                     i < 3 ? FRESHET_OK : FRESHET_NO_MEMORY);
  }
  assert_int_equal(freshet_model_find(model, freshet_slice_of("item-9")), FRESHET_NO_ITEM);
  assert_int_equal(freshet_model_find(model, freshet_slice_of("item-1")), 1);
  freshet_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deltas_do_not_change_what_is_learned_and_carry_all_of_it),
      cmocka_unit_test(the_parts_of_a_delta_give_what_the_whole_gives),
      cmocka_unit_test(stored_items_and_the_tail_of_the_log_give_the_same_model),
      cmocka_unit_test(rows_may_count_by_another_log),
      cmocka_unit_test(what_is_learned_during_a_take_is_in_the_next_one),
      cmocka_unit_test(a_take_under_way_does_not_hold_what_others_have_learned),
      cmocka_unit_test(workers_that_exchange_deltas_agree_on_what_adds_up),
      cmocka_unit_test(slots_in_another_order_learn_the_same),
      cmocka_unit_test(parts_sum_to_the_score_and_the_score_to_the_rows),
      cmocka_unit_test(rows_follow_every_event),
      cmocka_unit_test(stays_finite_on_hostile_streams),
      cmocka_unit_test(a_broken_user_is_refused_and_harms_nothing),
      cmocka_unit_test(history_keeps_time_order_and_one_place_per_item),
      cmocka_unit_test(malformed_deltas_change_nothing),
      cmocka_unit_test(like_texts_are_neighbours_in_any_order),
      cmocka_unit_test(a_kept_start_carries_items_to_other_vectors),
      cmocka_unit_test(a_lower_limit_takes_the_state_of_others),
      cmocka_unit_test(bounds_are_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
