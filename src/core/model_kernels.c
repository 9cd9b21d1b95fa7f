/*
 * model_kernels.c: picks the fastest kernels of the learner that this CPU can run, and lists all of them for
 * tests. All give the same bits, so the choice shows in the time only.
 */
#include "core/model_kernels.h"

#include <stdbool.h>

#if defined(__x86_64__)
static bool has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

const freshet_model_kernels* const* freshet_model_kernels_all(void) {
  static const freshet_model_kernels* const all[] = {
      &freshet_model_kernels_avx512, &freshet_model_kernels_avx2, &freshet_model_kernels_portable, NULL};
  __builtin_cpu_init();
  return has_avx512() ? all : __builtin_cpu_supports("avx2") ? all + 1 : all + 2;
}
#else
const freshet_model_kernels* const* freshet_model_kernels_all(void) {
  static const freshet_model_kernels* const all[] = {&freshet_model_kernels_portable, NULL};
  return all;
}
#endif

const freshet_model_kernels* freshet_model_kernels_best(void) {
  return freshet_model_kernels_all()[0];
}
