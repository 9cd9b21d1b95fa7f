/*
 * learned_internal.h: the state that learned.c (deltas, rows of the store) and learned_checkpoint.c (checkpoints
 * in <app>.items) share. For nobody else.
 */
#ifndef FRESHET_CATALOGUE_LEARNED_INTERNAL_H
#define FRESHET_CATALOGUE_LEARNED_INTERNAL_H

#include "catalogue/learned.h"
#include "catalogue/parked_items.h"

struct freshet_learned {
  freshet_ports ports;
  freshet_model* model;
  freshet_parked_items* parked;
  int64_t store_interval_ms, checkpoint_interval_ms;
  int64_t next_store_ms, next_checkpoint_ms;
  char worker_name[64]; /* of this incarnation: its own deltas come back under this name */
  int64_t own_end; /* in the delta log, after the last own record: when reading has passed it, everything own
                           has come back */
  bool stores_all; /* the state did not come from the store: the first store writes every row */
  bool* is_unwritten; /* [unwritten_capacity] by slot: changed since its last checkpoint */
  size_t unwritten_capacity;
  int32_t shares;        /* how many shares items are cut into */
  bool is_bootstrapping; /* reads checkpoints, since the store is empty */
  int64_t*
      checkpoints;    /* [shares] while loading: deltas from here on may be missing from the checkpoint of the
                           share; -1: there is no checkpoint */
  int64_t globals_at; /* while loading: the position of the globals read so far */
  freshet_buffer bytes; /* scratch */
};

/* The row of the slot has changed since its last checkpoint. */
void freshet_learned_note_unwritten(freshet_learned* learned, uint32_t slot);

/* Is the item of the key unknown to the model, which is full? Then its learned state is parked. */
bool freshet_learned_lacks_room(const freshet_learned* learned, uint64_t key);

/* Opens <app>.items and reads it to its end. from_checkpoints: takes the checkpoints, and sets *start to where
 * the fold of the deltas begins then. */
freshet_status freshet_learned_load_states(freshet_learned* learned, freshet_item_logs* logs,
                                           bool from_checkpoints, int64_t* start, freshet_error* error);

#endif
