/*
 * input_types.h: words for types of events. A table has the usual ones; --types adds to it and goes before it.
 * Unknown words are counted. It must not know records.
 */
#ifndef FRESHET_COMMANDS_INPUT_TYPES_H
#define FRESHET_COMMANDS_INPUT_TYPES_H

#include "freshet/event.h"

/* What a word of --types may say beside a type. */
typedef enum freshet_type_found {
  FRESHET_TYPE_UNKNOWN = 0,
  FRESHET_TYPE_KNOWN,
  FRESHET_TYPE_LEFT_OUT,
} freshet_type_found;

/* "click", "rating", "purchase", "feedback"; static. */
const char* freshet_type_name(freshet_event_type type);
/* The usual words, compared without case, blanks, _ and -. */
bool freshet_type_of(freshet_slice word, freshet_event_type* type);

/* The kind of feedback that a word of type FRESHET_FEEDBACK stands for. False: "feedback" itself, or no such word. */
bool freshet_feedback_of(freshet_slice word, freshet_feedback_kind* kind);

/* rules: the text of --types, "cart=click,remove_from_cart=-", or NULL; a rule for "*" is for all unknown words. */
freshet_type_found freshet_type_find(const char* rules, freshet_slice word, freshet_event_type* type);
/* Errors: FRESHET_INVALID, verdict FRESHET_STOP, for what is not WORD=TYPE or WORD=-. */
freshet_status freshet_type_rules_check(const char* rules, freshet_error* error);

/* Prints the table of words, a line for each type. */
void freshet_type_print(void);

#endif
