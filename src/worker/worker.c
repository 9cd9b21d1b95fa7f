/*
 * worker.c: the loop: one turn polls, applies, publishes, answers, and lets the state clock turn. It owns
 * the parts of the worker and their order. What each of them does it leaves to them.
 */
#include "worker/worker.h"

#include <stdlib.h>

#include "worker/awaited_schemas.h"
#include "worker/batch.h"
#include "worker/commit.h"
#include "worker/derived.h"
#include "worker/erasures.h"
#include "worker/foreign_events.h"
#include "worker/handover.h"
#include "worker/partitions.h"
#include "worker/pause.h"
#include "worker/spare.h"
#include "worker/texts_first.h"
#include "worker/turn.h"

enum {
  BATCH_RECORDS = FRESHET_BATCH_MOST,
  OUTCOME_POLL_MS = 5,
  COLLECT_MS = 2,
  ALIKE_US = 1000000,
  NEAR_US = 10000,   /* so long may a turn take in which a commit falls due */
  NEAR_PART = 10,    /* or such a part of the time between two commits */
  QUIET_US = 100000, /* without records: then a list that has to wait for an asker is rare */
  SECOND_US = 1000000
};

struct freshet_worker {
  freshet_stream_config config;
  freshet_ports ports;
  freshet_rules rules; /* config.rules points here */
  freshet_serving serving;
  freshet_held* held;
  freshet_derived* derived;
  freshet_erasures* erasures;
  freshet_texts_first texts_first;
  freshet_awaited_schemas awaited_schemas;
  freshet_handover handover;
  freshet_standby* standby; /* NULL: none */
  freshet_foreign_events foreign;
  freshet_conflicting_ids ids;
  freshet_batch batch;
  freshet_commit commit;
  freshet_pause pause;
  freshet_partitions partitions;
  freshet_spare spare;
  freshet_turn turn;
  freshet_record records[BATCH_RECORDS];
  size_t most;            /* records that the next poll may return */
  bool is_behind;         /* the last poll returned all that it may */
  uint64_t events;        /* records of events applied */
  int64_t records_us;     /* when the last records came */
  int64_t next_second_us; /* when figures of memory are due */
  int64_t next_alike_us;  /* when users may be looked through for items that have got their text */
};

/* Every object gets what it uses, and nothing else. */
static void connect(freshet_worker* worker, freshet_inbox* inbox, int32_t user_partitions) {
  const freshet_stream_config* config = &worker->config;
  const freshet_ports* ports = &worker->ports;
  freshet_held* held = worker->held = freshet_held_create(ports->source, &worker->serving);
  freshet_erasures* erasures = worker->erasures = freshet_erasures_create(ports, held);
  const freshet_derived given = {.config = config,
                                 .ports = ports,
                                 .held = held,
                                 .serving = &worker->serving,
                                 .user_partitions = user_partitions};
  freshet_derived* derived = worker->derived =
      freshet_derived_create(&given, inbox, freshet_erasures_ask, erasures);
  worker->turn = (freshet_turn){.ports = ports};
  worker->spare = freshet_spare_make(ports->clock);
  freshet_erasures_connect(erasures, derived);
  worker->foreign = (freshet_foreign_events){.ports = ports,
                                             .partitioner = config->partitioner,
                                             .partitions = user_partitions,
                                             .previous = config->previous_partitions};
  worker->ids.ports = ports;
  worker->texts_first =
      (freshet_texts_first){.ports = ports, .held = held, .serving = &worker->serving, .derived = derived};
  worker->awaited_schemas = (freshet_awaited_schemas){.ports = ports, .held = held};
  worker->handover =
      (freshet_handover){.ports = ports, .held = held, .serving = &worker->serving, .derived = derived};
  worker->batch = (freshet_batch){.config = config,
                                  .ports = ports,
                                  .held = held,
                                  .derived = derived,
                                  .erasures = erasures,
                                  .foreign = &worker->foreign,
                                  .ids = &worker->ids,
                                  .texts_first = &worker->texts_first,
                                  .awaited_schemas = &worker->awaited_schemas};
  worker->commit = (freshet_commit){.config = config,
                                    .ports = ports,
                                    .held = held,
                                    .derived = derived,
                                    .erasures = erasures,
                                    .foreign = &worker->foreign,
                                    .texts_first = &worker->texts_first,
                                    .awaited_schemas = &worker->awaited_schemas,
                                    .handover = &worker->handover,
                                    .turn = &worker->turn};
  worker->pause = (freshet_pause){.commit = &worker->commit};
  worker->standby = freshet_standby_create(ports, held, user_partitions);
  worker->partitions = (freshet_partitions){.ports = ports,
                                            .held = held,
                                            .derived = derived,
                                            .erasures = erasures,
                                            .texts_first = &worker->texts_first,
                                            .commit = &worker->commit,
                                            .standby = worker->standby};
}

