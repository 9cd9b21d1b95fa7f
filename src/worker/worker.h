/*
 * worker.h: the stream processor: events in, learned state and fresh lists out. It knows neither Kafka nor
 * RocksDB: everything it touches is behind the interfaces source.h, sink.h, store.h and clock.h.
 *
 * Two clocks. The list clock turns with every batch: poll, learn, rank, publish. The state clock turns about
 * once a second: wait until the lists are acknowledged, one transaction with everything that changed and the
 * input offsets, then the store. The store is written only after the transaction has committed, so it is
 * always a prefix of what the log holds.
 *
 * Thread rule: create, step, stop and destroy on one thread. Metrics may be read from any thread.
 */
#ifndef FRESHET_WORKER_WORKER_H
#define FRESHET_WORKER_WORKER_H

#include "codec/codec.h"
#include "core/rules.h"
#include "freshet/encoder.h"
#include "freshet/model.h"
#include "lists/inbox.h"
#include "stream/clock.h"
#include "stream/logger.h"
#include "stream/metrics.h"
#include "stream/sink.h"
#include "stream/source.h"
#include "stream/store.h"
#include "text/embedder.h"

typedef enum freshet_delivery {
  FRESHET_DELIVERY_FAST = 0,  /* lists are published at once, outside of the transaction */
  FRESHET_DELIVERY_COMMITTED, /* lists are part of the transaction */
} freshet_delivery;

typedef struct freshet_worker_config {
  const char* generation;      /* own app id, see serving.h; NULL: there are no generations */
  const char* base_generation; /* app id of the first; both borrowed */
  freshet_delivery delivery;
  freshet_model_config model;
  freshet_event_limits limits;
  float weights[FRESHET_EVENT_TYPES]; /* by freshet_event_type */
  float positive_rating;              /* ratings at or above are positive */
  const freshet_rules* rules;         /* of the first moment, copied; NULL: none */
  uint32_t list_size;                 /* k */
  bool explain;                       /* lists carry reasons */
  float context_weight;               /* of a request's text, in items just chosen */
  int64_t requests_max_age_ms;        /* who has waited longer gets an empty list; 0: nobody has */
  int64_t max_delay_ms;               /* no user waits longer for a list, while lagging */
  uint64_t far_behind;                /* events: beyond this, lists of who does not serve wait */
  uint32_t ranking_threads;           /* 1: on the worker thread */
  uint32_t ranking_batch;             /* users ranked per turn beyond those just touched */
  int64_t commit_interval_ms;
  uint32_t overlay_users;         /* commit at once when that many rows have changed */
  uint32_t cached_users;          /* rows kept in memory */
  uint32_t dedup_events;          /* window, per partition: count ... */
  int64_t dedup_window_ms;        /* ... and time */
  int64_t items_interval_ms;      /* learned item state goes to the store this often */
  int64_t checkpoint_interval_ms; /* and to <app>.items this often */
  int64_t text_interval_ms;       /* the job for new and changed texts turns this often ... */
  size_t text_batch;              /* ... and sooner when that many wait */
  int64_t link_slice_us;        /* a turn looks so long, at least, for neighbours by text that are missing */
  double text_cutover_coverage; /* another encoder serves from this share of listed items on */
} freshet_worker_config;

/* What a worker works with. None is owned; all outlive it. encoder may be NULL: items have no text vectors.
 */
typedef struct freshet_worker_parts {
  freshet_source* source;
  freshet_log* log;       /* for the item tables, open all the time */
  freshet_log* changelog; /* for restoring users, open while it lasts */
  freshet_sink* sink;
  freshet_store* store;
  freshet_clock* clock;
  freshet_codec* codec;
  freshet_encoder* encoder;   /* of item texts; with an embedder only its name and dim are used */
  freshet_embedder* embedder; /* NULL: the encoder is so cheap that every worker encodes at once */
  freshet_inbox* inbox;       /* questions of other threads; NULL: nobody asks */
  const freshet_logger* logger;
  freshet_worker_metrics* metrics;
} freshet_worker_parts;

typedef struct freshet_worker freshet_worker;

/* Loads the item tables from the store and the log (this may take a while) and is then ready to step. */
freshet_status freshet_worker_create(const freshet_worker_config* config, const freshet_worker_parts* parts,
                                     freshet_worker** worker, freshet_error* error);

/* The handler to give to the source; context is the worker. */
freshet_source_handler freshet_worker_handler(freshet_worker* worker);

/* One turn of the list clock, and of the state clock when it is due. Waits at most timeout_ms for records.
 * Any status but FRESHET_OK means stop the process; state is safe. */
freshet_status freshet_worker_step(freshet_worker* worker, int timeout_ms, freshet_error* error);

/* Other rules from now on (copied): for what may be ranked at once, also in lists that are out already; for
 * the rest with each user's next list, which users in memory get soon. Between two steps. */
void freshet_worker_set_rules(freshet_worker* worker, const freshet_rules* rules);

/* Commits what is open, leaves the group, stores the item tables. */
freshet_status freshet_worker_stop(freshet_worker* worker, freshet_error* error);
void freshet_worker_destroy(freshet_worker* worker);

/* freshet_model_hash of what this worker knows about items: for tests and for comparing workers. */
uint64_t freshet_worker_model_hash(const freshet_worker* worker);

#endif
