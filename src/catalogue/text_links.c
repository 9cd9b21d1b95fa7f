/*
 * Neighbours by text are found by comparing all texts with all others, which takes a large catalogue minutes
 * when it is new: so it is done in slices of a few milliseconds, one a turn. Meanwhile an item's neighbours
 * are the nearest among those that have had their turn. Lists of neighbours are read by ranking threads only
 * while the worker waits for them, so that nothing is locked.
 *
 * What is learned depends on neighbours. So events wait for them at the start (texts_first.c): a generation
 * that serves nobody for all, one that serves for PATIENCE_US, which a catalogue of some ten thousand items
 * needs.
 */
#include "worker/worker_internal.h"

enum {
  PIECE_PAIRS = 4096,   /* between two looks at the clock */
  SLICE_MAX_US = 25000, /* a turn that takes long has longer slices, up to this */
  SLICE_SHARE = 4,      /* ... of one in so many */
  PATIENCE_US = 1000000,
};

void freshet_worker_link_texts(freshet_worker* worker, int64_t turn_us) {
  freshet_clock* clock = worker->ports.clock;
  freshet_model* model = freshet_items_model(worker->items);
  int64_t slice_us = turn_us / SLICE_SHARE < SLICE_MAX_US ? turn_us / SLICE_SHARE : SLICE_MAX_US;
  if (slice_us < worker->config.link_slice_us) slice_us = worker->config.link_slice_us;
  int64_t start_us = freshet_clock_monotonic_us(clock);
  size_t left;
  do {
    left = freshet_model_link_texts(model, PIECE_PAIRS);
  } while (left > 0 && freshet_clock_monotonic_us(clock) - start_us < slice_us);
  freshet_gauge(&worker->ports.metrics->texts_unlinked, left);
  if ((left > 0) == worker->links_texts) return;
  worker->links_texts = left > 0;
  freshet_log_fact(worker->ports.logger, FRESHET_INFO, left > 0 ? "texts.linking" : "texts.linked",
                   "items=%zu", left > 0 ? left : freshet_model_item_count(model));
}

void freshet_worker_await_links(freshet_worker* worker) {
  worker->links_until_us = freshet_clock_monotonic_us(worker->ports.clock) + PATIENCE_US;
}

bool freshet_worker_lacks_links(freshet_worker* worker, bool is_patient) {
  if (freshet_model_unlinked(freshet_items_model(worker->items)) == 0) return false;
  return is_patient || freshet_clock_monotonic_us(worker->ports.clock) < worker->links_until_us;
}
