/*
 * stopped.h: is the app of a consumer group stopped? Kafka counts a member that has stopped until its session ends,
 * so commands that change an app while it is stopped wait that long. It must not change the group.
 */
#ifndef FRESHET_COMMANDS_STOPPED_H
#define FRESHET_COMMANDS_STOPPED_H

#include "kafka/kafka.h"

/* Waits for the session of members that have stopped, and says so on standard error. Errors: FRESHET_CONFLICT when
 * the group has members even then; FRESHET_UNAVAILABLE. */
freshet_status freshet_await_stopped(const freshet_kafka_config* kafka, const char* group,
                                     freshet_error* error);

#endif
