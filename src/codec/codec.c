/*
 * codec.c: framing, and the public encode and decode functions. It knows a record
 * only by its entry in codec_records.h; how bytes become fields is the work of plan.h.
 */
#include "codec/codec.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec_internal.h"
#include "codec/schema_source.h"

enum {
  SINGLE_OBJECT_HEAD_SIZE = 10, /* C3 01, fingerprint */
  CONFLUENT_HEAD_SIZE = 5,      /* 00, id */
};

freshet_status freshet_codec_add_schema(freshet_codec* codec, const char* json, uint64_t* fingerprint,
                                        freshet_error* error) {
  writer made = {0};
  freshet_status status = freshet_writer_resolve(codec, json, &made, error);
  if (status == FRESHET_OK) {
    made.key = *fingerprint = freshet_avro_fingerprint(made.schema);
    if (freshet_writers_find(&codec->by_fingerprint, made.key) == NULL) {
      freshet_writers_add(&codec->by_fingerprint, made);
      made = (writer){0};
    }
  }
  freshet_writer_forget(&made);
  return status;
}

/* ---- creation ---- */

static freshet_status add_file(freshet_codec* codec, const char* path, freshet_error* error) {
  char* json = NULL;
  freshet_error why = {0};
  uint64_t fingerprint;
  freshet_status status = freshet_schema_read_file(path, &json, &why);
  if (status == FRESHET_OK) status = freshet_codec_add_schema(codec, json, &fingerprint, &why);
  free(json);
  if (status == FRESHET_OK) return status;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "schema %s: %s", path, why.message);
}

static int is_schema_file(const struct dirent* entry) {
  const char* dot = strrchr(entry->d_name, '.');
  return dot != NULL && strcmp(dot, ".avsc") == 0;
}

static freshet_status add_folder(freshet_codec* codec, const char* folder, freshet_error* error) {
  struct dirent** entries;
  int count = scandir(folder, &entries, is_schema_file, alphasort);
  if (count < 0) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "schema folder %s: %s", folder,
                             strerror(errno));
  }
  freshet_status status = FRESHET_OK;
  for (int i = 0; i < count; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
    if (status == FRESHET_OK) status = add_file(codec, path, error);
    free(entries[i]);
  }
  free(entries);
  return status;
}

/* Our own schemas are compiled in, so a fault in them is a bug. */
static void load_ours(freshet_codec* codec) {
  for (int r = 0; r < FRESHET_RECORDS; r++) {
    const char* json = freshet_schema_source_of(freshet_records[r].name);
    FRESHET_ASSERT(json != NULL);
    freshet_error why = {0};
    freshet_status status = freshet_avro_schema_parse(json, &codec->ours[r], &why);
    FRESHET_ASSERT(status == FRESHET_OK);
    status = freshet_codec_add_schema(codec, json, &codec->fingerprints[r], &why);
    FRESHET_ASSERT(status == FRESHET_OK);
    codec->encoders[r] = freshet_writers_find(&codec->by_fingerprint, codec->fingerprints[r])->plan;
    codec->ids[r] = -1;
  }
  for (size_t i = 0; freshet_schema_former(i) != NULL; i++) {
    uint64_t fingerprint;
    freshet_status status = freshet_codec_add_schema(codec, freshet_schema_former(i), &fingerprint, NULL);
    FRESHET_ASSERT(status == FRESHET_OK);
  }
}

freshet_status freshet_codec_create(const freshet_codec_config* config, freshet_codec** codec,
                                    freshet_error* error) {
  *codec = NULL;
  freshet_codec* made = calloc(1, sizeof *made);
  FRESHET_ASSERT(made != NULL);
  made->lookup = config->lookup;
  made->output = config->output;
  load_ours(made);
  freshet_status status = FRESHET_OK;
  if (config->schema_folder != NULL) status = add_folder(made, config->schema_folder, error);
  if (status == FRESHET_OK) {
    *codec = made;
  } else {
    freshet_codec_destroy(made);
  }
  return status;
}

void freshet_codec_destroy(freshet_codec* codec) {
  if (codec == NULL) return;
  freshet_writers_free(&codec->by_fingerprint);
  freshet_writers_free(&codec->by_id);
  for (int r = 0; r < FRESHET_RECORDS; r++) freshet_avro_schema_destroy(codec->ours[r]);
  for (int f = 0; f < FRESHET_KINDS; f++) freshet_arena_free(&codec->values[f]);
  freshet_arena_free(&codec->plans);
  free(codec);
}

