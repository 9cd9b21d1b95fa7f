/* carriers.c: see carriers.h. */
#include "lists/carriers.h"

#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "core/table.h"

/* Rows of users come after this key. The others, whose keys begin with NUL, come before it. */
static const char not_users[] = {'\0', '\xff'};

/* Hashes of user rows: open addressing, 0 is free. */
typedef struct row_set {
  uint64_t* slots; /* [capacity], a power of two; NULL: empty */
  size_t capacity, used;
} row_set;

/* A partition whose users are being counted. */
typedef struct expected {
  int32_t partition;
  freshet_buffer last; /* the last id that was counted */
  row_set ahead;       /* users behind it whose list was replaced: they are counted, too */
} expected;

struct freshet_carriers {
  freshet_model* model;
  uint32_t* counts; /* [capacity] by slot */
  size_t capacity;
  size_t* unknown; /* [partitions] users whose last list carries nobody knows what */
  size_t partitions;
  expected* expected; /* [expected_count] */
  size_t expected_count, expected_capacity;
};

freshet_carriers* freshet_carriers_create(freshet_model* model) {
  freshet_carriers* carriers = calloc(1, sizeof *carriers);
  FRESHET_ASSERT(carriers != NULL);
  carriers->model = model;
  return carriers;
}

void freshet_carriers_destroy(freshet_carriers* carriers) {
  if (carriers == NULL) return;
  while (carriers->expected_count > 0) freshet_carriers_complete(carriers, carriers->expected[0].partition);
  free(carriers->expected);
  freshet_table_free(carriers->counts);
  free(carriers->unknown);
  free(carriers);
}

/* ---- users that are counted before their turn ---- */

static uint64_t* place_of(const row_set* set, uint64_t hash) {
  size_t i = hash & (set->capacity - 1);
  while (set->slots[i] != 0 && set->slots[i] != hash) i = (i + 1) & (set->capacity - 1);
  return &set->slots[i];
}

static bool set_has(const row_set* set, uint64_t hash) {
  return set->used > 0 && *place_of(set, hash == 0 ? 1 : hash) != 0;
}

static void set_grow(row_set* set) {
  row_set grown = {.capacity = set->capacity == 0 ? 64 : set->capacity * 2, .used = set->used};
  grown.slots = calloc(grown.capacity, sizeof *grown.slots);
  FRESHET_ASSERT(grown.slots != NULL);
  for (size_t i = 0; i < set->capacity; i++)
    if (set->slots[i] != 0) *place_of(&grown, set->slots[i]) = set->slots[i];
  free(set->slots);
  *set = grown;
}

/* The hash is not there yet. */
static void set_add(row_set* set, uint64_t hash) {
  if (set->used * 2 >= set->capacity) set_grow(set);
  *place_of(set, hash == 0 ? 1 : hash) = hash == 0 ? 1 : hash;
  set->used++;
}

/* ---- a partition that has come ---- */

static size_t* unknown_of(freshet_carriers* carriers, int32_t partition) {
  const size_t count = carriers->partitions, needed = (size_t)partition + 1;
  if (needed > count) {
    carriers->unknown = realloc(carriers->unknown, needed * sizeof *carriers->unknown);
    FRESHET_ASSERT(carriers->unknown != NULL);
    memset(carriers->unknown + count, 0, (needed - count) * sizeof *carriers->unknown);
    carriers->partitions = needed;
  }
  return &carriers->unknown[partition];
}

static expected* find_expected(const freshet_carriers* carriers, int32_t partition) {
  for (size_t i = 0; i < carriers->expected_count; i++)
    if (carriers->expected[i].partition == partition) return &carriers->expected[i];
  return NULL;
}

void freshet_carriers_expect(freshet_carriers* carriers, int32_t partition) {
  FRESHET_ASSERT(find_expected(carriers, partition) == NULL);
  carriers->expected = freshet_grow(carriers->expected, &carriers->expected_capacity,
                                    carriers->expected_count + 1, sizeof *carriers->expected);
  expected* e = &carriers->expected[carriers->expected_count++];
  *e = (expected){.partition = partition};
  freshet_buffer_append(&e->last, not_users, sizeof not_users);
}

size_t freshet_carriers_expected_count(const freshet_carriers* carriers) {
  return carriers->expected_count;
}

void freshet_carriers_next(const freshet_carriers* carriers, int32_t* partition, freshet_slice* after) {
  FRESHET_ASSERT(carriers->expected_count > 0);
  *partition = carriers->expected[0].partition;
  *after = freshet_buffer_slice(&carriers->expected[0].last);
}

