/*
 * The Kafka module against a real broker, for what the embedded one does not know: transactions, fencing,
 * groups. Skipped unless FRESHET_TEST_BOOTSTRAP names a broker. The outage test also needs
 * FRESHET_TEST_BROKER_SCRIPT, the path of scripts/kafka, and stops that broker for a moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kafka/app_generations.h"
#include "kafka/log_check.h"
#include "kafka/members.h"
#include "kafka/transactor.h"
#include "support_kafka.h"

enum { BATCH = 256 };

static int64_t high_watermark(freshet_reader* log, freshet_topic topic, int32_t partition) {
  int64_t first, end;
  assert_status(FRESHET_OK, freshet_reader_range(log, topic, partition, &first, &end, fresh_error()));
  return end;
}

/* Until the records are there, or the marker of a transaction. */
static void wait_watermark(freshet_sink* sink, freshet_reader* log, freshet_topic topic, int32_t partition,
                           int64_t end) {
  time_t since = time(NULL);
  while (high_watermark(log, topic, partition) < end) {
    freshet_sink_poll(sink);
    assert_in_range(time(NULL) - since, 0, 30);
  }
  assert_int_equal(high_watermark(log, topic, partition), end);
}

/* A real cluster, a sink whose transactions alternate, and what reads their log. Records of an open transaction leave with a
 * poll. */
static freshet_sink* start_alternating(cluster* c, freshet_reader** log) {
  cluster_start(c, true);
  c->config.alternates = true;
  freshet_sink* sink = open_sink(c, NULL);
  *log = open_log(c);
  return sink;
}

static void stop_all(cluster* c, freshet_sink* sink, freshet_reader* log) {
  freshet_reader_destroy(log);
  freshet_sink_destroy(sink);
  cluster_stop(c);
}

static void open_records_are_invisible(void** state) {
  (void)state;
  cluster c;
  freshet_reader* log;
  freshet_sink* sink = start_alternating(&c, &log);
  begin(sink);
  for (int i = 0; i < 10; i++) write_one(sink, FRESHET_TOPIC_USERS, 1, "k", "v");
  freshet_record record;
  size_t count = 0;
  wait_watermark(sink, log, FRESHET_TOPIC_USERS, 1, 10);
  assert_status(FRESHET_OK,
                freshet_reader_open(log, FRESHET_TOPIC_USERS, 1, FRESHET_OFFSET_BEGINNING, fresh_error()));
  for (int i = 0; i < 5; i++) {
    assert_status(FRESHET_OK, freshet_reader_poll(log, 100, &record, 1, &count, fresh_error()));
    assert_int_equal(count, 0);
  }
  assert_int_equal(freshet_reader_position(log, FRESHET_TOPIC_USERS, 1), 0);
  commit_at(sink, FRESHET_TOPIC_USERS, 1, -1);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 1), 10);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0), -1);
  wait_watermark(sink, log, FRESHET_TOPIC_USERS, 1, 11); /* and the marker, which comes a little later */
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 1, FRESHET_OFFSET_BEGINNING, 11), 10);
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  commit_at(sink, FRESHET_TOPIC_USERS, 1, -1);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0), 1);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 1), -1);
  stop_all(&c, sink, log);
}

static void position_passes_aborted_records(void** state) {
  (void)state;
  cluster c;
  freshet_reader* log;
  freshet_sink* sink = start_alternating(&c, &log);
  begin(sink);
  for (int i = 0; i < 5; i++) write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "kept");
  commit_at(sink, FRESHET_TOPIC_USERS, 0, -1);
  begin(sink);
  for (int i = 0; i < 7; i++) write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "aborted");
  wait_watermark(sink, log, FRESHET_TOPIC_USERS, 0, 13);
  assert_status(FRESHET_OK, freshet_sink_abort(sink, fresh_error()));
  int64_t end = 14; /* 5 records, marker, 7 aborted records, marker */
  wait_watermark(sink, log, FRESHET_TOPIC_USERS, 0, end);
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, end), 5);
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 0, 6, end), 0);
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 0, 9, end), 0);
  begin(sink); /* the sink goes on */
  write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "again");
  commit_at(sink, FRESHET_TOPIC_USERS, 0, -1);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0), 15);
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 0, 6, 16), 1);
  stop_all(&c, sink, log);
}

static void offsets_commit_and_abort_with_the_transaction(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  freshet_sink* sink = open_sink(&c, source);
  publish_numbers(sink, FRESHET_TOPIC_EVENTS, 2, 0, 1000);
  settle(sink);
  join(source, &group);
  assert_int_equal(group.start[FRESHET_TOPIC_EVENTS][2], -1);
  expect_numbers(source, 2, 0, 300);
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 2, "k", "v");
  commit_at(sink, FRESHET_TOPIC_EVENTS, 2, 300);
  expect_numbers(source, 2, 300, 500);
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 2, "k", "v");
  assert_status(FRESHET_OK, freshet_sink_abort(sink, fresh_error()));
  freshet_partition back = {.topic = FRESHET_TOPIC_EVENTS, .partition = 2, .offset = 300};
  assert_status(FRESHET_OK, freshet_source_seek(source, &back, 1, fresh_error()));
  expect_numbers(source, 2, 300, 500); /* the same again */
  assert_status(FRESHET_OK, freshet_source_close(source, fresh_error()));
  freshet_sink_destroy(sink);
  freshet_source_destroy(source);

  group_log next = {0};
  source = open_source(&c, &next, NULL);
  join(source, &next);
  assert_int_equal(next.start[FRESHET_TOPIC_EVENTS][2], 300);
  assert_int_equal(next.start[FRESHET_TOPIC_EVENTS][0], -1);
  expect_numbers(source, 2, 300, 700);
  assert_int_equal(freshet_source_end(source, FRESHET_TOPIC_EVENTS, 2), 1000);
  assert_status(FRESHET_OK, freshet_source_close(source, fresh_error()));
  freshet_source_destroy(source);
  cluster_stop(&c);
}

