/*
 * item_logs.h: reads the logs that every worker reads whole, outside of the consumer group: `items`,
 * <app>.items, <app>.item-deltas and <base>.generations.
 *
 * It owns which partitions are open and where the store says that reading goes on. What a record means is none
 * of its business: every record goes to the one who made the object.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_CATALOGUE_ITEM_LOGS_H
#define FRESHET_CATALOGUE_ITEM_LOGS_H

#include "stream/mark.h"
#include "stream/ports.h"

/* Applies one record. Its views hold during the call. */
typedef freshet_status (*freshet_item_logs_apply)(void* context, const freshet_record* record,
                                                  freshet_error* error);

typedef struct freshet_item_logs freshet_item_logs;

/* Nothing is owned. */
freshet_item_logs* freshet_item_logs_create(const freshet_ports* ports, freshet_item_logs_apply apply,
                                            void* context);
/* Shuts what is open. NULL is allowed. */
void freshet_item_logs_destroy(freshet_item_logs* logs);

freshet_status freshet_item_logs_partitions(freshet_item_logs* logs, freshet_topic topic, int32_t* count,
                                            freshet_error* error);

/* The first offset that the log still has, and its end now. */
freshet_status freshet_item_logs_range(freshet_item_logs* logs, freshet_topic topic, int32_t partition,
                                       int64_t* first, int64_t* end, freshet_error* error);

/* How far the store reflects a partition. */
typedef struct freshet_stored_position {
  bool is_usable;  /* there is a position, and the log still has everything from there on */
  bool is_beyond;  /* there is one, and the log ends before it: the topic was made again */
  int64_t offset;  /* the next to read */
  int64_t time_ms; /* when it was stored */
} freshet_stored_position;

freshet_status freshet_item_logs_stored(freshet_item_logs* logs, freshet_topic topic, int32_t partition,
                                        freshet_stored_position* stored, freshet_error* error);

/* Opens a partition at an offset (FRESHET_OFFSET_BEGINNING is allowed). */
freshet_status freshet_item_logs_open(freshet_item_logs* logs, freshet_topic topic, int32_t partition,
                                      int64_t offset, freshet_error* error);
/* Opens it at the stored position, or at the beginning when that is not usable. */
freshet_status freshet_item_logs_open_at_stored(freshet_item_logs* logs, freshet_topic topic,
                                                int32_t partition, freshet_error* error);

/* The mark of the first record at `offset` or after it, which the log has to have. No mark: there is none.
 * The partition must be shut, and is left shut. Records of others that come meanwhile are applied. */
freshet_status freshet_item_logs_mark_at(freshet_item_logs* logs, freshet_topic topic, int32_t partition,
                                         int64_t offset, freshet_mark* mark, freshet_error* error);

/* The next offset to be read; see freshet_reader. */
int64_t freshet_item_logs_position(const freshet_item_logs* logs, freshet_topic topic, int32_t partition);

/* Applies the next few records at hand. Waits at most timeout_ms for the first. *is_all: there were no more. */
freshet_status freshet_item_logs_poll(freshet_item_logs* logs, int timeout_ms, bool* is_all,
                                      freshet_error* error);

/* Applies everything up to the ends that the partitions of the topic have now, and writes the store. The
 * partitions must be open, and stay so. Errors: FRESHET_TIMEOUT (verdict FRESHET_STOP) when the log gives
 * nothing for 90 s, FRESHET_UNAVAILABLE when the process is asked to stop. */
freshet_status freshet_item_logs_catch_up(freshet_item_logs* logs, freshet_topic topic, int32_t partitions,
                                          freshet_error* error);

#endif
