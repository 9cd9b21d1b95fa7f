/*
 * changed_rows.h: what has changed, as rows of the changelog for the next commit: users, and the dedup windows of their
 * partitions. It owns nothing. It must not know when a commit is due, nor write to the store.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_CHANGED_ROWS_H
#define FRESHET_WORKER_CHANGED_ROWS_H

#include "stream/held.h"
#include "stream/outbox.h"
#include "users/users.h"

/* Keeps the rows of changed users from `first` on, at most so many, in the outbox. scratch is overwritten. Errors: those of
 * the codec. */
freshet_status freshet_changed_rows_keep_users(freshet_outbox* outbox, freshet_users* users, size_t first,
                                               size_t most, freshet_buffer* scratch, freshet_error* error);
/* The same for the dedup windows of all held partitions. */
void freshet_changed_rows_keep_dedup(freshet_outbox* outbox, freshet_held* held, freshet_buffer* scratch);

#endif
