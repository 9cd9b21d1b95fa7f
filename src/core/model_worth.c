/*
 * model_worth.c: what an event weighs, by how the item was chosen: its type, dwell time, quantity and price.
 *
 * The log of the weight is a sum of learned weights times fixed curves, which all rise. Weights of one number that
 * have another sign than their sum count as 0, so the sum rises or falls everywhere. The weights follow the
 * gradient of the softmax by the items of a context: an event weighs more if events like it foretell the choices of
 * their users better than the other events of these users do.
 * It owns these weights. It must not know events or settings.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"

enum {
  EIGHTHS = 3,
  FLOAT_EIGHTHS_SHIFT = 23 - EIGHTHS, /* of the bits of a float: the exponent and three bits behind it */
  AMOUNT_EXPONENT = -6,               /* code 0 of seconds and pieces: 1/64 */
  PRICE_EXPONENT = -16,               /* code 0 of prices: the other end is 2^16 */
};

struct worth_bases {
  float dwell[SIGNAL_CODES][WORTH_DWELLS];
  float pieces[SIGNAL_CODES][WORTH_PIECES];
  float price[2 * SIGNAL_CODES][WORTH_PRICES]; /* by the code over the usual one, plus SIGNAL_CODES */
};

static const float worth_most = 4; /* of one event: at least a quarter, at most this */
static const double log_most = 4;  /* of a weight */
static const double rate = .01, forget = .001, price_rate = .01;
static const double type_starts[WORTH_TYPES] = {0, .2, .4}; /* a purchase says more than a click */

/* ---- codes ---- */

static uint32_t code_of(double x, int exponent) {
  enum { BIAS = 127 };
  const float value = (float)x;
  uint32_t bits;
  if (!(x > 0)) return 0;
  memcpy(&bits, &value, sizeof bits);
  const int32_t code = (int32_t)(bits >> FLOAT_EIGHTHS_SHIFT) - (BIAS + exponent) * (1 << EIGHTHS);
  return code < 1 ? 1 : code >= SIGNAL_CODES ? SIGNAL_CODES - 1 : (uint32_t)code;
}

/* code may be negative. */
static float value_of(int code, int exponent) {
  const int step = code + 1024, octave = step / 8 - 128 + exponent;
  float value = 1 + (float)(step % 8) / 8;
  for (int i = 0; i < octave; i++) value *= 2;
  for (int i = 0; i > octave; i--) value /= 2;
  return value;
}

uint32_t freshet_signal_of(const freshet_event* event) {
  const bool is_click = event->type == FRESHET_CLICK, is_purchase = event->type == FRESHET_PURCHASE;
  const double amount = is_click                             ? (double)event->dwell_s
                        : is_purchase && event->quantity > 1 ? event->quantity
                                                             : 0;
  const uint32_t price = is_purchase ? code_of(event->price, PRICE_EXPONENT) : 0;
  if (event->type == FRESHET_FEEDBACK) return 0;
  return (uint32_t)(event->type + 1) | code_of(amount, AMOUNT_EXPONENT) << SIGNAL_AMOUNT_SHIFT |
         price << SIGNAL_PRICE_SHIFT;
}

/* ---- the curves ---- */

/* A curve is log(low + rise x / (x + turn)), x counted from zero on. */
typedef struct shape {
  int first, exponent; /* code of its first value, and the exponent of code 0 */
  float zero, low;
} shape;
typedef struct bend {
  float turn, rise;
} bend;

/* out [count], each `stride` behind the one before. */
static void set_curve(const freshet_model_kernels* kernels, shape s, bend b, size_t count, size_t stride,
                      float* out) {
  _Alignas(64) float logs[2 * SIGNAL_CODES];
  for (size_t i = 0; i < count; i++) {
    const float x = value_of(s.first + (int)i, s.exponent) - s.zero;
    logs[i] = s.low + (x > 0 ? b.rise * x / (x + b.turn) : 0);
  }
  kernels->log(logs, count);
  for (size_t i = 0; i < count; i++) out[i * stride] = logs[i];
}

worth_bases* freshet_model_worth_bases(const freshet_model_kernels* kernels) {
  static const shape dwell = {0, AMOUNT_EXPONENT, 0, .5F}, pieces = {0, AMOUNT_EXPONENT, 1, 1},
                     price = {-SIGNAL_CODES, 0, 0, .5F};
  static const bend dwell_bends[WORTH_DWELLS] = {{10, 1}, {2, 1}, {60, 1}},
                    piece_bends[WORTH_PIECES] = {{1, .5F}, {10, 3}},
                    price_bends[WORTH_PRICES] = {{1, 1}, {.125F, 1}, {8, 1}};
  worth_bases* bases = calloc(1, sizeof *bases);
  FRESHET_ASSERT(bases != NULL);
  for (int i = 0; i < WORTH_DWELLS; i++)
    set_curve(kernels, dwell, dwell_bends[i], SIGNAL_CODES, WORTH_DWELLS, &bases->dwell[0][i]);
  for (int i = 0; i < WORTH_PIECES; i++)
    set_curve(kernels, pieces, piece_bends[i], SIGNAL_CODES, WORTH_PIECES, &bases->pieces[0][i]);
  for (int i = 0; i < WORTH_PRICES; i++)
    set_curve(kernels, price, price_bends[i], 2 * (size_t)SIGNAL_CODES, WORTH_PRICES, &bases->price[0][i]);
  return bases;
}

