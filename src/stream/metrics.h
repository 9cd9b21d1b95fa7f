/*
 * metrics.h: the figures of the stream processor. It only writes them: no decision may read a figure back. It must not
 * know how they are shown (service/prometheus.h).
 *
 * Thread rule: the worker thread writes, any thread reads. The atomics are relaxed: each figure is right by itself, but
 * together they are no snapshot of one moment.
 */
#ifndef FRESHET_STREAM_METRICS_H
#define FRESHET_STREAM_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include <string.h>
#include "freshet/event.h"
#include "stream/clock.h"
#include "stream/source.h"

enum { FRESHET_HISTOGRAM_BUCKETS = 22 };

/* Durations in seconds; bucket i counts durations <= freshet_histogram_bounds_us[i], the last bucket
 * everything. */
typedef struct freshet_histogram {
  _Atomic uint64_t counts[FRESHET_HISTOGRAM_BUCKETS]; /* not cumulative */
  _Atomic uint64_t sum_us;
} freshet_histogram;

extern const int64_t freshet_histogram_bounds_us[FRESHET_HISTOGRAM_BUCKETS]; /* the last is INT64_MAX */

void freshet_histogram_observe(freshet_histogram* histogram, int64_t us);

/* How far the process has come; for people, see service/activity.h. */
typedef enum freshet_phase {
  FRESHET_PHASE_OPENING = 0, /* the state folder, the text encoder */
  FRESHET_PHASE_CONNECTING,  /* waits for the brokers and the topics */
  FRESHET_PHASE_LOADING,     /* the item tables */
  FRESHET_PHASE_RUNNING,     /* the loop turns */
  FRESHET_PHASE_STOPPING,
} freshet_phase;

