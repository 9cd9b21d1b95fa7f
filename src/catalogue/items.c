/* items.c: see items.h. Puts the parts together; what a part does is in its own file. */
#include "catalogue/items.h"

#include <stdlib.h>

#include "catalogue/catalogue.h"
#include "catalogue/item_logs.h"
#include "catalogue/link_rows.h"

enum {
  RANKER_ITEMS = 1024, /* it grows */
  NEARLY_FULL_PERCENT = 80,
};

struct freshet_items {
  freshet_ports ports;
  freshet_model* model;
  freshet_ranker* ranker;
  freshet_text_generations generations; /* of text encoders */
  freshet_item_logs* logs;
  freshet_listing* listing;
  freshet_texts* texts;
  freshet_catalogue* catalogue;
  freshet_learned* learned;
  freshet_serving* serving; /* not owned */
  bool is_behind;           /* the last poll left records for the next */
  unsigned full_percent;    /* of model.max_items, as last warned of; 0: not at all */
};

/* ---- records ---- */

static freshet_status apply_state(freshet_items* items, const freshet_record* record, freshet_error* error) {
  freshet_store* store = items->ports.store;
  bool is_text;
  freshet_store_set_position(store, record->topic, record->partition, record->offset + 1,
                             freshet_clock_now_ms(items->ports.clock));
  freshet_status status = freshet_texts_apply(items->texts, record, &is_text, error);
  if (status != FRESHET_OK || is_text) return status;
  return freshet_learned_apply_state(items->learned, record, error);
}

static freshet_status apply(void* context, const freshet_record* record, freshet_error* error) {
  freshet_items* items = context;
  switch (record->topic) {
    case FRESHET_TOPIC_ITEMS:
      return freshet_catalogue_apply(items->catalogue, record, error);
    case FRESHET_TOPIC_ITEM_DELTAS:
      return freshet_learned_apply_delta(items->learned, record, error);
    case FRESHET_TOPIC_ITEM_STATES:
      return apply_state(items, record, error);
    case FRESHET_TOPIC_APP_GENERATIONS:
      return freshet_serving_apply(items->serving, items->ports.codec, record, error);
    default:
      return FRESHET_OK;
  }
}

/* ---- loading ---- */

/* A few small records, so they are always read from the beginning. */
static freshet_status load_serving(freshet_items* items, freshet_error* error) {
  freshet_serving_reset(items->serving);
  if (items->serving->own == NULL) return FRESHET_OK;
  freshet_status status =
      freshet_item_logs_open(items->logs, FRESHET_TOPIC_APP_GENERATIONS, 0, FRESHET_OFFSET_BEGINNING, error);
  if (status != FRESHET_OK) return status;
  return freshet_item_logs_catch_up(items->logs, FRESHET_TOPIC_APP_GENERATIONS, 1, error);
}

/* In this order: records of texts are about announced items, and links about texts. */
static freshet_status load(freshet_items* items, freshet_error* error) {
  freshet_status status = freshet_catalogue_load(items->catalogue, items->logs, error);
  if (status == FRESHET_OK)
    status = freshet_learned_load(items->learned, items->logs, freshet_catalogue_partitions(items->catalogue),
                                  error);
  if (status == FRESHET_OK) status = load_serving(items, error);
  if (status == FRESHET_OK) status = freshet_link_rows_load(items->ports.store, items->model, error);
  return status;
}

static int compare_ids(const void* context, uint32_t a, uint32_t b) {
  const freshet_model* model = context;
  return freshet_slice_compare(freshet_model_item_id(model, a), freshet_model_item_id(model, b));
}

static freshet_status create_model(freshet_items* items, const freshet_model_config* config,
                                   freshet_error* error) {
  freshet_model_config model = *config;
  model.text_dim = items->generations.serving.dim;
  model.links_apart = true; /* see text_links.c */
  freshet_status status = freshet_model_create(&model, &items->model, error);
  if (status != FRESHET_OK) return status;
  freshet_ranker_config ranker = {.capacity = RANKER_ITEMS, .compare = compare_ids, .context = items->model};
  freshet_model_lend_rows(items->model, &ranker);
  return freshet_ranker_create(&ranker, &items->ranker, error);
}

static void create_parts(freshet_items* items, const freshet_stream_config* config) {
  const freshet_ports* ports = &items->ports;
  items->logs = freshet_item_logs_create(ports, apply, items);
  items->listing = freshet_listing_create(items->model, config->rules, ports->clock);
  items->texts = freshet_texts_create(config, ports, &items->generations, items->model);
  items->catalogue = freshet_catalogue_create(ports, items->model, items->listing, items->texts);
  items->learned = freshet_learned_create(ports, items->model, config->items_interval_ms,
                                          config->checkpoint_interval_ms, config->item_rows_a_turn);
}

freshet_status freshet_items_create(const freshet_stream_config* config, const freshet_ports* ports,
                                    freshet_serving* serving, freshet_items** out, freshet_error* error) {
  freshet_items* items = calloc(1, sizeof *items);
  FRESHET_ASSERT(items != NULL);
  items->ports = *ports;
  items->serving = serving;
  freshet_status status = freshet_text_generations_load(&items->generations, ports, error);
  if (status == FRESHET_OK) status = create_model(items, &config->model, error);
  if (status == FRESHET_OK) {
    create_parts(items, config);
    status = load(items, error);
  }
  if (status == FRESHET_OK) status = freshet_model_sync_ranker(items->model, items->ranker, error);
  if (status != FRESHET_OK) {
    freshet_items_destroy(items);
    return status;
  }
  *out = items;
  return FRESHET_OK;
}

