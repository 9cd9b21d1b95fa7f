/* derived.c: makes the objects in memory in the order in which they build on each other; see derived.h. */
#include "worker/derived.h"

#include <stdlib.h>

#include "users/dedup.h"

freshet_derived* freshet_derived_create(const freshet_derived* given, freshet_inbox* inbox,
                                        freshet_intake_erase erase, void* erase_context) {
  freshet_derived* derived = calloc(1, sizeof *derived);
  FRESHET_ASSERT(derived != NULL);
  *derived = (freshet_derived){.config = given->config,
                               .ports = given->ports,
                               .held = given->held,
                               .serving = given->serving,
                               .user_partitions = given->user_partitions};
  derived->answers = freshet_answers_create(given->ports, given->held, inbox, erase, erase_context);
  derived->user_texts = freshet_user_texts_create(given->ports);
  return derived;
}

void freshet_derived_destroy(freshet_derived* derived) {
  if (derived == NULL) return;
  freshet_derived_unload(derived);
  freshet_answers_destroy(derived->answers);
  freshet_user_texts_destroy(derived->user_texts);
  FRESHET_HELD_EACH(held, derived->held, FRESHET_TOPIC_EVENTS) {
    freshet_dedup_destroy(held->dedup);
    held->dedup = NULL;
  }
  free(derived);
}

/* ---- loading ---- */

/* The log may say that other text vectors serve than the store knew; then the tables are loaded again. */
static freshet_status load_items(freshet_derived* derived, freshet_error* error) {
  freshet_status status;
  do {
    freshet_items_destroy(derived->items);
    derived->items = NULL;
    status = freshet_items_create(derived->config, derived->ports, derived->serving, &derived->items, error);
  } while (status == FRESHET_OK && freshet_items_outdated(derived->items));
  return status;
}

/* A text is encoded that is not an item's: a request's, or that of a user's history. */
static void text_encoded(void* context, const freshet_embedded* embedded) {
  freshet_derived* derived = context;
  if (embedded->priority == FRESHET_EMBED_REQUEST) {
    freshet_answers_encoded(derived->answers, embedded);
  } else {
    freshet_user_row* row = freshet_user_texts_encoded(derived->user_texts, embedded);
    if (row != NULL) freshet_refresh_outdate(derived->refresh, row);
  }
}

static void create_lists(freshet_derived* derived) {
  const freshet_lists lists = {.config = derived->config,
                               .ports = derived->ports,
                               .held = derived->held,
                               .items = derived->items,
                               .users = derived->users,
                               .ranking = derived->ranking,
                               .user_texts = derived->user_texts};
  derived->carriers = freshet_carriers_create(freshet_items_model(derived->items));
  derived->refresh = freshet_refresh_create(&lists, derived->carriers);
  derived->withdrawals = freshet_withdrawals_create(&lists, derived->carriers, derived->refresh);
  derived->survey = (freshet_survey){.config = derived->config,
                                     .ports = derived->ports,
                                     .users = derived->users,
                                     .carriers = derived->carriers,
                                     .refresh = derived->refresh,
                                     .withdrawals = derived->withdrawals};
  freshet_answers_load(derived->answers, &lists, derived->user_partitions);
}

freshet_status freshet_derived_load(freshet_derived* derived, freshet_error* error) {
  const freshet_ports* ports = derived->ports;
  freshet_status status = load_items(derived, error);
  if (status != FRESHET_OK) return status;
  derived->links =
      freshet_text_links_create(ports, freshet_items_model(derived->items), derived->config->link_slice_us);
  derived->users = freshet_users_create(freshet_items_model(derived->items), ports->store, ports->codec,
                                        derived->config->cached_users);
  derived->ranking = freshet_ranking_create(derived->items, derived->config->ranking_threads,
                                            derived->config->lagging_threads, error);
  if (derived->ranking == NULL) return FRESHET_NO_MEMORY;
  create_lists(derived);
  freshet_user_texts_load(derived->user_texts, derived->items, derived->users);
  freshet_texts_serve_others(freshet_items_texts(derived->items), text_encoded, derived);
  return FRESHET_OK;
}

void freshet_derived_unload(freshet_derived* derived) {
  freshet_answers_unload(derived->answers);
  freshet_user_texts_load(derived->user_texts, NULL, NULL);
  freshet_withdrawals_destroy(derived->withdrawals);
  freshet_refresh_destroy(derived->refresh);
  freshet_carriers_destroy(derived->carriers);
  freshet_ranking_destroy(derived->ranking);
  freshet_users_destroy(derived->users);
  freshet_text_links_destroy(derived->links);
  freshet_items_destroy(derived->items);
  derived->withdrawals = NULL;
  derived->refresh = NULL;
  derived->carriers = NULL;
  derived->ranking = NULL;
  derived->users = NULL;
  derived->links = NULL;
  derived->items = NULL;
}

freshet_homes freshet_derived_homes(const freshet_derived* derived) {
  return (freshet_homes){derived->config->partitioner, derived->user_partitions, derived->held,
                         derived->users};
}

/* ---- partitions ---- */

typedef struct loading {
  freshet_held_partition* held;
  freshet_status status;
  freshet_error* error;
} loading;

static bool load_chunk(void* context, freshet_slice key, freshet_slice value) {
  loading* load = context;
  load->status = freshet_dedup_load(load->held->dedup, key, value, load->error);
  return load->status == FRESHET_OK;
}

freshet_status freshet_derived_load_partition(freshet_derived* derived, freshet_held_partition* held,
                                              freshet_error* error) {
  const freshet_slice no_users = {freshet_dedup_key_prefix, 1};
  freshet_dedup_destroy(held->dedup);
  held->dedup = freshet_dedup_create(derived->config->dedup_events, derived->config->dedup_window_ms);
  loading load = {held, FRESHET_OK, error};
  freshet_carriers_expect(derived->carriers, held->partition);
  freshet_withdrawals_expect(derived->withdrawals, held);
  freshet_status status = freshet_store_scan(derived->ports->store, FRESHET_FAMILY_USERS, held->partition,
                                             no_users, load_chunk, &load, error);
  if (status == FRESHET_OK) status = load.status;
  return status;
}

void freshet_derived_release_partition(freshet_derived* derived, freshet_held_partition* held) {
  if (held->topic == FRESHET_TOPIC_EVENTS) {
    freshet_users_drop(derived->users, held->partition);
    freshet_refresh_forget(derived->refresh, held->partition);
    freshet_carriers_leave(derived->carriers, held->partition);
  }
  if (held->topic == FRESHET_TOPIC_REQUESTS) freshet_answers_forget(derived->answers, held->partition);
  freshet_dedup_destroy(held->dedup);
  held->dedup = NULL;
}
