/* The protocol of `freshet evaluate`: the order of events, places and their sums, that nothing is learned
 * before it is asked for, and that a pass repeats to the bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "commands/evaluate/evaluate_intake.h"
#include "commands/evaluate/evaluate_rating.h"
#include "commands/evaluate/evaluate_run.h"
#include "commands/options.h"
#include "core/maths.h"

enum { USERS = 30, ITEMS = 60, EVENTS = 3000 };

static const freshet_history_rules plain_rules = {.positive_rating = 4, .weights = {1, 1, 1}, .seed = 5};

/* Ratings of users who keep to neighbouring items; many share their time with others of the same user. */
static freshet_history* make_history(const freshet_history_rules* rules) {
  freshet_history* history = freshet_history_create();
  char id[16];
  for (int i = 0; i < ITEMS; i++) {
    snprintf(id, sizeof id, "i%d", i);
    assert_int_equal(freshet_history_intern_item(history, freshet_slice_of(id)), i);
  }
  for (int i = 0; i < USERS; i++) {
    snprintf(id, sizeof id, "u%d", i);
    assert_int_equal(freshet_history_intern_user(history, freshet_slice_of(id)), i);
  }
  for (uint64_t i = 0; i < EVENTS; i++) {
    uint64_t random = freshet_random(1, i);
    freshet_history_event event = {.user = (uint32_t)(random % USERS),
                                   .type = FRESHET_RATING,
                                   .rating = (float)(1 + (random >> 20) % 5),
                                   .time_ms = (int64_t)(i / 50 * 1000 - random % 3 * 1000)};
    event.item = (uint32_t)(event.user * 2 + (random >> 30) % 12) % ITEMS;
    freshet_history_add(history, &event);
  }
  freshet_history_arrange(history, rules);
  return history;
}

static void events_stand_in_the_order_of_the_protocol(void** state) {
  (void)state;
  freshet_history_rules other = plain_rules;
  other.seed = 6;
  freshet_history *a = make_history(&plain_rules), *b = make_history(&plain_rules), *c = make_history(&other);
  size_t moved = 0;
  bool seen[USERS][ITEMS] = {{false}};
  for (size_t i = 0; i < EVENTS; i++) {
    const freshet_history_event* e = &a->events[i];
    if (i > 0) assert_true(a->events[i - 1].time_ms <= e->time_ms);
    assert_int_equal(e->item, b->events[i].item);
    assert_int_equal(e->user, c->events[i].user); /* only a user's own events change places */
    moved += e->item != c->events[i].item;
    assert_int_equal(e->positive, e->rating >= 4);
    assert_int_equal(e->ranked, e->positive && !seen[e->user][e->item]);
    assert_false(e->context);
    if (e->positive) seen[e->user][e->item] = true;
  }
  assert_true(moved > EVENTS / 20);
  freshet_history_destroy(a);
  freshet_history_destroy(b);
  freshet_history_destroy(c);
}

static void low_ratings_become_context_when_all_are_kept(void** state) {
  (void)state;
  freshet_history_rules rules = plain_rules;
  rules.all_ratings = true;
  freshet_history* history = make_history(&rules);
  bool seen[USERS][ITEMS] = {{false}};
  for (size_t i = 0; i < EVENTS; i++) {
    const freshet_history_event* e = &history->events[i];
    assert_int_equal(e->ranked, e->positive && !seen[e->user][e->item]);
    assert_int_equal(e->context, !e->positive && !seen[e->user][e->item]);
    seen[e->user][e->item] = true;
  }
  freshet_history_destroy(history);
}

static void places_count_half_of_the_ties_and_misses(void** state) {
  (void)state;
  static const struct {
    float scores[14];
    double rank; /* of item 2; INFINITY: a miss */
  } cases[] = {
      {{0, 1, 5, 2}, 0},   {{6, 1, 5, 7}, 1}, /* item 3 is owned */
      {{5, 5, 5, 9}, 1},                      /* two equal ones count half each */
      {{5, 6, 5, 9}, 1.5}, {{0, 0, NAN, 0}, INFINITY}, {{1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 12},
  };
  bool has[14] = {[3] = true};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    freshet_metrics metrics = freshet_metrics_make(14);
    freshet_trial trial = {.item = 2, .negative = 1, .has = has, .counted = true};
    freshet_placing placing = freshet_placing_of(&trial, cases[i].scores, 14);
    freshet_metrics_add(&metrics, &trial, &placing);
    double rank = cases[i].rank;
    assert_float_equal(metrics.all.recall, rank < 10 ? 1 : 0, 1e-12);
    assert_float_equal(metrics.all.mrr, rank < 10 ? 1 / (rank + 1) : 0, 1e-12);
    assert_float_equal(metrics.all.ndcg, rank < 10 ? 1 / log2(rank + 2) : 0, 1e-12);
    freshet_metrics_free(&metrics);
  }
}

