/*
 * topics_schemas.c: see topics_schemas.h. What counts is whether Freshet can read what producers have registered. That
 * the registry would take our schema as the next version counts only where ours is not registered yet.
 */
#include "commands/topics_schemas.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/schemas.h"
#include "app/subjects.h"
#include "commands/commands.h"
#include "commands/options.h"

typedef struct looking {
  freshet_registry_subjects* registry;
  size_t faults;
} looking;

static freshet_status open_registry(const freshet_config* config, looking* l, freshet_error* error) {
  freshet_registry_config registry;
  if (config->registry.url[0] == '\0')
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "--register needs registry.url, the address of the schema registry");
  freshet_status status = freshet_registry_config_of(config, &registry, error);
  if (status == FRESHET_OK) status = freshet_registry_subjects_open(&registry, &l->registry, error);
  return status;
}

static freshet_status visit_all(const freshet_config* config,
                                freshet_status (*visit)(void* context, const freshet_subject* subject,
                                                        const freshet_subject_schema* schema,
                                                        freshet_error* error),
                                looking* l, freshet_error* error) {
  freshet_status status = open_registry(config, l, error);
  if (status == FRESHET_OK) status = freshet_subjects_each(config, l->registry, visit, l, error);
  freshet_registry_subjects_close(l->registry);
  return status;
}

/* ---- register ---- */

static freshet_status register_one(void* context, const freshet_subject* subject,
                                   const freshet_subject_schema* schema, freshet_error* error) {
  looking* l = context;
  int32_t id = 0;
  freshet_status status = freshet_registry_subjects_register(l->registry, schema, &id, error);
  if (status == FRESHET_OK) printf("registered %s: id %d\n", subject->name, (int)id);
  return status;
}

int freshet_topics_register(const freshet_config* config) {
  looking l = {0};
  freshet_error error = {0};
  freshet_status status = visit_all(config, register_one, &l, &error);
  return status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("topics", &error);
}

/* ---- check ---- */

static void tell(looking* l, const freshet_subject* subject, const char* what, const char* reason) {
  fprintf(stderr, "freshet topics: subject %s: %s%s\n", subject->name, what, reason);
  l->faults++;
}

/* Can we read what is written under the newest version? */
static void check_reading(looking* l, const freshet_subject* subject, const char* json, int32_t version) {
  freshet_codec* codec = NULL;
  uint64_t fingerprint;
  freshet_error why = {0};
  char what[64];
  snprintf(what, sizeof what, "version %d cannot be read: ", (int)version);
  freshet_status status = freshet_codec_create(&(freshet_codec_config){0}, &codec, &why);
  if (status == FRESHET_OK) status = freshet_codec_add_schema(codec, json, &fingerprint, &why);
  freshet_codec_destroy(codec);
  if (status != FRESHET_OK) tell(l, subject, what, why.message);
}

/* Is ours registered, or would it be taken? */
static freshet_status check_ours(looking* l, const freshet_subject* subject,
                                 const freshet_subject_schema* schema, int32_t newest, freshet_error* error) {
  int32_t id, version;
  freshet_error why = {0};
  freshet_status status = freshet_registry_subjects_find(l->registry, schema, &id, &version, &why);
  if (status == FRESHET_OK) {
    printf("subject %s: ours is version %d of %d, id %d\n", subject->name, (int)version, (int)newest,
           (int)id);
    return FRESHET_OK;
  }
  if (status != FRESHET_NOT_FOUND) return freshet_error_set(error, status, FRESHET_STOP, "%s", why.message);
  freshet_error_clear(&why);
  status = freshet_registry_subjects_compare(l->registry, schema, &why);
  if (status == FRESHET_OK) {
    printf("subject %s: version %d is another schema; ours is compatible, and not registered\n",
           subject->name, (int)newest);
  } else if (status == FRESHET_CONFLICT) {
    tell(l, subject, "ours is not registered, and not compatible: ", why.message);
  } else {
    return freshet_error_set(error, status, FRESHET_STOP, "%s", why.message);
  }
  return FRESHET_OK;
}

static freshet_status check_one(void* context, const freshet_subject* subject,
                                const freshet_subject_schema* schema, freshet_error* error) {
  looking* l = context;
  char* json = NULL;
  int32_t version = 0;
  freshet_error why = {0};
  freshet_status status = freshet_registry_subjects_latest(l->registry, subject->name, &json, &version, &why);
  if (status == FRESHET_NOT_FOUND) {
    tell(l, subject, "nothing is registered; `freshet topics create --register` does it", "");
    return FRESHET_OK;
  }
  if (status != FRESHET_OK) return freshet_error_set(error, status, FRESHET_STOP, "%s", why.message);
  check_reading(l, subject, json, version);
  free(json);
  return check_ours(l, subject, schema, version, error);
}

int freshet_topics_check_schemas(const freshet_config* config) {
  looking l = {0};
  freshet_error error = {0};
  freshet_status status = visit_all(config, check_one, &l, &error);
  if (status != FRESHET_OK) return freshet_command_failed("topics", &error);
  return l.faults == 0 ? FRESHET_EXIT_OK : FRESHET_EXIT_FAILED;
}
