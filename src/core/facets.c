/*
 * facets.c: categories, attributes and creation times of items, as 64-bit keys in one growing array. It owns
 * that array. What rules and filters do with them it must not know.
 */
#include "core/facets.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/table.h"

typedef struct facet_list {
  int64_t created_ms;
  uint64_t* keys; /* [category_count + attribute_count] categories first; NULL when there are none */
  uint8_t category_count, attribute_count;
} facet_list;

struct freshet_facets {
  facet_list* lists; /* [capacity] by slot */
  size_t capacity;
  size_t key_count;
};

uint64_t freshet_category_key(freshet_slice category) {
  return freshet_id_key(category);
}

/* The value is hashed under the name's hash, so that no separator can be part of either. */
uint64_t freshet_attribute_key(freshet_slice name, freshet_slice value) {
  uint64_t seed = XXH3_64bits_withSeed(name.data, name.size, 1);
  return XXH3_64bits_withSeed(value.data, value.size, seed);
}

freshet_facets* freshet_facets_create(void) {
  freshet_facets* facets = calloc(1, sizeof *facets);
  FRESHET_ASSERT(facets != NULL);
  return facets;
}

void freshet_facets_destroy(freshet_facets* facets) {
  if (facets == NULL) return;
  for (size_t slot = 0; slot < facets->capacity; slot++) free(facets->lists[slot].keys);
  freshet_table_free(facets->lists);
  free(facets);
}

size_t freshet_facets_memory(const freshet_facets* facets) {
  return sizeof *facets + facets->capacity * sizeof *facets->lists +
         facets->key_count * sizeof *facets->lists->keys;
}

/* Adds a key unless it is there already. Returns how many keys there are now. */
static uint8_t add(uint64_t* keys, uint8_t count, uint64_t key) {
  for (uint8_t i = 0; i < count; i++) {
    if (keys[i] == key) return count;
  }
  keys[count] = key;
  return count + 1;
}

void freshet_facets_set(freshet_facets* facets, uint32_t slot, const freshet_item* item) {
  if (item == NULL && slot >= facets->capacity) return;
  facets->lists =
      freshet_table_reach(facets->lists, &facets->capacity, (size_t)slot + 1, sizeof *facets->lists);
  facet_list* list = &facets->lists[slot];
  facets->key_count -= (size_t)list->category_count + list->attribute_count;
  free(list->keys);
  *list = (facet_list){0};
  if (item == NULL) return;
  FRESHET_ASSERT(item->category_count <= FRESHET_CATEGORIES_MAX &&
                 item->attribute_count <= FRESHET_ATTRIBUTES_MAX);
  list->created_ms = item->created_at_ms;
  uint64_t keys[FRESHET_CATEGORIES_MAX + FRESHET_ATTRIBUTES_MAX];
  for (size_t i = 0; i < item->category_count; i++)
    list->category_count = add(keys, list->category_count, freshet_category_key(item->categories[i]));
  for (size_t i = 0; i < item->attribute_count; i++) {
    const freshet_attribute* a = &item->attributes[i];
    list->attribute_count =
        add(keys + list->category_count, list->attribute_count, freshet_attribute_key(a->name, a->value));
  }
  size_t count = (size_t)list->category_count + list->attribute_count;
  if (count == 0) return;
  list->keys = malloc(count * sizeof *list->keys);
  FRESHET_ASSERT(list->keys != NULL);
  memcpy(list->keys, keys, count * sizeof *list->keys);
  facets->key_count += count;
}

const uint64_t* freshet_facets_categories(const freshet_facets* facets, uint32_t slot, size_t* count) {
  bool known = slot < facets->capacity;
  *count = known ? facets->lists[slot].category_count : 0;
  return known ? facets->lists[slot].keys : NULL;
}

bool freshet_facets_has(const freshet_facets* facets, uint32_t slot, uint64_t key) {
  if (slot >= facets->capacity) return false;
  const facet_list* list = &facets->lists[slot];
  size_t count = (size_t)list->category_count + list->attribute_count;
  for (size_t i = 0; i < count; i++) {
    if (list->keys[i] == key) return true;
  }
  return false;
}

int64_t freshet_facets_created_ms(const freshet_facets* facets, uint32_t slot) {
  return slot < facets->capacity ? facets->lists[slot].created_ms : 0;
}
