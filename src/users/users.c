/*
 * users.c: the table of user rows in memory: a bounded cache over the store with the overlay of changed
 * rows. It owns the rows. It must not know lists or ranking.
 */
#include "users/users.h"

#include <stdlib.h>

#include "core/grow.h"
#include "core/prefetch.h"
#include "users/dedup.h"
#include "users/habit_rows.h"
#include "users/shown_rows.h"

/* A row is at the end of a chain of links, each of which may have to come from memory. They are fetched one after the other,
 * each FETCH_EVERY calls of freshet_users_announce after the one before. */
enum { FETCH_LINKS = 3, FETCH_EVERY = FRESHET_USERS_AHEAD / (FETCH_LINKS + 1), FETCH_RING = 16 };
_Static_assert(FETCH_RING > FETCH_LINKS * FETCH_EVERY,
               "the ring holds all users whose rows are on their way");

typedef struct row_list {
  freshet_user_row** rows; /* [count] */
  size_t count;
  size_t capacity;
} row_list;

struct freshet_users {
  freshet_model* model;
  freshet_store* store;
  freshet_codec* codec;
  uint32_t cached_rows;
  freshet_user_row** buckets; /* [bucket_count], a power of two */
  size_t bucket_count;
  size_t count;
  freshet_user_row* newest;
  freshet_user_row* oldest;
  row_list changed;               /* the overlay */
  row_list committing;            /* rows of the transaction under way */
  uint64_t announced[FETCH_RING]; /* hashes, by number modulo FETCH_RING */
  size_t announced_count;
  freshet_buffer bytes;   /* scratch for reading the store */
  freshet_buffer scratch; /* scratch for encoding: item keys */
  freshet_buffer habits;  /* ... and habits */
  freshet_buffer shown;   /* ... and of what was shown */
};

freshet_users* freshet_users_create(freshet_model* model, freshet_store* store, freshet_codec* codec,
                                    uint32_t cached_rows) {
  freshet_users* users = calloc(1, sizeof *users);
  FRESHET_ASSERT(users != NULL);
  users->model = model;
  users->store = store;
  users->codec = codec;
  users->cached_rows = cached_rows;
  users->bucket_count = 1024;
  users->buckets = calloc(users->bucket_count, sizeof *users->buckets);
  FRESHET_ASSERT(users->buckets != NULL);
  return users;
}

static freshet_user_row** bucket_of(const freshet_users* users, uint64_t hash) {
  return &users->buckets[hash & (users->bucket_count - 1)];
}

static void unlink_use(freshet_users* users, freshet_user_row* row) {
  *(row->newer == NULL ? &users->newest : &row->newer->older) = row->older;
  *(row->older == NULL ? &users->oldest : &row->older->newer) = row->newer;
  row->newer = row->older = NULL;
}

static void link_newest(freshet_users* users, freshet_user_row* row) {
  row->older = users->newest;
  row->newer = NULL;
  *(users->newest == NULL ? &users->oldest : &users->newest->newer) = row;
  users->newest = row;
}

static void free_row(freshet_users* users, freshet_user_row* row) {
  freshet_user_row** link = bucket_of(users, row->hash);
  while (*link != row) link = &(*link)->next;
  *link = row->next;
  unlink_use(users, row);
  freshet_user_destroy(row->user);
  free(row->listed);
  free(row);
  users->count--;
}

void freshet_users_destroy(freshet_users* users) {
  if (users == NULL) return;
  while (users->newest != NULL) free_row(users, users->newest);
  free(users->buckets);
  free(users->changed.rows);
  free(users->committing.rows);
  freshet_buffer_free(&users->bytes);
  freshet_buffer_free(&users->scratch);
  freshet_buffer_free(&users->habits);
  freshet_buffer_free(&users->shown);
  free(users);
}

static void grow(freshet_users* users) {
  size_t old_count = users->bucket_count;
  freshet_user_row** old = users->buckets;
  users->bucket_count *= 2;
  users->buckets = calloc(users->bucket_count, sizeof *users->buckets);
  FRESHET_ASSERT(users->buckets != NULL);
  for (size_t i = 0; i < old_count; i++) {
    for (freshet_user_row *row = old[i], *next; row != NULL; row = next) {
      next = row->next;
      row->next = *bucket_of(users, row->hash);
      *bucket_of(users, row->hash) = row;
    }
  }
  free(old);
}

