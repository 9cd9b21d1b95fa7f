/*
 * model_negatives.c: which items a step compares with the one that was chosen.
 *
 * 47.5 % are drawn like all past events, 47.5 % like recent ones, 5 % uniformly. A draw must depend on what
 * is known and not on how a process numbers its items, or a restart would change what is learned. So draws by
 * frequency and uniform draws walk the table of keys: buckets by the key's first bits, each sorted by key,
 * with trees of running sums (model_tree.h) of the counts and of the items over the buckets. The table
 * doubles as the index of keys.
 *
 * A table that is half full gets a successor of twice the size. That is filled a few buckets at a time, with each new
 * item, while the former is in use; so no new item takes long. A bucket becomes two without its chain being cut: who
 * walks a chain stops by key, or by a sum.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"
#include "core/table.h"

enum {
  FIRST_BUCKET_BITS = 6,
  RECENT_HALF_LIFE = 300,
  WIDENED_AT_ONCE =
      8, /* buckets with each new item; more than 2, so that a table is there before it is half full */
};

static const uint32_t share_one = 1U << 16;
static const uint32_t share_frequent = (uint32_t)(.475 * (1U << 16));
static const uint32_t share_recent = (uint32_t)(.95 * (1U << 16)); /* up to here */

static uint64_t bucket_of(const key_table* table, uint64_t key) {
  return key >> (64 - table->bits);
}

static size_t bucket_count(const key_table* table) {
  return (size_t)1 << table->bits;
}

static key_table make_table(uint32_t bits) {
  return (key_table){.bits = bits,
                     .buckets = freshet_model_table(NULL, (size_t)1 << bits, sizeof(uint32_t)),
                     .frequency = freshet_tree_create(bits),
                     .presence = freshet_tree_create(bits)};
}

static void free_table(key_table* table) {
  freshet_table_free(table->buckets);
  freshet_tree_free(table->frequency);
  freshet_tree_free(table->presence);
  *table = (key_table){0};
}

static void count_item(key_table* table, uint64_t key, uint32_t count) {
  freshet_tree_add(table->presence, table->bits, bucket_of(table, key), 1);
  freshet_tree_add(table->frequency, table->bits, bucket_of(table, key), count);
}

/* ---- the table that is to be ---- */

static bool is_widened(const freshet_model* model, uint64_t key) {
  return model->wide.buckets != NULL && bucket_of(&model->keys, key) < model->widened;
}

/* Adds an item, whose place in the chain is right, to the wide table. */
static void add_to_wide(freshet_model* model, uint32_t slot) {
  const uint64_t key = model->items[slot].key;
  uint32_t* first = &model->wide.buckets[bucket_of(&model->wide, key)];
  if (*first == FRESHET_NO_ITEM || key < model->items[*first].key) *first = slot;
  count_item(&model->wide, key, model->counts[slot]);
}

static void widen_bucket(freshet_model* model, size_t bucket) {
  model->wide.buckets[2 * bucket] = model->wide.buckets[2 * bucket + 1] = FRESHET_NO_ITEM;
  uint32_t at = model->keys.buckets[bucket];
  for (; at != FRESHET_NO_ITEM && bucket_of(&model->keys, model->items[at].key) == bucket;
       at = model->items[at].next)
    add_to_wide(model, at);
}

static void widen(freshet_model* model) {
  for (int i = 0; i < WIDENED_AT_ONCE && model->widened < bucket_count(&model->keys); i++)
    widen_bucket(model, model->widened++);
  if (model->widened < bucket_count(&model->keys)) return;
  free_table(&model->keys);
  model->keys = model->wide;
  model->wide = (key_table){0};
  model->widened = 0;
}

/* ---- the table ---- */

static void link_item(freshet_model* model, uint32_t slot) {
  item* items = model->items;
  const uint64_t key = items[slot].key;
  uint32_t* link = &model->keys.buckets[bucket_of(&model->keys, key)];
  while (*link != FRESHET_NO_ITEM && items[*link].key < key) link = &items[*link].next;
  items[slot].next = *link;
  *link = slot;
  count_item(&model->keys, key, model->counts[slot]);
  if (is_widened(model, key)) add_to_wide(model, slot);
}

void freshet_model_table_insert(freshet_model* model, uint32_t slot) {
  const bool is_half_full =
      2 * (size_t)model->count > bucket_count(&model->keys); /* short chains: draws walk them */
  if (is_half_full && model->wide.buckets == NULL) model->wide = make_table(model->keys.bits + 1);
  if (model->wide.buckets != NULL) widen(model);
  link_item(model, slot);
}

