/*
 * pace.h: how hard a generation works that serves nobody: while it is far behind it leaves the processor to
 * everybody else, and learns no more than [backfill] rate allows.
 */
#ifndef FRESHET_COMMANDS_PACE_H
#define FRESHET_COMMANDS_PACE_H

#include "service/config.h"
#include "worker/logger.h"
#include "worker/metrics.h"

/* Zero-initialise. Used by the engine's thread. */
typedef struct freshet_pace {
  bool yields;
  int64_t near_us;  /* since when it has been close to the end; 0: it is not */
  int64_t since_us; /* what has been learned since then is held against the rate */
  uint64_t learned; /* by then */
} freshet_pace;

/* Call before threads are started: they take over what is said here. */
void freshet_pace_start(freshet_pace* pace, const freshet_config* config, const freshet_logger* logger);
/* After each turn of the worker; far: from how many events on it is far behind. Sleeps when it is too fast,
 * until `stopping` says so. */
void freshet_pace_turn(freshet_pace* pace, const freshet_config* config, const freshet_logger* logger,
                       const freshet_worker_metrics* metrics, uint64_t far, bool (*stopping)(void* context),
                       void* context);

#endif
