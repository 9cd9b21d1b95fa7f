/*
 * mark.h: the fingerprint of a place in a log: the last record before it. A topic that was deleted and made again,
 * or truncated, has another record there, though its offsets look as before. It must not know where logs live.
 */
#ifndef FRESHET_STREAM_MARK_H
#define FRESHET_STREAM_MARK_H

#include "stream/source.h"

typedef struct freshet_mark {
  int64_t offset; /* of the record; -1: there is no mark */
  int64_t time_ms;
  uint64_t hash; /* of key and value */
} freshet_mark;

enum { FRESHET_MARK_TEXT_SIZE = 64 };
#define FRESHET_NO_MARK ((freshet_mark){.offset = -1})

freshet_mark freshet_mark_of(int64_t offset, int64_t time_ms, freshet_slice key, freshet_slice value);
/* Time and hash as one number, for a store that keeps the offset beside it. */
int64_t freshet_mark_number(const freshet_mark* mark);
bool freshet_mark_equal(const freshet_mark* a, const freshet_mark* b);

/* One word of ASCII, for the metadata of a committed offset. "" for no mark. */
void freshet_mark_write(const freshet_mark* mark, char text[FRESHET_MARK_TEXT_SIZE]);
/* The mark among the words of such metadata, NULL too. No such word: no mark. */
freshet_mark freshet_mark_read(const char* text, size_t size);

#endif
