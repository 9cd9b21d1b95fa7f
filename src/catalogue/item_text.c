/* item_text.c: see item_text.h. Arithmetic only: no store, no model, no encoder. */
#include "catalogue/item_text.h"

#include <math.h>

#include "core/maths.h"
#include "text/unicode.h"

freshet_slice freshet_item_text(const freshet_item* item, freshet_buffer* scratch) {
  scratch->size = 0;
  freshet_buffer_append(scratch, item->title.data, item->title.size);
  if (item->title.size > 0 && item->text.size > 0) freshet_buffer_append(scratch, "\n", 1);
  freshet_buffer_append(scratch, item->text.data, item->text.size);
  return freshet_buffer_slice(scratch);
}

uint64_t freshet_item_text_hash(const freshet_item* item, freshet_buffer* scratch) {
  const freshet_slice text = freshet_item_text(item, scratch);
  if (item->vector == NULL && !freshet_text_has_word(text)) return 0;
  if (item->vector != NULL)
    freshet_buffer_append(scratch, item->vector, item->vector_dim * sizeof *item->vector);
  return scratch->size == 0 ? 0 : freshet_id_key(freshet_buffer_slice(scratch));
}

/* The power of two that brings the largest of x [count] into 0.5 .. 1. Anybody may publish a vector, and sums of
 * numbers near the ends of the range of float would not be finite. A power of two changes no bit of the result. */
static int exponent_of(const float* x, size_t count) {
  float top = 0;
  int exponent = 0;
  for (size_t j = 0; j < count; j++) top = fmaxf(top, fabsf(x[j]));
  frexpf(top, &exponent);
  return -exponent;
}

/* Adds the direction of x [count], finite, to vector [dim]. Zeros have none. */
static void add_direction(const float* x, size_t count, float* vector, uint32_t dim) {
  enum { SIGNS = 64 };
  int exponent = exponent_of(x, count);
  double squares = 0;
  for (size_t j = 0; j < count; j++) {
    double value = ldexp((double)x[j], exponent);
    squares += value * value;
  }
  if (squares <= 0) return;
  float scale = (float)(1 / sqrt(squares));
  if (count == dim) {
    for (size_t j = 0; j < count; j++) vector[j] += scale * ldexpf(x[j], exponent);
    return;
  }
  scale /= sqrtf((float)dim);
  for (uint32_t k = 0; k < dim; k++) {
    float sum = 0;
    for (size_t j = 0; j < count; j += SIGNS) {
      uint64_t signs = freshet_random(k, j / SIGNS);
      for (size_t s = 0; s < SIGNS && j + s < count; s++, signs >>= 1) {
        float value = ldexpf(x[j + s], exponent);
        sum += (signs & 1) != 0 ? value : -value;
      }
    }
    vector[k] += scale * sum;
  }
}

void freshet_item_complete_vector(const freshet_item* item, float* vector, uint32_t dim) {
  if (item->vector == NULL) return;
  add_direction(item->vector, item->vector_dim, vector, dim);
  double squares = 0;
  for (uint32_t k = 0; k < dim; k++) squares += (double)vector[k] * (double)vector[k];
  if (squares <= 0) return;
  for (uint32_t k = 0; k < dim; k++) vector[k] = (float)((double)vector[k] / sqrt(squares));
}

void freshet_history_text_add(freshet_slice text, freshet_buffer* joined) {
  size_t size = text.size < FRESHET_HISTORY_TEXT_BYTES ? text.size : FRESHET_HISTORY_TEXT_BYTES;
  /* Not in the middle of a character: a UTF-8 continuation byte looks like 10xxxxxx. */
  while (size < text.size && size > 0 && (text.data[size] & 0xc0) == 0x80) size--;
  if (size == 0) return;
  if (joined->size > 0) freshet_buffer_append(joined, "\n", 1);
  freshet_buffer_append(joined, text.data, size);
}
