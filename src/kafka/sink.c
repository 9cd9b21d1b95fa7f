/*
 * sink.c: the port freshet_sink on Kafka. It owns an idempotent producer for lists, which leave at once, and one or three
 * transactional ones for state: sink_transactions.c writes to them, and sink_commit.c has the thread that commits while lists
 * go on. It must not know what a record holds.
 */
#include <stdlib.h>

#include "kafka/sink_internal.h"

/* ---- Delivery reports ---- */

/* What a record that was given up says of its topic: how large a record may be (bytes as sizes.h counts them, without
 * headers), or that the topic is gone. */
void freshet_sink_learn(kafka_sink* sink, const freshet_kafka_client* client,
                        const rd_kafka_message_t* message) {
  freshet_topic topic = freshet_kafka_client_topic(client, message->rkt);
  if (topic == FRESHET_TOPICS) return;
  if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
    freshet_kafka_sizes_refused(&sink->sizes, topic, message->len + message->key_len);
    atomic_store(&sink->too_large, topic);
  }
  if (freshet_kafka_code_missing(message->err)) atomic_store(&sink->missing, topic);
}

void freshet_sink_name_limit(kafka_sink* sink, freshet_error* error) {
  const freshet_error cause = *error;
  const int topic = atomic_exchange(&sink->too_large, FRESHET_TOPICS);
  if (topic == FRESHET_TOPICS) return;
  freshet_error_clear(error);
  freshet_error_set(
      error, cause.status, cause.verdict,
      "%.200s: a record is larger than max.message.bytes of topic %s, or than message.max.bytes",
      cause.message, sink->publisher.config->topics[topic]);
}

/* A broker that has just started may not know a topic for a moment, so one answer is not believed. */
freshet_status freshet_sink_check_topics(kafka_sink* sink, freshet_error* error) {
  const freshet_topic topic = (freshet_topic)atomic_load(&sink->missing);
  if (topic == FRESHET_TOPICS) return FRESHET_OK;
  if (freshet_kafka_topics_missing(&sink->publisher, &topic, 1) == NULL) {
    atomic_store(&sink->missing, FRESHET_TOPICS);
    return FRESHET_OK;
  }
  return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                           "topic %s is gone: it was deleted while this process wrote to it; `freshet topics "
                           "create` makes it again",
                           sink->publisher.config->topics[topic]);
}

/* output: one that has not left; NULL: a delivery report has said what it says of its topic. */
static void give_up(void* context, const freshet_output* output, int era, rd_kafka_resp_err_t code) {
  kafka_sink* sink = context;
  if (output != NULL && freshet_kafka_code_missing(code)) atomic_store(&sink->missing, output->topic);
  sink->lost_code = code;
  atomic_fetch_add(&sink->eras[era].lost, 1);
  atomic_fetch_sub(&sink->eras[era].waiting, 1);
  freshet_kafka_client_trouble(&sink->publisher, code, "a record was given up");
}

static void on_published(rd_kafka_t* handle, const rd_kafka_message_t* message, void* opaque) {
  (void)handle;
  freshet_kafka_client* client = opaque;
  kafka_sink* sink = client->owner;
  const rd_kafka_resp_err_t code = freshet_kafka_delivered(message);
  int era = sink->lanes == NULL ? 0 : freshet_lanes_delivered(sink->lanes, message->_private, code);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    atomic_fetch_sub(&sink->eras[era].waiting, 1);
  } else {
    freshet_sink_learn(sink, client, message);
    give_up(sink, NULL, era, code);
  }
}

/* ---- Producing ---- */

/* Enqueues, waiting for room. lanes NULL: straight to the producer. */
rd_kafka_resp_err_t freshet_sink_produce(freshet_kafka_client* client, freshet_lanes* lanes,
                                         const freshet_output* output, int mark) {
  FRESHET_ASSERT(client->topics[output->topic] != NULL);
  int64_t stopping_since_ms = 0;
  for (int wait_ms = 0;; wait_ms = FRESHET_SINK_ROOM_MS) {
    rd_kafka_resp_err_t code =
        lanes != NULL ? freshet_lanes_publish(lanes, output, mark)
                      : freshet_kafka_enqueue(client, client->topics[output->topic], output, NULL);
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL ||
        freshet_kafka_last_try_over(client->config, FRESHET_KAFKA_LAST_TRY_MS, &stopping_since_ms))
      return code;
    rd_kafka_poll(client->handle, wait_ms);
    freshet_lanes_release(lanes);
  }
}

