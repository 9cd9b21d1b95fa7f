/*
 * test_outbox.c: when records leave the outbox, what an abort leaves of them, and which of them the store gets.
 * The sink is a list of what was published, and of what was written into the transaction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/dead_letters.h"

enum { LOG_MAX = 64, LINE = 256 };

static struct {
  freshet_sink sink;
  freshet_outbox* outbox;
  freshet_delivery delivery;
  char lines[LOG_MAX][LINE]; /* what the sink was asked to do */
  size_t count;
  freshet_status write_status, outcome;
  bool may_write[FRESHET_TOPICS]; /* while a commit is under way */
  size_t letters_limit;
  size_t written_bytes; /* of the last record written: key, value and headers */
  freshet_sink_job job; /* what a thread beside the worker has to do */
  void* job_context;
  bool is_slow; /* that thread, unless somebody waits for it however long it takes */
} w;

static void note(const char* what, const freshet_output* output) {
  char* line = w.lines[w.count++];
  assert_true(w.count < LOG_MAX);
  int used = snprintf(line, LINE, "%s", what);
  if (output == NULL) return;
  used += snprintf(line + used, LINE - (size_t)used, " %d %.*s=%.*s", (int)output->topic,
                   output->key.data == NULL ? 4 : (int)output->key.size,
                   output->key.data == NULL ? "none" : output->key.data,
                   output->has_value ? (int)output->value.size : 9,
                   output->has_value ? output->value.data : "tombstone");
  for (size_t i = 0; i < output->header_count && used < LINE; i++)
    used += snprintf(line + used, LINE - (size_t)used, " %s:%.*s", output->headers[i].name,
                     (int)output->headers[i].value.size, output->headers[i].value.data);
}

static void abandon(freshet_sink* self) {
  (void)self;
  note("abandon", NULL);
}

static freshet_status publish(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  (void)self;
  (void)error;
  note("publish", output);
  return FRESHET_OK;
}

static freshet_status begin(freshet_sink* self, freshet_error* error) {
  (void)self;
  (void)error;
  note("begin", NULL);
  return FRESHET_OK;
}

static bool may_write(freshet_sink* self, freshet_topic topic) {
  (void)self;
  return w.may_write[topic];
}

static freshet_status write_one(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  (void)self;
  (void)error;
  w.written_bytes = output->key.size + output->value.size;
  for (size_t i = 0; i < output->header_count; i++)
    w.written_bytes += strlen(output->headers[i].name) + output->headers[i].value.size;
  note("write", output);
  return w.write_status;
}

static bool start_writing(freshet_sink* self, freshet_sink_job job, void* context) {
  (void)self;
  assert_null(w.job);
  w.job = job;
  w.job_context = context;
  return true;
}

static freshet_status end_writing(freshet_sink* self, int wait_ms, freshet_error* error) {
  (void)self;
  assert_non_null(w.job);
  if (w.is_slow && wait_ms >= 0) return FRESHET_TIMEOUT;
  const freshet_status status = w.job(w.job_context, error);
  w.job = NULL;
  return status;
}

static freshet_status commit(freshet_sink* self, const freshet_partition* offsets, size_t count,
                             freshet_error* error) {
  (void)self;
  (void)offsets;
  (void)count;
  (void)error;
  note("commit", NULL);
  return FRESHET_OK;
}

static freshet_status outcome(freshet_sink* self, int wait_ms, freshet_error* error) {
  (void)self;
  (void)wait_ms;
  (void)error;
  return w.outcome;
}

static freshet_status abort_it(freshet_sink* self, freshet_error* error) {
  (void)self;
  (void)error;
  note("abort", NULL);
  return FRESHET_OK;
}

static const char* topic_name(freshet_sink* self, freshet_topic topic) {
  (void)self;
  return topic == FRESHET_TOPIC_ITEMS ? "shop.items" : "shop.events";
}

