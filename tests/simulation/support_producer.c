/*
 * support_producer.c: sink.h on the simulated broker: records that are on their way (letters), and transactions
 * that commit step by step.
 */
#include <stdlib.h>

#include "support_process.h"

enum {
  STUCK_MOST_US = 8000000,
  MARKERS_MOST_US = 300000,
  BEGIN_AGAIN_MS = 20,
  WRITING_MOST_MS = 20,
  ASKING = 5,
  SLOW = 300 /* a commit takes some turns then */
};

/* A record ("letter") that was handed over and is not on the broker yet. */
typedef struct sim_letter {
  freshet_topic topic;
  int32_t partition;
  bool has_value;
  freshet_buffer key, value;
  size_t bytes; /* with headers */
  uint64_t writer;
  int generation;
} sim_letter;

static struct sim_sink* sink_of(freshet_sink* self) {
  return (struct sim_sink*)self;
}

/* Whether the group still takes this process for the owner of the partitions that it held when it wrote the
 * letter. */
static bool is_late(const sim_process* process, const sim_letter* letter) {
  sim_cluster* cluster = &process->world->cluster;
  const sim_member* member = sim_group_member(cluster, process->app, process->member);
  bool has_let_go = cluster->groups[process->app].is_rebalancing && member != NULL && member->joined;
  return member == NULL || letter->generation != cluster->groups[process->app].generation || has_let_go;
}

/* ---- sizes ---- */

static size_t sink_limit(freshet_sink* self, freshet_topic topic) {
  const size_t limit = sink_of(self)->process->limits[topic];
  return limit == 0 ? SIZE_MAX : limit;
}

static size_t bytes_of(const freshet_output* output) {
  size_t bytes = output->key.size + (output->has_value ? output->value.size : 0);
  for (size_t i = 0; i < output->header_count; i++)
    bytes += strlen(output->headers[i].name) + output->headers[i].value.size;
  return bytes;
}

/* Rows of state cannot be shortened, so nobody asks how large they may be. */
static bool is_state(freshet_topic topic) {
  return topic == FRESHET_TOPIC_USERS || topic == FRESHET_TOPIC_ITEM_STATES ||
         topic == FRESHET_TOPIC_APP_GENERATIONS;
}

/* The broker refuses a record that is larger than its topic takes. That may only happen where an operator has just lowered
 * the limit, or with rows of state. */
static bool takes(sim_process* process, freshet_topic topic, size_t bytes) {
  const size_t limit = process->world->limits[topic];
  if (limit == 0 || bytes <= limit) return true;
  if (!is_state(topic) && !process->world->is_changed[topic])
    sim_fail(process->world, "a record of %zu bytes for topic %d, which takes %zu", bytes, (int)topic, limit);
  process->has_been_refused = true;
  return false;
}

void sim_producer_ask(sim_process* process) {
  memcpy(process->limits, process->world->limits, sizeof process->limits);
}

/* ---- published at once ---- */

static freshet_output output_of(const sim_process* process, const sim_letter* letter) {
  return (freshet_output){.topic = sim_topic(process->app, letter->topic),
                          .partition = letter->partition,
                          .key = freshet_buffer_slice(&letter->key),
                          .has_value = letter->has_value,
                          .value = freshet_buffer_slice(&letter->value)};
}

/* The next letter has somewhere to go. */
static bool can_send(const sim_process* process) {
  const sim_cluster* cluster = &process->world->cluster;
  if (process->queued == 0) return false;
  const freshet_output output = output_of(process, &process->queue[0]);
  return sim_has_leader(cluster, output.topic, sim_partition_of(cluster, &output));
}

