/*
 * support_stream.c: source.h and its freshet_reader on the simulated broker: polling, the consumer group, and
 * views that die with the next poll.
 */
#include <stdlib.h>

#include "support_process.h"

enum { ASK_MS = 100 }; /* until a question is asked again */

/* ---- records that live until the next poll ---- */

static void free_views(freshet_buffer** views, size_t* count) {
  for (size_t i = 0; i < *count; i++) freshet_buffer_free(&(*views)[i]);
  free(*views);
  *views = NULL;
  *count = 0;
}

/* Copies a view into memory of its own, so that a use after its end is found by the sanitizer. */
static freshet_slice view(freshet_buffer** views, size_t* count, const freshet_buffer* bytes) {
  *views = realloc(*views, (*count + 1) * sizeof **views);
  FRESHET_ASSERT(*views != NULL);
  freshet_buffer* copy = &(*views)[(*count)++];
  *copy = (freshet_buffer){0};
  freshet_buffer_reserve(copy, bytes->size + 1);
  freshet_buffer_append(copy, bytes->data, bytes->size);
  return freshet_buffer_slice(copy);
}

static freshet_record show(freshet_buffer** views, size_t* count, freshet_topic topic, int32_t partition,
                           const sim_record* record) {
  freshet_record out = {.topic = topic,
                        .partition = partition,
                        .offset = record->offset,
                        .timestamp_ms = record->timestamp_ms,
                        .has_key = record->has_key,
                        .has_value = record->has_value};
  if (record->has_key) out.key = view(views, count, &record->key);
  if (record->has_value) out.value = view(views, count, &record->value);
  return out;
}

/* Number of records that a poll finds: mostly few. */
static size_t luck(sim_process* process, size_t capacity) {
  sim_random* random = &process->world->cluster.random;
  if (sim_chance(random, 100)) return 0;
  return sim_skewed(random, 1, capacity < 64 ? (uint32_t)capacity : 64);
}

/* ---- the group ---- */

static size_t list_partitions(const sim_process* process, bool which[FRESHET_TOPICS][SIM_PARTITIONS_MAX],
                              freshet_partition* out) {
  size_t count = 0;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    for (int p = 0; p < SIM_PARTITIONS_MAX; p++) {
      const sim_group* group = &process->world->cluster.groups[process->app];
      if (!which[topic][p]) continue;
      out[count++] =
          (freshet_partition){(freshet_topic)topic, p, group->committed[topic][p], group->listed[topic][p]};
    }
  }
  return count;
}

static freshet_status let_go(sim_process* process, bool lost, freshet_error* error) {
  freshet_partition partitions[SIM_OFFSETS_MAX];
  size_t count = list_partitions(process, process->holds, partitions);
  if (count == 0) return FRESHET_OK;
  const freshet_source_handler* handler = &process->handler;
  freshet_status status = handler->revoked(handler->context, partitions, count, lost, error);
  memset(process->holds, 0, sizeof process->holds);
  process->rewinds++;
  return status;
}

static freshet_status take_over(sim_process* process, sim_member* member, freshet_error* error) {
  freshet_partition partitions[SIM_OFFSETS_MAX];
  bool owns[FRESHET_TOPICS][SIM_PARTITIONS_MAX];
  memcpy(owns, member->owns, sizeof owns);
  process->generation = process->world->cluster.groups[process->app].generation;
  size_t count = list_partitions(process, owns, partitions);
  const freshet_source_handler* handler = &process->handler;
  if (count == 0) return handler->assigned(handler->context, partitions, 0, error);
  process->has_abandoned = false;
  freshet_status status = handler->assigned(handler->context, partitions, count, error);
  memcpy(process->holds, owns, sizeof owns);
  for (size_t i = 0; i < count; i++) {
    const freshet_partition* p = &partitions[i];
    process->fetch[p->topic][p->partition] = process->after[p->topic][p->partition] =
        p->offset < 0 ? 0 : p->offset;
  }
  process->rewinds++;
  return status;
}

