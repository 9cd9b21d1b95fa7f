/*
 * source.c: this process's share of the consumer group.
 *
 * It is the port freshet_source on Kafka. It owns the group member, and the rebalances that librdkafka has
 * announced but the worker has not seen yet. It tells the worker which partitions come and go. It must not know
 * what the worker keeps for them.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/layout_check.h"
#include "kafka/log_watch.h"
#include "kafka/predecessors.h"
#include "kafka/questions.h"
#include "kafka/reader.h"
#include "kafka/seek.h"

/* SHARE_MS: how often the watch learns where reading is. */
enum { SHARE_MS = 1000, REBALANCES = 4 };

typedef struct rebalance {
  bool assign; /* else revoke */
  rd_kafka_topic_partition_list_t* partitions;
} rebalance;

typedef struct kafka_source {
  freshet_source base;
  freshet_kafka_reader reader;
  freshet_log_watch* watch;
  freshet_predecessors* predecessors; /* NULL: nothing is committed */
  char* member_id;                    /* librdkafka's; NULL before the first assignment */
  _Atomic int64_t joined_ms; /* monotonic, of the first assignment under this member id; 0: none yet */
  int64_t shared_ms;
  int32_t items_partitions; /* of `items`, as the group knows it; 0: not known */
  freshet_source_handler handler;
  freshet_topic topics[FRESHET_TOPICS]; /* [topic_count] subscribed */
  size_t topic_count;
  pthread_mutex_t lock;          /* whoever wakes must not meet the reader while it is exchanged */
  rebalance pending[REBALANCES]; /* in order of arrival */
  size_t pending_count;
  bool closing;
  freshet_status closing_status;
  freshet_error* closing_error;
} kafka_source;

static kafka_source* source_of(freshet_source* self) {
  return (kafka_source*)self;
}

static void on_rebalance(rd_kafka_t* handle, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t* partitions, void* opaque);

static freshet_status join(kafka_source* source, const freshet_kafka_config* config, freshet_error* error) {
  freshet_status status =
      freshet_kafka_reader_open(&source->reader, config, FRESHET_KAFKA_MEMBER,
                                (freshet_kafka_callbacks){.rebalance = on_rebalance}, source, error);
  if (status != FRESHET_OK) return status;
  source->reader.is_member = true;
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new((int)source->topic_count);
  for (size_t i = 0; i < source->topic_count; i++) {
    rd_kafka_topic_partition_list_add(list, config->topics[source->topics[i]], RD_KAFKA_PARTITION_UA);
  }
  rd_kafka_resp_err_t code = rd_kafka_subscribe(source->reader.client.handle, list);
  rd_kafka_topic_partition_list_destroy(list);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "subscribe: %s", rd_kafka_err2str(code));
}

/* A static member whose session ends during an outage, and that has not said yet that it lets its partitions
 * go, is fenced by a bug of librdkafka 2.0.2: it sends heartbeats without a member id. A replaced member
 * looks different: it is not asked to let go. So this one has not been replaced, and joins anew. */
