#include <stdlib.h>

#include "worker/worker_internal.h"

enum {
  GROUP_ROWS = 256, /* rows ranked between two rounds of publishing */
  BESIDE_LIVE = 32,
  OUTDATED_PER_S = 200,
  NEWEST = 5, /* recent items of a user that a new item must be like to concern it */
};

typedef struct taking {
  freshet_worker* worker;
  freshet_held_partition* held;
} taking;

typedef struct owed_queue {
  owed_refresh* head; /* who waits longest */
  owed_refresh* tail;
  size_t count;
} owed_queue;

struct freshet_refresh {
  const freshet_model* model;
  uint32_t k;
  bool explain;

  owed_queue owed;          /* who has had an event since the last list */
  owed_queue stale;         /* whose list carries something withdrawn */
  owed_queue outdated;      /* whose list misses something new */
  owed_queue marked;        /* of those: owed a list as soon as a commit holds that */
  owed_queue taken;         /* who gets a list because this generation takes over */
  bool postponed;           /* lists are owed to users who are not in `owed` */
  int64_t next_outdated_us; /* when the next of those may be served */

  freshet_user_row** due; /* rows of this call */
  size_t due_count, due_capacity;

  freshet_user_row** rows; /* the group being ranked: a part of due */
  freshet_wish* wishes;    /* [GROUP_ROWS] their lists */
  freshet_pick* picks;     /* [GROUP_ROWS][k] */
  freshet_parts* parts;    /* [GROUP_ROWS][k], NULL unless explain */

  uint32_t* slots;              /* [k] of a list */
  freshet_recommendation* list; /* [k] scratch for encoding */
  freshet_reason* list_reasons; /* [k][FRESHET_PARTS_MAX] */
  freshet_buffer bytes;
};

freshet_refresh* freshet_refresh_create(freshet_worker* worker) {
  freshet_refresh* refresh = calloc(1, sizeof *refresh);
  FRESHET_ASSERT(refresh != NULL);
  size_t k = refresh->k = worker->config.list_size;
  refresh->explain = worker->config.explain;
  refresh->model = freshet_items_model(worker->items);
  refresh->wishes = calloc(GROUP_ROWS, sizeof *refresh->wishes);
  refresh->picks = calloc(GROUP_ROWS * k, sizeof *refresh->picks);
  refresh->list = calloc(k, sizeof *refresh->list);
  refresh->slots = calloc(k, sizeof *refresh->slots);
  FRESHET_ASSERT(refresh->slots != NULL);
  FRESHET_ASSERT(refresh->wishes != NULL && refresh->picks != NULL && refresh->list != NULL);
  if (refresh->explain) {
    refresh->parts = calloc(GROUP_ROWS * k, sizeof *refresh->parts);
    refresh->list_reasons = calloc(k * FRESHET_PARTS_MAX, sizeof *refresh->list_reasons);
    FRESHET_ASSERT(refresh->parts != NULL && refresh->list_reasons != NULL);
  }
  return refresh;
}

static owed_refresh* pop(owed_queue* queue) {
  owed_refresh* owed = queue->head;
  queue->head = owed->next;
  if (queue->head == NULL) queue->tail = NULL;
  queue->count--;
  return owed;
}

static void push(owed_queue* queue, owed_refresh* owed) {
  owed->next = NULL;
  *(queue->tail == NULL ? &queue->head : &queue->tail->next) = owed;
  queue->tail = owed;
  queue->count++;
}

static owed_refresh* make_owed(int32_t partition, freshet_slice id, int64_t since_ms) {
  owed_refresh* owed = malloc(sizeof *owed + id.size);
  FRESHET_ASSERT(owed != NULL);
  *owed = (owed_refresh){.since_ms = since_ms, .partition = partition, .id_size = (uint32_t)id.size};
  memcpy(owed->id, id.data, id.size);
  return owed;
}