static bool is_unstable(const sim_process* process, const sim_member* member) {
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    for (int p = 0; p < SIM_PARTITIONS_MAX; p++) {
      if (member->owns[topic][p] &&
          sim_group_is_unstable(&process->world->cluster, process->app, (freshet_topic)topic, p))
        return true;
    }
  }
  return false;
}

/* What a poll does for the group before it reads. */
static freshet_status take_part(sim_process* process, freshet_error* error) {
  sim_cluster* cluster = &process->world->cluster;
  sim_member* member = sim_group_member(cluster, process->app, process->member);
  if (member == NULL) {
    if (sim_is_fenced_member(process)) return sim_fenced(process, error);
    if (sim_chance(&cluster->random, 800)) return FRESHET_OK; /* it has not noticed its removal yet */
    freshet_status status = let_go(process, true, error);
    process->member = ++process->world->next_id;
    if (status == FRESHET_OK && !process->is_dead)
      sim_group_join(cluster, process->app, process->member, process->slot);
    return status;
  }
  if (cluster->groups[process->app].is_rebalancing) {
    freshet_status status = member->joined ? FRESHET_OK : let_go(process, false, error);
    member = sim_group_member(cluster, process->app, process->member);
    bool answers = status == FRESHET_OK && !process->is_dead && member != NULL &&
                   cluster->groups[process->app].is_rebalancing && !member->joined;
    if (answers) sim_group_answer(cluster, process->app, member);
    return status;
  }
  if (process->generation == cluster->groups[process->app].generation || is_unstable(process, member))
    return FRESHET_OK;
  return take_over(process, member, error);
}

static void meddle(sim_process* process) {
  sim_world* world = process->world;
  sim_member* member = sim_group_member(&world->cluster, process->app, process->member);
  if (member != NULL && sim_chance(&world->cluster.random, world->faults.kick)) {
    sim_group_remove(&world->cluster, process->app, member);
  } else if (sim_chance(&world->cluster.random, world->faults.rebalance)) {
    sim_group_rebalance(&world->cluster, process->app);
  }
}

/* ---- source ---- */

static void fetch(sim_process* process, freshet_topic topic, int32_t partition, size_t most,
                  freshet_record* out, size_t* count) {
  sim_cluster* cluster = &process->world->cluster;
  struct sim_source* source = &process->source;
  int64_t* position = &process->fetch[topic][partition];
  for (size_t i = 0; i < most; i++) {
    const sim_record* record = sim_read(cluster, topic, partition, position);
    if (record == NULL) return;
    out[(*count)++] = show(&source->views, &source->view_count, topic, partition, record);
    *position = process->after[topic][partition] = record->offset + 1;
  }
}

static freshet_status source_poll(freshet_source* self, int timeout_ms, freshet_record* out, size_t capacity,
                                  size_t* count, freshet_error* error) {
  struct sim_source* source = (struct sim_source*)self;
  sim_process* process = source->process;
  *count = 0;
  free_views(&source->views, &source->view_count);
  if (!sim_boundary(process)) return sim_death(error);
  meddle(process);
  freshet_status status = take_part(process, error);
  if (status != FRESHET_OK) return status;
  if (process->is_dead) return sim_death(error);
  for (int i = 0; i < FRESHET_TOPICS * SIM_PARTITIONS_MAX; i++) {
    int topic = i / SIM_PARTITIONS_MAX, p = i % SIM_PARTITIONS_MAX;
    if (!process->holds[topic][p] || !sim_has_leader(&process->world->cluster, (freshet_topic)topic, p))
      continue;
    if (topic == FRESHET_TOPIC_EVENTS &&
        sim_chance(&process->world->cluster.random, process->world->faults.no_events))
      continue;
    fetch(process, (freshet_topic)topic, p, luck(process, capacity - *count), out, count);
  }
  if (*count == 0) sim_wait(process, timeout_ms);
  return process->is_dead ? sim_death(error) : FRESHET_OK;
}

