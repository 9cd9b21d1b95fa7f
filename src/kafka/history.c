/*
 * history.c: reads what a topic held between two times, merged by the times of the records.
 *
 * It owns one queue for each partition and a heap of the records that come next. It bounds its memory over all
 * partitions together. It must not know what the records mean, or where they go.
 */
#include "kafka/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kafka/questions.h"

enum {
  BATCH = 256,
  SLICE_MS = 100,
  WAKE_MS = 5,
  QUEUED_RECORDS = 100 * 1000, /* of all partitions together: this and the next bound the memory */
  QUEUED_KBYTES = 24 * 1024,
  QUEUED_RECORDS_LEAST = 1000,
  QUEUED_KBYTES_LEAST = 256,
  NUMBER_SIZE = 24,
};

/* A partition and what has been fetched of it. */
typedef struct part {
  int32_t partition;
  int64_t first, next, end; /* of the range; next: not returned yet */
  rd_kafka_queue_t* queue;  /* its own, so that one that is far ahead in time does not hold up the others */
  rd_kafka_message_t* batch[BATCH];
  size_t at, count;
} part;

struct freshet_kafka_history {
  freshet_kafka_config config;
  freshet_kafka_property* properties;
  char texts[2][NUMBER_SIZE]; /* the values of ours */
  freshet_kafka_client client;
  int64_t since_ms;
  part* parts; /* [count] */
  size_t count;
  part** heap; /* [waiting] those with a record in hand, the oldest first */
  size_t waiting;
  part* handed; /* whose record was returned last */
  int64_t woken_ms;
};

static const rd_kafka_message_t* head(const part* p) {
  return p->batch[p->at];
}

static int64_t time_of(const part* p) {
  rd_kafka_timestamp_type_t type;
  return rd_kafka_message_timestamp(head(p), &type);
}

/* ---- the range ---- */

/* Fills in an offset for each part: the first record not older than time_ms, or the end. */
static freshet_status offsets_at(freshet_kafka_history* history, int64_t time_ms, int64_t* offsets,
                                 freshet_error* error) {
  const char* name = history->config.topics[FRESHET_TOPIC_EVENTS];
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new((int)history->count);
  for (size_t i = 0; i < history->count; i++) {
    rd_kafka_topic_partition_list_add(list, name, (int32_t)i)->offset = time_ms;
  }
  freshet_kafka_wait wait = freshet_kafka_wait_for(&history->client, name);
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK) {
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(history->client.handle, list, wait.ask_ms);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) code = list->elems[i].err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
    for (int i = 0; i < list->cnt; i++) list->elems[i].offset = time_ms;
    status = freshet_kafka_wait_again(&wait, code, error);
  }
  for (int i = 0; i < list->cnt && status == FRESHET_OK; i++) offsets[i] = list->elems[i].offset;
  rd_kafka_topic_partition_list_destroy(list);
  return status;
}

/* The watermarks, the upper one without what belongs to transactions that are still open. */
static freshet_status watermarks(freshet_kafka_history* history, int32_t partition, int64_t* first,
                                 int64_t* end, freshet_error* error) {
  freshet_kafka_client* client = &history->client;
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, client->config->topics[FRESHET_TOPIC_EVENTS]);
  for (;;) {
    rd_kafka_resp_err_t code =
        freshet_kafka_client_range(client, FRESHET_TOPIC_EVENTS, partition, wait.ask_ms, first, end);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
    freshet_status status = freshet_kafka_wait_again(&wait, code, error);
    if (status != FRESHET_OK) return status;
  }
}

static freshet_status find_range(freshet_kafka_history* history, int64_t since_ms, int64_t until_ms,
                                 freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < history->count; i++) {
    status = watermarks(history, (int32_t)i, &history->parts[i].first, &history->parts[i].end, error);
  }
  int64_t* offsets = calloc(history->count + 1, sizeof *offsets);
  FRESHET_ASSERT(offsets != NULL);
  if (status == FRESHET_OK && since_ms != INT64_MIN) {
    status = offsets_at(history, since_ms, offsets, error);
    for (size_t i = 0; status == FRESHET_OK && i < history->count; i++) {
      part* p = &history->parts[i];
      p->first = offsets[i] >= 0 && offsets[i] < p->end ? offsets[i] : p->end;
    }
  }
  if (status == FRESHET_OK && until_ms != INT64_MAX) {
    status = offsets_at(history, until_ms, offsets, error);
    for (size_t i = 0; status == FRESHET_OK && i < history->count; i++) {
      part* p = &history->parts[i];
      if (offsets[i] >= 0 && offsets[i] < p->end) p->end = offsets[i];
    }
  }
  free(offsets);
  for (size_t i = 0; i < history->count; i++) history->parts[i].next = history->parts[i].first;
  return status;
}

