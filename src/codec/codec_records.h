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
typedef enum freshet_family {
  FRESHET_FAMILY_EVENT = 0,
  FRESHET_FAMILY_ITEM,
  FRESHET_FAMILY_LIST,
  FRESHET_FAMILY_USER_STATE,
  FRESHET_FAMILY_ITEM_STATE,
  FRESHET_FAMILY_ITEM_DELTA,
  FRESHET_FAMILY_TEXT_GENERATION,
  FRESHET_FAMILY_REQUEST,
  FRESHET_FAMILY_GENERATION_FACT,
  FRESHET_FAMILIES,
} freshet_family;

/* For messages: "an event". */
extern const char* const freshet_family_names[FRESHET_FAMILIES];

/* The records that are read and written. The first four are at the index of their freshet_event_type. */
typedef enum freshet_record {
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
} freshet_record;

typedef struct freshet_record_entry {
  const char* name; /* of the schema, without its namespace */
  freshet_family family;
  freshet_layout layout;
} freshet_record_entry;

extern const freshet_record_entry freshet_records[FRESHET_RECORDS];

#endif
