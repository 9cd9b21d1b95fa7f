/*
 * The item tables over a store in memory and logs that the test writes: damaged rows, and more ids than there are
 * slots.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "catalogue/item_rows.h"
#include "catalogue/items.h"
#include "core/maths.h"
#include "support/memory_store.h"
#include "support_empty_reader.h"

enum { DIM = 16, RECORDS_MAX = 4096, POLL_US = 3000 };

/* ---- logs of one partition each ---- */

typedef struct world {
  freshet_reader reader;
  freshet_clock clock;
  freshet_store* store;
  freshet_codec* codec;
  freshet_worker_metrics metrics;
  freshet_serving serving;
  freshet_rules rules;
  freshet_items* items;
  freshet_record log[RECORDS_MAX]; /* of `items` */
  freshet_buffer keys[RECORDS_MAX], values[RECORDS_MAX];
  size_t logged, read;
  uint32_t max_items;
} world;

static world* w; /* of the test that runs */

static freshet_status range(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t* first,
                            int64_t* end, freshet_error* error) {
  (void)self, (void)partition, (void)error;
  *first = 0;
  *end = topic == FRESHET_TOPIC_ITEMS ? (int64_t)w->logged : 0;
  return FRESHET_OK;
}

static freshet_status open_at(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t offset,
                              freshet_error* error) {
  (void)self, (void)partition, (void)error;
  if (topic == FRESHET_TOPIC_ITEMS) w->read = offset < 0 ? 0 : (size_t)offset;
  return FRESHET_OK;
}

static freshet_status poll_log(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  (void)self, (void)timeout_ms, (void)error;
  for (*count = 0; *count < capacity && w->read < w->logged; w->read++) out[(*count)++] = w->log[w->read];
  return FRESHET_OK;
}

static int64_t position(freshet_reader* self, freshet_topic topic, int32_t partition) {
  (void)self, (void)partition;
  return topic == FRESHET_TOPIC_ITEMS ? (int64_t)w->read : 0;
}

static int64_t time_ms = 1700000000000;

static int64_t now_ms(freshet_clock* self) {
  (void)self;
  return time_ms;
}

static int64_t turned_us = 1, step_us;

static int64_t monotonic_us(freshet_clock* self) {
  (void)self;
  return turned_us += step_us;
}

static int set_up(void** state) {
  static freshet_reader_vtable vtable;
  (void)state;
  vtable = freshet_empty_reader();
  vtable.range = range;
  vtable.open = open_at;
  vtable.poll = poll_log;
  vtable.position = position;
  w = calloc(1, sizeof *w);
  w->reader.vtable = &vtable;
  w->clock.now_ms = now_ms;
  w->clock.monotonic_us = monotonic_us;
  w->store = freshet_memory_store_create();
  w->max_items = 1000;
  const freshet_codec_config config = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  return freshet_codec_create(&config, &w->codec, NULL) == FRESHET_OK ? 0 : -1;
}

static int tear_down(void** state) {
  (void)state;
  freshet_items_destroy(w->items);
  for (size_t i = 0; i < w->logged; i++) {
    freshet_buffer_free(&w->keys[i]);
    freshet_buffer_free(&w->values[i]);
  }
  freshet_serving_reset(&w->serving);
  freshet_store_destroy(w->store);
  freshet_codec_destroy(w->codec);
  free(w);
  return 0;
}

/* ---- steps ---- */

static void publish(const char* id, const freshet_item* item) {
  assert_true(w->logged < RECORDS_MAX);
  size_t i = w->logged++;
  freshet_buffer_append(&w->keys[i], id, strlen(id));
  if (item != NULL) assert_int_equal(freshet_encode_item(w->codec, item, &w->values[i], NULL), FRESHET_OK);
  w->log[i] = (freshet_record){.topic = FRESHET_TOPIC_ITEMS,
                               .offset = (int64_t)i,
                               .timestamp_ms = now_ms(NULL),
                               .has_key = true,
                               .key = freshet_buffer_slice(&w->keys[i]),
                               .has_value = item != NULL,
                               .value = freshet_buffer_slice(&w->values[i])};
}

static void announce(const char* id) {
  publish(id,
          &(freshet_item){.item_id = freshet_slice_of(id), .title = freshet_slice_of(id), .available = true});
}

static size_t warned, told_invalid;
static char invalid[512]; /* the last line of its kind */

static void count_warnings(void* context, freshet_log_level level, const char* name, const char* text) {
  (void)context;
  if (strcmp(name, "items.invalid") == 0) {
    told_invalid++;
    snprintf(invalid, sizeof invalid, "%s", text);
  }
  warned +=
      level == FRESHET_WARN && (strcmp(name, "items.full") == 0 || strcmp(name, "items.nearly_full") == 0);
}

