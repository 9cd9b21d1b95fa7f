/*
 * intrinsics.h: the vector instructions of x86 that kernels are written in. On other processors SIMDe (Debian's
 * libsimde-dev) gives the 128-bit ones under their names, made from what that processor has, such as NEON; the portable
 * kernels use no wider ones. Only kernels include this.
 */
#ifndef FRESHET_CORE_INTRINSICS_H
#define FRESHET_CORE_INTRINSICS_H

#if defined(__x86_64__)
#include <immintrin.h>
#else
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/sse2.h>
#endif

#endif
