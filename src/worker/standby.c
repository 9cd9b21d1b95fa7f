/*
 * standby.c: see standby.h. Rows go into the store's batch together with the position that they reflect, so whoever
 * writes the batch next leaves the store as a restore would. Nothing here waits for the cluster.
 */
#include "worker/standby.h"

#include <stdlib.h>

#include "worker/restore.h"

enum {
  RECORDS = 32,          /* between two looks at the clock */
  WRITE_BYTES = 1 << 20, /* of rows, then the batch is written */
  WRITE_US = 1000000,    /* and at least so often */
  ROW_BYTES = 32,        /* what a row costs in it beside key and value */
  ALONE_US = 10000000,   /* without a partition for so long: follow all */
};

typedef struct followed {
  bool is_open;
  int64_t position; /* as in the batch; -1: none yet */
  int64_t time_ms;  /* everything that was written before this is in the store */
} followed;

struct freshet_standby {
  freshet_ports ports; /* `changelog` is the standby's reader here */
  const freshet_held* held;
  int32_t partitions;
  followed* followed; /* [partitions] */
  size_t open;
  size_t bytes; /* in the store's batch, about */
  int64_t next_write_us, held_us /* when a partition was held last */;
  freshet_record records[RECORDS];
};

freshet_standby* freshet_standby_create(const freshet_ports* ports, const freshet_held* held,
                                        int32_t partitions) {
  if (ports->standby == NULL) return NULL;
  freshet_standby* standby = calloc(1, sizeof *standby);
  FRESHET_ASSERT(standby != NULL);
  standby->ports = *ports;
  standby->ports.changelog = ports->standby;
  standby->held = held;
  standby->partitions = partitions;
  standby->followed = calloc((size_t)partitions + 1, sizeof *standby->followed);
  FRESHET_ASSERT(standby->followed != NULL);
  standby->held_us = freshet_clock_monotonic_us(ports->clock);
  return standby;
}

void freshet_standby_destroy(freshet_standby* standby) {
  if (standby == NULL) return;
  free(standby->followed);
  free(standby);
}

/* ---- what is followed ---- */

static void give_up(freshet_standby* standby, int32_t partition, const freshet_error* cause) {
  freshet_log_fact(standby->ports.logger, FRESHET_WARN, "standby.stopped", "partition=%d reason=\"%s\"",
                   (int)partition, cause->message);
}

static void shut(freshet_standby* standby, int32_t partition) {
  followed* f = &standby->followed[partition];
  if (!f->is_open) return;
  freshet_reader_shut(standby->ports.changelog, FRESHET_TOPIC_USERS, partition, NULL);
  f->is_open = false;
  standby->open--;
}

/* Goes on where the store left off, or begins again when it was away for too long. Whether it is still the same log is
 * judged when the partition is taken over. */
static void open_partition(freshet_standby* standby, int32_t partition) {
  freshet_store* store = standby->ports.store;
  followed* f = &standby->followed[partition];
  int64_t position = -1, stored_ms = 0, now_ms = freshet_clock_now_ms(standby->ports.clock);
  freshet_error cause = {0};
  bool is_usable = freshet_store_position(store, FRESHET_TOPIC_USERS, partition, &position, &stored_ms,
                                          NULL) == FRESHET_OK &&
                   freshet_store_is_recent(stored_ms, now_ms);
  if (freshet_reader_open(standby->ports.changelog, FRESHET_TOPIC_USERS, partition,
                          is_usable ? position : FRESHET_OFFSET_BEGINNING, &cause) != FRESHET_OK) {
    give_up(standby, partition, &cause);
    return;
  }
  if (!is_usable) freshet_store_clear(store, FRESHET_FAMILY_USERS, partition);
  *f = (followed){
      .is_open = true, .position = is_usable ? position : -1, .time_ms = is_usable ? stored_ms : 0};
  standby->open++;
  freshet_log_fact(standby->ports.logger, FRESHET_INFO, "standby.following", "partition=%d from=%lld",
                   (int)partition, is_usable ? (long long)position : 0LL);
}

static bool is_beside(const freshet_standby* standby, int32_t partition) {
  int32_t first = INT32_MAX, last = -1, count = 0;
  FRESHET_HELD_EACH(held, standby->held, FRESHET_TOPIC_EVENTS) {
    if (held->partition == partition) return false;
    first = held->partition < first ? held->partition : first;
    last = held->partition > last ? held->partition : last;
    count++;
  }
  return count == 0 || (partition >= first - count - 1 && partition <= last + count + 1);
}

