/*
 * cases_stream.h: what every source, log and sink (stream/source.h, stream/sink.h) has to keep. One suite:
 * the simulated broker runs it (tests/simulation/test_stream.c), so that the simulation proves something
 * about the real one, and a real broker does (tests/contract/test_kafka_stream.c).
 *
 * Included by one test program each, after cmocka.h. A rig is one process on topics of its own, with at least
 * two partitions of `events` and of the changelog.
 */
#ifndef FRESHET_TESTS_CASES_STREAM_H
#define FRESHET_TESTS_CASES_STREAM_H

#include <stdio.h>
#include <stdlib.h>

#include "stream/clock.h"
#include "stream/sink.h"
#include "stream/source.h"

enum { CASE_PARTITIONS = 8, CASE_BATCH = 64, CASE_TURNS = 600, CASE_WAIT_MS = 100 };

typedef struct stream_rig {
  freshet_source* source;
  freshet_sink* sink;
  freshet_reader* log;
  /* Ends this process without a word and starts another with the same names. */
  void (*restart)(struct stream_rig* rig);
  void* context;
  bool gathers; /* the sink: records of an open transaction may wait for its commit */
  /* What the handler was told. */
  bool holds[FRESHET_TOPICS][CASE_PARTITIONS];
  int64_t start[FRESHET_TOPICS][CASE_PARTITIONS];
  /* Events of partition 0 that have been read and not been expected yet: their values, joined. */
  char text[256];
  size_t text_size;
  int64_t next;
} stream_rig;

static freshet_status rig_assigned(void* context, const freshet_partition* partitions, size_t count,
                                   freshet_error* error) {
  (void)error;
  stream_rig* rig = context;
  for (size_t i = 0; i < count; i++) {
    assert_false(rig->holds[partitions[i].topic][partitions[i].partition]);
    rig->holds[partitions[i].topic][partitions[i].partition] = true;
    rig->start[partitions[i].topic][partitions[i].partition] = partitions[i].offset;
  }
  return FRESHET_OK;
}

static freshet_status rig_revoked(void* context, const freshet_partition* partitions, size_t count, bool lost,
                                  freshet_error* error) {
  (void)lost, (void)error;
  stream_rig* rig = context;
  for (size_t i = 0; i < count; i++) rig->holds[partitions[i].topic][partitions[i].partition] = false;
  return FRESHET_OK;
}

/* The handler that the rig's source must have. */
static freshet_source_handler rig_handler(stream_rig* rig) {
  return (freshet_source_handler){rig_assigned, rig_revoked, rig};
}

/* ---- steps ---- */