void freshet_model_init_worth(freshet_model* model) {
  for (int i = WORTH; i < WORTH_END; i++) {
    model->blend[i] = 0;
    model->blend_squares[i] = freshet_grid(FRESHET_BLEND_SQUARES_START);
  }
  for (int i = 0; i < WORTH_TYPES; i++) model->blend[WORTH_TYPE + i] = freshet_grid(type_starts[i]);
  model->blend[WORTH_DWELL] = model->blend[WORTH_PIECE] = 1;
}

/* ---- the weight of a signal ---- */

/* The weights of all curves as they count. */
typedef struct worth_weights {
  float of[WORTH_USUAL_PRICE - WORTH];
} worth_weights;

static void take_weights(const freshet_model* model, int first, int count, worth_weights* w) {
  double sum = 0;
  for (int i = first; i < first + count; i++) sum += model->blend[i];
  for (int i = first; i < first + count; i++)
    w->of[i - WORTH] = model->blend[i] * sum > 0 ? (float)model->blend[i] : 0;
}

static worth_weights weights_of(const freshet_model* model) {
  worth_weights w;
  for (int i = 0; i < WORTH_TYPES; i++) w.of[i] = (float)model->blend[WORTH_TYPE + i];
  take_weights(model, WORTH_DWELL, WORTH_DWELLS, &w);
  take_weights(model, WORTH_PIECE, WORTH_PIECES, &w);
  take_weights(model, WORTH_PRICE, WORTH_PRICES, &w);
  return w;
}

typedef struct curve {
  const float* at; /* [count] the curves at the number; NULL: it is not known */
  int first, count;
} curve;

enum { CURVES = 2, TYPE_MASK = 3, CODE_MASK = SIGNAL_CODES - 1 };

static uint32_t price_of(uint32_t signal) {
  return signal >> SIGNAL_PRICE_SHIFT & CODE_MASK;
}

/* The curves that a signal reads. Returns the type. */
static int curves_of(const freshet_model* model, uint32_t signal, curve curves[CURVES]) {
  const int type = (int)(signal & TYPE_MASK) - 1;
  const uint32_t amount = signal >> SIGNAL_AMOUNT_SHIFT & CODE_MASK, price = price_of(signal);
  const double usual = model->blend[WORTH_USUAL_PRICE];
  curves[0] = curves[1] = (curve){0};
  if (amount > 0 && type == FRESHET_CLICK)
    curves[0] = (curve){model->worth->dwell[amount], WORTH_DWELL, WORTH_DWELLS};
  if (amount > 0 && type == FRESHET_PURCHASE)
    curves[0] = (curve){model->worth->pieces[amount], WORTH_PIECE, WORTH_PIECES};
  if (price > 0 && usual > 0) {
    const int over = (int)price - (int)(usual + .5) + SIGNAL_CODES;
    curves[1] = (curve){model->worth->price[over < 0                  ? 0
                                            : over < 2 * SIGNAL_CODES ? over
                                                                      : 2 * SIGNAL_CODES - 1],
                        WORTH_PRICE, WORTH_PRICES};
  }
  return type;
}

/* The log of what the numbers of the signal weigh; 0 while none is known. */
static float log_of_numbers(const freshet_model* model, const worth_weights* w, uint32_t signal) {
  curve curves[CURVES];
  float sum = 0;
  curves_of(model, signal, curves);
  for (int i = 0; i < CURVES; i++) {
    for (int p = 0; p < curves[i].count; p++) sum += w->of[curves[i].first - WORTH + p] * curves[i].at[p];
  }
  return sum;
}

static float type_log(const worth_weights* w, uint32_t signal) {
  return (signal & TYPE_MASK) == 0 ? 0 : w->of[(signal & TYPE_MASK) - 1];
}

static float within_bounds(float worth) {
  return worth > worth_most ? worth_most : worth < 1 / worth_most ? 1 / worth_most : worth;
}

/* ---- a context ---- */

/* The items that are compared: chosen, and it is known how. */
static bool is_compared(const context* c, uint32_t k) {
  return (c->signals[k] & TYPE_MASK) != 0;
}

