/*
 * model_lenders.c: what a new item borrows.
 *
 * Nobody knows yet what a new item is chosen with, but often what items with a text like its own are chosen
 * with. Their co-occurrence with the user's recent items counts for it: the mean over its lenders, weighed by
 * likeness of text, times lent_share. An item that has been chosen once lends already, and may borrow as well:
 * to ask more of lenders (6 events) costs new items of retail .02 of recall@10. Only in ranking: the blend
 * learns from what items have of their own.
 */
#include <string.h>

#include "core/model_internal.h"

static const float lent_share = 2;   /* with 1, fewer new items are found; with more, all lose */
static const float lent_doubt = .1F; /* a likeness that lends nothing: without close texts there is little */

bool freshet_model_may_borrow(const freshet_model* model, uint32_t slot) {
  return model->levels[slot] < FRESHET_NEW_LEVELS && model->items[slot].near_text != NULL;
}

void freshet_model_find_lenders(const freshet_model* model, uint32_t slot, lenders* found) {
  const text_neighbours* near = model->items[slot].near_text;
  float total = lent_doubt;
  found->count = 0;
  for (uint32_t e = 0; e < near->count; e++) {
    uint32_t lender = near->entries[e].item;
    if (model->levels[lender] == 0) continue;
    found->items[found->count] = lender;
    found->weights[found->count] = near->entries[e].follows;
    found->roots[found->count++] = model->roots[lender];
    total += near->entries[e].follows;
  }
  for (uint32_t l = 0; l < found->count; l++) found->weights[l] *= lent_share / total;
}

/* Who has gathered something that `near` may borrow, as entries of it; total becomes what their likenesses
 * are a share of. Without branches: who is known is hard to guess. */
static size_t find_gathered(const freshet_model* model, const text_neighbours* near,
                            const freshet_gathered* met, uint8_t* entries, float* total) {
  size_t count = 0;
  float sum = lent_doubt;
  for (uint32_t e = 0; e < near->count; e++) {
    const uint32_t lender = near->entries[e].item;
    const bool known = model->levels[lender] > 0;
    sum += near->entries[e].follows * (float)known;
    entries[count] = (uint8_t)e;
    count += known & (met->places[lender] != 0);
  }
  *total = sum;
  return count;
}

/* What the item at `place` borrows, as sums of its own. Who has gathered nothing lends nothing. */
static void borrow(const freshet_model* model, const freshet_gathered* met, uint32_t place,
                   float lent[FRESHET_SUMS]) {
  const uint32_t slot = met->items[place];
  const text_neighbours* near = model->items[slot].near_text;
  uint8_t entries[TEXT_NEIGHBOURS + 1];
  float total;
  memset(lent, 0, FRESHET_SUMS * sizeof *lent);
  if (near == NULL || !freshet_model_has_any(met->sums[place])) return;
  const size_t count = find_gathered(model, near, met, entries, &total);
  const float share = lent_share / total, own_root = model->roots[slot];
  for (size_t i = 0; i < count; i++) {
    const uint32_t e = entries[i], lender = near->entries[e].item;
    const float* own = met->sums[met->places[lender] - 1];
    const float weight = near->entries[e].follows * share;
    const float root = model->roots[lender] / own_root; /* what is lent comes over the lender's count */
    lent[FOLLOWS] += weight * own[FOLLOWS];
    lent[TOGETHER_NOW] += weight * root * own[TOGETHER_NOW];
    lent[TOGETHER_BEFORE] += weight * root * own[TOGETHER_BEFORE];
  }
}

void freshet_model_lend(const freshet_model* model, freshet_gathered* met, const uint32_t* new_places,
                        size_t new_count, float (*lent)[FRESHET_SUMS]) {
  for (size_t i = 0; i < new_count; i++)
    __builtin_prefetch(&model->items[met->items[new_places[i]]].near_text);
  for (size_t i = 0; i < new_count; i++) {
    const text_neighbours* near = model->items[met->items[new_places[i]]].near_text;
    if (near != NULL) freshet_prefetch(near, sizeof *near);
  }
  for (size_t i = 0; i < new_count; i++) borrow(model, met, new_places[i], lent[i]);
  for (size_t i = 0; i < new_count; i++) { /* now that nobody asks any more what an item has of its own */
    for (int f = 0; f < FRESHET_SUMS; f++) met->sums[new_places[i]][f] += lent[i][f];
  }
}
