/*
 * model_given.c: which rows a thinned take gives. A commit of a busy worker changes many rows, and most of them a little. So
 * a take has a budget: at most about so many rows for each event. Where more rows have changed, a row that has moved by s
 * is given with the chance s / t, and counts t / s times; one that has moved by t or more is always given. So the mean is
 * right, and what each row adds to the noise is bounded by t. This is Poisson sampling with chances in proportion to size
 * (Hajek, 1964). Rows that are not given are as they were before: nothing waits that a crash could lose.
 *
 * t is found from a few hundred of the items. It is the worker's own affair: the delta says what has been given.
 */
#include "core/model_bytes.h"

enum {
  SAMPLE = 256,
  HALVINGS = 24,
  FEW_EVENTS =
      1000, /* a commit of fewer events may give as many rows: they cost others little, and drawn rows move far */
};
static const double rows_per_event = .75;

static freshet_row_sizes sizes_of(const freshet_model* model, const gathered* g, size_t place) {
  const pending_item* old = &g->items[place];
  const float* rows = g->rows + place * 2 * model->config.dim;
  const freshet_gains before = {old->bias, old->factor_squares, old->context_squares, old->bias_squares};
  return freshet_gain_sizes(model, old->slot, &before, rows, rows + model->config.dim);
}

static double chance_of(float size, double threshold) {
  if (!(size > 0)) return 0;
  return (double)size >= threshold ? 1 : (double)size / threshold;
}

static double rows_given(const freshet_row_sizes* sizes, size_t count, double threshold) {
  double given = 0;
  for (size_t i = 0; i < count; i++)
    given += chance_of(sizes[i].v, threshold) + chance_of(sizes[i].m, threshold);
  return given;
}

float freshet_model_given_threshold(const freshet_model* model, const gathered* g) {
  freshet_row_sizes sizes[SAMPLE];
  const size_t count = g->count < SAMPLE ? g->count : SAMPLE;
  float most = 0;
  for (size_t i = 0; i < count; i++) {
    sizes[i] = sizes_of(model, g, i * g->count / count);
    most = fmaxf(most, fmaxf(sizes[i].v, sizes[i].m));
  }
  const size_t events = g->trace_count > FEW_EVENTS ? g->trace_count : FEW_EVENTS;
  const double budget = rows_per_event * (double)events * (double)count / (double)g->count;
  double low = 0, high = (double)most * 1024;
  if (rows_given(sizes, count, low) <= budget) return 0;
  for (int i = 0; i < HALVINGS; i++) {
    const double middle = .5 * (low + high);
    if (rows_given(sizes, count, middle) > budget) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return (float)high;
}

/* random: 32 bits. */
static float times_of(float size, float threshold, uint32_t random) {
  if (!(size > 0)) return 0;
  if (size >= threshold) return 1;
  return (float)(random >> 8) * 0x1p-24F * threshold < size ? threshold / size : 0;
}

freshet_row_times freshet_model_given_times(freshet_row_sizes sizes, float threshold, uint64_t random) {
  return (freshet_row_times){times_of(sizes.v, threshold, (uint32_t)random),
                             times_of(sizes.m, threshold, (uint32_t)(random >> 32))};
}
