/*
 * stopped.c: waits until a consumer group has no members.
 *
 * It owns nothing. It must not change the group.
 */
#include "commands/stopped.h"

#include <stdio.h>
#include <unistd.h>

#include "kafka/app_generations.h"
#include "stream/clock.h"

enum { ROOM_MS = 3000, RETRY_US = 500 * 1000 };

static int64_t now_ms(void) {
  return freshet_clock_monotonic_us(freshet_clock_system()) / 1000;
}

freshet_status freshet_await_stopped(const freshet_kafka_config* kafka, const char* group,
                                     freshet_error* error) {
  int64_t wait_ms = freshet_kafka_session_ms(kafka) + ROOM_MS, deadline_ms = now_ms() + wait_ms;
  size_t members = 0;
  for (bool told = false;; told = true) {
    freshet_status status = freshet_kafka_generation_members(kafka, group, &members, error);
    if (status != FRESHET_OK || members == 0) return status;
    if (now_ms() > deadline_ms) break;
    if (!told)
      fprintf(
          stderr,
          "freshet: group %s has %zu members; one that has stopped counts until its session ends, so this "
          "waits for up to %lld s\n",
          group, members, (long long)wait_ms / 1000);
    usleep(RETRY_US);
  }
  return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                           "the app is running: group %s has %zu members; stop them first", group, members);
}
