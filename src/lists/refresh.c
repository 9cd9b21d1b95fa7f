/*
 * refresh.c: see refresh.h. A turn collects the rows that are due, in the order of the reasons, and has the publisher
 * serve them.
 */
#include "lists/refresh.h"

#include <stdlib.h>

#include "core/grow.h"
#include "lists/publisher.h"
#include "lists/sweeps.h"

enum {
  LISTS_US = 5000,         /* on a core: lists of a turn */
  URGENT_LISTS_US = 10000, /* near the end of the allowed delay */
  FEW_LISTS = 8,    /* are made in any case, however long they take; and between two looks at the clock */
  MANY_LISTS = 32,  /* at most between two looks at the clock: the next ones may take longer than the last */
  OTHERS_SHARE = 4, /* for each reason: one list in so many, while users with an event wait */
  URGENT_PERCENT = 90,  /* of ranking.max_delay_ms: the end of the allowed delay is near */
  SPREAD_PERCENT = 70,  /* from this share on, users are served while events lag ... */
  GATHER_PERCENT = 72,  /* ... once the first of them has waited so long */
  OUTDATED_PER_S = 200, /* so few that live events do not notice */
  SECOND_US = 1000000,
  SWEEP_US = 1000, /* of a turn, to look for users who are owed a list */
  SWEEPS_OF_TAKING = 1 << FRESHET_OWED_TAKEN_OVER,
  SWEEPS_OF_EVENTS = 1 << FRESHET_OWED_EVENT, /* of postponed lists: once events lag no more */
  NEWEST = 5, /* recent items of a user that a new item must be like to matter to it */
};

struct freshet_refresh {
  freshet_lists lists;
  freshet_publisher* publisher;
  freshet_owed* owed;
  freshet_sweeps* sweeps;
  bool is_sweeping;  /* the last turn has left users to look at */
  int32_t taking;    /* the partition that is being taken over now */
  bool is_far;       /* the last turn had so many events before it that lists nobody reads are not made */
  bool is_postponed; /* lists are owed to users who are not in the queue */
  bool is_cut;       /* the last turn has left lists that are due */
  bool is_gathering; /* the last turn has left no user with an event who was due */
  int64_t list_us;   /* how long one of the last lists took on a core; 0: not known */
  int64_t next_outdated_us;   /* when the next outdated list may be marked */
  freshet_user_row** touched; /* [touched_count] rows with an event in this batch */
  size_t touched_count, touched_capacity;
  freshet_user_row** due; /* [due_count] rows that get the next lists of this turn */
  size_t due_count, due_capacity;
  size_t taken; /* users who have left the queue for them, whether a list was still owed or not */
};

void freshet_refresh_destroy(freshet_refresh* refresh) {
  if (refresh == NULL) return;
  freshet_publisher_destroy(refresh->publisher);
  freshet_owed_destroy(refresh->owed);
  freshet_sweeps_destroy(refresh->sweeps);
  free(refresh->touched);
  free(refresh->due);
  free(refresh);
}

freshet_owed* freshet_refresh_queue(const freshet_refresh* refresh) {
  return refresh->owed;
}

/* ---- who is owed a list ---- */

void freshet_refresh_touch(freshet_refresh* refresh, freshet_user_row* row) {
  if (row->touched) return;
  row->touched = true;
  refresh->touched = freshet_grow(refresh->touched, &refresh->touched_capacity, refresh->touched_count + 1,
                                  sizeof *refresh->touched);
  refresh->touched[refresh->touched_count++] = row;
}

/* Adds the row to the queue, unless it is there for this reason. False: it is. */
static bool owe(freshet_refresh* refresh, freshet_user_row* row, freshet_owed_reason reason,
                int64_t since_ms) {
  if (freshet_user_row_owes(row, reason)) return false;
  freshet_user_row_set_owed(row, reason, true);
  freshet_owed_add(refresh->owed, reason, row->partition, freshet_user_row_id(row), since_ms);
  return true;
}

/* Far behind, lists that nobody reads are not made at all. Nor is a list of a state that is older than the list that is committed.
 * The state knows to whom one is owed. */
