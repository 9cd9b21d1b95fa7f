/*
 * input_names.h: our fields, and what an input calls them. A map gives each field the name of a column, or the
 * path of a nested value. It owns nothing: names are views of the options' texts. It must not know how columns
 * are stored.
 */
#ifndef FRESHET_COMMANDS_INPUT_NAMES_H
#define FRESHET_COMMANDS_INPUT_NAMES_H

#include "freshet/bytes.h"
#include "freshet/status.h"

typedef enum freshet_field {
  FRESHET_FIELD_EVENT_ID = 0,
  FRESHET_FIELD_TYPE,
  FRESHET_FIELD_USER_ID,
  FRESHET_FIELD_ITEM_ID,
  FRESHET_FIELD_VALUE, /* of a rating */
  FRESHET_FIELD_OCCURRED_AT,
  FRESHET_FIELD_DWELL_S,
  FRESHET_FIELD_QUANTITY,
  FRESHET_FIELD_PRICE,
  FRESHET_FIELD_PLACE,        /* these two of feedback */
  FRESHET_FIELD_LIST_VERSION, /* the last one of events */
  FRESHET_FIELD_TITLE,
  FRESHET_FIELD_TEXT,
  FRESHET_FIELD_CATEGORIES, /* a list */
  FRESHET_FIELD_AVAILABLE,
  FRESHET_FIELD_EXPIRES_AT,
  FRESHET_FIELD_CREATED_AT,
  FRESHET_FIELD_ATTRIBUTES, /* NAME=VALUE, separated by | */
  FRESHET_FIELD_VECTOR,     /* numbers */
  FRESHET_FIELDS,
} freshet_field;

/* "event_id", "type", ...; static. */
extern const char* const freshet_field_names[FRESHET_FIELDS];
/* The field of a name; -1: none. */
int freshet_field_of(freshet_slice name);
bool freshet_field_is_of_events(freshet_field field);
bool freshet_field_is_of_items(freshet_field field);

typedef struct freshet_input_map {
  freshet_slice names[FRESHET_FIELDS]; /* our own name unless given */
  bool given[FRESHET_FIELDS];          /* by --map: it must be there */
  bool own_item_id;                    /* with other inputs: this one may call item_id by our own name */
} freshet_input_map;

/* "user_id=customer_no,item_id=properties.sku"; NULL or "": every field has its own name. Errors: FRESHET_INVALID,
 * verdict FRESHET_STOP, for what is not FIELD=NAME. */
freshet_status freshet_input_map_parse(const char* text, freshet_input_map* map, freshet_error* error);

/* The same name but for case, blanks, _, - and . */
bool freshet_name_is_like(freshet_slice a, freshet_slice b);

/* Does a column have the name of a field? 0: no; the larger the closer: 3 to the byte, 2 by freshet_name_is_like,
 * 1: another usual name of the field (rating for value, description for text). A given name is matched as 3 or 2
 * only. */
int freshet_input_map_match(const freshet_input_map* map, freshet_field field, freshet_slice column);

/* All names of the map, separated by commas, appended with a NUL: freshet_csv_dialect.expected. */
void freshet_input_map_list(const freshet_input_map* map, freshet_buffer* out);

#endif