static size_t limit_of(freshet_sink* self, freshet_topic topic) {
  (void)self;
  return topic == FRESHET_TOPIC_DEAD_LETTERS ? w.letters_limit : SIZE_MAX;
}

static void poll_nothing(freshet_sink* self) {
  (void)self;
}

static int set_up(void** state) {
  static const freshet_sink_vtable vtable = {.publish = publish,
                                             .begin = begin,
                                             .may_write = may_write,
                                             .write = write_one,
                                             .commit = commit,
                                             .outcome = outcome,
                                             .abort = abort_it,
                                             .abandon = abandon,
                                             .topic_name = topic_name,
                                             .limit = limit_of,
                                             .poll = poll_nothing};
  (void)state;
  memset(&w, 0, sizeof w);
  w.letters_limit = SIZE_MAX;
  w.sink.vtable = &vtable;
  w.outbox = freshet_outbox_create(&w.sink, FRESHET_DELIVERY_FAST);
  return 0;
}

/* The sink has a thread that writes. */
static int set_up_beside(void** state) {
  static freshet_sink_vtable vtable;
  set_up(state);
  vtable = *w.sink.vtable;
  vtable.start_writing = start_writing;
  vtable.end_writing = end_writing;
  w.sink.vtable = &vtable;
  return 0;
}

static int tear_down(void** state) {
  (void)state;
  freshet_outbox_destroy(w.outbox);
  return 0;
}

static void add(freshet_topic topic, const char* key, const char* value, freshet_when when) {
  const freshet_output output = {.topic = topic,
                                 .partition = 3,
                                 .key = key == NULL ? (freshet_slice){NULL, 0} : freshet_slice_of(key),
                                 .has_value = value != NULL,
                                 .value = value == NULL ? (freshet_slice){NULL, 0} : freshet_slice_of(value)};
  assert_int_equal(freshet_outbox_add(w.outbox, &output, when, NULL), FRESHET_OK);
}

/* The lines since the last call, and no more. */
static void expect(const char* const* lines, size_t count) {
  for (size_t i = 0; i < count && i < w.count; i++) assert_string_equal(w.lines[i], lines[i]);
  assert_int_equal(w.count, count);
  w.count = 0;
}
#define EXPECT(...) \
  expect((const char* const[]){__VA_ARGS__}, sizeof((const char* const[]){__VA_ARGS__}) / sizeof(char*))

static void start_commit(freshet_status expected) {
  assert_int_equal(freshet_outbox_start_commit(w.outbox, NULL, 0, NULL), expected);
}

static void count_rows(void* context, const freshet_output* output) {
  ++*(int*)context;
  note("row", output);
}

static int rows(freshet_topic topic) {
  int count = 0;
  freshet_outbox_each_committed(w.outbox, topic, count_rows, &count);
  return count;
}

static void leaves_when_it_is_told_to(void** state) {
  (void)state;
  add(FRESHET_TOPIC_RECOMMENDATIONS, "u1", "now", FRESHET_NOW);
  add(FRESHET_TOPIC_RECOMMENDATIONS, "u2", "fast", FRESHET_BY_DELIVERY);
  EXPECT("publish 3 u1=now", "publish 3 u2=fast");
  add(FRESHET_TOPIC_USERS, "u1", "row", FRESHET_WITH_COMMIT);
  add(FRESHET_TOPIC_USERS, "", NULL, FRESHET_WITH_COMMIT);
  add(FRESHET_TOPIC_USERS, NULL, "", FRESHET_WITH_COMMIT);
  assert_int_equal(w.count, 0);
  assert_int_equal(freshet_outbox_kept(w.outbox), 3);
  assert_false(freshet_outbox_is_open(w.outbox));
  add(FRESHET_TOPIC_ITEM_DELTAS, NULL, "delta", FRESHET_IN_TRANSACTION);
  assert_true(freshet_outbox_is_open(w.outbox));
  start_commit(FRESHET_OK);
  EXPECT("begin", "write 8 none=delta", "write 6 u1=row", "write 6 =tombstone", "write 6 none=", "commit");
}

