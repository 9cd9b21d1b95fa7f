/*
 * limits.c: asks the system for its limits and says which are too small. It changes nothing but the soft limit of open
 * files of this process.
 */
#include "app/limits.h"

#include <stdint.h>
#include <sys/resource.h>

size_t freshet_files_limit(void) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return SIZE_MAX;
  if (files.rlim_cur < files.rlim_max) {
    struct rlimit raised = {files.rlim_max, files.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) files = raised;
  }
  return files.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)files.rlim_cur;
}

freshet_status freshet_files_check(const freshet_logger* logger, freshet_error* error) {
  size_t limit = freshet_files_limit();
  if (limit < FRESHET_FILES_LEAST)
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "this process may open %zu files, and needs %d at least, better %d: raise `ulimit -n` "
        "(LimitNOFILE= of systemd)",
        limit, FRESHET_FILES_LEAST, FRESHET_FILES_ENOUGH);
  if (limit < FRESHET_FILES_ENOUGH)
    freshet_log_fact(logger, FRESHET_WARN, "service.few_files",
                     "limit=%zu better=%d do=\"raise ulimit -n (LimitNOFILE= of systemd)\"", limit,
                     FRESHET_FILES_ENOUGH);
  return FRESHET_OK;
}
