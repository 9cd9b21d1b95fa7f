/*
 * supervisor.c: looks at the metrics four times a second and tells the service manager what has changed. A stop
 * whose time is over ends here: the state is safe at any moment (kill -9 loses nothing), so a broker that is away
 * need not hold up a restart of the machine.
 */
#include "app/supervisor.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/notify.h"
#include "core/monotonic.h"
#include "freshet/status.h"
#include "service/activity.h"

enum {
  LOOK_MS = 250,
  STATUS_MS = 1000,        /* between two changes of STATUS, except the first of a kind */
  EXTEND_MS = 5000,        /* between two requests for more time ... */
  EXTENSION_US = 30000000, /* ... and what each asks for */
  ACTIVITY_SIZE = 160,
};

struct freshet_supervisor {
  freshet_supervisor_config config;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  /* under the lock */
  bool ending;
  int64_t closing_since_ms; /* 0: the loop turns, or has not begun */
  void (*tell)(void* context);
  void* tell_context;
  int exit_code;
  /* of the thread alone */
  bool was_ready, was_stopping;
  int64_t status_ms, extended_ms, watchdog_ms, stopping_since_ms;
  uint64_t alive_ms; /* of the last sign of life */
  char activity[ACTIVITY_SIZE];
};

static void tell_activity(freshet_supervisor* s, int64_t now) {
  char activity[ACTIVITY_SIZE];
  freshet_activity(s->config.metrics, activity, sizeof activity);
  if (strcmp(activity, s->activity) == 0 || now - s->status_ms < STATUS_MS) return;
  s->status_ms = now;
  memcpy(s->activity, activity, sizeof activity);
  freshet_notify("STATUS=%s", activity);
}

/* Before it is ready the manager's patience is extended: a large state takes its time, and a broker that is away is
 * waited out. */
static void tell_readiness(freshet_supervisor* s, int64_t now) {
  if (s->was_ready) return;
  if (freshet_metric(&s->config.metrics->ready) != 0) {
    s->was_ready = true;
    freshet_activity(s->config.metrics, s->activity, sizeof s->activity);
    freshet_notify("READY=1\nSTATUS=%s", s->activity);
  } else if (now - s->extended_ms >= EXTEND_MS) {
    s->extended_ms = now;
    freshet_notify("EXTEND_TIMEOUT_USEC=%d", EXTENSION_US);
  }
}

/* A sign of life for a turn of the loop, twice as often as the manager wants it. What happens before the loop
 * turns, is watched by the manager's timeout for the start. */
static void tell_life(freshet_supervisor* s, int64_t now) {
  int64_t interval_ms = freshet_notify_watchdog_us() / 1000;
  uint64_t alive_ms = freshet_metric(&s->config.metrics->alive_ms);
  if (interval_ms == 0 || now - s->watchdog_ms < interval_ms / 2 - LOOK_MS) return;
  bool turns = freshet_metric(&s->config.metrics->phase) != FRESHET_PHASE_RUNNING || alive_ms != s->alive_ms;
  if (!turns) return;
  s->watchdog_ms = now;
  s->alive_ms = alive_ms;
  freshet_notify("WATCHDOG=1");
}

/* Tells of a stop that was asked for, once. */
static void tell_stop(freshet_supervisor* s, int64_t now) {
  if (s->was_stopping || !s->config.stopping(s->config.stopping_context)) return;
  s->was_stopping = true;
  s->stopping_since_ms = now;
  freshet_notify("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%lld",
                 (long long)(s->config.stop_timeout_ms + 5000) * 1000);
}

static void watch_stop(freshet_supervisor* s, int64_t now) {
  tell_stop(s, now);
  if (!s->was_stopping) return;
  if (now - s->stopping_since_ms < s->config.stop_timeout_ms) return;
  freshet_log_fact(
      s->config.logger, FRESHET_WARN, "service.stopped",
      "why=requested open=\"what was not committed within %lld s; it is read and learned again\"",
      (long long)s->config.stop_timeout_ms / 1000);
  _exit(0);
}

/* librdkafka 2.0.2 may wait for ever for a client whose topic was deleted while it asked for it. Under the lock. */
static void watch_close(freshet_supervisor* s, int64_t now) {
  if (s->closing_since_ms == 0 || now - s->closing_since_ms < s->config.close_timeout_ms) return;
  freshet_log_fact(s->config.logger, FRESHET_WARN, "service.unclosed",
                   "waited_ms=%lld why=\"a connection or file does not close; nothing is lost by it\"",
                   (long long)(now - s->closing_since_ms));
  s->tell(s->tell_context);
  _exit(s->exit_code);
}

static void* watch(void* context) {
  freshet_supervisor* s = context;
  pthread_mutex_lock(&s->lock);
  while (!s->ending) {
    pthread_mutex_unlock(&s->lock);
    int64_t now = freshet_monotonic_ms();
    watch_stop(s, now);
    if (!s->was_stopping) {
      tell_readiness(s, now);
      tell_activity(s, now);
    }
    tell_life(s, now);
    pthread_mutex_lock(&s->lock);
    watch_close(s, freshet_monotonic_ms());
    if (!s->ending) freshet_condition_wait(&s->wake, &s->lock, freshet_monotonic_ms() + LOOK_MS);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

freshet_supervisor* freshet_supervisor_create(const freshet_supervisor_config* config) {
  freshet_supervisor* s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->config = *config;
  int64_t now = freshet_monotonic_ms();
  s->status_ms = now - STATUS_MS;
  s->watchdog_ms = s->extended_ms = now - (int64_t)24 * 3600 * 1000;
  pthread_mutex_init(&s->lock, NULL);
  freshet_condition_init(&s->wake);
  if (pthread_create(&s->thread, NULL, watch, s) == 0) return s;
  pthread_cond_destroy(&s->wake);
  pthread_mutex_destroy(&s->lock);
  free(s);
  return NULL;
}

void freshet_supervisor_close(freshet_supervisor* s, void (*tell)(void* context), void* context,
                              int exit_code) {
  if (s == NULL) return;
  pthread_mutex_lock(&s->lock);
  s->closing_since_ms = freshet_monotonic_ms();
  s->tell = tell;
  s->tell_context = context;
  s->exit_code = exit_code;
  pthread_mutex_unlock(&s->lock);
}

void freshet_supervisor_destroy(freshet_supervisor* s) {
  if (s == NULL) return;
  pthread_mutex_lock(&s->lock);
  s->ending = true;
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->thread, NULL);
  tell_stop(s, freshet_monotonic_ms()); /* a quick stop is over before the thread has looked */
  pthread_cond_destroy(&s->wake);
  pthread_mutex_destroy(&s->lock);
  free(s);
}