static void lists_cover_their_ten_best_items(void** state) {
  (void)state;
  float scores[ITEMS];
  bool has[ITEMS] = {[7] = true};
  freshet_metrics metrics = freshet_metrics_make(ITEMS);
  for (int i = 0; i < ITEMS; i++) scores[i] = (float)(i * 37 % ITEMS);
  freshet_trial trial = {.has = has, .counted = true};
  freshet_placing placing = freshet_placing_of(&trial, scores, ITEMS);
  freshet_metrics_add(&metrics, &trial, &placing);
  assert_float_equal(freshet_metrics_coverage(&metrics), 10.0 / ITEMS, 1e-12);
  for (uint32_t i = 0; i < ITEMS; i++) {
    size_t better = 0;
    for (int j = 0; j < ITEMS; j++) better += !has[j] && scores[j] > scores[i];
    assert_int_equal(metrics.covered[0] >> i & 1, !has[i] && better < 10);
  }
  freshet_metrics_free(&metrics);
}

/* A contender that knows the future only of what it has been told. */
typedef struct spy {
  freshet_contender contender;
  const freshet_history* history;
  size_t learned, asked;
  bool known[USERS][ITEMS];
} spy;

static void spy_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  spy* own = (spy*)self;
  own->asked++;
  assert_false(own->known[event->user][event->item]);
  for (size_t i = 0; i < ITEMS; i++) scores[i] = 0;
}

static void spy_learn(freshet_contender* self, const freshet_history_event* event) {
  spy* own = (spy*)self;
  own->learned++;
  own->known[event->user][event->item] = true;
}

static void nothing_is_learned_before_it_is_asked_for(void** state) {
  (void)state;
  freshet_history* history = make_history(&plain_rules);
  static spy watcher;
  watcher = (spy){.contender = {.name = "spy", .score = spy_score, .learn = spy_learn}, .history = history};
  freshet_contender* contender = &watcher.contender;
  freshet_metrics metrics = freshet_metrics_make(ITEMS);
  freshet_pass pass = {.history = history,
                       .contenders = &contender,
                       .metrics = &metrics,
                       .contender_count = 1,
                       .to = EVENTS,
                       .skipped_share = .2};
  freshet_pass_run(&pass);
  assert_int_equal(watcher.asked, watcher.learned);
  assert_int_equal(metrics.all.count, watcher.asked - (watcher.asked + 4) / 5);
  assert_float_equal(metrics.auc / (double)metrics.all.count, .5, 1e-9); /* all scores are equal */
  freshet_metrics_free(&metrics);
  freshet_history_destroy(history);
}

static uint64_t run_all(const freshet_history* history, double* recall, double* rmse) {
  freshet_model_config config = freshet_model_defaults();
  freshet_learner* learner = NULL;
  config.dim = 16;
  config.negatives = 10;
  assert_int_equal(freshet_learner_create(history, &config, true, &learner, NULL), FRESHET_OK);
  freshet_contender* contenders[4] = {&learner->contender};
  freshet_metrics metrics[4];
  for (size_t c = 0; c < 4; c++) {
    metrics[c] = freshet_metrics_make(ITEMS);
    if (c > 0) contenders[c] = freshet_baseline_create(freshet_baseline_names[c - 1], history, 1);
  }
  freshet_pass pass = {.history = history,
                       .contenders = contenders,
                       .metrics = metrics,
                       .contender_count = 4,
                       .learner = learner,
                       .to = EVENTS,
                       .skipped_share = .2};
  *rmse = freshet_pass_run(&pass).rmse;
  for (size_t c = 0; c < 4; c++) {
    recall[c] = metrics[c].all.recall / (double)metrics[c].all.count;
    freshet_metrics_free(&metrics[c]);
  }
  uint64_t hash = freshet_model_hash(learner->model);
  for (size_t c = 0; c < 4; c++) contenders[c]->destroy(contenders[c]);
  return hash;
}

