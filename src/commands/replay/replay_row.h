/*
 * replay_row.h: history as text, field by field, and how it becomes events and items.
 *
 * CSV and JSON rows are both seen as a row of named texts, so there is one conversion. A row with a user is
 * an event, any other an item.
 */
#ifndef FRESHET_COMMANDS_REPLAY_ROW_H
#define FRESHET_COMMANDS_REPLAY_ROW_H

#include "freshet/event.h"

typedef enum freshet_replay_field {
  FRESHET_REPLAY_EVENT_ID = 0,
  FRESHET_REPLAY_TYPE,
  FRESHET_REPLAY_USER_ID,
  FRESHET_REPLAY_ITEM_ID,
  FRESHET_REPLAY_VALUE, /* of a rating */
  FRESHET_REPLAY_OCCURRED_AT,
  FRESHET_REPLAY_DWELL_S,
  FRESHET_REPLAY_QUANTITY,
  FRESHET_REPLAY_PRICE,
  FRESHET_REPLAY_TITLE,
  FRESHET_REPLAY_TEXT,
  FRESHET_REPLAY_CATEGORIES, /* separated by | */
  FRESHET_REPLAY_AVAILABLE,
  FRESHET_REPLAY_EXPIRES_AT,
  FRESHET_REPLAY_CREATED_AT,
  FRESHET_REPLAY_ATTRIBUTES, /* NAME=VALUE, separated by | */
  FRESHET_REPLAY_FIELDS,
} freshet_replay_field;

/* "event_id", "type", ...; static. */
extern const char* const freshet_replay_field_names[FRESHET_REPLAY_FIELDS];

/* What the input calls each field: its own name unless mapped. Views into the text that was parsed. */
typedef struct freshet_replay_map {
  freshet_slice names[FRESHET_REPLAY_FIELDS];
} freshet_replay_map;

/* "user_id=customer_no,item_id=sku"; NULL or "": no field is renamed. Errors: FRESHET_INVALID. */
freshet_status freshet_replay_map_parse(const char* text, freshet_replay_map* map, freshet_error* error);

/* ---- times ---- */

typedef enum freshet_time_unit {
  FRESHET_TIME_UNKNOWN = 0, /* no number has been seen yet */
  FRESHET_TIME_S,
  FRESHET_TIME_MS,
  FRESHET_TIME_US,
} freshet_time_unit;

const char* freshet_time_unit_name(freshet_time_unit unit);

/* Reads ISO 8601 ("2011-12-09", "2011-12-09T12:50:00.5+01:00", a space for the T; UTC without an offset) or a
 * number since the Unix epoch. The unit of numbers is told by the first one (*unit unknown) and then holds:
 * 10^8 to 10^11 are seconds, to 10^14 ms, to 10^17 us; these ranges start in 1973 and end in 5138. Errors:
 * FRESHET_INVALID, verdict FRESHET_DEAD_LETTER; a first number out of these ranges is ambiguous, a later one
 * is of another unit. */
freshet_status freshet_replay_parse_time(freshet_slice text, freshet_time_unit* unit, int64_t* time_ms,
                                         freshet_error* error);

/* ---- conversion ---- */

/* For one input: the unit of its times, and what is needed to derive ids. */
typedef struct freshet_replay_converter freshet_replay_converter;

/* unit: FRESHET_TIME_UNKNOWN detects it. */
freshet_replay_converter* freshet_replay_converter_create(freshet_time_unit unit);
void freshet_replay_converter_destroy(freshet_replay_converter* converter);
freshet_time_unit freshet_replay_converter_unit(const freshet_replay_converter* converter);

/* Slices of the results point into the fields and the converter and hold until the next call. Errors:
 * FRESHET_INVALID, verdict FRESHET_DEAD_LETTER, with the field and its text. What can be told without the
 * text (ids, scales) is not checked here but by freshet_event_validate.
 *
 * Without a type, an event with a value is a rating, one with a quantity or price a purchase, and any other a
 * click. */
freshet_status freshet_replay_event_of(freshet_replay_converter* converter, const freshet_slice* fields,
                                       freshet_event* event, freshet_error* error);
freshet_status freshet_replay_item_of(freshet_replay_converter* converter, const freshet_slice* fields,
                                      freshet_item* item, freshet_error* error);

/* Gives an event without an id one that depends on its user, item, type, time and how many equal ones came
 * before it in this input, and on nothing else: a second replay makes the same ids, which the dedup window
 * then recognises. Call it for every event, so that the count is right. */
void freshet_replay_name_event(freshet_replay_converter* converter, freshet_event* event);

/* "click", "rating", "purchase"; static. */
const char* freshet_replay_type_name(freshet_event_type type);
/* Also "view" and "addtocart", "rate", "buy" and "transaction". */
bool freshet_replay_type_of(freshet_slice text, freshet_event_type* type);

#endif