void freshet_model_table_free(freshet_model* model) {
  free_table(&model->keys);
  free_table(&model->wide);
}

static size_t memory_of(const key_table* table) {
  if (table->buckets == NULL) return 0;
  return bucket_count(table) * sizeof *table->buckets + 2 * freshet_tree_bytes(table->bits);
}

size_t freshet_model_table_memory(const freshet_model* model) {
  return memory_of(&model->keys) + memory_of(&model->wide);
}

void freshet_model_table_fetch(const freshet_model* model, uint64_t key) {
  __builtin_prefetch(&model->keys.buckets[bucket_of(&model->keys, key)]);
}

void freshet_model_table_fetch_item(const freshet_model* model, uint64_t key) {
  const uint32_t first = model->keys.buckets[bucket_of(&model->keys, key)];
  if (first != FRESHET_NO_ITEM) __builtin_prefetch(&model->items[first].key);
}

uint32_t freshet_model_table_find(const freshet_model* model, uint64_t key) {
  uint32_t at = model->keys.buckets[bucket_of(&model->keys, key)];
  while (at != FRESHET_NO_ITEM && model->items[at].key < key) at = model->items[at].next;
  return at != FRESHET_NO_ITEM && model->items[at].key == key ? at : FRESHET_NO_ITEM;
}

void freshet_model_count_set(freshet_model* model, uint32_t slot, uint32_t count) {
  item* it = &model->items[slot];
  int64_t change = (int64_t)count - (int64_t)model->counts[slot];
  model->counts[slot] = count;
  model->roots[slot] = 1 / sqrtf((float)count * (1.0F / WEIGHT_UNITS) + 1);
  model->levels[slot] = (uint8_t)freshet_model_count_level(count);
  model->total_count += change;
  if (count > 0) freshet_model_own_context_factor(model, slot);
  freshet_tree_add(model->keys.frequency, model->keys.bits, bucket_of(&model->keys, it->key), change);
  if (is_widened(model, it->key))
    freshet_tree_add(model->wide.frequency, model->wide.bits, bucket_of(&model->wide, it->key), change);
}

void freshet_model_count_fetch(const freshet_model* model, uint32_t slot, uint64_t key) {
  const uint64_t bucket = bucket_of(&model->keys, key);
  freshet_prefetch(&model->counts[slot], 1);
  freshet_prefetch(&model->roots[slot], 1);
  freshet_prefetch(&model->levels[slot], 1);
  freshet_prefetch(freshet_tree_leaf(model->keys.frequency, model->keys.bits, bucket), 64);
}

void freshet_model_count_add(freshet_model* model, uint32_t slot, uint32_t units) {
  uint32_t count = model->counts[slot];
  freshet_model_count_set(model, slot, units > UINT32_MAX - count ? UINT32_MAX : count + units);
}

/* Quantiles of a lag of events whose odds halve every RECENT_HALF_LIFE. */
static void make_lags(freshet_model* model) {
  float* logs = freshet_model_floats(RECENT_EVENTS);
  for (int i = 0; i < RECENT_EVENTS; i++) logs[i] = ((float)i + .5F) / RECENT_EVENTS;
  model->kernels->log(logs, RECENT_EVENTS);
  for (int i = 0; i < RECENT_EVENTS; i++) {
    float lag = logs[i] * (-RECENT_HALF_LIFE / .6931472F);
    model->recent_lags[i] = (uint16_t)(lag < RECENT_EVENTS - 1 ? lag : RECENT_EVENTS - 1);
  }
  free(logs);
}

void freshet_model_negatives_init(freshet_model* model) {
  memset(model->recent, 0xff, sizeof model->recent);
  make_lags(model);
  model->keys = make_table(FIRST_BUCKET_BITS);
  memset(model->keys.buckets, 0xff, bucket_count(&model->keys) * sizeof *model->keys.buckets);
}

/* Draws from 64 random bits each: slots of recent events; FRESHET_NO_ITEM for an event that a restored ring
 * does not hold. */
static void draw_recent(const freshet_model* model, const uint64_t* randoms, size_t count, uint32_t* slots) {
  for (size_t i = 0; i < count; i++) {
    uint64_t lag = model->recent_lags[randoms[i] >> 52];
    if (lag >= model->events) lag = freshet_below(randoms[i] << 12, model->events);
    slots[i] = model->recent[(model->events - 1 - lag) % RECENT_EVENTS];
  }
}

