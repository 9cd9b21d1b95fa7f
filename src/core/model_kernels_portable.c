/* model_kernels_portable.c: the kernels for every x86-64 (SSE2); the build sets the compiler's target. */
#define FRESHET_MODEL_KERNELS_NAME freshet_model_kernels_portable
#define FRESHET_MODEL_KERNELS_LABEL "portable"
#include "core/model_kernels_body.h"