void freshet_items_destroy(freshet_items* items) {
  if (items == NULL) return;
  freshet_item_logs_destroy(items->logs);
  freshet_learned_destroy(items->learned);
  freshet_catalogue_destroy(items->catalogue);
  freshet_texts_destroy(items->texts);
  freshet_listing_destroy(items->listing);
  freshet_ranker_destroy(items->ranker);
  freshet_model_destroy(items->model);
  free(items);
}

/* ---- in every turn ---- */

/* Says once that the limit is near, and once that it is reached. Items that are not announced do not count: they give
 * way. */
static void watch_limit(freshet_items* items) {
  size_t count = freshet_listing_announced(items->listing);
  uint32_t most = freshet_model_get_config(items->model)->max_items;
  unsigned percent = count >= most                                                   ? 100
                     : (uint64_t)count * 100 >= (uint64_t)most * NEARLY_FULL_PERCENT ? NEARLY_FULL_PERCENT
                                                                                     : 0;
  if (percent > items->full_percent)
    freshet_log_fact(items->ports.logger, FRESHET_WARN, percent == 100 ? "items.full" : "items.nearly_full",
                     "announced=%zu max_items=%u note=\"%s\"", count, most,
                     percent == 100
                         ? "new items are refused: withdraw others, or raise model.max_items and restart"
                         : "new items will be refused at model.max_items");
  items->full_percent = percent;
}

bool freshet_items_are_crowded(const freshet_items* items) {
  const size_t known = freshet_model_item_count(items->model);
  const size_t most = freshet_model_get_config(items->model)->max_items;
  const size_t spare = known - freshet_listing_announced(items->listing);
  return known > most && spare > most / 4;
}

/* Rows of a new catalogue that the ranker has not got yet: the next list would have to wait for all of them. */
static freshet_status sync_some(freshet_items* items, int64_t until_us, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  do {
    status = freshet_model_sync_many(items->model, items->ranker, error);
  } while (status == FRESHET_OK && freshet_model_has_many_stale(items->model) &&
           freshet_clock_monotonic_us(items->ports.clock) < until_us);
  return status;
}

freshet_status freshet_items_poll(freshet_items* items, int64_t slice_us, freshet_error* error) {
  freshet_clock* clock = items->ports.clock;
  const int64_t until_us = freshet_clock_monotonic_us(clock) + slice_us;
  bool is_all;
  freshet_status status;
  do {
    status = freshet_item_logs_poll(items->logs, 0, &is_all, error);
  } while (status == FRESHET_OK && !is_all && freshet_clock_monotonic_us(clock) < until_us);
  items->is_behind = !is_all;
  if (status == FRESHET_OK) status = freshet_catalogue_turn(items->catalogue, error);
  freshet_listing_turn(items->listing);
  watch_limit(items);
  if (status == FRESHET_OK) status = sync_some(items, until_us, error);
  return status;
}

bool freshet_items_are_behind(const freshet_items* items) {
  return items->is_behind || freshet_model_has_many_stale(items->model);
}

freshet_status freshet_items_catch_up(freshet_items* items, freshet_error* error) {
  freshet_status status = freshet_item_logs_catch_up(items->logs, FRESHET_TOPIC_ITEM_DELTAS, 1, error);
  if (status != FRESHET_OK || items->serving->own == NULL) return status;
  return freshet_item_logs_catch_up(items->logs, FRESHET_TOPIC_APP_GENERATIONS, 1, error);
}

static void confirm(freshet_items* items) {
  freshet_catalogue_confirm(items->catalogue, items->logs, freshet_clock_now_ms(items->ports.clock));
}

bool freshet_items_are_settled(const freshet_items* items) {
  return freshet_learned_is_settled(items->learned, items->logs);
}

freshet_status freshet_items_await(freshet_items* items, int wait_ms, freshet_error* error) {
  bool is_all;
  return freshet_item_logs_poll(items->logs, wait_ms, &is_all, error);
}

void freshet_items_begin(freshet_items* items, const bool* owned) {
  freshet_learned_begin(items->learned, items->logs, owned);
}

freshet_status freshet_items_turn(freshet_items* items, freshet_error* error) {
  bool has_put;
  freshet_status status = freshet_learned_turn(items->learned, &has_put, error);
  if (has_put) confirm(items);
  return status;
}

freshet_status freshet_items_store(freshet_items* items, int wait_ms, bool* stored, freshet_error* error) {
  freshet_status status = freshet_learned_store(items->learned, items->logs, wait_ms, stored, error);
  if (*stored) confirm(items);
  return status;
}

freshet_status freshet_items_store_links(freshet_items* items, freshet_error* error) {
  return freshet_link_rows_store(items->ports.store, items->model, error);
}

/* ---- the parts ---- */

freshet_model* freshet_items_model(const freshet_items* items) {
  return items->model;
}

freshet_listing* freshet_items_listing(const freshet_items* items) {
  return items->listing;
}

freshet_texts* freshet_items_texts(const freshet_items* items) {
  return items->texts;
}

freshet_learned* freshet_items_learned(const freshet_items* items) {
  return items->learned;
}

freshet_status freshet_items_ranker(freshet_items* items, freshet_ranker** ranker, freshet_error* error) {
  *ranker = items->ranker;
  return freshet_model_sync_ranker(items->model, items->ranker, error);
}

bool freshet_items_outdated(const freshet_items* items) {
  return items->generations.outdated;
}

int32_t freshet_items_partitions(const freshet_items* items) {
  return freshet_catalogue_partitions(items->catalogue);
}

bool freshet_items_record(freshet_items* items, freshet_slice item_id, freshet_item* item) {
  return freshet_catalogue_find(items->catalogue, item_id, item);
}
