/*
 * input_options.c: the options of input_options.h, one by one.
 */
#include "commands/input/input_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "commands/input/input_types.h"

enum { WORDS_MAX = 64 };

static freshet_status refuse(const char* option, const char* value, const char* want, freshet_error* error) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "--%s takes %s, not '%s'", option, want,
                           value);
}

void freshet_input_options_init(freshet_input_options* options) {
  *options = (freshet_input_options){.heading = -1};
  freshet_input_map_parse(NULL, &options->map, NULL);
}

/* ---- one by one ---- */

static freshet_status take_set(freshet_input_options* options, const char* text, freshet_error* error) {
  options->set_text = text;
  while (*text != '\0') {
    size_t size = strcspn(text, ",");
    const char* equals = memchr(text, '=', size);
    freshet_slice name = {text, equals == NULL ? size : (size_t)(equals - text)};
    int field = freshet_field_of(name);
    if (equals == NULL || field < 0) return refuse("set", text, "FIELD=VALUE with one of our fields", error);
    options->set[field] = (freshet_slice){equals + 1, size - name.size - 1};
    text += size + (text[size] == ',');
  }
  return FRESHET_OK;
}

static freshet_status take_escape(freshet_input_options* options, const char* value, freshet_error* error) {
  freshet_csv_dialect* dialect = &options->dialect;
  if (strcasecmp(value, "auto") == 0) {
    dialect->escape = FRESHET_CSV_ESCAPE_AUTO;
  } else if (strcasecmp(value, "none") == 0) {
    dialect->escape = FRESHET_CSV_ESCAPE_NONE;
  } else if (strlen(value) == 1 && (unsigned char)*value < 0x80 && strchr("\"\r\n", *value) == NULL) {
    dialect->escape = FRESHET_CSV_ESCAPE_CHAR;
    dialect->escape_char = *value;
  } else {
    return refuse("escape", value, "auto, none or one character that is no quote", error);
  }
  return FRESHET_OK;
}

static freshet_status take_quote(freshet_input_options* options, const char* value, freshet_error* error) {
  options->dialect.no_quotes = strcasecmp(value, "none") == 0;
  if (options->dialect.no_quotes || strcmp(value, "\"") == 0) return FRESHET_OK;
  return refuse("quote", value, "none or \"", error);
}

static freshet_status take_unit(freshet_input_options* options, const char* value, freshet_error* error) {
  static const char* const names[] = {"", "s", "ms", "us", "ns"};
  for (int unit = FRESHET_TIME_S; unit <= FRESHET_TIME_NS; unit++) {
    options->unit = (freshet_time_unit)unit;
    if (strcasecmp(names[unit], value) == 0) return FRESHET_OK;
  }
  return refuse("time-unit", value, "s, ms, us or ns", error);
}

static freshet_status take_list_separator(freshet_input_options* options, const char* value,
                                          freshet_error* error) {
  static const struct {
    const char* name;
    char separator;
  } names[] = {{"bar", '|'},  {"semicolon", ';'}, {"comma", ','},
               {"tab", '\t'}, {"blank", ' '},     {"\\t", '\t'}};
  options->lists = (freshet_list_style){0};
  if (strcasecmp(value, "auto") == 0) return FRESHET_OK;
  options->lists = (freshet_list_style){.separator = *value, .told = true};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcasecmp(names[i].name, value) != 0) continue;
    options->lists.separator = names[i].separator;
    return FRESHET_OK;
  }
  return strlen(value) == 1 ? FRESHET_OK : refuse("list-separator", value, "auto or one character", error);
}

static freshet_status take_time_format(freshet_input_options* options, const char* value,
                                       freshet_error* error) {
  options->time_format = value;
  if (strstr(value, "%s") != NULL)
    return refuse("time-format", value, "no %s: --time-unit s reads seconds since 1970", error);
  return strchr(value, '%') != NULL
             ? FRESHET_OK
             : refuse("time-format", value, "a form as of strptime, such as %Y-%m-%d %H:%M:%S", error);
}

static freshet_status take_scale(freshet_input_options* options, const char* value, freshet_error* error) {
  char end;
  bool fine = sscanf(value, "%lf:%lf%c", &options->scale.least, &options->scale.most, &end) == 2 &&
              options->scale.least < options->scale.most;
  return fine ? FRESHET_OK : refuse("rating-scale", value, "LEAST:MOST, as in 1:10", error);
}

static freshet_status take_heading(freshet_input_options* options, const char* value, freshet_error* error) {
  options->heading = freshet_field_of(freshet_slice_of(value));
  return options->heading >= 0 ? FRESHET_OK : refuse("heading", value, "one of our fields", error);
}

static freshet_status take_each(freshet_input_options* options, const char* value, freshet_error* error) {
  options->each = value;
  size_t size = strcspn(value, ",");
  bool fine =
      freshet_field_of((freshet_slice){value, size}) >= 0 && value[size] == ',' && value[size + 1] != '\0';
  return fine ? FRESHET_OK : refuse("each", value, "FIELD,SEPARATOR or FIELD,SEPARATOR,ENDING", error);
}

static freshet_status take_returns(freshet_input_options* options, const char* value, freshet_error* error) {
  options->returns_dislike = strcasecmp(value, "dislike") == 0;
  if (options->returns_dislike || strcasecmp(value, "ignore") == 0) return FRESHET_OK;
  return refuse("returns", value, "ignore or dislike", error);
}

