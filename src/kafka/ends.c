/* ends.c: see ends.h. */
#include "kafka/ends.h"

#include <stdlib.h>

#include "freshet/status.h"

void freshet_ends_raise(freshet_ends* ends, freshet_topic topic, int32_t partition, int64_t offset) {
  if (partition >= ends->topics[topic].count) {
    int32_t count = partition + 1;
    int64_t* offsets = realloc(ends->topics[topic].offsets, (size_t)count * sizeof *offsets);
    FRESHET_ASSERT(offsets != NULL);
    for (int32_t i = ends->topics[topic].count; i < count; i++) offsets[i] = -1;
    ends->topics[topic].offsets = offsets;
    ends->topics[topic].count = count;
  }
  if (offset > ends->topics[topic].offsets[partition]) ends->topics[topic].offsets[partition] = offset;
}

void freshet_ends_clear(freshet_ends* ends) {
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    for (int32_t i = 0; i < ends->topics[topic].count; i++) ends->topics[topic].offsets[i] = -1;
  }
}

void freshet_ends_free(freshet_ends* ends) {
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) free(ends->topics[topic].offsets);
}
