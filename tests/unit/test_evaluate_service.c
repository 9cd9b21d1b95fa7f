/* The service's protocol of `freshet evaluate`: which events belong to which group, what is hidden, intervals,
 * and that a baseline's setting is chosen on the first events only. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "commands/evaluate/evaluate_baselines.h"
#include "commands/evaluate/evaluate_service.h"
#include "core/maths.h"

enum { ITEMS = 40 };

static const freshet_history_rules plain_rules = {.positive_rating = 4, .weights = {1, 1, 1}, .seed = 5};

static freshet_history* empty_history(int users) {
  freshet_history* history = freshet_history_create();
  char id[16];
  for (int i = 0; i < ITEMS; i++) {
    snprintf(id, sizeof id, "i%d", i);
    freshet_history_intern_item(history, freshet_slice_of(id));
  }
  for (int i = 0; i < users; i++) {
    snprintf(id, sizeof id, "u%d", i);
    freshet_history_intern_user(history, freshet_slice_of(id));
  }
  return history;
}

static void add(freshet_history* history, uint32_t user, uint32_t item, float rating, int64_t time_ms) {
  freshet_history_event event = {.user = user,
                                 .item = item,
                                 .type = rating == 0 ? FRESHET_PURCHASE : FRESHET_RATING,
                                 .rating = rating,
                                 .time_ms = time_ms};
  freshet_history_add(history, &event);
}

/* A contender that puts the items in the order of their numbers, and remembers what it was taught. */
typedef struct spy {
  freshet_contender contender;
  size_t learned;
} spy;

static void spy_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  (void)self, (void)event;
  for (int i = 0; i < ITEMS; i++) scores[i] = (float)-i;
}

static void spy_learn(freshet_contender* self, const freshet_history_event* event) {
  (void)event;
  ((spy*)self)->learned++;
}

static void run(const freshet_history* history, freshet_hide hide, freshet_service_metrics metrics[2],
                size_t* learned) {
  const freshet_model_config config = freshet_model_defaults();
  const freshet_rules rules = {.hide = hide, .exclude_own = true};
  freshet_learner* learner;
  spy s = {.contender = {"spy", spy_score, spy_learn, NULL, NULL, NULL}};
  assert_int_equal(freshet_learner_create(history, &config, false, &learner, NULL), FRESHET_OK);
  freshet_contender* contenders[2] = {&learner->contender, &s.contender};
  freshet_service_pass pass = {.history = history,
                               .contenders = contenders,
                               .metrics = metrics,
                               .contender_count = 2,
                               .learner = learner,
                               .rules = &rules,
                               .disliked = 2};
  freshet_service_pass_run(&pass);
  learner->contender.destroy(&learner->contender);
  *learned = s.learned;
}

static size_t count_of(const freshet_service_metrics* metrics, freshet_group group) {
  return metrics->groups[group].sums.count;
}

