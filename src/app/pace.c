/*
 * pace.c: yields the processor, and keeps to a rate, while an app generation that does not serve is far
 * behind. The decisions are pure functions of numbers, which a unit test calls; only freshet_pace_turn acts.
 * It must not touch the worker: a turn of the loop is as it is, and pace waits between two of them.
 */
#include "app/pace.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "stream/clock.h"

enum {
  NICEST = 18, /* less than what the text lanes choose for themselves: they keep that */
  LEAST_NICE = 5,
  SLEEP_MAX_US = 50000,
  LEAST_BEHIND = 1024,
  NEAR_US = 2000000,
  LOOK_US = 1000000,
  SLICE_NS = 100000, /* the shortest that Linux gives */
};

static const double least_share = .1, ample_share = .3;

/* sched_setattr(2). glibc has no name for it before 2.41. */
typedef struct attributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns, deadline_ns, period_ns;
} attributes;

/* Real-time and idle policies have another use for the same fields, or none. */
static bool is_shared(int policy) {
  return policy == SCHED_OTHER || policy == SCHED_BATCH;
}

/* False: Linux does not tell, or the thread has no slices. */
static bool look_at(pid_t thread, attributes* a) {
  *a = (attributes){.size = sizeof *a};
  return syscall(SYS_sched_getattr, thread, a, sizeof *a, 0) == 0 && is_shared((int)a->policy);
}

/* Linux gives a core first to the thread whose slice ends first. A list passes a dozen threads, each of which needs a core
 * for some 100 us: where cores are scarce, each of them would wait for the slices of others. The share of a core stays as it
 * is. Before Linux 6.12 there is no such choice, and nothing happens. thread 0: this one. slice_ns 0: as usual. */
static void set_slice(pid_t thread, uint64_t slice_ns) {
  attributes a;
  if (!look_at(thread, &a)) return;
  a.runtime_ns = slice_ns;
  syscall(SYS_sched_setattr, thread, &a, 0);
}

/* The length that the operator has chosen for this thread; 0: none. Linux tells it only by the difference. */
static uint64_t chosen_slice_ns(void) {
  attributes before, usual;
  if (!look_at(0, &before)) return 0;
  set_slice(0, 0);
  if (!look_at(0, &usual) || usual.runtime_ns == before.runtime_ns) return 0;
  set_slice(0, before.runtime_ns);
  return before.runtime_ns;
}

/* A process that may not lower its nice value could never go back from a higher one. Root may lack the right in a container,
 * so this thread tries. */
static bool may_come_back(int nice) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NICE, &limit) == 0 && limit.rlim_cur >= (rlim_t)(NICEST + 1 - nice)) return true;
  const int now = getpriority(PRIO_PROCESS, 0);
  if (setpriority(PRIO_PROCESS, 0, now - 1) != 0) return false;
  setpriority(PRIO_PROCESS, 0, now);
  return true;
}

static void give(pid_t thread, const freshet_pace_share* given, const freshet_pace_share* next) {
  const struct sched_param none = {0};
  const int policy = sched_getscheduler(thread), reset = policy & SCHED_RESET_ON_FORK;
  /* Else it is gone, or has another one from the operator, or asks for less itself, as HTTP does. */
  if ((policy & ~reset) != given->policy || getpriority(PRIO_PROCESS, (id_t)thread) != given->nice) return;
  if (next->policy != given->policy) sched_setscheduler(thread, next->policy | reset, &none);
  if (next->nice != given->nice) setpriority(PRIO_PROCESS, (id_t)thread, next->nice);
  if (next->slice_ns != given->slice_ns) set_slice(thread, next->slice_ns);
}

/* Linux keeps all of it for each thread. Twice: one that starts meanwhile may have inherited the old share. */
static void give_all(freshet_pace* pace, freshet_pace_share next) {
  DIR* folder = is_shared(pace->given.policy) ? opendir("/proc/self/task") : NULL;
  if (folder == NULL) return;
  for (int pass = 0; pass < 2; pass++, rewinddir(folder)) {
    for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
      const pid_t thread = (pid_t)strtoul(entry->d_name, NULL, 10);
      if (thread != 0) give(thread, &pace->given, &next);
    }
  }
  closedir(folder);
  pace->given = next;
}

static void yield_as(freshet_pace* pace, int nice) {
  freshet_pace_share next = pace->usual;
  next.policy = SCHED_BATCH;
  if (pace->may_come_back && nice > next.nice) next.nice = nice;
  give_all(pace, next);
}

static freshet_pace_share share_of_serving(const freshet_pace* pace) {
  freshet_pace_share share = pace->usual;
  if (share.slice_ns == 0) share.slice_ns = SLICE_NS;
  return share;
}

static void yield_to_others(freshet_pace* pace, bool yields, const freshet_logger* logger) {
  if (pace->yields == yields) return;
  pace->yields = yields;
  pace->nice = NICEST;
  pace->looked_us = 0;
  if (yields) {
    yield_as(pace, pace->nice);
  } else {
    give_all(pace, share_of_serving(pace));
  }
  freshet_log_fact(logger, FRESHET_INFO, yields ? "backfill.yields" : "backfill.caught_up", "nice=%s",
                   pace->may_come_back ? "yes" : "no");
}

