/*
 * A pass over the rows of learned state, with 100,000 items: no turn writes many rows or computes for long, and whatever
 * is learned meanwhile, the store gets what was true when the pass began. Rows that are half written are made whole by
 * the deltas since the position.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "catalogue/learned.h"
#include "core/maths.h"
#include "support_empty_reader.h"

enum {
  ITEMS = 100000,
  USERS = 50,
  EVENTS_A_TURN = 20,
  ROWS_A_TURN = 64,
  CPU_MOST_US = 5000, /* a turn may compute for so long */
  KEPT_TURNS = 3,     /* the longest turns are left out: interrupts count as theirs */
};

/* ---- ports ---- */

/* Keeps the rows by slot, as the store would after each turn. */
typedef struct row_store {
  freshet_store base;
  freshet_model* model;
  freshet_buffer* rows; /* [ITEMS] */
  freshet_buffer globals;
  int64_t position; /* -1: there is none */
  size_t puts;
} row_store;

static row_store store;
static int64_t delta_end, now_us;
static freshet_codec* codec;

static void put(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key,
                freshet_slice value) {
  uint64_t item_key;
  (void)self;
  assert_int_equal(family, FRESHET_FAMILY_ITEMS);
  assert_int_equal(partition, 0);
  freshet_buffer* row = &store.globals;
  if (key.size == sizeof item_key) {
    memcpy(&item_key, key.data, sizeof item_key);
    row = &store.rows[freshet_model_find_key(store.model, item_key)];
    store.puts++;
  }
  row->size = 0;
  freshet_buffer_append(row, value.data, value.size);
}

static void set_position(freshet_store* self, freshet_topic topic, int32_t partition, int64_t offset,
                         int64_t time_ms) {
  (void)self, (void)partition, (void)time_ms;
  if (topic == FRESHET_TOPIC_ITEM_DELTAS) store.position = offset;
}

static freshet_status stored_position(freshet_store* self, freshet_topic topic, int32_t partition,
                                      int64_t* offset, int64_t* time_ms, freshet_error* error) {
  (void)self, (void)topic, (void)partition, (void)offset, (void)time_ms, (void)error;
  return FRESHET_NOT_FOUND;
}

static void clear(freshet_store* self, freshet_family family, int32_t partition) {
  (void)self, (void)family, (void)partition;
}

static freshet_status write_store(freshet_store* self, freshet_error* error) {
  (void)self, (void)error;
  return FRESHET_OK;
}

static int64_t position(freshet_reader* self, freshet_topic topic, int32_t partition) {
  (void)self, (void)partition;
  return topic == FRESHET_TOPIC_ITEM_DELTAS ? delta_end : 0;
}

static int64_t clock_ms(freshet_clock* self) {
  (void)self;
  return 1700000000000;
}

static int64_t clock_us(freshet_clock* self) {
  (void)self;
  return now_us;
}

/* ---- the world ---- */

typedef struct world {
  freshet_model* model;
  freshet_user* users[USERS];
  freshet_learned* learned;
  freshet_item_logs* logs;
  freshet_buffer* deltas; /* [delta_end] events, then the four parts, each after its size */
  uint64_t drawn;
} world;

static freshet_model_config config_of_model(void) {
  freshet_model_config config = freshet_model_defaults();
  config.dim = 16;
  config.neighbours = 8;
  return config;
}

static freshet_model* make_empty_model(void) {
  const freshet_model_config config = config_of_model();
  freshet_model* model;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  return model;
}

static void add_items(freshet_model* model) {
  for (uint32_t i = 0; i < ITEMS; i++) {
    uint32_t slot;
    assert_int_equal(freshet_model_intern_key(model, freshet_random(i, 1), &slot, NULL), FRESHET_OK);
    freshet_model_set_listed(model, slot, true);
  }
}

static freshet_status no_record(void* context, const freshet_record* record, freshet_error* error) {
  (void)context, (void)record, (void)error;
  return FRESHET_OK;
}

static world make_world(void) {
  static const freshet_store_vtable store_vtable = {.put = put,
                                                    .set_position = set_position,
                                                    .position = stored_position,
                                                    .clear = clear,
                                                    .write = write_store};
  static freshet_reader_vtable reader_vtable;
  static const freshet_logger logger;
  static freshet_reader reader;
  static freshet_clock clock;
  static freshet_worker_metrics metrics;
  reader_vtable = freshet_empty_reader();
  reader_vtable.position = position;
  reader.vtable = &reader_vtable;
  clock.now_ms = clock_ms;
  clock.monotonic_us = clock_us;
  world w = {.model = make_empty_model(), .deltas = calloc(1000, sizeof *w.deltas)};
  store = (row_store){
      .base = {&store_vtable}, .model = w.model, .rows = calloc(ITEMS, sizeof *store.rows), .position = -1};
  delta_end = 0;
  now_us = 1;
  const freshet_codec_config codec_config = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  assert_int_equal(freshet_codec_create(&codec_config, &codec, NULL), FRESHET_OK);
  const freshet_ports ports = {.reader = &reader,
                               .store = &store.base,
                               .clock = &clock,
                               .codec = codec,
                               .logger = &logger,
                               .metrics = &metrics};
  w.logs = freshet_item_logs_create(&ports, no_record, NULL);
  w.learned = freshet_learned_create(&ports, w.model, 1000, INT32_MAX, ROWS_A_TURN);
  add_items(w.model);
  for (int u = 0; u < USERS; u++) w.users[u] = freshet_user_create(w.model);
  assert_int_equal(freshet_learned_load(w.learned, w.logs, 1, NULL), FRESHET_OK);
  return w;
}

