/*
 * replies.h: the way out of answers to requests that came as records. It must not know how an answer is made.
 */
#ifndef FRESHET_LISTS_REPLIES_H
#define FRESHET_LISTS_REPLIES_H

#include "lists/questions.h"
#include "worker/worker_internal.h"

/* Sends the answer's list, whose ids are set. May shorten it, and adds to its note. bytes: scratch. Errors: of the
 * sink. */
freshet_status freshet_reply_send(freshet_worker* worker, const freshet_asked* asked, freshet_answer* answer,
                                  freshet_buffer* bytes, freshet_error* error);

#endif
