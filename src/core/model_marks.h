/*
 * model_marks.h: a few items out of many, each marked with a number, and a filter that tells quickly that an
 * item is not among them.
 *
 * The filter has two sets of 256 tags (Bloom, 1970, with a set for each hash): an item may be marked if both
 * its tags are in them. With 50 marks one item in 30 passes that is not marked. Lists keep the tags of their
 * items beside them, so that nothing but tags is read of what is not marked. Here a tag of a set is a byte,
 * cheap to add; kernels make it a bit, so that a set is two tables of 16 bytes and a byte shuffle looks up 32
 * items at once.
 */
#ifndef FRESHET_CORE_MODEL_MARKS_H
#define FRESHET_CORE_MODEL_MARKS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct freshet_marks {
  uint8_t* of; /* [items + 3] 1 .. 255, 0: not marked; the owner's */
  /* [tags] all ones when a marked item may have the tag, 0 when none has */
  _Alignas(64) uint8_t tagged[2][256];
  uint64_t places[256]; /* [bits] the places of the bits that are set, a byte each, lowest first */
} freshet_marks;

enum { FRESHET_MARKS_FACTOR = 0x9e35 };

/* Makes the marks empty. The caller sets `of`, all 0. */
static inline void freshet_marks_init(freshet_marks* marks) {
  memset(marks, 0, sizeof *marks);
  for (unsigned bits = 0; bits < 256; bits++) {
    unsigned count = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
      if (bits >> bit & 1) marks->places[bits] |= (uint64_t)bit << (8 * count++);
    }
  }
}

/* The tags of 32 items that lie side by side. */
typedef struct freshet_tags {
  _Alignas(64) uint8_t low[32];
  uint8_t mixed[32];
} freshet_tags;

enum { FRESHET_TAGS = 32 };

static inline uint8_t freshet_tag_low(uint32_t item) {
  return (uint8_t)item;
}

static inline uint8_t freshet_tag_mixed(uint32_t item) {
  return (uint8_t)((item * FRESHET_MARKS_FACTOR & 0xffff) >> 8);
}

/* Sets the tags of item i of a list, tags [i / FRESHET_TAGS + 1], to those of `item`. */
static inline void freshet_tags_set(freshet_tags* tags, size_t i, uint32_t item) {
  tags[i / FRESHET_TAGS].low[i % FRESHET_TAGS] = freshet_tag_low(item);
  tags[i / FRESHET_TAGS].mixed[i % FRESHET_TAGS] = freshet_tag_mixed(item);
}

static inline void freshet_marks_add(freshet_marks* marks, uint32_t item, uint8_t mark) {
  marks->of[item] = mark;
  marks->tagged[0][freshet_tag_low(item)] = 0xff;
  marks->tagged[1][freshet_tag_mixed(item)] = 0xff;
}

/* `items` are all that are marked. */
static inline void freshet_marks_clear(freshet_marks* marks, const uint32_t* items, size_t count) {
  /* kept in a register: the compiler assumes that a store of a byte may change any memory */
  uint8_t* of = marks->of;
  for (size_t i = 0; i < count; i++) of[items[i]] = 0;
  for (size_t at = 0; at < sizeof marks->tagged; at += 64) memset(&marks->tagged[0][0] + at, 0, 64);
}

#endif
