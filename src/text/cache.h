/*
 * cache.h: the vectors of recent texts, least recently used out first, bounded in bytes.
 *
 * Keys are 128-bit hashes of the text (XXH3): 2^64 texts would have to pass before two are likely to be taken
 * for one another. Not thread-safe.
 */
#ifndef FRESHET_TEXT_CACHE_H
#define FRESHET_TEXT_CACHE_H

#include <stdbool.h>

#include "freshet/bytes.h"

typedef struct freshet_text_cache freshet_text_cache;

/* A cache for vectors [dim] that takes at most `bytes` in all. NULL when memory is out or the bound has no
 * room for a single vector; every call takes NULL for a cache that is always empty. */
freshet_text_cache* freshet_text_cache_create(size_t bytes, uint32_t dim);
void freshet_text_cache_destroy(freshet_text_cache* cache);

/* The vector [dim] of this text, or NULL. It belongs to the cache and is valid until the next put. */
const float* freshet_text_cache_get(freshet_text_cache* cache, freshet_slice text);
/* Copies a vector [dim] into the cache. When the cache is full, it replaces the one that was not used for the
 * longest time. */
void freshet_text_cache_put(freshet_text_cache* cache, freshet_slice text, const float* vector);

size_t freshet_text_cache_count(const freshet_text_cache* cache);

#endif