void freshet_users_set_listed(freshet_user_row* row, const uint32_t* slots, size_t count) {
  if (count > row->listed_count) {
    row->listed = realloc(row->listed, count * sizeof *row->listed);
    FRESHET_ASSERT(row->listed != NULL);
  }
  if (count > 0) memcpy(row->listed, slots, count * sizeof *row->listed);
  row->listed_count = (uint32_t)count;
  row->is_list_unknown = false;
}

void freshet_users_set_list_unknown(freshet_user_row* row) {
  freshet_users_set_listed(row, NULL, 0);
  row->is_list_unknown = true;
}

/* That of an empty id, which no item has. An older version takes it for an item that is not listed, and makes the list
 * again. */
static uint64_t unknown_key(void) {
  return freshet_id_key((freshet_slice){"", 0});
}

bool freshet_users_is_list_unknown(const freshet_user_state* state) {
  return state->listed_count == 1 && state->listed[0] == unknown_key();
}

/* An empty row: a user of whom nothing is known. */
static void reset(freshet_users* users, freshet_user_row* row) {
  freshet_user_destroy(row->user);
  row->user = freshet_user_create(users->model);
  row->events = 0;
  row->event_checksum = 0;
  row->newest_offset = -1;
  row->newest_occurred_at_ms = 0;
  row->listed_offset = -1;
  row->refresh_since_ms = 0;
  row->withdrawn_ms = 0;
  row->text_of = 0;
  freshet_user_row_set_owed(row, FRESHET_OWED_WITHDRAWN, false);
  row->exists = false;
  freshet_users_set_listed(row, NULL, 0);
}

/* An item that finds no slot is left out of the history; the rest of the row is right. The latest items of the user bring
 * parked state back into memory. The older ones that it has seen do not: they would fill it for nothing. */
static void fill_user(freshet_users* users, freshet_user* user, const freshet_user_state* state) {
  const freshet_model_config* config = freshet_model_get_config(users->model);
  user->positives = state->positives;
  user->accumulator = state->accumulator;
  if (state->vector != NULL) memcpy(user->vector, state->vector, state->dim * sizeof *user->vector);
  for (size_t i = 0; i < state->recent_count && user->recent_count < FRESHET_HISTORY; i++) {
    uint32_t slot;
    const freshet_stored_interaction* stored = &state->recent[i];
    if (freshet_model_intern_key(users->model, stored->item_key, &slot, NULL) != FRESHET_OK) continue;
    user->recent[user->recent_count++] =
        (freshet_interaction){slot, stored->weight, stored->time_ms, stored->signal};
  }
  for (size_t i = 0; i < state->seen_count; i++) {
    uint32_t slot;
    if (freshet_model_is_parked(users->model, state->seen[i])) continue;
    if (freshet_model_intern_key(users->model, state->seen[i], &slot, NULL) != FRESHET_OK) continue;
    freshet_user_mark_seen(user, slot, config->seen_limit);
    unsigned how = i < state->seen_how.size ? (unsigned char)state->seen_how.data[i] : FRESHET_PURCHASE;
    freshet_user_mark_how(user, slot, how > FRESHET_FEEDBACK ? FRESHET_PURCHASE : (freshet_event_type)how);
  }
  user->visits = state->visits;
  freshet_habits_read(users->model, state->habits, user);
  freshet_shown_read(users->model, state->shown, user);
  if (state->visits == 0) freshet_user_habits_of_history(user); /* of a version that did not count visits */
}

static void fill_listed(freshet_users* users, freshet_user_row* row, const freshet_user_state* state) {
  if (freshet_users_is_list_unknown(state)) {
    freshet_users_set_list_unknown(row);
    return;
  }
  users->scratch.size = 0;
  uint32_t* slots =
      (uint32_t*)(void*)freshet_buffer_reserve(&users->scratch, (state->listed_count + 1) * sizeof *slots);
  size_t count = 0;
  for (size_t i = 0; i < state->listed_count; i++) {
    count += freshet_model_intern_key(users->model, state->listed[i], &slots[count], NULL) == FRESHET_OK;
  }
  freshet_users_set_listed(row, slots, count);
}

