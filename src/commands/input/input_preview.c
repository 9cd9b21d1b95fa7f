/*
 * input_preview.c: looks at the first records of an input before any of them is used, for input_stages.h. It keeps
 * copies of them, so that a pipe works like a file.
 */
#include <stdio.h>
#include <stdlib.h>

#include "commands/input/input_stages.h"

enum { RECORDS = 100, BYTES_MAX = 4 * 1024 * 1024 };

/* A record as the reader below gave it, with all its texts. */
typedef struct kept {
  freshet_input_record record;
  freshet_status status;
  freshet_error error;
  freshet_buffer texts; /* its fields one after the other */
  freshet_buffer row;
} kept;

typedef struct preview_stage {
  freshet_input_reader base;
  freshet_input_reader* inner;
  freshet_input_converter* converter;
  kept* records; /* [count], those before `at` are given on */
  size_t count, at;
  bool ended;     /* the reader below is */
  bool has_lists; /* some text had more than one part */
  char doubt;     /* another separator that most lists have; 0: none */
} preview_stage;

/* Makes the fields views of the copy. */
static void point_fields(kept* k) {
  const char* at = (const char*)k->texts.data;
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    size_t size = k->record.fields[f].size;
    k->record.fields[f] = (freshet_slice){size == 0 ? NULL : at, size};
    if (size > 0) at += size;
  }
}

static kept* keep(preview_stage* stage, const freshet_input_record* record) {
  stage->records = realloc(stage->records, (stage->count + 1) * sizeof *stage->records);
  FRESHET_ASSERT(stage->records != NULL);
  kept* k = &stage->records[stage->count++];
  *k = (kept){.record = *record};
  for (int f = 0; f < FRESHET_FIELDS; f++)
    freshet_buffer_append(&k->texts, record->fields[f].data, record->fields[f].size);
  point_fields(k);
  freshet_input_row(stage->inner, &k->row);
  return k;
}

/* *present: the fields that some record has. columns: of the first good one. */
static freshet_status read_first(preview_stage* stage, uint32_t* present, bool* has_event,
                                 freshet_buffer* columns, freshet_error* error) {
  size_t bytes = 0;
  bool more = true, good = false;
  while (stage->count < RECORDS && bytes < BYTES_MAX) {
    freshet_input_record record = {0};
    freshet_error why = {0};
    freshet_status status = stage->inner->vtable->next(stage->inner, &record, &more, &why);
    if (status != FRESHET_OK && why.verdict != FRESHET_DEAD_LETTER && stage->count == 0)
      return freshet_error_set(error, status, why.verdict, "%s", why.message);
    stage->ended = status == FRESHET_OK && !more;
    if (stage->ended) return FRESHET_OK;
    kept* k = keep(stage, &record);
    k->status = status;
    k->error = why;
    bytes += k->texts.size + k->row.size;
    if (status != FRESHET_OK && why.verdict != FRESHET_DEAD_LETTER)
      return FRESHET_OK; /* told when it is its turn */
    *present |= record.present;
    for (int f = 0; f < FRESHET_FIELDS; f++) /* some layouts give a field without a column */
      *present |= record.fields[f].size > 0 ? 1u << f : 0;
    *has_event = *has_event || record.is_event;
    if (!good && status == FRESHET_OK) freshet_input_columns(stage->inner, columns);
    good = good || status == FRESHET_OK;
  }
  return FRESHET_OK;
}

static freshet_status check_names(const preview_stage* stage, const freshet_input* input, uint32_t present,
                                  bool has_event, const freshet_buffer* columns, freshet_error* error) {
  if (columns->size == 0 || stage->count == 0) return FRESHET_OK;
  bool is_event = input->expect == FRESHET_INPUT_ANY ? has_event : input->expect == FRESHET_INPUT_EVENTS;
  bool has_user = (present & 1u << FRESHET_FIELD_USER_ID) != 0,
       has_time = (present & 1u << FRESHET_FIELD_OCCURRED_AT) != 0;
  if (freshet_input_lacks_user(input, has_user, has_time))
    return freshet_input_no_column(input, FRESHET_FIELD_USER_ID, true, true, freshet_buffer_slice(columns),
                                   error);
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    if ((present & 1u << f) != 0 || !freshet_input_must_have(input, (freshet_field)f, is_event)) continue;
    return freshet_input_no_column(input, (freshet_field)f, false, is_event, freshet_buffer_slice(columns),
                                   error);
  }
  if (input->expect == FRESHET_INPUT_ANY) return FRESHET_OK;
  static const freshet_field needs[] = {FRESHET_FIELD_ITEM_ID, FRESHET_FIELD_USER_ID,
                                        FRESHET_FIELD_OCCURRED_AT};
  const uint32_t needed =
      1u << FRESHET_FIELD_ITEM_ID | 1u << FRESHET_FIELD_USER_ID | 1u << FRESHET_FIELD_OCCURRED_AT;
  /* Objects leave out what is null: later ones may have the other names. */
  if (is_event && !stage->ended && (present & needed) != 0) return FRESHET_OK;
  for (size_t i = 0; i < (is_event ? 3 : 1); i++) {
    if ((present & 1u << needs[i]) != 0 || input->options->set[needs[i]].size > 0) continue;
    return freshet_input_no_column(input, needs[i], true, is_event, freshet_buffer_slice(columns), error);
  }
  return FRESHET_OK;
}

