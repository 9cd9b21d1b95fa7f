/*
 * input_time.c: times of input_time.h. Digits are read by hand: sscanf would take a third of the time of a replay.
 */
#include "commands/input/input_time.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "commands/input/input_csv.h"
#include "commands/input/input_refuse.h"

enum { TEXT_SIZE = 96, MS_PER_S = 1000 };

/* ---- numbers ---- */

static const struct {
  const char* name;
  double least, beyond; /* numbers of this unit */
  int64_t per_ms, ms_per;
} units[] = {
    [FRESHET_TIME_UNKNOWN] = {"ISO 8601", 0, 0, 1, 1},
    [FRESHET_TIME_S] = {"seconds", 1e8, 1e11, 1, 1000},
    [FRESHET_TIME_MS] = {"milliseconds", 1e11, 1e14, 1, 1},
    [FRESHET_TIME_US] = {"microseconds", 1e14, 1e17, 1000, 1},
    [FRESHET_TIME_NS] = {"nanoseconds", 1e17, 1e20, 1000 * 1000, 1},
};

const char* freshet_time_unit_name(freshet_time_unit unit) {
  return units[unit].name;
}

/* YYYYMMDD, YYYYMMDDhhmm or YYYYMMDDhhmmss. */
static bool is_calendar(freshet_slice text) {
  if (text.size != 8 && text.size != 12 && text.size != 14) return false;
  for (size_t i = 0; i < text.size; i++) {
    if (!isdigit((unsigned char)text.data[i])) return false;
  }
  const char* d = text.data;
  int century = (d[0] - '0') * 10 + d[1] - '0', month = (d[4] - '0') * 10 + d[5] - '0';
  int day = (d[6] - '0') * 10 + d[7] - '0', hour = text.size > 8 ? (d[8] - '0') * 10 + d[9] - '0' : 0;
  int minute = text.size > 8 ? (d[10] - '0') * 10 + d[11] - '0' : 0;
  return (century == 19 || century == 20) && month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
         hour < 24 && minute < 60;
}

/* .NET counts 100 ns since the year 1. As nanoseconds since 1970, these numbers are all in 1989 to 1991. */
static bool is_ticks(double number) {
  return number >= 6.2e17 && number < 6.7e17;
}

static freshet_status tell_unit(freshet_slice text, double number, freshet_time_unit* unit,
                                freshet_error* error) {
  if (is_calendar(text)) {
    return reject(error, "time %.*s looks like a calendar's digits; tell with --time-format %%Y%%m%%d%s",
                  SHOW(text),
                  text.size == 8    ? ""
                  : text.size == 12 ? "%H%M"
                                    : "%H%M%S");
  }
  if (is_ticks(number))
    return reject(
        error,
        "time %.17g looks like ticks of .NET: (ticks - 621355968000000000) / 10000 are milliseconds; "
        "--time-unit ns reads it as nanoseconds",
        number);
  for (int u = FRESHET_TIME_S; u <= FRESHET_TIME_NS; u++) {
    if (number >= units[u].least && number < units[u].beyond) *unit = (freshet_time_unit)u;
  }
  if (*unit != FRESHET_TIME_UNKNOWN) return FRESHET_OK;
  return reject(error, "time %.17g may be seconds or milliseconds; tell with --time-unit (s, ms, us or ns)",
                number);
}

typedef struct number {
  bool whole;
  long long integer; /* when whole */
  double real;
} number;

/* old: times before 1970 are fine. */
static freshet_status parse_number(freshet_slice text, const number* n, bool old, freshet_time_unit* unit,
                                   int64_t* time_ms, freshet_error* error) {
  double real = n->real;
  if (*unit == FRESHET_TIME_UNKNOWN) {
    freshet_status status = tell_unit(text, old ? fabs(real) : real, unit, error);
    if (status != FRESHET_OK) return status;
  }
  if ((real < 0 && !old) || fabs(real) >= units[*unit].beyond) {
    return reject(error, "time %.17g is not in %s, as those before it", real, units[*unit].name);
  }
  if (n->whole) {
    *time_ms = n->integer * units[*unit].ms_per / units[*unit].per_ms;
  } else {
    *time_ms = (int64_t)floor(real * (double)units[*unit].ms_per / (double)units[*unit].per_ms);
  }
  return FRESHET_OK;
}

/* ---- ISO 8601 ---- */

/* Exactly `count` digits. NULL: there are others. */
static const char* take_digits(const char* at, int count, int* value) {
  *value = 0;
  for (int i = 0; i < count; i++, at++) {
    if (!isdigit((unsigned char)*at)) return NULL;
    *value = *value * 10 + (*at - '0');
  }
  return at;
}

/* One or two digits, as in 2011-1-9. */
static const char* take_few(const char* at, int* value) {
  if (!isdigit((unsigned char)*at)) return NULL;
  return isdigit((unsigned char)at[1]) ? take_digits(at, 2, value) : take_digits(at, 1, value);
}

