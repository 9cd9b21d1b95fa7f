/*
 * direct.h: answers on the thread of the asker, from the state of the worker, while the worker lets others read it
 * (freshet_inbox_share). It makes them by the same code as the worker: drafts.h and ranking.h.
 *
 * It owns what an asker needs to work. It must not change anything that the worker has: a question that needs more
 * than reading, such as a user who is not in memory or a text to encode, is left to the worker.
 *
 * Thread rule: freshet_direct_answer from any thread, see there; the rest is the worker's, while nobody reads.
 */
#ifndef FRESHET_LISTS_DIRECT_H
#define FRESHET_LISTS_DIRECT_H

#include "lists/inbox.h"
#include "lists/lists.h"

typedef struct freshet_direct freshet_direct;

/* `lists` is copied; what it names outlives the object. user_partitions: of `events`. */
freshet_direct* freshet_direct_create(const freshet_lists* lists, int32_t user_partitions);
void freshet_direct_destroy(freshet_direct* direct); /* NULL is allowed */

/* False: the catalogue is so large that the worker would have to wait for the askers. */
bool freshet_direct_can_serve(const freshet_direct* direct);

/* How many questions an asker may answer at a time: so many that the worker does not wait long for their lists.
 * 1 .. FRESHET_READ_MAX. */
size_t freshet_direct_most(const freshet_direct* direct);

/* A freshet_inbox_reader; context: the object. After freshet_ranking_sync, until the next change. */
void freshet_direct_answer(void* context, freshet_question* const* questions, size_t count,
                           freshet_answer** answers);

/* When an asker was here last, on the monotonic clock; 0: never. From any thread. */
int64_t freshet_direct_asked_us(const freshet_direct* direct);

#endif