static bool is_postponed(const freshet_refresh* refresh, int32_t partition) {
  if (freshet_held_replays(refresh->lists.held, partition)) return true;
  return refresh->is_far && freshet_held_list_topic(refresh->lists.held, partition) == FRESHET_TOPIC_SHADOW;
}

void freshet_refresh_owe(freshet_refresh* refresh, freshet_user_row* row) {
  if (is_postponed(refresh, row->partition)) {
    refresh->is_postponed = true;
  } else {
    owe(refresh, row, FRESHET_OWED_EVENT, row->refresh_since_ms);
  }
}

void freshet_refresh_withdraw(freshet_refresh* refresh, freshet_user_row* row, int64_t since_ms) {
  if (row->withdrawn_ms == 0 || since_ms < row->withdrawn_ms) row->withdrawn_ms = since_ms;
  if (!owe(refresh, row, FRESHET_OWED_WITHDRAWN, since_ms)) return;
  if (row->refresh_since_ms == 0) row->refresh_since_ms = since_ms;
  freshet_users_change(refresh->lists.users, row);
}

void freshet_refresh_outdate(freshet_refresh* refresh, freshet_user_row* row) {
  if (row->exists) owe(refresh, row, FRESHET_OWED_OUTDATED, 0);
}

static void outdate(void* context, freshet_user_row* row) {
  freshet_refresh_outdate(context, row);
}

void freshet_refresh_outdate_all(freshet_refresh* refresh) {
  freshet_users_each(refresh->lists.users, outdate, refresh);
}

void freshet_refresh_forget(freshet_refresh* refresh, int32_t partition) {
  for (int reason = 0; reason < FRESHET_OWED_REASONS; reason++)
    freshet_owed_forget(refresh->owed, reason, partition);
  freshet_sweeps_forget(refresh->sweeps, partition);
}

/* ---- users with something like a new item ---- */

typedef struct alike_search {
  freshet_refresh* refresh;
  const uint64_t* alike; /* bitmap by slot: items whose text is like a new one's */
} alike_search;

static void outdate_if_alike(void* context, freshet_user_row* row) {
  const alike_search* search = context;
  uint32_t newest = row->user->recent_count < NEWEST ? row->user->recent_count : NEWEST;
  for (uint32_t i = 0; row->exists && i < newest; i++) {
    uint32_t slot = row->user->recent[i].item;
    if ((search->alike[slot / 64] >> (slot % 64) & 1) == 0) continue;
    freshet_refresh_outdate(search->refresh, row);
    return;
  }
}

void freshet_refresh_outdate_alike(freshet_refresh* refresh, const uint32_t* slots, size_t count) {
  freshet_model* model = freshet_items_model(refresh->lists.items);
  uint64_t* alike = calloc(freshet_model_item_count(model) / 64 + 1, sizeof *alike);
  FRESHET_ASSERT(alike != NULL);
  for (size_t i = 0; i < count; i++) {
    uint32_t near[FRESHET_TEXT_NEIGHBOURS];
    if (!freshet_model_is_listed(model, slots[i])) continue;
    size_t found = freshet_model_text_neighbours(model, slots[i], near);
    for (size_t n = 0; n < found; n++) alike[near[n] / 64] |= (uint64_t)1 << (near[n] % 64);
  }
  alike_search search = {refresh, alike};
  freshet_users_each(refresh->lists.users, outdate_if_alike, &search);
  free(alike);
}

/* ---- all users of a partition ---- */

static freshet_held_partition* held_events(const freshet_refresh* refresh, int32_t partition) {
  return freshet_held_find(refresh->lists.held, FRESHET_TOPIC_EVENTS, partition);
}

static void owe_taken_over(freshet_refresh* refresh, int32_t partition, freshet_slice user_id) {
  freshet_owed_add(refresh->owed, FRESHET_OWED_TAKEN_OVER, partition, user_id, 0);
  held_events(refresh, partition)->to_take++;
}

/* Rows that the store does not have yet, or not as they are. Those that come to it meanwhile may be met by the sweep as
 * well: then a user gets two lists. */
static void take_over_unstored(void* context, freshet_user_row* row) {
  freshet_refresh* refresh = context;
  const bool is_stored = !row->dirty && !row->committing;
  if (!is_stored && row->exists && row->partition == refresh->taking)
    owe_taken_over(refresh, row->partition, freshet_user_row_id(row));
}

