/*
 * replay_output.h: where a replay goes: the topics of events and items, through an idempotent producer that
 * is tuned for throughput.
 */
#ifndef FRESHET_COMMANDS_REPLAY_OUTPUT_H
#define FRESHET_COMMANDS_REPLAY_OUTPUT_H

#include "codec/codec.h"
#include "freshet/event.h"
#include "service/config.h"

typedef struct freshet_replay_output freshet_replay_output;

typedef struct freshet_replay_output_config {
  const freshet_config* config;      /* borrowed, outlives the output */
  const freshet_codec_config* codec; /* borrowed, outlives the output */
  bool (*stopping)(void* context);   /* true ends waiting for the cluster */
  void* stopping_context;
  bool accepts_loss; /* publish though the policy of the events topic deletes what is published */
} freshet_replay_output_config;

/* Waits for the cluster and checks that both topics exist and that events stay there. Errors:
 * FRESHET_UNAVAILABLE, FRESHET_NOT_FOUND, FRESHET_CONFLICT (events are compacted). */
freshet_status freshet_replay_output_open(const freshet_replay_output_config* config,
                                          freshet_replay_output** output, freshet_error* error);
/* What is not settled is given up. NULL is allowed. */
void freshet_replay_output_close(freshet_replay_output* output);

/* Encode and enqueue; wait while the queue is full. time_ms: the record's time. Errors: FRESHET_CONFLICT when
 * the topic does not keep records that old. */
freshet_status freshet_replay_output_event(freshet_replay_output* output, const freshet_event* event,
                                           int64_t time_ms, freshet_error* error);
/* time_ms 0: now. */
freshet_status freshet_replay_output_item(freshet_replay_output* output, const freshet_item* item,
                                          int64_t time_ms, freshet_error* error);
/* A record without a value: the user is erased, the item withdrawn. */
freshet_status freshet_replay_output_tombstone(freshet_replay_output* output, bool is_event,
                                               freshet_slice key, int64_t time_ms, freshet_error* error);
/* How many records have been enqueued: all but those that are recalled (below). */
uint64_t freshet_replay_output_sent(const freshet_replay_output* output);
/* Serves delivery reports; call it while waiting for something else. */
void freshet_replay_output_poll(freshet_replay_output* output);
/* Waits until all is acknowledged. Errors: FRESHET_UNAVAILABLE when records were given up. */
freshet_status freshet_replay_output_settle(freshet_replay_output* output, freshet_error* error);

/* ---- after a crash (replay_landed.h) ---- */

/* When all is settled: what is published from now on lies behind the mark. The text is appended. */
freshet_status freshet_replay_output_mark(freshet_replay_output* output, freshet_buffer* mark,
                                          freshet_error* error);
/* Events that have been written behind the mark are not sent again.
 * *whole false: so much has been written there that not all of it is known. */
freshet_status freshet_replay_output_recall(freshet_replay_output* output, const char* mark, bool* whole,
                                            freshet_error* error);
/* Are there any to be recalled? */
bool freshet_replay_output_recalls(const freshet_replay_output* output);
void freshet_replay_output_forget(freshet_replay_output* output);

#endif
