/*
 * partitioner.h: the partition that producers choose for a key unless they are told otherwise: MurmurHash2
 * (Appleby, 2008) as in Kafka's Java client (org.apache.kafka.common.utils.Utils), which librdkafka calls
 * murmur2.
 */
#ifndef FRESHET_STREAM_PARTITIONER_H
#define FRESHET_STREAM_PARTITIONER_H

#include "freshet/bytes.h"

/* Pure. partitions >= 1. */
int32_t freshet_partition_of(freshet_slice key, int32_t partitions);

#endif
