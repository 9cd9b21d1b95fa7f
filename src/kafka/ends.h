/*
 * ends.h: the offset after the last record written, for each partition of each topic. Owns a growing table; knows
 * no client. Not locked: its owner decides which thread uses it.
 */
#ifndef FRESHET_KAFKA_ENDS_H
#define FRESHET_KAFKA_ENDS_H

#include "stream/source.h"

/* Zero-initialise. An offset of -1 says that nothing was written. */
typedef struct freshet_ends {
  struct {
    int64_t* offsets; /* [count] by partition */
    int32_t count;
  } topics[FRESHET_TOPICS];
} freshet_ends;

/* The end is at least `offset` from now on. */
void freshet_ends_raise(freshet_ends* ends, freshet_topic topic, int32_t partition, int64_t offset);
/* Nothing was written. */
void freshet_ends_clear(freshet_ends* ends);
void freshet_ends_free(freshet_ends* ends);

#endif
