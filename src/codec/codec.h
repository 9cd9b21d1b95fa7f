/*
 * codec.h: bytes on topics to structs and back. Avro, framings told apart by the first byte: single-object encoding
 * (C3 01 + CRC-64-AVRO fingerprint of the writer's schema), the Confluent wire format (00 + big-endian schema id), and
 * 01 + GUID of the schema, which Confluent's newer serializers put into a header (kafka/reader.c).
 *
 * Writer schemas are resolved against ours (plan.h): defaulted fields may come and go, numbers and strings
 * are promoted. The bytes are trusted in nothing: lengths, counts, indices and nesting are held against what
 * is left of the message before anything is allocated.
 *
 * A decoded struct's slices point into the codec and hold until the next decode of the same kind with the
 * same codec. Thread rule: one codec, one thread. Errors of every decode: FRESHET_INVALID, verdict
 * FRESHET_DEAD_LETTER, message with the reason; FRESHET_UNAVAILABLE, verdict FRESHET_RETRY: the writer's schema is
 * being asked for.
 */
#ifndef FRESHET_CODEC_CODEC_H
#define FRESHET_CODEC_CODEC_H

#include "codec/state_records.h"
#include "freshet/bytes.h"
#include "freshet/event.h"
#include "freshet/model.h"
#include "freshet/status.h"

typedef enum freshet_framing { FRESHET_FRAMING_SINGLE_OBJECT = 0, FRESHET_FRAMING_CONFLUENT } freshet_framing;

/* A GUID as a header of a record has it, and with the 01 in front. */
enum { FRESHET_GUID_SIZE = 16, FRESHET_GUID_HEAD_SIZE = 1 + FRESHET_GUID_SIZE };

/* Where writers' schemas come from. An interface, so that a registry client can implement it. */
typedef struct freshet_schema_lookup {
  /* The JSON of Confluent schema id `id`, NUL-terminated, owned by the lookup, or NULL when unknown. */
  const char* (*by_id)(void* context, int32_t id);
  /* The id under which our schema `name` ("Click", "RecommendationList") is registered, or -1. */
  int32_t (*id_of)(void* context, const char* name);
  /* After by_id had nothing: may the id become known soon? NULL: never. */
  bool (*is_pending)(void* context, int32_t id);
  /* Writes why the id is neither known nor pending, or "" when there is no such schema. NULL: always that. */
  void (*why_absent)(void* context, int32_t id, char* text, size_t size);
  /* The id under which the lookup keeps the schema of a GUID, [FRESHET_GUID_SIZE], less than -1; -1: none. NULL: it
   * knows no GUIDs. */
  int32_t (*id_of_guid)(void* context, const uint8_t* guid);
  /* Another number once by_id may have another answer. NULL: it never has. */
  uint64_t (*version)(void* context);
  void* context;
} freshet_schema_lookup;

typedef struct freshet_codec_config {
  const char* schema_folder;    /* more writer schemas (*.avsc), older or newer than ours; NULL: none */
  freshet_schema_lookup lookup; /* all NULL: messages with Confluent framing are refused */
  freshet_framing output;       /* of lists, replies, events and items; state is always single-object */
} freshet_codec_config;

typedef struct freshet_codec freshet_codec;

/* Another number once values may be readable whose schema was not known yet. */
uint64_t freshet_codec_version(const freshet_codec* codec);

/* Makes a codec. Errors: FRESHET_INVALID with the file and reason for a schema that cannot be read or cannot
 * be resolved to ours. */
freshet_status freshet_codec_create(const freshet_codec_config* config, freshet_codec** codec,
                                    freshet_error* error);
void freshet_codec_destroy(freshet_codec* codec);

/* Makes one more writer's schema known under its fingerprint: for container files, which hold their own
 * schema. Errors: FRESHET_INVALID, as freshet_codec_create. */
freshet_status freshet_codec_add_schema(freshet_codec* codec, const char* json, uint64_t* fingerprint,
                                        freshet_error* error);

/* Is it framed by the fingerprint of a schema that nobody has made known? A later version may have written it. */
bool freshet_codec_is_unknown(const freshet_codec* codec, freshet_slice bytes);

/* A static id map from "12=Click,13=Rating,14=path/to/older-click.avsc": schema names of ours, or files.
 * Owned by the caller; lookup->context is to be freed with freshet_schema_map_destroy after the codec. */
freshet_status freshet_schema_map_create(const char* text, freshet_schema_lookup* lookup,
                                         freshet_error* error);
void freshet_schema_map_destroy(freshet_schema_lookup* lookup);