static void a_pass_repeats_to_the_bit_and_finds_more_than_chance(void** state) {
  (void)state;
  freshet_history* history = make_history(&plain_rules);
  double recall[4], again[4], rmse, rmse_again;
  uint64_t hash = run_all(history, recall, &rmse);
  assert_true(hash == run_all(history, again, &rmse_again));
  assert_memory_equal(recall, again, sizeof recall);
  assert_true(recall[0] > .3 && recall[0] > recall[1]); /* chance is about 10 / 56 */
  assert_true(rmse > 1 && rmse < 1.6 && rmse == rmse_again);
  assert_null(freshet_baseline_create("nothing", history, 1));
  freshet_history_destroy(history);
}

/* The list of the ranker says the same as the scores of all items, wherever it says anything. */
static void a_list_places_as_all_scores_do(void** state) {
  (void)state;
  freshet_history* history = make_history(&plain_rules);
  freshet_model_config config = freshet_model_defaults();
  freshet_learner* learner = NULL;
  uint32_t own[USERS][EVENTS], own_counts[USERS] = {0};
  bool has[USERS][ITEMS] = {0};
  size_t asked = 0, told = 0, placed = 0;
  config.dim = 16;
  assert_int_equal(freshet_learner_create(history, &config, false, &learner, NULL), FRESHET_OK);
  freshet_contender* contender = &learner->contender;
  for (size_t i = 0; i < history->event_count; i++) {
    const freshet_history_event* e = &history->events[i];
    if (!e->ranked) continue;
    float scores[ITEMS];
    freshet_placing by_list = {0};
    const freshet_trial trial = {.item = e->item,
                                 .negative = (e->item + 1) % ITEMS,
                                 .has = has[e->user],
                                 .own = own[e->user],
                                 .own_count = own_counts[e->user]};
    asked++;
    contender->score(contender, e, scores);
    freshet_placing by_scores = freshet_placing_of(&trial, scores, ITEMS);
    if (contender->place(contender, e, &trial, &by_list)) {
      told++;
      placed += by_list.rank < FRESHET_LIST_SIZE;
      assert_true(by_list.rank == by_scores.rank ||
                  (isinf(by_list.rank) && by_scores.rank >= FRESHET_LIST_SIZE));
      assert_float_equal(by_list.right, by_scores.right, 1e-4);
      assert_float_equal(by_list.wrong, by_scores.wrong, 1e-4);
      assert_int_equal(by_list.listed, by_scores.listed);
      for (size_t p = 0; p < by_list.listed; p++)
        assert_float_equal(scores[by_list.list[p]], scores[by_scores.list[p]], 1e-4);
    }
    contender->learn(contender, e);
    own[e->user][own_counts[e->user]++] = e->item;
    has[e->user][e->item] = true;
  }
  assert_true(told > asked * 3 / 4 && placed > told / 10 &&
              placed < told); /* most are told, and not only misses */
  contender->destroy(contender);
  freshet_history_destroy(history);
}

/* One user chooses items 0 .. 24 in turn, another item 24: the nearer its place, the more alike. */
static void item_knn_is_a_cosine_that_fades_with_distance(void** state) {
  (void)state;
  freshet_history* history = make_history(&plain_rules);
  freshet_contender* knn = freshet_baseline_create("item-knn", history, 1);
  float scores[ITEMS];
  freshet_history_event event = {.user = 0, .positive = true};
  for (event.item = 0; event.item <= 24; event.item++) knn->learn(knn, &event);
  event = (freshet_history_event){.user = 1, .item = 24, .positive = true};
  knn->score(knn, &event, scores);
  /* Nothing is known of this user: popularity stands in, below every similarity. */
  for (uint32_t i = 0; i < ITEMS; i++) assert_true(scores[i] < 1e-12F && (scores[i] > 0) == (i <= 24));
  knn->learn(knn, &event);
  knn->score(knn, &event, scores);
  for (uint32_t i = 0; i < ITEMS; i++) {
    double together = i >= 4 && i < 24 ? pow(.9, 23.0 - i) : 0; /* 20 items back, no more */
    assert_true(fabs((double)scores[i] - together / sqrt((2 + 1) * (1 + 1))) < 1e-6);
  }
  knn->destroy(knn);
  freshet_history_destroy(history);
}

