/*
 * test_long_turns.c: what one turn of the worker does at most, by a clock that each piece of work moves: lists, records of
 * the catalogue, the outcome of a commit. What is left comes in the next turns, in its order. And which lists a commit holds that
 * readers wait for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/partitioner.h"
#include "support/memory_store.h"
#include "support_empty_reader.h"
#include "worker/worker.h"

enum {
  LIST_US = 500,
  ITEM_US = 20,
  EVENTS_MAX = 4096,
  VALUE_MAX = 160,
  LISTS_A_TURN = 5000 / LIST_US + 8,
  TURN_US = 20000,
  FAR_BEHIND = 3500,
  LISTS_US = 10000, /* between commits of lists */
};

typedef struct record_bytes {
  char key[16];
  uint8_t value[VALUE_MAX];
  size_t size;
} record_bytes;

typedef struct world {
  freshet_source source;
  freshet_reader log;
  freshet_sink sink;
  freshet_clock clock;
  freshet_store* store;
  freshet_codec* codec;
  freshet_outbox* outbox;
  freshet_worker_metrics metrics;
  freshet_worker* worker;
  freshet_source_handler handler;
  int64_t now_us;
  bool is_assigned;
  record_bytes* events; /* [events_count], of which events_taken have been polled, out of events_there */
  int64_t events_count, events_there, events_taken;
  size_t asked; /* what the last poll might return */
  size_t most;  /* that a poll returns; 0: all that it may */
  record_bytes item;
  int64_t items_count, items_taken; /* records of `items`: `item` again and again */
  int64_t lists;                    /* published */
  char order[EVENTS_MAX][16];       /* [lists] whose */
  int64_t commits, committed;       /* how many were started, and up to which event */
  int64_t rows;                     /* of users, written into a transaction */
  int64_t user_1_events;            /* of user-1, as the last of its rows says */
  freshet_sink_job job;             /* what the sink writes beside the worker */
  void* job_context;
  bool has_writer, writes_slowly;
  bool has_no_outcome;
  int64_t in_transactions; /* lists */
  bool is_on_its_way;      /* what the open transaction has sent */
  int longest_wait_ms;     /* for an outcome */
  int longest_poll_ms;     /* how long a poll might have waited for records */
} world;

static world* w;

/* ---- the world around the worker ---- */

static freshet_status ok(freshet_sink* self, freshet_error* error) {
  (void)self, (void)error;
  return FRESHET_OK;
}
static freshet_status sink_publish(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  (void)self, (void)error;
  if (output->topic != FRESHET_TOPIC_RECOMMENDATIONS) return FRESHET_OK;
  w->now_us += LIST_US;
  assert_true(w->lists < EVENTS_MAX);
  snprintf(w->order[w->lists++], sizeof w->order[0], "%.*s", (int)output->key.size, output->key.data);
  return FRESHET_OK;
}
static freshet_status sink_write(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  freshet_user_state state;
  (void)self;
  w->in_transactions += output->topic == FRESHET_TOPIC_RECOMMENDATIONS;
  if (output->topic != FRESHET_TOPIC_USERS || output->key.data[0] == '\0') return FRESHET_OK;
  assert_int_equal(freshet_decode_user_state(w->codec, output->value, &state, error), FRESHET_OK);
  w->rows++;
  if (freshet_slice_equal(output->key, freshet_slice_of("user-1"))) w->user_1_events = state.events;
  return FRESHET_OK;
}
static bool sink_is_at_rest(freshet_sink* self, int wait_ms) {
  (void)self;
  w->now_us += (int64_t)wait_ms * 1000;
  return !w->is_on_its_way;
}
static bool sink_start_writing(freshet_sink* self, freshet_sink_job job, void* context) {
  (void)self;
  if (!w->has_writer) return false;
  w->job = job;
  w->job_context = context;
  return true;
}
static freshet_status sink_end_writing(freshet_sink* self, int wait_ms, freshet_error* error) {
  (void)self;
  if (w->writes_slowly && wait_ms >= 0) return FRESHET_TIMEOUT;
  const freshet_status status = w->job(w->job_context, error);
  w->job = NULL;
  return status;
}
static freshet_status sink_commit(freshet_sink* self, const freshet_partition* offsets, size_t count,
                                  freshet_error* error) {
  (void)self, (void)error;
  w->commits++;
  for (size_t i = 0; i < count; i++) {
    if (offsets[i].topic == FRESHET_TOPIC_EVENTS) w->committed = offsets[i].offset;
  }
  return FRESHET_OK;
}
static freshet_status sink_outcome(freshet_sink* self, int wait_ms, freshet_error* error) {
  (void)self, (void)error;
  if (wait_ms > w->longest_wait_ms) w->longest_wait_ms = wait_ms;
  w->now_us += (int64_t)wait_ms * 1000;
  return w->has_no_outcome ? FRESHET_TIMEOUT : FRESHET_OK;
}
static int64_t sink_end(freshet_sink* self, freshet_topic topic, int32_t partition) {
  (void)self, (void)topic, (void)partition;
  return -1;
}
static void sink_poll(freshet_sink* self) {
  (void)self;
}
static const char* sink_name(freshet_sink* self, freshet_topic topic) {
  (void)self, (void)topic;
  return "";
}

