/*
 * gzip_file.c: A file that is read plain or through zlib, told apart by its first bytes. It owns the open
 * file. It must not know lines or records.
 */
#include "commands/gzip_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 17 };

freshet_status freshet_gzip_open(const char* path, freshet_gzip_file* file, freshet_error* error) {
  *file = (freshet_gzip_file){0};
  int descriptor = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
  struct stat facts;
  if (descriptor < 0 || fstat(descriptor, &facts) != 0) {
    freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "cannot open %s: %s", path, strerror(errno));
    if (descriptor >= 0) close(descriptor);
    return FRESHET_NOT_FOUND;
  }
  if (S_ISDIR(facts.st_mode)) {
    close(descriptor);
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s is a folder; --format names a data set that comes as one", path);
  }
  if (S_ISREG(facts.st_mode)) file->size_bytes = (double)facts.st_size;
  file->descriptor = descriptor;
  file->file = gzdopen(descriptor, "rb");
  FRESHET_ASSERT(file->file != NULL); /* fails only when memory is out */
  gzbuffer(file->file, BUFFER_BYTES);
  return FRESHET_OK;
}

void freshet_gzip_close(freshet_gzip_file* file) {
  if (file->file != NULL) gzclose(file->file);
  file->file = NULL;
}

/* A file that shrinks looks like one that ends early. */
static freshet_status check_end(freshet_gzip_file* file, freshet_error* error) {
  struct stat facts;
  if (file->size_bytes <= 0 || fstat(file->descriptor, &facts) != 0) return FRESHET_OK;
  double now = (double)facts.st_size;
  if (now > file->size_bytes) file->grown_bytes = now - file->size_bytes;
  if (now >= file->size_bytes) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "the file has become shorter while it was read (%.0f bytes, then %.0f)",
                           file->size_bytes, now);
}

freshet_status freshet_gzip_read(freshet_gzip_file* file, void* bytes, size_t size, size_t* got,
                                 freshet_error* error) {
  int code = Z_OK, count = gzread(file->file, bytes, (unsigned)(size > INT32_MAX ? INT32_MAX : size));
  *got = count > 0 ? (size_t)count : 0;
  gzerror(file->file, &code);
  if (*got > 0) return FRESHET_OK;
  if (code == Z_ERRNO) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "the file cannot be read: %s", strerror(errno));
  }
  freshet_status status = check_end(file, error);
  if (status != FRESHET_OK || (count == 0 && (code == Z_OK || code == Z_STREAM_END))) return status;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "the gzip stream is broken or cut off");
}

double freshet_gzip_progress(const freshet_gzip_file* file) {
  if (file->size_bytes <= 0) return 0;
  double share = (double)gzoffset(file->file) / file->size_bytes;
  return share < 0 ? 0 : share > 1 ? 1 : share;
}

static ssize_t read_cookie(void* cookie, char* bytes, size_t size) {
  size_t got;
  freshet_error ignored = {0}; /* Avro C is only told that it failed; the error is kept here */
  return freshet_gzip_read(cookie, bytes, size, &got, &ignored) == FRESHET_OK ? (ssize_t)got : -1;
}

FILE* freshet_gzip_stream(freshet_gzip_file* file) {
  FILE* stream = fopencookie(file, "r", (cookie_io_functions_t){.read = read_cookie});
  FRESHET_ASSERT(stream != NULL);
  return stream;
}
