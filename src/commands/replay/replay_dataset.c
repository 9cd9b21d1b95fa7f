/*
 * replay_dataset.c: A reader of well-known data sets: which file holds what, and how one line of it becomes
 * named texts. It owns the table of layouts. What it gives is converted like any other row.
 */
#include "commands/replay/replay_dataset.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "commands/line_file.h"

enum { PARTS_MAX = 32, MOVIE_ID_SIZE = 24, PATH_SIZE = 4096 };

typedef struct dataset_reader dataset_reader;

/* Turns a line into a record; *is_row false: the line holds none. */
typedef freshet_status (*line_parser)(dataset_reader* reader, freshet_slice line,
                                      freshet_replay_record* record, bool* is_row, freshet_error* error);

typedef struct layout {
  freshet_replay_format format;
  const char* pattern; /* of the file's name */
  freshet_replay_expect holds;
  line_parser parse; /* NULL: CSV with a row of names, which `map` gives our names */
  const char* map;   /* NULL: read by freshet_replay_properties_open */
} layout;

struct dataset_reader {
  freshet_replay_reader base;
  const layout* layout;
  freshet_line_file lines;
  char movie_id[MOVIE_ID_SIZE]; /* Netflix: whose ratings follow */
  freshet_buffer text;          /* of the current line, when it had to be made */
};

/* ---- lines ---- */

/* Splits at a separator, at most into `most` parts; the last one takes what is left. */
static size_t split(freshet_slice line, const char* separator, freshet_slice* parts, size_t most) {
  size_t count = 0, width = strlen(separator);
  while (count + 1 < most) {
    const char* found = line.size == 0 ? NULL : memmem(line.data, line.size, separator, width);
    if (found == NULL) break;
    size_t size = (size_t)(found - line.data);
    parts[count++] = (freshet_slice){line.data, size};
    line = (freshet_slice){found + width, line.size - size - width};
  }
  parts[count++] = line;
  return count;
}

static freshet_status expect_parts(size_t found, size_t wanted, freshet_error* error) {
  if (found == wanted) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "the line has %zu fields, not %zu",
                           found, wanted);
}

/* The older sets are in ISO 8859-1, the newer ones in UTF-8, under the same names. */
static freshet_slice as_utf8(dataset_reader* reader, freshet_slice line) {
  if (freshet_slice_is_utf8(line)) return line;
  reader->text.size = 0;
  for (size_t i = 0; i < line.size; i++) {
    unsigned char letter = (unsigned char)line.data[i];
    unsigned char bytes[2] = {(unsigned char)(0xc0 | letter >> 6), (unsigned char)(0x80 | (letter & 0x3f))};
    freshet_buffer_append(&reader->text, letter < 0x80 ? &letter : bytes, letter < 0x80 ? 1 : 2);
  }
  return freshet_buffer_slice(&reader->text);
}

/* user, item, rating, time */
static freshet_status parse_ratings(const char* separator, freshet_slice line, freshet_replay_record* record,
                                    freshet_error* error) {
  freshet_slice parts[PARTS_MAX];
  freshet_status status = expect_parts(split(line, separator, parts, PARTS_MAX), 4, error);
  if (status != FRESHET_OK) return status;
  record->fields[FRESHET_REPLAY_USER_ID] = parts[0];
  record->fields[FRESHET_REPLAY_ITEM_ID] = parts[1];
  record->fields[FRESHET_REPLAY_VALUE] = parts[2];
  record->fields[FRESHET_REPLAY_OCCURRED_AT] = parts[3];
  return FRESHET_OK;
}

static freshet_status parse_u_data(dataset_reader* reader, freshet_slice line, freshet_replay_record* record,
                                   bool* is_row, freshet_error* error) {
  (void)reader;
  *is_row = true;
  return parse_ratings("\t", line, record, error);
}

static freshet_status parse_ratings_dat(dataset_reader* reader, freshet_slice line,
                                        freshet_replay_record* record, bool* is_row, freshet_error* error) {
  (void)reader;
  *is_row = true;
  return parse_ratings("::", line, record, error);
}

