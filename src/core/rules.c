/*
 * rules.c: what rules do to one item and to one list: the adjustment of a score, the age limit, and filling
 * the places of a list. It owns only copies of rules. Where rules come from (settings) it must not know.
 */
#include "core/rules.h"

#include <math.h>
#include <stdlib.h>

#include "core/maths.h"
#include "freshet/model.h"

static void* copy(const void* from, size_t size) {
  if (size == 0) return NULL;
  void* made = malloc(size);
  FRESHET_ASSERT(made != NULL);
  memcpy(made, from, size);
  return made;
}

freshet_rules freshet_rules_copy(const freshet_rules* rules) {
  freshet_rules made = *rules;
  made.boosts = copy(rules->boosts, rules->boost_count * sizeof *rules->boosts);
  made.pins = copy(rules->pins, rules->pin_count * sizeof *rules->pins);
  return made;
}

void freshet_rules_free(freshet_rules* rules) {
  free(rules->boosts);
  free(rules->pins);
  *rules = (freshet_rules){0};
}

float freshet_rules_adjustment(const freshet_rules* rules, const freshet_facets* facets, uint32_t slot) {
  float sum = 0;
  for (size_t i = 0; i < rules->boost_count; i++) {
    if (freshet_facets_has(facets, slot, rules->boosts[i].facet)) sum += rules->boosts[i].amount;
  }
  return sum;
}

int64_t freshet_rules_ends_ms(const freshet_rules* rules, const freshet_facets* facets, uint32_t slot) {
  int64_t created_ms = freshet_facets_created_ms(facets, slot);
  if (rules->max_age_ms == 0 || created_ms == 0) return 0;
  return created_ms > INT64_MAX - rules->max_age_ms ? INT64_MAX : created_ms + rules->max_age_ms;
}

bool freshet_rules_is_new(const freshet_rules* rules, const freshet_facets* facets, uint32_t slot,
                          int64_t now_ms) {
  int64_t created_ms = freshet_facets_created_ms(facets, slot);
  return rules->new_share > 0 && created_ms != 0 && created_ms > now_ms - rules->new_age_ms;
}

static int64_t hide_for_ms(const freshet_rules* rules, unsigned how) {
  return how <= FRESHET_PURCHASE ? rules->hide_for_ms[how] : 0;
}

static int64_t longest_rest_ms(const freshet_rules* rules) {
  int64_t longest = 0;
  for (unsigned type = 0; type <= FRESHET_PURCHASE; type++) {
    if (rules->hide_for_ms[type] > longest) longest = rules->hide_for_ms[type];
  }
  return longest;
}

/* A filter that tells quickly that an item is none of some. */
typedef struct item_filter {
  uint64_t bits[64];
} item_filter;

static uint64_t bit_of(uint32_t slot) {
  return freshet_mix64(slot) % (64 * 64);
}

static void filter_add(item_filter* filter, uint32_t slot) {
  const uint64_t bit = bit_of(slot);
  filter->bits[bit / 64] |= (uint64_t)1 << bit % 64;
}

static bool filter_has(const item_filter* filter, uint32_t slot) {
  const uint64_t bit = bit_of(slot);
  return (filter->bits[bit / 64] >> bit % 64 & 1) != 0;
}

static const freshet_habit* habit_of(const freshet_user* user, uint32_t slot) {
  for (uint32_t i = 0; i < user->habit_count; i++) {
    if (user->habits[i].item == slot) return &user->habits[i];
  }
  return NULL;
}

/* Where users choose items again, the score decides about what this user has chosen. rules: of the other items. */
static size_t list_learned(const freshet_rules* rules, const freshet_user* user, uint32_t* slots) {
  item_filter habits = {0};
  size_t count = 0;
  for (uint32_t i = 0; i < user->habit_count; i++) filter_add(&habits, user->habits[i].item);
  for (uint32_t s = 0; s < user->seen_count; s++) {
    const unsigned how = user->seen_how[s];
    const uint32_t slot = user->seen[s];
    const bool is_habit = filter_has(&habits, slot) && habit_of(user, slot) != NULL;
    if (how >= FRESHET_FEEDBACK || (freshet_rules_hides(rules, how) && !is_habit)) slots[count++] = slot;
  }
  return count;
}

