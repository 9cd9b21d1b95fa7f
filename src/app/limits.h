/*
 * limits.h: what the system allows this process: open files for now. Used at the start of what runs for long, and by
 * the doctor.
 */
#ifndef FRESHET_APP_LIMITS_H
#define FRESHET_APP_LIMITS_H

#include <stddef.h>

#include "freshet/status.h"
#include "stream/logger.h"

enum {
  FRESHET_FILES_LEAST = 128,   /* with fewer, a store and a cluster cannot be open at once */
  FRESHET_FILES_ENOUGH = 1024, /* the store's tables, sockets to brokers, and some clients */
};

/* Raises the soft limit of open files as far as it may. Returns the limit; SIZE_MAX: there is none. */
size_t freshet_files_limit(void);

/* The same, with a warning below FRESHET_FILES_ENOUGH. Errors: FRESHET_INVALID, verdict FRESHET_STOP, below
 * FRESHET_FILES_LEAST. logger may be NULL. */
freshet_status freshet_files_check(const freshet_logger* logger, freshet_error* error);

#endif
