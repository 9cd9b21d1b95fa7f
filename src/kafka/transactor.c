/*
 * transactor.c: see transactor.h. It knows which answers of librdkafka pass, which doom a transaction, and which end
 * the producer.
 */
#include "kafka/transactor.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kafka/owner.h"
#include "kafka/questions.h"
#include "kafka/reader.h"

/* One attempt is short at first, because a request that waits for a dead coordinator is not sent to the next one, and
 * longer each time, so that a slow cluster gets to answer. */
enum { STEP_FIRST_MS = 1000, STEP_MS = 3000, ROOM_MS = 10 };
/* librdkafka 2.0.2 waits by the wall clock. When that is set, a wait may end at once; and if that happens to a commit that
 * is tried again while it is under way, librdkafka takes its success for an abort and ends the process. So the next attempt
 * may take longer than clocks are set by, as a rule. It hears of no stop meanwhile. */
enum { AFTER_CUT_MS = 30000 };

/* FENCED_LATE_MS: from a look at the group to the end of the fence that follows it. */
enum { FENCED_LATE_MS = 10000, HEARTBEAT_LATE_MS = 1000, CAUSE_SIZE = 512 };

/* Words of the metadata of an offset, and a blank or NUL after each. */
enum {
  METADATA_SIZE =
      FRESHET_MARK_TEXT_SIZE + FRESHET_LISTED_TEXT_SIZE + FRESHET_LAYOUT_TEXT_SIZE + FRESHET_OWNER_TEXT_SIZE
};

void freshet_kafka_transactor_name(freshet_kafka_transactor* transactor, const freshet_kafka_config* config,
                                   int index) {
  char* id = transactor->transactional_id;
  size_t size = sizeof transactor->transactional_id;
  snprintf(id, size, "%s.%d", config->transactional_id, index + 1);
  transactor->config = *config;
  transactor->config.transactional_id = id;
}

static rd_kafka_error_t* step_init(rd_kafka_t* handle, const freshet_input_offsets* input, int within_ms) {
  (void)input;
  return rd_kafka_init_transactions(handle, within_ms);
}
static rd_kafka_error_t* step_begin(rd_kafka_t* handle, const freshet_input_offsets* input, int within_ms) {
  (void)input, (void)within_ms;
  return rd_kafka_begin_transaction(handle);
}
static rd_kafka_error_t* step_send_offsets(rd_kafka_t* handle, const freshet_input_offsets* input,
                                           int within_ms) {
  return rd_kafka_send_offsets_to_transaction(handle, input->list, input->group, within_ms);
}
static rd_kafka_error_t* step_commit(rd_kafka_t* handle, const freshet_input_offsets* input, int within_ms) {
  (void)input;
  return rd_kafka_commit_transaction(handle, within_ms);
}
static rd_kafka_error_t* step_abort(rd_kafka_t* handle, const freshet_input_offsets* input, int within_ms) {
  (void)input;
  return rd_kafka_abort_transaction(handle, within_ms);
}

/* What a committed offset says beside itself: which record was read last, how far lists are committed, how the state is
 * divided, and which process has committed it. */
static void describe(const freshet_kafka_config* config, freshet_source* source,
                     const freshet_partition* partition, rd_kafka_topic_partition_t* out) {
  char mark_text[FRESHET_MARK_TEXT_SIZE] = "", layout_text[FRESHET_LAYOUT_TEXT_SIZE] = "";
  char owner_text[FRESHET_OWNER_TEXT_SIZE] = "", listed_text[FRESHET_LISTED_TEXT_SIZE] = "";
  char text[METADATA_SIZE];
  const char* words[] = {mark_text, listed_text, layout_text, owner_text};
  const freshet_listed* listed = &partition->listed;
  const int64_t read = listed->offset > partition->offset ? listed->offset : partition->offset;
  bool is_of_events = partition->topic == FRESHET_TOPIC_EVENTS;
  if (source != NULL) {
    freshet_mark mark = freshet_kafka_source_mark(source, partition->topic, partition->partition, read);
    freshet_mark_write(&mark, mark_text);
    if (is_of_events && (listed->listing != 0 || listed->offset > partition->offset))
      freshet_listed_write(listed, listed_text);
    if (is_of_events)
      freshet_owner_write(config->transactional_id, freshet_kafka_source_member(source), config->client_id,
                          owner_text);
  }
  if (config->layout != NULL && is_of_events) freshet_layout_write(config->layout, layout_text);
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (words[i][0] != '\0')
      used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used == 0 ? "" : " ", words[i]);
  }
  if (used == 0) return;
  out->metadata = strdup(text); /* the list's from now on */
  out->metadata_size = used;
}