freshet_status freshet_worker_create(const freshet_stream_config* config, const freshet_ports* ports,
                                     freshet_inbox* inbox, freshet_worker** out, freshet_error* error) {
  freshet_worker* worker = calloc(1, sizeof *worker);
  FRESHET_ASSERT(worker != NULL);
  worker->config = *config;
  worker->ports = *ports;
  if (config->rules != NULL) worker->rules = freshet_rules_copy(config->rules);
  worker->config.rules = &worker->rules;
  worker->most = BATCH_RECORDS;
  worker->serving = (freshet_serving){.own = config->generation, .base = config->base_generation};
  int32_t user_partitions;
  freshet_status status =
      freshet_reader_partitions(ports->reader, FRESHET_TOPIC_EVENTS, &user_partitions, error);
  if (status == FRESHET_OK) {
    connect(worker, inbox, user_partitions);
    status = freshet_derived_load(worker->derived, error);
  }
  if (status != FRESHET_OK) {
    freshet_worker_destroy(worker);
    return status;
  }
  *out = worker;
  return FRESHET_OK;
}

void freshet_worker_set_rules(freshet_worker* worker, const freshet_rules* rules) {
  freshet_rules made = freshet_rules_copy(rules);
  freshet_rules_free(&worker->rules);
  worker->rules = made;
  freshet_listing_apply_rules(freshet_items_listing(worker->derived->items));
  freshet_refresh_outdate_all(worker->derived->refresh);
}

freshet_source_handler freshet_worker_handler(freshet_worker* worker) {
  return freshet_partitions_handler(&worker->partitions);
}

static void show_gauges(freshet_worker* worker, uint64_t lag) {
  freshet_worker_metrics* metrics = worker->ports.metrics;
  freshet_user_row* const* rows;
  freshet_show_alive(metrics, worker->ports.clock);
  freshet_gauge(&metrics->lag, lag);
  freshet_gauge(&metrics->lag_ms,
                (uint64_t)freshet_held_lag_ms(worker->held, freshet_clock_now_ms(worker->ports.clock)));
  freshet_gauge(&metrics->users_cached, freshet_users_count(worker->derived->users));
  freshet_gauge(&metrics->overlay_users, freshet_users_changed(worker->derived->users, &rows));
  freshet_gauge(&metrics->items_known, freshet_model_item_count(freshet_items_model(worker->derived->items)));
  freshet_gauge(&metrics->items_listed, freshet_listing_count(freshet_items_listing(worker->derived->items)));
}

/* Figures that cost something to find out, and what a producer without work has to tell: once a second. */
static void turn_second(freshet_worker* worker) {
  int64_t now_us = freshet_clock_monotonic_us(worker->ports.clock);
  if (now_us < worker->next_second_us) return;
  worker->next_second_us = now_us + SECOND_US;
  if (worker->ports.state_outbox != NULL) freshet_outbox_poll(worker->ports.state_outbox);
  freshet_gauge(&worker->ports.metrics->model_bytes,
                freshet_model_memory(freshet_items_model(worker->derived->items)));
  freshet_gauge(&worker->ports.metrics->store_bytes, freshet_store_memory(worker->ports.store));
}