freshet_status freshet_sink_refused(kafka_sink* sink, const freshet_kafka_client* client,
                                    const freshet_output* output, rd_kafka_resp_err_t code,
                                    freshet_error* error) {
  if (freshet_sink_is_fatal(client)) return freshet_kafka_client_fatal(client, error);
  if (freshet_kafka_code_missing(code)) atomic_store(&sink->missing, output->topic);
  const freshet_status status = freshet_sink_check_topics(sink, error);
  if (status != FRESHET_OK) return status;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "cannot write %zu bytes to %s [%d]: %s",
                           output->key.size + output->value.size, client->config->topics[output->topic],
                           (int)output->partition, rd_kafka_err2str(code));
}

/* Makes the client know its topics before the first record. librdkafka 2.0.2 parks records of a topic that it
 * does not know yet, and one that is parked at the moment when the answer arrives is overtaken by those after
 * it. lanes NULL: there will be none. */
freshet_status freshet_sink_open_lanes(freshet_kafka_client* client, freshet_lanes_mode mode,
                                       freshet_lanes_refused give_up_waiting, void* context,
                                       freshet_lanes** lanes, freshet_error* error) {
  const struct rd_kafka_metadata* metadata = NULL;
  const freshet_status status = freshet_kafka_client_metadata(client, &metadata, error);
  if (status != FRESHET_OK) return status;
  if (lanes != NULL) *lanes = freshet_lanes_create(client, metadata, mode, give_up_waiting, context);
  rd_kafka_metadata_destroy(metadata);
  return FRESHET_OK;
}

/* Lanes and commits live on delivery reports. A command that does without them writes in bulk, with a linger. */
static freshet_status open_publisher_lanes(kafka_sink* sink, freshet_error* error) {
  freshet_kafka_client* client = &sink->publisher;
  const bool is_told = !freshet_kafka_client_is(client, "delivery.report.only.error", "true");
  if (!is_told && client->config->transactional_id != NULL)
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "[kafka] delivery.report.only.error must be false: commits wait for the reports");
  const bool has_turns = client->config->transactional_id != NULL;
  return freshet_sink_open_lanes(client, has_turns ? FRESHET_LANES_BY_TURN : FRESHET_LANES_AT_ONCE, give_up,
                                 sink, is_told ? &sink->lanes : NULL, error);
}

static freshet_status sink_publish(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  kafka_sink* sink = freshet_sink_of(self);
  atomic_fetch_add(&sink->eras[sink->era].waiting, 1);
  rd_kafka_resp_err_t code = freshet_sink_produce(&sink->publisher, sink->lanes, output, (int)sink->era);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
  atomic_fetch_sub(&sink->eras[sink->era].waiting, 1);
  return freshet_sink_refused(sink, &sink->publisher, output, code, error);
}

static size_t sink_limit(freshet_sink* self, freshet_topic topic) {
  return freshet_kafka_sizes_limit(&freshet_sink_of(self)->sizes, topic);
}

static const char* sink_refusal_of(freshet_sink* self, const char* topic) {
  return freshet_reply_topics_refusal(freshet_sink_of(self)->reply_topics, topic);
}

static bool sink_publish_to(freshet_sink* self, const char* topic, const freshet_output* output) {
  return freshet_reply_topics_send(freshet_sink_of(self)->reply_topics, topic, output);
}

freshet_status freshet_sink_lists_lost(const kafka_sink* sink, size_t lost, freshet_status status,
                                       freshet_error* error) {
  rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)sink->lost_code;
  char right[FRESHET_KAFKA_RIGHT_SIZE];
  return freshet_error_set(
      error, status, FRESHET_RETRY, "%zu published records were given up: %s%s", lost, rd_kafka_err2str(code),
      freshet_kafka_right(&sink->publisher, code,
                          sink->publisher.config->topics[FRESHET_TOPIC_RECOMMENDATIONS], right));
}

