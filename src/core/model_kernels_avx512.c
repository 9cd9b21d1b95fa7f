/*
 * model_kernels_avx512.c: the kernels of the learner for CPUs with AVX-512. The source is
 * model_kernels_body.h; the build sets the compiler's target for this file. Nothing else belongs here.
 */
#if defined(__x86_64__)
#define FRESHET_MODEL_KERNELS_NAME freshet_model_kernels_avx512
#define FRESHET_MODEL_KERNELS_LABEL "avx512"
#include "core/model_kernels_body.h"
#endif
