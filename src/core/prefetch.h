/*
 * prefetch.h: asks for memory some time before it is read, so that the work does not wait for it. It changes nothing else,
 * and any address is allowed. It must not know what lies there.
 */
#ifndef FRESHET_CORE_PREFETCH_H
#define FRESHET_CORE_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

/* Prefetches the 512 bytes at `from`. GCC removes calls of a function that does nothing else than prefetch; the asm keeps
 * them. */
static inline void freshet_prefetch(const void* from, size_t bytes) {
  __asm__ volatile("" : : "r"(from));
  for (size_t at = 0; at < bytes && at < 512; at += 64) __builtin_prefetch((const char*)from + at);
}

/* Prefetches a row of factors. Its length is not known at compile time, so it takes fewer steps. */
static inline void freshet_prefetch_row(const float* row, uint32_t dim) {
  for (uint32_t at = 0; at < dim && at < 128; at += 64) freshet_prefetch(row + at, 64 * sizeof *row);
}

/* Prefetches a list of neighbours, which is longer. */
static inline void freshet_prefetch_list(const void* from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 512) freshet_prefetch((const char*)from + at, bytes - at);
}

#endif