freshet_input_offsets freshet_input_offsets_of(const freshet_kafka_config* config, freshet_source* source,
                                               const freshet_partition* partitions, size_t count) {
  if (count == 0) return (freshet_input_offsets){NULL, NULL};
  freshet_input_offsets input = {
      .list = rd_kafka_topic_partition_list_new((int)count),
      .group = source == NULL ? rd_kafka_consumer_group_metadata_new(config->app_id)
                              : rd_kafka_consumer_group_metadata(freshet_kafka_source_consumer(source))};
  for (size_t i = 0; i < count; i++) {
    rd_kafka_topic_partition_t* added = rd_kafka_topic_partition_list_add(
        input.list, config->topics[partitions[i].topic], partitions[i].partition);
    added->offset = partitions[i].offset;
    describe(config, source, &partitions[i], added);
  }
  return input;
}

void freshet_input_offsets_free(freshet_input_offsets* input) {
  if (input->list == NULL) return;
  rd_kafka_consumer_group_metadata_destroy(input->group);
  rd_kafka_topic_partition_list_destroy(input->list);
  *input = (freshet_input_offsets){NULL, NULL};
}

static int64_t property_ms(rd_kafka_t* handle, const char* name) {
  char value[32] = "";
  size_t size = sizeof value;
  rd_kafka_conf_get(rd_kafka_conf(handle), name, value, &size);
  return strtoll(value, NULL, 10);
}

/* The group refuses the heartbeat of a static member whose name another process has taken. So a member that it has not
 * refused by the time of its next heartbeat keeps its place. Waits for that; a transaction is seldom fenced. */
static bool keeps_its_place(const freshet_kafka_transactor* t) {
  if (t->source == NULL || t->config.instance_id == NULL) return false;
  rd_kafka_t* member = freshet_kafka_source_consumer(t->source);
  const int64_t until_ms =
      freshet_monotonic_ms() + property_ms(member, "heartbeat.interval.ms") + HEARTBEAT_LATE_MS;
  while (rd_kafka_fatal_error(member, NULL, 0) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (freshet_monotonic_ms() >= until_ms || atomic_load(t->abandoned) || atomic_load(t->leaving))
      return true;
    freshet_kafka_sleep_ms(ROOM_MS);
  }
  return false;
}

/* The answer to a producer that was fenced does not say by whom. The times do. The broker fences a transaction that
 * outlives its time-out; a process that takes the partitions of one whose session has ended fences it; and it may fence
 * a process that has been started again meanwhile, because it saw the group before that one had joined. Else another
 * process may have this one's transactional id; a static member learns that from the group. */
static const char* innocent_cause(const freshet_kafka_transactor* t, char* text, size_t size) {
  const int64_t age_ms = freshet_monotonic_ms() - t->begun_ms;
  const int64_t timeout_ms = property_ms(t->client.handle, "transaction.timeout.ms");
  const int64_t session_ms = freshet_kafka_session_ms(&t->config);
  const int64_t joined_ms = t->source == NULL ? 0 : freshet_kafka_source_joined_ms(t->source);
  const char* paused = "this process was paused, or the cluster was away for too long";
  if (age_ms >= timeout_ms)
    snprintf(text, size,
             "a transaction outlived transaction.timeout.ms (%lld) and was aborted by the broker: %s",
             (long long)timeout_ms, paused);
  else if (age_ms >= session_ms)
    snprintf(text, size,
             "a transaction outlived session.timeout.ms (%lld) and was aborted by the process that took its "
             "partitions: %s",
             (long long)session_ms, paused);
  else if (joined_ms > 0 && t->proven_ms < joined_ms + FENCED_LATE_MS)
    snprintf(
        text, size,
        "a transaction was aborted by a process that had this one's partitions before it joined group %s",
        t->config.app_id);
  else if (keeps_its_place(t))
    snprintf(text, size,
             "a transaction was aborted by another process, but group %s knows this one as its member %s",
             t->config.app_id, t->config.instance_id);
  else
    return NULL;
  return text;
}

