/* Lists under rules against a naive oracle; chance against the propensities that it is logged with; rules of
 * a configuration that contradict each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include <unistd.h>

#include "core/rules.h"
#include "freshet/model.h"
#include "service/config.h"

enum { ITEMS = 60, CATEGORIES = 6, PLACES = 12, RUNS = 20000, DRAWS = 200000 };

static uint64_t seed = 88172645463325252u;
static uint32_t below(uint32_t n) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (uint32_t)((seed >> 20) % n);
}

static unsigned categories[ITEMS]; /* bits */

static freshet_facets* some_facets(void) {
  static const char* const names[CATEGORIES] = {"a", "b", "c", "d", "e", "f"};
  freshet_facets* facets = freshet_facets_create();
  for (uint32_t slot = 0; slot < ITEMS; slot++) {
    freshet_slice list[CATEGORIES];
    freshet_item item = {.categories = list};
    categories[slot] = below(1u << CATEGORIES) & below(1u << CATEGORIES);
    for (unsigned c = 0; c < CATEGORIES; c++) {
      if (categories[slot] >> c & 1) list[item.category_count++] = freshet_slice_of(names[c]);
    }
    freshet_facets_set(facets, slot, &item);
  }
  return facets;
}

static void shuffle(uint32_t* slots) {
  for (uint32_t i = 0; i < ITEMS; i++) slots[i] = i;
  for (uint32_t i = ITEMS; i > 1; i--) {
    uint32_t j = below(i), t = slots[i - 1];
    slots[i - 1] = slots[j];
    slots[j] = t;
  }
}

static bool in_list(const uint32_t* list, size_t count, uint32_t item) {
  for (size_t i = 0; i < count; i++) {
    if (list[i] == item) return true;
  }
  return false;
}

/* Without chance: walks the candidates anew for every place. */
static size_t oracle(const freshet_rules* rules, const freshet_candidates* c, uint32_t* list) {
  unsigned used[CATEGORIES] = {0};
  size_t count = 0;
  uint32_t at[PLACES];
  for (int p = 0; p < PLACES; p++) at[p] = FRESHET_NO_ITEM;
  for (size_t i = 0; i < rules->pin_count; i++) {
    if (c->pinned[i] != FRESHET_NO_ITEM && rules->pins[i].place < PLACES)
      at[rules->pins[i].place] = c->pinned[i];
  }
  for (int p = 0; p < PLACES; p++) {
    for (unsigned k = 0; at[p] != FRESHET_NO_ITEM && k < CATEGORIES; k++)
      used[k] += categories[at[p]] >> k & 1;
  }
  for (int p = 0; p < PLACES; p++) {
    if (at[p] != FRESHET_NO_ITEM) {
      list[count++] = at[p];
      continue;
    }
    for (size_t i = 0; i < c->count; i++) {
      uint32_t item = c->ranked[i].item;
      bool fits = !in_list(list, count, item) && !in_list(at, PLACES, item);
      for (unsigned k = 0; rules->max_per_category > 0 && k < CATEGORIES; k++) {
        if ((categories[item] >> k & 1) != 0 && used[k] >= rules->max_per_category) fits = false;
      }
      if (!fits) continue;
      for (unsigned k = 0; k < CATEGORIES; k++) used[k] += categories[item] >> k & 1;
      list[count++] = item;
      break;
    }
  }
  return count;
}