void freshet_refresh_destroy(freshet_refresh* refresh) {
  if (refresh == NULL) return;
  while (refresh->owed.head != NULL) free(pop(&refresh->owed));
  while (refresh->stale.head != NULL) free(pop(&refresh->stale));
  while (refresh->outdated.head != NULL) free(pop(&refresh->outdated));
  while (refresh->marked.head != NULL) free(pop(&refresh->marked));
  while (refresh->taken.head != NULL) free(pop(&refresh->taken));
  free(refresh->due);
  free(refresh->wishes);
  free(refresh->picks);
  free(refresh->parts);
  free(refresh->list);
  free(refresh->slots);
  free(refresh->list_reasons);
  freshet_buffer_free(&refresh->bytes);
  free(refresh);
}

/* ---- who is due ---- */

void freshet_worker_owe(freshet_worker* worker, freshet_user_row* row) {
  if (row->queued) return;
  row->queued = true;
  push(&worker->refresh->owed, make_owed(row->partition, freshet_user_row_id(row), row->refresh_since_ms));
}

void freshet_worker_mark_stale(freshet_worker* worker, freshet_user_row* row, int64_t since_ms) {
  if (row->withdrawn_ms == 0 || since_ms < row->withdrawn_ms) row->withdrawn_ms = since_ms;
  if (row->stale) return;
  row->stale = true;
  if (row->refresh_since_ms == 0) row->refresh_since_ms = since_ms;
  freshet_users_change(worker->users, row);
  owed_refresh* owed = make_owed(row->partition, freshet_user_row_id(row), since_ms);
  owed->after_commit = freshet_outbox_commits_started(worker->ports.outbox);
  push(&worker->refresh->stale, owed);
}

size_t freshet_worker_stale_count(const freshet_worker* worker) {
  return worker->refresh->stale.count;
}

bool freshet_worker_stale_unmarked(const freshet_worker* worker) {
  const owed_refresh* newest = worker->refresh->stale.tail;
  return newest != NULL && newest->after_commit == freshet_outbox_commits_started(worker->ports.outbox);
}

static void forget_partition(owed_queue* queue, int32_t partition) {
  owed_queue kept = {0};
  while (queue->head != NULL) {
    owed_refresh* owed = pop(queue);
    if (partition == -1 || owed->partition == partition) {
      free(owed);
    } else {
      push(&kept, owed);
    }
  }
  *queue = kept;
}

void freshet_worker_forget_owed(freshet_worker* worker, int32_t partition) {
  forget_partition(&worker->refresh->owed, partition);
  forget_partition(&worker->refresh->stale, partition);
  forget_partition(&worker->refresh->outdated, partition);
  forget_partition(&worker->refresh->marked, partition);
  forget_partition(&worker->refresh->taken, partition);
}

/* ---- all users of a partition ---- */

static bool take_stored(void* context, freshet_slice key, freshet_slice value) {
  taking* t = context;
  (void)value;
  if (key.size > 0 && key.data[0] == '\0') return true; /* not a user */
  push(&t->worker->refresh->taken, make_owed(t->held->partition, key, 0));
  t->held->to_take++;
  return true;
}

static void take_unstored(void* context, freshet_user_row* row) {
  taking* t = context;
  bool is_stored = !row->dirty && !row->committing;
  if (!is_stored && row->exists && row->partition == t->held->partition)
    take_stored(t, freshet_user_row_id(row), (freshet_slice){NULL, 0});
}

freshet_status freshet_worker_take_users(freshet_worker* worker, freshet_held_partition* held,
                                         freshet_error* error) {
  freshet_store* store = worker->ports.store;
  taking t = {worker, held};
  forget_partition(&worker->refresh->taken, held->partition); /* of an earlier switch */
  held->to_take = 0;
  freshet_users_each(worker->users, take_unstored, &t);
  return freshet_store_scan(store, FRESHET_FAMILY_USERS, held->partition, (freshet_slice){NULL, 0},
                            take_stored, &t, error);
}

static void owe_unlisted(void* context, freshet_user_row* row) {
  if (row->exists && freshet_user_row_is_owed(row)) freshet_worker_owe(context, row);
}

/* The end of a backlog: all that was postponed is owed now. */
static freshet_status owe_postponed(freshet_worker* worker, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (!worker->refresh->postponed) return FRESHET_OK;
  worker->refresh->postponed = false;
  freshet_users_each(worker->users, owe_unlisted, worker);
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPIC_EVENTS) {
    if (status == FRESHET_OK) status = freshet_worker_owe_stored(worker, held, error);
  }
  return status;
}

