/*
 * model_fold.c: another worker's delta becomes part of this model. The additive part is added; what is a function
 * of the trace is made from it. Everything is looked through first, so that malformed bytes change nothing.
 */
#include "core/model_bytes.h"
#include "core/model_trace.h"
#include "core/table.h"

enum { DELTA_ITEMS_MAX = 1 << 24 };

/* ---- choices and pairs, in the order of the items that they change ---- */

enum {
  ITEMS_AHEAD = 16, /* of which what all need is fetched while others change */
  LISTS_AHEAD = 8,  /* ... and rows and lists */
};

enum { PAIR_IS_SAMPLED = 1 << 7 }; /* in the place of a pair */
enum { PAIR_IS_BACK = 1 << 15 };   /* in the weight of a pair, beside the code of the order */

void freshet_sorter_free(freshet_sorter* sorter) {
  void* owned[] = {sorter->steps,     sorter->context,     sorter->slots, sorter->rows,
                   sorter->pair_ends, sorter->choice_ends, sorter->pairs, sorter->choices};
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) freshet_table_free(owned[i]);
}

size_t freshet_sorter_memory(const freshet_sorter* sorter) {
  return sorter->step_capacity * sizeof *sorter->steps + sorter->context_capacity * sizeof *sorter->context +
         sorter->slot_capacity * sizeof *sorter->slots + sorter->row_capacity +
         (sorter->pair_end_capacity + sorter->choice_end_capacity) * sizeof(uint32_t) +
         sorter->pair_capacity * sizeof *sorter->pairs + sorter->choice_capacity * sizeof *sorter->choices;
}

/* Counts become the place of the first one. Returns how many there are. */
static size_t places_of(uint32_t* counts, size_t items) {
  uint32_t sum = 0;
  for (size_t i = 0; i < items; i++) {
    const uint32_t count = counts[i];
    counts[i] = sum;
    sum += count;
  }
  return sum;
}

static void place_pairs(freshet_sorter* s, const trace_step* step, const trace_item* others) {
  const uint32_t weight = step->weight | (uint32_t)step->order_code << TRACE_BACK_SHIFT;
  const uint8_t sampled = step->is_sampled ? PAIR_IS_SAMPLED : 0;
  const uint32_t chosen = s->slots[step->chosen];
  for (uint32_t k = 0; k < step->count; k++) {
    const trace_item* other = &others[k];
    const uint8_t place = (uint8_t)(other->place + sampled);
    if (step->chosen_hears)
      s->pairs[s->pair_ends[step->chosen]++] =
          (sorted_pair){s->slots[other->item], (uint16_t)(weight | PAIR_IS_BACK), place, other->times};
    if (other->hears)
      s->pairs[s->pair_ends[other->item]++] = (sorted_pair){chosen, (uint16_t)weight, place, other->times};
  }
}

/* Sorts the trace by items. What belongs to no single item is replayed meanwhile, in the order of events. */
static void sort_trace(freshet_model* model, size_t items, int64_t offset) {
  freshet_sorter* s = &model->sorter;
  const trace_item* others = s->context;
  uint64_t event = s->start;
  const size_t pairs = places_of(s->pair_ends, items), choices = places_of(s->choice_ends, items);
  s->pairs = freshet_table_reach(s->pairs, &s->pair_capacity, pairs, sizeof *s->pairs);
  s->choices = freshet_table_reach(s->choices, &s->choice_capacity, choices, sizeof *s->choices);
  for (size_t e = 0; e < s->step_count; e++) {
    const trace_step* step = &s->steps[e];
    const uint32_t slot = s->slots[step->chosen];
    if (step->is_dislike) {
      freshet_model_replay_dislike(model, slot, step->weight, offset);
    } else {
      const trace_choice choice = {event++, step->weight, step->is_again, step->span_code};
      if (model->folded_to <= offset) freshet_model_replay_event(model, slot, &choice);
      s->choices[s->choice_ends[step->chosen]++] = choice;
    }
    place_pairs(s, step, others);
    others += step->count;
  }
}

