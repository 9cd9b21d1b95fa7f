/*
 * erasures.h: questions of kind FRESHET_ASK_ERASE, which wait until a user has been forgotten.
 *
 * An erasure is a tombstone on `events`. It comes after everything that the user has done, and it is durable before
 * anything else happens, so no crash, rebalance or replay can lose or overtake it. The question is answered when the
 * worker has come to the tombstone and the transaction with all that follows from it has committed.
 *
 * It owns the questions that wait. It must not know what is forgotten, and where (batch.h). Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_ERASURES_H
#define FRESHET_WORKER_ERASURES_H

#include "lists/inbox.h"
#include "stream/held.h"
#include "stream/ports.h"
#include "worker/derived.h"

typedef struct freshet_erasures freshet_erasures;

/* None is owned. */
freshet_erasures* freshet_erasures_create(const freshet_ports* ports, const freshet_held* held);
/* Where users are found. To be called once, before the first question. */
void freshet_erasures_connect(freshet_erasures* erasures, const freshet_derived* derived);
/* Refuses what waits. NULL is allowed. */
void freshet_erasures_destroy(freshet_erasures* erasures);

/* Puts the tombstone on `events`, or refuses. Takes the entry. context: the erasures. Errors: those of the outbox. */
freshet_status freshet_erasures_ask(void* context, freshet_inbox_entry* entry, freshet_error* error);

/* The worker has come to a tombstone; known: there was something to forget. */
void freshet_erasures_applied(freshet_erasures* erasures, int32_t partition, freshet_slice user_id,
                              bool known);
/* A question waits for a commit of what has been applied. */
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
