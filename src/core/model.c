/*
 * model.c: creates a model and owns its memory: the table of items, users, and the lists of what has
 * changed. What the other files of the model are for is in model_internal.h. How an event changes the
 * numbers is not its matter.
 */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "core/model_doubt.h"
#include "core/model_favour.h"
#include "core/model_internal.h"
#include "core/model_sessions.h"
#include "core/table.h"

enum { FIRST_CAPACITY = 1024, ID_BLOCK_BYTES = 16384 };

freshet_model_config freshet_model_defaults(void) {
  return (freshet_model_config){.dim = 64,
                                .neighbours = 128,
                                .negatives = 31,
                                .text_dim = 0,
                                .max_items = 1000000,
                                .seen_limit = 1000,
                                .seed = 1,
                                .learning = true};
}

void* freshet_model_zeros(size_t size) {
  const size_t bytes = (size + 63) / 64 * 64;
  void* zeros = aligned_alloc(64, bytes == 0 ? 64 : bytes);
  FRESHET_ASSERT(zeros != NULL);
  memset(zeros, 0, bytes);
  return zeros;
}

float* freshet_model_floats(size_t count) {
  return freshet_model_zeros(count * sizeof(float));
}

/* ---- growth ---- */

void* freshet_model_table(void* table, size_t count, size_t size) {
  void* grown = freshet_table_grow(table, count, size);
  FRESHET_ASSERT(grown != NULL);
  return grown;
}

static void grow_items(freshet_model* model, uint32_t capacity) {
  const uint32_t dim = model->config.dim;
  model->items = freshet_model_table(model->items, capacity, sizeof *model->items);
  model->counts = freshet_model_table(model->counts, capacity, sizeof *model->counts);
  model->roots = freshet_model_table(model->roots, capacity, sizeof *model->roots);
  model->levels = freshet_model_table(model->levels, capacity, sizeof *model->levels);
  model->factors = freshet_model_table(model->factors, capacity, dim * sizeof(float));
  model->context_rows = freshet_model_table(model->context_rows, capacity, sizeof *model->context_rows);
  model->changed = freshet_model_table(model->changed, capacity, sizeof *model->changed);
  model->drained = freshet_model_table(model->drained, capacity, sizeof *model->drained);
  model->stale = freshet_model_table(model->stale, capacity, sizeof *model->stale);
  model->marks.of = freshet_model_table(model->marks.of, (size_t)capacity + 3, sizeof *model->marks.of);
  freshet_model_text_grow(model, capacity);
  model->capacity = capacity;
}

/* ---- creation ---- */

static freshet_status check_config(const freshet_model_config* c, freshet_error* error) {
  const struct {
    const char* name;
    uint32_t value, low, high;
  } bounds[] = {
      {"model.dim", c->dim, FRESHET_LANES, DIM_MAX},
      {"model.neighbours", c->neighbours, 1, NEIGHBOURS_MAX},
      {"model.negatives", c->negatives, 1, NEGATIVES_MAX},
      {"the dimension of text vectors", c->text_dim, 0, TEXT_DIM_MAX},
      {"model.max_items", c->max_items, 1, ITEMS_MAX},
      {"model.seen_limit", c->seen_limit, 1, ITEMS_MAX},
  };
  for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
    if (bounds[i].value < bounds[i].low || bounds[i].value > bounds[i].high) {
      return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s is %u; it must be %u to %u",
                               bounds[i].name, bounds[i].value, bounds[i].low, bounds[i].high);
    }
  }
  if (c->dim % FRESHET_LANES != 0) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "model.dim is %u; it must be a multiple of %d", c->dim, FRESHET_LANES);
  }
  return FRESHET_OK;
}

void freshet_model_powers(float base, float out[FRESHET_HISTORY]) {
  out[0] = 1;
  for (int k = 1; k < FRESHET_HISTORY; k++) out[k] = out[k - 1] * base;
}

