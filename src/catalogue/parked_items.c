/*
 * parked_items.c: see parked_items.h. A table of keys with open addressing: keys are hashes already, and none is ever
 * taken out.
 */
#include "catalogue/parked_items.h"

#include <stdlib.h>

enum { FIRST_PLACES = 256 }; /* a power of two, as all sizes */

struct freshet_parked_items {
  freshet_store* store;
  uint64_t* keys;   /* [places], 0: free */
  bool* is_written; /* [places] a checkpoint of this process holds the row */
  size_t places, count;
  freshet_status failed;
  freshet_error failure;
};

static void make_places(freshet_parked_items* parked, size_t places) {
  parked->places = places;
  parked->keys = calloc(places, sizeof *parked->keys);
  parked->is_written = calloc(places, sizeof *parked->is_written);
  FRESHET_ASSERT(parked->keys != NULL && parked->is_written != NULL);
}

freshet_parked_items* freshet_parked_items_create(freshet_store* store) {
  freshet_parked_items* parked = calloc(1, sizeof *parked);
  FRESHET_ASSERT(parked != NULL);
  parked->store = store;
  make_places(parked, FIRST_PLACES);
  return parked;
}

void freshet_parked_items_destroy(freshet_parked_items* parked) {
  if (parked == NULL) return;
  free(parked->keys);
  free(parked->is_written);
  free(parked);
}

/* Where the key is, or where it goes. */
static size_t place_of(const freshet_parked_items* parked, uint64_t key) {
  size_t at = key & (parked->places - 1);
  while (parked->keys[at] != 0 && parked->keys[at] != key) at = (at + 1) & (parked->places - 1);
  return at;
}

static void grow(freshet_parked_items* parked) {
  const freshet_parked_items old = *parked;
  make_places(parked, old.places * 2);
  for (size_t i = 0; i < old.places; i++) {
    if (old.keys[i] == 0) continue;
    const size_t at = place_of(parked, old.keys[i]);
    parked->keys[at] = old.keys[i];
    parked->is_written[at] = old.is_written[i];
  }
  free(old.keys);
  free(old.is_written);
}

void freshet_parked_items_add(freshet_parked_items* parked, uint64_t key) {
  FRESHET_ASSERT(key != 0);
  if (2 * (parked->count + 1) > parked->places) grow(parked);
  const size_t at = place_of(parked, key);
  parked->count += parked->keys[at] == 0;
  parked->keys[at] = key;
}

size_t freshet_parked_items_count(const freshet_parked_items* parked) {
  return parked->count;
}

freshet_status freshet_parked_items_row(freshet_parked_items* parked, uint64_t key, freshet_buffer* out,
                                        freshet_error* error) {
  return freshet_store_get(parked->store, FRESHET_FAMILY_ITEMS, 0,
                           (freshet_slice){(const char*)&key, sizeof key}, out, error);
}

static bool holds(void* context, uint64_t key) {
  const freshet_parked_items* parked = context;
  return parked->keys[place_of(parked, key)] == key;
}

static bool fetch(void* context, uint64_t key, freshet_buffer* out) {
  freshet_parked_items* parked = context;
  freshet_error cause = {0};
  const freshet_status status = freshet_parked_items_row(parked, key, out, &cause);
  if (status == FRESHET_OK) return true;
  if (parked->failed == FRESHET_OK) {
    parked->failed = status;
    freshet_error_set(&parked->failure, status, FRESHET_STOP, "the learned state of an item: %s",
                      cause.message);
  }
  return false;
}

freshet_model_parked freshet_parked_items_for_model(freshet_parked_items* parked) {
  return (freshet_model_parked){.context = parked, .holds = holds, .fetch = fetch};
}

freshet_status freshet_parked_items_failure(const freshet_parked_items* parked, freshet_error* error) {
  if (parked->failed != FRESHET_OK && error != NULL) *error = parked->failure;
  return parked->failed;
}

freshet_status freshet_parked_items_unwritten(freshet_parked_items* parked, size_t* from, size_t most,
                                              freshet_parked_items_visit visit, void* context, bool* is_all,
                                              freshet_error* error) {
  freshet_status status = FRESHET_OK;
  size_t visited = 0;
  for (; status == FRESHET_OK && *from < parked->places && visited < most; ++*from) {
    if (parked->keys[*from] == 0 || parked->is_written[*from]) continue;
    status = visit(context, parked->keys[*from], &parked->is_written[*from], error);
    visited++;
  }
  *is_all = *from == parked->places;
  return status;
}
