/*
 * Where the fold of the deltas begins after a start without the folder: the shares of a checkpoint hold all items only
 * if items were cut into the same number of shares for each of them, and count only by the log that is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "catalogue/learned_internal.h"
#include "support/memory_store.h"
#include "support_empty_reader.h"

enum { SHARES_MAX = 4, DELTAS_END = 20, ALL = FRESHET_OFFSET_BEGINNING };

/* ---- ports: one partition of checkpoints, and deltas that nobody has to read ---- */

typedef struct world {
  freshet_reader reader;
  freshet_clock clock;
  freshet_store* store;
  freshet_codec* codec;
  freshet_worker_metrics metrics;
  freshet_model* model;
  freshet_learned* learned;
  freshet_item_logs* logs;
  freshet_sink sink;
  freshet_outbox* outbox;
  uint32_t max_items; /* 0: the default */
  uint64_t announced; /* the key of an item that is announced right after its state has been read; 0: none */
  char keys[SHARES_MAX][FRESHET_LEARNED_KEY_SIZE];
  freshet_buffer values[SHARES_MAX];
  freshet_record states[SHARES_MAX];
  size_t written, read;
  int64_t deltas_end;
  const freshet_record* first_delta; /* NULL: nobody has to read it */
  bool first_is_next;                /* the next poll gives it */
  int64_t start;                     /* where the deltas were opened last */
} world;

static world* w; /* of the test that runs */

static freshet_status range(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t* first,
                            int64_t* end, freshet_error* error) {
  (void)self, (void)partition, (void)error;
  *first = 0;
  *end = topic == FRESHET_TOPIC_ITEM_DELTAS ? w->deltas_end : (int64_t)w->written;
  return FRESHET_OK;
}

static freshet_status open_at(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t offset,
                              freshet_error* error) {
  (void)self, (void)partition, (void)error;
  if (topic != FRESHET_TOPIC_ITEM_DELTAS) return FRESHET_OK;
  w->start = offset;
  w->first_is_next = w->first_delta != NULL && offset == 0;
  return FRESHET_OK;
}

static freshet_status poll_log(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  (void)self, (void)timeout_ms, (void)error;
  *count = 0;
  if (w->first_is_next) out[(*count)++] = *w->first_delta;
  w->first_is_next = false;
  for (; *count < capacity && w->read < w->written; w->read++) out[(*count)++] = w->states[w->read];
  return FRESHET_OK;
}

static int64_t position(freshet_reader* self, freshet_topic topic, int32_t partition) {
  (void)self, (void)partition;
  if (topic == FRESHET_TOPIC_ITEM_DELTAS) return w->first_is_next ? 0 : w->deltas_end;
  return (int64_t)w->read;
}

static int64_t clock_ms(freshet_clock* self) {
  (void)self;
  return 1700000000000;
}

static int64_t clock_us(freshet_clock* self) {
  (void)self;
  return 1;
}

static freshet_status apply(void* context, const freshet_record* record, freshet_error* error) {
  (void)context;
  freshet_status status = freshet_learned_apply_state(w->learned, record, error);
  uint32_t slot;
  if (w->announced != 0 && status == FRESHET_OK)
    status = freshet_model_intern_key(w->model, w->announced, &slot, error);
  return status;
}

static const char* topic_name(freshet_sink* self, freshet_topic topic) {
  (void)self, (void)topic;
  return "topic";
}

/* A process without a folder. */
static void start_bare(void) {
  static const freshet_logger logger;
  freshet_model_config config = freshet_model_defaults();
  if (w->max_items != 0) config.max_items = w->max_items;
  w->outbox = freshet_outbox_create(&w->sink, FRESHET_DELIVERY_FAST);
  w->store = freshet_memory_store_create();
  assert_int_equal(freshet_model_create(&config, &w->model, NULL), FRESHET_OK);
  const freshet_ports ports = {.reader = &w->reader,
                               .store = w->store,
                               .clock = &w->clock,
                               .codec = w->codec,
                               .outbox = w->outbox,
                               .logger = &logger,
                               .metrics = &w->metrics};
  w->learned = freshet_learned_create(&ports, w->model, 1000, 1000, 1);
  w->logs = freshet_item_logs_create(&ports, apply, NULL);
}

