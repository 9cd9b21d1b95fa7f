/*
 * handover.c: carries out switches between app generations, partition by partition: lets go, waits, takes
 * over. It owns nothing; the facts are in stream/serving.h. It must not decide who serves.
 */
#include "stream/read_to.h"
#include "users/user_id.h"
#include "worker/worker_internal.h"

enum { READ_WAIT_MS = 20, STALL_MS = 30000 };

static int64_t next_of(const freshet_held_partition* held) {
  return held->next < 0 ? 0 : held->next;
}

static bool must_release(const freshet_worker* worker, const freshet_held_partition* held) {
  return held->releasing < worker->serving.number &&
         freshet_serving_must_release(&worker->serving, held->partition);
}

/* Every user has a list of ours, and nobody has been told yet. */
static bool has_taken(const freshet_worker* worker, const freshet_held_partition* held) {
  int64_t number = worker->serving.number;
  return number > 0 && held->taking == number && held->taken < number && held->to_take == 0;
}

/* ---- taking over ---- */

static freshet_status erase_if_gone(freshet_worker* worker, const freshet_record* record,
                                    freshet_error* error) {
  bool is_erasure = !record->has_value && record->has_key && freshet_is_user_id(record->key);
  freshet_user_row* row;
  if (!is_erasure) return FRESHET_OK;
  freshet_status status = freshet_users_get(worker->users, record->partition, record->key, &row, error);
  if (status != FRESHET_OK || row->exists) return status;
  freshet_output tombstone = {.topic = FRESHET_TOPIC_RECOMMENDATIONS, .partition = -1, .key = record->key};
  return freshet_outbox_add(worker->ports.outbox, &tombstone, FRESHET_BY_DELIVERY, error);
}

typedef struct erasing {
  freshet_worker* worker;
  int64_t end; /* records from here on will be applied in their turn */
} erasing;

static freshet_status erase_gone(void* context, const freshet_record* records, size_t count,
                                 freshet_error* error) {
  const erasing* e = context;
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count && records[i].offset < e->end; i++)
    status = erase_if_gone(e->worker, &records[i], error);
  return status;
}

/* Users that were erased between what the generation before had learned and what this one has. Their tombstones
 * went to our shadow topic, and nothing is left of them in the state, but the log still knows them. */
static freshet_status erase_again(freshet_worker* worker, const freshet_held_partition* held, int64_t from,
                                  freshet_error* error) {
  freshet_reader* reader = worker->ports.changelog;
  erasing context = {worker, next_of(held)};
  int64_t first, end;
  freshet_status status =
      freshet_reader_range(reader, FRESHET_TOPIC_EVENTS, held->partition, &first, &end, error);
  if (from < first) from = first;
  if (status != FRESHET_OK || from >= next_of(held)) return status;
  status = freshet_reader_open(reader, FRESHET_TOPIC_EVENTS, held->partition, from, error);
  const freshet_reading reading = {.reader = reader,
                                   .clock = worker->ports.clock,
                                   .logger = worker->ports.logger,
                                   .stop = worker->ports.stop,
                                   .name = "taking over",
                                   .wait_ms = READ_WAIT_MS,
                                   .stall_ms = STALL_MS,
                                   .records = worker->records, /* the batch has been applied */
                                   .capacity = BATCH_RECORDS,
                                   .apply = erase_gone,
                                   .context = &context};
  const freshet_partition target = {FRESHET_TOPIC_EVENTS, held->partition, next_of(held)};
  if (status == FRESHET_OK) status = freshet_read_to(&reading, &target, 1, error);
  freshet_status shut =
      freshet_reader_shut(reader, FRESHET_TOPIC_EVENTS, held->partition, status == FRESHET_OK ? error : NULL);
  return status == FRESHET_OK ? shut : status;
}

/* Requests that the generation before has not answered are ours. We have let them pass, or have not come to them. */
static freshet_status answer_again(freshet_worker* worker, int32_t partition, freshet_error* error) {
  freshet_held_partition* requests = freshet_held_find(worker->held, FRESHET_TOPIC_REQUESTS, partition);
  int64_t next = freshet_serving_next_request(&worker->serving, partition);
  if (requests == NULL || next < 0) return FRESHET_OK;
  freshet_answers_forget(worker->answers, partition);
  freshet_held_rewind(requests, next);
  const freshet_partition target = {FRESHET_TOPIC_REQUESTS, partition, next};
  return freshet_source_seek(worker->ports.source, &target, 1, error);
}