static void init_blend(freshet_model* model) {
  static const double th[FEATURES] = {
      [FOLLOWS] = 1, [TOGETHER_NOW] = .5, [TOGETHER_BEFORE] = .2, [SIMILAR_TEXT] = .5, [TASTE] = 1};
  static const double lg[GAP_BUCKETS] = {0, .3, .2, -.3, -1, -2, -3};
  for (int i = 0; i < FEATURES; i++) model->blend[TH + i] = freshet_grid(th[i]);
  for (int i = 0; i < GAP_BUCKETS; i++) model->blend[LG + i] = freshet_grid(lg[i]);
  for (int i = 0; i < AGAIN_END; i++) {
    model->blend_squares[i] = freshet_grid(FRESHET_BLEND_SQUARES_START);
    model->blend_rates[i] = i >= TB && i < PSI ? .006F : .003F;
  }
  freshet_model_init_habits(model);
  freshet_model_init_worth(model);
  freshet_model_init_sessions(model);
  freshet_model_init_doubt(model);
  freshet_model_init_favour(model);
  freshet_model_init_shown(model);
  memcpy(model->pending_blend, model->blend, sizeof model->blend);
  memcpy(model->pending_blend_squares, model->blend_squares, sizeof model->blend_squares);
}

freshet_status freshet_model_create(const freshet_model_config* config, freshet_model** model,
                                    freshet_error* error) {
  *model = NULL;
  freshet_status status = check_config(config, error);
  if (status != FRESHET_OK) return status;
  freshet_model* made = freshet_model_zeros(sizeof *made);
  made->config = *config;
  made->kernels = freshet_model_kernels_best();
  made->drains = 1;
  freshet_model_init_order(made);
  freshet_model_powers(.9F, made->together_decay);
  freshet_model_powers(.95F, made->text_decay);
  freshet_model_powers(.85F, made->context_decay);
  made->step = freshet_model_zeros(sizeof *made->step);
  made->user_factor = freshet_model_floats(config->dim);
  made->slope = freshet_model_floats(config->dim);
  freshet_marks_init(&made->marks);
  made->worth = freshet_model_worth_bases(made->kernels);
  init_blend(made);
  freshet_model_popularity_init(made);
  freshet_model_negatives_init(made);
  freshet_model_text_init(made);
  grow_items(made, config->max_items < FIRST_CAPACITY ? config->max_items : FIRST_CAPACITY);
  *model = made;
  return FRESHET_OK;
}

void freshet_model_destroy(freshet_model* model) {
  if (model == NULL) return;
  for (uint32_t i = 0; i < model->count; i++) {
    freshet_model_neighbours_free(&model->items[i].near);
  }
  while (model->ids != NULL) {
    id_block* block = model->ids;
    model->ids = block->next;
    free(block);
  }
  void* tables[] = {model->items,   model->counts,          model->roots,   model->levels,
                    model->factors, model->context_rows,    model->changed, model->drained,
                    model->stale,   model->context_factors, model->marks.of};
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) freshet_table_free(tables[i]);
  freshet_model_table_free(model);
  freshet_sorter_free(&model->sorter);
  void* owned[] = {model->step, model->worth, model->user_factor, model->slope};
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
  freshet_model_text_free(model);
  freshet_model_free_deltas(model);
  free(model);
}

const freshet_model_config* freshet_model_get_config(const freshet_model* model) {
  return &model->config;
}

size_t freshet_model_memory(const freshet_model* model) {
  size_t row = model->config.dim * sizeof(float);
  size_t per_item = sizeof(item) + row + 6 * sizeof(uint32_t) + 2;
  return sizeof *model + sizeof *model->step + model->count * per_item + model->context_count * row +
         freshet_model_text_memory(model) + model->owned_bytes + freshet_model_table_memory(model) +
         freshet_sorter_memory(&model->sorter) + freshet_model_delta_memory(model);
}

/* ---- items ---- */

static bool is_parked(const freshet_model* model, uint64_t key);

