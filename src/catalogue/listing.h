/*
 * listing.h: which items may be recommended now, and which of them are new.
 *
 * An item is listed while it is announced, available, not expired and not too old by the rules. The object owns
 * that state and the facets of the items (categories, attributes, ages), both by slot. It sets the flag of the
 * model that rankings look at. It reads no log and writes no store: catalogue.h tells it what Item records say.
 *
 * Thread rule: everything that takes a non-const listing is the worker's; the const calls may run in parallel
 * with each other.
 */
#ifndef FRESHET_CATALOGUE_LISTING_H
#define FRESHET_CATALOGUE_LISTING_H

#include "catalogue/owners.h"
#include "core/facets.h"
#include "core/rules.h"
#include "freshet/model.h"
#include "stream/clock.h"

typedef struct freshet_listing freshet_listing;

/* Nothing is owned; all outlive the object. What `rules` points to may change, see freshet_listing_apply_rules. */
freshet_listing* freshet_listing_create(freshet_model* model, const freshet_rules* rules,
                                        freshet_clock* clock);
void freshet_listing_destroy(freshet_listing* listing); /* NULL is allowed */

/* A valid Item record says this about the item of the slot. at_ms: the time of the record, 0: unknown. */
void freshet_listing_announce(freshet_listing* listing, uint32_t slot, const freshet_item* item,
                              int64_t at_ms);
/* A tombstone says that the item is no more. */
void freshet_listing_withdraw(freshet_listing* listing, uint32_t slot, int64_t at_ms);
/* The rules have changed: applies them to every item. */
void freshet_listing_apply_rules(freshet_listing* listing);
/* Takes expired items off the lists, and finds the new ones once a second. In every turn. */
void freshet_listing_turn(freshet_listing* listing);

const freshet_rules* freshet_listing_rules(const freshet_listing* listing);
const freshet_facets* freshet_listing_facets(const freshet_listing* listing);
/* The slots of the items that belong to the owner (freshet_owner_key) and are not shown to that user [*count]; 0
 * without rules.exclude_own, and for owner 0. Valid until an item changes. */
const uint32_t* freshet_listing_owned(const freshet_listing* listing, uint64_t owner, size_t* count);
/* Whether an item is listed, and else why not. */
typedef enum freshet_listing_state {
  FRESHET_ITEM_LISTED = 0,
  FRESHET_ITEM_UNAVAILABLE,  /* its record says available = false */
  FRESHET_ITEM_EXPIRED,      /* expires_at */
  FRESHET_ITEM_TOO_OLD,      /* rules.max_age_s */
  FRESHET_ITEM_NOT_ANNOUNCED /* `items` holds no record, or a tombstone */
} freshet_listing_state;
freshet_listing_state freshet_listing_state_of(const freshet_listing* listing, uint32_t slot);
/* Does `items` have a record of the item? */
bool freshet_listing_is_announced(const freshet_listing* listing, uint32_t slot);
/* Since when an item that is not listed is not, by its record or its expiry. In ms. */
int64_t freshet_listing_gone_ms(const freshet_listing* listing, uint32_t slot);
/* How many items are announced, whether they are listed or not. */
size_t freshet_listing_announced(const freshet_listing* listing);
/* How many items are listed now. */
size_t freshet_listing_count(const freshet_listing* listing);
/* Grows by one with each item that leaves the lists. */
uint64_t freshet_listing_delistings(const freshet_listing* listing);
/* Of the set of listed items: the same in every process that lists the same items. Never 0. */
uint64_t freshet_listing_checksum(const freshet_listing* listing);

enum { FRESHET_NEW_ITEMS_MAX = 512 };
/* The newest listed items that are new by the rules [*count], at most FRESHET_NEW_ITEMS_MAX, as of a second
 * ago. */
const uint32_t* freshet_listing_new(const freshet_listing* listing, size_t* count);

#endif
