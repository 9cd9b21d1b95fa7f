/*
 * bytes.c: the growing buffer of bytes.h, and the check for UTF-8. Pure, and used everywhere; it must not
 * know what the bytes mean.
 */
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

/* Length of the UTF-8 sequence at `at` (Unicode 15, table 3-7), 0 when it is not one. */
static size_t utf8_sequence(const unsigned char* at, size_t left) {
  unsigned char lead = at[0];
  if (lead < 0x80) return 1;
  size_t size = lead >= 0xc2 && lead <= 0xdf   ? 2
                : (lead & 0xf0) == 0xe0        ? 3
                : lead >= 0xf0 && lead <= 0xf4 ? 4
                                               : 0;
  if (size == 0 || size > left) return 0;
  for (size_t i = 1; i < size; i++) {
    if ((at[i] & 0xc0) != 0x80) return 0;
  }
  bool overlong = (lead == 0xe0 && at[1] < 0xa0) || (lead == 0xf0 && at[1] < 0x90);
  bool surrogate = lead == 0xed && at[1] >= 0xa0;
  bool beyond = lead == 0xf4 && at[1] >= 0x90;
  return overlong || surrogate || beyond ? 0 : size;
}

static bool is_ascii_word(const unsigned char* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return (word & 0x8080808080808080u) == 0;
}

bool freshet_slice_is_utf8(freshet_slice text) {
  const unsigned char* at = (const unsigned char*)text.data;
  size_t left = text.size;
  while (left > 0) {
    size_t size = left >= sizeof(uint64_t) && is_ascii_word(at) ? sizeof(uint64_t) : utf8_sequence(at, left);
    if (size == 0) return false;
    at += size;
    left -= size;
  }
  return true;
}
