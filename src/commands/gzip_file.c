#include "commands/gzip_file.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 17 };

freshet_status freshet_gzip_open(const char* path, freshet_gzip_file* file, freshet_error* error) {
  *file = (freshet_gzip_file){0};
  bool standard_input = strcmp(path, "-") == 0;
  file->file = standard_input ? gzdopen(dup(STDIN_FILENO), "rb") : gzopen(path, "rb");
  if (file->file == NULL) {
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "cannot open %s: %s", path,
                             strerror(errno));
  }
  gzbuffer(file->file, BUFFER_BYTES);
  struct stat facts;
  if (!standard_input && stat(path, &facts) == 0 && S_ISREG(facts.st_mode))
    file->size_bytes = (double)facts.st_size;
  return FRESHET_OK;
}

void freshet_gzip_close(freshet_gzip_file* file) {
  if (file->file != NULL) gzclose(file->file);
  file->file = NULL;
}

double freshet_gzip_progress(const freshet_gzip_file* file) {
  if (file->size_bytes <= 0) return 0;
  double share = (double)gzoffset(file->file) / file->size_bytes;
  return share < 0 ? 0 : share > 1 ? 1 : share;
}

static ssize_t read_cookie(void* cookie, char* bytes, size_t size) {
  freshet_gzip_file* file = cookie;
  return gzread(file->file, bytes, (unsigned)(size > INT32_MAX ? INT32_MAX : size));
}

FILE* freshet_gzip_stream(freshet_gzip_file* file) {
  FILE* stream = fopencookie(file, "r", (cookie_io_functions_t){.read = read_cookie});
  FRESHET_ASSERT(stream != NULL);
  return stream;
}
