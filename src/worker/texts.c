#include "worker/texts.h"

#include <stdlib.h>

/* In front of an item id: the key of its text vector in <app>.items. No item id starts with NUL. */
static const freshet_slice vector_key = {"\0text", 5};

/* In the store, vectors lie beside the learned rows, in a partition of their own. */
enum {
  VECTORS = 1,
  FRESH_MAX = 4096,
  RUSH_MS = 50, /* between two rounds, however many texts wait */
};

typedef struct item_text {
  uint64_t hash;      /* of the text as announced, 0: none, or it brought a vector of its own */
  int32_t partition;  /* of `items` */
  bool ready;         /* the model has the vector of this text */
  bool wanted;        /* in the list of those */
  uint64_t submitted; /* hash of the text that is being encoded, 0: none */
} item_text;

/* A record for <app>.items that waits for a transaction. */
typedef struct outgoing {
  bool has_value;
  size_t key_at, key_size, value_at, value_size;
} outgoing;

struct freshet_texts {
  freshet_worker_parts parts;
  freshet_model* model;
  uint32_t dim;
  int64_t interval_ms;
  size_t batch;
  int64_t next_ms;
  item_text* items; /* [item_count] by slot */
  size_t item_count;
  uint32_t* wanted; /* [wanted_count] slots without a vector */
  size_t wanted_count, wanted_capacity;
  uint32_t* fresh; /* [fresh_count], at most FRESH_MAX: more at once are not worth a refresh of their own */
  size_t fresh_count;
  outgoing* outbox;
  size_t outbox_count, outbox_capacity;
  freshet_buffer outbox_bytes;
  freshet_buffer text, row;
  float* vector; /* [dim] */
};

uint32_t freshet_texts_dim(const freshet_worker_parts* parts) {
  return parts->encoder == NULL ? 0 : parts->encoder->dim;
}

freshet_texts* freshet_texts_create(const freshet_worker_config* config, const freshet_worker_parts* parts,
                                    freshet_model* model) {
  freshet_texts* texts = calloc(1, sizeof *texts);
  FRESHET_ASSERT(texts != NULL);
  texts->parts = *parts;
  texts->model = model;
  texts->dim = freshet_texts_dim(parts);
  texts->interval_ms = config->text_interval_ms;
  texts->batch = config->text_batch;
  texts->vector = calloc(texts->dim + 1, sizeof *texts->vector);
  texts->fresh = calloc(FRESH_MAX, sizeof *texts->fresh);
  FRESHET_ASSERT(texts->vector != NULL && texts->fresh != NULL);
  return texts;
}

