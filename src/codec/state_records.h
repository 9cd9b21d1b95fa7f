/*
 * state_records.h: the records of Freshet's own topics and of the store, as structs: users, items, deltas and facts.
 * The schemas in schemas/ say the same in Avro. It owns nothing: slices and arrays belong to whoever filled them
 * in. It must not know how they become bytes (codec.h).
 */
#ifndef FRESHET_CODEC_STATE_RECORDS_H
#define FRESHET_CODEC_STATE_RECORDS_H

#include "freshet/bytes.h"
#include "freshet/event.h"
#include "freshet/model.h"

/* One interaction as stored: the item by key, since slots differ between processes. */
typedef struct freshet_stored_interaction {
  uint64_t item_key;
  float weight;
  int64_t time_ms;
  uint32_t signal; /* freshet_signal_of */
} freshet_stored_interaction;

/* UserState: the value of <app>.users, and of the row in the store. */
typedef struct freshet_user_state {
  freshet_slice user_id;
  int64_t events; /* valid events of this user that were applied, ever */
  /* sum mod 2^64 of freshet_id_key(event_id) over them: shows that each was learned exactly once */
  uint64_t event_checksum;
  int64_t newest_offset; /* offset in `events` of the newest of them: the version of the next list */
  int64_t newest_occurred_at_ms;
  int64_t listed_offset; /* version of the last list published, -1: none; less than newest_offset: a refresh
                            is owed */
  int64_t refresh_since_ms; /* the time since which a list is owed; 0: none is */
  uint32_t positives;
  float accumulator;
  const float* vector; /* [dim] or NULL when all zero */
  size_t dim;
  const freshet_stored_interaction* recent; /* newest first */
  size_t recent_count;
  const uint64_t* seen; /* item keys, oldest first */
  size_t seen_count;
  /* a byte for each of seen: the greatest freshet_event_type; when it is shorter, the rest is
   * FRESHET_PURCHASE */
  freshet_slice seen_how;
  uint32_t visits;
  freshet_slice habits;   /* src/users/habit_rows.c */
  freshet_slice shown;    /* src/users/shown_rows.c */
  const uint64_t* listed; /* item keys of the last list */
  size_t listed_count;
} freshet_user_state;

/* ItemState: the value of <app>.items. */
typedef struct freshet_item_state {
  freshet_slice item_id;
  int64_t folded_to;      /* offset in <app>.item-deltas up to which (exclusive) `learned` is folded */
  freshet_slice learned;  /* freshet_model_write_item, empty: nothing learned */
  uint64_t text_hash;     /* of the text that `embedding` stands for; 0: none */
  freshet_slice encoder;  /* name of the text generation */
  const float* embedding; /* [embedding_dim] or NULL */
  size_t embedding_dim;
  const float* start; /* [start_dim] the part of the item's factors that comes from text, or NULL */
  size_t start_dim;
} freshet_item_state;

/* TextGeneration: the text generation whose vectors are used, a value of <app>.items too. */
typedef struct freshet_text_generation_fact {
  freshet_slice encoder; /* its name */
  uint32_t dim;          /* of its vectors */
  int64_t switches;      /* cutovers so far */
} freshet_text_generation_fact;

/* GenerationFact: the value of <base>.generations; the schema tells what each field means under which key. */
typedef struct freshet_app_generation_fact {
  freshet_slice generation;
  int64_t number;
  freshet_slice previous;
  int64_t partition;
  int64_t offset, learned;
  int64_t at_ms;
} freshet_app_generation_fact;

#endif
