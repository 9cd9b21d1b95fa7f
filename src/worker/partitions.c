/*
 * partitions.c: what happens when the group assigns or revokes partitions: restore, load, let go. It owns
 * nothing: held.h has the partitions. It must not know what a row means.
 */
#include "worker/partitions.h"

#include <stdlib.h>

#include "users/dedup.h"
#include "worker/restore.h"

static void show_partitions(freshet_partitions* own) {
  freshet_gauge(&own->ports->metrics->partitions, freshet_held_count(own->held, FRESHET_TOPIC_EVENTS));
}

static bool note_user(void* context, freshet_slice key, freshet_slice value) {
  (void)value;
  bool* found = context;
  *found = key.size > 0 && !freshet_dedup_is_key(key);
  return !*found;
}

/* Users without a committed offset: Kafka forgets the offsets of a topic that is deleted, and those of a group that
 * is away for long. Reading from the beginning would learn again what is known, or another log. */
static freshet_status check_offset(const freshet_partitions* own, const freshet_partition* partition,
                                   freshet_error* error) {
  bool has_users = false;
  if (partition->offset >= 0) return FRESHET_OK;
  freshet_status status = freshet_store_scan(own->ports->store, FRESHET_FAMILY_USERS, partition->partition,
                                             (freshet_slice){NULL, 0}, note_user, &has_users, error);
  if (status != FRESHET_OK || !has_users) return status;
  /* Or they are those of the next owner: a restore may wait so long for a dead leader that the group gives the partition
   * to another process, which learns and commits. The next poll tells that it is not ours any more; nothing that we do
   * until then can be committed. */
  int64_t committed;
  status =
      freshet_source_committed(own->ports->source, partition->topic, partition->partition, &committed, error);
  if (status != FRESHET_OK || committed >= 0) return status;
  return freshet_error_set(
      error, FRESHET_CONFLICT, FRESHET_STOP,
      "topic %s [%d]: there are users, but no committed offset says how far it was read: the topic was "
      "deleted and made again, or the group was away for longer than Kafka keeps offsets; choose: `freshet "
      "offsets "
      "--accept-new-log` reads the log from its beginning and keeps what is known, `freshet offsets "
      "--start-over` "
      "forgets the state, `freshet offsets --to-datetime T` reads the log from T on",
      freshet_outbox_topic_name(own->ports->outbox, FRESHET_TOPIC_EVENTS), (int)partition->partition);
}

/* Partitions that `items` has got are not read until its tables are made again. */
static freshet_status follow_items(const freshet_partitions* own, freshet_error* error) {
  const int32_t known = freshet_items_partitions(own->derived->items);
  int32_t partitions;
  freshet_status status =
      freshet_reader_partitions(own->ports->reader, FRESHET_TOPIC_ITEMS, &partitions, error);
  if (status != FRESHET_OK || partitions <= known) return status;
  freshet_log_fact(own->ports->logger, FRESHET_INFO, "items.grown", "topic=%s partitions=%d before=%d",
                   freshet_outbox_topic_name(own->ports->outbox, FRESHET_TOPIC_ITEMS), (int)partitions,
                   (int)known);
  return freshet_commit_reload(own->commit, error);
}

static freshet_status assigned(void* context, const freshet_partition* partitions, size_t count,
                               freshet_error* error) {
  freshet_partitions* own = context;
  if (count > 0) freshet_gauge(&own->ports->metrics->ready, 0); /* a spare is ready without partitions */
  int32_t* events = calloc(count + 1, sizeof *events);
  FRESHET_ASSERT(events != NULL);
  size_t events_count = 0;
  for (size_t i = 0; i < count; i++) {
    if (partitions[i].topic == FRESHET_TOPIC_EVENTS) events[events_count++] = partitions[i].partition;
  }
  freshet_answers_unshare(own->derived->answers); /* it may come in the middle of a poll */
  freshet_status status = freshet_standby_halt(own->standby, error);
  if (status == FRESHET_OK) status = freshet_commit_recover(own->commit, error);
  if (status == FRESHET_OK) status = follow_items(own, error);
  if (status == FRESHET_OK) status = freshet_restore_users(own->ports, events, events_count, error);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    if (partitions[i].topic == FRESHET_TOPIC_EVENTS) status = check_offset(own, &partitions[i], error);
  }
  if (status == FRESHET_OK && events_count > 0) status = freshet_items_catch_up(own->derived->items, error);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    freshet_held_partition* held = freshet_held_add(own->held, &partitions[i]);
    held->since_ms = freshet_clock_now_ms(own->ports->clock);
    own->commit->was_clear = false; /* its state may owe lists: that is found out */
    if (held->topic == FRESHET_TOPIC_EVENTS)
      status = freshet_derived_load_partition(own->derived, held, error);
    freshet_log_fact(
        own->ports->logger, FRESHET_INFO, "partition.assigned", "topic=%s partition=%d offset=%lld",
        freshet_outbox_topic_name(own->ports->outbox, held->topic), held->partition, (long long)held->next);
  }
  free(events);
  show_partitions(own);
  if (status != FRESHET_OK) return status;
  freshet_standby_follow(own->standby);
  freshet_texts_first_begin(own->texts_first);
  freshet_gauge(&own->ports->metrics->ready, 1);
  freshet_answers_open(own->derived->answers);
  return status;
}

static void release(freshet_partitions* own, const freshet_partition* partition) {
  freshet_held_partition* held = freshet_held_find(own->held, partition->topic, partition->partition);
  if (held == NULL) return;
  freshet_derived_release_partition(own->derived, held);
  if (held->topic == FRESHET_TOPIC_EVENTS) freshet_erasures_release(own->erasures, held->partition);
  freshet_held_remove(own->held, held);
}

static freshet_status revoked(void* context, const freshet_partition* partitions, size_t count, bool lost,
                              freshet_error* error) {
  freshet_partitions* own = context;
  freshet_status status;
  freshet_answers_unshare(own->derived->answers);
  freshet_gauge(&own->ports->metrics->ready, 0);
  freshet_log_fact(own->ports->logger, FRESHET_INFO, "partitions.revoked", "count=%zu lost=%s", count,
                   lost ? "true" : "false");
  freshet_learned_drop_checkpoint(freshet_items_learned(own->derived->items));
  status = freshet_commit_let_go(own->commit, lost, error);
  if (status != FRESHET_OK) return status;
  for (size_t i = 0; i < count; i++) release(own, &partitions[i]);
  show_partitions(own);
  FRESHET_ASSERT(!own->commit->is_stale || freshet_held_count(own->held, FRESHET_TOPICS) == 0);
  /* What was learned from them since the last commit is not ours to keep. */
  return lost && !own->commit->is_stale ? freshet_commit_roll_back(own->commit, error) : FRESHET_OK;
}

freshet_source_handler freshet_partitions_handler(freshet_partitions* partitions) {
  return (freshet_source_handler){assigned, revoked, partitions};
}