#define assert_ok(call)                                                                          \
  do {                                                                                           \
    freshet_error error_of_call = {0};                                                           \
    freshet_error* error = &error_of_call;                                                       \
    freshet_status status_of_call = (call);                                                      \
    if (status_of_call != FRESHET_OK)                                                            \
      fail_msg("%s: %s: %s", #call, freshet_status_name(status_of_call), error_of_call.message); \
  } while (0)

static freshet_output a_record(freshet_topic topic, int32_t partition, const char* text) {
  return (freshet_output){.topic = topic,
                          .partition = partition,
                          .key = freshet_slice_of("key"),
                          .has_value = text != NULL,
                          .value = freshet_slice_of(text)};
}

static void publish_text(stream_rig* rig, freshet_topic topic, int32_t partition, const char* text) {
  freshet_output output = a_record(topic, partition, text);
  assert_ok(freshet_sink_publish(rig->sink, &output, error));
}

static void settle_all(stream_rig* rig) {
  assert_ok(freshet_sink_settle(rig->sink, 30000, error));
}

static void write_text(stream_rig* rig, freshet_topic topic, int32_t partition, const char* text) {
  freshet_output output = a_record(topic, partition, text);
  assert_ok(freshet_sink_write(rig->sink, &output, error));
}

static void begin_one(stream_rig* rig) {
  assert_ok(freshet_sink_begin(rig->sink, error));
}

static void commit_one(stream_rig* rig, const freshet_partition* offsets, size_t count) {
  assert_ok(freshet_sink_commit(rig->sink, offsets, count, error));
  freshet_status status = FRESHET_TIMEOUT;
  freshet_error cause = {0};
  for (int i = 0; status == FRESHET_TIMEOUT && i < CASE_TURNS; i++) {
    freshet_error_clear(&cause);
    status = freshet_sink_outcome(rig->sink, CASE_WAIT_MS, &cause);
  }
  if (status != FRESHET_OK) fail_msg("outcome: %s: %s", freshet_status_name(status), cause.message);
}

static int64_t end_of(stream_rig* rig, freshet_topic topic, int32_t partition) {
  int64_t first = -1, end = -1;
  assert_ok(freshet_reader_range(rig->log, topic, partition, &first, &end, error));
  assert_true(first >= 0 && first <= end);
  return end;
}

/* A record of an open transaction may wait for a poll. A marker is written a moment after its transaction has committed. */
static void wait_for_end(stream_rig* rig, freshet_topic topic, int32_t partition, int64_t end) {
  for (int i = 0; i < CASE_TURNS && end_of(rig, topic, partition) < end; i++) {
    freshet_record records[1];
    size_t count;
    freshet_sink_poll(rig->sink);
    assert_ok(freshet_reader_poll(rig->log, 10, records, 1, &count, error));
    assert_int_equal(count, 0);
  }
  assert_int_equal(end_of(rig, topic, partition), end);
}

enum { CASE_TEXT_SIZE = 256 };

/* Reads a partition of the log up to a position; the values, joined. */
static void read_log(stream_rig* rig, freshet_topic topic, int32_t partition, int64_t from, int64_t to,
                     char text[CASE_TEXT_SIZE]) {
  freshet_record records[CASE_BATCH];
  size_t size = 0;
  memset(text, 0, CASE_TEXT_SIZE);
  int64_t next = from < 0 ? 0 : from;
  assert_ok(freshet_reader_open(rig->log, topic, partition, from, error));
  for (int i = 0; i < CASE_TURNS && freshet_reader_position(rig->log, topic, partition) < to; i++) {
    size_t count = 0;
    assert_ok(freshet_reader_poll(rig->log, CASE_WAIT_MS, records, CASE_BATCH, &count, error));
    for (size_t r = 0; r < count; r++) {
      assert_int_equal(records[r].topic, topic);
      assert_int_equal(records[r].partition, partition);
      assert_true(records[r].offset >= next);
      next = records[r].offset + 1;
      assert_true(size + records[r].value.size < CASE_TEXT_SIZE);
      if (records[r].value.size > 0) memcpy(text + size, records[r].value.data, records[r].value.size);
      size += records[r].value.size;
    }
  }
  if (freshet_reader_position(rig->log, topic, partition) != to) {
    fail_msg("partition %d was to be read up to %lld: position %lld, end %lld, read '%s'", (int)partition,
             (long long)to, (long long)freshet_reader_position(rig->log, topic, partition),
             (long long)end_of(rig, topic, partition), text);
  }
  assert_ok(freshet_reader_shut(rig->log, topic, partition, error));
  assert_int_equal(freshet_reader_position(rig->log, topic, partition), -1);
}

static void expect_log(stream_rig* rig, freshet_topic topic, int32_t partition, int64_t from, int64_t to,
                       const char* expected) {
  char text[CASE_TEXT_SIZE];
  read_log(rig, topic, partition, from, to, text);
  assert_string_equal(text, expected);
}

static void poll_events(stream_rig* rig, int timeout_ms) {
  freshet_record records[CASE_BATCH];
  size_t count = 0;
  assert_ok(freshet_source_poll(rig->source, timeout_ms, records, CASE_BATCH, &count, error));
  for (size_t r = 0; r < count; r++) {
    assert_int_equal(records[r].partition, 0);
    assert_true(rig->text_size == 0 || records[r].offset >= rig->next);
    rig->next = records[r].offset + 1;
    assert_true(rig->text_size + records[r].value.size < sizeof rig->text);
    memcpy(rig->text + rig->text_size, records[r].value.data, records[r].value.size);
    rig->text_size += records[r].value.size;
  }
}

static void join_group(stream_rig* rig) {
  for (int i = 0; i < CASE_TURNS && !rig->holds[FRESHET_TOPIC_EVENTS][0]; i++) poll_events(rig, CASE_WAIT_MS);
  assert_true(rig->holds[FRESHET_TOPIC_EVENTS][0] && rig->holds[FRESHET_TOPIC_EVENTS][1]);
}

/* Reads events of partition 0 until as much text has come. Returns the next offset. */
static int64_t expect_events(stream_rig* rig, const char* expected) {
  for (int i = 0; i < CASE_TURNS && rig->text_size < strlen(expected); i++) poll_events(rig, CASE_WAIT_MS);
  rig->text[rig->text_size] = '\0';
  assert_string_equal(rig->text, expected);
  rig->text_size = 0;
  return rig->next;
}

/* ---- cases ---- */

static void case_published_records_come_in_order(void** state) {
  stream_rig* rig = *state;
  const char* letters[] = {"a", "b", "c", "d", "e"};
  for (int i = 0; i < 5; i++) publish_text(rig, FRESHET_TOPIC_USERS, 1, letters[i]);
  settle_all(rig);
  expect_log(rig, FRESHET_TOPIC_USERS, 1, FRESHET_OFFSET_BEGINNING, 5, "abcde");
  expect_log(rig, FRESHET_TOPIC_USERS, 1, 3, 5, "de");
  expect_log(rig, FRESHET_TOPIC_USERS, 1, 5, 5, "");
  expect_log(rig, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, 0, ""); /* empty, and that is known */
}

static void case_tombstones_and_empty_values_differ(void** state) {
  stream_rig* rig = *state;
  publish_text(rig, FRESHET_TOPIC_USERS, 0, NULL);
  publish_text(rig, FRESHET_TOPIC_USERS, 0, "");
  settle_all(rig);
  assert_ok(freshet_reader_open(rig->log, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, error));
  freshet_record records[CASE_BATCH];
  size_t got = 0;
  for (int i = 0; i < CASE_TURNS && got < 2; i++) {
    size_t count = 0;
    assert_ok(freshet_reader_poll(rig->log, CASE_WAIT_MS, records, CASE_BATCH, &count, error));
    for (size_t r = 0; r < count; r++, got++) {
      assert_true(records[r].has_key);
      assert_int_equal(records[r].has_value, got == 1);
      assert_int_equal(records[r].value.size, 0);
    }
  }
  assert_int_equal(got, 2);
}

static void case_open_transactions_are_invisible(void** state) {
  stream_rig* rig = *state;
  if (rig->gathers) skip(); /* the log has nothing before the commit */
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_USERS, 0, "a");
  write_text(rig, FRESHET_TOPIC_USERS, 0, "b");
  wait_for_end(rig, FRESHET_TOPIC_USERS, 0, 2); /* the end counts them */
  assert_ok(freshet_reader_open(rig->log, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, error));
  for (int i = 0; i < 10; i++) {
    freshet_record records[1];
    size_t count = 0;
    assert_ok(freshet_reader_poll(rig->log, 20, records, 1, &count, error));
    assert_int_equal(count, 0);
  }
  assert_true(freshet_reader_position(rig->log, FRESHET_TOPIC_USERS, 0) <= 0);
  assert_ok(freshet_reader_shut(rig->log, FRESHET_TOPIC_USERS, 0, error));
  commit_one(rig, NULL, 0);
  wait_for_end(rig, FRESHET_TOPIC_USERS, 0, 3); /* and the marker */
  expect_log(rig, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, 3, "ab");
}

