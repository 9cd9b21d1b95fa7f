/*
 * evaluate_intake.c: reads inputs into a history, for evaluate_intake.h.
 */
#include "commands/evaluate/evaluate_intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cluster.h"
#include "app/schemas.h"
#include "codec/codec.h"
#include "commands/input/input_rejects.h"
#include "commands/input/input_stages.h"

typedef struct reading {
  const freshet_intake* intake;
  freshet_history* history;
  freshet_input_rejects rejects;
  freshet_input_cluster cluster;
  const freshet_input* input;
  bool style_told;
} reading;

static bool is_full(const reading* r) {
  return r->intake->limit > 0 && freshet_census_counts_of(r->intake->census)->events >= r->intake->limit;
}

/* How the input is written was told by its first records, so it is said. */
static void tell_style(reading* r, const freshet_input_reader* reader, const freshet_input_record* record) {
  char time[FRESHET_TIME_TEXT_SIZE];
  freshet_buffer style = {0};
  r->style_told = true;
  freshet_input_style(reader, &style);
  fprintf(stderr, "%s: %.*s", r->input->path, (int)style.size,
          style.size == 0 ? "" : (const char*)style.data);
  freshet_buffer_free(&style);
  if (record->is_event) {
    fprintf(stderr, ", times in %s, the first is %s", freshet_time_unit_name(freshet_input_unit(reader)),
            freshet_time_text(record->event.occurred_at_ms, time));
  }
  fputc('\n', stderr);
}

static void take(reading* r, const freshet_input_record* record) {
  bool repeats;
  freshet_census_take(r->intake->census, record, &repeats);
  if (record->outcome != FRESHET_INPUT_TAKEN || record->is_tombstone || repeats) return;
  if (record->is_event) {
    freshet_history_add_event(r->history, &record->event);
  } else {
    freshet_history_add_item(r->history, &record->item);
  }
}

static freshet_status step(reading* r, freshet_input_reader* reader, bool* more, freshet_error* error) {
  freshet_input_record record = {0};
  freshet_error why = {0};
  freshet_status status = reader->vtable->next(reader, &record, more, &why);
  if (status != FRESHET_OK && why.verdict != FRESHET_DEAD_LETTER)
    return freshet_error_set(error, status, why.verdict, "%s", why.message);
  if (!*more) return FRESHET_OK;
  if (status != FRESHET_OK) {
    freshet_input_rejects_add(&r->rejects, r->input->path, reader, &record, why.message);
    freshet_census_reject(r->intake->census, r->input->path, &record, why.message);
    return freshet_input_rejects_check(&r->rejects, error);
  }
  bool tells = record.outcome == FRESHET_INPUT_TAKEN && !record.decoded && !r->style_told;
  if (tells) tell_style(r, reader, &record);
  take(r, &record);
  return FRESHET_OK;
}

static freshet_status read_input(reading* r, const freshet_input* described, freshet_error* error) {
  freshet_input input = *described;
  freshet_input_reader* reader;
  input.cluster = &r->cluster;
  r->input = &input;
  r->style_told = false;
  const freshet_config* config = r->intake->config;
  freshet_input_wish wish = {.limits = {.rating_min = (float)config->model.rating_min,
                                        .rating_max = (float)config->model.rating_max,
                                        .future_tolerance_ms = config->model.future_tolerance_s * 1000},
                             .types = (1u << FRESHET_EVENT_TYPES) - 1};
  freshet_status status = freshet_input_open(&input, &wish, &reader, error);
  if (status != FRESHET_OK) return status;
  bool more = true;
  while (status == FRESHET_OK && more && !is_full(r)) status = step(r, reader, &more, error);
  freshet_buffer mapping = {0};
  freshet_input_mapping(reader, &mapping);
  freshet_census_note_mapping(r->intake->census, input.path, freshet_buffer_slice(&mapping));
  freshet_buffer_free(&mapping);
  reader->vtable->close(reader);
  return status;
}

static freshet_status read_inputs(reading* r, freshet_error* error) {
  const freshet_input_arguments* inputs = r->intake->inputs;
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < inputs->count && !is_full(r); i++)
    status = read_input(r, &inputs->inputs[i], error);
  return status;
}

/* Topics are those of the configured cluster. */
static freshet_status read_with_cluster(reading* r, freshet_error* error) {
  const freshet_config* config = r->intake->config;
  freshet_logger logger = freshet_cluster_logger("evaluate");
  size_t count;
  freshet_kafka_property* properties = freshet_cluster_properties(config, NULL, 0, &count);
  freshet_kafka_config kafka = {.properties = properties,
                                .property_count = count,
                                .app_id = config->app.id,
                                .client_id = "freshet-evaluate",
                                .logger = &logger};
  freshet_schemas* schemas = NULL;
  freshet_codec_config codec = {0};
  freshet_status status = freshet_schemas_open_for("evaluate", config, &schemas, error);
  if (status == FRESHET_OK) codec = freshet_schemas_codec(schemas);
  r->cluster =
      (freshet_input_cluster){.kafka = &kafka, .codec = &codec, .since_ms = INT64_MIN, .until_ms = INT64_MAX};
  if (status == FRESHET_OK) status = read_inputs(r, error);
  freshet_schemas_close(schemas);
  free(properties);
  return status;
}

freshet_status freshet_intake_read(const freshet_intake* intake, const freshet_history_rules* rules,
                                   freshet_history* history, freshet_error* error) {
  reading r = {.intake = intake, .history = history};
  uint64_t bytes;
  freshet_status status = freshet_input_rejects_open(&r.rejects, intake->errors, 0, error);
  if (status == FRESHET_OK) status = read_with_cluster(&r, error);
  if (status == FRESHET_OK) status = freshet_input_rejects_flush(&r.rejects, &bytes, error);
  freshet_input_rejects_close(&r.rejects);
  if (status == FRESHET_OK && history->event_count == 0) {
    const freshet_census_counts* counts = freshet_census_counts_of(intake->census);
    status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                               "no event to learn: %llu rows were rejected, %llu left out, %llu are items",
                               (unsigned long long)counts->rejected,
                               (unsigned long long)(counts->left_out + counts->returns),
                               (unsigned long long)counts->items);
  }
  if (status == FRESHET_OK) freshet_history_arrange(history, rules);
  return status;
}
