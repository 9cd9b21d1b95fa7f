/* What an event weighs: the model finds which dwell times, quantities, prices and types foretell the next choice, in
 * streams of which it is known, and changes nothing where events say nothing of themselves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/maths.h"
#include "core/model_blend.h"
#include "core/observe.h"

enum { GROUPS = 6, GROUP = 10, ITEMS = GROUPS * GROUP, USERS = 60, EVENTS = 12000 };

#include "support_model_world.h"
#include "support_older_globals.h"

static const freshet_event_values values = {.weights = {1, 1, 1, 1}, .positive_rating = 4, .rating_min = 1};

/* What the event weighs at the start, times what its type does. */
static float weight_of(freshet_event event) {
  static const float types[] = {1, 2, 3};
  world w = make_world();
  const freshet_event bare = {.type = event.type};
  const float weight = freshet_model_worth_of(w.model, freshet_signal_of(&event)) /
                       freshet_model_worth_of(w.model, freshet_signal_of(&bare));
  free_world(&w);
  return weight * types[event.type];
}

/* At the start an event weighs more the longer the look and the more the pieces, and at most 1.5 times its type. */
static void long_looks_and_many_pieces_weigh_more(void** state) {
  (void)state;
  static const float looks_s[] = {.1F, 1, 10, 60, 3600, 604800};
  static const int32_t pieces[] = {2, 3, 10, 1000000};
  assert_float_equal(weight_of((freshet_event){.type = FRESHET_CLICK}), 1, 0);
  assert_float_equal(weight_of((freshet_event){.type = FRESHET_CLICK, .dwell_s = 10}), 1, 1e-6);
  assert_float_equal(weight_of((freshet_event){.type = FRESHET_PURCHASE, .quantity = 1}), 3, 0);
  float before = .5F;
  for (size_t i = 0; i < sizeof looks_s / sizeof *looks_s; i++) {
    const float weight = weight_of((freshet_event){.type = FRESHET_CLICK, .dwell_s = looks_s[i]});
    assert_true(weight > before && weight <= 1.5F);
    before = weight;
  }
  before = 3;
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    const float weight = weight_of((freshet_event){.type = FRESHET_PURCHASE, .quantity = pieces[i]});
    assert_true(weight > before && weight <= 4.5F);
    before = weight;
  }
}

/* ---- streams of known truth ---- */

typedef enum truth {
  LONG_TELLS,  /* looks of 60 s are at what the user likes, looks of 2 s at anything */
  SHORT_TELLS, /* the other way round */
  BUYING_TELLS,
  CLICKING_TELLS,
  MANY_TELLS, /* purchases of 12 pieces */
  PIECES_ARE_NOISE,
  DEAR_TELLS,
  CHEAP_TELLS,
} truth;

/* An event at an item of the user's own group if it tells something, else at any. */
static freshet_event event_of(truth of, bool tells, uint64_t random) {
  freshet_event event = {.type = FRESHET_CLICK};
  if (of == LONG_TELLS || of == SHORT_TELLS) event.dwell_s = tells == (of == LONG_TELLS) ? 60 : 2;
  if (of == BUYING_TELLS || of == CLICKING_TELLS)
    event.type = tells == (of == BUYING_TELLS) ? FRESHET_PURCHASE : FRESHET_CLICK;
  if (of == MANY_TELLS || of == PIECES_ARE_NOISE) {
    event.type = FRESHET_PURCHASE;
    event.quantity = (of == MANY_TELLS ? tells : (random & 1) != 0) ? 12 : 1;
  }
  if (of == DEAR_TELLS || of == CHEAP_TELLS) {
    event.type = FRESHET_PURCHASE;
    event.price = tells == (of == DEAR_TELLS) ? 40 : 5;
  }
  return event;
}

/* Plays the stream. Users change what they like from time to time. Returns recall@5 of the events at what the user
 * likes, over the second half. mute: the events say nothing of themselves. */
