/* model_kernels_avx2.c: the kernels for CPUs with avx2; the build sets the compiler's target. */
#define FRESHET_MODEL_KERNELS_NAME freshet_model_kernels_avx2
#define FRESHET_MODEL_KERNELS_LABEL "avx2"
#include "core/model_kernels_body.h"
