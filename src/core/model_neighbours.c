/*
 * model_neighbours.c: what is chosen together, as bounded lists.
 *
 * An entry of item i's list says of item j how much it followed i or came with it: cf (order matters, short
 * memory) and cs. When a list is full, a newcomer of weight w meets the smallest entry, of weight s: if s <=
 * w it takes the place, without inheriting the count; else the smallest is scaled by (s - w) / s. Inheriting,
 * as Space-Saving does (Metwally et al., 2005), overrates newcomers: it costs .007 to .022 of recall@10.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"

enum { FIRST_ENTRIES = 16 };

static size_t block_bytes(uint32_t capacity) {
  return ((size_t)capacity * 3 * sizeof(uint32_t) + 63) / 64 * 64;
}

/* One block: items, follows, together; each padded to whole blocks of lanes. */
void freshet_model_neighbours_reserve(freshet_model* model, neighbours* near, uint32_t count) {
  if (count <= near->capacity) return;
  uint32_t limit = (model->config.neighbours + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  uint32_t capacity = near->capacity == 0 ? FIRST_ENTRIES : near->capacity;
  while (capacity < count) capacity *= 2;
  if (capacity > limit) capacity = limit;
  FRESHET_ASSERT(count <= capacity);
  uint32_t* block = aligned_alloc(64, block_bytes(capacity));
  FRESHET_ASSERT(block != NULL);
  memset(block, 0, block_bytes(capacity));
  neighbours grown = *near;
  grown.items = block;
  grown.follows = (float*)(void*)(block + capacity);
  grown.together = (float*)(void*)(block + 2 * (size_t)capacity);
  grown.capacity = (uint16_t)capacity;
  if (near->count > 0) {
    memcpy(grown.items, near->items, near->count * sizeof(uint32_t));
    memcpy(grown.follows, near->follows, near->count * sizeof(float));
    memcpy(grown.together, near->together, near->count * sizeof(float));
  }
  model->owned_bytes += block_bytes(capacity) - (near->capacity == 0 ? 0 : block_bytes(near->capacity));
  free(near->items);
  *near = grown;
}

void freshet_model_neighbours_free(neighbours* near) {
  free(near->items);
  *near = (neighbours){.smallest = UNKNOWN_SMALLEST};
}

static void set_entry(neighbours* near, size_t at, uint32_t other, float follows, float together) {
  near->items[at] = other;
  near->follows[at] = follows;
  near->together[at] = together;
}

/* The list is full and does not know `other`. */
static void challenge(const freshet_model* model, neighbours* near, uint32_t other, float follows,
                      float together) {
  if (near->smallest == UNKNOWN_SMALLEST) {
    near->smallest = (uint16_t)model->kernels->smallest(near->follows, near->together, near->count);
  }
  size_t at = near->smallest;
  float weight = follows + together;
  float least = near->follows[at] + near->together[at];
  if (least <= weight) {
    set_entry(near, at, other, follows, together);
    near->smallest = UNKNOWN_SMALLEST;
  } else {
    float kept = (least - weight) / least;
    near->follows[at] *= kept;
    near->together[at] *= kept;
  }
}

void freshet_model_neighbours_add(freshet_model* model, uint32_t slot, uint32_t other, size_t at,
                                  float follows, float together) {
  neighbours* near = &model->items[slot].near;
  if (at == UNKNOWN_PLACE) at = model->kernels->find(near->items, near->count, other);
  if (at < near->count) {
    near->follows[at] += follows;
    near->together[at] += together;
    if (at == near->smallest) near->smallest = UNKNOWN_SMALLEST;
  } else if (near->count < model->config.neighbours) {
    freshet_model_neighbours_reserve(model, near, near->count + 1U);
    set_entry(near, near->count++, other, follows, together);
    near->smallest = UNKNOWN_SMALLEST;
  } else {
    challenge(model, near, other, follows, together);
  }
}
