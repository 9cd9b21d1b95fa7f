/*
 * input_clean.c: texts of input_clean.h.
 */
#include "commands/input/input_clean.h"

#include <ctype.h>
#include <string.h>

#include "commands/input/input_refuse.h"

enum { LONGEST_WORD = 9 };

static bool has_word(const char* rules, freshet_field field, freshet_slice text) {
  while (*rules != '\0') {
    size_t size = strcspn(rules, ",");
    const char* equals = memchr(rules, '=', size);
    freshet_slice word = {rules, size};
    int only = -1;
    if (equals != NULL) only = freshet_field_of((freshet_slice){rules, (size_t)(equals - rules)});
    if (only >= 0) word = (freshet_slice){equals + 1, size - (size_t)(equals + 1 - rules)};
    if ((only < 0 || only == (int)field) && freshet_slice_equal(word, text)) return true;
    rules += size + (rules[size] == ',');
  }
  return false;
}

static bool is_text(freshet_field field) {
  return field == FRESHET_FIELD_TITLE || field == FRESHET_FIELD_TEXT;
}

/* Most texts begin with a byte that no usual word begins with, and this is asked for every field of every row. */
static bool is_missing(const freshet_input_options* options, freshet_field field, freshet_slice text) {
  if (text.size == 0) return false;
  if (options->missing != NULL) return has_word(options->missing, field, text);
  bool may_be = text.size <= LONGEST_WORD && text.data[0] != '\0' && strchr("\\Nn(<#u", text.data[0]) != NULL;
  if (!may_be) return false;
  return is_text(field) ? freshet_slice_equal(text, freshet_slice_of("\\N")) : freshet_id_is_missing(text);
}

/* ---- ids ---- */

static size_t count_digits(freshet_slice text, size_t from) {
  size_t at = from;
  while (at < text.size && isdigit((unsigned char)text.data[at])) at++;
  return at - from;
}

/* 42.0 is 42, and 42,0 with a decimal comma. */
static freshet_slice whole_number(freshet_slice text, char point) {
  bool ends = text.size > 2 && text.data[text.size - 1] == '0' && text.data[text.size - 2] == point;
  return ends && count_digits(text, 0) == text.size - 2 ? (freshet_slice){text.data, text.size - 2} : text;
}

/* 1.23457E+12: one digit, perhaps a fraction, and an exponent with a plus. */
static bool is_shortened(freshet_slice text) {
  if (count_digits(text, 0) != 1 || text.size < 4) return false;
  size_t at = 1;
  if (text.data[at] == '.' || text.data[at] == ',') at += 1 + count_digits(text, at + 1);
  if (at + 2 >= text.size || (text.data[at] != 'E' && text.data[at] != 'e') || text.data[at + 1] != '+')
    return false;
  return at + 2 + count_digits(text, at + 2) == text.size;
}

/* The message has '?' for each byte that is not ASCII: a terminal and a log want UTF-8. */
static freshet_status check_encoding(freshet_field field, freshet_slice text, freshet_error* error) {
  char shown[64];
  size_t size = text.size < sizeof shown ? text.size : sizeof shown;
  if (freshet_slice_is_utf8(text)) return FRESHET_OK;
  for (size_t i = 0; i < size; i++) shown[i] = (unsigned char)text.data[i] < 0x80 ? text.data[i] : '?';
  return reject(error, "%s '%.*s' is not UTF-8; --encoding windows-1252 (or another one) may read it",
                freshet_field_names[field], (int)size, shown);
}

static freshet_status clean_id(const freshet_input_options* options, freshet_field field,
                               freshet_slice before, freshet_slice* text, freshet_error* error) {
  const char* name = freshet_field_names[field];
  if (text->size == 0 && before.size > 0)
    return reject(error, "%s '%.*s' stands for no value", name, SHOW(before));
  if (is_shortened(*text))
    return reject(error, "%s '%.*s' is a number that a spreadsheet has shortened: export it as a text", name,
                  SHOW(*text));
  *text = whole_number(*text, options->decimal_comma ? ',' : '.');
  return check_encoding(field, *text, error);
}

freshet_status freshet_input_clean(const freshet_input_options* options, freshet_input_record* record,
                                   bool is_event, freshet_error* error) {
  freshet_slice* fields = record->fields;
  freshet_slice user = fields[FRESHET_FIELD_USER_ID], item = fields[FRESHET_FIELD_ITEM_ID];
  for (int f = 0; f < FRESHET_FIELDS; f++) {
    freshet_slice* text = &fields[f];
    if (text->size > 0 && !is_text((freshet_field)f) && !options->keep_blanks)
      *text = freshet_text_trim(*text);
    if (is_missing(options, (freshet_field)f, *text)) *text = (freshet_slice){0};
    if (options->set[f].size > 0) *text = options->set[f];
  }
  if (options->derive_ids) fields[FRESHET_FIELD_EVENT_ID] = (freshet_slice){0};
  /* A column of a field that the record does not have says nothing about it. */
  freshet_status status = FRESHET_OK;
  if (is_event)
    status = clean_id(options, FRESHET_FIELD_USER_ID, user, &fields[FRESHET_FIELD_USER_ID], error);
  if (status == FRESHET_OK)
    status = clean_id(options, FRESHET_FIELD_ITEM_ID, item, &fields[FRESHET_FIELD_ITEM_ID], error);
  if (status == FRESHET_OK && !is_event)
    status = check_encoding(FRESHET_FIELD_TITLE, fields[FRESHET_FIELD_TITLE], error);
  return status;
}
