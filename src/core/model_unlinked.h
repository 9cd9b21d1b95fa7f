/*
 * model_unlinked.h: the items whose neighbours by text are still to be found (model_links.c, model_text.c). Shared by the
 * model_*.c files and seen by nobody else.
 */
#ifndef FRESHET_CORE_MODEL_UNLINKED_H
#define FRESHET_CORE_MODEL_UNLINKED_H

#include <stdbool.h>
#include <stdint.h>

#include "core/model_kernels.h"

/* Slots whose neighbours are found together: each tile of vectors is read from memory once for all of
 * them. */
enum { LINK_BLOCK = 4 * FRESHET_DOTS_TOGETHER };
/* States of model.text_links. LINK_WAITS: its turn to be compared has not come. LINK_READ: model_links.c. */
enum { LINK_WAITS = INT32_MAX, LINK_READ = LINK_WAITS - 1 };
typedef struct link_block {
  /* [count]; FRESHET_NO_ITEM: its text changed meanwhile, and it will be in a later block */
  uint32_t slots[LINK_BLOCK];
  uint32_t count; /* 0: there is no block */
  uint32_t next;  /* the texts of the block have been compared with all slots before this one */
  bool refills;   /* all are compared; only holes in their own lists are left */
} link_block;

typedef struct slot_stack {
  uint32_t* slots; /* [count] */
  uint32_t count, capacity;
} slot_stack;

#endif
