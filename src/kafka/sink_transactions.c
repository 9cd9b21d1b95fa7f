/*
 * sink_transactions.c: the transactions of the sink up to their commit: producers that are opened, given up and opened
 * again, records that are written, by the worker or beside it. sink_commit.c commits them.
 */
#include "kafka/sink_internal.h"

/* ---- Delivery reports ---- */

/* librdkafka fails the transaction of a record that it gives up, so commit will tell. It knows nothing of a record that
 * is lost all the same. */
static void on_written(rd_kafka_t* handle, const rd_kafka_message_t* message, void* opaque) {
  (void)handle;
  freshet_kafka_client* client = opaque;
  kafka_sink* sink = client->owner;
  freshet_kafka_transactor* transactor = sink->transactors;
  while (&transactor->client != client) transactor++;
  const rd_kafka_resp_err_t code = freshet_kafka_delivered(message);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    freshet_sink_learn(sink, client, message);
    const bool is_told = message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
    atomic_store(is_told ? &transactor->has_failed : &transactor->lacks_records, true);
  }
  const freshet_topic topic =
      (freshet_topic)freshet_lanes_delivered(transactor->lanes, message->_private, code);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
    freshet_ends_raise(&sink->ends[transactor - sink->transactors], topic, message->partition,
                       message->offset + 1);
  atomic_fetch_sub(&transactor->waiting[topic], 1);
}

/* A transaction that librdkafka knows to have failed takes no more records; commit and abort tell why and clean up. It
 * would commit without any other record that it has refused. */
static void give_up_written(void* context, const freshet_output* output, int topic,
                            rd_kafka_resp_err_t code) {
  freshet_kafka_transactor* t = context;
  kafka_sink* sink = t->client.owner;
  if (code == RD_KAFKA_RESP_ERR__STATE || freshet_sink_is_fatal(&t->client))
    atomic_store(&t->has_failed, true);
  if (!atomic_load(&t->has_failed) && !atomic_load(&t->lacks_records)) {
    if (freshet_kafka_code_missing(code)) atomic_store(&sink->missing, topic);
    atomic_store(&t->refused_topic, topic);
    atomic_store(&t->refused_partition, output->partition);
    atomic_store(&t->refused_bytes, output->key.size + output->value.size);
    atomic_store(&t->refused, code);
  }
  atomic_fetch_sub(&t->waiting[topic], 1);
}

/* ---- Life of a transactor ---- */

/* What a transactor waits for ends with the sink too, not only with the process. */
static bool is_leaving(void* context) {
  const kafka_sink* sink = context;
  const freshet_kafka_config* config = sink->publisher.config;
  return atomic_load(&sink->committer.leaving) || config->stopping(config->stopping_context);
}

static freshet_status open_transactor(kafka_sink* sink, freshet_kafka_transactor* transactor,
                                      freshet_error* error) {
  transactor->source = sink->source;
  transactor->proven_ms = transactor->begun_ms = freshet_monotonic_ms();
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) atomic_store(&transactor->waiting[topic], 0);
  transactor->leaving = &sink->committer.leaving;
  transactor->abandoned = &sink->committer.abandoned;
  if (sink->publisher.config->stopping != NULL) {
    transactor->config.stopping = is_leaving;
    transactor->config.stopping_context = sink;
  }
  freshet_status status =
      freshet_kafka_client_open(&transactor->client, &transactor->config, FRESHET_KAFKA_TRANSACTOR,
                                (freshet_kafka_callbacks){.delivered = on_written}, sink, error);
  if (status == FRESHET_OK)
    status = freshet_sink_open_lanes(&transactor->client, FRESHET_LANES_GATHER, give_up_written, transactor,
                                     &transactor->lanes, error);
  if (status == FRESHET_OK)
    status = freshet_kafka_transactor_take(transactor, FRESHET_STEP_INIT, NULL, error);
  return status;
}

