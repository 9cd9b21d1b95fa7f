/* publisher.c: see publisher.h. */
#include "lists/publisher.h"

#include <stdlib.h>

#include "stream/outbox.h"

enum { GROUP_ROWS = 256 }; /* rows ranked between two rounds of publishing */

struct freshet_publisher {
  freshet_lists lists;
  const freshet_model* model;
  freshet_carriers* carriers;
  uint32_t k;
  bool explains;
  freshet_ranking_task* tasks; /* [GROUP_ROWS] */
  freshet_pick* picks;         /* [GROUP_ROWS][k] */
  freshet_parts* parts;        /* [GROUP_ROWS][k], NULL unless it explains */
  /* Scratch of one list. */
  uint32_t* slots;              /* [k] */
  freshet_recommendation* list; /* [k] */
  freshet_reason* reasons;      /* [k][FRESHET_PARTS_MAX], NULL unless it explains */
  freshet_buffer bytes;
};

freshet_publisher* freshet_publisher_create(const freshet_lists* lists, freshet_carriers* carriers) {
  freshet_publisher* publisher = calloc(1, sizeof *publisher);
  FRESHET_ASSERT(publisher != NULL);
  size_t k = publisher->k = lists->config->list_size;
  publisher->lists = *lists;
  publisher->model = freshet_items_model(lists->items);
  publisher->carriers = carriers;
  publisher->explains = lists->config->explain;
  publisher->tasks = calloc(GROUP_ROWS, sizeof *publisher->tasks);
  publisher->picks = calloc(GROUP_ROWS * k, sizeof *publisher->picks);
  publisher->slots = calloc(k, sizeof *publisher->slots);
  publisher->list = calloc(k, sizeof *publisher->list);
  FRESHET_ASSERT(publisher->tasks != NULL && publisher->picks != NULL);
  FRESHET_ASSERT(publisher->slots != NULL && publisher->list != NULL);
  if (publisher->explains) {
    publisher->parts = calloc(GROUP_ROWS * k, sizeof *publisher->parts);
    publisher->reasons = calloc(k * FRESHET_PARTS_MAX, sizeof *publisher->reasons);
    FRESHET_ASSERT(publisher->parts != NULL && publisher->reasons != NULL);
  }
  return publisher;
}

void freshet_publisher_destroy(freshet_publisher* publisher) {
  if (publisher == NULL) return;
  free(publisher->tasks);
  free(publisher->picks);
  free(publisher->parts);
  free(publisher->slots);
  free(publisher->list);
  free(publisher->reasons);
  freshet_buffer_free(&publisher->bytes);
  free(publisher);
}

/* The reasons of entry r of the list in row i of the group, as views into the model. */
static void fill_reasons(const freshet_publisher* publisher, size_t i, size_t r,
                         freshet_recommendation* entry) {
  const freshet_parts* why = &publisher->parts[i * publisher->k + r];
  freshet_reason* out = publisher->reasons + r * FRESHET_PARTS_MAX;
  for (size_t p = 0; p < why->count; p++) {
    out[p] = (freshet_reason){
        .kind = why->parts[p].kind, .score = why->parts[p].score, .every_s = why->parts[p].every_s};
    if (why->parts[p].item != FRESHET_NO_ITEM) {
      out[p].item_id = freshet_model_item_id(publisher->model, why->parts[p].item);
    }
  }
  entry->reasons = out;
  entry->reason_count = why->count;
}

/* Encodes the list so that its topic takes it: without reasons, then with fewer items, if need be. */
static freshet_status encode_to_fit(freshet_publisher* publisher, freshet_list* list, freshet_topic topic,
                                    freshet_error* error) {
  const freshet_ports* ports = publisher->lists.ports;
  size_t limit = freshet_outbox_limit(ports->outbox, topic);
  for (bool is_first = true;; is_first = false) {
    publisher->bytes.size = 0;
    freshet_status status = freshet_encode_list(ports->codec, list, &publisher->bytes, error);
    bool fits = list->item_count == 0 || publisher->bytes.size + list->user_id.size <= limit;
    if (status != FRESHET_OK || fits) return status;
    if (is_first) freshet_count(&ports->metrics->lists_shortened, 1);
    if (!is_first) list->item_count /= 2;
    for (size_t r = 0; r < list->item_count; r++) publisher->list[r].reason_count = 0;
  }
}