static void replay_pairs(freshet_model* model, uint32_t slot, const sorted_pair* pairs, size_t count) {
  for (const sorted_pair* p = pairs; p < pairs + count; p++) {
    if (p->other == slot) continue; /* no item is its own neighbour, even if a delta names it twice */
    const trace_pair counted = {p->weight & TRACE_WEIGHT,
                                p->place % PAIR_IS_SAMPLED,
                                p->times,
                                p->place >= PAIR_IS_SAMPLED,
                                p->weight >> TRACE_BACK_SHIFT & (ORDER_CODES - 1),
                                (p->weight & PAIR_IS_BACK) != 0};
    freshet_model_replay_pair(model, slot, p->other, &counted, UNKNOWN_PLACE);
  }
}

/* N once, however often the delta names the item: a sum over the catalogue follows from it. */
static void replay_choices(freshet_model* model, uint32_t slot, const trace_choice* choices, size_t count) {
  uint32_t units = 0;
  for (size_t i = 0; i < count; i++) units += choices[i].weight_units;
  freshet_model_replay_choices(model, slot, choices, count);
  freshet_model_count_add(model, slot, units);
}

enum { KEYS_AHEAD = 8 };

static uint64_t key_at(freshet_slice keys, size_t i) {
  uint64_t key;
  memcpy(&key, keys.data + i * sizeof key, sizeof key);
  return key;
}

/* The slots [items] of the delta's keys, FRESHET_NO_ITEM for those that are unknown here. */
static freshet_status find_slots(const freshet_model* model, freshet_slice keys, uint32_t* slots,
                                 size_t* unknown, freshet_error* error) {
  const size_t items = keys.size / sizeof(uint64_t);
  *unknown = 0;
  for (size_t i = 0; i < items; i++) {
    const uint64_t key = key_at(keys, i);
    if (key == 0) return freshet_malformed(error, "key in an item delta");
    if (i + 2 * KEYS_AHEAD < items) freshet_model_table_fetch(model, key_at(keys, i + 2 * KEYS_AHEAD));
    if (i + KEYS_AHEAD < items) freshet_model_table_fetch_item(model, key_at(keys, i + KEYS_AHEAD));
    slots[i] = freshet_model_table_find(model, key);
    *unknown += slots[i] == FRESHET_NO_ITEM;
  }
  return FRESHET_OK;
}

typedef unsigned take_gains(freshet_model* model, freshet_byte_reader* in, uint32_t slot);

static take_gains* form_of(freshet_byte_reader* values) {
  if (freshet_take_mark(values, FRESHET_SHORT_MARK)) return freshet_take_short_gains;
  return freshet_take_mark(values, FRESHET_SHORT_MARK_BEFORE) ? freshet_take_short_gains_before
                                                              : freshet_take_gains;
}

static void make_room(freshet_sorter* s, size_t items) {
  s->slots = freshet_table_reach(s->slots, &s->slot_capacity, items, sizeof *s->slots);
  s->rows = freshet_table_reach(s->rows, &s->row_capacity, items, sizeof *s->rows);
}

/* Looks through the whole delta before anything changes, and reads into the sorter all but the values. */
static freshet_status check_delta(freshet_model* model, const freshet_model_delta* delta,
                                  freshet_error* error) {
  freshet_sorter* s = &model->sorter;
  const size_t items = delta->items.size / sizeof(uint64_t);
  size_t unknown;
  if (delta->items.size % sizeof(uint64_t) != 0 || items == 0 || items > DELTA_ITEMS_MAX) {
    return freshet_malformed(error, "dictionary of an item delta");
  }
  make_room(s, items);
  freshet_status status = find_slots(model, delta->items, s->slots, &unknown, error);
  if (status != FRESHET_OK) return status;
  freshet_byte_reader values = freshet_read_slice(delta->values);
  if (freshet_take_u32(&values) != model->config.dim) {
    return freshet_malformed(error, "item delta: its factors have another dimension (model.dim)");
  }
  take_gains* take = form_of(&values);
  for (size_t i = 0; i < items && !values.bad; i++)
    s->rows[i] = (uint8_t)take(model, &values, FRESHET_NO_ITEM);
  if (values.bad || values.left != 0) return freshet_malformed(error, "values of an item delta");
  if (!freshet_read_trace(s, delta, (uint32_t)items))
    return freshet_malformed(error, "trace of an item delta");
  freshet_byte_reader globals = freshet_read_slice(delta->globals);
  freshet_take_blend(model, &globals, false);
  if (globals.bad || globals.left != 0) return freshet_malformed(error, "globals of an item delta");
  if (unknown > ITEMS_MAX - model->count) {
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP,
                             "an item delta brings %zu items to %u, and no model holds more than %d", unknown,
                             model->count, ITEMS_MAX);
  }
  return FRESHET_OK;
}

