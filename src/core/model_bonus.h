/*
 * model_bonus.h: the items that are near a user's recent items, and what each gets added to its score; what new items
 * borrow for that from items with similar texts. It owns the scratch of a query. Private to src/core.
 */
#ifndef FRESHET_CORE_MODEL_BONUS_H
#define FRESHET_CORE_MODEL_BONUS_H

#include "core/model_internal.h"

/* ---- model_bonus.c ---- */
/* What a query keeps: the items that have a bonus, and how much. All 0 to begin with. */
typedef struct bonuses {
  uint32_t room;
  uint32_t* items; /* [room] */
  float* values;   /* [room] */
} bonuses;
void freshet_model_bonuses_free(bonuses* made);

/* Scratch while the bonuses of a query are made: several queries, one after the other, use the same, which then stays in
 * the cache. All 0 to begin with. */
typedef struct gathering {
  freshet_gathered met;
  uint32_t capacity;           /* number of slots for which `met` has places */
  uint32_t room;               /* room for as many items as can be met, and padding */
  float* roots;                /* [room] 1 / sqrt(N + 1) of those met */
  float* text_thetas;          /* [room] weight of similar text */
  uint32_t* new_places;        /* [room] places of those that are new */
  float (*lent)[FRESHET_SUMS]; /* [room] what they borrow */
} gathering;
void freshet_model_gathering_free(gathering* g);
/* Prefetches the lists of a user: about 20 KB that are seldom in the cache. */
void freshet_model_prefetch_lists(const freshet_model* model, const context* c);
/* Computes the bonus of every item that is near the context, into *made. The items
 * `first` come before the others, whether they are near or not; then come the user's habits. A bonus is negative
 * where the item is not chosen again so soon. Returns how many items there are. */
size_t freshet_model_gather(const freshet_model* model, const context* c, const uint32_t* first,
                            size_t first_count, const freshet_user* user, int64_t now_ms, gathering* g,
                            bonuses* made);

/* ---- model_lenders.c ---- */
enum { FRESHET_NEW_LEVELS = 4 }; /* items with a level below this are new: they have under 6 events */
static inline bool freshet_model_has_any(const float sums[BONUS_FEATURES]) {
  return sums[FOLLOWS] + sums[TOGETHER_NOW] + sums[TOGETHER_BEFORE] + sums[SIMILAR_TEXT] > 0;
}
/* Adds to the sums of new items what they borrow. new_places: the places of new items in met; text_thetas
 * [met]: how far texts are trusted for each item met; lent [new_count]: scratch. */
void freshet_model_lend(const freshet_model* model, freshet_gathered* met, const uint32_t* new_places,
                        size_t new_count, const float* text_thetas, float (*lent)[FRESHET_SUMS]);
/* Finds the items from which slot borrows co-occurrence, each with its weight. The weights sum to at most the
 * share: theta4 + tau[B(N)]. roots: 1 / sqrt(N + 1). */
typedef struct lenders {
  uint32_t count;
  uint32_t items[TEXT_NEIGHBOURS];
  float weights[TEXT_NEIGHBOURS];
  float roots[TEXT_NEIGHBOURS];
} lenders;
bool freshet_model_may_borrow(const freshet_model* model, uint32_t slot);
void freshet_model_find_lenders(const freshet_model* model, uint32_t slot, float share, lenders* found);

#endif