static double play(world* w, truth of, bool mute) {
  float* scores = malloc(ITEMS * sizeof *scores);
  size_t hits = 0, ranked = 0;
  assert_non_null(scores);
  for (int i = 0; i < EVENTS; i++) {
    const uint64_t random = freshet_random(7, (uint64_t)i);
    const int u = (int)(random % USERS), phase = i / 1500;
    const bool tells = (random >> 20) % 3 != 0;
    const uint32_t own = (uint32_t)(freshet_random((uint64_t)phase, (uint64_t)u) % GROUPS);
    const uint32_t item =
        tells ? own * GROUP + (uint32_t)((random >> 30) % GROUP) : (uint32_t)((random >> 30) % ITEMS);
    freshet_event event = event_of(of, tells, random >> 50);
    event.occurred_at_ms = 1000000LL + i * 60000LL;
    if (tells && i > EVENTS / 2) {
      freshet_rank_query query = {0};
      uint32_t better = 0;
      assert_int_equal(freshet_model_sync_ranker(w->model, NULL, NULL), FRESHET_OK);
      freshet_model_query(w->model, w->users[u], event.occurred_at_ms, w->scratch, &query);
      freshet_model_score_all(w->model, &query, scores);
      for (uint32_t j = 0; j < ITEMS; j++) better += scores[j] > scores[item];
      hits += better < 5;
      ranked++;
    }
    freshet_observation seen = freshet_observe(&values, &event, item);
    if (mute) seen.signal = 0;
    assert_int_equal(freshet_model_learn(w->model, w->users[u], &seen, NULL), FRESHET_OK);
  }
  free(scores);
  return (double)hits / (double)ranked;
}

static float worth_of(const world* w, freshet_event event) {
  return freshet_model_worth_of(w->model, freshet_signal_of(&event));
}

/* How much more an event weighs that tells something than one that does not, after the stream. */
static float learned_ratio(truth of, double* recall) {
  world w = make_world();
  *recall = play(&w, of, false);
  const float ratio = worth_of(&w, event_of(of, true, 1)) / worth_of(&w, event_of(of, false, 0));
  free_world(&w);
  return ratio;
}

/* All streams are the same when the events say nothing of themselves. */
static double mute_recall(void) {
  world w = make_world();
  const double recall = play(&w, LONG_TELLS, true);
  free_world(&w);
  return recall;
}

static void what_foretells_choices_weighs_more(void** state) {
  (void)state;
  static const truth truths[] = {LONG_TELLS, SHORT_TELLS, BUYING_TELLS, CLICKING_TELLS,
                                 MANY_TELLS, DEAR_TELLS,  CHEAP_TELLS};
  const double mute = mute_recall();
  for (size_t i = 0; i < sizeof truths / sizeof *truths; i++) {
    double recall;
    const float ratio = learned_ratio(truths[i], &recall);
    assert_true(ratio > 1.5F);
    assert_true(recall > mute + .01);
  }
}

static void what_is_noise_comes_to_weigh_the_same(void** state) {
  (void)state;
  double recall;
  world w = make_world();
  const float at_first = worth_of(&w, event_of(PIECES_ARE_NOISE, true, 1));
  free_world(&w);
  const float ratio = learned_ratio(PIECES_ARE_NOISE, &recall);
  assert_true(fabsf(logf(ratio)) < logf(at_first) / 2);
  assert_true(recall > mute_recall() - .01);
}

/* Where all events are of one type and say no more, nothing is learned of them, and nothing changes. */
static void plain_streams_stay_as_they_are(void** state) {
  (void)state;
  for (freshet_event_type type = FRESHET_CLICK; type <= FRESHET_PURCHASE; type++) {
    world w = make_world(), mute = make_world();
    for (int i = 0; i < 2000; i++) {
      const uint64_t random = freshet_random(5, (uint64_t)i);
      const freshet_event event = {
          .type = type, .rating = 5, .quantity = 1, .occurred_at_ms = 1000000LL + i * 1000};
      freshet_observation seen = freshet_observe(&values, &event, (uint32_t)(random % ITEMS));
      freshet_model_learn(w.model, w.users[random >> 40 & 7], &seen, NULL);
      seen.signal = 0;
      freshet_model_learn(mute.model, mute.users[random >> 40 & 7], &seen, NULL);
    }
    assert_int_equal(freshet_model_hash(w.model), freshet_model_hash(mute.model));
    free_world(&w);
    free_world(&mute);
  }
}