void freshet_texts_destroy(freshet_texts* texts) {
  if (texts == NULL) return;
  free(texts->items);
  free(texts->wanted);
  free(texts->fresh);
  free(texts->outbox);
  free(texts->vector);
  freshet_buffer_free(&texts->outbox_bytes);
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

static freshet_status take_vector(freshet_texts* texts, uint32_t slot, const float* vector,
                                  freshet_error* error) {
  text_of(texts, slot)->ready = true;
  if (vector != NULL && texts->fresh_count < FRESH_MAX) texts->fresh[texts->fresh_count++] = slot;
  return freshet_model_set_text(texts->model, slot, vector, NULL, error);
}

/* The text that stands for an item: its title and its text. */
static freshet_slice compose(freshet_texts* texts, const freshet_item* item) {
  texts->text.size = 0;
  freshet_buffer_append(&texts->text, item->title.data, item->title.size);
  if (item->title.size > 0 && item->text.size > 0) freshet_buffer_append(&texts->text, "\n", 1);
  freshet_buffer_append(&texts->text, item->text.data, item->text.size);
  return freshet_buffer_slice(&texts->text);
}

/* Is a stored row the vector of this text, by the encoder in use? *vector points into the codec then. */
static bool is_vector_of(freshet_texts* texts, freshet_slice row, uint64_t hash, const float** vector) {
  freshet_item_state state;
  if (freshet_decode_item_state(texts->parts.codec, row, &state, NULL) != FRESHET_OK) return false;
  *vector = state.embedding;
  return state.text_hash == hash && state.embedding != NULL && state.embedding_dim == texts->dim &&
         freshet_slice_equal(state.encoder, freshet_slice_of(texts->parts.encoder->name));
}

static freshet_status find_or_want(freshet_texts* texts, uint32_t slot, freshet_slice item_id, uint64_t hash,
                                   freshet_error* error) {
  freshet_store* store = texts->parts.store;
  const float* vector;
  texts->row.size = 0;
  freshet_status status =
      store->vtable->get(store, FRESHET_FAMILY_ITEMS, VECTORS, item_id, &texts->row, NULL);
  if (status == FRESHET_OK && is_vector_of(texts, freshet_buffer_slice(&texts->row), hash, &vector)) {
    return take_vector(texts, slot, vector, error);
  }
  want(texts, slot);
  return FRESHET_OK;
}

freshet_status freshet_texts_announced(freshet_texts* texts, uint32_t slot, int32_t partition,
                                       const freshet_item* item, freshet_error* error) {
  if (texts->dim == 0) return FRESHET_OK;
  item_text* t = text_of(texts, slot);
  freshet_slice text = item == NULL ? (freshet_slice){NULL, 0} : compose(texts, item);
  bool ready_made = item != NULL && item->vector != NULL && item->vector_dim == texts->dim;
  uint64_t hash = text.size == 0 || ready_made ? 0 : freshet_id_key(text);
  bool known = t->ready && hash != 0 && t->hash == hash;
  t->partition = partition;
  t->hash = hash;
  if (known) return FRESHET_OK;
  t->ready = false;
  if (ready_made) return take_vector(texts, slot, item->vector, error);
  if (hash == 0) return take_vector(texts, slot, NULL, error);
  if (texts->parts.embedder != NULL) return find_or_want(texts, slot, item->item_id, hash, error);
  freshet_status status = freshet_encode(texts->parts.encoder, &text, 1, texts->vector, error);
  return status != FRESHET_OK ? status : take_vector(texts, slot, texts->vector, error);
}

/* ---- vectors in <app>.items ---- */

bool freshet_texts_is_vector(const freshet_record* record) {
  return record->key.size > vector_key.size &&
         memcmp(record->key.data, vector_key.data, vector_key.size) == 0;
}

freshet_status freshet_texts_apply(freshet_texts* texts, const freshet_record* record, freshet_error* error) {
  freshet_store* store = texts->parts.store;
  freshet_slice id = {record->key.data + vector_key.size, record->key.size - vector_key.size};
  if (!record->has_value) {
    store->vtable->remove(store, FRESHET_FAMILY_ITEMS, VECTORS, id);
    return FRESHET_OK;
  }
  store->vtable->put(store, FRESHET_FAMILY_ITEMS, VECTORS, id, record->value);
  uint32_t slot = texts->dim == 0 ? FRESHET_NO_ITEM : freshet_model_find(texts->model, id);
  if (slot == FRESHET_NO_ITEM) return FRESHET_OK;
  const float* vector;
  item_text* t = text_of(texts, slot);
  if (t->ready || t->hash == 0 || !is_vector_of(texts, record->value, t->hash, &vector)) return FRESHET_OK;
  return take_vector(texts, slot, vector, error);
}

static outgoing* send(freshet_texts* texts, freshet_slice prefix, freshet_slice item_id) {
  if (texts->outbox_count == texts->outbox_capacity) {
    texts->outbox_capacity = texts->outbox_capacity == 0 ? 64 : texts->outbox_capacity * 2;
    texts->outbox = realloc(texts->outbox, texts->outbox_capacity * sizeof *texts->outbox);
    FRESHET_ASSERT(texts->outbox != NULL);
  }
  outgoing* out = &texts->outbox[texts->outbox_count++];
  *out = (outgoing){.key_at = texts->outbox_bytes.size, .key_size = prefix.size + item_id.size};
  freshet_buffer_append(&texts->outbox_bytes, prefix.data, prefix.size);
  freshet_buffer_append(&texts->outbox_bytes, item_id.data, item_id.size);
  out->value_at = texts->outbox_bytes.size;
  return out;
}

void freshet_texts_forget(freshet_texts* texts, freshet_slice item_id) {
  send(texts, vector_key, item_id);
}

bool freshet_texts_unwritten(const freshet_texts* texts) {
  return texts->outbox_count > 0;
}

freshet_status freshet_texts_write(freshet_texts* texts, freshet_error* error) {
  freshet_sink* sink = texts->parts.sink;
  const char* bytes = (const char*)texts->outbox_bytes.data;
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < texts->outbox_count; i++) {
    const outgoing* out = &texts->outbox[i];
    freshet_output output = {.topic = FRESHET_TOPIC_ITEM_STATES,
                             .partition = -1,
                             .key = {bytes + out->key_at, out->key_size},
                             .has_value = out->has_value,
                             .value = {bytes + out->value_at, out->value_size}};
    status = sink->vtable->write(sink, &output, error);
  }
  texts->outbox_count = 0;
  texts->outbox_bytes.size = 0;
  return status;
}

/* ---- the job ---- */

