/*
 * topic_specs.h: what Freshet needs of each of its topics. Private to src/kafka: topic_admin.c makes topics by it,
 * topic_faults.c holds existing ones against it. It must not know a cluster.
 */
#ifndef FRESHET_KAFKA_TOPIC_SPECS_H
#define FRESHET_KAFKA_TOPIC_SPECS_H

#include "kafka/kafka.h"

typedef enum freshet_partition_rule {
  FRESHET_PARTITIONS_SHARED = 0, /* co-partitioned by user: the same count for all of these */
  FRESHET_PARTITIONS_ANY,
  FRESHET_PARTITIONS_ONE, /* one order for all readers */
} freshet_partition_rule;

typedef struct freshet_topic_spec {
  freshet_partition_rule partitions;
  bool optional;
  bool ours; /* state: losing a record of it loses knowledge */
  const char* policy;
  int64_t least_bytes;             /* max.message.bytes that its records may need */
  freshet_kafka_property extra[4]; /* ended by a NULL name */
} freshet_topic_spec;

extern const freshet_topic_spec freshet_topic_specs[FRESHET_TOPICS];

#endif
