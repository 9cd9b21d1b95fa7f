/*
 * rules.h: what a deployment wants of every list beside what has been learned, and how a list is put together
 * under it.
 *
 * Rules act in two places only.
 * What may be ranked, and with which boost, is a matter of the item alone: freshet_rules_adjustment is added
 * to its score (the ranker's item bias, so the ranking stays exact), freshet_rules_ends_ms says when it grows
 * too old; and of the user's seen items: freshet_rules_hides. The list itself is filled place by place by
 * freshet_rules_select: pinned items at their places, new items by chance, the rest by score, and no category
 * beyond its bound.
 *
 * A freshet_rules is a plain value; everything is const once it is in use, so any thread may read it.
 */
#ifndef FRESHET_CORE_RULES_H
#define FRESHET_CORE_RULES_H

#include "core/facets.h"
#include "freshet/model.h"
#include "freshet/ranker.h"

/* Which seen items are left out: all, rated or bought ones, bought ones, none. LEARNED: all while users of the
 * stream do not choose items again; else those that this user has not chosen, since the score of the others says
 * whether they are chosen again. Items that feedback hides are left out under each of these. */
typedef enum freshet_hide {
  FRESHET_HIDE_SEEN = 0,
  FRESHET_HIDE_OWNED,
  FRESHET_HIDE_BOUGHT,
  FRESHET_HIDE_NOTHING,
  FRESHET_HIDE_LEARNED
} freshet_hide;

/* A boost of the items with this category or attribute. */
typedef struct freshet_boost {
  uint64_t facet; /* freshet_category_key or freshet_attribute_key */
  float amount;   /* added to the score; negative: buried */
} freshet_boost;

typedef struct freshet_pin {
  uint64_t item_key; /* freshet_id_key */
  uint32_t place;    /* from 0 */
} freshet_pin;

typedef struct freshet_rules {
  freshet_hide hide;
  bool wants_hints; /* LEARNED hides nothing that was only clicked, since lists are for other choices */
  int64_t
      hide_for_ms[FRESHET_PURCHASE + 1]; /* by type: for so long after its event an item stays out anyway */
  uint32_t max_per_category;             /* 0: any number */
  bool exclude_own;      /* users are not shown the items whose attribute `owner` names them */
  int64_t max_age_ms;    /* 0: any age */
  float new_share;       /* share of places that go to new items by chance, 0 .. 1 */
  int64_t new_age_ms;    /* how long an item is new */
  freshet_boost* boosts; /* [boost_count] */
  size_t boost_count;
  freshet_pin* pins; /* [pin_count] by place */
  size_t pin_count;
} freshet_rules;

/* Makes a deep copy, and frees one; a freed value holds no rule. */
freshet_rules freshet_rules_copy(const freshet_rules* rules);
void freshet_rules_free(freshet_rules* rules);

/* The sum of the boosts of the item's categories and attributes. */
float freshet_rules_adjustment(const freshet_rules* rules, const freshet_facets* facets, uint32_t slot);
/* The time from which the item is too old for any list; 0: never, or its age is unknown. */
int64_t freshet_rules_ends_ms(const freshet_rules* rules, const freshet_facets* facets, uint32_t slot);
/* Whether the item is new at this time. Items of unknown age are not. */
bool freshet_rules_is_new(const freshet_rules* rules, const freshet_facets* facets, uint32_t slot,
                          int64_t now_ms);
/* Whether an item is left out that the user saw by an event of this type, and has chosen. LEARNED stands for a
 * stream with repeats here. */
static inline bool freshet_rules_hides(const freshet_rules* rules, unsigned how) {
  static const unsigned from[] = {FRESHET_CLICK, FRESHET_RATING, FRESHET_PURCHASE, FRESHET_FEEDBACK,
                                  FRESHET_FEEDBACK};
  return how >= from[rules->hide];
}

/* The user's seen items that are in no list at now_ms, into slots [seen_count], each once: those that `hide` leaves
 * out, and those of the history or the habits whose newest event is younger than hide_for_ms of the type they were
 * seen by. repeats: freshet_model_repeats. Returns how many. */
size_t freshet_rules_list_hidden(const freshet_rules* rules, bool repeats, const freshet_user* user,
                                 int64_t now_ms, uint32_t* slots);

/* Whether the rules can change the list of the best k by score. False: freshet_rules_select need not be
 * called. */
bool freshet_rules_reorder(const freshet_rules* rules);

/* A place of a list. */
typedef struct freshet_place {
  uint32_t item;    /* slot */
  float score;      /* NaN: the item is not a candidate, and the caller has to compute its score */
  float propensity; /* the chance that this item had for this place, given the places before it; 1: certain */
} freshet_place;

typedef struct freshet_candidates {
  const freshet_ranked* ranked; /* [count] best first, each at most once */
  size_t count;
  const uint32_t* pinned; /* [rules->pin_count] slots, FRESHET_NO_ITEM where an item may not be shown */
  uint32_t* pool;         /* [pool_count] new items that may be shown, each once; reordered */
  size_t pool_count;
  uint64_t seed; /* of chance: the same seed makes the same list */
} freshet_candidates;

/*
 * Fills up to k places of the list, one after the other:
 * - with the item pinned there (before any bound: who pins wants to see it);
 * - else, with probability new_share, with an item drawn evenly from what is left of the pool;
 * - else with the best candidate that is left.
 * No item comes twice, and none that would be the (max_per_category + 1)-th of one of its categories; pinned
 * items further down count from the beginning. When candidates run out, the pool fills the rest, and the
 * other way round. Returns how many places were filled, without gaps: fewer than k only when nothing is left
 * that may come. *ran_out: a place went without a candidate, so more of them could have helped. counted [k *
 * FRESHET_CATEGORIES_MAX]: scratch.
 */
size_t freshet_rules_select(const freshet_rules* rules, const freshet_facets* facets,
                            const freshet_candidates* candidates, size_t k, freshet_place* places,
                            uint64_t* counted, bool* ran_out);

#endif