static void every_event_is_learned_and_each_group_gets_its_own(void** state) {
  (void)state;
  freshet_history* history = empty_history(1);
  freshet_service_metrics* metrics = calloc(2, sizeof *metrics);
  size_t learned;
  add(history, 0, 3, 0, 1000);  /* bought: new */
  add(history, 0, 3, 0, 2000);  /* bought again */
  add(history, 0, 4, 1, 3000);  /* disliked */
  add(history, 0, 5, 3, 4000);  /* low, but not disliked: learned only */
  add(history, 0, 4, 1, 5000);  /* disliked again: no longer a question of lists */
  add(history, 0, 4, 5, 6000);  /* liked after all: again */
  add(history, 0, 30, 5, 7000); /* new, and far down in the spy's order */
  freshet_history_arrange(history, &plain_rules);
  run(history, FRESHET_HIDE_NOTHING, metrics, &learned);
  assert_int_equal(learned, 7);
  assert_int_equal(count_of(&metrics[1], FRESHET_GROUP_NEW), 2);
  assert_int_equal(count_of(&metrics[1], FRESHET_GROUP_AGAIN), 2);
  assert_int_equal(count_of(&metrics[1], FRESHET_GROUP_ALL), 4);
  assert_int_equal(count_of(&metrics[1], FRESHET_GROUP_DISLIKED), 1);
  /* Places 3, 3, 4 and 30 of the spy, none hidden. */
  assert_float_equal(freshet_boot_mean(&metrics[1].groups[FRESHET_GROUP_NEW], FRESHET_RECALL), .5, 1e-9);
  assert_float_equal(freshet_boot_mean(&metrics[1].groups[FRESHET_GROUP_AGAIN], FRESHET_MRR),
                     (1. / 4 + 1. / 5) / 2, 1e-9);
  assert_float_equal(freshet_service_disliked_in_list(&metrics[1]), 1. / 5, 1e-9);
  assert_int_equal(metrics[1].segments[FRESHET_SEGMENT_HISTORY][0].sums.count, 1);
  assert_int_equal(metrics[1].segments[FRESHET_SEGMENT_HISTORY][1].sums.count, 3);
  assert_int_equal(metrics[1].segments[FRESHET_SEGMENT_AGE][0].sums.count, 2); /* first events of 3 and 30 */
  free(metrics);
  freshet_history_destroy(history);
}

/* Users with a short history choose what is listed, users with a long one what is not: an interval tells. */
static void a_segment_differs_from_all_that_is_chosen(void** state) {
  (void)state;
  enum { USERS = 60, CHOSEN = 8 };
  freshet_history* history = empty_history(USERS);
  freshet_service_metrics* metrics = calloc(2, sizeof *metrics);
  size_t learned;
  for (uint32_t n = 0; n < CHOSEN; n++) {
    for (uint32_t user = 0; user < USERS; user++)
      add(history, user, n < 5 ? n : 20 + n, 0, (int64_t)(n * USERS + user + 1) * 1000);
  }
  freshet_history_arrange(history, &plain_rules);
  run(history, FRESHET_HIDE_NOTHING, metrics, &learned);
  const freshet_boot *all = &metrics[1].groups[FRESHET_GROUP_ALL],
                     *parts = metrics[1].segments[FRESHET_SEGMENT_HISTORY];
  assert_true(freshet_boot_difference(&parts[1], all, FRESHET_RECALL).low > 0);
  assert_true(freshet_boot_difference(&parts[2], all, FRESHET_RECALL).high < 0);
  const freshet_interval session =
      freshet_boot_difference(&metrics[1].segments[FRESHET_SEGMENT_SESSION][0], all, FRESHET_RECALL);
  assert_true(session.low >= 0);
  free(metrics);
  freshet_history_destroy(history);
}

/* An impression, a dislike, and then the choice; also with low ratings as context. */
static void feedback_is_learned_and_makes_no_item_met(void** state) {
  (void)state;
  freshet_history* history = empty_history(1);
  freshet_service_metrics* metrics = calloc(2, sizeof *metrics);
  freshet_history_rules rules = plain_rules;
  size_t learned;
  add(history, 0, 3, 0, 1000);
  for (int i = 0; i < 2; i++) {
    freshet_history_event told = {.item = 4, .type = FRESHET_FEEDBACK, .time_ms = 2000 + i};
    told.feedback = i == 0 ? FRESHET_IMPRESSION : FRESHET_DISLIKE;
    freshet_history_add(history, &told);
  }
  add(history, 0, 4, 0, 3000);
  rules.all_ratings = true;
  freshet_history_arrange(history, &rules);
  for (size_t i = 0; i < 4; i++) {
    assert_true(history->events[i].ranked == (history->events[i].type == FRESHET_PURCHASE));
    assert_false(history->events[i].context);
  }
  run(history, FRESHET_HIDE_NOTHING, metrics, &learned);
  assert_int_equal(learned, 4);
  assert_int_equal(count_of(&metrics[1], FRESHET_GROUP_NEW), 2);
  assert_int_equal(count_of(&metrics[1], FRESHET_GROUP_AGAIN), 0);
  assert_int_equal(metrics[1].segments[FRESHET_SEGMENT_AGE][0].sums.count, 2);
  assert_int_equal(metrics[1].segments[FRESHET_SEGMENT_SESSION][0].sums.count, 1);
  assert_int_equal(metrics[1].segments[FRESHET_SEGMENT_SESSION][1].sums.count, 1);
  free(metrics);
  freshet_history_destroy(history);
}