void freshet_worker_outdate(freshet_worker* worker, freshet_user_row* row) {
  if (!row->exists || row->outdated) return;
  row->outdated = true;
  push(&worker->refresh->outdated, make_owed(row->partition, freshet_user_row_id(row), 0));
}

typedef struct concerned {
  freshet_worker* worker;
  const uint64_t* alike; /* bitmap by slot: items whose text is like a new one's */
} concerned;

static void owe_if_concerned(void* context, freshet_user_row* row) {
  const concerned* c = context;
  uint32_t newest = row->user->recent_count < NEWEST ? row->user->recent_count : NEWEST;
  for (uint32_t i = 0; row->exists && i < newest; i++) {
    uint32_t slot = row->user->recent[i].item;
    if ((c->alike[slot / 64] >> (slot % 64) & 1) == 0) continue;
    freshet_worker_outdate(c->worker, row);
    return;
  }
}

void freshet_worker_refresh_concerned(freshet_worker* worker, const uint32_t* slots, size_t count) {
  freshet_model* model = freshet_items_model(worker->items);
  uint64_t* alike = calloc(freshet_model_item_count(model) / 64 + 1, sizeof *alike);
  FRESHET_ASSERT(alike != NULL);
  for (size_t i = 0; i < count; i++) {
    uint32_t near[FRESHET_TEXT_NEIGHBOURS];
    size_t found =
        freshet_model_is_listed(model, slots[i]) ? freshet_model_text_neighbours(model, slots[i], near) : 0;
    for (size_t n = 0; n < found; n++) alike[near[n] / 64] |= (uint64_t)1 << (near[n] % 64);
  }
  concerned context = {worker, alike};
  freshet_users_each(worker->users, owe_if_concerned, &context);
  free(alike);
}

static void outdate(void* context, freshet_user_row* row) {
  freshet_worker_outdate(context, row);
}

void freshet_worker_refresh_everybody(freshet_worker* worker) {
  freshet_users_each(worker->users, outdate, worker);
}

static void add_due(freshet_refresh* refresh, freshet_user_row* row) {
  if (refresh->due_count == refresh->due_capacity) {
    refresh->due_capacity = refresh->due_capacity == 0 ? GROUP_ROWS : refresh->due_capacity * 2;
    refresh->due = realloc(refresh->due, refresh->due_capacity * sizeof *refresh->due);
    FRESHET_ASSERT(refresh->due != NULL);
  }
  refresh->due[refresh->due_count++] = row;
}

/* How many waiting users a turn may serve. Live events come first: while some are in this very turn, only a
 * few. While lagging, users are served from 70 % of the allowed delay on, so that the work is spread and
 * learning goes on; near the whole delay more of them. */
static size_t most_waiting(const freshet_worker* worker, int64_t waited_ms, bool lagging) {
  size_t batch = worker->config.ranking_batch;
  if (waited_ms >= worker->config.max_delay_ms * 9 / 10) return 4 * batch;
  if (lagging) return waited_ms >= worker->config.max_delay_ms * 7 / 10 ? batch : 0;
  return worker->touched_count == 0 || batch < BESIDE_LIVE ? batch : BESIDE_LIVE;
}

static bool is_due(const freshet_worker* worker, const owed_refresh* owed, int64_t now_ms, bool lagging,
                   size_t taken) {
  return owed != NULL && taken < most_waiting(worker, now_ms - owed->since_ms, lagging);
}

/* Someone waits in `queue`, and the commit that a crash would find them by has ended. */
static bool has_committed(const freshet_worker* worker, const owed_queue* queue) {
  return queue->head != NULL &&
         queue->head->after_commit < freshet_outbox_commits_ended(worker->ports.outbox);
}

/* The row of who waits longest. */
static freshet_status next_row(freshet_worker* worker, owed_queue* queue, freshet_user_row** row,
                               freshet_error* error) {
  owed_refresh* owed = pop(queue);
  freshet_slice id = {owed->id, owed->id_size};
  freshet_status status = freshet_users_get(worker->users, owed->partition, id, row, error);
  free(owed);
  return status;
}

