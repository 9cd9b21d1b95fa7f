/*
 * import.c: `freshet import`: an export becomes the state of an application that has none. It says what it will do, and
 * does all of it or nothing. What it must not know is how topics are written (import_target.h).
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/options.h"
#include "commands/transfer/import_target.h"

static const char usage[] =
    "usage: freshet import -c FILE --from FOLDER [OPTION...]\n\n"
    "Gives an app that has no state the state that `freshet export` has written: users, items, text "
    "vectors,\n"
    "the model, dedup windows and positions. All of it is written in one transaction. The app must be "
    "stopped,\n"
    "and its topics must be there, with as many partitions as the export has.\n\n" FRESHET_OPTIONS_USAGE
    "  --from FOLDER         the export\n"
    "  --positions WHERE     where the app goes on reading: exported (where the export stood; the default, "
    "if the\n"
    "                        cluster and the topic of events are those of the export), latest or earliest\n"
    "  --publish-lists       let `freshet run` publish a list of every user, for readers that have none\n"
    "  --dry-run             check the files and the app, print the counts, change nothing\n"
    "\nexit codes: 0 done, 1 refused (the message says why), 2 usage, 5 the app is running, has state or "
    "other\n"
    "counts of partitions, 6 the cluster does not answer or a topic is not there\n";

typedef struct arguments {
  freshet_options common;
  const char* folder;
  freshet_import_start start;
  bool publishes, dry_run;
} arguments;

static bool take_start(arguments* a, const char* where) {
  static const char* const names[] = {"", "exported", "earliest", "latest"};
  for (int i = FRESHET_IMPORT_EXPORTED; i <= FRESHET_IMPORT_LATEST; i++) {
    if (strcmp(where, names[i]) == 0) a->start = (freshet_import_start)i;
  }
  if (a->start != FRESHET_IMPORT_UNSAID) return true;
  fprintf(stderr, "freshet import: --positions %s: it is exported, latest or earliest\n", where);
  return false;
}

static bool parse(int argc, char** argv, arguments* a) {
  static const struct option longs[] = {{"from", required_argument, NULL, 'f'},
                                        {"positions", required_argument, NULL, 'p'},
                                        {"publish-lists", no_argument, NULL, 'l'},
                                        {"dry-run", no_argument, NULL, 'd'},
                                        {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(&a->common, option, optarg)) continue;
    if (option == '?' || (option == 'p' && !take_start(a, optarg))) return false;
    if (option == 'f') a->folder = optarg;
    if (option == 'l') a->publishes = true;
    if (option == 'd') a->dry_run = true;
  }
  if (a->folder != NULL && a->folder[0] != '\0' && optind == argc) return true;
  fprintf(stderr, optind < argc ? "freshet import: what is '%s'?\n" : "freshet import: --from is needed%s\n",
          optind < argc ? argv[optind] : "");
  return false;
}

static const char* start_text(freshet_import_start start) {
  switch (start) {
    case FRESHET_IMPORT_EARLIEST:
      return "it learns `events` from the beginning, but for what is in the dedup windows";
    case FRESHET_IMPORT_LATEST:
      return "it goes on with events that come from now on";
    default:
      return "it goes on with the first event that the export has not learned";
  }
}

static void print_plan(const arguments* a, const freshet_manifest* manifest, const freshet_config* config,
                       bool sends_items) {
  printf("export of %s, to be the state of %s:\n", manifest->app, config->app.id);
  freshet_manifest_print(manifest);
  printf("%s\n", start_text(a->start));
  if (!sends_items)
    printf("topic %s has records: items are taken from there, not from the export\n",
           config->topics.names[FRESHET_TOPIC_ITEMS]);
}

static freshet_status import_state(arguments* a, const freshet_config* config, freshet_error* error) {
  freshet_manifest manifest = {0};
  freshet_import_target* target = NULL;
  freshet_status status = freshet_manifest_read(&manifest, a->folder, error);
  if (status == FRESHET_OK) status = freshet_import_target_open(config, &manifest, &a->start, &target, error);
  if (status == FRESHET_OK) {
    const freshet_import_files files = {.config = config,
                                        .manifest = &manifest,
                                        .folder = a->folder,
                                        .forgets_versions = a->start != FRESHET_IMPORT_EXPORTED,
                                        .publishes = a->publishes,
                                        .sends_items = freshet_import_target_wants_items(target),
                                        .item_shares = freshet_import_target_item_shares(target)};
    status = freshet_import_files_check(&files, freshet_import_target_note, target, error);
    if (status == FRESHET_OK) status = freshet_import_target_check(target, error);
    if (status == FRESHET_OK) print_plan(a, &manifest, config, files.sends_items);
    if (status == FRESHET_OK && !a->dry_run) status = freshet_import_target_take(target, &files, error);
    if (status == FRESHET_OK)
      printf(a->dry_run ? "dry run: nothing was changed\n"
                        : "imported: start it with `freshet run`, on an empty state folder\n");
  }
  freshet_import_target_close(target);
  freshet_manifest_free(&manifest);
  return status;
}

static int run(int argc, char** argv) {
  arguments a = {0};
  freshet_error error = {0};
  freshet_config* config = NULL;
  if (!parse(argc, argv, &a)) return FRESHET_EXIT_USAGE;
  if (freshet_options_load(&a.common, &config, &error) != FRESHET_OK) {
    freshet_command_failed("import", &error);
    return FRESHET_EXIT_USAGE;
  }
  freshet_status status = import_state(&a, config, &error);
  freshet_config_destroy(config);
  return status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("import", &error);
}

const freshet_command freshet_command_import = {
    .name = "import",
    .summary = "give an app without state the state that an export holds",
    .usage = usage,
    .run = run,
};