/* "Z", "+01:00", "+0100", "+01", "UTC", "GMT" or nothing, perhaps behind a blank. NULL: something else. */
static const char* take_offset(const char* at, int* offset_s) {
  *offset_s = 0;
  if (*at == ' ') at++;
  if (*at == 'Z' || *at == 'z') return at + 1;
  if (strncasecmp(at, "UTC", 3) == 0 || strncasecmp(at, "GMT", 3) == 0) {
    at += 3;
    if (*at == '\0') return at;
  }
  if (*at != '+' && *at != '-') return at;
  int sign = *at == '-' ? -1 : 1, hours = 0, minutes = 0;
  at = take_digits(at + 1, 2, &hours);
  if (at == NULL) return NULL;
  if (*at == ':' && isdigit((unsigned char)at[1])) at++;
  if (isdigit((unsigned char)*at)) at = take_digits(at, 2, &minutes);
  if (at == NULL || hours > 14 || minutes > 59) return NULL;
  *offset_s = sign * (hours * 3600 + minutes * 60);
  return at;
}

/* A zone in brackets, as Java writes it behind the offset, says nothing more. */
static const char* skip_zone(const char* at) {
  const char* end = at != NULL && *at == '[' ? strchr(at, ']') : NULL;
  return end == NULL ? at : end + 1;
}

/* Digits behind a point, as ms. */
static const char* take_fraction(const char* at, int* ms) {
  *ms = 0;
  for (int weight = 100; isdigit((unsigned char)*at); at++, weight /= 10) *ms += (*at - '0') * weight;
  return at;
}

/* Days since 1970-01-01 of a day of the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date
 * algorithms", days_from_civil). */
static int64_t days_of(int year, int month, int day) {
  int64_t y = year - (month <= 2);
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t of_era = y - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* False for days and hours that no calendar has. */
static bool calendar_seconds(const struct tm* t, int64_t* seconds) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int year = t->tm_year, month = t->tm_mon;
  if (month < 1 || month > 12 || t->tm_hour > 23 || t->tm_min > 59 || t->tm_sec > 60) return false;
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (t->tm_mday < 1 || t->tm_mday > days[month - 1] + (month == 2 && leap)) return false;
  *seconds = days_of(year, month, t->tm_mday) * 86400 + t->tm_hour * 3600 + t->tm_min * 60 + t->tm_sec;
  return true;
}

/* "2011-12-09", "2011/12/09" or, before a T, "20111209". */
static const char* take_date(const char* at, struct tm* t) {
  at = take_digits(at, 4, &t->tm_year);
  if (at != NULL && (*at == '-' || *at == '/')) {
    char between = *at;
    at = take_few(at + 1, &t->tm_mon);
    return at != NULL && *at == between ? take_few(at + 1, &t->tm_mday) : NULL;
  }
  if (at != NULL) at = take_digits(at, 2, &t->tm_mon);
  if (at != NULL) at = take_digits(at, 2, &t->tm_mday);
  return at != NULL && (*at == 'T' || *at == 't') ? at : NULL;
}

static const char* take_clock(const char* at, struct tm* t, int* ms) {
  at = take_few(at, &t->tm_hour);
  if (at == NULL) return NULL;
  bool colons = *at == ':';
  at = take_digits(at + colons, 2, &t->tm_min);
  if (at == NULL) return NULL;
  bool has_seconds = colons ? *at == ':' : isdigit((unsigned char)*at);
  if (has_seconds) at = take_digits(at + colons, 2, &t->tm_sec);
  if (at != NULL && (*at == '.' || *at == ',') && isdigit((unsigned char)at[1]))
    at = take_fraction(at + 1, ms);
  return at;
}

static bool parse_iso(const char* at, int64_t* time_ms) {
  struct tm t = {0};
  int offset_s = 0, ms = 0;
  at = take_date(at, &t);
  if (at == NULL) return false;
  if (*at == 'T' || *at == 't' || (*at == ' ' && isdigit((unsigned char)at[1]))) {
    at = take_clock(at + 1, &t, &ms);
    if (at != NULL) at = skip_zone(take_offset(at, &offset_s));
  }
  int64_t seconds;
  if (at == NULL || *at != '\0' || !calendar_seconds(&t, &seconds)) return false;
  *time_ms = (seconds - offset_s) * MS_PER_S + ms;
  return true;
}

static bool copy_text(freshet_slice text, char copy[TEXT_SIZE]) {
  if (text.size == 0 || text.size >= TEXT_SIZE) return false;
  memcpy(copy, text.data, text.size);
  copy[text.size] = '\0';
  return strlen(copy) == text.size;
}

/* ---- advice ---- */