/* A new item whose learned state is kept outside gets it back. */
static freshet_status fetch_parked(freshet_model* model, uint32_t slot, freshet_error* error) {
  const uint64_t key = model->items[slot].key;
  if (!is_parked(model, key)) return FRESHET_OK;
  freshet_buffer bytes = {0};
  freshet_status status = FRESHET_OK;
  if (model->parked.fetch(model->parked.context, key, &bytes))
    status = freshet_model_read_item(model, slot, freshet_buffer_slice(&bytes), error);
  freshet_buffer_free(&bytes);
  return status;
}

/* most: how many items there may be with this one. */
static freshet_status add_item(freshet_model* model, uint64_t key, uint32_t most, uint32_t* slot,
                               freshet_error* error) {
  if (model->count >= most) {
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP,
                             "there are already %u items (model.max_items)", model->count);
  }
  if (model->count == model->capacity) {
    const uint32_t more = model->capacity + model->capacity / 4 + 1;
    grow_items(model, more < most ? more : most);
  }
  uint32_t made = model->count++;
  item* it = &model->items[made];
  *it = (item){.key = key, .next = FRESHET_NO_ITEM};
  it->near.smallest = UNKNOWN_SMALLEST;
  model->counts[made] = 0;
  model->roots[made] = 1;
  model->levels[made] = 0;
  freshet_model_start_factors(model, key, freshet_model_factor(model, made), NULL);
  freshet_model_table_insert(model, made);
  *slot = made;
  return fetch_parked(model, made, error);
}

void freshet_model_set_parked(freshet_model* model, const freshet_model_parked* parked) {
  FRESHET_ASSERT(model->count == 0);
  model->parked = *parked;
}

bool freshet_model_is_parked(const freshet_model* model, uint64_t key) {
  return freshet_model_table_find(model, key) == FRESHET_NO_ITEM && is_parked(model, key);
}

static bool is_parked(const freshet_model* model, uint64_t key) {
  return model->parked.holds != NULL && model->parked.holds(model->parked.context, key);
}

uint32_t freshet_model_named_slot(freshet_model* model, uint64_t key) {
  uint32_t slot = freshet_model_table_find(model, key);
  const bool is_full = model->parked.holds != NULL && model->count >= model->config.max_items;
  if (slot != FRESHET_NO_ITEM || is_full || is_parked(model, key)) return slot;
  return freshet_model_intern_key(model, key, &slot, NULL) == FRESHET_OK ? slot : FRESHET_NO_ITEM;
}

freshet_status freshet_model_intern_key(freshet_model* model, uint64_t key, uint32_t* slot,
                                        freshet_error* error) {
  *slot = freshet_model_table_find(model, key);
  return *slot != FRESHET_NO_ITEM ? FRESHET_OK : add_item(model, key, ITEMS_MAX, slot, error);
}

/* Returns a copy that is kept as long as the model. */
static char* keep_id(freshet_model* model, freshet_slice id) {
  if (id.size > model->id_room) {
    const size_t size = id.size > ID_BLOCK_BYTES ? id.size : ID_BLOCK_BYTES;
    id_block* block = malloc(sizeof *block + size);
    FRESHET_ASSERT(block != NULL);
    block->next = model->ids;
    model->ids = block;
    model->id_end = block->bytes + size;
    model->id_room = size;
    model->owned_bytes += sizeof *block + size;
  }
  char* kept = model->id_end - model->id_room;
  if (id.size > 0) memcpy(kept, id.data, id.size);
  model->id_room -= id.size;
  return kept;
}

freshet_status freshet_model_intern_within(freshet_model* model, freshet_slice id, uint32_t most,
                                           uint32_t* slot, freshet_error* error) {
  const uint64_t key = freshet_id_key(id);
  *slot = freshet_model_table_find(model, key);
  freshet_status status = *slot != FRESHET_NO_ITEM
                              ? FRESHET_OK
                              : add_item(model, key, most < ITEMS_MAX ? most : ITEMS_MAX, slot, error);
  if (status != FRESHET_OK) return status;
  item* it = &model->items[*slot];
  if (it->id == NULL) {
    FRESHET_ASSERT(id.size <= UINT32_MAX);
    it->id = keep_id(model, id);
    it->id_size = (uint32_t)id.size;
  } else if (!freshet_slice_equal(id, freshet_model_item_id(model, *slot))) {
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_DEAD_LETTER,
                             "two item ids have the same key %016llx: '%.*s' and '%.*s'",
                             (unsigned long long)it->key, (int)it->id_size, it->id, (int)id.size, id.data);
  }
  return FRESHET_OK;
}