static void delivery_committed_puts_lists_into_the_transaction(void** state) {
  (void)state;
  freshet_outbox_destroy(w.outbox);
  w.outbox = freshet_outbox_create(&w.sink, FRESHET_DELIVERY_COMMITTED);
  add(FRESHET_TOPIC_RECOMMENDATIONS, "u1", "list", FRESHET_BY_DELIVERY);
  add(FRESHET_TOPIC_EVENTS, "u2", NULL, FRESHET_NOW);
  EXPECT("publish 0 u2=tombstone");
  start_commit(FRESHET_OK);
  EXPECT("begin", "write 3 u1=list", "commit");
  add(FRESHET_TOPIC_RECOMMENDATIONS, "u1", "later", FRESHET_BY_DELIVERY); /* while the commit is under way */
  w.outcome = FRESHET_OK;
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_OK);
  start_commit(FRESHET_OK);
  EXPECT("begin", "write 3 u1=later", "commit");
}

static void lists_alone_are_told_from_state(void** state) {
  (void)state;
  freshet_outbox_destroy(w.outbox);
  w.outbox = freshet_outbox_create(&w.sink, FRESHET_DELIVERY_COMMITTED);
  assert_true(freshet_outbox_has_lists_alone(w.outbox));
  add(FRESHET_TOPIC_RECOMMENDATIONS, "u1", "list", FRESHET_BY_DELIVERY);
  add(FRESHET_TOPIC_SHADOW, "u1", "list", FRESHET_BY_DELIVERY);
  add(FRESHET_TOPIC_REPLIES, "u1", "reply", FRESHET_BY_DELIVERY);
  assert_true(freshet_outbox_has_lists_alone(w.outbox));
  add(FRESHET_TOPIC_RECOMMENDATIONS, "u2", NULL, FRESHET_BY_DELIVERY); /* an erasure */
  assert_false(freshet_outbox_has_lists_alone(w.outbox));
  start_commit(FRESHET_OK);
  w.outcome = FRESHET_OK;
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_OK);
  assert_true(freshet_outbox_has_lists_alone(w.outbox));
  add(FRESHET_TOPIC_DEAD_LETTERS, "x", "bad", FRESHET_WITH_COMMIT);
  assert_false(freshet_outbox_has_lists_alone(w.outbox));
  start_commit(FRESHET_OK);
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_OK);
  add(FRESHET_TOPIC_ITEM_STATES, "i1", "row", FRESHET_IN_TRANSACTION); /* it is not kept, but there */
  assert_false(freshet_outbox_has_lists_alone(w.outbox));
}

/* What was kept for a commit of the state alone goes with the next one of lists and state together. */
static void what_is_kept_elsewhere_moves_here(void** state) {
  (void)state;
  freshet_outbox* own = w.outbox;
  w.outbox = freshet_outbox_create(&w.sink, FRESHET_DELIVERY_FAST);
  add(FRESHET_TOPIC_USERS, "u1", "old", FRESHET_WITH_COMMIT);
  add(FRESHET_TOPIC_USERS, "u2", NULL, FRESHET_WITH_COMMIT);
  freshet_outbox* other = w.outbox;
  w.outbox = own;
  add(FRESHET_TOPIC_DEAD_LETTERS, "x", "bad", FRESHET_WITH_COMMIT);
  freshet_outbox_move_kept(own, other);
  assert_int_equal(freshet_outbox_kept(other), 0);
  assert_int_equal(freshet_outbox_kept_bytes(other), 0);
  freshet_outbox_destroy(other);
  add(FRESHET_TOPIC_USERS, "u1", "new", FRESHET_WITH_COMMIT);
  start_commit(FRESHET_OK);
  EXPECT("begin", "write 5 x=bad", "write 6 u1=old", "write 6 u2=tombstone", "write 6 u1=new", "commit");
}

