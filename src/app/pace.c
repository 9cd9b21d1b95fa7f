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
  NICEST = 19,
  LEAST_NICE = 5,
  SLEEP_MAX_US = 50000,
  LEAST_BEHIND = 1024,
  NEAR_US = 2000000,
  LOOK_US = 1000000,
  SLICE_NS = 100000, /* the shortest that Linux gives */
};

static const double least_share = .1, ample_share = .3;

/* A process that may not lower its nice value could never go back from a higher one. */
static bool may_come_back(void) {
  struct rlimit limit;
  return geteuid() == 0 || (getrlimit(RLIMIT_NICE, &limit) == 0 && limit.rlim_cur >= 20);
}

/* sched_setattr(2). glibc has no name for it before 2.41. */
typedef struct attributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns, deadline_ns, period_ns;
} attributes;

/* Linux gives a core first to the thread whose slice ends first. A list passes a dozen threads, each of which needs a core
 * for some 100 us: where cores are scarce, each of them would wait for the slices of others. The share of a core stays as it
 * is. Before Linux 6.12 there is no such choice, and nothing happens. thread 0: this one. slice_ns 0: as usual. */
static void set_slice(pid_t thread, uint64_t slice_ns) {
  attributes a = {.size = sizeof a};
  if (syscall(SYS_sched_getattr, thread, &a, sizeof a, 0) != 0) return;
  a.runtime_ns = slice_ns;
  syscall(SYS_sched_setattr, thread, &a, 0);
}

/* Linux keeps all of it for each thread. */
static void set_priority(bool yields, int nice) {
  const struct sched_param none = {0};
  bool nices = may_come_back();
  DIR* folder = opendir("/proc/self/task");
  if (folder == NULL) return;
  for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
    id_t thread = (id_t)strtoul(entry->d_name, NULL, 10);
    if (thread == 0) continue;
    sched_setscheduler((pid_t)thread, yields ? SCHED_BATCH : SCHED_OTHER, &none);
    if (nices) setpriority(PRIO_PROCESS, thread, yields ? nice : 0);
    set_slice((pid_t)thread, yields ? 0 : SLICE_NS);
  }
  closedir(folder);
}

static void yield_to_others(freshet_pace* pace, bool yields, const freshet_logger* logger) {
  if (pace->yields == yields) return;
  pace->yields = yields;
  pace->nice = NICEST;
  pace->looked_us = 0;
  set_priority(yields, pace->nice);
  freshet_log_fact(logger, FRESHET_INFO, yields ? "backfill.yields" : "backfill.caught_up", "nice=%s",
                   may_come_back() ? "yes" : "no");
}

void freshet_pace_start(freshet_pace* pace, const freshet_config* config, const freshet_logger* logger) {
  set_slice(0, SLICE_NS);
  if (config->app.generation[0] != '\0' && config->backfill.yield) yield_to_others(pace, true, logger);
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
  set_priority(true, nice);
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
