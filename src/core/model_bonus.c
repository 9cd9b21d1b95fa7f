/*
 * model_bonus.c: what a user's recent items bring to the items near them, and habits to their items: the sparse
 * part of a score.
 *
 * It is a matter of memory more than of arithmetic: 20 lists that nobody has read lately, of which a thousand
 * items come out. So what is gathered lies side by side, in the order in which the items were met, and is
 * gone through again and again; only the place of an item is looked up in a table of all items.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_bonus.h"
#include "core/model_favour.h"
#include "core/model_internal.h"
#include "core/model_sessions.h"

enum { ROOM_PAD = 16 };

void freshet_model_gathering_free(gathering* g) {
  free(g->met.places);
  free(g->met.sums);
  free(g->met.agreed);
  free(g->roots);
  free(g->text_thetas);
  free(g->new_places);
  free(g->lent);
  *g = (gathering){0};
}

/* The model may have grown since the last time. */
static void fit(const freshet_model* model, gathering* g) {
  if (g->capacity >= model->count) return;
  freshet_model_gathering_free(g);
  size_t room = FRESHET_HISTORY * ((size_t)model->config.neighbours + TEXT_NEIGHBOURS) +
                FRESHET_TEXT_MATCHES + FRESHET_HABITS_MAX + FRESHET_SHOWN_MAX;
  g->capacity = model->capacity;
  if (room > g->capacity) room = g->capacity;
  room = (room / ROOM_PAD + 1) * ROOM_PAD;
  g->room = (uint32_t)room;
  g->met = (freshet_gathered){.places = calloc(g->capacity, sizeof *g->met.places),
                              .sums = (float(*)[FRESHET_SUMS])freshet_model_floats(room * FRESHET_SUMS),
                              .agreed = freshet_model_floats(room),
                              .base = 1};
  g->roots = freshet_model_floats(room);
  g->text_thetas = freshet_model_floats(room);
  g->new_places = calloc(room, sizeof *g->new_places);
  g->lent = (float(*)[FRESHET_SUMS])freshet_model_floats(room * FRESHET_SUMS);
  FRESHET_ASSERT(g->met.places != NULL && g->new_places != NULL);
}

void freshet_model_bonuses_free(bonuses* made) {
  free(made->items);
  free(made->values);
  *made = (bonuses){0};
}

static void fit_bonuses(bonuses* made, uint32_t room) {
  if (made->room >= room) return;
  freshet_model_bonuses_free(made);
  *made = (bonuses){room, calloc(room, sizeof *made->items), freshet_model_floats(room)};
  FRESHET_ASSERT(made->items != NULL);
}

static void prefetch_lists_of(const freshet_model* model, uint32_t slot) {
  const item* from = &model->items[slot];
  freshet_prefetch_list(from->near.entries, from->near.count * sizeof *from->near.entries);
  if (model->text_lists != NULL) freshet_prefetch(&model->text_lists[slot], sizeof *model->text_lists);
}

void freshet_model_prefetch_lists(const freshet_model* model, const context* c) {
  for (uint32_t k = 0; k < c->count; k++) prefetch_lists_of(model, c->items[k]);
}

/* Meets these items before all others, whether or not a list brings them anything. */
static void meet(freshet_gathered* met, const uint32_t* items, size_t count) {
  for (size_t i = 0; i < count; i++) {
    met->places[items[i]] = met->base + met->count;
    met->items[met->count++] = items[i];
  }
}

/* What the user's own dealings with items add to their scores. */
typedef struct own_items {
  uint32_t count;
  uint32_t items[FRESHET_HABITS_MAX + FRESHET_SHOWN_MAX];
  float scores[FRESHET_HABITS_MAX + FRESHET_SHOWN_MAX];
  uint32_t places[FRESHET_HABITS_MAX + FRESHET_SHOWN_MAX]; /* in `met` */
} own_items;

