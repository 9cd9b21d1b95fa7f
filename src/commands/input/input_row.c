/*
 * input_row.c: values of input_row.h: types, numbers, prices, lists, vectors and made ids.
 */
#include "commands/input/input_row.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "commands/input/input_clean.h"
#include "commands/input/input_object.h"
#include "commands/input/input_refuse.h"

enum {
  COUNTERS = 1 << 20, /* equal events are told apart among so many different ones */
  ID_SIZE = 2 + 16,   /* "r-" and a key in hexadecimal */
  KNOWN_WORDS = 8,    /* types that were looked up last */
  WORD_SIZE = 32,
  NUMBER_SIZE = 64,
  DAY_MS = 24 * 3600 * 1000,
  VECTOR_MAX = 4097,          /* one more than an item may have, so that validation sees too many */
  QUANTITY_MAX = 1000 * 1000, /* the bounds of freshet_event_validate */
};
static const double PRICE_MAX = 1e12;
static const int64_t YEAR_1990_MS = 631152000000;

typedef struct counter {
  uint64_t key;
  uint64_t count;
} counter;

typedef struct known_word {
  char word[WORD_SIZE];
  size_t size; /* 0: free */
  freshet_type_found found;
  freshet_event_type type;
} known_word;

struct freshet_input_converter {
  const freshet_input_options* options;
  freshet_event_limits limits;
  freshet_time_unit unit, item_unit;
  bool has_first; /* time of an event */
  freshet_list_style lists;
  known_word words[KNOWN_WORDS];
  size_t next_word;
  counter* counters; /* [COUNTERS] by key, or NULL before the first; a newer key takes an older one's place */
  freshet_buffer composed, list_scratch, attribute_scratch, attribute_pairs;
  char id[ID_SIZE];
  freshet_slice categories[FRESHET_CATEGORIES_MAX + 1]; /* one more, so that validation sees too many */
  freshet_attribute attributes[FRESHET_ATTRIBUTES_MAX + 1];
  float* vector; /* [VECTOR_MAX], or NULL before the first */
};

freshet_input_converter* freshet_input_converter_create(const freshet_input_options* options,
                                                        const freshet_event_limits* limits) {
  freshet_input_converter* converter = calloc(1, sizeof *converter);
  FRESHET_ASSERT(converter != NULL);
  converter->options = options;
  converter->limits = limits == NULL ? (freshet_event_limits){.rating_min = 1, .rating_max = 5} : *limits;
  converter->unit = converter->item_unit = options->unit;
  converter->lists = options->lists;
  return converter;
}

void freshet_input_converter_destroy(freshet_input_converter* converter) {
  if (converter == NULL) return;
  free(converter->counters);
  free(converter->vector);
  freshet_buffer_free(&converter->composed);
  freshet_buffer_free(&converter->list_scratch);
  freshet_buffer_free(&converter->attribute_scratch);
  freshet_buffer_free(&converter->attribute_pairs);
  free(converter);
}

freshet_time_unit freshet_input_converter_unit(const freshet_input_converter* converter) {
  return converter->unit;
}

freshet_list_style* freshet_input_converter_lists(freshet_input_converter* converter) {
  return &converter->lists;
}

/* ---- words ---- */