static void pins_and_bounds_are_as_the_oracle_has_them(void** state) {
  (void)state;
  freshet_facets* facets = some_facets();
  static uint64_t counted[PLACES * FRESHET_CATEGORIES_MAX];
  size_t short_lists = 0;
  for (int run = 0; run < RUNS; run++) {
    uint32_t order[ITEMS], pinned[3], expected[PLACES];
    freshet_ranked ranked[ITEMS];
    freshet_pin pins[3];
    freshet_place places[PLACES];
    bool ran_out;
    shuffle(order);
    freshet_rules rules = {.max_per_category = below(4), .pins = pins, .pin_count = below(4)};
    uint32_t first = below(PLACES);
    for (size_t i = 0; i < rules.pin_count; i++) {
      pins[i].place = first + (uint32_t)i * 3; /* some beyond the list */
      pinned[i] = below(3) == 0 ? FRESHET_NO_ITEM : order[below(20) + 20 * i];
    }
    freshet_candidates candidates = {.ranked = ranked, .count = below(ITEMS + 1), .pinned = pinned};
    for (size_t i = 0; i < candidates.count; i++) ranked[i] = (freshet_ranked){order[i], (float)(ITEMS - i)};
    size_t count = freshet_rules_select(&rules, facets, &candidates, PLACES, places, counted, &ran_out);
    assert_int_equal(count, oracle(&rules, &candidates, expected));
    short_lists += count < PLACES;
    for (size_t i = 0; i < count; i++) {
      assert_int_equal(places[i].item, expected[i]);
      assert_true(places[i].propensity == 1);
    }
    if (count < PLACES) assert_true(ran_out);
  }
  assert_in_range(short_lists, RUNS / 100, RUNS - RUNS / 100);
  freshet_facets_destroy(facets);
}

/* How often each item comes to a place, over many seeds, is what its propensities say on the average. */
static void chance_is_logged_as_it_is(void** state) {
  (void)state;
  freshet_facets* facets = some_facets();
  static uint64_t counted[PLACES * FRESHET_CATEGORIES_MAX];
  enum { K = 4, RANKED = 8, POOL = 6 };
  freshet_rules rules = {.new_share = .3F, .max_per_category = 2};
  freshet_ranked ranked[RANKED];
  static double times[K], expected[K], first[ITEMS], wanted[ITEMS];
  for (uint32_t i = 0; i < RANKED; i++) ranked[i] = (freshet_ranked){i, (float)(RANKED - i)};
  for (int draw = 0; draw < DRAWS; draw++) {
    uint32_t pool[POOL] = {5, 20, 21, 22, 23, 24}; /* one of them is a candidate too */
    freshet_place places[K];
    bool ran_out;
    freshet_candidates candidates = {.ranked = ranked,
                                     .count = RANKED,
                                     .pool = pool,
                                     .pool_count = POOL,
                                     .seed = 1000003u * (uint64_t)draw};
    size_t count = freshet_rules_select(&rules, facets, &candidates, K, places, counted, &ran_out);
    for (size_t p = 0; p < count; p++) {
      assert_true(places[p].propensity > 0 && places[p].propensity <= 1);
      for (size_t q = 0; q < p; q++) assert_int_not_equal(places[p].item, places[q].item);
      times[p] += places[p].item >= 20;
      /* inverse propensities: sums of 1 / p over an event of known probability come to the draws */
      if (places[p].item == 0) expected[p] += 1 / (double)places[p].propensity;
    }
    first[places[0].item]++;
    wanted[places[0].item] = (double)places[0].propensity;
  }
  for (int i = 0; i < ITEMS; i++)
    assert_true(first[i] / DRAWS - wanted[i] < .01 && first[i] / DRAWS - wanted[i] > -.01);
  assert_true(times[0] > 0 && expected[0] > .97 * DRAWS && expected[0] < 1.03 * DRAWS);
  freshet_facets_destroy(facets);
}

/* ---- configurations ---- */

static freshet_config* load(const char* text, freshet_error* error) {
  char path[] = "rules-test-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
  const freshet_config_inputs inputs = {.file = path};
  freshet_config* config = NULL;
  freshet_config_load(&inputs, &config, error);
  unlink(path);
  return config;
}