static size_t list_seen(const freshet_rules* rules, const freshet_user* user, uint32_t* slots) {
  size_t count = 0;
  for (uint32_t s = 0; s < user->seen_count; s++) {
    if (freshet_rules_hides(rules, user->seen_how[s])) slots[count++] = user->seen[s];
  }
  return count;
}

/* When the user met the item last, as far as that is kept: in the history, or as a habit, in whole seconds. */
static int64_t newest_ms(const freshet_user* user, uint32_t slot) {
  const freshet_habit* habit = habit_of(user, slot);
  int64_t newest = habit == NULL ? INT64_MIN : habit->last_s * (int64_t)1000;
  for (uint32_t k = 0; k < user->recent_count; k++) {
    if (user->recent[k].item == slot && user->recent[k].time_ms > newest) newest = user->recent[k].time_ms;
  }
  return newest;
}

/* Appends what was just chosen to slots [count], which hold some of the seen items in their order. Returns how many. */
static size_t list_resting(const freshet_rules* rules, const freshet_user* user, int64_t now_ms,
                           uint32_t* slots, size_t count) {
  const int64_t longest_ms = longest_rest_ms(rules), since_ms = now_ms - longest_ms;
  item_filter young = {0};
  size_t next = 0, added = 0;
  if (longest_ms == 0) return 0;
  for (uint32_t i = 0; i < user->habit_count; i++) {
    if (user->habits[i].last_s * (int64_t)1000 > since_ms) filter_add(&young, user->habits[i].item);
  }
  for (uint32_t k = 0; k < user->recent_count; k++) {
    if (user->recent[k].time_ms > since_ms) filter_add(&young, user->recent[k].item);
  }
  for (uint32_t s = 0; s < user->seen_count; s++) {
    const uint32_t slot = user->seen[s];
    const int64_t rest_ms = hide_for_ms(rules, user->seen_how[s]);
    if (next < count && slots[next] == slot) {
      next++;
    } else if (rest_ms > 0 && filter_has(&young, slot) && newest_ms(user, slot) > now_ms - rest_ms) {
      slots[count + added++] = slot;
    }
  }
  return added;
}

size_t freshet_rules_list_hidden(const freshet_rules* given, bool repeats, const freshet_user* user,
                                 int64_t now_ms, uint32_t* slots) {
  const bool is_learned = given->hide == FRESHET_HIDE_LEARNED;
  freshet_rules effective = *given, *rules = &effective;
  if (is_learned) effective.hide = given->wants_hints ? FRESHET_HIDE_OWNED : FRESHET_HIDE_SEEN;
  size_t count = is_learned && repeats ? list_learned(rules, user, slots) : list_seen(rules, user, slots);
  return count + list_resting(rules, user, now_ms, slots, count);
}

bool freshet_rules_reorder(const freshet_rules* rules) {
  return rules->max_per_category > 0 || rules->pin_count > 0 || rules->new_share > 0;
}

/* ---- a list ---- */

/* A list that is being filled. */
typedef struct filling {
  const freshet_rules* rules;
  const freshet_facets* facets;
  const freshet_candidates* candidates;
  freshet_place* places;
  size_t filled;
  uint64_t* counted; /* [counted_count] a category for each time an item of it is in the list */
  size_t counted_count;
  size_t next;      /* of the candidates */
  size_t pool_left; /* at the front of the pool */
} filling;

static void count_categories(filling* f, uint32_t item) {
  size_t count;
  const uint64_t* keys = freshet_facets_categories(f->facets, item, &count);
  if (f->rules->max_per_category == 0) return;
  for (size_t i = 0; i < count; i++) f->counted[f->counted_count++] = keys[i];
}

static bool has_room(const filling* f, uint32_t item) {
  size_t count;
  const uint64_t* keys = freshet_facets_categories(f->facets, item, &count);
  if (f->rules->max_per_category == 0) return true;
  for (size_t i = 0; i < count; i++) {
    uint32_t times = 0;
    for (size_t c = 0; c < f->counted_count; c++) times += f->counted[c] == keys[i];
    if (times >= f->rules->max_per_category) return false;
  }
  return true;
}

