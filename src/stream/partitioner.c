/*
 * partitioner.c: murmur2 of a key as Java clients compute it, so that users have the same partition for
 * every producer. Pure.
 */
#include "stream/partitioner.h"

static uint32_t murmur2(freshet_slice key) {
  const uint8_t* bytes = (const uint8_t*)key.data;
  const uint32_t m = 0x5bd1e995;
  uint32_t hash = 0x9747b28c ^ (uint32_t)key.size;
  size_t at = 0;
  for (; at + 4 <= key.size; at += 4) {
    uint32_t k = (uint32_t)bytes[at] | (uint32_t)bytes[at + 1] << 8 | (uint32_t)bytes[at + 2] << 16 |
                 (uint32_t)bytes[at + 3] << 24;
    k *= m;
    hash = hash * m ^ (k ^ k >> 24) * m;
  }
  if (at < key.size) {
    for (size_t i = at; i < key.size; i++) hash ^= (uint32_t)bytes[i] << 8 * (i - at);
    hash *= m;
  }
  hash = (hash ^ hash >> 13) * m;
  return hash ^ hash >> 15;
}

int32_t freshet_partition_of(freshet_slice key, int32_t partitions) {
  return (int32_t)((murmur2(key) & 0x7fffffff) % (uint32_t)partitions);
}
