/*
 * support_cluster.c: the simulated broker of support_cluster.h: logs, transactions, groups, the cleaner and time.
 * It must not know the worker.
 */
#include "support_cluster.h"

#include <stdlib.h>

static const int64_t epoch_ms = 1700000000000; /* when simulations begin */

void sim_cluster_init(sim_cluster* cluster, uint64_t seed, int32_t input_partitions,
                      int32_t item_partitions) {
  *cluster = (sim_cluster){.random = {seed}};
  for (int topic = 0; topic < SIM_TOPICS; topic++) {
    int kind = topic % FRESHET_TOPICS;
    bool by_item = kind == FRESHET_TOPIC_ITEMS || kind == FRESHET_TOPIC_ITEM_STATES;
    bool is_single = kind == FRESHET_TOPIC_ITEM_DELTAS || kind == FRESHET_TOPIC_APP_GENERATIONS;
    cluster->partitions[topic] = is_single ? 1 : by_item ? item_partitions : input_partitions;
  }
  for (int app = 0; app < SIM_APPS; app++)
    memset(cluster->groups[app].committed, -1, sizeof cluster->groups[app].committed);
  for (int i = 0; i < SIM_PRODUCERS_MAX; i++) cluster->producers[i].current = -1;
}

static void free_record(sim_record* record) {
  freshet_buffer_free(&record->key);
  freshet_buffer_free(&record->value);
  freshet_buffer_free(&record->headers);
}

void sim_cluster_free(sim_cluster* cluster) {
  for (int topic = 0; topic < SIM_TOPICS; topic++) {
    for (int p = 0; p < SIM_PARTITIONS_MAX; p++) {
      sim_partition* log = &cluster->logs[topic][p];
      for (size_t i = 0; i < log->count; i++) free_record(&log->records[i]);
      free(log->records);
    }
  }
  free(cluster->transactions);
}

/* ---- time ---- */

freshet_topic sim_topic(int app, freshet_topic topic) {
  switch (topic) {
    case FRESHET_TOPIC_DEAD_LETTERS:
    case FRESHET_TOPIC_USERS:
    case FRESHET_TOPIC_ITEM_STATES:
    case FRESHET_TOPIC_ITEM_DELTAS:
    case FRESHET_TOPIC_SHADOW:
      return (freshet_topic)(app * FRESHET_TOPICS + (int)topic);
    default:
      return topic;
  }
}

int64_t sim_now_ms(const sim_cluster* cluster) {
  return epoch_ms + cluster->now_us / 1000;
}

static void expire_members(sim_cluster* cluster, int app) {
  sim_group* group = &cluster->groups[app];
  for (int i = 0; i < SIM_MEMBERS_MAX; i++) {
    sim_member* member = &group->members[i];
    bool is_dead = member->is_gone && cluster->now_us - member->gone_us > SIM_SESSION_TIMEOUT_MS * 1000LL;
    bool is_slow = group->is_rebalancing && !member->joined &&
                   cluster->now_us - group->rebalancing_us > SIM_REBALANCE_TIMEOUT_MS * 1000LL;
    if (member->id != 0 && (is_dead || is_slow)) sim_group_remove(cluster, app, member);
  }
}

void sim_advance(sim_cluster* cluster, int64_t us) {
  cluster->now_us += us;
  for (int i = 0; i < SIM_PRODUCERS_MAX; i++) {
    sim_producer* producer = &cluster->producers[i];
    if (producer->current < 0 || i >= SIM_OPERATOR) continue;
    const sim_transaction* t = &cluster->transactions[producer->current];
    if (t->decided != SIM_OPEN) {
      if (cluster->now_us >= t->ends_us && sim_can_write(cluster, producer->current))
        sim_end(cluster, producer->current, t->decided);
      continue;
    }
    int64_t open_us = cluster->now_us - t->begun_us;
    if (open_us > SIM_TRANSACTION_TIMEOUT_MS * 1000LL) sim_producer_init(cluster, i);
  }
  for (int app = 0; app < SIM_APPS; app++) expire_members(cluster, app);
}

/* ---- leaders ---- */

