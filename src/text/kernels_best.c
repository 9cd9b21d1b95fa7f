/*
 * kernels_best.c: picks the kernels of the BERT encoder for this processor, once, or those with a given
 * name. All compute the same within rounding.
 */
#include <stdbool.h>
#include <string.h>

#include "text/kernels.h"

extern const freshet_kernels freshet_kernels_avx512, freshet_kernels_avx2, freshet_kernels_portable;

#if defined(__x86_64__)
static bool runs_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

static bool runs_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const freshet_kernels* freshet_kernels_best(void) {
  if (runs_avx512()) return &freshet_kernels_avx512;
  return runs_avx2() ? &freshet_kernels_avx2 : &freshet_kernels_portable;
}

const freshet_kernels* freshet_kernels_find(const char* name) {
  if (strcmp(name, "portable") == 0) return &freshet_kernels_portable;
  if (strcmp(name, "avx2") == 0 && runs_avx2()) return &freshet_kernels_avx2;
  if (strcmp(name, "avx512") == 0 && runs_avx512()) return &freshet_kernels_avx512;
  return NULL;
}
#else
const freshet_kernels* freshet_kernels_best(void) {
  return &freshet_kernels_portable;
}

const freshet_kernels* freshet_kernels_find(const char* name) {
  return strcmp(name, "portable") == 0 ? &freshet_kernels_portable : NULL;
}
#endif
