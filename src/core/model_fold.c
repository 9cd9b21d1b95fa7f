/*
 * model_fold.c: another worker's delta becomes part of this model. The additive part is added; what is a function
 * of the trace is made from it. Everything is looked through first, so that malformed bytes change nothing.
 */
#include <stdlib.h>

#include "core/model_bytes.h"
#include "core/table.h"

enum { DELTA_ITEMS_MAX = 1 << 24 };

/* ---- the trace ---- */

/* One event of the trace; its indices count from 0 in the delta's dictionary. */
typedef struct trace_step {
  uint32_t chosen, weight, order_code;
  bool is_dislike, is_again;
  uint8_t span_code; /* of a repeat */
  freshet_kept kept;
  uint32_t context[FRESHET_HISTORY]; /* [kept.count] */
} trace_step;

typedef struct trace_reader {
  freshet_byte_reader* in;
  bool is_sampled;
  unsigned index_bytes;
  uint32_t index_mask;
  uint32_t items;
  uint64_t start;  /* events that its worker had seen before */
  uint32_t weight; /* of the event before, with what else is in it */
  uint8_t fades;   /* of the event before */
} trace_reader;

static uint32_t take_index(trace_reader* reader) {
  freshet_byte_reader* in = reader->in;
  uint32_t index = 0;
  const bool is_whole = in->left >= sizeof index; /* else these are the last bytes of the trace */
  const char* bytes = freshet_take_bytes(in, reader->index_bytes);
  if (bytes != NULL) memcpy(&index, bytes, is_whole ? sizeof index : reader->index_bytes);
  index &= reader->index_mask;
  if (index >= reader->items) in->bad = true;
  return in->bad ? 0 : index;
}

static trace_reader open_trace(const freshet_model_delta* delta, freshet_byte_reader* in) {
  trace_reader reader = {.in = in, .items = (uint32_t)(delta->items.size / sizeof(uint64_t))};
  reader.start = freshet_take_u64(in);
  const unsigned form = freshet_take_u8(in);
  reader.is_sampled = form >= TRACE_SAMPLED;
  reader.index_bytes = form % TRACE_SAMPLED;
  if (form > TRACE_SAMPLED + 3 || reader.index_bytes < 2 || reader.index_bytes > 4 ||
      reader.start > UINT64_MAX / 2)
    in->bad = true;
  if (in->bad) reader.index_bytes = 0;
  reader.index_mask = (uint32_t)((UINT64_C(1) << 8 * reader.index_bytes) - 1);
  return reader;
}

/* What is between the index of the chosen item and those of its context. */
static void take_sampled(trace_reader* reader, trace_step* step) {
  freshet_byte_reader* in = reader->in;
  const uint32_t head = freshet_take_u8(in), size = head % TRACE_SIZES;
  uint32_t hear = 0;
  if ((head & TRACE_AS_BEFORE) == 0) {
    reader->weight = freshet_take_u16(in);
    reader->fades = freshet_take_u8(in);
  }
  if (reader->fades > 1 || size > FRESHET_HISTORY) in->bad = true;
  step->span_code = (reader->weight & TRACE_AGAIN) != 0 ? freshet_take_u8(in) : 0;
  for (unsigned k = 0; k < size && !in->bad; k += 8) hear |= (uint32_t)freshet_take_u8(in) << k;
  if (!in->bad && hear >> size != 0) in->bad = true;
  if (!in->bad) step->kept = freshet_keep_heard(size, (head & TRACE_CHOSEN_HEARS) != 0, hear);
}

/* The same of a trace that is not sampled. */
static void take_whole(trace_reader* reader, trace_step* step) {
  freshet_byte_reader* in = reader->in;
  reader->weight = freshet_take_u16(in);
  const uint32_t head = freshet_take_u8(in), size = head % TRACE_FADES;
  const uint8_t picks = head >= TRACE_THINNED ? freshet_take_u8(in) : 0;
  reader->fades = (head & TRACE_FADES) != 0;
  step->span_code = (reader->weight & TRACE_AGAIN) != 0 ? freshet_take_u8(in) : 0;
  if (size > FRESHET_HISTORY) in->bad = true;
  if (!in->bad) step->kept = head >= TRACE_THINNED ? freshet_keep_some(size, picks) : freshet_keep_all(size);
}

