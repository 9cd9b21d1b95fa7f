/*
 * cluster.c: makes the client settings and the logger of a command that talks to Kafka without a worker. It
 * owns nothing: settings point into the configuration. Which topics the command reads is the command's own
 * matter.
 */
#include "app/cluster.h"

#include <stdio.h>
#include <stdlib.h>

freshet_kafka_property* freshet_cluster_properties(const freshet_config* config,
                                                   const freshet_kafka_property* before, size_t before_count,
                                                   size_t* count) {
  *count = before_count + config->kafka.count;
  freshet_kafka_property* properties = calloc(*count + 1, sizeof *properties);
  FRESHET_ASSERT(properties != NULL);
  for (size_t i = 0; i < before_count; i++) properties[i] = before[i];
  for (size_t i = 0; i < config->kafka.count; i++) {
    const freshet_property* written = &config->kafka.properties[i];
    properties[before_count + i] = (freshet_kafka_property){written->name, written->value};
  }
  return properties;
}

static void write_log(void* context, freshet_log_level level, const char* event, const char* fields) {
  if (level >= FRESHET_WARN) fprintf(stderr, "freshet %s: %s %s\n", (const char*)context, event, fields);
}

freshet_logger freshet_cluster_logger(const char* command) {
  return (freshet_logger){.write = write_log, .context = (void*)command};
}
