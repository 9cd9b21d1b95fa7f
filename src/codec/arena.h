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

/* `size` bytes, aligned for any type, not cleared; hold until reset or free. Never NULL: aborts when memory
 * is out, the sizes that reach this were bounded at the door. */
void* freshet_arena_take(freshet_arena* arena, size_t size);
/* The same, all zero. */
void* freshet_arena_take_zero(freshet_arena* arena, size_t size);
/* A NUL-terminated copy. */
char* freshet_arena_copy(freshet_arena* arena, const char* text, size_t size);
/* Takes everything back. Keeps the newest chunk, the largest, so that steady use does not allocate. */
void freshet_arena_reset(freshet_arena* arena);
void freshet_arena_free(freshet_arena* arena);

#endif