static void take_trace_step(trace_reader* reader, trace_step* step) {
  freshet_byte_reader* in = reader->in;
  step->chosen = take_index(reader);
  if (reader->is_sampled) {
    take_sampled(reader, step);
  } else {
    take_whole(reader, step);
  }
  const uint32_t weight = reader->weight;
  step->is_dislike = (weight & TRACE_DISLIKE) != 0;
  step->is_again = (weight & TRACE_AGAIN) != 0;
  step->weight = weight & TRACE_WEIGHT;
  step->order_code = (weight >> TRACE_BACK_SHIFT & (BACK_CODES - 1)) + (reader->fades != 0 ? ORDER_FADES : 0);
  if (step->weight == 0 || step->weight > WEIGHT_UNITS_MAX) in->bad = true;
  if (in->bad) return;
  if (step->is_dislike && (step->kept.count > 0 || step->is_again || step->order_code > 0)) in->bad = true;
  for (uint32_t k = 0; k < step->kept.count && !in->bad; k++) step->context[k] = take_index(reader);
}

static void check_trace(const freshet_model_delta* delta, freshet_byte_reader* in) {
  trace_reader reader = open_trace(delta, in);
  trace_step step;
  for (uint64_t e = 0; e < delta->events && !in->bad; e++) take_trace_step(&reader, &step);
}

/* ---- pairs, in the order of the lists that they change ---- */

enum {
  CHUNK_EVENTS = 32768,
  CHUNK_PAIRS = CHUNK_EVENTS * 2 * FRESHET_HISTORY,
  AHEAD = 8, /* lists that are fetched while others change */
};

enum { PAIR_IS_SAMPLED = 1 << 7 }; /* in the place of a pair */
enum { PAIR_IS_BACK = 1 << 15 };   /* in the weight of a pair, beside the code of the order */
/* `other` was chosen together with the item to whose list the pair belongs. */
typedef struct pair {
  uint32_t other;
  uint16_t
      weight; /* in 1/WEIGHT_UNITS; the event's code of the order, and PAIR_IS_BACK if `other` came first */
  uint8_t place, times; /* in the context; see model_thin.h */
} pair;

/* A pair changes one list only, so lists may be changed one after the other as long as the pairs of each list
 * keep their order. Then a list is read from memory once for many pairs, and the next lists are known. */
typedef struct sorter {
  uint32_t* ends;  /* [slots] pairs of each list; then where the next pair of a list goes */
  uint32_t* lists; /* [list_count] slots whose lists change, in the order in which they are met */
  size_t list_count;
  trace_step* steps; /* [step_count] of this chunk, as slots */
  size_t step_count;
  pair* pairs;
  uint32_t* units; /* [items of the delta] by how much their counts grow */
  int64_t offset;
} sorter;

/* items: so many lists may change. */
static sorter make_sorter(freshet_model* model, uint64_t events, size_t items, int64_t offset) {
  const size_t chunk = events < CHUNK_EVENTS ? (size_t)events : CHUNK_EVENTS;
  freshet_sorter* kept = &model->sorter;
  kept->ends = freshet_table_reach(kept->ends, &kept->ends_capacity, model->count, sizeof *kept->ends);
  kept->lists = freshet_table_reach(kept->lists, &kept->lists_capacity, items, sizeof *kept->lists);
  kept->steps = freshet_table_reach(kept->steps, &kept->steps_capacity, chunk, sizeof(trace_step));
  kept->pairs =
      freshet_table_reach(kept->pairs, &kept->pairs_capacity, chunk * 2 * FRESHET_HISTORY, sizeof(pair));
  kept->units = freshet_table_reach(kept->units, &kept->units_capacity, items, sizeof *kept->units);
  memset(kept->units, 0, items * sizeof *kept->units);
  return (sorter){.ends = kept->ends,
                  .lists = kept->lists,
                  .steps = kept->steps,
                  .pairs = kept->pairs,
                  .units = kept->units,
                  .offset = offset};
}

