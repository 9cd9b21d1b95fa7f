/*
 * sink_commit.c: the thread that commits a transaction while the worker goes on with lists.
 *
 * Between commit and outcome this thread alone uses the transactor of the commit. It owns the phases of a commit, and
 * how an abandoned one ends. It must not know what a record holds.
 */
#include <pthread.h>

#include "core/monotonic.h"

#include "kafka/sink_internal.h"

enum {
  ABANDONED_WAIT_MS = 5000, /* of a begin, for what was abandoned */
};

/* What was abandoned has to be over before the next transaction. Who must not wait asks freshet_committer_is_ready first;
 * the thread that ends it tells the log what it waits for. */
freshet_status freshet_committer_await_abandoned(committer* c, freshet_error* error) {
  if (!c->started) return FRESHET_OK;
  const int64_t until_ms = freshet_monotonic_ms() + ABANDONED_WAIT_MS;
  bool is_late = false;
  pthread_mutex_lock(&c->lock);
  while (c->abandoned && !is_late) is_late = !freshet_condition_wait(&c->changed, &c->lock, until_ms);
  is_late = c->abandoned;
  bool has_failed = !is_late && c->status != FRESHET_OK && c->status != FRESHET_ABORTED;
  pthread_mutex_unlock(&c->lock);
  if (is_late)
    return freshet_error_set(
        error, FRESHET_ABORTED, FRESHET_RETRY,
        "the transaction that was abandoned is not over yet: its coordinator does not answer");
  if (!has_failed) return FRESHET_OK;
  return freshet_error_set(error, c->status, FRESHET_STOP, "%s", c->error.message);
}

