/*
 * Bytes of an item delta, of a stored item and of stored globals, from anybody. The first byte says what the
 * rest is; a delta is cut into its four slices by three lengths. Whatever they are, they are refused or give
 * a model that still learns and stays finite.
 */
#include <math.h>
#include <stdlib.h>

#include "freshet/model.h"

enum { ITEMS = 8, DIM = 16 };

static freshet_model* make_model(void) {
  freshet_model_config config = freshet_model_defaults();
  freshet_model* model = NULL;
  config.dim = DIM;
  config.neighbours = 4;
  config.negatives = 4;
  config.max_items = 64;
  FRESHET_ASSERT(freshet_model_create(&config, &model, NULL) == FRESHET_OK);
  for (uint64_t key = 1; key <= ITEMS; key++) {
    uint32_t slot;
    FRESHET_ASSERT(freshet_model_intern_key(model, key << 60 | key, &slot, NULL) == FRESHET_OK);
  }
  return model;
}

static freshet_slice cut(freshet_slice* bytes, size_t size) {
  if (size > bytes->size) size = bytes->size;
  freshet_slice head = {bytes->data, size};
  bytes->data += size;
  bytes->size -= size;
  return head;
}

static size_t length(freshet_slice* bytes) {
  freshet_slice two = cut(bytes, 2);
  return two.size < 2 ? 0 : (size_t)(uint8_t)two.data[0] | (size_t)(uint8_t)two.data[1] << 8;
}

static void fold(freshet_model* model, freshet_slice bytes) {
  freshet_model_delta delta = {.events = length(&bytes)};
  size_t items = length(&bytes), values = length(&bytes), trace = length(&bytes);
  delta.items = cut(&bytes, items);
  delta.values = cut(&bytes, values);
  delta.trace = cut(&bytes, trace);
  delta.globals = bytes;
  freshet_model_fold(model, &delta, 5, NULL);
}

static void still_works(freshet_model* model) {
  float scores[64];
  freshet_user* user = freshet_user_create(model);
  for (uint32_t i = 0; i < 12; i++) {
    freshet_observation seen = {i % ITEMS, i % 4 != 3, 1, 1, 1000 * i, 0, false};
    freshet_model_learn(model, user, &seen, NULL);
  }
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  freshet_rank_query query = {0};
  freshet_model_sync_ranker(model, NULL, NULL);
  freshet_model_query(model, user, 20000, scratch, &query);
  freshet_model_score_all(model, &query, scores);
  for (size_t i = 0; i < freshet_model_item_count(model); i++) FRESHET_ASSERT(isfinite(scores[i]));
  freshet_model_scratch_destroy(scratch);
  freshet_user_destroy(user);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  freshet_model* model = make_model();
  freshet_slice bytes = {(const char*)data + 1, size - 1};
  if (data[0] % 3 == 0) {
    fold(model, bytes);
  } else if (data[0] % 3 == 1) {
    freshet_model_read_item(model, 3, bytes, NULL);
  } else {
    freshet_model_read_globals(model, bytes, NULL);
  }
  still_works(model);
  freshet_model_destroy(model);
  return 0;
}