void freshet_sorter_free(freshet_sorter* kept) {
  freshet_table_free(kept->ends);
  freshet_table_free(kept->lists);
  freshet_table_free(kept->steps);
  freshet_table_free(kept->pairs);
  freshet_table_free(kept->units);
}

size_t freshet_sorter_memory(const freshet_sorter* kept) {
  return kept->ends_capacity * sizeof *kept->ends + kept->lists_capacity * sizeof *kept->lists +
         kept->steps_capacity * sizeof(trace_step) + kept->pairs_capacity * sizeof(pair) +
         kept->units_capacity * sizeof *kept->units;
}

/* Does the item's state reflect the delta already? */
static bool is_known(const freshet_model* model, uint32_t slot, int64_t offset) {
  return model->items[slot].folded_to > offset;
}

static void count_pair(sorter* s, uint32_t slot) {
  if (s->ends[slot]++ == 0) s->lists[s->list_count++] = slot;
}

/* Counts pairs by list, and turns the counts into the place of each list's first pair. Only lists that change are looked
 * at, however large the catalogue is. */
static void count_pairs(sorter* s) {
  s->list_count = 0;
  for (size_t e = 0; e < s->step_count; e++) {
    const trace_step* step = &s->steps[e];
    for (uint32_t k = 0; k < step->kept.count; k++) {
      if (step->context[k] == step->chosen) continue;
      if ((step->kept.hear >> step->kept.place[k] & 1) != 0) count_pair(s, step->context[k]);
      if (step->kept.chosen_hears) count_pair(s, step->chosen);
    }
  }
  uint32_t pairs = 0;
  for (size_t i = 0; i < s->list_count; i++) {
    const uint32_t count = s->ends[s->lists[i]];
    s->ends[s->lists[i]] = pairs;
    pairs += count;
  }
}

static void place_pairs(sorter* s) {
  for (size_t e = 0; e < s->step_count; e++) {
    const trace_step* step = &s->steps[e];
    const uint32_t weight = step->weight | step->order_code << TRACE_BACK_SHIFT;
    for (uint32_t k = 0; k < step->kept.count; k++) {
      const uint32_t other = step->context[k];
      const bool other_hears = (step->kept.hear >> step->kept.place[k] & 1) != 0;
      const uint8_t place = (uint8_t)(step->kept.place[k] + (step->kept.is_sampled ? PAIR_IS_SAMPLED : 0));
      const uint8_t times = step->kept.times[k];
      const pair with_chosen = {step->chosen, (uint16_t)weight, place, times};
      const pair with_other = {other, (uint16_t)(weight | PAIR_IS_BACK), place, times};
      if (other == step->chosen) continue;
      if (step->kept.chosen_hears) s->pairs[s->ends[step->chosen]++] = with_other;
      if (other_hears) s->pairs[s->ends[other]++] = with_chosen;
    }
  }
}

/* A few pairs or many, most lines of a short list are read; of a long one the lines of its tags. */
static void fetch_list(const freshet_model* model, uint32_t slot) {
  const neighbours* near = &model->items[slot].near;
  freshet_prefetch(near->tags, near->count * sizeof *near->tags / FRESHET_TAGS);
  freshet_prefetch(near->entries, near->count * sizeof *near->entries);
}

static void change_lists(freshet_model* model, const sorter* s) {
  uint32_t at = 0;
  for (size_t i = 0; i < s->list_count; i++) {
    const uint32_t slot = s->lists[i], end = s->ends[slot];
    s->ends[slot] = 0; /* for the next chunk */
    if (i + 2 * AHEAD < s->list_count) __builtin_prefetch(&model->items[s->lists[i + 2 * AHEAD]].near);
    if (i + AHEAD < s->list_count) fetch_list(model, s->lists[i + AHEAD]);
    if (is_known(model, slot, s->offset)) at = end;
    for (; at < end; at++) {
      const pair* p = &s->pairs[at];
      const trace_pair counted = {p->weight & TRACE_WEIGHT,
                                  p->place % PAIR_IS_SAMPLED,
                                  p->times,
                                  p->place >= PAIR_IS_SAMPLED,
                                  p->weight >> TRACE_BACK_SHIFT & (ORDER_CODES - 1),
                                  (p->weight & PAIR_IS_BACK) != 0};
      freshet_model_replay_pair(model, slot, p->other, &counted, UNKNOWN_PLACE);
    }
  }
}

