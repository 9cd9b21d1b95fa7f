/*
 * support_process.c: the life of a simulated process: its fiber, its clock, where it pauses and where it dies.
 */
#include "support_process.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLOCK_JUMP_MS = 50 * 60 * 1000, INIT_AGAIN_MS = 20 };

void sim_fail(sim_world* world, const char* format, ...) {
  if (world->failure[0] != '\0') return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(world->failure, sizeof world->failure, format, arguments);
  va_end(arguments);
}

/* ---- time and death ---- */

static void pause_here(sim_process* process) {
  sim_fiber_leave(process->fiber);
}

/* No other process can run, so the scheduler need not be asked each time. */
static bool is_alone(const sim_process* process) {
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    const sim_process* other = process->world->processes[i];
    if (other != NULL && other != process) return false;
  }
  return true;
}

void sim_process_set_clock(sim_process* process, int64_t ahead_ms) {
  process->clock_ahead_ms = ahead_ms;
  /* Set back, it lists again what had expired. */
  const int64_t now_ms = sim_process_now_ms(process);
  if (now_ms < process->items_read_ms) process->items_read_ms = now_ms;
  if (now_ms < process->logs[0].polled_ms) process->logs[0].polled_ms = now_ms;
}

/* To a wrong time, or to the right one. */
static void let_clock_jump(sim_process* process) {
  sim_random* random = &process->world->cluster.random;
  const int64_t wrong_ms = (int64_t)sim_below(random, 2 * CLOCK_JUMP_MS) - CLOCK_JUMP_MS;
  sim_process_set_clock(process, sim_chance(random, 500) ? wrong_ms : 0);
}

/* Whoever asks it meanwhile would send requests to a process that cannot answer them. */
static void check_readiness(const sim_process* process) {
  if (freshet_metric(&process->metrics.ready) != 0 && freshet_metric(&process->metrics.restoring) != 0)
    sim_fail(process->world, "slot %d is ready while it restores partitions", process->slot);
}

bool sim_boundary(sim_process* process) {
  sim_world* world = process->world;
  if (process->is_dead) return false;
  if (process->calls_left > 0 && --process->calls_left == 0) {
    sim_process_kill(process);
    return false;
  }
  sim_advance(&world->cluster, sim_skewed(&world->cluster.random, 1, 500));
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    if (world->processes[i] != NULL) sim_producer_work(world->processes[i]);
  }
  if (world->between != NULL) world->between(world);
  check_readiness(process);
  if (sim_chance(&world->cluster.random, world->faults.clock)) let_clock_jump(process);
  if (sim_fiber_is_running(process->fiber) && sim_chance(&world->cluster.random, world->faults.pause))
    pause_here(process);
  return !process->is_dead;
}

void sim_wait(sim_process* process, int timeout_ms) {
  sim_world* world = process->world;
  if (timeout_ms <= 0 || process->is_dead) return;
  uint32_t most_us = (uint32_t)timeout_ms * 1000;
  uint32_t waited_us =
      sim_chance(&world->cluster.random, 500) ? most_us : 1 + sim_below(&world->cluster.random, most_us);
  sim_advance(&world->cluster, waited_us);
  if (!sim_fiber_is_running(process->fiber)) return;
  if (!is_alone(process) || sim_chance(&world->cluster.random, 300)) pause_here(process);
}

freshet_status sim_death(freshet_error* error) {
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "the process is dead");
}

freshet_status sim_fenced(sim_process* process, freshet_error* error) {
  process->is_excused = true;
  return freshet_error_set(error, FRESHET_FENCED, FRESHET_STOP, "another process has taken over");
}

bool sim_is_fenced_member(sim_process* process) {
  const sim_group* group = &process->world->cluster.groups[process->app];
  for (int i = 0; i < SIM_MEMBERS_MAX; i++) {
    const sim_member* member = &group->members[i];
    if (member->id != 0 && member->instance == process->slot && member->id != process->member) return true;
  }
  return false;
}

