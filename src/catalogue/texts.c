/*
 * texts.c: see texts.h. What has a vector: by the store, by the log, or by our own encoder. texts_job.c encodes what
 * has none; texts_cutover.c lets another encoder serve.
 */
#include "catalogue/texts.h"

#include <math.h>
#include <stdlib.h>

#include "catalogue/item_text.h"
#include "catalogue/texts_internal.h"
#include "core/table.h"
#include "stream/outbox.h"

enum { FRESH_MAX = 4096 };

static void show_names(freshet_texts* texts) {
  freshet_worker_metrics* metrics = texts->ports.metrics;
  freshet_metric_name(metrics->texts_serving, sizeof metrics->texts_serving,
                      texts->generations->serving.name);
  freshet_metric_name(metrics->texts_filling, sizeof metrics->texts_filling, texts->generations->own.name);
}

freshet_texts* freshet_texts_create(const freshet_stream_config* config, const freshet_ports* ports,
                                    freshet_text_generations* generations, freshet_model* model) {
  freshet_texts* texts = calloc(1, sizeof *texts);
  FRESHET_ASSERT(texts != NULL);
  texts->ports = *ports;
  texts->model = model;
  texts->generations = generations;
  texts->starts = freshet_text_starts_create(ports, model, &generations->own);
  texts->dim = generations->own.dim;
  if (ports->encoder != NULL && ports->encoder->vtable->takes_any_word)
    texts->vocabulary = freshet_vocabulary_create();
  texts->interval_ms = config->text_interval_ms;
  texts->batch = config->text_batch;
  texts->cutover_coverage = config->text_cutover_coverage;
  texts->vector = calloc(texts->dim + 1, sizeof *texts->vector);
  texts->start = calloc(config->model.dim, sizeof *texts->start);
  texts->fresh = calloc(FRESH_MAX, sizeof *texts->fresh);
  FRESHET_ASSERT(texts->vector != NULL && texts->start != NULL && texts->fresh != NULL);
  show_names(texts);
  if (texts->dim > 0) {
    freshet_log_fact(ports->logger, FRESHET_INFO, "texts.generations", "serving=%s filling=%s cutovers=%lld",
                     generations->serving.name, generations->own.name, (long long)generations->switches);
  }
  return texts;
}

void freshet_texts_destroy(freshet_texts* texts) {
  if (texts == NULL) return;
  freshet_text_starts_destroy(texts->starts);
  freshet_vocabulary_destroy(texts->vocabulary);
  freshet_table_free(texts->items);
  freshet_table_free(texts->wanted);
  free(texts->fresh);
  free(texts->submissions);
  free(texts->vector);
  free(texts->start);
  freshet_buffer_free(&texts->key);
  freshet_buffer_free(&texts->value);
  freshet_buffer_free(&texts->text);
  freshet_buffer_free(&texts->row);
  free(texts);
}

freshet_item_text_state* freshet_texts_item(freshet_texts* texts, uint32_t slot) {
  if (slot >= texts->item_count) {
    size_t before = texts->item_count;
    texts->items =
        freshet_table_reach(texts->items, &texts->item_count, (size_t)slot + 1, sizeof *texts->items);
    for (size_t i = before; i < texts->item_count; i++)
      texts->items[i] = (freshet_item_text_state){.partition = -1};
  }
  return &texts->items[slot];
}

/* ---- vectors that are there ---- */

/* Would the model take them? start [model.dim] may be NULL. */
static bool is_usable(const freshet_texts* texts, const float* vector, uint32_t dim, const float* start) {
  uint32_t start_dim = freshet_model_get_config(texts->model)->dim;
  bool is_usable = true;
  for (uint32_t k = 0; k < dim; k++) is_usable = is_usable && isfinite(vector[k]);
  for (uint32_t k = 0; start != NULL && k < start_dim; k++)
    is_usable = is_usable && fabsf(start[k]) <= FRESHET_START_MAX;
  return is_usable;
}

