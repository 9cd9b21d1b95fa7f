/* text_starts.c: see text_starts.h. The map is fitted again when there is twice as much to fit it to. */
#include "catalogue/text_starts.h"

#include <stdlib.h>

#include "text/ridge.h"

enum {
  PAIRS_MIN = 256,  /* fewer would say more about themselves than about the map */
  PAIRS_MAX = 8192, /* enough for any dimension, and bounded work */
  BLOCK = 256,
  RETRY = 256, /* starts between two looks whether there is more to learn from */
};

/* A direction as strong as the mean one counts half. */
static const float strength = 1;

struct freshet_text_starts {
  freshet_ports ports;
  const freshet_model* model;
  freshet_text_generation own;
  uint32_t dim;
  float* map;      /* [dim][own.dim] */
  size_t pairs;    /* that it was fitted to, 0: there is none */
  size_t patience; /* starts to go before the next look */
  freshet_buffer row;
};

freshet_text_starts* freshet_text_starts_create(const freshet_ports* ports, const freshet_model* model,
                                                const freshet_text_generation* own) {
  freshet_text_starts* starts = calloc(1, sizeof *starts);
  FRESHET_ASSERT(starts != NULL);
  starts->ports = *ports;
  starts->model = model;
  starts->own = *own;
  starts->dim = freshet_model_get_config(model)->dim;
  return starts;
}

void freshet_text_starts_destroy(freshet_text_starts* starts) {
  if (starts == NULL) return;
  free(starts->map);
  freshet_buffer_free(&starts->row);
  free(starts);
}

/* The item's vector by the own encoder, from the store, or NULL; holds until the next call. */
static const float* stored_vector(freshet_text_starts* starts, uint32_t slot) {
  freshet_store* store = starts->ports.store;
  freshet_item_state state;
  starts->row.size = 0;
  if (freshet_store_get(store, FRESHET_FAMILY_ITEMS, starts->own.tag,
                        freshet_model_item_id(starts->model, slot), &starts->row, NULL) != FRESHET_OK ||
      freshet_decode_item_state(starts->ports.codec, freshet_buffer_slice(&starts->row), &state, NULL) !=
          FRESHET_OK ||
      state.embedding_dim != starts->own.dim) {
    return NULL;
  }
  return state.embedding;
}

static size_t add_pairs(freshet_text_starts* starts, freshet_ridge* ridge) {
  uint32_t from = starts->own.dim, to = starts->dim;
  float* x = calloc((size_t)BLOCK * from, sizeof *x);
  float* y = calloc((size_t)BLOCK * to, sizeof *y);
  FRESHET_ASSERT(x != NULL && y != NULL);
  size_t items = freshet_model_item_count(starts->model), count = 0, pairs = 0;
  for (uint32_t slot = 0; slot < items && pairs < PAIRS_MAX; slot++) {
    const float* factors = freshet_model_learned_factors(starts->model, slot);
    const float* vector = factors == NULL ? NULL : stored_vector(starts, slot);
    if (vector == NULL) continue;
    memcpy(x + count * from, vector, from * sizeof *x);
    memcpy(y + count * to, factors, to * sizeof *y);
    pairs++;
    if (++count < BLOCK) continue;
    freshet_ridge_add(ridge, x, y, count);
    count = 0;
  }
  if (count > 0) freshet_ridge_add(ridge, x, y, count);
  free(x);
  free(y);
  return pairs;
}

/* The pairs that there would be if all items that have learned had a vector: found without the store. */
static size_t most_pairs(const freshet_text_starts* starts) {
  size_t items = freshet_model_item_count(starts->model), most = 0;
  for (uint32_t slot = 0; slot < items && most < PAIRS_MAX; slot++)
    most += freshet_model_learned_factors(starts->model, slot) != NULL;
  return most;
}

static bool is_worth_fitting(const freshet_text_starts* starts, size_t pairs) {
  return pairs >= PAIRS_MIN && pairs >= 2 * starts->pairs;
}

/* Fits W anew, unless there is hardly more to fit it to than the last time. */
static void fit(freshet_text_starts* starts) {
  if (!is_worth_fitting(starts, most_pairs(starts))) return;
  freshet_ridge* ridge = freshet_ridge_create(starts->own.dim, starts->dim);
  size_t pairs = add_pairs(starts, ridge);
  if (is_worth_fitting(starts, pairs)) {
    if (starts->map == NULL) starts->map = calloc((size_t)starts->dim * starts->own.dim, sizeof(float));
    FRESHET_ASSERT(starts->map != NULL);
    freshet_ridge_solve(ridge, strength, starts->map);
    starts->pairs = pairs;
    freshet_log_fact(starts->ports.logger, FRESHET_INFO, "texts.map", "encoder=%s items=%zu",
                     starts->own.name, pairs);
  }
  freshet_ridge_destroy(ridge);
}

bool freshet_text_starts_map(freshet_text_starts* starts, const float* vector, float* start) {
  if (starts->patience == 0) fit(starts);
  starts->patience = starts->patience == 0 ? RETRY : starts->patience - 1;
  if (starts->pairs == 0) return false;
  for (uint32_t i = 0; i < starts->dim; i++) {
    const float* row = starts->map + (size_t)i * starts->own.dim;
    float sum = 0;
    for (uint32_t k = 0; k < starts->own.dim; k++) sum += row[k] * vector[k];
    start[i] = sum > FRESHET_START_MAX    ? FRESHET_START_MAX
               : sum < -FRESHET_START_MAX ? -FRESHET_START_MAX
                                          : sum;
  }
  return true;
}

bool freshet_text_starts_find(freshet_text_starts* starts, uint32_t slot, const float* vector, float* start) {
  if (freshet_model_start(starts->model, slot, start) != NULL) return true;
  return freshet_text_starts_map(starts, vector, start);
}
