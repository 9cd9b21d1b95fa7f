/*
 * input_row.h: a row of texts becomes an event or an item, or is rejected with a reason that names the field and the
 * text. All formats share it. A converter keeps what one input tells on the way: the unit of its times, how its
 * lists are separated, equal events. It must not know where rows come from.
 *
 * Thread rule: a converter serves one thread at a time.
 */
#ifndef FRESHET_COMMANDS_INPUT_ROW_H
#define FRESHET_COMMANDS_INPUT_ROW_H

#include "commands/input/input_reader.h"
#include "commands/input/input_types.h"

typedef struct freshet_input_converter freshet_input_converter;

/* The options are borrowed. limits: of ratings, for --rating-scale; NULL: 1 to 5. */
freshet_input_converter* freshet_input_converter_create(const freshet_input_options* options,
                                                        const freshet_event_limits* limits);
void freshet_input_converter_destroy(freshet_input_converter* converter); /* NULL is allowed */

/* What has been told so far. */
freshet_time_unit freshet_input_converter_unit(const freshet_input_converter* converter);
freshet_list_style* freshet_input_converter_lists(freshet_input_converter* converter);

/* Fills in record->event from record->fields, which are cleaned in place: blanks, texts that stand for nothing, what
 * --set says. Slices hold until the next call. Sets outcome, has_own_id and lost_price. Errors: FRESHET_INVALID,
 * verdict FRESHET_DEAD_LETTER. What can be told without the text (ids, scales) is not checked here but by
 * freshet_event_validate.
 *
 * now_ms: the first time of an input must not be before 1990 or more than a day after it, unless --time-unit or
 * --time-format says how to read it. Without a type, an event with a value is a rating, one with a quantity or price
 * a purchase, and any other a click. */
freshet_status freshet_input_event_of(freshet_input_converter* converter, freshet_input_record* record,
                                      int64_t now_ms, freshet_error* error);
/* The same for record->item. A created_at before 1970 becomes the first moment after it; an expires_at
 * that is a date before 1990 becomes 1990, before which no item may expire. */
freshet_status freshet_input_item_of(freshet_input_converter* converter, freshet_input_record* record,
                                     freshet_error* error);

/* Gives an event without an id one that depends on its user, item, type, time and how many equal ones came
 * before it in this input, and on nothing else: a second reading makes the same ids, which the dedup window
 * then recognises. Call it for every event, so that the count is right. */
void freshet_input_name_event(freshet_input_converter* converter, freshet_event* event);

#endif