static freshet_record record_of(const record_bytes* bytes, freshet_topic topic, int64_t offset) {
  return (freshet_record){.topic = topic,
                          .offset = offset,
                          .timestamp_ms = w->now_us / 1000,
                          .has_key = true,
                          .key = freshet_slice_of(bytes->key),
                          .has_value = true,
                          .value = {(const char*)bytes->value, bytes->size}};
}

static freshet_status source_poll(freshet_source* self, int timeout_ms, freshet_record* out, size_t capacity,
                                  size_t* count, freshet_error* error) {
  (void)self;
  *count = 0;
  w->asked = capacity;
  if (timeout_ms > w->longest_poll_ms) w->longest_poll_ms = timeout_ms;
  if (!w->is_assigned) {
    const freshet_partition events = {.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = w->committed};
    w->is_assigned = true;
    w->events_taken = w->committed;
    return w->handler.assigned(w->handler.context, &events, 1, error);
  }
  const size_t most = w->most > 0 && w->most < capacity ? w->most : capacity;
  while (*count < most && w->events_taken < w->events_there) {
    out[(*count)++] = record_of(&w->events[w->events_taken], FRESHET_TOPIC_EVENTS, w->events_taken);
    w->events_taken++;
  }
  return FRESHET_OK;
}
static freshet_status source_seek(freshet_source* self, const freshet_partition* partitions, size_t count,
                                  freshet_error* error) {
  (void)self, (void)partitions, (void)count, (void)error;
  return FRESHET_OK;
}
static int64_t source_end(freshet_source* self, freshet_topic topic, int32_t partition) {
  (void)self, (void)topic, (void)partition;
  return w->events_there;
}
static bool source_header(freshet_source* self, const freshet_record* record, const char* name,
                          freshet_slice* value) {
  (void)self, (void)record, (void)name, (void)value;
  return false;
}
static void source_wake(freshet_source* self) {
  (void)self;
}

static freshet_status log_range(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t* first,
                                int64_t* end, freshet_error* error) {
  (void)self, (void)partition, (void)error;
  *first = 0;
  *end = topic == FRESHET_TOPIC_ITEMS ? w->items_count : 0;
  return FRESHET_OK;
}
static freshet_status log_open(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t offset,
                               freshet_error* error) {
  (void)self, (void)partition, (void)error;
  if (topic == FRESHET_TOPIC_ITEMS) w->items_taken = offset;
  return FRESHET_OK;
}
static freshet_status log_poll(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  (void)self, (void)timeout_ms, (void)error;
  *count = 0;
  while (*count < capacity && w->items_taken < w->items_count) {
    out[*count] = record_of(&w->item, FRESHET_TOPIC_ITEMS, w->items_taken++);
    out[(*count)++].timestamp_ms = 1; /* whenever it is read: else it would be of another log */
  }
  w->now_us += (int64_t)*count * ITEM_US;
  return FRESHET_OK;
}
static int64_t log_position(freshet_reader* self, freshet_topic topic, int32_t partition) {
  (void)self, (void)partition;
  return topic == FRESHET_TOPIC_ITEMS ? w->items_taken : 0;
}

