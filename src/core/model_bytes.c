/*
 * model_bytes.c: the additive part of an item and the blend weights as bytes. An item's part is
 *
 *   f64 bias, f64 factor squares, f64 context squares, f64 bias squares, u8 kinds of the rows v (bits 0, 1) and
 *   m (bits 2, 3), v row, m row
 *
 * where a row is nothing, i16 [dim], i32 [dim], or u8 shift and i8 [dim] to be shifted left by it,
 *
 * or, in the short form, u8 kinds: 1 with v, 2 with m; with v: u16 bias, u16 factor squares, u16 bias squares, and the row;
 * with m: u16 context squares, and the row. A u16 is the upper half of a f32. A row is u8 m, u8 e, u8 [dim / 2] numbers from -7
 * to 7, plus 8, 4 bits each (the first half of the dimensions in the lower bits), to be multiplied by m 2^e.
 * FRESHET_SHORT_MARK comes before parts in this form. An earlier version takes it for a bias out of bounds, and refuses the
 * delta. Where FRESHET_SHORT_MARK_BEFORE comes before them, an earlier version wrote them: u16 [4] all four numbers, u8 kinds,
 * rows;
 *
 * and the blend is u32 count, f64 gain of each weight [count], f64 gain of its accumulator [count]. Nothing here
 * knows deltas or stored items.
 */
#include "core/model_bytes.h"

typedef enum row_kind { ROW_NONE = 0, ROW_NARROW = 1, ROW_BYTES = 2, ROW_WIDE = 3 } row_kind;
enum { ROW_KINDS = 4, KINDS_LIMIT = ROW_KINDS * ROW_KINDS, SHIFT_MAX = 16 };

/* Numbers at any address. */
typedef struct __attribute__((packed)) freshet_i16 {
  int16_t value;
} freshet_i16;
typedef struct __attribute__((packed)) freshet_i32 {
  int32_t value;
} freshet_i32;

static const int32_t factor_limit = 1 << 23; /* 8, in units */

freshet_status freshet_malformed(freshet_error* error, const char* name) {
  return freshet_error_set(
      error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
      "malformed %s: damaged, or written by a newer version (then update this process, too)", name);
}

static int32_t units_of(float now, float before) {
  return (int32_t)((now - before) * (1 / FRESHET_FACTOR_STEP));
}

/* The factor on its grid, within what keeps sums exact. */
static void add_units(float* x, int32_t units) {
  float sum = *x + (float)units * FRESHET_FACTOR_STEP;
  *x = sum > FRESHET_FOLDED_MAX ? FRESHET_FOLDED_MAX : sum < -FRESHET_FOLDED_MAX ? -FRESHET_FOLDED_MAX : sum;
}

/* One loop for each form, so that the compiler makes vectors of them. */
static void put_narrow(freshet_i16* restrict out, const float* restrict now, const float* restrict before,
                       uint32_t dim) {
  for (uint32_t i = 0; i < dim; i++) out[i].value = (int16_t)units_of(now[i], before[i]);
}
static void put_wide(freshet_i32* restrict out, const float* restrict now, const float* restrict before,
                     uint32_t dim) {
  for (uint32_t i = 0; i < dim; i++) out[i].value = units_of(now[i], before[i]);
}

static size_t size_of_number(row_kind kind) {
  if (kind == ROW_BYTES) return sizeof(int8_t);
  return kind == ROW_NARROW ? sizeof(int16_t) : sizeof(int32_t);
}

/* Writes now - before of a row in the smallest form that loses nothing. */
static row_kind put_row(const freshet_model* model, freshet_buffer* out, const float* now,
                        const float* before) {
  const uint32_t dim = model->config.dim;
  const freshet_row_look look = model->kernels->look(now, before, dim);
  if (look.low == 0 && look.high == 0) return ROW_NONE;
  const row_kind kind = look.low < INT16_MIN || look.high > INT16_MAX ? ROW_WIDE : ROW_NARROW;
  uint8_t* at = freshet_buffer_reserve(out, dim * size_of_number(kind));
  if (kind == ROW_NARROW) put_narrow((freshet_i16*)(void*)at, now, before, dim);
  if (kind == ROW_WIDE) put_wide((freshet_i32*)(void*)at, now, before, dim);
  out->size += dim * size_of_number(kind);
  return kind;
}