static freshet_status take_flag(freshet_input_options* options, int code) {
  options->python = options->python || code == FRESHET_INPUT_PYTHON;
  options->properties = options->properties || code == FRESHET_INPUT_PROPERTIES;
  options->keep_blanks = options->keep_blanks || code == FRESHET_INPUT_KEEP_BLANKS;
  options->decimal_comma = options->decimal_comma || code == FRESHET_INPUT_DECIMAL_COMMA;
  options->derive_ids = options->derive_ids || code == FRESHET_INPUT_DERIVE_IDS;
  return FRESHET_OK;
}

static freshet_status take_text(freshet_input_options* options, int code, const char* value,
                                freshet_error* error) {
  switch (code) {
    case FRESHET_INPUT_FORMAT:
      options->format = strcasecmp(value, "auto") == 0 ? NULL : value;
      return FRESHET_OK;
    case FRESHET_INPUT_MISSING:
      options->missing = value;
      return FRESHET_OK;
    case FRESHET_INPUT_COLUMNS:
      options->dialect.has_names = true;
      options->dialect.names = value;
      return FRESHET_OK;
    case FRESHET_INPUT_ENCODING:
      options->dialect.latin1_rows = strcasecmp(value, "utf-8,latin1") == 0;
      options->encoding = options->dialect.latin1_rows ? NULL : value;
      return FRESHET_OK;
    case FRESHET_INPUT_MAP:
      options->map_text = value;
      return freshet_input_map_parse(value, &options->map, error);
    case FRESHET_INPUT_TYPES:
      options->types = value;
      return freshet_type_rules_check(value, error);
    default:
      return take_flag(options, code);
  }
}

freshet_status freshet_input_options_take(freshet_input_options* options, int code, const char* value,
                                          freshet_error* error) {
  switch (code) {
    case FRESHET_INPUT_SET:
      return take_set(options, value, error);
    case FRESHET_INPUT_SEPARATOR:
      return freshet_csv_separator_parse(value, &options->dialect, error);
    case FRESHET_INPUT_ESCAPE:
      return take_escape(options, value, error);
    case FRESHET_INPUT_QUOTE:
      return take_quote(options, value, error);
    case FRESHET_INPUT_TIME_UNIT:
      return take_unit(options, value, error);
    case FRESHET_INPUT_TIME_FORMAT:
      return take_time_format(options, value, error);
    case FRESHET_INPUT_LIST_SEPARATOR:
      return take_list_separator(options, value, error);
    case FRESHET_INPUT_RATING_SCALE:
      return take_scale(options, value, error);
    case FRESHET_INPUT_HEADING:
      return take_heading(options, value, error);
    case FRESHET_INPUT_EACH:
      return take_each(options, value, error);
    case FRESHET_INPUT_RETURNS:
      return take_returns(options, value, error);
    default:
      return take_text(options, code, value, error);
  }
}

/* ---- a text of options ---- */

/* Splits at blanks outside of double quotes, in place. False: a quote is open, or there are too many words. */
static bool split_words(char* text, char** words, size_t* count) {
  char* to = text;
  *count = 0;
  for (char* at = text; *at != '\0';) {
    while (*at == ' ' || *at == '\t') at++;
    if (*at == '\0') break;
    if (*count == WORDS_MAX) return false;
    words[(*count)++] = to;
    bool quoted = false;
    for (; *at != '\0' && (quoted || (*at != ' ' && *at != '\t')); at++) {
      if (*at == '"') {
        quoted = !quoted;
      } else {
        *to++ = *at;
      }
    }
    if (quoted) return false;
    at += *at != '\0';
    *to++ = '\0';
  }
  return true;
}

static const struct option* find_option(const char* word) {
  static const struct option longs[] = {FRESHET_INPUT_LONG_OPTIONS, {NULL, 0, NULL, 0}};
  for (const struct option* o = longs; o->name != NULL; o++) {
    if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0) return o;
  }
  return NULL;
}

freshet_status freshet_input_options_take_text(freshet_input_options* options, const char* text,
                                               freshet_buffer* storage, freshet_error* error) {
  char* words[WORDS_MAX];
  size_t count;
  freshet_buffer_append(storage, text, strlen(text) + 1);
  if (!split_words((char*)storage->data, words, &count))
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "a quote is never closed in '%s'", text);
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    const struct option* o = find_option(words[i]);
    bool lacks = o == NULL || (o->has_arg == required_argument && i + 1 == count);
    if (lacks) {
      return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                               "'%s' is no option of a data set, or its value is missing", words[i]);
    }
    status = freshet_input_options_take(options, o->val, o->has_arg == required_argument ? words[++i] : NULL,
                                        error);
  }
  return status;
}

void freshet_input_options_key(const freshet_input_options* options, freshet_buffer* key) {
  const char* texts[] = {
      options->format,        options->map_text,         options->set_text, options->missing,
      options->encoding,      options->time_format,      options->types,    options->each,
      options->dialect.names, options->dialect.separator};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    const char* text = texts[i] == NULL ? "" : texts[i];
    freshet_buffer_append(key, text, strlen(text) + 1);
  }
  int numbers[] = {(int)options->unit,         (int)options->dialect.escape, options->dialect.escape_char,
                   options->dialect.no_quotes, options->lists.separator,     options->heading,
                   options->keep_blanks,       options->decimal_comma,       options->derive_ids,
                   options->returns_dislike};
  freshet_buffer_append(key, numbers, sizeof numbers);
  freshet_buffer_append(key, &options->scale, sizeof options->scale);
}
