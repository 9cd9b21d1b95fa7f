/*
 * bytes.h: a view of bytes that somebody else owns, and a growing buffer that its holder owns.
 */
#ifndef FRESHET_BYTES_H
#define FRESHET_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view: never owns, may hold any bytes, is not NUL-terminated. data may be NULL only when size is 0. */
typedef struct freshet_slice {
  const char* data;
  size_t size;
} freshet_slice;

static inline freshet_slice freshet_slice_of(const char* text) {
  return (freshet_slice){text, text == NULL ? 0 : strlen(text)};
}

static inline int freshet_slice_equal(freshet_slice a, freshet_slice b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, then length: the order in which ties of a ranking break. Returns <0, 0, >0. */
static inline int freshet_slice_compare(freshet_slice a, freshet_slice b) {
  size_t shorter = a.size < b.size ? a.size : b.size;
  int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
  return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Is it well-formed UTF-8 (Unicode 15, table 3-7)? */
bool freshet_slice_is_utf8(freshet_slice text);

/* A growing buffer. Zero-initialise; release with freshet_buffer_free. Not thread-safe. */
typedef struct freshet_buffer {
  uint8_t* data;
  size_t size;
  size_t capacity;
} freshet_buffer;

/* Makes room for `extra` more bytes and returns where they go (size is unchanged). Aborts when memory is out:
 * the sizes that reach this were bounded at the door. */
uint8_t* freshet_buffer_reserve(freshet_buffer* buffer, size_t extra);
void freshet_buffer_append(freshet_buffer* buffer, const void* bytes, size_t size);
void freshet_buffer_free(freshet_buffer* buffer);

static inline freshet_slice freshet_buffer_slice(const freshet_buffer* buffer) {
  return (freshet_slice){(const char*)buffer->data, buffer->size};
}

#endif
