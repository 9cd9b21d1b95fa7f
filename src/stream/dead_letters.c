/* dead_letters.c: builds the letters; see dead_letters.h. */
#include "stream/dead_letters.h"

#include <stdio.h>

static const char origin_topic[] = "__connect.errors.topic";

void freshet_dead_letters_add(freshet_outbox* outbox, const freshet_ports* ports,
                              const freshet_record* record, const char* stage, const freshet_error* cause) {
  const char* topic = freshet_outbox_topic_name(outbox, record->topic);
  char partition[16], offset[24];
  snprintf(partition, sizeof partition, "%d", record->partition);
  snprintf(offset, sizeof offset, "%lld", (long long)record->offset);
  const freshet_header headers[] = {
      {origin_topic, freshet_slice_of(topic)},
      {"__connect.errors.partition", freshet_slice_of(partition)},
      {"__connect.errors.offset", freshet_slice_of(offset)},
      {"__connect.errors.connector.name", freshet_slice_of("freshet")},
      {"__connect.errors.task.id", freshet_slice_of("0")},
      {"__connect.errors.stage", freshet_slice_of(stage)},
      {"__connect.errors.class.name", freshet_slice_of("freshet")},
      {"__connect.errors.exception.class.name", freshet_slice_of("freshet.InvalidRecord")},
      {"__connect.errors.exception.message", freshet_slice_of(cause->message)},
  };
  freshet_slice key = record->has_key ? record->key : (freshet_slice){NULL, 0};
  if (record->has_key && key.data == NULL) key.data = ""; /* a key of no bytes is not a missing key */
  const freshet_output letter = {.topic = FRESHET_TOPIC_DEAD_LETTERS,
                                 .partition = -1,
                                 .key = key,
                                 .has_value = record->has_value,
                                 .value = record->value,
                                 .headers = headers,
                                 .header_count = sizeof headers / sizeof headers[0]};
  freshet_outbox_add(outbox, &letter, FRESHET_WITH_COMMIT, NULL);
  freshet_count(&ports->metrics->dead_letters, 1);
  freshet_log_fact(ports->logger, FRESHET_DEBUG, "record.dead",
                   "topic=%s partition=%d offset=%lld reason=\"%s\"", topic, record->partition,
                   (long long)record->offset, cause->message);
}

typedef struct forgetting {
  freshet_slice user_id, items_topic;
} forgetting;

static bool is_theirs(void* context, const freshet_output* output) {
  const forgetting* f = context;
  if (output->topic != FRESHET_TOPIC_DEAD_LETTERS || output->key.data == NULL) return false;
  bool is_item = output->header_count > 0 && freshet_slice_equal(output->headers[0].value, f->items_topic);
  return !is_item && freshet_slice_equal(output->key, f->user_id);
}

void freshet_dead_letters_forget(freshet_outbox* outbox, freshet_slice user_id) {
  forgetting f = {user_id, freshet_slice_of(freshet_outbox_topic_name(outbox, FRESHET_TOPIC_ITEMS))};
  freshet_outbox_forget(outbox, is_theirs, &f);
}
