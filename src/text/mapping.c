/*
 * mapping.c: A file mapped read-only into memory. It owns the mapping until it is released. It must not know
 * what is in the file.
 */
#include "text/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

freshet_status freshet_map_file(const char* path, freshet_slice* bytes, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  struct stat info;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  *bytes = (freshet_slice){NULL, 0};
  if (descriptor < 0 || fstat(descriptor, &info) != 0) goto failed;
  if (info.st_size > 0) {
    void* mapping = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapping == MAP_FAILED) goto failed;
    *bytes = (freshet_slice){mapping, (size_t)info.st_size};
  }
  close(descriptor);
  return FRESHET_OK;
failed:
  status = errno == ENOENT || errno == ENOTDIR ? FRESHET_NOT_FOUND : FRESHET_IO;
  freshet_error_set(error, status, FRESHET_STOP, "%s: %s", path, strerror(errno));
  if (descriptor >= 0) close(descriptor);
  return status;
}

void freshet_unmap_file(freshet_slice bytes) {
  if (bytes.size > 0) munmap((void*)bytes.data, bytes.size);
}

void freshet_forget_file(freshet_slice bytes) {
  if (bytes.size > 0) madvise((void*)bytes.data, bytes.size, MADV_DONTNEED);
}