static int64_t clock_ms(freshet_clock* self) {
  (void)self;
  return w->now_us / 1000;
}
static int64_t clock_us(freshet_clock* self) {
  (void)self;
  return w->now_us;
}
static freshet_thread_use clock_use(freshet_clock* self) {
  (void)self;
  return (freshet_thread_use){.cpu_us = w->now_us};
}

static freshet_stream_config config_of(uint32_t overlay_users) {
  freshet_stream_config config = {.partitioner = FRESHET_PARTITIONER_MURMUR2,
                                  .model = freshet_model_defaults(),
                                  .limits = {.rating_min = 1, .rating_max = 5, .future_tolerance_ms = 1000},
                                  .weights = {1, 1, 1},
                                  .list_size = 3,
                                  .context_weight = 3,
                                  .requests_max_age_ms = 30000,
                                  .max_delay_ms = 30000,
                                  .far_behind = FAR_BEHIND,
                                  .ranking_threads = 1,
                                  .lagging_threads = 1,
                                  .ranking_batch = 256,
                                  .commit_interval_ms = 1000,
                                  .lists_interval_ms = LISTS_US / 1000,
                                  .overlay_users = overlay_users,
                                  .cached_users = 10000,
                                  .dedup_events = 10000,
                                  .dedup_window_ms = 1000000,
                                  .items_interval_ms = 1000000000,
                                  .checkpoint_interval_ms = 1000000000,
                                  .commit_rows_a_turn = 128,
                                  .item_rows_a_turn = 64,
                                  .survey_rows_a_turn = 256,
                                  .text_interval_ms = 1000000000,
                                  .text_batch = 1,
                                  .text_cutover_coverage = 1};
  config.model.dim = 16;
  return config;
}

static void connect(void) {
  static const freshet_source_vtable source = {.poll = source_poll,
                                               .seek = source_seek,
                                               .end = source_end,
                                               .header = source_header,
                                               .wake = source_wake};
  static freshet_reader_vtable log;
  log = freshet_empty_reader();
  log.range = log_range;
  log.open = log_open;
  log.poll = log_poll;
  log.position = log_position;
  static const freshet_sink_vtable sink = {.publish = sink_publish,
                                           .begin = ok,
                                           .is_at_rest = sink_is_at_rest,
                                           .write = sink_write,
                                           .start_writing = sink_start_writing,
                                           .end_writing = sink_end_writing,
                                           .commit = sink_commit,
                                           .outcome = sink_outcome,
                                           .abort = ok,
                                           .written_end = sink_end,
                                           .topic_name = sink_name,
                                           .poll = sink_poll};
  w->source.vtable = &source;
  w->log.vtable = &log;
  w->sink.vtable = &sink;
  w->clock = (freshet_clock){.now_ms = clock_ms, .monotonic_us = clock_us, .use = clock_use};
}

static void step_ms(int timeout_ms) {
  freshet_error error = {0};
  if (freshet_worker_step(w->worker, timeout_ms, &error) != FRESHET_OK) fail_msg("%s", error.message);
}

static void step(void) {
  step_ms(0);
}

static void write_item(void) {
  freshet_buffer bytes = {0};
  const freshet_item item = {
      .item_id = freshet_slice_of("lamp"), .title = freshet_slice_of("a lamp"), .available = true};
  assert_int_equal(freshet_encode_item(w->codec, &item, &bytes, NULL), FRESHET_OK);
  assert_true(bytes.size <= VALUE_MAX);
  snprintf(w->item.key, sizeof w->item.key, "lamp");
  memcpy(w->item.value, bytes.data, bytes.size);
  w->item.size = bytes.size;
  freshet_buffer_free(&bytes);
}

