/*
 * arena.c: blocks of memory that grow and are given back all at once. No block moves, so pointers into it
 * stay valid. It must not know what lies in them.
 */
#include "codec/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "freshet/status.h"

enum { FIRST_CHUNK_SIZE = 4096 };

struct freshet_arena_chunk {
  struct freshet_arena_chunk* older;
  size_t capacity;
  alignas(max_align_t) char bytes[];
};

static void grow(freshet_arena* arena, size_t size) {
  struct freshet_arena_chunk* newest = arena->newest;
  size_t capacity = newest == NULL ? FIRST_CHUNK_SIZE : 2 * newest->capacity;
  while (capacity < size) capacity *= 2;
  struct freshet_arena_chunk* chunk = malloc(sizeof *chunk + capacity);
  FRESHET_ASSERT(chunk != NULL);
  chunk->older = newest;
  chunk->capacity = capacity;
  arena->newest = chunk;
  arena->used = 0;
}

void* freshet_arena_take(freshet_arena* arena, size_t size) {
  FRESHET_ASSERT(size <= SIZE_MAX / 8);
  size = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
  if (arena->newest == NULL || arena->newest->capacity - arena->used < size) grow(arena, size);
  void* taken = arena->newest->bytes + arena->used;
  arena->used += size;
  return taken;
}

void* freshet_arena_take_zero(freshet_arena* arena, size_t size) {
  return memset(freshet_arena_take(arena, size), 0, size);
}

char* freshet_arena_copy(freshet_arena* arena, const char* text, size_t size) {
  char* copy = freshet_arena_take(arena, size + 1);
  if (size > 0) memcpy(copy, text, size);
  copy[size] = '\0';
  return copy;
}

static void free_chunks(struct freshet_arena_chunk* chunk) {
  while (chunk != NULL) {
    struct freshet_arena_chunk* older = chunk->older;
    free(chunk);
    chunk = older;
  }
}

void freshet_arena_reset(freshet_arena* arena) {
  if (arena->newest == NULL) return;
  free_chunks(arena->newest->older);
  arena->newest->older = NULL;
  arena->used = 0;
}

void freshet_arena_free(freshet_arena* arena) {
  free_chunks(arena->newest);
  *arena = (freshet_arena){0};
}
