/*
 * event.c: checks the values of events, items and requests: what no decoder can know. It owns the bounds of
 * numbers, such as the largest quantity. Each refusal names the field and the value. Pure: the time comes in
 * as an argument.
 */
#include "freshet/event.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
  VECTOR_DIM_MAX = 4096,
  QUANTITY_MAX = 1000 * 1000,
  DWELL_MAX_S = 7 * 24 * 3600,
  PLACE_MAX = 1000 * 1000,
};
static const double PRICE_MAX = 1e12;
static const double YEAR_MS = 366.0 * 24 * 3600 * 1000;
static const int64_t OLDEST_MS = 631152000000; /* 1990: an earlier time may be one of another unit */
static const int64_t LATEST_MS =
    7258118400000; /* 2200: no clock is there yet, whatever the record's own time says */
static const int64_t QUARTER_HOUR_MS = 15 * 60 * 1000; /* a date is at midnight, in any zone one of these */

/* How much of a bad value a message shows. */
enum { SHOWN_SIZE = 48 };

/* ---- text ---- */

static bool has_control(freshet_slice text) {
  for (size_t i = 0; i < text.size; i++) {
    unsigned char c = (unsigned char)text.data[i];
    if (c < 0x20 || c == 0x7f) return true;
  }
  return false;
}

/* A printable beginning of any bytes. */
static const char* show(freshet_slice text, char shown[SHOWN_SIZE + 4]) {
  size_t size = text.size < SHOWN_SIZE ? text.size : SHOWN_SIZE;
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)text.data[i];
    shown[i] = (char)(c < 0x20 || c >= 0x7f ? '?' : c);
  }
  snprintf(shown + size, 4, "%s", size < text.size ? "..." : "");
  return shown;
}

/* ---- checks; each names the field and the value ---- */

static freshet_status refuse_number(freshet_error* error, const char* field, double value, const char* why) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "%s %g %s", field, value, why);
}

freshet_status freshet_id_validate(const char* field, freshet_slice id, freshet_error* error) {
  char shown[SHOWN_SIZE + 4];
  const char* why = NULL;
  if (id.size == 0) {
    why = "is empty";
  } else if (id.size > FRESHET_ID_MAX) {
    why = "is longer than 512 bytes";
  } else if (has_control(id)) {
    why = "has control characters";
  } else if (!freshet_slice_is_utf8(id)) {
    why = "is not UTF-8";
  }
  if (why == NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "%s '%s' %s", field, show(id, shown),
                           why);
}

/* As SQL, pandas, R, JavaScript and spreadsheets write "no value". */
static const char* const missing_words[] = {"\\N", "NULL", "null", "(null)", "None", "nan",      "NaN",
                                            "NaT", "<NA>", "NA",   "N/A",    "#N/A", "undefined"};

bool freshet_id_is_missing(freshet_slice id) {
  for (size_t i = 0; i < sizeof missing_words / sizeof *missing_words; i++) {
    if (freshet_slice_equal(id, freshet_slice_of(missing_words[i]))) return true;
  }
  return false;
}

/* Nothing but blanks, also those of Unicode that cannot be seen: no-break, thin, of no width, ideographic. */
static bool is_blank(freshet_slice text) {
  static const char* const blanks[] = {" ", "\xc2\xa0", "\xe2\x80\xaf", "\xe3\x80\x80", "\xef\xbb\xbf"};
  while (text.size > 0) {
    size_t size = 0;
    for (size_t i = 0; size == 0 && i < sizeof blanks / sizeof *blanks; i++) {
      if (text.size >= strlen(blanks[i]) && memcmp(text.data, blanks[i], strlen(blanks[i])) == 0)
        size = strlen(blanks[i]);
    }
    if (size == 0 && text.size >= 3 && memcmp(text.data, "\xe2\x80", 2) == 0 &&
        (unsigned char)text.data[2] <= 0x8f)
      size = 3; /* U+2000 to U+200F */
    if (size == 0) return false;
    text = (freshet_slice){text.data + size, text.size - size};
  }
  return true;
}

/* An id that names somebody or something: all who lack one would be the same user or item. */
static freshet_status check_name(const char* field, freshet_slice id, freshet_error* error) {
  char shown[SHOWN_SIZE + 4];
  freshet_status status = freshet_id_validate(field, id, error);
  const char* why = freshet_id_is_missing(id) ? "is a word for no value"
                    : is_blank(id)            ? "has nothing but blanks"
                                              : NULL;
  if (status != FRESHET_OK || why == NULL) return status;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "%s '%s' %s", field, show(id, shown),
                           why);
}