void freshet_texts_give_up(freshet_texts* texts, uint32_t slot, const char* reason) {
  freshet_slice id = freshet_model_item_id(texts->model, slot);
  freshet_count(&texts->ports.metrics->texts_failed, 1);
  freshet_log_fact(texts->ports.logger, FRESHET_WARN, "texts.failed", "item=\"%.*s\" reason=\"%s\"",
                   (int)id.size, id.data, reason);
}

static freshet_status serve(freshet_texts* texts, uint32_t slot, const float* vector, const float* start,
                            freshet_error* error) {
  freshet_texts_item(texts, slot)->served = true;
  if (texts->fresh_count < FRESH_MAX) texts->fresh[texts->fresh_count++] = slot;
  return freshet_model_set_text(texts->model, slot, vector, start, error);
}

/* Takes what a row holds: the vector of this generation, of this item's text or of an earlier one. */
static freshet_status take_row(freshet_texts* texts, uint32_t slot, const freshet_text_generation* generation,
                               freshet_slice row, freshet_error* error) {
  const freshet_text_generations* g = texts->generations;
  freshet_item_text_state* t = freshet_texts_item(texts, slot);
  freshet_item_state state;
  uint32_t start_dim = freshet_model_get_config(texts->model)->dim;
  bool is_right = freshet_decode_item_state(texts->ports.codec, row, &state, NULL) == FRESHET_OK &&
                  state.embedding != NULL && state.embedding_dim == generation->dim &&
                  freshet_slice_equal(state.encoder, freshet_slice_of(generation->name)) &&
                  (state.start == NULL || state.start_dim == start_dim);
  if (!is_right) return FRESHET_OK;
  if (!is_usable(texts, state.embedding, state.embedding_dim, state.start)) {
    freshet_texts_give_up(texts, slot, "the stored vector is not finite, or its start is out of bounds");
    return FRESHET_OK;
  }
  bool is_current = state.text_hash == t->hash;
  if (generation->tag == g->own.tag) t->filled = is_current;
  if (generation->tag != g->serving.tag || t->served) return FRESHET_OK;
  if (!is_current && freshet_model_has_text(texts->model, slot)) return FRESHET_OK;
  freshet_status status = serve(texts, slot, state.embedding, state.start, error);
  freshet_texts_item(texts, slot)->served = is_current;
  return status;
}

static freshet_status look_up(freshet_texts* texts, uint32_t slot, const freshet_text_generation* generation,
                              freshet_error* error) {
  freshet_store* store = texts->ports.store;
  texts->row.size = 0;
  freshet_status status = freshet_store_get(store, FRESHET_FAMILY_ITEMS, generation->tag,
                                            freshet_model_item_id(texts->model, slot), &texts->row, error);
  if (status == FRESHET_NOT_FOUND) {
    freshet_error_clear(error);
    return FRESHET_OK;
  }
  if (status == FRESHET_OK)
    status = take_row(texts, slot, generation, freshet_buffer_slice(&texts->row), error);
  return status;
}

freshet_status freshet_texts_announced(freshet_texts* texts, uint32_t slot, int32_t partition,
                                       const freshet_item* item, freshet_error* error) {
  if (texts->dim == 0) return FRESHET_OK;
  const freshet_text_generations* g = texts->generations;
  freshet_item_text_state* t = freshet_texts_item(texts, slot);
  uint64_t hash = item == NULL ? 0 : freshet_item_text_hash(item, &texts->text);
  bool is_known = t->filled && t->hash == hash;
  t->partition = partition;
  if (is_known) return FRESHET_OK;
  if (hash != 0 && texts->vocabulary != NULL)
    freshet_vocabulary_add(texts->vocabulary, freshet_item_text(item, &texts->text));
  if (hash != t->hash) t->submitted = false;
  t->hash = hash;
  t->filled = t->served = t->refused = false;
  if (hash == 0) {
    return !freshet_model_has_text(texts->model, slot)
               ? FRESHET_OK
               : freshet_model_set_text(texts->model, slot, NULL, NULL, error);
  }
  if (!texts->is_loaded) return FRESHET_OK;
  freshet_status status = look_up(texts, slot, &g->serving, error);
  if (status == FRESHET_OK && freshet_texts_is_migrating(texts))
    status = look_up(texts, slot, &g->own, error);
  if (!freshet_texts_item(texts, slot)->filled) freshet_texts_want(texts, slot);
  return status;
}

