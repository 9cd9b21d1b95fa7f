/*
 * ask_service.h: one question to the running service, and its answer as JSON, for the commands that print it. It loads
 * the configuration, asks, and words what went wrong. It must not know what an answer says.
 */
#ifndef FRESHET_COMMANDS_ASK_SERVICE_H
#define FRESHET_COMMANDS_ASK_SERVICE_H

#include <jansson.h>
#include <stdbool.h>

#include "commands/options.h"

/* What a command asks. All is borrowed for the call. */
typedef struct freshet_question {
  const char* command;                 /* its name, for messages */
  const char* path;                    /* of the request, with its parameters */
  const char* url;                     /* of the service; NULL: that of the configuration, on this machine */
  const char* list;                    /* the array that an answer of the service has */
  const char* missing;                 /* the message for the status 404; NULL: that of the service */
  bool json;                           /* print the answer as it came */
  void (*print)(const json_t* answer); /* else */
} freshet_question;

/* Asks and prints. Returns the exit code of the command: FRESHET_EXIT_USAGE for a configuration that cannot be read,
 * FRESHET_EXIT_UNAVAILABLE when nobody answers or the service is not ready, FRESHET_EXIT_FAILED for other refusals. */
int freshet_ask_service(const freshet_question* question, const freshet_options* options);

#endif