/* ---- */

/* Reads the next events of the trace. */
static void take_chunk(trace_reader* reader, uint64_t events, sorter* s) {
  const uint64_t count = events < CHUNK_EVENTS ? events : CHUNK_EVENTS;
  for (s->step_count = 0; s->step_count < count; s->step_count++)
    take_trace_step(reader, &s->steps[s->step_count]);
}

/* Counts the events of the chunk, and names their items by slots. `event`: how many were before. Returns how many are
 * then. */
static uint64_t count_events(freshet_model* model, const sorter* s, const uint32_t* slots, uint64_t event) {
  for (size_t e = 0; e < s->step_count; e++) {
    trace_step* step = &s->steps[e];
    const uint32_t index = step->chosen;
    if (e + AHEAD < s->step_count)
      freshet_prefetch(&model->items[slots[s->steps[e + AHEAD].chosen]], sizeof *model->items);
    step->chosen = slots[index];
    for (uint32_t k = 0; k < step->kept.count; k++) step->context[k] = slots[step->context[k]];
    if (step->is_dislike) {
      freshet_model_replay_dislike(model, step->chosen, step->weight, s->offset);
    } else {
      const trace_choice choice = {step->chosen, step->weight, step->is_again, step->span_code};
      freshet_model_replay_choice(model, &choice, event++, s->offset);
      s->units[index] += step->weight;
    }
  }
  return event;
}

/* N of each item once, however often the delta names it: a sum over the catalogue follows from it. */
static void add_counts(freshet_model* model, const sorter* s, const uint32_t* slots, uint32_t items) {
  for (uint32_t i = 0; i < items; i++) {
    if (i + AHEAD < items && s->units[i + AHEAD] > 0) freshet_model_count_fetch(model, slots[i + AHEAD]);
    if (s->units[i] > 0 && !is_known(model, slots[i], s->offset))
      freshet_model_count_add(model, slots[i], s->units[i]);
  }
}

static void replay_trace(freshet_model* model, const freshet_model_delta* delta, freshet_byte_reader* in,
                         const uint32_t* slots, int64_t offset) {
  trace_reader reader = open_trace(delta, in);
  uint64_t event = reader.start;
  sorter s = make_sorter(model, delta->events, reader.items, offset);
  for (uint64_t left = delta->events; left > 0; left -= s.step_count) {
    take_chunk(&reader, left, &s);
    event = count_events(model, &s, slots, event);
    count_pairs(&s);
    place_pairs(&s);
    change_lists(model, &s);
  }
  add_counts(model, &s, slots, reader.items);
}

enum { KEYS_AHEAD = 8, ROWS_AHEAD = 4 };

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

typedef void take_gains(freshet_model* model, freshet_byte_reader* in, uint32_t slot);

static take_gains* form_of(freshet_byte_reader* values) {
  if (freshet_take_mark(values, FRESHET_SHORT_MARK)) return freshet_take_short_gains;
  return freshet_take_mark(values, FRESHET_SHORT_MARK_BEFORE) ? freshet_take_short_gains_before
                                                              : freshet_take_gains;
}

