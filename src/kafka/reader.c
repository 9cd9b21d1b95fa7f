/*
 * reader.c: polls one librdkafka consumer and returns records in offset order, each once.
 *
 * It owns the cursors of the open partitions and the messages that the last records point into. Source and log
 * reader share it. It must not know about groups, or about what follows from a record.
 */
#include "kafka/reader.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "core/grow.h"
#include "kafka/seal.h"
#include "stream/state_skipped.h"

enum {
  SLICE_MS = 10,        /* a wait is cut into slices, because librdkafka does not end one for a callback */
  REFILL_BELOW = 50000, /* records: half of our queued.min.messages */
  REFILL_INTERVAL_MS = 5,
};

freshet_status freshet_kafka_reader_open(freshet_kafka_reader* reader, const freshet_kafka_config* config,
                                         freshet_kafka_role role, freshet_kafka_callbacks callbacks,
                                         void* owner, freshet_error* error) {
  freshet_status status = freshet_kafka_client_open(&reader->client, config, role, callbacks, owner, error);
  if (status != FRESHET_OK) return status;
  rd_kafka_poll_set_consumer(reader->client.handle);
  reader->client.polls_as_consumer = true;
  reader->queue = rd_kafka_queue_get_consumer(reader->client.handle);
  return FRESHET_OK;
}

void freshet_kafka_reader_release(freshet_kafka_reader* reader) {
  for (size_t i = 0; i < reader->held_count; i++) rd_kafka_message_destroy(reader->held[i]);
  for (size_t i = 0; i < reader->framed_count; i++) free(reader->framed[i]);
  reader->held_count = reader->framed_count = 0;
}

void freshet_kafka_reader_close(freshet_kafka_reader* reader, int flags) {
  freshet_kafka_reader_release(reader);
  if (reader->queue != NULL) rd_kafka_queue_destroy(reader->queue);
  freshet_kafka_client_close(&reader->client, flags);
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) free(reader->topics[topic].cursors);
  free(reader->held);
  free(reader->framed);
}

freshet_kafka_cursor* freshet_kafka_reader_cursor(const freshet_kafka_reader* reader, freshet_topic topic,
                                                  int32_t partition) {
  if (topic >= FRESHET_TOPICS || partition < 0 || partition >= reader->topics[topic].count) return NULL;
  freshet_kafka_cursor* cursor = &reader->topics[topic].cursors[partition];
  return cursor->open ? cursor : NULL;
}

void freshet_kafka_reader_start(freshet_kafka_reader* reader, freshet_topic topic, int32_t partition,
                                int64_t offset) {
  if (partition >= reader->topics[topic].count) {
    int32_t count = partition + 1;
    freshet_kafka_cursor* cursors =
        realloc(reader->topics[topic].cursors, (size_t)count * sizeof *reader->topics[topic].cursors);
    FRESHET_ASSERT(cursors != NULL);
    for (int32_t i = reader->topics[topic].count; i < count; i++) cursors[i] = (freshet_kafka_cursor){0};
    reader->topics[topic].cursors = cursors;
    reader->topics[topic].count = count;
  }
  reader->topics[topic].cursors[partition] =
      (freshet_kafka_cursor){.open = true, .next = offset, .after = offset, .mark = FRESHET_NO_MARK};
}

void freshet_kafka_reader_stop(freshet_kafka_reader* reader, freshet_topic topic, int32_t partition) {
  freshet_kafka_cursor* cursor = freshet_kafka_reader_cursor(reader, topic, partition);
  if (cursor != NULL) cursor->open = false;
}

static freshet_status stray(freshet_kafka_reader* reader, const rd_kafka_message_t* message) {
  freshet_topic topic = freshet_kafka_client_topic(&reader->client, message->rkt);
  freshet_kafka_cursor* cursor = freshet_kafka_reader_cursor(reader, topic, message->partition);
  if (cursor != NULL) cursor->out_of_range = reader->strayed = true;
  return FRESHET_OK;
}

