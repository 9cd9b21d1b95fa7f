/*
 * handover.h: the part of this app generation in a switch, as serving.h describes it: letting go of partitions, and
 * taking them over. It owns nothing: what has begun is noted in the held partitions, and the facts are in the log. It
 * must not know when a commit is due, only that one is wanted.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_HANDOVER_H
#define FRESHET_WORKER_HANDOVER_H

#include "worker/derived.h"

/* All is borrowed. */
typedef struct freshet_handover {
  const freshet_ports* ports;
  freshet_held* held;
  freshet_serving* serving;
  const freshet_derived* derived;
} freshet_handover;

/* After every batch: begins to take over what the facts allow. Errors: those of the log, the store and the outbox. */
freshet_status freshet_handover_turn(const freshet_handover* handover, freshet_error* error);
/* A fact of ours waits for a transaction, and another generation waits for the fact. */
bool freshet_handover_due(const freshet_handover* handover);
/* Puts the facts into the open transaction, or opens it. The offset in a release is the one that the same transaction
 * commits for the partition: only a member of the consumer group can commit it. */
freshet_status freshet_handover_write(const freshet_handover* handover, freshet_error* error);

#endif
