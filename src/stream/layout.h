/*
 * layout.h: into how many partitions the state of users is divided. It is committed with every offset of `events`, so
 * that state and topics cannot drift apart unseen. It must not know how offsets are committed.
 */
#ifndef FRESHET_STREAM_LAYOUT_H
#define FRESHET_STREAM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct freshet_layout {
  int32_t partitions; /* of `events` when the offset was committed; 0: not known */
  int32_t previous;   /* before `freshet topics grow`; 0: there was none */
} freshet_layout;

enum { FRESHET_LAYOUT_TEXT_SIZE = 32 };

/* One word of ASCII, for the metadata of a committed offset; "" for an unknown layout. */
void freshet_layout_write(const freshet_layout* layout, char text[FRESHET_LAYOUT_TEXT_SIZE]);
/* The layout among the words of such metadata, NULL too. No such word: all 0. */
freshet_layout freshet_layout_read(const char* text, size_t size);

#endif