void freshet_refresh_take_over(freshet_refresh* refresh, freshet_held_partition* held) {
  freshet_owed_forget(refresh->owed, FRESHET_OWED_TAKEN_OVER, held->partition); /* of an earlier switch */
  held->to_take = 1;                                                            /* the sweep itself */
  refresh->taking = held->partition;
  freshet_users_each(refresh->lists.users, take_over_unstored, refresh);
  freshet_sweeps_begin(refresh->sweeps, FRESHET_OWED_TAKEN_OVER, held->partition);
}

/* ---- the end of a backlog ---- */

static freshet_status owe_if_unlisted(freshet_refresh* refresh, int32_t partition, freshet_slice user_id,
                                      freshet_slice value, freshet_error* error) {
  freshet_user_state state;
  freshet_user_row* row;
  freshet_status status = freshet_decode_user_state(refresh->lists.ports->codec, value, &state, error);
  if (status != FRESHET_OK) return status;
  if (state.listed_offset >= state.newest_offset && state.refresh_since_ms == 0) return FRESHET_OK;
  status = freshet_users_get(refresh->lists.users, partition, user_id, &row, error);
  if (status == FRESHET_OK) freshet_refresh_owe(refresh, row);
  return status;
}

static void owe_unlisted(void* context, freshet_user_row* row) {
  if (row->exists && freshet_user_row_is_owed(row)) freshet_refresh_owe(context, row);
}

/* All that was postponed goes into the queue: at once of users in memory, bit by bit of the others. */
static void owe_postponed(freshet_refresh* refresh) {
  if (!refresh->is_postponed) return;
  refresh->is_postponed = false;
  freshet_users_each(refresh->lists.users, owe_unlisted, refresh);
  FRESHET_HELD_EACH(held, refresh->lists.held, FRESHET_TOPIC_EVENTS) {
    freshet_sweeps_repeat(refresh->sweeps, FRESHET_OWED_EVENT, held->partition);
  }
}

/* ---- a slice of users in each turn ---- */

static freshet_status look_at(void* context, freshet_owed_reason reason, int32_t partition,
                              freshet_slice user_id, freshet_slice row, freshet_error* error) {
  freshet_refresh* refresh = context;
  if (reason == FRESHET_OWED_EVENT) return owe_if_unlisted(refresh, partition, user_id, row, error);
  owe_taken_over(refresh, partition, user_id);
  return FRESHET_OK;
}

static void end_sweep(void* context, freshet_owed_reason reason, int32_t partition) {
  if (reason == FRESHET_OWED_TAKEN_OVER) held_events(context, partition)->to_take--;
}

/* No row of the batch is needed any more: those that are looked at may take the place of others in memory. */
static freshet_status sweep(freshet_refresh* refresh, bool lagging, freshet_error* error) {
  const unsigned reasons = lagging ? SWEEPS_OF_TAKING : SWEEPS_OF_TAKING | SWEEPS_OF_EVENTS;
  refresh->is_sweeping = false;
  if (!freshet_sweeps_are_due(refresh->sweeps, reasons)) return FRESHET_OK;
  freshet_status status = freshet_sweeps_turn(refresh->sweeps, reasons, SWEEP_US, error);
  freshet_users_trim(refresh->lists.users);
  refresh->is_sweeping = freshet_sweeps_are_due(refresh->sweeps, reasons);
  return status;
}

bool freshet_refresh_is_sweeping(const freshet_refresh* refresh) {
  return refresh->is_sweeping;
}

freshet_refresh* freshet_refresh_create(const freshet_lists* lists, freshet_carriers* carriers) {
  freshet_refresh* refresh = calloc(1, sizeof *refresh);
  FRESHET_ASSERT(refresh != NULL);
  refresh->lists = *lists;
  refresh->publisher = freshet_publisher_create(lists, carriers);
  refresh->owed = freshet_owed_create(lists->ports->outbox);
  const freshet_sweeps_handler handler = {refresh, look_at, end_sweep};
  refresh->sweeps = freshet_sweeps_create(lists->ports, lists->config->survey_rows_a_turn, &handler);
  return refresh;
}

/* ---- who is due ---- */

