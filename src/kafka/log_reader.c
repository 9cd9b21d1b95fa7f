/*
 * log_reader.c: any partition of any topic from a chosen offset, outside of the group.
 *
 * It is the port freshet_log on Kafka. It owns two clients: one reads committed records, the other asks for
 * the high watermark. Every question to the cluster is bounded, and ends when the process is asked to stop. It
 * must not know whose rows it reads.
 */
#include <stdlib.h>

#include "kafka/questions.h"
#include "kafka/reader.h"
#include "kafka/seal.h"

typedef struct kafka_log {
  freshet_reader base;
  freshet_kafka_reader reader;
  freshet_seal_facts* facts;     /* NULL: not needed so far */
  freshet_kafka_client observer; /* sees the high watermark, where the reader sees the last stable offset */
} kafka_log;

static kafka_log* log_of(freshet_reader* self) {
  return (kafka_log*)self;
}

/* After a failed question: whether to ask again. FRESHET_OK: yes. */
static freshet_status ask_again(freshet_kafka_wait* wait, rd_kafka_resp_err_t code, freshet_error* error) {
  if (freshet_kafka_code_missing(code)) {
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                             "topic %s does not exist; `freshet topics create` makes it", wait->what);
  }
  if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
    char right[FRESHET_KAFKA_RIGHT_SIZE];
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "topic %s: %s%s", wait->what,
                             rd_kafka_err2str(code),
                             freshet_kafka_right(wait->client, code, wait->what, right));
  }
  return freshet_kafka_wait_again(wait, code, error);
}

static freshet_status log_partitions(freshet_reader* self, freshet_topic topic, int32_t* count,
                                     freshet_error* error) {
  freshet_kafka_client* client = &log_of(self)->observer;
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, client->config->topics[topic]);
  for (;;) {
    rd_kafka_resp_err_t code = freshet_kafka_client_partitions(client, topic, wait.ask_ms, count);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
    freshet_status status = ask_again(&wait, code, error);
    if (status != FRESHET_OK) return status;
  }
}

/* A partition that is missing from a topic that is there: another topic has been given more of them. */
static freshet_status explain_missing(freshet_kafka_client* client, freshet_topic topic, int32_t partition,
                                      freshet_kafka_wait* wait, rd_kafka_resp_err_t code,
                                      freshet_error* error) {
  int32_t count = 0;
  if (freshet_kafka_client_partitions(client, topic, wait->ask_ms, &count) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      count == 0 || partition < count)
    return ask_again(wait, code, error);
  return freshet_error_set(
      error, FRESHET_CONFLICT, FRESHET_STOP,
      "topic %s has %d partitions, but partition %d is needed: `events` was given more "
      "partitions, and topics that are partitioned by user need the same count; `freshet "
      "topics check` prints the counts",
      client->config->topics[topic], (int)count, (int)partition);
}

static freshet_status log_range(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t* first,
                                int64_t* end, freshet_error* error) {
  freshet_kafka_client* client = &log_of(self)->observer;
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, client->config->topics[topic]);
  freshet_kafka_client_refresh(client);
  for (;;) {
    rd_kafka_resp_err_t code = freshet_kafka_client_range(client, topic, partition, wait.ask_ms, first, end);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
    freshet_status status = freshet_kafka_code_missing(code)
                                ? explain_missing(client, topic, partition, &wait, code, error)
                                : ask_again(&wait, code, error);
    if (status != FRESHET_OK) return status;
  }
}

/* add: starts reading the partition at offset, else stops. */
static freshet_status change(kafka_log* log, bool add, freshet_topic topic, int32_t partition, int64_t offset,
                             freshet_error* error) {
  const char* name = log->reader.client.config->topics[topic];
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, name, partition)->offset = offset;
  rd_kafka_error_t* failure = add ? rd_kafka_incremental_assign(log->reader.client.handle, list)
                                  : rd_kafka_incremental_unassign(log->reader.client.handle, list);
  rd_kafka_topic_partition_list_destroy(list);
  if (failure == NULL) return FRESHET_OK;
  freshet_status status =
      freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "%s %s [%d]: %s",
                        add ? "read" : "stop reading", name, (int)partition, rd_kafka_error_string(failure));
  rd_kafka_error_destroy(failure);
  return status;
}

