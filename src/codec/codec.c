#include "codec/codec.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/plan.h"
#include "codec/schema_source.h"

/* ---- how our records lie in our structs ---- */

#define FIELD(type, member, shape_) \
  { .name = #member, .shape = FRESHET_SHAPE_##shape_, .offset = offsetof(type, member) }
#define FIELD_AS(type, name_, member, shape_) \
  { .name = name_, .shape = FRESHET_SHAPE_##shape_, .offset = offsetof(type, member) }
#define ARRAY_AS(type, name_, member, count_member, shape_, element_)                 \
  {                                                                                   \
    .name = name_, .shape = FRESHET_SHAPE_##shape_, .offset = offsetof(type, member), \
    .count_offset = offsetof(type, count_member), .element = element_                 \
  }
#define LAYOUT(type, fields_) \
  { .size = sizeof(type), .field_count = sizeof(fields_) / sizeof((fields_)[0]), .fields = fields_ }

#define EVENT_FIELDS                                                           \
  FIELD(freshet_event, event_id, SLICE), FIELD(freshet_event, user_id, SLICE), \
      FIELD(freshet_event, item_id, SLICE), FIELD_AS(freshet_event, "occurred_at", occurred_at_ms, I64)

static const freshet_layout_field click_fields[] = {EVENT_FIELDS, FIELD(freshet_event, dwell_s, F32)};
static const freshet_layout_field rating_fields[] = {EVENT_FIELDS, FIELD(freshet_event, rating, F32)};
static const freshet_layout_field purchase_fields[] = {EVENT_FIELDS, FIELD(freshet_event, quantity, I32),
                                                       FIELD(freshet_event, price, F64)};

static const freshet_layout_field text_fields[] = {{.name = NULL, .shape = FRESHET_SHAPE_SLICE}};
static const freshet_layout text_layout = LAYOUT(freshet_slice, text_fields);

static const freshet_layout_field attribute_fields[] = {FIELD(freshet_attribute, name, SLICE),
                                                        FIELD(freshet_attribute, value, SLICE)};
static const freshet_layout attribute_layout = LAYOUT(freshet_attribute, attribute_fields);

static const freshet_layout_field item_fields[] = {
    FIELD(freshet_item, item_id, SLICE),
    FIELD(freshet_item, title, SLICE),
    FIELD(freshet_item, text, SLICE),
    ARRAY_AS(freshet_item, "categories", categories, category_count, LIST, &text_layout),
    FIELD(freshet_item, available, BOOL),
    FIELD_AS(freshet_item, "expires_at", expires_at_ms, I64),
    ARRAY_AS(freshet_item, "vector", vector, vector_dim, FLOATS, NULL),
    FIELD_AS(freshet_item, "created_at", created_at_ms, I64),
    ARRAY_AS(freshet_item, "attributes", attributes, attribute_count, LIST, &attribute_layout),
};

static const freshet_layout_field reason_fields[] = {
    FIELD(freshet_reason, kind, SYMBOL),
    FIELD(freshet_reason, item_id, SLICE),
    FIELD(freshet_reason, score, F32),
};
static const freshet_layout reason_layout = LAYOUT(freshet_reason, reason_fields);

static const freshet_layout_field recommendation_fields[] = {
    FIELD(freshet_recommendation, item_id, SLICE),
    FIELD(freshet_recommendation, score, F32),
    ARRAY_AS(freshet_recommendation, "reasons", reasons, reason_count, LIST, &reason_layout),
    FIELD(freshet_recommendation, propensity, F32),
};
static const freshet_layout recommendation_layout = LAYOUT(freshet_recommendation, recommendation_fields);

static const freshet_layout_field list_fields[] = {
    FIELD(freshet_list, user_id, SLICE),
    FIELD(freshet_list, request_id, SLICE),
    FIELD(freshet_list, version_partition, I32),
    FIELD(freshet_list, version_offset, I64),
    FIELD_AS(freshet_list, "event_occurred_at", event_occurred_at_ms, I64),
    FIELD_AS(freshet_list, "generated_at", generated_at_ms, I64),
    ARRAY_AS(freshet_list, "items", items, item_count, LIST, &recommendation_layout),
    FIELD(freshet_list, note, SLICE),
};

#define TEXTS(name, count) ARRAY_AS(freshet_request, #name, name, count, LIST, &text_layout)
static const freshet_layout_field request_fields[] = {
    FIELD(freshet_request, request_id, SLICE),
    FIELD(freshet_request, user_id, SLICE),
    FIELD_AS(freshet_request, "requested_at", requested_at_ms, I64),
    FIELD(freshet_request, k, I32),
    FIELD(freshet_request, context, SLICE),
    TEXTS(context_items, context_item_count),
    TEXTS(include_categories, include_category_count),
    TEXTS(exclude_categories, exclude_category_count),
    TEXTS(exclude_items, exclude_item_count),
    FIELD(freshet_request, diversity, F32),
    FIELD(freshet_request, exploration, F32),
    FIELD(freshet_request, explain, BOOL),
    FIELD(freshet_request, min_age_s, I64),
};

static const freshet_layout_field interaction_fields[] = {
    FIELD(freshet_stored_interaction, item_key, U64),
    FIELD(freshet_stored_interaction, weight, F32),
    FIELD_AS(freshet_stored_interaction, "time", time_ms, I64),
};
static const freshet_layout interaction_layout = LAYOUT(freshet_stored_interaction, interaction_fields);

static const freshet_layout_field user_state_fields[] = {
    FIELD(freshet_user_state, user_id, SLICE),
    FIELD(freshet_user_state, events, I64),
    FIELD(freshet_user_state, event_checksum, U64),
    FIELD(freshet_user_state, newest_offset, I64),
    FIELD_AS(freshet_user_state, "newest_occurred_at", newest_occurred_at_ms, I64),
    FIELD(freshet_user_state, listed_offset, I64),
    FIELD_AS(freshet_user_state, "refresh_since", refresh_since_ms, I64),
    FIELD(freshet_user_state, positives, U32),
    FIELD(freshet_user_state, accumulator, F32),
    ARRAY_AS(freshet_user_state, "vector", vector, dim, FLOATS, NULL),
    ARRAY_AS(freshet_user_state, "recent", recent, recent_count, LIST, &interaction_layout),
    ARRAY_AS(freshet_user_state, "seen", seen, seen_count, KEYS, NULL),
    FIELD(freshet_user_state, seen_how, SLICE),
    ARRAY_AS(freshet_user_state, "listed", listed, listed_count, KEYS, NULL),
};

static const freshet_layout_field item_state_fields[] = {
    FIELD(freshet_item_state, item_id, SLICE),
    FIELD(freshet_item_state, folded_to, I64),
    FIELD(freshet_item_state, learned, SLICE),
    FIELD(freshet_item_state, text_hash, U64),
    FIELD(freshet_item_state, encoder, SLICE),
    ARRAY_AS(freshet_item_state, "embedding", embedding, embedding_dim, FLOATS, NULL),
    ARRAY_AS(freshet_item_state, "start", start, start_dim, FLOATS, NULL),
};

static const freshet_layout_field text_generation_fields[] = {
    FIELD(freshet_text_generation, encoder, SLICE),
    FIELD(freshet_text_generation, dim, U32),
    FIELD(freshet_text_generation, switches, I64),
};

static const freshet_layout_field generation_fact_fields[] = {
    FIELD(freshet_generation_fact, generation, SLICE),   FIELD(freshet_generation_fact, number, I64),
    FIELD(freshet_generation_fact, previous, SLICE),     FIELD(freshet_generation_fact, partition, I64),
    FIELD(freshet_generation_fact, offset, I64),         FIELD(freshet_generation_fact, learned, I64),
    FIELD_AS(freshet_generation_fact, "at", at_ms, I64),
};

typedef struct item_delta {
  freshet_slice worker;
  freshet_model_delta delta;
} item_delta;

static const freshet_layout_field item_delta_fields[] = {
    FIELD(item_delta, worker, SLICE),
    FIELD_AS(item_delta, "events", delta.events, U64),
    FIELD_AS(item_delta, "items", delta.items, SLICE),
    FIELD_AS(item_delta, "values", delta.values, SLICE),
    FIELD_AS(item_delta, "trace", delta.trace, SLICE),
    FIELD_AS(item_delta, "globals", delta.globals, SLICE),
};

/* What a topic carries. Each has its own memory, so that decoding one leaves the others' structs alone. */
typedef enum family {
  FAMILY_EVENT = 0,
  FAMILY_ITEM,
  FAMILY_LIST,
  FAMILY_USER_STATE,
  FAMILY_ITEM_STATE,
  FAMILY_ITEM_DELTA,
  FAMILY_TEXT_GENERATION,
  FAMILY_REQUEST,
  FAMILY_GENERATION_FACT,
  FAMILIES,
} family;

static const char* const family_names[FAMILIES] = {
    "an event",          "an item",       "a list",
    "a user state",      "an item state", "an item delta",
    "a text generation", "a request",     "a fact about generations"};

/* The records we read and write. The first three stand at the value of their freshet_event_type. */
typedef enum record {
  RECORD_CLICK = FRESHET_CLICK,
  RECORD_RATING = FRESHET_RATING,
  RECORD_PURCHASE = FRESHET_PURCHASE,
  RECORD_ITEM,
  RECORD_LIST,
  RECORD_USER_STATE,
  RECORD_ITEM_STATE,
  RECORD_ITEM_DELTA,
  RECORD_TEXT_GENERATION,
  RECORD_REQUEST,
  RECORD_GENERATION_FACT,
  RECORDS,
} record;

static const struct {
  const char* name; /* of the schema, without its namespace */
  family family;
  freshet_layout layout;
} records[RECORDS] = {
    [RECORD_CLICK] = {"Click", FAMILY_EVENT, LAYOUT(freshet_event, click_fields)},
    [RECORD_RATING] = {"Rating", FAMILY_EVENT, LAYOUT(freshet_event, rating_fields)},
    [RECORD_PURCHASE] = {"Purchase", FAMILY_EVENT, LAYOUT(freshet_event, purchase_fields)},
    [RECORD_ITEM] = {"Item", FAMILY_ITEM, LAYOUT(freshet_item, item_fields)},
    [RECORD_LIST] = {"RecommendationList", FAMILY_LIST, LAYOUT(freshet_list, list_fields)},
    [RECORD_USER_STATE] = {"UserState", FAMILY_USER_STATE, LAYOUT(freshet_user_state, user_state_fields)},
    [RECORD_ITEM_STATE] = {"ItemState", FAMILY_ITEM_STATE, LAYOUT(freshet_item_state, item_state_fields)},
    [RECORD_ITEM_DELTA] = {"ItemDelta", FAMILY_ITEM_DELTA, LAYOUT(item_delta, item_delta_fields)},
    [RECORD_TEXT_GENERATION] = {"TextGeneration", FAMILY_TEXT_GENERATION,
                                LAYOUT(freshet_text_generation, text_generation_fields)},
    [RECORD_REQUEST] = {"RecommendationRequest", FAMILY_REQUEST, LAYOUT(freshet_request, request_fields)},
    [RECORD_GENERATION_FACT] = {"GenerationFact", FAMILY_GENERATION_FACT,
                                LAYOUT(freshet_generation_fact, generation_fact_fields)},
};

/* ---- the codec ---- */

/* A writer's schema, found by fingerprint or, in its own table, by Confluent id. */
typedef struct writer {
  uint64_t key;
  record record;
  const freshet_plan* plan; /* NULL: it cannot be read, `problem` says why */
  char* problem;
  freshet_avro_schema* schema;
} writer;

typedef struct writer_table {
  writer* writers; /* [count] */
  size_t count;
} writer_table;

struct freshet_codec {
  freshet_schema_lookup lookup;
  freshet_framing output;
  freshet_avro_schema* ours[RECORDS];
  const freshet_plan* encoders[RECORDS]; /* our schema against itself */
  uint64_t fingerprints[RECORDS];
  int32_t ids[RECORDS]; /* Confluent ids for writing, -1: not asked yet */
  writer_table by_fingerprint;
  writer_table by_id;
  freshet_arena plans;
  freshet_arena values[FAMILIES]; /* what the last decoded struct of each family points into */
};

enum {
  SINGLE_OBJECT_HEAD_SIZE = 10, /* C3 01, fingerprint */
  CONFLUENT_HEAD_SIZE = 5,      /* 00, id */
};

static const writer* find(const writer_table* table, uint64_t key) {
  for (size_t i = 0; i < table->count; i++) {
    if (table->writers[i].key == key) return &table->writers[i];
  }
  return NULL;
}

static const writer* add(writer_table* table, writer added) {
  writer* grown = realloc(table->writers, (table->count + 1) * sizeof *grown);
  FRESHET_ASSERT(grown != NULL);
  table->writers = grown;
  grown[table->count] = added;
  return &grown[table->count++];
}

static void free_table(writer_table* table) {
  for (size_t i = 0; i < table->count; i++) {
    freshet_avro_schema_destroy(table->writers[i].schema);
    free(table->writers[i].problem);
  }
  free(table->writers);
}

/* Is `name` that of our record, or one of its aliases? Namespaces do not count. */
static bool is_called(const freshet_codec* codec, record r, const char* name) {
  if (strcmp(records[r].name, name) == 0) return true;
  const json_t* aliases = json_object_get(codec->ours[r]->root->json, "aliases");
  for (size_t i = 0; i < json_array_size(aliases); i++) {
    const char* alias = json_string_value(json_array_get(aliases, i));
    if (alias != NULL && strcmp(freshet_avro_short_name(alias), name) == 0) return true;
  }
  return false;
}

static freshet_status resolve_writer(freshet_codec* codec, const char* json, writer* made,
                                     freshet_error* error) {
  freshet_status status = freshet_avro_schema_parse(json, &made->schema, error);
  if (status != FRESHET_OK) return status;
  const freshet_avro_type* root = made->schema->root;
  if (root->kind != FRESHET_AVRO_RECORD) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "the schema is not of a record");
  }
  const char* name = freshet_avro_short_name(root->name);
  int r = 0;
  while (r < RECORDS && !is_called(codec, (record)r, name)) r++;
  if (r == RECORDS) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "record %s is none that Freshet reads",
                             root->name);
  }
  made->record = (record)r;
  return freshet_plan_resolve(root, codec->ours[r]->root, &records[r].layout, &codec->plans, &made->plan,
                              error);
}

