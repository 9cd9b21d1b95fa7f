/*
 * model_order.c: whether it matters in which order two items are chosen, as it does for tracks of an album, and not for
 * the lines of an invoice.
 *
 * `follows` of j in the list of i counts how often j came after i in full, and how often it came before i by a share,
 * the share of back steps. The share is learned: whenever a user goes from i to j, and both lists know the other item,
 * either the same direction is the more frequent one so far, or the way back is. With a part p of the first kind, the
 * share is (1 - p) / p. It is never quite 1, so that the directions can be told apart.
 * The step that begins a session has a share of its own. It counts where it is below the share within sessions.
 * Where order matters, what is far away says less of the next item. `follows` counts .7^k of a pair at distance k where
 * the order seldom repeats, and down to .35^k where it always does. In the feature, the k-th recent item weighs .5^k,
 * down to .2^k.
 * The trace holds a code of each event, so that lists are a function of the trace: the share of back steps, and
 * ORDER_FADES where `follows` falls faster than .7^k. Earlier versions counted .7^k whatever the share was.
 */
#include "core/model_internal.h"

static const double rate = .002;

float freshet_model_back_share(uint32_t code) {
  return (float)(BACK_CODES - 1 - code % BACK_CODES) * (1.0F / BACK_CODES);
}

enum { SOME_ORDER = BACK_CODES / 4 }; /* up to here nothing falls faster: a little order is everywhere */

void freshet_model_init_order(freshet_model* model) {
  for (uint32_t code = 0; code < ORDER_CODES; code++) {
    const uint32_t above = code < ORDER_FADES + SOME_ORDER ? 0 : code - ORDER_FADES - SOME_ORDER;
    const float order = (float)above * (1.0F / (BACK_CODES - 1 - SOME_ORDER));
    freshet_model_powers(.7F - .35F * order, model->follows_decay[code]);
    freshet_model_powers(.5F - .3F * order, model->half_decay[code]);
  }
}

/* How far order repeats. What begins a session has the order of sessions or of the steps from one to the next, whichever
 * repeats more. */
static double order_of(const freshet_model* model, bool goes_on) {
  const double within = model->blend[ORDER], between = model->blend[ORDER_BETWEEN];
  return goes_on || within > between ? within : between;
}

static uint32_t back_code(const freshet_model* model, bool goes_on) {
  const double same = .5 + order_of(model, goes_on), share = same > .5 ? (1 - same) / same : 1;
  const double code = (double)(BACK_CODES - 1) - share * (double)BACK_CODES + .5;
  return code < 0 ? 0 : code < BACK_CODES ? (uint32_t)code : BACK_CODES - 1;
}

uint32_t freshet_model_order_code(const freshet_model* model, bool goes_on) {
  const uint32_t code = back_code(model, goes_on);
  return code > SOME_ORDER ? ORDER_FADES + code : code;
}

void freshet_model_note_order(freshet_model* model, bool goes_on, float same, float back) {
  if (!(same > back) && !(same < back)) return;
  double* so_far = &model->blend[goes_on ? ORDER : ORDER_BETWEEN];
  const double is_same = same > back ? .5 : -.5;
  *so_far = freshet_grid(*so_far + rate * (is_same - *so_far));
}