/* Draws an item for each number in the running sum of counts. */
static void draw_frequent(const freshet_model* model, const uint64_t* randoms, size_t count,
                          uint32_t* slots) {
  const uint32_t* counts = model->counts;
  int64_t targets[NEGATIVES_MAX], buckets[NEGATIVES_MAX];
  for (size_t i = 0; i < count; i++)
    targets[i] = (int64_t)freshet_below(randoms[i], (uint64_t)model->total_count);
  model->kernels->descend_tree(model->keys.frequency, model->keys.bits, targets, buckets, count);
  for (size_t i = 0; i < count; i++) freshet_prefetch(&counts[model->keys.buckets[buckets[i]]], 1);
  for (size_t i = 0; i < count; i++) {
    uint32_t at = model->keys.buckets[buckets[i]];
    for (; targets[i] >= counts[at]; at = model->items[at].next) targets[i] -= counts[at];
    slots[i] = at;
  }
}

/* Draws uniformly, in the order of keys. */
static void draw_uniform(const freshet_model* model, const uint64_t* randoms, size_t count, uint32_t* slots) {
  int64_t targets[NEGATIVES_MAX], buckets[NEGATIVES_MAX];
  for (size_t i = 0; i < count; i++) targets[i] = (int64_t)freshet_below(randoms[i], model->count);
  model->kernels->descend_tree(model->keys.presence, model->keys.bits, targets, buckets, count);
  for (size_t i = 0; i < count; i++) {
    uint32_t at = model->keys.buckets[buckets[i]];
    for (; targets[i] > 0; targets[i]--) at = model->items[at].next;
    slots[i] = at;
  }
}

/* Lists each slot once, with the number of times it was drawn. Whether a slot is new cannot be predicted, so
 * there is no branch. */
static void add_candidates(freshet_model* model, candidates* step, const uint32_t* slots, size_t slot_count) {
  uint32_t count = 0;
  for (size_t i = 0; i < slot_count; i++) {
    const uint32_t slot = slots[i];
    if (slot == FRESHET_NO_ITEM) continue;
    const uint32_t known = model->marks.of[slot], mark = known != 0 ? known : count + 1;
    step->times[count] = 0;
    step->times[mark - 1] += 1;
    step->items[count] = slot;
    count += known == 0;
    freshet_marks_add(&model->marks, slot, (uint8_t)mark);
    freshet_prefetch(&model->items[slot], 64);
  }
  step->times[0] = 1; /* the positive is skipped as a negative */
  step->count = count;
  step->padded = ((size_t)count + FRESHET_LANES - 1) / FRESHET_LANES * FRESHET_LANES;
  memset(step->chances, 0, step->padded * sizeof *step->chances);
}

/* The kind of a draw cannot be predicted. So it is written to all three lists, and only one of them grows. */
void freshet_model_draw(freshet_model* model, uint32_t positive, uint32_t negatives, const uint32_t* own,
                        size_t own_count, candidates* step) {
  uint64_t frequent[NEGATIVES_MAX + 1], recent[NEGATIVES_MAX + 1], uniform[NEGATIVES_MAX + 1];
  uint32_t slots[1 + NEGATIVES_MAX + FRESHET_HABIT_DRAWS + FRESHET_RIVALS_MAX + FRESHET_SHOWN_DRAWS];
  size_t frequent_count = 0, recent_count = 0, uniform_count = 0;
  const uint64_t seed = freshet_random(model->config.seed, model->events);
  const uint32_t recent_from = model->total_count == 0 ? 0 : share_frequent;
  const uint32_t uniform_from = model->total_count == 0 ? 0 : share_recent;
  for (uint32_t i = 0; i < negatives; i++) {
    const uint64_t random = freshet_random(seed, i);
    const uint32_t kind = (uint32_t)(random & (share_one - 1));
    frequent[frequent_count] = recent[recent_count] = uniform[uniform_count] = freshet_mix64(random);
    const size_t after_frequent = kind >= recent_from, after_recent = kind >= uniform_from;
    frequent_count += 1 - after_frequent;
    recent_count += after_frequent - after_recent;
    uniform_count += after_recent;
  }
  slots[0] = positive;
  step->negatives = negatives;
  draw_recent(model, recent, recent_count, slots + 1);
  draw_frequent(model, frequent, frequent_count, slots + 1 + recent_count);
  draw_uniform(model, uniform, uniform_count, slots + 1 + recent_count + frequent_count);
  if (own_count > 0) memcpy(slots + 1 + negatives, own, own_count * sizeof *own);
  add_candidates(model, step, slots, 1 + (size_t)negatives + own_count);
}
