/*
 * predecessors.c: see predecessors.h.
 *
 * It owns a thread with two consumers that only ask: one sees committed records only, the other sees all. It must not
 * fence a process that is alive: that one ends its transactions by itself.
 */
#include "kafka/predecessors.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "core/monotonic.h"
#include "kafka/app_generations.h"
#include "kafka/members.h"
#include "kafka/owner.h"

enum {
  LOOK_MS = 500,
  RESTS_MS = 1500,
  WATCH_MS = 60000,
  ASK_MS = 2000,
  STABLE_MS = 200,
  MEMBER_ID_SIZE = 512
};

/* How far a log is decided. */
typedef struct log_end {
  int64_t end;       /* of all records, when it was first looked at; -1: not yet */
  int64_t committed; /* where committed records ended at since_ms; -1: not known */
  int64_t since_ms;
} log_end;

/* CHANGELOG: the partition of its users. DELTAS: all processes wait there for what one has left open. */
enum { CHANGELOG, DELTAS, LOGS };

/* A partition that is watched. */
typedef struct place {
  int32_t partition;
  int64_t until_ms;
  int64_t came_ms;
  log_end logs[LOGS];
  bool is_fenced;                 /* its last owner was, or could not be */
  char member_id[MEMBER_ID_SIZE]; /* our own, as the group knew it when the partition came */
} place;

struct freshet_predecessors {
  const freshet_kafka_config* config;
  freshet_kafka_config asking; /* the same, for clients that take no part */
  pthread_t thread;
  _Atomic bool is_stopping;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* under the lock */
  bool is_running;
  place* places; /* [count] */
  size_t count, capacity;
};

/* For the clients that ask: the process stops, or this object does. */
static bool is_over(void* context) {
  const freshet_predecessors* p = context;
  const freshet_kafka_config* config = p->config;
  return atomic_load(&p->is_stopping) ||
         (config->stopping != NULL && config->stopping(config->stopping_context));
}

freshet_predecessors* freshet_predecessors_create(const freshet_kafka_config* config) {
  freshet_predecessors* p = calloc(1, sizeof *p);
  FRESHET_ASSERT(p != NULL);
  p->config = config;
  p->asking = *config;
  p->asking.instance_id = p->asking.transactional_id = NULL;
  p->asking.stopping = is_over;
  p->asking.stopping_context = p;
  pthread_mutex_init(&p->lock, NULL);
  freshet_condition_init(&p->changed);
  return p;
}

/* ---- questions ---- */

/* The ends of the changelog's partitions in the list, -1 where there is no answer. */
static void ask_ends(freshet_kafka_client* client, rd_kafka_topic_partition_list_t* list) {
  for (int i = 0; i < list->cnt; i++) list->elems[i].offset = RD_KAFKA_OFFSET_END;
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client->handle, list, ASK_MS);
  for (int i = 0; i < list->cnt; i++) {
    rd_kafka_topic_partition_t* asked = &list->elems[i];
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || asked->err != RD_KAFKA_RESP_ERR_NO_ERROR) asked->offset = -1;
  }
}

