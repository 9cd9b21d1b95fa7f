/* helper.c: a thread that waits for a job, runs it, and says so; see helper.h. It must not know what a job does. */
#include "stream/helper.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/monotonic.h"
#include "freshet/status.h"

struct freshet_helper {
  pthread_t thread;
  pthread_mutex_t lock; /* guards everything below */
  pthread_cond_t changed;
  void (*job)(void* context); /* NULL: none is under way */
  void* context;
  bool is_leaving;
};

static void* work(void* argument) {
  freshet_helper* helper = argument;
  pthread_mutex_lock(&helper->lock);
  for (;;) {
    while (helper->job == NULL && !helper->is_leaving) pthread_cond_wait(&helper->changed, &helper->lock);
    if (helper->job == NULL) break;
    pthread_mutex_unlock(&helper->lock);
    helper->job(helper->context); /* nobody changes it while it is under way */
    pthread_mutex_lock(&helper->lock);
    helper->job = NULL;
    pthread_cond_broadcast(&helper->changed);
  }
  pthread_mutex_unlock(&helper->lock);
  return NULL;
}

static void free_helper(freshet_helper* helper) {
  pthread_cond_destroy(&helper->changed);
  pthread_mutex_destroy(&helper->lock);
  free(helper);
}

freshet_helper* freshet_helper_create(const char* name) {
  freshet_helper* helper = calloc(1, sizeof *helper);
  if (helper == NULL) return NULL;
  pthread_mutex_init(&helper->lock, NULL);
  freshet_condition_init(&helper->changed);
  if (pthread_create(&helper->thread, NULL, work, helper) != 0) {
    free_helper(helper);
    return NULL;
  }
  pthread_setname_np(helper->thread, name);
  return helper;
}

void freshet_helper_destroy(freshet_helper* helper) {
  if (helper == NULL) return;
  pthread_mutex_lock(&helper->lock);
  helper->is_leaving = true;
  pthread_cond_broadcast(&helper->changed);
  pthread_mutex_unlock(&helper->lock);
  pthread_join(helper->thread, NULL);
  free_helper(helper);
}

void freshet_helper_start(freshet_helper* helper, void (*job)(void* context), void* context) {
  pthread_mutex_lock(&helper->lock);
  FRESHET_ASSERT(helper->job == NULL);
  helper->job = job;
  helper->context = context;
  pthread_cond_broadcast(&helper->changed);
  pthread_mutex_unlock(&helper->lock);
}

bool freshet_helper_await(freshet_helper* helper, int wait_ms) {
  const int64_t until_ms = freshet_monotonic_ms() + wait_ms;
  pthread_mutex_lock(&helper->lock);
  bool is_late = wait_ms == 0;
  while (helper->job != NULL && !is_late) {
    if (wait_ms < 0) {
      pthread_cond_wait(&helper->changed, &helper->lock);
    } else {
      is_late = !freshet_condition_wait(&helper->changed, &helper->lock, until_ms);
    }
  }
  bool is_done = helper->job == NULL;
  pthread_mutex_unlock(&helper->lock);
  return is_done;
}
