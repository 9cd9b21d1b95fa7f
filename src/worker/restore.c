#include "worker/restore.h"

#include <stdlib.h>

enum {
  POLL_RECORDS = 2048,
  POLL_WAIT_MS = 100,
  STALL_MS = 90000,      /* longer than any transaction may stay open */
  WRITE_BYTES = 4 << 20, /* store batch */
};

typedef struct target {
  int32_t partition;
  int64_t end;
  int64_t time_ms; /* up to when the store reflects what was written: everything older has been read */
} target;

static freshet_status open_partition(const freshet_worker_parts* parts, target* t, freshet_error* error) {
  freshet_store* store = parts->store;
  freshet_log* log = parts->changelog;
  int32_t partition = t->partition;
  int64_t first, position, stored_ms;
  int64_t now_ms = parts->clock->now_ms(parts->clock);
  freshet_status status = log->vtable->range(log, FRESHET_TOPIC_USERS, partition, &first, &t->end, error);
  if (status != FRESHET_OK) return status;
  bool usable = store->vtable->position(store, FRESHET_TOPIC_USERS, partition, &position, &stored_ms, NULL) ==
                    FRESHET_OK &&
                position <= t->end && now_ms - stored_ms < FRESHET_LONGEST_ABSENCE_MS;
  if (!usable) {
    store->vtable->clear(store, FRESHET_FAMILY_USERS, partition);
    position = FRESHET_OFFSET_BEGINNING;
  }
  freshet_log_fact(parts->logger, FRESHET_INFO, "partition.restoring", "partition=%d from=%lld to=%lld",
                   partition, (long long)(usable ? position : first), (long long)t->end);
  t->time_ms = usable ? stored_ms : 0;
  return log->vtable->open(log, FRESHET_TOPIC_USERS, partition, position, error);
}

void freshet_forget_user_row(freshet_store* store, int32_t partition, freshet_slice key) {
  bool is_user = key.size > 0 && key.data[0] != '\0';
  store->vtable->remove(store, FRESHET_FAMILY_USERS, partition, key);
  if (is_user && store->vtable->purge != NULL)
    store->vtable->purge(store, FRESHET_FAMILY_USERS, partition, key);
}

static void apply(const freshet_worker_parts* parts, target* targets, const freshet_record* record) {
  freshet_store* store = parts->store;
  target* t = targets;
  while (t->partition != record->partition) t++;
  if (record->timestamp_ms > t->time_ms) t->time_ms = record->timestamp_ms;
  if (record->has_value) {
    store->vtable->put(store, FRESHET_FAMILY_USERS, record->partition, record->key, record->value);
  } else {
    freshet_forget_user_row(store, record->partition, record->key);
  }
}

static int64_t position_of(const freshet_worker_parts* parts, const target* t) {
  return parts->changelog->vtable->position(parts->changelog, FRESHET_TOPIC_USERS, t->partition);
}

/* Who dies in the middle of a restore and comes back much later must not take its half for the whole: what is
 * stored on the way is as old as the newest record in it. */
static freshet_status write_positions(const freshet_worker_parts* parts, const target* targets, size_t count,
                                      freshet_error* error) {
  freshet_store* store = parts->store;
  int64_t now_ms = parts->clock->now_ms(parts->clock);
  for (size_t i = 0; i < count; i++) {
    int64_t position = position_of(parts, &targets[i]);
    if (position < 0) continue; /* nothing read yet */
    bool is_whole = position >= targets[i].end || targets[i].time_ms > now_ms;
    store->vtable->set_position(store, FRESHET_TOPIC_USERS, targets[i].partition, position,
                                is_whole ? now_ms : targets[i].time_ms);
  }
  return store->vtable->write(store, error);
}

/* How far all have come, together; *reached: to the end. Transaction markers and aborted records move it too.
 */
static int64_t progress(const freshet_worker_parts* parts, const target* targets, size_t count,
                        bool* reached) {
  int64_t sum = 0;
  *reached = true;
  for (size_t i = 0; i < count; i++) {
    int64_t position = position_of(parts, &targets[i]);
    if (position < targets[i].end) *reached = false;
    sum += position;
  }
  return sum;
}

static freshet_status read_all(const freshet_worker_parts* parts, target* targets, size_t count,
                               freshet_record* records, freshet_error* error) {
  freshet_log* log = parts->changelog;
  freshet_clock* clock = parts->clock;
  int64_t heard_us = clock->monotonic_us(clock);
  size_t bytes = 0;
  bool reached;
  int64_t before = progress(parts, targets, count, &reached);
  while (!reached) {
    size_t polled = 0, applied = 0;
    freshet_status status = log->vtable->poll(log, POLL_WAIT_MS, records, POLL_RECORDS, &polled, error);
    for (size_t i = 0; status == FRESHET_OK && i < polled; i++) {
      apply(parts, targets, &records[i]);
      bytes += records[i].key.size + records[i].value.size + 32;
      applied++;
    }
    freshet_count(&parts->metrics->restored_records, applied);
    freshet_gauge(&parts->metrics->alive_ms, (uint64_t)clock->now_ms(clock)); /* busy is not stalled */
    if (status == FRESHET_OK && bytes >= WRITE_BYTES) {
      bytes = 0;
      status = write_positions(parts, targets, count, error);
    }
    if (status != FRESHET_OK) return status;
    int64_t now = progress(parts, targets, count, &reached);
    if (now != before) heard_us = clock->monotonic_us(clock);
    before = now;
    if (clock->monotonic_us(clock) - heard_us > (int64_t)STALL_MS * 1000) {
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                               "restore: the changelog gave nothing for %d s", STALL_MS / 1000);
    }
  }
  return write_positions(parts, targets, count, error);
}

freshet_status freshet_restore_users(const freshet_worker_parts* parts, const int32_t* partitions,
                                     size_t count, freshet_error* error) {
  if (count == 0) return FRESHET_OK;
  target* targets = calloc(count, sizeof *targets);
  freshet_record* records = calloc(POLL_RECORDS, sizeof *records);
  FRESHET_ASSERT(targets != NULL && records != NULL);
  freshet_status status = FRESHET_OK;
  int64_t start_us = parts->clock->monotonic_us(parts->clock);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    targets[i].partition = partitions[i];
    status = open_partition(parts, &targets[i], error);
  }
  if (status == FRESHET_OK) status = read_all(parts, targets, count, records, error);
  for (size_t i = 0; i < count; i++) {
    freshet_log* log = parts->changelog;
    log->vtable->shut(log, FRESHET_TOPIC_USERS, partitions[i], status == FRESHET_OK ? error : NULL);
  }
  free(records);
  free(targets);
  freshet_count(&parts->metrics->restore_us, (uint64_t)(parts->clock->monotonic_us(parts->clock) - start_us));
  return status;
}
