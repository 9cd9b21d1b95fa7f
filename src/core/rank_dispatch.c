/* Which kernel this CPU can run. */
#include "core/rank_kernel.h"

const freshet_rank_kernel_table* freshet_rank_kernel_find(freshet_rank_kernel choice) {
  return choice == FRESHET_KERNEL_AUTO || choice == FRESHET_KERNEL_PORTABLE ? &freshet_rank_portable : NULL;
}

size_t freshet_rank_work_size(const freshet_rank_kernel_table* kernel, const freshet_rank_panels* panels) {
  return kernel->group * (panels->stride + kernel->room) * sizeof(float);
}