uint64_t sim_writer(const sim_process* process) {
  return process->id << 32 | process->rewinds;
}

void sim_process_kill(sim_process* process) {
  if (process->is_dead || process->is_finished) return;
  process->is_dead = true;
  sim_producer_die(process);
  sim_member* member = sim_group_member(&process->world->cluster, process->app, process->member);
  if (member == NULL) return;
  member->is_gone = true;
  member->gone_us = process->world->cluster.now_us;
}

/* ---- life ---- */

int64_t sim_process_now_ms(const sim_process* process) {
  return sim_now_ms(&process->world->cluster) + process->clock_ahead_ms;
}

static int64_t clock_now_ms(freshet_clock* self) {
  return sim_process_now_ms(((struct sim_clock*)self)->process);
}

static int64_t clock_monotonic_us(freshet_clock* self) {
  return ((struct sim_clock*)self)->process->world->cluster.now_us;
}

/* Work takes as long as the seed says: so what a turn does by the processor's clock is cut anywhere. */
static freshet_thread_use clock_use(freshet_clock* self) {
  sim_process* process = ((struct sim_clock*)self)->process;
  process->cpu_us += sim_skewed(&process->world->cluster.random, 1, 4000);
  return (freshet_thread_use){.cpu_us = process->cpu_us};
}

sim_process* sim_process_create(sim_world* world, int app, int slot, const freshet_stream_config* config,
                                freshet_codec* codec, sim_disk* disk) {
  int place = 0;
  while (place < SIM_PROCESSES_MAX && world->processes[place] != NULL) place++;
  if (place == SIM_PROCESSES_MAX) return NULL;
  sim_process* process = calloc(1, sizeof *process);
  FRESHET_ASSERT(process != NULL);
  world->processes[place] = process;
  process->world = world;
  process->id = ++world->next_id;
  process->slot = slot;
  process->app = app;
  process->config = *config;
  process->codec = codec;
  process->disk = disk;
  process->clock = (struct sim_clock){
      {.now_ms = clock_now_ms, .monotonic_us = clock_monotonic_us, .use = clock_use}, process};
  sim_stream_init(process);
  sim_producer_open(process);
  return process;
}

static int sinks_of(const sim_process* process) {
  return process->config.delivery == FRESHET_DELIVERY_COMMITTED ? SIM_SINKS : 1;
}

void sim_process_connect(sim_process* process) {
  sim_cluster* cluster = &process->world->cluster;
  for (int i = 0; i < sinks_of(process); i++) {
    struct sim_sink* sink = &process->sinks[i];
    for (int turn = 0; turn < sink->turns; turn++) {
      const int producer = sim_producer_of(sink, turn);
      while (!process->is_dead && sim_is_ending(cluster, producer)) sim_wait(process, INIT_AGAIN_MS);
      if (process->is_dead) return;
      sink->epochs[turn] = sim_producer_init(cluster, producer);
    }
  }
  process->member = ++process->world->next_id;
  sim_group_join(cluster, process->app, process->member, process->slot);
}

static bool survives(void* context) {
  return sim_boundary(context);
}

/* The thread that writes the store is as fast as the seed says: it takes milliseconds, however long somebody would
 * wait for it. */
static bool store_goes_on(void* context, int wait_ms) {
  enum { MOST_MS = 20 };
  sim_process* process = context;
  if (!sim_chance(&process->world->cluster.random, 500)) return false;
  sim_wait(process, wait_ms < MOST_MS ? wait_ms : MOST_MS);
  return !process->is_dead;
}

static bool store_is_damaged(void* context) {
  sim_process* process = context;
  return sim_chance(&process->world->cluster.random, process->world->faults.damage);
}

