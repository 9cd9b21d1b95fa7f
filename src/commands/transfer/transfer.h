/*
 * transfer.h: the kinds of files in an export, their schemas, and where a consistent point lies. Shared by `freshet
 * export` and `freshet import`; private to src/commands/transfer.
 *
 * It must not know how files are written (container.h), nor what a cluster looks like.
 */
#ifndef FRESHET_COMMANDS_TRANSFER_TRANSFER_H
#define FRESHET_COMMANDS_TRANSFER_TRANSFER_H

#include "commands/transfer/container.h"
#include "stream/source.h"

typedef enum freshet_transfer_kind {
  FRESHET_TRANSFER_USERS = 0, /* UserState; a file for each partition */
  FRESHET_TRANSFER_DEDUP,     /* DedupChunk; a file for each partition */
  FRESHET_TRANSFER_ITEMS,     /* Item: the catalogue */
  FRESHET_TRANSFER_LEARNED,   /* LearnedItem: the weights of the model */
  FRESHET_TRANSFER_VECTORS,   /* ItemState: text vectors */
  FRESHET_TRANSFER_ENCODER,   /* TextGeneration: whose text vectors are used; none or one */
  FRESHET_TRANSFER_POSITIONS, /* Position: the next records to read */
  FRESHET_TRANSFER_KINDS,
} freshet_transfer_kind;

typedef struct freshet_transfer_spec {
  const char* name;   /* of the file, without its partition and ".avro" */
  const char* plural; /* for people */
  const char* record; /* name of our schema; NULL: `json` is the schema */
  const char* json;
} freshet_transfer_spec;

extern const freshet_transfer_spec freshet_transfer_specs[FRESHET_TRANSFER_KINDS];

/* The schema of the kind as JSON, static. */
const char* freshet_transfer_schema(freshet_transfer_kind kind);

/* ---- records whose schema is only here; slices are views ---- */

typedef struct freshet_transfer_chunk {
  freshet_slice key, ids; /* as in the changelog, see users/dedup.h */
} freshet_transfer_chunk;

typedef struct freshet_transfer_learned {
  uint64_t item_key;     /* 0: what belongs to no single item */
  freshet_slice item_id; /* empty: the id is not known */
  freshet_slice learned; /* in the layout of the model */
} freshet_transfer_learned;

typedef struct freshet_transfer_position {
  freshet_slice topic; /* "events", "requests", "items": the name of the setting */
  int64_t partition, offset;
} freshet_transfer_position;

void freshet_put_chunk(freshet_buffer* out, const freshet_transfer_chunk* chunk);
void freshet_put_learned(freshet_buffer* out, const freshet_transfer_learned* learned);
void freshet_put_position(freshet_buffer* out, const freshet_transfer_position* position);
/* Off the front of *bytes. Errors: FRESHET_INVALID. */
freshet_status freshet_take_chunk(freshet_slice* bytes, freshet_transfer_chunk* chunk, freshet_error* error);
freshet_status freshet_take_learned(freshet_slice* bytes, freshet_transfer_learned* learned,
                                    freshet_error* error);
freshet_status freshet_take_position(freshet_slice* bytes, freshet_transfer_position* position,
                                     freshet_error* error);

/* The name of an input topic in positions; NULL: it has none. Static. */
const char* freshet_transfer_topic_name(freshet_topic topic);
/* The topic of that name; FRESHET_TOPICS when there is none. */
freshet_topic freshet_transfer_topic(freshet_slice name);

#endif
