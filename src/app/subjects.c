/*
 * subjects.c: see subjects.h. Under the strategy by topic, the records of `events` are registered under their own names
 * as well: the union refers to them there.
 */
#include "app/subjects.h"

#include <stdio.h>
#include <string.h>

#include "codec/schema_source.h"

#define SPACE "freshet."
static const char* const event_records[] = {"Click", "Rating", "Purchase", "Feedback"};
static const char* const item_records[] = {"Item"};
static const char* const request_records[] = {"RecommendationRequest"};
static const char* const list_records[] = {"RecommendationList"};

/* The topics that others read or write. */
static const struct {
  freshet_topic topic;
  const char* const* records;
  size_t count;
} contracts[] = {{FRESHET_TOPIC_EVENTS, event_records, 4},
                 {FRESHET_TOPIC_ITEMS, item_records, 1},
                 {FRESHET_TOPIC_REQUESTS, request_records, 1},
                 {FRESHET_TOPIC_RECOMMENDATIONS, list_records, 1},
                 {FRESHET_TOPIC_REPLIES, list_records, 1}};
enum { CONTRACTS = sizeof contracts / sizeof contracts[0] };

static size_t add(freshet_subject* out, size_t count, const char* record, const char* name) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(out[i].name, name) == 0) return count;
  }
  out[count] = (freshet_subject){.record = record};
  snprintf(out[count].name, sizeof out[count].name, "%s", name);
  return count + 1;
}

size_t freshet_subjects_of(const freshet_config* config, freshet_subject out[FRESHET_SUBJECTS_MAX]) {
  const freshet_subject_strategy strategy = (freshet_subject_strategy)config->registry.subjects;
  size_t count = 0;
  for (size_t i = 0; i < CONTRACTS; i++) {
    char name[FRESHET_SUBJECT_NAME_SIZE];
    const char* topic = config->topics.names[contracts[i].topic];
    const bool is_union = strategy == FRESHET_SUBJECTS_TOPIC && contracts[i].count > 1;
    for (size_t r = 0; r < contracts[i].count; r++) {
      const char* record = contracts[i].records[r];
      if (strategy == FRESHET_SUBJECTS_TOPIC && !is_union)
        snprintf(name, sizeof name, "%s-value", topic);
      else if (strategy == FRESHET_SUBJECTS_TOPIC_RECORD)
        snprintf(name, sizeof name, "%s-" SPACE "%s", topic, record);
      else
        snprintf(name, sizeof name, SPACE "%s", record);
      count = add(out, count, record, name);
    }
    if (!is_union) continue;
    snprintf(name, sizeof name, "%s-value", topic);
    count = add(out, count, NULL, name);
    out[count - 1].records = contracts[i].records;
    out[count - 1].record_count = contracts[i].count;
  }
  return count;
}

/* The union, and what it refers to. Returns how many of its records are registered. */
static size_t make_union(freshet_registry_subjects* registry, const freshet_subject* subject, char* json,
                         size_t size, char names[][FRESHET_SUBJECT_NAME_SIZE],
                         freshet_subject_reference* references) {
  size_t found = 0, at = 0;
  at += (size_t)snprintf(json + at, size - at, "[");
  for (size_t r = 0; r < subject->record_count; r++) {
    int32_t id, version = 0;
    snprintf(names[r], FRESHET_SUBJECT_NAME_SIZE, SPACE "%s", subject->records[r]);
    const freshet_subject_schema record = {.subject = names[r],
                                           .schema = freshet_schema_source_of(subject->records[r])};
    if (freshet_registry_subjects_find(registry, &record, &id, &version, NULL) == FRESHET_OK)
      references[found++] = (freshet_subject_reference){names[r], names[r], version};
    at += (size_t)snprintf(json + at, size - at, "%s\"%s\"", r == 0 ? "" : ",", names[r]);
  }
  snprintf(json + at, size - at, "]");
  return found;
}

freshet_status freshet_subjects_each(const freshet_config* config, freshet_registry_subjects* registry,
                                     freshet_status (*visit)(void* context, const freshet_subject* subject,
                                                             const freshet_subject_schema* schema,
                                                             freshet_error* error),
                                     void* context, freshet_error* error) {
  freshet_subject subjects[FRESHET_SUBJECTS_MAX];
  const size_t count = freshet_subjects_of(config, subjects);
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    char json[FRESHET_SUBJECT_NAME_SIZE], names[FRESHET_SUBJECT_RECORDS_MAX][FRESHET_SUBJECT_NAME_SIZE];
    freshet_subject_reference references[FRESHET_SUBJECT_RECORDS_MAX];
    freshet_subject_schema schema = {.subject = subjects[i].name};
    if (subjects[i].record != NULL) {
      schema.schema = freshet_schema_source_of(subjects[i].record);
    } else {
      schema.reference_count = make_union(registry, &subjects[i], json, sizeof json, names, references);
      schema.references = references;
      schema.schema = json;
    }
    status = visit(context, &subjects[i], &schema, error);
  }
  return status;
}

freshet_status freshet_subjects_id(const freshet_config* config, freshet_registry_subjects* registry,
                                   const char* record, int32_t* id, freshet_error* error) {
  freshet_subject subjects[FRESHET_SUBJECTS_MAX];
  const size_t count = freshet_subjects_of(config, subjects);
  freshet_status status = FRESHET_NOT_FOUND;
  for (size_t i = 0; status == FRESHET_NOT_FOUND && i < count; i++) {
    int32_t version;
    freshet_error cause = {0};
    if (subjects[i].record == NULL || strcmp(subjects[i].record, record) != 0) continue;
    const freshet_subject_schema schema = {.subject = subjects[i].name,
                                           .schema = freshet_schema_source_of(record)};
    status = freshet_registry_subjects_find(registry, &schema, id, &version, &cause);
    if (status != FRESHET_OK && status != FRESHET_NOT_FOUND)
      return freshet_error_set(error, status, FRESHET_STOP, "%s", cause.message);
  }
  if (status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(
      error, FRESHET_NOT_FOUND, FRESHET_STOP,
      "registry.framing = confluent needs an id for %s, and the registry has none: register "
      "the schemas with `freshet topics create --register`, or give it in registry.ids",
      record);
}
