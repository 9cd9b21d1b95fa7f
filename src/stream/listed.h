/*
 * listed.h: how far the lists of a partition of `events` are committed, where that is further than its state: a word in the
 * metadata of its committed offset. It must not know what a list holds.
 */
#ifndef FRESHET_STREAM_LISTED_H
#define FRESHET_STREAM_LISTED_H

#include <stddef.h>
#include <stdint.h>

typedef struct freshet_listed {
  int64_t offset; /* the lists of all events before it are committed; -1: nobody has told */
  /* Each user's last list holds items of this checksum's only (catalogue/listing.h); 0: not known. */
  uint64_t listing;
} freshet_listed;

enum { FRESHET_LISTED_TEXT_SIZE = 48 };
#define FRESHET_NOT_LISTED ((freshet_listed){.offset = -1})

/* One word of ASCII. "" for FRESHET_NOT_LISTED. */
void freshet_listed_write(const freshet_listed* listed, char text[FRESHET_LISTED_TEXT_SIZE]);
/* The word among those of such metadata, NULL too. */
freshet_listed freshet_listed_read(const char* text, size_t size);

#endif