static void find_own(const freshet_model* model, const freshet_user* user, int64_t now_ms, own_items* own) {
  own->count = 0;
  if (user == NULL) return;
  if (freshet_model_repeats(model)) {
    for (uint32_t i = 0; i < user->habit_count; i++) own->items[i] = user->habits[i].item;
    freshet_model_habit_scores(model, user, now_ms, own->scores);
    own->count = user->habit_count;
  }
  freshet_model_shown_scores(model, user, now_ms, own->items + own->count, own->scores + own->count);
  own->count += user->shown_count;
}

/* They may have been met already. */
static void meet_own(own_items* own, freshet_gathered* met) {
  for (uint32_t i = 0; i < own->count; i++) {
    own->places[i] = met->places[own->items[i]] - met->base;
    if (own->places[i] < met->count) continue;
    own->places[i] = met->count;
    meet(met, &own->items[i], 1);
  }
}

/* Adds what context item k brings to its neighbours. */
static void add_neighbours(const freshet_model* model, const context* c, uint32_t k, freshet_gathered* met) {
  const neighbours* near = &model->items[c->items[k]].near;
  const freshet_text_list* text = freshet_model_near_text(model, c->items[k]);
  const float* a = c->feature_weight[k];
  const float weights[FRESHET_SUMS] = {a[FOLLOWS], a[TOGETHER_NOW], a[TOGETHER_BEFORE], 0};
  model->kernels->spread(near->entries, near->count, weights, c->agreed[k], &c->doubts[k], model->roots, met);
  if (text != NULL) model->kernels->spread_texts(text, a[SIMILAR_TEXT], met);
}

/* Reads what the logarithms need of each item, and finds the new items. Returns how many new items there
 * are. */
static size_t look_up(const freshet_model* model, const context* c, gathering* g) {
  const freshet_gathered* met = &g->met;
  size_t new_count = 0;
  for (size_t i = 0; i < met->count; i++) {
    const uint32_t slot = met->items[i], level = model->levels[slot];
    g->roots[i] = model->roots[slot];
    g->text_thetas[i] = c->text_theta[level];
    g->new_places[new_count] = (uint32_t)i;
    new_count += level < FRESHET_NEW_LEVELS;
  }
  return new_count;
}

/* What often follows everything is like nothing in particular. */
static void divide_by_popularity(gathering* g) {
  for (uint32_t i = 0; i < g->met.count; i++) g->met.sums[i][FOLLOWS] *= g->roots[i];
}

static void forget(gathering* g) {
  freshet_gathered* met = &g->met;
  memset(met->sums, 0, met->count * sizeof *met->sums);
  memset(met->agreed, 0, met->count * sizeof *met->agreed);
  met->base += met->count;
  met->count = 0;
  if (met->base < UINT32_MAX - g->room) return;
  memset(met->places, 0, g->capacity * sizeof *met->places);
  met->base = 1;
}

size_t freshet_model_gather(const freshet_model* model, const context* c, const uint32_t* first,
                            size_t first_count, const freshet_user* user, int64_t now_ms, gathering* g,
                            bonuses* made) {
  freshet_gathered* met = &g->met;
  own_items own;
  fit(model, g);
  fit_bonuses(made, g->room);
  met->items = made->items;
  meet(met, first, first_count);
  find_own(model, user, now_ms, &own);
  meet_own(&own, met);
  for (uint32_t k = 0; k < c->count; k++) {
    /* Asked for a second time: some have left the first-level cache before their turn. */
    if (k + 1 < c->count) prefetch_lists_of(model, c->items[k + 1]);
    add_neighbours(model, c, k, met);
  }
  const size_t count = met->count, padded = (count + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  const size_t new_count = look_up(model, c, g);
  freshet_model_favour_met(model, c, met, g->roots);
  if (c->is_similar) divide_by_popularity(g);
  freshet_model_lend(model, met, g->new_places, new_count, g->text_thetas, g->lent);
  model->kernels->bonuses((const float(*)[FRESHET_SUMS])met->sums, g->roots, c->theta, g->text_thetas,
                          made->values, padded);
  freshet_model_add_agreed(model, c, met, g->roots, made->values);
  for (uint32_t i = 0; i < own.count; i++) made->values[own.places[i]] += own.scores[i];
  forget(g);
  return count;
}
