/*
 * registry_client.h: questions to a schema registry over HTTP, each asked at one URL after the other until one answers.
 * It owns the connection. It must not know what is asked. Private to src/codec.
 *
 * Thread rule: one thread at a time, but for freshet_registry_client_stop.
 */
#ifndef FRESHET_CODEC_REGISTRY_CLIENT_H
#define FRESHET_CODEC_REGISTRY_CLIENT_H

#include <jansson.h>

#include "codec/registry_config.h"

typedef struct freshet_registry_client freshet_registry_client;

/* Takes urls, user, token, ca and timeout_ms of the config, and copies them. Errors: FRESHET_INVALID, verdict
 * FRESHET_STOP: no usable URL. */
freshet_status freshet_registry_client_create(const freshet_registry_config* config,
                                              freshet_registry_client** client, freshet_error* error);
void freshet_registry_client_destroy(freshet_registry_client* client); /* NULL is allowed */
/* Ends the question that is being asked, and all that follow, as failed. Any thread. */
void freshet_registry_client_stop(freshet_registry_client* client);

typedef struct freshet_registry_answer {
  json_t* json; /* the caller releases it with json_decref */
  long status;  /* of HTTP: 200, or one between 400 and 499 with an error code of the registry's own */
  json_int_t error_code;
} freshet_registry_answer;

enum { FRESHET_REGISTRY_WHY_SIZE = 256 };

/* Asks. path: behind the URL. body: JSON to be posted; NULL: a GET. False: nobody has answered as a registry does,
 * and why says what came instead. */
bool freshet_registry_client_ask(freshet_registry_client* client, const char* path, const char* body,
                                 freshet_registry_answer* answer, char why[FRESHET_REGISTRY_WHY_SIZE]);

/* "/subjects/NAME", with what a URL cannot hold escaped. */
void freshet_registry_subject_path(const char* subject, char* path, size_t size);

/* The schema in an answer (its text in "schema", and what it refers to in "references", which is asked for and put
 * in), as one text that the caller frees. NULL: it cannot be had, and why says it. A text that is of another kind
 * than Avro says so, and is refused by whoever reads it. *is_final, which may be
 * NULL: the registry has answered all questions, and asking again soon will not help. */
char* freshet_registry_schema_of(freshet_registry_client* client, const json_t* answer,
                                 char why[FRESHET_REGISTRY_WHY_SIZE], bool* is_final);

#endif