/* A row that is due for two reasons gets one list. */
static void add_due(freshet_refresh* refresh, freshet_user_row* row) {
  if (row->touched) return;
  row->touched = true;
  refresh->due =
      freshet_grow(refresh->due, &refresh->due_capacity, refresh->due_count + 1, sizeof *refresh->due);
  refresh->due[refresh->due_count++] = row;
}

/* The row's list is made in this turn, so it is neither outdated nor does it carry something withdrawn. */
static void make_due(freshet_refresh* refresh, freshet_user_row* row) {
  freshet_user_row_set_owed(row, FRESHET_OWED_WITHDRAWN, false);
  freshet_user_row_set_owed(row, FRESHET_OWED_OUTDATED, false);
  add_due(refresh, row);
}

/* How long the user with an event who has waited longest has waited; 0: nobody waits for a list now, -1: the clock was set back, and
 * nobody knows. */
static int64_t waited_ms(const freshet_refresh* refresh) {
  const freshet_owed_user* user = freshet_owed_first(refresh->owed, FRESHET_OWED_EVENT);
  if (user == NULL || is_postponed(refresh, user->partition)) return 0;
  const int64_t waited = freshet_clock_now_ms(refresh->lists.ports->clock) - user->since_ms;
  return waited < 0 ? -1 : waited;
}

bool freshet_refresh_is_urgent(const freshet_refresh* refresh) {
  const int64_t waited = waited_ms(refresh);
  return waited < 0 || waited * 100 >= refresh->lists.config->max_delay_ms * URGENT_PERCENT;
}

/* Is the first user with an event served now? While events lag, only from SPREAD_PERCENT of the allowed delay on: so several
 * events make one list, and the lists are spread. Before the first list the ranker has to be brought up to date, which takes as
 * long for one list as for many. So lists gather until there are some. */
static bool is_event_due(const freshet_refresh* refresh, bool lagging) {
  const freshet_owed_user* user = freshet_owed_first(refresh->owed, FRESHET_OWED_EVENT);
  if (user == NULL || is_postponed(refresh, user->partition)) return false;
  const int64_t waited = waited_ms(refresh),
                percent = refresh->is_gathering ? GATHER_PERCENT : SPREAD_PERCENT;
  return !lagging || waited < 0 || waited * 100 >= refresh->lists.config->max_delay_ms * percent;
}

/* The row of the first user with this reason, who leaves the queue. */
static freshet_status take_first(freshet_refresh* refresh, freshet_owed_reason reason, freshet_user_row** row,
                                 freshet_error* error) {
  const freshet_owed_user* user = freshet_owed_first(refresh->owed, reason);
  freshet_status status = freshet_users_get(refresh->lists.users, user->partition, user->id, row, error);
  freshet_owed_drop_first(refresh->owed, reason);
  refresh->taken++;
  return status;
}

static freshet_status collect_withdrawn(freshet_refresh* refresh, size_t most, freshet_error* error) {
  for (size_t taken = 0; taken < most && freshet_owed_first(refresh->owed, FRESHET_OWED_WITHDRAWN) != NULL;
       taken++) {
    freshet_user_row* row;
    freshet_status status = take_first(refresh, FRESHET_OWED_WITHDRAWN, &row, error);
    if (status != FRESHET_OK) return status;
    /* Else it has had a list meanwhile. */
    if (freshet_user_row_owes(row, FRESHET_OWED_WITHDRAWN) && row->exists) make_due(refresh, row);
  }
  return FRESHET_OK;
}

static freshet_status collect_taken_over(freshet_refresh* refresh, size_t most, freshet_error* error) {
  const freshet_owed_user* user;
  for (size_t taken = 0;
       taken < most && (user = freshet_owed_first(refresh->owed, FRESHET_OWED_TAKEN_OVER)) != NULL; taken++) {
    freshet_held_partition* held = held_events(refresh, user->partition);
    freshet_user_row* row;
    freshet_status status = take_first(refresh, FRESHET_OWED_TAKEN_OVER, &row, error);
    if (status != FRESHET_OK) return status;
    held->to_take--;
    if (row->exists) add_due(refresh, row);
  }
  return FRESHET_OK;
}

