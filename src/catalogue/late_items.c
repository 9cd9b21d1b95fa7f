/*
 * late_items.c: a list of copied records. It is short: it grows only while a registry does not answer.
 */
#include "catalogue/late_items.h"

#include <stdlib.h>
#include <string.h>

#include "core/grow.h"

static void free_record(freshet_record* record) {
  free((char*)record->key.data);
  free((char*)record->value.data);
}

static freshet_slice copy(freshet_slice text) {
  char* bytes = malloc(text.size + 1);
  FRESHET_ASSERT(bytes != NULL);
  if (text.size > 0) memcpy(bytes, text.data, text.size);
  return (freshet_slice){bytes, text.size};
}

void freshet_late_items_free(freshet_late_items* late) {
  for (size_t i = 0; i < late->count; i++) free_record(&late->records[i]);
  free(late->records);
  *late = (freshet_late_items){0};
}

void freshet_late_items_supersede(freshet_late_items* late, freshet_slice key) {
  for (size_t i = 0; i < late->count; i++) {
    freshet_slice kept = late->records[i].key;
    if (kept.size != key.size || memcmp(kept.data, key.data, key.size) != 0) continue;
    free_record(&late->records[i]);
    memmove(&late->records[i], &late->records[i + 1], (late->count - i - 1) * sizeof *late->records);
    late->count--;
    return;
  }
}

void freshet_late_items_keep(freshet_late_items* late, const freshet_record* record) {
  late->records = freshet_grow(late->records, &late->capacity, late->count + 1, sizeof *late->records);
  freshet_record* kept = &late->records[late->count++];
  *kept = *record;
  kept->key = copy(record->key);
  kept->value = copy(record->value);
  kept->opaque = NULL;
}

int64_t freshet_late_items_bound(const freshet_late_items* late, int32_t partition, int64_t position) {
  for (size_t i = 0; i < late->count; i++) {
    const freshet_record* record = &late->records[i];
    if (record->partition == partition && record->offset < position) position = record->offset;
  }
  return position;
}

freshet_status freshet_late_items_retry(freshet_late_items* late,
                                        freshet_status (*apply)(void* context, const freshet_record* record,
                                                                freshet_error* error),
                                        void* context, freshet_error* error) {
  freshet_late_items taken = *late;
  freshet_status status = FRESHET_OK;
  *late = (freshet_late_items){0};
  for (size_t i = 0; i < taken.count && status == FRESHET_OK; i++)
    status = apply(context, &taken.records[i], error);
  freshet_late_items_free(&taken);
  return status;
}