static freshet_status check_key(const char* field, freshet_slice id, freshet_slice key,
                                freshet_error* error) {
  char shown[SHOWN_SIZE + 4], shown_key[SHOWN_SIZE + 4];
  if (freshet_slice_equal(id, key)) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                           "%s '%s' is not the record's key '%s'", field, show(id, shown),
                           show(key, shown_key));
}

/* Written so that NaN fails it. */
static bool is_within(double value, double least, double most) {
  return value >= least && value <= most;
}

/* The unit that puts a time between least_ms and most_ms; NULL: none, or milliseconds. */
static const char* mistaken_unit(int64_t time, double least_ms, double most_ms) {
  static const struct {
    const char* name;
    double ms;
  } units[] = {{"seconds", 1000}, {"microseconds", 1e-3}, {"nanoseconds", 1e-6}};
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (is_within((double)time * units[i].ms, least_ms, most_ms)) return units[i].name;
  }
  return NULL;
}

static freshet_status check_time(int64_t time_ms, int64_t record_time_ms, const freshet_event_limits* limits,
                                 freshet_error* error) {
  const bool is_near = fabs((double)time_ms - (double)record_time_ms) < YEAR_MS;
  const bool is_old = time_ms < OLDEST_MS && !is_near;
  const char* why = NULL;
  if (time_ms <= 0) {
    why = "is not after 1970";
  } else if (is_old && limits->refuses_old) {
    why = "is before 1990 in milliseconds, and the record's own time is not";
  } else if (time_ms - limits->future_tolerance_ms > record_time_ms) {
    why = "is too far after the record's own time";
  } else if (time_ms > LATEST_MS) {
    why = "is after the year 2200";
  }
  const double record_ms = (double)record_time_ms;
  const char* unit =
      why != NULL || is_old ? mistaken_unit(time_ms, record_ms - YEAR_MS, record_ms + YEAR_MS) : NULL;
  if (unit != NULL)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "occurred_at %" PRId64 " is not in milliseconds: %s?", time_ms, unit);
  if (why == NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "occurred_at %" PRId64 " %s", time_ms,
                           why);
}

static freshet_status check_feedback(const freshet_event* event, freshet_error* error) {
  if (!is_within(event->feedback, 0, FRESHET_FEEDBACK_KINDS - 1))
    return refuse_number(error, "kind", event->feedback, "is no kind of feedback");
  if (!is_within((double)event->after_s, 0, DWELL_MAX_S))
    return refuse_number(error, "after_s", (double)event->after_s, "is negative or longer than a week");
  if (!is_within(event->place, -1, PLACE_MAX))
    return refuse_number(error, "place", event->place, "is neither -1 nor a place of a list");
  if (event->list_version >= -1) return FRESHET_OK;
  return refuse_number(error, "list_version", (double)event->list_version, "is neither -1 nor an offset");
}

static freshet_status check_value(const freshet_event* event, const freshet_event_limits* limits,
                                  freshet_error* error) {
  switch (event->type) {
    case FRESHET_CLICK:
      if (is_within(event->dwell_s, 0, DWELL_MAX_S)) return FRESHET_OK;
      return refuse_number(error, "dwell_s", event->dwell_s, "is negative or longer than a week");
    case FRESHET_RATING:
      if (is_within(event->rating, limits->rating_min, limits->rating_max)) return FRESHET_OK;
      return refuse_number(error, "rating", event->rating, "is off the scale");
    case FRESHET_PURCHASE:
      if (!is_within(event->quantity, 1, QUANTITY_MAX)) {
        return refuse_number(error, "quantity", event->quantity, "is not between 1 and a million");
      }
      if (is_within(event->price, 0, PRICE_MAX)) return FRESHET_OK;
      return refuse_number(error, "price", event->price, "is negative or absurd");
    case FRESHET_FEEDBACK:
      return check_feedback(event, error);
  }
  return refuse_number(error, "type", event->type, "is no type of event");
}

