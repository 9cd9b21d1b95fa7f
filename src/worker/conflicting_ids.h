/*
 * conflicting_ids.h: event ids that come again with another user or item. The dedup window skips such events as
 * duplicates, and it is right to: it knows ids only. But a producer that writes the number of an order or session as
 * event_id loses all lines of the order except the first, so they are told apart from true duplicates.
 *
 * It owns the events that were learned last. It must not change what is learned. Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_CONFLICTING_IDS_H
#define FRESHET_WORKER_CONFLICTING_IDS_H

#include "freshet/event.h"
#include "stream/ports.h"
#include "worker/told.h"

enum { FRESHET_CONFLICTING_IDS_KEPT = 8192 };

/* Zero, but for the ports: nothing has come yet. */
typedef struct freshet_conflicting_ids {
  const freshet_ports* ports;
  struct {
    uint64_t event_key, pair;
  } kept[FRESHET_CONFLICTING_IDS_KEPT]; /* by event_key; a newer event takes the place of an older one */
  uint64_t count;
  freshet_told told;
} freshet_conflicting_ids;

/* An event that is learned. event_key: freshet_id_key of its id. */
void freshet_conflicting_ids_learned(freshet_conflicting_ids* ids, uint64_t event_key,
                                     const freshet_event* event);
/* An event that is skipped, because its id is in the dedup window. Counts it if it is another one than was learned. */
void freshet_conflicting_ids_skipped(freshet_conflicting_ids* ids, uint64_t event_key,
                                     const freshet_event* event);
/* Logs what has come, twice a minute at most. */
void freshet_conflicting_ids_turn(freshet_conflicting_ids* ids);

#endif
