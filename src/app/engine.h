/*
 * engine.h: the service put together from a configuration: Kafka, RocksDB, codec, encoder and the worker on
 * top. Used by `run` and `demo`.
 */
#ifndef FRESHET_APP_ENGINE_H
#define FRESHET_APP_ENGINE_H

#include "service/config.h"
#include "worker/worker.h"

typedef struct freshet_engine_config {
  const freshet_config* config;    /* borrowed, outlives the engine */
  const freshet_logger* logger;    /* borrowed */
  freshet_worker_metrics* metrics; /* borrowed; any thread may read it */
  freshet_inbox* inbox;            /* borrowed; NULL: there are no questions from within this process */
  bool (*stopping)(void* context); /* asked often, from the engine's thread: true ends waiting and running */
  void* stopping_context;
  /* Asked between two steps. Returns new rules (copied), or NULL when they have not changed. It may be NULL
   * itself. */
  const freshet_rules* (*new_rules)(void* context);
  void* new_rules_context;
} freshet_engine_config;

/* The settings of the worker; they point into the configuration. */
freshet_stream_config freshet_engine_worker_config(const freshet_config* config);

typedef struct freshet_engine freshet_engine;

/* Opens the state folder, waits for the cluster, checks the topics, loads the item tables. Thread rule:
 * create, run and destroy on one thread. */
freshet_status freshet_engine_create(const freshet_engine_config* config, freshet_engine** engine,
                                     freshet_error* error);
/* Turns the worker until `stopping` returns true, then commits and leaves the group. */
freshet_status freshet_engine_run(freshet_engine* engine, freshet_error* error);
void freshet_engine_destroy(freshet_engine* engine);

/* Appends an item's title, as the store has it. False: there is none. One thread besides the engine's may
 * call this while the engine lives. */
bool freshet_engine_title(freshet_engine* engine, freshet_slice item_id, freshet_buffer* title);
/* Writes the http.advertise of the instance that holds a partition of `events` to url; "" while it is not
 * known. Any thread, while the engine lives; it does not wait. */
void freshet_engine_owner(freshet_engine* engine, int32_t partition, char* url, size_t size);

#endif
