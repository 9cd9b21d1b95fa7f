/*
 * test_supervisor.c: what a service manager hears from the watching thread, on a socket of its own: readiness, activity,
 * and signs of life that stop when the loop does. That a process which does not close is ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/notify.h"
#include "app/supervisor.h"

static int heard; /* the manager's socket */
static freshet_worker_metrics metrics;
static _Atomic bool stop_asked;

static bool is_stopping(void* context) {
  (void)context;
  return atomic_load(&stop_asked);
}

/* In the abstract namespace, so nothing is left in a folder. */
static int listen_as_manager(void** state) {
  (void)state;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char path[64];
  snprintf(path, sizeof path, "@freshet-test-%d", (int)getpid());
  memcpy(address.sun_path, path, strlen(path));
  address.sun_path[0] = '\0';
  heard = socket(AF_UNIX, SOCK_DGRAM, 0);
  setenv("NOTIFY_SOCKET", path, 1);
  setenv("WATCHDOG_USEC", "600000", 1);
  memset(&metrics, 0, sizeof metrics);
  atomic_store(&stop_asked, false);
  return bind(heard, (struct sockaddr*)&address,
              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
}

static int close_manager(void** state) {
  (void)state;
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
  return close(heard);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How many messages with this text come within the time; turning: the loop turns meanwhile. */
static int hear(const char* text, int within_ms, bool turning, int enough) {
  char message[1024];
  int count = 0;
  for (int64_t end = now_ms() + within_ms; now_ms() < end && count < enough;) {
    struct pollfd wait = {.fd = heard, .events = POLLIN};
    if (turning) freshet_count(&metrics.alive_ms, 1);
    if (poll(&wait, 1, 20) != 1) continue;
    ssize_t size = recv(heard, message, sizeof message - 1, 0);
    assert_true(size > 0);
    message[size] = '\0';
    count += strstr(message, text) != NULL;
  }
  return count;
}

static freshet_supervisor* start(void) {
  const freshet_supervisor_config config = {
      .metrics = &metrics, .stopping = is_stopping, .stop_timeout_ms = 3600000};
  freshet_supervisor* supervisor = freshet_supervisor_create(&config);
  assert_non_null(supervisor);
  return supervisor;
}

static void test_readiness_and_activity(void** state) {
  (void)state;
  freshet_gauge(&metrics.phase, FRESHET_PHASE_CONNECTING);
  freshet_supervisor* supervisor = start();
  assert_int_equal(hear("EXTEND_TIMEOUT_USEC=30000000", 5000, false, 1), 1);
  assert_int_equal(hear("STATUS=waiting for the brokers", 5000, false, 1), 1);
  freshet_gauge(&metrics.phase, FRESHET_PHASE_RUNNING);
  freshet_gauge(&metrics.partitions, 4);
  freshet_gauge(&metrics.ready, 1);
  assert_int_equal(hear("READY=1\nSTATUS=serving 4 partitions", 5000, true, 1), 1);
  assert_int_equal(hear("READY=1", 700, true, 1), 0); /* once */
  atomic_store(&stop_asked, true);
  assert_int_equal(hear("STOPPING=1", 5000, true, 1), 1);
  freshet_supervisor_destroy(supervisor);
}

/* The end of a service that stops before the thread looks again. */
static void test_a_quick_stop_is_told(void** state) {
  (void)state;
  freshet_supervisor* supervisor = start();
  hear("EXTEND_TIMEOUT_USEC", 5000, false, 1);
  atomic_store(&stop_asked, true);
  freshet_supervisor_destroy(supervisor);
  assert_int_equal(hear("STOPPING=1", 5000, false, 1), 1);
  assert_int_equal(hear("STOPPING=1", 100, false, 1), 0); /* once */
}

static void test_signs_of_life_follow_the_loop(void** state) {
  (void)state;
  freshet_gauge(&metrics.phase, FRESHET_PHASE_RUNNING);
  freshet_gauge(&metrics.ready, 1);
  freshet_gauge(&metrics.alive_ms, 1);
  freshet_supervisor* supervisor = start();
  assert_int_equal(hear("WATCHDOG=1", 10000, true, 3), 3);
  hear("WATCHDOG=1", 1000, false, 1); /* of the last turn */
  assert_int_equal(hear("WATCHDOG=1", 1500, false, 1), 0);
  assert_int_equal(hear("WATCHDOG=1", 5000, true, 1), 1); /* it turns again */
  freshet_supervisor_destroy(supervisor);
}

static void test_without_a_manager_nothing_is_told(void** state) {
  (void)state;
  unsetenv("NOTIFY_SOCKET");
  assert_false(freshet_notify_wanted());
  assert_int_equal(freshet_notify_watchdog_us(), 0);
  freshet_notify("READY=1"); /* goes nowhere */
  freshet_supervisor_destroy(start());
  freshet_supervisor_destroy(NULL);
  setenv("NOTIFY_SOCKET", "no path", 1);
  assert_false(freshet_notify_wanted());
}

static void test_the_watchdog_of_another_process_is_left_alone(void** state) {
  (void)state;
  setenv("WATCHDOG_PID", "1", 1);
  assert_int_equal(freshet_notify_watchdog_us(), 0);
  unsetenv("WATCHDOG_PID");
  assert_int_equal(freshet_notify_watchdog_us(), 600000);
}

static void say_the_end(void* context) {
  const int* pipe_end = context;
  assert_int_equal(write(*pipe_end, "ended", 5), 5);
}

/* Forks a service whose closing takes that long and may take so long. Returns its exit code. */
static int close_service(int takes_ms, int timeout_ms, char said[8]) {
  int ends[2], status = 0;
  assert_int_equal(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const freshet_supervisor_config config = {.metrics = &metrics,
                                              .stopping = is_stopping,
                                              .stop_timeout_ms = 3600000,
                                              .close_timeout_ms = timeout_ms};
    freshet_supervisor* supervisor = freshet_supervisor_create(&config);
    freshet_supervisor_close(supervisor, say_the_end, &ends[1], 5);
    usleep((useconds_t)takes_ms * 1000);
    freshet_supervisor_destroy(supervisor);
    _exit(0);
  }
  close(ends[1]);
  assert_int_equal(waitpid(child, &status, 0), child);
  memset(said, 0, 8);
  assert_true(read(ends[0], said, 7) >= 0);
  close(ends[0]);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* As with a client of Kafka that does not close. */
static void test_a_close_that_hangs_ends_the_process(void** state) {
  (void)state;
  char said[8];
  assert_int_equal(close_service(60000, 500, said), 5);
  assert_string_equal(said, "ended");
  assert_int_equal(close_service(10, 60000, said), 0);
  assert_string_equal(said, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, listen_as_manager, close_manager)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_readiness_and_activity),
      TEST(test_a_quick_stop_is_told),
      TEST(test_a_close_that_hangs_ends_the_process),
      TEST(test_signs_of_life_follow_the_loop),
      TEST(test_without_a_manager_nothing_is_told),
      TEST(test_the_watchdog_of_another_process_is_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
