/*
 * backfill_promote.c: `freshet backfill promote`: makes another app generation serve, waits until each
 * partition is handed over, and lets go for instances that are dead. It owns nothing; the facts live in
 * backfill_facts.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "commands/backfill/backfill.h"
#include "commands/scan.h"
#include "kafka/app_generations.h"
#include "stream/clock.h"

enum { POLL_MS = 20, LOOK_MS = 500, CAUGHT_UP_MS = 5000, RETRY_MS = 200, STALL_MS = 30000 };

static int64_t now_ms(void) {
  freshet_clock* clock = freshet_clock_system();
  return freshet_clock_monotonic_us(clock) / 1000;
}

/* A generation that has learned, within a few seconds, everything that existed at their beginning keeps up
 * with any rate. */
static freshet_status check_caught_up(freshet_backfill* backfill, const char* generation,
                                      freshet_error* error) {
  freshet_backfill_place begun, place;
  int64_t deadline_ms = now_ms() + CAUGHT_UP_MS;
  freshet_status status = freshet_backfill_find(backfill, generation, &begun, error);
  if (status != FRESHET_OK) return status;
  if (begun.members == 0)
    return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP,
                             "no process of generation %s is running; start it and let it catch up",
                             generation);
  place = begun;
  while (status == FRESHET_OK && place.learned < begun.total && now_ms() < deadline_ms)
    status = freshet_backfill_find(backfill, generation, &place, error);
  if (status != FRESHET_OK || place.learned >= begun.total) return status;
  return freshet_error_set(
      error, FRESHET_INVALID, FRESHET_STOP,
      "generation %s has not caught up: %lld of %lld events are not learned yet; `freshet "
      "backfill status` tells how long it will take",
      generation, (long long)place.behind, (long long)place.total);
}

static freshet_status check_live(freshet_backfill* backfill, bool without_live, freshet_error* error) {
  const char* live = freshet_serving_generation(&backfill->facts);
  size_t members;
  freshet_status status = freshet_kafka_generation_members(&backfill->kafka, live, &members, error);
  if (status != FRESHET_OK || members > 0 || without_live) return status;
  return freshet_error_set(
      error, FRESHET_UNAVAILABLE, FRESHET_STOP,
      "no process of generation %s, which serves, is running: it cannot let go by itself; "
      "start it, or let go in its place with --without-live",
      live);
}

static bool is_carried_out(const freshet_backfill* backfill, int32_t* released, int32_t* taken) {
  *released = *taken = 0;
  for (int32_t p = 0; p < backfill->partitions; p++) {
    freshet_serving_partition facts = freshet_serving_of(&backfill->facts, p);
    *released += facts.released == backfill->facts.number;
    *taken += facts.taken == backfill->facts.number;
  }
  return *taken == backfill->partitions;
}

typedef struct last_event {
  freshet_backfill* backfill;
  int32_t partition;
  int64_t end; /* the offset after it */
} last_event;

static freshet_status look_at(void* context, const freshet_record* record, freshet_error* error) {
  last_event* last = context;
  if (record->topic == FRESHET_TOPIC_APP_GENERATIONS)
    return freshet_serving_apply(&last->backfill->facts, last->backfill->codec, record, error);
  if (record->partition == last->partition) last->end = record->offset + 1;
  return FRESHET_OK;
}

/* The offset after the last event, or `from` when there is none. Transaction markers after it cannot be
 * learned. */
static freshet_status find_last(freshet_backfill* backfill, int32_t partition, int64_t from, int64_t* last,
                                freshet_error* error) {
  freshet_reader* log = backfill->log;
  int64_t first, end;
  *last = from;
  freshet_status status = freshet_reader_range(log, FRESHET_TOPIC_EVENTS, partition, &first, &end, error);
  if (status != FRESHET_OK) return status;
  last_event found = {backfill, partition, from < first ? first : from};
  const freshet_scan scan = {.reader = log,
                             .topic = FRESHET_TOPIC_EVENTS,
                             .name = backfill->kafka.topics[FRESHET_TOPIC_EVENTS],
                             .partition = partition,
                             .from = from,
                             .to = FRESHET_SCAN_TO_END,
                             .take = look_at,
                             .context = &found};
  status = freshet_scan_partition(&scan, error);
  *last = found.end;
  return status;
}

