/*
 * newest.h: the newest items on offer, as candidates of a NEWEST list. A function without state. Which of them a user
 * may see, and in which order rules put them, is not looked at here.
 */
#ifndef FRESHET_LISTS_NEWEST_H
#define FRESHET_LISTS_NEWEST_H

#include "catalogue/items.h"
#include "codec/arena.h"
#include "lists/ranking.h"

/* Finds the (at most FRESHET_RANK_K_MAX) newest of the listed items that task->allowed lets through, if it is set. They
 * become task->bonus_items with their scores, and task->allowed lets nothing else through. Items without created_at are
 * not among them. Looks at every item. All arrays lie in the arena. Returns how many there are.
 *
 * The score is the logarithm of 100 years over the item's age, which is at least a second: a boost by 2 makes an item
 * count as half as old. */
size_t freshet_newest_prepare(const freshet_items* items, freshet_arena* arena, freshet_ranking_task* task);

#endif
