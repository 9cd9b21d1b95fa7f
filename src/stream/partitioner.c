/*
 * partitioner.c: the hashes of keys by which producers choose partitions. Pure.
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

/* CRC-32 of IEEE 802.3, as zlib computes it, half a byte at a time. */
static uint32_t crc32(freshet_slice key) {
  static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                     0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                     0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < key.size; i++) {
    crc ^= (uint8_t)key.data[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

/* FNV-1a (Fowler, Noll, Vo) of 32 bits, of which Sarama takes the absolute value as a signed number. */
static uint32_t fnv1a(freshet_slice key) {
  uint32_t hash = 0x811c9dc5;
  for (size_t i = 0; i < key.size; i++) hash = (hash ^ (uint8_t)key.data[i]) * 0x01000193;
  return hash & 0x80000000 ? 0 - hash : hash;
}

int32_t freshet_partition_by(freshet_partitioner partitioner, freshet_slice key, int32_t partitions) {
  switch (partitioner) {
    case FRESHET_PARTITIONER_MURMUR2:
      return (int32_t)((murmur2(key) & 0x7fffffff) % (uint32_t)partitions);
    case FRESHET_PARTITIONER_CRC32:
      return (int32_t)(crc32(key) % (uint32_t)partitions);
    case FRESHET_PARTITIONER_FNV1A:
      return (int32_t)(fnv1a(key) % (uint32_t)partitions);
    default:
      return -1;
  }
}

int32_t freshet_partition_of(freshet_slice key, int32_t partitions) {
  return freshet_partition_by(FRESHET_PARTITIONER_MURMUR2, key, partitions);
}

const char* freshet_partitioner_name(freshet_partitioner partitioner) {
  static const char* const names[FRESHET_PARTITIONERS] = {
      [FRESHET_PARTITIONER_ANY] = "any",
      [FRESHET_PARTITIONER_MURMUR2] = "murmur2",
      [FRESHET_PARTITIONER_CRC32] = "crc32",
      [FRESHET_PARTITIONER_FNV1A] = "fnv1a",
  };
  return names[partitioner];
}

const char* freshet_partitioner_property(freshet_partitioner partitioner) {
  static const char* const names[FRESHET_PARTITIONERS] = {
      [FRESHET_PARTITIONER_ANY] = "murmur2_random",
      [FRESHET_PARTITIONER_MURMUR2] = "murmur2_random",
      [FRESHET_PARTITIONER_CRC32] = "consistent_random",
      [FRESHET_PARTITIONER_FNV1A] = "fnv1a_random",
  };
  return names[partitioner];
}
