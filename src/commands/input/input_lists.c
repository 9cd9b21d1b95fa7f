/*
 * input_lists.c: lists of input_lists.h.
 */
#include "commands/input/input_lists.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char freshet_list_separators[5] = "|;,>";
static const double MUCH = 0.2; /* of the texts: a comma in fewer of them is part of a name */

static freshet_slice trim(freshet_slice text) {
  while (text.size > 0) {
    if (strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0') {
      text.data++;
      text.size--;
    } else if (text.size >= 2 && memcmp(text.data, "\xc2\xa0", 2) == 0) { /* a blank that does not break */
      text.data += 2;
      text.size -= 2;
    } else {
      break;
    }
  }
  while (text.size > 0) {
    char last = text.data[text.size - 1];
    if (last != '\0' && strchr(" \t\r\n", last) != NULL) {
      text.size--;
    } else if (text.size >= 2 && memcmp(text.data + text.size - 2, "\xc2\xa0", 2) == 0) {
      text.size -= 2;
    } else {
      break;
    }
  }
  return text;
}

/* Most texts have nothing to trim, and this is asked for every field of every row. */
freshet_slice freshet_text_trim(freshet_slice text) {
  if (text.size == 0) return text;
  unsigned char first = (unsigned char)text.data[0], last = (unsigned char)text.data[text.size - 1];
  bool plain = first > ' ' && first != 0xc2 && last > ' ' && last != 0xa0;
  return plain ? text : trim(text);
}

/* ---- which separator ---- */

/* array(['A', 'B'], dtype=object), as numpy describes one: what is in its brackets. */
static freshet_slice without_array(freshet_slice text) {
  static const char begin[] = "array([";
  if (text.size < sizeof begin || memcmp(text.data, begin, sizeof begin - 1) != 0) return text;
  const char* end = memrchr(text.data, ']', text.size);
  return end == NULL ? text : (freshet_slice){text.data + 6, (size_t)(end - text.data) - 5};
}

static bool is_bracketed(freshet_slice text) {
  text = without_array(text);
  if (text.size < 2) return false;
  char first = text.data[0], last = text.data[text.size - 1];
  return (first == '[' && last == ']') || (first == '{' && last == '}') || (first == '(' && last == ')');
}

void freshet_list_sample_add(freshet_list_sample* sample, freshet_slice text) {
  text = freshet_text_trim(text);
  if (text.size == 0 || text.data[0] == FRESHET_LIST_PART || is_bracketed(text)) return;
  sample->texts++;
  for (int s = 0; s < 4; s++)
    sample->with[s] += memchr(text.data, freshet_list_separators[s], text.size) != NULL;
}

char freshet_list_sample_tell(const freshet_list_sample* sample) {
  int best = -1;
  for (int s = 0; s < 4; s++) {
    if ((double)sample->with[s] < MUCH * (double)sample->texts || sample->with[s] == 0) continue;
    if (best < 0 || sample->with[s] > sample->with[best]) best = s;
  }
  return best < 0 ? '|' : freshet_list_separators[best];
}

char freshet_list_sample_doubt(const freshet_list_sample* sample, char separator) {
  for (int s = 0; s < 4; s++) {
    if (freshet_list_separators[s] != separator && 2 * sample->with[s] > sample->texts)
      return freshet_list_separators[s];
  }
  return 0;
}

/* ---- JSON and Python ---- */

static bool is_word_at(freshet_slice text, size_t at, const char* word) {
  size_t size = strlen(word);
  return text.size - at >= size && memcmp(text.data + at, word, size) == 0;
}

