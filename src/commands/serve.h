/*
 * serve.h: what surrounds an engine that runs: signals, log, HTTP.
 */
#ifndef FRESHET_COMMANDS_SERVE_H
#define FRESHET_COMMANDS_SERVE_H

#include "service/config.h"
#include "worker/logger.h"
#include "worker/metrics.h"

/* SIGTERM and SIGINT ask to stop; call before any thread is started. */
void freshet_serve_catch_signals(void);
/* Has one of them come? Any thread; the context is not used. */
bool freshet_serve_stopping(void* context);

#endif