static void tell_lists(preview_stage* stage) {
  freshet_list_style* lists = freshet_input_converter_lists(stage->converter);
  freshet_list_sample sample = {0};
  for (size_t i = 0; i < stage->count; i++) {
    if (!stage->records[i].record.is_event)
      freshet_list_sample_add(&sample, stage->records[i].record.fields[FRESHET_FIELD_CATEGORIES]);
  }
  if (!lists->told) lists->separator = freshet_list_sample_tell(&sample);
  const char* place = strchr(freshet_list_separators, lists->separator);
  stage->has_lists = sample.texts > 0 && place != NULL && sample.with[place - freshet_list_separators] > 0;
  stage->doubt = freshet_list_sample_doubt(&sample, lists->separator);
}

/* ---- the stage ---- */

static freshet_status next(freshet_input_reader* self, freshet_input_record* record, bool* more,
                           freshet_error* error) {
  preview_stage* stage = (preview_stage*)self;
  if (stage->at >= stage->count) {
    stage->at = stage->count + 1;
    *more = false;
    return stage->ended ? FRESHET_OK : stage->inner->vtable->next(stage->inner, record, more, error);
  }
  kept* k = &stage->records[stage->at++];
  *record = k->record;
  *more = true;
  if (k->status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(error, k->status, k->error.verdict, "%s", k->error.message);
}

static double progress(const freshet_input_reader* self) {
  const freshet_input_reader* inner = ((const preview_stage*)self)->inner;
  return inner->vtable->progress(inner);
}

static void row(const freshet_input_reader* self, freshet_buffer* text) {
  const preview_stage* stage = (const preview_stage*)self;
  if (stage->at > stage->count || stage->at == 0) {
    freshet_input_row(stage->inner, text);
    return;
  }
  const freshet_buffer* kept_row = &stage->records[stage->at - 1].row;
  freshet_buffer_append(text, kept_row->data, kept_row->size);
}

static void columns(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_columns(((const preview_stage*)self)->inner, text);
}

static void mapping(const freshet_input_reader* self, freshet_buffer* text) {
  freshet_input_mapping(((const preview_stage*)self)->inner, text);
}

static void style(const freshet_input_reader* self, freshet_buffer* text) {
  const preview_stage* stage = (const preview_stage*)self;
  char note[120];
  freshet_input_style(stage->inner, text);
  if (stage->has_lists) {
    snprintf(note, sizeof note, ", lists separated by %c",
             freshet_input_converter_lists(stage->converter)->separator);
    freshet_buffer_append(text, note, strlen(note));
  }
  if (stage->doubt != 0) {
    snprintf(note, sizeof note, ", most of which have a %c too (--list-separator '%c' separates by it)",
             stage->doubt, stage->doubt);
    freshet_buffer_append(text, note, strlen(note));
  }
}

static void close_reader(freshet_input_reader* self) {
  preview_stage* stage = (preview_stage*)self;
  stage->inner->vtable->close(stage->inner);
  for (size_t i = 0; i < stage->count; i++) {
    freshet_buffer_free(&stage->records[i].texts);
    freshet_buffer_free(&stage->records[i].row);
  }
  free(stage->records);
  free(stage);
}

freshet_status freshet_input_preview(freshet_input_reader* inner, const freshet_input* input,
                                     freshet_input_converter* converter, freshet_input_reader** out,
                                     freshet_error* error) {
  static const freshet_input_reader_vtable vtable = {.next = next,
                                                     .progress = progress,
                                                     .row = row,
                                                     .columns = columns,
                                                     .style = style,
                                                     .mapping = mapping,
                                                     .close = close_reader};
  preview_stage* stage = calloc(1, sizeof *stage);
  FRESHET_ASSERT(stage != NULL);
  *stage = (preview_stage){.base = {&vtable}, .inner = inner, .converter = converter};
  uint32_t present = 0;
  bool has_event = false;
  freshet_buffer names = {0};
  freshet_status status = read_first(stage, &present, &has_event, &names, error);
  if (status == FRESHET_OK) status = check_names(stage, input, present, has_event, &names, error);
  freshet_buffer_free(&names);
  if (status != FRESHET_OK) {
    close_reader(&stage->base);
    return status;
  }
  tell_lists(stage);
  *out = &stage->base;
  return FRESHET_OK;
}