freshet_status freshet_model_intern(freshet_model* model, freshet_slice id, uint32_t* slot,
                                    freshet_error* error) {
  return freshet_model_intern_within(model, id, model->config.max_items, slot, error);
}

uint32_t freshet_model_find(const freshet_model* model, freshet_slice id) {
  uint32_t slot = freshet_model_table_find(model, freshet_id_key(id));
  if (slot == FRESHET_NO_ITEM) return slot;
  return freshet_slice_equal(id, freshet_model_item_id(model, slot)) ? slot : FRESHET_NO_ITEM;
}

uint32_t freshet_model_find_key(const freshet_model* model, uint64_t key) {
  return freshet_model_table_find(model, key);
}

size_t freshet_model_item_count(const freshet_model* model) {
  return model->count;
}

freshet_slice freshet_model_item_id(const freshet_model* model, uint32_t slot) {
  FRESHET_ASSERT(slot < model->count);
  return (freshet_slice){model->items[slot].id, model->items[slot].id_size};
}

uint64_t freshet_model_item_key(const freshet_model* model, uint32_t slot) {
  FRESHET_ASSERT(slot < model->count);
  return model->items[slot].key;
}

void freshet_model_set_listed(freshet_model* model, uint32_t slot, bool listed) {
  FRESHET_ASSERT(slot < model->count);
  if (model->items[slot].listed == listed) return;
  model->items[slot].listed = listed;
  freshet_model_note_stale(model, slot);
}

void freshet_model_set_adjustment(freshet_model* model, uint32_t slot, float adjustment) {
  FRESHET_ASSERT(slot < model->count && isfinite(adjustment));
  if (model->items[slot].adjustment == adjustment) return;
  model->items[slot].adjustment = adjustment;
  freshet_model_note_stale(model, slot);
}

bool freshet_model_is_listed(const freshet_model* model, uint32_t slot) {
  FRESHET_ASSERT(slot < model->count);
  return model->items[slot].listed;
}

static void grow_gathered(const freshet_model* model, gathered* g) {
  uint32_t capacity = g->capacity == 0 ? 256 : g->capacity * 2;
  g->items = freshet_model_table(g->items, capacity, sizeof *g->items);
  g->rows = freshet_model_table(g->rows, capacity, 2 * (size_t)model->config.dim * sizeof *g->rows);
  g->capacity = capacity;
}

void freshet_model_touch_first(freshet_model* model, uint32_t slot) {
  item* it = &model->items[slot];
  freshet_model_note_changed(model, slot);
  if (freshet_model_is_gathered(model, it)) return;
  freshet_model_leave_take(model, slot);
  gathered* g = freshet_model_gathering(model);
  if (g->count == g->capacity) grow_gathered(model, g);
  uint32_t dim = model->config.dim;
  float* rows = g->rows + (size_t)g->count * 2 * dim;
  memcpy(rows, freshet_model_factor(model, slot), dim * sizeof *rows);
  const float* m = freshet_model_context_factor(model, slot);
  if (m != NULL) memcpy(rows + dim, m, dim * sizeof *rows);
  g->items[g->count] =
      (pending_item){slot, false, it->bias, it->factor_squares, it->context_squares, it->bias_squares};
  it->pending = model->gathers | ++g->count;
}

void freshet_model_note_stale(freshet_model* model, uint32_t slot) {
  item* it = &model->items[slot];
  if (it->row_stale) return;
  it->row_stale = true;
  model->stale[model->stale_count++] = slot;
}

