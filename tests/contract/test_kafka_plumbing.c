/* The Kafka module against the embedded broker: everything but the meaning of transactions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "kafka/app_generations.h"
#include "kafka/log_check.h"
#include "kafka/transactor.h"
#include "support_kafka.h"

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Polls a log until a record comes. */
static freshet_record next_record(freshet_reader* log) {
  freshet_record record;
  size_t count = 0;
  for (int i = 0; i < 100 && count == 0; i++) {
    assert_status(FRESHET_OK, freshet_reader_poll(log, 100, &record, 1, &count, fresh_error()));
  }
  assert_int_equal(count, 1);
  return record;
}

static void records_arrive_as_published(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  freshet_sink* sink = open_sink(&c, NULL);
  freshet_reader* log = open_log(&c);
  freshet_output odd = output_of(FRESHET_TOPIC_DEAD_LETTERS, 1, NULL, "");
  freshet_header headers[] = {{"__connect.errors.topic", freshet_slice_of("events")}, {"empty", {NULL, 0}}};
  odd.headers = headers;
  odd.header_count = 2;
  odd.timestamp_ms = 1234567890123;
  assert_status(FRESHET_OK, freshet_sink_publish(sink, &odd, fresh_error()));
  publish(sink, FRESHET_TOPIC_DEAD_LETTERS, 1, "key", "value");
  publish(sink, FRESHET_TOPIC_DEAD_LETTERS, 1, "key", NULL);
  settle(sink);

  assert_status(FRESHET_OK, freshet_reader_open(log, FRESHET_TOPIC_DEAD_LETTERS, 1, FRESHET_OFFSET_BEGINNING,
                                                fresh_error()));
  freshet_record r = next_record(log);
  assert_int_equal(r.topic, FRESHET_TOPIC_DEAD_LETTERS);
  assert_int_equal(r.partition, 1);
  assert_int_equal(r.offset, 0);
  assert_int_equal(r.timestamp_ms, 1234567890123);
  assert_false(r.has_key);
  assert_true(r.has_value); /* empty is not a tombstone */
  assert_int_equal(r.value.size, 0);
  r = next_record(log);
  assert_true(freshet_slice_equal(r.key, freshet_slice_of("key")));
  assert_true(freshet_slice_equal(r.value, freshet_slice_of("value")));
  assert_true(r.timestamp_ms > 1600000000000);
  r = next_record(log);
  assert_true(r.has_key);
  assert_false(r.has_value);
  assert_string_equal(freshet_sink_topic_name(sink, FRESHET_TOPIC_EVENTS), c.names[FRESHET_TOPIC_EVENTS]);
  freshet_reader_destroy(log);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

/* The embedded broker has no controller, and so no limits of topics, for which a start would wait for 5 s. */
static void a_sink_opens_without_a_controller(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  const int64_t start = now_ms();
  freshet_sink* sink = open_sink(&c, NULL);
  assert_in_range(now_ms() - start, 0, 4500);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

/* Where kafka-clients put these keys of Java's test (Utils.murmur2) among three partitions: the positive hash
 * modulo 3. */
static void keys_go_where_java_puts_them(void** state) {
  (void)state;
  static const struct {
    const char* key;
    int32_t murmur2;
  } known[] = {{"21", -973932308},
               {"foobar", -790332482},
               {"a-little-bit-long-string", -985981536},
               {"a-little-bit-longer-string", -1486304829},
               {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971}};
  cluster c;
  cluster_start(&c, false);
  freshet_sink* sink = open_sink(&c, NULL);
  freshet_reader* log = open_log(&c);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    int32_t partition = (known[i].murmur2 & 0x7fffffff) % PARTITIONS;
    int64_t first, before, after;
    assert_status(FRESHET_OK, freshet_reader_range(log, FRESHET_TOPIC_RECOMMENDATIONS, partition, &first,
                                                   &before, fresh_error()));
    publish(sink, FRESHET_TOPIC_RECOMMENDATIONS, -1, known[i].key, "list");
    settle(sink);
    assert_status(FRESHET_OK, freshet_reader_range(log, FRESHET_TOPIC_RECOMMENDATIONS, partition, &first,
                                                   &after, fresh_error()));
    assert_int_equal(after, before + 1);
  }
  freshet_reader_destroy(log);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

static void a_log_opens_and_shuts_anywhere(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  freshet_sink* sink = open_sink(&c, NULL);
  freshet_reader* log = open_log(&c);
  int32_t partitions;
  assert_status(FRESHET_OK, freshet_reader_partitions(log, FRESHET_TOPIC_USERS, &partitions, fresh_error()));
  assert_int_equal(partitions, PARTITIONS);
  assert_status(FRESHET_OK,
                freshet_reader_partitions(log, FRESHET_TOPIC_ITEM_DELTAS, &partitions, fresh_error()));
  assert_int_equal(partitions, 1);
  for (int32_t p = 0; p < PARTITIONS; p++) publish_numbers(sink, FRESHET_TOPIC_USERS, p, 0, 1000);
  settle(sink);
  for (int32_t p = 0; p < PARTITIONS; p++) {
    int64_t first, end;
    assert_status(FRESHET_OK, freshet_reader_range(log, FRESHET_TOPIC_USERS, p, &first, &end, fresh_error()));
    assert_int_equal(first, 0);
    assert_int_equal(end, 1000);
    assert_int_equal(freshet_reader_position(log, FRESHET_TOPIC_USERS, p), -1);
    assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, p, FRESHET_OFFSET_BEGINNING, end), 1000);
    assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, p, 990, end), 10);
    assert_int_equal(read_until(log, FRESHET_TOPIC_USERS, p, 1000, end), 0);
  }
  freshet_reader_destroy(log);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