static void case_positions_pass_what_was_aborted(void** state) {
  stream_rig* rig = *state;
  if (rig->gathers) skip();
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_USERS, 0, "x");
  wait_for_end(rig, FRESHET_TOPIC_USERS, 0, 1);
  assert_ok(freshet_sink_abort(rig->sink, error));
  wait_for_end(rig, FRESHET_TOPIC_USERS, 0, 2);
  expect_log(rig, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, 2, "");
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_USERS, 0, "a");
  commit_one(rig, NULL, 0);
  wait_for_end(rig, FRESHET_TOPIC_USERS, 0, 4);
  expect_log(rig, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, 4, "a");
  expect_log(rig, FRESHET_TOPIC_USERS, 0, 3, 4, ""); /* from the marker on */
}

/* Nobody knows how it has ended, but it has: readers pass it. */
static void case_what_is_abandoned_is_over_before_the_next(void** state) {
  stream_rig* rig = *state;
  char text[CASE_TEXT_SIZE];
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_USERS, 0, "a");
  assert_ok(freshet_sink_commit(rig->sink, NULL, 0, error));
  freshet_sink_abandon(rig->sink);
  const int64_t until_ms = freshet_clock_monotonic_ms(freshet_clock_system()) + 60000;
  while (!freshet_sink_is_ready(rig->sink) && freshet_clock_monotonic_ms(freshet_clock_system()) < until_ms)
    freshet_sink_poll(rig->sink);
  assert_true(freshet_sink_is_ready(rig->sink));
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_USERS, 0, "b");
  commit_one(rig, NULL, 0);
  int64_t end = freshet_sink_written_end(rig->sink, FRESHET_TOPIC_USERS, 0);
  assert_true(end >= 1);
  wait_for_end(rig, FRESHET_TOPIC_USERS, 0, end + 1); /* and the marker */
  read_log(rig, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, end + 1, text);
  assert_true(strcmp(text, "ab") == 0 || strcmp(text, "b") == 0);
}

