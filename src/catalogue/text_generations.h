/*
 * text_generations.h: the text generations of an application: whose text vectors serve, and whose are being made.
 *
 * A text generation is the name of an encoder. Its vectors are in <app>.items under NUL "text", the generation's tag
 * (i32 LE) and the item id. In the store they are in a partition of FRESHET_FAMILY_ITEMS whose number is the tag. So
 * generations are kept beside each other, and going back to an earlier one costs nothing.
 *
 * Which one serves is a fact of the application, a TextGeneration in <app>.items under NUL "serving". The first
 * encoder serves from the beginning. The fact changes when enough items have the vector of the configured encoder
 * (texts.h), and every worker that reads it loads its item tables again. Functions over plain values; this file knows
 * nothing of single items.
 */
#ifndef FRESHET_CATALOGUE_TEXT_GENERATIONS_H
#define FRESHET_CATALOGUE_TEXT_GENERATIONS_H

#include "stream/ports.h"

enum { FRESHET_ENCODER_NAME_SIZE = sizeof((freshet_encoder*)NULL)->name };

typedef struct freshet_text_generation {
  char name[FRESHET_ENCODER_NAME_SIZE]; /* "": none, there are no texts */
  uint32_t dim;
  int32_t tag; /* of the name */
} freshet_text_generation;

/* Copied freely. */
typedef struct freshet_text_generations {
  freshet_text_generation own;     /* of the configured encoder: the one that is filled */
  freshet_text_generation serving; /* whose vectors the model has */
  int64_t switches;                /* cutovers so far; 0: `serving` is the first */
  bool recorded;                   /* <app>.items says so */
  bool outdated;                   /* <app>.items says something else by now: load the item tables again */
} freshet_text_generations;

/* Partitions of FRESHET_FAMILY_ITEMS that are no tags, nor 0 (learned rows): facts about generations, and
 * neighbours by text by item key (model_links.c). */
enum { FRESHET_ITEMS_FACTS = 1, FRESHET_ITEMS_LINKS = 2 };

freshet_text_generation freshet_text_generation_of(freshet_slice name, uint32_t dim);

/* What the store knows, and else the configured encoder. Notes the generations for
 * freshet_text_generations_each. */
freshet_status freshet_text_generations_load(freshet_text_generations* generations,
                                             const freshet_ports* ports, freshet_error* error);

/* ---- keys in <app>.items ---- */

/* Appends the key of a vector. */
void freshet_text_generation_key(int32_t tag, freshet_slice item_id, freshet_buffer* out);
/* Takes a key apart; false: it is none of a vector. *item_id points into the key. */
bool freshet_text_generation_parse_key(freshet_slice key, int32_t* tag, freshet_slice* item_id);
freshet_slice freshet_text_generation_serving_key(void);

/* ---- the fact ---- */

/* A record of <app>.items under the serving key: into the store, and compared with what is loaded. */
freshet_status freshet_text_generations_apply(freshet_text_generations* generations,
                                              const freshet_ports* ports, const freshet_record* record,
                                              freshet_error* error);

/* Tags of all generations that have ever been met, for withdrawing an item's vectors. */
void freshet_text_generations_note(const freshet_ports* ports, int32_t tag);
freshet_status freshet_text_generations_each(const freshet_ports* ports,
                                             void (*visit)(void* context, int32_t tag), void* context,
                                             freshet_error* error);

#endif