static void contradictions_name_both(void** state) {
  (void)state;
  static const struct {
    const char* text;
    const char* words[3];
  } bad[] = {
      {"[rules]\nboost.a = category:Sale 2\nbury.b = category:Sale 3\n",
       {":3: rules.bury.b", "rules.boost.a", ":2:"}},
      {"[rules]\nboost.a = attribute:x=1 2\nboost.b = attribute:x=1 2\n",
       {":3: rules.boost.b", "rules.boost.a", ":2:"}},
      {"[rules]\npin.1 = i1\npin.2 = i1\n", {":3: rules.pin.2", "rules.pin.1", ":2:"}},
      {"[rules]\npin.1 = i1\npin.01 = i2\n", {":3: rules.pin.01", "rules.pin.1", ":2:"}},
      {"[ranking]\nk = 5\n[rules]\npin.6 = i1\n", {":4: rules.pin.6", "ranking.k = 5", ":2:"}},
      {"[rules]\nnew_share = .1\nmax_age_s = 100\nnew_age_s = 200\n",
       {":2: rules.new_share", "rules.max_age_s = 100", ":3:"}},
      {"[ranking]\nk = 1\n[rules]\nnew_share = .1\npin.1 = i\n",
       {":4: rules.new_share", "rules.pin.1", ":5:"}},
      {"[rules]\nboost.a = category:Sale\n", {":2: rules.boost.a", "FACTOR", ""}},
      {"[rules]\nboost.a = category:Sale 0.5\n", {":2: rules.boost.a", "above 1", ""}},
      {"[rules]\nboost.a = category: 2\n", {":2: rules.boost.a", "FACTOR", ""}},
      {"[rules]\nboost.a = attribute:=x 2\n", {":2: rules.boost.a", "FACTOR", ""}},
      {"[rules]\npin.0 = i\n", {":2: rules.pin.0", "from 1 on", ""}},
      {"[rules]\nboots.a = category:Sale 2\n", {":2:", "unknown key rules.boots.a", ""}},
      {"[rules]\nhide = sold\n", {":2:", "seen|owned|bought|nothing", ""}},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    freshet_error error = {0};
    assert_null(load(bad[i].text, &error));
    for (int w = 0; w < 3; w++) {
      if (strstr(error.message, bad[i].words[w]) == NULL)
        fail_msg("'%s' is not in '%s'", bad[i].words[w], error.message);
    }
  }
}

static void rules_become_facets_and_amounts(void** state) {
  (void)state;
  freshet_error error = {0};
  freshet_config* config = load(
      "[rules]\nboost.a = category:Summer dresses   2\nbury.b = attribute:size=X L 4\n"
      "pin.3 = i7\nhide = bought\nmax_age_s = 60\n",
      &error);
  if (config == NULL) fail_msg("%s", error.message);
  const freshet_rules* rules = &config->rules.compiled;
  freshet_slice category = freshet_slice_of("Summer dresses");
  freshet_attribute attribute = {freshet_slice_of("size"), freshet_slice_of("X L")};
  freshet_item items[] = {
      {.categories = &category, .category_count = 1, .created_at_ms = 1000},
      {.attributes = &attribute, .attribute_count = 1},
      {.categories = &category, .category_count = 1, .attributes = &attribute, .attribute_count = 1}};
  freshet_facets* facets = freshet_facets_create();
  for (uint32_t i = 0; i < 3; i++) freshet_facets_set(facets, i, &items[i]);
  assert_float_equal(freshet_rules_adjustment(rules, facets, 0), .693147, 1e-5);
  assert_float_equal(freshet_rules_adjustment(rules, facets, 1), -1.386294, 1e-5);
  assert_float_equal(freshet_rules_adjustment(rules, facets, 2), -.693147, 1e-5);
  assert_true(freshet_rules_adjustment(rules, facets, 3) == 0);
  assert_int_equal(freshet_rules_ends_ms(rules, facets, 0), 61000);
  assert_int_equal(freshet_rules_ends_ms(rules, facets, 1), 0);
  assert_int_equal(rules->pin_count, 1);
  assert_int_equal(rules->pins[0].place, 2);
  assert_true(rules->pins[0].item_key == freshet_id_key(freshet_slice_of("i7")));
  assert_false(freshet_rules_hides(rules, FRESHET_CLICK) || freshet_rules_hides(rules, FRESHET_RATING));
  assert_true(freshet_rules_hides(rules, FRESHET_PURCHASE));
  freshet_facets_destroy(facets);
  freshet_config_destroy(config);
}