static freshet_status sink_settle(freshet_sink* self, int timeout_ms, freshet_error* error) {
  kafka_sink* sink = freshet_sink_of(self);
  rd_kafka_t* handle = sink->publisher.handle;
  int64_t until_ms = freshet_monotonic_ms() + timeout_ms;
  freshet_lanes_release(sink->lanes);
  while (freshet_lanes_waiting(sink->lanes) > 0 && freshet_monotonic_ms() < until_ms)
    rd_kafka_poll(handle, FRESHET_SINK_ROOM_MS);
  int64_t left_ms = until_ms - freshet_monotonic_ms();
  rd_kafka_resp_err_t code = rd_kafka_flush(handle, left_ms > 0 ? (int)left_ms : 0);
  if (rd_kafka_fatal_error(handle, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return freshet_kafka_client_fatal(&sink->publisher, error);
  freshet_status status = freshet_sink_check_topics(sink, error);
  if (status != FRESHET_OK) return status;
  size_t lost = atomic_exchange(&sink->eras[0].lost, 0) + atomic_exchange(&sink->eras[1].lost, 0);
  if (lost > 0) return freshet_sink_lists_lost(sink, lost, FRESHET_UNAVAILABLE, error);
  size_t waiting = freshet_lanes_waiting(sink->lanes);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR && waiting == 0) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_RETRY,
                           "%zu published records are not acknowledged yet",
                           waiting + (size_t)rd_kafka_outq_len(handle));
}

/* ---- The rest of the port ---- */