void freshet_standby_follow(freshet_standby* standby) {
  if (standby == NULL) return;
  for (int32_t p = 0; p < standby->partitions; p++) {
    bool is_wanted = is_beside(standby, p);
    if (!is_wanted) shut(standby, p);
    if (is_wanted && !standby->followed[p].is_open) open_partition(standby, p);
  }
}

static freshet_status write_batch(freshet_standby* standby, freshet_error* error) {
  standby->bytes = 0;
  standby->next_write_us = freshet_clock_monotonic_us(standby->ports.clock) + WRITE_US;
  return freshet_store_write(standby->ports.store, error);
}

freshet_status freshet_standby_halt(freshet_standby* standby, freshet_error* error) {
  if (standby == NULL || standby->open == 0) return FRESHET_OK;
  for (int32_t p = 0; p < standby->partitions; p++) shut(standby, p);
  return write_batch(standby, error);
}

/* ---- in every turn ---- */

static freshet_status apply(freshet_standby* standby, const freshet_record* record, freshet_error* error) {
  followed* f = &standby->followed[record->partition];
  if (record->timestamp_ms > f->time_ms) f->time_ms = record->timestamp_ms;
  standby->bytes += record->key.size + record->value.size + ROW_BYTES;
  return freshet_apply_user_row(&standby->ports, record, error);
}

/* The positions that the rows in the batch reflect. One at the end of its log is as of now; see restore.c. */
static void note_positions(freshet_standby* standby) {
  freshet_reader* reader = standby->ports.changelog;
  int64_t now_ms = freshet_clock_now_ms(standby->ports.clock);
  uint64_t lag = 0;
  for (int32_t p = 0; p < standby->partitions; p++) {
    followed* f = &standby->followed[p];
    if (!f->is_open) continue;
    int64_t position = freshet_reader_position(reader, FRESHET_TOPIC_USERS, p);
    int64_t end = freshet_reader_end(reader, FRESHET_TOPIC_USERS, p);
    if (position < 0) continue; /* nothing read yet */
    lag += end > position ? (uint64_t)(end - position) : 0;
    if (position == f->position) continue;
    bool is_whole = end >= 0 && position >= end;
    freshet_store_set_position(standby->ports.store, FRESHET_TOPIC_USERS, p, position,
                               is_whole || f->time_ms > now_ms ? now_ms : f->time_ms);
    f->position = position;
  }
  freshet_gauge(&standby->ports.metrics->standby_partitions, standby->open);
  freshet_gauge(&standby->ports.metrics->standby_lag, lag);
}

/* A process that has no partition yet, because there are more processes than partitions, stands by for all. */
static void look_after_others(freshet_standby* standby) {
  int64_t now_us = freshet_clock_monotonic_us(standby->ports.clock);
  bool holds = freshet_held_count(standby->held, FRESHET_TOPIC_EVENTS) > 0;
  if (holds) standby->held_us = now_us;
  if (now_us - standby->held_us < ALONE_US) return;
  standby->held_us = now_us; /* looked at again later */
  freshet_standby_follow(standby);
}

/* Takes records for slice_us. */
static freshet_status take_records(freshet_standby* standby, int64_t slice_us, freshet_error* error) {
  freshet_clock* clock = standby->ports.clock;
  const int64_t until_us = freshet_clock_monotonic_us(clock) + slice_us;
  freshet_status status = FRESHET_OK;
  size_t count;
  do {
    count = 0;
    status = freshet_reader_poll(standby->ports.changelog, 0, standby->records, RECORDS, &count, error);
    for (size_t i = 0; status == FRESHET_OK && i < count; i++)
      status = apply(standby, &standby->records[i], error);
  } while (status == FRESHET_OK && count == RECORDS && standby->bytes < WRITE_BYTES &&
           freshet_clock_monotonic_us(clock) < until_us);
  return status;
}

freshet_status freshet_standby_turn(freshet_standby* standby, int64_t slice_us, freshet_error* error) {
  if (standby == NULL) return FRESHET_OK;
  look_after_others(standby);
  if (standby->open == 0) return FRESHET_OK;
  freshet_error cause = {0};
  freshet_status status = take_records(standby, slice_us, &cause);
  if (status != FRESHET_OK) { /* nobody depends on it: a take-over reads the log again, and tells */
    give_up(standby, -1, &cause);
    return freshet_standby_halt(standby, error);
  }
  note_positions(standby);
  bool is_due = freshet_clock_monotonic_us(standby->ports.clock) >= standby->next_write_us;
  if (standby->bytes < WRITE_BYTES && (standby->bytes == 0 || !is_due)) return FRESHET_OK;
  return write_batch(standby, error);
}