static freshet_status collect_events(freshet_refresh* refresh, size_t most, bool lagging,
                                     freshet_error* error) {
  for (size_t taken = 0; taken < most && is_event_due(refresh, lagging); taken++) {
    freshet_user_row* row;
    freshet_status status = take_first(refresh, FRESHET_OWED_EVENT, &row, error);
    if (status != FRESHET_OK) return status;
    freshet_user_row_set_owed(row, FRESHET_OWED_EVENT, false);
    if (row->exists && freshet_user_row_is_owed(row)) make_due(refresh, row);
  }
  return FRESHET_OK;
}

/* Outdated lists whose debt is part of the committed state. */
static freshet_status collect_outdated(freshet_refresh* refresh, size_t most, freshet_error* error) {
  for (size_t taken = 0; taken < most && freshet_owed_first(refresh->owed, FRESHET_OWED_OUTDATED) != NULL;
       taken++) {
    freshet_user_row* row;
    freshet_status status = take_first(refresh, FRESHET_OWED_OUTDATED, &row, error);
    if (status != FRESHET_OK) return status;
    /* A row that has been out of memory meanwhile comes back as WITHDRAWN: its state does not tell the two apart. */
    bool is_owed = freshet_user_row_owes(row, FRESHET_OWED_OUTDATED) ||
                   freshet_user_row_owes(row, FRESHET_OWED_WITHDRAWN);
    if (is_owed && row->exists) make_due(refresh, row);
  }
  return FRESHET_OK;
}

/* Makes the debt of outdated lists part of the state, OUTDATED_PER_S at most. */
static freshet_status mark_outdated(freshet_refresh* refresh, freshet_error* error) {
  const freshet_ports* ports = refresh->lists.ports;
  int64_t now_us = freshet_clock_monotonic_us(ports->clock);
  const freshet_owed_user* user;
  if (refresh->next_outdated_us < now_us - SECOND_US) refresh->next_outdated_us = now_us; /* no saving up */
  while (refresh->next_outdated_us <= now_us && (user = freshet_owed_first_unmarked(refresh->owed)) != NULL) {
    freshet_user_row* row;
    freshet_status status = freshet_users_get(refresh->lists.users, user->partition, user->id, &row, error);
    if (status != FRESHET_OK) return status;
    /* Else it has had a list meanwhile, or gets one soon. */
    bool is_owed = row->exists && freshet_user_row_owes(row, FRESHET_OWED_OUTDATED) &&
                   !freshet_user_row_owes(row, FRESHET_OWED_EVENT);
    if (is_owed) {
      refresh->next_outdated_us += SECOND_US / OUTDATED_PER_S;
      if (row->refresh_since_ms == 0) row->refresh_since_ms = freshet_clock_now_ms(ports->clock);
      freshet_users_change(refresh->lists.users, row);
    }
    freshet_owed_mark(refresh->owed, is_owed, row->refresh_since_ms);
  }
  return FRESHET_OK;
}

/* ---- a turn ---- */

/* Users with an event in this batch join the queue. */
static void queue_touched(freshet_refresh* refresh) {
  for (size_t i = 0; i < refresh->touched_count; i++) {
    freshet_user_row* row = refresh->touched[i];
    row->touched = false;
    if (row->exists) freshet_refresh_owe(refresh, row); /* else erased after its event */
  }
  refresh->touched_count = 0;
}

static void forget_due(freshet_refresh* refresh) {
  for (size_t i = 0; i < refresh->due_count; i++) refresh->due[i]->touched = false;
}

/* The rows of the next lists, at most `most` for each reason. While users with an event wait, most lists are theirs. */
static freshet_status collect_due(freshet_refresh* refresh, size_t most, bool lagging, freshet_error* error) {
  size_t others = most;
  if (is_event_due(refresh, lagging)) others = most < OTHERS_SHARE ? 1 : most / OTHERS_SHARE;
  refresh->due_count = refresh->taken = 0;
  freshet_status status = collect_withdrawn(refresh, others, error);
  if (status == FRESHET_OK) status = collect_taken_over(refresh, others, error);
  if (status == FRESHET_OK) status = collect_events(refresh, most, lagging, error);
  if (status == FRESHET_OK && !lagging && !freshet_held_replays(refresh->lists.held, -1))
    status = collect_outdated(refresh, others, error);
  return status;
}

