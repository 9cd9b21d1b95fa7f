/* A stored item as an older version wrote it: the counts of its neighbours were floats, and its tail was shorter. */
#ifndef FRESHET_TESTS_SUPPORT_OLDER_ROW_H
#define FRESHET_TESTS_SUPPORT_OLDER_ROW_H

#include "core/model_bytes.h"

enum { OLDER_ROW_VERSIONS = 4 }; /* those with such rows */

/* Writes the item as that version did. cut: whether the tail ends as it did there. */
static inline void write_older_row(const freshet_model* model, uint32_t slot, int version, bool cut,
                                   freshet_buffer* out) {
  enum { CLOCK = 8, REPEATS = 12, DISLIKES = 4, TAIL = CLOCK + REPEATS + DISLIKES, ENTRY = 12 };
  static const size_t tails[OLDER_ROW_VERSIONS] = {0, DISLIKES, DISLIKES + REPEATS, TAIL};
  freshet_buffer row = {0};
  freshet_model_write_item(model, slot, 2, &row);
  const neighbours* near = &model->items[slot].near;
  const size_t head = row.size - TAIL - near->count * ENTRY;
  out->size = 0;
  freshet_put(out, row.data, head);
  for (uint32_t e = 0; e < near->count; e++) {
    const float counts[] = {freshet_count_value(near->entries[e].follows),
                            freshet_count_value(near->entries[e].together)};
    freshet_put(out, row.data + head + e * ENTRY, sizeof(uint64_t));
    freshet_put(out, counts, sizeof counts);
  }
  freshet_put(out, row.data + row.size - TAIL, cut ? tails[version - 1] : TAIL);
  out->data[0] = (uint8_t)version;
  freshet_buffer_free(&row);
}

#endif