static freshet_status parse_movies_dat(dataset_reader* reader, freshet_slice line,
                                       freshet_replay_record* record, bool* is_row, freshet_error* error) {
  freshet_slice parts[PARTS_MAX];
  *is_row = true;
  freshet_status status = expect_parts(split(as_utf8(reader, line), "::", parts, PARTS_MAX), 3, error);
  if (status != FRESHET_OK) return status;
  record->fields[FRESHET_REPLAY_ITEM_ID] = parts[0];
  record->fields[FRESHET_REPLAY_TITLE] = parts[1];
  record->fields[FRESHET_REPLAY_CATEGORIES] = parts[2];
  return FRESHET_OK;
}

/* id, title, release date, video date, address, and a 0 or 1 for each genre in the order of u.genre */
static freshet_status parse_u_item(dataset_reader* reader, freshet_slice line, freshet_replay_record* record,
                                   bool* is_row, freshet_error* error) {
  static const char* const genres[] = {"unknown",   "Action",   "Adventure",   "Animation", "Children's",
                                       "Comedy",    "Crime",    "Documentary", "Drama",     "Fantasy",
                                       "Film-Noir", "Horror",   "Musical",     "Mystery",   "Romance",
                                       "Sci-Fi",    "Thriller", "War",         "Western"};
  enum { GENRES = sizeof genres / sizeof genres[0], BEFORE = 5 };
  freshet_slice parts[PARTS_MAX];
  *is_row = true;
  line = as_utf8(reader, line);
  freshet_status status = expect_parts(split(line, "|", parts, PARTS_MAX), BEFORE + GENRES, error);
  if (status != FRESHET_OK) return status;
  /* Both views are taken after the buffer has its last word, which may move it. */
  size_t id_size = parts[0].size, title_size = parts[1].size;
  freshet_buffer joined = {0};
  freshet_buffer_append(&joined, parts[0].data, id_size);
  freshet_buffer_append(&joined, parts[1].data, title_size);
  size_t genres_at = joined.size;
  for (size_t g = 0; g < GENRES; g++) {
    if (!freshet_slice_equal(parts[BEFORE + g], freshet_slice_of("1"))) continue;
    if (joined.size > genres_at) freshet_buffer_append(&joined, "|", 1);
    freshet_buffer_append(&joined, genres[g], strlen(genres[g]));
  }
  freshet_buffer_free(&reader->text);
  reader->text = joined;
  const char* text = (const char*)joined.data;
  record->fields[FRESHET_REPLAY_ITEM_ID] = (freshet_slice){text, id_size};
  record->fields[FRESHET_REPLAY_TITLE] = (freshet_slice){text + id_size, title_size};
  record->fields[FRESHET_REPLAY_CATEGORIES] = (freshet_slice){text + genres_at, joined.size - genres_at};
  return FRESHET_OK;
}

/* "MOVIE:" and then "user,rating,date" for each of its ratings. */
static freshet_status parse_netflix(dataset_reader* reader, freshet_slice line, freshet_replay_record* record,
                                    bool* is_row, freshet_error* error) {
  freshet_slice parts[PARTS_MAX];
  *is_row = line.size == 0 || line.data[line.size - 1] != ':';
  if (!*is_row) {
    snprintf(reader->movie_id, sizeof reader->movie_id, "%.*s", (int)line.size - 1, line.data);
    return FRESHET_OK;
  }
  if (reader->movie_id[0] == '\0') {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "no line 'MOVIE:' before this one tells whose rating it is");
  }
  freshet_status status = expect_parts(split(line, ",", parts, PARTS_MAX), 3, error);
  if (status != FRESHET_OK) return status;
  record->fields[FRESHET_REPLAY_USER_ID] = parts[0];
  record->fields[FRESHET_REPLAY_ITEM_ID] = freshet_slice_of(reader->movie_id);
  record->fields[FRESHET_REPLAY_VALUE] = parts[1];
  record->fields[FRESHET_REPLAY_OCCURRED_AT] = parts[2];
  return FRESHET_OK;
}

