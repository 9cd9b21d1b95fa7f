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

/* Nothing is owned. The intervals are from the beginning of a pass to that of the next one, and of one with a checkpoint.
 * rows_a_turn: at least 1, see freshet_learned_turn. */
freshet_learned* freshet_learned_create(const freshet_ports* ports, freshet_model* model,
                                        int64_t store_interval_ms, int64_t checkpoint_interval_ms,
                                        size_t rows_a_turn);
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

/* Writes what has been learned since the last call into the open transaction of this outbox, or the rest of what is being
 * written in pieces. */
freshet_status freshet_learned_write_delta(freshet_learned* learned, freshet_outbox* outbox,
                                           freshet_error* error);
/* The same in pieces: what is learned after the start is not in it. Prepares `most` items, and writes a record of about a MB
 * once all are prepared. *is_all: nothing is left. */
void freshet_learned_start_delta(freshet_learned* learned);
freshet_status freshet_learned_write_some(freshet_learned* learned, freshet_outbox* outbox, size_t most,
                                          bool* is_all, freshet_error* error);
/* Right after every commit of that outbox. */
void freshet_learned_committed(freshet_learned* learned, const freshet_outbox* outbox);

/* ---- rows of the store, and checkpoints ---- */

/* A pass writes the rows that have changed to the store, and when a checkpoint is due, to <app>.items: a few rows in each
 * turn. Is it time for one, and is none under way? */
bool freshet_learned_store_is_due(const freshet_learned* learned);
/* Is what is in memory exactly what the log holds up to where it was read? So it is when nothing has been learned since
 * the last commit has started, that commit has ended, and all own deltas have come back. */
bool freshet_learned_is_settled(const freshet_learned* learned, const freshet_item_logs* logs);
/* Begins a pass, at a moment at which everything is settled. Items are cut into as many shares as `items` has
 * partitions; a worker writes the checkpoint of the shares whose partitions it holds (owned [shares]). */
void freshet_learned_begin(freshet_learned* learned, const freshet_item_logs* logs, const bool* owned);
/* In every turn: the next rows. *has_put: the last row and the position are in the store's batch now. Rows of a checkpoint
 * go into the open transaction; so a process that has lost its partitions without knowing cannot write them. Errors:
 * those of store and outbox. */
freshet_status freshet_learned_turn(freshet_learned* learned, bool* has_put, freshet_error* error);
/* Would freshet_learned_turn do something? */
bool freshet_learned_is_busy(const freshet_learned* learned);
/* Around each write of the store: before it starts, and after it has ended well. */
void freshet_learned_store_starts(freshet_learned* learned);
void freshet_learned_store_ended(freshet_learned* learned);
/* Partitions of `items` go to another worker: the checkpoint under way is given up, before this worker could write rows
 * over newer ones. The next pass makes up for it. */
void freshet_learned_drop_checkpoint(freshet_learned* learned);

/* Puts all rows that have changed and the position into the store's batch at once, which the caller writes; right after a
 * commit, with nothing learned since that was started. Ends a pass. It does so only if all own deltas come back within
 * wait_ms; *stored tells. */
freshet_status freshet_learned_store(freshet_learned* learned, freshet_item_logs* logs, int wait_ms,
                                     bool* stored, freshet_error* error);

/* ---- keys of <app>.items ---- */

enum { FRESHET_LEARNED_KEY_SIZE = 16 };
/* The key of an item's learned state, and of what belongs to no single item, as of the checkpoint of a share (there are
 * as many shares as `items` has partitions). The result points into `out`. */
freshet_slice freshet_learned_item_key(uint64_t item_key, char out[FRESHET_LEARNED_KEY_SIZE]);
freshet_slice freshet_learned_globals_key(int32_t share, char out[FRESHET_LEARNED_KEY_SIZE]);

#endif