static freshet_status log_shut(freshet_reader* self, freshet_topic topic, int32_t partition,
                               freshet_error* error) {
  kafka_log* log = log_of(self);
  if (freshet_kafka_reader_cursor(&log->reader, topic, partition) == NULL) return FRESHET_OK;
  freshet_kafka_reader_stop(&log->reader, topic, partition);
  return change(log, false, topic, partition, RD_KAFKA_OFFSET_INVALID, error);
}

/* Before the first log of state is read. */
static freshet_status learn_facts(kafka_log* log, freshet_topic topic, freshet_error* error) {
  const freshet_kafka_config* config = log->reader.client.config;
  if (log->facts != NULL || config->reads_strangers || !freshet_seal_is_of(topic)) return FRESHET_OK;
  freshet_status status = freshet_seal_facts_read(config, &log->facts, error);
  log->reader.facts = log->facts;
  return status;
}

static freshet_status log_open(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t offset,
                               freshet_error* error) {
  kafka_log* log = log_of(self);
  freshet_status status = log_shut(self, topic, partition, error);
  if (status == FRESHET_OK) status = learn_facts(log, topic, error);
  if (status != FRESHET_OK) return status;
  bool beginning = offset == FRESHET_OFFSET_BEGINNING;
  freshet_kafka_client_refresh(&log->reader.client);
  freshet_kafka_reader_start(&log->reader, topic, partition, beginning ? -1 : offset);
  return change(log, true, topic, partition, beginning ? RD_KAFKA_OFFSET_BEGINNING : offset, error);
}

static freshet_status log_poll(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  freshet_kafka_reader* reader = &log_of(self)->reader;
  freshet_status status = freshet_kafka_reader_poll(reader, timeout_ms, out, capacity, count, error);
  if (status == FRESHET_OK && reader->missing)
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                             "a partition that is being read has disappeared");
  return status;
}

static int64_t log_position(freshet_reader* self, freshet_topic topic, int32_t partition) {
  const freshet_kafka_cursor* cursor = freshet_kafka_reader_cursor(&log_of(self)->reader, topic, partition);
  return cursor == NULL ? -1 : cursor->next;
}

static int64_t log_end(freshet_reader* self, freshet_topic topic, int32_t partition) {
  const freshet_kafka_client* client = &log_of(self)->reader.client;
  int64_t low = -1, high = -1;
  rd_kafka_resp_err_t code =
      rd_kafka_get_watermark_offsets(client->handle, client->config->topics[topic], partition, &low, &high);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : -1;
}

static void log_destroy(freshet_reader* self) {
  kafka_log* log = log_of(self);
  freshet_kafka_reader_close(&log->reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  freshet_kafka_client_close(&log->observer, 0);
  freshet_seal_facts_destroy(log->facts);
  free(log);
}

static const freshet_reader_vtable vtable = {.partitions = log_partitions,
                                             .range = log_range,
                                             .open = log_open,
                                             .shut = log_shut,
                                             .poll = log_poll,
                                             .position = log_position,
                                             .end = log_end,
                                             .destroy = log_destroy};

freshet_status freshet_kafka_reader_create(const freshet_kafka_config* config, freshet_reader** out,
                                           freshet_error* error) {
  kafka_log* log = calloc(1, sizeof *log);
  FRESHET_ASSERT(log != NULL);
  log->base.vtable = &vtable;
  freshet_kafka_callbacks none = {0};
  freshet_status status =
      freshet_kafka_reader_open(&log->reader, config, FRESHET_KAFKA_READER, none, log, error);
  if (status == FRESHET_OK)
    status = freshet_kafka_client_open(&log->observer, config, FRESHET_KAFKA_OBSERVER, none, log, error);
  if (status != FRESHET_OK) {
    log_destroy(&log->base);
    return status;
  }
  *out = &log->base;
  return FRESHET_OK;
}
