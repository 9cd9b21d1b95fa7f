/*
 * codec_records.h: the records that are read and written: the schema of each, what kind of topic carries it, and how
 * its fields lie in our struct. Private to the codec. It knows nothing of bytes.
 */
#ifndef FRESHET_CODEC_CODEC_RECORDS_H
#define FRESHET_CODEC_CODEC_RECORDS_H

#include "codec/plan.h"
#include "codec/state_records.h"

typedef struct freshet_stored_delta {
  freshet_slice worker;
  freshet_model_delta delta;
} freshet_stored_delta;

/* The kinds of records. Each kind has memory of its own, so that decoding one leaves the structs of the
 * others valid. */
typedef enum freshet_record_kind {
  FRESHET_KIND_EVENT = 0,
  FRESHET_KIND_ITEM,
  FRESHET_KIND_LIST,
  FRESHET_KIND_USER_STATE,
  FRESHET_KIND_ITEM_STATE,
  FRESHET_KIND_ITEM_DELTA,
  FRESHET_KIND_TEXT_GENERATION,
  FRESHET_KIND_REQUEST,
  FRESHET_KIND_GENERATION_FACT,
  FRESHET_KINDS,
} freshet_record_kind;

/* For messages: "an event". */
extern const char* const freshet_record_kind_names[FRESHET_KINDS];

/* The records that are read and written. The first four are at the index of their freshet_event_type. */
typedef enum freshet_record_type {
  FRESHET_RECORD_CLICK = FRESHET_CLICK,
  FRESHET_RECORD_RATING = FRESHET_RATING,
  FRESHET_RECORD_PURCHASE = FRESHET_PURCHASE,
  FRESHET_RECORD_FEEDBACK = FRESHET_FEEDBACK,
  FRESHET_RECORD_ITEM,
  FRESHET_RECORD_LIST,
  FRESHET_RECORD_USER_STATE,
  FRESHET_RECORD_ITEM_STATE,
  FRESHET_RECORD_ITEM_DELTA,
  FRESHET_RECORD_TEXT_GENERATION,
  FRESHET_RECORD_REQUEST,
  FRESHET_RECORD_GENERATION_FACT,
  FRESHET_RECORDS,
} freshet_record_type;

typedef struct freshet_record_entry {
  const char* name; /* of the schema, without its namespace */
  freshet_record_kind kind;
  freshet_layout layout;
} freshet_record_entry;

extern const freshet_record_entry freshet_records[FRESHET_RECORDS];

#endif