/* How long a poll may wait: the list clock must not sleep through the state clock. */
static int wait_ms(const freshet_worker* worker, int timeout_ms) {
  const freshet_commit* commit = &worker->commit;
  const bool is_opening = freshet_commit_interval_is_over(commit) && freshet_commit_is_opening(commit, 0);
  if (worker->config.delivery == FRESHET_DELIVERY_COMMITTED &&
      (freshet_commit_holds_lists(commit) || is_opening))
    return 0; /* collect has waited */
  bool is_urgent =
      freshet_commit_is_running(&worker->commit) || freshet_commit_is_held_up(&worker->commit) ||
      freshet_owed_count(freshet_refresh_queue(worker->derived->refresh), FRESHET_OWED_WITHDRAWN) > 0 ||
      freshet_erasures_due(worker->erasures);
  if (is_urgent) return timeout_ms < OUTCOME_POLL_MS ? timeout_ms : OUTCOME_POLL_MS;
  int64_t left_us = worker->commit.next_us - freshet_clock_monotonic_us(worker->ports.clock);
  int64_t left_ms = left_us <= 0 ? 0 : left_us / 1000 + 1;
  return left_ms < timeout_ms ? (int)left_ms : timeout_ms;
}

static freshet_status turn_items(freshet_worker* worker, freshet_error* error) {
  const int64_t slice_us = freshet_spare_begin(&worker->spare, FRESHET_SPARE_ITEMS);
  freshet_status status = freshet_items_poll(worker->derived->items, slice_us, error);
  freshet_spare_end(&worker->spare, FRESHET_SPARE_ITEMS);
  return status;
}

static freshet_status turn_texts(freshet_worker* worker, freshet_error* error) {
  int32_t partitions = freshet_items_partitions(worker->derived->items);
  const bool* owned = freshet_held_items(worker->held, partitions);
  int64_t slice_us = freshet_spare_begin(&worker->spare, FRESHET_SPARE_TEXTS);
  if (!freshet_commit_has_room(&worker->commit)) slice_us = 0; /* vectors are part of it */
  freshet_status status =
      freshet_texts_turn(freshet_items_texts(worker->derived->items), owned, partitions, slice_us, error);
  freshet_spare_end(&worker->spare, FRESHET_SPARE_TEXTS);
  return status;
}

static void turn_links(freshet_worker* worker) {
  const int64_t slice_us = freshet_spare_begin(&worker->spare, FRESHET_SPARE_LINKS);
  freshet_text_links_turn(worker->derived->links, slice_us);
  freshet_spare_end(&worker->spare, FRESHET_SPARE_LINKS);
}

static freshet_status turn_survey(freshet_worker* worker, freshet_error* error) {
  const int64_t slice_us = freshet_spare_begin(&worker->spare, FRESHET_SPARE_SURVEY);
  freshet_status status = freshet_survey_turn(&worker->derived->survey, slice_us, error);
  freshet_spare_end(&worker->spare, FRESHET_SPARE_SURVEY);
  return status;
}

static freshet_status turn_standby(freshet_worker* worker, freshet_error* error) {
  const int64_t slice_us = freshet_spare_begin(&worker->spare, FRESHET_SPARE_STANDBY);
  freshet_status status = freshet_standby_turn(worker->standby, slice_us, error);
  freshet_spare_end(&worker->spare, FRESHET_SPARE_STANDBY);
  return status;
}

/* Users whose newest items are like an item that has just got its text get another list. All users in memory are
 * looked through, so this happens once a second at most. */
static void outdate_alike(freshet_worker* worker) {
  int64_t now_us = freshet_clock_monotonic_us(worker->ports.clock);
  const uint32_t* fresh;
  if (now_us < worker->next_alike_us) return;
  size_t count = freshet_texts_take_fresh(freshet_items_texts(worker->derived->items), &fresh);
  if (count == 0) return;
  worker->next_alike_us = now_us + ALIKE_US;
  freshet_refresh_outdate_alike(worker->derived->refresh, fresh, count);
}