/* "first:next:end" of each partition, joined by commas. */
static freshet_status read_place(freshet_kafka_history* history, const char* text, freshet_error* error) {
  for (size_t i = 0; i < history->count; i++) {
    part* p = &history->parts[i];
    int used = 0;
    if (sscanf(text, "%" SCNd64 ":%" SCNd64 ":%" SCNd64 "%n", &p->first, &p->next, &p->end, &used) != 3)
      break;
    text += used;
    if (*text == '\0' && i + 1 == history->count) return FRESHET_OK;
    if (*text != ',') break;
    text++;
  }
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "the place to go on from does not fit topic %s with its %zu partitions",
                           history->config.topics[FRESHET_TOPIC_EVENTS], history->count);
}

void freshet_kafka_history_place(const freshet_kafka_history* history, freshet_buffer* text) {
  char one[4 * NUMBER_SIZE];
  for (size_t i = 0; i < history->count; i++) {
    const part* p = &history->parts[i];
    int size = snprintf(one, sizeof one, "%s%" PRId64 ":%" PRId64 ":%" PRId64, i == 0 ? "" : ",", p->first,
                        p->next, p->end);
    freshet_buffer_append(text, one, (size_t)size);
  }
}

double freshet_kafka_history_progress(const freshet_kafka_history* history) {
  double done = 0, all = 0;
  for (size_t i = 0; i < history->count; i++) {
    const part* p = &history->parts[i];
    done += (double)((p->next < p->end ? p->next : p->end) - p->first);
    all += (double)(p->end - p->first);
  }
  return all > 0 ? done / all : 1;
}

/* ---- fetching ---- */

/* librdkafka 2.0.2 stops fetching a partition whose queue is full and looks again once a second, or whenever
 * a request wakes the broker's thread: this one, whose answer nobody waits for. */
static void wake(freshet_kafka_history* history, const part* p) {
  int64_t now_ms = freshet_monotonic_ms();
  if (now_ms - history->woken_ms < WAKE_MS) return;
  history->woken_ms = now_ms;
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, history->config.topics[FRESHET_TOPIC_EVENTS], p->partition)
      ->offset = RD_KAFKA_OFFSET_END;
  rd_kafka_offsets_for_times(history->client.handle, list, 0);
  rd_kafka_topic_partition_list_destroy(list);
}

static freshet_status judge(freshet_kafka_history* history, part* p, const rd_kafka_message_t* message,
                            freshet_error* error) {
  const char* reason = rd_kafka_message_errstr(message);
  switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      if (message->offset > p->next) p->next = message->offset; /* past what a transaction leaves behind */
      return FRESHET_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                               "%s [%d]: offset %" PRId64 " has been deleted before it was read (%s)",
                               history->config.topics[FRESHET_TOPIC_EVENTS], (int)p->partition, p->next,
                               reason);
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "%s [%d]: %s",
                               history->config.topics[FRESHET_TOPIC_EVENTS], (int)p->partition, reason);
    default:
      freshet_kafka_client_trouble(&history->client, message->err, reason);
      return FRESHET_OK;
  }
}

static void drop_batch(part* p) {
  while (p->at < p->count) rd_kafka_message_destroy(p->batch[p->at++]);
}

/* Moves to the next record of the batch that is in the range, if there is one. */
static freshet_status find_head(freshet_kafka_history* history, part* p, freshet_error* error) {
  while (p->at < p->count) {
    const rd_kafka_message_t* message = head(p);
    bool is_record = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (is_record && message->offset >= p->end) {
      p->next = p->end;
      drop_batch(p);
      return FRESHET_OK;
    }
    if (is_record && time_of(p) >= history->since_ms) return FRESHET_OK;
    freshet_status status = FRESHET_OK;
    if (is_record) {
      p->next = message->offset + 1;
    } else {
      status = judge(history, p, message, error);
    }
    rd_kafka_message_destroy(p->batch[p->at++]);
    if (status != FRESHET_OK) return status;
  }
  return FRESHET_OK;
}

