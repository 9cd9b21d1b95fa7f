/* texts_first.c: begins and ends the waiting; see texts_first.h. */
#include "worker/texts_first.h"

#include <stdlib.h>
#include <string.h>

static bool serves(const freshet_texts_first* first) {
  const freshet_serving* serving = first->serving;
  return serving->own == NULL || strcmp(freshet_serving_generation(serving), serving->own) == 0;
}

static bool may_wait(const freshet_texts_first* first) {
  return first->ports->embedder == NULL || !serves(first);
}

/* Lists that are made from now on know these texts. Only users in memory whose newest lists do not are owed others. */
static void bring_to_lists(const freshet_texts_first* first) {
  const freshet_derived* derived = first->derived;
  const uint32_t* fresh;
  if (freshet_model_unlinked(freshet_items_model(derived->items)) > 0) return; /* the worker does it later */
  const size_t count = freshet_texts_take_fresh(freshet_items_texts(derived->items), &fresh);
  if (count > 0) freshet_refresh_outdate_alike(derived->refresh, fresh, count);
}

void freshet_texts_first_begin(freshet_texts_first* first) {
  freshet_items* items = first->derived->items;
  int32_t partitions = freshet_items_partitions(items);
  const bool* owned = freshet_held_items(first->held, partitions);
  freshet_text_links* links = first->derived->links;
  size_t expected = freshet_texts_expect(freshet_items_texts(items), owned, partitions);
  if (!may_wait(first)) expected = 0;
  freshet_text_links_await(links);
  freshet_text_links_turn(links, INT64_MAX); /* one slice is all that a small catalogue needs */
  /* A wait that is under way has passed over events: it ends with a seek. */
  first->is_waiting |= expected > 0 || freshet_text_links_lack(links, !serves(first));
  if (first->is_waiting)
    freshet_log_fact(first->ports->logger, FRESHET_INFO, "texts.awaited", "items=%zu unlinked=%zu", expected,
                     freshet_model_unlinked(freshet_items_model(items)));
  else
    bring_to_lists(first);
}

freshet_status freshet_texts_first_turn(freshet_texts_first* first, freshet_error* error) {
  freshet_items* items = first->derived->items;
  freshet_text_links* links = first->derived->links;
  if (!first->is_waiting) return FRESHET_OK;
  if (may_wait(first) && freshet_texts_lack(freshet_items_texts(items))) {
    freshet_text_links_await(links); /* the last text needs its neighbours too */
    return FRESHET_OK;
  }
  if (freshet_text_links_lack(links, !serves(first))) return FRESHET_OK;
  size_t count;
  freshet_partition* targets =
      freshet_held_list(first->held, FRESHET_TOPIC_EVENTS, FRESHET_HELD_NEXT, &count);
  first->is_waiting = false;
  bring_to_lists(first);
  freshet_status status = freshet_source_seek(first->ports->source, targets, count, error);
  free(targets);
  freshet_log_fact(first->ports->logger, FRESHET_INFO, "texts.complete", "partitions=%zu", count);
  return status;
}
