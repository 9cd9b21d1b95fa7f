/*
 * replay_row.c: converts a row of named texts into an event or an item: names, types, times, ids that are
 * made from the content. It owns the counters for equal events. It must not know the format the row came in.
 */
#include "commands/replay/replay_row.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "commands/csv.h"

enum {
  SHOWN = 40,         /* bytes of a bad text in a message */
  COUNTERS = 1 << 20, /* equal events are told apart among so many different ones */
  TIME_TEXT_SIZE = 40,
  ID_SIZE = 2 + 16, /* "r-" and a key in hexadecimal */
  MS_PER_S = 1000,
};

const char* const freshet_replay_field_names[FRESHET_REPLAY_FIELDS] = {
    "event_id", "type",  "user_id", "item_id",    "value",     "occurred_at", "dwell_s",    "quantity",
    "price",    "title", "text",    "categories", "available", "expires_at",  "created_at", "attributes"};

#define reject(error, ...) freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, __VA_ARGS__)

/* For "%.*s". */
#define SHOW(text) (int)((text).size < SHOWN ? (text).size : SHOWN), (text).data == NULL ? "" : (text).data

/* ---- map ---- */

static freshet_status map_entry(freshet_slice entry, freshet_replay_map* map, freshet_error* error) {
  const char* equals = memchr(entry.data, '=', entry.size);
  if (equals != NULL) {
    freshet_slice ours = {entry.data, (size_t)(equals - entry.data)};
    freshet_slice theirs = {equals + 1, entry.size - ours.size - 1};
    for (int f = 0; f < FRESHET_REPLAY_FIELDS && theirs.size > 0; f++) {
      if (freshet_slice_equal(ours, freshet_slice_of(freshet_replay_field_names[f]))) {
        map->names[f] = theirs;
        return FRESHET_OK;
      }
    }
  }
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "map: '%.*s' is not FIELD=NAME with one of our fields", SHOW(entry));
}

freshet_status freshet_replay_map_parse(const char* text, freshet_replay_map* map, freshet_error* error) {
  for (int f = 0; f < FRESHET_REPLAY_FIELDS; f++)
    map->names[f] = freshet_slice_of(freshet_replay_field_names[f]);
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && text != NULL && *text != '\0') {
    size_t size = strcspn(text, ",");
    status = map_entry((freshet_slice){text, size}, map, error);
    text += size + (text[size] == ',');
  }
  return status;
}

/* ---- times ---- */

static const struct {
  const char* name;
  double least, beyond; /* numbers of this unit */
  double per_ms;
} units[] = {
    [FRESHET_TIME_UNKNOWN] = {"ISO 8601", 0, 0, 1},
    [FRESHET_TIME_S] = {"seconds", 1e8, 1e11, 1e-3},
    [FRESHET_TIME_MS] = {"milliseconds", 1e11, 1e14, 1},
    [FRESHET_TIME_US] = {"microseconds", 1e14, 1e17, 1e3},
};

const char* freshet_time_unit_name(freshet_time_unit unit) {
  return units[unit].name;
}

static freshet_status parse_number_time(double number, freshet_time_unit* unit, int64_t* time_ms,
                                        freshet_error* error) {
  if (*unit == FRESHET_TIME_UNKNOWN) {
    for (int u = FRESHET_TIME_S; u <= FRESHET_TIME_US; u++) {
      if (number >= units[u].least && number < units[u].beyond) *unit = (freshet_time_unit)u;
    }
    if (*unit == FRESHET_TIME_UNKNOWN) {
      return reject(error, "time %.17g may be seconds or milliseconds; tell with --time-unit", number);
    }
  }
  if (number < 0 || number >= units[*unit].beyond) {
    return reject(error, "time %.17g is not in %s, as those before it", number, units[*unit].name);
  }
  *time_ms = (int64_t)(number / units[*unit].per_ms);
  return FRESHET_OK;
}

/* "Z", "+01:00", "+0100", "+01" or nothing. Returns the rest, NULL when it is something else. */
static const char* parse_offset(const char* text, int* offset_s) {
  *offset_s = 0;
  if (*text == 'Z' || *text == 'z') return text + 1;
  if (*text != '+' && *text != '-') return text;
  int hours, minutes = 0, used = 0;
  if (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 &&
      sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &used) != 2 &&
      sscanf(text + 1, "%2d%n", &hours, &used) != 1) {
    return NULL;
  }
  if (hours < 0 || hours > 14 || minutes < 0 || minutes > 59) return NULL;
  *offset_s = (hours * 3600 + minutes * 60) * (*text == '-' ? -1 : 1);
  return text + 1 + used;
}