/* Only a transaction that is there can be abandoned: under way, or open. */
static void what_is_abandoned_is_there(void** state) {
  (void)state;
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  freshet_outbox_abandon(w.outbox);
  assert_int_equal(freshet_outbox_kept(w.outbox), 0);
  assert_int_equal(w.count, 0);
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  assert_int_equal(freshet_outbox_seal(w.outbox, NULL), FRESHET_OK);
  freshet_outbox_abandon(w.outbox);
  assert_false(freshet_outbox_is_sealed(w.outbox) || freshet_outbox_is_open(w.outbox));
  EXPECT("begin", "abandon");
  start_commit(FRESHET_OK);
  freshet_outbox_abandon(w.outbox);
  assert_false(freshet_outbox_is_committing(w.outbox));
  EXPECT("begin", "commit", "abandon");
}

static void the_store_gets_what_was_committed(void** state) {
  (void)state;
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  add(FRESHET_TOPIC_DEAD_LETTERS, "x", "bad", FRESHET_WITH_COMMIT);
  start_commit(FRESHET_OK);
  assert_true(freshet_outbox_is_committing(w.outbox));
  add(FRESHET_TOPIC_USERS, "u2", "b", FRESHET_WITH_COMMIT); /* of the next commit */
  w.outcome = FRESHET_TIMEOUT;
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_TIMEOUT);
  assert_int_equal(freshet_outbox_commits_ended(w.outbox), 0);
  w.outcome = FRESHET_OK;
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_OK);
  assert_int_equal(freshet_outbox_commits_started(w.outbox), 1);
  assert_int_equal(freshet_outbox_commits_ended(w.outbox), 1);
  w.count = 0;
  assert_int_equal(rows(FRESHET_TOPIC_USERS), 1);
  EXPECT("row 6 u1=a");
  freshet_outbox_tidy(w.outbox);
  assert_int_equal(rows(FRESHET_TOPIC_USERS), 0);
  start_commit(FRESHET_OK);
  EXPECT("begin", "write 6 u2=b", "commit");
}

static void an_abort_forgets_everything_since_the_last_commit(void** state) {
  (void)state;
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  w.write_status = FRESHET_ABORTED;
  start_commit(FRESHET_ABORTED);
  assert_false(freshet_outbox_is_committing(w.outbox));
  assert_int_equal(freshet_outbox_abort(w.outbox, NULL), FRESHET_OK);
  EXPECT("begin", "write 6 u1=a", "abort");
  assert_int_equal(freshet_outbox_kept(w.outbox), 0);
  assert_int_equal(freshet_outbox_abort(w.outbox, NULL), FRESHET_OK); /* nothing is open */
  w.write_status = FRESHET_OK;
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  start_commit(FRESHET_OK);
  w.outcome = FRESHET_ABORTED;
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_ABORTED);
  w.count = 0;
  assert_int_equal(rows(FRESHET_TOPIC_USERS), 0);
  assert_int_equal(freshet_outbox_commits_ended(w.outbox), 0);
  assert_false(freshet_outbox_is_open(w.outbox));
}

static void write_ahead(freshet_status expected) {
  assert_int_equal(freshet_outbox_write_ahead(w.outbox, NULL), expected);
}

