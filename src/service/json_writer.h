/*
 * json_writer.h: JSON (RFC 8259) into a buffer, in one pass. Private to the service.
 *
 *   freshet_json json = {.out = &body};
 *   freshet_json_open(&json, NULL, '{');
 *   freshet_json_integer(&json, "k", 10);
 *   freshet_json_close(&json, '}');
 *
 * A key is NULL inside of an array and for the outermost value; keys are ours and not escaped. Whatever text
 * comes in, the output is valid UTF-8: broken sequences become U+FFFD.
 */
#ifndef FRESHET_SERVICE_JSON_WRITER_H
#define FRESHET_SERVICE_JSON_WRITER_H

#include <stdbool.h>

#include "freshet/bytes.h"

/* Zero-initialise but for `out`, which is borrowed. */
typedef struct freshet_json {
  freshet_buffer* out;
  bool comma; /* a value stands before the next one */
} freshet_json;

void freshet_json_open(freshet_json* json, const char* key, char bracket);
void freshet_json_close(freshet_json* json, char bracket);
void freshet_json_text(freshet_json* json, const char* key, freshet_slice text);
/* The same of a text in pieces; each ends between two code points. */
void freshet_json_open_text(freshet_json* json, const char* key);
void freshet_json_add_text(freshet_json* json, freshet_slice text);
void freshet_json_close_text(freshet_json* json);
void freshet_json_integer(freshet_json* json, const char* key, int64_t number);
/* With 6 decimals where that says enough, else with 9 significant digits; null when it is not finite. */
void freshet_json_number(freshet_json* json, const char* key, double number);
void freshet_json_bool(freshet_json* json, const char* key, bool value);
/* ms since the Unix epoch as RFC 3339 in UTC, such as "2026-01-31T12:00:00.123Z". */
void freshet_json_time(freshet_json* json, const char* key, int64_t time_ms);

#endif
