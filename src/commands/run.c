#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands/commands.h"
#include "commands/engine.h"
#include "commands/options.h"
#include "commands/serve.h"

static const char usage[] =
    "usage: freshet run -c FILE [-X SECTION.KEY=VALUE]...\n\n"
    "The service: consumes events and items, learns, publishes lists, until SIGTERM or SIGINT, then commits "
    "what\n"
    "is open and leaves. kill -9 loses nothing: what was not committed is read and learned again.\n"
    "Start more processes with the same app.id to share the partitions.\n\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 stopped on request, 1 failed, 2 usage or configuration, 4 another instance took over,\n"
    "5 the state folder is in use, foreign, full or broken, 6 a broker or topic is not there\n";

static void write_line(void* context, freshet_log_level level, const char* event, const char* fields) {
  static const char* const names[] = {"debug", "info", "warn", "error"};
  (void)context;
  if (level >= FRESHET_INFO) fprintf(stderr, "level=%s event=%s %s\n", names[level], event, fields);
}

static int run(int argc, char** argv) {
  freshet_options options = {0};
  int option;
  while ((option = getopt(argc, argv, FRESHET_OPTIONS_SHORT)) != -1) {
    if (!freshet_options_take(&options, option, optarg)) return FRESHET_EXIT_USAGE;
  }
  freshet_error error = {0};
  freshet_config* config = NULL;
  if (freshet_options_load(&options, &config, &error) != FRESHET_OK) {
    freshet_command_failed("run", &error);
    return FRESHET_EXIT_USAGE;
  }
  freshet_logger logger = {write_line, NULL};
  freshet_worker_metrics* metrics = calloc(1, sizeof *metrics);
  FRESHET_ASSERT(metrics != NULL);
  freshet_serve_catch_signals();
  freshet_engine* engine = NULL;
  freshet_engine_config engine_config = {
      .config = config, .logger = &logger, .metrics = metrics, .stopping = freshet_serve_stopping};
  freshet_status status = freshet_engine_create(&engine_config, &engine, &error);
  if (status == FRESHET_OK) status = freshet_engine_run(engine, &error);
  freshet_engine_destroy(engine);
  free(metrics);
  freshet_config_destroy(config);
  return status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("run", &error);
}

const freshet_command freshet_command_run = {
    .name = "run",
    .summary = "the service: events in, fresh lists out",
    .usage = usage,
    .run = run,
};
