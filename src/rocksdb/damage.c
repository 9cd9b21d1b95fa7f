/*
 * damage.c: see damage.h. The mark is moved last: a move that is cut short is continued by the next start.
 */
#include "rocksdb/damage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, REASON_SIZE = 512 };

static const char mark_name[] = "DAMAGED";

bool freshet_damage_is_meant(const char* message) {
  const bool is_file_gone = strstr(message, "No such file or directory") != NULL &&
                            (strstr(message, ".sst") != NULL || strstr(message, "MANIFEST") != NULL);
  return strncmp(message, "Corruption", strlen("Corruption")) == 0 || is_file_gone;
}

static bool join(char path[PATH_SIZE], const char* folder, const char* name) {
  const int size = snprintf(path, PATH_SIZE, "%s/%s", folder, name);
  return size > 0 && size < PATH_SIZE;
}

void freshet_damage_mark(const char* folder, const char* message) {
  char path[PATH_SIZE];
  if (!join(path, folder, mark_name)) return;
  FILE* mark = fopen(path, "wx"); /* the first message counts */
  if (mark == NULL) return;
  fprintf(mark, "%s\n", message);
  fclose(mark);
}

static bool ends_with(const char* name, const char* end) {
  const size_t size = strlen(name);
  return size > strlen(end) && strcmp(name + size - strlen(end), end) == 0;
}

/* A file that RocksDB makes. */
static bool is_of_database(const char* name) {
  static const char* const starts[] = {"CURRENT", "MANIFEST-", "OPTIONS-", "LOG", "LOCK", "IDENTITY"};
  static const char* const ends[] = {".sst", ".log", ".dbtmp"};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    if (strncmp(name, starts[i], strlen(starts[i])) == 0) return true;
  }
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    if (ends_with(name, ends[i])) return true;
  }
  return false;
}

bool freshet_damage_is_kept(const char* name) {
  return strcmp(name, "encoder") == 0;
}

bool freshet_damage_is_of_system(const char* name) {
  return name[0] == '.' || strcmp(name, "lost+found") == 0;
}

static bool exists(const char* folder, const char* name) {
  char path[PATH_SIZE];
  struct stat about;
  return join(path, folder, name) && stat(path, &about) == 0;
}

/* Are there tables, or a log where that counts, and no file of somebody else? */
static bool has_data(const char* folder, bool counts_log) {
  DIR* entries = opendir(folder);
  bool has = false, is_ours = true;
  if (entries == NULL) return false;
  for (const struct dirent* e = readdir(entries); e != NULL; e = readdir(entries)) {
    if (e->d_type == DT_DIR || freshet_damage_is_of_system(e->d_name)) continue;
    has |= ends_with(e->d_name, ".sst") || (counts_log && ends_with(e->d_name, ".log"));
    is_ours &= is_of_database(e->d_name) || freshet_damage_is_kept(e->d_name);
  }
  closedir(entries);
  return has && is_ours && exists(folder, "IDENTITY");
}

bool freshet_damage_has_tables(const char* folder) {
  return has_data(folder, false);
}

/* RocksDB makes CURRENT before the first log. */
bool freshet_damage_is_marked(const char* folder) {
  return exists(folder, mark_name) || (!exists(folder, "CURRENT") && has_data(folder, true));
}

/* RocksDB holds a lock of fcntl on this file. */
static bool is_open_elsewhere(const char* folder) {
  char path[PATH_SIZE];
  if (!join(path, folder, "LOCK")) return false;
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return false;
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  const bool is_held = fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  close(file);
  return is_held;
}

static void read_mark(const char* folder, char reason[REASON_SIZE]) {
  char path[PATH_SIZE];
  snprintf(reason, REASON_SIZE, "CURRENT is missing");
  FILE* mark = join(path, folder, mark_name) ? fopen(path, "r") : NULL;
  if (mark == NULL) return;
  if (fgets(reason, REASON_SIZE, mark) != NULL) reason[strcspn(reason, "\n")] = '\0';
  fclose(mark);
}

static freshet_status fail(const char* folder, const char* what, freshet_error* error) {
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP,
                           "state folder %s is damaged, and %s: %s; move it away by hand, an empty folder is "
                           "filled from Kafka",
                           folder, what, strerror(errno));
}

static bool is_on_same_device(const char* a, const char* b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev;
}

/* Makes the folder to move into: beside the folder; or in it, where that cannot be, or where the folder is a volume,
 * out of which nothing can be renamed. */
static bool make_target(const char* folder, char target[PATH_SIZE]) {
  static const char* const joints[] = {".", "/"};
  char stamp[32];
  const time_t now = time(NULL);
  struct tm utc;
  strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
  size_t size = strlen(folder);
  while (size > 1 && folder[size - 1] == '/') size--;
  for (size_t i = 0; i < sizeof joints / sizeof *joints; i++) {
    for (int number = 1; number < 100; number++) { /* more than one in a second */
      const int made =
          snprintf(target, PATH_SIZE, "%.*s%sdamaged-%s-%d", (int)size, folder, joints[i], stamp, number);
      if (made <= 0 || made >= PATH_SIZE) return false;
      if (mkdir(target, 0700) == 0) {
        if (is_on_same_device(folder, target)) return true;
        rmdir(target);
        break;
      }
      if (errno != EEXIST) break;
    }
  }
  return false;
}

static bool move(const char* folder, const char* target, const char* name) {
  char from[PATH_SIZE], to[PATH_SIZE];
  if (!join(from, folder, name) || !join(to, target, name)) return false;
  return rename(from, to) == 0 || errno == ENOENT;
}

freshet_status freshet_damage_move_aside(const char* folder, const char* reason, const freshet_logger* logger,
                                         freshet_error* error) {
  char target[PATH_SIZE], marked[REASON_SIZE];
  if (is_open_elsewhere(folder)) {
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                             "state folder %s is in use by another process; one folder, one process", folder);
  }
  if (reason == NULL) read_mark(folder, marked);
  freshet_damage_mark(folder, reason == NULL ? marked : reason);
  if (!make_target(folder, target)) return fail(folder, "no folder can be made to move it into", error);
  DIR* entries = opendir(folder);
  if (entries == NULL) return fail(folder, "it cannot be listed", error);
  bool is_moved = true;
  for (const struct dirent* e = readdir(entries); e != NULL && is_moved; e = readdir(entries)) {
    if (is_of_database(e->d_name)) is_moved = move(folder, target, e->d_name);
  }
  is_moved = is_moved && move(folder, target, mark_name);
  closedir(entries);
  if (!is_moved) return fail(folder, "a file cannot be moved", error);
  freshet_log_fact(logger, FRESHET_ERROR, "state.damaged",
                   "folder=%s moved_to=%s reason=\"%s\" note=\"the state is restored from Kafka; delete the "
                   "moved folder when it is not needed\"",
                   folder, target, reason == NULL ? marked : reason);
  return FRESHET_OK;
}
