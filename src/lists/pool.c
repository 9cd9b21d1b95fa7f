/* pool.c: see pool.h. Threads take the next index from a counter until there is none. */
#include "lists/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "freshet/status.h"

typedef struct helper {
  freshet_pool* pool;
  unsigned thread;
  pthread_t handle;
} helper;

struct freshet_pool {
  pthread_mutex_t lock; /* guards everything below but `next` */
  pthread_cond_t work;
  pthread_cond_t done;
  unsigned long round; /* of run; a helper that sees a new one joins in */
  unsigned joining;    /* helpers that take part in this round: the first ones */
  unsigned busy;       /* those that have not finished it */
  bool stopping;
  void (*task)(void* context, size_t i, unsigned thread);
  void* context;
  size_t count;
  _Atomic size_t next; /* task to take */
  unsigned threads;
  helper helpers[]; /* [threads - 1] */
};

static void take_tasks(freshet_pool* pool, unsigned thread) {
  for (size_t i; (i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < pool->count;) {
    pool->task(pool->context, i, thread);
  }
}

static void* help(void* argument) {
  helper* self = argument;
  freshet_pool* pool = self->pool;
  unsigned long seen = 0;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    while (pool->round == seen && !pool->stopping) pthread_cond_wait(&pool->work, &pool->lock);
    if (pool->stopping) break;
    seen = pool->round;
    if (self->thread > pool->joining) continue;
    pthread_mutex_unlock(&pool->lock);
    take_tasks(pool, self->thread);
    pthread_mutex_lock(&pool->lock);
    if (--pool->busy == 0) pthread_cond_signal(&pool->done);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

freshet_pool* freshet_pool_create(unsigned threads) {
  freshet_pool* pool = calloc(1, sizeof *pool + (threads - 1) * sizeof pool->helpers[0]);
  if (pool == NULL) return NULL;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->done, NULL);
  pool->threads = 1;
  for (unsigned i = 0; i + 1 < threads; i++) {
    pool->helpers[i] = (helper){.pool = pool, .thread = i + 1};
    if (pthread_create(&pool->helpers[i].handle, NULL, help, &pool->helpers[i]) != 0) {
      freshet_pool_destroy(pool);
      return NULL;
    }
    pool->threads++;
  }
  return pool;
}

void freshet_pool_destroy(freshet_pool* pool) {
  if (pool == NULL) return;
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  for (unsigned i = 0; i + 1 < pool->threads; i++) pthread_join(pool->helpers[i].handle, NULL);
  pthread_cond_destroy(&pool->work);
  pthread_cond_destroy(&pool->done);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}

unsigned freshet_pool_threads(const freshet_pool* pool) {
  return pool->threads;
}

void freshet_pool_run(freshet_pool* pool, unsigned threads,
                      void (*task)(void* context, size_t i, unsigned thread), void* context, size_t count) {
  FRESHET_ASSERT(threads >= 1 && threads <= pool->threads);
  pthread_mutex_lock(&pool->lock);
  pool->task = task;
  pool->context = context;
  pool->count = count;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  /* One task is done sooner than a thread is woken. */
  pool->joining = pool->busy = count < threads ? (count > 0 ? (unsigned)count - 1 : 0) : threads - 1;
  if (pool->busy > 0) {
    pool->round++;
    pthread_cond_broadcast(&pool->work);
  }
  pthread_mutex_unlock(&pool->lock);
  take_tasks(pool, 0);
  pthread_mutex_lock(&pool->lock);
  while (pool->busy > 0) pthread_cond_wait(&pool->done, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
}
