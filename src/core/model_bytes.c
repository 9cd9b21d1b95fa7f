/*
 * model_bytes.c: the additive part of an item and the blend weights as bytes. An item's part is
 *
 *   f64 bias, f64 factor squares, f64 context squares, f64 bias squares, u8 flags (V_THERE, V_WIDE, M_THERE,
 *   M_WIDE), v row, m row
 *
 * and the blend is u32 count, f64 gain of each weight [count], f64 gain of its accumulator [count]. Nothing here
 * knows deltas or stored items.
 */
#include "core/model_bytes.h"

enum { V_THERE = 1, V_WIDE = 2, M_THERE = 4, FLAGS = 15 /* M_WIDE = 8 included */ };

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

/* Writes now - before of a row and returns its flags: there, wide. */
static unsigned put_row(freshet_buffer* out, const float* now, const float* before, uint32_t dim) {
  int32_t low = 0, high = 0;
  for (uint32_t i = 0; i < dim; i++) {
    int32_t units = units_of(now[i], before[i]);
    low = units < low ? units : low;
    high = units > high ? units : high;
  }
  if (low == 0 && high == 0) return 0;
  bool wide = low < INT16_MIN || high > INT16_MAX;
  size_t size = wide ? sizeof(int32_t) : sizeof(int16_t);
  uint8_t* at = freshet_buffer_reserve(out, dim * size);
  for (uint32_t i = 0; i < dim; i++) {
    int32_t units = units_of(now[i], before[i]);
    memcpy(at + i * size, &units, size);
  }
  out->size += dim * size;
  return wide ? 3 : 1;
}

void freshet_put_gains(const freshet_model* model, uint32_t slot, const freshet_gains* gain,
                       const float* v_before, const float* m_before, freshet_buffer* out) {
  uint32_t dim = model->config.dim;
  freshet_put(out, gain, sizeof *gain);
  size_t flags_at = out->size;
  PUT(out, uint8_t, 0);
  unsigned v = put_row(out, freshet_model_factor(model, slot), v_before, dim);
  unsigned m = put_row(out, freshet_model_context_factor(model, slot), m_before, dim);
  out->data[flags_at] = (uint8_t)(v * V_THERE + m * M_THERE);
}

/* The factor on its grid, within what keeps sums exact. */
static void add_units(float* x, int32_t units) {
  float sum = *x + (float)units * FRESHET_FACTOR_STEP;
  *x = sum > 7.5F ? 7.5F : sum < -7.5F ? -7.5F : sum;
}

/* Reads a row and adds it to x and, unless NULL, to before. x NULL: only looks whether it is well-formed. */
static void take_row(freshet_byte_reader* in, unsigned flags, uint32_t dim, float* x, float* before) {
  const bool is_wide = (flags & V_WIDE) != 0;
  if ((flags & V_THERE) == 0) {
    if (is_wide) in->bad = true;
    return;
  }
  const char* row = freshet_take_bytes(in, dim * (is_wide ? sizeof(int32_t) : sizeof(int16_t)));
  if (row == NULL || (x == NULL && !is_wide)) return; /* a narrow number is always within limits */
  for (uint32_t i = 0; i < dim; i++) {
    int32_t units = is_wide ? ((const freshet_i32*)(const void*)row)[i].value
                            : ((const freshet_i16*)(const void*)row)[i].value;
    if (units < -factor_limit || units > factor_limit) in->bad = true;
    if (in->bad || x == NULL) continue;
    add_units(&x[i], units);
    if (before != NULL) add_units(&before[i], units);
  }
}

void freshet_take_gains(freshet_model* model, freshet_byte_reader* in, uint32_t slot) {
  uint32_t dim = model->config.dim;
  freshet_gains gain = {freshet_take_f64(in), freshet_take_f64(in), freshet_take_f64(in),
                        freshet_take_f64(in)};
  unsigned flags = freshet_take_u8(in);
  if ((flags & ~(unsigned)FLAGS) != 0) in->bad = true;
  bool known = slot != FRESHET_NO_ITEM;
  uint32_t pending = known ? model->items[slot].pending : 0;
  float* before = pending == 0 ? NULL : model->pending_rows + (size_t)(pending - 1) * 2 * dim;
  take_row(in, flags, dim, known ? freshet_model_factor(model, slot) : NULL, before);
  take_row(in, flags / M_THERE, dim, known ? freshet_model_context_factor(model, slot) : NULL,
           before == NULL ? NULL : before + dim);
  if (!known) return;
  item* it = &model->items[slot];
  it->bias = freshet_grid(freshet_clamp(it->bias + gain.bias, -1000, 1000));
  it->factor_squares = freshet_grid_sum(
      freshet_clamp(it->factor_squares + gain.factor_squares, -FRESHET_SCALAR_LIMIT, FRESHET_SCALAR_LIMIT));
  it->context_squares = freshet_grid_sum(
      freshet_clamp(it->context_squares + gain.context_squares, -FRESHET_SCALAR_LIMIT, FRESHET_SCALAR_LIMIT));
  it->bias_squares = freshet_grid_sum(
      freshet_clamp(it->bias_squares + gain.bias_squares, -FRESHET_SCALAR_LIMIT, FRESHET_SCALAR_LIMIT));
  if (pending == 0) return;
  pending_item* old = &model->pending[pending - 1];
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

static void add_blend(double* x, double* before, double gain) {
  *x = freshet_grid(freshet_clamp(*x + gain, -1000, 1000));
  if (before != NULL) *before = freshet_grid(freshet_clamp(*before + gain, -1000, 1000));
}

uint32_t freshet_take_blend(freshet_model* model, freshet_byte_reader* in, bool apply) {
  const uint32_t weights = freshet_take_u32(in);
  if (weights > BLEND_WEIGHTS) in->bad = true;
  for (uint32_t i = 0; !in->bad && i < 2 * weights; i++) {
    double gain = freshet_take_f64(in);
    if (!apply || in->bad) continue;
    if (i < weights) {
      add_blend(&model->blend[i], &model->pending_blend[i], gain);
    } else {
      add_blend(&model->blend_squares[i - weights], &model->pending_blend_squares[i - weights], gain);
    }
  }
  return weights;
}
