/*
 * options.h: the options that every command knows, and how a command ends with an error.
 *
 *   -c FILE                  the configuration file
 *   -X section.key=value     overrides one key; may be given many times
 */
#ifndef FRESHET_COMMANDS_OPTIONS_H
#define FRESHET_COMMANDS_OPTIONS_H

#include "service/config.h"

/* Put this in front of the short options of a command, for getopt_long. */
#define FRESHET_OPTIONS_SHORT "c:X:"

/* For the usage text of a command. */
#define FRESHET_OPTIONS_USAGE                                                           \
  "  -c FILE               configuration file (INI); see `freshet config --defaults`\n" \
  "  -X SECTION.KEY=VALUE  override one key; may be repeated\n"

enum { FRESHET_OVERRIDES_MAX = 128 };

/* Zero-initialise. Holds pointers into argv. */
typedef struct freshet_options {
  const char* file;
  const char* overrides[FRESHET_OVERRIDES_MAX];
  size_t override_count;
} freshet_options;

/* Takes what getopt_long returned when it is one of the common options. False: it is the command's own (or
 * '?'). */
bool freshet_options_take(freshet_options* options, int option, const char* argument);

/* Parses a whole number from least to most with nothing after it. False: it is none, and *value has not
 * changed. */
bool freshet_option_number(const char* text, int64_t least, int64_t most, int64_t* value);

/* Loads the configuration: file, environment, overrides. */
freshet_status freshet_options_load(const freshet_options* options, freshet_config** config,
                                    freshet_error* error);

/* The exit code for an error. */
int freshet_command_exit_code(const freshet_error* error);
/* Prints "freshet COMMAND: message" to stderr and returns that exit code. */
int freshet_command_failed(const char* command, const freshet_error* error);

#endif
