/*
 * model_bytes.c: the additive part of an item and the blend weights as bytes. An item's part is
 *
 *   f64 bias, f64 factor squares, f64 context squares, f64 bias squares, u8 kinds of the rows v (bits 0, 1) and
 *   m (bits 2, 3), v row, m row
 *
 * where a row is nothing, i16 [dim], i32 [dim], or u8 shift and i8 [dim] to be shifted left by it,
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
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                           "malformed %s: damaged, or written by a newer version", name);
}

static int32_t units_of(float now, float before) {
  return (int32_t)((now - before) * (1 / FRESHET_FACTOR_STEP));
}

/* The factor on its grid, within what keeps sums exact. */
static void add_units(float* x, int32_t units) {
  float sum = *x + (float)units * FRESHET_FACTOR_STEP;
  *x = sum > 7.5F ? 7.5F : sum < -7.5F ? -7.5F : sum;
}

/* By how many bits the numbers have to be shifted to the right so that each fits a byte. */
static unsigned shift_for_bytes(freshet_row_look look) {
  unsigned shift = 0;
  while (look.high >> shift > INT8_MAX || look.low >> shift < INT8_MIN) shift++;
  return shift;
}

/* One loop for each form, so that the compiler makes vectors of them. */
static void put_bytes(uint8_t* restrict out, const float* restrict now, const float* restrict before,
                      unsigned shift, uint32_t dim) {
  for (uint32_t i = 0; i < dim; i++) out[i] = (uint8_t)(units_of(now[i], before[i]) >> shift);
}
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
                        const float* before, bool may_be_bytes) {
  const uint32_t dim = model->config.dim;
  const freshet_row_look look = model->kernels->look(now, before, dim);
  if (look.low == 0 && look.high == 0) return ROW_NONE;
  const unsigned shift = shift_for_bytes(look);
  row_kind kind = look.low < INT16_MIN || look.high > INT16_MAX ? ROW_WIDE : ROW_NARROW;
  if (may_be_bytes && shift <= SHIFT_MAX && (look.bits & ((1u << shift) - 1)) == 0) kind = ROW_BYTES;
  if (kind == ROW_BYTES) PUT(out, uint8_t, (uint8_t)shift);
  uint8_t* at = freshet_buffer_reserve(out, dim * size_of_number(kind));
  if (kind == ROW_BYTES) put_bytes(at, now, before, shift, dim);
  if (kind == ROW_NARROW) put_narrow((freshet_i16*)(void*)at, now, before, dim);
  if (kind == ROW_WIDE) put_wide((freshet_i32*)(void*)at, now, before, dim);
  out->size += dim * size_of_number(kind);
  return kind;
}

static void coarsen_row(const freshet_model* model, float* now, const float* before) {
  const uint32_t dim = model->config.dim;
  const freshet_row_look look = model->kernels->look(now, before, dim);
  unsigned shift = shift_for_bytes(look);
  if (shift == 0) return;
  if ((look.high + (1 << (shift - 1))) >> shift > INT8_MAX) shift++; /* rounded up it would not fit */
  for (uint32_t i = 0; i < dim; i++) {
    const int32_t rounded = (units_of(now[i], before[i]) + (1 << (shift - 1))) >> shift;
    now[i] = before[i];
    add_units(&now[i], (int32_t)((uint32_t)rounded << shift));
  }
}

void freshet_model_coarsen(freshet_model* model, uint32_t slot, const float* v_before,
                           const float* m_before) {
  coarsen_row(model, freshet_model_factor(model, slot), v_before);
  float* m = freshet_model_context_factor(model, slot);
  if (m != NULL) coarsen_row(model, m, m_before);
}

void freshet_put_gains(const freshet_model* model, uint32_t slot, const freshet_gains* gain,
                       const float* v_before, const float* m_before, bool may_be_bytes, freshet_buffer* out) {
  freshet_put(out, gain, sizeof *gain);
  size_t kinds_at = out->size;
  PUT(out, uint8_t, 0);
  const row_kind v = put_row(model, out, freshet_model_factor(model, slot), v_before, may_be_bytes);
  const float* m_now = freshet_model_context_factor(model, slot);
  const row_kind m = m_now == NULL ? ROW_NONE : put_row(model, out, m_now, m_before, may_be_bytes);
  out->data[kinds_at] = (uint8_t)(v + ROW_KINDS * m);
}

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

void freshet_take_gains(freshet_model* model, freshet_byte_reader* in, uint32_t slot) {
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
  if (!known) return;
  item* it = &model->items[slot];
  it->bias = freshet_grid(freshet_clamp(it->bias + gain.bias, -1000, 1000));
  it->factor_squares = freshet_grid_sum(
      freshet_clamp(it->factor_squares + gain.factor_squares, -FRESHET_SCALAR_LIMIT, FRESHET_SCALAR_LIMIT));
  it->context_squares = freshet_grid_sum(
      freshet_clamp(it->context_squares + gain.context_squares, -FRESHET_SCALAR_LIMIT, FRESHET_SCALAR_LIMIT));
  it->bias_squares = freshet_grid_sum(
      freshet_clamp(it->bias_squares + gain.bias_squares, -FRESHET_SCALAR_LIMIT, FRESHET_SCALAR_LIMIT));
  uint32_t place;
  gathered* g = freshet_model_gathered_of(model, slot, &place);
  if (g == NULL) return;
  pending_item* old = &g->items[place];
  old->bias += gain.bias;
  old->factor_squares += gain.factor_squares;
  old->context_squares += gain.context_squares;
  old->bias_squares += gain.bias_squares;
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