freshet_status freshet_event_validate(const freshet_event* event, freshet_slice key, int64_t record_time_ms,
                                      const freshet_event_limits* limits, freshet_error* error) {
  freshet_status status = check_name("event_id", event->event_id, error);
  if (status == FRESHET_OK) status = check_name("user_id", event->user_id, error);
  if (status == FRESHET_OK) status = check_name("item_id", event->item_id, error);
  if (status == FRESHET_OK) status = check_key("user_id", event->user_id, key, error);
  if (status == FRESHET_OK) {
    status = check_time(event->occurred_at_ms, record_time_ms, limits, error);
  }
  if (status == FRESHET_OK) status = check_value(event, limits, error);
  return status;
}

static freshet_status check_text(const char* field, freshet_slice text, freshet_error* error) {
  const char* why = NULL;
  if (text.size > FRESHET_TEXT_MAX) {
    why = "is longer than 4 MiB";
  } else if (!freshet_slice_is_utf8(text)) {
    why = "is not UTF-8";
  }
  if (why == NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "%s of %zu bytes %s", field,
                           text.size, why);
}

static freshet_status check_vector(const float* vector, size_t dim, freshet_error* error) {
  if (dim > VECTOR_DIM_MAX)
    return refuse_number(error, "vector of length", (double)dim, "is longer than 4096");
  for (size_t i = 0; i < dim; i++) {
    if (!isfinite(vector[i])) return refuse_number(error, "vector value", vector[i], "is not finite");
  }
  return FRESHET_OK;
}

/* An item's time, 0 for none, has no record's time to be held against, because the item may be of any age. why: what is
 * wrong with it, unless it fits another unit; NULL: nothing. */
static freshet_status check_item_time(const char* field, int64_t time_ms, const char* why,
                                      freshet_error* error) {
  if (time_ms < 0) return refuse_number(error, field, (double)time_ms, "is negative");
  const bool is_suspect = why != NULL || time_ms > LATEST_MS;
  const char* unit = is_suspect ? mistaken_unit(time_ms, (double)OLDEST_MS, (double)LATEST_MS) : NULL;
  if (unit != NULL)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                             "%s %" PRId64 " is not in milliseconds: %s?", field, time_ms, unit);
  if (why == NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "%s %" PRId64 " %s", field, time_ms,
                           why);
}

/* A film of 1972 is as good as one of today: only a time that is also one in seconds, a date in digits or a year is too
 * early. A date has a whole quarter of an hour, and a count of seconds has none but by chance. After 2200, it would be the
 * newest item for ever. */
static freshet_status check_created_at(int64_t time_ms, freshet_error* error) {
  const bool is_date = time_ms % QUARTER_HOUR_MS == 0 || time_ms == FRESHET_BEFORE_1970_MS;
  const char* why = NULL;
  if (time_ms < LATEST_MS / 1000 && !is_date) {
    why = "is before 26 March 1970 in milliseconds";
  } else if (time_ms > LATEST_MS) {
    why = "is after the year 2200";
  }
  return check_item_time("created_at", time_ms, why, error);
}

/* An item may be offered for ever. */
static freshet_status check_expires_at(int64_t time_ms, freshet_error* error) {
  const bool is_old = time_ms > 0 && time_ms < OLDEST_MS;
  return check_item_time("expires_at", time_ms, is_old ? "is before 1990 in milliseconds" : NULL, error);
}

freshet_status freshet_item_validate(const freshet_item* item, freshet_slice key, freshet_error* error) {
  /* An item may be called "NA": here a whole record speaks for it. */
  freshet_status status = freshet_id_validate("item_id", item->item_id, error);
  if (status == FRESHET_OK) status = check_key("item_id", item->item_id, key, error);
  if (status == FRESHET_OK) status = check_text("title", item->title, error);
  if (status == FRESHET_OK) status = check_text("text", item->text, error);
  if (status == FRESHET_OK && item->category_count > FRESHET_CATEGORIES_MAX) {
    status = refuse_number(error, "number of categories", (double)item->category_count, "is more than 64");
  }
  for (size_t i = 0; status == FRESHET_OK && i < item->category_count; i++) {
    status = freshet_id_validate("category", item->categories[i], error);
  }
  if (status == FRESHET_OK && item->attribute_count > FRESHET_ATTRIBUTES_MAX) {
    status = refuse_number(error, "number of attributes", (double)item->attribute_count, "is more than 64");
  }
  for (size_t i = 0; status == FRESHET_OK && i < item->attribute_count; i++) {
    status = freshet_id_validate("name of attribute", item->attributes[i].name, error);
    bool has_value = item->attributes[i].value.size > 0;
    if (status == FRESHET_OK && has_value)
      status = freshet_id_validate("value of attribute", item->attributes[i].value, error);
  }
  if (status == FRESHET_OK) status = check_created_at(item->created_at_ms, error);
  if (status == FRESHET_OK) status = check_expires_at(item->expires_at_ms, error);
  if (status == FRESHET_OK) status = check_vector(item->vector, item->vector_dim, error);
  return status;
}

