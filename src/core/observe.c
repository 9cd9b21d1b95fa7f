/*
 * observe.c: what an event tells the model.
 *
 * A rating at or above positive_rating is a choice. One below it is a dislike, from just above 0 up to 1 at the
 * lowest rating. Feedback is a dislike of 1; a skip is one of up to .5, the less the later it comes. Everything
 * else is a choice; it is a hint when lists are for choices of another type. It must not know the model's state.
 */
#include "core/observe.h"

static float dislike_of(const freshet_event_values* values, float rating) {
  const float scale = values->positive_rating - values->rating_min;
  float dislike = scale > 0 ? (values->positive_rating - rating) / scale : 1;
  return dislike < 1 ? dislike : 1;
}

/* A skip says less than a word: at once half as much, after half a minute nothing. */
static float dislike_of_feedback(const freshet_event* event) {
  static const float most = .5F, none_after_s = 30;
  if (event->feedback != FRESHET_SKIP) return 1;
  return event->after_s < none_after_s ? most * (1 - event->after_s / none_after_s) : 0;
}

bool freshet_goal_has(freshet_goal goal, freshet_event_type type) {
  return goal == FRESHET_GOAL_ANY ||
         type == (goal == FRESHET_GOAL_PURCHASE ? FRESHET_PURCHASE : FRESHET_RATING);
}

bool freshet_is_impression(const freshet_event* event) {
  return event->type == FRESHET_FEEDBACK && event->feedback == FRESHET_IMPRESSION;
}

bool freshet_observes(const freshet_event* event) {
  return event->type != FRESHET_FEEDBACK ||
         (event->feedback != FRESHET_IMPRESSION && event->feedback != FRESHET_FEEDBACK_OTHER);
}

freshet_event_type freshet_seen_how(const freshet_event* event) {
  if (event->type != FRESHET_FEEDBACK) return event->type;
  switch (event->feedback) {
    case FRESHET_DISLIKE:
    case FRESHET_HIDE:
    case FRESHET_NOT_INTERESTED:
      return FRESHET_FEEDBACK;
    default:
      return event->feedback == FRESHET_RETURNED ? FRESHET_PURCHASE : FRESHET_CLICK;
  }
}

freshet_observation freshet_observe(const freshet_event_values* values, const freshet_event* event,
                                    uint32_t slot) {
  const bool is_low = event->type == FRESHET_RATING && event->rating < values->positive_rating;
  const bool is_feedback = event->type == FRESHET_FEEDBACK;
  const float dislike = is_feedback ? dislike_of_feedback(event)
                        : is_low    ? dislike_of(values, event->rating)
                                    : 0;
  return (freshet_observation){.item = slot,
                               .positive = !is_low && !is_feedback,
                               .dislike = dislike,
                               .weight = values->weights[event->type],
                               .time_ms = event->occurred_at_ms,
                               .signal = freshet_signal_of(event),
                               .is_hint = !freshet_goal_has(values->goal, event->type)};
}