static void start_delivery(uint32_t overlay_users, freshet_delivery delivery) {
  freshet_stream_config config = config_of(overlay_users);
  config.delivery = delivery;
  const freshet_codec_config codec = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  w = calloc(1, sizeof *w);
  w->events = calloc(EVENTS_MAX, sizeof *w->events);
  w->now_us = INT64_C(1700000000000000);
  w->store = freshet_memory_store_create();
  connect();
  assert_int_equal(freshet_codec_create(&codec, &w->codec, NULL), FRESHET_OK);
  w->outbox = freshet_outbox_create(&w->sink, config.delivery);
  const freshet_ports ports = {.source = &w->source,
                               .reader = &w->log,
                               .changelog = &w->log,
                               .outbox = w->outbox,
                               .store = w->store,
                               .clock = &w->clock,
                               .codec = w->codec,
                               .metrics = &w->metrics};
  freshet_error error = {0};
  if (freshet_worker_create(&config, &ports, NULL, &w->worker, &error) != FRESHET_OK)
    fail_msg("%s", error.message);
  w->handler = freshet_worker_handler(w->worker);
  write_item();
  w->items_count = 1;
  step();
  step();
}

static void start(uint32_t overlay_users) {
  start_delivery(overlay_users, FRESHET_DELIVERY_FAST);
}

static void stop(void) {
  freshet_worker_destroy(w->worker);
  freshet_outbox_destroy(w->outbox);
  freshet_store_destroy(w->store);
  freshet_codec_destroy(w->codec);
  free(w->events);
  free(w);
}

static void choose_as(int64_t user) {
  record_bytes* to = &w->events[w->events_count];
  char event_id[32];
  freshet_buffer bytes = {0};
  assert_true(w->events_count < EVENTS_MAX);
  snprintf(to->key, sizeof to->key, "user-%lld", (long long)user);
  snprintf(event_id, sizeof event_id, "event-%lld", (long long)w->events_count);
  const freshet_event event = {.type = FRESHET_CLICK,
                               .event_id = freshet_slice_of(event_id),
                               .user_id = freshet_slice_of(to->key),
                               .item_id = freshet_slice_of("lamp"),
                               .occurred_at_ms = w->now_us / 1000};
  assert_int_equal(freshet_encode_event(w->codec, &event, &bytes, NULL), FRESHET_OK);
  assert_true(bytes.size <= VALUE_MAX);
  memcpy(to->value, bytes.data, bytes.size);
  to->size = bytes.size;
  freshet_buffer_free(&bytes);
  w->events_there = ++w->events_count;
}

/* An event of a new user. */
static void choose(void) {
  choose_as(w->events_count);
}

/* ---- the tests ---- */

static void lists_of_a_turn_are_bounded_by_their_time(void** state) {
  enum { USERS = 300 };
  (void)state;
  start(100000);
  for (int i = 0; i < USERS; i++) choose();
  int turns = 0;
  for (int64_t before = 0; w->lists < USERS && turns < 1000; turns++, before = w->lists) {
    step();
    if (turns == 0) assert_int_equal(w->events_taken, USERS); /* lists hold up no event */
    assert_in_range(w->lists - before, 1, LISTS_A_TURN);
  }
  assert_in_range(turns, USERS / LISTS_A_TURN, USERS / (5000 / LIST_US - 8 + 1));
  for (int i = 0; i < USERS; i++) { /* who has waited longest comes first */
    char user[16];
    snprintf(user, sizeof user, "user-%d", i);
    assert_string_equal(w->order[i], user);
  }
  stop();
}

/* A user whose event comes while others wait is not served before them. */
static void users_with_a_later_event_come_later(void** state) {
  (void)state;
  start(100000);
  for (int i = 0; i < 40; i++) choose();
  step();
  assert_in_range(w->lists, 1, 39);
  choose();
  for (int i = 0; i < 40; i++) step();
  assert_int_equal(w->lists, 41);
  assert_string_equal(w->order[40], "user-40");
  stop();
}

/* Near the end of the allowed delay lists get more of the time, and fewer records are read. */
static void lists_that_have_waited_long_come_first(void** state) {
  (void)state;
  start(100000);
  for (int i = 0; i < 300; i++) choose();
  step();
  const int64_t before = w->lists;
  w->now_us += 29000000;
  step();
  assert_in_range(w->lists - before, LISTS_A_TURN + 1, 10000 / LIST_US + 8);
  const size_t asked = w->asked;
  step();
  assert_true(w->asked < asked);
  stop();
}

