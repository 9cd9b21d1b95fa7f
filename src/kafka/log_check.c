/*
 * log_check.c: compares the record before a position with the mark that was kept of it.
 *
 * It owns one consumer, outside of the group, that fetches single records. librdkafka 2.0.2 shows neither the id of
 * a topic nor the epoch of a leader, so the records themselves have to tell. It must not end a process.
 */
#include "kafka/log_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kafka/questions.h"

enum { SLICE_MS = 50, RANGE_MS = 1500 };

/* How far a place is judged. A gap: the record of the mark is not there, though the log begins before it. */
typedef enum stage { JUDGED = 0, WAITING, GAP } stage;

struct freshet_log_check {
  freshet_kafka_config config;
  freshet_kafka_property* properties;
  freshet_kafka_client client;
  rd_kafka_queue_t* queue;
};

/* One record is wanted. A broker sends at least one batch, whatever the limit is. */
static const freshet_kafka_property small_fetches[] = {
    {"max.partition.fetch.bytes", "1024"}, {"queued.min.messages", "1"}, {"fetch.wait.max.ms", "10"}};
enum { SMALL_FETCHES = sizeof small_fetches / sizeof small_fetches[0] };

freshet_status freshet_log_check_create(const freshet_kafka_config* config, freshet_log_check** out,
                                        freshet_error* error) {
  freshet_log_check* check = calloc(1, sizeof *check);
  FRESHET_ASSERT(check != NULL);
  check->config = *config;
  check->config.instance_id = check->config.transactional_id = NULL;
  check->properties = calloc(config->property_count + SMALL_FETCHES, sizeof *check->properties);
  FRESHET_ASSERT(check->properties != NULL);
  for (size_t i = 0; i < config->property_count; i++) check->properties[i] = config->properties[i];
  for (size_t i = 0; i < SMALL_FETCHES; i++) check->properties[config->property_count + i] = small_fetches[i];
  check->config.properties = check->properties;
  check->config.property_count = config->property_count + SMALL_FETCHES;
  freshet_status status = freshet_kafka_client_open(&check->client, &check->config, FRESHET_KAFKA_READER,
                                                    (freshet_kafka_callbacks){0}, check, error);
  if (status != FRESHET_OK) {
    freshet_log_check_destroy(check);
    return status;
  }
  rd_kafka_poll_set_consumer(check->client.handle);
  check->client.polls_as_consumer = true;
  check->queue = rd_kafka_queue_get_consumer(check->client.handle);
  *out = check;
  return FRESHET_OK;
}

