/*
 * model_explain.c: the parts of a score, each with the recent item that it comes from.
 *
 * A sum is shared out by what each recent item brought to it. It must not know lists: which parts are shown, and in which
 * words, is decided elsewhere.
 */
#include <string.h>

#include "core/model_favour.h"
#include "core/model_query.h"
#include "core/model_sessions.h"

static void add_part(freshet_part* parts, size_t* count, freshet_reason_kind kind, uint32_t item_slot,
                     float score) {
  if (score == 0) return;
  size_t at = (*count)++;
  for (; at > 0 && parts[at - 1].score < score; at--) parts[at] = parts[at - 1];
  parts[at] = (freshet_part){.kind = kind, .item = item_slot, .score = score};
}

/* Adds the co-occurrence of context item k with `slot`, times weight. */
static void add_co_occurrence(const freshet_model* model, const context* c, uint32_t k, uint32_t slot,
                              float root, float weight, float out[BONUS_FEATURES]) {
  const neighbours* near = &model->items[c->items[k]].near;
  const float* a = c->feature_weight[k];
  size_t e = model->kernels->find_entry(near->tags, near->entries, near->count, slot);
  if (e == near->count) return;
  const float follows = freshet_count_value(near->entries[e].follows);
  const float together = freshet_count_evidence(near->entries[e].together, &c->doubts[k], model->roots[slot]);
  out[FOLLOWS] += weight * a[FOLLOWS] * follows * (c->is_similar ? root : 1);
  out[TOGETHER_NOW] += weight * root * a[TOGETHER_NOW] * together;
  const float favour = freshet_model_favour_of(model, c, slot);
  out[TOGETHER_BEFORE] += weight * root * a[TOGETHER_BEFORE] * together * favour;
}

/* What context item k itself adds to the sums of `slot`. */
static void contribution(const freshet_model* model, const context* c, uint32_t k, uint32_t slot, float root,
                         float out[BONUS_FEATURES]) {
  const float* a = c->feature_weight[k];
  memset(out, 0, BONUS_FEATURES * sizeof *out);
  add_co_occurrence(model, c, k, slot, root, 1, out);
  const freshet_text_list* text = freshet_model_near_text(model, c->items[k]);
  if (text == NULL) return;
  size_t e = model->kernels->find(text->items, text->count, slot);
  if (e < text->count) out[SIMILAR_TEXT] = a[SIMILAR_TEXT] * freshet_text_likeness(text, e);
}

/* Adds what the item borrows to the shares of the recent items: see freshet_model_lend. */
static void add_lent(const freshet_model* model, const context* c, uint32_t slot,
                     float shares[FRESHET_HISTORY][BONUS_FEATURES]) {
  lenders from;
  bool any = false;
  for (uint32_t k = 0; k < c->count; k++) any = any || freshet_model_has_any(shares[k]);
  if (!any || !freshet_model_may_borrow(model, slot)) return;
  freshet_model_find_lenders(model, slot, c->text_theta[model->levels[slot]], &from);
  for (uint32_t l = 0; l < from.count; l++) {
    for (uint32_t k = 0; k < c->count; k++) {
      add_co_occurrence(model, c, k, from.items[l], from.roots[l], from.weights[l], shares[k]);
    }
  }
}

/* theta * log(1 + sum) is shared out by what each recent item brought to the sum. Returns what came by items
 * that the user disliked: nobody wants to read those as a reason. */
static float add_neighbour_parts(const freshet_model* model, const context* c, uint32_t slot,
                                 freshet_part* parts, size_t* count) {
  static const freshet_reason_kind kinds[BONUS_FEATURES] = {[FOLLOWS] = FRESHET_REASON_FOLLOWS,
                                                            [TOGETHER_NOW] = FRESHET_REASON_TOGETHER,
                                                            [TOGETHER_BEFORE] = FRESHET_REASON_TOGETHER,
                                                            [SIMILAR_TEXT] = FRESHET_REASON_TEXT};
  float root = model->roots[slot];
  float shares[FRESHET_HISTORY][BONUS_FEATURES];
  float logs[FRESHET_LANES] __attribute__((aligned(64)));
  float sums[BONUS_FEATURES] = {0}, by_disliked = 0;
  float agreed[FRESHET_HISTORY];
  for (uint32_t k = 0; k < c->count; k++) contribution(model, c, k, slot, root, shares[k]);
  freshet_model_agreed_parts(model, c, slot, agreed);
  add_lent(model, c, slot, shares);
  for (uint32_t k = 0; k < c->count; k++) {
    for (int f = 0; f < BONUS_FEATURES; f++) sums[f] += shares[k][f];
  }
  for (int f = 0; f < FRESHET_LANES; f++) logs[f] = f < BONUS_FEATURES ? 1 + sums[f] : 1;
  model->kernels->log(logs, FRESHET_LANES);
  for (int f = 0; f < BONUS_FEATURES; f++) {
    float theta = f == SIMILAR_TEXT ? c->text_theta[model->levels[slot]] : c->theta[f];
    const float per_share = sums[f] > 0 ? theta * logs[f] / sums[f] : 0;
    for (uint32_t k = 0; k < c->count; k++) {
      float part = per_share * shares[k][f] + (f == TOGETHER_NOW ? agreed[k] : 0);
      if (c->disliked[k] > 0) {
        by_disliked += part;
      } else {
        add_part(parts, count, kinds[f], c->items[k], part);
      }
    }
  }
  return by_disliked;
}