/* ---- state ---- */

/* Puts weight i of the blend into stored globals. */
static void set_weight(freshet_buffer* globals, int i, double weight) {
  memcpy(globals->data + GLOBALS_BLEND + sizeof(uint32_t) + (size_t)i * sizeof weight, &weight,
         sizeof weight);
}

static void what_was_learned_is_state(void** state) {
  (void)state;
  const freshet_event look = event_of(SHORT_TELLS, true, 0);
  freshet_buffer bytes = {0};
  freshet_model *restored = make_model(), *folded = make_model();
  freshet_model_delta delta;
  world w = make_world();
  play(&w, SHORT_TELLS, false);
  assert_true(worth_of(&w, look) > 1);
  freshet_model_write_globals(w.model, 0, &bytes);
  assert_int_equal(freshet_model_read_globals(restored, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
  assert_float_equal(freshet_model_worth_of(restored, freshet_signal_of(&look)), worth_of(&w, look), 0);
  freshet_model_take_delta(w.model, &delta);
  assert_int_equal(freshet_model_fold(folded, &delta, 0, NULL), FRESHET_OK);
  assert_int_equal(freshet_model_hash(folded), freshet_model_hash(w.model));
  freshet_buffer_free(&bytes);
  freshet_model_destroy(restored);
  freshet_model_destroy(folded);
  free_world(&w);
}

/* State of an older version ends before these weights: they start. */
static void older_state_is_read(void** state) {
  (void)state;
  const freshet_event look = event_of(LONG_TELLS, true, 0);
  freshet_buffer older = {0};
  freshet_model* restored = make_model();
  world w = make_world();
  const float at_first = worth_of(&w, look);
  play(&w, SHORT_TELLS, false);
  older_globals(w.model, AGAIN_END, &older);
  assert_int_equal(freshet_model_read_globals(restored, freshet_buffer_slice(&older), NULL), FRESHET_OK);
  assert_float_equal(freshet_model_worth_of(restored, freshet_signal_of(&look)), at_first, 0);
  freshet_buffer_free(&older);
  freshet_model_destroy(restored);
  free_world(&w);
}

/* Weights beyond their bounds, as in state that somebody else wrote, are cut; learning and scores go on. */
static void weights_that_run_away_are_cut(void** state) {
  (void)state;
  freshet_buffer bytes = {0};
  freshet_model_delta delta;
  world w = make_world();
  play(&w, LONG_TELLS, false);
  freshet_model_take_delta(w.model, &delta);
  freshet_model_take_clipped(w.model);
  freshet_model_write_globals(w.model, 0, &bytes);
  for (int i = 0; i < BLEND_WEIGHTS; i++) set_weight(&bytes, i, i % 2 == 0 ? 999 : -999);
  set_weight(&bytes, WORTH_USUAL_PRICE, 0);
  assert_int_equal(freshet_model_read_globals(w.model, freshet_buffer_slice(&bytes), NULL), FRESHET_OK);
  float scores[ITEMS];
  freshet_rank_query query = {0};
  for (int i = 0; i < 500; i++) {
    freshet_event event = event_of(LONG_TELLS, i % 3 != 0, 0);
    event.occurred_at_ms = 2000000000LL + i * 1000;
    const freshet_observation seen = freshet_observe(&values, &event, (uint32_t)(i * 7 % ITEMS));
    assert_int_equal(freshet_model_learn(w.model, w.users[i % 5], &seen, NULL), FRESHET_OK);
  }
  freshet_model_take_delta(w.model, &delta);
  assert_true(freshet_model_take_clipped(w.model) > 0);
  assert_int_equal(freshet_model_take_clipped(w.model), 0);
  assert_int_equal(freshet_model_sync_ranker(w.model, NULL, NULL), FRESHET_OK);
  freshet_model_query(w.model, w.users[0], 2000600000, w.scratch, &query);
  freshet_model_score_all(w.model, &query, scores);
  for (uint32_t j = 0; j < ITEMS; j++) assert_true(isfinite(scores[j]));
  freshet_buffer_free(&bytes);
  free_world(&w);
}

/* Numbers off any scale: no event weighs more than four times its type, or less than a quarter, and a weight that is
 * set too high is counted. */
static void extreme_events_are_bounded(void** state) {
  (void)state;
  static const freshet_event events[] = {
      {.type = FRESHET_CLICK, .dwell_s = 3e38F},
      {.type = FRESHET_CLICK, .dwell_s = 1e-40F},
      {.type = FRESHET_CLICK, .dwell_s = INFINITY},
      {.type = FRESHET_CLICK, .dwell_s = NAN},
      {.type = FRESHET_CLICK, .dwell_s = -5},
      {.type = FRESHET_PURCHASE, .quantity = INT32_MAX, .price = 1e308},
      {.type = FRESHET_PURCHASE, .quantity = INT32_MIN, .price = 5e-324},
      {.type = FRESHET_PURCHASE, .price = -1},
  };
  world w = make_world();
  for (size_t i = 0; i < 4 * (sizeof events / sizeof *events); i++) {
    const freshet_event* event = &events[i % (sizeof events / sizeof *events)];
    const float worth = worth_of(&w, *event);
    assert_true(worth >= .25F && worth <= 4);
    freshet_observation seen = freshet_observe(&values, event, (uint32_t)i % ITEMS);
    seen.weight = i == 0 ? 1000 : 1;
    assert_int_equal(freshet_model_learn(w.model, w.users[0], &seen, NULL), FRESHET_OK);
  }
  assert_int_equal(freshet_model_take_clipped(w.model), 1);
  for (uint32_t signal = 1; signal < 1U << 31; signal = signal * 3 + 1) { /* what no event has */
    w.users[0]->recent[0].signal = signal;
    freshet_observation seen = {.item = 1, .positive = true, .weight = 1, .signal = signal};
    assert_int_equal(freshet_model_learn(w.model, w.users[0], &seen, NULL), FRESHET_OK);
    const float worth = freshet_model_worth_of(w.model, signal);
    assert_true(worth >= .25F && worth <= 4);
  }
  free_world(&w);
}

/* The weight of that name in the list for people, after the stream. */
static double listed_weight(truth of, const char* part, const char* name) {
  freshet_weight weights[FRESHET_WEIGHTS_MAX];
  double found = NAN;
  world w = make_world();
  play(&w, of, false);
  const size_t count = freshet_model_weights(w.model, weights);
  for (size_t i = 0; i < count; i++) {
    assert_true(isfinite(weights[i].weight));
    if (strcmp(weights[i].part, part) == 0 && strcmp(weights[i].of, name) == 0) found = weights[i].weight;
  }
  free_world(&w);
  return found;
}

static void the_list_of_weights_says_what_was_learned(void** state) {
  (void)state;
  assert_true(listed_weight(SHORT_TELLS, "dwell_s", "1") > listed_weight(SHORT_TELLS, "dwell_s", "120"));
  assert_true(listed_weight(CHEAP_TELLS, "price", "0.3") > listed_weight(CHEAP_TELLS, "price", "3"));
  assert_true(listed_weight(CLICKING_TELLS, "event", "purchase") < 1);
  assert_true(isnan(listed_weight(SHORT_TELLS, "price", "1"))); /* the stream has none */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(long_looks_and_many_pieces_weigh_more),
      cmocka_unit_test(what_foretells_choices_weighs_more),
      cmocka_unit_test(what_is_noise_comes_to_weigh_the_same),
      cmocka_unit_test(the_list_of_weights_says_what_was_learned),
      cmocka_unit_test(plain_streams_stay_as_they_are),
      cmocka_unit_test(what_was_learned_is_state),
      cmocka_unit_test(older_state_is_read),
      cmocka_unit_test(weights_that_run_away_are_cut),
      cmocka_unit_test(extreme_events_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
