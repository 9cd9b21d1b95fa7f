/*
 * activity.h: says in one line what the service is doing, from its metrics alone. For /readyz, for the service
 * manager's status, and for anybody else who asks "why is there no list yet?".
 */
#ifndef FRESHET_SERVICE_ACTIVITY_H
#define FRESHET_SERVICE_ACTIVITY_H

#include <stddef.h>

#include "stream/metrics.h"

/* Writes the line to text[size], such as "restoring partition 3: 41 %" or "serving 4 partitions, 0 events behind".
 * Any thread. */
void freshet_activity(const freshet_worker_metrics* metrics, char* text, size_t size);

#endif