/* CRC-64-AVRO of the Parsing Canonical Form of a schema given as JSON (Avro specification, "Schema
 * Fingerprints"). */
freshet_status freshet_schema_fingerprint(const char* json, uint64_t* fingerprint, freshet_error* error);

/* ---- for producers and readers ---- */

freshet_status freshet_decode_event(freshet_codec* codec, freshet_slice bytes, freshet_event* event,
                                    freshet_error* error);
freshet_status freshet_encode_event(freshet_codec* codec, const freshet_event* event, freshet_buffer* out,
                                    freshet_error* error);
freshet_status freshet_decode_item(freshet_codec* codec, freshet_slice bytes, freshet_item* item,
                                   freshet_error* error);
freshet_status freshet_encode_item(freshet_codec* codec, const freshet_item* item, freshet_buffer* out,
                                   freshet_error* error);
freshet_status freshet_decode_list(freshet_codec* codec, freshet_slice bytes, freshet_list* list,
                                   freshet_error* error);
freshet_status freshet_encode_list(freshet_codec* codec, const freshet_list* list, freshet_buffer* out,
                                   freshet_error* error);

freshet_status freshet_decode_request(freshet_codec* codec, freshet_slice bytes, freshet_request* request,
                                      freshet_error* error);
freshet_status freshet_encode_request(freshet_codec* codec, const freshet_request* request,
                                      freshet_buffer* out, freshet_error* error);

/* ---- state (changelog and store) ---- */

freshet_status freshet_encode_user_state(freshet_codec* codec, const freshet_user_state* state,
                                         freshet_buffer* out, freshet_error* error);
freshet_status freshet_decode_user_state(freshet_codec* codec, freshet_slice bytes, freshet_user_state* state,
                                         freshet_error* error);

freshet_status freshet_encode_item_state(freshet_codec* codec, const freshet_item_state* state,
                                         freshet_buffer* out, freshet_error* error);
freshet_status freshet_decode_item_state(freshet_codec* codec, freshet_slice bytes, freshet_item_state* state,
                                         freshet_error* error);

freshet_status freshet_encode_text_generation_fact(freshet_codec* codec,
                                                   const freshet_text_generation_fact* generation,
                                                   freshet_buffer* out, freshet_error* error);
freshet_status freshet_decode_text_generation_fact(freshet_codec* codec, freshet_slice bytes,
                                                   freshet_text_generation_fact* generation,
                                                   freshet_error* error);

freshet_status freshet_encode_app_generation_fact(freshet_codec* codec,
                                                  const freshet_app_generation_fact* fact,
                                                  freshet_buffer* out, freshet_error* error);
freshet_status freshet_decode_app_generation_fact(freshet_codec* codec, freshet_slice bytes,
                                                  freshet_app_generation_fact* fact, freshet_error* error);

/* ItemDelta: the value of <app>.item-deltas; `worker` is the transactional id of the writer. */
freshet_status freshet_encode_item_delta(freshet_codec* codec, freshet_slice worker,
                                         const freshet_model_delta* delta, freshet_buffer* out,
                                         freshet_error* error);
freshet_status freshet_decode_item_delta(freshet_codec* codec, freshet_slice bytes, freshet_slice* worker,
                                         freshet_model_delta* delta, freshet_error* error);

/* ---- container files: values follow one another, without framing ---- */

/* Takes a value of the writer's schema (freshet_codec_add_schema) off the front of *bytes. Slices point into `bytes`
 * and hold until the next decode of the same kind. */
freshet_status freshet_take_user_state(freshet_codec* codec, uint64_t fingerprint, freshet_slice* bytes,
                                       freshet_user_state* state, freshet_error* error);
freshet_status freshet_take_item(freshet_codec* codec, uint64_t fingerprint, freshet_slice* bytes,
                                 freshet_item* item, freshet_error* error);
freshet_status freshet_take_item_state(freshet_codec* codec, uint64_t fingerprint, freshet_slice* bytes,
                                       freshet_item_state* state, freshet_error* error);
freshet_status freshet_take_text_generation_fact(freshet_codec* codec, uint64_t fingerprint,
                                                 freshet_slice* bytes,
                                                 freshet_text_generation_fact* generation,
                                                 freshet_error* error);
/* Appends an item in our own schema, without framing. */
freshet_status freshet_encode_item_datum(freshet_codec* codec, const freshet_item* item, freshet_buffer* out,
                                         freshet_error* error);
/* A value in single-object encoding without its head. */
freshet_slice freshet_single_object_datum(freshet_slice value);

#endif
