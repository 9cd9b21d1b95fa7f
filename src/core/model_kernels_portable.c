/*
 * model_kernels_portable.c: the kernels of the learner for every x86-64 (SSE2). The source is
 * model_kernels_body.h; the build sets the compiler's target for this file. Nothing else belongs here.
 */
#define FRESHET_MODEL_KERNELS_NAME freshet_model_kernels_portable
#define FRESHET_MODEL_KERNELS_LABEL "portable"
#include "core/model_kernels_body.h"
