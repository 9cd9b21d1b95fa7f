/*
 * input_stages.c: the chain of input_stages.h, with the stage that judges records.
 */
#include "commands/input/input_stages.h"

#include <stdlib.h>

#include "stream/clock.h"

enum { LOOK_EVERY = 256 }; /* records between looks at the clock */

typedef struct judge_stage {
  freshet_input_reader base;
  freshet_input_reader* inner;
  freshet_input_converter* converter;
  freshet_input_wish wish;
  int64_t now_ms;
  unsigned until_look;
} judge_stage;

static bool is_user_wanted(const judge_stage* stage, freshet_slice user_id) {
  return stage->wish.user == NULL || freshet_slice_equal(user_id, freshet_slice_of(stage->wish.user));
}

/* An erasure is never left out for its type: history must not bring an erased user back. */
static freshet_status judge_tombstone(const judge_stage* stage, freshet_input_record* record,
                                      freshet_error* error) {
  record->outcome = FRESHET_INPUT_TAKEN;
  if (record->key.size == 0 || record->key.size > FRESHET_ID_MAX)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "the record's key is no id");
  if (record->is_event && !is_user_wanted(stage, record->key)) record->outcome = FRESHET_INPUT_LEFT_OUT;
  return FRESHET_OK;
}

static freshet_status judge_item(const judge_stage* stage, freshet_input_record* record,
                                 freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (record->decoded) {
    record->outcome = FRESHET_INPUT_TAKEN;
  } else {
    status = freshet_input_item_of(stage->converter, record, error);
  }
  if (status != FRESHET_OK) return status;
  return freshet_item_validate(&record->item, record->has_key ? record->key : record->item.item_id, error);
}

/* A record of a topic has a time and a key of its own. */
static freshet_status judge_event(const judge_stage* stage, freshet_input_record* record,
                                  freshet_error* error) {
  freshet_event* event = &record->event;
  freshet_status status = FRESHET_OK;
  if (record->decoded) {
    record->outcome = FRESHET_INPUT_TAKEN;
    record->has_own_id = event->event_id.size > 0;
    record->lost_price = record->lost_quantity = false;
  } else {
    status = freshet_input_event_of(stage->converter, record, stage->now_ms, error);
  }
  if (status != FRESHET_OK || record->outcome != FRESHET_INPUT_TAKEN) return status;
  freshet_input_name_event(stage->converter, event);
  bool wanted = (stage->wish.types & 1u << event->type) != 0 && is_user_wanted(stage, event->user_id);
  if (!wanted) {
    record->outcome = FRESHET_INPUT_LEFT_OUT;
    return FRESHET_OK;
  }
  return freshet_event_validate(event, record->has_key ? record->key : event->user_id,
                                record->has_key ? record->record_ms : stage->now_ms, &stage->wish.limits,
                                error);
}

static freshet_status judge_next(freshet_input_reader* self, freshet_input_record* record, bool* more,
                                 freshet_error* error) {
  judge_stage* stage = (judge_stage*)self;
  record->is_tombstone = false;
  freshet_status status = stage->inner->vtable->next(stage->inner, record, more, error);
  if (status != FRESHET_OK || !*more) return status;
  if (stage->until_look-- == 0) {
    freshet_clock* clock = freshet_clock_system();
    stage->now_ms = freshet_clock_now_ms(clock);
    stage->until_look = LOOK_EVERY;
  }
  if (record->is_tombstone) return judge_tombstone(stage, record, error);
  return record->is_event ? judge_event(stage, record, error) : judge_item(stage, record, error);
}

static double judge_progress(const freshet_input_reader* self) {
  const freshet_input_reader* inner = ((const judge_stage*)self)->inner;
  return inner->vtable->progress(inner);
}

static bool judge_place(const freshet_input_reader* self, freshet_buffer* text) {
  return freshet_input_place(((const judge_stage*)self)->inner, text);
}

static void judge_row(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_row(((const judge_stage*)self)->inner, text);
}

static void judge_columns(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_columns(((const judge_stage*)self)->inner, text);
}

static void judge_style(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_style(((const judge_stage*)self)->inner, text);
}

static void judge_mapping(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_mapping(((const judge_stage*)self)->inner, text);
}

static freshet_time_unit judge_unit(const freshet_input_reader* self) {
  return freshet_input_converter_unit(((const judge_stage*)self)->converter);
}

static void judge_close(freshet_input_reader* self) {
  judge_stage* stage = (judge_stage*)self;
  stage->inner->vtable->close(stage->inner);
  freshet_input_converter_destroy(stage->converter);
  free(stage);
}

freshet_input_reader* freshet_input_judge(freshet_input_reader* inner, freshet_input_converter* converter,
                                          const freshet_input_wish* wish) {
  static const freshet_input_reader_vtable vtable = {.next = judge_next,
                                                     .progress = judge_progress,
                                                     .place = judge_place,
                                                     .row = judge_row,
                                                     .columns = judge_columns,
                                                     .style = judge_style,
                                                     .mapping = judge_mapping,
                                                     .unit = judge_unit,
                                                     .close = judge_close};
  judge_stage* stage = malloc(sizeof *stage);
  FRESHET_ASSERT(stage != NULL);
  *stage = (judge_stage){.base = {&vtable}, .inner = inner, .converter = converter, .wish = *wish};
  return &stage->base;
}

freshet_status freshet_input_open(const freshet_input* input, const freshet_input_wish* wish,
                                  freshet_input_reader** out, freshet_error* error) {
  freshet_input_reader* reader = NULL;
  freshet_status status = freshet_input_open_raw(input, &reader, error);
  if (status != FRESHET_OK) return status;
  freshet_input_converter* converter = freshet_input_converter_create(input->options, &wish->limits);
  /* A topic has no styles to be told, and its place must be exact. */
  if (!freshet_input_is_topic(input->path) && !input->options->properties) {
    status = freshet_input_preview(reader, input, converter, &reader, error);
    if (status != FRESHET_OK) {
      freshet_input_converter_destroy(converter);
      return status;
    }
  }
  reader = freshet_input_judge(reader, converter, wish);
  *out = wish->window > 0 ? freshet_input_sort(reader, wish->window) : reader;
  return FRESHET_OK;
}