/* id, year, title; commas of the title are not quoted. */
static freshet_status parse_movie_titles(dataset_reader* reader, freshet_slice line,
                                         freshet_replay_record* record, bool* is_row, freshet_error* error) {
  freshet_slice parts[3];
  *is_row = true;
  freshet_status status = expect_parts(split(as_utf8(reader, line), ",", parts, 3), 3, error);
  if (status != FRESHET_OK) return status;
  record->fields[FRESHET_REPLAY_ITEM_ID] = parts[0];
  record->fields[FRESHET_REPLAY_TITLE] = parts[2];
  return FRESHET_OK;
}

/* ---- layouts ---- */

static const layout layouts[] = {
    {FRESHET_REPLAY_MOVIELENS, "u.data", FRESHET_REPLAY_EVENTS, parse_u_data, NULL},
    {FRESHET_REPLAY_MOVIELENS, "u.item", FRESHET_REPLAY_ITEMS, parse_u_item, NULL},
    {FRESHET_REPLAY_MOVIELENS, "ratings.dat", FRESHET_REPLAY_EVENTS, parse_ratings_dat, NULL},
    {FRESHET_REPLAY_MOVIELENS, "movies.dat", FRESHET_REPLAY_ITEMS, parse_movies_dat, NULL},
    {FRESHET_REPLAY_MOVIELENS, "ratings.csv", FRESHET_REPLAY_EVENTS, NULL,
     "user_id=userId,item_id=movieId,value=rating,occurred_at=timestamp"},
    {FRESHET_REPLAY_MOVIELENS, "movies.csv", FRESHET_REPLAY_ITEMS, NULL, "item_id=movieId,categories=genres"},
    {FRESHET_REPLAY_NETFLIX, "combined_data_*.txt", FRESHET_REPLAY_EVENTS, parse_netflix, NULL},
    {FRESHET_REPLAY_NETFLIX, "mv_*.txt", FRESHET_REPLAY_EVENTS, parse_netflix, NULL},
    {FRESHET_REPLAY_NETFLIX, "movie_titles.*", FRESHET_REPLAY_ITEMS, parse_movie_titles, NULL},
    {FRESHET_REPLAY_RETAILROCKET, "events.csv", FRESHET_REPLAY_EVENTS, NULL,
     "user_id=visitorid,item_id=itemid,occurred_at=timestamp,type=event"},
    {FRESHET_REPLAY_RETAILROCKET, "item_properties*.csv", FRESHET_REPLAY_ITEMS, NULL, NULL},
};
enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

static const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

static const layout* find_layout(freshet_replay_format format, const char* path) {
  char name[NAME_MAX + 1];
  snprintf(name, sizeof name, "%s", base_name(path));
  size_t size = strlen(name);
  if (size > 3 && strcmp(name + size - 3, ".gz") == 0) name[size - 3] = '\0';
  for (size_t i = 0; i < LAYOUTS; i++) {
    if (layouts[i].format == format && fnmatch(layouts[i].pattern, name, 0) == 0) return &layouts[i];
  }
  return NULL;
}

static bool is_properties(const layout* l) {
  return l->parse == NULL && l->map == NULL;
}

static freshet_status unknown_file(freshet_replay_format format, const char* path, freshet_status status,
                                   const char* what, freshet_error* error) {
  char known[256] = "";
  for (size_t i = 0, at = 0; i < LAYOUTS; i++) {
    if (layouts[i].format != format) continue;
    at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", at == 0 ? "" : ", ", layouts[i].pattern);
  }
  return freshet_error_set(error, status, FRESHET_STOP, "%s: %s; the data set's are %s", path, what, known);
}

/* ---- folders ---- */

