/*
 * input_options.h: how files are to be read, as options that `freshet replay` and `freshet evaluate` share. A row of
 * the table of data sets is a text of the same options, so that a data set needs no code. Holds views of the texts
 * it was given; it must not open anything.
 */
#ifndef FRESHET_COMMANDS_INPUT_OPTIONS_H
#define FRESHET_COMMANDS_INPUT_OPTIONS_H

#include <getopt.h>
#include <stdint.h>

#include "commands/input/input_csv.h"
#include "commands/input/input_lists.h"
#include "commands/input/input_names.h"
#include "commands/input/input_time.h"

/* What a value of a rating means: linear from least..most onto the configured scale. */
typedef struct freshet_rating_scale {
  double least, most; /* equal: as it is */
} freshet_rating_scale;

/* Zero-initialise, take options, then freshet_input_options_finish. */
typedef struct freshet_input_options {
  const char*
      format; /* csv, jsonl, json, avro, the name of a data set, a file of such rows; NULL: by the first bytes */
  const char* map_text;
  freshet_input_map map;
  const char* set_text; /* FIELD=VALUE,...: for every row */
  freshet_slice set[FRESHET_FIELDS];
  const char* missing; /* WORD,... or FIELD=WORD,...: texts that stand for nothing */
  freshet_csv_dialect dialect;
  const char* encoding;
  freshet_time_unit unit;
  const char* time_format;
  const char* types; /* rules of freshet_type_find */
  freshet_list_style lists;
  const char* each; /* FIELD,SEPARATOR[,ENDING]: one record for each part of the field */
  int heading;      /* field that a line "VALUE:" gives to the rows below it; -1: none */
  freshet_rating_scale scale;
  bool python;     /* lines are objects as Python prints them */
  bool properties; /* rows say what a property of an item is since a time (input_properties.c) */
  bool keep_blanks, decimal_comma, derive_ids, returns_dislike;
} freshet_input_options;

void freshet_input_options_init(freshet_input_options* options);

/* For getopt_long: the long options, to be put into the command's own array, and their codes. */
enum {
  FRESHET_INPUT_OPTION_FIRST = 1024,
  FRESHET_INPUT_FORMAT = FRESHET_INPUT_OPTION_FIRST,
  FRESHET_INPUT_MAP,
  FRESHET_INPUT_SET,
  FRESHET_INPUT_MISSING,
  FRESHET_INPUT_SEPARATOR,
  FRESHET_INPUT_COLUMNS,
  FRESHET_INPUT_ESCAPE,
  FRESHET_INPUT_QUOTE,
  FRESHET_INPUT_ENCODING,
  FRESHET_INPUT_TIME_UNIT,
  FRESHET_INPUT_TIME_FORMAT,
  FRESHET_INPUT_TYPES,
  FRESHET_INPUT_LIST_SEPARATOR,
  FRESHET_INPUT_EACH,
  FRESHET_INPUT_HEADING,
  FRESHET_INPUT_RATING_SCALE,
  FRESHET_INPUT_PYTHON,
  FRESHET_INPUT_PROPERTIES,
  FRESHET_INPUT_KEEP_BLANKS,
  FRESHET_INPUT_DECIMAL_COMMA,
  FRESHET_INPUT_DERIVE_IDS,
  FRESHET_INPUT_RETURNS,
  FRESHET_INPUT_OPTION_END,
};
#define FRESHET_INPUT_LONG_OPTIONS                                               \
  {"format", required_argument, NULL, FRESHET_INPUT_FORMAT},                     \
      {"map", required_argument, NULL, FRESHET_INPUT_MAP},                       \
      {"set", required_argument, NULL, FRESHET_INPUT_SET},                       \
      {"missing", required_argument, NULL, FRESHET_INPUT_MISSING},               \
      {"separator", required_argument, NULL, FRESHET_INPUT_SEPARATOR},           \
      {"columns", required_argument, NULL, FRESHET_INPUT_COLUMNS},               \
      {"escape", required_argument, NULL, FRESHET_INPUT_ESCAPE},                 \
      {"quote", required_argument, NULL, FRESHET_INPUT_QUOTE},                   \
      {"encoding", required_argument, NULL, FRESHET_INPUT_ENCODING},             \
      {"time-unit", required_argument, NULL, FRESHET_INPUT_TIME_UNIT},           \
      {"time-format", required_argument, NULL, FRESHET_INPUT_TIME_FORMAT},       \
      {"types", required_argument, NULL, FRESHET_INPUT_TYPES},                   \
      {"list-separator", required_argument, NULL, FRESHET_INPUT_LIST_SEPARATOR}, \
      {"each", required_argument, NULL, FRESHET_INPUT_EACH},                     \
      {"heading", required_argument, NULL, FRESHET_INPUT_HEADING},               \
      {"rating-scale", required_argument, NULL, FRESHET_INPUT_RATING_SCALE},     \
      {"python", no_argument, NULL, FRESHET_INPUT_PYTHON},                       \
      {"properties", no_argument, NULL, FRESHET_INPUT_PROPERTIES},               \
      {"keep-blanks", no_argument, NULL, FRESHET_INPUT_KEEP_BLANKS},             \
      {"decimal-comma", no_argument, NULL, FRESHET_INPUT_DECIMAL_COMMA},         \
      {"derive-ids", no_argument, NULL, FRESHET_INPUT_DERIVE_IDS}, {             \
    "returns", required_argument, NULL, FRESHET_INPUT_RETURNS                    \
  }

