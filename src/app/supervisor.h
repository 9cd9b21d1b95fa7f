/*
 * supervisor.h: a thread that watches the service through its metrics. It tells the service manager when the
 * service is ready and what it does, gives signs of life only while the loop turns, and ends the process when a
 * stop that was asked for, or the closing of what the service has opened, takes too long.
 *
 * It only reads: it knows nothing of Kafka, RocksDB or the worker, and nothing waits for it.
 */
#ifndef FRESHET_APP_SUPERVISOR_H
#define FRESHET_APP_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/logger.h"
#include "stream/metrics.h"

typedef struct freshet_supervisor_config {
  const freshet_worker_metrics* metrics; /* borrowed */
  const freshet_logger* logger;          /* borrowed */
  bool (*stopping)(void* context);       /* has somebody asked to stop? Any thread */
  void* stopping_context;
  int64_t stop_timeout_ms;  /* from then to the end of the process with exit code 0 */
  int64_t close_timeout_ms; /* from freshet_supervisor_close to the end of the process */
} freshet_supervisor_config;

typedef struct freshet_supervisor freshet_supervisor;

/* Starts the thread. *config is copied. NULL: there is no memory or no thread. */
freshet_supervisor* freshet_supervisor_create(const freshet_supervisor_config* config);
/*
 * The loop has ended, and all that it used is closed now. When this takes longer than close_timeout_ms, the thread
 * calls tell(context) and ends the process with that code. context lives until the supervisor is destroyed.
 * NULL is allowed for the supervisor.
 */
void freshet_supervisor_close(freshet_supervisor* supervisor, void (*tell)(void* context), void* context,
                              int exit_code);
/* Ends it. NULL is allowed. */
void freshet_supervisor_destroy(freshet_supervisor* supervisor);

#endif