static void free_world(world* w) {
  freshet_item_logs_destroy(w->logs);
  freshet_learned_destroy(w->learned);
  for (int u = 0; u < USERS; u++) freshet_user_destroy(w->users[u]);
  freshet_model_destroy(w->model);
  for (int i = 0; i < ITEMS; i++) freshet_buffer_free(&store.rows[i]);
  freshet_buffer_free(&store.globals);
  free(store.rows);
  for (int64_t i = 0; i < delta_end; i++) freshet_buffer_free(&w->deltas[i]);
  free(w->deltas);
  freshet_codec_destroy(codec);
}

/* A few items are chosen all the time, and others now and then. */
static void learn(world* w, int events) {
  for (int i = 0; i < events; i++, w->drawn++) {
    const uint64_t draw = freshet_random(w->drawn, 7);
    const freshet_observation seen = {.item = (uint32_t)(draw % (draw % 3 == 0 ? 50 : ITEMS)),
                                      .positive = draw % 11 != 0,
                                      .dislike = draw % 11 == 0 ? 1 : 0,
                                      .weight = 1,
                                      .time_ms = 1700000000000 + (int64_t)w->drawn * 1000};
    assert_int_equal(freshet_model_learn(w->model, w->users[draw % USERS], &seen, NULL), FRESHET_OK);
  }
}

static void commit(world* w) {
  freshet_model_delta delta;
  freshet_model_take_delta(w->model, &delta);
  const freshet_slice parts[] = {delta.items, delta.values, delta.trace, delta.globals};
  freshet_buffer* kept = &w->deltas[delta_end++];
  freshet_buffer_append(kept, &delta.events, sizeof delta.events);
  for (int p = 0; p < 4; p++) {
    freshet_buffer_append(kept, &parts[p].size, sizeof parts[p].size);
    freshet_buffer_append(kept, parts[p].data, parts[p].size);
  }
}

static void fold(freshet_model* model, const freshet_buffer* kept, int64_t offset) {
  freshet_model_delta delta;
  freshet_slice* parts[] = {&delta.items, &delta.values, &delta.trace, &delta.globals};
  const char* at = (const char*)kept->data;
  memcpy(&delta.events, at, sizeof delta.events);
  at += sizeof delta.events;
  for (int p = 0; p < 4; p++) {
    memcpy(&parts[p]->size, at, sizeof parts[p]->size);
    parts[p]->data = at + sizeof parts[p]->size;
    at = parts[p]->data + parts[p]->size;
  }
  assert_int_equal(freshet_model_fold(model, &delta, offset, NULL), FRESHET_OK);
}

/* What a start makes of the rows as they are now. */
static uint64_t hash_of_store(const world* w) {
  freshet_model* model = make_empty_model();
  add_items(model);
  for (uint32_t slot = 0; slot < ITEMS; slot++) {
    if (store.rows[slot].size == 0) continue;
    assert_int_equal(freshet_model_read_item(model, slot, freshet_buffer_slice(&store.rows[slot]), NULL),
                     FRESHET_OK);
  }
  assert_int_equal(freshet_model_read_globals(model, freshet_buffer_slice(&store.globals), NULL), FRESHET_OK);
  for (int64_t offset = store.position; offset < delta_end; offset++) fold(model, &w->deltas[offset], offset);
  const uint64_t hash = freshet_model_hash(model);
  freshet_model_destroy(model);
  return hash;
}

static int64_t cpu_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The longest turns, the longest first. */
static void note_turn(int64_t longest[KEPT_TURNS + 1], int64_t took_us) {
  for (int i = 0; i <= KEPT_TURNS; i++) {
    if (took_us <= longest[i]) continue;
    const int64_t next = longest[i];
    longest[i] = took_us;
    took_us = next;
  }
}

static void begin_pass(world* w) {
  const bool owned[] = {true};
  now_us += 10 * 1000000;
  assert_true(freshet_learned_store_is_due(w->learned));
  assert_true(freshet_learned_is_settled(w->learned, w->logs));
  freshet_learned_begin(w->learned, w->logs, owned);
  assert_false(freshet_learned_store_is_due(w->learned));
}

