/*
 * json_writer.c: writes JSON into a buffer, value by value, without building a tree. Invalid UTF-8 becomes
 * U+FFFD, so that the output is always valid.
 */
#include "service/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "text/unicode.h"

static void put(freshet_json* json, const char* text) {
  freshet_buffer_append(json->out, text, strlen(text));
}

/* The comma and the key before a value of so many bytes. Returns where the value goes; end_value follows. A list has
 * hundreds of values, so room for all three is made at once. */
static char* begin_value(freshet_json* json, const char* key, size_t size) {
  const size_t key_size = key == NULL ? 0 : strlen(key);
  char* at = (char*)freshet_buffer_reserve(json->out, key_size + size + sizeof ",\"\":");
  if (json->comma) *at++ = ',';
  json->comma = true;
  if (key == NULL) return at;
  *at++ = '"';
  memcpy(at, key, key_size);
  at += key_size;
  *at++ = '"';
  *at++ = ':';
  return at;
}

static void end_value(freshet_json* json, const char* end) {
  json->out->size = (size_t)(end - (const char*)json->out->data);
}

static void put_value(freshet_json* json, const char* key, const char* text, size_t size) {
  char* at = begin_value(json, key, size);
  memcpy(at, text, size);
  end_value(json, at + size);
}

void freshet_json_open(freshet_json* json, const char* key, char bracket) {
  put_value(json, key, &bracket, 1);
  json->comma = false;
}

void freshet_json_close(freshet_json* json, char bracket) {
  freshet_buffer_append(json->out, &bracket, 1);
  json->comma = true;
}

static bool is_plain(char c) {
  return (unsigned char)c >= ' ' && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* The code point at *at, which is not plain; moves past it. */
static void put_code_point(freshet_json* json, const char** at, const char* end) {
  static const char invalid[] = "\xef\xbf\xbd";
  const char* start = *at;
  int32_t c = freshet_unicode_next(at, end);
  char escape[8];
  if (c == FRESHET_CODE_POINT_INVALID) {
    put(json, invalid);
  } else if (c >= 0x80) {
    freshet_buffer_append(json->out, start, (size_t)(*at - start));
  } else {
    snprintf(escape, sizeof escape, c < ' ' ? "\\u%04x" : "\\%c", (unsigned)c);
    put(json, escape);
  }
}

void freshet_json_text(freshet_json* json, const char* key, freshet_slice text) {
  freshet_json_open_text(json, key);
  freshet_json_add_text(json, text);
  freshet_json_close_text(json);
}

void freshet_json_open_text(freshet_json* json, const char* key) {
  put_value(json, key, "\"", 1);
}

void freshet_json_add_text(freshet_json* json, freshet_slice text) {
  const char *at = text.data, *end = text.data + text.size;
  while (at < end) {
    const char* start = at;
    while (at < end && is_plain(*at)) at++;
    if (at > start) freshet_buffer_append(json->out, start, (size_t)(at - start));
    if (at < end) put_code_point(json, &at, end);
  }
}

void freshet_json_close_text(freshet_json* json) {
  freshet_buffer_append(json->out, "\"", 1);
}

void freshet_json_integer(freshet_json* json, const char* key, int64_t number) {
  char text[24];
  const int size = snprintf(text, sizeof text, "%" PRId64, number);
  put_value(json, key, text, (size_t)size);
}

enum { NUMBER_SIZE = 40, DIGITS_MAX = 24 };

/* So many decimals of a number whose product with 10^decimals is below 2^63, rounded. printf would find the exact
 * decimals of the double first, and a list has about a hundred numbers. short_form: without zeros at the end. */
static void write_decimals(double number, int decimals, bool short_form, char text[NUMBER_SIZE]) {
  static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12};
  char digits[DIGITS_MAX];
  uint64_t rest = (uint64_t)llround(fabs(number) * powers[decimals]);
  int at = DIGITS_MAX, last = DIGITS_MAX, i = 0;
  for (int written = 0; rest > 0 || written <= decimals; written++, rest /= 10)
    digits[--at] = (char)('0' + rest % 10);
  while (short_form && last > DIGITS_MAX - decimals && digits[last - 1] == '0') last--;
  if (number < 0) text[i++] = '-';
  for (; at < last; at++) {
    if (at == DIGITS_MAX - decimals) text[i++] = '.';
    text[i++] = digits[at];
  }
  text[i] = '\0';
}

void freshet_json_number(freshet_json* json, const char* key, double number) {
  char text[NUMBER_SIZE];
  const double size = fabs(number);
  if (!isfinite(number)) {
    snprintf(text, sizeof text, "null");
  } else if (number == 0 || (size >= 0.1 && size < 1e6)) {
    write_decimals(number, 6, false, text);
  } else if (size >= 1e-3 && size < 0.1) { /* nine digits, as below */
    write_decimals(number, size >= 1e-2 ? 10 : 11, true, text);
  } else {
    snprintf(text, sizeof text, "%.9g", number);
  }
  put_value(json, key, text, strlen(text));
}

void freshet_json_bool(freshet_json* json, const char* key, bool value) {
  put_value(json, key, value ? "true" : "false", value ? 4 : 5);
}

void freshet_json_time(freshet_json* json, const char* key, int64_t time_ms) {
  char text[64];
  struct tm parts;
  int64_t ms = ((time_ms % 1000) + 1000) % 1000;
  time_t seconds = (time_t)((time_ms - ms) / 1000);
  gmtime_r(&seconds, &parts);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + strlen(text), sizeof text - strlen(text), ".%03dZ", (int)ms);
  freshet_json_text(json, key, freshet_slice_of(text));
}
