/*
 * export.c: `freshet export`: the state of an application as files, while it runs. It owns the folder until that is
 * whole, and takes away what it cannot finish. It must not write to the cluster.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/options.h"
#include "commands/transfer/export_files.h"

enum { PATH_SIZE = 4096 };

static const char usage[] =
    "usage: freshet export -c FILE --to FOLDER [-X SECTION.KEY=VALUE]...\n\n"
    "Writes the whole state of an app to a new folder: users, items, text vectors, the model, dedup windows "
    "and\n"
    "positions, as Avro container files with checksums. The service may go on meanwhile. The state is that "
    "of\n"
    "one moment between two of its commits. `freshet import` reads the folder.\n\n" FRESHET_OPTIONS_USAGE
    "  --to FOLDER           where to; it must not exist\n"
    "\nexit codes: 0 done, 1 refused (the message says why), 2 usage, 5 the folder cannot be written,\n"
    "6 the cluster does not answer or a topic is not there\n";

typedef struct arguments {
  freshet_options common;
  const char* folder;
} arguments;

static bool parse(int argc, char** argv, arguments* a) {
  static const struct option longs[] = {{"to", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(&a->common, option, optarg)) continue;
    if (option != 'o') return false;
    a->folder = optarg;
  }
  if (a->folder != NULL && a->folder[0] != '\0' && optind == argc) return true;
  fprintf(stderr, optind < argc ? "freshet export: what is '%s'?\n" : "freshet export: --to is needed%s\n",
          optind < argc ? argv[optind] : "");
  return false;
}

/* A folder of files, and of one folder of files. */
static void remove_folder(const char* path) {
  DIR* folder = opendir(path);
  for (const struct dirent* entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
    char inner[PATH_SIZE];
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
    if (unlink(inner) != 0) remove_folder(inner);
  }
  if (folder != NULL) closedir(folder);
  rmdir(path);
}

static freshet_status cannot(const char* what, const char* path, freshet_error* error) {
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "cannot %s %s: %s", what, path, strerror(errno));
}

static void fill_manifest(freshet_manifest* manifest, const freshet_export_state* state,
                          const freshet_config* config) {
  snprintf(manifest->app, sizeof manifest->app, "%s", config->app.id);
  snprintf(manifest->cluster, sizeof manifest->cluster, "%s", state->cluster);
  snprintf(manifest->events, sizeof manifest->events, "%s", config->topics.names[FRESHET_TOPIC_EVENTS]);
  manifest->made_at_ms = freshet_clock_now_ms(freshet_clock_system());
  manifest->partitions = state->partitions;
  manifest->dim = config->model.dim;
  manifest->seed = config->model.seed;
}

/* Into `folder`, with a store for what is gathered beside the files. */
static freshet_status write_export(const freshet_config* config, const char* folder, freshet_error* error) {
  char store[PATH_SIZE + 32];
  freshet_export_state* state = NULL;
  freshet_manifest manifest = {0};
  snprintf(store, sizeof store, "%s/work", folder);
  freshet_status status = freshet_export_state_open(config, store, &state, error);
  if (status == FRESHET_OK) {
    fill_manifest(&manifest, state, config);
    status = freshet_export_files_write(state, folder, &manifest, error);
  }
  freshet_export_state_close(state);
  remove_folder(store);
  if (status == FRESHET_OK) status = freshet_manifest_write(&manifest, folder, error);
  if (status == FRESHET_OK) freshet_manifest_print(&manifest);
  freshet_manifest_free(&manifest);
  return status;
}

static freshet_status export_to(const freshet_config* config, const char* folder, freshet_error* error) {
  char path[PATH_SIZE], incoming[PATH_SIZE + 16];
  size_t size = strlen(folder);
  while (size > 1 && folder[size - 1] == '/') size--;
  snprintf(path, sizeof path, "%.*s", (int)size, folder);
  snprintf(incoming, sizeof incoming, "%s.incoming", path);
  if (access(path, F_OK) == 0)
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "%s exists: name a folder that does not, an export is never written over another", path);
  if (mkdir(incoming, 0700) != 0 && errno == EEXIST)
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "%s exists: another export is being written there, or one was interrupted; remove "
        "it",
        incoming);
  if (access(incoming, W_OK) != 0) return cannot("make", incoming, error);
  freshet_status status = write_export(config, incoming, error);
  if (status == FRESHET_OK && rename(incoming, path) != 0) status = cannot("make", path, error);
  if (status != FRESHET_OK) remove_folder(incoming);
  return status;
}

static int run(int argc, char** argv) {
  arguments a = {0};
  freshet_error error = {0};
  freshet_config* config = NULL;
  if (!parse(argc, argv, &a)) return FRESHET_EXIT_USAGE;
  if (freshet_options_load(&a.common, &config, &error) != FRESHET_OK) {
    freshet_command_failed("export", &error);
    return FRESHET_EXIT_USAGE;
  }
  freshet_status status = export_to(config, a.folder, &error);
  freshet_config_destroy(config);
  return status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("export", &error);
}

const freshet_command freshet_command_export = {
    .name = "export",
    .summary = "write the whole state of an app to files, while it runs",
    .usage = usage,
    .run = run,
};