static void what_is_hidden_is_in_no_list(void** state) {
  (void)state;
  freshet_history* history = empty_history(1);
  freshet_service_metrics* metrics = calloc(2, sizeof *metrics);
  size_t learned;
  add(history, 0, 0, 0, 1000);
  add(history, 0, 0, 0, 2000); /* hidden from all contenders */
  add(history, 0, 1, 0, 3000); /* place 0 once item 0 is hidden */
  freshet_history_arrange(history, &plain_rules);
  run(history, FRESHET_HIDE_SEEN, metrics, &learned);
  for (int c = 0; c < 2; c++)
    assert_float_equal(freshet_boot_mean(&metrics[c].groups[FRESHET_GROUP_AGAIN], FRESHET_RECALL), 0, 0);
  assert_float_equal(freshet_boot_mean(&metrics[1].groups[FRESHET_GROUP_NEW], FRESHET_MRR), 1, 1e-9);
  free(metrics);
  freshet_history_destroy(history);
}

static void describe_item(freshet_history* history, uint32_t number, freshet_item item) {
  item.item_id = freshet_slice_of(history->items[number].id);
  freshet_history_add_item(history, &item);
}

/* Records say when an item is on offer, and to whom it belongs. */
static void what_is_not_on_offer_is_in_no_list(void** state) {
  (void)state;
  freshet_history* history = empty_history(2);
  freshet_service_metrics* metrics = calloc(2, sizeof *metrics);
  const freshet_attribute owner = {freshet_slice_of("owner"), freshet_slice_of("u0")};
  size_t learned;
  describe_item(history, 0, (freshet_item){.available = false});
  describe_item(history, 1, (freshet_item){.available = true, .created_at_ms = 5000});
  describe_item(history, 2, (freshet_item){.available = true, .expires_at_ms = 3000});
  describe_item(history, 3, (freshet_item){.available = true, .attributes = &owner, .attribute_count = 1});
  describe_item(history, 6, (freshet_item){.available = true, .created_at_ms = 50000});
  add(history, 0, 4, 0, 2000); /* after item 2: place 1 */
  add(history, 1, 4, 0, 4000); /* after item 3: place 1 */
  add(history, 1, 5, 0, 6000); /* after items 1, 3 and 4: place 3 */
  add(history, 1, 0, 0, 7000); /* a miss */
  add(history, 0, 6, 0, 8000); /* before it was created: a miss */
  add(history, 1, 6, 0, 9000); /* known since: place 4, after 1, 3, 4 and 5 */
  freshet_history_arrange(history, &plain_rules);
  run(history, FRESHET_HIDE_NOTHING, metrics, &learned);
  assert_int_equal(learned, 6);
  assert_float_equal(freshet_boot_mean(&metrics[1].groups[FRESHET_GROUP_NEW], FRESHET_MRR),
                     (1. / 2 + 1. / 2 + 1. / 4 + 1. / 5) / 6, 1e-9);
  assert_int_equal(metrics[0].not_on_offer, 2);
  free(metrics);
  freshet_history_destroy(history);
}

