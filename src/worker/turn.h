/*
 * turn.h: how long a turn of the loop takes, and with what. It owns the stop watch and the slowest turn that is not
 * logged yet. It must not know what the parts of a turn do.
 *
 * The loop calls freshet_turn_lap after each part: the time since the last call was spent with that part. Waiting for
 * records is not part of a turn.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_TURN_H
#define FRESHET_WORKER_TURN_H

#include "stream/ports.h"

/* The parts of a turn, in their order. */
typedef enum freshet_turn_part {
  FRESHET_TURN_POLL = 0, /* beyond the time that it may wait: partitions that come and go */
  FRESHET_TURN_ITEMS,    /* new records of items, deltas of other workers */
  FRESHET_TURN_TEXTS,    /* item texts and neighbours by text */
  FRESHET_TURN_EVENTS,   /* records are applied */
  FRESHET_TURN_SEARCH,   /* for lists that carry something withdrawn or are outdated */
  FRESHET_TURN_LISTS,    /* ranking and publishing */
  FRESHET_TURN_ANSWERS,  /* to requests */
  FRESHET_TURN_OUTCOME,  /* waiting for the outcome of a commit */
  FRESHET_TURN_COMMIT,   /* rows are encoded and handed to the producer */
  FRESHET_TURN_STORE,    /* rows of users go to the store */
  FRESHET_TURN_ROWS,     /* rows of items go to the store, and to <app>.items */
  FRESHET_TURN_OTHER,    /* reloads, figures */
  FRESHET_TURN_PARTS,
} freshet_turn_part;

/* A turn that is over. */
typedef struct freshet_turn_figures {
  int64_t ended_us; /* monotonic */
  int64_t took_us;  /* without waiting */
  int64_t parts_us[FRESHET_TURN_PARTS];
  /* Time on a core, only of parts that took more than 1 ms; short parts before it count to it. */
  int64_t parts_cpu_us[FRESHET_TURN_PARTS];
  freshet_thread_use use; /* of the machine, by this thread */
  size_t events;          /* records of the poll */
  uint64_t lists;         /* published */
} freshet_turn_figures;

typedef struct freshet_turn {
  const freshet_ports* ports; /* borrowed */
  /* Its own; zero at first. */
  int64_t lap_us; /* when the last part ended */
  int64_t cpu_us; /* the thread's time on a core when it was last read */
  freshet_turn_figures now;
  freshet_thread_use use_before; /* as of the start */
  uint64_t lists_before;
  freshet_turn_figures slowest; /* not logged yet; took_us 0: there is none */
  uint64_t slow;                /* slow turns that are not logged yet */
  int64_t next_log_us;
} freshet_turn;

void freshet_turn_begin(freshet_turn* turn);
/* The time since the last lap went into `part`. */
void freshet_turn_lap(freshet_turn* turn, freshet_turn_part part);
/* The time since the last lap was a wait of at most wait_us (at least 0); what is beyond went into `part`. */
void freshet_turn_waited(freshet_turn* turn, freshet_turn_part part, int64_t wait_us);
/* Counts the turn. Logs `turn.long` at the level debug if it took more than 5 ms, and `turn.slow` if it took more than 20:
 * the slowest turn of a second, once a second at most.
 * events: how many records it had. */
void freshet_turn_end(freshet_turn* turn, size_t events);
/* How long the part took on a core in the turn that has ended; 0 if it was short, see freshet_turn_figures. */
int64_t freshet_turn_cpu_us(const freshet_turn* turn, freshet_turn_part part);
/* Logs the slow turn that waits for its second to end. At the end of the loop. */
void freshet_turn_flush(freshet_turn* turn);

#endif
