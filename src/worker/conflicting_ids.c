/* conflicting_ids.c: see conflicting_ids.h. */
#include "worker/conflicting_ids.h"

static uint64_t pair_of(const freshet_event* event) {
  return freshet_id_key(event->user_id) * 31 + freshet_id_key(event->item_id);
}

void freshet_conflicting_ids_learned(freshet_conflicting_ids* ids, uint64_t event_key,
                                     const freshet_event* event) {
  size_t place = event_key % FRESHET_CONFLICTING_IDS_KEPT;
  ids->kept[place].event_key = event_key;
  ids->kept[place].pair = pair_of(event);
}

void freshet_conflicting_ids_skipped(freshet_conflicting_ids* ids, uint64_t event_key,
                                     const freshet_event* event) {
  size_t place = event_key % FRESHET_CONFLICTING_IDS_KEPT;
  if (ids->kept[place].event_key != event_key || ids->kept[place].pair == pair_of(event)) return;
  ids->count++;
  freshet_count(&ids->ports->metrics->events_conflicting, 1);
}

void freshet_conflicting_ids_turn(freshet_conflicting_ids* ids) {
  if (!freshet_told_is_due(&ids->told, ids->count, ids->ports->clock)) return;
  freshet_log_fact(ids->ports->logger, FRESHET_WARN, "events.conflicting",
                   "topic=%s count=%llu message=\"event ids come again with another user or item: skipped as "
                   "duplicates\" do=\"give each event an id of its own; the number of an order or session is "
                   "none\"",
                   freshet_outbox_topic_name(ids->ports->outbox, FRESHET_TOPIC_EVENTS),
                   (unsigned long long)ids->count);
}