void sim_set_leaderless(sim_cluster* cluster, freshet_topic topic, int32_t partition, int64_t us) {
  cluster->leaderless_until_us[topic][partition] = us == 0 ? 0 : cluster->now_us + us;
}

bool sim_has_leader(const sim_cluster* cluster, freshet_topic topic, int32_t partition) {
  return cluster->now_us >= cluster->leaderless_until_us[topic][partition];
}

bool sim_can_write(const sim_cluster* cluster, int32_t transaction) {
  const sim_transaction* t = &cluster->transactions[transaction];
  for (int topic = 0; topic < SIM_TOPICS; topic++) {
    for (int p = 0; p < SIM_PARTITIONS_MAX; p++) {
      if (t->wrote[topic][p] && !sim_has_leader(cluster, (freshet_topic)topic, p)) return false;
    }
  }
  return true;
}

/* ---- records ---- */

/* FNV-1a: any stable hash will do. */
int32_t sim_partition_of(const sim_cluster* cluster, const freshet_output* output) {
  uint32_t hash = 2166136261u;
  if (output->partition >= 0) return output->partition;
  for (size_t i = 0; i < output->key.size; i++) hash = (hash ^ (uint8_t)output->key.data[i]) * 16777619u;
  return (int32_t)(hash % (uint32_t)cluster->partitions[output->topic]);
}

static sim_record* push(sim_cluster* cluster, sim_partition* log) {
  if (log->count == log->capacity) {
    log->capacity = log->capacity == 0 ? 64 : log->capacity * 2;
    log->records = realloc(log->records, log->capacity * sizeof *log->records);
    FRESHET_ASSERT(log->records != NULL);
  }
  sim_record* record = &log->records[log->count++];
  *record = (sim_record){.offset = log->end++, .transaction = -1, .written_ms = sim_now_ms(cluster)};
  return record;
}

static void append_header(freshet_buffer* out, const freshet_header* header) {
  uint32_t size = (uint32_t)header->value.size;
  freshet_buffer_append(out, header->name, strlen(header->name) + 1);
  freshet_buffer_append(out, &size, sizeof size);
  freshet_buffer_append(out, header->value.data, size);
}

sim_record* sim_append(sim_cluster* cluster, int32_t transaction, const freshet_output* output) {
  int32_t p = sim_partition_of(cluster, output);
  FRESHET_ASSERT(p < cluster->partitions[output->topic]);
  sim_record* record = push(cluster, &cluster->logs[output->topic][p]);
  record->timestamp_ms = output->timestamp_ms != 0 ? output->timestamp_ms : sim_now_ms(cluster);
  record->transaction = transaction;
  record->has_key = output->key.data != NULL;
  record->has_value = output->has_value;
  freshet_buffer_append(&record->key, output->key.data, output->key.size);
  if (output->has_value) freshet_buffer_append(&record->value, output->value.data, output->value.size);
  for (size_t i = 0; i < output->header_count; i++) append_header(&record->headers, &output->headers[i]);
  if (transaction >= 0) {
    sim_transaction* t = &cluster->transactions[transaction];
    FRESHET_ASSERT(t->outcome == SIM_OPEN);
    t->wrote[output->topic][p] = true;
    t->ends[output->topic][p] = record->offset + 1;
  }
  return record;
}

void sim_skip(sim_cluster* cluster, freshet_topic topic, int32_t partition, int64_t offsets) {
  cluster->logs[topic][partition].end += offsets;
}

static sim_outcome outcome_of(const sim_cluster* cluster, const sim_record* record) {
  return record->transaction < 0 ? SIM_COMMITTED : cluster->transactions[record->transaction].outcome;
}