static freshet_status start_over(kafka_source* source, freshet_error* error) {
  const freshet_kafka_config* config = source->reader.client.config;
  freshet_log_fact(config->logger, FRESHET_WARN, "group.rejoin",
                   "reason=\"the session ended during an outage\"");
  pthread_mutex_lock(&source->lock);
  freshet_kafka_reader_close(&source->reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  source->reader = (freshet_kafka_reader){0};
  freshet_status status = join(source, config, error);
  pthread_mutex_unlock(&source->lock);
  return status;
}

/* ---- Rebalances ----
 * librdkafka calls back in the middle of a batch, with records in hand that the worker has not seen. So the
 * callback only takes a note, and the next poll acts on it before it reads on: what had been taken is still
 * ours, nobody else gets the partitions before we let go of them. Fetching has been paused meanwhile by
 * librdkafka. */

/* The list as ours; the caller frees it. NULL when empty. */
static freshet_partition* partitions_of(const kafka_source* source,
                                        const rd_kafka_topic_partition_list_t* list) {
  if (list->cnt == 0) return NULL;
  freshet_partition* partitions = calloc((size_t)list->cnt, sizeof *partitions);
  FRESHET_ASSERT(partitions != NULL);
  for (int i = 0; i < list->cnt; i++) {
    partitions[i].topic = freshet_kafka_config_topic(source->reader.client.config, list->elems[i].topic);
    partitions[i].partition = list->elems[i].partition;
    partitions[i].offset = list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
    if (partitions[i].topic == FRESHET_TOPIC_EVENTS)
      partitions[i].listed = freshet_listed_read(list->elems[i].metadata, list->elems[i].metadata_size);
  }
  return partitions;
}

/* ---- Is it still the log that was read? ---- */

/* Events that Kafka has deleted before they were read: counted and told. Reading goes on at the first that is
 * left. */
static void tell_loss(const kafka_source* source, const freshet_log_place* place) {
  const freshet_kafka_config* config = source->reader.client.config;
  if (place->topic == FRESHET_TOPIC_EVENTS && config->metrics != NULL)
    freshet_count(&config->metrics->events_lost, (uint64_t)(place->first - place->next));
  freshet_log_fact(
      config->logger, FRESHET_ERROR, "records.lost",
      "topic=%s partition=%d from=%lld to=%lld reason=expired message=\"Kafka deleted them before "
      "they were read: keep records longer (retention.ms)\"",
      config->topics[place->topic], (int)place->partition, (long long)place->next, (long long)place->first);
}

static freshet_log_place place_of(const kafka_source* source, const rd_kafka_topic_partition_t* committed) {
  return (freshet_log_place){
      .topic = freshet_kafka_config_topic(source->reader.client.config, committed->topic),
      .partition = committed->partition,
      .next = committed->offset >= 0 ? committed->offset : -1,
      .listed = freshet_listed_read(committed->metadata, committed->metadata_size).offset,
      .mark = freshet_mark_read(committed->metadata, committed->metadata_size)};
}

/* Holds committed offsets against their logs, and moves those that have expired. */
static freshet_status judge_committed(kafka_source* source, rd_kafka_topic_partition_list_t* list,
                                      freshet_error* error) {
  freshet_log_place* places = calloc((size_t)list->cnt, sizeof *places);
  FRESHET_ASSERT(places != NULL);
  for (int i = 0; i < list->cnt; i++) places[i] = place_of(source, &list->elems[i]);
  freshet_status status = freshet_log_watch_judge(source->watch, places, (size_t)list->cnt, error);
  for (int i = 0; status == FRESHET_OK && i < list->cnt; i++) {
    if (places[i].next < 0 || places[i].first <= places[i].next) continue;
    tell_loss(source, &places[i]);
    list->elems[i].offset = places[i].first;
  }
  free(places);
  return status;
}

/* The broker that answers may not have heard of new partitions yet, or none answers: then it is asked again. */
static void follow_items(kafka_source* source) {
  const int32_t partitions = freshet_kafka_client_look_again(&source->reader.client, FRESHET_TOPIC_ITEMS);
  if (partitions > source->items_partitions) source->items_partitions = partitions;
}

/* Tells the watch where reading is, now and then, and hears what it has found. */
static freshet_status heed_watch(kafka_source* source, freshet_error* error) {
  int64_t now_ms = freshet_monotonic_ms();
  if (now_ms - source->shared_ms >= SHARE_MS) {
    size_t count;
    freshet_log_place* places = freshet_kafka_reader_places(&source->reader, &count);
    freshet_log_watch_set(source->watch, places, count);
    free(places);
    source->shared_ms = now_ms;
    if (freshet_log_watch_items(source->watch) > source->items_partitions) follow_items(source);
  }
  return freshet_log_watch_verdict(source->watch, error);
}

/* Notes the id that the group knows us by, and has the last owners of the new partitions looked after. */
static void follow_owners(kafka_source* source, const rd_kafka_topic_partition_list_t* list) {
  char* before = source->member_id;
  source->member_id = rd_kafka_memberid(source->reader.client.handle);
  if (before == NULL || source->member_id == NULL || strcmp(before, source->member_id) != 0)
    atomic_store(&source->joined_ms, freshet_monotonic_ms());
  if (before != NULL) rd_kafka_mem_free(NULL, before);
  if (source->predecessors != NULL) freshet_predecessors_watch(source->predecessors, source->member_id, list);
}

static freshet_status assign(kafka_source* source, rd_kafka_topic_partition_list_t* list,
                             freshet_error* error) {
  freshet_kafka_reader* reader = &source->reader;
  freshet_status status = freshet_kafka_layout_judge(reader->client.config, list, error);
  if (status == FRESHET_OK) follow_owners(source, list);
  if (status == FRESHET_OK && list->cnt > 0)
    status = freshet_kafka_client_committed(&source->reader.client, list, error);
  if (status == FRESHET_OK && list->cnt > 0) status = judge_committed(source, list, error);
  if (status != FRESHET_OK) return status;
  freshet_partition* partitions = partitions_of(source, list);
  status = source->handler.assigned(source->handler.context, partitions, (size_t)list->cnt, error);
  if (status == FRESHET_OK) {
    for (int i = 0; i < list->cnt; i++) {
      freshet_kafka_reader_start(reader, partitions[i].topic, partitions[i].partition, partitions[i].offset);
      freshet_kafka_reader_cursor(reader, partitions[i].topic, partitions[i].partition)->mark =
          freshet_mark_read(list->elems[i].metadata, list->elems[i].metadata_size);
      list->elems[i].offset = partitions[i].offset >= 0 ? partitions[i].offset : RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(reader->client.handle, list);
    /* A member that has been thrown out meanwhile gets a revocation next. */
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) freshet_kafka_client_trouble(&reader->client, code, "assign");
  }
  free(partitions);
  return status;
}

static void let_go(kafka_source* source, const freshet_partition* partitions, size_t count) {
  for (size_t i = 0; i < count; i++)
    freshet_kafka_reader_stop(&source->reader, partitions[i].topic, partitions[i].partition);
  rd_kafka_assign(source->reader.client.handle, NULL);
}

/* Lost partitions belong to others already, so librdkafka gets its answer at once and may join again
 * meanwhile. */
static freshet_status revoke(kafka_source* source, rd_kafka_topic_partition_list_t* list,
                             freshet_error* error) {
  rd_kafka_t* handle = source->reader.client.handle;
  size_t count = (size_t)list->cnt;
  freshet_status status = FRESHET_OK;
  bool lost = rd_kafka_assignment_lost(handle);
  freshet_partition* partitions = partitions_of(source, list);
  if (lost) let_go(source, partitions, count);
  if (count > 0) status = source->handler.revoked(source->handler.context, partitions, count, lost, error);
  if (!lost) let_go(source, partitions, count);
  free(partitions);
  if (status == FRESHET_OK && !source->closing &&
      rd_kafka_fatal_error(handle, NULL, 0) == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
    status = start_over(source, error);
  return status;
}

static freshet_status act(kafka_source* source, rebalance* event, freshet_error* error) {
  freshet_log_fact(source->reader.client.config->logger, FRESHET_INFO, "group.rebalance",
                   "action=%s partitions=%d", event->assign ? "assign" : "revoke", event->partitions->cnt);
  freshet_status status =
      event->assign ? assign(source, event->partitions, error) : revoke(source, event->partitions, error);
  rd_kafka_topic_partition_list_destroy(event->partitions);
  return status;
}

static freshet_status act_on_pending(kafka_source* source, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; i < source->pending_count; i++) {
    if (status == FRESHET_OK) {
      status = act(source, &source->pending[i], error);
    } else {
      rd_kafka_topic_partition_list_destroy(source->pending[i].partitions);
    }
  }
  source->pending_count = 0;
  source->reader.interrupted = false;
  return status;
}

static void on_rebalance(rd_kafka_t* handle, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t* partitions, void* opaque) {
  (void)handle;
  kafka_source* source = ((freshet_kafka_client*)opaque)->owner;
  FRESHET_ASSERT(source->pending_count <
                 REBALANCES); /* each waits for our answer, so there is one at a time */
  source->pending[source->pending_count++] =
      (rebalance){.assign = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
                  .partitions = rd_kafka_topic_partition_list_copy(partitions)};
  source->reader.interrupted = true;
  if (source->closing) { /* no poll follows, and no records are in hand */
    freshet_status status = act_on_pending(source, source->closing_error);
    if (source->closing_status == FRESHET_OK) source->closing_status = status;
  }
}

/* ---- The interface ---- */

static freshet_status look_again(kafka_source* source, freshet_error* error) {
  const char* missing =
      freshet_kafka_topics_missing(&source->reader.client, source->topics, source->topic_count);
  if (missing != NULL)
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                             "topic %s does not exist; `freshet topics create` makes it", missing);
  source->reader.missing = false;
  return FRESHET_OK;
}

