/*
 * rank_dispatch.c: picks the ranking kernel that a configuration asks for, or the fastest that this CPU can
 * run. All kernels let the right rows through, so the choice shows in the time only.
 */
#include "core/rank_kernel.h"

#if defined(__x86_64__)
static const freshet_rank_kernel_table* avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &freshet_rank_avx2 : NULL;
}

static const freshet_rank_kernel_table* avx512(void) {
  int has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512vnni");
  return has ? &freshet_rank_avx512 : NULL;
}
#else
static const freshet_rank_kernel_table* avx2(void) {
  return NULL;
}

static const freshet_rank_kernel_table* avx512(void) {
  return NULL;
}
#endif

const freshet_rank_kernel_table* freshet_rank_kernel_find(freshet_rank_kernel choice) {
  switch (choice) {
    case FRESHET_KERNEL_PORTABLE:
      return &freshet_rank_portable;
    case FRESHET_KERNEL_AVX2:
      return avx2();
    case FRESHET_KERNEL_AVX512:
      return avx512();
    case FRESHET_KERNEL_AUTO:
      break;
  }
  const freshet_rank_kernel_table* best = avx512();
  if (best == NULL) best = avx2();
  return best != NULL ? best : &freshet_rank_portable;
}

size_t freshet_rank_work_size(const freshet_rank_kernel_table* kernel, const freshet_rank_panels* panels) {
  return kernel->group * (panels->stride + kernel->room) * sizeof(float);
}
