/*
 * bytes.h: a view of bytes that somebody else owns, and a growing buffer that owns its bytes.
 *
 * Thread rule: a slice is a value. A buffer belongs to one thread at a time.
 */
#ifndef FRESHET_BYTES_H
#define FRESHET_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A view: it never owns, may hold any bytes, and is not NUL-terminated. data may be NULL only when size is
 * 0. It is valid for as long as the memory that it points to. */
typedef struct freshet_slice {
  const char* data;
  size_t size; /* bytes */
} freshet_slice;

/* A view of a NUL-terminated text, without the NUL. NULL gives the empty slice. */
static inline freshet_slice freshet_slice_of(const char* text) {
  freshet_slice slice = {text, text == NULL ? 0 : strlen(text)};
  return slice;
}

/* 1 when both hold the same bytes, else 0. Two empty slices are equal. */
static inline int freshet_slice_equal(freshet_slice a, freshet_slice b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Compares byte by byte, then by length: the order in which ties of a ranking break. Returns <0, 0, >0. */
static inline int freshet_slice_compare(freshet_slice a, freshet_slice b) {
  size_t shorter = a.size < b.size ? a.size : b.size;
  int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
  return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* True when the bytes are well-formed UTF-8 (Unicode 15, table 3-7). The empty slice is. */
bool freshet_slice_is_utf8(freshet_slice text);

/* A growing buffer. Zero-initialise it; release it with freshet_buffer_free. data is NULL while capacity is
 * 0. A caller may set size to a smaller value; data must not be freed or exchanged. */
typedef struct freshet_buffer {
  uint8_t* data; /* [size], owned */
  size_t size;
  size_t capacity;
} freshet_buffer;

/* Makes room for `extra` more bytes and returns the place where they go; size does not change. The place is
 * valid until the next call that changes the buffer. Aborts when memory is out: callers bound the sizes
 * before they come here. */
uint8_t* freshet_buffer_reserve(freshet_buffer* buffer, size_t extra);
/* Appends a copy of `size` bytes. bytes may be NULL when size is 0, and must not point into the buffer.
 * Aborts when memory is out. */
void freshet_buffer_append(freshet_buffer* buffer, const void* bytes, size_t size);
/* Frees the bytes and makes the buffer empty; it may be used again. */
void freshet_buffer_free(freshet_buffer* buffer);

/* A view of what the buffer holds, valid until the next call that changes the buffer. */
static inline freshet_slice freshet_buffer_slice(const freshet_buffer* buffer) {
  freshet_slice slice = {(const char*)buffer->data, buffer->size};
  return slice;
}

#ifdef __cplusplus
}
#endif

#endif