static bool is_word(freshet_slice text, const char* word) {
  return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

/* ---- types ---- */

static known_word* look_up(freshet_input_converter* converter, freshet_slice text) {
  for (int i = 0; i < KNOWN_WORDS; i++) {
    known_word* w = &converter->words[i];
    if (w->size == text.size && memcmp(w->word, text.data, text.size) == 0) return w;
  }
  known_word* w = &converter->words[converter->next_word++ % KNOWN_WORDS];
  *w = (known_word){.size = text.size < WORD_SIZE ? text.size : 0};
  if (w->size > 0) memcpy(w->word, text.data, text.size);
  w->found = freshet_type_find(converter->options->types, text, &w->type);
  return w;
}

static freshet_event_type guess_type(const freshet_slice* fields) {
  if (fields[FRESHET_FIELD_VALUE].size > 0) return FRESHET_RATING;
  bool is_bought = fields[FRESHET_FIELD_QUANTITY].size > 0 || fields[FRESHET_FIELD_PRICE].size > 0;
  return is_bought ? FRESHET_PURCHASE : FRESHET_CLICK;
}

static freshet_status read_type(freshet_input_converter* converter, freshet_input_record* record,
                                freshet_error* error) {
  freshet_slice text = record->fields[FRESHET_FIELD_TYPE];
  if (text.size == 0) {
    record->event.type = guess_type(record->fields);
    return FRESHET_OK;
  }
  const known_word* w = look_up(converter, text);
  record->event.type = w->type;
  if (w->found == FRESHET_TYPE_LEFT_OUT) record->outcome = FRESHET_INPUT_LEFT_OUT;
  if (w->found != FRESHET_TYPE_UNKNOWN) return FRESHET_OK;
  return reject(error,
                "type '%.*s' is none of click, rating, purchase; tell with --types '%.*s=click' (or -)",
                SHOW(text), SHOW(text));
}

/* ---- numbers ---- */

/* With --decimal-comma, 1.234,5 becomes 1234.5. */
static bool read_real(const freshet_input_converter* converter, freshet_slice text, double* value) {
  char plain[NUMBER_SIZE];
  if (!converter->options->decimal_comma) return freshet_csv_real(text, value);
  size_t size = 0;
  bool has_comma = text.size > 0 && memchr(text.data, ',', text.size) != NULL;
  for (size_t i = 0; i < text.size && size < sizeof plain; i++) {
    if (text.data[i] == '.' && has_comma) continue;
    plain[size++] = text.data[i] == ',' ? '.' : text.data[i];
  }
  return freshet_csv_real((freshet_slice){plain, size}, value);
}

/* An empty field leaves *value alone. */
static freshet_status read_number(const freshet_input_converter* converter, const freshet_slice* fields,
                                  freshet_field field, double* value, freshet_error* error) {
  freshet_slice text = fields[field];
  if (text.size == 0 || read_real(converter, text, value)) return FRESHET_OK;
  return reject(error, "%s '%.*s' is not a number", freshet_field_names[field], SHOW(text));
}

/* A purchase of a negative quantity. */
static void take_return(const freshet_input_converter* converter, freshet_input_record* record) {
  if (!converter->options->returns_dislike) {
    record->outcome = FRESHET_INPUT_RETURNED;
    return;
  }
  record->event.type = FRESHET_FEEDBACK;
  record->event.feedback = FRESHET_RETURNED;
  record->event.place = -1;
  record->event.list_version = -1;
}

/* Neither quantity nor price decides whether something was bought, so one that cannot be is left out and counted.
 * A quantity of nothing is no purchase. */
static freshet_status read_purchase(const freshet_input_converter* converter, freshet_input_record* record,
                                    freshet_error* error) {
  const freshet_slice* fields = record->fields;
  double quantity = 1, price = 0;
  freshet_slice text = fields[FRESHET_FIELD_QUANTITY];
  bool is_read = text.size == 0 || read_real(converter, text, &quantity);
  if (is_read && quantity < 0) {
    take_return(converter, record);
    return FRESHET_OK;
  }
  if (is_read && quantity == 0) return reject(error, "quantity '%.*s': nothing was bought", SHOW(text));
  record->lost_quantity = !is_read || quantity > QUANTITY_MAX;
  record->event.quantity = record->lost_quantity ? 1 : (int32_t)ceil(quantity); /* goods sold by weight */
  text = fields[FRESHET_FIELD_PRICE];
  is_read = text.size == 0 || read_real(converter, text, &price);
  record->lost_price = !is_read || price < 0 || price > PRICE_MAX;
  record->event.price = record->lost_price ? 0 : price;
  return FRESHET_OK;
}

/* Where the item was shown: a whole number from 0; none, or -1, when unknown. With other feedback than an impression the
 * column may mean something different, such as a town: then it is unknown. */
static freshet_status read_place(const freshet_input_converter* converter, const freshet_input_record* record,
                                 freshet_field field, double most, double* value, freshet_error* error) {
  const freshet_slice text = record->fields[field];
  const bool is_read = text.size == 0 || read_real(converter, text, value);
  if (is_read && *value >= -1 && *value <= most && *value == floor(*value)) return FRESHET_OK;
  *value = -1;
  if (record->event.feedback != FRESHET_IMPRESSION) return FRESHET_OK;
  return reject(error, "%s '%.*s' is no whole number from 0 on, or -1 for unknown",
                freshet_field_names[field], SHOW(text));
}

/* Each kind of feedback is a word of its own: hide, skip. A skip's seconds are those that the user stayed. */
static freshet_status read_feedback(const freshet_input_converter* converter, freshet_input_record* record,
                                    freshet_error* error) {
  double after_s = 0;
  record->event.place = -1;
  record->event.list_version = -1;
  if (!freshet_feedback_of(record->fields[FRESHET_FIELD_TYPE], &record->event.feedback))
    return reject(error,
                  "type '%.*s' does not say which feedback; write dislike, hide, not_interested, "
                  "returned, skip or impression",
                  SHOW(record->fields[FRESHET_FIELD_TYPE]));
  freshet_status status = read_number(converter, record->fields, FRESHET_FIELD_DWELL_S, &after_s, error);
  record->event.after_s = (float)after_s;
  double place = -1, version = -1;
  if (status == FRESHET_OK)
    status = read_place(converter, record, FRESHET_FIELD_PLACE, INT32_MAX, &place, error);
  if (status == FRESHET_OK)
    status = read_place(converter, record, FRESHET_FIELD_LIST_VERSION, 0x1p53, &version, error);
  if (status != FRESHET_OK) return status;
  record->event.place = (int32_t)place;
  record->event.list_version = (int64_t)version;
  return FRESHET_OK;
}

static freshet_status read_values(const freshet_input_converter* converter, freshet_input_record* record,
                                  freshet_error* error) {
  double rating = 0, dwell_s = 0;
  freshet_status status;
  record->event.quantity = 1;
  switch (record->event.type) {
    case FRESHET_CLICK:
      status = read_number(converter, record->fields, FRESHET_FIELD_DWELL_S, &dwell_s, error);
      record->event.dwell_s = (float)dwell_s;
      return status;
    case FRESHET_RATING:
      break;
    case FRESHET_PURCHASE:
      return read_purchase(converter, record, error);
    case FRESHET_FEEDBACK:
      return read_feedback(converter, record, error);
  }
  if (record->fields[FRESHET_FIELD_VALUE].size == 0) return reject(error, "a rating without a value");
  status = read_number(converter, record->fields, FRESHET_FIELD_VALUE, &rating, error);
  const freshet_rating_scale* scale = &converter->options->scale;
  if (status == FRESHET_OK && scale->least < scale->most && rating >= scale->least && rating <= scale->most) {
    double share = (rating - scale->least) / (scale->most - scale->least);
    rating = (double)converter->limits.rating_min +
             share * ((double)converter->limits.rating_max - (double)converter->limits.rating_min);
  }
  record->event.rating = (float)rating;
  return status;
}

/* ---- events ---- */

/* By --time-format. A text such as 2011-12-09 12:50 means one thing only, so it is read whatever the form. */
static freshet_status read_formatted(const char* format, freshet_slice text, int64_t* time_ms,
                                     freshet_error* error) {
  freshet_time_unit none = FRESHET_TIME_UNKNOWN;
  bool is_iso = text.size > 4 && text.data[4] == '-';
  if (is_iso && freshet_time_parse(text, &none, time_ms, NULL) == FRESHET_OK) return FRESHET_OK;
  return freshet_time_parse_as(text, format, time_ms, error);
}

static bool is_likely(int64_t time_ms, int64_t now_ms) {
  return time_ms >= YEAR_1990_MS && time_ms <= now_ms + DAY_MS;
}

/* A time that the told unit puts near 1970, and another unit into our days. */
static bool is_of_other_unit(freshet_slice text, freshet_time_unit told, int64_t now_ms) {
  freshet_time_unit unit = FRESHET_TIME_UNKNOWN;
  int64_t time_ms = 0;
  return freshet_time_parse(text, &unit, &time_ms, NULL) == FRESHET_OK && unit != FRESHET_TIME_UNKNOWN &&
         unit != told && is_likely(time_ms, now_ms);
}

static freshet_status read_occurred_at(freshet_input_converter* converter, freshet_slice text, int64_t now_ms,
                                       int64_t* time_ms, freshet_error* error) {
  const freshet_input_options* options = converter->options;
  if (options->time_format != NULL) return read_formatted(options->time_format, text, time_ms, error);
  freshet_time_unit unit = converter->unit;
  freshet_status status = freshet_time_parse(text, &unit, time_ms, error);
  if (status != FRESHET_OK) return status;
  bool asks = options->unit == FRESHET_TIME_UNKNOWN && !is_likely(*time_ms, now_ms);
  if (!converter->has_first && asks) {
    char shown[FRESHET_TIME_TEXT_SIZE];
    return reject(error,
                  "time '%.*s' as %s is %s, %s; if that is right, tell with --time-unit (s, ms, us, ns) or "
                  "--time-format (as %%Y-%%m-%%d)",
                  SHOW(text), freshet_time_unit_name(unit), freshet_time_text(*time_ms, shown),
                  *time_ms < YEAR_1990_MS ? "before 1990" : "in the future");
  }
  if (asks && is_of_other_unit(text, unit, now_ms))
    return reject(error, "time %.*s is not in %s, as those before it", SHOW(text),
                  freshet_time_unit_name(unit));
  converter->has_first = true;
  converter->unit = unit;
  return FRESHET_OK;
}

freshet_status freshet_input_event_of(freshet_input_converter* converter, freshet_input_record* record,
                                      int64_t now_ms, freshet_error* error) {
  freshet_error why;
  why.status = FRESHET_OK; /* clearing all of it would cost time for every event */
  freshet_status cleaned = freshet_input_clean(converter->options, record, true, &why);
  const freshet_slice* fields = record->fields;
  freshet_event* event = &record->event;
  *event = (freshet_event){.event_id = fields[FRESHET_FIELD_EVENT_ID],
                           .user_id = fields[FRESHET_FIELD_USER_ID],
                           .item_id = fields[FRESHET_FIELD_ITEM_ID]};
  record->has_own_id = event->event_id.size > 0;
  record->outcome = FRESHET_INPUT_TAKEN;
  record->lost_price = record->lost_quantity = false;
  freshet_status status = read_type(converter, record, error);
  if (status != FRESHET_OK || record->outcome != FRESHET_INPUT_TAKEN) return status;
  if (cleaned != FRESHET_OK) return reject(error, "%s", why.message);
  status =
      read_occurred_at(converter, fields[FRESHET_FIELD_OCCURRED_AT], now_ms, &event->occurred_at_ms, &why);
  if (status != FRESHET_OK) return reject(error, "occurred_at: %s", why.message);
  return read_values(converter, record, error);
}

/* ---- items ---- */

/* {"brand": "Acme"} in a text, as JSON or Python: its pairs, in attribute_pairs. Any other text is left alone. */
static void read_pairs(freshet_input_converter* converter, freshet_slice* text) {
  if (text->size < 2 || text->data[0] != '{' || text->data[text->size - 1] != '}') return;
  json_error_t problem;
  json_t* object = freshet_json_load(*text, &problem);
  freshet_buffer* pairs = &converter->attribute_pairs;
  pairs->size = 0;
  if (object == NULL) {
    freshet_list_python_to_json(*text, pairs);
    object = freshet_json_load(freshet_buffer_slice(pairs), &problem);
    pairs->size = 0;
  }
  if (json_is_object(object) && freshet_input_object_pairs(object, pairs))
    *text = freshet_buffer_slice(pairs);
  json_decref(object);
}

/* "brand=Acme|season=winter", or pairs that the reader found. */
static freshet_status split_attributes(freshet_input_converter* converter, freshet_slice text,
                                       freshet_item* item, freshet_error* error) {
  static const freshet_list_style bars = {.separator = '|', .told = true};
  freshet_slice parts[FRESHET_ATTRIBUTES_MAX + 1];
  read_pairs(converter, &text);
  bool found = text.size > 0 && text.data[0] == FRESHET_LIST_PART;
  size_t count =
      freshet_list_split(text, &bars, &converter->attribute_scratch, parts, FRESHET_ATTRIBUTES_MAX + 1);
  for (size_t i = 0; i < count; i++) {
    const char* equals = memchr(parts[i].data, found ? FRESHET_LIST_VALUE : '=', parts[i].size);
    if (equals == NULL) return reject(error, "attributes: '%.*s' is not NAME=VALUE", SHOW(parts[i]));
    size_t name = (size_t)(equals - parts[i].data);
    freshet_slice value = {equals + 1, parts[i].size - name - 1};
    converter->attributes[item->attribute_count++] =
        (freshet_attribute){.name = {parts[i].data, name}, .value = freshet_text_trim(value)};
  }
  return FRESHET_OK;
}

/* An empty field leaves *time_ms alone. */
static freshet_status read_time(freshet_input_converter* converter, freshet_field field,
                                const freshet_slice* fields, int64_t* time_ms, freshet_error* error) {
  freshet_slice text = fields[field];
  const char* format = converter->options->time_format;
  if (text.size == 0) return FRESHET_OK;
  freshet_error why = {0};
  freshet_status status = FRESHET_INVALID;
  /* The form is that of events; items may be written in another one. */
  if (format != NULL) status = freshet_time_parse_as(text, format, time_ms, &why);
  freshet_error_clear(&why);
  if (status != FRESHET_OK) status = freshet_time_parse_old(text, &converter->item_unit, time_ms, &why);
  if (status != FRESHET_OK) return reject(error, "%s: %s", freshet_field_names[field], why.message);
  if (*time_ms <= 0) *time_ms = FRESHET_BEFORE_1970_MS; /* 0 stands for no time */
  return FRESHET_OK;
}

static bool is_number(freshet_slice text) {
  size_t at = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
  while (at < text.size && strchr(".0123456789", text.data[at]) != NULL) at++;
  return at == text.size;
}

/* A date long ago says that the item is no longer offered. A number that small is of another unit, or a mistake. */
static freshet_status read_expires_at(freshet_input_converter* converter, const freshet_slice* fields,
                                      int64_t* time_ms, freshet_error* error) {
  freshet_slice text = fields[FRESHET_FIELD_EXPIRES_AT];
  freshet_status status = read_time(converter, FRESHET_FIELD_EXPIRES_AT, fields, time_ms, error);
  const bool is_date = !is_number(text);
  if (status == FRESHET_OK && text.size > 0 && is_date && *time_ms < YEAR_1990_MS)
    *time_ms = YEAR_1990_MS; /* the earliest that freshet_item_validate takes */
  return status;
}

/* Case, blanks, _ and - do not matter. */
static bool is_any(freshet_slice text, const char* const* words) {
  while (*words != NULL && !freshet_name_is_like(text, freshet_slice_of(*words))) words++;
  return *words != NULL;
}

static freshet_status read_flag(freshet_slice text, bool* flag, freshet_error* error) {
  static const char* const yes_words[] = {"true", "yes", "1", "t", "y", "in stock", "available", NULL};
  static const char* const no_words[] = {"false",        "no",       "0",           "f", "n",
                                         "out of stock", "sold out", "unavailable", NULL};
  if (text.size == 0) return FRESHET_OK;
  bool yes = is_any(text, yes_words), no = is_any(text, no_words);
  if (!yes && !no) return reject(error, "available '%.*s' is neither true nor false", SHOW(text));
  *flag = yes;
  return FRESHET_OK;
}

/* Numbers with blanks or commas between, in brackets or not. */
static freshet_status read_vector(freshet_input_converter* converter, freshet_slice text, freshet_item* item,
                                  freshet_error* error) {
  if (converter->vector == NULL) converter->vector = malloc(VECTOR_MAX * sizeof *converter->vector);
  FRESHET_ASSERT(converter->vector != NULL);
  size_t count = 0;
  for (size_t at = 0; at < text.size && count < VECTOR_MAX;) {
    size_t end = at;
    while (end < text.size && memchr(" \t\r\n,;|[]", text.data[end], 10) == NULL) end++;
    freshet_slice number = {text.data + at, end - at};
    double value = 0;
    at = end + 1;
    if (number.size == 0) continue;
    if (!freshet_csv_real(number, &value))
      return reject(error, "vector: '%.*s' is not a number", SHOW(number));
    converter->vector[count++] = (float)value;
  }
  if (count == 0) return reject(error, "vector '%.*s' has no numbers", SHOW(text));
  item->vector = converter->vector;
  item->vector_dim = count;
  return FRESHET_OK;
}

freshet_status freshet_input_item_of(freshet_input_converter* converter, freshet_input_record* record,
                                     freshet_error* error) {
  freshet_status status = freshet_input_clean(converter->options, record, false, error);
  if (status != FRESHET_OK) return status;
  const freshet_slice* fields = record->fields;
  freshet_item* item = &record->item;
  record->outcome = FRESHET_INPUT_TAKEN;
  *item = (freshet_item){.item_id = fields[FRESHET_FIELD_ITEM_ID],
                         .title = fields[FRESHET_FIELD_TITLE],
                         .text = fields[FRESHET_FIELD_TEXT],
                         .categories = converter->categories,
                         .attributes = converter->attributes,
                         .available = true};
  bool is_none = is_word(fields[FRESHET_FIELD_CATEGORIES], "(no genres listed)"); /* so MovieLens says */
  if (fields[FRESHET_FIELD_CATEGORIES].size > 0 && !is_none) {
    item->category_count =
        freshet_list_split(fields[FRESHET_FIELD_CATEGORIES], &converter->lists, &converter->list_scratch,
                           converter->categories, FRESHET_CATEGORIES_MAX + 1);
  }
  status = read_flag(fields[FRESHET_FIELD_AVAILABLE], &item->available, error);
  if (status == FRESHET_OK) status = read_expires_at(converter, fields, &item->expires_at_ms, error);
  if (status == FRESHET_OK)
    status = read_time(converter, FRESHET_FIELD_CREATED_AT, fields, &item->created_at_ms, error);
  if (status == FRESHET_OK)
    status = split_attributes(converter, fields[FRESHET_FIELD_ATTRIBUTES], item, error);
  if (status == FRESHET_OK && fields[FRESHET_FIELD_VECTOR].size > 0)
    status = read_vector(converter, fields[FRESHET_FIELD_VECTOR], item, error);
  return status;
}

/* ---- ids ---- */

static uint64_t count_equal(freshet_input_converter* converter, uint64_t key) {
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

void freshet_input_name_event(freshet_input_converter* converter, freshet_event* event) {
  if (event->event_id.size > 0) return;
  freshet_buffer* composed = &converter->composed;
  composed->size = 0;
  compose(composed, event->user_id);
  compose(composed, event->item_id);
  compose(composed, freshet_slice_of(freshet_type_name(event->type)));
  freshet_buffer_append(composed, &event->occurred_at_ms, sizeof event->occurred_at_ms);
  uint64_t earlier = count_equal(converter, freshet_id_key(freshet_buffer_slice(composed)));
  freshet_buffer_append(composed, &earlier, sizeof earlier);
  write_id(freshet_id_key(freshet_buffer_slice(composed)), converter->id);
  event->event_id = (freshet_slice){converter->id, sizeof converter->id};
}
