/*
 * model_lenders.c: what a new item borrows.
 *
 * Nobody knows yet what a new item is chosen with, but often what items with a text like its own are chosen
 * with. Their co-occurrence with the user's recent items counts for it: the mean over its lenders, weighed by
 * likeness of text, times theta4 + tau[B(N)]: how far the blend has learned to trust texts for items as new
 * as this one. (A fixed share of 2 costs .003 of recall@10 on a catalogue whose texts say little, and no
 * share is the best there.) An item that has been chosen once lends already, and may borrow as well: to ask
 * more of lenders (6 events) costs new items of retail .02. Only in ranking: the blend learns from what items
 * have of their own.
 */
#include <string.h>

#include "core/model_bonus.h"
#include "core/model_internal.h"

/* in the sum of likenesses, stands for an item that lends nothing: without close texts there is little to
 * borrow */
static const float lent_doubt = .1F;

bool freshet_model_may_borrow(const freshet_model* model, uint32_t slot) {
  return model->levels[slot] < FRESHET_NEW_LEVELS && model->text_lists != NULL;
}

void freshet_model_find_lenders(const freshet_model* model, uint32_t slot, float share, lenders* found) {
  const freshet_text_list* near = &model->text_lists[slot];
  float total = lent_doubt;
  found->count = 0;
  for (uint32_t e = 0; e < near->count; e++) {
    const uint32_t lender = near->items[e];
    const float likeness = freshet_text_likeness(near, e);
    if (model->levels[lender] == 0) continue;
    found->items[found->count] = lender;
    found->weights[found->count] = likeness;
    found->roots[found->count++] = model->roots[lender];
    total += likeness;
  }
  for (uint32_t l = 0; l < found->count; l++) found->weights[l] *= share / total;
}

/* Finds the items of `near` that have been met, as entries of it. It has no branches, because which items were met is hard
 * to predict. */
static size_t find_met(const freshet_text_list* near, const freshet_gathered* met, uint8_t* entries) {
  const uint32_t *places = met->places, base = met->base, met_count = met->count;
  size_t count = 0;
  for (uint32_t e = 0; e < near->count; e++) {
    entries[count] = (uint8_t)e;
    count += places[near->items[e]] - base < met_count;
  }
  return count;
}

/* What the likenesses of `near` are divided by. */
static float sum_of_known(const freshet_model* model, const freshet_text_list* near) {
  float sum = lent_doubt;
  for (uint32_t e = 0; e < near->count; e++)
    sum += freshet_text_likeness(near, e) * (float)(model->levels[near->items[e]] > 0);
  return sum;
}

/* Adds what the item at `place` borrows, as sums of its own. An item that has gathered nothing lends
 * nothing. */
static void borrow(const freshet_model* model, const freshet_gathered* met, uint32_t place, float theta,
                   float lent[FRESHET_SUMS]) {
  const uint32_t slot = met->items[place];
  const freshet_text_list* near = &model->text_lists[slot];
  uint8_t entries[TEXT_NEIGHBOURS + 1];
  float follows = 0, now = 0, before = 0;
  memset(lent, 0, FRESHET_SUMS * sizeof *lent);
  if (near->count == 0 || !freshet_model_has_any(met->sums[place])) return;
  const size_t count = find_met(near, met, entries);
  if (count == 0) return;
  const float share = theta / sum_of_known(model, near), own_root = model->roots[slot];
  for (size_t i = 0; i < count; i++) {
    const uint32_t e = entries[i], lender = near->items[e];
    if (model->levels[lender] == 0) continue;
    const float* own = met->sums[met->places[lender] - met->base];
    const float weight = freshet_text_likeness(near, e) * share;
    /* co-occurrence is divided by the count of the lender */
    const float root = model->roots[lender] / own_root;
    follows += weight * own[FOLLOWS];
    now += weight * root * own[TOGETHER_NOW];
    before += weight * root * own[TOGETHER_BEFORE];
  }
  lent[FOLLOWS] = follows;
  lent[TOGETHER_NOW] = now;
  lent[TOGETHER_BEFORE] = before;
}

void freshet_model_lend(const freshet_model* model, freshet_gathered* met, const uint32_t* new_places,
                        size_t new_count, const float* text_thetas, float (*lent)[FRESHET_SUMS]) {
  enum { AHEAD = 6 }; /* prefetch: the lists of the new items are far apart in memory */
  if (model->text_lists == NULL) return;
  for (size_t i = 0; i < new_count + AHEAD; i++) {
    if (i < new_count)
      freshet_prefetch(&model->text_lists[met->items[new_places[i]]], sizeof *model->text_lists);
    if (i >= AHEAD) {
      const size_t now = i - AHEAD;
      borrow(model, met, new_places[now], text_thetas[new_places[now]], lent[now]);
    }
  }
  for (size_t i = 0; i < new_count; i++) { /* done last, because it overwrites the items' own sums */
    for (int f = 0; f < FRESHET_SUMS; f++) met->sums[new_places[i]][f] += lent[i][f];
  }
}