static void what_is_written_ahead_is_written_once(void** state) {
  (void)state;
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  start_commit(FRESHET_OK);
  EXPECT("begin", "write 6 u1=a", "commit");
  /* Records of that commit may come later. */
  assert_false(freshet_outbox_may_write(w.outbox, FRESHET_TOPIC_USERS));
  w.may_write[FRESHET_TOPIC_USERS] = true;
  write_ahead(FRESHET_OK);
  assert_false(freshet_outbox_is_open(w.outbox)); /* there was nothing to write */
  add(FRESHET_TOPIC_USERS, "u2", "b", FRESHET_WITH_COMMIT);
  add(FRESHET_TOPIC_DEAD_LETTERS, "x", "bad", FRESHET_WITH_COMMIT);
  write_ahead(FRESHET_OK);
  add(FRESHET_TOPIC_USERS, "u2", "c", FRESHET_WITH_COMMIT);
  write_ahead(FRESHET_OK);
  EXPECT("begin", "write 6 u2=b"); /* the letter may still be forgotten; one batch of a topic is enough */
  assert_true(freshet_outbox_is_open(w.outbox));
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_OK);
  assert_int_equal(rows(FRESHET_TOPIC_USERS), 1);
  EXPECT("row 6 u1=a");
  freshet_outbox_tidy(w.outbox);
  add(FRESHET_TOPIC_USERS, "u3", "d", FRESHET_WITH_COMMIT);
  start_commit(FRESHET_OK);
  EXPECT("write 5 x=bad", "write 6 u2=c", "write 6 u3=d", "commit");
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_OK);
  assert_int_equal(rows(FRESHET_TOPIC_USERS), 3); /* the store gets all of them */
  EXPECT("row 6 u2=b", "row 6 u2=c", "row 6 u3=d");
}

/* Records of a topic stay in order where an older one has to wait. */
static void each_topic_is_written_ahead_when_it_may_be(void** state) {
  (void)state;
  start_commit(FRESHET_OK);
  EXPECT("begin", "commit");
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  add(FRESHET_TOPIC_REPLIES, "r1", "x", FRESHET_WITH_COMMIT);
  write_ahead(FRESHET_OK);
  assert_false(freshet_outbox_is_open(w.outbox));
  w.may_write[FRESHET_TOPIC_REPLIES] = true;
  write_ahead(FRESHET_OK);
  EXPECT("begin", "write 4 r1=x");
  add(FRESHET_TOPIC_USERS, "u1", "b", FRESHET_WITH_COMMIT);
  write_ahead(FRESHET_OK);
  assert_int_equal(w.count, 0);
  w.may_write[FRESHET_TOPIC_USERS] = true;
  write_ahead(FRESHET_OK);
  EXPECT("write 6 u1=a", "write 6 u1=b");
}

/* The sink gathers them, and lets only the first ones of each partition leave. */
static void all_lists_are_written_ahead(void** state) {
  (void)state;
  start_commit(FRESHET_OK);
  w.may_write[FRESHET_TOPIC_RECOMMENDATIONS] = true;
  add(FRESHET_TOPIC_RECOMMENDATIONS, "u1", "a", FRESHET_WITH_COMMIT);
  write_ahead(FRESHET_OK);
  EXPECT("begin", "commit", "begin", "write 3 u1=a");
  add(FRESHET_TOPIC_RECOMMENDATIONS, "u2", "b", FRESHET_WITH_COMMIT);
  write_ahead(FRESHET_OK);
  write_ahead(FRESHET_OK);
  EXPECT("write 3 u2=b");
}

static void what_is_written_ahead_is_aborted_too(void** state) {
  (void)state;
  start_commit(FRESHET_OK);
  w.may_write[FRESHET_TOPIC_USERS] = true;
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  write_ahead(FRESHET_OK);
  w.outcome = FRESHET_ABORTED;
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_ABORTED);
  assert_int_equal(freshet_outbox_abort(w.outbox, NULL), FRESHET_OK);
  EXPECT("begin", "commit", "begin", "write 6 u1=a", "abort");
  assert_int_equal(freshet_outbox_kept(w.outbox), 0);
  assert_false(freshet_outbox_is_open(w.outbox));
}

static void seal(void) {
  assert_int_equal(freshet_outbox_seal(w.outbox, NULL), FRESHET_OK);
}

/* Writes at most so many sealed records: are all of them written? */
static bool write_sealed(size_t most, int wait_ms) {
  bool is_all;
  assert_int_equal(freshet_outbox_write_sealed(w.outbox, most, wait_ms, &is_all, NULL), FRESHET_OK);
  return is_all;
}