static freshet_status write_three(void* context, freshet_error* error) {
  stream_rig* rig = context;
  const freshet_output outputs[] = {a_record(FRESHET_TOPIC_USERS, 0, "a"),
                                    a_record(FRESHET_TOPIC_USERS, 0, "b"),
                                    a_record(FRESHET_TOPIC_USERS, 1, "c")};
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; i < 3 && status == FRESHET_OK; i++)
    status = freshet_sink_write(rig->sink, &outputs[i], error);
  return status;
}

static freshet_status fail_at_once(void* context, freshet_error* error) {
  (void)context;
  return freshet_error_set(error, FRESHET_ABORTED, FRESHET_RETRY, "it had to be so");
}

/* How a job beside the caller ends. */
static freshet_status run_job(stream_rig* rig, freshet_sink_job job, freshet_error* error) {
  freshet_status status = FRESHET_TIMEOUT;
  assert_true(freshet_sink_start_writing(rig->sink, job, rig));
  for (int i = 0; status == FRESHET_TIMEOUT; i++) {
    freshet_error_clear(error);
    freshet_sink_poll(rig->sink);
    status = freshet_sink_end_writing(rig->sink, i < CASE_TURNS ? 1 : -1, error);
  }
  return status;
}

static void case_a_job_writes_into_the_transaction(void** state) {
  stream_rig* rig = *state;
  freshet_error cause = {0};
  begin_one(rig);
  assert_ok(run_job(rig, write_three, error));
  write_text(rig, FRESHET_TOPIC_USERS, 0, "d");
  commit_one(rig, NULL, 0);
  assert_int_equal(freshet_sink_written_end(rig->sink, FRESHET_TOPIC_USERS, 0), 3);
  wait_for_end(rig, FRESHET_TOPIC_USERS, 0, 4);
  wait_for_end(rig, FRESHET_TOPIC_USERS, 1, 2);
  expect_log(rig, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, 4, "abd");
  expect_log(rig, FRESHET_TOPIC_USERS, 1, FRESHET_OFFSET_BEGINNING, 2, "c");
  begin_one(rig);
  assert_int_equal(run_job(rig, fail_at_once, &cause), FRESHET_ABORTED);
  assert_string_equal(cause.message, "it had to be so");
  write_text(rig, FRESHET_TOPIC_USERS, 0, "x");
  assert_ok(freshet_sink_abort(rig->sink, error));
}

static void case_written_end_is_of_the_last_commit(void** state) {
  stream_rig* rig = *state;
  freshet_sink* sink = rig->sink;
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0), -1);
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_USERS, 0, "a");
  write_text(rig, FRESHET_TOPIC_USERS, 0, "b");
  commit_one(rig, NULL, 0);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0), 2); /* before the marker */
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 1), -1);
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_USERS, 1, "c");
  commit_one(rig, NULL, 0);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0), -1);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 1), 1);
}

static void case_what_is_not_open_may_be_shut(void** state) {
  stream_rig* rig = *state;
  assert_ok(freshet_reader_shut(rig->log, FRESHET_TOPIC_USERS, 0, error));
  assert_int_equal(freshet_reader_position(rig->log, FRESHET_TOPIC_USERS, 0), -1);
  publish_text(rig, FRESHET_TOPIC_USERS, 0, "a");
  settle_all(rig);
  assert_ok(freshet_reader_open(rig->log, FRESHET_TOPIC_USERS, 0, 1, error));
  expect_log(rig, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, 1, "a"); /* opened anew */
}

