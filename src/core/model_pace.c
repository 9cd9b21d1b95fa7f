/*
 * model_pace.c: how fast the blend weights learn.
 *
 * Steps like those of RMSprop have the same length for ever, however much a weight has learned. Early on long steps find
 * the weights of a stream. Later they only blur them. So the rates fall with the events of the stream: to .6 times what they
 * are, and for habits to .3 times, halfway after 10,000 events. They never fall to 0, since people
 * change. Weights of sessions, of what was shown and of events (model_worth.c) keep their rates.
 * The rates follow from the number of events alone, so a model that was restored learns like the one that was stored.
 * It owns nothing, and must not know what a weight is for.
 */
#include <string.h>

#include "core/model_internal.h"

enum { EVENTS_A_TURN = 64 }; /* the rates stay as they are meanwhile */

static float pace_at(uint64_t event, float last) {
  const float halfway = 10000;
  return last + (1 - last) * halfway / (halfway + (float)event);
}

const float* freshet_model_paced_rates(freshet_model* model) {
  const uint64_t turn = 1 + model->events / EVENTS_A_TURN, event = (turn - 1) * EVENTS_A_TURN;
  if (model->paced_turn == turn) return model->paced_rates;
  const float pace = pace_at(event, .6F), habit_pace = pace_at(event, .3F);
  memcpy(model->paced_rates, model->blend_rates, sizeof model->paced_rates);
  for (int i = 0; i < AGAIN_END; i++) model->paced_rates[i] *= i < AGAIN ? pace : habit_pace;
  model->paced_turn = turn;
  return model->paced_rates;
}
