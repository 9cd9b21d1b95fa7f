/*
 * model_lenders.c: what a new item borrows.
 *
 * Nobody knows yet what a new item is chosen with, but often what items with a text like its own are chosen
 * with. Their co-occurrence with the user's recent items counts for it: the mean over its lenders, weighed by
 * likeness of text, times lent_share. Only in ranking: the blend learns from what items have of their own.
 */
#include "core/model_internal.h"

static const float lent_share = 2;   /* with 1, fewer new items are found: retail .124 instead of .130 */
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
    if (model->levels[lender] < FRESHET_NEW_LEVELS) continue;
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
    const bool known = model->levels[lender] >= FRESHET_NEW_LEVELS;
    sum += near->entries[e].follows * (float)known;
    entries[count] = (uint8_t)e;
    count += known & (met->places[lender] != 0);
  }
  *total = sum;
  return count;
}

/* In place: who lends is not new. Who has gathered nothing lends nothing. */
static void borrow(const freshet_model* model, freshet_gathered* met, uint32_t place) {
  const uint32_t slot = met->items[place];
  const text_neighbours* near = model->items[slot].near_text;
  float* sums = met->sums[place];
  uint8_t entries[TEXT_NEIGHBOURS + 1];
  float total;
  if (near == NULL || !freshet_model_has_any(sums)) return;
  const size_t count = find_gathered(model, near, met, entries, &total);
  const float share = lent_share / total, own_root = model->roots[slot];
  float follows = sums[FOLLOWS], now = sums[TOGETHER_NOW], before = sums[TOGETHER_BEFORE];
  for (size_t i = 0; i < count; i++) {
    const uint32_t e = entries[i], lender = near->entries[e].item;
    const float* lent = met->sums[met->places[lender] - 1];
    const float weight = near->entries[e].follows * share;
    const float root = model->roots[lender] / own_root; /* what is lent comes over the lender's count */
    follows += weight * lent[FOLLOWS];
    now += weight * root * lent[TOGETHER_NOW];
    before += weight * root * lent[TOGETHER_BEFORE];
  }
  sums[FOLLOWS] = follows;
  sums[TOGETHER_NOW] = now;
  sums[TOGETHER_BEFORE] = before;
}

void freshet_model_lend(const freshet_model* model, freshet_gathered* met, const uint32_t* new_places,
                        size_t new_count) {
  for (size_t i = 0; i < new_count; i++)
    __builtin_prefetch(&model->items[met->items[new_places[i]]].near_text);
  for (size_t i = 0; i < new_count; i++) {
    const text_neighbours* near = model->items[met->items[new_places[i]]].near_text;
    if (near != NULL) freshet_prefetch(near, sizeof *near);
  }
  for (size_t i = 0; i < new_count; i++) borrow(model, met, new_places[i]);
}
