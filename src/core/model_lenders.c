/*
 * model_lenders.c: what a new item borrows.
 *
 * Nobody knows yet what a new item is chosen with, but often what items with a text like its own are chosen
 * with. Their co-occurrence with the user's recent items counts for it: the mean over its lenders, weighed by
 * likeness of text, times lent_share. Only in ranking: the blend learns from what items have of their own.
 */
#include "core/model_internal.h"

enum { NEW_LEVELS = 4 };             /* B(N) below: under 6 events. With more an item may lend */
static const float lent_share = 2;   /* with 1, fewer new items are found: retail .124 instead of .130 */
static const float lent_doubt = .1F; /* a likeness that lends nothing: without close texts there is little */

bool freshet_model_may_borrow(const freshet_model* model, uint32_t slot) {
  return model->levels[slot] < NEW_LEVELS && model->items[slot].near_text != NULL;
}

void freshet_model_find_lenders(const freshet_model* model, uint32_t slot, lenders* found) {
  const text_neighbours* near = model->items[slot].near_text;
  float total = lent_doubt;
  found->count = 0;
  for (uint32_t e = 0; e < near->count; e++) {
    uint32_t lender = near->items[e];
    if (model->levels[lender] < NEW_LEVELS) continue;
    found->items[found->count] = lender;
    found->weights[found->count] = near->likeness[e];
    found->roots[found->count++] = model->roots[lender];
    total += near->likeness[e];
  }
  for (uint32_t l = 0; l < found->count; l++) found->weights[l] *= lent_share / total;
}