static const char* const dates[] = {
    "%d/%m/%Y",  "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y",     "%m-%d-%Y", "%d-%b-%Y", "%d %b %Y", "%b %d %Y",
    "%b %d, %Y", "%d/%b/%Y", "%d-%b-%y", "%a, %d %b %Y", "%a %b %d", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y"};
static const char* const clocks[] = {"",
                                     " %H:%M",
                                     " %H:%M:%S",
                                     " %H:%M:%S.%f",
                                     " %I:%M %p",
                                     " %I:%M:%S %p",
                                     ", %H:%M",
                                     ", %H:%M:%S",
                                     ":%H:%M:%S %z",
                                     " %H:%M:%S %z",
                                     " %H:%M:%S GMT",
                                     " %H:%M:%S %Y",
                                     " %H:%M:%S %z %Y",
                                     " %I.%M.%S.%f %p"};
enum { DATES = sizeof dates / sizeof dates[0], CLOCKS = sizeof clocks / sizeof clocks[0], FORMAT_SIZE = 48 };

/* The usual forms in which a text is a time since 1970, at most two: 01/02/2024 has two. */
static int find_formats(freshet_slice text, char found[2][FORMAT_SIZE]) {
  int count = 0;
  for (size_t i = 0; i < DATES * CLOCKS && count < 2; i++) {
    int64_t time_ms;
    snprintf(found[count], FORMAT_SIZE, "%s%s", dates[i / CLOCKS], clocks[i % CLOCKS]);
    count += freshet_time_parse_as(text, found[count], &time_ms, NULL) == FRESHET_OK && time_ms > 0;
  }
  return count;
}

static freshet_status refuse_time(freshet_slice text, freshet_error* error) {
  char formats[2][FORMAT_SIZE];
  if (text.size == 0) return reject(error, "there is none");
  if (error == NULL) return FRESHET_INVALID; /* nobody reads the advice, which takes long to find */
  int count = find_formats(text, formats);
  if (count == 0) return reject(error, "'%.*s' is not a time", SHOW(text));
  return reject(error, "'%.*s' is not a time without --time-format '%s'%s%s%s", SHOW(text), formats[0],
                count > 1 ? " or '" : "", count > 1 ? formats[1] : "", count > 1 ? "'" : "");
}

static freshet_status parse_time(freshet_slice text, bool old, freshet_time_unit* unit, int64_t* time_ms,
                                 freshet_error* error) {
  number n = {0};
  n.whole = freshet_csv_integer(text, &n.integer);
  n.real = (double)n.integer;
  if (n.whole || freshet_csv_real(text, &n.real)) return parse_number(text, &n, old, unit, time_ms, error);
  char copy[TEXT_SIZE];
  if (copy_text(text, copy) && parse_iso(copy, time_ms)) return FRESHET_OK;
  return refuse_time(text, error);
}

freshet_status freshet_time_parse(freshet_slice text, freshet_time_unit* unit, int64_t* time_ms,
                                  freshet_error* error) {
  return parse_time(text, false, unit, time_ms, error);
}

freshet_status freshet_time_parse_old(freshet_slice text, freshet_time_unit* unit, int64_t* time_ms,
                                      freshet_error* error) {
  return parse_time(text, true, unit, time_ms, error);
}

/* ---- any form ---- */

/* strptime up to a %f, the fraction, and the rest. */
static const char* parse_parts(const char* at, const char* format, struct tm* t, int* ms) {
  for (;;) {
    char part[TEXT_SIZE];
    const char* fraction = strstr(format, "%f");
    size_t size = fraction == NULL ? strlen(format) : (size_t)(fraction - format);
    if (size >= sizeof part) return NULL;
    memcpy(part, format, size);
    part[size] = '\0';
    at = strptime(at, part, t);
    if (at == NULL || fraction == NULL) return at;
    if (!isdigit((unsigned char)*at)) return NULL;
    at = take_fraction(at, ms);
    format = fraction + 2;
  }
}

freshet_status freshet_time_parse_as(freshet_slice text, const char* format, int64_t* time_ms,
                                     freshet_error* error) {
  char copy[TEXT_SIZE];
  struct tm t = {.tm_mday = 1, .tm_year = 70};
  int ms = 0;
  const char* end = copy_text(text, copy) ? parse_parts(copy, format, &t, &ms) : NULL;
  long offset_s = end == NULL ? 0 : t.tm_gmtoff;
  struct tm plain = {.tm_year = t.tm_year + 1900,
                     .tm_mon = t.tm_mon + 1,
                     .tm_mday = t.tm_mday,
                     .tm_hour = t.tm_hour,
                     .tm_min = t.tm_min,
                     .tm_sec = t.tm_sec};
  int64_t seconds;
  if (end == NULL || *end != '\0' || !calendar_seconds(&plain, &seconds)) {
    return reject(error, "'%.*s' is not a time in the form of --time-format '%s'", SHOW(text), format);
  }
  *time_ms = (seconds - offset_s) * MS_PER_S + ms;
  return FRESHET_OK;
}

const char* freshet_time_text(int64_t time_ms, char text[FRESHET_TIME_TEXT_SIZE]) {
  time_t seconds = (time_t)(time_ms / MS_PER_S - (time_ms % MS_PER_S < 0));
  struct tm t;
  if (gmtime_r(&seconds, &t) == NULL ||
      strftime(text, FRESHET_TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &t) == 0) {
    text[0] = '\0';
  }
  return text;
}
