/*
 * restore.h: brings the stored users of newly assigned partitions up to the end of their changelog. There is
 * one path: a new machine starts at offset 0, one that crashed after a commit at the offset stored, one that
 * was away for long at 0 again.
 */
#ifndef FRESHET_WORKER_RESTORE_H
#define FRESHET_WORKER_RESTORE_H

#include "stream/ports.h"

/* Reads <app>.users of the given partitions into the store. Waits for transactions that are still open there.
 * Errors: those of the log and the store; FRESHET_TIMEOUT when the log has gone silent before its end. */
freshet_status freshet_restore_users(const freshet_ports* ports, const int32_t* partitions, size_t count,
                                     freshet_error* error);

/* A tombstone of the changelog, into the store's batch: what it leaves behind of a user goes from the disk
 * too. */
void freshet_forget_user_row(freshet_store* store, int32_t partition, freshet_slice key);

#endif
