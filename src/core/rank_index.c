/*
 * rank_index.c: keeps the rows of a ranker in bands of norm while rows come, change and go. It owns the
 * rows, their 8-bit codes and the table of slots. It must not know queries.
 */
#include "core/rank_index.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/table.h"

enum {
  CODE_LEVELS = 127,
  BANDS_PER_OCTAVE_LOG2 = 3,
  FLOAT_FRACTION_BITS = 23,
  LOWEST_OCTAVE = 127 - 16, /* biased exponent of the shortest band: 2^-16 */
  MIN_CAPACITY = 1024,
  LINE = 64,       /* bytes of a cache line */
  DIGIT_BITS = 10, /* of a pass of the sort: 10,000 items are one pass */
  FEW_SLOTS = 16,  /* fewer are not worth sorting */
};

/* From here on a scale and its inverse are as precise as floats are, so that no code exceeds its level. */
static const float LEAST_SCALE = 0x1p-100F;

/* Sums of up to 4,096 squares in double are off by less than the factor 1 + 2^-39, so this covers them. */
static const double NORM_SLACK = 1 + 0x1p-30;

float freshet_rank_norm(freshet_rank_size size) {
  return freshet_rank_round_up(sqrt(size.squares) * NORM_SLACK);
}

uint32_t freshet_rank_band(float norm) {
  /* The exponent and the top bits of the fraction of a float, read as an integer, grow with its value. */
  uint32_t bits;
  memcpy(&bits, &norm, sizeof bits);
  uint32_t key = bits >> (FLOAT_FRACTION_BITS - BANDS_PER_OCTAVE_LOG2);
  const uint32_t lowest = LOWEST_OCTAVE << BANDS_PER_OCTAVE_LOG2;
  uint32_t rank = key < lowest ? 0 : key - lowest;
  return rank >= FRESHET_RANK_BANDS ? 0 : FRESHET_RANK_BANDS - 1 - rank;
}

float freshet_rank_encode(const freshet_rank_kernel_table* kernel, const float* values, size_t n,
                          float largest, int levels, int8_t* codes, float* scale) {
  *scale = largest / (float)levels;
  if (*scale < LEAST_SCALE) *scale = 0; /* so small that all codes may be 0 */
  const float inverse = *scale > 0 ? 1 / *scale : 0;
  return freshet_rank_round_up(sqrt(kernel->round(values, n, inverse, *scale, codes)) * NORM_SLACK);
}

/* ---- memory ---- */

/* An array with one entry for each row, or for each panel. */
struct column {
  void** array;
  size_t size; /* bytes of an entry; 0: there is no array */
  size_t rows; /* of an entry */
};

enum { COLUMNS = 11 };

/* Values of a row that are not lent. */
static size_t own_stride(const freshet_rank_index* index) {
  return index->stride - index->lent_dim;
}

/* Not for a stride of 0: there is no memory then. */
static float* own_row(const freshet_rank_index* index, uint32_t row) {
  return index->rows + row * own_stride(index);
}

static void list_columns(freshet_rank_index* index, struct column columns[COLUMNS]) {
  columns[0] = (struct column){(void**)&index->rows, own_stride(index) * sizeof(float), 1};
  columns[1] = (struct column){(void**)&index->codes, index->groups * 4, 1};
  columns[2] = (struct column){(void**)&index->scales, sizeof(float), 1};
  columns[3] = (struct column){(void**)&index->biases, sizeof(float), 1};
  columns[4] = (struct column){(void**)&index->norms, sizeof(float), 1};
  columns[5] = (struct column){(void**)&index->errors, sizeof(float), 1};
  columns[6] = (struct column){(void**)&index->slots, sizeof(uint32_t), 1};
  columns[7] = (struct column){(void**)&index->bounds.norms, sizeof(float), FRESHET_PANEL};
  columns[8] = (struct column){(void**)&index->bounds.errors, sizeof(float), FRESHET_PANEL};
  columns[9] = (struct column){(void**)&index->bounds.biases, sizeof(float), FRESHET_PANEL};
  columns[10] = (struct column){(void**)&index->bounds.slacks, sizeof(float), FRESHET_PANEL};
}

