/*
 * erasures.h: FRESHET_ASK_ERASE: questions that wait until a user has been forgotten. Private to the worker.
 *
 * An erasure is a tombstone on `events`, whoever asks for it: it lies in the log behind everything that the
 * user has done, so it is durable before anything else happens, and a crash, a rebalance or a replay cannot
 * lose or overtake it. The question is answered when the worker has come to the tombstone and the transaction
 * with all that follows from it has committed.
 */
#ifndef FRESHET_WORKER_ERASURES_H
#define FRESHET_WORKER_ERASURES_H

#include "worker/worker.h"

typedef struct freshet_erasures freshet_erasures;

freshet_erasures* freshet_erasures_create(void);
/* Refuses what waits. */
void freshet_erasures_destroy(freshet_erasures* erasures);

/* Puts the tombstone on `events`, or refuses. Takes the entry. context: the worker. Errors: those of the sink's publish. */
freshet_status freshet_worker_ask_erase(void* context, freshet_inbox_entry* entry, freshet_error* error);

/* The worker has come to a tombstone; known: there was something to forget. */
void freshet_erasures_applied(freshet_erasures* erasures, int32_t partition, freshet_slice user_id,
                              bool known);
/* Does somebody wait for a commit of what has been applied? */
bool freshet_erasures_due(const freshet_erasures* erasures);
/* What has been applied goes into the transaction that starts now ... */
void freshet_erasures_start_commit(freshet_erasures* erasures);
/* ... it has committed: answers. */
void freshet_erasures_end_commit(freshet_erasures* erasures);
/* It was aborted: the tombstones will come again. */
void freshet_erasures_roll_back(freshet_erasures* erasures);
/* The partition went to another instance, which will come to the tombstone: refuses. */
void freshet_erasures_release(freshet_erasures* erasures, int32_t partition);
/* Refuses what has waited for too long. */
void freshet_erasures_turn(freshet_erasures* erasures, int64_t now_ms);

#endif