static void one_record_does_not_wait_for_more(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  freshet_sink* sink = open_sink(&c, source);
  join(source, &group);
  for (int i = 0; i < 20; i++) {
    publish_numbers(sink, FRESHET_TOPIC_EVENTS, 0, i, i + 1);
    settle(sink);
    freshet_record records[64];
    size_t count;
    int64_t start = now_ms();
    assert_status(FRESHET_OK, freshet_source_poll(source, 5000, records, 64, &count, fresh_error()));
    assert_int_equal(count, 1);
    assert_in_range(now_ms() - start, 0, 2000);
  }
  assert_status(FRESHET_OK, freshet_source_close(source, fresh_error()));
  assert_int_equal(group.revoked, 1);
  assert_int_equal(group.lost, 0);
  freshet_sink_destroy(sink);
  freshet_source_destroy(source);
  cluster_stop(&c);
}

static void time_out_is_no_error(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  join(source, &group);
  freshet_record record;
  size_t count = 7;
  int64_t start = now_ms();
  assert_status(FRESHET_OK, freshet_source_poll(source, 120, &record, 1, &count, fresh_error()));
  assert_int_equal(count, 0);
  assert_in_range(now_ms() - start, 110, 1000);
  freshet_source_destroy(source);
  cluster_stop(&c);
}