static void lists_flow_while_the_catalogue_comes_again(void** state) {
  enum { ITEMS = 5000, A_TURN = 4 };
  (void)state;
  start(100000);
  w->items_count += ITEMS;
  int turns = 0;
  for (; w->items_taken < w->items_count && turns < EVENTS_MAX / A_TURN; turns++) {
    const int64_t lists = w->lists, start_us = w->now_us, items = w->items_taken;
    for (int i = 0; i < A_TURN; i++) choose();
    step();
    assert_int_equal(w->lists - lists, A_TURN); /* no list waits for it */
    assert_true(w->items_taken > items);        /* nor does it wait for ever */
    assert_true(w->now_us - start_us <= TURN_US);
    if (turns > 5) /* a share of the time, or one piece */
      assert_in_range(w->items_taken - items, 1, 32);
  }
  assert_int_equal(w->items_taken, w->items_count);
  for (w->items_count += 500, turns = 0; w->items_taken < w->items_count; turns++) step();
  assert_in_range(turns, 1, 10); /* all the time that nothing waits for */
  stop();
}

/* While a commit has no outcome and memory is full, few events are read. The loop goes on. */
static void a_commit_without_an_outcome_stops_no_list(void** state) {
  (void)state;
  start(10);
  w->has_no_outcome = true;
  for (int i = 0; i < 20; i++) choose();
  for (int i = 0; i < 5; i++) step();
  assert_int_equal(w->lists, 20);
  for (int i = 0; i < 20; i++) choose();
  step(); /* these make the overlay full again, and the commit is under way */
  for (int i = 0; i < 100; i++) choose();
  w->longest_wait_ms = 0;
  const int64_t taken = w->events_taken;
  for (int i = 0; i < 10; i++) step();
  assert_true(w->lists > 20);
  assert_in_range(w->events_taken - taken, 1, 20);
  assert_in_range(w->longest_wait_ms, 0, 5);
  w->has_no_outcome = false;
  for (int i = 0; i < 100; i++) step();
  assert_int_equal(w->events_taken, w->events_count);
  assert_int_equal(w->lists, w->events_count);
  stop();
}

/* Rows of users go into a commit before it is due, a few in each turn. One that changes later goes once more. A commit is
 * written in pieces, and holds what was true when it started. */
static void a_commit_has_little_left_to_write(void** state) {
  enum { USERS = 200, A_TURN = 32, A_PIECE = 128 };
  (void)state;
  start(100000);
  choose();
  for (int i = 0; i < 5; i++) step(); /* the first commit is due at once */
  assert_int_equal(w->rows, 1);
  for (int i = 0; i < USERS; i++) choose();
  for (int i = 0; i < 40; i++) step();
  assert_int_equal(w->lists, 1 + USERS);
  const size_t others = freshet_outbox_kept(w->outbox);
  w->now_us += 600000;
  for (size_t kept = others, before = others; before < others + USERS; before = kept) {
    step();
    kept = freshet_outbox_kept(w->outbox);
    assert_in_range(kept - before, 1, A_TURN);
  }
  assert_int_equal(w->rows, 1);
  choose_as(1);
  step();
  w->now_us += 400000;
  step();
  assert_int_equal(w->rows, 1 + A_PIECE);
  choose_as(1); /* learned while the commit is written, so it belongs to the next one */
  step();
  assert_int_equal(w->rows, 1 + USERS + 1);
  assert_int_equal(w->user_1_events, 2);
  w->now_us += 1000000;
  for (int i = 0; i < 5; i++) step();
  assert_int_equal(w->rows, 1 + USERS + 2);
  assert_int_equal(w->user_1_events, 3);
  stop();
}