/* For the usage text of a command. */
#define FRESHET_INPUT_USAGE                                                                                  \
  "  --format FORMAT       csv, jsonl, json or avro (default: by the first bytes); a data set as it comes, " \
  "files\n"                                                                                                  \
  "                        or a folder of them (`freshet replay --formats` lists them); or a file of such "  \
  "rows\n"                                                                                                   \
  "  --map FIELD=NAME,...  what the files call our fields, as in "                                           \
  "user_id=customer_no,item_id=properties.sku\n"                                                             \
  "  --set FIELD=VALUE,... the same for every row, as in type=purchase\n"                                    \
  "  --columns NAME,...    the names, for files without a row of them; - is a column that is left out\n"     \
  "  --separator CHAR      of fields: auto (default), comma, semicolon, tab, bar or the characters "         \
  "themselves\n"                                                                                             \
  "  --escape CHAR         what stands before a quote in a quoted field: auto (default), none or a "         \
  "character\n"                                                                                              \
  "  --quote none          quotes are characters like any others\n"                                          \
  "  --encoding NAME       latin1, windows-1252, utf-16, ... (default: UTF-8)\n"                             \
  "  --time-unit UNIT      of numbers: s, ms, us or ns (default: as the first one tells)\n"                  \
  "  --time-format FORM    as of strptime, such as %d/%m/%Y %H:%M; %f is a fraction of a second\n"           \
  "  --types WORD=TYPE,... as in cart=click,remove_from_cart=-; - leaves out, * is for all other words\n"    \
  "  --list-separator CHAR of categories: auto (default), | ; , or >\n"                                      \
  "  --missing WORD,...    texts that stand for nothing, in place of \\N, NULL, nan and the like\n"          \
  "  --rating-scale A:B    the ratings of the files go from A to B\n"                                        \
  "  --decimal-comma       1,5 is one and a half\n"                                                          \
  "  --keep-blanks         blanks at the ends of ids, names, times and types count\n"                        \
  "  --derive-ids          give events ids of their own, where event_id is that of an order or session\n"    \
  "  --returns R           purchases of a negative quantity: ignore (default: counted and left out), or\n"   \
  "                        dislike (the user's feedback that the item was returned)\n"

/* Takes one option by its code. Errors: FRESHET_INVALID, verdict FRESHET_STOP, with option and value. */
freshet_status freshet_input_options_take(freshet_input_options* options, int code, const char* value,
                                          freshet_error* error);
/* Takes "--separator tab --columns a,b", the text of a row of the table; words with blanks are in double quotes.
 * `storage` keeps the words and must outlive the options. */
freshet_status freshet_input_options_take_text(freshet_input_options* options, const char* text,
                                               freshet_buffer* storage, freshet_error* error);
/* Appends what decides which records come, under which ids: a checkpoint holds for equal texts only. */
void freshet_input_options_key(const freshet_input_options* options, freshet_buffer* key);

#endif
