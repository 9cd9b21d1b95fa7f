/*
 * input_sort.c: events in the order of time, as far as a window reaches: a heap of records that wait, for
 * input_stages.h.
 */
#include <stdlib.h>

#include "commands/input/input_stages.h"

/* An event with all its texts behind it. */
typedef struct waiting {
  uint64_t number; /* in the file: decides between equal times */
  freshet_input_record record;
  char texts[];
} waiting;

typedef struct sort_stage {
  freshet_input_reader base;
  freshet_input_reader* inner;
  size_t window;
  waiting** heap; /* [count], the oldest first; a parent is never after its children */
  size_t count;
  uint64_t read;
  bool ended;           /* the inner reader is */
  waiting* handed;      /* the record that was returned last */
  freshet_buffer began; /* place of the inner reader before the first record */
} sort_stage;

static bool is_before(const waiting* a, const waiting* b) {
  int64_t x = a->record.event.occurred_at_ms, y = b->record.event.occurred_at_ms;
  return x != y ? x < y : a->number < b->number;
}

static void push(sort_stage* stage, waiting* added) {
  size_t at = stage->count++;
  for (; at > 0 && is_before(added, stage->heap[(at - 1) / 2]); at = (at - 1) / 2) {
    stage->heap[at] = stage->heap[(at - 1) / 2];
  }
  stage->heap[at] = added;
}

static waiting* pop(sort_stage* stage) {
  waiting* oldest = stage->heap[0];
  waiting* moved = stage->heap[--stage->count];
  size_t at = 0;
  for (size_t child = 1; child < stage->count; child = 2 * at + 1) {
    if (child + 1 < stage->count && is_before(stage->heap[child + 1], stage->heap[child])) child++;
    if (!is_before(stage->heap[child], moved)) break;
    stage->heap[at] = stage->heap[child];
    at = child;
  }
  stage->heap[at] = moved;
  return oldest;
}

static freshet_slice keep(freshet_slice text, char** at) {
  freshet_slice kept = {*at, text.size};
  if (text.size > 0) memcpy(*at, text.data, text.size);
  *at += text.size;
  return kept;
}

static waiting* copy_record(const freshet_input_record* record, uint64_t number) {
  const freshet_event* event = &record->event;
  size_t size = event->event_id.size + event->user_id.size + event->item_id.size + record->key.size;
  for (int f = 0; f < FRESHET_FIELDS; f++) size += record->fields[f].size;
  waiting* copy = malloc(sizeof *copy + size);
  FRESHET_ASSERT(copy != NULL);
  copy->number = number;
  copy->record = *record;
  char* at = copy->texts;
  copy->record.event.event_id = keep(event->event_id, &at);
  copy->record.event.user_id = keep(event->user_id, &at);
  copy->record.event.item_id = keep(event->item_id, &at);
  copy->record.key = keep(record->key, &at);
  for (int f = 0; f < FRESHET_FIELDS; f++) copy->record.fields[f] = keep(record->fields[f], &at);
  return copy;
}

/* Reads until the window is full or the file has ended, or until something that does not wait comes: then
 * *passed is true and the record is it. */
static freshet_status fill(sort_stage* stage, freshet_input_record* record, bool* passed,
                           freshet_error* error) {
  *passed = false;
  while (!stage->ended && stage->count < stage->window) {
    bool more = false;
    freshet_status status = stage->inner->vtable->next(stage->inner, record, &more, error);
    if (status != FRESHET_OK) return status;
    stage->ended = !more;
    if (more && (!record->is_event || record->outcome != FRESHET_INPUT_TAKEN)) {
      *passed = true;
      return FRESHET_OK;
    }
    if (more) push(stage, copy_record(record, stage->read++));
  }
  return FRESHET_OK;
}

static freshet_status sort_next(freshet_input_reader* self, freshet_input_record* record, bool* more,
                                freshet_error* error) {
  sort_stage* stage = (sort_stage*)self;
  free(stage->handed);
  stage->handed = NULL;
  *more = true;
  bool passed;
  freshet_status status = fill(stage, record, &passed, error);
  if (status != FRESHET_OK || passed) return status;
  *more = stage->count > 0;
  if (!*more) return FRESHET_OK;
  stage->handed = pop(stage);
  *record = stage->handed->record;
  return FRESHET_OK;
}

static double sort_progress(const freshet_input_reader* self) {
  const freshet_input_reader* inner = ((const sort_stage*)self)->inner;
  return inner->vtable->progress(inner);
}

/* The window has read on, so the row of a record is not there any more; records that come from it are good ones. */
static void sort_row(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_row(((const sort_stage*)self)->inner, text);
}

static void sort_columns(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_columns(((const sort_stage*)self)->inner, text);
}

static void sort_style(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_style(((const sort_stage*)self)->inner, text);
}

static void sort_mapping(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_mapping(((const sort_stage*)self)->inner, text);
}

static freshet_time_unit sort_unit(const freshet_input_reader* self) {
  return freshet_input_unit(((const sort_stage*)self)->inner);
}

/* Those that wait would be lost, so another one starts where this one did. */
static bool sort_place(const freshet_input_reader* self, freshet_buffer* text) {
  const sort_stage* stage = (const sort_stage*)self;
  freshet_buffer_append(text, stage->began.data, stage->began.size);
  return false;
}

static void sort_close(freshet_input_reader* self) {
  sort_stage* stage = (sort_stage*)self;
  stage->inner->vtable->close(stage->inner);
  for (size_t i = 0; i < stage->count; i++) free(stage->heap[i]);
  free(stage->heap);
  free(stage->handed);
  freshet_buffer_free(&stage->began);
  free(stage);
}

freshet_input_reader* freshet_input_sort(freshet_input_reader* inner, size_t window) {
  static const freshet_input_reader_vtable vtable = {.next = sort_next,
                                                     .progress = sort_progress,
                                                     .place = sort_place,
                                                     .row = sort_row,
                                                     .columns = sort_columns,
                                                     .style = sort_style,
                                                     .mapping = sort_mapping,
                                                     .unit = sort_unit,
                                                     .close = sort_close};
  FRESHET_ASSERT(window > 0 && window <= FRESHET_INPUT_WINDOW_MAX);
  sort_stage* stage = calloc(1, sizeof *stage);
  FRESHET_ASSERT(stage != NULL);
  *stage = (sort_stage){.base = {&vtable}, .inner = inner, .window = window};
  stage->heap = malloc(window * sizeof *stage->heap);
  FRESHET_ASSERT(stage->heap != NULL);
  freshet_input_place(inner, &stage->began);
  return &stage->base;
}