/* As a member of today, the process would commit what it has learned as a member of yesterday. */
static void a_commit_that_is_being_written_is_not_started_when_partitions_are_lost(void** state) {
  enum { USERS = 200 };
  const freshet_partition events = {.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 0};
  (void)state;
  start(100000);
  choose();
  for (int i = 0; i < 5; i++) step();
  for (int i = 0; i < USERS; i++) choose();
  for (int i = 0; i < 40; i++) step();
  const int64_t commits = w->commits;
  w->now_us += 1000000;
  step();
  assert_true(w->rows > 1 && w->rows < 1 + USERS);
  freshet_error error = {0};
  if (w->handler.revoked(w->handler.context, &events, 1, true, &error) != FRESHET_OK)
    fail_msg("%s", error.message);
  assert_int_equal(w->commits, commits);
  w->is_assigned = false;
  for (int i = 0; i < 40; i++) step();
  w->now_us += 1000000;
  for (int i = 0; i < 5; i++) step();
  assert_true(w->commits > commits);
  assert_int_equal(w->committed, 1 + USERS);
  assert_int_equal(w->user_1_events, 1);
  stop();
}

/* Events are learned while the sink's thread writes a commit. They belong to the next one. */
static void a_backlog_is_learned_while_a_commit_is_written(void** state) {
  enum { BACKLOG = 4000 };
  (void)state;
  start(100000);
  choose();
  for (int i = 0; i < 5; i++) step();
  for (int i = 1; i < BACKLOG; i++) choose();
  w->now_us += 1000000;
  w->has_writer = w->writes_slowly = true;
  step();
  assert_non_null(w->job);
  const int64_t learned = w->events_taken, commits = w->commits;
  assert_in_range(learned, 2, BACKLOG / 2);
  step();
  assert_in_range(w->events_taken, learned + 1, BACKLOG - 1);
  assert_int_equal(w->rows, 1);
  assert_int_equal(w->commits, commits);
  w->writes_slowly = false;
  step();
  assert_null(w->job);
  assert_int_equal(w->rows, learned);
  assert_int_equal(w->commits, commits + 1);
  assert_int_equal(w->committed, learned);
  stop();
}

static void step_times(int times) {
  for (int i = 0; i < times; i++) step();
}

/* Far behind, a row that several events change goes into one commit, unless memory fills. */
static void far_behind_the_state_is_committed_less_often(void** state) {
  enum { A_TURN = 20, MANY_USERS = 300, COMMIT_TURNS = 3 };
  (void)state;
  start(4 * MANY_USERS);
  choose();
  step_times(5);
  assert_int_equal(w->commits, 1);
  const int64_t start_us = w->now_us;
  while (w->events_count < EVENTS_MAX - 1) choose();
  w->most = A_TURN;
  for (int s = 1; s <= 4; s++) {
    w->now_us = start_us + s * 1000000 + 1000;
    step();
  }
  assert_int_equal(w->commits, 1);
  w->now_us = start_us + 5001000;
  step_times(COMMIT_TURNS);
  assert_int_equal(w->commits, 2);
  for (w->now_us += 1001000; w->events_taken - w->committed < MANY_USERS - A_TURN;) step();
  assert_int_equal(w->commits, 2);
  step_times(COMMIT_TURNS);
  assert_int_equal(w->commits, 3); /* a quarter of the users that a commit may hold have changed */
  w->now_us += 1001000;
  while (w->events_there - w->events_taken > FAR_BEHIND + A_TURN) step();
  assert_int_equal(w->commits, 3);
  step_times(2 * COMMIT_TURNS);
  assert_int_equal(w->commits, 4); /* no longer far behind */
  stop();
}

/* Returns right after a commit of lists; the next one has to follow it. */
static void commit_a_list(void) {
  const int64_t commits = w->commits;
  w->is_on_its_way = false;
  w->now_us += LISTS_US;
  choose();
  for (int i = 0; i < 10 && w->commits == commits; i++) step();
  assert_int_equal(w->commits, commits + 1);
  step();
}

/* The first lists open the partitions of the next transaction. It is committed when they are open, together with lists that have
 * come meanwhile. */