/* The text of an announced item, from the catalogue in the store. False: it is not there any more. */
static bool read_text(freshet_texts* texts, uint32_t slot, freshet_slice* text) {
  freshet_store* store = texts->parts.store;
  freshet_item item;
  int32_t partition;
  texts->row.size = 0;
  if (store->vtable->get(store, FRESHET_FAMILY_CATALOGUE, 0, freshet_model_item_id(texts->model, slot),
                         &texts->row, NULL) != FRESHET_OK ||
      texts->row.size < sizeof partition) {
    return false;
  }
  freshet_slice record = {(const char*)texts->row.data + sizeof partition,
                          texts->row.size - sizeof partition};
  if (freshet_decode_item(texts->parts.codec, record, &item, NULL) != FRESHET_OK) return false;
  *text = compose(texts, &item);
  return true;
}

/* Hands over as many as the embedder takes; keeps the others, and those that another worker owns. */
static freshet_status submit(freshet_texts* texts, const bool* owned, int32_t partitions,
                             freshet_error* error) {
  size_t kept = 0;
  bool full = false;
  /* What was announced a moment ago is still on its way into the store. */
  freshet_status status = texts->parts.store->vtable->write(texts->parts.store, error);
  for (size_t i = 0; status == FRESHET_OK && i < texts->wanted_count; i++) {
    uint32_t slot = texts->wanted[i];
    item_text* t = text_of(texts, slot);
    freshet_slice text;
    bool is_mine = t->partition >= 0 && t->partition < partitions && owned[t->partition];
    bool needed = !t->ready && t->hash != 0 && t->submitted != t->hash;
    if (needed && (full || !is_mine)) {
      texts->wanted[kept++] = slot;
      continue;
    }
    t->wanted = false;
    if (!needed || !read_text(texts, slot, &text)) continue;
    full = !freshet_embedder_submit(texts->parts.embedder, freshet_model_item_key(texts->model, slot), text,
                                    FRESHET_EMBED_BULK);
    if (full) {
      t->wanted = true;
      texts->wanted[kept++] = slot;
    } else {
      t->submitted = t->hash;
    }
  }
  texts->wanted_count = status == FRESHET_OK ? kept : texts->wanted_count;
  return status;
}

static freshet_status take_result(freshet_texts* texts, const freshet_embedded* embedded,
                                  freshet_error* error) {
  uint32_t slot;
  if (freshet_model_intern_key(texts->model, embedded->id, &slot, NULL) != FRESHET_OK) return FRESHET_OK;
  item_text* t = text_of(texts, slot);
  uint64_t hash = t->submitted;
  t->submitted = 0;
  if (embedded->status != FRESHET_OK) {
    freshet_count(&texts->parts.metrics->texts_failed, 1);
    return FRESHET_OK;
  }
  freshet_count(&texts->parts.metrics->texts_encoded, 1);
  /* From before a reload, or the text has changed meanwhile, or somebody else was quicker: the cache keeps
   * it. */
  if (hash == 0 || hash != t->hash || t->ready) {
    if (!t->ready && t->hash != 0) want(texts, slot);
    return FRESHET_OK;
  }
  freshet_slice id = freshet_model_item_id(texts->model, slot);
  freshet_item_state state = {.item_id = id,
                              .text_hash = hash,
                              .encoder = freshet_slice_of(texts->parts.encoder->name),
                              .embedding = embedded->vector,
                              .embedding_dim = texts->dim};
  outgoing* out = send(texts, vector_key, id);
  freshet_status status = freshet_encode_item_state(texts->parts.codec, &state, &texts->outbox_bytes, error);
  out->has_value = true;
  out->value_size = texts->outbox_bytes.size - out->value_at;
  return status != FRESHET_OK ? status : take_vector(texts, slot, embedded->vector, error);
}

freshet_status freshet_texts_turn(freshet_texts* texts, const bool* owned, int32_t partitions,
                                  freshet_error* error) {
  if (texts->parts.embedder == NULL || texts->dim == 0) return FRESHET_OK;
  int64_t now_ms = texts->parts.clock->now_ms(texts->parts.clock);
  freshet_status status = FRESHET_OK;
  freshet_embedded embedded;
  while (status == FRESHET_OK && freshet_embedder_collect(texts->parts.embedder, &embedded)) {
    status = take_result(texts, &embedded, error);
  }
  freshet_gauge(&texts->parts.metrics->texts_waiting, texts->wanted_count);
  if (status != FRESHET_OK || texts->wanted_count == 0) return status;
  bool due = now_ms >= texts->next_ms ||
             (texts->wanted_count >= texts->batch && now_ms >= texts->next_ms - texts->interval_ms + RUSH_MS);
  if (!due) return FRESHET_OK;
  texts->next_ms = now_ms + texts->interval_ms;
  return submit(texts, owned, partitions, error);
}

size_t freshet_texts_take_fresh(freshet_texts* texts, const uint32_t** slots) {
  size_t count = texts->fresh_count;
  texts->fresh_count = 0;
  *slots = texts->fresh;
  return count;
}