static void clear_row(freshet_rank_index* index, uint32_t row);

static freshet_status no_memory(freshet_error* error) {
  return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "no memory for the ranker's rows");
}

static freshet_status reserve_rows(freshet_rank_index* index, uint32_t capacity, freshet_error* error) {
  struct column columns[COLUMNS];
  list_columns(index, columns);
  for (size_t c = 0; c < COLUMNS; c++) {
    if (columns[c].size == 0) continue;
    void* grown = freshet_table_grow(*columns[c].array, capacity / columns[c].rows, columns[c].size);
    if (grown == NULL) return no_memory(error); /* what has grown already keeps its rows */
    *columns[c].array = grown;
  }
  index->capacity = capacity;
  return FRESHET_OK;
}

static freshet_status reserve_slots(freshet_rank_index* index, uint32_t capacity, freshet_error* error) {
  uint32_t* grown = freshet_table_grow(index->row_of, capacity, sizeof *grown);
  if (grown == NULL) return no_memory(error);
  memset(grown + index->slots_capacity, 0xff, (capacity - index->slots_capacity) * sizeof *grown);
  index->row_of = grown;
  index->slots_capacity = capacity;
  return FRESHET_OK;
}

/* The next capacity that holds `needed`, or 0 when there is none. */
static uint32_t next_capacity(uint32_t capacity, uint32_t needed) {
  uint64_t next = capacity < MIN_CAPACITY ? MIN_CAPACITY : capacity;
  while (next < needed) next = next + next / 4;
  next = (next + FRESHET_PANEL - 1) / FRESHET_PANEL * FRESHET_PANEL;
  return next < FRESHET_RANK_NO_ROW ? (uint32_t)next : 0;
}

freshet_status freshet_rank_index_create(freshet_rank_index* index, const freshet_ranker_config* config,
                                         const freshet_rank_kernel_table* kernel, freshet_error* error) {
  const uint32_t dim = config->dim;
  *index = (freshet_rank_index){.dim = dim, .kernel = kernel};
  index->stride = (dim + FRESHET_RANK_LANES - 1) / FRESHET_RANK_LANES * FRESHET_RANK_LANES;
  index->groups = kernel->query_levels > 0 ? (dim + 3) / 4 : 0;
  if (index->groups > 0) {
    index->lent = config->lent;
    index->lent_dim = config->lent_dim;
  }
  uint32_t rows = next_capacity(0, config->capacity);
  freshet_status status = rows == 0 ? no_memory(error) : reserve_rows(index, rows, error);
  if (status == FRESHET_OK) status = reserve_slots(index, rows, error);
  if (status != FRESHET_OK) freshet_rank_index_free(index);
  return status;
}

void freshet_rank_index_free(freshet_rank_index* index) {
  struct column columns[COLUMNS];
  list_columns(index, columns);
  for (size_t c = 0; c < COLUMNS; c++) freshet_table_free(*columns[c].array);
  freshet_table_free(index->row_of);
  *index = (freshet_rank_index){0};
}

size_t freshet_rank_index_memory(const freshet_rank_index* index) {
  struct column columns[COLUMNS];
  size_t size = (size_t)index->slots_capacity * sizeof *index->row_of;
  freshet_rank_index copy = *index;
  list_columns(&copy, columns);
  const size_t rows = freshet_rank_index_panels(index) * FRESHET_PANEL; /* what is beyond has no memory yet */
  for (size_t c = 0; c < COLUMNS; c++) size += columns[c].size * (rows / columns[c].rows);
  return size;
}

freshet_rank_panels freshet_rank_index_view(const freshet_rank_index* index) {
  return (freshet_rank_panels){.stride = index->stride,
                               .groups = index->groups,
                               .rows = index->rows,
                               .codes = index->codes,
                               .scales = index->scales,
                               .biases = index->biases,
                               .bounds = index->bounds};
}

/* ---- one row ---- */