void freshet_pace_start(freshet_pace* pace, const freshet_config* config, const freshet_logger* logger) {
  pace->usual = (freshet_pace_share){.policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK,
                                     .nice = getpriority(PRIO_PROCESS, 0),
                                     .slice_ns = chosen_slice_ns()};
  pace->may_come_back = is_shared(pace->usual.policy) && may_come_back(pace->usual.nice);
  pace->given = share_of_serving(pace);
  if (pace->usual.slice_ns == 0) set_slice(0, SLICE_NS);
  if (config->app.generation[0] != '\0' && config->backfill.yield) yield_to_others(pace, true, logger);
}

void freshet_pace_stop(freshet_pace* pace) {
  give_all(pace, pace->usual);
}

/* ---- the share of the processor ---- */

int freshet_pace_next_nice(int nice, double share) {
  if (share < least_share) return nice - 2 > LEAST_NICE ? nice - 2 : LEAST_NICE;
  return share > ample_share && nice < NICEST ? nice + 1 : nice;
}

/* How long this thread has run, and has been ready and not run, since it began; proc(5), sched-stats.rst. */
static bool read_schedule(int64_t* run_ns, int64_t* queue_ns) {
  long long run, queue;
  FILE* file = fopen("/proc/thread-self/schedstat", "re");
  if (file == NULL) return false;
  bool has_both = fscanf(file, "%lld %lld", &run, &queue) == 2;
  fclose(file);
  if (!has_both) return false;
  *run_ns = run;
  *queue_ns = queue;
  return true;
}

static void keep_share(freshet_pace* pace, int64_t now_us) {
  int64_t run_ns, queue_ns;
  if (!pace->yields || now_us - pace->looked_us < LOOK_US || !read_schedule(&run_ns, &queue_ns)) return;
  int64_t ran = run_ns - pace->run_ns, queued = queue_ns - pace->queue_ns;
  bool is_first = pace->looked_us == 0;
  pace->looked_us = now_us;
  pace->run_ns = run_ns;
  pace->queue_ns = queue_ns;
  if (is_first || ran + queued <= 0) return;
  int nice = freshet_pace_next_nice(pace->nice, (double)ran / (double)(ran + queued));
  if (nice == pace->nice) return;
  pace->nice = nice;
  yield_as(pace, nice);
}

/* ---- the rate ---- */

int64_t freshet_pace_early_us(const freshet_pace* pace, int64_t now_us, int64_t rate, uint64_t learned) {
  return pace->since_us + (int64_t)((double)(learned - pace->learned) / (double)rate * 1e6) - now_us;
}

/* A turn may learn much at once. The thread sleeps for the time that it was early; time that it was late is
 * not made up for. */
static void keep_rate(freshet_pace* pace, int64_t rate, uint64_t learned, bool (*stopping)(void* context),
                      void* context) {
  freshet_clock* clock = freshet_clock_system();
  int64_t early_us;
  while ((early_us = freshet_pace_early_us(pace, freshet_clock_monotonic_us(clock), rate, learned)) > 0 &&
         !stopping(context)) {
    struct timespec slice = {.tv_nsec = (early_us < SLEEP_MAX_US ? early_us : SLEEP_MAX_US) * 1000};
    nanosleep(&slice, NULL);
  }
  pace->since_us = freshet_clock_monotonic_us(clock);
  pace->learned = learned;
}

/* ---- a turn ---- */

/* Right after an assignment the ends of the partitions are not known, so nothing seems to be left. The state
 * has to last before it counts. */
freshet_pace_state freshet_pace_look(freshet_pace* pace, int64_t now_us, uint64_t lag, uint64_t partitions,
                                     uint64_t serving, uint64_t far) {
  bool is_near = partitions > 0 && lag < LEAST_BEHIND;
  if (!is_near) pace->near_us = 0;
  if (is_near && pace->near_us == 0) pace->near_us = now_us;
  if (serving > 0 || (is_near && now_us - pace->near_us > NEAR_US)) return FRESHET_PACE_CAUGHT_UP;
  return partitions > 0 && lag > far ? FRESHET_PACE_BEHIND : FRESHET_PACE_BETWEEN;
}

void freshet_pace_turn(freshet_pace* pace, const freshet_config* config, const freshet_logger* logger,
                       const freshet_worker_progress* progress, uint64_t far, bool (*stopping)(void* context),
                       void* context) {
  freshet_clock* clock = freshet_clock_system();
  int64_t now_us = freshet_clock_monotonic_us(clock);
  freshet_pace_state state =
      freshet_pace_look(pace, now_us, progress->lag, progress->partitions, progress->serving, far);
  if (state == FRESHET_PACE_CAUGHT_UP) yield_to_others(pace, false, logger);
  if (state == FRESHET_PACE_BEHIND && config->backfill.yield) yield_to_others(pace, true, logger);
  keep_share(pace, now_us);
  if (config->backfill.rate > 0 && progress->partitions > 0 && state != FRESHET_PACE_CAUGHT_UP)
    keep_rate(pace, config->backfill.rate, progress->events, stopping, context);
}
