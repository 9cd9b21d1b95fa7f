/*
 * replies.h: the way out of answers to requests that came as records. It does not know how an answer is made.
 * Functions without state.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_REPLIES_H
#define FRESHET_LISTS_REPLIES_H

#include "lists/pending_requests.h"
#include "stream/ports.h"

/* Sends the answer's list, whose ids are set, to `replies`, and to the reply topic of the request if that is allowed.
 * May shorten it, and adds to its note. bytes: scratch. Errors: those of codec and sink. */
freshet_status freshet_reply_send(const freshet_ports* ports, const freshet_pending_request* pending,
                                  freshet_answer* answer, freshet_buffer* bytes, freshet_error* error);

#endif
