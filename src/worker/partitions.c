/*
 * partitions.c: what happens when the group assigns or revokes partitions: restore, load, let go. It owns
 * the list of held partitions. It must not know what a row means.
 */
#include <stdlib.h>

#include "worker/restore.h"
#include "worker/worker_internal.h"

typedef struct load_context {
  freshet_worker* worker;
  freshet_held_partition* held;
  freshet_status status;
  freshet_error* error;
} load_context;

static bool load_row(void* context, freshet_slice key, freshet_slice value) {
  load_context* load = context;
  if (key.size > 0 && key.data[0] == '\0') {
    load->status = freshet_dedup_load(load->held->dedup, key, value, load->error);
    return load->status == FRESHET_OK;
  }
  freshet_user_state state;
  load->status = freshet_decode_user_state(load->worker->ports.codec, value, &state, load->error);
  if (load->status != FRESHET_OK) return false;
  freshet_withdrawals_load(load->worker->withdrawals, &state);
  if (state.listed_offset >= state.newest_offset && state.refresh_since_ms == 0) return true;
  freshet_user_row* row;
  load->status = freshet_users_get(load->worker->users, load->held->partition, key, &row, load->error);
  if (load->status == FRESHET_OK) freshet_refresh_owe(load->worker->refresh, row);
  return load->status == FRESHET_OK;
}

freshet_status freshet_worker_load_partition(freshet_worker* worker, freshet_held_partition* held,
                                             freshet_error* error) {
  freshet_dedup_destroy(held->dedup);
  held->dedup = freshet_dedup_create(worker->config.dedup_events, worker->config.dedup_window_ms);
  load_context load = {worker, held, FRESHET_OK, error};
  freshet_status status = freshet_store_scan(worker->ports.store, FRESHET_FAMILY_USERS, held->partition,
                                             (freshet_slice){NULL, 0}, load_row, &load, error);
  freshet_users_trim(worker->users);
  return status != FRESHET_OK ? status : load.status;
}

static void show_partitions(freshet_worker* worker) {
  freshet_gauge(&worker->ports.metrics->partitions, freshet_held_count(worker->held, FRESHET_TOPIC_EVENTS));
}

static bool note_user(void* context, freshet_slice key, freshet_slice value) {
  (void)value;
  bool* found = context;
  *found = key.size > 0 && key.data[0] != '\0';
  return !*found;
}

/* Users without a committed offset: Kafka forgets the offsets of a topic that is deleted, and those of a group that
 * is away for long. Reading from the beginning would learn again what is known, or another log. */
static freshet_status check_offset(freshet_worker* worker, const freshet_partition* partition,
                                   freshet_error* error) {
  bool has_users = false;
  if (partition->offset >= 0) return FRESHET_OK;
  freshet_status status = freshet_store_scan(worker->ports.store, FRESHET_FAMILY_USERS, partition->partition,
                                             (freshet_slice){NULL, 0}, note_user, &has_users, error);
  if (status != FRESHET_OK || !has_users) return status;
  return freshet_error_set(
      error, FRESHET_CONFLICT, FRESHET_STOP,
      "topic %s [%d]: there are users, but no committed offset says how far it was read: the topic was "
      "deleted and made again, or the group was away for longer than Kafka keeps offsets; choose: `freshet "
      "offsets "
      "--accept-new-log` reads the log from its beginning and keeps what is known, `freshet offsets "
      "--start-over` "
      "forgets the state, `freshet offsets --to-datetime T` reads the log from T on",
      freshet_outbox_topic_name(worker->ports.outbox, FRESHET_TOPIC_EVENTS), (int)partition->partition);
}

freshet_status freshet_worker_assigned(void* context, const freshet_partition* partitions, size_t count,
                                       freshet_error* error) {
  freshet_worker* worker = context;
  int32_t* events = calloc(count + 1, sizeof *events);
  FRESHET_ASSERT(events != NULL);
  size_t events_count = 0;
  for (size_t i = 0; i < count; i++) {
    if (partitions[i].topic == FRESHET_TOPIC_EVENTS) events[events_count++] = partitions[i].partition;
  }
  freshet_status status = freshet_restore_users(&worker->ports, events, events_count, error);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    if (partitions[i].topic == FRESHET_TOPIC_EVENTS) status = check_offset(worker, &partitions[i], error);
  }
  if (status == FRESHET_OK && events_count > 0) status = freshet_items_catch_up(worker->items, error);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    freshet_held_partition* held = freshet_held_add(worker->held, &partitions[i]);
    held->since_ms = freshet_clock_now_ms(worker->ports.clock);
    if (held->topic == FRESHET_TOPIC_EVENTS) status = freshet_worker_load_partition(worker, held, error);
    freshet_log_fact(
        worker->ports.logger, FRESHET_INFO, "partition.assigned", "topic=%s partition=%d offset=%lld",
        freshet_outbox_topic_name(worker->ports.outbox, held->topic), held->partition, (long long)held->next);
  }
  free(events);
  show_partitions(worker);
  if (status != FRESHET_OK) return status;
  freshet_worker_await_texts(worker);
  freshet_gauge(&worker->ports.metrics->ready, 1);
  freshet_answers_open(worker->answers);
  return status;
}

static void release(freshet_worker* worker, const freshet_partition* partition) {
  freshet_held_partition* held = freshet_held_find(worker->held, partition->topic, partition->partition);
  if (held == NULL) return;
  if (held->topic == FRESHET_TOPIC_EVENTS) {
    freshet_users_drop(worker->users, held->partition);
    freshet_refresh_forget(worker->refresh, held->partition);
    freshet_erasures_release(worker->erasures, held->partition);
  }
  if (held->topic == FRESHET_TOPIC_REQUESTS) freshet_answers_forget(worker->answers, held->partition);
  freshet_dedup_destroy(held->dedup);
  freshet_held_remove(worker->held, held);
}

freshet_status freshet_worker_revoked(void* context, const freshet_partition* partitions, size_t count,
                                      bool lost, freshet_error* error) {
  freshet_worker* worker = context;
  freshet_status status;
  freshet_gauge(&worker->ports.metrics->ready, 0);
  freshet_log_fact(worker->ports.logger, FRESHET_INFO, "partitions.revoked", "count=%zu lost=%s", count,
                   lost ? "true" : "false");
  status = lost ? freshet_worker_end_commit(worker, error) : freshet_worker_commit(worker, error);
  if (status != FRESHET_OK) return status;
  for (size_t i = 0; i < count; i++) release(worker, &partitions[i]);
  show_partitions(worker);
  /* What was learned from them since the last commit is not ours to keep. */
  return lost ? freshet_worker_roll_back(worker, error) : FRESHET_OK;
}