freshet_status freshet_sink_open_transactors(kafka_sink* sink, const freshet_kafka_config* config,
                                             freshet_error* error) {
  freshet_status status = FRESHET_OK;
  int count = config->alternates ? FRESHET_KAFKA_TRANSACTORS : 1;
  for (int i = 0; status == FRESHET_OK && i < count; i++) {
    freshet_kafka_transactor_name(&sink->transactors[i], config,
                                  config->is_second ? FRESHET_KAFKA_SECOND_TRANSACTOR : i);
    status = open_transactor(sink, &sink->transactors[i], error);
  }
  sink->transactor = &sink->transactors[0];
  return status;
}

/* librdkafka 2.0.2 ends the process by an assertion when a producer is destroyed while it registers a partition with its
 * transaction. After the request to abort it registers none. Nobody waits for the end of that: the transaction stays open
 * at the broker, as after a kill, until somebody fences it. */
void freshet_sink_close_transactor(freshet_kafka_transactor* transactor) {
  rd_kafka_t* handle = transactor->client.handle;
  freshet_lanes_stop(transactor->lanes);
  rd_kafka_error_t* failure = handle == NULL ? NULL : rd_kafka_abort_transaction(handle, 0);
  if (failure != NULL) rd_kafka_error_destroy(failure);
  freshet_sink_close_producer(&transactor->client);
  freshet_lanes_destroy(transactor->lanes);
  transactor->lanes = NULL;
}

/* A process that takes our partitions fences all of our producers. One of them has met it in its transaction. */
static void doubt_others(kafka_sink* sink, const freshet_kafka_transactor* fenced) {
  if (rd_kafka_fatal_error(fenced->client.handle, NULL, 0) != RD_KAFKA_RESP_ERR__FENCED) return;
  for (int i = 0; i < FRESHET_KAFKA_TRANSACTORS && sink->publisher.config->alternates; i++) {
    freshet_kafka_transactor* other = &sink->transactors[i];
    if (other != fenced) atomic_store(&other->is_fenced, true);
  }
}

/* A new producer with the same id aborts what the old one left open. */
freshet_status freshet_sink_reopen(kafka_sink* sink, freshet_kafka_transactor* transactor, const char* reason,
                                   freshet_error* error) {
  freshet_log_fact(transactor->config.logger, FRESHET_WARN, "transaction.reopened", "reason=\"%s\"", reason);
  doubt_others(sink, transactor);
  freshet_sink_close_transactor(transactor);
  transactor->client = (freshet_kafka_client){0};
  return open_transactor(sink, transactor, error);
}

/* librdkafka 2.0.2 can ask to end a transaction of which the coordinator has not heard yet, and takes the
 * refusal for fatal (INVALID_TXN_STATE). To abort it is all that was wanted, and that a new producer does. */
freshet_status freshet_sink_abort_open(kafka_sink* sink, freshet_kafka_transactor* transactor,
                                       freshet_error* error) {
  freshet_error cause = {0};
  freshet_lanes_drop(transactor->lanes, RD_KAFKA_RESP_ERR__PURGE_QUEUE);
  freshet_status status = freshet_kafka_transactor_take(transactor, FRESHET_STEP_ABORT, NULL, &cause);
  if (status == FRESHET_OK) return FRESHET_OK;
  if (rd_kafka_fatal_error(transactor->client.handle, NULL, 0) == RD_KAFKA_RESP_ERR_NO_ERROR ||
      status == FRESHET_FENCED)
    return freshet_error_set(error, status, FRESHET_STOP, "%s", cause.message);
  return freshet_sink_reopen(sink, transactor, cause.message, error);
}

freshet_status freshet_transactions_begin(freshet_sink* self, freshet_error* error) {
  kafka_sink* sink = freshet_sink_of(self);
  freshet_status status = freshet_committer_await_abandoned(&sink->committer, error);
  if (status != FRESHET_OK) return status;
  freshet_kafka_transactor* transactor = sink->transactor;
  FRESHET_ASSERT(transactor != NULL && !freshet_committer_uses(sink, transactor));
  if (atomic_exchange(&transactor->is_fenced, false))
    status = freshet_sink_reopen(sink, transactor, "the other producer was fenced", error);
  if (status != FRESHET_OK) return status;
  freshet_ends_clear(&sink->ends[transactor - sink->transactors]);
  transactor->begun_ms = freshet_monotonic_ms();
  atomic_store(&transactor->has_failed, false);
  atomic_store(&transactor->lacks_records, false);
  atomic_store(&transactor->refused, RD_KAFKA_RESP_ERR_NO_ERROR);
  status = freshet_kafka_transactor_take(transactor, FRESHET_STEP_BEGIN, NULL, error);
  sink->has_begun = status == FRESHET_OK;
  freshet_lanes_begin(transactor->lanes);
  return status;
}

