/* The memory budget is no guess: it is held against a real model, ranker and user. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/budget.h"
#include "core/facets.h"
#include "core/model_lists.h"
#include "freshet/model.h"
#include "text/vocabulary.h"

enum { ITEMS = 4096, USERS = 200, EVENTS = 20000, TEXT_DIM = 256 };

static uint64_t next(uint64_t* random) {
  *random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
  return *random;
}

static freshet_config* load(const char* const* overrides, size_t count) {
  const freshet_config_inputs inputs = {.overrides = overrides, .override_count = count};
  freshet_config* config = NULL;
  freshet_error error = {0};
  if (freshet_config_load(&inputs, &config, &error) != FRESHET_OK) fail_msg("%s", error.message);
  return config;
}

static void check(uint32_t text_dim) {
  const char* const overrides[] = {"model.max_items=4096", "model.neighbours=64"};
  freshet_config* config = load(overrides, 2);
  freshet_budget budget = freshet_budget_of(config, text_dim);
  freshet_model_config wanted = freshet_model_defaults();
  wanted.neighbours = 64;
  wanted.max_items = ITEMS;
  wanted.text_dim = text_dim;
  freshet_model* model = NULL;
  assert_int_equal(freshet_model_create(&wanted, &model, NULL), FRESHET_OK);
  uint64_t random = 7;
  for (uint32_t i = 0; i < ITEMS; i++) {
    char id[32];
    uint32_t slot;
    snprintf(id, sizeof id, "item-with-a-long-name-%08u", i);
    assert_int_equal(freshet_model_intern(model, freshet_slice_of(id), &slot, NULL), FRESHET_OK);
    freshet_model_set_listed(model, slot, true);
    float vector[TEXT_DIM];
    for (uint32_t d = 0; d < TEXT_DIM; d++) vector[d] = (float)(next(&random) % 1000) - 500;
    if (text_dim > 0) assert_int_equal(freshet_model_set_text(model, slot, vector, NULL, NULL), FRESHET_OK);
  }
  freshet_user* users[USERS];
  for (int u = 0; u < USERS; u++) users[u] = freshet_user_create(model);
  for (int e = 0; e < EVENTS; e++) {
    const freshet_observation observation = {
        .item = (uint32_t)(next(&random) % ITEMS), .positive = true, .weight = 1, .time_ms = 1000 + e};
    freshet_model_learn(model, users[next(&random) % USERS], &observation, NULL);
    if (e % 1000 != 0) continue;
    freshet_model_delta delta;
    freshet_model_take_delta(model, &delta);
  }
  freshet_ranker_config ranking = {.capacity = ITEMS};
  freshet_model_lend_rows(model, &ranking);
  freshet_ranker* ranker = NULL;
  assert_int_equal(freshet_ranker_create(&ranking, &ranker, NULL), FRESHET_OK);
  assert_int_equal(freshet_model_sync_ranker(model, ranker, NULL), FRESHET_OK);

  double real = (double)(freshet_model_memory(model) + freshet_ranker_memory(ranker));
  const double most = budget.items + budget.deltas;
  print_message("text_dim %u: %.0f bytes per item, budget %.0f\n", text_dim, real / ITEMS, most / ITEMS);
  assert_true(real <= most);
  assert_true(real >= most / 3); /* a bound that says nothing helps nobody */

  freshet_ranker_destroy(ranker);
  for (int u = 0; u < USERS; u++) freshet_user_destroy(users[u]);
  freshet_model_destroy(model);
  freshet_config_destroy(config);
}

static void test_items_without_text(void** state) {
  (void)state;
  check(0);
}

static void test_items_with_text(void** state) {
  (void)state;
  check(TEXT_DIM);
}

/* Bytes of a full list. */
static double list_bytes(uint32_t most) {
  freshet_model_config wanted = freshet_model_defaults();
  freshet_model* model = NULL;
  uint32_t slot;
  wanted.neighbours = most;
  assert_int_equal(freshet_model_create(&wanted, &model, NULL), FRESHET_OK);
  assert_int_equal(freshet_model_intern(model, freshet_slice_of("item"), &slot, NULL), FRESHET_OK);
  const size_t before = freshet_model_memory(model);
  for (uint32_t i = 0; i < most; i++) {
    const freshet_neighbour entry = {.item = 1 + i, .together = freshet_count_pack(1)};
    freshet_model_neighbours_put(model, slot, &entry);
  }
  const double bytes = (double)(freshet_model_memory(model) - before);
  freshet_model_destroy(model);
  return bytes;
}

static double budget_of_item(uint32_t most) {
  char setting[32];
  snprintf(setting, sizeof setting, "model.neighbours=%u", most);
  const char* const overrides[] = {setting};
  freshet_config* config = load(overrides, 1);
  const double bytes = freshet_budget_of(config, 0).bytes_per_item;
  freshet_config_destroy(config);
  return bytes;
}

/* A block of a list is larger than its entries where model.neighbours is no multiple of 32. */
static void test_lists_of_any_length(void** state) {
  (void)state;
  static const uint32_t lengths[] = {33, 64, 100, 128, 1000, 4095};
  const double least = budget_of_item(32) - list_bytes(32);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    assert_true(budget_of_item(lengths[i]) - list_bytes(lengths[i]) >= least);
  }
}

