/* huge_pages.c: see huge_pages.h. */
#include "commands/huge_pages.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

void freshet_huge_pages_ask(char** argv) {
  const bool is_of_loader = getauxval(AT_BASE) == 0; /* ld.so was given this program: it would start ld.so */
  const bool is_forgotten =
      getauxval(AT_SECURE) != 0; /* glibc drops the variable: it would start again for ever */
  const char* program = (const char*)getauxval(AT_EXECFN);
  if (is_of_loader || is_forgotten || program == NULL || getenv("GLIBC_TUNABLES") != NULL) return;
  if (setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 1) == 0) execv(program, argv);
}
