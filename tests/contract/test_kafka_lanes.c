/* The lanes of a producer against the embedded broker: what waits, in which order it leaves, what is given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/lanes.h"
#include "kafka/questions.h"
#include "support_kafka.h"

enum { RECORDS = 200, ON_THE_WAY = 5, BATCH = 50, WAIT_MS = 60000, LONG_TURN_MS = 20 };
#define BATCH_TEXT "50"

typedef struct lanes_test {
  cluster cluster;
  freshet_kafka_client client;
  freshet_lanes* lanes;
  _Atomic size_t delivered, failed, refused, marked; /* marked: of mark 1 */
} lanes_test;

static void on_delivered(rd_kafka_t* handle, const rd_kafka_message_t* message, void* opaque) {
  (void)handle;
  lanes_test* t = ((freshet_kafka_client*)opaque)->owner;
  const rd_kafka_resp_err_t code = freshet_kafka_delivered(message);
  t->marked += freshet_lanes_delivered(t->lanes, message->_private, code) == 1;
  t->delivered += code == RD_KAFKA_RESP_ERR_NO_ERROR;
  t->failed += code != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void on_refused(void* context, const freshet_output* output, int mark, rd_kafka_resp_err_t code) {
  assert_non_null(output);
  lanes_test* t = context;
  assert_int_not_equal(code, RD_KAFKA_RESP_ERR_NO_ERROR);
  t->marked += mark == 1;
  t->refused++;
}

static lanes_test* start(const char* message_timeout_ms, freshet_lanes_mode mode) {
  const struct rd_kafka_metadata* metadata = NULL;
  lanes_test* t = calloc(1, sizeof *t);
  cluster_start(&t->cluster, false);
  cluster_property(&t->cluster, "batch.num.messages", BATCH_TEXT);
  cluster_property(&t->cluster, "message.timeout.ms", message_timeout_ms);
  assert_status(FRESHET_OK, freshet_kafka_client_open(&t->client, &t->cluster.config, FRESHET_KAFKA_PUBLISHER,
                                                      (freshet_kafka_callbacks){.delivered = on_delivered}, t,
                                                      fresh_error()));
  assert_status(FRESHET_OK, freshet_kafka_client_metadata(&t->client, &metadata, fresh_error()));
  t->lanes = freshet_lanes_create(&t->client, metadata, mode, on_refused, t);
  rd_kafka_metadata_destroy(metadata);
  return t;
}

static void stop(lanes_test* t) {
  freshet_lanes_stop(t->lanes);
  rd_kafka_purge(t->client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  freshet_kafka_client_close(&t->client, 0);
  freshet_lanes_destroy(t->lanes);
  cluster_stop(&t->cluster);
  free(t);
}

/* Takes the network away, and returns when the client has noticed. */
static void cut_off(lanes_test* t) {
  const struct rd_kafka_metadata* metadata = NULL;
  freshet_kafka_embedded_set_reachable(t->cluster.embedded, false);
  while (rd_kafka_metadata(t->client.handle, 0, NULL, &metadata, 100) == RD_KAFKA_RESP_ERR_NO_ERROR)
    rd_kafka_metadata_destroy(metadata);
}

static void publish_number_of(lanes_test* t, freshet_topic topic, int32_t partition, int number) {
  char text[16];
  freshet_header header = {"number", {text, 2}};
  snprintf(text, sizeof text, "%d", number);
  freshet_output output = output_of(topic, partition, text, text);
  output.headers = &header;
  output.header_count = 1;
  assert_int_equal(freshet_lanes_publish(t->lanes, &output, number % 2), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void publish_number(lanes_test* t, int32_t partition, int number) {
  publish_number_of(t, FRESHET_TOPIC_RECOMMENDATIONS, partition, number);
}

/* Every record must get its answer, whoever polls. */
static void wait_for_all(lanes_test* t, size_t count) {
  for (int waited = 0; t->delivered + t->failed + t->refused < count && waited < WAIT_MS; waited += 10) {
    freshet_lanes_turn(t->lanes);
    rd_kafka_poll(t->client.handle, 10);
  }
  assert_int_equal(t->delivered + t->failed + t->refused, count);
  assert_int_equal(freshet_lanes_waiting(t->lanes), 0);
  assert_int_equal(t->marked, count / 2);
}

/* Partition 0 has the numbers from 0 on, in order. */
static void assert_log_has(lanes_test* t, int records) {
  freshet_reader* log = open_log(&t->cluster);
  freshet_record record;
  assert_status(FRESHET_OK, freshet_reader_open(log, FRESHET_TOPIC_RECOMMENDATIONS, 0,
                                                FRESHET_OFFSET_BEGINNING, fresh_error()));
  for (int i = 0; i < records; i++) {
    size_t count = 0;
    char text[16];
    for (int waited = 0; count == 0 && waited < WAIT_MS; waited += 100)
      assert_status(FRESHET_OK, freshet_reader_poll(log, 100, &record, 1, &count, fresh_error()));
    assert_int_equal(count, 1);
    snprintf(text, sizeof text, "%d", i);
    assert_true(freshet_slice_equal(record.value, freshet_slice_of(text)));
    assert_true(freshet_slice_equal(record.key, freshet_slice_of(text)));
  }
  freshet_reader_destroy(log);
}

static void the_producer_gets_what_it_can_send_and_all_in_order(void** state) {
  (void)state;
  lanes_test* t = start("60000", FRESHET_LANES_AT_ONCE);
  cut_off(t);
  for (int i = 0; i < RECORDS; i++) publish_number(t, 0, i);
  publish_number(t, 1, RECORDS); /* another lane does not wait */
  publish_number(t, 1, RECORDS + 1);
  /* A broker that does not know us gets one record of a partition. */
  assert_int_equal(freshet_lanes_waiting(t->lanes), RECORDS);
  freshet_kafka_embedded_set_reachable(t->cluster.embedded, true);
  wait_for_all(t, RECORDS + 2);
  cut_off(t);
  for (int i = 0; i < RECORDS; i++) publish_number(t, 0, RECORDS + i);
  assert_int_equal(freshet_lanes_waiting(t->lanes), RECORDS - ON_THE_WAY);
  freshet_kafka_embedded_set_reachable(t->cluster.embedded, true);
  wait_for_all(t, 2 * RECORDS + 2);
  assert_int_equal(t->delivered, 2 * RECORDS + 2);
  assert_log_has(t, 2 * RECORDS);
  stop(t);
}

static void what_waits_behind_a_lost_record_is_given_up_with_it(void** state) {
  (void)state;
  lanes_test* t = start("300", FRESHET_LANES_AT_ONCE);
  cut_off(t);
  for (int i = 0; i < RECORDS; i++) publish_number(t, 0, i);
  wait_for_all(t, RECORDS);
  assert_int_equal(t->failed, 1);
  assert_int_equal(t->refused, RECORDS - 1);
  stop(t);
}

static void what_is_gathered_leaves_when_it_is_released_a_batch_at_a_time(void** state) {
  (void)state;
  lanes_test* t = start("60000", FRESHET_LANES_GATHER);
  for (int i = 0; i < RECORDS; i++) publish_number(t, 0, i);
  freshet_lanes_turn(t->lanes);
  assert_int_equal(freshet_lanes_waiting(t->lanes), RECORDS);
  cut_off(t);
  freshet_lanes_release(t->lanes);
  assert_int_equal(freshet_lanes_waiting(t->lanes), RECORDS - BATCH);
  freshet_lanes_turn(t->lanes); /* that batch is on its way */
  assert_int_equal(freshet_lanes_waiting(t->lanes), RECORDS - BATCH);
  for (int i = 0; i < BATCH; i++) publish_number(t, 1, i); /* not released */
  freshet_kafka_embedded_set_reachable(t->cluster.embedded, true);
  for (int waited = 0; t->delivered < RECORDS && waited < WAIT_MS; waited += 10) {
    freshet_lanes_turn(t->lanes);
    rd_kafka_poll(t->client.handle, 10);
  }
  assert_int_equal(t->delivered, RECORDS);
  assert_int_equal(freshet_lanes_waiting(t->lanes), BATCH);
  assert_log_has(t, RECORDS);
  freshet_lanes_drop(t->lanes, RD_KAFKA_RESP_ERR__PURGE_QUEUE);
  wait_for_all(t, RECORDS + BATCH);
  assert_int_equal(t->refused, BATCH);
  stop(t);
}

static void rest(lanes_test* t) {
  for (int waited = 0; !freshet_lanes_are_at_rest(t->lanes) && waited < WAIT_MS; waited += 10)
    rd_kafka_poll(t->client.handle, 10);
  assert_true(freshet_lanes_are_at_rest(t->lanes));
}

/* Its partition is open for the transaction then. Records of the state do not wait for its end. */
static void the_first_lists_of_a_lane_leave_and_later_ones_are_gathered(void** state) {
  (void)state;
  lanes_test* t = start("60000", FRESHET_LANES_GATHER);
  for (int turn = 0; turn < 2; turn++) { /* two transactions */
    const size_t before = t->delivered;
    freshet_lanes_begin(t->lanes);
    publish_number(t, 0, 4 * turn);
    publish_number_of(t, FRESHET_TOPIC_USERS, 0, 1);
    assert_true(freshet_lanes_are_at_rest(t->lanes));
    freshet_lanes_open(t->lanes);
    assert_false(freshet_lanes_are_at_rest(t->lanes));
    assert_int_equal(freshet_lanes_waiting(t->lanes), 0);
    rest(t);
    for (int i = 1; i < 4; i++) publish_number(t, 0, 4 * turn + i);
    publish_number(t, 1, 2);
    publish_number_of(t, FRESHET_TOPIC_USERS, 0, 3);
    freshet_lanes_open(t->lanes);
    assert_int_equal(freshet_lanes_waiting(t->lanes), 3);
    rest(t); /* what is gathered is not on its way */
    assert_int_equal(t->delivered, before + 4);
    freshet_lanes_release(t->lanes);
    rest(t);
    assert_int_equal(t->delivered, before + 7);
  }
  assert_log_has(t, 8);
  stop(t);
}

/* The caller serves no delivery report and calls no turn meanwhile. */
static void what_a_turn_has_made_leaves_at_its_end_and_waits_for_no_other_turn(void** state) {
  (void)state;
  lanes_test* t = start("60000", FRESHET_LANES_BY_TURN);
  cut_off(t);
  publish_number(t, 0, 0);
  freshet_lanes_turn(t->lanes);
  assert_int_equal(freshet_lanes_waiting(t->lanes), 1);
  freshet_lanes_release(t->lanes);
  assert_int_equal(freshet_lanes_waiting(t->lanes), 0);
  for (int i = 1; i < RECORDS; i++) publish_number(t, 0, i); /* behind what is on its way */
  publish_number(t, 1, RECORDS);
  freshet_lanes_release(t->lanes);
  assert_int_equal(freshet_lanes_waiting(t->lanes), RECORDS - 1);
  freshet_kafka_embedded_set_reachable(t->cluster.embedded, true);
  for (int waited = 0; freshet_lanes_waiting(t->lanes) > 0 && waited < WAIT_MS; waited += 10)
    freshet_kafka_sleep_ms(10);
  assert_int_equal(freshet_lanes_waiting(t->lanes), 0);
  publish_number(t, 1, RECORDS + 1);
  freshet_lanes_release(t->lanes);
  wait_for_all(t, RECORDS + 2);
  assert_int_equal(t->delivered, RECORDS + 2);
  assert_log_has(t, RECORDS);
  stop(t);
}

static void a_turn_that_takes_long_keeps_nothing_back(void** state) {
  (void)state;
  lanes_test* t = start("60000", FRESHET_LANES_BY_TURN);
  publish_number(t, 0, 0);
  freshet_kafka_sleep_ms(LONG_TURN_MS);
  publish_number(t, 1, 1);
  assert_int_equal(freshet_lanes_waiting(t->lanes), 0);
  wait_for_all(t, 2);
  stop(t);
}

static void what_waits_at_the_end_is_dropped(void** state) {
  (void)state;
  lanes_test* t = start("60000", FRESHET_LANES_AT_ONCE);
  cut_off(t);
  for (int i = 0; i < RECORDS; i++) publish_number(t, 0, i);
  stop(t); /* the sanitizers would tell of what is left */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_producer_gets_what_it_can_send_and_all_in_order),
      cmocka_unit_test(what_waits_behind_a_lost_record_is_given_up_with_it),
      cmocka_unit_test(what_is_gathered_leaves_when_it_is_released_a_batch_at_a_time),
      cmocka_unit_test(the_first_lists_of_a_lane_leave_and_later_ones_are_gathered),
      cmocka_unit_test(what_a_turn_has_made_leaves_at_its_end_and_waits_for_no_other_turn),
      cmocka_unit_test(a_turn_that_takes_long_keeps_nothing_back),
      cmocka_unit_test(what_waits_at_the_end_is_dropped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
