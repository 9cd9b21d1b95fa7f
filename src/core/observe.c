/*
 * observe.c: what an event tells the model.
 *
 * A rating at or above positive_rating is a choice. One below it is a dislike, from just above 0 up to 1 at the
 * lowest rating. Everything else is a choice. It must not know the model's state.
 */
#include "core/observe.h"

static float dislike_of(const freshet_event_values* values, float rating) {
  const float scale = values->positive_rating - values->rating_min;
  float dislike = scale > 0 ? (values->positive_rating - rating) / scale : 1;
  return dislike < 1 ? dislike : 1;
}

freshet_observation freshet_observe(const freshet_event_values* values, const freshet_event* event,
                                    uint32_t slot) {
  const bool is_low = event->type == FRESHET_RATING && event->rating < values->positive_rating;
  return (freshet_observation){.item = slot,
                               .positive = !is_low,
                               .dislike = is_low ? dislike_of(values, event->rating) : 0,
                               .weight = values->weights[event->type],
                               .time_ms = event->occurred_at_ms};
}