static freshet_status source_seek(freshet_source* self, const freshet_partition* partitions, size_t count,
                                  freshet_error* error) {
  sim_process* process = ((struct sim_source*)self)->process;
  if (!sim_boundary(process)) return sim_death(error);
  free_views(&process->source.views, &process->source.view_count);
  for (size_t i = 0; i < count; i++) {
    const freshet_partition* p = &partitions[i];
    if (!process->holds[p->topic][p->partition]) continue;
    process->fetch[p->topic][p->partition] = process->after[p->topic][p->partition] =
        p->offset < 0 ? 0 : p->offset;
  }
  process->rewinds++;
  return FRESHET_OK;
}

static int64_t source_end(freshet_source* self, freshet_topic topic, int32_t partition) {
  sim_process* process = ((struct sim_source*)self)->process;
  if (!process->holds[topic][partition]) return -1;
  int64_t end = process->world->cluster.logs[topic][partition].end;
  return process->fetch[topic][partition] < end ? end : process->after[topic][partition];
}

static freshet_status source_committed(freshet_source* self, freshet_topic topic, int32_t partition,
                                       int64_t* offset, freshet_error* error) {
  sim_process* process = ((struct sim_source*)self)->process;
  const sim_cluster* cluster = &process->world->cluster;
  if (!sim_boundary(process)) return sim_death(error);
  while (sim_group_is_unstable(cluster, process->app, topic, partition)) {
    sim_wait(process, ASK_MS);
    if (!sim_boundary(process)) return sim_death(error);
  }
  *offset = cluster->groups[process->app].committed[topic][partition];
  return FRESHET_OK;
}

static bool source_header(freshet_source* self, const freshet_record* record, const char* name,
                          freshet_slice* value) {
  (void)self, (void)record, (void)name, (void)value;
  return false;
}

/* No other thread asks a simulated process. */
static void source_wake(freshet_source* self) {
  (void)self;
}

static freshet_status source_close(freshet_source* self, freshet_error* error) {
  sim_process* process = ((struct sim_source*)self)->process;
  if (!sim_boundary(process)) return sim_death(error);
  if (sim_is_fenced_member(process)) return sim_fenced(process, error);
  bool lost = sim_group_member(&process->world->cluster, process->app, process->member) == NULL;
  freshet_status status = let_go(process, lost, error);
  sim_member* member = sim_group_member(&process->world->cluster, process->app, process->member);
  if (member != NULL && !process->is_dead) sim_group_remove(&process->world->cluster, process->app, member);
  return status;
}

static void no_destroy_source(freshet_source* self) {
  (void)self;
}

static const freshet_source_vtable source_vtable = {.poll = source_poll,
                                                    .seek = source_seek,
                                                    .end = source_end,
                                                    .committed = source_committed,
                                                    .header = source_header,
                                                    .wake = source_wake,
                                                    .close = source_close,
                                                    .destroy = no_destroy_source};

/* ---- log ---- */

static struct sim_log* log_of(freshet_reader* self) {
  return (struct sim_log*)self;
}

static freshet_status log_partitions(freshet_reader* self, freshet_topic topic, int32_t* count,
                                     freshet_error* error) {
  sim_process* process = log_of(self)->process;
  if (!sim_boundary(process)) return sim_death(error);
  *count = process->world->cluster.partitions[sim_topic(process->app, topic)];
  return FRESHET_OK;
}

static freshet_status log_range(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t* first,
                                int64_t* end, freshet_error* error) {
  sim_process* process = log_of(self)->process;
  const sim_cluster* cluster = &process->world->cluster;
  const freshet_topic there = sim_topic(process->app, topic);
  if (!sim_boundary(process)) return sim_death(error);
  while (!sim_has_leader(cluster, there, partition)) { /* asked again until there is an answer */
    sim_wait(process, ASK_MS);
    if (!sim_boundary(process)) return sim_death(error);
  }
  const sim_partition* log = &cluster->logs[there][partition];
  *first = log->first;
  *end = log->end;
  return FRESHET_OK;
}

static freshet_status log_open(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t offset,
                               freshet_error* error) {
  struct sim_log* log = log_of(self);
  if (!sim_boundary(log->process)) return sim_death(error);
  log->positions[topic][partition] = offset == FRESHET_OFFSET_BEGINNING ? 0 : offset;
  log->started[topic][partition] = offset != FRESHET_OFFSET_BEGINNING;
  return FRESHET_OK;
}