/* Takes the first letter out: it arrives, or it is given up. */
static void send_first(sim_process* process, bool arrives) {
  sim_letter letter = process->queue[0];
  arrives = arrives && takes(process, letter.topic, letter.bytes);
  process->queued--;
  process->given_up += !arrives;
  struct sim_commit* commit = &process->sinks[0].commit;
  if (commit->letters > 0) commit->letters--;
  memmove(process->queue, process->queue + 1, process->queued * sizeof *process->queue);
  if (arrives) {
    const freshet_output output = output_of(process, &letter);
    sim_record* record = sim_append(&process->world->cluster, -1, &output);
    record->writer = letter.writer;
    record->is_late = is_late(process, &letter);
    if (process->world->arrived != NULL)
      process->world->arrived(process->world, process, letter.topic, record);
  }
  freshet_buffer_free(&letter.key);
  freshet_buffer_free(&letter.value);
}

static bool give_up(sim_process* process) {
  return sim_chance(&process->world->cluster.random, process->world->faults.give_up);
}

static void send_some(sim_process* process) {
  size_t some = sim_below(&process->world->cluster.random, (uint32_t)process->queued + 1);
  while (some-- > 0 && can_send(process)) send_first(process, !give_up(process));
}

static freshet_status sink_publish(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  if (!sim_boundary(process)) return sim_death(error);
  if (process->queued == process->queue_capacity) {
    process->queue_capacity = process->queue_capacity == 0 ? 64 : process->queue_capacity * 2;
    process->queue = realloc(process->queue, process->queue_capacity * sizeof *process->queue);
    FRESHET_ASSERT(process->queue != NULL);
  }
  sim_letter* letter = &process->queue[process->queued++];
  *letter = (sim_letter){.topic = output->topic,
                         .partition = output->partition,
                         .has_value = output->has_value,
                         .bytes = bytes_of(output),
                         .writer = sim_writer(process),
                         .generation = process->generation};
  freshet_buffer_append(&letter->key, output->key.data, output->key.size);
  if (output->has_value) freshet_buffer_append(&letter->value, output->value.data, output->value.size);
  if (process->world->published != NULL) process->world->published(process->world, process, output);
  return FRESHET_OK;
}

static freshet_status sink_settle(freshet_sink* self, int timeout_ms, freshet_error* error) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  sim_world* world = process->world;
  if (!sim_boundary(process)) return sim_death(error);
  const bool is_slow = process->queued > 0 && sim_chance(&world->cluster.random, world->faults.slow);
  if (is_slow) send_some(process);
  while (!is_slow && can_send(process)) send_first(process, !give_up(process));
  if (process->queued > 0) {
    sim_wait(process, timeout_ms);
    if (process->is_dead) return sim_death(error);
    return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_RETRY, "%zu letters are on their way",
                             process->queued);
  }
  size_t given_up = process->given_up;
  process->given_up = 0;
  if (given_up == 0) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_RETRY, "%zu records were given up", given_up);
}

static void sink_poll(freshet_sink* self) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  if (sim_boundary(process)) send_some(process);
}

/* ---- transactions ---- */

int sim_producer_of(const struct sim_sink* sink, int turn) {
  return sink->process->slot + (sink->is_second ? SIM_TURNS : turn) * SIM_WORKERS_MAX;
}

static bool is_fenced(const struct sim_sink* sink, int turn) {
  const sim_process* process = sink->process;
  return sink->epochs[turn] != process->world->cluster.producers[sim_producer_of(sink, turn)].epoch;
}

/* As with may_write. It takes several commits of lists. */
static bool sink_is_written(freshet_sink* self) {
  return sim_chance(&sink_of(self)->process->world->cluster.random, 50);
}

static bool sink_is_at_rest(freshet_sink* self, int wait_ms) {
  sim_process* process = sink_of(self)->process;
  if (sim_chance(&process->world->cluster.random, 500)) return true;
  if (wait_ms > 0) sim_wait(process, wait_ms);
  return false;
}