/* The generation that has to let go has no process any more: its group is empty, so its session time-out has
 * passed. Or the operator says so; then processes that may be left are fenced first. */
static freshet_status has_ended(freshet_backfill* backfill, const char* dead, bool without_live, bool* ended,
                                freshet_error* error) {
  size_t members;
  freshet_status status = freshet_kafka_generation_members(&backfill->kafka, dead, &members, error);
  *ended = status == FRESHET_OK && members == 0;
  if (status != FRESHET_OK || *ended || !without_live) return status;
  status = freshet_kafka_generation_fence(&backfill->kafka, dead, ended, error);
  if (status == FRESHET_OK) status = freshet_backfill_catch_up(backfill, error);
  return status;
}

/* What the dead has answered of the requests of each partition, by what it has committed. Before the releases: a worker
 * that knows of one has to know where requests go on. */
static freshet_status say_what_is_answered(freshet_backfill* backfill, const char* dead,
                                           freshet_error* error) {
  size_t count = 0;
  int64_t* offsets = calloc((size_t)backfill->partitions, sizeof *offsets);
  freshet_app_generation_fact* facts = calloc((size_t)backfill->partitions, sizeof *facts);
  FRESHET_ASSERT(offsets != NULL && facts != NULL);
  /* An application may have no topic `requests`. */
  bool has_requests = freshet_kafka_generation_offsets(&backfill->kafka, dead, FRESHET_TOPIC_REQUESTS,
                                                       backfill->partitions, offsets, NULL) == FRESHET_OK;
  freshet_status status = FRESHET_OK;
  for (int32_t p = 0; has_requests && p < backfill->partitions; p++) {
    bool is_released = freshet_serving_of(&backfill->facts, p).released == backfill->facts.number;
    if (is_released || offsets[p] < 0) continue; /* it has read none */
    if (freshet_serving_answered(&backfill->facts, dead, p, offsets[p], &facts[count])) count++;
  }
  if (status == FRESHET_OK && count > 0)
    status = freshet_backfill_write(backfill, FRESHET_SERVING_REQUESTS, facts, count, false, error);
  free(offsets);
  free(facts);
  return status;
}

static freshet_status let_go_for_the_dead(freshet_backfill* backfill, bool without_live,
                                          freshet_error* error) {
  size_t count = 0;
  bool ended;
  const char* dead = backfill->facts.previous;
  freshet_status status = has_ended(backfill, dead, without_live, &ended, error);
  if (status != FRESHET_OK || !ended) return status;
  int64_t* offsets = calloc((size_t)backfill->partitions, sizeof *offsets);
  freshet_app_generation_fact* facts = calloc((size_t)backfill->partitions, sizeof *facts);
  FRESHET_ASSERT(offsets != NULL && facts != NULL);
  status = freshet_kafka_generation_offsets(&backfill->kafka, dead, FRESHET_TOPIC_EVENTS,
                                            backfill->partitions, offsets, error);
  for (int32_t p = 0; status == FRESHET_OK && p < backfill->partitions; p++) {
    int64_t last, learned = offsets[p] < 0 ? 0 : offsets[p];
    if (freshet_serving_of(&backfill->facts, p).released == backfill->facts.number) continue;
    status = find_last(backfill, p, learned, &last, error);
    facts[count++] = freshet_serving_release(&backfill->facts, dead, p, last, learned);
  }
  if (status == FRESHET_OK && count > 0) status = say_what_is_answered(backfill, dead, error);
  if (status == FRESHET_OK && count > 0) {
    status = freshet_backfill_write(backfill, FRESHET_SERVING_RELEASED, facts, count, false, error);
    if (status == FRESHET_OK)
      printf("nobody of %s is left: %zu partitions released in its place\n", dead, count);
  }
  free(offsets);
  free(facts);
  return status;
}