static freshet_status log_shut(freshet_reader* self, freshet_topic topic, int32_t partition,
                               freshet_error* error) {
  struct sim_log* log = log_of(self);
  if (!sim_boundary(log->process)) return sim_death(error);
  log->positions[topic][partition] = SIM_SHUT;
  return FRESHET_OK;
}

/* Reads some records of one partition. An offset that has expired cannot be read, as with
 * auto.offset.reset=error. */
static freshet_status read_some(struct sim_log* log, freshet_topic topic, int32_t partition, size_t most,
                                freshet_record* out, size_t* count, freshet_error* error) {
  sim_cluster* cluster = &log->process->world->cluster;
  freshet_topic there = sim_topic(log->process->app, topic);
  int64_t* position = &log->positions[topic][partition];
  bool* started = &log->started[topic][partition];
  if (*started && *position < cluster->logs[there][partition].first) {
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                             "topic %d [%d]: the offset to read from no longer exists", (int)topic,
                             partition);
  }
  for (size_t i = 0; i <= most; i++) {
    const sim_record* record = sim_read(cluster, there, partition, position);
    *started = true;
    if (record == NULL || i == most) return FRESHET_OK;
    out[(*count)++] = show(&log->views, &log->view_count, topic, partition, record);
    *position = record->offset + 1;
  }
  return FRESHET_OK;
}

static freshet_status log_poll(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  struct sim_log* log = log_of(self);
  *count = 0;
  free_views(&log->views, &log->view_count);
  if (!sim_boundary(log->process)) return sim_death(error);
  log->polled_ms = sim_process_now_ms(log->process);
  for (int i = 0; i < FRESHET_TOPICS * SIM_PARTITIONS_MAX; i++) {
    int topic = i / SIM_PARTITIONS_MAX, p = i % SIM_PARTITIONS_MAX;
    const freshet_topic there = sim_topic(log->process->app, (freshet_topic)topic);
    if (log->positions[topic][p] == SIM_SHUT || !sim_has_leader(&log->process->world->cluster, there, p))
      continue;
    size_t most = luck(log->process, capacity - *count);
    if (most == 0) continue;
    freshet_status status = read_some(log, (freshet_topic)topic, p, most, out, count, error);
    if (status != FRESHET_OK) return status;
  }
  if (*count == 0) sim_wait(log->process, timeout_ms);
  return log->process->is_dead ? sim_death(error) : FRESHET_OK;
}

static int64_t log_position(freshet_reader* self, freshet_topic topic, int32_t partition) {
  const struct sim_log* log = log_of(self);
  bool is_known = log->positions[topic][partition] != SIM_SHUT && log->started[topic][partition];
  return is_known ? log->positions[topic][partition] : -1;
}

static int64_t log_end(freshet_reader* self, freshet_topic topic, int32_t partition) {
  const sim_process* process = log_of(self)->process;
  return process->world->cluster.logs[sim_topic(process->app, topic)][partition].end;
}

static void no_destroy_log(freshet_reader* self) {
  (void)self;
}

static const freshet_reader_vtable log_vtable = {.partitions = log_partitions,
                                                 .range = log_range,
                                                 .open = log_open,
                                                 .shut = log_shut,
                                                 .poll = log_poll,
                                                 .position = log_position,
                                                 .end = log_end,
                                                 .destroy = no_destroy_log};

void sim_stream_init(sim_process* process) {
  process->generation = -1;
  process->source = (struct sim_source){.base = {&source_vtable}, .process = process};
  for (int i = 0; i < SIM_LOGS; i++) {
    process->logs[i] = (struct sim_log){.base = {&log_vtable}, .process = process};
    for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
      for (int p = 0; p < SIM_PARTITIONS_MAX; p++) process->logs[i].positions[topic][p] = SIM_SHUT;
    }
  }
}

void sim_stream_free(sim_process* process) {
  free_views(&process->source.views, &process->source.view_count);
  for (int i = 0; i < SIM_LOGS; i++) free_views(&process->logs[i].views, &process->logs[i].view_count);
}