/* Until the part has a record in hand or has come to its end. */
static freshet_status fetch(freshet_kafka_history* history, part* p, freshet_error* error) {
  freshet_status status = find_head(history, p, error);
  while (status == FRESHET_OK && p->at == p->count && p->next < p->end) {
    const freshet_kafka_config* config = &history->config;
    if (config->stopping != NULL && config->stopping(config->stopping_context)) {
      return freshet_error_set(error, FRESHET_ABORTED, FRESHET_STOP, "interrupted");
    }
    wake(history, p);
    p->at = p->count = 0;
    /* A batch call waits until it is full, so wait for one message only, then take what else is there. */
    if (rd_kafka_consume_batch_queue(p->queue, SLICE_MS, p->batch, 1) == 1) {
      ssize_t more = rd_kafka_consume_batch_queue(p->queue, 0, p->batch + 1, BATCH - 1);
      p->count = 1 + (more > 0 ? (size_t)more : 0);
    }
    status = find_head(history, p, error);
  }
  return status;
}

/* ---- merging ---- */

static bool is_before(const part* a, const part* b) {
  int64_t x = time_of(a), y = time_of(b);
  return x != y ? x < y : a->partition < b->partition;
}

static void push(freshet_kafka_history* history, part* added) {
  size_t at = history->waiting++;
  for (; at > 0 && is_before(added, history->heap[(at - 1) / 2]); at = (at - 1) / 2) {
    history->heap[at] = history->heap[(at - 1) / 2];
  }
  history->heap[at] = added;
}

static part* pop(freshet_kafka_history* history) {
  part* oldest = history->heap[0];
  part* moved = history->heap[--history->waiting];
  size_t at = 0;
  for (size_t child = 1; child < history->waiting; child = 2 * at + 1) {
    if (child + 1 < history->waiting && is_before(history->heap[child + 1], history->heap[child])) child++;
    if (!is_before(history->heap[child], moved)) break;
    history->heap[at] = history->heap[child];
    at = child;
  }
  history->heap[at] = moved;
  return oldest;
}

static freshet_status bring(freshet_kafka_history* history, part* p, freshet_error* error) {
  freshet_status status = fetch(history, p, error);
  if (status == FRESHET_OK && p->at < p->count) push(history, p);
  return status;
}

freshet_status freshet_kafka_history_next(freshet_kafka_history* history, freshet_record* record, bool* more,
                                          freshet_error* error) {
  freshet_status status = FRESHET_OK;
  *more = false;
  if (history->handed != NULL) {
    part* p = history->handed;
    history->handed = NULL;
    rd_kafka_message_destroy(p->batch[p->at++]);
    status = bring(history, p, error);
  }
  if (status != FRESHET_OK) return status;
  *more = history->waiting > 0;
  if (!*more) return FRESHET_OK;
  part* p = history->handed = pop(history);
  const rd_kafka_message_t* message = head(p);
  p->next = message->offset + 1;
  *record = (freshet_record){.topic = FRESHET_TOPIC_EVENTS,
                             .partition = p->partition,
                             .offset = message->offset,
                             .timestamp_ms = time_of(p),
                             .has_key = message->key != NULL,
                             .key = {message->key, message->key_len},
                             .has_value = message->payload != NULL,
                             .value = {message->payload, message->len}};
  return FRESHET_OK;
}

/* ---- opening ---- */

static void fill_config(freshet_kafka_history* history, const freshet_kafka_config* kafka,
                        const char* topic) {
  history->config = *kafka;
  for (int t = 0; t < FRESHET_TOPICS; t++) history->config.topics[t] = NULL;
  history->config.topics[FRESHET_TOPIC_EVENTS] = topic;
  history->config.instance_id = history->config.transactional_id = NULL;
}

