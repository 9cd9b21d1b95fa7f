/*
 * activity.c: what the service is doing, in words. The phase comes from the engine, the restore's progress from
 * restore.c; figures may be a moment apart from each other, which does not matter to a reader.
 */
#include "service/activity.h"

#include <stdio.h>

static void describe_restore(const freshet_worker_metrics* metrics, uint64_t count, char* text, size_t size) {
  unsigned percent = (unsigned)(freshet_metric(&metrics->restored_ppm) / 10000);
  unsigned first = (unsigned)freshet_metric(&metrics->restoring_first);
  if (count == 1) {
    snprintf(text, size, "restoring partition %u: %u %%", first, percent);
  } else {
    snprintf(text, size, "restoring %u partitions, from %u on: %u %%", (unsigned)count, first, percent);
  }
}

static void describe_service(const freshet_worker_metrics* metrics, char* text, size_t size) {
  unsigned long long partitions = freshet_metric(&metrics->partitions);
  unsigned long long lag = freshet_metric(&metrics->lag);
  if (partitions == 0) {
    snprintf(text, size, "standby: the group has no partition for this process");
    return;
  }
  snprintf(text, size, "serving %llu partition%s, %llu event%s behind", partitions,
           partitions == 1 ? "" : "s", lag, lag == 1 ? "" : "s");
}

void freshet_activity(const freshet_worker_metrics* metrics, char* text, size_t size) {
  static const char* const phases[] = {
      [FRESHET_PHASE_OPENING] = "opening the state folder",
      [FRESHET_PHASE_CONNECTING] = "waiting for the brokers and the topics",
      [FRESHET_PHASE_LOADING] = "loading the item tables",
      [FRESHET_PHASE_RUNNING] = "waiting for partitions",
      [FRESHET_PHASE_STOPPING] = "stopping",
  };
  uint64_t phase = freshet_metric(&metrics->phase), restoring = freshet_metric(&metrics->restoring);
  if (phase == FRESHET_PHASE_RUNNING && restoring > 0) {
    describe_restore(metrics, restoring, text, size);
  } else if (phase == FRESHET_PHASE_RUNNING && freshet_metric(&metrics->ready) != 0) {
    describe_service(metrics, text, size);
  } else {
    snprintf(text, size, "%s", phases[phase <= FRESHET_PHASE_STOPPING ? phase : FRESHET_PHASE_OPENING]);
  }
}