/* FRESHET_ABORTED: abort_open makes a new producer, and the events are learned again. */
freshet_status freshet_kafka_transactor_fatal(const freshet_kafka_transactor* transactor,
                                              freshet_error* error) {
  freshet_status status = freshet_kafka_client_fatal(&transactor->client, error);
  char text[CAUSE_SIZE];
  const char* cause = NULL;
  /* After a broker has died in the middle of a request, librdkafka 2.0.2 may send later records before it again. All
   * records are acknowledged before a commit is asked for, so this transaction has not been committed. */
  if (rd_kafka_fatal_error(transactor->client.handle, NULL, 0) ==
      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER)
    cause = "a broker has lost the order of the records of a transaction, and a new producer begins it again";
  else if (status == FRESHET_FENCED)
    cause = innocent_cause(transactor, text, sizeof text);
  if (cause == NULL) return status;
  freshet_error_clear(error);
  return freshet_error_set(error, FRESHET_ABORTED, FRESHET_RETRY, "%s", cause);
}

typedef rd_kafka_error_t* (*step_function)(rd_kafka_t* handle, const freshet_input_offsets* input,
                                           int within_ms);

static const struct {
  const char* name;
  step_function call;
} steps[] = {[FRESHET_STEP_INIT] = {"the coordinator of transactions", step_init},
             [FRESHET_STEP_BEGIN] = {"begin transaction", step_begin},
             [FRESHET_STEP_SEND_OFFSETS] = {"send offsets", step_send_offsets},
             [FRESHET_STEP_COMMIT] = {"commit transaction", step_commit},
             [FRESHET_STEP_ABORT] = {"abort transaction", step_abort}};

freshet_status freshet_kafka_transactor_take(freshet_kafka_transactor* transactor,
                                             freshet_transaction_step step,
                                             const freshet_input_offsets* input, freshet_error* error) {
  const char* name = steps[step].name;
  freshet_kafka_client* client = &transactor->client;
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, name);
  int64_t stopping_since_ms = 0;
  bool was_cut = false;
  for (int within_ms = STEP_FIRST_MS;; within_ms = within_ms * 2 < STEP_MS ? within_ms * 2 : STEP_MS) {
    const int64_t called_ms = freshet_monotonic_ms();
    rd_kafka_error_t* failure = steps[step].call(client->handle, input, was_cut ? AFTER_CUT_MS : within_ms);
    if (failure == NULL) {
      if (step == FRESHET_STEP_COMMIT) transactor->proven_ms = freshet_monotonic_ms();
      return FRESHET_OK;
    }
    rd_kafka_resp_err_t code = rd_kafka_error_code(failure);
    was_cut = step == FRESHET_STEP_COMMIT && code == RD_KAFKA_RESP_ERR__TIMED_OUT &&
              freshet_monotonic_ms() - called_ms < within_ms / 2;
    bool fatal = rd_kafka_error_is_fatal(failure), doomed = rd_kafka_error_txn_requires_abort(failure);
    bool again = rd_kafka_error_is_retriable(failure);
    freshet_kafka_client_trouble(client, code, rd_kafka_error_string(failure));
    rd_kafka_error_destroy(failure);
    if (fatal) return freshet_kafka_transactor_fatal(transactor, error);
    const bool is_of_commit = step == FRESHET_STEP_SEND_OFFSETS || step == FRESHET_STEP_COMMIT;
    if (is_of_commit && atomic_load(transactor->abandoned))
      return freshet_error_set(error, FRESHET_ABORTED, FRESHET_RETRY, "%s: abandoned", name);
    char right[FRESHET_KAFKA_RIGHT_SIZE];
    if (doomed && step != FRESHET_STEP_ABORT)
      return freshet_error_set(error, FRESHET_ABORTED, FRESHET_RETRY, "%s: %s%s", name,
                               rd_kafka_err2str(code),
                               freshet_kafka_right(client, code, "that it names", right));
    bool over =
        step == FRESHET_STEP_INIT
            ? freshet_kafka_wait_ended(client->config, wait.since_ms)
            : freshet_kafka_last_try_over(client->config, FRESHET_KAFKA_LAST_TRY_MS, &stopping_since_ms) ||
                  atomic_load(transactor->leaving);
    if (!again || over) {
      return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "%s: %s%s", name,
                               rd_kafka_err2str(code),
                               freshet_kafka_right(client, code, "that it names", right));
    }
    freshet_kafka_wait_tell(&wait, code);
    if (step == FRESHET_STEP_SEND_OFFSETS) {
      usleep(ROOM_MS * 1000); /* another thread serves the reports of the records */
    } else {
      rd_kafka_poll(client->handle, ROOM_MS);
    }
  }
}
