/*
 * learned_internal.h: the state that learned.c (deltas, rows of the store), learned_pass.c (writing them piece by
 * piece) and learned_checkpoint.c (checkpoints in <app>.items) share. For nobody else.
 */
#ifndef FRESHET_CATALOGUE_LEARNED_INTERNAL_H
#define FRESHET_CATALOGUE_LEARNED_INTERNAL_H

#include "catalogue/learned.h"
#include "catalogue/parked_items.h"
#include "stream/mark.h"

typedef enum freshet_pass_stage {
  FRESHET_PASS_NONE = 0,
  FRESHET_PASS_STORE,      /* rows go into the store's batch */
  FRESHET_PASS_PUT,        /* all are in it, and the position */
  FRESHET_PASS_WRITING,    /* the store writes them */
  FRESHET_PASS_CHECKPOINT, /* rows of the store go to <app>.items */
} freshet_pass_stage;

typedef struct freshet_learned_pass {
  freshet_pass_stage stage;
  int64_t started_ms;
  int64_t folded_to;      /* what all rows of the pass reflect */
  freshet_mark mark;      /* of the last delta before it */
  bool* waits;            /* [slots] the row has to be put into the store's batch, before it changes */
  size_t slots, next;     /* all before `next` are done */
  size_t next_parked;     /* the same for the keys of parked items */
  size_t rows;            /* put so far */
  size_t put;             /* since the last write of the store, but those that were about to change */
  freshet_buffer globals; /* as of the beginning */
  freshet_buffer row;     /* scratch */
  bool checkpoints;       /* rows go to <app>.items too */
  bool* owned;            /* [shares] of which this worker writes the checkpoint */
} freshet_learned_pass;

/* A checkpoint names the log that its offsets count by: by the delta that was the first one when its writer started. No
 * mark: not known. */
typedef struct freshet_share_checkpoint {
  int64_t
      folded_to;  /* deltas from here on may be missing from it; -1: there is no checkpoint of this share */
  int32_t shares; /* into how many shares items were cut; 0: an older version did not tell */
  freshet_mark counted_by;
  freshet_buffer globals;
} freshet_share_checkpoint;

typedef struct freshet_parked_checkpoint {
  uint64_t key;
  size_t nth; /* in the order of reading */
  freshet_mark counted_by;
} freshet_parked_checkpoint;

struct freshet_learned {
  freshet_ports ports;
  freshet_model* model;
  freshet_parked_items* parked;
  int64_t store_interval_ms, checkpoint_interval_ms;
  size_t rows_a_turn;
  int64_t next_store_ms, next_checkpoint_ms;
  char worker_name[64]; /* of this incarnation: its own deltas come back under this name */
  int64_t own_end; /* in the delta log, after the last own record: when reading has passed it, everything own
                           has come back */
  freshet_mark
      mark; /* of the last delta that was folded, or came back; no mark: none since the folder was made */
  bool
      stores_all; /* the state did not come from the store: the first store writes every row that says something */
  bool is_renumbered; /* the log of deltas is another one than the state counted by: a pass is due at once */
  freshet_mark
      log; /* the first delta of the log that offsets count by, when this process first saw it; no mark: none was
                          there, or it is not known */
  int64_t log_end; /* of the log at the start of this process */
  freshet_mark*
      counted_by; /* [counted_count] by slot, while loading: the log that its checkpoint counts by */
  size_t counted_count, counted_capacity;
  freshet_parked_checkpoint* parked_by; /* [parked_count] the same of items that are parked */
  size_t parked_count, parked_capacity;
  bool has_other; /* a checkpoint counted by another log */
  /* Deltas before this offset and not after this time are in the rows, though these count by another log. */
  int64_t reflected_end, reflected_ms;
  bool* is_unwritten; /* [unwritten_capacity] by slot: changed since its last checkpoint */
  size_t unwritten_capacity;
  int64_t checkpointed_to;               /* by the last checkpoint of this process; -1: there is none */
  int32_t shares;                        /* how many shares items are cut into */
  bool is_bootstrapping;                 /* reads checkpoints, since the store is empty */
  freshet_share_checkpoint* checkpoints; /* [shares] while loading */
  freshet_buffer bytes;                  /* scratch */
  freshet_learned_pass pass;
};

/* Puts the row of a slot into the store's batch. scratch is overwritten. False: the store has no rows yet, and nothing has
 * been learned about the item, so it gets none. */
bool freshet_learned_put_row(freshet_learned* learned, uint32_t slot, int64_t folded_to,
                             freshet_buffer* scratch);
/* Puts what belongs to no single item, the position, and the mark of the last delta before it. */
void freshet_learned_put_globals(freshet_learned* learned, freshet_slice globals, int64_t folded_to,
                                 const freshet_mark* mark);
/* No pass is under way any more. Rows that wait are not written. */
void freshet_learned_end_pass(freshet_learned* learned);

/* Writes at most `most` rows of the checkpoint of this pass into the open transaction. *is_all: the last ones. */
freshet_status freshet_learned_checkpoint(freshet_learned* learned, size_t most, bool* is_all,
                                          freshet_error* error);

/* Makes the stored row of a parked item count by another log; into the store's batch. */
freshet_status freshet_learned_renumber_parked(freshet_learned* learned, uint64_t item_key,
                                               freshet_error* error);

/* Once they have been used; also when a load has failed. */
void freshet_learned_free_checkpoints(freshet_learned* learned);

/* The row of the slot has changed since its last checkpoint. */
void freshet_learned_note_unwritten(freshet_learned* learned, uint32_t slot);

/* Is the item of the key unknown to the model, which is full? Then its learned state is parked. */
bool freshet_learned_lacks_room(const freshet_learned* learned, uint64_t key);

/* Opens <app>.items and reads it to its end, and finds out which log of deltas is read. from_checkpoints: takes the
 * checkpoints, and sets *start to where the fold of the deltas begins then. */
freshet_status freshet_learned_load_states(freshet_learned* learned, freshet_item_logs* logs,
                                           bool from_checkpoints, int64_t* start, freshet_error* error);

#endif
