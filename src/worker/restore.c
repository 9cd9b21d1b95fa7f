/*
 * restore.c: reads a user changelog from the stored position to its end and applies it to the store, before
 * a partition is used. It owns the position of the reading. There is no other way to restore.
 */
#include "worker/restore.h"

#include <stdlib.h>

#include "stream/read_to.h"
#include "users/dedup.h"
#include "users/user_records.h"
#include "worker/changelog_check.h"

_Static_assert(FRESHET_LONGEST_ABSENCE_MS < 24 * 3600 * 1000, "Kafka keeps tombstones for 24 h by default");

enum {
  POLL_RECORDS = 2048,
  POLL_WAIT_MS = 100,
  STALL_MS = 90000,      /* longer than any transaction may stay open */
  WRITE_BYTES = 4 << 20, /* store batch */
  ROW_BYTES = 32,        /* what a row costs in it beside key and value */
};

typedef struct target {
  int32_t partition;
  bool usable; /* the store reflects the log up to `start` */
  int64_t start, end;
  int64_t time_ms; /* everything that was written before this is in the store */
} target;

typedef struct restoring {
  const freshet_ports* ports;
  target* targets; /* [count] */
  size_t count;
  size_t bytes; /* in the store's batch, about */
} restoring;

/* The folder may hold the only copy of what this changelog has lost, so it is not for this process to throw it
 * away. */
static freshet_status refuse_shorter_log(const freshet_ports* ports, const target* t, int64_t position,
                                         freshet_error* error) {
  return freshet_error_set(
      error, FRESHET_CONFLICT, FRESHET_STOP,
      "topic %s [%d] ends at offset %lld, but the state folder reflects it up to %lld: the topic was deleted "
      "and "
      "made again, or truncated; choose: remove the state folder to go on with what the topic has, or "
      "`freshet "
      "offsets --start-over` (and remove the folder) to learn `events` from its beginning",
      freshet_outbox_topic_name(ports->outbox, FRESHET_TOPIC_USERS), (int)t->partition, (long long)t->end,
      (long long)position);
}

/* How much of the changelog the store reflects. Reads through the changelog's reader, so nothing may be open yet. */
static freshet_status judge_store(const freshet_ports* ports, target* t, freshet_error* error) {
  freshet_reader* reader = ports->changelog;
  int64_t first, position, stored_ms, now_ms = freshet_clock_now_ms(ports->clock);
  freshet_status status =
      freshet_reader_range(reader, FRESHET_TOPIC_USERS, t->partition, &first, &t->end, error);
  if (status != FRESHET_OK) return status;
  bool stored = freshet_store_position(ports->store, FRESHET_TOPIC_USERS, t->partition, &position, &stored_ms,
                                       NULL) == FRESHET_OK;
  if (stored && position > t->end) return refuse_shorter_log(ports, t, position, error);
  t->usable = stored && freshet_store_is_recent(stored_ms, now_ms);
  bool same = true;
  if (t->usable) status = freshet_changelog_is_same(ports, t->partition, first, position, &same, error);
  if (!same)
    freshet_log_fact(ports->logger, FRESHET_ERROR, "changelog.replaced",
                     "topic=%s partition=%d position=%lld message=\"the folder reflects another log of this "
                     "name; its users are restored from this one\"",
                     freshet_outbox_topic_name(ports->outbox, FRESHET_TOPIC_USERS), (int)t->partition,
                     (long long)position);
  t->usable = t->usable && same;
  t->time_ms = t->usable ? stored_ms : 0;
  t->start = t->usable ? position : first;
  return status;
}

static freshet_status open_partition(const freshet_ports* ports, const target* t, freshet_error* error) {
  if (!t->usable) freshet_store_clear(ports->store, FRESHET_FAMILY_USERS, t->partition);
  freshet_log_fact(ports->logger, FRESHET_INFO, "partition.restoring", "partition=%d from=%lld to=%lld",
                   (int)t->partition, (long long)t->start, (long long)t->end);
  return freshet_reader_open(ports->changelog, FRESHET_TOPIC_USERS, t->partition,
                             t->usable ? t->start : FRESHET_OFFSET_BEGINNING, error);
}

void freshet_forget_user_row(freshet_store* store, int32_t partition, freshet_slice key) {
  bool is_user = key.size > 0 && !freshet_dedup_is_key(key);
  freshet_store_remove(store, FRESHET_FAMILY_USERS, partition, key);
  if (is_user) freshet_store_purge(store, FRESHET_FAMILY_USERS, partition, key);
}

freshet_status freshet_apply_user_row(const freshet_ports* ports, const freshet_record* record,
                                      freshet_error* error) {
  freshet_store* store = ports->store;
  const freshet_user_records reading = {ports->codec, ports->logger, ports->metrics,
                                        freshet_outbox_topic_name(ports->outbox, FRESHET_TOPIC_USERS)};
  bool is_usable;
  freshet_status status = freshet_user_record_judge(&reading, record, &is_usable, error);
  if (!is_usable) return status;
  if (record->has_value) {
    freshet_store_put(store, FRESHET_FAMILY_USERS, record->partition, record->key, record->value);
  } else {
    freshet_forget_user_row(store, record->partition, record->key);
  }
  return FRESHET_OK;
}