freshet_status freshet_schema_fingerprint(const char* json, uint64_t* fingerprint, freshet_error* error) {
  freshet_avro_schema* schema;
  freshet_status status = freshet_avro_schema_parse(json, &schema, error);
  if (status == FRESHET_OK) *fingerprint = freshet_avro_fingerprint(schema);
  freshet_avro_schema_destroy(schema);
  return status;
}

/* ---- framing ---- */

#define refuse(error, ...) freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, __VA_ARGS__)

/* The writer's schema of a Confluent id. It is asked for once; one that cannot be read is remembered with the
 * reason. NULL: the lookup does not know it now; a registry may know it later. */
static const writer* writer_of_id(freshet_codec* codec, int32_t id) {
  const writer* known = freshet_writers_find(&codec->by_id, (uint32_t)id);
  if (known != NULL || codec->lookup.by_id == NULL) return known;
  const char* json = codec->lookup.by_id(codec->lookup.context, id);
  if (json == NULL) return NULL;
  freshet_error why = {0};
  writer made = {.key = (uint32_t)id};
  if (freshet_writer_resolve(codec, json, &made, &why) != FRESHET_OK) {
    made.plan = NULL;
    made.problem = strdup(why.message);
  }
  return freshet_writers_add(&codec->by_id, made);
}

/* How messages call the schema: by its id, or by its GUID, [FRESHET_GUID_SIZE], when it is not NULL. */
typedef struct schema_name {
  char text[64];
} schema_name;

static schema_name name_of(int32_t id, const uint8_t* guid) {
  schema_name name;
  size_t at = (size_t)snprintf(name.text, sizeof name.text, "schema ");
  if (guid == NULL) snprintf(name.text + at, sizeof name.text - at, "id %" PRId32, id);
  for (int i = 0; guid != NULL && i < FRESHET_GUID_SIZE; i++)
    at += (size_t)snprintf(name.text + at, sizeof name.text - at, "%s%02x",
                           i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", guid[i]);
  return name;
}

static void refuse_id(freshet_codec* codec, int32_t id, const schema_name* name, freshet_error* error) {
  const freshet_schema_lookup* lookup = &codec->lookup;
  codec->awaits_schema = lookup->is_pending != NULL && lookup->is_pending(lookup->context, id);
  if (codec->awaits_schema) {
    freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_RETRY, "%s is being asked for at the registry",
                      name->text);
  } else {
    char why[256] = "";
    if (lookup->why_absent != NULL) lookup->why_absent(lookup->context, id, why, sizeof why);
    refuse(error, "unknown %s%s%s", name->text, why[0] == '\0' ? "" : ": ", why);
  }
}

uint64_t freshet_codec_version(const freshet_codec* codec) {
  return codec->lookup.version == NULL ? 0 : codec->lookup.version(codec->lookup.context);
}

/* The datum of a union begins with the number of its branch, a zigzag varint. No union has more than 64 records. */
static const writer* choose_branch(const writer* chosen, freshet_slice* bytes, freshet_error* error) {
  const uint8_t number = bytes->size == 0 ? 1 : (uint8_t)bytes->data[0];
  if ((number & 0x81) != 0 || number / 2 >= chosen->branch_count) {
    refuse(error, "the union has no such branch");
    return NULL;
  }
  const writer* branch = &chosen->branches[number / 2];
  *bytes = (freshet_slice){bytes->data + 1, bytes->size - 1};
  if (branch->problem == NULL) return branch;
  refuse(error, "branch %d of the union: %s", number / 2, branch->problem);
  return NULL;
}

/* The writer's schema of an id, of a GUID when it is not NULL. NULL, with the error set: it cannot be used. */
static const writer* by_number(freshet_codec* codec, int32_t id, const uint8_t* guid, freshet_error* error) {
  const schema_name name = name_of(id, guid);
  if (guid != NULL && id == -1) {
    refuse(error, "unknown %s: only a registry (registry.url) knows schemas by GUID", name.text);
    return NULL;
  }
  const writer* found = writer_of_id(codec, id);
  if (found == NULL) refuse_id(codec, id, &name, error);
  if (found == NULL || found->problem == NULL) return found;
  refuse(error, "%s: %s", name.text, found->problem);
  return NULL;
}