/* The largest of the 32 values of a panel, in lanes that the compiler turns into vectors. */
static float largest_of_panel(const float* values) {
  float lanes[8];
  memcpy(lanes, values, sizeof lanes);
  for (size_t i = 8; i < FRESHET_PANEL; i += 8) {
    for (size_t l = 0; l < 8; l++) lanes[l] = values[i + l] > lanes[l] ? values[i + l] : lanes[l];
  }
  for (size_t half = 4; half > 0; half /= 2) {
    for (size_t l = 0; l < half; l++) lanes[l] = lanes[l + half] > lanes[l] ? lanes[l + half] : lanes[l];
  }
  return lanes[0];
}

/* What a row adds to the bounds of its panel. */
typedef struct row_sizes {
  float norm, error, bias;
} row_sizes;

static row_sizes sizes_of(const freshet_rank_index* index, uint32_t row) {
  return (row_sizes){index->norms[row], index->errors[row], index->biases[row]};
}

/* Keeps the largest of a panel's values when one of them changes from `old` to `now`. Only if the largest has become
 * smaller, all are looked at. */
static void keep_largest(float* largest, float old, float now, const float* values) {
  if (now >= *largest) {
    *largest = now;
  } else if (old >= *largest) {
    *largest = largest_of_panel(values);
  }
}

static float slack_of_panel(const float* biases) {
  float sizes[FRESHET_PANEL];
  for (size_t i = 0; i < FRESHET_PANEL; i++) sizes[i] = biases[i] == -INFINITY ? 0 : fabsf(biases[i]);
  return 0x1p-20f * largest_of_panel(sizes) + 0x1p-120f; /* 16 u = 2^-20 */
}

/* The row has changed; `old` is what it was. */
static void refresh_bounds(freshet_rank_index* index, uint32_t row, row_sizes old) {
  const size_t panel = row / FRESHET_PANEL, first = panel * FRESHET_PANEL;
  const row_sizes now = sizes_of(index, row);
  keep_largest(&index->bounds.norms[panel], old.norm, now.norm, index->norms + first);
  keep_largest(&index->bounds.errors[panel], old.error, now.error, index->errors + first);
  if (now.bias == old.bias) return;
  keep_largest(&index->bounds.biases[panel], old.bias, now.bias, index->biases + first);
  index->bounds.slacks[panel] = slack_of_panel(index->biases + first);
}

/* Of a panel without rows. */
static void clear_bounds(freshet_rank_index* index, uint32_t panel) {
  index->bounds.norms[panel] = index->bounds.errors[panel] = 0;
  index->bounds.biases[panel] = -INFINITY;
  index->bounds.slacks[panel] = 0x1p-120f;
}

/* The codes of one row: a group of 4 bytes every 128. */
static uint8_t* row_codes(const freshet_rank_index* index, uint32_t row) {
  return index->codes + (row / FRESHET_PANEL * index->groups * FRESHET_PANEL + row % FRESHET_PANEL) * 4;
}

static void write_codes(freshet_rank_index* index, uint32_t row, const float* values, float largest) {
  int8_t codes[FRESHET_RANK_DIM_MAX];
  index->errors[row] = freshet_rank_encode(index->kernel, values, index->stride, largest, CODE_LEVELS, codes,
                                           &index->scales[row]);
  uint8_t* target = row_codes(index, row);
  for (size_t g = 0; g < index->groups; g++) {
    uint32_t four;
    memcpy(&four, codes + g * 4, sizeof four);
    four ^= FRESHET_RANK_CODE_ZERO * 0x01010101U; /* adds it to each of the bytes */
    memcpy(target + g * FRESHET_PANEL * 4, &four, sizeof four);
  }
}

static void write_row(freshet_rank_index* index, uint32_t row, uint32_t slot, const float* values, float bias,
                      freshet_rank_size size) {
  const row_sizes old = sizes_of(index, row);
  if (own_stride(index) > 0)
    memcpy(own_row(index, row), values + index->lent_dim, own_stride(index) * sizeof *values);
  index->scales[row] = index->errors[row] = 0;
  if (index->groups > 0) write_codes(index, row, values, size.largest);
  index->biases[row] = bias;
  index->norms[row] = freshet_rank_norm(size);
  index->slots[row] = slot;
  index->row_of[slot] = row;
  refresh_bounds(index, row, old);
}

