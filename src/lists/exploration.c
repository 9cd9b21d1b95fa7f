/* exploration.c: see exploration.h. */
#include "lists/exploration.h"

#include <string.h>

#include "core/maths.h"
#include "lists/filter.h"

/* Items with less weight of events than this are explored. */
static const float little_known = 5;

static void clear_bits(uint64_t* bits, size_t slots, const uint32_t* which, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (which[i] < slots) bits[which[i] / 64] &= ~((uint64_t)1 << which[i] % 64);
  }
}

void freshet_exploration_prepare(freshet_exploration* exploration, const freshet_request* request,
                                 freshet_arena* arena, freshet_ranking_task* task) {
  const freshet_model* model = freshet_items_model(exploration->items);
  size_t slots = freshet_model_item_count(model), size = (slots / 64 + 1) * sizeof(uint64_t);
  uint64_t* bits = freshet_arena_take(arena, size);
  freshet_slice id = request->request_id;
  if (task->allowed != NULL) {
    memcpy(bits, task->allowed, size);
  } else {
    freshet_filter_items(exploration->items, &(freshet_request){0}, task->time_ms, bits);
  }
  clear_bits(bits, slots, task->excluded, task->excluded_count);
  clear_bits(bits, slots, task->user->seen, task->user->seen_count);
  size_t owned_count = 0;
  const uint32_t* owned =
      freshet_listing_owned(freshet_items_listing(exploration->items), task->owner, &owned_count);
  clear_bits(bits, slots, owned, owned_count);
  task->pool = freshet_arena_take(arena, (slots + 1) * sizeof *task->pool);
  for (uint32_t slot = 0; slot < slots; slot++) {
    bool is_allowed = (bits[slot / 64] >> slot % 64 & 1) != 0;
    if (is_allowed && freshet_model_item_weight(model, slot) < little_known)
      task->pool[task->pool_count++] = slot;
  }
  task->exploration = request->exploration;
  task->seed = id.size > 0 ? freshet_id_key(id)
                           : freshet_random((uint64_t)freshet_clock_monotonic_us(exploration->clock),
                                            exploration->draws++);
}
