/*
 * offsets_log.h: what `freshet offsets` does after a topic was deleted and made again, or truncated: reads the new
 * log and keeps what is known, or forgets the state. It must not judge a log: kafka/group.h tells which is another.
 */
#ifndef FRESHET_COMMANDS_OFFSETS_LOG_H
#define FRESHET_COMMANDS_OFFSETS_LOG_H

#include "kafka/group.h"

/* Prints which partitions of events, items and requests are another log, and moves the group to their beginnings.
 * execute false: only prints. Errors: FRESHET_CONFLICT when the app is running. */
freshet_status freshet_offsets_accept_new_log(const freshet_kafka_config* kafka, bool execute,
                                              freshet_error* error);
/* Prints which state topics there are, deletes them and the group, and makes the topics again. */
freshet_status freshet_offsets_start_over(const freshet_kafka_config* kafka, bool execute,
                                          freshet_error* error);

#endif
