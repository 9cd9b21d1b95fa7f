/*
 * drafts.h: from a pending request to its answer. A draft is answered at once if it needs no list; else it becomes a
 * ranking task, and after the ranking the list goes into the answer.
 *
 * It owns the scratch of a batch of drafts. It does not know which requests are answered when (answers.h), nor how
 * answers leave (replies.h).
 *
 * Thread rule: the worker's. Drafts that only read may be used by another thread, while nobody changes what `lists`
 * names.
 */
#ifndef FRESHET_LISTS_DRAFTS_H
#define FRESHET_LISTS_DRAFTS_H

#include "lists/lists.h"
#include "lists/pending_requests.h"

enum { FRESHET_NOTE_SIZE = 512 };

typedef struct freshet_draft {
  freshet_pending_request* pending;
  freshet_answer* answer;     /* owned */
  freshet_user_row* row;      /* NULL: of no user */
  freshet_user user;          /* with the context items in its history; its arrays belong to others */
  freshet_ranking_task* task; /* NULL: nothing is to be ranked */
  bool needs_worker;          /* of drafts that only read: the worker has to answer */
  char note[FRESHET_NOTE_SIZE];
} freshet_draft;

typedef struct freshet_drafts freshet_drafts;

/* `lists` is not owned. user_partitions: of `events`. only_reads: they change nothing that other threads may look at,
 * and read no store. */
freshet_drafts* freshet_drafts_create(const freshet_lists* lists, int32_t user_partitions, bool only_reads);
void freshet_drafts_destroy(freshet_drafts* drafts); /* NULL is allowed */

/* Before each batch: the scratch of the last one is used again. */
void freshet_drafts_reset(freshet_drafts* drafts);
/* Answers at once what needs no ranking. Else fills *task, and draft->task points to it; it holds until the next
 * reset, and may use `text` until then. Errors: those of the store. Drafts that only read may set draft->needs_worker
 * instead; their requests have no text, and ask for no titles. */
freshet_status freshet_draft_prepare(freshet_drafts* drafts, freshet_draft* draft, freshet_wanted_text* text,
                                     freshet_ranking_task* task, freshet_error* error);
/* After the ranking: completes the answer. */
void freshet_draft_finish(freshet_drafts* drafts, freshet_draft* draft);

/* Has it waited longer than requests.max_age_ms? */
bool freshet_pending_request_is_late(const freshet_lists* lists, const freshet_pending_request* pending);

#endif