freshet_status freshet_codec_add_schema(freshet_codec* codec, const char* json, uint64_t* fingerprint,
                                        freshet_error* error) {
  writer made = {0};
  freshet_status status = resolve_writer(codec, json, &made, error);
  if (status == FRESHET_OK) {
    made.key = *fingerprint = freshet_avro_fingerprint(made.schema);
    if (find(&codec->by_fingerprint, made.key) == NULL) {
      add(&codec->by_fingerprint, made);
      made.schema = NULL;
    }
  }
  freshet_avro_schema_destroy(made.schema);
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

/* Our own schemas are compiled in: whatever is wrong with them is a bug. */
static void load_ours(freshet_codec* codec) {
  for (int r = 0; r < RECORDS; r++) {
    const char* json = freshet_schema_source_of(records[r].name);
    FRESHET_ASSERT(json != NULL);
    freshet_error why = {0};
    freshet_status status = freshet_avro_schema_parse(json, &codec->ours[r], &why);
    FRESHET_ASSERT(status == FRESHET_OK);
    status = freshet_codec_add_schema(codec, json, &codec->fingerprints[r], &why);
    FRESHET_ASSERT(status == FRESHET_OK);
    codec->encoders[r] = find(&codec->by_fingerprint, codec->fingerprints[r])->plan;
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
  free_table(&codec->by_fingerprint);
  free_table(&codec->by_id);
  for (int r = 0; r < RECORDS; r++) freshet_avro_schema_destroy(codec->ours[r]);
  for (int f = 0; f < FAMILIES; f++) freshet_arena_free(&codec->values[f]);
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

/* The writer behind a Confluent id, asked for once; one that cannot be read is remembered with the reason.
 * NULL: the lookup does not know it, now; a registry may later. */
static const writer* writer_of_id(freshet_codec* codec, int32_t id) {
  const writer* known = find(&codec->by_id, (uint32_t)id);
  if (known != NULL || codec->lookup.by_id == NULL) return known;
  const char* json = codec->lookup.by_id(codec->lookup.context, id);
  if (json == NULL) return NULL;
  freshet_error why = {0};
  writer made = {.key = (uint32_t)id};
  if (resolve_writer(codec, json, &made, &why) != FRESHET_OK) {
    made.plan = NULL;
    made.problem = strdup(why.message);
  }
  return add(&codec->by_id, made);
}

/* Tells the framings apart, finds the writer and leaves the datum in *bytes. NULL with the error set. */
static const writer* unframe(freshet_codec* codec, freshet_slice* bytes, freshet_error* error) {
  const uint8_t* head = (const uint8_t*)bytes->data;
  size_t head_size = 0;
  const writer* found = NULL;
  if (bytes->size >= SINGLE_OBJECT_HEAD_SIZE && head[0] == 0xc3 && head[1] == 0x01) {
    uint64_t fingerprint = 0;
    for (int i = 7; i >= 0; i--) fingerprint = fingerprint << 8 | head[2 + i];
    head_size = SINGLE_OBJECT_HEAD_SIZE;
    found = find(&codec->by_fingerprint, fingerprint);
    if (found == NULL) refuse(error, "unknown schema fingerprint %016" PRIx64, fingerprint);
  } else if (bytes->size >= CONFLUENT_HEAD_SIZE && head[0] == 0x00) {
    uint32_t id = (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
    head_size = CONFLUENT_HEAD_SIZE;
    found = writer_of_id(codec, (int32_t)id);
    if (found == NULL) refuse(error, "unknown schema id %" PRId32, (int32_t)id);
    if (found != NULL && found->plan == NULL) {
      refuse(error, "schema id %" PRId32 ": %s", (int32_t)id, found->problem);
      found = NULL;
    }
  } else {
    refuse(error, "%zu bytes that are neither Avro's single-object encoding nor Confluent's wire format",
           bytes->size);
  }
  if (found != NULL) *bytes = (freshet_slice){bytes->data + head_size, bytes->size - head_size};
  return found;
}

static void put_single_object_head(uint64_t fingerprint, freshet_buffer* out) {
  uint8_t head[SINGLE_OBJECT_HEAD_SIZE] = {0xc3, 0x01};
  for (int i = 0; i < 8; i++) head[2 + i] = (uint8_t)(fingerprint >> 8 * i);
  freshet_buffer_append(out, head, sizeof head);
}

static freshet_status put_confluent_head(freshet_codec* codec, record r, freshet_buffer* out,
                                         freshet_error* error) {
  if (codec->ids[r] < 0 && codec->lookup.id_of != NULL) {
    codec->ids[r] = codec->lookup.id_of(codec->lookup.context, records[r].name);
  }
  if (codec->ids[r] < 0) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "no schema id is known for %s",
                             records[r].name);
  }
  uint32_t id = (uint32_t)codec->ids[r];
  uint8_t head[CONFLUENT_HEAD_SIZE] = {0, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                                       (uint8_t)id};
  freshet_buffer_append(out, head, sizeof head);
  return FRESHET_OK;
}

/* ---- values ---- */

/* `which` (NULL: do not care) is the record that came. The datum is copied first, so that the struct's slices
 * outlive the message. */
static freshet_status decode(freshet_codec* codec, family wanted, freshet_slice bytes, void* out,
                             record* which, freshet_error* error) {
  const writer* found = unframe(codec, &bytes, error);
  if (found == NULL) return FRESHET_INVALID;
  if (records[found->record].family != wanted) {
    return refuse(error, "%s where %s is expected", records[found->record].name, family_names[wanted]);
  }
  freshet_arena* arena = &codec->values[wanted];
  freshet_arena_reset(arena);
  freshet_slice copy = {freshet_arena_copy(arena, bytes.data, bytes.size), bytes.size};
  if (which != NULL) *which = found->record;
  return freshet_plan_decode(found->plan, copy, arena, out, error);
}

static freshet_status encode(freshet_codec* codec, record r, freshet_framing framing, const void* in,
                             freshet_buffer* out, freshet_error* error) {
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
  record which = RECORDS;
  freshet_status status = decode(codec, FAMILY_EVENT, bytes, event, &which, error);
  if (status == FRESHET_OK) event->type = (freshet_event_type)which;
  return status;
}

freshet_status freshet_encode_event(freshet_codec* codec, const freshet_event* event, freshet_buffer* out,
                                    freshet_error* error) {
  FRESHET_ASSERT((unsigned)event->type < FRESHET_EVENT_TYPES);
  return encode(codec, (record)event->type, codec->output, event, out, error);
}

freshet_status freshet_decode_item(freshet_codec* codec, freshet_slice bytes, freshet_item* item,
                                   freshet_error* error) {
  return decode(codec, FAMILY_ITEM, bytes, item, NULL, error);
}

freshet_status freshet_encode_item(freshet_codec* codec, const freshet_item* item, freshet_buffer* out,
                                   freshet_error* error) {
  return encode(codec, RECORD_ITEM, codec->output, item, out, error);
}

freshet_status freshet_decode_list(freshet_codec* codec, freshet_slice bytes, freshet_list* list,
                                   freshet_error* error) {
  return decode(codec, FAMILY_LIST, bytes, list, NULL, error);
}

freshet_status freshet_encode_list(freshet_codec* codec, const freshet_list* list, freshet_buffer* out,
                                   freshet_error* error) {
  return encode(codec, RECORD_LIST, codec->output, list, out, error);
}

freshet_status freshet_decode_request(freshet_codec* codec, freshet_slice bytes, freshet_request* request,
                                      freshet_error* error) {
  return decode(codec, FAMILY_REQUEST, bytes, request, NULL, error);
}

freshet_status freshet_encode_request(freshet_codec* codec, const freshet_request* request,
                                      freshet_buffer* out, freshet_error* error) {
  return encode(codec, RECORD_REQUEST, codec->output, request, out, error);
}

freshet_status freshet_encode_user_state(freshet_codec* codec, const freshet_user_state* state,
                                         freshet_buffer* out, freshet_error* error) {
  return encode(codec, RECORD_USER_STATE, FRESHET_FRAMING_SINGLE_OBJECT, state, out, error);
}

freshet_status freshet_decode_user_state(freshet_codec* codec, freshet_slice bytes, freshet_user_state* state,
                                         freshet_error* error) {
  return decode(codec, FAMILY_USER_STATE, bytes, state, NULL, error);
}

freshet_status freshet_encode_item_state(freshet_codec* codec, const freshet_item_state* state,
                                         freshet_buffer* out, freshet_error* error) {
  return encode(codec, RECORD_ITEM_STATE, FRESHET_FRAMING_SINGLE_OBJECT, state, out, error);
}

freshet_status freshet_decode_item_state(freshet_codec* codec, freshet_slice bytes, freshet_item_state* state,
                                         freshet_error* error) {
  return decode(codec, FAMILY_ITEM_STATE, bytes, state, NULL, error);
}

freshet_status freshet_encode_text_generation(freshet_codec* codec, const freshet_text_generation* generation,
                                              freshet_buffer* out, freshet_error* error) {
  return encode(codec, RECORD_TEXT_GENERATION, FRESHET_FRAMING_SINGLE_OBJECT, generation, out, error);
}

freshet_status freshet_decode_text_generation(freshet_codec* codec, freshet_slice bytes,
                                              freshet_text_generation* generation, freshet_error* error) {
  return decode(codec, FAMILY_TEXT_GENERATION, bytes, generation, NULL, error);
}

freshet_status freshet_encode_generation_fact(freshet_codec* codec, const freshet_generation_fact* fact,
                                              freshet_buffer* out, freshet_error* error) {
  return encode(codec, RECORD_GENERATION_FACT, FRESHET_FRAMING_SINGLE_OBJECT, fact, out, error);
}

freshet_status freshet_decode_generation_fact(freshet_codec* codec, freshet_slice bytes,
                                              freshet_generation_fact* fact, freshet_error* error) {
  return decode(codec, FAMILY_GENERATION_FACT, bytes, fact, NULL, error);
}

freshet_status freshet_encode_item_delta(freshet_codec* codec, freshet_slice worker,
                                         const freshet_model_delta* delta, freshet_buffer* out,
                                         freshet_error* error) {
  item_delta value = {.worker = worker, .delta = *delta};
  return encode(codec, RECORD_ITEM_DELTA, FRESHET_FRAMING_SINGLE_OBJECT, &value, out, error);
}

freshet_status freshet_decode_item_delta(freshet_codec* codec, freshet_slice bytes, freshet_slice* worker,
                                         freshet_model_delta* delta, freshet_error* error) {
  item_delta value = {0};
  freshet_status status = decode(codec, FAMILY_ITEM_DELTA, bytes, &value, NULL, error);
  if (status == FRESHET_OK) {
    *worker = value.worker;
    *delta = value.delta;
  }
  return status;
}
