#include "catalogue/texts.h"

#include <math.h>
#include <stdlib.h>

#include "catalogue/item_rows.h"
#include "catalogue/item_text.h"
#include "catalogue/text_starts.h"

enum {
  FRESH_MAX = 4096,
  AT_ONCE_MAX = 1024, /* texts that a round encodes without an embedder */
  RUSH_MS = 50,       /* between two rounds, however many texts wait */
  LOOK_MS = 1000,     /* between two looks at the coverage */
};

typedef struct item_text {
  uint64_t hash;      /* of what its vector is made of, as announced; 0: of nothing */
  int32_t partition;  /* of `items` */
  bool served;        /* the model has the vector of this hash, by the serving encoder */
  bool filled;        /* there is the vector of this hash by our own encoder */
  bool wanted;        /* in the list of those that lack it */
  bool expected;      /* events wait for it: freshet_texts_expect */
  uint64_t submitted; /* hash of the text that is being encoded, 0: none */
} item_text;

/* A text that the embedder has; its id there is the hash, so that a result can only be taken for what it is,
 * even one that was asked for before the item tables were loaded again. */
typedef struct submission {
  uint64_t hash;
  uint32_t slot;
} submission;

struct freshet_texts {
  freshet_ports ports;
  freshet_model* model;
  freshet_text_generations* generations;
  freshet_text_starts* starts;
  uint32_t dim; /* of our own encoder; 0: there are no texts */
  int64_t interval_ms;
  size_t batch;
  double cutover_coverage;
  int64_t next_ms, next_look_ms;
  bool expects;     /* some that are expected were still missing when last looked at */
  bool fact_sent;   /* that our own generation serves: on its way into the log */
  item_text* items; /* [item_count] by slot */
  size_t item_count;
  uint32_t* wanted; /* [wanted_count] slots without a vector by our own encoder */
  size_t wanted_count, wanted_capacity;
  uint32_t* fresh; /* [fresh_count], at most FRESH_MAX: more at once are not worth a refresh of their own */
  size_t fresh_count;
  submission* submissions; /* [submission_count] */
  size_t submission_count, submission_capacity;
  freshet_buffer text, row, key, value; /* scratch */
  float* vector;                        /* [dim] */
  float* start;                         /* [model.dim] */
  void (*encoded)(void* context, const freshet_embedded* embedded);
  void* encoded_context;
};

static bool is_migrating(const freshet_texts* texts) {
  return texts->generations->own.tag != texts->generations->serving.tag;
}

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
  free(texts->items);
  free(texts->wanted);
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

static item_text* text_of(freshet_texts* texts, uint32_t slot) {
  if (slot >= texts->item_count) {
    size_t count = texts->item_count == 0 ? 1024 : texts->item_count;
    while (count <= slot) count *= 2;
    texts->items = realloc(texts->items, count * sizeof *texts->items);
    FRESHET_ASSERT(texts->items != NULL);
    for (size_t i = texts->item_count; i < count; i++) texts->items[i] = (item_text){.partition = -1};
    texts->item_count = count;
  }
  return &texts->items[slot];
}

static bool is_mine(const item_text* t, const bool* owned, int32_t partitions) {
  return t->partition >= 0 && t->partition < partitions && owned[t->partition];
}