static freshet_status sink_write(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  if (!sim_boundary(process)) return sim_death(error);
  if (sink->transaction < 0) {
    sim_fail(process->world, "write outside of a transaction");
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "write outside of a transaction");
  }
  if (sink->commit.phase != SIM_IDLE && !sink->may_write[output->topic])
    sim_fail(process->world, "write to a topic before the records of the commit are acknowledged there");
  const bool is_for_readers = output->topic == FRESHET_TOPIC_RECOMMENDATIONS ||
                              output->topic == FRESHET_TOPIC_SHADOW || output->topic == FRESHET_TOPIC_REPLIES;
  if (sink->is_second && is_for_readers)
    sim_fail(process->world, "the state's transaction writes to topic %d, whose readers would wait for it",
             (int)output->topic);
  if (is_fenced(sink, sink->turn)) return sim_fenced(process, error);
  if (!takes(process, output->topic, bytes_of(output))) {
    sink->is_refused = true;
    return FRESHET_OK;
  }
  freshet_output there = *output;
  there.topic = sim_topic(process->app, output->topic);
  sim_record* record = sim_append(&process->world->cluster, sink->transaction, &there);
  record->writer = sim_writer(process);
  if (output->topic == FRESHET_TOPIC_RECOMMENDATIONS && process->world->published != NULL) {
    process->world->published(process->world, process, output);
  }
  return FRESHET_OK;
}

static void write_now(struct sim_sink* sink) {
  struct sim_writing* writing = &sink->writing;
  writing->status = writing->job(writing->context, &writing->error);
  writing->is_over = true;
}

/* The thread that writes may have written everything before the worker takes its next step, or nothing. */
static bool sink_start_writing(freshet_sink* self, freshet_sink_job job, void* context) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  if (sink->writing.job != NULL) sim_fail(process->world, "two jobs write at a time");
  sink->writing = (struct sim_writing){.job = job, .context = context};
  if (sim_chance(&process->world->cluster.random, 500)) write_now(sink);
  return true;
}

static freshet_status sink_end_writing(freshet_sink* self, int wait_ms, freshet_error* error) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  struct sim_writing* writing = &sink->writing;
  if (writing->job == NULL) sim_fail(process->world, "end of no job");
  if (wait_ms >= 0 && sim_chance(&process->world->cluster.random, 500)) {
    sim_wait(process, wait_ms < WRITING_MOST_MS ? wait_ms : WRITING_MOST_MS);
    if (!process->is_dead) return FRESHET_TIMEOUT;
  }
  if (!writing->is_over) write_now(sink);
  writing->job = NULL;
  if (writing->status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(error, writing->status, writing->error.verdict, "%s", writing->error.message);
}

/* Calls that would get between the records of the job. */
static void check_idle(const struct sim_sink* sink, const char* call) {
  if (sink->writing.job != NULL) sim_fail(sink->process->world, "%s while a job writes", call);
}

/* The coordinator of the group takes offsets of its members only. */
static bool is_member(const struct sim_sink* sink) {
  const sim_process* process = sink->process;
  sim_cluster* cluster = &process->world->cluster;
  return sim_group_member(cluster, process->app, sink->commit.member) != NULL &&
         sink->commit.generation == cluster->groups[process->app].generation;
}

static freshet_status send_offsets(struct sim_sink* sink) {
  sim_process* process = sink->process;
  struct sim_commit* commit = &sink->commit;
  if (commit->offset_count > 0 && sim_is_fenced_member(process)) return FRESHET_FENCED;
  if (commit->offset_count > 0 && !is_member(sink)) return FRESHET_ABORTED;
  sim_transaction* t = &process->world->cluster.transactions[commit->transaction];
  t->offsets_order = ++process->world->cluster.offsets_sent;
  for (size_t i = 0; i < commit->offset_count; i++) t->offsets[t->offset_count++] = commit->offsets[i];
  return FRESHET_OK;
}

/* After a step of a commit of the state beside lists a fault may happen: its process dies soon, or loses its
 * partitions, or the transaction fails. */
