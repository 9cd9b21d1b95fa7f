/*
 * subjects.h: which schema of ours belongs to which subject of a registry, for the topics of a configuration, by the
 * strategy in registry.subjects. It must not know how a registry is asked (codec/registry_subjects.h).
 */
#ifndef FRESHET_APP_SUBJECTS_H
#define FRESHET_APP_SUBJECTS_H

#include "codec/registry_subjects.h"
#include "service/config.h"

/* As in the settings. */
typedef enum freshet_subject_strategy {
  FRESHET_SUBJECTS_TOPIC =
      0,                   /* TOPIC-value; where a topic has several records, a union that refers to them */
  FRESHET_SUBJECTS_RECORD, /* freshet.RECORD */
  FRESHET_SUBJECTS_TOPIC_RECORD, /* TOPIC-freshet.RECORD */
} freshet_subject_strategy;

enum { FRESHET_SUBJECT_NAME_SIZE = 512, FRESHET_SUBJECTS_MAX = 16, FRESHET_SUBJECT_RECORDS_MAX = 4 };

typedef struct freshet_subject {
  char name[FRESHET_SUBJECT_NAME_SIZE];
  const char* record;         /* name of our schema; NULL: the union of `records` */
  const char* const* records; /* [record_count] the subjects before this one that the union refers to */
  size_t record_count;
} freshet_subject;

/* Fills in the subjects of all topics that others read or write, each once; a union comes after its records. Returns
 * how many. */
size_t freshet_subjects_of(const freshet_config* config, freshet_subject out[FRESHET_SUBJECTS_MAX]);

/* Calls `visit` for each subject with its schema, in order, until it does not return FRESHET_OK. References need the
 * versions of records, which are asked for at the registry: `find` errors are passed to `visit` as a schema without
 * references. */
freshet_status freshet_subjects_each(const freshet_config* config, freshet_registry_subjects* registry,
                                     freshet_status (*visit)(void* context, const freshet_subject* subject,
                                                             const freshet_subject_schema* schema,
                                                             freshet_error* error),
                                     void* context, freshet_error* error);

/* The id under which our record is registered alone, as values are framed. Errors: FRESHET_NOT_FOUND says what to do;
 * FRESHET_UNAVAILABLE. */
freshet_status freshet_subjects_id(const freshet_config* config, freshet_registry_subjects* registry,
                                   const char* record, int32_t* id, freshet_error* error);

#endif
