/*
 * The Kafka module keeps what source.h and sink.h promise, by the suite that the simulated broker keeps too.
 * On a real broker only, since the embedded one has no transactions: skipped unless FRESHET_TEST_BOOTSTRAP
 * names one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "contract/cases_stream.h"
#include "kafka/embedded.h"
#include "kafka/kafka.h"
#include "support_kafka.h"

typedef struct real {
  stream_rig rig;
  cluster cluster;
  group_log unused; /* of support_kafka; the suite has a handler of its own */
} real;

static void connect_process(real* r) {
  r->rig.source = open_source(&r->cluster, &r->unused, "the-one");
  freshet_kafka_source_set_handler(r->rig.source, rig_handler(&r->rig));
  r->rig.sink = open_sink(&r->cluster, r->rig.source);
  r->rig.log = open_log(&r->cluster);
  memset(r->rig.holds, 0, sizeof r->rig.holds);
}

static void disconnect(real* r) {
  freshet_reader_destroy(r->rig.log);
  freshet_sink_destroy(r->rig.sink);
  freshet_source_destroy(r->rig.source);
}

static void restart(stream_rig* rig) {
  disconnect(rig->context);
  connect_process(rig->context);
}

static int setup(void** state, bool alternates) {
  real* r = calloc(1, sizeof *r);
  if (r == NULL) return -1;
  cluster_start(&r->cluster, true);
  r->cluster.config.alternates = alternates;
  r->rig.gathers = !alternates; /* else they leave with a poll */
  r->rig.restart = restart;
  r->rig.context = r;
  connect_process(r);
  *state = &r->rig;
  return 0;
}

static int setup_fast(void** state) {
  return setup(state, false);
}

static int setup_committed(void** state) {
  return setup(state, true);
}

static int teardown(void** state) {
  real* r = ((stream_rig*)*state)->context;
  disconnect(r);
  cluster_stop(&r->cluster);
  free(r);
  return 0;
}

int main(void) {
  if (!cluster_has_real()) {
    print_message("FRESHET_TEST_BOOTSTRAP is not set: skipped\n");
    return 77;
  }
  const struct CMUnitTest fast[] = {STREAM_CASES(setup_fast, teardown)};
  const struct CMUnitTest committed[] = {STREAM_CASES(setup_committed, teardown)};
  const int failed = cmocka_run_group_tests_name("delivery = fast", fast, NULL, NULL);
  return failed + cmocka_run_group_tests_name("delivery = committed", committed, NULL, NULL);
}