static void strike(struct sim_sink* sink) {
  enum { SOON = 30 /* calls */ };
  sim_process* process = sink->process;
  sim_cluster* cluster = &process->world->cluster;
  if (!sink->is_second || !sim_chance(&cluster->random, process->world->faults.apart)) return;
  sim_member* member = sim_group_member(cluster, process->app, process->member);
  switch (sim_below(&cluster->random, 4)) {
    case 0:
      sink->is_refused = true; /* this one, or the next one where the records have been sent */
      break;
    case 1:
      if (member != NULL) sim_group_remove(cluster, process->app, member);
      break;
    case 2:
      sim_group_rebalance(cluster, process->app);
      break;
    default:
      process->calls_left = sim_skewed(&cluster->random, 1, SOON);
  }
}

/* One step of a commit: the letters before it, the offsets, the end. */
static void advance_commit(struct sim_sink* sink) {
  sim_process* process = sink->process;
  sim_world* world = process->world;
  struct sim_commit* commit = &sink->commit;
  freshet_status status = is_fenced(sink, commit->producer) ? FRESHET_FENCED : FRESHET_OK;
  if (world->cluster.now_us < commit->stuck_until_us) return;
  if (status == FRESHET_OK && commit->letters > 0) {
    if (can_send(process)) send_first(process, !give_up(process));
    return;
  }
  if (status == FRESHET_OK && !sim_can_write(&world->cluster, commit->transaction)) return;
  bool has_lost = (process->given_up > 0 && !sink->is_second) || commit->is_refused ||
                  sim_chance(&world->cluster.random, world->faults.abort);
  if (status == FRESHET_OK && commit->phase == SIM_ASKED) {
    if (!sink->is_second) process->given_up = 0;
    status = has_lost ? FRESHET_ABORTED : send_offsets(sink);
    if (status == FRESHET_OK) {
      commit->phase = SIM_SENT;
      strike(sink);
      return;
    }
    sim_end(&world->cluster, commit->transaction, SIM_ABORTED);
  } else if (status == FRESHET_OK) {
    const int64_t later_us = sim_skewed(&world->cluster.random, 0, MARKERS_MOST_US);
    sim_decide(&world->cluster, commit->transaction, SIM_COMMITTED, later_us);
    world->state_commits += sink->is_second;
    world->lists_beside += !sink->is_second && process->sinks[1].transaction >= 0;
    sink->committed = commit->transaction;
    process->has_been_refused = false;
    if (sink->is_second && world->state_committed != NULL)
      world->state_committed(world, &world->cluster.transactions[commit->transaction]);
    strike(sink);
  }
  commit->status = status;
  commit->phase = commit->is_abandoned ? SIM_IDLE : SIM_ENDED;
}

static bool is_committing(const struct sim_sink* sink) {
  return sink->commit.phase == SIM_ASKED || sink->commit.phase == SIM_SENT;
}

void sim_producer_work(sim_process* process) {
  sim_world* world = process->world;
  if (process->is_dead) return;
  if (sim_chance(&world->cluster.random, ASKING)) sim_producer_ask(process);
  if (sim_chance(&world->cluster.random, 200)) send_some(process);
  for (int i = 0; i < SIM_SINKS; i++) {
    struct sim_sink* sink = &process->sinks[i];
    if (is_committing(sink) && sim_chance(&world->cluster.random, world->faults.slow >= SLOW ? 15 : 400))
      advance_commit(sink);
  }
}

static freshet_status sink_begin(freshet_sink* self, freshet_error* error) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  check_idle(sink, "begin");
  if (!sim_boundary(process)) return sim_death(error);
  while (sink->commit.is_abandoned && is_committing(sink)) { /* a new producer ends it */
    if (sink->commit.phase == SIM_ASKED) sink->commit.is_refused = true;
    advance_commit(sink);
    if (is_committing(sink)) sim_wait(process, 10);
    if (process->is_dead) return sim_death(error);
  }
  sink->commit.is_abandoned = false;
  if (sink->transaction >= 0) {
    sim_fail(process->world, "begin in a transaction");
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "begin in a transaction");
  }
  if (is_fenced(sink, sink->turn)) return sim_fenced(process, error);
  while (sim_is_ending(&process->world->cluster, sim_producer_of(sink, sink->turn))) {
    sim_wait(process, BEGIN_AGAIN_MS);
    if (!sim_boundary(process)) return sim_death(error);
  }
  if (is_fenced(sink, sink->turn)) return sim_fenced(process, error);
  sink->transaction = sim_begin(&process->world->cluster, sim_producer_of(sink, sink->turn));
  process->world->cluster.transactions[sink->transaction].app = process->app;
  strike(sink);
  return FRESHET_OK;
}

