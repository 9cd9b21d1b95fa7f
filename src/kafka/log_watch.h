/*
 * log_watch.h: looks every few seconds whether the logs that are read are still the same. Private to src/kafka.
 *
 * It owns a thread, and a freshet_log_check for it and one for its callers. It must not stop the process: it tells
 * the source.
 *
 * Thread rule: the source's thread calls it.
 */
#ifndef FRESHET_KAFKA_LOG_WATCH_H
#define FRESHET_KAFKA_LOG_WATCH_H

#include "kafka/log_check.h"

typedef struct freshet_log_watch freshet_log_watch;

freshet_status freshet_log_watch_create(const freshet_kafka_config* config, freshet_log_watch** watch,
                                        freshet_error* error);
void freshet_log_watch_destroy(freshet_log_watch* watch); /* NULL is allowed */

/* Where reading is now; copied. From now on these are watched and no others. */
void freshet_log_watch_set(freshet_log_watch* watch, const freshet_log_place* places, size_t count);
/* The most partitions of `items` that it has seen; 0: none yet. */
int32_t freshet_log_watch_items(freshet_log_watch* watch);
/* What the thread has found. Errors: FRESHET_CONFLICT, see freshet_log_check_refuse. */
freshet_status freshet_log_watch_verdict(freshet_log_watch* watch, freshet_error* error);
/* Judges places at once. Errors: FRESHET_CONFLICT for the first that is another log. */
freshet_status freshet_log_watch_judge(freshet_log_watch* watch, freshet_log_place* places, size_t count,
                                       freshet_error* error);

#endif
