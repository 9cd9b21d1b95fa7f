/*
 * pace.h: how a process uses the cores. One that serves asks for short slices, so that its threads wait less for a core that
 * others use. A generation that serves nobody leaves the processor to everybody else while it is far behind, and learns no
 * more than [backfill] rate allows.
 *
 * Leaving it means SCHED_BATCH and nice 18, with one bound: beside a busy neighbour nice 18 gets next to
 * nothing, and a backfill that never ends is of no use. So it looks every second which share of the time that
 * its thread could have run it did run, and becomes less nice as long as that is below a tenth, nicer again
 * when it is above three.
 */
#ifndef FRESHET_APP_PACE_H
#define FRESHET_APP_PACE_H

#include "service/config.h"
#include "stream/logger.h"
#include "worker/worker.h"

/* How a thread gets a core. */
typedef struct freshet_pace_share {
  int policy; /* of sched(7) */
  int nice;
  uint64_t slice_ns; /* 0: as long as Linux likes */
} freshet_pace_share;

/* Zero-initialise. Used by the engine's thread. */
typedef struct freshet_pace {
  freshet_pace_share usual; /* as the operator has started this process */
  freshet_pace_share
      given;          /* to all threads that have not got another policy or nice value from somebody else */
  bool may_come_back; /* from a higher nice value */
  bool yields;
  int nice;                 /* while it yields */
  int64_t near_us;          /* time since which it has been close to the end; 0: it is not */
  int64_t since_us;         /* start of the interval that is compared with the rate */
  uint64_t learned;         /* events learned until since_us */
  int64_t looked_us;        /* when the share was last computed */
  int64_t run_ns, queue_ns; /* and the times that the thread had run and waited to run until then */
} freshet_pace;

/* Call this before threads are started: they inherit the priority and the slices. What the operator has chosen stays: a
 * real-time or idle policy always, a nice value, SCHED_BATCH and a slice whenever the process does not yield. */
void freshet_pace_start(freshet_pace* pace, const freshet_config* config, const freshet_logger* logger);
/* The threads that are left are as the operator has started them. */
void freshet_pace_stop(freshet_pace* pace);
/* Call this after each turn of the worker. far: the number of events from which on it is far behind. Sleeps
 * when it is too fast, until `stopping` returns true. */
void freshet_pace_turn(freshet_pace* pace, const freshet_config* config, const freshet_logger* logger,
                       const freshet_worker_progress* progress, uint64_t far, bool (*stopping)(void* context),
                       void* context);

/* ---- what is decided, apart from doing it ---- */

typedef enum freshet_pace_state {
  FRESHET_PACE_BEHIND,    /* it is far behind and yields */
  FRESHET_PACE_BETWEEN,   /* in between: the state stays as it is */
  FRESHET_PACE_CAUGHT_UP, /* it serves, or has been near the end for two seconds */
} freshet_pace_state;

/* The state of an app generation that has `lag` events left. partitions: how many of `events` it holds;
 * serving: for how many of them it publishes. Keeps pace->near_us, so call it regularly. */
freshet_pace_state freshet_pace_look(freshet_pace* pace, int64_t now_us, uint64_t lag, uint64_t partitions,
                                     uint64_t serving, uint64_t far);
/* The next nice value of a thread that got this share (0 to 1) of the time in which it could have run. */
int freshet_pace_next_nice(int nice, double share);
/* By how many us it has learned too early for `rate` events/s. Not positive: it is not too fast. */
int64_t freshet_pace_early_us(const freshet_pace* pace, int64_t now_us, int64_t rate, uint64_t learned);

#endif
