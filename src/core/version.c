/*
 * version.c: the version of the library, as compiled in. A program compares it with the version of the
 * headers that it was compiled with. Nothing else belongs here.
 */
#include "freshet/freshet.h"

const char* freshet_version(void) {
  return FRESHET_VERSION;
}
