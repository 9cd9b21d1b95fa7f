/*
 * support_older_globals.h: stored globals of a model as an older version wrote them.
 */
#ifndef FRESHET_TESTS_SUPPORT_OLDER_GLOBALS_H
#define FRESHET_TESTS_SUPPORT_OLDER_GLOBALS_H

#include "core/model_blend.h"
#include "freshet/model.h"

enum { GLOBALS_BLEND = 41 }; /* bytes of stored globals before the blend: see model_state.c */

/* Writes the model's globals to *out with no more than the first `count` weights of the blend. */
static inline void older_globals(const freshet_model* model, uint32_t count, freshet_buffer* out) {
  freshet_buffer bytes = {0};
  freshet_model_write_globals(model, 0, &bytes);
  const uint8_t *weights = bytes.data + GLOBALS_BLEND + sizeof count,
                *squares = weights + BLEND_WEIGHTS * sizeof(double),
                *rest = squares + BLEND_WEIGHTS * sizeof(double);
  freshet_buffer_append(out, bytes.data, GLOBALS_BLEND);
  freshet_buffer_append(out, &count, sizeof count);
  freshet_buffer_append(out, weights, count * sizeof(double));
  freshet_buffer_append(out, squares, count * sizeof(double));
  freshet_buffer_append(out, rest, (size_t)(bytes.data + bytes.size - rest));
  freshet_buffer_free(&bytes);
}

#endif