/* A string of Python from its quote on; returns where it ends. */
static size_t copy_string(freshet_slice text, size_t at, freshet_buffer* out) {
  char quote = text.data[at++];
  freshet_buffer_append(out, "\"", 1);
  for (; at < text.size && text.data[at] != quote; at++) {
    char byte = text.data[at];
    if (byte == '\\' && at + 1 < text.size) {
      char next = text.data[++at];
      if (next == 'x' && at + 2 < text.size) { /* \xe9 is U+00E9 */
        freshet_buffer_append(out, "\\u00", 4);
        freshet_buffer_append(out, text.data + at + 1, 2);
        at += 2;
        continue;
      }
      if (next != '\'') freshet_buffer_append(out, "\\", 1);
      freshet_buffer_append(out, &next, 1);
      continue;
    }
    if (byte == '"') freshet_buffer_append(out, "\\", 1);
    freshet_buffer_append(out, &byte, 1);
  }
  freshet_buffer_append(out, "\"", 1);
  return at < text.size ? at + 1 : at;
}

void freshet_list_python_to_json(freshet_slice text, freshet_buffer* out) {
  static const struct {
    const char *python, *json;
  } words[] = {{"None", "null"}, {"True", "true"}, {"False", "false"}, {"nan", "null"}};
  for (size_t at = 0; at < text.size;) {
    char byte = text.data[at];
    bool prefixed = (byte == 'u' || byte == 'b') && at + 1 < text.size &&
                    (text.data[at + 1] == '\'' || text.data[at + 1] == '"');
    if (prefixed) byte = text.data[++at];
    if (byte == '\'' || byte == '"') {
      at = copy_string(text, at, out);
      continue;
    }
    size_t word = 0;
    while (word < 4 && !is_word_at(text, at, words[word].python)) word++;
    if (word < 4) {
      freshet_buffer_append(out, words[word].json, strlen(words[word].json));
      at += strlen(words[word].python);
      continue;
    }
    char plain = byte == '(' ? '[' : byte == ')' ? ']' : byte;
    freshet_buffer_append(out, &plain, 1);
    at++;
  }
}

/* What names an element that is an object, as TMDB has them. */
static const json_t* name_of(const json_t* element) {
  static const char* const keys[] = {"name", "title", "label", "value", "id"};
  for (size_t i = 0; json_is_object(element) && i < sizeof keys / sizeof keys[0]; i++) {
    const json_t* value = json_object_get(element, keys[i]);
    if (json_is_string(value) || json_is_integer(value)) return value;
  }
  return element;
}

static void append_element(const json_t* element, freshet_buffer* out) {
  char number[32];
  const json_t* value = name_of(element);
  size_t index;
  const json_t* part;
  if (json_is_array(value)) { /* a list of lists, as of paths in a tree */
    json_array_foreach((json_t*)value, index, part) append_element(part, out);
    return;
  }
  freshet_slice text = {0};
  if (json_is_string(value)) text = (freshet_slice){json_string_value(value), json_string_length(value)};
  if (json_is_integer(value)) {
    snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    text = freshet_slice_of(number);
  }
  if (json_is_real(value)) {
    snprintf(number, sizeof number, "%.9g", json_real_value(value));
    text = freshet_slice_of(number);
  }
  char mark = FRESHET_LIST_PART;
  freshet_buffer_append(out, &mark, 1);
  freshet_buffer_append(out, text.data, text.size);
}

/* ---- other brackets ---- */

/* A text in quotes from its quote on, with escapes and doubled quotes undone. Returns where it ends; 0: nowhere. */
static size_t copy_quoted(freshet_slice text, size_t at, freshet_buffer* out) {
  char quote = text.data[at++];
  for (; at < text.size; at++) {
    bool doubled = text.data[at] == quote && at + 1 < text.size && text.data[at + 1] == quote;
    if (text.data[at] == quote && !doubled) return at + 1;
    if ((text.data[at] == '\\' || doubled) && at + 1 < text.size) at++;
    freshet_buffer_append(out, text.data + at, 1);
  }
  return 0;
}

/* {Home,"Kitchen, big"} of PostgreSQL, [Home, Kitchen] of DuckDB, ['Home' 'Kitchen'] of numpy: quoted parts, or
 * parts up to a comma. False: brackets within, or a colon, so that it is no list of texts. */
