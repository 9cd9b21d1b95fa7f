/*
 * run.c: `freshet run`: loads the configuration, opens the HTTP port, runs the engine on this thread, and
 * reads the rules again after SIGHUP. Everything it starts is in src/app.
 */
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/budget.h"
#include "app/front.h"
#include "app/limits.h"
#include "app/notify.h"
#include "app/serve.h"
#include "app/supervisor.h"
#include "commands/commands.h"
#include "commands/manual/manual.h"
#include "commands/options.h"
#include "freshet/freshet.h"
#include "service/config_report.h"

static const char usage[] =
    "usage: freshet run -c FILE [-X SECTION.KEY=VALUE]...\n\n"
    "The service: consumes events and items, learns, publishes lists, until SIGTERM or SIGINT, then commits "
    "what\n"
    "is open and leaves. kill -9 loses nothing: what was not committed is read and learned again.\n"
    "With the brokers away it ends without after app.stop_timeout_s. SIGHUP reads [rules] again, and the "
    "log\n"
    "says which other settings have changed and need a restart; with a mistake in the file the old rules "
    "stay.\n"
    "Under systemd (Type=notify) it tells when it is ready and what it does, and that its loop turns.\n"
    "Start more processes with the same app.id to share the partitions.\n\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 stopped on request, 1 failed, 2 usage or configuration, 4 another instance took over,\n"
    "5 the state folder is in use, foreign, full or broken, or a topic is made wrong,\n"
    "6 a broker or topic is not there\n";

enum { CLOSE_TIMEOUT_MS = 5000 };

/* What reading the rules again needs. */
typedef struct reload {
  const freshet_options* options;
  const freshet_config* first; /* in force, but for its rules */
  const freshet_logger* logger;
  freshet_config* latest; /* the configuration whose rules are in force, unless it is the first */
} reload;

/* The rules of the configuration as it is now; everything else needs a restart, and the log says what. With a
 * mistake anywhere in it the old rules stay: NULL. */
static const freshet_rules* load_again(reload* again) {
  freshet_config* config = NULL;
  freshet_error error = {0};
  char changed[512];
  if (freshet_options_load(again->options, &config, &error) != FRESHET_OK) {
    freshet_log_fact(again->logger, FRESHET_ERROR, "rules.refused", "reason=\"%s\" kept=\"the old ones\"",
                     error.message);
    return NULL;
  }
  freshet_config_destroy(again->latest);
  again->latest = config;
  freshet_log_fact(again->logger, FRESHET_INFO, "rules.reloaded", "boosts=%zu pins=%zu",
                   config->rules.compiled.boost_count, config->rules.compiled.pin_count);
  if (freshet_config_changed(again->first, config, changed, sizeof changed) > 0) {
    freshet_log_fact(again->logger, FRESHET_WARN, "settings.need_restart", "changed=\"%s\"", changed);
  }
  return &config->rules.compiled;
}

/* After SIGHUP, between two turns of the loop. */
static const freshet_rules* new_rules(void* context) {
  if (!freshet_serve_reload()) return NULL;
  freshet_notify_reloading();
  const freshet_rules* rules = load_again(context);
  freshet_notify("READY=1\nSTATUS=%s", rules == NULL ? "the configuration has a mistake; the old rules stay"
                                                     : "the rules were read again");
  return rules;
}

/* One line from which a report of a fault can begin. */
static void tell_start(const freshet_config* config, const freshet_logger* logger) {
  char settings[700];
  const freshet_budget budget = freshet_budget_of_settings(config);
  const double mib = 1 << 20;
  freshet_config_own(config, settings, sizeof settings);
  freshet_log_fact(logger, FRESHET_INFO, "service.starting",
                   "version=%s app=%s memory_usual_mb=%.0f memory_most_mb=%.0f settings=\"%s\"",
                   FRESHET_VERSION, config->app.id, budget.usual / mib, budget.total / mib, settings);
  if (freshet_config_unused(environ, settings, sizeof settings) > 0)
    freshet_log_fact(logger, FRESHET_WARN, "settings.unused",
                     "variables=\"%s\" why=\"no setting has such a name\"", settings);
}