static void end(void) {
  freshet_item_logs_destroy(w->logs);
  freshet_learned_destroy(w->learned);
  freshet_model_destroy(w->model);
  freshet_store_destroy(w->store);
  freshet_outbox_destroy(w->outbox);
}

static int set_up(void** state) {
  static freshet_reader_vtable vtable;
  vtable = freshet_empty_reader();
  vtable.range = range;
  vtable.open = open_at;
  vtable.poll = poll_log;
  vtable.position = position;
  static const freshet_sink_vtable sink = {.topic_name = topic_name};
  (void)state;
  w = calloc(1, sizeof *w);
  w->reader.vtable = &vtable;
  w->sink.vtable = &sink;
  w->clock.now_ms = clock_ms;
  w->clock.monotonic_us = clock_us;
  w->deltas_end = DELTAS_END;
  const freshet_codec_config codec = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  assert_int_equal(freshet_codec_create(&codec, &w->codec, NULL), FRESHET_OK);
  start_bare();
  return 0;
}

static int tear_down(void** state) {
  (void)state;
  end();
  freshet_codec_destroy(w->codec);
  for (size_t i = 0; i < w->written; i++) freshet_buffer_free(&w->values[i]);
  free(w);
  return 0;
}

/* ---- steps ---- */

/* words: what the checkpoint says of itself, as it is in the log. */
static void write_state(freshet_slice key, freshet_slice learned, int64_t folded_to, const char* words) {
  const size_t i = w->written++;
  const freshet_item_state state = {
      .folded_to = folded_to, .learned = learned, .encoder = freshet_slice_of(words)};
  assert_int_equal(freshet_encode_item_state(w->codec, &state, &w->values[i], NULL), FRESHET_OK);
  w->states[i] = (freshet_record){.topic = FRESHET_TOPIC_ITEM_STATES,
                                  .offset = (int64_t)i,
                                  .has_key = true,
                                  .key = key,
                                  .has_value = true,
                                  .value = freshet_buffer_slice(&w->values[i])};
}

static void write_share(int32_t share, int64_t folded_to, const char* words) {
  freshet_buffer globals = {0};
  freshet_model_write_globals(w->model, folded_to, &globals);
  write_state(freshet_learned_globals_key(share, w->keys[w->written]), freshet_buffer_slice(&globals),
              folded_to, words);
  freshet_buffer_free(&globals);
}

/* As if nothing had been learned of it but by deltas that the model knows. */
static void write_item(uint64_t key, int64_t folded_to, const char* words) {
  freshet_buffer row = {0};
  freshet_model_write_item(w->model, 0, folded_to, &row);
  write_state(freshet_learned_item_key(key, w->keys[w->written]), freshet_buffer_slice(&row), folded_to,
              words);
  freshet_buffer_free(&row);
}

static void load(int32_t shares) {
  assert_int_equal(freshet_learned_load(w->learned, w->logs, shares, NULL), FRESHET_OK);
}

/* ---- tests ---- */

static void shares_of_one_cut_tell_the_beginning(void** state) {
  (void)state;
  write_share(0, 12, "m1:0:5:0000000000000007 s1:2");
  write_share(1, 10, "s1:2");
  load(2);
  assert_int_equal(w->start, 10);
}

/* Of three shares the last one was never written. Then `items` grew. The new share 2 lacks items of the old one. */
static void shares_from_before_and_after_growth_tell_nothing(void** state) {
  (void)state;
  write_share(0, 8, "s1:3");
  write_share(1, 8, "s1:3");
  write_share(2, 8, "s1:4");
  write_share(3, 8, "s1:4");
  load(4);
  assert_int_equal(w->start, ALL);
}