void freshet_model_weigh_context(const freshet_model* model, context* c) {
  _Alignas(64) float logs[2 * FRESHET_LANES] = {0};
  uint32_t first = 0;
  c->is_weighed = false;
  for (uint32_t k = 0; k < c->count; k++) {
    if (first == 0) first = c->signals[k];
    c->is_weighed = c->is_weighed || (is_compared(c, k) && c->signals[k] != first);
  }
  if (!c->is_weighed) return;
  const worth_weights w = weights_of(model);
  for (uint32_t k = 0; k < c->count; k++) {
    if (is_compared(c, k)) logs[k] = log_of_numbers(model, &w, c->signals[k]) + type_log(&w, c->signals[k]);
  }
  model->kernels->exp(logs, 2 * FRESHET_LANES);
  float before = 0, after = 0;
  for (uint32_t k = 0; k < c->count; k++) {
    if (!is_compared(c, k)) continue;
    logs[k] = within_bounds(logs[k]);
    before += c->weight[k];
    after += c->weight[k] * logs[k];
  }
  for (uint32_t k = 0; k < c->count; k++)
    c->worth[k] = is_compared(c, k) && after > 0 ? logs[k] * before / after : 1;
}

/* By how much the type of the choice says more than the types of the user's recent choices, as a log; 0 when all are
 * of one type. */
static float type_surplus(const worth_weights* w, const context* c, uint32_t signal) {
  const float own = type_log(w, signal);
  float sum = own, count = 1;
  bool differs = false;
  for (uint32_t k = 0; k < c->count; k++) {
    if (!is_compared(c, k)) continue;
    differs = differs || ((c->signals[k] ^ signal) & TYPE_MASK) != 0;
    sum += type_log(w, c->signals[k]);
    count++;
  }
  return differs ? own - sum / count : 0;
}

uint32_t freshet_model_choice_units(freshet_model* model, const context* c, const freshet_observation* seen) {
  _Alignas(64) float worth[FRESHET_LANES] = {0};
  float weight = seen->weight;
  if ((seen->signal & TYPE_MASK) != 0) {
    const worth_weights w = weights_of(model);
    worth[0] = log_of_numbers(model, &w, seen->signal) + type_surplus(&w, c, seen->signal);
  }
  if (worth[0] != 0) {
    model->kernels->exp(worth, FRESHET_LANES);
    const float within = within_bounds(worth[0]);
    model->clipped += within != worth[0];
    weight *= within;
  }
  const float units = weight * WEIGHT_UNITS + .5F;
  model->clipped += !(units >= 1 && units < WEIGHT_UNITS_MAX + 1);
  return units >= 1 ? units < WEIGHT_UNITS_MAX ? (uint32_t)units : WEIGHT_UNITS_MAX : 1;
}

/* ---- learning ---- */

/* As a step of the other blend weights (RMSprop). What has no effect is forgotten. */
static void step(freshet_model* model, int i, double gradient) {
  const double squares = freshet_grid(.999 * model->blend_squares[i] + .001 * gradient * gradient);
  const double old = model->blend[i];
  const double moved = old - rate * gradient / (double)sqrtf((float)squares + 1e-6F) - forget * old;
  const double within = freshet_clamp(moved, -log_most, log_most);
  if (gradient == 0) return;
  model->clipped += within < moved || within > moved;
  model->blend_squares[i] = squares > 0 ? squares : 0;
  model->blend[i] = freshet_grid(within);
}

void freshet_model_step_worth(freshet_model* model, const context* c, const float* pulls) {
  double gradient[WORTH_USUAL_PRICE - WORTH] = {0};
  float pull = 0, weight = 0;
  for (uint32_t k = 0; k < c->count; k++) {
    if (!is_compared(c, k)) continue;
    pull += pulls[k];
    weight += c->weight[k];
  }
  if (!(weight > 0)) return;
  for (uint32_t k = 0; k < c->count; k++) {
    if (!is_compared(c, k)) continue;
    const double own = (double)(pulls[k] - pull * c->weight[k] / weight);
    curve curves[CURVES];
    gradient[curves_of(model, c->signals[k], curves)] += own;
    for (int i = 0; i < CURVES; i++) {
      for (int p = 0; p < curves[i].count; p++)
        gradient[curves[i].first - WORTH + p] += own * (double)curves[i].at[p];
    }
  }
  for (int i = WORTH; i < WORTH_USUAL_PRICE; i++) step(model, i, gradient[i - WORTH]);
}

void freshet_model_note_price(freshet_model* model, uint32_t signal) {
  const double price = price_of(signal), usual = model->blend[WORTH_USUAL_PRICE];
  if (price > 0)
    model->blend[WORTH_USUAL_PRICE] = usual > 0 ? freshet_grid(usual + price_rate * (price - usual)) : price;
}

double freshet_model_usual_price(const freshet_model* model) {
  const double usual = model->blend[WORTH_USUAL_PRICE];
  return usual > 0 ? (double)value_of((int)(usual + .5), PRICE_EXPONENT) : 0;
}

float freshet_model_worth_of(const freshet_model* model, uint32_t signal) {
  const worth_weights w = weights_of(model);
  _Alignas(64) float worth[FRESHET_LANES] = {log_of_numbers(model, &w, signal) + type_log(&w, signal)};
  model->kernels->exp(worth, FRESHET_LANES);
  return within_bounds(worth[0]);
}

uint64_t freshet_model_take_clipped(freshet_model* model) {
  const uint64_t clipped = model->clipped;
  model->clipped = 0;
  return clipped;
}
