/*
 * owners.h: which items belong to which user, by the attribute `owner` of the items. It owns a table from owner to
 * slots, and 8 bytes for each slot once an item has an owner. Whether owners see their own items it must not know
 * (rules.exclude_own).
 *
 * Thread rule: as for a model: set needs exclusive access, the rest may run in parallel.
 */
#ifndef FRESHET_CATALOGUE_OWNERS_H
#define FRESHET_CATALOGUE_OWNERS_H

#include "freshet/event.h"

/* The key of a user as the owner of items; never 0. */
uint64_t freshet_owner_key(freshet_slice user_id);
/* The key of the item's owner; 0: it has none. item may be NULL. */
uint64_t freshet_owner_of(const freshet_item* item);

typedef struct freshet_owners freshet_owners;

freshet_owners* freshet_owners_create(void);
void freshet_owners_destroy(freshet_owners* owners); /* NULL is allowed */

/* The item of the slot belongs to this owner from now on; 0: to none. */
void freshet_owners_set(freshet_owners* owners, uint32_t slot, uint64_t owner);
/* The slots of an owner's items [*count], in no order. They are valid until the next set. */
const uint32_t* freshet_owners_slots(const freshet_owners* owners, uint64_t owner, size_t* count);

#endif