static freshet_status check_ids(const char* field, const freshet_slice* ids, size_t count,
                                freshet_error* error) {
  if (count > FRESHET_REQUEST_IDS_MAX)
    return refuse_number(error, field, (double)count, "are more than 1000");
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++)
    status = freshet_id_validate(field, ids[i], error);
  return status;
}

const char* freshet_request_kind_name(freshet_request_kind kind) {
  static const char* const names[FRESHET_REQUEST_KINDS] = {"PERSONAL", "SIMILAR", "POPULAR", "NEWEST"};
  return names[kind];
}

/* Each kind of list has something to start from. */
static freshet_status check_kind(const freshet_request* request, freshet_error* error) {
  const bool is_similar = request->kind == FRESHET_REQUEST_SIMILAR;
  const bool takes_context = is_similar || request->kind == FRESHET_REQUEST_PERSONAL;
  const char* wrong = NULL;
  if (is_similar && request->context_item_count == 0) {
    wrong = "context_items is empty: a SIMILAR list needs the item that it is to be like";
  } else if (!takes_context && request->context_item_count > 0) {
    wrong = "context_items does not go with a list of kind";
  } else if (!takes_context && request->context.size > 0) {
    wrong = "context does not go with a list of kind";
  }
  if (wrong == NULL) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "%s%s%s", wrong,
                           takes_context ? "" : " ",
                           takes_context ? "" : freshet_request_kind_name(request->kind));
}

static freshet_status check_wishes(const freshet_request* request, freshet_error* error) {
  if (request->k < 1) return refuse_number(error, "k", request->k, "is less than 1");
  if (request->diversity != FRESHET_DIVERSITY_AS_SET && !is_within(request->diversity, 0, 1))
    return refuse_number(error, "diversity", request->diversity, "is not between 0 and 1");
  if (!is_within(request->exploration, 0, 1))
    return refuse_number(error, "exploration", request->exploration, "is not between 0 and 1");
  if (request->min_age_s < 0)
    return refuse_number(error, "min_age_s", (double)request->min_age_s, "is negative");
  if (request->context.size > FRESHET_CONTEXT_MAX)
    return refuse_number(error, "context of length", (double)request->context.size, "is longer than 64 KiB");
  return freshet_slice_is_utf8(request->context)
             ? FRESHET_OK
             : freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                                 "context of %zu bytes is not UTF-8", request->context.size);
}

bool freshet_request_can_be_told(const freshet_request* request) {
  return freshet_id_validate("request_id", request->request_id, NULL) == FRESHET_OK &&
         freshet_slice_is_utf8(request->user_id) && request->user_id.size <= FRESHET_ID_MAX;
}

freshet_status freshet_request_validate(const freshet_request* request, freshet_slice key,
                                        freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (request->request_id.size > 0) status = freshet_id_validate("request_id", request->request_id, error);
  if (status == FRESHET_OK && request->user_id.size > 0)
    status = freshet_id_validate("user_id", request->user_id, error);
  if (status == FRESHET_OK) status = check_key("user_id", request->user_id, key, error);
  if (status == FRESHET_OK) status = check_wishes(request, error);
  if (status == FRESHET_OK) status = check_kind(request, error);
  if (status == FRESHET_OK)
    status = check_ids("context_items", request->context_items, request->context_item_count, error);
  if (status == FRESHET_OK)
    status =
        check_ids("include_categories", request->include_categories, request->include_category_count, error);
  if (status == FRESHET_OK)
    status =
        check_ids("exclude_categories", request->exclude_categories, request->exclude_category_count, error);
  if (status == FRESHET_OK)
    status = check_ids("exclude_items", request->exclude_items, request->exclude_item_count, error);
  return status;
}

uint64_t freshet_id_key(freshet_slice id) {
  uint64_t key = XXH3_64bits(id.data, id.size);
  return key == 0 ? 1 : key;
}
