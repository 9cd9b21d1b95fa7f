/* evaluate_offer.c: see evaluate_offer.h. */
#include "commands/evaluate/evaluate_offer.h"

#include <stdlib.h>

typedef struct change {
  int64_t time_ms;
  uint32_t item;
  bool lacks; /* from then on */
} change;

struct freshet_offer {
  freshet_model* model;
  bool* lacks;     /* [item_count] */
  change* changes; /* [count] by time */
  size_t count, next;
};

static int by_time(const void* a, const void* b) {
  const change *x = a, *y = b;
  return (x->time_ms > y->time_ms) - (x->time_ms < y->time_ms);
}

/* [item_count] of the items' first choices; INT64_MAX: there is none. */
static int64_t* first_times(const freshet_history* history) {
  int64_t* first_ms = malloc((history->item_count + 1) * sizeof *first_ms);
  FRESHET_ASSERT(first_ms != NULL);
  for (size_t i = 0; i < history->item_count; i++) first_ms[i] = INT64_MAX;
  for (size_t i = history->event_count; i-- > 0;) {
    const freshet_history_event* event = &history->events[i];
    if (event->type != FRESHET_FEEDBACK) first_ms[event->item] = event->time_ms;
  }
  return first_ms;
}

static int64_t end_of(const freshet_history* history, const freshet_rules* rules, uint32_t item) {
  const int64_t expires_ms = history->items[item].expires_at_ms;
  const int64_t ends_ms = freshet_rules_ends_ms(rules, history->facets, item);
  if (expires_ms == 0 || ends_ms == 0) return expires_ms == 0 ? ends_ms : expires_ms;
  return expires_ms < ends_ms ? expires_ms : ends_ms;
}

static void add(freshet_offer* offer, uint32_t item, int64_t time_ms, bool lacks) {
  offer->changes[offer->count++] = (change){time_ms, item, lacks};
}

static void add_item(freshet_offer* offer, const freshet_history* history, const freshet_rules* rules,
                     uint32_t item, int64_t first_ms) {
  const int64_t created_ms = freshet_facets_created_ms(history->facets, item);
  const int64_t end_ms = end_of(history, rules, item);
  const int64_t start_ms = created_ms > first_ms ? first_ms + 1 : created_ms;
  offer->lacks[item] = history->items[item].is_unavailable || created_ms != 0;
  if (history->items[item].is_unavailable) return;
  if (created_ms != 0) add(offer, item, start_ms, false);
  if (end_ms != 0) add(offer, item, end_ms > start_ms ? end_ms : start_ms + 1, true);
}

freshet_offer* freshet_offer_create(const freshet_history* history, const freshet_rules* rules,
                                    freshet_model* model) {
  freshet_offer* offer = calloc(1, sizeof *offer);
  FRESHET_ASSERT(offer != NULL);
  offer->model = model;
  offer->lacks = calloc(history->item_count + 1, sizeof *offer->lacks);
  offer->changes = calloc(2 * history->item_count + 1, sizeof *offer->changes);
  FRESHET_ASSERT(offer->lacks != NULL && offer->changes != NULL);
  int64_t* first_ms = first_times(history);
  for (uint32_t i = 0; i < history->item_count; i++) {
    add_item(offer, history, rules, i, first_ms[i]);
    if (offer->lacks[i]) freshet_model_set_listed(model, i, false);
  }
  free(first_ms);
  qsort(offer->changes, offer->count, sizeof *offer->changes, by_time);
  return offer;
}

void freshet_offer_destroy(freshet_offer* offer) {
  free(offer->lacks);
  free(offer->changes);
  free(offer);
}

void freshet_offer_advance(freshet_offer* offer, int64_t now_ms) {
  for (; offer->next < offer->count && offer->changes[offer->next].time_ms <= now_ms; offer->next++) {
    const change* c = &offer->changes[offer->next];
    offer->lacks[c->item] = c->lacks;
    freshet_model_set_listed(offer->model, c->item, !c->lacks);
  }
}

const bool* freshet_offer_lacks(const freshet_offer* offer) {
  return offer->lacks;
}