static freshet_status read_stored(freshet_users* users, freshet_user_row* row, freshet_error* error) {
  users->bytes.size = 0;
  freshet_status status = freshet_store_get(users->store, FRESHET_FAMILY_USERS, row->partition,
                                            freshet_user_row_id(row), &users->bytes, error);
  if (status == FRESHET_NOT_FOUND) {
    freshet_error_clear(error);
    return FRESHET_OK;
  }
  if (status != FRESHET_OK) return status;
  freshet_user_state state;
  freshet_error cause = {0};
  if (freshet_decode_user_state(users->codec, freshet_buffer_slice(&users->bytes), &state, &cause) !=
      FRESHET_OK) {
    return freshet_error_set(error, FRESHET_DAMAGED, FRESHET_STOP, "stored state of user %.*s: %s",
                             (int)row->id_size, row->id, cause.message);
  }
  const freshet_model_config* config = freshet_model_get_config(users->model);
  if (state.vector != NULL && state.dim != config->dim) {
    return freshet_error_set(
        error, FRESHET_CONFLICT, FRESHET_STOP,
        "stored user vectors have %zu dimensions, model.dim is %u: keep it, or use a new app.id", state.dim,
        config->dim);
  }
  row->events = state.events;
  row->event_checksum = state.event_checksum;
  row->newest_offset = state.newest_offset;
  row->newest_occurred_at_ms = state.newest_occurred_at_ms;
  row->listed_offset = state.listed_offset;
  row->refresh_since_ms = state.refresh_since_ms;
  bool owes_without_event = state.refresh_since_ms != 0 && state.listed_offset >= state.newest_offset;
  freshet_user_row_set_owed(row, FRESHET_OWED_WITHDRAWN, owes_without_event);
  if (owes_without_event) row->withdrawn_ms = state.refresh_since_ms;
  row->exists = true;
  fill_user(users, row->user, &state);
  fill_listed(users, row, &state);
  return FRESHET_OK;
}

uint64_t freshet_users_hash(int32_t partition, freshet_slice user_id) {
  return freshet_id_key(user_id) + (uint64_t)partition;
}

static freshet_user_row* find(const freshet_users* users, uint64_t hash, int32_t partition,
                              freshet_slice user_id) {
  for (freshet_user_row* row = *bucket_of(users, hash); row != NULL; row = row->next) {
    if (row->hash == hash && row->partition == partition &&
        freshet_slice_equal(freshet_user_row_id(row), user_id))
      return row;
  }
  return NULL;
}

freshet_user_row* freshet_users_find(const freshet_users* users, int32_t partition, freshet_slice user_id) {
  return find(users, freshet_users_hash(partition, user_id), partition, user_id);
}

/* ---- what will be read soon ---- */

static void fetch_user(const freshet_user_row* row) {
  freshet_prefetch(row->user, sizeof *row->user);
  freshet_prefetch(row->newer, sizeof *row);
  freshet_prefetch(row->older, sizeof *row);
}

static void fetch_lists(const freshet_users* users, const freshet_user* user) {
  freshet_prefetch_row(user->vector, freshet_model_get_config(users->model)->dim);
  freshet_prefetch(user->seen, user->seen_count * sizeof *user->seen);
  freshet_prefetch(user->seen_how, user->seen_count);
  freshet_prefetch(user->habits, user->habit_count * sizeof *user->habits);
  freshet_prefetch(user->shown, user->shown_count * sizeof *user->shown);
}

static void fetch_link(const freshet_users* users, uint64_t hash, size_t link) {
  const freshet_user_row* row = *bucket_of(users, hash);
  if (link == 1) {
    if (row != NULL) freshet_prefetch(row, sizeof *row);
    return;
  }
  while (row != NULL && row->hash != hash) row = row->next;
  if (row == NULL) return;
  if (link == 2) fetch_user(row);
  if (link == 3) fetch_lists(users, row->user);
}

