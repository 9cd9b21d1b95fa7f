/*
 * replay_output.h: where a replay goes: the topics of events and items, through an idempotent producer that
 * is tuned for throughput.
 */
#ifndef FRESHET_COMMANDS_REPLAY_OUTPUT_H
#define FRESHET_COMMANDS_REPLAY_OUTPUT_H

#include "freshet/event.h"
#include "service/config.h"

typedef struct freshet_replay_output freshet_replay_output;

typedef struct freshet_replay_output_config {
  const freshet_config* config;    /* borrowed, outlives the output */
  bool (*stopping)(void* context); /* true ends waiting for the cluster */
  void* stopping_context;
} freshet_replay_output_config;

/* Waits for the cluster and checks that both topics exist. Errors: FRESHET_UNAVAILABLE, FRESHET_NOT_FOUND. */
freshet_status freshet_replay_output_open(const freshet_replay_output_config* config,
                                          freshet_replay_output** output, freshet_error* error);
/* What is not settled is given up. NULL is allowed. */
void freshet_replay_output_close(freshet_replay_output* output);

/* Encode and enqueue; wait while the queue is full. The record's time is the event's. */
freshet_status freshet_replay_output_event(freshet_replay_output* output, const freshet_event* event,
                                           freshet_error* error);
freshet_status freshet_replay_output_item(freshet_replay_output* output, const freshet_item* item,
                                          freshet_error* error);
/* Serves delivery reports; call it while waiting for something else. */
void freshet_replay_output_poll(freshet_replay_output* output);
/* Waits until all is acknowledged. Errors: FRESHET_UNAVAILABLE when records were given up. */
freshet_status freshet_replay_output_settle(freshet_replay_output* output, freshet_error* error);

#endif
