/*
 * restore.h: brings the stored users of newly assigned partitions up to the end of their changelog. There is one path.
 * A new machine starts at the beginning; a machine that has crashed starts at the offset that it has stored; a machine
 * that was away for long starts at the beginning again. It owns nothing. It must not know what is in a row.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_RESTORE_H
#define FRESHET_WORKER_RESTORE_H

#include "stream/ports.h"

/* Reads <app>.users of the given partitions into the store. Waits for transactions that are still open there.
 * Errors: those of the log and the store; FRESHET_TIMEOUT when the log is silent before its end. */
freshet_status freshet_restore_users(const freshet_ports* ports, const int32_t* partitions, size_t count,
                                     freshet_error* error);

/* Puts a record of the changelog into the store's batch. Passes over one that no worker can have written. Errors: a record
 * that a worker has written cannot be read; the message names its place. */
freshet_status freshet_apply_user_row(const freshet_ports* ports, const freshet_record* record,
                                      freshet_error* error);
/* Puts the removal of a row of the changelog into the store's batch. Old copies of a user's row leave the disk
 * too. */
void freshet_forget_user_row(freshet_store* store, int32_t partition, freshet_slice key);

#endif
