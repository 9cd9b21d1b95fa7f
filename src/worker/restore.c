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

static freshet_status open_partition(const freshet_ports* ports, target* t, freshet_error* error) {
  freshet_store* store = ports->store;
  freshet_reader* reader = ports->changelog;
  int32_t partition = t->partition;
  int64_t first, position, stored_ms;
  int64_t now_ms = freshet_clock_now_ms(ports->clock);
  freshet_status status =
      freshet_reader_range(reader, FRESHET_TOPIC_USERS, partition, &first, &t->end, error);
  if (status != FRESHET_OK) return status;
  bool usable = freshet_store_position(store, FRESHET_TOPIC_USERS, partition, &position, &stored_ms, NULL) ==
                    FRESHET_OK &&
                position <= t->end && now_ms - stored_ms < FRESHET_LONGEST_ABSENCE_MS;
  if (!usable) {
    freshet_store_clear(store, FRESHET_FAMILY_USERS, partition);
    position = FRESHET_OFFSET_BEGINNING;
  }
  freshet_log_fact(ports->logger, FRESHET_INFO, "partition.restoring", "partition=%d from=%lld to=%lld",
                   partition, (long long)(usable ? position : first), (long long)t->end);
  t->time_ms = usable ? stored_ms : 0;
  return freshet_reader_open(reader, FRESHET_TOPIC_USERS, partition, position, error);
}

void freshet_forget_user_row(freshet_store* store, int32_t partition, freshet_slice key) {
  bool is_user = key.size > 0 && key.data[0] != '\0';
  freshet_store_remove(store, FRESHET_FAMILY_USERS, partition, key);
  if (is_user) freshet_store_purge(store, FRESHET_FAMILY_USERS, partition, key);
}

static void apply(const freshet_ports* ports, target* targets, const freshet_record* record) {
  freshet_store* store = ports->store;
  target* t = targets;
  while (t->partition != record->partition) t++;
  if (record->timestamp_ms > t->time_ms) t->time_ms = record->timestamp_ms;
  if (record->has_value) {
    freshet_store_put(store, FRESHET_FAMILY_USERS, record->partition, record->key, record->value);
  } else {
    freshet_forget_user_row(store, record->partition, record->key);
  }
}

static int64_t position_of(const freshet_ports* ports, const target* t) {
  return freshet_reader_position(ports->changelog, FRESHET_TOPIC_USERS, t->partition);
}

/* Who dies in the middle of a restore and comes back much later must not take its half for the whole: what is
 * stored on the way is as old as the newest record in it. */
static freshet_status write_positions(const freshet_ports* ports, const target* targets, size_t count,
                                      freshet_error* error) {
  freshet_store* store = ports->store;
  int64_t now_ms = freshet_clock_now_ms(ports->clock);
  for (size_t i = 0; i < count; i++) {
    int64_t position = position_of(ports, &targets[i]);
    if (position < 0) continue; /* nothing read yet */
    bool is_whole = position >= targets[i].end || targets[i].time_ms > now_ms;
    freshet_store_set_position(store, FRESHET_TOPIC_USERS, targets[i].partition, position,
                               is_whole ? now_ms : targets[i].time_ms);
  }
  return freshet_store_write(store, error);
}

/* How far all have come, together; *reached: to the end. Transaction markers and aborted records move it too.
 */
static int64_t progress(const freshet_ports* ports, const target* targets, size_t count, bool* reached) {
  int64_t sum = 0;
  *reached = true;
  for (size_t i = 0; i < count; i++) {
    int64_t position = position_of(ports, &targets[i]);
    if (position < targets[i].end) *reached = false;
    sum += position;
  }
  return sum;
}

static freshet_status read_all(const freshet_ports* ports, target* targets, size_t count,
                               freshet_record* records, freshet_error* error) {
  freshet_reader* reader = ports->changelog;
  freshet_clock* clock = ports->clock;
  int64_t heard_us = freshet_clock_monotonic_us(clock);
  size_t bytes = 0;
  bool reached;
  int64_t before = progress(ports, targets, count, &reached);
  while (!reached) {
    size_t polled = 0, applied = 0;
    freshet_status status = freshet_reader_poll(reader, POLL_WAIT_MS, records, POLL_RECORDS, &polled, error);
    for (size_t i = 0; status == FRESHET_OK && i < polled; i++) {
      apply(ports, targets, &records[i]);
      bytes += records[i].key.size + records[i].value.size + 32;
      applied++;
    }
    freshet_count(&ports->metrics->restored_records, applied);
    freshet_gauge(&ports->metrics->alive_ms, (uint64_t)freshet_clock_now_ms(clock)); /* busy is not stalled */
    if (status == FRESHET_OK && bytes >= WRITE_BYTES) {
      bytes = 0;
      status = write_positions(ports, targets, count, error);
    }
    if (status != FRESHET_OK) return status;
    int64_t now = progress(ports, targets, count, &reached);
    if (now != before) heard_us = freshet_clock_monotonic_us(clock);
    before = now;
    if (freshet_clock_monotonic_us(clock) - heard_us > (int64_t)STALL_MS * 1000) {
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                               "restore: the changelog gave nothing for %d s", STALL_MS / 1000);
    }
  }
  return write_positions(ports, targets, count, error);
}

freshet_status freshet_restore_users(const freshet_ports* ports, const int32_t* partitions, size_t count,
                                     freshet_error* error) {
  if (count == 0) return FRESHET_OK;
  target* targets = calloc(count, sizeof *targets);
  freshet_record* records = calloc(POLL_RECORDS, sizeof *records);
  FRESHET_ASSERT(targets != NULL && records != NULL);
  freshet_status status = FRESHET_OK;
  int64_t start_us = freshet_clock_monotonic_us(ports->clock);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    targets[i].partition = partitions[i];
    status = open_partition(ports, &targets[i], error);
  }
  if (status == FRESHET_OK) status = read_all(ports, targets, count, records, error);
  for (size_t i = 0; i < count; i++) {
    freshet_reader* reader = ports->changelog;
    freshet_reader_shut(reader, FRESHET_TOPIC_USERS, partitions[i], status == FRESHET_OK ? error : NULL);
  }
  free(records);
  free(targets);
  freshet_count(&ports->metrics->restore_us, (uint64_t)(freshet_clock_monotonic_us(ports->clock) - start_us));
  return status;
}