/* Seconds since the epoch; false for days and hours that no calendar has, which timegm would carry over. */
static bool calendar_seconds(const struct tm* t, int64_t* seconds) {
  struct tm carried = *t;
  *seconds = timegm(&carried);
  return carried.tm_mday == t->tm_mday && carried.tm_mon == t->tm_mon && carried.tm_hour == t->tm_hour &&
         carried.tm_min == t->tm_min && carried.tm_sec == t->tm_sec;
}

static bool parse_iso_time(const char* text, int64_t* time_ms) {
  struct tm t = {0};
  int used = 0, offset_s = 0;
  double fraction = 0;
  if (sscanf(text, "%4d-%2d-%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &used) != 3) return false;
  text += used;
  if (*text == 'T' || *text == 't' || *text == ' ') {
    text++;
    used = 0;
    if (sscanf(text, "%2d:%2d%n", &t.tm_hour, &t.tm_min, &used) != 2) return false;
    text += used;
    used = 0;
    if (*text == ':' && sscanf(text, ":%2d%n", &t.tm_sec, &used) == 1) text += used;
    if (*text == '.' && isdigit((unsigned char)text[1])) {
      char* end;
      fraction = strtod(text, &end);
      text = end;
    }
    text = parse_offset(text, &offset_s);
  }
  if (text == NULL || *text != '\0') return false;
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  int64_t seconds;
  if (!calendar_seconds(&t, &seconds)) return false;
  *time_ms = (seconds - offset_s) * MS_PER_S + (int64_t)(fraction * MS_PER_S);
  return true;
}

freshet_status freshet_replay_parse_time(freshet_slice text, freshet_time_unit* unit, int64_t* time_ms,
                                         freshet_error* error) {
  long long integer;
  double real;
  if (freshet_csv_integer(text, &integer)) return parse_number_time((double)integer, unit, time_ms, error);
  if (freshet_csv_real(text, &real)) return parse_number_time(real, unit, time_ms, error);
  char copy[TIME_TEXT_SIZE];
  if (text.size > 0 && text.size < sizeof copy) {
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (strlen(copy) == text.size && parse_iso_time(copy, time_ms)) return FRESHET_OK;
  }
  return reject(error, "'%.*s' is not a time", SHOW(text));
}

/* ---- converter ---- */

typedef struct counter {
  uint64_t key;
  uint64_t count;
} counter;

struct freshet_replay_converter {
  freshet_time_unit unit;
  counter* counters; /* [COUNTERS] by key, or NULL before the first; a newer key takes an older one's place */
  freshet_buffer composed;
  char id[ID_SIZE];
  freshet_slice categories[FRESHET_CATEGORIES_MAX + 1]; /* one more, so that validation sees too many */
  freshet_attribute attributes[FRESHET_ATTRIBUTES_MAX + 1];
};

freshet_replay_converter* freshet_replay_converter_create(freshet_time_unit unit) {
  freshet_replay_converter* converter = calloc(1, sizeof *converter);
  FRESHET_ASSERT(converter != NULL);
  converter->unit = unit;
  return converter;
}

void freshet_replay_converter_destroy(freshet_replay_converter* converter) {
  if (converter == NULL) return;
  free(converter->counters);
  freshet_buffer_free(&converter->composed);
  free(converter);
}

freshet_time_unit freshet_replay_converter_unit(const freshet_replay_converter* converter) {
  return converter->unit;
}

static const char* const type_names[FRESHET_EVENT_TYPES] = {
    [FRESHET_CLICK] = "click", [FRESHET_RATING] = "rating", [FRESHET_PURCHASE] = "purchase"};
static const struct {
  const char* name;
  freshet_event_type type;
} other_type_names[] = {{"view", FRESHET_CLICK},
                        {"addtocart", FRESHET_CLICK},
                        {"rate", FRESHET_RATING},
                        {"buy", FRESHET_PURCHASE},
                        {"transaction", FRESHET_PURCHASE}};
enum { OTHER_TYPE_NAMES = sizeof other_type_names / sizeof other_type_names[0] };

const char* freshet_replay_type_name(freshet_event_type type) {
  return type_names[type];
}

static bool is_word(freshet_slice text, const char* word) {
  return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

bool freshet_replay_type_of(freshet_slice text, freshet_event_type* type) {
  for (int t = 0; t < FRESHET_EVENT_TYPES; t++) {
    *type = (freshet_event_type)t;
    if (is_word(text, type_names[t])) return true;
  }
  for (size_t i = 0; i < OTHER_TYPE_NAMES; i++) {
    *type = other_type_names[i].type;
    if (is_word(text, other_type_names[i].name)) return true;
  }
  return false;
}

static void guess_type(const freshet_slice* fields, freshet_event_type* type) {
  if (fields[FRESHET_REPLAY_VALUE].size > 0) {
    *type = FRESHET_RATING;
  } else if (fields[FRESHET_REPLAY_QUANTITY].size > 0 || fields[FRESHET_REPLAY_PRICE].size > 0) {
    *type = FRESHET_PURCHASE;
  } else {
    *type = FRESHET_CLICK;
  }
}

/* An empty field leaves *value alone. */
static freshet_status read_number(const freshet_slice* fields, freshet_replay_field field, double* value,
                                  freshet_error* error) {
  freshet_slice text = fields[field];
  if (text.size == 0 || freshet_csv_real(text, value)) return FRESHET_OK;
  return reject(error, "%s '%.*s' is not a number", freshet_replay_field_names[field], SHOW(text));
}

static freshet_status read_values(const freshet_slice* fields, freshet_event* event, freshet_error* error) {
  double rating = 0, dwell_s = 0, quantity = 1, price = 0;
  freshet_status status = FRESHET_OK;
  switch (event->type) {
    case FRESHET_CLICK:
      status = read_number(fields, FRESHET_REPLAY_DWELL_S, &dwell_s, error);
      break;
    case FRESHET_RATING:
      status = read_number(fields, FRESHET_REPLAY_VALUE, &rating, error);
      break;
    case FRESHET_PURCHASE:
      status = read_number(fields, FRESHET_REPLAY_QUANTITY, &quantity, error);
      if (status == FRESHET_OK) status = read_number(fields, FRESHET_REPLAY_PRICE, &price, error);
      break;
  }
  if (status != FRESHET_OK) return status;
  if (quantity < INT32_MIN || quantity > INT32_MAX || quantity != (double)(int32_t)quantity) {
    return reject(error, "quantity %g is not a whole number", quantity);
  }
  event->rating = (float)rating;
  event->dwell_s = (float)dwell_s;
  event->quantity = (int32_t)quantity;
  event->price = price;
  return FRESHET_OK;
}

freshet_status freshet_replay_event_of(freshet_replay_converter* converter, const freshet_slice* fields,
                                       freshet_event* event, freshet_error* error) {
  *event = (freshet_event){.event_id = fields[FRESHET_REPLAY_EVENT_ID],
                           .user_id = fields[FRESHET_REPLAY_USER_ID],
                           .item_id = fields[FRESHET_REPLAY_ITEM_ID]};
  freshet_slice type = fields[FRESHET_REPLAY_TYPE];
  if (type.size == 0) {
    guess_type(fields, &event->type);
  } else if (!freshet_replay_type_of(type, &event->type)) {
    return reject(error, "type '%.*s' is none of click, rating, purchase", SHOW(type));
  }
  freshet_status status = freshet_replay_parse_time(fields[FRESHET_REPLAY_OCCURRED_AT], &converter->unit,
                                                    &event->occurred_at_ms, error);
  return status == FRESHET_OK ? read_values(fields, event, error) : status;
}

/* Takes the next part that is not empty off a text whose parts are separated by |; false when none is
 * left. */
static bool next_part(freshet_slice* text, freshet_slice* part) {
  *part = (freshet_slice){0};
  while (part->size == 0 && text->size > 0) {
    const char* bar = memchr(text->data, '|', text->size);
    size_t size = bar == NULL ? text->size : (size_t)(bar - text->data);
    *part = (freshet_slice){text->data, size};
    size += bar != NULL;
    *text = (freshet_slice){text->data + size, text->size - size};
  }
  return part->size > 0;
}

static size_t split_categories(freshet_replay_converter* converter, freshet_slice text) {
  size_t count = 0;
  while (count <= FRESHET_CATEGORIES_MAX && next_part(&text, &converter->categories[count])) count++;
  return count;
}

/* "brand=Acme|season=winter" */
static freshet_status split_attributes(freshet_replay_converter* converter, freshet_slice text,
                                       freshet_item* item, freshet_error* error) {
  freshet_slice part;
  while (item->attribute_count <= FRESHET_ATTRIBUTES_MAX && next_part(&text, &part)) {
    const char* equals = memchr(part.data, '=', part.size);
    if (equals == NULL) return reject(error, "attributes: '%.*s' is not NAME=VALUE", SHOW(part));
    size_t name = (size_t)(equals - part.data);
    converter->attributes[item->attribute_count++] =
        (freshet_attribute){.name = {part.data, name}, .value = {equals + 1, part.size - name - 1}};
  }
  return FRESHET_OK;
}

/* An empty field leaves *time_ms alone. */
static freshet_status read_time(freshet_replay_converter* converter, freshet_slice text, int64_t* time_ms,
                                freshet_error* error) {
  if (text.size == 0) return FRESHET_OK;
  return freshet_replay_parse_time(text, &converter->unit, time_ms, error);
}

static freshet_status read_flag(freshet_slice text, bool* flag, freshet_error* error) {
  if (text.size == 0) return FRESHET_OK;
  bool yes = is_word(text, "true") || is_word(text, "yes") || is_word(text, "1");
  bool no = is_word(text, "false") || is_word(text, "no") || is_word(text, "0");
  if (!yes && !no) return reject(error, "available '%.*s' is neither true nor false", SHOW(text));
  *flag = yes;
  return FRESHET_OK;
}

freshet_status freshet_replay_item_of(freshet_replay_converter* converter, const freshet_slice* fields,
                                      freshet_item* item, freshet_error* error) {
  *item = (freshet_item){.item_id = fields[FRESHET_REPLAY_ITEM_ID],
                         .title = fields[FRESHET_REPLAY_TITLE],
                         .text = fields[FRESHET_REPLAY_TEXT],
                         .categories = converter->categories,
                         .attributes = converter->attributes,
                         .available = true};
  bool is_none = is_word(fields[FRESHET_REPLAY_CATEGORIES], "(no genres listed)"); /* so MovieLens says */
  if (fields[FRESHET_REPLAY_CATEGORIES].size > 0 && !is_none) {
    item->category_count = split_categories(converter, fields[FRESHET_REPLAY_CATEGORIES]);
  }
  freshet_status status = read_flag(fields[FRESHET_REPLAY_AVAILABLE], &item->available, error);
  if (status == FRESHET_OK)
    status = read_time(converter, fields[FRESHET_REPLAY_EXPIRES_AT], &item->expires_at_ms, error);
  if (status == FRESHET_OK)
    status = read_time(converter, fields[FRESHET_REPLAY_CREATED_AT], &item->created_at_ms, error);
  if (status == FRESHET_OK)
    status = split_attributes(converter, fields[FRESHET_REPLAY_ATTRIBUTES], item, error);
  return status;
}

/* ---- ids ---- */

static uint64_t count_equal(freshet_replay_converter* converter, uint64_t key) {
  if (converter->counters == NULL) {
    converter->counters = calloc(COUNTERS, sizeof *converter->counters);
    FRESHET_ASSERT(converter->counters != NULL);
  }
  counter* c = &converter->counters[key % COUNTERS];
  if (c->key != key) *c = (counter){.key = key};
  return c->count++;
}

static void compose(freshet_buffer* out, freshet_slice part) {
  freshet_buffer_append(out, part.data, part.size);
  freshet_buffer_append(out, "", 1);
}

/* By hand: printf would take a tenth of the time of a replay. */
static void write_id(uint64_t key, char id[ID_SIZE]) {
  id[0] = 'r';
  id[1] = '-';
  for (int i = ID_SIZE - 1; i > 1; i--, key >>= 4) id[i] = "0123456789abcdef"[key & 15];
}

void freshet_replay_name_event(freshet_replay_converter* converter, freshet_event* event) {
  if (event->event_id.size > 0) return;
  freshet_buffer* composed = &converter->composed;
  composed->size = 0;
  compose(composed, event->user_id);
  compose(composed, event->item_id);
  compose(composed, freshet_slice_of(type_names[event->type]));
  freshet_buffer_append(composed, &event->occurred_at_ms, sizeof event->occurred_at_ms);
  uint64_t earlier = count_equal(converter, freshet_id_key(freshet_buffer_slice(composed)));
  freshet_buffer_append(composed, &earlier, sizeof earlier);
  write_id(freshet_id_key(freshet_buffer_slice(composed)), converter->id);
  event->event_id = (freshet_slice){converter->id, sizeof converter->id};
}