/* `items` was made again with fewer partitions: shares 2 and 3 of four may be older, and nobody asks for them. */
static void shares_of_more_partitions_tell_nothing(void** state) {
  (void)state;
  write_share(0, 8, "s1:4");
  write_share(1, 8, "s1:4");
  load(2);
  assert_int_equal(w->start, ALL);
}

static void shares_of_older_versions_count_among_themselves(void** state) {
  (void)state;
  write_share(0, 9, "m1:0:5:0000000000000007");
  write_share(1, 8, "");
  load(2);
  assert_int_equal(w->start, 8);
}

static void shares_of_an_older_version_and_this_one_tell_nothing(void** state) {
  (void)state;
  write_share(0, 8, "");
  write_share(1, 9, "s1:2");
  load(2);
  assert_int_equal(w->start, ALL);
}

/* Its mark is that of the log all the same: a start finds the record there and cannot tell that it is no delta. */
static void a_first_record_that_is_no_delta_names_the_log(void** state) {
  (void)state;
  freshet_buffer good = {0};
  const freshet_model_delta delta = {0};
  assert_int_equal(
      freshet_encode_item_delta(w->codec, freshet_slice_of("another worker"), &delta, &good, NULL),
      FRESHET_OK);
  freshet_record first = {.topic = FRESHET_TOPIC_ITEM_DELTAS, .timestamp_ms = 5},
                 second = {.topic = FRESHET_TOPIC_ITEM_DELTAS,
                           .offset = 1,
                           .timestamp_ms = 6,
                           .has_value = true,
                           .value = freshet_buffer_slice(&good)};
  for (int has_value = 0; has_value < 2; has_value++) {
    char words[FRESHET_MARK_TEXT_SIZE];
    first.has_value = has_value;
    first.value = has_value ? freshet_slice_of("no delta") : (freshet_slice){0};
    w->deltas_end = 0;
    w->first_delta = NULL;
    load(1);
    assert_int_equal(freshet_learned_apply_delta(w->learned, &first, NULL) == FRESHET_OK, !has_value);
    assert_int_equal(freshet_learned_apply_delta(w->learned, &second, NULL), FRESHET_OK);
    freshet_mark_write(&w->learned->log, words);
    end();

    start_bare();
    write_share(0, 10, words);
    w->deltas_end = DELTAS_END;
    w->first_delta = &first;
    load(1);
    assert_int_equal(w->start, 10);
    end();

    start_bare();
    freshet_buffer_free(&w->values[0]);
    w->written = w->read = 0;
  }
  freshet_buffer_free(&good);
}

/* There is no room for the item, so its state is parked. Then it is announced. All deltas of this log are to be added. */
static void an_item_that_gets_a_slot_while_others_are_read_counts_by_this_log(void** state) {
  enum { FIRST = 1, SECOND = 2, FOLDED = 15 };
  (void)state;
  uint32_t slot;
  const freshet_record first = {.topic = FRESHET_TOPIC_ITEM_DELTAS, .timestamp_ms = 5};
  end();
  w->max_items = 1;
  start_bare();
  assert_int_equal(freshet_model_intern_key(w->model, FIRST, &slot, NULL), FRESHET_OK);
  write_item(SECOND, FOLDED, "m1:0:5:0000000000000007");
  w->first_delta = &first;
  w->announced = SECOND;
  load(1);
  assert_int_equal(freshet_learned_parked(w->learned), 1);
  assert_int_not_equal(freshet_model_find_key(w->model, SECOND), FRESHET_NO_ITEM);
  assert_int_equal(w->start, ALL);
  assert_false(freshet_model_fit_log(w->model, FOLDED - 1)); /* no item has any delta folded */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(shares_of_one_cut_tell_the_beginning),
      TEST(shares_from_before_and_after_growth_tell_nothing),
      TEST(shares_of_more_partitions_tell_nothing),
      TEST(shares_of_older_versions_count_among_themselves),
      TEST(shares_of_an_older_version_and_this_one_tell_nothing),
      TEST(a_first_record_that_is_no_delta_names_the_log),
      TEST(an_item_that_gets_a_slot_while_others_are_read_counts_by_this_log),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