void freshet_log_check_destroy(freshet_log_check* check) {
  if (check == NULL) return;
  if (check->queue != NULL) rd_kafka_queue_destroy(check->queue);
  freshet_kafka_client_close(&check->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  free(check->properties);
  free(check);
}

static void time_text(int64_t time_ms, char out[24]) {
  time_t seconds = (time_t)(time_ms / 1000);
  struct tm parts;
  gmtime_r(&seconds, &parts);
  strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void is_other(freshet_log_place* place, const char* reason) {
  place->verdict = FRESHET_LOG_OTHER;
  snprintf(place->reason, sizeof place->reason, "%s", reason);
}

/* What the range alone tells. True: the record of the mark has to be looked at. */
static bool judge_range(freshet_log_check* check, freshet_log_place* place) {
  place->verdict = FRESHET_LOG_UNKNOWN;
  place->first = place->end = -1;
  if (freshet_kafka_client_range(&check->client, place->topic, place->partition, RANGE_MS, &place->first,
                                 &place->end) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return false;
  place->verdict = FRESHET_LOG_SAME;
  if (place->next < 0) return false;
  int64_t known = place->mark.offset < place->next ? place->next : place->mark.offset + 1;
  if (known < place->listed) known = place->listed;
  if (place->end < known) {
    char reason[sizeof place->reason];
    snprintf(reason, sizeof reason, "it ends at offset %" PRId64 ", but is known up to %" PRId64, place->end,
             known);
    is_other(place, reason);
    return false;
  }
  if (place->first > place->next) place->verdict = FRESHET_LOG_EXPIRED;
  bool has_mark = place->mark.offset >= place->first;
  if (has_mark) place->verdict = FRESHET_LOG_UNKNOWN;
  return has_mark;
}

/* Compaction may have taken the record from a topic that compacts. Nothing takes it from the middle of another one: there a
 * marker of a transaction has its offset now. */
static void judge_gap(freshet_log_check* check, const freshet_kafka_topic_info* topic,
                      freshet_log_place* place) {
  int64_t end;
  place->verdict = FRESHET_LOG_SAME;
  if (!topic->policy_known || topic->compacted) return;
  if (freshet_kafka_client_range(&check->client, place->topic, place->partition, RANGE_MS, &place->first,
                                 &end) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      place->first > place->mark.offset)
    return; /* it has expired meanwhile */
  char then[24], reason[sizeof place->reason];
  time_text(place->mark.time_ms, then);
  snprintf(reason, sizeof reason,
           "at offset %" PRId64
           " a record of %s was read, now there is none (if the topic was only "
           "compacted: `freshet offsets --shift-by 0 --execute`)",
           place->mark.offset, then);
  is_other(place, reason);
}

/* After all other answers, for it takes a client of its own. */
static void judge_gaps(freshet_log_check* check, freshet_log_place* places, size_t count,
                       const stage* stages) {
  freshet_kafka_topic_info info[FRESHET_TOPICS] = {{0}};
  bool is_asked = false;
  for (size_t i = 0; i < count; i++) {
    if (stages[i] != GAP) continue;
    if (!is_asked) freshet_kafka_topics_list(&check->config, info, NULL); /* fails: no policy is known */
    is_asked = true;
    judge_gap(check, &info[places[i].topic], &places[i]);
  }
}

/* The first record from the mark's offset on. */
static stage judge_record(freshet_log_place* place, const rd_kafka_message_t* message) {
  rd_kafka_timestamp_type_t type;
  freshet_slice key = {message->key, message->key_len}, value = {message->payload, message->len};
  freshet_mark found =
      freshet_mark_of(message->offset, rd_kafka_message_timestamp(message, &type), key, value);
  if (found.offset != place->mark.offset) return GAP;
  place->verdict = FRESHET_LOG_SAME;
  if (freshet_mark_equal(&found, &place->mark)) return JUDGED;
  char then[24], now[24], reason[sizeof place->reason];
  time_text(place->mark.time_ms, then);
  time_text(found.time_ms, now);
  snprintf(reason, sizeof reason,
           "the record at offset %" PRId64 " is another one: that of %s was read, now there is one of %s",
           found.offset, then, now);
  is_other(place, reason);
  return JUDGED;
}

bool freshet_log_check_is_answer(const rd_kafka_message_t* message, int64_t offset) {
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) return message->offset > offset;
  return message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset >= offset;
}

static stage judge_answer(freshet_log_place* place, const rd_kafka_message_t* message) {
  const bool only_markers_are_left = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
  return only_markers_are_left ? GAP : judge_record(place, message);
}

static freshet_log_place* place_of(const freshet_log_check* check, freshet_log_place* places, size_t count,
                                   const rd_kafka_message_t* message) {
  freshet_topic topic = freshet_kafka_client_topic(&check->client, message->rkt);
  for (size_t i = 0; i < count; i++) {
    if (places[i].topic == topic && places[i].partition == message->partition) return &places[i];
  }
  return NULL;
}

/* Takes an answer; counts down `left` when a place has got it. False: none came. A batch brings records that nobody
 * waits for, too: they are answers to no place. */
static bool take_record(freshet_log_check* check, freshet_log_place* places, size_t count, stage* stages,
                        size_t* left) {
  rd_kafka_message_t* message = NULL;
  if (rd_kafka_consume_batch_queue(check->queue, SLICE_MS, &message, 1) != 1) return false;
  freshet_log_place* place = message->rkt == NULL ? NULL : place_of(check, places, count, message);
  if (place != NULL && stages[place - places] == WAITING &&
      freshet_log_check_is_answer(message, place->mark.offset)) {
    stages[place - places] = judge_answer(place, message);
    --*left;
  }
  rd_kafka_message_destroy(message);
  return true;
}

/* A thread of librdkafka 2.0.2 that has slept may not notice for a second that there is something to fetch. A question
 * to the same broker wakes it. */
static void wake_leader(const freshet_log_check* check, const freshet_log_place* places,
                        const stage* stages) {
  int64_t first, end;
  while (*stages != WAITING) places++, stages++;
  freshet_kafka_client_range(&check->client, places->topic, places->partition, SLICE_MS, &first, &end);
}

void freshet_log_check_places(freshet_log_check* check, freshet_log_place* places, size_t count,
                              int timeout_ms) {
  int64_t deadline_ms = freshet_monotonic_ms() + timeout_ms;
  stage* stages = calloc(count + 1, sizeof *stages);
  FRESHET_ASSERT(stages != NULL);
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new((int)count);
  size_t left = 0;
  freshet_kafka_client_refresh(&check->client);
  for (size_t i = 0; i < count; i++) {
    if (freshet_monotonic_ms() >= deadline_ms || !judge_range(check, &places[i])) continue;
    stages[i] = WAITING;
    left++;
    rd_kafka_topic_partition_list_add(list, check->config.topics[places[i].topic], places[i].partition)
        ->offset = places[i].mark.offset;
  }
  if (left > 0) rd_kafka_assign(check->client.handle, list);
  while (left > 0 && freshet_monotonic_ms() < deadline_ms) {
    if (!take_record(check, places, count, stages, &left)) wake_leader(check, places, stages);
  }
  if (list->cnt > 0) rd_kafka_assign(check->client.handle, NULL);
  rd_kafka_topic_partition_list_destroy(list);
  judge_gaps(check, places, count, stages);
  free(stages);
}

int32_t freshet_log_check_partitions(freshet_log_check* check, freshet_topic topic, int timeout_ms) {
  int32_t count = 0;
  if (check->config.topics[topic] == NULL ||
      freshet_kafka_client_partitions(&check->client, topic, timeout_ms, &count) !=
          RD_KAFKA_RESP_ERR_NO_ERROR)
    return 0;
  return count;
}

freshet_status freshet_log_check_refuse(const freshet_log_check* check, const freshet_log_place* place,
                                        freshet_error* error) {
  const bool is_state = place->topic == FRESHET_TOPIC_USERS;
  return freshet_error_set(
      error, FRESHET_CONFLICT, FRESHET_STOP,
      "topic %s [%d] is not the log that was %s (deleted and made again, or truncated): %s; choose: %s",
      check->config.topics[place->topic], (int)place->partition, is_state ? "written" : "read", place->reason,
      is_state
          ? "remove the state folder to go on with what the topic has, or `freshet offsets --start-over` "
            "(and remove the folder) to learn `events` from its beginning; until then the folder may hold "
            "the only copy"
          : "`freshet offsets --accept-new-log` reads the new log from its beginning and keeps what is "
            "known, `freshet offsets --start-over` forgets the state");
}