/* Assigns all that is open anew, from where the cursors are: after an offset out of range librdkafka has stopped
 * the partition, and a seek is refused. What was fetched before is dropped by the cursors. */
static freshet_status reassign(kafka_source* source, const freshet_log_place* places, size_t count,
                               freshet_error* error) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new((int)count);
  for (size_t i = 0; i < count; i++) {
    rd_kafka_topic_partition_list_add(list, source->reader.client.config->topics[places[i].topic],
                                      places[i].partition)
        ->offset = places[i].next >= 0 ? places[i].next : RD_KAFKA_OFFSET_BEGINNING;
  }
  rd_kafka_resp_err_t code = rd_kafka_assign(source->reader.client.handle, list);
  rd_kafka_topic_partition_list_destroy(list);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "read on behind lost records: %s",
                           rd_kafka_err2str(code));
}

/* Positions that their log does not hold: expired ones go on behind the gap, anything else is another log. */
static freshet_status find_again(kafka_source* source, freshet_error* error) {
  size_t count, moved = 0;
  freshet_kafka_reader_release(&source->reader);
  freshet_log_place* places = freshet_kafka_reader_places(&source->reader, &count);
  freshet_status status = freshet_log_watch_judge(source->watch, places, count, error);
  source->reader.strayed = false;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    freshet_log_place* place = &places[i];
    freshet_kafka_cursor* cursor =
        freshet_kafka_reader_cursor(&source->reader, place->topic, place->partition);
    if (!cursor->out_of_range) continue;
    if (place->first < 0) { /* not known yet: ask again */
      source->reader.strayed = true;
      continue;
    }
    if (place->next >= 0 && place->first > place->next) tell_loss(source, place);
    if (place->first > place->next) place->next = cursor->next = place->first;
    cursor->out_of_range = false;
    moved++;
  }
  if (status == FRESHET_OK && moved > 0) status = reassign(source, places, count, error);
  free(places);
  return status;
}

