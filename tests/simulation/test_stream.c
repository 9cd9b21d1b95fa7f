/*
 * test_stream.c: the simulated broker keeps the promises of source.h and sink.h. The suite is the one that a
 * real broker runs, too (tests/contract/cases_stream.h), so the simulator is as strict as Kafka.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "contract/cases_stream.h"
#include "support_process.h"

typedef struct simulated {
  stream_rig rig;
  sim_world world;
  sim_process* process;
} simulated;

static void connect_process(simulated* s) {
  static const freshet_stream_config unused;
  s->process = sim_process_create(&s->world, 0, 0, &unused, NULL, NULL);
  s->process->handler = rig_handler(&s->rig);
  sim_process_connect(s->process);
  s->rig.source = &s->process->source.base;
  s->rig.sink = &s->process->sinks[0].base;
  s->rig.log = &s->process->logs[0].base;
  memset(s->rig.holds, 0, sizeof s->rig.holds);
}

static void restart(stream_rig* rig) {
  simulated* s = rig->context;
  sim_process_kill(s->process);
  sim_process_destroy(s->process);
  connect_process(s);
}

static int setup(void** state) {
  simulated* s = calloc(1, sizeof *s);
  if (s == NULL) return -1;
  sim_cluster_init(&s->world.cluster, 1, 2, 1);
  s->rig.restart = restart;
  s->rig.context = s;
  connect_process(s);
  *state = &s->rig;
  return 0;
}

static int teardown(void** state) {
  simulated* s = ((stream_rig*)*state)->context;
  assert_string_equal(s->world.failure, "");
  sim_process_destroy(s->process);
  sim_cluster_free(&s->world.cluster);
  free(s);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {STREAM_CASES(setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
