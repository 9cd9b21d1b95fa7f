/*
 * transfer.c: see transfer.h: the table of kinds, and the records whose schema is only here. Functions without
 * state.
 */
#include "commands/transfer/transfer.h"

#include "codec/schema_source.h"

static const char chunk_schema[] =
    "{\"type\":\"record\",\"name\":\"DedupChunk\",\"namespace\":\"freshet.export\",\"doc\":\"A part of a "
    "partition's dedup window: ids of events that are not learned again.\",\"fields\":["
    "{\"name\":\"key\",\"type\":\"bytes\",\"doc\":\"Its key in the changelog.\"},"
    "{\"name\":\"ids\",\"type\":\"bytes\",\"doc\":\"Hashes of event ids with their times, as in the "
    "changelog.\"}]}";
static const char learned_schema[] =
    "{\"type\":\"record\",\"name\":\"LearnedItem\",\"namespace\":\"freshet.export\",\"doc\":\"What the model "
    "has "
    "learned about an item.\",\"fields\":["
    "{\"name\":\"item_key\",\"type\":\"long\",\"doc\":\"XXH3-64 of the item's id, as two's complement; 0: "
    "what "
    "belongs to no single item.\"},"
    "{\"name\":\"item_id\",\"type\":\"string\",\"doc\":\"The item; empty: it was never announced.\"},"
    "{\"name\":\"learned\",\"type\":\"bytes\",\"doc\":\"In the layout of the model.\"}]}";
static const char position_schema[] =
    "{\"type\":\"record\",\"name\":\"Position\",\"namespace\":\"freshet.export\",\"doc\":\"How far an input "
    "topic "
    "has been applied.\",\"fields\":["
    "{\"name\":\"topic\",\"type\":\"string\",\"doc\":\"events, requests or items.\"},"
    "{\"name\":\"partition\",\"type\":\"long\"},"
    "{\"name\":\"offset\",\"type\":\"long\",\"doc\":\"Of the next record to read.\"}]}";

const freshet_transfer_spec freshet_transfer_specs[FRESHET_TRANSFER_KINDS] = {
    [FRESHET_TRANSFER_USERS] = {"users", "users", "UserState", NULL},
    [FRESHET_TRANSFER_DEDUP] = {"dedup", "chunks of dedup windows", NULL, chunk_schema},
    [FRESHET_TRANSFER_ITEMS] = {"items", "items", "Item", NULL},
    [FRESHET_TRANSFER_LEARNED] = {"learned", "items in the model", NULL, learned_schema},
    [FRESHET_TRANSFER_VECTORS] = {"text-vectors", "text vectors", "ItemState", NULL},
    [FRESHET_TRANSFER_ENCODER] = {"text-encoder", "text encoders in use", "TextGeneration", NULL},
    [FRESHET_TRANSFER_POSITIONS] = {"positions", "positions", NULL, position_schema},
};

const char* freshet_transfer_schema(freshet_transfer_kind kind) {
  const freshet_transfer_spec* spec = &freshet_transfer_specs[kind];
  return spec->record != NULL ? freshet_schema_source_of(spec->record) : spec->json;
}

/* ---- records ---- */

void freshet_put_chunk(freshet_buffer* out, const freshet_transfer_chunk* chunk) {
  freshet_put_avro_bytes(out, chunk->key);
  freshet_put_avro_bytes(out, chunk->ids);
}

void freshet_put_learned(freshet_buffer* out, const freshet_transfer_learned* learned) {
  freshet_put_avro_long(out, (int64_t)learned->item_key);
  freshet_put_avro_bytes(out, learned->item_id);
  freshet_put_avro_bytes(out, learned->learned);
}

void freshet_put_position(freshet_buffer* out, const freshet_transfer_position* position) {
  freshet_put_avro_bytes(out, position->topic);
  freshet_put_avro_long(out, position->partition);
  freshet_put_avro_long(out, position->offset);
}

static freshet_status judge(bool fine, const char* what, freshet_error* error) {
  if (fine) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s cannot be read", what);
}

freshet_status freshet_take_chunk(freshet_slice* bytes, freshet_transfer_chunk* chunk, freshet_error* error) {
  bool fine = freshet_take_avro_bytes(bytes, &chunk->key) && freshet_take_avro_bytes(bytes, &chunk->ids);
  return judge(fine && chunk->key.size > 0 && chunk->key.data[0] == '\0', "a chunk of a dedup window", error);
}

freshet_status freshet_take_learned(freshet_slice* bytes, freshet_transfer_learned* learned,
                                    freshet_error* error) {
  int64_t key = 0;
  bool fine = freshet_take_avro_long(bytes, &key) && freshet_take_avro_bytes(bytes, &learned->item_id) &&
              freshet_take_avro_bytes(bytes, &learned->learned);
  learned->item_key = (uint64_t)key;
  return judge(fine, "what is learned about an item", error);
}

freshet_status freshet_take_position(freshet_slice* bytes, freshet_transfer_position* position,
                                     freshet_error* error) {
  bool fine = freshet_take_avro_bytes(bytes, &position->topic) &&
              freshet_take_avro_long(bytes, &position->partition) &&
              freshet_take_avro_long(bytes, &position->offset);
  return judge(fine && position->partition >= 0 && position->partition <= INT32_MAX && position->offset >= 0,
               "a position", error);
}

/* ---- topics ---- */

const char* freshet_transfer_topic_name(freshet_topic topic) {
  switch (topic) {
    case FRESHET_TOPIC_EVENTS:
      return "events";
    case FRESHET_TOPIC_REQUESTS:
      return "requests";
    case FRESHET_TOPIC_ITEMS:
      return "items";
    default:
      return NULL;
  }
}

freshet_topic freshet_transfer_topic(freshet_slice name) {
  static const freshet_topic topics[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_REQUESTS, FRESHET_TOPIC_ITEMS};
  for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
    if (freshet_slice_equal(name, freshet_slice_of(freshet_transfer_topic_name(topics[i])))) return topics[i];
  }
  return FRESHET_TOPICS;
}
