/*
 * input_arguments.h: the inputs of a command line: files, folders of data sets, topics, each with the options it is
 * read with. `freshet replay` and `freshet evaluate` share it. Owns the inputs and their options.
 */
#ifndef FRESHET_COMMANDS_INPUT_ARGUMENTS_H
#define FRESHET_COMMANDS_INPUT_ARGUMENTS_H

#include "commands/input/input_reader.h"

typedef struct freshet_given_option {
  int code;
  const char* value; /* of argv */
} freshet_given_option;

typedef struct freshet_given_path {
  const char* path; /* of argv */
  freshet_input_expect expect;
} freshet_given_path;

/* One input with what belongs to it alone. */
typedef struct freshet_owned_input freshet_owned_input;

/* Zero-initialise. */
typedef struct freshet_input_arguments {
  freshet_given_path* given; /* [given_count] */
  size_t given_count;
  freshet_given_option* options; /* [option_count] */
  size_t option_count;
  struct freshet_dataset* set;
  freshet_owned_input** owned; /* [count] */
  freshet_input* inputs;       /* [count] after finish: inputs of items first, else in the order given */
  size_t count;
} freshet_input_arguments;

void freshet_input_arguments_add(freshet_input_arguments* arguments, const char* path,
                                 freshet_input_expect expect);
/* Errors: those of freshet_input_options_take. */
freshet_status freshet_input_arguments_take(freshet_input_arguments* arguments, int code, const char* value,
                                            freshet_error* error);
/* Makes the inputs. Errors: those of data sets. */
freshet_status freshet_input_arguments_finish(freshet_input_arguments* arguments, freshet_error* error);
void freshet_input_arguments_free(freshet_input_arguments* arguments);
/* Appends what decides which records come: equal for equal inputs. */
void freshet_input_arguments_key(const freshet_input_arguments* arguments, freshet_buffer* key);

#endif