void freshet_model_note_changed(freshet_model* model, uint32_t slot) {
  item* it = &model->items[slot];
  if (it->changed_in != model->drains) {
    if (model->watch.before_change != NULL) model->watch.before_change(model->watch.context, slot);
    it->changed_in = model->drains;
    model->changed[model->changed_count++] = slot;
  }
  freshet_model_note_stale(model, slot);
}

size_t freshet_model_drain_changed(freshet_model* model, const uint32_t** slots) {
  const size_t drained = model->changed_count;
  uint32_t* given_out = model->drained;
  *slots = model->drained = model->changed;
  model->changed = given_out;
  model->changed_count = 0;
  model->drains++;
  FRESHET_ASSERT(model->drains != 0);
  return drained;
}

void freshet_model_watch_changes(freshet_model* model, const freshet_model_watch* watch) {
  model->watch = watch == NULL ? (freshet_model_watch){0} : *watch;
}

/* ---- users ---- */

freshet_user* freshet_user_create(const freshet_model* model) {
  freshet_user* user = calloc(1, sizeof *user);
  FRESHET_ASSERT(user != NULL);
  user->vector = freshet_model_floats(model->config.dim);
  return user;
}

void freshet_user_destroy(freshet_user* user) {
  if (user == NULL) return;
  free(user->seen);
  free(user->seen_how);
  free(user->habits);
  free(user->shown);
  free(user->vector);
  free(user->text);
  free(user);
}

/* Blocks without an exit inside, so that the compiler can compare many at once. */
static uint32_t find_seen(const freshet_user* user, uint32_t slot) {
  uint32_t i = 0;
  for (; i + FRESHET_LANES <= user->seen_count; i += FRESHET_LANES) {
    uint32_t hits = 0;
    for (uint32_t l = 0; l < FRESHET_LANES; l++) hits |= user->seen[i + l] == slot;
    if (hits != 0) break;
  }
  while (i < user->seen_count && user->seen[i] != slot) i++;
  return i;
}

void freshet_user_mark_seen(freshet_user* user, uint32_t slot, uint32_t seen_limit) {
  uint32_t at = find_seen(user, slot);
  if (at == user->seen_count) {
    if (user->seen_count < seen_limit) {
      if (user->seen_count == user->seen_capacity) {
        user->seen_capacity = user->seen_capacity < 8 ? 8 : user->seen_capacity * 2;
        user->seen = realloc(user->seen, user->seen_capacity * sizeof *user->seen);
        user->seen_how = realloc(user->seen_how, user->seen_capacity);
        FRESHET_ASSERT(user->seen != NULL && user->seen_how != NULL);
      }
      user->seen_how[user->seen_count] = FRESHET_CLICK;
      user->seen[user->seen_count++] = slot;
      return;
    }
    at = 0; /* full: the oldest goes */
    user->seen_how[0] = FRESHET_CLICK;
  }
  uint32_t last = user->seen_count - 1;
  uint8_t how = user->seen_how[at];
  memmove(user->seen + at, user->seen + at + 1, (last - at) * sizeof *user->seen);
  memmove(user->seen_how + at, user->seen_how + at + 1, last - at);
  user->seen[last] = slot;
  user->seen_how[last] = how;
}

bool freshet_user_hides(const freshet_user* user, uint32_t slot) {
  const uint32_t at = find_seen(user, slot);
  return at < user->seen_count && user->seen_how[at] == FRESHET_FEEDBACK;
}

void freshet_user_unhide(freshet_user* user, uint32_t slot) {
  const uint32_t at = find_seen(user, slot);
  if (at < user->seen_count && user->seen_how[at] == FRESHET_FEEDBACK) user->seen_how[at] = FRESHET_CLICK;
}

void freshet_user_mark_how(freshet_user* user, uint32_t slot, freshet_event_type how) {
  bool is_newest = user->seen_count > 0 && user->seen[user->seen_count - 1] == slot;
  uint32_t at = is_newest ? user->seen_count - 1 : find_seen(user, slot);
  if (at < user->seen_count && user->seen_how[at] < how) user->seen_how[at] = (uint8_t)how;
}