static bool split_loosely(freshet_slice text, freshet_buffer* out) {
  const char mark = FRESHET_LIST_PART;
  out->size = 0;
  for (size_t at = 1; at + 1 < text.size;) {
    if (strchr(", \t\r\n", text.data[at]) != NULL) {
      at++;
      continue;
    }
    freshet_buffer_append(out, &mark, 1);
    if (text.data[at] == '"' || text.data[at] == '\'') {
      at = copy_quoted(text, at, out);
      if (at == 0) return false;
      continue;
    }
    for (; at + 1 < text.size && text.data[at] != ','; at++) {
      if (strchr("[]{}():", text.data[at]) != NULL) return false;
      freshet_buffer_append(out, text.data + at, 1);
    }
  }
  return true;
}

/* Reads a bracketed text as JSON, as Python, or loosely; false: it is none of them. */
static bool split_bracketed(freshet_slice text, freshet_buffer* scratch) {
  text = without_array(text);
  json_t* list = json_loadb(text.data, text.size, 0, NULL);
  if (list == NULL) {
    freshet_buffer json = {0};
    freshet_list_python_to_json(text, &json);
    if (text.data[0] == '{' && memchr(json.data, ':', json.size) == NULL) { /* a set */
      json.data[0] = '[';
      json.data[json.size - 1] = ']';
    }
    list = json_loadb((const char*)json.data, json.size, 0, NULL);
    freshet_buffer_free(&json);
  }
  if (list == NULL) return split_loosely(text, scratch);
  scratch->size = 0;
  append_element(list, scratch);
  json_decref(list);
  return true;
}

/* ---- splitting ---- */

static size_t split_at(freshet_slice text, freshet_slice separator, freshet_slice* parts, size_t most) {
  size_t count = 0;
  while (text.size > 0 && count < most) {
    const char* cut = memmem(text.data, text.size, separator.data, separator.size);
    size_t size = cut == NULL ? text.size : (size_t)(cut - text.data);
    parts[count] = freshet_text_trim((freshet_slice){text.data, size});
    count += parts[count].size > 0;
    size += cut != NULL ? separator.size : 0;
    text = (freshet_slice){text.data + size, text.size - size};
  }
  return count;
}

/* A text that has none of the file's separators may still be a list of another style: a path with arrows, as in
 * Home > Lighting, or words without blanks between, as in Action,Puzzle. Size 0: it is one text. */
static freshet_slice own_separator(freshet_slice text) {
  static const char* const arrows[] = {" > ", " \u00bb ", " \u203a ", " \u2192 ", " / ", " :: "};
  for (size_t i = 0; i < sizeof arrows / sizeof arrows[0]; i++) {
    if (text.size > 3 && memmem(text.data, text.size, arrows[i], strlen(arrows[i])) != NULL)
      return freshet_slice_of(arrows[i]);
  }
  for (int s = 0; s < 3; s++) {
    char separator = freshet_list_separators[s];
    bool has = false, prose = false;
    for (size_t i = 0; i < text.size; i++) {
      bool is_one = text.data[i] == separator;
      has = has || is_one;
      prose = prose || (is_one && i + 1 < text.size && text.data[i + 1] == ' ');
    }
    if (has && !prose) return (freshet_slice){&freshet_list_separators[s], 1};
  }
  return (freshet_slice){0};
}

size_t freshet_list_split(freshet_slice text, const freshet_list_style* style, freshet_buffer* scratch,
                          freshet_slice* parts, size_t most) {
  static const char mark = FRESHET_LIST_PART;
  const freshet_slice marks = {&mark, 1};
  text = freshet_text_trim(text);
  if (text.size > 0 && text.data[0] == FRESHET_LIST_PART) return split_at(text, marks, parts, most);
  if (is_bracketed(text) && split_bracketed(text, scratch))
    return split_at(freshet_buffer_slice(scratch), marks, parts, most);
  char character = style->separator == 0 ? '|' : style->separator;
  freshet_slice separator = {&character, 1};
  bool has = text.size > 0 && memchr(text.data, character, text.size) != NULL;
  freshet_slice own = has || style->told ? (freshet_slice){0} : own_separator(text);
  return split_at(text, own.size > 0 ? own : separator, parts, most);
}