void freshet_carriers_complete(freshet_carriers* carriers, int32_t partition) {
  expected* e = find_expected(carriers, partition);
  if (e == NULL) return;
  freshet_buffer_free(&e->last);
  free(e->ahead.slots);
  size_t behind = carriers->expected_count - (size_t)(e - carriers->expected) - 1;
  memmove(e, e + 1, behind * sizeof *e);
  carriers->expected_count--;
}

void freshet_carriers_leave(freshet_carriers* carriers, int32_t partition) {
  freshet_carriers_complete(carriers, partition);
  *unknown_of(carriers, partition) = 0;
}

static uint32_t* count_of(freshet_carriers* carriers, uint32_t slot) {
  carriers->counts =
      freshet_table_reach(carriers->counts, &carriers->capacity, (size_t)slot + 1, sizeof *carriers->counts);
  return &carriers->counts[slot];
}

bool freshet_carriers_count(freshet_carriers* carriers, int32_t partition, freshet_slice user_id,
                            const freshet_user_state* state) {
  expected* e = find_expected(carriers, partition);
  FRESHET_ASSERT(e != NULL && freshet_slice_compare(user_id, freshet_buffer_slice(&e->last)) > 0);
  e->last.size = 0;
  freshet_buffer_append(&e->last, user_id.data, user_id.size);
  const bool is_replaced = set_has(&e->ahead, freshet_users_hash(partition, user_id));
  bool has_gone = false;
  if (freshet_users_is_list_unknown(state)) {
    *unknown_of(carriers, partition) += !is_replaced;
    return true;
  }
  for (size_t i = 0; i < state->listed_count; i++) {
    uint32_t slot;
    if (freshet_model_intern_key(carriers->model, state->listed[i], &slot, NULL) != FRESHET_OK) continue;
    if (!is_replaced) ++*count_of(carriers, slot);
    has_gone = has_gone || !freshet_model_is_listed(carriers->model, slot);
  }
  return has_gone;
}

/* Is the list of this row among the numbers? If not, it is from now on. */
static bool is_counted(freshet_carriers* carriers, const freshet_user_row* row) {
  expected* e = carriers->expected_count == 0 ? NULL : find_expected(carriers, row->partition);
  if (e == NULL || freshet_slice_compare(freshet_user_row_id(row), freshet_buffer_slice(&e->last)) <= 0 ||
      set_has(&e->ahead, row->hash))
    return true;
  set_add(&e->ahead, row->hash);
  return false;
}

/* What the row's list carries leaves the numbers. */
static void take_out(freshet_carriers* carriers, const freshet_user_row* row) {
  if (!is_counted(carriers, row)) return;
  size_t* unknown = unknown_of(carriers, row->partition);
  if (row->is_list_unknown && *unknown > 0) --*unknown;
  for (uint32_t i = 0; i < row->listed_count; i++) {
    uint32_t* carried = count_of(carriers, row->listed[i]);
    if (*carried > 0) --*carried;
  }
}

bool freshet_carriers_replace(freshet_carriers* carriers, freshet_user_row* row, const uint32_t* slots,
                              size_t count) {
  bool is_same = !row->is_list_unknown && row->listed_count == count &&
                 (count == 0 || memcmp(row->listed, slots, count * sizeof *slots) == 0);
  if (is_same) return false;
  take_out(carriers, row);
  for (size_t i = 0; i < count; i++) ++*count_of(carriers, slots[i]);
  freshet_users_set_listed(row, slots, count);
  return true;
}

void freshet_carriers_forget(freshet_carriers* carriers, freshet_user_row* row) {
  take_out(carriers, row);
  ++*unknown_of(carriers, row->partition);
  freshet_users_set_list_unknown(row);
}

size_t freshet_carriers_unknown(const freshet_carriers* carriers) {
  size_t count = 0;
  for (size_t p = 0; p < carriers->partitions; p++) count += carriers->unknown[p];
  return count;
}

size_t freshet_carriers_gone(const freshet_carriers* carriers) {
  size_t count = freshet_model_item_count(carriers->model), places = 0;
  for (uint32_t slot = 0; slot < count && slot < carriers->capacity; slot++) {
    if (carriers->counts[slot] > 0 && !freshet_model_is_listed(carriers->model, slot))
      places += carriers->counts[slot];
  }
  return places;
}
