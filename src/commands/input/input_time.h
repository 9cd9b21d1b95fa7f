/*
 * input_time.h: texts that mean a time: ISO 8601 and its relatives, numbers since 1970 in a unit that the first
 * one tells, and any form of strptime. Pure: it knows no clock and no time zone of this machine.
 */
#ifndef FRESHET_COMMANDS_INPUT_TIME_H
#define FRESHET_COMMANDS_INPUT_TIME_H

#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

typedef enum freshet_time_unit {
  FRESHET_TIME_UNKNOWN = 0, /* no number has been seen yet */
  FRESHET_TIME_S,
  FRESHET_TIME_MS,
  FRESHET_TIME_US,
  FRESHET_TIME_NS,
} freshet_time_unit;

const char* freshet_time_unit_name(freshet_time_unit unit);

/* Reads a time into ms since 1970, UTC where the text has no offset:
 *   2011-12-09, 2011-12-09 12:50, 2011-12-09T12:50:00.5+01:00, 20111209T125000Z, 2011-12-09 12:50:00 UTC;
 *   a number. The first one tells the unit (*unit unknown), and the unit then holds: 10^8 to 10^11 are seconds, to
 *   10^14 ms, to 10^17 us, to 10^20 ns: the years 1973 to 5138. Digits that look like a calendar, such as
 *   20240131 or 20240131123000, tell no unit.
 * Errors: FRESHET_INVALID, verdict FRESHET_DEAD_LETTER; a first number that tells no unit, a later one of another
 * unit. */
freshet_status freshet_time_parse(freshet_slice text, freshet_time_unit* unit, int64_t* time_ms,
                                  freshet_error* error);

/* The same for a thing that may be older than 1970: numbers may be negative. */
freshet_status freshet_time_parse_old(freshet_slice text, freshet_time_unit* unit, int64_t* time_ms,
                                      freshet_error* error);

/* The same by a form of strptime, which may also hold %f: digits of a fraction of a second. */
freshet_status freshet_time_parse_as(freshet_slice text, const char* format, int64_t* time_ms,
                                     freshet_error* error);

enum { FRESHET_TIME_TEXT_SIZE = 40 };
/* "2011-12-09T12:50:00Z"; returns text. */
const char* freshet_time_text(int64_t time_ms, char text[FRESHET_TIME_TEXT_SIZE]);

#endif