/* Waits for what was published before the commit. */
static freshet_status await_published(kafka_sink* sink, published* era, freshet_error* error) {
  int64_t stopping_since_ms = 0;
  const freshet_kafka_transactor* transactor = sink->committer.transactor;
  while (atomic_load(&era->waiting) > 0) {
    rd_kafka_poll(sink->publisher.handle, FRESHET_SINK_ROOM_MS);
    rd_kafka_poll(transactor->client.handle, 0);
    freshet_lanes_turn(transactor->lanes); /* of what has been released */
    if (rd_kafka_fatal_error(sink->publisher.handle, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
      return freshet_kafka_client_fatal(&sink->publisher, error);
    if (freshet_kafka_last_try_over(sink->publisher.config, FRESHET_KAFKA_LAST_TRY_MS, &stopping_since_ms) ||
        atomic_load(&sink->committer.leaving) || atomic_load(&sink->committer.abandoned))
      return freshet_error_set(error, FRESHET_ABORTED, FRESHET_RETRY,
                               "%zu published records are not acknowledged", atomic_load(&era->waiting));
  }
  size_t lost = atomic_exchange(&era->lost, 0);
  return lost == 0 ? FRESHET_OK : freshet_sink_lists_lost(sink, lost, FRESHET_ABORTED, error);
}

/* On the sender's thread. */
static void send_offsets(void* context) {
  committer* c = context;
  freshet_error_clear(&c->send_error);
  c->sent =
      freshet_kafka_transactor_take(c->transactor, FRESHET_STEP_SEND_OFFSETS, &c->input, &c->send_error);
}

static void tell_written(committer* c) {
  pthread_mutex_lock(&c->lock);
  c->is_written = true;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->lock);
}

/* Waits a moment: for the next report while batches wait, then for all. */
static bool is_written(freshet_kafka_transactor* t) {
  rd_kafka_t* handle = t->client.handle;
  freshet_lanes_turn(t->lanes);
  if (freshet_lanes_waiting(t->lanes) == 0)
    return rd_kafka_flush(handle, FRESHET_SINK_ROOM_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
  rd_kafka_poll(handle, FRESHET_SINK_ROOM_MS);
  return false;
}

/* Serves the reports of all records: one of them may forbid the commit. They open one topic after the other to the next
 * transaction. Ends early where the transaction cannot be committed any more; the commit tells why. */
static freshet_status await_written(committer* c, bool is_sending, freshet_error* error) {
  freshet_kafka_transactor* t = c->transactor;
  freshet_kafka_wait wait = freshet_kafka_wait_for(&t->client, "the records of a transaction");
  int64_t stopping_since_ms = 0;
  while (!is_written(t) && atomic_load(&t->refused) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const bool has_sent = is_sending && freshet_helper_await(c->sender, 0);
    if ((has_sent && c->sent != FRESHET_OK) || atomic_load(&t->has_failed) ||
        rd_kafka_fatal_error(t->client.handle, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
      return FRESHET_OK;
    if (atomic_load(&c->abandoned))
      return freshet_error_set(error, FRESHET_ABORTED, FRESHET_RETRY, "%s: abandoned", wait.what);
    if (atomic_load(&c->leaving) ||
        freshet_kafka_last_try_over(&t->config, FRESHET_KAFKA_LAST_TRY_MS, &stopping_since_ms))
      return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "%s are not acknowledged",
                               wait.what);
    freshet_kafka_wait_tell(&wait, RD_KAFKA_RESP_ERR__TIMED_OUT);
  }
  const freshet_status refused = freshet_transactions_refused(t, error);
  if (refused != FRESHET_OK) return refused;
  if (atomic_load(&t->lacks_records))
    return freshet_error_set(
        error, FRESHET_ABORTED, FRESHET_RETRY,
        "a broker has accepted records after it refused earlier ones, which may be lost");
  tell_written(c);
  return FRESHET_OK;
}

/* Both wait for the cluster, and librdkafka has no call that waits for both. */
static freshet_status write_and_send(committer* c, freshet_error* error) {
  const bool sends = c->input.list != NULL;
  if (sends) freshet_helper_start(c->sender, send_offsets, c);
  const freshet_status written = await_written(c, sends, error);
  if (!sends) return written;
  freshet_helper_await(c->sender, -1);
  if (written == FRESHET_OK && c->sent != FRESHET_OK) *error = c->send_error;
  return written == FRESHET_OK ? c->sent : written;
}

static freshet_status commit_now(kafka_sink* sink, published* era, freshet_error* error) {
  freshet_kafka_transactor* transactor = sink->committer.transactor;
  freshet_status status = await_published(sink, era, error);
  if (status == FRESHET_OK) freshet_lanes_release(transactor->lanes);
  if (status == FRESHET_OK) status = write_and_send(&sink->committer, error);
  if (status == FRESHET_OK)
    status = freshet_kafka_transactor_take(transactor, FRESHET_STEP_COMMIT, NULL, error);
  freshet_error worse = {0};
  if (status != FRESHET_OK && freshet_sink_check_topics(sink, &worse) != FRESHET_OK) {
    *error = worse;
    return worse.status;
  }
  if (status != FRESHET_ABORTED || atomic_load(&sink->committer.abandoned)) return status;
  freshet_status aborted = freshet_sink_abort_open(sink, transactor, &worse);
  freshet_sink_name_limit(sink, error); /* the abort has served the report of the record that was refused */
  if (aborted == FRESHET_OK) return status;
  *error = worse;
  return aborted;
}

/* A commit that was abandoned in its middle is ended by a new producer. */
static freshet_status end_abandoned(kafka_sink* sink, freshet_status status, freshet_error* error) {
  if (status == FRESHET_OK || status == FRESHET_FENCED) return status;
  freshet_error_clear(error);
  return freshet_sink_reopen(sink, sink->committer.transactor, "a commit was abandoned", error);
}

/* The worker has let go: the commit, if one was under way, and the transaction of the next one. Enters and leaves with
 * the lock. */
static void end_what_was_left(kafka_sink* sink, bool is_asked, freshet_status status, freshet_error* error) {
  committer* c = &sink->committer;
  freshet_kafka_transactor* open = c->left_open;
  pthread_mutex_unlock(&c->lock);
  if (is_asked) status = end_abandoned(sink, status, error);
  if (status == FRESHET_OK && open != NULL)
    status = freshet_sink_reopen(sink, open, "the commit before it was abandoned", error);
  pthread_mutex_lock(&c->lock);
  if (is_asked) freshet_input_offsets_free(&c->input);
  c->left_open = NULL;
  c->status = status;
}

static void* commit_when_asked(void* argument) {
  kafka_sink* sink = argument;
  committer* c = &sink->committer;
  pthread_mutex_lock(&c->lock);
  for (;;) {
    while (c->phase != ASKED && !c->abandoned && !c->leaving) pthread_cond_wait(&c->changed, &c->lock);
    if (c->leaving) break;
    const bool is_asked = c->phase == ASKED;
    freshet_error error = {0};
    pthread_mutex_unlock(&c->lock);
    freshet_status status = is_asked ? commit_now(sink, &sink->eras[c->era], &error) : FRESHET_OK;
    pthread_mutex_lock(&c->lock);
    c->status = status;
    if (c->abandoned) end_what_was_left(sink, is_asked, status, &error);
    c->error = error;
    c->phase = c->abandoned ? IDLE : ENDED;
    c->abandoned = false;
    pthread_cond_broadcast(&c->changed);
  }
  pthread_mutex_unlock(&c->lock);
  return NULL;
}

freshet_status freshet_committer_start(kafka_sink* sink, freshet_error* error) {
  committer* c = &sink->committer;
  pthread_mutex_init(&c->lock, NULL);
  freshet_condition_init(&c->changed);
  c->sender = freshet_helper_create("freshet-offsets");
  c->started = c->sender != NULL && pthread_create(&c->thread, NULL, commit_when_asked, sink) == 0;
  if (c->started) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "cannot start a thread for commits");
}

void freshet_committer_end(committer* c) {
  if (!c->started) return;
  pthread_mutex_lock(&c->lock);
  c->leaving = true;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->lock);
  pthread_join(c->thread, NULL);
  freshet_helper_destroy(c->sender);
  pthread_cond_destroy(&c->changed);
  pthread_mutex_destroy(&c->lock);
}

/* The next transaction is the next producer's. */
static void alternate(kafka_sink* sink) {
  const size_t next = (size_t)(sink->transactor - sink->transactors + 1) % FRESHET_KAFKA_TRANSACTORS;
  if (sink->publisher.config->alternates) sink->transactor = &sink->transactors[next];
}

freshet_status freshet_committer_commit(freshet_sink* self, const freshet_partition* partitions, size_t count,
                                        freshet_error* error) {
  (void)error;
  kafka_sink* sink = freshet_sink_of(self);
  committer* c = &sink->committer;
  freshet_input_offsets input =
      freshet_input_offsets_of(sink->publisher.config, sink->source, partitions, count);
  freshet_lanes_release(sink->lanes); /* this commit waits for what was published before it */
  /* Lists wait for this commit: its records leave before its thread wakes. */
  if (sink->publisher.config->alternates) freshet_lanes_release(sink->transactor->lanes);
  pthread_mutex_lock(&c->lock);
  FRESHET_ASSERT(c->phase == IDLE);
  c->phase = ASKED;
  c->transactor = sink->transactor;
  c->is_written = false;
  c->input = input;
  c->era = sink->era;
  sink->era ^= 1; /* the other era is over: its commit has ended */
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->lock);
  sink->has_begun = false;
  alternate(sink);
  return FRESHET_OK;
}

