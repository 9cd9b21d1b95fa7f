/*
 * pending_requests.h: requests inside the worker that wait for their answer, the newest at the front. It owns what
 * belongs to each of them. It does not know when one is answered (answers.h).
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_PENDING_REQUESTS_H
#define FRESHET_LISTS_PENDING_REQUESTS_H

#include "lists/inbox.h"

typedef enum freshet_text_progress {
  FRESHET_TEXT_UNASKED = 0, /* there is no text, or nobody encodes it: see text_note */
  FRESHET_TEXT_WAITING,
  FRESHET_TEXT_ENCODED,
} freshet_text_progress;

typedef struct freshet_pending_request {
  struct freshet_pending_request *newer, *older;
  freshet_inbox_entry* entry; /* the question */
  int64_t asked_ms;           /* wall clock */
  int64_t came_us;            /* monotonic */

  freshet_text_progress text;
  uint64_t text_id;      /* WAITING: the embedder's */
  float* vector;         /* ENCODED; owned */
  const char* text_note; /* static: why there is no vector; NULL */

  /* Of a record on `requests`. The inbox's have is_record false. */
  bool is_record;
  int32_t partition;
  int64_t offset;
  char* reply_topic;          /* owned; NULL: none */
  freshet_buffer correlation; /* owned */
  bool has_correlation;
  char* refusal; /* owned; what is wrong with it; NULL: nothing */
} freshet_pending_request;

typedef struct freshet_pending_requests {
  freshet_pending_request *newest, *oldest;
  size_t count;
} freshet_pending_requests;

/* Zeroed but for the entry, which it owns now; at the front. */
freshet_pending_request* freshet_pending_requests_add(freshet_pending_requests* requests,
                                                      freshet_inbox_entry* entry);
/* Takes it out and frees it. The entry stays; it is the caller's. */
freshet_inbox_entry* freshet_pending_requests_remove(freshet_pending_requests* requests,
                                                     freshet_pending_request* pending);

/* The one whose text the embedder knows by this id; NULL: it has been answered without, or forgotten. */
freshet_pending_request* freshet_pending_requests_find_text(const freshet_pending_requests* requests,
                                                            uint64_t text_id);
/* Offset of the oldest record of the partition that waits; `next` when none does. */
int64_t freshet_pending_requests_position(const freshet_pending_requests* requests, int32_t partition,
                                          int64_t next);
/* Removes the records of a partition (-1: of all) without an answer. */
void freshet_pending_requests_forget(freshet_pending_requests* requests, int32_t partition);

#endif