/* What has not been settled or committed is given up: our caller has decided that already. */
void freshet_sink_close_producer(freshet_kafka_client* client) {
  if (client->handle != NULL)
    rd_kafka_purge(client->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  freshet_kafka_client_close(client, 0);
}

static int64_t sink_written_end(freshet_sink* self, freshet_topic topic, int32_t partition) {
  const freshet_ends* table = &freshet_sink_of(self)->committed;
  return partition < table->topics[topic].count ? table->topics[topic].offsets[partition] : -1;
}

static const char* sink_topic_name(freshet_sink* self, freshet_topic topic) {
  const char* name = freshet_sink_of(self)->publisher.config->topics[topic];
  return name != NULL ? name : "";
}

static void sink_poll(freshet_sink* self) {
  kafka_sink* sink = freshet_sink_of(self);
  rd_kafka_poll(sink->publisher.handle, 0);
  freshet_lanes_release(sink->lanes); /* lists leave with the turn that has made them */
  freshet_reply_topics_poll(sink->reply_topics);
  freshet_kafka_sizes_poll(&sink->sizes, &sink->publisher);
  for (int i = 0; i < FRESHET_KAFKA_TRANSACTORS; i++) {
    const freshet_kafka_transactor* own = &sink->transactors[i];
    const bool is_used =
        (sink->writer.is_at_work && own == sink->transactor) || freshet_committer_uses(sink, own);
    if (is_used || own->client.handle == NULL) continue;
    rd_kafka_poll(own->client.handle, 0);
    /* Where lists wait for a transaction, its records leave with the turn that has written them, or open its partitions. */
    if (sink->config.is_second) freshet_lanes_release(own->lanes);
    if (sink->config.alternates) freshet_lanes_open(own->lanes);
    freshet_lanes_turn(own->lanes);
  }
}

static void sink_destroy(freshet_sink* self) {
  kafka_sink* sink = freshet_sink_of(self);
  freshet_committer_end(&sink->committer);
  freshet_helper_destroy(sink->writer.helper);
  freshet_input_offsets_free(&sink->committer.input); /* ended, but nobody asked how */
  freshet_reply_topics_destroy(sink->reply_topics);
  freshet_kafka_sizes_close(&sink->sizes);
  freshet_lanes_stop(sink->lanes);
  freshet_sink_close_producer(&sink->publisher);
  freshet_lanes_destroy(sink->lanes);
  for (int i = 0; i < FRESHET_KAFKA_TRANSACTORS; i++) freshet_sink_close_transactor(&sink->transactors[i]);
  for (int i = 0; i < FRESHET_KAFKA_TRANSACTORS; i++) freshet_ends_free(&sink->ends[i]);
  freshet_ends_free(&sink->committed);
  free(sink->properties);
  free(sink);
}

static const freshet_sink_vtable vtable = {.publish = sink_publish,
                                           .publish_to = sink_publish_to,
                                           .refusal_of = sink_refusal_of,
                                           .limit = sink_limit,
                                           .settle = sink_settle,
                                           .begin = freshet_transactions_begin,
                                           .may_write = freshet_committer_may_write,
                                           .is_written = freshet_transactions_are_written,
                                           .is_at_rest = freshet_transactions_are_at_rest,
                                           .write = freshet_transactions_write,
                                           .start_writing = freshet_transactions_start_writing,
                                           .end_writing = freshet_transactions_end_writing,
                                           .commit = freshet_committer_commit,
                                           .outcome = freshet_committer_outcome,
                                           .abort = freshet_transactions_abort,
                                           .abandon = freshet_committer_abandon,
                                           .is_ready = freshet_committer_is_ready,
                                           .written_end = sink_written_end,
                                           .topic_name = sink_topic_name,
                                           .poll = sink_poll,
                                           .destroy = sink_destroy};

/* Several records make a batch, and with one that is too large all of them are refused, again and again. False: batches may
 * have their usual size. */
static bool limit_batches(kafka_sink* sink) {
  freshet_kafka_config* config = &sink->config;
  const size_t bytes = freshet_kafka_sizes_batch(&sink->sizes, config), count = config->property_count;
  if (bytes >= FRESHET_KAFKA_BATCH_USUAL) return false;
  sink->properties = calloc(count + 1, sizeof *sink->properties);
  FRESHET_ASSERT(sink->properties != NULL);
  snprintf(sink->batch, sizeof sink->batch, "%zu", bytes);
  sink->properties[0] = (freshet_kafka_property){"batch.size", sink->batch};
  for (size_t i = 0; i < count; i++) sink->properties[i + 1] = config->properties[i];
  config->properties = sink->properties;
  config->property_count = count + 1;
  return true;
}

static freshet_status open_publisher(kafka_sink* sink, freshet_error* error) {
  sink->publisher = (freshet_kafka_client){0};
  freshet_status status =
      freshet_kafka_client_open(&sink->publisher, &sink->config, FRESHET_KAFKA_PUBLISHER,
                                (freshet_kafka_callbacks){.delivered = on_published}, sink, error);
  if (status == FRESHET_OK) freshet_kafka_sizes_open(&sink->sizes, &sink->publisher);
  return status;
}

/* The publisher asks for the limits, and is opened once more if batches have to be smaller. */
static freshet_status open_within_limits(kafka_sink* sink, freshet_error* error) {
  freshet_status status = open_publisher(sink, error);
  if (status != FRESHET_OK) return status;
  freshet_kafka_sizes_await(&sink->sizes, &sink->publisher);
  if (!limit_batches(sink)) return FRESHET_OK;
  freshet_kafka_sizes_close(&sink->sizes);
  freshet_kafka_client_close(&sink->publisher, 0);
  status = open_publisher(sink, error);
  if (status == FRESHET_OK) freshet_kafka_sizes_await(&sink->sizes, &sink->publisher);
  return status;
}

static freshet_status start_writer(kafka_sink* sink, freshet_error* error) {
  if (!sink->config.writes_beside) return FRESHET_OK;
  sink->writer.helper = freshet_helper_create("freshet-writer");
  if (sink->writer.helper != NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP,
                           "cannot start a thread for records of commits");
}

freshet_status freshet_kafka_sink_create(const freshet_kafka_config* given, freshet_source* source,
                                         freshet_sink** out, freshet_error* error) {
  kafka_sink* sink = calloc(1, sizeof *sink);
  FRESHET_ASSERT(sink != NULL);
  sink->base.vtable = &vtable;
  sink->source = source;
  sink->config = *given;
  const freshet_kafka_config* config = &sink->config;
  atomic_init(&sink->missing, FRESHET_TOPICS);
  atomic_init(&sink->too_large, FRESHET_TOPICS);
  sink->reply_topics = freshet_reply_topics_create(config);
  freshet_status status = open_within_limits(sink, error);
  if (status == FRESHET_OK) status = open_publisher_lanes(sink, error);
  if (status == FRESHET_OK && config->transactional_id != NULL) {
    status = freshet_sink_open_transactors(sink, config, error);
    if (status == FRESHET_OK) status = freshet_committer_start(sink, error);
    if (status == FRESHET_OK) status = start_writer(sink, error);
  }
  if (status != FRESHET_OK) {
    sink_destroy(&sink->base);
    return status;
  }
  *out = &sink->base;
  return FRESHET_OK;
}
