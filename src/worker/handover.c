/*
 * handover.c: carries out switches between app generations, partition by partition: lets go, waits, takes
 * over. It owns nothing; the facts are in stream/serving.h. It must not decide who serves.
 */
#include "worker/handover.h"

#include <stdlib.h>

#include "stream/read_to.h"
#include "users/user_id.h"

enum { READ_RECORDS = 1024, READ_WAIT_MS = 20, STALL_MS = 30000 };

static int64_t next_of(const freshet_held_partition* held) {
  return held->next < 0 ? 0 : held->next;
}

/* A replay ends first: its lists are out already, so the generation that follows must not begin before their end. */
static bool must_release(const freshet_handover* handover, const freshet_held_partition* held) {
  return held->releasing < handover->serving->number && !freshet_held_is_replaying(held) &&
         freshet_serving_must_release(handover->serving, held->partition);
}

/* Every user has a list of ours, and the log does not say so yet. */
static bool has_taken(const freshet_handover* handover, const freshet_held_partition* held) {
  int64_t number = handover->serving->number;
  return number > 0 && held->taking == number && held->taken < number && held->to_take == 0;
}

/* ---- taking over ---- */

static freshet_status erase_if_gone(const freshet_handover* handover, const freshet_record* record,
                                    freshet_error* error) {
  bool is_erasure = !record->has_value && record->has_key && freshet_is_user_id(record->key);
  freshet_user_row* row;
  if (!is_erasure) return FRESHET_OK;
  freshet_status status =
      freshet_users_get(handover->derived->users, record->partition, record->key, &row, error);
  if (status != FRESHET_OK || row->exists) return status;
  const freshet_output tombstone = {
      .topic = FRESHET_TOPIC_RECOMMENDATIONS, .partition = -1, .key = record->key};
  return freshet_outbox_add(handover->ports->outbox, &tombstone, FRESHET_BY_DELIVERY, error);
}

typedef struct erasing {
  const freshet_handover* handover;
  int64_t end; /* records from here on will be applied in their turn */
} erasing;

static freshet_status erase_gone(void* context, const freshet_record* records, size_t count,
                                 freshet_error* error) {
  const erasing* e = context;
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count && records[i].offset < e->end; i++)
    status = erase_if_gone(e->handover, &records[i], error);
  return status;
}

static freshet_status read_erasures(const freshet_handover* handover, const freshet_partition* target,
                                    freshet_error* error) {
  freshet_record* records = calloc(READ_RECORDS, sizeof *records);
  FRESHET_ASSERT(records != NULL);
  erasing context = {handover, target->offset};
  const freshet_reading reading = {.reader = handover->ports->changelog,
                                   .clock = handover->ports->clock,
                                   .logger = handover->ports->logger,
                                   .stop = handover->ports->stop,
                                   .name = "taking over",
                                   .wait_ms = READ_WAIT_MS,
                                   .stall_ms = STALL_MS,
                                   .records = records,
                                   .capacity = READ_RECORDS,
                                   .apply = erase_gone,
                                   .context = &context};
  freshet_status status = freshet_read_to(&reading, target, 1, error);
  free(records);
  return status;
}

/* Users that were erased between what the generation before had learned and what this one has. Their tombstones
 * went to our shadow topic, and nothing is left of them in the state, but the log still knows them. */
static freshet_status erase_again(const freshet_handover* handover, const freshet_held_partition* held,
                                  int64_t from, freshet_error* error) {
  freshet_reader* reader = handover->ports->changelog;
  const freshet_partition target = {
      .topic = FRESHET_TOPIC_EVENTS, .partition = held->partition, .offset = next_of(held)};
  int64_t first, end;
  freshet_status status =
      freshet_reader_range(reader, FRESHET_TOPIC_EVENTS, held->partition, &first, &end, error);
  if (from < first) from = first;
  if (status != FRESHET_OK || from >= target.offset) return status;
  status = freshet_reader_open(reader, FRESHET_TOPIC_EVENTS, held->partition, from, error);
  if (status == FRESHET_OK) status = read_erasures(handover, &target, error);
  freshet_status shut =
      freshet_reader_shut(reader, FRESHET_TOPIC_EVENTS, held->partition, status == FRESHET_OK ? error : NULL);
  if (status == FRESHET_OK) status = shut;
  return status;
}

/* Requests that the generation before has not answered are ours. We have let them pass, or have not come to them. */
static freshet_status answer_again(const freshet_handover* handover, int32_t partition,
                                   freshet_error* error) {
  freshet_held_partition* requests = freshet_held_find(handover->held, FRESHET_TOPIC_REQUESTS, partition);
  int64_t next = freshet_serving_next_request(handover->serving, partition);
  if (requests == NULL || next < 0) return FRESHET_OK;
  freshet_answers_forget(handover->derived->answers, partition);
  freshet_held_rewind(requests, next);
  const freshet_partition target = {.topic = FRESHET_TOPIC_REQUESTS, .partition = partition, .offset = next};
  return freshet_source_seek(handover->ports->source, &target, 1, error);
}

static freshet_status take(const freshet_handover* handover, freshet_held_partition* held,
                           freshet_error* error) {
  freshet_serving_partition facts = freshet_serving_of(handover->serving, held->partition);
  freshet_log_fact(handover->ports->logger, FRESHET_INFO, "generation.taking",
                   "switch=%lld partition=%d released_at=%lld learned_to=%lld",
                   (long long)handover->serving->number, held->partition, (long long)facts.offset,
                   (long long)next_of(held));
  held->taking = handover->serving->number;
  freshet_status status = erase_again(handover, held, facts.learned, error);
  if (status == FRESHET_OK) status = answer_again(handover, held->partition, error);
  if (status == FRESHET_OK) freshet_refresh_take_over(handover->derived->refresh, held);
  return status;
}