/* Seen: 0 clicked, 1 rated, 2 bought long ago, 3 bought just now, 4 hidden by feedback. */
static void what_was_just_chosen_rests(void** state) {
  (void)state;
  enum { HOUR_MS = 3600 * 1000, NOW_MS = 100 * HOUR_MS };
  uint32_t seen[] = {0, 1, 2, 3, 4}, hidden[5];
  uint8_t how[] = {FRESHET_CLICK, FRESHET_RATING, FRESHET_PURCHASE, FRESHET_PURCHASE, FRESHET_FEEDBACK};
  freshet_user user = {.seen = seen, .seen_how = how, .seen_count = 5, .recent_count = 5};
  for (uint32_t k = 0; k < 5; k++) user.recent[k] = (freshet_interaction){4 - k, 1, NOW_MS - HOUR_MS, 0};
  user.recent[2].time_ms = NOW_MS - 7 * HOUR_MS; /* item 2 */
  freshet_error error = {0};
  freshet_config* config = load("[rules]\nhide = nothing\nhide_for_s.purchase = 21600\n", &error);
  if (config == NULL) fail_msg("%s", error.message);
  const freshet_rules* rules = &config->rules.compiled;
  assert_int_equal(freshet_rules_list_hidden(rules, false, &user, NOW_MS, hidden), 2);
  assert_int_equal(hidden[0], 4);
  assert_int_equal(hidden[1], 3);
  /* Five hours later nothing rests any more. */
  assert_int_equal(freshet_rules_list_hidden(rules, false, &user, NOW_MS + 5 * HOUR_MS, hidden), 1);
  /* A clock that is behind hides what it has not seen yet. */
  assert_int_equal(freshet_rules_list_hidden(rules, false, &user, NOW_MS - 50 * HOUR_MS, hidden), 3);
  freshet_config_destroy(config);
  config = load("[rules]\nhide = bought\nhide_for_s.click = 7200\n", &error);
  if (config == NULL) fail_msg("%s", error.message);
  assert_int_equal(freshet_rules_list_hidden(&config->rules.compiled, false, &user, NOW_MS, hidden), 4);
  assert_int_equal(hidden[3], 0); /* each once: what is bought is hidden already */
  freshet_config_destroy(config);
}

/* A large order: more items than the history holds. Habits know the others. */
static void more_than_the_history_rests(void** state) {
  (void)state;
  enum { BOUGHT = 60, HOUR_S = 3600, NOW_S = 100 * HOUR_S };
  uint32_t seen[BOUGHT], hidden[BOUGHT];
  uint8_t how[BOUGHT];
  freshet_habit habits[BOUGHT] = {{0}};
  const freshet_rules rules = {.hide = FRESHET_HIDE_NOTHING,
                               .hide_for_ms = {[FRESHET_PURCHASE] = 6 * HOUR_S * 1000}};
  freshet_user user = {.seen = seen,
                       .seen_how = how,
                       .seen_count = BOUGHT,
                       .recent_count = FRESHET_HISTORY,
                       .habits = habits,
                       .habit_count = BOUGHT};
  for (uint32_t i = 0; i < BOUGHT; i++) {
    const int64_t before_s = i < 10 ? 7 * HOUR_S : HOUR_S; /* ten of them earlier */
    seen[i] = i;
    how[i] = i % 2 == 0 ? FRESHET_PURCHASE : FRESHET_CLICK;
    habits[i] = (freshet_habit){.item = i, .last_s = (uint32_t)(NOW_S - before_s)};
    if (i >= BOUGHT - FRESHET_HISTORY)
      user.recent[BOUGHT - 1 - i] = (freshet_interaction){i, 1, (NOW_S - before_s) * 1000, 0};
  }
  const int64_t now_ms = NOW_S * 1000LL;
  assert_int_equal(freshet_rules_list_hidden(&rules, true, &user, now_ms, hidden), (BOUGHT - 10) / 2);
  for (uint32_t i = 0; i < (BOUGHT - 10) / 2; i++) assert_int_equal(hidden[i], 10 + 2 * i);
  assert_int_equal(freshet_rules_list_hidden(&rules, true, &user, now_ms + 5 * HOUR_S * 1000, hidden), 0);
  /* Where all seen items are hidden, each is there once: the caller has room for no more. */
  freshet_rules all = rules;
  all.hide = FRESHET_HIDE_SEEN;
  assert_int_equal(freshet_rules_list_hidden(&all, true, &user, now_ms, hidden), BOUGHT);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(more_than_the_history_rests),
                                     cmocka_unit_test(pins_and_bounds_are_as_the_oracle_has_them),
                                     cmocka_unit_test(chance_is_logged_as_it_is),
                                     cmocka_unit_test(contradictions_name_both),
                                     cmocka_unit_test(rules_become_facets_and_amounts),
                                     cmocka_unit_test(what_was_just_chosen_rests)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