/* What previous polls have noted. */
static freshet_status catch_up(kafka_source* source, freshet_error* error) {
  freshet_status status = source->pending_count > 0 ? act_on_pending(source, error) : FRESHET_OK;
  if (status == FRESHET_OK && source->reader.missing) status = look_again(source, error);
  if (status == FRESHET_OK && source->reader.strayed) status = find_again(source, error);
  if (status == FRESHET_OK) status = heed_watch(source, error);
  return status;
}

static freshet_status source_poll(freshet_source* self, int timeout_ms, freshet_record* out, size_t capacity,
                                  size_t* count, freshet_error* error) {
  kafka_source* source = source_of(self);
  *count = 0;
  freshet_kafka_reader_release(&source->reader);
  freshet_status status = catch_up(source, error);
  if (status != FRESHET_OK) return status;
  freshet_error cause = {0};
  status = freshet_kafka_reader_poll(&source->reader, timeout_ms, out, capacity, count, &cause);
  if (status == FRESHET_FENCED && source->pending_count > 0) {
    *count = 0; /* lost anyway; revoke tells the two kinds of fencing apart */
    status = FRESHET_OK;
  }
  if (status != FRESHET_OK) return freshet_error_set(error, status, cause.verdict, "%s", cause.message);
  return *count == 0 ? catch_up(source, error) : FRESHET_OK;
}

static freshet_status source_seek(freshet_source* self, const freshet_partition* partitions, size_t count,
                                  freshet_error* error) {
  return freshet_kafka_seek(&source_of(self)->reader, partitions, count, error);
}

/* The broker counts transaction markers at the end; the worker cannot. When everything up to the end has been
 * returned, the end is where the last record left off, so that "caught up" is the same with and without
 * transactions. */
static int64_t source_end(freshet_source* self, freshet_topic topic, int32_t partition) {
  kafka_source* source = source_of(self);
  const freshet_kafka_cursor* cursor = freshet_kafka_reader_cursor(&source->reader, topic, partition);
  int64_t low = -1, high = -1;
  if (cursor == NULL ||
      rd_kafka_get_watermark_offsets(source->reader.client.handle,
                                     source->reader.client.config->topics[topic], partition, &low,
                                     &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      high < 0) {
    return -1;
  }
  if (cursor->next < high) return high;
  return cursor->after >= 0 ? cursor->after : 0;
}

static freshet_status source_committed(freshet_source* self, freshet_topic topic, int32_t partition,
                                       int64_t* offset, freshet_error* error) {
  kafka_source* source = source_of(self);
  freshet_kafka_client* client = &source->reader.client;
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, client->config->topics[topic], partition);
  freshet_status status = freshet_kafka_client_committed(client, list, error);
  freshet_log_place place = place_of(source, &list->elems[0]);
  *offset = place.next;
  rd_kafka_topic_partition_list_destroy(list);
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, "the log of a committed offset");
  while (status == FRESHET_OK && place.next >= 0) {
    status = freshet_log_watch_judge(source->watch, &place, 1, error);
    if (status != FRESHET_OK || place.verdict != FRESHET_LOG_UNKNOWN) break;
    status = freshet_kafka_wait_again(&wait, RD_KAFKA_RESP_ERR__TIMED_OUT, error);
  }
  return status;
}

