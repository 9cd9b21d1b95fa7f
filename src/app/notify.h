/*
 * notify.h: speaks to the service manager that started this process: systemd, or anything that sets
 * NOTIFY_SOCKET. The protocol is that of sd_notify(3): lines "NAME=value" in one datagram.
 *
 * Without a NOTIFY_SOCKET everything here does nothing. It knows nothing of what is told; supervisor.c decides
 * that.
 */
#ifndef FRESHET_APP_NOTIFY_H
#define FRESHET_APP_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Is there anybody to tell? Any thread. */
bool freshet_notify_wanted(void);

/* Sends one message; the format gives its lines. A message that cannot be sent is dropped: the manager then acts
 * by its timeouts. Any thread. */
void freshet_notify(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* How often the manager wants to hear WATCHDOG=1, in microseconds; 0: it does not. */
int64_t freshet_notify_watchdog_us(void);

/* RELOADING=1 with the time that systemd asks for. Ends with READY=1, from freshet_notify. */
void freshet_notify_reloading(void);

#endif