static freshet_owner ask_owner(freshet_kafka_client* client, int32_t partition) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, client->config->topics[FRESHET_TOPIC_EVENTS], partition);
  freshet_owner owner = {{0}, {0}, 0};
  if (rd_kafka_committed(client->handle, list, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR &&
      list->elems[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
    owner = freshet_owner_read(list->elems[0].metadata, list->elems[0].metadata_size);
  rd_kafka_topic_partition_list_destroy(list);
  return owner;
}

/* False while offsets of these partitions wait for a transaction: under read_committed there is no answer then. */
static bool has_stable_offsets(freshet_kafka_client* committed, const place* places, size_t count) {
  static const freshet_topic inputs[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_ITEMS, FRESHET_TOPIC_REQUESTS};
  enum { INPUTS = sizeof inputs / sizeof *inputs };
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new((int)count * INPUTS);
  for (size_t i = 0; i < INPUTS * count; i++) {
    const char* topic = committed->config->topics[inputs[i % INPUTS]];
    if (topic != NULL) rd_kafka_topic_partition_list_add(list, topic, places[i / INPUTS].partition);
  }
  rd_kafka_resp_err_t code = rd_kafka_committed(committed->handle, list, STABLE_MS);
  rd_kafka_topic_partition_list_destroy(list);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

typedef struct search {
  const freshet_kafka_config* config;
  const freshet_owner* owner;
  const char* self; /* our own member id */
  bool is_found, has_self;
} search;

static bool gives(const search* s, freshet_slice instance_id) {
  char name[FRESHET_OWNER_ID_SIZE], id[2 * FRESHET_OWNER_ID_SIZE];
  if (instance_id.size == 0 || instance_id.size >= sizeof name) return false;
  memcpy(name, instance_id.data, instance_id.size);
  name[instance_id.size] = '\0';
  freshet_kafka_transactional_id(s->config->app_id, name, id, sizeof id);
  return strcmp(id, s->owner->transactional_id) == 0;
}

/* A process that was started again has the name or the client id of the last run, and another member id. */
static void compare_member(void* context, const freshet_kafka_member* member) {
  search* s = context;
  bool is_same_run = member->uuid.size == strlen(s->owner->member) &&
                     memcmp(member->uuid.data, s->owner->member, member->uuid.size) == 0;
  bool is_same_client = s->owner->client != 0 && freshet_owner_client(member->client_id) == s->owner->client;
  if (is_same_run || is_same_client || gives(s, member->name)) s->is_found = true;
  size_t length = strlen(s->self);
  if (member->uuid.size > 0 && length > member->uuid.size &&
      memcmp(s->self + length - member->uuid.size, member->uuid.data, member->uuid.size) == 0)
    s->has_self = true;
}

/* Aborts what the last owner of the partition has left open, unless it is alive or unknown. An answer without
 * ourselves says nothing about others. True: it was tried. */
static bool look_for_owner(freshet_predecessors* p, freshet_kafka_client* all, const place* at) {
  const int32_t partition = at->partition;
  freshet_owner owner = ask_owner(all, partition);
  search s = {.config = p->config, .owner = &owner, .self = at->member_id};
  if (owner.transactional_id[0] == '\0' || strcmp(owner.transactional_id, p->config->transactional_id) == 0)
    return false;
  rd_kafka_resp_err_t code =
      freshet_kafka_client_describe(all, p->config->app_id, ASK_MS, compare_member, &s);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR || s.is_found || !s.has_self) return false;
  freshet_log_fact(p->config->logger, FRESHET_WARN, "predecessor.fenced",
                   "partition=%d transactional_id=\"%s\" message=\"its process is gone and has left a "
                   "transaction open, which is aborted now\"",
                   (int)partition, owner.transactional_id);
  freshet_error error = {0};
  freshet_status status = freshet_kafka_fence(&p->asking, owner.transactional_id, &error);
  if (status != FRESHET_OK)
    freshet_log_fact(p->config->logger, FRESHET_WARN, "predecessor.kept",
                     "transactional_id=\"%s\" reason=\"%s\"", owner.transactional_id, error.message);
  return true;
}

/* ---- the thread ---- */

/* What two ends say of a partition. */
typedef enum verdict { SETTLED, OPEN, RESTING } verdict;

/* `committed` was asked before `end`; -1: no answer. It is in order when all that was there when the partition came is
 * decided. A process may leave two transactions open, so an end that has moved once says nothing. */
static verdict judge(log_end* log, int64_t now_ms, int64_t committed, int64_t end) {
  if (log->end < 0) log->end = end;
  if (committed < 0 || log->end < 0) return OPEN;
  if (committed >= log->end) return SETTLED;
  if (log->committed == committed) return now_ms - log->since_ms >= RESTS_MS ? RESTING : OPEN;
  log->committed = committed;
  log->since_ms = now_ms;
  return OPEN;
}

/* Where a log ends by such a list; -1: no answer. */
static int64_t end_in(const freshet_predecessors* p, const rd_kafka_topic_partition_list_t* list,
                      freshet_topic topic, int32_t partition) {
  return rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t*)list, p->config->topics[topic],
                                            partition)
      ->offset;
}

/* Offsets that wait are a log at its end that rests. */
static verdict judge_place(const freshet_predecessors* p, place* at, int64_t now_ms,
                           const rd_kafka_topic_partition_list_t* committed,
                           const rd_kafka_topic_partition_list_t* ends, bool is_stable) {
  verdict first =
      judge(&at->logs[CHANGELOG], now_ms, end_in(p, committed, FRESHET_TOPIC_USERS, at->partition),
            end_in(p, ends, FRESHET_TOPIC_USERS, at->partition));
  verdict second = judge(&at->logs[DELTAS], now_ms, end_in(p, committed, FRESHET_TOPIC_ITEM_DELTAS, 0),
                         end_in(p, ends, FRESHET_TOPIC_ITEM_DELTAS, 0));
  if (first == RESTING || second == RESTING) return RESTING;
  if (first == OPEN || second == OPEN) return OPEN;
  if (is_stable) return SETTLED;
  return now_ms - at->came_ms >= RESTS_MS ? RESTING : OPEN;
}

