/*
 * doctor.c: `freshet doctor` tries everything that a run needs, step by step, and says what to do where a step fails. It
 * changes nothing: no topic, no group, no state.
 */
#include "commands/doctor/doctor.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include "commands/commands.h"
#include "commands/options.h"

static const char usage[] =
    "usage: freshet doctor -c FILE [-X SECTION.KEY=VALUE]...\n\n"
    "Tries what a run needs, step by step: names, TCP, TLS and login of the brokers, the group, topics and "
    "their\n"
    "policies, the state folder, memory, open files, encoder, schema registry, HTTP port. Each line says ok, "
    "or\n"
    "what to do. It changes nothing, and takes some seconds.\n\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 a run can start (there may be warnings), 1 it cannot, 2 usage or configuration\n";

void freshet_doctor_tell(freshet_doctor* doctor, freshet_finding finding, const char* step,
                         const char* format, ...) {
  static const char* const words[] = {"ok", "WARN", "FAULT", "skip"};
  va_list arguments;
  va_start(arguments, format);
  printf("%-6s %-14s ", words[finding], step);
  vprintf(format, arguments);
  printf("\n");
  fflush(stdout);
  va_end(arguments);
  doctor->counts[finding]++;
}

static int run(int argc, char** argv) {
  freshet_options options = {0};
  freshet_error error = {0};
  freshet_config* config = NULL;
  int option;
  while ((option = getopt(argc, argv, FRESHET_OPTIONS_SHORT)) != -1) {
    if (!freshet_options_take(&options, option, optarg)) return FRESHET_EXIT_USAGE;
  }
  if (freshet_options_load(&options, &config, &error) != FRESHET_OK) {
    freshet_command_failed("doctor", &error);
    return FRESHET_EXIT_USAGE;
  }
  freshet_doctor doctor = {.config = config};
  freshet_doctor_tell(&doctor, FRESHET_FINDING_OK, "settings", "app %s, %s", config->app.id,
                      options.file == NULL ? "no file" : options.file);
  freshet_doctor_cluster(&doctor);
  freshet_doctor_machine(&doctor);
  freshet_doctor_services(&doctor);
  unsigned faults = doctor.counts[FRESHET_FINDING_FAULT], warnings = doctor.counts[FRESHET_FINDING_WARNING];
  printf("%s: %u faults, %u warnings\n", faults == 0 ? "a run can start" : "a run cannot start", faults,
         warnings);
  freshet_config_destroy(config);
  return faults == 0 ? FRESHET_EXIT_OK : FRESHET_EXIT_FAILED;
}

const freshet_command freshet_command_doctor = {
    .name = "doctor",
    .summary = "try what a run needs, and say what to do",
    .usage = usage,
    .run = run,
};