/* Afterwards no slot is FRESHET_NO_ITEM. */
static void intern_items(freshet_model* model, freshet_slice keys, size_t items) {
  uint32_t* slots = model->sorter.slots;
  for (size_t i = 0; i < items; i++) {
    if (slots[i] != FRESHET_NO_ITEM) continue;
    FRESHET_ASSERT(freshet_model_intern_key(model, key_at(keys, i), &slots[i], NULL) == FRESHET_OK);
  }
}

/* ---- items: each one changes once, and is read from memory once ---- */

static void fetch_item(const freshet_model* model, freshet_slice keys, size_t i) {
  const uint32_t slot = model->sorter.slots[i];
  freshet_prefetch(&model->items[slot], sizeof *model->items);
  freshet_prefetch(&model->context_rows[slot], 1);
  freshet_model_count_fetch(model, slot, key_at(keys, i));
}

/* A few pairs or many, most lines of a short list are read; of a long one the lines of its tags. */
static void fetch_rows(const freshet_model* model, size_t i, bool has_pairs) {
  const uint32_t slot = model->sorter.slots[i];
  const unsigned rows = model->sorter.rows[i];
  const uint32_t dim = model->config.dim;
  const float* m = freshet_model_context_factor(model, slot);
  if ((rows & FRESHET_GIVES_V) != 0) freshet_prefetch_row(freshet_model_factor(model, slot), dim);
  if ((rows & FRESHET_GIVES_M) != 0 && m != NULL) freshet_prefetch_row(m, dim);
  if (!has_pairs) return;
  const neighbours* near = &model->items[slot].near;
  freshet_prefetch(near->tags, near->count * sizeof *near->tags / FRESHET_TAGS);
  freshet_prefetch(near->entries, near->count * sizeof *near->entries);
}

static void fold_items(freshet_model* model, const freshet_model_delta* delta, size_t items, int64_t offset) {
  const freshet_sorter* s = &model->sorter;
  freshet_byte_reader values = freshet_read_slice(delta->values);
  freshet_take_u32(&values);
  take_gains* take = form_of(&values);
  uint32_t choice = 0, pair = 0;
  for (size_t i = 0; i < items; i++) {
    const size_t next = i + LISTS_AHEAD;
    const uint32_t slot = s->slots[i], choices = s->choice_ends[i] - choice, pairs = s->pair_ends[i] - pair;
    if (i + ITEMS_AHEAD < items) fetch_item(model, delta->items, i + ITEMS_AHEAD);
    if (next < items) fetch_rows(model, next, s->pair_ends[next] > s->pair_ends[next - 1]);
    const bool is_known = model->items[slot].folded_to > offset; /* its state reflects the delta already */
    freshet_model_note_changed(model, slot);                     /* before it changes */
    take(model, &values, is_known ? FRESHET_NO_ITEM : slot);
    if (!is_known && choices > 0) replay_choices(model, slot, s->choices + choice, choices);
    if (!is_known) replay_pairs(model, slot, s->pairs + pair, pairs);
    choice += choices;
    pair += pairs;
  }
}

static bool is_empty(const freshet_model_delta* delta) {
  return delta->items.size == 0 && delta->events == 0;
}

freshet_status freshet_model_check_delta(freshet_model* model, const freshet_model_delta* delta,
                                         freshet_error* error) {
  return is_empty(delta) ? FRESHET_OK : check_delta(model, delta, error);
}

freshet_status freshet_model_fold(freshet_model* model, const freshet_model_delta* delta, int64_t offset,
                                  freshet_error* error) {
  const size_t items = delta->items.size / sizeof(uint64_t);
  if (is_empty(delta)) return FRESHET_OK; /* nothing is looked at in it */
  freshet_status status = check_delta(model, delta, error);
  if (status != FRESHET_OK) return status;
  freshet_byte_reader globals = freshet_read_slice(delta->globals);
  intern_items(model, delta->items, items);
  sort_trace(model, items, offset);
  fold_items(model, delta, items, offset);
  freshet_take_blend(model, &globals, model->folded_to <= offset);
  if (model->has_learned) model->folded_events += delta->events;
  return FRESHET_OK;
}