/* Looks once at `places` [count], and drops those that are in order or over. Without the lock. */
static size_t look(freshet_predecessors* p, freshet_kafka_client* committed, freshet_kafka_client* all,
                   place* places, size_t count) {
  int64_t now_ms = freshet_monotonic_ms();
  rd_kafka_topic_partition_list_t* stable = rd_kafka_topic_partition_list_new((int)count + 1);
  for (size_t i = 0; i < count; i++)
    rd_kafka_topic_partition_list_add(stable, p->config->topics[FRESHET_TOPIC_USERS], places[i].partition);
  rd_kafka_topic_partition_list_add(stable, p->config->topics[FRESHET_TOPIC_ITEM_DELTAS], 0);
  rd_kafka_topic_partition_list_t* ends = rd_kafka_topic_partition_list_copy(stable);
  ask_ends(committed, stable);
  ask_ends(all, ends);
  const bool are_stable = has_stable_offsets(committed, places, count);
  bool has_tried = false; /* then the answers are of a moment before */
  size_t kept = 0;
  for (size_t i = 0; i < count && !is_over(p); i++) {
    const bool is_stable = are_stable || (!has_tried && has_stable_offsets(committed, &places[i], 1));
    verdict v = judge_place(p, &places[i], now_ms, stable, ends, is_stable);
    if (v == SETTLED || now_ms >= places[i].until_ms) continue;
    if (v == RESTING && !places[i].is_fenced && !has_tried)
      has_tried = places[i].is_fenced = look_for_owner(p, all, &places[i]);
    places[kept++] = places[i];
  }
  rd_kafka_topic_partition_list_destroy(stable);
  rd_kafka_topic_partition_list_destroy(ends);
  return kept;
}

/* Takes what came meanwhile beside what is left of the last look. Under the lock. */
static void take_new(freshet_predecessors* p, place** mine, size_t* count, size_t* capacity) {
  for (size_t i = 0; i < p->count; i++) {
    size_t at = 0;
    while (at < *count && (*mine)[at].partition != p->places[i].partition) at++;
    if (at == *count) *mine = freshet_grow(*mine, capacity, ++*count, sizeof **mine);
    (*mine)[at] = p->places[i];
  }
  p->count = 0;
}

static bool open_clients(freshet_predecessors* p, freshet_kafka_client* committed,
                         freshet_kafka_client* all) {
  const freshet_kafka_callbacks none = {0};
  if (committed->handle != NULL) return true;
  return freshet_kafka_client_open(committed, &p->asking, FRESHET_KAFKA_READER, none, NULL, NULL) ==
             FRESHET_OK &&
         freshet_kafka_client_open(all, &p->asking, FRESHET_KAFKA_AUDITOR, none, NULL, NULL) == FRESHET_OK;
}

static void close_clients(freshet_kafka_client* committed, freshet_kafka_client* all) {
  freshet_kafka_client_close(all, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  freshet_kafka_client_close(committed, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  *all = *committed = (freshet_kafka_client){0};
}

static void* run(void* context) {
  freshet_predecessors* p = context;
  freshet_kafka_client committed = {0}, all = {0};
  place* mine = NULL;
  size_t count = 0, capacity = 0;
  pthread_mutex_lock(&p->lock);
  while (!p->is_stopping) {
    take_new(p, &mine, &count, &capacity);
    if (count == 0 && committed.handle == NULL) {
      pthread_cond_wait(&p->changed, &p->lock);
      continue;
    }
    pthread_mutex_unlock(&p->lock);
    count = count > 0 && open_clients(p, &committed, &all) ? look(p, &committed, &all, mine, count) : 0;
    if (count == 0) close_clients(&committed, &all);
    pthread_mutex_lock(&p->lock);
    if (!p->is_stopping && count > 0)
      freshet_condition_wait(&p->changed, &p->lock, freshet_monotonic_ms() + LOOK_MS);
  }
  pthread_mutex_unlock(&p->lock);
  close_clients(&committed, &all);
  free(mine);
  return NULL;
}

void freshet_predecessors_watch(freshet_predecessors* p, const char* member_id,
                                const rd_kafka_topic_partition_list_t* list) {
  int64_t now_ms = freshet_monotonic_ms();
  const char* topic = p->config->topics[FRESHET_TOPIC_EVENTS];
  pthread_mutex_lock(&p->lock);
  for (int i = 0; i < list->cnt; i++) {
    if (strcmp(list->elems[i].topic, topic) != 0) continue;
    p->places = freshet_grow(p->places, &p->capacity, p->count + 1, sizeof *p->places);
    const log_end unknown = {.end = -1, .committed = -1, .since_ms = now_ms};
    p->places[p->count++] = (place){.partition = list->elems[i].partition,
                                    .until_ms = now_ms + WATCH_MS,
                                    .came_ms = now_ms,
                                    .logs = {unknown, unknown}};
    snprintf(p->places[p->count - 1].member_id, MEMBER_ID_SIZE, "%s", member_id == NULL ? "" : member_id);
  }
  if (!p->is_running && p->count > 0) p->is_running = pthread_create(&p->thread, NULL, run, p) == 0;
  pthread_cond_signal(&p->changed);
  pthread_mutex_unlock(&p->lock);
}

void freshet_predecessors_destroy(freshet_predecessors* p) {
  if (p == NULL) return;
  pthread_mutex_lock(&p->lock);
  p->is_stopping = true;
  pthread_cond_signal(&p->changed);
  pthread_mutex_unlock(&p->lock);
  if (p->is_running) pthread_join(p->thread, NULL);
  pthread_cond_destroy(&p->changed);
  pthread_mutex_destroy(&p->lock);
  free(p->places);
  free(p);
}