/* Index of the first record at or after the offset. */
static size_t lower_bound(const sim_partition* log, int64_t offset) {
  size_t low = 0, high = log->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (log->records[middle].offset < offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

const sim_record* sim_read(const sim_cluster* cluster, freshet_topic topic, int32_t partition,
                           int64_t* position) {
  const sim_partition* log = &cluster->logs[topic][partition];
  if (*position < log->first) *position = log->first;
  for (size_t i = lower_bound(log, *position); i < log->count; i++) {
    const sim_record* record = &log->records[i];
    sim_outcome outcome = outcome_of(cluster, record);
    *position = record->offset;
    if (outcome == SIM_OPEN) return NULL; /* the last stable offset */
    if (outcome == SIM_COMMITTED && !record->is_marker) return record;
  }
  *position = log->end;
  return NULL;
}

freshet_slice sim_header(const sim_record* record, const char* name) {
  const char* at = (const char*)record->headers.data;
  const char* end = at + record->headers.size;
  while (at != NULL && at < end) {
    const char* found = at;
    uint32_t size;
    at += strlen(at) + 1;
    memcpy(&size, at, sizeof size);
    at += sizeof size;
    if (strcmp(found, name) == 0) return (freshet_slice){at, size};
    at += size;
  }
  return (freshet_slice){NULL, 0};
}

static bool is_replaced(const sim_cluster* cluster, const sim_partition* log, size_t i, size_t stable) {
  for (size_t j = i + 1; j < stable; j++) {
    const sim_record* later = &log->records[j];
    if (later->is_marker || outcome_of(cluster, later) != SIM_COMMITTED) continue;
    if (freshet_slice_equal(freshet_buffer_slice(&later->key), freshet_buffer_slice(&log->records[i].key)))
      return true;
  }
  return false;
}

/* Of the groups that have begun. */
static int64_t least_committed(const sim_cluster* cluster, freshet_topic topic, int p) {
  int64_t least = cluster->groups[0].committed[topic][p];
  for (int app = 1; app < SIM_APPS; app++) {
    int64_t committed = cluster->groups[app].committed[topic][p];
    if (cluster->groups[app].generation > 0 && committed < least) least = committed;
  }
  return least;
}

void sim_compact(sim_cluster* cluster, freshet_topic topic, int64_t tombstone_retention_ms) {
  for (int p = 0; p < cluster->partitions[topic]; p++) {
    sim_partition* log = &cluster->logs[topic][p];
    int64_t read = topic == FRESHET_TOPIC_ITEMS ? least_committed(cluster, topic, p) : INT64_MAX;
    size_t stable = 0, kept = 0;
    while (stable < log->count && log->records[stable].offset < read &&
           outcome_of(cluster, &log->records[stable]) != SIM_OPEN) {
      stable++;
    }
    for (size_t i = 0; i < log->count; i++) {
      sim_record* record = &log->records[i];
      if (record->cleaned_ms == 0 && i < stable) record->cleaned_ms = sim_now_ms(cluster);
      bool is_old = i < stable && sim_now_ms(cluster) - record->cleaned_ms > tombstone_retention_ms;
      bool is_data = !record->is_marker && outcome_of(cluster, record) == SIM_COMMITTED;
      bool goes =
          i < stable && is_data && ((!record->has_value && is_old) || is_replaced(cluster, log, i, stable));
      if (goes) {
        free_record(record);
      } else {
        log->records[kept++] = *record;
      }
    }
    log->count = kept;
  }
}

void sim_expire(sim_cluster* cluster, freshet_topic topic, int32_t partition, int64_t first) {
  sim_partition* log = &cluster->logs[topic][partition];
  size_t gone = lower_bound(log, first);
  for (size_t i = 0; i < gone; i++) free_record(&log->records[i]);
  memmove(log->records, log->records + gone, (log->count - gone) * sizeof *log->records);
  log->count -= gone;
  if (first > log->first) log->first = first;
}

sim_record* sim_last(sim_cluster* cluster, freshet_topic topic, int32_t partition) {
  sim_partition* log = &cluster->logs[topic][partition];
  for (size_t i = log->count; i > 0; i--) {
    sim_record* record = &log->records[i - 1];
    if (!record->is_marker && outcome_of(cluster, record) == SIM_COMMITTED) return record;
  }
  return NULL;
}

void sim_truncate(sim_cluster* cluster, freshet_topic topic, int32_t partition, int64_t end) {
  sim_partition* log = &cluster->logs[topic][partition];
  while (log->count > 0 && log->records[log->count - 1].offset >= end)
    free_record(&log->records[--log->count]);
  log->end = end;
}

void sim_make_again(sim_cluster* cluster, freshet_topic topic) {
  const int kind = (int)topic % FRESHET_TOPICS;
  for (int32_t p = 0; p < cluster->partitions[topic]; p++) {
    sim_truncate(cluster, topic, p, 0);
    cluster->logs[topic][p].first = 0;
    for (int app = 0; app < SIM_APPS; app++) {
      cluster->groups[app].committed[kind][p] = -1;
      cluster->groups[app].listed[kind][p] = FRESHET_NOT_LISTED;
    }
  }
}

void sim_grow(sim_cluster* cluster, freshet_topic topic) {
  FRESHET_ASSERT(cluster->partitions[topic] < SIM_PARTITIONS_MAX);
  cluster->partitions[topic]++;
}

/* ---- transactions ---- */

int32_t sim_begin(sim_cluster* cluster, int producer) {
  FRESHET_ASSERT(cluster->producers[producer].current < 0);
  if (cluster->transaction_count == cluster->transaction_capacity) {
    cluster->transaction_capacity =
        cluster->transaction_capacity == 0 ? 64 : cluster->transaction_capacity * 2;
    cluster->transactions =
        realloc(cluster->transactions, cluster->transaction_capacity * sizeof *cluster->transactions);
    FRESHET_ASSERT(cluster->transactions != NULL);
  }
  int32_t index = (int32_t)cluster->transaction_count++;
  sim_transaction* t = &cluster->transactions[index];
  *t = (sim_transaction){.producer = producer, .begun_us = cluster->now_us};
  for (int topic = 0; topic < SIM_TOPICS; topic++) {
    for (int p = 0; p < SIM_PARTITIONS_MAX; p++) t->ends[topic][p] = -1;
  }
  cluster->producers[producer].current = index;
  return index;
}

void sim_decide(sim_cluster* cluster, int32_t transaction, sim_outcome outcome, int64_t later_us) {
  sim_transaction* t = &cluster->transactions[transaction];
  FRESHET_ASSERT(t->decided == SIM_OPEN && outcome != SIM_OPEN);
  t->decided = outcome;
  t->ends_us = cluster->now_us + later_us;
}

void sim_end(sim_cluster* cluster, int32_t transaction, sim_outcome outcome) {
  sim_transaction* t = &cluster->transactions[transaction];
  FRESHET_ASSERT(t->outcome == SIM_OPEN && outcome != SIM_OPEN);
  FRESHET_ASSERT(t->decided == SIM_OPEN || t->decided == outcome);
  t->outcome = t->decided = outcome;
  cluster->producers[t->producer].current = -1;
  for (int topic = 0; topic < SIM_TOPICS; topic++) {
    for (int p = 0; p < SIM_PARTITIONS_MAX; p++) {
      if (!t->wrote[topic][p]) continue;
      sim_record* marker = push(cluster, &cluster->logs[topic][p]);
      marker->transaction = transaction;
      marker->is_marker = true;
      marker->timestamp_ms = sim_now_ms(cluster);
    }
  }
  if (outcome != SIM_COMMITTED) return;
  for (size_t i = 0; i < t->offset_count; i++) {
    const freshet_partition* o = &t->offsets[i];
    int64_t* committed = &cluster->groups[t->app].committed[o->topic][o->partition];
    int64_t* by = &cluster->groups[t->app].committed_by[o->topic][o->partition];
    if (t->offsets_order < *by) continue; /* a later commit has ended before this one */
    *committed = o->offset;
    cluster->groups[t->app].listed[o->topic][o->partition] = o->listed;
    *by = t->offsets_order;
  }
}

static void end_current(sim_cluster* cluster, const sim_producer* producer) {
  const sim_outcome decided = cluster->transactions[producer->current].decided;
  sim_end(cluster, producer->current, decided == SIM_OPEN ? SIM_ABORTED : decided);
}

uint64_t sim_producer_init(sim_cluster* cluster, int producer) {
  sim_producer* p = &cluster->producers[producer];
  if (p->current >= 0) end_current(cluster, p);
  return ++p->epoch;
}

bool sim_is_ending(const sim_cluster* cluster, int producer) {
  const int32_t current = cluster->producers[producer].current;
  return current >= 0 && cluster->transactions[current].decided != SIM_OPEN;
}

void sim_end_decided(sim_cluster* cluster) {
  for (int i = 0; i < SIM_PRODUCERS_MAX; i++) {
    if (sim_is_ending(cluster, i)) end_current(cluster, &cluster->producers[i]);
  }
}

/* ---- the group ---- */

sim_member* sim_group_member(sim_cluster* cluster, int app, uint64_t id) {
  for (int i = 0; i < SIM_MEMBERS_MAX; i++) {
    if (cluster->groups[app].members[i].id == id) return &cluster->groups[app].members[i];
  }
  return NULL;
}

static size_t member_count(const sim_group* group) {
  size_t count = 0;
  for (int i = 0; i < SIM_MEMBERS_MAX; i++) count += group->members[i].id != 0;
  return count;
}

/* Range assignment: the same partitions of every topic go to the same member. */
static void share(sim_cluster* cluster, int app) {
  sim_group* group = &cluster->groups[app];
  size_t members = member_count(group), rank = 0;
  size_t turn = members == 0 ? 0 : sim_below(&cluster->random, (uint32_t)members); /* who is first */
  for (int i = 0; i < SIM_MEMBERS_MAX; i++) {
    sim_member* member = &group->members[i];
    memset(member->owns, 0, sizeof member->owns);
    if (member->id == 0) continue;
    size_t place = (rank++ + turn) % members;
    for (int topic = 0; topic <= FRESHET_TOPIC_REQUESTS; topic++) {
      for (int p = 0; p < cluster->partitions[topic]; p++) {
        member->owns[topic][p] = (size_t)p * members / (size_t)cluster->partitions[topic] == place;
      }
    }
  }
}

static void complete_when_all_answered(sim_cluster* cluster, int app) {
  sim_group* group = &cluster->groups[app];
  for (int i = 0; i < SIM_MEMBERS_MAX; i++) {
    if (group->members[i].id != 0 && !group->members[i].joined) return;
  }
  group->is_rebalancing = false;
  group->generation++;
  share(cluster, app);
}

void sim_group_rebalance(sim_cluster* cluster, int app) {
  sim_group* group = &cluster->groups[app];
  if (group->is_rebalancing) return;
  group->is_rebalancing = true;
  group->rebalancing_us = cluster->now_us;
  for (int i = 0; i < SIM_MEMBERS_MAX; i++) group->members[i].joined = false;
  if (member_count(group) == 0) complete_when_all_answered(cluster, app);
}

void sim_group_answer(sim_cluster* cluster, int app, sim_member* member) {
  member->joined = true;
  complete_when_all_answered(cluster, app);
}

void sim_group_join(sim_cluster* cluster, int app, uint64_t id, int instance) {
  sim_group* group = &cluster->groups[app];
  sim_member* free_place = NULL;
  for (int i = 0; i < SIM_MEMBERS_MAX; i++) {
    sim_member* member = &group->members[i];
    if (member->id == 0) {
      free_place = member;
    } else if (member->instance == instance) {
      member->id = id;
      member->is_gone = false;
      if (group->is_rebalancing) sim_group_answer(cluster, app, member);
      return;
    }
  }
  FRESHET_ASSERT(free_place != NULL);
  *free_place = (sim_member){.id = id, .instance = instance};
  sim_group_rebalance(cluster, app);
  sim_group_answer(cluster, app, free_place);
}

void sim_group_remove(sim_cluster* cluster, int app, sim_member* member) {
  *member = (sim_member){0};
  if (cluster->groups[app].is_rebalancing) {
    complete_when_all_answered(cluster, app);
  } else {
    sim_group_rebalance(cluster, app);
  }
}

bool sim_group_is_unstable(const sim_cluster* cluster, int app, freshet_topic topic, int32_t partition) {
  for (int i = 0; i < SIM_PRODUCERS_MAX; i++) {
    if (cluster->producers[i].current < 0) continue;
    const sim_transaction* t = &cluster->transactions[cluster->producers[i].current];
    if (t->app != app) continue;
    for (size_t o = 0; o < t->offset_count; o++) {
      if (t->offsets[o].topic == topic && t->offsets[o].partition == partition) return true;
    }
  }
  return false;
}