/* Record i comes soon: its user is brought nearer to the processor. */
static void announce(freshet_worker* worker, size_t i, size_t count) {
  const freshet_record* record = i < count ? &worker->records[i] : NULL;
  if (record != NULL && record->topic == FRESHET_TOPIC_EVENTS && record->has_key)
    freshet_users_announce(worker->derived->users, record->partition, record->key);
}

static freshet_status apply_records(freshet_worker* worker, size_t count, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; i < FRESHET_USERS_AHEAD; i++) announce(worker, i, count);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    announce(worker, i + FRESHET_USERS_AHEAD, count);
    status = freshet_batch_apply(&worker->batch, &worker->records[i], error);
    worker->events += worker->records[i].topic == FRESHET_TOPIC_EVENTS && !worker->texts_first.is_waiting;
  }
  return status;
}

/* Events or lists wait for this turn. */
static bool has_to_hurry(const freshet_worker* worker, size_t count) {
  const freshet_refresh* refresh = worker->derived->refresh;
  return !worker->texts_first.is_waiting &&
         (count > 0 || freshet_refresh_is_cut(refresh) ||
          freshet_owed_count(freshet_refresh_queue(refresh), FRESHET_OWED_EVENT) > 0);
}

/* A turn that starts a commit is long enough without work that nobody waits for. One that ends a late commit starts the
 * next one. */
static bool is_commit_near(const freshet_worker* worker) {
  const freshet_commit* commit = &worker->commit;
  const int64_t interval_us = freshet_commit_interval_us(commit);
  const int64_t due_us = freshet_commit_is_running(commit) ? commit->start_us + interval_us : commit->next_us;
  const int64_t near_us = interval_us / NEAR_PART < NEAR_US ? interval_us / NEAR_PART : NEAR_US;
  return freshet_clock_monotonic_us(worker->ports.clock) >= due_us - near_us;
}

/* The list clock: learns from the records at hand and publishes what is due. */
static freshet_status turn_lists(freshet_worker* worker, size_t count, uint64_t* lag, freshet_error* error) {
  freshet_clock* clock = worker->ports.clock;
  int64_t start_us = worker->turn.lap_us;
  /* Items come first, with their texts: an item that was announced before an event is known when the event is learned, as
   * far as its record has been read. */
  freshet_turn* turn = &worker->turn;
  freshet_spare_turn(&worker->spare, has_to_hurry(worker, count) || is_commit_near(worker));
  freshet_status status = turn_items(worker, error);
  freshet_turn_lap(turn, FRESHET_TURN_ITEMS);
  if (status == FRESHET_OK) status = turn_texts(worker, error);
  if (status == FRESHET_OK) turn_links(worker);
  freshet_turn_lap(turn, FRESHET_TURN_TEXTS);
  if (status == FRESHET_OK) status = apply_records(worker, count, error);
  if (status == FRESHET_OK) status = freshet_handover_turn(&worker->handover, error);
  *lag = freshet_held_lag(worker->held);
  const bool lagging = *lag > BATCH_RECORDS;
  /* It takes longer the more events were learned, so it counts to them. */
  if (status == FRESHET_OK && freshet_refresh_is_due(worker->derived->refresh, lagging))
    status = freshet_ranking_sync(worker->derived->ranking, error);
  freshet_turn_lap(turn, FRESHET_TURN_EVENTS);
  int64_t learn_us = turn->lap_us - start_us;
  if (status == FRESHET_OK) status = freshet_withdrawals_turn(worker->derived->withdrawals, error);
  if (status == FRESHET_OK && !lagging && !freshet_text_links_busy(worker->derived->links))
    outdate_alike(worker);
  freshet_turn_lap(turn, FRESHET_TURN_SEARCH);
  if (status == FRESHET_OK)
    status = freshet_refresh_turn(worker->derived->refresh, lagging,
                                  freshet_commit_takes_lists(&worker->commit), error);
  freshet_turn_lap(turn, FRESHET_TURN_LISTS);
  if (status == FRESHET_OK) status = freshet_answers_turn(worker->derived->answers, lagging, learn_us, error);
  freshet_turn_lap(turn, FRESHET_TURN_ANSWERS);
  if (status == FRESHET_OK) status = turn_survey(worker, error);
  freshet_turn_lap(turn, FRESHET_TURN_SEARCH);
  freshet_erasures_turn(worker->erasures, freshet_clock_monotonic_ms(clock));
  freshet_foreign_events_turn(&worker->foreign);
  freshet_conflicting_ids_turn(&worker->ids);
  freshet_turn_lap(turn, FRESHET_TURN_ANSWERS);
  if (count > 0) freshet_histogram_observe(&worker->ports.metrics->batch, turn->lap_us - start_us);
  return status;
}

