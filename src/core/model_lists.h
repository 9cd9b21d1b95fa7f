/*
 * model_lists.h: the list of neighbours of an item: what is chosen together with it. model_neighbours.c says how lists
 * fade. Private to the model.
 */
#ifndef FRESHET_CORE_MODEL_LISTS_H
#define FRESHET_CORE_MODEL_LISTS_H

#include "core/model_kernels.h"

/* Co-occurrence of one item with others. Blocks of capacity entries, grown by doubling up to a limit that
 * rises with the steps. */
typedef struct neighbours {
  freshet_tags* tags;         /* of the entries; the block's start */
  freshet_neighbour* entries; /* [capacity], behind the tags */
  uint16_t count, capacity;
  uint16_t smallest; /* index of the entry that goes next, or UNKNOWN_SMALLEST */
  float next;        /* smallest known: the others are not below */
  uint32_t steps;    /* the list's clock: users' steps to its item and from it */
  float held;        /* as many of these as the counts hold: they fade */
} neighbours;

enum { UNKNOWN_SMALLEST = 0xffff };
enum { PAIR_STEPS_MAX = 1 << 30 }; /* where the clock of a list stays */
#define UNKNOWN_PLACE SIZE_MAX
#define NO_PLACE (SIZE_MAX - 1)

/* `at`: the place of `other` in the list of `slot`; the list's count or NO_PLACE when it is not in the list;
 * UNKNOWN_PLACE when that is not known. times: an entry that is there grows by so many times; a new one starts
 * with one time, since a list that is full would otherwise lose entries to a lucky draw. */
void freshet_model_neighbours_add(freshet_model* model, uint32_t slot, uint32_t other, size_t at,
                                  float follows, float together, uint32_t times);
/* Puts an entry of a stored list into the list, which does not hold the item. Of more than model.neighbours entries the
 * heaviest stay. Which ones of equal weight stay follows from the order of the calls. */
void freshet_model_neighbours_put(freshet_model* model, uint32_t slot, const freshet_neighbour* entry);
/* A user went to the list's item, or from it to another one: call it before the pair is added. Counts fade from time to
 * time. Only the pair with the newest item of the context (place 0) counts as a step. If this is the chosen item itself,
 * which somebody takes twice in a row, no list ticks, though its pairs with older items are added. stride: the list hears one
 * of 2^stride steps, so this one moves the clock by so many. The counts hold one. */
void freshet_model_neighbours_tick(neighbours* near, unsigned stride);
/* What counts of the list are multiplied by to be compared with N, at least 1. */
float freshet_model_neighbours_scale(const neighbours* near);
/* The list comes from a version without a clock: sets the clock, and fades its counts by as much. Of the steps, those count
 * at most that the list has counts for. */
void freshet_model_neighbours_age(neighbours* near, uint32_t steps);
void freshet_model_neighbours_reserve(freshet_model* model, neighbours* near, uint32_t count);
void freshet_model_neighbours_free(neighbours* near);

#endif
