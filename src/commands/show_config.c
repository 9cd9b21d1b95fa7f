/*
 * show_config.c: `freshet config`: prints the settings in force with the origin of each, the defaults as a
 * file, or the reference table, and the memory budget. It opens nothing but the configuration.
 */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "app/budget.h"
#include "commands/commands.h"
#include "commands/options.h"
#include "service/config_report.h"

static const char usage[] =
    "usage: freshet config [-c FILE] [-X SECTION.KEY=VALUE]...\n"
    "       freshet config --defaults | --table\n\n"
    "Checks the configuration and prints the effective values, each with where it came from (default, file "
    "and\n"
    "line, environment, command line), as an INI file that can be read back; secrets are masked. The memory "
    "budget\n"
    "follows as comments.\n\n" FRESHET_OPTIONS_USAGE
    "  --defaults            print a template: every key, documented, with its default\n"
    "  --table               print the same as a Markdown table\n\n"
    "FRESHET_SECTION_KEY in the environment (dots become underscores) overrides the file, -X overrides "
    "both.\n"
    "Every key of [kafka] is handed to librdkafka unchanged.\n\n"
    "exit codes: 0 the configuration is right, 2 it is not\n";

static int run(int argc, char** argv) {
  enum { DEFAULTS = 256, TABLE };
  static const struct option longs[] = {
      {"defaults", no_argument, NULL, DEFAULTS}, {"table", no_argument, NULL, TABLE}, {NULL, 0, NULL, 0}};
  freshet_options options = {0};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(&options, option, optarg)) continue;
    if (option == '?') return FRESHET_EXIT_USAGE;
    if (option == DEFAULTS) freshet_config_print_defaults(stdout);
    if (option == TABLE) freshet_config_print_table(stdout);
    return FRESHET_EXIT_OK;
  }
  if (optind < argc) {
    fprintf(stderr, "freshet config: takes no argument '%s'\n", argv[optind]);
    return FRESHET_EXIT_USAGE;
  }
  freshet_error error = {0};
  freshet_config* config = NULL;
  if (freshet_options_load(&options, &config, &error) != FRESHET_OK) {
    freshet_command_failed("config", &error);
    return FRESHET_EXIT_USAGE;
  }
  freshet_config_print(config, stdout);
  freshet_budget_print(config, stdout);
  char unused[1024];
  if (freshet_config_unused(environ, unused, sizeof unused) > 0)
    fprintf(stderr, "freshet config: no setting has the name of these variables: %s\n", unused);
  freshet_config_destroy(config);
  return FRESHET_EXIT_OK;
}

const freshet_command freshet_command_config = {
    .name = "config",
    .summary = "check the configuration and print the effective values",
    .usage = usage,
    .run = run,
};