/* Starts to commit, and begins the next transaction at once: there are no replies in the last one. Returns
 * when it may write rows of users. */
static void begin_beside_a_commit(freshet_sink* sink) {
  freshet_status status = freshet_sink_commit(sink, NULL, 0, fresh_error());
  assert_status(FRESHET_OK, status);
  assert_true(freshet_sink_may_write(sink, FRESHET_TOPIC_REPLIES));
  begin(sink);
  for (int i = 0; i < 10000 && !freshet_sink_may_write(sink, FRESHET_TOPIC_USERS); i++) usleep(1000);
  assert_true(freshet_sink_may_write(sink, FRESHET_TOPIC_USERS));
}

/* The next transaction may be written while the last one is committed; all its records come after. It can be committed or
 * aborted as if it had begun later. */
static void a_transaction_begins_beside_a_commit(void** state) {
  (void)state;
  cluster c;
  freshet_reader* log;
  freshet_sink* sink = start_alternating(&c, &log);
  int64_t end = 0;
  begin(sink);
  for (int i = 0; i < 20; i++) {
    for (int k = 0; k < 5; k++) write_one(sink, FRESHET_TOPIC_USERS, 0, "k", i % 5 == 4 ? "aborted" : "kept");
    if (i % 5 == 4) {
      assert_status(FRESHET_OK, freshet_sink_abort(sink, fresh_error()));
      begin(sink);
      continue;
    }
    begin_beside_a_commit(sink);
    write_one(sink, FRESHET_TOPIC_USERS, 0, "k", i % 5 == 3 ? "aborted" : "kept");
    assert_status(FRESHET_OK, freshet_sink_await_outcome(sink, fresh_error()));
    assert_true(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0) > end);
    end = freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0);
  }
  /* What was written beside the last commit of four goes with the abort. */
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, end), 16 * 5 + 12);
  stop_all(&c, sink, log);
}

/* The first lists open their partition for the transaction. Later ones leave with the commit. */
static void lists_are_gathered_once_their_partition_is_open(void** state) {
  (void)state;
  cluster c;
  freshet_reader* log;
  freshet_sink* sink = start_alternating(&c, &log);
  for (int transaction = 1; transaction <= 2; transaction++) {
    begin(sink);
    write_one(sink, FRESHET_TOPIC_RECOMMENDATIONS, 0, "k", "first");
    assert_true(freshet_sink_is_at_rest(sink, 0)); /* nothing has left */
    freshet_sink_poll(sink);
    for (int i = 0; i < 10000 && !freshet_sink_is_at_rest(sink, 1); i++)
      assert_false(freshet_sink_is_written(sink));
    assert_true(freshet_sink_is_written(sink));
    write_one(sink, FRESHET_TOPIC_RECOMMENDATIONS, 0, "k", "later");
    freshet_sink_poll(sink);
    assert_true(freshet_sink_is_at_rest(sink, 0));
    assert_false(freshet_sink_is_written(sink));
    assert_status(FRESHET_OK, commit(sink, NULL, 0));
    const int64_t end = freshet_sink_written_end(sink, FRESHET_TOPIC_RECOMMENDATIONS, 0);
    assert_int_equal(read_until(log, FRESHET_TOPIC_RECOMMENDATIONS, 0, FRESHET_OFFSET_BEGINNING, end),
                     2 * transaction);
  }
  stop_all(&c, sink, log);
}

static void write_numbers(freshet_sink* sink, int from, int to) {
  for (int i = from; i < to; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    write_one(sink, FRESHET_TOPIC_EVENTS, 2, text, text);
  }
}

/* Records of the last transaction still travel when the next one begins, over a connection of its own. */
static void a_transaction_comes_after_the_last_one(void** state) {
  (void)state;
  enum { EACH = 200, ALL = 30 * EACH };
  cluster c;
  cluster_start(&c, true);
  c.config.alternates = true;
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  freshet_sink* sink = open_sink(&c, NULL);
  join(source, &group);
  begin(sink);
  write_numbers(sink, 0, EACH);
  for (int i = EACH; i < ALL; i += EACH) {
    assert_status(FRESHET_OK, freshet_sink_commit(sink, NULL, 0, fresh_error()));
    begin(sink);
    for (int k = 0; k < 100000 && !freshet_sink_may_write(sink, FRESHET_TOPIC_EVENTS); k++) usleep(100);
    write_numbers(sink, i, i + EACH);
    assert_status(FRESHET_OK, freshet_sink_await_outcome(sink, fresh_error()));
  }
  assert_status(FRESHET_OK, commit(sink, NULL, 0));
  expect_numbers(source, 2, 0, ALL);
  assert_status(FRESHET_OK, freshet_source_close(source, fresh_error()));
  freshet_sink_destroy(sink);
  freshet_source_destroy(source);
  cluster_stop(&c);
}

/* Abandoning gives up the commit and the transaction beside it: no reader waits for either. */
static void an_abandoned_pair_ends(void** state) {
  (void)state;
  cluster c;
  freshet_reader* log;
  freshet_sink* sink = start_alternating(&c, &log);
  for (int i = 0; i < 4; i++) {
    begin(sink);
    write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
    begin_beside_a_commit(sink);
    write_one(sink, FRESHET_TOPIC_USERS, 1, "k", "given up");
    if (i % 2 == 1) assert_status(FRESHET_OK, freshet_sink_await_outcome(sink, fresh_error()));
    if (i % 2 == 1) commit(sink, NULL, 0);
    if (i % 2 == 1) continue;
    freshet_sink_abandon(sink);
    begin(sink);
    write_one(sink, FRESHET_TOPIC_USERS, 1, "k", "kept");
    assert_status(FRESHET_OK, commit(sink, NULL, 0));
    int64_t end = freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 1);
    assert_true(end > 0);
    wait_watermark(sink, log, FRESHET_TOPIC_USERS, 1, end + 1); /* the marker of the commit */
  }
  /* Twice "kept", and twice what was not abandoned. */
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 1, FRESHET_OFFSET_BEGINNING,
                              freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 1)),
                   4);
  stop_all(&c, sink, log);
}

