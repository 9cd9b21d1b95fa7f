/*
 * input_topic.c: history from a topic of a Kafka cluster: records of events or items, decoded as their own schema
 * says. A record without a value erases; what it erases is told by its neighbours. It must not know what is done with
 * the records.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "commands/input/input_reader.h"
#include "kafka/history.h"

enum { ID_SIZE = 32, NUMBER_SIZE = 48 };

typedef struct topic_reader {
  freshet_input_reader base;
  freshet_kafka_history* history;
  freshet_codec* codec;
  const char* topic;
  freshet_input_expect kind; /* of the last record; ANY: none yet */
  bool mixed;                /* it may change */
  char id[ID_SIZE];
  freshet_slice key, value; /* of the last record */
} topic_reader;

static freshet_status decode_as(topic_reader* reader, freshet_input_expect kind, freshet_slice value,
                                freshet_input_record* record, freshet_error* error) {
  record->is_event = kind == FRESHET_INPUT_EVENTS;
  return record->is_event ? freshet_decode_event(reader->codec, value, &record->event, error)
                          : freshet_decode_item(reader->codec, value, &record->item, error);
}

static freshet_status decode(topic_reader* reader, freshet_slice value, freshet_input_record* record,
                             freshet_error* error) {
  freshet_input_expect first =
      reader->kind == FRESHET_INPUT_ITEMS ? FRESHET_INPUT_ITEMS : FRESHET_INPUT_EVENTS;
  freshet_input_expect other = first == FRESHET_INPUT_ITEMS ? FRESHET_INPUT_EVENTS : FRESHET_INPUT_ITEMS;
  freshet_status status = decode_as(reader, first, value, record, error);
  reader->kind = status == FRESHET_OK || reader->kind != FRESHET_INPUT_ANY ? first : FRESHET_INPUT_ANY;
  if (status == FRESHET_OK || !reader->mixed) return status;
  freshet_status again = decode_as(reader, other, value, record, NULL);
  if (again != FRESHET_OK) {
    record->is_event = first == FRESHET_INPUT_EVENTS;
    return status;
  }
  if (error != NULL) freshet_error_clear(error);
  reader->kind = other;
  return FRESHET_OK;
}

/* What a record without a value erases is told by its neighbours. */
static freshet_status take_tombstone(topic_reader* reader, freshet_input_record* record,
                                     freshet_error* error) {
  record->is_tombstone = true;
  record->is_event = reader->kind != FRESHET_INPUT_ITEMS;
  record->event.user_id = record->item.item_id = record->key;
  record->event.occurred_at_ms = record->record_ms;
  if (reader->kind != FRESHET_INPUT_ANY) return FRESHET_OK;
  return freshet_error_set(
      error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
      "a record without a value before any other: a user or an item? Tell with --events or "
      "--items in place of --from");
}

/* An event without an id gets one from its place, which no other record shares. */
static void name_event(topic_reader* reader, freshet_input_record* record) {
  char place[NUMBER_SIZE];
  freshet_buffer text = {0};
  snprintf(place, sizeof place, "/%d/%lu", (int)record->partition, record->line);
  freshet_buffer_append(&text, reader->topic, strlen(reader->topic));
  freshet_buffer_append(&text, place, strlen(place));
  snprintf(reader->id, sizeof reader->id, "r-%016" PRIx64, freshet_id_key(freshet_buffer_slice(&text)));
  freshet_buffer_free(&text);
  record->event.event_id = freshet_slice_of(reader->id);
}

static freshet_status next(freshet_input_reader* self, freshet_input_record* record, bool* more,
                           freshet_error* error) {
  topic_reader* reader = (topic_reader*)self;
  freshet_record found;
  freshet_status status = freshet_kafka_history_next(reader->history, &found, more, error);
  if (status != FRESHET_OK || !*more) return status;
  *record = (freshet_input_record){.line = (unsigned long)found.offset,
                                   .partition = found.partition,
                                   .decoded = true,
                                   .has_key = true,
                                   .key = found.key,
                                   .record_ms = found.timestamp_ms};
  reader->key = found.key;
  reader->value = found.has_value ? found.value : (freshet_slice){0};
  if (!found.has_value) return take_tombstone(reader, record, error);
  freshet_error why = {0};
  status = decode(reader, found.value, record, &why);
  if (status == FRESHET_UNAVAILABLE)
    return freshet_error_set(error, status, FRESHET_STOP, "%s [%d], offset %lld: %s; it does not answer",
                             reader->topic, (int)found.partition, (long long)found.offset, why.message);
  if (status != FRESHET_OK) freshet_error_set(error, status, why.verdict, "%s", why.message);
  if (status == FRESHET_OK && record->is_event && record->event.event_id.size == 0)
    name_event(reader, record);
  return status;
}

/* The key, and the value in hexadecimal: it may be of any schema. */
static void row(const freshet_input_reader* self, freshet_buffer* text) {
  const topic_reader* reader = (const topic_reader*)self;
  freshet_buffer_append(text, reader->key.data, reader->key.size);
  freshet_buffer_append(text, " ", 1);
  for (size_t i = 0; i < reader->value.size; i++) {
    unsigned char byte = (unsigned char)reader->value.data[i];
    char pair[2] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
    freshet_buffer_append(text, pair, 2);
  }
}

static double progress(const freshet_input_reader* self) {
  return freshet_kafka_history_progress(((const topic_reader*)self)->history);
}

static bool place(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_kafka_history_place(((const topic_reader*)self)->history, text);
  return true;
}

static void close_reader(freshet_input_reader* self) {
  topic_reader* reader = (topic_reader*)self;
  freshet_kafka_history_close(reader->history);
  freshet_codec_destroy(reader->codec);
  free(reader);
}

freshet_status freshet_input_open_topic(const freshet_input* input, freshet_input_reader** out,
                                        freshet_error* error) {
  static const freshet_input_reader_vtable vtable = {
      .next = next, .progress = progress, .place = place, .row = row, .close = close_reader};
  if (input->cluster == NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: topics are not read here",
                             input->path);
  }
  topic_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  reader->base.vtable = &vtable;
  reader->topic = input->path + strlen(FRESHET_INPUT_KAFKA);
  reader->kind = input->expect;
  reader->mixed = input->expect == FRESHET_INPUT_ANY;
  freshet_kafka_history_config config = {.kafka = input->cluster->kafka,
                                         .topic = reader->topic,
                                         .since_ms = input->cluster->since_ms,
                                         .until_ms = input->cluster->until_ms,
                                         .place = input->place == NULL ? "" : input->place};
  freshet_status status = freshet_codec_create(input->cluster->codec, &reader->codec, error);
  if (status == FRESHET_OK) status = freshet_kafka_history_open(&config, &reader->history, error);
  if (status != FRESHET_OK) {
    close_reader(&reader->base);
    return status;
  }
  *out = &reader->base;
  return FRESHET_OK;
}
