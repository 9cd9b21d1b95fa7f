/*
 * evaluate_lists.c: lists as the service makes them from what the model ranks: variety, pins, bounds by category. It
 * owns nothing that lasts. Of events and figures it must not know.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands/evaluate/evaluate_models.h"
#include "core/grow.h"
#include "core/select.h"

enum { RULES_CANDIDATES = 4 }; /* for each place, as in the service */

/* Scratch of a list. */
typedef struct freshet_workplace {
  freshet_ranked ranked[FRESHET_RANK_K_MAX];
  freshet_variety variety[FRESHET_RANK_K_MAX];
  uint32_t pinned[FRESHET_RANK_K_MAX];
  freshet_place places[FRESHET_RANK_K_MAX];
  uint64_t counted[FRESHET_RANK_K_MAX * FRESHET_CATEGORIES_MAX];
} workplace;

void freshet_learner_make_lists(freshet_learner* learner, const freshet_list_making* making) {
  learner->making = *making;
  if (learner->workplace == NULL) learner->workplace = malloc(sizeof *learner->workplace);
  FRESHET_ASSERT(learner->workplace != NULL);
  for (uint32_t slot = 0; slot < learner->history->item_count; slot++) {
    const float amount = freshet_rules_adjustment(making->rules, learner->history->facets, slot);
    if (amount != 0) freshet_model_set_adjustment(learner->model, slot, amount);
  }
}

size_t freshet_learner_hidden(freshet_learner* learner, const freshet_rules* rules, uint32_t user,
                              int64_t now_ms, const uint32_t** slots) {
  const freshet_user* known = freshet_learner_user(learner, user);
  const uint64_t owner =
      rules->exclude_own ? freshet_owner_key(freshet_slice_of(learner->history->users[user])) : 0;
  size_t owned_count;
  const uint32_t* owned = freshet_owners_slots(learner->history->owners, owner, &owned_count);
  const size_t most = known->seen_count + owned_count;
  learner->hidden = freshet_grow(learner->hidden, &learner->hidden_capacity, most, sizeof *learner->hidden);
  size_t count =
      freshet_rules_list_hidden(rules, freshet_model_repeats(learner->model), known, now_ms, learner->hidden);
  if (owned_count > 0) memcpy(learner->hidden + count, owned, owned_count * sizeof *owned);
  *slots = learner->hidden;
  return count + owned_count;
}

/* Under rules that reorder. */
static size_t select_by_rules(const freshet_learner* learner, const bool* has, size_t count, workplace* w,
                              bool* ran_out) {
  const freshet_list_making* making = &learner->making;
  const freshet_candidates candidates = {.ranked = w->ranked, .count = count, .pinned = w->pinned};
  freshet_rules rules = *making->rules;
  rules.new_share = 0;
  for (size_t i = 0; i < rules.pin_count; i++) {
    const uint32_t slot = freshet_model_find_key(learner->model, rules.pins[i].item_key);
    w->pinned[i] = slot == FRESHET_NO_ITEM || has[slot] ? FRESHET_NO_ITEM : slot;
  }
  return freshet_rules_select(&rules, learner->history->facets, &candidates, making->k, w->places, w->counted,
                              ran_out);
}

static size_t rank_and_select(freshet_learner* learner, freshet_rank_query* query, const bool* has,
                              workplace* w, bool* ran_out) {
  const freshet_list_making* making = &learner->making;
  size_t count = 0;
  *ran_out = false;
  if (freshet_rank(learner->ranker, query, 1, w->ranked, FRESHET_RANK_K_MAX, &count, learner->rank_scratch,
                   NULL) != FRESHET_OK)
    return 0;
  freshet_select_diverse(learner->model, w->ranked, count, making->k, making->diversity, w->variety);
  if (making->rules->max_per_category > 0 || making->rules->pin_count > 0) {
    *ran_out = count == query->k;
    bool lacks = false;
    const size_t filled = select_by_rules(learner, has, count, w, &lacks);
    *ran_out = *ran_out && lacks;
    return filled;
  }
  if (count > making->k) count = making->k;
  for (size_t i = 0; i < count; i++) w->places[i].item = w->ranked[i].item;
  return count;
}

size_t freshet_learner_list(freshet_learner* learner, const freshet_rank_query* query, const bool* has,
                            uint32_t list[FRESHET_LIST_SIZE]) {
  const freshet_list_making* making = &learner->making;
  const uint32_t more = RULES_CANDIDATES * making->k;
  workplace* w = learner->workplace;
  freshet_rank_query own = *query;
  bool ran_out;
  own.k = (uint32_t)freshet_select_candidates(making->k, making->diversity);
  if (freshet_rules_reorder(making->rules) && more > own.k)
    own.k = more < FRESHET_RANK_K_MAX ? more : FRESHET_RANK_K_MAX;
  size_t count = rank_and_select(learner, &own, has, w, &ran_out);
  if (ran_out && own.k < FRESHET_RANK_K_MAX) {
    own.k = FRESHET_RANK_K_MAX;
    count = rank_and_select(learner, &own, has, w, &ran_out);
  }
  if (count > FRESHET_LIST_SIZE) count = FRESHET_LIST_SIZE;
  for (size_t i = 0; i < count; i++) list[i] = w->places[i].item;
  return count;
}

double freshet_learner_list_likeness(const freshet_learner* learner, const uint32_t* list, size_t count) {
  double sum = 0;
  if (learner->history->vectors == NULL) return NAN;
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < i; j++)
      sum += (double)freshet_model_text_likeness(learner->model, list[i], list[j]);
  }
  return count < 2 ? NAN : sum / (double)(count * (count - 1) / 2);
}

/* The square of a sum is the sum over all pairs, and over each with itself. */
double freshet_history_likeness(const freshet_history* history) {
  double squares = 0, own = 0, count = 0;
  double* sum = calloc(history->text_dim + 1, sizeof *sum);
  FRESHET_ASSERT(sum != NULL);
  for (size_t i = 0; history->vectors != NULL && i < history->item_count; i++) {
    const float* vector = history->vectors + i * history->text_dim;
    double length = 0;
    for (uint32_t k = 0; k < history->text_dim; k++) {
      sum[k] += (double)vector[k];
      length += (double)vector[k] * (double)vector[k];
    }
    own += length;
    count += length > 0;
  }
  for (uint32_t k = 0; k < history->text_dim; k++) squares += sum[k] * sum[k];
  free(sum);
  return count < 2 ? NAN : (squares - own) / (count * (count - 1));
}