static void an_interval_holds_the_mean_and_tells_a_difference(void** state) {
  (void)state;
  freshet_boot* boots = calloc(3, sizeof *boots);
  for (uint32_t user = 0; user < 200; user++) {
    freshet_boot_weights weights;
    freshet_boot_draw(user, &weights);
    for (uint64_t event = 0; event < 5; event++) {
      uint64_t random = freshet_random(user, event);
      bool lucky = random % 10 < 3; /* .3, and .3 of others, and .6 */
      freshet_boot_add(&boots[0], &weights, lucky ? 0 : INFINITY);
      freshet_boot_add(&boots[1], &weights, random / 16 % 10 < 3 ? 0 : INFINITY);
      freshet_boot_add(&boots[2], &weights, random % 10 < 6 ? 0 : 10);
    }
  }
  freshet_interval own = freshet_boot_interval(&boots[0], FRESHET_RECALL);
  double mean = freshet_boot_mean(&boots[0], FRESHET_RECALL);
  assert_true(own.low < mean && mean < own.high);
  /* 1,000 independent events: a standard error of .0145. */
  assert_true(own.high - own.low > .04 && own.high - own.low < .08);
  freshet_interval same = freshet_boot_difference(&boots[0], &boots[1], FRESHET_RECALL);
  freshet_interval more = freshet_boot_difference(&boots[2], &boots[0], FRESHET_RECALL);
  assert_true(same.low < 0 && same.high > 0);
  assert_true(more.low > .2 && more.high < .4);
  free(boots);
}

/* Setting 0 puts item 0 first, setting 1 item 1. */
static void stub_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  (void)event;
  for (int i = 0; i < ITEMS; i++) scores[i] = (float)-i;
  scores[self->name[0] == 'a' ? 30 : 31] = 1;
}

static void stub_learn(freshet_contender* self, const freshet_history_event* event) {
  (void)self, (void)event;
}

static void stub_destroy(freshet_contender* self) {
  free(self);
}

static freshet_contender* stub_create(const freshet_history* history, size_t setting, uint64_t seed) {
  (void)history, (void)seed;
  freshet_contender* made = calloc(1, sizeof *made);
  *made = (freshet_contender){
      .name = setting == 0 ? "a" : "b", .score = stub_score, .learn = stub_learn, .destroy = stub_destroy};
  return made;
}

static void stub_describe(size_t setting, char text[FRESHET_SETTING_SIZE]) {
  snprintf(text, FRESHET_SETTING_SIZE, "number %zu", setting);
}

static void a_setting_is_chosen_before_events_count(void** state) {
  (void)state;
  freshet_history* history = empty_history(1);
  const freshet_method method = {"stub", 2, stub_create, stub_describe};
  freshet_contender* tuned = freshet_tuned_create(&method, history, 1);
  const bool has[ITEMS] = {false};
  freshet_history_event event = {.positive = true, .item = 31};
  freshet_trial trial = {.item = 31, .has = has};
  freshet_placing placing;
  float scores[ITEMS];
  char setting[FRESHET_SETTING_SIZE];
  assert_true(tuned->place(tuned, &event, &trial, &placing));
  assert_true(placing.rank > 0); /* by setting 0: nothing was known yet */
  assert_true(tuned->place(tuned, &event, &trial, &placing));
  assert_float_equal(placing.rank, 0, 0); /* by setting 1 */
  trial.counted = true;
  trial.item = event.item = 30; /* what comes later changes nothing */
  for (int i = 0; i < 5; i++) assert_false(tuned->place(tuned, &event, &trial, &placing));
  tuned->score(tuned, &event, scores);
  assert_true(scores[31] > scores[30]);
  tuned->describe(tuned, setting);
  assert_string_equal(setting, "number 1");
  tuned->destroy(tuned);
  freshet_history_destroy(history);
}

