/*
 * questions.h: questions that wait for their answer, the newest at the front.
 */
#ifndef FRESHET_LISTS_QUESTIONS_H
#define FRESHET_LISTS_QUESTIONS_H

#include "lists/inbox.h"

typedef enum freshet_text_progress {
  FRESHET_TEXT_UNASKED = 0, /* there is none, or nobody to encode it: see text_note */
  FRESHET_TEXT_WAITING,
  FRESHET_TEXT_ENCODED,
} freshet_text_progress;

typedef struct freshet_asked {
  struct freshet_asked *newer, *older;
  freshet_letter* letter;
  int64_t asked_ms; /* wall clock */
  int64_t came_us;  /* monotonic */

  freshet_text_progress text;
  uint64_t text_id;      /* WAITING: the embedder's */
  float* vector;         /* ENCODED; owned */
  const char* text_note; /* static: why there is no vector; NULL */

  /* Of a record on `requests`; the inbox's have is_record false. */
  bool is_record;
  int32_t partition;
  int64_t offset;
  char* reply_topic;          /* owned; NULL: none */
  freshet_buffer correlation; /* owned */
  bool has_correlation;
  bool is_parked; /* another generation answers it, unless it hands over */
  char* refusal;  /* owned; what is wrong with it; NULL: nothing */
} freshet_asked;

typedef struct freshet_questions {
  freshet_asked *newest, *oldest;
  size_t count;
  size_t waiting; /* for their text */
} freshet_questions;

/* Zeroed but for the letter, which it owns now; at the front. */
freshet_asked* freshet_questions_add(freshet_questions* questions, freshet_letter* letter);
/* Takes it out of the line and frees it; the letter stays, the caller's. */
freshet_letter* freshet_questions_remove(freshet_questions* questions, freshet_asked* asked);

#endif