/* True when the item is in the list already, or is pinned further down. */
static bool is_taken(const filling* f, uint32_t item, size_t k) {
  for (size_t i = 0; i < f->filled; i++) {
    if (f->places[i].item == item) return true;
  }
  for (size_t i = 0; i < f->rules->pin_count; i++) {
    if (f->candidates->pinned[i] == item && f->rules->pins[i].place < k) return true;
  }
  return false;
}

/* Removes items from the pool that may not be shown any more. A category that is full stays full. */
static void sift_pool(filling* f, size_t k) {
  uint32_t* pool = f->candidates->pool;
  for (size_t i = f->pool_left; i-- > 0;) {
    if (!is_taken(f, pool[i], k) && has_room(f, pool[i])) continue;
    uint32_t out = pool[i];
    pool[i] = pool[--f->pool_left];
    pool[f->pool_left] = out;
  }
}

static float score_of(const freshet_candidates* candidates, uint32_t item) {
  for (size_t i = 0; i < candidates->count; i++) {
    if (candidates->ranked[i].item == item) return candidates->ranked[i].score;
  }
  return NAN;
}

static void put(filling* f, uint32_t item, double propensity, bool is_pinned) {
  f->places[f->filled++] =
      (freshet_place){.item = item, .score = score_of(f->candidates, item), .propensity = (float)propensity};
  if (!is_pinned) count_categories(f, item);
}

static uint32_t pinned_at(const filling* f, size_t place) {
  for (size_t i = 0; i < f->rules->pin_count; i++) {
    if (f->rules->pins[i].place == place) return f->candidates->pinned[i];
  }
  return FRESHET_NO_ITEM;
}

/* Fills the next place, by chance or by score. False: no item is left that may be shown. */
static bool fill_free(filling* f, size_t k, bool* ran_out) {
  const freshet_candidates* c = f->candidates;
  const double unit = 0x1p-53; /* 53 random bits to [0, 1) */
  while (f->next < c->count &&
         (is_taken(f, c->ranked[f->next].item, k) || !has_room(f, c->ranked[f->next].item)))
    f->next++;
  sift_pool(f, k);
  bool may_draw = f->pool_left > 0, may_rank = f->next < c->count;
  if (!may_rank) *ran_out = true;
  if (!may_draw && !may_rank) return false;
  double draws = !may_draw ? 0 : !may_rank ? 1 : (double)f->rules->new_share;
  bool is_drawn = (double)(freshet_random(c->seed, 2 * f->filled) >> 11) * unit < draws;
  uint32_t best = may_rank ? c->ranked[f->next].item : FRESHET_NO_ITEM;
  uint32_t item =
      is_drawn ? c->pool[freshet_below(freshet_random(c->seed, 2 * f->filled + 1), f->pool_left)] : best;
  double chance = item == best ? 1 - draws : 0;
  for (size_t i = 0; i < f->pool_left; i++) {
    if (c->pool[i] == item) chance += draws / (double)f->pool_left;
  }
  put(f, item, chance, false);
  return true;
}

size_t freshet_rules_select(const freshet_rules* rules, const freshet_facets* facets,
                            const freshet_candidates* candidates, size_t k, freshet_place* places,
                            uint64_t* counted, bool* ran_out) {
  filling f = {.rules = rules,
               .facets = facets,
               .candidates = candidates,
               .places = places,
               .counted = counted,
               .pool_left = candidates->pool_count};
  size_t pins_left = 0;
  bool more = true;
  *ran_out = false;
  for (size_t i = 0; i < rules->pin_count; i++) {
    if (candidates->pinned[i] == FRESHET_NO_ITEM || rules->pins[i].place >= k) continue;
    count_categories(&f, candidates->pinned[i]);
    pins_left++;
  }
  for (size_t place = 0; place < k; place++) {
    uint32_t pinned = pinned_at(&f, place);
    if (pinned != FRESHET_NO_ITEM) {
      put(&f, pinned, 1, true);
      pins_left--;
    } else if (more) {
      more = fill_free(&f, k, ran_out);
    }
    if (!more && pins_left == 0) break;
  }
  return f.filled;
}
