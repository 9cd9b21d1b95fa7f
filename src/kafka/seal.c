/*
 * seal.c: see seal.h. The header's value is the checksum, u64 LE, and then the app's id. The checksum finds damage and
 * mistakes; it keeps nobody out who knows it. Access lists of the cluster do that.
 */
#include "kafka/seal.h"

#include <string.h>

#include "core/maths.h"
#include "freshet/event.h"

static const char header_name[] = "freshet.state";

bool freshet_seal_is_of(freshet_topic topic) {
  return topic == FRESHET_TOPIC_USERS || topic == FRESHET_TOPIC_ITEM_DELTAS ||
         topic == FRESHET_TOPIC_ITEM_STATES || topic == FRESHET_TOPIC_APP_GENERATIONS;
}

uint64_t freshet_seal_sum(freshet_slice key, bool has_value, freshet_slice value) {
  const uint64_t of_value = has_value ? freshet_id_key(value) : 0;
  return freshet_mix64(freshet_mix64(freshet_id_key(key) + has_value) + of_value);
}

void freshet_seal_add(const char* app_id, const freshet_output* output, rd_kafka_headers_t** headers) {
  freshet_buffer seal = {0};
  const uint64_t sum = freshet_seal_sum(output->key, output->has_value, output->value);
  freshet_buffer_append(&seal, &sum, sizeof sum);
  freshet_buffer_append(&seal, app_id, strlen(app_id));
  if (*headers == NULL) *headers = rd_kafka_headers_new(1);
  rd_kafka_header_add(*headers, header_name, -1, seal.data, (ssize_t)seal.size);
  freshet_buffer_free(&seal);
}

/* Equal, or equal up to a dot. */
static bool is_related(freshet_slice a, freshet_slice b) {
  if (a.size > b.size) return is_related(b, a);
  return memcmp(a.data, b.data, a.size) == 0 && (a.size == b.size || b.data[a.size] == '.');
}

freshet_seal freshet_seal_check(const char* app_id, const rd_kafka_message_t* message) {
  rd_kafka_headers_t* headers = NULL;
  const void* bytes;
  size_t size;
  uint64_t sum;
  if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_get_last(headers, header_name, &bytes, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return FRESHET_SEAL_NONE;
  if (bytes == NULL || size <= sizeof sum) return FRESHET_SEAL_BROKEN;
  memcpy(&sum, bytes, sizeof sum);
  const freshet_slice key = {message->key, message->key_len}, value = {message->payload, message->len};
  if (sum != freshet_seal_sum(key, message->payload != NULL, value)) return FRESHET_SEAL_BROKEN;
  const freshet_slice writer = {(const char*)bytes + sizeof sum, size - sizeof sum};
  if (app_id != NULL && !is_related(writer, freshet_slice_of(app_id))) return FRESHET_SEAL_FOREIGN;
  return FRESHET_SEAL_RIGHT;
}