/* A transactor does not change between a commit and its outcome. */
bool freshet_committer_may_write(freshet_sink* self, freshet_topic topic) {
  kafka_sink* sink = freshet_sink_of(self);
  freshet_kafka_transactor* committing = sink->committer.transactor;
  return committing != sink->transactor && atomic_load(&committing->waiting[topic]) == 0;
}

freshet_status freshet_committer_outcome(freshet_sink* self, int wait_ms, freshet_error* error) {
  kafka_sink* sink = freshet_sink_of(self);
  committer* c = &sink->committer;
  const int64_t until_ms = freshet_monotonic_ms() + wait_ms;
  pthread_mutex_lock(&c->lock);
  FRESHET_ASSERT(c->phase != IDLE);
  bool late = wait_ms == 0;
  const bool was_written = c->is_written;
  while (c->phase != ENDED && !late && c->is_written == was_written)
    late = !freshet_condition_wait(&c->changed, &c->lock, until_ms);
  bool ended = c->phase == ENDED;
  if (ended) c->phase = IDLE;
  pthread_mutex_unlock(&c->lock);
  if (!ended) return FRESHET_TIMEOUT;
  freshet_input_offsets_free(&c->input);
  if (c->status != FRESHET_OK)
    return freshet_error_set(error, c->status, c->error.verdict, "%s", c->error.message);
  freshet_ends *ends = &sink->ends[c->transactor - sink->transactors], swap = sink->committed;
  sink->committed = *ends;
  *ends = swap;
  return FRESHET_OK;
}

bool freshet_committer_uses(kafka_sink* sink, const freshet_kafka_transactor* transactor) {
  committer* c = &sink->committer;
  if (!c->started) return false;
  pthread_mutex_lock(&c->lock);
  const bool uses = (c->phase != IDLE && c->transactor == transactor) || c->left_open == transactor;
  pthread_mutex_unlock(&c->lock);
  return uses;
}

bool freshet_committer_is_ready(freshet_sink* self) {
  return !atomic_load(&freshet_sink_of(self)->committer.abandoned);
}

void freshet_committer_abandon(freshet_sink* self) {
  kafka_sink* sink = freshet_sink_of(self);
  committer* c = &sink->committer;
  pthread_mutex_lock(&c->lock);
  if (c->phase == ENDED) {
    freshet_input_offsets_free(&c->input);
    c->phase = IDLE;
  }
  c->left_open = sink->has_begun ? sink->transactor : NULL;
  sink->has_begun = false;
  c->abandoned = c->phase == ASKED || c->left_open != NULL;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->lock);
}
