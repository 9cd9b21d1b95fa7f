/*
 * worker.c: the loop: one turn polls, applies, publishes, answers, and lets the state clock turn. It owns
 * the parts of the worker and their order. What each of them does it leaves to them.
 */
#include "worker/worker.h"

#include <stdlib.h>

#include "worker/worker_internal.h"

enum { OUTCOME_POLL_MS = 5, CONCERNED_US = 1000000 };

/* While they are read the log may say that other text vectors serve than the store knew. */
static freshet_status load_items(freshet_worker* worker, freshet_error* error) {
  freshet_status status;
  do {
    freshet_items_destroy(worker->items);
    worker->items = NULL;
    status = freshet_items_create(&worker->config, &worker->ports, &worker->serving, &worker->items, error);
  } while (status == FRESHET_OK && freshet_items_outdated(worker->items));
  return status;
}

/* A text that somebody of the worker's has asked for, other than the job for items. */
static void text_encoded(void* context, const freshet_embedded* embedded) {
  freshet_worker* worker = context;
  if (embedded->priority == FRESHET_EMBED_REQUEST) {
    freshet_answers_encoded(worker->answers, embedded);
  } else {
    freshet_user_row* row = freshet_user_texts_encoded(worker->user_texts, embedded);
    if (row != NULL) freshet_refresh_outdate(worker->refresh, row);
  }
}

freshet_status freshet_worker_load(freshet_worker* worker, freshet_error* error) {
  freshet_status status = load_items(worker, error);
  if (status != FRESHET_OK) return status;
  worker->links = freshet_text_links_create(&worker->ports, freshet_items_model(worker->items),
                                            worker->config.link_slice_us);
  worker->users = freshet_users_create(freshet_items_model(worker->items), worker->ports.store,
                                       worker->ports.codec, worker->config.cached_users);
  worker->ranking = freshet_ranking_create(worker->items, worker->config.ranking_threads, error);
  if (worker->ranking == NULL) return FRESHET_NO_MEMORY;
  const freshet_lists lists = {.config = &worker->config,
                               .ports = &worker->ports,
                               .held = worker->held,
                               .items = worker->items,
                               .users = worker->users,
                               .ranking = worker->ranking,
                               .user_texts = worker->user_texts};
  worker->carriers = freshet_carriers_create(freshet_items_model(worker->items));
  worker->refresh = freshet_refresh_create(&lists, worker->carriers);
  worker->withdrawals = freshet_withdrawals_create(&lists, worker->carriers, worker->refresh);
  freshet_answers_load(worker->answers, &lists, worker->user_partitions);
  freshet_user_texts_load(worker->user_texts, worker->items, worker->users);
  freshet_texts_serve_others(freshet_items_texts(worker->items), text_encoded, worker);
  return FRESHET_OK;
}

void freshet_worker_unload(freshet_worker* worker) {
  freshet_answers_unload(worker->answers);
  freshet_user_texts_load(worker->user_texts, NULL, NULL);
  freshet_withdrawals_destroy(worker->withdrawals);
  worker->withdrawals = NULL;
  freshet_refresh_destroy(worker->refresh);
  freshet_carriers_destroy(worker->carriers);
  freshet_ranking_destroy(worker->ranking);
  freshet_users_destroy(worker->users);
  freshet_text_links_destroy(worker->links);
  freshet_items_destroy(worker->items);
  worker->refresh = NULL;
  worker->carriers = NULL;
  worker->ranking = NULL;
  worker->users = NULL;
  worker->links = NULL;
  worker->items = NULL;
}

