/*
 * cluster.h: the client settings for a command that talks to Kafka by itself, without a worker. It knows the
 * configuration and librdkafka's property names, and no topic.
 */
#ifndef FRESHET_APP_CLUSTER_H
#define FRESHET_APP_CLUSTER_H

#include "kafka/kafka.h"
#include "service/config.h"

/* `before` [before_count], then everything under [kafka], which overrides it. The caller frees the array; the
 * texts are the config's. */
freshet_kafka_property* freshet_cluster_properties(const freshet_config* config,
                                                   const freshet_kafka_property* before, size_t before_count,
                                                   size_t* count);

/* A logger that puts warnings and errors on standard error, after "freshet COMMAND: ". */
freshet_logger freshet_cluster_logger(const char* command);

#endif
