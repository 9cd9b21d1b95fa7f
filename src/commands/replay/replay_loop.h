/*
 * replay_loop.h: the way of the records from the inputs to the topics, with its pace and its checkpoints. Owns the
 * state of one replay. It must not know how files are written (commands/input) nor how records are sent
 * (replay_output.h).
 *
 * Thread rule: one thread; only freshet_replay_stop_asked is set by a signal.
 */
#ifndef FRESHET_COMMANDS_REPLAY_LOOP_H
#define FRESHET_COMMANDS_REPLAY_LOOP_H

#include <signal.h>

#include "commands/input/input_census.h"
#include "commands/input/input_rejects.h"
#include "commands/progress.h"
#include "commands/replay/replay_arguments.h"
#include "commands/replay/replay_checkpoint.h"
#include "commands/replay/replay_output.h"

typedef struct freshet_replay {
  const freshet_replay_arguments* arguments;
  const freshet_config* config;
  freshet_event_limits limits;
  freshet_replay_output* output; /* NULL: dry run */
  const freshet_input_cluster* cluster;
  freshet_input_rejects rejects;
  freshet_census* census;
  freshet_replay_checkpoint done;   /* its counts run on; what is written is acknowledged */
  double bytes_total, bytes_before; /* of regular files: all, and those before the current one */
  double bytes_current;
  uint64_t records; /* read by this process and not skipped */
  bool style_told;  /* for the current input: how it is written */
  bool passing;     /* over records that are done already */
  int64_t start_us, checkpoint_us;
  int64_t pace_start_us; /* when the first record was sent ... */
  int64_t pace_first_ms; /* ... and its event time; 0: not yet */
  freshet_progress* progress;
} freshet_replay;

extern volatile sig_atomic_t freshet_replay_stop_asked;

/* Replays all inputs, until they end or a stop is asked. What was taken is acknowledged also when reading fails.
 * Errors: those of readers, of the output and of the checkpoint. */
freshet_status freshet_replay_all(freshet_replay* r, freshet_error* error);

#endif
