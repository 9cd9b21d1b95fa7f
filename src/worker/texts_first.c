/*
 * Texts before events. What is learned from an event depends on the text vectors that are there by then, and
 * their making has its own pace: without this, a worker that begins with nothing would learn the first events
 * with none or some of them, as it happens, and one that was killed on the way would learn something else
 * than one that was not. The same goes for neighbours by text (text_links.h). So events are let pass until the
 * vectors of all items that were announced when this worker got its partitions are there, and are then read
 * again from where learning stands. It waits for texts that cost next to nothing, and for the others only
 * while this generation serves nobody: users do not wait for an encoder.
 */
#include <stdlib.h>
#include <string.h>

#include "worker/worker_internal.h"

static bool serves(const freshet_worker* worker) {
  const freshet_serving* serving = &worker->serving;
  return serving->own == NULL || strcmp(freshet_serving_generation(serving), serving->own) == 0;
}

static bool may_wait(const freshet_worker* worker) {
  return worker->ports.embedder == NULL || !serves(worker);
}

void freshet_worker_await_texts(freshet_worker* worker) {
  int32_t partitions = freshet_items_partitions(worker->items);
  const bool* owned = freshet_held_items(worker->held, partitions);
  freshet_texts* texts = freshet_items_texts(worker->items);
  size_t expected = freshet_texts_expect(texts, owned, partitions);
  if (!may_wait(worker)) expected = 0;
  freshet_text_links_await(worker->links);
  freshet_text_links_turn(worker->links, 0); /* a small catalogue is done with */
  worker->awaits_texts = expected > 0 || freshet_text_links_lack(worker->links, !serves(worker));
  if (worker->awaits_texts)
    freshet_log_fact(worker->ports.logger, FRESHET_INFO, "texts.awaited", "items=%zu unlinked=%zu", expected,
                     freshet_model_unlinked(freshet_items_model(worker->items)));
}

freshet_status freshet_worker_end_await_texts(freshet_worker* worker, freshet_error* error) {
  if (!worker->awaits_texts) return FRESHET_OK;
  if (may_wait(worker) && freshet_texts_lack(freshet_items_texts(worker->items))) {
    freshet_text_links_await(worker->links); /* of the last text too */
    return FRESHET_OK;
  }
  if (freshet_text_links_lack(worker->links, !serves(worker))) return FRESHET_OK;
  freshet_source* source = worker->ports.source;
  size_t count;
  freshet_partition* targets =
      freshet_held_list(worker->held, FRESHET_TOPIC_EVENTS, FRESHET_HELD_NEXT, &count);
  worker->awaits_texts = false;
  freshet_status status = freshet_source_seek(source, targets, count, error);
  free(targets);
  freshet_log_fact(worker->ports.logger, FRESHET_INFO, "texts.complete", "partitions=%zu", count);
  return status;
}
