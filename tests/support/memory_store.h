/*
 * memory_store.h: store.h in memory, as plainly as it can be written: the oracle of the contract suite and a
 * store for tests that need no disk.
 */
#ifndef FRESHET_TESTS_MEMORY_STORE_H
#define FRESHET_TESTS_MEMORY_STORE_H

#include "stream/store.h"

/* Released with vtable->destroy. */
freshet_store* freshet_memory_store_create(void);

#endif