/* What a turn does while nothing in memory counts: until there are partitions again. */
static freshet_status rest(freshet_worker* worker) {
  freshet_outbox_poll(worker->ports.outbox);
  show_gauges(worker, 0);
  freshet_turn_end(&worker->turn, 0);
  return FRESHET_OK;
}

/* Lists that wait for the commit under way can wait together: one turn for a few events costs less than a turn for each,
 * and the core is free for the broker meanwhile. So can events that do not fit into memory before it has ended. */
static freshet_status collect(freshet_worker* worker, freshet_error* error) {
  const bool do_lists_wait = worker->config.delivery != FRESHET_DELIVERY_FAST && !worker->is_behind;
  const bool has_lists =
      freshet_refresh_is_cut(worker->derived->refresh) && freshet_commit_takes_lists(&worker->commit);
  const bool do_events_wait = freshet_commit_is_congested(&worker->commit) && !has_lists;
  if (!do_lists_wait && !do_events_wait) return FRESHET_OK;
  freshet_commit* commit = &worker->commit;
  const uint64_t ended = commit->ends;
  const bool was_opening = freshet_commit_is_opening(commit, 0);
  freshet_status status = freshet_commit_await(commit, COLLECT_MS, error);
  const bool has_news = commit->ends != ended || (was_opening && !freshet_commit_is_opening(commit, 0));
  if (status != FRESHET_OK || !has_news) return status;
  /* Nobody has to wait for the records of this turn. */
  return freshet_commit_turn(commit, worker->is_behind, error);
}

/* Turns of the worker write it on. */
static bool is_in_pieces(const freshet_worker* worker) {
  return freshet_commit_is_being_written(&worker->commit) && !freshet_outbox_is_writing(worker->ports.outbox);
}

/* How long the poll of this turn may wait. */
static int patience_ms(const freshet_worker* worker, int timeout_ms) {
  bool has_work =
      freshet_owed_count(freshet_refresh_queue(worker->derived->refresh), FRESHET_OWED_EVENT) > 0 ||
      freshet_refresh_is_cut(worker->derived->refresh) ||
      freshet_refresh_is_sweeping(worker->derived->refresh) ||
      freshet_answers_due(worker->derived->answers) ||
      freshet_withdrawals_due(worker->derived->withdrawals) ||
      freshet_survey_is_due(&worker->derived->survey) || freshet_text_links_busy(worker->derived->links) ||
      freshet_items_are_behind(worker->derived->items) || is_in_pieces(worker) ||
      freshet_texts_are_cut(freshet_items_texts(worker->derived->items)) ||
      (freshet_learned_is_busy(freshet_items_learned(worker->derived->items)) &&
       !freshet_commit_is_held_up(&worker->commit)) ||
      (worker->texts_first.is_waiting && worker->ports.embedder == NULL);
  return has_work ? 0 : wait_ms(worker, timeout_ms);
}