static void what_is_sealed_is_written_beside_the_worker(void** state) {
  (void)state;
  for (const char* key = "abcde"; *key != '\0'; key++)
    add(FRESHET_TOPIC_USERS, (const char[]){*key, '\0'}, "1", FRESHET_WITH_COMMIT);
  seal();
  assert_false(write_sealed(2, 0));
  EXPECT("begin", "write 6 a=1", "write 6 b=1");
  w.is_slow = true;
  freshet_outbox_start_writing(w.outbox);
  freshet_outbox_start_writing(w.outbox); /* it goes on */
  assert_true(freshet_outbox_is_writing(w.outbox));
  assert_false(freshet_outbox_may_write(w.outbox, FRESHET_TOPIC_USERS));
  add(FRESHET_TOPIC_USERS, "a", "2", FRESHET_WITH_COMMIT); /* of the next commit */
  add(FRESHET_TOPIC_RECOMMENDATIONS, "a", "list", FRESHET_NOW);
  EXPECT("publish 3 a=list");
  assert_false(write_sealed(1, 5));
  assert_false(write_sealed(SIZE_MAX, 0));
  assert_int_equal(w.count, 0);
  w.is_slow = false;
  assert_true(write_sealed(1, 5));
  assert_false(freshet_outbox_is_writing(w.outbox));
  freshet_outbox_start_writing(w.outbox); /* nothing is left */
  assert_false(freshet_outbox_is_writing(w.outbox));
  start_commit(FRESHET_OK);
  EXPECT("write 6 c=1", "write 6 d=1", "write 6 e=1", "commit");
  assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_OK);
  assert_int_equal(rows(FRESHET_TOPIC_USERS), 5);
}

static void a_failure_beside_the_worker_is_told(void** state) {
  bool is_all;
  (void)state;
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  seal();
  w.write_status = FRESHET_ABORTED;
  freshet_outbox_start_writing(w.outbox);
  assert_int_equal(freshet_outbox_write_sealed(w.outbox, SIZE_MAX, 0, &is_all, NULL), FRESHET_ABORTED);
  assert_false(freshet_outbox_is_writing(w.outbox));
  assert_int_equal(freshet_outbox_abort(w.outbox, NULL), FRESHET_OK);
  EXPECT("begin", "write 6 u1=a", "abort");
}

/* The thread reads the records, so they stay until it has let go of them. */
static void an_abort_waits_for_what_is_written_beside(void** state) {
  (void)state;
  add(FRESHET_TOPIC_USERS, "u1", "a", FRESHET_WITH_COMMIT);
  seal();
  w.is_slow = true;
  freshet_outbox_start_writing(w.outbox);
  assert_int_equal(freshet_outbox_abort(w.outbox, NULL), FRESHET_OK);
  EXPECT("begin", "write 6 u1=a", "abort");
  assert_false(freshet_outbox_is_writing(w.outbox));
  add(FRESHET_TOPIC_USERS, "u2", "b", FRESHET_WITH_COMMIT);
  seal();
  freshet_outbox_start_writing(w.outbox);
  freshet_outbox_destroy(w.outbox);
  w.outbox = NULL;
  EXPECT("begin", "write 6 u2=b");
}

