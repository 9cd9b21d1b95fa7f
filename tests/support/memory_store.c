#include "support/memory_store.h"

#include <stdlib.h>

/* Positions are rows of a family of their own. */
enum { POSITIONS = FRESHET_FAMILIES };

typedef struct row {
  int family;
  int32_t partition;
  freshet_buffer key;
  freshet_buffer value;
} row;

typedef enum change_kind { PUT, REMOVE, CLEAR } change_kind;

typedef struct change {
  change_kind kind;
  row row;
} change;

typedef struct memory_store {
  freshet_store base;
  row* rows; /* [row_count] by family, partition, key */
  size_t row_count, row_capacity;
  change* changes; /* [change_count] in the order made */
  size_t change_count, change_capacity;
} memory_store;

static void* grown(void* array, size_t count, size_t* capacity, size_t size) {
  if (count < *capacity) return array;
  *capacity = *capacity == 0 ? 16 : *capacity * 2;
  array = realloc(array, *capacity * size);
  FRESHET_ASSERT(array != NULL);
  return array;
}

static int compare(const row* r, int family, int32_t partition, freshet_slice key) {
  if (r->family != family) return r->family < family ? -1 : 1;
  if (r->partition != partition) return r->partition < partition ? -1 : 1;
  return freshet_slice_compare(freshet_buffer_slice(&r->key), key);
}