typedef struct freshet_worker_metrics {
  /* counters */
  _Atomic uint64_t events[FRESHET_EVENT_TYPES]; /* applied, by freshet_event_type */
  _Atomic uint64_t events_duplicate;            /* skipped: event id seen inside the window */
  _Atomic uint64_t events_conflicting;          /* of these: the id was that of another user or item */
  _Atomic uint64_t impressions_unknown;         /* of an item without a slot; nothing is learned */
  _Atomic uint64_t events_unannounced;          /* applied, for an item that no Item record has announced */
  _Atomic uint64_t learn_refused;               /* updates that would not have been finite */
  _Atomic uint64_t weights_clipped;   /* learned weights, and weights of events, cut to their bounds */
  _Atomic uint64_t items_refused;     /* items not listed and events not learned: max_items, colliding keys */
  _Atomic uint64_t replies_too_large; /* for `replies`: some of replies_undeliverable, for the log */
  _Atomic uint64_t state_skipped;     /* records of state topics that nobody can use */
  _Atomic uint64_t state_skipped_of[FRESHET_TOPICS]; /* the same by topic, for the log */
  _Atomic uint64_t events_lost;                      /* expired before they were read */
  _Atomic uint64_t events_foreign; /* not learned: in another partition than that of their user */
  _Atomic uint64_t
      events_forwarded; /* sent on to the new partition of their user, after `events` was grown */
  _Atomic uint64_t users_erased;
  _Atomic uint64_t dead_letters;
  _Atomic uint64_t lists_published;
  _Atomic uint64_t lists_coalesced; /* events that share a later list */
  _Atomic uint64_t commits;
  _Atomic uint64_t aborts;
  _Atomic uint64_t item_deltas_folded; /* those of other workers */
  _Atomic uint64_t item_records;       /* read from `items` */
  _Atomic uint64_t restored_records;   /* changelog records applied on start or assignment */
  _Atomic uint64_t texts_encoded;      /* by this worker's job */
  _Atomic uint64_t texts_failed;
  _Atomic uint64_t answers;        /* to questions, of the topic and of HTTP */
  _Atomic uint64_t answers_direct; /* of these: made on the thread that asked */
  _Atomic uint64_t
      replies_undeliverable; /* the topic that a request named is not there or not allowed, or takes too little */
  _Atomic uint64_t registry_failures;          /* questions to the schema registry without an answer */
  _Atomic uint64_t items_awaiting_schema;      /* records of items that wait for their schema */
  _Atomic uint64_t partitions_awaiting_schema; /* whose next record waits for its schema */
  _Atomic uint64_t
      lists_shortened; /* lists and replies that lost reasons or items, since their topic takes no more */
  /* gauges */
  _Atomic uint64_t events_oldest_unread_ms; /* age; 0: all have been read */
  _Atomic uint64_t events_retention_ms;     /* of their topic; 0: no bound, or not known */
  _Atomic uint64_t questions_waiting;
  _Atomic uint64_t texts_waiting;      /* items without the vector of their text */
  _Atomic uint64_t texts_unlinked;     /* items whose neighbours by text are yet to be found */
  _Atomic uint64_t texts_coverage_ppm; /* listed items with a text that have it, of the filling generation */
  _Atomic uint64_t partitions;         /* events partitions held */
  _Atomic uint64_t lag;                /* events not yet applied in them */
  _Atomic uint64_t lag_ms;             /* age of the last applied event where some are not applied yet */
  _Atomic uint64_t refresh_owed;       /* users waiting for a list */
  _Atomic uint64_t partitions_serving; /* events partitions whose lists it publishes, see serving.h */
  _Atomic uint64_t generation_switches;
  _Atomic uint64_t withdrawals_owed; /* users whose list carries something withdrawn */
  _Atomic uint64_t surveying;        /* partitions that have come, with users not looked through yet */
  _Atomic uint64_t users_cached;
  _Atomic uint64_t overlay_users; /* changed since the last commit */
  _Atomic uint64_t items_known;
  _Atomic uint64_t items_listed;
  _Atomic uint64_t model_bytes;
  _Atomic uint64_t store_bytes;
  _Atomic uint64_t restore_us;         /* all time spent restoring users */
  _Atomic uint64_t last_commit_ms;     /* wall clock, since the epoch */
  _Atomic uint64_t ready;              /* 1: item tables loaded, partitions restored */
  _Atomic uint64_t alive_ms;           /* wall clock of the last turn of the loop */
  _Atomic uint64_t turned_ms;          /* that turn on the monotonic clock; 0: none yet */
  _Atomic uint64_t phase;              /* freshet_phase */
  _Atomic uint64_t standby_partitions; /* of other processes, whose changelog is followed */
  _Atomic uint64_t standby_lag;        /* records of it that are not in the store yet */
  _Atomic uint64_t restoring;          /* partitions whose users are being restored */
  _Atomic uint64_t restoring_first;    /* the least of their numbers */
  _Atomic uint64_t restored_ppm;       /* how much of their changelog has been read */
  /* names of encoder generations; a reader may catch one in the moment of its change */
  _Atomic char texts_serving[128], texts_filling[128];
  /* histograms */
  freshet_histogram
      event_to_list; /* of live events: record timestamp to hand-over of the list to the producer */
  freshet_histogram withdrawal;         /* an item's withdrawal to the hand-over of a list without it */
  freshet_histogram batch;              /* one turn of the list clock that had records */
  freshet_histogram turn;               /* one turn of the loop, without waiting for records */
  freshet_histogram rank;               /* ranking, a user's share */
  freshet_histogram question_to_answer; /* from when it was read to when its answer was handed over */
  freshet_histogram commit;             /* settle, transaction and store */
} freshet_worker_metrics;

/* The only ways to write a figure. */
static inline void freshet_count(_Atomic uint64_t* counter, uint64_t n) {
  atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}
static inline void freshet_gauge(_Atomic uint64_t* gauge, uint64_t value) {
  atomic_store_explicit(gauge, value, memory_order_relaxed);
}
/* The loop turns, or does something long that counts as turning. */
static inline void freshet_show_alive(freshet_worker_metrics* metrics, freshet_clock* clock) {
  freshet_gauge(&metrics->alive_ms, (uint64_t)freshet_clock_now_ms(clock));
  freshet_gauge(&metrics->turned_ms, (uint64_t)freshet_clock_monotonic_ms(clock));
}
static inline void freshet_metric_name(_Atomic char* name, size_t size, const char* text) {
  size_t length = strlen(text);
  for (size_t i = 0; i < size; i++) {
    atomic_store_explicit(&name[i], i < length && i + 1 < size ? text[i] : '\0', memory_order_relaxed);
  }
}
static inline uint64_t freshet_metric(const _Atomic uint64_t* metric) {
  return atomic_load_explicit((_Atomic uint64_t*)metric, memory_order_relaxed);
}

#endif