static void commit_a_row(freshet_sink* sink) {
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  assert_status(FRESHET_OK, commit(sink, NULL, 0));
}

/* Somebody fences the producer in the middle of the transaction. */
static freshet_status commit_fenced(cluster* c, freshet_sink* sink) {
  begin(sink);
  assert_status(FRESHET_OK, freshet_kafka_fence(&c->config, c->config.transactional_id, fresh_error()));
  write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  return commit(sink, NULL, 0);
}

/* A process that takes our partitions while we are paused fences all producers; one has a transaction open. */
static void a_fence_while_we_were_paused_ends_nothing(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  c.config.alternates = true;
  cluster_property(&c, "session.timeout.ms", "1000");
  freshet_sink* sink = open_sink(&c, NULL);
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  usleep(1200 * 1000);
  assert_status(FRESHET_OK, freshet_kafka_fence(&c.config, c.config.transactional_id, fresh_error()));
  assert_status(FRESHET_ABORTED, commit(sink, NULL, 0));
  assert_non_null(strstr(last_error.message, "outlived session.timeout.ms (1000)"));
  for (int i = 0; i < 4; i++) commit_a_row(sink);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

/* A process that had our partitions looked at the group before we joined it, and its fence arrives afterwards. */
static void a_fence_that_comes_after_we_joined_ends_nothing(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  c.config.alternates = true;
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  freshet_sink* sink = open_sink(&c, source);
  join(source, &group);
  for (int i = 0; i < 2; i++) {
    assert_status(FRESHET_ABORTED, commit_fenced(&c, sink));
    assert_non_null(strstr(last_error.message, "before it joined group"));
  }
  /* A record that meets the fence, and not the commit. */
  begin(sink);
  assert_status(FRESHET_OK, freshet_kafka_fence(&c.config, c.config.transactional_id, fresh_error()));
  freshet_status status = FRESHET_OK;
  for (int i = 0; i < 500 && status == FRESHET_OK; i++) {
    const freshet_output output = output_of(FRESHET_TOPIC_USERS, 0, "k", "v");
    status = freshet_sink_write(sink, &output, fresh_error());
    freshet_sink_poll(sink);
    usleep(10000);
  }
  assert_status(FRESHET_ABORTED, status);
  assert_status(FRESHET_OK, freshet_sink_abort(sink, fresh_error()));
  for (int i = 0; i < 4; i++) commit_a_row(sink);
  /* The group has known us for long, and we have committed since: whoever fences us now means it. */
  sleep(11);
  for (int i = 0; i < 3; i++) commit_a_row(sink);
  assert_status(FRESHET_FENCED, commit_fenced(&c, sink));
  freshet_sink_destroy(sink);
  assert_status(FRESHET_OK, source->vtable->close(source, fresh_error()));
  source->vtable->destroy(source);
  cluster_stop(&c);
}

/* Nobody has taken its name in the group, so whoever fenced it was mistaken. */
static void a_fence_ends_no_static_member(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  cluster_property(&c, "heartbeat.interval.ms", "500");
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, "the-one");
  freshet_sink* sink = open_sink(&c, source);
  join(source, &group);
  sleep(11); /* no fence is late any more */
  commit_a_row(sink);
  assert_status(FRESHET_ABORTED, commit_fenced(&c, sink));
  assert_non_null(strstr(last_error.message, "knows this one as its member the-one"));
  commit_a_row(sink);
  freshet_sink_destroy(sink);
  assert_status(FRESHET_OK, source->vtable->close(source, fresh_error()));
  source->vtable->destroy(source);
  cluster_stop(&c);
}

static void one_producer_begins_after_the_commit(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  freshet_sink* sink = open_sink(&c, NULL);
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  assert_status(FRESHET_OK, freshet_sink_commit(sink, NULL, 0, fresh_error()));
  for (freshet_status status = FRESHET_TIMEOUT; status != FRESHET_OK;) {
    assert_false(freshet_sink_may_write(sink, FRESHET_TOPIC_USERS));
    status = freshet_sink_outcome(sink, 10, fresh_error());
    assert_true(status == FRESHET_OK || status == FRESHET_TIMEOUT);
  }
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

/* An abort hard on the heels of a commit, when the coordinator has not heard of the new transaction yet. */
static void an_abort_works_at_any_moment(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  freshet_sink* sink = open_sink(&c, NULL);
  for (int i = 0; i < 30; i++) {
    begin(sink);
    write_one(sink, FRESHET_TOPIC_USERS, i % PARTITIONS, "k", "kept");
    commit_at(sink, FRESHET_TOPIC_USERS, 0, -1);
    begin(sink);
    write_one(sink, FRESHET_TOPIC_USERS, (i + 1) % PARTITIONS, "k", "aborted");
    if (i % 3 == 0) freshet_sink_poll(sink);
    assert_status(FRESHET_OK, freshet_sink_abort(sink, fresh_error()));
  }
  begin(sink);
  for (int32_t p = 0; p < PARTITIONS; p++) write_one(sink, FRESHET_TOPIC_USERS, p, "k", "last");
  commit_at(sink, FRESHET_TOPIC_USERS, 0, -1);
  freshet_reader* log = open_log(&c);
  for (int32_t p = 0; p < PARTITIONS; p++) {
    int64_t end = freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, p);
    assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, p, FRESHET_OFFSET_BEGINNING, end), 11);
  }
  stop_all(&c, sink, log);
}

/* Producers take turns, so that none waits for the markers of its own last transaction. The order of commits is that of
 * one producer, an abort takes no turn, and a new process fences all of them. */