static bool is_single_object(freshet_slice bytes) {
  const uint8_t* head = (const uint8_t*)bytes.data;
  return bytes.size >= SINGLE_OBJECT_HEAD_SIZE && head[0] == 0xc3 && head[1] == 0x01;
}

static uint64_t fingerprint_of(freshet_slice bytes) {
  const uint8_t* head = (const uint8_t*)bytes.data;
  uint64_t fingerprint = 0;
  for (int i = 7; i >= 0; i--) fingerprint = fingerprint << 8 | head[2 + i];
  return fingerprint;
}

bool freshet_codec_is_unknown(const freshet_codec* codec, freshet_slice bytes) {
  return is_single_object(bytes) &&
         freshet_writers_find(&codec->by_fingerprint, fingerprint_of(bytes)) == NULL;
}

/* Tells the framings apart, finds the writer's schema and leaves the datum in *bytes. NULL, with the error
 * set: it cannot. */
static const writer* unframe(freshet_codec* codec, freshet_slice* bytes, freshet_error* error) {
  const uint8_t* head = (const uint8_t*)bytes->data;
  size_t head_size = 0;
  const writer* found = NULL;
  if (is_single_object(*bytes)) {
    const uint64_t fingerprint = fingerprint_of(*bytes);
    head_size = SINGLE_OBJECT_HEAD_SIZE;
    found = freshet_writers_find(&codec->by_fingerprint, fingerprint);
    if (found == NULL) refuse(error, "unknown schema fingerprint %016" PRIx64, fingerprint);
  } else if (bytes->size >= CONFLUENT_HEAD_SIZE && head[0] == 0x00) {
    uint32_t id = (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
    head_size = CONFLUENT_HEAD_SIZE;
    found = by_number(codec, (int32_t)id, NULL, error);
  } else if (bytes->size >= FRESHET_GUID_HEAD_SIZE && head[0] == 0x01) {
    const freshet_schema_lookup* lookup = &codec->lookup;
    const uint8_t* guid = head + 1;
    head_size = FRESHET_GUID_HEAD_SIZE;
    found = by_number(codec, lookup->id_of_guid == NULL ? -1 : lookup->id_of_guid(lookup->context, guid),
                      guid, error);
  } else {
    bool is_json = bytes->size > 0 && (bytes->data[0] == '{' || bytes->data[0] == '[');
    refuse(error, "%zu bytes that are neither Avro's single-object encoding nor Confluent's wire format%s",
           bytes->size, is_json ? ": JSON?" : "");
  }
  if (found != NULL) *bytes = (freshet_slice){bytes->data + head_size, bytes->size - head_size};
  return found == NULL || found->branches == NULL ? found : choose_branch(found, bytes, error);
}

static void put_single_object_head(uint64_t fingerprint, freshet_buffer* out) {
  uint8_t head[SINGLE_OBJECT_HEAD_SIZE] = {0xc3, 0x01};
  for (int i = 0; i < 8; i++) head[2 + i] = (uint8_t)(fingerprint >> 8 * i);
  freshet_buffer_append(out, head, sizeof head);
}

static freshet_status put_confluent_head(freshet_codec* codec, freshet_record_type r, freshet_buffer* out,
                                         freshet_error* error) {
  if (codec->ids[r] < 0 && codec->lookup.id_of != NULL) {
    codec->ids[r] = codec->lookup.id_of(codec->lookup.context, freshet_records[r].name);
  }
  if (codec->ids[r] < 0) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "no schema id is known for %s: register the schemas with `freshet topics create "
                             "--register`, or give it in registry.ids",
                             freshet_records[r].name);
  }
  uint32_t id = (uint32_t)codec->ids[r];
  uint8_t head[CONFLUENT_HEAD_SIZE] = {0, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                                       (uint8_t)id};
  freshet_buffer_append(out, head, sizeof head);
  return FRESHET_OK;
}

/* ---- values ---- */

/* Decodes one value. `which`: receives the record that came; NULL: the caller knows. The datum is copied
 * first, so that the struct's slices outlive the message. */
static freshet_status decode(freshet_codec* codec, freshet_record_kind wanted, freshet_slice bytes, void* out,
                             freshet_record_type* which, freshet_error* error) {
  codec->awaits_schema = false;
  const writer* found = unframe(codec, &bytes, error);
  if (found == NULL) return codec->awaits_schema ? FRESHET_UNAVAILABLE : FRESHET_INVALID;
  if (freshet_records[found->record].kind != wanted) {
    return refuse(error, "%s where %s is expected", freshet_records[found->record].name,
                  freshet_record_kind_names[wanted]);
  }
  freshet_arena* arena = &codec->values[wanted];
  freshet_arena_reset(arena);
  freshet_slice copy = {freshet_arena_copy(arena, bytes.data, bytes.size), bytes.size};
  if (which != NULL) *which = found->record;
  return freshet_plan_decode(found->plan, copy, arena, out, error);
}