static bool source_header(freshet_source* self, const freshet_record* record, const char* name,
                          freshet_slice* value) {
  rd_kafka_headers_t* headers = NULL;
  const void* bytes = NULL;
  (void)self;
  if (rd_kafka_message_headers(record->opaque, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_get_last(headers, name, &bytes, &value->size) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return false;
  value->data = bytes;
  return true;
}

static void source_wake(freshet_source* self) {
  kafka_source* source = source_of(self);
  pthread_mutex_lock(&source->lock);
  if (source->reader.queue != NULL) freshet_kafka_reader_wake(&source->reader);
  pthread_mutex_unlock(&source->lock);
}

static freshet_status source_close(freshet_source* self, freshet_error* error) {
  kafka_source* source = source_of(self);
  if (source->closing) return FRESHET_OK;
  freshet_kafka_reader_release(&source->reader);
  freshet_status status = act_on_pending(source, error);
  source->closing = true;
  source->closing_error = error;
  rd_kafka_resp_err_t code = rd_kafka_consumer_close(source->reader.client.handle);
  if (status == FRESHET_OK) status = source->closing_status;
  if (status == FRESHET_OK && code == RD_KAFKA_RESP_ERR__FATAL)
    status = freshet_kafka_client_fatal(&source->reader.client, error);
  return status;
}

static void source_destroy(freshet_source* self) {
  kafka_source* source = source_of(self);
  for (size_t i = 0; i < source->pending_count; i++)
    rd_kafka_topic_partition_list_destroy(source->pending[i].partitions);
  freshet_kafka_reader_close(&source->reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  freshet_log_watch_destroy(source->watch);
  freshet_predecessors_destroy(source->predecessors);
  if (source->member_id != NULL) rd_kafka_mem_free(NULL, source->member_id);
  pthread_mutex_destroy(&source->lock);
  free(source);
}

static const freshet_source_vtable vtable = {.poll = source_poll,
                                             .seek = source_seek,
                                             .end = source_end,
                                             .committed = source_committed,
                                             .header = source_header,
                                             .wake = source_wake,
                                             .close = source_close,
                                             .destroy = source_destroy};

freshet_status freshet_kafka_source_create(const freshet_kafka_config* config, const freshet_topic* topics,
                                           size_t topic_count, freshet_source** out, freshet_error* error) {
  kafka_source* source = calloc(1, sizeof *source);
  FRESHET_ASSERT(source != NULL);
  source->base.vtable = &vtable;
  source->items_partitions = config->items_partitions;
  pthread_mutex_init(&source->lock, NULL);
  for (size_t i = 0; i < topic_count; i++) {
    FRESHET_ASSERT(config->topics[topics[i]] != NULL);
    source->topics[source->topic_count++] = topics[i];
  }
  if (config->transactional_id != NULL) source->predecessors = freshet_predecessors_create(config);
  freshet_status status = freshet_log_watch_create(config, &source->watch, error);
  if (status == FRESHET_OK) status = join(source, config, error);
  if (status == FRESHET_OK) {
    *out = &source->base;
  } else {
    source_destroy(&source->base);
  }
  return status;
}

void freshet_kafka_source_set_handler(freshet_source* self, freshet_source_handler handler) {
  source_of(self)->handler = handler;
}

const char* freshet_kafka_source_member(freshet_source* self) {
  const char* id = source_of(self)->member_id;
  return id == NULL ? "" : id;
}

int64_t freshet_kafka_source_joined_ms(freshet_source* self) {
  return atomic_load(&source_of(self)->joined_ms);
}

rd_kafka_t* freshet_kafka_source_consumer(freshet_source* self) {
  return source_of(self)->reader.client.handle;
}

freshet_mark freshet_kafka_source_mark(freshet_source* self, freshet_topic topic, int32_t partition,
                                       int64_t offset) {
  const freshet_kafka_cursor* cursor =
      freshet_kafka_reader_cursor(&source_of(self)->reader, topic, partition);
  return cursor != NULL && cursor->mark.offset < offset ? cursor->mark : FRESHET_NO_MARK;
}
