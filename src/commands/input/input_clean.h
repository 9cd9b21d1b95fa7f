/*
 * input_clean.h: the texts of a record before they are read as values: blanks at their ends, words that stand for no
 * value, what --set says, and ids that a tool has written as numbers. It must not know types, times or lists.
 */
#ifndef FRESHET_COMMANDS_INPUT_CLEAN_H
#define FRESHET_COMMANDS_INPUT_CLEAN_H

#include "commands/input/input_reader.h"

/* Cleans record->fields in place. is_event: else it is an item, which has no user_id; an event has no title. Without
 * --missing the words that tools write for "no value" (\N, NULL, nan, ...) are none in every field but title and text. A
 * whole number with ".0", as pandas writes ids of a column with gaps, loses it. Errors: FRESHET_INVALID, verdict
 * FRESHET_DEAD_LETTER, for an id that is such a word, or that a spreadsheet has shortened (1.23457E+12): many ids would
 * become one; for an id or a title that is not UTF-8. */
freshet_status freshet_input_clean(const freshet_input_options* options, freshet_input_record* record,
                                   bool is_event, freshet_error* error);

#endif
