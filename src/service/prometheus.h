/*
 * prometheus.h: figures as Prometheus text (exposition format 0.0.4): names begin with freshet_, base units
 * (seconds, bytes), counters end in _total.
 *
 * A family is a head (its # HELP and # TYPE lines) and then its samples, without another family in between.
 * Everything is appended to a buffer that the caller owns. Thread-safe: there is no state.
 */
#ifndef FRESHET_SERVICE_METRICS_H
#define FRESHET_SERVICE_METRICS_H

#include "freshet/bytes.h"
#include "stream/metrics.h"

/* `type` is counter, gauge or histogram. */
void freshet_metrics_head(freshet_buffer* out, const char* name, const char* type, const char* help);
/* `labels` as in "kind=\"click\"", or NULL for none. */
void freshet_metrics_sample(freshet_buffer* out, const char* name, const char* labels, double value);

/* Head and only sample in one. */
void freshet_metrics_counter(freshet_buffer* out, const char* name, const char* help, uint64_t value);
void freshet_metrics_gauge(freshet_buffer* out, const char* name, const char* help, double value);
/* Cumulative buckets, sum and count, in seconds. */
void freshet_metrics_histogram(freshet_buffer* out, const char* name, const char* help,
                               const freshet_histogram* histogram);

/* Everything that a worker counts. */
void freshet_metrics_worker(freshet_buffer* out, const freshet_worker_metrics* metrics);
/* App and version, and what the operating system knows about this process: memory, CPU, file descriptors,
 * start. */
void freshet_metrics_process(freshet_buffer* out, const char* app_id);

#endif
