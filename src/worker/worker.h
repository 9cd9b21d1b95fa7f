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

#include "lists/inbox.h"
#include "stream/ports.h"
#include "stream/stream_config.h"

typedef struct freshet_worker freshet_worker;

/* Loads the item tables from the store and the log (this may take a while) and is then ready to step.
 * inbox: questions of other threads, not owned; NULL: nobody asks. */
freshet_status freshet_worker_create(const freshet_stream_config* config, const freshet_ports* ports,
                                     freshet_inbox* inbox, freshet_worker** worker, freshet_error* error);

/* The handler to give to the source; context is the worker. */
freshet_source_handler freshet_worker_handler(freshet_worker* worker);

/* One turn of the list clock, and of the state clock when it is due. Waits at most timeout_ms for records.
 * Any status but FRESHET_OK means stop the process; state is safe. */
freshet_status freshet_worker_step(freshet_worker* worker, int timeout_ms, freshet_error* error);

/* Other rules from now on; copied. What may be ranked changes at once, also in lists that are out already. The rest
 * changes with each user's next list, which users in memory get soon. Call it between two steps. */
void freshet_worker_set_rules(freshet_worker* worker, const freshet_rules* rules);

/* Commits what is open, leaves the group, stores the item tables. */
freshet_status freshet_worker_stop(freshet_worker* worker, freshet_error* error);
void freshet_worker_destroy(freshet_worker* worker);

/* How far the worker has come: for the pace of the process. */
typedef struct freshet_worker_progress {
  uint64_t events;     /* records of `events` applied since the start */
  uint64_t lag;        /* records that exist and are not applied yet */
  uint64_t partitions; /* of `events`, held */
  uint64_t serving;    /* those of them whose lists this app generation publishes */
} freshet_worker_progress;
freshet_worker_progress freshet_worker_progress_of(const freshet_worker* worker);

/* freshet_model_hash of what this worker knows about items: for tests and for comparing workers. */
uint64_t freshet_worker_model_hash(const freshet_worker* worker);

#endif
