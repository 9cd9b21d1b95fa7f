/*
 * changelog_check.c: compares the last rows of a changelog with the store.
 *
 * The store reflects the log up to a position, so of each key the last record before it is the store's row, byte for
 * byte. It owns a small table of keys during the call. It must not know Kafka, and it changes nothing.
 */
#include "worker/changelog_check.h"

#include <stdlib.h>
#include <xxhash.h>

#include "users/user_records.h"

enum { ROWS = 64, POLL_WAIT_MS = 100, STALL_MS = 90000 };

typedef struct last_row {
  freshet_buffer key;
  bool has_value;
  uint64_t hash; /* of the value */
} last_row;

typedef struct looking {
  int32_t partition;
  int64_t position;
  last_row rows[ROWS]; /* [count] the last record of each key */
  size_t count;
  const freshet_ports* ports;
} looking;

static void note(looking* l, const freshet_record* record) {
  size_t at = 0;
  while (at < l->count &&
         !freshet_slice_equal((freshet_slice){(const char*)l->rows[at].key.data, l->rows[at].key.size},
                              record->key))
    at++;
  if (at == ROWS) return;
  if (at == l->count) freshet_buffer_append(&l->rows[l->count++].key, record->key.data, record->key.size);
  l->rows[at].has_value = record->has_value;
  l->rows[at].hash = record->has_value ? XXH3_64bits(record->value.data, record->value.size) : 0;
}

static freshet_status note_all(void* context, const freshet_record* records, size_t count,
                               freshet_error* error) {
  looking* l = context;
  const freshet_user_records reading = {
      .codec = l->ports->codec,
      .topic = freshet_outbox_topic_name(l->ports->outbox, FRESHET_TOPIC_USERS)}; /* a restore has told */
  for (size_t i = 0; i < count; i++) {
    bool is_usable;
    freshet_status status = freshet_user_record_judge(&reading, &records[i], &is_usable, error);
    if (status != FRESHET_OK) return status;
    if (is_usable && records[i].partition == l->partition && records[i].offset < l->position)
      note(l, &records[i]);
  }
  return FRESHET_OK;
}

static freshet_status read_rows(const freshet_ports* ports, looking* l, int64_t from, freshet_error* error) {
  freshet_record records[ROWS];
  const freshet_reading reading = {.reader = ports->changelog,
                                   .clock = ports->clock,
                                   .logger = ports->logger,
                                   .stop = ports->stop,
                                   .name = "compare the changelog with the store",
                                   .wait_ms = POLL_WAIT_MS,
                                   .stall_ms = STALL_MS,
                                   .records = records,
                                   .capacity = ROWS,
                                   .apply = note_all,
                                   .context = l};
  const freshet_partition target = {
      .topic = FRESHET_TOPIC_USERS, .partition = l->partition, .offset = l->position};
  freshet_status status =
      freshet_reader_open(ports->changelog, FRESHET_TOPIC_USERS, l->partition, from, error);
  if (status == FRESHET_OK) status = freshet_read_to(&reading, &target, 1, error);
  freshet_status shut = freshet_reader_shut(ports->changelog, FRESHET_TOPIC_USERS, l->partition,
                                            status == FRESHET_OK ? error : NULL);
  if (status == FRESHET_OK) status = shut;
  return status;
}

static freshet_status compare(const freshet_ports* ports, const looking* l, bool* same,
                              freshet_error* error) {
  freshet_buffer value = {0};
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; *same && status == FRESHET_OK && i < l->count; i++) {
    freshet_error cause = {0};
    freshet_slice key = {(const char*)l->rows[i].key.data, l->rows[i].key.size};
    value.size = 0;
    status = freshet_store_get(ports->store, FRESHET_FAMILY_USERS, l->partition, key, &value, &cause);
    bool found = status == FRESHET_OK;
    if (status == FRESHET_NOT_FOUND) status = FRESHET_OK;
    if (status != FRESHET_OK) { /* it says nothing about the log */
      freshet_error_set(error, status, cause.verdict, "%s", cause.message);
      break;
    }
    *same =
        found == l->rows[i].has_value && (!found || XXH3_64bits(value.data, value.size) == l->rows[i].hash);
  }
  freshet_buffer_free(&value);
  return status;
}

freshet_status freshet_changelog_is_same(const freshet_ports* ports, int32_t partition, int64_t first,
                                         int64_t position, bool* same, freshet_error* error) {
  *same = true;
  int64_t from = position - ROWS > first ? position - ROWS : first;
  if (from >= position) return FRESHET_OK;
  looking* l = calloc(1, sizeof *l);
  FRESHET_ASSERT(l != NULL);
  l->partition = partition;
  l->position = position;
  l->ports = ports;
  freshet_status status = read_rows(ports, l, from, error);
  if (status == FRESHET_OK) status = compare(ports, l, same, error);
  for (size_t i = 0; i < l->count; i++) freshet_buffer_free(&l->rows[i].key);
  free(l);
  return status;
}
