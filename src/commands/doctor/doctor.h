/*
 * doctor.h: the steps of `freshet doctor` and how each tells what it found. Private to src/commands/doctor.
 */
#ifndef FRESHET_COMMANDS_DOCTOR_H
#define FRESHET_COMMANDS_DOCTOR_H

#include <stdbool.h>

#include "service/config.h"

typedef enum freshet_finding {
  FRESHET_FINDING_OK = 0,
  FRESHET_FINDING_WARNING, /* a run works, but not as it should */
  FRESHET_FINDING_FAULT,   /* a run does not work */
  FRESHET_FINDING_SKIPPED, /* needs an earlier step that failed, or is not set */
} freshet_finding;

typedef struct freshet_doctor {
  const freshet_config* config; /* borrowed */
  unsigned counts[FRESHET_FINDING_SKIPPED + 1];
} freshet_doctor;

/* Prints one line: the finding, the step, and what was found or what to do. */
void freshet_doctor_tell(freshet_doctor* doctor, freshet_finding finding, const char* step,
                         const char* format, ...) __attribute__((format(printf, 4, 5)));

/* doctor_cluster.c: names, TCP, TLS and login, group, topics. Each within some seconds. */
void freshet_doctor_cluster(freshet_doctor* doctor);
/* doctor_machine.c: state folder, memory, open files. */
void freshet_doctor_machine(freshet_doctor* doctor);
/* doctor_services.c: encoder, schema registry, HTTP. */
void freshet_doctor_services(freshet_doctor* doctor);

#endif
