/* dead_letters.c: builds the letters; see dead_letters.h. */
#include "stream/dead_letters.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

enum {
  HEADER_FRAME = 10, /* lengths of a header's name and value, at most */
  HASH_DIGITS = 16,
  OF_ORIGINAL = 3, /* headers about the original */
  KEY_SHARE = 4,   /* of the room, at most a quarter is for the key */
};

static const char origin_topic[] = "__connect.errors.topic";

/* What is written of a record that is larger than the dead-letter topic takes, and how large it was. */
typedef struct original {
  freshet_slice key, value;
  char key_size[24], value_size[24], value_hash[24];
} original;

static original original_of(const freshet_record* record) {
  original o = {.key = record->has_key ? record->key : (freshet_slice){NULL, 0}, .value = record->value};
  if (record->has_key && o.key.data == NULL) o.key.data = ""; /* a key of no bytes is not a missing key */
  if (!record->has_value) o.value = (freshet_slice){NULL, 0};
  snprintf(o.key_size, sizeof o.key_size, "%zu", o.key.size);
  snprintf(o.value_size, sizeof o.value_size, "%zu", o.value.size);
  return o;
}

static size_t size_of_headers(const freshet_header* headers, size_t count) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++) size += strlen(headers[i].name) + headers[i].value.size + HEADER_FRAME;
  return size;
}

/* Cuts key and value so that they take at most `room` bytes. False: they do already. */
static bool shorten(original* o, size_t room) {
  if (o->key.size + o->value.size <= room) return false;
  const unsigned long long hash = XXH3_64bits(o->value.data, o->value.size);
  snprintf(o->value_hash, sizeof o->value_hash, "%016llx", hash);
  if (o->key.size > room / KEY_SHARE) o->key.size = room / KEY_SHARE;
  if (o->value.size > room - o->key.size) o->value.size = room - o->key.size;
  return true;
}

void freshet_dead_letters_add(freshet_outbox* outbox, const freshet_ports* ports,
                              const freshet_record* record, const char* stage, const freshet_error* cause) {
  const char* topic = freshet_outbox_topic_name(outbox, record->topic);
  const size_t limit = freshet_outbox_limit(outbox, FRESHET_TOPIC_DEAD_LETTERS);
  char partition[16], offset[24];
  original o = original_of(record);
  snprintf(partition, sizeof partition, "%d", record->partition);
  snprintf(offset, sizeof offset, "%lld", (long long)record->offset);
  freshet_header headers[] = {
      {origin_topic, freshet_slice_of(topic)},
      {"__connect.errors.partition", freshet_slice_of(partition)},
      {"__connect.errors.offset", freshet_slice_of(offset)},
      {"__connect.errors.connector.name", freshet_slice_of("freshet")},
      {"__connect.errors.task.id", freshet_slice_of("0")},
      {"__connect.errors.stage", freshet_slice_of(stage)},
      {"__connect.errors.class.name", freshet_slice_of("freshet")},
      {"__connect.errors.exception.class.name", freshet_slice_of("freshet.InvalidRecord")},
      {"__connect.errors.exception.message", freshet_slice_of(cause->message)},
      {"freshet.original.key.size", freshet_slice_of(o.key_size)},
      {"freshet.original.value.size", freshet_slice_of(o.value_size)},
      {"freshet.original.value.xxh3", {o.value_hash, HASH_DIGITS}},
  };
  const size_t all = sizeof headers / sizeof headers[0], head = size_of_headers(headers, all);
  const bool is_shortened = shorten(&o, limit > head ? limit - head : 0);
  const freshet_output letter = {.topic = FRESHET_TOPIC_DEAD_LETTERS,
                                 .partition = -1,
                                 .key = o.key,
                                 .has_value = record->has_value,
                                 .value = o.value,
                                 .headers = headers,
                                 .header_count = is_shortened ? all : all - OF_ORIGINAL};
  freshet_outbox_add(outbox, &letter, FRESHET_WITH_COMMIT, NULL);
  freshet_count(&ports->metrics->dead_letters, 1);
  const uint64_t count = freshet_metric(&ports->metrics->dead_letters);
  const bool is_told = is_shortened || freshet_log_tells(count);
  freshet_log_fact(ports->logger, is_told ? FRESHET_WARN : FRESHET_DEBUG,
                   is_shortened ? "record.dead_shortened" : "record.dead",
                   "topic=%s partition=%d offset=%lld bytes=%s count=%llu reason=\"%s\"", topic,
                   record->partition, (long long)record->offset, o.value_size, (unsigned long long)count,
                   cause->message);
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