static void producers_take_turns(void** state) {
  (void)state;
  cluster c;
  freshet_reader* log;
  freshet_sink* sink = start_alternating(&c, &log);
  int64_t end = 0;
  for (int i = 0; i < 20; i++) {
    char number[8];
    snprintf(number, sizeof number, "%d", i);
    begin(sink);
    write_one(sink, FRESHET_TOPIC_USERS, 0, "k", i % 5 == 4 ? "aborted" : number);
    if (i % 5 == 4) {
      assert_status(FRESHET_OK, freshet_sink_abort(sink, fresh_error()));
      continue;
    }
    commit_at(sink, FRESHET_TOPIC_USERS, 0, -1);
    assert_true(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0) > end);
    end = freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0);
    assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 1), -1);
  }
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, end), 16);
  for (int producer = 0; producer < FRESHET_KAFKA_TRANSACTORS; producer++) { /* whose transaction is fenced */
    begin(sink);
    write_one(sink, FRESHET_TOPIC_USERS, 1, "k", "old");
    if (producer == 0) wait_watermark(sink, log, FRESHET_TOPIC_USERS, 1, 1);
    freshet_sink* young = open_sink(&c, NULL);
    assert_status(FRESHET_FENCED, commit(sink, NULL, 0));
    sink->vtable->destroy(sink);
    sink = young;
    for (int i = 0; i <= producer; i++) {
      begin(sink);
      write_one(sink, FRESHET_TOPIC_USERS, 1, "k", "young");
      commit_at(sink, FRESHET_TOPIC_USERS, 0, -1);
    }
  }
  end = high_watermark(log, FRESHET_TOPIC_USERS, 1);
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 1, FRESHET_OFFSET_BEGINNING, end),
                   FRESHET_KAFKA_TRANSACTORS * (FRESHET_KAFKA_TRANSACTORS + 1) / 2);
  sink->vtable->destroy(sink);
  freshet_reader_destroy(log);
  cluster_stop(&c);
}

static freshet_sink* open_second_sink(cluster* c, freshet_source* source) {
  const bool alternates = c->config.alternates;
  c->config.alternates = false;
  c->config.is_second = true;
  freshet_sink* sink = open_sink(c, source);
  c->config.alternates = alternates;
  c->config.is_second = false;
  return sink;
}

/* Polls, which is all that the records of a second sink need to leave before their commit. */
static void await_records(freshet_sink* sink) {
  for (int i = 0; i < 10000 && !freshet_sink_is_written(sink); i++) {
    freshet_sink_poll(sink);
    usleep(1000);
  }
  assert_true(freshet_sink_is_written(sink));
}

/* The state is written through a sink of its own while lists are committed, whose readers do not wait for it. Of the offsets,
 * those count that were sent last. */
static void a_second_sink_is_written_beside_commits(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  c.config.alternates = true;
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  freshet_sink *lists = open_sink(&c, source), *rows = open_second_sink(&c, source);
  freshet_reader* log = open_log(&c);
  publish_numbers(lists, FRESHET_TOPIC_EVENTS, 2, 0, 1000);
  settle(lists);
  join(source, &group);
  expect_numbers(source, 2, 0, 300);
  begin(rows);
  for (int i = 0; i < 10; i++) write_one(rows, FRESHET_TOPIC_USERS, 2, "k", "v");
  for (int i = 1; i <= 5; i++) {
    begin(lists);
    write_one(lists, FRESHET_TOPIC_RECOMMENDATIONS, 0, "k", "v");
    commit_at(lists, FRESHET_TOPIC_EVENTS, 2, i);
    const int64_t end = freshet_sink_written_end(lists, FRESHET_TOPIC_RECOMMENDATIONS, 0);
    assert_int_equal(read_until(log, FRESHET_TOPIC_RECOMMENDATIONS, 0, FRESHET_OFFSET_BEGINNING, end), i);
  }
  await_records(rows);
  commit_at(rows, FRESHET_TOPIC_EVENTS, 2, 300);
  const int64_t end = freshet_sink_written_end(rows, FRESHET_TOPIC_USERS, 2);
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 2, FRESHET_OFFSET_BEGINNING, end), 10);
  assert_status(FRESHET_OK, freshet_source_close(source, fresh_error()));
  freshet_reader_destroy(log);
  freshet_sink_destroy(rows);
  freshet_sink_destroy(lists);
  freshet_source_destroy(source);

  group_log next = {0};
  source = open_source(&c, &next, NULL);
  join(source, &next);
  assert_int_equal(next.start[FRESHET_TOPIC_EVENTS][2], 300);
  assert_status(FRESHET_OK, freshet_source_close(source, fresh_error()));
  freshet_source_destroy(source);
  cluster_stop(&c);
}

/* The next run of the process, and whoever takes its partitions, fence both of its sinks. */
static void a_second_sink_is_fenced_with_the_first(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  freshet_reader* log = open_log(&c);
  for (int i = 0; i < 2; i++) {
    freshet_sink* old = open_second_sink(&c, NULL);
    begin(old);
    write_one(old, FRESHET_TOPIC_USERS, 0, "k", "old");
    await_records(old);
    if (i == 0) {
      freshet_sink_destroy(open_second_sink(&c, NULL));
    } else {
      assert_status(FRESHET_OK, freshet_kafka_fence(&c.config, c.config.transactional_id, fresh_error()));
    }
    assert_status(FRESHET_FENCED, commit(old, NULL, 0));
    freshet_sink_destroy(old);
  }
  /* Each left a record and the mark of its abort. */
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, 4), 0);
  freshet_reader_destroy(log);
  cluster_stop(&c);
}