/* The records of a commit arrive at once here, so this is a matter of luck. */
static bool sink_may_write(freshet_sink* self, freshet_topic topic) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  bool* may = &sink->may_write[topic];
  if (sink->turns == 1) return false;
  *may = *may || sim_chance(&process->world->cluster.random, 300);
  return *may;
}

static freshet_status sink_commit(freshet_sink* self, const freshet_partition* offsets, size_t count,
                                  freshet_error* error) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  check_idle(sink, "commit");
  struct sim_commit* commit = &sink->commit;
  if (!sim_boundary(process)) return sim_death(error);
  if (commit->phase != SIM_IDLE || sink->transaction < 0) sim_fail(process->world, "commit of nothing");
  const struct sim_sink* other = &process->sinks[sink->is_second ? 0 : 1];
  if (other->commit.phase != SIM_IDLE && !other->commit.is_abandoned)
    sim_fail(process->world, "offsets of two commits at a time");
  FRESHET_ASSERT(count <= SIM_OFFSETS_MAX);
  *commit = (struct sim_commit){.phase = SIM_ASKED,
                                .transaction = sink->transaction,
                                .producer = sink->turn,
                                .member = process->member,
                                .generation = process->generation,
                                .offset_count = count,
                                .is_refused = sink->is_refused,
                                .letters = sink->is_second ? 0 : process->queued};
  sim_cluster* cluster = &process->world->cluster;
  if (sim_chance(&cluster->random, process->world->faults.stuck))
    commit->stuck_until_us = cluster->now_us + sim_below(&cluster->random, STUCK_MOST_US);
  if (!sink->is_second) { /* lists wait for the other one's commits */
    memcpy(process->items_read, process->logs[0].positions[FRESHET_TOPIC_ITEMS], sizeof process->items_read);
    process->items_read_ms = process->logs[0].polled_ms;
  }
  for (size_t i = 0; i < count; i++) {
    if (offsets[i].offset < 0)
      sim_fail(process->world, "commit of offset %lld", (long long)offsets[i].offset);
    commit->offsets[i] = offsets[i];
  }
  sink->transaction = -1;
  sink->is_refused = false;
  sink->turn = (sink->turn + 1) % sink->turns;
  memset(sink->may_write, 0, sizeof sink->may_write);
  return FRESHET_OK;
}

static freshet_status sink_outcome(freshet_sink* self, int wait_ms, freshet_error* error) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  struct sim_commit* commit = &sink->commit;
  if (!sim_boundary(process)) return sim_death(error);
  if (commit->phase == SIM_IDLE) sim_fail(process->world, "outcome of nothing");
  bool is_slow = sim_chance(&process->world->cluster.random, process->world->faults.slow);
  for (int i = 0; i < wait_ms && commit->phase != SIM_ENDED; i++) {
    if (!is_slow) advance_commit(sink);
    if (commit->phase != SIM_ENDED) sim_wait(process, is_slow ? wait_ms : 1);
    if (process->is_dead) return sim_death(error);
    if (is_slow) break;
  }
  if (commit->phase != SIM_ENDED)
    return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_RETRY, "the commit is under way");
  commit->phase = SIM_IDLE;
  if (!sim_boundary(process)) return sim_death(error);
  if (commit->status == FRESHET_FENCED) return sim_fenced(process, error);
  if (commit->status == FRESHET_ABORTED)
    return freshet_error_set(error, FRESHET_ABORTED, FRESHET_RETRY, "the transaction was aborted");
  return FRESHET_OK;
}

