/*
 * client_send.c: hands one record to a producer, and reads what became of it. Part of client.h.
 */
#include <string.h>

#include "kafka/client.h"
#include "kafka/seal.h"

static rd_kafka_headers_t* headers_of(const freshet_output* output) {
  if (output->header_count == 0) return NULL;
  rd_kafka_headers_t* headers = rd_kafka_headers_new(output->header_count);
  for (size_t i = 0; i < output->header_count; i++) {
    const freshet_header* h = &output->headers[i];
    rd_kafka_header_add(headers, h->name, -1, h->value.data, (ssize_t)h->value.size);
  }
  return headers;
}

/* An empty value must not look like a tombstone, whose value pointer is NULL. */
rd_kafka_resp_err_t freshet_kafka_enqueue(freshet_kafka_client* client, rd_kafka_topic_t* topic,
                                          const freshet_output* output, void* opaque) {
  rd_kafka_headers_t* headers = headers_of(output);
  if (freshet_seal_is_of(output->topic)) freshet_seal_add(client->config->app_id, output, &headers);
  const char* value = !output->has_value ? NULL : output->value.size == 0 ? "" : output->value.data;
  rd_kafka_vu_t arguments[] = {
      {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
      {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = output->partition},
      {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
      {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void*)output->key.data, output->key.size}},
      {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void*)value, value == NULL ? 0 : output->value.size}},
      {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = opaque},
      {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = output->timestamp_ms},
      {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers}, /* last: left out when there are none */
  };
  size_t count = sizeof arguments / sizeof arguments[0] - (headers == NULL ? 1 : 0);
  rd_kafka_error_t* failure = rd_kafka_produceva(client->handle, arguments, count);
  if (failure == NULL) return RD_KAFKA_RESP_ERR_NO_ERROR;
  rd_kafka_resp_err_t code = rd_kafka_error_code(failure);
  rd_kafka_error_destroy(failure);
  if (headers != NULL) rd_kafka_headers_destroy(headers);
  return code;
}

rd_kafka_resp_err_t freshet_kafka_delivered(const rd_kafka_message_t* message) {
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR || message->offset >= 0) return message->err;
  return RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
}