/* Withdrawn items leave lists before anybody else is served, but for who has had an event. */
static freshet_status collect_stale(freshet_worker* worker, bool lagging, freshet_error* error) {
  owed_queue* queue = &worker->refresh->stale;
  size_t most = most_waiting(worker, 0, false);
  for (size_t taken = 0; taken < most && has_committed(worker, queue); taken++) {
    freshet_user_row* row;
    freshet_status status = next_row(worker, queue, &row, error);
    if (status != FRESHET_OK) return status;
    bool has_gone = row->stale && row->exists;
    row->outdated = row->stale = false;
    if (!has_gone || (row->touched && !lagging)) continue; /* has had a list meanwhile, or gets one now */
    add_due(worker->refresh, row);
  }
  return FRESHET_OK;
}

/* OUTDATED_PER_S at most: nobody waits for these, and live events must not notice them. */
static freshet_status mark_outdated(freshet_worker* worker, freshet_error* error) {
  freshet_refresh* refresh = worker->refresh;
  int64_t now_us = freshet_clock_monotonic_us(worker->ports.clock);
  if (refresh->next_outdated_us < now_us - 1000000) refresh->next_outdated_us = now_us; /* no saving up */
  while (refresh->outdated.head != NULL && refresh->next_outdated_us <= now_us) {
    freshet_user_row* row;
    freshet_status status = next_row(worker, &refresh->outdated, &row, error);
    if (status != FRESHET_OK) return status;
    if (!row->exists || !row->outdated || row->touched)
      continue; /* has had a list meanwhile, or gets one now */
    refresh->next_outdated_us += 1000000 / OUTDATED_PER_S;
    if (row->refresh_since_ms == 0) row->refresh_since_ms = freshet_clock_now_ms(worker->ports.clock);
    freshet_users_change(worker->users, row);
    owed_refresh* owed = make_owed(row->partition, freshet_user_row_id(row), row->refresh_since_ms);
    owed->after_commit = freshet_outbox_commits_started(worker->ports.outbox);
    push(&refresh->marked, owed);
  }
  return FRESHET_OK;
}

/* A list that no event would bring again after a crash: see withdrawals.h. */
static freshet_status collect_marked(freshet_worker* worker, freshet_error* error) {
  owed_queue* queue = &worker->refresh->marked;
  size_t most = most_waiting(worker, 0, false);
  for (size_t taken = 0; taken < most && has_committed(worker, queue); taken++) {
    freshet_user_row* row;
    freshet_status status = next_row(worker, queue, &row, error);
    if (status != FRESHET_OK) return status;
    bool is_owed = (row->outdated || row->stale) && row->exists; /* stale: it has been out of memory */
    if (!is_owed || row->touched) continue;
    row->outdated = row->stale = false;
    add_due(worker->refresh, row);
  }
  return FRESHET_OK;
}

/* Who takes over from another generation: as many as near the end of the allowed delay. */
static freshet_status collect_taken(freshet_worker* worker, freshet_error* error) {
  freshet_refresh* refresh = worker->refresh;
  size_t most = most_waiting(worker, worker->config.max_delay_ms, false);
  for (size_t taken = 0; taken < most && refresh->taken.head != NULL; taken++) {
    freshet_user_row* row;
    freshet_held_partition* held =
        freshet_held_find(worker->held, FRESHET_TOPIC_EVENTS, refresh->taken.head->partition);
    freshet_status status = next_row(worker, &refresh->taken, &row, error);
    if (status != FRESHET_OK) return status;
    held->to_take--;
    if (row->exists) add_due(refresh, row);
  }
  return FRESHET_OK;
}

/* Far behind, lists that nobody reads are not made at all. The state knows who has none. */
static bool is_postponed(const freshet_worker* worker, int32_t partition, bool far) {
  return far && freshet_held_list_topic(worker->held, partition) == FRESHET_TOPIC_SHADOW;
}

