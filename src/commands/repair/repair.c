/*
 * repair.c: `freshet repair`: lists the records of the state topics that cannot be used, and takes them out of use.
 *
 * It reads the command line, opens what the other files of this folder share, and prints. It must not know how a record
 * is judged.
 */
#include "commands/repair/repair.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "app/cluster.h"
#include "app/engine.h"
#include "commands/commands.h"
#include "commands/options.h"
#include "commands/stopped.h"

static const char usage[] =
    "usage: freshet repair [-c FILE] [--execute] [--file FILE] [--strangers] [-X SECTION.KEY=VALUE]...\n\n"
    "Reads the topics of state (users, item states, item deltas, facts about generations) from beginning to "
    "end,\n"
    "and lists every record that cannot be used: its place, the reason, and what is lost by it. Without "
    "--execute\n"
    "it changes nothing, and the app may run.\n\n"
    "  --execute             take these records out of use, while the app is stopped: their bytes go to a "
    "file and\n"
    "                        to the dead letters, the last good record of a key is written again, and no "
    "process\n"
    "                        reads them any more. From then on, only records of this app count\n"
    "  --file FILE           for the bytes, one JSON object a line (default: quarantine-APP-TIME.jsonl "
    "here)\n"
    "  --strangers           also records without a seal that can be read, and come after some with one. "
    "Only where\n"
    "                        no process of an earlier version has run since\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 nothing was found, or --execute has done it, 1 refused (the message says why), 2 "
    "usage,\n"
    "5 such records were found, or the app is running, 6 the cluster does not answer or a topic is not "
    "there\n";

enum { PATH_SIZE = 1024 };

typedef struct arguments {
  freshet_options common;
  const char* file; /* NULL: not given */
  bool execute, strangers;
} arguments;

static bool parse(int argc, char** argv, arguments* parsed) {
  enum { EXECUTE = 256, FILE_NAME, STRANGERS };
  static const struct option longs[] = {{"execute", no_argument, NULL, EXECUTE},
                                        {"file", required_argument, NULL, FILE_NAME},
                                        {"strangers", no_argument, NULL, STRANGERS},
                                        {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(&parsed->common, option, optarg)) continue;
    if (option == EXECUTE) {
      parsed->execute = true;
    } else if (option == STRANGERS) {
      parsed->strangers = true;
    } else if (option == FILE_NAME) {
      parsed->file = optarg;
    } else {
      return false;
    }
  }
  if (optind == argc) return true;
  fprintf(stderr, "freshet repair: unknown argument '%s'\n", argv[optind]);
  return false;
}

/* ---- opening ---- */

static freshet_status open_all(freshet_repair* repair, freshet_error* error) {
  const freshet_stream_config worker = freshet_engine_worker_config(repair->config);
  freshet_status status = freshet_codec_create(&(freshet_codec_config){0}, &repair->codec, error);
  if (status == FRESHET_OK) status = freshet_model_create(&worker.model, &repair->model, error);
  if (status == FRESHET_OK) status = freshet_seal_facts_read(&repair->kafka, &repair->facts, error);
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&repair->kafka, &repair->reader, error);
  return status;
}

static void close_all(freshet_repair* repair) {
  for (size_t i = 0; i < repair->bad_count; i++) {
    freshet_buffer_free(&repair->bad[i].key);
    freshet_buffer_free(&repair->bad[i].value);
    freshet_buffer_free(&repair->bad[i].headers);
    freshet_buffer_free(&repair->bad[i].good.value);
  }
  free(repair->bad);
  free(repair->logs);
  freshet_reader_destroy(repair->reader);
  freshet_seal_facts_destroy(repair->facts);
  freshet_serving_reset(&repair->serving);
  freshet_model_destroy(repair->model);
  freshet_codec_destroy(repair->codec);
}

/* ---- printing ---- */

static void print_found(const freshet_repair* repair) {
  for (size_t i = 0; i < repair->bad_count; i++) {
    const freshet_bad_record* bad = &repair->bad[i];
    printf("%s [%d] offset %" PRId64 ": %s\n    lost: %s\n", repair->kafka.topics[bad->topic],
           (int)bad->partition, bad->offset, bad->reason, bad->lost);
  }
  printf("%zu records cannot be used%s\n", repair->bad_count,
         repair->is_full ? "; there may be more: do it again afterwards" : "");
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    const freshet_later_records* later = &repair->later[topic];
    if (later->count == 0) continue;
    printf(
        "%zu records of topic %s were written by a later version of Freshet, the first in partition %d at "
        "offset %" PRId64 ". They stay in use; this version cannot read them: update it\n",
        later->count, repair->kafka.topics[topic], (int)later->partition, later->offset);
  }
  if (repair->settled > 0) printf("%zu were taken out of use before\n", repair->settled);
  if (repair->suspects > 0)
    printf(
        "%zu have no seal, though earlier ones of their partition do: a process of an earlier version has "
        "written "
        "them, or a stranger. They count, and --strangers takes them out of use\n",
        repair->suspects);
}

