/*
 * replay_checkpoint.h: how far a replay has come, in a small text file that is replaced as a whole, so that
 * after a crash it says either the old or the new place.
 */
#ifndef FRESHET_COMMANDS_REPLAY_CHECKPOINT_H
#define FRESHET_COMMANDS_REPLAY_CHECKPOINT_H

#include <stdint.h>

#include "freshet/status.h"

/* Zero-initialise. Owns its texts. */
typedef struct freshet_replay_checkpoint {
  uint64_t arguments;    /* hash of what is replayed: a checkpoint of another replay is refused */
  uint64_t input;        /* number of the input; those before it are done */
  uint64_t records;      /* of this input, after `place`, that are done: acknowledged, rejected or left out */
  uint64_t last;         /* key of the last of them, 0: rejected: shows whether the input is still the same */
  uint64_t events;       /* published so far */
  uint64_t items;        /* published so far */
  uint64_t rejected;     /* so far */
  uint64_t errors_bytes; /* length of the file of rejected rows */
  uint64_t behind;       /* records done since `mark` was taken */
  char* place;           /* where the input's reader starts (replay_reader.h); NULL: at the beginning */
  char* mark;            /* what is published behind it may have been published after this checkpoint
                            (replay_landed.h); NULL: none */
} freshet_replay_checkpoint;

/* Frees what the checkpoint held before. Errors: FRESHET_NOT_FOUND when there is no file, FRESHET_INVALID
 * when it is no checkpoint; FRESHET_STOP. */
freshet_status freshet_replay_checkpoint_read(const char* path, freshet_replay_checkpoint* checkpoint,
                                              freshet_error* error);
/* Errors: FRESHET_IO; then the old one is still there. */
freshet_status freshet_replay_checkpoint_write(const char* path, const freshet_replay_checkpoint* checkpoint,
                                               freshet_error* error);
void freshet_replay_checkpoint_free(freshet_replay_checkpoint* checkpoint);

#endif