/* Seeks to random places while a long backlog is being fetched: nothing of the old fetch may come through. */
static void a_seek_drops_what_was_fetched(void** state) {
  (void)state;
  enum { RECORDS = 20000, SEEKS = 200 };
  unsigned seed = (unsigned)time(NULL);
  print_message("seed %u\n", seed);
  srand(seed);
  cluster c;
  cluster_start(&c, false);
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  freshet_sink* sink = open_sink(&c, source);
  publish_numbers(sink, FRESHET_TOPIC_EVENTS, 1, 0, RECORDS);
  settle(sink);
  join(source, &group);
  for (int i = 0; i < SEEKS; i++) {
    int to = rand() % (RECORDS - 700);
    freshet_partition at[] = {{.topic = FRESHET_TOPIC_EVENTS, .partition = 1, .offset = to == 0 ? -1 : to},
                              {.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = 0}};
    assert_status(FRESHET_OK, freshet_source_seek(source, at, 2, fresh_error()));
    expect_numbers(source, 1, to, rand() % 3 == 0 ? 0 : 1 + rand() % 700);
  }
  freshet_partition start = {.topic = FRESHET_TOPIC_EVENTS, .partition = 1, .offset = 0};
  assert_status(FRESHET_OK, freshet_source_seek(source, &start, 1, fresh_error()));
  expect_numbers(source, 1, 0, RECORDS);
  assert_int_equal(freshet_source_end(source, FRESHET_TOPIC_EVENTS, 1), RECORDS);
  assert_int_equal(freshet_source_end(source, FRESHET_TOPIC_EVENTS, PARTITIONS), -1);
  freshet_sink_destroy(sink);
  freshet_source_destroy(source);
  cluster_stop(&c);
}

static void a_broker_that_comes_back_has_lost_nothing(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, NULL);
  freshet_sink* sink = open_sink(&c, source);
  join(source, &group);
  publish_numbers(sink, FRESHET_TOPIC_EVENTS, 2, 0, 100);
  settle(sink);
  expect_numbers(source, 2, 0, 100);
  freshet_kafka_embedded_set_reachable(c.embedded, false);
  publish_numbers(sink, FRESHET_TOPIC_EVENTS, 2, 100, 200);
  assert_status(FRESHET_TIMEOUT, freshet_sink_settle(sink, 300, fresh_error()));
  expect_numbers(source, 2, 100, 0);
  freshet_kafka_embedded_set_reachable(c.embedded, true);
  settle(sink);
  expect_numbers(source, 2, 100, 100);
  freshet_sink_destroy(sink);
  freshet_source_destroy(source);
  cluster_stop(&c);
}