static freshet_status sink_abort(freshet_sink* self, freshet_error* error) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  check_idle(sink, "abort");
  if (!sim_boundary(process)) return sim_death(error);
  bool is_asked_for = is_committing(sink) && !sink->commit.is_abandoned;
  if (is_asked_for || sink->transaction < 0) sim_fail(process->world, "abort of nothing");
  if (is_fenced(sink, sink->turn)) return sim_fenced(process, error);
  sim_end(&process->world->cluster, sink->transaction, SIM_ABORTED);
  sink->transaction = -1;
  sink->is_refused = false;
  return FRESHET_OK;
}

static void sink_abandon(freshet_sink* self) {
  struct sim_sink* sink = sink_of(self);
  sim_process* process = sink->process;
  check_idle(sink, "abandon");
  struct sim_commit* commit = &sink->commit;
  if (commit->phase == SIM_IDLE && sink->transaction < 0) sim_fail(process->world, "abandon of nothing");
  process->has_abandoned = true;
  if (sink->transaction >= 0 && !is_fenced(sink, sink->turn))
    sim_end(&process->world->cluster, sink->transaction, SIM_ABORTED);
  sink->transaction = -1;
  sink->is_refused = false;
  commit->is_abandoned = is_committing(sink);
  if (commit->phase == SIM_ENDED) commit->phase = SIM_IDLE;
}

static bool sink_is_ready(freshet_sink* self) {
  const struct sim_sink* sink = sink_of(self);
  return !sink->commit.is_abandoned || !is_committing(sink);
}

static int64_t sink_written_end(freshet_sink* self, freshet_topic topic, int32_t partition) {
  const struct sim_sink* sink = sink_of(self);
  const sim_process* process = sink->process;
  if (sink->committed < 0) return -1;
  return process->world->cluster.transactions[sink->committed]
      .ends[sim_topic(process->app, topic)][partition];
}

static const char* sink_topic_name(freshet_sink* self, freshet_topic topic) {
  (void)self;
  static const char* const names[FRESHET_TOPICS] = {
      "events", "items",       "requests",    "recommendations", "replies", "dead-letters",
      "users",  "item-states", "item-deltas", "generations",     "shadow"};
  return names[topic];
}

static void no_destroy_sink(freshet_sink* self) {
  (void)self;
}

static const freshet_sink_vtable vtable = {.publish = sink_publish,
                                           .limit = sink_limit,
                                           .settle = sink_settle,
                                           .begin = sink_begin,
                                           .may_write = sink_may_write,
                                           .is_written = sink_is_written,
                                           .is_at_rest = sink_is_at_rest,
                                           .write = sink_write,
                                           .start_writing = sink_start_writing,
                                           .end_writing = sink_end_writing,
                                           .commit = sink_commit,
                                           .outcome = sink_outcome,
                                           .abort = sink_abort,
                                           .abandon = sink_abandon,
                                           .is_ready = sink_is_ready,
                                           .written_end = sink_written_end,
                                           .topic_name = sink_topic_name,
                                           .poll = sink_poll,
                                           .destroy = no_destroy_sink};

void sim_producer_open(sim_process* process) {
  const bool is_committed = process->config.delivery == FRESHET_DELIVERY_COMMITTED;
  for (int i = 0; i < SIM_SINKS; i++)
    process->sinks[i] = (struct sim_sink){.base = {&vtable},
                                          .process = process,
                                          .is_second = i > 0,
                                          .turns = is_committed && i == 0 ? SIM_TURNS : 1,
                                          .transaction = -1,
                                          .committed = -1};
  sim_producer_ask(process);
}

void sim_producer_die(sim_process* process) {
  send_some(process);
  while (process->queued > 0) send_first(process, false);
}

void sim_producer_free(sim_process* process) {
  while (process->queued > 0) send_first(process, false);
  free(process->queue);
}