freshet_status freshet_transactions_refused(const freshet_kafka_transactor* t, freshet_error* error) {
  const rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)atomic_load(&t->refused);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "cannot write %zu bytes to %s [%d]: %s",
                           atomic_load(&t->refused_bytes), t->config.topics[atomic_load(&t->refused_topic)],
                           atomic_load(&t->refused_partition), rd_kafka_err2str(code));
}

freshet_status freshet_transactions_write(freshet_sink* self, const freshet_output* output,
                                          freshet_error* error) {
  kafka_sink* sink = freshet_sink_of(self);
  freshet_kafka_transactor* transactor = sink->transactor;
  if (freshet_sink_is_fatal(&transactor->client)) return freshet_kafka_transactor_fatal(transactor, error);
  const freshet_status earlier = freshet_transactions_refused(transactor, error);
  if (earlier != FRESHET_OK) return earlier;
  atomic_fetch_add(&transactor->waiting[output->topic], 1);
  const rd_kafka_resp_err_t code =
      freshet_sink_produce(&transactor->client, transactor->lanes, output, output->topic);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
  atomic_fetch_sub(&transactor->waiting[output->topic], 1);
  return freshet_sink_refused(sink, &transactor->client, output, code, error);
}

bool freshet_transactions_are_written(freshet_sink* self) {
  const freshet_kafka_transactor* transactor = freshet_sink_of(self)->transactor;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++)
    if (atomic_load(&transactor->waiting[topic]) > 0) return false;
  return true;
}

bool freshet_transactions_are_at_rest(freshet_sink* self, int wait_ms) {
  kafka_sink* sink = freshet_sink_of(self);
  const freshet_kafka_transactor* t = sink->transactor;
  if (!sink->has_begun || freshet_lanes_are_at_rest(t->lanes)) return true;
  rd_kafka_poll(t->client.handle, wait_ms);
  return freshet_lanes_are_at_rest(t->lanes) || atomic_load(&t->has_failed) ||
         freshet_sink_is_fatal(&t->client);
}

/* On the writer's thread. The worker does not serve the transactor's delivery reports meanwhile. */
static void write_beside(void* context) {
  kafka_sink* sink = context;
  writer* w = &sink->writer;
  freshet_error_clear(&w->error);
  w->status = w->job(w->context, &w->error);
}

bool freshet_transactions_start_writing(freshet_sink* self, freshet_sink_job job, void* context) {
  kafka_sink* sink = freshet_sink_of(self);
  writer* w = &sink->writer;
  FRESHET_ASSERT(!w->is_at_work);
  if (w->helper == NULL) return false;
  w->is_at_work = true;
  w->job = job;
  w->context = context;
  freshet_helper_start(w->helper, write_beside, sink);
  return true;
}

freshet_status freshet_transactions_end_writing(freshet_sink* self, int wait_ms, freshet_error* error) {
  writer* w = &freshet_sink_of(self)->writer;
  FRESHET_ASSERT(w->is_at_work);
  if (!freshet_helper_await(w->helper, wait_ms)) return FRESHET_TIMEOUT;
  w->is_at_work = false;
  if (w->status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(error, w->status, w->error.verdict, "%s", w->error.message);
}

freshet_status freshet_transactions_abort(freshet_sink* self, freshet_error* error) {
  kafka_sink* sink = freshet_sink_of(self);
  if (!sink->has_begun) return FRESHET_OK;
  sink->has_begun = false;
  return freshet_sink_abort_open(sink, sink->transactor, error);
}