static void given_up_lists_are_told(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  cluster_property(&c, "message.timeout.ms", "300");
  c.config.transactional_id = NULL;
  freshet_sink* sink = open_sink(&c, NULL);
  publish(sink, FRESHET_TOPIC_RECOMMENDATIONS, -1, "a", "b");
  settle(sink);
  freshet_kafka_embedded_set_reachable(c.embedded, false);
  publish(sink, FRESHET_TOPIC_RECOMMENDATIONS, -1, "a", "b");
  assert_status(FRESHET_UNAVAILABLE, freshet_sink_settle(sink, 20000, fresh_error()));
  assert_int_equal(last_error.verdict, FRESHET_RETRY);
  assert_non_null(strstr(last_error.message, "1 published"));
  freshet_kafka_embedded_set_reachable(c.embedded, true);
  settle(sink); /* told once */
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

static int64_t users_written(cluster* c) {
  int64_t first, end;
  freshet_reader* log = open_log(c);
  assert_status(FRESHET_OK, freshet_reader_range(log, FRESHET_TOPIC_USERS, 0, &first, &end, fresh_error()));
  freshet_reader_destroy(log);
  return end;
}

enum { ANSWER_MS = 3000, ON_ITS_WAY_MS = 1000 }; /* the second request leaves before the first is answered */

/* The broker refuses the first request and accepts the second: librdkafka calls both written. */
static void a_list_that_another_one_overtook_is_told(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  c.config.transactional_id = NULL; /* lists of a service leave one batch after the other */
  freshet_sink* sink = open_sink(&c, NULL);
  publish(sink, FRESHET_TOPIC_USERS, 0, "zero", "0"); /* until it is acknowledged, no other one leaves */
  settle(sink);
  freshet_kafka_embedded_refuse_write(c.embedded);
  freshet_kafka_embedded_answer_late(c.embedded, ANSWER_MS);
  publish(sink, FRESHET_TOPIC_USERS, 0, "first", "1");
  freshet_kafka_sleep_ms(ON_ITS_WAY_MS);
  publish(sink, FRESHET_TOPIC_USERS, 0, "second", "2");
  assert_status(FRESHET_UNAVAILABLE, freshet_sink_settle(sink, 60000, fresh_error()));
  assert_non_null(strstr(last_error.message, "1 published records were given up"));
  freshet_kafka_embedded_answer_late(c.embedded, 0);
  assert_int_equal(users_written(&c), 2);
  publish(sink, FRESHET_TOPIC_USERS, 0, "first", "1");
  settle(sink);
  assert_int_equal(users_written(&c), 3);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

/* The embedded broker checks the order of transactional records, other brokers may not. librdkafka's hook for tests of
 * its own makes the answer to the first request uncertain instead. */
static rd_kafka_resp_err_t doubt_first(rd_kafka_t* handle, int32_t broker, uint64_t message,
                                       rd_kafka_resp_err_t code) {
  static atomic_bool has_doubted;
  (void)handle, (void)broker, (void)message;
  return atomic_exchange(&has_doubted, true) ? code : RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
}

static void a_transaction_that_may_lack_a_record_is_aborted(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  c.config.alternates = true; /* records of an open transaction leave with a poll */
  cluster_property(&c, "ut_handle_ProduceResponse", (const char*)(intptr_t)doubt_first);
  freshet_sink* sink = open_sink(&c, NULL);
  freshet_kafka_embedded_answer_late(c.embedded, ANSWER_MS);
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "first", "1");
  freshet_sink_poll(sink);
  freshet_kafka_sleep_ms(ANSWER_MS +
                         ANSWER_MS / 2); /* the partition is registered, the first request on its way */
  write_one(sink, FRESHET_TOPIC_USERS, 0, "second", "2");
  assert_status(FRESHET_ABORTED, commit(sink, NULL, 0));
  assert_non_null(strstr(last_error.message, "may be lost"));
  freshet_kafka_embedded_answer_late(c.embedded, 0);
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "first", "1");
  write_one(sink, FRESHET_TOPIC_USERS, 0, "second", "2");
  assert_status(FRESHET_OK, commit(sink, NULL, 0));
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

/* librdkafka would commit the transaction without it. */
static void a_transaction_is_never_committed_without_a_record_that_was_refused(void** state) {
  (void)state;
  static char large[5000];
  cluster c;
  cluster_start(&c, false);
  cluster_property(&c, "message.max.bytes", "2000");
  cluster_property(&c, "batch.size", "2000");
  freshet_sink* sink = open_sink(&c, NULL);
  memset(large, 'v', sizeof large - 1);
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "small", "1");
  write_one(sink, FRESHET_TOPIC_USERS, 0, "large", large);
  assert_status(FRESHET_INVALID, commit(sink, NULL, 0));
  assert_non_null(strstr(last_error.message, "cannot write 5004 bytes to"));
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0), -1);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

static void a_full_queue_waits_for_room(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  cluster_property(&c, "queue.buffering.max.messages", "50");
  freshet_sink* sink = open_sink(&c, NULL);
  publish_numbers(sink, FRESHET_TOPIC_RECOMMENDATIONS, 0, 0, 5000);
  settle(sink);
  begin(sink);
  for (int i = 0; i < 500; i++) write_one(sink, FRESHET_TOPIC_USERS, 0, "k", "v");
  commit_at(sink, FRESHET_TOPIC_USERS, 0, -1);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 0), 500);
  assert_int_equal(freshet_sink_written_end(sink, FRESHET_TOPIC_USERS, 1), -1);
  freshet_reader* log = open_log(&c);
  int64_t first, end;
  assert_status(FRESHET_OK,
                freshet_reader_range(log, FRESHET_TOPIC_RECOMMENDATIONS, 0, &first, &end, fresh_error()));
  assert_int_equal(end, 5000);
  freshet_reader_destroy(log);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

