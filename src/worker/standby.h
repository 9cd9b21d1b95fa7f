/*
 * standby.h: follows the changelog of partitions that other processes own, so that their users are in this store before
 * this process takes them over. What is left then is to read the last records (restore.h). It owns the positions that it
 * follows from. It must not know what a row means, nor decide who owns a partition.
 *
 * Which ones: consumer groups share out consecutive partitions (`range`), so a process that takes over from a
 * neighbour gets partitions beside its own. It follows as many on either side as it owns, and one more; without any
 * partition of its own it follows all.
 *
 * Thread rule: the worker's. Each function takes NULL: nothing is followed.
 */
#ifndef FRESHET_WORKER_STANDBY_H
#define FRESHET_WORKER_STANDBY_H

#include "stream/held.h"
#include "stream/ports.h"

typedef struct freshet_standby freshet_standby;

/* All is borrowed. partitions: of `events`, and of the changelog. NULL when there is no ports->standby. */
freshet_standby* freshet_standby_create(const freshet_ports* ports, const freshet_held* held,
                                        int32_t partitions);
void freshet_standby_destroy(freshet_standby* standby);

/* Before partitions come: follows nothing any more, and what has been read is in the store. Errors: of the store. */
freshet_status freshet_standby_halt(freshet_standby* standby, freshet_error* error);
/* After partitions have come: follows those beside them. A log that cannot be followed is told and left alone. */
void freshet_standby_follow(freshet_standby* standby);
/* In every turn: takes what has been written meanwhile, for slice_us, but a few records in any case; without waiting.
 * Errors: of the store. */
freshet_status freshet_standby_turn(freshet_standby* standby, int64_t slice_us, freshet_error* error);

#endif
