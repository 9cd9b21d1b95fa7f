/* newest.c: see newest.h. One pass over all items with a heap, the oldest of those found at its root. */
#include "lists/newest.h"

#include <math.h>

typedef struct found {
  int64_t created_ms;
  uint32_t slot;
} found;

static bool is_older(const found* a, const found* b) {
  return a->created_ms != b->created_ms ? a->created_ms < b->created_ms : a->slot > b->slot;
}

static void sift_down(found* heap, size_t count, size_t at) {
  for (;;) {
    size_t oldest = at;
    for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++) {
      if (is_older(&heap[child], &heap[oldest])) oldest = child;
    }
    if (oldest == at) return;
    const found moved = heap[at];
    heap[at] = heap[oldest];
    heap[oldest] = moved;
    at = oldest;
  }
}

static size_t enter(found* heap, size_t count, const found* item) {
  if (count < FRESHET_RANK_K_MAX) {
    heap[count++] = *item;
    if (count < FRESHET_RANK_K_MAX) return count;
    for (size_t at = count / 2; at-- > 0;) sift_down(heap, count, at);
  } else if (is_older(&heap[0], item)) {
    heap[0] = *item;
    sift_down(heap, count, 0);
  }
  return count;
}

static float score_of(int64_t created_ms, int64_t now_ms) {
  const double most_ms = 100 * 365.25 * 86400e3;
  const int64_t age_ms = now_ms - created_ms;
  const double ratio = most_ms / (double)(age_ms > 1000 ? age_ms : 1000);
  return ratio > 1 ? (float)log(ratio) : 0;
}

size_t freshet_newest_prepare(const freshet_items* items, freshet_arena* arena, freshet_ranking_task* task) {
  const freshet_model* model = freshet_items_model(items);
  const freshet_facets* facets = freshet_listing_facets(freshet_items_listing(items));
  const size_t slots = freshet_model_item_count(model), words = slots / 64 + 1;
  found* heap = freshet_arena_take(arena, FRESHET_RANK_K_MAX * sizeof *heap);
  size_t count = 0;
  for (uint32_t slot = 0; slot < slots; slot++) {
    const bool passes = task->allowed == NULL || (task->allowed[slot / 64] >> slot % 64 & 1) != 0;
    const found item = {freshet_facets_created_ms(facets, slot), slot};
    if (passes && item.created_ms != 0 && freshet_model_is_listed(model, slot))
      count = enter(heap, count, &item);
  }
  uint64_t* allowed = freshet_arena_take_zero(arena, words * sizeof *allowed);
  uint32_t* bonus_items = freshet_arena_take(arena, (count + 1) * sizeof *bonus_items);
  float* bonus = freshet_arena_take(arena, (count + 1) * sizeof *bonus);
  for (size_t i = 0; i < count; i++) {
    bonus_items[i] = heap[i].slot;
    bonus[i] = score_of(heap[i].created_ms, task->time_ms);
    allowed[heap[i].slot / 64] |= (uint64_t)1 << heap[i].slot % 64;
  }
  task->allowed = allowed;
  task->allowed_slots = slots;
  task->bonus_items = bonus_items;
  task->bonus = bonus;
  task->bonus_count = count;
  return count;
}