freshet_status freshet_replay_dataset_expand(freshet_replay_format format, const char* path,
                                             bool (*add)(void* context, const char* path,
                                                         freshet_replay_expect expect),
                                             void* context, freshet_error* error) {
  struct stat facts;
  if (stat(path, &facts) != 0) {
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "cannot open %s: %s", path,
                             strerror(errno));
  }
  if (!S_ISDIR(facts.st_mode)) {
    const layout* l = find_layout(format, path);
    if (l == NULL)
      return unknown_file(format, path, FRESHET_INVALID, "not a file name of this data set", error);
    add(context, path, l->holds);
    return FRESHET_OK;
  }
  struct dirent** entries = NULL;
  int count = scandir(path, &entries, NULL, alphasort);
  bool found = false, going = true, properties = false;
  for (int i = 0; i < count; i++) {
    const layout* l = find_layout(format, entries[i]->d_name);
    bool is_other_part = l != NULL && is_properties(l) && properties;
    if (l != NULL && !is_other_part && going) {
      char full[PATH_SIZE];
      snprintf(full, sizeof full, "%s/%s", path, entries[i]->d_name);
      properties = properties || is_properties(l);
      found = true;
      going = add(context, full, l->holds);
    }
    free(entries[i]);
  }
  free(entries);
  return found ? FRESHET_OK
               : unknown_file(format, path, FRESHET_NOT_FOUND, "no file of this data set", error);
}

/* ---- the reader ---- */

static freshet_status next(freshet_replay_reader* self, freshet_replay_record* record, bool* more,
                           freshet_error* error) {
  dataset_reader* reader = (dataset_reader*)self;
  for (bool is_row = false; !is_row;) {
    freshet_slice line;
    freshet_status status = freshet_line_next(&reader->lines, &line, more, error);
    record->line = reader->lines.number;
    memset(record->fields, 0, sizeof record->fields);
    record->decoded = false;
    record->is_event = reader->layout->holds == FRESHET_REPLAY_EVENTS;
    if (status != FRESHET_OK || !*more) return status;
    if (line.size == 0) continue;
    status = reader->layout->parse(reader, line, record, &is_row, error);
    if (status != FRESHET_OK) return status;
  }
  return FRESHET_OK;
}

static double progress(const freshet_replay_reader* self) {
  return freshet_gzip_progress(&((const dataset_reader*)self)->lines.file);
}

static void close_reader(freshet_replay_reader* self) {
  dataset_reader* reader = (dataset_reader*)self;
  freshet_line_close(&reader->lines);
  freshet_buffer_free(&reader->text);
  free(reader);
}

static freshet_status open_lines(const freshet_replay_input* input, const layout* l,
                                 freshet_replay_reader** out, freshet_error* error) {
  static const freshet_replay_reader_vtable vtable = {
      .next = next, .progress = progress, .close = close_reader};
  dataset_reader* reader = calloc(1, sizeof *reader);
  FRESHET_ASSERT(reader != NULL);
  reader->base.vtable = &vtable;
  reader->layout = l;
  freshet_status status = freshet_line_open(input->path, &reader->lines, error);
  if (status != FRESHET_OK) {
    close_reader(&reader->base);
    return status;
  }
  *out = &reader->base;
  return FRESHET_OK;
}

freshet_status freshet_replay_dataset_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                           freshet_error* error) {
  const layout* l = find_layout(input->format, input->path);
  if (l == NULL) {
    return unknown_file(input->format, input->path, FRESHET_INVALID, "not a file name of this data set",
                        error);
  }
  if (l->parse != NULL) return open_lines(input, l, reader, error);
  if (is_properties(l)) return freshet_replay_properties_open(input, reader, error);
  freshet_replay_map map;
  freshet_status status = freshet_replay_map_parse(l->map, &map, error);
  if (status != FRESHET_OK) return status;
  freshet_replay_input csv = *input;
  csv.expect = l->holds;
  csv.map = &map;
  return freshet_replay_csv_open(&csv, reader, error);
}