static void want(freshet_texts* texts, uint32_t slot) {
  item_text* t = text_of(texts, slot);
  if (t->wanted) return;
  if (texts->wanted_count == texts->wanted_capacity) {
    texts->wanted_capacity = texts->wanted_capacity == 0 ? 256 : texts->wanted_capacity * 2;
    texts->wanted = realloc(texts->wanted, texts->wanted_capacity * sizeof *texts->wanted);
    FRESHET_ASSERT(texts->wanted != NULL);
  }
  t->wanted = true;
  texts->wanted[texts->wanted_count++] = slot;
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

/* A text that stays without a vector stops nobody: anybody may announce one. */
static void give_up(freshet_texts* texts, uint32_t slot, const char* reason) {
  freshet_slice id = freshet_model_item_id(texts->model, slot);
  freshet_count(&texts->ports.metrics->texts_failed, 1);
  freshet_log_fact(texts->ports.logger, FRESHET_WARN, "texts.failed", "item=\"%.*s\" reason=\"%s\"",
                   (int)id.size, id.data, reason);
}

static freshet_status serve(freshet_texts* texts, uint32_t slot, const float* vector, const float* start,
                            freshet_error* error) {
  text_of(texts, slot)->served = true;
  if (texts->fresh_count < FRESH_MAX) texts->fresh[texts->fresh_count++] = slot;
  return freshet_model_set_text(texts->model, slot, vector, start, error);
}

/* Takes what a row holds: the vector of this generation, of this item's text or of an earlier one. */
static freshet_status take_row(freshet_texts* texts, uint32_t slot, const freshet_text_generation* generation,
                               freshet_slice row, freshet_error* error) {
  const freshet_text_generations* g = texts->generations;
  item_text* t = text_of(texts, slot);
  freshet_item_state state;
  uint32_t start_dim = freshet_model_get_config(texts->model)->dim;
  bool is_right = freshet_decode_item_state(texts->ports.codec, row, &state, NULL) == FRESHET_OK &&
                  state.embedding != NULL && state.embedding_dim == generation->dim &&
                  freshet_slice_equal(state.encoder, freshet_slice_of(generation->name)) &&
                  (state.start == NULL || state.start_dim == start_dim);
  if (!is_right) return FRESHET_OK;
  if (!is_usable(texts, state.embedding, state.embedding_dim, state.start)) {
    give_up(texts, slot, "the stored vector is not finite, or its start is out of bounds");
    return FRESHET_OK;
  }
  bool is_current = state.text_hash == t->hash;
  if (generation->tag == g->own.tag) t->filled = is_current;
  if (generation->tag != g->serving.tag || t->served) return FRESHET_OK;
  if (!is_current && freshet_model_start(texts->model, slot) != NULL) return FRESHET_OK;
  freshet_status status = serve(texts, slot, state.embedding, state.start, error);
  text_of(texts, slot)->served = is_current;
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
  return status != FRESHET_OK ? status
                              : take_row(texts, slot, generation, freshet_buffer_slice(&texts->row), error);
}

freshet_status freshet_texts_announced(freshet_texts* texts, uint32_t slot, int32_t partition,
                                       const freshet_item* item, freshet_error* error) {
  if (texts->dim == 0) return FRESHET_OK;
  const freshet_text_generations* g = texts->generations;
  item_text* t = text_of(texts, slot);
  uint64_t hash = item == NULL ? 0 : freshet_item_text_hash(item, &texts->text);
  bool is_known = t->filled && t->hash == hash;
  t->partition = partition;
  if (is_known) return FRESHET_OK;
  t->hash = hash;
  t->filled = t->served = false;
  if (hash == 0) {
    return freshet_model_start(texts->model, slot) == NULL
               ? FRESHET_OK
               : freshet_model_set_text(texts->model, slot, NULL, NULL, error);
  }
  freshet_status status = look_up(texts, slot, &g->serving, error);
  if (status == FRESHET_OK && is_migrating(texts)) status = look_up(texts, slot, &g->own, error);
  if (!text_of(texts, slot)->filled) want(texts, slot);
  return status;
}

/* ---- vectors in <app>.items ---- */

static freshet_status apply_vector(freshet_texts* texts, int32_t tag, freshet_slice id,
                                   const freshet_record* record, freshet_error* error) {
  const freshet_text_generations* g = texts->generations;
  freshet_store* store = texts->ports.store;
  uint32_t slot = texts->dim == 0 ? FRESHET_NO_ITEM : freshet_model_find(texts->model, id);
  bool has_text = slot != FRESHET_NO_ITEM && text_of(texts, slot)->hash != 0;
  freshet_status status = FRESHET_OK;
  if (!record->has_value) {
    freshet_store_remove(store, FRESHET_FAMILY_ITEMS, tag, id);
    if (has_text && tag == g->own.tag) text_of(texts, slot)->filled = false;
  } else {
    if (tag != g->own.tag && tag != g->serving.tag) freshet_text_generations_note(&texts->ports, tag);
    freshet_store_put(store, FRESHET_FAMILY_ITEMS, tag, id, record->value);
    if (has_text && tag == g->serving.tag) status = take_row(texts, slot, &g->serving, record->value, error);
    if (status == FRESHET_OK && has_text && tag == g->own.tag && is_migrating(texts))
      status = take_row(texts, slot, &g->own, record->value, error);
  }
  /* The log has the last word. It may say something else than what the store said when the item was
   * announced: a withdrawal from before that, or the vector of a text that did not last. */
  if (has_text && tag == g->own.tag && !text_of(texts, slot)->filled) want(texts, slot);
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

/* texts->key and texts->value leave for <app>.items with the next commit. */
static void send(freshet_texts* texts, bool has_value) {
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
  send(w->texts, false);
}

freshet_status freshet_texts_forget(freshet_texts* texts, freshet_slice item_id, freshet_error* error) {
  withdrawal w = {texts, item_id};
  return freshet_text_generations_each(&texts->ports, send_tombstone, &w, error);
}

/* Publishes texts->vector, which our encoder has made of this hash. */
static freshet_status publish(freshet_texts* texts, uint32_t slot, uint64_t hash, freshet_error* error) {
  const freshet_text_generations* g = texts->generations;
  freshet_slice id = freshet_model_item_id(texts->model, slot);
  bool is_first = g->switches == 0 && !is_migrating(texts);
  if (!is_usable(texts, texts->vector, texts->dim, NULL)) {
    give_up(texts, slot, "the encoder made a vector that is not finite");
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
  send(texts, true);
  text_of(texts, slot)->filled = true;
  freshet_count(&texts->ports.metrics->texts_encoded, 1);
  if (status != FRESHET_OK || is_migrating(texts)) return status;
  return serve(texts, slot, texts->vector, state.start, error);
}

/* ---- the job ---- */

/* An announced item, from the catalogue in the store. False: it is not there any more. */
static bool read_item(freshet_texts* texts, uint32_t slot, freshet_item* item) {
  return freshet_item_row_find(texts->ports.store, texts->ports.codec,
                               freshet_model_item_id(texts->model, slot), &texts->row, item);
}

/* Encodes at once: for an encoder without an embedder, and for items that have a vector but no text. */
static freshet_status encode_now(freshet_texts* texts, uint32_t slot, const freshet_item* item,
                                 freshet_slice text, freshet_error* error) {
  freshet_error cause = {0};
  memset(texts->vector, 0, texts->dim * sizeof *texts->vector);
  if (text.size > 0 && freshet_encode(texts->ports.encoder, &text, 1, texts->vector, &cause) != FRESHET_OK) {
    give_up(texts, slot, cause.message);
    return FRESHET_OK;
  }
  freshet_item_complete_vector(item, texts->vector, texts->dim);
  return publish(texts, slot, text_of(texts, slot)->hash, error);
}

static void note_submission(freshet_texts* texts, uint32_t slot) {
  if (texts->submission_count == texts->submission_capacity) {
    texts->submission_capacity = texts->submission_capacity == 0 ? 64 : texts->submission_capacity * 2;
    texts->submissions = realloc(texts->submissions, texts->submission_capacity * sizeof *texts->submissions);
    FRESHET_ASSERT(texts->submissions != NULL);
  }
  item_text* t = text_of(texts, slot);
  t->submitted = t->hash;
  texts->submissions[texts->submission_count++] = (submission){t->hash, slot};
}

/* The slot that a result is for. False: nobody has asked for it since the tables were loaded. */
static bool end_submission(freshet_texts* texts, uint64_t hash, uint32_t* slot) {
  for (size_t i = 0; i < texts->submission_count; i++) {
    if (texts->submissions[i].hash != hash) continue;
    *slot = texts->submissions[i].slot;
    texts->submissions[i] = texts->submissions[--texts->submission_count];
    item_text* t = text_of(texts, *slot);
    if (t->submitted == hash) t->submitted = 0;
    return true;
  }
  return false;
}

/* Sees to one text. *full: the embedder, or this round, takes no more. */
static freshet_status submit(freshet_texts* texts, uint32_t slot, size_t* encoded, bool* full,
                             freshet_error* error) {
  freshet_item item;
  if (!read_item(texts, slot, &item)) return FRESHET_OK;
  freshet_slice text = freshet_item_text(&item, &texts->text);
  if (texts->ports.embedder == NULL || text.size == 0) {
    *full = ++*encoded >= AT_ONCE_MAX;
    return encode_now(texts, slot, &item, text, error);
  }
  *full =
      !freshet_embedder_submit(texts->ports.embedder, text_of(texts, slot)->hash, text, FRESHET_EMBED_BULK);
  if (*full) {
    want(texts, slot);
  } else {
    note_submission(texts, slot);
  }
  return FRESHET_OK;
}

/* Hands over as many as there is room for; keeps the others, and those that another worker owns. */
static freshet_status submit_due(freshet_texts* texts, const bool* owned, int32_t partitions,
                                 freshet_error* error) {
  size_t count = texts->wanted_count, encoded = 0;
  bool full = false;
  /* What was announced a moment ago is still on its way into the store. */
  freshet_status status = freshet_store_write(texts->ports.store, error);
  if (status != FRESHET_OK) return status;
  texts->wanted_count = 0; /* who is kept moves to the front */
  for (size_t i = 0; i < count; i++) {
    uint32_t slot = texts->wanted[i];
    item_text* t = text_of(texts, slot);
    t->wanted = false;
    if (t->filled || t->hash == 0 || t->submitted == t->hash) continue;
    if (full || !is_mine(t, owned, partitions) || status != FRESHET_OK) {
      want(texts, slot);
    } else {
      status = submit(texts, slot, &encoded, &full, error);
    }
  }
  return status;
}

static freshet_status take_result(freshet_texts* texts, const freshet_embedded* embedded,
                                  freshet_error* error) {
  uint32_t slot;
  freshet_item item;
  if (!end_submission(texts, embedded->id, &slot)) return FRESHET_OK;
  if (embedded->status != FRESHET_OK) {
    give_up(texts, slot, "the encoder failed");
    return FRESHET_OK;
  }
  item_text* t = text_of(texts, slot);
  bool is_current = t->hash == embedded->id && !t->filled; /* else it has changed meanwhile, or is there */
  if (!is_current || !read_item(texts, slot, &item)) return FRESHET_OK;
  memcpy(texts->vector, embedded->vector, texts->dim * sizeof *texts->vector);
  freshet_item_complete_vector(&item, texts->vector, texts->dim);
  return publish(texts, slot, embedded->id, error);
}

freshet_status freshet_texts_collect(freshet_texts* texts, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  freshet_embedded embedded;
  if (texts->ports.embedder == NULL) return FRESHET_OK;
  while (status == FRESHET_OK && freshet_embedder_collect(texts->ports.embedder, &embedded)) {
    if (embedded.priority == FRESHET_EMBED_BULK) {
      status = take_result(texts, &embedded, error);
    } else if (texts->encoded != NULL) {
      texts->encoded(texts->encoded_context, &embedded);
    }
  }
  return status;
}

void freshet_texts_serve_others(freshet_texts* texts,
                                void (*encoded)(void* context, const freshet_embedded* embedded),
                                void* context) {
  texts->encoded = encoded;
  texts->encoded_context = context;
}

bool freshet_texts_place(freshet_texts* texts, const float* own, const float** vector, const float** start) {
  const freshet_text_generations* g = texts->generations;
  *vector = is_migrating(texts) ? NULL : own;
  *start = NULL;
  if (g->switches == 0 && !is_migrating(texts)) return true;
  /* Factors come from other vectors than these, so their projection would lead anywhere. */
  bool is_mapped = freshet_text_starts_map(texts->starts, own, texts->start);
  if (!is_mapped) memset(texts->start, 0, freshet_model_get_config(texts->model)->dim * sizeof *texts->start);
  *start = texts->start;
  return is_mapped || *vector != NULL;
}

/* ---- the cutover ---- */

/* The share of listed items with a text that have the vector of our own encoder. */
static double coverage(const freshet_texts* texts) {
  size_t count = freshet_model_item_count(texts->model), all = 0, filled = 0;
  for (uint32_t slot = 0; slot < count && slot < texts->item_count; slot++) {
    if (texts->items[slot].hash == 0 || !freshet_model_is_listed(texts->model, slot)) continue;
    all++;
    filled += texts->items[slot].filled;
  }
  return all == 0 ? 1 : (double)filled / (double)all;
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
  send(texts, true);
  texts->fact_sent = true;
  return FRESHET_OK;
}

/* Its owner speaks for the application: one worker has partition 0 of `items`. */
static freshet_status look_at_coverage(freshet_texts* texts, bool owns_first, int64_t now_ms,
                                       freshet_error* error) {
  const freshet_text_generations* g = texts->generations;
  if (now_ms < texts->next_look_ms) return FRESHET_OK;
  texts->next_look_ms = now_ms + LOOK_MS;
  double covered = coverage(texts);
  freshet_gauge(&texts->ports.metrics->texts_coverage_ppm, (uint64_t)(covered * 1e6));
  if (!owns_first || texts->fact_sent) return FRESHET_OK;
  if (!is_migrating(texts)) return g->recorded ? FRESHET_OK : send_fact(texts, 0, error);
  if (covered < texts->cutover_coverage) return FRESHET_OK;
  freshet_log_fact(texts->ports.logger, FRESHET_INFO, "texts.cutover", "from=%s to=%s coverage=%.4f",
                   g->serving.name, g->own.name, covered);
  return send_fact(texts, g->switches + 1, error);
}

size_t freshet_texts_expect(freshet_texts* texts, const bool* owned, int32_t partitions) {
  bool may = texts->dim > 0 && !is_migrating(texts);
  size_t count = 0;
  for (size_t slot = 0; slot < texts->item_count; slot++) {
    item_text* t = &texts->items[slot];
    t->expected = may && is_mine(t, owned, partitions) && t->hash != 0 && !t->filled;
    count += t->expected;
  }
  texts->expects = count > 0;
  if (texts->expects) texts->next_ms = 0;
  return count;
}

bool freshet_texts_lack(freshet_texts* texts) {
  bool lacks = false;
  for (size_t i = 0; !lacks && texts->expects && i < texts->submission_count; i++)
    lacks = texts->items[texts->submissions[i].slot].expected;
  for (size_t i = 0; !lacks && texts->expects && i < texts->wanted_count; i++) {
    const item_text* t = &texts->items[texts->wanted[i]];
    lacks = t->expected && t->hash != 0 && !t->filled;
  }
  texts->expects = lacks;
  return lacks;
}

freshet_status freshet_texts_turn(freshet_texts* texts, const bool* owned, int32_t partitions,
                                  freshet_error* error) {
  if (texts->dim == 0) return FRESHET_OK;
  int64_t now_ms = freshet_clock_now_ms(texts->ports.clock);
  freshet_status status = freshet_texts_collect(texts, error);
  if (status == FRESHET_OK) status = look_at_coverage(texts, partitions > 0 && owned[0], now_ms, error);
  freshet_gauge(&texts->ports.metrics->texts_waiting, texts->wanted_count);
  if (status != FRESHET_OK || texts->wanted_count == 0) return status;
  bool rushes = texts->ports.embedder == NULL || texts->wanted_count >= texts->batch;
  bool is_awaited = texts->expects && texts->ports.embedder == NULL; /* events wait, and for nothing else */
  bool is_due = is_awaited || now_ms >= texts->next_ms ||
                (rushes && now_ms >= texts->next_ms - texts->interval_ms + RUSH_MS);
  if (!is_due) return FRESHET_OK;
  texts->next_ms = now_ms + texts->interval_ms;
  return submit_due(texts, owned, partitions, error);
}

size_t freshet_texts_take_fresh(freshet_texts* texts, const uint32_t** slots) {
  size_t count = texts->fresh_count;
  texts->fresh_count = 0;
  *slots = texts->fresh;
  return count;
}