/* The embedded broker makes a topic that somebody asks about, with four partitions. */
static void wrong_partition_counts_are_told(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_kafka_faults faults;
  assert_status(FRESHET_OK, freshet_kafka_topics_check(&c.config, info, &faults, fresh_error()));
  assert_int_equal(info[FRESHET_TOPIC_EVENTS].partitions, PARTITIONS);
  assert_int_equal(info[FRESHET_TOPIC_ITEM_DELTAS].partitions, 1);
  const char* users = c.config.topics[FRESHET_TOPIC_USERS];
  c.config.topics[FRESHET_TOPIC_USERS] = "wide";
  assert_status(FRESHET_CONFLICT, freshet_kafka_topics_check(&c.config, info, &faults, fresh_error()));
  assert_non_null(strstr(last_error.message, "wide has 4 partitions"));
  c.config.topics[FRESHET_TOPIC_USERS] = users;
  c.config.topics[FRESHET_TOPIC_ITEM_DELTAS] = "wide-too";
  assert_status(FRESHET_OK, freshet_kafka_topics_check(&c.config, info, &faults,
                                                       fresh_error())); /* one of them is used */
  cluster_stop(&c);
}

static void bad_properties_are_refused(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  freshet_sink* sink;
  cluster_property(&c, "isolation.level", "read_uncommitted");
  assert_status(FRESHET_INVALID, freshet_kafka_sink_create(&c.config, NULL, &sink, fresh_error()));
  assert_non_null(strstr(last_error.message, "isolation.level"));
  c.properties[c.config.property_count - 1] = (freshet_kafka_property){"delivery.report.only.error", "true"};
  assert_status(FRESHET_INVALID, freshet_kafka_sink_create(&c.config, NULL, &sink, fresh_error()));
  assert_non_null(strstr(last_error.message, "delivery.report.only.error"));
  c.properties[c.config.property_count - 1] = (freshet_kafka_property){"no.such.thing", "1"};
  assert_status(FRESHET_INVALID, freshet_kafka_sink_create(&c.config, NULL, &sink, fresh_error()));
  assert_non_null(strstr(last_error.message, "no.such.thing"));
  c.properties[c.config.property_count - 1] = (freshet_kafka_property){"linger.ms", "many"};
  assert_status(FRESHET_INVALID, freshet_kafka_sink_create(&c.config, NULL, &sink, fresh_error()));
  assert_non_null(strstr(last_error.message, "linger.ms"));
  cluster_stop(&c);
}

static bool yes(void* context) {
  (*(int*)context)++;
  return true;
}

static void waiting_for_a_cluster_can_be_stopped(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  freshet_kafka_embedded_set_reachable(c.embedded, false);
  int asked = 0;
  c.config.stopping = yes;
  c.config.stopping_context = &asked;
  freshet_sink* sink;
  assert_status(FRESHET_UNAVAILABLE, freshet_kafka_sink_create(&c.config, NULL, &sink, fresh_error()));
  assert_int_equal(last_error.verdict, FRESHET_STOP);
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  assert_status(FRESHET_UNAVAILABLE, freshet_kafka_topics_list(&c.config, info, fresh_error()));
  assert_true(asked >= 2);
  freshet_kafka_embedded_set_reachable(c.embedded, true);
  cluster_stop(&c);
}

static void an_unread_source_can_go(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  group_log group = {0};
  freshet_source* source = open_source(&c, &group, "one");
  freshet_sink* sink = open_sink(&c, source);
  publish_numbers(sink, FRESHET_TOPIC_EVENTS, 0, 0, 1000);
  settle(sink);
  join(source, &group);
  expect_numbers(source, 0, 0, 10); /* the rest is dropped with the source */
  begin(sink);
  write_one(sink, FRESHET_TOPIC_USERS, 0, "open", "transaction");
  freshet_sink_destroy(sink);
  freshet_source_destroy(source);
  cluster_stop(&c);
}

enum { PRODUCERS = FRESHET_KAFKA_TRANSACTORS };