/* A producer of events may use transactions too: its markers are nothing to wait for. */
static void markers_at_the_end_are_no_lag(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  freshet_sink* producer = open_sink(&c, NULL);
  begin(producer);
  write_one(producer, FRESHET_TOPIC_EVENTS, 0, "0", "0");
  commit_at(producer, FRESHET_TOPIC_EVENTS, 0, -1);
  join(source, &group);
  expect_numbers(source, 0, 0, 1);
  freshet_record record;
  size_t count;
  for (int i = 0; i < 50 && freshet_source_end(source, FRESHET_TOPIC_EVENTS, 0) != 1; i++)
    assert_status(FRESHET_OK, freshet_source_poll(source, 50, &record, 1, &count, fresh_error()));
  assert_int_equal(freshet_source_end(source, FRESHET_TOPIC_EVENTS, 0), 1);
  assert_status(FRESHET_OK, freshet_source_close(source, fresh_error()));
  producer->vtable->destroy(producer);
  freshet_source_destroy(source);
  cluster_stop(&c);
}

static void a_new_sink_fences_the_old_one(void** state) {
  (void)state;
  cluster c;
  freshet_reader* log;
  freshet_sink* old = start_alternating(&c, &log);
  begin(old);
  write_one(old, FRESHET_TOPIC_USERS, 0, "k", "old");
  wait_watermark(old, log, FRESHET_TOPIC_USERS, 0, 1);
  freshet_sink* young = open_sink(&c, NULL);
  begin(young);
  write_one(young, FRESHET_TOPIC_USERS, 0, "k", "young");
  commit_at(young, FRESHET_TOPIC_USERS, 0, -1);
  assert_status(FRESHET_FENCED, commit(old, NULL, 0));
  assert_int_equal(last_error.verdict, FRESHET_STOP);
  assert_non_null(strstr(last_error.message, c.transactional_id));
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING,
                              high_watermark(log, FRESHET_TOPIC_USERS, 0)),
                   1);
  old->vtable->destroy(old);
  young->vtable->destroy(young);
  freshet_reader_destroy(log);
  cluster_stop(&c);
}

/* The broker fences the producer then, too; but nobody has taken its place, so it goes on with the next one. */
static void a_transaction_that_outlives_its_timeout_is_no_fence(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  c.config.alternates = true;
  cluster_property(&c, "transaction.timeout.ms", "1000");
  freshet_sink* sink = open_sink(&c, NULL);
  freshet_reader* log = open_log(&c);
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  /* The record, and the mark of the abort behind it. */
  wait_watermark(sink, log, FRESHET_TOPIC_USERS, 0, 2);
  assert_status(FRESHET_ABORTED, commit(sink, NULL, 0));
  assert_non_null(strstr(last_error.message, "outlived transaction.timeout.ms (1000)"));
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  assert_status(FRESHET_OK, commit(sink, NULL, 0));
  freshet_sink_destroy(sink);
  freshet_reader_destroy(log);
  cluster_stop(&c);
}