freshet_status freshet_worker_create(const freshet_stream_config* config, const freshet_ports* ports,
                                     freshet_inbox* inbox, freshet_worker** out, freshet_error* error) {
  freshet_worker* worker = calloc(1, sizeof *worker);
  FRESHET_ASSERT(worker != NULL);
  worker->config = *config;
  worker->ports = *ports;
  worker->inbox = inbox;
  if (config->rules != NULL) worker->rules = freshet_rules_copy(config->rules);
  worker->config.rules = &worker->rules;
  worker->user_texts = freshet_user_texts_create(ports);
  worker->serving = (freshet_serving){.own = config->generation, .base = config->base_generation};
  worker->held = freshet_held_create(ports->source, &worker->serving);
  worker->answers =
      freshet_answers_create(&worker->ports, worker->held, inbox, freshet_worker_ask_erase, worker);
  worker->erasures = freshet_erasures_create();
  freshet_reader* reader = worker->ports.reader;
  freshet_status status =
      freshet_reader_partitions(reader, FRESHET_TOPIC_EVENTS, &worker->user_partitions, error);
  if (status == FRESHET_OK) status = freshet_worker_load(worker, error);
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
  freshet_listing_apply_rules(freshet_items_listing(worker->items));
  freshet_refresh_outdate_all(worker->refresh);
}

freshet_source_handler freshet_worker_handler(freshet_worker* worker) {
  return (freshet_source_handler){freshet_worker_assigned, freshet_worker_revoked, worker};
}

static void show_gauges(freshet_worker* worker, uint64_t lag) {
  freshet_worker_metrics* metrics = worker->ports.metrics;
  freshet_user_row* const* rows;
  freshet_gauge(&metrics->alive_ms, (uint64_t)freshet_clock_now_ms(worker->ports.clock));
  freshet_gauge(&metrics->lag, lag);
  freshet_gauge(&metrics->lag_ms,
                (uint64_t)freshet_held_lag_ms(worker->held, freshet_clock_now_ms(worker->ports.clock)));
  freshet_gauge(&metrics->users_cached, freshet_users_count(worker->users));
  freshet_gauge(&metrics->overlay_users, freshet_users_changed(worker->users, &rows));
  freshet_gauge(&metrics->items_known, freshet_model_item_count(freshet_items_model(worker->items)));
  freshet_gauge(&metrics->items_listed, freshet_listing_count(freshet_items_listing(worker->items)));
}

/* Figures that cost something to find out: once a second. */
static void show_memory(freshet_worker* worker) {
  int64_t now_us = freshet_clock_monotonic_us(worker->ports.clock);
  if (now_us < worker->next_memory_us) return;
  worker->next_memory_us = now_us + 1000000;
  freshet_gauge(&worker->ports.metrics->model_bytes,
                freshet_model_memory(freshet_items_model(worker->items)));
  freshet_gauge(&worker->ports.metrics->store_bytes, freshet_store_memory(worker->ports.store));
}

/* The list clock must not sleep through the state clock. */
static int wait_ms(const freshet_worker* worker, int timeout_ms) {
  bool is_urgent = freshet_outbox_is_committing(worker->ports.outbox) ||
                   freshet_owed_count(freshet_refresh_queue(worker->refresh), FRESHET_OWED_WITHDRAWN) > 0 ||
                   freshet_erasures_due(worker->erasures);
  if (is_urgent) return timeout_ms < OUTCOME_POLL_MS ? timeout_ms : OUTCOME_POLL_MS;
  int64_t left_us = worker->next_commit_us - freshet_clock_monotonic_us(worker->ports.clock);
  int64_t left_ms = left_us <= 0 ? 0 : left_us / 1000 + 1;
  return left_ms < timeout_ms ? (int)left_ms : timeout_ms;
}

static freshet_status turn_texts(freshet_worker* worker, freshet_error* error) {
  int32_t partitions = freshet_items_partitions(worker->items);
  const bool* owned = freshet_held_items(worker->held, partitions);
  return freshet_texts_turn(freshet_items_texts(worker->items), owned, partitions, error);
}

/* Looks through all users in memory, so once a second at most. */
static void find_concerned(freshet_worker* worker) {
  int64_t now_us = freshet_clock_monotonic_us(worker->ports.clock);
  const uint32_t* fresh;
  if (now_us < worker->next_concerned_us) return;
  size_t count = freshet_texts_take_fresh(freshet_items_texts(worker->items), &fresh);
  if (count == 0) return;
  worker->next_concerned_us = now_us + CONCERNED_US;
  freshet_refresh_outdate_alike(worker->refresh, fresh, count);
}