static freshet_status start(freshet_error* error) {
  static const freshet_logger logger = {count_warnings, NULL};
  const freshet_ports ports = {.reader = &w->reader,
                               .store = w->store,
                               .clock = &w->clock,
                               .codec = w->codec,
                               .logger = &logger,
                               .metrics = &w->metrics};
  freshet_stream_config config = {.model = freshet_model_defaults(), .rules = &w->rules};
  config.model.dim = DIM;
  config.model.max_items = w->max_items;
  config.items_interval_ms = 1000;
  config.item_rows_a_turn = 64;
  freshet_items_destroy(w->items);
  w->items = NULL;
  return freshet_items_create(&config, &ports, &w->serving, &w->items, error);
}

static void assert_damaged(const char* what) {
  freshet_error error = {0};
  assert_int_equal(freshet_store_write(w->store, NULL), FRESHET_OK);
  assert_int_equal(start(&error), FRESHET_DAMAGED);
  assert_int_equal(error.verdict, FRESHET_STOP);
  assert_non_null(strstr(error.message, "damaged row"));
  assert_non_null(strstr(error.message, what));
}

/* ---- tests ---- */

static void a_damaged_row_of_the_catalogue_is_an_error(void** state) {
  (void)state;
  announce("lamp");
  assert_int_equal(start(NULL), FRESHET_OK);
  assert_int_equal(start(NULL), FRESHET_OK);
  assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), 1);
  freshet_store_put(w->store, FRESHET_FAMILY_CATALOGUE, 0, freshet_slice_of("lamp"), freshet_slice_of("x"));
  assert_damaged("the catalogue");
}

static freshet_item made_at(const char* id, int64_t created_at_ms, int64_t expires_at_ms) {
  return (freshet_item){.item_id = freshet_slice_of(id),
                        .title = freshet_slice_of(id),
                        .available = true,
                        .created_at_ms = created_at_ms,
                        .expires_at_ms = expires_at_ms};
}

/* An older version took times in seconds, and its rows are in the folder. */
static void rows_of_an_older_version_lose_their_age_and_nothing_else(void** state) {
  (void)state;
  told_invalid = 0;
  announce("lamp");
  assert_int_equal(start(NULL), FRESHET_OK);
  assert_int_equal(told_invalid, 0);
  const freshet_item items[] = {made_at("chair", 1690000001, 0), made_at("table", 1690000002, 0),
                                made_at("sofa", 0, 1790000001)};
  freshet_buffer scratch = {0};
  for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
    freshet_buffer bytes = {0};
    assert_int_equal(freshet_encode_item(w->codec, &items[i], &bytes, NULL), FRESHET_OK);
    const freshet_record record = {.key = items[i].item_id, .value = freshet_buffer_slice(&bytes)};
    freshet_item_row_put(w->store, &record, &scratch);
    freshet_buffer_free(&bytes);
  }
  freshet_buffer_free(&scratch);
  assert_int_equal(freshet_store_write(w->store, NULL), FRESHET_OK);
  assert_int_equal(start(NULL), FRESHET_OK);
  assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), 3);
  assert_int_equal(told_invalid, 1);
  if (strstr(invalid, "undated=2 unlisted=1 first=\"") == NULL || strstr(invalid, "seconds?") == NULL)
    fail_msg("%s", invalid);
}

static void items_of_the_log_that_are_left_out_are_told_at_the_start(void** state) {
  (void)state;
  told_invalid = 0;
  announce("lamp");
  const freshet_item chair = made_at("chair", 1690000001, 0);
  publish("chair", &chair);
  assert_int_equal(start(NULL), FRESHET_OK);
  assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), 1);
  assert_int_equal(told_invalid, 1);
  const char* first = "undated=0 unlisted=1 first=\"created_at 1690000001 is not in milliseconds: seconds?\"";
  if (strstr(invalid, first) == NULL) fail_msg("%s", invalid);
}

static void a_damaged_row_of_learned_state_is_an_error(void** state) {
  (void)state;
  assert_int_equal(start(NULL), FRESHET_OK);
  freshet_store_set_position(w->store, FRESHET_TOPIC_ITEM_DELTAS, 0, 0, now_ms(NULL));
  freshet_store_put(w->store, FRESHET_FAMILY_ITEMS, 0, freshet_slice_of("abc"), freshet_slice_of("x"));
  assert_damaged("learned about items");
}

