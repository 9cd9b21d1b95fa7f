/*
 * codec_internal.h: the tables of writers' schemas, and the codec that holds them. Private to codec.c and codec_writers.c.
 * It must not know how messages are framed.
 */
#ifndef FRESHET_CODEC_CODEC_INTERNAL_H
#define FRESHET_CODEC_CODEC_INTERNAL_H

#include "codec/arena.h"
#include "codec/codec.h"
#include "codec/codec_records.h"
#include "codec/plan.h"
#include "codec/schema.h"

/* A writer's schema, found by fingerprint or, in its own table, by Confluent id. */
typedef struct writer writer;
struct writer {
  uint64_t key;
  freshet_record_type record;
  const freshet_plan* plan; /* NULL: it cannot be read; `problem` says why */
  char* problem;
  writer* branches; /* [branch_count] of a union of records, each with plan or problem; NULL: no union */
  size_t branch_count;
  freshet_avro_schema* schema;
};

typedef struct writer_table {
  writer* writers; /* [count] */
  size_t count;
} writer_table;

struct freshet_codec {
  freshet_schema_lookup lookup;
  freshet_framing output;
  freshet_avro_schema* ours[FRESHET_RECORDS];
  const freshet_plan* encoders[FRESHET_RECORDS]; /* our schema against itself */
  uint64_t fingerprints[FRESHET_RECORDS];
  int32_t ids[FRESHET_RECORDS]; /* Confluent ids for writing, -1: not asked yet */
  writer_table by_fingerprint;
  writer_table by_id;
  bool awaits_schema; /* the last decode failed because the writer's schema is being asked for */
  freshet_arena plans;
  freshet_arena
      values[FRESHET_KINDS]; /* what the last decoded struct of each freshet_record_kind points into */
};

/* The writer's schema under a key; NULL: there is none. Holds until the next add. */
const writer* freshet_writers_find(const writer_table* table, uint64_t key);
/* Takes over what `added` owns. */
const writer* freshet_writers_add(writer_table* table, writer added);
void freshet_writers_free(writer_table* table);
/* Frees what a writer owns. */
void freshet_writer_forget(writer* w);
/* Parses a writer's schema and resolves it to ours. The caller forgets *made, whatever the status. Errors:
 * FRESHET_INVALID, verdict FRESHET_STOP. */
freshet_status freshet_writer_resolve(freshet_codec* codec, const char* json, writer* made,
                                      freshet_error* error);

#endif