static void move_row(freshet_rank_index* index, uint32_t to, uint32_t from) {
  const row_sizes old = sizes_of(index, to);
  if (own_stride(index) > 0)
    memcpy(own_row(index, to), own_row(index, from), own_stride(index) * sizeof(float));
  if (index->groups > 0) {
    uint8_t* target = row_codes(index, to);
    const uint8_t* source = row_codes(index, from);
    for (size_t g = 0; g < index->groups; g++)
      memcpy(target + g * FRESHET_PANEL * 4, source + g * FRESHET_PANEL * 4, 4);
  }
  index->scales[to] = index->scales[from];
  index->errors[to] = index->errors[from];
  index->biases[to] = index->biases[from];
  index->norms[to] = index->norms[from];
  index->slots[to] = index->slots[from];
  index->row_of[index->slots[to]] = to;
  refresh_bounds(index, to, old);
}

static void clear_row(freshet_rank_index* index, uint32_t row) {
  if (index->groups > 0) {
    uint8_t* target = row_codes(index, row);
    for (size_t g = 0; g < index->groups; g++)
      memset(target + g * FRESHET_PANEL * 4, FRESHET_RANK_CODE_ZERO, 4);
  }
  if (own_stride(index) > 0) memset(own_row(index, row), 0, own_stride(index) * sizeof(float));
  index->scales[row] = index->errors[row] = index->norms[row] = 0;
  index->biases[row] = -INFINITY;
  index->slots[row] = FRESHET_RANK_NO_ROW;
}

/* ---- how rows move ---- */

static uint32_t band_start(const freshet_rank_index* index, uint32_t band) {
  return band == 0 ? 0 : index->band_end[band - 1];
}

/* The band that a row lies in. */
static uint32_t band_of_row(const freshet_rank_index* index, uint32_t row) {
  return freshet_rank_band(index->norms[row]);
}

/* Moves a hole at the end of band `from` (counted in it) to the end of the shorter band `to`. */
static uint32_t sink_hole(freshet_rank_index* index, uint32_t hole, uint32_t from, uint32_t to) {
  for (uint32_t band = from; band < to; band++) {
    index->band_end[band]--; /* the hole now starts the next band */
    uint32_t last = index->band_end[band + 1] - 1;
    if (last != hole) move_row(index, hole, last);
    hole = last;
  }
  return hole;
}

/* Moves a hole at the end of band `from` (counted in it) to the end of the longer band `to`. */
static uint32_t lift_hole(freshet_rank_index* index, uint32_t hole, uint32_t from, uint32_t to) {
  for (uint32_t band = from; band > to; band--) {
    uint32_t first = band_start(index, band);
    if (first != hole) move_row(index, hole, first);
    index->band_end[band - 1]++; /* the hole now ends the previous band */
    hole = first;
  }
  return hole;
}

/* Makes a hole of a row, at the end of its band. */
static uint32_t dig_hole(freshet_rank_index* index, uint32_t row) {
  uint32_t last = index->band_end[band_of_row(index, row)] - 1;
  if (last != row) move_row(index, row, last);
  return last;
}

/* Makes room for the slot, and for a row if the slot has none. */
static freshet_status make_room(freshet_rank_index* index, uint32_t slot, freshet_error* error) {
  if (slot >= index->slots_capacity) {
    uint32_t capacity = next_capacity(index->slots_capacity, slot + 1);
    if (slot == UINT32_MAX || capacity == 0) return no_memory(error);
    freshet_status status = reserve_slots(index, capacity, error);
    if (status != FRESHET_OK) return status;
  }
  if (index->row_of[slot] != FRESHET_RANK_NO_ROW || index->count < index->capacity) return FRESHET_OK;
  uint32_t capacity = next_capacity(index->capacity, index->capacity + 1);
  return capacity == 0 ? no_memory(error) : reserve_rows(index, capacity, error);
}