static void a_new_static_member_fences_the_old_one(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  group_log old_group = {0}, young_group = {0};
  freshet_source* old = open_source(&c, &old_group, "the-one");
  freshet_sink* old_sink = open_sink(&c, old);
  join(old, &old_group);
  cluster young_cluster = c;
  snprintf(young_cluster.transactional_id, sizeof young_cluster.transactional_id, "%s-young", c.app_id);
  young_cluster.config.transactional_id = young_cluster.transactional_id;
  freshet_source* young = open_source(&young_cluster, &young_group, "the-one");
  join(young, &young_group);

  /* What the old one still tries is refused by the group coordinator ... */
  begin(old_sink);
  write_one(old_sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  freshet_partition at = {.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 5};
  assert_status(FRESHET_ABORTED, commit(old_sink, &at, 1));
  /* ... and it learns why. */
  freshet_record record;
  size_t count;
  freshet_status status = FRESHET_OK;
  for (int i = 0; i < 200 && status == FRESHET_OK; i++)
    status = old->vtable->poll(old, 100, &record, 1, &count, fresh_error());
  assert_int_equal(status, FRESHET_FENCED);
  assert_non_null(strstr(last_error.message, "the-one"));
  /* A rollback of such a process ends, though nothing takes its seek. */
  const freshet_partition back = {.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 0};
  assert_status(FRESHET_OK, old->vtable->seek(old, &back, 1, fresh_error()));
  old->vtable->close(old, NULL);
  freshet_sink_destroy(old_sink);
  old->vtable->destroy(old);
  assert_status(FRESHET_OK, young->vtable->close(young, fresh_error()));
  young->vtable->destroy(young);
  cluster_stop(&c);
}

/* ---- Two members ---- */

/* Counts how often each number came, and commits what it has seen when partitions are taken away. */
typedef struct member {
  cluster cluster;
  group_log group;
  freshet_source* source;
  freshet_sink* sink;
  int64_t next[PARTITIONS]; /* -1: nothing to commit */
  int commits;
} member;

static void member_commit(void* context) {
  member* m = context;
  freshet_partition offsets[PARTITIONS];
  size_t count = 0;
  for (int32_t p = 0; p < PARTITIONS; p++) {
    if (m->next[p] < 0) continue;
    offsets[count++] =
        (freshet_partition){.topic = FRESHET_TOPIC_EVENTS, .partition = p, .offset = m->next[p]};
    m->next[p] = -1;
  }
  if (count == 0) return;
  begin(m->sink);
  for (size_t i = 0; i < count; i++) write_one(m->sink, FRESHET_TOPIC_USERS, offsets[i].partition, "k", "v");
  assert_status(FRESHET_OK, commit(m->sink, offsets, count));
  m->commits++;
}

static void member_open(member* m, const cluster* c, const char* name) {
  m->cluster = *c;
  m->cluster.config.properties = m->cluster.properties;
  snprintf(m->cluster.transactional_id, sizeof m->cluster.transactional_id, "%s-%s", c->app_id, name);
  m->cluster.config.transactional_id = m->cluster.transactional_id;
  for (int32_t p = 0; p < PARTITIONS; p++) m->next[p] = -1;
  m->group.on_revoked = member_commit;
  m->group.context = m;
  m->source = open_source(&m->cluster, &m->group, NULL);
  m->sink = open_sink(&m->cluster, m->source);
}

static int member_poll(member* m, int* seen /* [PARTITIONS][records] */, int records) {
  freshet_record batch[BATCH];
  size_t count;
  assert_status(FRESHET_OK, freshet_source_poll(m->source, 20, batch, BATCH, &count, fresh_error()));
  for (size_t i = 0; i < count; i++) {
    assert_true(m->group.owned[FRESHET_TOPIC_EVENTS][batch[i].partition]);
    seen[batch[i].partition * records + batch[i].offset]++;
    m->next[batch[i].partition] = batch[i].offset + 1;
  }
  return (int)count;
}

static void member_close(member* m) {
  assert_status(FRESHET_OK, freshet_source_close(m->source, fresh_error()));
  freshet_sink_destroy(m->sink);
  freshet_source_destroy(m->source);
}

static int owned_partitions(const member* m) {
  int owned = 0;
  for (int32_t p = 0; p < PARTITIONS; p++) {
    owned += m->group.owned[FRESHET_TOPIC_EVENTS][p];
    /* co-partitioned topics stay together */
    assert_int_equal(m->group.owned[FRESHET_TOPIC_EVENTS][p], m->group.owned[FRESHET_TOPIC_REQUESTS][p]);
  }
  return owned;
}

/* A second member comes and goes while records flow: each is read exactly once, because what is open is
 * committed while the partitions are still held. */
static void members_share_without_loss_or_repeat(void** state) {
  (void)state;
  enum { RECORDS = 6000 };
  cluster c;
  cluster_start(&c, true);
  int* seen = calloc(PARTITIONS * RECORDS, sizeof *seen);
  member a = {0}, b = {0};
  member_open(&a, &c, "a");
  join(a.source, &a.group);
  assert_int_equal(owned_partitions(&a), PARTITIONS);
  freshet_sink* producer = a.sink;
  int got = 0;
  bool second = false, shared = false;
  time_t since = time(NULL);
  for (int published = 0; got < PARTITIONS * RECORDS || !shared;) {
    if (published < RECORDS && (published < RECORDS / 2 || shared)) {
      for (int32_t p = 0; p < PARTITIONS; p++)
        publish_numbers(producer, FRESHET_TOPIC_EVENTS, p, published, published + 50);
      published += 50;
      freshet_sink_poll(producer); /* as at the end of a turn: they leave */
    }
    got += member_poll(&a, seen, RECORDS);
    if (published >= RECORDS / 4 && !second) {
      member_open(&b, &c, "b");
      second = true;
    }
    if (second) {
      got += member_poll(&b, seen, RECORDS);
      shared = shared || (owned_partitions(&a) > 0 && owned_partitions(&b) > 0);
    }
    assert_in_range(time(NULL) - since, 0, 100);
  }
  for (int i = 0; i < PARTITIONS * RECORDS; i++) assert_int_equal(seen[i], 1);
  assert_int_equal(owned_partitions(&a) + owned_partitions(&b), PARTITIONS);
  assert_true(a.commits >= 1);
  assert_int_equal(a.group.lost + b.group.lost, 0);
  member_close(&b);
  while (owned_partitions(&a) < PARTITIONS) member_poll(&a, seen, RECORDS);
  for (int32_t p = 0; p < PARTITIONS; p++) assert_int_equal(a.group.start[FRESHET_TOPIC_EVENTS][p], RECORDS);
  member_close(&a);
  free(seen);
  cluster_stop(&c);
}

/* Who was thrown out of the group may not commit, whether it knows that already or not. */
static void a_late_member_is_aborted(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  cluster_property(&c, "session.timeout.ms", "6000");
  cluster_property(&c, "max.poll.interval.ms", "6000");
  member a = {0}, b = {0};
  member_open(&a, &c, "a");
  join(a.source, &a.group);
  publish_numbers(a.sink, FRESHET_TOPIC_EVENTS, 0, 0, 10);
  settle(a.sink);
  expect_numbers(a.source, 0, 0, 10);
  member_open(&b, &c, "b");
  int seen[PARTITIONS * 10] = {0};
  while (owned_partitions(&b) < PARTITIONS)
    member_poll(&b, seen, 10); /* a does not answer, b gets everything */
  begin(a.sink);
  write_one(a.sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  freshet_partition at = {.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 10};
  assert_status(FRESHET_ABORTED, commit(a.sink, &at, 1));
  assert_int_equal(last_error.verdict, FRESHET_RETRY);
  for (int i = 0; i < 100 && a.group.revoked == 0; i++) member_poll(&a, seen, 10);
  assert_int_equal(a.group.revoked, 1);
  member_close(&b);
  member_close(&a);
  cluster_stop(&c);
}

static void count_one(void* context, const freshet_kafka_member* described) {
  (void)described;
  ++*(size_t*)context;
}

/* A question that is given up at once, again and again, on clients that have not found the coordinator yet. */
static void a_question_about_a_group_may_be_given_up(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  for (int i = 0; i < 20; i++) {
    freshet_kafka_client client = {0};
    size_t members = 99;
    assert_status(FRESHET_OK, freshet_kafka_client_open(&client, &c.config, FRESHET_KAFKA_OBSERVER,
                                                        (freshet_kafka_callbacks){0}, NULL, fresh_error()));
    for (int ms = 1; ms < 50; ms *= 3)
      freshet_kafka_client_describe(&client, c.config.app_id, ms, count_one, &members);
    assert_status(FRESHET_OK,
                  freshet_kafka_client_members(&client, c.config.app_id, &members, fresh_error()));
    assert_int_equal(members, 0);
    freshet_kafka_client_close(&client, 0);
  }
  cluster_stop(&c);
}

static void note_name(void* context, const freshet_kafka_member* found) {
  char* name = context;
  memcpy(name, found->name.data, found->name.size);
  name[found->name.size] = '\0';
}

/* The name of a static member may be the client id that processes have. */
static void a_static_member_may_be_named_as_its_client(void** state) {
  static const char* const client_ids[] = {NULL, "worker-1"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    cluster c;
    cluster_start(&c, true);
    group_log group = {0};
    char name[64] = "";
    c.config.client_id = client_ids[i];
    freshet_source* source = open_source(&c, &group, client_ids[i] == NULL ? "freshet" : client_ids[i]);
    join(source, &group);
    freshet_kafka_client client = {0};
    assert_status(FRESHET_OK, freshet_kafka_client_open(&client, &c.config, FRESHET_KAFKA_OBSERVER,
                                                        (freshet_kafka_callbacks){0}, NULL, fresh_error()));
    assert_int_equal(freshet_kafka_client_describe(&client, c.config.app_id, 5000, note_name, name), 0);
    assert_string_equal(name, c.config.instance_id);
    freshet_kafka_client_close(&client, 0);
    assert_status(FRESHET_OK, freshet_source_close(source, fresh_error()));
    freshet_source_destroy(source);
    cluster_stop(&c);
  }
}

/* One record of each partition is asked for. The batch of the first one brings thousands that nobody waits for, and they
 * must not keep the second from its answer. */
static void large_batches_are_looked_at_in_time(void** state) {
  enum { RECORDS = 10000, WITHIN_MS = 2000 };
  (void)state;
  cluster c;
  cluster_start(&c, true);
  cluster_property(&c, "linger.ms", "300");
  freshet_kafka_client producer = {0};
  assert_status(FRESHET_OK, freshet_kafka_client_open(&producer, &c.config, FRESHET_KAFKA_PUBLISHER,
                                                      (freshet_kafka_callbacks){0}, NULL, fresh_error()));
  freshet_log_place places[2];
  for (int32_t p = 0; p < 2; p++) {
    const freshet_output output = output_of(FRESHET_TOPIC_EVENTS, p, "k", "v");
    for (int i = 0; i < RECORDS; i++)
      assert_int_equal(freshet_kafka_enqueue(&producer, producer.topics[FRESHET_TOPIC_EVENTS], &output, NULL),
                       0);
    /* Reading may go on further back than it was: lists are committed beyond the state. */
    places[p] = (freshet_log_place){
        .topic = FRESHET_TOPIC_EVENTS, .partition = p, .next = p == 0 ? RECORDS : 0, .mark = {.offset = 1}};
  }
  assert_int_equal(rd_kafka_flush(producer.handle, 30000), 0);
  freshet_kafka_client_close(&producer, 0);
  freshet_log_check* check;
  assert_status(FRESHET_OK, freshet_log_check_create(&c.config, &check, fresh_error()));
  freshet_log_check_places(check, places, 2, WITHIN_MS);
  for (int i = 0; i < 2; i++) assert_int_equal(places[i].verdict, FRESHET_LOG_OTHER);
  places[1].mark.offset = RECORDS; /* it ends before what was read */
  freshet_log_check_places(check, &places[1], 1, WITHIN_MS);
  assert_int_equal(places[1].verdict, FRESHET_LOG_OTHER);
  assert_non_null(strstr(places[1].reason, "it ends at"));
  /* Its mark is further back, of a replay in whose middle the state was committed. */
  places[1].mark = FRESHET_NO_MARK;
  places[1].listed = RECORDS;
  freshet_log_check_places(check, &places[1], 1, WITHIN_MS);
  assert_int_equal(places[1].verdict, FRESHET_LOG_SAME);
  places[1].listed = RECORDS + 1;
  freshet_log_check_places(check, &places[1], 1, WITHIN_MS);
  assert_int_equal(places[1].verdict, FRESHET_LOG_OTHER);
  freshet_log_check_destroy(check);
  cluster_stop(&c);
}

static void missing_topics_are_named(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_kafka_faults faults;
  assert_status(FRESHET_OK, freshet_kafka_topics_check(&c.config, info, &faults, fresh_error()));
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    assert_true(info[topic].policy_known);
    assert_int_equal(info[topic].compacted, strcmp(freshet_kafka_topic_policy(topic), "compact") == 0);
    assert_int_equal(info[topic].partitions, freshet_kafka_topic_is_single(topic) ? 1 : PARTITIONS);
  }
  bool created[FRESHET_TOPICS];
  assert_status(FRESHET_OK, freshet_kafka_topics_create(&c.config, PARTITIONS, 1, created, fresh_error()));
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) assert_false(created[topic]);

  const char* items = c.config.topics[FRESHET_TOPIC_ITEM_STATES];
  c.config.topics[FRESHET_TOPIC_ITEM_STATES] = c.config.topics[FRESHET_TOPIC_REPLIES];
  c.config.topics[FRESHET_TOPIC_REPLIES] = NULL;
  assert_status(FRESHET_CONFLICT, freshet_kafka_topics_check(&c.config, info, &faults, fresh_error()));
  assert_non_null(strstr(last_error.message, "cleanup.policy=compact"));
  c.config.topics[FRESHET_TOPIC_REPLIES] = "not-there";
  c.config.topics[FRESHET_TOPIC_REQUESTS] = "not-there-either";
  c.config.topics[FRESHET_TOPIC_ITEM_STATES] = items;
  assert_status(FRESHET_OK, freshet_kafka_topics_check(&c.config, info, &faults, fresh_error()));
  c.config.topics[FRESHET_TOPIC_EVENTS] = "no-events";
  assert_status(FRESHET_NOT_FOUND, freshet_kafka_topics_check(&c.config, info, &faults, fresh_error()));
  assert_non_null(strstr(last_error.message, "no-events"));
  assert_null(strstr(last_error.message, "not-there"));

  freshet_reader* log = open_log(&c);
  int32_t partitions;
  assert_status(FRESHET_NOT_FOUND,
                freshet_reader_partitions(log, FRESHET_TOPIC_EVENTS, &partitions, fresh_error()));
  assert_non_null(strstr(last_error.message, "no-events"));
  freshet_reader_destroy(log);
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  freshet_record record;
  size_t count;
  freshet_status status = FRESHET_OK;
  for (int i = 0; i < 100 && status == FRESHET_OK; i++)
    status = freshet_source_poll(source, 100, &record, 1, &count, fresh_error());
  assert_int_equal(status, FRESHET_NOT_FOUND);
  assert_non_null(strstr(last_error.message, "not"));
  freshet_source_destroy(source);
  cluster_stop(&c);
}