/* ---- loading ---- */

typedef struct load_context {
  freshet_texts* texts;
  const freshet_text_generation* generation;
  freshet_status status;
  freshet_error* error;
} load_context;

static bool load_row(void* context, freshet_slice key, freshet_slice value) {
  load_context* load = context;
  uint32_t slot = freshet_model_find(load->texts->model, key);
  if (slot == FRESHET_NO_ITEM || freshet_texts_item(load->texts, slot)->hash == 0) return true;
  load->status = take_row(load->texts, slot, load->generation, value, load->error);
  return load->status == FRESHET_OK;
}

static freshet_status load_rows(freshet_texts* texts, const freshet_text_generation* generation,
                                freshet_error* error) {
  load_context load = {texts, generation, FRESHET_OK, error};
  freshet_status status = freshet_store_scan(texts->ports.store, FRESHET_FAMILY_ITEMS, generation->tag,
                                             (freshet_slice){NULL, 0}, load_row, &load, error);
  if (status == FRESHET_OK) status = load.status;
  return status;
}

freshet_status freshet_texts_load(freshet_texts* texts, freshet_error* error) {
  const freshet_text_generations* g = texts->generations;
  FRESHET_ASSERT(!texts->is_loaded);
  texts->is_loaded = true;
  if (texts->dim == 0) return FRESHET_OK;
  freshet_status status = load_rows(texts, &g->serving, error);
  if (status == FRESHET_OK && freshet_texts_is_migrating(texts)) status = load_rows(texts, &g->own, error);
  for (uint32_t slot = 0; status == FRESHET_OK && slot < texts->item_count; slot++) {
    if (texts->items[slot].hash != 0 && !texts->items[slot].filled) freshet_texts_want(texts, slot);
  }
  return status;
}

/* ---- vectors in <app>.items ---- */

static freshet_status apply_vector(freshet_texts* texts, int32_t tag, freshet_slice id,
                                   const freshet_record* record, freshet_error* error) {
  const freshet_text_generations* g = texts->generations;
  freshet_store* store = texts->ports.store;
  uint32_t slot = texts->dim == 0 ? FRESHET_NO_ITEM : freshet_model_find(texts->model, id);
  bool has_text = slot != FRESHET_NO_ITEM && freshet_texts_item(texts, slot)->hash != 0;
  freshet_status status = FRESHET_OK;
  if (!record->has_value) {
    freshet_store_remove(store, FRESHET_FAMILY_ITEMS, tag, id);
    if (has_text && tag == g->own.tag) freshet_texts_item(texts, slot)->filled = false;
  } else {
    if (tag != g->own.tag && tag != g->serving.tag) freshet_text_generations_note(&texts->ports, tag);
    freshet_store_put(store, FRESHET_FAMILY_ITEMS, tag, id, record->value);
    if (has_text && tag == g->serving.tag) status = take_row(texts, slot, &g->serving, record->value, error);
    if (status == FRESHET_OK && has_text && tag == g->own.tag && freshet_texts_is_migrating(texts))
      status = take_row(texts, slot, &g->own, record->value, error);
  }
  /* The log has the last word. It may say something else than what the store said when the item was
   * announced: a withdrawal from before that, or the vector of a text that did not last. */
  if (has_text && tag == g->own.tag && !freshet_texts_item(texts, slot)->filled)
    freshet_texts_want(texts, slot);
  return status;
}

freshet_status freshet_texts_apply(freshet_texts* texts, const freshet_record* record, bool* is_ours,
                                   freshet_error* error) {
  int32_t tag;
  freshet_slice id;
  *is_ours = true;
  if (freshet_slice_equal(record->key, freshet_text_generation_serving_key())) {
    return freshet_text_generations_apply(texts->generations, &texts->ports, record, error);
  }
  *is_ours = freshet_text_generation_parse_key(record->key, &tag, &id);
  return *is_ours ? apply_vector(texts, tag, id, record, error) : FRESHET_OK;
}

