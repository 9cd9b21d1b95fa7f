/*
 * replay.c: `freshet replay`: publishes history from files and topics. Begins and ends a replay: the clusters, the
 * checkpoint, the summary. The way of the records is in replay_loop.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cluster.h"
#include "app/schemas.h"
#include "commands/commands.h"
#include "commands/input/input_dataset.h"
#include "commands/replay/replay_loop.h"
#include "stream/clock.h"

enum { US_PER_S = 1000 * 1000 };

static void on_signal(int number) {
  (void)number;
  freshet_replay_stop_asked = 1;
}

static bool stopping(void* context) {
  (void)context;
  return freshet_replay_stop_asked != 0;
}

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND}; /* a second one kills */
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

static int64_t now_us(void) {
  return freshet_clock_monotonic_us(freshet_clock_system());
}

/* ---- beginning and end ---- */

static freshet_status load_checkpoint(freshet_replay* r, freshet_error* error) {
  const freshet_replay_arguments* a = r->arguments;
  uint64_t hash = freshet_replay_arguments_hash(a);
  r->done.arguments = hash;
  if (a->resume == NULL || a->dry_run) return FRESHET_OK;
  freshet_error why = {0};
  freshet_status status = freshet_replay_checkpoint_read(a->resume, &r->done, &why);
  bool is_other = status == FRESHET_OK && r->done.arguments != hash;
  r->done.arguments = hash;
  if (status == FRESHET_NOT_FOUND) return FRESHET_OK;
  if (status != FRESHET_OK) return freshet_error_set(error, status, why.verdict, "%s", why.message);
  if (is_other) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "checkpoint %s is of a replay with other files or options", a->resume);
  }
  freshet_census_counts* counts = freshet_census_counts_of(r->census);
  counts->events = r->done.events;
  counts->items = r->done.items;
  counts->rejected = r->done.rejected;
  if (r->done.input >= a->inputs.count) {
    fprintf(stderr,
            "%s: this replay is finished: all of its inputs were published; remove the file to publish them "
            "again\n",
            a->resume);
    return FRESHET_OK;
  }
  fprintf(stderr, "resuming after %" PRIu64 " events and %" PRIu64 " items\n", r->done.events, r->done.items);
  return FRESHET_OK;
}

/* What was published after the checkpoint, by a process that did not come to the next one. */
static freshet_status recall(freshet_replay* r, freshet_error* error) {
  if (r->output == NULL || r->done.mark == NULL) return FRESHET_OK;
  bool whole;
  freshet_status status = freshet_replay_output_recall(r->output, r->done.mark, &whole, error);
  if (status == FRESHET_OK && !whole) {
    fprintf(stderr,
            "so much has been written to the topic since the checkpoint that some of the events after it "
            "may be sent again, under the same ids\n");
  }
  return status;
}

static void print_json(const freshet_replay* r) {
  json_t* object = freshet_census_json(r->census);
  json_object_set_new(object, "published", json_boolean(!r->arguments->dry_run));
  json_dumpf(object, stdout, JSON_INDENT(2));
  printf("\n");
  json_decref(object);
}

static void print_result(const freshet_replay* r) {
  double seconds = (double)(now_us() - r->start_us) / US_PER_S;
  if (r->arguments->json) {
    print_json(r);
    return;
  }
  printf("%s\n", r->arguments->dry_run ? "dry run: nothing was published" : "published");
  freshet_census_print(r->census);
  printf("  in %.2f s, %.0f records/s\n", seconds, (double)r->records / seconds);
  freshet_census_print_more(r->census);
}

static int finish(freshet_replay* r, freshet_status status, const freshet_error* error) {
  int code = status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("replay", error);
  if (r->start_us != 0) print_result(r);
  if (status != FRESHET_OK) return code;
  if (freshet_replay_stop_asked) {
    fprintf(stderr, "freshet replay: interrupted%s%s\n",
            r->arguments->resume == NULL ? "" : "; go on with the same --resume ",
            r->arguments->resume == NULL ? "" : r->arguments->resume);
    return FRESHET_EXIT_FAILED;
  }
  return freshet_census_counts_of(r->census)->rejected > 0 ? FRESHET_EXIT_REJECTS : FRESHET_EXIT_OK;
}

/* ---- the clusters ---- */