/* What is shown and chosen in one moment was shown first: the choice is no pass. */
static void impressions_come_before_the_choices_of_a_moment(void** state) {
  (void)state;
  freshet_history* history = empty_history(2);
  for (int moment = 0; moment < 20; moment++) {
    add(history, 0, 7, 0, moment * 1000);
    for (uint32_t i = 0; i < 10; i++) {
      const freshet_history_event shown = {.user = 0,
                                           .item = i,
                                           .type = FRESHET_FEEDBACK,
                                           .feedback = FRESHET_IMPRESSION,
                                           .place = (int32_t)i,
                                           .time_ms = moment * 1000};
      freshet_history_add(history, &shown);
    }
  }
  freshet_history_arrange(history, &plain_rules);
  for (size_t i = 0; i < history->event_count; i++) {
    assert_int_equal(history->events[i].type, i % 11 == 10 ? FRESHET_PURCHASE : FRESHET_FEEDBACK);
    if (i % 11 < 10) assert_int_equal(history->events[i].place, i % 11);
  }
  freshet_model_config config = freshet_model_defaults();
  freshet_learner* learner;
  assert_int_equal(freshet_learner_create(history, &config, false, &learner, NULL), FRESHET_OK);
  for (size_t i = 0; i < 22; i++) learner->contender.learn(&learner->contender, &history->events[i]);
  const freshet_user* user = freshet_learner_user(learner, 0);
  assert_int_equal(user->positives, 2);
  assert_int_equal(user->shown_count, 9);
  assert_int_equal(user->recent_count, 1);
  learner->contender.destroy(&learner->contender);
  freshet_history_destroy(history);
}

/* People buy the same two things in turn, and everybody else's are popular. */
static void personal_and_vs_knn_find_what_they_are_for(void** state) {
  (void)state;
  freshet_history* history = empty_history(4);
  freshet_contender* personal = freshet_method_personal.create(history, 0, 1);
  freshet_contender* sessions = freshet_method_vs_knn.create(history, 0, 1);
  float scores[ITEMS];
  for (uint32_t turn = 0; turn < 6; turn++) {
    for (uint32_t user = 0; user < 4; user++) {
      freshet_history_event event = {.user = user,
                                     .item = 2 * user + turn % 2,
                                     .positive = true,
                                     .time_ms = (int64_t)(turn / 2) * 86400000 + turn % 2 * 1000};
      personal->learn(personal, &event);
      event.user = 0; /* all of it one user's, in sessions of a day */
      sessions->learn(sessions, &event);
    }
  }
  freshet_history_event asked = {.user = 2, .time_ms = 9 * 86400000LL};
  personal->score(personal, &asked, scores);
  for (uint32_t i = 0; i < ITEMS; i++) {
    if (i != 4 && i != 5) assert_true(scores[4] > scores[i] && scores[5] > scores[i]);
  }
  assert_true(scores[0] > scores[20]); /* popularity stands behind */
  asked.user = 0;
  asked.time_ms = 2 * 86400000LL + 2000; /* within the last session */
  sessions->score(sessions, &asked, scores);
  assert_true(scores[3] > scores[20]);
  personal->destroy(personal);
  sessions->destroy(sessions);
  freshet_history_destroy(history);
}

/* Pins, boosts, bounds and variety act on lists as in the service. */
static void lists_are_made_as_by_the_service(void** state) {
  (void)state;
  freshet_history* history = empty_history(1);
  const freshet_slice toys = freshet_slice_of("toys");
  char id[8];
  for (uint32_t i = 0; i < 3; i++) {
    snprintf(id, sizeof id, "i%u", i);
    const freshet_item item = {.item_id = freshet_slice_of(id), .categories = &toys, .category_count = 1};
    freshet_history_add_item(history, &item);
  }
  add(history, 0, 3, 0, 1000);
  const freshet_model_config config = freshet_model_defaults();
  freshet_learner* learner;
  assert_int_equal(freshet_learner_create(history, &config, false, &learner, NULL), FRESHET_OK);
  freshet_boost boost = {freshet_category_key(toys), 5};
  freshet_pin pin = {freshet_id_key(freshet_slice_of("i9")), 1};
  const freshet_rules rules = {
      .boosts = &boost, .boost_count = 1, .pins = &pin, .pin_count = 1, .max_per_category = 2};
  freshet_learner_make_lists(learner, &(freshet_list_making){&rules, 0, 4});
  freshet_rank_query query = {0};
  uint32_t list[FRESHET_LIST_SIZE];
  bool has[ITEMS] = {false};
  assert_int_equal(freshet_model_sync_ranker(learner->model, learner->ranker, NULL), FRESHET_OK);
  freshet_model_query(learner->model, freshet_learner_user(learner, 0), 2000, learner->scratch, &query);
  assert_int_equal(freshet_learner_list(learner, &query, has, list), 4);
  assert_true(list[0] < 3 && list[1] == 9 && list[2] < 3 && list[3] >= 3);
  has[9] = true; /* who has the pinned item is not shown it */
  const uint32_t own = 9;
  query.excluded = &own;
  query.excluded_count = 1;
  assert_int_equal(freshet_learner_list(learner, &query, has, list), 4);
  for (int i = 0; i < 4; i++) assert_int_not_equal(list[i], 9);
  learner->contender.destroy(&learner->contender);
  freshet_history_destroy(history);
}