/* An erased user's letters are forgotten; letters about items have item ids for keys. */
static void letters_of_an_erased_user_are_forgotten(void** state) {
  (void)state;
  freshet_worker_metrics metrics = {0};
  const freshet_ports ports = {.metrics = &metrics};
  freshet_error cause = {0};
  freshet_error_set(&cause, FRESHET_INVALID, FRESHET_DEAD_LETTER, "no good");
  freshet_record record = {.topic = FRESHET_TOPIC_EVENTS,
                           .partition = 2,
                           .offset = 7,
                           .has_key = true,
                           .key = freshet_slice_of("a"),
                           .has_value = true,
                           .value = freshet_slice_of("?")};
  freshet_dead_letters_add(w.outbox, &ports, &record, "TRANSFORMATION", &cause);
  record.topic = FRESHET_TOPIC_ITEMS;
  freshet_dead_letters_add(w.outbox, &ports, &record, "TRANSFORMATION", &cause);
  record.topic = FRESHET_TOPIC_EVENTS;
  record.key = freshet_slice_of("b");
  freshet_dead_letters_add(w.outbox, &ports, &record, "TRANSFORMATION", &cause);
  add(FRESHET_TOPIC_USERS, "a", NULL, FRESHET_WITH_COMMIT);
  assert_int_equal(freshet_outbox_kept(w.outbox), 4);
  freshet_dead_letters_forget(w.outbox, freshet_slice_of("a"));
  assert_int_equal(freshet_outbox_kept(w.outbox), 3);
  start_commit(FRESHET_OK);
  assert_int_equal(w.count, 5);
  assert_non_null(strstr(w.lines[1], "a=? __connect.errors.topic:shop.items __connect.errors.partition:2"));
  assert_non_null(strstr(w.lines[2], "b=? __connect.errors.topic:shop.events"));
  assert_non_null(strstr(w.lines[2], "__connect.errors.offset:7"));
  assert_string_equal(w.lines[3], "write 6 a=tombstone");
  assert_int_equal(freshet_metric(&metrics.dead_letters), 3);
}

/* A record that the dead-letter topic does not take as it is would abort every transaction. */
static void large_letters_are_cut(void** state) {
  (void)state;
  enum { LARGE = 3000000, LIMIT = 2000 };
  freshet_worker_metrics metrics = {0};
  const freshet_ports ports = {.metrics = &metrics, .logger = NULL};
  const freshet_error cause = {.message = "no schema"};
  char* bytes = malloc(LARGE);
  memset(bytes, 'x', LARGE);
  w.letters_limit = LIMIT;
  const freshet_record records[] = {
      {.topic = FRESHET_TOPIC_EVENTS,
       .offset = 7,
       .has_key = true,
       .key = {"u", 1},
       .has_value = true,
       .value = {bytes, LARGE}},
      {.topic = FRESHET_TOPIC_EVENTS,
       .offset = 8,
       .has_key = true,
       .key = {bytes, LARGE},
       .has_value = false},
      {.topic = FRESHET_TOPIC_EVENTS,
       .offset = 9,
       .has_key = true,
       .key = {bytes, LARGE},
       .has_value = true,
       .value = {bytes, LARGE}},
  };
  for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
    w.count = 0;
    freshet_dead_letters_add(w.outbox, &ports, &records[i], "VALUE_CONVERTER", &cause);
    start_commit(FRESHET_OK);
    assert_in_range(w.written_bytes, LIMIT / 4, LIMIT);
    assert_int_equal(freshet_outbox_outcome(w.outbox, 0, NULL), FRESHET_OK);
    freshet_outbox_tidy(w.outbox);
  }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(leaves_when_it_is_told_to, set_up, tear_down),
      cmocka_unit_test_setup_teardown(delivery_committed_puts_lists_into_the_transaction, set_up, tear_down),
      cmocka_unit_test_setup_teardown(lists_alone_are_told_from_state, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_kept_elsewhere_moves_here, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_abandoned_is_there, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_store_gets_what_was_committed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_abort_forgets_everything_since_the_last_commit, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_written_ahead_is_written_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(each_topic_is_written_ahead_when_it_may_be, set_up, tear_down),
      cmocka_unit_test_setup_teardown(all_lists_are_written_ahead, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_written_ahead_is_aborted_too, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_sealed_is_written_beside_the_worker, set_up_beside, tear_down),
      cmocka_unit_test_setup_teardown(a_failure_beside_the_worker_is_told, set_up_beside, tear_down),
      cmocka_unit_test_setup_teardown(an_abort_waits_for_what_is_written_beside, set_up_beside, tear_down),
      cmocka_unit_test_setup_teardown(letters_of_an_erased_user_are_forgotten, set_up, tear_down),
      cmocka_unit_test_setup_teardown(large_letters_are_cut, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
