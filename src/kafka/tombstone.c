/*
 * tombstone.c: a tombstone on `events` from outside of the service, and how far the service has come.
 *
 * `freshet erase` uses both. The file owns a short-lived client for each call. It must not know what the worker
 * erases.
 */
#include <stdlib.h>

#include "kafka/client.h"

enum { ACKNOWLEDGE_MS = 30000, ASK_MS = 5000, PAUSE_MS = 50 };

typedef struct delivery {
  bool done;
  rd_kafka_resp_err_t code;
  int32_t partition;
  int64_t offset;
} delivery;

static void on_delivered(rd_kafka_t* handle, const rd_kafka_message_t* message, void* opaque) {
  (void)handle;
  const freshet_kafka_client* client = opaque;
  delivery* d = client->owner;
  *d = (delivery){true, message->err, message->partition, message->offset};
}

freshet_status freshet_kafka_erase(const freshet_kafka_config* config, freshet_slice key, int32_t* partition,
                                   int64_t* offset, freshet_error* error) {
  freshet_kafka_client client = {0};
  delivery d = {.code = RD_KAFKA_RESP_ERR__TIMED_OUT};
  freshet_status status =
      freshet_kafka_client_open(&client, config, FRESHET_KAFKA_PUBLISHER,
                                (freshet_kafka_callbacks){.delivered = on_delivered}, &d, error);
  if (status == FRESHET_OK) {
    rd_kafka_vu_t arguments[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = client.topics[FRESHET_TOPIC_EVENTS]},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = *partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void*)key.data, key.size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {NULL, 0}},
    };
    rd_kafka_error_t* failure =
        rd_kafka_produceva(client.handle, arguments, sizeof arguments / sizeof arguments[0]);
    if (failure != NULL) {
      d = (delivery){.done = true, .code = rd_kafka_error_code(failure)};
      rd_kafka_error_destroy(failure);
    } else {
      rd_kafka_flush(client.handle, ACKNOWLEDGE_MS);
    }
    if (!d.done || d.code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      status = freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP,
                                 "the tombstone was not acknowledged by topic %s: %s",
                                 config->topics[FRESHET_TOPIC_EVENTS], rd_kafka_err2str(d.code));
    }
    *partition = d.partition;
    *offset = d.offset;
  }
  freshet_kafka_client_close(&client, 0);
  return status;
}

freshet_status freshet_kafka_await_committed(const freshet_kafka_config* config, freshet_topic topic,
                                             int32_t partition, int64_t offset, int timeout_ms, bool* reached,
                                             freshet_error* error) {
  freshet_kafka_client client = {0};
  int64_t deadline_ms = freshet_monotonic_ms() + timeout_ms;
  *reached = false;
  freshet_status status = freshet_kafka_client_open(&client, config, FRESHET_KAFKA_READER,
                                                    (freshet_kafka_callbacks){0}, NULL, error);
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, config->topics[topic], partition);
  while (status == FRESHET_OK && !*reached) {
    list->elems[0].offset = RD_KAFKA_OFFSET_INVALID;
    rd_kafka_resp_err_t code = rd_kafka_committed(client.handle, list, ASK_MS);
    *reached = code == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[0].offset >= offset;
    if (*reached || freshet_monotonic_ms() >= deadline_ms) break;
    freshet_kafka_sleep_ms(PAUSE_MS);
  }
  rd_kafka_topic_partition_list_destroy(list);
  freshet_kafka_client_close(&client, 0);
  return status;
}
