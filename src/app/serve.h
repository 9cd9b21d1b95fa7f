/*
 * serve.h: what surrounds an engine that runs: signals and the log. Used by `run`, `demo` and `backfill`. It
 * knows nothing about the engine itself.
 */
#ifndef FRESHET_APP_SERVE_H
#define FRESHET_APP_SERVE_H

#include "service/log.h"
#include "service/monitor.h"
#include "stream/metrics.h"

/* Catches SIGTERM and SIGINT (stop) and SIGHUP (read the rules again). Call it before any thread is
 * started. */
void freshet_serve_catch_signals(void);
/* Whether SIGTERM or SIGINT has come. Any thread; the context is not used. */
bool freshet_serve_stopping(void* context);

/* Whether SIGHUP has come since the last call. */
bool freshet_serve_reload(void);

/* A logger to standard error in the format of [log], through *writer, which must outlive it. */
freshet_logger freshet_serve_logger(const freshet_config* config, freshet_log_writer* writer);

#endif