static void show(const freshet_handover* handover) {
  freshet_worker_metrics* metrics = handover->ports->metrics;
  uint64_t serving = 0;
  FRESHET_HELD_EACH(held, handover->held, FRESHET_TOPIC_EVENTS) {
    serving += freshet_held_list_topic(handover->held, held->partition) == FRESHET_TOPIC_RECOMMENDATIONS;
  }
  freshet_gauge(&metrics->partitions_serving, serving);
  freshet_gauge(&metrics->generation_switches, (uint64_t)handover->serving->number);
}

freshet_status freshet_handover_turn(const freshet_handover* handover, freshet_error* error) {
  const freshet_serving* serving = handover->serving;
  FRESHET_HELD_EACH(held, handover->held, FRESHET_TOPIC_EVENTS) {
    /* Lists of a replay may be out already, of an earlier turn of this generation: so older ones are not made. */
    bool begins = held->taking < serving->number && !freshet_held_is_replaying(held) &&
                  freshet_serving_may_take(serving, held->partition, next_of(held));
    freshet_status status = begins ? take(handover, held, error) : FRESHET_OK;
    if (status != FRESHET_OK) return status;
  }
  show(handover);
  return FRESHET_OK;
}

/* ---- in the transaction ---- */

bool freshet_handover_due(const freshet_handover* handover) {
  FRESHET_HELD_EACH(held, handover->held, FRESHET_TOPIC_EVENTS) {
    if (must_release(handover, held) || has_taken(handover, held) ||
        freshet_serving_is_hidden(handover->serving, held->partition))
      return true;
  }
  return false;
}

static freshet_status write_fact(const freshet_handover* handover, freshet_serving_key kind,
                                 freshet_app_generation_fact* fact, freshet_error* error) {
  const freshet_ports* ports = handover->ports;
  char key[FRESHET_SERVING_KEY_SIZE];
  freshet_buffer bytes = {0};
  freshet_output output;
  fact->at_ms = freshet_clock_now_ms(ports->clock);
  freshet_status status =
      freshet_serving_record(ports->codec, kind, fact, false, key, &bytes, &output, error);
  if (status == FRESHET_OK)
    status = freshet_outbox_add(ports->outbox, &output, FRESHET_IN_TRANSACTION, error);
  freshet_buffer_free(&bytes);
  if (kind == FRESHET_SERVING_REQUESTS) return status;
  freshet_log_fact(ports->logger, FRESHET_INFO,
                   kind == FRESHET_SERVING_RELEASED ? "generation.released" : "generation.taken",
                   "switch=%lld partition=%lld offset=%lld", (long long)fact->number,
                   (long long)fact->partition, (long long)fact->offset);
  return status;
}

/* The fact says up to where requests of the partition are answered. The next generation answers all later ones, also
 * those that wait for their answer here. The same transaction commits how far this generation has read. */
static freshet_status release_requests(const freshet_handover* handover, int32_t partition,
                                       freshet_error* error) {
  const freshet_held_partition* requests =
      freshet_held_find(handover->held, FRESHET_TOPIC_REQUESTS, partition);
  freshet_answers* answers = handover->derived->answers;
  if (requests == NULL) return FRESHET_OK;
  int64_t answered = freshet_answers_position(answers, partition, next_of(requests));
  freshet_app_generation_fact fact;
  freshet_answers_forget(answers, partition);
  if (!freshet_serving_answered(handover->serving, handover->serving->own, partition, answered, &fact))
    return FRESHET_OK;
  freshet_status status = write_fact(handover, FRESHET_SERVING_REQUESTS, &fact, error);
  if (status == FRESHET_OK) freshet_serving_note_answered(handover->serving, &fact);
  return status;
}

/* Else a compacted topic loses them, and the next generation waits for them for ever. */
static freshet_status release_again(const freshet_handover* handover, int32_t partition,
                                    freshet_error* error) {
  freshet_app_generation_fact requests = freshet_serving_answered_again(handover->serving, partition);
  freshet_app_generation_fact fact = freshet_serving_release_again(handover->serving, partition);
  freshet_status status = FRESHET_OK;
  if (requests.number > 0) status = write_fact(handover, FRESHET_SERVING_REQUESTS, &requests, error);
  if (status == FRESHET_OK) status = write_fact(handover, FRESHET_SERVING_RELEASED, &fact, error);
  return status;
}

freshet_status freshet_handover_write(const freshet_handover* handover, freshet_error* error) {
  const freshet_serving* serving = handover->serving;
  freshet_status status = FRESHET_OK;
  FRESHET_HELD_EACH(held, handover->held, FRESHET_TOPIC_EVENTS) {
    if (status != FRESHET_OK) return status;
    if (must_release(handover, held)) {
      freshet_app_generation_fact fact =
          freshet_serving_release(serving, serving->own, held->partition, next_of(held), next_of(held));
      held->releasing = serving->number;
      /* Requests first: a worker that knows of the release has to know where requests go on. */
      status = release_requests(handover, held->partition, error);
      if (status == FRESHET_OK) status = write_fact(handover, FRESHET_SERVING_RELEASED, &fact, error);
    } else if (has_taken(handover, held)) {
      freshet_app_generation_fact fact = freshet_serving_take(serving, held->partition);
      held->taken = serving->number;
      status = write_fact(handover, FRESHET_SERVING_TAKEN, &fact, error);
    } else if (freshet_serving_is_hidden(serving, held->partition)) {
      status = release_again(handover, held->partition, error);
    }
  }
  return status;
}