void freshet_put_gains(const freshet_model* model, uint32_t slot, const freshet_gains* gain,
                       const float* v_before, const float* m_before, freshet_buffer* out) {
  freshet_put(out, gain, sizeof *gain);
  size_t kinds_at = out->size;
  PUT(out, uint8_t, 0);
  const row_kind v = put_row(model, out, freshet_model_factor(model, slot), v_before);
  const float* m_now = freshet_model_context_factor(model, slot);
  const row_kind m = m_now == NULL ? ROW_NONE : put_row(model, out, m_now, m_before);
  out->data[kinds_at] = (uint8_t)(v + ROW_KINDS * m);
}

/* ---- the short form ---- */

enum {
  SHORT_V = FRESHET_GIVES_V,
  SHORT_M = FRESHET_GIVES_M,
  SHORT_KINDS = 4,
  SHORT_MOST = 7,
  SHORT_MIDDLE = 8,
  EXPONENT_MAX = 20
};
#define BIAS_PER_FACTOR 8 /* a bias moves so many times as far as a factor, for equal errors */

/* The step of a row in the short form: mantissa 2^exponent units. */
typedef struct short_step {
  uint8_t mantissa, exponent;
} short_step;

/* The least step that leaves `most` units within SHORT_MOST steps. */
static short_step step_for(uint32_t most) {
  const uint32_t least = (most + SHORT_MOST - 1) / SHORT_MOST;
  unsigned exponent = 0;
  while ((least + (1U << exponent) - 1) >> exponent > UINT8_MAX) exponent++;
  return (short_step){(uint8_t)((least + (1U << exponent) - 1) >> exponent), (uint8_t)exponent};
}

static int32_t units_in(short_step step) {
  return (int32_t)step.mantissa << step.exponent;
}

static int32_t most_units(freshet_row_look look) {
  return look.high > -look.low ? look.high : -look.low;
}

/* Writes times (now - before), each number rounded up or down by chance, so that the mean of many is right. The row keeps what
 * was written. */
static void put_short_row(const freshet_model* model, float* now, const float* before, float times,
                          uint32_t random, freshet_buffer* out) {
  const uint32_t dim = model->config.dim, half = dim / 2;
  const int32_t most = most_units(model->kernels->look(now, before, dim));
  const short_step step = step_for((uint32_t)((float)(most > 0 ? most : 1) * times));
  const float scale = times / (float)units_in(step) / FRESHET_FACTOR_STEP;
  uint8_t numbers[DIM_MAX];
  for (uint32_t i = 0; i < dim; i++) {
    const float chance = (float)((random + i * 0x9e3779b9U) >> 8) * 0x1p-24F; /* spread evenly over [0, 1) */
    const int number = (int)((now[i] - before[i]) * scale + chance + SHORT_MIDDLE);
    numbers[i] = (uint8_t)(number < SHORT_MIDDLE + SHORT_MOST ? number : SHORT_MIDDLE + SHORT_MOST);
  }
  freshet_put(out, &step, sizeof step);
  uint8_t* row = freshet_buffer_reserve(out, half);
  for (uint32_t i = 0; i < half; i++) row[i] = (uint8_t)(numbers[i] | numbers[half + i] << 4);
  memcpy(now, before, dim * sizeof *now);
  model->kernels->add_steps(now, row, units_in(step), dim);
  out->size += half;
}

