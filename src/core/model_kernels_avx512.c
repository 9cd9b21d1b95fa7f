/* model_kernels_avx512.c: the kernels for CPUs with avx512; the build sets the compiler's target. */
#define FRESHET_MODEL_KERNELS_NAME freshet_model_kernels_avx512
#define FRESHET_MODEL_KERNELS_LABEL "avx512"
#include "core/model_kernels_body.h"