static void a_clock_that_is_set_back_stops_no_interval(void** state) {
  (void)state;
  assert_int_equal(start(NULL), FRESHET_OK);
  time_ms -= 50 * 60 * 1000;
  turned_us += 999 * 1000;
  assert_false(freshet_learned_store_is_due(freshet_items_learned(w->items)));
  turned_us += 1000;
  assert_true(freshet_learned_store_is_due(freshet_items_learned(w->items)));
  time_ms += 50 * 60 * 1000;
}

/* The clock is put right after items were loaded, and before anything is looked at again. */
static void an_item_that_expired_by_a_wrong_clock_is_listed_again(void** state) {
  (void)state;
  publish("lamp", &(freshet_item){.item_id = freshet_slice_of("lamp"),
                                  .title = freshet_slice_of("lamp"),
                                  .available = true,
                                  .expires_at_ms = time_ms + 1000});
  time_ms += 50 * 60 * 1000;
  assert_int_equal(start(NULL), FRESHET_OK);
  assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), 0);
  time_ms -= 50 * 60 * 1000;
  assert_int_equal(freshet_items_poll(w->items, POLL_US, NULL), FRESHET_OK);
  assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), 1);
}

/* A whole catalogue that comes again does not hold up a turn: each takes a few milliseconds of it, until all is there. */
static void many_records_are_taken_in_slices(void** state) {
  (void)state;
  char id[16];
  int turns = 1;
  assert_int_equal(start(NULL), FRESHET_OK);
  for (int i = 0; i < 1000; i++) {
    snprintf(id, sizeof id, "item-%d", i);
    announce(id);
  }
  step_us = 1000;
  for (assert_int_equal(freshet_items_poll(w->items, POLL_US, NULL), FRESHET_OK);
       freshet_items_are_behind(w->items); turns++)
    assert_int_equal(freshet_items_poll(w->items, POLL_US, NULL), FRESHET_OK);
  step_us = 0;
  assert_in_range(turns, 1000 / 24, 1000 / 8 + 1); /* three pieces of 8 records at most in a turn */
  assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), 1000);
  freshet_ranker* ranker;
  assert_int_equal(freshet_items_ranker(w->items, &ranker, NULL), FRESHET_OK);
  assert_int_equal(freshet_ranker_count(ranker), 1000);
}

/* On a busy worker, too, each turn takes some records and not many. */
static void some_records_are_taken_without_time_to_spare(void** state) {
  (void)state;
  char id[16];
  assert_int_equal(start(NULL), FRESHET_OK);
  for (int i = 0; i < 100; i++) {
    snprintf(id, sizeof id, "item-%d", i);
    announce(id);
  }
  step_us = 1;
  for (size_t before = 0, listed = 0; listed < 100; before = listed) {
    assert_int_equal(freshet_items_poll(w->items, 0, NULL), FRESHET_OK);
    listed = freshet_listing_count(freshet_items_listing(w->items));
    assert_in_range(listed - before, 1, 8);
    if (listed < 100) assert_true(freshet_items_are_behind(w->items));
  }
  step_us = 0;
}

/* A store that was written by a clock that was wrong, or is read by one, is not believed for longer than Kafka keeps
 * tombstones. */
static void a_store_from_the_future_is_not_recent(void** state) {
  (void)state;
  int64_t hour_ms = 3600 * 1000;
  assert_true(freshet_store_is_recent(time_ms, time_ms));
  assert_true(freshet_store_is_recent(time_ms, time_ms + 19 * hour_ms));
  assert_true(freshet_store_is_recent(time_ms + hour_ms / 2, time_ms));
  assert_false(freshet_store_is_recent(time_ms, time_ms + 20 * hour_ms));
  assert_false(freshet_store_is_recent(time_ms + hour_ms, time_ms));
}

/* At the limit new items are refused one by one. A restart with another limit works, with the folder and without. */
static void the_limit_refuses_and_is_never_fatal(void** state) {
  (void)state;
  char id[16];
  w->max_items = 100;
  warned = 0;
  assert_int_equal(start(NULL), FRESHET_OK);
  for (int i = 0; i < 150; i++) {
    snprintf(id, sizeof id, "item-%d", i);
    announce(id);
    assert_int_equal(freshet_items_poll(w->items, POLL_US, NULL), FRESHET_OK);
  }
  assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), 100);
  assert_int_equal(freshet_metric(&w->metrics.items_refused), 50);
  assert_int_equal(warned, 2);
  for (int with_folder = 1; with_folder >= 0; with_folder--) {
    for (int i = 0; i < 3; i++) {
      w->max_items = (uint32_t[]){10, 1000, 100}[i];
      if (with_folder == 0) {
        freshet_store_destroy(w->store);
        w->store = freshet_memory_store_create();
      }
      assert_int_equal(start(NULL), FRESHET_OK);
      size_t expected = w->max_items < 150 ? w->max_items : 150;
      assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), expected);
    }
  }
}