/* A topic of events that is replayed into itself would only be read a second time. */
static freshet_status check_sources(const freshet_replay* r, freshet_error* error) {
  const freshet_replay_arguments* a = r->arguments;
  for (size_t i = 0; i < a->inputs.count; i++) {
    const char* path = a->inputs.inputs[i].path;
    const char* topic = path + strlen(FRESHET_INPUT_KAFKA);
    bool is_target =
        freshet_input_is_topic(path) && (strcmp(topic, r->config->topics.names[FRESHET_TOPIC_EVENTS]) == 0 ||
                                         strcmp(topic, r->config->topics.names[FRESHET_TOPIC_ITEMS]) == 0);
    if (!is_target || a->source_count > 0 || a->dry_run) continue;
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s is the topic that replay writes to: read it anew with `freshet offsets` or "
                             "`freshet backfill`, or name another cluster with --source",
                             path);
  }
  return FRESHET_OK;
}

static freshet_status replay_with_codec(freshet_replay* r, const freshet_codec_config* codec,
                                        freshet_error* error) {
  const freshet_replay_arguments* a = r->arguments;
  freshet_logger logger = freshet_cluster_logger("replay");
  freshet_kafka_property* properties = NULL;
  size_t count = a->source_count;
  if (count == 0) properties = freshet_cluster_properties(r->config, NULL, 0, &count);
  freshet_kafka_config kafka = {.properties = a->source_count > 0 ? a->source : properties,
                                .property_count = count,
                                .app_id = r->config->app.id,
                                .client_id = "freshet-replay",
                                .logger = &logger,
                                .stopping = stopping};
  freshet_input_cluster cluster = {
      .kafka = &kafka, .codec = codec, .since_ms = a->since_ms, .until_ms = a->until_ms};
  freshet_replay_output_config output = {
      .config = r->config, .codec = codec, .stopping = stopping, .accepts_loss = a->accepts_loss};
  r->cluster = &cluster;
  freshet_status status = check_sources(r, error);
  if (status == FRESHET_OK && !a->dry_run) status = freshet_replay_output_open(&output, &r->output, error);
  if (status == FRESHET_OK) status = recall(r, error);
  if (status == FRESHET_OK) status = freshet_replay_all(r, error);
  freshet_replay_output_close(r->output);
  free(properties);
  return status;
}

static int run_with(const freshet_replay_arguments* a, const freshet_config* config) {
  freshet_replay r = {.arguments = a, .config = config, .census = freshet_census_create()};
  r.limits = (freshet_event_limits){.rating_min = (float)config->model.rating_min,
                                    .rating_max = (float)config->model.rating_max,
                                    .future_tolerance_ms = config->model.future_tolerance_s * 1000};
  catch_signals();
  freshet_error error = {0};
  freshet_schemas* schemas = NULL;
  freshet_codec_config codec = {0};
  freshet_status status = load_checkpoint(&r, &error);
  if (status == FRESHET_OK) status = freshet_schemas_open_for("replay", config, &schemas, &error);
  if (status == FRESHET_OK) codec = freshet_schemas_codec(schemas);
  if (status == FRESHET_OK) {
    status = freshet_input_rejects_open(&r.rejects, a->errors, r.done.errors_bytes, &error);
  }
  if (status == FRESHET_OK) status = replay_with_codec(&r, &codec, &error);
  int code = finish(&r, status, &error);
  freshet_input_rejects_close(&r.rejects);
  freshet_schemas_close(schemas);
  freshet_replay_checkpoint_free(&r.done);
  freshet_census_destroy(r.census);
  return code;
}

static int run(int argc, char** argv) {
  freshet_replay_arguments a;
  freshet_error error = {0};
  freshet_config* config = NULL;
  int code = FRESHET_EXIT_USAGE;
  if (freshet_replay_arguments_parse(argc, argv, &a)) {
    if (a.formats) {
      fputs(freshet_dataset_table, stdout);
      code = FRESHET_EXIT_OK;
    } else if (freshet_options_load(&a.common, &config, &error) == FRESHET_OK) {
      code = run_with(&a, config);
    } else {
      freshet_command_failed("replay", &error);
    }
  }
  freshet_config_destroy(config);
  freshet_replay_arguments_free(&a);
  return code;
}

const freshet_command freshet_command_replay = {
    .name = "replay",
    .summary = "publish history from files and topics to the topics of events and items",
    .usage = freshet_replay_usage,
    .run = run,
};
