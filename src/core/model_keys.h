/*
 * model_keys.h: the table of keys of model_negatives.c, by which items are found and drawn. Shared by the model_*.c files
 * and seen by nobody else.
 */
#ifndef FRESHET_CORE_MODEL_KEYS_H
#define FRESHET_CORE_MODEL_KEYS_H

#include <stdint.h>

/* The items by the first bits of their keys, and counts over them for draws by frequency. */
typedef struct key_table {
  uint32_t bits;
  uint32_t*
      buckets; /* [2^bits] first slot by key, NULL: there is no table; the chain may run on into the next bucket */
  int64_t* frequency; /* tree over the buckets: of the counts */
  int64_t* presence;  /* ... and of the items */
} key_table;

#endif