static void ratings_are_predicted_from_biases(void** state) {
  (void)state;
  freshet_rater* rater = freshet_rater_create(USERS, ITEMS);
  double squares = 0;
  enum { RATINGS = 20000 };
  for (uint64_t i = 0; i < RATINGS; i++) {
    uint64_t random = freshet_random(3, i);
    uint32_t user = (uint32_t)(random % USERS), item = (uint32_t)((random >> 20) % ITEMS);
    double rating = 3 + (user % 3 - 1.0) * .7 + (item % 3 - 1.0) * .7;
    double error = freshet_rater_step(rater, user, item, 0, rating);
    if (i >= RATINGS / 2) squares += error * error;
  }
  assert_true(sqrt(squares / (RATINGS / 2.0)) < .1);
  freshet_rater_destroy(rater);
}

/* Reads files as `freshet evaluate` does. */
static freshet_status read_file(const char* path, size_t limit, freshet_history* history,
                                freshet_census* census, freshet_error* error) {
  freshet_options options = {0};
  freshet_config* config = NULL;
  freshet_input_arguments inputs = {0};
  assert_int_equal(freshet_options_load(&options, &config, NULL), FRESHET_OK);
  freshet_input_arguments_add(&inputs, path, FRESHET_INPUT_EVENTS);
  freshet_status status = freshet_input_arguments_finish(&inputs, error);
  freshet_intake intake = {.inputs = &inputs, .config = config, .limit = limit, .census = census};
  if (status == FRESHET_OK) status = freshet_intake_read(&intake, &plain_rules, history, error);
  freshet_input_arguments_free(&inputs);
  freshet_config_destroy(config);
  return status;
}

static void learns_what_replay_takes_and_nothing_else(void** state) {
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "/tmp/freshet-evaluate-%d.csv", (int)getpid());
  FILE* file = fopen(path, "w");
  assert_non_null(file);
  fprintf(file,
          "user_id,item_id,occurred_at,type,value\nu,a,1323435002000,click,\nu,b,1323435001000,rating,4.5\n"
          "v,a,x,click,\nu,Heat, The,5,click,\nv,c,1323435003000,buy,\n");
  fclose(file);
  freshet_history* history = freshet_history_create();
  freshet_census* census = freshet_census_create();
  assert_int_equal(read_file(path, 0, history, census, NULL), FRESHET_OK);
  assert_int_equal(freshet_census_counts_of(census)->events, 3);
  assert_int_equal(freshet_census_counts_of(census)->rejected, 2);
  assert_int_equal(history->event_count, 3);
  freshet_history_destroy(history);
  freshet_census_destroy(census);
  history = freshet_history_create();
  census = freshet_census_create();
  assert_int_equal(read_file(path, 2, history, census, NULL), FRESHET_OK);
  assert_int_equal(history->event_count, 2);
  assert_int_equal(history->events[0].time_ms, 1323435001000);
  assert_string_equal(history->items[history->events[1].item].id, "a");
  freshet_history_destroy(history);
  freshet_census_destroy(census);
  unlink(path);
}

static void nothing_to_learn_is_an_error(void** state) {
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "/tmp/freshet-evaluate-%d.csv", (int)getpid());
  FILE* file = fopen(path, "w");
  assert_non_null(file);
  fprintf(file, "user_id,item_id,occurred_at\nu,a,never\n");
  fclose(file);
  freshet_history* history = freshet_history_create();
  freshet_census* census = freshet_census_create();
  freshet_error error = {0};
  assert_int_equal(read_file(path, 0, history, census, &error), FRESHET_INVALID);
  assert_non_null(strstr(error.message, "no event to learn: 1 rows were rejected"));
  freshet_history_destroy(history);
  freshet_census_destroy(census);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(events_stand_in_the_order_of_the_protocol),
      cmocka_unit_test(low_ratings_become_context_when_all_are_kept),
      cmocka_unit_test(places_count_half_of_the_ties_and_misses),
      cmocka_unit_test(lists_cover_their_ten_best_items),
      cmocka_unit_test(nothing_is_learned_before_it_is_asked_for),
      cmocka_unit_test(a_pass_repeats_to_the_bit_and_finds_more_than_chance),
      cmocka_unit_test(a_list_places_as_all_scores_do),
      cmocka_unit_test(item_knn_is_a_cosine_that_fades_with_distance),
      cmocka_unit_test(ratings_are_predicted_from_biases),
      cmocka_unit_test(learns_what_replay_takes_and_nothing_else),
      cmocka_unit_test(nothing_to_learn_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