static freshet_status collect_due(freshet_worker* worker, bool lagging, freshet_error* error) {
  freshet_refresh* refresh = worker->refresh;
  bool far = lagging && freshet_held_lag(worker->held) > worker->config.far_behind;
  int64_t now_ms = freshet_clock_now_ms(worker->ports.clock);
  refresh->due_count = 0;
  for (size_t i = 0; i < worker->touched_count; i++) {
    freshet_user_row* row = worker->touched[i];
    if (!row->exists) continue; /* erased after its event */
    if (is_postponed(worker, row->partition, far)) {
      refresh->postponed = true;
    } else if (lagging) {
      freshet_worker_owe(worker, row);
    } else {
      add_due(refresh, row);
    }
  }
  freshet_status status = lagging ? FRESHET_OK : owe_postponed(worker, error);
  if (status == FRESHET_OK) status = collect_stale(worker, lagging, error);
  if (status == FRESHET_OK) status = collect_taken(worker, error);
  if (status != FRESHET_OK) return status;
  for (size_t taken = 0; is_due(worker, refresh->owed.head, now_ms, lagging, taken); taken++) {
    if (is_postponed(worker, refresh->owed.head->partition, far)) break;
    freshet_user_row* row;
    status = next_row(worker, &refresh->owed, &row, error);
    if (status != FRESHET_OK) return status;
    row->queued = false;
    bool is_due_already = row->touched && !lagging;
    if (!row->exists || !freshet_user_row_is_owed(row) || is_due_already) continue;
    row->outdated = row->stale = false;
    add_due(refresh, row);
  }
  if (lagging) return FRESHET_OK;
  status = collect_marked(worker, error);
  return status == FRESHET_OK ? mark_outdated(worker, error) : status;
}

/* ---- publishing ---- */

/* The reasons of entry r of the list in row i of the group, as views into the model. */
static void fill_reasons(const freshet_refresh* refresh, size_t i, size_t r, freshet_recommendation* entry) {
  const freshet_parts* why = &refresh->parts[i * refresh->k + r];
  freshet_reason* out = refresh->list_reasons + r * FRESHET_PARTS_MAX;
  for (size_t p = 0; p < why->count; p++) {
    out[p] = (freshet_reason){.kind = why->parts[p].kind, .score = why->parts[p].score};
    if (why->parts[p].item != FRESHET_NO_ITEM) {
      out[p].item_id = freshet_model_item_id(refresh->model, why->parts[p].item);
    }
  }
  entry->reasons = out;
  entry->reason_count = why->count;
}

/* Encodes the list so that its topic takes it: without reasons, then with fewer items, if need be. */
static freshet_status encode_to_fit(freshet_worker* worker, freshet_list* list, freshet_topic topic,
                                    freshet_error* error) {
  freshet_refresh* refresh = worker->refresh;
  size_t limit = freshet_outbox_limit(worker->ports.outbox, topic);
  for (bool first = true;; first = false) {
    refresh->bytes.size = 0;
    freshet_status status = freshet_encode_list(worker->ports.codec, list, &refresh->bytes, error);
    bool fits = list->item_count == 0 || refresh->bytes.size + list->user_id.size <= limit;
    if (status != FRESHET_OK || fits) return status;
    if (first) freshet_count(&worker->ports.metrics->lists_shortened, 1);
    if (!first) list->item_count /= 2;
    for (size_t r = 0; r < list->item_count; r++) refresh->list[r].reason_count = 0;
  }
}