static void an_offset_that_is_gone_is_an_error(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, true);
  freshet_reader* log = open_log(&c);
  assert_status(FRESHET_OK, freshet_reader_open(log, FRESHET_TOPIC_USERS, 0, 1000, fresh_error()));
  freshet_record record;
  size_t count;
  freshet_status status = FRESHET_OK;
  for (int i = 0; i < 100 && status == FRESHET_OK; i++)
    status = freshet_reader_poll(log, 100, &record, 1, &count, fresh_error());
  assert_int_equal(status, FRESHET_CONFLICT);
  assert_non_null(strstr(last_error.message, c.names[FRESHET_TOPIC_USERS]));
  freshet_reader_destroy(log);
  cluster_stop(&c);
}

static void script(const char* action) {
  char command[512];
  snprintf(command, sizeof command, "'%s' %s >/dev/null", getenv("FRESHET_TEST_BROKER_SCRIPT"), action);
  if (system(command) != 0) fail_msg("%s failed", command);
}

/* The broker goes in the middle of a transaction and comes back, after the session of our static member has
 * ended or before. The transaction commits, or it is aborted because the group has forgotten us; done again,
 * it is there once. */
static void outage(const char* session_ms, int seconds, bool must_commit) {
  if (getenv("FRESHET_TEST_BROKER_SCRIPT") == NULL) {
    print_message("FRESHET_TEST_BROKER_SCRIPT is not set\n");
    skip();
  }
  cluster c;
  cluster_start(&c, true);
  cluster_property(&c, "session.timeout.ms", session_ms);
  /* The broker's start is part of the outage, and on a busy machine it alone can outlast the default. */
  cluster_property(&c, "transaction.timeout.ms", "120000");
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, "steady");
  freshet_sink* sink = open_sink(&c, source);
  freshet_reader* log = open_log(&c);
  join(source, &group);
  publish_numbers(sink, FRESHET_TOPIC_EVENTS, 0, 0, 100);
  settle(sink);
  expect_numbers(source, 0, 0, 100);
  begin(sink);
  for (int i = 0; i < 100; i++) write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  freshet_partition at = {.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 100};
  script("stop");
  publish_numbers(sink, FRESHET_TOPIC_EVENTS, 0, 100, 200);
  nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
  script("start");
  freshet_status status = commit(sink, &at, 1);
  if (must_commit || status != FRESHET_ABORTED) assert_status(FRESHET_OK, status);
  if (status == FRESHET_ABORTED) {
    join(source, &group);
    assert_int_equal(group.lost, 1);
    assert_int_equal(group.start[FRESHET_TOPIC_EVENTS][0], -1);
    expect_numbers(source, 0, 0, 100);
    begin(sink);
    for (int i = 0; i < 100; i++) write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
    assert_status(FRESHET_OK, commit(sink, &at, 1));
  }
  settle(sink);
  expect_numbers(source, 0, 100, 100);
  int64_t end = freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0);
  assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, 0, FRESHET_OFFSET_BEGINNING, end), 100);
  assert_status(FRESHET_OK, freshet_source_close(source, fresh_error()));
  freshet_reader_destroy(log);
  freshet_sink_destroy(sink);
  freshet_source_destroy(source);
  cluster_stop(&c);
}

