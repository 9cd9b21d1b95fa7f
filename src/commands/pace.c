#include "commands/pace.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "worker/clock.h"

enum { NICE = 19, SLEEP_MAX_US = 50000, LEAST_BEHIND = 1024, NEAR_US = 2000000 };

/* Who may not lower a nice value could never come back from it. */
static bool may_come_back(void) {
  struct rlimit limit;
  return geteuid() == 0 || (getrlimit(RLIMIT_NICE, &limit) == 0 && limit.rlim_cur >= 20);
}

/* Linux keeps both for each thread. */
static void set_priority(bool yields) {
  const struct sched_param none = {0};
  bool nices = may_come_back();
  DIR* folder = opendir("/proc/self/task");
  if (folder == NULL) return;
  for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
    id_t thread = (id_t)strtoul(entry->d_name, NULL, 10);
    if (thread == 0) continue;
    sched_setscheduler((pid_t)thread, yields ? SCHED_BATCH : SCHED_OTHER, &none);
    if (nices) setpriority(PRIO_PROCESS, thread, yields ? NICE : 0);
  }
  closedir(folder);
}

static void yield_to_others(freshet_pace* pace, bool yields, const freshet_logger* logger) {
  if (pace->yields == yields) return;
  pace->yields = yields;
  set_priority(yields);
  freshet_log_fact(logger, FRESHET_INFO, yields ? "backfill.yields" : "backfill.caught_up", "nice=%s",
                   may_come_back() ? "yes" : "no");
}

void freshet_pace_start(freshet_pace* pace, const freshet_config* config, const freshet_logger* logger) {
  if (config->app.generation[0] != '\0' && config->backfill.yield) yield_to_others(pace, true, logger);
}

/* A turn may learn much at once; what it was early is slept, and what it was late is not made up for. */
static void keep_rate(freshet_pace* pace, int64_t rate, uint64_t learned, bool (*stopping)(void* context),
                      void* context) {
  freshet_clock* clock = freshet_clock_system();
  int64_t due_us = pace->since_us + (int64_t)((double)(learned - pace->learned) / (double)rate * 1e6);
  for (int64_t early_us; (early_us = due_us - clock->monotonic_us(clock)) > 0 && !stopping(context);) {
    struct timespec slice = {.tv_nsec = (early_us < SLEEP_MAX_US ? early_us : SLEEP_MAX_US) * 1000};
    nanosleep(&slice, NULL);
  }
  pace->since_us = clock->monotonic_us(clock);
  pace->learned = learned;
}

void freshet_pace_turn(freshet_pace* pace, const freshet_config* config, const freshet_logger* logger,
                       const freshet_worker_metrics* metrics, uint64_t far, bool (*stopping)(void* context),
                       void* context) {
  uint64_t lag = freshet_metric(&metrics->lag), learned = freshet_metric(&metrics->events_duplicate);
  bool is_there = freshet_metric(&metrics->partitions) > 0;
  bool serves = freshet_metric(&metrics->partitions_serving) > 0;
  for (int type = 0; type < 3; type++) learned += freshet_metric(&metrics->events[type]);
  freshet_clock* clock = freshet_clock_system();
  int64_t now_us = clock->monotonic_us(clock);
  if (!is_there || lag >= LEAST_BEHIND) pace->near_us = 0;
  if (is_there && lag < LEAST_BEHIND && pace->near_us == 0) pace->near_us = now_us;
  /* Right after an assignment the ends are not known, and nothing seems to be left. */
  bool is_done = serves || (pace->near_us > 0 && now_us - pace->near_us > NEAR_US);
  if (pace->yields && is_done) yield_to_others(pace, false, logger);
  if (!pace->yields && config->backfill.yield && is_there && !serves && lag > far)
    yield_to_others(pace, true, logger);
  if (config->backfill.rate > 0 && is_there && !is_done)
    keep_rate(pace, config->backfill.rate, learned, stopping, context);
}