/* What each item that the list is to be like adds by its factors. */
static void add_audience_parts(const freshet_model* model, const context* c, uint32_t slot,
                               freshet_part* parts, size_t* count) {
  for (uint32_t k = 0; k < c->count; k++) {
    float alike = model->kernels->dot(freshet_model_factor(model, c->items[k]),
                                      freshet_model_factor(model, slot), model->config.dim);
    add_part(parts, count, FRESHET_REASON_AUDIENCE, c->items[k], c->audience[k] * alike);
  }
}

/* What a wanted text adds to the score of `slot`. */
static float wanted_part(const freshet_model* model, const freshet_wanted_text* text, const context* c,
                         uint32_t slot) {
  float dense = model->kernels->dot(freshet_model_factor(model, slot), text->start, model->config.dim);
  float part = c->theta[TASTE] * freshet_model_wanted_weight(model, text) * dense;
  size_t match = model->kernels->find(text->items, text->count, slot);
  return match < text->count ? part + freshet_model_wanted_bonus(model, text, c, (uint32_t)match) : part;
}

/* What it brings that the user has chosen the item before, and takes that the user was shown it and did not. */
static void add_own_parts(const freshet_model* model, const freshet_model_scratch* scratch, uint32_t slot,
                          freshet_part* parts, size_t* count) {
  uint32_t every_s;
  if (scratch->user == NULL) return;
  const float part = freshet_model_habit_part(model, scratch->user, scratch->now_ms, slot, &every_s);
  add_part(parts, count, FRESHET_REASON_AGAIN, FRESHET_NO_ITEM, part);
  for (size_t i = 0; i < *count; i++) {
    if (parts[i].kind == FRESHET_REASON_AGAIN) parts[i].every_s = every_s;
  }
  const float shown = freshet_model_shown_part(model, scratch->user, scratch->now_ms, slot);
  add_part(parts, count, FRESHET_REASON_SHOWN, FRESHET_NO_ITEM, shown);
}

size_t freshet_model_explain(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                             uint32_t slot, freshet_model_scratch* scratch,
                             freshet_part parts[FRESHET_PARTS_MAX]) {
  return freshet_model_explain_text(model, user, NULL, now_ms, slot, scratch, parts);
}

size_t freshet_model_explain_text(const freshet_model* model, const freshet_user* user,
                                  const freshet_wanted_text* text, int64_t now_ms, uint32_t slot,
                                  freshet_model_scratch* scratch, freshet_part parts[FRESHET_PARTS_MAX]) {
  freshet_model_set_vector(model, user, now_ms, scratch);
  return freshet_model_explain_query(model, text, slot, scratch, parts);
}

size_t freshet_model_explain_query(const freshet_model* model, const freshet_wanted_text* text, uint32_t slot,
                                   const freshet_model_scratch* scratch,
                                   freshet_part parts[FRESHET_PARTS_MAX]) {
  FRESHET_ASSERT(slot < model->count);
  const item* it = &model->items[slot];
  const context* c = &scratch->context;
  const float* columns = scratch->vector + model->config.dim;
  size_t count = 0;
  float popular = 0;
  float taste = model->kernels->dot(freshet_model_factor(model, slot), scratch->factor, model->config.dim);
  for (int h = 0; h < HALF_LIVES; h++) popular += columns[COLUMN_POPULAR + h] * it->row_popular[h];
  float quality = columns[COLUMN_BIAS] * (float)it->bias + columns[COLUMN_LEVEL + model->levels[slot]];
  quality += columns[COLUMN_LIKING] * it->row_liking;
  taste = c->theta[TASTE] * taste +
          model->kernels->dot(freshet_model_factor(model, slot), scratch->opinion, model->config.dim);
  taste += add_neighbour_parts(model, c, slot, parts, &count);
  if (c->is_similar) add_audience_parts(model, c, slot, parts, &count);
  add_part(parts, &count, FRESHET_REASON_TASTE, FRESHET_NO_ITEM, taste);
  add_part(parts, &count, FRESHET_REASON_POPULAR, FRESHET_NO_ITEM, popular);
  add_part(parts, &count, FRESHET_REASON_QUALITY, FRESHET_NO_ITEM, quality);
  if (text != NULL)
    add_part(parts, &count, FRESHET_REASON_CONTEXT, FRESHET_NO_ITEM, wanted_part(model, text, c, slot));
  add_part(parts, &count, FRESHET_REASON_RULE, FRESHET_NO_ITEM, it->adjustment);
  add_own_parts(model, scratch, slot, parts, &count);
  return count;
}
