/* Partitions by the hashes of the usual clients, where users live, and what is told of events that lie elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/memory_store.h"
#include "users/homes.h"
#include "worker/foreign_events.h"

/* FNV-1a from the authors' test vectors; CRC-32 of "123456789" is the check value of the catalogue of CRCs, the
 * others are zlib's. */
static void hashes_are_those_of_the_clients(void** state) {
  (void)state;
  static const struct {
    const char* key;
    uint32_t crc32, fnv1a;
  } known[] = {{"a", 0xe8b7be43, 0xe40c292c},
               {"foobar", 0x9ef61f95, 0xbf9cf968},
               {"123456789", 0xcbf43926, 0xbb86b11c}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    freshet_slice key = freshet_slice_of(known[i].key);
    int64_t signed_hash = (int32_t)known[i].fnv1a;
    for (int32_t partitions = 1; partitions < 100; partitions++) {
      assert_int_equal(freshet_partition_by(FRESHET_PARTITIONER_CRC32, key, partitions),
                       known[i].crc32 % (uint32_t)partitions);
      /* Sarama takes the remainder of the signed hash, and drops its sign. */
      assert_int_equal(freshet_partition_by(FRESHET_PARTITIONER_FNV1A, key, partitions),
                       llabs(signed_hash % partitions));
    }
  }
  assert_int_equal(freshet_partition_by(FRESHET_PARTITIONER_ANY, freshet_slice_of("a"), 3), -1);
}

/* ---- what is told ---- */

enum { PARTITIONS = 6, USERS = 50 };

static char last_fields[1024];
static size_t lines;

static void note_line(void* context, freshet_log_level level, const char* event, const char* fields) {
  (void)context, (void)level;
  if (strcmp(event, "events.foreign") != 0) return;
  lines++;
  snprintf(last_fields, sizeof last_fields, "%s", fields);
}

static int64_t passed_us;
static int64_t clock_us(freshet_clock* clock) {
  (void)clock;
  return passed_us;
}
static int64_t clock_ms(freshet_clock* clock) {
  return clock_us(clock) / 1000;
}

static const char* topic_name(freshet_sink* self, freshet_topic topic) {
  (void)self, (void)topic;
  return "events";
}

typedef struct world {
  freshet_sink sink;
  freshet_clock clock;
  freshet_logger logger;
  freshet_worker_metrics metrics;
  freshet_ports ports;
  freshet_foreign_events events;
} world;

static const freshet_sink_vtable sink_vtable = {.topic_name = topic_name};

static world* start(freshet_partitioner partitioner) {
  static world w;
  freshet_outbox_destroy(w.ports.outbox);
  w = (world){.sink.vtable = &sink_vtable,
              .clock = {.now_ms = clock_ms, .monotonic_us = clock_us},
              .logger = {.write = note_line}};
  w.ports = (freshet_ports){.clock = &w.clock,
                            .logger = &w.logger,
                            .metrics = &w.metrics,
                            .outbox = freshet_outbox_create(&w.sink, FRESHET_DELIVERY_FAST)};
  w.events =
      (freshet_foreign_events){.ports = &w.ports, .partitioner = partitioner, .partitions = PARTITIONS};
  lines = 0;
  last_fields[0] = '\0';
  return &w;
}

/* An event of every user, by a producer; the number of foreign ones. */
static size_t send(world* w, freshet_partitioner producer) {
  size_t foreign = 0;
  for (int user = 0; user < USERS; user++) {
    char id[24];
    freshet_error cause = {0};
    snprintf(id, sizeof id, "user-%d", user);
    freshet_slice key = freshet_slice_of(id);
    freshet_record record = {.topic = FRESHET_TOPIC_EVENTS, .has_key = true, .key = key};
    record.partition = producer == FRESHET_PARTITIONER_ANY ? user % PARTITIONS
                                                           : freshet_partition_by(producer, key, PARTITIONS);
    int32_t home = freshet_partition_by(w->events.partitioner, key, PARTITIONS);
    bool is_foreign = freshet_foreign_events_note(&w->events, &record, home, &cause);
    assert_int_equal(is_foreign, home != record.partition);
    if (is_foreign) assert_non_null(strstr(cause.message, "events.partitioner"));
    foreign += is_foreign;
  }
  freshet_foreign_events_turn(&w->events);
  return foreign;
}

static void the_line_names_the_partitioner_that_fits(void** state) {
  (void)state;
  for (freshet_partitioner own = FRESHET_PARTITIONER_MURMUR2; own < FRESHET_PARTITIONERS; own++) {
    for (freshet_partitioner other = FRESHET_PARTITIONER_MURMUR2; other < FRESHET_PARTITIONERS; other++) {
      world* w = start(own);
      size_t foreign = send(w, other);
      assert_int_equal(freshet_metric(&w->metrics.events_foreign), foreign);
      if (own == other) {
        assert_int_equal(foreign, 0);
        assert_int_equal(lines, 0);
        continue;
      }
      char wanted[64];
      snprintf(wanted, sizeof wanted, "set events.partitioner = %s", freshet_partitioner_name(other));
      assert_true(foreign > USERS / 2);
      assert_int_equal(lines, 1);
      assert_non_null(strstr(last_fields, wanted));
    }
  }
}

