/*
 * facets.h: what rules and filters may ask about an item: its categories, its attributes, since when it is on
 * offer. Names are kept as 64-bit keys (XXH3), as ids are in state: 8 bytes each, however long the name and
 * however many different ones there are.
 *
 * Thread rule: as for a model: set needs exclusive access, the rest may run in parallel.
 */
#ifndef FRESHET_CORE_FACETS_H
#define FRESHET_CORE_FACETS_H

#include "freshet/event.h"

/* The 64-bit key of a category, and of an attribute with a value. */
uint64_t freshet_category_key(freshet_slice category);
uint64_t freshet_attribute_key(freshet_slice name, freshet_slice value);

typedef struct freshet_facets freshet_facets;

freshet_facets* freshet_facets_create(void);
void freshet_facets_destroy(freshet_facets* facets);
size_t freshet_facets_memory(const freshet_facets* facets);

/* Sets what the item says about itself. NULL: nothing is known about it any more. item must be valid
 * (freshet_item_validate). */
void freshet_facets_set(freshet_facets* facets, uint32_t slot, const freshet_item* item);

/* The keys of the item's categories [*count], without duplicates. They are valid until the slot is set
 * again. */
const uint64_t* freshet_facets_categories(const freshet_facets* facets, uint32_t slot, size_t* count);
/* Whether the item has this category, or this attribute. */
bool freshet_facets_has(const freshet_facets* facets, uint32_t slot, uint64_t key);
/* When the item was created, in ms since the Unix epoch; 0: unknown. */
int64_t freshet_facets_created_ms(const freshet_facets* facets, uint32_t slot);

#endif