/* How the service has ended. */
typedef struct ending {
  const freshet_logger* logger;
  freshet_status status;
  const freshet_error* error;
} ending;

/* A stop that was asked for succeeds also when the brokers are away: nothing is lost. */
static bool is_requested(const ending* end) {
  bool is_outage =
      end->status == FRESHET_UNAVAILABLE || end->status == FRESHET_TIMEOUT || end->status == FRESHET_ABORTED;
  return end->status == FRESHET_OK || (freshet_serve_stopping(NULL) && is_outage);
}

static void tell_end(void* context) {
  const ending* end = context;
  if (end->status == FRESHET_OK) {
    freshet_log_fact(end->logger, FRESHET_INFO, "service.stopped", "why=requested");
  } else if (is_requested(end)) {
    freshet_log_fact(end->logger, FRESHET_WARN, "service.stopped",
                     "why=requested open=\"%s; what was not committed is read and learned again\"",
                     end->error->message);
  } else {
    freshet_log_fact(end->logger, FRESHET_ERROR, "service.failed", "status=%s message=\"%s\"",
                     freshet_status_name(end->status), end->error->message);
  }
}

static int serve(const freshet_config* config, const freshet_options* options, const freshet_logger* logger) {
  freshet_error failure = {0}, *error = &failure;
  reload again = {options, config, logger, NULL};
  freshet_worker_metrics* metrics = calloc(1, sizeof *metrics);
  FRESHET_ASSERT(metrics != NULL);
  freshet_front front = {0};
  freshet_front_config shown = {.config = config, .metrics = metrics, .logger = logger};
  shown.pages = freshet_manual_routes(&shown.page_count);
  freshet_engine* engine = NULL;
  freshet_supervisor* supervisor = freshet_supervisor_create(
      &(freshet_supervisor_config){.metrics = metrics,
                                   .logger = logger,
                                   .stopping = freshet_serve_stopping,
                                   .stop_timeout_ms = config->app.stop_timeout_s * 1000,
                                   .close_timeout_ms = CLOSE_TIMEOUT_MS});
  freshet_status status = freshet_files_check(logger, error);
  if (status == FRESHET_OK) status = freshet_front_open(&front, &shown, error);
  const freshet_engine_config wanted = {.config = config,
                                        .logger = logger,
                                        .metrics = metrics,
                                        .inbox = front.inbox,
                                        .stopping = freshet_serve_stopping,
                                        .new_rules = new_rules,
                                        .new_rules_context = &again};
  if (status == FRESHET_OK) status = freshet_engine_create(&wanted, &engine, error);
  if (status == FRESHET_OK) {
    freshet_front_attach(&front, engine);
    status = freshet_engine_run(engine, error);
  }
  ending end = {logger, status, error};
  const int code = is_requested(&end) ? FRESHET_EXIT_OK : freshet_command_exit_code(error);
  freshet_gauge(&metrics->ready, 0);
  freshet_supervisor_close(supervisor, tell_end, &end, code);
  freshet_front_attach(&front, NULL);
  freshet_engine_destroy(engine);
  freshet_front_close(&front);
  freshet_supervisor_destroy(supervisor);
  freshet_config_destroy(again.latest);
  free(metrics);
  tell_end(&end);
  return code;
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
  freshet_log_writer writer;
  freshet_logger logger = freshet_serve_logger(config, &writer);
  freshet_serve_catch_signals();
  tell_start(config, &logger);
  const int code = serve(config, &options, &logger);
  freshet_config_destroy(config);
  return code;
}

const freshet_command freshet_command_run = {
    .name = "run",
    .summary = "the service: events in, fresh lists out",
    .usage = usage,
    .run = run,
    .has_model = true,
};
