/*
 * input_properties.c: the items of Retailrocket. Millions of rows say that a property of an item has had a value since
 * a time, in no order and over several files. What an item is like is told by the newest row of each property, so all
 * rows are read before the first item comes. Only the category and whether the item is available are in the clear.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/grow.h"

#include "commands/input/input_reader.h"

enum {
  ITEM_ID_MAX = 16 * 1000 * 1000, /* ids are dense numbers below half a million */
  NUMBER_SIZE = 24,
  PATH_SIZE = 4096,
};

typedef struct item_facts {
  bool known;
  bool available;
  int64_t available_since, category_since;
  long long category; /* -1: none */
} item_facts;

typedef struct properties_reader {
  freshet_input_reader base;
  glob_t files;
  size_t file;      /* being read */
  freshet_csv* csv; /* NULL: all are */
  int columns[4];   /* timestamp, itemid, property, value */
  item_facts* items;
  size_t capacity;
  size_t at; /* item to come next */
  char item_id[NUMBER_SIZE], category[NUMBER_SIZE];
} properties_reader;

static const char* const names[4] = {"timestamp", "itemid", "property", "value"};

static freshet_status open_part(properties_reader* reader, freshet_error* error) {
  if (reader->csv != NULL) freshet_csv_close(reader->csv);
  reader->csv = NULL;
  if (reader->file == reader->files.gl_pathc) return FRESHET_OK;
  const char* path = reader->files.gl_pathv[reader->file++];
  freshet_status status = freshet_csv_open(path, NULL, &reader->csv, error);
  for (int i = 0; status == FRESHET_OK && i < 4; i++) {
    reader->columns[i] = freshet_csv_column(reader->csv, names[i]);
    if (reader->columns[i] < 0) {
      status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                                 "%s: no column '%s', which properties of items need", path, names[i]);
    }
  }
  return status;
}

static item_facts* facts_of(properties_reader* reader, size_t id) {
  if (id >= reader->capacity) {
    size_t before = reader->capacity;
    reader->items = freshet_grow(reader->items, &reader->capacity, id + 1, sizeof *reader->items);
    for (size_t i = before; i < reader->capacity; i++) {
      reader->items[i] = (item_facts){.available = true, .category = -1};
    }
  }
  reader->items[id].known = true;
  return &reader->items[id];
}

static freshet_status take_row(properties_reader* reader, freshet_input_record* record,
                               freshet_error* error) {
  long long time, id, value;
  freshet_slice property = freshet_csv_field(reader->csv, reader->columns[2]);
  record->line = freshet_csv_line(reader->csv);
  record->fields[FRESHET_FIELD_ITEM_ID] = freshet_csv_field(reader->csv, reader->columns[1]);
  if (!freshet_csv_integer(freshet_csv_field(reader->csv, reader->columns[0]), &time) ||
      !freshet_csv_integer(record->fields[FRESHET_FIELD_ITEM_ID], &id) || id < 0 || id >= ITEM_ID_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "timestamp or itemid is not a number below %d", ITEM_ID_MAX);
  }
  item_facts* facts = facts_of(reader, (size_t)id);
  bool is_category = freshet_slice_equal(property, freshet_slice_of("categoryid"));
  if (!is_category && !freshet_slice_equal(property, freshet_slice_of("available"))) return FRESHET_OK;
  if (!freshet_csv_integer(freshet_csv_field(reader->csv, reader->columns[3]), &value) || value < 0) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "the value of %s is not a number",
                             is_category ? "categoryid" : "available");
  }
  if (is_category && time >= facts->category_since) {
    facts->category_since = time;
    facts->category = value;
  } else if (!is_category && time >= facts->available_since) {
    facts->available_since = time;
    facts->available = value != 0;
  }
  return FRESHET_OK;
}

/* Reads all that is left of the files. A bad row is told, and the next call goes on after it. */
static freshet_status read_files(properties_reader* reader, freshet_input_record* record,
                                 freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && reader->csv != NULL) {
    bool more;
    status = freshet_csv_next(reader->csv, &more, error);
    if (status == FRESHET_OK) status = more ? take_row(reader, record, error) : open_part(reader, error);
  }
  return status;
}

static freshet_status next(freshet_input_reader* self, freshet_input_record* record, bool* more,
                           freshet_error* error) {
  properties_reader* reader = (properties_reader*)self;
  memset(record->fields, 0, sizeof record->fields);
  record->is_event = record->decoded = false;
  *more = true;
  freshet_status status = read_files(reader, record, error);
  if (status != FRESHET_OK) return status;
  while (reader->at < reader->capacity && !reader->items[reader->at].known) reader->at++;
  *more = reader->at < reader->capacity;
  if (!*more) return FRESHET_OK;
  const item_facts* facts = &reader->items[reader->at];
  snprintf(reader->item_id, sizeof reader->item_id, "%zu", reader->at++);
  record->line = reader->at;
  record->fields[FRESHET_FIELD_ITEM_ID] = freshet_slice_of(reader->item_id);
  record->fields[FRESHET_FIELD_AVAILABLE] = freshet_slice_of(facts->available ? "true" : "false");
  if (facts->category >= 0) {
    snprintf(reader->category, sizeof reader->category, "%lld", facts->category);
    record->fields[FRESHET_FIELD_CATEGORIES] = freshet_slice_of(reader->category);
  }
  return FRESHET_OK;
}

/* Reading takes nearly all of the time. */
static double progress(const freshet_input_reader* self) {
  const properties_reader* reader = (const properties_reader*)self;
  if (reader->csv == NULL) return 1;
  double before = (double)(reader->file - 1);
  return (before + freshet_csv_progress(reader->csv)) / (double)reader->files.gl_pathc;
}

static void close_reader(freshet_input_reader* self) {
  properties_reader* reader = (properties_reader*)self;
  freshet_csv_close(reader->csv);
  globfree(&reader->files);
  free(reader->items);
  free(reader);
}

freshet_status freshet_input_open_properties(const freshet_input* input, freshet_input_reader** out,
                                             freshet_error* error) {
  static const freshet_input_reader_vtable vtable = {
      .next = next, .progress = progress, .close = close_reader};
  properties_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  reader->base.vtable = &vtable;
  const char* slash = strrchr(input->path, '/');
  char pattern[PATH_SIZE];
  snprintf(pattern, sizeof pattern, "%.*sitem_properties*.csv*",
           slash == NULL ? 0 : (int)(slash + 1 - input->path), input->path);
  freshet_status status = FRESHET_OK;
  if (glob(pattern, 0, NULL, &reader->files) != 0) {
    status = freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "cannot open %s", pattern);
  }
  if (status == FRESHET_OK) status = open_part(reader, error);
  if (status != FRESHET_OK) {
    close_reader(&reader->base);
    return status;
  }
  *out = &reader->base;
  return FRESHET_OK;
}
