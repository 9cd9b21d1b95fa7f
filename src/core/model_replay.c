/*
 * model_replay.c: the part of learning that is a function of the trace: lists, counts, popularity, recent events. Who learns and
 * who folds call it alike, so they have the same bits.
 */
#include "core/model_internal.h"

static const float least_pair_weight = .01F;

void freshet_model_replay_pair(freshet_model* model, uint32_t slot, uint32_t other, const trace_pair* pair,
                               size_t entry) {
  const float weight = (float)pair->weight_units * (1.0F / WEIGHT_UNITS);
  const float decay = model->follows_decay[pair->order_code][pair->place];
  const float share = pair->is_back ? freshet_model_back_share(pair->order_code) : 1;
  neighbours* near = &model->items[slot].near;
  if (pair->place == 0)
    freshet_model_neighbours_tick(near, pair->is_sampled ? freshet_list_stride(near->steps) : 0);
  const float follows = decay < least_pair_weight ? 0 : weight * decay * share;
  freshet_model_neighbours_add(model, slot, other, entry, follows,
                               weight * model->together_decay[pair->place], pair->times);
}

static uint32_t again_units(const trace_choice* choice) {
  return choice->is_again ? choice->weight_units : 0;
}

void freshet_model_replay_choices(freshet_model* model, uint32_t slot, const trace_choice* choices,
                                  size_t count) {
  freshet_model_popularity_add(model, slot, choices, count);
  for (size_t i = 0; i < count; i++)
    freshet_model_repeat_add(model, slot, again_units(&choices[i]), choices[i].span_code);
}

void freshet_model_replay_event(freshet_model* model, uint32_t slot, const trace_choice* choice) {
  const float weight = (float)choice->weight_units * (1.0F / WEIGHT_UNITS);
  model->total_watched += choice->weight_units;
  model->total_repeats += again_units(choice);
  model->total_repeat_spans += (int64_t)again_units(choice) * choice->span_code;
  for (int h = 0; h < HALF_LIVES; h++) {
    model->popular_totals[h] = model->popular_totals[h] * model->decay_per_event[h] + (double)weight;
  }
  model->recent[model->events % RECENT_EVENTS] = slot;
  model->events++;
}

void freshet_model_replay_dislike(freshet_model* model, uint32_t slot, uint32_t weight_units,
                                  int64_t offset) {
  if (model->items[slot].folded_to <= offset) freshet_model_dislike_add(model, slot, weight_units);
  if (model->folded_to <= offset) model->total_dislikes += weight_units;
}