static double budget_of_text(const char* encoder) {
  const char* const overrides[] = {encoder, "text.cache_mb=16"};
  freshet_config* config = load(overrides, 2);
  const double bytes = freshet_budget_of_settings(config).text;
  freshet_config_destroy(config);
  return bytes;
}

/* An encoder that takes any word has the words of the catalogue beside it. */
static void test_the_vocabulary_counts(void** state) {
  (void)state;
  const double cache = 16.0 * (1 << 20);
  assert_true(budget_of_text("text.encoder=hashing") == cache + FRESHET_VOCABULARY_BYTES);
  assert_true(budget_of_text("text.encoder=auto") == cache + FRESHET_VOCABULARY_BYTES);
  assert_true(budget_of_text("text.encoder=bert") == cache);
  assert_true(budget_of_text("text.encoder=none") == 0);
}

static void test_what_is_set_counts(void** state) {
  (void)state;
  const char* const overrides[] = {"kafka.queued.max.messages.kbytes=1024",
                                   "kafka.queue.buffering.max.kbytes=2048",
                                   "state.block_cache_mb=10",
                                   "state.memtable_mb=4",
                                   "text.encoder=none",
                                   "http.connections=100"};
  freshet_config* config = load(overrides, 6);
  freshet_budget b = freshet_budget_of(config, 0);
  assert_true(b.kafka == (3 * 1024 + 2 * (2048 + 32 * 1024)) * 1024.0);
  assert_true(b.rocksdb == 18.0 * (1 << 20));
  assert_true(b.text == 0);
  assert_true(b.http == 100 * 144 * 1024.0);
  assert_true(b.total == b.users + b.items + b.deltas + b.facets + b.dedup + b.rocksdb + b.kafka + b.http);
  freshet_config_destroy(config);
  const char* const many[] = {"http.connections=2000"};
  config = load(many, 1);
  assert_true(freshet_budget_of(config, 0).http ==
              (2000 * 16 + 32 * 1024) * 1024.0); /* bodies share a bound */
  freshet_config_destroy(config);
  const char* const closed[] = {"http.port=0"};
  config = load(closed, 1);
  assert_true(freshet_budget_of(config, 0).http == 0);
  freshet_config_destroy(config);
}

/* An item that is shown is not seen: the limit of one says nothing of the other. */
static void test_users_have_all_showings(void** state) {
  (void)state;
  const char* const overrides[] = {"model.seen_limit=32"};
  freshet_config* config = load(overrides, 1);
  const size_t least = sizeof(freshet_user) + FRESHET_SHOWN_MAX * sizeof(freshet_shown) +
                       32 * (sizeof(uint32_t) + 1 + sizeof(freshet_habit)) +
                       config->model.dim * sizeof(float);
  assert_true(freshet_budget_of(config, 0).bytes_per_user >= (double)least);
  freshet_config_destroy(config);
}

static void test_facets(void** state) {
  (void)state;
  const char* const overrides[] = {"model.max_items=1024"};
  freshet_config* config = load(overrides, 1);
  freshet_slice categories[FRESHET_CATEGORIES_MAX];
  freshet_attribute attributes[FRESHET_ATTRIBUTES_MAX];
  char names[FRESHET_CATEGORIES_MAX][8];
  for (unsigned i = 0; i < FRESHET_CATEGORIES_MAX; i++) {
    snprintf(names[i], sizeof names[i], "c%u", i);
    categories[i] = freshet_slice_of(names[i]);
    attributes[i] = (freshet_attribute){categories[i], categories[i]};
  }
  const freshet_item item = {.item_id = freshet_slice_of("i"),
                             .categories = categories,
                             .category_count = FRESHET_CATEGORIES_MAX,
                             .attributes = attributes,
                             .attribute_count = FRESHET_ATTRIBUTES_MAX};
  freshet_facets* facets = freshet_facets_create();
  for (uint32_t slot = 0; slot < 1024; slot++) freshet_facets_set(facets, slot, &item);
  double real = (double)freshet_facets_memory(facets), bound = freshet_budget_of(config, 0).facets;
  assert_true(real <= bound);
  assert_true(real >= bound / 2);
  freshet_facets_destroy(facets);
  freshet_config_destroy(config);
}

/* The table of keys repeats the model's own defaults. */
static void test_the_configuration_has_the_defaults_of_the_model(void** state) {
  (void)state;
  freshet_config* config = load(NULL, 0);
  freshet_model_config model = freshet_model_defaults();
  assert_int_equal(config->model.dim, model.dim);
  assert_int_equal(config->model.neighbours, model.neighbours);
  assert_int_equal(config->model.negatives, model.negatives);
  assert_int_equal(config->model.max_items, model.max_items);
  assert_int_equal(config->model.seen_limit, model.seen_limit);
  assert_int_equal(config->model.seed, model.seed);
  assert_int_equal(config->model.learning, model.learning);
  freshet_config_destroy(config);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_items_without_text),
      cmocka_unit_test(test_items_with_text),
      cmocka_unit_test(test_lists_of_any_length),
      cmocka_unit_test(test_the_vocabulary_counts),
      cmocka_unit_test(test_what_is_set_counts),
      cmocka_unit_test(test_users_have_all_showings),
      cmocka_unit_test(test_facets),
      cmocka_unit_test(test_the_configuration_has_the_defaults_of_the_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
