/*
 * arena.h: memory that is given back all at once. Blocks never move, so pointers between them stay valid. An
 * arena belongs to one thread at a time.
 */
#ifndef FRESHET_CODEC_ARENA_H
#define FRESHET_CODEC_ARENA_H

#include <stddef.h>

/* Zero-initialise; release with freshet_arena_free. One thread. */
typedef struct freshet_arena {
  struct freshet_arena_chunk* newest;
  size_t used; /* of the newest chunk */
} freshet_arena;

/* Returns `size` bytes, aligned for any type, not cleared, valid until reset or free. Never NULL: it aborts
 * when memory is out. Callers bound the sizes before. */
void* freshet_arena_take(freshet_arena* arena, size_t size);
/* As freshet_arena_take, all zero. */
void* freshet_arena_take_zero(freshet_arena* arena, size_t size);
/* A NUL-terminated copy. */
char* freshet_arena_copy(freshet_arena* arena, const char* text, size_t size);
/* Takes everything back. It keeps the newest chunk, which is the largest, so that steady use does not
 * allocate. */
void freshet_arena_reset(freshet_arena* arena);
void freshet_arena_free(freshet_arena* arena);

#endif
