/*
 * texts_cutover.c: the change of the serving encoder (texts.h): how many items have a vector by the configured one,
 * and the fact that it serves from now on.
 */
#include "catalogue/texts_internal.h"

enum {
  LOOK_MS = 1000,     /* between two looks at the coverage */
  REFUSED_PARTS = 10, /* at most a tenth of the texts may be refused */
};

/* The share of listed items with a text that have the vector of our own encoder. A few texts that the encoder refuses
 * for good count too: they must not keep the other ones from serving. Many refusals are a mistake in the settings. */
static double coverage(const freshet_texts* texts) {
  size_t count = freshet_model_item_count(texts->model), all = 0, filled = 0, refused = 0;
  for (uint32_t slot = 0; slot < count && slot < texts->item_count; slot++) {
    if (texts->items[slot].hash == 0 || !freshet_model_is_listed(texts->model, slot)) continue;
    all++;
    filled += texts->items[slot].filled;
    refused += !texts->items[slot].filled && texts->items[slot].refused;
  }
  size_t settled = filled + (refused <= all / REFUSED_PARTS ? refused : 0);
  return all == 0 ? 1 : (double)settled / (double)all;
}

/* Publishes that our own generation serves, with this many cutovers behind it. */
static freshet_status send_fact(freshet_texts* texts, int64_t switches, freshet_error* error) {
  const freshet_text_generation* own = &texts->generations->own;
  freshet_slice key = freshet_text_generation_serving_key();
  freshet_text_generation_fact fact = {freshet_slice_of(own->name), own->dim, switches};
  freshet_status status =
      freshet_encode_text_generation_fact(texts->ports.codec, &fact, &texts->value, error);
  if (status != FRESHET_OK) return status;
  freshet_buffer_append(&texts->key, key.data, key.size);
  freshet_texts_send(texts, true);
  texts->fact_sent = true;
  return FRESHET_OK;
}

freshet_status freshet_texts_look_at_coverage(freshet_texts* texts, bool owns_first, int64_t now_ms,
                                              freshet_error* error) {
  const freshet_text_generations* g = texts->generations;
  if (now_ms < texts->next_look_ms) return FRESHET_OK;
  texts->next_look_ms = now_ms + LOOK_MS;
  double covered = coverage(texts);
  freshet_gauge(&texts->ports.metrics->texts_coverage_ppm, (uint64_t)(covered * 1e6));
  if (!owns_first || texts->fact_sent) return FRESHET_OK;
  if (!freshet_texts_is_migrating(texts)) return g->recorded ? FRESHET_OK : send_fact(texts, 0, error);
  if (covered < texts->cutover_coverage) return FRESHET_OK;
  freshet_log_fact(texts->ports.logger, FRESHET_INFO, "texts.cutover", "from=%s to=%s coverage=%.4f",
                   g->serving.name, g->own.name, covered);
  return send_fact(texts, g->switches + 1, error);
}
