/*
 * input_dataset.c: the table of data sets of input_dataset.h. A row: NAME PATTERN events|items OPTION...
 */
#include "commands/input/input_dataset.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096, KNOWN_SIZE = 300, FILE_MAX = 1 << 20 };

typedef struct row {
  char *name, *pattern, *options; /* into the text */
  freshet_input_expect holds;
} row;

struct freshet_dataset {
  char* text;
  row* rows; /* [count] */
  size_t count;
};

bool freshet_format_is_plain(const char* format) {
  static const char* const plain[] = {"csv", "jsonl", "ndjson", "json", "avro"};
  for (size_t i = 0; format != NULL && i < sizeof plain / sizeof plain[0]; i++) {
    if (strcasecmp(plain[i], format) == 0) return true;
  }
  return format == NULL;
}

/* ---- rows ---- */

static char* take_word(char** at) {
  *at += strspn(*at, " \t");
  char* word = *at;
  *at += strcspn(*at, " \t");
  if (**at != '\0') *(*at)++ = '\0';
  return word;
}

static freshet_status take_row(freshet_dataset* set, char* line, unsigned long number, const char* where,
                               freshet_error* error) {
  row r = {.name = take_word(&line), .pattern = take_word(&line)};
  const char* holds = take_word(&line);
  r.options = line;
  r.holds = strcmp(holds, "items") == 0 ? FRESHET_INPUT_ITEMS : FRESHET_INPUT_EVENTS;
  bool fine = *r.pattern != '\0' && (r.holds == FRESHET_INPUT_ITEMS || strcmp(holds, "events") == 0);
  freshet_input_options options;
  freshet_buffer storage = {0};
  freshet_error why = {0};
  freshet_input_options_init(&options);
  if (fine) fine = freshet_input_options_take_text(&options, r.options, &storage, &why) == FRESHET_OK;
  freshet_buffer_free(&storage);
  if (!fine) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s:%lu: not a row NAME PATTERN events|items OPTION...%s%s", where, number,
                             why.message[0] == '\0' ? "" : ": ", why.message);
  }
  set->rows = realloc(set->rows, (set->count + 1) * sizeof *set->rows);
  FRESHET_ASSERT(set->rows != NULL);
  set->rows[set->count++] = r;
  return FRESHET_OK;
}

/* All rows of a text, which the set owns, or those of a name. */
static freshet_status take_rows(freshet_dataset* set, const char* only, const char* where,
                                freshet_error* error) {
  freshet_status status = FRESHET_OK;
  unsigned long number = 0;
  for (char* at = set->text; status == FRESHET_OK && *at != '\0';) {
    char* line = at;
    number++;
    at += strcspn(at, "\n");
    if (*at != '\0') *at++ = '\0';
    line += strspn(line, " \t");
    size_t end = strlen(line);
    if (end > 0 && line[end - 1] == '\r') line[end - 1] = '\0';
    size_t name = strcspn(line, " \t");
    bool wanted = only == NULL || (strlen(only) == name && strncasecmp(only, line, name) == 0);
    if (*line != '\0' && *line != '#' && wanted) status = take_row(set, line, number, where, error);
  }
  return status;
}

/* ---- opening ---- */

static void list_names(char known[KNOWN_SIZE]) {
  size_t at = 0;
  const char* last = "";
  size_t last_size = 0;
  known[0] = '\0';
  for (const char* line = freshet_dataset_table; *line != '\0';) {
    size_t size = strcspn(line, " \t\n");
    bool is_new = size > 0 && *line != '#' && (size != last_size || strncmp(last, line, size) != 0);
    if (is_new && at + size + 3 < KNOWN_SIZE)
      at += (size_t)snprintf(known + at, KNOWN_SIZE - at, "%s%.*s", at == 0 ? "" : ", ", (int)size, line);
    if (is_new) last = line, last_size = size;
    line += strcspn(line, "\n");
    line += *line == '\n';
  }
}

static char* read_file(const char* path) {
  struct stat facts;
  FILE* file = stat(path, &facts) == 0 && S_ISREG(facts.st_mode) ? fopen(path, "r") : NULL;
  if (file == NULL) return NULL;
  char* text = calloc(1, FILE_MAX + 1);
  FRESHET_ASSERT(text != NULL);
  text[fread(text, 1, FILE_MAX, file)] = '\0';
  fclose(file);
  return text;
}