static freshet_status encode(freshet_codec* codec, freshet_record_type r, freshet_framing framing,
                             const void* in, freshet_buffer* out, freshet_error* error) {
  size_t size = out->size;
  freshet_status status = FRESHET_OK;
  if (framing == FRESHET_FRAMING_CONFLUENT) {
    status = put_confluent_head(codec, r, out, error);
  } else {
    put_single_object_head(codec->fingerprints[r], out);
  }
  if (status == FRESHET_OK) status = freshet_plan_encode(codec->encoders[r], in, out, error);
  if (status != FRESHET_OK) out->size = size;
  return status;
}

freshet_status freshet_decode_event(freshet_codec* codec, freshet_slice bytes, freshet_event* event,
                                    freshet_error* error) {
  freshet_record_type which = FRESHET_RECORDS;
  freshet_status status = decode(codec, FRESHET_KIND_EVENT, bytes, event, &which, error);
  if (status == FRESHET_OK) event->type = (freshet_event_type)which;
  return status;
}

freshet_status freshet_encode_event(freshet_codec* codec, const freshet_event* event, freshet_buffer* out,
                                    freshet_error* error) {
  FRESHET_ASSERT((unsigned)event->type < FRESHET_EVENT_TYPES);
  return encode(codec, (freshet_record_type)event->type, codec->output, event, out, error);
}

freshet_status freshet_decode_item(freshet_codec* codec, freshet_slice bytes, freshet_item* item,
                                   freshet_error* error) {
  return decode(codec, FRESHET_KIND_ITEM, bytes, item, NULL, error);
}

freshet_status freshet_encode_item(freshet_codec* codec, const freshet_item* item, freshet_buffer* out,
                                   freshet_error* error) {
  return encode(codec, FRESHET_RECORD_ITEM, codec->output, item, out, error);
}

freshet_status freshet_decode_list(freshet_codec* codec, freshet_slice bytes, freshet_list* list,
                                   freshet_error* error) {
  return decode(codec, FRESHET_KIND_LIST, bytes, list, NULL, error);
}

freshet_status freshet_encode_list(freshet_codec* codec, const freshet_list* list, freshet_buffer* out,
                                   freshet_error* error) {
  return encode(codec, FRESHET_RECORD_LIST, codec->output, list, out, error);
}

freshet_status freshet_decode_request(freshet_codec* codec, freshet_slice bytes, freshet_request* request,
                                      freshet_error* error) {
  return decode(codec, FRESHET_KIND_REQUEST, bytes, request, NULL, error);
}

freshet_status freshet_encode_request(freshet_codec* codec, const freshet_request* request,
                                      freshet_buffer* out, freshet_error* error) {
  return encode(codec, FRESHET_RECORD_REQUEST, codec->output, request, out, error);
}

freshet_status freshet_encode_user_state(freshet_codec* codec, const freshet_user_state* state,
                                         freshet_buffer* out, freshet_error* error) {
  return encode(codec, FRESHET_RECORD_USER_STATE, FRESHET_FRAMING_SINGLE_OBJECT, state, out, error);
}

freshet_status freshet_decode_user_state(freshet_codec* codec, freshet_slice bytes, freshet_user_state* state,
                                         freshet_error* error) {
  return decode(codec, FRESHET_KIND_USER_STATE, bytes, state, NULL, error);
}

freshet_status freshet_encode_item_state(freshet_codec* codec, const freshet_item_state* state,
                                         freshet_buffer* out, freshet_error* error) {
  return encode(codec, FRESHET_RECORD_ITEM_STATE, FRESHET_FRAMING_SINGLE_OBJECT, state, out, error);
}

freshet_status freshet_decode_item_state(freshet_codec* codec, freshet_slice bytes, freshet_item_state* state,
                                         freshet_error* error) {
  return decode(codec, FRESHET_KIND_ITEM_STATE, bytes, state, NULL, error);
}