/* ---- the way out ---- */

void freshet_texts_send(freshet_texts* texts, bool has_value) {
  const freshet_output output = {.topic = FRESHET_TOPIC_ITEM_STATES,
                                 .partition = -1,
                                 .key = freshet_buffer_slice(&texts->key),
                                 .has_value = has_value,
                                 .value = freshet_buffer_slice(&texts->value)};
  freshet_outbox_add(texts->ports.outbox, &output, FRESHET_WITH_COMMIT, NULL);
  texts->key.size = texts->value.size = 0;
}

typedef struct withdrawal {
  freshet_texts* texts;
  freshet_slice item_id;
} withdrawal;

static void send_tombstone(void* context, int32_t tag) {
  const withdrawal* w = context;
  freshet_text_generation_key(tag, w->item_id, &w->texts->key);
  freshet_texts_send(w->texts, false);
}

freshet_status freshet_texts_forget(freshet_texts* texts, freshet_slice item_id, freshet_error* error) {
  withdrawal w = {texts, item_id};
  return freshet_text_generations_each(&texts->ports, send_tombstone, &w, error);
}

freshet_status freshet_texts_publish(freshet_texts* texts, uint32_t slot, uint64_t hash,
                                     freshet_error* error) {
  const freshet_text_generations* g = texts->generations;
  freshet_slice id = freshet_model_item_id(texts->model, slot);
  bool is_first = g->switches == 0 && !freshet_texts_is_migrating(texts);
  if (!is_usable(texts, texts->vector, texts->dim, NULL)) {
    freshet_texts_give_up(texts, slot, "the encoder made a vector that is not finite");
    return FRESHET_OK;
  }
  bool starts = !is_first && freshet_text_starts_find(texts->starts, slot, texts->vector, texts->start);
  freshet_item_state state = {.item_id = id,
                              .text_hash = hash,
                              .encoder = freshet_slice_of(g->own.name),
                              .embedding = texts->vector,
                              .embedding_dim = texts->dim,
                              .start = starts ? texts->start : NULL,
                              .start_dim = starts ? freshet_model_get_config(texts->model)->dim : 0};
  freshet_status status = freshet_encode_item_state(texts->ports.codec, &state, &texts->value, error);
  if (status != FRESHET_OK) return status;
  freshet_text_generation_key(g->own.tag, id, &texts->key);
  freshet_texts_send(texts, true);
  freshet_texts_item(texts, slot)->filled = true;
  freshet_count(&texts->ports.metrics->texts_encoded, 1);
  if (status != FRESHET_OK || freshet_texts_is_migrating(texts)) return status;
  return serve(texts, slot, texts->vector, state.start, error);
}

void freshet_texts_serve_others(freshet_texts* texts,
                                void (*encoded)(void* context, const freshet_embedded* embedded),
                                void* context) {
  texts->encoded = encoded;
  texts->encoded_context = context;
}

bool freshet_texts_place(freshet_texts* texts, const float* own, const float** vector, const float** start) {
  const freshet_text_generations* g = texts->generations;
  *vector = freshet_texts_is_migrating(texts) ? NULL : own;
  *start = NULL;
  if (g->switches == 0 && !freshet_texts_is_migrating(texts)) return true;
  /* Factors come from other vectors than these, so their projection would lead anywhere. */
  bool is_mapped = freshet_text_starts_map(texts->starts, own, texts->start);
  if (!is_mapped) memset(texts->start, 0, freshet_model_get_config(texts->model)->dim * sizeof *texts->start);
  *start = texts->start;
  return is_mapped || *vector != NULL;
}

freshet_slice freshet_texts_known_words(const freshet_texts* texts, freshet_slice text, freshet_buffer* out) {
  return texts->vocabulary == NULL ? text : freshet_vocabulary_known(texts->vocabulary, text, out);
}

size_t freshet_texts_take_fresh(freshet_texts* texts, const uint32_t** slots) {
  size_t count = texts->fresh_count;
  texts->fresh_count = 0;
  *slots = texts->fresh;
  return count;
}