freshet_status freshet_dataset_open(const char* format, freshet_dataset** out, freshet_error* error) {
  freshet_dataset* set = calloc(1, sizeof *set);
  FRESHET_ASSERT(set != NULL);
  set->text = strdup(freshet_dataset_table);
  FRESHET_ASSERT(set->text != NULL);
  freshet_status status = take_rows(set, format, "datasets.txt", error);
  if (status == FRESHET_OK && set->count == 0) {
    free(set->text);
    set->text = read_file(format);
    if (set->text != NULL) status = take_rows(set, NULL, format, error);
  }
  if (status == FRESHET_OK && set->count == 0) {
    char known[KNOWN_SIZE];
    list_names(known);
    status = freshet_error_set(
        error, FRESHET_NOT_FOUND, FRESHET_STOP,
        "unknown format '%s': it is none of csv, jsonl, json, avro, no data set (%s) and no file of "
        "rows as `freshet replay --formats` prints them",
        format, known);
  }
  if (status != FRESHET_OK) {
    freshet_dataset_destroy(set);
    return status;
  }
  *out = set;
  return FRESHET_OK;
}

void freshet_dataset_destroy(freshet_dataset* set) {
  if (set == NULL) return;
  free(set->text);
  free(set->rows);
  free(set);
}

/* ---- files ---- */

static void bare_name(const char* path, char name[NAME_MAX + 1]) {
  static const char* const endings[] = {".gz", ".zst", ".bz2", ".xz", ".zip"};
  const char* slash = strrchr(path, '/');
  snprintf(name, NAME_MAX + 1, "%s", slash == NULL ? path : slash + 1);
  for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
    size_t size = strlen(name), ending = strlen(endings[i]);
    if (size > ending && strcmp(name + size - ending, endings[i]) == 0) name[size - ending] = '\0';
  }
}

static bool is_of_properties(const row* r) {
  return strstr(r->options, "--properties") != NULL;
}

/* Adds a file for the first row whose pattern its name has, and for a row of the other kind with an equal pattern. *properties: the parts of
 * Retailrocket's properties make one input. */
static size_t add_file(const freshet_dataset* set, const char* path, freshet_input_expect wanted,
                       bool* properties, freshet_dataset_add add, void* context) {
  char name[NAME_MAX + 1];
  size_t found = 0;
  bool had[3] = {false};
  const char* first = NULL; /* pattern */
  bare_name(path, name);
  for (size_t i = 0; i < set->count; i++) {
    const row* r = &set->rows[i];
    bool is_match = first == NULL ? fnmatch(r->pattern, name, 0) == 0 : strcmp(first, r->pattern) == 0;
    if (!is_match) continue;
    first = r->pattern;
    if (had[r->holds] || (wanted != FRESHET_INPUT_ANY && wanted != r->holds)) continue;
    had[r->holds] = true;
    found++;
    if (is_of_properties(r) && *properties) continue;
    *properties = *properties || is_of_properties(r);
    add(context, path, r->holds, r->options);
  }
  return found;
}

static freshet_status unknown_file(const freshet_dataset* set, const char* path, freshet_status status,
                                   const char* what, freshet_error* error) {
  char known[KNOWN_SIZE] = "";
  for (size_t i = 0, at = 0; i < set->count && at + 2 < sizeof known; i++)
    at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", at == 0 ? "" : ", ", set->rows[i].pattern);
  return freshet_error_set(error, status, FRESHET_STOP, "%s: %s; the data set's are %s", path, what, known);
}

freshet_status freshet_dataset_expand(const freshet_dataset* set, const char* path,
                                      freshet_input_expect wanted, freshet_dataset_add add, void* context,
                                      freshet_error* error) {
  struct stat facts;
  bool properties = false;
  if (stat(path, &facts) != 0)
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "cannot open %s: %s", path,
                             strerror(errno));
  if (!S_ISDIR(facts.st_mode)) {
    if (add_file(set, path, wanted, &properties, add, context) > 0) return FRESHET_OK;
    return unknown_file(set, path, FRESHET_INVALID, "not a file name of this data set", error);
  }
  struct dirent** entries = NULL;
  int count = scandir(path, &entries, NULL, alphasort);
  size_t found = 0;
  for (int i = 0; i < count; i++) {
    char full[PATH_SIZE];
    snprintf(full, sizeof full, "%s/%s", path, entries[i]->d_name);
    if (entries[i]->d_name[0] != '.') found += add_file(set, full, wanted, &properties, add, context);
    free(entries[i]);
  }
  free(entries);
  return found > 0 ? FRESHET_OK
                   : unknown_file(set, path, FRESHET_NOT_FOUND, "no file of this data set", error);
}