static freshet_status publish_row(freshet_worker* worker, size_t i, int64_t now_ms, freshet_error* error) {
  freshet_refresh* refresh = worker->refresh;
  freshet_user_row* row = refresh->rows[i];
  for (size_t r = 0; r < refresh->wishes[i].count; r++) {
    const freshet_pick* pick = &refresh->wishes[i].picks[r];
    refresh->slots[r] = pick->item;
    refresh->list[r] = (freshet_recommendation){.item_id = freshet_model_item_id(refresh->model, pick->item),
                                                .score = pick->score,
                                                .propensity = pick->propensity};
    if (refresh->explain) fill_reasons(refresh, i, r, &refresh->list[r]);
  }
  freshet_list list = {.user_id = freshet_user_row_id(row),
                       .version_partition = row->partition,
                       .version_offset = row->newest_offset,
                       .event_occurred_at_ms = row->newest_occurred_at_ms,
                       .generated_at_ms = now_ms,
                       .items = refresh->list,
                       .item_count = refresh->wishes[i].count};
  freshet_topic topic = freshet_held_list_topic(worker->held, row->partition);
  freshet_status status = encode_to_fit(worker, &list, topic, error);
  if (status != FRESHET_OK) return status;
  freshet_output output = {.topic = topic,
                           .partition = -1,
                           .key = freshet_user_row_id(row),
                           .has_value = true,
                           .value = freshet_buffer_slice(&refresh->bytes)};
  status = freshet_outbox_add(worker->ports.outbox, &output, FRESHET_BY_DELIVERY, error);
  if (status != FRESHET_OK) return status;
  bool was_listed = row->listed_offset == row->newest_offset && row->refresh_since_ms == 0;
  row->listed_offset = row->newest_offset;
  row->refresh_since_ms = 0;
  row->outdated = row->stale = false;
  bool differs =
      freshet_withdrawals_replace(worker->withdrawals, row, refresh->slots, refresh->wishes[i].count);
  if (!was_listed || differs) freshet_users_change(worker->users, row);
  if (row->withdrawn_ms > 0) {
    freshet_histogram_observe(&worker->ports.metrics->withdrawal, (now_ms - row->withdrawn_ms) * 1000);
    row->withdrawn_ms = 0;
  }
  freshet_count(&worker->ports.metrics->lists_published, 1);
  if (row->record_time_ms > 0) {
    freshet_histogram_observe(&worker->ports.metrics->event_to_list, (now_ms - row->record_time_ms) * 1000);
    row->record_time_ms = 0; /* its first list; later ones of the same version tell nothing */
  }
  return FRESHET_OK;
}

static freshet_status serve_group(freshet_worker* worker, freshet_user_row** rows, size_t count,
                                  freshet_error* error) {
  freshet_refresh* refresh = worker->refresh;
  freshet_clock* clock = worker->ports.clock;
  size_t k = refresh->k;
  refresh->rows = rows;
  for (size_t i = 0; i < count; i++) {
    freshet_user_texts_see_to(worker->user_texts, rows[i]);
    /* As of the user's newest event, not as of now: the same when live, and right when history is
     * replayed. */
    refresh->wishes[i] = (freshet_wish){.user = rows[i]->user,
                                        .time_ms = rows[i]->newest_occurred_at_ms,
                                        .k = refresh->k,
                                        .seed = rows[i]->hash + (uint64_t)rows[i]->newest_offset,
                                        .picks = refresh->picks + i * k,
                                        .parts = refresh->explain ? refresh->parts + i * k : NULL};
  }
  int64_t start_us = freshet_clock_monotonic_us(clock);
  freshet_status status = freshet_ranking_run(worker->ranking, refresh->wishes, count, error);
  if (status != FRESHET_OK) return status;
  freshet_histogram_observe(&worker->ports.metrics->rank,
                            (freshet_clock_monotonic_us(clock) - start_us) / (int64_t)count);
  int64_t now_ms = freshet_clock_now_ms(clock);
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) status = publish_row(worker, i, now_ms, error);
  return status;
}

freshet_status freshet_worker_refresh(freshet_worker* worker, bool lagging, freshet_error* error) {
  freshet_refresh* refresh = worker->refresh;
  freshet_status status = collect_due(worker, lagging, error);
  for (size_t i = 0; i < worker->touched_count; i++) worker->touched[i]->touched = false;
  worker->touched_count = 0;
  freshet_gauge(&worker->ports.metrics->refresh_owed, refresh->owed.count);
  freshet_gauge(&worker->ports.metrics->withdrawals_owed, refresh->stale.count);
  if (status != FRESHET_OK || refresh->due_count == 0) return status;
  for (size_t i = 0; status == FRESHET_OK && i < refresh->due_count; i += GROUP_ROWS) {
    size_t count = refresh->due_count - i < GROUP_ROWS ? refresh->due_count - i : GROUP_ROWS;
    status = serve_group(worker, refresh->due + i, count, error);
  }
  return status;
}
