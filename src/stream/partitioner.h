/*
 * partitioner.h: the partition that a producer chooses for a key, as the usual clients compute it.
 *
 * murmur2 is that of Java clients (org.apache.kafka.common.utils.Utils, after Appleby's MurmurHash2), crc32 the default
 * of librdkafka ("consistent_random", so of most Python, Go and .NET producers), fnv1a that of Sarama and kafka-go.
 * It must not know what a key means.
 */
#ifndef FRESHET_STREAM_PARTITIONER_H
#define FRESHET_STREAM_PARTITIONER_H

#include "freshet/bytes.h"

/* In the order of the setting events.partitioner. */
typedef enum freshet_partitioner {
  FRESHET_PARTITIONER_ANY = 0, /* producers choose in a way of their own */
  FRESHET_PARTITIONER_MURMUR2,
  FRESHET_PARTITIONER_CRC32,
  FRESHET_PARTITIONER_FNV1A,
  FRESHET_PARTITIONERS
} freshet_partitioner;

/* The partition of a key, 0 to partitions - 1; -1 for FRESHET_PARTITIONER_ANY. Pure. partitions >= 1. */
int32_t freshet_partition_by(freshet_partitioner partitioner, freshet_slice key, int32_t partitions);

/* By murmur2. Pure. partitions >= 1. */
int32_t freshet_partition_of(freshet_slice key, int32_t partitions);

/* As the setting writes it: "murmur2". Static. */
const char* freshet_partitioner_name(freshet_partitioner partitioner);

/* What librdkafka calls the partitioner, for its property of that name: "murmur2_random". Without a rule of the
 * producers it is that of murmur2. Static. */
const char* freshet_partitioner_property(freshet_partitioner partitioner);

#endif
