/* grow.c: arrays that grow by doubling, so that adding one element costs the same on average however many there are. */
#include "core/grow.h"

#include <stdlib.h>

#include "freshet/status.h"

enum { LEAST = 16 };

void* freshet_grow(void* array, size_t* capacity, size_t needed, size_t size) {
  if (needed <= *capacity) return array;
  size_t grown = *capacity < LEAST ? LEAST : *capacity * 2;
  if (grown < needed) grown = needed;
  FRESHET_ASSERT(grown <= (size_t)-1 / size);
  void* moved = realloc(array, grown * size);
  FRESHET_ASSERT(moved != NULL);
  *capacity = grown;
  return moved;
}