/* The ids of the producers of a process. */
/* A broker may not show the last records yet. That is no sign of another log. */
static void only_what_comes_after_an_offset_tells_about_it(void** state) {
  enum { END = RD_KAFKA_RESP_ERR__PARTITION_EOF, AWAY = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, MARK = 10 };
  static const struct {
    rd_kafka_resp_err_t code;
    int64_t offset;
    bool is_answer;
  } cases[] = {{0, MARK - 1, false}, {0, MARK, true},       {0, MARK + 1, true},    {END, MARK - 1, false},
               {END, MARK, false},   {END, MARK + 1, true}, {AWAY, MARK + 1, false}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const rd_kafka_message_t message = {.err = cases[i].code, .offset = cases[i].offset};
    assert_int_equal(freshet_log_check_is_answer(&message, MARK), cases[i].is_answer);
  }
}

static void name_producers(const char* app, const char* instance,
                           char ids[PRODUCERS][FRESHET_KAFKA_TRANSACTIONAL_ID_SIZE]) {
  char id[FRESHET_KAFKA_TRANSACTIONAL_ID_SIZE];
  static freshet_kafka_transactor transactor;
  freshet_kafka_config config = {.transactional_id = id};
  freshet_kafka_transactional_id(app, instance, id, sizeof id);
  for (int i = 0; i < PRODUCERS; i++) {
    freshet_kafka_transactor_name(&transactor, &config, i);
    snprintf(ids[i], sizeof ids[i], "%s", transactor.config.transactional_id);
  }
}

/* One process would fence the other otherwise. */
static void no_two_processes_share_a_transactional_id(void** state) {
  (void)state;
  static const char* const names[][2] = {{"shop", "w"},     {"shop", "w.1"}, {"shop", "w.2"},
                                         {"shop", "w.2.2"}, {"shop", "w#1"}, {"shop", "2"},
                                         {"shop.g2", "w"},  {"shop", "x-w"}, {"shop-x", "w"},
                                         {"shop", ".2"},    {"shop.w", "2"}, {"shop-w", "2"}};
  enum { NAMES = sizeof names / sizeof names[0] };
  static char ids[PRODUCERS * NAMES][FRESHET_KAFKA_TRANSACTIONAL_ID_SIZE];
  for (size_t i = 0; i < NAMES; i++) name_producers(names[i][0], names[i][1], &ids[PRODUCERS * i]);
  for (size_t i = 0; i < PRODUCERS * NAMES; i++) {
    for (size_t j = 0; j < i; j++) assert_string_not_equal(ids[i], ids[j]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_arrive_as_published),
      cmocka_unit_test(a_sink_opens_without_a_controller),
      cmocka_unit_test(no_two_processes_share_a_transactional_id),
      cmocka_unit_test(keys_go_where_java_puts_them),
      cmocka_unit_test(a_log_opens_and_shuts_anywhere),
      cmocka_unit_test(one_record_does_not_wait_for_more),
      cmocka_unit_test(time_out_is_no_error),
      cmocka_unit_test(a_seek_drops_what_was_fetched),
      cmocka_unit_test(a_broker_that_comes_back_has_lost_nothing),
      cmocka_unit_test(given_up_lists_are_told),
      cmocka_unit_test(a_list_that_another_one_overtook_is_told),
      cmocka_unit_test(a_transaction_that_may_lack_a_record_is_aborted),
      cmocka_unit_test(a_transaction_is_never_committed_without_a_record_that_was_refused),
      cmocka_unit_test(a_full_queue_waits_for_room),
      cmocka_unit_test(wrong_partition_counts_are_told),
      cmocka_unit_test(bad_properties_are_refused),
      cmocka_unit_test(waiting_for_a_cluster_can_be_stopped),
      cmocka_unit_test(an_unread_source_can_go),
      cmocka_unit_test(only_what_comes_after_an_offset_tells_about_it),
  };
  cmocka_set_test_filter(getenv("FRESHET_TEST_ONLY"));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