static void lists_that_come_while_partitions_are_opened_are_committed_with_them(void** state) {
  (void)state;
  start_delivery(100000, FRESHET_DELIVERY_COMMITTED);
  commit_a_list(); /* together with the state */
  commit_a_list();
  const int64_t commits = w->commits, lists = w->in_transactions;
  w->is_on_its_way = true;
  choose();
  step();
  assert_int_equal(w->in_transactions, lists + 1);
  w->now_us += LISTS_US;
  for (int i = 0; i < 5; i++) step();
  assert_int_equal(w->commits, commits);
  choose();
  step();
  assert_int_equal(w->commits, commits);
  w->is_on_its_way = false;
  step();
  assert_int_equal(w->commits, commits + 1);
  assert_int_equal(w->in_transactions, lists + 2);
  stop();
}

static void a_list_that_follows_no_other_one_is_committed_at_once(void** state) {
  (void)state;
  start_delivery(100000, FRESHET_DELIVERY_COMMITTED);
  commit_a_list();
  commit_a_list();
  const int64_t commits = w->commits;
  w->now_us += 2 * LISTS_US;
  w->is_on_its_way = true;
  choose();
  step();
  assert_int_equal(w->commits, commits + 1);
  stop();
}

/* No record has to come for it: what opens partitions is looked at again and again. */
static void a_list_waits_for_no_record_while_partitions_are_opened(void** state) {
  enum { PATIENCE_MS = 50 };
  (void)state;
  start_delivery(100000, FRESHET_DELIVERY_COMMITTED);
  commit_a_list();
  commit_a_list();
  w->now_us += LISTS_US * 9 / 10;
  step(); /* finds no list: the next commit is one of the state, in a second */
  const int64_t commits = w->commits;
  w->is_on_its_way = true;
  choose();
  step();
  for (int i = 0; i < 5; i++) step_ms(PATIENCE_MS);
  assert_int_equal(w->commits, commits);
  assert_int_equal(w->longest_poll_ms, 0);
  w->is_on_its_way = false;
  step_ms(PATIENCE_MS);
  assert_int_equal(w->commits, commits + 1);
  step();
  step_ms(PATIENCE_MS);
  assert_int_equal(w->longest_poll_ms, PATIENCE_MS); /* nothing waits any more */
  stop();
}

/* While events lag, the ranker is brought up to date for several lists at once. */
static void lists_gather_while_events_lag(void** state) {
  enum { STEP_US = 200000 };
  (void)state;
  start(100000);
  const int64_t start_us = w->now_us;
  while (w->events_count < EVENTS_MAX - 1) choose();
  w->most = 2;
  for (; w->lists == 0; w->now_us += STEP_US) step();
  assert_in_range(w->now_us - start_us, 21600000, 21600000 + 2 * STEP_US);
  assert_in_range(w->lists, 2 * 3, 2 * 4); /* all that have waited for 21 s */
  const int64_t lists = w->lists;
  for (int i = 0; i < 2; i++, w->now_us += STEP_US) step();
  assert_int_equal(w->lists, lists);
  for (int i = 0; i < 3; i++, w->now_us += STEP_US) step();
  assert_in_range(w->lists, lists + 2 * 3, lists + 2 * 4);
  stop();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_of_a_turn_are_bounded_by_their_time),
      cmocka_unit_test(users_with_a_later_event_come_later),
      cmocka_unit_test(lists_that_have_waited_long_come_first),
      cmocka_unit_test(lists_flow_while_the_catalogue_comes_again),
      cmocka_unit_test(a_commit_without_an_outcome_stops_no_list),
      cmocka_unit_test(a_commit_has_little_left_to_write),
      cmocka_unit_test(a_backlog_is_learned_while_a_commit_is_written),
      cmocka_unit_test(lists_gather_while_events_lag),
      cmocka_unit_test(far_behind_the_state_is_committed_less_often),
      cmocka_unit_test(a_commit_that_is_being_written_is_not_started_when_partitions_are_lost),
      cmocka_unit_test(lists_that_come_while_partitions_are_opened_are_committed_with_them),
      cmocka_unit_test(a_list_that_follows_no_other_one_is_committed_at_once),
      cmocka_unit_test(a_list_waits_for_no_record_while_partitions_are_opened),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
