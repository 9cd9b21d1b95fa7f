/*
 * model_trace.c: the trace of a delta, read and looked through at once. model_delta.c says how it is written.
 */
#include "core/model_trace.h"

#include "core/model_bytes.h"
#include "core/table.h"

typedef struct trace_reader {
  freshet_byte_reader in;
  freshet_sorter* to;
  bool is_sampled;
  unsigned index_bytes;
  uint32_t index_mask;
  uint32_t items;
  uint32_t weight; /* of the event before, with what else is in it */
  uint8_t fades;   /* of the event before */
} trace_reader;

/* The first of `left` bytes that are left: an index may be read with bytes that follow it. */
static uint32_t index_at(trace_reader* reader, const char* bytes, size_t left) {
  uint32_t index = 0;
  memcpy(&index, bytes, left >= sizeof index ? sizeof index : reader->index_bytes);
  index &= reader->index_mask;
  if (index < reader->items) return index;
  reader->in.bad = true;
  return 0;
}

static uint32_t take_index(trace_reader* reader) {
  const size_t left = reader->in.left;
  const char* bytes = freshet_take_bytes(&reader->in, reader->index_bytes);
  return bytes == NULL ? 0 : index_at(reader, bytes, left);
}

static void open_trace(trace_reader* reader) {
  freshet_byte_reader* in = &reader->in;
  reader->to->start = freshet_take_u64(in);
  const unsigned form = freshet_take_u8(in);
  reader->is_sampled = form >= TRACE_SAMPLED;
  reader->index_bytes = form % TRACE_SAMPLED;
  if (form > TRACE_SAMPLED + 3 || reader->index_bytes < 2 || reader->index_bytes > 4 ||
      reader->to->start > UINT64_MAX / 2)
    in->bad = true;
  if (in->bad) reader->index_bytes = 0;
  reader->index_mask = (uint32_t)((UINT64_C(1) << 8 * reader->index_bytes) - 1);
}

/* Reads the items at these places of the context, a bit each; those whose bit is set in `hear` hear. */
static void take_context(trace_reader* reader, trace_step* step, uint32_t places, uint32_t hear) {
  freshet_sorter* to = reader->to;
  size_t left = reader->in.left;
  const char* bytes = freshet_take_bytes(&reader->in, step->count * (size_t)reader->index_bytes);
  if (bytes == NULL) return;
  for (; places != 0; places &= places - 1) {
    const unsigned place = (unsigned)__builtin_ctz(places);
    const uint32_t other = index_at(reader, bytes, left);
    const bool hears = (hear >> place & 1) != 0;
    to->context[to->context_count++] = (trace_item){other, (uint8_t)place, 1, hears};
    to->pair_ends[other] += hears;
    to->pair_ends[step->chosen] += step->chosen_hears;
    bytes += reader->index_bytes;
    left -= reader->index_bytes;
  }
}

static uint32_t places_below(uint32_t size) {
  return (UINT32_C(1) << size) - 1;
}

/* What follows the index of the chosen item. */
static void take_sampled(trace_reader* reader, trace_step* step) {
  freshet_byte_reader* in = &reader->in;
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
  if (in->bad) return;
  step->is_sampled = true;
  step->chosen_hears = (head & TRACE_CHOSEN_HEARS) != 0;
  const uint32_t places = step->chosen_hears ? places_below(size) : hear;
  step->count = (uint8_t)__builtin_popcount(places);
  take_context(reader, step, places, hear);
}

/* A form of an earlier version: one place of each stratum. */
static void take_picked(trace_reader* reader, trace_step* step, uint32_t size, uint8_t picks) {
  const freshet_kept kept = freshet_keep_some(size, picks);
  trace_item* first = reader->to->context + reader->to->context_count;
  uint32_t places = 0;
  for (uint32_t k = 0; k < kept.count; k++) places |= UINT32_C(1) << kept.place[k]; /* they rise */
  step->count = (uint8_t)kept.count;
  take_context(reader, step, places, places);
  for (uint32_t k = 0; k < kept.count && !reader->in.bad; k++) first[k].times = kept.times[k];
}

/* As take_sampled, of a trace that is not sampled. */
static void take_whole(trace_reader* reader, trace_step* step) {
  freshet_byte_reader* in = &reader->in;
  reader->weight = freshet_take_u16(in);
  const uint32_t head = freshet_take_u8(in), size = head % TRACE_FADES;
  const uint8_t picks = head >= TRACE_THINNED ? freshet_take_u8(in) : 0;
  reader->fades = (head & TRACE_FADES) != 0;
  step->span_code = (reader->weight & TRACE_AGAIN) != 0 ? freshet_take_u8(in) : 0;
  if (size > FRESHET_HISTORY) in->bad = true;
  if (in->bad) return;
  step->chosen_hears = true;
  if (head >= TRACE_THINNED) {
    take_picked(reader, step, size, picks);
  } else {
    step->count = (uint8_t)size;
    take_context(reader, step, places_below(size), places_below(size));
  }
}

static void make_room(freshet_sorter* to) {
  to->steps = freshet_table_reach(to->steps, &to->step_capacity, to->step_count + 1, sizeof *to->steps);
  to->context = freshet_table_reach(to->context, &to->context_capacity, to->context_count + FRESHET_HISTORY,
                                    sizeof *to->context);
}

static void take_step(trace_reader* reader) {
  freshet_sorter* to = reader->to;
  freshet_byte_reader* in = &reader->in;
  make_room(to);
  trace_step* step = &to->steps[to->step_count];
  *step = (trace_step){.chosen = take_index(reader)};
  if (in->bad) return;
  if (reader->is_sampled) {
    take_sampled(reader, step);
  } else {
    take_whole(reader, step);
  }
  const uint32_t weight = reader->weight;
  step->is_dislike = (weight & TRACE_DISLIKE) != 0;
  step->is_again = (weight & TRACE_AGAIN) != 0;
  step->weight = weight & TRACE_WEIGHT;
  step->order_code =
      (uint8_t)((weight >> TRACE_BACK_SHIFT & (BACK_CODES - 1)) + (reader->fades != 0 ? ORDER_FADES : 0));
  if (step->weight == 0 || step->weight > WEIGHT_UNITS_MAX) in->bad = true;
  if (step->is_dislike && (step->count > 0 || step->is_again || step->order_code > 0)) in->bad = true;
  to->choice_ends[step->chosen] += !step->is_dislike;
  to->step_count++;
}

bool freshet_read_trace(freshet_sorter* to, const freshet_model_delta* delta, uint32_t items) {
  trace_reader reader = {.in = freshet_read_slice(delta->trace), .to = to, .items = items};
  to->pair_ends = freshet_table_reach(to->pair_ends, &to->pair_end_capacity, items, sizeof *to->pair_ends);
  to->choice_ends =
      freshet_table_reach(to->choice_ends, &to->choice_end_capacity, items, sizeof *to->choice_ends);
  memset(to->pair_ends, 0, items * sizeof *to->pair_ends);
  memset(to->choice_ends, 0, items * sizeof *to->choice_ends);
  to->step_count = to->context_count = 0;
  open_trace(&reader);
  if (delta->events > delta->trace.size) reader.in.bad = true; /* an event takes more than a byte */
  for (uint64_t e = 0; e < delta->events && !reader.in.bad; e++) take_step(&reader);
  return !reader.in.bad && reader.in.left == 0;
}