/* Encodes the list of row i of the group and hands it over. */
static freshet_status send_list(freshet_publisher* publisher, const freshet_user_row* row, size_t i,
                                int64_t now_ms, freshet_error* error) {
  const freshet_ranking_task* task = &publisher->tasks[i];
  for (size_t r = 0; r < task->count; r++) {
    const freshet_pick* pick = &task->picks[r];
    publisher->slots[r] = pick->item;
    publisher->list[r] =
        (freshet_recommendation){.item_id = freshet_model_item_id(publisher->model, pick->item),
                                 .score = pick->score,
                                 .propensity = pick->propensity};
    if (publisher->explains) fill_reasons(publisher, i, r, &publisher->list[r]);
  }
  freshet_list list = {.user_id = freshet_user_row_id(row),
                       .version_partition = row->partition,
                       .version_offset = row->newest_offset,
                       .event_occurred_at_ms = row->newest_occurred_at_ms,
                       .generated_at_ms = now_ms,
                       .items = publisher->list,
                       .item_count = task->count};
  freshet_topic topic = freshet_held_list_topic(publisher->lists.held, row->partition);
  freshet_status status = encode_to_fit(publisher, &list, topic, error);
  if (status != FRESHET_OK) return status;
  freshet_output output = {.topic = topic,
                           .partition = -1,
                           .key = freshet_user_row_id(row),
                           .has_value = true,
                           .value = freshet_buffer_slice(&publisher->bytes)};
  return freshet_outbox_add(publisher->lists.ports->outbox, &output, FRESHET_BY_DELIVERY, error);
}

/* The row's list is published: nothing is owed any more. */
static void note_list(freshet_publisher* publisher, freshet_user_row* row, size_t count, int64_t now_ms) {
  freshet_worker_metrics* metrics = publisher->lists.ports->metrics;
  bool was_listed = row->listed_offset == row->newest_offset && row->refresh_since_ms == 0;
  row->listed_offset = row->newest_offset;
  row->refresh_since_ms = 0;
  freshet_user_row_set_owed(row, FRESHET_OWED_WITHDRAWN, false);
  freshet_user_row_set_owed(row, FRESHET_OWED_OUTDATED, false);
  bool differs = freshet_carriers_replace(publisher->carriers, row, publisher->slots, count);
  if (!was_listed || differs) freshet_users_change(publisher->lists.users, row);
  freshet_count(&metrics->lists_published, 1);
  if (row->withdrawn_ms > 0) {
    freshet_histogram_observe(&metrics->withdrawal, (now_ms - row->withdrawn_ms) * 1000);
    row->withdrawn_ms = 0;
  }
  if (row->record_time_ms > 0) {
    freshet_histogram_observe(&metrics->event_to_list, (now_ms - row->record_time_ms) * 1000);
    row->record_time_ms = 0; /* its first list; later ones of the same version tell nothing */
  }
}

/* As of the user's newest event, not as of now: these are equal for live events, and right when history is replayed.
 */
static void make_task(freshet_publisher* publisher, const freshet_user_row* row, size_t i) {
  size_t k = publisher->k;
  publisher->tasks[i] =
      (freshet_ranking_task){.user = row->user,
                             .owner = freshet_owner_key(freshet_user_row_id(row)),
                             .time_ms = row->newest_occurred_at_ms,
                             .k = publisher->k,
                             .diversity = publisher->lists.config->diversity,
                             .seed = row->hash + (uint64_t)row->newest_offset,
                             .picks = publisher->picks + i * k,
                             .parts = publisher->explains ? publisher->parts + i * k : NULL};
}

static freshet_status serve_group(freshet_publisher* publisher, freshet_user_row** rows, size_t count,
                                  bool may_wait, freshet_error* error) {
  const freshet_lists* lists = &publisher->lists;
  freshet_clock* clock = lists->ports->clock;
  for (size_t i = 0; i < count; i++) {
    freshet_user_texts_see_to(lists->user_texts, rows[i]);
    make_task(publisher, rows[i], i);
  }
  int64_t start_us = freshet_clock_monotonic_us(clock);
  freshet_status status = freshet_ranking_run(lists->ranking, publisher->tasks, count, may_wait, error);
  if (status != FRESHET_OK) return status;
  freshet_histogram_observe(&lists->ports->metrics->rank,
                            (freshet_clock_monotonic_us(clock) - start_us) / (int64_t)count);
  int64_t now_ms = freshet_clock_now_ms(clock);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    status = send_list(publisher, rows[i], i, now_ms, error);
    if (status == FRESHET_OK) note_list(publisher, rows[i], publisher->tasks[i].count, now_ms);
  }
  return status;
}

freshet_status freshet_publisher_serve(freshet_publisher* publisher, freshet_user_row** rows, size_t count,
                                       bool may_wait, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i += GROUP_ROWS) {
    size_t group = count - i < GROUP_ROWS ? count - i : GROUP_ROWS;
    status = serve_group(publisher, rows + i, group, may_wait, error);
  }
  return status;
}