/* How many lists are made before the next look at the clock. 0: left_us is over. */
static size_t next_lists(const freshet_refresh* refresh, int64_t left_us, bool is_first) {
  if (refresh->list_us == 0) return is_first || left_us > 0 ? FEW_LISTS : 0;
  const int64_t fitting = left_us / refresh->list_us;
  if (fitting >= FEW_LISTS) return fitting < MANY_LISTS ? (size_t)fitting : MANY_LISTS;
  return is_first ? FEW_LISTS : 0;
}

static freshet_status serve_due(freshet_refresh* refresh, bool lagging, freshet_error* error) {
  freshet_clock* clock = refresh->lists.ports->clock;
  const bool is_urgent = freshet_refresh_is_urgent(refresh);
  int64_t left_us = is_urgent ? URGENT_LISTS_US : LISTS_US;
  size_t left = is_urgent ? SIZE_MAX : refresh->lists.config->ranking_batch;
  refresh->is_cut = true;
  for (bool is_first = true; left > 0; is_first = false) {
    const size_t fitting = next_lists(refresh, left_us, is_first), most = fitting < left ? fitting : left;
    if (most == 0) return FRESHET_OK;
    const int64_t before_us = freshet_clock_use(clock).cpu_us;
    freshet_status status = collect_due(refresh, most, lagging, error);
    if (status == FRESHET_OK && refresh->due_count > 0)
      status = freshet_publisher_serve(refresh->publisher, refresh->due, refresh->due_count, lagging, error);
    forget_due(refresh);
    if (status != FRESHET_OK) return status;
    if (refresh->taken == 0) break;
    const int64_t took_us = freshet_clock_use(clock).cpu_us - before_us;
    if (refresh->due_count > 0) refresh->list_us = took_us / (int64_t)refresh->due_count;
    left_us -= took_us;
    left -= refresh->due_count < left ? refresh->due_count : left;
  }
  refresh->is_cut = left == 0;
  return FRESHET_OK;
}

bool freshet_refresh_is_due(const freshet_refresh* refresh, bool lagging) {
  if (refresh->touched_count > 0 && !lagging) return true;
  for (int reason = 0; reason < FRESHET_OWED_REASONS; reason++) {
    const bool is_served = reason == FRESHET_OWED_EVENT ? is_event_due(refresh, lagging)
                           : reason == FRESHET_OWED_OUTDATED
                               ? !lagging && !freshet_held_replays(refresh->lists.held, -1)
                               : true;
    if (is_served && freshet_owed_first(refresh->owed, (freshet_owed_reason)reason) != NULL) return true;
  }
  return false;
}

bool freshet_refresh_is_clear(const freshet_refresh* refresh) {
  const unsigned reasons = SWEEPS_OF_TAKING | SWEEPS_OF_EVENTS;
  return !refresh->is_postponed && refresh->touched_count == 0 && freshet_owed_is_clear(refresh->owed) &&
         !freshet_sweeps_are_due(refresh->sweeps, reasons);
}

bool freshet_refresh_is_cut(const freshet_refresh* refresh) {
  return refresh->is_cut;
}

freshet_status freshet_refresh_turn(freshet_refresh* refresh, bool lagging, bool makes_lists,
                                    freshet_error* error) {
  freshet_worker_metrics* metrics = refresh->lists.ports->metrics;
  refresh->is_far = lagging && freshet_held_lag(refresh->lists.held) > refresh->lists.config->far_behind;
  const bool is_replaying = freshet_held_replays(refresh->lists.held, -1);
  queue_touched(refresh);
  if (!lagging && !is_replaying) owe_postponed(refresh);
  refresh->is_gathering = !is_event_due(refresh, lagging);
  freshet_status status = makes_lists ? serve_due(refresh, lagging, error) : FRESHET_OK;
  if (!is_event_due(refresh, lagging)) refresh->is_gathering = true;
  if (status == FRESHET_OK && !lagging && !is_replaying) status = mark_outdated(refresh, error);
  if (status == FRESHET_OK) status = sweep(refresh, lagging, error);
  freshet_gauge(&metrics->refresh_owed, freshet_owed_count(refresh->owed, FRESHET_OWED_EVENT));
  freshet_gauge(&metrics->withdrawals_owed, freshet_owed_count(refresh->owed, FRESHET_OWED_WITHDRAWN));
  return status;
}
