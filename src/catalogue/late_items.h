/*
 * late_items.h: records of `items` whose schema is still being asked for at the registry. Each is kept until it can be
 * read, or until a newer record of the same item comes; a restart reads from before the oldest. It owns copies of the
 * records, and must not know what they hold. Thread rule: the worker's.
 */
#ifndef FRESHET_CATALOGUE_LATE_ITEMS_H
#define FRESHET_CATALOGUE_LATE_ITEMS_H

#include "freshet/status.h"
#include "stream/source.h"

/* Zeroed: empty. */
typedef struct freshet_late_items {
  freshet_record* records; /* [count], oldest first; keys and values are our own */
  size_t count, capacity;
} freshet_late_items;

void freshet_late_items_free(freshet_late_items* late);

/* A record of this key has come: forgets an older one. */
void freshet_late_items_supersede(freshet_late_items* late, freshet_slice key);
/* Keeps a copy. */
void freshet_late_items_keep(freshet_late_items* late, const freshet_record* record);
/* `position`, or the offset of the oldest record that is kept of this partition, if that is less. */
int64_t freshet_late_items_bound(const freshet_late_items* late, int32_t partition, int64_t position);
/* Takes all records out and hands each over, in order; `apply` may keep it again. Stops at an error. */
freshet_status freshet_late_items_retry(freshet_late_items* late,
                                        freshet_status (*apply)(void* context, const freshet_record* record,
                                                                freshet_error* error),
                                        void* context, freshet_error* error);

#endif
