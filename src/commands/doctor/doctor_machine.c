/*
 * doctor_machine.c: what the machine gives: room and speed of the state folder, memory against the budget, open files.
 * The speed is measured with a file of its own, which is removed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "app/budget.h"
#include "app/limits.h"
#include "commands/doctor/doctor.h"

enum { PIECES = 8, PIECE_BYTES = 1 << 20, SLOW_MS = 200 };
static const double MB = 1 << 20;

/* ---- the state folder ---- */

/* The folder, or the nearest one above it that exists: the folder itself is made at the first start. */
static void existing_part(const char* folder, char out[PATH_MAX]) {
  struct stat found;
  snprintf(out, PATH_MAX, "%s", folder);
  while (stat(out, &found) != 0) {
    char* slash = strrchr(out, '/');
    if (slash == NULL || slash == out) {
      snprintf(out, PATH_MAX, "%s", slash == NULL ? "." : "/");
      return;
    }
    *slash = '\0';
  }
}

/* Milliseconds until a megabyte is on the disk, the mean of some; -1: it cannot be written, errno says why. */
static double write_ms(const char* folder) {
  char path[PATH_MAX + 32];
  struct timespec start, end;
  snprintf(path, sizeof path, "%s/.freshet-doctor-XXXXXX", folder);
  char* piece = calloc(1, PIECE_BYTES);
  FRESHET_ASSERT(piece != NULL);
  int fd = mkostemp(path, O_CLOEXEC);
  bool written = fd >= 0;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int i = 0; i < PIECES && written; i++)
    written = write(fd, piece, PIECE_BYTES) == PIECE_BYTES && fdatasync(fd) == 0;
  clock_gettime(CLOCK_MONOTONIC, &end);
  int why = errno;
  if (fd >= 0) {
    close(fd);
    unlink(path);
  }
  free(piece);
  errno = why;
  double ms = (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) * 1e-6;
  return written ? ms / PIECES : -1;
}

static void tell_folder(freshet_doctor* doctor) {
  const char* folder = doctor->config->state.folder;
  char existing[PATH_MAX];
  struct statvfs room;
  existing_part(folder, existing);
  double ms = write_ms(existing);
  if (ms < 0) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "state folder",
                        "%s cannot be written: %s; give this user the right, or "
                        "set state.folder",
                        existing, strerror(errno));
    return;
  }
  if (statvfs(existing, &room) != 0) return;
  freshet_budget budget = freshet_budget_of(doctor->config, 0);
  double left = (double)room.f_bavail * (double)room.f_frsize;
  double wanted = budget.bytes_per_item * FRESHET_BUDGET_ITEMS + 256 * MB;
  freshet_finding finding = left < wanted || ms > SLOW_MS ? FRESHET_FINDING_WARNING : FRESHET_FINDING_OK;
  freshet_doctor_tell(doctor, finding, "state folder",
                      "%s: %.0f MB free, a megabyte is on the disk after %.1f ms%s%s", folder, left / MB, ms,
                      left < wanted ? "; little room: the changelog fills it again after a loss" : "",
                      ms > SLOW_MS ? "; slow: commits wait for this disk" : "");
}

/* ---- memory and files ---- */

/* Bytes from a file that holds a number; 0: it does not. */
static double read_number(const char* path, const char* format) {
  double number = 0;
  char line[256];
  FILE* file = fopen(path, "re");
  while (file != NULL && number == 0 && fgets(line, sizeof line, file) != NULL) sscanf(line, format, &number);
  if (file != NULL) fclose(file);
  return number;
}

static void tell_memory(freshet_doctor* doctor) {
  double there = read_number("/proc/meminfo", "MemAvailable: %lf") * 1024;
  double bound = read_number("/sys/fs/cgroup/memory.max", "%lf"); /* of a container; "max": none */
  if (bound > 0 && bound < there) there = bound;
  freshet_budget budget = freshet_budget_of(doctor->config, (uint32_t)doctor->config->text.dim);
  freshet_finding finding = there < budget.usual   ? FRESHET_FINDING_FAULT
                            : there < budget.total ? FRESHET_FINDING_WARNING
                                                   : FRESHET_FINDING_OK;
  freshet_doctor_tell(
      doctor, finding, "memory", "%.0f MB there, %.0f MB usual, %.0f MB with every bound reached%s",
      there / MB, budget.usual / MB, budget.total / MB,
      finding == FRESHET_FINDING_OK
          ? ""
          : "; lower model.max_items, state.user_cache or http.connections (see `freshet config`)");
}

static void tell_files(freshet_doctor* doctor) {
  freshet_error error = {0};
  size_t limit = freshet_files_limit();
  if (freshet_files_check(NULL, &error) != FRESHET_OK) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "open files", "%s", error.message);
  } else if (limit < FRESHET_FILES_ENOUGH + (size_t)doctor->config->http.connections) {
    freshet_doctor_tell(
        doctor, FRESHET_FINDING_WARNING, "open files",
        "%zu: HTTP gets fewer connections than http.connections = %lld; raise `ulimit -n` (LimitNOFILE=)",
        limit, (long long)doctor->config->http.connections);
  } else {
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "open files", "%zu", limit);
  }
}

void freshet_doctor_machine(freshet_doctor* doctor) {
  tell_folder(doctor);
  tell_memory(doctor);
  tell_files(doctor);
}
