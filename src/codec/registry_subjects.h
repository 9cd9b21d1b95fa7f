/*
 * registry_subjects.h: schemas under the names that a registry gives them, its subjects: registered, found, compared. Each
 * call is one question, asked now, on the caller's thread. It must not know which subject belongs to which topic.
 */
#ifndef FRESHET_CODEC_REGISTRY_SUBJECTS_H
#define FRESHET_CODEC_REGISTRY_SUBJECTS_H

#include "codec/registry_config.h"

/* A type that a schema refers to, as it is registered. */
typedef struct freshet_subject_reference {
  const char* name; /* of the type, in full */
  const char* subject;
  int32_t version;
} freshet_subject_reference;

typedef struct freshet_subject_schema {
  const char* subject;
  const char* schema; /* JSON */
  const freshet_subject_reference* references;
  size_t reference_count;
} freshet_subject_schema;

typedef struct freshet_registry_subjects freshet_registry_subjects;

/* Copies what config says of URLs, secrets and time-out. Errors: FRESHET_INVALID. */
freshet_status freshet_registry_subjects_open(const freshet_registry_config* config,
                                              freshet_registry_subjects** subjects, freshet_error* error);
void freshet_registry_subjects_close(freshet_registry_subjects* subjects); /* NULL is allowed */

/* Registers a schema; one that is registered already keeps its id. Errors: FRESHET_CONFLICT when the registry refuses
 * it, with its reason; FRESHET_UNAVAILABLE. */
freshet_status freshet_registry_subjects_register(freshet_registry_subjects* subjects,
                                                  const freshet_subject_schema* schema, int32_t* id,
                                                  freshet_error* error);
/* Under which id and version a schema is registered. Errors: FRESHET_NOT_FOUND; FRESHET_UNAVAILABLE. */
freshet_status freshet_registry_subjects_find(freshet_registry_subjects* subjects,
                                              const freshet_subject_schema* schema, int32_t* id,
                                              int32_t* version, freshet_error* error);
/* The newest schema of a subject, with what it refers to; the caller frees *json. Errors: FRESHET_NOT_FOUND;
 * FRESHET_UNAVAILABLE. */
freshet_status freshet_registry_subjects_latest(freshet_registry_subjects* subjects, const char* subject,
                                                char** json, int32_t* version, freshet_error* error);
/* Would the registry take the schema as the next version? Errors: FRESHET_CONFLICT with its reason: no;
 * FRESHET_NOT_FOUND: there is no such subject; FRESHET_UNAVAILABLE. */
freshet_status freshet_registry_subjects_compare(freshet_registry_subjects* subjects,
                                                 const freshet_subject_schema* schema, freshet_error* error);

#endif
