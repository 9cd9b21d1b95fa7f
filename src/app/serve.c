/*
 * serve.c: signals and the log of a process that serves. It owns two flags that signal handlers set (stop,
 * reload), and nothing else; whoever runs the engine asks for them between two steps.
 */
#include "app/serve.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t stop_requested;

static volatile sig_atomic_t reload_requested;

static void request_reload(int number) {
  (void)number;
  reload_requested = 1;
}

static void request_stop(int number) {
  (void)number;
  stop_requested = 1;
}

void freshet_serve_catch_signals(void) {
  struct sigaction action = {.sa_handler = request_stop};
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  struct sigaction reload = {.sa_handler = request_reload, .sa_flags = SA_RESTART};
  sigemptyset(&reload.sa_mask);
  sigaction(SIGHUP, &reload, NULL);
  signal(SIGPIPE, SIG_IGN);
}

bool freshet_serve_reload(void) {
  bool requested = reload_requested != 0;
  reload_requested = 0;
  return requested;
}

bool freshet_serve_stopping(void* context) {
  (void)context;
  return stop_requested != 0;
}

freshet_logger freshet_serve_logger(const freshet_config* config, freshet_log_writer* writer) {
  *writer = (freshet_log_writer){.fd = STDERR_FILENO,
                                 .level = (freshet_log_level)config->log.level,
                                 .format = (freshet_log_format)config->log.format,
                                 .clock = freshet_clock_system()};
  return freshet_log_writer_logger(writer);
}