/* Follows the switch until every partition has been taken over. */
static freshet_status follow(freshet_backfill* backfill, int wait_s, bool without_live,
                             freshet_error* error) {
  int64_t begun_ms = now_ms(), next_look_ms = begun_ms + LOOK_MS, all_released_ms = -1;
  int32_t released, taken;
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && !is_carried_out(backfill, &released, &taken)) {
    if (released == backfill->partitions && all_released_ms < 0) all_released_ms = now_ms();
    if (now_ms() - begun_ms > (int64_t)wait_s * 1000) {
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                               "switch %lld is made, but after %d s %s has let go of %d and %s has taken "
                               "over %d of %d partitions; give "
                               "the same command again to go on waiting, or roll back",
                               (long long)backfill->facts.number, wait_s, backfill->facts.previous,
                               (int)released, backfill->facts.generation, (int)taken,
                               (int)backfill->partitions);
    }
    status = freshet_backfill_poll(backfill, POLL_MS, error);
    if (status == FRESHET_OK && now_ms() >= next_look_ms && released < backfill->partitions) {
      status = let_go_for_the_dead(backfill, without_live, error);
      next_look_ms = now_ms() + LOOK_MS;
    }
  }
  if (status != FRESHET_OK) return status;
  if (all_released_ms < 0) all_released_ms = now_ms();
  printf(
      "switch %lld: %s serves instead of %s; %d partitions let go within %lld ms, taken over within %lld "
      "ms\n",
      (long long)backfill->facts.number, backfill->facts.generation, backfill->facts.previous,
      (int)backfill->partitions, (long long)(all_released_ms - begun_ms), (long long)(now_ms() - begun_ms));
  return FRESHET_OK;
}

static freshet_status make_switch(freshet_backfill* backfill, const char* generation, freshet_error* error) {
  int64_t number = backfill->facts.number + 1, deadline_ms = now_ms() + STALL_MS;
  freshet_app_generation_fact fact = freshet_serving_switch(&backfill->facts, generation);
  freshet_status status = freshet_backfill_write(backfill, FRESHET_SERVING_SWITCH, &fact, 1, false, error);
  while (status == FRESHET_OK && backfill->facts.number < number) {
    if (now_ms() > deadline_ms)
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                               "the switch was written and cannot be read");
    status = freshet_backfill_poll(backfill, POLL_MS, error);
  }
  return status;
}

freshet_status freshet_backfill_promote(freshet_backfill* backfill, const char* generation, int wait_s,
                                        bool without_live, freshet_error* error) {
  int32_t released, taken;
  bool carried_out = is_carried_out(backfill, &released, &taken);
  if (!freshet_backfill_knows(backfill, generation)) {
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                             "there is no generation %s of %s; `freshet backfill status` lists them",
                             generation, backfill->config->app.base);
  }
  if (strcmp(freshet_serving_generation(&backfill->facts), generation) == 0) {
    if (!carried_out) return follow(backfill, wait_s, without_live, error);
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "generation %s serves already, since switch %lld", generation,
                             (long long)backfill->facts.number);
  }
  if (!carried_out && strcmp(backfill->facts.previous, generation) != 0) {
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "switch %lld to %s is not carried out yet; promote %s again to go on, or roll back",
        (long long)backfill->facts.number, backfill->facts.generation, backfill->facts.generation);
  }
  freshet_status status = check_live(backfill, without_live, error);
  if (status == FRESHET_OK) status = check_caught_up(backfill, generation, error);
  if (status == FRESHET_OK) status = make_switch(backfill, generation, error);
  if (status == FRESHET_OK) status = follow(backfill, wait_s, without_live, error);
  return status;
}
