/*
 * notify.c: sd_notify(3) without libsystemd: a datagram to the Unix socket that NOTIFY_SOCKET names. A name that
 * begins with '@' is in the abstract namespace, where a zero byte takes the place of '@'.
 */
#include "app/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 1024 };

bool freshet_notify_wanted(void) {
  const char* path = getenv("NOTIFY_SOCKET");
  return path != NULL && (path[0] == '/' || path[0] == '@') && path[1] != '\0';
}

static void send_message(const char* message, size_t size) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char* path = getenv("NOTIFY_SOCKET");
  size_t length = strlen(path);
  if (length >= sizeof address.sun_path) return;
  memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  socklen_t address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  ssize_t sent =
      sendto(fd, message, size, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr*)&address, address_size);
  (void)sent; /* see the header */
  close(fd);
}

void freshet_notify(const char* format, ...) {
  char message[MESSAGE_SIZE];
  if (!freshet_notify_wanted()) return;
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  if (size > 0 && (size_t)size < sizeof message) send_message(message, (size_t)size);
}

int64_t freshet_notify_watchdog_us(void) {
  const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
  if (interval == NULL || !freshet_notify_wanted()) return 0;
  if (pid != NULL && strtoll(pid, NULL, 10) != getpid()) return 0; /* meant for another process */
  long long us = strtoll(interval, NULL, 10);
  return us > 0 ? us : 0;
}

void freshet_notify_reloading(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  freshet_notify("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reading the configuration again",
                 (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}