freshet_status freshet_encode_text_generation_fact(freshet_codec* codec,
                                                   const freshet_text_generation_fact* generation,
                                                   freshet_buffer* out, freshet_error* error) {
  return encode(codec, FRESHET_RECORD_TEXT_GENERATION, FRESHET_FRAMING_SINGLE_OBJECT, generation, out, error);
}

freshet_status freshet_decode_text_generation_fact(freshet_codec* codec, freshet_slice bytes,
                                                   freshet_text_generation_fact* generation,
                                                   freshet_error* error) {
  return decode(codec, FRESHET_KIND_TEXT_GENERATION, bytes, generation, NULL, error);
}

freshet_status freshet_encode_app_generation_fact(freshet_codec* codec,
                                                  const freshet_app_generation_fact* fact,
                                                  freshet_buffer* out, freshet_error* error) {
  return encode(codec, FRESHET_RECORD_GENERATION_FACT, FRESHET_FRAMING_SINGLE_OBJECT, fact, out, error);
}

freshet_status freshet_decode_app_generation_fact(freshet_codec* codec, freshet_slice bytes,
                                                  freshet_app_generation_fact* fact, freshet_error* error) {
  return decode(codec, FRESHET_KIND_GENERATION_FACT, bytes, fact, NULL, error);
}

freshet_status freshet_encode_item_delta(freshet_codec* codec, freshet_slice worker,
                                         const freshet_model_delta* delta, freshet_buffer* out,
                                         freshet_error* error) {
  freshet_stored_delta value = {.worker = worker, .delta = *delta};
  return encode(codec, FRESHET_RECORD_ITEM_DELTA, FRESHET_FRAMING_SINGLE_OBJECT, &value, out, error);
}

freshet_status freshet_decode_item_delta(freshet_codec* codec, freshet_slice bytes, freshet_slice* worker,
                                         freshet_model_delta* delta, freshet_error* error) {
  freshet_stored_delta value = {0};
  freshet_status status = decode(codec, FRESHET_KIND_ITEM_DELTA, bytes, &value, NULL, error);
  if (status == FRESHET_OK) {
    *worker = value.worker;
    *delta = value.delta;
  }
  return status;
}

/* ---- container files ---- */

static freshet_status take(freshet_codec* codec, freshet_record_kind wanted, uint64_t fingerprint,
                           freshet_slice* bytes, void* out, freshet_error* error) {
  const writer* found = freshet_writers_find(&codec->by_fingerprint, fingerprint);
  if (found == NULL || found->plan == NULL || freshet_records[found->record].kind != wanted)
    return refuse(error, "a schema of something else than %s", freshet_record_kind_names[wanted]);
  freshet_arena_reset(&codec->values[wanted]);
  return freshet_plan_decode_front(found->plan, bytes, &codec->values[wanted], out, error);
}

freshet_status freshet_take_user_state(freshet_codec* codec, uint64_t fingerprint, freshet_slice* bytes,
                                       freshet_user_state* state, freshet_error* error) {
  return take(codec, FRESHET_KIND_USER_STATE, fingerprint, bytes, state, error);
}

freshet_status freshet_take_item(freshet_codec* codec, uint64_t fingerprint, freshet_slice* bytes,
                                 freshet_item* item, freshet_error* error) {
  return take(codec, FRESHET_KIND_ITEM, fingerprint, bytes, item, error);
}

freshet_status freshet_take_item_state(freshet_codec* codec, uint64_t fingerprint, freshet_slice* bytes,
                                       freshet_item_state* state, freshet_error* error) {
  return take(codec, FRESHET_KIND_ITEM_STATE, fingerprint, bytes, state, error);
}

freshet_status freshet_take_text_generation_fact(freshet_codec* codec, uint64_t fingerprint,
                                                 freshet_slice* bytes,
                                                 freshet_text_generation_fact* generation,
                                                 freshet_error* error) {
  return take(codec, FRESHET_KIND_TEXT_GENERATION, fingerprint, bytes, generation, error);
}

freshet_status freshet_encode_item_datum(freshet_codec* codec, const freshet_item* item, freshet_buffer* out,
                                         freshet_error* error) {
  return freshet_plan_encode(codec->encoders[FRESHET_RECORD_ITEM], item, out, error);
}

freshet_slice freshet_single_object_datum(freshet_slice value) {
  FRESHET_ASSERT(value.size >= SINGLE_OBJECT_HEAD_SIZE);
  return (freshet_slice){value.data + SINGLE_OBJECT_HEAD_SIZE, value.size - SINGLE_OBJECT_HEAD_SIZE};
}