/* The first row that is not before the given one. */
static size_t lower_bound(const memory_store* store, int family, int32_t partition, freshet_slice key) {
  size_t low = 0, high = store->row_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (compare(&store->rows[middle], family, partition, key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static row* find(const memory_store* store, int family, int32_t partition, freshet_slice key) {
  size_t at = lower_bound(store, family, partition, key);
  bool found = at < store->row_count && compare(&store->rows[at], family, partition, key) == 0;
  return found ? &store->rows[at] : NULL;
}

static void row_free(row* r) {
  freshet_buffer_free(&r->key);
  freshet_buffer_free(&r->value);
}

static void erase(memory_store* store, size_t at) {
  row_free(&store->rows[at]);
  memmove(&store->rows[at], &store->rows[at + 1], (store->row_count - at - 1) * sizeof(row));
  store->row_count--;
}

static void collect(freshet_store* self, change_kind kind, int family, int32_t partition, freshet_slice key,
                    freshet_slice value) {
  memory_store* store = (memory_store*)self;
  store->changes =
      grown(store->changes, store->change_count, &store->change_capacity, sizeof *store->changes);
  change* made = &store->changes[store->change_count++];
  *made = (change){.kind = kind, .row = {.family = family, .partition = partition}};
  freshet_buffer_append(&made->row.key, key.data, key.size);
  freshet_buffer_append(&made->row.value, value.data, value.size);
}

/* Takes over the buffers of the change. */
static void apply(memory_store* store, change* made) {
  row* r = &made->row;
  freshet_slice key = freshet_buffer_slice(&r->key);
  size_t at = lower_bound(store, r->family, r->partition, made->kind == CLEAR ? (freshet_slice){0} : key);
  if (made->kind == CLEAR) {
    while (at < store->row_count && store->rows[at].family == r->family &&
           store->rows[at].partition == r->partition) {
      erase(store, at);
    }
  } else if (find(store, r->family, r->partition, key) != NULL) {
    erase(store, at);
  }
  if (made->kind != PUT) {
    row_free(r);
    return;
  }
  store->rows = grown(store->rows, store->row_count, &store->row_capacity, sizeof *store->rows);
  memmove(&store->rows[at + 1], &store->rows[at], (store->row_count - at) * sizeof(row));
  store->rows[at] = *r;
  store->row_count++;
}

static freshet_status memory_get(freshet_store* self, freshet_family family, int32_t partition,
                                 freshet_slice key, freshet_buffer* value, freshet_error* error) {
  const row* found = find((memory_store*)self, (int)family, partition, key);
  if (found == NULL) return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "no such row");
  freshet_buffer_append(value, found->value.data, found->value.size);
  return FRESHET_OK;
}

static freshet_status memory_scan(freshet_store* self, freshet_family family, int32_t partition,
                                  freshet_slice prefix, freshet_store_visit visit, void* context,
                                  freshet_error* error) {
  (void)error;
  const memory_store* store = (memory_store*)self;
  for (size_t i = lower_bound(store, (int)family, partition, prefix); i < store->row_count; i++) {
    const row* r = &store->rows[i];
    if (r->family != (int)family || r->partition != partition || r->key.size < prefix.size ||
        (prefix.size > 0 && memcmp(r->key.data, prefix.data, prefix.size) != 0)) {
      break;
    }
    if (!visit(context, freshet_buffer_slice(&r->key), freshet_buffer_slice(&r->value))) break;
  }
  return FRESHET_OK;
}

static freshet_status memory_scan_after(freshet_store* self, freshet_family family, int32_t partition,
                                        freshet_slice after, freshet_store_visit visit, void* context,
                                        freshet_error* error) {
  (void)error;
  const memory_store* store = (memory_store*)self;
  size_t first = lower_bound(store, (int)family, partition, after);
  if (first < store->row_count && store->rows[first].family == (int)family &&
      store->rows[first].partition == partition &&
      freshet_slice_equal(freshet_buffer_slice(&store->rows[first].key), after))
    first++;
  for (size_t i = first; i < store->row_count; i++) {
    const row* r = &store->rows[i];
    if (r->family != (int)family || r->partition != partition) break;
    if (!visit(context, freshet_buffer_slice(&r->key), freshet_buffer_slice(&r->value))) break;
  }
  return FRESHET_OK;
}

static void memory_put(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key,
                       freshet_slice value) {
  collect(self, PUT, (int)family, partition, key, value);
}

static void memory_remove(freshet_store* self, freshet_family family, int32_t partition, freshet_slice key) {
  collect(self, REMOVE, (int)family, partition, key, (freshet_slice){0});
}

static void memory_clear(freshet_store* self, freshet_family family, int32_t partition) {
  collect(self, CLEAR, (int)family, partition, (freshet_slice){0}, (freshet_slice){0});
}

static void memory_set_position(freshet_store* self, freshet_topic topic, int32_t partition, int64_t offset,
                                int64_t time_ms) {
  int64_t position[2] = {offset, time_ms};
  char key = (char)topic;
  collect(self, PUT, POSITIONS, partition, (freshet_slice){&key, 1},
          (freshet_slice){(const char*)position, sizeof position});
}

static freshet_status memory_write(freshet_store* self, freshet_error* error) {
  (void)error;
  memory_store* store = (memory_store*)self;
  for (size_t i = 0; i < store->change_count; i++) apply(store, &store->changes[i]);
  store->change_count = 0;
  return FRESHET_OK;
}

static freshet_status memory_position(freshet_store* self, freshet_topic topic, int32_t partition,
                                      int64_t* offset, int64_t* time_ms, freshet_error* error) {
  char key = (char)topic;
  const row* found = find((memory_store*)self, POSITIONS, partition, (freshet_slice){&key, 1});
  if (found == NULL) return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "no such position");
  memcpy(offset, found->value.data, sizeof *offset);
  memcpy(time_ms, found->value.data + sizeof *offset, sizeof *time_ms);
  return FRESHET_OK;
}

static size_t memory_memory(freshet_store* self) {
  const memory_store* store = (memory_store*)self;
  size_t bytes = store->row_capacity * sizeof(row);
  for (size_t i = 0; i < store->row_count; i++) {
    bytes += store->rows[i].key.capacity + store->rows[i].value.capacity;
  }
  return bytes;
}

static void memory_destroy(freshet_store* self) {
  memory_store* store = (memory_store*)self;
  for (size_t i = 0; i < store->row_count; i++) row_free(&store->rows[i]);
  for (size_t i = 0; i < store->change_count; i++) row_free(&store->changes[i].row);
  free(store->rows);
  free(store->changes);
  free(store);
}

static const freshet_store_vtable vtable = {
    .get = memory_get,
    .scan = memory_scan,
    .scan_after = memory_scan_after,
    .put = memory_put,
    .remove = memory_remove,
    .clear = memory_clear,
    .set_position = memory_set_position,
    .write = memory_write,
    .position = memory_position,
    .memory = memory_memory,
    .destroy = memory_destroy,
};

freshet_store* freshet_memory_store_create(void) {
  memory_store* store = calloc(1, sizeof *store);
  FRESHET_ASSERT(store != NULL);
  store->base.vtable = &vtable;
  return &store->base;
}