/* Looks through the whole delta before anything changes. */
static freshet_status check_delta(freshet_model* model, const freshet_model_delta* delta, uint32_t* slots,
                                  freshet_error* error) {
  const size_t items = delta->items.size / sizeof(uint64_t);
  size_t unknown;
  freshet_status status = find_slots(model, delta->items, slots, &unknown, error);
  if (status != FRESHET_OK) return status;
  freshet_byte_reader values = freshet_read_slice(delta->values);
  if (freshet_take_u32(&values) != model->config.dim) {
    return freshet_malformed(error, "item delta: its factors have another dimension (model.dim)");
  }
  take_gains* take = form_of(&values);
  for (size_t i = 0; i < items && !values.bad; i++) take(model, &values, FRESHET_NO_ITEM);
  if (values.bad || values.left != 0) return freshet_malformed(error, "values of an item delta");
  freshet_byte_reader trace = freshet_read_slice(delta->trace), globals = freshet_read_slice(delta->globals);
  check_trace(delta, &trace);
  if (trace.bad || trace.left != 0) return freshet_malformed(error, "trace of an item delta");
  freshet_take_blend(model, &globals, false);
  if (globals.bad || globals.left != 0) return freshet_malformed(error, "globals of an item delta");
  if (unknown > ITEMS_MAX - model->count) {
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP,
                             "an item delta brings %zu items to %u, and no model holds more than %d", unknown,
                             model->count, ITEMS_MAX);
  }
  return FRESHET_OK;
}

static void fetch_rows(const freshet_model* model, uint32_t slot) {
  const float* m = freshet_model_context_factor(model, slot);
  freshet_prefetch(&model->items[slot], sizeof *model->items);
  freshet_prefetch_row(freshet_model_factor(model, slot), model->config.dim);
  if (m != NULL) freshet_prefetch_row(m, model->config.dim);
}

/* slots: as find_slots left them; afterwards none is FRESHET_NO_ITEM. */
static void add_values(freshet_model* model, const freshet_model_delta* delta, uint32_t* slots,
                       int64_t offset) {
  const size_t items = delta->items.size / sizeof(uint64_t);
  freshet_byte_reader values = freshet_read_slice(delta->values);
  freshet_take_u32(&values);
  take_gains* take = form_of(&values);
  for (size_t i = 0; i < items; i++) {
    const uint64_t key = key_at(delta->items, i);
    if (slots[i] == FRESHET_NO_ITEM) {
      FRESHET_ASSERT(freshet_model_intern_key(model, key, &slots[i], NULL) == FRESHET_OK);
    }
    if (i + ROWS_AHEAD < items && slots[i + ROWS_AHEAD] != FRESHET_NO_ITEM)
      fetch_rows(model, slots[i + ROWS_AHEAD]);
    freshet_model_note_changed(model, slots[i]); /* before it changes */
    take(model, &values, is_known(model, slots[i], offset) ? FRESHET_NO_ITEM : slots[i]);
  }
}

/* Looks through the delta, and finds its slots: *slots [items], which the caller frees. Nothing is looked at in a delta
 * that is empty. */
static freshet_status open_delta(freshet_model* model, const freshet_model_delta* delta, uint32_t** slots,
                                 freshet_error* error) {
  const size_t items = delta->items.size / sizeof(uint64_t);
  if (delta->items.size % sizeof(uint64_t) != 0 || items > DELTA_ITEMS_MAX) {
    return freshet_malformed(error, "dictionary of an item delta");
  }
  *slots = malloc((items + 1) * sizeof **slots);
  FRESHET_ASSERT(*slots != NULL);
  return check_delta(model, delta, *slots, error);
}

static bool is_empty(const freshet_model_delta* delta) {
  return delta->items.size == 0 && delta->events == 0;
}

freshet_status freshet_model_check_delta(freshet_model* model, const freshet_model_delta* delta,
                                         freshet_error* error) {
  uint32_t* slots = NULL;
  freshet_status status = is_empty(delta) ? FRESHET_OK : open_delta(model, delta, &slots, error);
  free(slots);
  return status;
}

freshet_status freshet_model_fold(freshet_model* model, const freshet_model_delta* delta, int64_t offset,
                                  freshet_error* error) {
  uint32_t* slots = NULL;
  if (is_empty(delta)) return FRESHET_OK;
  freshet_status status = open_delta(model, delta, &slots, error);
  if (status == FRESHET_OK) {
    freshet_byte_reader trace = freshet_read_slice(delta->trace),
                        globals = freshet_read_slice(delta->globals);
    add_values(model, delta, slots, offset);
    replay_trace(model, delta, &trace, slots, offset);
    freshet_take_blend(model, &globals, model->folded_to <= offset);
    if (model->has_learned) model->folded_events += delta->events;
  }
  free(slots);
  return status;
}