static size_t unsealed_logs(const freshet_repair* repair) {
  size_t count = 0;
  for (size_t i = 0; i < repair->log_count; i++) count += repair->logs[i].fact.sealed == INT64_MAX;
  return count;
}

static void choose_path(const arguments* parsed, const freshet_config* config, char path[PATH_SIZE]) {
  time_t now = time(NULL);
  struct tm utc;
  char at[32];
  strftime(at, sizeof at, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
  if (parsed->file != NULL)
    snprintf(path, PATH_SIZE, "%s", parsed->file);
  else
    snprintf(path, PATH_SIZE, "quarantine-%s-%s.jsonl", config->app.id, at);
}

static freshet_status carry_out(freshet_repair* repair, const arguments* parsed, freshet_error* error) {
  char path[PATH_SIZE];
  choose_path(parsed, repair->config, path);
  freshet_status status = FRESHET_OK;
  if (repair->bad_count > 0) status = freshet_repair_write_file(repair, path, error);
  /* Again: the scan may have taken long, and rows that were good then must not replace newer ones. */
  if (status == FRESHET_OK) status = freshet_await_stopped(&repair->kafka, repair->kafka.app_id, error);
  if (status == FRESHET_OK && (repair->bad_count > 0 || unsealed_logs(repair) > 0))
    status = freshet_repair_write_topics(repair, error);
  if (status != FRESHET_OK) return status;
  if (repair->bad_count > 0)
    printf("taken out of use; their bytes are in %s and in topic %s\n", path,
           repair->kafka.topics[FRESHET_TOPIC_DEAD_LETTERS]);
  if (unsealed_logs(repair) > 0 && !repair->is_full)
    printf("from now on, a record of state counts only if this app has sealed it\n");
  return FRESHET_OK;
}

static freshet_status repair_app(freshet_repair* repair, const arguments* parsed, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (parsed->execute) status = freshet_await_stopped(&repair->kafka, repair->kafka.app_id, error);
  if (status == FRESHET_OK) status = open_all(repair, error);
  if (status == FRESHET_OK) status = freshet_repair_scan(repair, error);
  if (status == FRESHET_OK) status = freshet_repair_tell_losses(repair, error);
  if (status != FRESHET_OK) return status;
  print_found(repair);
  if (parsed->execute) return carry_out(repair, parsed, error);
  if (unsealed_logs(repair) > 0)
    printf(
        "in %zu partitions, records without a seal count, as an earlier version wrote them; --execute ends "
        "that\n",
        unsealed_logs(repair));
  printf("dry run: nothing was changed; --execute does it\n");
  return FRESHET_OK;
}

static int run_with(const arguments* parsed, const freshet_config* config) {
  size_t count;
  freshet_error error = {0};
  freshet_logger logger = freshet_cluster_logger("repair");
  freshet_kafka_property* properties = freshet_cluster_properties(config, NULL, 0, &count);
  freshet_repair repair = {.config = config,
                           .takes_suspects = parsed->strangers,
                           .kafka = {.properties = properties,
                                     .property_count = count,
                                     .app_id = config->app.id,
                                     .reads_strangers = true,
                                     .logger = &logger},
                           .serving = {.own = config->app.id, .base = config->app.base}};
  memcpy(repair.kafka.topics, config->topics.names, sizeof repair.kafka.topics);
  freshet_status status = repair_app(&repair, parsed, &error);
  int code = FRESHET_EXIT_OK;
  if (status != FRESHET_OK) code = freshet_command_failed("repair", &error);
  if (status == FRESHET_OK && repair.bad_count > 0 && !parsed->execute) code = FRESHET_EXIT_STATE;
  close_all(&repair);
  free(properties);
  return code;
}

static int run(int argc, char** argv) {
  arguments parsed = {0};
  freshet_error error = {0};
  freshet_config* config = NULL;
  int code = FRESHET_EXIT_USAGE;
  if (!parse(argc, argv, &parsed)) return code;
  if (freshet_options_load(&parsed.common, &config, &error) == FRESHET_OK)
    code = run_with(&parsed, config);
  else
    freshet_command_failed("repair", &error);
  freshet_config_destroy(config);
  return code;
}

const freshet_command freshet_command_repair = {
    .name = "repair",
    .summary = "list the records of state that cannot be used, and take them out of use",
    .usage = usage,
    .run = run,
};
