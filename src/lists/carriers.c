/* carriers.c: see carriers.h. */
#include "lists/carriers.h"

#include <stdlib.h>
#include <string.h>

#include "core/table.h"

struct freshet_carriers {
  freshet_model* model;
  uint32_t* counts; /* [capacity] by slot */
  size_t capacity;
};

freshet_carriers* freshet_carriers_create(freshet_model* model) {
  freshet_carriers* carriers = calloc(1, sizeof *carriers);
  FRESHET_ASSERT(carriers != NULL);
  carriers->model = model;
  return carriers;
}

void freshet_carriers_destroy(freshet_carriers* carriers) {
  if (carriers == NULL) return;
  freshet_table_free(carriers->counts);
  free(carriers);
}

static uint32_t* count_of(freshet_carriers* carriers, uint32_t slot) {
  carriers->counts =
      freshet_table_reach(carriers->counts, &carriers->capacity, (size_t)slot + 1, sizeof *carriers->counts);
  return &carriers->counts[slot];
}

bool freshet_carriers_load(freshet_carriers* carriers, const freshet_user_state* state) {
  bool has_gone = false;
  for (size_t i = 0; i < state->listed_count; i++) {
    uint32_t slot;
    if (freshet_model_intern_key(carriers->model, state->listed[i], &slot, NULL) != FRESHET_OK) continue;
    ++*count_of(carriers, slot);
    has_gone = has_gone || !freshet_model_is_listed(carriers->model, slot);
  }
  return has_gone;
}

bool freshet_carriers_replace(freshet_carriers* carriers, freshet_user_row* row, const uint32_t* slots,
                              size_t count) {
  bool is_same =
      row->listed_count == count && (count == 0 || memcmp(row->listed, slots, count * sizeof *slots) == 0);
  if (is_same) return false;
  for (uint32_t i = 0; i < row->listed_count; i++) {
    uint32_t* carried = count_of(carriers, row->listed[i]);
    if (*carried > 0) --*carried;
  }
  for (size_t i = 0; i < count; i++) ++*count_of(carriers, slots[i]);
  freshet_users_set_listed(row, slots, count);
  return true;
}

size_t freshet_carriers_gone(const freshet_carriers* carriers) {
  size_t count = freshet_model_item_count(carriers->model), places = 0;
  for (uint32_t slot = 0; slot < count && slot < carriers->capacity; slot++) {
    if (carriers->counts[slot] > 0 && !freshet_model_is_listed(carriers->model, slot))
      places += carriers->counts[slot];
  }
  return places;
}