/* Finds a place for the slot's row in that band, for which there is room. */
static uint32_t place_in_band(freshet_rank_index* index, uint32_t slot, uint32_t band) {
  const uint32_t shortest = FRESHET_RANK_BANDS - 1, place = index->row_of[slot];
  if (place == FRESHET_RANK_NO_ROW) {
    if (index->count % FRESHET_PANEL == 0) {
      for (uint32_t i = 0; i < FRESHET_PANEL; i++) clear_row(index, index->count + i);
      clear_bounds(index, index->count / FRESHET_PANEL);
    }
    index->count++;
    index->band_end[shortest]++;
    return lift_hole(index, index->count - 1, shortest, band);
  }
  const uint32_t old = band_of_row(index, place);
  if (old == band) return place;
  const uint32_t hole = dig_hole(index, place);
  return old < band ? sink_hole(index, hole, old, band) : lift_hole(index, hole, old, band);
}

freshet_status freshet_rank_index_set(freshet_rank_index* index, uint32_t slot, const float* row, float bias,
                                      freshet_error* error) {
  float padded[FRESHET_RANK_DIM_MAX];
  if (index->dim < index->stride) {
    memcpy(padded, row, index->dim * sizeof *row);
    memset(padded + index->dim, 0, (index->stride - index->dim) * sizeof *row);
    row = padded;
  }
  const freshet_rank_size size = index->kernel->measure(row, index->stride);
  if (!isfinite(bias) || !isfinite(size.squares)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "ranker: the row of slot %u is not finite",
                             slot);
  }
  freshet_status status = make_room(index, slot, error);
  if (status != FRESHET_OK) return status;
  const float norm = freshet_rank_norm(size);
  write_row(index, place_in_band(index, slot, freshet_rank_band(norm)), slot, row, bias, size);
  index->largest = fmaxf(index->largest, fmaxf(norm, fabsf(bias)));
  return FRESHET_OK;
}

void freshet_rank_index_fetch(const freshet_rank_index* index, uint32_t slot) {
  const uint32_t row = freshet_rank_index_row(index, slot);
  if (row == FRESHET_RANK_NO_ROW) return;
  for (size_t at = 0; at < own_stride(index); at += LINE / sizeof(float))
    __builtin_prefetch(own_row(index, row) + at, 1);
  for (size_t g = 0; g < index->groups; g++)
    __builtin_prefetch(row_codes(index, row) + g * FRESHET_PANEL * 4, 1);
}

/* One pass of a radix sort, by DIGIT_BITS bits of each slot's panel from `shift` on. */
static void sort_pass(const freshet_rank_index* index, const uint32_t* from, uint32_t* to, size_t count,
                      unsigned shift) {
  enum { DIGITS = 1 << DIGIT_BITS };
  uint32_t starts[DIGITS + 1] = {0};
  for (size_t i = 0; i < count; i++)
    starts[1 + (freshet_rank_index_row(index, from[i]) / FRESHET_PANEL >> shift) % DIGITS]++;
  for (size_t d = 1; d < DIGITS; d++) starts[d] += starts[d - 1];
  for (size_t i = 0; i < count; i++)
    to[starts[(freshet_rank_index_row(index, from[i]) / FRESHET_PANEL >> shift) % DIGITS]++] = from[i];
}

void freshet_rank_index_sort(const freshet_rank_index* index, uint32_t* slots, size_t count) {
  uint32_t* other = count < FEW_SLOTS ? NULL : malloc(count * sizeof *other);
  if (other == NULL) return; /* it would only be faster */
  for (unsigned shift = 0; freshet_rank_index_panels(index) >> shift > 0; shift += DIGIT_BITS) {
    sort_pass(index, slots, other, count, shift);
    memcpy(slots, other, count * sizeof *slots);
  }
  free(other);
}

void freshet_rank_index_remove(freshet_rank_index* index, uint32_t slot) {
  uint32_t row = freshet_rank_index_row(index, slot);
  if (row == FRESHET_RANK_NO_ROW) return;
  uint32_t band = band_of_row(index, row);
  index->row_of[slot] = FRESHET_RANK_NO_ROW;
  uint32_t hole = sink_hole(index, dig_hole(index, row), band, FRESHET_RANK_BANDS - 1);
  index->band_end[FRESHET_RANK_BANDS - 1]--;
  index->count--;
  const row_sizes old = sizes_of(index, hole);
  clear_row(index, hole);
  refresh_bounds(index, hole, old);
}
