#include "freshet/bytes.h"

#include <stdlib.h>

#include "freshet/status.h"

uint8_t* freshet_buffer_reserve(freshet_buffer* buffer, size_t extra) {
  FRESHET_ASSERT(extra <= SIZE_MAX / 4 && buffer->size <= SIZE_MAX / 4);
  size_t needed = buffer->size + extra;
  if (needed > buffer->capacity) {
    size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
    while (capacity < needed) capacity *= 2;
    buffer->data = realloc(buffer->data, capacity);
    FRESHET_ASSERT(buffer->data != NULL);
    buffer->capacity = capacity;
  }
  return buffer->size == 0 ? buffer->data : buffer->data + buffer->size; /* NULL + 0 is undefined */
}

void freshet_buffer_append(freshet_buffer* buffer, const void* bytes, size_t size) {
  uint8_t* target = freshet_buffer_reserve(buffer, size);
  if (size > 0) memcpy(target, bytes, size);
  buffer->size += size;
}

void freshet_buffer_free(freshet_buffer* buffer) {
  free(buffer->data);
  *buffer = (freshet_buffer){0};
}