/* ---- items that come and go ---- */

static void poll(void) {
  assert_int_equal(freshet_items_poll(w->items, POLL_US, NULL), FRESHET_OK);
}

/* As the worker does it between two batches. */
static void make_room(void) {
  bool stored;
  freshet_model_delta delta;
  freshet_model_take_delta(freshet_items_model(w->items), &delta);
  assert_int_equal(freshet_items_store(w->items, 0, &stored, NULL), FRESHET_OK);
  assert_true(stored);
  assert_int_equal(freshet_store_write(w->store, NULL), FRESHET_OK);
  assert_int_equal(start(NULL), FRESHET_OK);
}

/* A user chooses one item only, so that the item gets no neighbours. */
static void choose(const char* id, int times) {
  freshet_model* model = freshet_items_model(w->items);
  freshet_user* user = freshet_user_create(model);
  freshet_observation chosen = {.item = freshet_model_find(model, freshet_slice_of(id)),
                                .positive = true,
                                .weight = 1,
                                .time_ms = now_ms(NULL)};
  assert_int_not_equal(chosen.item, FRESHET_NO_ITEM);
  for (int i = 0; i < times; i++)
    assert_int_equal(freshet_model_learn(model, user, &chosen, NULL), FRESHET_OK);
  freshet_user_destroy(user);
}

static bool is_in_memory(const char* id) {
  return freshet_model_find_key(freshet_items_model(w->items), freshet_id_key(freshet_slice_of(id))) !=
         FRESHET_NO_ITEM;
}

static freshet_buffer learned_of(const char* id) {
  freshet_model* model = freshet_items_model(w->items);
  uint32_t slot = freshet_model_find_key(model, freshet_id_key(freshet_slice_of(id)));
  freshet_buffer bytes = {0};
  assert_int_not_equal(slot, FRESHET_NO_ITEM);
  freshet_model_write_item(model, slot, 0, &bytes);
  return bytes;
}

enum { LIMIT = 40, ROUNDS = 10 };

static const char* id_of(int round, int i) {
  static char id[24];
  snprintf(id, sizeof id, "item-%d-%d", round, i);
  return id;
}

/* The items of one round take the place of those of the last one. */
static void exchange(int round) {
  for (int i = 0; i < LIMIT; i++) {
    if (round > 0) publish(id_of(round - 1, i), NULL);
    announce(id_of(round, i));
    poll();
  }
}

/* Ten times as many ids as there is room for. */
static void items_that_are_withdrawn_give_way(void** state) {
  (void)state;
  w->max_items = LIMIT;
  assert_int_equal(start(NULL), FRESHET_OK);
  for (int round = 0; round < ROUNDS; round++) {
    exchange(round);
    choose(id_of(round, round), 3);
    if (freshet_items_are_crowded(w->items)) make_room();
    assert_false(freshet_items_are_crowded(w->items));
    assert_true(freshet_model_item_count(freshet_items_model(w->items)) <= LIMIT + LIMIT / 4);
    assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), LIMIT);
  }
  assert_int_equal(freshet_metric(&w->metrics.items_refused), 0);
  assert_true(freshet_learned_parked(freshet_items_learned(w->items)) > 0);
  assert_false(is_in_memory(id_of(0, 0)));
  announce(id_of(ROUNDS, 0)); /* nothing has been withdrawn for it */
  poll();
  assert_int_equal(freshet_metric(&w->metrics.items_refused), 1);
  publish(id_of(ROUNDS - 1, 0), NULL);
  poll(); /* the item that was refused finds room */
  assert_true(is_in_memory(id_of(ROUNDS, 0)));
  assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), LIMIT);
}

static void an_item_that_comes_back_is_what_it_was(void** state) {
  (void)state;
  w->max_items = LIMIT;
  assert_int_equal(start(NULL), FRESHET_OK);
  exchange(0);
  choose(id_of(0, 7), 5);
  exchange(1);
  for (int i = 0; i < LIMIT; i++) choose(id_of(1, i), 1); /* it is a negative for them */
  freshet_buffer before = learned_of(id_of(0, 7));
  assert_true(freshet_items_are_crowded(w->items));
  make_room();
  assert_false(is_in_memory(id_of(0, 7)));
  publish(id_of(1, 1), NULL);
  announce(id_of(0, 7));
  poll();
  freshet_buffer after = learned_of(id_of(0, 7));
  assert_int_equal(before.size, after.size);
  assert_memory_equal(before.data + 9, after.data + 9, before.size - 9); /* behind version and position */
  freshet_buffer_free(&before);
  freshet_buffer_free(&after);
}