/* Two texts that are alike are not both in a varied list of two; and the likeness of a list is the mean of its pairs. */
static void a_varied_list_is_less_alike(void** state) {
  (void)state;
  freshet_history* history = empty_history(1);
  enum { DIM = 4 };
  history->text_dim = DIM;
  history->vectors = calloc((size_t)ITEMS * DIM, sizeof *history->vectors);
  for (uint32_t i = 0; i < ITEMS; i++) {
    history->vectors[i * DIM + (i < 2 ? 0 : 1 + i % 3)] = 1;
    free(history->items[i].title);
    history->items[i].title = strdup("lamp");
  }
  const freshet_model_config config = freshet_model_defaults();
  freshet_learner* learner;
  assert_int_equal(freshet_learner_create(history, &config, false, &learner, NULL), FRESHET_OK);
  freshet_model_set_adjustment(learner->model, 0, 5);
  freshet_model_set_adjustment(learner->model, 1, 4);
  freshet_model_set_adjustment(learner->model, 2, 3);
  const freshet_rules rules = {0};
  const uint32_t expected[2][2] = {{0, 1}, {0, 2}};
  for (int varied = 0; varied < 2; varied++) {
    freshet_rank_query query = {0};
    uint32_t list[FRESHET_LIST_SIZE];
    bool has[ITEMS] = {false};
    freshet_learner_make_lists(learner, &(freshet_list_making){&rules, varied == 0 ? 0 : .5F, 2});
    assert_int_equal(freshet_model_sync_ranker(learner->model, learner->ranker, NULL), FRESHET_OK);
    freshet_model_query(learner->model, freshet_learner_user(learner, 0), 2000, learner->scratch, &query);
    assert_int_equal(freshet_learner_list(learner, &query, has, list), 2);
    assert_memory_equal(list, expected[varied], sizeof expected[varied]);
    assert_true(fabs(freshet_learner_list_likeness(learner, list, 2) - (varied == 0 ? 1 : 0)) < .02);
  }
  assert_true(isnan(freshet_learner_list_likeness(learner, (const uint32_t[]){1}, 1)));
  learner->contender.destroy(&learner->contender);
  freshet_history_destroy(history);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_event_is_learned_and_each_group_gets_its_own),
      cmocka_unit_test(feedback_is_learned_and_makes_no_item_met),
      cmocka_unit_test(what_is_hidden_is_in_no_list),
      cmocka_unit_test(a_segment_differs_from_all_that_is_chosen),
      cmocka_unit_test(what_is_not_on_offer_is_in_no_list),
      cmocka_unit_test(an_interval_holds_the_mean_and_tells_a_difference),
      cmocka_unit_test(a_setting_is_chosen_before_events_count),
      cmocka_unit_test(lists_are_made_as_by_the_service),
      cmocka_unit_test(a_varied_list_is_less_alike),
      cmocka_unit_test(impressions_come_before_the_choices_of_a_moment),
      cmocka_unit_test(personal_and_vs_knn_find_what_they_are_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
