/*
 * learned.h: what has been learned about items, by all workers. It is the fold of the log <app>.item-deltas.
 *
 * Each commit publishes what this worker has learned since the last one, as a record of that log, or as several where
 * one would be too large. Each of these is a delta of its own, so a reader may stop between them. Every worker folds the records of the others; its own are in its model already. Two things keep a start from reading the
 * whole log: the rows of the own store, and checkpoints in <app>.items for a worker whose store is empty.
 * Both hold a fold of the log up to a position, never an own delta that has not come back.
 *
 * The object owns what it knows about positions and about rows that changed. The model owns the state. Text
 * vectors, which <app>.items holds too, are none of its business (texts.h).
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_CATALOGUE_LEARNED_H
#define FRESHET_CATALOGUE_LEARNED_H

#include "catalogue/item_logs.h"
#include "freshet/model.h"
#include "stream/ports.h"

typedef struct freshet_learned freshet_learned;

/* Nothing is owned. checkpoint_interval_ms: between two checkpoints. */
freshet_learned* freshet_learned_create(const freshet_ports* ports, freshet_model* model,
                                        int64_t store_interval_ms, int64_t checkpoint_interval_ms);
void freshet_learned_destroy(freshet_learned* learned); /* NULL is allowed */

/* Opens <app>.items and <app>.item-deltas, takes the rows of the store, or the checkpoints when the store is
 * empty, and reads both logs to their ends. shares: how many partitions `items` has. */
freshet_status freshet_learned_load(freshet_learned* learned, freshet_item_logs* logs, int32_t shares,
                                    freshet_error* error);

/* Of how many items the learned state is in the store only: they have no slot. */
size_t freshet_learned_parked(const freshet_learned* learned);

/* A record of <app>.item-deltas. */
freshet_status freshet_learned_apply_delta(freshet_learned* learned, const freshet_record* record,
                                           freshet_error* error);
/* A record of <app>.items that is none of texts. Counts only while the store is empty: later the deltas say
 * what it says. */
freshet_status freshet_learned_apply_state(freshet_learned* learned, const freshet_record* record,
                                           freshet_error* error);

/* Writes what has been learned since the last call into the open transaction. */
freshet_status freshet_learned_write_delta(freshet_learned* learned, freshet_error* error);
/* Right after every commit. */
void freshet_learned_committed(freshet_learned* learned);

/* Is it time to store? Then nothing must be learned between the start of a commit and freshet_learned_store. */
bool freshet_learned_store_is_due(const freshet_learned* learned);
/* Right after a commit, with nothing learned since that was started: when it is due (or `now`), puts the changed
 * rows and the position into the store's batch, which the caller writes. It does so only if all own deltas come
 * back within wait_ms; *stored tells. */
freshet_status freshet_learned_store(freshet_learned* learned, freshet_item_logs* logs, bool now, int wait_ms,
                                     bool* stored, freshet_error* error);

/* Right after freshet_learned_store said true: when a checkpoint is due, writes the rows that changed since the
 * last one to <app>.items, in a transaction of its own. Items are cut into as many shares as `items` has
 * partitions; a worker writes the shares of the partitions that it holds (owned [shares]). offsets [count]: the
 * committed offset of every partition that this process holds. They go with the transaction again: a process
 * that has lost its partitions without knowing cannot commit them, so it cannot overwrite what the next owner
 * writes. FRESHET_ABORTED: nothing was written, and nothing is lost; the next checkpoint makes up for it. */
freshet_status freshet_learned_checkpoint(freshet_learned* learned, const freshet_item_logs* logs,
                                          const bool* owned, const freshet_partition* offsets, size_t count,
                                          freshet_error* error);

/* ---- keys of <app>.items ---- */

enum { FRESHET_LEARNED_KEY_SIZE = 16 };
/* The key of an item's learned state, and of what belongs to no single item, as of the checkpoint of a share (there are
 * as many shares as `items` has partitions). The result points into `out`. */
freshet_slice freshet_learned_item_key(uint64_t item_key, char out[FRESHET_LEARNED_KEY_SIZE]);
freshet_slice freshet_learned_globals_key(int32_t share, char out[FRESHET_LEARNED_KEY_SIZE]);

#endif