/* No setting is right for both: the other producers have to change. */
static void producers_that_differ_are_told_apart(void** state) {
  (void)state;
  world* w = start(FRESHET_PARTITIONER_MURMUR2);
  assert_int_equal(send(w, FRESHET_PARTITIONER_MURMUR2), 0);
  assert_true(send(w, FRESHET_PARTITIONER_CRC32) > 0);
  assert_int_equal(freshet_foreign_events_fit(&w->events), FRESHET_PARTITIONER_ANY);
  assert_int_equal(freshet_foreign_events_origin(&w->events), FRESHET_PARTITIONER_CRC32);
  assert_non_null(strstr(last_fields, "producers differ"));
  assert_non_null(strstr(last_fields, "fits=crc32"));
}

static void a_partition_that_the_producer_chose_wants_any(void** state) {
  (void)state;
  world* w = start(FRESHET_PARTITIONER_MURMUR2);
  assert_true(send(w, FRESHET_PARTITIONER_ANY) > 0);
  assert_non_null(strstr(last_fields, "events.partitioner = any"));
  assert_non_null(strstr(last_fields, "fits=none"));
}

static void it_is_told_twice_a_minute(void** state) {
  (void)state;
  world* w = start(FRESHET_PARTITIONER_MURMUR2);
  passed_us = 0;
  for (int second = 0; second < 60; second++, passed_us += 1000000) send(w, FRESHET_PARTITIONER_CRC32);
  assert_int_equal(lines, 2);
}

/* ---- where a user lives ---- */

static freshet_status change(freshet_users* users, int32_t partition, const char* id, bool exists) {
  freshet_user_row* row;
  freshet_status status = freshet_users_get(users, partition, freshet_slice_of(id), &row, NULL);
  if (status != FRESHET_OK) return status;
  row->exists = exists;
  freshet_users_change(users, row);
  return FRESHET_OK;
}

static void without_a_rule_a_user_lives_where_it_is_known(void** state) {
  (void)state;
  freshet_model* model;
  freshet_model_config config = freshet_model_defaults();
  freshet_codec* codec;
  const freshet_codec_config framing = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  config.dim = 16;
  assert_int_equal(freshet_model_create(&config, &model, NULL), FRESHET_OK);
  assert_int_equal(freshet_codec_create(&framing, &codec, NULL), FRESHET_OK);
  freshet_store* store = freshet_memory_store_create();
  freshet_users* users = freshet_users_create(model, store, codec, 8);
  const freshet_serving serving = {0};
  freshet_held* held = freshet_held_create(NULL, &serving);
  for (int32_t p = 1; p < 3; p++)
    freshet_held_add(held, &(freshet_partition){.topic = FRESHET_TOPIC_EVENTS, .partition = p, .offset = 0});
  freshet_homes homes = {FRESHET_PARTITIONER_ANY, 3, held, users};
  int32_t home;
  assert_int_equal(change(users, 2, "here", true), FRESHET_OK);
  assert_int_equal(change(users, 1, "gone", false), FRESHET_OK);
  freshet_store_put(store, FRESHET_FAMILY_USERS, 1, freshet_slice_of("stored"), freshet_slice_of("x"));
  freshet_store_put(store, FRESHET_FAMILY_USERS, 0, freshet_slice_of("elsewhere"), freshet_slice_of("x"));
  assert_int_equal(freshet_store_write(store, NULL), FRESHET_OK);
  static const struct {
    const char* id;
    int32_t home;
  } known[] = {{"here", 2}, {"gone", -1}, {"stored", 1}, {"elsewhere", -1}, {"never", -1}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    assert_int_equal(freshet_homes_find(&homes, freshet_slice_of(known[i].id), &home, NULL), FRESHET_OK);
    assert_int_equal(home, known[i].home);
  }
  assert_false(freshet_homes_are_all_held(&homes));
  homes.partitioner = FRESHET_PARTITIONER_CRC32;
  assert_int_equal(freshet_homes_find(&homes, freshet_slice_of("here"), &home, NULL), FRESHET_OK);
  assert_int_equal(home, freshet_partition_by(FRESHET_PARTITIONER_CRC32, freshet_slice_of("here"), 3));
  freshet_held_destroy(held);
  freshet_users_destroy(users);
  freshet_store_destroy(store);
  freshet_codec_destroy(codec);
  freshet_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hashes_are_those_of_the_clients),
      cmocka_unit_test(the_line_names_the_partitioner_that_fits),
      cmocka_unit_test(producers_that_differ_are_told_apart),
      cmocka_unit_test(a_partition_that_the_producer_chose_wants_any),
      cmocka_unit_test(it_is_told_twice_a_minute),
      cmocka_unit_test(without_a_rule_a_user_lives_where_it_is_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