/* The number of partitions must be known before the reading client is made, since its bounds are for each. */
static freshet_status count_partitions(freshet_kafka_history* history, freshet_error* error) {
  freshet_reader* log = NULL;
  int32_t count = 0;
  freshet_status status = freshet_kafka_reader_create(&history->config, &log, error);
  if (status == FRESHET_OK) status = freshet_reader_partitions(log, FRESHET_TOPIC_EVENTS, &count, error);
  freshet_reader_destroy(log);
  if (status == FRESHET_NOT_FOUND) {
    return freshet_error_set(error, status, FRESHET_STOP, "topic %s does not exist in the cluster read from",
                             history->config.topics[FRESHET_TOPIC_EVENTS]);
  }
  history->count = (size_t)count;
  return status;
}

static freshet_status open_client(freshet_kafka_history* history, freshet_error* error) {
  int64_t records = QUEUED_RECORDS / (int64_t)history->count,
          kbytes = QUEUED_KBYTES / (int64_t)history->count;
  if (records < QUEUED_RECORDS_LEAST) records = QUEUED_RECORDS_LEAST;
  if (kbytes < QUEUED_KBYTES_LEAST) kbytes = QUEUED_KBYTES_LEAST;
  snprintf(history->texts[0], NUMBER_SIZE, "%" PRId64, records);
  snprintf(history->texts[1], NUMBER_SIZE, "%" PRId64, kbytes);
  size_t count = history->config.property_count;
  history->properties = calloc(count + 2, sizeof *history->properties);
  FRESHET_ASSERT(history->properties != NULL);
  history->properties[0] = (freshet_kafka_property){"queued.min.messages", history->texts[0]};
  history->properties[1] = (freshet_kafka_property){"queued.max.messages.kbytes", history->texts[1]};
  for (size_t i = 0; i < count; i++) history->properties[i + 2] = history->config.properties[i];
  history->config.properties = history->properties;
  history->config.property_count = count + 2;
  return freshet_kafka_client_open(&history->client, &history->config, FRESHET_KAFKA_READER,
                                   (freshet_kafka_callbacks){0}, history, error);
}

static freshet_status start(freshet_kafka_history* history, freshet_error* error) {
  rd_kafka_t* handle = history->client.handle;
  const char* name = history->config.topics[FRESHET_TOPIC_EVENTS];
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new((int)history->count);
  for (size_t i = 0; i < history->count; i++) {
    part* p = &history->parts[i];
    p->queue = rd_kafka_queue_get_partition(handle, name, p->partition);
    rd_kafka_queue_forward(p->queue, NULL);
    if (p->next < p->end) rd_kafka_topic_partition_list_add(list, name, p->partition)->offset = p->next;
  }
  rd_kafka_resp_err_t code = list->cnt == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_assign(handle, list);
  rd_kafka_topic_partition_list_destroy(list);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "read %s: %s", name,
                             rd_kafka_err2str(code));
  }
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < history->count; i++) {
    status = bring(history, &history->parts[i], error);
  }
  return status;
}

freshet_status freshet_kafka_history_open(const freshet_kafka_history_config* config,
                                          freshet_kafka_history** out, freshet_error* error) {
  freshet_kafka_history* history = calloc(1, sizeof *history);
  FRESHET_ASSERT(history != NULL);
  history->since_ms = config->since_ms;
  fill_config(history, config->kafka, config->topic);
  freshet_status status = count_partitions(history, error);
  if (status == FRESHET_OK) status = open_client(history, error);
  if (status == FRESHET_OK) {
    history->parts = calloc(history->count + 1, sizeof *history->parts);
    history->heap = calloc(history->count + 1, sizeof *history->heap);
    FRESHET_ASSERT(history->parts != NULL && history->heap != NULL);
    for (size_t i = 0; i < history->count; i++) history->parts[i].partition = (int32_t)i;
    status = config->place[0] != '\0' ? read_place(history, config->place, error)
                                      : find_range(history, config->since_ms, config->until_ms, error);
  }
  if (status == FRESHET_OK) status = start(history, error);
  if (status != FRESHET_OK) {
    freshet_kafka_history_close(history);
    return status;
  }
  *out = history;
  return FRESHET_OK;
}

void freshet_kafka_history_close(freshet_kafka_history* history) {
  if (history == NULL) return;
  for (size_t i = 0; history->parts != NULL && i < history->count; i++) {
    drop_batch(&history->parts[i]);
    if (history->parts[i].queue != NULL) rd_kafka_queue_destroy(history->parts[i].queue);
  }
  freshet_kafka_client_close(&history->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  free(history->parts);
  free(history->heap);
  free(history->properties);
  free(history);
}