static void case_offsets_go_with_the_transaction(void** state) {
  stream_rig* rig = *state;
  const char* letters[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 4; i++) publish_text(rig, FRESHET_TOPIC_EVENTS, 0, letters[i]);
  settle_all(rig);
  join_group(rig);
  assert_int_equal(rig->start[FRESHET_TOPIC_EVENTS][0], -1);
  assert_int_equal(expect_events(rig, "abcd"), 4);
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_USERS, 0, "kept");
  int64_t committed;
  assert_ok(freshet_source_committed(rig->source, FRESHET_TOPIC_EVENTS, 0, &committed, error));
  assert_int_equal(committed, -1);
  commit_one(rig, &(freshet_partition){.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 2}, 1);
  assert_ok(freshet_source_committed(rig->source, FRESHET_TOPIC_EVENTS, 0, &committed, error));
  assert_int_equal(committed, 2);
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_USERS, 0, "lost");
  rig->restart(rig); /* in the middle of a transaction: the next one aborts it */
  join_group(rig);
  assert_int_equal(rig->start[FRESHET_TOPIC_EVENTS][0], 2);
  assert_int_equal(rig->start[FRESHET_TOPIC_EVENTS][1], -1);
  expect_events(rig, "cd");
  expect_log(rig, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, end_of(rig, FRESHET_TOPIC_USERS, 0),
             "kept");
}

static void case_a_seek_begins_again(void** state) {
  stream_rig* rig = *state;
  const char* letters[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 4; i++) publish_text(rig, FRESHET_TOPIC_EVENTS, 0, letters[i]);
  settle_all(rig);
  join_group(rig);
  expect_events(rig, "abcd");
  freshet_partition to[] = {{.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 1},
                            {.topic = FRESHET_TOPIC_EVENTS, .partition = 1, .offset = -1}};
  assert_ok(freshet_source_seek(rig->source, to, 2, error));
  expect_events(rig, "bcd");
  to[0].offset = -1; /* nothing committed: from the beginning */
  assert_ok(freshet_source_seek(rig->source, to, 2, error));
  expect_events(rig, "abcd");
  assert_int_equal(freshet_source_end(rig->source, FRESHET_TOPIC_EVENTS, 0), 4);
}

static void case_markers_are_no_lag(void** state) {
  stream_rig* rig = *state;
  begin_one(rig);
  write_text(rig, FRESHET_TOPIC_EVENTS, 0, "a");
  commit_one(rig, NULL, 0);
  wait_for_end(rig, FRESHET_TOPIC_EVENTS, 0, 2);
  join_group(rig);
  int64_t next = expect_events(rig, "a");
  int64_t end = -1;
  for (int i = 0; i < CASE_TURNS && end != next; i++) {
    poll_events(rig, 20);
    assert_int_equal(rig->text_size, 0);
    end = freshet_source_end(rig->source, FRESHET_TOPIC_EVENTS, 0);
  }
  assert_int_equal(end, next);
}

#define STREAM_CASE(name, setup, teardown) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define STREAM_CASES(setup, teardown)                                               \
  STREAM_CASE(case_published_records_come_in_order, setup, teardown),               \
      STREAM_CASE(case_tombstones_and_empty_values_differ, setup, teardown),        \
      STREAM_CASE(case_open_transactions_are_invisible, setup, teardown),           \
      STREAM_CASE(case_positions_pass_what_was_aborted, setup, teardown),           \
      STREAM_CASE(case_what_is_abandoned_is_over_before_the_next, setup, teardown), \
      STREAM_CASE(case_a_job_writes_into_the_transaction, setup, teardown),         \
      STREAM_CASE(case_written_end_is_of_the_last_commit, setup, teardown),         \
      STREAM_CASE(case_what_is_not_open_may_be_shut, setup, teardown),              \
      STREAM_CASE(case_offsets_go_with_the_transaction, setup, teardown),           \
      STREAM_CASE(case_a_seek_begins_again, setup, teardown),                       \
      STREAM_CASE(case_markers_are_no_lag, setup, teardown)

#endif