/* With a limit that leaves room for some of those that nobody announces, the latest stay. */
static void the_least_recently_used_goes_first(void** state) {
  (void)state;
  w->max_items = LIMIT;
  assert_int_equal(start(NULL), FRESHET_OK);
  exchange(0);
  for (int i = LIMIT - 1; i >= 0; i--) choose(id_of(0, i), 1);
  for (int i = 10; i < LIMIT; i++) publish(id_of(0, i), NULL);
  for (int i = 0; i < 12; i++) announce(id_of(1, i));
  poll();
  assert_true(freshet_items_are_crowded(w->items));
  make_room(); /* 22 are announced, and 30 of 40 slots are filled */
  for (int i = 10; i < LIMIT; i++) assert_int_equal(is_in_memory(id_of(0, i)), i < 18);
  assert_int_equal(freshet_listing_count(freshet_items_listing(w->items)), 22);
}

/* A catalogue of many slices: whatever expires leaves the lists within some turns, and at no time before. */
static void items_expire_in_slices(void** state) {
  (void)state;
  enum { MANY = 150000 };
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model;
  config.dim = DIM;
  config.neighbours = 1;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  freshet_listing* listing = freshet_listing_create(model, &w->rules, &w->clock);
  for (uint32_t i = 0; i < MANY; i++) {
    uint32_t slot;
    const freshet_item item = {.available = true, .expires_at_ms = i % 3 == 0 ? 0 : time_ms + 1000 * (i % 3)};
    assert_int_equal(freshet_model_intern_key(model, freshet_random(i, 0), &slot, NULL), FRESHET_OK);
    freshet_listing_announce(listing, slot, &item, 0);
  }
  for (size_t expired = 0; expired < 3; expired++) {
    for (int turn = 0; turn < 5; turn++, time_ms += 20, turned_us += 20000) freshet_listing_turn(listing);
    assert_int_equal(freshet_listing_count(listing), MANY - expired * MANY / 3);
    time_ms += 1000;
    turned_us += 1000000;
  }
  time_ms -= 2000; /* the clock was ahead */
  for (int turn = 0; turn < 5; turn++) freshet_listing_turn(listing);
  assert_int_equal(freshet_listing_count(listing), MANY - MANY / 3);
  freshet_listing_destroy(listing);
  freshet_model_destroy(model);
}

/* The wall clock is ahead only while an item is announced: it is right when the listing looks for the first time. */
static void a_clock_that_was_ahead_for_a_moment_hides_nothing(void** state) {
  (void)state;
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model;
  uint32_t slot;
  config.dim = DIM;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  freshet_listing* listing = freshet_listing_create(model, &w->rules, &w->clock);
  const freshet_item item = {.available = true, .expires_at_ms = time_ms + 60000};
  assert_int_equal(freshet_model_intern_key(model, 1, &slot, NULL), FRESHET_OK);
  time_ms += 3000000;
  freshet_listing_announce(listing, slot, &item, 0);
  assert_int_equal(freshet_listing_count(listing), 0);
  time_ms -= 3000000;
  freshet_listing_turn(listing);
  assert_int_equal(freshet_listing_count(listing), 1);
  freshet_listing_destroy(listing);
  freshet_model_destroy(model);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_damaged_row_of_the_catalogue_is_an_error),
      TEST(a_damaged_row_of_learned_state_is_an_error),
      TEST(rows_of_an_older_version_lose_their_age_and_nothing_else),
      TEST(items_of_the_log_that_are_left_out_are_told_at_the_start),
      TEST(the_limit_refuses_and_is_never_fatal),
      TEST(items_that_are_withdrawn_give_way),
      TEST(an_item_that_comes_back_is_what_it_was),
      TEST(the_least_recently_used_goes_first),
      TEST(items_expire_in_slices),
      TEST(a_clock_that_was_ahead_for_a_moment_hides_nothing),
      TEST(a_clock_that_is_set_back_stops_no_interval),
      TEST(an_item_that_expired_by_a_wrong_clock_is_listed_again),
      TEST(a_store_from_the_future_is_not_recent),
      TEST(many_records_are_taken_in_slices),
      TEST(some_records_are_taken_without_time_to_spare),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
