/*
 * cluster.h: the client settings for a command that talks to Kafka by itself, without a worker. It knows the
 * configuration and librdkafka's property names, and no topic.
 */
#ifndef FRESHET_APP_CLUSTER_H
#define FRESHET_APP_CLUSTER_H

#include "kafka/kafka.h"
#include "service/config.h"

/* The settings `before` [before_count], then everything under [kafka], which overrides them. The caller frees
 * the array; the texts belong to the configuration. */
freshet_kafka_property* freshet_cluster_properties(const freshet_config* config,
                                                   const freshet_kafka_property* before, size_t before_count,
                                                   size_t* count);

/* A logger that writes warnings and errors to standard error, after "freshet COMMAND: ". */
freshet_logger freshet_cluster_logger(const char* command);

#endif