/* A turn of the loop as the pass sees it. True: the last row has been put. */
static bool turn(world* w) {
  bool has_put;
  assert_int_equal(freshet_learned_turn(w->learned, &has_put, NULL), FRESHET_OK);
  return has_put;
}

static void write_all(world* w) {
  freshet_learned_store_starts(w->learned);
  freshet_learned_store_ended(w->learned);
}

static void the_store_gets_what_was_true_at_the_beginning(void** state) {
  (void)state;
  world w = make_world();
  learn(&w, 500);
  commit(&w);
  begin_pass(&w);
  const uint64_t at_first = freshet_model_hash(w.model);
  const int64_t first_end = delta_end;
  for (int turns = 0; !turn(&w); turns++) {
    assert_true(turns < 3000);
    learn(&w, EVENTS_A_TURN);
    if (turns % 20 == 19) commit(&w);
    if (turns % 10 == 9) write_all(&w);
  }
  assert_int_equal(store.position, first_end);
  commit(&w);
  assert_int_not_equal(freshet_model_hash(w.model), at_first);
  /* Without the deltas since the position it is the model of the beginning, with them that of now. */
  const int64_t end = delta_end;
  delta_end = first_end;
  assert_int_equal(hash_of_store(&w), at_first);
  delta_end = end;
  assert_int_equal(hash_of_store(&w), freshet_model_hash(w.model));
  free_world(&w);
}

/* A commit, and a whole pass after it. */
static void learn_and_store(world* w, int events) {
  learn(w, events);
  commit(w);
  begin_pass(w);
  while (!turn(w)) write_all(w);
  write_all(w);
}

static void rows_that_are_half_written_are_made_whole(void** state) {
  (void)state;
  world w = make_world();
  learn_and_store(&w, 500);
  const int64_t before = store.position;
  for (int i = 0; i < 20; i++) {
    learn(&w, 300);
    commit(&w);
  }
  begin_pass(&w);
  const size_t puts = store.puts;
  for (int turns = 0; turns < 40; turns++) {
    assert_false(turn(&w));
    learn(&w, EVENTS_A_TURN);
    if (turns % 20 == 19) commit(&w);
  }
  assert_true(store.puts > puts);
  assert_int_equal(store.position, before); /* the process dies here */
  assert_int_equal(hash_of_store(&w), freshet_model_hash(w.model));
  free_world(&w);
}

static bool is_blank(const freshet_model* model, uint32_t slot) {
  freshet_buffer row = {0};
  freshet_model_write_item(model, slot, 7, &row);
  const bool blank = freshet_model_row_is_blank(freshet_buffer_slice(&row));
  freshet_buffer_free(&row);
  return blank;
}

/* The store is empty at first. So an item that has taught nothing needs no row to say so. */
static void the_first_pass_leaves_out_items_that_taught_nothing(void** state) {
  (void)state;
  world w = make_world();
  learn_and_store(&w, 500);
  size_t touched = 0;
  for (uint32_t slot = 0; slot < ITEMS; slot++) {
    touched += !is_blank(w.model, slot);
    assert_int_equal(store.rows[slot].size == 0, is_blank(w.model, slot));
  }
  assert_in_range(touched, 100, ITEMS / 2);
  assert_int_equal(store.puts, touched);
  assert_int_equal(hash_of_store(&w), freshet_model_hash(w.model));
  free_world(&w);
}

/* As after a start from rows of an older version, which has written one for each item. */
static void read_all_rows(freshet_model* model) {
  freshet_buffer row = {0};
  for (uint32_t slot = 0; slot < ITEMS; slot++) {
    row.size = 0;
    freshet_model_write_item(model, slot, 0, &row);
    assert_int_equal(freshet_model_read_item(model, slot, freshet_buffer_slice(&row), NULL), FRESHET_OK);
  }
  freshet_buffer_free(&row);
}

static void no_turn_is_long(void** state) {
  (void)state;
  int64_t longest[KEPT_TURNS + 1] = {0};
  world w = make_world();
  learn_and_store(&w, 500);
  read_all_rows(w.model);
  store.puts = 0;
  int64_t start_us = cpu_us();
  begin_pass(&w);
  note_turn(longest, cpu_us() - start_us);
  for (bool has_put = false; !has_put;) {
    const size_t puts = store.puts;
    start_us = cpu_us();
    has_put = turn(&w);
    note_turn(longest, cpu_us() - start_us);
    assert_true(store.puts - puts <= ROWS_A_TURN);
    write_all(&w);
  }
  assert_int_equal(store.puts, ITEMS);
  if (longest[KEPT_TURNS] > CPU_MOST_US)
    fail_msg("a turn computes for %lld us", (long long)longest[KEPT_TURNS]);
  free_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_store_gets_what_was_true_at_the_beginning),
      cmocka_unit_test(rows_that_are_half_written_are_made_whole),
      cmocka_unit_test(the_first_pass_leaves_out_items_that_taught_nothing),
      cmocka_unit_test(no_turn_is_long),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