/* What a consumer error means to us; FRESHET_OK for all that passes by itself. */
static freshet_status judge(freshet_kafka_reader* reader, const rd_kafka_message_t* message,
                            freshet_error* error) {
  const char* reason = rd_kafka_message_errstr(message);
  char right[FRESHET_KAFKA_RIGHT_SIZE];
  switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: {
      freshet_kafka_cursor* cursor = freshet_kafka_reader_cursor(
          reader, freshet_kafka_client_topic(&reader->client, message->rkt), message->partition);
      if (cursor != NULL && message->offset > cursor->next) cursor->next = message->offset;
      return FRESHET_OK;
    }
    case RD_KAFKA_RESP_ERR__FATAL:
      return freshet_kafka_client_fatal(&reader->client, error);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      freshet_kafka_client_trouble(&reader->client, message->err, reason);
      reader->missing = true;
      return FRESHET_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      if (reader->is_member) return stray(reader, message);
      return freshet_error_set(
          error, FRESHET_CONFLICT, FRESHET_STOP,
          "topic %s [%d] has lost the offset to read from (deleted and made again, "
          "truncated, or expired: %s); "
          "start the process again: it reads this topic from its beginning, or says what to choose",
          message->rkt == NULL ? "?" : rd_kafka_topic_name(message->rkt), (int)message->partition, reason);
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED:
      return freshet_error_set(
          error, FRESHET_INVALID, FRESHET_STOP, "Kafka %s: %s%s", reader->client.role_name, reason,
          freshet_kafka_right(&reader->client, message->err,
                              message->rkt == NULL ? "that it names" : rd_kafka_topic_name(message->rkt),
                              right));
    default:
      freshet_kafka_client_trouble(&reader->client, message->err, reason);
      return FRESHET_OK;
  }
}

/* Confluent's newer serializers name the schema in a header, as 01 and a GUID, and leave the value bare. Everybody here
 * wants the schema in front of the value, as the older framings have it. */
static freshet_slice framed_value(freshet_kafka_reader* reader, const rd_kafka_message_t* message) {
  const freshet_slice value = {message->payload, message->len};
  rd_kafka_headers_t* headers = NULL;
  const void* head;
  size_t size;
  if (value.data == NULL || rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_get_last(headers, "__value_schema_id", &head, &size) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      size != FRESHET_GUID_HEAD_SIZE || *(const char*)head != 1)
    return value;
  char* framed = malloc(size + value.size);
  FRESHET_ASSERT(framed != NULL);
  memcpy(framed, head, size);
  memcpy(framed + size, value.data, value.size);
  reader->framed =
      freshet_grow(reader->framed, &reader->framed_capacity, reader->framed_count + 1, sizeof(char*));
  reader->framed[reader->framed_count++] = framed;
  return (freshet_slice){framed, size + value.size};
}

static freshet_record record_of(freshet_kafka_reader* reader, const rd_kafka_message_t* message,
                                freshet_topic topic) {
  rd_kafka_timestamp_type_t type;
  return (freshet_record){.topic = topic,
                          .partition = message->partition,
                          .offset = message->offset,
                          .timestamp_ms = rd_kafka_message_timestamp(message, &type),
                          .has_key = message->key != NULL,
                          .key = {message->key, message->key_len},
                          .has_value = message->payload != NULL,
                          .value = framed_value(reader, message),
                          .opaque = (void*)message};
}

/* Sets what the seal says of a record of a state topic. */
static void look_at_seal(const freshet_kafka_config* config, const rd_kafka_message_t* message,
                         freshet_record* record) {
  /* All generations write the facts about themselves, and a generation is no relative of its sibling. */
  const char* writer = record->topic == FRESHET_TOPIC_APP_GENERATIONS ? NULL : config->app_id;
  const freshet_seal seal = freshet_seal_check(writer, message);
  record->is_sealed = seal == FRESHET_SEAL_RIGHT;
  if (seal == FRESHET_SEAL_BROKEN) record->stranger = "its checksum is wrong";
  if (seal == FRESHET_SEAL_FOREIGN) record->stranger = "another app has written it";
}

/* Is a record of a state topic what this app has written? One that is not is passed over, with a word unless `freshet
 * repair` has dealt with it. */
static bool is_ours(const freshet_kafka_reader* reader, const rd_kafka_message_t* message,
                    freshet_record* record) {
  const freshet_kafka_config* config = reader->client.config;
  if (!freshet_seal_is_of(record->topic)) return true;
  look_at_seal(config, message, record);
  if (config->reads_strangers) return true;
  const freshet_seal_fact fact = freshet_seal_facts_of(reader->facts, record->topic, record->partition);
  if (freshet_seal_fact_skips(&fact, record)) return false;
  const char* refusal = freshet_seal_fact_refusal(&fact, record);
  if (refusal != NULL && record->offset >= fact.looked)
    freshet_state_skipped(config->logger, config->metrics, config->topics[record->topic], record, refusal);
  return refusal == NULL;
}

/* Turns held[from..] into records. What belongs to no open partition, or lies before its next offset, is
 * dropped. */
