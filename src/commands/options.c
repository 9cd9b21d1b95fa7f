/*
 * options.c: takes -c and -X from the arguments of a command, loads the configuration, and turns a status
 * into an exit code and a message. It owns the list of overrides.
 */
#include "commands/options.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "commands/commands.h"
#include "kafka/kafka.h"

bool freshet_options_take(freshet_options* options, int option, const char* argument) {
  switch (option) {
    case 'c':
      options->file = argument;
      return true;
    case 'X':
      /* One option too many is still passed on, so that loading refuses it by the count. */
      if (options->override_count < FRESHET_OVERRIDES_MAX) {
        options->overrides[options->override_count] = argument;
      }
      options->override_count++;
      return true;
    default:
      return false;
  }
}

/* Lets librdkafka check [kafka]: an error here names the place, one at the creation of a client could not. */
static freshet_status check_kafka(const freshet_config* config, freshet_error* error) {
  for (size_t i = 0; i < config->kafka.count; i++) {
    const freshet_property* written = &config->kafka.properties[i];
    const freshet_kafka_property property = {written->name, written->value};
    const freshet_kafka_config alone = {.properties = &property, .property_count = 1};
    freshet_error reason = {0};
    if (freshet_kafka_properties_check(&alone, &reason) != FRESHET_OK) {
      return freshet_error_set(error, reason.status, reason.verdict, "%s: %s", written->where,
                               reason.message);
    }
  }
  return FRESHET_OK;
}

bool freshet_option_number(const char* text, int64_t least, int64_t most, int64_t* value) {
  char* end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || number < least || number > most) return false;
  *value = number;
  return true;
}

freshet_status freshet_options_load(const freshet_options* options, freshet_config** config,
                                    freshet_error* error) {
  if (options->override_count > FRESHET_OVERRIDES_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "more than %d times -X",
                             FRESHET_OVERRIDES_MAX);
  }
  const freshet_config_inputs inputs = {
      .file = options->file,
      .overrides = options->overrides,
      .override_count = options->override_count,
      .environment = environ,
  };
  freshet_status status = freshet_config_load(&inputs, config, error);
  if (status == FRESHET_OK) status = check_kafka(*config, error);
  if (status != FRESHET_OK) {
    freshet_config_destroy(*config);
    *config = NULL;
  }
  return status;
}

int freshet_command_exit_code(const freshet_error* error) {
  switch (error->status) {
    case FRESHET_OK:
      return FRESHET_EXIT_OK;
    case FRESHET_FENCED:
      return FRESHET_EXIT_FENCED;
    case FRESHET_CONFLICT:
    case FRESHET_IO:
      return FRESHET_EXIT_STATE;
    case FRESHET_NOT_FOUND:
    case FRESHET_UNAVAILABLE:
    case FRESHET_TIMEOUT:
      return FRESHET_EXIT_UNAVAILABLE;
    case FRESHET_INVALID:
    case FRESHET_ABORTED:
    case FRESHET_NO_MEMORY:
    case FRESHET_DAMAGED:
      break;
  }
  return FRESHET_EXIT_FAILED;
}

int freshet_command_failed(const char* command, const freshet_error* error) {
  fprintf(stderr, "freshet %s: %s\n", command, error->message);
  return freshet_command_exit_code(error);
}