static freshet_status poll(freshet_worker* worker, int timeout_ms, size_t* count, freshet_error* error) {
  bool is_paused;
  freshet_turn_begin(&worker->turn);
  freshet_status status = freshet_pause_turn(&worker->pause, &is_paused, error);
  if (status != FRESHET_OK || is_paused) return status;
  status = collect(worker, error);
  if (status != FRESHET_OK) return status;
  int most_ms = worker->commit.is_stale ? timeout_ms : patience_ms(worker, timeout_ms);
  /* While nothing changes, askers may look. The group is polled whatever the commit waits for. */
  const size_t most = freshet_commit_is_congested(&worker->commit) ? 1 : worker->most;
  freshet_answers* answers = worker->derived->answers;
  const bool is_quiet = worker->turn.lap_us - worker->records_us > QUIET_US;
  if (!worker->commit.is_stale) status = freshet_answers_share(answers, is_quiet, error);
  if (status == FRESHET_OK)
    status = freshet_source_poll(worker->ports.source, most_ms, worker->records, most, count, error);
  freshet_answers_unshare(answers);
  worker->is_behind = *count == worker->most;
  freshet_turn_waited(&worker->turn, FRESHET_TURN_POLL, (int64_t)most_ms * 1000);
  if (*count > 0) worker->records_us = worker->turn.lap_us;
  return status;
}

static void fit_batch(freshet_worker* worker, size_t count) {
  const int64_t cpu_us = freshet_turn_cpu_us(&worker->turn, FRESHET_TURN_EVENTS);
  const bool is_urgent = freshet_refresh_is_urgent(worker->derived->refresh);
  worker->most = freshet_batch_fit(worker->most, count, cpu_us, is_urgent);
}

freshet_status freshet_worker_step(freshet_worker* worker, int timeout_ms, freshet_error* error) {
  size_t count = 0;
  uint64_t lag = 0;
  freshet_status status = poll(worker, timeout_ms, &count, error);
  if (status == FRESHET_OK && worker->commit.is_stale) return rest(worker);
  if (status == FRESHET_OK) status = turn_lists(worker, count, &lag, error);
  if (status == FRESHET_OK) {
    freshet_outbox_poll(worker->ports.outbox);
    status = freshet_commit_turn(&worker->commit, worker->is_behind, error);
    const bool is_held_up = freshet_commit_is_held_up(&worker->commit);
    if (status == FRESHET_OK && !is_held_up && freshet_items_outdated(worker->derived->items))
      status = freshet_commit_reload(&worker->commit, error);
    if (status == FRESHET_OK && !is_held_up) status = freshet_commit_make_room(&worker->commit, error);
  }
  if (status == FRESHET_OK) status = freshet_texts_first_turn(&worker->texts_first, error);
  if (status == FRESHET_OK) status = freshet_awaited_schemas_turn(&worker->awaited_schemas, error);
  if (status == FRESHET_OK) status = turn_standby(worker, error);
  if (status != FRESHET_OK) return status; /* the worker can only be destroyed now */
  turn_second(worker);
  show_gauges(worker, lag);
  freshet_turn_end(&worker->turn, count);
  fit_batch(worker, count);
  return FRESHET_OK;
}

freshet_status freshet_worker_stop(freshet_worker* worker, freshet_error* error) {
  freshet_turn_flush(&worker->turn);
  freshet_status status = freshet_commit_last(&worker->commit, error);
  if (status == FRESHET_OK) status = freshet_source_close(worker->ports.source, error);
  return status;
}

void freshet_worker_destroy(freshet_worker* worker) {
  if (worker == NULL) return;
  freshet_standby_destroy(worker->standby);
  freshet_erasures_destroy(worker->erasures);
  freshet_derived_destroy(worker->derived);
  freshet_commit_free(&worker->commit);
  freshet_serving_reset(&worker->serving);
  freshet_rules_free(&worker->rules);
  freshet_held_destroy(worker->held);
  free(worker);
}

freshet_worker_progress freshet_worker_progress_of(const freshet_worker* worker) {
  freshet_worker_progress progress = {.events = worker->events,
                                      .lag = freshet_held_lag(worker->held),
                                      .partitions = freshet_held_count(worker->held, FRESHET_TOPIC_EVENTS)};
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    progress.serving +=
        freshet_held_list_topic(worker->held, held->partition) == FRESHET_TOPIC_RECOMMENDATIONS;
  }
  return progress;
}

uint64_t freshet_worker_model_hash(const freshet_worker* worker) {
  return freshet_model_hash(freshet_items_model(worker->derived->items));
}