static freshet_status take(freshet_worker* worker, freshet_held_partition* held, freshet_error* error) {
  freshet_serving_partition facts = freshet_serving_of(&worker->serving, held->partition);
  freshet_log_fact(worker->ports.logger, FRESHET_INFO, "generation.taking",
                   "switch=%lld partition=%d released_at=%lld learned_to=%lld",
                   (long long)worker->serving.number, held->partition, (long long)facts.offset,
                   (long long)next_of(held));
  held->taking = worker->serving.number;
  freshet_status status = erase_again(worker, held, facts.learned, error);
  if (status == FRESHET_OK) status = answer_again(worker, held->partition, error);
  return status == FRESHET_OK ? freshet_refresh_take_over(worker->refresh, held, error) : status;
}

static void show(freshet_worker* worker) {
  freshet_worker_metrics* metrics = worker->ports.metrics;
  uint64_t serving = 0;
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    serving += freshet_held_list_topic(worker->held, held->partition) == FRESHET_TOPIC_RECOMMENDATIONS;
  }
  freshet_gauge(&metrics->partitions_serving, serving);
  freshet_gauge(&metrics->generation_switches, (uint64_t)worker->serving.number);
}

freshet_status freshet_worker_hand_over(freshet_worker* worker, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    if (status != FRESHET_OK) return status;
    bool begins = held->taking < worker->serving.number &&
                  freshet_serving_may_take(&worker->serving, held->partition, next_of(held));
    if (begins) status = take(worker, held, error);
  }
  if (status != FRESHET_OK) return status;
  if (freshet_worker_hands_over(worker)) worker->next_commit_us = 0; /* somebody waits for it */
  show(worker);
  return FRESHET_OK;
}

/* ---- in the transaction ---- */

bool freshet_worker_hands_over(freshet_worker* worker) {
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    if (must_release(worker, held) || has_taken(worker, held)) return true;
  }
  return false;
}

static freshet_status write_fact(freshet_worker* worker, freshet_serving_key kind,
                                 freshet_app_generation_fact* fact, freshet_error* error) {
  char key[FRESHET_SERVING_KEY_SIZE];
  freshet_buffer bytes = {0};
  freshet_output output;
  fact->at_ms = freshet_clock_now_ms(worker->ports.clock);
  freshet_status status =
      freshet_serving_record(worker->ports.codec, kind, fact, false, key, &bytes, &output, error);
  if (status == FRESHET_OK)
    status = freshet_outbox_add(worker->ports.outbox, &output, FRESHET_IN_TRANSACTION, error);
  freshet_buffer_free(&bytes);
  if (kind == FRESHET_SERVING_REQUESTS) return status;
  freshet_log_fact(worker->ports.logger, FRESHET_INFO,
                   kind == FRESHET_SERVING_RELEASED ? "generation.released" : "generation.taken",
                   "switch=%lld partition=%lld offset=%lld", (long long)fact->number,
                   (long long)fact->partition, (long long)fact->offset);
  return status;
}

/* Says up to where requests of the partition are answered, which the same transaction commits. The others are the
 * next generation's, those that wait for their answer here too. */
static freshet_status release_requests(freshet_worker* worker, int32_t partition, freshet_error* error) {
  const freshet_held_partition* requests = freshet_held_find(worker->held, FRESHET_TOPIC_REQUESTS, partition);
  if (requests == NULL) return FRESHET_OK;
  int64_t answered = freshet_answers_position(worker->answers, partition, next_of(requests));
  freshet_app_generation_fact fact;
  freshet_answers_forget(worker->answers, partition);
  if (!freshet_serving_answered(&worker->serving, worker->serving.own, partition, answered, &fact))
    return FRESHET_OK;
  return write_fact(worker, FRESHET_SERVING_REQUESTS, &fact, error);
}

/* The offset in a release is the one that the same transaction commits for the partition; only a member of
 * the group can commit it. */
freshet_status freshet_worker_write_hand_over(freshet_worker* worker, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  const freshet_serving* serving = &worker->serving;
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    if (status != FRESHET_OK) return status;
    if (must_release(worker, held)) {
      freshet_app_generation_fact fact =
          freshet_serving_release(serving, serving->own, held->partition, next_of(held), next_of(held));
      /* Requests first: a worker that knows of the release has to know where requests go on. */
      status = release_requests(worker, held->partition, error);
      held->releasing = serving->number;
      if (status == FRESHET_OK) status = write_fact(worker, FRESHET_SERVING_RELEASED, &fact, error);
    } else if (has_taken(worker, held)) {
      freshet_app_generation_fact fact = freshet_serving_take(serving, held->partition);
      held->taken = serving->number;
      status = write_fact(worker, FRESHET_SERVING_TAKEN, &fact, error);
    }
  }
  return status;
}