void freshet_users_announce(freshet_users* users, int32_t partition, freshet_slice user_id) {
  const uint64_t hash = freshet_users_hash(partition, user_id);
  const size_t now = users->announced_count++;
  users->announced[now % FETCH_RING] = hash;
  freshet_prefetch(bucket_of(users, hash), sizeof(freshet_user_row*));
  for (size_t link = 1; link <= FETCH_LINKS && link * FETCH_EVERY <= now; link++)
    fetch_link(users, users->announced[(now - link * FETCH_EVERY) % FETCH_RING], link);
}

/* Row `at`, and what hangs on rows before it, which have arrived by now. */
static void fetch_listed(const freshet_users* users, const row_list* list, size_t at) {
  const size_t row = at + FRESHET_USERS_AHEAD, user = at + FRESHET_USERS_AHEAD - FETCH_EVERY;
  const size_t lists = user - FETCH_EVERY;
  if (row < list->count) freshet_prefetch(list->rows[row], sizeof(freshet_user_row));
  if (user < list->count) freshet_prefetch(list->rows[user]->user, sizeof(freshet_user));
  if (lists < list->count) fetch_lists(users, list->rows[lists]->user);
}

void freshet_users_announce_changed(const freshet_users* users, size_t at) {
  fetch_listed(users, &users->changed, at);
}

static void fetch_flags(const row_list* list, size_t at) {
  if (at + FRESHET_USERS_AHEAD < list->count)
    freshet_prefetch(&list->rows[at + FRESHET_USERS_AHEAD]->dirty, sizeof(bool));
}

/* ---- rows ---- */

freshet_status freshet_users_knows(freshet_users* users, int32_t partition, freshet_slice user_id,
                                   bool* known, freshet_error* error) {
  const freshet_user_row* row = freshet_users_find(users, partition, user_id);
  *known = row != NULL && row->exists;
  if (row != NULL) return FRESHET_OK;
  users->scratch.size = 0;
  freshet_status status =
      freshet_store_get(users->store, FRESHET_FAMILY_USERS, partition, user_id, &users->scratch, error);
  *known = status == FRESHET_OK;
  if (status == FRESHET_NOT_FOUND) freshet_error_clear(error);
  return status == FRESHET_NOT_FOUND ? FRESHET_OK : status;
}

freshet_status freshet_users_get(freshet_users* users, int32_t partition, freshet_slice user_id,
                                 freshet_user_row** out, freshet_error* error) {
  uint64_t hash = freshet_users_hash(partition, user_id);
  freshet_user_row* known = find(users, hash, partition, user_id);
  if (known != NULL) {
    unlink_use(users, known);
    link_newest(users, known);
    *out = known;
    return FRESHET_OK;
  }
  if (users->count >= users->bucket_count) grow(users);
  freshet_user_row* row = calloc(1, sizeof *row + user_id.size);
  FRESHET_ASSERT(row != NULL);
  row->hash = hash;
  row->partition = partition;
  row->id_size = (uint32_t)user_id.size;
  if (user_id.size > 0) memcpy(row->id, user_id.data, user_id.size);
  reset(users, row);
  row->next = *bucket_of(users, hash);
  *bucket_of(users, hash) = row;
  link_newest(users, row);
  users->count++;
  freshet_status status = read_stored(users, row, error);
  if (status != FRESHET_OK) {
    free_row(users, row);
    return status;
  }
  *out = row;
  return FRESHET_OK;
}

void freshet_users_change(freshet_users* users, freshet_user_row* row) {
  row_list* list = &users->changed;
  row->is_written = false;
  if (row->dirty) return;
  list->rows = freshet_grow(list->rows, &list->capacity, list->count + 1, sizeof(freshet_user_row*));
  row->dirty = true;
  list->rows[list->count++] = row;
}

void freshet_users_erase(freshet_users* users, freshet_user_row* row) {
  reset(users, row);
  freshet_users_change(users, row);
}

size_t freshet_users_changed(const freshet_users* users, freshet_user_row* const** rows) {
  *rows = users->changed.rows;
  return users->changed.count;
}

void freshet_users_start_commit(freshet_users* users) {
  FRESHET_ASSERT(users->committing.count == 0);
  row_list emptied = users->committing;
  users->committing = users->changed;
  users->changed = emptied;
  for (size_t i = 0; i < users->committing.count; i++) {
    fetch_flags(&users->committing, i);
    users->committing.rows[i]->dirty = users->committing.rows[i]->is_written = false;
    users->committing.rows[i]->committing = true;
  }
}