static void a_short_outage_loses_nothing(void** state) {
  (void)state;
  outage("120000", 0, true);
}

static void an_outage_longer_than_the_session_loses_nothing(void** state) {
  (void)state;
  outage("6000", 8, false);
}

int main(void) {
  if (!cluster_has_real()) {
    print_message("FRESHET_TEST_BOOTSTRAP is not set: skipped\n");
    return 77;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(open_records_are_invisible),
      cmocka_unit_test(position_passes_aborted_records),
      cmocka_unit_test(offsets_commit_and_abort_with_the_transaction),
      cmocka_unit_test(an_abort_works_at_any_moment),
      cmocka_unit_test(producers_take_turns),
      cmocka_unit_test(a_transaction_begins_beside_a_commit),
      cmocka_unit_test(a_transaction_comes_after_the_last_one),
      cmocka_unit_test(an_abandoned_pair_ends),
      cmocka_unit_test(a_fence_while_we_were_paused_ends_nothing),
      cmocka_unit_test(a_fence_that_comes_after_we_joined_ends_nothing),
      cmocka_unit_test(a_fence_ends_no_static_member),
      cmocka_unit_test(one_producer_begins_after_the_commit),
      cmocka_unit_test(a_second_sink_is_written_beside_commits),
      cmocka_unit_test(lists_are_gathered_once_their_partition_is_open),
      cmocka_unit_test(a_second_sink_is_fenced_with_the_first),
      cmocka_unit_test(markers_at_the_end_are_no_lag),
      cmocka_unit_test(a_new_sink_fences_the_old_one),
      cmocka_unit_test(a_transaction_that_outlives_its_timeout_is_no_fence),
      cmocka_unit_test(a_new_static_member_fences_the_old_one),
      cmocka_unit_test(members_share_without_loss_or_repeat),
      cmocka_unit_test(a_late_member_is_aborted),
      cmocka_unit_test(a_question_about_a_group_may_be_given_up),
      cmocka_unit_test(a_static_member_may_be_named_as_its_client),
      cmocka_unit_test(large_batches_are_looked_at_in_time),
      cmocka_unit_test(missing_topics_are_named),
      cmocka_unit_test(an_offset_that_is_gone_is_an_error),
      cmocka_unit_test(a_short_outage_loses_nothing),
      cmocka_unit_test(an_outage_longer_than_the_session_loses_nothing),
  };
  cmocka_set_test_filter(getenv("FRESHET_TEST_ONLY"));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