/* The list clock: learns from the records at hand and publishes what is due. */
static freshet_status turn_lists(freshet_worker* worker, size_t count, uint64_t* lag, freshet_error* error) {
  freshet_clock* clock = worker->ports.clock;
  int64_t start_us = freshet_clock_monotonic_us(clock);
  /* Items first, with what can be known of their texts: an item announced before an event is known when the
   * event is learned. */
  freshet_status status = freshet_items_poll(worker->items, error);
  if (status == FRESHET_OK) status = turn_texts(worker, error);
  if (status == FRESHET_OK) freshet_text_links_turn(worker->links, worker->turn_us);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    status = freshet_worker_apply(worker, &worker->records[i], error);
  }
  if (status == FRESHET_OK) status = freshet_worker_hand_over(worker, error);
  int64_t learn_us = freshet_clock_monotonic_us(clock) - start_us;
  *lag = freshet_held_lag(worker->held);
  bool lagging = count == BATCH_RECORDS || *lag > BATCH_RECORDS;
  if (status == FRESHET_OK) status = freshet_withdrawals_turn(worker->withdrawals, error);
  if (status == FRESHET_OK && !lagging && !freshet_text_links_busy(worker->links)) find_concerned(worker);
  if (status == FRESHET_OK) status = freshet_refresh_turn(worker->refresh, lagging, error);
  if (status == FRESHET_OK) status = freshet_answers_turn(worker->answers, lagging, learn_us, error);
  freshet_erasures_turn(worker->erasures, freshet_clock_now_ms(clock));
  worker->turn_us = freshet_clock_monotonic_us(clock) - start_us;
  if (count > 0) {
    freshet_histogram_observe(&worker->ports.metrics->batch, worker->turn_us);
  }
  return status;
}

freshet_status freshet_worker_step(freshet_worker* worker, int timeout_ms, freshet_error* error) {
  freshet_source* source = worker->ports.source;
  size_t count = 0;
  uint64_t lag = 0;
  bool has_work = freshet_metric(&worker->ports.metrics->refresh_owed) > 0 ||
                  freshet_answers_due(worker->answers) || freshet_withdrawals_due(worker->withdrawals) ||
                  freshet_text_links_busy(worker->links) ||
                  (worker->awaits_texts && worker->ports.embedder == NULL);
  int patience_ms = has_work ? 0 : wait_ms(worker, timeout_ms);
  freshet_status status =
      freshet_source_poll(source, patience_ms, worker->records, BATCH_RECORDS, &count, error);
  if (status == FRESHET_OK) status = turn_lists(worker, count, &lag, error);
  if (status == FRESHET_OK) {
    freshet_outbox_poll(worker->ports.outbox);
    status = freshet_worker_turn_state(worker, error);
    if (status == FRESHET_OK && freshet_items_outdated(worker->items))
      status = freshet_worker_reload(worker, error);
  }
  if (status == FRESHET_OK) status = freshet_worker_end_await_texts(worker, error);
  if (status == FRESHET_OK) status = freshet_worker_end_await_schemas(worker, error);
  if (status != FRESHET_OK) return status; /* what is left of the worker can only be destroyed */
  show_memory(worker);
  show_gauges(worker, lag);
  return FRESHET_OK;
}

freshet_status freshet_worker_stop(freshet_worker* worker, freshet_error* error) {
  worker->stopping = true;
  freshet_status status = freshet_worker_commit(worker, error);
  if (status == FRESHET_OK) status = freshet_worker_store_items(worker, error);
  if (status == FRESHET_OK) status = freshet_items_store_links(worker->items, error);
  if (status == FRESHET_OK) status = freshet_source_close(worker->ports.source, error);
  return status;
}

void freshet_worker_destroy(freshet_worker* worker) {
  if (worker == NULL) return;
  freshet_erasures_destroy(worker->erasures);
  freshet_worker_unload(worker);
  freshet_answers_destroy(worker->answers);
  freshet_user_texts_destroy(worker->user_texts);
  freshet_serving_reset(&worker->serving);
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) freshet_dedup_destroy(held->dedup);
  freshet_rules_free(&worker->rules);
  freshet_held_destroy(worker->held);
  freshet_buffer_free(&worker->row_bytes);
  free(worker);
}

uint64_t freshet_worker_model_hash(const freshet_worker* worker) {
  return freshet_model_hash(freshet_items_model(worker->items));
}