void freshet_users_end_commit(freshet_users* users) {
  for (size_t i = 0; i < users->committing.count; i++) {
    fetch_flags(&users->committing, i);
    users->committing.rows[i]->committing = false;
  }
  users->committing.count = 0;
}

void freshet_users_trim(freshet_users* users) {
  for (freshet_user_row *row = users->oldest, *newer; row != NULL && users->count > users->cached_rows;
       row = newer) {
    newer = row->newer;
    if (!row->dirty && !row->committing && !row->touched) free_row(users, row);
  }
}

void freshet_users_drop(freshet_users* users, int32_t partition) {
  size_t kept = 0;
  FRESHET_ASSERT(users->committing.count == 0);
  for (size_t i = 0; i < users->changed.count; i++) {
    freshet_user_row* row = users->changed.rows[i];
    if (row->partition != partition) users->changed.rows[kept++] = row;
  }
  users->changed.count = kept;
  for (freshet_user_row *row = users->oldest, *newer; row != NULL; row = newer) {
    newer = row->newer;
    if (row->partition == partition) free_row(users, row);
  }
}

void freshet_users_each(freshet_users* users, void (*visit)(void* context, freshet_user_row* row),
                        void* context) {
  for (freshet_user_row* row = users->newest; row != NULL; row = row->older) visit(context, row);
}

size_t freshet_users_count(const freshet_users* users) {
  return users->count;
}

static bool all_zero(const float* vector, size_t dim) {
  for (size_t i = 0; i < dim; i++) {
    if (vector[i] != 0) return false;
  }
  return true;
}

freshet_status freshet_users_encode(freshet_users* users, const freshet_user_row* row, freshet_buffer* out,
                                    freshet_error* error) {
  const freshet_user* user = row->user;
  uint32_t dim = freshet_model_get_config(users->model)->dim;
  freshet_stored_interaction recent[FRESHET_HISTORY];
  for (uint32_t i = 0; i < user->recent_count; i++) {
    recent[i] =
        (freshet_stored_interaction){.item_key = freshet_model_item_key(users->model, user->recent[i].item),
                                     .weight = user->recent[i].weight,
                                     .time_ms = user->recent[i].time_ms,
                                     .signal = user->recent[i].signal};
  }
  users->scratch.size = 0;
  uint64_t* seen = (uint64_t*)(void*)freshet_buffer_reserve(
      &users->scratch, ((size_t)user->seen_count + row->listed_count + 1) * sizeof *seen);
  uint64_t* listed = seen + user->seen_count;
  for (uint32_t i = 0; i < row->listed_count; i++)
    listed[i] = freshet_model_item_key(users->model, row->listed[i]);
  if (row->is_list_unknown) listed[0] = unknown_key();
  for (uint32_t i = 0; i < user->seen_count; i++)
    seen[i] = freshet_model_item_key(users->model, user->seen[i]);
  users->habits.size = 0;
  freshet_habits_write(users->model, user, &users->habits);
  users->shown.size = 0;
  freshet_shown_write(users->model, user, &users->shown);
  bool is_zero = all_zero(user->vector, dim);
  freshet_user_state state = {
      .user_id = freshet_user_row_id(row),
      .events = row->events,
      .event_checksum = row->event_checksum,
      .newest_offset = row->newest_offset,
      .newest_occurred_at_ms = row->newest_occurred_at_ms,
      .listed_offset = row->listed_offset,
      .refresh_since_ms = row->refresh_since_ms,
      .positives = user->positives,
      .accumulator = user->accumulator,
      .vector = is_zero ? NULL : user->vector,
      .dim = is_zero ? 0 : dim,
      .recent = recent,
      .recent_count = user->recent_count,
      .seen = seen,
      .seen_count = user->seen_count,
      .seen_how = {(const char*)user->seen_how, user->seen_count},
      .visits = user->visits,
      .habits = freshet_buffer_slice(&users->habits),
      .shown = freshet_buffer_slice(&users->shown),
      .listed = listed,
      .listed_count = row->is_list_unknown ? 1 : row->listed_count,
  };
  return freshet_encode_user_state(users->codec, &state, out, error);
}