static freshet_status convert(freshet_kafka_reader* reader, size_t from, freshet_record* out, size_t* count,
                              freshet_error* error) {
  const rd_kafka_topic_t* handle = NULL; /* neighbours mostly share their topic */
  freshet_topic topic = FRESHET_TOPICS;
  for (size_t i = from; i < reader->held_count; i++) {
    const rd_kafka_message_t* message = reader->held[i];
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      freshet_status status = judge(reader, message, error);
      if (status != FRESHET_OK) return status;
      continue;
    }
    if (message->rkt != handle) {
      handle = message->rkt;
      topic = freshet_kafka_client_topic(&reader->client, handle);
    }
    freshet_kafka_cursor* cursor = freshet_kafka_reader_cursor(reader, topic, message->partition);
    if (cursor == NULL || message->offset < cursor->next) continue;
    cursor->next = cursor->after = message->offset + 1;
    freshet_record record = record_of(reader, message, topic);
    const freshet_slice value = {message->payload,
                                 message->len}; /* as whoever reads the log again finds it */
    cursor->mark = freshet_mark_of(record.offset, record.timestamp_ms, record.key, value);
    if (is_ours(reader, message, &record)) out[(*count)++] = record;
  }
  return FRESHET_OK;
}

/* librdkafka 2.0.2 stops fetching while its queue is full and then looks again only once a second, which
 * would bound the rate of a backlog by the length of the queue. Any request to a broker wakes its thread, so
 * that it looks at once; this one asks the leaders of what is being read for offsets, and does not wait for
 * the answer. */
static void refill(freshet_kafka_reader* reader) {
  int64_t now_ms = freshet_monotonic_ms();
  if (now_ms - reader->refilled_ms < REFILL_INTERVAL_MS ||
      rd_kafka_queue_length(reader->queue) > REFILL_BELOW)
    return;
  reader->refilled_ms = now_ms;
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(0);
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    for (int32_t p = 0; p < reader->topics[topic].count; p++) {
      if (!reader->topics[topic].cursors[p].open) continue;
      rd_kafka_topic_partition_list_add(list, reader->client.config->topics[topic], p)->offset =
          RD_KAFKA_OFFSET_END;
    }
  }
  rd_kafka_offsets_for_times(reader->client.handle, list, 0);
  rd_kafka_topic_partition_list_destroy(list);
}

static void take(freshet_kafka_reader* reader, int timeout_ms, size_t most) {
  ssize_t taken =
      rd_kafka_consume_batch_queue(reader->queue, timeout_ms, reader->held + reader->held_count, most);
  if (taken > 0) reader->held_count += (size_t)taken;
}

freshet_status freshet_kafka_reader_poll(freshet_kafka_reader* reader, int timeout_ms, freshet_record* out,
                                         size_t capacity, size_t* count, freshet_error* error) {
  *count = 0;
  freshet_kafka_reader_release(reader);
  if (capacity > reader->held_capacity) {
    free(reader->held);
    reader->held = calloc(capacity, sizeof(rd_kafka_message_t*));
    FRESHET_ASSERT(reader->held != NULL);
    reader->held_capacity = capacity;
  }
  int64_t deadline_ms = freshet_monotonic_ms() + timeout_ms;
  for (;;) {
    /* A batch call waits until it is full, so wait for one message only, then take what else is there. */
    int64_t left_ms = deadline_ms - freshet_monotonic_ms();
    take(reader, left_ms <= 0 ? 0 : left_ms < SLICE_MS ? (int)left_ms : SLICE_MS, 1);
    if (reader->held_count > 0 && capacity > 1) take(reader, 0, capacity - 1);
    if (reader->held_count == capacity) refill(reader);
    freshet_status status = convert(reader, 0, out, count, error);
    if (status != FRESHET_OK || *count > 0) return status;
    freshet_kafka_reader_release(reader);
    bool woken = atomic_exchange(&reader->woken, false);
    if (left_ms <= 0 || woken || reader->interrupted || reader->missing || reader->strayed) return FRESHET_OK;
  }
}

/* The flag tells it from the end of a slice. */
void freshet_kafka_reader_wake(freshet_kafka_reader* reader) {
  atomic_store(&reader->woken, true);
  rd_kafka_queue_yield(reader->queue);
}

freshet_log_place* freshet_kafka_reader_places(const freshet_kafka_reader* reader, size_t* count) {
  size_t capacity = 0;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) capacity += (size_t)reader->topics[topic].count;
  freshet_log_place* places = calloc(capacity + 1, sizeof *places);
  FRESHET_ASSERT(places != NULL);
  *count = 0;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    for (int32_t p = 0; p < reader->topics[topic].count; p++) {
      const freshet_kafka_cursor* cursor = &reader->topics[topic].cursors[p];
      if (!cursor->open) continue;
      places[(*count)++] = (freshet_log_place){
          .topic = (freshet_topic)topic, .partition = p, .next = cursor->next, .mark = cursor->mark};
    }
  }
  return places;
}
