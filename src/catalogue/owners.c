/*
 * owners.c: see owners.h. Owners are in a hash table with open addressing. An owner without items keeps its place: it
 * may get items again, and there are no more owners than items that were announced.
 */
#include "catalogue/owners.h"

#include <stdlib.h>

#include "core/facets.h"
#include "core/table.h"

typedef struct owner_items {
  uint64_t owner;  /* 0: the place is free */
  uint32_t* slots; /* [count] */
  uint32_t count, capacity;
} owner_items;

struct freshet_owners {
  owner_items* places; /* [place_count], a power of two; less than half of them are taken */
  size_t place_count, taken;
  uint64_t* by_slot; /* [slot_count] owners; 0: none */
  size_t slot_count;
};

static const char attribute[] = "owner";

uint64_t freshet_owner_key(freshet_slice user_id) {
  uint64_t key = freshet_attribute_key(freshet_slice_of(attribute), user_id);
  return key == 0 ? 1 : key;
}

uint64_t freshet_owner_of(const freshet_item* item) {
  for (size_t i = 0; item != NULL && i < item->attribute_count; i++) {
    if (freshet_slice_equal(item->attributes[i].name, freshet_slice_of(attribute)))
      return freshet_owner_key(item->attributes[i].value);
  }
  return 0;
}

freshet_owners* freshet_owners_create(void) {
  freshet_owners* owners = calloc(1, sizeof *owners);
  FRESHET_ASSERT(owners != NULL);
  return owners;
}

void freshet_owners_destroy(freshet_owners* owners) {
  if (owners == NULL) return;
  for (size_t i = 0; i < owners->place_count; i++) free(owners->places[i].slots);
  free(owners->places);
  freshet_table_free(owners->by_slot);
  free(owners);
}

/* The place of the owner, or the free place for it. There is one. */
static owner_items* place_of(const freshet_owners* owners, uint64_t owner) {
  size_t at = (size_t)owner & (owners->place_count - 1);
  while (owners->places[at].owner != 0 && owners->places[at].owner != owner)
    at = (at + 1) & (owners->place_count - 1);
  return &owners->places[at];
}

static void make_room(freshet_owners* owners) {
  if (2 * (owners->taken + 1) < owners->place_count) return;
  freshet_owners old = *owners;
  owners->place_count = old.place_count == 0 ? 64 : 2 * old.place_count;
  owners->places = calloc(owners->place_count, sizeof *owners->places);
  FRESHET_ASSERT(owners->places != NULL);
  for (size_t i = 0; i < old.place_count; i++) {
    if (old.places[i].owner != 0) *place_of(owners, old.places[i].owner) = old.places[i];
  }
  free(old.places);
}

static void add(freshet_owners* owners, uint32_t slot, uint64_t owner) {
  make_room(owners);
  owner_items* items = place_of(owners, owner);
  owners->taken += items->owner == 0;
  items->owner = owner;
  if (items->count == items->capacity) {
    items->capacity = items->capacity == 0 ? 4 : 2 * items->capacity;
    items->slots = realloc(items->slots, items->capacity * sizeof *items->slots);
    FRESHET_ASSERT(items->slots != NULL);
  }
  items->slots[items->count++] = slot;
}

static void take_out(freshet_owners* owners, uint32_t slot, uint64_t owner) {
  owner_items* items = place_of(owners, owner);
  uint32_t at = 0;
  while (items->slots[at] != slot) at++;
  items->slots[at] = items->slots[--items->count];
}

void freshet_owners_set(freshet_owners* owners, uint32_t slot, uint64_t owner) {
  if (slot >= owners->slot_count) {
    if (owner == 0) return;
    owners->by_slot =
        freshet_table_reach(owners->by_slot, &owners->slot_count, (size_t)slot + 1, sizeof *owners->by_slot);
  }
  const uint64_t before = owners->by_slot[slot];
  if (before == owner) return;
  if (before != 0) take_out(owners, slot, before);
  if (owner != 0) add(owners, slot, owner);
  owners->by_slot[slot] = owner;
}

const uint32_t* freshet_owners_slots(const freshet_owners* owners, uint64_t owner, size_t* count) {
  *count = 0;
  if (owner == 0 || owners->place_count == 0) return NULL;
  const owner_items* items = place_of(owners, owner);
  *count = items->count;
  return items->slots;
}
