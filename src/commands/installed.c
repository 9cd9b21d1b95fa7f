/*
 * installed.c: the files that come with the program, found from /proc/self/exe. An installation has the program
 * in PREFIX/bin, a checkout in CHECKOUT/build: in both, the files are found from the parent of that folder.
 */
#include "commands/installed.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* The parent of the folder with the program, "" when it cannot be known. */
static void find_prefix(char prefix[PATH_SIZE]) {
  ssize_t length = readlink("/proc/self/exe", prefix, PATH_SIZE - 1);
  prefix[length < 0 ? 0 : length] = '\0';
  for (int levels = 0; levels < 2; levels++) {
    char* slash = strrchr(prefix, '/');
    if (slash != NULL) *slash = '\0';
  }
}

static bool is_there(const char* prefix, const char* place, char* path, size_t size) {
  int length = snprintf(path, size, "%s/%s", prefix, place);
  return length >= 0 && (size_t)length < size && access(path, R_OK) == 0;
}

bool freshet_installed_find(const char* installed, const char* checkout, char* path, size_t size) {
  char prefix[PATH_SIZE];
  find_prefix(prefix);
  return is_there(prefix, checkout, path, size) || is_there(prefix, installed, path, size);
}