static double from_short(uint16_t number) {
  const uint32_t bits = (uint32_t)number << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* The nearest number with a byte of precision; 0 for one so small that it is off the grid. */
static uint16_t to_short(double gain, double (*grid)(double)) {
  const float value = (float)gain;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint16_t number = (uint16_t)((bits + 0x8000U) >> 16);
  const double error = grid(from_short(number)) - from_short(number);
  return error < 0 || error > 0 ? 0 : number;
}

static double within(double sum) {
  return freshet_clamp(sum, -FRESHET_SCALAR_LIMIT, FRESHET_SCALAR_LIMIT);
}

static void add_gains(freshet_model* model, uint32_t slot, const freshet_gains* gain) {
  item* it = &model->items[slot];
  it->bias = freshet_grid(freshet_clamp(it->bias + gain->bias, -1000, 1000));
  it->factor_squares = freshet_grid_sum(within(it->factor_squares + gain->factor_squares));
  it->context_squares = freshet_grid_sum(within(it->context_squares + gain->context_squares));
  it->bias_squares = freshet_grid_sum(within(it->bias_squares + gain->bias_squares));
}

freshet_row_sizes freshet_gain_sizes(const freshet_model* model, uint32_t slot, const freshet_gains* before,
                                     const float* v_before, const float* m_before) {
  static const float per_bias = 1 / (FRESHET_FACTOR_STEP * BIAS_PER_FACTOR);
  const uint32_t dim = model->config.dim;
  const float* m = freshet_model_context_factor(model, slot);
  const float v_most =
      (float)most_units(model->kernels->look(freshet_model_factor(model, slot), v_before, dim));
  const float bias = fabsf((float)(model->items[slot].bias - before->bias)) * per_bias;
  return (freshet_row_sizes){v_most > bias ? v_most : bias,
                             m == NULL ? 0 : (float)most_units(model->kernels->look(m, m_before, dim))};
}

/* Scalars become what they were; what is given is added to them. */
static void put_short_v(freshet_model* model, uint32_t slot, const freshet_gains* before,
                        const float* v_before, float times, uint32_t random, freshet_buffer* out) {
  item* it = &model->items[slot];
  const double most = (double)times;
  const uint16_t gain[] = {to_short(most * (it->bias - before->bias), freshet_grid),
                           to_short(most * (it->factor_squares - before->factor_squares), freshet_grid_sum),
                           to_short(most * (it->bias_squares - before->bias_squares), freshet_grid_sum)};
  freshet_put(out, gain, sizeof gain);
  it->bias = before->bias;
  it->factor_squares = before->factor_squares;
  it->bias_squares = before->bias_squares;
  add_gains(model, slot, &(freshet_gains){from_short(gain[0]), from_short(gain[1]), 0, from_short(gain[2])});
  put_short_row(model, freshet_model_factor(model, slot), v_before, times, random, out);
}

static void put_short_m(freshet_model* model, uint32_t slot, const freshet_gains* before,
                        const float* m_before, float times, uint32_t random, freshet_buffer* out) {
  item* it = &model->items[slot];
  const uint16_t gain =
      to_short((double)times * (it->context_squares - before->context_squares), freshet_grid_sum);
  PUT(out, uint16_t, gain);
  it->context_squares = before->context_squares;
  add_gains(model, slot, &(freshet_gains){.context_squares = from_short(gain)});
  put_short_row(model, freshet_model_context_factor(model, slot), m_before, times, random, out);
}

bool freshet_put_short_gains(freshet_model* model, uint32_t slot, const freshet_gains* before,
                             const float* v_before, const float* m_before, freshet_row_times times,
                             uint64_t random, freshet_buffer* out) {
  item* it = &model->items[slot];
  float* m = freshet_model_context_factor(model, slot);
  const bool gives_v = times.v > 0, gives_m = times.m > 0 && m != NULL;
  const size_t row = model->config.dim * sizeof *v_before;
  PUT(out, uint8_t, (uint8_t)((gives_v ? SHORT_V : 0) + (gives_m ? SHORT_M : 0)));
  if (gives_v) {
    put_short_v(model, slot, before, v_before, times.v, (uint32_t)random, out);
  } else {
    it->bias = before->bias;
    it->factor_squares = before->factor_squares;
    it->bias_squares = before->bias_squares;
    memcpy(freshet_model_factor(model, slot), v_before, row);
  }
  if (gives_m) {
    put_short_m(model, slot, before, m_before, times.m, (uint32_t)(random >> 32), out);
  } else {
    it->context_squares = before->context_squares;
    if (m != NULL) memcpy(m, m_before, row);
  }
  return gives_v || gives_m;
}

void freshet_put_no_short_gains(freshet_buffer* out) {
  PUT(out, uint8_t, 0);
}

typedef struct short_row {
  const uint8_t* numbers; /* where they are; NULL: there is no row */
  int32_t step;
} short_row;

static short_row take_short_row(freshet_byte_reader* in, uint32_t dim) {
  short_step given;
  given.mantissa = freshet_take_u8(in);
  given.exponent = freshet_take_u8(in);
  if (given.exponent > EXPONENT_MAX) in->bad = true;
  const uint8_t* numbers = (const uint8_t*)freshet_take_bytes(in, dim / 2);
  return (short_row){numbers, numbers == NULL ? 0 : units_in(given)};
}

static double take_short(freshet_byte_reader* in) {
  const double number = from_short(freshet_take_u16(in));
  if (!(number >= -FRESHET_SCALAR_LIMIT && number <= FRESHET_SCALAR_LIMIT)) in->bad = true;
  return in->bad ? 0 : number;
}

static void add_short_row(const freshet_model* model, short_row row, float* x, float* before) {
  model->kernels->add_steps(x, row.numbers, row.step, model->config.dim);
  if (before != NULL) model->kernels->add_steps(before, row.numbers, row.step, model->config.dim);
}

/* What was pending of the item gains as much: it is not this worker's. */
static void add_to_pending(freshet_model* model, uint32_t slot, const freshet_gains* gain) {
  uint32_t place;
  gathered* g = freshet_model_gathered_of(model, slot, &place);
  if (g == NULL) return;
  pending_item* old = &g->items[place];
  old->bias += gain->bias;
  old->factor_squares += gain->factor_squares;
  old->context_squares += gain->context_squares;
  old->bias_squares += gain->bias_squares;
}

static void add_short(freshet_model* model, uint32_t slot, const freshet_gains* gain, short_row v,
                      short_row m) {
  float* own_m = m.numbers == NULL ? NULL : freshet_model_own_context_factor(model, slot);
  float* before = freshet_model_rows_before(model, slot);
  if (v.numbers != NULL) add_short_row(model, v, freshet_model_factor(model, slot), before);
  if (own_m != NULL) add_short_row(model, m, own_m, before == NULL ? NULL : before + model->config.dim);
  add_gains(model, slot, gain);
  add_to_pending(model, slot, gain);
}

unsigned freshet_take_short_gains(freshet_model* model, freshet_byte_reader* in, uint32_t slot) {
  const uint32_t dim = model->config.dim;
  const unsigned kinds = freshet_take_u8(in);
  freshet_gains gain = {0};
  short_row v = {0}, m = {0};
  if (kinds >= SHORT_KINDS) in->bad = true;
  if ((kinds & SHORT_V) != 0) {
    gain.bias = take_short(in);
    gain.factor_squares = take_short(in);
    gain.bias_squares = take_short(in);
    v = take_short_row(in, dim);
  }
  if ((kinds & SHORT_M) != 0) {
    gain.context_squares = take_short(in);
    m = take_short_row(in, dim);
  }
  if (slot != FRESHET_NO_ITEM && !in->bad && kinds != 0) add_short(model, slot, &gain, v, m);
  return kinds;
}

unsigned freshet_take_short_gains_before(freshet_model* model, freshet_byte_reader* in, uint32_t slot) {
  const uint32_t dim = model->config.dim;
  freshet_gains gain;
  short_row v = {0}, m = {0};
  gain.bias = take_short(in);
  gain.factor_squares = take_short(in);
  gain.context_squares = take_short(in);
  gain.bias_squares = take_short(in);
  const unsigned kinds = freshet_take_u8(in);
  if (kinds >= SHORT_KINDS) in->bad = true;
  if ((kinds & SHORT_V) != 0) v = take_short_row(in, dim);
  if ((kinds & SHORT_M) != 0) m = take_short_row(in, dim);
  if (slot != FRESHET_NO_ITEM && !in->bad) add_short(model, slot, &gain, v, m);
  return kinds;
}

bool freshet_take_mark(freshet_byte_reader* in, double mark) {
  double first = 0;
  if (!in->bad && in->left >= sizeof first) memcpy(&first, in->at, sizeof first);
  if (!(first >= mark && first <= mark)) return false;
  freshet_take_bytes(in, sizeof first);
  return true;
}

/* ---- the long form ---- */

void freshet_put_no_gains(freshet_buffer* out) {
  static const freshet_gains none;
  freshet_put(out, &none, sizeof none);
  PUT(out, uint8_t, ROW_NONE + ROW_KINDS * ROW_NONE);
}

/* Adds a row of units to x. */
static void add_row(const char* row, row_kind kind, unsigned shift, uint32_t dim, float* x) {
  if (kind == ROW_BYTES) {
    for (uint32_t i = 0; i < dim; i++) add_units(&x[i], ((const int8_t*)row)[i] * (1 << shift));
  } else if (kind == ROW_NARROW) {
    for (uint32_t i = 0; i < dim; i++) add_units(&x[i], ((const freshet_i16*)(const void*)row)[i].value);
  } else {
    for (uint32_t i = 0; i < dim; i++) add_units(&x[i], ((const freshet_i32*)(const void*)row)[i].value);
  }
}

/* Reads a row and adds it to x and, unless NULL, to before. x NULL: only looks whether it is well-formed. */
static void take_row(freshet_byte_reader* in, row_kind kind, uint32_t dim, float* x, float* before) {
  if (kind == ROW_NONE) return;
  const unsigned shift = kind == ROW_BYTES ? freshet_take_u8(in) : 0;
  const char* row = freshet_take_bytes(in, dim * size_of_number(kind));
  if (shift > SHIFT_MAX) in->bad = true; /* what fits a byte or 16 bits is within limits */
  for (uint32_t i = 0; kind == ROW_WIDE && !in->bad && i < dim; i++) {
    const int32_t units = ((const freshet_i32*)(const void*)row)[i].value;
    if (units < -factor_limit || units > factor_limit) in->bad = true;
  }
  if (in->bad || x == NULL) return;
  add_row(row, kind, shift, dim, x);
  if (before != NULL) add_row(row, kind, shift, dim, before);
}

unsigned freshet_take_gains(freshet_model* model, freshet_byte_reader* in, uint32_t slot) {
  uint32_t dim = model->config.dim;
  freshet_gains gain = {freshet_take_f64(in), freshet_take_f64(in), freshet_take_f64(in),
                        freshet_take_f64(in)};
  const unsigned kinds = freshet_take_u8(in);
  if (kinds >= KINDS_LIMIT) in->bad = true;
  bool known = slot != FRESHET_NO_ITEM;
  float* before = known ? freshet_model_rows_before(model, slot) : NULL;
  take_row(in, (row_kind)(kinds % ROW_KINDS), dim, known ? freshet_model_factor(model, slot) : NULL, before);
  const row_kind kind = (row_kind)(kinds / ROW_KINDS % ROW_KINDS);
  float* m = known && kind != ROW_NONE ? freshet_model_own_context_factor(model, slot) : NULL;
  take_row(in, kind, dim, m, before == NULL ? NULL : before + dim);
  if (known) {
    add_gains(model, slot, &gain);
    add_to_pending(model, slot, &gain);
  }
  return (kinds % ROW_KINDS != ROW_NONE ? FRESHET_GIVES_V : 0) + (kind != ROW_NONE ? FRESHET_GIVES_M : 0);
}

void freshet_put_blend(freshet_buffer* out, const double* now, const double* now_squares,
                       const double* before, const double* before_squares) {
  PUT(out, uint32_t, BLEND_WEIGHTS);
  for (int i = 0; i < BLEND_WEIGHTS; i++) PUT(out, double, now[i] - before[i]);
  for (int i = 0; i < BLEND_WEIGHTS; i++) PUT(out, double, now_squares[i] - before_squares[i]);
}

double freshet_blend_bound(int i) {
  static const double exponent_most = 8, most = 100;
  if (i == WORTH_USUAL_PRICE) return SIGNAL_CODES;
  return i >= LP && i < TS ? exponent_most : most;
}

static void add_blend(double* x, double* before, double gain, double bound) {
  *x = freshet_grid(freshet_clamp(*x + gain, -bound, bound));
  if (before != NULL) *before = freshet_grid(freshet_clamp(*before + gain, -bound, bound));
}

enum { SQUARES_BOUND = 1000 };

bool freshet_model_delta_is_later(const freshet_model_delta* delta) {
  freshet_byte_reader in = freshet_read_slice(delta->globals);
  const uint32_t weights = freshet_take_u32(&in);
  return !in.bad && weights > BLEND_WEIGHTS && in.left / (2 * sizeof(double)) == weights;
}

uint32_t freshet_take_blend(freshet_model* model, freshet_byte_reader* in, bool apply) {
  const uint32_t weights = freshet_take_u32(in);
  if (weights > BLEND_WEIGHTS) in->bad = true;
  for (uint32_t i = 0; !in->bad && i < 2 * weights; i++) {
    double gain = freshet_take_f64(in);
    if (!apply || in->bad) continue;
    if (i < weights) {
      add_blend(&model->blend[i], &model->pending_blend[i], gain, freshet_blend_bound((int)i));
    } else {
      add_blend(&model->blend_squares[i - weights], &model->pending_blend_squares[i - weights], gain,
                SQUARES_BOUND);
    }
  }
  return weights;
}