static void log_to_stderr(void* context, freshet_log_level level, const char* event, const char* fields) {
  (void)level;
  const sim_process* process = context;
  fprintf(stderr, "%10.3f process=%llu slot=%d %s %s\n", (double)process->world->cluster.now_us / 1e6,
          (unsigned long long)process->id, process->slot, event, fields);
}

static freshet_status turn(sim_process* process, freshet_worker* worker, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  do { /* once at least: without a turn there are no figures to check */
    int timeout_ms = (int)sim_skewed(&process->world->cluster.random, 1, 100);
    status = freshet_worker_step(worker, timeout_ms, error);
    if (sim_chance(&process->world->cluster.random, 300)) pause_here(process);
  } while (status == FRESHET_OK && !process->is_asked_to_stop);
  if (status != FRESHET_OK) return status;
  status = freshet_worker_stop(worker, error);
  process->is_clean = status == FRESHET_OK && !process->is_dead && !process->has_abandoned;
  if (process->is_clean) process->model_hash = freshet_worker_model_hash(worker);
  return status;
}

static void live(void* context) {
  sim_process* process = context;
  freshet_error error = {0};
  freshet_worker* worker = NULL;
  sim_process_connect(process);
  freshet_logger logger = {getenv("SIM_LOG") == NULL ? NULL : log_to_stderr, process};
  const sim_disk_faults faults = {survives, store_goes_on, store_is_damaged, process};
  freshet_ports ports = {.source = &process->source.base,
                         .reader = &process->logs[0].base,
                         .changelog = &process->logs[1].base,
                         .standby = process->stands_by ? &process->logs[2].base : NULL,
                         .outbox = freshet_outbox_create(&process->sinks[0].base, process->config.delivery),
                         .store = sim_disk_open(process->disk, &faults),
                         .clock = &process->clock.base,
                         .codec = process->codec,
                         .encoder = process->encoder,
                         .logger = &logger,
                         .metrics = &process->metrics};
  if (sinks_of(process) > 1)
    ports.state_outbox = freshet_outbox_create(&process->sinks[1].base, process->config.delivery);
  freshet_status status = freshet_worker_create(&process->config, &ports, NULL, &worker, &error);
  if (status == FRESHET_OK) {
    process->handler = freshet_worker_handler(worker);
    status = turn(process, worker, &error);
    freshet_worker_destroy(worker);
  }
  freshet_outbox_destroy(ports.state_outbox);
  freshet_outbox_destroy(ports.outbox);
  if (process->is_clean && sim_disk_is_ruined(process->disk))
    sim_fail(process->world, "process %llu of slot %d ends well on a disk that it could not read",
             (unsigned long long)process->id, process->slot);
  process->is_excused |= sim_disk_is_ruined(process->disk);
  process->is_excused |= status == FRESHET_CONFLICT && process->world->awaits_choice;
  process->is_excused |= status == FRESHET_ABORTED && process->has_been_refused; /* it says so */
  if (status != FRESHET_OK && !process->is_dead && !process->is_excused) {
    sim_fail(process->world, "process %llu of slot %d stopped: %s: %s", (unsigned long long)process->id,
             process->slot, freshet_status_name(status), error.message);
  }
  if (!process->is_clean) sim_process_kill(process); /* its member sends no more heartbeats */
  process->is_finished = true;
}

void sim_process_start(sim_process* process) {
  process->fiber = sim_fiber_create(live, process);
}

void sim_process_resume(sim_process* process) {
  FRESHET_ASSERT(!process->is_finished);
  sim_fiber_resume(process->fiber);
}

void sim_process_destroy(sim_process* process) {
  if (process == NULL) return;
  if (process->fiber != NULL) {
    sim_process_kill(process);
    while (!process->is_finished) sim_process_resume(process);
    sim_fiber_destroy(process->fiber);
  }
  sim_stream_free(process);
  sim_producer_free(process);
  for (int i = 0; i < SIM_PROCESSES_MAX; i++) {
    if (process->world->processes[i] == process) process->world->processes[i] = NULL;
  }
  free(process);
}
