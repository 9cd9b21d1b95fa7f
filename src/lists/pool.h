/*
 * pool.h: runs one task for many indices on several threads, and waits. The calling thread works too, so a pool of one
 * has no other thread and takes no lock.
 *
 * It owns the threads. It knows nothing of what a task does.
 */
#ifndef FRESHET_LISTS_POOL_H
#define FRESHET_LISTS_POOL_H

#include <stddef.h>

typedef struct freshet_pool freshet_pool;

/* threads >= 1, the caller of run included. NULL when the system refuses a thread. */
freshet_pool* freshet_pool_create(unsigned threads);
void freshet_pool_destroy(freshet_pool* pool);
unsigned freshet_pool_threads(const freshet_pool* pool);

/* Calls task(context, i, thread) for i in 0 .. count-1, each once, `thread` in 0 .. threads-1 and never twice
 * at the same time; returns when all are done. threads: 1 to those of the pool. One caller at a time. */
void freshet_pool_run(freshet_pool* pool, unsigned threads,
                      void (*task)(void* context, size_t i, unsigned thread), void* context, size_t count);

#endif
