/*
 * serve.h: what surrounds an engine that runs: signals and the log. Used by `run`, `demo` and `backfill`. It
 * knows nothing about the engine itself.
 */
#ifndef FRESHET_APP_SERVE_H
#define FRESHET_APP_SERVE_H

#include "service/log.h"
#include "service/monitor.h"
#include "stream/metrics.h"

/* SIGTERM and SIGINT ask to stop, SIGHUP to read the rules again; call before any thread is started. */
void freshet_serve_catch_signals(void);
/* Has one of them come? Any thread; the context is not used. */
bool freshet_serve_stopping(void* context);

/* Has SIGHUP come since the last question? */
bool freshet_serve_reload(void);

/* A logger to standard error as [log] says, through *writer, which outlives it. */
freshet_logger freshet_serve_logger(const freshet_config* config, freshet_log_writer* writer);

#endif
