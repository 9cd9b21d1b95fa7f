/*
 * cache.c: the vectors of recent texts by the hash of the text, bounded in bytes; the least recently used
 * one goes first. It owns its entries. It must not know how a vector is made.
 */
#include "text/cache.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "freshet/status.h"

enum { NONE = 0xffffffff };

/* Entries have numbers. One list goes from the newest to the oldest use, and each bucket has a chain of its
 * entries. */
typedef struct entry {
  XXH128_hash_t key;
  uint32_t newer, older, chain;
} entry;

struct freshet_text_cache {
  uint32_t dim, capacity, count;
  uint32_t newest, oldest;
  uint32_t bucket_mask;
  uint32_t* buckets; /* [bucket_mask + 1] */
  entry* entries;    /* [capacity] */
  float* vectors;    /* [capacity][dim] */
};

freshet_text_cache* freshet_text_cache_create(size_t bytes, uint32_t dim) {
  size_t each = sizeof(entry) + dim * sizeof(float) + 2 * sizeof(uint32_t), capacity = bytes / each,
         buckets = 1;
  if (capacity == 0) return NULL;
  if (capacity > NONE / 4) capacity = NONE / 4;
  while (buckets < capacity) buckets *= 2; /* one to two for each entry */
  freshet_text_cache* cache = calloc(1, sizeof *cache);
  if (cache == NULL) return NULL;
  cache->dim = dim;
  cache->capacity = (uint32_t)capacity;
  cache->newest = cache->oldest = NONE;
  cache->bucket_mask = (uint32_t)buckets - 1;
  cache->buckets = malloc(buckets * sizeof *cache->buckets);
  cache->entries = malloc(capacity * sizeof *cache->entries);
  cache->vectors = malloc(capacity * dim * sizeof *cache->vectors);
  if (cache->buckets == NULL || cache->entries == NULL || cache->vectors == NULL) {
    freshet_text_cache_destroy(cache);
    return NULL;
  }
  memset(cache->buckets, 0xff, buckets * sizeof *cache->buckets);
  return cache;
}

void freshet_text_cache_destroy(freshet_text_cache* cache) {
  if (cache == NULL) return;
  free(cache->buckets);
  free(cache->entries);
  free(cache->vectors);
  free(cache);
}

static uint32_t* bucket_of(const freshet_text_cache* cache, XXH128_hash_t key) {
  return &cache->buckets[key.low64 & cache->bucket_mask];
}

static uint32_t find(const freshet_text_cache* cache, XXH128_hash_t key) {
  uint32_t at = *bucket_of(cache, key);
  while (at != NONE && !XXH128_isEqual(cache->entries[at].key, key)) at = cache->entries[at].chain;
  return at;
}

static void leave_list(freshet_text_cache* cache, uint32_t at) {
  const entry* e = &cache->entries[at];
  *(e->newer == NONE ? &cache->newest : &cache->entries[e->newer].older) = e->older;
  *(e->older == NONE ? &cache->oldest : &cache->entries[e->older].newer) = e->newer;
}

static void enter_list(freshet_text_cache* cache, uint32_t at) {
  entry* e = &cache->entries[at];
  e->newer = NONE;
  e->older = cache->newest;
  *(cache->newest == NONE ? &cache->oldest : &cache->entries[cache->newest].newer) = at;
  cache->newest = at;
}

static void leave_chain(freshet_text_cache* cache, uint32_t at) {
  uint32_t* link = bucket_of(cache, cache->entries[at].key);
  while (*link != at) link = &cache->entries[*link].chain;
  *link = cache->entries[at].chain;
}

const float* freshet_text_cache_get(freshet_text_cache* cache, freshet_slice text) {
  if (cache == NULL) return NULL;
  uint32_t at = find(cache, XXH3_128bits(text.data, text.size));
  if (at == NONE) return NULL;
  leave_list(cache, at);
  enter_list(cache, at);
  return cache->vectors + (size_t)at * cache->dim;
}

void freshet_text_cache_put(freshet_text_cache* cache, freshet_slice text, const float* vector) {
  if (cache == NULL) return;
  XXH128_hash_t key = XXH3_128bits(text.data, text.size);
  uint32_t at = find(cache, key);
  if (at != NONE) {
    leave_list(cache, at);
  } else {
    if (cache->count < cache->capacity) {
      at = cache->count++;
    } else {
      at = cache->oldest;
      leave_list(cache, at);
      leave_chain(cache, at);
    }
    cache->entries[at].key = key;
    cache->entries[at].chain = *bucket_of(cache, key);
    *bucket_of(cache, key) = at;
  }
  enter_list(cache, at);
  memcpy(cache->vectors + (size_t)at * cache->dim, vector, cache->dim * sizeof *vector);
}

size_t freshet_text_cache_count(const freshet_text_cache* cache) {
  return cache == NULL ? 0 : cache->count;
}