static freshet_status apply(restoring* r, const freshet_record* record, freshet_error* error) {
  target* t = r->targets;
  while (t->partition != record->partition) t++;
  if (record->timestamp_ms > t->time_ms) t->time_ms = record->timestamp_ms;
  return freshet_apply_user_row(r->ports, record, error);
}

/* A process may die in the middle of a restore and come back much later. It must not take the half that it has stored
 * for the whole. So a position that is stored on the way is dated by the newest record that it reflects. */
static freshet_status write_positions(restoring* r, freshet_error* error) {
  freshet_store* store = r->ports->store;
  const target* targets = r->targets;
  int64_t now_ms = freshet_clock_now_ms(r->ports->clock);
  for (size_t i = 0; i < r->count; i++) {
    int64_t position =
        freshet_reader_position(r->ports->changelog, FRESHET_TOPIC_USERS, targets[i].partition);
    if (position < 0) continue; /* nothing read yet */
    bool is_whole = position >= targets[i].end || targets[i].time_ms > now_ms;
    freshet_store_set_position(store, FRESHET_TOPIC_USERS, targets[i].partition, position,
                               is_whole ? now_ms : targets[i].time_ms);
  }
  return freshet_store_write(store, error);
}

/* Shows how far the restore has come. */
static void show_progress(const restoring* r) {
  int64_t done = 0, all = 0;
  for (size_t i = 0; i < r->count; i++) {
    const target* t = &r->targets[i];
    int64_t position = freshet_reader_position(r->ports->changelog, FRESHET_TOPIC_USERS, t->partition);
    if (position > t->end) position = t->end;
    if (position > t->start) done += position - t->start;
    all += t->end - t->start;
  }
  freshet_gauge(&r->ports->metrics->restored_ppm, all <= 0 ? 1000000 : (uint64_t)(done * 1000000 / all));
}

static void show_restoring(const restoring* r) {
  int32_t least = INT32_MAX;
  for (size_t i = 0; i < r->count; i++)
    least = r->targets[i].partition < least ? r->targets[i].partition : least;
  freshet_gauge(&r->ports->metrics->restored_ppm, 0);
  freshet_gauge(&r->ports->metrics->restoring_first, (uint64_t)least);
  freshet_gauge(&r->ports->metrics->restoring, r->count);
}

static freshet_status apply_all(void* context, const freshet_record* records, size_t count,
                                freshet_error* error) {
  restoring* r = context;
  const freshet_ports* ports = r->ports;
  for (size_t i = 0; i < count; i++) {
    freshet_status status = apply(r, &records[i], error);
    if (status != FRESHET_OK) return status;
    r->bytes += records[i].key.size + records[i].value.size + ROW_BYTES;
  }
  freshet_count(&ports->metrics->restored_records, count);
  freshet_show_alive(ports->metrics, ports->clock); /* a long restore is no stall */
  show_progress(r);
  if (r->bytes < WRITE_BYTES) return FRESHET_OK;
  r->bytes = 0;
  return write_positions(r, error);
}

static freshet_status read_all(restoring* r, freshet_error* error) {
  freshet_record* records = calloc(POLL_RECORDS, sizeof *records);
  freshet_partition* ends = calloc(r->count, sizeof *ends);
  FRESHET_ASSERT(records != NULL && ends != NULL);
  for (size_t i = 0; i < r->count; i++)
    ends[i] = (freshet_partition){
        .topic = FRESHET_TOPIC_USERS, .partition = r->targets[i].partition, .offset = r->targets[i].end};
  const freshet_reading reading = {.reader = r->ports->changelog,
                                   .clock = r->ports->clock,
                                   .logger = r->ports->logger,
                                   .stop = r->ports->stop,
                                   .name = "restore",
                                   .wait_ms = POLL_WAIT_MS,
                                   .stall_ms = STALL_MS,
                                   .records = records,
                                   .capacity = POLL_RECORDS,
                                   .apply = apply_all,
                                   .context = r};
  freshet_status status = freshet_read_to(&reading, ends, r->count, error);
  if (status == FRESHET_OK) status = write_positions(r, error);
  free(ends);
  free(records);
  return status;
}

freshet_status freshet_restore_users(const freshet_ports* ports, const int32_t* partitions, size_t count,
                                     freshet_error* error) {
  if (count == 0) return FRESHET_OK;
  restoring r = {.ports = ports, .targets = calloc(count, sizeof *r.targets), .count = count};
  FRESHET_ASSERT(r.targets != NULL);
  freshet_status status = FRESHET_OK;
  int64_t start_us = freshet_clock_monotonic_us(ports->clock);
  for (size_t i = 0; i < count; i++) r.targets[i].partition = partitions[i];
  show_restoring(&r);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    status = judge_store(ports, &r.targets[i], error);
  }
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    status = open_partition(ports, &r.targets[i], error);
  }
  if (status == FRESHET_OK) status = read_all(&r, error);
  for (size_t i = 0; i < count; i++)
    freshet_reader_shut(ports->changelog, FRESHET_TOPIC_USERS, partitions[i],
                        status == FRESHET_OK ? error : NULL);
  free(r.targets);
  freshet_gauge(&ports->metrics->restoring, 0);
  freshet_count(&ports->metrics->restore_us, (uint64_t)(freshet_clock_monotonic_us(ports->clock) - start_us));
  return status;
}
