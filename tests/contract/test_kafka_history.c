/* What a topic held, merged from its partitions (kafka/history.h), against the embedded broker. Which offset
 * a time has is the broker's business, and tests/integration/test_replay.py asks a real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/history.h"
#include "support_kafka.h"

enum { T0 = 1000000, RECORDS = 600 };

static void put(freshet_sink* sink, int32_t partition, int64_t time_ms, const char* text) {
  freshet_output output = output_of(FRESHET_TOPIC_EVENTS, partition, "user", text);
  output.timestamp_ms = time_ms;
  assert_status(FRESHET_OK, freshet_sink_publish(sink, &output, fresh_error()));
}

static freshet_kafka_history* open_history(cluster* c, const freshet_kafka_config* kafka, const char* place) {
  freshet_kafka_history* history;
  freshet_kafka_history_config config = {.kafka = kafka,
                                         .topic = c->names[FRESHET_TOPIC_EVENTS],
                                         .since_ms = INT64_MIN,
                                         .until_ms = INT64_MAX,
                                         .place = place};
  assert_status(FRESHET_OK, freshet_kafka_history_open(&config, &history, fresh_error()));
  return history;
}

/* Reads at most `most` records and appends their values to text. Returns how many there were. */
static int read_on(freshet_kafka_history* history, int most, char* text) {
  int count = 0;
  for (bool more = true; count < most; count++) {
    freshet_record record;
    assert_status(FRESHET_OK, freshet_kafka_history_next(history, &record, &more, fresh_error()));
    if (!more) break;
    strncat(text, record.value.data, record.value.size);
  }
  return count;
}

/* By time, the lower partition first among equals; within a partition nothing is overtaken, even if its times
 * go back. */
static void partitions_are_merged_by_time(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  freshet_sink* sink = open_sink(&c, NULL);
  put(sink, 2, T0 + 10, "a");
  put(sink, 0, T0 + 20, "b");
  put(sink, 1, T0 + 20, "c");
  put(sink, 1, T0 + 15, "d"); /* late */
  put(sink, 0, T0 + 30, "e");
  put(sink, 2, T0 + 25, "f");
  settle(sink);
  const freshet_kafka_config kafka = c.config;
  freshet_kafka_history* history = open_history(&c, &kafka, "");
  put(sink, 2, T0 + 11, "too late: the end is that of the opening");
  settle(sink);
  char text[64] = "";
  assert_int_equal(read_on(history, 99, text), 6);
  assert_string_equal(text, "abcdfe");
  assert_true(freshet_kafka_history_progress(history) == 1);
  freshet_kafka_history_close(history);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

/* Wherever the first reading stops, the second goes on with what the first would have read next. */
static void a_place_is_where_another_reading_goes_on(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  freshet_sink* sink = open_sink(&c, NULL);
  for (int i = 0; i < RECORDS; i++) {
    char value[16];
    snprintf(value, sizeof value, "%d,", i);
    put(sink, i * i % PARTITIONS, T0 + (i * 37) % 1000, value);
  }
  settle(sink);
  const freshet_kafka_config kafka = c.config;
  static char whole[8 * RECORDS], parts[8 * RECORDS];
  freshet_kafka_history* history = open_history(&c, &kafka, "");
  assert_int_equal(read_on(history, INT32_MAX, whole), RECORDS);
  freshet_kafka_history_close(history);
  freshet_buffer place = {0};
  int count = 0, steps = 0;
  for (int read = 1; read > 0; count += read, steps++) {
    freshet_buffer_append(&place, "", 1);
    history = open_history(&c, &kafka, (const char*)place.data);
    read = read_on(history, 150, parts);
    place.size = 0;
    freshet_kafka_history_place(history, &place);
    freshet_kafka_history_close(history);
  }
  assert_int_equal(count, RECORDS);
  assert_true(steps > 3);
  assert_string_equal(parts, whole);
  freshet_buffer_free(&place);
  freshet_sink_destroy(sink);
  cluster_stop(&c);
}

static void a_place_that_is_none_is_refused(void** state) {
  (void)state;
  cluster c;
  cluster_start(&c, false);
  const freshet_kafka_config kafka = c.config;
  static const char* const places[] = {"x", "0:0:0", "0:0:0,0:0:0", "0:0:0,0:0:0,0:0:0,0:0:0",
                                       "0:0:0,0:0:0,0:0:0x"};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    freshet_kafka_history* history;
    freshet_kafka_history_config config = {.kafka = &kafka,
                                           .topic = c.names[FRESHET_TOPIC_EVENTS],
                                           .since_ms = INT64_MIN,
                                           .until_ms = INT64_MAX,
                                           .place = places[i]};
    assert_status(FRESHET_INVALID, freshet_kafka_history_open(&config, &history, fresh_error()));
  }
  freshet_kafka_history* history = open_history(&c, &kafka, "0:0:0,0:0:0,0:0:0");
  char text[8] = "";
  assert_int_equal(read_on(history, 9, text), 0);
  freshet_kafka_history_close(history);
  cluster_stop(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(partitions_are_merged_by_time),
      cmocka_unit_test(a_place_is_where_another_reading_goes_on),
      cmocka_unit_test(a_place_that_is_none_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
